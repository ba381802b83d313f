/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_GRAPHQL_HTTP_H
#define PL_APP_GRAPHQL_HTTP_H

#include "app/endpoint.h"
#include "app/instance.h"

/* GraphQL over HTTP: what the request asks for (graphql_read.h) is run on the live instance, and answered as
 * the Accept header allows: one payload as JSON; several (@defer, @stream, subscriptions) as multipart/mixed
 * or server-sent events. Status codes are what the graphql-http audits ask for: application/json answers 200
 * to every well-formed GraphQL request; application/graphql-response+json answers 400 where there is no data;
 * what an interceptor raises has the status of its code. */
void pl_graphql_http(pl_endpoint *endpoint, pl_http_request *request);

#endif
