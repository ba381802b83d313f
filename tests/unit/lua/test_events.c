/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing.h"
#include "support/lua_state.h"
#include "value/outgoing.h"

/* perilune.events: what scripts give, what the producer is told, and who waits for what. */

typedef struct taken {
    pl_delivery *delivery;
    char text[512];
} taken;

static struct {
    ls_state *s;
    pl_host_ops ops;
    taken taken[16];
    int count;
    bool full, refuse;
    pl_timer later; /* if it is set: fires after an event was taken */
} w;

static pl_code host_produce(pl_host *host, const pl_outgoing *e, pl_delivery *delivery, bool *waits,
                            pl_error *err)
{
    if (w.refuse)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "too many events wait");
    if (w.later.fire && host->ops->timer_start(host, &w.later, host->ops->now(host) + 1) != 0)
        return pl_fail_memory(err);
    taken *t = &w.taken[w.count++];
    assert_int_equal(e->topic.ptr[e->topic.len], 0);
    int n = snprintf(t->text, sizeof t->text, "%s %.*s=%.*s p%d t%lld", e->topic.ptr,
                     (int)(e->key.ptr ? e->key.len : 1), e->key.ptr ? e->key.ptr : "-",
                     (int)(e->value.ptr ? e->value.len : 4), e->value.ptr ? e->value.ptr : "none",
                     e->partition, (long long)e->timestamp);
    for (size_t i = 0; i < e->header_count; i++)
        n += snprintf(t->text + n, sizeof t->text - (size_t)n, " %.*s:%.*s", PL_STR_ARG(e->headers[i].name),
                      PL_STR_ARG(e->headers[i].value));
    t->delivery = delivery;
    delivery->place = &t->delivery;
    *waits = w.full;
    return PL_OK;
}

static void acknowledge(int i, pl_code code)
{
    pl_delivery *delivery = w.taken[i].delivery;
    pl_acknowledgement ack = {
        .code = code, .why = code ? "no leader" : NULL, .partition = 2, .offset = 40 + i};
    assert_non_null(delivery);
    delivery->place = NULL;
    w.taken[i].delivery = NULL;
    delivery->done(delivery, &ack);
}

static int set_up(void **state)
{
    static const char *const files[] = {"e.lua", "events = require 'perilune.events'", NULL};
    const ls_options options = {.files = files};
    pl_error err;
    memset(&w, 0, sizeof w);
    w.s = ls_new(&options);
    w.ops = *ls_host(w.s)->ops;
    w.ops.produce = host_produce;
    ls_host(w.s)->ops = &w.ops;
    return ls_load(w.s, "e.lua", files[1], &err);
}

static int tear_down(void **state)
{
    ls_free(w.s);
    return 0;
}

static void test_publish_waits_for_the_acknowledgement(void **state)
{
    ls_call *call = ls_start(w.s, "local ack = events:publish('orders', { id = 1 }, { key = 'k' }) "
                                  "return { ack.topic, ack.partition, ack.offset }");
    assert_true(call->waits);
    assert_string_equal(w.taken[0].text, "orders k={\"id\":1} p-1 t0");
    acknowledge(0, PL_OK);
    ls_is_done(call, "[\"orders\",2,40]");
}

static void test_what_scripts_can_say_of_an_event(void **state)
{
    static const struct {
        const char *call, *text;
    } cases[] = {
        {"'a', 'plain', { format = 'bytes' }", "a -=plain p-1 t0"},
        {"'a', nil, { key = 'gone' }", "a gone=none p-1 t0"},
        {"'a', 1, { partition = 3, timestamp = 1700000000.25 }", "a -=1 p3 t1700000000250"},
        {"'a', 1, { headers = { one = '1' } }", "a -=1 p-1 t0 one:1"},
        {"'a', 1, { headers = { one = { '1', '2' } } }", "a -=1 p-1 t0 one:1 one:2"},
        {"'a', 1, { headers = { { 'z', '1' }, { 'a', '2' } } }", "a -=1 p-1 t0 z:1 a:2"},
        {"'a', { list = {} }", "a -={\"list\":{}} p-1 t0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[256];
        snprintf(body, sizeof body, "return events:publish_async(%s) ~= nil", cases[i].call);
        ls_ok(w.s, body, "true");
        assert_string_equal(w.taken[w.count - 1].text, cases[i].text);
    }
}

static void test_mistakes(void **state)
{
    ls_fails(w.s, "events:publish('a', 1, { kee = 'k' })", PL_INTERNAL, "there is no option kee");
    ls_fails(w.s, "events:publish('a', 1, { format = 'xml' })", PL_INTERNAL, "format must be");
    ls_fails(w.s, "events:publish('a', {}, { format = 'bytes' })", PL_INTERNAL,
             "is for strings, not a table");
    ls_fails(w.s, "events:publish('a', {}, { format = 'protobuf' })", PL_INTERNAL,
             "needs the name of the message");
    ls_fails(w.s, "events:publish('a', print)", PL_INVALID_ARGUMENT, "function");
    ls_fails(w.s, "events:publish(nil, 1)", PL_INTERNAL, "string expected");
    ls_fails(w.s, "events:publish('', 1)", PL_INTERNAL, "no name of a topic");
    ls_fails(w.s, "events:publish('a\\0b', 1)", PL_INTERNAL, "no name of a topic");
    assert_int_equal(w.count, 0);
}

static void test_failures_are_raised_with_their_codes(void **state)
{
    ls_call *call = ls_start(w.s, "return events:publish('orders', 1)");
    acknowledge(0, PL_UNAVAILABLE);
    ls_is_failed(call, PL_UNAVAILABLE, "orders: no leader");
    w.refuse = true;
    ls_fails(w.s, "events:publish('orders', 1)", PL_RESOURCE_EXHAUSTED, "orders: too many events wait");
}

static void test_nobody_passes_a_full_queue(void **state)
{
    w.full = true;
    ls_call *call = ls_start(w.s, "local sent = events:publish_async('a', 1) return 'sent'");
    assert_true(call->waits);
    w.taken[0].delivery->accepted(w.taken[0].delivery);
    ls_is_done(call, "\"sent\"");
}

static void test_async_can_be_waited_for_later(void **state)
{
    ls_call *early = ls_start(w.s, "sent = events:publish_async('a', 1) return 1");
    ls_is_done(early, "1");
    ls_call *late = ls_start(w.s, "return sent:wait().offset");
    assert_true(late->waits);
    acknowledge(0, PL_OK);
    ls_is_done(late, "40");
    ls_ok(w.s, "return sent:wait().offset", "40");
}

static void test_who_is_cancelled_or_collected_lets_the_event_go(void **state)
{
    ls_call *call = ls_start(w.s, "return events:publish('orders', 1)");
    ls_cancel(call);
    ls_ok(w.s, "events:publish_async('a', 1) return 1", "1");
    ls_collect(w.s);
    assert_null(w.taken[0].delivery);
    assert_null(w.taken[1].delivery);
    ls_ok(w.s, "kept = events:publish_async('a', 1) return 1", "1");
    ls_collect(w.s);
    assert_non_null(w.taken[2].delivery);
    ls_close(w.s);
    assert_null(w.taken[2].delivery);
}

static void test_a_batch_waits_for_all(void **state)
{
    ls_call *call =
        ls_start(w.s, "local acks = events:publish_batch('a', { { value = 1, key = 'x' }, { value = 2 } }, "
                      "{ headers = { h = 'v' } }) return { acks[1].offset, acks[2].offset }");
    assert_string_equal(w.taken[0].text, "a x=1 p-1 t0 h:v");
    assert_string_equal(w.taken[1].text, "a -=2 p-1 t0 h:v");
    acknowledge(1, PL_OK);
    assert_int_equal(call->ends, 0);
    acknowledge(0, PL_OK);
    ls_is_done(call, "[40,41]");
}

static void test_a_batch_tells_which_failed(void **state)
{
    ls_call *call = ls_start(
        w.s, "local ok, e = pcall(events.publish_batch, events, 'a', { { value = 1 }, { value = 2 }, "
             "{ value = 3 } }) return { ok, e.code, e.message, e.extensions.failed }");
    acknowledge(0, PL_OK);
    acknowledge(1, PL_DEADLINE_EXCEEDED);
    acknowledge(2, PL_UNAVAILABLE);
    ls_is_done(call,
               "[false,\"DEADLINE_EXCEEDED\",\"2 of 3 events were not delivered: a: no leader\",[2,3]]");
}

static void test_a_full_queue_holds_up_a_batch(void **state)
{
    w.full = true;
    ls_call *call = ls_start(w.s, "local acks = events:publish_batch('a', { { value = 1 }, { value = 2 } }) "
                                  "return { acks[1].offset, acks[2].offset }");
    assert_int_equal(w.count, 1);
    w.taken[0].delivery->accepted(w.taken[0].delivery);
    assert_int_equal(w.count, 2);
    acknowledge(0, PL_OK);
    assert_int_equal(call->ends, 0);
    acknowledge(1, PL_OK); /* without having been accepted before */
    ls_is_done(call, "[40,41]");
}

static void test_a_full_queue_holds_up_one_event(void **state)
{
    w.full = true;
    ls_call *call = ls_start(w.s, "return events:publish('a', 1).offset");
    w.taken[0].delivery->accepted(w.taken[0].delivery);
    assert_int_equal(call->ends, 0);
    acknowledge(0, PL_OK);
    ls_is_done(call, "40");
}

static void test_a_batch_that_is_cancelled_lets_its_events_go(void **state)
{
    ls_call *call = ls_start(w.s, "return events:publish_batch('a', { { value = 1 }, { value = 2 } })");
    acknowledge(0, PL_UNAVAILABLE);
    ls_cancel(call);
    ls_collect(w.s);
    assert_null(w.taken[1].delivery);
    ls_start(w.s, "return events:publish_batch('a', { { value = 1 } })");
    ls_close(w.s);
    assert_null(w.taken[2].delivery);
}

static void test_what_can_stand_in_a_batch(void **state)
{
    static const struct {
        const char *list, *text;
    } cases[] = {
        {"{ { value = { id = 1 }, key = 'k', partition = 2, timestamp = 1.5 } }", "a k={\"id\":1} p2 t1500"},
        {"{ { key = 'gone' } }", "a gone=none p-1 t0"},
        {"{ { value = 'b', format = 'bytes' } }", "a -=b p-1 t0"},
        {"{ { value = 1, key = 12 } }", "a 12=1 p-1 t0"},
        {"{ { value = 1, timestamp = -1.5 } }", "a -=1 p-1 t-1500"},
        {"{ { value = 1, headers = { h = 'v' } } }", "a -=1 p-1 t0 h:v"},
        {"setmetatable({}, { __index = function(_, i) return i == 1 and { value = 1 } or nil end })",
         "a -=1 p-1 t0"},
        {"{ setmetatable({ value = 1 }, { __index = { key = 'not seen' } }) }", "a -=1 p-1 t0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[256];
        w.count = 0;
        snprintf(body, sizeof body, "return #events:publish_batch('a', %s)", cases[i].list);
        ls_call *call = ls_start(w.s, body);
        assert_string_equal(w.taken[0].text, cases[i].text);
        acknowledge(0, PL_OK);
        ls_is_done(call, "1");
    }
    ls_ok(w.s, "return #events:publish_batch('a', {})", "0");
    ls_fails(w.s, "events:publish_batch('a', { { value = 1, kee = 2 } })", PL_INTERNAL,
             "there is no option kee");
    ls_fails(w.s, "events:publish_batch('a', { { value = print } })", PL_INVALID_ARGUMENT, "function");
}

static void acknowledge_all(pl_timer *timer)
{
    for (int i = 0; i < w.count; i++) {
        if (w.taken[i].delivery)
            acknowledge(i, PL_OK);
    }
}

/* Of all that it takes, whether one or many are published: the call fails, or all goes well. */
static void test_out_of_memory(void **state)
{
    static const char *const bodies[] = {
        "return events:publish('a', { id = 1 }, { key = 'k' }).offset",
        "return events:publish_batch('a', { { value = 1, key = 'x' }, { value = 2 } })[1].offset"};
    w.later.fire = acknowledge_all;
    for (size_t i = 0; i < 2; i++) {
        failing a = {0};
        while (failing_next(&a)) {
            w.count = 0;
            ls_call *call = ls_run_failing(w.s, bodies[i], &a);
            if (call->status == PL_CALL_DONE)
                ls_is_done(call, "40");
            else
                assert_int_equal(call->failure.code, PL_RESOURCE_EXHAUSTED);
            ls_advance(w.s, ls_now(w.s) + 10);
            ls_forget(w.s);
            ls_collect(w.s);
            for (int k = 0; k < w.count; k++)
                assert_null(w.taken[k].delivery);
        }
        assert_true(a.failed > 3);
    }
}

static void test_without_a_server(void **state)
{
    w.ops.produce = NULL;
    ls_fails(w.s, "events:publish('a', 1)", PL_FAILED_PRECONDITION, "only where there is a server");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_publish_waits_for_the_acknowledgement),
        TEST(test_what_scripts_can_say_of_an_event),
        TEST(test_mistakes),
        TEST(test_failures_are_raised_with_their_codes),
        TEST(test_nobody_passes_a_full_queue),
        TEST(test_async_can_be_waited_for_later),
        TEST(test_who_is_cancelled_or_collected_lets_the_event_go),
        TEST(test_a_batch_waits_for_all),
        TEST(test_a_batch_tells_which_failed),
        TEST(test_a_full_queue_holds_up_a_batch),
        TEST(test_a_full_queue_holds_up_one_event),
        TEST(test_a_batch_that_is_cancelled_lets_its_events_go),
        TEST(test_what_can_stand_in_a_batch),
        TEST(test_out_of_memory),
        TEST(test_without_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
