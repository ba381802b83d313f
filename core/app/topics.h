/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_TOPICS_H
#define PL_APP_TOPICS_H

#include "app/instance.h"
#include "app/pubsub.h"

/* Topics of Kafka that scripts subscribe to (pl_host_ops.subscribe_topic). Each topic has one reader for the
 * whole server, without a group, so that each server reads all partitions: what is published on one server
 * comes to the subscribers of all.
 *
 *   reader, on the topic's home worker ── pl_pubsub_feed ──> subscribers, on all workers
 *
 * The reader is opened for the first subscriber, and closed when there has been none for a while. It belongs
 * to no generation. When too much is under way to subscribers, it takes no more until there is room. */
typedef struct pl_topics_hub pl_topics_hub; /* of a server; thread-safe */
typedef struct pl_topics pl_topics;         /* a worker's part; on its thread */

/* linger_ms: how long a reader stays without subscribers; 0 is 30,000. NULL: memory. */
pl_topics_hub *pl_topics_hub_new(pl_pubsub_hub *pubsub, unsigned linger_ms);
void pl_topics_hub_free(pl_topics_hub *hub); /* all parts are freed; NULL is fine */

/* NULL: memory. */
pl_topics *pl_topics_join(pl_topics_hub *hub, pl_pubsub *pubsub, pl_loop *loop, pl_logger *log);
/* After pl_pubsub_leave, before pl_loop_free: its readers are closed. NULL is fine. */
void pl_topics_leave(pl_topics *topics);
void pl_topics_free(pl_topics *topics); /* after pl_loop_free; NULL is fine */
/* Topics are read with this instance's settings from now on; what is being read goes on where it is. */
void pl_topics_adopt(pl_topics *topics, const pl_instance *instance);

/* As pl_host_ops has them. */
pl_code pl_topics_subscribe(pl_topics *topics, pl_instance *instance, pl_str topic, pl_subscriber *subscriber,
                            pl_error *err);
pl_code pl_topics_state(pl_topics *topics, pl_str topic, bool *placed, pl_error *err);

typedef struct pl_topics_stats {
    unsigned readers;
    uint64_t events;
    int64_t lag;
} pl_topics_stats;
pl_topics_stats pl_topics_get_stats(const pl_topics *topics); /* of those that are at home here */

#endif
