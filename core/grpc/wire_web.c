/* SPDX-License-Identifier: MIT */
#include "base/base64.h"
#include "grpc/wire.h"

/* gRPC-Web: the status stands in a last frame of the body, since browsers see no trailers. In the -text form
 * all of the body is Base64: pieces of it may be padded anywhere, as each is encoded when it is there. */

#define TYPE "application/grpc-web"
#define TEXT "application/grpc-web-text"

typedef struct web_type {
    pl_str format, content_type;
} web_type;

static const web_type binary_types[] = {{{"", 0}, {TYPE "+proto", sizeof TYPE "+proto" - 1}},
                                        {{"+proto", 6}, {TYPE "+proto", sizeof TYPE "+proto" - 1}},
                                        {{"+json", 5}, {TYPE "+json", sizeof TYPE "+json" - 1}}};
static const web_type text_types[] = {{{"", 0}, {TEXT "+proto", sizeof TEXT "+proto" - 1}},
                                      {{"+proto", 6}, {TEXT "+proto", sizeof TEXT "+proto" - 1}},
                                      {{"+json", 5}, {TEXT "+json", sizeof TEXT "+json" - 1}}};

static bool is_text(const pl_grpc_call *call)
{
    return call->wire == &pl_grpc_wire_web_text;
}

static const web_type *type_of(const pl_grpc_call *call, pl_str type)
{
    const web_type *types = is_text(call) ? text_types : binary_types;
    pl_str rest;
    if (!pl_grpc_wire_is_type(type, is_text(call) ? PL_STR(TEXT) : PL_STR(TYPE), &rest))
        return NULL;
    for (size_t i = 0; i < 3; i++) {
        if (pl_str_eq(rest, types[i].format))
            return &types[i];
    }
    return NULL;
}

static bool open_call(pl_grpc_call *call, const pl_grpc_wire_headers *headers)
{
    const web_type *type = type_of(call, headers->type);
    if (!pl_str_is(call->stream->method, "POST"))
        return pl_grpc_wire_refuse_http(call, 405);
    if (!type)
        return pl_grpc_wire_refuse_http(call, 415);
    call->answer_type = type->content_type;
    pl_str format = pl_str_is(type->format, "+json") ? PL_STR("json") : PL_STR("proto");
    return pl_grpc_wire_open_grpc(call, format, headers);
}

/* --- Base64 --- */

/* What is left of it from one piece to the next stands in the call. */
static bool add_quad(pl_grpc_call *call, pl_buf *out)
{
    pl_str quad = {call->text, 4};
    bool ok = pl_base64_read(out, quad);
    call->text_count = 0;
    return ok;
}

static bool add_text(pl_grpc_call *call, pl_str bytes)
{
    pl_buf *out = &call->stream->scratch;
    bool sound = true;
    pl_buf_reset(out, out->cap);
    for (size_t i = 0; sound && i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (c == '\r' || c == '\n')
            continue;
        call->text[call->text_count++] = c;
        if (call->text_count == 4)
            sound = add_quad(call, out);
    }
    if (out->failed) {
        pl_grpc_call_fail(call, PL_RESOURCE_EXHAUSTED, "out of memory");
        return false;
    }
    if (!sound) {
        pl_grpc_call_fail(call, PL_INTERNAL, "the body is no Base64");
        return false;
    }
    bool held = pl_grpc_wire_hold(call, pl_buf_view(out));
    if (held)
        pl_buf_reset(out, (size_t)16 << 10);
    return held;
}

static bool complete_text(pl_grpc_call *call)
{
    if (call->text_count == 0)
        return true;
    /* The last quad need not be padded. */
    pl_buf last;
    pl_buf_init(&last);
    bool sound = pl_base64_read(&last, (pl_str){call->text, call->text_count});
    sound = sound && pl_grpc_wire_hold(call, pl_buf_view(&last));
    pl_buf_dispose(&last);
    if (!sound)
        pl_grpc_call_fail(call, PL_INTERNAL, "the body is no Base64: it ends in the middle");
    return sound;
}

/* What stands in out from `from` on becomes Base64. */
static pl_code encode_from(pl_grpc_call *call, size_t from)
{
    pl_buf *out = &call->stream->out, *text = &call->stream->scratch;
    pl_buf_reset(text, text->cap);
    pl_base64_write(text, (pl_str){out->data + from, out->len - from});
    bool failed = text->failed;
    if (!failed) {
        out->len = from;
        pl_buf_str(out, pl_buf_view(text));
    }
    pl_buf_reset(text, (size_t)16 << 10);
    return failed || out->failed ? PL_RESOURCE_EXHAUSTED : PL_OK;
}

static pl_code pack_text(pl_grpc_call *call, pl_error *err)
{
    return encode_from(call, call->begin) == PL_OK ? PL_OK : pl_fail_memory(err);
}

/* --- the answer --- */
static void send_headers(pl_grpc_call *call)
{
    pl_header headers[PL_GRPC_OWN_HEADERS + PL_GRPC_MORE_HEADERS];
    size_t n = 0;
    headers[n++] = (pl_header){PL_STR("content-type"), call->answer_type};
    if (call->response_coding != PL_GRPC_IDENTITY)
        headers[n++] = (pl_header){PL_STR("grpc-encoding"), pl_grpc_coding_name(call->response_coding)};
    if (call->request_coding != PL_GRPC_IDENTITY)
        headers[n++] = (pl_header){PL_STR("grpc-accept-encoding"), pl_grpc_coding_names()};
    n = pl_grpc_wire_add_headers(call, headers, n);
    n = pl_grpc_wire_expose(call, headers, n, "grpc-status,grpc-message,grpc-status-details-bin");
    call->stream->ops->respond(call->stream, 200, headers, n, false);
}

static void add_field(pl_buf *out, const pl_header *field)
{
    pl_buf_str(out, field->name);
    PL_BUF_LIT(out, ": ");
    pl_buf_str(out, field->value);
    PL_BUF_LIT(out, "\r\n");
}

static void end_call(pl_grpc_call *call)
{
    pl_grpc_stream *stream = call->stream;
    pl_buf *out = &stream->out;
    pl_header status[3];
    pl_grpc_call_headers(call);
    size_t begin = pl_grpc_message_begin(out);
    size_t n = pl_grpc_wire_status(call, status);
    for (size_t i = 0; i < n; i++)
        add_field(out, &status[i]);
    for (size_t i = 0; i < call->trailers.count; i++)
        add_field(out, &call->trailers.items[i]);
    bool ok = pl_grpc_message_end(out, begin, PL_GRPC_FLAG_TRAILERS);
    if (ok && is_text(call))
        ok = encode_from(call, begin) == PL_OK;
    if (ok)
        stream->ops->finish(stream, NULL, 0);
    else
        stream->ops->reset(stream, PL_GRPC_RESET_CANCEL);
}

#define ACCEPTED TYPE ", " TYPE "+proto, " TYPE "+json, " TEXT ", " TEXT "+proto, " TEXT "+json"
const pl_grpc_wire pl_grpc_wire_web = {.protocol = "grpc-web",
                                       .accepted = {ACCEPTED, sizeof ACCEPTED - 1},
                                       .malformed = PL_INTERNAL,
                                       .open = open_call,
                                       .headers = send_headers,
                                       .end = end_call};
const pl_grpc_wire pl_grpc_wire_web_text = {.protocol = "grpc-web",
                                            .accepted = {ACCEPTED, sizeof ACCEPTED - 1},
                                            .malformed = PL_INTERNAL,
                                            .open = open_call,
                                            .add = add_text,
                                            .complete = complete_text,
                                            .pack = pack_text,
                                            .headers = send_headers,
                                            .end = end_call};
