/* SPDX-License-Identifier: MIT */
#include "app/schema_plan.h"

#include "base/base64.h"
#include "base/map.h"
#include "events/registry/names.h"
#include "value/json.h"

#define MOST_STEPS 1000

typedef struct planning {
    const pl_schema_sources *sources;
    pl_arena *arena;
    pl_schema_plan *plan;
    pl_map steps; /* file → step + 1 */
    size_t room;
    unsigned depth;
    pl_error *err;
} planning;

static pl_str subject_of(const planning *p, pl_str topic, pl_str record)
{
    switch (p->sources->config->strategy) {
    case PL_RECORD_NAME:
        return pl_arena_str(p->arena, record);
    case PL_TOPIC_RECORD_NAME:
        return pl_arena_printf(p->arena, "%.*s-%.*s", PL_STR_ARG(topic), PL_STR_ARG(record));
    default:
        return pl_arena_printf(p->arena, "%.*s-value", PL_STR_ARG(topic));
    }
}

/* --- protobuf --- */

/* Those that every registry has. */
static bool is_known(const pb_file *file)
{
    return pl_str_starts(file->name, PL_STR("google/protobuf/")) ||
           pl_str_starts(file->name, PL_STR("google/type/"));
}

/* As it is written in the bundle; of one that came in a descriptor set, that. */
static bool find_text(planning *p, const pb_file *file, pl_schema_step *step)
{
    step->file = pl_arena_printf(p->arena, "proto/%.*s", PL_STR_ARG(file->name));
    const pl_file *source = step->file.ptr ? pl_bundle_find(p->sources->bundle, step->file) : NULL;
    if (source) {
        step->schema.text = source->bytes;
        return true;
    }
    pl_buf text;
    pl_buf_init(&text);
    pl_base64_write(&text, file->bytes);
    step->schema.text = text.failed ? PL_STR_NONE : pl_arena_str(p->arena, pl_buf_view(&text));
    pl_buf_dispose(&text);
    return step->file.ptr && step->schema.text.ptr;
}

static pl_code add_file(planning *p, const pb_file *file, size_t *out);

static pl_code add_imports(planning *p, const pb_file *file, pl_schema_step *step)
{
    size_t *imports = pl_arena_array(p->arena, file->import_count, sizeof *imports);
    step->references = pl_arena_array(p->arena, file->import_count, sizeof *step->references);
    if (!imports || !step->references)
        return pl_fail_memory(p->err);
    pl_code code = PL_OK;
    size_t n = 0;
    for (size_t i = 0; !code && i < file->import_count; i++) {
        if (is_known(file->imports[i]))
            continue;
        code = add_file(p, file->imports[i], &imports[n]);
        if (code)
            break;
        pl_str subject = p->plan->steps[imports[n]].subject;
        step->references[n++] = (pl_schema_reference){.name = subject, .subject = subject};
    }
    step->imports = imports;
    step->schema.references = step->references;
    step->schema.reference_count = n;
    return code;
}

/* Descriptors are checked: imports make no circle. */
static pl_code add_file(planning *p, const pb_file *file, size_t *out)
{
    const void *before = pl_map_get(&p->steps, file->name);
    if (before) {
        *out = (size_t)before - 1;
        return PL_OK;
    }
    pl_schema_step step = {.schema.type = PL_SCHEMA_PROTOBUF, .subject = pl_arena_str(p->arena, file->name)};
    if (p->depth == PL_SCHEMA_MOST_DEPTH)
        return pl_fail(p->err, PL_RESOURCE_EXHAUSTED, "%.*s: imports are more than %d deep",
                       PL_STR_ARG(file->name), PL_SCHEMA_MOST_DEPTH);
    p->depth++;
    pl_code code =
        step.subject.ptr && find_text(p, file, &step) ? add_imports(p, file, &step) : pl_fail_memory(p->err);
    p->depth--;
    if (code)
        return code;
    if (p->plan->count == p->room)
        return pl_fail(p->err, PL_RESOURCE_EXHAUSTED, "there are more than %d files to register", MOST_STEPS);
    *out = p->plan->count;
    p->plan->steps[p->plan->count++] = step;
    return pl_map_set(&p->steps, step.subject, (void *)(*out + 1)) ? PL_OK : pl_fail_memory(p->err);
}

static pl_code plan_message(planning *p, pl_str topic, pl_str name)
{
    const pb_pool *pool = p->sources->protos;
    const pb_message *message = pool ? pb_pool_message(pool, name) : NULL;
    size_t count, last;
    if (!message)
        return pl_fail(p->err, PL_INVALID_ARGUMENT,
                       "there is no message \"%.*s\" in the bundle's proto folder", PL_STR_ARG(name));
    pb_pool_files(pool, &count);
    p->room = count < MOST_STEPS ? count : MOST_STEPS;
    p->plan->steps = pl_arena_array(p->arena, p->room, sizeof *p->plan->steps);
    p->plan->protobuf = true;
    if (!p->plan->steps)
        return pl_fail_memory(p->err);
    if (!pl_schema_message_path(message->file->bytes, message->full_name, &p->plan->path))
        return pl_fail(p->err, PL_INVALID_ARGUMENT, "the message \"%.*s\" is too deep inside of others",
                       PL_STR_ARG(name));
    pl_code code = add_file(p, message->file, &last);
    if (code)
        return code;
    pl_schema_step *step = &p->plan->steps[last];
    step->subject = subject_of(p, topic, message->full_name);
    return step->subject.ptr ? PL_OK : pl_fail_memory(p->err);
}

/* --- JSON Schema: its title is the record's name --- */
static pl_code title_of(planning *p, const pl_file *file, pl_str *out)
{
    pl_value value;
    pl_code code = pl_json_read(p->arena, file->bytes, NULL, &value, p->err);
    if (code)
        return code;
    const pl_value *title = value.kind == PL_KIND_MAP ? pl_value_member(&value, PL_STR("title")) : NULL;
    if (!title || title->kind != PL_KIND_STRING)
        return pl_fail(p->err, PL_INVALID_ARGUMENT,
                       "%.*s has no title, by which its subject is named (kafka.registry.strategy)",
                       PL_STR_ARG(file->path));
    *out = title->string;
    return PL_OK;
}

static pl_code plan_json(planning *p, pl_str topic, pl_str path)
{
    const pl_file *file = pl_bundle_find(p->sources->bundle, path);
    pl_schema_step *step = pl_arena_array(p->arena, 1, sizeof *step);
    pl_str title = PL_STR("");
    if (!file)
        return pl_fail(p->err, PL_INVALID_ARGUMENT, "there is no file \"%.*s\" in the bundle",
                       PL_STR_ARG(path));
    if (p->sources->config->strategy != PL_TOPIC_NAME && title_of(p, file, &title) != PL_OK)
        return p->err->code;
    if (!step)
        return pl_fail_memory(p->err);
    *step = (pl_schema_step){.subject = subject_of(p, topic, title),
                             .file = pl_arena_str(p->arena, path),
                             .schema = {.type = PL_SCHEMA_JSON, .text = file->bytes}};
    p->plan->steps = step;
    p->plan->count = 1;
    return step->subject.ptr && step->file.ptr ? PL_OK : pl_fail_memory(p->err);
}

pl_code pl_schema_plan_make(const pl_schema_sources *sources, pl_str topic, pl_str message, pl_str schema,
                            pl_arena *arena, pl_schema_plan *out, pl_error *err)
{
    planning p = {.sources = sources, .arena = arena, .plan = out, .err = err};
    *out = (pl_schema_plan){0};
    pl_map_init(&p.steps);
    pl_code code = message.ptr ? plan_message(&p, topic, message) : plan_json(&p, topic, schema);
    pl_map_dispose(&p.steps);
    return code;
}
