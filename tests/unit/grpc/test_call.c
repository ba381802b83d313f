/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/grpc_fixture.h"

#define HEADERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_unary(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Echo", RF_UNARY, "function(r) return 'echo ' .. r end");
    rf_call *call = rf_unary(f, "Echo", NULL, "hello");
    rf_ok(call, "echo hello");
    assert_string_equal(rf_header(call, "content-type"), "application/grpc");
    assert_null(rf_header(call, "grpc-encoding"));
    assert_null(rf_trailer(call, "grpc-message"));
    assert_true(call->closed && !call->reset);
    rf_ok(rf_unary(f, "Echo", HEADERS("content-type", "application/grpc+proto"), ""), "echo ");
    assert_int_equal(rf_in_flight(f), 0);
    rf_free(f);
}

static void test_server_stream(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Count", RF_SERVER,
              "function(r, call) for i = 1, tonumber(r) do call:send('n' .. i) end end");
    rf_ok(rf_unary(f, "Count", NULL, "3"), "n1|n2|n3");
    rf_ok(rf_unary(f, "Count", NULL, "0"), "");
    rf_free(f);
}

static void test_client_stream(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Join", RF_CLIENT,
              "function(call) local t = {} for m in call:messages() do t[#t + 1] = m end return "
              "table.concat(t, ',') end");
    rf_call *call = rf_begin(f, "Join", NULL);
    rf_turn(f);
    assert_int_equal(rf_in_flight(f), 1);
    rf_send(call, "a", false);
    rf_turn(f);
    rf_send(call, "b", false);
    rf_send(call, "", true);
    rf_turn(f);
    rf_ok(call, "a,b,");
    call = rf_begin(f, "Join", NULL);
    rf_end(call);
    rf_turn(f);
    rf_ok(call, "");
    rf_free(f);
}

/* Answers come while the request goes on. */
static void test_bidi(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Chat", RF_BIDI, "function(call) for m in call:messages() do call:send('re ' .. m) end end");
    rf_call *call = rf_begin(f, "Chat", NULL);
    rf_send(call, "one", false);
    rf_turn(f);
    assert_string_equal(rf_messages(call), "re one");
    rf_send(call, "two", false);
    rf_turn(f);
    assert_string_equal(rf_messages(call), "re one|re two");
    assert_false(call->ended);
    rf_end(call);
    rf_turn(f);
    rf_ok(call, "re one|re two");
    rf_free(f);
}

static void test_receive_in_a_coroutine(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Pairs", RF_BIDI,
              "function(call)\n"
              "  local next = coroutine.wrap(function() while true do\n"
              "    local a = call:receive() local b = a and call:receive()\n"
              "    coroutine.yield(b and a .. '+' .. b) end end)\n"
              "  for pair in next do call:send(pair) end\n"
              "  assert(call:receive() == nil)\n"
              "end");
    rf_call *call = rf_begin(f, "Pairs", NULL);
    for (const char *const *m = (const char *const[]){"a", "b", "c", "d", "e", NULL}; *m; m++) {
        rf_send(call, *m, false);
        rf_turn(f);
    }
    rf_end(call);
    rf_turn(f);
    rf_ok(call, "a+b|c+d");
    rf_free(f);
}

static void test_waiting(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Slow", RF_UNARY, "function(r) sleep(2) return r end");
    rf_call *call = rf_unary(f, "Slow", NULL, "x"), *other = rf_unary(f, "Slow", NULL, "y");
    assert_int_equal(rf_in_flight(f), 2);
    rf_wait(f, 1900);
    assert_false(call->ended);
    rf_wait(f, 200);
    rf_ok(call, "x");
    rf_ok(other, "y");
    rf_free(f);
}

/* --- errors --- */
static void test_errors(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Missing", RF_UNARY, "function() error(errors.not_found 'no such \\xc3\\xbcser') end");
    rf_method(f, "Invalid", RF_UNARY,
              "function() error(errors.invalid_argument('bad', {name = 'too long'})) end");
    rf_method(f, "Crash", RF_UNARY, "function() error('secret') end");
    rf_method(f, "Nothing", RF_UNARY, "function() end");
    rf_method(f, "After", RF_SERVER, "function(r, call) call:send 'one' error(errors.aborted 'enough') end");
    rf_call *call = rf_unary(f, "Missing", NULL, "");
    rf_fails(call, PL_NOT_FOUND, "no such %C3%BCser");
    assert_int_equal(call->trailers.len, 0); /* Trailers-Only */
    call = rf_unary(f, "Invalid", NULL, "");
    rf_fails(call, PL_INVALID_ARGUMENT, "bad");
    assert_non_null(rf_trailer(call, "grpc-status-details-bin"));
    call = rf_unary(f, "Crash", NULL, "");
    rf_fails(call, PL_INTERNAL, "Internal server error (request 0000abcd");
    assert_null(strstr(rf_trailer(call, "grpc-message"), "secret"));
    assert_non_null(strstr(rf_log(f), "secret"));
    assert_non_null(strstr(rf_log(f), "t.S/Crash"));
    rf_fails(rf_unary(f, "Nothing", NULL, ""), PL_INTERNAL, "Internal server error");
    assert_non_null(strstr(rf_log(f), "a message must be a string here, not nothing"));
    call = rf_unary(f, "After", NULL, "");
    rf_fails(call, PL_ABORTED, "enough");
    assert_string_equal(rf_messages(call), "one");
    assert_null(rf_header(call, "grpc-status"));
    rf_free(f);
}

static void test_refusals(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Echo", RF_UNARY, "function(r) return r end");
    rf_fails(rf_unary(f, "Nope", NULL, ""), PL_UNIMPLEMENTED, "unknown method Nope for service t.S");
    rf_fails(rf_unary(f, "/t.T/Echo", NULL, ""), PL_UNIMPLEMENTED, "unknown service t.T");
    rf_fails(rf_unary(f, "/Echo", NULL, ""), PL_UNIMPLEMENTED, "the path is not");
    rf_fails(rf_unary(f, "Echo", HEADERS("grpc-timeout", "5x"), ""), PL_INTERNAL, "grpc-timeout");
    rf_call *call = rf_unary(f, "Echo", HEADERS("grpc-encoding", "snappy"), "");
    rf_fails(call, PL_UNIMPLEMENTED, "the compression snappy is not supported");
    assert_string_equal(rf_header(call, "grpc-accept-encoding"), "identity,gzip,deflate,zstd");
    call = rf_unary(f, "Echo", HEADERS(":method", "GET"), "");
    assert_string_equal(call->status, "405");
    call = rf_unary(f, "Echo", HEADERS("content-type", "text/plain"), "");
    assert_string_equal(call->status, "415");
    call = rf_unary(f, "Echo", HEADERS("content-type", ""), "");
    assert_string_equal(call->status, "415");
    call = rf_unary(f, "Echo", HEADERS("content-type", "application/grpc-webx"), "");
    assert_string_equal(call->status, "415");
    pl_grpc_server_set_service(rf_server(f), NULL);
    rf_fails(rf_unary(f, "Echo", NULL, ""), PL_UNIMPLEMENTED, "unknown service t.S");
    rf_free(f);
}

static void test_message_count(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Echo", RF_UNARY, "function(r) return r end");
    rf_call *call = rf_begin(f, "Echo", NULL);
    rf_end(call);
    rf_turn(f);
    rf_fails(call, PL_UNIMPLEMENTED, "not none");
    call = rf_begin(f, "Echo", NULL);
    rf_send(call, "a", false);
    rf_send(call, "b", true);
    rf_turn(f);
    rf_fails(call, PL_UNIMPLEMENTED, "not several");
    rf_free(f);
}

static void test_malformed_messages(void **state)
{
    static const struct {
        pl_str bytes;
        pl_code code;
        const char *text;
    } cases[] = {{{"\0\0\0", 3}, PL_INTERNAL, "middle of a message"},
                 {{"\0\0\0\0\5ab", 7}, PL_INTERNAL, "middle of a message"},
                 {{"\2\0\0\0\1a", 6}, PL_INTERNAL, "flags"},
                 {{"\1\0\0\0\1a", 6}, PL_INTERNAL, "the headers name no compression"},
                 {{"\0\0\x50\0\1a", 6}, PL_RESOURCE_EXHAUSTED, "5242881 bytes"}};
    rf *f = rf_new(NULL);
    rf_method(f, "Echo", RF_UNARY, "function(r) return r end");
    rf_method(f, "Chat", RF_BIDI, "function(call) for m in call:messages() do call:send(m) end end");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int chat = 0; chat < 2; chat++) {
            rf_call *call = rf_begin(f, chat ? "Chat" : "Echo", NULL);
            rf_send_bytes(call, cases[i].bytes, true);
            rf_turn(f);
            rf_fails(call, cases[i].code, cases[i].text);
        }
    }
    rf_free(f);
}

/* A method that catches the error of a message has the call go on, but gets no other message. */
static void test_caught(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Chat", RF_BIDI,
              "function(call)\n"
              "  for i = 1, 2 do\n"
              "    local ok, e = pcall(call.receive, call)\n"
              "    call:send(tostring(ok) .. ' ' .. e.code)\n"
              "  end\n"
              "end");
    rf_call *call = rf_begin(f, "Chat", NULL);
    rf_send_bytes(call, PL_STR("\7\0\0\0\0"), false);
    rf_turn(f);
    rf_ok(call, "false INTERNAL|false INTERNAL");
    rf_free(f);
}

static void test_wrong_use(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "A", RF_UNARY, "function(r, call) call:send 'x' end");
    rf_method(f, "B", RF_UNARY, "function(r, call) call:receive() end");
    rf_method(f, "C", RF_SERVER, "function(r, call) call:send(42) end");
    rf_method(f, "D", RF_UNARY, "function(r, call) kept = call return '' end");
    rf_method(f, "E", RF_UNARY, "function(r, call) kept:send 'x' end");
    rf_method(f, "F", RF_UNARY, "function(r, call) return tostring(pcall(kept.messages, kept)) end");
    rf_fails(rf_unary(f, "A", NULL, ""), PL_FAILED_PRECONDITION, "t.S/A has one response, which it returns");
    rf_fails(rf_unary(f, "B", NULL, ""), PL_FAILED_PRECONDITION, "t.S/B takes one request");
    rf_fails(rf_unary(f, "C", NULL, ""), PL_INTERNAL,
             "Internal server error"); /* for the log, with its place */
    assert_non_null(strstr(rf_log(f), "]:1: a message must be a string here, not an integer"));
    rf_ok(rf_unary(f, "D", NULL, ""), "");
    rf_fails(rf_unary(f, "E", NULL, ""), PL_INTERNAL, NULL); /* no method any more */
    rf_free(f);
}

/* --- metadata --- */
static void test_request_metadata(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Echo", RF_UNARY,
              "function(r, call)\n"
              "  local m, names = call.metadata, {}\n"
              "  for k, v in pairs(m) do names[#names + 1] = k .. '=' .. table.concat(v, ';') end\n"
              "  table.sort(names)\n"
              "  return table.concat(names, ' ')\n"
              "end");
    rf_method(
        f, "Ctx", RF_UNARY,
        "function(r, call) return table.concat({call.method, call.protocol, call.peer, call.headers.host,"
        " call.headers['x-a'], call.operation_kind, tostring(call.deadline)}, ' ') end");
    rf_ok(rf_unary(f, "Echo",
                   HEADERS("x-a", "1", "x-b-bin", "YWI,Yw==", "x-a", "2, 3", "x-b-bin", "ZA", "x-b-bin", "?",
                           "grpc-accept-encoding", "gzip", "grpc-trace-bin", "YQ"),
                   ""),
          "grpc-trace-bin=a host=test x-a=1;2, 3 x-b-bin=ab;c;d");
    rf_ok(rf_unary(f, "Ctx", HEADERS("x-a", "1", "x-a", "2", "grpc-timeout", "2S"), ""),
          "t.S/Ctx grpc 10.0.0.1:1234 test 1, 2 unary 2.0");
    rf_free(f);
}

static void test_response_metadata(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "All", RF_UNARY,
              "function(r, call)\n"
              "  call.response_headers['X-H'] = {'1', '2'}\n"
              "  call.response_headers['h-bin'] = '\\0\\255'\n"
              "  call.trailers['x-t'] = 7\n"
              "  if r == 'fail' then error(errors.aborted 'no') end\n"
              "  return ''\n"
              "end");
    rf_method(f, "Early", RF_BIDI,
              "function(call) call:send_headers { early = 'yes' } call:receive()\n"
              "  local ok, e = pcall(call.send_headers, call) call:send(e.message) end");
    rf_method(f, "Bad", RF_UNARY,
              "function(r, call) call:send_headers { ['grpc-status'] = '0' } return '' end");
    rf_method(f, "Quiet", RF_UNARY,
              "function(r, call) call.trailers.x = {} call.trailers.y = '\\n' return '' end");
    rf_call *call = rf_unary(f, "All", NULL, "");
    rf_ok(call, "");
    assert_string_equal(rf_header(call, "x-h"), "1");
    assert_non_null(strstr(call->headers.data, "x-h: 2\n"));
    assert_string_equal(rf_header(call, "h-bin"), "AP8");
    assert_string_equal(rf_trailer(call, "x-t"), "7");
    call = rf_unary(f, "All", NULL, "fail");
    rf_fails(call, PL_ABORTED, "no");
    assert_string_equal(rf_header(call, "x-h"), "1"); /* headers are not trailers */
    assert_string_equal(rf_trailer(call, "x-t"), "7");
    assert_null(rf_trailer(call, "x-h"));
    call = rf_begin(f, "Early", NULL);
    rf_turn(f);
    assert_string_equal(rf_header(call, "early"), "yes");
    assert_int_equal(call->data.len, 0);
    rf_end(call);
    rf_turn(f);
    rf_ok(call, "the headers have been sent already");
    rf_fails(rf_unary(f, "Bad", NULL, ""), PL_INVALID_ARGUMENT, "reserved");
    rf_ok(rf_unary(f, "Quiet", NULL, ""), "");
    assert_non_null(strstr(rf_log(f), "metadata cannot be sent"));
    rf_free(f);
}

/* --- compression --- */
static void test_compression(void **state)
{
    static const char *const names[] = {"gzip", "deflate", "zstd"};
    char large[5000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    rf *f = rf_new(NULL);
    rf_method(f, "Echo", RF_UNARY, "function(r) return r end");
    pl_grpc_coder *coder = pl_grpc_coder_new();
    for (int i = 0; i < 3; i++) {
        pl_buf bytes;
        pl_error err;
        pl_buf_init(&bytes);
        size_t begin = pl_grpc_message_begin(&bytes);
        assert_int_equal(pl_grpc_compress(coder, PL_GRPC_GZIP + i, pl_str_of(large), &bytes, &err), PL_OK);
        pl_grpc_message_end(&bytes, begin, PL_GRPC_FLAG_COMPRESSED);
        rf_call *call =
            rf_begin(f, "Echo", HEADERS("grpc-encoding", names[i], "grpc-accept-encoding", names[i]));
        rf_send_bytes(call, pl_buf_view(&bytes), true);
        rf_turn(f);
        assert_string_equal(rf_header(call, "grpc-encoding"), names[i]);
        assert_int_equal(rf_messages(call)[0], '~');
        assert_true(call->data.len < 200);
        /* not when the client does not say that it reads it, or the message is small */
        call = rf_begin(f, "Echo", HEADERS("grpc-encoding", names[i]));
        rf_send_bytes(call, pl_buf_view(&bytes), true);
        rf_turn(f);
        rf_ok(call, large);
        call = rf_unary(f, "Echo", HEADERS("grpc-encoding", names[i], "grpc-accept-encoding", names[i]),
                        "small");
        rf_ok(call, "small");
        pl_buf_dispose(&bytes);
    }
    pl_grpc_coder_free(coder);
    rf_free(f);
}

static void test_compression_settings(void **state)
{
    char large[2000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    rf *f = rf_new(&(rf_options){.calls = {.compression = PL_GRPC_ALWAYS, .coding = PL_GRPC_ZSTD}});
    rf_method(f, "Echo", RF_UNARY, "function(r) return r end");
    rf_call *call = rf_unary(f, "Echo", HEADERS("grpc-accept-encoding", "identity, zstd"), large);
    assert_string_equal(rf_header(call, "grpc-encoding"), "zstd");
    assert_true(call->data.len < 200);
    rf_ok(rf_unary(f, "Echo", HEADERS("grpc-accept-encoding", "gzip"), large), large);
    rf_free(f);
}

static void test_bomb(void **state)
{
    size_t size = (size_t)5 << 20;
    char *zeros = calloc(1, size);
    pl_buf bytes;
    pl_error err;
    pl_grpc_coder *coder = pl_grpc_coder_new();
    pl_buf_init(&bytes);
    size_t begin = pl_grpc_message_begin(&bytes);
    pl_grpc_compress(coder, PL_GRPC_GZIP, (pl_str){zeros, size}, &bytes, &err);
    pl_grpc_message_end(&bytes, begin, PL_GRPC_FLAG_COMPRESSED);
    rf *f = rf_new(NULL);
    rf_method(f, "Echo", RF_UNARY, "function(r) return r end");
    rf_call *call = rf_begin(f, "Echo", HEADERS("grpc-encoding", "gzip"));
    rf_send_bytes(call, pl_buf_view(&bytes), true);
    rf_turn(f);
    rf_fails(call, PL_RESOURCE_EXHAUSTED, "more than 4194304 bytes");
    pl_buf_dispose(&bytes);
    pl_grpc_coder_free(coder);
    free(zeros);
    rf_free(f);
}

/* --- deadlines and cancellation --- */
static const char closing[] =
    "function(call)\n"
    "  local guard <close> = setmetatable({}, {__close = function() closed = true end})\n"
    "  for m in call:messages() do if m == 'sleep' then sleep(60) else call:send(m) end end\n"
    "end";

static void test_deadline(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Chat", RF_BIDI, closing);
    rf_method(f, "Closed", RF_UNARY, "function() local c = closed closed = nil return tostring(c) end");
    rf_call *call = rf_begin(f, "Chat", HEADERS("grpc-timeout", "500m"));
    rf_send(call, "a", false);
    rf_send(call, "sleep", false);
    rf_turn(f);
    rf_wait(f, 499);
    assert_false(call->ended);
    rf_wait(f, 2);
    rf_fails(call, PL_DEADLINE_EXCEEDED, "Deadline exceeded");
    assert_string_equal(rf_messages(call), "a");
    assert_true(call->reset); /* the request had not ended */
    assert_int_equal(call->error, 0);
    assert_int_equal(rf_in_flight(f), 0);
    rf_ok(rf_unary(f, "Closed", NULL, ""), "true");
    rf_fails(rf_unary(f, "Closed", HEADERS("grpc-timeout", "0n"), ""), PL_DEADLINE_EXCEEDED, "Deadline");
    /* before a message has come */
    call = rf_begin(f, "Closed", HEADERS("grpc-timeout", "1S"));
    rf_turn(f);
    rf_wait(f, 1001);
    rf_fails(call, PL_DEADLINE_EXCEEDED, "Deadline");
    rf_free(f);
}

static void test_own_timeout(void **state)
{
    rf *f = rf_new(&(rf_options){.calls = {.timeout_ms = 300}});
    rf_method(f, "Chat", RF_BIDI, closing);
    rf_method(f, "Left", RF_UNARY, "function(r, call) return tostring(call.deadline) end");
    rf_ok(rf_unary(f, "Left", NULL, ""), "0.3");
    rf_ok(rf_unary(f, "Left", HEADERS("grpc-timeout", "100m"), ""), "0.1");
    rf_ok(rf_unary(f, "Left", HEADERS("grpc-timeout", "100H"), ""), "0.3");
    rf_call *call = rf_begin(f, "Chat", NULL);
    rf_turn(f);
    rf_wait(f, 301);
    rf_fails(call, PL_DEADLINE_EXCEEDED, NULL);
    rf_free(f);
}

static void test_cancel(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Chat", RF_BIDI, closing);
    rf_method(f, "Closed", RF_UNARY, "function() local c = closed closed = nil return tostring(c) end");
    static const char *const first[] = {"a", "sleep"};
    for (int i = 0; i < 2; i++) { /* while it receives, and while it sleeps */
        rf_call *call = rf_begin(f, "Chat", NULL);
        rf_send(call, first[i], false);
        rf_turn(f);
        assert_int_equal(rf_in_flight(f), 1);
        rf_reset(call, 8);
        rf_turn(f);
        assert_int_equal(rf_in_flight(f), 0);
        rf_ok(rf_unary(f, "Closed", NULL, ""), "true");
    }
    rf_call *call = rf_begin(f, "Closed", NULL); /* and before it has begun */
    rf_turn(f);
    rf_reset(call, 8);
    rf_turn(f);
    assert_int_equal(rf_in_flight(f), 0);
    rf_free(f);
}

/* The connection goes while calls are at work. */
static void test_connection_lost(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Chat", RF_BIDI, closing);
    for (int i = 0; i < 10; i++)
        rf_send(rf_begin(f, "Chat", NULL), i % 2 ? "sleep" : "a", false);
    rf_turn(f);
    assert_int_equal(rf_in_flight(f), 10);
    rf_free(f); /* asserts that none is left */
}

static void test_service_ends_calls(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Chat", RF_BIDI, closing);
    rf_call *call = rf_begin(f, "Chat", NULL), *other = rf_begin(f, "Chat", NULL);
    rf_send(other, "sleep", false);
    rf_turn(f);
    pl_grpc_service_end_calls(rf_service(f), "The server has gone over to a newer version.");
    rf_turn(f);
    rf_fails(call, PL_UNAVAILABLE, "newer version");
    rf_fails(other, PL_UNAVAILABLE, "newer version");
    rf_free(f);
}

/* --- back-pressure --- */
static void test_slow_reader(void **state)
{
    rf *f = rf_new(&(rf_options){.no_window_update = true});
    rf_method(f, "Flood", RF_SERVER,
              "function(r, call)\n"
              "  sent = 0\n"
              "  local m = ('x'):rep(10000)\n"
              "  for i = 1, 100 do call:send(m) sent = i end\n"
              "end");
    rf_method(f, "Sent", RF_UNARY, "function() return tostring(sent) end");
    rf_call *call = rf_unary(f, "Flood", NULL, "");
    rf_call *sent = rf_unary(f, "Sent", NULL, "");
    int n = atoi(rf_messages(sent));
    /* What the window holds, 64 KiB that wait, and one. */
    assert_in_range(n, 11, 14);
    assert_false(call->ended);
    while (!call->ended) {
        size_t before = call->data.len;
        rf_take_all(f);
        assert_true(call->data.len > before);
    }
    assert_int_equal(call->data.len, 100 * 10005);
    assert_string_equal(rf_trailer(call, "grpc-status"), "0");
    rf_free(f);
}

static void test_slow_reader_leaves(void **state)
{
    rf *f = rf_new(&(rf_options){.no_window_update = true});
    rf_method(f, "Flood", RF_SERVER,
              "function(r, call) local m = ('x'):rep(10000) while true do call:send(m) end end");
    rf_call *call = rf_unary(f, "Flood", NULL, "");
    assert_int_equal(rf_in_flight(f), 1);
    rf_reset(call, 8);
    rf_turn(f);
    assert_int_equal(rf_in_flight(f), 0);
    call = rf_unary(f, "Flood", HEADERS("grpc-timeout", "1S"), "");
    rf_wait(f, 1001);
    assert_true(call->reset); /* trailers could not be sent */
    assert_int_equal(call->error, 8);
    assert_int_equal(rf_in_flight(f), 0);
    rf_free(f);
}

/* What a script does not take is not asked for. */
static void test_slow_script(void **state)
{
    rf *f = rf_new(&(rf_options){.session = {.stream_window = 100000}});
    rf_method(f, "Take", RF_CLIENT,
              "function(call) local n = 0 sleep(10)\n"
              "  for m in call:messages() do n = n + #m end return tostring(n) end");
    rf_call *call = rf_begin(f, "Take", NULL);
    char message[10001];
    memset(message, 'x', 10000);
    message[10000] = '\0';
    for (int i = 0; i < 50; i++)
        rf_send(call, message, i == 49);
    rf_turn(f);
    assert_int_equal(call->out_sent, 100000);
    assert_int_equal(pl_grpc_server_get_stats(rf_server(f)).held, 100000);
    rf_wait(f, 10001);
    rf_ok(call, "500000");
    assert_int_equal(pl_grpc_server_get_stats(rf_server(f)).held, 0);
    rf_free(f);
}

/* A message larger than the window comes whole, as somebody waits for it. */
static void test_large_message(void **state)
{
    rf *f = rf_new(NULL);
    rf_method(f, "Size", RF_UNARY, "function(r) return tostring(#r) end");
    rf_method(f, "Sizes", RF_BIDI,
              "function(call) for m in call:messages() do call:send(tostring(#m)) end end");
    size_t size = (size_t)4 << 20;
    char *message = malloc(size + 2);
    memset(message, 'x', size + 1);
    message[size] = '\0';
    rf_ok(rf_unary(f, "Size", NULL, message), "4194304");
    rf_call *call = rf_begin(f, "Sizes", NULL);
    rf_send(call, message, false);
    rf_send(call, message, true);
    rf_turn(f);
    rf_ok(call, "4194304|4194304");
    message[size] = 'x';
    message[size + 1] = '\0';
    rf_fails(rf_unary(f, "Size", NULL, message), PL_RESOURCE_EXHAUSTED,
             "4194305 bytes, and 4194304 are allowed");
    free(message);
    rf_free(f);
}

static void test_held_bound(void **state)
{
    rf *f = rf_new(&(rf_options){.server = {.max_held = 300000}});
    rf_method(f, "Take", RF_CLIENT, "function(call) sleep(10) return '' end");
    char *message = malloc(200001);
    memset(message, 'x', 200000);
    message[200000] = '\0';
    rf_call *first = rf_begin(f, "Take", NULL), *second = rf_begin(f, "Take", NULL);
    rf_send(first, message, true);
    rf_turn(f);
    rf_send(second, message, true);
    rf_turn(f);
    rf_fails(second, PL_RESOURCE_EXHAUSTED, "more than it can hold");
    rf_wait(f, 10001);
    rf_ok(first, "");
    assert_int_equal(pl_grpc_server_get_stats(rf_server(f)).held, 0);
    free(message);
    rf_free(f);
}

/* Those that begin a large message and never finish it have to make room. */
static void test_held_by_the_unfinished(void **state)
{
    rf *f = rf_new(&(rf_options){.server = {.max_held = 300000}});
    rf_method(f, "Size", RF_UNARY, "function(r) return tostring(#r) end");
    char *message = malloc(100001);
    memset(message, 'x', 100000);
    message[100000] = '\0';
    rf_call *greedy[3];
    for (int i = 0; i < 3; i++) {
        greedy[i] = rf_begin(f, "Size", NULL);
        rf_send_bytes(greedy[i], PL_STR("\0\0\3\0\0"), false);
        rf_send_bytes(greedy[i], (pl_str){message, i == 1 ? 99999 : 90000}, false);
        rf_turn(f);
    }
    rf_call *call = rf_begin(f, "Size", NULL);
    rf_send(call, message, true);
    rf_turn(f);
    rf_ok(call, "100000");
    rf_fails(greedy[1], PL_RESOURCE_EXHAUSTED, "more than it can hold");
    rf_free(f);
    free(message);
}

/* --- interceptors --- */
static void test_interceptor(void **state)
{
    rf *f = rf_new(&(rf_options){
        .interceptor = "function(ctx, next)\n"
                       "  if ctx.headers['x-deny'] then error(errors.unauthenticated 'who are you?') end\n"
                       "  if ctx.headers['x-wait'] then sleep(1) end\n"
                       "  ctx.user = 'ann'\n"
                       "  local outcome = next(ctx)\n"
                       "  ctx.trailers['x-outcome'] = outcome.code .. ' ' .. outcome.errors\n"
                       "  if ctx.headers['x-late'] then sleep(1) end\n"
                       "  if ctx.headers['x-hide'] then error(errors.internal 'hidden') end\n"
                       "end"});
    rf_method(f, "Who", RF_UNARY, "function(r, call) return call.user end");
    rf_method(f, "Fail", RF_UNARY,
              "function(r, call) error(errors.not_found('none', {extensions = {a = 1}})) end");
    rf_method(f, "Chat", RF_BIDI,
              "function(call) for m in call:messages() do call:send(call.user .. m) end end");
    rf_call *call = rf_unary(f, "Who", NULL, "");
    rf_ok(call, "ann");
    assert_string_equal(rf_trailer(call, "x-outcome"), "OK 0");
    rf_fails(rf_unary(f, "Who", HEADERS("x-deny", "1"), ""), PL_UNAUTHENTICATED, "who are you?");
    call = rf_unary(f, "Fail", NULL, "");
    rf_fails(call, PL_NOT_FOUND, "none");
    assert_string_equal(rf_trailer(call, "x-outcome"), "NOT_FOUND 1");
    rf_fails(rf_unary(f, "Fail", HEADERS("x-hide", "1"), ""), PL_INTERNAL, "hidden");
    call = rf_unary(f, "Who", HEADERS("x-wait", "1", "x-late", "1"), "");
    rf_wait(f, 1500);
    assert_false(call->ended);
    rf_wait(f, 600);
    rf_ok(call, "ann");
    call = rf_begin(f, "Chat", NULL);
    rf_send(call, "1", false);
    rf_turn(f);
    assert_string_equal(rf_messages(call), "ann1");
    rf_end(call);
    rf_turn(f);
    rf_ok(call, "ann1");
    /* cancelled while the method runs, and while the interceptor goes on after it */
    call = rf_begin(f, "Chat", HEADERS("x-late", "1"));
    rf_turn(f);
    rf_reset(call, 8);
    rf_turn(f);
    call = rf_unary(f, "Who", HEADERS("x-late", "1"), "");
    rf_reset(call, 8);
    rf_turn(f);
    assert_int_equal(rf_in_flight(f), 0);
    rf_free(f);
}

static void test_interceptor_without_next(void **state)
{
    rf *f = rf_new(&(rf_options){.interceptor = "function(ctx, next) end"});
    rf_method(f, "Who", RF_UNARY, "function(r, call) return '' end");
    rf_fails(rf_unary(f, "Who", NULL, ""), PL_INTERNAL, "Internal server error");
    assert_non_null(strstr(rf_log(f), "without calling next"));
    rf_free(f);
}

/* One call sends to another one's client: it is woken when that ends. */
static void test_calls_of_others(void **state)
{
    rf *f = rf_new(&(rf_options){.no_window_update = true});
    rf_method(f, "Room", RF_BIDI, "function(call) room = call call:receive() end");
    rf_method(f, "Say", RF_UNARY,
              "function(r) local m = ('x'):rep(50000) for i = 1, tonumber(r) do room:send(m) end return "
              "'said' end");
    rf_call *room = rf_begin(f, "Room", NULL);
    rf_turn(f);
    rf_call *one = rf_unary(f, "Say", NULL, "1");
    rf_ok(one, "said");
    rf_call *many = rf_unary(f, "Say", NULL, "10"), *more = rf_unary(f, "Say", NULL, "10");
    assert_false(many->ended);
    rf_reset(room, 8);
    rf_turn(f);
    rf_fails(many, PL_CANCELLED, "the call is over");
    rf_fails(more, PL_CANCELLED, "the call is over");
    rf_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unary),
                                       cmocka_unit_test(test_server_stream),
                                       cmocka_unit_test(test_client_stream),
                                       cmocka_unit_test(test_bidi),
                                       cmocka_unit_test(test_receive_in_a_coroutine),
                                       cmocka_unit_test(test_waiting),
                                       cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_message_count),
                                       cmocka_unit_test(test_malformed_messages),
                                       cmocka_unit_test(test_caught),
                                       cmocka_unit_test(test_wrong_use),
                                       cmocka_unit_test(test_request_metadata),
                                       cmocka_unit_test(test_response_metadata),
                                       cmocka_unit_test(test_compression),
                                       cmocka_unit_test(test_compression_settings),
                                       cmocka_unit_test(test_bomb),
                                       cmocka_unit_test(test_deadline),
                                       cmocka_unit_test(test_own_timeout),
                                       cmocka_unit_test(test_cancel),
                                       cmocka_unit_test(test_connection_lost),
                                       cmocka_unit_test(test_service_ends_calls),
                                       cmocka_unit_test(test_slow_reader),
                                       cmocka_unit_test(test_slow_reader_leaves),
                                       cmocka_unit_test(test_slow_script),
                                       cmocka_unit_test(test_large_message),
                                       cmocka_unit_test(test_held_bound),
                                       cmocka_unit_test(test_held_by_the_unfinished),
                                       cmocka_unit_test(test_interceptor),
                                       cmocka_unit_test(test_interceptor_without_next),
                                       cmocka_unit_test(test_calls_of_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
