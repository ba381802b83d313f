/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_OPERATION_H
#define PL_APP_OPERATION_H

#include "app/instance.h"

/* An operation in hand, whatever transport it came by: a request, the instance that runs it, and a receiver
 * of its payloads.
 *
 * A subscription outlives the generation that it began on: when a newer one is live, it is begun anew there;
 * as soon as it has its source, the old one gives what it has still to give and ends, and the new one goes
 * on. The receiver sees one stream. Where that cannot be (the document is not valid any more, an interceptor
 * refuses, or the newer one has no schema), what waits in the old queue is given first, then the
 * stream ends with an error that says so. Queries and mutations end on the generation that they
 * began on. */
typedef struct pl_operation pl_operation;

typedef struct pl_operation_config {
    pl_instance *instance;
    const gql_request *request; /* copied; what it points to outlives the operation */
    const pl_work *work;        /* the same; the operation lives in its arena */
    pl_host *host;              /* of the worker: outlives instances */
    /* As gql_run_payload. After the one without has_next the operation is gone, when the call returns at the
     * latest. */
    void (*payload)(void *data, const gql_payload *payload);
    void *data;
    struct pl_endpoint *endpoint; /* whose operations are counted; NULL: no bound */
    pl_operation **place;         /* is set before the first payload; may be NULL */
} pl_operation_config;

/* NULL when it was over before this returns (payload has been called, also where memory was short, or as many
 * operations as graphql.max_operations allows are in hand: subscriptions count until they have their source).
 */
pl_operation *pl_operation_start(const pl_operation_config *config);
void pl_operation_cancel(pl_operation *operation); /* no payload will come */
/* A subscription's receiver cannot take more for the time being. Let go, it may give payloads, and end,
 * before this returns. */
void pl_operation_hold(pl_operation *operation, bool hold);

/* What scripts have put into ctx.response_headers; while the first payload is handed out, in the operation's
 * arena. */
const pl_header *pl_operation_headers(const pl_operation *operation, size_t *count);

/* Subscriptions of an instance that is not live any more go over to the live one, a slice at each turn. */
void pl_operations_rebase(pl_instance *retired, pl_instance *live);
/* Ends all that is still in hand on the instance, with UNAVAILABLE. */
void pl_operations_end(pl_instance *instance);

#endif
