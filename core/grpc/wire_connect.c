/* SPDX-License-Identifier: MIT */
#include "grpc/connect.h"
#include "grpc/wire.h"

/* The Connect protocol. A unary call is a plain HTTP request: a body is a message, an error is a status of
 * HTTP with JSON in the body, trailers are headers that begin with "trailer-". So nothing of an answer goes
 * before all of it is known. A stream is frames of gRPC, the last of which (END_STREAM) has error and
 * trailers as JSON. */

#define FLAG_END_STREAM 0x02
#define VERSION "1"

/* --- opening --- */
static bool read_common(pl_grpc_call *call, const pl_grpc_wire_headers *headers, pl_str version,
                        const char *current)
{
    uint64_t ms = UINT64_MAX;
    if (version.ptr && !pl_str_is(version, current))
        return pl_grpc_wire_refuse(call, PL_INVALID_ARGUMENT,
                                   "the version of the Connect protocol must be \"%s\", not \"%.*s\"",
                                   current, version.len > 40 ? 40 : (int)version.len, version.ptr);
    if (!version.ptr && call->service->options.connect_version)
        return pl_grpc_wire_refuse(call, PL_INVALID_ARGUMENT,
                                   "the version of the Connect protocol is missing: %s",
                                   current[0] == 'v' ? "the parameter connect=" CONNECT_GET_VERSION
                                                     : "the header connect-protocol-version: " VERSION);
    if (headers->connect_timeout.ptr && !pl_grpc_connect_timeout(headers->connect_timeout, &ms))
        return pl_grpc_wire_refuse(call, PL_INVALID_ARGUMENT,
                                   "connect-timeout-ms is malformed: it is at most 10 digits");
    pl_grpc_wire_set_deadline(call, ms);
    pl_grpc_wire_describe(call);
    return true;
}

static bool is_unary(const pl_grpc_method *method)
{
    return !method->client_streaming && !method->server_streaming;
}

/* The codec of a content type: prefix and a format. */
static const pl_grpc_codec *codec_of(pl_grpc_call *call, pl_str type, pl_str prefix)
{
    pl_str format;
    if (!pl_grpc_wire_is_type(type, prefix, &format))
        return NULL;
    return pl_str_is(format, "json") || pl_str_is(format, "proto") ? pl_grpc_wire_codec(call->method, format)
                                                                   : NULL;
}

static bool is_json(pl_str type, pl_str prefix)
{
    pl_str format;
    return pl_grpc_wire_is_type(type, prefix, &format) && pl_str_is(format, "json");
}

static bool open_unary(pl_grpc_call *call, const pl_grpc_wire_headers *headers)
{
    pl_str prefix = PL_STR("application/");
    call->answer_type =
        is_json(headers->type, prefix) ? PL_STR("application/json") : PL_STR("application/proto");
    if (!pl_grpc_wire_find_method(call))
        return false;
    if (!pl_str_is(call->stream->method, "POST"))
        return pl_grpc_wire_refuse_http(call, 405);
    call->codec = is_unary(call->method) ? codec_of(call, headers->type, prefix) : NULL;
    if (!call->codec)
        return pl_grpc_wire_refuse_http(call, 415);
    return pl_grpc_wire_set_codings(call, headers->http_coding, headers->http_accepted) &&
           read_common(call, headers, headers->connect_version, VERSION) && pl_grpc_wire_begin_body(call);
}

static bool open_stream(pl_grpc_call *call, const pl_grpc_wire_headers *headers)
{
    pl_str prefix = PL_STR("application/connect+");
    call->answer_type = is_json(headers->type, prefix) ? PL_STR("application/connect+json")
                                                       : PL_STR("application/connect+proto");
    if (!pl_str_is(call->stream->method, "POST"))
        return pl_grpc_wire_refuse_http(call, 405);
    if (!pl_grpc_wire_find_method(call))
        return false;
    call->codec = is_unary(call->method) ? NULL : codec_of(call, headers->type, prefix);
    if (!call->codec)
        return pl_grpc_wire_refuse_http(call, 415);
    return pl_grpc_wire_set_codings(call, headers->connect_coding, headers->connect_accepted) &&
           read_common(call, headers, headers->connect_version, VERSION);
}

static bool open_get(pl_grpc_call *call, const pl_grpc_wire_headers *headers)
{
    pl_grpc_connect_get get;
    call->answer_type = PL_STR("application/json");
    if (!pl_grpc_wire_find_method(call))
        return false;
    if (!is_unary(call->method) || !pl_grpc_method_is_pure(call->method))
        return pl_grpc_wire_refuse_http(call, 405);
    if (!pl_grpc_connect_get_read(call->stream, &get))
        return pl_grpc_wire_refuse(call, PL_INVALID_ARGUMENT, "%s", get.wrong);
    call->codec = pl_str_is(get.encoding, "json") || pl_str_is(get.encoding, "proto")
                      ? pl_grpc_wire_codec(call->method, get.encoding)
                      : NULL;
    if (!call->codec)
        return pl_grpc_wire_refuse_http(call, 415);
    if (pl_str_is(get.encoding, "proto"))
        call->answer_type = PL_STR("application/proto");
    return pl_grpc_wire_set_codings(call, get.compression, headers->http_accepted) &&
           read_common(call, headers, get.version, CONNECT_GET_VERSION) && pl_grpc_wire_begin_body(call) &&
           (pl_grpc_wire_hold(call, get.message) ||
            pl_grpc_wire_refuse(call, PL_RESOURCE_EXHAUSTED, "the server is busy"));
}

/* --- the request --- */

/* The message of a GET stands in its query. */
static bool drop(pl_grpc_call *call, pl_str bytes)
{
    (void)call;
    (void)bytes;
    return true;
}

/* --- unary answers --- */

/* They are sent at the end: what a script has wanted to send early goes with it. */
static void no_headers(pl_grpc_call *call)
{
    (void)call;
}

static void respond(pl_grpc_call *call, int status, pl_str type, pl_grpc_coding coding)
{
    pl_header headers[PL_GRPC_OWN_HEADERS * 2 + PL_GRPC_MORE_HEADERS];
    size_t n = 0;
    headers[n++] = (pl_header){PL_STR("content-type"), type};
    if (coding != PL_GRPC_IDENTITY)
        headers[n++] = (pl_header){PL_STR("content-encoding"), pl_grpc_coding_name(coding)};
    if (call->request_coding != PL_GRPC_IDENTITY)
        headers[n++] = (pl_header){PL_STR("accept-encoding"), pl_grpc_coding_names()};
    n = pl_grpc_wire_add_trailers(call, headers, n);
    n = pl_grpc_wire_add_headers(call, headers, n);
    n = pl_grpc_wire_expose(call, headers, n, "");
    call->headers_sent = true;
    call->stream->ops->respond(call->stream, status, headers, n, false);
    call->stream->ops->finish(call->stream, NULL, 0);
}

static void end_unary(pl_grpc_call *call)
{
    pl_grpc_stream *stream = call->stream;
    pl_buf *out = &stream->out;
    if (call->status.code == PL_OK && call->sent == 1) {
        bool compressed = out->data[0] & PL_GRPC_FLAG_COMPRESSED;
        stream->sent = PL_GRPC_PREFIX;
        respond(call, 200, call->answer_type, compressed ? call->response_coding : PL_GRPC_IDENTITY);
        return;
    }
    pl_buf_reset(out, out->cap);
    stream->sent = 0;
    pl_grpc_connect_error(&call->status, out);
    if (out->failed)
        pl_buf_reset(out, 0);
    bool unknown = !call->method && call->status.code == PL_UNIMPLEMENTED;
    respond(call, unknown ? 404 : pl_grpc_connect_http_status(call->status.code), PL_STR("application/json"),
            PL_GRPC_IDENTITY);
}

/* --- streams --- */
static void stream_headers(pl_grpc_call *call)
{
    pl_header headers[PL_GRPC_OWN_HEADERS + PL_GRPC_MORE_HEADERS];
    size_t n = 0;
    headers[n++] = (pl_header){PL_STR("content-type"), call->answer_type};
    if (call->response_coding != PL_GRPC_IDENTITY)
        headers[n++] =
            (pl_header){PL_STR("connect-content-encoding"), pl_grpc_coding_name(call->response_coding)};
    if (call->request_coding != PL_GRPC_IDENTITY)
        headers[n++] = (pl_header){PL_STR("connect-accept-encoding"), pl_grpc_coding_names()};
    n = pl_grpc_wire_add_headers(call, headers, n);
    n = pl_grpc_wire_expose(call, headers, n, "");
    call->stream->ops->respond(call->stream, 200, headers, n, false);
}

static void end_stream(pl_grpc_call *call)
{
    pl_grpc_stream *stream = call->stream;
    pl_buf *out = &stream->out;
    pl_grpc_call_headers(call);
    size_t begin = pl_grpc_message_begin(out);
    pl_grpc_connect_end(call, out);
    if (pl_grpc_message_end(out, begin, FLAG_END_STREAM))
        stream->ops->finish(stream, NULL, 0);
    else
        stream->ops->reset(stream, PL_GRPC_RESET_CANCEL);
}

#define UNARY_TYPES "application/proto, application/json"
#define STREAM_TYPES "application/connect+proto, application/connect+json"
const pl_grpc_wire pl_grpc_wire_connect_unary = {
    .protocol = "connect",
    .accepted = {UNARY_TYPES ", " STREAM_TYPES, sizeof UNARY_TYPES ", " STREAM_TYPES - 1},
    .malformed = PL_INVALID_ARGUMENT,
    .open = open_unary,
    .complete = pl_grpc_wire_complete_body,
    .headers = no_headers,
    .end = end_unary};
const pl_grpc_wire pl_grpc_wire_connect_get = {.protocol = "connect",
                                               .accepted = {UNARY_TYPES, sizeof UNARY_TYPES - 1},
                                               .malformed = PL_INVALID_ARGUMENT,
                                               .open = open_get,
                                               .add = drop,
                                               .complete = pl_grpc_wire_complete_body,
                                               .headers = no_headers,
                                               .end = end_unary};
const pl_grpc_wire pl_grpc_wire_connect_stream = {
    .protocol = "connect",
    .accepted = {UNARY_TYPES ", " STREAM_TYPES, sizeof UNARY_TYPES ", " STREAM_TYPES - 1},
    .malformed = PL_INVALID_ARGUMENT,
    .open = open_stream,
    .headers = stream_headers,
    .end = end_stream};
