/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/base64.h"
#include "grpc/transcode/request.h"
#include "value/json.h"

/* Fields as text: of paths and queries. */

static pl_code expected(const pb_field *f, const char *what, pl_str text, pl_error *err)
{
    return pl_fail(err, PL_INVALID_ARGUMENT, "%.*s must be %s, not \"%.*s\"", PL_STR_ARG(f->name), what,
                   text.len > 100 ? 100 : (int)text.len, text.ptr);
}

static void put_varint(pl_buf *out, uint64_t v)
{
    uint8_t bytes[10];
    pl_buf_append(out, bytes, pb_put_varint(bytes, v));
}

static void put_tag(const pb_field *f, pb_wire wire, pl_buf *out)
{
    put_varint(out, (uint64_t)f->number << 3 | wire);
}

static void put_fixed(pl_buf *out, uint64_t v, size_t size)
{
    for (size_t i = 0; i < size; i++)
        pl_buf_char(out, (char)(v >> (8 * i)));
}

/* A number's text, with a NUL behind it; false: it is too long, or empty. */
static bool terminate(pl_str text, char *out, size_t size)
{
    if (text.len == 0 || text.len >= size || memchr(text.ptr, '\0', text.len) || text.ptr[0] == ' ' ||
        text.ptr[0] == '\t' || text.ptr[0] == '\n' || text.ptr[0] == '+')
        return false;
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

static bool read_signed(pl_str text, int64_t min, int64_t max, int64_t *out)
{
    char digits[32], *end;
    if (!terminate(text, digits, sizeof digits))
        return false;
    errno = 0;
    *out = strtoll(digits, &end, 10);
    return *end == '\0' && errno == 0 && *out >= min && *out <= max;
}

static bool read_unsigned(pl_str text, uint64_t max, uint64_t *out)
{
    char digits[32], *end;
    if (!terminate(text, digits, sizeof digits) || digits[0] == '-')
        return false;
    errno = 0;
    *out = strtoull(digits, &end, 10);
    return *end == '\0' && errno == 0 && *out <= max;
}

static bool read_double(pl_str text, double *out)
{
    char digits[512], *end;
    if (pl_str_is(text, "NaN") || pl_str_is(text, "Infinity") || pl_str_is(text, "-Infinity")) {
        *out = text.len == 3 ? (double)NAN : text.len == 8 ? (double)INFINITY : -(double)INFINITY;
        return true;
    }
    if (!terminate(text, digits, sizeof digits) || !strchr("-.0123456789", digits[0]) ||
        strpbrk(digits, "xXnNiIpP"))
        return false;
    *out = strtod(digits, &end);
    return *end == '\0' && isfinite(*out);
}

static pl_code put_integer(const pb_field *f, pl_str text, pl_buf *out, pl_error *err)
{
    bool small = f->type == PB_INT32 || f->type == PB_SINT32 || f->type == PB_SFIXED32;
    int64_t v;
    if (!read_signed(text, small ? INT32_MIN : INT64_MIN, small ? INT32_MAX : INT64_MAX, &v))
        return expected(f, small ? "a 32-bit integer" : "a 64-bit integer", text, err);
    put_tag(f, f->wire, out);
    if (f->wire == PB_WIRE_VARINT)
        put_varint(out, f->type == PB_SINT32 || f->type == PB_SINT64 ? pb_zigzag(v) : (uint64_t)v);
    else
        put_fixed(out, (uint64_t)v, small ? 4 : 8);
    return PL_OK;
}

static pl_code put_unsigned(const pb_field *f, pl_str text, pl_buf *out, pl_error *err)
{
    bool small = f->type == PB_UINT32 || f->type == PB_FIXED32;
    uint64_t v;
    if (!read_unsigned(text, small ? UINT32_MAX : UINT64_MAX, &v))
        return expected(f, small ? "an unsigned 32-bit integer" : "an unsigned 64-bit integer", text, err);
    put_tag(f, f->wire, out);
    if (f->wire == PB_WIRE_VARINT)
        put_varint(out, v);
    else
        put_fixed(out, v, small ? 4 : 8);
    return PL_OK;
}

static pl_code put_number(const pb_field *f, pl_str text, pl_buf *out, pl_error *err)
{
    double v;
    if (!read_double(text, &v))
        return expected(f, "a number", text, err);
    put_tag(f, f->wire, out);
    if (f->type == PB_FLOAT) {
        float narrow = (float)v;
        uint32_t bits;
        memcpy(&bits, &narrow, sizeof bits);
        put_fixed(out, bits, 4);
    } else {
        uint64_t bits;
        memcpy(&bits, &v, sizeof bits);
        put_fixed(out, bits, 8);
    }
    return PL_OK;
}

static pl_code put_enum(const pb_field *f, pl_str text, pl_buf *out, pl_error *err)
{
    const pb_enum_value *value = pb_enum_named(f->enumeration, text);
    int64_t number = value ? value->number : 0;
    if (!value && !(read_signed(text, INT32_MIN, INT32_MAX, &number) &&
                    (!f->enumeration->closed || pb_enum_numbered(f->enumeration, number))))
        return pl_fail(err, PL_INVALID_ARGUMENT, "%.*s must be a value of %.*s, not \"%.*s\"",
                       PL_STR_ARG(f->name), PL_STR_ARG(f->enumeration->full_name),
                       text.len > 100 ? 100 : (int)text.len, text.ptr);
    put_tag(f, PB_WIRE_VARINT, out);
    put_varint(out, (uint64_t)number);
    return PL_OK;
}

static void put_bytes(const pb_field *f, pl_str bytes, pl_buf *out)
{
    put_tag(f, PB_WIRE_LEN, out);
    put_varint(out, bytes.len);
    pl_buf_str(out, bytes);
}

/* Either alphabet of Base64. */
static pl_code put_base64(const pb_field *f, pl_str text, pl_buf *out, pl_error *err)
{
    size_t len = text.len, size;
    while (len > 0 && text.ptr[len - 1] == '=')
        len--;
    size = len / 4 * 3 + (len % 4 ? len % 4 - 1 : 0);
    put_tag(f, PB_WIRE_LEN, out);
    put_varint(out, size);
    if (len % 4 == 1)
        return expected(f, "Base64", text, err);
    for (size_t i = 0; i < len; i += 4) {
        char quad[4];
        size_t n = len - i < 4 ? len - i : 4;
        for (size_t k = 0; k < n; k++) {
            char c = text.ptr[i + k];
            quad[k] = c == '-' ? '+' : c == '_' ? '/' : c == '+' || c == '/' || c != '=' ? c : '?';
        }
        if (!pl_base64_read(out, (pl_str){quad, n}))
            return expected(f, "Base64", text, err);
    }
    return PL_OK;
}

/* A message that is a string, a number or a boolean in JSON. [jumps] */
static pl_code put_special(pb_codec *codec, pl_state *state, const pb_field *f, pl_str text, pl_buf *out,
                           pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    size_t begin = out->len;
    /* Numbers may be strings in ProtoJSON, booleans may not. */
    bool plain = f->message->special == PB_WRAPPER && f->message->fields[0].type == PB_BOOL;
    if (plain && !pl_str_is(text, "true") && !pl_str_is(text, "false"))
        return expected(f, "true or false", text, err);
    if (plain)
        pl_buf_str(out, text);
    else
        pl_json_string(out, text);
    if (out->failed)
        return pl_fail_memory(err);
    pb_json_options options = {0};
    pl_slot top = e->top(state);
    pl_code code =
        pb_json_read(codec, f->message, (pl_str){out->data + begin, out->len - begin}, &options, err);
    out->len = begin;
    if (code != PL_OK)
        return expected(f, "the text of its type", text, err);
    /* Its length goes before it: known when it is there. */
    code = pb_encode(codec, f->message, e->top(state), out, err);
    e->pop_to(state, top);
    if (code != PL_OK)
        return code;
    uint8_t head[20];
    size_t len = out->len - begin, n = pb_put_varint(head, (uint64_t)f->number << 3 | PB_WIRE_LEN);
    n += pb_put_varint(head + n, len);
    if (!pl_buf_reserve(out, n))
        return pl_fail_memory(err);
    memmove(out->data + begin + n, out->data + begin, len);
    memcpy(out->data + begin, head, n);
    out->len += n;
    return PL_OK;
}

pl_code pl_http_put_text(pb_codec *codec, pl_state *state, const pb_field *f, pl_str text, pl_buf *out,
                         pl_error *err)
{
    switch (f->type) {
    case PB_DOUBLE:
    case PB_FLOAT:
        return put_number(f, text, out, err);
    case PB_UINT64:
    case PB_FIXED64:
    case PB_UINT32:
    case PB_FIXED32:
        return put_unsigned(f, text, out, err);
    case PB_BOOL:
        if (!pl_str_is(text, "true") && !pl_str_is(text, "false"))
            return expected(f, "true or false", text, err);
        put_tag(f, PB_WIRE_VARINT, out);
        put_varint(out, text.len == 4);
        return PL_OK;
    case PB_STRING:
        if (f->utf8 && !pl_str_is_utf8(text))
            return pl_fail(err, PL_INVALID_ARGUMENT, "%.*s is not valid UTF-8", PL_STR_ARG(f->name));
        put_bytes(f, text, out);
        return PL_OK;
    case PB_BYTES:
        return put_base64(f, text, out, err);
    case PB_ENUM:
        return put_enum(f, text, out, err);
    case PB_MESSAGE:
    case PB_GROUP:
        return put_special(codec, state, f, text, out, err);
    default:
        return put_integer(f, text, out, err);
    }
}
