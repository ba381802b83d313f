/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "app/instance_host.h"
#include "base/alloc.h"
#include "support/failing.h"

/* A loop whose time passes, and whose jobs are done, when the test says so. */
typedef struct turnable {
    pl_host host; /* first */
    pl_timers timers;
    uint64_t now;
    pl_job *job;
    bool full;
} turnable;

static uint64_t loop_now(pl_host *host)
{
    return ((turnable *)host)->now;
}

static int loop_timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    return pl_timers_start(&((turnable *)host)->timers, timer, at);
}

static void loop_timer_stop(pl_host *host, pl_timer *timer)
{
    pl_timers_stop(&((turnable *)host)->timers, timer);
}

static int loop_offload(pl_host *host, pl_job *job, const void *lane)
{
    turnable *t = (turnable *)host;
    if (t->full)
        return -1;
    t->job = job;
    return 0;
}

typedef struct fixture {
    turnable loop;
    pl_instance instance;
} fixture;

static void fixture_init(fixture *f)
{
    static const pl_host_ops ops = {.now = loop_now,
                                    .timer_start = loop_timer_start,
                                    .timer_stop = loop_timer_stop,
                                    .offload = loop_offload};
    memset(f, 0, sizeof(*f));
    f->loop.host.ops = &ops;
    f->loop.now = 1000;
    pl_timers_init(&f->loop.timers);
    pl_timers_init(&f->instance.armed);
    pl_instance_host_init(&f->instance, &f->loop.host, NULL);
}

static void fixture_end(fixture *f)
{
    pl_timers_dispose(&f->instance.armed);
    pl_timers_dispose(&f->loop.timers);
}

static void pass(fixture *f, uint64_t until)
{
    for (uint64_t next; (next = pl_timers_next(&f->loop.timers)) <= until;) {
        f->loop.now = next > f->loop.now ? next : f->loop.now;
        pl_timers_run(&f->loop.timers, f->loop.now);
    }
    f->loop.now = until;
}

typedef struct bell {
    pl_timer timer; /* first */
    fixture *f;
    unsigned rings;
    uint64_t at;
    uint64_t again;     /* starts itself anew after so long, when not 0 */
    struct bell *stops; /* stops another */
} bell;

static void ring(pl_timer *timer)
{
    bell *b = (bell *)timer;
    pl_host *host = &b->f->instance.host;
    b->rings++;
    b->at = host->ops->now(host);
    if (b->stops)
        host->ops->timer_stop(host, &b->stops->timer);
    if (b->again)
        assert_int_equal(host->ops->timer_start(host, timer, b->at + b->again), 0);
}

static int start(fixture *f, bell *b, uint64_t at)
{
    b->timer.fire = ring;
    b->f = f;
    return f->instance.host.ops->timer_start(&f->instance.host, &b->timer, at);
}

static void stop(fixture *f, bell *b)
{
    f->instance.host.ops->timer_stop(&f->instance.host, &b->timer);
}

static void test_timers_fire_at_their_times(void **state)
{
    fixture f;
    bell b[5] = {{.rings = 0}};
    static const uint64_t at[] = {1500, 1100, 1300, 1100, 900};
    fixture_init(&f);
    assert_true(pl_instance_is_quiet(&f.instance));
    for (int i = 0; i < 5; i++)
        assert_int_equal(start(&f, &b[i], at[i]), 0);
    assert_false(pl_instance_is_quiet(&f.instance));
    assert_int_equal(f.loop.timers.count, 1); /* of the loop's, there is one for all */
    pass(&f, 1000);
    assert_int_equal(b[4].rings, 1);
    assert_int_equal(b[1].rings, 0);
    pass(&f, 1099);
    assert_int_equal(b[1].rings, 0);
    pass(&f, 5000);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(b[i].rings, 1);
        assert_int_equal(b[i].at, at[i]);
    }
    assert_true(pl_instance_is_quiet(&f.instance));
    assert_int_equal(pl_timers_next(&f.loop.timers), UINT64_MAX);
    fixture_end(&f);
}

static void test_stopped_and_started_anew(void **state)
{
    fixture f;
    bell a = {.rings = 0}, b = {.rings = 0};
    fixture_init(&f);
    assert_int_equal(start(&f, &a, 1100), 0);
    assert_int_equal(start(&f, &b, 1200), 0);
    stop(&f, &a);
    assert_false(pl_instance_is_quiet(&f.instance));
    stop(&f, &b);
    stop(&f, &b);
    assert_true(pl_instance_is_quiet(&f.instance));
    assert_int_equal(pl_timers_next(&f.loop.timers), UINT64_MAX);
    assert_int_equal(start(&f, &a, 1100), 0);
    assert_int_equal(start(&f, &a, 1400), 0); /* later */
    assert_int_equal(start(&f, &b, 1300), 0);
    assert_int_equal(start(&f, &b, 1050), 0); /* earlier */
    pass(&f, 1399);
    assert_int_equal(a.rings, 0);
    assert_int_equal(b.at, 1050);
    pass(&f, 1400);
    assert_int_equal(a.rings, 1);
    fixture_end(&f);
}

static void test_timers_that_start_and_stop_timers(void **state)
{
    fixture f;
    bell a = {.again = 10}, b = {.rings = 0}, c = {.stops = &a};
    fixture_init(&f);
    b.stops = &b;
    assert_int_equal(start(&f, &a, 1100), 0);
    assert_int_equal(start(&f, &b, 1100), 0);
    pass(&f, 1145);
    assert_int_equal(a.rings, 5);
    assert_int_equal(b.rings, 1);
    assert_int_equal(start(&f, &c, 1150), 0); /* when a is due, too */
    pass(&f, 2000);
    assert_int_equal(c.rings, 1);
    assert_int_equal(a.rings, 6);
    assert_true(pl_instance_is_quiet(&f.instance));
    /* One that is due at once waits for the next turn of the loop. */
    bell d = {.rings = 0};
    assert_int_equal(start(&f, &d, 0), 0);
    assert_int_equal(d.rings, 0);
    pl_timers_run(&f.loop.timers, f.loop.now);
    assert_int_equal(d.rings, 1);
    /* The last one stops the other, which leaves none, and starts itself again. */
    bell e = {.again = 5}, g = {.rings = 0};
    e.stops = &g;
    assert_int_equal(start(&f, &g, 2100), 0);
    assert_int_equal(start(&f, &e, 2050), 0);
    pass(&f, 2060);
    assert_int_equal(g.rings, 0);
    assert_int_equal(e.rings, 3);
    fixture_end(&f);
}

static void test_memory_failures(void **state)
{
    failing fails = {0};
    while (failing_next(&fails)) {
        fixture f;
        bell a = {.again = 1}, b = {.rings = 0};
        fixture_init(&f);
        failing_begin(&fails);
        int status = start(&f, &a, 1100);
        bool failed = failing_end(&fails);
        assert_int_equal(status, failed ? -1 : 0);
        assert_true(failed == pl_instance_is_quiet(&f.instance));
        if (failed)
            assert_int_equal(start(&f, &a, 1100), 0);
        assert_int_equal(start(&f, &b, 1110), 0);
        pl_alloc_fail_at(1, 1); /* what is armed goes on without */
        pass(&f, 1120);
        pl_alloc_fail_at(0, 0);
        assert_int_equal(a.rings, 21);
        assert_int_equal(b.rings, 1);
        fixture_end(&f);
    }
    assert_int_equal(fails.made, 2);
}

typedef struct work {
    pl_job job; /* first */
    int runs, dones;
    pl_instance *instance;
} work;

static void work_run(pl_job *job)
{
    ((work *)job)->runs++;
}

static void work_done(pl_job *job)
{
    work *w = (work *)job;
    w->dones++;
    assert_false(pl_instance_is_quiet(w->instance)); /* not before its end is told */
}

static void test_jobs_are_in_flight(void **state)
{
    fixture f;
    fixture_init(&f);
    work w = {.job = {.run = work_run, .done = work_done}, .instance = &f.instance};
    pl_host *host = &f.instance.host;
    assert_int_equal(host->ops->offload(host, &w.job, NULL), 0);
    assert_int_equal(f.instance.in_flight, 1);
    assert_false(pl_instance_is_quiet(&f.instance));
    f.loop.job->run(f.loop.job);
    f.loop.job->done(f.loop.job);
    assert_int_equal(w.runs, 1);
    assert_int_equal(w.dones, 1);
    assert_true(pl_instance_is_quiet(&f.instance));
    f.loop.full = true;
    assert_int_equal(host->ops->offload(host, &w.job, NULL), -1);
    pl_alloc_fail_at(1, 0);
    assert_int_equal(host->ops->offload(host, &w.job, NULL), -1);
    assert_true(pl_instance_is_quiet(&f.instance));
    fixture_end(&f);
}

/* After the loop: what is armed can be stopped, and nothing begins. */
static void test_without_a_loop(void **state)
{
    for (int freed = 0; freed < 2; freed++) {
        fixture f;
        bell a = {.rings = 0}, b = {.rings = 0};
        fixture_init(&f);
        assert_int_equal(start(&f, &a, 1100), 0);
        assert_int_equal(start(&f, &b, 1200), 0);
        if (freed)
            pl_timers_dispose(&f.loop.timers);
        pl_instance_host_leave(&f.instance);
        assert_int_equal(pl_timers_next(&f.loop.timers), UINT64_MAX);
        pl_host *host = &f.instance.host;
        memset(&f.loop.host, 0, sizeof(f.loop.host));
        stop(&f, &a);
        assert_int_equal(start(&f, &a, 1100), -1);
        work w = {.job = {.run = work_run, .done = work_done}};
        assert_int_equal(host->ops->offload(host, &w.job, NULL), -1);
        assert_true(host->ops->now(host) > 0);
        stop(&f, &b);
        assert_true(pl_instance_is_quiet(&f.instance));
        fixture_end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fire_at_their_times),
        cmocka_unit_test(test_stopped_and_started_anew),
        cmocka_unit_test(test_timers_that_start_and_stop_timers),
        cmocka_unit_test(test_memory_failures),
        cmocka_unit_test(test_jobs_are_in_flight),
        cmocka_unit_test(test_without_a_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
