/* SPDX-License-Identifier: MIT */
#include "support/failing.h"
#include "support/graphql_fixture.h"

/* Arguments and variables: what a resolver gets, and what is refused. */

static const char sdl[] =
    "enum Colour { RED GREEN BLUE }\n"
    "scalar Even\n"
    "input Point { x: Int! y: Int = 5 label: String }\n"
    "input Shape { name: String! points: [Point!] = [{ x: 1 }] colour: Colour = GREEN inner: Shape even: "
    "Even }\n"
    "input Pick @oneOf { id: ID name: String point: Point }\n"
    "type Query {\n"
    "  show(int: Int, float: Float, string: String, bool: Boolean, id: ID, colour: Colour, ints: [Int],\n"
    "    must: [Int!], matrix: [[Int]], shape: Shape, pick: Pick, even: Even, evens: [Even], any: JSON, big: "
    "BigInt): String\n"
    "  defaults(a: Int = 3, b: Int! = 4, colour: Colour = BLUE, point: Point = { x: 2 }, list: [Int] = [1, "
    "2]): String\n"
    "  need(a: Int!): String\n"
    "}\n"
    "scalar JSON scalar BigInt\n";

static pl_buf out; /* not on a frame that a jump leaves */

/* Returns its arguments, as JSON text. */
static te_outcome show(te_invocation *in, void *data)
{
    const pl_engine *e = te_engine();
    pl_state *s = te_state(in->t);
    pl_error err;
    pl_buf_reset(&out, 0);
    if (!e->reserve(s, 1))
        return te_fail(in, PL_RESOURCE_EXHAUSTED, "no room");
    pl_slot slot = te_push(in->t, in->args[1]);
    if (pl_write_json(s, slot, 32, &out, &err) != PL_OK || out.failed)
        return te_fail(in, PL_RESOURCE_EXHAUSTED, "no memory");
    e->pop_to(s, slot - 1);
    for (size_t i = 0; i < out.len; i++) { /* easier to read in a JSON string */
        if (out.data[i] == '"')
            out.data[i] = '\'';
    }
    in->result = te_bytes(in->t, pl_buf_view(&out));
    return TE_RETURN;
}

/* An even number, as {half = n / 2}. */
static te_outcome parse_even(te_invocation *in, void *data)
{
    te_value v = in->args[0];
    if (v.kind == PL_KIND_STRING)
        return te_crash(in, "parse.lua:3: attempt to halve a string");
    if (v.kind != PL_KIND_INT || v.integer % 2 != 0)
        return te_fail(in, PL_INVALID_ARGUMENT, "not even");
    if (v.integer == 0)
        return TE_RETURN;
    if (v.integer == 100)
        return TE_PEND;
    in->result = v.integer == 2 ? te_int(1) : te_map(in->t, "half", te_int(v.integer / 2), NULL);
    return TE_RETURN;
}

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    gf_resolve(&f, "Query", "show", show, NULL);
    gf_resolve(&f, "Query", "defaults", show, NULL);
    gf_resolve(&f, "Query", "need", show, NULL);
    gf_bind(&f, "Even", "parse", te_function(f.t, parse_even, NULL, 1));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    pl_buf_dispose(&out);
    gf_close(*state);
    return 0;
}

typedef struct input_case {
    const char *arguments, *seen;
} input_case;

static void check_literals(gf *f, const char *field, const input_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pl_buf query, response;
        pl_buf_init(&query);
        pl_buf_init(&response);
        pl_buf_printf(&query, "{ r: %s%s }%c", field, cases[i].arguments, 0);
        pl_buf_printf(&response, "{\"data\":{\"r\":\"%s\"}}%c", cases[i].seen, 0);
        gf_expect(f, query.data, NULL, response.data);
        pl_buf_dispose(&query);
        pl_buf_dispose(&response);
    }
}
#define CHECK_LITERALS(f, field, cases) check_literals(f, field, cases, sizeof(cases) / sizeof((cases)[0]))

static void test_literals(void **state)
{
    static const input_case cases[] = {
        {"", "{}"},
        {"(int: 3, float: 4, string: \"s\", bool: true, id: 7)",
         "{'int':3,'float':4,'string':'s','bool':true,'id':'7'}"},
        {"(float: 1.5e3, id: \"x\", int: null)", "{'int':null,'float':1500,'id':'x'}"},
        {"(id: 123456789012345678901234567890)", "{'id':'123456789012345678901234567890'}"},
        {"(id: -0)", "{'id':'-0'}"},
        {"(int: -2147483648)", "{'int':-2147483648}"},
        {"(colour: RED)", "{'colour':'RED'}"},
        {"(ints: [1, null, 3])", "{'ints':[1,null,3]}"},
        {"(ints: 5)", "{'ints':[5]}"},
        {"(ints: null)", "{'ints':null}"},
        {"(ints: [])", "{'ints':[]}"},
        {"(matrix: [[1], null, 3])", "{'matrix':[[1],null,[3]]}"},
        {"(matrix: 3)", "{'matrix':[[3]]}"},
        {"(shape: { name: \"s\" })", "{'shape':{'name':'s','points':[{'x':1,'y':5}],'colour':'GREEN'}}"},
        {"(shape: { colour: null, points: { x: 9, y: null }, name: \"s\" })",
         "{'shape':{'name':'s','points':[{'x':9,'y':null}],'colour':null}}"},
        {"(pick: { id: 1 })", "{'pick':{'id':'1'}}"},
        {"(pick: { point: { x: 1 } })", "{'pick':{'point':{'x':1,'y':5}}}"},
        {"(even: 8)", "{'even':{'half':4}}"},
        {"(even: 2, evens: [4, null])", "{'even':1,'evens':[{'half':2},null]}"},
        {"(shape: { name: \"s\", even: 6, points: [] })",
         "{'shape':{'name':'s','points':[],'colour':'GREEN','even':{'half':3}}}"},
        {"(any: { a: [1, 2.5, \"x\", ENUM, null, true], b: {} })",
         "{'any':{'a':[1,2.5,'x','ENUM',null,true],'b':{}}}"},
        {"(big: 9223372036854775807)", "{'big':9223372036854775807}"},
    };
    CHECK_LITERALS(*state, "show", cases);
}

static void test_defaults(void **state)
{
    static const input_case cases[] = {
        {"", "{'a':3,'b':4,'colour':'BLUE','point':{'x':2,'y':5},'list':[1,2]}"},
        {"(a: null, b: 1, colour: RED, point: null, list: [])",
         "{'a':null,'b':1,'colour':'RED','point':null,'list':[]}"},
    };
    CHECK_LITERALS(*state, "defaults", cases);
}

/* Enum values are to scripts what the bundle says they are; in input, output and defaults. */
static void test_internal_enum_values(void **state)
{
    gf *f = *state;
    gf_bind(f, "Colour", "RED", te_int(10));
    gf_bind(f, "Colour", "BLUE", te_bool(true));
    static const input_case cases[] = {{"(colour: RED)", "{'colour':10}"},
                                       {"(colour: GREEN)", "{'colour':'GREEN'}"},
                                       {"(shape: { name: \"n\", points: null, colour: RED })",
                                        "{'shape':{'name':'n','points':null,'colour':10}}"}};
    static const input_case defaults[] = {
        {"(point: null, list: null)", "{'a':3,'b':4,'colour':true,'point':null,'list':null}"}};
    CHECK_LITERALS(f, "show", cases);
    CHECK_LITERALS(f, "defaults", defaults);
    gf_expect(f, "query($c: Colour = BLUE) { show(colour: $c) }", NULL,
              "{\"data\":{\"show\":\"{'colour':true}\"}}");
    gf_expect(f, "query($c: Colour) { show(colour: $c) }", "{\"c\":\"RED\"}",
              "{\"data\":{\"show\":\"{'colour':10}\"}}");
}

/* --- variables --- */
static void test_variables(void **state)
{
    gf *f = *state;
    gf_expect(
        f, "query($i: Int, $s: Shape, $l: [Int], $p: Pick) { show(int: $i, shape: $s, ints: $l, pick: $p) }",
        "{\"i\":3,\"s\":{\"name\":\"x\",\"even\":4,\"points\":{\"x\":1}},\"l\":7,\"p\":{\"name\":\"n\"},"
        "\"unknown\":1}",
        "{\"data\":{\"show\":\"{'int':3,'ints':[7],'shape':{'name':'x','points':[{'x':1,'y':5}],'colour':'"
        "GREEN','even':{'half':2}},"
        "'pick':{'name':'n'}}\"}}");
    gf_expect(f, "query($i: Int, $f: Float, $id: ID) { show(int: $i, float: $f, id: $id) }",
              "{\"i\":3.0,\"f\":4,\"id\":5}", "{\"data\":{\"show\":\"{'int':3,'float':4,'id':'5'}\"}}");
}

static void test_variables_not_given(void **state)
{
    gf *f = *state;
    gf_expect(f,
              "query($i: Int, $n: Int) { show(int: $i, ints: [1, $i, $n]) defaults(a: $i, colour: null, "
              "point: null, list: [$n]) }",
              "{\"n\":null}",
              "{\"data\":{\"show\":\"{'ints':[1,null,null]}\",\"defaults\":\"{'a':3,'b':4,'colour':null,'"
              "point':null,'list':[null]}\"}}");
    gf_expect(f, "query($i: Int = 6, $n: Int = 7) { show(int: $i, ints: [$n]) }", "{\"n\":null}",
              "{\"data\":{\"show\":\"{'int':6,'ints':[null]}\"}}");
    gf_expect(f, "query($l: String) { show(shape: { name: \"n\", points: { x: 1, label: $l } }) }", NULL,
              "{\"data\":{\"show\":\"{'shape':{'name':'n','points':[{'x':1,'y':5}],'colour':'GREEN'}}\"}}");
}

static void test_nested_variables(void **state)
{
    gf_expect(*state,
              "query($x: Int!, $c: Colour, $j: String) { show(shape: { name: \"n\", points: [{ x: $x }], "
              "colour: $c }, any: { k: [$j] }) }",
              "{\"x\":2,\"c\":\"RED\",\"j\":\"v\"}",
              "{\"data\":{\"show\":\"{'shape':{'name':'n','points':[{'x':2,'y':5}],'colour':'RED'},'any':{'k'"
              ":['v']}}\"}}");
}

/* --- what is wrong with variables: messages of graphql-js --- */
typedef struct refused_case {
    const char *type, *value, *message;
} refused_case;

static void test_refused_variables(void **state)
{
    static const refused_case cases[] = {
        {"Int", "\"x\"", "got invalid value \"x\"; Int cannot represent non-integer value: \"x\""},
        {"Int", "1.5", "got invalid value 1.5; Int cannot represent non-integer value: 1.5"},
        {"Int", "2147483648",
         "got invalid value 2147483648; Int cannot represent non 32-bit signed integer value: 2147483648"},
        {"Int", "[1]", "got invalid value [1]; Int cannot represent non-integer value: [1]"},
        {"Float", "true", "got invalid value true; Float cannot represent non numeric value: true"},
        {"String", "{\"a\":1}",
         "got invalid value { a: 1 }; String cannot represent a non string value: { a: 1 }"},
        {"Boolean", "0", "got invalid value 0; Boolean cannot represent a non boolean value: 0"},
        {"ID", "1.5", "got invalid value 1.5; ID cannot represent value: 1.5"},
        {"Int!", "null", "of non-null type \"Int!\" must not be null."},
        {"[Int!]", "[1,null]",
         "got invalid value null at \"v[1]\"; Expected non-nullable type \"Int!\" not to be null."},
        {"[[Int]]", "[[1],[2,\"x\"]]",
         "got invalid value \"x\" at \"v[1][1]\"; Int cannot represent non-integer value: \"x\""},
        {"Colour", "\"PINK\"",
         "got invalid value \"PINK\"; Value \"PINK\" does not exist in \"Colour\" enum."},
        {"Colour", "\"REDD\"",
         "got invalid value \"REDD\"; Value \"REDD\" does not exist in \"Colour\" enum. Did you mean the "
         "enum value \"RED\"?"},
        {"Colour", "5", "got invalid value 5; Enum \"Colour\" cannot represent non-string value: 5."},
        {"Shape", "3", "got invalid value 3; Expected type \"Shape\" to be an object."},
        {"Shape", "{}",
         "got invalid value {}; Field \"name\" of required type \"String!\" was not provided."},
        {"Shape", "{\"name\":\"n\",\"points\":[{\"x\":1},{\"x\":\"q\"}]}",
         "got invalid value \"q\" at \"v.points[1].x\"; Int cannot represent non-integer value: \"q\""},
        {"Shape", "{\"name\":\"n\",\"inner\":{\"name\":null}}",
         "got invalid value null at \"v.inner.name\"; Expected non-nullable type \"String!\" not to be "
         "null."},
        {"Shape", "{\"name\":\"n\",\"point\":1}",
         "got invalid value { name: \"n\", point: 1 }; Field \"point\" is not defined by type \"Shape\". Did "
         "you mean \"points\"?"},
        {"Shape", "{\"name\":\"n\",\"points\":{\"y\":1}}",
         "got invalid value { y: 1 } at \"v.points\"; Field \"x\" of required type \"Int!\" was not "
         "provided."},
        {"Pick", "{}", "got invalid value {}; Exactly one key must be specified for OneOf type \"Pick\"."},
        {"Pick", "{\"id\":\"1\",\"name\":\"x\"}",
         "got invalid value { id: \"1\", name: \"x\" }; Exactly one key must be specified for OneOf type "
         "\"Pick\"."},
        {"Pick", "{\"id\":null}", "got invalid value null at \"v.id\"; Field \"id\" must be non-null."},
        {"Even", "3", "got invalid value 3; not even"},
        {"Even", "0", "got invalid value 0; the value is not valid"},
        {"Even", "\"x\"", "got invalid value \"x\"; Expected a value of type \"Even\"."},
        {"Even", "100", "got invalid value 100; the parse function of scalar \"Even\" cannot wait"},
        {"[Even]", "[2,[3]]", "got invalid value [3] at \"v[1]\"; not even"},
        {"[Int]", "[\"abcdefghijklmnopqrstuvwxyz\"]",
         "got invalid value \"abcdefghijklmnopqrstuvwxyz\" at \"v[0]\"; Int cannot represent non-integer "
         "value: "
         "\"abcdefghijklmnopqrstuvwxyz\""},
    };
    static const char *const fields[][2] = {
        {"Int", "int"},   {"Float", "float"}, {"String", "string"},  {"Boolean", "bool"},  {"ID", "id"},
        {"Int!", "int"},  {"[Int!]", "must"}, {"[[Int]]", "matrix"}, {"Colour", "colour"}, {"Shape", "shape"},
        {"Pick", "pick"}, {"Even", "even"},   {"[Even]", "evens"},   {"[Int]", "ints"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *field = NULL;
        for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++)
            field = strcmp(fields[k][0], cases[i].type) == 0 ? fields[k][1] : field;
        pl_buf query, variables, response, message;
        pl_buf_init(&query);
        pl_buf_init(&variables);
        pl_buf_init(&response);
        pl_buf_init(&message);
        pl_buf_printf(&query, "query($v: %s) { show(%s: $v) }%c", cases[i].type, field, 0);
        pl_buf_printf(&variables, "{\"v\":%s}%c", cases[i].value, 0);
        pl_buf_printf(&message, "Variable \"$v\" %s", cases[i].message);
        PL_BUF_LIT(&response, "{\"errors\":[{\"message\":");
        pl_json_string(&response, pl_buf_view(&message));
        PL_BUF_LIT(
            &response,
            ",\"locations\":[{\"line\":1,\"column\":7}],\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}}]}\0");
        gf_expect(*state, query.data, variables.data, response.data);
        pl_buf_dispose(&query);
        pl_buf_dispose(&variables);
        pl_buf_dispose(&response);
        pl_buf_dispose(&message);
    }
    gf *f = *state;
    pl_buf_char(&f->logged, '\0');
    assert_non_null(strstr(f->logged.data, "attempt to halve")); /* the log has what the client is not told */
}

static void test_required_variables(void **state)
{
    gf_expect(*state, "query($a: Int!,\n $b: Shape!, $c: Int) { need(a: $a) show(shape: $b, int: $c) }",
              "{\"c\":\"z\"}",
              "{\"errors\":[{\"message\":\"Variable \\\"$a\\\" of required type \\\"Int!\\\" was not "
              "provided.\",\"locations\":[{\"line\":1,"
              "\"column\":7}],\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}},{\"message\":\"Variable "
              "\\\"$b\\\" of required type "
              "\\\"Shape!\\\" was not "
              "provided.\",\"locations\":[{\"line\":2,\"column\":2}],\"extensions\":{\"code\":\"INVALID_"
              "ARGUMENT\"}},"
              "{\"message\":\"Variable \\\"$c\\\" got invalid value \\\"z\\\"; Int cannot represent "
              "non-integer value: \\\"z\\\"\","
              "\"locations\":[{\"line\":2,\"column\":14}],\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}}]}");
}

/* --- what is wrong with arguments only shows when they are used: a field error --- */
static void expect_argument_error(gf *f, const char *query, const char *variables, const char *field,
                                  const char *message)
{
    gf_request r;
    pl_buf expected;
    pl_buf_init(&expected);
    PL_BUF_LIT(&expected, "\"message\":");
    pl_json_string(&expected, pl_str_of(message));
    pl_buf_char(&expected, '\0');
    gf_start(&r, f, query, variables);
    assert_int_equal(r.result, GQL_RESULT_DATA);
    if (!strstr(r.body, expected.data) || !strstr(r.body, "\"code\":\"INVALID_ARGUMENT\"") ||
        strncmp(r.body, field, strlen(field)) != 0)
        fail_msg("%s, not %s", r.body, message);
    pl_buf_dispose(&expected);
    gf_end(&r);
}

static void test_argument_errors(void **state)
{
    gf *f = *state;
    expect_argument_error(f, "query($v: Int = 1) { need(a: $v) }", "{\"v\":null}",
                          "{\"data\":{\"need\":null}",
                          "Argument \"a\" of non-null type \"Int!\" must not be null.");
    expect_argument_error(f, "query($v: Int = 1) { defaults(b: $v) }", "{\"v\":null}",
                          "{\"data\":{\"defaults\":null}",
                          "Argument \"b\" of non-null type \"Int!\" must not be null.");
    expect_argument_error(f, "query($v: Int) { show(even: { a: $v }) }", "{\"v\":3}",
                          "{\"data\":{\"show\":null}",
                          "Argument \"even\" has invalid value { a: $v }; not even");
    expect_argument_error(f, "query($v: Int = 1) { show(must: [2, $v]) }", "{\"v\":null}",
                          "{\"data\":{\"show\":null}", "Argument \"must\" has invalid value [2, $v].");
    expect_argument_error(f, "query($v: Int = 1) { show(shape: { name: \"n\", points: { x: $v } }) }",
                          "{\"v\":null}", "{\"data\":{\"show\":null}",
                          "Argument \"shape\" has invalid value { name: \"n\", points: { x: $v } }.");
}

/* A scalar's parse function is asked about literals before anything is executed, as the built-in ones are. */
static void test_literals_of_custom_scalars(void **state)
{
    gf *f = *state;
    gf_expect(
        f, "{ show(even: 3) }", NULL,
        "{\"errors\":[{\"message\":\"Expected value of type \\\"Even\\\", found 3; not even\",\"locations\":["
        "{\"line\":1,\"column\":14}],\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}}]}");
    gf_expect(
        f, "{ show(evens: [2, \"x\"]) }", NULL,
        "{\"errors\":[{\"message\":\"Expected value of type \\\"Even\\\", found \\\"x\\\".\",\"locations\":["
        "{\"line\":1,\"column\":19}],\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}}]}");
    gf_expect(f, "{ show(big: 9223372036854775808) }", NULL,
              "{\"errors\":[{\"message\":\"Expected value of type \\\"BigInt\\\", found 9223372036854775808; "
              "BigInt "
              "cannot represent value that is not a 64-bit integer: 9223372036854776000\",\"locations\":["
              "{\"line\":1,\"column\":13}],\"extensions\":{\"code\":\"INVALID_ARGUMENT\"}}]}");
}

/* Many variables are found by name without a look at each of them. */
static void test_many_variables(void **state)
{
    enum { N = 4000 };
    gf_request r;
    pl_buf query, variables;
    pl_buf_init(&query);
    pl_buf_init(&variables);
    PL_BUF_LIT(&query, "query(");
    for (int i = 0; i < N; i++)
        pl_buf_printf(&query, "$v%d:Int ", i);
    PL_BUF_LIT(&query, "){show(ints:[");
    for (int i = N - 1; i >= 0; i--)
        pl_buf_printf(&query, "$v%d ", i);
    PL_BUF_LIT(&query, "])}\0");
    pl_buf_char(&variables, '{');
    for (int i = 0; i < N; i++)
        pl_buf_printf(&variables, "%s\"v%d\":%d", i ? "," : "", i, i);
    PL_BUF_LIT(&variables, "}\0");
    gf_start(&r, *state, query.data, variables.data);
    assert_int_equal(r.result, GQL_RESULT_DATA);
    assert_int_equal(strncmp(r.body, "{\"data\":{\"show\":\"{'ints':[3999,3998,", 36), 0);
    assert_non_null(strstr(r.body, ",2,1,0]}"));
    gf_end(&r);
    pl_buf_dispose(&query);
    pl_buf_dispose(&variables);
}

/* Without memory while variables are coerced, with a script's value kept on the way. */
static void test_no_memory(void **state)
{
    static const char expected[] = "{\"data\":{\"show\":\"{'shape':{'name':'n','points':[{'x':1,'y':5}],'"
                                   "colour':'GREEN','even':{'half':2}},'evens':[{'half':4},"
                                   "{'half':3}]}\"}}";
    failing a = {0};
    while (failing_next(&a)) {
        gf *f;
        gf_request r;
        setup((void **)&f);
        gf_restart(f);
        f->failing = &a;
        gf_start(&r, f, "query($s: Shape, $l: [Even]) { show(shape: $s, evens: $l) }",
                 "{\"s\":{\"name\":\"n\",\"points\":[{\"x\":1}],\"even\":4},\"l\":[8,6]}");
        bool failed = failing_end(&a);
        assert_int_equal(r.done, 1);
        if (strcmp(r.body, expected) != 0) {
            assert_true(failed);
            assert_non_null(strstr(r.body, "\"code\":\"RESOURCE_EXHAUSTED\""));
            assert_true(r.result == GQL_RESULT_DATA || strncmp(r.body, "{\"errors\":", 10) == 0);
        }
        gf_end(&r);
        teardown((void **)&f);
    }
}

/* The same for what is taken from the request's arena. */
static void test_arena_is_full(void **state)
{
    static const char query[] = "query($s: Shape, $l: [Even], $i: Int) { show(shape: $s, evens: $l, any: { "
                                "a: [$i, 2.5] }, ints: [$i], "
                                "big: 9223372036854775808) }";
    for (size_t limit = 4096, done = 0; done < 3; limit += 16) {
        gf *f;
        gf_request r;
        setup((void **)&f);
        f->arena_limit = limit;
        gf_start(&r, f, query,
                 "{\"s\":{\"name\":\"n\",\"points\":[{\"x\":1}],\"even\":4},\"l\":[8,6],\"i\":1}");
        assert_int_equal(r.done, 1);
        if (strstr(r.body, "found 9223372036854775808;"))
            done++;
        else
            assert_non_null(strstr(r.body, "\"code\":\"RESOURCE_EXHAUSTED\""));
        assert_in_range(limit, 0, 100000);
        gf_end(&r);
        teardown((void **)&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_literals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_internal_enum_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_variables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_variables_not_given, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nested_variables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_variables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_required_variables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_argument_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_literals_of_custom_scalars, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_variables, setup, teardown),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_arena_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
