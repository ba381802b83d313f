/* SPDX-License-Identifier: MIT */
#include "proto/json_read.h"

/* From the text to script values in one pass, with the same bookkeeping as the decoder. */

typedef struct frame {
    const pb_message *m;
    pl_slot map;
    size_t words;
    pl_key **keys;
    pb_step here;
} frame;

/* Whether null, where it comes next, is a value of the field. */
static bool has_null(const pb_field *f)
{
    return f->null_value || (f->message && f->message->special == PB_VALUE);
}

static bool push_value(pb_job *j, const pb_field *f, bool *skip)
{
    pb_scalar v;
    *skip = false;
    if (!has_null(f) && pb_json_peek(j->json) == 'n')
        return pb_bad(j, "null cannot be in a list or map of these");
    if (f->message)
        return pb_json_read_message(j, f->message);
    return pb_json_scalar(j, f, &v, skip) && (*skip || pb_push_scalar(j, f, &v));
}

static bool read_list(pb_job *j, frame *fr, const pb_field *f)
{
    bool first = true, skip;
    size_t n = 0;
    if (!pb_json_take(j->json, '['))
        return pb_json_failed(j);
    if (!pb_push_container(j, f, fr->map, fr->words, 0))
        return false;
    pl_slot list = j->e->top(j->state);
    fr->here.place = PB_AT_INDEX;
    while (pb_json_next(j->json, ']', &first)) {
        fr->here.number = (int64_t)n;
        if (!pb_spend(j, 16) || !push_value(j, f, &skip))
            return false;
        if (!skip)
            j->e->set_element(j->state, list, n++);
    }
    fr->here.place = PB_AT_FIELD;
    j->e->pop_to(j->state, list - 1);
    return !j->json->wrong || pb_json_failed(j);
}

static bool read_entry(pb_job *j, frame *fr, const pb_field *f, pl_slot map)
{
    const pb_field *key = &f->message->fields[0], *value = &f->message->fields[1];
    pl_str text;
    pb_scalar k;
    bool skip;
    if (!pb_json_string(j->json, &text))
        return pb_json_failed(j);
    fr->here.key = PL_STR("");
    if (!pb_spend(j, 40) || !pb_json_map_key(j, key, text, &k) || !pb_push_scalar(j, key, &k))
        return false;
    /* The text's buffer is used again; the string that was pushed stays. */
    if (key->type == PB_STRING)
        fr->here.key = j->e->get_string(j->state, map + 1);
    else if (key->type != PB_BOOL)
        fr->here.number = k.integer;
    fr->here.place = key->type == PB_STRING ? PB_AT_KEY : key->type == PB_BOOL ? PB_AT_FIELD : PB_AT_NUMBER;
    if (!pb_json_take(j->json, ':'))
        return pb_json_failed(j);
    if (!push_value(j, value, &skip))
        return false;
    if (!skip)
        j->e->set_entry(j->state, map);
    j->e->pop_to(j->state, map);
    return true;
}

static bool read_map(pb_job *j, frame *fr, const pb_field *f)
{
    bool first = true;
    if (!pb_json_take(j->json, '{'))
        return pb_json_failed(j);
    if (!pb_push_container(j, f, fr->map, fr->words, 0))
        return false;
    pl_slot map = j->e->top(j->state);
    while (pb_json_next(j->json, '}', &first)) {
        if (!read_entry(j, fr, f, map))
            return false;
        fr->here.place = PB_AT_FIELD;
    }
    j->e->pop_to(j->state, map - 1);
    return !j->json->wrong || pb_json_failed(j);
}

static bool read_singular(pb_job *j, frame *fr, const pb_field *f)
{
    bool skip;
    if (f->oneof && j->c->words[fr->words + pb_bit_words(fr->m) + f->oneof->index] != 0)
        return pb_bad(j, "another field of the oneof %.*s is set, too", PL_STR_ARG(f->oneof->name));
    if (!push_value(j, f, &skip))
        return false;
    if (skip)
        return true;
    if (f->oneof && !pb_choose(j, f, fr->map, fr->words, false))
        return false;
    pb_see(j, fr->words, f);
    j->e->set_field(j->state, fr->map, fr->keys[f->index]);
    return true;
}

static bool read_member(pb_job *j, frame *fr, bool any)
{
    pl_str name;
    if (!pb_json_string(j->json, &name))
        return pb_json_failed(j);
    const pb_field *f = pb_message_field_named(fr->m, name);
    if (!f && !(any && pl_str_is(name, "@type")) && !j->options->ignore_unknown) {
        return pb_no_field(j, fr->m, name);
    }
    if (!pb_json_take(j->json, ':'))
        return pb_json_failed(j);
    if (!f)
        return pb_json_skip(j->json, j->depth) || pb_json_failed(j);
    fr->here.field = f;
    bool null_field = !f->repeated && has_null(f);
    if (!null_field && pb_json_word(j->json, "null"))
        return true;
    if (pb_seen(j, fr->words, f))
        return pb_bad(j, "the field is given twice");
    if (!f->repeated)
        return read_singular(j, fr, f);
    return f->is_map ? read_map(j, fr, f) : read_list(j, fr, f);
}

bool pb_json_read_fields(pb_job *j, const pb_message *m, bool any)
{
    frame fr = {.m = m, .here.parent = j->at};
    bool first = true;
    if (!pb_json_take(j->json, '{'))
        return pb_json_failed(j);
    if (!pb_push_message_map(j, m))
        return false;
    fr.map = j->e->top(j->state);
    fr.keys = pb_field_keys(j, m);
    fr.words = pb_words_begin(j, pb_bit_words(m) + m->oneof_count);
    if (!fr.keys || fr.words == PB_NO_WORDS)
        return false;
    pb_enter(j, &fr.here);
    while (pb_json_next(j->json, '}', &first)) {
        if (!read_member(j, &fr, any))
            return false;
        fr.here.field = NULL;
    }
    if (j->json->wrong)
        return pb_json_failed(j);
    if (!pb_fill(j, m, fr.map, fr.words, false))
        return false;
    j->at = fr.here.parent;
    pb_words_end(j, fr.words);
    return true;
}

bool pb_json_read_message(pb_job *j, const pb_message *m)
{
    bool ok;
    if (j->depth == 0)
        return pb_too_deep(j);
    if (!j->e->reserve(j->state, 12))
        return pb_no_memory(j);
    j->depth--;
    if (m->special == PB_PLAIN || m->special == PB_EMPTY)
        ok = pb_json_read_fields(j, m, false);
    else
        ok = pb_json_read_special(j, m);
    j->depth++;
    return ok;
}

pl_code pb_json_read(pb_codec *codec, const pb_message *message, pl_str text, const pb_json_options *options,
                     pl_error *err)
{
    pb_job j;
    const char *begin = text.ptr ? text.ptr : "";
    pb_json json = {.begin = begin, .p = begin, .end = begin + text.len, .text = &codec->text};
    pb_job_init(&j, codec, message, err);
    if (options)
        j.options = options;
    j.json = &json;
    j.rescan = text.len * 4 + 65536;
    pl_slot top = j.e->top(j.state);
    if (pb_json_read_message(&j, message) && (pb_json_peek(&json) != '\0' || json.p != json.end))
        pb_bad(&j, "there is text behind the value");
    if (j.code)
        j.e->pop_to(j.state, top);
    return j.code;
}
