/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "grpc/client/internal.h"
#include "grpc/status.h"

/* What an answer says: the status that it ends with, and the application's metadata. */

#define NO_ERROR 0x0

pl_str answer_header(const pl_grpc_metadata *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (pl_str_is(list->items[i].name, name))
            return list->items[i].value;
    }
    return PL_STR_NONE;
}

static pl_str copied(pl_arena *arena, pl_str text)
{
    pl_str copy = pl_arena_str(arena, text);
    return copy.ptr ? copy : PL_STR("");
}

/* What is no UTF-8 becomes U+FFFD: the text goes into logs and JSON. */
static void append_text(pl_buf *out, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n = pl_utf8_sequence(bytes + at, len - at);
        if (n == 0)
            PL_BUF_LIT(out, "\xef\xbf\xbd");
        else
            pl_buf_append(out, bytes + at, n);
        at += n ? n : 1;
    }
}

static pl_str decoded(pl_arena *arena, pl_str text)
{
    pl_buf bytes, clean;
    pl_buf_init(&bytes);
    pl_buf_init(&clean);
    pl_grpc_percent_read(&bytes, text);
    append_text(&clean, bytes.data, bytes.len);
    pl_str copy = bytes.failed || clean.failed ? PL_STR_NONE : pl_arena_str(arena, pl_buf_view(&clean));
    pl_buf_dispose(&bytes);
    pl_buf_dispose(&clean);
    return copy.ptr ? copy : PL_STR("");
}

/* Base64 that is none: absent. */
static pl_str bytes_of(pl_arena *arena, pl_str text)
{
    pl_buf buf;
    pl_buf_init(&buf);
    bool sound = text.ptr && pl_grpc_metadata_decode(text, &buf) && !buf.failed;
    pl_str copy = sound ? pl_arena_str(arena, pl_buf_view(&buf)) : PL_STR_NONE;
    pl_buf_dispose(&buf);
    return copy;
}

static void set(pl_remote_status *out, pl_arena *arena, pl_code code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void set(pl_remote_status *out, pl_arena *arena, pl_code code, const char *fmt, ...)
{
    pl_error text;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text.message, sizeof text.message, fmt, args);
    va_end(args);
    *out = (pl_remote_status){.code = code, .message = copied(arena, pl_str_of(text.message)), .local = true};
}

static bool is_grpc_type(pl_str type)
{
    pl_str prefix = PL_STR("application/grpc");
    if (!pl_str_starts(type, prefix))
        return false;
    return type.len == prefix.len || type.ptr[prefix.len] == '+' || type.ptr[prefix.len] == ';';
}

bool answer_is_grpc(const pl_client_stream *stream, pl_arena *arena, pl_remote_status *out)
{
    pl_str type = answer_header(&stream->headers, "content-type");
    if (stream->headers_too_large) {
        set(out, arena, PL_RESOURCE_EXHAUSTED, "the server's headers are too large");
    } else if (stream->status != 200) {
        set(out, arena, pl_grpc_code_of_http(stream->status), "the server has answered with HTTP status %d",
            stream->status);
    } else if (!is_grpc_type(type)) {
        int shown = type.len > 100 ? 100 : (int)type.len;
        set(out, arena, PL_UNKNOWN, "the server's answer is not gRPC: its content type is \"%.*s\"", shown,
            type.ptr ? type.ptr : "");
    } else {
        return true;
    }
    return false;
}

static void read_trailers(const pl_client_stream *stream, pl_arena *arena, pl_remote_status *out)
{
    const pl_grpc_metadata *list = stream->alone ? &stream->headers : &stream->trailers;
    pl_str code = answer_header(list, "grpc-status"), message = answer_header(list, "grpc-message");
    if (stream->headers_too_large) {
        set(out, arena, PL_RESOURCE_EXHAUSTED, "the server's %s are too large",
            stream->alone ? "headers" : "trailers");
        return;
    }
    if (!code.ptr) {
        if (!stream->alone || answer_is_grpc(stream, arena, out))
            set(out, arena, PL_INTERNAL, "the server has ended its answer without a status");
        return;
    }
    *out = (pl_remote_status){.code = pl_grpc_code_read(code),
                              .message = message.ptr ? decoded(arena, message) : PL_STR(""),
                              .details = bytes_of(arena, answer_header(list, "grpc-status-details-bin"))};
}

void answer_status(const pl_client_stream *stream, const pl_client_end *end, pl_arena *arena,
                   pl_remote_status *out)
{
    switch (end->kind) {
    case PL_CLIENT_ANSWERED:
        read_trailers(stream, arena, out);
        break;
    case PL_CLIENT_RESET:
        /* A reset without an error before the end is none that anybody could build on. */
        set(out, arena, end->error == NO_ERROR ? PL_INTERNAL : pl_grpc_code_of_reset(end->error),
            "the server has reset the call (HTTP/2 error %u)", end->error);
        break;
    case PL_CLIENT_LOST:
        set(out, arena, PL_UNAVAILABLE, "%s", end->why && end->why[0] ? end->why : "the connection was lost");
        break;
    }
}

int64_t answer_pushback(const pl_client_stream *stream)
{
    const pl_grpc_metadata *list = stream->alone ? &stream->headers : &stream->trailers;
    return pl_pushback_read(answer_header(list, "grpc-retry-pushback-ms"));
}

void answer_metadata(const pl_grpc_metadata *list, pl_arena *arena, pl_grpc_metadata *out)
{
    for (size_t i = 0; i < list->count; i++) {
        pl_str rest = list->items[i].value, value, name = list->items[i].name;
        if (pl_grpc_is_reserved(name))
            continue;
        pl_str own = pl_arena_str(arena, name);
        while (own.ptr && pl_grpc_metadata_split(name, &rest, &value)) {
            value = pl_grpc_is_binary(name) ? bytes_of(arena, value) : pl_arena_str(arena, value);
            if (value.ptr)
                pl_grpc_metadata_add(out, arena, own, value);
        }
    }
}
