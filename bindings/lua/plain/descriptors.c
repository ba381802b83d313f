/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "bindings/lua/encode.h"
#include "bindings/lua/plain/plain.h"
#include "proto/pool.h"

/* The messages of perilune.proto where no bundle has them: descriptor sets that a script loads. A pool is
 * made of all sets together, anew with each load, all or nothing; codecs hold the one that they work with. */

#define MOST_BYTES ((size_t)64 << 20) /* of a file */

/* --- pools --- */

static int pool_gc(lua_State *L)
{
    pb_pool **pool = lua_touserdata(L, 1);
    pb_pool_free(*pool);
    *pool = NULL;
    return 0;
}

/* stack: … sets → … sets pool; sets is a list: name, bytes, name, bytes … */
static const pb_pool *push_pool(lua_State *L)
{
    int sets = lua_gettop(L);
    size_t count = lua_rawlen(L, sets) / 2;
    pb_pool **pool = lua_newuserdatauv(L, sizeof *pool, 0);
    *pool = NULL;
    plua_push_type(L, &(plua_type){.name = "perilune.proto.pool", .gc = pool_gc});
    lua_setmetatable(L, -2);
    pb_source *sources = lua_newuserdatauv(L, count * sizeof *sources, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, sets, (lua_Integer)i * 2 + 1);
        sources[i].name = lua_tostring(L, -1);
        lua_rawgeti(L, sets, (lua_Integer)i * 2 + 2);
        sources[i].bytes.ptr = lua_tolstring(L, -1, &sources[i].bytes.len);
        lua_pop(L, 2);
    }
    pl_error err;
    pl_error_clear(&err);
    if (pb_pool_new(sources, count, pool, &err) != PL_OK)
        plua_raise(L, err.code, "%s%s%s", err.file, err.file[0] ? ": " : "", err.message);
    lua_pop(L, 1);
    return *pool;
}

/* stack: … pool → … */
static void use_pool(lua_State *L, plua_state *st, const pb_pool *pool)
{
    int before = st->protos;
    st->protos = luaL_ref(L, LUA_REGISTRYINDEX);
    st->config.protos = pool;
    luaL_unref(L, LUA_REGISTRYINDEX, before);
}

/* --- sets --- */

/* Whether the list `sets` has the bytes at the top. */
static bool has_set(lua_State *L, int sets)
{
    bool same = false;
    lua_Integer n = (lua_Integer)lua_rawlen(L, sets);
    for (lua_Integer i = 2; !same && i <= n; i += 2) {
        lua_rawgeti(L, sets, i);
        same = lua_rawequal(L, -1, -2);
        lua_pop(L, 1);
    }
    return same;
}

/* stack: … name bytes → …; into the list `sets`, unless it has the same */
static void add_set(lua_State *L, int sets)
{
    if (has_set(L, sets)) {
        lua_pop(L, 2);
        return;
    }
    lua_Integer n = (lua_Integer)lua_rawlen(L, sets);
    lua_rawseti(L, sets, n + 2);
    lua_rawseti(L, sets, n + 1);
}

/* Pushes a copy of the list of sets that are in use. The functions' upvalue is a table with it. */
static int push_sets(lua_State *L)
{
    lua_rawgeti(L, lua_upvalueindex(1), 1);
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    lua_createtable(L, (int)n + 2, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, -2, i);
        lua_rawseti(L, -2, i);
    }
    lua_remove(L, -2);
    return lua_gettop(L);
}

/* stack: … sets → …; these are the messages from now on */
static void use_sets(lua_State *L)
{
    plua_state *st = plua_of(L);
    if (!st->L)
        plua_raise(L, PL_FAILED_PRECONDITION, "perilune.proto: the Lua state is being closed");
    const pb_pool *pool = push_pool(L);
    use_pool(L, st, pool);
    lua_rawseti(L, lua_upvalueindex(1), 1);
}

/* --- files --- */

static bool read_all(const char *path, pl_buf *out)
{
    char piece[16384];
    size_t n;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return false;
    out->limit = MOST_BYTES;
    while ((n = fread(piece, 1, sizeof piece, file)) > 0 && !out->failed)
        pl_buf_append(out, piece, n);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    errno = error;
    return error == 0;
}

static bool ends_with(const char *path, const char *end)
{
    size_t len = strlen(path), n = strlen(end);
    return len > n && strcmp(path + len - n, end) == 0;
}

/* Pushes the path and what is in the file. */
static void push_file(lua_State *L, const char *path)
{
    if (ends_with(path, ".proto"))
        plua_raise(L, PL_INVALID_ARGUMENT,
                   "proto.load: %s is no descriptor set: compile it first (protoc --include_imports "
                   "--descriptor_set_out=all.binpb %s)",
                   path, path);
    lua_pushstring(L, path);
    pl_buf *bytes = plua_push_buf(L);
    if (!read_all(path, bytes))
        plua_raise(L, errno == ENOENT ? PL_NOT_FOUND : PL_UNAVAILABLE, "proto.load: %s: %s", path,
                   strerror(errno));
    if (bytes->failed)
        plua_raise(L, PL_RESOURCE_EXHAUSTED,
                   "proto.load: %s: it has more than %zu MiB, or memory is exhausted", path,
                   MOST_BYTES >> 20);
    lua_pushlstring(L, bytes->data ? bytes->data : "", bytes->len);
    pl_buf_dispose(bytes);
    lua_remove(L, -2);
}

/* load(path, …) */
static int proto_load(lua_State *L)
{
    int count = lua_gettop(L);
    for (int i = 1; i <= count; i++)
        luaL_checkstring(L, i);
    luaL_argcheck(L, count > 0, 1, "the path of a descriptor set expected");
    luaL_checkstack(L, 10, NULL);
    int sets = push_sets(L);
    for (int i = 1; i <= count; i++) {
        push_file(L, lua_tostring(L, i));
        add_set(L, sets);
    }
    use_sets(L);
    return 0;
}

/* add(bytes [, name]) */
static int proto_add(lua_State *L)
{
    luaL_checkstring(L, 1);
    luaL_optstring(L, 2, NULL);
    lua_settop(L, 2);
    int sets = push_sets(L);
    if (lua_isnil(L, 2))
        lua_pushliteral(L, "proto.add");
    else
        lua_pushvalue(L, 2);
    lua_pushvalue(L, 1);
    add_set(L, sets);
    use_sets(L);
    return 0;
}

/* stack: → holder, with the list of sets; made once a state */
static void push_holder(lua_State *L)
{
    static const char holder = 'h';
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &holder) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_newtable(L); /* no sets: a pool of the well-known types */
    const pb_pool *pool = push_pool(L);
    use_pool(L, plua_of(L), pool);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &holder);
}

void plua_add_descriptors(lua_State *L)
{
    static const luaL_Reg functions[] = {{"load", proto_load}, {"add", proto_add}, {NULL, NULL}};
    push_holder(L);
    luaL_setfuncs(L, functions, 1);
}
