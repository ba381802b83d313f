/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_GRPC_ENDPOINT_H
#define PL_APP_GRPC_ENDPOINT_H

#include "app/instance.h"
#include "grpc/server.h"
#include "grpc/session.h"
#include "net/bytestream.h"

/* gRPC on a worker: joins byte connections (net) with HTTP/2 sessions and calls (grpc). What the sessions of
 * a turn of the loop have to send is written once, at its end. */
typedef struct pl_grpc_endpoint pl_grpc_endpoint;

/* Errors: RESOURCE_EXHAUSTED. */
pl_grpc_endpoint *pl_grpc_endpoint_new(pl_loop *loop, const pl_bytes_config *config,
                                       pl_bytes_listeners *listeners, unsigned worker, pl_logger *log,
                                       pl_error *err);
/* Services in C; before the first connection, and for as long as the endpoint is there. */
void pl_grpc_endpoint_set_native(pl_grpc_endpoint *endpoint, pl_grpc_service *native);
/* Calls begin on this instance from now on, and connections with its settings. */
void pl_grpc_endpoint_adopt(pl_grpc_endpoint *endpoint, pl_instance *instance);
/* No more connections and calls; done(data) when the last connection has gone, or after timeout_ms, when the
 * rest is cut. */
void pl_grpc_endpoint_drain(pl_grpc_endpoint *endpoint, unsigned timeout_ms, void (*done)(void *data),
                            void *data);
/* Cuts what is left. NULL is fine. */
void pl_grpc_endpoint_free(pl_grpc_endpoint *endpoint);

typedef struct pl_grpc_endpoint_stats {
    unsigned connections, calls;
    uint64_t calls_total, failed_total, refused_total; /* refused: connections */
    uint64_t floods_total;                             /* connections that were ended for flooding */
    size_t held;                                       /* bytes of requests that scripts have not taken */
} pl_grpc_endpoint_stats;
/* For channelz. */
typedef struct pl_grpc_endpoint_socket {
    uint64_t id; /* of no other connection of the server */
    const pl_connection *connection;
    const pl_grpc_session *session;
} pl_grpc_endpoint_socket;
/* Calls fn for each connection; ids fall. */
void pl_grpc_endpoint_each(const pl_grpc_endpoint *endpoint,
                           void (*fn)(void *data, const pl_grpc_endpoint_socket *socket), void *data);
/* An id for a channel of the worker's clients, made of one that counts: of no connection, and of no other
 * worker's. */
uint64_t pl_grpc_endpoint_channel_id(const pl_grpc_endpoint *endpoint, uint64_t count);
/* What it listens on: plain, and TLS; NULL: not at all. They live as long as the listeners. */
void pl_grpc_endpoint_get_addresses(const pl_grpc_endpoint *endpoint, const char *out[2]);
pl_grpc_server_stats pl_grpc_endpoint_get_server_stats(const pl_grpc_endpoint *endpoint);
pl_grpc_endpoint_stats pl_grpc_endpoint_get_stats(const pl_grpc_endpoint *endpoint);

#endif
