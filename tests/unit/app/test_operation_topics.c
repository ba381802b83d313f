/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/operation_harness.h"
#include "support/failing.h"
#include "value/incoming.h"

/* Subscriptions that are fed by a topic of Kafka, and generations: each event is given once and in order,
 * whenever a newer generation comes. The topic is one of the test's own, which says when a reader gets what
 * it reads, and when subscribers get what was published. */

static const char topic_schema[] = "type Query { a: Int }\n"
                                   "type Subscription { past: Event  live: Event  even: Event  slow: Event\n"
                                   "  since: Event  lazy: Event  late: Event }\n"
                                   "type Event { n: Int  v: Int }\n";

/* slow: events take a while. lazy: has its source, but does not return it yet. late: the source does not end
 * when it is told to. */
static const char topic_resolvers[] =
    "local time = require 'perilune.time'\n"
    "local version = require 'lib.version'\n"
    "local function from(options, filter)\n"
    "  return function(_, _, ctx) return ctx.events:subscribe('t', filter, options) end\n"
    "end\n"
    "return {\n"
    "  Event = { v = function() return version end },\n"
    "  Subscription = {\n"
    "    past = from { from = 'beginning' },\n"
    "    live = from {},\n"
    "    even = from({ from = 'beginning' }, function(event) return event.n % 2 == 0 end),\n"
    "    since = from { from = { timestamp = 0.003 } },\n"
    "    slow = { subscribe = from { from = 'beginning' },\n"
    "      resolve = function(event) time.sleep(0.4) return event end },\n"
    "    lazy = function(_, _, ctx)\n"
    "      local source = ctx.events:subscribe('t')\n"
    "      time.sleep(0.3)\n"
    "      return source\n"
    "    end,\n"
    "    late = function(_, _, ctx)\n"
    "      local source = ctx.events:subscribe('t', function(event) return event.n % 3 > 0 end)\n"
    "      return function()\n"
    "        local event = source:next()\n"
    "        if event == nil then time.sleep(1000) end\n"
    "        return event\n"
    "      end\n"
    "    end,\n"
    "  },\n"
    "}\n";

/* --- a topic --- */
enum { PARTITIONS = 3, LENGTH = 4000 };
#define FED_AS "fed t"

static struct {
    int published[PARTITIONS], fed[PARTITIONS]; /* the offset is the number of an event, and its timestamp */
    bool stalled, stalls;                       /* readers get nothing; after the end of the next one */
    struct reading *first;
    unsigned readers;
} topic;

typedef struct reading reading;
struct reading {
    pl_source base; /* first */
    reading *next;
    int at[PARTITIONS], end[PARTITIONS];
    bool told[PARTITIONS];
    char value[32];
};

/* Offsets and numbers of partition p: 0, 1, 2…; an event's n is offset * PARTITIONS + p. */
static pl_incoming incoming_at(char value[32], int p, int offset)
{
    snprintf(value, 32, "{\"n\":%d}", offset * PARTITIONS + p);
    return (pl_incoming){.topic = PL_STR("t"),
                         .partition = p,
                         .offset = offset,
                         .timestamp = offset,
                         .value = pl_str_of(value)};
}

static pl_taken reading_take(pl_source *source, pl_incoming *out, pl_error *err)
{
    reading *r = (reading *)source;
    if (topic.stalled)
        return PL_TAKEN_NOTHING;
    for (int p = 0; p < PARTITIONS; p++) {
        if (r->at[p] < r->end[p]) {
            *out = incoming_at(r->value, p, r->at[p]++);
            return PL_TAKEN_EVENT;
        }
        if (r->at[p] >= 0 && !r->told[p]) {
            *out = (pl_incoming){.partition = p, .offset = r->at[p]};
            r->told[p] = true;
            return PL_TAKEN_CAUGHT_UP;
        }
    }
    topic.stalled = topic.stalls;
    return PL_TAKEN_END;
}

static void reading_wake(pl_source *source)
{
    if (source->readable)
        source->readable(source);
}

static void reading_close(pl_source *source)
{
    reading **at = &topic.first;
    while (*at != (reading *)source)
        at = &(*at)->next;
    *at = (*at)->next;
    topic.readers--;
    pl_free(source);
}

static int begins_at(const pl_read_place *place, int end)
{
    int64_t at = place->from == PL_READ_END ? end : place->from == PL_READ_BEGINNING ? 0 : place->at;
    return at < end ? (int)at : end;
}

static pl_code fake_read(pl_host *host, const pl_read_spec *spec, pl_source **out, pl_error *err)
{
    static const pl_source_ops ops = {.take = reading_take, .wake = reading_wake, .close = reading_close};
    reading *r = pl_calloc(1, sizeof *r);
    if (!r)
        return pl_fail_memory(err);
    assert_true(spec->to_end);
    *r = (reading){.base.ops = &ops, .next = topic.first};
    for (int p = 0; p < PARTITIONS; p++) {
        r->end[p] = topic.published[p];
        r->at[p] = spec->only_places ? -1 : begins_at(&spec->start, r->end[p]);
    }
    for (size_t i = 0; i < spec->place_count; i++) {
        int p = spec->places[i].partition;
        r->at[p] = begins_at(&spec->places[i], r->end[p]);
    }
    for (int p = 0; p < PARTITIONS; p++)
        r->end[p] = r->at[p] < 0 ? -1 : r->end[p];
    topic.first = r;
    topic.readers++;
    *out = &r->base;
    return PL_OK;
}

static pl_code fake_subscribe(pl_host *host, pl_str name, pl_subscriber *subscriber, pl_error *err)
{
    if (pl_pubsub_subscribe(w.pubsub, host, PL_STR(FED_AS), subscriber) == 0)
        return PL_OK;
    return pl_fail_memory(err);
}

static pl_code fake_state(pl_host *host, pl_str name, bool *placed, pl_error *err)
{
    *placed = true;
    return PL_OK;
}

static pl_host_ops ops_with_topic;

static void give_topic(pl_instance *instance)
{
    ops_with_topic = *instance->host.ops;
    ops_with_topic.read = fake_read;
    ops_with_topic.subscribe_topic = fake_subscribe;
    ops_with_topic.topic_state = fake_state;
    instance->host.ops = &ops_with_topic;
}

static void append(int p)
{
    topic.published[p]++;
    assert_true(topic.published[p] < LENGTH);
}

/* Subscribers get the next one of that partition. */
static void feed(int p)
{
    char value[32];
    pl_error err;
    if (topic.fed[p] == topic.published[p])
        return;
    const pl_incoming in = incoming_at(value, p, topic.fed[p]++);
    assert_int_equal(pl_pubsub_feed(w.hub, PL_STR(FED_AS), &in, &err), PL_OK);
    turn();
}

static void append_and_feed(int p)
{
    append(p);
    feed(p);
}

static void stall(bool stalled)
{
    topic.stalled = stalled;
    topic.stalls = false;
    for (bool woken = !stalled; woken;) { /* who goes on may close it, or open another one */
        woken = false;
        for (reading *r = topic.first; r && !woken; r = r->next) {
            woken = r->base.readable != NULL;
            if (woken)
                r->base.readable(&r->base);
        }
    }
    turn();
}

static int set_up_topic(void **state)
{
    set_up(state);
    memset(&topic, 0, sizeof topic);
    w.resolvers = topic_resolvers;
    w.made_live = give_topic;
    return 0;
}

static int tear_down_topic(void **state)
{
    stall(false);
    tear_down(state);
    assert_int_equal(topic.readers, 0);
    return 0;
}

static void reload(void)
{
    adopt_schema(topic_schema);
}

#define EVENT(field, n, v) "{'data':{'" field "':{'n':" #n ",'v':" #v "}}} "

/* --- the moments of a reload --- */
static void what_came_while_it_caught_up_comes_once(void **state)
{
    client c;
    for (int i = 0; i < 2; i++)
        append_and_feed(0);
    reload();
    start(&c, "subscription { past { n v } }");
    saw(&c, "subscribed " EVENT("past", 0, 1) EVENT("past", 3, 1));
    append_and_feed(0); /* from the queue */
    saw(&c, EVENT("past", 6, 1));
    reload();
    turn();
    assert_int_equal(w.retired_count, 0);
    append_and_feed(0);
    saw(&c, EVENT("past", 9, 2));
    cancel(&c);
}

/* The history has events that the reader of all subscribers gives only after the reload. */
static void what_the_history_had_before_the_reader_comes_once(void **state)
{
    client c;
    append(0);
    append(0);
    reload();
    start(&c, "subscription { past { n v } }");
    saw(&c, "subscribed " EVENT("past", 0, 1) EVENT("past", 3, 1));
    reload();
    turn();
    feed(0);
    feed(0);
    append_and_feed(0);
    saw(&c, EVENT("past", 6, 2));
    cancel(&c);
}

static void in_the_middle_of_what_was_before(void **state)
{
    client c;
    for (int i = 0; i < 4; i++)
        append_and_feed(0);
    reload();
    c = (client){.hold_at = 3};
    start_as(&c, "subscription { past { n v } }");
    saw(&c, "subscribed " EVENT("past", 0, 1) EVENT("past", 3, 1));
    stall(true);
    reload();
    append_and_feed(0);
    pl_operation_hold(c.operation, false);
    pass(1001); /* the old one is cut off */
    turn();
    assert_int_equal(w.retired_count, 0);
    stall(false);
    saw(&c, EVENT("past", 6, 2) EVENT("past", 9, 2) EVENT("past", 12, 2));
    append_and_feed(0);
    saw(&c, EVENT("past", 15, 2));
    cancel(&c);
}

/* Cut off with an event in hand, and more in its queue: the next one has them, also those that came from a
 * partition of which none was taken. */
static void what_was_taken_but_not_given(void **state)
{
    client c;
    append_and_feed(0); /* before it */
    reload();
    start(&c, "subscription { live { n v } }");
    saw(&c, "subscribed ");
    pl_operation_hold(c.operation, true);
    append_and_feed(0); /* is taken at once */
    append_and_feed(0);
    append_and_feed(1);
    reload();
    append_and_feed(0);
    saw(&c, EVENT("live", 3, 1));
    pl_operations_end(instance_of(w.retired[0]));
    pl_operation_hold(c.operation, false);
    turn();
    saw(&c, EVENT("live", 6, 2) EVENT("live", 9, 2) EVENT("live", 1, 2));
    append_and_feed(2);
    saw(&c, EVENT("live", 2, 2));
    cancel(&c);
}

static void cut_off_before_the_first_event_was_given(void **state)
{
    client c;
    append(0);
    append_and_feed(1);
    reload();
    start(&c, "subscription { slow { n v } }");
    saw(&c, "subscribed ");
    reload();
    pl_operations_end(instance_of(w.retired[0]));
    pass(2000);
    saw(&c, EVENT("slow", 0, 2) EVENT("slow", 1, 2));
    cancel(&c);
}

/* Subscribed, but it does not listen yet when the old one is told to end; both get what comes. */
static void what_both_have(void **state)
{
    client c;
    reload();
    start(&c, "subscription { lazy { n v } }");
    pass(300);
    saw(&c, "subscribed ");
    reload();
    append_and_feed(0);
    append_and_feed(0);
    pass(300);
    turn();
    saw(&c, EVENT("lazy", 0, 1) EVENT("lazy", 3, 1));
    assert_int_equal(w.retired_count, 0);
    append_and_feed(0);
    saw(&c, EVENT("lazy", 6, 2));
    cancel(&c);
}

/* A time that is still to come is the end of the topic, once. */
static void a_place_that_was_looked_up_stays(void **state)
{
    client c;
    append_and_feed(0);
    topic.stalls = true;
    reload();
    start(&c, "subscription { since { n v } }");
    append_and_feed(0);
    for (int i = 0; i < 2; i++) {
        reload();
        pl_operations_end(instance_of(w.retired[0]));
        append_and_feed(0);
    }
    saw(&c, "subscribed ");
    stall(false);
    saw(&c, EVENT("since", 3, 3) EVENT("since", 6, 3) EVENT("since", 9, 3));
    cancel(&c);
}

/* Without memory the subscription ends, or goes on; nothing is left of it. */
static void memory(void **state)
{
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        client c;
        reload();
        start(&c, "subscription { past { n v } }");
        append_and_feed(0);
        pl_generation *next = build(topic_schema);
        make_live(next);
        failing_begin(&a);
        rebase();
        turn();
        bool failed = failing_end(&a);
        turn();
        append_and_feed(1);
        if (!c.over && !failed)
            assert_non_null(strstr(c.seen, "{'data':{'past':{'n':1,'v':"));
        if (!c.over)
            cancel(&c);
        pass(3000);
        assert_int_equal(w.retired_count, 0);
        memset(topic.published, 0, sizeof topic.published);
        memset(topic.fed, 0, sizeof topic.fed);
    }
    assert_true(a.made > 10);
}

/* --- reloads at every moment --- */
static const char *const queries[] = {"subscription { past { n } }",  "subscription { live { n } }",
                                      "subscription { even { n } }",  "subscription { slow { n } }",
                                      "subscription { since { n } }", "subscription { lazy { n } }",
                                      "subscription { late { n } }"};
enum { CLIENTS = sizeof queries / sizeof *queries };

typedef struct watcher {
    client c;
    int next[PARTITIONS]; /* the offset that it is to see next */
    bool counts;          /* it is known what it is to see */
} watcher;

static bool wants(int which, int n)
{
    return which == 2 ? n % 2 == 0 : which == 6 ? n % 3 > 0 : true;
}

static void begin_watching(watcher *x, int which)
{
    for (int p = 0; p < PARTITIONS; p++)
        x->next[p] = which == 1 || which == 5 || which == 6 ? topic.fed[p] : which == 4 ? 3 : 0;
    start(&x->c, queries[which]);
}

static void check_seen(watcher *x, int which)
{
    char *at = x->c.seen;
    for (char *found; (found = strstr(at, "'n':")); at = found + 1) {
        int n = atoi(found + 4), p = n % PARTITIONS;
        while (!wants(which, x->next[p] * PARTITIONS + p))
            x->next[p]++;
        if (n != x->next[p] * PARTITIONS + p)
            fail_msg("%s: %d instead of %d", queries[which], n, x->next[p] * PARTITIONS + p);
        x->next[p]++;
    }
    x->c.seen[0] = '\0';
}

static void check_end(watcher *x, int which)
{
    check_seen(x, which);
    for (int p = 0; p < PARTITIONS; p++) {
        while (x->next[p] < topic.published[p] && !wants(which, x->next[p] * PARTITIONS + p))
            x->next[p]++;
        if (x->next[p] < topic.published[p])
            fail_msg("%s: %d did not come", queries[which], x->next[p] * PARTITIONS + p);
    }
}

static void settle(watcher *watchers)
{
    stall(false);
    for (int p = 0; p < PARTITIONS; p++) {
        while (topic.fed[p] < topic.published[p])
            feed(p);
    }
    for (int i = 0; i < CLIENTS; i++)
        pl_operation_hold(watchers[i].c.operation, false);
    for (int round = 0; round < 40; round++) { /* in parts: what is seen has its bounds */
        pass(2000);
        for (int i = 0; i < CLIENTS; i++)
            check_seen(&watchers[i], i);
    }
}

static void one_step(watcher *watchers, unsigned dice)
{
    watcher *x = &watchers[(dice >> 16) % CLIENTS];
    int p = (int)((dice >> 8) % PARTITIONS);
    switch (dice >> 24 & 15) {
    case 0:
    case 1:
        if (w.retired_count < MOST - 1)
            reload();
        break;
    case 2:
        pl_operation_hold(x->c.operation, true);
        break;
    case 3:
    case 4:
        pl_operation_hold(x->c.operation, false);
        break;
    case 5:
        stall(true);
        break;
    case 6:
    case 7:
        stall(false);
        break;
    case 8:
        pass(dice >> 4 & 0x7ff);
        break;
    case 9:
        if (w.retired_count > 0)
            pl_operations_end(instance_of(w.retired[w.retired_count - 1]));
        break;
    case 10:
    case 11:
        append(p);
        break;
    default:
        append(p);
        feed(p);
        feed((p + 1) % PARTITIONS);
    }
    turn();
}

static void each_event_comes_once(void **state)
{
    static watcher watchers[CLIENTS];
    for (unsigned seed = 1; seed <= 40; seed++) {
        unsigned dice = seed;
        memset(topic.published, 0, sizeof topic.published);
        memset(topic.fed, 0, sizeof topic.fed);
        for (int i = 0; i < 4 * PARTITIONS; i++)
            append(i % PARTITIONS);
        reload();
        for (int i = 0; i < CLIENTS; i++)
            begin_watching(&watchers[i], i);
        for (int step = 0; step < 150; step++) {
            dice = dice * 1103515245 + 12345;
            one_step(watchers, dice);
            for (int i = 0; i < CLIENTS; i++) {
                check_seen(&watchers[i], i);
                if (watchers[i].c.over) /* it had nowhere to go over to */
                    begin_watching(&watchers[i], i);
            }
        }
        settle(watchers);
        for (int i = 0; i < CLIENTS; i++) {
            check_end(&watchers[i], i);
            cancel(&watchers[i].c);
        }
        pass(2000000);
        assert_int_equal(w.retired_count, 0);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_topic, tear_down_topic)
    const struct CMUnitTest tests[] = {
        TEST(what_came_while_it_caught_up_comes_once),
        TEST(what_the_history_had_before_the_reader_comes_once),
        TEST(in_the_middle_of_what_was_before),
        TEST(what_was_taken_but_not_given),
        TEST(cut_off_before_the_first_event_was_given),
        TEST(what_both_have),
        TEST(a_place_that_was_looked_up_stays),
        TEST(memory),
        TEST(each_event_comes_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
