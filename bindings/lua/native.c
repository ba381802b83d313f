/* SPDX-License-Identifier: MIT */
#include "bindings/lua/internal.h"

/* Functions of the host program, as values: a C closure over its entry. Its arguments go over to the main
 * thread's stack, where slots are counted, into a protected section of their own; so does what it returns.
 * The host program's frames are never jumped over: what it calls does not jump, and what jumps runs before or
 * after it. */

#define WAITER_TYPE "perilune.native.waiter"
#define SEQUENCE_TYPE "perilune.native.sequence"

static const char fault_mark = 'f'; /* the metatable of faults, in the registry */
static const char ask_mark = 'a';   /* core.ask: what a sequence gives that asks for a message */

/* --- errors --- */
static int fault_tostring(lua_State *L)
{
    lua_pushliteral(L, "message");
    lua_rawget(L, 1);
    return 1;
}

static void push_fault_type(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &fault_mark) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 3);
    lua_pushliteral(L, "perilune.native.fault");
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, fault_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0); /* shared by all */
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fault_mark);
}

static void set_text(lua_State *L, const char *name, pl_str text)
{
    if (text.len == 0)
        return;
    lua_pushlstring(L, text.ptr, text.len);
    lua_setfield(L, -2, name);
}

/* A script's pcall sees this; it is for the log otherwise. */
static void push_fault(lua_State *L, const pl_failure *failure)
{
    lua_createtable(L, 0, 2);
    set_text(L, "message", failure->message);
    set_text(L, "traceback", failure->traceback);
    push_fault_type(L);
    lua_setmetatable(L, -2);
}

/* core.fault(raised): the same, of any error value; in a message handler, so that it has the traceback. */
static int native_fault(lua_State *L)
{
    const char *message, *traceback;
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    if (plua_native_fault(L, 1, &message, &traceback))
        return 1;
    luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, NULL, 1); /* stack: raised message traceback */
    pl_failure failure = {.message = {lua_tostring(L, 2), lua_rawlen(L, 2)},
                          .traceback = {lua_tostring(L, 3), lua_rawlen(L, 3)}};
    push_fault(L, &failure);
    return 1;
}

int plua_open_native(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, native_fault);
    lua_setfield(L, -2, "fault");
    lua_pushlightuserdata(L, (void *)&ask_mark);
    lua_setfield(L, -2, "ask");
    return 1;
}

static const char *text_of(lua_State *L, int index, const char *name)
{
    lua_pushstring(L, name);
    const char *text = lua_rawget(L, index) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    lua_pop(L, 1); /* the table still has it */
    return text;
}

bool plua_native_fault(lua_State *L, int index, const char **message, const char **traceback)
{
    index = lua_absindex(L, index);
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &fault_mark);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (!same)
        return false;
    *message = text_of(L, index, "message");
    *traceback = text_of(L, index, "traceback");
    if (!*message)
        *message = "";
    return true;
}

static void push_error(plua_state *st, const pl_failure *failure)
{
    lua_State *M = st->L;
    if (!failure->expected) {
        push_fault(M, failure);
        return;
    }
    plua_push_failure(M, failure->code, failure->message);
    if (failure->details.kind == PL_KIND_ABSENT)
        return;
    lua_pushliteral(M, "details");
    pl_push_value((pl_state *)st, &failure->details);
    lua_rawset(M, -3); /* scripts can reach the metatable */
}

/* --- sequences: objects with next and close --- */
typedef struct sequence {
    pl_native_sequence *is; /* NULL: it is over */
} sequence;

static int sequence_next(lua_State *L);
static int sequence_call(lua_State *L);

static void sequence_end(sequence *s)
{
    pl_native_sequence *is = s->is;
    s->is = NULL;
    if (is)
        pl_native_sequence_unref(is);
}

static int sequence_gc(lua_State *L)
{
    sequence_end(lua_touserdata(L, 1));
    return 0;
}

static int sequence_close(lua_State *L)
{
    sequence_end(luaL_checkudata(L, 1, SEQUENCE_TYPE));
    return 0;
}

static void push_sequence(lua_State *L, pl_native_sequence *is)
{
    static const luaL_Reg methods[] = {{"next", sequence_next}, {"close", sequence_close}, {NULL, NULL}};
    static const plua_type type = {.name = SEQUENCE_TYPE,
                                   .gc = sequence_gc,
                                   .close = sequence_close,
                                   .call = sequence_call,
                                   .methods = methods};
    sequence *s = lua_newuserdatauv(L, sizeof *s, 0);
    s->is = NULL;
    plua_push_type(L, &type);
    lua_setmetatable(L, -2);
    pl_native_sequence_ref(is);
    s->is = is;
}

/* --- calls --- */
typedef struct invocation {
    plua_state *st;
    pl_native_call *call;
    const pl_native_entry *entry; /* NULL: the call has been finished */
    sequence *of;                 /* it is a call of next; its object is at the bottom of the stack */
    pl_native_status status;
} invocation;

static void push_result(plua_state *st, const pl_native_call *call)
{
    if (pl_native_call_asks(call))
        lua_pushlightuserdata(st->L, (void *)&ask_mark);
    else if (pl_native_call_sequence(call))
        push_sequence(st->L, pl_native_call_sequence(call));
    else
        pl_push_value((pl_state *)st, pl_native_call_result(call));
}

/* invocation arguments → result or error, or nothing while it is pending */
static int run_section(lua_State *M)
{
    invocation *i = lua_touserdata(M, 1);
    lua_remove(M, 1);
    if (i->entry) {
        const plua_call *current = i->st->current; /* NULL: top-level code runs */
        i->status = pl_native_call_run(i->call, i->entry, (pl_state *)i->st, current ? current->work : NULL,
                                       current ? current->info : NULL, lua_gettop(M));
    } else {
        i->status = pl_native_call_outcome(i->call);
    }
    if (i->status == PL_NATIVE_PENDING)
        return 0;
    lua_settop(M, 0);
    luaL_checkstack(M, 8, NULL);
    if (i->status == PL_NATIVE_DONE)
        push_result(i->st, i->call);
    else
        push_error(i->st, pl_native_call_failure(i->call));
    return 1;
}

/* With the top nargs values of L. What it gives is on top of L then: a result, or an error that is to be
 * raised (FAILED), or nil (PENDING). */
static pl_native_status run(lua_State *L, invocation *i, int nargs)
{
    lua_State *M = i->st->L;
    i->status = PL_NATIVE_FAILED;
    lua_xmove(L, M, nargs); /* nothing when they are the same: top-level code runs */
    lua_pushcfunction(M, run_section);
    lua_pushlightuserdata(M, i);
    lua_rotate(M, -(nargs + 2), 2);
    int status = lua_pcall(M, nargs + 1, 1, 0);
    lua_xmove(M, L, 1);
    return status == LUA_OK ? i->status : PL_NATIVE_FAILED;
}

/* stack: … result or error */
static int give(lua_State *L, invocation *i)
{
    pl_native_call_free(&i->st->natives, i->call);
    if (i->of && (i->status != PL_NATIVE_DONE || lua_isnil(L, -1)))
        sequence_end(i->of);
    return i->status == PL_NATIVE_DONE ? 1 : lua_error(L);
}

/* --- calls that wait --- */
typedef struct waiter {
    plua_wait wait;
    pl_native_call *call; /* NULL: it is over */
} waiter;

static void wake(void *data)
{
    plua_wait_finish(&((waiter *)data)->wait);
}

static void give_up(waiter *w)
{
    pl_native_call *call = w->call;
    w->call = NULL;
    if (call)
        pl_native_call_cancel(call);
}

static void wait_cancelled(plua_wait *wait)
{
    give_up(wait->data);
}

static int waiter_gc(lua_State *L)
{
    give_up(lua_touserdata(L, 1));
    return 0;
}

static int make_waiter(lua_State *L)
{
    static const plua_type type = {.name = WAITER_TYPE, .gc = waiter_gc};
    waiter *w = lua_newuserdatauv(L, sizeof *w, 0);
    *w = (waiter){.wait = {.data = w}};
    plua_push_type(L, &type);
    lua_setmetatable(L, -2);
    return 1;
}

/* stack: [sequence] waiter; at: where that is */
static int finished(lua_State *L, int status, lua_KContext at)
{
    waiter *w = lua_touserdata(L, (int)at);
    invocation i = {.st = plua_state_of(L), .call = w->call};
    i.of = at > 1 ? lua_touserdata(L, 1) : NULL;
    w->call = NULL;
    if (!lua_checkstack(i.st->L, 8) || !lua_checkstack(L, 8)) {
        pl_native_call_free(&i.st->natives, i.call);
        return plua_throw(L);
    }
    i.status = run(L, &i, 0);
    return give(L, &i);
}

/* The call is PENDING. stack: [sequence] nil */
static int pend(lua_State *L, invocation *i)
{
    pl_host *host = i->st->head.host;
    int at = lua_gettop(L);
    const char *obstacle = plua_wait_obstacle(L);
    if (!obstacle && !host->ops->mailbox)
        obstacle = "nothing comes here from other threads";
    pl_mailbox *mailbox = obstacle ? NULL : host->ops->mailbox(host);
    lua_pop(L, 1);
    lua_pushcfunction(L, make_waiter);
    if (obstacle || !mailbox || lua_pcall(L, 0, 1, 0) != LUA_OK) {
        pl_native_call_cancel(i->call);
        if (obstacle)
            return luaL_error(L, "%s cannot wait here: %s", i->entry->name, obstacle);
        return mailbox ? lua_error(L) : plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    }
    waiter *w = lua_touserdata(L, at);
    w->call = i->call;
    if (!pl_native_call_wait(i->call, mailbox, wake, w))
        return finished(L, LUA_OK, at);
    plua_wait_begin(L, i->entry->name, &w->wait, wait_cancelled);
    return plua_wait_yield(L, at, finished);
}

/* With the top nargs values, which are all but the sequence. */
static int invoke(lua_State *L, const pl_native_entry *entry, sequence *of, int nargs)
{
    invocation i = {.st = plua_state_of(L), .entry = entry, .of = of};
    if (!lua_checkstack(i.st->L, nargs + 8) || !lua_checkstack(L, 8))
        return plua_throw(L);
    i.call = pl_native_call_new(&i.st->natives);
    if (!i.call)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    if (of)
        pl_native_call_of(i.call, of->is);
    i.status = run(L, &i, nargs);
    return i.status == PL_NATIVE_PENDING ? pend(L, &i) : give(L, &i);
}

static int call_native(lua_State *L)
{
    return invoke(L, lua_touserdata(L, lua_upvalueindex(1)), NULL, lua_gettop(L));
}

/* sequence:next(…) → element, or nothing at the end */
static int sequence_next(lua_State *L)
{
    sequence *s = luaL_checkudata(L, 1, SEQUENCE_TYPE);
    if (!s->is) {
        lua_pushnil(L);
        return 1;
    }
    if (pl_native_sequence_is_busy(s->is))
        return luaL_error(L, "a sequence is asked for its next element while it makes one");
    return invoke(L, pl_native_sequence_entry(s->is), s, lua_gettop(L) - 1);
}

/* for element in sequence do … end */
static int sequence_call(lua_State *L)
{
    lua_settop(L, 1);
    return sequence_next(L);
}

static void push_native(pl_state *state, const pl_native_entry *entry)
{
    lua_State *L = plua_cast(state)->L;
    lua_pushlightuserdata(L, (void *)entry);
    lua_pushcclosure(L, call_native, 1);
}

static int arity(pl_state *state, pl_slot function)
{
    bool native = lua_tocfunction(plua_cast(state)->L, function) == call_native;
    return native ? PL_ARITY_NATIVE : plua_arity(state, function);
}

void plua_native_init(pl_engine *engine)
{
    engine->push_native = push_native;
    engine->arity = arity; /* in place of the cursor's */
}
