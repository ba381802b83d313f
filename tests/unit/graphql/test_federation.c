/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "graphql/federation/federation.h"
#include "graphql/federation/internal.h"
#include "schemas.h"

/* Subgraphs: what their SDL need not define, what is refused, and what composition gets to see. */

#define URL "https://specs.apollo.dev/federation/v"
#define LINK(version, imports) "extend schema @link(url: \"" URL version "\", import: [" imports "]) "
#define QUERY "type Query { a: Int }"

static void expect_sdl(const char *sdl, const char *expected)
{
    gql_schema *schema = build_schema(sdl, NULL);
    assert_non_null(schema->federation);
    pl_str printed = schema->federation->sdl;
    if (!pl_str_is(printed, expected))
        print_message("printed:\n%.*s\n", PL_STR_ARG(printed));
    assert_true(pl_str_is(printed, expected));
    gql_schema_free(schema);
}

static bool has_directive(const gql_schema *schema, const char *name)
{
    return gql_schema_directive(schema, pl_str_of(name)) != NULL;
}

static bool has_type(const gql_schema *schema, const char *name)
{
    return gql_schema_type(schema, pl_str_of(name)) != NULL;
}

static bool is_entity(const gql_schema *schema, const char *name)
{
    return gql_is_entity(schema, gql_schema_type(schema, pl_str_of(name)));
}

/* --- whether it is one --- */

static void expect_version(const char *sdl, unsigned major, unsigned minor)
{
    gql_schema *schema = build_schema(sdl, NULL);
    if ((schema->federation != NULL) != (major != 0))
        print_message("in %s\n", sdl);
    assert_int_equal(schema->federation != NULL, major != 0);
    if (schema->federation) {
        assert_int_equal(schema->federation->major, major);
        assert_int_equal(schema->federation->minor, minor);
    } else {
        assert_null(gql_schema_type(schema, PL_STR("_Service")));
    }
    gql_schema_free(schema);
}

static void test_version(void **state)
{
    expect_version(QUERY, 0, 0);
    expect_version("extend schema @link(url: \"" URL "2.0\") " QUERY, 2, 0);
    expect_version("extend schema @link(url: \"" URL "2.14\") " QUERY, 2, 14);
    expect_version("type Query { a: P } type P @key(fields: \"id\") { id: ID }", 1, 0);
    expect_version("type Query { a: P } extend type P { id: ID @external }", 1, 0);
    expect_version("type Query { a: P @provides(fields: \"id\") } type P { id: ID }", 1, 0);
    expect_version("type Query { a: P } type P { id: ID b: ID @requires(fields: \"id\") }", 1, 0);
    expect_version("type Query { a: P } type P @extends { id: ID }", 1, 0);
    /* the same names can mean something else */
    expect_version("directive @key(name: String) on OBJECT type Query @key(name: \"x\") { a: Int }", 0, 0);
    expect_version("directive @external on FIELD_DEFINITION type Query { a: Int @external }", 0, 0);
    expect_version("directive @link(url: String) on SCHEMA extend schema @link(url: \"x\") " QUERY, 0, 0);
    /* a link alone does not make it one */
    expect_version("extend schema @link(url: \"https://specs.apollo.dev/tag/v0.3\") type Query { a: Int "
                   "@tag(name: \"x\") }",
                   0, 0);
}

static void test_by_option(void **state)
{
    gql_schema_options options = {.subgraph = true};
    gql_schema *schema = build_schema(QUERY, &options);
    assert_non_null(schema->federation);
    assert_int_equal(schema->federation->major, 1);
    assert_null(schema->federation->resolve);
    assert_false(has_type(schema, "_Any"));
    assert_true(pl_str_is(schema->federation->sdl, "type Query {\n  a: Int\n}\n"));
    gql_schema_free(schema);
}

/* --- names --- */

static void test_namespace(void **state)
{
    gql_schema *schema =
        build_schema("extend schema @link(url: \"" URL "2.9\") type Query { p: P } "
                     "type P @federation__key(fields: \"id\") { id: ID @federation__shareable }",
                     NULL);
    static const char *const names[] = {
        "key",
        "requires",
        "provides",
        "external",
        "extends",
        "tag",
        "shareable",
        "inaccessible",
        "override",
        "composeDirective",
        "interfaceObject",
        "authenticated",
        "policy",
        "requiresScopes",
        "context",
        "fromContext",
        "cost",
        "listSize",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char name[64];
        snprintf(name, sizeof name, "federation__%s", names[i]);
        assert_true(has_directive(schema, name));
        assert_false(has_directive(schema, names[i]));
    }
    assert_true(has_directive(schema, "link"));
    assert_true(has_type(schema, "link__Import"));
    assert_true(has_type(schema, "link__Purpose"));
    assert_true(has_type(schema, "federation__FieldSet"));
    assert_true(has_type(schema, "federation__Scope"));
    assert_true(has_type(schema, "federation__Policy"));
    assert_true(has_type(schema, "federation__ContextFieldValue"));
    assert_true(is_entity(schema, "P"));
    assert_false(is_entity(schema, "Query"));
    gql_schema_free(schema);
}

static void test_renames(void **state)
{
    gql_schema *schema =
        build_schema("schema @lk(url: \"https://specs.apollo.dev/link/v1.0\", as: \"lk\", import: [{ name: "
                     "\"Purpose\", as: "
                     "\"Why\" }])\n"
                     "@lk(url: \"" URL
                     "2.5\", as: \"fed\", import: [{ name: \"@key\", as: \"@id\" }, \"FieldSet\", { name: "
                     "\"Scope\", as: \"Role\" }]) { query: Root }\n"
                     "type Root @id(fields: \"a\") { a: Int @fed__requiresScopes(scopes: [[\"x\"]]) }",
                     NULL);
    assert_int_equal(schema->federation->minor, 5);
    assert_true(has_directive(schema, "lk"));
    assert_false(has_directive(schema, "link"));
    assert_true(has_type(schema, "Why"));
    assert_true(has_type(schema, "lk__Import"));
    assert_true(has_directive(schema, "id"));
    assert_false(has_directive(schema, "fed__key"));
    assert_true(has_type(schema, "FieldSet"));
    assert_true(has_type(schema, "Role"));
    assert_false(has_type(schema, "fed__Scope"));
    assert_true(is_entity(schema, "Root"));
    assert_true(pl_str_is(schema->query->name, "Root"));
    assert_ptr_equal(schema->federation->service,
                     gql_schema_field(schema, schema->query, PL_STR("_service")));
    gql_schema_free(schema);
}

static const gql_input *argument_of(const gql_schema *schema, const char *directive, const char *name)
{
    gql_directive_def *def = gql_schema_directive(schema, pl_str_of(directive));
    assert_non_null(def);
    return gql_input_find(def->arguments, def->argument_count, pl_str_of(name));
}

/* What came, or changed, with a version. */
static void test_changes(void **state)
{
    static const struct {
        const char *name;
        unsigned from;
    } added[] = {{"composeDirective", 1}, {"interfaceObject", 3}, {"authenticated", 5}, {"requiresScopes", 5},
                 {"policy", 6},           {"context", 8},         {"fromContext", 8},   {"cost", 9},
                 {"listSize", 9},         {"cacheTag", 12}};
    for (unsigned minor = 0; minor <= GQL_FEDERATION_MAX_MINOR; minor++) {
        char sdl[256];
        snprintf(sdl, sizeof sdl,
                 "extend schema @link(url: \"" URL
                 "2.%u\", import: [\"@tag\", \"@shareable\", \"@override\"]) " QUERY,
                 minor);
        gql_schema *schema = build_schema(sdl, NULL);
        for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
            char name[64];
            snprintf(name, sizeof name, "federation__%s", added[i].name);
            assert_int_equal(has_directive(schema, name), minor >= added[i].from);
        }
        assert_int_equal(argument_of(schema, "override", "label") != NULL, minor >= 7);
        assert_int_equal(gql_schema_directive(schema, PL_STR("shareable"))->repeatable, minor >= 2);
        assert_int_equal((gql_schema_directive(schema, PL_STR("tag"))->locations & GQL_ON_SCHEMA) != 0,
                         minor >= 3);
        gql_schema_free(schema);
    }
}

static void test_other_specifications(void **state)
{
    gql_schema *schema = build_schema(
        LINK("2.0",
             "\"@key\", \"@tag\"") "@link(url: \"https://specs.apollo.dev/tag/v0.3\") "
                                   "@link(url: \"https://specs.apollo.dev/cost/v0.1\", import: [\"@cost\"]) "
                                   "@link(url: \"https://example.org/mine/v2.1\", import: [\"@mine\"]) "
                                   "directive @mine on FIELD_DEFINITION type Query { a: Int @cost(weight: 2) "
                                   "@mine @tag(name: \"x\") b: Int "
                                   "@cost__listSize(assumedSize: 3) }",
        NULL);
    assert_true(has_directive(schema, "cost"));
    gql_schema_free(schema);
}

/* What the SDL defines itself is taken as it is. */
static void test_own_definitions(void **state)
{
    gql_schema *schema = build_schema(
        LINK("2.3", "\"@key\", \"FieldSet\"") "directive @link(url: String!, import: [String]) "
                                              "repeatable on SCHEMA scalar FieldSet directive @key(fields: "
                                              "FieldSet!) repeatable on OBJECT "
                                              "type Query { p: P _service: _Service! } type P @key(fields: "
                                              "\"id\") { id: ID } "
                                              "type _Service { sdl: String } scalar _Any union _Entity = P",
        NULL);
    assert_null(argument_of(schema, "key", "resolvable"));
    assert_true(pl_str_is(schema->federation->service->type->text, "_Service!"));
    assert_true(pl_str_is(schema->federation->service_sdl->type->text, "String!"));
    assert_true(pl_str_is(schema->federation->resolve->type->text, "[_Entity]!"));
    gql_schema_free(schema);
}

/* --- the query root, extensions, entities --- */

static void test_query_root(void **state)
{
    static const struct {
        const char *sdl, *root;
        uint32_t fields;
    } cases[] = {
        {LINK("2.3", "\"@key\"") "type P @key(fields: \"id\") { id: ID }", "Query", 2},
        {LINK("2.3", "\"@key\"") "extend type Query { a: Int } extend type Query { b: Int }", "Query", 3},
        {LINK("2.3", "\"@key\"") "schema { mutation: M } type M { a: Int }", "Query", 1},
        {LINK("2.3", "\"@key\"") "schema { query: Q } extend type Q { a: Int }", "Q", 2},
        {LINK("2.3", "\"@key\"") "extend schema { query: Q } type Q { a: Int }", "Q", 2},
        {"type Query { _service: _Service! } extend type P @key(fields: \"id\") { id: ID @external } type "
         "_Service { sdl: String }",
         "Query", 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gql_schema *schema = build_schema(cases[i].sdl, NULL);
        assert_true(pl_str_is(schema->query->name, cases[i].root));
        assert_int_equal(schema->query->field_count, cases[i].fields);
        assert_non_null(schema->federation->service);
        gql_schema_free(schema);
    }
}

static void test_entities(void **state)
{
    gql_schema *schema = build_schema(
        LINK("2.3",
             "\"@key\"") "type A @key(fields: \"id\") @key(fields: \"n\") { id: ID n: Int } "
                         "type B @key(fields: \"id\", resolvable: false) { id: ID } type C { id: ID } "
                         "extend type D @key(fields: \"id\") { id: ID } "
                         "interface I @key(fields: \"id\") { id: ID } type E implements I @key(fields: "
                         "\"id\") { id: ID }",
        NULL);
    const gql_named *all = gql_schema_type(schema, PL_STR("_Entity"));
    assert_int_equal(all->possible_count, 4); /* A, B, D, E */
    assert_true(is_entity(schema, "I"));
    assert_true(is_entity(schema, "B"));
    assert_false(is_entity(schema, "C"));
    assert_true(pl_str_is(schema->federation->resolve->arguments[0].type->text, "[_Any!]!"));
    gql_schema_free(schema);

    schema = build_schema(LINK("2.3", "\"@key\"") "type B @key(fields: \"id\", resolvable: false) { id: ID }",
                          NULL);
    assert_null(schema->federation->resolve);
    assert_false(has_type(schema, "_Entity"));
    gql_schema_free(schema);
}

/* --- what is wrong --- */

static void test_links(void **state)
{
    static const schema_case cases[] = {
        {"no url", "extend schema @link " QUERY, "KnownDirectives: Unknown directive \"@link\". @ 1:15\n"},
        {"no version", "extend schema @link(url: \"https://specs.apollo.dev/federation\") " QUERY,
         "-: @link needs the url of a specification that ends with its name and version, such as "
         "\"https://specs.apollo.dev/federation/v2.9\". @ 1:26\n"},
        {"half a version", "extend schema @link(url: \"" URL "2\") " QUERY,
         "-: @link needs the url of a specification that ends with its name and version, such as "
         "\"https://specs.apollo.dev/federation/v2.9\". @ 1:26\n"},
        {"unknown minor", "extend schema @link(url: \"" URL "2.15\") " QUERY,
         "-: There is no version v2.15 of \"https://specs.apollo.dev/federation\" that is known here: it "
         "must be "
         "v2.0 to v2.14. @ 1:26\n"},
        {"version 1", "extend schema @link(url: \"" URL "1.0\") " QUERY,
         "-: There is no version v1.0 of \"https://specs.apollo.dev/federation\" that is known here: it must "
         "be "
         "v2.0 to v2.14. @ 1:26\n"},
        {"two versions",
         "extend schema @link(url: \"" URL "2.3\")\nextend schema @link(url: \"" URL "2.4\") " QUERY,
         "-: \"https://specs.apollo.dev/federation\" is linked to more than once. @ 1:15 2:15\n"},
        {"unknown import", LINK("2.0", "\"@key\", \"@sharable\"") QUERY,
         "-: Cannot import unknown element \"@sharable\" of \"https://specs.apollo.dev/federation/v2.0\". "
         "Did you "
         "mean \"@shareable\"? @ 1:87\n"},
        {"import of a later version", LINK("2.0", "\"@interfaceObject\"") QUERY,
         "-: Cannot import unknown element \"@interfaceObject\" of "
         "\"https://specs.apollo.dev/federation/v2.0\". @ "
         "1:79\n"},
        {"import of a type", LINK("2.0", "\"key\"") QUERY,
         "-: Cannot import unknown element \"key\" of \"https://specs.apollo.dev/federation/v2.0\". Did you "
         "mean "
         "\"@key\"? @ 1:79\n"},
        {"not a name", LINK("2.0", "3") QUERY,
         "-: An import of @link must be a name (\"@key\", \"FieldSet\") or { name: \"@key\", as: \"@myKey\" "
         "}. @ "
         "1:79\n"},
        {"no name", LINK("2.0", "{ as: \"@key\" }, {}, \"\"") QUERY,
         "-: An import of @link must be a name (\"@key\", \"FieldSet\") or { name: \"@key\", as: \"@myKey\" "
         "}. @ 1:79\n"
         "-: An import of @link must be a name (\"@key\", \"FieldSet\") or { name: \"@key\", as: \"@myKey\" "
         "}. @ 1:95\n"
         "-: An import of @link must be a name (\"@key\", \"FieldSet\") or { name: \"@key\", as: \"@myKey\" "
         "}. @ 1:99\n"},
        {"unknown member", LINK("2.0", "{ name: \"@key\", to: \"@id\" }") QUERY,
         "-: An import of @link must be a name (\"@key\", \"FieldSet\") or { name: \"@key\", as: \"@myKey\" "
         "}. @ "
         "1:79\n"},
        {"a directive as a type", LINK("2.0", "{ name: \"@key\", as: \"id\" }") QUERY,
         "-: \"@key\" cannot be imported as \"id\": the names of directives, and no others, begin with "
         "\"@\". @ "
         "1:79\n"},
        {"one name for two",
         LINK("2.0", "{ name: \"@key\", as: \"@x\" }, { name: \"@tag\", as: \"@x\" }") QUERY,
         "-: \"@x\" is imported more than once. @ 1:79 1:107\n"},
        {"namespace", "extend schema @link(url: \"" URL "2.0\", as: \"a-b\") " QUERY,
         "-: A namespace (`as:`) must be a name, not \"a-b\". @ 1:74\n"},
        {"not imported",
         "extend schema @link(url: \"" URL "2.0\") type Query { p: P } type P @key(fields: \"id\") { "
         "id: ID }",
         "KnownDirectives: Unknown directive \"@key\". @ 1:97\n"},
    };
    CHECK_CASES(cases);
}

#define ON(text) LINK("2.3", "\"@key\", \"@requires\", \"@provides\", \"@external\"") "\n" text
#define P "type Query { p: P } "

static void test_field_sets(void **state)
{
    static const schema_case cases[] = {
        {"unknown field", ON(P "type P @key(fields: \"id nme\") { id: ID name: String }"),
         "-: @key(fields: \"id nme\"): type \"P\" has no field \"nme\". Did you mean \"name\"? @ 2:45\n"},
        {"unknown subfield", ON(P "type P @key(fields: \"o { x }\") { o: O } type O { id: ID }"),
         "-: @key(fields: \"o { x }\"): type \"O\" has no field \"x\". @ 2:46\n"},
        {"syntax", ON(P "type P @key(fields: \"id {\") { id: ID }"),
         "-: @key(fields: \"id {\"): Syntax Error: Expected Name, found \"}\". @ 2:41\n"},
        {"empty", ON(P "type P @key(fields: \"\") { id: ID }"),
         "-: @key(fields: \"\"): Syntax Error: Expected Name, found \"}\". @ 2:41\n"},
        {"more than a set", ON(P "type P @key(fields: \"id } query { id\") { id: ID }"),
         "-: @key(fields: \"id } query { id\"): this is not a set of fields. @ 2:41\n"},
        {"alias", ON(P "type P @key(fields: \"a: id\") { id: ID }"),
         "-: @key(fields: \"a: id\"): aliases (\"a: id\") are not allowed. @ 2:42\n"},
        {"directive", ON(P "type P @key(fields: \"id @skip(if: true)\") { id: ID }"),
         "-: @key(fields: \"id @skip(if: true)\"): directives (@skip) are not allowed. @ 2:45\n"},
        {"fragment", ON(P "type P @key(fields: \"...F\") { id: ID }"),
         "-: @key(fields: \"...F\"): fragments (\"F\") are not allowed. @ 2:42\n"},
        {"no subfields", ON(P "type P @key(fields: \"o\") { o: O } type O { id: ID }"),
         "-: @key(fields: \"o\"): field \"o\" of type \"O\" must have a selection of subfields. @ 2:42\n"},
        {"subfields of a leaf", ON(P "type P @key(fields: \"id { x }\") { id: ID }"),
         "-: @key(fields: \"id { x }\"): field \"id\" of type \"ID\" has no subfields to select. @ 2:45\n"},
        {"arguments", ON(P "type P @key(fields: \"id\") { id(x: Int): ID }"),
         "-: @key(fields: \"id\"): field \"P.id\" has arguments, so it cannot be part of a key. @ 2:42\n"},
        {"interface", ON(P "type P @key(fields: \"i { id }\") { i: I } interface I { id: ID }"),
         "-: @key(fields: \"i { id }\"): field \"P.i\" is of an interface or union, so it cannot be part of "
         "a "
         "key. @ 2:42\n"},
        {"list", ON(P "type P @key(fields: [\"id\"]) { id: ID }"),
         "-: @key(fields:) must be a string, such as \"id\". @ 2:41\n"},
        {"null", ON(P "type P @key(fields: null) { id: ID }"),
         "ValuesOfCorrectType: Expected value of non-null type \"federation__FieldSet!\" not to be null. @ "
         "2:41\n"},
        {"requires",
         ON(P "type P @key(fields: \"id\") { id: ID a: Int @requires(fields: \"b c\") b: Int @external }"),
         "-: @requires(fields: \"b c\"): type \"P\" has no field \"c\". Did you mean \"a\" or \"b\"? @ "
         "2:84\n"},
        {"provides", ON("type Query { p: P @provides(fields: \"x\") } type P { id: ID }"),
         "-: @provides(fields: \"x\"): type \"P\" has no field \"x\". @ 2:38\n"},
        {"provides of a leaf", ON("type Query { p: Int @provides(fields: \"x\") }"),
         "-: @provides stands at a field of type \"Int\", which has no fields. @ 2:21\n"},
        {"condition", ON("type Query { p: P @provides(fields: \"... on X { a }\") } type P { id: ID }"),
         "-: @provides(fields: \"... on X { a }\"): there is no object type, interface or union \"X\". @ "
         "2:38\n"},
        {"impossible condition",
         ON("type Query { p: P @provides(fields: \"... on O { id }\") } type P { id: ID } type O { id: ID }"),
         "-: @provides(fields: \"... on O { id }\"): an object of type \"P\" can never be of type \"O\". @ "
         "2:38\n"},
        {"version 1", P "type P @key(fields: \"no\") { id: ID }",
         "-: @key(fields: \"no\"): type \"P\" has no field \"no\". @ 1:42\n"},
        {"block string", P "type P @key(fields: \"\"\"no\"\"\") { id: ID }",
         "-: @key(fields: \"no\"): type \"P\" has no field \"no\". @ 1:41\n"},
        {"good ones",
         ON("type Query { p: P @provides(fields: \"n u { __typename ... on O { id } }\") u: U } "
            "type P @key(fields: \"__typename id\") @key(fields: \"o { id } # and no more\") { id: ID! n: "
            "Int @external "
            "o: O u: U m: Int @requires(fields: \"f(x: 1) n\") f(x: Int): Int @external } type O { id: ID } "
            "union "
            "U = O"),
         ""},
    };
    CHECK_CASES(cases);
}

/* --- the printed SDL --- */

static void test_sdl(void **state)
{
    expect_sdl(
        "# gone\n" LINK(
            "2.3",
            "\"@key\", { name: \"@tag\", as: \"@label\" }") "\"A thing\" type P implements I @key(fields: "
                                                            "\"id\") @label(name: \"b\") @label(name: \"a\") "
                                                            "{ "
                                                            "\"its id\" id: ID! old(x: [Int!] = [1, 2] "
                                                            "@deprecated): Int @deprecated(reason: \"no\") } "
                                                            "extend type Query { p: P @federation__shareable "
                                                            "} interface I { id: ID! } "
                                                            "enum E { A @label(name: \"x\") } extend enum E "
                                                            "{ B } directive @mine(a: Int = 3) on OBJECT "
                                                            "input In { a: Int = 1 @label(name: \"y\") } "
                                                            "union U @label(name: \"z\") = P scalar S "
                                                            "type _Service { sdl: String } extend type Query "
                                                            "{ _service: _Service! "
                                                            "_entities(representations: "
                                                            "[_Any!]!): [_Entity]! } scalar _Any union "
                                                            "_Entity = P",
        "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.3\", import: [\"@key\", { name: "
        "\"@tag\", as: \"@label\" }])\n\n"
        "\"A thing\"\ntype P implements I @key(fields: \"id\") @label(name: \"b\") @label(name: \"a\") {\n"
        "  \"its id\"\n  id: ID!\n  old(x: [Int!] = [1, 2] @deprecated): Int @deprecated(reason: "
        "\"no\")\n}\n\n"
        "extend type Query {\n  p: P @federation__shareable\n}\n\n"
        "interface I {\n  id: ID!\n}\n\n"
        "enum E {\n  A @label(name: \"x\")\n}\n\nextend enum E {\n  B\n}\n\n"
        "directive @mine(a: Int = 3) on OBJECT\n\n"
        "input In {\n  a: Int = 1 @label(name: \"y\")\n}\n\n"
        "union U @label(name: \"z\") = P\n\n"
        "scalar S\n");
}

/* Version 1: gateways know the directives, and refuse other definitions of them. */
static void test_sdl_of_version_1(void **state)
{
    expect_sdl("scalar _FieldSet scalar _Any directive @key(fields: _FieldSet!) on OBJECT | INTERFACE "
               "directive @external on FIELD_DEFINITION directive @mine on OBJECT "
               "extend type P @key(fields: \"id\") @mine { id: ID! @external } type Query { a: Int }",
               "directive @mine on OBJECT\n\n"
               "extend type P @key(fields: \"id\") @mine {\n  id: ID! @external\n}\n\n"
               "type Query {\n  a: Int\n}\n");
}

/* What this server knows without a definition, the tools that compose do not. */
static void test_sdl_of_own_directives(void **state)
{
    expect_sdl(
        LINK("2.3", "\"@key\"") "input I @oneOf { a: Int b: Int } type Query { a(i: I): Int }",
        "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.3\", import: [\"@key\"])\n\n"
        "input I @oneOf {\n  a: Int\n  b: Int\n}\n\n"
        "type Query {\n  a(i: I): Int\n}\n\n"
        "\"\"\"\nExactly one field of the input object is to be given, and it must not be null.\n\"\"\"\n"
        "directive @oneOf on INPUT_OBJECT\n");
}

static void test_sdl_of_ready_made_directives(void **state)
{
    expect_sdl(
        "type Query { a: P @cost(weight: \"3\") } type P @key(fields: \"id\") { id: ID }",
        "type Query {\n  a: P @cost(weight: \"3\")\n}\n\ntype P @key(fields: \"id\") {\n  id: ID\n}\n\n"
        "\"\"\"What this adds to the cost of an operation, a number.\"\"\"\n"
        "directive @cost(weight: String!) on ARGUMENT_DEFINITION | ENUM | FIELD_DEFINITION | "
        "INPUT_FIELD_DEFINITION | OBJECT | SCALAR\n");
    expect_sdl(
        LINK("2.9", "\"@cost\"") "type Query { a: Int @cost(weight: 3) }",
        "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.9\", import: [\"@cost\"])\n\n"
        "type Query {\n  a: Int @cost(weight: 3)\n}\n");
}

static void test_several_files(void **state)
{
    gql_source sources[] = {
        {"a.graphql", PL_STR("extend type Query { a: P }")},
        {"c.graphql", PL_STR("type P @key(fields: \"id\") { id: ID }")},
        {"d.graphql", PL_STR(LINK("2.3", "\"@key\""))},
    };
    gql_schema *schema;
    gql_diagnostics list;
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 0);
    assert_int_equal(gql_schema_build(sources, 3, NULL, &list, &schema), PL_OK);
    assert_true(pl_str_is(schema->federation->sdl,
                          "extend type Query {\n  a: P\n}\n\n"
                          "type P @key(fields: \"id\") {\n  id: ID\n}\n\n"
                          "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.3\", import: "
                          "[\"@key\"])\n"));
    gql_schema_free(schema);
    pl_arena_dispose(&arena);
}

/* --- memory --- */

static void test_no_memory(void **state)
{
    check_without_memory(
        ON("type Query { p: P @provides(fields: \"n\") } type P @key(fields: \"id\") @key(fields: "
           "\"o { id }\") { id: ID! n: Int @external o: O } extend type O { id: ID }"),
        PL_OK);
    check_without_memory(
        "extend type P @key(fields: \"id\") { id: ID @external } input I @oneOf { a: Int b: Int }", PL_OK);
    check_without_memory(ON(P "type P @key(fields: \"id nme\") @key(fields: \"o {\") { id: ID name: Int }"),
                         PL_INVALID_ARGUMENT);
    check_without_memory(LINK("2.0", "\"@sharable\", { name: \"@key\", as: \"id\" }, \"@tag\", \"@tag\"")
                             QUERY,
                         PL_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_by_option),
        cmocka_unit_test(test_namespace),
        cmocka_unit_test(test_renames),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_other_specifications),
        cmocka_unit_test(test_own_definitions),
        cmocka_unit_test(test_query_root),
        cmocka_unit_test(test_entities),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_field_sets),
        cmocka_unit_test(test_sdl),
        cmocka_unit_test(test_sdl_of_version_1),
        cmocka_unit_test(test_sdl_of_own_directives),
        cmocka_unit_test(test_sdl_of_ready_made_directives),
        cmocka_unit_test(test_several_files),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
