/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "events/broker.h"
#include "events/producer.h"
#include "support/failing.h"

typedef struct published {
    pl_delivery delivery;
    bool accepted, done;
    pl_code code;
    int32_t partition;
    int64_t offset;
} published;

static void on_accepted(pl_delivery *delivery)
{
    ((published *)delivery)->accepted = true;
}

static void on_done(pl_delivery *delivery, const pl_acknowledgement *ack)
{
    published *p = (published *)delivery;
    assert_false(p->done);
    p->done = true;
    p->code = ack->code;
    p->partition = ack->partition;
    p->offset = ack->offset;
}

static pl_producer *make(const char *brokers, size_t most, const pl_kafka_property *properties, size_t count)
{
    pl_error err = {0};
    const pl_kafka_settings kafka = {.brokers = pl_str_of(brokers), .properties = properties, .count = count};
    const pl_producer_config config = {.kafka = &kafka, .most_messages = most, .most_waiting = 2};
    pl_producer *producer = pl_producer_new(&config, &err);
    if (!producer)
        fail_msg("%s", err.message);
    return producer;
}

static pl_code publish(pl_producer *producer, published *p, int32_t partition, bool *waits, pl_error *err)
{
    static const pl_header headers[] = {{PL_STR("trace"), PL_STR("a\0b")}, {PL_STR("none"), {NULL, 0}}};
    const pl_outgoing event = {.topic = PL_STR("orders"),
                               .key = PL_STR("k"),
                               .value = PL_STR("{}"),
                               .headers = headers,
                               .header_count = 2,
                               .partition = partition};
    *p = (published){.delivery = {.accepted = on_accepted, .done = on_done}};
    return pl_producer_send(producer, &event, &p->delivery, waits, err);
}

static void wait_for(pl_producer *producer, const bool *done)
{
    while (!*done) {
        struct pollfd fd = {.fd = pl_producer_fd(producer), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 30000), 1);
        pl_producer_poll(producer);
    }
}

static pl_broker *broker;

static int start_broker(void **state)
{
    pl_error err;
    broker = pl_broker_new(NULL, &err);
    return broker ? 0 : -1;
}

static int stop_broker(void **state)
{
    pl_broker_free(broker);
    return 0;
}

static void test_each_event_is_acknowledged_where_it_was_written(void **state)
{
    pl_producer *producer = make(pl_broker_address(broker), 0, NULL, 0);
    pl_error err;
    published first, second;
    bool waits;
    assert_int_equal(publish(producer, &first, 1, &waits, &err), PL_OK);
    assert_false(waits);
    wait_for(producer, &first.done);
    assert_int_equal(publish(producer, &second, 1, &waits, &err), PL_OK);
    assert_int_equal(pl_producer_under_way(producer), 1);
    wait_for(producer, &second.done);
    assert_int_equal(first.code, PL_OK);
    assert_int_equal(first.partition, 1);
    assert_int_equal(second.offset, first.offset + 1);
    assert_int_equal(pl_producer_under_way(producer), 0);
    assert_int_equal(pl_producer_get_stats(producer).acknowledged, 2);
    pl_producer_free(producer);
}

static void test_what_finds_no_room_waits_and_goes_in_order(void **state)
{
    const pl_kafka_property linger[] = {{PL_STR("linger.ms"), PL_STR("100")}};
    pl_producer *producer = make(pl_broker_address(broker), 2, linger, 1);
    pl_error err;
    published p[5];
    bool waits;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(publish(producer, &p[i], 2, &waits, &err), PL_OK);
        assert_int_equal(waits, i >= 2);
    }
    assert_int_equal(publish(producer, &p[4], 2, &waits, &err), PL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "2 events wait"));
    assert_int_equal(pl_producer_get_stats(producer).waiting, 2);
    wait_for(producer, &p[2].accepted);
    wait_for(producer, &p[3].done);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(p[i].code, PL_OK);
        assert_int_equal(p[i].offset, p[0].offset + i);
        assert_int_equal(p[i].accepted, i >= 2);
    }
    assert_false(p[4].done);
    pl_producer_free(producer);
}

static void test_a_forgotten_event_goes_on_its_way(void **state)
{
    pl_producer *producer = make(pl_broker_address(broker), 0, NULL, 0);
    pl_error err;
    published forgotten, next;
    bool waits;
    publish(producer, &forgotten, 3, &waits, &err);
    pl_delivery_forget(&forgotten.delivery);
    publish(producer, &next, 3, &waits, &err);
    wait_for(producer, &next.done);
    assert_false(forgotten.done);
    assert_int_equal(pl_producer_get_stats(producer).acknowledged, 2);
    assert_int_equal(next.offset, 1);
    pl_delivery_forget(&forgotten.delivery);
    pl_producer_free(producer);
}

#define MANY 200
static struct {
    published events[MANY];
    unsigned soon, told;
    bool all;
} many;

static void on_soon(pl_delivery *delivery, bool near)
{
    (void)near;
    assert_non_null(delivery->place); /* neither over, nor forgotten */
    many.soon++;
}

static void on_one_of_many(pl_delivery *delivery, const pl_acknowledgement *ack)
{
    size_t i = (size_t)((published *)delivery - many.events);
    on_done(delivery, ack);
    many.told++;
    if (i + 5 < MANY && i % 3 == 0) {
        pl_delivery_forget(&many.events[i + 5].delivery);
        memset(&many.events[i + 5].delivery, 0xA5, sizeof(pl_delivery)); /* its memory is somebody else's */
    }
    many.all = i == MANY - 1;
}

static void test_publishers_may_leave_while_others_are_told(void **state)
{
    static const pl_kafka_property linger[] = {{PL_STR("linger.ms"), PL_STR("50")}};
    pl_producer *producer = make(pl_broker_address(broker), 0, linger, 1);
    pl_error err;
    bool waits;
    unsigned left = 0;
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(publish(producer, &many.events[i], 1, &waits, &err), PL_OK);
        many.events[i].delivery.done = on_one_of_many;
        many.events[i].delivery.soon = on_soon;
    }
    wait_for(producer, &many.all);
    for (size_t i = 0; i < MANY; i++)
        left += !many.events[i].done;
    assert_int_equal(many.told + left, MANY);
    assert_in_range(left, 10, MANY / 3 + 1);
    assert_true(many.soon > 0);
    assert_int_equal(pl_producer_get_stats(producer).acknowledged, MANY);
    pl_producer_free(producer);
}

static void test_without_a_broker_events_fail_when_their_time_is_over(void **state)
{
    const pl_kafka_property timeout[] = {{PL_STR("message.timeout.ms"), PL_STR("100")}};
    pl_producer *producer = make("127.0.0.1:1", 0, timeout, 1);
    pl_error err;
    published p;
    bool waits;
    assert_int_equal(publish(producer, &p, PL_ANY_PARTITION, &waits, &err), PL_OK);
    wait_for(producer, &p.done);
    assert_int_equal(p.code, PL_DEADLINE_EXCEEDED);
    assert_int_equal(pl_producer_get_stats(producer).failed, 1);
    pl_producer_free(producer);
}

static void test_what_was_not_acknowledged_is_given_up_at_the_end(void **state)
{
    pl_producer *producer = make("127.0.0.1:1", 1, NULL, 0);
    pl_error err;
    published queued, waiting;
    bool waits;
    assert_int_equal(publish(producer, &queued, 0, &waits, &err), PL_OK);
    assert_int_equal(publish(producer, &waiting, 0, &waits, &err), PL_OK);
    assert_true(waits);
    pl_producer_free(producer);
    assert_int_equal(queued.code, PL_CANCELLED);
    assert_int_equal(waiting.code, PL_CANCELLED);
}

static void test_settings_that_are_wrong_are_named(void **state)
{
    const pl_kafka_property unknown[] = {{PL_STR("no.such.property"), PL_STR("1")}};
    const pl_kafka_settings kafka = {.brokers = PL_STR("a:1"), .properties = unknown, .count = 1};
    const pl_producer_config config = {.kafka = &kafka};
    pl_error err = {0};
    assert_null(pl_producer_new(&config, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "no.such.property"));
    assert_int_equal(pl_kafka_check_property("acks", "some", &err), PL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "acks"));
    assert_int_equal(pl_kafka_check_property("acks", "all", &err), PL_OK);
}

static void test_topics_of_the_embedded_broker(void **state)
{
    pl_error err;
    assert_int_equal(pl_broker_create_topic(broker, "wide", 12, &err), PL_OK);
    assert_int_equal(pl_broker_create_topic(broker, "wide", 12, &err), PL_ALREADY_EXISTS);
}

static void test_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        const pl_kafka_settings kafka = {.brokers = PL_STR("127.0.0.1:1")};
        const pl_producer_config config = {.kafka = &kafka, .most_messages = 1};
        pl_error err = {0};
        published p[2] = {0};
        bool waits;
        pl_code codes[2] = {PL_RESOURCE_EXHAUSTED, PL_RESOURCE_EXHAUSTED};
        failing_begin(&a);
        pl_producer *producer = pl_producer_new(&config, &err);
        for (int i = 0; producer && i < 2; i++)
            codes[i] = publish(producer, &p[i], 0, &waits, &err);
        if (failing_end(&a))
            assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
        else
            assert_int_equal(codes[0] | codes[1], PL_OK);
        pl_producer_free(producer);
        for (int i = 0; producer && i < 2; i++)
            assert_int_equal(p[i].done, codes[i] == PL_OK);
    }
    assert_int_equal(a.made, 4);
}

typedef struct again {
    pl_delivery delivery;
    pl_producer *producer;
    pl_code code, second;
    published next;
} again;

static void send_again(pl_delivery *delivery, const pl_acknowledgement *ack)
{
    again *a = (again *)delivery;
    pl_error err = {0};
    bool waits;
    a->code = ack->code;
    a->second = publish(a->producer, &a->next, PL_ANY_PARTITION, &waits, &err);
}

/* Whoever is told that an event was given up may publish it once more. */
static void test_nothing_is_taken_any_more_at_the_end(void **state)
{
    const pl_outgoing event = {
        .topic = PL_STR("orders"), .value = PL_STR("1"), .partition = PL_ANY_PARTITION};
    again all[3];
    pl_error err = {0};
    bool waits;
    pl_producer *producer = make("127.0.0.1:1", 1, NULL, 0); /* one in the queue, two wait */
    for (unsigned i = 0; i < 3; i++) {
        all[i] = (again){.delivery = {.done = send_again}, .producer = producer};
        assert_int_equal(pl_producer_send(producer, &event, &all[i].delivery, &waits, &err), PL_OK);
        assert_int_equal(waits, i > 0);
    }
    pl_producer_free(producer);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(all[i].code, PL_CANCELLED);
        assert_int_equal(all[i].second, PL_CANCELLED);
        assert_false(all[i].next.done);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_event_is_acknowledged_where_it_was_written),
        cmocka_unit_test(test_what_finds_no_room_waits_and_goes_in_order),
        cmocka_unit_test(test_a_forgotten_event_goes_on_its_way),
        cmocka_unit_test(test_publishers_may_leave_while_others_are_told),
        cmocka_unit_test(test_without_a_broker_events_fail_when_their_time_is_over),
        cmocka_unit_test(test_what_was_not_acknowledged_is_given_up_at_the_end),
        cmocka_unit_test(test_settings_that_are_wrong_are_named),
        cmocka_unit_test(test_topics_of_the_embedded_broker),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_nothing_is_taken_any_more_at_the_end),
    };
    return cmocka_run_group_tests(tests, start_broker, stop_broker);
}
