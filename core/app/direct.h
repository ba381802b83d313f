/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_DIRECT_H
#define PL_APP_DIRECT_H

#include <perilune.h>

#include "app/endpoint.h"
#include "app/instance.h"
#include "app/rpc_http.h"
#include "net/loop.h"

/* Requests that come from the host program itself, by message instead of a socket: to a worker, which answers
 * them on its thread, in the way that it answers those of clients (limits, interceptors, generations). */
typedef struct pl_direct pl_direct;                 /* a worker's part */
typedef struct pl_direct_request pl_direct_request; /* one of them */

/* The endpoint, which says what is live, and rpc outlive it. NULL: memory. */
pl_direct *pl_direct_new(pl_endpoint *endpoint, pl_rpc_http *rpc, unsigned worker, pl_logger *log);
/* No more are taken; done(data) when those in hand have ended, perhaps at once; after timeout_ms they are
 * cancelled. */
void pl_direct_drain(pl_direct *direct, unsigned timeout_ms, void (*done)(void *data), void *data);
void pl_direct_free(pl_direct *direct); /* what is in hand is cancelled; NULL is fine */

/* A GraphQL request or a call of a unary method, which is copied. done is called once. NULL: memory, and done
 * is not called. Any thread. */
pl_direct_request *pl_direct_graphql(const pl_app_request *request, pl_app_done done, void *data);
pl_direct_request *pl_direct_method(const pl_app_request *request, pl_app_done done, void *data);
/* An event, which is copied. Published: the response is {"partition", "offset"}. Handled: by the consumers of
 * its topic, without a broker. A failure's response is its message. */
pl_direct_request *pl_direct_publish(const pl_app_event *event, pl_app_done done, void *data);
pl_direct_request *pl_direct_handle(const pl_app_event *event, pl_app_done done, void *data);
/* What has begun on this instance is cancelled, but for that which others cancel: operations and calls. */
void pl_direct_cut(pl_direct *direct, const pl_instance *instance);

/* What is to be posted to a worker's loop, and what its run does there: direct NULL refuses it, as the worker
 * has ended. The request is gone when done has been called. */
pl_message *pl_direct_message(pl_direct_request *request, void (*run)(pl_message *message), void *data);
void pl_direct_run(pl_message *message, pl_direct *direct);
/* Instead of posting it: it ends like this, or, without a message, with UNAVAILABLE, as nobody is there. */
void pl_direct_refuse(pl_direct_request *request, pl_code code, pl_str message);

#endif
