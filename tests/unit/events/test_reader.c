/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "events/kafka_harness.h"
#include "events/reader.h"
#include "support/failing.h"

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
    assert_true(pl_str_starts(in->key, PL_STR("k")));
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

static void run(taker *t)
{
    t->watch = pl_loop_watch(loop, pl_reader_fd(t->reader), on_readable, t);
    if (!t->watch)
        pl_fail_memory(&t->err);
    else
        on_readable(t); /* what there is already is not announced again */
    if (t->watch)
        assert_true(run_for(2 * LONGEST_MS));
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
    return open_at(mock_kafka.brokers.ptr, spec);
}

static void test_all_partitions_from_the_beginning_to_the_end(void **state)
{
    const pl_read_spec spec = {.topic = PL_STR("whole"), .to_end = true};
    publish_numbers("whole", 0, 0, 3);
    publish_numbers("whole", 2, 10, 2);
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
    publish_numbers("one", 1, 0, 5);
    publish_numbers("one", 2, 0, 5);
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
    publish_numbers("nothing", 1, 0, 5);
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
        publish_numbers("places", i, 0, 2);
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
    publish_numbers("live", 0, 0, 5);
    taker t = open_reader(&spec);
    assert_false(pl_reader_is_placed(t.reader));
    t.placed_is_enough = true;
    run(&t);
    assert_true(pl_reader_is_placed(t.reader));
    publish_numbers("live", 0, 5, 2);
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
    publish_numbers("catching", 0, 0, 3);
    taker t = open_reader(&spec);
    t.caught_up_until = 1;
    run(&t);
    assert_int_equal(t.events, 3);
    publish_numbers("catching", 0, 3, 1);
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
    publish_numbers("short", 0, 0, 3);
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
    publish_numbers("four", 0, 0, 1);
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
    publish_numbers("much", 0, 0, 30000);
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
    publish_numbers("hungry", 0, 0, 3);
    failing a = {0};
    while (failing_next(&a)) {
        const pl_kafka_settings kafka = {.brokers = pl_str_of(mock_kafka.brokers.ptr)};
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

/* Not all of the topic can be read, however long it is waited for. */
static void test_a_partition_without_leader_is_a_failure_when_patience_is_over(void **state)
{
    const pl_read_spec spec = {.topic = PL_STR("headless"), .to_end = true, .patience_ms = 50};
    make_topic("headless", 2);
    publish_numbers("headless", 0, 0, 1);
    rd_kafka_mock_partition_set_leader(mock, "headless", 1, -1);
    taker t = open_reader(&spec);
    run(&t);
    assert_false(t.ended);
    assert_int_equal(t.err.code, PL_UNAVAILABLE);
    assert_non_null(strstr(t.err.message, "leader"));
    /* It goes on when there is one. */
    rd_kafka_mock_partition_set_leader(mock, "headless", 1, 1);
    for (unsigned i = 0; i < 100 && !t.ended; i++)
        run(&t);
    assert_true(t.ended);
    assert_int_equal(t.events, 1);
    pl_reader_close(t.reader);
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
        cmocka_unit_test(test_a_partition_without_leader_is_a_failure_when_patience_is_over),
        cmocka_unit_test(test_it_may_be_closed_while_a_helper_is_busy),
        cmocka_unit_test(test_who_takes_slowly_is_sent_slowly),
        cmocka_unit_test(test_settings_that_are_wrong_are_named),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, start_kafka, stop_kafka);
}
