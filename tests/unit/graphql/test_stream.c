/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "support/failing.h"
#include "support/graphql_fixture.h"

/* @stream, and lists that come from iterators. */

static const char sdl[] = "type Item { id: Int slow: Int sure: Int! items: [Item] sub: [Int] }\n"
                          "type Query { a: Int numbers: [Int] sure: [Int!]! items: [Item] some: [Item!] "
                          "grid: [[Int]] counted: [Int] "
                          "waited: [Int] broken: [Int] both: [Int!]! }\n";

static te_value numbers(gf *f, int count)
{
    te_value list = te_list(f->t, 0);
    for (int i = 0; i < count; i++)
        te_append(f->t, list, te_int(i));
    return list;
}

/* An iterator that gives 0, 1, … up to count. */
typedef struct counter {
    int next, count;
    int wait_every; /* 0: it does not wait */
    int fail_at;    /* -1: it does not fail */
    int closed, calls;
} counter;

static counter counters[4];

static te_outcome count_on(te_invocation *in, void *data)
{
    counter *c = data;
    c->calls++;
    in->label = "next";
    if (c->next == c->fail_at)
        return te_fail(in, PL_ABORTED, "the source broke");
    if (c->next < c->count)
        in->result = te_int(c->next);
    c->next++;
    return c->wait_every > 0 && c->next % c->wait_every == 0 ? TE_PEND : TE_RETURN;
}

static te_outcome close_it(te_invocation *in, void *data)
{
    (void)in;
    ((counter *)data)->closed++;
    return TE_RETURN;
}

static te_outcome open_counter(te_invocation *in, void *data)
{
    counter *c = data;
    c->next = 0;
    in->result = te_map(in->t, "next", te_function(in->t, count_on, c, 0), "close",
                        te_function(in->t, close_it, c, 0), NULL);
    return TE_RETURN;
}

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    te_value item = te_map(f.t, "id", te_int(1), "sub", numbers(&f, 3), NULL);
    te_set(f.t, item, "items", te_list(f.t, 1, item));
    te_value grid = te_list(f.t, 2, numbers(&f, 2), numbers(&f, 2));
    gf_wait(&f, "Query", "a", te_int(1));
    gf_give(&f, "Query", "numbers", numbers(&f, 3));
    gf_give(&f, "Query", "sure", te_list(f.t, 4, te_int(1), te_int(2), te_null(), te_int(4)));
    gf_give(&f, "Query", "items", te_list(f.t, 2, item, item));
    gf_give(&f, "Query", "some", te_list(f.t, 2, item, item));
    gf_give(&f, "Query", "grid", grid);
    gf_wait(&f, "Item", "slow", te_int(9));
    gf_wait(&f, "Item", "sure", te_null());
    counters[0] = (counter){.count = 4, .fail_at = -1};
    counters[1] = (counter){.count = 4, .fail_at = -1, .wait_every = 2};
    counters[2] = (counter){.count = 4, .fail_at = 2};
    counters[3] = (counter){.count = 4, .fail_at = 3, .wait_every = 2};
    gf_resolve(&f, "Query", "counted", open_counter, &counters[0]);
    gf_resolve(&f, "Query", "waited", open_counter, &counters[1]);
    gf_resolve(&f, "Query", "broken", open_counter, &counters[2]);
    gf_resolve(&f, "Query", "both", open_counter, &counters[3]);
    f.incremental = GQL_INCREMENTAL_NEW;
    *state = &f;
    return 0;
}

/* --- lists --- */
static void test_rest_of_a_list(void **state)
{
    gf_expect_all(
        *state, "{ numbers @stream(initialCount: 1, label: \"L\") }", NULL,
        "{'data':{'numbers':[0]},'pending':[{'id':'0','path':['numbers'],'label':'L'}],'hasNext':true}\n"
        "{'hasNext':false,'incremental':[{'id':'0','items':[1,2]}],'completed':[{'id':'0'}]}\n");
    gf_expect_all(*state, "query ($n: Int!) { numbers @stream(initialCount: $n) }", "{\"n\":2}",
                  "{'data':{'numbers':[0,1]},'pending':[{'id':'0','path':['numbers']}],'hasNext':true}\n"
                  "{'hasNext':false,'incremental':[{'id':'0','items':[2]}],'completed':[{'id':'0'}]}\n");
    /* All items are there, but nobody has looked whether there are more. */
    gf_expect_all(*state, "{ numbers @stream(initialCount: 3) }", NULL,
                  "{'data':{'numbers':[0,1,2]},'pending':[{'id':'0','path':['numbers']}],'hasNext':true}\n"
                  "{'hasNext':false,'completed':[{'id':'0'}]}\n");
    gf_expect_all(*state, "{ numbers @stream(initialCount: 4) }", NULL, "{'data':{'numbers':[0,1,2]}}\n");
    gf_expect_all(*state, "query ($s: Boolean!) { numbers @stream(if: $s) }", "{\"s\":false}",
                  "{'data':{'numbers':[0,1,2]}}\n");
    gf_expect_all(*state, "{ grid @stream(initialCount: 1) }", NULL,
                  "{'data':{'grid':[[0,1]]},'pending':[{'id':'0','path':['grid']}],'hasNext':true}\n"
                  "{'hasNext':false,'incremental':[{'id':'0','items':[[0,1]]}],'completed':[{'id':'0'}]}\n");
}

static void test_wrong_count(void **state)
{
    gf_expect_all(
        *state, "{ numbers @stream(initialCount: -1) }", NULL,
        "{'data':{'numbers':null},'errors':[{'message':'initialCount must be a positive integer','"
        "locations':[{'line':1,'column':3}],'path':['numbers'],'extensions':{'code':'INVALID_ARGUMENT'}"
        "}]}\n");
}

static void test_off(void **state)
{
    gf *f = *state;
    f->incremental = GQL_INCREMENTAL_OFF;
    gf_expect_all(f, "{ numbers @stream(initialCount: 1) counted @stream }", NULL,
                  "{'data':{'numbers':[0,1,2],'counted':[0,1,2,3]}}\n");
}

/* A null that an item refuses ends the stream; what was in front of it is delivered. */
static void test_failed_item(void **state)
{
    gf *f = *state;
    gf_expect_all(f, "{ sure @stream }", NULL,
                  "{'data':{'sure':[]},'pending':[{'id':'0','path':['sure']}],'hasNext':true}\n"
                  "{'hasNext':true,'incremental':[{'id':'0','items':[1,2]}]}\n"
                  "{'hasNext':false,'completed':[{'id':'0','errors':[{'message':'Cannot return null for "
                  "non-nullable field Query.sure.','locations':[{'line':1,'column':3}],'path':['sure',2],'"
                  "extensions':{'code':'INTERNAL'}}]}]}\n");
    gf_expect_all(
        f, "{ items @stream { sure } }", NULL,
        "{'data':{'items':[]},'pending':[{'id':'0','path':['items']}],'hasNext':true}\n"
        "{'hasNext':true,'incremental':[{'id':'0','items':[null],'errors':[{'message':'Cannot return "
        "null for non-nullable field Item.sure.','locations':[{'line':1,'column':19}],'path':['items'"
        ",0,'sure'],'extensions':{'code':'INTERNAL'}}]}]}\n"
        "{'hasNext':false,'incremental':[{'id':'0','items':[null],'errors':[{'message':'Cannot return "
        "null for non-nullable field Item.sure.','locations':[{'line':1,'column':19}],'path':['items'"
        ",1,'sure'],'extensions':{'code':'INTERNAL'}}]}],'completed':[{'id':'0'}]}\n");
}

/* One item after the other, each when it is complete. */
static void test_items_that_wait(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ some @stream(initialCount: 0) { id slow } }", NULL);
    gf_settle(f);
    gf_check_all(&r, "{'data':{'some':[]},'pending':[{'id':'0','path':['some']}],'hasNext':true}\n");
    assert_int_equal(te_waiting(f->t), 1);
    te_resume(f->t, te_waiting_at(f->t, 0));
    gf_settle(f);
    gf_check_all(&r, "{'hasNext':true,'incremental':[{'id':'0','items':[{'id':1,'slow':9}]}]}\n");
    assert_int_equal(te_waiting(f->t), 1);
    te_resume(f->t, te_waiting_at(f->t, 0));
    gf_settle(f);
    gf_check_all(
        &r,
        "{'hasNext':false,'incremental':[{'id':'0','items':[{'id':1,'slow':9}]}],'completed':[{'id':'0'}]}"
        "\n");
    gf_end(&r);
}

static void test_below_items(void **state)
{
    gf_expect_all(
        *state, "{ items @stream(initialCount: 1) { id ... @defer { sub @stream(initialCount: 2) } } }", NULL,
        "{'data':{'items':[{'id':1}]},'pending':[{'id':'0','path':['items',0]},{'id':'1','path':['items"
        "']}],'hasNext':true}\n"
        "{'hasNext':true,'pending':[{'id':'2','path':['items',0,'sub']}],'incremental':[{'id':'0','data"
        "':{'sub':[0,1]}}],'completed':[{'id':'0'}]}\n"
        "{'hasNext':true,'pending':[{'id':'3','path':['items',1]},{'id':'4','path':['items',1,'sub']}],"
        "'incremental':[{'id':'1','items':[{'id':1}]},{'id':'2','items':[2]},{'id':'3','data':{'sub':["
        "0,1]}}],'completed':[{'id':'1'},{'id':'2'},{'id':'3'}]}\n"
        "{'hasNext':false,'incremental':[{'id':'4','items':[2]}],'completed':[{'id':'4'}]}\n");
}

static void test_batches(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_give(f, "Query", "numbers", numbers(f, 250));
    gf_start(&r, f, "{ numbers @stream }", NULL);
    gf_settle(f);
    assert_int_equal(r.done, 4); /* 100, 100, 50 */
    assert_non_null(strstr(r.all, ",99]}]}\n"));
    assert_non_null(strstr(r.all, ",199]}]}\n"));
    assert_non_null(strstr(r.all, "\"items\":[200,"));
    assert_true(r.over);
    gf_end(&r);
}

static void test_2022(void **state)
{
    gf *f = *state;
    f->incremental = GQL_INCREMENTAL_2022;
    gf_expect_all(
        f, "{ numbers @stream(initialCount: 1, label: \"L\") sure @stream }", NULL,
        "{'data':{'numbers':[0],'sure':[]},'hasNext':true}\n"
        "{'hasNext':true,'incremental':[{'items':[1,2],'path':['numbers',1],'label':'L'},{'items':[1,2],"
        "'path':['sure',0]}]}\n"
        "{'hasNext':false,'incremental':[{'items':null,'path':['sure'],'errors':[{'message':'Cannot "
        "return null for non-nullable field Query.sure.','locations':[{'line':1,'column':48}],'path':['"
        "sure',2],'extensions':{'code':'INTERNAL'}}]}]}\n");
}

/* --- iterators --- */
static void test_drained(void **state)
{
    gf_expect_all(*state, "{ counted waited }", NULL, "{'data':{'counted':[0,1,2,3],'waited':[0,1,2,3]}}\n");
    assert_int_equal(counters[0].calls, 5);
    assert_int_equal(counters[0].closed, 1); /* it has come to its end */
    assert_int_equal(counters[1].closed, 1);
}

static void test_iterator_fails(void **state)
{
    gf_expect_all(
        *state, "{ broken numbers }", NULL,
        "{'data':{'broken':null,'numbers':[0,1,2]},'errors':[{'message':'the source broke','locations':[{"
        "'line':1,'column':3}],'path':['broken'],'extensions':{'code':'ABORTED'}}]}\n");
    assert_int_equal(counters[2].closed, 1);
    gf_expect_all(
        *state, "{ numbers both }", NULL,
        "{'data':null,'errors':[{'message':'the source broke','locations':[{'line':1,'column':11}],'path'"
        ":['both'],'extensions':{'code':'ABORTED'}}]}\n");
    assert_int_equal(counters[3].closed, 1);
    gf_expect_all(
        *state, "{ broken @stream }", NULL,
        "{'data':{'broken':[]},'pending':[{'id':'0','path':['broken']}],'hasNext':true}\n"
        "{'hasNext':true,'incremental':[{'id':'0','items':[0,1]}]}\n"
        "{'hasNext':false,'completed':[{'id':'0','errors':[{'message':'the source broke','locations':[{'"
        "line':1,'column':3}],'path':['broken'],'extensions':{'code':'ABORTED'}}]}]}\n");
    assert_int_equal(counters[2].closed, 2);
}

static void test_streamed_iterator(void **state)
{
    gf *f = *state;
    gf_expect_all(f, "{ counted @stream(initialCount: 1) }", NULL,
                  "{'data':{'counted':[0]},'pending':[{'id':'0','path':['counted']}],'hasNext':true}\n"
                  "{'hasNext':false,'incremental':[{'id':'0','items':[1,2,3]}],'completed':[{'id':'0'}]}\n");
    assert_int_equal(counters[0].closed, 1);
    gf_expect_all(f, "{ waited @stream(initialCount: 1) }", NULL,
                  "{'data':{'waited':[0]},'pending':[{'id':'0','path':['waited']}],'hasNext':true}\n"
                  "{'hasNext':true,'incremental':[{'id':'0','items':[1,2]}]}\n"
                  "{'hasNext':false,'incremental':[{'id':'0','items':[3]}],'completed':[{'id':'0'}]}\n");
    counters[0].count = 2;
    gf_expect_all(f, "{ counted @stream(initialCount: 3) }", NULL, "{'data':{'counted':[0,1]}}\n");
    assert_int_equal(counters[0].closed, 2);
    assert_int_equal(counters[1].closed, 1);
}

/* However often it waits, the list is put together without going deep. */
static void test_waits_often(void **state)
{
    enum { OFTEN = 20000 };
    gf *f = *state;
    gf_request r;
    counters[1] = (counter){.count = OFTEN, .fail_at = -1, .wait_every = 1};
    gf_start(&r, f, "{ waited }", NULL);
    while (te_waiting(f->t) > 0)
        te_resume(f->t, te_waiting_at(f->t, 0));
    assert_true(r.over);
    assert_non_null(strstr(r.body, "{\"data\":{\"waited\":[0,1,2,"));
    assert_non_null(strstr(r.body, ",19998,19999]}}"));
    gf_end(&r);
}

/* An endless stream takes no more memory than what is under way. */
static void test_endless(void **state)
{
    gf *f = *state;
    gf_request r;
    counters[1] = (counter){.count = 1 << 30, .fail_at = -1, .wait_every = 1};
    gf_start(&r, f, "{ waited @stream }", NULL);
    gf_settle(f);
    size_t before = r.arena.used;
    for (int i = 0; i < 5000; i++) {
        te_resume(f->t, te_waiting_at(f->t, 0));
        gf_settle(f);
    }
    assert_int_equal(r.arena.used, before);
    assert_int_equal(r.done, 5001);
    gql_run_cancel(r.run);
    assert_int_equal(counters[1].closed, 1);
    gf_end(&r);
}

static void test_too_many_items(void **state)
{
    gf *f = *state;
    f->options.execute.max_list_items = 3;
    gf_expect_all(
        f, "{ counted waited }", NULL,
        "{'data':{'counted':null,'waited':null},'errors':[{'message':'The list of field "
        "\\'Query.counted\\' has more than 3 items.','locations':[{'line':1,'column':3}],'path':['counted'"
        "],'extensions':{'code':'RESOURCE_EXHAUSTED'}},{'message':'The list of field \\'Query.waited\\' has "
        "more than 3 items.','locations':[{'line':1,'column':11}],'path':['waited'],'extensions':{'code':'"
        "RESOURCE_EXHAUSTED'}}]}\n");
    assert_int_equal(counters[0].closed, 1);
    assert_int_equal(counters[1].closed, 1);
    gf_expect_all(
        f, "{ counted @stream(initialCount: 2) }", NULL,
        "{'data':{'counted':[0,1]},'pending':[{'id':'0','path':['counted']}],'hasNext':true}\n"
        "{'hasNext':true,'incremental':[{'id':'0','items':[2]}]}\n"
        "{'hasNext':false,'completed':[{'id':'0','errors':[{'message':'The list of field "
        "\\'Query.counted\\' has more than 3 items.','locations':[{'line':1,'column':3}],'path':['counted'"
        "],'extensions':{'code':'RESOURCE_EXHAUSTED'}}]}]}\n");
    assert_int_equal(counters[0].closed, 2);
}

static void test_timeout(void **state)
{
    gf *f = *state;
    gf_request r;
    counters[1] = (counter){.count = 100, .fail_at = -1, .wait_every = 1};
    gf_start(&r, f, "{ waited @stream items @stream { slow } }", NULL);
    gf_settle(f);
    te_advance(f->t, 30000);
    gf_settle(f);
    assert_true(r.over);
    assert_int_equal(te_waiting(f->t), 0);
    assert_int_equal(counters[1].closed, 1);
    assert_non_null(strstr(r.all, "{\"id\":\"0\",\"errors\":[{\"message\":\"The operation took too long.\""));
    gf_end(&r);
    gf_start(&r, f, "{ waited }", NULL);
    te_advance(f->t, 30000);
    assert_true(r.over);
    assert_int_equal(counters[1].closed, 2);
    gf_end(&r);
}

/* An iterator of which each step takes a second gives the loop back in between. */
static te_outcome count_slowly(te_invocation *in, void *data)
{
    counter *c = data;
    pl_state *state = te_state(in->t);
    te_engine()->watch(state, te_engine()->watched_at(state) + 1000);
    c->calls++;
    if (c->next < c->count)
        in->result = te_int(c->next++);
    return TE_RETURN;
}

static te_outcome open_slowly(te_invocation *in, void *data)
{
    in->result = te_function(in->t, count_slowly, data, 0);
    return TE_RETURN;
}

static void test_long_turns(void **state)
{
    static const char *const queries[] = {"{ counted }", "{ counted @stream }"};
    gf *f = *state;
    gf_resolve(f, "Query", "counted", open_slowly, &counters[0]);
    for (int i = 0; i < 2; i++) {
        gf_request r;
        counters[0] = (counter){.count = 5, .fail_at = -1};
        gf_start(&r, f, queries[i], NULL);
        for (int turns = 0; !r.over; turns++) {
            int before = counters[0].calls;
            te_advance(f->t, 0);
            assert_in_range(counters[0].calls - before, 0, 1);
            assert_in_range(turns, 0, 100);
        }
        assert_int_equal(counters[0].calls, 6);
        assert_non_null(strstr(r.all, i == 0 ? "[0,1,2,3,4]" : "[4]"));
        gf_end(&r);
    }
}

static const char query_all[] =
    "{ counted w1: waited w2: waited @stream(initialCount: 1) both @stream items @stream { id slow sub "
    "@stream(initialCount: 1) ... @defer { items @stream { slow } } } a }";

static void test_cancel(void **state)
{
    gf *f = *state;
    for (unsigned n = 0; n < 16; n++) {
        gf_request r;
        gf_start(&r, f, query_all, NULL);
        for (unsigned i = 0; i < n && !r.over; i++) {
            if (i % 2 == 0 && te_waiting(f->t) > 0)
                te_resume(f->t, te_waiting_at(f->t, i % te_waiting(f->t)));
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

static void fail_every_allocation(const char *query, bool sticky, unsigned cut_off)
{
    failing a = {.sticky = sticky};
    while (failing_next(&a)) {
        gf *f;
        gf_request r;
        setup((void **)&f);
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
    fail_every_allocation(query_all, 0, 0);
    fail_every_allocation(query_all, 1, 0);
    fail_every_allocation(query_all, 0, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rest_of_a_list, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_wrong_count, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_off, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_failed_item, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_items_that_wait, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_below_items, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_batches, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_2022, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_drained, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_iterator_fails, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_streamed_iterator, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_waits_often, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_endless, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_too_many_items, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_timeout, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_long_turns, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, gf_teardown),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
