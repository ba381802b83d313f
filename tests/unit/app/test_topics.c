/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/generation.h"
#include "app/topics.h"
#include "events/broker.h"
#include "events/producer.h"
#include "support/failing.h"
#include "value/incoming.h"

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

/* A worker's part, and a generation with settings but without scripts. */
typedef struct world {
    pl_helpers *helpers;
    pl_loop *loop;
    pl_pubsub_hub *pubsub_hub;
    pl_pubsub *pubsub;
    pl_topics_hub *hub;
    pl_topics *topics;
    pl_generation generation;
    pl_instance instance;
    pl_timer timer, deadline;
    bool (*until)(struct world *w);
} world;

typedef struct listener {
    pl_subscriber s; /* first */
    unsigned events, news;
    char seen[2048];
} listener;

static void open_world(world *w, size_t max_bytes)
{
    pl_error err;
    *w = (world){.helpers = pl_helpers_new(2, 100)};
    w->loop = pl_loop_new(w->helpers, NULL, &err);
    w->pubsub_hub = pl_pubsub_hub_new(max_bytes);
    w->pubsub = pl_pubsub_join(w->pubsub_hub, w->loop);
    w->hub = pl_topics_hub_new(w->pubsub_hub, 50);
    w->topics = pl_topics_join(w->hub, w->pubsub, w->loop, NULL);
    w->generation.config.kafka.settings.brokers = pl_str_of(pl_broker_address(broker));
    w->instance.generation = &w->generation;
    pl_topics_adopt(w->topics, &w->instance);
}

static void close_world(world *w)
{
    pl_pubsub_leave(w->pubsub);
    pl_topics_leave(w->topics);
    pl_loop_free(w->loop);
    pl_topics_free(w->topics);
    pl_pubsub_free(w->pubsub);
    pl_topics_hub_free(w->hub);
    pl_pubsub_hub_free(w->pubsub_hub);
    pl_helpers_free(w->helpers);
}

static void on_message(pl_subscriber *s, const pl_event *event)
{
    listener *l = (listener *)s;
    size_t len = strlen(l->seen);
    if (event->is_news) {
        l->news++;
        return;
    }
    assert_non_null(event->incoming);
    assert_true(pl_str_is(event->incoming->key, "k"));
    assert_int_equal(event->incoming->header_count, 1);
    assert_true(pl_str_is(event->incoming->headers[0].name, "trace"));
    assert_true(pl_str_is(event->incoming->headers[0].value, "t"));
    assert_string_equal(event->incoming->topic.ptr + event->incoming->topic.len, "");
    l->events++;
    snprintf(l->seen + len, sizeof l->seen - len, "%.*s ", (int)(event->incoming->value.len > 4 ? 4 : 3),
             event->incoming->value.ptr);
}

static void on_ended(pl_subscriber *s)
{
}

static pl_code subscribe(world *w, listener *l, const char *topic, pl_error *err)
{
    *l = (listener){.s = {.message = on_message, .ended = on_ended}};
    pl_error_clear(err);
    return pl_topics_subscribe(w->topics, &w->instance, pl_str_of(topic), &l->s, err);
}

static void check(pl_timer *timer)
{
    world *w = timer->data;
    pl_host *host = pl_loop_host(w->loop);
    if (w->until(w))
        pl_loop_stop(w->loop);
    else
        host->ops->timer_start(host, timer, host->ops->now(host) + 2);
}

static void too_late(pl_timer *timer)
{
    fail_msg("not within a minute");
}

static void run_until(world *w, bool (*until)(world *w))
{
    pl_host *host = pl_loop_host(w->loop);
    w->until = until;
    w->timer = (pl_timer){.fire = check, .data = w};
    w->deadline = (pl_timer){.fire = too_late};
    host->ops->timer_start(host, &w->timer, 0);
    host->ops->timer_start(host, &w->deadline, host->ops->now(host) + 60000);
    pl_loop_run(w->loop);
    host->ops->timer_stop(host, &w->deadline);
}

static void on_done(pl_delivery *delivery, const pl_acknowledgement *ack)
{
    assert_int_equal(ack->code, PL_OK);
}

/* "000", "001", …, each followed by so many bytes. */
static void publish(const char *topic, unsigned first, unsigned count, size_t size)
{
    const pl_kafka_settings kafka = {.brokers = pl_str_of(pl_broker_address(broker))};
    const pl_producer_config config = {.kafka = &kafka};
    static const pl_header header = {PL_STR("trace"), PL_STR("t")};
    char value[5000];
    pl_error err;
    pl_producer *producer = pl_producer_new(&config, &err);
    memset(value, ' ', sizeof value);
    for (unsigned i = first; i < first + count; i++) {
        pl_delivery delivery = {.done = on_done};
        bool waits;
        snprintf(value, sizeof value, "%03u", i);
        value[3] = ' ';
        const pl_outgoing event = {.topic = pl_str_of(topic),
                                   .key = PL_STR("k"),
                                   .value = {value, 3 + size},
                                   .headers = &header,
                                   .header_count = 1,
                                   .partition = 0};
        assert_int_equal(pl_producer_send(producer, &event, &delivery, &waits, &err), PL_OK);
        pl_delivery_forget(&delivery);
    }
    while (pl_producer_under_way(producer) > 0) {
        struct pollfd fd = {.fd = pl_producer_fd(producer), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 30000), 1);
        pl_producer_poll(producer);
    }
    assert_int_equal(pl_producer_get_stats(producer).failed, 0);
    pl_producer_free(producer);
}

static const char *asked;
static bool is_placed(world *w)
{
    bool placed = false;
    pl_error err;
    return pl_topics_state(w->topics, pl_str_of(asked), &placed, &err) == PL_OK && placed;
}

static void wait_placed(world *w, const char *topic)
{
    asked = topic;
    run_until(w, is_placed);
}

static listener one, other;
static unsigned wanted;
static bool both_have_enough(world *w)
{
    return one.events >= wanted && other.events >= wanted;
}
static bool one_has_enough(world *w)
{
    return one.events >= wanted;
}

static void test_one_reader_for_all_subscribers_of_a_topic(void **state)
{
    world w;
    pl_error err;
    open_world(&w, 0);
    publish("shared", 0, 3, 0); /* before: not read */
    assert_int_equal(subscribe(&w, &one, "shared", &err), PL_OK);
    assert_int_equal(subscribe(&w, &other, "shared", &err), PL_OK);
    wait_placed(&w, "shared");
    assert_int_equal(pl_topics_get_stats(w.topics).readers, 1);
    publish("shared", 3, 2, 0);
    wanted = 2;
    run_until(&w, both_have_enough);
    assert_string_equal(one.seen, "003 004 ");
    assert_string_equal(other.seen, "003 004 ");
    assert_int_equal(one.news, 1);
    assert_int_equal(pl_topics_get_stats(w.topics).events, 2);
    close_world(&w);
}

static bool has_no_reader(world *w)
{
    return pl_topics_get_stats(w->topics).readers == 0;
}

static void test_the_reader_stays_a_while_and_then_goes(void **state)
{
    world w;
    pl_error err;
    open_world(&w, 0);
    subscribe(&w, &one, "leaving", &err);
    wait_placed(&w, "leaving");
    pl_pubsub_unsubscribe(w.pubsub, &one.s);
    assert_int_equal(subscribe(&w, &one, "leaving", &err), PL_OK); /* at once again: it is there still */
    assert_true(asked && is_placed(&w));
    publish("leaving", 0, 1, 0);
    wanted = 1;
    run_until(&w, one_has_enough);
    pl_pubsub_unsubscribe(w.pubsub, &one.s);
    run_until(&w, has_no_reader);
    assert_false(is_placed(&w));
    publish("leaving", 1, 1, 0); /* nobody reads it */
    subscribe(&w, &one, "leaving", &err);
    wait_placed(&w, "leaving");
    publish("leaving", 2, 1, 0);
    run_until(&w, one_has_enough);
    assert_string_equal(one.seen, "002 ");
    close_world(&w);
}

static void test_what_has_no_room_waits_and_is_not_lost(void **state)
{
    world w;
    pl_error err;
    open_world(&w, 3000); /* under way: one event, or two */
    subscribe(&w, &one, "narrow", &err);
    wait_placed(&w, "narrow");
    publish("narrow", 0, 100, 2000);
    publish("narrow", 100, 1, 4000); /* alone more than there is room for */
    wanted = 101;
    run_until(&w, one_has_enough);
    char expected[2048] = "";
    for (unsigned i = 0; i < 101; i++)
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%03u  ", i);
    assert_string_equal(one.seen, expected);
    close_world(&w);
}

static void test_other_settings_go_on_where_it_was(void **state)
{
    static const pl_kafka_property property[] = {{PL_STR("client.id"), PL_STR("another")}};
    world w;
    pl_error err;
    open_world(&w, 0);
    pl_generation next = w.generation;
    pl_instance instance = {.generation = &next};
    next.config.kafka.settings.properties = property;
    next.config.kafka.settings.count = 1;
    subscribe(&w, &one, "settings", &err);
    wait_placed(&w, "settings");
    publish("settings", 0, 2, 0);
    wanted = 2;
    run_until(&w, one_has_enough);
    publish("settings", 2, 2, 0); /* read by the one, or the other */
    pl_topics_adopt(w.topics, &instance);
    publish("settings", 4, 2, 0);
    wanted = 6;
    run_until(&w, one_has_enough);
    assert_string_equal(one.seen, "000 001 002 003 004 005 ");
    assert_int_equal(pl_topics_get_stats(w.topics).readers, 1);
    close_world(&w);
}

static void test_what_cannot_be_subscribed_to(void **state)
{
    world w;
    pl_error err;
    char name[300] = "";
    open_world(&w, 0);
    memset(name, 'x', 250);
    assert_int_equal(subscribe(&w, &one, name, &err), PL_INVALID_ARGUMENT);
    static listener many[101];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "topic-%u", i);
        assert_int_equal(subscribe(&w, &many[i], name, &err), PL_OK);
    }
    assert_int_equal(subscribe(&w, &many[100], "one-more", &err), PL_RESOURCE_EXHAUSTED);
    assert_int_equal(subscribe(&w, &one, "topic-7", &err), PL_OK);
    w.generation.config.kafka.settings.brokers = PL_STR("");
    assert_int_equal(subscribe(&w, &other, "topic-8", &err), PL_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "kafka = { brokers"));
    close_world(&w); /* before any of the readers was opened */
}

static void test_memory(void **state)
{
    world w;
    failing a = {0};
    open_world(&w, 0);
    while (failing_next(&a)) {
        pl_error err;
        failing_begin(&a);
        pl_code code = subscribe(&w, &one, "hungry", &err);
        if (failing_end(&a))
            assert_int_equal(code, PL_RESOURCE_EXHAUSTED);
        else
            assert_int_equal(code, PL_OK);
        if (code == PL_OK)
            pl_pubsub_unsubscribe(w.pubsub, &one.s);
    }
    pl_error err;
    assert_int_equal(subscribe(&w, &one, "hungry", &err), PL_OK);
    wait_placed(&w, "hungry");
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_reader_for_all_subscribers_of_a_topic),
        cmocka_unit_test(test_the_reader_stays_a_while_and_then_goes),
        cmocka_unit_test(test_what_has_no_room_waits_and_is_not_lost),
        cmocka_unit_test(test_other_settings_go_on_where_it_was),
        cmocka_unit_test(test_what_cannot_be_subscribed_to),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, start_broker, stop_broker);
}
