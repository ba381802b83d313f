/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "proto/json_write.h"
#include "value/json.h"

/* Maps of fields as JSON, straight from script values: fields in the order of their numbers. */

/* --- scalars --- */
/* The shortest digits that read back as the same float. */
static void write_float(pl_buf *out, double v)
{
    char text[32];
    for (int precision = 6; precision <= 9; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, v);
        if (strtof(text, NULL) == (float)v)
            break;
    }
    pl_json_double(out, strtod(text, NULL));
}

static void write_number(pb_job *j, const pb_field *f, double v)
{
    if (isnan(v))
        PL_BUF_LIT(j->out, "\"NaN\"");
    else if (isinf(v))
        pl_buf_str(j->out, v < 0 ? PL_STR("\"-Infinity\"") : PL_STR("\"Infinity\""));
    else if (v == 0 && signbit(v))
        PL_BUF_LIT(j->out, "-0.0"); /* some readers take -0 for the integer */
    else if (f->type == PB_FLOAT)
        write_float(j->out, v);
    else
        pl_json_double(j->out, v);
}

static void write_enum(pb_job *j, const pb_field *f, int64_t number)
{
    const pb_enum_value *v = pb_enum_numbered(f->enumeration, number);
    if (f->null_value)
        PL_BUF_LIT(j->out, "null");
    else if (v && !j->options->enum_numbers)
        pl_json_string(j->out, v->name);
    else
        pl_json_int(j->out, number);
}

static bool write_text(pb_job *j, pl_str s)
{
    return pl_json_string(j->out, s) || pb_bad(j, "the string is not UTF-8, and JSON has no other");
}

static void write_integer(pb_job *j, const pb_field *f, int64_t v)
{
    switch (f->type) {
    case PB_INT64:
    case PB_SINT64:
    case PB_SFIXED64:
        pl_buf_printf(j->out, "\"%lld\"", (long long)v);
        break;
    case PB_UINT64:
    case PB_FIXED64:
        pl_buf_printf(j->out, "\"%llu\"", (unsigned long long)v);
        break;
    default:
        pl_json_int(j->out, v);
    }
}

bool pb_json_write_scalar(pb_job *j, const pb_field *f, const pb_scalar *v)
{
    switch (f->type) {
    case PB_STRING:
        return write_text(j, v->string);
    case PB_BYTES:
        pl_buf_char(j->out, '"');
        pl_base64_write(j->out, v->string);
        pl_buf_char(j->out, '"');
        return true;
    case PB_BOOL:
        pl_buf_str(j->out, v->boolean ? PL_STR("true") : PL_STR("false"));
        return true;
    case PB_FLOAT:
    case PB_DOUBLE:
        write_number(j, f, v->number);
        return true;
    case PB_ENUM:
        write_enum(j, f, v->integer);
        return true;
    default:
        write_integer(j, f, v->integer);
        return true;
    }
}

/* --- fields --- */
typedef struct frame {
    const pb_message *m;
    pl_slot slot;
    size_t words, met;
    bool *first;
    pl_key **keys;
    pb_step here;
} frame;

static void separate(pb_job *j, bool *first)
{
    if (!*first)
        pl_buf_char(j->out, ',');
    *first = false;
}

static void write_name(pb_job *j, frame *fr, const pb_field *f)
{
    separate(j, fr->first);
    pl_json_string(j->out, j->options->proto_names ? f->key : f->json_name);
    pl_buf_char(j->out, ':');
}

static bool write_value(pb_job *j, const pb_field *f, pl_slot slot)
{
    pb_scalar v;
    pl_kind kind = j->e->kind(j->state, slot);
    if (kind == PL_KIND_ABSENT)
        return pb_bad(j, "the list has a hole here");
    if (f->message)
        return pb_json_write_message(j, f->message, slot);
    return pb_get_scalar(j, f, slot, &v) && pb_json_write_scalar(j, f, &v);
}

bool pb_json_write_list(pb_job *j, const pb_field *f, pl_slot slot, pb_step *here)
{
    pl_slot top = j->e->top(j->state);
    size_t n = j->e->length(j->state, slot);
    here->place = PB_AT_INDEX;
    pl_buf_char(j->out, '[');
    for (size_t i = 0; i < n; i++) {
        here->number = (int64_t)i;
        if (i > 0)
            pl_buf_char(j->out, ',');
        j->e->element(j->state, slot, i);
        if (!write_value(j, f, top + 1))
            return false;
        j->e->pop_to(j->state, top);
    }
    pl_buf_char(j->out, ']');
    here->place = PB_AT_FIELD;
    return true;
}

static bool write_key(pb_job *j, const pb_field *key, const pb_scalar *v)
{
    if (key->type == PB_STRING)
        return write_text(j, v->string);
    if (key->type == PB_BOOL)
        pl_buf_str(j->out, v->boolean ? PL_STR("\"true\"") : PL_STR("\"false\""));
    else if (key->type == PB_UINT64 || key->type == PB_FIXED64)
        pl_buf_printf(j->out, "\"%llu\"", (unsigned long long)v->integer);
    else
        pl_buf_printf(j->out, "\"%lld\"", (long long)v->integer);
    return true;
}

static bool write_entries(pb_job *j, const pb_field *f, pl_slot slot, pb_step *here)
{
    const pb_field *key_field = &f->message->fields[0], *value_field = &f->message->fields[1];
    bool first = true;
    pb_scalar k;
    pl_buf_char(j->out, '{');
    j->e->push_absent(j->state);
    pl_slot key = j->e->top(j->state);
    while (j->e->next(j->state, slot)) {
        separate(j, &first);
        if (!pb_get_map_key(j, key_field, key, &k, here) || !write_key(j, key_field, &k))
            return false;
        pl_buf_char(j->out, ':');
        if (!write_value(j, value_field, key + 1))
            return false;
        j->e->pop_to(j->state, key);
    }
    pl_buf_char(j->out, '}');
    here->place = PB_AT_FIELD;
    return true;
}

static bool write_repeated(pb_job *j, frame *fr, const pb_field *f, pl_slot slot)
{
    pl_kind kind = j->e->kind(j->state, slot);
    bool empty = pb_is_empty_map(j, slot) || (kind == PL_KIND_LIST && j->e->length(j->state, slot) == 0);
    if (f->is_map ? kind != PL_KIND_MAP && kind != PL_KIND_LIST : kind != PL_KIND_LIST && !empty)
        return pb_wrong_kind(j, f->is_map ? "a map" : "a list", slot);
    if (empty && !j->options->defaults)
        return true;
    write_name(j, fr, f);
    if (f->is_map)
        return write_entries(j, f, slot, &fr->here);
    return pb_json_write_list(j, f, slot, &fr->here);
}

static bool write_field(pb_job *j, frame *fr, const pb_field *f, pl_slot slot, pl_kind kind)
{
    pb_scalar v;
    if (f->repeated)
        return write_repeated(j, fr, f, slot);
    if (f->oneof && !pb_check_oneof(j, fr->words, f))
        return false;
    if (f->message) {
        write_name(j, fr, f);
        return pb_json_write_message(j, f->message, slot);
    }
    if (!pb_get_scalar_of(j, f, slot, kind, &v))
        return false;
    if (!f->presence && !j->options->defaults && pb_is_zero(f, &v))
        return true;
    write_name(j, fr, f);
    return pb_json_write_scalar(j, f, &v);
}

/* A field that is not in the map, where all are asked for. */
static void write_absent(pb_job *j, frame *fr, const pb_field *f)
{
    if (!j->options->defaults || f->presence)
        return;
    write_name(j, fr, f);
    if (f->is_map)
        PL_BUF_LIT(j->out, "{}");
    else if (f->repeated)
        PL_BUF_LIT(j->out, "[]");
    else
        pb_json_write_scalar(j, f, &f->otherwise);
}

static bool write_member(pb_job *j, frame *fr, const pb_field *f)
{
    pl_slot top = j->e->top(j->state);
    pl_kind kind = PL_KIND_ABSENT;
    bool ok = true;
    if (j->e->field(j->state, fr->slot, fr->keys[f->index]))
        kind = j->e->kind(j->state, top + 1);
    fr->met += kind != PL_KIND_ABSENT;
    fr->here.field = f;
    if (pb_is_set(f, kind))
        ok = write_field(j, fr, f, top + 1, kind);
    else if (f->required)
        ok = pb_bad(j, "the field is required, and not set");
    else
        write_absent(j, fr, f);
    if (ok)
        j->e->pop_to(j->state, top);
    return ok;
}

bool pb_json_write_fields(pb_job *j, const pb_message *m, pl_slot slot, size_t others, bool *first)
{
    frame fr = {.m = m, .slot = slot, .first = first, .here.parent = j->at};
    if (j->e->kind(j->state, slot) != PL_KIND_MAP)
        return pb_wrong_kind(j, "a map of fields", slot);
    fr.keys = pb_field_keys(j, m);
    fr.words = pb_words_begin(j, m->oneof_count);
    if (!fr.keys || fr.words == PB_NO_WORDS)
        return false;
    pb_enter(j, &fr.here);
    for (size_t i = 0; i < m->field_count; i++) {
        if (!write_member(j, &fr, &m->fields[i]))
            return false;
    }
    for (size_t i = 0; i < m->extension_count; i++) {
        if (!write_member(j, &fr, m->extensions[i]))
            return false;
    }
    fr.here.field = NULL;
    if (!pb_check_members(j, m, slot, fr.met, others))
        return false;
    j->at = fr.here.parent;
    pb_words_end(j, fr.words);
    return true;
}

bool pb_json_write_message(pb_job *j, const pb_message *m, pl_slot slot)
{
    bool ok, first = true;
    if (j->depth == 0)
        return pb_too_deep(j);
    if (!j->e->reserve(j->state, 12))
        return pb_no_memory(j);
    j->depth--;
    if (m->special == PB_PLAIN || m->special == PB_EMPTY) {
        pl_buf_char(j->out, '{');
        ok = pb_json_write_fields(j, m, slot, 0, &first);
        pl_buf_char(j->out, '}');
    } else {
        ok = pb_json_write_special(j, m, slot);
    }
    j->depth++;
    return ok;
}

pl_code pb_json_write(pb_codec *codec, const pb_message *message, pl_slot value,
                      const pb_json_options *options, pl_buf *out, pl_error *err)
{
    pb_job j;
    size_t before = out->len;
    pb_job_init(&j, codec, message, err);
    if (options)
        j.options = options;
    j.out = out;
    pl_slot top = j.e->top(j.state);
    if (pb_json_write_message(&j, message, value) && out->failed)
        pb_no_memory(&j);
    j.e->pop_to(j.state, top);
    if (j.code && !out->failed)
        out->len = before;
    return j.code;
}
