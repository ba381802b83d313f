/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SERVER_INTERNAL_H
#define PL_APP_SERVER_INTERNAL_H

/* What server.c and server_status.c share. */

#include "app/metrics_hub.h"
#include "app/response_cache.h"
#include "app/server.h"

struct pl_server {
    pl_server_config config;
    pl_helpers *helpers;
    pl_listeners *listeners;
    pl_bytes_listeners *grpc_listeners; /* NULL: none */
    pl_listeners *metrics_listeners;    /* the same */
    struct pl_shared *shared;
    struct pl_pubsub_hub *hub;
    struct pl_topics_hub *topics;
    struct pl_sse_hub *streams;
    pl_response_cache *responses;
    struct pl_compiled_cache *compiled;
    struct pl_proto_cache *protos;
    struct pl_builtin_hub *builtin;
    pl_metrics_hub *metrics;
    struct pl_watchdog *watchdog;
    struct pl_broker *broker;            /* the embedded one; NULL until a generation uses it */
    unsigned worker_count, thread_count; /* those with threads come first */
    uint64_t last_id;
    unsigned turn; /* whose turn it is to get a direct request; atomic */
    struct timespec started_at;
    int event_fd;
    pthread_t keeper;
    bool keeping, keeper_ends;
    pl_worker_control control; /* with its lock, that of what follows */
    pl_worker **workers;       /* NULL: not attached yet */
    pl_generation *live;
    pl_generation *old;  /* list: those that are drained */
    pl_bundle *previous; /* for rollback */
    uint64_t reloads, refused;
    bool changing, stopping;
    pl_instance *returned; /* instances that workers have done with */
};

static inline void pl_server_lock(pl_server *s)
{
    pthread_mutex_lock(&s->control.lock);
}

static inline void pl_server_unlock(pl_server *s)
{
    pthread_mutex_unlock(&s->control.lock);
}

/* For those who ask workers. */
pl_metrics_facts pl_server_facts(pl_server *server);

#endif
