/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_WORKER_H
#define PL_APP_WORKER_H

#include "app/consumers.h"
#include "app/events.h"
#include "app/generation.h"
#include "app/grpc_endpoint.h"
#include "app/pubsub.h"
#include "app/topics.h"
#include "base/stats.h"
#include "grpc/client/stats.h"
#include "net/edge.h"

/* A worker: a thread with a loop, an HTTP edge and the live instance. The main thread talks to it by messages
 * only. */
typedef struct pl_worker pl_worker;

typedef struct pl_worker_config {
    unsigned index;
    const pl_edge_config *edge;
    pl_listeners *listeners;
    const pl_bytes_config *grpc;
    pl_bytes_listeners *grpc_listeners; /* NULL: no gRPC */
    pl_helpers *helpers;
    pl_logger *log;
    struct pl_shared *shared;
    struct pl_pubsub_hub *hub;           /* outlives the worker */
    struct pl_topics_hub *topics;        /* the same */
    struct pl_sse_hub *streams;          /* the same */
    struct pl_builtin_hub *builtin;      /* the same */
    struct pl_response_cache *responses; /* the same; NULL: nothing is cached */
    struct pl_metrics_hub *metrics;      /* the same */
    pl_listeners *metrics_listeners;     /* metrics have an address of their own; worker 0 takes it */
    const char *metrics_address;
    unsigned drain_ms; /* how long what began on an older generation may go on; then it is cancelled */
    /* Called on the worker's thread when a retired instance has nothing in hand any more: the owner frees it,
     * on a thread of its own. */
    void (*instance_done)(void *owner,
                          pl_instance *instance); /* at the end of the worker, for the live one too */
    void *owner;
} pl_worker_config;

pl_worker *pl_worker_new(const pl_worker_config *config, pl_error *err);
/* Starts the thread, with instance as the live one; returns when it accepts connections. */
pl_code pl_worker_start(pl_worker *worker, pl_instance *instance, pl_error *err);

/* Makes instance the live one, between two turns of the loop; returns when the worker has done so. */
void pl_worker_adopt_begin(pl_worker *worker, pl_instance *instance);
void pl_worker_adopt_wait(pl_worker *worker);

typedef struct pl_worker_status {
    pl_edge_stats edge;
    pl_grpc_endpoint_stats grpc;
    pl_client_stats clients;
    pl_pubsub_stats events;
    pl_events_stats published;
    pl_consumers_stats consumers;
    pl_topics_stats topics;
    unsigned count;
    struct {
        uint64_t generation;
        unsigned in_flight;
        size_t memory;
    } instances[16];
} pl_worker_status;
void pl_worker_status_get(pl_worker *worker, pl_worker_status *out);
/* Adds the worker's metrics. False: memory. */
bool pl_worker_metrics_get(pl_worker *worker, pl_stats *into);

/* Ends: no new connections, those there are are given timeout_ms to finish. Wait joins the thread. */
void pl_worker_stop_begin(pl_worker *worker, unsigned timeout_ms);
void pl_worker_stop_wait(pl_worker *worker);
void pl_worker_free(pl_worker *worker); /* stopped, or never started; NULL is fine */

#endif
