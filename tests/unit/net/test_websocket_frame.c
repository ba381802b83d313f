/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "net/websocket_frame.h"

#define MOST ((size_t)300)
#define FIN 0x80u

/* A frame of a client: masked. */
static void frame(pl_buf *out, unsigned first, const char *payload, size_t len)
{
    static const char mask[4] = {0x11, (char)0x82, 0x33, 0x44};
    pl_buf_char(out, (char)first);
    if (len < 126) {
        pl_buf_char(out, (char)(0x80 | len));
    } else {
        pl_buf_char(out, (char)(0x80 | 126));
        pl_buf_char(out, (char)(len >> 8));
        pl_buf_char(out, (char)len);
    }
    pl_buf_append(out, mask, 4);
    for (size_t i = 0; i < len; i++)
        pl_buf_char(out, (char)(payload[i] ^ mask[i & 3]));
}

/* All that a reader finds, as text: "text(hi) ping() close(1000,bye)". */
static void describe(pl_buf *out, const pl_ws_reader *r, pl_ws_event event)
{
    static const char *const names[] = {"more", "text", "ping", "pong", "close", "broken"};
    const char *name = event == PL_WS_MESSAGE && r->binary ? "binary" : names[event];
    if (event == PL_WS_CLOSE)
        pl_buf_printf(out, "close(%u,%.*s) ", r->code, PL_STR_ARG(r->payload));
    else if (event == PL_WS_BROKEN)
        pl_buf_printf(out, "broken(%u) ", r->code);
    else
        pl_buf_printf(out, "%s(%.*s) ", name, PL_STR_ARG(r->payload));
}

static void read_in_pieces(const pl_buf *in, size_t piece, size_t most, pl_buf *out)
{
    pl_ws_reader r;
    pl_ws_reader_init(&r, most);
    for (size_t at = 0; at < in->len && r.ended == PL_WS_MORE; at += piece) {
        size_t n = in->len - at < piece ? in->len - at : piece, left = n;
        /* Of the exact size, so that AddressSanitizer sees what goes beyond. */
        char *bytes = malloc(n), *p = bytes;
        memcpy(bytes, in->data + at, n);
        pl_ws_event event;
        while (r.ended == PL_WS_MORE && (event = pl_ws_read(&r, &p, &left)) != PL_WS_MORE)
            describe(out, &r, event);
        if (r.ended == PL_WS_MORE)
            assert_int_equal(left, 0);
        free(bytes);
    }
    if (r.ended != PL_WS_MORE) {
        char *none = NULL;
        size_t zero = 0;
        assert_int_equal(pl_ws_read(&r, &none, &zero), r.ended);
    }
    pl_ws_reader_dispose(&r);
}

/* However the bytes are cut, the events are the same. */
static void expect_events(const pl_buf *in, const char *expected)
{
    for (size_t piece = 1; piece <= in->len; piece++) {
        pl_buf out;
        pl_buf_init(&out);
        read_in_pieces(in, piece, MOST, &out);
        pl_buf_char(&out, '\0');
        if (strcmp(out.data, expected) != 0)
            fail_msg("in pieces of %zu: expected \"%s\", got \"%s\"", piece, expected, out.data);
        pl_buf_dispose(&out);
    }
}

#define FRAMES(...)                                                           \
    do {                                                                      \
        static const struct {                                                 \
            unsigned first;                                                   \
            const char *payload;                                              \
            size_t len;                                                       \
        } frames[] = {__VA_ARGS__};                                           \
        for (size_t i_ = 0; i_ < sizeof(frames) / sizeof(frames[0]); i_++)    \
            frame(&in, frames[i_].first, frames[i_].payload, frames[i_].len); \
    } while (0)
#define F(first, text)                \
    {                                 \
        first, text, sizeof(text) - 1 \
    }

static void expect_frames(const char *expected, unsigned first, const char *payload, size_t len)
{
    pl_buf in;
    pl_buf_init(&in);
    frame(&in, first, payload, len);
    expect_events(&in, expected);
    pl_buf_dispose(&in);
}

static void messages_and_control_frames(void **state)
{
    pl_buf in;
    pl_buf_init(&in);
    FRAMES(F(0x81, "hi"), F(0x82, "\xff"), F(0x81, ""), F(0x89, "p"), F(0x8a, ""),
           F(0x88, "\x03\xe8"
                   "bye"));
    expect_events(&in, "text(hi) binary(\xff) text() ping(p) pong() close(1000,bye) ");
    pl_buf_dispose(&in);
}

static void fragments_with_pings_between(void **state)
{
    pl_buf in;
    pl_buf_init(&in);
    FRAMES(F(0x01, "a"), F(0x89, "1"), F(0x00, ""), F(0x00, "bc"), F(0x8a, "2"), F(0x80, "d"), F(0x02, ""),
           F(0x80, ""), F(0x88, ""));
    expect_events(&in, "ping(1) pong(2) text(abcd) binary() close(1005,) ");
    pl_buf_dispose(&in);
}

static void what_breaks_the_protocol(void **state)
{
    expect_frames("broken(1002) ", 0xc1, "a", 1); /* reserved bits */
    expect_frames("broken(1002) ", 0xa1, "a", 1);
    expect_frames("broken(1002) ", 0x91, "a", 1);
    for (unsigned opcode = 3; opcode < 16; opcode++) {
        if (opcode < 8 || opcode > 10)
            expect_frames("broken(1002) ", FIN | opcode, "", 0);
    }
    expect_frames("broken(1002) ", 0x80, "a", 1); /* nothing to continue */
    expect_frames("broken(1002) ", 0x00, "a", 1);
    expect_frames("broken(1002) ", 0x09, "a", 1); /* control frames in pieces */
    expect_frames("broken(1002) ", 0x0a, "a", 1);
    expect_frames("broken(1002) ", 0x08, "", 0);
    char big[126] = {0};
    expect_frames("broken(1002) ", 0x89, big, 126);
    expect_frames("broken(1002) ", 0x88, "\x03", 1); /* half a code */
    pl_buf in;
    pl_buf_init(&in);
    FRAMES(F(0x01, "a"), F(0x81, "b"));
    expect_events(&in, "broken(1002) ");
    pl_buf_dispose(&in);
    pl_buf_append(&in, "\x81\x01", 2); /* not masked */
    expect_events(&in, "broken(1002) ");
    pl_buf_dispose(&in);
}

static void lengths_have_one_form(void **state)
{
    static const struct {
        const char *head;
        size_t len;
    } wrong[] = {{"\x82\xfe\x00\x7d\x01\x02\x03\x04", 8},
                 {"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04", 14},
                 {"\x82\xff\x80\x00\x00\x00\x00\x01\x00\x00\x01\x02\x03\x04", 14}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        pl_buf in;
        pl_buf_init(&in);
        pl_buf_append(&in, wrong[i].head, wrong[i].len);
        expect_events(&in, "broken(1002) ");
        pl_buf_dispose(&in);
    }
}

static void close_codes(void **state)
{
    static const unsigned sound[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009,
                                     1010, 1011, 1012, 1013, 1014, 3000, 4999};
    static const unsigned wrong[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++) {
        char payload[2] = {(char)(sound[i] >> 8), (char)sound[i]}, expected[32];
        snprintf(expected, sizeof(expected), "close(%u,) ", sound[i]);
        expect_frames(expected, 0x88, payload, 2);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char payload[2] = {(char)(wrong[i] >> 8), (char)wrong[i]};
        expect_frames("broken(1002) ", 0x88, payload, 2);
    }
    expect_frames("broken(1007) ", 0x88, "\x03\xe8\xff", 3);
}

static void text_is_utf8(void **state)
{
    static const char *const sound[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8c\x99", "\xf4\x8f\xbf\xbf",
                                        "\xed\x9f\xbf"};
    static const char *const wrong[] = {"\xff",
                                        "\xc3",
                                        "\xc0\x80",
                                        "\xe0\x80\x80",
                                        "\xed\xa0\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xf0\x80\x80\x80",
                                        "a\xe2\x82"};
    for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "text(%s) ", sound[i]);
        expect_frames(expected, 0x81, sound[i], strlen(sound[i]));
        /* One byte a frame. */
        pl_buf in;
        pl_buf_init(&in);
        for (size_t n = strlen(sound[i]), k = 0; k < n; k++)
            frame(&in, (k == 0 ? 1u : 0u) | (k == n - 1 ? FIN : 0u), sound[i] + k, 1);
        expect_events(&in, expected);
        pl_buf_dispose(&in);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect_frames("broken(1007) ", 0x81, wrong[i], strlen(wrong[i]));
}

/* A text that cannot become right any more is refused before its end. */
static void wrong_text_is_found_early(void **state)
{
    static const char *const wrong[] = {"\xff", "\xed\xa0", "\xf4\x90", "\xe2\x28", "\xc0", "\xf0\x9f\x8cz"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect_frames("broken(1007) ", 0x01, wrong[i], strlen(wrong[i]));
    expect_frames("", 0x01, "\xf0\x9f\x8c", 3);
}

static void messages_have_a_bound(void **state)
{
    char bytes[MOST + 1];
    memset(bytes, 'x', sizeof(bytes));
    pl_buf in, out;
    pl_buf_init(&in);
    frame(&in, 0x82, bytes, MOST);
    pl_buf_init(&out);
    read_in_pieces(&in, in.len, MOST, &out);
    assert_int_equal(out.len, MOST + sizeof("binary() ") - 1);
    pl_buf_dispose(&out);
    pl_buf_dispose(&in);
    /* The head is enough to know. */
    frame(&in, 0x82, bytes, MOST + 1);
    in.len = 8;
    expect_events(&in, "broken(1009) ");
    pl_buf_dispose(&in);
    frame(&in, 0x02, bytes, MOST - 1);
    frame(&in, 0x80, bytes, 2);
    expect_events(&in, "broken(1009) ");
    pl_buf_dispose(&in);
    pl_buf_append(&in, "\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00\x01\x02\x03\x04", 14);
    expect_events(&in, "broken(1009) ");
    pl_buf_dispose(&in);
}

static void short_memory_breaks_a_message(void **state)
{
    pl_buf in, out;
    pl_buf_init(&in);
    pl_buf_init(&out);
    pl_buf_reserve(&out, 1024);
    frame(&in, 0x01, "abc", 3);
    frame(&in, 0x80, "def", 3);
    pl_alloc_fail_at(1, 1);
    read_in_pieces(&in, in.len, MOST, &out);
    pl_alloc_fail_at(0, 0);
    pl_buf_char(&out, '\0');
    assert_string_equal(out.data, "broken(1011) ");
    pl_buf_dispose(&in);
    pl_buf_dispose(&out);
}

static void frames_are_written(void **state)
{
    static const struct {
        size_t len;
        const char *head;
        size_t head_len;
    } cases[] = {{0, "\x81\x00", 2},
                 {125, "\x81\x7d", 2},
                 {126, "\x81\x7e\x00\x7e", 4},
                 {65535, "\x81\x7e\xff\xff", 4},
                 {65536, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10}};
    char *payload = malloc(65536);
    memset(payload, 'p', 65536);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pl_buf out;
        pl_buf_init(&out);
        assert_true(pl_ws_write(&out, PL_WS_OP_TEXT, (pl_str){payload, cases[i].len}));
        assert_int_equal(out.len, cases[i].head_len + cases[i].len);
        assert_memory_equal(out.data, cases[i].head, cases[i].head_len);
        if (cases[i].len != 0)
            assert_memory_equal(out.data + cases[i].head_len, payload, cases[i].len);
        pl_buf_dispose(&out);
    }
    free(payload);
}

static void close_frames_are_written(void **state)
{
    pl_buf out;
    pl_buf_init(&out);
    assert_true(pl_ws_write_close(&out, 1001, PL_STR("bye")));
    assert_int_equal(out.len, 7);
    assert_memory_equal(out.data,
                        "\x88\x05\x03\xe9"
                        "bye",
                        7);
    pl_buf_reset(&out, 64);
    assert_true(pl_ws_write_close(&out, PL_WS_NO_CODE, PL_STR("bye")));
    assert_int_equal(out.len, 2);
    pl_buf_reset(&out, 64);
    /* A reason is cut between two characters. */
    char reason[200];
    for (size_t i = 0; i < sizeof(reason); i += 2)
        memcpy(reason + i, "\xc3\xa9", 2);
    assert_true(pl_ws_write_close(&out, 4400, (pl_str){reason, sizeof(reason)}));
    assert_int_equal(out.len, 2 + 2 + 122);
    pl_buf_dispose(&out);
    pl_alloc_fail_at(1, 1);
    assert_false(pl_ws_write_close(&out, 1001, PL_STR_NONE));
    pl_alloc_fail_at(0, 0);
    assert_int_equal(out.len, 0);
    pl_buf_dispose(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_control_frames),
        cmocka_unit_test(fragments_with_pings_between),
        cmocka_unit_test(what_breaks_the_protocol),
        cmocka_unit_test(lengths_have_one_form),
        cmocka_unit_test(close_codes),
        cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(wrong_text_is_found_early),
        cmocka_unit_test(messages_have_a_bound),
        cmocka_unit_test(short_memory_breaks_a_message),
        cmocka_unit_test(frames_are_written),
        cmocka_unit_test(close_frames_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
