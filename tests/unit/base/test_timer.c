/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/alloc.h"
#include "base/timer.h"

static pl_timers timers;
static char fired[64]; /* the names of those that fired, in order */

typedef struct named {
    pl_timer timer;
    char name;
    struct named *other; /* what the action is done to */
    uint64_t again;
} named;

static void fire(pl_timer *timer)
{
    named *n = timer->data;
    assert_int_equal(timer->index, 0);
    fired[strlen(fired)] = n->name;
}

static void fire_and_start(pl_timer *timer)
{
    named *n = timer->data;
    fire(timer);
    assert_int_equal(pl_timers_start(&timers, &n->other->timer, n->again), 0);
}

static void fire_and_stop(pl_timer *timer)
{
    named *n = timer->data;
    fire(timer);
    pl_timers_stop(&timers, &n->other->timer);
}

static named make(char name, void (*action)(pl_timer *timer))
{
    return (named){.timer = {.fire = action}, .name = name};
}

static void start(named *n, uint64_t at)
{
    n->timer.data = n;
    assert_int_equal(pl_timers_start(&timers, &n->timer, at), 0);
}

static size_t run(uint64_t now)
{
    memset(fired, 0, sizeof(fired));
    return pl_timers_run(&timers, now);
}

static int set_up(void **state)
{
    pl_timers_init(&timers);
    return 0;
}

static int tear_down(void **state)
{
    pl_timers_dispose(&timers);
    return 0;
}

static void fires_in_order_of_time(void **state)
{
    named a = make('a', fire), b = make('b', fire), c = make('c', fire), d = make('d', fire);
    assert_true(pl_timers_next(&timers) == UINT64_MAX);
    start(&c, 30);
    start(&a, 10);
    start(&d, 40);
    start(&b, 20);
    assert_int_equal(pl_timers_next(&timers), 10);
    assert_int_equal(run(9), 0);
    assert_int_equal(run(30), 3);
    assert_string_equal(fired, "abc");
    assert_int_equal(pl_timers_next(&timers), 40);
    assert_int_equal(run(UINT64_MAX), 1);
    assert_string_equal(fired, "d");
    assert_int_equal(run(UINT64_MAX), 0);
}

static void equal_times_fire_in_order_of_start(void **state)
{
    named n[26];
    for (int i = 0; i < 26; i++)
        n[i] = make((char)('a' + i), fire);
    for (int i = 0; i < 26; i++)
        start(&n[i], 5);
    start(&n[0], 5); /* again: now the last */
    assert_int_equal(run(5), 26);
    assert_string_equal(fired, "bcdefghijklmnopqrstuvwxyza");
}

static void start_again_moves(void **state)
{
    named a = make('a', fire), b = make('b', fire);
    start(&a, 10);
    start(&b, 20);
    start(&a, 30);
    assert_int_equal(pl_timers_next(&timers), 20);
    assert_int_equal(timers.count, 2);
    run(100);
    assert_string_equal(fired, "ba");
}

static void stopped_timers_do_not_fire(void **state)
{
    named n[20];
    for (int i = 0; i < 20; i++) {
        n[i] = make((char)('a' + i), fire);
        start(&n[i], (uint64_t)(i * 7 % 20));
    }
    for (int i = 0; i < 20; i += 2) {
        pl_timers_stop(&timers, &n[i].timer);
        pl_timers_stop(&timers, &n[i].timer);
    }
    assert_int_equal(run(100), 10);
    for (int i = 0; i < 20; i++)
        assert_true((strchr(fired, 'a' + i) != NULL) == (i % 2 == 1));
}

static void restart_in_a_callback_waits_for_the_next_run(void **state)
{
    named a = make('a', fire_and_start), b = make('b', fire);
    a.other = &a;
    a.again = 5; /* in the past */
    start(&a, 10);
    start(&b, 20);
    assert_int_equal(run(20), 2);
    assert_string_equal(fired, "ab");
    assert_int_equal(pl_timers_next(&timers), 5);
    a.again = 21;
    assert_int_equal(run(20), 1);
    assert_int_equal(run(20), 0);
    assert_int_equal(pl_timers_next(&timers), 21);
}

static void a_timer_started_for_later_in_a_callback(void **state)
{
    named a = make('a', fire_and_start), b = make('b', fire), c = make('c', fire_and_start),
          d = make('d', fire);
    named e = make('e', fire);
    b.timer.data = &b;
    a.other = &b;
    a.again = 100;
    c.other = &d; /* moves one that is due to another due time: it waits, too */
    c.again = 3;
    start(&a, 1);
    start(&c, 2);
    start(&d, 4);
    start(&e, 5);
    assert_int_equal(run(10), 3);
    assert_string_equal(fired, "ace");
    assert_int_equal(pl_timers_next(&timers), 3);
    assert_int_equal(run(10), 1);
    assert_string_equal(fired, "d");
    assert_int_equal(pl_timers_next(&timers), 100);
}

static void stop_in_a_callback(void **state)
{
    named a = make('a', fire_and_stop), b = make('b', fire), c = make('c', fire_and_stop),
          d = make('d', fire);
    a.other = &b; /* due, not yet fired */
    c.other = &c; /* itself: not armed any more */
    start(&a, 1);
    start(&b, 2);
    start(&c, 3);
    start(&d, 4);
    run(10);
    assert_string_equal(fired, "acd");
    assert_int_equal(b.timer.index, 0);
}

static void stop_of_one_that_waits(void **state)
{
    named a = make('a', fire_and_start), b = make('b', fire_and_start), c = make('c', fire_and_stop);
    named later = make('l', fire), x = make('x', fire), y = make('y', fire);
    a.other = &x;
    b.other = &y;
    a.again = b.again = 1;
    c.other = &x;
    x.timer.data = &x;
    y.timer.data = &y;
    start(&a, 1);
    start(&b, 2);
    start(&c, 3);
    start(&later, 50);
    run(10);
    assert_string_equal(fired, "abc");
    assert_int_equal(x.timer.index, 0);
    run(10);
    assert_string_equal(fired, "y");
    run(50);
    assert_string_equal(fired, "l");
}

static void run_inside(pl_timer *timer)
{
    fire(timer);
    assert_int_equal(pl_timers_run(&timers, 1000), 0);
}

static void runs_do_not_nest(void **state)
{
    named a = make('a', run_inside), b = make('b', fire);
    start(&a, 1);
    start(&b, 2);
    assert_int_equal(run(10), 2);
    assert_string_equal(fired, "ab");
}

static void dispose_disarms(void **state)
{
    named a = make('a', fire), b = make('b', fire);
    start(&a, 1);
    start(&b, 2);
    pl_timers_dispose(&timers);
    assert_int_equal(a.timer.index, 0);
    assert_int_equal(b.timer.index, 0);
    pl_timers_stop(&timers, &a.timer);
    start(&a, 1);
    assert_int_equal(run(1), 1);
}

static void memory_short_leaves_it_disarmed(void **state)
{
    named n[40];
    for (int i = 0; i < 40; i++) {
        n[i] = make('n', fire);
        n[i].timer.data = &n[i];
        pl_alloc_fail_at(1, 0);
        if (pl_timers_start(&timers, &n[i].timer, 5) != 0) {
            assert_int_equal(n[i].timer.index, 0);
            start(&n[i], 5);
        }
        /* One that is armed can always be moved. */
        pl_alloc_fail_at(1, 0);
        assert_int_equal(pl_timers_start(&timers, &n[i].timer, 4), 0);
    }
    pl_alloc_fail_at(0, 0);
    assert_int_equal(run(5), 40);
}

/* Random starts and stops; what fires is compared with a plain array. */
static void agrees_with_a_model(void **state)
{
    enum { COUNT = 50 };
    named n[COUNT];
    uint64_t at[COUNT] = {0}, now = 1;
    uint32_t random = 99;
    for (int i = 0; i < COUNT; i++) {
        n[i] = make('n', fire);
        n[i].timer.data = &n[i];
    }
    for (int step = 0; step < 20000; step++) {
        random = random * 1664525 + 1013904223;
        int i = (int)(random >> 16) % COUNT;
        switch (random >> 30) {
        case 0:
            pl_timers_stop(&timers, &n[i].timer);
            at[i] = 0;
            break;
        case 1:
        case 2:
            at[i] = now + (random >> 8) % 100;
            assert_int_equal(pl_timers_start(&timers, &n[i].timer, at[i]), 0);
            break;
        default:
            now += 10;
            size_t due = 0;
            uint64_t next = UINT64_MAX;
            for (int j = 0; j < COUNT; j++) {
                if (at[j] != 0 && at[j] <= now) {
                    due++;
                    at[j] = 0;
                } else if (at[j] != 0 && at[j] < next) {
                    next = at[j];
                }
            }
            assert_int_equal(run(now), due);
            assert_true(pl_timers_next(&timers) == next);
        }
    }
}

int main(void)
{
#define TIMER_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TIMER_TEST(fires_in_order_of_time),
        TIMER_TEST(equal_times_fire_in_order_of_start),
        TIMER_TEST(start_again_moves),
        TIMER_TEST(stopped_timers_do_not_fire),
        TIMER_TEST(restart_in_a_callback_waits_for_the_next_run),
        TIMER_TEST(a_timer_started_for_later_in_a_callback),
        TIMER_TEST(stop_in_a_callback),
        TIMER_TEST(stop_of_one_that_waits),
        TIMER_TEST(runs_do_not_nest),
        TIMER_TEST(dispose_disarms),
        TIMER_TEST(memory_short_leaves_it_disarmed),
        TIMER_TEST(agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
