/* SPDX-License-Identifier: MIT */
#include "bindings/lua/message.h"

#include "base/format.h"
#include "bindings/lua/internal.h"

/* The table has one member, which scripts cannot name: a userdata with what is behind all fields, whose user
 * value are the headers once they were read. Its metatable is the same for all. */
static const char private_key = 'm';

typedef struct packed {
    int64_t offset, timestamp;
    int32_t partition;
    unsigned attempt;
    size_t key, value, topic; /* lengths; NO_BYTES: none */
    size_t header_count;
    char bytes[]; /* key, value, topic; of each header the lengths of name and value, and both */
} packed;

#define NO_BYTES SIZE_MAX

/* --- packing --- */
static char *put(char *at, pl_str s)
{
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static size_t bytes_of(const pl_event_message *m)
{
    size_t bytes = m->key.len + m->value.len + m->topic.len;
    for (size_t i = 0; i < m->header_count; i++)
        bytes += 2 * sizeof(size_t) + m->headers[i].name.len + m->headers[i].value.len;
    return bytes;
}

static void pack(packed *p, const pl_event_message *m)
{
    *p = (packed){.offset = m->offset,
                  .timestamp = m->timestamp,
                  .partition = m->partition,
                  .attempt = m->attempt,
                  .key = m->key.ptr ? m->key.len : NO_BYTES,
                  .value = m->value.ptr ? m->value.len : NO_BYTES,
                  .topic = m->topic.len,
                  .header_count = m->header_count};
    char *at = put(put(put(p->bytes, m->key), m->value), m->topic);
    for (size_t i = 0; i < m->header_count; i++) {
        size_t lengths[] = {m->headers[i].name.len, m->headers[i].value.len};
        at = put(at, (pl_str){(const char *)lengths, sizeof lengths});
        at = put(put(at, m->headers[i].name), m->headers[i].value);
    }
}

/* --- fields --- */
static const char *const names[] = {"key",       "value",   "topic",   "partition", "offset",
                                    "timestamp", "attempt", "headers", "id",        NULL};

static size_t length(size_t len)
{
    return len == NO_BYTES ? 0 : len;
}

static void push_bytes(lua_State *L, const char *bytes, size_t len)
{
    if (len == NO_BYTES)
        lua_pushnil(L);
    else
        lua_pushlstring(L, bytes, len);
}

static void push_id(lua_State *L, const packed *p)
{
    char place[2 * (1 + PL_FORMAT_INT_MAX)];
    size_t n = 0;
    place[n++] = '/';
    n += pl_format_int(place + n, p->partition);
    place[n++] = '/';
    n += pl_format_int(place + n, p->offset);
    lua_pushlstring(L, p->bytes + length(p->key) + length(p->value), p->topic);
    lua_pushlstring(L, place, n);
    lua_concat(L, 2);
}

/* Of headers with the same name the last one counts. */
static void push_headers(lua_State *L, const packed *p, int userdata)
{
    if (lua_getiuservalue(L, userdata, 1) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, p->header_count > 1000 ? 1000 : (int)p->header_count);
    const char *at = p->bytes + length(p->key) + length(p->value) + p->topic;
    for (size_t i = 0; i < p->header_count; i++) {
        size_t lengths[2];
        memcpy(lengths, at, sizeof lengths);
        at += sizeof lengths;
        lua_pushlstring(L, at, lengths[0]);
        lua_pushlstring(L, at + lengths[0], lengths[1]);
        lua_rawset(L, -3);
        at += lengths[0] + lengths[1];
    }
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, userdata, 1);
}

/* Pushes the field, nil where there is none of that name. The userdata is at the absolute index. */
static void push_field(lua_State *L, const char *name, int userdata)
{
    const packed *p = lua_touserdata(L, userdata);
    if (strcmp(name, "key") == 0)
        push_bytes(L, p->bytes, p->key);
    else if (strcmp(name, "value") == 0)
        push_bytes(L, p->bytes + length(p->key), p->value);
    else if (strcmp(name, "topic") == 0)
        lua_pushlstring(L, p->bytes + length(p->key) + length(p->value), p->topic);
    else if (strcmp(name, "offset") == 0)
        lua_pushinteger(L, p->offset);
    else if (strcmp(name, "partition") == 0)
        lua_pushinteger(L, p->partition);
    else if (strcmp(name, "attempt") == 0)
        lua_pushinteger(L, p->attempt);
    else if (strcmp(name, "timestamp") == 0 && p->timestamp >= 0)
        lua_pushnumber(L, (lua_Number)p->timestamp / 1000.0);
    else if (strcmp(name, "headers") == 0)
        push_headers(L, p, userdata);
    else if (strcmp(name, "id") == 0)
        push_id(L, p);
    else
        lua_pushnil(L);
}

/* --- the table --- */
static int message_index(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_type(L, 2) != LUA_TSTRING || lua_rawgetp(L, 1, &private_key) != LUA_TUSERDATA)
        return 0;
    push_field(L, lua_tostring(L, 2), 3);
    return 1;
}

bool plua_message_has(lua_State *L, int index)
{
    bool has = lua_rawgetp(L, index, &private_key) == LUA_TUSERDATA;
    lua_pop(L, 1);
    return has;
}

bool plua_message_get(lua_State *L, int index)
{
    int key = lua_gettop(L);
    if (plua_message_has(L, index)) {
        lua_pushvalue(L, index);
        lua_insert(L, key);
        lua_pushcfunction(L, message_index);
        lua_insert(L, key);
        if (lua_pcall(L, 2, 1, 0) == LUA_OK)
            return true;
    }
    lua_settop(L, key - 1);
    return false;
}

void plua_message_unfold(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index))
        return;
    lua_pop(L, 1);
    index = lua_absindex(L, index);
    luaL_checkstack(L, 8, NULL);
    if (lua_rawgetp(L, index, &private_key) != LUA_TUSERDATA) {
        lua_pop(L, 1);
        return;
    }
    int userdata = lua_gettop(L);
    for (const char *const *name = names; *name; name++) {
        lua_pushstring(L, *name);
        push_field(L, *name, userdata);
        lua_rawset(L, index);
    }
    lua_pushnil(L);
    lua_rawsetp(L, index, &private_key);
    lua_pushnil(L);
    lua_setmetatable(L, index);
    lua_settop(L, userdata - 1);
}

static int message_newindex(lua_State *L)
{
    lua_settop(L, 3);
    plua_message_unfold(L, 1);
    lua_rawset(L, 1);
    return 0;
}

/* upvalue: next */
static int message_pairs(lua_State *L)
{
    lua_settop(L, 1);
    plua_message_unfold(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_pushnil(L);
    return 3;
}

void plua_push_message(pl_state *state, const pl_event_message *m)
{
    plua_state *st = plua_cast(state);
    lua_State *L = st->L;
    lua_createtable(L, 0, 1);
    pack(lua_newuserdatauv(L, sizeof(packed) + bytes_of(m), 1), m);
    lua_rawsetp(L, -2, &private_key);
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->message_meta);
    lua_setmetatable(L, -2);
}

/* --- functions that do without metamethods; upvalue: the stock one --- */
static int call_stock(lua_State *L)
{
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int base_next(lua_State *L)
{
    if (lua_isnoneornil(L, 2))
        plua_message_unfold(L, 1);
    return call_stock(L);
}

static int base_raw(lua_State *L)
{
    plua_message_unfold(L, 1);
    return call_stock(L);
}

static void wrap(lua_State *L, const char *name, lua_CFunction fn)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, name);
}

void plua_message_open(lua_State *L)
{
    lua_createtable(L, 0, 4); /* stack: library metatable */
    lua_pushcfunction(L, message_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, message_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_getfield(L, -2, "next");
    lua_pushcclosure(L, message_pairs, 1);
    lua_setfield(L, -2, "__pairs");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    plua_state_of(L)->message_meta = luaL_ref(L, LUA_REGISTRYINDEX);
    wrap(L, "next", base_next);
    wrap(L, "rawget", base_raw);
    wrap(L, "rawset", base_raw);
}
