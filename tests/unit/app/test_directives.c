/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/local_harness.h"
#include "support/failing.h"

/* Directives with implementations in Lua: bound by the core, called by the engine; so whole bundles. */

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
    pl_local *local = local_open_ok(LOCAL_BUNDLE(schema, resolvers, "return {}"), NULL);
    assert_string_equal(local_ask(local, "{ plain resolved root }"),
                        "{\"data\":{\"plain\":\"plain\",\"resolved\":\"RESOLVED\",\"root\":null}}");
    assert_string_equal(local_ask(local, "{ slow(s: \\\"waited\\\") }"), "{\"data\":{\"slow\":\"WAITED\"}}");
    /* The first written is the outermost. */
    assert_string_equal(local_ask(local, "{ order }"), "{\"data\":{\"order\":\"!21\"}}");
    pl_local_close(local);
}

static void test_of_types_and_interfaces(void **state)
{
    pl_local *local = local_open_ok(LOCAL_BUNDLE(schema, resolvers, "return {}"), NULL);
    /* Named.name's @add is inherited, and stands outside of the field's own @upper. */
    assert_string_equal(
        local_ask(local, "{ property { name alias other } }"),
        "{\"data\":{\"property\":{\"name\":\"N(inherited)(interface)\",\"alias\":\"A(interface)\""
        ",\"other\":\"O(interface)\"}}}");
    assert_string_equal(local_ask(local, "{ meta { name other } }"),
                        "{\"data\":{\"meta\":{\"name\":\"n(field)(type)\",\"other\":\"(type)\"}}}");
    pl_local_close(local);
}

static void test_what_they_are_told(void **state)
{
    pl_local *local = local_open_ok(LOCAL_BUNDLE(schema, resolvers, "return {}"), NULL);
    assert_string_equal(
        local_ask(local, "{ described }"),
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
    pl_local *local = local_open_ok(
        LOCAL_BUNDLE(
            "directive @upper on FIELD_DEFINITION type Query { a: String @upper b: String }",
            "return { ['@upper'] = function(resolve) return function(...) return resolve(...):upper() "
            "end end }",
            "return { default_resolver = function(_, _, _, info) return 'the ' .. info.field_name "
            "end }"),
        NULL);
    assert_string_equal(local_ask(local, "{ a b }"), "{\"data\":{\"a\":\"THE A\",\"b\":\"the b\"}}");
    pl_local_close(local);
}

static void refused(const char *sdl, const char *lua, const char *expected, int line)
{
    pl_report report;
    pl_report_init(&report);
    pl_local *local = local_open(LOCAL_BUNDLE(sdl, lua, "return {}"), NULL, &report);
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
            "resolvers/r.lua:2: There is an implementation of \"@e\" for fields, where the schema does not "
            "allow it: "
            "it would never be called.\n");
    refuses(sdl, "return { ['@x'] = 1 }",
            "resolvers/r.lua: \"@x\" must be a function(resolve, args, field), not an integer.\n");
    refuses(sdl, "return { ['@x'] = { field = 1 } }",
            "resolvers/r.lua: \"@x\": field must be a function, not an integer.\n");
    refuses(sdl, "return { ['@x'] = {\n fields = print } }",
            "resolvers/r.lua: \"@x\" has \"fields\"; what it can have is field and argument.\n");
    refuses(
        sdl, "return { ['@x'] = {\n argument = function() end } }",
        "resolvers/r.lua:2: There is an implementation of \"@x\" for arguments and input fields, where the "
        "schema does not allow it: it would never be called.\n");
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

/* --- arguments and input fields --- */
static const char inputs[] =
    "directive @trim on ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION\n"
    "directive @length(max: Int!) repeatable on ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION\n"
    "directive @both on ARGUMENT_DEFINITION | FIELD_DEFINITION\n"
    "directive @told on ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION\n"
    "input Filter { text: String @trim @length(max: 3) and: [Filter!] plain: Int other: Other }\n"
    "input Other { name: String! @trim, told: Int @told }\n"
    "type Query { echo(text: String = \" d \" @trim, n: Int): String, find(filter: Filter, deep: [[Other]]): "
    "String\n"
    "  both(a: String @both): String @both property(a: String @length(max: 1)): String told(a: [Int!] "
    "@told): "
    "String }\n"
    "type Subscription { tick(text: String @trim): String }\n";

static const char transforms[] =
    "local json, errors = require 'perilune.json', require 'perilune.errors'\n"
    "local function show(_, args) return json.encode(args, { sorted = true }) end\n"
    "local seen = {}\n"
    "return { Query = { echo = show, find = show, both = function(_, args) return args.a end,\n"
    "    told = function() return table.concat(seen, ' ') end },\n"
    "  Subscription = { tick = function(_, args) local text = args.text return function() local v = text "
    "text = "
    "nil return v end end },\n"
    "  ['@trim'] = { argument = function() return function(value) return (value:gsub('^ +', ''):gsub(' +$', "
    "'')) "
    "end end },\n"
    "  ['@length'] = { argument = function(args, input) return function(value, ctx)\n"
    "    if #value > args.max then error(errors.invalid_argument('too long', { [input.name] = ctx.protocol "
    "})) "
    "end\n"
    "    return value end end },\n"
    "  ['@both'] = { argument = function() return function(value) require('perilune.time').sleep(0.001) "
    "return "
    "value .. 'A' end end,\n"
    "    field = function(resolve) return function(...) return resolve(...) .. 'F' end end },\n"
    "  ['@told'] = { argument = function(args, input)\n"
    "    seen[#seen + 1] = (input.field_name and input.parent_type .. '.' .. input.field_name or "
    "input.parent_type) .. ':' .. input.name .. ':' .. input.type.kind\n"
    "    return function(value) return value end end } }\n";

static void test_arguments(void **state)
{
    pl_local *local = local_open_ok(LOCAL_BUNDLE(inputs, transforms, "return {}"), NULL);
    assert_string_equal(
        local_ask(local, "{ echo a: echo(text: \\\"  x y \\\", n: 1) b: echo(text: null) }"),
        "{\"data\":{\"echo\":\"{\\\"text\\\":\\\"d\\\"}\",\"a\":\"{\\\"n\\\":1,\\\"text\\\":\\\"x "
        "y\\\"}\",\"b\":\"{}\"}}");
    assert_string_equal(local_ask(local,
                                  "{ find(filter: { text: \\\" a \\\", plain: 1, and: [{ other: { name: "
                                  "\\\" b\\\" } }, { and: [] }] }, "
                                  "deep: [[{ name: \\\"c \\\" }, null], null]) }"),
                        "{\"data\":{\"find\":\"{\\\"deep\\\":[[{\\\"name\\\":\\\"c\\\"},null],null],"
                        "\\\"filter\\\":{\\\"and\\\":[{"
                        "\\\"other\\\":{\\\"name\\\":\\\"b\\\"}},{\\\"and\\\":[]}],\\\"plain\\\":1,"
                        "\\\"text\\\":\\\"a\\\"}}\"}}");
    assert_has(local_ask(local, "{ find(filter: { and: [{ text: \\\"abcd\\\" }] }) }"),
               "\"message\":\"too "
               "long\",\"locations\":[{\"line\":1,\"column\":3}],\"path\":[\"find\"],\"extensions\":{"
               "\"code\":\"INVALID_ARGUMENT\",\"violations\":{\"text\":\"graphql\"}}");
    assert_string_equal(local_ask(local, "{ find(filter: { text: \\\" abc \\\" }) }"),
                        "{\"data\":{\"find\":\"{\\\"filter\\\":{\\\"text\\\":\\\"abc\\\"}}\"}}");
    /* A function that waits; and one directive for both. */
    assert_string_equal(local_ask(local, "{ both(a: \\\"x\\\") }"), "{\"data\":{\"both\":\"xAF\"}}");
    assert_has(local_ask(local, "{ property(a: \\\"xx\\\") }"), "too long");
    assert_string_equal(local_ask(local, "{ property(a: \\\"x\\\") }"), "{\"data\":{\"property\":null}}");
    assert_string_equal(local_ask(local, "{ told }"),
                        "{\"data\":{\"told\":\"Other:told:SCALAR Query.told:a:LIST\"}}");
    pl_local_close(local);
}

static void test_argument_mistakes(void **state)
{
    static const char sdl[] = "directive @x on INPUT_FIELD_DEFINITION | ARGUMENT_DEFINITION\n"
                              "input I { i: Int @x } type Query { a(i: I, b: Int @x): Int }";
    refuses(
        sdl, "return {\n['@x'] = function() end }",
        "resolvers/r.lua:2: There is an implementation of \"@x\" for fields, where the schema does not allow "
        "it: it would never be called.\n");
    refuses(sdl, "return { ['@x'] = {\n argument = function() error 'what?' end } }",
            "resolvers/r.lua:2: @x on I.i: what?\n");
    refuses(
        sdl,
        "return { ['@x'] = { argument = function(_, input)\n return input.field_name == nil and print or nil "
        "end } }",
        "resolvers/r.lua:1: @x on Query.a:b: the implementation must return a function(value, ctx), not "
        "nothing.\n");
}

static void test_implemented_twice(void **state)
{
    static const char code[] = "return {\n['@x'] = function(r) return r end }";
    pl_report report;
    pl_report_init(&report);
    assert_null(local_open(MEMORY_BUNDLE("resolvers/a.lua", code, "resolvers/b.lua", code, "schema/s.graphql",
                                         "directive @x on FIELD_DEFINITION type Query { a: Int @x }"),
                           NULL, &report));
    assert_string_equal(report_text(&report),
                        "resolvers/b.lua:2: \"@x\" is implemented twice: here and in resolvers/a.lua.\n");
    pl_report_dispose(&report);
}

/* An implementation that never ends is stopped by the limit of top-level code. */
static void test_load_time(void **state)
{
    pl_report report;
    pl_report_init(&report);
    assert_null(local_open(LOCAL_BUNDLE("directive @x on FIELD_DEFINITION type Query { a: Int @x }",
                                        "return { ['@x'] = function() while true do end end }",
                                        "return { limits = { load_time = 0.05 } }"),
                           NULL, &report));
    assert_has(report_text(&report), "@x on Query.a: ");
    pl_report_dispose(&report);
}

/* Whatever allocation fails: there is an error or a bundle that works, and nothing leaks. */
static void fail_all(const char *sdl, const char *lua, const char *query, const char *expected)
{
    failing a = {.dense = 50, .step = 5};
    while (failing_next(&a)) {
        pl_report report;
        pl_error err = {0};
        pl_bundle *bundle = LOCAL_BUNDLE(sdl, lua, "return {}");
        pl_local_options options = {.engine = pl_lua_engine()};
        pl_report_init(&report);
        failing_begin(&a);
        pl_local *local = pl_local_open(bundle, &options, &report, &err);
        bool failed = failing_end(&a);
        pl_bundle_unref(bundle);
        assert_true(local || failed);
        if (local)
            assert_string_equal(local_ask(local, query), expected);
        pl_local_close(local);
        pl_report_dispose(&report);
    }
}

static void test_memory(void **state)
{
    fail_all(schema, resolvers, "{ order }", "{\"data\":{\"order\":\"!21\"}}");
    fail_all(inputs, transforms, "{ both(a: \\\"x\\\") }", "{\"data\":{\"both\":\"xAF\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolvers_are_wrapped),
        cmocka_unit_test(test_of_types_and_interfaces),
        cmocka_unit_test(test_what_they_are_told),
        cmocka_unit_test(test_default_resolver_of_the_bundle),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_argument_mistakes),
        cmocka_unit_test(test_implemented_twice),
        cmocka_unit_test(test_load_time),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
