/* SPDX-License-Identifier: MIT */
#include "bindings/lua/plain/plain.h"

/* What `require` finds in perilune.so. */

#define EXPORT __attribute__((visibility("default")))
/* name as in the symbol, with _ for dots */
#define MODULE(name, open)                            \
    EXPORT int luaopen_perilune_##name(lua_State *L); \
    EXPORT int luaopen_perilune_##name(lua_State *L)  \
    {                                                 \
        plua_plain_open(L);                           \
        return open(L);                               \
    }

static int open_proto(lua_State *L)
{
    plua_open_proto(L);
    plua_add_descriptors(L);
    return 1;
}

MODULE(core, plua_open_core)
MODULE(json, plua_open_json)
MODULE(log, plua_open_log)
MODULE(time, plua_open_time)
MODULE(crypto, plua_open_crypto)
MODULE(proto_core, open_proto)

/* --- what cannot be without the server --- */

/* stack: the module's name, as require passes it */
static int needs_server(lua_State *L)
{
    return luaL_error(L,
                      "%s needs the server: it is there in an application that runs under `perilune run` or "
                      "`perilune test`, not in plain Lua",
                      luaL_checkstring(L, 1));
}

#define SERVER_MODULE(name)                           \
    EXPORT int luaopen_perilune_##name(lua_State *L); \
    EXPORT int luaopen_perilune_##name(lua_State *L)  \
    {                                                 \
        return needs_server(L);                       \
    }

SERVER_MODULE(auth)
SERVER_MODULE(auth_core)
SERVER_MODULE(breaker)
SERVER_MODULE(breaker_core)
SERVER_MODULE(cache)
SERVER_MODULE(consumer)
SERVER_MODULE(events)
SERVER_MODULE(events_core)
SERVER_MODULE(grpc)
SERVER_MODULE(grpc_core)
SERVER_MODULE(health)
SERVER_MODULE(inbox)
SERVER_MODULE(metrics)
SERVER_MODULE(metrics_core)
SERVER_MODULE(outbox)
SERVER_MODULE(pubsub)
SERVER_MODULE(pubsub_core)
SERVER_MODULE(registry)
SERVER_MODULE(registry_core)
SERVER_MODULE(shared)
SERVER_MODULE(sourcing)
SERVER_MODULE(sqlite)
SERVER_MODULE(sqlite_core)
SERVER_MODULE(streams)
SERVER_MODULE(streams_core)
SERVER_MODULE(test)
SERVER_MODULE(test_core)
SERVER_MODULE(topics)
SERVER_MODULE(topics_core)
