/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_CLOCK_H
#define PL_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* The system's clocks, in nanoseconds: for hosts, which hand time to others, and for threads that have none.
 */
static inline uint64_t pl_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline uint64_t pl_clock_ms(void)
{
    return pl_clock(CLOCK_MONOTONIC) / 1000000;
}

#endif
