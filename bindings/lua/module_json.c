/* SPDX-License-Identifier: MIT */
#include "bindings/lua/encode.h"
#include "value/json.h"

/* perilune.json. An arena and two buffers a state are used again and again, in one use at a time. Nothing
 * here calls back into Lua, but where scripts may have finalizers (not in the server), one can run whenever
 * memory is taken from Lua. It finds them busy, and makes others; so does the next use when a raised error
 * has left them. */

#define KEEP_BYTES 65536

typedef struct json_state {
    pl_arena arena;
    pl_buf compact, pretty;
    bool busy;
    bool closed; /* the Lua state ends, and nothing frees any more what is kept */
} json_state;

static void empty(json_state *st)
{
    pl_arena_dispose(&st->arena);
    pl_buf_dispose(&st->compact);
    pl_buf_dispose(&st->pretty);
    pl_arena_init(&st->arena, KEEP_BYTES / 4);
    pl_buf_init(&st->compact);
    pl_buf_init(&st->pretty);
}

static int state_gc(lua_State *L)
{
    json_state *st = lua_touserdata(L, 1);
    empty(st);
    st->closed = true;
    return 0;
}

static json_state *push_state(lua_State *L)
{
    json_state *st = lua_newuserdatauv(L, sizeof(*st), 0);
    memset(st, 0, sizeof(*st));
    pl_arena_init(&st->arena, KEEP_BYTES / 4);
    pl_buf_init(&st->compact);
    pl_buf_init(&st->pretty);
    plua_push_type(L, &(plua_type){.name = "perilune.json.state", .gc = state_gc});
    lua_setmetatable(L, -2);
    return st;
}

/* Pushes the state, which is to be held until `release`. The functions' upvalue is a table with it. */
static json_state *take(lua_State *L)
{
    lua_rawgeti(L, lua_upvalueindex(1), 1);
    json_state *st = lua_touserdata(L, -1);
    if (st->busy) {
        lua_pop(L, 1);
        st = push_state(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, lua_upvalueindex(1), 1);
    }
    st->busy = true;
    return st;
}

static void release(json_state *st)
{
    st->busy = false;
    if (st->closed)
        empty(st);
}

/* --- decode --- */

static void push_list(lua_State *L, const pl_value *v)
{
    size_t hint = v->list.count > 65536 ? 65536 : v->list.count;
    lua_createtable(L, (int)hint, 0);
    if (v->list.count == 0)
        plua_mark_list(L, -1);
    for (size_t i = 0; i < v->list.count; i++) {
        plua_push_json(L, &v->list.items[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_map(lua_State *L, const pl_value *v)
{
    size_t hint = v->map.count > 65536 ? 65536 : v->map.count;
    lua_createtable(L, 0, (int)hint);
    for (size_t i = 0; i < v->map.count; i++) {
        const pl_member *m = &v->map.members[i];
        lua_pushlstring(L, m->name.ptr, m->name.len);
        plua_push_json(L, &m->value);
        lua_rawset(L, -3);
    }
}

/* The reader has bounded the depth. */
void plua_push_json(lua_State *L, const pl_value *v)
{
    luaL_checkstack(L, 4, "too deep");
    switch (v->kind) {
    case PL_KIND_BOOL:
        lua_pushboolean(L, v->boolean);
        break;
    case PL_KIND_INT:
        lua_pushinteger(L, v->integer);
        break;
    case PL_KIND_FLOAT:
        lua_pushnumber(L, v->number);
        break;
    case PL_KIND_STRING:
        lua_pushlstring(L, v->string.ptr, v->string.len);
        break;
    case PL_KIND_LIST:
        push_list(L, v);
        break;
    case PL_KIND_MAP:
        push_map(L, v);
        break;
    default:
        plua_push_null(L);
    }
}

static int json_decode(lua_State *L)
{
    pl_str text;
    text.ptr = luaL_checklstring(L, 1, &text.len);
    json_state *st = take(L);
    pl_arena_reset(&st->arena);
    pl_value value;
    pl_error err;
    pl_error_clear(&err);
    if (pl_json_read(&st->arena, text, NULL, &value, &err)) {
        pl_arena_reset(&st->arena);
        release(st);
        return plua_raise(L, err.code, "%s", err.message);
    }
    plua_push_json(L, &value);
    pl_arena_reset(&st->arena);
    release(st);
    return 1;
}

/* --- encode --- */

static bool option(lua_State *L, int table, const char *name)
{
    if (lua_isnoneornil(L, table))
        return false;
    lua_getfield(L, table, name);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

static int json_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TTABLE);
    bool pretty = option(L, 2, "pretty");
    plua_encode_options options = {.sorted = option(L, 2, "sorted")};
    json_state *st = take(L);
    pl_buf_reset(&st->compact, KEEP_BYTES);
    pl_error err;
    pl_error_clear(&err);
    if (!plua_encode(L, 1, &options, &st->compact, &err)) {
        release(st);
        return plua_raise(L, err.code, "json.encode: %s", err.message);
    }
    pl_buf *out = &st->compact;
    if (pretty && !out->failed) {
        out = &st->pretty;
        pl_buf_reset(out, KEEP_BYTES);
        pl_json_pretty(out, pl_buf_view(&st->compact));
    }
    if (out->failed) {
        release(st);
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "json.encode: out of memory");
    }
    lua_pushlstring(L, out->data, out->len);
    release(st);
    return 1;
}

/* --- lists --- */

static int json_list(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (lua_getmetatable(L, 1)) {
        lua_pop(L, 1);
        if (!plua_has_list_mark(L, 1))
            return luaL_error(L, "json.list: the table has a metatable of its own");
        return 1;
    }
    plua_mark_list(L, 1);
    return 1;
}

static int json_is_list(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, lua_istable(L, 1) && (lua_rawlen(L, 1) > 0 || plua_has_list_mark(L, 1)));
    return 1;
}

int plua_open_json(lua_State *L)
{
    static const luaL_Reg functions[] = {{"decode", json_decode},
                                         {"encode", json_encode},
                                         {"list", json_list},
                                         {"is_list", json_is_list},
                                         {NULL, NULL}};
    luaL_newlibtable(L, functions);
    lua_createtable(L, 1, 0);
    push_state(L);
    lua_rawseti(L, -2, 1);
    luaL_setfuncs(L, functions, 1);
    plua_push_null(L);
    lua_setfield(L, -2, "null");
    return 1;
}
