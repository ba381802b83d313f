/* SPDX-License-Identifier: MIT */
#include "bindings/lua/internal.h"

/* perilune.cache, which is ctx.cache, too: hints on how long a response may be cached, and purges. Its
 * functions may be called as methods: the module is left out of the arguments then. */

static void drop_self(lua_State *L)
{
    if (lua_rawequal(L, 1, lua_upvalueindex(1)))
        lua_remove(L, 1);
}

/* Whether there is a field of that name, which is pushed then. */
static bool get_field(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

static void check_names(lua_State *L, const char *what, const char *const *names)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        const char *const *known = names;
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        while (*known && strcmp(*known, name) != 0)
            known++;
        if (!*known)
            luaL_error(L, "%s: there is no option \"%s\"", what, name);
        lua_pop(L, 1);
    }
}

/* --- hint{ max_age = 60, scope = "PRIVATE" } --- */
static void read_max_age(lua_State *L, pl_cache_hint *hint)
{
    int whole;
    lua_Integer age = lua_tointegerx(L, -1, &whole);
    if (!whole || lua_type(L, -1) != LUA_TNUMBER || age < 0)
        luaL_error(L, "cache.hint: max_age must be a whole number of seconds, from 0");
    hint->has_max_age = true;
    hint->max_age = age < INT32_MAX ? (uint32_t)age : INT32_MAX;
}

static void read_scope(lua_State *L, pl_cache_hint *hint)
{
    const char *scope = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    hint->is_private = strcmp(scope, "PRIVATE") == 0;
    if (!hint->is_private && strcmp(scope, "PUBLIC") != 0)
        luaL_error(L, "cache.hint: scope must be \"PUBLIC\" or \"PRIVATE\"");
    hint->has_scope = true;
}

static int cache_hint(lua_State *L)
{
    static const char *const names[] = {"max_age", "scope", NULL};
    pl_cache_hint hint = {0};
    plua_call *call = plua_state_of(L)->current;
    drop_self(L);
    check_names(L, "cache.hint", names);
    if (get_field(L, "max_age"))
        read_max_age(L, &hint);
    if (get_field(L, "scope"))
        read_scope(L, &hint);
    if (call && call->work && call->work->cache)
        call->work->cache->hint(call->work->cache, call->field, &hint, &call->cache_hints);
    return 0;
}

/* --- purge{ type = "User", id = "42" } --- */
static int purge(lua_State *L, pl_str type, pl_str id)
{
    pl_host *host = plua_host(L);
    pl_error err;
    pl_error_clear(&err);
    size_t dropped = 0;
    if (!host)
        return luaL_error(L, "cache.purge: there is nothing to purge while files are loaded");
    if (host->ops->purge && host->ops->purge(host, type, id, &dropped, &err) != PL_OK)
        return plua_raise(L, err.code == PL_NOT_FOUND ? PL_INVALID_ARGUMENT : err.code, "cache.purge: %s",
                          err.message);
    lua_pushinteger(L, (lua_Integer)dropped);
    return 1;
}

static pl_str to_str(lua_State *L)
{
    pl_str s;
    s.ptr = lua_tolstring(L, -1, &s.len);
    return s;
}

static int cache_purge(lua_State *L)
{
    static const char *const names[] = {"type", "id", NULL};
    pl_str type, id = PL_STR_NONE;
    drop_self(L);
    check_names(L, "cache.purge", names);
    if (!get_field(L, "type") || lua_type(L, -1) != LUA_TSTRING)
        return luaL_error(L,
                          "cache.purge: type must be the name of a type; cache.purge_all() drops everything");
    type = to_str(L);
    if (get_field(L, "id")) {
        if (lua_type(L, -1) != LUA_TSTRING && !lua_isinteger(L, -1))
            return luaL_error(L, "cache.purge: id must be a string or a whole number");
        id = to_str(L);
    }
    return purge(L, type, id);
}

static int cache_purge_all(lua_State *L)
{
    return purge(L, PL_STR_NONE, PL_STR_NONE);
}

int plua_open_cache(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"hint", cache_hint}, {"purge", cache_purge}, {"purge_all", cache_purge_all}, {NULL, NULL}};
    luaL_newlibtable(L, functions);
    lua_pushvalue(L, -1);
    luaL_setfuncs(L, functions, 1); /* the module itself is their upvalue */
    return 1;
}
