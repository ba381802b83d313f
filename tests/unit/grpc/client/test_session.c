/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "grpc/client/session.h"
#include "support/failing.h"

/* A session and a server of which each frame is written by the test: those that no server should send. */

#define END_HEADERS NGHTTP2_FLAG_END_HEADERS
#define END_STREAM NGHTTP2_FLAG_END_STREAM

static pl_client_streams *streams;
static pl_client_session *session;
static uint64_t now;

/* What the call has heard. */
static unsigned headers, bytes, closed;
static pl_client_end last;
static char why[256];

static void on_headers(pl_client_stream *stream)
{
    headers++;
}
static void on_data(pl_client_stream *stream, pl_str data)
{
    bytes += (unsigned)data.len;
}
static void on_writable(pl_client_stream *stream)
{
}
static void on_closed(pl_client_stream *stream, const pl_client_end *end)
{
    closed++;
    last = *end;
    snprintf(why, sizeof why, "%s", end->why ? end->why : "");
}
static const pl_client_stream_events events = {on_headers, on_data, on_writable, on_closed};

static void open_with(pl_client_session_options options)
{
    pl_error err;
    now = 1000;
    headers = bytes = closed = 0;
    streams = pl_client_streams_new(4);
    const pl_client_session_config config = {.options = &options, .streams = streams, .now = now};
    session = pl_client_session_new(&config, &err);
    assert_non_null(session);
}

static void leave(void)
{
    pl_client_session_free(session, "the test is over");
    pl_client_streams_free(streams);
}

static pl_client_stream *call(void)
{
    static const pl_header request[] = {{PL_STR(":method"), PL_STR("POST")},
                                        {PL_STR(":scheme"), PL_STR("http")},
                                        {PL_STR(":path"), PL_STR("/t.S/M")},
                                        {PL_STR(":authority"), PL_STR("t")}};
    pl_client_stream *stream = pl_client_session_start(session, request, 4, &events, NULL);
    assert_non_null(stream);
    return stream;
}

/* What is to be sent; true: with a frame of that type. */
static bool sends(uint8_t type)
{
    pl_buf out;
    bool found = false;
    pl_buf_init(&out);
    pl_client_session_send(session, &out, 1 << 20, now);
    const unsigned char *p = (const unsigned char *)out.data;
    size_t preface = out.len >= 24 && p[0] == 'P' ? 24 : 0;
    for (size_t at = preface; at + 9 <= out.len;
         at += 9 + ((size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2]))
        found |= p[at + 3] == type;
    pl_buf_dispose(&out);
    return found;
}

static void frame(uint8_t type, uint8_t flags, uint32_t stream, pl_str payload)
{
    unsigned char text[300] = {(unsigned char)(payload.len >> 16),
                               (unsigned char)(payload.len >> 8),
                               (unsigned char)payload.len,
                               type,
                               flags,
                               0,
                               0,
                               (unsigned char)(stream >> 8),
                               (unsigned char)stream};
    assert_true(payload.len <= sizeof text - 9);
    memcpy(text + 9, payload.ptr, payload.len);
    pl_client_session_receive(session, (pl_str){(char *)text, 9 + payload.len}, now);
}

static void greet(void)
{
    sends(NGHTTP2_SETTINGS);
    frame(NGHTTP2_SETTINGS, 0, 0, PL_STR(""));
    frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, PL_STR(""));
    sends(NGHTTP2_SETTINGS);
}

static void ends_with(pl_client_session_state state, const char *expected)
{
    assert_int_equal(pl_client_session_get_state(session), state);
    if (!strstr(pl_client_session_why(session), expected))
        fail_msg("\"%s\" is not \"%s\"", pl_client_session_why(session), expected);
}

/* Time passes in steps, as it does for a timer that is armed for what tick says. */
static void wait(uint64_t ms)
{
    uint64_t end = now + ms, due = pl_client_session_tick(session, now);
    while (due <= end) {
        assert_true(due > now);
        now = due;
        due = pl_client_session_tick(session, now);
    }
    now = end;
}

/* --- answers --- */
static void test_an_answer(void **state)
{
    open_with((pl_client_session_options){0});
    pl_client_stream *stream = call();
    pl_buf_str(&stream->out, PL_STR("question"));
    stream->ops->finish(stream);
    greet();
    frame(NGHTTP2_HEADERS, END_HEADERS, 1,
          PL_STR("\x08\x03"
                 "103")); /* informational: not the answer */
    assert_int_equal(headers, 0);
    frame(NGHTTP2_HEADERS, END_HEADERS, 1, PL_STR("\x88"));
    assert_int_equal(headers, 1);
    assert_int_equal(stream->status, 200);
    frame(NGHTTP2_DATA, 0, 1, PL_STR("answer"));
    frame(NGHTTP2_HEADERS, END_HEADERS | END_STREAM, 1,
          PL_STR("\0\x0bgrpc-status\x01"
                 "0"));
    assert_int_equal(bytes, 6);
    assert_int_equal(closed, 1);
    assert_int_equal(last.kind, PL_CLIENT_ANSWERED);
    assert_int_equal(pl_client_session_get_state(session), PL_CLIENT_SESSION_OPEN);
    leave();
}

/* A header that HTTP/2 does not allow ends its call, and nothing else: not even when nothing follows. */
static void test_malformed_headers(void **state)
{
    open_with((pl_client_session_options){0});
    call();
    greet();
    frame(NGHTTP2_HEADERS, END_HEADERS, 1, PL_STR("\x88\0\1A\1b"));
    assert_true(sends(NGHTTP2_RST_STREAM));
    assert_int_equal(closed, 1);
    assert_int_equal(last.kind, PL_CLIENT_RESET);
    wait(60000);
    ends_with(PL_CLIENT_SESSION_OPEN, "");
    leave();
}

/* The same where the call has gone before its block of headers was whole. */
static void test_cancelled_within_headers(void **state)
{
    open_with((pl_client_session_options){0});
    pl_client_stream *stream = call();
    greet();
    frame(NGHTTP2_HEADERS, 0, 1, PL_STR("\x88"));
    stream->ops->cancel(stream, NGHTTP2_CANCEL);
    frame(NGHTTP2_CONTINUATION, END_HEADERS, 1, PL_STR("\0\1a\1b"));
    frame(NGHTTP2_PING, 0, 0, PL_STR("12345678"));
    assert_true(sends(NGHTTP2_RST_STREAM));
    wait(60000);
    ends_with(PL_CLIENT_SESSION_OPEN, "");
    leave();
}

static void test_headers_without_end(void **state)
{
    open_with((pl_client_session_options){.handshake_ms = 3000});
    call();
    greet();
    frame(NGHTTP2_HEADERS, 0, 1, PL_STR("\x88"));
    wait(2900);
    ends_with(PL_CLIENT_SESSION_OPEN, "");
    frame(NGHTTP2_CONTINUATION, 0, 1, PL_STR("\0\1a\1b")); /* a little more does not help */
    wait(200);
    ends_with(PL_CLIENT_SESSION_BROKEN, "not finished a header block");
    leave();
}

static void test_large_headers(void **state)
{
    char block[208] = "\0\1a\x7f\x49"; /* 127 + 73 bytes */
    memset(block + 5, 'x', 200);
    open_with((pl_client_session_options){.max_headers = 100});
    pl_client_stream *stream = call();
    greet();
    frame(NGHTTP2_HEADERS, 0, 1, PL_STR("\x88"));
    frame(NGHTTP2_CONTINUATION, 0, 1, (pl_str){block, 205});
    assert_true(stream->headers_too_large);
    assert_int_equal(stream->headers.count, 0);
    assert_int_equal(pl_client_session_get_state(session), PL_CLIENT_SESSION_OPEN);
    for (int i = 0; i < 4; i++)
        frame(NGHTTP2_CONTINUATION, 0, 1, (pl_str){block, 205});
    ends_with(PL_CLIENT_SESSION_DONE, "without end");
    assert_true(sends(NGHTTP2_GOAWAY));
    leave();
    assert_int_equal(closed, 1);
    assert_int_equal(last.kind, PL_CLIENT_LOST);
    assert_non_null(strstr(why, "without end"));
}

/* --- the connection --- */
static void test_not_http2(void **state)
{
    open_with((pl_client_session_options){0});
    call();
    sends(NGHTTP2_SETTINGS);
    pl_client_session_receive(session, PL_STR("HTTP/1.1 400 Bad Request\r\n\r\n"), now);
    sends(NGHTTP2_GOAWAY);
    ends_with(PL_CLIENT_SESSION_DONE, "does not speak HTTP/2");
    leave();
    assert_int_equal(last.kind, PL_CLIENT_LOST);
}

static void test_silence(void **state)
{
    open_with((pl_client_session_options){.handshake_ms = 2000});
    sends(NGHTTP2_SETTINGS);
    wait(1900);
    ends_with(PL_CLIENT_SESSION_GREETING, "");
    wait(200);
    ends_with(PL_CLIENT_SESSION_BROKEN, "not begun to speak HTTP/2");
    leave();
}

static void test_keepalive(void **state)
{
    open_with((pl_client_session_options){.keepalive_ms = 1000, .keepalive_timeout_ms = 500});
    greet();
    wait(5000);
    assert_false(sends(NGHTTP2_PING)); /* without calls there are none */
    call();
    wait(0);
    assert_true(sends(NGHTTP2_PING)); /* it has been silent for long */
    frame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, PL_STR("\0\0\0\0\0\0\0\0"));
    wait(900);
    assert_false(sends(NGHTTP2_PING));
    wait(200);
    assert_true(sends(NGHTTP2_PING));
    wait(500);
    ends_with(PL_CLIENT_SESSION_BROKEN, "does not answer pings");
    leave();
}

static void test_useless_frames(void **state)
{
    open_with((pl_client_session_options){0});
    greet();
    for (int i = 0; i < 10100 && pl_client_session_get_state(session) == PL_CLIENT_SESSION_OPEN; i++) {
        frame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, PL_STR("12345678"));
        assert_true(i < 10050);
    }
    ends_with(PL_CLIENT_SESSION_DONE, "frames without effect");
    leave();
    open_with((pl_client_session_options){0});
    greet();
    char text[280] = {0};
    for (int i = 0; i < 20000 && pl_client_session_get_state(session) == PL_CLIENT_SESSION_OPEN; i++)
        frame(0xee, 0, 0, (pl_str){text, sizeof text}); /* of a type that nghttp2 knows nothing of */
    ends_with(PL_CLIENT_SESSION_DONE, "frames without effect");
    leave();
}

/* The call that the server has taken goes on, and there are no new ones. */
static void test_going_away(void **state)
{
    open_with((pl_client_session_options){0});
    pl_client_stream *stream = call();
    greet();
    stream->ops->finish(stream);
    sends(NGHTTP2_DATA);
    frame(NGHTTP2_GOAWAY, 0, 0,
          PL_STR("\0\0\0\1\0\0\0\x0b"
                 "too_many_pings"));
    ends_with(PL_CLIENT_SESSION_DRAINING, "too_many_pings");
    assert_true(pl_client_session_pings_too_often(session));
    assert_null(pl_client_session_start(session, NULL, 0, &events, NULL));
    frame(NGHTTP2_HEADERS, END_HEADERS | END_STREAM, 1, PL_STR("\x88"));
    assert_int_equal(last.kind, PL_CLIENT_ANSWERED);
    assert_int_equal(pl_client_session_get_state(session), PL_CLIENT_SESSION_DONE);
    leave();
}

static void test_refused(void **state)
{
    open_with((pl_client_session_options){0});
    call();
    greet();
    frame(NGHTTP2_RST_STREAM, 0, 1, PL_STR("\0\0\0\7"));
    assert_int_equal(last.kind, PL_CLIENT_RESET);
    assert_true(last.refused);
    assert_int_equal(last.error, NGHTTP2_REFUSED_STREAM);
    leave();
}

static void test_no_memory(void **state)
{
    failing a = {.sticky = true};
    const pl_client_session_options options = {0};
    pl_client_streams *pool = pl_client_streams_new(1);
    const pl_client_session_config config = {.options = &options, .streams = pool};
    while (failing_next(&a)) {
        pl_error err = {0};
        failing_begin(&a);
        pl_client_session *s = pl_client_session_new(&config, &err);
        bool failed = failing_end(&a);
        assert_int_equal(s == NULL, failed);
        if (failed)
            assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
        pl_client_session_free(s, "");
    }
    assert_true(a.made > 5);
    pl_client_streams_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer),
        cmocka_unit_test(test_malformed_headers),
        cmocka_unit_test(test_cancelled_within_headers),
        cmocka_unit_test(test_headers_without_end),
        cmocka_unit_test(test_large_headers),
        cmocka_unit_test(test_not_http2),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_keepalive),
        cmocka_unit_test(test_useless_frames),
        cmocka_unit_test(test_going_away),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
