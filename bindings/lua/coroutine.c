/* SPDX-License-Identifier: MIT */
#include "bindings/lua/internal.h"

/* The coroutine library of scripts. It differs from the stock one in what it does with waiting: when a
 * function inside a user's coroutine waits, resume and wrap pass the yield on to the engine, and go on with
 * the same coroutine when the wait is finished. So user coroutines (iterators, generators) may call anything
 * that waits. */

const char plua_wait_mark = 'w';

#define GUARD_TYPE "perilune.coroutine.guard"

static bool has_mark(lua_State *co)
{
    return lua_gettop(co) > 0 && lua_touserdata(co, -1) == (const void *)&plua_wait_mark;
}

/* The mark stays on the stack of a coroutine for as long as it waits: nobody but the engine may resume or
 * close it then. */
static bool waits(lua_State *co)
{
    return lua_status(co) == LUA_YIELD && has_mark(co);
}

static lua_State *get_co(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    return co;
}

typedef enum co_state { CO_RUNNING, CO_DEAD, CO_SUSPENDED, CO_NORMAL } co_state;
static const char *const state_names[] = {"running", "dead", "suspended", "normal"};

static co_state state_of(lua_State *L, lua_State *co)
{
    lua_Debug ar;
    if (L == co)
        return CO_RUNNING;
    if (lua_status(co) == LUA_YIELD)
        return waits(co) ? CO_NORMAL : CO_SUSPENDED;
    if (lua_status(co) != LUA_OK)
        return CO_DEAD;
    if (lua_getstack(co, 0, &ar))
        return CO_NORMAL;
    return lua_gettop(co) == 0 ? CO_DEAD : CO_SUSPENDED;
}

/* A coroutine that ended by an error out of the hook has no state any more: its variables cannot be closed
 * (watch.c). */
static void set_unclosable(lua_State *co)
{
    *(plua_state **)lua_getextraspace(co) = NULL;
}

int plua_reset(lua_State *L, lua_State *co)
{
    /* Lua 5.4.4 does not forget the message handler of an xpcall that co is suspended in: a place on its
     * stack, which must not shrink while errors may still lead there. */
    bool shrinks = lua_status(co) == LUA_YIELD && lua_gc(L, LUA_GCISRUNNING) == 1;
    if (shrinks)
        lua_gc(L, LUA_GCSTOP);
    int status = lua_resetthread(co);
    if (shrinks)
        lua_gc(L, LUA_GCRESTART);
    return status;
}

static int close_co(lua_State *L, lua_State *co)
{
    plua_state *st = plua_state_of(L);
    if (!plua_state_of(co)) {
        lua_settop(co, 0);
        lua_pushliteral(co, "the coroutine was interrupted");
        return LUA_ERRRUN;
    }
    plua_run_switch(st, co);
    int status = plua_reset(L, co);
    plua_run_switch(st, L);
    st->hook_threw = false; /* caught by resetthread */
    return status;
}

/* Runs co with its nargs arguments on its stack. LUA_YIELD with waiting set: it waits. */
static int resume_step(lua_State *L, lua_State *co, int nargs, int *nresults, bool *waiting)
{
    plua_state *st = plua_state_of(L);
    bool passes = lua_isyieldable(L);
    st->unyieldable += !passes;
    plua_run_switch(st, co);
    int status = lua_resume(co, L, nargs, nresults);
    plua_run_switch(st, L);
    st->unyieldable -= !passes;
    *waiting = status == LUA_YIELD && *nresults == 1 && has_mark(co);
    if (status != LUA_OK && status != LUA_YIELD && st->hook_threw) {
        set_unclosable(co);
        st->hook_threw = false;
    }
    return status;
}

/* __close of the guard: the call is cancelled, or was interrupted, while the coroutine inside waits or runs:
 * close that, too. */
static int guard_close(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    lua_getiuservalue(L, 1, 1);
    lua_State *co = lua_tothread(L, -1);
    if (co && st->current && st->current->closing && lua_status(co) == LUA_YIELD)
        close_co(L, co);
    return 0;
}

static int guard_new(lua_State *L)
{
    lua_newuserdatauv(L, 0, 1);
    lua_insert(L, 1);
    lua_setiuservalue(L, 1, 1);
    luaL_setmetatable(L, GUARD_TYPE);
    return 1;
}

/* Puts a guard for the coroutine at index 1 into slot 2 of the frame, once. Without memory for it nothing may
 * go on waiting: what waits is in the coroutine, which nobody holds any more when this frame is gone. */
static void guard_set(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TUSERDATA)
        return;
    lua_settop(L, 1);
    lua_pushcfunction(L, guard_new);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        plua_wait_drop(plua_state_of(L)->current);
        close_co(L, lua_tothread(L, 1));
        plua_throw(L);
    }
    lua_toclose(L, 2);
}

/* frame: co [guard] */
static int interrupted_inside(lua_State *L, lua_State *co)
{
    if (lua_isyieldable(L) && plua_state_of(L)->unyieldable == 0) {
        guard_set(L);
        return plua_interrupt(L);
    }
    close_co(L, co);
    return plua_throw(L);
}

/* The end of wrap's function: co's error goes on. */
static int raise_from(lua_State *L, lua_State *co)
{
    if (lua_status(co) != LUA_OK && lua_status(co) != LUA_YIELD)
        plua_rethrow_fatal(L, close_co(L, co)); /* its variables' errors come before its own */
    lua_xmove(co, L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

/* frame: co [guard] */
static int resume_continue(lua_State *L, int nargs, lua_KContext wrap, lua_KFunction k)
{
    lua_State *co = lua_tothread(L, 1);
    int nresults = 0;
    bool waiting;
    int status = resume_step(L, co, nargs, &nresults, &waiting);
    if (status == LUA_YIELD && plua_state_of(L)->interrupted)
        return interrupted_inside(L, co);
    if (waiting) {
        guard_set(L);
        return plua_wait_yield(L, wrap, k);
    }
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, nresults + 1)) {
            lua_pop(co, nresults);
            return luaL_error(L, "too many results to resume");
        }
        if (!wrap)
            lua_pushboolean(L, 1);
        lua_xmove(co, L, nresults);
        return nresults + !wrap;
    }
    plua_rethrow_fatal(L, status);
    if (wrap)
        return raise_from(L, co);
    lua_xmove(co, L, 1); /* which may be the same, when a coroutine resumes itself */
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int resume_k(lua_State *L, int status, lua_KContext wrap)
{
    lua_pop(lua_tothread(L, 1), 1); /* the mark */
    return resume_continue(L, 0, wrap, resume_k);
}

/* Why co cannot be resumed, or NULL. */
static const char *refusal(lua_State *co)
{
    if (waits(co))
        return "cannot resume non-suspended coroutine";
    return lua_status(co) == LUA_OK && lua_gettop(co) == 0 ? "cannot resume dead coroutine" : NULL;
}

/* Moves the arguments (all above index 1) to co. */
static int give_arguments(lua_State *L, lua_State *co)
{
    int nargs = lua_gettop(L) - 1;
    if (!lua_checkstack(co, nargs))
        luaL_error(L, "too many arguments to resume");
    lua_xmove(L, co, nargs);
    return nargs;
}

static int co_resume(lua_State *L)
{
    lua_State *co = get_co(L);
    const char *refused = refusal(co);
    if (refused) {
        lua_pushboolean(L, 0);
        lua_pushstring(L, refused);
        return 2;
    }
    return resume_continue(L, give_arguments(L, co), 0, resume_k);
}

static int wrap_call(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_State *co = get_co(L);
    const char *refused = refusal(co);
    if (refused)
        return luaL_error(L, "%s", refused);
    return resume_continue(L, give_arguments(L, co), 1, resume_k);
}

static int co_wrap(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, wrap_call, 1);
    return 1;
}

/* The coroutine of a call is to scripts what the main one is elsewhere. */
static bool is_main(lua_State *L, lua_State *co)
{
    const plua_call *call = plua_state_of(L)->current;
    return call && co == call->co;
}

static int co_yield (lua_State *L)
{
    if (is_main(L, L))
        return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static int co_running(lua_State *L)
{
    int main = lua_pushthread(L);
    lua_pushboolean(L, main || is_main(L, L));
    return 2;
}

static int co_isyieldable(lua_State *L)
{
    lua_State *co = lua_isnone(L, 1) ? L : get_co(L);
    lua_pushboolean(L, lua_isyieldable(co) && !is_main(L, co));
    return 1;
}

static int co_status(lua_State *L)
{
    lua_pushstring(L, state_names[state_of(L, get_co(L))]);
    return 1;
}

static int co_close(lua_State *L)
{
    lua_State *co = get_co(L);
    co_state state = state_of(L, co);
    if (state != CO_DEAD && state != CO_SUSPENDED)
        return luaL_error(L, "cannot close a %s coroutine", state_names[state]);
    int status = close_co(L, co);
    plua_rethrow_fatal(L, status);
    lua_pushboolean(L, status == LUA_OK);
    if (status == LUA_OK)
        return 1;
    lua_xmove(co, L, 1);
    return 2;
}

void plua_open_coroutine(lua_State *L)
{
    static const luaL_Reg replaced[] = {
        {"resume", co_resume},           {"wrap", co_wrap},     {"yield", co_yield }, {"running", co_running},
        {"isyieldable", co_isyieldable}, {"status", co_status}, {"close", co_close},  {NULL, NULL}};
    plua_push_type(L, &(plua_type){.name = GUARD_TYPE, .close = guard_close});
    lua_pop(L, 1);
    luaopen_coroutine(L);
    luaL_setfuncs(L, replaced, 0);
}
