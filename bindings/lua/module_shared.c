/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "bindings/lua/encode.h"
#include "value/json.h"
#include "value/shared.h"

/* perilune.shared: dictionaries of all workers. Strings are stored as they are; a table (or null) is stored
 * as a string that begins with a zero byte and "j", followed by its JSON; a string that itself begins with a
 * zero byte gets "\0s" before it. */

#define TYPE "perilune.shared.dict"
#define MOST_KEY 1024

typedef struct dict {
    pl_shared_dict *shared; /* lives longer than the state */
    pl_arena arena; /* of the running function; cleared by the next one, whatever way this one is left */
    pl_buf text;
} dict;

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static dict *check_dict(lua_State *L)
{
    dict *d = luaL_checkudata(L, 1, TYPE);
    pl_arena_reset(&d->arena);
    pl_buf_reset(&d->text, 4096);
    return d;
}

static pl_str check_key(lua_State *L)
{
    pl_str key;
    key.ptr = luaL_checklstring(L, 2, &key.len);
    luaL_argcheck(L, key.len <= MOST_KEY, 2, "a key of more than 1024 bytes");
    return key;
}

/* options.ttl at index, in milliseconds; 0 is none. */
static uint64_t check_ttl(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return 0;
    luaL_checktype(L, index, LUA_TTABLE);
    if (lua_getfield(L, index, "ttl") == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    lua_Number seconds = lua_tonumber(L, -1);
    luaL_argcheck(L, seconds > 0 && seconds <= 1e10, index, "ttl is not a positive number of seconds");
    lua_pop(L, 1);
    return (uint64_t)ceil(seconds * 1000);
}

static int raise(lua_State *L, pl_code code)
{
    switch (code) {
    case PL_RESOURCE_EXHAUSTED:
        return plua_raise(L, code,
                          "shared: the value is larger than an eighth of the dictionary, or memory is short");
    case PL_FAILED_PRECONDITION:
        return plua_raise(L, code, "shared: the value is not a number");
    case PL_OUT_OF_RANGE:
        return plua_raise(L, code, "shared: the sum is out of the range of integers");
    default:
        return plua_raise(L, code, "shared: %s", pl_code_name(code));
    }
}

/* --- values --- */

static void take_string(lua_State *L, dict *d, pl_value *out)
{
    out->kind = PL_KIND_STRING;
    out->string.ptr = lua_tolstring(L, 3, &out->string.len);
    if (out->string.len == 0 || out->string.ptr[0] != '\0')
        return;
    pl_buf_append(&d->text, "\0s", 2);
    pl_buf_str(&d->text, out->string);
    out->string = pl_buf_view(&d->text);
}

static void take_json(lua_State *L, dict *d, pl_value *out)
{
    static const plua_encode_options options = {false, false};
    pl_error err;
    pl_error_clear(&err);
    pl_buf_append(&d->text, "\0j", 2);
    if (!plua_encode(L, 3, &options, &d->text, &err))
        plua_raise(L, err.code, "shared: %s", err.message);
    out->kind = PL_KIND_STRING;
    out->string = pl_buf_view(&d->text);
}

/* Argument 3 as a value; its strings are on the Lua stack or in d->text. */
static pl_value check_value(lua_State *L, dict *d)
{
    pl_value v = {.kind = PL_KIND_ABSENT};
    switch (lua_type(L, 3)) {
    case LUA_TBOOLEAN:
        v.kind = PL_KIND_BOOL;
        v.boolean = lua_toboolean(L, 3);
        break;
    case LUA_TNUMBER:
        v.kind = lua_isinteger(L, 3) ? PL_KIND_INT : PL_KIND_FLOAT;
        if (v.kind == PL_KIND_INT)
            v.integer = lua_tointeger(L, 3);
        else
            v.number = lua_tonumber(L, 3);
        break;
    case LUA_TSTRING:
        take_string(L, d, &v);
        break;
    case LUA_TNIL:
    case LUA_TNONE:
        luaL_argerror(L, 3, "nil cannot be stored: use delete");
        break;
    default:
        take_json(L, d, &v);
    }
    if (d->text.failed)
        raise(L, PL_RESOURCE_EXHAUSTED);
    return v;
}

static int push_string(lua_State *L, dict *d, pl_str s)
{
    if (s.len < 2 || s.ptr[0] != '\0' || s.ptr[1] == 's') {
        size_t skip = s.len >= 2 && s.ptr[0] == '\0' ? 2 : 0;
        lua_pushlstring(L, s.ptr + skip, s.len - skip);
        return 1;
    }
    /* The decoder of perilune.json makes the tables. */
    lua_getiuservalue(L, 1, 1);
    lua_pushlstring(L, s.ptr + 2, s.len - 2);
    lua_call(L, 1, 1);
    return 1;
}

static int push_value(lua_State *L, dict *d, const pl_value *v)
{
    switch (v->kind) {
    case PL_KIND_BOOL:
        lua_pushboolean(L, v->boolean);
        return 1;
    case PL_KIND_INT:
        lua_pushinteger(L, v->integer);
        return 1;
    case PL_KIND_FLOAT:
        lua_pushnumber(L, v->number);
        return 1;
    default:
        return push_string(L, d, v->string);
    }
}

/* --- methods --- */

static int dict_get(lua_State *L)
{
    dict *d = check_dict(L);
    pl_value v;
    pl_code code = pl_shared_get(d->shared, check_key(L), now_ms(), &d->arena, &v);
    if (code == PL_NOT_FOUND) {
        lua_pushnil(L);
        return 1;
    }
    return code ? raise(L, code) : push_value(L, d, &v);
}

static int dict_set(lua_State *L)
{
    dict *d = check_dict(L);
    pl_str key = check_key(L);
    uint64_t ttl = check_ttl(L, 4);
    pl_value v = check_value(L, d);
    pl_code code = pl_shared_set(d->shared, key, &v, now_ms(), ttl);
    return code ? raise(L, code) : 0;
}

static int dict_add(lua_State *L)
{
    dict *d = check_dict(L);
    pl_str key = check_key(L);
    uint64_t ttl = check_ttl(L, 4);
    pl_value v = check_value(L, d);
    pl_code code = pl_shared_add(d->shared, key, &v, now_ms(), ttl);
    if (code && code != PL_ALREADY_EXISTS)
        return raise(L, code);
    lua_pushboolean(L, code == PL_OK);
    return 1;
}

static pl_value check_number(lua_State *L, int index, const char *what)
{
    if (lua_type(L, index) != LUA_TNUMBER)
        luaL_error(L, "shared: %s is no number", what);
    if (lua_isinteger(L, index))
        return (pl_value){.kind = PL_KIND_INT, .integer = lua_tointeger(L, index)};
    return (pl_value){.kind = PL_KIND_FLOAT, .number = lua_tonumber(L, index)};
}

static int dict_incr(lua_State *L)
{
    dict *d = check_dict(L);
    pl_str key = check_key(L);
    pl_value by = {.kind = PL_KIND_INT, .integer = 1}, initial = {.kind = PL_KIND_INT}, sum;
    if (!lua_isnoneornil(L, 3))
        by = check_number(L, 3, "the increment");
    uint64_t ttl = check_ttl(L, 4);
    if (!lua_isnoneornil(L, 4)) {
        if (lua_getfield(L, 4, "initial") != LUA_TNIL)
            initial = check_number(L, -1, "initial");
        lua_pop(L, 1);
    }
    pl_code code = pl_shared_incr(d->shared, key, &by, &initial, now_ms(), ttl, &sum);
    return code ? raise(L, code) : push_value(L, d, &sum);
}

static int dict_delete(lua_State *L)
{
    dict *d = check_dict(L);
    lua_pushboolean(L, pl_shared_delete(d->shared, check_key(L)));
    return 1;
}

static int dict_clear(lua_State *L)
{
    pl_shared_clear(check_dict(L)->shared);
    return 0;
}

static int dict_stats(lua_State *L)
{
    pl_shared_stats stats = pl_shared_dict_stats(check_dict(L)->shared);
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, (lua_Integer)stats.entries);
    lua_setfield(L, -2, "entries");
    lua_pushinteger(L, (lua_Integer)stats.bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushinteger(L, (lua_Integer)stats.capacity);
    lua_setfield(L, -2, "capacity");
    lua_pushinteger(L, (lua_Integer)stats.evictions);
    lua_setfield(L, -2, "evictions");
    return 1;
}

static int dict_gc(lua_State *L)
{
    dict *d = luaL_checkudata(L, 1, TYPE);
    pl_arena_dispose(&d->arena);
    pl_buf_dispose(&d->text);
    return 0;
}

/* --- shared.dict --- */

/* "16MB" or a number of bytes. */
static size_t parse_capacity(lua_State *L, int index)
{
    static const struct {
        const char *unit;
        lua_Number factor;
    } units[] = {{"", 1}, {"B", 1}, {"KB", 1024}, {"MB", 1048576}, {"GB", 1073741824}};
    lua_Number n = -1;
    if (lua_type(L, index) == LUA_TNUMBER) {
        n = lua_tonumber(L, index);
    } else if (lua_type(L, index) == LUA_TSTRING) {
        char *rest;
        double count = strtod(lua_tostring(L, index), &rest);
        rest += strspn(rest, " ");
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            if (strcmp(rest, units[i].unit) == 0 && rest != lua_tostring(L, index))
                n = count * units[i].factor;
        }
    }
    if (!(n >= 4096 && n <= 1e12))
        luaL_error(L, "shared.dict: capacity is not a number of bytes from 4096 on, or a text as \"16MB\"");
    return (size_t)n;
}

static size_t check_capacity(lua_State *L)
{
    if (lua_isnoneornil(L, 2))
        return 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t capacity = 0;
    if (lua_getfield(L, 2, "capacity") != LUA_TNIL)
        capacity = parse_capacity(L, lua_gettop(L));
    lua_pop(L, 1);
    return capacity;
}

/* upvalue: json.decode */
static int shared_dict(lua_State *L)
{
    pl_str name;
    name.ptr = luaL_checklstring(L, 1, &name.len);
    luaL_argcheck(L, name.len > 0 && name.len <= 256, 1, "a name of 1 to 256 bytes is expected");
    size_t capacity = check_capacity(L);
    pl_shared *shared = plua_config(L)->shared;
    if (!shared)
        return luaL_error(L, "shared.dict: there are no shared dictionaries where this runs");
    dict *d = lua_newuserdatauv(L, sizeof(*d), 1);
    memset(d, 0, sizeof(*d));
    pl_arena_init(&d->arena, 1024);
    pl_buf_init(&d->text);
    luaL_setmetatable(L, TYPE);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setiuservalue(L, -2, 1);
    d->shared = pl_shared_dict_get(shared, name, capacity);
    if (!d->shared)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "shared.dict: no more than 256 dictionaries can be made");
    return 1;
}

int plua_open_shared(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"get", dict_get},       {"set", dict_set},     {"add", dict_add},     {"incr", dict_incr},
        {"delete", dict_delete}, {"clear", dict_clear}, {"stats", dict_stats}, {NULL, NULL}};
    plua_push_type(L, &(plua_type){.name = TYPE, .gc = dict_gc, .methods = methods});
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    plua_open_json(L);
    lua_getfield(L, -1, "decode");
    lua_remove(L, -2);
    lua_pushcclosure(L, shared_dict, 1);
    lua_setfield(L, -2, "dict");
    return 1;
}
