/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_RPC_HTTP_H
#define PL_APP_RPC_HTTP_H

#include "app/instance.h"
#include "grpc/server.h"
#include "net/edge.h"

/* Services on the HTTP port of a worker: gRPC-Web and Connect. Each request is a stream (grpc/stream.h) whose
 * body is there as a whole; answers are sent at the end of the loop's turn, so that what a turn has written
 * goes out at once, and nothing here calls the edge from inside of a script. */
typedef struct pl_rpc_http pl_rpc_http;

pl_rpc_http *pl_rpc_http_new(pl_host *host, pl_logger *log); /* NULL: memory */
/* Calls begin on this instance from now on. */
void pl_rpc_http_adopt(pl_rpc_http *rpc, pl_instance *instance);
/* Answers the request, now or later. False: it is none for services. */
bool pl_rpc_http_handle(pl_rpc_http *rpc, pl_http_request *http);
/* Who answers their calls, for requests that come another way. */
pl_grpc_server *pl_rpc_http_server(pl_rpc_http *rpc);
/* After the edge, which has cancelled what was in hand. NULL is fine. */
void pl_rpc_http_free(pl_rpc_http *rpc);
pl_grpc_server_stats pl_rpc_http_get_stats(const pl_rpc_http *rpc);

#endif
