/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/operation_harness.h"
#include "support/failing.h"

/* Operations and generations: subscriptions that go over from one to the next, on real instances, with a
 * clock that the test turns. */

/* --- it goes over --- */
static void goes_over_at_once(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { said { n v } }");
    publish("x", 1);
    saw(&c, "subscribed " SAID(1, 1));
    for (int i = 2; i <= 5; i++) {
        adopt();
        turn();
        assert_int_equal(w.retired_count, 0); /* nothing keeps the old one */
    }
    publish("x", 2);
    publish("x", 3);
    saw(&c, SAID(2, 5) SAID(3, 5));
    assert_int_equal(pl_pubsub_get_stats(w.pubsub).subscribers, 1);
    cancel(&c);
}

static void what_waits_is_given_first(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { said { n v } }");
    pl_operation_hold(c.operation, true);
    publish("x", 1); /* is taken at once: it was waited for */
    publish("x", 2);
    publish("x", 3);
    adopt();
    publish("x", 4);
    pass(100000); /* however long the client does not read */
    saw(&c, "subscribed " SAID(1, 1));
    assert_int_equal(w.retired_count, 1);
    pl_operation_hold(c.operation, false);
    turn();
    saw(&c, SAID(2, 1) SAID(3, 1) SAID(4, 2));
    assert_int_equal(w.retired_count, 0);
    publish("x", 5);
    saw(&c, SAID(5, 2));
    cancel(&c);
}

static void the_new_one_subscribes_later(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { gated { n v } }");
    publish("gate", 0);
    adopt();
    publish("x", 1);
    saw(&c, "subscribed " GATED(1, 1));
    assert_int_equal(instance_of(w.live)->in_flight, 1);
    publish("gate", 0);
    publish("x", 2);
    saw(&c, GATED(2, 2));
    assert_int_equal(w.retired_count, 0);
    cancel(&c);
}

/* It is still subscribing when the newer one comes: it goes over afterwards. */
static void subscribes_while_it_is_retired(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { gated { n v } }");
    adopt();
    adopt();
    assert_int_equal(w.retired_count, 1);
    saw(&c, "");
    publish("gate", 0); /* for version 1 */
    saw(&c, "subscribed ");
    publish("x", 1);
    saw(&c, GATED(1, 1));
    publish("gate", 0); /* for version 3 */
    publish("x", 2);
    saw(&c, GATED(2, 3));
    assert_int_equal(w.retired_count, 0);
    cancel(&c);
}

static void the_new_one_refuses(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { picky { n v } }");
    adopt();
    turn();
    assert_true(c.over);
    assert_non_null(strstr(c.seen, "not any more"));
    assert_int_equal(w.retired_count, 0);
}

static void a_refusal_comes_after_what_waits(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { picky { n v } }");
    pl_operation_hold(c.operation, true);
    publish("x", 1);
    publish("x", 2);
    publish("x", 3);
    adopt();
    publish("x", 4); /* nobody has it to give */
    pass(100000);
    saw(&c, "subscribed {'data':{'picky':{'n':1,'v':1}}} ");
    assert_false(c.over);
    adopt(); /* it has been refused already */
    pl_operation_hold(c.operation, false);
    turn();
    assert_non_null(
        strstr(c.seen, "{'data':{'picky':{'n':2,'v':1}}} {'data':{'picky':{'n':3,'v':1}}} {'errors'"));
    assert_non_null(strstr(c.seen, "not any more"));
    assert_null(strstr(c.seen, "'n':4"));
    assert_true(c.over);
    assert_int_equal(w.retired_count, 0);
}

static const char without_n[] = "type Query { a: Int  slow: Int }\n"
                                "type Subscription { said: Said  gated: Said  picky: Said  stubborn: Said\n"
                                "  late: Said  count: Int  pair: Said }\n"
                                "type Said { v: Int }\n";

/* One that does not end is given no more than a moment. */
static void a_refusal_of_one_that_does_not_end(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { stubborn { n } }");
    adopt_schema(without_n);
    assert_false(c.over);
    pass(1001);
    assert_true(c.over);
    assert_non_null(strstr(c.seen, "'errors'"));
    turn();
    assert_int_equal(w.retired_count, 0);
}

static void refused_and_cut_off_or_cancelled(void **state)
{
    client c;
    for (int cut = 0; cut <= 1; cut++) {
        w.version = 0;
        adopt();
        start(&c, "subscription { stubborn { n } }");
        adopt_schema(without_n);
        if (cut)
            pl_operations_end(instance_of(w.retired[0]));
        else
            cancel(&c);
        assert_true(c.over);
        turn();
        assert_int_equal(w.retired_count, 0);
    }
}

static void the_new_one_never_subscribes(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { gated { n v } }");
    publish("gate", 0);
    adopt();
    pass(29000);
    publish("x", 1);
    saw(&c, "subscribed " GATED(1, 1));
    pass(1500);
    assert_true(c.over);
    assert_non_null(strstr(c.seen, "DEADLINE_EXCEEDED"));
}

/* --- the old source ends --- */
static void an_old_source_that_does_not_end(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { stubborn { n v } }");
    adopt();
    publish("x", 1);
    pass(999);
    saw(&c, "subscribed ");
    assert_int_equal(w.retired_count, 1);
    pass(1);
    turn();
    saw(&c, "{'data':{'stubborn':{'n':1,'v':2}}} ");
    assert_int_equal(w.retired_count, 0);
    cancel(&c);
}

static void an_old_source_that_gives_some_more(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { late { n v } }");
    adopt();
    publish("x", 1);
    pass(950);
    saw(&c, "subscribed {'data':{'late':{'n':-1,'v':1}}} {'data':{'late':{'n':-1,'v':1}}} "
            "{'data':{'late':{'n':1,'v':2}}} ");
    cancel(&c);
    pass(2000);
}

static void a_source_that_ends_by_itself(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { count }");
    pass(1000);
    saw(&c, "subscribed {'data':{'count':1}} {'data':{'count':2}} {'data':{'count':3}} complete ");
    start(&c, "subscription { count }");
    adopt(); /* a generator begins anew */
    pass(1000);
    saw(&c, "subscribed {'data':{'count':1}} {'data':{'count':2}} {'data':{'count':3}} {'data':{'count':1}} "
            "{'data':{'count':2}} {'data':{'count':3}} complete ");
    assert_true(c.over);
}

/* The source of two topics: its second one goes when the first ends. */
static void sources_of_several_topics(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { pair { n v } }");
    for (int i = 0; i < 3; i++) {
        adopt();
        turn();
        assert_int_equal(pl_pubsub_get_stats(w.pubsub).subscribers, 2);
    }
    publish("x", 1);
    saw(&c, "subscribed {'data':{'pair':{'n':1,'v':4}}} ");
    cancel(&c);
}

/* --- more reloads while one is under way --- */
static void again_while_the_new_one_subscribes(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { gated { n v } }");
    publish("gate", 0);
    for (int i = 2; i <= 4; i++) {
        adopt();
        publish("x", i);
        assert_int_equal(w.retired_count, 1); /* those in between have nothing in hand */
    }
    publish("gate", 0);
    publish("x", 9);
    saw(&c, "subscribed " GATED(2, 1) GATED(3, 1) GATED(4, 1) GATED(9, 4));
    cancel(&c);
}

static void again_while_the_old_one_drains(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { said { n v } }");
    pl_operation_hold(c.operation, true);
    publish("x", 1);
    publish("x", 2);
    adopt();
    publish("x", 3); /* the second one has it */
    adopt();
    publish("x", 4);
    adopt();
    publish("x", 5);
    assert_int_equal(w.retired_count, 2); /* the third one was passed over */
    pl_operation_hold(c.operation, false);
    turn();
    saw(&c, "subscribed " SAID(1, 1) SAID(2, 1) SAID(3, 2) SAID(4, 2) SAID(5, 2));
    turn();
    assert_int_equal(w.retired_count, 0); /* it has gone over by itself */
    publish("x", 6);
    saw(&c, SAID(6, 4));
    cancel(&c);
}

/* A reload at every moment, and events all the time: each arrives once, in order. */
static void nothing_is_lost_or_doubled(void **state)
{
    static client clients[4];
    static const char *const queries[] = {"subscription { said { n } }", "subscription { late { n } }",
                                          "subscription { pair { n } }", "subscription { stubborn { n } }"};
    adopt();
    for (int i = 0; i < 4; i++)
        start(&clients[i], queries[i]);
    unsigned dice = 7;
    int n = 0;
    for (int step = 0; step < 400; step++) {
        dice = dice * 1103515245 + 12345;
        client *c = &clients[dice >> 16 & 3];
        switch (dice >> 20 & 7) {
        case 0:
            if (w.retired_count < MOST - 1)
                adopt();
            break;
        case 1:
            pl_operation_hold(c->operation, true);
            break;
        case 2:
        case 3:
            pl_operation_hold(c->operation, false);
            break;
        case 4:
            pass(dice >> 24);
            break;
        default:
            publish("x", ++n);
        }
        if (step % 10 == 9) { /* what was seen is checked, and forgotten */
            for (int i = 0; i < 4; i++) {
                assert_false(clients[i].over);
                char *at = clients[i].seen;
                for (char *next; (next = strstr(at, "'n':")); at = next + 1) {
                    int got = atoi(next + 4);
                    if (got > 0)
                        assert_int_equal(got, ++clients[i].cancel_at); /* its counter */
                }
                clients[i].seen[0] = '\0';
            }
        }
    }
    for (int i = 0; i < 4; i++)
        pl_operation_hold(clients[i].operation, false);
    pass(20000);
    for (int i = 0; i < 4; i++) {
        int last = (int)clients[i].cancel_at;
        char *at = clients[i].seen;
        for (char *next; (next = strstr(at, "'n':")); at = next + 1) {
            int got = atoi(next + 4);
            if (got > 0)
                assert_int_equal(got, ++last);
        }
        assert_int_equal(last, n);
        cancel(&clients[i]);
    }
}

/* --- cancelled at every point --- */
enum { STAGES = 9 };

/* As far as the stage: from a subscription that is made, over its going over twice, to its end. */
static void run_to(client *c, const char *query, int stage, bool held)
{
    adopt();
    start(c, query);
    if (stage >= 1)
        publish("gate", 0);
    if (held)
        pl_operation_hold(c->operation, true);
    for (int i = 0; stage >= 2 && i < 3; i++)
        publish("x", i);
    if (stage >= 3)
        adopt();
    if (stage >= 4)
        publish("gate", 0);
    if (stage >= 5)
        adopt();
    if (stage >= 6)
        publish("x", 7);
    if (stage >= 7)
        publish("gate", 0);
    if (stage >= 8)
        pass(3000);
}

static const char *const all_queries[] = {"subscription { said { n } }", "subscription { gated { n } }",
                                          "subscription { stubborn { n } }", "subscription { late { n } }",
                                          "subscription { pair { n } }"};

static void cancelled_at_every_point(void **state)
{
    client c;
    for (size_t q = 0; q < sizeof all_queries / sizeof *all_queries; q++) {
        for (int stage = 0; stage < 2 * STAGES; stage++) {
            run_to(&c, all_queries[q], stage / 2, stage % 2);
            cancel(&c);
            turn();
            assert_int_equal(w.retired_count, 0);
            assert_int_equal(pl_pubsub_get_stats(w.pubsub).subscribers, 0);
        }
    }
}

static void cancelled_from_within_a_payload(void **state)
{
    client c;
    adopt();
    for (unsigned at = 1; at < 8; at++) {
        c = (client){.cancel_at = at};
        start_as(&c, "subscription { said { n } }");
        for (int i = 0; !c.over; i++) {
            publish("x", i);
            if (i % 2 && !c.over)
                adopt();
        }
        assert_int_equal(c.payloads, at);
        turn();
        assert_int_equal(w.retired_count, 0);
    }
}

/* A source that gives everything at once, below pl_operation_start. */
static void held_and_cancelled_while_it_is_started(void **state)
{
    client c;
    w.app = "return { default_resolver = function(parent, _, _, info) return parent end }";
    pl_generation *g = build(schema);
    make_live(g);
    c = (client){.hold_at = 1};
    start_as(&c, "subscription { said { n } }");
    assert_int_equal(c.payloads, 1);
    cancel(&c);
    c = (client){.cancel_at = 1};
    start_as(&c, "subscription { said { n } }");
    assert_true(c.over);
}

/* --- cut off --- */
static void cut_off(pl_generation *g)
{
    pl_operations_end(instance_of(g));
    assert_int_equal(instance_of(g)->in_flight, 0);
}

static void a_query_that_is_cut_off(void **state)
{
    client c;
    adopt();
    start(&c, "{ slow }");
    adopt();
    pass(20000);
    saw(&c, ""); /* it stays on its generation */
    cut_off(w.retired[0]);
    assert_true(c.over);
    assert_non_null(strstr(c.seen, "'UNAVAILABLE'"));
}

static void cut_off_at_every_point(void **state)
{
    client c;
    for (size_t q = 0; q < sizeof all_queries / sizeof *all_queries; q++) {
        for (int stage = 0; stage < 2 * STAGES; stage++) {
            run_to(&c, all_queries[q], stage / 2, stage % 2);
            adopt(); /* whatever it was on is retired */
            while (w.retired_count > 0) {
                cut_off(w.retired[w.retired_count - 1]); /* the oldest first */
                turn();
            }
            if (!c.over) { /* it has gone over */
                if (stage % 2)
                    pl_operation_hold(c.operation, false);
                publish("gate", 0);
                publish("x", 99);
                assert_true(c.over || strstr(c.seen, "'n':99"));
            } else {
                assert_non_null(strstr(c.seen, "'UNAVAILABLE'"));
            }
            if (!c.over)
                cancel(&c);
            turn();
        }
    }
}

/* Not the oldest: whoever has the successor. */
static void the_newer_one_is_cut_off_first(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { said { n v } }"); /* drains, and has a successor that is subscribed */
    pl_operation_hold(c.operation, true);
    publish("x", 1);
    publish("x", 2);
    adopt();
    adopt();
    assert_int_equal(w.retired_count, 2);
    cut_off(w.retired[0]);
    assert_true(c.over);
    assert_non_null(strstr(c.seen, "'UNAVAILABLE'"));
    turn();
    assert_int_equal(w.retired_count, 0);
    start(&c, "subscription { gated { n v } }"); /* has one that is not */
    publish("gate", 0);
    adopt();
    pl_generation *successors = w.live;
    pl_operations_end(instance_of(successors));
    assert_int_equal(instance_of(successors)->in_flight, 0);
    publish("x", 3);
    saw(&c, "subscribed " GATED(3, 3));
    cancel(&c);
}

#define NO_SCHEMA                                                  \
    "{'errors':[{'message':'The server has no GraphQL schema any " \
    "more.','extensions':{'code':'UNAVAILABLE'}}]} "

static void a_generation_without_schema(void **state)
{
    client c, other;
    adopt();
    start(&c, "subscription { said { n v } }");
    start(&other, "subscription { gated { n v } }");
    pl_operation_hold(c.operation, true);
    publish("x", 1);
    publish("x", 2);
    adopt_schema(NULL);
    turn();
    saw(&c, "subscribed " SAID(1, 1));
    pl_operation_hold(c.operation, false);
    turn();
    saw(&c, SAID(2, 1) NO_SCHEMA);
    saw(&other, "");
    publish("gate", 0); /* it has its source, and nothing to go over to */
    saw(&other, "subscribed " NO_SCHEMA);
    assert_true(c.over && other.over);
    turn();
    assert_int_equal(w.retired_count, 0);
}

/* A successor that is not subscribed yet goes; one that is has its turn first. */
static void a_generation_without_schema_while_it_goes_over(void **state)
{
    client c, other;
    adopt();
    start(&c, "subscription { gated { n v } }");
    publish("gate", 0);
    start(&other, "subscription { said { n v } }");
    pl_operation_hold(other.operation, true);
    publish("x", 1);
    publish("x", 2);
    adopt();
    publish("x", 3);
    adopt_schema(NULL);
    turn();
    saw(&c, "subscribed " GATED(1, 1) GATED(2, 1) GATED(3, 1) NO_SCHEMA);
    pl_operation_hold(other.operation, false);
    turn();
    saw(&other, "subscribed " SAID(1, 1) SAID(2, 1) SAID(3, 2) NO_SCHEMA);
    assert_true(c.over && other.over);
    turn();
    assert_int_equal(w.retired_count, 0);
}

/* The one that it would have gone over to has come and gone. */
static void nothing_to_go_over_to(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { gated { n v } }");
    adopt();
    adopt_schema(NULL);
    assert_int_equal(w.retired_count, 1);
    publish("gate", 0);
    saw(&c, "subscribed " NO_SCHEMA);
    assert_true(c.over);
}

/* --- interceptors --- */
static void with_interceptors_that_wait(void **state)
{
    client c = {.headers = {{PL_STR("before"), PL_STR("0.1")}, {PL_STR("after"), PL_STR("0.1")}}};
    w.app = waiting_app;
    adopt();
    start_as(&c, "subscription { count }");
    pass(150);
    assert_string_equal(c.version, "1");
    saw(&c, "subscribed ");
    adopt();
    pass(20);
    adopt(); /* the second one was still before next */
    pass(1000);
    assert_true(c.over); /* its last payload was in the leg's own memory */
    assert_non_null(strstr(c.seen, "complete"));
    turn();
    assert_int_equal(w.retired_count, 0);
}

static void let_go_while_interceptors_wait(void **state)
{
    client c = {.headers = {{PL_STR("before"), PL_STR("0.1")}, {PL_STR("after"), PL_STR("0.1")}}};
    w.app = waiting_app;
    adopt();
    start_as(&c, "subscription { said { n v } }");
    pass(150);
    adopt();
    cut_off(w.retired[0]); /* the successor, before next, is all there is */
    pass(150);
    publish("x", 1);
    assert_non_null(strstr(c.seen, SAID(1, 2)));
    cancel(&c);
}

/* --- many --- */
static void a_slice_at_a_turn(void **state)
{
    enum { N = 60 };
    static client clients[N];
    adopt();
    for (int i = 0; i < N; i++)
        start(&clients[i], "subscription { said { n v } }");
    make_live(build(schema));
    w.ticking = true; /* the clock goes on by itself */
    rebase();
    assert_int_not_equal(instance_of(w.live)->in_flight, N); /* not all at once */
    assert_int_not_equal(instance_of(w.live)->in_flight, 0);
    make_live(build(schema)); /* nor have they when the next one comes */
    rebase();
    for (int i = 0; i < 30; i++) {
        pl_timers_run(&w.timers, w.now);
        w.now += 5;
    }
    w.ticking = false;
    pass(2000);
    publish("x", 1);
    for (int i = 0; i < N; i++) {
        assert_string_equal(clients[i].seen, "subscribed " SAID(1, 3));
        cancel(&clients[i]);
    }
}

/* --- without timers, and memory --- */
static void without_timers(void **state)
{
    client c;
    adopt();
    start(&c, "subscription { said { n v } }");
    w.refuse_timers = true;
    adopt();
    publish("x", 1);
    w.refuse_timers = false;
    turn();
    saw(&c, "subscribed " SAID(1, 2));
    cancel(&c);
}

/* ThreadSanitizer keeps 12 MB for each Lua state that there ever was. */
#ifdef __SANITIZE_THREAD__
enum { DENSE = 10 };
#else
enum { DENSE = 0 };
#endif

static void without_memory(void **state)
{
    client c;
    static const char *const queries[] = {"subscription { said { n } }", "subscription { gated { n } }"};
    for (int k = 0; k < 4; k++) {
        failing a = {.sticky = k % 2, .dense = DENSE, .step = 40};
        while (failing_next(&a)) {
            w.version = 0;
            adopt();
            start(&c, queries[k / 2]);
            publish("gate", 0);
            make_live(build(schema));
            failing_begin(&a);
            rebase();
            failing_end(&a);
            turn();
            publish("gate", 0);
            publish("x", 1);
            assert_true(c.over || strstr(c.seen, "'n':1"));
            if (!c.over) /* on the new one, or still on the old one */
                cancel(&c);
            turn();
            assert_int_equal(w.retired_count, 0);
        }
        assert_true(a.made > 5);
    }
}

static void started_without_memory(void **state)
{
    client c;
    adopt();
    for (int sticky = 0; sticky <= 1; sticky++) {
        failing a = {.sticky = sticky};
        while (failing_next(&a)) {
            failing_begin(&a);
            start(&c, "subscription { said { n } }");
            bool failed = failing_end(&a);
            assert_true(failed || !c.over);
            if (!c.over)
                cancel(&c);
            turn();
            assert_int_equal(instance_of(w.live)->in_flight, 0);
            assert_int_equal(w.endpoint.operations, 0);
        }
    }
}

/* What an interceptor has set is applied, or there is no answer. */
static void what_scripts_say_without_memory(void **state)
{
    static const char *const queries[] = {"{ a }", "subscription { said { n } }"};
    w.app = expiring_app;
    adopt();
    for (int k = 0; k < 4; k++) {
        failing a = {.sticky = k % 2};
        while (failing_next(&a)) {
            client c = {.over = false};
            failing_begin(&a);
            start_as(&c, queries[k / 2]);
            failing_end(&a);
            bool refused = strstr(c.seen, "'errors'") != NULL;
            assert_true(refused || strcmp(c.version, "1") == 0);
            assert_true(refused || k >= 2 || strstr(c.seen, "'extensions':{'mark':'here'}"));
            if (!c.over) /* something ends it when its credentials do */
                assert_int_not_equal(pl_timers_next(&w.timers), UINT64_MAX);
            if (!c.over)
                cancel(&c);
            turn();
            assert_int_equal(instance_of(w.live)->in_flight, 0);
        }
        assert_true(a.made > 10);
    }
}

/* Credentials that nobody would end, end at once: at the start, and after going over. */
static void credentials_without_timers(void **state)
{
    client c = {.over = false};
    w.app = expiring_app;
    adopt();
    w.refuse_timers = true;
    start_as(&c, "subscription { stubborn { n } }");
    assert_true(c.over);
    assert_non_null(strstr(c.seen, "RESOURCE_EXHAUSTED"));
    w.refuse_timers = false;
    c = (client){.over = false};
    start_as(&c, "subscription { said { n } }");
    w.refuse_timers = true;
    adopt();
    w.refuse_timers = false;
    assert_true(c.over);
    saw(&c,
        "subscribed {'errors':[{'message':'out of memory','extensions':{'code':'RESOURCE_EXHAUSTED'}}]} ");
    turn();
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(goes_over_at_once),
        TEST(what_waits_is_given_first),
        TEST(the_new_one_subscribes_later),
        TEST(subscribes_while_it_is_retired),
        TEST(the_new_one_refuses),
        TEST(a_refusal_comes_after_what_waits),
        TEST(a_refusal_of_one_that_does_not_end),
        TEST(refused_and_cut_off_or_cancelled),
        TEST(a_generation_without_schema_while_it_goes_over),
        TEST(what_scripts_say_without_memory),
        TEST(credentials_without_timers),
        TEST(the_new_one_never_subscribes),
        TEST(an_old_source_that_does_not_end),
        TEST(an_old_source_that_gives_some_more),
        TEST(a_source_that_ends_by_itself),
        TEST(sources_of_several_topics),
        TEST(again_while_the_new_one_subscribes),
        TEST(again_while_the_old_one_drains),
        TEST(nothing_is_lost_or_doubled),
        TEST(cancelled_at_every_point),
        TEST(cancelled_from_within_a_payload),
        TEST(held_and_cancelled_while_it_is_started),
        TEST(a_query_that_is_cut_off),
        TEST(cut_off_at_every_point),
        TEST(the_newer_one_is_cut_off_first),
        TEST(a_generation_without_schema),
        TEST(nothing_to_go_over_to),
        TEST(with_interceptors_that_wait),
        TEST(let_go_while_interceptors_wait),
        TEST(a_slice_at_a_turn),
        TEST(without_timers),
        TEST(without_memory),
        TEST(started_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
