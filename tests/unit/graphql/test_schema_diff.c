/* SPDX-License-Identifier: MIT */
/* What changed from one schema to another. */
#include "graphql/schema/diff.h"

#include "schemas.h"
#include "support/failing.h"

typedef struct diff_case {
    const char *before, *after;
    const char
        *changes; /* "KIND coordinate before-line:column after-line:column: description", a line each */
} diff_case;

static void write_changes(pl_buf *out, const gql_changes *changes)
{
    for (const gql_change *c = changes->first; c; c = c->next) {
        pl_buf_printf(out, "%s %.*s", gql_change_name(c->kind), PL_STR_ARG(c->coordinate));
        const gql_definition_place *places[] = {&c->before, &c->after};
        for (int i = 0; i < 2; i++) {
            if (places[i]->source)
                pl_buf_printf(out, " %u:%u", places[i]->loc.line, places[i]->loc.column);
            else
                PL_BUF_LIT(out, " -");
        }
        pl_buf_printf(out, ": %.*s\n", PL_STR_ARG(c->description));
    }
    pl_buf_char(out, '\0');
    assert_false(out->failed);
}

static void check_diff(const diff_case *c)
{
    gql_schema *before = build_schema(c->before, NULL), *after = build_schema(c->after, NULL);
    pl_arena arena;
    pl_buf text;
    gql_changes changes;
    pl_arena_init(&arena, 0);
    pl_buf_init(&text);
    assert_int_equal(gql_schema_diff(before, after, &arena, &changes), PL_OK);
    write_changes(&text, &changes);
    assert_string_equal(text.data, c->changes);
    pl_buf_dispose(&text);
    pl_arena_dispose(&arena);
    gql_schema_free(before);
    gql_schema_free(after);
}

#define CHECK_DIFFS(cases)                                           \
    do {                                                             \
        for (size_t i = 0; i < sizeof(cases) / sizeof *(cases); i++) \
            check_diff(&(cases)[i]);                                 \
    } while (0)

static void test_types(void **state)
{
    static const diff_case cases[] = {
        {"type Query { a: Int }", "type Query { a: Int }", ""},
        {"type Query { a: Int }\nscalar Old", "type Query { a: Int }\n enum New { A }",
         "TYPE_REMOVED Old 2:1 -: Old was removed.\n"
         "TYPE_ADDED New - 2:2: New was added.\n"},
        {"type Query { a: ID }", "type Query { a: Float }",
         "TYPE_REMOVED ID - -: Standard scalar ID was removed because it is not referenced anymore.\n"
         "TYPE_ADDED Float - -: Float was added.\n"
         "FIELD_CHANGED_KIND Query.a 1:14 1:14: Field Query.a changed type from ID to Float.\n"},
        {"type Query { a: Int }\nscalar S", "type Query { a: Int }\n\"now\" type S { a: Int }",
         "DESCRIPTION_CHANGED S 2:1 2:1: Description of S has changed to \"now\".\n"
         "TYPE_CHANGED_KIND S 2:1 2:1: S changed from a Scalar type to an Object type.\n"},
        {"\"x\" type Query { a: Int }", "type Query { a: Int }",
         "DESCRIPTION_CHANGED Query 1:1 1:1: Description of Query was removed.\n"},
        {"type Query { a: Int }\ninterface I { a: Int }\ninterface J { a: Int }",
         "type Query implements I & J { a: Int }\ninterface I implements J { a: Int }\ninterface J { a: Int "
         "}",
         "IMPLEMENTED_INTERFACE_ADDED Query 1:1 1:1: I added to interfaces implemented by Query.\n"
         "IMPLEMENTED_INTERFACE_ADDED Query 1:1 1:1: J added to interfaces implemented by Query.\n"
         "IMPLEMENTED_INTERFACE_ADDED I 2:1 2:1: J added to interfaces implemented by I.\n"},
        {"type Query implements I { a: Int }\ninterface I { a: Int }",
         "type Query { a: Int }\ninterface I { a: Int }",
         "IMPLEMENTED_INTERFACE_REMOVED Query 1:1 1:1: Query no longer implements interface I.\n"},
        {"type Query { a: Int }\nunion U = Query | B\ntype B { a: Int }\ntype C { a: Int }",
         "type Query { a: Int }\nunion U = Query | C\ntype B { a: Int }\ntype C { a: Int }",
         "TYPE_ADDED_TO_UNION U 2:1 2:1: C was added to union type U.\n"
         "TYPE_REMOVED_FROM_UNION U 2:1 2:1: B was removed from union type U.\n"},
        {"type Query { a: Int }\nenum E { A B C }",
         "type Query { a: Int }\nenum E { A \"doc\" C }\nextend enum E { D }",
         "VALUE_ADDED_TO_ENUM E.D 2:1 3:17: Enum value E.D was added.\n"
         "VALUE_REMOVED_FROM_ENUM E.B 2:12 2:1: Enum value E.B was removed.\n"
         "DESCRIPTION_CHANGED E.C 2:14 2:12: Description of enum value E.C has changed to \"doc\".\n"},
    };
    CHECK_DIFFS(cases);
}

static void test_fields(void **state)
{
    static const diff_case cases[] = {
        {"type Query {\n a: Int\n b: Int\n c: Int\n d: [Int]\n e: [Int]!\n f: Int! }",
         "type Query {\n a: Int!\n b: [Int]\n d: [Int!]!\n e: [Int!]\n f: Int\n g: Int }",
         "FIELD_REMOVED Query.c 4:2 1:1: Field Query.c was removed.\n"
         "FIELD_ADDED Query.g 1:1 7:2: Field Query.g was added.\n"
         "FIELD_CHANGED_KIND_SAFE Query.a 2:2 2:2: Field Query.a changed type from Int to Int!.\n"
         "FIELD_CHANGED_KIND Query.b 3:2 3:2: Field Query.b changed type from Int to [Int].\n"
         "FIELD_CHANGED_KIND_SAFE Query.d 5:2 4:2: Field Query.d changed type from [Int] to [Int!]!.\n"
         "FIELD_CHANGED_KIND Query.e 6:2 5:2: Field Query.e changed type from [Int]! to [Int!].\n"
         "FIELD_CHANGED_KIND Query.f 7:2 6:2: Field Query.f changed type from Int! to Int.\n"},
        {"type Query { a(x: Int! y: Int z: [Int!] = [1]): Int }",
         "type Query { \"d\" a(x: Int \"e\" y: Int! z: [Int] = [1] n: Int! o: Int! = 1): Int }",
         "ARG_CHANGED_KIND_SAFE Query.a(x:) 1:16 1:20: Argument Query.a(x:) has changed type from Int! to "
         "Int.\n"
         "ARG_CHANGED_KIND Query.a(y:) 1:24 1:27: Argument Query.a(y:) has changed type from Int to Int!.\n"
         "DESCRIPTION_CHANGED Query.a(y:) 1:24 1:27: Description of argument Query.a(y:) has changed to "
         "\"e\".\n"
         "REQUIRED_ARG_ADDED Query.a(n:) 1:14 1:54: A required argument Query.a(n:) was added.\n"
         "OPTIONAL_ARG_ADDED Query.a(o:) 1:14 1:62: An optional argument Query.a(o:) was added.\n"
         "DESCRIPTION_CHANGED Query.a 1:14 1:14: Description of field Query.a has changed to \"d\".\n"},
        {"type Query { a(x: Int): Int }", "type Query { a: Int }",
         "ARG_REMOVED Query.a(x:) 1:16 1:14: Argument Query.a(x:) was removed.\n"},
    };
    CHECK_DIFFS(cases);
}

static void test_defaults(void **state)
{
    static const diff_case cases[] = {
        /* The order of an object's fields does not matter, however deep. */
        {"type Query { a(x: I = {b: 1, c: [{b: 2, a: 1}], a: 3}): Int } input I { a: Int b: Int c: [I] }",
         "type Query { a(x: I = {a: 3, b: 1, c: [{a: 1, b: 2}]}): Int } input I { a: Int b: Int c: [I] }",
         ""},
        {"type Query { a(x: I = {b: 1, a: 3}): Int } input I { a: Int b: Int }",
         "type Query { a(x: I = {a: 3, b: 2}): Int } input I { a: Int b: Int }",
         "ARG_DEFAULT_VALUE_CHANGE Query.a(x:) 1:16 1:16: Query.a(x:) has changed defaultValue from { a: 3, "
         "b: 1 } to { "
         "a: 3, b: 2 }.\n"},
        {"type Query { a(x: Int = 1, y: Int, z: Int = 1): Int }",
         "type Query { a(x: Int, y: Int = 2, z: Int! = 1): Int }",
         "ARG_DEFAULT_VALUE_CHANGE Query.a(x:) 1:16 1:16: Query.a(x:) defaultValue was removed.\n"
         "ARG_DEFAULT_VALUE_ADDED Query.a(y:) 1:28 1:24: Query.a(y:) added a defaultValue 2.\n"
         "ARG_CHANGED_KIND Query.a(z:) 1:36 1:36: Argument Query.a(z:) has changed type from Int to Int!.\n"},
        {"type Query { a(i: I): Int } input I { a: Int = 1 b: Int c: Int! d: [Int] e: Int f: Int! g: Int = "
         "1}",
         "type Query { a(i: I): Int } input I { a: Int = 2 b: Int = 3 c: Int d: Int f: Int! g: Int h: Int! "
         "\"d\" i: Int }",
         "REQUIRED_INPUT_FIELD_ADDED I.h 1:29 1:90: A required field I.h was added.\n"
         "OPTIONAL_INPUT_FIELD_ADDED I.i 1:29 1:98: An optional field I.i was added.\n"
         "FIELD_REMOVED I.e 1:74 1:29: Field I.e was removed.\n"
         "INPUT_FIELD_DEFAULT_VALUE_CHANGE I.a 1:39 1:39: I.a has changed defaultValue from 1 to 2.\n"
         "INPUT_FIELD_DEFAULT_VALUE_ADDED I.b 1:50 1:50: I.b added a defaultValue 3.\n"
         "FIELD_CHANGED_KIND_SAFE I.c 1:57 1:61: Field I.c changed type from Int! to Int.\n"
         "FIELD_CHANGED_KIND I.d 1:65 1:68: Field I.d changed type from [Int] to Int.\n"
         "INPUT_FIELD_DEFAULT_VALUE_CHANGE I.g 1:89 1:83: I.g defaultValue was removed.\n"},
    };
    CHECK_DIFFS(cases);
}

static void test_directives(void **state)
{
    static const diff_case cases[] = {
        {"type Query { a: Int } directive @old on FIELD", "type Query { a: Int } directive @new on FIELD",
         "DIRECTIVE_REMOVED @old 1:23 -: Directive @old was removed.\n"
         "DIRECTIVE_ADDED @new - 1:23: Directive @new was added.\n"},
        {"type Query { a: Int } directive @d(a: Int b: Int = 1 c: Int) repeatable on FIELD | OBJECT",
         "type Query { a: Int } \"x\" directive @d(\"y\" a: [Int] b: Int = 2 n: Int! o: Int) on FIELD | ENUM",
         "REQUIRED_DIRECTIVE_ARG_ADDED @d(n:) 1:23 1:64: A required argument @d(n:) was added.\n"
         "OPTIONAL_DIRECTIVE_ARG_ADDED @d(o:) 1:23 1:72: An optional argument @d(o:) was added.\n"
         "DIRECTIVE_ARG_REMOVED @d(c:) 1:54 1:23: Argument @d(c:) was removed.\n"
         "ARG_CHANGED_KIND @d(a:) 1:36 1:40: Argument @d(a:) has changed type from Int to [Int].\n"
         "DESCRIPTION_CHANGED @d(a:) 1:36 1:40: Description of @d(a:) has changed to \"y\".\n"
         "ARG_DEFAULT_VALUE_CHANGE @d(b:) 1:43 1:53: @d(b:) has changed defaultValue from 1 to 2.\n"
         "DIRECTIVE_REPEATABLE_REMOVED @d 1:23 1:23: Repeatable flag was removed from @d.\n"
         "DESCRIPTION_CHANGED @d 1:23 1:23: Description of @d has changed to \"x\".\n"
         "DIRECTIVE_LOCATION_REMOVED @d 1:23 1:23: OBJECT was removed from @d.\n"
         "DIRECTIVE_LOCATION_ADDED @d 1:23 1:23: ENUM was added to @d.\n"},
        {"type Query { a: Int } directive @d on FIELD",
         "type Query { a: Int } directive @d repeatable on FIELD",
         "DIRECTIVE_REPEATABLE_ADDED @d 1:23 1:23: Repeatable flag was added to @d.\n"},
    };
    CHECK_DIFFS(cases);
}

static void test_levels(void **state)
{
    assert_int_equal(gql_change_level_of(GQL_TYPE_REMOVED), GQL_CHANGE_BREAKING);
    assert_int_equal(gql_change_level_of(GQL_DIRECTIVE_LOCATION_REMOVED), GQL_CHANGE_BREAKING);
    assert_int_equal(gql_change_level_of(GQL_VALUE_ADDED_TO_ENUM), GQL_CHANGE_DANGEROUS);
    assert_int_equal(gql_change_level_of(GQL_INPUT_FIELD_DEFAULT_VALUE_CHANGE), GQL_CHANGE_DANGEROUS);
    assert_int_equal(gql_change_level_of(GQL_DESCRIPTION_CHANGED), GQL_CHANGE_SAFE);
    for (int kind = 0; kind < GQL_CHANGE_KINDS; kind++)
        assert_non_null(gql_change_name((gql_change_kind)kind));
    assert_null(gql_change_name(GQL_CHANGE_KINDS));
}

static void test_short_of_memory(void **state)
{
    gql_schema *before = build_schema(
        "type Query { a(x: I = {b: 1, a: 2}): Int } input I { a: Int b: Int } union U = Query", NULL);
    gql_schema *after = build_schema(
        "type Query implements N { a(x: I = {b: 2, a: 2}): Int b: Int } input I { a: Int b: Int } "
        "interface N { a: Int } directive @d on FIELD union U = T type T { a: Int }",
        NULL);
    failing a = {0};
    while (failing_next(&a)) {
        pl_arena arena;
        gql_changes changes;
        pl_arena_init(&arena, 64); /* small pieces: many allocations */
        failing_begin(&a);
        pl_code code = gql_schema_diff(before, after, &arena, &changes);
        assert_int_equal(code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        if (code == PL_OK)
            assert_true(changes.counts[GQL_CHANGE_DANGEROUS] > 1);
        pl_arena_dispose(&arena);
    }
    assert_true(a.failed > 9);
    gql_schema_free(before);
    gql_schema_free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),    cmocka_unit_test(test_fields),
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_directives),
        cmocka_unit_test(test_levels),   cmocka_unit_test(test_short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
