/* SPDX-License-Identifier: MIT */
#include "value/progress.h"

#include <stdatomic.h>

#include "base/alloc.h"

#define MOST_PARTITIONS 100000 /* numbers beyond are not remembered */
#define MOST_SOURCES 64        /* of a subscription */
#define NONE (-1)

typedef struct place {
    int64_t met;          /* the first event that came; NONE */
    int64_t given, taken; /* where to go on; NONE */
    int32_t next_dirty;   /* of those whose `taken` is not `given`; NONE: the last one */
    bool is_dirty;
} place;

struct pl_topic_progress {
    pl_topic_progress *next;
    atomic_uint refs;        /* those of a state that is closed are given back by another thread */
    unsigned first_leg, leg; /* those that have opened it first and last */
    unsigned drained_by;     /* a leg */
    bool left_some, live;
    place *places; /* by partition */
    int32_t count, dirty;
    pl_str topic;
    char bytes[];
};

static pl_topic_progress *make(unsigned leg, pl_str topic)
{
    pl_topic_progress *t = pl_calloc(1, sizeof *t + topic.len);
    if (!t)
        return NULL;
    memcpy(t->bytes, topic.ptr, topic.len);
    t->topic = (pl_str){t->bytes, topic.len};
    atomic_init(&t->refs, 1);
    t->first_leg = leg;
    t->dirty = NONE;
    return t;
}

pl_code pl_progress_open(pl_progress *progress, unsigned leg, pl_str topic, pl_topic_progress **out)
{
    pl_topic_progress **at = &progress->first;
    *out = NULL;
    while (*at && ((*at)->leg == leg || !pl_str_eq((*at)->topic, topic)))
        at = &(*at)->next;
    if (!*at) {
        if (progress->sources == MOST_SOURCES)
            return PL_OK;
        if (!(*at = make(leg, topic)))
            return PL_RESOURCE_EXHAUSTED;
        progress->sources++;
    }
    (*at)->leg = leg;
    *out = pl_topic_progress_ref(*at);
    return PL_OK;
}

pl_topic_progress *pl_topic_progress_ref(pl_topic_progress *t)
{
    atomic_fetch_add(&t->refs, 1);
    return t;
}

void pl_topic_progress_unref(pl_topic_progress *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    pl_free(t->places);
    pl_free(t);
}

void pl_progress_dispose(pl_progress *progress)
{
    for (pl_topic_progress *t = progress->first, *next; t; t = next) {
        next = t->next;
        pl_topic_progress_unref(t);
    }
    progress->first = NULL;
    progress->sources = 0;
}

/* --- places --- */
static bool grow(pl_topic_progress *t, int32_t partition)
{
    int32_t count = t->count ? t->count : 4;
    while (count <= partition)
        count *= 2;
    place *places = pl_realloc(t->places, (size_t)count * sizeof *places);
    if (!places)
        return false;
    for (int32_t i = t->count; i < count; i++)
        places[i] = (place){NONE, NONE, NONE, NONE, false};
    t->places = places;
    t->count = count;
    return true;
}

static bool is_remembered(int32_t partition)
{
    return partition >= 0 && partition < MOST_PARTITIONS;
}

/* False: memory. */
static bool has_place(pl_topic_progress *t, int32_t partition)
{
    return partition < t->count || grow(t, partition);
}

static void set_taken(pl_topic_progress *t, int32_t partition, int64_t first, int64_t offset)
{
    place *p = &t->places[partition];
    if (p->given == NONE)
        p->given = first;
    p->taken = offset;
    if (p->is_dirty)
        return;
    p->is_dirty = true;
    p->next_dirty = t->dirty;
    t->dirty = partition;
}

bool pl_topic_progress_meet(pl_topic_progress *t, int32_t partition, int64_t offset)
{
    if (!is_remembered(partition))
        return true;
    if (!has_place(t, partition))
        return false;
    if (t->places[partition].met == NONE)
        t->places[partition].met = offset;
    return true;
}

bool pl_topic_progress_take(pl_topic_progress *t, int32_t partition, int64_t offset)
{
    if (!is_remembered(partition))
        return true;
    if (!has_place(t, partition))
        return false;
    set_taken(t, partition, offset, offset + 1); /* also when it is lower: the topic was made anew */
    return true;
}

bool pl_topic_progress_reach(pl_topic_progress *t, int32_t partition, int64_t offset)
{
    if (!is_remembered(partition))
        return true;
    if (!has_place(t, partition))
        return false;
    if (offset > t->places[partition].taken)
        set_taken(t, partition, offset, offset);
    return true;
}

int64_t pl_topic_progress_of(const pl_topic_progress *t, int32_t partition)
{
    if (partition < 0 || partition >= t->count)
        return NONE;
    const place *p = &t->places[partition];
    return p->given == NONE && t->live ? p->met : p->given;
}

int32_t pl_topic_progress_partitions(const pl_topic_progress *t)
{
    return t->count;
}

/* True: there was something. */
static bool settle(pl_topic_progress *t, bool given)
{
    bool any = t->dirty != NONE;
    while (t->dirty != NONE) {
        place *p = &t->places[t->dirty];
        if (given)
            p->given = p->taken;
        else
            p->taken = p->given;
        p->is_dirty = false;
        t->dirty = p->next_dirty;
    }
    return any;
}

void pl_progress_given(pl_progress *progress)
{
    for (pl_topic_progress *t = progress->first; t; t = t->next)
        settle(t, true);
}

void pl_progress_leg_ended(pl_progress *progress)
{
    for (pl_topic_progress *t = progress->first; t; t = t->next)
        t->left_some = settle(t, false) || t->drained_by != progress->current;
}

/* --- legs --- */
bool pl_topic_progress_is_live(const pl_topic_progress *t)
{
    return t->live;
}

void pl_topic_progress_go_live(pl_topic_progress *t)
{
    t->live = true;
}

void pl_topic_progress_drained(pl_topic_progress *t, unsigned leg)
{
    t->drained_by = leg;
}

bool pl_topic_progress_has_left_some(const pl_topic_progress *t, unsigned leg)
{
    return leg != t->first_leg && t->left_some;
}
