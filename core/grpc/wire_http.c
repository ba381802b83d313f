/* SPDX-License-Identifier: MIT */
#include "base/base64.h"
#include "grpc/call.h"
#include "grpc/transcode/request.h"
#include "grpc/wire.h"
#include "value/json.h"

/* Plain HTTP and JSON, by google.api.http. An answer is a message's JSON, or a field of it, or bytes
 * (google.api.HttpBody); those of a stream are the elements of a JSON array, or lines. */

#define HTTP_BODY "google.api.HttpBody"
#define JSON_TYPE "application/json"
#define LINES_TYPE "application/x-ndjson"

typedef enum http_form { FORM_ONE, FORM_ARRAY, FORM_LINES } http_form;

typedef struct http_call {
    pl_http_match match;
    pl_str query, content_type;
    pl_buf bytes; /* of the request, while they are made */
    http_form form;
    bool raw;        /* the answer is an HttpBody */
    pl_str raw_type; /* its content type */
} http_call;

static http_call *of(const pl_grpc_call *call)
{
    return call->wire_data;
}

/* --- opening --- */
static void dispose_bytes(void *data)
{
    pl_buf_dispose(data);
}

static bool refuse_method(pl_grpc_call *call, const char *allowed)
{
    pl_header headers[1 + PL_GRPC_MORE_HEADERS] = {{PL_STR("allow"), pl_str_of(allowed)}};
    size_t n = 1;
    for (size_t i = 0; i < call->stream->extra_count && n < PL_GRPC_MORE_HEADERS; i++)
        headers[n++] = call->stream->extra[i];
    call->stream->ops->respond(call->stream, 405, headers, n, true);
    return false;
}

static bool is_json(pl_str type)
{
    pl_str rest;
    return pl_grpc_wire_is_type(type, PL_STR(JSON_TYPE), NULL) ||
           (pl_grpc_wire_is_type(type, PL_STR("application/"), &rest) && rest.len > 5 &&
            pl_str_is((pl_str){rest.ptr + rest.len - 5, 5}, "+json"));
}

static bool is_http_body(const pb_message *message)
{
    return message && pl_str_is(message->full_name, HTTP_BODY);
}

/* The message that the body is; NULL: a value, or there is none. */
static const pb_message *body_message(const pl_http_route *route)
{
    return route->body_is_all ? route->descriptor->input : route->body ? route->body->message : NULL;
}

static const pb_message *answer_message(const pl_http_route *route)
{
    if (!route->response)
        return route->descriptor->output;
    return route->response->repeated ? NULL : route->response->message;
}

static bool wants_lines(pl_str accept)
{
    static const char *const types[] = {LINES_TYPE, "application/ndjson", "application/jsonl"};
    for (size_t i = 0; accept.ptr && i < sizeof types / sizeof *types; i++) {
        if (memmem(accept.ptr, accept.len, types[i], strlen(types[i])))
            return true;
    }
    return false;
}

static void choose_form(pl_grpc_call *call, pl_str accept)
{
    http_call *h = of(call);
    const pl_http_route *route = h->match.route;
    h->raw = is_http_body(answer_message(route));
    if (call->method->server_streaming)
        h->form = wants_lines(accept) ? FORM_LINES : FORM_ARRAY;
    call->answer_type = h->form == FORM_LINES ? PL_STR(LINES_TYPE) : PL_STR(JSON_TYPE);
    call->codec = h->raw ? &pl_grpc_proto_codec : &pl_grpc_json_codec;
}

static bool open_call(pl_grpc_call *call, const pl_grpc_wire_headers *headers)
{
    pl_grpc_stream *stream = call->stream;
    http_call *h = pl_arena_zalloc(&stream->arena, sizeof *h);
    pl_str path = pl_grpc_wire_path(stream);
    call->answer_type = PL_STR(JSON_TYPE);
    if (!h || pl_arena_on_dispose(&stream->arena, dispose_bytes, &h->bytes) != 0)
        return pl_grpc_wire_refuse(call, PL_RESOURCE_EXHAUSTED, "out of memory");
    call->wire_data = h;
    pl_buf_init(&h->bytes);
    if (!pl_http_routes_match(call->service->routes, stream->method, path, &h->match) || !h->match.route)
        return refuse_method(call, h->match.allowed);
    if (stream->headers_too_large)
        return pl_grpc_wire_refuse(call, PL_RESOURCE_EXHAUSTED, "the metadata is too large");
    call->method = h->match.route->method;
    if (stream->path.len > path.len)
        h->query = (pl_str){path.ptr + path.len + 1, stream->path.len - path.len - 1};
    h->content_type = headers->type.ptr ? headers->type : PL_STR("");
    bool has_body = h->match.route->body_is_all || h->match.route->body;
    if (has_body && headers->type.ptr && !is_http_body(body_message(h->match.route)) &&
        !is_json(headers->type))
        return pl_grpc_wire_refuse_http(call, 415);
    choose_form(call, headers->accept);
    if (!pl_grpc_wire_set_codings(call, headers->http_coding, PL_STR_NONE))
        return false;
    return pl_grpc_wire_set_grpc_deadline(call, headers->grpc_timeout) &&
           (pl_grpc_wire_describe(call), pl_grpc_wire_begin_body(call));
}

/* --- the request --- */

/* A body without a type may come from a form of any page. */
static bool complete(pl_grpc_call *call)
{
    http_call *h = of(call);
    const pl_http_route *route = h->match.route;
    bool empty = pl_grpc_reader_held(&call->stream->reader) <= PL_GRPC_PREFIX;
    if (!empty && h->content_type.len == 0 && (route->body_is_all || route->body) &&
        !is_http_body(body_message(route))) {
        pl_grpc_call_fail(call, PL_INVALID_ARGUMENT, "the body has no content-type: " JSON_TYPE);
        return false;
    }
    return pl_grpc_wire_complete_body(call);
}

static pl_code decode(pl_grpc_call *call, pl_str payload, pl_error *err)
{
    http_call *h = of(call);
    pl_http_input in = {.route = h->match.route,
                        .values = h->match.values,
                        .query = h->query,
                        .body = payload,
                        .content_type = h->content_type,
                        .type = call->method->input,
                        .arena = &call->stream->arena,
                        .state = call->service->state,
                        .bytes = &h->bytes};
    return pl_http_input_push(&in, err);
}

/* --- messages out --- */

/* The end of the JSON value that begins at i. The text is our own. */
static size_t skip_value(pl_str json, size_t i)
{
    size_t depth = 0;
    bool string = false;
    for (; i < json.len; i++) {
        char c = json.ptr[i];
        if (string) {
            i += c == '\\';
            string = c != '"';
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']' || c == ',') && depth == 0) {
            return i;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return i;
}

/* The value of a member of an object; ptr NULL: it has none of this name. */
static pl_str find_member(pl_str json, pl_str name)
{
    size_t i = 1;
    while (i < json.len && json.ptr[i] == '"') {
        size_t begin = i + 1, colon = begin + name.len + 1;
        bool is = colon < json.len && memcmp(json.ptr + begin, name.ptr, name.len) == 0 &&
                  json.ptr[colon - 1] == '"' && json.ptr[colon] == ':';
        for (i = begin; i < json.len && json.ptr[i] != '"'; i++)
            i += json.ptr[i] == '\\';
        size_t value = i + 2;
        i = skip_value(json, value);
        if (is)
            return (pl_str){json.ptr + value, i - value};
        i++;
    }
    return PL_STR_NONE;
}

/* Only a part of the payload goes out. */
static void keep(pl_grpc_call *call, pl_str part)
{
    pl_buf *out = &call->stream->out;
    size_t at = call->begin + PL_GRPC_PREFIX;
    if (part.len > 0)
        memmove(out->data + at, part.ptr, part.len);
    out->len = at + part.len;
}

static pl_code keep_raw(pl_grpc_call *call, pl_error *err)
{
    http_call *h = of(call);
    const pb_field *f = h->match.route->response;
    pl_str body = pl_grpc_wire_payload(call), type = PL_STR(""), data = PL_STR("");
    if (f && !pb_find_bytes(body, f->number, &body))
        body = PL_STR("");
    pb_find_bytes(body, 1, &type);
    pb_find_bytes(body, 2, &data);
    if (!h->raw_type.ptr)
        h->raw_type =
            pl_arena_str(&call->stream->arena, type.len ? type : PL_STR("application/octet-stream"));
    if (!h->raw_type.ptr)
        return pl_fail_memory(err);
    keep(call, data);
    return PL_OK;
}

/* What stands for a field that the message's JSON leaves out. */
static void write_absent(const pb_field *f, pl_buf *out)
{
    const pb_enum_value *zero = f->enumeration ? pb_enum_numbered(f->enumeration, 0) : NULL;
    bool wide = f->type == PB_INT64 || f->type == PB_UINT64 || f->type == PB_SINT64 ||
                f->type == PB_FIXED64 || f->type == PB_SFIXED64;
    bool object = f->is_map || (f->message && f->message->special == PB_PLAIN);
    if (f->repeated && !f->is_map)
        PL_BUF_LIT(out, "[]");
    else if (object)
        PL_BUF_LIT(out, "{}");
    else if (f->presence)
        PL_BUF_LIT(out, "null");
    else if (f->type == PB_STRING || f->type == PB_BYTES)
        PL_BUF_LIT(out, "\"\"");
    else if (f->type == PB_BOOL)
        PL_BUF_LIT(out, "false");
    else if (zero)
        pl_json_string(out, zero->name);
    else
        pl_buf_str(out, wide ? PL_STR("\"0\"") : PL_STR("0"));
}

static pl_code keep_field(pl_grpc_call *call, pl_error *err)
{
    const pb_field *f = of(call)->match.route->response;
    pl_str value = find_member(pl_grpc_wire_payload(call), f->json_name);
    if (value.ptr) {
        keep(call, value);
        return PL_OK;
    }
    keep(call, PL_STR(""));
    write_absent(f, &call->stream->out);
    return call->stream->out.failed ? pl_fail_memory(err) : PL_OK;
}

/* In place of the frame's head: what separates the messages of a stream. */
static pl_code separate(pl_grpc_call *call, pl_error *err)
{
    pl_buf *out = &call->stream->out;
    pl_str mark = of(call)->raw || of(call)->form == FORM_LINES ? PL_STR("")
                  : call->sent > 0                              ? PL_STR(",\n")
                                                                : PL_STR("[");
    pl_str payload = pl_grpc_wire_payload(call);
    memcpy(out->data + call->begin, mark.ptr, mark.len);
    memmove(out->data + call->begin + mark.len, payload.ptr, payload.len);
    out->len = call->begin + mark.len + payload.len;
    if (of(call)->form == FORM_LINES && !of(call)->raw)
        pl_buf_char(out, '\n');
    return out->failed ? pl_fail_memory(err) : PL_OK;
}

static pl_code pack(pl_grpc_call *call, pl_error *err)
{
    http_call *h = of(call);
    pl_code code = PL_OK;
    if (h->raw)
        code = keep_raw(call, err);
    else if (h->match.route->response)
        code = keep_field(call, err);
    if (code == PL_OK && h->form != FORM_ONE)
        code = separate(call, err);
    return code;
}

/* --- errors --- */
typedef struct detail_section {
    pl_grpc_call *call;
    pl_str any;
    pl_buf *out;
    bool done;
} detail_section;

/* A google.protobuf.Any as JSON, where its type is known. */
static void write_known(void *data)
{
    detail_section *s = data;
    pl_state *state = s->call->service->state;
    const pl_engine *e = pl_engine_of(state);
    const pl_grpc_proto_type *type = s->call->method ? s->call->method->output : NULL;
    const pb_message *any =
        type ? pb_pool_message(pb_codec_pool(type->codec), PL_STR("google.protobuf.Any")) : NULL;
    const pb_json_options options = {0};
    pl_error err;
    if (!any || !e->reserve(state, 8) || pb_decode(type->codec, any, s->any, &err) != PL_OK)
        return;
    s->done = pb_json_write(type->codec, any, e->top(state), &options, s->out, &err) == PL_OK;
}

static void write_detail(pl_grpc_call *call, pl_str any, pl_buf *out)
{
    detail_section s = {.call = call, .any = any, .out = out};
    pl_error err;
    size_t begin = out->len;
    pl_str url = PL_STR(""), value = PL_STR("");
    pl_error_clear(&err);
    pl_grpc_engine(call)->protect(call->service->state, write_known, &s, &err);
    if (s.done)
        return;
    out->len = begin;
    pb_find_bytes(any, 1, &url);
    pb_find_bytes(any, 2, &value);
    PL_BUF_LIT(out, "{\"@type\":");
    pl_json_string(out, url);
    PL_BUF_LIT(out, ",\"value\":\"");
    pl_base64_write(out, value);
    PL_BUF_LIT(out, "\"}");
}

static void write_error(pl_grpc_call *call, pl_buf *out)
{
    const pl_grpc_status *status = &call->status;
    pb_reader reader = pb_reader_of(status->details);
    pb_record record;
    const char *wrong = NULL;
    bool any = false;
    pl_buf_printf(out, "{\"error\":{\"code\":%d,\"message\":", pl_grpc_connect_http_status(status->code));
    pl_json_string(out, status->message.ptr ? status->message : PL_STR(""));
    pl_buf_printf(out, ",\"status\":\"%s\"", pl_code_name(status->code));
    while (pb_next_record(&reader, &record, &wrong)) {
        if (record.number != 3 || record.wire != PB_WIRE_LEN)
            continue;
        pl_buf_str(out, any ? PL_STR(",") : PL_STR(",\"details\":["));
        any = true;
        write_detail(call, record.bytes, out);
    }
    if (any)
        pl_buf_char(out, ']');
    PL_BUF_LIT(out, "}}");
}

/* --- the answer --- */
static void respond(pl_grpc_call *call, int status, pl_str type, bool whole)
{
    pl_header headers[PL_GRPC_OWN_HEADERS * 2 + PL_GRPC_MORE_HEADERS];
    size_t n = 0;
    headers[n++] = (pl_header){PL_STR("content-type"), type};
    if (whole)
        n = pl_grpc_wire_add_trailers(call, headers, n);
    n = pl_grpc_wire_add_headers(call, headers, n);
    n = pl_grpc_wire_expose(call, headers, n, "");
    call->headers_sent = true;
    call->stream->ops->respond(call->stream, status, headers, n, false);
}

/* All of the answer is there. HTTP's own carrier knows what HEAD is. */
static void finish(pl_grpc_call *call)
{
    if (pl_str_is(call->stream->method, "HEAD") && !call->stream->no_trailers) {
        pl_buf_reset(&call->stream->out, call->stream->out.cap);
        call->stream->sent = 0;
    }
    call->stream->ops->finish(call->stream, NULL, 0);
}

static pl_str answer_type(const pl_grpc_call *call)
{
    return of(call)->raw && of(call)->raw_type.ptr ? of(call)->raw_type : call->answer_type;
}

static void send_headers(pl_grpc_call *call)
{
    if (of(call)->form != FORM_ONE)
        respond(call, 200, answer_type(call), false);
}

/* All of the answer is an error. */
static void end_failed(pl_grpc_call *call)
{
    pl_buf *out = &call->stream->out;
    pl_buf_reset(out, out->cap);
    call->stream->sent = 0;
    write_error(call, out);
    if (out->failed)
        pl_buf_reset(out, 0);
    respond(call, pl_grpc_connect_http_status(call->status.code), PL_STR(JSON_TYPE), true);
    finish(call);
}

/* Behind what a stream has sent already. */
static void end_stream(pl_grpc_call *call)
{
    http_call *h = of(call);
    pl_buf *out = &call->stream->out;
    bool failed = call->status.code != PL_OK;
    if (h->raw && failed) { /* bytes have no place for it */
        call->stream->ops->reset(call->stream, PL_GRPC_RESET_CANCEL);
        return;
    }
    if (h->form == FORM_ARRAY && !h->raw && call->sent == 0)
        pl_buf_char(out, '[');
    if (failed && h->form == FORM_ARRAY && call->sent > 0)
        PL_BUF_LIT(out, ",\n");
    if (failed)
        write_error(call, out);
    if (h->form == FORM_ARRAY && !h->raw)
        PL_BUF_LIT(out, "]");
    if (failed && h->form == FORM_LINES)
        pl_buf_char(out, '\n');
    if (out->failed)
        call->stream->ops->reset(call->stream, PL_GRPC_RESET_CANCEL);
    else
        finish(call);
}

static void end_call(pl_grpc_call *call)
{
    http_call *h = of(call);
    bool failed = call->status.code != PL_OK;
    if (failed && (!call->headers_sent || !h || h->form == FORM_ONE)) {
        end_failed(call);
    } else if (h->form == FORM_ONE) {
        call->stream->sent = PL_GRPC_PREFIX;
        respond(call, 200, answer_type(call), true);
        finish(call);
    } else {
        pl_grpc_call_headers(call);
        end_stream(call);
    }
}

const pl_grpc_wire pl_grpc_wire_http = {.protocol = "http",
                                        .accepted = {JSON_TYPE, sizeof JSON_TYPE - 1},
                                        .malformed = PL_INVALID_ARGUMENT,
                                        .open = open_call,
                                        .complete = complete,
                                        .decode = decode,
                                        .pack = pack,
                                        .headers = send_headers,
                                        .end = end_call};
