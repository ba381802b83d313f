/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "proto/pool_internal.h"

/* The default of a scalar, which descriptor sets hold as text. */

static bool read_integer(pl_str text, bool is_unsigned, int64_t *out)
{
    char digits[32], *end;
    if (text.len == 0 || text.len >= sizeof digits)
        return false;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    errno = 0;
    *out = is_unsigned ? (int64_t)strtoull(digits, &end, 10) : strtoll(digits, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool read_number(pl_str text, double *out)
{
    char digits[64], *end;
    if (text.len == 0 || text.len >= sizeof digits)
        return false;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    *out = strtod(digits, &end); /* reads inf, -inf and nan, too */
    return *end == '\0';
}

static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : 16;
}

/* Up to max digits of this base; false when there is none. */
static bool read_digits(pl_str text, size_t *at, unsigned base, unsigned max, char *out)
{
    unsigned v = 0, n = 0;
    while (n < max && *at < text.len && digit_of(text.ptr[*at]) < base) {
        v = v * base + digit_of(text.ptr[(*at)++]);
        n++;
    }
    *out = (char)v;
    return n > 0;
}

static bool unescape(pl_str text, char *out, size_t *len)
{
    static const char letters[] = "abfnrtv\\'\"?", meant[] = "\a\b\f\n\r\t\v\\'\"?";
    size_t n = 0;
    for (size_t i = 0; i < text.len;) {
        char c = text.ptr[i++];
        if (c != '\\') {
            out[n++] = c;
            continue;
        }
        if (i == text.len)
            return false;
        const char *letter = text.ptr[i] ? strchr(letters, text.ptr[i]) : NULL;
        if (letter) {
            out[n++] = meant[letter - letters];
            i++;
        } else if (text.ptr[i] == 'x' || text.ptr[i] == 'X') {
            i++;
            if (!read_digits(text, &i, 16, 2, &out[n++]))
                return false;
        } else if (!read_digits(text, &i, 8, 3, &out[n++])) {
            return false;
        }
    }
    *len = n;
    return true;
}

static bool read_bytes(pb_builder *b, pl_str text, pl_str *out, bool *ok)
{
    char *bytes = pl_arena_alloc(&b->pool->arena, text.len);
    if (!bytes)
        return pb_out_of_memory(b);
    out->ptr = bytes;
    *ok = unescape(text, bytes, &out->len);
    return true;
}

static bool read_enum(const pb_enum *e, pl_str name, int64_t *out)
{
    for (size_t i = 0; i < e->count; i++) {
        if (pl_str_eq(e->values[i].name, name)) {
            *out = e->values[i].number;
            return true;
        }
    }
    return false;
}

static void set_zero(pb_field *f)
{
    f->otherwise = (pb_scalar){0};
    if (f->type == PB_STRING || f->type == PB_BYTES)
        f->otherwise.string = PL_STR("");
    else if (f->type == PB_DOUBLE || f->type == PB_FLOAT)
        f->otherwise.number = 0;
    else if (f->type == PB_ENUM)
        f->otherwise.integer = f->enumeration->values[0].number;
}

bool pb_read_default(pb_builder *b, pb_raw_field *raw)
{
    pb_field *f = raw->field;
    pl_str text = raw->default_text;
    bool ok = true;
    set_zero(f);
    f->has_default = raw->has_default;
    if (!raw->has_default)
        return true;
    switch (f->type) {
    case PB_STRING:
        f->otherwise.string = text;
        break;
    case PB_BYTES:
        if (!read_bytes(b, text, &f->otherwise.string, &ok))
            return false;
        break;
    case PB_BOOL:
        f->otherwise.boolean = pl_str_is(text, "true");
        ok = f->otherwise.boolean || pl_str_is(text, "false");
        break;
    case PB_ENUM:
        ok = read_enum(f->enumeration, text, &f->otherwise.integer);
        break;
    case PB_DOUBLE:
    case PB_FLOAT:
        ok = read_number(text, &f->otherwise.number);
        if (f->type == PB_FLOAT)
            f->otherwise.number = (float)f->otherwise.number;
        break;
    default:
        ok = read_integer(text, f->type == PB_UINT64 || f->type == PB_FIXED64, &f->otherwise.integer);
    }
    return ok || pb_fails(b, "field %.*s: \"%.*s\" is no default for its type", PL_STR_ARG(f->name),
                          PL_STR_ARG(text));
}
