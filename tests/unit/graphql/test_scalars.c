/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "graphql/execution/scalars.h"
#include "support/graphql_fixture.h"

/* Every scalar, both ways. */

#define INT GQL_SCALAR_INT
#define FLOAT GQL_SCALAR_FLOAT
#define STRING GQL_SCALAR_STRING
#define BOOLEAN GQL_SCALAR_BOOLEAN
#define ID GQL_SCALAR_ID
#define DATETIME GQL_SCALAR_DATETIME
#define DATE GQL_SCALAR_DATE
#define UUID GQL_SCALAR_UUID
#define BIGINT GQL_SCALAR_BIGINT
#define JSON GQL_SCALAR_JSON

typedef struct input_case {
    gql_scalar_kind scalar;
    const char *json, *expected; /* the parsed value as JSON, or "!" and the message */
} input_case;

static const input_case inputs[] = {
    {INT, "0", "0"},
    {INT, "-5", "-5"},
    {INT, "2147483647", "2147483647"},
    {INT, "-2147483648", "-2147483648"},
    {INT, "2147483648", "!Int cannot represent non 32-bit signed integer value: 2147483648"},
    {INT, "-2147483649", "!Int cannot represent non 32-bit signed integer value: -2147483649"},
    {INT, "1e3", "1000"},
    {INT, "1e300", "!Int cannot represent non 32-bit signed integer value: 1e+300"},
    {INT, "0.5", "!Int cannot represent non-integer value: 0.5"},
    {INT, "\"1\"", "!Int cannot represent non-integer value: \"1\""},
    {INT, "true", "!Int cannot represent non-integer value: true"},
    {INT, "[]", "!Int cannot represent non-integer value: []"},
    {INT, "{}", "!Int cannot represent non-integer value: {}"},
    {FLOAT, "1", "1"},
    {FLOAT, "-1.25", "-1.25"},
    {FLOAT, "9007199254740993", "9007199254740992"},
    {FLOAT, "\"1.5\"", "!Float cannot represent non numeric value: \"1.5\""},
    {FLOAT, "false", "!Float cannot represent non numeric value: false"},
    {STRING, "\"\"", "\"\""},
    {STRING, "\"ä\\n\"", "\"ä\\n\""},
    {STRING, "1", "!String cannot represent a non string value: 1"},
    {STRING, "[\"a\", [\"b\", [\"c\"]]]",
     "!String cannot represent a non string value: [\"a\", [\"b\", [Array]]]"},
    {STRING, "{\"a\": {\"b\": {\"c\": 1}, \"d\": []}}",
     "!String cannot represent a non string value: { a: { b: [Object], d: [] } }"},
    {STRING, "[1,2,3,4,5,6,7,8,9,10,11]",
     "!String cannot represent a non string value: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... 1 more item]"},
    {STRING, "[1,2,3,4,5,6,7,8,9,10,11,12]",
     "!String cannot represent a non string value: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... 2 more items]"},
    {BOOLEAN, "true", "true"},
    {BOOLEAN, "false", "false"},
    {BOOLEAN, "1", "!Boolean cannot represent a non boolean value: 1"},
    {BOOLEAN, "\"true\"", "!Boolean cannot represent a non boolean value: \"true\""},
    {ID, "\"x\"", "\"x\""},
    {ID, "\"\"", "\"\""},
    {ID, "7", "\"7\""},
    {ID, "-9223372036854775808", "\"-9223372036854775808\""},
    {ID, "7.0", "\"7\""},
    {ID, "-0.0", "\"0\""},
    {ID, "7.5", "!ID cannot represent value: 7.5"},
    {ID, "true", "!ID cannot represent value: true"},
    {DATETIME, "\"2025-02-28T23:59:59Z\"", "\"2025-02-28T23:59:59Z\""},
    {DATETIME, "\"2024-02-29t00:00:60.123456+05:30\"", "\"2024-02-29t00:00:60.123456+05:30\""},
    {DATETIME, "\"2025-02-29T00:00:00Z\"",
     "!DateTime cannot represent value that is not an RFC 3339 date-time with a time zone: "
     "\"2025-02-29T00:00:00Z\""},
    {DATETIME, "\"2025-01-01T00:00:00\"",
     "!DateTime cannot represent value that is not an RFC 3339 date-time with a time zone: "
     "\"2025-01-01T00:00:00\""},
    {DATETIME, "\"2025-01-01T24:00:00Z\"",
     "!DateTime cannot represent value that is not an RFC 3339 date-time with a time zone: "
     "\"2025-01-01T24:00:00Z\""},
    {DATETIME, "\"2025-01-01T00:00:00.Z\"",
     "!DateTime cannot represent value that is not an RFC 3339 date-time with a time zone: "
     "\"2025-01-01T00:00:00.Z\""},
    {DATETIME, "\"2025-01-01T00:00:00.1\"",
     "!DateTime cannot represent value that is not an RFC 3339 date-time with a time zone: "
     "\"2025-01-01T00:00:00.1\""},
    {DATETIME, "\"2025-01-01T00:00:00+24:00\"",
     "!DateTime cannot represent value that is not an RFC 3339 date-time with a time zone: "
     "\"2025-01-01T00:00:00+24:00\""},
    {DATETIME, "\"2025-01-01T00:00:00Zx\"",
     "!DateTime cannot represent value that is not an RFC 3339 date-time with a time zone: "
     "\"2025-01-01T00:00:00Zx\""},
    {DATETIME, "5", "!DateTime cannot represent value that is not an RFC 3339 date-time with a time zone: 5"},
    {DATE, "\"2000-02-29\"", "\"2000-02-29\""},
    {DATE, "\"1900-02-29\"",
     "!Date cannot represent value that is not a date of the form YYYY-MM-DD: \"1900-02-29\""},
    {DATE, "\"2025-13-01\"",
     "!Date cannot represent value that is not a date of the form YYYY-MM-DD: \"2025-13-01\""},
    {DATE, "\"2025-04-31\"",
     "!Date cannot represent value that is not a date of the form YYYY-MM-DD: \"2025-04-31\""},
    {DATE, "\"2025-04-00\"",
     "!Date cannot represent value that is not a date of the form YYYY-MM-DD: \"2025-04-00\""},
    {DATE, "\"2025-04-01x\"",
     "!Date cannot represent value that is not a date of the form YYYY-MM-DD: \"2025-04-01x\""},
    {DATE, "\"2025/04/01\"",
     "!Date cannot represent value that is not a date of the form YYYY-MM-DD: \"2025/04/01\""},
    {UUID, "\"123e4567-E89B-12d3-a456-426614174000\"", "\"123e4567-E89B-12d3-a456-426614174000\""},
    {UUID, "\"123e4567-e89b-12d3-a456-42661417400g\"",
     "!UUID cannot represent value that is not a UUID: \"123e4567-e89b-12d3-a456-42661417400g\""},
    {UUID, "\"123e4567e89b12d3a456426614174000\"",
     "!UUID cannot represent value that is not a UUID: \"123e4567e89b12d3a456426614174000\""},
    {BIGINT, "9223372036854775807", "9223372036854775807"},
    {BIGINT, "\"-9223372036854775808\"", "-9223372036854775808"},
    {BIGINT, "\"9223372036854775808\"",
     "!BigInt cannot represent value that is not a 64-bit integer: \"9223372036854775808\""},
    {BIGINT, "1.5", "!BigInt cannot represent value that is not a 64-bit integer: 1.5"},
    {BIGINT, "\"1x\"", "!BigInt cannot represent value that is not a 64-bit integer: \"1x\""},
    {BIGINT, "\"-\"", "!BigInt cannot represent value that is not a 64-bit integer: \"-\""},
    {BIGINT, "\" 1\"", "!BigInt cannot represent value that is not a 64-bit integer: \" 1\""},
    {BIGINT, "\"\"", "!BigInt cannot represent value that is not a 64-bit integer: \"\""},
    {GQL_SCALAR_UPLOAD, "\"text\"", "!Upload must be a file, sent as a part of a GraphQL multipart request."},
    {GQL_SCALAR_UPLOAD, "{}", "!Upload must be a file, sent as a part of a GraphQL multipart request."},
    {JSON, "{\"a\":[1,null,\"x\"]}", "{\"a\":[1,null,\"x\"]}"},
    {GQL_SCALAR_CUSTOM, "[1.5]", "[1.5]"},
};

static void test_input(void **state)
{
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        const input_case *c = &inputs[i];
        pl_arena arena;
        pl_buf text;
        pl_value in, out;
        pl_error err = {0};
        pl_arena_init(&arena, 0);
        pl_buf_init(&text);
        assert_int_equal(pl_json_read(&arena, pl_str_of(c->json), &(pl_json_limits){0}, &in, &err), PL_OK);
        pl_code code = gql_scalar_parse(c->scalar, PL_STR("Any"), &in, &arena, &out, &err);
        if (code)
            pl_buf_printf(&text, "!%s", err.message);
        else
            pl_json_value(&text, &out);
        pl_buf_char(&text, '\0');
        assert_string_equal(text.data, c->expected);
        assert_int_equal(code, c->expected[0] == '!' ? PL_INVALID_ARGUMENT : PL_OK);
        pl_buf_dispose(&text);
        pl_arena_dispose(&arena);
    }
}

/* --- results --- */
typedef struct output {
    te *t;
    gql_scalar_kind scalar;
    te_value value;
    pl_buf text;
} output;

static void write_section(void *data)
{
    output *o = data;
    pl_error err = {0};
    assert_true(te_engine()->reserve(te_state(o->t), 1));
    pl_slot slot = te_push(o->t, o->value);
    PL_BUF_LIT(&o->text, "before ");
    pl_code code = gql_scalar_write(o->scalar, PL_STR("Any"), te_state(o->t), slot, &o->text, &err);
    assert_int_equal(strncmp(o->text.data, "before ", 7), 0);
    if (code) {
        assert_int_equal(o->text.len, 7);
        assert_int_equal(code, err.code);
        pl_buf_printf(&o->text, "!%s", err.message);
    }
    pl_buf_char(&o->text, '\0');
}

static void check_output(te *t, gql_scalar_kind scalar, te_value value, const char *expected)
{
    pl_error err;
    output o = {.t = t, .scalar = scalar, .value = value};
    assert_true(te_engine()->protect(te_state(t), write_section, &o, &err));
    assert_string_equal(o.text.data + 7, expected);
    pl_buf_dispose(&o.text);
}

static void test_numbers_out(void **state)
{
    te *t = te_new();
    check_output(t, INT, te_int(-2147483648), "-2147483648");
    check_output(t, INT, te_int(2147483648),
                 "!Int cannot represent non 32-bit signed integer value: 2147483648");
    check_output(t, INT, te_float(3), "3");
    check_output(t, INT, te_float(-0.0), "0");
    check_output(t, INT, te_float(3.5), "!Int cannot represent non-integer value: 3.5");
    check_output(t, INT, te_float(NAN), "!Int cannot represent non-integer value: NaN");
    check_output(t, INT, te_float(-INFINITY), "!Int cannot represent non-integer value: -Infinity");
    check_output(t, INT, te_bool(true), "1");
    check_output(t, INT, te_string(t, "12"), "12");
    check_output(t, INT, te_string(t, "12x"), "!Int cannot represent non-integer value: \"12x\"");
    check_output(t, INT, te_string(t, ""), "!Int cannot represent non-integer value: \"\"");
    check_output(t, INT, te_list(t, 0), "!Int cannot represent non-integer value: a list");
    check_output(t, INT, te_object(t, te_null()),
                 "!Int cannot represent non-integer value: a function, thread or foreign object");
    check_output(t, FLOAT, te_float(0.1), "0.1");
    check_output(t, FLOAT, te_int(INT64_MAX), "9223372036854775807");
    check_output(t, FLOAT, te_string(t, "1e3"), "1000");
    check_output(t, FLOAT, te_float(INFINITY), "!Float cannot represent non numeric value: Infinity");
    check_output(t, FLOAT, te_string(t, "x"), "!Float cannot represent non numeric value: \"x\"");
    check_output(t, BIGINT, te_int(INT64_MIN), "-9223372036854775808");
    check_output(t, BIGINT, te_float(1e15), "1000000000000000");
    check_output(t, BIGINT, te_string(t, "77"), "77");
    check_output(t, BIGINT, te_float(1e19),
                 "!BigInt cannot represent value that is not a 64-bit integer: 10000000000000000000");
    check_output(t, BIGINT, te_float(0.5),
                 "!BigInt cannot represent value that is not a 64-bit integer: 0.5");
    te_free(t);
}

static void test_strings_out(void **state)
{
    te *t = te_new();
    check_output(t, STRING, te_string(t, "a\"b"), "\"a\\\"b\"");
    check_output(t, STRING, te_int(5), "\"5\"");
    check_output(t, STRING, te_float(0.5), "\"0.5\"");
    check_output(t, STRING, te_bool(false), "\"false\"");
    check_output(t, STRING, te_bytes(t, PL_STR("a\0b")), "\"a\\u0000b\"");
    check_output(t, STRING, te_bytes(t, PL_STR("\xff")),
                 "!String cannot represent bytes that are not UTF-8: \"\xEF\xBF\xBD\"");
    check_output(t, STRING, te_float(NAN), "!String cannot represent value: NaN");
    check_output(t, STRING, te_map(t, NULL), "!String cannot represent value: a map");
    check_output(t, ID, te_string(t, "x"), "\"x\"");
    check_output(t, ID, te_int(-3), "\"-3\"");
    check_output(t, ID, te_float(3), "\"3\"");
    check_output(t, ID, te_float(3.5), "!ID cannot represent value: 3.5");
    check_output(t, ID, te_float(INFINITY), "!ID cannot represent value: Infinity");
    check_output(t, ID, te_bool(true), "!ID cannot represent value: true");
    check_output(t, BOOLEAN, te_bool(false), "false");
    check_output(t, BOOLEAN, te_int(0), "false");
    check_output(t, BOOLEAN, te_int(2), "true");
    check_output(t, BOOLEAN, te_float(0.5), "true");
    check_output(t, BOOLEAN, te_float(NAN), "!Boolean cannot represent a non boolean value: NaN");
    check_output(t, BOOLEAN, te_string(t, "true"), "!Boolean cannot represent a non boolean value: \"true\"");
    te_free(t);
}

static void test_texts_out(void **state)
{
    te *t = te_new();
    check_output(t, DATE, te_string(t, "2024-02-29"), "\"2024-02-29\"");
    check_output(t, DATE, te_string(t, "today"),
                 "!Date cannot represent value that is not a date of the form YYYY-MM-DD: \"today\"");
    check_output(t, DATE, te_int(1),
                 "!Date cannot represent value that is not a date of the form YYYY-MM-DD: 1");
    check_output(t, DATETIME, te_string(t, "2024-02-29T00:00:00Z"), "\"2024-02-29T00:00:00Z\"");
    check_output(t, UUID, te_string(t, "123e4567-e89b-12d3-a456-426614174000"),
                 "\"123e4567-e89b-12d3-a456-426614174000\"");
    check_output(t, UUID, te_string(t, "x"), "!UUID cannot represent value that is not a UUID: \"x\"");
    te_free(t);
}

static void test_any_out(void **state)
{
    te *t = te_new();
    te_value self = te_map(t, NULL);
    te_set(t, self, "self", self);
    check_output(t, JSON, te_map(t, "a", te_list(t, 2, te_float(0.5), te_null()), "b", te_map(t, NULL), NULL),
                 "{\"a\":[0.5,null],\"b\":{}}");
    check_output(t, GQL_SCALAR_CUSTOM, te_string(t, "x"), "\"x\"");
    check_output(t, JSON, te_map(t, "a", te_list(t, 1, te_object(t, te_null())), NULL),
                 "!Any cannot represent value: a value that has no JSON form (a function, a coroutine or an "
                 "object) at .a[0]");
    output o = {.t = t, .scalar = JSON, .value = self};
    pl_error err;
    assert_true(te_engine()->protect(te_state(t), write_section, &o, &err));
    assert_non_null(strstr(
        o.text.data,
        "!Any cannot represent value: the value is nested too deep, or contains itself, at .self.self"));
    pl_buf_dispose(&o.text);
    te_free(t);
}

/* --- scalars that a script serializes and parses --- */
static te_outcome serialize(te_invocation *in, void *data)
{
    te_value v = in->args[0];
    if (v.kind == PL_KIND_BOOL)
        return TE_RETURN; /* nil */
    if (v.kind == PL_KIND_FLOAT)
        return te_fail(in, PL_OUT_OF_RANGE, "no fractions");
    if (v.kind == PL_KIND_LIST)
        return TE_PEND;
    if (v.kind == PL_KIND_STRING)
        return te_crash(in, "boom");
    in->result = te_map(in->t, "n", v, NULL);
    return TE_RETURN;
}

#define AT(column, name) \
    "\"locations\":[{\"line\":1,\"column\":" #column "}],\"path\":[\"" name "\"],\"extensions\":{\"code\":"

static void test_serialize(void **state)
{
    gf f;
    gf_open(&f, "scalar Money type Query { a: Money b: Money c: Money d: Money e: Money f: Money! }");
    gf_bind(&f, "Money", "serialize", te_function(f.t, serialize, NULL, 1));
    gf_give(&f, "Query", "a", te_int(5));
    gf_give(&f, "Query", "b", te_bool(true));
    gf_give(&f, "Query", "c", te_float(0.5));
    gf_give(&f, "Query", "d", te_list(f.t, 0));
    gf_give(&f, "Query", "e", te_string(f.t, "x"));
    gf_give(&f, "Query", "f", te_bool(true));
    gf_expect(&f, "{ a b c d e }", NULL,
              "{\"data\":{\"a\":{\"n\":5},\"b\":null,\"c\":null,\"d\":null,\"e\":null},\"errors\":["
              "{\"message\":\"no fractions\"," AT(
                  7, "c") "\"OUT_OF_RANGE\"}},"
                          "{\"message\":\"Internal server error\"," AT(
                              9, "d") "\"INTERNAL\",\"id\":\"r1\"}},"
                                      "{\"message\":\"Internal server error\"," AT(
                                          11, "e") "\"INTERNAL\",\"id\":\"r1\"}}]}");
    gf_expect(
        &f, "{ f }", NULL,
        "{\"data\":null,\"errors\":[{\"message\":\"Cannot return null for non-nullable field Query.f.\"," AT(
            3, "f") "\"INTERNAL\"}}]}");
    gf_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input),       cmocka_unit_test(test_numbers_out),
        cmocka_unit_test(test_strings_out), cmocka_unit_test(test_texts_out),
        cmocka_unit_test(test_any_out),     cmocka_unit_test(test_serialize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
