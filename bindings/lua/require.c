/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "bindings/lua/internal.h"
#include "bindings/lua/library.h"
#include "value/compiled.h"

/* require looks, in this order, for: what is loaded already; the C modules of perilune.*; its Lua modules,
 * which are built in; the files of the bundle ("rules.pricing" is rules/pricing.lua or
 * rules/pricing/init.lua). Bundle files are read from the snapshot that the generation was made of, never
 * from disk, so that code cannot change under a running generation. A failed load is not kept. */

static const plua_module modules[] = {
    {"perilune.json", plua_open_json},
    {"perilune.log", plua_open_log},
    {"perilune.time", plua_open_time},
    {"perilune.crypto", plua_open_crypto},
    {"perilune.sqlite", plua_open_sqlite},
    {"perilune.shared", plua_open_shared},
    {"perilune.test.core", plua_open_test},
    {"perilune.pubsub.core", plua_open_pubsub},
    {"perilune.cache", plua_open_cache},
    {"perilune.breaker.core", plua_open_breaker},
    {"perilune.auth.core", plua_open_auth},
    {"perilune.proto.core", plua_open_proto},
    {"perilune.events.core", plua_open_events},
    {"perilune.health", plua_open_health},
    {"perilune.grpc.core", plua_open_grpc},
    {"perilune.sqlite.core", plua_open_sqlite_core},
    {"perilune.topics.core", plua_open_topics},
    {"perilune.registry.core", plua_open_registry},
    {"perilune.metrics.core", plua_open_metrics},
    {"perilune.native.core", plua_open_native},
    {"perilune.streams.core", plua_open_streams},
    {NULL, NULL},
};

static const char loading_mark = 'l'; /* in `loaded` while a module's chunk runs */

static int compare_path(const void *key, const void *file)
{
    return pl_str_cmp(*(const pl_str *)key, ((const pl_file *)file)->path);
}

const pl_file *plua_find_file(const plua_state *st, pl_str path)
{
    if (st->config.file_count == 0)
        return NULL;
    return bsearch(&path, st->config.files, st->config.file_count, sizeof(pl_file), compare_path);
}

static int append(lua_State *L, const void *piece, size_t len, void *data)
{
    pl_buf *out = data;
    pl_buf_append(out, piece, len);
    return out->failed;
}

/* The function in the top slot, with what tracebacks and messages want to know. */
static void keep_compiled(lua_State *L, pl_compiled_cache *cache, pl_str name, pl_str text)
{
    pl_buf code;
    pl_buf_init(&code);
    if (lua_dump(L, append, &code, 0) == 0)
        pl_compiled_keep(cache, name, text, pl_buf_view(&code));
    pl_buf_dispose(&code);
}

/* Code that is not text is taken from the cache alone: Lua believes it whatever it says. */
static int compile(lua_State *L, pl_str text, const char *chunkname)
{
    pl_compiled_cache *cache = plua_state_of(L)->config.compiled;
    pl_compiled *found = cache ? pl_compiled_find(cache, pl_str_of(chunkname), text) : NULL;
    if (found) {
        pl_str code = pl_compiled_code(found);
        int status = luaL_loadbufferx(L, code.ptr, code.len, chunkname, "b");
        pl_compiled_unref(found);
        return status;
    }
    int status = luaL_loadbufferx(L, text.ptr ? text.ptr : "", text.len, chunkname, "t");
    if (status == LUA_OK && cache)
        keep_compiled(L, cache, pl_str_of(chunkname), text);
    return status;
}

int plua_load_file(lua_State *L, pl_str path)
{
    const pl_file *file = plua_find_file(plua_state_of(L), path);
    if (!file) {
        lua_pushlstring(L, path.ptr, path.len);
        return luaL_error(L, "there is no file %s in the bundle", lua_tostring(L, -1));
    }
    lua_pushliteral(L, "@");
    lua_pushlstring(L, path.ptr, path.len);
    lua_concat(L, 2); /* stack: chunkname */
    if (compile(L, file->bytes, lua_tostring(L, -1)) != LUA_OK)
        return lua_error(L);
    lua_remove(L, -2);
    return 1;
}

/* Pushes the chunk of a bundle module; or false. */
static bool find_bundle_module(lua_State *L, const char *name)
{
    plua_state *st = plua_state_of(L);
    static const char *const forms[] = {"%s.lua", "%s/init.lua"};
    luaL_gsub(L, name, ".", "/"); /* stack: base */
    for (int i = 0; i < 2; i++) {
        lua_pushfstring(L, forms[i], lua_tostring(L, -1));
        size_t len;
        const char *path = lua_tolstring(L, -1, &len);
        if (plua_find_file(st, (pl_str){path, len})) {
            plua_load_file(L, (pl_str){path, len}); /* stack: base path chunk */
            lua_insert(L, -3);
            lua_pop(L, 2);
            return true;
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return false;
}

static bool find_library_module(lua_State *L, const char *name)
{
    for (const struct plua_library_file *file = plua_library; file->name; file++) {
        if (strcmp(file->name, name) == 0) {
            lua_pushfstring(L, "=%s", name);
            if (compile(L, (pl_str){file->bytes, file->len}, lua_tostring(L, -1)) != LUA_OK)
                lua_error(L);
            lua_remove(L, -2);
            return true;
        }
    }
    return false;
}

/* All that are built in are called so; a bundle may have more of these. */
static bool may_be_built_in(const char *name)
{
    return strncmp(name, "perilune", 8) == 0;
}

static bool find_c_module(lua_State *L, const char *name)
{
    for (const plua_module *m = modules; m->name; m++) {
        if (strcmp(m->name, name) == 0) {
            lua_pushcfunction(L, m->open);
            return true;
        }
    }
    return false;
}

/* What a module that returns nothing is: what it has put into package.loaded itself, or true. stack: name
 * loaded … */
static void push_default(lua_State *L)
{
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 2) != LUA_TNIL && lua_touserdata(L, -1) != (const void *)&loading_mark)
        return;
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
}

int plua_require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, plua_state_of(L)->loaded); /* stack: name loaded */
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 2) != LUA_TNIL) {
        if (lua_touserdata(L, -1) == (const void *)&loading_mark)
            return luaL_error(L, "module '%s' is required while it is being loaded (a cycle of requires)",
                              name);
        return 1;
    }
    if (!(may_be_built_in(name) && (find_c_module(L, name) || find_library_module(L, name))) &&
        !find_bundle_module(L, name))
        return luaL_error(
            L, "module '%s' not found: no such file in the bundle, and no such module of perilune", name);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, (void *)&loading_mark);
    lua_rawset(L, 2);
    lua_pushvalue(L, 1); /* stack: name loaded nil chunk name */
    int status = lua_pcall(L, 1, 1, 0);
    if (status == LUA_OK && lua_isnil(L, -1)) {
        lua_pop(L, 1);
        push_default(L);
    }
    lua_pushvalue(L, 1);
    if (status == LUA_OK)
        lua_pushvalue(L, -2);
    else
        lua_pushnil(L); /* not kept */
    lua_rawset(L, 2);
    if (status == LUA_OK)
        return 1;
    plua_rethrow_fatal(L, status);
    return lua_error(L);
}

void plua_push_argument_wrapper(pl_state *state)
{
    lua_State *L = plua_cast(state)->L;
    lua_pushcfunction(L, plua_require);
    lua_pushliteral(L, "perilune.arguments");
    lua_call(L, 1, 1);
}
