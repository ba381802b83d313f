/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "graphql/language/parser.h"
#include "graphql/validation/limits.h"
#include "support/failing.h"

/* What a document counts, and what it costs to count it. */
typedef struct result {
    pl_arena arena;
    gql_diagnostics list;
    pl_code code;
    uint64_t steps;
    pl_buf text; /* a line for each problem: "message @line:column limit value most" */
} result;

static void check(result *r, pl_str query, const gql_limits *limits)
{
    static const gql_parse_limits parse = {.max_tokens = UINT32_MAX, .max_depth = 1000};
    gql_source source = {"request", query};
    gql_document *document;
    pl_error err;
    pl_arena_init(&r->arena, 0);
    pl_buf_init(&r->text);
    gql_diagnostics_init(&r->list, &r->arena, 0);
    if (gql_parse(&r->arena, &source, &parse, &document, &err) != PL_OK)
        fail_msg("%s", err.message);
    r->code = gql_limits_check(document, limits, &r->list, &r->steps);
    for (const gql_diagnostic *d = r->list.first; d; d = d->next)
        pl_buf_printf(&r->text, "%.*s @%u:%u %s %llu %llu\n", PL_STR_ARG(d->message), d->locations[0].line,
                      d->locations[0].column, d->limit, (unsigned long long)d->value,
                      (unsigned long long)d->most);
    pl_buf_char(&r->text, '\0');
}

static void finish(result *r)
{
    pl_buf_dispose(&r->text);
    pl_arena_dispose(&r->arena);
}

static void expect(const char *query, gql_limits limits, const char *problems)
{
    result r;
    check(&r, pl_str_of(query), &limits);
    assert_string_equal(r.text.data, problems);
    assert_int_equal(r.code, *problems ? PL_RESOURCE_EXHAUSTED : PL_OK);
    finish(&r);
}

static void test_depth(void **state)
{
    static const char three[] =
        "The operation has 3 levels of fields; graphql.max_depth allows 2. @1:1 max_depth 3 2\n";
    gql_limits two = {.max_depth = 2}, ample = {.max_depth = 3};
    expect("{ a { b } c { d } }", two, "");
    expect("{ a { b { c } } }", two, three);
    expect("{ a { b { c } } }", ample, "");
    expect("{ ... { ... on X { a { ... { b { c } } } } } }", two, three); /* fragments are no level */
    expect("{ a { ...F } } fragment F on X { b { c } }", two, three);
    expect("{ a { ...F } } fragment F on X { ...G } fragment G on X { b { c } }", two, three);
    expect("{ a { ...F } } fragment F on X { ...G } fragment G on X { b { c } }", ample, "");
    expect("{ ...F } fragment F on X { a { ...G } } fragment G on X { b }", two, "");
    expect("query Deep { a { b { c } } } query Flat { a }", two,
           "Operation \"Deep\" has 3 levels of fields; graphql.max_depth allows 2. @1:1 max_depth 3 2\n");
    expect("fragment Unused on X { a { b { c } } } { a }", two, "");
}

static void test_introspection_has_no_depth(void **state)
{
    gql_limits two = {.max_depth = 2};
    expect("{ __schema { types { fields { type { name } } } } }", two, "");
    expect("{ __type(name: \"A\") { ...T } } fragment T on __Type { fields { type { ofType { name } } } }",
           two, "");
    expect("{ a { b { c } } __schema { types { name } } }", two,
           "The operation has 3 levels of fields; graphql.max_depth allows 2. @1:1 max_depth 3 2\n");
}

static void test_introspection_is_counted(void **state)
{
    gql_limits two = {.max_introspection = 2};
    expect("{ a: __schema { description } b: __type(name: \"A\") { name } __typename }", two, "");
    expect("{ a: __schema { description } ...F ...F } fragment F on Q { __type(name: \"A\") { name } }", two,
           "The operation has 3 fields of introspection; graphql.max_introspection allows 2. @1:1 "
           "max_introspection 3 2\n");
}

static void test_aliases(void **state)
{
    gql_limits two = {.max_aliases = 2};
    expect("{ x: a y: a a }", two, "");
    expect("{ x: a y: a ... { z: a } }", two,
           "The operation has 3 aliases; graphql.max_aliases allows 2. @1:1 max_aliases 3 2\n");
    expect("{ a { ...F } b { ...F } } fragment F on X { x: a y: b }", two,
           "The operation has 4 aliases; graphql.max_aliases allows 2. @1:1 max_aliases 4 2\n");
}

static void test_root_fields(void **state)
{
    gql_limits two = {.max_root_fields = 2};
    expect("{ a { x y z } b }", two, "");
    expect("{ a b c }", two,
           "The operation has 3 root fields; graphql.max_root_fields allows 2. @1:1 max_root_fields 3 2\n");
    expect("{ a ...F } fragment F on Q { b ...G } fragment G on Q { c }", two,
           "The operation has 3 root fields; graphql.max_root_fields allows 2. @1:1 max_root_fields 3 2\n");
    expect("{ a { ...F } } fragment F on Q { b c d }", two, "");
}

static void test_directives(void **state)
{
    gql_limits two = {.max_directives = 2};
    expect("query @a { a @b }", two, "");
    expect("query($v: Int @a) @b { a @c ... @d { b } ...F @e } fragment F on X @f { a @g }", two,
           "The operation has 7 directives; graphql.max_directives allows 2. @1:1 max_directives 7 2\n");
}

static void test_list_items(void **state)
{
    gql_limits two = {.max_list_items = 2};
    expect("{ a(l: [1, 2], m: [[1, 2], [3, 4]]) }", two, "");
    expect("{ a(l: { in: [1, 2, 3] }) }", two,
           "A list has 3 items; graphql.max_list_items allows 2. @1:14 max_list_items 3 2\n");
    expect("query($v: [Int] = [1, 2, 3]) { a @b(c: [[1, 2, 3, 4]]) }", two,
           "A list has 3 items; graphql.max_list_items allows 2. @1:19 max_list_items 3 2\n"
           "A list has 4 items; graphql.max_list_items allows 2. @1:41 max_list_items 4 2\n");
    expect("{ a } fragment F on X { a(l: [1, 2, 3]) }", two,
           "A list has 3 items; graphql.max_list_items allows 2. @1:30 max_list_items 3 2\n");
}

static void test_several_limits(void **state)
{
    gql_limits one = {1, 1, 1, 1, 1, 1};
    expect("query A { x: a @d { b } y: a @d } query B { a }", one,
           "Operation \"A\" has 2 levels of fields; graphql.max_depth allows 1. @1:1 max_depth 2 1\n"
           "Operation \"A\" has 2 root fields; graphql.max_root_fields allows 1. @1:1 max_root_fields 2 1\n"
           "Operation \"A\" has 2 aliases; graphql.max_aliases allows 1. @1:1 max_aliases 2 1\n"
           "Operation \"A\" has 2 directives; graphql.max_directives allows 1. @1:1 max_directives 2 1\n");
}

/* Fragments that spread themselves are for validation to refuse; here they only must not matter. */
static void test_cycles(void **state)
{
    gql_limits two = {.max_depth = 2, .max_aliases = 2};
    expect("{ ...A } fragment A on X { a { ...B } } fragment B on X { ...A x: b }", two, "");
    expect("{ ...A } fragment A on X { ...A }", two, "");
    expect("{ ...Nobody }", two, "");
}

/* Each fragment spreads the next one twice: 2 to the power of 1,000, counted in a few thousand steps. */
static void test_fragments_that_multiply(void **state)
{
    enum { N = 1000 };
    gql_limits none = {0};
    result r;
    pl_buf query;
    pl_buf_init(&query);
    PL_BUF_LIT(&query, "{ ...F0 }");
    for (int i = 0; i < N; i++)
        pl_buf_printf(&query, "fragment F%d on X { ...F%d ...F%d }", i, i + 1, i + 1);
    pl_buf_printf(&query, "fragment F%d on X { a: a @d }", N);
    check(&r, pl_buf_view(&query), &none);
    assert_int_equal(r.code, PL_RESOURCE_EXHAUSTED);
    assert_string_equal(
        r.text.data,
        "The operation has at least 4294967295 root fields; graphql.max_root_fields allows 500. @1:1 "
        "max_root_fields 4294967295 500\n"
        "The operation has at least 4294967295 aliases; graphql.max_aliases allows 1000. @1:1 "
        "max_aliases 4294967295 1000\n"
        "The operation has at least 4294967295 directives; graphql.max_directives allows 1000. @1:1 "
        "max_directives 4294967295 1000\n");
    assert_in_range(r.steps, N, 8 * N);
    finish(&r);
    pl_buf_dispose(&query);
}

/* A chain of fragments takes no C stack, and the work grows with its length alone. */
static void test_long_chain(void **state)
{
    uint64_t steps[2];
    for (int round = 0; round < 2; round++) {
        int n = round ? 40000 : 20000;
        gql_limits none = {0};
        result r;
        pl_buf query;
        pl_buf_init(&query);
        PL_BUF_LIT(&query, "{ ...F0 }");
        for (int i = 0; i < n; i++)
            pl_buf_printf(&query, "fragment F%d on X { a { ...F%d } }", i, i + 1);
        pl_buf_printf(&query, "fragment F%d on X { a }", n);
        check(&r, pl_buf_view(&query), &none);
        assert_int_equal(r.list.first->value, n + 1);
        assert_string_equal(r.list.first->limit, "max_depth");
        steps[round] = r.steps;
        finish(&r);
        pl_buf_dispose(&query);
    }
    assert_in_range(steps[1], steps[0], steps[0] * 2 + 10);
}

static void test_no_memory(void **state)
{
    gql_limits two = {.max_depth = 2};
    failing a = {0};
    while (failing_next(&a)) {
        pl_arena arena;
        gql_source source = {"request", PL_STR("query A { x { ...F y { z } } } fragment F on X { y { z } }")};
        gql_document *document;
        gql_diagnostics list;
        pl_error err;
        pl_arena_init(&arena, 0);
        assert_int_equal(gql_parse(&arena, &source, NULL, &document, &err), PL_OK);
        gql_diagnostics_init(&list, &arena, 0);
        failing_begin(&a);
        pl_code code = gql_limits_check(document, &two, &list, NULL);
        bool failed = failing_end(&a);
        assert_int_equal(code, PL_RESOURCE_EXHAUSTED);
        if (failed)
            assert_true(list.out_of_memory);
        else
            assert_int_equal(list.count, 1);
        pl_arena_dispose(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_introspection_has_no_depth),
        cmocka_unit_test(test_introspection_is_counted),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_root_fields),
        cmocka_unit_test(test_directives),
        cmocka_unit_test(test_list_items),
        cmocka_unit_test(test_several_limits),
        cmocka_unit_test(test_cycles),
        cmocka_unit_test(test_fragments_that_multiply),
        cmocka_unit_test(test_long_chain),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
