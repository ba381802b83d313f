/* SPDX-License-Identifier: MIT */
#include "support/failing.h"
#include "support/graphql_fixture.h"

/* What resolver files return is bound to the schema, or refused with a message. */

static const char sdl[] = "type Query { a: Int b: Int }\n"
                          "type Subscription { tick: Int tock: Int }\n"
                          "interface Named { name: String }\n"
                          "union Any = Query\n"
                          "enum Shade { DARK LIGHT }\n"
                          "scalar Odd\n"
                          "input In { a: Int }\n";

static te_outcome nothing(te_invocation *in, void *data)
{
    return TE_RETURN;
}

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    *state = &f;
    return 0;
}

typedef struct step {
    gf *f;
    te_value table;
    const char *file;
    gql_diagnostics list;
} step;

static void add(void *data)
{
    step *s = data;
    if (te_engine()->reserve(te_state(s->f->t), 1))
        gql_binding_add(s->f->binding, te_push(s->f->t, s->table), s->file, &s->list);
    else
        s->list.out_of_memory = true;
}

static void check(gf *f, const char *file, te_value table, const char *message)
{
    pl_error err;
    step s = {.f = f, .table = table, .file = file};
    gql_diagnostics_init(&s.list, &f->arena, 0);
    assert_true(te_engine()->protect(te_state(f->t), add, &s, &err));
    assert_false(s.list.out_of_memory);
    assert_string_equal(s.list.first ? s.list.first->message.ptr : "", message);
    assert_int_equal(s.list.count, *message ? 1 : 0);
    if (*message) /* a function is where it was written, which is not always the file that returned it */
        assert_string_equal(s.list.first->file, s.list.first->location_count > 0 ? "test.c" : file);
}

static te_value function(gf *f)
{
    return te_function(f->t, nothing, NULL, 2);
}

static te_value entry(gf *f, const char *type, const char *name, te_value v)
{
    return te_map(f->t, type, te_map(f->t, name, v, NULL), NULL);
}

static void test_bound(void **state)
{
    gf *f = *state;
    check(f, "a.lua", entry(f, "Query", "a", function(f)), "");
    check(f, "b.lua", entry(f, "Odd", "parse", function(f)), "");
    check(f, "b.lua", entry(f, "Odd", "serialize", function(f)), "");
    check(f, "b.lua", entry(f, "Any", "__resolve_type", function(f)), "");
    check(f, "c.lua", entry(f, "Shade", "LIGHT", te_int(4)), "");
    check(f, "c.lua",
          entry(f, "Subscription", "tick",
                te_map(f->t, "resolve", function(f), "subscribe", function(f), NULL)),
          "");
    check(f, "c.lua", te_map(f->t, NULL), "");
    const gql_schema *s = f->schema;
    const gql_field *a = gql_schema_field(s, s->query, PL_STR("a")),
                    *tick = gql_schema_field(s, s->subscription, PL_STR("tick"));
    assert_int_not_equal(f->binding->fields[a->id].resolver, PL_REF_NONE);
    assert_int_equal(f->binding->fields[a->id].arity, 2);
    assert_string_equal(f->binding->fields[a->id].file, "a.lua");
    assert_int_not_equal(f->binding->fields[tick->id].resolver, PL_REF_NONE);
    assert_int_not_equal(f->binding->fields[tick->id].subscribe, PL_REF_NONE);
    const pl_value *shades = f->binding->types[gql_schema_type(s, PL_STR("Shade"))->id].internal;
    assert_int_equal(shades[0].kind, PL_KIND_STRING);
    assert_true(pl_str_is(shades[0].string, "DARK"));
    assert_int_equal(shades[1].integer, 4);
}

static void test_refused(void **state)
{
    gf *f = *state;
    te *t = f->t;
    te_value v = te_map(t, NULL);
    check(f, "x.lua", te_int(1),
          "A resolvers file must return a table { TypeName = { fieldName = function } }, not an integer.");
    te_set_key(t, v, te_int(1), te_null());
    check(f, "x.lua", v, "The returned table has an entry that is not named by a type.");
    check(f, "x.lua", te_map(t, "Query", v, NULL), "\"Query\" has an entry that is not named by a string.");
    check(f, "x.lua", te_map(t, "Query", te_int(1), NULL),
          "\"Query\" must be a table of resolvers, not an integer.");
    check(f, "x.lua", te_map(t, "Odd", te_int(1), NULL),
          "\"Odd\" must be a table of functions or values, not an integer.");
    check(f, "x.lua", entry(f, "Nope", "a", function(f)),
          "There are resolvers for type \"Nope\", which the schema does not define.");
    check(f, "x.lua", entry(f, "__Type", "name", function(f)),
          "There are resolvers for type \"__Type\", which the schema does not define.");
    check(f, "x.lua", entry(f, "Query", "c", function(f)),
          "There is a resolver for \"Query.c\", but type \"Query\" has no field \"c\".");
    check(f, "x.lua", entry(f, "Query", "a", te_int(1)),
          "Query.a: a resolver must be a function, not an integer.");
    check(f, "x.lua", entry(f, "Odd", "read", function(f)),
          "Scalar \"Odd\" has \"read\"; what a scalar can have is serialize and parse.");
    check(f, "x.lua", entry(f, "Odd", "parse", te_bool(true)),
          "Odd.parse: parse must be a function, not a boolean.");
    check(f, "x.lua", entry(f, "Shade", "RED", te_int(1)), "Enum \"Shade\" has no value \"RED\".");
    check(f, "x.lua", entry(f, "Shade", "DARK", te_list(t, 0)),
          "Shade.DARK: the value of an enum inside scripts must be a string, number or boolean, not a list.");
    check(f, "x.lua", entry(f, "Any", "name", function(f)),
          "\"Any.name\": a resolver belongs to an object type; union \"Any\" can have __resolve_type only.");
    check(f, "x.lua", entry(f, "Named", "name", function(f)),
          "\"Named.name\": a resolver belongs to an object type; interface \"Named\" can have __resolve_type "
          "only.");
    check(f, "x.lua", entry(f, "In", "a", function(f)), "Input type \"In\" cannot have resolvers.");
    check(f, "x.lua", entry(f, "Subscription", "tick", te_int(1)),
          "Subscription.tick: subscribe must be a function, not an integer.");
}

static void test_clash(void **state)
{
    gf *f = *state;
    check(f, "a.lua", entry(f, "Query", "a", function(f)), "");
    check(f, "b.lua", entry(f, "Query", "a", function(f)), "Query.a is defined twice: here and in a.lua.");
    check(f, "a.lua", entry(f, "Any", "__resolve_type", function(f)), "");
    check(f, "b.lua", entry(f, "Any", "__resolve_type", function(f)),
          "Any.__resolve_type is defined twice: here and in a.lua.");
    check(f, "a.lua", entry(f, "Subscription", "tick", te_map(f->t, "resolve", function(f), NULL)), "");
    check(f, "b.lua", entry(f, "Subscription", "tick", te_map(f->t, "resolve", function(f), NULL)),
          "Subscription.tick is defined twice: here and in a.lua.");
}

static void test_no_memory(void **state)
{
    gf *f = *state;
    te *t = f->t;
    te_value shades = te_map(t, "DARK", te_string(t, "a long text for a shade that is dark"), NULL);
    te_value table =
        te_map(t, "Query", te_map(t, "a", function(f), "b", function(f), NULL), "Shade", shades,
               "Subscription", te_map(t, "tick", te_map(t, "resolve", function(f), NULL), NULL), NULL);
    failing a = {0};
    while (failing_next(&a)) {
        pl_error err;
        step s = {.f = f, .table = table, .file = "a.lua"};
        gql_diagnostics_init(&s.list, &f->arena, 0);
        failing_begin(&a);
        gql_binding *binding = gql_binding_new(f->schema, te_state(t));
        gql_binding *kept = f->binding;
        bool ok = false;
        if (binding) {
            f->binding = binding;
            ok = te_engine()->protect(te_state(t), add, &s, &err) && !s.list.out_of_memory;
            f->binding = kept;
        }
        assert_int_equal(ok, !failing_end(&a));
        assert_null(s.list.first);
        for (uint32_t i = 0; binding && i < f->schema->field_count; i++) {
            if (binding->fields[i].resolver != PL_REF_NONE)
                te_engine()->drop(te_state(t), binding->fields[i].resolver);
        }
        gql_binding_free(binding);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bound, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_clash, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, gf_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
