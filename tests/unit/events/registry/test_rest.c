/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "events/registry/rest.h"
#include "support/failing.h"

static void expect_path(pl_schema_ask ask, const char *subject, bool normalize, const char *path)
{
    pl_buf out;
    pl_buf_init(&out);
    pl_schema_put_path(&out, ask, pl_str_of(subject), 17, normalize);
    if (!pl_str_is(pl_buf_view(&out), path))
        fail_msg("%.*s, not %s", PL_STR_ARG(pl_buf_view(&out)), path);
    pl_buf_dispose(&out);
}

static void test_paths(void **state)
{
    expect_path(PL_SCHEMA_GET, "", true, "/schemas/ids/17");
    expect_path(PL_SCHEMA_REGISTER, "pay-value", false, "/subjects/pay-value/versions");
    expect_path(PL_SCHEMA_REGISTER, "common/money.proto", true,
                "/subjects/common%2Fmoney.proto/versions?normalize=true");
    expect_path(PL_SCHEMA_LOOK_UP, "a b?\xc3\xa9", false, "/subjects/a%20b%3F%C3%A9");
    expect_path(PL_SCHEMA_LATEST, "../x", true, "/subjects/..%2Fx/versions/latest");
    expect_path(PL_SCHEMA_COMPATIBLE, "s", true,
                "/compatibility/subjects/s/versions?verbose=true&normalize=true");
}

static void test_bodies(void **state)
{
    const pl_schema_reference references[] = {{PL_STR("a.proto"), PL_STR("a.proto"), 3},
                                              {PL_STR("b\"c"), PL_STR("d"), 1}};
    const pl_schema with = {PL_SCHEMA_PROTOBUF, PL_STR("message \"A\"\n"), references, 2};
    const pl_schema without = {.type = PL_SCHEMA_JSON, .text = PL_STR("{}")};
    pl_buf out;
    pl_buf_init(&out);
    pl_schema_put_body(&out, &with);
    assert_true(pl_str_is(
        pl_buf_view(&out),
        "{\"schemaType\":\"PROTOBUF\",\"schema\":\"message \\\"A\\\"\\n\",\"references\":[{\"name\":"
        "\"a.proto\",\"subject\":\"a.proto\",\"version\":3},{\"name\":\"b\\\"c\",\"subject\":\"d\","
        "\"version\":1}]}"));
    pl_buf_reset(&out, 0);
    pl_schema_put_body(&out, &without);
    assert_true(pl_str_is(pl_buf_view(&out), "{\"schemaType\":\"JSON\",\"schema\":\"{}\"}"));
    pl_buf_dispose(&out);
}

typedef struct answered {
    pl_arena arena;
    pl_schema_answer answer;
    pl_error err;
    pl_code code;
} answered;

static void read(answered *a, pl_schema_ask ask, long status, const char *body)
{
    pl_arena_init(&a->arena, 0);
    pl_error_clear(&a->err);
    a->code = pl_schema_read_answer(ask, status, pl_str_of(body), &a->arena, &a->answer, &a->err);
}

static void test_answers(void **state)
{
    answered a;
    read(&a, PL_SCHEMA_REGISTER, 200, "{\"id\":7,\"more\":1}");
    assert_int_equal(a.code, PL_OK);
    assert_int_equal(a.answer.id, 7);
    pl_arena_dispose(&a.arena);
    read(&a, PL_SCHEMA_LOOK_UP, 200, "{\"id\":7,\"version\":2,\"schema\":\"x\",\"subject\":\"s\"}");
    assert_int_equal(a.answer.version, 2);
    pl_arena_dispose(&a.arena);
    read(&a, PL_SCHEMA_GET, 200, "{\"schema\":\"text\",\"schemaType\":\"PROTOBUF\"}");
    assert_int_equal(a.code, PL_OK);
    assert_true(pl_str_is(a.answer.text, "text"));
    assert_int_equal(a.answer.type, PL_SCHEMA_PROTOBUF);
    pl_arena_dispose(&a.arena);
    read(&a, PL_SCHEMA_GET, 200, "{\"schema\":\"\\\"string\\\"\"}"); /* one without a type is Avro */
    assert_int_equal(a.answer.type, PL_SCHEMA_AVRO);
    pl_arena_dispose(&a.arena);
    read(&a, PL_SCHEMA_COMPATIBLE, 200, "{\"is_compatible\":false,\"messages\":[\"one\",2,\"two\"]}");
    assert_int_equal(a.code, PL_OK);
    assert_false(a.answer.compatible);
    assert_true(pl_str_is(a.answer.why, "one; two"));
    pl_arena_dispose(&a.arena);
    read(&a, PL_SCHEMA_COMPATIBLE, 200, "{\"is_compatible\":true}");
    assert_true(a.answer.compatible);
    pl_arena_dispose(&a.arena);
    read(&a, PL_SCHEMA_GET, 404, "{\"error_code\":40403,\"message\":\"Schema not found\"}");
    assert_int_equal(a.code, PL_OK);
    assert_true(a.answer.missing);
    assert_true(pl_str_is(a.answer.why, "Schema not found"));
    pl_arena_dispose(&a.arena);
}

static void test_what_is_no_answer(void **state)
{
    static const struct {
        long status;
        const char *body;
        pl_code code;
    } cases[] = {
        {409, "{\"error_code\":409,\"message\":\"no\"}", PL_FAILED_PRECONDITION},
        {422, "{\"error_code\":42201,\"message\":\"no\"}", PL_INVALID_ARGUMENT},
        {401, "{\"error_code\":401,\"message\":\"no\"}", PL_UNAVAILABLE},
        {403, "", PL_UNAVAILABLE},
        {404, "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}",
         PL_UNAVAILABLE}, /* another service's */
        {404, "nginx", PL_UNAVAILABLE},
        {500, "{\"error_code\":50001,\"message\":\"no\"}", PL_UNAVAILABLE},
        {301, "", PL_UNAVAILABLE},
        {418, "[]", PL_UNAVAILABLE},
        {200, "", PL_UNAVAILABLE},
        {200, "[]", PL_UNAVAILABLE},
        {200, "{}", PL_UNAVAILABLE},
        {200, "{\"id\":0}", PL_UNAVAILABLE},
        {200, "{\"id\":-1}", PL_UNAVAILABLE},
        {200, "{\"id\":2147483648}", PL_UNAVAILABLE},
        {200, "{\"id\":\"7\"}", PL_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        answered a;
        read(&a, PL_SCHEMA_REGISTER, cases[i].status, cases[i].body);
        assert_int_equal(a.code, cases[i].code);
        assert_int_equal(a.err.code, cases[i].code);
        pl_arena_dispose(&a.arena);
    }
    answered a;
    read(&a, PL_SCHEMA_GET, 200, "{\"schema\":\"x\",\"schemaType\":\"XML\"}");
    assert_int_equal(a.code, PL_UNIMPLEMENTED);
    pl_arena_dispose(&a.arena);
    assert_true(pl_schema_is_passing(503) && pl_schema_is_passing(429) && !pl_schema_is_passing(409));
}

static void test_without_memory(void **state)
{
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        answered r;
        failing_begin(&a);
        read(&r, PL_SCHEMA_COMPATIBLE, 200, "{\"is_compatible\":false,\"messages\":[\"one\",\"two\"]}");
        assert_int_equal(r.code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        pl_arena_dispose(&r.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),          cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_answers),        cmocka_unit_test(test_what_is_no_answer),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
