/* SPDX-License-Identifier: MIT */
#include "events/policy/offsets.h"

#include "base/alloc.h"

typedef struct pl_offset_entry {
    int64_t offset;
    bool done;
} entry;

void pl_offsets_init(pl_offsets *offsets, int64_t from)
{
    *offsets = (pl_offsets){.next = from};
}

void pl_offsets_dispose(pl_offsets *offsets)
{
    pl_free(offsets->ring);
    *offsets = (pl_offsets){.next = offsets->next};
}

static entry *at(const pl_offsets *offsets, uint64_t ticket)
{
    return &offsets->ring[ticket & (offsets->room - 1)];
}

static bool grow(pl_offsets *offsets)
{
    size_t room = offsets->room ? 2 * offsets->room : 64;
    entry *ring = pl_calloc(room, sizeof *ring);
    if (!ring)
        return false;
    for (uint64_t t = offsets->first; t < offsets->end; t++)
        ring[t & (room - 1)] = *at(offsets, t);
    pl_free(offsets->ring);
    offsets->ring = ring;
    offsets->room = room;
    return true;
}

bool pl_offsets_take(pl_offsets *offsets, int64_t offset, uint64_t *ticket)
{
    if (pl_offsets_span(offsets) == offsets->room && !grow(offsets))
        return false;
    *ticket = offsets->end++;
    *at(offsets, *ticket) = (entry){.offset = offset};
    return true;
}

bool pl_offsets_done(pl_offsets *offsets, uint64_t ticket)
{
    at(offsets, ticket)->done = true;
    if (ticket != offsets->first)
        return false;
    while (offsets->first < offsets->end && at(offsets, offsets->first)->done)
        offsets->next = at(offsets, offsets->first++)->offset + 1;
    return true;
}
