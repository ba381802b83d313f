/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_H2O_H
#define PERILUNE_H2O_H

#include "perilune.h"

/* Perilune in a program that runs libh2o 2.2 itself, with its own configuration, hosts and loops: GraphQL
 * with WebSocket, server-sent events and the IDE page, gRPC-Web, Connect and health, below paths of its
 * hosts, next to its other handlers. Scripts run on the program's own loop threads. docs/h2o.md is the guide,
 * examples/embed-h2o a whole program. The steps:
 *
 *   1. pl_app_new, with h2o_contexts in its options: the number of loops.
 *   2. pl_h2o_mount for each path, while h2o is configured: before any context is made.
 *   3. pl_app_start.
 *   4. In each loop's thread: h2o_context_init, pl_h2o_attach, and the loop.
 *   5. At the end, in each loop's thread: pl_h2o_detach. Then pl_app_free.
 *
 * pl_app_reload and the other functions of perilune.h may be called on any thread, also on a loop's.
 *
 * The program ignores SIGPIPE, as all programs with h2o must. It turns its loops with h2o_evloop_run.
 * Connections, their limits and timeouts, TLS, and bounds of bodies (max_request_entity_size) are the
 * program's. A socket's on_close is used from the first request for the app on: what the program has set
 * before, as it accepted the connection, is called, too; it must not set it later. */

#ifdef __cplusplus
extern "C" {
#endif

/* h2o_hostconf_t, h2o_context_t, SSL_CTX */
struct st_h2o_hostconf_t;
struct st_h2o_context_t;
struct ssl_ctx_st;

/* Serves the app at a path of a host: "/graphql", or "/api". The path itself is GraphQL, whatever http.path
 * in app.lua says; below it is all that the app would serve on an HTTP port of its own: with "/api" GraphQL
 * is at /api and /api/graphql, health at /api/healthz, and a method by gRPC-Web or Connect at
 * /api/user.v1.UserService/GetUser. "/" takes the place of such a port: GraphQL is at /graphql.
 *
 * If the host has registered this very path, the app's handler comes behind the handlers there, and the
 * filters and loggers there are its; otherwise the path is registered. h2o takes the first path that suits,
 * in the order in which a program registers them: so "/" comes last. Between pl_app_new and the first
 * h2o_context_init. error as in perilune.h. INVALID_ARGUMENT: the path does not begin with a slash;
 * RESOURCE_EXHAUSTED. */
PL_API pl_code pl_h2o_mount(pl_app *app, struct st_h2o_hostconf_t *host, const char *path, char *error,
                            size_t error_size);

/* Makes the context's loop one of the app's: from now on its requests are served. On the loop's thread, not
 * in a callback of h2o's, once for each context; the app has been started. FAILED_PRECONDITION: it has not
 * been, a path was mounted after the context was made, or all of options.h2o_contexts are attached;
 * RESOURCE_EXHAUSTED. */
PL_API pl_code pl_h2o_attach(pl_app *app, struct st_h2o_context_t *context, char *error, size_t error_size);

/* Serves native gRPC on a listening socket, on this loop; the same socket may be given to each loop. With
 * tls, whose ALPN chooses "h2", connections are encrypted; NULL: they are not. The descriptor is duplicated,
 * and a reference to tls kept. On the loop's thread, once for each context, not in a callback of h2o's.
 * (options.grpc, instead, has the app open sockets for all loops.) FAILED_PRECONDITION: the context is not
 * attached, or gRPC is served there; INVALID_ARGUMENT: it is no listening socket; RESOURCE_EXHAUSTED. */
PL_API pl_code pl_h2o_listen_grpc(pl_app *app, struct st_h2o_context_t *context, int fd,
                                  struct ssl_ctx_st *tls, char *error, size_t error_size);

/* Takes the loop from the app: streams and WebSockets are told to end, and what is in hand is finished, for
 * up to timeout_ms, while this function turns the loop, with everything of the program's on it; the rest is
 * cut. From then on requests get 503. Connections stay open. On the loop's thread, not in a callback of
 * h2o's, before h2o_context_dispose and pl_app_stop; a program that ends stops accepting and calls
 * h2o_context_request_shutdown first. The context cannot be attached again. One that is not attached: nothing
 * is done. (h2o_context_dispose of one that is attached still, and has paths, cuts all that is in hand.) */
PL_API void pl_h2o_detach(pl_app *app, struct st_h2o_context_t *context, unsigned timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
