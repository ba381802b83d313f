/* SPDX-License-Identifier: MIT */
/* Documents made to be expensive. Each is given in two sizes; what parsing leaves to do is counted in steps
 * (no clock is looked at), and must grow with the document, or stay below the bounds that end it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "graphql/language/parser.h"
#include "graphql/validation/cost.h"
#include "graphql/validation/limits.h"
#include "graphql/validation/validate.h"

static const char sdl[] =
    "interface Node { id: ID! node: Node thing: Thing }\n"
    "type A implements Node { id: ID! node: Node thing: Thing a(x: Int, y: String, in: In): A list: [A!] s: "
    "String }\n"
    "type B implements Node { id: ID! node: Node thing: Thing a(x: Int, y: String, in: In): A list: [B!] s: "
    "String }\n"
    "union Thing = A | B\n"
    "input In { a: Int list: [In!] in: In s: [[String]] }\n"
    "directive @d(a: Int) repeatable on FIELD | QUERY | VARIABLE_DEFINITION\n"
    "directive @stream(if: Boolean! = true, label: String, initialCount: Int = 0) on FIELD\n"
    "directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT\n"
    "type Query { a(x: Int, y: String, in: In): A node: Node thing: Thing list: [A!] s: String e(e: E): Int "
    "}\n"
    "type Subscription { a: A }\n";

static gql_schema *schema;

static int build(void **state)
{
    pl_arena arena;
    gql_diagnostics list;
    pl_buf text;
    pl_arena_init(&arena, 0);
    pl_buf_init(&text);
    gql_diagnostics_init(&list, &arena, 0);
    pl_buf_str(&text, pl_str_of(sdl));
    PL_BUF_LIT(&text, "enum E {");
    for (int i = 0; i < 2000; i++)
        pl_buf_printf(&text, " VALUE_OF_THE_ENUM_%d", i);
    PL_BUF_LIT(&text, " }\n");
    gql_source source = {"schema.graphql", pl_buf_view(&text)};
    if (gql_schema_build(&source, 1, NULL, &list, &schema) != PL_OK)
        fail_msg("%.*s", PL_STR_ARG(list.first->message));
    pl_buf_dispose(&text);
    pl_arena_dispose(&arena);
    return 0;
}

static int unbuild(void **state)
{
    gql_schema_free(schema);
    return 0;
}

/* --- what a document takes --- */
typedef struct effort {
    uint64_t steps;
    pl_code code;
    uint32_t errors;
} effort;

static effort spend(pl_str text)
{
    static const gql_parse_limits limits = {.max_tokens = UINT32_MAX, .max_depth = 1000};
    static const gql_limits none;
    gql_source source = {"request", text};
    gql_document *document;
    gql_validate_work work = {0};
    gql_validate_options options = {.work = &work};
    gql_diagnostics list, other;
    uint64_t counted = 0, planned = 0;
    pl_arena arena;
    pl_error err;
    effort e = {0};
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 5);
    gql_diagnostics_init(&other, &arena, 5);
    if (gql_parse(&arena, &source, &limits, &document, &err) != PL_OK)
        fail_msg("%s", err.message);
    gql_limits_check(document, &none, &other, &counted);
    e.code = gql_validate(schema, document, &options, &list);
    e.errors = list.count;
    if (e.code == PL_OK) {
        gql_cost_plan *plan;
        gql_cost_model *model = gql_cost_model_new(&arena, schema, 0);
        gql_cost_plan_new(&arena, model, document, &document->operations[0], &plan, &planned, &err);
    }
    e.steps = counted + planned + work.calls + work.visits + work.comparisons + work.suggestions;
    pl_arena_dispose(&arena);
    return e;
}

/* --- documents --- */
typedef void writer(pl_buf *out, int n);

static void repeat(pl_buf *out, int n, const char *text)
{
    for (int i = 0; i < n; i++)
        pl_buf_str(out, pl_str_of(text));
}

/* Each %d is the number of the part. */
static void number(pl_buf *out, int n, const char *text)
{
    for (int i = 0; i < n; i++) {
        for (const char *at = text; *at; at++) {
            if (at[0] == '%' && at[1] == 'd') {
                pl_buf_printf(out, "%d", i);
                at++;
            } else if (at[0] == '%' && at[1] == 'n') {
                pl_buf_printf(out, "%d", i + 1);
                at++;
            } else {
                pl_buf_char(out, *at);
            }
        }
    }
}

#define WRAPPED(name, before, how, part, after) \
    static void name(pl_buf *out, int n)        \
    {                                           \
        PL_BUF_LIT(out, before);                \
        how(out, n, part);                      \
        PL_BUF_LIT(out, after);                 \
    }

WRAPPED(repeated_fields, "{", repeat, " s", " }")
WRAPPED(repeated_objects, "{", repeat, " a { s }", " }")
WRAPPED(repeated_arguments, "{", repeat, " a(x: 1, y: \"y\", in: { a: 1, list: [{}] }) { s }", " }")
WRAPPED(aliases, "{", number, " a%d: s", " }")
WRAPPED(alias_objects, "{", number, " a%d: a { s }", " }")
WRAPPED(unknown_fields, "{", number, " unknown%d", " }")
WRAPPED(conflicting_arguments, "{", number, " a(x: %d) { s }", " }")
WRAPPED(conflicting_names, "{", number, " x: a { s } x: list { s }", " }")
WRAPPED(conflicts_below, "{", number, " list { x: a(x: %d) { s } }", " }")
WRAPPED(inline_fragments, "{", repeat, " ... { s } ... on Query { s }", " }")
WRAPPED(fragments_on_types, "{ thing {", repeat,
        " ... on A { a { s } } ... on B { a { s } } ... on Node { id }", " } }")
WRAPPED(unknown_fragments, "{", number, " ...F%d", " }")
WRAPPED(unused_fragments, "{ s }", number, " fragment F%d on Query { s }", "")
WRAPPED(same_fragments, "{ ...F }", repeat, " fragment F on Query { s }", "")
WRAPPED(spread_often, "{", repeat, " ...F", " } fragment F on Query { s a { s } }")
WRAPPED(spread_deep, "{", repeat, " list { ...F }", " } fragment F on A { a { a { a { s } } } }")
WRAPPED(chain, "{ ...F0 }", number, " fragment F%d on Query { s ...F%n }", " fragment F on Query { s }")
WRAPPED(cycle, "{ ...F0 }", number, " fragment F%d on Query { ...F%n ...F0 }", "")
WRAPPED(self_cycles, "{ s }", number, " fragment F%d on Query { ...F%d }", "")
WRAPPED(doubling, "{ ...F0 }", number, " fragment F%d on Query { ...F%n ...F%n }", "")
WRAPPED(doubling_below, "{ node { ...F0 } }", number,
        " fragment F%d on Node { node { ...F%n } ... on A { node { ...F%n } } ... on B { node { ...F%n } } }",
        "")
WRAPPED(overlapping, "{ list { ...F0 } list { ...F0 } }", number,
        " fragment F%d on A { list { ...F%n } list { ...F%n } x: a(x: %d) { s } }", "")
WRAPPED(directives, "{ s", repeat, " @d(a: 1)", " }")
WRAPPED(unknown_directives, "{ s", number, " @x%d", " }")
WRAPPED(repeated_directives, "{ s", repeat, " @skip(if: true)", " }")
WRAPPED(directive_arguments, "{ s @d(", number, " a%d: 1", ") }")
WRAPPED(streams, "{", number, " list @stream(label: \"l%d\") { s }", " }")
WRAPPED(same_labels, "{", repeat, " list @stream(label: \"l\") { s } ... @defer(label: \"l\") { s }", " }")
WRAPPED(variables, "query(", number, " $v%d: Int", ") { s }")
WRAPPED(same_variables, "query(", repeat, " $v: Int", ") { a(x: $v) { s } }")
WRAPPED(undefined_variables, "{", number, " a%d: a(x: $v%d) { s }", " }")
WRAPPED(wrong_variables, "query($v: String) {", number, " a%d: a(x: $v) { s }", " }")
WRAPPED(unknown_types, "query(", number, " $v%d: Tupe%d", ") { s }")
WRAPPED(unknown_arguments, "{ a(", number, " a%d: 1", ") { s } }")
WRAPPED(same_arguments, "{ a(", repeat, " x: 1", ") { s } }")
WRAPPED(long_lists, "{ a(in: { s: [[", repeat, " \"s\"", "]] }) { s } }")
WRAPPED(long_objects, "{ a(in: { list: [", repeat, " { a: 1, in: { a: 2 } }", "] }) { s } }")
WRAPPED(same_object_fields, "{ a(in: {", repeat, " a: 1", " }) { s } }")
WRAPPED(unknown_object_fields, "{ a(in: {", number, " f%d: 1", " }) { s } }")
WRAPPED(near_enum_values, "{", number, " a%d: e(e: VALUE_OF_THE_ENUN_%d)", " }")
WRAPPED(near_field_names, "{ node {", number, " nod%d: nodd", " } }")
WRAPPED(operations, "", number, " query Q%d { s }", "")
WRAPPED(same_operations, "", repeat, " query Q { s }", "")
WRAPPED(anonymous_operations, "", repeat, " { s }", "")
WRAPPED(operations_of_a_fragment, "", number, " query Q%d { ...F }", " fragment F on Query { s a { s } }")
WRAPPED(subscriptions, "subscription {", number, " a%d: a { s }", " }")
WRAPPED(introspections, "{", number, " a%d: __schema { types { fields { name } } }", " }")
WRAPPED(definitions, "{ s }", number, " type T%d { a: Int }", "")

static void operations_and_fragments(pl_buf *out, int n)
{
    number(out, n, " query Q%d { ...F0 }");
    chain(out, n);
}

static void nested(pl_buf *out, int n)
{
    n = n < 900 ? n : 900; /* where the parser ends it */
    PL_BUF_LIT(out, "{ a");
    repeat(out, n, " { a");
    PL_BUF_LIT(out, " { s }");
    repeat(out, n + 1, " }");
}

static void nested_literals(pl_buf *out, int n)
{
    n = n < 450 ? n : 450;
    PL_BUF_LIT(out, "{ a(in: ");
    repeat(out, n, "{ list: [");
    PL_BUF_LIT(out, "{ a: 1 }");
    repeat(out, n, "] }");
    PL_BUF_LIT(out, ") { s } }");
}

static void introspection_nests(pl_buf *out, int n)
{
    n = n < 400 ? n : 400;
    PL_BUF_LIT(out, "{ __schema { types");
    repeat(out, n, " { fields { type");
    PL_BUF_LIT(out, " { name }");
    repeat(out, n, " } }");
    PL_BUF_LIT(out, " } }");
}

typedef struct attack {
    const char *name;
    writer *write;
    pl_code code;
} attack;

#define OK(name)           \
    {                      \
#name, name, PL_OK \
    }
#define WRONG(name)                      \
    {                                    \
#name, name, PL_INVALID_ARGUMENT \
    }
#define ENDED(name)                        \
    {                                      \
#name, name, PL_RESOURCE_EXHAUSTED \
    }

static const attack attacks[] = {
    OK(repeated_fields),
    OK(repeated_objects),
    OK(repeated_arguments),
    OK(aliases),
    OK(alias_objects),
    WRONG(unknown_fields),
    WRONG(conflicting_arguments),
    WRONG(conflicting_names),
    WRONG(conflicts_below),
    OK(inline_fragments),
    ENDED(fragments_on_types),
    WRONG(unknown_fragments),
    WRONG(unused_fragments),
    WRONG(same_fragments),
    OK(spread_often),
    OK(spread_deep),
    WRONG(chain),
    WRONG(cycle),
    WRONG(self_cycles),
    WRONG(doubling),
    ENDED(doubling_below),
    WRONG(overlapping),
    OK(directives),
    WRONG(unknown_directives),
    WRONG(repeated_directives),
    WRONG(directive_arguments),
    WRONG(streams),
    WRONG(same_labels),
    WRONG(variables),
    WRONG(same_variables),
    WRONG(undefined_variables),
    WRONG(wrong_variables),
    WRONG(unknown_types),
    WRONG(unknown_arguments),
    WRONG(same_arguments),
    OK(long_lists),
    OK(long_objects),
    WRONG(same_object_fields),
    WRONG(unknown_object_fields),
    WRONG(near_enum_values),
    WRONG(near_field_names),
    OK(operations),
    WRONG(same_operations),
    WRONG(anonymous_operations),
    OK(operations_of_a_fragment),
    WRONG(subscriptions),
    OK(introspections),
    WRONG(definitions),
    ENDED(operations_and_fragments),
    OK(nested),
    OK(nested_literals),
    WRONG(introspection_nests),
};

/* All that the bounds of validation let through: visits, comparisons, suggestions, and the steps of a cost.
 */
#define MOST (500000 + 2 * 100000 + 2000000 + 500000)

static void test_attacks(void **state)
{
    enum { N = 10000 };
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        effort efforts[2];
        size_t lengths[2];
        for (int k = 0; k < 2; k++) {
            pl_buf text;
            pl_buf_init(&text);
            attacks[i].write(&text, N * (k + 1));
            lengths[k] = text.len;
            efforts[k] = spend(pl_buf_view(&text));
            pl_buf_dispose(&text);
        }
        const effort *small = &efforts[0], *large = &efforts[1];
        if (large->code != attacks[i].code)
            fail_msg("%s: %s", attacks[i].name, pl_code_name(large->code));
        assert_int_equal(large->errors == 0, large->code == PL_OK);
        /* a document of twice the size takes twice the steps, or what the bounds allow and as much again for
         * itself */
        if (large->steps > small->steps * 21 / 10 && large->steps > MOST + 20 * lengths[1])
            fail_msg("%s: %llu steps, and %llu for twice the size", attacks[i].name,
                     (unsigned long long)small->steps, (unsigned long long)large->steps);
        assert_true(large->steps < MOST + 20 * lengths[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_attacks)};
    return cmocka_run_group_tests(tests, build, unbuild);
}
