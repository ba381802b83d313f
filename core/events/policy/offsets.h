/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_OFFSETS_H
#define PL_EVENTS_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far a partition is done: records are taken in the order of their offsets and may be done in any; what
 * can be committed is the offset behind the longest run of done ones from the first. Offsets have gaps
 * (compacted topics, the markers of transactions), so each record that is in hand is remembered. */
typedef struct pl_offsets {
    struct pl_offset_entry *ring; /* of room places */
    size_t room;                  /* a power of two, or 0 */
    uint64_t first, end;          /* tickets in hand are within [first, end) */
    int64_t next;                 /* to be committed; -1: nothing is known yet */
} pl_offsets;

#define PL_NO_OFFSET (-1)

/* from: where the partition is read from, as far as that is known; PL_NO_OFFSET. */
void pl_offsets_init(pl_offsets *offsets, int64_t from);
void pl_offsets_dispose(pl_offsets *offsets);
/* A record is in hand; offset is above all that were taken before. *ticket names it. False: memory. */
bool pl_offsets_take(pl_offsets *offsets, int64_t offset, uint64_t *ticket);
/* It is done, once. True: there is more to be committed. */
bool pl_offsets_done(pl_offsets *offsets, uint64_t ticket);
/* What is to be committed: the offset of the first record that is not done, or behind the last one. */
static inline int64_t pl_offsets_next(const pl_offsets *offsets)
{
    return offsets->next;
}
/* Records between the first one that is not done and the last one taken. */
static inline size_t pl_offsets_span(const pl_offsets *offsets)
{
    return (size_t)(offsets->end - offsets->first);
}

#endif
