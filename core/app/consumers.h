/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_CONSUMERS_H
#define PL_APP_CONSUMERS_H

#include "app/events.h"
#include "app/instance.h"
#include "net/loop.h"

/* The consumers of a worker: one for each that the live generation declares. They stay over reloads with
 * their partitions, as long as what they read and how stays the same: the next event is handled by the new
 * code. */
typedef struct pl_consumers pl_consumers;

/* events: what dead letters go through; outlives it. NULL: memory. */
pl_consumers *pl_consumers_new(pl_loop *loop, pl_events *events, unsigned worker, pl_logger *log);
/* From now on events are handled by this instance. */
void pl_consumers_adopt(pl_consumers *consumers, pl_instance *instance);
/* What this instance still handles is cancelled, and handled again by the live one. */
void pl_consumers_cancel(pl_consumers *consumers, pl_instance *instance);
/* done(data) when all have left their groups: what is handled is waited for, for at most timeout_ms, and
 * committed. Not called from inside. */
void pl_consumers_drain(pl_consumers *consumers, unsigned timeout_ms, void (*done)(void *data), void *data);
void pl_consumers_stop(pl_consumers *consumers); /* on the loop's thread, before it is freed; NULL is fine */
void pl_consumers_free(pl_consumers *consumers); /* stopped, after the loop; NULL is fine */

typedef struct pl_consumers_stats {
    unsigned count, partitions, running;
    size_t in_hand;
    uint64_t consumed, failed, retried, dead_lettered, rebalances;
    int64_t lag; /* of all partitions of which it is known */
} pl_consumers_stats;
pl_consumers_stats pl_consumers_get_stats(const pl_consumers *consumers);
/* Calls fn for each partition that is assigned. */
typedef struct pl_consumers_partition {
    const char *topic;
    pl_str group;
    int32_t partition;
    int64_t lag; /* -1: not known */
    size_t in_hand;
    bool paused; /* its consumer is, since everything fails */
} pl_consumers_partition;
void pl_consumers_each_partition(const pl_consumers *consumers,
                                 void (*fn)(void *data, const pl_consumers_partition *partition), void *data);
/* Brings what consumers count by themselves into the metrics. */
void pl_consumers_flush(pl_consumers *consumers);

#endif
