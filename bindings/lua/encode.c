/* SPDX-License-Identifier: MIT */
#include "bindings/lua/encode.h"

#include <math.h>
#include <stdlib.h>

#include "base/format.h"
#include "bindings/lua/message.h"
#include "value/json.h"

typedef struct path_step {
    const void *table; /* identity, to find cycles */
    pl_str key;        /* ptr NULL: index */
    lua_Integer index;
} path_step;

typedef struct encoder {
    lua_State *L;
    plua_encode_options options;
    pl_buf *out;
    pl_error *err;
    int depth;
    path_step path[PLUA_ENCODE_DEPTH];
} encoder;

static bool encode_value(encoder *e, int index);

/* --- buffers that Lua owns --- */

static int buf_gc(lua_State *L)
{
    pl_buf_dispose(lua_touserdata(L, 1));
    return 0;
}

pl_buf *plua_push_buf(lua_State *L)
{
    pl_buf *buf = lua_newuserdatauv(L, sizeof(*buf), 0);
    pl_buf_init(buf);
    plua_push_type(L, &(plua_type){.name = "perilune.buf", .gc = buf_gc});
    lua_setmetatable(L, -2);
    return buf;
}

/* --- errors --- */

static void print_path(const encoder *e, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < e->depth && used + 1 < size; i++) {
        const path_step *step = &e->path[i];
        int n = step->key.ptr ? snprintf(text + used, size - used, ".%.*s", PL_STR_ARG(step->key))
                              : snprintf(text + used, size - used, "[%lld]", (long long)step->index);
        used += n > 0 ? (size_t)n : 0;
    }
}

/* what has no JSON form. A lossy encoder writes it as a string instead, and goes on. */
static bool unsuitable(encoder *e, const char *what)
{
    if (e->options.lossy) {
        pl_buf_printf(e->out, "\"<%s>\"", what);
        return true;
    }
    char path[512];
    print_path(e, path, sizeof(path));
    pl_fail(e->err, PL_INVALID_ARGUMENT, "%s has no JSON form%s%s", what, path[0] ? " at " : "", path);
    return false;
}

/* --- scalars --- */

static bool encode_number(encoder *e, int index)
{
    if (lua_isinteger(e->L, index)) {
        pl_json_int(e->out, lua_tointeger(e->L, index));
        return true;
    }
    double number = lua_tonumber(e->L, index);
    if (!isfinite(number))
        return unsuitable(e, isnan(number) ? "a number that is NaN" : "an infinite number");
    pl_json_double(e->out, number);
    return true;
}

static const char not_utf8[] = "a string that is not UTF-8";

static bool encode_string(encoder *e, pl_str s)
{
    if (pl_json_string(e->out, s) || e->options.lossy)
        return true;
    return unsuitable(e, not_utf8);
}

/* --- lists --- */

static bool encode_element(encoder *e, lua_Integer i)
{
    if (i > 1)
        pl_buf_char(e->out, ',');
    e->path[e->depth - 1] = (path_step){e->path[e->depth - 1].table, PL_STR_NONE, i};
    return encode_value(e, lua_gettop(e->L));
}

/* The table is a list of n with holes, or with elements in its hash part, or it has other keys, too. */
static bool encode_sparse(encoder *e, int table, lua_Integer n)
{
    lua_State *L = e->L;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
        if ((key < 1 || key > n) && !e->options.lossy) {
            e->depth--;
            return unsuitable(e, "a table with a sequence and other keys");
        }
    }
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, table, i);
        if (!encode_element(e, i))
            return false;
        lua_pop(L, 1);
        if (i % 1024 == 0)
            plua_check_interrupt(L);
    }
    return true;
}

/* One pass with lua_next, for as long as it gives 1, 2, 3…, as it does for tables that were built as lists.
 */
static bool encode_list(encoder *e, int table)
{
    lua_State *L = e->L;
    lua_Integer n = (lua_Integer)lua_rawlen(L, table), i = 0;
    size_t begin = e->out->len;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != i + 1 || i == n) {
            lua_pop(L, 2);
            e->out->len = begin;
            return encode_sparse(e, table, n);
        }
        if (!encode_element(e, ++i))
            return false;
        if (i % 1024 == 0)
            plua_check_interrupt(L);
    }
    return true;
}

/* --- maps --- */

static const char odd_key[] = "a table with a key that is neither a string nor an integer";

/* Writes `"key":` of the key at that index, then the value behind it. */
static bool encode_member(encoder *e, int key, bool first)
{
    lua_State *L = e->L;
    path_step *step = &e->path[e->depth - 1];
    char text[32];
    if (lua_type(L, key) == LUA_TSTRING) {
        step->key.ptr = lua_tolstring(L, key, &step->key.len);
    } else if (lua_isinteger(L, key)) {
        int n = snprintf(text, sizeof(text), "%lld", (long long)lua_tointeger(L, key));
        step->key = (pl_str){text, (size_t)n};
    } else if (e->options.lossy) {
        snprintf(text, sizeof(text), "<%s>", luaL_typename(L, key));
        step->key = pl_str_of(text);
    } else {
        e->depth--;
        return unsuitable(e, odd_key);
    }
    if (!pl_format_name(e->out, step->key, first) && !e->options.lossy)
        return unsuitable(e, not_utf8);
    return encode_value(e, key + 1);
}

static bool encode_map_unsorted(encoder *e, int table)
{
    lua_State *L = e->L;
    int key = lua_gettop(L) + 1;
    unsigned count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        if (!encode_member(e, key, count == 0))
            return false;
        if (++count % 1024 == 0)
            plua_check_interrupt(L);
    }
    return true;
}

typedef struct sort_key {
    pl_str name;       /* of a string key */
    lua_Integer place; /* in the table of keys */
    char text[24];
    bool is_integer;
} sort_key;

static pl_str sort_name(const sort_key *k)
{
    return k->is_integer ? pl_str_of(k->text) : k->name;
}

static int compare_keys(const void *a, const void *b)
{
    return pl_str_cmp(sort_name(a), sort_name(b));
}

/* The key at the top. False: it is no name. */
static bool read_sort_key(lua_State *L, sort_key *k)
{
    k->is_integer = lua_isinteger(L, -1);
    if (k->is_integer) {
        snprintf(k->text, sizeof(k->text), "%lld", (long long)lua_tointeger(L, -1));
        return true;
    }
    if (lua_type(L, -1) != LUA_TSTRING)
        return false;
    k->name.ptr = lua_tolstring(L, -1, &k->name.len);
    return true;
}

/* stack: … → … keys held: a userdata with the table's keys in order, of which *count is the number, and a
 * table that holds them. (A finalizer that runs while memory is taken may change the table that is encoded.)
 * False: a key is no name. */
static bool push_sorted_keys(encoder *e, int table, size_t *count)
{
    lua_State *L = e->L;
    size_t n = 0, i = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        n++;
    sort_key *keys = lua_newuserdatauv(L, n * sizeof(*keys), 0);
    lua_createtable(L, n > 65536 ? 65536 : (int)n, 0);
    int held = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table) && i < n;) {
        lua_pop(L, 1);
        if (read_sort_key(L, &keys[i])) {
            keys[i].place = (lua_Integer)i + 1;
            lua_pushvalue(L, -1);
            lua_rawseti(L, held, keys[i++].place);
        } else if (!e->options.lossy) {
            e->depth--;
            return unsuitable(e, odd_key);
        }
    }
    lua_settop(L, held);
    qsort(keys, i, sizeof(*keys), compare_keys);
    *count = i;
    return true;
}

static bool encode_map_sorted(encoder *e, int table)
{
    lua_State *L = e->L;
    size_t count = 0;
    if (!push_sorted_keys(e, table, &count))
        return false;
    int held = lua_gettop(L);
    const sort_key *keys = lua_touserdata(L, held - 1);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, held, keys[i].place);
        lua_pushvalue(L, -1);
        lua_rawget(L, table);
        if (!encode_member(e, held + 1, i == 0))
            return false;
        lua_pop(L, 2);
    }
    lua_pop(L, 2);
    return true;
}

/* --- tables --- */

bool plua_has_list_mark(lua_State *L, int index)
{
    static const char key = 'l';
    if (!lua_getmetatable(L, index))
        return false;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) { /* once a state: what a marked table has */
        lua_pop(L, 1);
        lua_newtable(L);
        plua_mark_list(L, -1);
        lua_getmetatable(L, -1);
        lua_remove(L, -2);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    }
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static bool encode_inside(encoder *e, int table)
{
    bool list = lua_rawlen(e->L, table) > 0 || plua_has_list_mark(e->L, table);
    pl_buf_char(e->out, list ? '[' : '{');
    bool ok;
    if (list)
        ok = encode_list(e, table);
    else if (e->options.sorted)
        ok = encode_map_sorted(e, table);
    else
        ok = encode_map_unsorted(e, table);
    pl_buf_char(e->out, list ? ']' : '}');
    return ok;
}

static bool encode_table(encoder *e, int table)
{
    lua_State *L = e->L;
    const void *identity = lua_topointer(L, table);
    for (int i = 0; i < e->depth; i++) {
        if (e->path[i].table == identity)
            return unsuitable(e, "a table that contains itself");
    }
    if (e->depth == PLUA_ENCODE_DEPTH)
        return unsuitable(e, "a value more than 64 levels deep");
    luaL_checkstack(L, 12, "too deep");
    plua_message_unfold(L, table);
    int top = lua_gettop(L), depth = e->depth;
    e->path[e->depth++] = (path_step){.table = identity};
    bool ok = encode_inside(e, table);
    if (ok) {
        e->depth = depth;
        lua_settop(L, top);
    }
    return ok;
}

/* On an error the stack and the path are left as they are; index is absolute. */
static bool encode_value(encoder *e, int index)
{
    switch (lua_type(e->L, index)) {
    case LUA_TNIL:
        PL_BUF_LIT(e->out, "null");
        return true;
    case LUA_TBOOLEAN:
        if (lua_toboolean(e->L, index))
            PL_BUF_LIT(e->out, "true");
        else
            PL_BUF_LIT(e->out, "false");
        return true;
    case LUA_TNUMBER:
        return encode_number(e, index);
    case LUA_TSTRING: {
        pl_str s;
        s.ptr = lua_tolstring(e->L, index, &s.len);
        return encode_string(e, s);
    }
    case LUA_TTABLE:
        return encode_table(e, index);
    case LUA_TLIGHTUSERDATA:
        if (plua_is_null(e->L, index)) {
            PL_BUF_LIT(e->out, "null");
            return true;
        }
        return unsuitable(e, "a light userdata");
    default: {
        char what[64];
        snprintf(what, sizeof(what), "a %s", luaL_typename(e->L, index));
        return unsuitable(e, what);
    }
    }
}

bool plua_encode(lua_State *L, int index, const plua_encode_options *options, pl_buf *out, pl_error *err)
{
    encoder e;
    e.L = L;
    e.options = *options;
    e.out = out;
    e.err = err;
    e.depth = 0;
    int top = lua_gettop(L);
    bool ok = encode_value(&e, lua_absindex(L, index));
    lua_settop(L, top);
    return ok;
}
