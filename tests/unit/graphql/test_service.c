/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "support/failing.h"
#include "support/graphql_fixture.h"

/* From the text of a request to its response: the cache of documents and plans, and what is refused before
 * anything runs. */

static const char sdl[] = "type Query { a: Int b: Int c: Int node: Query slow: Int echo(x: Int): Int }\n"
                          "type Mutation { set: Int }\n"
                          "type Subscription { tick: Int }\n";

static te_outcome echo(te_invocation *in, void *data)
{
    in->result = te_get(in->args[1], "x");
    return TE_RETURN;
}

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    gf_give(&f, "Query", "a", te_int(1));
    gf_give(&f, "Query", "b", te_int(2));
    gf_give(&f, "Query", "c", te_int(3));
    gf_give(&f, "Query", "node", te_map(f.t, NULL));
    gf_wait(&f, "Query", "slow", te_int(9));
    gf_give(&f, "Mutation", "set", te_int(7));
    gf_resolve(&f, "Query", "echo", echo, NULL);
    *state = &f;
    return 0;
}

/* --- refused --- */
#define REFUSED(message) \
    "{\"errors\":[{\"message\":\"" message "\",\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}}]}"

static void expect_refused(gf *f, const char *query, const char *operation, const char *body)
{
    for (int i = 0; i < 2; i++) { /* made anew, and from the cache */
        gf_request r;
        gf_start_full(&r, f, query, operation, NULL, false);
        assert_int_equal(r.result, GQL_RESULT_REFUSED);
        gf_check(&r, body);
        gf_end(&r);
    }
}

static void test_syntax_error(void **state)
{
    expect_refused(*state, "{ a\n  b(: }", NULL,
                   "{\"errors\":[{\"message\":\"Syntax Error: Expected Name, found "
                   "\\\":\\\".\",\"locations\":[{\"line\":2,\"column\":5}],"
                   "\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}}]}");
    expect_refused(*state, "", NULL,
                   "{\"errors\":[{\"message\":\"Syntax Error: Unexpected "
                   "<EOF>.\",\"locations\":[{\"line\":1,\"column\":1}],\"extensions\":{"
                   "\"code\":\"INVALID_ARGUMENT\"}}]}");
}

static void test_validation_errors(void **state)
{
    gf *f = *state;
    expect_refused(
        f, "{ wrong other }", NULL,
        "{\"errors\":[{\"message\":\"Cannot query field \\\"wrong\\\" on type "
        "\\\"Query\\\".\",\"locations\":[{\"line\":1,\"column\":3}],"
        "\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}},{\"message\":\"Cannot query field \\\"other\\\" on "
        "type \\\"Query\\\".\","
        "\"locations\":[{\"line\":1,\"column\":9}],\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}}]}");
    assert_int_equal(gql_service_get_stats(f->service).documents, 0);
    gf_request r;
    gf_start(&r, f, "{ p q r s t u v w }", NULL);
    size_t errors = 0;
    for (const char *at = r.body; (at = strstr(at, "Cannot query")); at++)
        errors++;
    assert_int_equal(errors, 5);
    gf_end(&r);
}

static void test_operation_selection(void **state)
{
    gf *f = *state;
    static const char two[] = "query A { a } query B { b }";
    gf_request r;
    expect_refused(f, two, NULL,
                   REFUSED("Must provide operation name if query contains multiple operations."));
    expect_refused(f, two, "C", REFUSED("Unknown operation named \\\"C\\\"."));
    expect_refused(f, "query A { a }", "a", REFUSED("Unknown operation named \\\"a\\\"."));
    gf_start_full(&r, f, two, "B", NULL, false);
    gf_check(&r, "{\"data\":{\"b\":2}}");
    gf_end(&r);
    gf_start_full(&r, f, two, "A", NULL, false);
    gf_check(&r, "{\"data\":{\"a\":1}}");
    gf_end(&r);
    gf_start_full(&r, f, "{ a }", "", NULL, false); /* as clients send it that have no name to send */
    gf_check(&r, "{\"data\":{\"a\":1}}");
    gf_end(&r);
}

static void test_query_only(void **state)
{
    gf_request r;
    gf_start_full(&r, *state, "mutation { set }", NULL, NULL, true);
    assert_int_equal(r.result, GQL_RESULT_QUERY_ONLY);
    gf_check(&r, REFUSED("Can only perform a mutation operation from a POST request."));
    gf_end(&r);
    gf_start_full(&r, *state, "query A { a } mutation B { set }", "A", NULL, true);
    gf_check(&r, "{\"data\":{\"a\":1}}");
    gf_end(&r);
}

static void test_subscription(void **state)
{
    gf_request r;
    gf_start(&r, *state, "subscription { tick }", NULL);
    assert_int_equal(r.result, GQL_RESULT_NO_SUBSCRIPTION);
    gf_check(&r, REFUSED("A subscription cannot be executed over this transport."));
    gf_end(&r);
}

static void test_no_introspection(void **state)
{
    gf *f = *state;
    f->options.no_introspection = true;
    gf_request r;
    gf_start(&r, f, "{ __schema { description } }", NULL);
    assert_int_equal(r.result, GQL_RESULT_REFUSED);
    assert_non_null(strstr(r.body, "introspection"));
    gf_end(&r);
    gf_expect(f, "{ __typename a }", NULL, "{\"data\":{\"__typename\":\"Query\",\"a\":1}}");
}

static void test_limits_of_the_parser(void **state)
{
    gf *f = *state;
    f->options.parse.max_tokens = 5;
    gf_request r;
    gf_start(&r, f, "{ a b c node { a } }", NULL);
    assert_int_equal(r.result, GQL_RESULT_REFUSED);
    assert_non_null(strstr(r.body, "Document contains more than 5 tokens. Parsing aborted."));
    assert_non_null(strstr(r.body, "RESOURCE_EXHAUSTED"));
    gf_end(&r);
}

static void test_plan_limit(void **state)
{
    gf *f = *state;
    f->options.max_fields = 3;
    gf_request r;
    gf_expect(f, "{ a b c }", NULL, "{\"data\":{\"a\":1,\"b\":2,\"c\":3}}");
    gf_start(&r, f, "{ a b c node { a } }", NULL);
    assert_non_null(strstr(r.body, "The operation selects more than 3 fields."));
    assert_non_null(strstr(r.body, "RESOURCE_EXHAUSTED"));
    gf_end(&r);
}

/* --- the cache --- */
static void test_hits(void **state)
{
    gf *f = *state;
    gf_expect(f, "{ a }", NULL, "{\"data\":{\"a\":1}}");
    gf_expect(f, "{ a }", NULL, "{\"data\":{\"a\":1}}");
    gf_expect(f, "{ a b }", NULL, "{\"data\":{\"a\":1,\"b\":2}}");
    gf_expect(f, "{ a }", NULL, "{\"data\":{\"a\":1}}");
    gql_service_stats stats = gql_service_get_stats(f->service);
    assert_int_equal(stats.documents, 2);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.misses, 2);
    assert_in_range(stats.bytes, 2 * 2048, 64 << 10);
}

static void run_numbered(gf *f, int i)
{
    char query[64], response[64];
    snprintf(query, sizeof query, "{ f%d: a }", i);
    snprintf(response, sizeof response, "{\"data\":{\"f%d\":1}}", i);
    gf_expect(f, query, NULL, response);
}

static void test_eviction(void **state)
{
    gf *f = *state;
    f->options.cache_bytes = 64 << 10;
    for (int i = 0; i < 100; i++) {
        run_numbered(f, 1000 + i);
        run_numbered(f, 1000); /* is used all the time, and stays */
        assert_in_range(gql_service_get_stats(f->service).bytes, 1, 64 << 10);
    }
    gql_service_stats stats = gql_service_get_stats(f->service);
    assert_int_equal(stats.misses, 100);
    assert_int_equal(stats.hits, 100);
    assert_in_range(stats.documents, 2, 20);
}

/* Entries that are thrown out while executions use them live until those end. */
static void test_eviction_in_use(void **state)
{
    gf *f = *state;
    gf_request r[3];
    f->options.cache_bytes = 32 << 10;
    gf_start(&r[0], f, "{ slow }", NULL);
    gf_start(&r[1], f, "{ slow }", NULL);
    gf_start(&r[2], f, "query($x: Boolean!) { slow node { a @skip(if: $x) slow } }", "{\"x\":false}");
    for (int i = 0; i < 40; i++)
        run_numbered(f, i);
    gf_request again;
    gf_start(&again, f, "{ slow }", NULL); /* made anew beside the one that is still in use */
    assert_int_equal(gql_service_get_stats(f->service).misses, 43);
    while (te_waiting(f->t) > 0)
        te_resume(f->t, te_waiting_at(f->t, te_waiting(f->t) - 1));
    gf_check(&r[0], "{\"data\":{\"slow\":9}}");
    gf_check(&r[1], "{\"data\":{\"slow\":9}}");
    gf_check(&r[2], "{\"data\":{\"slow\":9,\"node\":{\"a\":1,\"slow\":9}}}");
    gf_check(&again, "{\"data\":{\"slow\":9}}");
    for (int i = 0; i < 3; i++)
        gf_end(&r[i]);
    gf_end(&again);
}

/* A document that is too large for the cache is used, and let go. */
static void test_not_cached(void **state)
{
    gf *f = *state;
    f->options.cache_bytes = 1;
    for (int i = 0; i < 3; i++)
        gf_expect(f, "query($x: Boolean = true) { a b @skip(if: $x) }", NULL, "{\"data\":{\"a\":1}}");
    gql_service_stats stats = gql_service_get_stats(f->service);
    assert_int_equal(stats.documents, 0);
    assert_int_equal(stats.bytes, 0);
    assert_int_equal(stats.misses, 3);
    gf_request r;
    gf_start(&r, f, "{ slow }", NULL);
    gql_run_cancel(r.run);
    gf_end(&r);
}

/* --- plans for values of conditions --- */
static void test_conditions(void **state)
{
    gf *f = *state;
    static const char query[] = "query($x: Boolean!) { a @skip(if: $x) b a }";
    for (int i = 0; i < 2; i++) {
        gf_expect(f, query, "{\"x\":true}", "{\"data\":{\"b\":2,\"a\":1}}");
        gf_expect(f, query, "{\"x\":false}", "{\"data\":{\"a\":1,\"b\":2}}");
    }
    assert_int_equal(gql_service_get_stats(f->service).misses, 1);
    gf_expect(f, "query($x: Boolean = false) { ...F @include(if: $x) c } fragment F on Query { a }", NULL,
              "{\"data\":{\"c\":3}}");
    gf_expect(f, "query($x: Boolean = false) { ...F @include(if: $x) c } fragment F on Query { a }",
              "{\"x\":true}", "{\"data\":{\"a\":1,\"c\":3}}");
    gf_expect(f, "{ a @skip(if: false) @include(if: false) b @include(if: true) ... @skip(if: true) { c } }",
              NULL, "{\"data\":{\"b\":2}}");
}

/* Operations of a document share fragments, but not their variables. */
static void test_conditions_by_operation(void **state)
{
    gf *f = *state;
    static const char query[] = "query A($x: Boolean!) { ...F } query B($x: Boolean! = true) { b ...F } "
                                "fragment F on Query { a @skip(if: $x) c }";
    gf_request r;
    static const char *const runs[][3] = {{"A", "{\"x\":true}", "{\"data\":{\"c\":3}}"},
                                          {"B", "{}", "{\"data\":{\"b\":2,\"c\":3}}"},
                                          {"A", "{\"x\":false}", "{\"data\":{\"a\":1,\"c\":3}}"},
                                          {"B", "{\"x\":false}", "{\"data\":{\"b\":2,\"a\":1,\"c\":3}}"}};
    for (int i = 0; i < 8; i++) {
        gf_start_full(&r, f, query, runs[i % 4][0], runs[i % 4][1], false);
        gf_check(&r, runs[i % 4][2]);
        gf_end(&r);
    }
}

/* More values of conditions than plans are kept for one document, and more conditions than are told apart. */
static void test_many_conditions(void **state)
{
    gf *f = *state;
    pl_buf query, variables, expected;
    for (int count = 6; count <= 40; count += 34) {
        pl_buf_init(&query);
        PL_BUF_LIT(&query, "query(");
        for (int i = 0; i < count; i++)
            pl_buf_printf(&query, "$x%d: Boolean! ", i);
        PL_BUF_LIT(&query, ") { c");
        for (int i = 0; i < count; i++)
            pl_buf_printf(&query, " f%d: a @include(if: $x%d)", i, i);
        PL_BUF_LIT(&query, " }\0");
        for (unsigned bits = 0; bits < 64; bits++) {
            pl_buf_init(&variables);
            pl_buf_init(&expected);
            pl_buf_char(&variables, '{');
            PL_BUF_LIT(&expected, "{\"data\":{\"c\":3");
            for (int i = 0; i < count; i++) {
                bool on = i < 32 && (bits >> i) & 1;
                pl_buf_printf(&variables, "%s\"x%d\":%s", i ? "," : "", i, on ? "true" : "false");
                if (on)
                    pl_buf_printf(&expected, ",\"f%d\":1", i);
            }
            PL_BUF_LIT(&variables, "}\0");
            PL_BUF_LIT(&expected, "}}\0");
            gf_expect(f, query.data, variables.data, expected.data);
            pl_buf_dispose(&variables);
            pl_buf_dispose(&expected);
        }
        pl_buf_dispose(&query);
    }
}

/* --- memory --- */
static void test_no_memory(void **state)
{
    static const char query[] = "query Q($x: Boolean!, $n: Int) { a @skip(if: $x) b node { echo(x: $n) ...F "
                                "} } fragment F on Query { c }";
    static const char expected[] = "{\"data\":{\"b\":2,\"node\":{\"echo\":4,\"c\":3}}}";
    for (int sticky = 0; sticky < 2; sticky++) {
        failing a = {.sticky = sticky};
        while (failing_next(&a)) {
            gf *f;
            gf_request r;
            setup((void **)&f);
            gf_restart(f);
            f->failing = &a;
            gf_start(&r, f, query, "{\"x\":true,\"n\":4}");
            bool failed = failing_end(&a);
            assert_int_equal(r.done, 1);
            if (!failed || !strstr(r.body, "RESOURCE_EXHAUSTED"))
                gf_check(&r, expected);
            else
                assert_non_null(strstr(r.body, "RESOURCE_EXHAUSTED"));
            gf_end(&r);
            f->failing = NULL;
            gf_expect(f, query, "{\"x\":true,\"n\":4}", expected); /* what failed is not kept */
            gf_close(f);
        }
    }
}

static void test_service_without_memory(void **state)
{
    gf *f = *state;
    failing a = {0};
    while (failing_next(&a)) {
        failing_begin(&a);
        gql_service *s = gql_service_new(f->binding, &f->options);
        assert_int_equal(s == NULL, failing_end(&a));
        gql_service_free(s);
    }
}

/* --- requests and errors as JSON --- */
static void check_request(const char *json, const char *expected)
{
    pl_arena arena;
    pl_value v;
    pl_error err = {0};
    gql_request request;
    pl_arena_init(&arena, 0);
    assert_int_equal(pl_json_read(&arena, pl_str_of(json), &(pl_json_limits){0}, &v, &err), PL_OK);
    pl_code code = gql_request_read(&v, &request, &err);
    if (code) {
        assert_int_equal(code, PL_INVALID_ARGUMENT);
        assert_string_equal(err.message, expected);
    } else {
        char text[200];
        snprintf(text, sizeof text, "%.*s|%.*s|%d", PL_STR_ARG(request.query),
                 PL_STR_ARG(request.operation_name),
                 request.variables ? (int)request.variables->map.count : -1);
        assert_string_equal(text, expected);
    }
    pl_arena_dispose(&arena);
}

static void test_request_read(void **state)
{
    check_request("{\"query\":\"{a}\"}", "{a}||-1");
    check_request("{\"query\":\"{a}\",\"operationName\":\"A\",\"variables\":{\"x\":1},\"extensions\":{}}",
                  "{a}|A|1");
    check_request("{\"query\":\"{a}\",\"operationName\":null,\"variables\":null,\"extensions\":null}",
                  "{a}||-1");
    check_request("[]", "The request must be a JSON object, but it is a list.");
    check_request("{}", "The request must have a \"query\".");
    check_request("{\"query\":null}", "The request must have a \"query\".");
    check_request("{\"query\":1}", "\"query\" must be a string.");
    check_request("{\"query\":\"\",\"operationName\":1}", "\"operationName\" must be a string.");
    check_request("{\"query\":\"\",\"variables\":[]}", "\"variables\" must be an object.");
    check_request("{\"query\":\"\",\"extensions\":\"\"}", "\"extensions\" must be an object.");
}

static void test_write_error(void **state)
{
    pl_buf out;
    pl_buf_init(&out);
    gql_write_error(&out, PL_UNAUTHENTICATED, PL_STR("say \"who\""));
    pl_buf_char(&out, '\0');
    assert_string_equal(
        out.data,
        "{\"errors\":[{\"message\":\"say \\\"who\\\"\",\"extensions\":{\"code\":\"UNAUTHENTICATED\"}}]}");
    pl_buf_dispose(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_syntax_error, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_validation_errors, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_operation_selection, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_query_only, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_subscription, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_no_introspection, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_limits_of_the_parser, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_plan_limit, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_hits, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_eviction, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_eviction_in_use, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_not_cached, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_conditions, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_conditions_by_operation, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_many_conditions, setup, gf_teardown),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test_setup_teardown(test_service_without_memory, setup, gf_teardown),
        cmocka_unit_test(test_request_read),
        cmocka_unit_test(test_write_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
