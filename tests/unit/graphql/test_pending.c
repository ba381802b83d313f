/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "support/failing.h"
#include "support/graphql_fixture.h"

/* Calls that wait: in what order they end, what ends them, and what is left when memory runs out. */

static const char sdl[] =
    "type Node { id: Int slow: Int node: Node nodes: [Node] late(x: Int): String sure: Int! }\n"
    "type Query { a: Int b: Int c: Int node: Node nodes: [Node!] kinds: [Kind] }\n"
    "interface Kind { id: Int }\n"
    "type One implements Kind { id: Int slow: Int }\n"
    "type Two implements Kind { id: Int slow: Int }\n"
    "type Mutation { first: Node second: Node }\n";

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    te_value node = te_map(f.t, "id", te_int(1), NULL);
    te_set(f.t, node, "node", node);
    te_set(f.t, node, "nodes", te_list(f.t, 2, node, node));
    gf_wait(&f, "Query", "a", te_int(1));
    gf_wait(&f, "Query", "b", te_int(2));
    gf_give(&f, "Query", "c", te_int(3));
    gf_wait(&f, "Query", "node", node);
    gf_wait(&f, "Query", "nodes", te_list(f.t, 2, node, node));
    gf_wait(&f, "Node", "slow", te_int(9));
    gf_wait(&f, "Node", "late", te_string(f.t, "text"));
    gf_wait(&f, "Mutation", "first", node);
    gf_wait(&f, "Mutation", "second", node);
    *state = &f;
    return 0;
}

static void test_out_of_order(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ a c b }", NULL);
    assert_int_equal(te_waiting(f->t), 2);
    te_resume(f->t, te_waiting_for(f->t, "b"));
    assert_int_equal(r.done, 0);
    te_resume(f->t, te_waiting_for(f->t, "a"));
    gf_check(&r, "{\"data\":{\"a\":1,\"c\":3,\"b\":2}}");
    assert_int_equal(te_timers(f->t), 0);
    gf_end(&r);
}

/* Every order of ending five calls, some of which wait anew, gives the same response. */
static void test_every_order(void **state)
{
    gf *f = *state;
    static const char expected[] =
        "{\"data\":{\"a\":1,\"node\":{\"slow\":9,\"id\":1,\"nodes\":[{\"slow\":9},{\"slow\":9}]},\"b\":2}}";
    for (unsigned seed = 0; seed < 300; seed++) {
        unsigned random = seed;
        gf_request r;
        gf_start(&r, f, "{ a node { slow id nodes { slow } } b }", NULL);
        while (te_waiting(f->t) > 0) {
            te_resume(f->t, te_waiting_at(f->t, random % te_waiting(f->t)));
            random = random * 1103515245 + 12345 + seed;
            random ^= random >> 7;
        }
        gf_check(&r, expected);
        gf_end(&r);
    }
}

static void test_list_of_waiting_items(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ nodes { id slow node { slow } } }", NULL);
    te_resume(f->t, te_waiting_at(f->t, 0));
    assert_int_equal(te_waiting(f->t), 4);
    for (int i = 3; i >= 0; i--)
        te_complete(f->t, te_waiting_at(f->t, (size_t)i), te_int(i));
    gf_check(&r, "{\"data\":{\"nodes\":[{\"id\":1,\"slow\":0,\"node\":{\"slow\":1}},{\"id\":1,\"slow\":2,"
                 "\"node\":{\"slow\":3}}]}}");
    gf_end(&r);
}

static void test_abstract_result_of_a_wait(void **state)
{
    gf *f = *state;
    te *t = f->t;
    gf_request r;
    te_value one = te_map(t, "__typename", te_string(t, "One"), NULL),
             two = te_map(t, "__typename", te_string(t, "Two"), NULL);
    gf_wait(f, "Query", "kinds", te_list(t, 3, two, one, te_null()));
    gf_wait(f, "One", "slow", te_int(1));
    gf_wait(f, "Two", "slow", te_int(2));
    gf_start(&r, f, "{ kinds { __typename ... on One { slow } ... on Two { s: slow } } }", NULL);
    te_resume(t, te_waiting_at(t, 0));
    te_resume(t, te_waiting_at(t, 1));
    te_resume(t, te_waiting_at(t, 0));
    gf_check(
        &r,
        "{\"data\":{\"kinds\":[{\"__typename\":\"Two\",\"s\":2},{\"__typename\":\"One\",\"slow\":1},null]}}");
    gf_end(&r);
}

static void test_wrong_result_of_a_wait(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ a node { id } }", NULL);
    te_complete(f->t, te_waiting_for(f->t, "a"), te_string(f->t, "x"));
    te_complete(f->t, te_waiting_for(f->t, "node"), te_bool(true));
    gf_check(&r, "{\"data\":{\"a\":null,\"node\":null},\"errors\":[{\"message\":\"Internal server "
                 "error\",\"locations\":[{\"line\":1,"
                 "\"column\":3}],\"path\":[\"a\"],\"extensions\":{\"code\":\"INTERNAL\",\"id\":\"r1\"}},{"
                 "\"message\":\"Internal server "
                 "error\",\"locations\":[{\"line\":1,\"column\":5}],\"path\":[\"node\"],\"extensions\":{"
                 "\"code\":\"INTERNAL\",\"id\":"
                 "\"r1\"}}]}");
    gf_end(&r);
}

/* --- the deadline --- */
#define TOO_LONG(column, path)                                                                     \
    "{\"message\":\"The operation took too long.\",\"locations\":[{\"line\":1,\"column\":" #column \
    "}],\"path\":[" path "],\"extensions\":{\"code\":\"DEADLINE_EXCEEDED\"}}"

static void test_timeout(void **state)
{
    gf *f = *state;
    gf_request r;
    f->options.execute.timeout_ms = 100;
    gf_start(&r, f, "{ a node { slow id nodes { late } } c }", NULL);
    te_resume(f->t, te_waiting_for(f->t, "node"));
    te_advance(f->t, 60);
    te_resume(f->t, te_waiting_for(f->t, "a")); /* does not put the deadline off */
    te_resume(f->t, te_waiting_for(f->t, "late"));
    te_advance(f->t, 39);
    assert_int_equal(r.done, 0);
    te_advance(f->t, 1);
    gf_check(&r, "{\"data\":{\"a\":1,\"node\":{\"slow\":null,\"id\":1,\"nodes\":[{\"late\":\"text\"},{"
                 "\"late\":null}]},\"c\":3},"
                 "\"errors\":[" TOO_LONG(12, "\"node\",\"slow\"") "," TOO_LONG(
                     28, "\"node\",\"nodes\",1,\"late\"") "]}");
    assert_int_equal(te_waiting(f->t), 0);
    assert_int_equal(te_count(f->t).cancelled, 2);
    gf_end(&r);
}

static void test_timeout_of_non_null(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_wait(f, "Node", "sure", te_int(1));
    gf_start(&r, f, "{ node { sure slow } a }", NULL);
    te_resume(f->t, te_waiting_for(f->t, "node"));
    te_advance(f->t, 30000);
    gf_check(&r, "{\"data\":{\"node\":null,\"a\":null},\"errors\":[" TOO_LONG(22, "\"a\"") "," TOO_LONG(
                     10, "\"node\",\"sure\"") "]}");
    gf_end(&r);
}

/* A deadline that came with the request counts instead. */
static void test_deadline_of_the_work(void **state)
{
    gf *f = *state;
    gf_request r;
    f->deadline = 1020; /* the clock begins at 1000 */
    gf_start(&r, f, "{ a }", NULL);
    te_advance(f->t, 19);
    assert_int_equal(r.done, 0);
    te_advance(f->t, 1);
    gf_check(&r, "{\"data\":{\"a\":null},\"errors\":[" TOO_LONG(3, "\"a\"") "]}");
    gf_end(&r);
}

/* --- cancelling --- */
static void test_cancel(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ a node { slow } b }", NULL);
    te_resume(f->t, te_waiting_for(f->t, "node"));
    assert_int_equal(te_waiting(f->t), 3);
    gql_run_cancel(r.run);
    assert_int_equal(te_waiting(f->t), 0);
    assert_int_equal(te_count(f->t).cancelled, 3);
    assert_int_equal(te_timers(f->t), 0);
    te_advance(f->t, 100000);
    assert_int_equal(r.done, 0);
    gf_end(&r);
}

/* Several operations at a time on one service, ended crosswise. */
static void test_side_by_side(void **state)
{
    gf *f = *state;
    gf_request r[8];
    for (int i = 0; i < 8; i++)
        gf_start(&r[i], f, i % 2 ? "{ a b }" : "{ b node { id } }", NULL);
    gql_run_cancel(r[3].run);
    for (unsigned n = 1; te_waiting(f->t) > 0; n += 5)
        te_resume(f->t, te_waiting_at(f->t, n % te_waiting(f->t)));
    for (int i = 0; i < 8; i++) {
        if (i == 3)
            assert_int_equal(r[i].done, 0);
        else
            gf_check(&r[i],
                     i % 2 ? "{\"data\":{\"a\":1,\"b\":2}}" : "{\"data\":{\"b\":2,\"node\":{\"id\":1}}}");
        gf_end(&r[i]);
    }
}

static void test_response_limit_with_waits(void **state)
{
    gf *f = *state;
    gf_request r;
    f->options.max_response = 60;
    gf_start(&r, f, "{ a node { late } }", NULL);
    te_resume(f->t, te_waiting_for(f->t, "node"));
    te_complete(f->t, te_waiting_for(f->t, "late"),
                te_string(f->t, "a text that is too long to be in the response"));
    te_resume(f->t, te_waiting_for(f->t, "a"));
    gf_check(&r, "{\"data\":null,\"errors\":[{\"message\":\"The response is larger than 60 "
                 "bytes.\",\"extensions\":{\"code\":"
                 "\"RESOURCE_EXHAUSTED\",\"id\":\"r1\"}}]}");
    gf_end(&r);
}

/* An operation that cannot be timed does not wait. */
static void test_no_timer(void **state)
{
    gf *f = *state;
    te_refuse_timers(f->t);
    gf_expect(f, "{ a c }", NULL,
              "{\"data\":null,\"errors\":[{\"message\":\"out of "
              "memory\",\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\",\"id\":\"r1\"}}]}");
    assert_int_equal(te_count(f->t).cancelled, 1);
}

/* --- memory --- */
static void check_body(gf_request *r, const char *whole)
{
    pl_value v;
    pl_error err;
    pl_arena arena;
    pl_arena_init(&arena, 0);
    assert_int_equal(r->done, 1);
    assert_int_equal(pl_json_read(&arena, pl_str_of(r->body), &(pl_json_limits){0}, &v, &err), PL_OK);
    if (strcmp(r->body, whole) != 0)
        assert_non_null(pl_value_member(&v, PL_STR("errors")));
    pl_arena_dispose(&arena);
}

static void fail_every_allocation(const char *query, const char *whole, bool sticky, bool cancel)
{
    failing a = {.sticky = sticky};
    while (failing_next(&a)) {
        gf *f;
        gf_request r;
        setup((void **)&f);
        gf_restart(f);
        f->failing = &a;
        gf_start(&r, f, query, NULL);
        for (unsigned k = 0; te_waiting(f->t) > 0 && !(cancel && k == 3); k++)
            te_resume(f->t, te_waiting_at(f->t, (k * 7 + a.n) % te_waiting(f->t)));
        bool cut_off = te_waiting(f->t) > 0;
        if (cut_off)
            gql_run_cancel(r.run);
        failing_end(&a);
        if (!cut_off)
            check_body(&r, whole);
        gf_end(&r);
        gf_close(f);
    }
}

static const char query_everything[] = "query { a node { slow id nodes { late(x: 3) node { slow } } } c b }";
static const char query_response[] =
    "{\"data\":{\"a\":1,\"node\":{\"slow\":9,\"id\":1,\"nodes\":[{\"late\":\"text\",\"node\":{\"slow\":9}},"
    "{\"late\":\"text\",\"node\":{\"slow\":9}}]},\"c\":3,\"b\":2}}";

static void test_no_memory(void **state)
{
    fail_every_allocation(query_everything, query_response, 0, false);
}

static void test_no_memory_any_more(void **state)
{
    fail_every_allocation(query_everything, query_response, 1, false);
}

static void test_no_memory_and_cancel(void **state)
{
    fail_every_allocation(query_everything, query_response, 0, true);
}

static void test_no_memory_in_a_mutation(void **state)
{
    static const char query[] = "mutation { first { slow id } second { node { late } } }";
    static const char response[] =
        "{\"data\":{\"first\":{\"slow\":9,\"id\":1},\"second\":{\"node\":{\"late\":\"text\"}}}}";
    fail_every_allocation(query, response, 0, false);
    fail_every_allocation(query, response, 1, false);
}

/* A bound on the request's arena is met at every place that takes from it. */
static void test_arena_is_full(void **state)
{
    for (size_t limit = 48, done = 0; done < 3; limit += 16) {
        gf *f;
        gf_request r;
        setup((void **)&f);
        f->arena_limit = limit;
        gf_start(&r, f, query_everything, NULL);
        while (te_waiting(f->t) > 0)
            te_resume(f->t, te_waiting_at(f->t, limit / 16 % te_waiting(f->t)));
        check_body(&r, query_response);
        done += strcmp(r.body, query_response) == 0;
        assert_in_range(limit, 0, 100000);
        gf_end(&r);
        gf_close(f);
    }
}

/* --- turns that last too long --- */

/* A resolver that takes a second: the watchdog sees the time go by. */
static te_outcome take_long(te_invocation *in, void *data)
{
    gf *f = data;
    pl_state *state = te_state(f->t);
    te_engine()->watch(state, te_engine()->watched_at(state) + 1000);
    in->result = te_int(7);
    return TE_RETURN;
}

static void make_slow(gf *f)
{
    gf_bind(f, "Query", "a", te_function(f->t, take_long, f, 0));
    gf_bind(f, "Node", "slow", te_function(f->t, take_long, f, 0));
}

static void test_long_turn(void **state)
{
    gf *f = *state;
    gf_request r;
    make_slow(f);
    gf_start(&r, f, "{ one: a two: a c three: a }", NULL);
    assert_int_equal(r.done, 0); /* the first call has used up the turn */
    assert_int_equal(te_waiting(f->t), 0);
    int turns = 0;
    for (; r.done == 0; turns++)
        te_advance(f->t, 0);
    assert_int_equal(turns, 2); /* one slow call each; c goes with the second */
    gf_check(&r, "{\"data\":{\"one\":7,\"two\":7,\"c\":3,\"three\":7}}");
    assert_int_equal(te_timers(f->t), 0);
    gf_end(&r);
}

static void test_long_turns_below_a_list(void **state)
{
    gf *f = *state;
    gf_request r;
    make_slow(f);
    gf_start(&r, f, "{ nodes { id slow node { slow } } }", NULL);
    te_resume(f->t, te_waiting_at(f->t, 0));
    for (int turns = 0; r.done == 0 && turns < 100; turns++)
        te_advance(f->t, 0);
    gf_check(&r, "{\"data\":{\"nodes\":[{\"id\":1,\"slow\":7,\"node\":{\"slow\":7}},{\"id\":1,\"slow\":7,"
                 "\"node\":{\"slow\":7}}]}}");
    gf_end(&r);
}

static void test_timeout_of_what_was_postponed(void **state)
{
    gf *f = *state;
    gf_request r;
    make_slow(f);
    gf_start(&r, f, "{ a b c two: a }", NULL);
    te_advance(f->t, 100000); /* the deadline is due together with the next turn */
    while (r.done == 0)
        te_advance(f->t, 100000);
    assert_non_null(strstr(r.body, "\"a\":7,\"b\":null"));
    assert_non_null(strstr(r.body, "DEADLINE_EXCEEDED"));
    gf_end(&r);
}

static void test_cancel_of_what_was_postponed(void **state)
{
    gf *f = *state;
    gf_request r;
    make_slow(f);
    size_t refs = te_refs(f->t);
    gf_start(&r, f, "{ one: a nodes { slow two: slow } }", NULL);
    te_advance(f->t, 0);
    te_resume(f->t, te_waiting_at(f->t, 0)); /* leaves slow fields postponed, with their parents kept */
    assert_true(te_refs(f->t) > refs);
    gql_run_cancel(r.run);
    r.run = NULL;
    assert_int_equal(r.done, 0);
    assert_int_equal(te_timers(f->t), 0);
    assert_int_equal(te_refs(f->t), refs);
    gf_end(&r);
}

static void test_no_memory_in_long_turns(void **state)
{
    static const char query[] = "{ a nodes { slow node { slow } } two: a }";
    failing a = {0};
    while (failing_next(&a)) {
        gf *f;
        gf_request r;
        setup((void **)&f);
        make_slow(f);
        f->failing = &a;
        gf_start(&r, f, query, NULL);
        for (int turns = 0; r.done == 0 && turns < 100; turns++) {
            te_advance(f->t, 0);
            if (te_waiting(f->t) > 0)
                te_resume(f->t, te_waiting_at(f->t, 0));
        }
        bool failed = failing_end(&a);
        assert_int_equal(r.done, 1);
        assert_true(failed || !strstr(r.body, "errors"));
        gf_end(&r);
        gf_close(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_out_of_order, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_every_order, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_list_of_waiting_items, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_abstract_result_of_a_wait, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_wrong_result_of_a_wait, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_timeout, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_timeout_of_non_null, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_deadline_of_the_work, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_side_by_side, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_response_limit_with_waits, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_no_timer, setup, gf_teardown),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_any_more),
        cmocka_unit_test(test_no_memory_and_cancel),
        cmocka_unit_test(test_no_memory_in_a_mutation),
        cmocka_unit_test(test_arena_is_full),
        cmocka_unit_test_setup_teardown(test_long_turn, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_long_turns_below_a_list, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_timeout_of_what_was_postponed, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_cancel_of_what_was_postponed, setup, gf_teardown),
        cmocka_unit_test(test_no_memory_in_long_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
