/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/event_call.h"
#include "app/generation.h"
#include "base/alloc.h"
#include "events/kafka_harness.h"
#include "support/test_engine.h"

/* Handlers, with records of the mock cluster and an engine without scripts. Waits of tries are skipped by a
 * clock that is put on. */

enum { MOST = 100 };

typedef enum act { RETURN, REFUSE, CRASH_ONCE, WAIT } act;

typedef struct fixture {
    te *t;
    ahead ahead;
    pl_consumer_decl decl;
    pl_generation generation;
    pl_consumer_functions functions;
    pl_instance instance;
    pl_group_member member;
    pl_watch *watch;
    act act;
    unsigned called[MOST], returned[MOST]; /* by value */
    bool starves;                          /* the first call of each record has memory for so many */
    unsigned starved;                      /* calls in which an allocation has failed */
    bool closed;
} fixture;

static te_outcome handler(te_invocation *in, void *data)
{
    fixture *f = data;
    unsigned value = number_of(te_text(in->args[0]));
    assert_true(value < MOST);
    f->called[value]++;
    if (f->act == REFUSE)
        return te_fail(in, PL_INVALID_ARGUMENT, "no");
    if (f->act == CRASH_ONCE && f->called[value] == 1)
        return te_crash(in, "oops");
    if (f->act == WAIT)
        return TE_PEND;
    f->returned[value]++;
    return TE_RETURN;
}

static void on_handle(void *data, pl_record **records, size_t count)
{
    fixture *f = data;
    bool starves = f->starves && records[0]->retries == 0;
    size_t nth = (size_t)records[0]->flow.offset + 1;
    if (starves)
        pl_alloc_fail_at(nth, 0);
    pl_event_call_start(&f->member, records, count);
    if (starves)
        f->starved += pl_alloc_fail_at(0, 0) >= nth;
}

static void on_cancel(void *data, pl_record *record)
{
    pl_event_call_cancel(record->work);
}

static void on_closed(void *data)
{
    ((fixture *)data)->closed = true;
    pl_loop_stop(loop);
}

static void on_readable(void *data)
{
    pl_consumer_poll(((fixture *)data)->member.consumer);
}

static void keep_handler(void *data)
{
    fixture *f = data;
    const pl_engine *e = te_engine();
    e->make_room(te_state(f->t), 8);
    f->functions.handler = e->keep(te_state(f->t), te_push(f->t, te_function(f->t, handler, f, 3)));
}

static int setup(void **state)
{
    pl_error err = {0};
    fixture *f = test_calloc(1, sizeof *f);
    f->t = te_new();
    ahead_init(&f->ahead);
    f->decl = (pl_consumer_decl){
        .name = PL_STR("g:t"),
        .group = PL_STR("g"),
        .format = PL_EVENT_BYTES,
        .retry = {.attempts = 3, .initial = 100, .growth = PL_CONSTANT},
        .options = {.flow = {.ordering = PL_BY_KEY, .concurrency = MOST}, .commit_ms = 10}};
    f->generation.config.consumers = &f->decl;
    f->generation.config.consumer_count = 1;
    f->generation.config.kafka.settings = mock_kafka;
    f->instance = (pl_instance){.generation = &f->generation,
                                .state = te_state(f->t),
                                .interceptors = PL_REF_NONE,
                                .consumers = &f->functions};
    f->functions.arity = 3;
    assert_true(te_engine()->protect(te_state(f->t), keep_handler, f, &err));
    f->member =
        (pl_group_member){.host = &f->ahead.host, .live = &f->instance, .events = pl_events_new(loop, NULL)};
    pl_random_seed(&f->member.random, 1);
    pl_events_adopt(f->member.events, &f->instance);
    *state = f;
    return 0;
}

static void open_consumer(fixture *f, const char *topic, unsigned events)
{
    static const pl_consumer_ops ops = {.handle = on_handle, .cancel = on_cancel, .closed = on_closed};
    const pl_consumer_config config = {.kafka = &mock_kafka,
                                       .group = "g",
                                       .topics = (const char *const[]){topic},
                                       .topic_count = 1,
                                       .shares = 1};
    pl_error err = {0};
    make_topic(topic, 1);
    publish_numbers(topic, 0, 0, events);
    f->member.consumer = pl_consumer_new(&config, &f->decl.options, &ops, f, &f->ahead.host, NULL, &err);
    if (!f->member.consumer)
        fail_msg("%s", err.message);
    f->watch = pl_loop_watch(loop, pl_consumer_fd(f->member.consumer), on_readable, f);
}

static int64_t position(const fixture *f)
{
    pl_partition_stats p = {.next_offset = -1};
    pl_consumer_partition(f->member.consumer, 0, &p);
    return p.next_offset;
}

/* Until all are done with. */
static void run_until(fixture *f, int64_t end)
{
    for (unsigned i = 0; i < 300 && position(f) < end; i++) {
        run_for(20);
        f->ahead.ms += 1000;
        pl_consumer_poll(f->member.consumer);
    }
    assert_int_equal(position(f), end);
}

static int teardown(void **state)
{
    fixture *f = *state;
    pl_consumer_close(f->member.consumer, 1000);
    if (!f->closed)
        assert_true(run_for(LONGEST_MS));
    assert_null(f->member.calls);
    assert_int_equal(f->instance.in_flight, 0);
    assert_int_equal(te_waiting(f->t), 0);
    pl_watch_end(f->watch);
    pl_consumer_free(f->member.consumer);
    pl_events_free(f->member.events);
    te_free(f->t);
    test_free(f);
    return 0;
}

static void test_each_record_is_handled_once(void **state)
{
    fixture *f = *state;
    open_consumer(f, "plain", 10);
    run_until(f, 10);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(f->called[i], 1);
}

static void test_what_fails_is_tried_again(void **state)
{
    fixture *f = *state;
    f->act = CRASH_ONCE;
    open_consumer(f, "crash", 10);
    run_until(f, 10);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(f->called[i], 2);
        assert_int_equal(f->returned[i], 1);
    }
    assert_int_equal(f->member.stats.failed, 10);
    assert_int_equal(f->member.stats.dead_lettered, 0);
}

/* One allocation after the other fails, each in the first call of another record. */
static void test_without_memory_a_record_is_handled_again(void **state)
{
    fixture *f = *state;
    f->starves = true;
    open_consumer(f, "hungry", MOST);
    run_until(f, MOST);
    for (unsigned i = 0; i < MOST; i++)
        assert_int_equal(f->returned[i], 1);
    assert_in_range(f->starved, 5, MOST - 1);
    assert_int_equal(f->member.stats.dead_lettered, 0);
}

static void test_without_memory_dead_letters_are_written_all_the_same(void **state)
{
    fixture *f = *state;
    f->act = REFUSE;
    f->starves = true;
    make_topic("refused-dlq", 1);
    open_consumer(f, "refused", MOST);
    run_until(f, MOST);
    assert_int_equal(f->member.stats.dead_lettered, MOST);
    assert_int_equal(count_offsets("refused-dlq", 1), MOST);
    assert_in_range(f->starved, 5, MOST - 1);
}

static void test_what_is_cancelled_is_handled_again(void **state)
{
    fixture *f = *state;
    f->act = WAIT;
    open_consumer(f, "cancelled", 1);
    for (unsigned i = 0; i < 100 && f->called[0] == 0; i++)
        run_for(20);
    assert_non_null(f->member.calls);
    f->act = RETURN;
    pl_event_call_cancel(f->member.calls);
    assert_null(f->member.calls);
    run_until(f, 1);
    assert_int_equal(f->called[0], 2);
    assert_int_equal(te_count(f->t).cancelled, 1);
}

static void test_a_handler_that_waits_too_long_is_ended(void **state)
{
    fixture *f = *state;
    f->act = WAIT;
    f->decl.timeout_ms = 500;
    make_topic("slow-dlq", 1);
    open_consumer(f, "slow", 1);
    run_until(f, 1);
    assert_int_equal(f->called[0], 3);
    assert_int_equal(f->member.stats.dead_lettered, 1);
}

/* Its partitions go, or the server ends, while it waits to be tried again. */
static void test_the_end_does_not_wait_for_tries(void **state)
{
    fixture *f = *state;
    f->act = REFUSE;
    f->decl.retry.never = pl_code_bit(PL_OK);
    f->decl.retry.initial = f->decl.retry.max = 3600000;
    open_consumer(f, "backoff", 3);
    for (unsigned i = 0; i < 100 && f->member.stats.failed < 3; i++)
        run_for(20);
    pl_consumer_close(f->member.consumer, 60000);
    assert_true(run_for(10000));
    assert_true(f->closed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_record_is_handled_once),
        TEST(test_what_fails_is_tried_again),
        TEST(test_without_memory_a_record_is_handled_again),
        TEST(test_without_memory_dead_letters_are_written_all_the_same),
        TEST(test_what_is_cancelled_is_handled_again),
        TEST(test_a_handler_that_waits_too_long_is_ended),
        TEST(test_the_end_does_not_wait_for_tries),
    };
    return cmocka_run_group_tests(tests, start_kafka, stop_kafka);
}
