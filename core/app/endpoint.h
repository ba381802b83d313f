/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_ENDPOINT_H
#define PL_APP_ENDPOINT_H

#include "net/edge.h"
#include "value/engine.h"

/* What the GraphQL transports of a worker share: HTTP (graphql_http.c) and WebSocket (graphql_ws.c). */
typedef struct pl_endpoint_link {
    struct pl_endpoint_link *prev, *next;
    void (*drain)(struct pl_endpoint_link *link); /* the server ends: so must this, properly */
} pl_endpoint_link;

typedef struct pl_endpoint {
    pl_host *host; /* the worker's */
    pl_logger *log;
    struct pl_instance *live;
    pl_endpoint_link lasting; /* streams and connections that go on until they are told to end: a ring */
    bool draining;
    unsigned operations; /* in hand, but for subscriptions that have their source */
} pl_endpoint;

static inline void pl_endpoint_init(pl_endpoint *endpoint, pl_host *host, pl_logger *log)
{
    *endpoint = (pl_endpoint){.host = host, .log = log};
    endpoint->lasting.next = endpoint->lasting.prev = &endpoint->lasting;
}

static inline void pl_endpoint_add(pl_endpoint *endpoint, pl_endpoint_link *link)
{
    link->prev = endpoint->lasting.prev;
    link->next = &endpoint->lasting;
    link->prev->next = link;
    endpoint->lasting.prev = link;
}

static inline void pl_endpoint_remove(pl_endpoint_link *link)
{
    if (!link->next)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

/* Each ends, or takes itself out of the ring. */
static inline void pl_endpoint_drain(pl_endpoint *endpoint)
{
    endpoint->draining = true;
    while (endpoint->lasting.next != &endpoint->lasting) {
        pl_endpoint_link *link = endpoint->lasting.next;
        pl_endpoint_remove(link);
        link->drain(link);
    }
}

#endif
