/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/generation.h"
#include "app/services.h"
#include "grpc/service.h"
#include "perilune/engines.h"
#include "support/failing.h"

static pl_generation *build(pl_bundle *bundle, unsigned workers, pl_report *report)
{
    pl_generation_options options = {.engine = pl_lua_engine(), .workers = workers};
    return pl_generation_build(bundle, &options, report);
}

static pl_generation *build_ok(pl_bundle *bundle, unsigned workers)
{
    pl_report report;
    pl_report_init(&report);
    pl_generation *g = build(bundle, workers, &report);
    if (!g)
        fail_msg("%s", report_text(&report));
    pl_report_dispose(&report);
    pl_bundle_unref(bundle);
    return g;
}

static void expect_report(pl_bundle *bundle, const char *expected, const char *file, int line)
{
    pl_report report;
    pl_report_init(&report);
    assert_null(build(bundle, 2, &report));
    pl_bundle_unref(bundle);
    if (strcmp(report_text(&report), expected) != 0) {
        print_error("%s:%d: expected:\n%s\ngot:\n%s\n", file, line, expected, report_text(&report));
        _fail(file, line);
    }
    pl_report_dispose(&report);
}
#define REFUSED(expected, ...) expect_report(MEMORY_BUNDLE(__VA_ARGS__), expected, __FILE__, __LINE__)

static const pl_grpc_method *method(const pl_generation *g, unsigned worker, const char *path)
{
    const pl_grpc_method *m = pl_grpc_service_find(g->instances[worker]->grpc, pl_str_of(path));
    if (!m)
        fail_msg("there is no %s", path);
    return m;
}

/* --- what is right --- */
static void test_methods_of_all_kinds(void **state)
{
    pl_generation *g = build_ok(
        MEMORY_BUNDLE(
            "services/a.lua",
            "return { ['a.A'] = { Plain = function(req, call) end, Named = { unary = function(req) end },\n"
            "  Out = { server_streaming = function(req, call) end }, In = { client_streaming = "
            "function(call) end },\n"
            "  Both = { bidi_streaming = function() end } } }",
            "services/deep/b.lua", "return { ['a.A'] = { More = print }, B = { _x9 = function(...) end } }",
            "services/readme.txt", "no Lua", "other/c.lua", "return { ['c.C'] = { C = print } }"),
        2);
    for (unsigned i = 0; i < 2; i++) {
        pl_grpc_service *s = g->instances[i]->grpc;
        assert_int_equal(pl_grpc_service_count(s), 7);
        assert_true(pl_grpc_service_has(s, PL_STR("a.A")));
        assert_true(pl_grpc_service_has(s, PL_STR("B")));
        assert_false(pl_grpc_service_has(s, PL_STR("c.C")));
        assert_false(pl_grpc_service_has(s, PL_STR("a")));
        const pl_grpc_method *plain = method(g, i, "/a.A/Plain"), *out = method(g, i, "/a.A/Out");
        const pl_grpc_method *in = method(g, i, "/a.A/In"), *both = method(g, i, "/a.A/Both");
        assert_true(!plain->client_streaming && !plain->server_streaming && plain->arity == 2);
        assert_true(!out->client_streaming && out->server_streaming && out->arity == 2);
        assert_true(in->client_streaming && !in->server_streaming && in->arity == 1);
        assert_true(both->client_streaming && both->server_streaming && both->arity == 0);
        assert_int_equal(method(g, i, "/a.A/Named")->arity, 1);
        assert_true(method(g, i, "/a.A/More")->arity >= 2); /* of C: it may look at all */
        assert_true(method(g, i, "/B/_x9")->arity >= 2);    /* the same */
        assert_ptr_equal(method(g, i, "/a.A/Out"), out);    /* again, and behind others */
        assert_null(pl_grpc_service_find(s, PL_STR("/a.A/plain")));
        assert_ptr_equal(method(g, i, "/a.A/Out"), out);
        assert_null(pl_grpc_service_find(s, PL_STR("a.A/Plain")));
    }
    pl_generation_free(g);
}

static void test_bundles_without_services(void **state)
{
    pl_bundle *bundle = MEMORY_BUNDLE("app.lua", "return {}", "services/readme.txt", "");
    assert_false(pl_bundle_has_services(bundle));
    pl_generation *g = build_ok(bundle, 1);
    assert_null(g->instances[0]->grpc);
    pl_generation_free(g);
    bundle = MEMORY_BUNDLE("services/none.lua", "return {}");
    assert_true(pl_bundle_has_services(bundle));
    g = build_ok(bundle, 1);
    assert_int_equal(pl_grpc_service_count(g->instances[0]->grpc), 0);
    pl_generation_free(g);
}

/* --- what is wrong --- */
#define KINDS                                                                                                 \
    " must be a function, or a table { unary = function }, { server_streaming = … }, { client_streaming = " \
    "… "                                                                                                    \
    "} or { bidi_streaming = … }, not "
#define FILE_TABLE                                                                                          \
    "services/a.lua: A file of services must return a table { [\"package.Service\"] = { Method = function " \
    "} }"

static void test_wrong_files(void **state)
{
    REFUSED(FILE_TABLE ", not a string.\n", "services/a.lua", "return 'a'");
    REFUSED(FILE_TABLE ", not nothing.\n", "services/a.lua", "local a = 1");
    REFUSED(FILE_TABLE ": an entry is not named by a string.\n", "services/a.lua",
            "return { [1.5] = { A = print } }");
    REFUSED("services/a.lua: The service a.A must be a table { Method = function }, not a boolean.\n",
            "services/a.lua", "return { ['a.A'] = true }");
    REFUSED(
        "services/a.lua: The service a.A must be a table { Method = function }: an entry is not named by a "
        "string.\n",
        "services/a.lua", "return { ['a.A'] = { [true] = print } }");
    REFUSED("services/a.lua: \"a A\" is no name of a service: it is like \"package.Service\".\n",
            "services/a.lua", "return { ['a A'] = { A = print } }");
    REFUSED("services/a.lua: \"\" is no name of a service: it is like \"package.Service\".\n",
            "services/a.lua", "return { [''] = { A = print } }");
}

static void test_wrong_methods(void **state)
{
    REFUSED("services/a.lua: a.A.B" KINDS "an integer.\n", "services/a.lua",
            "return { ['a.A'] = { B = 1 } }");
    REFUSED("services/a.lua: a.A.B" KINDS "a map.\n", "services/a.lua",
            "return { ['a.A'] = { B = { stream = print } } }");
    REFUSED("services/a.lua: a.A.B" KINDS "a map.\n", "services/a.lua",
            "return { ['a.A'] = { B = { unary = 1 } } }");
    REFUSED("services/a.lua: The service a.A: \"B/C\" is no name of a method.\n", "services/a.lua",
            "return { ['a.A'] = { ['B/C'] = print } }");
    REFUSED("services/b.lua: The method a.A/B is there already, in another file.\n", "services/a.lua",
            "return { ['a.A'] = { B = print } }", "services/b.lua", "return { ['a.A'] = { B = print } }");
}

/* --- memory --- */
static void test_memory_failures(void **state)
{
    pl_bundle *bundle = MEMORY_BUNDLE(
        "services/a.lua", "return { ['a.A'] = { B = function(r) end, C = { bidi_streaming = print } } }",
        "services/b.lua", "return { ['a.B'] = { B = print } }");
    for (int sticky = 0; sticky < 2; sticky++) {
        failing a = {.sticky = sticky};
        while (failing_next(&a)) {
            pl_report report;
            pl_report_init(&report);
            failing_begin(&a);
            pl_generation *g = build(bundle, 1, &report);
            assert_true(failing_end(&a) || g);
            if (g) { /* nothing is missing */
                assert_int_equal(pl_grpc_service_count(g->instances[0]->grpc), 3);
                assert_true(method(g, 0, "/a.A/C")->client_streaming);
                assert_true(pl_grpc_service_has(g->instances[0]->grpc, PL_STR("a.B")));
            } else {
                assert_has(report_text(&report), "memory");
            }
            pl_report_dispose(&report);
            pl_generation_free(g);
        }
        assert_true(a.failed > 100);
    }
    pl_bundle_unref(bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods_of_all_kinds), cmocka_unit_test(test_bundles_without_services),
        cmocka_unit_test(test_wrong_files), cmocka_unit_test(test_wrong_methods),
        cmocka_unit_test(test_memory_failures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
