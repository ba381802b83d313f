/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "grpc/coding.h"
#include "support/failing.h"
#include "support/grpc_fixture.h"

#define HEADERS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define JSON "content-type", "application/json"
#define STREAM "content-type", "application/connect+json"

/* A unary call with a body. */
static rf_call *post(rf *f, const char *name, const char *const *headers, pl_str body)
{
    rf_call *call = rf_begin(f, name, headers);
    rf_send_bytes(call, body, true);
    rf_turn(f);
    return call;
}

static rf_call *post_text(rf *f, const char *name, const char *const *headers, const char *body)
{
    return post(f, name, headers, pl_str_of(body));
}

#define answered(call, status_, body_) check_answered(call, status_, body_, __FILE__, __LINE__)
static void check_answered(rf_call *call, const char *status, const char *body, const char *file, int line)
{
    bool ok = call->status && strcmp(call->status, status) == 0 && call->data.len == strlen(body) &&
              (call->data.len == 0 || memcmp(call->data.data, body, call->data.len) == 0) && call->ended;
    if (!ok) {
        print_error("%s %.*s, not %s %s\n", call->status ? call->status : "no answer", (int)call->data.len,
                    call->data.data ? call->data.data : "", status, body);
        _fail(file, line);
    }
}

static rf *fixture(void)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Echo", RF_UNARY,
              "function(r, call) call.response_headers['x-h'] = 'h' call.trailers['x-t'] = {'1', '2'} return "
              "r end");
    rf_method(f, "Fail", RF_UNARY,
              "function(r, call) call.trailers['x-t'] = 't' error(errors.invalid_argument('bad', {name = 'is "
              "short'})) "
              "end");
    rf_method(f, "Raise", RF_UNARY, "function(r) error(errors[r] 'no') end");
    rf_method(f, "Early", RF_UNARY, "function(r, call) call:send_headers { early = 'e' } return r end");
    rf_method(f, "Slow", RF_UNARY, "function(r) sleep(60) return r end");
    rf_method(
        f, "Count", RF_SERVER,
        "function(r, call) for i = 1, tonumber(r) do call:send('n' .. i) end call.trailers.done = 'yes' end");
    rf_method(f, "Half", RF_SERVER, "function(r, call) call:send 'one' error(errors.aborted 'enough') end");
    rf_method(f, "Chat", RF_BIDI, "function(call) for m in call:messages() do call:send('re ' .. m) end end");
    return f;
}

static void test_unary(void **state)
{
    rf *f = fixture();
    rf_call *call = post_text(f, "Echo", HEADERS(JSON), "{\"a\":1}");
    answered(call, "200", "{\"a\":1}");
    assert_string_equal(rf_header(call, "content-type"), "application/json");
    assert_string_equal(rf_header(call, "x-h"), "h");
    assert_string_equal(rf_header(call, "trailer-x-t"), "1");
    assert_int_equal(call->trailers.len, 0);
    assert_null(rf_header(call, "access-control-expose-headers"));
    call = post_text(f, "Echo", HEADERS("content-type", "application/proto", "connect-protocol-version", "1"),
                     "");
    answered(call, "200", "");
    assert_string_equal(rf_header(call, "content-type"), "application/proto");
    answered(post_text(f, "Echo", HEADERS("content-type", "application/json; charset=utf-8"), "1"), "200",
             "1");
    call = post_text(f, "Early", HEADERS(JSON), "1");
    answered(call, "200", "1");
    assert_string_equal(rf_header(call, "early"), "e");
    call = post_text(f, "Echo", HEADERS(JSON, "origin", "http://a"), "1");
    assert_non_null(strstr(rf_header(call, "access-control-expose-headers"), "trailer-x-t"));
    rf_free(f);
}

static void test_errors(void **state)
{
    static const char *const codes[][2] = {{"cancelled", "499"},
                                           {"unknown", "500"},
                                           {"deadline_exceeded", "504"},
                                           {"not_found", "404"},
                                           {"already_exists", "409"},
                                           {"permission_denied", "403"},
                                           {"resource_exhausted", "429"},
                                           {"failed_precondition", "400"},
                                           {"aborted", "409"},
                                           {"out_of_range", "400"},
                                           {"unimplemented", "501"},
                                           {"internal", "500"},
                                           {"unavailable", "503"},
                                           {"data_loss", "500"},
                                           {"unauthenticated", "401"}};
    char body[128];
    rf *f = fixture();
    rf_call *call = post_text(f, "Fail", HEADERS(JSON), "{}");
    assert_string_equal(call->status, "400");
    assert_string_equal(rf_header(call, "trailer-x-t"), "t");
    pl_buf_char(&call->data, '\0');
    assert_non_null(strstr(call->data.data,
                           "{\"code\":\"invalid_argument\",\"message\":\"bad\",\"details\":[{\"type\":"
                           "\"google.rpc.BadRequest\",\"value\":\""));
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        const char *name = i == 0 ? "canceled" : codes[i][0];
        snprintf(body, sizeof body, "{\"code\":\"%s\",\"message\":\"no\"}", name);
        answered(post_text(f, "Raise", HEADERS(JSON), codes[i][0]), codes[i][1], body);
    }
    rf_free(f);
}

static void test_refusals(void **state)
{
    rf *f = fixture();
    answered(post_text(f, "Nope", HEADERS(JSON), ""), "404",
             "{\"code\":\"unimplemented\",\"message\":\"unknown method Nope for service t.S\"}");
    answered(post_text(f, "/t.T/X", HEADERS(JSON, "connect-protocol-version", "1"), ""), "404",
             "{\"code\":\"unimplemented\",\"message\":\"unknown service t.T\"}");
    rf_call *call = post_text(f, "Echo", HEADERS("content-type", "application/xml"), "");
    answered(call, "415", "");
    assert_non_null(strstr(rf_header(call, "accept-post"), "application/json"));
    answered(post_text(f, "Count", HEADERS(JSON), ""), "415", "");  /* a stream as a unary call */
    answered(post_text(f, "Echo", HEADERS(STREAM), ""), "415", ""); /* and the other way round */
    call = post_text(f, "Echo", HEADERS(JSON, ":method", "PUT"), "");
    answered(call, "405", "");
    assert_string_equal(rf_header(call, "allow"), "POST");
    answered(post_text(f, "Echo", HEADERS(":method", "GET", "content-type", ""), ""), "405",
             ""); /* not pure */
    answered(post_text(f, "Echo", HEADERS(JSON, "connect-protocol-version", "2"), ""), "400",
             "{\"code\":\"invalid_argument\",\"message\":\"the version of the Connect protocol must be "
             "\\\"1\\\", not "
             "\\\"2\\\"\"}");
    call = post_text(f, "Echo", HEADERS(JSON, "content-encoding", "br"), "");
    answered(call, "501",
             "{\"code\":\"unimplemented\",\"message\":\"the compression br is not supported: there are "
             "identity,gzip,deflate,zstd\"}");
    assert_string_equal(rf_header(call, "accept-encoding"), "identity,gzip,deflate,zstd");
    static const char *const timeouts[] = {"", "x", "-1", "1.5", "12345678901", "1m"};
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++)
        assert_string_equal(
            post_text(f, "Echo", HEADERS(JSON, "connect-timeout-ms", timeouts[i]), "")->status, "400");
    assert_int_equal(rf_in_flight(f), 0);
    rf_free(f);
}

static void test_required_version(void **state)
{
    rf *f = rf_new(&(rf_options){.calls = {.connect_version = true}});
    rf_method(f, "Echo", RF_UNARY, "function(r) return r end");
    assert_string_equal(post_text(f, "Echo", HEADERS(JSON), "1")->status, "400");
    answered(post_text(f, "Echo", HEADERS(JSON, "connect-protocol-version", "1"), "1"), "200", "1");
    rf_free(f);
}

static void test_deadline(void **state)
{
    rf *f = fixture();
    rf_call *call = post_text(f, "Slow", HEADERS(JSON, "connect-timeout-ms", "500"), "");
    rf_wait(f, 499);
    assert_false(call->ended);
    rf_wait(f, 2);
    answered(call, "504", "{\"code\":\"deadline_exceeded\",\"message\":\"Deadline exceeded\"}");
    answered(post_text(f, "Echo", HEADERS(JSON, "connect-timeout-ms", "0"), ""), "504",
             "{\"code\":\"deadline_exceeded\",\"message\":\"Deadline exceeded\"}");
    rf_free(f);
}

static void test_compressed_bodies(void **state)
{
    char large[5000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    rf *f = fixture();
    pl_grpc_coder *coder = pl_grpc_coder_new();
    pl_buf bytes, plain;
    pl_error err;
    pl_buf_init(&bytes);
    pl_buf_init(&plain);
    assert_int_equal(pl_grpc_compress(coder, PL_GRPC_GZIP, pl_str_of(large), &bytes, &err), PL_OK);
    rf_call *call = post(f, "Echo", HEADERS(JSON, "content-encoding", "gzip", "accept-encoding", "gzip, br"),
                         pl_buf_view(&bytes));
    assert_string_equal(call->status, "200");
    assert_string_equal(rf_header(call, "content-encoding"), "gzip");
    assert_int_equal(pl_grpc_decompress(coder, PL_GRPC_GZIP, pl_buf_view(&call->data), 10000, &plain, &err),
                     PL_OK);
    assert_int_equal(plain.len, strlen(large));
    call = post(f, "Echo", HEADERS(JSON, "content-encoding", "gzip"), pl_buf_view(&bytes));
    answered(call, "200", large); /* it reads no gzip */
    call = post(f, "Echo", HEADERS(JSON, "content-encoding", "gzip"), (pl_str){bytes.data, bytes.len - 1});
    assert_string_equal(call->status, "400");
    answered(post_text(f, "Echo", HEADERS(JSON, "content-encoding", "gzip"), ""), "200",
             ""); /* nothing at all */
    pl_buf_dispose(&bytes);
    pl_buf_dispose(&plain);
    pl_grpc_coder_free(coder);
    rf_free(f);
}

/* More than a window of it comes, and more than may. */
static void test_large_bodies(void **state)
{
    size_t size = (size_t)4 << 20;
    char *text = malloc(size + 2);
    memset(text, 'x', size + 1);
    text[size + 1] = '\0';
    rf *f = fixture();
    rf_method(f, "Length", RF_UNARY, "function(r) return tostring(#r) end");
    answered(post(f, "Length", HEADERS(JSON), (pl_str){text, size}), "200", "4194304");
    rf_call *call = post(f, "Length", HEADERS(JSON), (pl_str){text, size + 1});
    assert_string_equal(call->status, "429");
    assert_int_equal(pl_grpc_server_get_stats(rf_server(f)).held, 0);
    free(text);
    rf_free(f);
}

static void stream_is(rf_call *call, const char *messages, const char *end)
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
    pl_buf_str(&expected, pl_str_of(end));
    pl_grpc_message_end(&expected, begin, 2);
    assert_string_equal(call->status, "200");
    assert_true(call->ended);
    assert_int_equal(call->data.len, expected.len);
    assert_memory_equal(call->data.data, expected.data, expected.len);
    free(copy);
    pl_buf_dispose(&expected);
}

static void test_stream_ends(void **state)
{
    rf *f = fixture();
    stream_is(rf_unary(f, "Count", HEADERS(STREAM), "2"), "n1|n2", "{\"metadata\":{\"done\":[\"yes\"]}}");
    stream_is(rf_unary(f, "Count", HEADERS(STREAM), "0"), "", "{\"metadata\":{\"done\":[\"yes\"]}}");
    stream_is(rf_unary(f, "Half", HEADERS(STREAM), ""), "one",
              "{\"error\":{\"code\":\"aborted\",\"message\":\"enough\"}}");
    stream_is(rf_unary(f, "Nope", HEADERS(STREAM), ""), "",
              "{\"error\":{\"code\":\"unimplemented\",\"message\":\"unknown method Nope for service t.S\"}}");
    rf_call *call = rf_begin(f, "Chat", HEADERS(STREAM));
    rf_send(call, "a", false);
    rf_turn(f);
    assert_int_equal(call->data.len, 5 + 4); /* both ways at once */
    rf_send(call, "b", true);
    rf_turn(f);
    stream_is(call, "re a|re b", "{}");
    rf_free(f);
}

static void test_bad_streams(void **state)
{
    static const struct {
        pl_str bytes;
        const char *error;
    } cases[] = {{{"\0\0\0", 3}, "internal"},        {{"\0\0\0\0\5ab", 7}, "internal"},
                 {{"\2\0\0\0\2{}", 7}, "internal"},  {{"\1\0\0\0\1a", 6}, "internal"},
                 {{"\x80\0\0\0\1a", 6}, "internal"}, {{"\0\0\x50\0\1a", 6}, "resource_exhausted"},
                 {{"", 0}, "unimplemented"}};
    char expected[64];
    rf *f = fixture();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rf_call *call = post(f, "Count", HEADERS(STREAM), cases[i].bytes);
        snprintf(expected, sizeof expected, "{\"error\":{\"code\":\"%s\",", cases[i].error);
        assert_string_equal(call->status, "200");
        assert_true(call->data.len > 5 && call->data.data[0] == 2);
        assert_memory_equal(call->data.data + 5, expected, strlen(expected));
    }
    rf_call *call = rf_unary(f, "Count", HEADERS(STREAM, "connect-content-encoding", "br"), "1");
    assert_non_null(memmem(call->data.data, call->data.len, "unimplemented", 13));
    assert_int_equal(rf_in_flight(f), 0);
    rf_free(f);
}

static void test_allocations(void **state)
{
    failing a = {.dense = 60, .step = 5};
    while (failing_next(&a)) {
        rf *f = fixture();
        rf_unary(f, "Count", HEADERS(STREAM), "1");
        rf_call *unary = rf_begin(f, "Echo", HEADERS(JSON)), *fails = rf_begin(f, "Fail", HEADERS(JSON)),
                *stream = rf_begin(f, "Half", HEADERS(STREAM));
        rf_send_bytes(unary, PL_STR("1"), true);
        rf_send_bytes(fails, PL_STR("1"), true);
        rf_send(stream, "1", true);
        failing_begin(&a);
        rf_turn(f);
        bool failed = failing_end(&a);
        if (!failed) {
            answered(unary, "200", "1");
            assert_string_equal(fails->status, "400");
            stream_is(stream, "one", "{\"error\":{\"code\":\"aborted\",\"message\":\"enough\"}}");
        }
        rf_free(f);
    }
    assert_true(a.made > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_required_version),
        cmocka_unit_test(test_deadline),     cmocka_unit_test(test_compressed_bodies),
        cmocka_unit_test(test_large_bodies), cmocka_unit_test(test_stream_ends),
        cmocka_unit_test(test_bad_streams),  cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
