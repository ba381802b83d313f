/* SPDX-License-Identifier: MIT */
#include "graphql/language/parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "documents.h"
#include "support/failing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct fixture {
    pl_arena arena;
    gql_source source;
    gql_document *document;
    pl_error err;
} fixture;

static int setup(void **state)
{
    static fixture f;
    f = (fixture){.source = {.name = "test.graphql"}};
    pl_arena_init(&f.arena, 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    pl_arena_dispose(&f->arena);
    return 0;
}

static pl_code parse_limited(fixture *f, const char *text, const gql_parse_limits *limits)
{
    f->source.text = pl_str_of(text);
    f->err = (pl_error){0};
    return gql_parse(&f->arena, &f->source, limits, &f->document, &f->err);
}

static gql_document *parse(fixture *f, const char *text)
{
    pl_code code = parse_limited(f, text, NULL);
    if (code)
        fail_msg("%u:%u: %s", f->err.line, f->err.column, f->err.message);
    return f->document;
}

static void assert_text(pl_str actual, const char *expected)
{
    assert_non_null(actual.ptr);
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.ptr, expected, actual.len);
}

static void assert_loc(gql_loc loc, unsigned line, unsigned column, unsigned offset)
{
    assert_int_equal(loc.line, line);
    assert_int_equal(loc.column, column);
    assert_int_equal(loc.offset, offset);
}

/* --- trees --- */

static void test_shorthand_query(void **state)
{
    gql_document *doc = parse(*state, "\n { a  b }");
    assert_ptr_equal(doc->source, &((fixture *)*state)->source);
    assert_int_equal(doc->operation_count, 1);
    assert_int_equal(doc->fragment_count, 0);
    assert_int_equal(doc->definition_count, 0);
    gql_operation *op = &doc->operations[0];
    assert_int_equal(op->kind, GQL_QUERY);
    assert_null(op->name.text.ptr);
    assert_null(op->description.ptr);
    assert_loc(op->loc, 2, 2, 2);
    assert_loc(op->selections.loc, 2, 2, 2);
    assert_int_equal(op->selections.count, 2);
    assert_text(op->selections.items[1].name.text, "b");
    assert_null(op->selections.items[1].alias.text.ptr);
    assert_int_equal(op->selections.items[1].selections.count, 0);
    assert_loc(op->selections.items[1].loc, 2, 7, 7);
}

static void test_operations_with_all_their_parts(void **state)
{
    gql_document *doc =
        parse(*state, "\"what\" mutation M(\"who\" $a: [T!]! = [1] @d(x: 2), $b: U) @e @f { g }\n"
                      "subscription { h } \"\"\"\n  block\n\"\"\" query Q { i }");
    assert_int_equal(doc->operation_count, 3);
    gql_operation *op = &doc->operations[0];
    assert_int_equal(op->kind, GQL_MUTATION);
    assert_text(op->name.text, "M");
    assert_loc(op->loc, 1, 1, 0);
    assert_loc(op->name.loc, 1, 17, 16);
    assert_text(op->description, "what");
    assert_false(op->block_description);
    assert_int_equal(op->directives.count, 2);
    assert_text(op->directives.items[1].name.text, "f");
    assert_int_equal(op->variable_count, 2);
    gql_variable_definition *a = &op->variables[0];
    assert_text(a->name.text, "a");
    assert_text(a->description, "who");
    assert_loc(a->loc, 1, 19, 18);
    assert_loc(a->name.loc, 1, 26, 25);
    assert_int_equal(a->type->kind, GQL_TYPE_NON_NULL);
    assert_int_equal(a->type->of->kind, GQL_TYPE_LIST);
    assert_int_equal(a->type->of->of->kind, GQL_TYPE_NON_NULL);
    assert_text(a->type->of->of->of->name, "T");
    assert_loc(a->type->loc, 1, 29, 28);
    assert_int_equal(a->default_value->kind, GQL_VALUE_LIST);
    assert_int_equal(a->directives.items[0].argument_count, 1);
    assert_text(op->variables[1].name.text, "b");
    assert_null(op->variables[1].default_value);
    assert_null(op->variables[1].description.ptr);
    assert_loc(op->variables[1].loc, 1, 51, 50);
    assert_int_equal(doc->operations[1].kind, GQL_SUBSCRIPTION);
    assert_null(doc->operations[1].name.text.ptr);
    assert_text(doc->operations[2].description, "block");
    assert_true(doc->operations[2].block_description);
}

static void test_selections(void **state)
{
    gql_document *doc =
        parse(*state, "{ al: name(x: $v, on: 1) @d { in } ...F @e ... on T @g { y } ... { z } ...onF }");
    gql_selection *s = doc->operations[0].selections.items;
    assert_int_equal(doc->operations[0].selections.count, 5);
    assert_int_equal(s[0].kind, GQL_FIELD);
    assert_text(s[0].alias.text, "al");
    assert_text(s[0].name.text, "name");
    assert_loc(s[0].loc, 1, 3, 2);
    assert_loc(s[0].name.loc, 1, 7, 6);
    assert_int_equal(s[0].argument_count, 2);
    assert_text(s[0].arguments[0].name.text, "x");
    assert_int_equal(s[0].arguments[0].value.kind, GQL_VALUE_VARIABLE);
    assert_text(s[0].arguments[0].value.text, "v");
    assert_loc(s[0].arguments[0].value.loc, 1, 15, 14);
    assert_int_equal(s[0].directives.count, 1);
    assert_loc(s[0].directives.items[0].loc, 1, 26, 25);
    assert_int_equal(s[0].selections.count, 1);
    assert_int_equal(s[1].kind, GQL_FRAGMENT_SPREAD);
    assert_text(s[1].name.text, "F");
    assert_loc(s[1].loc, 1, 36, 35);
    assert_int_equal(s[1].directives.count, 1);
    assert_int_equal(s[2].kind, GQL_INLINE_FRAGMENT);
    assert_text(s[2].type_condition->name, "T");
    assert_int_equal(s[2].directives.count, 1);
    assert_int_equal(s[2].selections.count, 1);
    assert_int_equal(s[3].kind, GQL_INLINE_FRAGMENT);
    assert_null(s[3].type_condition);
    assert_int_equal(s[4].kind, GQL_FRAGMENT_SPREAD);
    assert_text(s[4].name.text, "onF");
}

static void test_fragments(void **state)
{
    gql_document *doc = parse(*state, "{a} fragment on_ on T @d { x } \"it\" fragment fragment on on { y }");
    assert_int_equal(doc->fragment_count, 2);
    assert_text(doc->fragments[0].name.text, "on_");
    assert_text(doc->fragments[0].type_condition->name, "T");
    assert_int_equal(doc->fragments[0].directives.count, 1);
    assert_int_equal(doc->fragments[0].index, 0);
    assert_text(doc->fragments[1].name.text, "fragment");
    assert_text(doc->fragments[1].type_condition->name, "on");
    assert_text(doc->fragments[1].description, "it");
    assert_int_equal(doc->fragments[1].index, 1);
    assert_loc(doc->fragments[1].loc, 1, 32, 31);
}

static void test_values(void **state)
{
    gql_document *doc = parse(
        *state,
        "{ f(a: -12, b: 1.5e3, c: \"s\\u0041\", d: \"\"\"b\"\"\", e: true, f: false, g: null, h: ENUM,\n"
        " i: [1, [2] []], j: {k: 1, l: {m: $n}}, o: {}) }");
    gql_selection *f = doc->operations[0].selections.items;
    gql_argument *a = f->arguments;
    assert_int_equal(f->argument_count, 11);
    assert_int_equal(a[0].value.kind, GQL_VALUE_INT);
    assert_text(a[0].value.text, "-12");
    assert_int_equal(a[1].value.kind, GQL_VALUE_FLOAT);
    assert_text(a[1].value.text, "1.5e3");
    assert_int_equal(a[2].value.kind, GQL_VALUE_STRING);
    assert_text(a[2].value.text, "sA");
    assert_false(a[2].value.block);
    assert_int_equal(a[3].value.kind, GQL_VALUE_STRING);
    assert_true(a[3].value.block);
    assert_int_equal(a[4].value.kind, GQL_VALUE_BOOLEAN);
    assert_true(a[4].value.boolean);
    assert_int_equal(a[5].value.kind, GQL_VALUE_BOOLEAN);
    assert_false(a[5].value.boolean);
    assert_int_equal(a[6].value.kind, GQL_VALUE_NULL);
    assert_int_equal(a[7].value.kind, GQL_VALUE_ENUM);
    assert_text(a[7].value.text, "ENUM");
    assert_int_equal(a[8].value.kind, GQL_VALUE_LIST);
    assert_int_equal(a[8].value.count, 3);
    assert_loc(a[8].value.loc, 2, 5, 89);
    assert_text(a[8].value.items[1].items[0].text, "2");
    assert_int_equal(a[8].value.items[2].count, 0);
    assert_int_equal(a[9].value.kind, GQL_VALUE_OBJECT);
    assert_int_equal(a[9].value.count, 2);
    assert_text(a[9].value.fields[0].name.text, "k");
    assert_text(a[9].value.fields[1].value.fields[0].value.text, "n");
    assert_int_equal(a[10].value.kind, GQL_VALUE_OBJECT);
    assert_int_equal(a[10].value.count, 0);
}

static void test_keywords_are_names_elsewhere(void **state)
{
    static const char *const keywords[] = {"on",           "fragment",  "query",      "mutation",
                                           "subscription", "true",      "null",       "type",
                                           "extend",       "interface", "repeatable", "implements"};
    for (size_t i = 0; i < COUNT(keywords); i++) {
        char text[300];
        const char *k = keywords[i];
        snprintf(text, sizeof(text),
                 "query %s($%s: %s) { %s: %s(%s: $%s, x: {%s: 1}) @%s ... on %s { %s } } type %s implements "
                 "%s { %s: %s }",
                 k, k, k, k, k, k, k, k, k, k, k, k, k, k, k);
        gql_document *doc = parse(*state, text);
        assert_text(doc->operations[0].name.text, k);
        assert_text(doc->operations[0].selections.items[0].alias.text, k);
        assert_text(doc->definitions[0].interfaces[0].text, k);
    }
}

static void test_kinds_of_definitions_keep_their_order(void **state)
{
    gql_document *doc =
        parse(*state, "type A {x: Y} {a} fragment F on A {x} scalar B query Q {b} extend type A @d "
                      "fragment G on A {y} query R {c}");
    assert_int_equal(doc->operation_count, 3);
    assert_int_equal(doc->fragment_count, 2);
    assert_int_equal(doc->definition_count, 3);
    assert_text(doc->operations[1].name.text, "Q");
    assert_text(doc->operations[2].name.text, "R");
    assert_text(doc->fragments[1].name.text, "G");
    assert_text(doc->definitions[0].name.text, "A");
    assert_text(doc->definitions[1].name.text, "B");
    assert_true(doc->definitions[2].extension);
}

static void test_object_and_interface_types(void **state)
{
    fixture *f = *state;
    gql_document *doc = parse(
        f,
        "\"d\" type T implements & A & B @x {\n \"\"\"fd\"\"\" f(\"ad\" a: Int = 1 @y, b: [S]): R! @z g: H }"
        "interface I implements J { k: L } type E");
    gql_type_system *t = &doc->definitions[0];
    assert_int_equal(t->kind, GQL_DEF_OBJECT);
    assert_false(t->extension);
    assert_ptr_equal(t->source, &f->source);
    assert_text(t->description, "d");
    assert_loc(t->loc, 1, 1, 0);
    assert_loc(t->name.loc, 1, 10, 9);
    assert_int_equal(t->interface_count, 2);
    assert_text(t->interfaces[0].text, "A");
    assert_loc(t->interfaces[1].loc, 1, 29, 28);
    assert_int_equal(t->directives.count, 1);
    assert_int_equal(t->field_count, 2);
    gql_field_ast *field = &t->fields[0];
    assert_text(field->description, "fd");
    assert_true(field->block_description);
    assert_loc(field->loc, 2, 2, 36);
    assert_loc(field->name.loc, 2, 11, 45);
    assert_int_equal(field->argument_count, 2);
    assert_text(field->arguments[0].description, "ad");
    assert_text(field->arguments[0].default_value->text, "1");
    assert_int_equal(field->arguments[0].directives.count, 1);
    assert_null(field->arguments[1].default_value);
    assert_int_equal(field->type->kind, GQL_TYPE_NON_NULL);
    assert_int_equal(field->directives.count, 1);
    assert_text(t->fields[1].type->name, "H");
    assert_int_equal(doc->definitions[1].kind, GQL_DEF_INTERFACE);
    assert_text(doc->definitions[1].interfaces[0].text, "J");
    assert_int_equal(doc->definitions[1].field_count, 1);
    assert_int_equal(doc->definitions[2].field_count, 0);
    assert_null(doc->definitions[2].description.ptr);
}

static void test_other_type_system_definitions(void **state)
{
    gql_document *doc =
        parse(*state, "schema @s { query: Q subscription: S } scalar D @x union U @y = | A | B union V "
                      "enum E { \"first\" A @z on } input In { \"i\" a: Int = 1 @w b: In }"
                      "directive @r(a: Int = 1) repeatable on | FIELD | QUERY directive @o on ENUM");
    gql_type_system *d = doc->definitions;
    assert_int_equal(doc->definition_count, 8);
    assert_int_equal(d[0].kind, GQL_DEF_SCHEMA);
    assert_int_equal(d[0].operation_type_count, 2);
    assert_int_equal(d[0].operation_types[1].kind, GQL_SUBSCRIPTION);
    assert_text(d[0].operation_types[1].type.text, "S");
    assert_loc(d[0].operation_types[1].loc, 1, 22, 21);
    assert_int_equal(d[1].kind, GQL_DEF_SCALAR);
    assert_int_equal(d[1].directives.count, 1);
    assert_int_equal(d[2].kind, GQL_DEF_UNION);
    assert_int_equal(d[2].interface_count, 2);
    assert_text(d[2].interfaces[1].text, "B");
    assert_int_equal(d[3].interface_count, 0);
    assert_int_equal(d[4].kind, GQL_DEF_ENUM);
    assert_int_equal(d[4].value_count, 2);
    assert_text(d[4].values[0].description, "first");
    assert_text(d[4].values[1].name.text, "on");
    assert_int_equal(d[5].kind, GQL_DEF_INPUT);
    assert_int_equal(d[5].input_count, 2);
    assert_int_equal(d[6].kind, GQL_DEF_DIRECTIVE);
    assert_text(d[6].name.text, "r");
    assert_true(d[6].repeatable);
    assert_int_equal(d[6].input_count, 1);
    assert_int_equal(d[6].location_count, 2);
    assert_text(d[6].locations[0].text, "FIELD");
    assert_false(d[7].repeatable);
}

static void test_extensions(void **state)
{
    gql_document *doc =
        parse(*state,
              "extend schema @a extend schema { mutation: M } extend scalar S @a extend type T implements I "
              "extend type T @a extend type T { f: X } extend interface I implements J extend union U = A "
              "extend enum E { V } extend input N { a: B } extend union U @a");
    static const gql_system_kind kinds[] = {GQL_DEF_SCHEMA, GQL_DEF_SCHEMA, GQL_DEF_SCALAR,    GQL_DEF_OBJECT,
                                            GQL_DEF_OBJECT, GQL_DEF_OBJECT, GQL_DEF_INTERFACE, GQL_DEF_UNION,
                                            GQL_DEF_ENUM,   GQL_DEF_INPUT,  GQL_DEF_UNION};
    assert_int_equal(doc->definition_count, COUNT(kinds));
    for (size_t i = 0; i < COUNT(kinds); i++) {
        assert_int_equal(doc->definitions[i].kind, kinds[i]);
        assert_true(doc->definitions[i].extension);
    }
    assert_loc(doc->definitions[1].loc, 1, 18, 17);
}

static void test_whole_grammar(void **state)
{
    gql_document *doc = parse(*state, executable_document);
    assert_int_equal(doc->operation_count, 4);
    assert_int_equal(doc->fragment_count, 1);
    doc = parse(*state, system_document);
    assert_int_equal(doc->definition_count, 21);
}

/* --- errors --- */

static const struct {
    const char *text;
    unsigned line, column;
    const char *message;
} errors[] = {
    {"", 1, 1, "Unexpected <EOF>."},
    {" # nothing\n", 2, 1, "Unexpected <EOF>."},
    {"{", 1, 2, "Expected Name, found <EOF>."},
    {"{}", 1, 2, "Expected Name, found \"}\"."},
    {"{ a {} }", 1, 6, "Expected Name, found \"}\"."},
    {"{ a: }", 1, 6, "Expected Name, found \"}\"."},
    {"{ a() }", 1, 5, "Expected Name, found \")\"."},
    {"{ a(b) }", 1, 6, "Expected \":\", found \")\"."},
    {"{ a(b:) }", 1, 7, "Unexpected \")\"."},
    {"{ a(b: [1) }", 1, 10, "Unexpected \")\"."},
    {"{ a(b: {c 1}) }", 1, 11, "Expected \":\", found Int \"1\"."},
    {"{ a(b: 1 ", 1, 10, "Expected Name, found <EOF>."},
    {"{ a(b: [1 ", 1, 11, "Unexpected <EOF>."},
    {"{ a(b: $) }", 1, 9, "Expected Name, found \")\"."},
    {"{ ...on }", 1, 9, "Expected Name, found \"}\"."},
    {"{ ... @d }", 1, 10, "Expected \"{\", found \"}\"."},
    {"{ ...F {a} }", 1, 8, "Expected Name, found \"{\"."},
    {"{ a @ }", 1, 7, "Expected Name, found \"}\"."},
    {"{ \"\xC3\xA9\" }", 1, 3, "Expected Name, found String \"\xC3\xA9\"."},
    {"{ \"\"\"\n  x\n\"\"\" }", 1, 3, "Expected Name, found BlockString \"x\"."},
    {"{ a } }", 1, 7, "Unexpected \"}\"."},
    {"query", 1, 6, "Expected \"{\", found <EOF>."},
    {"query Q", 1, 8, "Expected \"{\", found <EOF>."},
    {"query () { a }", 1, 8, "Expected \"$\", found \")\"."},
    {"query ($a) { a }", 1, 10, "Expected \":\", found \")\"."},
    {"query ($a: [T) { a }", 1, 14, "Expected \"]\", found \")\"."},
    {"query ($a: T!!) { a }", 1, 14, "Expected \"$\", found \"!\"."},
    {"query ($a: T = $b) { a }", 1, 16, "Unexpected variable \"$b\" in constant value."},
    {"query ($a: T = [{b: $b}]) { a }", 1, 21, "Unexpected variable \"$b\" in constant value."},
    {"query ($a: T = $1) { a }", 1, 16, "Unexpected \"$\"."},
    {"query ($a: T @d(x: $b)) { a }", 1, 20, "Unexpected variable \"$b\" in constant value."},
    {"quer { a }", 1, 1, "Unexpected Name \"quer\"."},
    {"notAnOperation Foo { field }", 1, 1, "Unexpected Name \"notAnOperation\"."},
    {"...", 1, 1, "Unexpected \"...\"."},
    {"1.5", 1, 1, "Unexpected Float \"1.5\"."},
    {"fragment on on T { a }", 1, 10, "Unexpected Name \"on\"."},
    {"fragment F T { a }", 1, 12, "Expected \"on\", found Name \"T\"."},
    {"fragment F on T", 1, 16, "Expected \"{\", found <EOF>."},
    {"fragment F($a: T) on T { a }", 1, 11, "Expected \"on\", found \"(\"."},
    {"\"d\" { a }", 1, 1, "Unexpected description, descriptions are not supported on shorthand queries."},
    {" \"d\" extend type T @d", 1, 2,
     "Unexpected description, only GraphQL definitions support descriptions."},
    {"\"d\" what", 1, 1, "Unexpected description, only GraphQL definitions support descriptions."},
    {"\"d\" \"e\" type T", 1, 5, "Unexpected String \"e\"."},
    {"\"d\"", 1, 4, "Unexpected <EOF>."},
    {"type", 1, 5, "Expected Name, found <EOF>."},
    {"type T {}", 1, 9, "Expected Name, found \"}\"."},
    {"type T { f }", 1, 12, "Expected \":\", found \"}\"."},
    {"type T { f() : S }", 1, 12, "Expected Name, found \")\"."},
    {"type T { f(a: B = $c): S }", 1, 19, "Unexpected variable \"$c\" in constant value."},
    {"type T implements { f: S }", 1, 19, "Expected Name, found \"{\"."},
    {"type T implements A && B", 1, 22, "Expected Name, found \"&\"."},
    {"type T implements A, B", 1, 22, "Unexpected Name \"B\"."},
    {"union U = | ", 1, 13, "Expected Name, found <EOF>."},
    {"union U = || A", 1, 12, "Expected Name, found \"|\"."},
    {"union U = A | B |", 1, 18, "Expected Name, found <EOF>."},
    {"enum E {}", 1, 9, "Expected Name, found \"}\"."},
    {"enum E { true }", 1, 10, "Name \"true\" is reserved and cannot be used for an enum value."},
    {"enum E { A false }", 1, 12, "Name \"false\" is reserved and cannot be used for an enum value."},
    {"enum E { \"d\" null }", 1, 14, "Name \"null\" is reserved and cannot be used for an enum value."},
    {"input I { a(b: C): D }", 1, 12, "Expected \":\", found \"(\"."},
    {"schema", 1, 7, "Expected \"{\", found <EOF>."},
    {"schema { }", 1, 10, "Expected Name, found \"}\"."},
    {"schema { querie: Q }", 1, 10, "Unexpected Name \"querie\"."},
    {"schema { query: [Q] }", 1, 17, "Expected Name, found \"[\"."},
    {"directive d on FIELD", 1, 11, "Expected \"@\", found Name \"d\"."},
    {"directive @d", 1, 13, "Expected \"on\", found <EOF>."},
    {"directive @d repeatable FIELD", 1, 25, "Expected \"on\", found Name \"FIELD\"."},
    {"directive @d on FIELD | INCORRECT", 1, 25, "Unexpected Name \"INCORRECT\"."},
    {"directive @d on field", 1, 17, "Unexpected Name \"field\"."},
    {"extend", 1, 7, "Unexpected <EOF>."},
    {"extend foo", 1, 8, "Unexpected Name \"foo\"."},
    {"extend \"d\" type T", 1, 8, "Unexpected String \"d\"."},
    {"extend schema", 1, 14, "Unexpected <EOF>."},
    {"extend schema {}", 1, 16, "Expected Name, found \"}\"."},
    {"extend scalar S", 1, 16, "Unexpected <EOF>."},
    {"extend type T", 1, 14, "Unexpected <EOF>."},
    {"extend type T type U", 1, 15, "Unexpected Name \"type\"."},
    {"extend interface I", 1, 19, "Unexpected <EOF>."},
    {"extend union U", 1, 15, "Unexpected <EOF>."},
    {"extend enum E", 1, 14, "Unexpected <EOF>."},
    {"extend input I", 1, 15, "Unexpected <EOF>."},
    {"extend directive @d @e", 1, 8, "Unexpected Name \"directive\"."},
    {"{ a ? }", 1, 5, "Unexpected character: \"?\"."},
    {"{ \xC3\xA9 }", 1, 3, "Unexpected character: U+00E9."},
    {"{ a(b: \"\xC3\xA9\", c: \"\n) }", 1, 17, "Unterminated string."},
    {"# \xC3\xA9\r\n{\r  a(b: \"\"\"\xC3\xA9\n \xC3\xA9\"\"\" !", 4, 7, "Expected Name, found \"!\"."},
};

static void test_errors_are_exact(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        char expected[256];
        snprintf(expected, sizeof(expected), "Syntax Error: %s", errors[i].message);
        pl_code code = parse_limited(f, errors[i].text, NULL);
        if (code != PL_INVALID_ARGUMENT || strcmp(f->err.message, expected) != 0 ||
            f->err.line != errors[i].line || f->err.column != errors[i].column)
            fail_msg("%s\ngives %d %u:%u %s", errors[i].text, code, f->err.line, f->err.column,
                     f->err.message);
        assert_int_equal(f->err.code, PL_INVALID_ARGUMENT);
        assert_string_equal(f->err.file, "test.graphql");
        assert_null(f->document);
    }
}

static void test_errors_with_long_tokens_are_cut(void **state)
{
    static char text[10000];
    fixture *f = *state;
    memset(text, 'a', sizeof(text) - 1);
    assert_int_equal(parse_limited(f, text, NULL), PL_INVALID_ARGUMENT);
    assert_memory_equal(f->err.message, "Syntax Error: Unexpected Name \"aaaa", 35);
    assert_true(strlen(f->err.message) < sizeof(f->err.message));
    assert_int_equal(gql_parse(&f->arena, &f->source, NULL, &f->document, NULL), PL_INVALID_ARGUMENT);
}

/* --- single values and types --- */

static void test_const_value(void **state)
{
    fixture *f = *state;
    gql_value value;
    f->source.text = PL_STR(" [1, {a: \"b\"}] ");
    assert_int_equal(gql_parse_const_value(&f->arena, &f->source, &value, &f->err), PL_OK);
    assert_int_equal(value.kind, GQL_VALUE_LIST);
    assert_text(value.items[1].fields[0].value.text, "b");

    static const struct {
        const char *text, *message;
        unsigned column;
    } cases[] = {
        {"", "Syntax Error: Unexpected <EOF>.", 1},
        {"$a", "Syntax Error: Unexpected variable \"$a\" in constant value.", 1},
        {"1 2", "Syntax Error: Expected <EOF>, found Int \"2\".", 3},
        {"[", "Syntax Error: Unexpected <EOF>.", 2},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        f->source.text = pl_str_of(cases[i].text);
        assert_int_equal(gql_parse_const_value(&f->arena, &f->source, &value, &f->err), PL_INVALID_ARGUMENT);
        assert_string_equal(f->err.message, cases[i].message);
        assert_int_equal(f->err.column, cases[i].column);
    }
}

static void test_type(void **state)
{
    fixture *f = *state;
    gql_type *type;
    f->source.text = PL_STR("[Int!]");
    assert_int_equal(gql_parse_type(&f->arena, &f->source, &type, &f->err), PL_OK);
    assert_int_equal(type->kind, GQL_TYPE_LIST);
    assert_int_equal(type->of->kind, GQL_TYPE_NON_NULL);
    assert_text(type->of->of->name, "Int");
    f->source.text = PL_STR("Int]");
    assert_int_equal(gql_parse_type(&f->arena, &f->source, &type, &f->err), PL_INVALID_ARGUMENT);
    assert_string_equal(f->err.message, "Syntax Error: Expected <EOF>, found \"]\".");
    assert_null(type);
}

/* --- limits --- */

static void test_limit_of_tokens(void **state)
{
    fixture *f = *state;
    gql_parse_limits limits = {.max_tokens = 5};
    assert_int_equal(parse_limited(f, "{ a b c } # not counted", &limits), PL_OK);
    assert_int_equal(parse_limited(f, "{ a b c d }", &limits), PL_RESOURCE_EXHAUSTED);
    assert_string_equal(f->err.message,
                        "Syntax Error: Document contains more than 5 tokens. Parsing aborted.");
    assert_int_equal(f->err.code, PL_RESOURCE_EXHAUSTED);
    assert_int_equal(f->err.line, 1);
    assert_int_equal(f->err.column, 11);
}

static void test_limit_of_bytes(void **state)
{
    fixture *f = *state;
    gql_parse_limits limits = {.max_bytes = 5};
    assert_int_equal(parse_limited(f, "{ a }", &limits), PL_OK);
    assert_int_equal(parse_limited(f, "{ a } ", &limits), PL_RESOURCE_EXHAUSTED);
    assert_string_equal(f->err.message, "Syntax Error: Document is larger than 5 bytes. Parsing aborted.");
    /* More than the hard limit is not looked at. */
    f->source.text = (pl_str){"", (size_t)1 << 33};
    limits.max_bytes = SIZE_MAX;
    assert_int_equal(gql_parse(&f->arena, &f->source, &limits, &f->document, &f->err), PL_RESOURCE_EXHAUSTED);
}

static void test_limit_of_depth(void **state)
{
    fixture *f = *state;
    gql_parse_limits limits = {.max_depth = 3};
    static const struct {
        const char *text;
        unsigned column; /* 0: accepted */
    } cases[] = {
        {"{ a { b { c } } d { e { f } } }", 0},
        {"{ a { b { c { d } } } }", 13},
        {"{ a { b(c: [1, 2]) } }", 0},
        {"{ a { b(c: [[1]]) } }", 13},
        {"{ a { b(c: {d: {e: 1}}) } }", 16},
        {"{ ... { ... on T { ... { a } } } }", 24},
        {"query ($a: [[[T]]]) { a }", 0},
        {"query ($a: [[[[T]]]]) { a }", 15},
        {"type T { f(a: B = [[[1]]]): [[[C]]] }", 0},
        {"type T { f(a: B = [[[[1]]]]): C }", 22},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        pl_code code = parse_limited(f, cases[i].text, &limits);
        assert_int_equal(code, cases[i].column ? PL_RESOURCE_EXHAUSTED : PL_OK);
        if (code) {
            assert_string_equal(f->err.message,
                                "Syntax Error: Document is nested deeper than 3 levels. Parsing aborted.");
            assert_int_equal(f->err.column, cases[i].column);
        }
    }
}

static void test_endless_nesting_is_refused_whatever_the_settings_say(void **state)
{
    static const char *const units[] = {"{", "{a", "{a(b:[", "{...", "query($a:[", "[", "{a(b:{c:"};
    static char text[100001];
    fixture *f = *state;
    gql_parse_limits limits = {.max_tokens = UINT32_MAX, .max_depth = UINT32_MAX};
    for (size_t i = 0; i < COUNT(units); i++) {
        size_t unit = strlen(units[i]);
        for (size_t at = 0; at < sizeof(text) - 1; at++)
            text[at] = units[i][at % unit];
        assert_int_not_equal(parse_limited(f, text, &limits), PL_OK);
        assert_int_not_equal(parse_limited(f, text, NULL), PL_OK);
    }
    strcpy(text, "{ a(b: ");
    memset(text + 7, '[', sizeof(text) - 8);
    assert_int_equal(parse_limited(f, text, &limits), PL_RESOURCE_EXHAUSTED);
    assert_string_equal(f->err.message,
                        "Syntax Error: Document is nested deeper than 1000 levels. Parsing aborted.");
    memset(text, '[', sizeof(text) - 1);
    gql_type *type;
    f->source.text = pl_str_of(text);
    assert_int_equal(gql_parse_type(&f->arena, &f->source, &type, &f->err), PL_RESOURCE_EXHAUSTED);
}

static void test_long_lists_outgrow_the_first_scratch(void **state)
{
    static char text[3 * 5000 + 64];
    fixture *f = *state;
    size_t at = (size_t)sprintf(text, "{ a { in ");
    for (int i = 0; i < 5000; i++)
        at += (size_t)sprintf(text + at, "f ");
    sprintf(text + at, "last } b }");
    gql_document *doc = parse(f, text);
    gql_selection_set *outer = &doc->operations[0].selections;
    assert_int_equal(outer->count, 2);
    assert_text(outer->items[0].name.text, "a");
    assert_int_equal(outer->items[0].selections.count, 5002);
    assert_text(outer->items[0].selections.items[0].name.text, "in");
    assert_text(outer->items[0].selections.items[5001].name.text, "last");
    assert_text(outer->items[1].name.text, "b");
}

/* --- memory --- */

static void check_every_allocation(fixture *f, const char *text)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_arena arena;
        pl_arena_init(&arena, 64);
        f->source.text = pl_str_of(text);
        f->err = (pl_error){0};
        failing_begin(&a);
        pl_code code = gql_parse(&arena, &f->source, NULL, &f->document, &f->err);
        bool failed = failing_end(&a);
        pl_arena_dispose(&arena);
        assert_int_equal(code, failed ? PL_RESOURCE_EXHAUSTED : PL_OK);
        if (failed) {
            assert_int_equal(f->err.code, PL_RESOURCE_EXHAUSTED);
            assert_string_equal(f->err.message, "out of memory");
            assert_null(f->document);
        }
    }
    assert_true(a.made > 2);
}

static void test_every_allocation_may_fail(void **state)
{
    check_every_allocation(*state, executable_document);
    check_every_allocation(*state, system_document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shorthand_query, setup, teardown),
        cmocka_unit_test_setup_teardown(test_operations_with_all_their_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_selections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fragments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keywords_are_names_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kinds_of_definitions_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_object_and_interface_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_type_system_definitions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_extensions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_grammar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_are_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_with_long_tokens_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_const_value, setup, teardown),
        cmocka_unit_test_setup_teardown(test_type, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_of_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_of_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_of_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_endless_nesting_is_refused_whatever_the_settings_say, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_long_lists_outgrow_the_first_scratch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_allocation_may_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
