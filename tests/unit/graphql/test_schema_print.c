/* SPDX-License-Identifier: MIT */
/* Schemas as SDL. */
#include "graphql/schema/print.h"

#include "schemas.h"
#include "support/failing.h"

static char *print_schema(const char *sdl, pl_buf *out)
{
    gql_schema *schema = build_schema(sdl, NULL);
    pl_buf_init(out);
    gql_schema_print(out, schema);
    pl_buf_char(out, '\0');
    assert_false(out->failed);
    gql_schema_free(schema);
    return out->data;
}

static void test_prints_merged_definitions(void **state)
{
    static const struct {
        const char *sdl, *printed;
    } cases[] = {
        {"\"\"\"The schema\n"
         "is described\"\"\"\n"
         "schema { query: Q }\n"
         "\"desc\" directive @d(\"arg\" a: Int = 3, b: [E!] = [A, B]) repeatable on FIELD | OBJECT | "
         "FIELD_DEFINITION\n"
         "directive @deprecated(reason: String) on FIELD_DEFINITION | ENUM_VALUE\n"
         "type Q implements I & J @d { \"one\" a: Int @deprecated\n"
         " \"\"\"\n"
         " two\n"
         "   lines \"quoted\" \\\"\"\" end\n"
         " \"\"\"\n"
         " b(\"x\" x: Int = 1 y: String = \"a\\nb\"): [E!]! @deprecated(reason: \"be\\\"cause\")\n"
         " c: S }\n"
         "interface I { a: Int @deprecated }\n"
         "interface J implements I { a: Int @deprecated }\n"
         "enum E { \"doc\" A @deprecated(reason: \"old\") \"doc\\n\\n  b\" B C }\n"
         "input In @oneOf { a: Int \"dd\" b: E }\n"
         "scalar S\n"
         "union U = Q | R\n"
         "extend type R { z: Int }\n"
         "type R { y(a: In): Float }\n"
         "\"\" type Em { a: ID }\n"
         "extend scalar S @specifiedBy(url: \"http://a\\\\b\")\n",
         "\"\"\"\n"
         "The schema\n"
         "is described\n"
         "\"\"\"\n"
         "schema {\n"
         "  query: Q\n"
         "}\n"
         "\n"
         "\"\"\"desc\"\"\"\n"
         "directive @d(\n"
         "  \"\"\"arg\"\"\"\n"
         "  a: Int = 3\n"
         "  b: [E!] = [A, B]\n"
         ") repeatable on FIELD | OBJECT | FIELD_DEFINITION\n"
         "\n"
         "type Q implements I & J {\n"
         "  \"\"\"one\"\"\"\n"
         "  a: Int @deprecated\n"
         "\n"
         "  \"\"\"\n"
         "  two\n"
         "    lines \"quoted\" \\\"\"\" end\n"
         "  \"\"\"\n"
         "  b(\n"
         "    \"\"\"x\"\"\"\n"
         "    x: Int = 1\n"
         "    y: String = \"a\\nb\"\n"
         "  ): [E!]! @deprecated(reason: \"be\\\"cause\")\n"
         "  c: S\n"
         "}\n"
         "\n"
         "interface I {\n"
         "  a: Int @deprecated\n"
         "}\n"
         "\n"
         "interface J implements I {\n"
         "  a: Int @deprecated\n"
         "}\n"
         "\n"
         "enum E {\n"
         "  \"\"\"doc\"\"\"\n"
         "  A @deprecated(reason: \"old\")\n"
         "\n"
         "  \"\"\"\n"
         "  doc\n"
         "  \n"
         "    b\n"
         "  \"\"\"\n"
         "  B\n"
         "  C\n"
         "}\n"
         "\n"
         "input In @oneOf {\n"
         "  a: Int\n"
         "\n"
         "  \"\"\"dd\"\"\"\n"
         "  b: E\n"
         "}\n"
         "\n"
         "scalar S @specifiedBy(url: \"http://a\\\\b\")\n"
         "\n"
         "union U = Q | R\n"
         "\n"
         "type R {\n"
         "  y(a: In): Float\n"
         "  z: Int\n"
         "}\n"
         "\n"
         "\"\"\"\"\"\"\n"
         "type Em {\n"
         "  a: ID\n"
         "}"},
        {"type Query { a: Int }\n"
         "type Mutation { a: Int }\n"
         "type Subscription { a: Int }\n",
         "type Query {\n"
         "  a: Int\n"
         "}\n"
         "\n"
         "type Mutation {\n"
         "  a: Int\n"
         "}\n"
         "\n"
         "type Subscription {\n"
         "  a: Int\n"
         "}"},
        {"schema { query: Query }\n"
         "type Query { a: Int }\n"
         "type Mutation { b: Int }\n",
         "schema {\n"
         "  query: Query\n"
         "}\n"
         "\n"
         "type Query {\n"
         "  a: Int\n"
         "}\n"
         "\n"
         "type Mutation {\n"
         "  b: Int\n"
         "}"},
        {"schema { query: Query mutation: Query2 }\n"
         "extend schema @d\n"
         "type Query { a: Int }\n"
         "type Query2 { a: Int }\n"
         "directive @d on SCHEMA\n",
         "schema {\n"
         "  query: Query\n"
         "  mutation: Query2\n"
         "}\n"
         "\n"
         "directive @d on SCHEMA\n"
         "\n"
         "type Query {\n"
         "  a: Int\n"
         "}\n"
         "\n"
         "type Query2 {\n"
         "  a: Int\n"
         "}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pl_buf out;
        assert_string_equal(print_schema(cases[i].sdl, &out), cases[i].printed);
        pl_buf_dispose(&out);
    }
}

/* What is printed builds again, and prints the same. */
static void test_reads_back(void **state)
{
    static const char *const sdls[] = {
        "\"\\n leads\" type Query { \"ends\\n\" a: Int \" in\\n dent\" b: Int \"\\u0007\" c: Int "
        "\"quote\\\"\" d: Int }",
        "directive @a(\"x\" b: [In!] = [{ c: 1 }]) repeatable on FIELD | QUERY\n"
        "input In { c: Int \"d\" d: [String] = [\"\\u00e9\", null] }\n"
        "interface I { a: Int } type Query implements I { a: Int }",
    };
    for (size_t i = 0; i < sizeof(sdls) / sizeof(sdls[0]); i++) {
        pl_buf once, twice;
        print_schema(sdls[i], &once);
        assert_string_equal(print_schema(once.data, &twice), once.data);
        pl_buf_dispose(&once);
        pl_buf_dispose(&twice);
    }
}

static void test_options(void **state)
{
    gql_schema *schema =
        build_schema("directive @tag(name: String, n: [Int]) repeatable on SCHEMA | OBJECT | FIELD_DEFINITION"
                     " | ARGUMENT_DEFINITION | ENUM_VALUE | UNION | SCALAR\n"
                     "extend schema @tag(name: \"s\")\n"
                     "type Query implements J & I @tag(n: [1, 2]) { b10(z: Int = 1, a: Int @tag): Int "
                     "@deprecated(reason: \"x\")\n"
                     " b9: E }\n"
                     "extend type Query @tag(name: \"more\") { a: S }\n"
                     "interface J { b9: E } interface I { b9: E }\n"
                     "enum E { Y X @tag }\n"
                     "union U @tag = Query | A type A { a: Int }\n"
                     "scalar S @specifiedBy(url: \"u\")",
                     NULL);
    pl_buf out;
    pl_buf_init(&out);
    gql_schema_print_with(&out, schema, &(gql_print_options){.sort = true, .directives = true});
    pl_buf_char(&out, '\0');
    assert_false(out.failed);
    assert_string_equal(
        out.data, "schema @tag(name: \"s\") {\n  query: Query\n}\n\n"
                  "directive @tag(n: [Int], name: String) repeatable on ARGUMENT_DEFINITION | ENUM_VALUE | "
                  "FIELD_DEFINITION | OBJECT | SCALAR | SCHEMA | UNION\n\n"
                  "type A {\n  a: Int\n}\n\n"
                  "enum E {\n  X @tag\n  Y\n}\n\n"
                  "interface I {\n  b9: E\n}\n\n"
                  "interface J {\n  b9: E\n}\n\n"
                  "type Query implements I & J @tag(n: [1, 2]) @tag(name: \"more\") {\n"
                  "  a: S\n"
                  "  b9: E\n"
                  "  b10(a: Int @tag, z: Int = 1): Int @deprecated(reason: \"x\")\n"
                  "}\n\n"
                  "scalar S @specifiedBy(url: \"u\")\n\n"
                  "union U @tag = A | Query");
    pl_buf_dispose(&out);
    gql_schema_free(schema);
}

static void test_short_of_memory(void **state)
{
    gql_schema *schema = build_schema("\"d\" type Query { a: Int }", NULL);
    pl_buf out;
    pl_buf_init(&out);
    out.limit = 10;
    gql_schema_print(&out, schema);
    assert_true(out.failed);
    pl_buf_dispose(&out);
    failing a = {0};
    while (failing_next(&a)) {
        pl_buf_init(&out);
        failing_begin(&a);
        gql_schema_print(&out, schema);
        assert_int_equal(out.failed, failing_end(&a));
        pl_buf_dispose(&out);
    }
    gql_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prints_merged_definitions),
        cmocka_unit_test(test_reads_back),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
