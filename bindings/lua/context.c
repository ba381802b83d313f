/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "bindings/lua/encode.h"
#include "bindings/lua/internal.h"

/* ctx: a table made for each piece of work when the first function asks for it. Its fields come from the work
 * as they are read, and stay, but for the library's modules; scripts (interceptors) may set others. Which
 * work it is for is known by the table's address (pairs would show a private key), until the work ends: from
 * a ctx that a script has kept, no more can be read then. */

#define FIRST_WORKS 64

/* --- from ctx to work: chains by address --- */
static pl_work **works_of(const plua_state *st, const void *ctx)
{
    uintptr_t hash = (uintptr_t)ctx >> 4;
    return &st->works.chains[(hash ^ hash >> 9) & (st->works.room - 1)];
}

pl_work *plua_ctx_work(lua_State *L, int index)
{
    const plua_state *st = plua_state_of(L);
    const void *ctx = lua_topointer(L, index);
    pl_work *work = st->works.room > 0 ? *works_of(st, ctx) : NULL;
    while (work && work->ctx_address != ctx)
        work = work->ctx_next;
    return work;
}

/* False: there is no memory for the first of them. Without memory for more, chains are longer. */
static bool make_room(plua_state *st)
{
    size_t old = st->works.room, room = old ? 2 * old : FIRST_WORKS;
    if (st->works.count < old)
        return true;
    pl_work **from = st->works.chains, **chains = pl_calloc(room, sizeof(pl_work *));
    if (!chains)
        return from != NULL;
    st->works.chains = chains;
    st->works.room = room;
    for (size_t i = 0; i < old; i++) {
        for (pl_work *work = from[i], *next; work; work = next) {
            pl_work **chain = works_of(st, work->ctx_address);
            next = work->ctx_next;
            work->ctx_next = *chain;
            *chain = work;
        }
    }
    pl_free(from);
    return true;
}

static void works_add(plua_state *st, pl_work *work, const void *ctx)
{
    pl_work **chain = works_of(st, ctx);
    work->ctx_address = ctx;
    work->ctx_next = *chain;
    *chain = work;
    st->works.count++;
}

static void works_remove(plua_state *st, const pl_work *work)
{
    pl_work **at = works_of(st, work->ctx_address);
    while (*at != work)
        at = &(*at)->ctx_next;
    *at = work->ctx_next;
    st->works.count--;
}

void plua_ctx_dispose(plua_state *st)
{
    pl_free(st->works.chains);
    st->works.chains = NULL;
    st->works.room = 0;
}

/* --- fields --- */

static void push_str(lua_State *L, pl_str s)
{
    if (s.ptr)
        lua_pushlstring(L, s.ptr, s.len);
    else
        lua_pushnil(L);
}

static void push_headers(lua_State *L, const pl_work *work)
{
    lua_createtable(L, 0, (int)work->header_count);
    for (size_t i = 0; i < work->header_count; i++) {
        const pl_header *h = &work->headers[i];
        lua_pushlstring(L, h->name.ptr, h->name.len);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TSTRING) { /* repeated: joined, as RFC 9110 section 5.3 allows */
            lua_pushliteral(L, ", ");
            lua_pushlstring(L, h->value.ptr, h->value.len);
            lua_concat(L, 3);
        } else {
            lua_pop(L, 1);
            lua_pushlstring(L, h->value.ptr, h->value.len);
        }
        lua_rawset(L, -3);
    }
}

static void push_connection_params(lua_State *L, const pl_work *work)
{
    if (work->connection_params)
        plua_push_json(L, work->connection_params);
    else
        lua_pushnil(L);
}

static void set_strings(lua_State *L, const char *name, const pl_str *strings, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        push_str(L, strings[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, name);
}

static void push_certificate(lua_State *L, const pl_peer_certificate *c)
{
    const struct {
        const char *name;
        pl_str value;
    } fields[] = {{"subject", c->subject},
                  {"common_name", c->common_name},
                  {"serial", c->serial},
                  {"fingerprint", c->fingerprint}};
    lua_createtable(L, 0, 7);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        push_str(L, fields[i].value);
        lua_setfield(L, -2, fields[i].name);
    }
    set_strings(L, "dns_names", c->dns_names, c->dns_name_count);
    set_strings(L, "uris", c->uris, c->uri_count);
    set_strings(L, "emails", c->emails, c->email_count);
}

static void push_module(lua_State *L, const char *name)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, plua_state_of(L)->loaded);
    lua_pushstring(L, name);
    if (lua_rawget(L, -2) == LUA_TTABLE) {
        lua_replace(L, -2);
        return;
    }
    lua_pop(L, 2);
    lua_pushcfunction(L, plua_require);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
}

/* The default database; an error when there is none. */
static void push_database(lua_State *L)
{
    push_module(L, "perilune.sqlite");
    lua_getfield(L, -1, "open");
    lua_remove(L, -2);
    lua_call(L, 0, 1);
}

/* Modules that are fields. */
static bool push_library(lua_State *L, const char *key)
{
    static const char *const modules[] = {"perilune.events", "perilune.log", "perilune.pubsub",
                                          "perilune.cache", "perilune.outbox"};
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        if (strcmp(key, modules[i] + sizeof "perilune." - 1) == 0) {
            push_module(L, modules[i]);
            return true;
        }
    }
    return false;
}

/* stack: ctx key → value */
static bool push_field(lua_State *L, const char *key, pl_work *work)
{
    if (strcmp(key, "headers") == 0) {
        push_headers(L, work);
    } else if (strcmp(key, "response_headers") == 0 || strcmp(key, "extensions") == 0) {
        lua_newtable(L); /* for the script to fill */
    } else if (strcmp(key, "operation_name") == 0) {
        push_str(L, work->operation_name);
    } else if (strcmp(key, "operation_kind") == 0) {
        lua_pushstring(L, work->operation_kind);
    } else if (strcmp(key, "connection_params") == 0) {
        push_connection_params(L, work);
    } else if (strcmp(key, "db") == 0) {
        push_database(L);
    } else if (strcmp(key, "protocol") == 0) {
        lua_pushstring(L, work->protocol);
    } else if (strcmp(key, "request_id") == 0 || strcmp(key, "trace_id") == 0) {
        push_str(L, work->id);
    } else if (strcmp(key, "peer") == 0) {
        push_str(L, work->peer);
    } else if (strcmp(key, "request_extensions") == 0 && work->extensions) {
        plua_push_json(L, work->extensions);
    } else if (strcmp(key, "loaders") == 0) {
        plua_loaders_push(L, work);
    } else if (strcmp(key, "certificate") == 0 && work->certificate) {
        push_certificate(L, work->certificate);
    } else {
        return work->rpc && plua_rpc_field(L, key, work);
    }
    return true;
}

/* Seconds left until the deadline; changes with time, so it is not kept. */
static int push_deadline(lua_State *L, const pl_work *work)
{
    pl_host *host = plua_state_of(L)->head.host;
    if (work->deadline == 0 || !host)
        return 0;
    uint64_t now = host->ops->now(host);
    lua_pushnumber(L, now >= work->deadline ? 0 : (lua_Number)(work->deadline - now) / 1000.0);
    return 1;
}

static int ctx_index(lua_State *L)
{
    pl_work *work = plua_ctx_work(L, 1);
    if (!work || lua_type(L, 2) != LUA_TSTRING)
        return 0;
    const char *key = lua_tostring(L, 2);
    if (push_library(L, key)) /* not kept: ctx is small, and it is there at once */
        return 1;
    if (strcmp(key, "deadline") == 0)
        return push_deadline(L, work);
    if (!push_field(L, key, work))
        return 0;
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

void plua_open_context(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, ctx_index);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "perilune.ctx");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0); /* shared by all */
    lua_setfield(L, -2, "__metatable");
    st->ctx_meta = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* What belongs to one work and is not handed down. */
static bool is_own(lua_State *L, int key)
{
    static const char *const own[] = {"loaders",          "request_id", "trace_id", "extensions",
                                      "response_headers", "trailers",   "metadata", "send",
                                      "send_headers",     "receive",    "messages"};
    const char *name = lua_type(L, key) == LUA_TSTRING ? lua_tostring(L, key) : "";
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strcmp(name, own[i]) == 0)
            return true;
    }
    return false;
}

/* stack: ctx → ctx, with what stands in the parent's ctx: ctx.user, above all */
static void copy_parent(lua_State *L, const pl_work *parent)
{
    if (!parent || parent->ctx == PL_REF_NONE)
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, parent->ctx);
    lua_pushnil(L);
    while (lua_next(L, -2)) { /* stack: ctx parent key value */
        if (!is_own(L, -2)) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, -6);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* Little is kept in the ctx of an event, of which there are many at a time. */
static bool is_event(const pl_work *work)
{
    return work->protocol && strcmp(work->protocol, "event") == 0;
}

void plua_ctx_push(plua_state *st, pl_work *work)
{
    lua_State *L = st->L;
    if (work->ctx != PL_REF_NONE) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, work->ctx);
        return;
    }
    if (!make_room(st))
        plua_throw(L);
    lua_createtable(L, 0, is_event(work) ? 0 : 4); /* stack: ctx */
    copy_parent(L, work->parent);
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->ctx_meta);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    work->ctx = luaL_ref(L, LUA_REGISTRYINDEX);
    works_add(st, work, lua_topointer(L, -1)); /* from here on plua_ctx_end undoes it */
}

void plua_ctx_end(plua_state *st, pl_work *work)
{
    lua_State *L = st->L;
    plua_loaders_end(work);
    plua_queues_end(work);
    plua_remotes_end(work);
    if (work->ctx == PL_REF_NONE)
        return;
    works_remove(st, work);
    luaL_unref(L, LUA_REGISTRYINDEX, work->ctx);
    work->ctx = PL_REF_NONE;
}
