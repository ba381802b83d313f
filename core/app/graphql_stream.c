/* SPDX-License-Identifier: MIT */
#include "app/graphql_stream.h"

#define PART "Content-Type: application/json; charset=utf-8\r\n\r\n"

pl_str pl_stream_content_type(pl_stream_kind kind, bool old_defer)
{
    switch (kind) {
    case PL_STREAM_SSE:
        return PL_STR("text/event-stream; charset=utf-8");
    case PL_STREAM_SUBSCRIPTION:
        return PL_STR("multipart/mixed;boundary=graphql;subscriptionSpec=1.0");
    default:
        return old_defer ? PL_STR("multipart/mixed; boundary=\"-\"; deferSpec=20220824")
                         : PL_STR("multipart/mixed; boundary=\"-\"");
    }
}

/* A part ends with the delimiter of the next, so that a client need not wait for it. */
static void begin_part(pl_stream_kind kind, pl_buf *out, bool first)
{
    if (first)
        pl_buf_str(out, kind == PL_STREAM_SUBSCRIPTION ? PL_STR("\r\n--graphql") : PL_STR("\r\n---"));
    PL_BUF_LIT(out, "\r\n" PART);
}

static void end_part(pl_stream_kind kind, pl_buf *out, bool has_next)
{
    pl_buf_str(out, kind == PL_STREAM_SUBSCRIPTION ? PL_STR("\r\n--graphql") : PL_STR("\r\n---"));
    if (!has_next)
        PL_BUF_LIT(out, "--\r\n");
}

void pl_stream_write(pl_stream_kind kind, pl_buf *out, pl_str json, bool first, bool has_next)
{
    if (kind == PL_STREAM_SSE) {
        PL_BUF_LIT(out, "event: next\ndata: ");
        pl_buf_str(out, json);
        PL_BUF_LIT(out, "\n\n");
        if (!has_next)
            pl_stream_write_end(kind, out, false);
        return;
    }
    begin_part(kind, out, first);
    if (kind == PL_STREAM_SUBSCRIPTION)
        PL_BUF_LIT(out, "{\"payload\":");
    pl_buf_str(out, json);
    if (kind == PL_STREAM_SUBSCRIPTION)
        pl_buf_char(out, '}');
    end_part(kind, out, has_next);
}

void pl_stream_write_heartbeat(pl_stream_kind kind, pl_buf *out, bool first)
{
    if (kind == PL_STREAM_SSE) {
        PL_BUF_LIT(out, ":\n\n");
    } else if (kind == PL_STREAM_SUBSCRIPTION) {
        begin_part(kind, out, first);
        PL_BUF_LIT(out, "{}");
        end_part(kind, out, true);
    }
}

void pl_stream_write_end(pl_stream_kind kind, pl_buf *out, bool first)
{
    if (kind == PL_STREAM_SSE) {
        PL_BUF_LIT(out, "event: complete\ndata:\n\n");
        return;
    }
    if (first)
        end_part(kind, out, false);
    else
        PL_BUF_LIT(out, "--\r\n");
}
