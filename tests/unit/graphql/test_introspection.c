/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "support/failing.h"
#include "support/graphql_fixture.h"

/* The schema as operations see it. */

static const char sdl[] =
    "\"\"\"All there is.\"\"\"\n"
    "schema { query: Root mutation: Change }\n"
    "\"Where it begins.\" type Root implements Node & Named { id: ID! name(\"How long.\" max: Int = 10, old: "
    "String @deprecated, list: [Shade!] = "
    "[DARK]): String gone: Int @deprecated(reason: \"use name\") any: Any when: When nodes: [Node!]! }\n"
    "type Change { do(in: In = { a: 2, s: \"x\\\"y\", e: DARK, l: [1, 2], n: null, f: 1.50 }, one: Pick): "
    "Int }\n"
    "interface Node { id: ID! }\n"
    "interface Named implements Node { id: ID! name(max: Int): String }\n"
    "union Any = Root | Change\n"
    "enum Shade { DARK \"As the sun.\" LIGHT OLD @deprecated }\n"
    "input In { a: Int! = 1 s: String e: Shade l: [Int!] n: Int f: Float in: In was: Int @deprecated(reason: "
    "\"unused\") }\n"
    "input Pick @oneOf { a: Int b: Int }\n"
    "scalar When @specifiedBy(url: \"https://example.com/when\")\n"
    "\"Marks.\" directive @mark(as: String = \"m\", gone: Int @deprecated) repeatable on FIELD | OBJECT\n";

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    *state = &f;
    return 0;
}

static void test_schema(void **state)
{
    gf_expect(*state,
              "{ __schema { __typename description queryType { name } mutationType { name } subscriptionType "
              "{ name } } }",
              NULL,
              "{\"data\":{\"__schema\":{\"__typename\":\"__Schema\",\"description\":\"All there "
              "is.\",\"queryType\":{\"name\":\"Root\"},"
              "\"mutationType\":{\"name\":\"Change\"},\"subscriptionType\":null}}}");
}

static void test_types(void **state)
{
    gf_request r;
    gf_start(&r, *state, "{ __schema { types { name } } }", NULL);
    static const char *const names[] = {
        "Root", "Change", "Node", "Named",    "Any",        "Shade",        "In",          "Pick",
        "When", "String", "Int",  "__Schema", "__TypeKind", "__InputValue", "__Directive", "__EnumValue"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"name\":\"%s\"}", names[i]);
        char *first = strstr(r.body, text);
        assert_non_null(first);
        assert_null(strstr(first + 1, text));
    }
    assert_null(strstr(r.body, "__Meta"));
    gf_end(&r);
}

static void test_kinds(void **state)
{
    gf_expect(*state,
              "{ a: __type(name: \"Root\") { ...T } b: __type(name: \"Node\") { ...T } c: __type(name: "
              "\"Any\") { ...T }"
              " d: __type(name: \"Shade\") { ...T } e: __type(name: \"In\") { ...T } f: __type(name: "
              "\"When\") { ...T } }"
              "fragment T on __Type { kind interfaces { name } possibleTypes { name } ofType { name } "
              "specifiedByURL isOneOf }",
              NULL,
              "{\"data\":{\"a\":{\"kind\":\"OBJECT\",\"interfaces\":[{\"name\":\"Node\"},{\"name\":\"Named\"}"
              "],\"possibleTypes\":null,"
              "\"ofType\":null,\"specifiedByURL\":null,\"isOneOf\":null},"
              "\"b\":{\"kind\":\"INTERFACE\",\"interfaces\":[],\"possibleTypes\":[{\"name\":\"Root\"}],"
              "\"ofType\":null,\"specifiedByURL\":null,"
              "\"isOneOf\":null},"
              "\"c\":{\"kind\":\"UNION\",\"interfaces\":null,\"possibleTypes\":[{\"name\":\"Root\"},{"
              "\"name\":\"Change\"}],\"ofType\":null,"
              "\"specifiedByURL\":null,\"isOneOf\":null},"
              "\"d\":{\"kind\":\"ENUM\",\"interfaces\":null,\"possibleTypes\":null,\"ofType\":null,"
              "\"specifiedByURL\":null,\"isOneOf\":null},"
              "\"e\":{\"kind\":\"INPUT_OBJECT\",\"interfaces\":null,\"possibleTypes\":null,\"ofType\":null,"
              "\"specifiedByURL\":null,"
              "\"isOneOf\":false},"
              "\"f\":{\"kind\":\"SCALAR\",\"interfaces\":null,\"possibleTypes\":null,\"ofType\":null,"
              "\"specifiedByURL\":"
              "\"https://example.com/when\",\"isOneOf\":null}}}");
    gf_expect(*state, "{ __type(name: \"Pick\") { isOneOf } }", NULL,
              "{\"data\":{\"__type\":{\"isOneOf\":true}}}");
}

static void test_unknown_type(void **state)
{
    gf_expect(*state, "query($n: String!) { __type(name: $n) { name } x: __type(name: \"\") { name } }",
              "{\"n\":\"Nope\"}", "{\"data\":{\"__type\":null,\"x\":null}}");
    gf_expect(*state, "query($n: String!) { __type(name: $n) { name } }", "{\"n\":\"When\"}",
              "{\"data\":{\"__type\":{\"name\":\"When\"}}}");
}

static void test_fields(void **state)
{
    gf_expect(*state, "{ __type(name: \"Root\") { fields { name isDeprecated deprecationReason } } }", NULL,
              "{\"data\":{\"__type\":{\"fields\":[{\"name\":\"id\",\"isDeprecated\":false,"
              "\"deprecationReason\":null},{\"name\":\"name\","
              "\"isDeprecated\":false,\"deprecationReason\":null},{\"name\":\"any\",\"isDeprecated\":false,"
              "\"deprecationReason\":null},"
              "{\"name\":\"when\",\"isDeprecated\":false,\"deprecationReason\":null},{\"name\":\"nodes\","
              "\"isDeprecated\":false,"
              "\"deprecationReason\":null}]}}}");
    gf_expect(*state,
              "query($d: Boolean!) { __type(name: \"Root\") { fields(includeDeprecated: $d) { name "
              "deprecationReason } } }",
              "{\"d\":true}",
              "{\"data\":{\"__type\":{\"fields\":[{\"name\":\"id\",\"deprecationReason\":null},{\"name\":"
              "\"name\",\"deprecationReason\":null},"
              "{\"name\":\"gone\",\"deprecationReason\":\"use "
              "name\"},{\"name\":\"any\",\"deprecationReason\":null},{\"name\":\"when\","
              "\"deprecationReason\":null},{\"name\":\"nodes\",\"deprecationReason\":null}]}}}");
    gf_expect(*state,
              "{ __type(name: \"When\") { fields { name } enumValues { name } inputFields { name } } }", NULL,
              "{\"data\":{\"__type\":{\"fields\":null,\"enumValues\":null,\"inputFields\":null}}}");
}

static void test_wrapped_types(void **state)
{
    gf_expect(*state,
              "{ __type(name: \"Root\") { fields { name type { kind name description fields { name } ofType "
              "{ kind name ofType { kind name ofType "
              "{ kind name ofType { name } } } } } } } }",
              NULL,
              "{\"data\":{\"__type\":{\"fields\":["
              "{\"name\":\"id\",\"type\":{\"kind\":\"NON_NULL\",\"name\":null,\"description\":null,"
              "\"fields\":null,\"ofType\":{\"kind\":\"SCALAR\","
              "\"name\":\"ID\",\"ofType\":null}}},"
              "{\"name\":\"name\",\"type\":{\"kind\":\"SCALAR\",\"name\":\"String\",\"description\":\"Text, "
              "as a sequence of Unicode characters.\","
              "\"fields\":null,\"ofType\":null}},"
              "{\"name\":\"any\",\"type\":{\"kind\":\"UNION\",\"name\":\"Any\",\"description\":null,"
              "\"fields\":null,\"ofType\":null}},"
              "{\"name\":\"when\",\"type\":{\"kind\":\"SCALAR\",\"name\":\"When\",\"description\":null,"
              "\"fields\":null,\"ofType\":null}},"
              "{\"name\":\"nodes\",\"type\":{\"kind\":\"NON_NULL\",\"name\":null,\"description\":null,"
              "\"fields\":null,\"ofType\":{\"kind\":\"LIST\","
              "\"name\":null,\"ofType\":{\"kind\":\"NON_NULL\",\"name\":null,\"ofType\":{\"kind\":"
              "\"INTERFACE\",\"name\":\"Node\",\"ofType\":null}}}}}"
              "]}}}");
}

static void test_arguments_and_defaults(void **state)
{
    gf_expect(
        *state,
        "{ __type(name: \"Root\") { fields { args { name description defaultValue isDeprecated type { name } "
        "} } } }",
        NULL,
        "{\"data\":{\"__type\":{\"fields\":[{\"args\":[]},{\"args\":[{\"name\":\"max\",\"description\":\"How "
        "long.\",\"defaultValue\":\"10\","
        "\"isDeprecated\":false,\"type\":{\"name\":\"Int\"}},{\"name\":\"list\",\"description\":null,"
        "\"defaultValue\":\"[DARK]\","
        "\"isDeprecated\":false,\"type\":{\"name\":null}}]},{\"args\":[]},{\"args\":[]},{\"args\":[]}]}}}");
    gf_expect(
        *state,
        "{ __type(name: \"Root\") { fields { args(includeDeprecated: true) { name deprecationReason } } } }",
        NULL,
        "{\"data\":{\"__type\":{\"fields\":[{\"args\":[]},{\"args\":[{\"name\":\"max\",\"deprecationReason\":"
        "null},{\"name\":\"old\","
        "\"deprecationReason\":\"No longer "
        "supported\"},{\"name\":\"list\",\"deprecationReason\":null}]},{\"args\":[]},{\"args\":[]},"
        "{\"args\":[]}]}}}");
    gf_expect(*state, "{ __type(name: \"Change\") { fields { args { defaultValue } } } }", NULL,
              "{\"data\":{\"__type\":{\"fields\":[{\"args\":[{\"defaultValue\":\"{ a: 2, s: "
              "\\\"x\\\\\\\"y\\\", e: DARK, l: [1, 2], n: null, f: 1.50 "
              "}\"},{\"defaultValue\":null}]}]}}}");
    gf_expect(*state,
              "{ __type(name: \"In\") { inputFields { name defaultValue } all: "
              "inputFields(includeDeprecated: true) { name "
              "deprecationReason } } }",
              NULL,
              "{\"data\":{\"__type\":{\"inputFields\":[{\"name\":\"a\",\"defaultValue\":\"1\"},{\"name\":"
              "\"s\",\"defaultValue\":null},{\"name\":\"e\","
              "\"defaultValue\":null},{\"name\":\"l\",\"defaultValue\":null},{\"name\":\"n\","
              "\"defaultValue\":null},{\"name\":\"f\","
              "\"defaultValue\":null},{\"name\":\"in\",\"defaultValue\":null}],\"all\":[{\"name\":\"a\","
              "\"deprecationReason\":null},{\"name\":\"s\","
              "\"deprecationReason\":null},{\"name\":\"e\",\"deprecationReason\":null},{\"name\":\"l\","
              "\"deprecationReason\":null},{\"name\":\"n\","
              "\"deprecationReason\":null},{\"name\":\"f\",\"deprecationReason\":null},{\"name\":\"in\","
              "\"deprecationReason\":null},{\"name\":\"was\","
              "\"deprecationReason\":\"unused\"}]}}}");
}

static void test_enum_values(void **state)
{
    gf_expect(*state,
              "{ __type(name: \"Shade\") { enumValues { name description } all: "
              "enumValues(includeDeprecated: true) { name isDeprecated "
              "deprecationReason __typename } } }",
              NULL,
              "{\"data\":{\"__type\":{\"enumValues\":[{\"name\":\"DARK\",\"description\":null},{\"name\":"
              "\"LIGHT\",\"description\":\"As the "
              "sun.\"}],\"all\":[{\"name\":\"DARK\",\"isDeprecated\":false,\"deprecationReason\":null,\"__"
              "typename\":\"__EnumValue\"},{\"name\":"
              "\"LIGHT\",\"isDeprecated\":false,\"deprecationReason\":null,\"__typename\":\"__EnumValue\"},{"
              "\"name\":\"OLD\",\"isDeprecated\":true,"
              "\"deprecationReason\":\"No longer supported\",\"__typename\":\"__EnumValue\"}]}}}");
}

static void test_directives(void **state)
{
    gf_request r;
    gf_start(&r, *state,
             "{ __schema { directives { name description isRepeatable locations args { name defaultValue } "
             "all: args(includeDeprecated: true) { name } "
             "} } }",
             NULL);
    static const char *const parts[] = {
        "{\"name\":\"mark\",\"description\":\"Marks.\",\"isRepeatable\":true,\"locations\":[\"FIELD\","
        "\"OBJECT\"],\"args\":[{\"name\":\"as\","
        "\"defaultValue\":\"\\\"m\\\"\"}],\"all\":[{\"name\":\"as\"},{\"name\":\"gone\"}]}",
        "\"name\":\"skip\"",
        "\"locations\":[\"FIELD\",\"FRAGMENT_SPREAD\",\"INLINE_FRAGMENT\"],\"args\":[{\"name\":\"if\"",
        "\"name\":\"include\"",
        "\"name\":\"deprecated\"",
        "\"defaultValue\":\"\\\"No longer supported\\\"\"",
        "\"name\":\"specifiedBy\"",
        "\"name\":\"oneOf\""};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!strstr(r.body, parts[i]))
            fail_msg("%s is not in %s", parts[i], r.body);
    }
    gf_end(&r);
}

/* What tools send; as it is, it must be answered without an error. */
static const char full_query[] = "query IntrospectionQuery { __schema { description queryType { name } "
                                 "mutationType { name } subscriptionType { name } types { ...FullType } "
                                 "directives { name description isRepeatable locations "
                                 "args(includeDeprecated: true) { ...InputValue } } } } "
                                 "fragment FullType on __Type { kind name description specifiedByURL isOneOf "
                                 "fields(includeDeprecated: true) { name description "
                                 "args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } "
                                 "isDeprecated deprecationReason } inputFields(includeDeprecated: true) { "
                                 "...InputValue } interfaces { ...TypeRef } enumValues(includeDeprecated: "
                                 "true) { name description isDeprecated deprecationReason } "
                                 "possibleTypes { ...TypeRef } } "
                                 "fragment InputValue on __InputValue { name description type { ...TypeRef } "
                                 "defaultValue isDeprecated deprecationReason } "
                                 "fragment TypeRef on __Type { kind name ofType { kind name ofType { kind "
                                 "name ofType { kind name ofType { kind name ofType { kind name ofType { "
                                 "kind name ofType { kind name ofType { kind name } } } } } } } } }";

static void test_full_query(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, full_query, NULL);
    assert_int_equal(r.result, GQL_RESULT_DATA);
    assert_null(strstr(r.body, "\"errors\""));
    gf_check(&r, r.body); /* is JSON */
    assert_int_equal(te_count(f->t).called, 0);
    gf_end(&r);
}

/* Beside other fields, and where meta fields are not found. */
static void test_beside_fields(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_give(f, "Root", "id", te_string(f->t, "1"));
    gf_wait(f, "Root", "when", te_string(f->t, "now"));
    gf_start(&r, f, "{ id when s: __schema { queryType { name } } __typename }", NULL);
    te_resume(f->t, te_waiting_at(f->t, 0));
    gf_check(&r, "{\"data\":{\"id\":\"1\",\"when\":\"now\",\"s\":{\"queryType\":{\"name\":\"Root\"}},\"__"
                 "typename\":\"Root\"}}");
    gf_end(&r);
    gf_start(&r, f, "mutation { __schema { description } }", NULL);
    assert_int_equal(r.result, GQL_RESULT_REFUSED);
    gf_end(&r);
}

static void test_response_limit(void **state)
{
    gf *f = *state;
    gf_request r;
    f->options.max_response = 1000;
    gf_start(&r, f, full_query, NULL);
    assert_non_null(strstr(r.body, "The response is larger than 1000 bytes."));
    gf_end(&r);
}

static void test_no_memory(void **state)
{
    static const char query[] = "{ __schema { directives { name args { name defaultValue } } } __type(name: "
                                "\"Root\") { fields { name args { "
                                "defaultValue } } } }";
    gf *f;
    gf_request r;
    setup((void **)&f);
    gf_start(&r, f, query, NULL);
    char *whole = strdup(r.body);
    gf_end(&r);
    gf_close(f);
    failing a = {0};
    while (failing_next(&a)) {
        setup((void **)&f);
        gf_restart(f);
        f->failing = &a;
        gf_start(&r, f, query, NULL);
        if (failing_end(&a) && strcmp(r.body, whole) != 0)
            assert_non_null(strstr(r.body, "\"code\":\"RESOURCE_EXHAUSTED\""));
        else
            assert_string_equal(r.body, whole);
        gf_check(&r, r.body);
        gf_end(&r);
        gf_close(f);
    }
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_schema, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_types, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_kinds, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_unknown_type, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_fields, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_wrapped_types, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_arguments_and_defaults, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_enum_values, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_directives, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_full_query, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_beside_fields, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_response_limit, setup, gf_teardown),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
