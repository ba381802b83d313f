/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_GRAPHQL_WS_H
#define PL_APP_GRAPHQL_WS_H

#include "app/endpoint.h"

/* GraphQL over WebSocket (ws_session.h has the protocols), on the GraphQL path. The interceptors run once for
 * connection_init, with ctx.operation_kind "connection" and ctx.connection_params, and again around each
 * operation of the connection, where ctx.connection_params is the same. ctx.expires_at (seconds of the Unix
 * time), set by an interceptor of the connection, closes the socket at that time with 4403. */

/* Takes a request that pl_http_is_websocket says yes to. */
void pl_graphql_ws(pl_endpoint *endpoint, pl_http_request *request);

#endif
