/* SPDX-License-Identifier: MIT */
/* Whether an operation may run: limits, cost and a client's budget, through the service. */
#include "support/failing.h"
#include "support/graphql_fixture.h"

static const char sdl[] =
    "type Query { a: Int @deprecated users(first: Int): [User] @listSize(slicingArguments: [\"first\"])\n"
    "  paid: Int @cost(weight: \"0.25\") node: N }\n"
    "type User { id: Int }\n"
    "interface N { x: N }\n"
    "type Mutation { set: Int }\n";

/* A budget. */
typedef struct budget {
    double left;
    unsigned asked;
    double cost; /* of the last one */
} budget;

static bool admit(void *data, pl_work *work, double cost, gql_throttle *out)
{
    budget *b = data;
    bool enough = cost <= b->left;
    b->asked++;
    b->cost = cost;
    b->left -= enough ? cost : 0;
    *out =
        (gql_throttle){.capacity = 100, .left = b->left, .refill = 2.5, .retry_after_ms = enough ? 0 : 1500};
    return enough;
}

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    gf_give(&f, "Query", "a", te_int(1));
    gf_give(&f, "Query", "paid", te_int(2));
    gf_give(&f, "Mutation", "set", te_int(7));
    *state = &f;
    return 0;
}

static void expect(gf *f, const char *query, const char *variables, gql_result result, const char *body)
{
    gf_request r;
    gf_start(&r, f, query, variables);
    assert_int_equal(r.result, result);
    gf_check(&r, body);
    gf_end(&r);
}

static void test_limits(void **state)
{
    gf *f = *state;
    f->options.limits.max_aliases = 1;
    for (int i = 0; i < 2; i++)
        expect(f, "query Q { x: a y: a }", NULL, GQL_RESULT_REFUSED,
               "{\"errors\":[{\"message\":\"Operation \\\"Q\\\" has 2 aliases; graphql.max_aliases allows "
               "1.\",\"locations\":[{"
               "\"line\":1,\"column\":1}],\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\",\"limit\":\"max_"
               "aliases\",\"value\":2,"
               "\"maximum\":1}}]}");
}

static void test_refuse_deprecated(void **state)
{
    gf *f = *state;
    gf_expect(f, "{ a }", NULL, "{\"data\":{\"a\":1}}");
    f->options.no_deprecated = true;
    gf_restart(f);
    expect(f, "{ a }", NULL, GQL_RESULT_REFUSED,
           "{\"errors\":[{\"message\":\"The field Query.a is deprecated. No longer "
           "supported\",\"locations\":[{\"line\":1,"
           "\"column\":3}],\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}}]}");
}

static void test_max_cost(void **state)
{
    gf *f = *state;
    f->options.cost.max_cost = 3;
    static const char query[] = "query($n: Int) { users(first: $n) { id } }";
    expect(f, query, "{\"n\":3}", GQL_RESULT_DATA, "{\"data\":{\"users\":null}}");
    expect(f, query, "{\"n\":4}", GQL_RESULT_REFUSED,
           "{\"errors\":[{\"message\":\"The operation costs 4; graphql.max_cost allows "
           "3.\",\"locations\":[{\"line\":1,\"column\":1}],"
           "\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\",\"limit\":\"max_cost\",\"value\":4,\"maximum\":3}"
           "}]}");
    expect(f, query, "{}", GQL_RESULT_REFUSED,
           "{\"errors\":[{\"message\":\"Field \\\"users\\\" needs a number for exactly one of its arguments "
           "\\\"first\\\", but has 0.\","
           "\"locations\":[{\"line\":1,\"column\":18}],\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}}]}");
    expect(f, "mutation { set }", NULL, GQL_RESULT_REFUSED,
           "{\"errors\":[{\"message\":\"The operation costs 10; graphql.max_cost allows "
           "3.\",\"locations\":[{\"line\":1,\"column\":1}],"
           "\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\",\"limit\":\"max_cost\",\"value\":10,\"maximum\":"
           "3}}]}");
}

static void test_budget(void **state)
{
    gf *f = *state;
    budget b = {.left = 12};
    f->options.cost.admit = admit;
    f->options.cost.admit_data = &b;
    expect(f, "mutation { set }", NULL, GQL_RESULT_DATA, "{\"data\":{\"set\":7}}");
    assert_true(b.cost == 10 && b.left == 2);
    expect(f, "mutation { set }", NULL, GQL_RESULT_THROTTLED,
           "{\"errors\":[{\"message\":\"Too many operations: this one costs 10, and 2 are left of "
           "graphql.rate_limit. Try again in "
           "1.5 "
           "s.\",\"locations\":[{\"line\":1,\"column\":1}],\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\","
           "\"limit\":\"rate_limit\","
           "\"value\":10,\"maximum\":100,\"retryAfter\":1.500}}]}");
    expect(f, "{ users(first: 200) { id } }", NULL, GQL_RESULT_THROTTLED,
           "{\"errors\":[{\"message\":\"The operation costs 200, more than graphql.rate_limit.capacity, "
           "which is 100.\",\"locations\":[{"
           "\"line\":1,\"column\":1}],\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\",\"limit\":\"rate_"
           "limit\",\"value\":200,"
           "\"maximum\":100}}]}");
    expect(f, "{ paid }", NULL, GQL_RESULT_DATA, "{\"data\":{\"paid\":2}}");
    assert_true(b.left == 1.75);
    assert_int_equal(b.asked, 4);
    /* what is refused anyway takes nothing */
    f->options.cost.max_cost = 1;
    gf_restart(f);
    gf_request r;
    gf_start(&r, f, "mutation { set }", NULL);
    gf_end(&r);
    assert_int_equal(b.asked, 4);
}

static void test_no_memory(void **state)
{
    (void)state;
    failing a = {0};
    while (failing_next(&a)) {
        gf *f;
        gf_request r;
        budget b = {.left = 100};
        setup((void **)&f);
        f->options.cost.admit = admit;
        f->options.cost.admit_data = &b;
        gf_restart(f);
        f->failing = &a;
        gf_start(&r, f, "query($n: Int) { users(first: $n) { id } }", "{\"n\":4}");
        bool failed = failing_end(&a);
        assert_int_equal(r.done, 1);
        if (!failed || strcmp(r.body, "{\"data\":{\"users\":null}}") == 0)
            gf_check(&r, "{\"data\":{\"users\":null}}");
        else
            assert_non_null(strstr(r.body, "\"code\":\"RESOURCE_EXHAUSTED\""));
        gf_end(&r);
        gf_close(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_limits, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_refuse_deprecated, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_max_cost, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_budget, setup, gf_teardown),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
