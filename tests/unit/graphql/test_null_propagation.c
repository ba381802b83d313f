/* SPDX-License-Identifier: MIT */
#include "support/graphql_fixture.h"

/* Where null goes when a non-null position has none to give, at once and after waits. */

static const char sdl[] =
    "type Node { id: Int sure: Int! must: Int! slow: Int node: Node sureNode: Node! list: [Int!] sureList: "
    "[Int!]!\n"
    "  nodes: [Node] sureNodes: [Node!] }\n"
    "type Query { node: Node sureNode: Node! nodes: [Node] sureNodes: [Node!]! a: Int }\n";

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    te_value node = te_map(f.t, "id", te_int(1), NULL);
    te_set(f.t, node, "node", node);
    te_set(f.t, node, "sureNode", node);
    te_set(f.t, node, "nodes", te_list(f.t, 2, node, node));
    te_set(f.t, node, "sureNodes", te_list(f.t, 2, node, node));
    gf_give(&f, "Query", "node", node);
    gf_give(&f, "Query", "sureNode", node);
    gf_give(&f, "Query", "nodes", te_list(f.t, 2, node, node));
    gf_give(&f, "Query", "sureNodes", te_list(f.t, 2, node, node));
    gf_give(&f, "Query", "a", te_int(5));
    gf_wait(&f, "Node", "slow", te_int(9));
    *state = &f;
    return 0;
}

#define CANNOT(field, line, column, path)                                                                   \
    "{\"message\":\"Cannot return null for non-nullable field " field ".\",\"locations\":[{\"line\":" #line \
    ",\"column\":" #column "}],\"path\":[" path "],\"extensions\":{\"code\":\"INTERNAL\"}}"

static void test_to_the_nearest_nullable(void **state)
{
    gf *f = *state;
    gf_expect(f, "{ node { id sure } a }", NULL,
              "{\"data\":{\"node\":null,\"a\":5},\"errors\":[" CANNOT("Node.sure", 1, 13,
                                                                      "\"node\",\"sure\"") "]}");
    gf_expect(f, "{ node { id node { sureNode { sure } } } a }", NULL,
              "{\"data\":{\"node\":{\"id\":1,\"node\":null},\"a\":5},\"errors\":[" CANNOT(
                  "Node.sure", 1, 31, "\"node\",\"node\",\"sureNode\",\"sure\"") "]}");
}

static void test_to_data(void **state)
{
    gf *f = *state;
    gf_expect(f, "{ a sureNode { sure } }", NULL,
              "{\"data\":null,\"errors\":[" CANNOT("Node.sure", 1, 16, "\"sureNode\",\"sure\"") "]}");
    gf_expect(f, "{ a sureNodes { sure } }", NULL,
              "{\"data\":null,\"errors\":[" CANNOT("Node.sure", 1, 17, "\"sureNodes\",0,\"sure\"") "]}");
}

static void test_list_items(void **state)
{
    gf *f = *state;
    gf_give(f, "Node", "list", te_list(f->t, 3, te_int(1), te_null(), te_int(2)));
    gf_expect(f, "{ node { list id } }", NULL,
              "{\"data\":{\"node\":{\"list\":null,\"id\":1}},\"errors\":[" CANNOT(
                  "Node.list", 1, 10, "\"node\",\"list\",1") "]}");
    gf_give(f, "Node", "sureList", te_list(f->t, 1, te_null()));
    gf_expect(f, "{ nodes { sureList } }", NULL,
              "{\"data\":{\"nodes\":[null,null]},\"errors\":[" CANNOT(
                  "Node.sureList", 1, 11,
                  "\"nodes\",0,\"sureList\",0") "," CANNOT("Node.sureList", 1, 11,
                                                           "\"nodes\",1,\"sureList\",0") "]}");
}

/* An error where null may be stays there. */
static void test_errors_of_non_null_fields(void **state)
{
    gf *f = *state;
    gf_fail(f, "Node", "sure", "no");
    gf_expect(f, "{ nodes { sure } }", NULL,
              "{\"data\":{\"nodes\":[null,null]},\"errors\":[{\"message\":\"no\",\"locations\":[{\"line\":1,"
              "\"column\":11}],\"path\":["
              "\"nodes\",0,\"sure\"],\"extensions\":{\"code\":\"NOT_FOUND\"}},{\"message\":\"no\","
              "\"locations\":[{\"line\":1,\"column\":11}],"
              "\"path\":[\"nodes\",1,\"sure\"],\"extensions\":{\"code\":\"NOT_FOUND\"}}]}");
}

/* --- with waits --- */
static void test_waiting_sibling_is_cancelled_by_the_walk(void **state)
{
    gf *f = *state;
    gf_expect(f, "{ node { slow sure } a }", NULL,
              "{\"data\":{\"node\":null,\"a\":5},\"errors\":[" CANNOT("Node.sure", 1, 15,
                                                                      "\"node\",\"sure\"") "]}");
    assert_int_equal(te_count(f->t).cancelled, 1);
    assert_int_equal(te_timers(f->t), 0);
}

static void test_waiting_siblings_are_cancelled_by_a_call(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_wait(f, "Node", "sure", te_null());
    gf_start(&r, f, "{ node { id node { slow } sure slow } a other: node { slow } }", NULL);
    assert_int_equal(te_waiting(f->t), 4);
    te_resume(f->t, te_waiting_for(f->t, "sure"));
    assert_int_equal(te_waiting(f->t), 1); /* that of other */
    assert_int_equal(te_count(f->t).cancelled, 2);
    assert_int_equal(r.done, 0);
    te_resume(f->t, te_waiting_at(f->t, 0));
    gf_check(&r, "{\"data\":{\"node\":null,\"a\":5,\"other\":{\"slow\":9}},\"errors\":[" CANNOT(
                     "Node.sure", 1, 27, "\"node\",\"sure\"") "]}");
    gf_end(&r);
}

static void test_failed_call_goes_up_through_non_null(void **state)
{
    gf *f = *state;
    gf_request r;
    pl_failure failure = {.code = PL_UNAVAILABLE, .expected = true, .message = PL_STR("down")};
    gf_wait(f, "Node", "sure", te_int(1));
    gf_start(&r, f, "{ a sureNode { node { id sureNode { sureNode { sure } } slow } slow } }", NULL);
    te_fail_call(f->t, te_waiting_for(f->t, "sure"), &failure);
    assert_int_equal(te_count(f->t).cancelled, 1);
    te_resume(f->t, te_waiting_at(f->t, 0));
    gf_check(&r, "{\"data\":{\"a\":5,\"sureNode\":{\"node\":null,\"slow\":9}},\"errors\":[{\"message\":"
                 "\"down\",\"locations\":[{\"line\":1,"
                 "\"column\":48}],\"path\":[\"sureNode\",\"node\",\"sureNode\",\"sureNode\",\"sure\"],"
                 "\"extensions\":{\"code\":"
                 "\"UNAVAILABLE\"}}]}");
    gf_end(&r);
}

static void test_data_becomes_null_after_a_wait(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_wait(f, "Node", "sure", te_null());
    gf_start(&r, f, "{ a sureNode { slow sure } node { slow } }", NULL);
    te_resume(f->t, te_waiting_for(f->t, "sure"));
    gf_check(&r, "{\"data\":null,\"errors\":[" CANNOT("Node.sure", 1, 21, "\"sureNode\",\"sure\"") "]}");
    assert_int_equal(te_count(f->t).cancelled, 2);
    gf_end(&r);
}

/* Items of a list become null one by one; of a list of non-nulls all at once. */
static void test_waiting_list_items(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_wait(f, "Node", "sure", te_int(1));
    gf_start(&r, f, "{ nodes { sure slow } a }", NULL);
    te_complete(f->t, te_waiting_at(f->t, 2), te_null()); /* the second item's sure */
    assert_int_equal(te_waiting(f->t), 2);
    te_resume(f->t, te_waiting_at(f->t, 1));
    te_resume(f->t, te_waiting_at(f->t, 0));
    gf_check(&r, "{\"data\":{\"nodes\":[{\"sure\":1,\"slow\":9},null],\"a\":5},\"errors\":[" CANNOT(
                     "Node.sure", 1, 11, "\"nodes\",1,\"sure\"") "]}");
    gf_end(&r);

    gf_start(&r, f, "{ node { sureNodes { sure slow } id } a }", NULL);
    te_complete(f->t, te_waiting_at(f->t, 2), te_null());
    gf_check(&r, "{\"data\":{\"node\":{\"sureNodes\":null,\"id\":1},\"a\":5},\"errors\":[" CANNOT(
                     "Node.sure", 1, 22, "\"node\",\"sureNodes\",1,\"sure\"") "]}");
    gf_end(&r);
}

/* What a call brought may become null, and what it brought may wait and become null. */
static void test_null_in_what_a_call_brought(void **state)
{
    gf *f = *state;
    te_value node = te_map(f->t, "id", te_int(2), NULL);
    gf_request r;
    gf_wait(f, "Query", "node", node);
    gf_wait(f, "Node", "sure", te_null());
    gf_wait(f, "Node", "sureNode", node);
    gf_start(&r, f, "{ node { id sureNode { slow sure } } a }", NULL);
    te_resume(f->t, te_waiting_for(f->t, "node"));
    te_resume(f->t, te_waiting_for(f->t, "sureNode"));
    assert_int_equal(te_waiting(f->t), 2);
    te_resume(f->t, te_waiting_for(f->t, "sure"));
    gf_check(&r, "{\"data\":{\"node\":null,\"a\":5},\"errors\":[" CANNOT(
                     "Node.sure", 1, 29, "\"node\",\"sureNode\",\"sure\"") "]}");
    assert_int_equal(te_count(f->t).cancelled, 1);
    gf_end(&r);
}

/* A call's non-null result that fails while its own fields already wait. */
static void test_walk_after_a_wait_cancels(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_wait(f, "Node", "sureNode", te_map(f->t, NULL));
    gf_start(&r, f, "{ node { id sureNode { slow sure } slow } nodes { slow } }", NULL);
    te_resume(f->t, te_waiting_for(f->t, "sureNode"));
    assert_int_equal(te_count(f->t).cancelled, 2);
    assert_int_equal(te_waiting(f->t), 2);
    te_resume(f->t, te_waiting_at(f->t, 1));
    te_resume(f->t, te_waiting_at(f->t, 0));
    gf_check(&r, "{\"data\":{\"node\":null,\"nodes\":[{\"slow\":9},{\"slow\":9}]},\"errors\":[" CANNOT(
                     "Node.sure", 1, 29, "\"node\",\"sureNode\",\"sure\"") "]}");
    gf_end(&r);
}

/* Many items that each become null on their own: the work must not grow with the square of their number. */
static void test_many_items(void **state)
{
    gf *f = *state;
    enum { ITEMS = 20000 };
    gf_request r;
    te_value list = te_list(f->t, 0);
    for (int i = 0; i < ITEMS; i++)
        te_append(f->t, list, te_map(f->t, NULL));
    gf_give(f, "Query", "nodes", list);
    gf_wait(f, "Node", "sure", te_null());
    gf_wait(f, "Node", "must", te_int(1));
    gf_start(&r, f, "{ nodes { sure must } }", NULL);
    for (int i = 0; i < ITEMS; i++)
        te_resume(f->t, te_waiting_at(f->t, 0)); /* ends both of an item */
    assert_int_equal(r.done, 1);
    assert_int_equal(te_count(f->t).cancelled, ITEMS);
    assert_int_equal(strncmp(r.body, "{\"data\":{\"nodes\":[null,null,", 28), 0);
    gf_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_to_the_nearest_nullable, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_to_data, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_list_items, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_errors_of_non_null_fields, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_waiting_sibling_is_cancelled_by_the_walk, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_waiting_siblings_are_cancelled_by_a_call, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_failed_call_goes_up_through_non_null, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_data_becomes_null_after_a_wait, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_waiting_list_items, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_null_in_what_a_call_brought, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_walk_after_a_wait_cancels, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_many_items, setup, gf_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
