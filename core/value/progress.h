/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_PROGRESS_H
#define PL_VALUE_PROGRESS_H

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/* How far a subscription has been given the topics of Kafka that feed it, over all generations that it goes
 * through: whichever goes on begins where the one before has left off.
 *
 * An event is taken by a script first, and given to the client later. What was taken but not given, because
 * its generation was cut off in between, is taken again by the next one. One thread; but references may be
 * given back by any, as the states of old generations are closed by another. */
typedef struct pl_topic_progress pl_topic_progress; /* of one source; counts references */

typedef struct pl_progress {
    pl_topic_progress *first;
    unsigned sources;
    unsigned legs;    /* that the subscription has had: each goes on under a number of its own, from 1 */
    unsigned current; /* the one whose turn it is */
} pl_progress;

void pl_progress_dispose(pl_progress *progress);
void pl_progress_given(pl_progress *progress); /* what was taken has been given */
/* The leg has ended, and the next one's turn comes: what was not given is to be taken again. */
void pl_progress_leg_ended(pl_progress *progress);

/* Of the n-th source of this topic that the leg opens: where the n-th one of the legs before is. *out is a
 * new reference, or NULL when that is too much to be remembered: more than 64 sources. RESOURCE_EXHAUSTED. */
pl_code pl_progress_open(pl_progress *progress, unsigned leg, pl_str topic, pl_topic_progress **out);
pl_topic_progress *pl_topic_progress_ref(pl_topic_progress *t);
void pl_topic_progress_unref(pl_topic_progress *t); /* NULL is fine */

/* The event at that place has come and is to be taken, or has been taken; or there is none to be taken before
 * the offset. False: memory. */
bool pl_topic_progress_meet(pl_topic_progress *t, int32_t partition, int64_t offset);
bool pl_topic_progress_take(pl_topic_progress *t, int32_t partition, int64_t offset);
bool pl_topic_progress_reach(pl_topic_progress *t, int32_t partition, int64_t offset);
/* The offset up to which everything has been given; or of one that is live, and of which nothing was taken
 * yet, that of the first event that came; else -1. */
int64_t pl_topic_progress_of(const pl_topic_progress *t, int32_t partition);
int32_t pl_topic_progress_partitions(const pl_topic_progress *t); /* those that may be known: below this */

/* It has been given what was there before it, and goes on with what comes. */
bool pl_topic_progress_is_live(const pl_topic_progress *t);
void pl_topic_progress_go_live(pl_topic_progress *t);

/* The leg has taken everything that came before its successor began to listen. */
void pl_topic_progress_drained(pl_topic_progress *t, unsigned leg);
/* Whether the leg before this one has left some of that. */
bool pl_topic_progress_has_left_some(const pl_topic_progress *t, unsigned leg);

#endif
