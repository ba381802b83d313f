/* SPDX-License-Identifier: MIT */
#include "bindings/lua/internal.h"
#include "bindings/lua/message.h"

/* The globals of scripts: the standard library without what leaves the sandbox (io, os.execute, bytecode,
 * debug), and with those functions replaced that could catch an interruption or run without bound. */

void plua_rethrow_fatal(lua_State *L, int status)
{
    plua_state *st = plua_state_of(L);
    if (status != LUA_ERRMEM && !st->interrupted)
        return;
    st->hook_threw = false;
    plua_throw(L);
}

/* Goes on as the function that a wrapper replaces, in the same frame: see wrap. */
static int call_stock(lua_State *L)
{
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* --- pcall, xpcall: as in the manual, but memory errors and interruptions go through --- */
static int pcall_end(lua_State *L, int status, lua_KContext extra)
{
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - (int)extra;
    plua_rethrow_fatal(L, status);
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
}

static int base_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1); /* first result when all is well */
    lua_insert(L, 1);
    return pcall_end(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, pcall_end), 0);
}

static int base_xpcall(lua_State *L)
{
    int nargs = lua_gettop(L) - 2;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* stack: f handler true f args… */
    return pcall_end(L, lua_pcallk(L, nargs, LUA_MULTRET, 2, 2, pcall_end), 2);
}

/* --- load: text chunks only --- */
static bool is_memory_error(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TSTRING && strcmp(lua_tostring(L, index), "not enough memory") == 0;
}

static int base_load(lua_State *L)
{
    if (lua_gettop(L) < 3)
        lua_settop(L, 3);
    if (!strchr(luaL_optstring(L, 3, "t"), 't'))
        return luaL_error(L, "load: only text chunks can be loaded");
    lua_pushliteral(L, "t");
    lua_replace(L, 3);
    int n = call_stock(L);
    if (n == 2 && lua_isnil(L, -2)) /* the parser is a pcall */
        plua_rethrow_fatal(L, is_memory_error(L, -1) ? LUA_ERRMEM : LUA_ERRRUN);
    return n;
}

/* --- setmetatable: finalizers run where the watchdog cannot reach them --- */
static int base_setmetatable(lua_State *L)
{
    plua_message_unfold(L, 1);
    if (lua_type(L, 2) == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(
                L, "setmetatable: __gc is not available; use a to-be-closed variable (local x <close>)");
        lua_pop(L, 1);
    }
    return call_stock(L);
}

static int base_collectgarbage(lua_State *L)
{
    static const char *const options[] = {"count", "collect", "step", "isrunning", NULL};
    switch (luaL_checkoption(L, 1, "collect", options)) {
    case 0:
        lua_pushnumber(L, (lua_Number)plua_state_of(L)->used / 1024.0);
        return 1;
    case 3:
        lua_pushboolean(L, 1);
        return 1;
    default: /* the engine collects between requests */
        lua_pushinteger(L, 0);
        return 1;
    }
}

static int base_print(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    pl_log_write(plua_state_of(L)->config.log, PL_INFO, (pl_str){text, len}, NULL, 0);
    return 0;
}

/* --- loops in C that are as long as a script says, and may touch neither script code nor memory --- */
#define MAX_ELEMENTS 10000000

static void check_range(lua_State *L, lua_Integer from, lua_Integer to, const char *what)
{
    if (to >= from && (lua_Unsigned)to - (lua_Unsigned)from >= MAX_ELEMENTS)
        luaL_error(L, "%s: more than %d elements", what, MAX_ELEMENTS);
}

static int table_move(lua_State *L)
{
    check_range(L, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3), "table.move");
    return call_stock(L);
}

/* A table without a metatable is as long as it has memory for. */
static void check_length(lua_State *L, const char *what)
{
    if (luaL_getmetafield(L, 1, "__len") == LUA_TNIL)
        return;
    lua_pop(L, 1);
    check_range(L, 1, luaL_len(L, 1), what);
}

static int table_concat(lua_State *L)
{
    if (lua_gettop(L) > 3)
        check_range(L, luaL_optinteger(L, 3, 1), luaL_optinteger(L, 4, 0), "table.concat");
    check_length(L, "table.concat");
    return call_stock(L);
}

static int table_insert(lua_State *L)
{
    check_length(L, "table.insert");
    return call_stock(L);
}

static int table_remove(lua_State *L)
{
    check_length(L, "table.remove");
    return call_stock(L);
}

static int table_sort(lua_State *L)
{
    check_length(L, "table.sort");
    return call_stock(L);
}

static int string_rep(lua_State *L)
{
    size_t len, separator_len;
    luaL_checklstring(L, 1, &len);
    luaL_optlstring(L, 3, "", &separator_len);
    if (len + separator_len > 0)
        return call_stock(L);
    luaL_checkinteger(L, 2);
    lua_pushliteral(L, "");
    return 1;
}

/* stack: … library → … library, with library[name] wrapped: the stock function becomes upvalue 1 */
static void wrap(lua_State *L, const char *name, lua_CFunction fn)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, name);
}

static void remove_fields(lua_State *L, const char *const *names)
{
    for (; *names; names++) {
        lua_pushnil(L);
        lua_setfield(L, -2, *names);
    }
}

/* Keeps only the named fields of the library at the top of the stack. */
static void keep_fields(lua_State *L, const char *const *names)
{
    lua_newtable(L);
    for (; *names; names++) {
        lua_getfield(L, -2, *names);
        lua_setfield(L, -2, *names);
    }
    lua_remove(L, -2);
}

static void open_base(lua_State *L)
{
    static const luaL_Reg replaced[] = {
        {"pcall", base_pcall}, {"xpcall", base_xpcall},   {"collectgarbage", base_collectgarbage},
        {"print", base_print}, {"require", plua_require}, {NULL, NULL}};
    static const char *const removed[] = {"dofile", "loadfile", NULL};
    luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
    luaL_setfuncs(L, replaced, 0);
    wrap(L, "load", base_load);
    wrap(L, "setmetatable", base_setmetatable);
    plua_message_open(L);
    remove_fields(L, removed);
    lua_pop(L, 1);
}

static void open_string(lua_State *L)
{
    static const char *const removed[] = {"dump", NULL};
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1); /* sets the metatable of strings, too */
    remove_fields(L, removed);
    wrap(L, "rep", string_rep);
    plua_install_patterns(L);
    lua_pop(L, 1);
}

static void open_os(lua_State *L)
{
    static const char *const kept[] = {"clock", "date", "difftime", "getenv", "time", NULL};
    luaopen_os(L);
    keep_fields(L, kept);
    lua_setglobal(L, LUA_OSLIBNAME);
}

static void open_debug(lua_State *L)
{
    static const char *const kept[] = {"traceback", NULL};
    luaopen_debug(L);
    keep_fields(L, kept);
    lua_setglobal(L, LUA_DBLIBNAME);
}

void plua_open_globals(lua_State *L)
{
    open_base(L);
    open_string(L);
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
    wrap(L, "move", table_move);
    wrap(L, "concat", table_concat);
    wrap(L, "insert", table_insert);
    wrap(L, "remove", table_remove);
    wrap(L, "sort", table_sort);
    lua_pop(L, 1);
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 1);
    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 1);
    lua_pop(L, 2);
    open_os(L);
    open_debug(L);
    plua_open_coroutine(L);
    lua_setglobal(L, LUA_COLIBNAME);
    lua_newtable(L); /* package.loaded, which some pure Lua libraries look at */
    lua_rawgeti(L, LUA_REGISTRYINDEX, plua_state_of(L)->loaded);
    lua_setfield(L, -2, "loaded");
    lua_setglobal(L, LUA_LOADLIBNAME);
}
