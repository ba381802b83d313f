/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base64.h"
#include "support/failing.h"
#include "support/grpc_fixture.h"

#define HEADERS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define WEB "content-type", "application/grpc-web+proto"
#define TEXT "content-type", "application/grpc-web-text"

static rf *fixture(void)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Echo", RF_UNARY,
              "function(r, call) call.response_headers['x-h'] = 'h' call.trailers['x-t'] = {'1', '2'} return "
              "r end");
    rf_method(f, "Fail", RF_UNARY, "function(r, call) error(errors.not_found 'no: ä') end");
    rf_method(f, "Count", RF_SERVER,
              "function(r, call) for i = 1, tonumber(r) do call:send('n' .. i) end end");
    rf_method(f, "Chat", RF_BIDI, "function(call) for m in call:messages() do call:send('re ' .. m) end end");
    return f;
}

/* The body: messages in frames, and trailers in the last one. */
static void body_is(pl_str body, const char *messages, const char *trailers)
{
    pl_buf expected;
    pl_buf_init(&expected);
    char *copy = strdup(messages), *rest = copy;
    for (char *m; (m = strsep(&rest, "|")) && *m;) {
        size_t begin = pl_grpc_message_begin(&expected);
        pl_buf_str(&expected, pl_str_of(m));
        pl_grpc_message_end(&expected, begin, 0);
    }
    size_t begin = pl_grpc_message_begin(&expected);
    pl_buf_str(&expected, pl_str_of(trailers));
    pl_grpc_message_end(&expected, begin, PL_GRPC_FLAG_TRAILERS);
    assert_int_equal(body.len, expected.len);
    assert_memory_equal(body.ptr, expected.data, expected.len);
    free(copy);
    pl_buf_dispose(&expected);
}

static void ends_with(rf_call *call, const char *messages, const char *trailers)
{
    assert_string_equal(call->status, "200");
    assert_true(call->ended);
    assert_int_equal(call->trailers.len, 0); /* HTTP's */
    body_is(pl_buf_view(&call->data), messages, trailers);
}

static void test_binary(void **state)
{
    rf *f = fixture();
    rf_call *call = rf_unary(f, "Echo", HEADERS(WEB), "hello");
    ends_with(call, "hello", "grpc-status: 0\r\nx-t: 1\r\nx-t: 2\r\n");
    assert_string_equal(rf_header(call, "content-type"), "application/grpc-web+proto");
    assert_string_equal(rf_header(call, "x-h"), "h");
    assert_null(rf_header(call, "grpc-status"));
    ends_with(rf_unary(f, "Fail", HEADERS(WEB), ""), "", "grpc-status: 5\r\ngrpc-message: no: %C3%A4\r\n");
    ends_with(rf_unary(f, "Nope", HEADERS(WEB), ""), "",
              "grpc-status: 12\r\ngrpc-message: unknown method Nope for service t.S\r\n");
    ends_with(rf_unary(f, "Count", HEADERS("content-type", "application/grpc-web"), "2"), "n1|n2",
              "grpc-status: 0\r\n");
    call = rf_unary(f, "Echo", HEADERS(WEB, "origin", "http://a"), "1");
    assert_non_null(strstr(rf_header(call, "access-control-expose-headers"), "grpc-status"));
    call = rf_begin(f, "Chat", HEADERS(WEB));
    rf_send(call, "a", false);
    rf_turn(f);
    assert_int_equal(call->data.len, 9);
    rf_end(call);
    rf_turn(f);
    ends_with(call, "re a", "grpc-status: 0\r\n");
    rf_free(f);
}

static void test_refusals(void **state)
{
    rf *f = fixture();
    rf_call *call = rf_unary(f, "Echo", HEADERS("content-type", "application/grpc-web+thrift"), "");
    assert_string_equal(call->status, "415");
    assert_non_null(strstr(rf_header(call, "accept-post"), "application/grpc-web-text"));
    assert_string_equal(rf_unary(f, "Echo", HEADERS(WEB, ":method", "GET"), "")->status, "405");
    ends_with(rf_unary(f, "Echo", HEADERS(WEB, "grpc-timeout", "x"), ""), "",
              "grpc-status: 13\r\ngrpc-message: grpc-timeout is malformed\r\n");
    call = rf_unary(f, "Echo", HEADERS(WEB, "grpc-encoding", "br"), "");
    ends_with(call, "",
              "grpc-status: 12\r\ngrpc-message: the compression br is not supported: there are "
              "identity,gzip,deflate,zstd\r\n");
    assert_string_equal(rf_header(call, "grpc-accept-encoding"), "identity,gzip,deflate,zstd");
    call = rf_begin(f, "Echo", HEADERS(WEB));
    rf_send_bytes(call, (pl_str){"\x80\0\0\0\0", 5}, true); /* trailers of a client */
    rf_turn(f);
    ends_with(call, "", "grpc-status: 13\r\ngrpc-message: a message has flags that are not defined\r\n");
    rf_free(f);
}

/* --- Base64 --- */
static rf_call *send_text(rf *f, const char *name, const char *const *pieces)
{
    rf_call *call = rf_begin(f, name, HEADERS(TEXT));
    for (; *pieces; pieces++) {
        rf_send_bytes(call, pl_str_of(*pieces), false);
        rf_turn(f);
    }
    rf_end(call);
    rf_turn(f);
    return call;
}

/* What stands there in pieces of Base64, each perhaps padded. */
static void text_is(const rf_call *call, const char *messages, const char *trailers)
{
    pl_buf plain;
    pl_buf_init(&plain);
    assert_int_equal(call->data.len % 4, 0);
    for (size_t i = 0; i < call->data.len; i += 4)
        assert_true(pl_base64_read(&plain, (pl_str){call->data.data + i, 4}));
    body_is(pl_buf_view(&plain), messages, trailers);
    pl_buf_dispose(&plain);
}

static void test_text(void **state)
{
    static const char *const forms[][8] = {{"AAAAAAJoaQ==", NULL},
                                           {"AAAAAAJoaQ", NULL}, /* without padding */
                                           {"A", "AAA", "AAJoa", "Q=", "=", NULL},
                                           {"AAAAAAI=", "aGk=", NULL}, /* each piece padded */
                                           {"AAAA\r\nAAJo\naQ==\r\n", NULL}};
    rf *f = fixture();
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        rf_call *call = send_text(f, "Echo", forms[i]);
        assert_string_equal(rf_header(call, "content-type"), "application/grpc-web-text+proto");
        text_is(call, "hi", "grpc-status: 0\r\nx-t: 1\r\nx-t: 2\r\n");
    }
    text_is(send_text(f, "Count", HEADERS("AAAAAAEz")), "n1|n2|n3", "grpc-status: 0\r\n");
    rf_free(f);
}

static void test_bad_text(void **state)
{
    static const char *const bad[] = {"AAAAAAJoa", "AAAA?AJoaQ==", "A===", "=AAA", "AA=A", "AAAAAAJoaQ==="};
    rf *f = fixture();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rf_call *call = send_text(f, "Echo", HEADERS(bad[i]));
        pl_buf plain;
        pl_buf_init(&plain);
        for (size_t k = 0; k < call->data.len; k += 4)
            assert_true(pl_base64_read(&plain, (pl_str){call->data.data + k, 4}));
        assert_non_null(
            memmem(plain.data, plain.len, "grpc-status: 13\r\ngrpc-message: the body is no Base64", 52));
        pl_buf_dispose(&plain);
    }
    text_is(send_text(f, "Echo", HEADERS("AAAAAAJo")), "",
            "grpc-status: 13\r\ngrpc-message: the request ends in the middle of a message\r\n");
    assert_int_equal(rf_in_flight(f), 0);
    assert_int_equal(pl_grpc_server_get_stats(rf_server(f)).held, 0);
    rf_free(f);
}

/* Base64 is longer than what it stands for: the windows do not shrink by that. */
static void test_long_text(void **state)
{
    size_t size = (size_t)900 << 10;
    pl_buf frames, text;
    rf *f = fixture();
    rf_method(f, "Sum", RF_CLIENT,
              "function(call) local n = 0 for m in call:messages() do n = n + #m end return tostring(n) end");
    pl_buf_init(&frames);
    pl_buf_init(&text);
    for (int i = 0; i < 3; i++) {
        size_t begin = pl_grpc_message_begin(&frames);
        for (size_t k = 0; k < size; k++)
            pl_buf_char(&frames, 'x');
        pl_grpc_message_end(&frames, begin, 0);
    }
    pl_base64_write(&text, pl_buf_view(&frames));
    rf_call *call = rf_begin(f, "Sum", HEADERS(TEXT));
    rf_send_bytes(call, pl_buf_view(&text), true);
    rf_turn(f);
    text_is(call, "2764800", "grpc-status: 0\r\n");
    pl_buf_dispose(&frames);
    pl_buf_dispose(&text);
    rf_free(f);
}

static void test_allocations(void **state)
{
    failing a = {.dense = 60, .step = 5};
    while (failing_next(&a)) {
        rf *f = fixture();
        rf_unary(f, "Count", HEADERS(WEB), "1");
        rf_call *binary = rf_begin(f, "Echo", HEADERS(WEB)), *text = rf_begin(f, "Echo", HEADERS(TEXT));
        rf_send(binary, "hi", true);
        rf_send_bytes(text, PL_STR("AAAAAAJoaQ"), true);
        failing_begin(&a);
        rf_turn(f);
        if (!failing_end(&a)) {
            ends_with(binary, "hi", "grpc-status: 0\r\nx-t: 1\r\nx-t: 2\r\n");
            text_is(text, "hi", "grpc-status: 0\r\nx-t: 1\r\nx-t: 2\r\n");
        }
        rf_free(f);
    }
    assert_true(a.made > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary),   cmocka_unit_test(test_refusals),  cmocka_unit_test(test_text),
        cmocka_unit_test(test_bad_text), cmocka_unit_test(test_long_text), cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
