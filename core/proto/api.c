/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/suggest.h"
#include "proto/codec.h"
#include "proto/foreign.h"

#define KEEP_BYTES 65536

struct pl_proto_pool {
    pb_pool *pool;
};

struct pl_proto_codec {
    const pb_pool *pool;
    pl_foreign *foreign;
    pb_codec *codec;
    pl_buf out;
};

static void give_error(const pl_error *err, char *error, size_t size)
{
    if (error && size > 0)
        snprintf(error, size, "%s%s%s", err->file, err->file[0] ? ": " : "", err->message);
}

/* --- pools --- */
pl_proto_pool *pl_proto_pool_new(const char *set, size_t length, char *error, size_t error_size)
{
    pl_error err = {0};
    pb_source source = {"descriptor set", {set, length}};
    pl_proto_pool *p = pl_calloc(1, sizeof *p);
    if (!p)
        pl_fail_memory(&err);
    if (p && pb_pool_new(&source, 1, &p->pool, &err)) {
        pl_free(p);
        p = NULL;
    }
    give_error(&err, error, error_size);
    return p;
}

void pl_proto_pool_free(pl_proto_pool *pool)
{
    if (!pool)
        return;
    pb_pool_free(pool->pool);
    pl_free(pool);
}

const char *pl_proto_next_message(const pl_proto_pool *pool, size_t *position, size_t *length)
{
    size_t count;
    const pb_message *const *messages = pb_pool_messages(pool->pool, &count);
    while (*position < count) {
        const pb_message *message = messages[(*position)++];
        if (message->map_entry || message->file->built_in)
            continue;
        *length = message->full_name.len;
        return message->full_name.ptr;
    }
    return NULL;
}

const char *pl_proto_enum_value(const pl_proto_pool *pool, const char *name, size_t index, size_t *length,
                                int *number)
{
    const pb_enum *e = pb_pool_enum(pool->pool, pl_str_of(name));
    if (!e || index >= e->count)
        return NULL;
    *number = e->values[index].number;
    *length = e->values[index].name.len;
    return e->values[index].name.ptr;
}

bool pl_proto_find_method(const pl_proto_pool *pool, const char *name, pl_proto_method *method)
{
    const char *slash = strchr(name, '/');
    const pb_service *service =
        slash ? pb_pool_service(pool->pool, (pl_str){name, (size_t)(slash - name)}) : NULL;
    const pb_method *found = service ? pb_service_method(service, pl_str_of(slash + 1)) : NULL;
    if (!found)
        return false;
    *method = (pl_proto_method){.input = found->input->full_name.ptr,
                                .output = found->output->full_name.ptr,
                                .input_length = found->input->full_name.len,
                                .output_length = found->output->full_name.len,
                                .client_streaming = found->client_streaming,
                                .server_streaming = found->server_streaming};
    return true;
}

/* --- codecs --- */
pl_proto_codec *pl_proto_codec_new(const pl_proto_pool *pool, const pl_proto_values *values, void *data)
{
    pl_proto_codec *c = pl_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->pool = pool->pool;
    pl_buf_init(&c->out);
    c->foreign = pl_foreign_new(values, data);
    c->codec = c->foreign ? pb_codec_new(pool->pool, pl_foreign_state(c->foreign)) : NULL;
    if (c->codec)
        return c;
    pl_proto_codec_free(c);
    return NULL;
}

void pl_proto_codec_free(pl_proto_codec *codec)
{
    if (!codec)
        return;
    pb_codec_free(codec->codec);
    pl_foreign_free(codec->foreign);
    pl_buf_dispose(&codec->out);
    pl_free(codec);
}

/* NULL: there is none, with *err saying which may be meant. */
static const pb_message *find(pl_proto_codec *c, const char *name, pl_error *err)
{
    size_t count;
    pl_suggestions s;
    pl_arena arena;
    const pb_message *message = pb_pool_message(c->pool, pl_str_of(name));
    if (message)
        return message;
    const pb_message *const *messages = pb_pool_messages(c->pool, &count);
    pl_suggest_init(&s, pl_str_of(name));
    for (size_t i = 0; i < count; i++)
        pl_suggest_add(&s, messages[i]->full_name);
    pl_arena_init(&arena, 0);
    pl_str hint = pl_suggest_text(&s, &arena, NULL);
    pl_fail(err, PL_NOT_FOUND, "there is no message \"%.200s\"%s%.*s", name, hint.len ? "." : "",
            PL_STR_ARG(hint));
    pl_arena_dispose(&arena);
    return NULL;
}

/* --- the four ways --- */
typedef struct work {
    pl_proto_codec *codec;
    const pb_message *message;
    pb_json_options options;
    pl_error err;
} work;

/* NOT_FOUND: there is no such message. */
static pl_code begin(work *w, pl_proto_codec *codec, const char *message, unsigned flags)
{
    w->codec = codec;
    w->options = (pb_json_options){.ignore_unknown = flags & PL_PROTO_IGNORE_UNKNOWN,
                                   .defaults = flags & PL_PROTO_DEFAULTS,
                                   .proto_names = flags & PL_PROTO_PROTO_NAMES,
                                   .enum_numbers = flags & PL_PROTO_ENUM_NUMBERS};
    pl_error_clear(&w->err);
    pl_foreign_reset(codec->foreign);
    pl_buf_reset(&codec->out, KEEP_BYTES);
    w->message = find(codec, message, &w->err);
    return w->err.code;
}

static pl_code end(work *w, pl_code code, char *error, size_t error_size)
{
    if (pl_foreign_failed(w->codec->foreign) || w->codec->out.failed)
        code = pl_fail_memory(&w->err);
    pl_foreign_reset(w->codec->foreign);
    give_error(&w->err, error, error_size);
    return code;
}

static pl_code end_value(work *w, pl_code code, pl_proto_value *value, char *error, size_t error_size)
{
    *value = NULL;
    if (!code && !pl_foreign_failed(w->codec->foreign))
        *value = pl_foreign_take(w->codec->foreign);
    return end(w, code, error, error_size);
}

static pl_code end_bytes(work *w, pl_code code, const char **bytes, size_t *length, char *error,
                         size_t error_size)
{
    code = end(w, code, error, error_size);
    *bytes = code || !w->codec->out.data ? "" : w->codec->out.data;
    *length = code ? 0 : w->codec->out.len;
    return code;
}

pl_code pl_proto_decode(pl_proto_codec *codec, const char *message, const char *bytes, size_t length,
                        pl_proto_value *value, char *error, size_t error_size)
{
    work w;
    pl_code code = begin(&w, codec, message, 0);
    if (!code)
        code = pb_decode(codec->codec, w.message, (pl_str){bytes, length}, &w.err);
    return end_value(&w, code, value, error, error_size);
}

pl_code pl_proto_encode(pl_proto_codec *codec, const char *message, pl_proto_value value, const char **bytes,
                        size_t *length, char *error, size_t error_size)
{
    work w;
    pl_code code = begin(&w, codec, message, 0);
    if (!code && !pl_foreign_push(codec->foreign, value))
        code = pl_fail_memory(&w.err);
    if (!code)
        code = pb_encode(codec->codec, w.message, 1, &codec->out, &w.err);
    return end_bytes(&w, code, bytes, length, error, error_size);
}

pl_code pl_proto_from_json(pl_proto_codec *codec, const char *message, const char *text, size_t length,
                           unsigned flags, pl_proto_value *value, char *error, size_t error_size)
{
    work w;
    pl_code code = begin(&w, codec, message, flags);
    if (!code)
        code = pb_json_read(codec->codec, w.message, (pl_str){text, length}, &w.options, &w.err);
    return end_value(&w, code, value, error, error_size);
}

pl_code pl_proto_to_json(pl_proto_codec *codec, const char *message, pl_proto_value value, unsigned flags,
                         const char **text, size_t *length, char *error, size_t error_size)
{
    work w;
    pl_code code = begin(&w, codec, message, flags);
    if (!code && !pl_foreign_push(codec->foreign, value))
        code = pl_fail_memory(&w.err);
    if (!code)
        code = pb_json_write(codec->codec, w.message, 1, &w.options, &codec->out, &w.err);
    return end_bytes(&w, code, text, length, error, error_size);
}
