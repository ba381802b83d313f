/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_GRAPHQL_HTTP_H
#define PL_APP_GRAPHQL_HTTP_H

#include "app/instance.h"

/* GraphQL over HTTP: reads the request (POST with JSON, GET with parameters), chooses the media type of the
 * response, runs the operation on the instance and answers. Status codes are what the graphql-http audits ask
 * for: application/json answers 200 to every well-formed GraphQL request; application/graphql-response+json
 * answers 400 where there is no data. The instance's in_flight counts the request until it is answered or its
 * client has gone. */
void pl_graphql_http(pl_instance *instance, pl_http_request *request, pl_host *host, pl_logger *log);

/* Ends all that is in hand on the instance, with UNAVAILABLE: for one that has been drained for too long. */
void pl_graphql_http_cancel_all(pl_instance *instance);

#endif
