/* SPDX-License-Identifier: MIT */
#include "proto/codec.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/suggest.h"
#include "proto/codec_internal.h"
#include "proto/json_text.h"

pb_codec *pb_codec_new(const pb_pool *pool, pl_state *state)
{
    pb_codec *c = pl_calloc(1, sizeof *c);
    size_t messages, enums;
    if (!c)
        return NULL;
    pb_pool_messages(pool, &messages);
    pb_pool_enums(pool, &enums);
    c->pool = pool;
    c->state = state;
    c->e = pl_engine_of(state);
    pl_arena_init(&c->arena, 0);
    pl_buf_init(&c->unknown);
    pl_buf_init(&c->text);
    pl_buf_init(&c->urls);
    pb_codec_limit(c, &(pb_limits){0});
    c->fields = pl_arena_array(&c->arena, messages, sizeof *c->fields);
    c->values = pl_arena_array(&c->arena, enums, sizeof *c->values);
    if (!c->fields || !c->values) {
        pb_codec_free(c);
        return NULL;
    }
    return c;
}

void pb_codec_free(pb_codec *codec)
{
    if (!codec)
        return;
    pl_arena_dispose(&codec->arena);
    pl_buf_dispose(&codec->unknown);
    pl_buf_dispose(&codec->text);
    pl_buf_dispose(&codec->urls);
    pl_free(codec->words);
    pl_free(codec->out);
    pl_free(codec);
}

void pb_codec_limit(pb_codec *codec, const pb_limits *limits)
{
    codec->limits.max_depth = limits->max_depth == 0    ? 100
                              : limits->max_depth > 200 ? 200
                                                        : limits->max_depth;
    codec->limits.max_memory = limits->max_memory ? limits->max_memory : (size_t)256 << 20;
}

const pb_pool *pb_codec_pool(const pb_codec *codec)
{
    return codec->pool;
}

#define KEEP_BYTES 65536

void pb_job_init(pb_job *j, pb_codec *codec, const pb_message *message, pl_error *err)
{
    static const pb_json_options none = {0};
    *j = (pb_job){.c = codec,
                  .e = codec->e,
                  .state = codec->state,
                  .root = message,
                  .depth = codec->limits.max_depth,
                  .memory = codec->limits.max_memory,
                  .options = &none,
                  .err = err};
    codec->word_count = 0;
    pl_buf_reset(&codec->unknown, KEEP_BYTES);
    pl_buf_reset(&codec->urls, KEEP_BYTES);
}

/* --- keys --- */
pl_key **pb_field_keys_slow(pb_job *j, const pb_message *m)
{
    pb_codec *c = j->c;
    size_t count = m->field_count + m->extension_count;
    pl_key **keys = pl_arena_array(&c->arena, count, sizeof *keys);
    for (size_t i = 0; keys && i < count; i++) {
        const pb_field *f = i < m->field_count ? &m->fields[i] : m->extensions[i - m->field_count];
        keys[i] = c->e->key(c->state, f->key);
        if (!keys[i])
            keys = NULL;
    }
    if (!keys)
        pb_no_memory(j);
    else
        c->fields[m->index] = keys;
    return keys;
}

const pl_key *pb_enum_key(pb_job *j, const pb_enum *e, const pb_enum_value *v)
{
    pb_codec *c = j->c;
    if (!c->values[e->index])
        c->values[e->index] = pl_arena_array(&c->arena, e->count, sizeof(pl_key *));
    pl_key **keys = c->values[e->index];
    if (keys && !keys[v->index])
        keys[v->index] = c->e->key(c->state, v->name);
    if (keys && keys[v->index])
        return keys[v->index];
    pb_no_memory(j);
    return NULL;
}

const pb_value_keys *pb_keys(pb_job *j)
{
    pb_codec *c = j->c;
    pb_value_keys *k = &c->keys;
    if (k->paths)
        return k;
    k->type_url = c->e->key(c->state, PL_STR("@type"));
    k->value = c->e->key(c->state, PL_STR("value"));
    k->seconds = c->e->key(c->state, PL_STR("seconds"));
    k->nanos = c->e->key(c->state, PL_STR("nanos"));
    if (k->type_url && k->value && k->seconds && k->nanos)
        k->paths = c->e->key(c->state, PL_STR("paths"));
    if (k->paths)
        return k;
    pb_no_memory(j);
    return NULL;
}

size_t pb_words_begin(pb_job *j, size_t count)
{
    pb_codec *c = j->c;
    size_t at = c->word_count;
    if (c->word_capacity - at < count) {
        size_t capacity = (at + count) * 2;
        uint64_t *words = pl_realloc(c->words, capacity * sizeof *words);
        if (!words) {
            pb_no_memory(j);
            return PB_NO_WORDS;
        }
        c->words = words;
        c->word_capacity = capacity;
    }
    if (count > 0)
        memset(c->words + at, 0, count * sizeof *c->words);
    c->word_count = at + count;
    return at;
}

const pb_message *pb_type_of_url(const pb_codec *codec, pl_str url)
{
    size_t slash = url.len;
    while (slash > 0 && url.ptr[slash - 1] != '/')
        slash--;
    return pb_pool_message(codec->pool, (pl_str){url.ptr + slash, url.len - slash});
}

/* --- errors --- */
static void print_step(const pb_job *j, pl_buf *out, const pb_step *s)
{
    if (s->field && s->field->extension)
        pl_buf_str(out, s->field->key);
    else if (s->field)
        pl_buf_printf(out, "%s%.*s", out->len ? "." : "", PL_STR_ARG(s->field->name));
    switch (s->place) {
    case PB_AT_INDEX:
        pl_buf_printf(out, "[%lld]", (long long)s->number + !j->e->from_zero);
        break;
    case PB_AT_NUMBER:
        pl_buf_printf(out, "[%lld]", (long long)s->number);
        break;
    case PB_AT_KEY:
        pl_buf_printf(out, "[\"%.*s\"]", s->key.len > 64 ? 64 : (int)s->key.len, s->key.ptr);
        break;
    case PB_AT_MEMBER:
        pl_buf_printf(out, "%s%.*s", out->len ? "." : "", s->key.len > 64 ? 64 : (int)s->key.len, s->key.ptr);
        break;
    default:
        break;
    }
}

/* The fields that lead to where the work is, or the message's name. Only as many as a message has room for.
 */
static void print_path(const pb_job *j, pl_buf *out)
{
    const pb_step *steps[16], *s = j->at;
    size_t n = 0, left = 0;
    for (; s; s = s->parent)
        left++;
    if (left > 16)
        PL_BUF_LIT(out, "…");
    for (s = j->at; s && n < 16; s = s->parent)
        steps[n++] = s;
    while (n-- > 0)
        print_step(j, out, steps[n]);
    if (out->len == 0)
        pl_buf_str(out, j->root->full_name);
}

/* Names and keys in messages come from peers, and are cut. */
static void make_utf8(char *text)
{
    size_t len = strlen(text);
    for (size_t at = pl_utf8_check(text, len); at < len; at += pl_utf8_check(text + at, len - at))
        text[at] = '?';
}

static bool fail(pb_job *j, pl_code code, const char *text)
{
    pl_buf path, place;
    if (j->code)
        return false;
    pl_buf_init(&path);
    pl_buf_init(&place);
    print_path(j, &path);
    if (j->json)
        pl_buf_printf(&place, " (at byte %zu of the JSON text)", (size_t)(j->json->p - j->json->begin) + 1);
    bool is_named = pl_str_eq(pl_buf_view(&path), j->root->full_name) &&
                    pl_str_starts(pl_str_of(text), j->root->full_name);
    if (path.failed || place.failed || is_named)
        j->code = pl_fail(j->err, code, "%s%.*s", text, (int)place.len, place.len ? place.data : "");
    else
        j->code = pl_fail(j->err, code, "%.*s: %s%.*s", (int)path.len, path.data, text, (int)place.len,
                          place.len ? place.data : "");
    if (j->err)
        make_utf8(j->err->message);
    pl_buf_dispose(&path);
    pl_buf_dispose(&place);
    return false;
}

bool pb_bad(pb_job *j, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return fail(j, PL_INVALID_ARGUMENT, text);
}

bool pb_no_memory(pb_job *j)
{
    if (!j->code)
        j->code = pl_fail_memory(j->err);
    return false;
}

bool pb_too_deep(pb_job *j)
{
    char text[80];
    snprintf(text, sizeof text, "more than %u messages inside of each other", j->c->limits.max_depth);
    return fail(j, PL_RESOURCE_EXHAUSTED, text);
}

bool pb_wrong_kind(pb_job *j, const char *expected, pl_slot slot)
{
    pl_kind kind = j->e->kind(j->state, slot);
    if (kind == PL_KIND_OTHER)
        return pb_bad(j, "%s is expected, not a function or an object", expected);
    return pb_bad(j, "%s is expected, not %s", expected, pl_kind_phrase(kind));
}

bool pb_no_field(pb_job *j, const pb_message *m, pl_str name)
{
    pl_suggestions s;
    pl_suggest_init(&s, name);
    for (size_t i = 0; i < m->field_count; i++)
        pl_suggest_add(&s, m->fields[i].name);
    for (size_t i = 0; i < m->extension_count; i++)
        pl_suggest_add(&s, m->extensions[i]->key);
    pl_arena arena;
    pl_arena_init(&arena, 0);
    pl_str text = pl_suggest_text(&s, &arena, NULL);
    pb_bad(j, "%.*s has no field \"%.*s\"%s%.*s", PL_STR_ARG(m->full_name),
           name.len > 100 ? 100 : (int)name.len, name.ptr, text.len ? "." : "", PL_STR_ARG(text));
    pl_arena_dispose(&arena);
    return false;
}

bool pb_no_value(pb_job *j, const pb_enum *e, pl_str name)
{
    pl_suggestions s;
    pl_suggest_init(&s, name);
    for (size_t i = 0; i < e->count; i++)
        pl_suggest_add(&s, e->values[i].name);
    pl_arena arena;
    pl_arena_init(&arena, 0);
    pl_str text = pl_suggest_text(&s, &arena, NULL);
    pb_bad(j, "enum %.*s has no value \"%.*s\"%s%.*s", PL_STR_ARG(e->full_name),
           name.len > 100 ? 100 : (int)name.len, name.ptr, text.len ? "." : "", PL_STR_ARG(text));
    pl_arena_dispose(&arena);
    return false;
}

const char *pb_type_phrase(const pb_field *f)
{
    static const char *const phrases[] = {[PB_DOUBLE] = "a number",
                                          [PB_FLOAT] = "a number",
                                          [PB_INT64] = "an integer (int64)",
                                          [PB_UINT64] = "an integer (uint64)",
                                          [PB_INT32] = "an integer (int32)",
                                          [PB_FIXED64] = "an integer (fixed64)",
                                          [PB_FIXED32] = "an integer (fixed32)",
                                          [PB_BOOL] = "a boolean",
                                          [PB_STRING] = "a string",
                                          [PB_MESSAGE] = "a map",
                                          [PB_BYTES] = "a string (bytes)",
                                          [PB_UINT32] = "an integer (uint32)",
                                          [PB_ENUM] = "an enum value",
                                          [PB_SFIXED32] = "an integer (sfixed32)",
                                          [PB_SFIXED64] = "an integer (sfixed64)",
                                          [PB_SINT32] = "an integer (sint32)",
                                          [PB_SINT64] = "an integer (sint64)"};
    return phrases[f->type];
}
