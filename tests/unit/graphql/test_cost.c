/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "graphql/language/parser.h"
#include "graphql/validation/cost.h"
#include "graphql/validation/validate.h"
#include "schemas.h"
#include "support/failing.h"
#include "value/json.h"

static const char sdl[] =
    "enum Color @cost(weight: \"3\") { RED }\n"
    "scalar Money @cost(weight: \"0.5\")\n"
    "input Filter { color: Color text: String @cost(weight: \"4\") inner: Filter all: [Filter!] page: Page "
    "}\n"
    "input Page { first: Int last: Int }\n"
    "interface Node { id: ID! friends(first: Int): [User!] @listSize(slicingArguments: [\"first\"], "
    "requireOneSlicingArgument: false) @cost(weight: \"7\") }\n"
    "type User implements Node @cost(weight: \"2\") { id: ID! name: String friends(first: Int): [User!]\n"
    "  posts: [Post!] best: Post price: Money color: Color }\n"
    "type Post implements Node { id: ID! friends(first: Int): [User!] title: String author: User }\n"
    "type Edge { node: User }\n"
    "type Connection { edges: [Edge!] nodes: [User!] total: Int }\n"
    "union Thing = User | Post\n"
    "type Query {\n"
    "  user(id: ID): User node: Node thing: Thing things: [Thing!] scalar: Int plain(a: Int, f: Filter): "
    "Int\n"
    "  users: [User!] assumed: [User!] @listSize(assumedSize: 5)\n"
    "  sliced(first: Int, last: Int): [User!] @listSize(slicingArguments: [\"first\", \"last\"], "
    "assumedSize: 20)\n"
    "  lenient(first: Int = 3): [User!] @listSize(slicingArguments: [\"first\"])\n"
    "  deep(by: Filter): [User!] @listSize(slicingArguments: [\"by.page.first\"], requireOneSlicingArgument: "
    "false)\n"
    "  connection(first: Int): Connection @listSize(slicingArguments: [\"first\"], sizedFields: [\"edges\", "
    "\"nodes\"])\n"
    "  heavy: Int @cost(weight: \"9\") heavyUser: User @cost(weight: \"9\")\n"
    "  argument(a: Int @cost(weight: \"6\"), c: Color, cs: [Color]): Int\n"
    "}\n"
    "type Mutation { set: Int make: User }\n"
    "type Subscription { tick: User }\n";

typedef struct fixture {
    pl_arena arena;
    gql_schema *schema;
    gql_cost_model *model;
} fixture;

static int setup(void **state)
{
    static fixture f;
    pl_arena_init(&f.arena, 0);
    f.schema = build_schema(sdl, NULL);
    f.model = gql_cost_model_new(&f.arena, f.schema, 0);
    assert_non_null(f.model);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    gql_schema_free(f->schema);
    pl_arena_dispose(&f->arena);
    return 0;
}

/* --- one operation --- */
typedef struct costing {
    pl_arena arena;
    gql_document *document;
    gql_cost_plan *plan;
    pl_code code;
    uint64_t steps;
    pl_error err;
} costing;

static void plan(costing *c, const gql_schema *schema, const gql_cost_model *model, pl_str query)
{
    static const gql_parse_limits limits = {.max_tokens = UINT32_MAX, .max_depth = 1000};
    gql_source source = {"request", query};
    gql_diagnostics list;
    *c = (costing){0};
    pl_arena_init(&c->arena, 0);
    if (gql_parse(&c->arena, &source, &limits, &c->document, &c->err) != PL_OK)
        fail_msg("%s", c->err.message);
    gql_diagnostics_init(&list, &c->arena, 0);
    if (gql_validate(schema, c->document, NULL, &list) != PL_OK)
        fail_msg("%.*s", PL_STR_ARG(list.first->message));
    c->code = gql_cost_plan_new(&c->arena, model, c->document, &c->document->operations[0], &c->plan,
                                &c->steps, &c->err);
}

static int by_name(const void *a, const void *b)
{
    return pl_str_cmp(((const gql_variable *)a)->name, ((const gql_variable *)b)->name);
}

/* variables: JSON of coerced values. */
static gql_cost_result evaluate(costing *c, const char *variables)
{
    gql_cost_result result;
    gql_variable *list = NULL;
    uint32_t count = 0;
    pl_value json;
    if (variables) {
        assert_int_equal(pl_json_read(&c->arena, pl_str_of(variables), NULL, &json, &c->err), PL_OK);
        count = (uint32_t)json.map.count;
        list = pl_arena_array(&c->arena, count, sizeof *list);
        for (uint32_t i = 0; i < count; i++)
            list[i] = (gql_variable){json.map.members[i].name, true, json.map.members[i].value};
        qsort(list, count, sizeof *list, by_name);
    }
    assert_int_equal(gql_cost(c->plan, list, count, &c->arena, &result), PL_OK);
    return result;
}

static gql_cost_result cost_of(fixture *f, const char *query, const char *variables)
{
    costing c;
    plan(&c, f->schema, f->model, pl_str_of(query));
    assert_int_equal(c.code, PL_OK);
    gql_cost_result result = evaluate(&c, variables);
    pl_arena_dispose(&c.arena);
    return result;
}

/* In hundredths, as cmocka compares whole numbers. */
static void expect(void **state, const char *query, const char *variables, int hundredths)
{
    gql_cost_result result = cost_of(*state, query, variables);
    int64_t got = (int64_t)(result.cost * 100 + 0.5);
    if (got != hundredths || result.unsliced.field)
        fail_msg("%s %s: %lld, not %d%s", query, variables ? variables : "", (long long)got, hundredths,
                 result.unsliced.field ? ", unsliced" : "");
}

/* --- weights --- */
static void test_weights(void **state)
{
    expect(state, "{ scalar }", NULL, 0);
    expect(state, "{ heavy }", NULL, 900);
    expect(state, "{ user { id name } }", NULL, 200);        /* of its type */
    expect(state, "{ heavyUser { id } }", NULL, 900);        /* the field's own instead */
    expect(state, "{ user { best { title } } }", NULL, 300); /* 1 of a type without a weight */
    expect(state, "{ user { price color } }", NULL, 550);    /* scalars and enums have one when they say so */
    expect(state, "{ a: user { id } b: user { id } }", NULL, 400);
    expect(state, "{ user { id } user { name } }", NULL, 400); /* each as it is written */
    expect(state, "{ __typename __schema { types { fields { name } } } __type(name: \"X\") { name } }", NULL,
           0);
}

static void test_operations(void **state)
{
    expect(state, "mutation { set }", NULL, 1000);
    expect(state, "mutation { make { id } set }", NULL, 1200);
    expect(state, "subscription { tick { id } }", NULL, 200);
}

static void test_arguments(void **state)
{
    expect(state, "{ plain(a: 1) }", NULL, 0);
    expect(state, "{ argument(a: 1) }", NULL, 600);
    expect(state, "{ argument(a: null) }", NULL, 0);
    expect(state, "{ argument(c: RED) }", NULL, 300);
    expect(state, "{ argument(cs: [RED, RED]) }", NULL, 900); /* the list, and what is in it */
    expect(state, "{ plain(f: {}) }", NULL, 100);             /* input objects are composite */
    expect(state, "{ plain(f: { text: \"x\", inner: { color: RED } }) }", NULL, 900);
    expect(state, "{ plain(f: { all: [{}, { text: \"x\" }] }) }", NULL, 700);
}

static void test_arguments_from_variables(void **state)
{
    expect(state, "query($f: Filter) { plain(f: $f) }",
           "{\"f\":{\"text\":\"x\",\"inner\":{\"color\":\"RED\"}}}", 900);
    expect(state, "query($f: Filter) { plain(f: $f) }", "{\"f\":{\"all\":[{},{\"text\":\"x\"}]}}", 700);
    expect(state, "query($f: Filter) { plain(f: $f) }", "{\"f\":null}", 0);
    expect(state, "query($f: Filter) { plain(f: $f) }", NULL, 0);
    expect(state, "query($t: String) { plain(f: { text: $t }) }", "{\"t\":\"x\"}", 500);
    expect(state, "query($c: [Color]) { argument(cs: $c) }", "{\"c\":[\"RED\",\"RED\"]}", 900);
    expect(state, "query($a: Int) { argument(a: $a) b: argument(a: $a) }", "{\"a\":1}", 1200);
}

/* --- lists --- */
static void test_lists(void **state)
{
    expect(state, "{ users { id } }", NULL, 2000); /* 10 where nothing is said */
    expect(state, "{ assumed { id } }", NULL, 1000);
    expect(state, "{ users { posts { title } } }", NULL, 12000);
    expect(state, "{ sliced(first: 4) { id } }", NULL, 800);
    expect(state, "{ sliced(first: 0) { id } }", NULL, 0);
    expect(state, "{ sliced(first: -4) { id } }", NULL, 4000); /* assumed: no length is negative */
    expect(state, "{ lenient { id } }", NULL, 600);            /* the argument's default */
    expect(state, "{ lenient(first: 2) { id } }", NULL, 400);
    expect(state, "{ deep(by: { page: { first: 4 } }) { id } }", NULL, 1000); /* and two input objects */
    expect(state, "{ deep { id } }", NULL, 2000);
}

static void test_lists_from_variables(void **state)
{
    static const char sliced[] = "query($n: Int, $m: Int) { sliced(first: $n, last: $m) { id } }";
    static const char deep[] = "query($f: Filter) { deep(by: $f) { id } }";
    expect(state, sliced, "{\"n\":4,\"m\":null}", 800);
    expect(state, sliced, "{\"m\":6}", 1200);
    expect(state, "query($n: Int) { sliced(first: $n) { posts { id } } }", "{\"n\":2}", 2400);
    expect(state, deep, "{\"f\":{\"page\":{\"first\":4}}}", 1000);
    expect(state, deep, "{}", 2000);
    expect(state, "query($n: Int) { users { friends(first: $n) { id } } }", "{\"n\":3}", 23000);
}

static void test_sized_fields(void **state)
{
    expect(state, "{ connection(first: 3) { edges { node { id } } total } }", NULL, 1000);
    expect(state,
           "{ connection(first: 3) { ...C ... { nodes { id } } } } fragment C on Connection { edges { node { "
           "id } } }",
           NULL, 1600);
    expect(state, "query($n: Int) { connection(first: $n) { edges { node { id } } } }", "{\"n\":5}", 1600);
    /* one fragment below two lengths */
    expect(state,
           "{ a: connection(first: 1) { ...C } b: connection(first: 2) { ...C } } fragment C on Connection { "
           "nodes { id } }",
           NULL, 800);
}

static void expect_unsliced(void **state, const char *query, const char *variables, const char *field,
                            unsigned count)
{
    gql_cost_result result = cost_of(*state, query, variables);
    pl_buf names;
    assert_int_equal((result.unsliced.field != NULL), (field != NULL));
    if (!field)
        return;
    assert_int_equal(result.unsliced.count, count);
    pl_buf_init(&names);
    gql_cost_write_slicing(&names, &result.unsliced);
    pl_buf_char(&names, '\0');
    assert_string_equal(names.data, field);
    pl_buf_dispose(&names);
}

static void test_one_slicing_argument(void **state)
{
    static const char two[] = "query($n: Int, $m: Int) { sliced(first: $n, last: $m) { id } }";
    static const char maybe[] =
        "query($n: Int, $w: Boolean!) { ... @include(if: $w) { sliced(first: $n) { id } } }";
    static const char names[] = "\"first\", \"last\"";
    expect_unsliced(state, "{ sliced { id } }", NULL, names, 0);
    expect_unsliced(state, "{ sliced(first: 1, last: 2) { id } }", NULL, names, 2);
    expect_unsliced(state, "{ sliced(first: null) { id } }", NULL, names, 0);
    expect_unsliced(state, two, "{\"n\":1,\"m\":2}", names, 2);
    expect_unsliced(state, two, "{\"n\":1,\"m\":null}", NULL, 0);
    expect_unsliced(state, two, "{}", names, 0);
    expect_unsliced(state, maybe, "{\"w\":true}", names, 0);
    expect_unsliced(state, maybe, "{\"w\":false}", NULL, 0); /* what is left out needs nothing */
    expect_unsliced(state, "{ connection { total } }", NULL, "\"first\"", 0);
    expect_unsliced(state, "{ deep { id } }", NULL, NULL, 0);
}

/* --- conditions --- */
static void test_conditions(void **state)
{
    expect(state, "{ user @skip(if: true) { id } heavy @include(if: true) }", NULL, 900);
    expect(state, "query($w: Boolean!) { heavy @include(if: $w) ... @skip(if: $w) { user { id } } }",
           "{\"w\":true}", 900);
    expect(state, "query($w: Boolean!) { heavy @include(if: $w) ... @skip(if: $w) { user { id } } }",
           "{\"w\":false}", 200);
    expect(state,
           "query($w: Boolean!) { users { ...F @include(if: $w) } } fragment F on User { best { id } }",
           "{\"w\":true}", 3000);
    expect(state,
           "query($w: Boolean!) { users { ...F @include(if: $w) } } fragment F on User { best { id } }",
           "{\"w\":false}", 2000);
}

/* --- abstract types --- */
static void test_abstract_types(void **state)
{
    expect(state, "{ node { id } }", NULL, 200); /* the most expensive type that it can be */
    expect(state,
           "{ thing { ... on User { best { id } } ... on Post { author { best { author { id } } } } } }",
           NULL, 600);
    expect(state, "{ thing { ... on User { best { id } } ... on Post { id } } }", NULL, 300);
    expect(state, "{ thing { ...F ... on Node { id } } } fragment F on Post { author { id } }", NULL, 300);
    /* an interface's directives hold for the types that implement it */
    expect(state, "{ node { friends(first: 2) { id } } }", NULL, 1600);
    expect(state, "{ user { friends(first: 2) { id } } }", NULL, 1600);
    expect(state,
           "query($n: Int) { thing { ... on User { friends(first: $n) { id } } ... on Post { author { id } } "
           "} }",
           "{\"n\":0}", 300);
    expect(state,
           "query($n: Int) { thing { ... on User { friends(first: $n) { id } } ... on Post { author { id } } "
           "} }",
           "{\"n\":1}", 900);
}

/* --- how much work it is --- */
static void test_cost_is_bounded(void **state)
{
    pl_buf query;
    pl_buf_init(&query);
    PL_BUF_LIT(&query, "query($n: Int) { users { friends(first: $n) ");
    for (int i = 0; i < 60; i++)
        PL_BUF_LIT(&query, "{ friends(first: 2147483647) ");
    PL_BUF_LIT(&query, "{ id }");
    for (int i = 0; i < 62; i++)
        pl_buf_char(&query, '}');
    pl_buf_char(&query, '\0');
    assert_true(cost_of(*state, query.data, "{\"n\":1}").cost == 1e15);
    assert_true(cost_of(*state, query.data, "{\"n\":0}").cost == 20);
    pl_buf_dispose(&query);
}

/* 2 to the power of 400 fields, each fragment looked at once for each type. */
static void test_fragments_that_multiply(void **state)
{
    fixture *f = *state;
    enum { N = 400 };
    costing c;
    pl_buf query;
    pl_buf_init(&query);
    PL_BUF_LIT(&query, "query($n: Int) { user { ...F0 } }");
    for (int i = 0; i < N; i++)
        pl_buf_printf(&query, "fragment F%d on User { ...F%d ...F%d }", i, i + 1, i + 1);
    pl_buf_printf(&query, "fragment F%d on User { friends(first: $n) { id } }", N);
    plan(&c, f->schema, f->model, pl_buf_view(&query));
    assert_int_equal(c.code, PL_OK);
    assert_in_range(c.steps, N, 4 * N);
    assert_true(evaluate(&c, "{\"n\":1}").cost == 1e15);
    pl_arena_dispose(&c.arena);
    pl_buf_dispose(&query);
}

static void test_chain_is_bounded(void **state)
{
    fixture *f = *state;
    enum { N = 2000 };
    costing c;
    pl_buf query;
    pl_buf_init(&query);
    PL_BUF_LIT(&query, "{ user { ...F0 } }");
    for (int i = 0; i < N; i++)
        pl_buf_printf(&query, "fragment F%d on User { ...F%d }", i, i + 1);
    pl_buf_printf(&query, "fragment F%d on User { id }", N);
    plan(&c, f->schema, f->model, pl_buf_view(&query));
    assert_int_equal(c.code, PL_RESOURCE_EXHAUSTED);
    assert_string_equal(c.err.message, "The operation nests fragments more than 500 levels deep.");
    pl_arena_dispose(&c.arena);
    pl_buf_dispose(&query);
}

/* One large list in a variable that 5,000 arguments use is read once. A million steps otherwise a thousand
 * times. */
static void test_variables_are_read_once(void **state)
{
    fixture *f = *state;
    costing c;
    pl_buf query, variables;
    pl_buf_init(&query);
    pl_buf_init(&variables);
    PL_BUF_LIT(&query, "query($c: [Color]) {");
    for (int i = 0; i < 5000; i++)
        pl_buf_printf(&query, " a%d: argument(cs: $c)", i);
    PL_BUF_LIT(&query, " }");
    PL_BUF_LIT(&variables, "{\"c\":[\"RED\"");
    for (int i = 1; i < 100000; i++)
        PL_BUF_LIT(&variables, ",\"RED\"");
    PL_BUF_LIT(&variables, "]}\0");
    plan(&c, f->schema, f->model, pl_buf_view(&query));
    assert_int_equal(c.code, PL_OK);
    assert_true(evaluate(&c, variables.data).cost == 5000.0 * 3 * 100001);
    pl_arena_dispose(&c.arena);
    pl_buf_dispose(&query);
    pl_buf_dispose(&variables);
}

/* Types that multiply fields do not get far. */
static void test_many_possible_types(void **state)
{
    costing c;
    pl_arena arena;
    pl_buf text, query;
    pl_buf_init(&text);
    pl_buf_init(&query);
    pl_arena_init(&arena, 0);
    PL_BUF_LIT(&text, "interface N { n: N x: Int } type Query { n: N }\n");
    for (int i = 0; i < 1000; i++)
        pl_buf_printf(&text, "type T%d implements N { n: N x: Int }\n", i);
    pl_buf_char(&text, '\0');
    gql_schema *schema = build_schema(text.data, NULL);
    gql_cost_model *model = gql_cost_model_new(&arena, schema, 0);
    for (int depth = 100; depth <= 600; depth += 500) {
        query.len = 0;
        pl_buf_char(&query, '{');
        for (int i = 0; i < depth; i++)
            PL_BUF_LIT(&query, "n{");
        pl_buf_char(&query, 'x');
        for (int i = 0; i <= depth; i++)
            pl_buf_char(&query, '}');
        plan(&c, schema, model, pl_buf_view(&query));
        if (depth == 100) { /* 1,000 types at 100 levels: each once */
            assert_int_equal(c.code, PL_OK);
            assert_in_range(c.steps, 100000, 300000);
            assert_true(evaluate(&c, NULL).cost == 100);
        } else {
            assert_int_equal(c.code, PL_RESOURCE_EXHAUSTED);
            assert_in_range(c.steps, 0, 500001);
        }
        pl_arena_dispose(&c.arena);
    }
    gql_schema_free(schema);
    pl_arena_dispose(&arena);
    pl_buf_dispose(&text);
    pl_buf_dispose(&query);
}

static void test_no_memory(void **state)
{
    fixture *f = *state;
    failing a = {0};
    while (failing_next(&a)) {
        costing c = {0};
        gql_source source = {"request", PL_STR("query($n: Int, $w: Boolean!) { a: sliced(first: $n) { id } "
                                               "thing { ... on User { best { id } "
                                               "friends(first: $n) { id } } ... on Post @include(if: $w) { "
                                               "title ...F } } } fragment F on Post { author { "
                                               "friends(first: $n) { id } } }")};
        gql_variable variables[] = {{PL_STR("n"), true, {.kind = PL_KIND_INT, .integer = 2}},
                                    {PL_STR("w"), true, {.kind = PL_KIND_BOOL, .boolean = true}}};
        gql_cost_result result = {0};
        pl_arena model_arena;
        pl_arena_init(&c.arena, 0);
        pl_arena_init(&model_arena, 0);
        assert_int_equal(gql_parse(&c.arena, &source, NULL, &c.document, &c.err), PL_OK);
        failing_begin(&a);
        gql_cost_model *model = gql_cost_model_new(&model_arena, f->schema, 0);
        c.code = model ? gql_cost_plan_new(&c.arena, model, c.document, c.document->operations, &c.plan, NULL,
                                           &c.err)
                       : PL_RESOURCE_EXHAUSTED;
        if (c.code == PL_OK)
            c.code = gql_cost(c.plan, variables, 2, &c.arena, &result);
        assert_int_equal(c.code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        if (c.code == PL_OK)
            assert_true(result.cost == 4 + 17);
        pl_arena_dispose(&c.arena);
        pl_arena_dispose(&model_arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_arguments_from_variables),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_lists_from_variables),
        cmocka_unit_test(test_sized_fields),
        cmocka_unit_test(test_one_slicing_argument),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_abstract_types),
        cmocka_unit_test(test_cost_is_bounded),
        cmocka_unit_test(test_fragments_that_multiply),
        cmocka_unit_test(test_chain_is_bounded),
        cmocka_unit_test(test_variables_are_read_once),
        cmocka_unit_test(test_many_possible_types),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
