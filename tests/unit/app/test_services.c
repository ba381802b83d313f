/* SPDX-License-Identifier: MIT */
#include "app/services.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"
#include "app/generation.h"
#include "app/proto_load.h"
#include "grpc/codec_proto.h"
#include "grpc/service.h"
#include "perilune/engines.h"
#include "support/failing.h"

pl_str test_protos(void);

#define SERVICE(methods) "return {\n  [\"test.v1.Users\"] = {\n" methods "  },\n}\n"
#define F "function() end"

/* Of services/a.lua, and the messages of the tests. */
static pl_bundle *bundle_of(const char *services, bool described)
{
    pl_error err;
    const pl_file files[] = {{PL_STR("services/a.lua"), pl_str_of(services)},
                             {PL_STR("proto/all.binpb"), test_protos()}};
    pl_bundle *bundle = pl_bundle_from_memory(files, described ? 2 : 1, &err);
    assert_non_null(bundle);
    return bundle;
}

static pl_generation *build(pl_bundle *bundle, pl_proto_cache *cache, pl_report *report)
{
    pl_generation_options options = {.engine = pl_lua_engine(), .workers = 1, .protos = cache};
    pl_generation *g = pl_generation_build(bundle, &options, report);
    pl_bundle_unref(bundle);
    return g;
}

static const pl_grpc_method *method(const pl_generation *g, const char *path)
{
    return pl_grpc_service_find(g->instances[0]->grpc, pl_str_of(path));
}

static void expect(const char *services, bool described, const char *expected, const char *file, int line)
{
    pl_report report;
    pl_report_init(&report);
    pl_generation *g = build(bundle_of(services, described), NULL, &report);
    const char *text = report_text(&report);
    if (strcmp(text, expected) != 0) {
        print_error("%s:%d: expected:\n%s\ngot:\n%s\n", file, line, expected, text);
        _fail(file, line);
    }
    pl_generation_free(g);
    pl_report_dispose(&report);
}
#define REPORTS(services, expected) expect(services, true, expected, __FILE__, __LINE__)
#define REPORTS_BYTES(services, expected) expect(services, false, expected, __FILE__, __LINE__)

static void test_described(void **state)
{
    pl_report report;
    pl_report_init(&report);
    pl_generation *g = build(bundle_of(SERVICE("Get = function(req) end,\n"
                                               "Watch = function(req, call) end,\n"
                                               "Upload = { client_streaming = function(call) end },\n"
                                               "Chat = " F ",\n"),
                                       true),
                             NULL, &report);
    if (!g)
        fail_msg("%s", report_text(&report));
    assert_string_equal(report_text(&report), "");
    const struct {
        const char *path;
        bool client, server;
        const char *input, *output;
    } cases[] = {{"/test.v1.Users/Get", false, false, "test.v1.Route", "test.v1.User"},
                 {"/test.v1.Users/Watch", false, true, "test.v1.Route", "test.v1.User"},
                 {"/test.v1.Users/Upload", true, false, "test.v1.User", "test.v1.Route"},
                 {"/test.v1.Users/Chat", true, true, "test.v1.User", "test.v1.User"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pl_grpc_method *m = method(g, cases[i].path);
        assert_non_null(m);
        assert_int_equal(m->client_streaming, cases[i].client);
        assert_int_equal(m->server_streaming, cases[i].server);
        assert_ptr_equal(m->codec, &pl_grpc_proto_codec);
        assert_true(pl_str_is(((const pl_grpc_proto_type *)m->input)->message->full_name, cases[i].input));
        assert_true(pl_str_is(((const pl_grpc_proto_type *)m->output)->message->full_name, cases[i].output));
        assert_true(pl_str_is(m->descriptor->service->full_name, "test.v1.Users"));
    }
    assert_int_equal(method(g, "/test.v1.Users/Get")->arity, 1);
    pl_generation_free(g);
    pl_report_dispose(&report);
}

static void test_bytes(void **state)
{
    const char *text = "return { [\"raw.S\"] = { A = " F ", B = { bidi_streaming = " F " } } }";
    for (int described = 0; described < 2; described++) {
        pl_report report;
        pl_report_init(&report);
        pl_generation *g =
            build(bundle_of(described ? "return { [\"raw.S\"] = { B = { bidi_streaming = " F " } } }" : text,
                            described),
                  NULL, &report);
        assert_non_null(g);
        const pl_grpc_method *m = method(g, "/raw.S/B");
        assert_true(m->client_streaming && m->server_streaming && !m->descriptor);
        assert_ptr_equal(m->codec, &pl_grpc_bytes_codec);
        pl_generation_free(g);
        pl_report_dispose(&report);
    }
}

static void test_what_is_wrong(void **state)
{
    REPORTS(
        SERVICE("gett = " F ",\n"),
        "services/a.lua:3: The service test.v1.Users (in everything.proto) has no method \"gett\". Did you "
        "mean \"Get\"?\n");
    REPORTS(SERVICE("Remove = " F ",\n"),
            "services/a.lua:3: The service test.v1.Users (in everything.proto) has no method \"Remove\".\n");
    REPORTS(SERVICE("Get = 5"), "services/a.lua: test.v1.Users.Get must be a function, not an integer.\n");
    REPORTS(SERVICE("Get = {}"), "services/a.lua: test.v1.Users.Get must be a function, not a map.\n");
    REPORTS(SERVICE("Watch = { unary = " F " }"),
            "services/a.lua:3: The method test.v1.Users.Watch is server_streaming in everything.proto, not "
            "unary: a plain function is enough.\n");
    REPORTS("return { [\"test.v1.User\"] = { Get = " F ", Put = " F " } }",
            "services/a.lua:1: There is no service \"test.v1.User\" in proto/. Did you mean "
            "\"test.v1.Users\"?\n");
    REPORTS("return { [\"x.Y\"] = { Get = " F " } }",
            "services/a.lua:1: There is no service \"x.Y\" in proto/. If its messages are bytes, say of each "
            "method which kind it is: { unary = function }.\n");
    REPORTS("return { [\"test.v1.Users\"] = 5 }",
            "services/a.lua: The service test.v1.Users must be a table { Method = function }, not an "
            "integer.\n");
    REPORTS_BYTES("return { [\"x.Y\"] = { Get = 5 } }",
                  "services/a.lua: x.Y.Get must be a function, or a table { unary = function }, { "
                  "server_streaming = … }, { client_streaming = … } or { bidi_streaming = … }, not an "
                  "integer.\n");
    REPORTS_BYTES("return { [\"no name\"] = {} }",
                  "services/a.lua: \"no name\" is no name of a service: it is "
                  "like \"package.Service\".\n");
}

/* Every other one of its problems is told, too. */
static void test_all_of_a_service(void **state)
{
    pl_report report;
    pl_report_init(&report);
    assert_null(build(bundle_of(SERVICE("Gett = " F ",\nWatsh = " F ",\n"), true), NULL, &report));
    assert_has(report_text(&report), "\"Get\"");
    assert_has(report_text(&report), "\"Watch\"");
    pl_report_dispose(&report);
}

static void test_missing_methods(void **state)
{
    REPORTS(SERVICE("Get = " F ",\nUpload = " F ",\nChat = " F ",\n"),
            "warning: test.v1.Users.Watch (in proto/everything.proto) has no function: it answers "
            "UNIMPLEMENTED.\n");
    REPORTS("return {}", "");
}

static void test_no_memory(void **state)
{
    pl_proto_cache *cache = pl_proto_cache_new();
    pl_report report;
    pl_report_init(&report);
    pl_generation_free(build(bundle_of("return {}", true), cache, &report));
    pl_report_dispose(&report);
    for (int sticky = 0; sticky < 2; sticky++) {
        failing a = {.sticky = sticky, .dense = 400, .step = 11};
        while (failing_next(&a)) {
            pl_bundle *bundle = bundle_of(SERVICE("Get = " F ",\nWatch = " F ",\n"), true);
            pl_report_init(&report);
            failing_begin(&a);
            pl_generation *g = build(bundle, cache, &report);
            assert_true(failing_end(&a) || g);
            if (g) /* all of it, or nothing */
                assert_true(method(g, "/test.v1.Users/Get") && method(g, "/test.v1.Users/Watch"));
            else
                assert_has(report_text(&report), "memory");
            pl_generation_free(g);
            pl_report_dispose(&report);
        }
        assert_true(a.failed > 100);
    }
    pl_proto_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_described),       cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_what_is_wrong),   cmocka_unit_test(test_all_of_a_service),
        cmocka_unit_test(test_missing_methods), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
