/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_PRODUCER_H
#define PL_EVENTS_PRODUCER_H

#include "events/kafka.h"
#include "value/outgoing.h"

/* Publishes events to Kafka, for one thread and without blocking it: what librdkafka has to say is announced
 * by a descriptor, and told by pl_producer_poll.
 *
 * The queue is bounded. What does not fit waits outside of it, in order, and goes in when there is room: an
 * event is never thrown away for lack of room, its publisher is slowed down. */
typedef struct pl_producer pl_producer;

typedef struct pl_producer_config {
    const pl_kafka_settings *kafka; /* need not outlive pl_producer_new */
    size_t most_messages;           /* in the queue; 0 is 100,000 */
    size_t most_bytes;              /* the same; 0 is 64 MiB */
    size_t most_waiting;            /* events that wait outside; more are refused. 0 is 10,000 */
    bool kept;                      /* publishers keep their events: it is not logged when one is given up */
    pl_logger *log;                 /* outlives it */
    /* Told of each event that is over, before its publisher is; on the thread of pl_producer_poll, _send or
     * _free. May be NULL. */
    void (*told)(void *data, const char *topic, pl_code code);
    void *told_data;
} pl_producer_config;

/* NULL: INVALID_ARGUMENT names the property that is wrong; RESOURCE_EXHAUSTED. */
pl_producer *pl_producer_new(const pl_producer_config *config, pl_error *err);
/* Waits for a moment for threads of librdkafka: to be called where that does no harm. Events that were not
 * acknowledged are given up: see pl_producer_drain. `done` is called for each. NULL is fine. */
void pl_producer_free(pl_producer *producer);

/* Readable when pl_producer_poll is to be called. */
int pl_producer_fd(const pl_producer *producer);
/* Calls `accepted` and `done` of events. */
void pl_producer_poll(pl_producer *producer);

/* Everything is copied. *waits: it is not in the queue yet. Errors: RESOURCE_EXHAUSTED (memory, or too many
 * wait), INVALID_ARGUMENT, and what librdkafka says at once; then there will be no call of done. */
pl_code pl_producer_send(pl_producer *producer, const pl_outgoing *event, pl_delivery *delivery, bool *waits,
                         pl_error *err);
/* Whether something has happened after which it can publish no more (FAILED_PRECONDITION): another one can.
 */
bool pl_producer_is_dead(const pl_producer *producer);
/* How many events have not been acknowledged; 0: it may be freed without loss. */
size_t pl_producer_under_way(const pl_producer *producer);

typedef struct pl_producer_stats {
    uint64_t acknowledged, failed;
    size_t queued, waiting;
} pl_producer_stats;
pl_producer_stats pl_producer_get_stats(const pl_producer *producer);

#endif
