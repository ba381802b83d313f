/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_FLOW_H
#define PL_EVENTS_FLOW_H

#include "base/str.h"
#include "events/policy/offsets.h"

/* The records of one partition that are in hand: which of them may be handled now, in what order, and how far
 * the partition is done. Decides only: no I/O, no clock (times are the caller's, in milliseconds).
 *
 * Records are queued in lanes; of a lane, one record (or batch) is handled at a time, in the order of
 * offsets. A record that is to be tried again holds up its lane and nothing else.
 *
 *   PL_BY_PARTITION  one lane
 *   PL_BY_KEY        a lane for each key; records without a key have one each
 *   PL_UNORDERED     a lane for each record
 */
typedef enum pl_ordering { PL_BY_PARTITION, PL_BY_KEY, PL_UNORDERED } pl_ordering;

typedef struct pl_flow_config {
    pl_ordering ordering;
    unsigned concurrency; /* lanes that are handled at once; 0 is 1 */
    size_t most_records;  /* in hand; with more the partition should be paused. 0 is 1,000 */
    size_t most_bytes;    /* the same; 0 is 16 MiB */
} pl_flow_config;

/* Embedded in the caller's record, which stays where it is until pl_flow_done. */
typedef struct pl_flow_record pl_flow_record;
struct pl_flow_record {
    int64_t offset;
    pl_str key; /* ptr NULL: none */
    size_t bytes;
    uint64_t ready_at; /* the caller's at pl_flow_add */
    /* The flow's. */
    uint64_t ticket;
    struct pl_flow_lane *lane;
    pl_flow_record *prev, *next; /* in the lane */
    bool running;
};

typedef struct pl_flow pl_flow;
/* from: where the partition is read from, or PL_NO_OFFSET. NULL: memory. */
pl_flow *pl_flow_new(const pl_flow_config *config, int64_t from);
/* Other bounds from now on; the ordering stays. */
void pl_flow_configure(pl_flow *flow, const pl_flow_config *config);
/* None of its records may be being handled; those that wait are forgotten, they are the caller's. NULL is
 * fine. */
void pl_flow_free(pl_flow *flow);

/* A record has come: offsets grow. It is not handled before its ready_at (0: at once). False: memory, and the
 * record is not in hand. */
bool pl_flow_add(pl_flow *flow, pl_flow_record *record);
/* Up to `most` records that are to be handled now, of one lane: they belong together as a batch. 0: none may
 * be now. */
size_t pl_flow_take(pl_flow *flow, pl_flow_record **out, size_t most, uint64_t now);
/* The same, but only of the lane of the first record that is not done: of that which holds up what is
 * committed. */
size_t pl_flow_take_first(pl_flow *flow, pl_flow_record **out, size_t most, uint64_t now);
/* It was handled, whatever came of it, and needs nothing more. True: there is more to be committed. */
bool pl_flow_done(pl_flow *flow, pl_flow_record *record);
/* It is to be handled again, not before `at`; its place in its lane stays. */
void pl_flow_retry(pl_flow *flow, pl_flow_record *record, uint64_t at);
/* When a record that waits may be tried; UINT64_MAX: none waits for a time. */
uint64_t pl_flow_wake_at(const pl_flow *flow);

/* Offset to be committed, or PL_NO_OFFSET. */
int64_t pl_flow_next_offset(const pl_flow *flow);
/* More is in hand than should be, or much more than that is done behind a record that is not: nothing more is
 * to be fetched until it is half of that. */
bool pl_flow_is_full(pl_flow *flow);
size_t pl_flow_count(const pl_flow *flow);     /* records in hand */
unsigned pl_flow_running(const pl_flow *flow); /* lanes that are being handled */
/* A record that is being handled; NULL: there is none. */
pl_flow_record *pl_flow_handled(const pl_flow *flow);
/* Takes out a record that nobody handles; its offset is never passed by what is committed. NULL: there is
 * none. For partitions that are given up. */
pl_flow_record *pl_flow_drop(pl_flow *flow);

#endif
