/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "app/graphql_stream.h"
#include "base/alloc.h"

/* Several payloads in one answer, byte by byte. */

#define PART(json) "\r\nContent-Type: application/json; charset=utf-8\r\n\r\n" json

typedef enum what { PAYLOAD, LAST, HEARTBEAT, END, NOTHING } what;

typedef struct sequence {
    pl_stream_kind kind;
    what does[6]; /* NOTHING: no more */
    const char *bytes;
} sequence;

static const sequence sequences[] = {
    {PL_STREAM_SSE,
     {PAYLOAD, PAYLOAD, END, NOTHING},
     "event: next\ndata: {\"a\":1}\n\nevent: next\ndata: {\"a\":2}\n\nevent: complete\ndata:\n\n"},
    {PL_STREAM_SSE, {LAST, NOTHING}, "event: next\ndata: {\"a\":1}\n\nevent: complete\ndata:\n\n"},
    {PL_STREAM_SSE, {END, NOTHING}, "event: complete\ndata:\n\n"},
    {PL_STREAM_SSE, {HEARTBEAT, PAYLOAD, HEARTBEAT, NOTHING}, ":\n\nevent: next\ndata: {\"a\":2}\n\n:\n\n"},

    {PL_STREAM_MULTIPART,
     {PAYLOAD, PAYLOAD, LAST, NOTHING},
     "\r\n---" PART("{\"a\":1}") "\r\n---" PART("{\"a\":2}") "\r\n---" PART("{\"a\":3}") "\r\n-----\r\n"},
    {PL_STREAM_MULTIPART, {LAST, NOTHING}, "\r\n---" PART("{\"a\":1}") "\r\n-----\r\n"},
    {PL_STREAM_MULTIPART, {HEARTBEAT, NOTHING}, ""},

    {PL_STREAM_SUBSCRIPTION,
     {PAYLOAD, PAYLOAD, END, NOTHING},
     "\r\n--graphql" PART("{\"payload\":{\"a\":1}}") "\r\n--graphql" PART(
         "{\"payload\":{\"a\":2}}") "\r\n--graphql--\r\n"},
    {PL_STREAM_SUBSCRIPTION,
     {LAST, NOTHING},
     "\r\n--graphql" PART("{\"payload\":{\"a\":1}}") "\r\n--graphql--\r\n"},
    {PL_STREAM_SUBSCRIPTION, {END, NOTHING}, "\r\n--graphql--\r\n"},
    {PL_STREAM_SUBSCRIPTION,
     {HEARTBEAT, PAYLOAD, HEARTBEAT, END, NOTHING},
     "\r\n--graphql" PART("{}") "\r\n--graphql" PART("{\"payload\":{\"a\":2}}") "\r\n--graphql" PART(
         "{}") "\r\n--graphql--\r\n"},
};

static void write_step(pl_stream_kind kind, pl_buf *out, what does, int number, bool first)
{
    char json[16];
    snprintf(json, sizeof json, "{\"a\":%d}", number);
    if (does == HEARTBEAT)
        pl_stream_write_heartbeat(kind, out, first);
    else if (does == END)
        pl_stream_write_end(kind, out, first);
    else
        pl_stream_write(kind, out, pl_str_of(json), first, does == PAYLOAD);
}

static void test_bytes(void **state)
{
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        const sequence *q = &sequences[i];
        pl_buf out;
        pl_buf_init(&out);
        for (int k = 0; k < 6 && q->does[k] != NOTHING; k++)
            write_step(q->kind, &out, q->does[k], k + 1, k == 0);
        pl_buf_char(&out, '\0');
        if (strcmp(out.data, q->bytes) != 0)
            fail_msg("sequence %zu: expected\n%s\nbut it was\n%s", i, q->bytes, out.data);
        pl_buf_dispose(&out);
    }
}

static void test_types(void **state)
{
    assert_true(pl_str_is(pl_stream_content_type(PL_STREAM_SSE, false), "text/event-stream; charset=utf-8"));
    assert_true(pl_str_is(pl_stream_content_type(PL_STREAM_SUBSCRIPTION, false),
                          "multipart/mixed;boundary=graphql;subscriptionSpec=1.0"));
    assert_true(
        pl_str_is(pl_stream_content_type(PL_STREAM_MULTIPART, false), "multipart/mixed; boundary=\"-\""));
    assert_true(pl_str_is(pl_stream_content_type(PL_STREAM_MULTIPART, true),
                          "multipart/mixed; boundary=\"-\"; deferSpec=20220824"));
}

static void test_without_memory(void **state)
{
    for (pl_stream_kind kind = PL_STREAM_SSE; kind <= PL_STREAM_SUBSCRIPTION; kind++) {
        pl_buf out;
        pl_buf_init(&out);
        pl_alloc_fail_at(1, 1);
        pl_stream_write(kind, &out, PL_STR("{}"), true, true);
        pl_alloc_fail_at(0, 0);
        assert_true(out.failed);
        pl_buf_dispose(&out);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
