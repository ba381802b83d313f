/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_OUTGOING_H
#define PL_VALUE_OUTGOING_H

#include "value/engine.h"

/* Events that are published to Kafka, as scripts hand them over (pl_host_ops.produce). */

#define PL_ANY_PARTITION (-1)

typedef struct pl_outgoing {
    pl_str topic;             /* ends with a NUL */
    pl_str key;               /* ptr NULL: none */
    pl_str value;             /* ptr NULL: a tombstone */
    const pl_header *headers; /* in order; a value may be any bytes, ptr NULL: null */
    size_t header_count;
    int32_t partition; /* or PL_ANY_PARTITION: by the key */
    int64_t timestamp; /* milliseconds since 1970; 0: now */
    /* Not 0: the publisher keeps the event until it is acknowledged. Such events have a producer of their
     * own, which never times out, keeps their order over all failures, and is not waited for at the end. A
     * number tells one pass of the publisher from the next, which begins when nobody waits for a delivery of
     * the one before: what that has left under way is given up. */
    uint64_t pass;
} pl_outgoing;

typedef struct pl_acknowledgement {
    pl_code code; /* PL_OK: written, as far as `acks` asks for it */
    const char *why;
    int32_t partition;
    int64_t offset; /* -1: not known (acks = 0) */
} pl_acknowledgement;

/* An event on its way; the publisher's, until done was called, or pl_delivery_forget. */
typedef struct pl_delivery pl_delivery;
struct pl_delivery {
    /* It is in the queue; not called when it was at once. May be NULL. */
    void (*accepted)(pl_delivery *delivery);
    void (*done)(pl_delivery *delivery, const pl_acknowledgement *acknowledgement);
    /* done is about to be called, after a few others: what it needs may be fetched into the cache, the nearer
     * part with `near`. May be NULL. */
    void (*soon)(pl_delivery *delivery, bool near);
    void *data;
    pl_delivery **place; /* the producer's; NULL: it is over, or was never begun */
};

/* Nobody is interested any more: the event goes on its way without. */
static inline void pl_delivery_forget(pl_delivery *delivery)
{
    if (delivery->place)
        *delivery->place = NULL;
    delivery->place = NULL;
}

#endif
