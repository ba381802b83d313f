/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_EVENTS_H
#define PL_APP_EVENTS_H

#include "app/instance.h"
#include "events/producer.h"

/* Events on a worker: the producer that its scripts publish with. It is made when the first event is
 * published, stays over reloads, and is replaced when the settings of Kafka have changed: then the old one
 * goes when all it has taken is acknowledged. Events that their publisher keeps (pl_outgoing.pass) have one
 * of their own. */
typedef struct pl_events pl_events;

pl_events *pl_events_new(pl_loop *loop, pl_logger *log); /* NULL: memory */
/* From now on events are published with this instance's settings. */
void pl_events_adopt(pl_events *events, const pl_instance *instance);
/* As pl_host_ops.produce. */
pl_code pl_events_produce(pl_events *events, const pl_outgoing *event, pl_delivery *delivery, bool *waits,
                          pl_error *err);
/* done(data) when all that was published is acknowledged, or after timeout_ms. Not called from inside. */
void pl_events_drain(pl_events *events, unsigned timeout_ms, void (*done)(void *data), void *data);
/* What was not acknowledged is given up, and logged. NULL is fine. */
void pl_events_free(pl_events *events);

typedef pl_producer_stats pl_events_stats;
pl_events_stats pl_events_get_stats(const pl_events *events);

#endif
