/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/generation.h"
#include "perilune/engines.h"
#include "support/failing.h"
#include "value/shared.h"

#define SCHEMA "schema/schema.graphql"
#define HELLO "type Query { hello: String, other: Int }\n"

/* The Lua engine with little time for top-level code, app.lua's too. */
static pl_code state_new_in_haste(const pl_engine *engine, const pl_state_config *config, pl_state **out,
                                  pl_error *err)
{
    pl_state_config hasty = *config;
    hasty.limits.load_ms = 40;
    hasty.limits.memory = (size_t)8 << 20;
    return pl_lua_engine()->state_new(engine, &hasty, out, err);
}

static pl_generation *build_with(pl_bundle *bundle, unsigned workers, bool haste, pl_report *report)
{
    pl_engine engine = *pl_lua_engine();
    if (haste)
        engine.state_new = state_new_in_haste;
    pl_generation_options options = {.engine = haste ? &engine : pl_lua_engine(), .workers = workers};
    return pl_generation_build(bundle, &options, report);
}

/* The bundle is refused, and this is all the report says (of each line only the beginning up to a '~'). The
 * report is read when the bundle has gone. */
static void expect_report(pl_bundle *bundle, bool haste, const char *expected, const char *file, int line)
{
    pl_report report;
    pl_report_init(&report);
    pl_generation *g = build_with(bundle, 2, haste, &report);
    pl_bundle_unref(bundle);
    const char *text = report_text(&report), *at = text;
    bool same = g == NULL && pl_report_has_errors(&report);
    for (const char *p = expected; same && *p; p++) {
        if (*p == '~')
            at = strchr(at, '\n');
        else
            same = *at++ == *p;
    }
    if (!same || *at) {
        print_error("%s:%d: expected:\n%s\ngot:\n%s\n", file, line, expected, text);
        _fail(file, line);
    }
    pl_report_dispose(&report);
}
#define REFUSED(expected, ...) expect_report(MEMORY_BUNDLE(__VA_ARGS__), false, expected, __FILE__, __LINE__)
#define REFUSED_IN_HASTE(expected, ...) \
    expect_report(MEMORY_BUNDLE(__VA_ARGS__), true, expected, __FILE__, __LINE__)

/* Builds it; the warnings go to *warnings. */
static pl_generation *build_ok(pl_bundle *bundle, unsigned workers, char *warnings, size_t size)
{
    pl_report report;
    pl_report_init(&report);
    pl_generation *g = build_with(bundle, workers, false, &report);
    if (!g)
        fail_msg("%s", report_text(&report));
    assert_false(pl_report_has_errors(&report));
    if (warnings)
        snprintf(warnings, size, "%s", report_text(&report));
    pl_report_dispose(&report);
    pl_bundle_unref(bundle);
    return g;
}

/* --- running a query that does not wait --- */

typedef struct result {
    bool done;
    char text[2048];
} result;

static void on_payload(void *data, const gql_payload *payload)
{
    result *r = data;
    r->done = true;
    snprintf(r->text, sizeof(r->text), "%.*s", PL_STR_ARG(payload->body));
}

static void expect_answer(pl_instance *instance, const char *query, const char *expected)
{
    pl_arena arena;
    result r = {.done = false};
    pl_arena_init(&arena, 0);
    pl_work work = {.protocol = "graphql", .id = PL_STR("1"), .arena = &arena, .ctx = PL_REF_NONE};
    gql_request request = {.query = pl_str_of(query)};
    gql_service_run(instance->service, &request, &work, on_payload, &r);
    assert_true(r.done);
    pl_engine_of(instance->state)->work_end(instance->state, &work);
    assert_string_equal(r.text, expected);
    pl_arena_dispose(&arena);
}

/* --- what is right --- */

static void test_builds_an_instance_for_each_worker(void **state)
{
    char warnings[512];
    pl_generation *g =
        build_ok(MEMORY_BUNDLE("app.lua", "return { name = 'n', graphql = { max_errors = 1 } }", SCHEMA,
                               HELLO, "lib/count.lua", "local n = 0 return function() n = n + 1 return n end",
                               "resolvers/a.lua",
                               "local count = require 'lib.count'\n"
                               "return { Query = { hello = function() return 'world' end, other = function() "
                               "return count() end } }"),
                 3, warnings, sizeof(warnings));
    assert_string_equal(warnings, "");
    assert_int_equal(g->instance_count, 3);
    assert_int_equal(g->instances_left, 3);
    assert_true(pl_str_is(g->config.name, "n"));
    for (unsigned i = 0; i < 3; i++) {
        assert_ptr_equal(g->instances[i]->generation, g);
        /* Each has a state of its own. */
        expect_answer(g->instances[i], "{ hello other }", "{\"data\":{\"hello\":\"world\",\"other\":1}}");
    }
    expect_answer(g->instances[0], "{ other }", "{\"data\":{\"other\":2}}");
    pl_generation_free(g);
    pl_generation_free(NULL);
}

static void test_schema_of_several_files(void **state)
{
    pl_generation *g = build_ok(
        MEMORY_BUNDLE("schema/b.gql", "extend type Query { b: Int }", "schema/a.graphqls",
                      "type Query { a: Int }", "schema/deep/c.graphql", "extend type Query { c: Int }",
                      "other.graphql", "type Query { x: ! }", "resolvers/q.lua",
                      "return { Query = { a = function() return 1 end } }", "resolvers/deep/r.lua",
                      "return { Query = { b = function() return 2 end, c = function() return 3 end } }"),
        1, NULL, 0);
    expect_answer(g->instances[0], "{ a b c }", "{\"data\":{\"a\":1,\"b\":2,\"c\":3}}");
    pl_generation_free(g);
}

static void test_bundle_without_a_schema(void **state)
{
    pl_generation *g = build_ok(
        MEMORY_BUNDLE("app.lua", "return { timers = { t = { every = 1, run = print } } }"), 2, NULL, 0);
    assert_null(g->schema);
    assert_null(g->instances[0]->service);
    assert_int_not_equal(g->instances[0]->timers[0], PL_REF_NONE);
    assert_int_not_equal(g->instances[1]->timers[0], PL_REF_NONE);
    pl_generation_free(g);
    REFUSED("resolvers/a.lua: There are resolvers, but the bundle has no schema/*.graphql.\n",
            "resolvers/a.lua", "return {}");
}

static void test_warns_of_root_fields_without_resolver(void **state)
{
    char warnings[512];
    pl_generation *g = build_ok(
        MEMORY_BUNDLE(SCHEMA, "type Query { a: Int\n  b: T }\ntype T { x: Int }\ntype Mutation { m: Int }",
                      "resolvers/a.lua", "return { Query = { a = function() end } }"),
        3, warnings, sizeof(warnings));
    assert_string_equal(warnings, SCHEMA ":2:3: warning: Query.b has no resolver: it is always null.\n" SCHEMA
                                         ":4:17: warning: Mutation.m has no resolver: it is always null.\n");
    pl_generation_free(g);
    g = build_ok(MEMORY_BUNDLE(SCHEMA, "type Query { a: Int }", "app.lua",
                               "return { default_resolver = function(p, a, c, info) return 7 end }"),
                 1, warnings, sizeof(warnings));
    assert_string_equal(warnings, "");
    expect_answer(g->instances[0], "{ a }", "{\"data\":{\"a\":7}}");
    pl_generation_free(g);
}

static void test_types_of_all_kinds(void **state)
{
    pl_generation *g = build_ok(
        MEMORY_BUNDLE(
            SCHEMA,
            "type Query { colour: Colour, scalar: Twice, u: U, i: I }\nenum Colour { RED GREEN }\nscalar "
            "Twice\n"
            "type A implements I { x: Int }\nunion U = A\ninterface I { x: Int }",
            "resolvers/a.lua",
            "return { Query = { colour = function() return 2 end, scalar = function() return 4 end,\n"
            "    u = function() return { x = 1 } end, i = function() return { x = 2 } end },\n"
            "  Colour = { RED = 1, GREEN = 2 }, Twice = { serialize = function(v) return v * 2 end },\n"
            "  U = { __resolve_type = function() return 'A' end }, I = { __resolve_type = function() return "
            "'A' end } }"),
        1, NULL, 0);
    expect_answer(g->instances[0], "{ colour scalar u { ... on A { x } } i { x } }",
                  "{\"data\":{\"colour\":\"GREEN\",\"scalar\":8,\"u\":{\"x\":1},\"i\":{\"x\":2}}}");
    pl_generation_free(g);
}

static void set_pretty(void *data, pl_config *config)
{
    assert_true(pl_str_is(config->name, "app")); /* after app.lua */
    config->graphql.no_introspection = true;
    ++*(int *)data;
}

static void test_overrides_win(void **state)
{
    int calls = 0;
    pl_report report;
    pl_report_init(&report);
    pl_bundle *b = MEMORY_BUNDLE("app.lua", "return { name = 'app', graphql = { introspection = true } }",
                                 SCHEMA, HELLO);
    pl_generation_options options = {
        .engine = pl_lua_engine(), .workers = 3, .override = set_pretty, .override_data = &calls};
    pl_generation *g = pl_generation_build(b, &options, &report);
    assert_non_null(g);
    assert_int_equal(calls, 1);
    assert_true(g->config.graphql.no_introspection);
    pl_generation_free(g);
    pl_bundle_unref(b);
    pl_report_dispose(&report);
}

/* --- files that do not compile or run --- */

static void test_syntax_errors(void **state)
{
    REFUSED("app.lua:2: ~\n", "app.lua", "local x = 1\nreturn { x = = 1 }");
    REFUSED("resolvers/q.lua:3: ~\n", SCHEMA, HELLO, "resolvers/q.lua",
            "return {\n  Query = {\n  hello = function( end }");
    REFUSED("lib/x.lua:1: ~\n", "app.lua", "require 'lib.x'\nreturn {}", "lib/x.lua", "local = 1");
    REFUSED("lib/x.lua:1: ~\n", SCHEMA, HELLO, "resolvers/q.lua", "local x = require 'lib.x'\nreturn {}",
            "lib/x.lua", "return )");
    REFUSED(SCHEMA ":2:3: Syntax Error: ~\n", SCHEMA, "type Query {\n  : Int\n}");
    REFUSED("app.lua: ~\n", "app.lua", "\x1bLua"); /* bytecode */
    REFUSED("resolvers/a.lua:1: ~\nresolvers/b.lua:1: ~\n", SCHEMA, HELLO, "resolvers/a.lua", "return {",
            "resolvers/b.lua", "}");
}

static void test_errors_of_top_level_code(void **state)
{
    REFUSED("app.lua:2: no good\n", "app.lua", "\nerror 'no good'");
    REFUSED("lib/x.lua:3: attempt to index a nil value~\n", "app.lua", "return require 'lib.x'", "lib/x.lua",
            "\n\nreturn nothing.here");
    REFUSED("resolvers/a.lua:1: module 'lib.missing' not found~\n", SCHEMA, HELLO, "resolvers/a.lua",
            "local x = require 'lib.missing'");
    REFUSED("app.lua:1: ~\n", "app.lua", "return require 'io'");
    REFUSED("app.lua: ~\n", "app.lua", "error({ 'a table' })");
    REFUSED("lib/b.lua:1: module 'lib.a' is required while it is being loaded~\n", "app.lua",
            "return require 'lib.a'", "lib/a.lua", "return require 'lib.b'", "lib/b.lua",
            "return require 'lib.a'");
}

static void test_top_level_code_is_bounded(void **state)
{
    REFUSED_IN_HASTE("app.lua:2: the bundle's top-level code ran longer than 40 ms\n", "app.lua",
                     "\nwhile true do end");
    REFUSED_IN_HASTE("app.lua:1: the bundle's top-level code ran longer than 40 ms\n", "app.lua",
                     "local function spin() while true do end end while true do pcall(spin) end");
    REFUSED_IN_HASTE("lib/x.lua:1: the bundle's top-level code ran longer than 40 ms\n", "app.lua",
                     "return require 'lib.x'", "lib/x.lua", "local i = 0 while true do i = i + 1 end");
    REFUSED_IN_HASTE("app.lua: the bundle's top-level code ran out of memory\n", "app.lua",
                     "local s = ('x'):rep(1e6) while true do s = s .. s end");
    /* What app.lua asks for holds for the rest. */
    uint64_t begin = clock_ms();
    REFUSED("resolvers/a.lua:2: the bundle's top-level code ran longer than 30 ms\n", "app.lua",
            "return { limits = { load_time = 0.03 } }", SCHEMA, HELLO, "resolvers/a.lua",
            "\nwhile true do end");
    assert_true(clock_ms() - begin < 4000);
    REFUSED("resolvers/a.lua: the bundle's top-level code ran out of memory\n", "app.lua",
            "return { limits = { memory = '2MB' } }", SCHEMA, HELLO, "resolvers/a.lua",
            "local s = ('x'):rep(1e6) while true do s = s .. s end");
}

/* --- settings --- */

static void test_settings(void **state)
{
    REFUSED("app.lua: what app.lua returns must be a table of settings, not nothing.\n", "app.lua",
            "local x = {}", SCHEMA, HELLO);
    REFUSED("app.lua: what app.lua returns must be a table of settings, not a function, thread or foreign "
            "object.\n",
            "app.lua", "return function() end");
    REFUSED("app.lua: There is no setting \"htpp\".\n", "app.lua", "return { htpp = {} }");
    /* A file that is not the same each time it runs must not leave a worker without its timers. */
    pl_report report;
    pl_report_init(&report);
    pl_bundle *b = MEMORY_BUNDLE(
        "app.lua", "local d = require('perilune.shared').dict 'd'\n"
                   "return { timers = d:incr('n', 1) == 1 and { t = { every = 1, run = print } } or nil }");
    struct pl_shared *shared = pl_shared_new(0);
    pl_generation_options options = {.engine = pl_lua_engine(), .workers = 2, .shared = shared};
    assert_null(pl_generation_build(b, &options, &report));
    assert_string_equal(report_text(&report),
                        "app.lua: The timer \"t\" is not there every time that the file runs.\n");
    pl_bundle_unref(b);
    pl_shared_free(shared);
    pl_report_dispose(&report);
}

/* --- the schema --- */

static void test_invalid_schemas(void **state)
{
    REFUSED(
        "schema/a.graphql:1:17: Unknown type \"Nope\".\nschema/b.graphql:2:13: Unknown type \"Neither\".\n",
        "schema/a.graphql", "type Query { a: Nope }", "schema/b.graphql", "\ntype T { x: Neither }");
    REFUSED("schema/b.graphql:1:6: There can be only one type named \"Query\".~\n", "schema/a.graphql",
            "type Query { a: Int }", "schema/b.graphql", "type Query { b: Int }");
    REFUSED("schema/a.graphql:1:~\nschema/b.graphql:1:~\n", "schema/a.graphql", "type Query {",
            "schema/b.graphql", "type }");
    REFUSED(SCHEMA ": Query root type must be provided.~\n", SCHEMA, "type T { x: Int }");
}

/* --- resolvers --- */

static void test_unknown_names(void **state)
{
    REFUSED("resolvers/a.lua:3: There is a resolver for \"Query.helo\", but type \"Query\" has no field "
            "\"helo\".\n",
            SCHEMA, HELLO, "resolvers/a.lua",
            "return {\n  Query = {\n    helo = function() end,\n    hello = function() end,\n  },\n}");
    REFUSED("resolvers/a.lua: There are resolvers for type \"Qurey\", which the schema does not define.\n",
            SCHEMA, HELLO, "resolvers/a.lua", "return { Qurey = { hello = function() end } }");
    REFUSED("resolvers/a.lua: There are resolvers for type \"String\", which the schema does not define.\n",
            SCHEMA, HELLO, "resolvers/a.lua", "return { String = { length = function() end } }");
    REFUSED("resolvers/a.lua: The returned table has an entry that is not named by a type.\n", SCHEMA, HELLO,
            "resolvers/a.lua", "return { [true] = {} }");
    REFUSED("resolvers/a.lua:1: \"Query\" has an entry that is not named by a string.\n", SCHEMA, HELLO,
            "resolvers/a.lua", "return { Query = { [2] = function() end } }");
}

static void test_two_files_for_one_field(void **state)
{
    REFUSED("resolvers/b.lua:2: Query.hello is defined twice: here and in resolvers/a.lua.\n", SCHEMA, HELLO,
            "resolvers/a.lua", "return { Query = { hello = function() end } }", "resolvers/b.lua",
            "return { Query = {\n  hello = function() end } }");
    /* But a type may be spread over files. */
    pl_generation *g =
        build_ok(MEMORY_BUNDLE(SCHEMA, HELLO, "resolvers/a.lua",
                               "return { Query = { hello = function() return 'a' end } }", "resolvers/b.lua",
                               "return { Query = { other = function() return 1 end } }"),
                 1, NULL, 0);
    expect_answer(g->instances[0], "{ hello other }", "{\"data\":{\"hello\":\"a\",\"other\":1}}");
    pl_generation_free(g);
}

static void test_values_that_are_no_resolvers(void **state)
{
    REFUSED("resolvers/a.lua: Query.hello: a resolver must be a function, not a string.\n", SCHEMA, HELLO,
            "resolvers/a.lua", "return { Query = { hello = 'world' } }");
    REFUSED("resolvers/a.lua: Query.hello: a resolver must be a function, not a map.\n", SCHEMA, HELLO,
            "resolvers/a.lua", "return { Query = { hello = { resolve = function() end } } }");
    REFUSED("resolvers/a.lua: \"Query\" must be a table of resolvers, not an integer.\n", SCHEMA, HELLO,
            "resolvers/a.lua", "return { Query = 1 }");
    REFUSED("resolvers/a.lua:1: \"Query\" must be a table of resolvers, not a function, thread or foreign "
            "object.\n",
            SCHEMA, HELLO, "resolvers/a.lua", "return { Query = function() end }");
    REFUSED("resolvers/a.lua: A resolvers file must return a table { TypeName = { fieldName = function } }, "
            "not nothing.\n",
            SCHEMA, HELLO, "resolvers/a.lua", "local Query = {}");
    REFUSED("resolvers/a.lua: A resolvers file must return a table { TypeName = { fieldName = function } }, "
            "not a list.\n",
            SCHEMA, HELLO, "resolvers/a.lua", "return { { Query = {} } }");
}

static void test_entries_of_other_types(void **state)
{
    static const char schema[] = "type Query { hello: E }\nenum E { A B }\nscalar S\ntype T { x: Int "
                                 "}\nunion U = T\ninterface I { x: Int }\n"
                                 "input In { x: Int }";
    REFUSED("resolvers/a.lua: Enum \"E\" has no value \"C\".\n", SCHEMA, schema, "resolvers/a.lua",
            "return { E = { A = 1, C = 2 } }");
    REFUSED("resolvers/a.lua: E.A: the value of an enum inside scripts must be a string, number or boolean, "
            "not a map.\n",
            SCHEMA, schema, "resolvers/a.lua", "return { E = { A = {} } }");
    REFUSED("resolvers/a.lua:1: Scalar \"S\" has \"deserialize\"; what a scalar can have is serialize and "
            "parse.\n",
            SCHEMA, schema, "resolvers/a.lua", "return { S = { deserialize = function() end } }");
    REFUSED("resolvers/a.lua: S.parse: parse must be a function, not a boolean.\n", SCHEMA, schema,
            "resolvers/a.lua", "return { S = { parse = true } }");
    REFUSED("resolvers/a.lua:2: \"U.x\": a resolver belongs to an object type; union \"U\" can have "
            "__resolve_type only.\n",
            SCHEMA, schema, "resolvers/a.lua", "return { U = {\n  x = function() end } }");
    REFUSED("resolvers/a.lua:1: \"I.x\": a resolver belongs to an object type; interface \"I\" can have "
            "__resolve_type only.\n",
            SCHEMA, schema, "resolvers/a.lua", "return { I = { x = function() end } }");
    REFUSED("resolvers/a.lua: U.__resolve_type: __resolve_type must be a function, not a string.\n", SCHEMA,
            schema, "resolvers/a.lua", "return { U = { __resolve_type = 'T' } }");
    REFUSED("resolvers/b.lua:1: U.__resolve_type is defined twice: here and in resolvers/a.lua.\n", SCHEMA,
            schema, "resolvers/a.lua", "return { U = { __resolve_type = function() end } }",
            "resolvers/b.lua", "return { U = { __resolve_type = function() end } }");
    REFUSED("resolvers/a.lua:1: Input type \"In\" cannot have resolvers.\n", SCHEMA, schema,
            "resolvers/a.lua", "return { In = { x = function() end } }");
}

/* --- memory --- */

static pl_bundle *moderate_bundle(void)
{
    return MEMORY_BUNDLE(
        "app.lua",
        "local tick = require 'lib.tick'\n"
        "return { name = 'm', http = { path = '/g', cors = { origins = { 'https://a.example' }, "
        "allow_headers = ('x-a, '):rep(1000) } },\n"
        "  timers = { tick = { every = 5, run = tick } }, default_resolver = function(p, a, c, i) return p "
        "and p.kind end }",
        "lib/tick.lua", "return function() end", "schema/a.graphql",
        "type Query { user(id: ID! = 1): User, all: [User!]! }\n\"A person\" type User implements Node { id: "
        "ID!, name: String, kind: Kind }",
        "schema/b.graphql",
        "interface Node { id: ID! }\nenum Kind { GOOD BAD }\nunion Any = User\nscalar When\ninput In { a: "
        "Int = 2, b: [String!] }\n"
        "extend type Query { any(in: In): Any, when: When }\ndirective @mine(x: Int) on FIELD",
        "resolvers/query.lua",
        "local u = { id = 1, name = 'Ada', kind = 1 }\n"
        "return { Query = { user = function(_, args) return u end, all = function() return { u, u } end,\n"
        "  any = function() return u end, when = function() return 3 end } }",
        "resolvers/types.lua",
        "return { User = { name = function(p) return p.name end }, Kind = { GOOD = 1, BAD = 2 },\n"
        "  Any = { __resolve_type = function() return 'User' end }, Node = { __resolve_type = function() "
        "return 'User' end },\n"
        "  When = { serialize = function(v) return v end, parse = function(v) return v end } }");
}

static bool build_failing(pl_bundle *bundle, failing *a)
{
    pl_report report;
    pl_report_init(&report);
    failing_begin(a);
    pl_generation *g = build_with(bundle, 1, false, &report);
    assert_true(failing_end(a) || g);
    if (g) {
        /* A part of the settings must never be missing. */
        assert_true(pl_str_is(g->config.name, "m"));
        assert_true(pl_str_is(g->config.path, "/g"));
        assert_int_equal(g->config.http.cors.origin_count, 1);
        assert_true(pl_str_is(g->config.http.cors.origins[0], "https://a.example"));
        assert_int_equal(g->config.http.cors.allow_headers.len, 5000);
        assert_int_equal(g->config.timer_count, 1);
        assert_true(pl_str_is(g->config.timers[0].name, "tick"));
        assert_int_not_equal(g->instances[0]->timers[0], PL_REF_NONE);
        assert_int_not_equal(g->instances[0]->default_resolver, PL_REF_NONE);
        expect_answer(g->instances[0], "{ user { name kind } any { __typename } when }",
                      "{\"data\":{\"user\":{\"name\":\"Ada\",\"kind\":\"GOOD\"},\"any\":{\"__typename\":"
                      "\"User\"},\"when\":3}}");
    } else {
        assert_true(pl_report_has_errors(&report));
        assert_has(report_text(&report), "memory");
    }
    pl_report_dispose(&report);
    bool ok = g != NULL;
    pl_generation_free(g);
    return ok;
}

/* Fails every allocation of a build in turn: first one alone, and then all from there on. */
static void test_memory_failures(void **state)
{
    pl_bundle *bundle = moderate_bundle();
    for (int sticky = 0; sticky < 2; sticky++) {
        failing a = {.sticky = sticky};
        size_t refused = 0;
        while (failing_next(&a))
            refused += !build_failing(bundle, &a);
        assert_true(a.failed > 500);
        /* The engine survives some of the first kind, as it collects garbage and tries again. */
        assert_true(refused > (sticky ? a.failed - a.failed / 10 : 100));
    }
    pl_bundle_unref(bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builds_an_instance_for_each_worker),
        cmocka_unit_test(test_schema_of_several_files),
        cmocka_unit_test(test_bundle_without_a_schema),
        cmocka_unit_test(test_warns_of_root_fields_without_resolver),
        cmocka_unit_test(test_types_of_all_kinds),
        cmocka_unit_test(test_overrides_win),
        cmocka_unit_test(test_syntax_errors),
        cmocka_unit_test(test_errors_of_top_level_code),
        cmocka_unit_test(test_top_level_code_is_bounded),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_invalid_schemas),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_two_files_for_one_field),
        cmocka_unit_test(test_values_that_are_no_resolvers),
        cmocka_unit_test(test_entries_of_other_types),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
