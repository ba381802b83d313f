/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_SERVER_H
#define PL_GRPC_SERVER_H

#include "grpc/service.h"
#include "grpc/stream.h"

/* Answers the streams of a worker with the methods of the service that is live: gRPC, gRPC-Web and Connect on
 * top of streams (wire.h), and scripts (call_script.c).
 *
 * A call stays with the service that it began on; others may become live meanwhile. */
typedef struct pl_grpc_server pl_grpc_server;

typedef struct pl_grpc_server_config {
    pl_host *host; /* of the worker: time and deadlines */
    pl_logger *log;
    size_t
        max_held; /* bytes of requests that have come and were not taken, of all calls; when it is reached,
                     the call that holds most and waits for more ends with RESOURCE_EXHAUSTED. 0 is 256 MiB */
    uint32_t id_prefix; /* of request ids: anything that differs between servers */
} pl_grpc_server_config;

pl_grpc_server *pl_grpc_server_new(const pl_grpc_server_config *config); /* NULL: memory */
void pl_grpc_server_free(pl_grpc_server *server);                        /* no stream may be left */
/* From now on calls begin here; NULL: nowhere (UNIMPLEMENTED). */
void pl_grpc_server_set_service(pl_grpc_server *server, pl_grpc_service *service);
/* Services in C, behind those of the live service; for as long as there are streams. */
void pl_grpc_server_set_native(pl_grpc_server *server, pl_grpc_service *native);
/* The most bytes of requests to be held, from now on. */
void pl_grpc_server_set_max_held(pl_grpc_server *server, size_t max_held);
pl_grpc_handler *pl_grpc_server_handler(pl_grpc_server *server);
/* Whether a request (of which headers, method and path are looked at) is one of the protocols', as far as it
 * can be told from that. */
bool pl_grpc_server_serves(const pl_grpc_server *server, const pl_grpc_stream *stream);

typedef struct pl_grpc_server_stats {
    unsigned calls; /* in hand */
    uint64_t calls_total, failed_total;
    uint64_t last_call_at; /* the host's time; 0: there was none */
    size_t held;
} pl_grpc_server_stats;
pl_grpc_server_stats pl_grpc_server_get_stats(const pl_grpc_server *server);

#endif
