/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/local.h"
#include "base/alloc.h"
#include "perilune/engines.h"

/* Directives with implementations in Lua: bound by the core, called by the engine; so whole bundles. */

#define LOCAL(schema, resolvers, app) \
    MEMORY_BUNDLE("app.lua", app, "resolvers/r.lua", resolvers, "schema/s.graphql", schema)

static pl_local *open_local(pl_bundle *bundle, pl_report *report)
{
    pl_error err = {0};
    pl_local_options options = {.engine = pl_lua_engine()};
    pl_local *local = pl_local_open(bundle, &options, report, &err);
    pl_bundle_unref(bundle);
    return local;
}

static pl_local *open_ok(pl_bundle *bundle)
{
    pl_report report;
    pl_report_init(&report);
    pl_local *local = open_local(bundle, &report);
    if (!local)
        fail_msg("%s", report_text(&report));
    pl_report_dispose(&report);
    return local;
}

static const char *ask(pl_local *local, const char *query)
{
    static char text[8192];
    char request[2048];
    pl_buf response;
    pl_error err = {0};
    pl_buf_init(&response);
    snprintf(request, sizeof(request), "{\"query\":\"%s\"}", query);
    assert_int_equal(pl_local_execute(local, pl_str_of(request), &response, &err), PL_OK);
    snprintf(text, sizeof(text), "%.*s", PL_STR_ARG(pl_buf_view(&response)));
    pl_buf_dispose(&response);
    return text;
}

static const char schema[] =
    "directive @upper on FIELD_DEFINITION\n"
    "directive @add(text: String! = \"!\", times: Int) repeatable on FIELD_DEFINITION | OBJECT | INTERFACE\n"
    "directive @wait on FIELD_DEFINITION\n"
    "directive @describe(kind: Kind, list: [Int!]) on FIELD_DEFINITION\n"
    "enum Kind { BIG SMALL }\n"
    "interface Named @add(text: \"(interface)\") { name: String @add(text: \"(inherited)\") alias: String "
    "@upper "
    "}\n"
    "type Query { plain: String resolved: String @upper property: Thing order: String @add(text: \"1\") "
    "@add(text: \"2\") @add\n"
    "  slow(s: String): String @wait @upper described: [String!] @describe(kind: BIG, list: 1) root: String "
    "@upper meta: Meta }\n"
    "type Thing implements Named { name: String @upper alias: String other: String @upper }\n"
    "type Meta @add(text: \"(type)\") { name: String @add(text: \"(field)\") other: String }\n";

static const char resolvers[] =
    "local time, json = require 'perilune.time', require 'perilune.json'\n"
    "calls = 0\n"
    "return {\n"
    "  Query = { plain = function() return 'plain' end, resolved = function() return 'resolved' end,\n"
    "    property = function() return setmetatable({ name = 'n' }, { __index = { alias = 'a', other = 'o' } "
    "}) "
    "end,\n"
    "    order = function() return '' end, slow = function(_, args) time.sleep(0.001) return args.s end,\n"
    "    meta = function() return { name = 'n' } end },\n"
    "  Kind = { BIG = 'large' },\n"
    "  ['@upper'] = function(resolve, args, field) calls = calls + 1\n"
    "    return function(parent, a, ctx, info) local v = resolve(parent, a, ctx, info) return v and "
    "v:upper() "
    "end end,\n"
    "  ['@add'] = function(resolve, args) return function(...) return (resolve(...) or '') .. args.text end "
    "end,\n"
    "  ['@wait'] = function(resolve) return function(...) time.sleep(0.001) return resolve(...) end end,\n"
    "  ['@describe'] = function(resolve, args, field)\n"
    "    local text = json.encode({ args = args, field = field }, { sorted = true })\n"
    "    return function() return { text } end end,\n"
    "}\n";

static void test_resolvers_are_wrapped(void **state)
{
    pl_local *local = open_ok(LOCAL(schema, resolvers, "return {}"));
    assert_string_equal(ask(local, "{ plain resolved root }"),
                        "{\"data\":{\"plain\":\"plain\",\"resolved\":\"RESOLVED\",\"root\":null}}");
    assert_string_equal(ask(local, "{ slow(s: \\\"waited\\\") }"), "{\"data\":{\"slow\":\"WAITED\"}}");
    /* The first written is the outermost. */
    assert_string_equal(ask(local, "{ order }"), "{\"data\":{\"order\":\"!21\"}}");
    pl_local_close(local);
}

static void test_of_types_and_interfaces(void **state)
{
    pl_local *local = open_ok(LOCAL(schema, resolvers, "return {}"));
    /* Named.name's @add is inherited, and stands outside of the field's own @upper. */
    assert_string_equal(
        ask(local, "{ property { name alias other } }"),
        "{\"data\":{\"property\":{\"name\":\"N(inherited)(interface)\",\"alias\":\"A(interface)\""
        ",\"other\":\"O(interface)\"}}}");
    assert_string_equal(ask(local, "{ meta { name other } }"),
                        "{\"data\":{\"meta\":{\"name\":\"n(field)(type)\",\"other\":\"(type)\"}}}");
    pl_local_close(local);
}

static void test_what_they_are_told(void **state)
{
    pl_local *local = open_ok(LOCAL(schema, resolvers, "return {}"));
    assert_string_equal(
        ask(local, "{ described }"),
        "{\"data\":{\"described\":[\"{\\\"args\\\":{\\\"kind\\\":\\\"large\\\",\\\"list\\\":[1]},"
        "\\\"field\\\":{"
        "\\\"directives\\\":[{\\\"args\\\":{\\\"kind\\\":\\\"large\\\",\\\"list\\\":[1]},\\\"name\\\":"
        "\\\"describe\\\"}],\\\"field_name\\\":\\\"described\\\",\\\"parent_type\\\":\\\"Query\\\","
        "\\\"return_type\\\":{\\\"kind\\\":\\\"LIST\\\",\\\"of_type\\\":{\\\"kind\\\":\\\"NON_NULL\\\","
        "\\\"of_type\\\":{\\\"kind\\\":\\\"SCALAR\\\",\\\"name\\\":\\\"String\\\"}}}}}\"]}}");
    pl_local_close(local);
}

static void test_default_resolver_of_the_bundle(void **state)
{
    pl_local *local = open_ok(
        LOCAL("directive @upper on FIELD_DEFINITION type Query { a: String @upper b: String }",
              "return { ['@upper'] = function(resolve) return function(...) return resolve(...):upper() "
              "end end }",
              "return { default_resolver = function(_, _, _, info) return 'the ' .. info.field_name "
              "end }"));
    assert_string_equal(ask(local, "{ a b }"), "{\"data\":{\"a\":\"THE A\",\"b\":\"the b\"}}");
    pl_local_close(local);
}

static void refused(const char *sdl, const char *lua, const char *expected, int line)
{
    pl_report report;
    pl_report_init(&report);
    pl_local *local = open_local(LOCAL(sdl, lua, "return {}"), &report);
    if (local || strcmp(report_text(&report), expected) != 0) {
        print_error("%s:%d: expected:\n%sgot:\n%s", __FILE__, line, expected, report_text(&report));
        pl_local_close(local);
        pl_report_dispose(&report);
        _fail(__FILE__, line);
    }
    pl_report_dispose(&report);
}
#define refuses(sdl, lua, expected) refused(sdl, lua, expected, __LINE__)

static void test_mistakes(void **state)
{
    static const char sdl[] = "directive @x on FIELD_DEFINITION directive @e on ENUM_VALUE\n"
                              "type Query { a: Int @x }";
    refuses(sdl, "return {\n['@y'] = function() end }",
            "resolvers/r.lua:2: There is an implementation of \"@y\", which the schema does not define.\n");
    refuses(
        sdl, "return {\n['@skip'] = function() end }",
        "resolvers/r.lua:2: There is an implementation of \"@skip\", which the server itself implements.\n");
    refuses(sdl, "return {\n['@e'] = function() end }",
            "resolvers/r.lua:2: There is an implementation of \"@e\", which the schema allows on none of "
            "FIELD_DEFINITION, OBJECT and INTERFACE: it would never be called.\n");
    refuses(sdl, "return { ['@x'] = {} }",
            "resolvers/r.lua: \"@x\" must be a function(resolve, args, field), not a map.\n");
    refuses(sdl, "return {\n\n['@x'] = function() end }",
            "resolvers/r.lua:3: @x on Query.a: the implementation must return a resolver, not nothing.\n");
    refuses(sdl, "return { ['@x'] = function()\n  error 'what?'\n end }",
            "resolvers/r.lua:2: @x on Query.a: what?\n");
    refuses(sdl, "return {\n ['@x'] = function() error(require('perilune.errors').internal 'what?') end }",
            "resolvers/r.lua:2: @x on Query.a: what?\n");
    refuses(
        sdl, "return { ['@x'] = function()\n require('perilune.time').sleep(1) end }",
        "resolvers/r.lua:2: @x on Query.a: time.sleep cannot wait here: top-level code runs before there is "
        "a loop to wait on\n");
}

static void test_implemented_twice(void **state)
{
    static const char code[] = "return {\n['@x'] = function(r) return r end }";
    pl_report report;
    pl_report_init(&report);
    assert_null(open_local(MEMORY_BUNDLE("resolvers/a.lua", code, "resolvers/b.lua", code, "schema/s.graphql",
                                         "directive @x on FIELD_DEFINITION type Query { a: Int @x }"),
                           &report));
    assert_string_equal(report_text(&report),
                        "resolvers/b.lua:2: \"@x\" is implemented twice: here and in resolvers/a.lua.\n");
    pl_report_dispose(&report);
}

/* An implementation that never ends is stopped by the limit of top-level code. */
static void test_load_time(void **state)
{
    pl_report report;
    pl_report_init(&report);
    assert_null(open_local(LOCAL("directive @x on FIELD_DEFINITION type Query { a: Int @x }",
                                 "return { ['@x'] = function() while true do end end }",
                                 "return { limits = { load_time = 0.05 } }"),
                           &report));
    assert_has(report_text(&report), "@x on Query.a: ");
    pl_report_dispose(&report);
}

/* Whatever allocation fails: there is an error or a bundle that works, and nothing leaks. */
static void test_memory(void **state)
{
    for (size_t n = 1;; n++) {
        pl_report report;
        pl_error err = {0};
        pl_bundle *bundle = LOCAL(schema, resolvers, "return {}");
        pl_local_options options = {.engine = pl_lua_engine()};
        pl_report_init(&report);
        pl_alloc_fail_at(n, false);
        pl_local *local = pl_local_open(bundle, &options, &report, &err);
        bool failed = pl_alloc_fail_at(0, 0) >= n;
        pl_bundle_unref(bundle);
        if (local)
            assert_string_equal(ask(local, "{ order }"), "{\"data\":{\"order\":\"!21\"}}");
        pl_local_close(local);
        pl_report_dispose(&report);
        if (!failed)
            break;
        n += n / 50;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolvers_are_wrapped),
        cmocka_unit_test(test_of_types_and_interfaces),
        cmocka_unit_test(test_what_they_are_told),
        cmocka_unit_test(test_default_resolver_of_the_bundle),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_implemented_twice),
        cmocka_unit_test(test_load_time),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
