/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "support/failing.h"
#include "support/graphql_fixture.h"

/* Query._service and Query._entities. */

static const char sdl[] =
    "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.9\", import: [\"@key\", "
    "\"@interfaceObject\"])\n"
    "type Query { a: Int }\n"
    "type Product @key(fields: \"id\") { id: ID! name: String sure: String! user: User }\n"
    "type User @key(fields: \"email\") @key(fields: \"at { place }\") { email: ID! name: String at: At }\n"
    "type At { place: String }\n"
    "type Plain @key(fields: \"id\") { id: ID! name: String }\n"
    "interface Media @key(fields: \"id\") { id: ID! title: String }\n"
    "type Book implements Media @key(fields: \"id\") { id: ID! title: String }\n"
    "type Film implements Media @key(fields: \"id\") { id: ID! title: String }\n"
    "type Thing @key(fields: \"id\") @interfaceObject { id: ID! size: Int }\n";

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    *state = &f;
    return 0;
}

#define ENTITIES(list, selection) "{ _entities(representations: [" list "]) { " selection " } }"
#define PRODUCT(id) "{ __typename: \"Product\", id: \"" id "\" }"
#define USER(email) "{ __typename: \"User\", email: \"" email "\" }"
#define ERROR(i, message, code)                                                                          \
    "{\"message\":\"" message "\",\"locations\":[{\"line\":1,\"column\":3}],\"path\":[\"_entities\"," #i \
    "],"                                                                                                 \
    "\"extensions\":{\"code\":\"" code "\"}}"

static te_outcome by_id(te_invocation *in, void *data)
{
    pl_str id = te_text(te_get(in->args[0], "id"));
    if (pl_str_is(id, "bad"))
        return te_fail(in, PL_NOT_FOUND, "no such product");
    if (pl_str_is(id, "none"))
        return TE_RETURN;
    in->result = te_map(in->t, "id", te_bytes(in->t, id), "name", te_string(in->t, "a name"), "sure",
                        pl_str_is(id, "unsure") ? te_null() : te_string(in->t, "yes"), NULL);
    return TE_RETURN;
}

static te_outcome by_id_later(te_invocation *in, void *data)
{
    te_outcome outcome = by_id(in, data);
    in->label = "product";
    return outcome == TE_RETURN ? TE_PEND : outcome;
}

/* --- _service --- */

static void test_service(void **state)
{
    static const char small[] = "type Query { p: P } type P @key(fields: \"id\") { id: ID }";
    gf f;
    gf_open(&f, small);
    gf_expect(
        &f, "{ _service { sdl __typename } s: _service { text: sdl } }", NULL,
        "{\"data\":{\"_service\":{\"sdl\":\"type Query {\\n  p: P\\n}\\n\\ntype P @key(fields: \\\"id\\\") "
        "{\\n  id: ID\\n}\\n\",\"__typename\":\"_Service\"},\"s\":{\"text\":\"type Query {\\n  p: "
        "P\\n}\\n\\ntype P @key(fields: \\\"id\\\") {\\n  id: ID\\n}\\n\"}}}");
    gf_close(&f);
}

/* A default resolver is for the fields of the application. */
static te_outcome never(te_invocation *in, void *data)
{
    return te_crash(in, "it must not be called");
}

static void set_default(void *data)
{
    gf *f = data;
    te_engine()->reserve(te_state(f->t), 1);
    gql_binding_set_default(f->binding, te_push(f->t, te_function(f->t, never, NULL, 4)));
}

static void test_default_resolver(void **state)
{
    gf *f = *state;
    gf_request r;
    pl_error err;
    assert_true(te_engine()->protect(te_state(f->t), set_default, f, &err));
    gf_start(&r, f, "{ _service { sdl } }", NULL);
    assert_null(strstr(r.body, "errors"));
    gf_end(&r);
}

/* --- one by one --- */

static void test_references(void **state)
{
    gf *f = *state;
    gf_resolve(f, "Product", "__resolve_reference", by_id, NULL);
    gf_expect(f, ENTITIES(PRODUCT("1") PRODUCT("2"), "__typename ... on Product { id name }"), NULL,
              "{\"data\":{\"_entities\":[{\"__typename\":\"Product\",\"id\":\"1\",\"name\":\"a name\"},{"
              "\"__typename\":\"Product\",\"id\":\"2\",\"name\":\"a name\"}]}}");
    gf_expect(f, ENTITIES("", "__typename"), NULL, "{\"data\":{\"_entities\":[]}}");
    gf_expect(f, ENTITIES(PRODUCT("none"), "__typename"), NULL, "{\"data\":{\"_entities\":[null]}}");
}

static void test_errors_are_each_ones_own(void **state)
{
    gf *f = *state;
    gf_resolve(f, "Product", "__resolve_reference", by_id, NULL);
    gf_expect(f, ENTITIES(PRODUCT("1") PRODUCT("bad") PRODUCT("2"), "... on Product { id }"), NULL,
              "{\"data\":{\"_entities\":[{\"id\":\"1\"},null,{\"id\":\"2\"}]},\"errors\":[" ERROR(
                  1, "no such product", "NOT_FOUND") "]}");
    gf_expect(f, ENTITIES(PRODUCT("1") PRODUCT("unsure"), "... on Product { sure }"), NULL,
              "{\"data\":{\"_entities\":[{\"sure\":\"yes\"},null]},\"errors\":[{\"message\":\"Cannot return "
              "null for "
              "non-nullable field Product.sure.\",\"locations\":[{\"line\":1,\"column\":126}],\"path\":[\"_"
              "entities\",1,\"sure\"],\"extensions\":{\"code\":\"INTERNAL\"}}]}");
}

static void test_representations(void **state)
{
    static const char no_type[] = "A representation must be an object with a __typename.";
    gf *f = *state;
    char expected[1024];
    gf_expect(
        f,
        ENTITIES("{ __typename: \"Nope\" } { __typename: \"At\" } { __typename: \"Plain\", id: 1 }",
                 "... on Plain { id name }"),
        NULL,
        "{\"data\":{\"_entities\":[null,null,{\"id\":\"1\",\"name\":null}]},\"errors\":[" //
        ERROR(0, "\\\"Nope\\\" is not an entity of this subgraph: it has no type of that name with a @key.",
              "INVALID_ARGUMENT") "," //
        ERROR(1, "\\\"At\\\" is not an entity of this subgraph: it has no type of that name with a @key.",
              "INVALID_ARGUMENT") "]}");
    snprintf(
        expected, sizeof expected,
        "{\"data\":{\"_entities\":[null,null,null]},\"errors\":[" ERROR(
            0, "%s", "INVALID_ARGUMENT") "," ERROR(1, "%s",
                                                   "INVALID_ARGUMENT") "," ERROR(2, "%s",
                                                                                 "INVALID_ARGUMENT") "]}",
        no_type, no_type, no_type);
    gf_expect(f, ENTITIES("3 {} { __typename: 1 }", "__typename"), NULL, expected);
    f->options.execute.max_list_items = 2;
    gf_restart(f);
    gf_expect(
        f, ENTITIES("1 2 3", "__typename"), NULL,
        "{\"data\":null,\"errors\":[{\"message\":\"There are more than 2 representations.\",\"locations\":[{"
        "\"line\":1,\"column\":3}],\"path\":[\"_entities\"],\"extensions\":{\"code\":\"RESOURCE_"
        "EXHAUSTED\"}}]}");
}

static te_outcome look(te_invocation *in, void *data)
{
    te_value at = te_get(in->args[0], "at");
    assert_int_equal(in->count, 3);
    assert_true(pl_str_is(te_text(te_get(in->args[0], "__typename")), "User"));
    assert_true(pl_str_is(te_text(te_get(at, "place")), "here"));
    assert_int_equal(te_get(in->args[0], "n").integer, 7);
    assert_int_equal(te_get(in->args[0], "x").number == 0.5, 1);
    assert_int_equal(te_get(in->args[0], "none").kind, PL_KIND_NULL);
    assert_true(pl_str_is(te_text(te_get(in->args[2], "field_name")), "_entities"));
    in->result = te_map(in->t, "name", te_string(in->t, "seen"), NULL);
    return TE_RETURN;
}

/* A reference is what the router sent: composite keys and required fields, numbers as they are. */
static void test_reference_as_given(void **state)
{
    gf *f = *state;
    gf_resolve(f, "User", "__resolve_reference", look, NULL);
    gf_expect(
        f, "query ($r: [_Any!]!) { _entities(representations: $r) { ... on User { name } } }",
        "{\"r\":[{\"__typename\":\"User\",\"at\":{\"place\":\"here\"},\"n\":7,\"x\":0.5,\"none\":null}]}",
        "{\"data\":{\"_entities\":[{\"name\":\"seen\"}]}}");
}

/* --- waiting --- */

/* All calls are begun before the first one ends, whatever their order then. */
static void test_waits(void **state)
{
    gf *f = *state;
    gf_resolve(f, "Product", "__resolve_reference", by_id_later, NULL);
    for (unsigned seed = 0; seed < 50; seed++) {
        gf_request r;
        unsigned random = seed * 7;
        gf_start(&r, f,
                 ENTITIES(PRODUCT("1") PRODUCT("bad") PRODUCT("2") PRODUCT("3"), "... on Product { id }"),
                 NULL);
        assert_int_equal(te_waiting(f->t), 3);
        while (te_waiting(f->t) > 0) {
            te_resume(f->t, te_waiting_at(f->t, random % te_waiting(f->t)));
            random /= 3;
        }
        gf_check(&r, "{\"data\":{\"_entities\":[{\"id\":\"1\"},null,{\"id\":\"2\"},{\"id\":\"3\"}]},"
                     "\"errors\":[" ERROR(1, "no such product", "NOT_FOUND") "]}");
        gf_end(&r);
    }
}

/* --- a call for all of a type --- */

typedef struct batch {
    te_outcome outcome;
    unsigned calls;
    size_t references;
    int extra; /* items too many, or too few */
    pl_kind kind;
} batch;

static te_outcome by_batch(te_invocation *in, void *data)
{
    batch *b = data;
    te_value list = te_list(in->t, 0);
    size_t n = 0;
    while (n < 100 && te_item(in->args[0], n).kind == PL_KIND_MAP)
        n++;
    b->calls++;
    b->references = n;
    for (size_t i = 0; i < n + (size_t)b->extra; i++) {
        te_value email = i < n ? te_get(te_item(in->args[0], i), "email") : te_null();
        if (i < n && pl_str_is(te_text(email), "none"))
            te_append(in->t, list, te_null());
        else
            te_append(in->t, list, te_map(in->t, "email", email, NULL));
    }
    in->result = b->kind == PL_KIND_INT ? te_int(1) : b->kind == PL_KIND_MAP ? te_map(in->t, NULL) : list;
    in->label = "users";
    return b->outcome == TE_FAIL ? te_fail(in, PL_UNAVAILABLE, "no users today") : b->outcome;
}

static void bind_batch(gf *f, batch *b)
{
    gf_bind(f, "User", "__resolve_references", te_function(f->t, by_batch, b, 2));
    gf_resolve(f, "Product", "__resolve_reference", by_id_later, NULL);
}

#define MIXED USER("a") PRODUCT("1") USER("none") USER("b") "{ __typename: \"Nope\" }"
#define MIXED_QUERY ENTITIES(MIXED, "... on User { email } ... on Product { id }")
#define NOPE                                                                                             \
    ERROR(4, "\\\"Nope\\\" is not an entity of this subgraph: it has no type of that name with a @key.", \
          "INVALID_ARGUMENT")
#define MIXED_RESPONSE                                                                                     \
    "{\"data\":{\"_entities\":[{\"email\":\"a\"},{\"id\":\"1\"},null,{\"email\":\"b\"},null]},\"errors\":" \
    "[" NOPE "]}"

static void test_batch(void **state)
{
    gf *f = *state;
    gf_request r;
    batch b = {.outcome = TE_RETURN};
    bind_batch(f, &b);
    gf_start(&r, f, MIXED_QUERY, NULL);
    te_resume(f->t, te_waiting_for(f->t, "product"));
    gf_check(&r, MIXED_RESPONSE);
    assert_int_equal(b.calls, 1);
    assert_int_equal(b.references, 3);
    gf_end(&r);
}

static void test_batch_that_waits(void **state)
{
    static const char *const orders[][2] = {{"users", "product"}, {"product", "users"}};
    gf *f = *state;
    batch b = {.outcome = TE_PEND};
    bind_batch(f, &b);
    for (int i = 0; i < 2; i++) {
        gf_request r;
        gf_start(&r, f, MIXED_QUERY, NULL);
        assert_int_equal(te_waiting(f->t), 2);
        te_resume(f->t, te_waiting_for(f->t, orders[i][0]));
        assert_int_equal(r.done, 0);
        te_resume(f->t, te_waiting_for(f->t, orders[i][1]));
        gf_check(&r, MIXED_RESPONSE);
        gf_end(&r);
    }
    assert_int_equal(b.calls, 2);
}

static void test_batch_fails(void **state)
{
    static const te_outcome outcomes[] = {TE_FAIL, TE_PEND};
    gf *f = *state;
    batch b = {0};
    gf_bind(f, "User", "__resolve_references", te_function(f->t, by_batch, &b, 2));
    for (int i = 0; i < 2; i++) {
        gf_request r;
        b.outcome = outcomes[i];
        gf_start(&r, f, ENTITIES(USER("a") USER("b"), "... on User { email }"), NULL);
        if (i == 1) {
            pl_failure failure = {
                .code = PL_UNAVAILABLE, .expected = true, .message = PL_STR("no users today")};
            te_fail_call(f->t, te_waiting_at(f->t, 0), &failure);
        }
        gf_check(&r,
                 "{\"data\":{\"_entities\":[null,null]},\"errors\":[" ERROR(
                     0, "no users today", "UNAVAILABLE") "," ERROR(1, "no users today", "UNAVAILABLE") "]}");
        gf_end(&r);
    }
}

/* What is returned must be a list, and no longer than the one that was given. A shorter one ends with nulls.
 */
static void test_batch_results(void **state)
{
    static const struct {
        int extra;
        pl_kind kind;
        const char *response, *logged;
    } cases[] = {
        {-1, PL_KIND_LIST, "{\"data\":{\"_entities\":[{\"email\":\"a\"},null]}}", ""},
        {0, PL_KIND_MAP, "{\"data\":{\"_entities\":[null,null]}}", ""},
        {1, PL_KIND_LIST, NULL, "User.__resolve_references got 2 references, but returned 3 values."},
        {0, PL_KIND_INT, NULL,
         "User.__resolve_references must return a list, in the order of the references, not an integer."},
    };
    gf *f = *state;
    batch b = {0};
    gf_bind(f, "User", "__resolve_references", te_function(f->t, by_batch, &b, 2));
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        gf_request r;
        b.extra = cases[i / 2].extra;
        b.kind = cases[i / 2].kind;
        b.outcome = i % 2 ? TE_PEND : TE_RETURN;
        pl_buf_reset(&f->logged, 0);
        gf_start(&r, f, ENTITIES(USER("a") USER("b"), "... on User { email }"), NULL);
        if (i % 2)
            te_resume(f->t, te_waiting_at(f->t, 0));
        if (cases[i / 2].response)
            gf_check(&r, cases[i / 2].response);
        else
            assert_non_null(strstr(r.body, "{\"data\":{\"_entities\":[null,null]},\"errors\":["));
        pl_buf_char(&f->logged, '\0');
        assert_non_null(strstr(f->logged.data, cases[i / 2].logged));
        gf_end(&r);
    }
}

static void test_batch_times_out(void **state)
{
    gf *f = *state;
    gf_request r;
    batch b = {.outcome = TE_PEND};
    gf_bind(f, "User", "__resolve_references", te_function(f->t, by_batch, &b, 2));
    gf_start(&r, f, ENTITIES(USER("a") USER("b"), "... on User { email }"), NULL);
    te_advance(f->t, 30000);
    gf_check(&r,
             "{\"data\":{\"_entities\":[null,null]},\"errors\":[" ERROR(
                 0, "The operation took too long.",
                 "DEADLINE_EXCEEDED") "," ERROR(1, "The operation took too long.", "DEADLINE_EXCEEDED") "]}");
    assert_int_equal(te_count(f->t).cancelled, 1);
    gf_end(&r);
}

static void test_batch_is_cancelled(void **state)
{
    gf *f = *state;
    gf_request r;
    batch b = {.outcome = TE_PEND};
    gf_bind(f, "User", "__resolve_references", te_function(f->t, by_batch, &b, 2));
    gf_start(&r, f, ENTITIES(USER("a") USER("b"), "... on User { email }"), NULL);
    gql_run_cancel(r.run);
    assert_int_equal(te_waiting(f->t), 0);
    assert_int_equal(te_count(f->t).cancelled, 1);
    gf_end(&r);
}

/* --- interfaces --- */

static te_outcome is_book(te_invocation *in, void *data)
{
    in->result = te_string(in->t, "Book");
    return TE_RETURN;
}

#define MEDIA "{ __typename: \"Media\", id: \"m\" }"
#define MEDIA_QUERY ENTITIES(MEDIA, "__typename ... on Media { title }")

static void test_interface(void **state)
{
    gf *f = *state;
    te_value film = te_map(f->t, "__typename", te_string(f->t, "Film"), "title", te_string(f->t, "t"), NULL);
    gf_give(f, "Media", "__resolve_reference", film);
    gf_expect(f, MEDIA_QUERY, NULL, "{\"data\":{\"_entities\":[{\"__typename\":\"Film\",\"title\":\"t\"}]}}");
}

static void test_interface_by_concrete_type(void **state)
{
    gf *f = *state;
    gf_resolve(f, "Media", "__resolve_type", is_book, NULL);
    gf_expect(f, MEDIA_QUERY, NULL, "{\"data\":{\"_entities\":[{\"__typename\":\"Book\",\"title\":null}]}}");
    gf_restart(f);
    gf_wait(f, "Book", "__resolve_reference", te_map(f->t, "title", te_string(f->t, "b"), NULL));
    gf_expect_in_turn(f, MEDIA_QUERY,
                      "{\"data\":{\"_entities\":[{\"__typename\":\"Book\",\"title\":\"b\"}]}}");
}

static void test_interface_without_a_type(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, MEDIA_QUERY, NULL);
    assert_non_null(strstr(
        r.body, "{\"data\":{\"_entities\":[null]},\"errors\":[{\"message\":\"Internal server error\""));
    pl_buf_char(&f->logged, '\0');
    assert_non_null(strstr(f->logged.data, "Runtime Object type \\\"Media\\\" is not a possible type for"));
    gf_end(&r);
}

/* --- binding --- */

typedef struct step {
    gf *f;
    te_value table;
    gql_diagnostics list;
} step;

static void add(void *data)
{
    step *s = data;
    te_engine()->reserve(te_state(s->f->t), 1);
    gql_binding_add(s->f->binding, te_push(s->f->t, s->table), "x.lua", &s->list);
}

static void refuse(gf *f, const char *type, const char *name, const char *message)
{
    pl_error err;
    step s = {.f = f};
    s.table = te_map(f->t, type, te_map(f->t, name, te_function(f->t, never, NULL, 2), NULL), NULL);
    gql_diagnostics_init(&s.list, &f->arena, 0);
    assert_true(te_engine()->protect(te_state(f->t), add, &s, &err));
    assert_non_null(s.list.first);
    assert_string_equal(s.list.first->message.ptr, message);
    assert_int_equal(s.list.first->location_count, 1);
}

static void test_binding(void **state)
{
    gf *f = *state;
    gf_resolve(f, "Product", "__resolve_reference", by_id, NULL);
    refuse(f, "At", "__resolve_reference",
           "\"At\" has __resolve_reference, but it is no entity: the type has no @key.");
    refuse(f, "Query", "__resolve_references",
           "\"Query\" has __resolve_references, but it is no entity: the type has no @key.");
    refuse(f, "Product", "__resolve_references",
           "\"Product\" has both __resolve_reference and __resolve_references; it can have one of them.");
    refuse(f, "Product", "__resolve_reference",
           "Product.__resolve_reference is defined twice: here and in test.c.");
    refuse(f, "Query", "_entities",
           "\"Query._entities\" cannot have a resolver: the server answers it itself.");
    refuse(f, "Query", "_service",
           "\"Query._service\" cannot have a resolver: the server answers it itself.");
    refuse(f, "_Service", "sdl", "\"_Service.sdl\" cannot have a resolver: the server answers it itself.");
}

/* --- memory --- */

static void check_body(gf_request *r)
{
    assert_int_equal(r->done, 1);
    if (!strstr(r->body, "RESOURCE_EXHAUSTED"))
        assert_string_equal(r->body, MIXED_RESPONSE);
}

static void fail_every_allocation(bool sticky, te_outcome outcome, bool cancel)
{
    failing a = {.sticky = sticky};
    while (failing_next(&a)) {
        gf *f;
        gf_request r;
        batch b = {.outcome = outcome};
        setup((void **)&f);
        bind_batch(f, &b);
        gf_restart(f);
        f->failing = &a;
        gf_start(&r, f, MIXED_QUERY, NULL);
        while (te_waiting(f->t) > 0 && !cancel)
            te_resume(f->t, te_waiting_at(f->t, a.n % te_waiting(f->t)));
        bool cut_off = te_waiting(f->t) > 0;
        if (cut_off)
            gql_run_cancel(r.run);
        failing_end(&a);
        if (!cut_off)
            check_body(&r);
        gf_end(&r);
        gf_close(f);
    }
}

static void test_no_memory(void **state)
{
    fail_every_allocation(0, TE_RETURN, false);
    fail_every_allocation(0, TE_PEND, false);
    fail_every_allocation(1, TE_PEND, false);
    fail_every_allocation(0, TE_PEND, true);
}

/* Wherever the response's limit cuts the list off, no call is left waiting. */
static void test_response_limit(void **state)
{
    gf *f = *state;
    batch b = {.outcome = TE_PEND};
    bind_batch(f, &b);
    for (size_t limit = 1; limit < 80; limit++) {
        gf_request r;
        f->options.max_response = limit;
        gf_restart(f);
        gf_start(&r, f, MIXED_QUERY, NULL);
        while (te_waiting(f->t) > 0)
            te_resume(f->t, te_waiting_at(f->t, 0));
        assert_int_equal(r.done, 1);
        gf_end(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service),
        cmocka_unit_test_setup_teardown(test_default_resolver, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_references, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_errors_are_each_ones_own, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_representations, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_reference_as_given, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_waits, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_batch, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_batch_that_waits, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_batch_fails, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_batch_results, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_batch_times_out, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_batch_is_cancelled, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_interface, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_interface_by_concrete_type, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_interface_without_a_type, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_binding, setup, gf_teardown),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test_setup_teardown(test_response_limit, setup, gf_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
