/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "auth/token_cache.h"
#include "bindings/lua/encode.h"
#include "bindings/lua/fetch.h"
#include "bindings/lua/internal.h"
#include "bindings/lua/remote_keys.h"
#include "value/json.h"
#include "value/shared.h"

/* perilune.auth.core: keys, and the checking of tokens with them. What is asked for, in what order, and what
 * clients are told is the business of lua/perilune/auth. */

#define KEYS "perilune.auth.keys"
#define VERIFIER "perilune.auth.verifier"
#define CACHE_ENTRY_BYTES 4096 /* for each token that may be kept */

/* --- keys: a set, or one that is fetched --- */
typedef struct keys {
    pl_jwk_set *set; /* or: */
    plua_remote_keys *remote;
    pl_registry *registry;
} keys;

static keys *push_keys(lua_State *L)
{
    keys *k = lua_newuserdatauv(L, sizeof *k, 0);
    *k = (keys){0};
    luaL_setmetatable(L, KEYS);
    return k;
}

static int keys_gc(lua_State *L)
{
    keys *k = luaL_checkudata(L, 1, KEYS);
    pl_jwk_set_unref(k->set);
    if (k->remote)
        plua_remote_keys_release(k->registry, k->remote);
    *k = (keys){0};
    return 0;
}

/* core.keys(kind, text): kind is "secret", "pem" or "jwks"; or nil and what is wrong */
static int core_keys(lua_State *L)
{
    static const char *const kinds[] = {"secret", "pem", "jwks", NULL};
    int kind = luaL_checkoption(L, 1, NULL, kinds);
    pl_str text;
    pl_error err = {.code = PL_OK};
    text.ptr = luaL_checklstring(L, 2, &text.len);
    keys *k = push_keys(L);
    pl_code code = kind == 0   ? pl_jwk_set_secret(text, &k->set, &err)
                   : kind == 1 ? pl_jwk_set_pem(text, &k->set, &err)
                               : pl_jwk_set_read(text, true, true, &k->set, &err);
    if (code == PL_OK)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, err.message);
    return 2;
}

/* The path at index; a relative one begins in the bundle's folder. */
static const char *absolute(lua_State *L, int index)
{
    const char *path = lua_tostring(L, index);
    pl_str folder = plua_config(L)->directory;
    if (!path || path[0] == '/' || folder.len == 0)
        return path;
    lua_pushlstring(L, folder.ptr, folder.len);
    lua_pushfstring(L, "%s/%s", lua_tostring(L, -1), path);
    lua_replace(L, index);
    lua_pop(L, 1);
    return lua_tostring(L, index);
}

/* core.remote(url, { ca_file, allow_http, timeout }); or nil and what is wrong */
static int core_remote(lua_State *L)
{
    plua_remote_options options = {.url = luaL_checkstring(L, 1)};
    pl_error err = {.code = PL_OK};
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_getfield(L, 2, "ca_file");
    options.ca_file = absolute(L, 3);
    lua_getfield(L, 2, "allow_http");
    options.plain = lua_toboolean(L, 4);
    lua_getfield(L, 2, "timeout");
    options.timeout_ms = (unsigned)(lua_tonumber(L, 5) * 1000);
    pl_shared *shared = plua_config(L)->shared;
    if (!shared)
        return luaL_error(L, "auth: keys cannot be fetched where this runs");
    pl_code code = plua_fetch_check(options.url, options.plain, &err);
    if (code == PL_OK) {
        keys *k = push_keys(L);
        k->registry = pl_shared_registry(shared);
        k->remote = plua_remote_keys_get(k->registry, &options, &err);
        if (k->remote)
            return 1;
        return plua_raise(L, err.code, "auth: %s", err.message);
    }
    lua_pushnil(L);
    lua_pushstring(L, err.message);
    return 2;
}

/* keys:algorithms(): a list of names; nil: they are not known yet */
static int keys_algorithms(lua_State *L)
{
    const keys *k = luaL_checkudata(L, 1, KEYS);
    if (!k->set)
        return 0;
    uint32_t all = pl_jwk_set_algorithms(k->set);
    lua_newtable(L);
    for (unsigned i = 0, n = 0; i < PL_JWA_COUNT; i++) {
        if (!(all >> i & 1))
            continue;
        lua_pushstring(L, pl_jwa_about((pl_jwa)i)->name);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* keys:status(): { ready, fetching, age, fetches, failures } */
static int keys_status(lua_State *L)
{
    const keys *k = luaL_checkudata(L, 1, KEYS);
    plua_remote_state s = {.has_set = true};
    pl_host *host = plua_host(L);
    if (k->remote)
        s = plua_remote_keys_look(k->remote);
    lua_createtable(L, 0, 5);
    lua_pushboolean(L, s.has_set);
    lua_setfield(L, -2, "ready");
    lua_pushboolean(L, s.fetching);
    lua_setfield(L, -2, "fetching");
    if (s.fetched_at && host) {
        uint64_t now = host->ops->now(host);
        lua_pushnumber(L, now > s.fetched_at ? (lua_Number)(now - s.fetched_at) / 1000 : 0);
        lua_setfield(L, -2, "age");
    }
    lua_pushinteger(L, (lua_Integer)s.fetches);
    lua_setfield(L, -2, "fetches");
    lua_pushinteger(L, (lua_Integer)s.failures);
    lua_setfield(L, -2, "failures");
    return 1;
}

/* keys:refresh(cooldown): fetches, unless that was tried less than so many seconds ago; whether it is under
 * way */
static int keys_refresh(lua_State *L)
{
    const keys *k = luaL_checkudata(L, 1, KEYS);
    lua_Number cooldown = luaL_checknumber(L, 2);
    pl_host *host = plua_host(L);
    lua_pushboolean(L,
                    k->remote && host &&
                        plua_remote_keys_refresh(k->remote, k->registry, host, (uint64_t)(cooldown * 1000)));
    return 1;
}

/* --- verifiers --- */
typedef struct verifier {
    pl_jwt_rules rules;
    pl_arena arena; /* of the rules */
    pl_token_cache *cache;
    pl_arena scratch; /* of the running check; cleared by the next one, whatever way this one is left */
    pl_jwk_set *held; /* the same */
} verifier;

static int verifier_gc(lua_State *L)
{
    verifier *v = luaL_checkudata(L, 1, VERIFIER);
    pl_arena_dispose(&v->arena);
    pl_arena_dispose(&v->scratch);
    pl_token_cache_free(v->cache);
    pl_jwk_set_unref(v->held);
    v->cache = NULL;
    v->held = NULL;
    return 0;
}

static int out_of_memory(lua_State *L)
{
    return plua_raise(L, PL_RESOURCE_EXHAUSTED, "auth: out of memory");
}

/* settings[name], a list of strings (at index 1), copied. */
static const pl_str *read_strings(lua_State *L, verifier *v, const char *name, size_t *count)
{
    *count = 0;
    if (lua_getfield(L, 1, name) != LUA_TTABLE) {
        lua_pop(L, 1);
        return NULL;
    }
    size_t n = lua_rawlen(L, -1);
    pl_str *list = pl_arena_array(&v->arena, n, sizeof *list);
    if (!list)
        out_of_memory(L);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        pl_str s;
        s.ptr = luaL_checklstring(L, -1, &s.len);
        list[i] = pl_arena_str(&v->arena, s);
        if (!list[i].ptr)
            out_of_memory(L);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    *count = n;
    return list;
}

static lua_Number read_number(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    lua_Number n = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return n;
}

static void read_algorithms(lua_State *L, verifier *v)
{
    size_t count;
    const pl_str *names = read_strings(L, v, "algorithms", &count);
    for (size_t i = 0; i < count; i++) {
        pl_jwa algorithm = PL_JWA_COUNT;
        if (!pl_jwa_named(names[i], &algorithm))
            luaL_error(L, "auth: there is no algorithm \"%s\"", names[i].ptr);
        v->rules.algorithms |= (uint32_t)1 << algorithm;
    }
}

/* core.verifier(settings), which the Lua half has checked */
static int core_verifier(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    verifier *v = lua_newuserdatauv(L, sizeof *v, 0);
    memset(v, 0, sizeof *v);
    pl_arena_init(&v->arena, 512);
    pl_arena_init(&v->scratch, 4096);
    luaL_setmetatable(L, VERIFIER);
    read_algorithms(L, v);
    v->rules.issuers = read_strings(L, v, "issuers", &v->rules.issuer_count);
    v->rules.audiences = read_strings(L, v, "audiences", &v->rules.audience_count);
    v->rules.required = read_strings(L, v, "required", &v->rules.required_count);
    lua_getfield(L, 1, "any_audience");
    v->rules.any_audience = lua_toboolean(L, -1);
    if (lua_getfield(L, 1, "type") == LUA_TSTRING) {
        v->rules.type.ptr = lua_tolstring(L, -1, &v->rules.type.len);
        v->rules.type = pl_arena_str(&v->arena, v->rules.type);
        if (!v->rules.type.ptr)
            out_of_memory(L);
    }
    v->rules.leeway = read_number(L, "leeway");
    v->rules.max_age = read_number(L, "max_age");
    v->rules.max_size = (size_t)read_number(L, "max_size");
    size_t entries = (size_t)read_number(L, "cache");
    v->cache = pl_token_cache_new(entries, entries * CACHE_ENTRY_BYTES);
    if (!v->cache)
        out_of_memory(L);
    lua_settop(L, 2);
    return 1;
}

static int push_refusal(lua_State *L, pl_jwt_verdict verdict, const char *why)
{
    if (verdict == PL_JWT_MEMORY)
        return out_of_memory(L);
    lua_pushnil(L);
    lua_pushstring(L, pl_jwt_verdict_name(verdict));
    lua_pushstring(L, why);
    return 3;
}

static int push_claims(lua_State *L, const pl_value *claims, double ends)
{
    plua_push_json(L, claims);
    if (isinf(ends))
        lua_pushnil(L);
    else
        lua_pushnumber(L, ends);
    return 2;
}

static int check_cached(lua_State *L, verifier *v, pl_str json, const pl_jwt_times *times, double now)
{
    pl_value claims;
    pl_error err;
    pl_jwt_verdict verdict = pl_jwt_check_times(times, now);
    if (verdict)
        return push_refusal(L, verdict, verdict == PL_JWT_EARLY ? "it is not valid yet" : "it has expired");
    if (pl_json_read(&v->scratch, json, NULL, &claims, &err) != PL_OK)
        return out_of_memory(L);
    return push_claims(L, &claims, times->ends);
}

/* v:check(keys, token, now): the claims, and when they end (seconds, or nil); or nil, a verdict and why it is
 * so: "unavailable" means that there are no keys yet */
static int verifier_check(lua_State *L)
{
    verifier *v = luaL_checkudata(L, 1, VERIFIER);
    const keys *k = luaL_checkudata(L, 2, KEYS);
    pl_str token, json;
    token.ptr = luaL_checklstring(L, 3, &token.len);
    double now = luaL_checknumber(L, 4);
    pl_jwt_times times;
    pl_jwt jwt;
    pl_arena_reset(&v->scratch);
    pl_jwk_set_unref(v->held);
    v->held = k->remote ? plua_remote_keys_set(k->remote) : pl_jwk_set_ref(k->set);
    if (!v->held) {
        lua_pushnil(L);
        lua_pushliteral(L, "unavailable");
        lua_pushliteral(L, "the keys could not be fetched yet");
        return 3;
    }
    if (pl_token_cache_find(v->cache, token, v->held, &json, &times))
        return check_cached(L, v, json, &times, now);
    pl_jwt_verdict verdict = pl_jwt_check(&v->scratch, token, &v->rules, v->held, now, &jwt);
    if (verdict)
        return push_refusal(L, verdict, jwt.why);
    pl_token_cache_keep(v->cache, token, v->held, &jwt);
    return push_claims(L, &jwt.claims, jwt.times.ends);
}

/* v:cached(): how many tokens are kept */
static int verifier_cached(lua_State *L)
{
    const verifier *v = luaL_checkudata(L, 1, VERIFIER);
    lua_pushinteger(L, (lua_Integer)pl_token_cache_count(v->cache));
    return 1;
}

/* core.file(path): the bytes of a file of the bundle, or nil */
static int core_file(lua_State *L)
{
    pl_str path;
    path.ptr = luaL_checklstring(L, 1, &path.len);
    const pl_file *file = plua_find_file(plua_state_of(L), path);
    if (!file)
        return 0;
    lua_pushlstring(L, file->bytes.ptr ? file->bytes.ptr : "", file->bytes.len);
    return 1;
}

/* core.fail(message): raises it, with the place in the bundle from which the library was called */
static int core_fail(lua_State *L)
{
    lua_Debug where;
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    for (int level = 1; lua_getstack(L, level, &where); level++) {
        lua_getinfo(L, "Sl", &where);
        if (where.currentline > 0 && where.source[0] == '@') {
            lua_pushfstring(L, "%s:%d: ", where.source + 1, where.currentline);
            lua_insert(L, 1);
            lua_concat(L, 2);
            break;
        }
    }
    return lua_error(L);
}

int plua_open_auth(lua_State *L)
{
    static const luaL_Reg keys_methods[] = {
        {"algorithms", keys_algorithms}, {"status", keys_status}, {"refresh", keys_refresh}, {NULL, NULL}};
    static const luaL_Reg verifier_methods[] = {
        {"check", verifier_check}, {"cached", verifier_cached}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"keys", core_keys},         {"remote", core_remote},
                                         {"verifier", core_verifier}, {"file", core_file},
                                         {"fail", core_fail},         {NULL, NULL}};
    plua_push_type(L, &(plua_type){.name = KEYS, .gc = keys_gc, .methods = keys_methods});
    plua_push_type(L, &(plua_type){.name = VERIFIER, .gc = verifier_gc, .methods = verifier_methods});
    lua_pop(L, 2);
    luaL_newlib(L, functions);
    return 1;
}
