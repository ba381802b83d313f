/* SPDX-License-Identifier: MIT */
#include "graphql/language/printer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "documents.h"
#include "graphql/language/parser.h"
#include "support/failing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define Q3 "\"\"\""
#define TEN "abcdefghij"
#define HAN                                                                                                \
    "\xE6\xBC\xA2\xE6\xBC\xA2\xE6\xBC\xA2\xE6\xBC\xA2\xE6\xBC\xA2\xE6\xBC\xA2\xE6\xBC\xA2\xE6\xBC\xA2\xE6" \
    "\xBC\xA2\xE6\xBC\xA2"

/* Parses text and prints it; the caller disposes out. */
static void print_document(pl_str text, pl_buf *out)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_source source = {"test.graphql", text};
    gql_document *document;
    pl_error err;
    pl_buf_init(out);
    if (gql_parse(&arena, &source, NULL, &document, &err))
        fail_msg("%.*s\n%u:%u: %s", PL_STR_ARG(text), err.line, err.column, err.message);
    gql_print_document(out, document);
    assert_false(out->failed);
    pl_arena_dispose(&arena);
}

/* text prints as expected, and that prints as itself. */
static void assert_prints(const char *text, const char *expected)
{
    pl_buf once, twice;
    print_document(pl_str_of(text), &once);
    if (!pl_str_is(pl_buf_view(&once), expected))
        fail_msg("expected\n%s\ngot\n%.*s", expected, PL_STR_ARG(pl_buf_view(&once)));
    print_document(pl_buf_view(&once), &twice);
    assert_true(pl_str_eq(pl_buf_view(&once), pl_buf_view(&twice)));
    pl_buf_dispose(&once);
    pl_buf_dispose(&twice);
}

static void test_whole_grammar_prints_as_it_was(void **state)
{
    assert_prints(executable_document, executable_document);
    assert_prints(system_document, system_document);
}

static void test_definitions_stay_in_source_order(void **state)
{
    static const char text[] =
        "fragment F on T {\n  a\n}\n\nscalar S\n\nquery Q {\n  b\n}\n\n{\n  c\n}\n\ntype T\n\n"
        "fragment G on T {\n  d\n}";
    assert_prints(text, text);
}

static void test_braces_are_not_taken_for_members(void **state)
{
    static const char *const empty[] = {"type T", "interface T", "enum T", "input T @d", "extend schema @d"};
    for (size_t i = 0; i < COUNT(empty); i++) {
        char text[100], printed[100];
        snprintf(text, sizeof(text), "%s query{a} {b}", empty[i]);
        snprintf(printed, sizeof(printed), "%s\n\nquery {\n  a\n}\n\n{\n  b\n}", empty[i]);
        assert_prints(text, printed);
    }
    assert_prints("scalar T query{a}", "scalar T\n\n{\n  a\n}");
    assert_prints("union T query{a}", "union T\n\n{\n  a\n}");
    assert_prints("type T directive @d on FIELD query{a}", "type T\n\ndirective @d on FIELD\n\n{\n  a\n}");
    assert_prints("type T fragment F on T {a} query{a}", "type T\n\nfragment F on T {\n  a\n}\n\n{\n  a\n}");
}

static void test_operations(void **state)
{
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {"query{a}", "{\n  a\n}"},
        {"query @d{a}", "query @d {\n  a\n}"},
        {"query($a:T){a}", "query ($a: T) {\n  a\n}"},
        {"query Q($a:T,$b:[U!]!=[1]@d){a}", "query Q($a: T, $b: [U!]! = [1] @d) {\n  a\n}"},
        {"\"d\"query{a}", "\"d\"\nquery {\n  a\n}"},
        {"mutation{a}", "mutation {\n  a\n}"},
        {"{a:b ...on T{c}...{d}...@x{e}...F@y}",
         "{\n  a: b\n  ... on T {\n    c\n  }\n  ... {\n    d\n  }\n  ... @x {\n    e\n  }\n  ...F @y\n}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_prints(cases[i].text, cases[i].printed);
}

static void test_wide_lines_are_broken(void **state)
{
    /* 80 columns fit, 81 do not. */
    assert_prints("{ f(a: \"" TEN TEN TEN "\", b: \"" TEN TEN TEN "abcde\") }",
                  "{\n  f(a: \"" TEN TEN TEN "\", b: \"" TEN TEN TEN "abcde\")\n}");
    assert_prints("{ f(a: \"" TEN TEN TEN "\", b: \"" TEN TEN TEN "abcdef\") @d }",
                  "{\n  f(\n    a: \"" TEN TEN TEN "\"\n    b: \"" TEN TEN TEN "abcdef\"\n  ) @d\n}");
    assert_prints("{ x: f(a: \"" TEN TEN TEN "\", b: \"" TEN TEN TEN "abc\") }",
                  "{\n  x: f(\n    a: \"" TEN TEN TEN "\"\n    b: \"" TEN TEN TEN "abc\"\n  )\n}");
    assert_prints("{ f @d(l: [\"" TEN TEN TEN "\", \"" TEN TEN TEN TEN "ab\"]) }",
                  "{\n  f @d(l: [\"" TEN TEN TEN "\", \"" TEN TEN TEN TEN "ab\"])\n}");
    assert_prints("{ f @d(l: [\"" TEN TEN TEN "\", \"" TEN TEN TEN TEN "abc\"]) }",
                  "{\n  f @d(l: [\n    \"" TEN TEN TEN "\"\n    \"" TEN TEN TEN TEN "abc\"\n  ])\n}");
    assert_prints("{ f @d(l: {a: \"" TEN TEN TEN "\", b: [\"" TEN TEN TEN "abc\"]}) }",
                  "{\n  f @d(l: {\n    a: \"" TEN TEN TEN "\"\n    b: [\"" TEN TEN TEN "abc\"]\n  })\n}");
    assert_prints("{ f @d(l: [" Q3 HAN HAN HAN HAN HAN HAN Q3 "]) }",
                  "{\n  f @d(l: [" Q3 HAN HAN HAN HAN HAN HAN Q3 "])\n}");
    /* Width is in UTF-16 units: an emoji is two, an escape is as wide as it is written. */
    assert_prints("{ f(a: \"" TEN TEN TEN TEN TEN TEN "\", b: \"\xF0\x9F\x98\x80\\n\xC3\xA9\") }",
                  "{\n  f(a: \"" TEN TEN TEN TEN TEN TEN "\", b: \"\xF0\x9F\x98\x80\\n\xC3\xA9\")\n}");
    assert_prints("{ f(a: \"" TEN TEN TEN TEN TEN TEN "\", b: \"\xF0\x9F\x98\x80\\n\xC3\xA9"
                  "x\") }",
                  "{\n  f(\n    a: \"" TEN TEN TEN TEN TEN TEN "\"\n    b: \"\xF0\x9F\x98\x80\\n\xC3\xA9"
                  "x\"\n  )\n}");
}

static void test_descriptions_break_lists_of_arguments(void **state)
{
    assert_prints("type T { f(a: A, \"d\" b: B): C }",
                  "type T {\n  f(\n    a: A\n    \"d\"\n    b: B\n  ): C\n}");
    assert_prints("directive @d(\"x\" a: A) on FIELD", "directive @d(\n  \"x\"\n  a: A\n) on FIELD");
    assert_prints("type T { f(a: A = " Q3 "x\ny" Q3 "): C }",
                  "type T {\n  f(\n    a: A = " Q3 "\n    x\n    y\n    " Q3 "\n  ): C\n}");
    assert_prints("query ($a: A, \"d\" $b: B) { f }", "query (\n$a: A\n\"d\"\n$b: B\n) {\n  f\n}");
}

static void test_block_strings(void **state)
{
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {Q3 Q3, Q3 Q3},
        {Q3 "one" Q3, Q3 "one" Q3},
        {Q3 "  lead" Q3, Q3 "  lead" Q3},
        {Q3 "a\nb" Q3, Q3 "\na\nb\n" Q3},
        {Q3 "a\n\n   b\n  c" Q3, Q3 "\na\n\n b\nc\n" Q3},
        {Q3 "  a\n b" Q3, Q3 "\n  a\nb\n" Q3},
        {Q3 "ends in \"quote\"\n" Q3, Q3 "\nends in \"quote\"\n" Q3},
        {Q3 "ends in \\\n" Q3, Q3 "\nends in \\\n" Q3},
        {Q3 "ends in \\" Q3 Q3, Q3 "\nends in \\" Q3 "\n" Q3},
        {Q3 "has \\" Q3 " inside" Q3, Q3 "has \\" Q3 " inside" Q3},
        {Q3 "\\" Q3 "\"\n" Q3, Q3 "\n\\" Q3 "\"\n" Q3},
        {Q3 "\t\"tab\"\n" Q3, Q3 "\t\"tab\"\n" Q3},
        {Q3 TEN TEN TEN TEN TEN TEN TEN Q3, Q3 TEN TEN TEN TEN TEN TEN TEN Q3},
        {Q3 TEN TEN TEN TEN TEN TEN TEN "k" Q3, Q3 "\n" TEN TEN TEN TEN TEN TEN TEN "k\n" Q3},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[200], printed[200];
        snprintf(text, sizeof(text), "%s scalar S", cases[i].text);
        snprintf(printed, sizeof(printed), "%s\nscalar S", cases[i].printed);
        assert_prints(text, printed);
    }
    /* Inside, every line takes the indentation, empty ones too: it is common to all and so no part of the
     * value. */
    assert_prints("type T { " Q3 "a\n\n b" Q3 " f: X }",
                  "type T {\n  " Q3 "\n  a\n  \n  b\n  " Q3 "\n  f: X\n}");
}

static void assert_value(const char *text, const char *expected)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_source source = {"value", pl_str_of(text)};
    gql_value value;
    pl_buf out;
    pl_buf_init(&out);
    assert_int_equal(gql_parse_const_value(&arena, &source, &value, NULL), PL_OK);
    gql_print_value(&out, &value);
    pl_buf_char(&out, '\0');
    assert_string_equal(out.data, expected);
    pl_buf_dispose(&out);
    pl_arena_dispose(&arena);
}

static void test_values_on_one_line(void **state)
{
    assert_value("-1", "-1");
    assert_value("1.50E+3", "1.50E+3");
    assert_value("true", "true");
    assert_value("false", "false");
    assert_value("null", "null");
    assert_value("ENUM", "ENUM");
    assert_value("[ ]", "[]");
    assert_value("{ }", "{  }");
    assert_value("[1 2,[3]]", "[1, 2, [3]]");
    assert_value("{a:1 b:{c:[]}}", "{ a: 1, b: { c: [] } }");
    assert_value("[\"" TEN TEN TEN TEN "\", \"" TEN TEN TEN TEN "\"]",
                 "[\"" TEN TEN TEN TEN "\", \"" TEN TEN TEN TEN "\"]");
    assert_value(Q3 "x" Q3, Q3 "x" Q3);
}

static void test_strings_are_escaped(void **state)
{
    assert_value("\"\"", "\"\"");
    assert_value("\"\\\"\\\\\\/\"", "\"\\\"\\\\/\"");
    assert_value("\"\\b\\f\\n\\r\\t\\u000B\\u0000\\u001f\"", "\"\\b\\f\\n\\r\\t\\u000B\\u0000\\u001F\"");
    assert_value("\"\\u007e\\u007f\\u0080\\u009F\\u00a0\"", "\"~\\u007F\\u0080\\u009F\xC2\xA0\"");
    assert_value("\"\\u00e9\\u{1F600}\"", "\"\xC3\xA9\xF0\x9F\x98\x80\"");
}

static void test_variables_and_types(void **state)
{
    pl_buf out;
    pl_buf_init(&out);
    gql_print_value(&out, &(gql_value){.kind = GQL_VALUE_VARIABLE, .text = PL_STR("v")});
    assert_true(pl_str_is(pl_buf_view(&out), "$v"));
    pl_buf_dispose(&out);

    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_source source = {"type", PL_STR("[ [ T ! ] ] !")};
    gql_type *type;
    assert_int_equal(gql_parse_type(&arena, &source, &type, NULL), PL_OK);
    pl_buf_init(&out);
    gql_print_type(&out, type);
    assert_true(pl_str_is(pl_buf_view(&out), "[[T!]]!"));
    pl_buf_dispose(&out);
    pl_arena_dispose(&arena);
}

static void test_short_memory_marks_the_buffer(void **state)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_source source = {"test.graphql", pl_str_of(system_document)};
    gql_document *document;
    assert_int_equal(gql_parse(&arena, &source, NULL, &document, NULL), PL_OK);
    failing a = {0};
    while (failing_next(&a)) {
        pl_buf out;
        pl_buf_init(&out);
        failing_begin(&a);
        gql_print_document(&out, document);
        assert_int_equal(out.failed, failing_end(&a));
        pl_buf_dispose(&out);
    }
    pl_arena_dispose(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_grammar_prints_as_it_was),
        cmocka_unit_test(test_definitions_stay_in_source_order),
        cmocka_unit_test(test_braces_are_not_taken_for_members),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_wide_lines_are_broken),
        cmocka_unit_test(test_descriptions_break_lists_of_arguments),
        cmocka_unit_test(test_block_strings),
        cmocka_unit_test(test_values_on_one_line),
        cmocka_unit_test(test_strings_are_escaped),
        cmocka_unit_test(test_variables_and_types),
        cmocka_unit_test(test_short_memory_marks_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
