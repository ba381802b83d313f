/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "bindings/lua/internal.h"

/* What the modules need that has to do with values alone, not with calls, limits or a loop. It serves both
 * kinds of states: the server's (state.c), and those of other programs, which load modules by plain/. */

const char plua_null_mark = 'n';

int plua_open_core(lua_State *L)
{
    lua_newtable(L);
    plua_push_null(L);
    lua_setfield(L, -2, "null");
    lua_pushliteral(L, PL_VERSION);
    lua_setfield(L, -2, "version");
    return 1;
}

int plua_new_list_mark(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "perilune.list");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0); /* shared by all lists: not for scripts to change */
    lua_setfield(L, -2, "__metatable");
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

void plua_mark_list(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    lua_rawgeti(L, LUA_REGISTRYINDEX, plua_of(L)->list_meta);
    lua_setmetatable(L, index);
}

void plua_push_failure(lua_State *L, pl_code code, pl_str message)
{
    lua_createtable(L, 0, 3);
    lua_pushstring(L, pl_code_name(code));
    lua_setfield(L, -2, "code");
    lua_pushlstring(L, message.ptr, message.len);
    lua_setfield(L, -2, "message");
    lua_rawgeti(L, LUA_REGISTRYINDEX, plua_of(L)->error_meta);
    lua_pushliteral(L, "__gc"); /* scripts can reach this metatable: no finalizer of theirs comes in here */
    lua_pushnil(L);
    lua_rawset(L, -3);
    lua_setmetatable(L, -2);
}

int plua_raise(lua_State *L, pl_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char text[1024];
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0)
        n = 0;
    plua_push_failure(L, code, (pl_str){text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1});
    return lua_error(L);
}

/* --- protected sections --- */
typedef struct section {
    void (*fn)(void *data);
    void *data;
} section;

static int run_section(lua_State *L)
{
    section *s = lua_touserdata(L, 1);
    lua_settop(L, 0);
    s->fn(s->data);
    return 0;
}

/* section value → value */
static int run_section_with(lua_State *L)
{
    section *s = lua_touserdata(L, 1);
    lua_remove(L, 1);
    s->fn(s->data);
    return 0;
}

/* section → the value at the top */
static int run_section_push(lua_State *L)
{
    section *s = lua_touserdata(L, 1);
    lua_settop(L, 0);
    s->fn(s->data);
    return lua_gettop(L) > 0 ? 1 : 0;
}

/* stack: … function section arguments → … results */
static bool call_section(lua_State *L, int nargs, int nresults, pl_error *err)
{
    if (lua_pcall(L, nargs, nresults, 0) == LUA_OK)
        return true;
    const char *message = lua_tostring(L, -1);
    pl_fail(err, PL_RESOURCE_EXHAUSTED, "%s", message ? message : "the script engine failed");
    lua_pop(L, 1);
    return false;
}

static bool has_room(plua_state *st, pl_error *err)
{
    bool ok = lua_checkstack(st->L, 4);
    if (!ok)
        pl_fail_memory(err);
    return ok;
}

bool plua_protect(pl_state *state, void (*fn)(void *data), void *data, pl_error *err)
{
    plua_state *st = plua_cast(state);
    section s = {fn, data};
    if (!has_room(st, err))
        return false;
    lua_pushcfunction(st->L, run_section);
    lua_pushlightuserdata(st->L, &s);
    return call_section(st->L, 1, 0, err);
}

bool plua_protect_with(pl_state *state, pl_slot slot, void (*fn)(void *data), void *data, pl_error *err)
{
    plua_state *st = plua_cast(state);
    section s = {fn, data};
    if (!has_room(st, err))
        return false;
    lua_pushcfunction(st->L, run_section_with);
    lua_pushlightuserdata(st->L, &s);
    lua_pushvalue(st->L, slot);
    return call_section(st->L, 2, 0, err);
}

bool plua_protect_push(pl_state *state, void (*fn)(void *data), void *data, pl_error *err)
{
    plua_state *st = plua_cast(state);
    section s = {fn, data};
    if (!has_room(st, err))
        return false;
    lua_pushcfunction(st->L, run_section_push);
    lua_pushlightuserdata(st->L, &s);
    return call_section(st->L, 1, 1, err);
}
