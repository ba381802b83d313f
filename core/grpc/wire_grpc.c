/* SPDX-License-Identifier: MIT */
#include "grpc/wire.h"

/* gRPC over HTTP/2. */

#define TYPE "application/grpc"

/* "", "+proto", "+json" → "proto", "json"; ptr NULL: it is none of gRPC's. */
static pl_str format_of(pl_str type)
{
    pl_str rest;
    if (pl_str_is(type, TYPE))
        return PL_STR("proto");
    if (!pl_grpc_wire_is_type(type, PL_STR(TYPE), &rest))
        return PL_STR_NONE;
    if (pl_str_is(rest, "+json"))
        return PL_STR("json");
    return rest.len == 0 || pl_str_is(rest, "+proto") ? PL_STR("proto") : PL_STR_NONE;
}

static bool open_call(pl_grpc_call *call, const pl_grpc_wire_headers *headers)
{
    pl_str format = format_of(headers->type);
    call->answer_type = pl_str_is(format, "json") ? PL_STR(TYPE "+json") : PL_STR(TYPE);
    if (!pl_str_is(call->stream->method, "POST"))
        return pl_grpc_wire_refuse_http(call, 405);
    if (!format.ptr || call->stream->no_trailers)
        return pl_grpc_wire_refuse_http(call, 415);
    return pl_grpc_wire_open_grpc(call, format, headers);
}

/* The answer's first block: alone, with the status in it. */
static size_t own_headers(const pl_grpc_call *call, pl_header *out, bool alone)
{
    size_t n = 0;
    out[n++] = (pl_header){PL_STR("content-type"), call->answer_type};
    if (!alone && call->response_coding != PL_GRPC_IDENTITY)
        out[n++] = (pl_header){PL_STR("grpc-encoding"), pl_grpc_coding_name(call->response_coding)};
    if (call->request_coding != PL_GRPC_IDENTITY)
        out[n++] = (pl_header){PL_STR("grpc-accept-encoding"), pl_grpc_coding_names()};
    return n;
}

static void send_headers(pl_grpc_call *call)
{
    pl_header headers[PL_GRPC_OWN_HEADERS + PL_GRPC_MORE_HEADERS];
    size_t n = pl_grpc_wire_add_headers(call, headers, own_headers(call, headers, false));
    call->stream->ops->respond(call->stream, 200, headers, n, false);
}

static size_t add_trailers(const pl_grpc_call *call, pl_header *out, size_t n)
{
    for (size_t i = 0; i < call->trailers.count && i < PL_GRPC_OWN_HEADERS; i++)
        out[n++] = call->trailers.items[i];
    return n;
}

/* Trailers-Only. */
static void end_alone(pl_grpc_call *call)
{
    pl_header headers[PL_GRPC_OWN_HEADERS + PL_GRPC_MORE_HEADERS];
    size_t n = own_headers(call, headers, true);
    n += pl_grpc_wire_status(call, headers + n);
    n = add_trailers(call, headers, n);
    call->headers_sent = true;
    call->stream->ops->respond(call->stream, 200, headers, n, true);
}

static void end_call(pl_grpc_call *call)
{
    static const pl_header ok[] = {{{"grpc-status", 11}, {"0", 1}}};
    pl_grpc_stream *stream = call->stream;
    if (!call->headers_sent && call->sent == 0 && call->headers.count == 0 && call->status.code != PL_OK) {
        end_alone(call);
        return;
    }
    pl_grpc_call_headers(call);
    if (call->status.code == PL_OK && call->trailers.count == 0) {
        stream->ops->finish(stream, ok, 1);
        return;
    }
    pl_header *trailers = pl_arena_array(&stream->arena, call->trailers.count + 4, sizeof *trailers);
    if (!trailers) {
        stream->ops->reset(stream, PL_GRPC_RESET_CANCEL);
        return;
    }
    size_t n = pl_grpc_wire_status(call, trailers);
    stream->ops->finish(stream, trailers, add_trailers(call, trailers, n));
}

const pl_grpc_wire pl_grpc_wire_grpc = {
    .protocol = "grpc",
    .accepted = {TYPE ", " TYPE "+json", sizeof(TYPE ", " TYPE "+json") - 1},
    .malformed = PL_INTERNAL,
    .open = open_call,
    .headers = send_headers,
    .end = end_call};
