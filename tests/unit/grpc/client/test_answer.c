/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "grpc/client/internal.h"

static pl_arena arena;
static pl_client_stream stream;
static pl_remote_status status;

static int set_up(void **state)
{
    pl_arena_init(&arena, 0);
    stream = (pl_client_stream){.status = 200};
    return 0;
}

static int tear_down(void **state)
{
    pl_arena_dispose(&arena);
    return 0;
}

static void header(const char *name, const char *value)
{
    assert_true(pl_grpc_metadata_add(&stream.headers, &arena, pl_str_of(name), pl_str_of(value)));
}

static void trailer(const char *name, const char *value)
{
    assert_true(pl_grpc_metadata_add(&stream.trailers, &arena, pl_str_of(name), pl_str_of(value)));
}

static void ends(const pl_client_end *end, pl_code code, const char *message, bool local)
{
    answer_status(&stream, end, &arena, &status);
    assert_int_equal(status.code, code);
    if (!pl_str_is(status.message, message))
        fail_msg("\"%.*s\" is not \"%s\"", PL_STR_ARG(status.message), message);
    assert_int_equal(status.local, local);
}

static const pl_client_end answered = {.kind = PL_CLIENT_ANSWERED, .sent = true};

static void test_trailers(void **state)
{
    header("content-type", "application/grpc+proto");
    trailer("grpc-status", "5");
    trailer("grpc-message", "not %22here%22 \xff%ff%e2%82%ac%4");
    trailer("grpc-status-details-bin", "QUI");
    ends(&answered, PL_NOT_FOUND, "not \"here\" \xef\xbf\xbd\xef\xbf\xbd\xe2\x82\xac%4", false);
    assert_true(pl_str_is(status.details, "AB"));
}

static void test_alone(void **state)
{
    header("content-type", "application/grpc");
    header("grpc-status", "0");
    trailer("grpc-status", "5"); /* not looked at */
    stream.alone = true;
    ends(&answered, PL_OK, "", false);
    assert_null(status.details.ptr);
}

/* What proxies answer, and others that do not speak gRPC. */
static void test_not_grpc(void **state)
{
    static const struct {
        int status;
        pl_code code;
    } cases[] = {{400, PL_INTERNAL},      {401, PL_UNAUTHENTICATED}, {403, PL_PERMISSION_DENIED},
                 {404, PL_UNIMPLEMENTED}, {429, PL_UNAVAILABLE},     {502, PL_UNAVAILABLE},
                 {503, PL_UNAVAILABLE},   {504, PL_UNAVAILABLE},     {500, PL_UNKNOWN}};
    stream.alone = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        stream.status = cases[i].status;
        snprintf(text, sizeof text, "the server has answered with HTTP status %d", cases[i].status);
        ends(&answered, cases[i].code, text, true);
    }
    stream.status = 200;
    ends(&answered, PL_UNKNOWN, "the server's answer is not gRPC: its content type is \"\"", true);
    header("content-type", "application/grpcx");
    ends(&answered, PL_UNKNOWN, "the server's answer is not gRPC: its content type is \"application/grpcx\"",
         true);
}

static void test_without_a_status(void **state)
{
    header("content-type", "application/grpc;charset=utf-8");
    ends(&answered, PL_INTERNAL, "the server has ended its answer without a status", true);
    stream.alone = true;
    ends(&answered, PL_INTERNAL, "the server has ended its answer without a status", true);
    header("grpc-status", "77"); /* none that there is */
    ends(&answered, PL_UNKNOWN, "", false);
}

static void test_too_large(void **state)
{
    header("content-type", "application/grpc");
    trailer("grpc-status", "0");
    stream.headers_too_large = true;
    ends(&answered, PL_RESOURCE_EXHAUSTED, "the server's trailers are too large", true);
    stream.alone = true;
    ends(&answered, PL_RESOURCE_EXHAUSTED, "the server's headers are too large", true);
    assert_false(answer_is_grpc(&stream, &arena, &status));
}

static void test_resets_and_losses(void **state)
{
    static const struct {
        uint32_t error;
        pl_code code;
    } cases[] = {{0, PL_INTERNAL}, {7, PL_UNAVAILABLE},         {8, PL_CANCELLED},
                 {2, PL_INTERNAL}, {11, PL_RESOURCE_EXHAUSTED}, {12, PL_PERMISSION_DENIED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        snprintf(text, sizeof text, "the server has reset the call (HTTP/2 error %u)", cases[i].error);
        ends(&(pl_client_end){.kind = PL_CLIENT_RESET, .error = cases[i].error}, cases[i].code, text, true);
    }
    ends(&(pl_client_end){.kind = PL_CLIENT_LOST, .why = "gone"}, PL_UNAVAILABLE, "gone", true);
    ends(&(pl_client_end){.kind = PL_CLIENT_LOST, .why = ""}, PL_UNAVAILABLE, "the connection was lost",
         true);
}

static void has(const pl_grpc_metadata *list, size_t i, const char *name, const char *value)
{
    assert_true(i < list->count);
    if (!pl_str_is(list->items[i].name, name) || !pl_str_is(list->items[i].value, value))
        fail_msg("%.*s: %.*s", PL_STR_ARG(list->items[i].name), PL_STR_ARG(list->items[i].value));
}

static void test_metadata(void **state)
{
    pl_grpc_metadata list = {0};
    header("content-type", "application/grpc");
    header("x", "a, b");
    header("x-bin", "QUI=,Q0Q,");
    header("y-bin", "");
    header("z-bin", "no Base64!");
    header("grpc-encoding", "gzip");
    answer_metadata(&stream.headers, &arena, &list);
    has(&list, 0, "x", "a, b");
    has(&list, 1, "x-bin", "AB");
    has(&list, 2, "x-bin", "CD");
    has(&list, 3, "x-bin", "");
    has(&list, 4, "y-bin", "");
    assert_int_equal(list.count, 5);
    trailer("grpc-retry-pushback-ms", "150");
    assert_int_equal(answer_pushback(&stream), 150);
    stream.alone = true;
    assert_int_equal(answer_pushback(&stream), PL_PUSHBACK_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_trailers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_grpc, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_a_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resets_and_losses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_metadata, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
