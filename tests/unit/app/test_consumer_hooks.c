/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/consumer_hooks.h"
#include "app/event_call.h"
#include "app/generation.h"
#include "support/failing.h"
#include "support/test_engine.h"

/* The functions that a declaration has besides its handler, with a virtual clock, and a consumer that reaches
 * no brokers. What they are called for is told by hand. */

typedef struct fixture {
    te *t;
    pl_consumer_decl decl;
    pl_generation generation;
    pl_consumer_functions functions;
    pl_instance old, live;
    pl_group_member member;
    char calls[256];    /* in their order, a letter each: A, R (L: lost), T */
    unsigned refusals;  /* of on_assigned that are still to come */
    bool waits;         /* on_assigned: until it is ended */
    unsigned cancelled; /* records; there are none */
} fixture;

static void note(fixture *f, char letter)
{
    size_t n = strlen(f->calls);
    assert_true(n + 1 < sizeof f->calls);
    f->calls[n] = letter;
}

static te_outcome on_assigned(te_invocation *in, void *data)
{
    fixture *f = data;
    note(f, 'A');
    if (f->refusals > 0) {
        f->refusals--;
        return te_fail(in, PL_UNAVAILABLE, "its state cannot be read");
    }
    return f->waits ? TE_PEND : TE_RETURN;
}

static te_outcome on_revoked(te_invocation *in, void *data)
{
    note(data, in->args[2].boolean ? 'L' : 'R');
    return TE_RETURN;
}

static te_outcome on_timer(te_invocation *in, void *data)
{
    note(data, 'T');
    return TE_RETURN;
}

static void handle(void *data, pl_record **records, size_t count)
{
}

static void cancel(void *data, pl_record *record)
{
}

static void keep_functions(void *data)
{
    fixture *f = data;
    pl_state *state = te_state(f->t);
    const pl_engine *e = te_engine();
    e->make_room(state, 8);
    f->functions = (pl_consumer_functions){
        .on_assigned = e->keep(state, te_push(f->t, te_function(f->t, on_assigned, f, 3))),
        .on_revoked = e->keep(state, te_push(f->t, te_function(f->t, on_revoked, f, 3))),
        .timer = e->keep(state, te_push(f->t, te_function(f->t, on_timer, f, 3)))};
}

static pl_instance instance_of(fixture *f)
{
    return (pl_instance){.generation = &f->generation, .state = te_state(f->t), .consumers = &f->functions};
}

static int setup(void **state)
{
    static const pl_consumer_ops ops = {.handle = handle, .cancel = cancel};
    static const pl_kafka_settings kafka = {.brokers = PL_STR("127.0.0.1:1")};
    const pl_consumer_config config = {
        .kafka = &kafka, .group = "g", .topics = (const char *const[]){"t"}, .topic_count = 1};
    pl_consumer_options options = {0};
    pl_error err = {0};
    fixture *f = calloc(1, sizeof *f);
    f->t = te_new();
    f->decl = (pl_consumer_decl){.name = PL_STR("g:t"), .group = PL_STR("g"), .hooks = true};
    f->generation.config.consumers = &f->decl;
    f->generation.config.consumer_count = 1;
    assert_true(te_engine()->protect(te_state(f->t), keep_functions, f, &err));
    f->old = instance_of(f);
    f->live = instance_of(f);
    f->member.host = ((pl_state_head *)te_state(f->t))->host;
    f->member.live = &f->live;
    f->member.consumer = pl_consumer_new(&config, &options, &ops, f, f->member.host, NULL, &err);
    f->member.hooks = pl_consumer_hooks_new(&f->member);
    *state = f;
    return f->member.consumer && f->member.hooks ? 0 : -1;
}

static int teardown(void **state)
{
    fixture *f = *state;
    pl_consumer_hooks_free(f->member.hooks);
    assert_int_equal(f->old.in_flight + f->live.in_flight, 0);
    pl_consumer_stop(f->member.consumer);
    assert_int_equal(te_timers(f->t), 0);
    pl_consumer_free(f->member.consumer);
    te_free(f->t);
    free(f);
    return 0;
}

static void test_partitions_that_come_and_go_are_told_once_each(void **state)
{
    fixture *f = *state;
    pl_consumer_hooks_assigned(f->member.hooks);
    assert_string_equal(f->calls, "A");
    assert_false(pl_consumer_hooks_leaving(f->member.hooks, false));
    assert_string_equal(f->calls, "AR");
    assert_false(pl_consumer_hooks_leaving(f->member.hooks, true));
    assert_string_equal(f->calls, "AR");
    pl_consumer_hooks_assigned(f->member.hooks);
    assert_false(pl_consumer_hooks_leaving(f->member.hooks, true));
    assert_string_equal(f->calls, "ARAL");
}

static void test_more_partitions_are_told_with_all(void **state)
{
    fixture *f = *state;
    pl_consumer_hooks_assigned(f->member.hooks);
    pl_consumer_hooks_assigned(f->member.hooks);
    assert_string_equal(f->calls, "ARA");
    pl_consumer_hooks_step(f->member.hooks);
    assert_string_equal(f->calls, "ARA");
    /* Those that come while on_assigned runs, too. */
    assert_false(pl_consumer_hooks_leaving(f->member.hooks, false));
    f->waits = true;
    pl_consumer_hooks_assigned(f->member.hooks);
    pl_consumer_hooks_assigned(f->member.hooks);
    assert_string_equal(f->calls, "ARARA");
    f->waits = false;
    te_complete(f->t, te_waiting_at(f->t, 0), te_null());
    assert_string_equal(f->calls, "ARARARA");
}

static void test_on_assigned_is_called_again_when_it_fails(void **state)
{
    fixture *f = *state;
    f->refusals = 3;
    pl_consumer_hooks_assigned(f->member.hooks);
    assert_string_equal(f->calls, "A");
    te_advance(f->t, 499);
    assert_string_equal(f->calls, "A");
    te_advance(f->t, 1);
    assert_string_equal(f->calls, "AA");
    te_advance(f->t, 999);
    assert_string_equal(f->calls, "AA");
    te_advance(f->t, 1);
    assert_string_equal(f->calls, "AAA");
    te_advance(f->t, 2000);
    assert_string_equal(f->calls, "AAAA");
    te_advance(f->t, 100000);
    assert_string_equal(f->calls, "AAAA");
}

/* The wait of the first failure is not over yet. */
static void test_partitions_that_come_while_it_waits_do_not_leave_a_second_timer_behind(void **state)
{
    fixture *f = *state;
    f->refusals = 2;
    size_t before = te_timers(f->t);
    pl_consumer_hooks_assigned(f->member.hooks);
    assert_int_equal(te_timers(f->t), before + 1);
    pl_consumer_hooks_assigned(f->member.hooks);
    assert_string_equal(f->calls, "AA");
    assert_int_equal(te_timers(f->t), before + 1);
    te_advance(f->t, 1000);
    assert_string_equal(f->calls, "AAA");
    assert_int_equal(te_timers(f->t), before);
}

static void test_without_memory_for_a_timer_the_group_is_left(void **state)
{
    fixture *f = *state;
    f->refusals = 100;
    te_refuse_timers(f->t);
    pl_consumer_hooks_assigned(f->member.hooks);
    assert_string_equal(f->calls, "A");
    /* It is closed: nothing is waited for. */
    pl_consumer_poll(f->member.consumer);
    assert_false(pl_consumer_hooks_leaving(f->member.hooks, false));
    assert_string_equal(f->calls, "A");
}

static void test_partitions_that_go_while_on_assigned_runs_are_waited_for(void **state)
{
    fixture *f = *state;
    f->waits = true;
    pl_consumer_hooks_assigned(f->member.hooks);
    assert_true(pl_consumer_hooks_leaving(f->member.hooks, false));
    assert_string_equal(f->calls, "A");
    te_complete(f->t, te_waiting_at(f->t, 0), te_null());
    assert_string_equal(f->calls, "AR");
    assert_false(pl_consumer_hooks_leaving(f->member.hooks, false));
    assert_string_equal(f->calls, "AR");
}

static void test_when_on_assigned_fails_while_they_go_nothing_is_left(void **state)
{
    static const pl_failure failure = {.code = PL_UNAVAILABLE, .message = PL_STR("no")};
    fixture *f = *state;
    f->waits = true;
    pl_consumer_hooks_assigned(f->member.hooks);
    assert_true(pl_consumer_hooks_leaving(f->member.hooks, false));
    te_fail_call(f->t, te_waiting_at(f->t, 0), &failure);
    te_advance(f->t, 100000);
    assert_string_equal(f->calls, "A");
}

static void test_a_reload_hands_over(void **state)
{
    fixture *f = *state;
    f->member.live = &f->old;
    pl_consumer_hooks_assigned(f->member.hooks);
    assert_int_equal(f->old.in_flight, 1);
    f->member.live = &f->live;
    pl_consumer_hooks_step(f->member.hooks);
    assert_string_equal(f->calls, "ARA");
    assert_int_equal(f->old.in_flight, 0);
    assert_int_equal(f->live.in_flight, 1);
}

static void test_the_end_of_a_generation_cancels_what_runs_in_it(void **state)
{
    fixture *f = *state;
    f->member.live = &f->old;
    f->waits = true;
    pl_consumer_hooks_assigned(f->member.hooks);
    f->member.live = &f->live;
    f->waits = false;
    f->old.retired = true;
    pl_consumer_hooks_cancel(f->member.hooks, &f->old);
    assert_int_equal(te_waiting(f->t), 0);
    assert_string_equal(f->calls, "AA");
    assert_int_equal(f->old.in_flight, 0);
}

static void test_the_timer_runs_as_long_as_there_are_partitions(void **state)
{
    fixture *f = *state;
    f->decl.timer_ms = 1000;
    te_advance(f->t, 5000);
    assert_string_equal(f->calls, "");
    pl_consumer_hooks_assigned(f->member.hooks);
    te_advance(f->t, 1000);
    te_advance(f->t, 1000);
    assert_string_equal(f->calls, "ATT");
    assert_false(pl_consumer_hooks_leaving(f->member.hooks, false));
    te_advance(f->t, 5000);
    assert_string_equal(f->calls, "ATTR");
}

/* Without memory it is called again, and nothing is lost or left over. */
static void test_without_memory_it_is_called_again(void **state)
{
    fixture *f = *state;
    failing a = {0};
    while (failing_next(&a)) {
        memset(f->calls, 0, sizeof f->calls);
        failing_begin(&a);
        pl_consumer_hooks_assigned(f->member.hooks);
        bool failed = failing_end(&a);
        for (unsigned i = 0; failed && !strchr(f->calls, 'A') && i < 100; i++)
            te_advance(f->t, 1000);
        assert_non_null(strchr(f->calls, 'A'));
        pl_consumer_hooks_leaving(f->member.hooks, false);
        te_advance(f->t, 1000);
        assert_int_equal(f->live.in_flight, 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_partitions_that_come_and_go_are_told_once_each),
        TEST(test_more_partitions_are_told_with_all),
        TEST(test_on_assigned_is_called_again_when_it_fails),
        TEST(test_partitions_that_come_while_it_waits_do_not_leave_a_second_timer_behind),
        TEST(test_without_memory_for_a_timer_the_group_is_left),
        TEST(test_partitions_that_go_while_on_assigned_runs_are_waited_for),
        TEST(test_when_on_assigned_fails_while_they_go_nothing_is_left),
        TEST(test_a_reload_hands_over),
        TEST(test_the_end_of_a_generation_cancels_what_runs_in_it),
        TEST(test_the_timer_runs_as_long_as_there_are_partitions),
        TEST(test_without_memory_it_is_called_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
