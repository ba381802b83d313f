/* SPDX-License-Identifier: MIT */
#include "grpc/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/failing.h"

static void test_codes(void **state)
{
    assert_int_equal(pl_grpc_code_read(PL_STR("0")), PL_OK);
    assert_int_equal(pl_grpc_code_read(PL_STR("16")), PL_UNAUTHENTICATED);
    static const char *const wrong[] = {"", "17", "00", "01", "-1", "a", "100", " 5"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(pl_grpc_code_read(pl_str_of(wrong[i])), PL_UNKNOWN);
    assert_int_equal(pl_grpc_code_of_http(404), PL_UNIMPLEMENTED);
    assert_int_equal(pl_grpc_code_of_http(503), PL_UNAVAILABLE);
    assert_int_equal(pl_grpc_code_of_http(500), PL_UNKNOWN);
    assert_int_equal(pl_grpc_code_of_http(431), PL_UNKNOWN);
    assert_int_equal(pl_grpc_code_of_reset(7), PL_UNAVAILABLE);
    assert_int_equal(pl_grpc_code_of_reset(8), PL_CANCELLED);
    assert_int_equal(pl_grpc_code_of_reset(11), PL_RESOURCE_EXHAUSTED);
    assert_int_equal(pl_grpc_code_of_reset(12), PL_PERMISSION_DENIED);
    assert_int_equal(pl_grpc_code_of_reset(1), PL_INTERNAL);
}

static const pl_member violations[] = {
    {{"email", 5}, {.kind = PL_KIND_STRING, .string = {"must contain @", 14}}},
    {{"age", 3}, {.kind = PL_KIND_INT, .integer = 3}},
    {{"name", 4}, {.kind = PL_KIND_STRING, .string = {"", 0}}}};

/* The bytes that protoc --encode=google.rpc.Status makes of the same. */
static void test_write(void **state)
{
    static const char expected[] = "\x08\x03\x12\x03"
                                   "bad\x1a\x50\x0a\x29type.googleapis.com/google.rpc.BadRequest"
                                   "\x12\x23\x0a\x17\x0a\x05"
                                   "email\x12\x0e"
                                   "must contain @"
                                   "\x0a\x08\x0a\x04name\x12\x00";
    const pl_value map = {.kind = PL_KIND_MAP, .map = {violations, 3}};
    pl_buf out;
    pl_buf_init(&out);
    pl_grpc_status_write(&out, PL_INVALID_ARGUMENT, PL_STR("bad"), &map, NULL, SIZE_MAX);
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.data, expected, out.len);
    pl_buf_reset(&out, 100);
    assert_int_equal(pl_grpc_status_write(&out, PL_NOT_FOUND, PL_STR("x"), NULL, NULL, SIZE_MAX), 0);
    assert_int_equal(out.len, 5);
    assert_memory_equal(out.data, "\x08\x05\x12\x01x", 5);
    pl_buf_dispose(&out);
}

/* Details that scripts have packed follow the violations; what is too much is left out, and the next may fit.
 */
static void test_write_packed(void **state)
{
    const pl_value map = {.kind = PL_KIND_MAP, .map = {violations, 1}};
    const pl_value items[] = {{.kind = PL_KIND_STRING, .string = PL_STR("abc")},
                              {.kind = PL_KIND_STRING, .string = PL_STR("0123456789")},
                              {.kind = PL_KIND_INT},
                              {.kind = PL_KIND_STRING, .string = PL_STR("de")}};
    const pl_value list = {.kind = PL_KIND_LIST, .list = {items, 4}};
    pl_buf out;
    pl_buf_init(&out);
    assert_int_equal(pl_grpc_status_write(&out, PL_ABORTED, PL_STR("m"), NULL, &list, 5 + 5 + 4), 2);
    assert_int_equal(out.len, 14);
    assert_memory_equal(out.data,
                        "\x08\x0a\x12\x01m\x1a\x03"
                        "abc\x1a\x02"
                        "de",
                        14);
    pl_buf_reset(&out, 100);
    assert_int_equal(pl_grpc_status_write(&out, PL_ABORTED, PL_STR("m"), &map, &list, SIZE_MAX), 4);
    assert_memory_equal(out.data + out.len - 4,
                        "\x1a\x02"
                        "de",
                        4);
    pl_buf_dispose(&out);
}

static void test_expected(void **state)
{
    pl_arena arena;
    pl_grpc_status s;
    pl_arena_init(&arena, 0);
    pl_work work = {.arena = &arena, .id = PL_STR("id1")};
    pl_failure failure = {.code = PL_INVALID_ARGUMENT,
                          .expected = true,
                          .message = PL_STR("bad"),
                          .details = {.kind = PL_KIND_MAP, .map = {violations, 3}}};
    pl_grpc_status_of_failure(&s, &failure, &work, false);
    assert_int_equal(s.code, PL_INVALID_ARGUMENT);
    assert_true(pl_str_is(s.message, "bad"));
    assert_true(s.details.ptr != NULL);
    failure.details.kind = PL_KIND_ABSENT;
    failure.code = PL_OK; /* nobody may fail with that */
    pl_grpc_status_of_failure(&s, &failure, &work, false);
    assert_int_equal(s.code, PL_UNKNOWN);
    assert_null(s.details.ptr);
    pl_arena_dispose(&arena);
}

static void test_hidden(void **state)
{
    pl_arena arena;
    pl_grpc_status s;
    pl_arena_init(&arena, 0);
    pl_work work = {.arena = &arena, .id = PL_STR("id1")};
    pl_failure failure = {.code = PL_INTERNAL, .message = PL_STR("secret")};
    pl_grpc_status_of_failure(&s, &failure, &work, false);
    assert_true(pl_str_is(s.message, "Internal server error (request id1)"));
    pl_grpc_status_of_failure(&s, &failure, &work, true);
    assert_true(pl_str_is(s.message, "secret"));
    failure.code = PL_RESOURCE_EXHAUSTED;
    pl_grpc_status_of_failure(&s, &failure, &work, false);
    assert_null(memmem(s.message.ptr, s.message.len, "secret", 6));
    assert_int_equal(s.code, PL_RESOURCE_EXHAUSTED);
    pl_arena_dispose(&arena);
}

/* Peers refuse large trailers: messages are cut between characters, large details left out. */
static void test_bounds(void **state)
{
    static char text[5000];
    pl_arena arena;
    pl_grpc_status s;
    pl_arena_init(&arena, 0);
    pl_work work = {.arena = &arena};
    memset(text, 'x', sizeof text);
    memcpy(text + 2046, "\xe2\x98\xba", 3);
    const pl_member large = {PL_STR("f"), {.kind = PL_KIND_STRING, .string = {text, sizeof text}}};
    pl_failure failure = {.code = PL_ABORTED,
                          .expected = true,
                          .message = {text, sizeof text},
                          .details = {.kind = PL_KIND_MAP, .map = {&large, 1}}};
    pl_grpc_status_of_failure(&s, &failure, &work, false);
    assert_int_equal(s.message.len, 2046);
    assert_null(s.details.ptr);
    pl_arena_dispose(&arena);
}

static void test_no_memory(void **state)
{
    failing a = {.sticky = true};
    const pl_failure failure = {.code = PL_INVALID_ARGUMENT,
                                .expected = true,
                                .message = PL_STR("bad"),
                                .details = {.kind = PL_KIND_MAP, .map = {violations, 3}}};
    while (failing_next(&a)) {
        pl_arena arena;
        pl_grpc_status s;
        pl_arena_init(&arena, 64);
        pl_work work = {.arena = &arena};
        failing_begin(&a);
        pl_grpc_status_of_failure(&s, &failure, &work, false);
        bool failed = failing_end(&a);
        assert_int_equal(s.code, PL_INVALID_ARGUMENT);
        assert_true(pl_str_is(s.message, "bad"));
        assert_int_equal(s.details.ptr == NULL, failed);
        pl_arena_dispose(&arena);
    }
    assert_true(a.made >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_codes),        cmocka_unit_test(test_write),
                                       cmocka_unit_test(test_write_packed), cmocka_unit_test(test_expected),
                                       cmocka_unit_test(test_hidden),       cmocka_unit_test(test_bounds),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
