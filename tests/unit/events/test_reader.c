/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "events/broker.h"
#include "events/producer.h"
#include "events/reader.h"
#include "net/loop.h"
#include "support/failing.h"

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
typedef struct published {
    pl_delivery delivery;
    bool done;
} published;

static void on_done(pl_delivery *delivery, const pl_acknowledgement *ack)
{
    assert_int_equal(ack->code, PL_OK);
    ((published *)delivery)->done = true;
}

/* Values "0", "1", … to one partition. */
static void publish(const char *topic, int32_t partition, unsigned first, unsigned count)
{
    const pl_kafka_settings kafka = {.brokers = pl_str_of(pl_broker_address(broker))};
    const pl_producer_config config = {.kafka = &kafka};
    static const pl_header headers[] = {{PL_STR("trace"), PL_STR("a\0b")}, {PL_STR("none"), {NULL, 0}}};
    pl_error err = {0};
    pl_producer *producer = pl_producer_new(&config, &err);
    published p = {.delivery = {.done = on_done}};
    assert_non_null(producer);
    for (unsigned i = first; i < first + count; i++) {
        char value[32];
        int n = snprintf(value, sizeof value, "%u", i);
        const pl_outgoing event = {.topic = pl_str_of(topic),
                                   .key = PL_STR("k"),
                                   .value = {value, (size_t)n},
                                   .headers = headers,
                                   .header_count = 2,
                                   .timestamp = 1700000000000 + i,
                                   .partition = partition};
        bool waits;
        published *last = i + 1 == first + count ? &p : NULL;
        static published forgotten;
        forgotten = (published){.delivery = {.done = on_done}};
        assert_int_equal(
            pl_producer_send(producer, &event, last ? &last->delivery : &forgotten.delivery, &waits, &err),
            PL_OK);
        pl_delivery_forget(&forgotten.delivery);
    }
    while (!p.done || pl_producer_under_way(producer) > 0) {
        struct pollfd fd = {.fd = pl_producer_fd(producer), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 30000), 1);
        pl_producer_poll(producer);
    }
    pl_producer_free(producer);
}

/* --- reading --- */
typedef struct taker {
    pl_reader *reader;
    pl_watch *watch;
    unsigned until; /* this many events, or the end, or a failure */
    unsigned caught_up_until;
    unsigned events, caught_up;
    int64_t last_offset[8];
    char values[256];
    bool ended;
    pl_error err;
    pl_timer timer, poll;
    bool placed_is_enough;
} taker;

static void stop(taker *t)
{
    pl_watch_end(t->watch);
    t->watch = NULL;
    pl_loop_stop(loop);
}

static void on_event(taker *t, const pl_incoming *in)
{
    assert_string_equal(in->topic.ptr, t->reader ? in->topic.ptr : "");
    assert_true(in->offset > t->last_offset[in->partition]);
    assert_true(pl_str_is(in->key, "k"));
    assert_int_equal(in->header_count, 2);
    assert_true(pl_str_is(in->headers[0].name, "trace"));
    assert_true(pl_str_eq(in->headers[0].value, PL_STR("a\0b")));
    assert_null(in->headers[1].value.ptr);
    assert_true(in->timestamp >= 1700000000000);
    t->last_offset[in->partition] = in->offset;
    size_t len = strlen(t->values);
    if (len + in->value.len + 2 < sizeof t->values)
        snprintf(t->values + len, sizeof t->values - len, "%.*s ", PL_STR_ARG(in->value));
    t->events++;
}

static void on_readable(void *data)
{
    taker *t = data;
    pl_incoming in;
    for (;;) {
        switch (pl_reader_take(t->reader, &in, &t->err)) {
        case PL_TAKEN_EVENT:
            on_event(t, &in);
            if (t->events != t->until)
                continue;
            stop(t);
            return;
        case PL_TAKEN_CAUGHT_UP:
            if (++t->caught_up != t->caught_up_until)
                continue;
            stop(t);
            return;
        case PL_TAKEN_NOTHING:
            if (t->placed_is_enough && pl_reader_is_placed(t->reader))
                stop(t);
            return;
        case PL_TAKEN_END:
            t->ended = true;
            stop(t);
            return;
        case PL_TAKEN_FAILED:
            stop(t);
            return;
        }
    }
}

static void too_late(pl_timer *timer)
{
    fail_msg("nothing to take for a minute");
}

static void run(taker *t)
{
    pl_host *host = pl_loop_host(loop);
    t->watch = pl_loop_watch(loop, pl_reader_fd(t->reader), on_readable, t);
    t->timer = (pl_timer){.fire = too_late};
    host->ops->timer_start(host, &t->timer, host->ops->now(host) + 60000);
    if (!t->watch)
        pl_fail_memory(&t->err);
    else
        on_readable(t); /* what there is already is not announced again */
    if (t->watch)
        pl_loop_run(loop);
    host->ops->timer_stop(host, &t->timer);
}

static taker open_at(const char *brokers, const pl_read_spec *spec)
{
    const pl_kafka_settings kafka = {.brokers = pl_str_of(brokers)};
    const pl_reader_config config = {
        .kafka = &kafka, .spec = spec, .discover_ms = 50, .host = pl_loop_host(loop)};
    taker t = {.last_offset = {-1, -1, -1, -1, -1, -1, -1, -1}};
    t.reader = pl_reader_open(&config, &t.err);
    if (!t.reader)
        fail_msg("%s", t.err.message);
    return t;
}

static taker open_reader(const pl_read_spec *spec)
{
    return open_at(pl_broker_address(broker), spec);
}

static void test_all_partitions_from_the_beginning_to_the_end(void **state)
{
    const pl_read_spec spec = {.topic = PL_STR("whole"), .to_end = true};
    publish("whole", 0, 0, 3);
    publish("whole", 2, 10, 2);
    taker t = open_reader(&spec);
    run(&t);
    assert_true(t.ended);
    assert_int_equal(t.events, 5);
    assert_int_equal(t.last_offset[0], 2);
    assert_int_equal(t.last_offset[2], 1);
    assert_int_equal(pl_reader_get_stats(t.reader).events, 5);
    assert_int_equal(pl_reader_get_stats(t.reader).partitions, 4);
    pl_incoming in;
    assert_int_equal(pl_reader_take(t.reader, &in, &t.err), PL_TAKEN_END);
    pl_reader_close(t.reader);
}

static void test_one_partition_from_an_offset_on(void **state)
{
    const pl_read_place place = {1, PL_READ_OFFSET, 2};
    const pl_read_spec spec = {
        .topic = PL_STR("one"), .places = &place, .place_count = 1, .only_places = true, .to_end = true};
    publish("one", 1, 0, 5);
    publish("one", 2, 0, 5);
    taker t = open_reader(&spec);
    run(&t);
    assert_true(t.ended);
    assert_string_equal(t.values, "2 3 4 ");
    pl_reader_close(t.reader);
}

static void test_where_nothing_was_to_be_read_is_told_too(void **state)
{
    const pl_read_spec spec = {.topic = PL_STR("nothing"), .start = {.from = PL_READ_END}, .to_end = true};
    pl_read_place places[4];
    publish("nothing", 1, 0, 5);
    taker t = open_reader(&spec);
    run(&t);
    assert_true(t.ended);
    assert_int_equal(t.events, 0);
    assert_int_equal(t.caught_up, 4);
    assert_int_equal(pl_reader_positions(t.reader, places, 4), 4);
    assert_int_equal(places[1].at, 5);
    assert_int_equal(places[0].at, 0);
    pl_reader_close(t.reader);
}

static void test_places_are_for_some_and_the_start_for_others(void **state)
{
    const pl_read_place places[] = {{0, PL_READ_OFFSET, 1}, {1, PL_READ_END, 0}};
    const pl_read_spec spec = {.topic = PL_STR("places"), .places = places, .place_count = 2, .to_end = true};
    for (int32_t i = 0; i < 3; i++)
        publish("places", i, 0, 2);
    taker t = open_reader(&spec);
    run(&t);
    assert_true(t.ended);
    assert_int_equal(t.events, 3);
    assert_int_equal(t.last_offset[0], 1);
    assert_int_equal(t.last_offset[1], -1);
    assert_int_equal(t.last_offset[2], 1);
    pl_reader_close(t.reader);
}

static void test_from_the_end_what_comes_later_is_read(void **state)
{
    const pl_read_spec spec = {.topic = PL_STR("live"), .start = {.from = PL_READ_END}};
    publish("live", 0, 0, 5);
    taker t = open_reader(&spec);
    assert_false(pl_reader_is_placed(t.reader));
    t.placed_is_enough = true;
    run(&t);
    assert_true(pl_reader_is_placed(t.reader));
    publish("live", 0, 5, 2);
    t.placed_is_enough = false;
    t.until = 2;
    run(&t);
    assert_string_equal(t.values, "5 6 ");
    pl_reader_close(t.reader);
}

static void test_it_tells_when_it_has_caught_up(void **state)
{
    const pl_read_place place = {0, PL_READ_BEGINNING, 0};
    const pl_read_spec spec = {
        .topic = PL_STR("catching"), .places = &place, .place_count = 1, .only_places = true};
    publish("catching", 0, 0, 3);
    taker t = open_reader(&spec);
    t.caught_up_until = 1;
    run(&t);
    assert_int_equal(t.events, 3);
    publish("catching", 0, 3, 1);
    t.caught_up_until = 2;
    run(&t);
    assert_string_equal(t.values, "0 1 2 3 ");
    pl_reader_close(t.reader);
}

static void test_an_offset_behind_the_end_is_out_of_range(void **state)
{
    const pl_read_place place = {0, PL_READ_OFFSET, 100};
    const pl_read_spec spec = {
        .topic = PL_STR("short"), .places = &place, .place_count = 1, .only_places = true, .to_end = true};
    publish("short", 0, 0, 3);
    taker t = open_reader(&spec);
    run(&t);
    assert_int_equal(t.err.code, PL_OUT_OF_RANGE);
    assert_non_null(strstr(t.err.message, "short: partition 0 ends at offset 3"));
    pl_incoming in;
    assert_int_equal(pl_reader_take(t.reader, &in, &t.err), PL_TAKEN_FAILED);
    pl_reader_close(t.reader);
}

static void test_a_partition_that_there_is_none_of(void **state)
{
    const pl_read_place place = {9, PL_READ_BEGINNING, 0};
    const pl_read_spec spec = {
        .topic = PL_STR("four"), .places = &place, .place_count = 1, .only_places = true, .to_end = true};
    publish("four", 0, 0, 1);
    taker t = open_reader(&spec);
    run(&t);
    assert_int_equal(t.err.code, PL_NOT_FOUND);
    assert_non_null(strstr(t.err.message, "no partition 9"));
    pl_reader_close(t.reader);
}

static void test_brokers_out_of_reach_are_a_failure_when_patience_is_over(void **state)
{
    const pl_read_spec spec = {.topic = PL_STR("none"), .to_end = true, .patience_ms = 1};
    taker t = open_at("127.0.0.1:1", &spec);
    run(&t);
    assert_int_equal(t.err.code, PL_UNAVAILABLE);
    pl_reader_close(t.reader);
}

static void test_it_may_be_closed_while_a_helper_is_busy(void **state)
{
    const pl_read_spec spec = {.topic = PL_STR("closing")};
    taker t = open_at("127.0.0.1:1", &spec);
    pl_reader_close(t.reader); /* its helper ends before the loop is freed, which leaves nothing behind */
}

static void test_who_takes_slowly_is_sent_slowly(void **state)
{
    const pl_read_spec spec = {.topic = PL_STR("much"), .to_end = true};
    publish("much", 0, 0, 30000);
    taker t = open_reader(&spec);
    t.until = 10;
    run(&t);
    pl_reader_stats stats = pl_reader_get_stats(t.reader);
    assert_int_equal(stats.events, 10);
    assert_int_equal(stats.lag, 30000 - 10);
    t.until = 0;
    run(&t);
    assert_true(t.ended);
    assert_int_equal(t.events, 30000);
    pl_reader_close(t.reader);
}

static void test_settings_that_are_wrong_are_named(void **state)
{
    const pl_kafka_property unknown[] = {{PL_STR("no.such.property"), PL_STR("1")}};
    const pl_kafka_settings kafka = {.brokers = PL_STR("a:1"), .properties = unknown, .count = 1};
    const pl_read_spec spec = {.topic = PL_STR("t")};
    const pl_reader_config config = {.kafka = &kafka, .spec = &spec, .host = pl_loop_host(loop)};
    pl_error err = {0};
    assert_null(pl_reader_open(&config, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "no.such.property"));
}

static void test_memory(void **state)
{
    const pl_read_place place = {0, PL_READ_BEGINNING, 0};
    const pl_read_spec spec = {
        .topic = PL_STR("hungry"), .places = &place, .place_count = 1, .only_places = true, .to_end = true};
    publish("hungry", 0, 0, 3);
    failing a = {0};
    while (failing_next(&a)) {
        const pl_kafka_settings kafka = {.brokers = pl_str_of(pl_broker_address(broker))};
        const pl_reader_config config = {.kafka = &kafka, .spec = &spec, .host = pl_loop_host(loop)};
        taker t = {.last_offset = {-1}};
        failing_begin(&a);
        t.reader = pl_reader_open(&config, &t.err);
        if (t.reader)
            run(&t);
        if (failing_end(&a) && !t.ended)
            assert_int_equal(t.err.code, PL_RESOURCE_EXHAUSTED);
        if (t.reader && !t.ended) { /* taking again goes on where it was */
            run(&t);
            if (!t.ended)
                assert_int_equal(t.err.code, PL_RESOURCE_EXHAUSTED);
        }
        if (t.ended)
            assert_string_equal(t.values, "0 1 2 ");
        pl_reader_close(t.reader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_partitions_from_the_beginning_to_the_end),
        cmocka_unit_test(test_one_partition_from_an_offset_on),
        cmocka_unit_test(test_where_nothing_was_to_be_read_is_told_too),
        cmocka_unit_test(test_places_are_for_some_and_the_start_for_others),
        cmocka_unit_test(test_from_the_end_what_comes_later_is_read),
        cmocka_unit_test(test_it_tells_when_it_has_caught_up),
        cmocka_unit_test(test_an_offset_behind_the_end_is_out_of_range),
        cmocka_unit_test(test_a_partition_that_there_is_none_of),
        cmocka_unit_test(test_brokers_out_of_reach_are_a_failure_when_patience_is_over),
        cmocka_unit_test(test_it_may_be_closed_while_a_helper_is_busy),
        cmocka_unit_test(test_who_takes_slowly_is_sent_slowly),
        cmocka_unit_test(test_settings_that_are_wrong_are_named),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
