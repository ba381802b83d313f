/* SPDX-License-Identifier: MIT */
#include <limits.h>

#include "base/alloc.h"
#include "bindings/lua/internal.h"
#include "bindings/lua/message.h"

/* Cursor and builder: a slot is an index of the main thread's stack, inside the current protected section. */

#define LUA(state) (((plua_state *)(state))->L)

static bool has_list_mark(plua_state *st, int slot)
{
    lua_State *L = st->L;
    if (!lua_getmetatable(L, slot))
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->list_meta);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static pl_kind kind(pl_state *state, pl_slot slot)
{
    lua_State *L = LUA(state);
    switch (lua_type(L, slot)) {
    case LUA_TNIL:
        return PL_KIND_ABSENT;
    case LUA_TBOOLEAN:
        return PL_KIND_BOOL;
    case LUA_TNUMBER:
        return lua_isinteger(L, slot) ? PL_KIND_INT : PL_KIND_FLOAT;
    case LUA_TSTRING:
        return PL_KIND_STRING;
    case LUA_TTABLE:
        return lua_rawlen(L, slot) > 0 || has_list_mark((plua_state *)state, slot) ? PL_KIND_LIST
                                                                                   : PL_KIND_MAP;
    case LUA_TLIGHTUSERDATA:
        return plua_is_null(L, slot) ? PL_KIND_NULL : PL_KIND_OTHER;
    default:
        return PL_KIND_OTHER;
    }
}

static pl_kind shape(pl_state *state, pl_slot slot)
{
    return lua_type(LUA(state), slot) == LUA_TTABLE ? PL_KIND_MAP : kind(state, slot);
}

static bool is_function(pl_state *state, pl_slot slot)
{
    return lua_isfunction(LUA(state), slot);
}

static bool get_bool(pl_state *state, pl_slot slot)
{
    return lua_toboolean(LUA(state), slot);
}

static int64_t get_int(pl_state *state, pl_slot slot)
{
    return lua_tointeger(LUA(state), slot);
}

static double get_float(pl_state *state, pl_slot slot)
{
    return lua_tonumber(LUA(state), slot);
}

static pl_str get_string(pl_state *state, pl_slot slot)
{
    pl_str s;
    s.ptr = lua_tolstring(LUA(state), slot, &s.len);
    return s;
}

static size_t length(pl_state *state, pl_slot slot)
{
    lua_State *L = LUA(state);
    return lua_type(L, slot) == LUA_TTABLE ? lua_rawlen(L, slot) : 0;
}

static bool field(pl_state *state, pl_slot map, const pl_key *key)
{
    lua_State *L = LUA(state);
    if (lua_type(L, map) != LUA_TTABLE)
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, key->ref);
    if (lua_rawget(L, map) != LUA_TNIL)
        return true;
    if (!lua_getmetatable(L, map))
        return true;
    lua_pop(L, 2);
    if (!plua_message_has(L, map))
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, key->ref);
    return plua_message_get(L, map);
}

/* The value in the top slot, of a Lua type. */
static inline bool read_scalar(lua_State *L, int type, pl_value *out)
{
    if (__builtin_expect(type == LUA_TSTRING, 1)) {
        out->kind = PL_KIND_STRING;
        out->string.ptr = lua_tolstring(L, -1, &out->string.len);
        return true;
    }
    switch (type) {
    case LUA_TNUMBER:
        out->kind = lua_isinteger(L, -1) ? PL_KIND_INT : PL_KIND_FLOAT;
        if (out->kind == PL_KIND_INT)
            out->integer = lua_tointeger(L, -1);
        else
            out->number = lua_tonumber(L, -1);
        return true;
    case LUA_TBOOLEAN:
        out->kind = PL_KIND_BOOL;
        out->boolean = lua_toboolean(L, -1);
        return true;
    default:
        return false;
    }
}

static size_t scalars(pl_state *state, pl_slot map, const pl_key *const *keys, pl_slot pinned, size_t count,
                      pl_value *out)
{
    lua_State *L = LUA(state);
    for (size_t n = 0; n < count; n++) {
        if (pinned > 0)
            lua_pushvalue(L, pinned + (int)n);
        else
            lua_rawgeti(L, LUA_REGISTRYINDEX, keys[n]->ref);
        if (!read_scalar(L, lua_rawget(L, map), &out[n])) {
            lua_pop(L, 1);
            return n;
        }
    }
    return count;
}

/* What set_null has set: entries of the metatable. stack: … metatable → …; whether name is among them */
static bool take_null(lua_State *L, pl_str name)
{
    lua_pushlstring(L, name.ptr, name.len);
    bool is = lua_rawget(L, -2) == LUA_TLIGHTUSERDATA && plua_is_null(L, -1);
    lua_pop(L, 2);
    return is;
}

/* stack: map, name as a light userdata → value */
static int member_section(lua_State *L)
{
    const pl_str *name = lua_touserdata(L, 2);
    plua_message_unfold(L, 1);
    lua_pushlstring(L, name->ptr, name->len);
    if (lua_rawget(L, 1) != LUA_TNIL)
        return 1;
    if (lua_getmetatable(L, 1) && take_null(L, *name)) {
        plua_push_null(L);
        return 1;
    }
    return 0;
}

/* Most names are interned: those of fields and arguments are. */
static bool interned_member(plua_state *st, int map, pl_str name)
{
    const pl_key *key = pl_map_get(&st->keys, name);
    if (!key)
        return false;
    lua_rawgeti(st->L, LUA_REGISTRYINDEX, key->ref);
    if (lua_rawget(st->L, map) != LUA_TNIL)
        return true;
    lua_pop(st->L, 1);
    return false;
}

static bool member(pl_state *state, pl_slot map, pl_str name)
{
    lua_State *L = LUA(state);
    int top = lua_gettop(L);
    if (lua_type(L, map) != LUA_TTABLE)
        return false;
    if (interned_member(plua_cast(state), map, name))
        return true;
    lua_pushcfunction(L, member_section);
    lua_pushvalue(L, map);
    lua_pushlightuserdata(L, &name);
    if (lua_pcall(L, 2, 1, 0) == LUA_OK && !lua_isnil(L, -1))
        return true;
    lua_settop(L, top);
    return false;
}

static bool push_nulls(pl_state *state, pl_slot map)
{
    lua_State *L = LUA(state);
    int top = lua_gettop(L);
    if (!lua_getmetatable(L, map))
        return false;
    lua_newtable(L); /* stack: … metatable nulls */
    lua_pushnil(L);
    while (lua_next(L, top + 1)) {
        if (lua_type(L, -2) == LUA_TSTRING && plua_is_null(L, -1)) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, top + 2);
        }
        lua_pop(L, 1);
    }
    lua_replace(L, top + 1);
    return true;
}

static void element(pl_state *state, pl_slot list, size_t index)
{
    lua_rawgeti(LUA(state), list, (lua_Integer)index + 1);
}

static pl_kind item(pl_state *state, pl_slot list, size_t index)
{
    int type = lua_rawgeti(LUA(state), list, (lua_Integer)index + 1);
    return type == LUA_TTABLE ? PL_KIND_MAP : kind(state, -1);
}

static bool next(pl_state *state, pl_slot map)
{
    lua_State *L = LUA(state);
    if (lua_isnil(L, -1))
        plua_message_unfold(L, map);
    return lua_next(L, map) != 0;
}

static size_t members(pl_state *state, pl_slot map)
{
    lua_State *L = LUA(state);
    size_t count = 0;
    plua_message_unfold(L, map);
    for (lua_pushnil(L); lua_next(L, map); lua_pop(L, 1))
        count++;
    return count;
}

static int index_check(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_type(L, 1) != LUA_TTABLE && lua_type(L, 1) != LUA_TUSERDATA)
        return luaL_error(L, "cannot read field '%s' of a %s value", lua_tostring(L, 2), luaL_typename(L, 1));
    return 0;
}

static pl_ref index_function(pl_state *state)
{
    plua_state *st = plua_cast(state);
    if (st->index == PL_REF_NONE) {
        /* A Lua function, so that a metamethod may wait. */
        static const char code[] =
            "local check = ... return function(value, name) check(value, name) return value[name] end";
        if (luaL_loadbufferx(st->L, code, sizeof code - 1, "=index", "t") != LUA_OK)
            lua_error(st->L);
        lua_pushcfunction(st->L, index_check);
        lua_call(st->L, 1, 1);
        st->index = luaL_ref(st->L, LUA_REGISTRYINDEX);
    }
    return st->index;
}

static void push_reader(pl_state *state, const pl_key *name)
{
    static const char code[] =
        "local index, name = ... "
        "if not name then return function(parent) return parent end end "
        "return function(parent) if parent ~= nil then return index(parent, name) end end";
    lua_State *L = LUA(state);
    if (luaL_loadbufferx(L, code, sizeof code - 1, "=reader", "t") != LUA_OK)
        lua_error(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, index_function(state));
    if (name)
        lua_rawgeti(L, LUA_REGISTRYINDEX, name->ref);
    else
        lua_pushnil(L);
    lua_call(L, 2, 1);
}

/* --- keeping --- */
static pl_ref keep(pl_state *state, pl_slot slot)
{
    lua_State *L = LUA(state);
    lua_pushvalue(L, slot);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static pl_slot push_ref(pl_state *state, pl_ref ref)
{
    lua_State *L = LUA(state);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    return lua_gettop(L);
}

static void drop(pl_state *state, pl_ref ref)
{
    luaL_unref(LUA(state), LUA_REGISTRYINDEX, ref);
}

static void intern(void *data)
{
    void **args = data;
    plua_state *st = args[0];
    pl_key *key = args[1];
    lua_pushlstring(st->L, key->name.ptr, key->name.len);
    key->ref = luaL_ref(st->L, LUA_REGISTRYINDEX);
}

static pl_key *key_get(pl_state *state, pl_str name)
{
    plua_state *st = plua_cast(state);
    pl_key *key = pl_map_get(&st->keys, name);
    if (key)
        return key;
    key = pl_malloc(sizeof *key + name.len + 1);
    if (!key)
        return NULL;
    memcpy(key->bytes, name.ptr, name.len);
    key->name = (pl_str){key->bytes, name.len};
    void *args[] = {st, key};
    pl_error err;
    if (!plua_protect(state, intern, args, &err)) {
        pl_free(key);
        return NULL;
    }
    pl_key *same = pl_map_get(&st->keys, name); /* made by a finalizer that has run meanwhile */
    if (!same && pl_map_set(&st->keys, key->name, key))
        return key;
    drop(state, key->ref);
    pl_free(key);
    return same;
}

/* --- builder --- */
static void push_absent(pl_state *state)
{
    lua_pushnil(LUA(state));
}

static void push_null(pl_state *state)
{
    plua_push_null(LUA(state));
}

static void push_bool(pl_state *state, bool v)
{
    lua_pushboolean(LUA(state), v);
}

static void push_int(pl_state *state, int64_t v)
{
    lua_pushinteger(LUA(state), v);
}

static void push_float(pl_state *state, double v)
{
    lua_pushnumber(LUA(state), v);
}

static void push_string(pl_state *state, pl_str v)
{
    lua_pushlstring(LUA(state), v.ptr ? v.ptr : "", v.len);
}

static void push_name(pl_state *state, pl_str v)
{
    plua_state *st = plua_cast(state);
    lua_State *L = st->L;
    if (v.len == 0 || v.len > PLUA_NAME_BYTES) {
        push_string(state, v);
        return;
    }
    size_t place =
        v.len * 31 + (uint8_t)v.ptr[0] * 7u + (uint8_t)v.ptr[v.len - 1] * 13u + (uint8_t)v.ptr[v.len / 2];
    plua_name *name = &st->names[place % PLUA_NAMES];
    if (name->len == v.len && memcmp(name->bytes, v.ptr, v.len) == 0) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, name->ref);
        return;
    }
    name->len = 0;
    lua_pushlstring(L, v.ptr, v.len);
    lua_pushvalue(L, -1);
    if (name->ref == 0)
        name->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    else
        lua_rawseti(L, LUA_REGISTRYINDEX, name->ref);
    memcpy(name->bytes, v.ptr, v.len);
    name->len = (uint8_t)v.len;
}

static void push_key(pl_state *state, const pl_key *key)
{
    lua_rawgeti(LUA(state), LUA_REGISTRYINDEX, key->ref);
}

static int hint(size_t n)
{
    return n > 65536 ? 65536 : (int)n;
}

static void push_map(pl_state *state, size_t size_hint)
{
    lua_createtable(LUA(state), 0, hint(size_hint));
}

static void push_list(pl_state *state, size_t size_hint)
{
    plua_state *st = plua_cast(state);
    lua_createtable(st->L, hint(size_hint), 0);
    lua_rawgeti(st->L, LUA_REGISTRYINDEX, st->list_meta);
    lua_setmetatable(st->L, -2);
}

static void push_copy(pl_state *state, pl_slot slot)
{
    lua_pushvalue(LUA(state), slot);
}

/* stack: … value → … */
static void set_field(pl_state *state, pl_slot map, const pl_key *key)
{
    lua_State *L = LUA(state);
    lua_rawgeti(L, LUA_REGISTRYINDEX, key->ref);
    lua_insert(L, -2);
    lua_rawset(L, map);
}

static void set_member(pl_state *state, pl_slot map, pl_str name)
{
    lua_State *L = LUA(state);
    push_name(state, name);
    lua_insert(L, -2);
    lua_rawset(L, map);
}

static void set_element(pl_state *state, pl_slot list, size_t index)
{
    lua_rawseti(LUA(state), list, (lua_Integer)index + 1);
}

/* stack: … key value → … */
static void set_entry(pl_state *state, pl_slot map)
{
    lua_rawset(LUA(state), map);
}

/* The metatable of such a map belongs to it alone. */
static const char attached_mark = 'a';

static void attach(pl_state *state, pl_slot map)
{
    lua_State *L = LUA(state);
    if (!lua_getmetatable(L, map)) {
        lua_createtable(L, 0, 1);
        lua_pushvalue(L, -1);
        lua_setmetatable(L, map);
    }
    lua_insert(L, -2);
    lua_rawsetp(L, -2, &attached_mark);
    lua_pop(L, 1);
}

static bool push_attached(pl_state *state, pl_slot map)
{
    lua_State *L = LUA(state);
    if (lua_type(L, map) != LUA_TTABLE || !lua_getmetatable(L, map))
        return false;
    lua_rawgetp(L, -1, &attached_mark);
    lua_remove(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING)
        return true;
    lua_pop(L, 1);
    return false;
}

static pl_slot top(pl_state *state)
{
    return lua_gettop(LUA(state));
}

static void pop_to(pl_state *state, pl_slot slot)
{
    lua_settop(LUA(state), slot);
}

static bool reserve(pl_state *state, int slots)
{
    return lua_checkstack(LUA(state), slots);
}

static void make_room(pl_state *state, int slots)
{
    if (!reserve(state, slots))
        luaL_error(LUA(state), "not enough memory");
}

static bool where(pl_state *state, pl_slot function, pl_str *file, uint32_t *line)
{
    lua_State *L = LUA(state);
    lua_Debug ar;
    if (!lua_isfunction(L, function) || lua_iscfunction(L, function))
        return false;
    lua_pushvalue(L, function);
    lua_getinfo(L, ">S", &ar);
    if (ar.source[0] != '@') /* of the library, or made by load */
        return false;
    *file = (pl_str){ar.source + 1, ar.srclen - 1};
    *line = (uint32_t)ar.linedefined;
    return true;
}

int plua_arity(pl_state *state, pl_slot function)
{
    lua_State *L = LUA(state);
    lua_Debug ar;
    if (!lua_isfunction(L, function))
        return INT_MAX;
    lua_pushvalue(L, function);
    lua_getinfo(L, ">u", &ar);
    return ar.isvararg ? INT_MAX : ar.nparams;
}

/* The metatable of such a map belongs to it alone: { name = null }. perilune.is_null looks there. */
static void set_null(pl_state *state, pl_slot map, pl_str name)
{
    lua_State *L = LUA(state);
    if (pl_str_starts(name, PL_STR("__"))) /* in JSON a client may say so: it would be a metamethod */
        return;
    if (!lua_getmetatable(L, map)) {
        lua_createtable(L, 0, 1);
        lua_pushvalue(L, -1);
        lua_setmetatable(L, map);
    }
    lua_pushlstring(L, name.ptr, name.len);
    plua_push_null(L);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

void plua_cursor_init(pl_engine *e)
{
    e->kind = kind;
    e->shape = shape;
    e->is_function = is_function;
    e->get_bool = get_bool;
    e->get_int = get_int;
    e->get_float = get_float;
    e->get_string = get_string;
    e->length = length;
    e->field = field;
    e->scalars = scalars;
    e->member = member;
    e->push_nulls = push_nulls;
    e->element = element;
    e->item = item;
    e->next = next;
    e->members = members;
    e->index_function = index_function;
    e->push_reader = push_reader;
    e->keep = keep;
    e->push_ref = push_ref;
    e->drop = drop;
    e->key = key_get;
    e->push_absent = push_absent;
    e->push_null = push_null;
    e->push_bool = push_bool;
    e->push_int = push_int;
    e->push_float = push_float;
    e->push_string = push_string;
    e->push_name = push_name;
    e->push_key = push_key;
    e->push_map = push_map;
    e->push_list = push_list;
    e->push_copy = push_copy;
    e->set_field = set_field;
    e->set_member = set_member;
    e->set_element = set_element;
    e->set_null = set_null;
    e->set_entry = set_entry;
    e->attach = attach;
    e->push_attached = push_attached;
    e->top = top;
    e->pop_to = pop_to;
    e->reserve = reserve;
    e->make_room = make_room;
    e->where = where;
    e->arity = plua_arity;
}
