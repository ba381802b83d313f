/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "events/consumer.h"
#include "events/kafka_harness.h"

/* Consumers that write in transactions. The mock cluster does not isolate them, and keeps no offsets of them,
 * so what is shown is what the consumer does, and not what brokers promise. */

typedef struct copier {
    pl_consumer *consumer;
    pl_watch *watch;
    unsigned handled, wanted, each; /* each: events that are published for a record */
    unsigned first_value;           /* is handed back the first time, */
    unsigned retry_ms;              /* to be handled again after so long */
    bool closed;
    pl_code code;
    const char *to; /* NULL: "copies" */
    size_t size;    /* of what is published; 0 is 1 */
} copier;

static char large[2000000];

static void handle(void *data, pl_record **records, size_t count)
{
    copier *c = data;
    for (size_t i = 0; i < count; i++) {
        pl_record *r = records[i];
        pl_error err = {0};
        if (r->retries == 0 && number_of(r->value) == c->first_value && c->retry_ms) {
            pl_consumer_retry(c->consumer, r, c->retry_ms);
            continue;
        }
        const pl_outgoing event = {.topic = pl_str_of(c->to ? c->to : "copies"),
                                   .key = r->flow.key,
                                   .value = {large, c->size ? c->size : 1},
                                   .partition = PL_ANY_PARTITION};
        for (unsigned k = 0; k < c->each && !c->code; k++)
            c->code = pl_consumer_publish(c->consumer, r, &event, &err);
        c->handled++;
        pl_consumer_done(c->consumer, r);
    }
    if (c->handled >= c->wanted)
        pl_loop_stop(loop);
}

static void cancel(void *data, pl_record *record)
{
    pl_consumer_retry(((copier *)data)->consumer, record, 0);
}

static void on_closed(void *data)
{
    ((copier *)data)->closed = true;
    pl_loop_stop(loop);
}

static void on_readable(void *data)
{
    pl_consumer_poll(((copier *)data)->consumer);
}

static void open_copier(copier *c, const char *topic, const char *id)
{
    static const pl_consumer_ops ops = {.handle = handle, .cancel = cancel, .closed = on_closed};
    const pl_consumer_options options = {
        .flow = {.ordering = PL_BY_KEY, .concurrency = 100}, .concurrency = 100, .commit_ms = 10};
    const pl_consumer_config config = {.kafka = &mock_kafka,
                                       .group = "copiers",
                                       .topics = (const char *const[]){topic},
                                       .topic_count = 1,
                                       .shares = 1,
                                       .transactional_id = id};
    pl_error err = {0};
    c->consumer = pl_consumer_new(&config, &options, &ops, c, pl_loop_host(loop), NULL, &err);
    if (!c->consumer)
        fail_msg("%s", err.message);
    c->watch = pl_loop_watch(loop, pl_consumer_fd(c->consumer), on_readable, c);
    assert_non_null(c->watch);
}

static void close_copier(copier *c)
{
    if (!c->closed) {
        pl_consumer_close(c->consumer, 5000);
        assert_true(run_for(LONGEST_MS));
    }
    assert_true(c->closed);
    pl_watch_end(c->watch);
    pl_consumer_free(c->consumer);
}

/* A record that is tried again holds up the results of all behind it. When those are as many as may wait,
 * nothing would be committed any more if it had to wait, too. */
static void test_a_record_that_holds_up_results_goes_on_when_there_are_too_many(void **state)
{
    copier c = {.each = 1000, .retry_ms = 500, .wanted = 30};
    make_topic("held", 1);
    make_topic("copies", 1);
    publish_numbers("held", 0, 0, 30);
    open_copier(&c, "held", "held-1");
    assert_true(run_for(LONGEST_MS));
    assert_int_equal(c.handled, 30);
    assert_int_equal(c.code, PL_OK);
    close_copier(&c);
    assert_true(count_offsets("copies", 1) >= 30000);
}

/* It would fail the whole transaction, and that each time. */
static void test_an_event_that_is_too_large_is_refused(void **state)
{
    copier c = {.each = 1, .wanted = 3, .size = sizeof large};
    make_topic("sizes", 1);
    publish_numbers("sizes", 0, 0, 3);
    open_copier(&c, "sizes", "sizes-1");
    assert_true(run_for(LONGEST_MS));
    assert_int_equal(c.code, PL_INVALID_ARGUMENT);
    close_copier(&c);
}

#define ADD_PARTITIONS 24
#define COMMIT_OFFSETS 28

/* Nothing is handled again for that. */
static void test_a_transaction_that_fails_is_written_again(void **state)
{
    copier c = {.each = 2, .wanted = 10};
    make_topic("again", 1);
    make_topic("copies-again", 1);
    c.to = "copies-again";
    publish_numbers("again", 0, 0, 10);
    rd_kafka_mock_push_request_errors(mock, ADD_PARTITIONS, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    rd_kafka_mock_push_request_errors(mock, COMMIT_OFFSETS, 1, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS);
    open_copier(&c, "again", "again-1");
    assert_true(run_for(LONGEST_MS));
    for (unsigned i = 0; i < 200 && pl_consumer_get_stats(c.consumer).commits == 0; i++)
        run_for(50);
    pl_consumer_stats stats = pl_consumer_get_stats(c.consumer);
    assert_int_equal(stats.failed_commits, 2);
    assert_true(stats.commits > 0);
    assert_int_equal(c.handled, 10);
    close_copier(&c);
    assert_true(count_offsets("copies-again", 1) >= 20);
}

/* What it has not written is handled by whoever gets the partitions. */
static void test_the_end_does_not_wait_for_a_transaction_that_fails(void **state)
{
    copier c = {.each = 1, .wanted = 5};
    rd_kafka_resp_err_t errors[50];
    for (size_t i = 0; i < 50; i++)
        errors[i] = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    make_topic("end", 1);
    publish_numbers("end", 0, 0, 5);
    rd_kafka_mock_push_request_errors_array(mock, ADD_PARTITIONS, 50, errors);
    open_copier(&c, "end", "end-1");
    assert_true(run_for(LONGEST_MS));
    for (unsigned i = 0; i < 100 && pl_consumer_get_stats(c.consumer).failed_commits == 0; i++)
        run_for(50);
    pl_consumer_close(c.consumer, 1000);
    assert_true(run_for(10000));
    close_copier(&c);
    rd_kafka_mock_clear_request_errors(mock, ADD_PARTITIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_that_holds_up_results_goes_on_when_there_are_too_many),
        cmocka_unit_test(test_an_event_that_is_too_large_is_refused),
        cmocka_unit_test(test_a_transaction_that_fails_is_written_again),
        cmocka_unit_test(test_the_end_does_not_wait_for_a_transaction_that_fails),
    };
    return cmocka_run_group_tests(tests, start_kafka, stop_kafka);
}
