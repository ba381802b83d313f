/* SPDX-License-Identifier: MIT */
#include "base/timer.h"

#include "base/alloc.h"

/* The array holds the heap, and behind it the timers that were started during a run for a time that the run
 * has already reached: they join the heap when the run is over. A timer's index is its place in the array, so
 * stopping one works the same for both. */

void pl_timers_init(pl_timers *timers)
{
    *timers = (pl_timers){0};
}

void pl_timers_dispose(pl_timers *timers)
{
    for (size_t i = 0; i < timers->count + timers->waiting; i++)
        timers->heap[i]->index = 0;
    pl_free(timers->heap);
    *timers = (pl_timers){0};
}

static inline bool before(const pl_timer *a, const pl_timer *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static inline void put(pl_timers *timers, size_t place, pl_timer *timer)
{
    timers->heap[place] = timer;
    timer->index = place + 1;
}

static void sift_up(pl_timers *timers, size_t place, pl_timer *timer)
{
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (!before(timer, timers->heap[parent]))
            break;
        put(timers, place, timers->heap[parent]);
        place = parent;
    }
    put(timers, place, timer);
}

static void sift_down(pl_timers *timers, size_t place, pl_timer *timer)
{
    for (;;) {
        size_t child = place * 2 + 1;
        if (child >= timers->count)
            break;
        if (child + 1 < timers->count && before(timers->heap[child + 1], timers->heap[child]))
            child++;
        if (!before(timers->heap[child], timer))
            break;
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, timer);
}

static int make_room(pl_timers *timers)
{
    if (timers->count + timers->waiting < timers->capacity)
        return 0;
    size_t capacity = timers->capacity != 0 ? timers->capacity * 2 : 16;
    if (capacity > SIZE_MAX / sizeof(*timers->heap))
        return -1;
    pl_timer **heap = pl_realloc(timers->heap, capacity * sizeof(*heap));
    if (!heap)
        return -1;
    timers->heap = heap;
    timers->capacity = capacity;
    return 0;
}

int pl_timers_start(pl_timers *timers, pl_timer *timer, uint64_t at)
{
    if (timer->index != 0)
        pl_timers_stop(timers, timer);
    if (make_room(timers) != 0)
        return -1;
    timer->at = at;
    timer->order = timers->started++;
    size_t end = timers->count + timers->waiting;
    if (timers->running && at <= timers->running_now) {
        put(timers, end, timer);
        timers->waiting++;
        return 0;
    }
    if (timers->waiting != 0)
        put(timers, end, timers->heap[timers->count]);
    sift_up(timers, timers->count++, timer);
    return 0;
}

void pl_timers_stop(pl_timers *timers, pl_timer *timer)
{
    if (timer->index == 0)
        return;
    size_t place = timer->index - 1, last = timers->count + timers->waiting - 1;
    timer->index = 0;
    if (place >= timers->count) {
        timers->waiting--;
        if (place != last)
            put(timers, place, timers->heap[last]);
        return;
    }
    pl_timer *moved = timers->heap[--timers->count];
    if (timers->waiting != 0)
        put(timers, timers->count, timers->heap[last]);
    if (moved == timer)
        return;
    if (place > 0 && before(moved, timers->heap[(place - 1) / 2]))
        sift_up(timers, place, moved);
    else
        sift_down(timers, place, moved);
}

uint64_t pl_timers_next(const pl_timers *timers)
{
    uint64_t next = timers->count != 0 ? timers->heap[0]->at : UINT64_MAX;
    for (size_t i = timers->count; i < timers->count + timers->waiting; i++) {
        if (timers->heap[i]->at < next)
            next = timers->heap[i]->at;
    }
    return next;
}

size_t pl_timers_run(pl_timers *timers, uint64_t now)
{
    size_t fired = 0;
    if (timers->running)
        return 0;
    timers->running = true;
    timers->running_now = now;
    while (timers->count != 0 && timers->heap[0]->at <= now) {
        pl_timer *timer = timers->heap[0];
        pl_timers_stop(timers, timer);
        timer->fire(timer);
        fired++;
    }
    timers->running = false;
    while (timers->waiting != 0) {
        timers->waiting--;
        timers->count++;
        sift_up(timers, timers->count - 1, timers->heap[timers->count - 1]);
    }
    return fired;
}
