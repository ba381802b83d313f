/* SPDX-License-Identifier: MIT */
#include "base/base64.h"
#include "grpc/wire.h"

static size_t add_list(pl_header *out, size_t n, const pl_header *items, size_t count, size_t most)
{
    for (size_t i = 0; i < count && i < most; i++)
        out[n++] = items[i];
    return n;
}

size_t pl_grpc_wire_add_headers(const pl_grpc_call *call, pl_header *out, size_t n)
{
    n = add_list(out, n, call->headers.items, call->headers.count, PL_GRPC_OWN_HEADERS);
    return add_list(out, n, call->stream->extra, call->stream->extra_count, PL_GRPC_MORE_HEADERS - 4);
}

size_t pl_grpc_wire_add_trailers(const pl_grpc_call *call, pl_header *out, size_t n)
{
    for (size_t i = 0; i < call->trailers.count && i < PL_GRPC_OWN_HEADERS; i++) {
        pl_str name =
            pl_arena_printf(&call->stream->arena, "trailer-%.*s", PL_STR_ARG(call->trailers.items[i].name));
        if (name.ptr)
            out[n++] = (pl_header){name, call->trailers.items[i].value};
    }
    return n;
}

static bool is_cross_origin(const pl_grpc_call *call)
{
    for (size_t i = 0; i < call->work.header_count; i++) {
        if (pl_str_is(call->work.headers[i].name, "origin"))
            return true;
    }
    return false;
}

static bool came_before(const pl_header *headers, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (pl_str_eq(headers[i].name, headers[at].name))
            return true;
    }
    return false;
}

size_t pl_grpc_wire_expose(const pl_grpc_call *call, pl_header *out, size_t n, const char *own)
{
    pl_buf names;
    if (!is_cross_origin(call))
        return n;
    pl_buf_init(&names);
    pl_buf_str(&names, pl_str_of(own));
    for (size_t i = 0; i < n; i++) {
        if (pl_str_starts(out[i].name, PL_STR("access-control-")) || pl_str_is(out[i].name, "vary") ||
            came_before(out, i))
            continue;
        if (names.len > 0)
            pl_buf_char(&names, ',');
        pl_buf_str(&names, out[i].name);
    }
    pl_str value = names.failed ? PL_STR_NONE : pl_arena_str(&call->stream->arena, pl_buf_view(&names));
    pl_buf_dispose(&names);
    if (value.ptr)
        out[n++] = (pl_header){PL_STR("access-control-expose-headers"), value};
    return n;
}

pl_str pl_grpc_wire_encoded(pl_arena *arena, pl_str text, void (*encode)(pl_buf *out, pl_str text))
{
    pl_buf buf;
    pl_buf_init(&buf);
    encode(&buf, text);
    pl_str copy = buf.failed ? PL_STR_NONE : pl_arena_str(arena, pl_buf_view(&buf));
    pl_buf_dispose(&buf);
    return copy;
}

size_t pl_grpc_wire_status(const pl_grpc_call *call, pl_header *out)
{
    static const char *const codes[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                        "9", "10", "11", "12", "13", "14", "15", "16"};
    const pl_grpc_status *s = &call->status;
    pl_arena *arena = &call->stream->arena;
    size_t n = 0;
    out[n++] = (pl_header){PL_STR("grpc-status"),
                           pl_str_of(codes[s->code <= PL_UNAUTHENTICATED ? s->code : PL_UNKNOWN])};
    if (s->message.len > 0)
        out[n++] = (pl_header){PL_STR("grpc-message"),
                               pl_grpc_wire_encoded(arena, s->message, pl_grpc_percent_write)};
    if (s->details.ptr)
        out[n++] = (pl_header){PL_STR("grpc-status-details-bin"),
                               pl_grpc_wire_encoded(arena, s->details, pl_base64_write_unpadded)};
    size_t sound = 0;
    for (size_t i = 0; i < n; i++) {
        if (out[i].value.ptr)
            out[sound++] = out[i];
    }
    return sound;
}
