/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "app/generation.h"
#include "app/watchdog.h"
#include "base/alloc.h"
#include "perilune/engines.h"

/* An engine whose states only count how often they are looked at. */
typedef struct counter {
    pl_state_head head; /* first */
    atomic_uint looks;
    atomic_bool alive;
    _Atomic uint64_t last; /* the time it was told */
    atomic_bool backwards, masked;
} counter;

static atomic_uint looks_after_death;

static void watch(pl_state *state, uint64_t now)
{
    counter *c = (counter *)state;
    sigset_t mask;
    if (!atomic_load(&c->alive))
        atomic_fetch_add(&looks_after_death, 1);
    if (now < atomic_load(&c->last))
        atomic_store(&c->backwards, true);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    atomic_store(&c->masked,
                 sigismember(&mask, SIGTERM) && sigismember(&mask, SIGINT) && sigismember(&mask, SIGHUP));
    atomic_store(&c->last, now);
    atomic_fetch_add(&c->looks, 1);
}

static const pl_engine counting = {.name = "counting", .watch = watch};

static pl_state *counter_init(counter *c)
{
    *c = (counter){.head = {.engine = &counting}};
    atomic_store(&c->alive, true);
    return (pl_state *)c;
}

static void wait_for_looks(counter *c, unsigned n)
{
    uint64_t until = clock_ms() + LONGEST_MS;
    unsigned from = atomic_load(&c->looks);
    while (atomic_load(&c->looks) - from < n) {
        if (clock_ms() > until)
            fail_msg("it is not looked at");
        poll(NULL, 0, 1);
    }
}

static void test_looks_at_all_states(void **state)
{
    counter c[40];
    pl_watchdog *w = pl_watchdog_new();
    assert_non_null(w);
    for (int i = 0; i < 40; i++)
        assert_true(pl_watchdog_add(w, counter_init(&c[i])));
    for (int i = 0; i < 40; i++)
        wait_for_looks(&c[i], 1);
    uint64_t begin = clock_ms();
    unsigned looks = atomic_load(&c[0].looks);
    poll(NULL, 0, 100);
    looks = atomic_load(&c[0].looks) - looks;
    if (looks < 1 || looks > (clock_ms() - begin) / 10 + 2)
        fail_msg("it looked %u times in 100 ms", looks);
    for (int i = 0; i < 40; i++) {
        uint64_t last = atomic_load(&c[i].last), now = clock_ms();
        assert_true(last <= now && now - last < 5000);
        assert_false(atomic_load(&c[i].backwards));
        assert_true(atomic_load(&c[i].masked)); /* signals of the process are not for this thread */
    }
    pl_watchdog_free(w);
    for (int i = 0; i < 40; i++)
        atomic_store(&c[i].alive, false);
    assert_int_equal(atomic_load(&looks_after_death), 0);
    pl_watchdog_free(NULL);
}

static void test_removed_states_are_left_alone(void **state)
{
    counter a, b, c, other;
    pl_watchdog *w = pl_watchdog_new();
    assert_true(pl_watchdog_add(w, counter_init(&a)));
    assert_true(pl_watchdog_add(w, counter_init(&b)));
    assert_true(pl_watchdog_add(w, counter_init(&c)));
    wait_for_looks(&c, 1);
    pl_watchdog_remove(w, (pl_state *)&a);
    atomic_store(&a.alive, false);
    pl_watchdog_remove(w, counter_init(&other)); /* which was never there */
    wait_for_looks(&b, 2);
    wait_for_looks(&c, 2); /* the others go on */
    pl_watchdog_remove(w, (pl_state *)&c);
    atomic_store(&c.alive, false);
    pl_watchdog_remove(w, (pl_state *)&c);
    wait_for_looks(&b, 2);
    pl_watchdog_free(w);
    assert_int_equal(atomic_load(&looks_after_death), 0);
}

static void *come_and_go(void *data)
{
    counter c;
    for (int i = 0; i < 200; i++) {
        assert_true(pl_watchdog_add(data, counter_init(&c)));
        if (i % 20 == 0)
            wait_for_looks(&c, 1);
        pl_watchdog_remove(data, (pl_state *)&c);
        atomic_store(&c.alive, false);
    }
    return NULL;
}

static void test_from_many_threads(void **state)
{
    pthread_t threads[4];
    pl_watchdog *w = pl_watchdog_new();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, w), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    pl_watchdog_free(w);
    assert_int_equal(atomic_load(&looks_after_death), 0);
}

static void test_memory_failures(void **state)
{
    counter c;
    pl_alloc_fail_at(1, 0);
    assert_null(pl_watchdog_new());
    pl_watchdog *w = pl_watchdog_new();
    pl_alloc_fail_at(1, 0);
    assert_false(pl_watchdog_add(w, counter_init(&c)));
    assert_true(pl_watchdog_add(w, (pl_state *)&c));
    wait_for_looks(&c, 1);
    pl_watchdog_free(w);
}

/* With the real engine: a script that does not end is stopped, again and again. */
typedef struct script_call {
    pl_state *state;
    pl_ref function;
    pl_work work;
    pl_call_status status;
    pl_failure failure;
} script_call;

static void call_section(void *data)
{
    script_call *s = data;
    pl_call *pending;
    s->status = pl_engine_of(s->state)->call(s->state, s->function, 0, &s->work, &pending, &s->failure);
}

static uint64_t host_now(pl_host *host)
{
    return clock_ms();
}

static void test_stops_scripts(void **state)
{
    static const pl_host_ops ops = {.now = host_now};
    pl_host host = {.ops = &ops};
    pl_report report;
    pl_report_init(&report);
    pl_bundle *bundle = MEMORY_BUNDLE(
        "app.lua", "local function spin() while true do pcall(function() " SPIN " end) end end\n"
                   "return { limits = { run_time = 0.05 }, timers = { t = { every = 1, run = spin } } }");
    pl_generation_options options = {.engine = pl_lua_engine(), .workers = 1};
    pl_generation *g = pl_generation_build(bundle, &options, &report);
    assert_non_null(g);
    pl_watchdog *w = pl_watchdog_new();
    pl_state *s = g->instances[0]->state;
    assert_true(pl_watchdog_add(w, s));
    pl_engine_of(s)->state_attach(s, &host);
    for (int i = 0; i < 3; i++) {
        pl_arena arena;
        pl_error err = {0};
        pl_arena_init(&arena, 0);
        script_call call = {.state = s,
                            .function = g->instances[0]->timers[0],
                            .work = {.arena = &arena, .ctx = PL_REF_NONE}};
        uint64_t begin = clock_ms();
        assert_true(pl_engine_of(s)->protect(s, call_section, &call, &err));
        assert_int_equal(call.status, PL_CALL_FAILED);
        assert_int_equal(call.failure.code, PL_DEADLINE_EXCEEDED);
        uint64_t took = clock_ms() - begin;
        assert_true(took >= 45 && took < 10000);
        pl_engine_of(s)->work_end(s, &call.work);
        pl_arena_dispose(&arena);
    }
    pl_watchdog_remove(w, s);
    pl_generation_free(g);
    pl_watchdog_free(w);
    pl_bundle_unref(bundle);
    pl_report_dispose(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looks_at_all_states), cmocka_unit_test(test_removed_states_are_left_alone),
        cmocka_unit_test(test_from_many_threads),   cmocka_unit_test(test_memory_failures),
        cmocka_unit_test(test_stops_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
