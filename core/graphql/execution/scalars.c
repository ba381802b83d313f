/* SPDX-License-Identifier: MIT */
#include "graphql/execution/scalars.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "graphql/execution/inspect.h"
#include "value/json.h"

#define MAX_JSON_DEPTH 64
#define MAX_SHOWN 120 /* bytes of a value that a message repeats */

/* The value, cut, in a message. */
static pl_code refuse(pl_error *err, const char *fmt, const pl_value *v)
{
    pl_buf text;
    pl_buf_init(&text);
    gql_inspect(&text, v, MAX_SHOWN);
    pl_fail(err, PL_INVALID_ARGUMENT, fmt, (int)text.len, text.data ? text.data : "");
    pl_buf_dispose(&text);
    return PL_INVALID_ARGUMENT;
}

static pl_code parse_int(const pl_value *in, pl_value *out, pl_error *err)
{
    double d = in->kind == PL_KIND_INT ? (double)in->integer : in->number;
    if ((in->kind != PL_KIND_INT && in->kind != PL_KIND_FLOAT) || !isfinite(d) || d != floor(d))
        return refuse(err, "Int cannot represent non-integer value: %.*s", in);
    if (d > INT32_MAX || d < INT32_MIN)
        return refuse(err, "Int cannot represent non 32-bit signed integer value: %.*s", in);
    *out = (pl_value){.kind = PL_KIND_INT, .integer = (int64_t)d};
    return PL_OK;
}

static pl_code parse_float(const pl_value *in, pl_value *out, pl_error *err)
{
    if (in->kind != PL_KIND_INT && in->kind != PL_KIND_FLOAT)
        return refuse(err, "Float cannot represent non numeric value: %.*s", in);
    double d = in->kind == PL_KIND_INT ? (double)in->integer : in->number;
    if (!isfinite(d))
        return refuse(err, "Float cannot represent non numeric value: %.*s", in);
    *out = (pl_value){.kind = PL_KIND_FLOAT, .number = d};
    return PL_OK;
}

static pl_code parse_id(const pl_value *in, pl_arena *arena, pl_value *out, pl_error *err)
{
    if (in->kind == PL_KIND_STRING) {
        *out = *in;
        return PL_OK;
    }
    if (in->kind == PL_KIND_FLOAT && in->number == floor(in->number) && fabs(in->number) < 9e15) {
        *out = (pl_value){.kind = PL_KIND_STRING, .string = pl_arena_printf(arena, "%.0f", in->number + 0.0)};
        return out->string.ptr ? PL_OK : pl_fail_memory(err);
    }
    if (in->kind != PL_KIND_INT)
        return refuse(err, "ID cannot represent value: %.*s", in);
    *out =
        (pl_value){.kind = PL_KIND_STRING, .string = pl_arena_printf(arena, "%lld", (long long)in->integer)};
    return out->string.ptr ? PL_OK : pl_fail_memory(err);
}

static bool digits(const char *s, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        *out = *out * 10 + (s[i] - '0');
    }
    return true;
}

static bool is_date(pl_str s)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y, m, d;
    if (s.len < 10 || s.ptr[4] != '-' || s.ptr[7] != '-' || !digits(s.ptr, 4, &y) ||
        !digits(s.ptr + 5, 2, &m) || !digits(s.ptr + 8, 2, &d) || m < 1 || m > 12 || d < 1 || d > days[m - 1])
        return false;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return !(m == 2 && d == 29 && !leap);
}

/* RFC 3339 date-time, with the time zone that it demands. */
static bool is_date_time(pl_str s)
{
    int h, m, sec;
    if (s.len < 20 || !is_date(s) || (s.ptr[10] != 'T' && s.ptr[10] != 't') || s.ptr[13] != ':' ||
        s.ptr[16] != ':' || !digits(s.ptr + 11, 2, &h) || !digits(s.ptr + 14, 2, &m) ||
        !digits(s.ptr + 17, 2, &sec) || h > 23 || m > 59 || sec > 60)
        return false;
    size_t i = 19;
    if (s.ptr[i] == '.') {
        size_t start = ++i;
        while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9')
            i++;
        if (i == start)
            return false;
    }
    if (s.len - i == 1)
        return s.ptr[i] == 'Z' || s.ptr[i] == 'z';
    return s.len - i == 6 && (s.ptr[i] == '+' || s.ptr[i] == '-') && s.ptr[i + 3] == ':' &&
           digits(s.ptr + i + 1, 2, &h) && digits(s.ptr + i + 4, 2, &m) && h <= 23 && m <= 59;
}

static bool is_uuid(pl_str s)
{
    if (s.len != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        char c = s.ptr[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex)
            return false;
    }
    return true;
}

static bool text_is_sound(gql_scalar_kind scalar, pl_str s)
{
    switch (scalar) {
    case GQL_SCALAR_DATETIME:
        return is_date_time(s);
    case GQL_SCALAR_DATE:
        return s.len == 10 && is_date(s);
    case GQL_SCALAR_UUID:
        return is_uuid(s);
    default:
        return true;
    }
}

static const char *text_complaint(gql_scalar_kind scalar)
{
    switch (scalar) {
    case GQL_SCALAR_DATETIME:
        return "DateTime cannot represent value that is not an RFC 3339 date-time with a time zone: %.*s";
    case GQL_SCALAR_DATE:
        return "Date cannot represent value that is not a date of the form YYYY-MM-DD: %.*s";
    default:
        return "UUID cannot represent value that is not a UUID: %.*s";
    }
}

static pl_code parse_text(gql_scalar_kind scalar, const pl_value *in, pl_value *out, pl_error *err)
{
    if (in->kind != PL_KIND_STRING || !text_is_sound(scalar, in->string))
        return refuse(err, text_complaint(scalar), in);
    *out = *in;
    return PL_OK;
}

/* A 64-bit integer, as a number or as decimal digits. */
static bool text_to_int64(pl_str s, int64_t *out)
{
    char text[24];
    if (s.len == 0 || s.len >= sizeof text || (s.ptr[0] != '-' && (s.ptr[0] < '0' || s.ptr[0] > '9')))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && end == text + s.len && end > text;
}

static pl_code parse_bigint(const pl_value *in, pl_value *out, pl_error *err)
{
    if (in->kind == PL_KIND_INT) {
        *out = *in;
        return PL_OK;
    }
    int64_t v;
    if (in->kind == PL_KIND_STRING && text_to_int64(in->string, &v)) {
        *out = (pl_value){.kind = PL_KIND_INT, .integer = v};
        return PL_OK;
    }
    return refuse(err, "BigInt cannot represent value that is not a 64-bit integer: %.*s", in);
}

pl_code gql_scalar_parse(gql_scalar_kind scalar, pl_str name, const pl_value *in, pl_arena *arena,
                         pl_value *out, pl_error *err)
{
    switch (scalar) {
    case GQL_SCALAR_INT:
        return parse_int(in, out, err);
    case GQL_SCALAR_FLOAT:
        return parse_float(in, out, err);
    case GQL_SCALAR_STRING:
        if (in->kind != PL_KIND_STRING)
            return refuse(err, "String cannot represent a non string value: %.*s", in);
        *out = *in;
        return PL_OK;
    case GQL_SCALAR_BOOLEAN:
        if (in->kind != PL_KIND_BOOL)
            return refuse(err, "Boolean cannot represent a non boolean value: %.*s", in);
        *out = *in;
        return PL_OK;
    case GQL_SCALAR_ID:
        return parse_id(in, arena, out, err);
    case GQL_SCALAR_DATETIME:
    case GQL_SCALAR_DATE:
    case GQL_SCALAR_UUID:
        return parse_text(scalar, in, out, err);
    case GQL_SCALAR_BIGINT:
        return parse_bigint(in, out, err);
    case GQL_SCALAR_UPLOAD:
        if (in->kind != PL_KIND_UPLOAD)
            return pl_fail(err, PL_INVALID_ARGUMENT,
                           "Upload must be a file, sent as a part of a GraphQL multipart request.");
        *out = *in;
        return PL_OK;
    case GQL_SCALAR_JSON:
    case GQL_SCALAR_CUSTOM:
        *out = *in;
        return PL_OK;
    }
    return pl_fail(err, PL_INTERNAL, "unknown scalar");
}

/* --- results --- */
void gql_show_slot(pl_buf *out, pl_state *state, pl_slot slot)
{
    const pl_engine *e = pl_engine_of(state);
    pl_value v = {.kind = e->kind(state, slot)};
    switch (v.kind) {
    case PL_KIND_BOOL:
        v.boolean = e->get_bool(state, slot);
        break;
    case PL_KIND_INT:
        v.integer = e->get_int(state, slot);
        break;
    case PL_KIND_FLOAT:
        v.number = e->get_float(state, slot);
        break;
    case PL_KIND_STRING:
        v.string = e->get_string(state, slot);
        break;
    default:
        pl_buf_str(out, pl_str_of(pl_kind_phrase(v.kind)));
        return;
    }
    if (v.kind == PL_KIND_FLOAT && !isfinite(v.number))
        pl_buf_str(out, isnan(v.number) ? PL_STR("NaN")
                        : v.number > 0  ? PL_STR("Infinity")
                                        : PL_STR("-Infinity"));
    else
        gql_inspect(out, &v, MAX_SHOWN);
}

static pl_code cannot_write(pl_error *err, const char *what, pl_state *state, pl_slot slot)
{
    pl_buf text;
    pl_buf_init(&text);
    gql_show_slot(&text, state, slot);
    pl_fail(err, PL_INTERNAL, "%s: %.*s", what, (int)text.len, text.data ? text.data : "");
    pl_buf_dispose(&text);
    return PL_INTERNAL;
}

/* A number for Int and Float: booleans and numeric strings count, as in graphql-js. */
static bool to_number(pl_state *state, pl_slot slot, double *out, bool *exact, int64_t *integer)
{
    const pl_engine *e = pl_engine_of(state);
    char text[64];
    pl_str s;
    char *end;
    *exact = false;
    switch (e->kind(state, slot)) {
    case PL_KIND_INT:
        *exact = true;
        *integer = e->get_int(state, slot);
        *out = (double)*integer;
        return true;
    case PL_KIND_FLOAT:
        *out = e->get_float(state, slot);
        return isfinite(*out);
    case PL_KIND_BOOL:
        *out = e->get_bool(state, slot);
        return true;
    case PL_KIND_STRING:
        s = e->get_string(state, slot);
        if (s.len == 0 || s.len >= sizeof text)
            return false;
        memcpy(text, s.ptr, s.len);
        text[s.len] = '\0';
        *out = strtod(text, &end);
        return end == text + s.len && isfinite(*out);
    default:
        return false;
    }
}

static pl_code write_int(pl_state *state, pl_slot slot, pl_buf *out, pl_error *err)
{
    double d;
    bool exact;
    int64_t i;
    if (!to_number(state, slot, &d, &exact, &i) || d != floor(d))
        return cannot_write(err, "Int cannot represent non-integer value", state, slot);
    if (d > INT32_MAX || d < INT32_MIN)
        return cannot_write(err, "Int cannot represent non 32-bit signed integer value", state, slot);
    pl_json_int(out, (int64_t)d);
    return PL_OK;
}

static pl_code write_float(pl_state *state, pl_slot slot, pl_buf *out, pl_error *err)
{
    double d;
    bool exact;
    int64_t i;
    if (!to_number(state, slot, &d, &exact, &i))
        return cannot_write(err, "Float cannot represent non numeric value", state, slot);
    if (exact)
        pl_json_int(out, i);
    else
        pl_json_double(out, d);
    return PL_OK;
}

static pl_code write_string(pl_state *state, pl_slot slot, pl_buf *out, pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    switch (e->kind(state, slot)) {
    case PL_KIND_STRING:
        if (!pl_json_string(out, e->get_string(state, slot)))
            return cannot_write(err, "String cannot represent bytes that are not UTF-8", state, slot);
        return PL_OK;
    case PL_KIND_BOOL:
        pl_buf_str(out, e->get_bool(state, slot) ? PL_STR("\"true\"") : PL_STR("\"false\""));
        return PL_OK;
    case PL_KIND_INT:
        pl_buf_char(out, '"');
        pl_json_int(out, e->get_int(state, slot));
        pl_buf_char(out, '"');
        return PL_OK;
    case PL_KIND_FLOAT:
        if (!isfinite(e->get_float(state, slot)))
            return cannot_write(err, "String cannot represent value", state, slot);
        pl_buf_char(out, '"');
        pl_json_double(out, e->get_float(state, slot));
        pl_buf_char(out, '"');
        return PL_OK;
    default:
        return cannot_write(err, "String cannot represent value", state, slot);
    }
}

static pl_code write_id(pl_state *state, pl_slot slot, pl_buf *out, pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    pl_kind kind = e->kind(state, slot);
    bool integral = kind == PL_KIND_FLOAT && isfinite(e->get_float(state, slot)) &&
                    e->get_float(state, slot) == floor(e->get_float(state, slot));
    if (kind == PL_KIND_STRING || kind == PL_KIND_INT || integral)
        return write_string(state, slot, out, err);
    return cannot_write(err, "ID cannot represent value", state, slot);
}

static pl_code write_boolean(pl_state *state, pl_slot slot, pl_buf *out, pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    bool v;
    switch (e->kind(state, slot)) {
    case PL_KIND_BOOL:
        v = e->get_bool(state, slot);
        break;
    case PL_KIND_INT:
        v = e->get_int(state, slot) != 0;
        break;
    case PL_KIND_FLOAT:
        if (!isfinite(e->get_float(state, slot)))
            return cannot_write(err, "Boolean cannot represent a non boolean value", state, slot);
        v = e->get_float(state, slot) != 0;
        break;
    default:
        return cannot_write(err, "Boolean cannot represent a non boolean value", state, slot);
    }
    pl_buf_str(out, v ? PL_STR("true") : PL_STR("false"));
    return PL_OK;
}

static pl_code write_text(gql_scalar_kind scalar, pl_state *state, pl_slot slot, pl_buf *out, pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    if (e->kind(state, slot) == PL_KIND_STRING && text_is_sound(scalar, e->get_string(state, slot)))
        return write_string(state, slot, out, err);
    pl_buf shown;
    pl_buf_init(&shown);
    gql_show_slot(&shown, state, slot);
    pl_fail(err, PL_INTERNAL, text_complaint(scalar), (int)shown.len, shown.data ? shown.data : "");
    pl_buf_dispose(&shown);
    return PL_INTERNAL;
}

static pl_code write_bigint(pl_state *state, pl_slot slot, pl_buf *out, pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    int64_t v = 0;
    pl_kind kind = e->kind(state, slot);
    if (kind == PL_KIND_INT)
        v = e->get_int(state, slot);
    else if (kind == PL_KIND_FLOAT && e->get_float(state, slot) == floor(e->get_float(state, slot)) &&
             fabs(e->get_float(state, slot)) < 9.2e18)
        v = (int64_t)e->get_float(state, slot);
    else if (kind != PL_KIND_STRING || !text_to_int64(e->get_string(state, slot), &v))
        return cannot_write(err, "BigInt cannot represent value that is not a 64-bit integer", state, slot);
    pl_json_int(out, v);
    return PL_OK;
}

static pl_code write_any(pl_str name, pl_state *state, pl_slot slot, pl_buf *out, pl_error *err)
{
    pl_error inner;
    pl_code code = pl_write_json(state, slot, MAX_JSON_DEPTH, out, &inner);
    if (code)
        pl_fail(err, code == PL_RESOURCE_EXHAUSTED ? code : PL_INTERNAL, "%.*s cannot represent value: %s",
                PL_STR_ARG(name), inner.message);
    return code ? err->code : PL_OK;
}

static pl_code write_scalar(gql_scalar_kind scalar, pl_str name, pl_state *state, pl_slot slot, pl_buf *out,
                            pl_error *err)
{
    switch (scalar) {
    case GQL_SCALAR_INT:
        return write_int(state, slot, out, err);
    case GQL_SCALAR_FLOAT:
        return write_float(state, slot, out, err);
    case GQL_SCALAR_STRING:
        return write_string(state, slot, out, err);
    case GQL_SCALAR_BOOLEAN:
        return write_boolean(state, slot, out, err);
    case GQL_SCALAR_ID:
        return write_id(state, slot, out, err);
    case GQL_SCALAR_DATETIME:
    case GQL_SCALAR_DATE:
    case GQL_SCALAR_UUID:
        return write_text(scalar, state, slot, out, err);
    case GQL_SCALAR_BIGINT:
        return write_bigint(state, slot, out, err);
    case GQL_SCALAR_UPLOAD:
        return pl_fail(err, PL_INTERNAL, "Upload cannot be a result.");
    default:
        return write_any(name, state, slot, out, err);
    }
}

pl_code gql_scalar_write(gql_scalar_kind scalar, pl_str name, pl_state *state, pl_slot slot, pl_buf *out,
                         pl_error *err)
{
    size_t start = out->len;
    pl_code code = write_scalar(scalar, name, state, slot, out, err);
    if (code)
        out->len = start;
    return code;
}
