/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "support/failing.h"
#include "support/graphql_fixture.h"

/* @defer: what is delivered when. The order of entries and ids is graphql-js's. */

static const char sdl[] =
    "type Node { id: Int name: String slow: Int other: Int sure: Int! bad: Int! wrong: Int node: Node nodes: "
    "[Node] }\n"
    "type Query { a: Int b: Int! slow: Int late: Int node: Node nodes: [Node] must: Node! }\n"
    "type Mutation { set: Node next: Int }\n";

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    te_value node = te_map(f.t, "id", te_int(1), "name", te_string(f.t, "one"), "other", te_int(2), "sure",
                           te_int(3), NULL);
    te_set(f.t, node, "node", node);
    te_set(f.t, node, "nodes", te_list(f.t, 2, node, node));
    gf_give(&f, "Query", "a", te_int(1));
    gf_give(&f, "Query", "b", te_int(2));
    gf_wait(&f, "Query", "slow", te_int(3));
    gf_wait(&f, "Query", "late", te_int(4));
    gf_give(&f, "Query", "node", node);
    gf_give(&f, "Query", "nodes", te_list(f.t, 2, node, node));
    gf_give(&f, "Query", "must", node);
    gf_wait(&f, "Node", "slow", te_int(9));
    gf_wait(&f, "Node", "bad", te_null());
    gf_fail(&f, "Node", "wrong", "it went wrong");
    gf_wait(&f, "Mutation", "set", node);
    gf_wait(&f, "Mutation", "next", te_int(5));
    f.incremental = GQL_INCREMENTAL_NEW;
    *state = &f;
    return 0;
}

static void test_later(void **state)
{
    gf_expect_all(*state, "{ a ... @defer(label: \"L\") { b } }", NULL,
                  "{'data':{'a':1},'pending':[{'id':'0','path':[],'label':'L'}],'hasNext':true}\n"
                  "{'hasNext':false,'incremental':[{'id':'0','data':{'b':2}}],'completed':[{'id':'0'}]}\n");
    gf_expect_all(*state, "{ node { ...N @defer id } } fragment N on Node { name }", NULL,
                  "{'data':{'node':{'id':1}},'pending':[{'id':'0','path':['node']}],'hasNext':true}\n"
                  "{'hasNext':false,'incremental':[{'id':'0','data':{'name':'one'}}],'completed':[{'id':'0'}"
                  "]}\n");
}

/* Resolvers of deferred fields are not called before the first payload is handed over, and the loop has had a
 * turn. */
static void test_does_not_delay_the_rest(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ slow ... @defer { late } }", NULL);
    gf_settle(f);
    assert_int_equal(te_waiting(f->t), 1);
    te_resume(f->t, te_waiting_for(f->t, "slow"));
    assert_int_equal(r.done, 1);
    assert_false(r.over);
    assert_int_equal(te_waiting(f->t), 0);
    gf_settle(f);
    assert_non_null(te_waiting_for(f->t, "late"));
    te_resume(f->t, te_waiting_for(f->t, "late"));
    gf_settle(f);
    assert_true(r.over);
    assert_int_equal(te_timers(f->t), 0);
    gf_end(&r);
}

static void test_delivered_once(void **state)
{
    /* Outside, too: not deferred. */
    gf_expect_all(*state, "{ a node { id } ... @defer { a node { id name } } }", NULL,
                  "{'data':{'a':1,'node':{'id':1}},'pending':[{'id':'0','path':[]}],'hasNext':true}\n"
                  "{'hasNext':false,'incremental':[{'id':'0','data':{'name':'one'},'subPath':['node']}],"
                  "'completed':[{'id':'0'}]}\n");
    gf_expect_all(*state, "{ a ... @defer { a } }", NULL, "{'data':{'a':1}}\n");
    /* In two deferred fragments: with the one that is there first. */
    gf_expect_all(
        *state, "{ ... @defer(label: \"A\") { a b } ... @defer(label: \"B\") { b slow } }", NULL,
        "{'data':{},'pending':[{'id':'0','path':[],'label':'A'},{'id':'1','path':[],'label':'B'}],"
        "'hasNext':true}\n"
        "{'hasNext':true,'incremental':[{'id':'0','data':{'a':1}},{'id':'0','data':{'b':2}}],"
        "'completed':[{'id':'0'}]}\n"
        "{'hasNext':false,'incremental':[{'id':'1','data':{'slow':3}}],'completed':[{'id':'1'}]}\n");
}

static void test_nested(void **state)
{
    gf_expect_all(
        *state, "{ ... @defer { a ... @defer { b ... @defer { node { id ... @defer { name } } } } } }", NULL,
        "{'data':{},'pending':[{'id':'0','path':[]}],'hasNext':true}\n"
        "{'hasNext':false,'pending':[{'id':'1','path':[]},{'id':'2','path':[]},{'id':'3','path':['"
        "node']}],'incremental':[{'id':'0','data':{'a':1}},{'id':'1','data':{'b':2}},{'id':'2','data"
        "':{'node':{'id':1}}},{'id':'3','data':{'name':'one'}}],'completed':[{'id':'0'},{'id':'1'},{"
        "'id':'2'},{'id':'3'}]}\n");
    /* A child is not known before its parent is there, and not begun. */
    gf_expect_all(
        *state, "{ ... @defer { slow ... @defer { late } } }", NULL,
        "{'data':{},'pending':[{'id':'0','path':[]}],'hasNext':true}\n"
        "{'hasNext':true,'pending':[{'id':'1','path':[]}],'incremental':[{'id':'0','data':{'slow':3}"
        "}],'completed':[{'id':'0'}]}\n"
        "{'hasNext':false,'incremental':[{'id':'1','data':{'late':4}}],'completed':[{'id':'1'}]}\n");
}

static void test_in_a_list(void **state)
{
    gf_expect_all(
        *state, "{ nodes { id ... @defer { slow } } }", NULL,
        "{'data':{'nodes':[{'id':1},{'id':1}]},'pending':[{'id':'0','path':['nodes',0]},{'id':'1','"
        "path':['nodes',1]}],'hasNext':true}\n"
        "{'hasNext':true,'incremental':[{'id':'0','data':{'slow':9}}],'completed':[{'id':'0'}]}\n"
        "{'hasNext':false,'incremental':[{'id':'1','data':{'slow':9}}],'completed':[{'id':'1'}]}\n");
}

static void test_errors(void **state)
{
    gf_expect_all(
        *state, "{ a ... @defer { node { id wrong } } }", NULL,
        "{'data':{'a':1},'pending':[{'id':'0','path':[]}],'hasNext':true}\n"
        "{'hasNext':false,'incremental':[{'id':'0','data':{'node':{'id':1,'wrong':null}},'errors':[{"
        "'message':'it went wrong','locations':[{'line':1,'column':28}],'path':['node','wrong'],'"
        "extensions':{'code':'NOT_FOUND'}}]}],'completed':[{'id':'0'}]}\n");
    /* Null goes up to the fragment: it is over without data, its own errors are not told twice. */
    gf_expect_all(
        *state, "{ node { id ... @defer { wrong bad } ... @defer { name } } }", NULL,
        "{'data':{'node':{'id':1}},'pending':[{'id':'0','path':['node']},{'id':'1','path':['node']}]"
        ",'hasNext':true}\n"
        "{'hasNext':true,'incremental':[{'id':'1','data':{'name':'one'}}],'completed':[{'id':'1'}]}\n"
        "{'hasNext':false,'completed':[{'id':'0','errors':[{'message':'Cannot return null for "
        "non-nullable field Node.bad.','locations':[{'line':1,'column':32}],'path':['node','bad'],'"
        "extensions':{'code':'INTERNAL'}}]}]}\n");
}

/* What is deferred below a position that becomes null is not delivered. */
static void test_below_null(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_expect_all(
        f, "{ a node { bad node { ... @defer { id } } } }", NULL,
        "{'data':{'a':1,'node':null},'errors':[{'message':'Cannot return null for non-nullable field "
        "Node.bad.','locations':[{'line':1,'column':12}],'path':['node','bad'],'extensions':{'code':"
        "'INTERNAL'}}]}\n");
    gf_give(f, "Node", "bad", te_null());
    gf_expect_all(
        f, "{ a node { node { ... @defer { id } } bad } }", NULL,
        "{'data':{'a':1,'node':null},'errors':[{'message':'Cannot return null for non-nullable field "
        "Node.bad.','locations':[{'line':1,'column':39}],'path':['node','bad'],'extensions':{'code':"
        "'INTERNAL'}}]}\n");
    gf_start(&r, f, "{ must { bad ... @defer { id } } }", NULL);
    assert_true(r.over);
    assert_non_null(strstr(r.body, "{\"data\":null,"));
    gf_end(&r);
}

static void test_conditions(void **state)
{
    static const char query[] = "query ($d: Boolean!) { a ... @defer(if: $d) { b } }";
    static const char deferred[] =
        "{'data':{'a':1},'pending':[{'id':'0','path':[]}],'hasNext':true}\n"
        "{'hasNext':false,'incremental':[{'id':'0','data':{'b':2}}],'completed':[{'id':'0'}]}\n";
    gf *f = *state;
    for (int i = 0; i < 3; i++) { /* from the cache, too */
        gf_expect_all(f, query, "{\"d\":true}", deferred);
        gf_expect_all(f, query, "{\"d\":false}", "{'data':{'a':1,'b':2}}\n");
        f->incremental = GQL_INCREMENTAL_OFF;
        gf_expect_all(f, query, "{\"d\":true}", "{'data':{'a':1,'b':2}}\n");
        f->incremental = GQL_INCREMENTAL_2022;
        gf_expect_all(f, query, "{\"d\":true}",
                      "{'data':{'a':1},'hasNext':true}\n"
                      "{'hasNext':false,'incremental':[{'data':{'b':2},'path':[]}]}\n");
        f->incremental = GQL_INCREMENTAL_NEW;
    }
    assert_int_equal(gql_service_get_stats(f->service).documents, 1);
}

/* The form of 2022 knows no ids, and delivers a field as often as it is selected. */
static void test_2022(void **state)
{
    gf *f = *state;
    f->incremental = GQL_INCREMENTAL_2022;
    gf_expect_all(
        f, "{ node { id ... @defer(label: \"L\") { id name ... @defer { other } } ... @defer { bad } } }",
        NULL,
        "{'data':{'node':{'id':1}},'hasNext':true}\n"
        "{'hasNext':true,'incremental':[{'data':{'id':1,'name':'one'},'path':['node'],'label':'L'},{"
        "'data':{'other':2},'path':['node']}]}\n"
        "{'hasNext':false,'incremental':[{'data':null,'path':['node'],'errors':[{'message':'Cannot "
        "return null for non-nullable field Node.bad.','locations':[{'line':1,'column':82}],'path':['"
        "node','bad'],'extensions':{'code':'INTERNAL'}}]}]}\n");
}

static void test_mutation(void **state)
{
    gf_expect_all(
        *state, "mutation { set { id ... @defer { slow } } next }", NULL,
        "{'data':{'set':{'id':1},'next':5},'pending':[{'id':'0','path':['set']}],'hasNext':true}\n"
        "{'hasNext':false,'incremental':[{'id':'0','data':{'slow':9}}],'completed':[{'id':'0'}]}\n");
}

/* Two that end between the same two turns of the loop go together. */
static void test_together(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ ... @defer { slow } ... @defer { late } }", NULL);
    gf_settle(f);
    gf_check_all(&r, "{'data':{},'pending':[{'id':'0','path':[]},{'id':'1','path':[]}],'hasNext':true}\n");
    te_resume(f->t, te_waiting_for(f->t, "late"));
    te_resume(f->t, te_waiting_for(f->t, "slow"));
    assert_int_equal(r.done, 1);
    gf_settle(f);
    gf_check_all(&r,
                 "{'hasNext':false,'incremental':[{'id':'1','data':{'late':4}},{'id':'0','data':{'slow':3}}],"
                 "'completed':[{'id':'1'},{'id':'0'}]}\n");
    gf_end(&r);
}

static void test_timeout(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ ... @defer { slow ... @defer { b } } ... @defer { must { sure bad } } }", NULL);
    gf_settle(f);
    te_advance(f->t, 30000);
    gf_settle(f);
    assert_true(r.over);
    assert_int_equal(te_waiting(f->t), 0);
    assert_int_equal(te_timers(f->t), 0);
    assert_non_null(strstr(r.all,
                           "{\"id\":\"0\",\"data\":{\"slow\":null},\"errors\":[{\"message\":\"The operation "
                           "took too long.\""));
    assert_non_null(strstr(r.all, "{\"id\":\"2\",\"errors\":[{\"message\":\"The operation took too long.\""));
    assert_non_null(strstr(r.all, "{\"id\":\"1\",\"errors\":[{\"message\":\"The operation took too long.\""));
    gf_end(&r);
}

static const char query_all[] =
    "{ slow ... @defer { a node { id ... @defer { slow } bad } } nodes { ... @defer { slow node { id } ... "
    "@defer { name } } } ... @defer { node { name } late } }";

static void test_cancel(void **state)
{
    gf *f = *state;
    for (unsigned n = 0; n < 12; n++) {
        gf_request r;
        gf_start(&r, f, query_all, NULL);
        for (unsigned i = 0; i < n && !r.over; i++) {
            if (i % 2 == 0 && te_waiting(f->t) > 0)
                te_resume(f->t, te_waiting_at(f->t, 0));
            else
                gf_settle(f);
        }
        if (!r.over)
            gql_run_cancel(r.run);
        assert_int_equal(te_waiting(f->t), 0);
        assert_int_equal(te_timers(f->t), 0);
        gf_end(&r);
    }
}

static void test_cancel_within_a_payload(void **state)
{
    gf *f = *state;
    for (unsigned n = 1; n < 5; n++) {
        gf_request r;
        gf_start(&r, f, query_all, NULL);
        for (unsigned i = 0; te_waiting(f->t) > 0 || te_is_due(f->t); i++) {
            r.cancel = r.done + 1 == n;
            if (te_is_due(f->t))
                te_advance(f->t, 0);
            else
                te_resume(f->t, te_waiting_at(f->t, i % te_waiting(f->t)));
        }
        assert_false(r.over);
        assert_int_equal(r.done, n);
        assert_int_equal(te_timers(f->t), 0);
        gf_end(&r);
    }
}

static void test_hold(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ ... @defer { slow } ... @defer { a } }", NULL);
    gql_run_hold(r.run, true);
    gf_settle(f);
    assert_int_equal(r.done, 1);
    assert_int_equal(te_waiting(f->t), 0);
    gql_run_hold(r.run, false);
    gf_settle(f);
    assert_int_equal(r.done, 2);
    gql_run_hold(r.run, true);
    te_resume(f->t, te_waiting_at(f->t, 0));
    gf_settle(f);
    assert_int_equal(r.done, 2);
    gql_run_hold(r.run, false);
    gf_settle(f);
    assert_true(r.over);
    gf_end(&r);
}

/* Held before there is anything to hold back; and for longer than the operation may take. */
static void test_hold_from_the_start(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ slow ... @defer { a } }", NULL);
    gql_run_hold(r.run, true);
    te_resume(f->t, te_waiting_at(f->t, 0));
    gf_settle(f);
    assert_int_equal(r.done, 1);
    te_advance(f->t, 30000);
    gf_settle(f);
    assert_true(r.over);
    assert_int_equal(r.done, 2);
    assert_non_null(strstr(r.body,
                           "\"completed\":[{\"id\":\"0\",\"errors\":[{\"message\":\"The operation took too "
                           "long.\",\"extensions\":{\"code\":\"DEADLINE_EXCEEDED\""));
    assert_int_equal(te_timers(f->t), 0);
    gf_end(&r);
}

/* A resolver that takes a second: the watchdog sees the time go by. */
static te_outcome take_long(te_invocation *in, void *data)
{
    gf *f = data;
    pl_state *state = te_state(f->t);
    te_engine()->watch(state, te_engine()->watched_at(state) + 1000);
    in->result = te_int(7);
    return TE_RETURN;
}

/* One slow resolver a turn, with the loop in between; what is delivered is the same. */
static void test_long_turns(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_bind(f, "Node", "slow", te_function(f->t, take_long, f, 0));
    gf_start(
        &r, f,
        "{ nodes { ... @defer { id slow two: slow } ... @defer { slow } ... @defer { three: slow ... @defer "
        "{ four: slow } } } }",
        NULL);
    assert_int_equal(r.done, 1);
    size_t called = 0;
    for (int turns = 0; !r.over; turns++) {
        size_t before = te_count(f->t).called;
        te_advance(f->t, 0);
        assert_in_range(te_count(f->t).called - before, 0, 1);
        called += te_count(f->t).called - before;
        assert_in_range(turns, 0, 100);
    }
    assert_int_equal(called, 8);
    assert_non_null(strstr(r.all, "{\"id\":1,\"two\":7}"));
    assert_non_null(strstr(r.all, "{\"four\":7}"));
    assert_int_equal(te_timers(f->t), 0);
    gf_end(&r);
}

/* Many of them: each is delivered, in time that grows with their number only. */
static void test_many(void **state)
{
    enum { MANY = 10000 };
    gf *f = *state;
    te_value node = te_map(f->t, "id", te_int(1), NULL), list = te_list(f->t, 0);
    for (int i = 0; i < MANY; i++)
        te_append(f->t, list, node);
    gf_give(f, "Query", "nodes", list);
    gf_request r;
    gf_start(&r, f, "{ nodes { ... @defer { id } } }", NULL);
    gf_settle(f);
    assert_true(r.over);
    assert_int_equal(r.done, 2);
    size_t delivered = 0;
    for (const char *c = r.body; (c = strstr(c, "\"data\":{\"id\":1}")); c++)
        delivered++;
    assert_int_equal(delivered, MANY);
    gf_end(&r);
}

static void test_too_many(void **state)
{
    gf *f = *state;
    te_value node = te_map(f->t, "id", te_int(1), NULL), list = te_list(f->t, 0);
    for (int i = 0; i < 100; i++)
        te_append(f->t, list, node);
    gf_give(f, "Query", "nodes", list);
    f->options.max_fields = 60;
    gf_request r;
    gf_start(&r, f, "{ nodes { ... @defer { id } } }", NULL);
    gf_settle(f);
    assert_true(r.over);
    assert_non_null(strstr(r.all, "The operation leaves more than 60 fragments and lists for later."));
    assert_non_null(strstr(r.all, "RESOURCE_EXHAUSTED"));
    gf_end(&r);
}

/* What is open when the execution fails as a whole is over with that error. */
static void test_too_large(void **state)
{
    gf *f = *state;
    te_value text = te_string(f->t, "0123456789012345678901234567890123456789");
    gf_wait(f, "Node", "name", text);
    f->options.max_response = 300;
    gf_request r;
    gf_start(&r, f, "{ a ... @defer { nodes { nodes { nodes { a: name b: name } } } } ... @defer { late } }",
             NULL);
    gf_settle(f);
    while (te_waiting(f->t) > 0) {
        te_resume(f->t, te_waiting_at(f->t, te_waiting(f->t) - 1));
        gf_settle(f);
    }
    assert_true(r.over);
    assert_non_null(strstr(r.body,
                           "{\"hasNext\":false,\"completed\":[{\"id\":\"0\",\"errors\":[{\"message\":\"The "
                           "response is larger than 300 bytes.\""));
    gf_end(&r);
}

/* --- memory --- */
static void fail_every_allocation(const char *query, gql_incremental form, bool sticky, unsigned cut_off)
{
    failing a = {.sticky = sticky};
    while (failing_next(&a)) {
        gf *f;
        gf_request r;
        setup((void **)&f);
        f->incremental = form;
        f->failing = &a;
        gf_start(&r, f, query, NULL);
        gf_go_on(&r, a.n, cut_off);
        failing_end(&a);
        gf_end(&r);
        gf_close(f);
    }
}

static void test_no_memory(void **state)
{
    fail_every_allocation(query_all, GQL_INCREMENTAL_NEW, 0, 0);
    fail_every_allocation(query_all, GQL_INCREMENTAL_2022, 0, 0);
}

static void test_no_memory_any_more(void **state)
{
    fail_every_allocation(query_all, GQL_INCREMENTAL_NEW, 1, 0);
}

static void test_no_memory_and_cancel(void **state)
{
    for (unsigned k = 1; k < 12; k += 3)
        fail_every_allocation(query_all, GQL_INCREMENTAL_NEW, 0, k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_later, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_does_not_delay_the_rest, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_delivered_once, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_nested, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_in_a_list, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_below_null, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_conditions, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_2022, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_mutation, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_together, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_timeout, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_cancel_within_a_payload, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_hold, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_hold_from_the_start, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_long_turns, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, gf_teardown),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_any_more),
        cmocka_unit_test(test_no_memory_and_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
