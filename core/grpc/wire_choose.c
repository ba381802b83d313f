/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "grpc/codec_proto.h"
#include "grpc/timeout.h"
#include "grpc/transcode/routes.h"
#include "grpc/wire.h"

/* Which protocol a request speaks, and what all of them do when a call is opened. */

bool pl_grpc_wire_is_type(pl_str type, pl_str prefix, pl_str *rest)
{
    if (type.len < prefix.len || strncasecmp(type.ptr, prefix.ptr, prefix.len) != 0)
        return false;
    pl_str more = {type.ptr + prefix.len, type.len - prefix.len};
    const char *end = more.len > 0 ? memchr(more.ptr, ';', more.len) : NULL;
    if (end)
        more.len = (size_t)(end - more.ptr);
    while (more.len > 0 && (more.ptr[more.len - 1] == ' ' || more.ptr[more.len - 1] == '\t'))
        more.len--;
    if (rest)
        *rest = more;
    return rest || more.len == 0;
}

static pl_str header_of(const pl_grpc_stream *stream, pl_str name)
{
    for (size_t i = 0; i < stream->headers.count; i++) {
        if (pl_str_eq(stream->headers.items[i].name, name))
            return stream->headers.items[i].value;
    }
    return PL_STR_NONE;
}

pl_str pl_grpc_wire_path(const pl_grpc_stream *stream)
{
    pl_str path = stream->path;
    const char *mark = path.len > 0 ? memchr(path.ptr, '?', path.len) : NULL;
    return mark ? (pl_str){path.ptr, (size_t)(mark - path.ptr)} : path;
}

/* "+proto", "": of gRPC and gRPC-Web. */
static bool is_format(pl_str rest)
{
    return rest.len == 0 || rest.ptr[0] == '+';
}

static const pl_grpc_wire *choose_grpc(pl_str rest)
{
    pl_str web_text = PL_STR("-web-text"), web = PL_STR("-web");
    if (is_format(rest))
        return &pl_grpc_wire_grpc;
    if (pl_str_starts(rest, web_text) && is_format((pl_str){rest.ptr + 9, rest.len - 9}))
        return &pl_grpc_wire_web_text;
    if (pl_str_starts(rest, web) && is_format((pl_str){rest.ptr + 4, rest.len - 4}))
        return &pl_grpc_wire_web;
    return NULL;
}

static bool is_plain(const pl_grpc_service *service, pl_str verb, pl_str path)
{
    pl_http_match match;
    return service && service->routes && pl_http_routes_match(service->routes, verb, path, &match);
}

const pl_grpc_wire *pl_grpc_wire_choose(const pl_grpc_server *server, const pl_grpc_stream *stream)
{
    pl_str type = header_of(stream, PL_STR("content-type")), rest, path;
    if (pl_str_is(type, "application/grpc")) /* as most clients say it */
        return &pl_grpc_wire_grpc;
    if (pl_grpc_wire_is_type(type, PL_STR("application/grpc"), &rest)) {
        const pl_grpc_wire *wire = choose_grpc(rest);
        if (wire)
            return wire;
    }
    if (pl_grpc_wire_is_type(type, PL_STR("application/connect+"), &rest))
        return &pl_grpc_wire_connect_stream;
    path = pl_grpc_wire_path(stream);
    if (is_plain(server->service, stream->method, path))
        return &pl_grpc_wire_http;
    if (!(server->service && pl_grpc_service_knows(server->service, path)) &&
        !(server->native && pl_grpc_service_knows(server->native, path)) &&
        !header_of(stream, PL_STR("connect-protocol-version")).ptr)
        return NULL;
    return pl_str_is(stream->method, "GET") ? &pl_grpc_wire_connect_get : &pl_grpc_wire_connect_unary;
}

/* Reserved, but of use to applications. */
static bool is_of_use(pl_str name)
{
    return pl_str_is(name, "grpc-previous-rpc-attempts") || pl_str_is(name, "grpc-trace-bin") ||
           pl_str_is(name, "grpc-tags-bin");
}

/* Where a header of the protocols' own goes; NULL: it is none. By length, since each header of each call
 * comes here. */
static pl_str *place_of(pl_grpc_wire_headers *out, pl_str name)
{
    switch (name.len) {
    case 6:
        return pl_str_is(name, "accept") ? &out->accept : pl_str_is(name, "origin") ? &out->origin : NULL;
    case 12:
        return pl_str_is(name, "content-type")   ? &out->type
               : pl_str_is(name, "grpc-timeout") ? &out->grpc_timeout
                                                 : NULL;
    case 13:
        return pl_str_is(name, "grpc-encoding") ? &out->grpc_coding : NULL;
    case 15:
        return pl_str_is(name, "accept-encoding") ? &out->http_accepted : NULL;
    case 16:
        return pl_str_is(name, "content-encoding") ? &out->http_coding : NULL;
    case 18:
        return pl_str_is(name, "connect-timeout-ms") ? &out->connect_timeout : NULL;
    case 20:
        return pl_str_is(name, "grpc-accept-encoding") ? &out->grpc_accepted : NULL;
    case 23:
        return pl_str_is(name, "connect-accept-encoding") ? &out->connect_accepted : NULL;
    case 24:
        return pl_str_is(name, "connect-protocol-version")   ? &out->connect_version
               : pl_str_is(name, "connect-content-encoding") ? &out->connect_coding
                                                             : NULL;
    default:
        return NULL;
    }
}

void pl_grpc_wire_sort(pl_grpc_stream *stream, pl_grpc_wire_headers *out)
{
    pl_grpc_metadata *list = &stream->headers;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        pl_header h = list->items[i];
        pl_str *place = place_of(out, h.name);
        if (place)
            *place = h.value;
        if (place ? place == &out->origin || place == &out->accept
                  : !pl_grpc_is_reserved(h.name) || is_of_use(h.name))
            list->items[kept++] = h;
    }
    list->count = kept;
    if (stream->authority.ptr)
        pl_grpc_metadata_add(list, &stream->arena, PL_STR("host"), stream->authority);
}

const pl_grpc_codec *pl_grpc_wire_codec(const pl_grpc_method *method, pl_str format)
{
    /* Messages that nobody describes are bytes, whatever they are called. */
    if (method->codec == &pl_grpc_bytes_codec)
        return method->codec;
    if (!pl_str_is(format, "json"))
        return method->codec;
    return method->native ? NULL : &pl_grpc_json_codec; /* those in C take bytes */
}

bool pl_grpc_wire_refuse(pl_grpc_call *call, pl_code code, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    pl_str copy = pl_arena_str(&call->stream->arena, pl_str_of(text));
    call->status = (pl_grpc_status){.code = code, .message = copy.ptr ? copy : PL_STR("")};
    call->wire->end(call);
    return false;
}

bool pl_grpc_wire_refuse_http(pl_grpc_call *call, int status)
{
    pl_header headers[1 + PL_GRPC_MORE_HEADERS];
    size_t n = 0;
    if (status == 405)
        headers[n++] = (pl_header){PL_STR("allow"), PL_STR("POST")};
    else if (status == 415)
        headers[n++] = (pl_header){PL_STR("accept-post"), call->wire->accepted};
    for (size_t i = 0; i < call->stream->extra_count && n < PL_GRPC_MORE_HEADERS; i++)
        headers[n++] = call->stream->extra[i];
    call->stream->ops->respond(call->stream, status, headers, n, true);
    return false;
}

/* A service of the bundle hides a native one of its name, with all methods. */
static void look_up(pl_grpc_call *call, pl_str path)
{
    pl_grpc_service *native = call->server->native;
    call->method = call->service ? pl_grpc_service_find(call->service, path) : NULL;
    if (call->method || !native || (call->service && pl_grpc_service_knows(call->service, path)))
        return;
    call->method = pl_grpc_service_find(native, path);
    if (call->method)
        call->service = native;
}

bool pl_grpc_wire_find_method(pl_grpc_call *call)
{
    pl_str path = pl_grpc_wire_path(call->stream);
    if (call->stream->headers_too_large)
        return pl_grpc_wire_refuse(call, PL_RESOURCE_EXHAUSTED, "the metadata is too large");
    look_up(call, path);
    if (call->method)
        return true;
    const char *slash = path.len > 1 && path.ptr[0] == '/' ? memrchr(path.ptr + 1, '/', path.len - 1) : NULL;
    if (!slash)
        return pl_grpc_wire_refuse(call, PL_UNIMPLEMENTED, "the path is not /package.Service/Method");
    pl_str service = {path.ptr + 1, (size_t)(slash - path.ptr) - 1};
    pl_str method = {slash + 1, path.len - service.len - 2};
    const pl_grpc_service *native = call->server->native;
    if ((call->service && pl_grpc_service_has(call->service, service)) ||
        (native && pl_grpc_service_has(native, service)))
        return pl_grpc_wire_refuse(call, PL_UNIMPLEMENTED, "unknown method %.*s for service %.*s",
                                   PL_STR_ARG(method), PL_STR_ARG(service));
    return pl_grpc_wire_refuse(call, PL_UNIMPLEMENTED, "unknown service %.*s", PL_STR_ARG(service));
}

static void choose_coding(pl_grpc_call *call)
{
    const pl_grpc_options *o = &call->service->options;
    pl_grpc_coding coding = o->compression == PL_GRPC_MIRROR   ? call->request_coding
                            : o->compression == PL_GRPC_ALWAYS ? o->coding
                                                               : PL_GRPC_IDENTITY;
    call->response_coding = call->accepted & 1u << coding ? coding : PL_GRPC_IDENTITY;
}

bool pl_grpc_wire_set_codings(pl_grpc_call *call, pl_str coding, pl_str accepted)
{
    call->request_coding = coding.ptr ? pl_grpc_coding_read(coding) : PL_GRPC_IDENTITY;
    if (call->request_coding == PL_GRPC_CODINGS)
        return pl_grpc_wire_refuse(
            call, PL_UNIMPLEMENTED, "the compression %.*s is not supported: there are %.*s",
            coding.len > 40 ? 40 : (int)coding.len, coding.ptr, PL_STR_ARG(pl_grpc_coding_names()));
    call->accepted = pl_grpc_coding_list(accepted);
    choose_coding(call);
    return true;
}

void pl_grpc_wire_set_deadline(pl_grpc_call *call, uint64_t ms)
{
    pl_host *host = call->server->config.host;
    uint64_t own = call->service->options.timeout_ms;
    if (own && own < ms)
        ms = own;
    if (ms != UINT64_MAX)
        call->work.deadline = host->ops->now(host) + ms;
}

bool pl_grpc_wire_set_grpc_deadline(pl_grpc_call *call, pl_str timeout)
{
    uint64_t ms = UINT64_MAX;
    if (timeout.ptr && !pl_grpc_timeout_read(timeout, &ms))
        return pl_grpc_wire_refuse(call, call->wire->malformed, "grpc-timeout is malformed");
    pl_grpc_wire_set_deadline(call, ms);
    return true;
}

void pl_grpc_wire_describe(pl_grpc_call *call)
{
    static const char *const kinds[] = {"unary", "server_streaming", "client_streaming", "bidi_streaming"};
    pl_grpc_stream *stream = call->stream;
    call->work.operation_name = (pl_str){call->method->path.ptr + 1, call->method->path.len - 1};
    call->work.operation_kind = kinds[call->method->client_streaming * 2 + call->method->server_streaming];
    call->work.headers = stream->headers.items;
    call->work.header_count = stream->headers.count;
    stream->reader.max_message = call->service->options.max_message;
}

bool pl_grpc_wire_open_grpc(pl_grpc_call *call, pl_str format, const pl_grpc_wire_headers *headers)
{
    if (!pl_grpc_wire_find_method(call))
        return false;
    if (!(call->codec = pl_grpc_wire_codec(call->method, format)))
        return pl_grpc_wire_refuse_http(call, 415);
    if (!pl_grpc_wire_set_codings(call, headers->grpc_coding, headers->grpc_accepted) ||
        !pl_grpc_wire_set_grpc_deadline(call, headers->grpc_timeout))
        return false;
    pl_grpc_wire_describe(call);
    return true;
}
