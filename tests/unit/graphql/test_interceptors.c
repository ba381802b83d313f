/* SPDX-License-Identifier: MIT */
#include "graphql/subscriptions.h"

/* Interceptors around runs: what they wrap, what they see of its end, and what they make of it. */

static const char sdl[] = "type Query { a: Int  slow: Int  fails: Int  lazy: Lazy  items: [Int] }\n"
                          "type Lazy { slow: Int  quick: Int }\n"
                          "type Subscription { count: Int }\n";

static counter source;

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    source = (counter){.to = 2};
    gf_give(&f, "Query", "a", te_int(1));
    gf_wait(&f, "Query", "slow", te_int(9));
    gf_fail(&f, "Query", "fails", "no such thing");
    gf_give(&f, "Query", "lazy", te_map(f.t, NULL));
    gf_wait(&f, "Lazy", "slow", te_int(5));
    gf_give(&f, "Lazy", "quick", te_int(4));
    bind_source(&f, "count", counter_open, &source);
    *state = &f;
    return 0;
}

static pl_ref chain_ref;

static int teardown(void **state)
{
    gf *f = *state;
    te_engine()->drop(te_state(f->t), chain_ref);
    gf_close(f);
    return 0;
}

/* --- interceptors: each does what its letters say, one at each step.
 * n: calls next; w: waits; r: returns; e: raises an error; c: crashes; a step after the last one returns ---
 */
typedef struct interceptor {
    const char *does;
    char seen[256]; /* the request, what next has given, "woke" after it has waited */
    te_value got;   /* by next */
} interceptor;

static void note(interceptor *x, te_invocation *in)
{
    size_t len = strlen(x->seen);
    char *to = x->seen + len;
    size_t room = sizeof x->seen - len;
    if (in->step == 0)
        snprintf(to, room, "%s ", te_text(te_get(in->args[0], "request_id")).ptr);
    else if (in->next_failed)
        snprintf(to, room, "raised: %s ", in->next_failure.message.ptr);
    else if (in->next_value.kind == PL_KIND_MAP)
        snprintf(to, room, "errors: %lld ", (long long)te_get(in->next_value, "errors").integer);
    else
        snprintf(to, room, "woke ");
}

static te_outcome intercept(te_invocation *in, void *data)
{
    interceptor *x = data;
    note(x, in);
    if (in->next_value.kind == PL_KIND_MAP)
        x->got = in->next_value;
    in->label = "interceptor";
    switch (in->step < (int)strlen(x->does) ? x->does[in->step] : 'r') {
    case 'n':
        return TE_NEXT;
    case 'w':
        return TE_PEND;
    case 'e':
        return te_fail(in, PL_PERMISSION_DENIED, "not you");
    case 'c':
        return te_crash(in, "attempt to call a nil value");
    default:
        if (in->step > 0 && in->next_failed) { /* it did not catch that */
            in->failure = in->next_failure;
            return TE_FAIL;
        }
        in->result = x->got;
        return TE_RETURN;
    }
}

typedef struct making {
    gf *f;
    interceptor *list;
    size_t count;
} making;

static void make(void *data)
{
    making *m = data;
    pl_state *state = te_state(m->f->t);
    pl_ref refs[8];
    for (size_t i = 0; i < m->count; i++) {
        assert_true(te_engine()->reserve(state, 1));
        refs[i] = te_engine()->keep(state, te_push(m->f->t, te_function(m->f->t, intercept, &m->list[i], 2)));
    }
    chain_ref = te_engine()->chain(state, refs, m->count);
    for (size_t i = 0; i < m->count; i++)
        te_engine()->drop(state, refs[i]);
}

static void intercept_with(gf *f, interceptor *list, size_t count)
{
    pl_error err;
    making m = {f, list, count};
    if (!f->service)
        gf_restart(f);
    assert_true(te_engine()->protect(te_state(f->t), make, &m, &err));
    gql_service_set_interceptors(f->service, chain_ref);
}

static void resume(gf *f, const char *label)
{
    te_call *c = te_waiting_for(f->t, label);
    assert_non_null(c);
    te_resume(f->t, c);
}

#define DENIED \
    "refused by script {'errors':[{'message':'not you','extensions':{'code':'PERMISSION_DENIED'}}]} -\n"

/* --- in order --- */
static void test_they_wrap_one_another(void **state)
{
    gf *f = *state;
    interceptor list[2] = {{.does = "n"}, {.does = "n"}};
    watcher w;
    intercept_with(f, list, 2);
    watch(&w, f, "{ a }");
    saw(&w, "data {'data':{'a':1}} -\n");
    assert_string_equal(list[0].seen, "r1 errors: 0 ");
    assert_string_equal(list[1].seen, "r1 errors: 0 ");
    watch_end(&w);
}

static void test_they_see_how_many_errors(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "n"}};
    watcher w;
    intercept_with(f, list, 1);
    watch(&w, f, "{ fails other: fails }");
    assert_string_equal(list[0].seen, "r1 errors: 2 ");
    watch_end(&w);
}

static void test_a_refusal_of_what_they_wrap(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "n"}};
    watcher w = {0};
    intercept_with(f, list, 1);
    watch_with(&w, f, "query ($x: Boolean!) { a @include(if: $x) }", "{}", false);
    assert_non_null(strstr(w.seen.data, "refused {'errors':"));
    assert_string_equal(list[0].seen, "r1 errors: 1 ");
    watch_end(&w);
}

static void test_not_for_what_is_not_valid(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "n"}};
    watcher w;
    intercept_with(f, list, 1);
    watch(&w, f, "{ nothing }");
    assert_string_equal(list[0].seen, "");
    watch_end(&w);
}

static void test_waiting_before_and_after(void **state)
{
    gf *f = *state;
    interceptor list[2] = {{.does = "wnw"}, {.does = "wnw"}};
    watcher w;
    intercept_with(f, list, 2);
    watch(&w, f, "{ slow }");
    resume(f, "interceptor");
    resume(f, "interceptor");
    assert_int_equal(te_wrapping(f->t), 1);
    resume(f, "slow");
    resume(f, "interceptor");
    saw(&w, "");
    assert_int_equal(te_timers(f->t), 1);
    resume(f, "interceptor");
    saw(&w, "data {'data':{'slow':9}} -\n");
    assert_string_equal(list[0].seen, "r1 woke errors: 0 woke ");
    watch_end(&w);
}

/* --- errors --- */
static void test_errors_before_next(void **state)
{
    gf *f = *state;
    interceptor list[2] = {{.does = "n"}, {.does = "e"}};
    watcher w;
    intercept_with(f, list, 2);
    watch(&w, f, "{ a }");
    saw(&w, DENIED);
    assert_string_equal(list[0].seen, "r1 raised: not you ");
    watch_end(&w);
    list[1].does = "we";
    watch(&w, f, "{ a }");
    resume(f, "interceptor");
    saw(&w, DENIED);
    watch_end(&w);
}

static void test_errors_after_next_are_the_answer(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "ne"}};
    watcher w;
    intercept_with(f, list, 1);
    watch(&w, f, "{ a }");
    saw(&w, DENIED);
    watch_end(&w);
    list[0].does = "nwe";
    watch(&w, f, "{ slow }");
    resume(f, "slow");
    resume(f, "interceptor");
    saw(&w, DENIED);
    watch_end(&w);
}

static void test_crashes_show_nothing(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "c"}};
    watcher w;
    intercept_with(f, list, 1);
    watch(&w, f, "{ a }");
    saw(&w, "refused by script {'errors':[{'message':'Internal server "
            "error','extensions':{'code':'INTERNAL','id':"
            "'r1'}}]} -\n");
    pl_buf_char(&f->logged, '\0');
    assert_non_null(strstr(f->logged.data, "call a nil value"));
    watch_end(&w);
}

static void test_without_next(void **state)
{
    gf *f = *state;
    interceptor list[2] = {{.does = "n"}, {.does = "r"}};
    watcher w;
    intercept_with(f, list, 2);
    watch(&w, f, "{ a }");
    assert_non_null(strstr(w.seen.data, "refused by script {'errors':[{'message':'Internal server error'"));
    pl_buf_char(&f->logged, '\0');
    assert_non_null(strstr(f->logged.data, "without calling next"));
    watch_end(&w);
    list[1].does = "wr";
    watch(&w, f, "{ a }");
    resume(f, "interceptor");
    assert_true(w.over);
    watch_end(&w);
}

/* --- several payloads --- */
static void test_around_a_subscription(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "wnw"}};
    watcher w;
    intercept_with(f, list, 1);
    source.waits = true;
    watch(&w, f, "subscription { count }");
    resume(f, "interceptor");
    saw(&w, "subscribed\n");
    resume(f, "next");
    saw(&w, "data {'data':{'count':1}}\n");
    resume(f, "next");
    resume(f, "next");
    saw(&w, "data {'data':{'count':2}}\n");
    assert_int_equal(source.closed, 1); /* nothing more comes of it */
    resume(f, "interceptor");
    saw(&w, "complete -\n");
    watch_end(&w);
}

static void test_an_error_after_the_answer_has_begun_is_logged(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "ne"}};
    watcher w;
    intercept_with(f, list, 1);
    watch(&w, f, "subscription { count }");
    saw(&w, "subscribed\ndata {'data':{'count':1}}\ndata {'data':{'count':2}}\ncomplete -\n");
    pl_buf_char(&f->logged, '\0');
    assert_non_null(strstr(f->logged.data, "interceptor failed after the answer had begun"));
    watch_end(&w);
    list[0].does = "nwe";
    watch(&w, f, "subscription { count }");
    resume(f, "interceptor");
    assert_true(w.over);
    watch_end(&w);
}

static void test_a_source_that_fails(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "nw"}};
    watcher w;
    intercept_with(f, list, 1);
    source.fails = "torn";
    watch(&w, f, "subscription { count }");
    assert_string_equal(list[0].seen, "r1 errors: 1 ");
    w.seen.len = 0;
    resume(f, "interceptor");
    saw(&w, "refused by script {'errors':[{'message':'torn','extensions':{'code':'DATA_LOSS'}}]} -\n");
    watch_end(&w);
}

static void test_around_deferred_fields(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "nw"}};
    watcher w;
    f->incremental = GQL_INCREMENTAL_NEW;
    intercept_with(f, list, 1);
    watch(&w, f, "{ lazy { quick ... @defer { slow } } }");
    gf_settle(f);
    assert_int_equal(w.payloads, 1);
    resume(f, "slow");
    gf_settle(f);
    assert_int_equal(w.payloads, 1);
    gql_run_hold(w.run, true); /* no matter any more */
    gql_run_hold(w.run, false);
    resume(f, "interceptor");
    assert_true(w.over);
    assert_int_equal(w.payloads, 2);
    watch_end(&w);
}

/* --- on hold --- */
static void test_let_go_before_it_is_begun(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "wn"}};
    watcher w = {0};
    intercept_with(f, list, 1);
    watch_with(&w, f, "subscription { count }", NULL, true);
    gql_run_hold(w.run, false);
    resume(f, "interceptor");
    saw(&w, "subscribed\ndata {'data':{'count':1}}\ndata {'data':{'count':2}}\ncomplete -\n");
    watch_end(&w);
}

static void test_held_before_it_is_begun(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "wn"}};
    watcher w;
    intercept_with(f, list, 1);
    watch(&w, f, "subscription { count }");
    gql_run_hold(w.run, true);
    resume(f, "interceptor");
    saw(&w, "subscribed\n");
    watch_end(&w);
}

/* --- time --- */
static void test_too_long_before(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "wn"}};
    watcher w;
    f->options.execute.timeout_ms = 200;
    intercept_with(f, list, 1);
    watch(&w, f, "{ a }");
    te_advance(f->t, 199);
    assert_false(w.over);
    te_advance(f->t, 1);
    saw(&w, "refused by script {'errors':[{'message':'The operation took too long.','extensions':{'code':"
            "'DEADLINE_EXCEEDED'}}]} -\n");
    assert_int_equal(te_count(f->t).cancelled, 1);
    watch_end(&w);
}

static void test_too_long_after(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "nw"}};
    watcher w;
    f->options.execute.timeout_ms = 200;
    intercept_with(f, list, 1);
    watch(&w, f, "{ a }");
    te_advance(f->t, 200);
    assert_non_null(strstr(w.seen.data, "DEADLINE_EXCEEDED"));
    watch_end(&w);
    watch(&w, f, "subscription { count }"); /* its answer has begun */
    te_advance(f->t, 200);
    saw(&w, "subscribed\ndata {'data':{'count':1}}\ndata {'data':{'count':2}}\ncomplete -\n");
    watch_end(&w);
}

/* What they wrap has its own. */
static void test_no_timeout_around_a_subscription(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "n"}};
    watcher w;
    intercept_with(f, list, 1);
    source.waits = true;
    watch(&w, f, "subscription { count }");
    assert_int_equal(te_timers(f->t), 0);
    te_advance(f->t, 1000000);
    assert_false(w.over);
    watch_end(&w);
}

static void test_without_timers(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "wn"}};
    watcher w;
    intercept_with(f, list, 1);
    te_refuse_timers(f->t);
    watch(&w, f, "{ a }");
    assert_non_null(strstr(w.seen.data, "RESOURCE_EXHAUSTED"));
    watch_end(&w);
    list[0].does = "nw"; /* the answer is there */
    watch(&w, f, "{ a }");
    saw(&w, "data {'data':{'a':1}} -\n");
    watch_end(&w);
}

/* --- cancelled --- */
static void test_cancelled(void **state)
{
    gf *f = *state;
    interceptor list[2] = {{.does = "wnw"}, {.does = "wnw"}};
    watcher w;
    intercept_with(f, list, 2);
    for (int stop = 0; stop < 5; stop++) {
        watch(&w, f, "{ slow }");
        for (int i = 0; i < stop; i++)
            te_resume(f->t, te_waiting_at(f->t, 0));
        watch_cancel(&w);
        assert_int_equal(te_waiting(f->t), 0);
        assert_int_equal(te_wrapping(f->t), 0);
        assert_int_equal(te_timers(f->t), 0);
        watch_end(&w);
    }
}

static void test_cancelled_from_within_a_payload(void **state)
{
    gf *f = *state;
    interceptor list[1] = {{.does = "nw"}};
    intercept_with(f, list, 1);
    for (unsigned at = 1; at <= 3; at++) {
        watcher w = {.on_payload = cancel_at, .at = at};
        watch_with(&w, f, "subscription { count }", NULL, false);
        assert_int_equal(w.payloads, at);
        assert_int_equal(te_wrapping(f->t) + te_waiting(f->t), 0);
        watch_end(&w);
    }
    f->incremental = GQL_INCREMENTAL_NEW;
    watcher w = {.on_payload = cancel_at, .at = 1};
    watch_with(&w, f, "{ lazy { quick ... @defer { slow } } }", NULL, false);
    assert_int_equal(te_wrapping(f->t) + te_waiting(f->t), 0);
    watch_end(&w);
}

/* --- without memory --- */
static void test_without_memory(void **state)
{
    gf *f = *state;
    static const char *const does[] = {"n", "wnw", "ne", "nwe", "we"};
    static const char *const queries[] = {"{ a slow fails }", "subscription { count }"};
    interceptor list[2] = {{.does = "n"}, {.does = "n"}};
    intercept_with(f, list, 2);
    for (size_t i = 0; i < sizeof does / sizeof *does; i++) {
        list[1].does = does[i];
        for (int k = 0; k < 4; k++) {
            failing a = {.sticky = k % 2};
            while (failing_next(&a)) {
                source = (counter){.to = 2, .waits = true};
                list[0].seen[0] = list[1].seen[0] = '\0';
                watch_failing(f, queries[k / 2], &a);
            }
            assert_true(a.failed > 7);
        }
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_they_wrap_one_another),
        TEST(test_they_see_how_many_errors),
        TEST(test_a_refusal_of_what_they_wrap),
        TEST(test_not_for_what_is_not_valid),
        TEST(test_waiting_before_and_after),
        TEST(test_errors_before_next),
        TEST(test_errors_after_next_are_the_answer),
        TEST(test_crashes_show_nothing),
        TEST(test_without_next),
        TEST(test_around_a_subscription),
        TEST(test_an_error_after_the_answer_has_begun_is_logged),
        TEST(test_a_source_that_fails),
        TEST(test_around_deferred_fields),
        TEST(test_let_go_before_it_is_begun),
        TEST(test_held_before_it_is_begun),
        TEST(test_too_long_before),
        TEST(test_too_long_after),
        TEST(test_no_timeout_around_a_subscription),
        TEST(test_without_timers),
        TEST(test_cancelled),
        TEST(test_cancelled_from_within_a_payload),
        TEST(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
