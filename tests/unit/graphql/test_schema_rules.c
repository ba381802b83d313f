/* SPDX-License-Identifier: MIT */
/* The SDL validation rules: for each, what it refuses and what it lets pass. */
#include "schemas.h"

static void test_lone_schema_definition(void **state)
{
    static const schema_case cases[] = {
        {"LoneSchemaDefinition",
         "schema { query: Q }\n"
         "type Q { a: Int }\n"
         "\"again\" schema { query: Q }\n"
         "schema { mutation: M }\n"
         "type M { b: Int }\n",
         "LoneSchemaDefinition: Must provide only one schema definition. @ 3:1\n"
         "UniqueOperationTypes: There can be only one query type in schema. @ 1:10 3:18\n"
         "LoneSchemaDefinition: Must provide only one schema definition. @ 4:1\n"},
        {"one definition, two operations",
         "schema { query: Query mutation: Query2 }\n"
         "extend schema @d\n"
         "type Query { a: Int }\n"
         "type Query2 { a: Int }\n"
         "directive @d on SCHEMA\n",
         ""},
    };
    CHECK_CASES(cases);
}

static void test_unique_operation_types(void **state)
{
    static const schema_case cases[] = {
        {"UniqueOperationTypes",
         "schema { query: Q query: P mutation: Q }\n"
         "extend schema { subscription: P mutation: P }\n"
         "extend schema { query: P }\n"
         "type Q { a: Int }\n"
         "type P { a: Int }\n",
         "UniqueOperationTypes: There can be only one query type in schema. @ 1:10 1:19\n"
         "UniqueOperationTypes: There can be only one mutation type in schema. @ 1:28 2:33\n"
         "UniqueOperationTypes: There can be only one query type in schema. @ 1:10 3:17\n"},
    };
    CHECK_CASES(cases);
}

static void test_unique_type_names(void **state)
{
    static const schema_case cases[] = {
        {"UniqueTypeNames",
         "type Query { a: Int }\n"
         "\"one\" scalar Thing\n"
         "enum Thing { A }\n"
         "  input Thing { x: Int }\n",
         "UniqueTypeNames: There can be only one type named \"Thing\". @ 2:14 3:6\n"
         "UniqueTypeNames: There can be only one type named \"Thing\". @ 2:14 4:9\n"},
    };
    CHECK_CASES(cases);
}

static void test_unique_enum_value_names(void **state)
{
    static const schema_case cases[] = {
        {"UniqueEnumValueNames",
         "type Query { a: E }\n"
         "enum E { A B A }\n"
         "extend enum E { C B }\n"
         "extend enum E { C }\n",
         "UniqueEnumValueNames: Enum value \"E.A\" can only be defined once. @ 2:10 2:14\n"
         "UniqueEnumValueNames: Enum value \"E.B\" can only be defined once. @ 2:12 3:19\n"
         "UniqueEnumValueNames: Enum value \"E.C\" can only be defined once. @ 3:17 4:17\n"},
        {"same values in two enums",
         "type Query { a: E }\n"
         "enum E { A B }\n"
         "enum F { A B }\n"
         "extend enum E { C }\n",
         ""},
    };
    CHECK_CASES(cases);
}

static void test_unique_field_and_argument_definitions(void **state)
{
    static const schema_case cases[] = {
        {"UniqueFieldDefinitionNames",
         "type Query { a: Int b: Int a: String }\n"
         "extend type Query { b: Int c: Int }\n"
         "extend type Query { c: Int }\n"
         "interface I { x: Int x: Int }\n"
         "input In { p: Int p: Int }\n"
         "extend input In { p: String }\n",
         "UniqueFieldDefinitionNames: Field \"Query.a\" can only be defined once. @ 1:14 1:28\n"
         "UniqueFieldDefinitionNames: Field \"Query.b\" can only be defined once. @ 1:21 2:21\n"
         "UniqueFieldDefinitionNames: Field \"Query.c\" can only be defined once. @ 2:28 3:21\n"
         "UniqueFieldDefinitionNames: Field \"I.x\" can only be defined once. @ 4:15 4:22\n"
         "UniqueFieldDefinitionNames: Field \"In.p\" can only be defined once. @ 5:12 5:19\n"
         "UniqueFieldDefinitionNames: Field \"In.p\" can only be defined once. @ 5:12 6:19\n"},
        {"UniqueArgumentDefinitionNames",
         "type Query { a(x: Int, y: Int, x: Int, \"doc\" x: Int): Int }\n"
         "interface I { f(k: Int k: Int): Int }\n"
         "extend interface I { g(z: Int z: Int, y: Int, y: Int): Int }\n"
         "directive @d(a: Int, b: Int, a: Int) on FIELD\n",
         "UniqueArgumentDefinitionNames: Argument \"Query.a(x:)\" can only be defined once. @ 1:16 1:32 "
         "1:46\n"
         "UniqueArgumentDefinitionNames: Argument \"I.f(k:)\" can only be defined once. @ 2:17 2:24\n"
         "UniqueArgumentDefinitionNames: Argument \"I.g(z:)\" can only be defined once. @ 3:24 3:31\n"
         "UniqueArgumentDefinitionNames: Argument \"I.g(y:)\" can only be defined once. @ 3:39 3:47\n"
         "UniqueArgumentDefinitionNames: Argument \"@d(a:)\" can only be defined once. @ 4:14 4:30\n"},
        {"same names in different owners",
         "type Query { a(x: Int, y: Int): Int b(x: Int): Int }\n"
         "extend type Query { c: Int }\n"
         "type Other { a: Int b: Int }\n"
         "input In { a: Int }\n"
         "directive @Query(x: Int, y: Int) on FIELD\n",
         ""},
    };
    CHECK_CASES(cases);
}

static void test_unique_directive_names(void **state)
{
    static const schema_case cases[] = {
        {"UniqueDirectiveNames",
         "directive @a on FIELD\n"
         "\"x\" directive @a on QUERY\n"
         "directive @skip on FIELD\n"
         "type Query { a: Int }\n",
         "UniqueDirectiveNames: There can be only one directive named \"@a\". @ 1:12 2:16\n"},
    };
    CHECK_CASES(cases);
}

static void test_known_type_names(void **state)
{
    static const schema_case cases[] = {
        {"KnownTypeNames",
         "type Query implements Nope & __Type { a: Strin b(x: [Itn!]!): Query! c: Qery }\n"
         "union U = Query | Querz | UU\n"
         "extend type Query { d: __Schema e: Directive }\n"
         "directive @q(a: Booolean) on FIELD\n"
         "schema { query: Qury }\n"
         "input I { a: II = 3 }\n",
         "KnownTypeNames: Unknown type \"Nope\". @ 1:23\n"
         "KnownTypeNames: Unknown type \"Strin\". Did you mean \"String\"? @ 1:42\n"
         "KnownTypeNames: Unknown type \"Itn\". Did you mean \"Int\", \"I\", or \"ID\"? @ 1:54\n"
         "KnownTypeNames: Unknown type \"Qery\". Did you mean \"Query\"? @ 1:73\n"
         "KnownTypeNames: Unknown type \"Querz\". Did you mean \"Query\"? @ 2:19\n"
         "KnownTypeNames: Unknown type \"UU\". Did you mean \"U\"? @ 2:27\n"
         "KnownTypeNames: Unknown type \"Directive\". Did you mean \"__Directive\"? @ 3:36\n"
         "KnownTypeNames: Unknown type \"Booolean\". Did you mean \"Boolean\"? @ 4:17\n"
         "KnownTypeNames: Unknown type \"Qury\". Did you mean \"Query\"? @ 5:17\n"
         "KnownTypeNames: Unknown type \"II\". Did you mean \"I\" or \"ID\"? @ 6:14\n"},
        {"the five nearest names",
         "type Query { a: Abc }\n"
         "type Abc1 { a: Int }\n"
         "type Abc2 { a: Int }\n"
         "type Abc10 { a: Int }\n"
         "type Ab { a: Int }\n"
         "type abc { a: Int }\n"
         "type Acb { a: Int }\n"
         "type Abcde { a: Int }\n",
         "KnownTypeNames: Unknown type \"Abc\". Did you mean \"Ab\", \"Abc1\", \"Abc2\", \"Acb\", or "
         "\"abc\"? @ 1:17\n"},
        {"built-in types defined again",
         "scalar ID\n"
         "scalar String\n"
         "type __Type { a: Int }\n"
         "type Query { a: String, t: __Type }\n"
         "enum __TypeKind { A }\n",
         ""},
    };
    CHECK_CASES(cases);
}

static void test_known_directives(void **state)
{
    static const schema_case cases[] = {
        {"KnownDirectives",
         "schema @unknown @skip(if: true) { query: Query }\n"
         "type Query @deprecated @oneOf { a: Int @specifiedBy(url: \"x\") b(c: Int @oneOf): Int @nope }\n"
         "scalar S @deprecated\n"
         "interface I @specifiedBy(url: \"x\") { a: Int }\n"
         "union U @oneOf = Query\n"
         "enum E @oneOf { A @oneOf }\n"
         "input In @deprecated { a: Int @oneOf }\n"
         "extend input In { b: Int @custom }\n"
         "directive @custom on INPUT_FIELD_DEFINITION\n"
         "directive @other(a: Int @custom @oneOf) on FIELD\n",
         "KnownDirectives: Unknown directive \"@unknown\". @ 1:8\n"
         "KnownDirectives: Directive \"@skip\" may not be used on SCHEMA. @ 1:17\n"
         "KnownDirectives: Directive \"@deprecated\" may not be used on OBJECT. @ 2:12\n"
         "KnownDirectives: Directive \"@oneOf\" may not be used on OBJECT. @ 2:24\n"
         "KnownDirectives: Directive \"@specifiedBy\" may not be used on FIELD_DEFINITION. @ 2:40\n"
         "KnownDirectives: Directive \"@oneOf\" may not be used on ARGUMENT_DEFINITION. @ 2:72\n"
         "KnownDirectives: Unknown directive \"@nope\". @ 2:85\n"
         "KnownDirectives: Directive \"@deprecated\" may not be used on SCALAR. @ 3:10\n"
         "KnownDirectives: Directive \"@specifiedBy\" may not be used on INTERFACE. @ 4:13\n"
         "KnownDirectives: Directive \"@oneOf\" may not be used on UNION. @ 5:9\n"
         "KnownDirectives: Directive \"@oneOf\" may not be used on ENUM. @ 6:8\n"
         "KnownDirectives: Directive \"@oneOf\" may not be used on ENUM_VALUE. @ 6:19\n"
         "KnownDirectives: Directive \"@deprecated\" may not be used on INPUT_OBJECT. @ 7:10\n"
         "KnownDirectives: Directive \"@oneOf\" may not be used on INPUT_FIELD_DEFINITION. @ 7:31\n"
         "KnownDirectives: Directive \"@custom\" may not be used on ARGUMENT_DEFINITION. @ 10:25\n"
         "KnownDirectives: Directive \"@oneOf\" may not be used on ARGUMENT_DEFINITION. @ 10:33\n"},
        {"directive on a directive",
         "directive @a on FIELD\n"
         "directive @b @a on FIELD\n"
         "type Query { a: Int }\n",
         "KnownDirectives: Directive \"@a\" may not be used on DIRECTIVE_DEFINITION. @ 2:14\n"},
        {"directives where they may stand",
         "directive @d(a: Int!, b: [Int!] = [1], c: Int! = 2) repeatable on FIELD_DEFINITION | ENUM_VALUE | "
         "ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | OBJECT | SCHEMA | SCALAR | ENUM | UNION | INTERFACE "
         "| INPUT_OBJECT\n"
         "schema @d(a: 1) { query: Query }\n"
         "type Query @d(a: 1) @d(a: 1) { x(y: Int @d(a: 2)): Int @d(a: 1, c: 3) @deprecated }\n"
         "enum E @d(a: 1) { A @d(a: 1) @deprecated }\n"
         "union U @d(a: 1) = Query\n"
         "input In @d(a: 1) { f: Int @d(a: 1) @deprecated }\n"
         "interface I @d(a: 1) { f: Int }\n"
         "scalar S @d(a: 1) @specifiedBy(url: \"u\")\n"
         "extend scalar S @d(a: 2)\n"
         "extend union U @d(a: 2)\n",
         ""},
    };
    CHECK_CASES(cases);
}

static void test_unique_directives_per_location(void **state)
{
    static const schema_case cases[] = {
        {"UniqueDirectivesPerLocation",
         "directive @a on OBJECT | FIELD_DEFINITION | SCHEMA | ENUM_VALUE | ARGUMENT_DEFINITION\n"
         "directive @b repeatable on OBJECT | FIELD_DEFINITION\n"
         "schema @a { query: Query }\n"
         "extend schema @a\n"
         "type Query @a @b @b { x(p: Int @a @a): Int @a @b @a @b }\n"
         "extend type Query @a\n"
         "enum E { V @a @a @a }\n",
         "UniqueDirectivesPerLocation: The directive \"@a\" can only be used once at this location. @ 3:8 "
         "4:15\n"
         "UniqueDirectivesPerLocation: The directive \"@a\" can only be used once at this location. @ 5:44 "
         "5:50\n"
         "UniqueDirectivesPerLocation: The directive \"@a\" can only be used once at this location. @ 5:32 "
         "5:35\n"
         "UniqueDirectivesPerLocation: The directive \"@a\" can only be used once at this location. @ 5:12 "
         "6:19\n"
         "UniqueDirectivesPerLocation: The directive \"@a\" can only be used once at this location. @ 7:12 "
         "7:15\n"
         "UniqueDirectivesPerLocation: The directive \"@a\" can only be used once at this location. @ 7:12 "
         "7:18\n"},
    };
    CHECK_CASES(cases);
}

static void test_possible_type_extensions(void **state)
{
    static const schema_case cases[] = {
        {"PossibleTypeExtensions",
         "type Query { a: Int }\n"
         "extend type Qery { b: Int }\n"
         "extend input Query { b: Int }\n"
         "extend scalar Query @specifiedBy(url: \"\")\n"
         "\"d\" interface I { a: Int }\n"
         "extend union I = Query\n"
         "enum E { A }\n"
         "extend interface E { a: Int }\n"
         "extend enum Nothing { B }\n"
         "scalar S\n"
         "extend type S { a: Int }\n"
         "extend type String { a: Int }\n"
         "input In { a: Int }\n"
         "extend enum In { A }\n"
         "extend union UU = Query\n",
         "PossibleTypeExtensions: Cannot extend type \"Qery\" because it is not defined. Did you mean "
         "\"Query\"? @ 2:13\n"
         "PossibleTypeExtensions: Cannot extend non-input object type \"Query\". @ 1:1 3:1\n"
         "PossibleTypeExtensions: Cannot extend non-scalar type \"Query\". @ 1:1 4:1\n"
         "PossibleTypeExtensions: Cannot extend non-union type \"I\". @ 5:1 6:1\n"
         "PossibleTypeExtensions: Cannot extend non-interface type \"E\". @ 7:1 8:1\n"
         "PossibleTypeExtensions: Cannot extend type \"Nothing\" because it is not defined. @ 9:13\n"
         "PossibleTypeExtensions: Cannot extend non-object type \"S\". @ 10:1 11:1\n"
         "PossibleTypeExtensions: Cannot extend type \"String\" because it is not defined. @ 12:13\n"
         "PossibleTypeExtensions: Cannot extend non-enum type \"In\". @ 13:1 14:1\n"
         "PossibleTypeExtensions: Cannot extend type \"UU\" because it is not defined. @ 15:14\n"},
        {"extension of nothing", "extend type Query { a: Int }\n",
         "PossibleTypeExtensions: Cannot extend type \"Query\" because it is not defined. @ 1:13\n"},
    };
    CHECK_CASES(cases);
}

static void test_arguments_of_directives(void **state)
{
    static const schema_case cases[] = {
        {"KnownArgumentNamesOnDirectives",
         "directive @d(alpha: Int, beta: Int) on FIELD_DEFINITION\n"
         "type Query { a: Int @d(alpa: 1, gamma: 2) @deprecated(reson: \"x\") b: Int @nope(a: 1) }\n",
         "KnownArgumentNamesOnDirectives: Unknown argument \"alpa\" on directive \"@d\". Did you mean "
         "\"alpha\"? @ 2:24\n"
         "KnownArgumentNamesOnDirectives: Unknown argument \"gamma\" on directive \"@d\". @ 2:33\n"
         "KnownArgumentNamesOnDirectives: Unknown argument \"reson\" on directive \"@deprecated\". Did you "
         "mean \"reason\"? @ 2:55\n"
         "KnownDirectives: Unknown directive \"@nope\". @ 2:74\n"},
        {"suggestions",
         "directive @d(alpha: Int, alphb: Int alphc: Int) on OBJECT\n"
         "type Query @d(alph: 1) { a: Int }\n",
         "KnownArgumentNamesOnDirectives: Unknown argument \"alph\" on directive \"@d\". Did you mean "
         "\"alpha\", \"alphb\", or \"alphc\"? @ 2:15\n"},
        {"UniqueArgumentNames",
         "directive @d(alpha: Int, beta: Int) on FIELD_DEFINITION\n"
         "type Query { a: Int @d(alpha: 1, beta: 2, alpha: 3, alpha: 4) @deprecated(reason: \"a\" reason: "
         "\"b\") }\n",
         "UniqueArgumentNames: There can be only one argument named \"alpha\". @ 2:24 2:43 2:53\n"
         "UniqueArgumentNames: There can be only one argument named \"reason\". @ 2:75 2:87\n"},
        {"ProvidedRequiredArgumentsOnDirectives",
         "directive @d(a: Int!, b: [String!]!, c: Int! = 3, d: Int) on FIELD_DEFINITION\n"
         "type Query { x: Int @d(b: [\"x\"]) y: Int @d z: Int @d(a: 1, b: []) }\n"
         "scalar S @specifiedBy\n",
         "ProvidedRequiredArgumentsOnDirectives: Argument \"@d(a:)\" of type \"Int!\" is required, but it "
         "was not provided. @ 2:21\n"
         "ProvidedRequiredArgumentsOnDirectives: Argument \"@d(a:)\" of type \"Int!\" is required, but it "
         "was not provided. @ 2:41\n"
         "ProvidedRequiredArgumentsOnDirectives: Argument \"@d(b:)\" of type \"[String!]!\" is required, but "
         "it was not provided. @ 2:41\n"
         "ProvidedRequiredArgumentsOnDirectives: Argument \"@specifiedBy(url:)\" of type \"String!\" is "
         "required, but it was not provided. @ 3:10\n"},
    };
    CHECK_CASES(cases);
}

static void test_unique_input_field_names(void **state)
{
    static const schema_case cases[] = {
        {"UniqueInputFieldNames",
         "scalar S\n"
         "directive @d(s: S) on FIELD_DEFINITION\n"
         "type Query { a(x: S = { a: 1, a: 2, b: [{ c: 1 c: 2 }, { c: 1 }] }): Int @d(s: { z: 1, y: { z: 1 "
         "}, z: 2 }) }\n",
         "UniqueInputFieldNames: There can be only one input field named \"a\". @ 3:25 3:31\n"
         "UniqueInputFieldNames: There can be only one input field named \"c\". @ 3:43 3:48\n"
         "UniqueInputFieldNames: There can be only one input field named \"z\". @ 3:82 3:101\n"},
        {"same fields in different objects",
         "scalar S\n"
         "directive @d(s: S) on FIELD_DEFINITION\n"
         "type Query { a(x: S = { a: 1, b: { a: 2 }, c: [{ a: 1 }, { a: 2 }] }): Int @d(s: { z: 1, y: { z: 1 "
         "} }) }\n",
         ""},
    };
    CHECK_CASES(cases);
}

static void test_rules_speak_in_the_order_of_the_text(void **state)
{
    static const schema_case cases[] = {
        {"order",
         "type Query @x @y { a: Foo @z b(c: Bar @w): Baz }\n"
         "type Query { a: Int }\n"
         "extend type Query @x { a: Int }\n",
         "KnownDirectives: Unknown directive \"@x\". @ 1:12\n"
         "KnownDirectives: Unknown directive \"@y\". @ 1:15\n"
         "KnownTypeNames: Unknown type \"Foo\". @ 1:23\n"
         "KnownDirectives: Unknown directive \"@z\". @ 1:27\n"
         "KnownTypeNames: Unknown type \"Bar\". @ 1:35\n"
         "KnownDirectives: Unknown directive \"@w\". @ 1:39\n"
         "KnownTypeNames: Unknown type \"Baz\". @ 1:44\n"
         "UniqueTypeNames: There can be only one type named \"Query\". @ 1:6 2:6\n"
         "UniqueFieldDefinitionNames: Field \"Query.a\" can only be defined once. @ 1:20 2:14\n"
         "UniqueFieldDefinitionNames: Field \"Query.a\" can only be defined once. @ 1:20 3:24\n"
         "KnownDirectives: Unknown directive \"@x\". @ 3:19\n"},
    };
    CHECK_CASES(cases);
}

/* Directives that the server knows need no definition; one that the SDL has is its own. */
static void test_ready_made_directives(void **state)
{
    static const schema_case cases[] = {
        {"used",
         "type Query { a(b: Int @cost(weight: \"1\")): [Query] @listSize(slicingArguments: [\"b\"]) "
         "@cost(weight: "
         "\"2.5\") }\n"
         "input I { i: Int @cost(weight: 3) }\n"
         "enum E @cost(weight: \"0\") { V }\n"
         "scalar S @cost(weight: \"1e3\")\n",
         "ValuesOfCorrectType: String cannot represent a non string value: 3 @ 2:32\n"},
        {"of somebody else",
         "directive @cost(complexity: Int, weight: Int) on FIELD_DEFINITION\n"
         "type Query { a: Int @cost(complexity: 5) b: Int @cost(weight: 7) }\n",
         ""},
        {"at a wrong place", "type Query { a: Int } union U @cost(weight: \"1\") = Query\n",
         "KnownDirectives: Directive \"@cost\" may not be used on UNION. @ 1:31\n"},
        {"without what they need", "type Query { a: Int @cost }\n",
         "ProvidedRequiredArgumentsOnDirectives: Argument \"@cost(weight:)\" of type \"String!\" is "
         "required, but it was not "
         "provided. @ 1:21\n"},
        {"weights",
         "type Query { a: Int @cost(weight: \"x\") b: Int @cost(weight: \"-1\") c: Int @cost(weight: \"\")\n"
         "d: Int @cost(weight: \"1e99\") e: Int @cost(weight: \"nan\") }\n",
         "-: The weight of @cost must be a number from 0 to a billion, such as \"5\" or \"0.5\", not \"x\". "
         "@ 1:35\n"
         "-: The weight of @cost must be a number from 0 to a billion, such as \"5\" or \"0.5\", not \"-1\". "
         "@ 1:61\n"
         "-: The weight of @cost must be a number from 0 to a billion, such as \"5\" or \"0.5\", not \"\". @ "
         "1:88\n"
         "-: The weight of @cost must be a number from 0 to a billion, such as \"5\" or \"0.5\", not "
         "\"1e99\". @ 2:22\n"
         "-: The weight of @cost must be a number from 0 to a billion, such as \"5\" or \"0.5\", not "
         "\"nan\". @ 2:51\n"},
        {"lists",
         "type Query { a(n: Int, s: String, i: I): [Query] @listSize(slicingArguments: [\"n\", \"i.j.n\"], "
         "sizedFields: [\"a\"])\n"
         "  b(s: String, i: I): [Query] @listSize(slicingArguments: [\"s\", \"i.k\", \"i.j\", \"x\"])\n"
         "  c: [Query] @listSize(sizedFields: [\"d\"], assumedSize: -1) }\n"
         "input I { j: J } input J { n: Int! }\n",
         "-: The slicing argument \"s\" of @listSize is no argument of type Int of Query.b. @ 2:31\n"
         "-: The slicing argument \"i.k\" of @listSize is no argument of type Int of Query.b. @ 2:31\n"
         "-: The slicing argument \"i.j\" of @listSize is no argument of type Int of Query.b. @ 2:31\n"
         "-: The slicing argument \"x\" of @listSize is no argument of type Int of Query.b. @ 2:31\n"
         "-: The assumedSize of @listSize on Query.c must not be negative. @ 3:14\n"
         "-: The sized field \"d\" of @listSize is no field of type \"Query\". @ 3:14\n"},
    };
    CHECK_CASES(cases);
}

static void test_syntax_errors(void **state)
{
    static const schema_case cases[] = {
        {"syntax",
         "type Query {\n"
         "  a:\n"
         "}\n",
         "-: Syntax Error: Expected Name, found \"}\". @ 3:1\n"},
        {"variables", "type Query { a(x: Int = $v): Int }\n",
         "-: Syntax Error: Unexpected variable \"$v\" in constant value. @ 1:25\n"},
        {"unknown location",
         "directive @a on FIELD | FELD\n"
         "type Query { a: Int }\n",
         "-: Syntax Error: Unexpected Name \"FELD\". @ 1:25\n"},
    };
    CHECK_CASES(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lone_schema_definition),
        cmocka_unit_test(test_unique_operation_types),
        cmocka_unit_test(test_unique_type_names),
        cmocka_unit_test(test_unique_enum_value_names),
        cmocka_unit_test(test_unique_field_and_argument_definitions),
        cmocka_unit_test(test_unique_directive_names),
        cmocka_unit_test(test_known_type_names),
        cmocka_unit_test(test_known_directives),
        cmocka_unit_test(test_unique_directives_per_location),
        cmocka_unit_test(test_possible_type_extensions),
        cmocka_unit_test(test_arguments_of_directives),
        cmocka_unit_test(test_unique_input_field_names),
        cmocka_unit_test(test_rules_speak_in_the_order_of_the_text),
        cmocka_unit_test(test_ready_made_directives),
        cmocka_unit_test(test_syntax_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
