/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/local_harness.h"
#include "support/failing.h"

static const char schema[] = "type Query { hello(name: String = \"world\"): String, slow(s: Float!): String, "
                             "spin: Int, fails: Int, deep: [Query!] }\n"
                             "type Mutation { next: Int! }";
static const char resolvers[] = "local time = require 'perilune.time'\n"
                                "local n = 0\n"
                                "return { Query = {\n"
                                "  hello = function(_, args) return 'Hello, ' .. args.name end,\n"
                                "  slow = function(_, args) time.sleep(args.s) return 'slow' end,\n"
                                "  spin = function() " SPIN " end,\n"
                                "  fails = function() error('it broke') end,\n"
                                "  deep = function() return { {}, {} } end,\n"
                                "}, Mutation = { next = function() n = n + 1 return n end } }";

static pl_local *open_ok(void)
{
    return local_open_ok(MEMORY_BUNDLE("schema/s.graphql", schema, "resolvers/r.lua", resolvers), NULL);
}

static void test_executes(void **state)
{
    pl_local *local = open_ok();
    assert_string_equal(local_execute(local, "{\"query\":\"{ hello }\"}"),
                        "{\"data\":{\"hello\":\"Hello, world\"}}");
    assert_string_equal(
        local_execute(local,
                      "{\"query\":\"query ($n: String) { hello(name: $n) }\",\"variables\":{\"n\":\"Ada\"}}"),
        "{\"data\":{\"hello\":\"Hello, Ada\"}}");
    for (int i = 1; i < 50; i++) {
        char expected[64];
        snprintf(expected, sizeof(expected), "{\"data\":{\"next\":%d}}", i);
        assert_string_equal(local_execute(local, "{\"query\":\"mutation { next }\"}"), expected);
    }
    assert_string_equal(
        local_execute(local,
                      "{\"query\":\"query A { hello } query B { deep { hello } }\",\"operationName\":\"B\"}"),
        "{\"data\":{\"deep\":[{\"hello\":\"Hello, world\"},{\"hello\":\"Hello, world\"}]}}");
    assert_non_null(pl_local_instance(local)->service);
    pl_local_close(local);
    pl_local_close(NULL);
}

static void test_waits(void **state)
{
    pl_local *local = open_ok();
    uint64_t begin = clock_ms();
    assert_string_equal(local_execute(local, "{\"query\":\"{ a: slow(s: 0.02) b: slow(s: 0.01) hello }\"}"),
                        "{\"data\":{\"a\":\"slow\",\"b\":\"slow\",\"hello\":\"Hello, world\"}}");
    assert_true(clock_ms() - begin >= 19);
    assert_string_equal(local_execute(local, "{\"query\":\"{ slow(s: 0) }\"}"),
                        "{\"data\":{\"slow\":\"slow\"}}");
    pl_local_close(local);
}

static void test_appends_to_the_buffer(void **state)
{
    pl_local *local = open_ok();
    pl_buf response;
    pl_error err = {0};
    pl_buf_init(&response);
    PL_BUF_LIT(&response, "> ");
    assert_int_equal(pl_local_execute(local, PL_STR("{\"query\":\"{hello}\"}"), &response, &err), PL_OK);
    assert_true(pl_str_is(pl_buf_view(&response), "> {\"data\":{\"hello\":\"Hello, world\"}}"));
    pl_buf_dispose(&response);
    pl_local_close(local);
}

static void test_errors(void **state)
{
    pl_local *local = open_ok();
    assert_has(local_execute(local, "{\"query\":\"{ fails }\"}"),
               "{\"data\":{\"fails\":null},\"errors\":[{\"message\":\"Internal server error\"");
    assert_has(local_execute(local, "{\"query\":\"{ nope }\"}"),
               "{\"errors\":[{\"message\":\"Cannot query field \\\"nope\\\" on type \\\"Query\\\".");
    assert_has(local_execute(local, "{\"query\":\"{\"}"), "{\"errors\":[{\"message\":\"Syntax Error");
    assert_has(local_execute(local, "{\"query\":"), "INVALID_ARGUMENT: ");
    assert_has(local_execute(local, ""), "INVALID_ARGUMENT: ");
    assert_has(local_execute(local, "[]"), "INVALID_ARGUMENT: ");
    assert_has(local_execute(local, "{}"), "INVALID_ARGUMENT: ");
    assert_string_equal(local_execute(local, "{\"query\":\"{ hello }\"}"),
                        "{\"data\":{\"hello\":\"Hello, world\"}}");
    pl_local_close(local);
}

static void test_limits(void **state)
{
    /* The caller's win over app.lua's. */
    pl_bundle *bundle = MEMORY_BUNDLE("app.lua", "return { limits = { run_time = 100 } }", "schema/s.graphql",
                                      schema, "resolvers/r.lua", resolvers);
    pl_local *local = local_open_ok(bundle, &(pl_state_limits){.run_ms = 30});
    uint64_t begin = clock_ms();
    assert_has(local_execute(local, "{\"query\":\"{ spin hello }\"}"), "\"code\":\"DEADLINE_EXCEEDED\"");
    assert_true(clock_ms() - begin < 10000);
    assert_string_equal(local_execute(local, "{\"query\":\"{ hello }\"}"),
                        "{\"data\":{\"hello\":\"Hello, world\"}}");
    pl_local_close(local);
}

static void test_what_cannot_be_opened(void **state)
{
    pl_report report;
    pl_error err = {0};
    pl_local_options options = {.engine = pl_lua_engine()};
    pl_report_init(&report);
    pl_bundle *bundle = MEMORY_BUNDLE("schema/s.graphql", schema, "resolvers/r.lua", "return {");
    assert_null(pl_local_open(bundle, &options, &report, &err));
    assert_int_equal(err.code, PL_OK);
    assert_has(report_text(&report), "resolvers/r.lua:1: ");
    pl_bundle_unref(bundle);
    pl_report_dispose(&report);

    pl_local *local = local_open_ok(MEMORY_BUNDLE("app.lua", "return {}"), NULL);
    assert_string_equal(local_execute(local, "{\"query\":\"{ hello }\"}"),
                        "FAILED_PRECONDITION: the bundle has no schema");
    pl_local_close(local);
}

typedef struct answer {
    unsigned calls;
    char text[256];
} answer;

static void on_answer(void *data, pl_str response)
{
    answer *a = data;
    a->calls++;
    snprintf(a->text, sizeof(a->text), "%.*s", PL_STR_ARG(response));
}

/* What is in hand at the end hears of it, once. */
static void test_close_with_operations_in_hand(void **state)
{
    pl_local *local = open_ok();
    answer answers[4] = {{.calls = 0}};
    pl_error err = {0};
    pl_state *s = pl_local_instance(local)->state;
    pl_host *host = ((pl_state_head *)s)->host;
    static const char *const requests[] = {
        "{\"query\":\"{ slow(s: 1000) }\"}", "{\"query\":\"{ a: slow(s: 0.001) }\"}",
        "{\"query\":\"{ a: slow(s: 1000) b: slow(s: 1000) fails }\"}", "{\"query\":\"{ hello }\"}"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(host->ops->execute(host, s, pl_str_of(requests[i]), on_answer, &answers[i], &err),
                         PL_OK);
    assert_int_equal(answers[3].calls, 1);
    local_execute(local, "{\"query\":\"{ slow(s: 0.03) }\"}");
    assert_string_equal(answers[1].text, "{\"data\":{\"a\":\"slow\"}}");
    assert_int_equal(answers[0].calls + answers[2].calls, 0);
    pl_local_close(local);
    for (int i = 0; i < 4; i++)
        assert_int_equal(answers[i].calls, 1);
    assert_has(answers[0].text, "{\"errors\":[");
}

static void test_memory_failures(void **state)
{
    pl_bundle *bundle =
        MEMORY_BUNDLE("app.lua", "return {}", "schema/s.graphql", "type Query { a: Int }", "resolvers/r.lua",
                      "return { Query = { a = function() return 1 end } }");
    pl_local_options options = {.engine = pl_lua_engine()};
    /* Each one at first, where the parts are made; some of those of the engine. */
    failing a = {.sticky = true, .dense = 40, .step = 37};
    while (failing_next(&a)) {
        pl_report report;
        pl_error err = {0};
        pl_report_init(&report);
        failing_begin(&a);
        pl_local *local = pl_local_open(bundle, &options, &report, &err);
        assert_true(failing_end(&a) || local);
        assert_true(local || err.code == PL_RESOURCE_EXHAUSTED || pl_report_has_errors(&report));
        if (local)
            assert_string_equal(local_execute(local, "{\"query\":\"{ a }\"}"), "{\"data\":{\"a\":1}}");
        pl_local_close(local);
        pl_report_dispose(&report);
    }
    pl_bundle_unref(bundle);
    /* A request without memory. */
    pl_local *local = open_ok();
    a = (failing){.sticky = true};
    while (failing_next(&a)) {
        pl_buf response;
        pl_error err = {0};
        pl_buf_init(&response);
        failing_begin(&a);
        pl_code code =
            pl_local_execute(local, PL_STR("{\"query\":\"{ hello slow(s: 0) }\"}"), &response, &err);
        bool failed = failing_end(&a);
        assert_true(code == PL_OK || (failed && code == PL_RESOURCE_EXHAUSTED));
        pl_buf_dispose(&response);
    }
    assert_string_equal(local_execute(local, "{\"query\":\"{ hello }\"}"),
                        "{\"data\":{\"hello\":\"Hello, world\"}}");
    pl_local_close(local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_executes),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_appends_to_the_buffer),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_what_cannot_be_opened),
        cmocka_unit_test(test_close_with_operations_in_hand),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
