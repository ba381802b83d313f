/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_MOUNT_H
#define PL_NET_MOUNT_H

#include "net/edge.h"

/* The HTTP edge as a guest in a program that runs h2o itself: requests for some paths are the edge's, and all
 * else is the host's: listeners, connections and their limits, TLS, other paths, errors before a path is
 * chosen.
 *
 * A mount at /api takes that path and what is below: the service sees /api/healthz as /healthz. The path
 * itself is the service's main path (pl_http_settings.main_path), so that a mount at /gql has it there; what
 * the service does not know below the mount it is asked for once more below its main path. A mount at / takes
 * nothing off.
 *
 * What of net/edge.h is not as said there:
 * - Connections are not counted, refused, or closed for being idle or slow to ask, and bodies are received
 *   within the host's bounds (max_request_entity_size); more than max_body is answered with 413 then, and an
 *   upload's may be as large as both allow.
 * - A client that does not read its answer in time is cut over HTTP/1.1. Over HTTP/2, where the connection
 *   has others' requests, the service is told of an answer in pieces that it is over; the rest is the host's.
 * - Draining leaves connections open. What is in hand when its time is over is ended with its connection.
 * - Certificates of clients are known where the host's SSL_CTX asks for them and verifies them.
 * - The host's h2o keeps at least 100 as max_concurrent_requests_per_connection of HTTP/2, which is its
 *   standard: with less, it calls handlers while it destroys a connection, and comes to grief.
 *
 * A socket's on_close is used as soon as a request of the edge's has come by it. What the host has set there
 * before is called, too; it must not set it later. */

struct st_h2o_hostconf_t;
struct st_h2o_context_t;

/* The paths of one service in one h2o configuration: made with the configuration, before any context. Freed
 * after the edges; before or after the configuration. */
typedef struct pl_mounts pl_mounts;
pl_mounts *pl_mounts_new(void); /* NULL: memory */
void pl_mounts_free(pl_mounts *mounts);
/* gone(data, context) is called when the host disposes of a context, on the thread that does, for each path.
 * An edge that is there still has to be freed then. */
void pl_mounts_on_dispose(pl_mounts *mounts, void (*gone)(void *data, struct st_h2o_context_t *context),
                          void *data);
/* Registers the path, or takes the one that the host has registered with this spelling; behind handlers that
 * are there. h2o takes the first path of a host that suits, in the order of registration. path: "/", or
 * "/api"; a slash at the end does not count. INVALID_ARGUMENT: it does not begin with a slash. */
pl_code pl_mounts_add(pl_mounts *mounts, struct st_h2o_hostconf_t *host, const char *path, pl_error *err);

/* As pl_edge_new, for one context and the loop that was joined with it; addresses of config are not used.
 * FAILED_PRECONDITION: the context was made before a path was added. Until there is an edge, and after it is
 * gone, requests get 503. Freed on the loop's thread, not in a callback of h2o's. */
pl_edge *pl_edge_mount(pl_loop *loop, struct st_h2o_context_t *context, pl_mounts *mounts,
                       const pl_edge_config *config, pl_http_service *service, pl_logger *log, pl_error *err);

#endif
