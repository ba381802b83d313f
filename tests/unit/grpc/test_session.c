/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "base/alloc.h"
#include "support/grpc_fixture.h"

#define HEADERS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static rf *start(pl_grpc_session_options session)
{
    rf *f = rf_new(&(rf_options){.session = session});
    rf_method(f, "Echo", RF_UNARY, "function(r) return r end");
    rf_method(f, "Wait", RF_UNARY, "function(r) sleep(1000) return r end");
    rf_method(f, "Chat", RF_BIDI, "function(call) for m in call:messages() do call:send(m) end end");
    rf_turn(f);
    return f;
}

/* A server that nobody has said anything to. */
static rf *start_silent(pl_grpc_session_options session)
{
    rf *f = rf_new(&(rf_options){.session = session, .silent = true});
    rf_method(f, "Wait", RF_CLIENT, "function(call) sleep(1000) return '' end");
    return f;
}

static void greet(rf *f)
{
    rf_raw(f, PL_STR(PREFACE));
    rf_frame(f, NGHTTP2_SETTINGS, 0, 0, PL_STR(""));
    rf_turn(f);
}

static bool is_open(rf *f)
{
    return pl_grpc_session_get_state(rf_session(f)) == PL_GRPC_SESSION_OPEN;
}

/* The session ended with this GOAWAY. */
static void said_goodbye(rf *f, uint32_t expected, const char *why)
{
    uint32_t error = 0;
    char text[128] = "";
    if (!rf_goaway(f, &error, text, sizeof text))
        fail_msg("no GOAWAY");
    assert_int_equal(error, expected);
    if (!strstr(text, why))
        fail_msg("\"%s\" is not \"%s\"", text, why);
    assert_int_equal(pl_grpc_session_get_state(rf_session(f)), PL_GRPC_SESSION_DONE);
}

/* The same, read from what a silent client got. */
static bool has_goaway(const rf *f, uint32_t error)
{
    pl_str sent = rf_sent(f);
    const unsigned char *p = (const unsigned char *)sent.ptr;
    for (size_t at = 0; at + 9 <= sent.len;) {
        size_t len = (size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2];
        if (p[at + 3] == NGHTTP2_GOAWAY && p[at + 9 + 7] == error)
            return true;
        at += 9 + len;
    }
    return false;
}

/* --- settings --- */
static void test_settings(void **state)
{
    rf *f = start((pl_grpc_session_options){.max_streams = 7, .stream_window = 100000, .max_headers = 5000});
    assert_int_equal(
        nghttp2_session_get_remote_settings(rf_client(f), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS), 7);
    assert_int_equal(nghttp2_session_get_remote_settings(rf_client(f), NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE),
                     100000);
    assert_int_equal(nghttp2_session_get_remote_settings(rf_client(f), NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE),
                     5000);
    assert_int_equal(nghttp2_session_get_remote_window_size(rf_client(f)), 1 << 20);
    rf_free(f);
}

/* --- streams --- */

/* HPACK: POST, http, the path, content-type; nothing indexed. */
static void raw_request(rf *f, uint32_t stream, const char *path, unsigned flags)
{
    char block[256];
    int n = snprintf(block, sizeof block,
                     "\x83\x86\x01\x01t\x04%c%s\x0f\x10\x10"
                     "application/grpc",
                     (int)strlen(path), path);
    rf_frame(f, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | flags, stream, (pl_str){block, (size_t)n});
}

/* A client that does not keep to the number of streams loses those alone. */
static void test_too_many_streams(void **state)
{
    rf *f = start_silent((pl_grpc_session_options){.max_streams = 3});
    greet(f);
    rf_frame(f, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, PL_STR(""));
    for (uint32_t i = 0; i < 10; i++)
        raw_request(f, 1 + 2 * i, "/t.S/Wait", 0);
    rf_turn(f);
    assert_true(is_open(f));
    pl_grpc_session_stats stats = pl_grpc_session_get_stats(rf_session(f));
    assert_int_equal(stats.streams, 3);
    assert_int_equal(stats.begun, 3);
    assert_int_equal(stats.refused, 7);
    assert_int_equal(rf_in_flight(f), 3);
    unsigned resets = 0;
    pl_str sent = rf_sent(f);
    const unsigned char *p = (const unsigned char *)sent.ptr;
    for (size_t at = 0; at + 9 <= sent.len;
         at += 9 + ((size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2])) {
        if (p[at + 3] == NGHTTP2_RST_STREAM) {
            assert_int_equal(p[at + 12], NGHTTP2_REFUSED_STREAM);
            resets++;
        }
    }
    assert_int_equal(resets, 7);
    rf_free(f);
}

static void test_rapid_reset(void **state)
{
    rf *f = start((pl_grpc_session_options){.max_resets = 10});
    for (int i = 0; i < 50; i++) { /* what five seconds allow */
        rf_call *call = rf_begin(f, "Wait", NULL);
        rf_turn(f);
        rf_reset(call, NGHTTP2_CANCEL);
        rf_turn(f);
    }
    assert_true(is_open(f));
    rf_wait(f, 1000);
    for (int i = 0; i < 10; i++) {
        rf_call *call = rf_begin(f, "Wait", NULL);
        rf_turn(f);
        rf_reset(call, NGHTTP2_CANCEL);
        rf_turn(f);
    }
    assert_true(is_open(f));
    rf_call *call = rf_begin(f, "Wait", NULL);
    rf_turn(f);
    rf_reset(call, NGHTTP2_CANCEL);
    rf_turn(f);
    said_goodbye(f, NGHTTP2_ENHANCE_YOUR_CALM, "too many streams are reset");
    rf_free(f);
}

/* Resets that the server itself has to send, as a peer can bring about: with an increment that overflows a
 * stream's window. */
static void test_resets_provoked(void **state)
{
    rf *f = start_silent((pl_grpc_session_options){.max_resets = 10});
    greet(f);
    for (uint32_t i = 0; i < 60 && is_open(f); i++) {
        raw_request(f, 1 + 2 * i, "/t.S/Wait", 0);
        rf_frame(f, NGHTTP2_WINDOW_UPDATE, 0, 1 + 2 * i, PL_STR("\x7f\xff\xff\xff"));
        rf_turn(f);
    }
    assert_true(has_goaway(f, NGHTTP2_ENHANCE_YOUR_CALM));
    rf_free(f);
}

/* Streams beyond the number that is allowed, without end. */
static void test_refused_flood(void **state)
{
    rf *f = start_silent((pl_grpc_session_options){.max_streams = 3});
    greet(f);
    for (uint32_t i = 0; i < 20000 && is_open(f); i++) {
        raw_request(f, 1 + 2 * i, "/t.S/Wait", 0);
        if (i % 100 == 0)
            rf_turn(f);
    }
    rf_turn(f);
    assert_true(has_goaway(f, NGHTTP2_ENHANCE_YOUR_CALM));
    assert_int_equal(pl_grpc_session_get_stats(rf_session(f)).begun, 3);
    rf_free(f);
}

/* --- headers --- */

/* A request that is refused for its headers costs that request, not the connection. */
static void test_malformed_headers(void **state)
{
    static const struct {
        const char *block;
        size_t len;
    } blocks[] = {{"\x83\x86", 2},                        /* without a path */
                  {"\x83\x86\x84\x84", 4},                /* with two */
                  {"\x83\x86\x84\x00\x01X\x01y", 8},      /* a name in capitals */
                  {"\x83\x86\x84\x00\x01x\x01\n", 8},     /* a line feed */
                  {"\x83\x86\x84\x00\x02:x\x01y", 9},     /* an unknown pseudo-header */
                  {"\x83\x86\x84\x00\x02te\x04gzip", 12}, /* what HTTP/2 forbids */
                  {"\x83\x86\x84\x00\x0a"
                   "connection\x05"
                   "close",
                   21}};
    rf *f = start_silent((pl_grpc_session_options){.handshake_ms = 5000});
    greet(f);
    for (uint32_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        rf_frame(f, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1 + 2 * i,
                 (pl_str){blocks[i].block, blocks[i].len});
    rf_turn(f);
    assert_true(is_open(f));
    assert_int_equal(rf_in_flight(f), 0);
    rf_wait(f, 6000);
    assert_true(is_open(f)); /* a block that was dropped is not waited for */
    raw_request(f, 101, "/t.S/Wait", 0);
    rf_turn(f);
    assert_int_equal(rf_in_flight(f), 1);
    rf_free(f);
}

static void test_large_headers(void **state)
{
    char value[4000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    rf *f = start((pl_grpc_session_options){.max_headers = 3000});
    rf_fails(rf_unary(f, "Echo", HEADERS("x-large", value), ""), PL_RESOURCE_EXHAUSTED,
             "metadata is too large");
    rf_ok(rf_unary(f, "Echo", NULL, "a"), "a");
    rf_free(f);
}

/* Few bytes on the wire that become many: the same indexed header, again and again. */
static void test_header_bomb(void **state)
{
    rf *f = start_silent((pl_grpc_session_options){.max_headers = 16384});
    pl_buf block;
    greet(f);
    pl_buf_init(&block);
    PL_BUF_LIT(&block, "\x83\x86\x01\x01t\x04\x02/x");
    pl_buf_append(&block, "\x40\x01y\x7f\x81\x1e", 6); /* y: 4,096 - 32 - 1 - … bytes, into the table */
    char *value = calloc(1, 3968);
    memset(value, 'a', 3968);
    pl_buf_append(&block, value, 3968);
    free(value);
    for (int i = 0; i < 10000; i++)
        pl_buf_char(&block, (char)0xbe);
    rf_frame(f, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, pl_buf_view(&block));
    rf_turn(f);
    assert_true(has_goaway(f, NGHTTP2_ENHANCE_YOUR_CALM));
    pl_buf_dispose(&block);
    rf_free(f);
}

static void test_continuation_flood(void **state)
{
    rf *f = start_silent((pl_grpc_session_options){0});
    greet(f);
    rf_frame(f, NGHTTP2_HEADERS, 0, 1, PL_STR("\x83"));
    for (int i = 0; i < 100; i++)
        rf_frame(f, NGHTTP2_CONTINUATION, 0, 1, PL_STR(""));
    rf_turn(f);
    assert_false(is_open(f));
    rf_free(f);
}

static void test_slow_headers(void **state)
{
    rf *f = start_silent((pl_grpc_session_options){.handshake_ms = 5000});
    greet(f);
    rf_frame(f, NGHTTP2_HEADERS, 0, 1, PL_STR("\x83"));
    rf_turn(f);
    rf_wait(f, 4900);
    rf_frame(f, NGHTTP2_CONTINUATION, 0, 1, PL_STR("\x86"));
    rf_turn(f);
    assert_true(is_open(f));
    rf_wait(f, 200);
    assert_int_equal(pl_grpc_session_get_state(rf_session(f)), PL_GRPC_SESSION_BROKEN);
    rf_free(f);
}

/* --- the beginning --- */
static void test_silent(void **state)
{
    rf *f = start_silent((pl_grpc_session_options){0});
    rf_raw(f, PL_STR("PRI * HT"));
    rf_turn(f);
    rf_wait(f, 9900);
    assert_true(is_open(f));
    rf_wait(f, 200);
    assert_int_equal(pl_grpc_session_get_state(rf_session(f)), PL_GRPC_SESSION_BROKEN);
    rf_free(f);
}

static void test_not_http2(void **state)
{
    rf *f = start_silent((pl_grpc_session_options){0});
    rf_turn(f);
    assert_int_equal(rf_sent(f).len, 0); /* nothing is said before it is known what the client speaks */
    rf_raw(f, PL_STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    rf_turn(f);
    pl_str sent = rf_sent(f);
    const char *body = memmem(sent.ptr, sent.len, "\r\n\r\n", 4),
               *length = strstr(sent.ptr, "content-length: ");
    assert_true(pl_str_starts(sent, PL_STR("HTTP/1.1 505 ")));
    assert_int_equal(atoi(length + 16), sent.ptr + sent.len - body - 4);
    assert_int_equal(pl_grpc_session_get_state(rf_session(f)), PL_GRPC_SESSION_DONE);
    rf_free(f);
    f = start_silent((pl_grpc_session_options){0});
    rf_raw(f, PL_STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc"));
    rf_turn(f);
    assert_int_equal(pl_grpc_session_get_state(rf_session(f)), PL_GRPC_SESSION_BROKEN);
    assert_int_equal(rf_sent(f).len, 0);
    rf_free(f);
}

/* --- floods --- */
static void test_ping_flood(void **state)
{
    rf *f = start((pl_grpc_session_options){.ping_interval_ms = 10000});
    nghttp2_submit_ping(rf_client(f), NGHTTP2_FLAG_NONE, NULL);
    rf_turn(f);
    for (int i = 0; i < 10; i++) { /* slow enough */
        rf_wait(f, 10000);
        nghttp2_submit_ping(rf_client(f), NGHTTP2_FLAG_NONE, NULL);
        rf_turn(f);
    }
    assert_int_equal(rf_pongs(f), 11);
    for (int i = 0; i < 10; i++) { /* while something is sent */
        rf_ok(rf_unary(f, "Echo", NULL, "a"), "a");
        nghttp2_submit_ping(rf_client(f), NGHTTP2_FLAG_NONE, NULL);
        rf_turn(f);
    }
    assert_true(is_open(f));
    for (int i = 0; i < 3; i++) {
        nghttp2_submit_ping(rf_client(f), NGHTTP2_FLAG_NONE, NULL);
        rf_turn(f);
    }
    said_goodbye(f, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
    rf_free(f);
}

static void test_pings_without_calls(void **state)
{
    rf *f = start((pl_grpc_session_options){.ping_interval_ms = 1000, .ping_with_calls_only = true});
    rf_begin(f, "Wait", NULL);
    rf_turn(f);
    for (int i = 0; i < 10; i++) {
        nghttp2_submit_ping(rf_client(f), NGHTTP2_FLAG_NONE, NULL);
        rf_wait(f, 1000);
    }
    assert_true(is_open(f));
    rf_free(f);
    f = start((pl_grpc_session_options){.ping_interval_ms = 1000, .ping_with_calls_only = true});
    for (int i = 0; i < 4; i++) {
        nghttp2_submit_ping(rf_client(f), NGHTTP2_FLAG_NONE, NULL);
        rf_wait(f, 1000);
    }
    said_goodbye(f, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
    rf_free(f);
}

static void flood(unsigned type, unsigned flags, uint32_t stream, pl_str payload)
{
    rf *f = start_silent((pl_grpc_session_options){0});
    greet(f);
    raw_request(f, 1, "/t.S/Wait", 0);
    for (int i = 0; i < 200 && is_open(f); i++) {
        for (int k = 0; k < 100; k++)
            rf_frame(f, type, flags, stream, payload);
        rf_turn(f);
    }
    assert_true(has_goaway(f, NGHTTP2_ENHANCE_YOUR_CALM));
    rf_free(f);
}

static void test_useless_frames(void **state)
{
    flood(NGHTTP2_DATA, 0, 1, PL_STR(""));
    flood(NGHTTP2_PRIORITY, 0, 1, PL_STR("\0\0\0\0\1"));
    flood(NGHTTP2_WINDOW_UPDATE, 0, 0, PL_STR("\0\0\0\1"));
    flood(NGHTTP2_SETTINGS, 0, 0, PL_STR(""));
}

/* A peer that takes nothing is not answered without bound. */
static void test_stuffed(void **state)
{
    rf *f = start_silent((pl_grpc_session_options){.max_resets = 1000000});
    greet(f);
    for (int i = 0; i < 900; i++)
        rf_frame(f, NGHTTP2_SETTINGS, 0, 0, PL_STR(""));
    pl_buf many;
    pl_buf_init(&many);
    assert_false(pl_grpc_session_is_stuffed(rf_session(f)));
    for (int i = 0; i < 1100; i++)
        pl_buf_append(&many, "\0\0\0\4\0\0\0\0\0", 9);
    pl_grpc_session_receive(rf_session(f), pl_buf_view(&many), ls_now(rf_state(f)));
    assert_true(pl_grpc_session_is_stuffed(rf_session(f)) || !is_open(f));
    pl_buf_dispose(&many);
    rf_free(f);
}

/* More than the window allows. */
static void test_window_ignored(void **state)
{
    rf *f = start_silent((pl_grpc_session_options){.stream_window = 65535});
    char *bytes = calloc(1, 16384);
    greet(f);
    raw_request(f, 1, "/t.S/Wait", 0);
    for (int i = 0; i < 5; i++)
        rf_frame(f, NGHTTP2_DATA, 0, 1, (pl_str){bytes, 16384});
    rf_turn(f);
    assert_int_equal(rf_in_flight(f), 0); /* its stream, or all, was ended */
    assert_int_equal(pl_grpc_server_get_stats(rf_server(f)).held, 0);
    free(bytes);
    rf_free(f);
}

/* --- life --- */
static void test_keepalive(void **state)
{
    rf *f = start((pl_grpc_session_options){.keepalive_ms = 1000, .keepalive_timeout_ms = 500});
    rf_wait(f, 5100);
    assert_in_range(rf_pings(f), 4, 5); /* answered */
    assert_true(is_open(f));
    rf_free(f);
    f = start_silent((pl_grpc_session_options){.keepalive_ms = 1000, .keepalive_timeout_ms = 500});
    greet(f);
    rf_wait(f, 1400);
    assert_true(is_open(f));
    rf_wait(f, 200);
    assert_int_equal(pl_grpc_session_get_state(rf_session(f)), PL_GRPC_SESSION_BROKEN);
    rf_free(f);
}

/* GOAWAY with the highest id, PING, its answer, GOAWAY with the last one: calls that cross with the first are
 * served. */
static void test_drain(void **state)
{
    rf *f = start((pl_grpc_session_options){0});
    rf_call *chat = rf_begin(f, "Chat", NULL);
    rf_send(chat, "a", false);
    rf_turn(f);
    pl_grpc_session_drain(rf_session(f), ls_now(rf_state(f)));
    rf_call *late = rf_begin(f, "Echo", NULL); /* before the client has heard of it */
    rf_send(late, "late", true);
    rf_turn(f);
    rf_ok(late, "late");
    assert_int_equal(rf_goaway_last(f), late->id);
    uint32_t error = 1;
    assert_true(rf_goaway(f, &error, NULL, 0));
    assert_int_equal(error, 0);
    assert_int_equal(rf_pings(f), 1);
    assert_true(is_open(f)); /* one call goes on */
    rf_send(chat, "b", true);
    rf_turn(f);
    rf_ok(chat, "a|b");
    assert_int_equal(pl_grpc_session_get_state(rf_session(f)), PL_GRPC_SESSION_DONE);
    rf_free(f);
}

/* A peer that does not answer the PING is not waited for. */
static void test_drain_of_the_deaf(void **state)
{
    rf *f = start_silent((pl_grpc_session_options){0});
    greet(f);
    pl_grpc_session_drain(rf_session(f), ls_now(rf_state(f)));
    rf_turn(f);
    assert_true(is_open(f));
    rf_wait(f, 2100);
    assert_int_equal(pl_grpc_session_get_state(rf_session(f)), PL_GRPC_SESSION_DONE);
    rf_free(f);
}

static void test_idle(void **state)
{
    rf *f = start((pl_grpc_session_options){.idle_ms = 3000});
    rf_wait(f, 2900);
    rf_call *call = rf_begin(f, "Chat", NULL);
    rf_turn(f);
    rf_wait(f, 10000);
    assert_true(is_open(f));
    rf_end(call);
    rf_turn(f);
    rf_wait(f, 2900);
    assert_true(is_open(f));
    rf_wait(f, 200);
    assert_int_equal(pl_grpc_session_get_state(rf_session(f)), PL_GRPC_SESSION_DONE);
    assert_true(rf_goaway(f, NULL, NULL, 0));
    rf_free(f);
}

static void test_age(void **state)
{
    rf *f = start((pl_grpc_session_options){.age_ms = 10000, .age_grace_ms = 5000});
    rf_call *call = rf_begin(f, "Chat", NULL);
    rf_turn(f);
    rf_wait(f, 8900);
    assert_false(rf_goaway(f, NULL, NULL, 0));
    rf_wait(f, 2200);
    assert_true(rf_goaway(f, NULL, NULL, 0));
    assert_true(is_open(f));
    assert_false(call->ended);
    rf_wait(f, 5000);
    assert_int_equal(pl_grpc_session_get_state(rf_session(f)), PL_GRPC_SESSION_BROKEN);
    rf_free(f);
}

/* Pooled streams carry nothing over. */
static void test_pool(void **state)
{
    rf *f = start((pl_grpc_session_options){0});
    rf_method(f, "Meta", RF_UNARY, "function(r, call) return tostring(call.metadata['x-a'] and 'a') end");
    for (int i = 0; i < 50; i++) {
        rf_ok(rf_unary(f, "Meta", i % 2 ? HEADERS("x-a", "1") : NULL, ""), i % 2 ? "a" : "nil");
        rf_call *call = rf_begin(f, "Chat", NULL);
        rf_send(call, "cut off", false);
        rf_send_bytes(call, PL_STR("\0\0\0"), false);
        rf_turn(f);
        rf_reset(call, NGHTTP2_CANCEL);
        rf_turn(f);
    }
    rf_free(f);
}

static void test_no_memory(void **state)
{
    failing a = {.sticky = true};
    rf *f = start((pl_grpc_session_options){0});
    pl_grpc_streams *streams = pl_grpc_streams_new(4);
    pl_grpc_session_options options = {0};
    while (failing_next(&a)) {
        pl_error err = {0};
        pl_grpc_session_config config = {
            .options = &options, .streams = streams, .handler = pl_grpc_server_handler(rf_server(f))};
        failing_begin(&a);
        pl_grpc_session *session = pl_grpc_session_new(&config, &err);
        bool failed = failing_end(&a);
        assert_int_equal(session == NULL, failed);
        if (failed)
            assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
        pl_grpc_session_free(session);
    }
    assert_true(a.made > 5);
    pl_grpc_streams_free(streams);
    rf_free(f);
}

/* Two sessions of a thread, with a call each that is answered while memory is short, anywhere: nghttp2 is
 * never left without what it cannot do without (session_memory.c, mem_realloc), however often. */
typedef struct both {
    pl_grpc_handler handler; /* first */
    pl_grpc_stream *streams[2];
    unsigned count;
} both;

static void both_closed(pl_grpc_stream *stream)
{
}

static void both_request(pl_grpc_handler *handler, pl_grpc_stream *stream)
{
    static const pl_grpc_stream_events deaf = {.closed = both_closed};
    both *b = (both *)handler;
    stream->events = &deaf;
    b->streams[b->count++] = stream;
}

static void both_answer(pl_grpc_session *session, pl_grpc_stream *stream, size_t fail_at, bool sticky)
{
    static const pl_header type = {PL_STR("content-type"), PL_STR("application/grpc")};
    static const pl_header trailer = {PL_STR("grpc-status"), PL_STR("0")};
    pl_buf out;
    pl_buf_init(&out);
    pl_alloc_fail_at(fail_at, sticky);
    stream->ops->respond(stream, 200, &type, 1, false);
    pl_buf_str(&stream->out, PL_STR("an answer"));
    stream->ops->finish(stream, &trailer, 1);
    pl_grpc_session_send(session, &out, 65536, 0);
    pl_alloc_fail_at(0, 0);
    pl_buf_dispose(&out);
}

static void test_no_memory_twice(void **state)
{
    enum { MOST = 24 };
    static const char request[] = PREFACE "\0\0\0\4\0\0\0\0\0\0\0\x1e\1\4\0\0\0\1"
                                          "\x83\x86\x01\x01t\x04\x04/t/S\x0f\x10\x10"
                                          "application/grpc";
    const pl_grpc_session_options options = {0};
    for (size_t i = 0; i < (size_t)MOST * MOST * 2; i++) {
        both b = {.handler = {.request = both_request}};
        pl_grpc_streams *streams = pl_grpc_streams_new(4);
        const pl_grpc_session_config config = {
            .options = &options, .streams = streams, .handler = &b.handler};
        pl_grpc_session *sessions[2];
        pl_error err;
        for (int k = 0; k < 2; k++) {
            sessions[k] = pl_grpc_session_new(&config, &err);
            pl_grpc_session_receive(sessions[k], (pl_str){request, sizeof request - 1}, 0);
        }
        assert_int_equal(b.count, 2);
        both_answer(sessions[0], b.streams[0], 1 + i % MOST, false);
        both_answer(sessions[1], b.streams[1], 1 + i / MOST % MOST, i / MOST / MOST);
        pl_grpc_session_free(sessions[0]);
        pl_grpc_session_free(sessions[1]);
        pl_grpc_streams_free(streams);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_settings),
                                       cmocka_unit_test(test_too_many_streams),
                                       cmocka_unit_test(test_rapid_reset),
                                       cmocka_unit_test(test_resets_provoked),
                                       cmocka_unit_test(test_refused_flood),
                                       cmocka_unit_test(test_malformed_headers),
                                       cmocka_unit_test(test_large_headers),
                                       cmocka_unit_test(test_header_bomb),
                                       cmocka_unit_test(test_continuation_flood),
                                       cmocka_unit_test(test_slow_headers),
                                       cmocka_unit_test(test_silent),
                                       cmocka_unit_test(test_not_http2),
                                       cmocka_unit_test(test_ping_flood),
                                       cmocka_unit_test(test_pings_without_calls),
                                       cmocka_unit_test(test_useless_frames),
                                       cmocka_unit_test(test_stuffed),
                                       cmocka_unit_test(test_window_ignored),
                                       cmocka_unit_test(test_keepalive),
                                       cmocka_unit_test(test_drain),
                                       cmocka_unit_test(test_drain_of_the_deaf),
                                       cmocka_unit_test(test_idle),
                                       cmocka_unit_test(test_age),
                                       cmocka_unit_test(test_pool),
                                       cmocka_unit_test(test_no_memory),
                                       cmocka_unit_test(test_no_memory_twice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
