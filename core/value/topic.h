/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_TOPIC_H
#define PL_VALUE_TOPIC_H

#include "value/engine.h"

/* Topics of Kafka: whether they are there, with how many partitions; made where they are not
 * (pl_host_ops.ask_topic). */
typedef struct pl_topic_want {
    pl_str name;         /* ends with a NUL */
    unsigned partitions; /* to make it with; 0: it is not made */
    bool compacted;      /* it keeps the last value of each key */
} pl_topic_want;

typedef struct pl_topic_found {
    pl_code code; /* PL_OK */
    const char *why;
    unsigned partitions; /* 0: there is no such topic */
} pl_topic_found;

/* The asker's, until done was called or pl_topic_forget. */
typedef struct pl_topic_asker pl_topic_asker;
struct pl_topic_asker {
    void (*done)(pl_topic_asker *asker, const pl_topic_found *found);
    pl_topic_asker **place; /* the host's; NULL: it is over, or was never begun */
};

/* Nobody is interested any more. */
static inline void pl_topic_forget(pl_topic_asker *asker)
{
    if (asker->place)
        *asker->place = NULL;
    asker->place = NULL;
}

#endif
