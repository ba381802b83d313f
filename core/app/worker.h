/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_WORKER_H
#define PL_APP_WORKER_H

#include "app/consumers.h"
#include "app/direct.h"
#include "app/events.h"
#include "app/generation.h"
#include "app/grpc_endpoint.h"
#include "app/pubsub.h"
#include "app/topics.h"
#include "app/worker_control.h"
#include "base/stats.h"
#include "grpc/client/stats.h"
#include "net/edge.h"
#include "net/mount.h"

/* A worker: a loop, an HTTP edge and the live instance, on one thread. The thread is its own
 * (pl_worker_start); or the worker is attached to a loop that another program's thread turns
 * (pl_worker_attach). Other threads talk to it by requests only, which the worker takes up between two turns.
 */
typedef struct pl_worker pl_worker;

typedef struct pl_worker_config {
    unsigned index;
    pl_worker_control *control; /* outlives the worker */
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

/* Where requests by HTTP come from: paths of a program that runs h2o itself (net/mount.h). */
typedef struct pl_worker_place {
    struct st_h2o_context_t *context;
    pl_mounts *mounts;
} pl_worker_place;
/* Attaches the worker to a loop, with instance as the live one, on the thread that turns it. place NULL: what
 * its listeners bring, if there are any. The loop is the
 * worker's from then on (also after an error, when it has been freed): it is freed at the end. Everything of
 * the worker then happens in turns of that loop. */
pl_code pl_worker_attach(pl_worker *worker, pl_loop *loop, const pl_worker_place *place,
                         pl_instance *instance, pl_error *err);
/* Ends an attached worker, on its thread: no new connections, what is in hand has timeout_ms. When that is
 * done, in a turn of the loop, all of it is torn down and the loop freed, and then done(data) is called, from
 * which the worker may be freed. Jobs of helper threads that cannot be stopped are waited for. False: it is
 * not attached (any more). */
bool pl_worker_detach(pl_worker *worker, unsigned timeout_ms, void (*done)(void *data), void *data);
/* The same at once, cutting what is in hand, before this returns; not from inside of the worker's own
 * functions. */
void pl_worker_detach_now(pl_worker *worker);
/* Has the worker ended, for an owner that ends: turns its loop until that is done, when this is its thread
 * (cuts it at once on a foreign loop); waits for its thread to detach it otherwise. */
void pl_worker_end_attached(pl_worker *worker, unsigned timeout_ms);
/* The thread that turns the loop from now on is the calling one: one at a time. */
void pl_worker_move_here(pl_worker *worker);
bool pl_worker_is_attached(const pl_worker *worker);
bool pl_worker_is_running(const pl_worker *worker); /* started or attached, and not torn down; its thread */
/* For those who bring requests to it another way; its thread. NULL: it is not running. */
pl_loop *pl_worker_loop(pl_worker *worker);
pl_http_service *pl_worker_http(pl_worker *worker);
struct pl_endpoint *pl_worker_endpoint(pl_worker *worker);
/* Serves gRPC on these listeners, too, which are the worker's then, also after an error. On its thread.
 * FAILED_PRECONDITION: it serves gRPC already. */
pl_code pl_worker_listen_grpc(pl_worker *worker, pl_bytes_listeners *listeners, pl_error *err);
unsigned pl_worker_index(const pl_worker *worker);

/* Makes instance the live one, between two turns of the loop; wait returns when the worker has done so.
 * False: the worker does not run, or has ended meanwhile, and has not taken it. */
bool pl_worker_adopt_begin(pl_worker *worker, pl_instance *instance);
bool pl_worker_adopt_wait(pl_worker *worker);
/* As pl_loop_post to its loop, from any thread. False: the worker does not run, and the message is not taken.
 * One that is taken is run, at the end of the worker if need be, when pl_worker_is_running is false. */
bool pl_worker_post(pl_worker *worker, pl_message *message);

/* Has the worker carry out a request of the host program (direct.h), from any thread. False: it does not run,
 * and the request is still the caller's. */
bool pl_worker_direct(pl_worker *worker, pl_direct_request *request);

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
/* Any thread; all zero when the worker does not run. */
void pl_worker_status_get(pl_worker *worker, pl_worker_status *out);
/* Adds the worker's metrics, if it runs. Any thread. False: memory. */
bool pl_worker_metrics_get(pl_worker *worker, pl_stats *into);

/* Ends one with a thread: no new connections, those there are are given timeout_ms to finish. Wait joins the
 * thread. */
void pl_worker_stop_begin(pl_worker *worker, unsigned timeout_ms);
void pl_worker_stop_wait(pl_worker *worker);
bool pl_worker_is_own_thread(const pl_worker *worker); /* the calling one is that of pl_worker_start */
void pl_worker_free(pl_worker *worker);                /* stopped, detached, or never started; NULL is fine */

#endif
