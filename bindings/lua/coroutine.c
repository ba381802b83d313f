/* SPDX-License-Identifier: MIT */
#include "bindings/lua/internal.h"

/* The coroutine library of scripts. It differs from the stock one in what it does with waiting: when a function inside a user's
 * coroutine waits, resume and wrap pass the yield on to the engine, and go on with the same coroutine when the wait is finished. So
 * user coroutines (iterators, generators) may call anything that waits. */

const char plua_wait_mark = 'w';

static bool is_wait(lua_State *co, int nresults)
{
    return nresults == 1 && lua_touserdata(co, -1) == (const void *)&plua_wait_mark;
}

static lua_State *get_co(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    return co;
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
    *waiting = status == LUA_YIELD && is_wait(co, *nresults);
    if (*waiting)
        lua_pop(co, 1);
    return status;
}

/* __close of the guard: the call is cancelled while the coroutine inside waits: close that, too. */
static int guard_close(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    lua_getiuservalue(L, 1, 1);
    lua_State *co = lua_tothread(L, -1);
    if (co && st->current && st->current->closing && lua_status(co) == LUA_YIELD)
        lua_resetthread(co);
    return 0;
}

/* Puts a guard for the coroutine at index 1 into slot 2 of the frame, once. */
static void guard_set(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TUSERDATA)
        return;
    lua_settop(L, 1);
    lua_newuserdatauv(L, 0, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    if (luaL_newmetatable(L, "perilune.coroutine.guard")) {
        lua_pushcfunction(L, guard_close);
        lua_setfield(L, -2, "__close");
    }
    lua_setmetatable(L, -2);
    lua_toclose(L, 2);
}

/* Moves co's results to L; false (and a message on L) when there are too many. */
static bool move_results(lua_State *L, lua_State *co, int nresults)
{
    if (!lua_checkstack(L, nresults + 1)) {
        lua_pop(co, nresults);
        lua_pushliteral(L, "too many results to resume");
        return false;
    }
    lua_xmove(co, L, nresults);
    return true;
}

/* frame: co [guard] */
static int resume_continue(lua_State *L, int nargs, lua_KContext wrap, lua_KFunction k)
{
    lua_State *co = lua_tothread(L, 1);
    int nresults = 0;
    bool waiting;
    int status = resume_step(L, co, nargs, &nresults, &waiting);
    if (waiting) {
        guard_set(L);
        return plua_wait_yield(L, wrap, k);
    }
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!wrap)
            lua_pushboolean(L, 1);
        if (!move_results(L, co, nresults))
            return luaL_error(L, "too many results to resume");
        return nresults + !wrap;
    }
    lua_xmove(co, L, 1); /* the error */
    plua_rethrow_fatal(L, status);
    if (!wrap) {
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushvalue(L, -1);
    lua_xmove(L, co, 1); /* closing wants the error object there */
    lua_resetthread(co);
    lua_settop(co, 0);
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int resume_k(lua_State *L, int status, lua_KContext wrap)
{
    return resume_continue(L, 0, wrap, resume_k);
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
    if (lua_status(co) == LUA_OK && lua_gettop(co) == 0) {
        lua_pushboolean(L, 0);
        lua_pushliteral(L, "cannot resume dead coroutine");
        return 2;
    }
    return resume_continue(L, give_arguments(L, co), 0, resume_k);
}

static int wrap_call(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_State *co = get_co(L);
    if (lua_status(co) == LUA_OK && lua_gettop(co) == 0)
        return luaL_error(L, "cannot resume dead coroutine");
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

static int co_yield(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    if (st->current && L == st->current->co)
        return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

void plua_open_coroutine(lua_State *L)
{
    static const luaL_Reg replaced[] = {{"resume", co_resume}, {"wrap", co_wrap}, {"yield", co_yield}, {NULL, NULL}};
    luaopen_coroutine(L);
    luaL_setfuncs(L, replaced, 0);
}
