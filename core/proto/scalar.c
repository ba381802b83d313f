/* SPDX-License-Identifier: MIT */
#include <float.h>
#include <math.h>

#include "proto/codec_internal.h"

/* Scalars between C and a script. */

/* --- from a script --- */
static bool out_of_range(pb_job *j, const pb_field *f)
{
    return pb_bad(j, "the number is out of range: %s is expected", pb_type_phrase(f));
}

static bool is_wide(pb_type type)
{
    return type == PB_INT64 || type == PB_UINT64 || type == PB_SINT64 || type == PB_FIXED64 ||
           type == PB_SFIXED64;
}

static bool is_unsigned(pb_type type)
{
    return type == PB_UINT32 || type == PB_FIXED32 || type == PB_UINT64 || type == PB_FIXED64;
}

/* Digits, as 64-bit integers are written where numbers are doubles. */
static bool read_digits(pl_str s, bool without_sign, int64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    bool negative = s.len > 1 && s.ptr[0] == '-' && !without_sign;
    if (s.len == 0)
        return false;
    for (i = negative; i < s.len; i++) {
        unsigned digit = (unsigned)(s.ptr[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    if (!without_sign && v > (uint64_t)INT64_MAX + negative)
        return false;
    *out = (int64_t)(negative ? 0 - v : v);
    return true;
}

static bool get_integer(pb_job *j, const pb_field *f, pl_slot slot, pl_kind kind, int64_t *out)
{
    if (kind == PL_KIND_INT) {
        *out = j->e->get_int(j->state, slot);
        if (*out < 0 && j->e->push_unsigned && is_unsigned(f->type))
            return out_of_range(j, f);
    } else if (kind == PL_KIND_FLOAT) {
        double v = j->e->get_float(j->state, slot);
        double most = f->type == PB_UINT64 || f->type == PB_FIXED64 ? 0x1p64 : 0x1p63;
        if (v != floor(v) || isinf(v))
            return pb_bad(j, "%s is expected, and the number is none", pb_type_phrase(f));
        if (v < -0x1p63 || v >= most || (most == 0x1p64 && v < 0))
            return out_of_range(j, f);
        *out = v >= 0x1p63 ? (int64_t)(uint64_t)v : (int64_t)v;
    } else if (kind == PL_KIND_STRING && is_wide(f->type)) {
        if (!read_digits(j->e->get_string(j->state, slot), is_unsigned(f->type), out))
            return pb_bad(j, "%s is expected, and the text is none", pb_type_phrase(f));
    } else {
        return pb_wrong_kind(j, pb_type_phrase(f), slot);
    }
    if (is_wide(f->type))
        return true;
    bool ok = is_unsigned(f->type) ? *out >= 0 && *out <= UINT32_MAX : *out >= INT32_MIN && *out <= INT32_MAX;
    return ok || out_of_range(j, f);
}

static bool get_enum(pb_job *j, const pb_field *f, pl_slot slot, pl_kind kind, int64_t *out)
{
    if (kind == PL_KIND_STRING) {
        pl_str name = j->e->get_string(j->state, slot);
        const pb_enum_value *v = pb_enum_named(f->enumeration, name);
        if (!v)
            return pb_no_value(j, f->enumeration, name);
        *out = v->number;
        return true;
    }
    if (kind == PL_KIND_NULL && f->null_value) {
        *out = 0;
        return true;
    }
    if (!get_integer(j, f, slot, kind, out))
        return false;
    if (f->enumeration->closed && !pb_enum_numbered(f->enumeration, *out))
        return pb_bad(j, "enum %.*s, which is closed, has no value %lld",
                      PL_STR_ARG(f->enumeration->full_name), (long long)*out);
    return true;
}

static bool get_float(pb_job *j, const pb_field *f, pl_slot slot, pl_kind kind, double *out)
{
    if (kind == PL_KIND_FLOAT)
        *out = j->e->get_float(j->state, slot);
    else if (kind == PL_KIND_INT)
        *out = (double)j->e->get_int(j->state, slot);
    else
        return pb_wrong_kind(j, pb_type_phrase(f), slot);
    if (f->type == PB_FLOAT && isfinite(*out)) {
        *out = (float)*out;
        if (isinf(*out))
            return pb_bad(j, "the number is out of range: a float is expected");
    }
    return true;
}

bool pb_check_utf8(pb_job *j, const pb_field *f, pl_str s)
{
    size_t at;
    if (!f->utf8 || (at = pl_utf8_check(s.ptr, s.len)) == s.len)
        return true;
    return pb_bad(j, "the string is not UTF-8 at byte %zu (bytes are for what is no text)", at + 1);
}

bool pb_get_scalar_of(pb_job *j, const pb_field *f, pl_slot slot, pl_kind kind, pb_scalar *out)
{
    switch (f->type) {
    case PB_STRING:
    case PB_BYTES:
        if (kind != PL_KIND_STRING)
            return pb_wrong_kind(j, pb_type_phrase(f), slot);
        out->string = j->e->get_string(j->state, slot);
        return pb_check_utf8(j, f, out->string);
    case PB_BOOL:
        if (kind != PL_KIND_BOOL)
            return pb_wrong_kind(j, pb_type_phrase(f), slot);
        out->boolean = j->e->get_bool(j->state, slot);
        return true;
    case PB_FLOAT:
    case PB_DOUBLE:
        return get_float(j, f, slot, kind, &out->number);
    case PB_ENUM:
        return get_enum(j, f, slot, kind, &out->integer);
    default:
        return get_integer(j, f, slot, kind, &out->integer);
    }
}

bool pb_get_map_key(pb_job *j, const pb_field *key, pl_slot slot, pb_scalar *out, pb_step *here)
{
    pl_kind kind = j->e->kind(j->state, slot);
    if (kind == PL_KIND_STRING) {
        here->place = PB_AT_KEY;
        here->key = j->e->get_string(j->state, slot);
    } else if (kind == PL_KIND_INT) {
        here->place = PB_AT_NUMBER;
        here->number = j->e->get_int(j->state, slot);
    }
    bool text = key->type == PB_STRING, boolean = key->type == PB_BOOL;
    if (kind == PL_KIND_STRING && is_wide(key->type) && j->e->push_unsigned)
        return pb_get_scalar(j, key, slot, out); /* digits of what is beyond INT64_MAX */
    if (kind != (text ? PL_KIND_STRING : boolean ? PL_KIND_BOOL : PL_KIND_INT))
        return pb_bad(j, "the map's keys are %s", text ? "strings" : boolean ? "booleans" : "integers");
    return pb_get_scalar(j, key, slot, out);
}

bool pb_get_number(pb_job *j, pl_slot slot, double *out)
{
    if (j->e->kind(j->state, slot) == PL_KIND_INT) {
        int64_t v = j->e->get_int(j->state, slot);
        *out = (double)v;
        if (v >= -((int64_t)1 << 53) && v <= (int64_t)1 << 53)
            return true;
        if (*out >= 0x1p63 || (int64_t)*out != v)
            return pb_bad(j,
                          "the number would lose digits, as a google.protobuf.Value holds a double: give it "
                          "as a string");
        return true;
    }
    *out = j->e->get_float(j->state, slot);
    return true;
}

bool pb_is_zero(const pb_field *f, const pb_scalar *v)
{
    switch (f->type) {
    case PB_STRING:
    case PB_BYTES:
        return v->string.len == 0;
    case PB_BOOL:
        return !v->boolean;
    case PB_FLOAT:
    case PB_DOUBLE:
        return v->number == 0 && !signbit(v->number);
    default:
        return v->integer == 0;
    }
}

/* --- to a script --- */
void pb_push_number(pb_job *j, double v)
{
    if (v == floor(v) && fabs(v) <= 0x1p53 && !(v == 0 && signbit(v)))
        j->e->push_int(j->state, (int64_t)v);
    else
        j->e->push_float(j->state, v);
}

static bool push_enum(pb_job *j, const pb_field *f, int64_t number)
{
    const pb_enum_value *v = pb_enum_numbered(f->enumeration, number);
    if (!v) {
        j->e->push_int(j->state, number);
        return true;
    }
    if (f->null_value) {
        j->e->push_null(j->state);
        return true;
    }
    const pl_key *key = pb_enum_key(j, f->enumeration, v);
    if (!key)
        return false;
    j->e->push_key(j->state, key);
    return true;
}

bool pb_push_scalar(pb_job *j, const pb_field *f, const pb_scalar *v)
{
    switch (f->type) {
    case PB_STRING:
    case PB_BYTES:
        if (!pb_spend(j, v->string.len + 32))
            return false;
        if (f->type == PB_BYTES && j->e->push_bytes)
            j->e->push_bytes(j->state, v->string);
        else
            j->e->push_string(j->state, v->string);
        return true;
    case PB_BOOL:
        j->e->push_bool(j->state, v->boolean);
        return true;
    case PB_FLOAT:
    case PB_DOUBLE:
        j->e->push_float(j->state, v->number);
        return true;
    case PB_ENUM:
        return push_enum(j, f, v->integer);
    default:
        if (v->integer < 0 && j->e->push_unsigned && is_unsigned(f->type))
            j->e->push_unsigned(j->state, (uint64_t)v->integer);
        else
            j->e->push_int(j->state, v->integer);
        return true;
    }
}
