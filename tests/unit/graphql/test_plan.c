/* SPDX-License-Identifier: MIT */
#include "support/failing.h"
#include "support/graphql_fixture.h"

/* Plans: which fields a selection set comes to, for each concrete type. */

static const char sdl[] = "interface Named { name: String }\n"
                          "interface Aged implements Named { name: String age: Int }\n"
                          "type Dog implements Named & Aged { name: String age: Int barks(loud: Int = 3, of: "
                          "In): Boolean owner: Dog }\n"
                          "type Cat implements Named { name: String lives: Int owner: Cat }\n"
                          "union Pet = Dog | Cat\n"
                          "input In { a: Int = 1 odd: Odd in: In }\n"
                          "scalar Odd\n"
                          "type Query { pet: Pet named: Named aged: Aged dog: Dog cat: Cat a: Int b: Int }\n"
                          "type Mutation { a: Int }\n";

typedef struct planned {
    pl_arena arena;
    gql_source source;
    gql_document *document;
    gql_plan *plan;
} planned;

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    *state = &f;
    return 0;
}

static void plan_open(planned *p, gf *f, const char *query, uint32_t max_fields)
{
    pl_error err;
    pl_arena_init(&p->arena, 0);
    p->source = (gql_source){"query", pl_str_of(query)};
    if (gql_parse(&p->arena, &p->source, &(gql_parse_limits){.max_depth = 1000}, &p->document, &err) != PL_OK)
        fail_msg("%s", err.message);
    p->plan =
        gql_plan_new(p->document, &p->document->operations[0], f->binding, GQL_INCREMENTAL_OFF, max_fields);
    assert_non_null(p->plan);
}

static void plan_close(planned *p)
{
    gql_plan_free(p->plan);
    pl_arena_dispose(&p->arena);
}

static const gql_plan_object *object_of(planned *p, gf *f, gql_plan_set *set, const char *type)
{
    const gql_plan_object *object;
    pl_error err;
    const gql_named *named = gql_schema_type(f->schema, pl_str_of(type));
    if (gql_plan_object_get(p->plan, set, named, NULL, 0, &object, &err) != PL_OK)
        fail_msg("%s", err.message);
    assert_ptr_equal(object->type, named);
    return object;
}

/* "key:field*nodes …" of a type's selection. */
static void check_fields(planned *p, gf *f, gql_plan_set *set, const char *type, const char *expected)
{
    const gql_plan_object *object = object_of(p, f, set, type);
    pl_buf text;
    pl_buf_init(&text);
    for (uint32_t i = 0; i < object->count; i++) {
        const gql_plan_field *x = &object->fields[i];
        pl_buf_printf(&text, "%s%.*s:%.*s*%u", i ? " " : "", PL_STR_ARG(x->response_key),
                      PL_STR_ARG(x->def->name), x->node_count);
    }
    pl_buf_char(&text, '\0');
    assert_string_equal(text.data, expected);
    pl_buf_dispose(&text);
}

static gql_plan_set *below(planned *p, gf *f, const char *key)
{
    const gql_plan_object *root = object_of(p, f, &p->plan->root, "Query");
    for (uint32_t i = 0; i < root->count; i++) {
        if (pl_str_is(root->fields[i].response_key, key))
            return root->fields[i].set;
    }
    fail();
    return NULL;
}

static void test_merging(void **state)
{
    gf *f = *state;
    planned p;
    plan_open(&p, f,
              "{ a x: b dog { name } ...F a ... { a cat { name } } } fragment F on Query { b dog { age name "
              "owner { name } } ...G }"
              "fragment G on Query { x: b dog { owner { age } } ...F }",
              0);
    check_fields(&p, f, &p.plan->root, "Query", "a:a*3 x:b*2 dog:dog*3 b:b*1 cat:cat*1");
    check_fields(&p, f, below(&p, f, "dog"), "Dog", "name:name*2 age:age*1 owner:owner*2");
    check_fields(&p, f, object_of(&p, f, below(&p, f, "dog"), "Dog")->fields[2].set, "Dog",
                 "name:name*1 age:age*1");
    plan_close(&p);
}

static void test_type_conditions(void **state)
{
    gf *f = *state;
    planned p;
    plan_open(&p, f,
              "{ pet { __typename ... on Named { name } ... on Dog { barks } ...C ... on Aged { age } ... on "
              "Pet { t: __typename } } }"
              "fragment C on Cat { lives ... on Dog { barks } ... on Named { n: name } }",
              0);
    gql_plan_set *pet = below(&p, f, "pet");
    check_fields(&p, f, pet, "Dog",
                 "__typename:__typename*1 name:name*1 barks:barks*1 age:age*1 t:__typename*1");
    check_fields(&p, f, pet, "Cat",
                 "__typename:__typename*1 name:name*1 lives:lives*1 n:name*1 t:__typename*1");
    assert_ptr_equal(object_of(&p, f, pet, "Dog"), object_of(&p, f, pet, "Dog")); /* compiled once */
    const gql_plan_field *typename = &object_of(&p, f, pet, "Cat")->fields[0];
    assert_int_equal(typename->how, GQL_RESOLVE_TYPENAME);
    assert_string_equal(typename->text.ptr, "\"Cat\"");
    plan_close(&p);
}

/* A fragment counts once in a selection set, though its type condition may not apply there. */
static void test_a_fragment_is_visited_once(void **state)
{
    gf *f = *state;
    planned p;
    plan_open(&p, f,
              "{ ...F ...F a ...F dog { ...D ...D } cat { ...D } } fragment F on Query { b } fragment D on "
              "Dog { name }",
              0);
    check_fields(&p, f, &p.plan->root, "Query", "b:b*1 a:a*1 dog:dog*1 cat:cat*1");
    check_fields(&p, f, below(&p, f, "dog"), "Dog", "name:name*1");
    check_fields(&p, f, below(&p, f, "cat"), "Cat", "");
    plan_close(&p);
}

static void test_conditions(void **state)
{
    gf *f = *state;
    static const gql_variable variables[] = {{PL_STR("no"), true, {.kind = PL_KIND_BOOL, .boolean = false}},
                                             {PL_STR("unset"), false, {.kind = PL_KIND_ABSENT}},
                                             {PL_STR("yes"), true, {.kind = PL_KIND_BOOL, .boolean = true}}};
    const gql_plan_object *object;
    pl_error err;
    planned p;
    plan_open(&p, f,
              "{ a @skip(if: $yes) b a p: a @skip(if: $no) q: a @include(if: $no) r: a @include(if: $yes) "
              "@skip(if: $yes)"
              " s: a @include(if: $unset) t: a @skip(if: $unset) ... @include(if: $no) { u: a } ...F "
              "@skip(if: $yes) ...F }"
              "fragment F on Query { v: a }",
              0);
    assert_int_equal(
        gql_plan_object_get(p.plan, &p.plan->root, f->schema->query, variables, 3, &object, &err), PL_OK);
    check_fields(&p, f, &p.plan->root, "Query", "b:b*1 a:a*1 p:a*1 s:a*1 t:a*1 v:a*1");
    plan_close(&p);
}

static void test_condition_variables(void **state)
{
    gf *f = *state;
    pl_str names[4];
    planned p;
    plan_open(&p, f,
              "query A { a @skip(if: $x) dog { name @include(if: $y) ... @skip(if: $x) { age } ...F "
              "@skip(if: true) } }"
              "query B { b @other(if: $o) } fragment F on Dog { barks @skip(if: $z) }",
              0);
    assert_int_equal(gql_condition_variables(p.document, names, 4), 3);
    assert_true(pl_str_is(names[0], "x") && pl_str_is(names[1], "y") && pl_str_is(names[2], "z"));
    assert_in_range(gql_condition_variables(p.document, names, 2), 3, UINT32_MAX);
    plan_close(&p);
}

static te_outcome nothing(te_invocation *in, void *data)
{
    return TE_RETURN;
}

/* Arguments without variables are coerced once, unless a script must see them. */
static void test_constant_arguments(void **state)
{
    gf *f = *state;
    planned p;
    plan_open(&p, f, "{ dog { barks x: barks(loud: $v, of: { a: 2 }) y: barks(loud: 7, of: { odd: 1 }) } }",
              0);
    const gql_plan_object *dog = object_of(&p, f, below(&p, f, "dog"), "Dog");
    assert_int_equal(dog->fields[0].arguments[0].constant->integer, 3);
    assert_null(dog->fields[0].arguments[1].constant);
    assert_null(dog->fields[0].arguments[1].literal);
    assert_null(dog->fields[1].arguments[0].constant);
    assert_non_null(dog->fields[1].arguments[0].literal);
    assert_int_equal(dog->fields[1].arguments[1].constant->kind, PL_KIND_MAP);
    assert_int_equal(dog->fields[2].arguments[0].constant->integer, 7);
    assert_non_null(dog->fields[2].arguments[1].constant);
    plan_close(&p);

    gql_binding_free(f->binding);
    f->binding = gql_binding_new(f->schema, te_state(f->t));
    gf_bind(f, "Odd", "parse", te_function(f->t, nothing, NULL, 1));
    plan_open(&p, f, "{ dog { barks(loud: 7, of: { a: 1 }) } }", 0);
    dog = object_of(&p, f, below(&p, f, "dog"), "Dog");
    assert_non_null(dog->fields[0].arguments[0].constant);
    assert_null(dog->fields[0].arguments[1].constant);
    plan_close(&p);
}

/* --- bounds --- */
static void expect_refused(gf *f, const char *query, uint32_t max_fields, const char *message)
{
    const gql_plan_object *object;
    pl_error err;
    planned p;
    plan_open(&p, f, query, max_fields);
    assert_int_equal(gql_plan_object_get(p.plan, &p.plan->root, f->schema->query, NULL, 0, &object, &err),
                     PL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.message, message);
    plan_close(&p);
}

static void test_max_fields(void **state)
{
    expect_refused(*state, "{ a b x: a }", 2, "The operation selects more than 2 fields.");
}

/* Fragments that spread each other twice would double the work with each of them. */
static void test_multiplying_fragments(void **state)
{
    pl_buf query;
    pl_buf_init(&query);
    PL_BUF_LIT(&query, "{ dog { ...F0 } }");
    for (int i = 0; i < 40; i++)
        pl_buf_printf(&query, "fragment F%d on Dog { x: owner { ...F%d } y: owner { ...F%d } }", i, i + 1,
                      i + 1);
    PL_BUF_LIT(&query, "fragment F40 on Dog { name }\0");
    gf *f = *state;
    te_value dog = te_map(f->t, NULL);
    gf_request r;
    te_set(f->t, dog, "owner", dog);
    gf_give(f, "Query", "dog", dog);
    gf_start(&r, f, query.data, NULL);
    assert_non_null(strstr(r.body, "RESOURCE_EXHAUSTED"));
    gf_end(&r);
    pl_buf_dispose(&query);
}

static void test_deep_fragments(void **state)
{
    pl_buf query;
    pl_buf_init(&query);
    PL_BUF_LIT(&query, "{ ...F0 }");
    for (int i = 0; i < 600; i++)
        pl_buf_printf(&query, "fragment F%d on Query { ...F%d }", i, i + 1);
    PL_BUF_LIT(&query, "fragment F600 on Query { a }\0");
    expect_refused(*state, query.data, 0, "The operation nests fragments more than 500 levels deep.");
    pl_buf_dispose(&query);
}

/* The input types of a schema may lead to each other in many ways: to look them through must not take long.
 */
static void test_wide_input_types(void **state)
{
    enum { TYPES = 40 };
    pl_buf text;
    gf f;
    planned p;
    pl_buf_init(&text);
    for (int i = 0; i < TYPES; i++) {
        pl_buf_printf(&text, "input I%d {", i);
        for (int k = 0; k < TYPES; k++)
            pl_buf_printf(&text, " f%d: I%d", k, k);
        PL_BUF_LIT(&text, " }\n");
    }
    PL_BUF_LIT(&text, "type Query { a(in: I0): Int }\0");
    gf_open(&f, text.data);
    plan_open(&p, &f, "{ a(in: { f1: { f2: {} } }) }", 0);
    assert_non_null(object_of(&p, &f, &p.plan->root, "Query")->fields[0].arguments[0].constant);
    plan_close(&p);
    gf_close(&f);
    pl_buf_dispose(&text);
}

static void test_no_memory(void **state)
{
    gf *f = *state;
    static const char query[] = "{ dog { barks(of: { a: 2 }) ...F } a ...G } fragment F on Dog { name owner "
                                "{ name } } fragment G on Query { b }";
    failing a = {0};
    while (failing_next(&a)) {
        const gql_plan_object *object;
        pl_error err;
        planned p;
        plan_open(&p, f, query, 0);
        gql_plan_free(p.plan);
        failing_begin(&a);
        p.plan = gql_plan_new(p.document, &p.document->operations[0], f->binding, GQL_INCREMENTAL_OFF, 0);
        pl_code code = PL_RESOURCE_EXHAUSTED;
        if (p.plan)
            code = gql_plan_object_get(p.plan, &p.plan->root, f->schema->query, NULL, 0, &object, &err);
        assert_int_equal(code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        if (p.plan)
            check_fields(&p, f, &p.plan->root, "Query", "dog:dog*1 a:a*1 b:b*1"); /* a second time it works */
        plan_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_merging, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_type_conditions, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_a_fragment_is_visited_once, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_conditions, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_condition_variables, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_constant_arguments, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_max_fields, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_multiplying_fragments, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_deep_fragments, setup, gf_teardown),
        cmocka_unit_test(test_wide_input_types),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, gf_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
