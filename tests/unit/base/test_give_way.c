/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include <cmocka.h>

#include "base/give_way.h"

#define ROUNDS 100

static atomic_bool over;
static atomic_ulong counted;

static void *count(void *data)
{
    while (!atomic_load(&over))
        atomic_fetch_add(&counted, 1);
    return NULL;
}

/* Longer than the threads that wait are let wait. */
static void work(void)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec < 250000);
}

/* On one core with a thread that never sleeps: that runs at many of the calls, rather than when the scheduler
 * thinks that it is time, every few milliseconds. */
static void test_others_run(void **state)
{
    pthread_t thread;
    cpu_set_t before, one;
    unsigned long seen, ran = 0;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    int core = 0;
    while (!CPU_ISSET(core, &before))
        core++;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(pthread_create(&thread, NULL, count, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        work();
        seen = atomic_load(&counted);
        pl_give_way();
        ran += atomic_load(&counted) != seen;
    }
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_true(ran > ROUNDS / 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_others_run)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
