/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "events/consumer.h"
#include "events/kafka_harness.h"
#include "support/failing.h"

/* On the mock cluster, whose groups take seconds to form, and may not form again: most tests read their share
 * of a topic without one. Groups are tested with a real Kafka (tests/integration). */

/* --- handling --- */
typedef struct reader {
    pl_consumer *consumer;
    pl_watch *watch;
    unsigned handled[100]; /* by value */
    unsigned total, order[100];
    unsigned wanted;      /* so many records stop the loop; 0: partitions do */
    unsigned retry_value; /* is handed back the first time; 100: none */
    unsigned keep_value;  /* is never done; 100: none */
    pl_record *kept;
    size_t largest_batch;
    unsigned assigned, cancelled;
    bool grouped;
    bool late; /* what is cancelled is done all the same */
    bool closed;
    const char *group, *own_topic; /* NULL: "g", none */
    pl_start start;
    int64_t start_time;
    pl_host *host; /* NULL: the loop's */
    pl_logger *log;
} reader;

static void handle(void *data, pl_record **records, size_t count)
{
    reader *r = data;
    if (count > r->largest_batch)
        r->largest_batch = count;
    for (size_t i = 0; i < count; i++) {
        unsigned value = number_of(records[i]->value);
        assert_true(value < 100);
        r->handled[value]++;
        r->order[r->total++] = value;
        if (value == r->retry_value && records[i]->retries == 0)
            pl_consumer_retry(r->consumer, records[i], 20);
        else if (value == r->keep_value)
            r->kept = records[i];
        else
            pl_consumer_done(r->consumer, records[i]);
    }
    if (r->total >= r->wanted)
        pl_loop_stop(loop);
}

static void cancel(void *data, pl_record *record)
{
    reader *r = data;
    assert_ptr_equal(record, r->kept);
    r->cancelled++;
    r->kept = NULL;
    if (r->late)
        pl_consumer_done(r->consumer, record);
    else
        pl_consumer_retry(r->consumer, record, 0);
}

static void on_assigned(void *data)
{
    reader *r = data;
    r->assigned++;
    if (r->wanted == 0)
        pl_loop_stop(loop);
}

static void on_closed(void *data)
{
    ((reader *)data)->closed = true;
    pl_loop_stop(loop);
}

static void on_readable(void *data)
{
    pl_consumer_poll(((reader *)data)->consumer);
}

static pl_consumer *make(reader *r, const char *topic, const pl_consumer_options *options, pl_error *err)
{
    static const pl_consumer_ops ops = {
        .handle = handle, .cancel = cancel, .assigned = on_assigned, .closed = on_closed};
    const pl_consumer_config config = {.kafka = &mock_kafka,
                                       .group = r->group ? r->group : "g",
                                       .topics = (const char *const[]){topic},
                                       .topic_count = 1,
                                       .own_topics = &r->own_topic,
                                       .own_topic_count = r->own_topic != NULL,
                                       .start = r->start,
                                       .start_time = r->start_time,
                                       .shares = r->grouped ? 0 : 1};
    return pl_consumer_new(&config, options, &ops, r, r->host ? r->host : pl_loop_host(loop), r->log, err);
}

static void open_reader(reader *r, const char *topic, const pl_consumer_options *options)
{
    pl_error err = {0};
    r->consumer = make(r, topic, options, &err);
    if (!r->consumer)
        fail_msg("%s", err.message);
    r->watch = pl_loop_watch(loop, pl_consumer_fd(r->consumer), on_readable, r);
    assert_non_null(r->watch);
}

static void close_reader(reader *r, unsigned timeout_ms)
{
    if (!r->closed) {
        pl_consumer_close(r->consumer, timeout_ms);
        assert_true(run_for(LONGEST_MS));
    }
    assert_true(r->closed);
    pl_watch_end(r->watch);
    pl_consumer_free(r->consumer);
}

static void test_records_are_handled_in_order_and_committed_up_to_the_first_that_is_not_done(void **state)
{
    reader r = {.retry_value = 4, .keep_value = 7, .wanted = 24}; /* 7 holds up seven others */
    const pl_consumer_options by_key = {
        .flow = {.ordering = PL_BY_KEY, .concurrency = 100}, .concurrency = 100, .commit_ms = 10};
    publish_numbers("keys", 0, 0, 30);
    open_reader(&r, "keys", &by_key);
    assert_true(run_for(LONGEST_MS));
    assert_int_equal(r.assigned, 1);
    pl_partition_stats p;
    unsigned partitions = 0;
    for (size_t i = 0; pl_consumer_partition(r.consumer, i, &p); i++)
        partitions++;
    assert_int_equal(partitions, 4);
    /* 7 was never done: its key has stopped there, the others have gone on. */
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(r.handled[i], i > 7 && i % 3 == 7 % 3 ? 0 : i == 4 ? 2 : 1);
    close_reader(&r, 100);
    assert_int_equal(r.cancelled, 1);

    reader again = {.retry_value = 100, .keep_value = 100, .wanted = 23};
    open_reader(&again, "keys", &by_key);
    assert_true(run_for(LONGEST_MS));
    for (unsigned i = 7; i < 30; i++)
        assert_int_equal(again.handled[i], 1);
    close_reader(&again, 100);
}

static void test_a_batch_waits_to_be_full(void **state)
{
    reader r = {.retry_value = 100, .keep_value = 100, .wanted = 20, .grouped = true};
    const pl_consumer_options batches = {.batch_size = 50, .batch_wait = 300};
    make_topic("batches", 1);
    publish_numbers("batches", 0, 0, 20);
    open_reader(&r, "batches", &batches);
    assert_true(run_for(LONGEST_MS));
    assert_int_equal(r.largest_batch, 20);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(r.order[i], i);
    close_reader(&r, 100);
}

/* librdkafka ends the process when a commit comes while it is ending a group. */
static void test_nothing_is_committed_once_a_group_is_left(void **state)
{
    const pl_consumer_options often = {.commit_ms = 1};
    make_topic("ends", 1);
    publish_numbers("ends", 0, 0, 5);
    for (unsigned i = 0; i < 8; i++) {
        char group[20];
        snprintf(group, sizeof group, "ends-%u", i);
        reader r = {.retry_value = 100, .keep_value = 4, .late = true, .wanted = 5, .group = group};
        open_reader(&r, "ends", &often);
        assert_true(run_for(LONGEST_MS));
        close_reader(&r, 0);
    }
}

static void starve(void *data)
{
    reader *r = data;
    pl_alloc_fail_at(1, 1); /* nothing can be had in this turn */
    pl_consumer_poll(r->consumer);
    pl_alloc_fail_at(0, 0);
}

static void feed(pl_timer *timer)
{
    reader *r = timer->data;
    pl_watch_end(r->watch);
    r->watch = pl_loop_watch(loop, pl_consumer_fd(r->consumer), on_readable, r);
}

static void test_records_for_which_there_was_no_memory_come_again(void **state)
{
    reader r = {.retry_value = 100, .keep_value = 100, .wanted = 20};
    const pl_consumer_options plain = {.commit_ms = 10};
    pl_error err = {0};
    pl_host *host = pl_loop_host(loop);
    make_topic("hunger", 1);
    publish_numbers("hunger", 0, 0, 1);
    r.consumer = make(&r, "hunger", &plain, &err);
    assert_non_null(r.consumer);
    /* Until the group has formed there is memory; then for a while none, then again. */
    r.wanted = 1;
    r.keep_value = 0;
    r.watch = pl_loop_watch(loop, pl_consumer_fd(r.consumer), on_readable, &r);
    assert_true(run_for(LONGEST_MS));
    assert_int_equal(r.order[0], 0);
    pl_watch_end(r.watch);
    r.wanted = 20;
    publish_numbers("hunger", 0, 1, 19);
    r.watch = pl_loop_watch(loop, pl_consumer_fd(r.consumer), starve, &r);
    pl_timer timer = {.fire = feed, .data = &r};
    host->ops->timer_start(host, &timer, host->ops->now(host) + 50);
    pl_consumer_done(r.consumer, r.kept);
    assert_true(run_for(LONGEST_MS));
    host->ops->timer_stop(host, &timer);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(r.order[i], i);
    close_reader(&r, 100);
}

static void test_without_memory_there_is_none(void **state)
{
    failing a = {.sticky = true};
    const pl_consumer_options plain = {0};
    while (failing_next(&a)) {
        reader r = {.retry_value = 100, .keep_value = 100, .grouped = true};
        pl_error err = {0};
        failing_begin(&a);
        r.consumer = make(&r, "none", &plain, &err);
        bool failed = failing_end(&a);
        if (failed && !r.consumer)
            assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
        else
            assert_non_null(r.consumer);
        if (r.consumer)
            pl_consumer_stop(r.consumer);
        pl_consumer_free(r.consumer);
    }
    assert_true(a.made >= 2);
}

static void test_wrong_settings_are_named(void **state)
{
    static const pl_kafka_property wrong[] = {{PL_STR("session.timeout.ms"), PL_STR("soon")}};
    static const pl_consumer_ops ops = {.handle = handle, .cancel = cancel};
    const pl_kafka_settings kafka = {.brokers = PL_STR("127.0.0.1:1"), .properties = wrong, .count = 1};
    const pl_consumer_config config = {
        .kafka = &kafka, .group = "g", .topics = (const char *const[]){"t"}, .topic_count = 1};
    const pl_consumer_options plain = {0};
    pl_error err = {0};
    assert_null(pl_consumer_new(&config, &plain, &ops, NULL, pl_loop_host(loop), NULL, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "session.timeout.ms"));
}

/* --- what is asked of brokers before anything is read --- */
typedef struct warnings {
    unsigned count;
    uint64_t first, last; /* milliseconds */
    bool stops;           /* the loop */
} warnings;

static void on_log(void *data, pl_level level, pl_str line)
{
    warnings *w = data;
    if (level != PL_WARN || !memmem(line.ptr, line.len, "again", 5))
        return;
    w->last = pl_clock_ms();
    if (w->count++ == 0)
        w->first = w->last;
    if (w->stops)
        pl_loop_stop(loop);
}

#define LIST_OFFSETS 2
#define REFUSED RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED

static void open_by_time(reader *r, warnings *w)
{
    const pl_consumer_options plain = {.commit_ms = 10};
    r->grouped = true;
    r->start = PL_FROM_TIME;
    r->start_time = 1700000000000;
    r->log = pl_logger_new_sink(on_log, w, PL_LOG_JSON, PL_WARN);
    open_reader(r, "times", &plain);
}

static void test_offsets_by_time_are_asked_for_again_after_a_while(void **state)
{
    warnings w = {0};
    reader r = {.group = "by-time"};
    make_topic("times", 1);
    rd_kafka_mock_push_request_errors(mock, LIST_OFFSETS, 2, REFUSED, REFUSED);
    open_by_time(&r, &w);
    assert_true(run_for(LONGEST_MS));
    assert_int_equal(r.assigned, 1);
    assert_int_equal(w.count, 2);
    assert_true(w.last - w.first >= 900);
    close_reader(&r, 100);
    pl_logger_free(r.log);
}

static void test_a_group_is_left_while_offsets_are_asked_for(void **state)
{
    warnings w = {.stops = true};
    reader r = {.group = "impatient"};
    rd_kafka_resp_err_t errors[50];
    for (size_t i = 0; i < 50; i++)
        errors[i] = REFUSED;
    rd_kafka_mock_push_request_errors_array(mock, LIST_OFFSETS, 50, errors);
    open_by_time(&r, &w);
    assert_true(run_for(LONGEST_MS));
    w.stops = false;
    pl_consumer_close(r.consumer, 1000);
    assert_true(run_for(10000));
    assert_int_equal(r.assigned, 0);
    close_reader(&r, 100);
    rd_kafka_mock_clear_request_errors(mock, LIST_OFFSETS);
    pl_logger_free(r.log);
}

static bool is_there(const char *topic)
{
    const struct rd_kafka_metadata *all;
    char why[512];
    pl_error err;
    bool found = false;
    rd_kafka_t *client =
        rd_kafka_new(RD_KAFKA_PRODUCER, pl_kafka_conf(&mock_kafka, NULL, &err), why, sizeof why);
    assert_int_equal(rd_kafka_metadata(client, 1, NULL, &all, LONGEST_MS), 0);
    for (int i = 0; i < all->topic_cnt; i++)
        found |= strcmp(all->topics[i].topic, topic) == 0;
    rd_kafka_metadata_destroy(all);
    rd_kafka_destroy(client);
    return found;
}

static void test_own_topics_are_made_when_brokers_are_there_later(void **state)
{
    warnings w = {.stops = true};
    ahead a;
    reader r = {.wanted = 100,
                .retry_value = 100,
                .keep_value = 100,
                .grouped = true,
                .group = "late",
                .own_topic = "late-dlq",
                .host = &a.host,
                .log = pl_logger_new_sink(on_log, &w, PL_LOG_JSON, PL_WARN)};
    const pl_consumer_options plain = {.commit_ms = 10};
    ahead_init(&a);
    make_topic("late", 1);
    rd_kafka_mock_topic_set_error(mock, "late", RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE);
    open_reader(&r, "late", &plain);
    assert_true(run_for(LONGEST_MS)); /* the warning */
    rd_kafka_mock_topic_set_error(mock, "late", RD_KAFKA_RESP_ERR_NO_ERROR);
    run_for(100);
    a.ms = 10000;
    for (unsigned i = 0; i < 50 && !is_there("late-dlq"); i++) {
        pl_consumer_poll(r.consumer);
        run_for(100);
    }
    close_reader(&r, 100);
    assert_int_equal(w.count, 1);
    pl_logger_free(r.log);
}

static void test_own_topics_that_are_named_later_are_made(void **state)
{
    reader r = {.wanted = 100, .grouped = true, .group = "renamed"};
    const pl_consumer_options plain = {.commit_ms = 10};
    static const char *const names[] = {"renamed-dead", "renamed-retry"};
    make_topic("renamed", 1);
    open_reader(&r, "renamed", &plain);
    pl_consumer_set_own_topics(r.consumer, names, 1);
    pl_consumer_set_own_topics(r.consumer, names, 2);
    for (unsigned i = 0; i < 100 && !is_there(names[1]); i++)
        run_for(50);
    assert_true(is_there(names[0]));
    assert_true(is_there(names[1]));
    close_reader(&r, 100);
}

/* Whose first event comes while nobody reads. */
static void test_what_comes_behind_the_latest_is_not_passed_over(void **state)
{
    const pl_consumer_options plain = {.commit_ms = 10};
    reader first = {
        .retry_value = 100, .keep_value = 100, .wanted = 1, .group = "latest", .start = PL_FROM_LATEST};
    make_topic("latest", 1);
    publish_numbers("latest", 0, 0, 5);
    open_reader(&first, "latest", &plain);
    for (unsigned i = 0; i < 100 && pl_consumer_get_stats(first.consumer).commits == 0; i++)
        run_for(50);
    assert_int_equal(pl_consumer_get_stats(first.consumer).commits, 1);
    close_reader(&first, 100);
    assert_int_equal(first.total, 0);

    publish_numbers("latest", 0, 5, 3);
    reader next = {
        .retry_value = 100, .keep_value = 100, .wanted = 3, .group = "latest", .start = PL_FROM_LATEST};
    open_reader(&next, "latest", &plain);
    assert_true(run_for(LONGEST_MS));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(next.order[i], 5 + i);
    close_reader(&next, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_are_handled_in_order_and_committed_up_to_the_first_that_is_not_done),
        cmocka_unit_test(test_a_batch_waits_to_be_full),
        cmocka_unit_test(test_records_for_which_there_was_no_memory_come_again),
        cmocka_unit_test(test_without_memory_there_is_none),
        cmocka_unit_test(test_nothing_is_committed_once_a_group_is_left),
        cmocka_unit_test(test_wrong_settings_are_named),
        cmocka_unit_test(test_offsets_by_time_are_asked_for_again_after_a_while),
        cmocka_unit_test(test_a_group_is_left_while_offsets_are_asked_for),
        cmocka_unit_test(test_own_topics_are_made_when_brokers_are_there_later),
        cmocka_unit_test(test_own_topics_that_are_named_later_are_made),
        cmocka_unit_test(test_what_comes_behind_the_latest_is_not_passed_over),
    };
    return cmocka_run_group_tests(tests, start_kafka, stop_kafka);
}
