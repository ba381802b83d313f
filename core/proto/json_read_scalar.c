/* SPDX-License-Identifier: MIT */
#include <float.h>
#include <math.h>

#include "proto/json_read.h"

bool pb_json_failed(pb_job *j)
{
    const char *wrong = j->json->wrong ? j->json->wrong : "the JSON text is broken";
    return strcmp(wrong, "out of memory") == 0 ? pb_no_memory(j) : pb_bad(j, "%s", wrong);
}

/* A number, or one in quotes; the text of it. */
static bool number_text(pb_job *j, const pb_field *f, pl_str *out)
{
    char c = pb_json_peek(j->json);
    if (c == '"') {
        if (!pb_json_string(j->json, out))
            return pb_json_failed(j);
        return pb_json_is_number(*out) || f->type == PB_FLOAT || f->type == PB_DOUBLE ||
               pb_bad(j, "%s is expected, and the text is none", pb_type_phrase(f));
    }
    if (c != '-' && (c < '0' || c > '9'))
        return pb_bad(j, "%s is expected", pb_type_phrase(f));
    return pb_json_number(j->json, out) || pb_json_failed(j);
}

static bool to_integer(pb_job *j, const pb_field *f, pl_str text, int64_t *out)
{
    bool is_unsigned =
        f->type == PB_UINT32 || f->type == PB_FIXED32 || f->type == PB_UINT64 || f->type == PB_FIXED64;
    const char *wrong = pb_json_integer(text, is_unsigned, out);
    if (wrong)
        return pb_bad(j, "%s: %s is expected", wrong, pb_type_phrase(f));
    switch (f->type) {
    case PB_INT32:
    case PB_SINT32:
    case PB_SFIXED32:
    case PB_ENUM:
        if (*out >= INT32_MIN && *out <= INT32_MAX)
            return true;
        break;
    case PB_UINT32:
    case PB_FIXED32:
        if (*out >= 0 && *out <= UINT32_MAX)
            return true;
        break;
    default:
        return true;
    }
    return pb_bad(j, "the number is out of range: %s is expected", pb_type_phrase(f));
}

static bool read_float(pb_job *j, const pb_field *f, double *out)
{
    pl_str text;
    if (!number_text(j, f, &text))
        return false;
    if (pl_str_is(text, "NaN")) {
        *out = NAN;
    } else if (pl_str_is(text, "Infinity")) {
        *out = INFINITY;
    } else if (pl_str_is(text, "-Infinity")) {
        *out = -INFINITY;
    } else {
        if (!pb_json_is_number(text))
            return pb_bad(j, "a number is expected, and the text is none");
        const char *wrong = pb_json_double(text, &j->c->unknown, out);
        if (!wrong && f->type == PB_FLOAT) {
            *out = (float)*out;
            wrong = isinf(*out) ? "the number is out of range" : NULL;
        }
        if (wrong) {
            j->json->wrong = wrong;
            return pb_json_failed(j);
        }
    }
    return true;
}

static bool read_enum(pb_job *j, const pb_field *f, int64_t *out, bool *skip)
{
    pl_str text;
    const pb_enum *e = f->enumeration;
    if (f->null_value && pb_json_word(j->json, "null")) {
        *out = 0;
        return true;
    }
    if (pb_json_peek(j->json) != '"') {
        if (!number_text(j, f, &text) || !to_integer(j, f, text, out))
            return false;
        if (!e->closed || pb_enum_numbered(e, *out))
            return true;
        *skip = j->options->ignore_unknown;
        return *skip || pb_bad(j, "enum %.*s, which is closed, has no value %lld", PL_STR_ARG(e->full_name),
                               (long long)*out);
    }
    if (!pb_json_string(j->json, &text))
        return pb_json_failed(j);
    const pb_enum_value *v = pb_enum_named(e, text);
    if (v) {
        *out = v->number;
        return true;
    }
    if (pb_json_is_number(text) && to_integer(j, f, text, out) && (!e->closed || pb_enum_numbered(e, *out)))
        return true;
    *skip = j->options->ignore_unknown && !j->code;
    return *skip || pb_no_value(j, e, text);
}

static bool read_bytes(pb_job *j, pl_str *out)
{
    pl_str text;
    pl_buf *bytes = &j->c->unknown; /* which nothing else needs here */
    if (!pb_json_string(j->json, &text))
        return pb_json_failed(j);
    pl_buf_reset(bytes, 65536);
    if (!pb_base64_read(text, bytes))
        return pb_bad(j, "the string is no Base64");
    if (bytes->failed)
        return pb_no_memory(j);
    *out = (pl_str){bytes->data ? bytes->data : "", bytes->len};
    return true;
}

bool pb_json_scalar(pb_job *j, const pb_field *f, pb_scalar *out, bool *skip)
{
    pl_str text;
    *skip = false;
    switch (f->type) {
    case PB_STRING:
        return pb_json_string(j->json, &out->string) || pb_json_failed(j);
    case PB_BYTES:
        return read_bytes(j, &out->string);
    case PB_BOOL:
        out->boolean = pb_json_word(j->json, "true");
        return out->boolean || pb_json_word(j->json, "false") || pb_bad(j, "a boolean is expected");
    case PB_FLOAT:
    case PB_DOUBLE:
        return read_float(j, f, &out->number);
    case PB_ENUM:
        return read_enum(j, f, &out->integer, skip);
    default:
        return number_text(j, f, &text) && to_integer(j, f, text, &out->integer);
    }
}

bool pb_json_map_key(pb_job *j, const pb_field *key, pl_str text, pb_scalar *out)
{
    if (key->type == PB_STRING) {
        out->string = text;
        return true;
    }
    if (key->type == PB_BOOL) {
        out->boolean = pl_str_is(text, "true");
        return out->boolean || pl_str_is(text, "false") ||
               pb_bad(j, "the map's keys are \"true\" and \"false\"");
    }
    if (!pb_json_is_number(text))
        return pb_bad(j, "the map's keys are integers");
    return to_integer(j, key, text, &out->integer);
}
