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
    size_t size; /* of what is published; 0 is 1 */
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
        const pl_outgoing event = {.topic = PL_STR("copies"),
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
    pl_consumer_close(c->consumer, 5000);
    assert_true(run_for(LONGEST_MS));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_that_holds_up_results_goes_on_when_there_are_too_many),
    };
    return cmocka_run_group_tests(tests, start_kafka, stop_kafka);
}
