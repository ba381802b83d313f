/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "graphql/language/parser.h"
#include "graphql/validation/validate.h"
#include "schemas.h"
#include "support/failing.h"

static const char sdl[] =
    "enum Color { RED GREEN BLUE OLD @deprecated(reason: \"Faded.\") }\n"
    "scalar Money scalar Upload\n"
    "interface Node { id: ID! }\n"
    "interface Named { name(short: Boolean): String }\n"
    "type Author implements Node & Named {\n"
    "  id: ID! name(short: Boolean): String email: String nick: String @deprecated(reason: \"Use name.\")\n"
    "  books(first: Int = 10, after: String): [Book!]! friend: Author }\n"
    "type Book implements Node { id: ID! title: String! author: Author pages: Int color: Color }\n"
    "type Shelf { label: String }\n"
    "union Result = Author | Book\n"
    "input Range { from: Int! to: Int! = 5 tags: [String!] inner: Range keys: [Key] old: Int "
    "@deprecated(reason: "
    "\"No.\") }\n"
    "input Key @oneOf { id: ID name: String }\n"
    "directive @tag(name: String!) repeatable on FIELD | QUERY\n"
    "directive @once on FIELD | QUERY | VARIABLE_DEFINITION\n"
    "directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT\n"
    "directive @stream(if: Boolean! = true, label: String, initialCount: Int = 0) on FIELD\n"
    "type Query {\n"
    "  node(id: ID!): Node author(id: ID, old: Int @deprecated(reason: \"No.\")): Author book(by: Key): Book "
    "shelf: Shelf\n"
    "  search(text: String!, range: Range, color: Color, limit: Int! = 3): [Result] books: [Book]\n"
    "  price(in: Money, ratio: Float, deep: Boolean, list: [Int], file: Upload): Float }\n"
    "type Mutation { add(title: String!): Book }\n"
    "type Subscription { added: Book removed: Book }\n";

typedef struct state {
    gql_schema *schema;
} state;

static int set_up(void **context)
{
    static state s;
    s.schema = build_schema(sdl, NULL);
    *context = &s;
    return 0;
}

static int tear_down(void **context)
{
    gql_schema_free(((state *)*context)->schema);
    return 0;
}

/* A document, and what validating it gave. */
typedef struct result {
    pl_arena arena;
    gql_source source;
    gql_document *document;
    gql_diagnostics list;
    pl_code code;
} result;

static void parse(result *r, pl_str query)
{
    pl_error err = {0};
    pl_arena_init(&r->arena, 0);
    r->source = (gql_source){"GraphQL request", query};
    if (gql_parse(&r->arena, &r->source, &(gql_parse_limits){.max_tokens = 1000000}, &r->document, &err))
        fail_msg("%.*s: %s", (int)(query.len < 200 ? query.len : 200), query.ptr, err.message);
}

static void validate(result *r, const gql_schema *schema, const gql_validate_options *options, uint32_t max)
{
    gql_diagnostics_init(&r->list, &r->arena, max);
    r->code = gql_validate(schema, r->document, options, &r->list);
}

static void dispose(result *r)
{
    pl_arena_dispose(&r->arena);
}

/* --- tables --- */
typedef struct row {
    const char *query;
    const char *expected; /* a line for each error: message, and line:column of each place; "" is none */
} row;

static void print_list(pl_buf *out, const gql_diagnostics *list)
{
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        pl_buf_str(out, d->message);
        for (uint32_t i = 0; i < d->location_count; i++)
            pl_buf_printf(out, " %u:%u", d->locations[i].line, d->locations[i].column);
        pl_buf_char(out, '\n');
    }
    pl_buf_char(out, '\0');
}

static void check_row(const gql_schema *schema, const char *rule, const row *one)
{
    result r;
    pl_buf got;
    pl_buf_init(&got);
    parse(&r, pl_str_of(one->query));
    validate(&r, schema, &(gql_validate_options){.only = &rule, .only_count = 1}, 0);
    print_list(&got, &r.list);
    if (strcmp(got.data, one->expected) != 0)
        print_error("%s: %s\n", rule, one->query);
    assert_string_equal(got.data, one->expected);
    assert_int_equal(r.code, r.list.count ? PL_INVALID_ARGUMENT : PL_OK);
    for (const gql_diagnostic *d = r.list.first; d; d = d->next) {
        assert_string_equal(d->rule, rule);
        assert_string_equal(d->file, "GraphQL request");
    }
    pl_buf_dispose(&got);
    dispose(&r);
}

#define TABLE(rule, ...)                                             \
    static void test_##rule(void **context)                          \
    {                                                                \
        const row rows[] = {__VA_ARGS__};                            \
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)  \
            check_row(((state *)*context)->schema, #rule, &rows[i]); \
    }

// clang-format off
TABLE(ExecutableDefinitions,
    {"{ shelf { label } }", ""},
    {"{ shelf { label } } type T { a: Int } extend schema @x", "The \"T\" definition is not executable. 1:21\n"
     "The schema definition is not executable. 1:39\n"})
TABLE(KnownOperationTypes,
    {"query { shelf { label } } mutation { add(title: \"x\") { id } }", ""})
TABLE(UniqueOperationNames,
    {"query A { shelf { label } } mutation B { add(title: \"x\") { id } } fragment A on Shelf { label }", ""},
    {"query A { shelf { label } } query A { shelf { label } } mutation A { add { id } }",
     "There can be only one operation named \"A\". 1:7 1:35\nThere can be only one operation named \"A\". 1:7 1:66\n"})
TABLE(LoneAnonymousOperation,
    {"{ shelf { label } } fragment F on Shelf { label }", ""},
    {"{ shelf { label } } query A { shelf { label } }",
     "This anonymous operation must be the only defined operation. 1:1\n"})
TABLE(SingleFieldSubscriptions,
    {"subscription { added { id title } ...F } fragment F on Subscription { added { id } ...F }", ""},
    {"{ shelf { label } books { id } }", ""},
    {"subscription S { ...F ... on Query { removed { id } } added { pages } } fragment F on Subscription { a: added { id } removed { id } }",
     "Subscription \"S\" must select only one top level field. 1:118 1:55\n"},
    {"subscription { __typename }", "Anonymous Subscription must not select an introspection top level field. 1:16\n"},
    {"subscription S($c: Boolean) { added @skip(if: $c) @include(if: $c) { id } ... @include(if: $c) { removed { id } } }",
     "Subscription \"S\" must not use `@skip` or `@include` directives in the top level selection. 1:37 1:79\n"})
TABLE(KnownTypeNames,
    {"query ($a: [Range!]) { ... on Query { shelf { ...F } } } fragment F on Shelf { label }", ""},
    {"query ($a: [Rang!]) { ... on Shelv { label } } fragment F on Xyzzy123 { a }",
     "Unknown type \"Rang\". Did you mean \"Range\"? 1:13\nUnknown type \"Shelv\". Did you mean \"Shelf\"? 1:30\nUnknown type \"Xyzzy123\". 1:62\n"})
TABLE(FragmentsOnCompositeTypes,
    {"{ ... on Query { shelf { label } } ... { shelf { label } } } fragment F on Result { __typename }", ""},
    {"{ ... on Range { from } } fragment F on Color { a } fragment G on Unknown { a }",
     "Fragment cannot condition on non composite type \"Range\". 1:10\n"
     "Fragment \"F\" cannot condition on non composite type \"Color\". 1:41\n"})
TABLE(VariablesAreInputTypes,
    {"query ($a: [Range!]!, $b: Color, $c: Unknown) { shelf { label } }", ""},
    {"query ($a: [Book!]!, $b: Node) { shelf { label } }",
     "Variable \"$a\" cannot be non-input type \"[Book!]!\". 1:12\nVariable \"$b\" cannot be non-input type \"Node\". 1:26\n"})
TABLE(ScalarLeafs,
    {"{ book { title color } nothing { a } }", ""},
    {"{ book { title { a } color { b } } books }",
     "Field \"title\" must not have a selection since type \"String!\" has no subfields. 1:16\n"
     "Field \"color\" must not have a selection since type \"Color\" has no subfields. 1:28\n"
     "Field \"books\" of type \"[Book]\" must have a selection of subfields. Did you mean \"books { ... }\"? 1:36\n"})
TABLE(FieldsOnCorrectType,
    {"{ __typename __schema { types { name } } node(id: 1) { __typename ... on Book { title } } search(text: \"\") { __typename } }", ""},
    {"{ book { titel } node(id: 1) { title __schema } search(text: \"\") { id x } nothing { more } }",
     "Cannot query field \"titel\" on type \"Book\". Did you mean \"title\"? 1:10\n"
     "Cannot query field \"title\" on type \"Node\". Did you mean to use an inline fragment on \"Book\"? 1:32\n"
     "Cannot query field \"__schema\" on type \"Node\". 1:38\n"
     "Cannot query field \"id\" on type \"Result\". Did you mean to use an inline fragment on \"Node\", \"Author\", or \"Book\"? 1:68\n"
     "Cannot query field \"x\" on type \"Result\". 1:71\n"
     "Cannot query field \"nothing\" on type \"Query\". 1:75\n"})
TABLE(UniqueFragmentNames,
    {"{ ...F } fragment F on Query { shelf { label } } fragment G on Query { shelf { label } }", ""},
    {"fragment F on Query { a } query F { a } fragment F on Query { b }", "There can be only one fragment named \"F\". 1:10 1:50\n"})
TABLE(KnownFragmentNames,
    {"{ ...F } fragment F on Query { ...F }", ""},
    {"{ shelf { ...G } }", "Unknown fragment \"G\". 1:14\n"})
TABLE(NoUnusedFragments,
    {"{ ...F } fragment F on Query { shelf { ...G } } fragment G on Shelf { label }", ""},
    {"{ shelf { label } } fragment F on Query { ...G } fragment G on Query { ...F }",
     "Fragment \"F\" is never used. 1:21\nFragment \"G\" is never used. 1:50\n"})
TABLE(PossibleFragmentSpreads,
    {"{ node(id: 1) { ... on Book { id ... on Node { id } } ... on Named { name } ...F } } fragment F on Result { __typename }", ""},
    {"{ book { ... on Author { id } ...F ... on Named { name } } } fragment F on Shelf { label }",
     "Fragment cannot be spread here as objects of type \"Book\" can never be of type \"Author\". 1:10\n"
     "Fragment \"F\" cannot be spread here as objects of type \"Book\" can never be of type \"Shelf\". 1:31\n"
     "Fragment cannot be spread here as objects of type \"Book\" can never be of type \"Named\". 1:36\n"})
TABLE(NoFragmentCycles,
    {"fragment A on Query { ...B ...B } fragment B on Query { shelf { ...C } ...Nothing } fragment C on Shelf { label }", ""},
    {"fragment A on Query { ...B ...A } fragment B on Query { ...C } fragment C on Query { a { ...B } ...A }",
     "Cannot spread fragment \"A\" within itself via \"B\", \"C\". 1:23 1:57 1:97\n"
     "Cannot spread fragment \"B\" within itself via \"C\". 1:57 1:90\n"
     "Cannot spread fragment \"A\" within itself. 1:28\n"})
TABLE(UniqueVariableNames,
    {"query A($a: Int, $b: Int) { x } query B($a: Int) { x }", ""},
    {"query A($a: Int, $b: Int, $a: Int, $a: ID) { x }", "There can be only one variable named \"$a\". 1:10 1:28 1:37\n"})
TABLE(NoUndefinedVariables,
    {"query ($a: ID) { author(id: $a) { ...F } } fragment F on Author { name(short: $a) }", ""},
    {"query A($b: ID) { author(id: $a) { ...F } } query B { author(id: [{x: $c}]) { id } } fragment F on Author { name(short: $d) @tag(name: $b) }",
     "Variable \"$a\" is not defined by operation \"A\". 1:30 1:1\n"
     "Variable \"$d\" is not defined by operation \"A\". 1:121 1:1\n"
     "Variable \"$c\" is not defined by operation \"B\". 1:71 1:45\n"},
    {"{ author(id: $a) { id } }", "Variable \"$a\" is not defined. 1:14 1:1\n"})
TABLE(NoUnusedVariables,
    {"query ($a: ID, $b: Boolean) { author(id: $a) { ...F } } fragment F on Author { name @skip(if: $b) }", ""},
    {"query A($a: ID, $b: Int = 1) { author { id } } query B($b: Int) { a(b: $b) }",
     "Variable \"$a\" is never used in operation \"A\". 1:9\nVariable \"$b\" is never used in operation \"A\". 1:17\n"},
    {"query ($a: ID) { x }", "Variable \"$a\" is never used. 1:8\n"})
TABLE(KnownDirectives,
    {"query ($a: Int @once) @tag(name: \"\") { book @once @skip(if: true) { ... @include(if: true) { id } } }", ""},
    {"mutation @once { add @nope { ... @tag(name: \"\") { id } ...F @once } } fragment F on Book @skip(if: true) { id }",
     "Directive \"@once\" may not be used on MUTATION. 1:10\nUnknown directive \"@nope\". 1:22\n"
     "Directive \"@tag\" may not be used on INLINE_FRAGMENT. 1:34\nDirective \"@once\" may not be used on FRAGMENT_SPREAD. 1:61\n"
     "Directive \"@skip\" may not be used on FRAGMENT_DEFINITION. 1:90\n"})
TABLE(UniqueDirectivesPerLocation,
    {"query @once { book @once @tag(name: \"a\") @tag(name: \"b\") @nope @nope { id } }", ""},
    {"query ($a: Int @once @once) @once @once @once { book @once @once { id } }",
     "The directive \"@once\" can only be used once at this location. 1:29 1:35\n"
     "The directive \"@once\" can only be used once at this location. 1:29 1:41\n"
     "The directive \"@once\" can only be used once at this location. 1:16 1:22\n"
     "The directive \"@once\" can only be used once at this location. 1:54 1:60\n"})
TABLE(DeferStreamDirectiveOnRootField,
    {"query { ... @defer { books @stream { id } } } mutation { add { ... @defer { id } } }", ""},
    {"mutation { ... @defer { add { id } } ...F @defer } fragment F on Mutation { add @stream { id } ...F }",
     "Defer directive cannot be used on root mutation type \"Mutation\". 1:16\n"
     "Defer directive cannot be used on root mutation type \"Mutation\". 1:43\n"
     "Stream directive cannot be used on root mutation type \"Mutation\". 1:81\n"})
TABLE(DeferStreamDirectiveOnValidOperations,
    {"subscription ($c: Boolean!) { added { ... @defer(if: false) { id } ... @defer(if: $c) { id } ... @include(if: $c) { ... @defer { id } } } }"
     " query { ... @defer { shelf { label } } }", ""},
    {"subscription { added { ...F ... @skip(if: false) { id } } } fragment F on Book { ...G } fragment G on Book { ... @defer(if: true) { id } author { books @stream { id } } }",
     "Defer directive not supported on subscription operations. Disable `@defer` by setting the `if` argument to `false`. 1:114 1:82 1:24\n"
     "Stream directive not supported on subscription operations. Disable `@stream` by setting the `if` argument to `false`. 1:153 1:82 1:24\n"})
TABLE(DeferStreamDirectiveLabel,
    {"{ ... @defer(label: \"a\") { a } b @stream(label: \"b\") ... @defer { a } ... @defer(label: null) { a } c @stream }", ""},
    {"query ($v: String) { ... @defer(label: \"a\") { a } b @stream(label: \"a\") ... @defer(label: $v) { a } }",
     "Value for arguments \"defer(label:)\" and \"stream(label:)\" must be unique across all Defer/Stream directive usages. 1:26 1:53\n"
     "Argument \"@defer(label:)\" must be a static string. 1:77\n"})
TABLE(StreamDirectiveOnListField,
    {"{ books @stream { id } author { books @stream { id } } nothing @stream }", ""},
    {"{ book @stream { id } }", "Directive \"@stream\" cannot be used on non-list field \"Query.book\". 1:8\n"})
TABLE(KnownArgumentNames,
    {"{ author(id: 1) { id @skip(if: true) } nothing(a: 1) { a } book @nope(a: 1) { id } }", ""},
    {"{ author(idd: 1, x: {id: 1}) { id @skip(iff: true, unless: 1) } }",
     "Unknown argument \"idd\" on field \"Query.author\". Did you mean \"id\" or \"old\"? 1:10\nUnknown argument \"x\" on field \"Query.author\". 1:18\n"
     "Unknown argument \"iff\" on directive \"@skip\". Did you mean \"if\"? 1:41\nUnknown argument \"unless\" on directive \"@skip\". 1:52\n"})
TABLE(UniqueArgumentNames,
    {"{ a(x: 1, y: 2) @d(x: 1) @d(x: 1) b(x: 1) }", ""},
    {"{ a(x: 1, y: 2, x: 3, y: 4, x: 5) @d(z: 1, z: 2) }",
     "There can be only one argument named \"x\". 1:5 1:17 1:29\nThere can be only one argument named \"y\". 1:11 1:23\n"
     "There can be only one argument named \"z\". 1:38 1:44\n"})
TABLE(ValuesOfCorrectType,
    {"query ($v: Int) { search(text: \"a\", range: {from: $v, tags: \"one\", inner: {from: -2147483648}}, color: RED) { __typename } "
     "price(in: {any: [thing]}, ratio: 1, list: [1, null, 2]) book(by: {id: 3}) { id } author(id: null) { id } nothing(a: {}) }", ""},
    {"{ price(ratio: \"x\", deep: 1, list: [1.5, \"a\"]) author(id: 1.5) { id } search(text: 7, color: RAD, limit: 2147483648) { id } }",
     "Float cannot represent non numeric value: \"x\" 1:16\nBoolean cannot represent a non boolean value: 1 1:27\n"
     "Int cannot represent non-integer value: 1.5 1:37\nInt cannot represent non-integer value: \"a\" 1:42\n"
     "ID cannot represent a non-string and non-integer value: 1.5 1:59\nString cannot represent a non string value: 7 1:84\n"
     "Value \"RAD\" does not exist in \"Color\" enum. Did you mean the enum value \"RED\" or \"OLD\"? 1:94\n"
     "Int cannot represent non 32-bit signed integer value: 2147483648 1:106\n"},
    {"{ search(text: null, range: {to: null, tags: [null], form: 1}, color: \"RED\") { id } a: search(text: \"\", range: [3]) { id } price(deep: [true]) }",
     "Expected value of type \"String!\", found null. 1:16\nField \"Range.from\" of required type \"Int!\" was not provided. 1:29\n"
     "Expected value of type \"Int!\", found null. 1:34\nExpected value of type \"String!\", found null. 1:47\n"
     "Field \"form\" is not defined by type \"Range\". Did you mean \"from\"? 1:54\n"
     "Enum \"Color\" cannot represent non-enum value: \"RED\". Did you mean the enum value \"RED\" or \"GREEN\"? 1:71\n"
     "Expected value of type \"Range\", found [3]. 1:112\nBoolean cannot represent a non boolean value: [true] 1:136\n"},
    {"query ($n: String) { a: book(by: {}) { id } b: book(by: {id: 1, name: \"\"}) { id } c: book(by: {id: null}) { id } d: book(by: {name: $n}) { id } }",
     "OneOf Input Object \"Key\" must specify exactly one key. 1:34\nOneOf Input Object \"Key\" must specify exactly one key. 1:57\n"
     "Field \"Key.id\" must be non-null. 1:95\nVariable \"n\" must be non-nullable to be used for OneOf Input Object \"Key\". 1:126\n"},
    {"query ($f: Upload, $g: Upload = \"x\") { price(file: $f) a: price(file: null) b: price(file: \"x\") c: price(file: {}) d: price(file: $g) }",
     "Expected value of type \"Upload\", found \"x\"; a file can only be given as a variable. 1:33\n"
     "Expected value of type \"Upload\", found \"x\"; a file can only be given as a variable. 1:92\n"
     "Expected value of type \"Upload\", found {  }; a file can only be given as a variable. 1:112\n"},
    {"query ($r: Range = {from: \"a\"}, $i: [Int!] = [null], $u: Unknown = 1) { a }",
     "Int cannot represent non-integer value: \"a\" 1:27\nExpected value of type \"Int!\", found null. 1:47\n"})
TABLE(ProvidedRequiredArguments,
    {"{ search(text: \"\") { id } author { id @skip(if: true) } nothing }", ""},
    {"{ search(range: {from: 1}) @tag { ... @skip { id } } node { id } }",
     "Directive \"@tag\" argument \"name\" of type \"String!\" is required, but it was not provided. 1:28\n"
     "Directive \"@skip\" argument \"if\" of type \"Boolean!\" is required, but it was not provided. 1:39\n"
     "Field \"search\" argument \"text\" of type \"String!\" is required, but it was not provided. 1:3\n"
     "Field \"node\" argument \"id\" of type \"ID!\" is required, but it was not provided. 1:54\n"})
TABLE(VariablesInAllowedPosition,
    {"query ($i: ID!, $t: String = \"x\", $n: Int, $f: Int!, $l: [Int!]) { node(id: $i) { id } "
     "search(text: $t, range: {from: $f, to: $n}, limit: $n) { id } price(list: $l) a: price(list: [$n]) }", ""},
    {"query ($t: String, $n: Int, $s: [String]) { search(text: $t, range: {from: $n, tags: $s}) { id } ...F } fragment F on Query { price(list: $n) }",
     "Variable \"$t\" of type \"String\" used in position expecting type \"String!\". 1:8 1:58\n"
     "Variable \"$n\" of type \"Int\" used in position expecting type \"Int!\". 1:20 1:76\n"
     "Variable \"$s\" of type \"[String]\" used in position expecting type \"[String!]\". 1:29 1:86\n"
     "Variable \"$n\" of type \"Int\" used in position expecting type \"[Int]\". 1:20 1:139\n"},
    {"query ($k: Key) { search(text: \"\", range: {from: 1, keys: [$k]}) { id } a: search(text: \"\", range: {from: 1, keys: $k}) { id } }",
     "Variable \"$k\" of type \"Key\" used in position expecting type \"[Key]\". 1:8 1:116\n"},
    {"query ($n: String, $k: Key) { book(by: {name: $n}) { id } b: book(by: $k) { id } }",
     "Variable \"$n\" is of type \"String\" but must be non-nullable to be used for OneOf Input Object \"Key\". 1:8 1:47\n"})
TABLE(UniqueInputFieldNames,
    {"{ a(x: {f: 1, g: {f: 1}}, y: {f: 1}) }", ""},
    {"{ a(x: [{f: 1, g: {h: 1, h: 2}, f: 3, f: 4}]) }",
     "There can be only one input field named \"h\". 1:20 1:26\nThere can be only one input field named \"f\". 1:10 1:33\n"
     "There can be only one input field named \"f\". 1:10 1:39\n"})
TABLE(MaxIntrospectionDepth,
    {"{ __schema { types { fields { type { fields { name } } } } a: types { interfaces { ...F } } } } fragment F on __Type { fields { name } }", ""},
    {"{ __schema { types { fields { type { ...F } } } } ... { __type(name: \"x\") { ...F } } } fragment F on __Type { fields { type { inputFields { name } } } }",
     "Maximum introspection depth exceeded 1:3\n"},
    {"{ a: __schema { types { ...F } } b: __schema { types { ...F } } } fragment F on __Type { possibleTypes { interfaces { inputFields { name } } } }",
     "Maximum introspection depth exceeded 1:3\nMaximum introspection depth exceeded 1:34\n"})
TABLE(NoDeprecatedCustom,
    {"{ author(id: 1) { name } search(text: \"\", color: RED, range: {from: 1}) { id } }", ""},
    {"query ($c: Color = OLD) { author(old: 1) { nick } search(color: OLD, range: {from: 1, inner: {old: 1}}) { id } }",
     "The enum value \"Color.OLD\" is deprecated. Faded. 1:20\nField \"Query.author\" argument \"old\" is deprecated. No. 1:34\n"
     "The field Author.nick is deprecated. Use name. 1:44\nThe enum value \"Color.OLD\" is deprecated. Faded. 1:65\n"
     "The input field Range.old is deprecated. No. 1:95\n"})
TABLE(NoSchemaIntrospectionCustom,
    {"{ __typename book { __typename } }", ""},
    {"{ __schema { types { name } } }",
     "GraphQL introspection has been disabled, but the requested query contained the field \"__schema\". 1:3\n"
     "GraphQL introspection has been disabled, but the requested query contained the field \"types\". 1:14\n"})
TABLE(OverlappingFieldsCanBeMerged,
    {"{ book { id id title x: title x: title } book { ...F id } } fragment F on Book { x: title author { id ...G } } fragment G on Author { id }", ""},
    {"{ node(id: 1) { ... on Author { x: name y: friend { z: name } } ... on Book { x: title y: author { z: id } } } }",
     "Fields \"x\" conflict because they return conflicting types \"String\" and \"String!\". Use different aliases on the fields to fetch both if this was intentional. 1:33 1:79\n"
     "Fields \"y\" conflict because subfields \"z\" conflict because they return conflicting types \"String\" and \"ID!\". Use different aliases on the fields to fetch both if this was intentional. 1:41 1:53 1:88 1:100\n"},
    {"{ node(id: 1) { ... on Author { x: name(short: true) y: friend { z: name } } ... on Book { x: color y: author { z: email } } } }",
     "Fields \"x\" conflict because they return conflicting types \"String\" and \"Color\". Use different aliases on the fields to fetch both if this was intentional. 1:33 1:92\n"},
    {"{ node(id: 1) { ... on Author { y: friend { z: name } } ... on Book { y: author { z: email } } } }", ""},
    {"{ node(id: 1) { ... on Author { y: friend { z: name } y: friend { z: email } } ... on Book { y: author { z: name } } } }",
     "Fields \"y\" conflict because subfields \"z\" conflict because \"name\" and \"email\" are different fields. Use different aliases on the fields to fetch both if this was intentional. 1:33 1:45 1:55 1:67\n"},
    {"{ a: search(text: \"x\", range: {from: 1, to: 2}) { __typename } a: search(range: {to: 2, from: 1}, text: \"x\") { __typename } }", ""},
    {"{ a: search(text: \"x\") { __typename } a: search(text: \"y\") { __typename } a: search(text: \"x\", limit: 1) { __typename } }",
     "Fields \"a\" conflict because they have differing arguments. Use different aliases on the fields to fetch both if this was intentional. 1:3 1:39\n"
     "Fields \"a\" conflict because they have differing arguments. Use different aliases on the fields to fetch both if this was intentional. 1:3 1:75\n"
     "Fields \"a\" conflict because they have differing arguments. Use different aliases on the fields to fetch both if this was intentional. 1:39 1:75\n"},
    {"{ book { ...F author { ...H } } } fragment F on Book { x: title author { x: email } } fragment H on Author { x: name ...H }",
     "Fields \"author\" conflict because subfields \"x\" conflict because \"email\" and \"name\" are different fields. Use different aliases on the fields to fetch both if this was intentional. 1:15 1:74 1:65 1:110\n"},
    {"fragment F on Book { x: title ... on Node { x: id } }",
     "Fields \"x\" conflict because \"title\" and \"id\" are different fields. Use different aliases on the fields to fetch both if this was intentional. 1:22 1:45\n"},
    {"{ books @stream { id } books { id } }",
     "Fields \"books\" conflict because they have overlapping stream directives. Use different aliases on the fields to fetch both if this was intentional. 1:3 1:24\n"})
// clang-format on

static void test_operation_type_unknown(void **context)
{
    gql_schema *schema = build_schema("type Query { a: Int }", NULL);
    check_row(schema, "KnownOperationTypes",
              &(row){"mutation { a } subscription S { a }",
                     "The mutation operation is not supported by the schema. 1:1\n"
                     "The subscription operation is not supported by the schema. 1:16\n"});
    gql_schema_free(schema);
}

/* --- options --- */
static bool refuse(void *data, const gql_named *scalar, const gql_value *value, pl_str *why)
{
    assert_true(pl_str_is(scalar->name, "Money"));
    *why = pl_str_of(data);
    return value->kind == GQL_VALUE_STRING;
}

static void check_refused(const gql_schema *schema, const char *why, const char *expected)
{
    result r;
    parse(&r, PL_STR("{ a: price(in: \"1 EUR\") b: price(in: 1) }"));
    validate(&r, schema, &(gql_validate_options){.scalar_literal = refuse, .data = (void *)(uintptr_t)why},
             0);
    assert_int_equal(r.code, PL_INVALID_ARGUMENT);
    assert_int_equal(r.list.count, 1);
    assert_string_equal(r.list.first->message.ptr, expected);
    dispose(&r);
}

static void test_scalar_literal(void **context)
{
    const gql_schema *schema = ((state *)*context)->schema;
    check_refused(schema, "", "Expected value of type \"Money\", found 1.");
    check_refused(schema, "no currency", "Expected value of type \"Money\", found 1; no currency");
}

static void test_rules(void **context)
{
    const char *const *rules = gql_validation_rules();
    size_t count = 0;
    assert_string_equal(rules[0], "ExecutableDefinitions");
    while (rules[count])
        count++;
    assert_int_equal(count, 34);
}

static void test_optional_rules_wait_to_be_named(void **context)
{
    result r;
    parse(&r, PL_STR("{ author { nick } __schema { types { name } } }"));
    validate(&r, ((state *)*context)->schema, NULL, 0);
    assert_int_equal(r.code, PL_OK);
    dispose(&r);
}

/* Errors come in the order of the document, whatever rule they are from. */
static void test_order(void **context)
{
    static const char *const order[] = {
        "UniqueVariableNames", "KnownTypeNames",      "FieldsOnCorrectType",
        "KnownDirectives",     "ValuesOfCorrectType", "ProvidedRequiredArguments",
        "NoUnusedVariables",   "NoUnusedVariables",   "NoUnusedFragments"};
    size_t at = 0;
    result r;
    parse(&r, PL_STR("query Q($a: Nope, $a: Int) { nothing @nope book(by: 1) { id } node { id } ...X }"
                     " fragment F on Query { shelf { label } } fragment X on Query { shelf { label } }"));
    validate(&r, ((state *)*context)->schema, NULL, 0);
    for (const gql_diagnostic *d = r.list.first; d; d = d->next) {
        assert_true(at < sizeof(order) / sizeof(order[0]));
        assert_string_equal(d->rule, order[at++]);
    }
    assert_int_equal(at, sizeof(order) / sizeof(order[0]));
    dispose(&r);
}

static void test_stops_when_list_is_full(void **context)
{
    result r;
    parse(&r, PL_STR("{ a b c d e f }"));
    validate(&r, ((state *)*context)->schema, NULL, 3);
    assert_int_equal(r.code, PL_INVALID_ARGUMENT);
    assert_int_equal(r.list.count, 3);
    assert_true(r.list.full);
    dispose(&r);
}

/* --- attacks: bounds are set so low that more than linear work would hit them --- */
static pl_str repeat(pl_buf *buf, unsigned count, const char *head, const char *format, const char *tail)
{
    pl_buf_init(buf);
    pl_buf_str(buf, pl_str_of(head));
    for (unsigned i = 0; i < count; i++)
        pl_buf_printf(buf, format, i, i + 1, i + 1);
    pl_buf_str(buf, pl_str_of(tail));
    assert_false(buf->failed);
    return pl_buf_view(buf);
}

typedef struct attack {
    const char *name;
    unsigned count;
    const char *head, *format, *tail;
    uint32_t max_comparisons, max_fragment_visits;
    pl_code code;
    uint32_t errors;  /* of a list that has room for 100 */
    const char *rule; /* of the last one */
} attack;

static void check_attack(const gql_schema *schema, const attack *a)
{
    result r;
    pl_buf buf;
    parse(&r, repeat(&buf, a->count, a->head, a->format, a->tail));
    pl_alloc_fail_at(0, 0);
    clock_t start = clock();
    validate(&r, schema,
             &(gql_validate_options){.max_comparisons = a->max_comparisons,
                                     .max_fragment_visits = a->max_fragment_visits},
             100);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    size_t allocations = pl_alloc_fail_at(0, 0);
    if (getenv("PL_TEST_TIMES"))
        print_message("%-28s %8.2f ms %6zu allocations, %u errors, %.90s\n", a->name, seconds * 1000,
                      allocations, r.list.count, r.list.last ? r.list.last->message.ptr : "");
    if (r.code != a->code || r.list.count != a->errors)
        print_error("%s: %s, %u errors: %.90s\n", a->name, pl_code_name(r.code), r.list.count,
                    r.list.last ? r.list.last->message.ptr : "");
    assert_int_equal(r.code, a->code);
    assert_int_equal(r.list.count, a->errors);
    if (a->rule)
        assert_string_equal(r.list.last->rule, a->rule);
    assert_true(seconds < 2); /* also with sanitizers on a busy machine */
    assert_true(allocations < 20000);
    dispose(&r);
    pl_buf_dispose(&buf);
}

// clang-format off
static const attack attacks[] = {
    {"repeated fields", 2000, "{ ", "__typename ", "}", 1, 1, PL_OK, 0, NULL},
    {"repeated objects", 2000, "{ ", "book { author { id } } ", "}", 8000, 1, PL_OK, 0, NULL},
    {"aliased fields", 2000, "{ ", "a%u: book { id } ", "}", 1, 1, PL_OK, 0, NULL},
    {"one alias, two fields", 2000, "{ book { ", "a: id b%u: title ", "a: title } }", 200000, 1, PL_INVALID_ARGUMENT, 100, "OverlappingFieldsCanBeMerged"},
    {"many conflicts", 5000, "{ book { ", "a: id a: title ", "} }", 0, 1, PL_INVALID_ARGUMENT, 100, "OverlappingFieldsCanBeMerged"},
    {"arguments", 10000, "{ book(", "a%u: 1 ", ") { id } }", 1, 1, PL_INVALID_ARGUMENT, 100, "KnownArgumentNames"},
    {"same argument", 10000, "{ author(", "id: 1 ", ") { id } }", 1, 1, PL_INVALID_ARGUMENT, 1, "UniqueArgumentNames"},
    {"same arguments apart", 2000, "{ ", "search(text: \"a\", range: {from: 1, inner: {from: 2}}) { __typename } ", "}", 5000, 1, PL_OK, 0, NULL},
    {"input fields", 10000, "{ search(text: \"\", range: {from: 1 ", "to: 1 ", "}) { __typename } }", 1, 1, PL_INVALID_ARGUMENT, 100, "UniqueInputFieldNames"},
    {"directives", 10000, "{ book ", "@tag(name: \"\") ", "{ id } }", 1, 1, PL_OK, 0, NULL},
    {"same directive", 10000, "{ book ", "@once ", "{ id } }", 1, 1, PL_INVALID_ARGUMENT, 100, "UniqueDirectivesPerLocation"},
    {"chain of fragments", 10000, "{ ...F0 } ", "fragment F%u on Query { ...F%u } ", "fragment F10000 on Query { __typename }", 20010, 70000, PL_OK, 0, NULL},
    {"chain below fields", 10000, "{ author { ...F0 } } ", "fragment F%u on Author { friend { id ...F%u } } ", "fragment F10000 on Author { id }", 40000, 70000, PL_OK, 0, NULL},
    {"doubling fragments", 500, "{ ...F0 } ", "fragment F%u on Query { ...F%u ...F%u } ", "fragment F500 on Query { __typename }", 2000, 10000, PL_OK, 0, NULL},
    {"doubling below fields", 500, "{ author { ...F0 } } ", "fragment F%u on Author { a: friend { ...F%u } b: friend { ...F%u } } ", "fragment F500 on Author { id }", 4000, 10000, PL_OK, 0, NULL},
    {"doubling and merging", 60, "{ author { ...F0 } } ", "fragment F%u on Author { friend { ...F%u id } friend { ...F%u email } } ", "fragment F60 on Author { id }", 2000, 2000, PL_OK, 0, NULL},
    {"a great cycle", 5000, "{ ...F0 } ", "fragment F%u on Query { ...F%u } ", "fragment F5000 on Query { ...F0 }", 10010, 40000, PL_INVALID_ARGUMENT, 1, "NoFragmentCycles"},
    {"cycles", 2000, "{ ...F0 } ", "fragment F%u on Query { ...F%u ...F0 } ", "fragment F2000 on Query { ...F0 }", 10000, 0, PL_INVALID_ARGUMENT, 100, "NoFragmentCycles"},
    {"introspection", 5000, "{ ", "a%u: __schema { ...S } ", "} fragment S on __Schema { types { fields { type { fields { type { fields { name } } } } } } }", 10, 20000, PL_INVALID_ARGUMENT, 100, "MaxIntrospectionDepth"},
    {"introspection chain", 3000, "{ __schema { types { ...F0 } } } ", "fragment F%u on __Type { ofType { ...F%u } interfaces { ...F%u } } ", "fragment F3000 on __Type { name }", 0, 60000, PL_INVALID_ARGUMENT, 1, "MaxIntrospectionDepth"},
    {"doubling introspection", 60, "{ __schema { types { ...F0 } } } ", "fragment F%u on __Type { a: ofType { ...F%u } b: ofType { ...F%u } } ", "fragment F60 on __Type { name }", 0, 5000, PL_OK, 0, NULL},
    {"objects that never meet", 2000, "{ node(id: 1) { ", "... on Author { a: friend { z: name } } ... on Book { a: author { z: email } } ", "} }", 40000, 1, PL_OK, 0, NULL},
    {"variables unused", 3000, "query (", "$v%u: Int ", ") { __typename }", 1, 4000, PL_INVALID_ARGUMENT, 100, "NoUnusedVariables"},
    {"operations that share", 3000, "fragment F on Query { author(id: $v) { id } price(list: [$v, $v, $v, $v, $v, $v, $v, $v]) } ", "query Q%u($v: ID) { ...F } ", "", 0, 0, PL_INVALID_ARGUMENT, 100, NULL},
    {"operations that may share", 3000, "fragment F on Query { author(id: $v) { id } book(by: {id: $v}) { id } } ", "query Q%u($v: ID!) { ...F } ", "", 10, 50000, PL_OK, 0, NULL},
    {"operations that share much", 9000, "fragment F on Query { a0: node(id: $v) { id } a1: node(id: $v) { id } a2: node(id: $v) { id } a3: node(id: $v) { id } a4: node(id: $v) { id } a5: node(id: $v) { id } a6: node(id: $v) { id } a7: node(id: $v) { id } a8: node(id: $v) { id } a9: node(id: $v) { id } b: node(id: $v) { id } } ",
     "query Q%u($v: ID!) { ...F shelf { label } } ", "", 0, 0, PL_RESOURCE_EXHAUSTED, 1, "OverlappingFieldsCanBeMerged"},
    {"spreads beside fields", 3000, "fragment F on Book { id title pages color } { ", "a%u: book { ...F x: id } ", "}", 20000, 4000, PL_OK, 0, NULL},
    {"chain that conflicts", 5000, "{ author { id: email ...F0 } } ", "fragment F%u on Author { friend { id } ...F%u } ", "fragment F5000 on Author { id }", 30000, 50000, PL_RESOURCE_EXHAUSTED, 1, "OverlappingFieldsCanBeMerged"},
    {"subscriptions that share", 3000, "fragment F on Subscription { added { id @skip(if: true) @include(if: true) @skip(if: true) @include(if: true) } } ", "subscription S%u { ...F } ", "", 0, 20000, PL_RESOURCE_EXHAUSTED, 3, NULL},
    {"unknown fields", 10000, "{ book { ", "titel%u ", "} }", 1, 1, PL_INVALID_ARGUMENT, 100, "FieldsOnCorrectType"},
    {"subscription fields", 5000, "subscription { ", "a%u: added { id } ", "}", 1, 1, PL_INVALID_ARGUMENT, 1, "SingleFieldSubscriptions"},
};
// clang-format on

static void test_attacks(void **context)
{
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
        check_attack(((state *)*context)->schema, &attacks[i]);
}

static void test_variables_used(void **context)
{
    result r;
    pl_buf buf;
    pl_buf_init(&buf);
    PL_BUF_LIT(&buf, "query (");
    for (unsigned i = 0; i < 3000; i++)
        pl_buf_printf(&buf, "$v%u: Int ", i);
    PL_BUF_LIT(&buf, ") { price(list: [");
    for (unsigned i = 0; i < 3000; i++)
        pl_buf_printf(&buf, "$v%u ", i);
    PL_BUF_LIT(&buf, "]) }");
    parse(&r, pl_buf_view(&buf));
    validate(&r, ((state *)*context)->schema,
             &(gql_validate_options){.max_comparisons = 1, .max_fragment_visits = 10}, 0);
    assert_int_equal(r.code, PL_OK);
    dispose(&r);
    pl_buf_dispose(&buf);
}

/* Every subset of the fragments at a level may be asked for: only the budget helps. */
static void test_comparisons_run_out(void **context)
{
    result r;
    pl_buf buf;
    pl_buf_init(&buf);
    PL_BUF_LIT(&buf, "{ author { ...F0 ...G0 } }");
    for (unsigned i = 0; i < 40; i++) {
        for (unsigned j = 0; j < 2; j++)
            pl_buf_printf(&buf,
                          " fragment %c%u on Author { a: friend { ...F%u id } b: friend { ...G%u id }"
                          " %s: friend { ...%c%u email } }",
                          "FG"[j], i, i + 1, i + 1, j ? "b" : "a", "GF"[j], i + 1);
    }
    PL_BUF_LIT(&buf, " fragment F40 on Author { id } fragment G40 on Author { id }");
    parse(&r, pl_buf_view(&buf));
    validate(&r, ((state *)*context)->schema, &(gql_validate_options){.max_comparisons = 50}, 0);
    assert_int_equal(r.code, PL_RESOURCE_EXHAUSTED);
    assert_string_equal(r.list.last->message.ptr,
                        "Too many comparisons of fields, limit of 50 reached. Validation aborted.");
    dispose(&r);
    pl_buf_dispose(&buf);
}

static void test_fragment_visits_run_out(void **context)
{
    result r;
    pl_buf buf;
    pl_str text = repeat(&buf, 100, "{ ...F0 } ", "fragment F%u on Query { ...F%u } ",
                         "fragment F100 on Query { __typename }");
    parse(&r, text);
    validate(&r, ((state *)*context)->schema, &(gql_validate_options){.max_fragment_visits = 50}, 0);
    assert_int_equal(r.code, PL_RESOURCE_EXHAUSTED);
    assert_string_equal(r.list.last->message.ptr,
                        "Too many fragment visits, limit of 50 reached. Validation aborted.");
    dispose(&r);
    pl_buf_dispose(&buf);
}

static void test_too_many_errors(void **context)
{
    result r;
    pl_buf buf;
    parse(&r, repeat(&buf, 20000, "{ ", "a%u ", "}"));
    validate(&r, ((state *)*context)->schema, NULL, 0);
    assert_int_equal(r.code, PL_RESOURCE_EXHAUSTED);
    assert_int_equal(r.list.count, 10001);
    assert_string_equal(r.list.last->message.ptr,
                        "Too many validation errors, error limit reached. Validation aborted.");
    dispose(&r);
    pl_buf_dispose(&buf);
}

/* --- memory that cannot be had --- */
static void check_allocation_failures(const gql_schema *schema, const char *query, bool sticky)
{
    result r;
    parse(&r, pl_str_of(query));
    validate(&r, schema, NULL, 0);
    pl_code whole = r.code;
    uint32_t count = r.list.count;
    failing a = {.sticky = sticky};
    while (failing_next(&a)) {
        pl_arena arena;
        gql_diagnostics list;
        pl_arena_init(&arena, 64);
        gql_diagnostics_init(&list, &arena, 0);
        failing_begin(&a);
        pl_code code = gql_validate(schema, r.document, NULL, &list);
        if (failing_end(&a)) {
            /* What fails may be a hint only: then all the errors are there. */
            assert_true((code == PL_RESOURCE_EXHAUSTED && list.out_of_memory) ||
                        (code == whole && list.count == count));
        } else {
            assert_int_equal(code, whole);
            assert_int_equal(list.count, count);
        }
        pl_arena_dispose(&arena);
    }
    dispose(&r);
}

static void test_allocation_failures(void **context)
{
    static const char *const queries[] = {
        "query Q($id: ID, $r: Range = {from: 1}) @once { author(id: $id) { ...F books(first: 3) { id title "
        "...B } } "
        "search(text: \"x\", range: $r) { ... on Book { pages } ... on Author { email } } ...R book { ...B "
        "...B } "
        "__schema { types { fields { name } } } } "
        "fragment F on Author { name(short: true) @skip(if: false) friend { id friend { ...G } } } "
        "fragment G on Author { id } fragment B on Book { author { email friend { id } } color } "
        "fragment R on Query { search(text: \"x\", range: $r) { __typename } } "
        "subscription S { added { id } } mutation M { add(title: \"t\") { id } }",
        "query Q($a: Nope, $a: Int, $b: Shelf) { auhtor(id: 1) { a } book(by: {}, by: 1) { x: id x: title "
        "author { ...F } } "
        "search(range: {form: 1, form: [2]}, color: RAD) @nope { ... on Shelf { label } } ...Nope "
        "price(list: $b, ratio: $c) } "
        "{ shelf } subscription { added removed } fragment F on Author { ...F friend { ...G } } fragment G "
        "on Author { ...F } "
        "fragment H on Range { a } fragment H on Query { book(by: {id: null}) { id @once @once } }",
    };
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        check_allocation_failures(((state *)*context)->schema, queries[i], false);
        check_allocation_failures(((state *)*context)->schema, queries[i], true);
    }
}

int main(void)
{
#define ROW(rule) cmocka_unit_test(test_##rule)
    const struct CMUnitTest tests[] = {
        ROW(ExecutableDefinitions),
        ROW(KnownOperationTypes),
        ROW(UniqueOperationNames),
        ROW(LoneAnonymousOperation),
        ROW(SingleFieldSubscriptions),
        ROW(KnownTypeNames),
        ROW(FragmentsOnCompositeTypes),
        ROW(VariablesAreInputTypes),
        ROW(ScalarLeafs),
        ROW(FieldsOnCorrectType),
        ROW(UniqueFragmentNames),
        ROW(KnownFragmentNames),
        ROW(NoUnusedFragments),
        ROW(PossibleFragmentSpreads),
        ROW(NoFragmentCycles),
        ROW(UniqueVariableNames),
        ROW(NoUndefinedVariables),
        ROW(NoUnusedVariables),
        ROW(KnownDirectives),
        ROW(UniqueDirectivesPerLocation),
        ROW(DeferStreamDirectiveOnRootField),
        ROW(DeferStreamDirectiveOnValidOperations),
        ROW(DeferStreamDirectiveLabel),
        ROW(StreamDirectiveOnListField),
        ROW(KnownArgumentNames),
        ROW(UniqueArgumentNames),
        ROW(ValuesOfCorrectType),
        ROW(ProvidedRequiredArguments),
        ROW(VariablesInAllowedPosition),
        ROW(UniqueInputFieldNames),
        ROW(MaxIntrospectionDepth),
        ROW(NoDeprecatedCustom),
        ROW(NoSchemaIntrospectionCustom),
        ROW(OverlappingFieldsCanBeMerged),
        ROW(operation_type_unknown),
        ROW(scalar_literal),
        ROW(rules),
        ROW(optional_rules_wait_to_be_named),
        ROW(order),
        ROW(stops_when_list_is_full),
        ROW(attacks),
        ROW(variables_used),
        ROW(comparisons_run_out),
        ROW(fragment_visits_run_out),
        ROW(too_many_errors),
        ROW(allocation_failures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
