/* SPDX-License-Identifier: MIT */
#include "base/give_way.h"

#include <sched.h>
#include <stdint.h>
#include <time.h>

#define EVERY_NS 200000

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void pl_give_way(void)
{
    static _Thread_local uint64_t last;
    uint64_t now = now_ns();
    if (now - last < EVERY_NS)
        return;
    sched_yield();
    last = now_ns();
}
