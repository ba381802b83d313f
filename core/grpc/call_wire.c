/* SPDX-License-Identifier: MIT */
#include "base/base64.h"
#include "grpc/call.h"
#include "grpc/timeout.h"

/* The gRPC protocol over a stream: headers in, messages both ways, status out. */

#define CONTENT_TYPE "application/grpc"
#define MAX_OWN_HEADERS 100 /* of the application, in one block */
#define CANCEL 0x8
#define NO_MESSAGE SIZE_MAX

/* --- refusals before there is a call --- */
static bool refuse_http(pl_grpc_call *call, int status)
{
    static const pl_header post = {{"allow", 5}, {"POST", 4}};
    call->stream->ops->respond(call->stream, status, &post, status == 405 ? 1 : 0, true);
    return false;
}

static bool refuse(pl_grpc_call *call, pl_code code, pl_str message)
{
    pl_buf text;
    char digits[4];
    size_t n = 0;
    pl_buf_init(&text);
    pl_grpc_percent_write(&text, message);
    if (code >= 10)
        digits[n++] = '1';
    digits[n++] = (char)('0' + code % 10);
    pl_header headers[] = {{PL_STR("content-type"), PL_STR(CONTENT_TYPE)},
                           {PL_STR("grpc-status"), {digits, n}},
                           {PL_STR("grpc-message"), text.failed ? PL_STR("") : pl_buf_view(&text)},
                           {PL_STR("grpc-accept-encoding"), pl_grpc_coding_names()}};
    call->stream->ops->respond(call->stream, 200, headers, code == PL_UNIMPLEMENTED ? 4 : 3, true);
    pl_buf_dispose(&text);
    return false;
}

/* --- headers --- */
static bool is_grpc(pl_str type)
{
    pl_str prefix = PL_STR(CONTENT_TYPE);
    if (!pl_str_starts(type, prefix))
        return false;
    pl_str rest = {type.ptr + prefix.len, type.len - prefix.len};
    return rest.len == 0 || rest.ptr[0] == ';' || pl_str_is(rest, "+proto") ||
           pl_str_starts(rest, PL_STR("+proto;"));
}

typedef struct wire_headers {
    pl_str type, timeout, coding, accepted;
} wire_headers;

/* Reserved, but of use to applications. */
static bool is_of_use(pl_str name)
{
    return pl_str_is(name, "grpc-previous-rpc-attempts") || pl_str_is(name, "grpc-trace-bin") ||
           pl_str_is(name, "grpc-tags-bin");
}

/* Takes what is the protocol's own, and leaves the application's in the list. */
static void sort_headers(pl_grpc_stream *stream, wire_headers *out)
{
    pl_grpc_metadata *list = &stream->headers;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        pl_header h = list->items[i];
        if (pl_str_is(h.name, "content-type"))
            out->type = h.value;
        else if (pl_str_is(h.name, "grpc-timeout"))
            out->timeout = h.value;
        else if (pl_str_is(h.name, "grpc-encoding"))
            out->coding = h.value;
        else if (pl_str_is(h.name, "grpc-accept-encoding"))
            out->accepted = h.value;
        else if (!pl_grpc_is_reserved(h.name) || is_of_use(h.name))
            list->items[kept++] = h;
    }
    list->count = kept;
    if (stream->authority.ptr)
        pl_grpc_metadata_add(list, &stream->arena, PL_STR("host"), stream->authority);
}

static bool read_deadline(pl_grpc_call *call, pl_str timeout)
{
    pl_host *host = call->server->config.host;
    uint64_t ms = UINT64_MAX, own = call->service->options.timeout_ms;
    if (timeout.ptr && !pl_grpc_timeout_read(timeout, &ms))
        return refuse(call, PL_INTERNAL, PL_STR("grpc-timeout is malformed"));
    if (own && own < ms)
        ms = own;
    if (ms != UINT64_MAX)
        call->work.deadline = host->ops->now(host) + ms;
    return true;
}

static void choose_coding(pl_grpc_call *call)
{
    const pl_grpc_options *o = &call->service->options;
    pl_grpc_coding coding = o->compression == PL_GRPC_MIRROR   ? call->request_coding
                            : o->compression == PL_GRPC_ALWAYS ? o->coding
                                                               : PL_GRPC_IDENTITY;
    call->response_coding = call->accepted & 1u << coding ? coding : PL_GRPC_IDENTITY;
}

static bool unknown_method(pl_grpc_call *call)
{
    pl_str path = call->stream->path;
    const char *slash = path.len > 1 && path.ptr[0] == '/' ? memrchr(path.ptr + 1, '/', path.len - 1) : NULL;
    if (!slash)
        return refuse(call, PL_UNIMPLEMENTED, PL_STR("the path is not /package.Service/Method"));
    pl_str service = {path.ptr + 1, (size_t)(slash - path.ptr) - 1};
    pl_str method = {slash + 1, path.len - service.len - 2};
    bool known = call->service && pl_grpc_service_has(call->service, service);
    pl_str text = known ? pl_arena_printf(&call->stream->arena, "unknown method %.*s for service %.*s",
                                          PL_STR_ARG(method), PL_STR_ARG(service))
                        : pl_arena_printf(&call->stream->arena, "unknown service %.*s", PL_STR_ARG(service));
    return refuse(call, PL_UNIMPLEMENTED, text.ptr ? text : PL_STR("unknown method"));
}

bool pl_grpc_wire_open(pl_grpc_call *call)
{
    static const char *const kinds[] = {"unary", "server_streaming", "client_streaming", "bidi_streaming"};
    pl_grpc_stream *stream = call->stream;
    wire_headers headers = {0};
    sort_headers(stream, &headers);
    if (!pl_str_is(stream->method, "POST"))
        return refuse_http(call, 405);
    if (!is_grpc(headers.type))
        return refuse_http(call, 415);
    if (stream->headers_too_large)
        return refuse(call, PL_RESOURCE_EXHAUSTED, PL_STR("the metadata is too large"));
    call->method = call->service ? pl_grpc_service_find(call->service, stream->path) : NULL;
    if (!call->method)
        return unknown_method(call);
    call->request_coding = headers.coding.ptr ? pl_grpc_coding_read(headers.coding) : PL_GRPC_IDENTITY;
    if (call->request_coding == PL_GRPC_CODINGS)
        return refuse(call, PL_UNIMPLEMENTED, PL_STR("the grpc-encoding is not supported"));
    call->accepted = pl_grpc_coding_list(headers.accepted);
    choose_coding(call);
    if (!read_deadline(call, headers.timeout))
        return false;
    call->work.operation_name = (pl_str){stream->path.ptr + 1, stream->path.len - 1};
    call->work.operation_kind = kinds[call->method->client_streaming * 2 + call->method->server_streaming];
    call->work.headers = stream->headers.items;
    call->work.header_count = stream->headers.count;
    stream->reader.max_message = call->service->options.max_message;
    return true;
}

/* --- messages in --- */
static void credit(pl_grpc_call *call, size_t bytes)
{
    if (bytes > call->uncredited)
        bytes = call->uncredited;
    call->uncredited -= bytes;
    if (bytes > 0 && !call->peer_ended)
        call->stream->ops->consumed(call->stream, bytes);
}

static void let_go(pl_grpc_call *call, size_t bytes)
{
    call->held -= bytes;
    call->server->held -= bytes;
}

bool pl_grpc_wire_add(pl_grpc_call *call, pl_str bytes)
{
    pl_grpc_server *server = call->server;
    pl_grpc_message message;
    if (server->held + bytes.len > server->config.max_held ||
        !pl_grpc_reader_add(&call->stream->reader, bytes)) {
        pl_grpc_call_fail(call, PL_RESOURCE_EXHAUSTED, "the server has received more than it can hold");
        return false;
    }
    server->held += bytes.len;
    call->held += bytes.len;
    call->uncredited += bytes.len;
    /* Of a message that somebody waits for, more may come: it is bounded. */
    if (call->wants && pl_grpc_reader_peek(&call->stream->reader, &message) == PL_GRPC_MORE)
        credit(call, call->uncredited);
    return true;
}

static pl_code too_large(const pl_grpc_call *call, uint32_t length, pl_error *err)
{
    return pl_fail(err, PL_RESOURCE_EXHAUSTED, "a message is too large: it has %u bytes, and %zu are allowed",
                   length, call->stream->reader.max_message);
}

pl_grpc_whole pl_grpc_wire_check_single(pl_grpc_call *call)
{
    pl_grpc_message message;
    pl_error err;
    size_t held = pl_grpc_reader_held(&call->stream->reader);
    switch (pl_grpc_reader_peek(&call->stream->reader, &message)) {
    case PL_GRPC_MESSAGE:
        if (held > PL_GRPC_PREFIX + message.length)
            break;
        return call->peer_ended ? PL_GRPC_WHOLE : PL_GRPC_NOT_WHOLE;
    case PL_GRPC_TOO_LARGE:
        too_large(call, message.length, &err);
        pl_grpc_call_fail(call, err.code, "%s", err.message);
        return PL_GRPC_REFUSED;
    case PL_GRPC_BAD_FLAGS:
        pl_grpc_call_fail(call, PL_INTERNAL, "a message has flags that are not defined");
        return PL_GRPC_REFUSED;
    case PL_GRPC_MORE:
        if (!call->peer_ended)
            return PL_GRPC_NOT_WHOLE;
        if (held > 0) {
            pl_grpc_call_fail(call, PL_INTERNAL, "the request ends in the middle of a message");
            return PL_GRPC_REFUSED;
        }
        break;
    }
    pl_grpc_call_fail(call, PL_UNIMPLEMENTED, "the method takes one request message, not %s",
                      held > 0 ? "several" : "none");
    return PL_GRPC_REFUSED;
}

/* Pushes the value. [jumps] */
static pl_code decode(pl_grpc_call *call, const pl_grpc_message *message, pl_error *err)
{
    const pl_grpc_method *method = call->method;
    pl_grpc_stream *stream = call->stream;
    if (!message->compressed)
        return method->codec->decode(method->input, call->service->state, message->payload, err);
    if (call->request_coding == PL_GRPC_IDENTITY)
        return pl_fail(err, PL_INTERNAL, "a message is compressed, but grpc-encoding names no compression");
    pl_buf_reset(&stream->scratch, stream->scratch.cap);
    pl_code code = pl_grpc_decompress(call->server->coder, call->request_coding, message->payload,
                                      stream->reader.max_message, &stream->scratch, err);
    if (code == PL_OK)
        code = method->codec->decode(method->input, call->service->state, pl_buf_view(&stream->scratch), err);
    pl_buf_reset(&stream->scratch, (size_t)16 << 10);
    return code;
}

pl_rpc_result pl_grpc_wire_take(pl_grpc_call *call, pl_error *err)
{
    pl_grpc_message message;
    pl_grpc_reader *reader = &call->stream->reader;
    switch (pl_grpc_reader_next(reader, &message)) {
    case PL_GRPC_MESSAGE:
        call->wants = false;
        call->received++;
        let_go(call, PL_GRPC_PREFIX + message.length);
        credit(call, PL_GRPC_PREFIX + message.length);
        return decode(call, &message, err) == PL_OK ? PL_RPC_DONE : PL_RPC_FAILED;
    case PL_GRPC_TOO_LARGE:
        too_large(call, message.length, err);
        return PL_RPC_FAILED;
    case PL_GRPC_BAD_FLAGS:
        pl_fail(err, PL_INTERNAL, "a message has flags that are not defined");
        return PL_RPC_FAILED;
    case PL_GRPC_MORE:
        break;
    }
    if (!call->peer_ended) {
        call->wants = true;
        credit(call, call->uncredited);
        return PL_RPC_WAIT;
    }
    if (pl_grpc_reader_held(reader) == 0)
        return PL_RPC_END;
    pl_fail(err, PL_INTERNAL, "the stream ends in the middle of a message");
    return PL_RPC_FAILED;
}

/* --- headers and messages out --- */
static pl_code compress_from(pl_grpc_call *call, size_t begin, pl_error *err)
{
    pl_grpc_stream *stream = call->stream;
    pl_buf *out = &stream->out;
    pl_str plain = {out->data + begin + PL_GRPC_PREFIX, out->len - begin - PL_GRPC_PREFIX};
    pl_buf_reset(&stream->scratch, stream->scratch.cap);
    pl_code code = pl_grpc_compress(call->server->coder, call->response_coding, plain, &stream->scratch, err);
    if (code == PL_OK) {
        out->len = begin + PL_GRPC_PREFIX;
        pl_buf_str(out, pl_buf_view(&stream->scratch));
    }
    pl_buf_reset(&stream->scratch, (size_t)16 << 10);
    return code;
}

/* What has been sent makes room. */
static void compact(pl_grpc_stream *stream)
{
    size_t unsent = pl_grpc_stream_unsent(stream);
    if (stream->sent == 0 || unsent > stream->sent)
        return;
    memmove(stream->out.data, stream->out.data + stream->sent, unsent);
    stream->out.len = unsent;
    stream->sent = 0;
}

pl_code pl_grpc_wire_put(pl_grpc_call *call, pl_slot slot, pl_error *err)
{
    const pl_grpc_method *method = call->method;
    pl_buf *out = &call->stream->out;
    compact(call->stream);
    size_t begin = call->begin = pl_grpc_message_begin(out);
    pl_code code = out->failed ? pl_fail_memory(err)
                               : method->codec->encode(method->output, call->service->state, slot, out, err);
    bool compress = call->response_coding != PL_GRPC_IDENTITY &&
                    out->len - begin - PL_GRPC_PREFIX >= call->service->options.compress_from;
    if (code == PL_OK && compress)
        code = compress_from(call, begin, err);
    if (code == PL_OK && !pl_grpc_message_end(out, begin, compress ? PL_GRPC_FLAG_COMPRESSED : 0))
        code = pl_fail(err, PL_RESOURCE_EXHAUSTED, "a message is too large to be sent");
    if (code != PL_OK) {
        pl_grpc_wire_abandon(call);
        return code;
    }
    call->begin = NO_MESSAGE;
    call->sent++;
    return PL_OK;
}

void pl_grpc_wire_abandon(pl_grpc_call *call)
{
    if (call->begin == NO_MESSAGE)
        return;
    pl_buf *out = &call->stream->out;
    out->failed = false;
    if (out->len > call->begin)
        out->len = call->begin;
    call->begin = NO_MESSAGE;
}

/* The answer's first block: alone, with the status in it. */
static size_t own_headers(const pl_grpc_call *call, pl_header *out, bool alone)
{
    size_t n = 0;
    out[n++] = (pl_header){PL_STR("content-type"), PL_STR(CONTENT_TYPE)};
    if (!alone && call->response_coding != PL_GRPC_IDENTITY)
        out[n++] = (pl_header){PL_STR("grpc-encoding"), pl_grpc_coding_name(call->response_coding)};
    if (call->request_coding != PL_GRPC_IDENTITY)
        out[n++] = (pl_header){PL_STR("grpc-accept-encoding"), pl_grpc_coding_names()};
    return n;
}

static size_t add_all(pl_header *out, size_t n, const pl_grpc_metadata *list)
{
    for (size_t i = 0; i < list->count && i < MAX_OWN_HEADERS; i++)
        out[n++] = list->items[i];
    return n;
}

void pl_grpc_wire_headers(pl_grpc_call *call)
{
    pl_header headers[MAX_OWN_HEADERS + 4];
    if (call->headers_sent)
        return;
    call->headers_sent = true;
    size_t n = add_all(headers, own_headers(call, headers, false), &call->headers);
    call->stream->ops->respond(call->stream, 200, headers, n, false);
}

/* --- the end --- */
static pl_str encoded(pl_arena *arena, pl_str text, void (*encode)(pl_buf *out, pl_str text))
{
    pl_buf buf;
    pl_buf_init(&buf);
    encode(&buf, text);
    pl_str copy = buf.failed ? PL_STR_NONE : pl_arena_str(arena, pl_buf_view(&buf));
    pl_buf_dispose(&buf);
    return copy;
}

static size_t status_headers(const pl_grpc_call *call, pl_header *out)
{
    static const char *const codes[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                        "9", "10", "11", "12", "13", "14", "15", "16"};
    const pl_grpc_status *s = &call->status;
    pl_arena *arena = &call->stream->arena;
    size_t n = 0;
    out[n++] = (pl_header){PL_STR("grpc-status"),
                           pl_str_of(codes[s->code <= PL_UNAUTHENTICATED ? s->code : PL_UNKNOWN])};
    if (s->message.len > 0)
        out[n++] = (pl_header){PL_STR("grpc-message"), encoded(arena, s->message, pl_grpc_percent_write)};
    if (s->details.ptr)
        out[n++] = (pl_header){PL_STR("grpc-status-details-bin"),
                               encoded(arena, s->details, pl_base64_write_unpadded)};
    size_t sound = 0;
    for (size_t i = 0; i < n; i++) {
        if (out[i].value.ptr)
            out[sound++] = out[i];
    }
    return sound;
}

/* Trailers-Only. */
static void end_alone(pl_grpc_call *call)
{
    pl_header headers[MAX_OWN_HEADERS + 8];
    size_t n = own_headers(call, headers, true);
    n += status_headers(call, headers + n);
    n = add_all(headers, n, &call->trailers);
    call->headers_sent = true;
    call->stream->ops->respond(call->stream, 200, headers, n, true);
}

void pl_grpc_wire_end(pl_grpc_call *call)
{
    static const pl_header ok[] = {{{"grpc-status", 11}, {"0", 1}}};
    pl_grpc_stream *stream = call->stream;
    pl_grpc_wire_abandon(call);
    /* Time is up, or the generation: nobody waits for what the peer does not take. */
    bool cut = (call->status.code == PL_DEADLINE_EXCEEDED || call->status.code == PL_UNAVAILABLE) &&
               !call->method_over && pl_grpc_stream_unsent(stream) > 0;
    if (cut) {
        stream->ops->reset(stream, CANCEL);
        return;
    }
    pl_grpc_script_metadata(call, !call->headers_sent, true);
    if (!call->headers_sent && call->sent == 0 && call->headers.count == 0 && call->status.code != PL_OK) {
        end_alone(call);
        return;
    }
    pl_grpc_wire_headers(call);
    if (call->status.code == PL_OK && call->trailers.count == 0) {
        stream->ops->finish(stream, ok, 1);
        return;
    }
    pl_header *trailers = pl_arena_array(&stream->arena, call->trailers.count + 4, sizeof *trailers);
    if (!trailers) {
        stream->ops->reset(stream, CANCEL);
        return;
    }
    size_t n = status_headers(call, trailers);
    stream->ops->finish(stream, trailers, add_all(trailers, n, &call->trailers));
}
