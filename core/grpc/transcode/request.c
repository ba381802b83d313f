/* SPDX-License-Identifier: MIT */
#include "grpc/transcode/request.h"

#include <stdio.h>

#include "grpc/connect.h"
#include "value/json.h"

#define MOST_PARAMETERS 1000
#define HTTP_BODY "google.api.HttpBody"

typedef struct building {
    pl_http_input *in;
    pl_state *state;
    const pb_message *message;
    pb_codec *codec;
    pl_error *err;
} building;

/* --- pieces --- */

/* What stands in bytes from begin on becomes the contents of a message field. */
static bool wrap(pl_buf *bytes, size_t begin, const pb_field *f)
{
    uint8_t head[20], tail[10];
    size_t len = bytes->len - begin, n, after = 0;
    n = pb_put_varint(head, (uint64_t)f->number << 3 | (f->delimited ? PB_WIRE_GROUP : PB_WIRE_LEN));
    if (f->delimited)
        after = pb_put_varint(tail, (uint64_t)f->number << 3 | PB_WIRE_END);
    else
        n += pb_put_varint(head + n, len);
    if (!pl_buf_reserve(bytes, n + after))
        return false;
    memmove(bytes->data + begin + n, bytes->data + begin, len);
    memcpy(bytes->data + begin, head, n);
    bytes->len += n;
    pl_buf_append(bytes, tail, after);
    return true;
}

/* The error names the field alone: it gets its path. */
static pl_code explain(building *b, pl_str path, const pb_field *f)
{
    char said[512];
    snprintf(said, sizeof said, "%s", b->err->message);
    size_t skip = pl_str_starts(pl_str_of(said), f->name) ? f->name.len : 0;
    return pl_fail(b->err, b->err->code, "%.*s%s", PL_STR_ARG(path), said + skip);
}

/* [jumps] */
static pl_code put_field(building *b, pl_str path, const pb_field *const *fields, size_t depth, pl_str text)
{
    pl_buf *bytes = b->in->bytes;
    size_t begin = bytes->len;
    pl_code code = pl_http_put_text(b->codec, b->state, fields[depth - 1], text, bytes, b->err);
    if (code == PL_INVALID_ARGUMENT && depth > 1)
        return explain(b, path, fields[depth - 1]);
    for (size_t i = depth - 1; code == PL_OK && i > 0; i--) {
        if (!wrap(bytes, begin, fields[i - 1]))
            return pl_fail_memory(b->err);
    }
    return code == PL_OK && bytes->failed ? pl_fail_memory(b->err) : code;
}

static pl_code put_parameter(building *b, pl_str name, pl_str value)
{
    size_t depth;
    pl_arena *arena = b->in->arena;
    pl_str own = pl_grpc_query_decode(arena, name, true), text = pl_grpc_query_decode(arena, value, true);
    if (!own.ptr || !text.ptr)
        return pl_fail(b->err, PL_INVALID_ARGUMENT, "a parameter of the query is malformed");
    const pb_field *const *fields = pl_http_field_path(b->message, own, true, arena, &depth, b->err);
    if (!fields) {
        if (b->err->code == PL_INVALID_ARGUMENT) {
            char said[512];
            memcpy(said, b->err->message, sizeof said - 1);
            said[sizeof said - 1] = '\0';
            pl_fail(b->err, PL_INVALID_ARGUMENT, "the query: %s", said);
        }
        return b->err->code;
    }
    if (b->in->route->body && fields[0] == b->in->route->body)
        return pl_fail(b->err, PL_INVALID_ARGUMENT, "the query: \"%.*s\" is the body",
                       PL_STR_ARG(fields[0]->name));
    return put_field(b, own, fields, depth, text);
}

static pl_code put_query(building *b)
{
    pl_str query = b->in->query, name, value;
    unsigned count = 0;
    pl_code code = PL_OK;
    while (code == PL_OK && pl_grpc_query_next(&query, &name, &value)) {
        if (b->in->route->body_is_all)
            return pl_fail(b->err, PL_INVALID_ARGUMENT, "the query: all fields are in the body here");
        if (++count > MOST_PARAMETERS)
            return pl_fail(b->err, PL_INVALID_ARGUMENT, "the query has more than %d parameters",
                           MOST_PARAMETERS);
        code = put_parameter(b, name, value);
    }
    return code;
}

/* "%2F" stays in a value of several segments, where "/" means something else. */
static pl_str decode_value(pl_arena *arena, pl_str text, bool several)
{
    if (!several)
        return pl_grpc_query_decode(arena, text, false);
    char *out = pl_arena_alloc(arena, text.len + 1);
    size_t n = 0, from = 0;
    for (size_t i = 0; out && i <= text.len; i++) {
        bool slash = text.len - i > 2 && text.ptr[i] == '%' && text.ptr[i + 1] == '2' &&
                     (text.ptr[i + 2] | 0x20) == 'f';
        if (!slash && i < text.len)
            continue;
        pl_str piece = pl_grpc_query_decode(arena, (pl_str){text.ptr + from, i - from}, false);
        if (!piece.ptr)
            return PL_STR_NONE;
        memcpy(out + n, piece.ptr, piece.len);
        n += piece.len;
        if (slash) {
            memcpy(out + n, text.ptr + i, 3);
            n += 3;
            i += 2;
        }
        from = i + 1;
    }
    return (pl_str){out, n};
}

static pl_code put_variables(building *b)
{
    const pl_http_template *t = &b->in->route->path;
    for (size_t i = 0; i < t->variable_count; i++) {
        const pl_http_variable *v = &t->variables[i];
        pl_str text = decode_value(b->in->arena, b->in->values[i], v->several);
        if (!text.ptr)
            return pl_fail(b->err, PL_INVALID_ARGUMENT, "the path: %.*s is malformed", PL_STR_ARG(v->path));
        if (put_field(b, v->path, v->fields, v->depth, text) != PL_OK)
            return b->err->code;
    }
    return PL_OK;
}

/* --- the body --- */
static void put_record(pl_buf *bytes, unsigned number, pl_str value)
{
    uint8_t head[20];
    size_t n = pb_put_varint(head, number << 3 | PB_WIRE_LEN);
    n += pb_put_varint(head + n, value.len);
    pl_buf_append(bytes, head, n);
    pl_buf_str(bytes, value);
}

static bool is_http_body(const pb_message *message)
{
    return message && pl_str_is(message->full_name, HTTP_BODY);
}

/* The JSON of the message becomes bytes. [jumps] */
static pl_code put_json(building *b, const pb_message *message, pl_str text)
{
    static const pb_json_options options = {.ignore_unknown = true};
    const pl_engine *e = pl_engine_of(b->state);
    pl_slot top = e->top(b->state);
    pl_code code = pb_json_read(b->codec, message, text, &options, b->err);
    if (code == PL_OK)
        code = pb_encode(b->codec, message, e->top(b->state), b->in->bytes, b->err);
    e->pop_to(b->state, top);
    return code;
}

/* The value of a field that is no message alone: as a member of the whole. [jumps] */
static pl_code put_member(building *b, const pb_field *f)
{
    pl_value ignored;
    pl_json_limits limits = {0};
    /* It must be one value: it could bring other members with it. */
    if (pl_json_read(b->in->arena, b->in->body, &limits, &ignored, b->err) != PL_OK)
        return b->err->code;
    pl_str text =
        pl_arena_printf(b->in->arena, "{\"%.*s\":%.*s}", PL_STR_ARG(f->json_name), PL_STR_ARG(b->in->body));
    return text.ptr ? put_json(b, b->message, text) : pl_fail_memory(b->err);
}

static pl_code put_body(building *b)
{
    const pb_field *f = b->in->route->body;
    const pb_message *message = f ? f->message : b->message;
    pl_buf *bytes = b->in->bytes;
    size_t begin = bytes->len;
    pl_code code = PL_OK;
    if (!b->in->route->body_is_all && !f)
        return PL_OK;
    if (f && f->repeated)
        message = NULL;
    if (is_http_body(message)) {
        put_record(bytes, 1, b->in->content_type);
        put_record(bytes, 2, b->in->body);
    } else if (b->in->body.len == 0) {
        return PL_OK;
    } else if (!message) {
        return put_member(b, f);
    } else {
        code = put_json(b, message, b->in->body);
    }
    if (code == PL_OK && (bytes->failed || (f && !wrap(bytes, begin, f))))
        code = pl_fail_memory(b->err);
    return code;
}

pl_code pl_http_input_push(pl_http_input *in, pl_error *err)
{
    building b = {
        .in = in, .state = in->state, .message = in->type->message, .codec = in->type->codec, .err = err};
    pl_buf_reset(in->bytes, in->bytes->cap);
    pl_code code = put_body(&b);
    if (code == PL_OK)
        code = put_query(&b);
    if (code == PL_OK)
        code = put_variables(&b);
    if (code == PL_OK)
        code = pb_decode(b.codec, b.message, in->bytes->len ? pl_buf_view(in->bytes) : PL_STR(""), err);
    return code;
}
