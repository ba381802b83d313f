/* SPDX-License-Identifier: MIT */
#include "support/graphql_fixture.h"

/* Root fields of a mutation run one after the other, each with all that it waits for. */

static const char sdl[] =
    "type Query { a: Int }\n"
    "type Node { id: Int slow: Int sure: Int! next: Node }\n"
    "type Mutation { one: Node two: Node three(x: Int): Int must: Int! mustNode: Node! }\n";

typedef struct order {
    gf *f;
    pl_buf log;
} order;

static te_outcome note(te_invocation *in, void *data)
{
    order *o = data;
    pl_str name = te_text(te_get(in->args[3], "field_name"));
    pl_buf_printf(&o->log, "%.*s ", PL_STR_ARG(name));
    in->result = pl_str_is(name, "three") ? te_int(3) : te_map(in->t, "id", te_int(1), NULL);
    return TE_RETURN;
}

static te_outcome note_and_wait(te_invocation *in, void *data)
{
    note(in, data);
    in->label = "waits";
    if (te_get(in->args[0], "id").kind != PL_KIND_ABSENT)
        in->result = te_int(7);
    return TE_PEND;
}

static int setup(void **state)
{
    static gf f;
    static order o;
    gf_open(&f, sdl);
    o.f = &f;
    pl_buf_init(&o.log);
    gf_resolve(&f, "Mutation", "one", note, &o);
    gf_resolve(&f, "Mutation", "two", note_and_wait, &o);
    gf_resolve(&f, "Mutation", "three", note, &o);
    gf_resolve(&f, "Node", "slow", note_and_wait, &o);
    *state = &o;
    return 0;
}

static int teardown(void **state)
{
    order *o = *state;
    pl_buf_dispose(&o->log);
    gf_close(o->f);
    return 0;
}

static void check_order(order *o, const char *expected)
{
    pl_buf_char(&o->log, '\0');
    assert_string_equal(o->log.data, expected);
    o->log.len--;
}

static void test_without_waits(void **state)
{
    order *o = *state;
    gf_expect(o->f, "mutation { b: three one { id } c: three __typename }", NULL,
              "{\"data\":{\"b\":3,\"one\":{\"id\":1},\"c\":3,\"__typename\":\"Mutation\"}}");
    check_order(o, "three one three ");
}

static void test_serial_order(void **state)
{
    order *o = *state;
    gf_request r;
    gf_start(&r, o->f, "mutation { one { slow id } two { id slow } three }", NULL);
    check_order(o, "one slow ");
    te_resume(o->f->t, te_waiting_at(o->f->t, 0));
    check_order(o, "one slow two ");
    te_resume(o->f->t, te_waiting_at(o->f->t, 0));
    check_order(o, "one slow two slow ");
    assert_int_equal(r.done, 0);
    te_resume(o->f->t, te_waiting_at(o->f->t, 0));
    check_order(o, "one slow two slow three ");
    gf_check(&r, "{\"data\":{\"one\":{\"slow\":7,\"id\":1},\"two\":{\"id\":1,\"slow\":7},\"three\":3}}");
    gf_end(&r);
}

static void test_failure_goes_on(void **state)
{
    order *o = *state;
    gf_request r;
    pl_failure failure = {.code = PL_ABORTED, .expected = true, .message = PL_STR("no two")};
    gf_start(&r, o->f, "mutation { two { id } three }", NULL);
    te_fail_call(o->f->t, te_waiting_at(o->f->t, 0), &failure);
    gf_check(&r, "{\"data\":{\"two\":null,\"three\":3},\"errors\":[{\"message\":\"no "
                 "two\",\"locations\":[{\"line\":1,\"column\":12}],"
                 "\"path\":[\"two\"],\"extensions\":{\"code\":\"ABORTED\"}}]}");
    gf_end(&r);
}

#define MUST_ERROR                                                 \
    "{\"message\":\"Cannot return null for non-nullable field "    \
    "Mutation.must.\",\"locations\":[{\"line\":1,\"column\":12}]," \
    "\"path\":[\"must\"],\"extensions\":{\"code\":\"INTERNAL\"}}"

/* Null that reaches data ends the operation: what comes after does not run. */
static void test_null_data_stops(void **state)
{
    order *o = *state;
    gf_give(o->f, "Mutation", "must", te_null());
    gf_expect(o->f, "mutation { must three }", NULL, "{\"data\":null,\"errors\":[" MUST_ERROR "]}");
    check_order(o, "");
}

static void test_null_data_after_a_wait(void **state)
{
    order *o = *state;
    gf_wait(o->f, "Mutation", "must", te_null());
    gf_expect_in_turn(o->f, "mutation { must three }", "{\"data\":null,\"errors\":[" MUST_ERROR "]}");
    check_order(o, "");
}

/* Null that goes up to data from a field takes along what already waits below that field. */
static void test_null_data_cancels(void **state)
{
    order *o = *state;
    gf_give(o->f, "Mutation", "mustNode", te_map(o->f->t, NULL));
    gf_expect(o->f, "mutation { mustNode { slow sure } three }", NULL,
              "{\"data\":null,\"errors\":[{\"message\":\"Cannot return null for non-nullable field "
              "Node.sure.\",\"locations\":[{\"line\":1,"
              "\"column\":28}],\"path\":[\"mustNode\",\"sure\"],\"extensions\":{\"code\":\"INTERNAL\"}}]}");
    assert_int_equal(te_count(o->f->t).cancelled, 1);
    check_order(o, "slow ");
}

/* At the deadline, what has not begun is not begun. */
static void test_timeout(void **state)
{
    order *o = *state;
    gf_request r;
    o->f->options.execute.timeout_ms = 50;
    gf_start(&r, o->f, "mutation { one { id slow } two { id } three }", NULL);
    te_advance(o->f->t, 50);
    gf_check(&r, "{\"data\":{\"one\":{\"id\":1,\"slow\":null},\"two\":null,\"three\":null},\"errors\":["
                 "{\"message\":\"The operation took too "
                 "long.\",\"locations\":[{\"line\":1,\"column\":21}],\"path\":[\"one\",\"slow\"],"
                 "\"extensions\":{\"code\":\"DEADLINE_EXCEEDED\"}},"
                 "{\"message\":\"The operation took too "
                 "long.\",\"locations\":[{\"line\":1,\"column\":28}],\"path\":[\"two\"],"
                 "\"extensions\":{\"code\":\"DEADLINE_EXCEEDED\"}},"
                 "{\"message\":\"The operation took too "
                 "long.\",\"locations\":[{\"line\":1,\"column\":39}],\"path\":[\"three\"],"
                 "\"extensions\":{\"code\":\"DEADLINE_EXCEEDED\"}}]}");
    check_order(o, "one slow ");
    gf_end(&r);
}

static void test_timeout_before_a_non_null_field(void **state)
{
    order *o = *state;
    gf_request r;
    gf_give(o->f, "Mutation", "must", te_int(1));
    gf_start(&r, o->f, "mutation { two { id } must three }", NULL);
    te_advance(o->f->t, 30000);
    gf_check(&r, "{\"data\":null,\"errors\":[{\"message\":\"The operation took too "
                 "long.\",\"locations\":[{\"line\":1,\"column\":12}],"
                 "\"path\":[\"two\"],\"extensions\":{\"code\":\"DEADLINE_EXCEEDED\"}},{\"message\":\"The "
                 "operation took too long.\","
                 "\"locations\":[{\"line\":1,\"column\":23}],\"path\":[\"must\"],\"extensions\":{\"code\":"
                 "\"DEADLINE_EXCEEDED\"}}]}");
    gf_end(&r);
}

static void test_cancel_between(void **state)
{
    order *o = *state;
    gf_request r;
    gf_start(&r, o->f, "mutation { two { id } three }", NULL);
    gql_run_cancel(r.run);
    assert_int_equal(r.done, 0);
    assert_int_equal(te_count(o->f->t).cancelled, 1);
    check_order(o, "two ");
    gf_end(&r);
}

/* A field whose response name is given twice runs once. */
static void test_merged_root_fields(void **state)
{
    order *o = *state;
    gf_expect(o->f, "mutation { one { id } three one { next { id } } }", NULL,
              "{\"data\":{\"one\":{\"id\":1,\"next\":null},\"three\":3}}");
    check_order(o, "one three ");
}

static void test_all_skipped(void **state)
{
    order *o = *state;
    gf_expect(o->f, "mutation { three @skip(if: true) }", NULL, "{\"data\":{}}");
    check_order(o, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serial_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failure_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_null_data_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_null_data_after_a_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_null_data_cancels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timeout_before_a_non_null_field, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_between, setup, teardown),
        cmocka_unit_test_setup_teardown(test_merged_root_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_skipped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
