/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "support/graphql_fixture.h"

/* Queries that nothing waits for. */

static const char sdl[] =
    "interface Named { name: String }\n"
    "type Person implements Named { name: String age: Int friend: Person pets: [Pet] self: Person }\n"
    "type Dog implements Named { name: String barks: Boolean }\n"
    "type Cat implements Named { name: String lives: Int }\n"
    "union Pet = Dog | Cat\n"
    "enum Colour { RED GREEN BLUE }\n"
    "type Query {\n"
    "  a: Int b: Int c: String me: Person named: Named pet: Pet pets: [Pet!] list: [Int] matrix: [[Int]]\n"
    "  required: [Int!] colour: Colour any: JSON people: [Person] echo(x: Int, y: String): String\n"
    "}\n"
    "type All { a: Int! b: Float! c: String! d: Boolean! e: ID! f: Int! g: Float! h: String! i: Int j: Int "
    "k: Int\n"
    "  l: Int }\n"
    "extend type Query { all: All }\n"
    "scalar JSON\n";

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    *state = &f;
    return 0;
}

#define INTERNAL(path, line, column)                                                                \
    "{\"message\":\"Internal server error\",\"locations\":[{\"line\":" #line ",\"column\":" #column \
    "}],\"path\":[" path "],\"extensions\":{\"code\":\"INTERNAL\",\"id\":\"r1\"}}"

static void test_fields_in_order(void **state)
{
    gf *f = *state;
    gf_give(f, "Query", "a", te_int(1));
    gf_give(f, "Query", "b", te_int(2));
    gf_give(f, "Query", "c", te_string(f->t, "x \"y\"\n"));
    gf_expect(f, "{ b a c }", NULL, "{\"data\":{\"b\":2,\"a\":1,\"c\":\"x \\\"y\\\"\\n\"}}");
    gf_expect(f, "{ z: a a y: b __typename }", NULL,
              "{\"data\":{\"z\":1,\"a\":1,\"y\":2,\"__typename\":\"Query\"}}");
    gf_expect(f, "query Q { a ... { b } ...F } fragment F on Query { c a }", NULL,
              "{\"data\":{\"a\":1,\"b\":2,\"c\":\"x \\\"y\\\"\\n\"}}");
}

static void test_no_resolver_is_null(void **state)
{
    gf_expect(*state, "{ a me { name } list }", NULL, "{\"data\":{\"a\":null,\"me\":null,\"list\":null}}");
}

static te_value person(gf *f, const char *name, int age)
{
    return te_map(f->t, "name", te_string(f->t, name), "age", te_int(age), NULL);
}

static void test_properties(void **state)
{
    gf *f = *state;
    te_value ann = person(f, "Ann", 30);
    te_set(f->t, ann, "friend", person(f, "Bob", 31));
    gf_give(f, "Query", "me", ann);
    gf_expect(
        f, "{ me { name age friend { name friend { name } } } }", NULL,
        "{\"data\":{\"me\":{\"name\":\"Ann\",\"age\":30,\"friend\":{\"name\":\"Bob\",\"friend\":null}}}}");
}

/* Members are read several at once, as far as each is a scalar of its type; the others go their own way. */
static void test_many_properties(void **state)
{
    gf *f = *state;
    static const char query[] = "{ all { a b c d e f g h i j k __typename l } }";
    te_value all = te_map(f->t, "a", te_int(1), "b", te_float(0.5), "c", te_string(f->t, "text"), NULL);
    te_set(f->t, all, "d", te_bool(false));
    te_set(f->t, all, "e", te_string(f->t, "id"));
    te_set(f->t, all, "f", te_float(2)); /* an Int, if it is integral */
    te_set(f->t, all, "g", te_int(3));   /* a Float may be an integer */
    te_set(f->t, all, "h", te_int(5));   /* what a String makes of it */
    te_set(f->t, all, "j", te_int(INT64_C(1) << 31));
    te_set(f->t, all, "k", te_int(-1));
    te_set(f->t, all, "l", te_int(-2147483647 - 1));
    gf_give(f, "Query", "all", all);
    gf_expect(f, query, NULL,
              "{\"data\":{\"all\":{\"a\":1,\"b\":0.5,\"c\":\"text\",\"d\":false,\"e\":\"id\",\"f\":2,\"g\":3,"
              "\"h\":\"5\",\"i\":null,\"j\":null,\"k\":-1,\"__typename\":\"All\",\"l\":-2147483648}},"
              "\"errors\":[" INTERNAL("\"all\",\"j\"", 1, 27) "]}");
}

/* A value whose fields only the index function reads. */
static void test_object_values(void **state)
{
    gf *f = *state;
    gf_give(f, "Query", "me", te_object(f->t, person(f, "Ann", 30)));
    gf_expect(f, "{ me { name age friend { name } } }", NULL,
              "{\"data\":{\"me\":{\"name\":\"Ann\",\"age\":30,\"friend\":null}}}");
}

static te_outcome show(te_invocation *in, void *data)
{
    const pl_engine *e = te_engine();
    pl_state *s = te_state(in->t);
    pl_buf *out = data;
    pl_error err;
    for (int i = 0; i < in->count; i++) {
        assert_true(e->reserve(s, 1));
        pl_slot slot = te_push(in->t, in->args[i]);
        pl_buf_printf(out, "%s", i ? " | " : "");
        assert_int_equal(pl_write_json(s, slot, 32, out, &err), PL_OK);
        e->pop_to(s, slot - 1);
    }
    return TE_RETURN;
}

static void test_resolver_arguments(void **state)
{
    gf *f = *state;
    pl_buf seen;
    pl_buf_init(&seen);
    gf_resolve(f, "Query", "echo", show, &seen);
    gf_expect(f, "query Q($v: String) { z: echo(y: $v, x: 3) }", "{\"v\":\"w\"}", "{\"data\":{\"z\":null}}");
    pl_buf_char(&seen, '\0');
    assert_string_equal(
        seen.data, "null | {\"x\":3,\"y\":\"w\"} | {\"request_id\":\"r1\"} | "
                   "{\"field_name\":\"echo\",\"parent_type\":\"Query\",\"return_type\":{\"kind\":\"SCALAR\","
                   "\"name\":\"String\"},"
                   "\"operation\":{\"kind\":\"query\",\"name\":\"Q\"},\"selected\":{},\"path\":[\"z\"]}");
    pl_buf_dispose(&seen);
}

static void test_info_below_lists(void **state)
{
    gf *f = *state;
    pl_buf seen;
    pl_buf_init(&seen);
    gf_give(f, "Query", "people", te_list(f->t, 2, te_null(), person(f, "Ann", 1)));
    gf_resolve(f, "Person", "pets", show, &seen);
    gf_expect(f, "{ people { pets { ... on Dog { barks } ...on Cat { lives name } } } }", NULL,
              "{\"data\":{\"people\":[null,{\"pets\":null}]}}");
    pl_buf_char(&seen, '\0');
    assert_string_equal(
        seen.data,
        "{\"name\":\"Ann\",\"age\":1} | {} | {\"request_id\":\"r1\"} | "
        "{\"field_name\":\"pets\",\"parent_type\":\"Person\",\"return_type\":{\"kind\":\"LIST\",\"of_type\":"
        "{\"kind\":\"UNION\",\"name\":\"Pet\"}},\"operation\":{\"kind\":"
        "\"query\"},\"selected\":{\"barks\":true,\"lives\":true,\"name\":true},\"path\":[\"people\",1,"
        "\"pets\"]}");
    pl_buf_dispose(&seen);
}

/* What calls have in common is kept from the second one on: each sees the same, and its own path. */
static void test_info_of_many_calls(void **state)
{
    static const char common[] = "\"selected\":{\"barks\":true},\"path\":[\"people\",";
    gf *f = *state;
    pl_buf seen;
    pl_buf_init(&seen);
    gf_give(f, "Query", "people",
            te_list(f->t, 3, person(f, "Ann", 1), person(f, "Bob", 2), person(f, "Cid", 3)));
    gf_resolve(f, "Person", "pets", show, &seen);
    for (int run = 0; run < 2; run++) { /* the second one finds the plan */
        gf_expect(f, "{ people { pets { ... on Dog { barks } } } }", NULL,
                  "{\"data\":{\"people\":[{\"pets\":null},{\"pets\":null},{\"pets\":null}]}}");
        pl_buf_char(&seen, '\0');
        const char *at = seen.data;
        for (char i = '0'; i <= '2'; i++) {
            assert_non_null(at = strstr(at, common));
            at += sizeof common - 1;
            assert_int_equal(*at, i);
        }
        assert_null(strstr(at, common));
        seen.len = 0;
    }
    pl_buf_dispose(&seen);
}

static void test_lists(void **state)
{
    gf *f = *state;
    te *t = f->t;
    gf_give(f, "Query", "list", te_list(t, 3, te_int(1), te_null(), te_int(3)));
    gf_give(f, "Query", "matrix",
            te_list(t, 3, te_list(t, 0), te_null(), te_list(t, 2, te_int(1), (te_value){0})));
    gf_give(f, "Query", "required", te_map(t, NULL)); /* an empty table is an empty list, too */
    gf_expect(f, "{ list matrix required }", NULL,
              "{\"data\":{\"list\":[1,null,3],\"matrix\":[[],null,[1,null]],\"required\":[]}}");
}

static void test_wrong_types(void **state)
{
    gf *f = *state;
    te *t = f->t;
    f->options.execute.show_internal = true;
    gf_give(f, "Query", "list", te_map(t, "a", te_int(1), NULL));
    gf_give(f, "Query", "me", te_int(7));
    gf_give(f, "Query", "a", te_list(t, 0));
    gf_give(f, "Query", "colour", te_string(t, "PINK"));
    gf_expect(f, "{ list me { name } a colour }", NULL,
              "{\"data\":{\"list\":null,\"me\":null,\"a\":null,\"colour\":null},\"errors\":["
              "{\"message\":\"Expected a list for field \\\"Query.list\\\", but the resolver returned a "
              "map.\",\"locations\":[{\"line\":1,"
              "\"column\":3}],\"path\":[\"list\"],\"extensions\":{\"code\":\"INTERNAL\",\"id\":\"r1\"}},"
              "{\"message\":\"Expected an object of type \\\"Person\\\" for field \\\"Query.me\\\", but the "
              "resolver returned an integer.\","
              "\"locations\":[{\"line\":1,\"column\":8}],\"path\":[\"me\"],\"extensions\":{\"code\":"
              "\"INTERNAL\",\"id\":\"r1\"}},"
              "{\"message\":\"Int cannot represent non-integer value: a "
              "list\",\"locations\":[{\"line\":1,\"column\":20}],\"path\":[\"a\"],"
              "\"extensions\":{\"code\":\"INTERNAL\",\"id\":\"r1\"}},"
              "{\"message\":\"Enum \\\"Colour\\\" cannot represent value: "
              "\\\"PINK\\\"\",\"locations\":[{\"line\":1,\"column\":22}],\"path\":"
              "[\"colour\"],\"extensions\":{\"code\":\"INTERNAL\",\"id\":\"r1\"}}]}");
}

static te_outcome crash(te_invocation *in, void *data)
{
    return te_crash(in, "secret detail");
}

static void test_internal_errors_are_hidden(void **state)
{
    gf *f = *state;
    gf_resolve(f, "Query", "a", crash, NULL);
    gf_expect(f, "{\n  b: a }", NULL, "{\"data\":{\"b\":null},\"errors\":[" INTERNAL("\"b\"", 2, 3) "]}");
    pl_buf_char(&f->logged, '\0');
    assert_non_null(strstr(f->logged.data, "secret detail"));
    assert_non_null(strstr(f->logged.data, "test.c:1"));
}

static te_outcome limit(te_invocation *in, void *data)
{
    in->failure = (pl_failure){.code = *(pl_code *)data, .message = PL_STR("internals")};
    return TE_FAIL;
}

static void test_errors_of_limits(void **state)
{
    gf *f = *state;
    pl_code codes[] = {PL_RESOURCE_EXHAUSTED, PL_DEADLINE_EXCEEDED};
    gf_resolve(f, "Query", "a", limit, &codes[0]);
    gf_resolve(f, "Query", "b", limit, &codes[1]);
    gf_expect(f, "{ a b }", NULL,
              "{\"data\":{\"a\":null,\"b\":null},\"errors\":[{\"message\":\"The resolver used more than it "
              "may of memory or "
              "instructions.\",\"locations\":[{\"line\":1,\"column\":3}],\"path\":[\"a\"],\"extensions\":{"
              "\"code\":\"RESOURCE_EXHAUSTED\","
              "\"id\":\"r1\"}},{\"message\":\"The resolver took too "
              "long.\",\"locations\":[{\"line\":1,\"column\":5}],\"path\":[\"b\"],"
              "\"extensions\":{\"code\":\"DEADLINE_EXCEEDED\",\"id\":\"r1\"}}]}");
}

static te_outcome violate(te_invocation *in, void *data)
{
    static const pl_member violations[] = {
        {PL_STR("email"), {.kind = PL_KIND_STRING, .string = PL_STR("must contain @")}}};
    static const pl_member extensions[] = {{PL_STR("code"), {.kind = PL_KIND_INT, .integer = 1}},
                                           {PL_STR("hint"), {.kind = PL_KIND_BOOL, .boolean = true}}};
    te_fail(in, PL_INVALID_ARGUMENT, "wrong");
    in->failure.details = (pl_value){.kind = PL_KIND_MAP, .map = {violations, 1}};
    in->failure.extensions = (pl_value){.kind = PL_KIND_MAP, .map = {extensions, 2}};
    return TE_FAIL;
}

static void test_error_extensions(void **state)
{
    gf *f = *state;
    gf_resolve(f, "Query", "a", violate, NULL);
    gf_fail(f, "Query", "b", "no b");
    gf_expect(f, "{ a b }", NULL,
              "{\"data\":{\"a\":null,\"b\":null},\"errors\":[{\"message\":\"wrong\",\"locations\":[{\"line\":"
              "1,\"column\":3}],"
              "\"path\":[\"a\"],\"extensions\":{\"code\":\"INVALID_ARGUMENT\",\"violations\":{\"email\":"
              "\"must contain @\"},\"hint\":true}},"
              "{\"message\":\"no "
              "b\",\"locations\":[{\"line\":1,\"column\":5}],\"path\":[\"b\"],\"extensions\":{\"code\":\"NOT_"
              "FOUND\"}}]}");
}

static void test_locations_of_all_nodes(void **state)
{
    gf *f = *state;
    gf_fail(f, "Query", "b", "no b");
    gf_expect(f, "{ b ...F }\nfragment F on Query { b }", NULL,
              "{\"data\":{\"b\":null},\"errors\":[{\"message\":\"no "
              "b\",\"locations\":[{\"line\":1,\"column\":3},{\"line\":2,"
              "\"column\":23}],\"path\":[\"b\"],\"extensions\":{\"code\":\"NOT_FOUND\"}}]}");
}

static void test_enums(void **state)
{
    gf *f = *state;
    te *t = f->t;
    gf_give(f, "Query", "colour", te_string(t, "GREEN"));
    gf_expect(f, "{ colour }", NULL, "{\"data\":{\"colour\":\"GREEN\"}}");
    gf_bind(f, "Colour", "RED", te_int(1));
    gf_bind(f, "Colour", "GREEN", te_float(0.5));
    gf_bind(f, "Colour", "BLUE", te_bool(true));
    te_value values[] = {te_int(1), te_float(0.5), te_bool(true)};
    static const char *const names[] = {"RED", "GREEN", "BLUE"};
    for (int i = 0; i < 3; i++) {
        char expected[64];
        gf_give(f, "Query", "colour", values[i]);
        gf_restart(f);
        snprintf(expected, sizeof expected, "{\"data\":{\"colour\":\"%s\"}}", names[i]);
        gf_expect(f, "{ colour }", NULL, expected);
    }
    gf_give(f, "Query", "colour", te_string(t, "RED")); /* that is its name, not its value */
    gf_restart(f);
    gf_expect(f, "{ colour }", NULL,
              "{\"data\":{\"colour\":null},\"errors\":[" INTERNAL("\"colour\"", 1, 3) "]}");
}

/* A string that cannot be JSON leaves nothing of it behind. */
static void test_strings_that_are_not_utf8(void **state)
{
    gf *f = *state;
    gf_give(f, "Query", "c", te_bytes(f->t, PL_STR("a\xff")));
    gf_give(f, "Query", "a", te_int(1));
    gf_expect(f, "{ c a }", NULL, "{\"data\":{\"c\":null,\"a\":1},\"errors\":[" INTERNAL("\"c\"", 1, 3) "]}");
}

/* --- abstract types --- */
static te_value typed(gf *f, const char *type, const char *name)
{
    return te_map(f->t, "__typename", te_string(f->t, type), "name", te_string(f->t, name), NULL);
}

static void test_typename_property(void **state)
{
    gf *f = *state;
    gf_give(f, "Query", "named", te_object(f->t, typed(f, "Dog", "Rex")));
    gf_give(f, "Query", "pets", te_list(f->t, 2, typed(f, "Dog", "Rex"), typed(f, "Cat", "Tom")));
    gf_expect(f,
              "{ named { name __typename ... on Dog { barks } ... on Cat { lives } } pets { __typename ... "
              "on Named { name } } }",
              NULL,
              "{\"data\":{\"named\":{\"name\":\"Rex\",\"__typename\":\"Dog\",\"barks\":null},\"pets\":[{\"__"
              "typename\":\"Dog\",\"name\":"
              "\"Rex\"},{\"__typename\":\"Cat\",\"name\":\"Tom\"}]}}");
}

static te_outcome kind_of(te_invocation *in, void *data)
{
    assert_int_equal(in->count, 2);
    in->result = te_get(in->args[0], "kind");
    return TE_RETURN;
}

static void test_resolve_type(void **state)
{
    gf *f = *state;
    te *t = f->t;
    gf_bind(f, "Pet", "__resolve_type", te_function(t, kind_of, NULL, 2));
    gf_give(f, "Query", "pet", te_map(t, "kind", te_string(t, "Cat"), "lives", te_int(9), NULL));
    gf_expect(f, "{ pet { ... on Cat { lives } ... on Dog { barks } } }", NULL,
              "{\"data\":{\"pet\":{\"lives\":9}}}");
}

static te_outcome pend(te_invocation *in, void *data)
{
    return TE_PEND;
}

static te_outcome no_kind(te_invocation *in, void *data)
{
    return te_fail(in, PL_DATA_LOSS, "no kind");
}

static void test_resolve_type_fails(void **state)
{
    gf *f = *state;
    gf_bind(f, "Pet", "__resolve_type", te_function(f->t, no_kind, NULL, 2));
    gf_give(f, "Query", "pet", te_map(f->t, NULL));
    gf_expect(f, "{ pet { __typename } }", NULL,
              "{\"data\":{\"pet\":null},\"errors\":[{\"message\":\"no "
              "kind\",\"locations\":[{\"line\":1,\"column\":3}],\"path\":[\"pet\"],"
              "\"extensions\":{\"code\":\"DATA_LOSS\"}}]}");
}

static void test_resolve_type_errors(void **state)
{
    gf *f = *state;
    te *t = f->t;
    f->options.execute.show_internal = true;
    gf_bind(f, "Pet", "__resolve_type", te_function(t, kind_of, NULL, 2));
    gf_bind(f, "Named", "__resolve_type", te_function(t, pend, NULL, 2));
    gf_give(f, "Query", "named", te_map(t, NULL));
    gf_give(f, "Query", "pets", te_list(t, 1, te_map(t, "kind", te_string(t, "Person"), NULL)));
    gf_give(f, "Query", "pet", te_map(t, NULL));
    gf_expect(
        f, "{ named { name } pets { __typename } pet { __typename } }", NULL,
        "{\"data\":{\"named\":null,\"pets\":null,\"pet\":null},\"errors\":[{\"message\":\"__resolve_type "
        "cannot wait\",\"locations\":"
        "[{\"line\":1,\"column\":3}],\"path\":[\"named\"],\"extensions\":{\"code\":\"INTERNAL\",\"id\":"
        "\"r1\"}},{\"message\":"
        "\"Runtime Object type \\\"Person\\\" is not a possible type for "
        "\\\"Pet\\\".\",\"locations\":[{\"line\":1,\"column\":18}],"
        "\"path\":[\"pets\",0],\"extensions\":{\"code\":\"INTERNAL\",\"id\":\"r1\"}},{\"message\":\"Abstract "
        "type \\\"Pet\\\" must "
        "resolve to an Object type at runtime for field \\\"Query.pet\\\": give the value a __typename, or "
        "the type a "
        "__resolve_type "
        "function.\",\"locations\":[{\"line\":1,\"column\":38}],\"path\":[\"pet\"],\"extensions\":{\"code\":"
        "\"INTERNAL\",\"id\":\"r1\"}}]}");
    assert_int_equal(te_count(t).cancelled, 1);
}

/* --- the default resolver, and limits --- */
static te_outcome by_name(te_invocation *in, void *data)
{
    pl_str name = te_text(te_get(in->args[3], "field_name"));
    in->result = pl_str_is(name, "me") ? te_map(in->t, NULL) : te_bytes(in->t, name);
    return TE_RETURN;
}

static void set_default(void *data)
{
    gf *f = data;
    assert_true(te_engine()->reserve(te_state(f->t), 1));
    gql_binding_set_default(f->binding, te_push(f->t, te_function(f->t, by_name, NULL, 4)));
}

static void test_default_resolver(void **state)
{
    gf *f = *state;
    pl_error err;
    assert_true(te_engine()->protect(te_state(f->t), set_default, f, &err));
    gf_give(f, "Query", "a", te_int(4));
    gf_expect(f, "{ a c me { name me: self { name } } }", NULL,
              "{\"data\":{\"a\":4,\"c\":\"c\",\"me\":{\"name\":\"name\",\"me\":null}},\"errors\":[" INTERNAL(
                  "\"me\",\"me\"", 1, 17) "]}");
}

static void test_max_errors(void **state)
{
    gf *f = *state;
    f->options.execute.max_errors = 2;
    gf_fail(f, "Person", "name", "no name");
    gf_give(f, "Query", "people",
            te_list(f->t, 4, te_map(f->t, NULL), te_map(f->t, NULL), te_map(f->t, NULL), te_map(f->t, NULL)));
    gf_expect(f, "{ people { name } }", NULL,
              "{\"data\":{\"people\":[{\"name\":null},{\"name\":null},{\"name\":null},{\"name\":null}]},"
              "\"errors\":[{\"message\":\"no name\","
              "\"locations\":[{\"line\":1,\"column\":12}],\"path\":[\"people\",0,\"name\"],\"extensions\":{"
              "\"code\":\"NOT_FOUND\"}},"
              "{\"message\":\"no "
              "name\",\"locations\":[{\"line\":1,\"column\":12}],\"path\":[\"people\",1,\"name\"],"
              "\"extensions\":{\"code\":"
              "\"NOT_FOUND\"}},{\"message\":\"2 more errors are left "
              "out\",\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\"}}]}");
}

static te_outcome count(te_invocation *in, void *data)
{
    ++*(int *)data;
    in->result = te_int(1234567);
    return TE_RETURN;
}

static void test_response_limit(void **state)
{
    gf *f = *state;
    int calls = 0;
    te_value list = te_list(f->t, 0);
    for (int i = 0; i < 1000; i++)
        te_append(f->t, list, te_map(f->t, NULL));
    gf_give(f, "Query", "people", list);
    gf_give(f, "Query", "b", te_int(1));
    gf_resolve(f, "Person", "age", count, &calls);
    f->options.max_response = 400;
    static const char too_large[] =
        "{\"data\":null,\"errors\":[{\"message\":\"The response is larger than 400 bytes.\",\"extensions\":{"
        "\"code\":\"RESOURCE_EXHAUSTED\",\"id\":\"r1\"}}]}";
    gf_expect(f, "{ b }", NULL, "{\"data\":{\"b\":1}}");
    gf_expect(f, "{ people { age } }", NULL, too_large);
    assert_in_range(calls, 10, 40); /* the rest need not run */
    f->options.max_response = 0;
    gf_restart(f);
    calls = 0;
    gf_request r;
    gf_start(&r, f, "{ people { age } }", NULL);
    assert_int_equal(r.result, GQL_RESULT_DATA);
    assert_int_equal(calls, 1000);
    gf_end(&r);
}

/* A response that was too large leaves nothing behind for the next. */
static void test_response_limit_again(void **state)
{
    gf *f = *state;
    char text[300];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    gf_give(f, "Query", "c", te_string(f->t, text));
    f->options.max_response = 300;
    gf_give(f, "Query", "b", te_int(1));
    for (int i = 0; i < 3; i++) {
        gf_expect(f, "{ b }", NULL, "{\"data\":{\"b\":1}}");
        gf_expect(f, "{ c }", NULL,
                  "{\"data\":null,\"errors\":[{\"message\":\"The response is larger than 300 "
                  "bytes.\",\"extensions\":{\"code\":"
                  "\"RESOURCE_EXHAUSTED\",\"id\":\"r1\"}}]}");
    }
}

/* Errors count, too. */
static void test_response_limit_by_errors(void **state)
{
    gf *f = *state;
    gf_fail(f, "Query", "b", "no b");
    f->options.max_response = 80;
    gf_expect(f, "{ b }", NULL,
              "{\"data\":null,\"errors\":[{\"message\":\"The response is larger than 80 "
              "bytes.\",\"extensions\":{\"code\":"
              "\"RESOURCE_EXHAUSTED\",\"id\":\"r1\"}}]}");
}

/* As deep as a plan may get: the walk must not exhaust the C stack, and deeper is an error. */
static void test_depth(void **state)
{
    gf *f = *state;
    te_value me = te_map(f->t, "age", te_int(1), NULL);
    te_set(f->t, me, "self", me);
    gf_give(f, "Query", "me", me);
    f->options.parse.max_depth = f->options.limits.max_depth = 1000;
    pl_buf query, expected;
    for (int depth = 490; depth <= 510; depth += 20) {
        pl_buf_init(&query);
        pl_buf_init(&expected);
        PL_BUF_LIT(&query, "{ me");
        PL_BUF_LIT(&expected, "{\"data\":{\"me\":");
        for (int i = 0; i < depth; i++) {
            PL_BUF_LIT(&query, "{self");
            PL_BUF_LIT(&expected, "{\"self\":");
        }
        PL_BUF_LIT(&query, "{age}");
        PL_BUF_LIT(&expected, "{\"age\":1}");
        for (int i = 0; i <= depth; i++) {
            pl_buf_char(&query, '}');
            pl_buf_char(&expected, '}');
        }
        pl_buf_char(&query, '\0');
        PL_BUF_LIT(&expected, "}\0");
        gf_request r;
        gf_start(&r, f, query.data, NULL);
        if (depth < 500)
            assert_string_equal(r.body, expected.data);
        else
            assert_non_null(strstr(r.body, "The operation is nested more than 500 levels deep."));
        gf_end(&r);
        pl_buf_dispose(&query);
        pl_buf_dispose(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields_in_order, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_no_resolver_is_null, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_properties, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_many_properties, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_object_values, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_resolver_arguments, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_info_below_lists, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_info_of_many_calls, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_lists, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_wrong_types, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_internal_errors_are_hidden, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_errors_of_limits, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_error_extensions, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_locations_of_all_nodes, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_enums, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_strings_that_are_not_utf8, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_resolve_type_fails, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_typename_property, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_resolve_type, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_resolve_type_errors, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_default_resolver, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_max_errors, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_response_limit, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_response_limit_again, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_response_limit_by_errors, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_depth, setup, gf_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
