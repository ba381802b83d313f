/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_PUBSUB_H
#define PL_APP_PUBSUB_H

#include "net/loop.h"
#include "value/engine.h"

/* Events between all workers and generations of a server: what is published reaches each worker as a message,
 * and there the subscribers of its topic. Events of one publisher arrive in order. Nothing is kept: who
 * subscribes later has missed what was before. */
typedef struct pl_pubsub_hub pl_pubsub_hub; /* of a server; thread-safe */
typedef struct pl_pubsub pl_pubsub;         /* a worker's part; on its thread */

/* max_bytes: of events that are under way to workers, all together; 0 is 64 MiB. NULL: memory. */
pl_pubsub_hub *pl_pubsub_hub_new(size_t max_bytes);
void pl_pubsub_hub_free(pl_pubsub_hub *hub); /* all parts are freed; NULL is fine */

/* NULL: memory. */
pl_pubsub *pl_pubsub_join(pl_pubsub_hub *hub, pl_loop *loop);
/* Before pl_loop_free: no more messages come. Its subscribers are ended. */
void pl_pubsub_leave(pl_pubsub *pubsub);
void pl_pubsub_free(pl_pubsub *pubsub); /* after pl_loop_free; NULL is fine */

/* As pl_host_ops has them. host names whose subscriber it is. */
int pl_pubsub_subscribe(pl_pubsub *pubsub, pl_host *host, pl_str topic, pl_subscriber *subscriber);
void pl_pubsub_unsubscribe(pl_pubsub *pubsub, pl_subscriber *subscriber);
pl_code pl_pubsub_publish(pl_pubsub *pubsub, pl_str topic, pl_str json, pl_error *err);
/* Events of a topic of Kafka, or (incoming NULL) the news that its state has changed, to subscribers of
 * `topic`. From any thread. RESOURCE_EXHAUSTED: try again later, subscribers are slower than the topic. */
struct pl_incoming;
pl_code pl_pubsub_feed(pl_pubsub_hub *hub, pl_str topic, const struct pl_incoming *incoming, pl_error *err);
bool pl_pubsub_has(const pl_pubsub *pubsub, pl_str topic); /* subscribers, on this worker */
/* gone(data, topic) when the last subscriber of a topic on this worker has gone; it may not subscribe. */
void pl_pubsub_on_gone(pl_pubsub *pubsub, void (*gone)(void *data, pl_str topic), void *data);
/* Ends the subscribers of a host that belong to the work, or whose work was made for it (NULL: all of the
 * host). */
void pl_pubsub_end(pl_pubsub *pubsub, const pl_host *host, const pl_work *work);

typedef struct pl_pubsub_stats {
    size_t topics, subscribers;
    uint64_t delivered, dropped;
} pl_pubsub_stats;
pl_pubsub_stats pl_pubsub_get_stats(const pl_pubsub *pubsub);

#endif
