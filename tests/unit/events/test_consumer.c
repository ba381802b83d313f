/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "events/broker.h"
#include "events/consumer.h"
#include "events/producer.h"
#include "net/loop.h"
#include "support/failing.h"

/* On the mock cluster, whose groups take seconds to form, and may not form again: most tests read their share
 * of a topic without one. Groups are tested with a real Kafka (tests/integration). */

static pl_broker *broker;
static pl_helpers *helpers;
static pl_loop *loop;

static int start_all(void **state)
{
    pl_error err;
    broker = pl_broker_new(NULL, &err);
    helpers = pl_helpers_new(2, 100);
    loop = pl_loop_new(helpers, NULL, &err);
    return broker && helpers && loop ? 0 : -1;
}

static int stop_all(void **state)
{
    pl_loop_free(loop);
    pl_helpers_free(helpers);
    pl_broker_free(broker);
    return 0;
}

/* --- publishing --- */
static void on_done(pl_delivery *delivery, const pl_acknowledgement *ack)
{
    assert_int_equal(ack->code, PL_OK);
}

static void publish(const char *topic, unsigned count)
{
    const pl_kafka_settings kafka = {.brokers = pl_str_of(pl_broker_address(broker))};
    const pl_producer_config config = {.kafka = &kafka};
    static const pl_header headers[] = {{PL_STR("trace"), PL_STR("a\0b")}};
    static pl_delivery deliveries[100];
    pl_error err = {0};
    pl_producer *producer = pl_producer_new(&config, &err);
    assert_non_null(producer);
    for (unsigned i = 0; i < count; i++) {
        char value[16], key[16];
        bool waits;
        snprintf(value, sizeof value, "%u", i);
        snprintf(key, sizeof key, "k%u", i % 3);
        const pl_outgoing event = {.topic = pl_str_of(topic),
                                   .key = pl_str_of(key),
                                   .value = pl_str_of(value),
                                   .headers = headers,
                                   .header_count = 1,
                                   .timestamp = 1000 + i};
        deliveries[i] = (pl_delivery){.done = on_done};
        assert_int_equal(pl_producer_send(producer, &event, &deliveries[i], &waits, &err), PL_OK);
    }
    while (pl_producer_under_way(producer) > 0)
        pl_producer_poll(producer);
    pl_producer_free(producer);
}

/* --- handling --- */
typedef struct reader {
    pl_consumer *consumer;
    pl_watch *watch;
    unsigned handled[100]; /* by value */
    unsigned total, wanted, order[100];
    unsigned retry_value; /* is handed back the first time; 100: none */
    unsigned keep_value;  /* is never done; 100: none */
    pl_record *kept;
    size_t largest_batch;
    unsigned assigned, cancelled;
    bool grouped;
    bool closed;
} reader;

static unsigned value_of(const pl_record *r)
{
    unsigned value = 0;
    for (size_t i = 0; i < r->value.len; i++)
        value = value * 10 + (unsigned)(r->value.ptr[i] - '0');
    return value;
}

static void handle(void *data, pl_record **records, size_t count)
{
    reader *r = data;
    if (count > r->largest_batch)
        r->largest_batch = count;
    for (size_t i = 0; i < count; i++) {
        unsigned value = value_of(records[i]);
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
    pl_consumer_retry(r->consumer, record, 0);
}

static void on_assigned(void *data)
{
    ((reader *)data)->assigned++;
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
    const pl_kafka_settings kafka = {.brokers = pl_str_of(pl_broker_address(broker))};
    const pl_consumer_config config = {

        .kafka = &kafka,
        .group = "g",
        .topics = (const char *const[]){topic},
        .topic_count = 1,
        .shares = r->grouped ? 0 : 1};
    return pl_consumer_new(&config, options, &ops, r, pl_loop_host(loop), NULL, err);
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

static void close_reader(reader *r)
{
    if (!r->closed) {
        pl_consumer_close(r->consumer, 100);
        pl_loop_run(loop);
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
    publish("keys", 30);
    open_reader(&r, "keys", &by_key);
    pl_loop_run(loop);
    assert_int_equal(r.assigned, 1);
    pl_partition_stats p;
    unsigned partitions = 0;
    for (size_t i = 0; pl_consumer_partition(r.consumer, i, &p); i++)
        partitions++;
    assert_int_equal(partitions, 4);
    /* 7 was never done: its key has stopped there, the others have gone on. */
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(r.handled[i], i > 7 && i % 3 == 7 % 3 ? 0 : i == 4 ? 2 : 1);
    close_reader(&r);
    assert_int_equal(r.cancelled, 1);

    reader again = {.retry_value = 100, .keep_value = 100, .wanted = 23};
    open_reader(&again, "keys", &by_key);
    pl_loop_run(loop);
    for (unsigned i = 7; i < 30; i++)
        assert_int_equal(again.handled[i], 1);
    close_reader(&again);
}

static void test_a_batch_waits_to_be_full(void **state)
{
    reader r = {.retry_value = 100, .keep_value = 100, .wanted = 20, .grouped = true};
    const pl_consumer_options batches = {.batch_size = 50, .batch_wait = 300};
    pl_error err;
    assert_int_equal(pl_broker_create_topic(broker, "batches", 1, &err), PL_OK);
    publish("batches", 20);
    open_reader(&r, "batches", &batches);
    pl_loop_run(loop);
    assert_int_equal(r.largest_batch, 20);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(r.order[i], i);
    close_reader(&r);
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
    pl_error err;
    pl_host *host = pl_loop_host(loop);
    assert_int_equal(pl_broker_create_topic(broker, "hunger", 1, &err), PL_OK);
    publish("hunger", 20);
    r.consumer = make(&r, "hunger", &plain, &err);
    assert_non_null(r.consumer);
    /* Until the group has formed there is memory; then for a while none, then again. */
    r.wanted = 1;
    r.keep_value = 0;
    r.watch = pl_loop_watch(loop, pl_consumer_fd(r.consumer), on_readable, &r);
    pl_loop_run(loop);
    assert_int_equal(r.order[0], 0);
    pl_watch_end(r.watch);
    r.wanted = 20;
    r.watch = pl_loop_watch(loop, pl_consumer_fd(r.consumer), starve, &r);
    pl_timer timer = {.fire = feed, .data = &r};
    host->ops->timer_start(host, &timer, host->ops->now(host) + 50);
    pl_consumer_done(r.consumer, r.kept);
    pl_loop_run(loop);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(r.order[i], i);
    close_reader(&r);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_are_handled_in_order_and_committed_up_to_the_first_that_is_not_done),
        cmocka_unit_test(test_a_batch_waits_to_be_full),
        cmocka_unit_test(test_records_for_which_there_was_no_memory_come_again),
        cmocka_unit_test(test_without_memory_there_is_none),
        cmocka_unit_test(test_wrong_settings_are_named),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
