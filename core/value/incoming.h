/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_INCOMING_H
#define PL_VALUE_INCOMING_H

#include "value/engine.h"

/* Events that are read from a topic of Kafka without a group: whoever reads says from where, and nothing is
 * committed (pl_host_ops.read, and pl_host_ops.subscribe_topic). */

typedef struct pl_incoming {
    pl_str topic; /* ends with a NUL */
    int32_t partition;
    int64_t offset;
    int64_t timestamp;        /* milliseconds since 1970; -1: none */
    pl_str key;               /* ptr NULL: none */
    pl_str value;             /* the same: a tombstone */
    const pl_header *headers; /* in order; a value may be any bytes, ptr NULL: null */
    size_t header_count;
} pl_incoming;

typedef enum pl_read_from { PL_READ_BEGINNING, PL_READ_END, PL_READ_OFFSET, PL_READ_TIME } pl_read_from;

/* Where reading begins. */
typedef struct pl_read_place {
    int32_t partition;
    pl_read_from from;
    int64_t at; /* the offset; or milliseconds since 1970: the first event that is not older */
} pl_read_place;

typedef struct pl_read_spec {
    pl_str topic;        /* ends with a NUL */
    pl_read_place start; /* of all partitions that `places` does not have; its partition is not used */
    const pl_read_place *places; /* partitions with a start of their own */
    size_t place_count;
    bool only_places; /* no others are read */
    /* Up to where each partition ended when reading began; else for ever, and partitions (or a topic) that
     * come into being are read from their beginning. */
    bool to_end;
    bool uncommitted;     /* events of transactions that are open, or were aborted, as well */
    uint64_t patience_ms; /* how long the brokers may be out of reach before that is a failure; 0: for ever */
} pl_read_spec;

typedef enum pl_taken {
    PL_TAKEN_EVENT,
    PL_TAKEN_CAUGHT_UP, /* of `partition` everything before `offset` has been taken; more may come */
    PL_TAKEN_NOTHING,   /* until `readable` */
    PL_TAKEN_END,       /* nothing comes any more: all was read up to its end, or the server is leaving */
    PL_TAKEN_FAILED     /* *err says why. Taking again tries again, but for OUT_OF_RANGE, NOT_FOUND and
                           INVALID_ARGUMENT, which stay */
} pl_taken;

/* What a script reads from; on the state's thread. */
typedef struct pl_source pl_source;
typedef struct pl_source_ops {
    /* What *out points to is valid until the next call of any of these. */
    pl_taken (*take)(pl_source *source, pl_incoming *out, pl_error *err);
    /* `readable` is called in the loop's next turn. */
    void (*wake)(pl_source *source);
    void (*close)(pl_source *source); /* it is gone; not while somebody waits, but when that is cancelled */
} pl_source_ops;
struct pl_source {
    const pl_source_ops *ops;
    /* Set by the engine as long as somebody waits; called in a turn of the loop, never inside of a script. */
    void (*readable)(pl_source *source);
    void *waiter;
};

#endif
