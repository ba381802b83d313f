/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>

#include "base/alloc.h"
#include "bindings/lua/internal.h"
#include "support/failing.h"
#include "support/lua_state.h"

/* perilune.pubsub: queues of events, who is resumed when, and who is let go of. */

typedef struct message {
    struct message *next;
    char *topic, *json;
} message;

/* A host whose events arrive when the test says so. */
typedef struct world {
    ls_state *s;
    pl_host_ops ops;
    const pl_host_ops *plain;
    pl_subscriber *subscribers;
    char topics[8][16]; /* of subscribers: `topic` points to one of these */
    message *messages, **last;
    uint64_t arrived;
    bool refuse_subscribers, refuse_events, refuse_timers;
} world;

static world w;

static int host_subscribe(pl_host *host, pl_str topic, pl_subscriber *s)
{
    int i = 0;
    if (w.refuse_subscribers)
        return -1;
    while (w.topics[i][0] && !pl_str_is(topic, w.topics[i]))
        i++;
    assert_in_range(topic.len, 1, 15);
    snprintf(w.topics[i], sizeof w.topics[i], "%.*s", PL_STR_ARG(topic));
    s->topic = w.topics[i];
    s->host = host;
    s->prev = NULL;
    s->next = w.subscribers;
    if (s->next)
        s->next->prev = s;
    w.subscribers = s;
    return 0;
}

static void host_unsubscribe(pl_host *host, pl_subscriber *s)
{
    assert_non_null(s->topic);
    *(s->prev ? &s->prev->next : &w.subscribers) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    s->topic = NULL;
}

static pl_code host_publish(pl_host *host, pl_str topic, pl_str json, pl_error *err)
{
    if (w.refuse_events)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "too many events are under way");
    message *m = calloc(1, sizeof *m);
    m->topic = strndup(topic.ptr, topic.len);
    m->json = strndup(json.ptr, json.len);
    *w.last = m;
    w.last = &m->next;
    return PL_OK;
}

static int host_timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    return w.refuse_timers ? -1 : w.plain->timer_start(host, timer, at);
}

/* Everything that has been published arrives. Returns how many subscribers were told. */
static int arrive(void)
{
    int told = 0;
    while (w.messages) {
        message *m = w.messages;
        pl_event event = {.json = pl_str_of(m->json), .id = ++w.arrived};
        w.messages = m->next;
        if (!w.messages)
            w.last = &w.messages;
        for (pl_subscriber *s = w.subscribers, *next; s; s = next) {
            next = s->next;
            if (strcmp(s->topic, m->topic) == 0) {
                s->message(s, &event);
                told++;
            }
        }
        free(m->topic);
        free(m->json);
        free(m);
    }
    return told;
}

static void publish(const char *topic, const char *json)
{
    pl_error err;
    assert_int_equal(host_publish(ls_host(w.s), pl_str_of(topic), pl_str_of(json), &err), PL_OK);
}

static int subscribers(void)
{
    int n = 0;
    for (pl_subscriber *s = w.subscribers; s; s = s->next)
        n++;
    return n;
}

static void turn_all(void)
{
    while (ls_turn(w.s))
        ;
}

/* As a watchdog would, 30 ms later. */
static int tick(lua_State *L)
{
    static uint64_t now = 1000;
    pl_engine_of(ls_engine_state(w.s))->watch(ls_engine_state(w.s), now += 30);
    return 0;
}

/* iterator(object) → what the core calls for the next event, where it is not the method: else false */
static int iterator(lua_State *L)
{
    int top = lua_gettop(L);
    if (!plua_push_event_iterator(L, 1))
        lua_pushboolean(L, 0);
    assert_int_equal(lua_gettop(L), top + 1);
    return 1;
}

static int set_up(void **state)
{
    static const char *const files[] = {
        "events.lua",
        "pubsub = require 'perilune.pubsub'\n"
        "json = require 'perilune.json'\n"
        "subs = {}\n"
        "function take(n) local out = {} for i = 1, n do out[i] = subs[1]:next() end return out end\n",
        "late.lua", "", NULL};
    pl_error err = {0};
    w = (world){.s = ls_new(&(ls_options){.files = files, .detached = true})};
    w.last = &w.messages;
    w.plain = ls_host(w.s)->ops;
    w.ops = *w.plain;
    w.ops.subscribe = host_subscribe;
    w.ops.unsubscribe = host_unsubscribe;
    w.ops.publish = host_publish;
    w.ops.timer_start = host_timer_start;
    ls_host(w.s)->ops = &w.ops;
    lua_State *L = ls_lua(w.s);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushcfunction(L, tick);
    lua_setfield(L, -2, "tick");
    lua_pushcfunction(L, iterator);
    lua_setfield(L, -2, "iterator");
    lua_pop(L, 1);
    if (ls_load(w.s, "events.lua", NULL, &err))
        fail_msg("%s", err.message);
    pl_engine_of(ls_engine_state(w.s))->state_attach(ls_engine_state(w.s), ls_host(w.s));
    return 0;
}

static int tear_down(void **state)
{
    pl_alloc_fail_at(0, 0);
    ls_free(w.s);
    assert_null(w.subscribers);
    while (w.messages) {
        message *m = w.messages;
        w.messages = m->next;
        free(m->topic);
        free(m->json);
        free(m);
    }
    return 0;
}

#define SUBSCRIBE(rest) "subs[#subs + 1] = pubsub:subscribe('x'" rest ") return #subs"

/* --- taking --- */
static void test_who_waits_gets_the_event(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    ls_call *c = ls_start(w.s, "return subs[1]:next()");
    assert_true(c->waits);
    ls_ok(w.s, "pubsub:publish('x', { a = { true, 'c' } }) return 1", "1");
    assert_true(c->waits);
    assert_int_equal(arrive(), 1);
    assert_true(c->waits); /* the loop's next turn */
    turn_all();
    ls_is_done(c, "{\"a\":[true,\"c\"]}");
}

static void test_events_wait_in_order(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    for (int i = 0; i < 300; i++) {
        char json[8];
        snprintf(json, sizeof json, "%d", i);
        publish("x", json);
        publish("y", "-1");
    }
    arrive();
    ls_ok(w.s, "for i = 0, 299 do assert(subs[1]:next() == i) end return subs[1]:dropped()", "0");
    ls_call *c = ls_start(w.s, "return take(3)");
    publish("x", "7");
    publish("x", "8");
    arrive();
    turn_all();
    publish("x", "9");
    arrive();
    turn_all();
    ls_is_done(c, "[7,8,9]");
}

static void test_kinds_of_values(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    ls_ok(w.s,
          "pubsub:publish('x', json.null) pubsub:publish('x', false) pubsub:publish('x', 9223372036854775807)"
          " pubsub:publish('x', 1.5) pubsub:publish('x', '') pubsub:publish('x', {}) return 1",
          "1");
    arrive();
    ls_ok(w.s,
          "local n = subs[1]:next() return { n == json.null, subs[1]:next(), subs[1]:next(), subs[1]:next(),"
          " subs[1]:next(), subs[1]:next() }",
          "[true,false,9223372036854775807,1.5,\"\",{}]");
}

/* The event is read once for all. */
static void test_all_get_the_same(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    ls_ok(w.s, SUBSCRIBE(""), "2");
    publish("x", "{\"n\":1}");
    publish("x", "{\"n\":1}");
    arrive();
    ls_ok(w.s, "local a, b = subs[1]:next(), subs[2]:next() return { a == b, subs[1]:next() == a }",
          "[true,false]");
}

static void test_it_is_an_iterator(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    publish("x", "1");
    publish("x", "2");
    publish("x", "3");
    arrive();
    ls_ok(w.s,
          "local out = {} for event in subs[1] do out[#out + 1] = event if event == 3 then subs[1]:close() "
          "end end"
          " return out",
          "[1,2,3]");
    assert_int_equal(subscribers(), 0);
}

/* The core's own way, of which methods see nothing. */
static void test_events_are_taken_without_methods(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    ls_ok(w.s, "following = iterator(subs[1]) return type(following)", "\"function\"");
    publish("x", "1");
    publish("x", "2");
    arrive();
    ls_ok(w.s, "return { following(), following(), subs[1]:dropped() }", "[1,2,0]");
    ls_call *c = ls_start(w.s, "return { following(), following('x', 'y') }");
    assert_true(c->waits);
    publish("x", "3");
    publish("x", "4");
    arrive();
    turn_all();
    ls_is_done(c, "[3,4]");
    c = ls_start(w.s, "return following() == nil");
    ls_ok(w.s, "subs[1]:close() return 1", "1");
    turn_all();
    ls_is_done(c, "true");
    ls_ok(w.s, "return following() == nil", "true");
}

/* What has something of its own there is asked by its method. */
static void test_methods_that_scripts_have_replaced(void **state)
{
    ls_ok(w.s, SUBSCRIBE(", function() return true end"), "1");
    ls_ok(w.s, SUBSCRIBE(""), "2");
    ls_ok(w.s, "subs[2].next = function() return 'mine' end return iterator(subs[2])", "false");
    ls_ok(w.s, "subs[2].next = nil return iterator(subs[2]) ~= false", "true");
    ls_ok(w.s, "subs[2].queue = {} return iterator(subs[2])", "false");
    ls_ok(w.s, "return { iterator(subs[1]), iterator {}, iterator(1), iterator(setmetatable({}, {})) }",
          "[false,false,false,false]");
    ls_ok(w.s, SUBSCRIBE(""), "3");
    ls_ok(w.s,
          "local type = getmetatable(subs[3]) local plain = type.next type.next = function() end"
          " local found = iterator(subs[3]) type.next = plain return { found, iterator(subs[3]) ~= false }",
          "[false,true]");
}

/* --- filters --- */
static void test_filters(void **state)
{
    ls_ok(w.s, SUBSCRIBE(", function(n) return n % 2 == 0 end"), "1");
    ls_call *c = ls_start(w.s, "return take(2)");
    for (const char *json = "1\0"
                            "2\0"
                            "3\0"
                            "4\0";
         *json; json += 2)
        publish("x", json);
    arrive();
    turn_all();
    ls_is_done(c, "[2,4]");
}

static void test_a_filter_that_fails(void **state)
{
    ls_ok(w.s, SUBSCRIBE(", function(e) return e.n > 1 end"), "1");
    publish("x", "7");
    publish("x", "{\"n\":2}");
    arrive();
    ls_fails(w.s, "return subs[1]:next()", PL_INTERNAL, "attempt to index a number value");
    ls_ok(w.s, "return subs[1]:next()", "{\"n\":2}"); /* it goes on */
}

static void test_a_filter_that_waits(void **state)
{
    ls_ok(w.s, SUBSCRIBE(", function(n) sleep(1) return n == 2 end"), "1");
    publish("x", "1");
    publish("x", "2");
    arrive();
    ls_ok(w.s, "return subs[1]:next()", "2");
}

static void test_wrong_arguments(void **state)
{
    ls_fails(w.s, "pubsub:subscribe('x', { queue = 5 })", PL_INTERNAL,
             "the filter must be a function(event), not a table");
    ls_fails(w.s, "pubsub:subscribe('')", PL_INTERNAL, "a topic of 1 to 1024 bytes");
    ls_fails(w.s, "pubsub:subscribe(('x'):rep(1025))", PL_INTERNAL, "a topic of 1 to 1024 bytes");
    ls_fails(w.s, "pubsub:subscribe('x', nil, { queue = 0 })", PL_INTERNAL,
             "a queue of 1 to 1,000,000 events");
    ls_fails(w.s, "pubsub:subscribe('x', nil, { queue = 1000001 })", PL_INTERNAL,
             "a queue of 1 to 1,000,000 events");
    ls_fails(w.s, "pubsub:subscribe('x', nil, { on_full = 'explode' })", PL_INTERNAL,
             "invalid option 'explode'");
    ls_fails(w.s, "pubsub:subscribe()", PL_INTERNAL, "string expected");
    ls_fails(w.s, "pubsub:publish('x', function() end)", PL_INVALID_ARGUMENT,
             "the event cannot be published");
    ls_fails(w.s, "local t = {} t.t = t pubsub:publish('x', t)", PL_INVALID_ARGUMENT,
             "the event cannot be published");
    assert_int_equal(subscribers(), 0);
    w.refuse_events = w.refuse_subscribers = true;
    ls_fails(w.s, "pubsub:publish('x', 1)", PL_RESOURCE_EXHAUSTED, "too many events are under way");
    ls_fails(w.s, "pubsub:subscribe('x')", PL_RESOURCE_EXHAUSTED, "out of memory");
}

static void test_not_at_load_time(void **state)
{
    ls_state *s = ls_new(&(ls_options){
        .files = (const char *const[]){"a.lua", "require 'perilune.pubsub':publish('x', 1)", "b.lua",
                                       "require 'perilune.pubsub':subscribe 'x'", NULL},
        .detached = true});
    pl_error err = {0};
    assert_int_not_equal(ls_load(s, "a.lua", NULL, &err), PL_OK);
    assert_non_null(strstr(err.message, "there is no server behind"));
    assert_int_not_equal(ls_load(s, "b.lua", NULL, &err), PL_OK);
    assert_non_null(strstr(err.message, "there is no server behind"));
    ls_free(s);
}

/* --- full queues --- */
static void fill(int n)
{
    for (int i = 1; i <= n; i++) {
        char json[16];
        snprintf(json, sizeof json, "%d", i);
        publish("x", json);
    }
    arrive();
}

static size_t logged(const char *text)
{
    pl_str log = pl_buf_view(ls_log(w.s));
    size_t n = 0;
    for (const char *at = log.ptr;
         at && (at = memmem(at, log.len - (size_t)(at - log.ptr), text, strlen(text))); at++)
        n++;
    return n;
}

static void test_drop_oldest(void **state)
{
    ls_ok(w.s, SUBSCRIBE(", nil, { queue = 3 }"), "1");
    fill(8);
    ls_ok(w.s, "return { take(3), subs[1]:dropped() }", "[[6,7,8],5]");
    assert_int_equal(logged("subscriber is slow"), 3); /* at 1, 2 and 4 */
    assert_int_equal(logged("drop_oldest"), 3);
    fill(3);
    ls_ok(w.s, "return { take(3), subs[1]:dropped() }", "[[1,2,3],5]");
}

static void test_drop_newest(void **state)
{
    ls_ok(w.s, SUBSCRIBE(", nil, { queue = 3, on_full = 'drop_newest' }"), "1");
    fill(8);
    ls_ok(w.s, "return { take(3), subs[1]:dropped() }", "[[1,2,3],5]");
    publish("x", "9");
    arrive();
    ls_ok(w.s, "return take(1)", "[9]");
}

static void test_close_when_full(void **state)
{
    ls_ok(w.s, SUBSCRIBE(", nil, { queue = 3, on_full = 'close' }"), "1");
    fill(3);
    ls_ok(w.s, "return { take(3), subs[1]:dropped() }", "[[1,2,3],0]");
    fill(8);
    assert_int_equal(subscribers(), 0); /* nothing more is collected for it */
    ls_ok(w.s, "return { take(3), subs[1]:dropped() }", "[[1,2,3],1]");
    for (int i = 0; i < 2; i++)
        ls_fails(w.s, "return subs[1]:next()", PL_RESOURCE_EXHAUSTED,
                 "The subscriber is too slow: more than 3 events were waiting for it.");
    ls_ok(w.s, "subs[1]:close() return 1", "1");
}

/* A window of the queue's table that moves on for ever takes no more room. */
static void test_a_queue_takes_bounded_room(void **state)
{
    ls_ok(w.s, SUBSCRIBE(", nil, { queue = 10 }"), "1");
    size_t before = 0;
    for (int i = 0; i < 4000; i++) {
        fill(5);
        ls_ok(w.s, "return #take(3)", "3");
        if (i == 1000)
            before = ls_collect(w.s);
    }
    assert_in_range(ls_collect(w.s), 0, before + 2048);
}

/* --- the end --- */
static void test_close_while_it_waits(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    ls_call *c = ls_start(w.s, "return { 'end', subs[1]:next() }");
    ls_ok(w.s, "subs[1]:close() subs[1]:close() return 1", "1");
    assert_int_equal(subscribers(), 0);
    turn_all();
    ls_is_done(c, "[\"end\"]");
    ls_ok(w.s, "return { 'end', subs[1]:next() }", "[\"end\"]");
}

static void test_what_waits_is_given_after_the_end(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    fill(2);
    pl_subscriber *s = w.subscribers;
    host_unsubscribe(ls_host(w.s), s);
    s->ended(s); /* the host does so when a generation goes */
    ls_ok(w.s, "return { subs[1]:next(), subs[1]:next(), subs[1]:next() == nil }", "[1,2,true]");
}

static void test_ended_while_it_waits(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    ls_call *c = ls_start(w.s, "return { 'end', subs[1]:next() }");
    pl_subscriber *s = w.subscribers;
    host_unsubscribe(ls_host(w.s), s);
    s->ended(s);
    assert_true(c->waits);
    turn_all();
    ls_is_done(c, "[\"end\"]");
}

static void test_a_scope_closes_it(void **state)
{
    ls_ok(w.s, "local s <close> = pubsub:subscribe('x') return 1", "1");
    assert_int_equal(subscribers(), 0);
    ls_call *c = ls_start(w.s, "local s <close> = pubsub:subscribe('x') return s:next()");
    assert_int_equal(subscribers(), 1);
    ls_cancel(c);
    assert_int_equal(subscribers(), 0);
}

static void test_one_at_a_time(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    ls_call *c = ls_start(w.s, "return subs[1]:next()");
    ls_fails(w.s, "return subs[1]:next()", PL_INTERNAL,
             "another call waits for an event of this subscription already");
    fill(1);
    turn_all();
    ls_is_done(c, "1");
    ls_call *again = ls_start(w.s, "return subs[1]:next()");
    ls_cancel(again);
    fill(1);
    ls_ok(w.s, "return subs[1]:next()", "1");
}

/* An event that was meant for a call that waits is taken by another one first: the first waits on. */
static void test_taken_by_another(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    ls_call *c = ls_start(w.s, "return subs[1]:next()");
    fill(1);
    ls_ok(w.s, "return subs[1]:next()", "1");
    turn_all();
    assert_true(c->waits);
    publish("x", "2");
    arrive();
    turn_all();
    ls_is_done(c, "2");
}

static void test_cancelled_when_it_is_about_to_go_on(void **state)
{
    ls_call *calls[3];
    for (int i = 0; i < 3; i++) {
        char code[64];
        ls_run(w.s, SUBSCRIBE(""));
        snprintf(code, sizeof code, "return subs[%d]:next()", i + 1);
        calls[i] = ls_start(w.s, code);
    }
    fill(1);
    ls_cancel(calls[1]);
    turn_all();
    ls_is_done(calls[0], "1");
    ls_is_done(calls[2], "1");
    ls_ok(w.s, "return subs[2]:next()", "1"); /* it is still there */
}

/* --- whose it is --- */
static void test_a_subscription_that_nobody_holds(void **state)
{
    ls_ok(w.s, "pubsub:subscribe('x') return 1", "1");
    ls_ok(w.s, SUBSCRIBE(""), "1");
    assert_int_equal(subscribers(), 2);
    fill(3); /* events do not keep it */
    ls_forget(w.s);
    ls_collect(w.s);
    assert_int_equal(subscribers(), 1);
    ls_ok(w.s, "return take(3)", "[1,2,3]");
    ls_call *c = ls_start(w.s, "return pubsub:subscribe('x'):next()"); /* who waits holds it */
    ls_collect(w.s);
    assert_int_equal(subscribers(), 2);
    fill(1);
    turn_all();
    ls_is_done(c, "1");
}

static void test_thousands_that_nobody_holds(void **state)
{
    for (int i = 0; i < 300; i++) {
        ls_ok(w.s, "for i = 1, 100 do pubsub:subscribe('x', nil, { queue = 2 }) end return 1", "1");
        fill(3);
    }
    ls_collect(w.s);
    assert_int_equal(subscribers(), 0);
    assert_in_range(ls_collect(w.s), 0, 4 << 20);
}

/* The work for which it was made is over: the subscription may stay, but knows it no more. */
static void test_it_outlives_its_work(void **state)
{
    ls_call *c = ls_run(w.s, SUBSCRIBE(", nil, { queue = 1 }"));
    ls_is_done(c, "1");
    assert_null(w.subscribers->work);
    ls_forget(w.s); /* the work's memory goes */
    fill(5);
    assert_int_equal(logged("subscriber is slow"), 3);
    ls_call *waits = ls_start(w.s, "local s = pubsub:subscribe('y') kept = s return s:next()");
    assert_ptr_equal(w.subscribers->work, &waits->work);
    publish("y", "1");
    arrive();
    turn_all();
    ls_is_done(waits, "1");
    ls_forget(w.s);
    assert_null(w.subscribers->work);
    ls_ok(w.s, "kept:close() kept = nil subs[1]:close() return 1", "1");
    assert_null(w.subscribers);
}

static void test_the_work_ends_with_many(void **state)
{
    ls_ok(w.s,
          "for i = 1, 20 do subs[i] = pubsub:subscribe('x') end subs[7]:close() subs[20]:close() "
          "subs[1]:close()"
          " return #subs",
          "20");
    ls_forget(w.s);
    for (pl_subscriber *s = w.subscribers; s; s = s->next)
        assert_null(s->work);
    assert_int_equal(subscribers(), 17);
}

static void test_the_state_is_freed(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    ls_ok(w.s, "kept = pubsub:subscribe('y') return 1", "1");
    ls_start(w.s, "return subs[1]:next()");
    fill(1); /* about to go on */
    ls_start(w.s, "return pubsub:subscribe('x'):next()");
    assert_int_equal(subscribers(), 3);
    ls_close(w.s);
    assert_int_equal(subscribers(), 0);
}

/* --- many --- */
static void test_the_loop_is_given_back(void **state)
{
    enum { N = 50 };
    ls_call *calls[N];
    for (int i = 0; i < N; i++)
        calls[i] = ls_start(w.s, "local s = pubsub:subscribe('x') local e = s:next() tick() return e");
    fill(1);
    int turns = 0;
    for (; ls_turn(w.s); turns++) {
        int left = 0;
        for (int i = 0; i < N; i++)
            left += calls[i]->waits;
        assert_int_equal(left, N - 1 - turns); /* each takes longer than a slice */
    }
    assert_int_equal(turns, N);
}

static void test_first_come_first_served(void **state)
{
    ls_ok(w.s, "order = {} return 1", "1");
    for (int i = 0; i < 10; i++) {
        char code[128];
        snprintf(code, sizeof code, "local s = pubsub:subscribe('t%d') s:next() order[#order + 1] = %d",
                 i % 2, i);
        ls_start(w.s, code);
    }
    publish("t1", "1");
    publish("t0", "1");
    arrive();
    turn_all();
    ls_ok(w.s, "return order", "[9,7,5,3,1,8,6,4,2,0]"); /* as this host tells the newest first */
}

/* --- without timers, or memory --- */
static void test_without_timers(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    ls_call *c = ls_start(w.s, "return { subs[1]:next(), subs[1]:next() }");
    w.refuse_timers = true;
    fill(1);
    assert_true(c->waits);
    ls_fails(w.s, "subs[1]:close()", PL_RESOURCE_EXHAUSTED, "could not be closed");
    assert_int_equal(subscribers(), 1);
    publish("x", "2"); /* at once */
    arrive();
    ls_is_done(c, "[1,2]");
    ls_call *last = ls_start(w.s, "return { 'end', subs[1]:next() }");
    pl_subscriber *s = w.subscribers;
    host_unsubscribe(ls_host(w.s), s);
    s->ended(s);
    ls_is_done(last, "[\"end\"]");
}

static void test_an_event_that_is_no_json(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    publish("x", "{");
    publish("x", "2");
    arrive();
    ls_ok(w.s, "return { subs[1]:next(), subs[1]:dropped() }", "[2,1]");
    assert_int_equal(logged("event lost"), 1);
}

static const char busy[] = "local a, b = pubsub:subscribe('x', nil, { queue = 2 }), pubsub:subscribe('x')"
                           " for i = 1, 4 do pubsub:publish('x', { i, tostring(i) }) end"
                           " sleep(1)"
                           " local first = b:next()"
                           " a:close() b:close()"
                           " return first[1]";

static void test_without_memory(void **state)
{
    for (int sticky = 0; sticky <= 1; sticky++) {
        failing a = {.sticky = sticky};
        while (failing_next(&a)) {
            failing_begin(&a);
            ls_call *c = ls_start(w.s, busy);
            arrive();
            bool over = !failing_end(&a);
            while (c->waits && ls_turn(w.s))
                arrive();
            if (c->waits)
                ls_cancel(c); /* its events were lost, and logged */
            assert_true(!over || c->cancelled || c->status == PL_CALL_DONE);
            ls_forget(w.s);
            ls_collect(w.s);
            assert_int_equal(subscribers(), 0);
        }
        assert_true(a.failed > 20);
    }
}

/* Events that come without memory are lost, and counted; those after them are not. */
static void test_events_that_come_without_memory(void **state)
{
    ls_ok(w.s, SUBSCRIBE(""), "1");
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        publish(
            "x",
            "{\"a\":[1,2,3],\"b\":\"some text that is longer than a short one would be in Lua 5.4, forty\"}");
        ls_collect(w.s);
        failing_begin(&a);
        arrive();
        failing_end(&a);
    }
    assert_true(a.failed > 3);
    ls_ok(w.s, "return { #subs[1]:next().a, subs[1]:dropped() > 3 }", "[3,true]");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(test_who_waits_gets_the_event),
        TEST(test_events_wait_in_order),
        TEST(test_kinds_of_values),
        TEST(test_all_get_the_same),
        TEST(test_it_is_an_iterator),
        TEST(test_events_are_taken_without_methods),
        TEST(test_methods_that_scripts_have_replaced),
        TEST(test_filters),
        TEST(test_a_filter_that_fails),
        TEST(test_a_filter_that_waits),
        TEST(test_wrong_arguments),
        TEST(test_not_at_load_time),
        TEST(test_drop_oldest),
        TEST(test_drop_newest),
        TEST(test_close_when_full),
        TEST(test_a_queue_takes_bounded_room),
        TEST(test_close_while_it_waits),
        TEST(test_what_waits_is_given_after_the_end),
        TEST(test_ended_while_it_waits),
        TEST(test_a_scope_closes_it),
        TEST(test_one_at_a_time),
        TEST(test_taken_by_another),
        TEST(test_cancelled_when_it_is_about_to_go_on),
        TEST(test_a_subscription_that_nobody_holds),
        TEST(test_thousands_that_nobody_holds),
        TEST(test_it_outlives_its_work),
        TEST(test_the_work_ends_with_many),
        TEST(test_the_state_is_freed),
        TEST(test_the_loop_is_given_back),
        TEST(test_first_come_first_served),
        TEST(test_without_timers),
        TEST(test_an_event_that_is_no_json),
        TEST(test_without_memory),
        TEST(test_events_that_come_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
