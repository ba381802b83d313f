/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_TIMER_H
#define PL_BASE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A binary heap of timers, without a clock of its own: the caller says what time it is (milliseconds,
 * monotonic). Timers are embedded in their owner, which keeps them alive while they are armed. */
typedef struct pl_timer pl_timer;
struct pl_timer {
    uint64_t at;    /* milliseconds */
    uint64_t order; /* of two for the same time, the one that was started first fires first */
    size_t index;   /* place in the heap + 1; 0 is not armed */
    void (*fire)(pl_timer *timer);
    void *data;
};
typedef struct pl_timers {
    pl_timer **heap; /* count in heap order, then `waiting` that the next run takes in */
    size_t count, waiting, capacity;
    uint64_t started;     /* how often a timer was started */
    uint64_t running_now; /* the time of the run under way */
    bool running;
} pl_timers;

void pl_timers_init(pl_timers *timers);
void pl_timers_dispose(pl_timers *timers); /* disarms all; calls nothing */
/* Arms, or re-arms, timer (fire and data are set by the owner). 0, or -1 when memory is short. */
int pl_timers_start(pl_timers *timers, pl_timer *timer, uint64_t at);
void pl_timers_stop(pl_timers *timers, pl_timer *timer); /* not armed: does nothing */
/* When the earliest one is due; UINT64_MAX when none is armed. */
uint64_t pl_timers_next(const pl_timers *timers);
/* Fires all that are due at now, each disarmed first, earliest first. A timer may start and stop others. A
 * timer that is started for a time <= now while this runs waits for the next call. Does not nest: a call from
 * a callback fires none. Returns how many fired. */
size_t pl_timers_run(pl_timers *timers, uint64_t now);

#endif
