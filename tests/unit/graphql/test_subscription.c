/* SPDX-License-Identifier: MIT */
#include "graphql/subscriptions.h"

/* Subscriptions: from their source to the payloads, on the engine in C. */

static const char sdl[] = "type Query { a: Int }\n"
                          "type Subscription { count: Int  event(x: Int = 3): Event  plain: Int }\n"
                          "type Event { n: Int  strict: Int!  who: String  slow: Int  fails: Int }\n";

static counter source;

static te_outcome who(te_invocation *in, void *data)
{
    in->result = te_get(in->args[2], "who");
    return TE_RETURN;
}

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    source = (counter){.to = 3};
    bind_source(&f, "count", counter_open, &source);
    gf_wait(&f, "Event", "slow", te_int(5));
    gf_fail(&f, "Event", "fails", "no such thing");
    gf_resolve(&f, "Event", "who", who, NULL);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    gf *f = *state;
    gf_close(f);
    return 0;
}

#define COUNT(n) "data {'data':{'count':" n "}}\n"

/* --- the order of things --- */
static void test_order(void **state)
{
    watcher w;
    watch(&w, *state, "subscription { count }");
    assert_true(w.returned_null);
    saw(&w, "subscribed\n" COUNT("1") COUNT("2") COUNT("3") "complete -\n");
    assert_int_equal(source.closed, 1);
    watch_end(&w);
}

static void test_a_source_that_waits(void **state)
{
    gf *f = *state;
    watcher w;
    size_t refs = te_refs(f->t);
    source.waits = true;
    watch(&w, f, "subscription { c: count }");
    assert_false(w.returned_null);
    saw(&w, "subscribed\n");
    te_resume(f->t, te_waiting_for(f->t, "next"));
    saw(&w, "data {'data':{'c':1}}\n");
    te_resume(f->t, te_waiting_for(f->t, "next"));
    te_resume(f->t, te_waiting_for(f->t, "next"));
    saw(&w, "data {'data':{'c':2}}\ndata {'data':{'c':3}}\n");
    assert_int_equal(source.closed, 0);
    te_resume(f->t, te_waiting_for(f->t, "next"));
    saw(&w, "complete -\n");
    assert_int_equal(source.closed, 1);
    assert_int_equal(te_refs(f->t), refs);
    watch_end(&w);
}

static void test_no_event_at_all(void **state)
{
    watcher w;
    source.to = 0;
    watch(&w, *state, "subscription { count }");
    saw(&w, "subscribed\ncomplete -\n");
    watch_end(&w);
}

static te_outcome just_a_function(te_invocation *in, void *data)
{
    in->result = te_function(in->t, counter_next, data, 0);
    return TE_RETURN;
}

static void test_a_function_is_a_source(void **state)
{
    gf *f = *state;
    watcher w;
    bind_source(f, "plain", just_a_function, &source);
    watch(&w, f, "subscription { plain }");
    saw(&w, "subscribed\ndata {'data':{'plain':1}}\ndata {'data':{'plain':2}}\ndata {'data':{'plain':3}}\n"
            "complete -\n");
    assert_int_equal(source.closed, 0);
    watch_end(&w);
}

/* null is an event, absent is the end */
static void test_null_is_an_event(void **state)
{
    watcher w;
    source = (counter){.to = 2, .made = te_null()};
    watch(&w, *state, "subscription { count }");
    saw(&w, "subscribed\n" COUNT("null") COUNT("null") "complete -\n");
    watch_end(&w);
}

static te_outcome see_arguments(te_invocation *in, void *data)
{
    char *seen = data;
    snprintf(seen, 64, "%d %lld %s %d", in->count, (long long)te_get(in->args[1], "x").integer,
             te_text(te_get(in->args[2], "request_id")).ptr, in->args[0].kind);
    return counter_open(in, &source);
}

static void test_arguments_of_subscribe(void **state)
{
    gf *f = *state;
    watcher w;
    static char seen[64];
    source = (counter){.to = 1, .made = te_map(f->t, "n", te_int(4), NULL)};
    bind_source(f, "event", see_arguments, seen);
    watch(&w, f, "subscription { event { n } }");
    assert_string_equal(seen, "4 3 r1 0");
    saw(&w, "subscribed\ndata {'data':{'event':{'n':4}}}\ncomplete -\n");
    watch_end(&w);
    w = (watcher){0};
    watch_with(&w, f, "subscription ($x: Int) { event(x: $x) { n } }", "{\"x\":9}", false);
    assert_string_equal(seen, "4 9 r1 0");
    watch_end(&w);
}

/* --- refused --- */
static te_outcome refuse(te_invocation *in, void *data)
{
    return te_fail(in, PL_PERMISSION_DENIED, "not you");
}

static te_outcome crash(te_invocation *in, void *data)
{
    return te_crash(in, "attempt to index a nil value");
}

static te_outcome give_nothing(te_invocation *in, void *data)
{
    if (data)
        in->result = te_int(7);
    return TE_RETURN;
}

static void test_no_source(void **state)
{
    gf *f = *state;
    watcher w;
    static int seven;
    bind_source(f, "plain", give_nothing, &seven);
    watch(&w, f, "subscription { plain }");
    assert_non_null(strstr(w.seen.data, "refused {'errors':[{'message':'Internal server error'"));
    assert_non_null(strstr(w.seen.data, "'path':['plain']"));
    pl_buf_char(&f->logged, '\0');
    assert_non_null(strstr(f->logged.data,
                           "subscribe must return an iterator (a function, or an object with a "
                           "method next), not an integer"));
    watch_end(&w);
}

static void test_refused_by_subscribe(void **state)
{
    gf *f = *state;
    watcher w;
    bind_source(f, "plain", refuse, NULL);
    watch(&w, f, "subscription { plain }");
    saw(&w, "refused {'errors':[{'message':'not you','locations':[{'line':1,'column':16}],'path':['plain'],"
            "'extensions':{'code':'PERMISSION_DENIED'}}]} -\n");
    watch_end(&w);
}

static void test_subscribe_crashes(void **state)
{
    gf *f = *state;
    watcher w;
    bind_source(f, "plain", crash, NULL);
    watch(&w, f, "subscription { plain }");
    assert_null(strstr(w.seen.data, "index a nil"));
    assert_non_null(strstr(w.seen.data, "'code':'INTERNAL'"));
    watch_end(&w);
}

static void test_no_subscribe_function(void **state)
{
    watcher w;
    watch(&w, *state, "subscription { plain }");
    assert_non_null(strstr(w.seen.data, "'code':'UNIMPLEMENTED'"));
    watch_end(&w);
    watch(&w, *state, "subscription { __typename }");
    assert_non_null(strstr(w.seen.data, "refused"));
    watch_end(&w);
}

static void test_only_one_field(void **state)
{
    watcher w;
    watch(&w, *state, "subscription { count other: count }");
    assert_non_null(strstr(w.seen.data, "must select only one top level field"));
    watch_end(&w);
    w = (watcher){0};
    watch_with(&w, *state, "subscription ($x: Boolean!) { count @include(if: $x) }", "{\"x\":false}", false);
    assert_non_null(strstr(w.seen.data, "refused"));
    watch_end(&w);
}

static void test_incremental_delivery_is_refused(void **state)
{
    gf *f = *state;
    watcher w;
    f->incremental = GQL_INCREMENTAL_NEW;
    source = (counter){.to = 1, .made = te_map(f->t, "n", te_int(4), NULL)};
    bind_source(f, "event", counter_open, &source);
    watch(&w, f, "subscription { event { ... @defer { n } } }");
    assert_non_null(strstr(w.seen.data, "refused"));
    assert_non_null(strstr(w.seen.data, "Defer directive not supported on subscription operations"));
    watch_end(&w);
    /* what validation cannot know has no effect */
    w = (watcher){0};
    watch_with(&w, f, "subscription ($d: Boolean!) { event { ... @defer(if: $d) { n } } }", "{\"d\":true}",
               false);
    saw(&w, "subscribed\ndata {'data':{'event':{'n':4}}}\ncomplete -\n");
    watch_end(&w);
}

/* --- what goes wrong later --- */
static void test_a_source_that_fails(void **state)
{
    gf *f = *state;
    watcher w;
    source.fails = "the tape is torn";
    source.to = 1;
    watch(&w, f, "subscription { count }");
    saw(&w,
        "subscribed\n" COUNT("1") "refused by script {'errors':[{'message':'the tape is torn','extensions':"
                                  "{'code':'DATA_LOSS'}}]} -\n");
    assert_int_equal(source.closed, 1);
    watch_end(&w);
}

static void test_a_source_that_fails_later(void **state)
{
    gf *f = *state;
    watcher w;
    static const pl_failure failure = {
        .code = PL_UNAVAILABLE, .expected = true, .message = PL_STR("the broker has gone")};
    source.waits = true;
    watch(&w, f, "subscription { count }");
    te_fail_call(f->t, te_waiting_at(f->t, 0), &failure);
    saw(&w, "subscribed\nrefused by script {'errors':[{'message':'the broker has gone','extensions':{'code':"
            "'UNAVAILABLE'}}]} -\n");
    watch_end(&w);
}

static void test_events_with_errors(void **state)
{
    gf *f = *state;
    watcher w;
    source = (counter){.to = 2, .made = te_map(f->t, "n", te_int(4), NULL)};
    bind_source(f, "event", counter_open, &source);
    watch(&w, f, "subscription { event { n fails } }");
    assert_int_equal(w.payloads, 4); /* they go on */
    assert_non_null(strstr(w.seen.data, "data {'data':{'event':{'n':4,'fails':null}},'errors':[{'message':"
                                        "'no such thing'"));
    watch_end(&w);
    watch(&w, f, "subscription { event { strict } }");
    assert_int_equal(w.payloads, 4);
    assert_non_null(strstr(w.seen.data, "data {'data':{'event':null},'errors':["));
    watch_end(&w);
}

/* --- time --- */
static void test_a_subscribe_that_waits(void **state)
{
    gf *f = *state;
    watcher w;
    bind_source(f, "plain", counter_open_later, &source);
    watch(&w, f, "subscription { plain }");
    saw(&w, "");
    te_advance(f->t, 29999);
    te_resume(f->t, te_waiting_for(f->t, "subscribe"));
    assert_int_equal(te_timers(f->t), 0);
    assert_int_equal(w.payloads, 5);
    watch_end(&w);
}

static void test_a_subscribe_that_takes_too_long(void **state)
{
    gf *f = *state;
    watcher w;
    f->options.execute.timeout_ms = 500;
    bind_source(f, "plain", counter_open_later, &source);
    watch(&w, f, "subscription { plain }");
    te_advance(f->t, 499);
    saw(&w, "");
    te_advance(f->t, 1);
    saw(&w,
        "refused by script {'errors':[{'message':'The subscription could not be made in time.','extensions':"
        "{'code':'DEADLINE_EXCEEDED'}}]} -\n");
    assert_int_equal(te_count(f->t).cancelled, 1);
    watch_end(&w);
}

static void test_without_timers(void **state)
{
    gf *f = *state;
    watcher w;
    bind_source(f, "plain", counter_open_later, &source);
    te_refuse_timers(f->t);
    watch(&w, f, "subscription { plain }");
    saw(&w, "refused by script {'errors':[{'message':'out of "
            "memory','extensions':{'code':'RESOURCE_EXHAUSTED'}}]} "
            "-\n");
    watch_end(&w);
}

/* A source that always has something: no recursion, and the loop is given back. */
static void test_a_hundred_thousand_events(void **state)
{
    gf *f = *state;
    watcher w = {.no_text = true};
    source.to = 100000;
    watch_with(&w, f, "subscription { count }", NULL, false);
    assert_int_equal(w.payloads, 100002);
    assert_true(w.over);
    watch_end(&w);
}

static void time_goes_by(watcher *w, const gql_payload *p)
{
    te_engine()->watch(te_state(w->f->t), ++w->at);
}

static void test_the_loop_is_given_back(void **state)
{
    gf *f = *state;
    watcher w = {.no_text = true, .on_payload = time_goes_by};
    source.to = 100;
    watch_with(&w, f, "subscription { count }", NULL, false);
    unsigned turns = 0;
    for (unsigned before = 0; !w.over; turns++) {
        assert_in_range(w.payloads - before, 19, 22);
        before = w.payloads;
        assert_int_equal(te_timers(f->t), 1);
        te_advance(f->t, 0);
        if (w.over)
            break;
    }
    assert_in_range(turns, 4, 6);
    assert_int_equal(w.payloads, 102);
    watch_end(&w);
}

/* Cancelled while it waits for its next turn. */
static void test_cancelled_between_turns(void **state)
{
    gf *f = *state;
    watcher w = {.no_text = true, .on_payload = time_goes_by};
    source.to = 100;
    watch_with(&w, f, "subscription { count }", NULL, false);
    watch_cancel(&w);
    assert_int_equal(te_timers(f->t), 0);
    assert_int_equal(source.closed, 1);
    watch_end(&w);
}

/* --- on hold --- */
static void test_begins_on_hold(void **state)
{
    gf *f = *state;
    watcher w = {0};
    watch_with(&w, f, "subscription { count }", NULL, true);
    saw(&w, "subscribed\n");
    assert_int_equal(source.given, 0);
    gql_run_hold(w.run, false);
    saw(&w, COUNT("1") COUNT("2") COUNT("3") "complete -\n");
    watch_end(&w);
}

static void hold_second(watcher *w, const gql_payload *p)
{
    if (w->payloads == 2)
        gql_run_hold(w->run, true);
}

static void test_held_from_within_a_payload(void **state)
{
    gf *f = *state;
    watcher w = {.on_payload = hold_second};
    watch_with(&w, f, "subscription { count }", NULL, false);
    saw(&w, "subscribed\n" COUNT("1"));
    gql_run_hold(w.run, true);
    gql_run_hold(w.run, false);
    saw(&w, COUNT("2") COUNT("3") "complete -\n");
    watch_end(&w);
}

static void hold_and_let_go(watcher *w, const gql_payload *p)
{
    if (!p->has_next)
        return;
    gql_run_hold(w->run, true);
    gql_run_hold(w->run, false);
}

static void test_let_go_from_within_a_payload(void **state)
{
    watcher w = {.on_payload = hold_and_let_go};
    source.to = 1000;
    w.no_text = true;
    watch_with(&w, *state, "subscription { count }", NULL, false);
    assert_int_equal(w.payloads, 1002);
    watch_end(&w);
}

static void test_let_go_before_it_has_subscribed(void **state)
{
    gf *f = *state;
    watcher w = {0};
    bind_source(f, "plain", counter_open_later, &source);
    source.to = 1;
    watch_with(&w, f, "subscription { plain }", NULL, true);
    gql_run_hold(w.run, false);
    saw(&w, "");
    te_resume(f->t, te_waiting_for(f->t, "subscribe"));
    saw(&w, "subscribed\ndata {'data':{'plain':1}}\ncomplete -\n");
    watch_end(&w);
}

/* An event that was waited for already still comes. */
static void test_held_while_it_waits(void **state)
{
    gf *f = *state;
    watcher w;
    source.waits = true;
    watch(&w, f, "subscription { count }");
    gql_run_hold(w.run, true);
    te_resume(f->t, te_waiting_at(f->t, 0));
    saw(&w, "subscribed\n" COUNT("1"));
    assert_int_equal(te_waiting(f->t), 0);
    gql_run_hold(w.run, false);
    assert_int_equal(te_waiting(f->t), 1);
    watch_end(&w);
}

/* --- cancelled --- */
static void test_cancelled_from_within_a_payload(void **state)
{
    gf *f = *state;
    source.to = 3;
    for (unsigned at = 1; at <= 4; at++) {
        watcher w = {.on_payload = cancel_at, .at = at};
        source.closed = 0;
        watch_with(&w, f, "subscription { count }", NULL, false);
        assert_true(w.returned_null);
        assert_int_equal(w.payloads, at);
        assert_int_equal(source.closed, 1);
        watch_end(&w);
    }
    source.waits = true; /* not below gql_service_run */
    for (unsigned at = 2; at <= 4; at++) {
        watcher w = {.on_payload = cancel_at, .at = at};
        watch_with(&w, f, "subscription { count }", NULL, false);
        while (!w.over)
            te_resume(f->t, te_waiting_at(f->t, 0));
        assert_int_equal(w.payloads, at);
        assert_int_equal(te_waiting(f->t), 0);
        watch_end(&w);
    }
}

static void test_cancelled_while_subscribe_waits(void **state)
{
    gf *f = *state;
    watcher w;
    bind_source(f, "plain", counter_open_later, &source);
    watch(&w, f, "subscription { plain }");
    watch_cancel(&w);
    assert_int_equal(te_waiting(f->t), 0);
    assert_int_equal(te_timers(f->t), 0);
    assert_int_equal(source.closed, 0); /* nothing was opened as far as one can know */
    watch_end(&w);
}

static void test_cancelled_while_an_event_is_executed(void **state)
{
    gf *f = *state;
    watcher w;
    source = (counter){.to = 2, .made = te_map(f->t, "n", te_int(4), NULL)};
    bind_source(f, "event", counter_open, &source);
    watch(&w, f, "subscription { event { slow } }");
    saw(&w, "subscribed\n");
    assert_non_null(te_waiting_for(f->t, "slow"));
    watch_cancel(&w);
    assert_int_equal(te_waiting(f->t), 0);
    assert_int_equal(source.closed, 1);
    watch_end(&w);
}

static te_outcome close_waits(te_invocation *in, void *data)
{
    ((counter *)data)->closed++;
    return TE_PEND;
}

static te_outcome open_with_slow_close(te_invocation *in, void *data)
{
    in->result = te_map(in->t, "next", te_function(in->t, counter_next, data, 0), "close",
                        te_function(in->t, close_waits, data, 0), NULL);
    return TE_RETURN;
}

static void test_close_cannot_wait(void **state)
{
    gf *f = *state;
    watcher w;
    bind_source(f, "plain", open_with_slow_close, &source);
    watch(&w, f, "subscription { plain }");
    assert_true(w.over);
    assert_int_equal(source.closed, 1);
    assert_int_equal(te_waiting(f->t), 0);
    watch_end(&w);
}

/* --- an event is executed --- */
static te_outcome put_who(te_invocation *in, void *data)
{
    te_set(in->t, in->args[2], "who", te_string(in->t, "ada"));
    return counter_open(in, data);
}

/* Each event has a ctx of its own, which begins as a copy of the subscription's. */
static void test_ctx_of_an_event(void **state)
{
    gf *f = *state;
    watcher w;
    source = (counter){.to = 2, .made = te_map(f->t, "n", te_int(4), NULL)};
    bind_source(f, "event", put_who, &source);
    watch(&w, f, "subscription { event { who } }");
    saw(&w, "subscribed\ndata {'data':{'event':{'who':'ada'}}}\ndata "
            "{'data':{'event':{'who':'ada'}}}\ncomplete -\n");
    watch_end(&w);
}

static const void *works[4];

static te_outcome note_work(te_invocation *in, void *data)
{
    int *n = data;
    works[(*n)++] = in->work;
    assert_non_null(in->work->parent);
    assert_null(in->work->loaders);
    te_set(in->t, in->args[2], "extensions", te_map(in->t, "seen", te_int(*n), NULL));
    in->result = te_int(*n);
    return TE_RETURN;
}

static te_outcome use_loaders(te_invocation *in, void *data)
{
    static int something;
    in->work->loaders = &something; /* as the engine notes that the script has asked for them */
    return counter_open(in, data);
}

static te_outcome forget_loaders(te_invocation *in, void *data)
{
    in->work->loaders = NULL;
    return counter_close(in, data);
}

static te_outcome open_with_loaders(te_invocation *in, void *data)
{
    use_loaders(in, data);
    te_set(in->t, in->result, "close", te_function(in->t, forget_loaders, data, 0));
    return TE_RETURN;
}

static void test_an_event_is_a_work_of_its_own(void **state)
{
    gf *f = *state;
    watcher w;
    static int n;
    n = 0;
    source = (counter){.to = 2, .made = te_map(f->t, "n", te_int(4), NULL)};
    bind_source(f, "event", open_with_loaders, &source);
    gf_resolve(f, "Event", "n", note_work, &n);
    watch(&w, f, "subscription { event { n } }");
    saw(&w, "subscribed\ndata {'data':{'event':{'n':1}},'extensions':{'seen':1}}\n"
            "data {'data':{'event':{'n':2}},'extensions':{'seen':2}}\ncomplete -\n");
    assert_ptr_not_equal(works[0], &w.work);
    watch_end(&w);
}

static void test_an_event_that_waits(void **state)
{
    gf *f = *state;
    watcher w;
    source = (counter){.to = 2, .made = te_map(f->t, "n", te_int(4), NULL)};
    bind_source(f, "event", counter_open, &source);
    watch(&w, f, "subscription { event { slow n } }");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(source.given, i + 1); /* the next is not taken before */
        te_resume(f->t, te_waiting_for(f->t, "slow"));
    }
    saw(&w, "subscribed\ndata {'data':{'event':{'slow':5,'n':4}}}\ndata {'data':{'event':{'slow':5,'n':4}}}\n"
            "complete -\n");
    watch_end(&w);
}

static void test_an_event_that_takes_too_long(void **state)
{
    gf *f = *state;
    watcher w;
    source = (counter){.to = 2, .made = te_map(f->t, "n", te_int(4), NULL)};
    bind_source(f, "event", counter_open, &source);
    watch(&w, f, "subscription { event { slow } }");
    te_advance(f->t, 30000);
    assert_int_equal(w.payloads, 2);
    assert_non_null(strstr(w.seen.data, "'DEADLINE_EXCEEDED'"));
    te_resume(f->t, te_waiting_for(f->t, "slow")); /* the second one */
    assert_true(w.over);
    watch_end(&w);
}

static te_outcome resolve_event(te_invocation *in, void *data)
{
    in->result = te_get(in->args[0], "post");
    return TE_RETURN;
}

static void test_a_resolver_beside_subscribe(void **state)
{
    gf *f = *state;
    watcher w;
    te_value post = te_map(f->t, "n", te_int(8), NULL);
    source = (counter){.to = 1, .made = te_map(f->t, "post", post, NULL)};
    gf_bind(f, "Subscription", "event",
            te_map(f->t, "subscribe", te_function(f->t, counter_open, &source, 4), "resolve",
                   te_function(f->t, resolve_event, NULL, 4), NULL));
    watch(&w, f, "subscription { event { n } }");
    saw(&w, "subscribed\ndata {'data':{'event':{'n':8}}}\ncomplete -\n");
    watch_end(&w);
}

/* --- without memory --- */
static const char waiting_query[] = "subscription ($x: Int = 1) { event(x: $x) { n slow who } }";

static void test_without_memory(void **state)
{
    gf *f = *state;
    te_value event = te_map(f->t, "n", te_int(4), NULL);
    bind_source(f, "event", counter_open_later, &source);
    for (int sticky = 0; sticky <= 1; sticky++) {
        for (int waits = 0; waits <= 1; waits++) {
            gf_restart(f);
            failing a = {.sticky = sticky};
            while (failing_next(&a)) {
                source = (counter){.to = 3, .waits = waits, .made = event};
                watch_failing(f, waiting_query, &a);
            }
            assert_true(a.failed > 19);
        }
    }
}

/* Cancelled at every point, from outside: after so many calls have been resumed. */
static void test_cancelled_everywhere(void **state)
{
    gf *f = *state;
    bind_source(f, "event", counter_open_later, &source);
    for (int stop = 0; stop < 7; stop++) {
        watcher w = {0};
        source = (counter){.to = 3, .waits = true, .made = te_map(f->t, "n", te_int(4), NULL)};
        watch_with(&w, f, waiting_query, NULL, false);
        for (int i = 0; i < stop; i++)
            te_resume(f->t, te_waiting_at(f->t, 0));
        watch_cancel(&w);
        assert_int_equal(te_waiting(f->t), 0);
        assert_int_equal(source.closed, stop > 0);
        assert_int_equal(te_timers(f->t), 0);
        watch_end(&w);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_a_source_that_waits),
        TEST(test_no_event_at_all),
        TEST(test_a_function_is_a_source),
        TEST(test_null_is_an_event),
        TEST(test_arguments_of_subscribe),
        TEST(test_no_source),
        TEST(test_refused_by_subscribe),
        TEST(test_subscribe_crashes),
        TEST(test_no_subscribe_function),
        TEST(test_only_one_field),
        TEST(test_incremental_delivery_is_refused),
        TEST(test_a_source_that_fails),
        TEST(test_a_source_that_fails_later),
        TEST(test_events_with_errors),
        TEST(test_a_subscribe_that_waits),
        TEST(test_a_subscribe_that_takes_too_long),
        TEST(test_without_timers),
        TEST(test_a_hundred_thousand_events),
        TEST(test_the_loop_is_given_back),
        TEST(test_cancelled_between_turns),
        TEST(test_begins_on_hold),
        TEST(test_held_from_within_a_payload),
        TEST(test_let_go_from_within_a_payload),
        TEST(test_let_go_before_it_has_subscribed),
        TEST(test_held_while_it_waits),
        TEST(test_cancelled_from_within_a_payload),
        TEST(test_cancelled_while_subscribe_waits),
        TEST(test_cancelled_while_an_event_is_executed),
        TEST(test_close_cannot_wait),
        TEST(test_ctx_of_an_event),
        TEST(test_an_event_is_a_work_of_its_own),
        TEST(test_an_event_that_waits),
        TEST(test_an_event_that_takes_too_long),
        TEST(test_a_resolver_beside_subscribe),
        TEST(test_without_memory),
        TEST(test_cancelled_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
