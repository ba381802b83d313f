/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "bindings/lua/run.h"

/* A call's coroutine is taken from the pool, runs the function, and goes back when it has ended, with an
 * empty stack. While it waits it is in the state's list of waiting calls, with wait->call pointing to it. */

#define COROUTINE_BYTES 192 /* that a coroutine has, and */
#define CALLER_BYTES 640    /* what called it, about: to be fetched into the cache */

static plua_call *call_new(plua_state *st)
{
    plua_call *call = lua_newuserdatauv(st->L, sizeof *call, 1); /* stack: call */
    memset(call, 0, sizeof *call);
    call->next_value = LUA_NOREF;
    call->state = st;
    call->co = lua_newthread(st->L); /* stack: call co */
    lua_setiuservalue(st->L, -2, 1); /* stack: call */
    call->self = luaL_ref(st->L, LUA_REGISTRYINDEX);
    return call;
}

/* Memory that will be used soon, and may have been left long ago. */
static void fetch(const void *memory, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const char *)memory + i);
}

/* Of the next call: its record was fetched when the one before it was taken. */
static void fetch_next(const plua_call *next)
{
    if (!next)
        return;
    fetch(next->co, COROUTINE_BYTES);
    if (next->next)
        fetch(next->next, sizeof *next);
}

static inline plua_call *call_take(plua_state *st)
{
    plua_call *call = st->pool;
    if (call)
        st->pool = call->next;
    else
        call = call_new(st);
    if (st->waiting) /* or else the pool was used a moment ago */
        fetch_next(st->pool);
    call->id = ++st->call_count;
    call->call = (pl_call){0};
    memset(&call->wait, 0, sizeof *call - offsetof(plua_call, wait));
    return call;
}

/* The outcome of next that was not taken, as the call could not go on. */
static void forget_outcome(plua_call *call)
{
    if (call->next_value == LUA_NOREF)
        return;
    luaL_unref(call->state->L, LUA_REGISTRYINDEX, call->next_value);
    call->next_value = LUA_NOREF;
}

/* Its stack is empty. */
static void call_release(plua_call *call)
{
    forget_outcome(call);
    call->work = NULL;
    call->next = call->state->pool;
    call->state->pool = call;
}

/* For a coroutine that cannot be used again. */
static void call_discard(plua_call *call)
{
    forget_outcome(call);
    luaL_unref(call->state->L, LUA_REGISTRYINDEX, call->self);
}

/* The wait of a call that does not wait any more. */
void plua_wait_drop(plua_call *call)
{
    plua_wait *wait = call ? call->wait : NULL;
    if (!wait)
        return;
    call->wait = NULL;
    wait->call = NULL;
    if (wait->cancelled)
        wait->cancelled(wait);
}

static void waiting_add(plua_call *call)
{
    plua_state *st = call->state;
    call->prev = NULL;
    call->next = st->waiting;
    if (st->waiting)
        st->waiting->prev = call;
    st->waiting = call;
}

static void waiting_remove(plua_call *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        call->state->waiting = call->next;
    if (call->next)
        call->next->prev = call->prev;
}

/* Closes the coroutine's pending to-be-closed variables, which is script code that runs; its own failure is
 * only logged by the engine's silence: the first error is what matters. */
static void close_coroutine(plua_call *call)
{
    plua_state *st = call->state;
    plua_call *outer = st->current;
    plua_run run;
    call->closing = true;
    call->instructions = 0;
    st->current = call;
    plua_close_begin(st, call->co, &run);
    plua_reset(st->L, call->co);
    plua_close_end(st, &run);
    st->current = outer;
}

/* The coroutine has ended with an error, or was interrupted. */
static pl_call_status __attribute__((noinline)) call_failed(plua_call *call, int status, pl_failure *failure)
{
    plua_state *st = call->state;
    bool closable = !st->hook_threw;
    plua_wait_drop(call);
    plua_describe(st, call->co, status, call->work->arena, failure);
    if (closable)
        close_coroutine(call);
    if (closable && status != LUA_YIELD) {
        lua_settop(call->co, 0);
        call_release(call);
        return PL_CALL_FAILED;
    }
    call_discard(call);
    if (!closable)
        lua_gc(st->L, LUA_GCCOLLECT); /* what it holds (transactions) is let go of by finalizers */
    return PL_CALL_FAILED;
}

/* Resumes the call's coroutine. DONE pushes the result on the value stack. */
static inline pl_call_status call_run(plua_state *st, plua_call *call, int nargs, pl_failure *failure)
{
    plua_call *outer = st->current;
    plua_run run;
    st->current = call;
    plua_run_begin(st, call->co, &run);
    int nresults;
    int status = lua_resume(call->co, st->L, nargs, &nresults);
    call->info = NULL;
    plua_run_end(st, &run);
    st->current = outer;
    if (status == LUA_YIELD && !st->interrupted) { /* plua_wait_mark stays on its stack, see coroutine.c */
        waiting_add(call);
        return PL_CALL_PENDING;
    }
    if (status != LUA_OK)
        return call_failed(call, status, failure);
    plua_wait_drop(call);
    if (nresults == 0) {
        lua_pushnil(st->L);
    } else {
        if (nresults > 1)
            lua_pop(call->co, nresults - 1);
        lua_xmove(call->co, st->L, 1);
    }
    call_release(call);
    return PL_CALL_DONE;
}

pl_call_status plua_call_function(pl_state *state, pl_ref function, int nargs, pl_work *work,
                                  pl_call **pending, pl_failure *failure)
{
    plua_state *st = plua_cast(state);
    pl_lazy *info = work->info;
    work->info = NULL;
    plua_call *call = call_take(st);
    if (nargs >= LUA_MINSTACK &&
        !lua_checkstack(call->co, nargs + 1)) { /* an empty stack has room for less */
        call_release(call);
        plua_throw(st->L);
    }
    call->work = work;
    call->field = work->field;
    call->info = info;
    lua_rawgeti(call->co, LUA_REGISTRYINDEX, function);
    if (nargs > 0)
        lua_xmove(st->L, call->co, nargs);
    *pending = &call->call; /* matters to whoever is told so */
    return call_run(st, call, nargs, failure);
}

void plua_call_cancel(pl_state *state, pl_call *pending)
{
    plua_call *call = (plua_call *)pending;
    waiting_remove(call);
    plua_wait_drop(call);
    close_coroutine(call);
    call_discard(call);
}

void plua_cancel_all(plua_state *st)
{
    while (st->waiting)
        plua_call_cancel((pl_state *)st, &st->waiting->call);
}

/* --- waits --- */
const char *plua_wait_obstacle(lua_State *L)
{
    const plua_state *st = plua_state_of(L);
    if (!st->head.host || !st->current)
        return "top-level code runs before there is a loop to wait on";
    if (st->current->closing || st->interrupted)
        return "the call is being closed";
    if (!lua_isyieldable(L) || st->unyieldable > 0)
        return "a function that cannot yield is in between (a table.sort comparison, a string.gsub "
               "replacement, a module's top-level code)";
    return NULL;
}

void plua_wait_check(lua_State *L, const char *what)
{
    const char *obstacle = plua_wait_obstacle(L);
    if (obstacle)
        luaL_error(L, "%s cannot wait here: %s", what, obstacle);
}

void plua_wait_begin(lua_State *L, const char *what, plua_wait *wait, void (*cancelled)(plua_wait *wait))
{
    plua_wait_check(L, what);
    plua_state *st = plua_state_of(L);
    wait->call = st->current;
    wait->cancelled = cancelled;
    st->current->wait = wait;
}

int plua_wait_yield(lua_State *L, lua_KContext ctx, lua_KFunction k)
{
    lua_pushlightuserdata(L, (void *)&plua_wait_mark);
    return lua_yieldk(L, 1, ctx, k);
}

typedef struct finish {
    plua_call *call;
    plua_state *state;
    pl_call copy; /* of call->call: the call itself may be in use again when done runs */
    bool ran;     /* it has ended, or waits anew */
} finish;

static void finish_section(void *data)
{
    finish *f = data;
    pl_failure failure;
    pl_call_status status = call_run(f->state, f->call, 0, &failure);
    f->ran = true;
    if (status != PL_CALL_PENDING)
        f->copy.done(&f->copy, status, status == PL_CALL_DONE ? lua_gettop(f->state->L) : 0, &failure);
    else if (f->call->call.wants_next)
        f->copy.proceed(&f->call->call);
}

/* The call's end, or done itself, was left by a jump: done hears of it, once more if need be. */
static void finish_failed(void *data)
{
    finish *f = data;
    pl_failure failure = {.code = PL_RESOURCE_EXHAUSTED, .message = PL_STR("out of memory")};
    f->copy.done(&f->copy, PL_CALL_FAILED, 0, &failure);
}

void plua_wait_soon(const plua_wait *wait, bool near)
{
    const plua_call *call = wait->call;
    if (!near) {
        fetch(call, sizeof *call);
        return;
    }
    fetch(call->co, COROUTINE_BYTES);
    fetch(call->call.data, CALLER_BYTES);
}

void plua_wait_finish(plua_wait *wait)
{
    plua_call *call = wait->call;
    if (!call)
        return;
    plua_state *st = call->state;
    wait->call = NULL;
    call->wait = NULL;
    waiting_remove(call);
    lua_pop(call->co, 1); /* plua_wait_mark */
    finish f = {.call = call, .state = st, .copy = call->call};
    pl_error err;
    pl_error_clear(&err);
    if (plua_protect((pl_state *)st, finish_section, &f, &err))
        return;
    pl_log(st->config.log, PL_ERROR, "a script call could not be finished", PL_F_CSTR("error", err.message));
    if (!plua_protect((pl_state *)st, finish_failed, &f, &err) && !f.ran)
        waiting_add(call); /* nobody can be told: whoever runs out of patience may cancel it */
}
