/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "bindings/lua/message.h"
#include "bindings/lua/sqlite.h"

#define BLOB_TYPE "perilune.sqlite.blob"
#define MOST_PARAMETERS 32766 /* SQLite's own limit */

/* --- parameters --- */

int sq_blob(lua_State *L)
{
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_newuserdatauv(L, 0, 1);
    lua_insert(L, 1);
    lua_setiuservalue(L, 1, 1);
    plua_push_type(L, &(plua_type){.name = BLOB_TYPE});
    lua_setmetatable(L, 1);
    return 1;
}

static int no_memory(lua_State *L)
{
    return plua_raise(L, PL_RESOURCE_EXHAUSTED, "sqlite: out of memory");
}

/* The string at the top, copied, and popped. */
static pl_str copy_string(lua_State *L, sq_operation *op)
{
    pl_str s;
    s.ptr = lua_tolstring(L, -1, &s.len);
    s = pl_arena_str(&op->arena, s);
    if (!s.ptr)
        no_memory(L);
    lua_pop(L, 1);
    return s;
}

/* The value at the top, which is popped; which names it for the message. */
static void take_value(lua_State *L, sq_operation *op, sq_parameter *p, const char *which)
{
    pl_value *v = &p->value;
    switch (lua_type(L, -1)) {
    case LUA_TNIL:
        v->kind = PL_KIND_NULL;
        break;
    case LUA_TBOOLEAN:
        v->kind = PL_KIND_BOOL;
        v->boolean = lua_toboolean(L, -1);
        break;
    case LUA_TNUMBER:
        v->kind = lua_isinteger(L, -1) ? PL_KIND_INT : PL_KIND_FLOAT;
        if (v->kind == PL_KIND_INT)
            v->integer = lua_tointeger(L, -1);
        else
            v->number = lua_tonumber(L, -1);
        break;
    case LUA_TSTRING:
        v->kind = PL_KIND_STRING;
        v->string = copy_string(L, op);
        return;
    default:
        if (plua_is_null(L, -1)) {
            v->kind = PL_KIND_NULL;
        } else if (luaL_testudata(L, -1, BLOB_TYPE)) {
            v->kind = PL_KIND_STRING;
            p->blob = true;
            lua_getiuservalue(L, -1, 1);
            v->string = copy_string(L, op);
        } else {
            luaL_error(L, "sqlite: parameter %s is a %s", which, luaL_typename(L, -1));
        }
    }
    lua_pop(L, 1);
}

static void make_room(lua_State *L, sq_operation *op, size_t count)
{
    if (count > MOST_PARAMETERS)
        luaL_error(L, "sqlite: more than %d parameters", MOST_PARAMETERS);
    op->parameters = pl_arena_array(&op->arena, count, sizeof(*op->parameters));
    if (!op->parameters)
        no_memory(L);
    op->parameter_count = count;
}

static void take_position(lua_State *L, sq_operation *op, size_t i)
{
    char which[24];
    snprintf(which, sizeof(which), "%zu", i + 1);
    take_value(L, op, &op->parameters[i], which);
}

/* stack: … table */
static void take_list(lua_State *L, sq_operation *op, size_t count)
{
    make_room(L, op, count);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        take_position(L, op, i);
    }
}

static void take_named(lua_State *L, sq_operation *op, size_t count)
{
    op->named = true;
    make_room(L, op, count);
    size_t i = 0;
    for (lua_pushnil(L); lua_next(L, -2); i++) {
        sq_parameter *p = &op->parameters[i];
        const char *name = lua_tostring(L, -2);
        lua_pushvalue(L, -2);
        p->name = copy_string(L, op);
        take_value(L, op, p, name);
    }
}

/* A table: with names, or a list. */
static void take_table(lua_State *L, sq_operation *op)
{
    size_t names = 0;
    lua_Integer last = 0;
    plua_message_unfold(L, -1);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
        if (lua_type(L, -2) == LUA_TSTRING)
            names++;
        else if (key < 1 || key > MOST_PARAMETERS)
            luaL_error(L, "sqlite: a table of parameters has a key that is neither a name nor a position");
        else if (key > last)
            last = key;
    }
    if (names > 0 && last > 0)
        luaL_error(L, "sqlite: a table of parameters has names and positions");
    if (last > 0)
        take_list(L, op, (size_t)last);
    else
        take_named(L, op, names); /* an empty table: all names are nil */
}

void sq_take_parameters(lua_State *L, sq_operation *op, int first)
{
    int count = lua_gettop(L) - first; /* the operation itself is at the top */
    luaL_checkstack(L, 8, "sqlite");
    if (count == 1 && lua_istable(L, first)) {
        lua_pushvalue(L, first);
        take_table(L, op);
        lua_pop(L, 1);
        return;
    }
    make_room(L, op, (size_t)count);
    for (int i = 0; i < count; i++) {
        lua_pushvalue(L, first + i);
        take_position(L, op, (size_t)i);
    }
}

/* --- results --- */

static uint32_t read_size(const char **p)
{
    uint32_t size;
    memcpy(&size, *p, sizeof(size));
    *p += sizeof(size);
    return size;
}

/* Pushes the value at *p; false (and nothing) when it is NULL. */
static bool push_value(lua_State *L, const char **p)
{
    switch (*(*p)++) {
    case SQ_TAG_INT: {
        int64_t integer;
        memcpy(&integer, *p, sizeof(integer));
        *p += sizeof(integer);
        lua_pushinteger(L, integer);
        return true;
    }
    case SQ_TAG_FLOAT: {
        double number;
        memcpy(&number, *p, sizeof(number));
        *p += sizeof(number);
        lua_pushnumber(L, number);
        return true;
    }
    case SQ_TAG_BYTES: {
        uint32_t size = read_size(p);
        lua_pushlstring(L, *p, size);
        *p += size;
        return true;
    }
    default:
        return false;
    }
}

/* stack: names of the columns, from index names on */
static void push_row(lua_State *L, const sq_operation *op, int names, const char **p)
{
    lua_createtable(L, 0, (int)op->column_count);
    for (size_t i = 0; i < op->column_count; i++) {
        lua_pushvalue(L, names + (int)i);
        if (push_value(L, p))
            lua_rawset(L, -3);
        else
            lua_pop(L, 1);
    }
}

static int push_names(lua_State *L, const sq_operation *op)
{
    luaL_checkstack(L, (int)op->column_count + 8, "too many columns");
    const char *p = op->columns.data;
    int names = lua_gettop(L) + 1;
    for (size_t i = 0; i < op->column_count; i++) {
        uint32_t size = read_size(&p);
        lua_pushlstring(L, p, size);
        p += size;
    }
    return names;
}

static void push_rows(lua_State *L, const sq_operation *op)
{
    const char *p = op->rows.data;
    int names = push_names(L, op);
    lua_createtable(L, op->row_count > 65536 ? 65536 : (int)op->row_count, 0);
    plua_mark_list(L, -1);
    for (size_t i = 0; i < op->row_count; i++) {
        push_row(L, op, names, &p);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
        if (i % 256 == 255)
            plua_check_interrupt(L);
    }
}

static void push_changes(lua_State *L, const sq_operation *op)
{
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, op->changes);
    lua_setfield(L, -2, "changes");
    lua_pushinteger(L, op->last_id);
    lua_setfield(L, -2, "last_id");
}

/* An error of the data is one that a script may expect; one of the SQL, or of the file, is a fault. */
int sq_raise(lua_State *L, const sq_operation *op)
{
    if (op->error.code == PL_INTERNAL)
        return luaL_error(L, "%s", op->error.message);
    return plua_raise(L, op->error.code, "%s", op->error.message);
}

int sq_push_result(lua_State *L, sq_operation *op)
{
    if (op->error.code)
        return sq_raise(L, op);
    const char *p = op->rows.data;
    switch (op->kind) {
    case SQ_QUERY:
        push_rows(L, op);
        break;
    case SQ_FIRST:
        if (op->row_count > 0)
            push_row(L, op, push_names(L, op), &p);
        else
            lua_pushnil(L);
        break;
    case SQ_VALUE:
        if (op->row_count == 0 || op->column_count == 0 || !push_value(L, &p))
            lua_pushnil(L);
        break;
    case SQ_EXEC:
    case SQ_SCRIPT:
        push_changes(L, op);
        break;
    default:
        return 0;
    }
    return 1;
}
