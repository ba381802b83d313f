/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_GRAPHQL_SSE_H
#define PL_APP_GRAPHQL_SSE_H

#include "app/endpoint.h"
#include "app/sse_hub.h"

/* The single connection mode of graphql-sse, for clients that may have few connections: one event stream for
 * all operations.
 *
 *   PUT                                  reserves a token: 201, the token is the body
 *   GET    token, Accept: text/event-stream   opens the stream: 200; 404: no such token; 409: open already
 *   POST   token, extensions.operationId      begins an operation: 202; its events come over the stream as
 *                                             {"id":…,"payload":…}, then complete {"id":…}
 *   DELETE token, ?operationId=               stops one: 200
 *
 * The token is the header x-graphql-event-stream-token, or the parameter token. */
typedef struct pl_sse pl_sse; /* a worker's */

pl_sse *pl_sse_new(pl_sse_hub *hub, pl_loop *loop, pl_endpoint *endpoint); /* NULL: memory */
void pl_sse_end(pl_sse *sse);  /* before pl_loop_free; its streams have ended */
void pl_sse_free(pl_sse *sse); /* after it; NULL is fine */
/* False: the request is none of this mode. */
bool pl_sse_handle(pl_sse *sse, pl_http_request *request);

#endif
