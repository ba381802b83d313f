/* SPDX-License-Identifier: MIT */
#include "bindings/lua/encode.h"
#include "bindings/lua/message.h"

/* perilune.log. A line must never be the reason that a script fails: what cannot be written as it is, is
 * described. */

#define MOST_FIELDS 32

typedef struct line {
    lua_State *L;
    size_t count, left_out;
    pl_log_field fields[MOST_FIELDS + 2];
} line;

/* Orders by key, so that lines of one kind look alike. */
static pl_log_field *add_field(line *l, const char *key)
{
    size_t i = l->count++;
    while (i > 0 && strcmp(l->fields[i - 1].key, key) > 0) {
        l->fields[i] = l->fields[i - 1];
        i--;
    }
    l->fields[i] = (pl_log_field){.key = key};
    return &l->fields[i];
}

/* A string that stays on the Lua stack while the line is made. */
static pl_str as_json(lua_State *L, int index)
{
    static const plua_encode_options options = {.sorted = true, .lossy = true};
    pl_error err;
    pl_buf *buf = plua_push_buf(L);
    plua_encode(L, index, &options, buf, &err);
    return buf->failed ? PL_STR("<out of memory>") : pl_buf_view(buf);
}

static void set_field(line *l, pl_log_field *field, int index)
{
    lua_State *L = l->L;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        field->kind = PL_FIELD_BOOL;
        field->integer = lua_toboolean(L, index);
        break;
    case LUA_TNUMBER:
        field->kind = lua_isinteger(L, index) ? PL_FIELD_INT : PL_FIELD_FLOAT;
        field->integer = lua_tointeger(L, index);
        field->number = lua_tonumber(L, index);
        break;
    case LUA_TSTRING:
        field->str.ptr = lua_tolstring(L, index, &field->str.len);
        break;
    case LUA_TTABLE:
        field->str = as_json(L, index);
        break;
    case LUA_TFUNCTION:
        field->str = PL_STR("<function>");
        break;
    default:
        field->str = plua_is_null(L, index) ? PL_STR("null") : PL_STR("<userdata>");
    }
}

/* stack: message fields → message fields (key value buffer?)*; they are held, as a finalizer may change the
 * table meanwhile */
static void read_fields(line *l)
{
    lua_State *L = l->L;
    luaL_checkstack(L, 3 * MOST_FIELDS + 10, "too many fields");
    plua_message_unfold(L, 2);
    for (lua_pushnil(L); lua_next(L, 2);) {
        int key = lua_gettop(L) - 1;
        if (lua_type(L, key) != LUA_TSTRING || l->count == MOST_FIELDS) {
            l->left_out++;
            lua_pop(L, 1);
            continue;
        }
        set_field(l, add_field(l, lua_tostring(L, key)), key + 1);
        lua_pushvalue(L, key);
    }
}

static void add_request(line *l)
{
    const pl_work *work = plua_work(l->L);
    if (work && work->id.len > 0)
        l->fields[l->count++] = PL_F_STR("request_id", work->id);
    if (l->left_out > 0)
        l->fields[l->count++] = PL_F_INT("fields_left_out", l->left_out);
}

static int write_line(lua_State *L, pl_level level)
{
    if (lua_istable(L, 1) && lua_rawequal(L, 1, lua_upvalueindex(1))) /* log:info(…) is log.info(…) */
        lua_remove(L, 1);
    luaL_checkany(L, 1);
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TTABLE);
    pl_logger *logger = plua_log(L);
    if (!logger || !pl_log_enabled(logger, level))
        return 0;
    line l;
    l.L = L;
    l.count = l.left_out = 0;
    lua_settop(L, 2);
    pl_str message;
    luaL_tolstring(L, 1, NULL);
    lua_replace(L, 1);
    message.ptr = lua_tolstring(L, 1, &message.len);
    if (lua_istable(L, 2))
        read_fields(&l);
    add_request(&l);
    pl_log_write(logger, level, message, l.fields, l.count);
    return 0;
}

static int log_debug(lua_State *L)
{
    return write_line(L, PL_DEBUG);
}

static int log_info(lua_State *L)
{
    return write_line(L, PL_INFO);
}

static int log_warn(lua_State *L)
{
    return write_line(L, PL_WARN);
}

static int log_error(lua_State *L)
{
    return write_line(L, PL_ERROR);
}

int plua_open_log(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"debug", log_debug}, {"info", log_info}, {"warn", log_warn}, {"error", log_error}, {NULL, NULL}};
    luaL_newlibtable(L, functions);
    lua_pushvalue(L, -1);
    luaL_setfuncs(L, functions, 1);
    return 1;
}
