/* SPDX-License-Identifier: MIT */
#include "app/schema_files.h"

#define ENDING ".schema.json"

bool pl_json_schemas_load(const pl_bundle *bundle, pl_report *report, pl_json_schemas **out)
{
    size_t before = report->errors.count;
    *out = NULL;
    for (size_t i = 0; i < bundle->file_count; i++) {
        const pl_file *file = &bundle->files[i];
        pl_error err;
        if (!pl_file_is(file, "", ENDING))
            continue;
        pl_error_clear(&err);
        if (!*out && !(*out = pl_json_schemas_new())) {
            report->errors.out_of_memory = true;
            return false;
        }
        if (pl_json_schemas_add(*out, file->path, file->bytes, &err) != PL_OK)
            pl_report_error(report, file->path.ptr, 0, 0, "%s", err.message);
    }
    return report->errors.count == before && !report->errors.out_of_memory;
}

static void check_topic(const pl_schema_sources *sources, const pl_json_schemas *schemas,
                        const pl_topic_defaults *topic, pl_arena *arena, pl_report *report)
{
    pl_schema_plan plan;
    pl_error err;
    pl_code code = PL_OK;
    pl_error_clear(&err);
    if (topic->schema.ptr && !pl_json_schemas_has(schemas, topic->schema))
        code = pl_fail(&err, PL_INVALID_ARGUMENT,
                       "there is no file %.*s in the bundle; the name of a JSON Schema ends with " ENDING,
                       PL_STR_ARG(topic->schema));
    else if (topic->schema.ptr || topic->message.ptr)
        code = pl_schema_plan_make(sources, topic->topic, topic->message, topic->schema, arena, &plan, &err);
    if (code)
        pl_report_error(report, "app.lua", 0, 0, "kafka.topics[\"%.*s\"]: %s.", PL_STR_ARG(topic->topic),
                        err.message);
}

void pl_topics_check(const pl_schema_sources *sources, const pl_json_schemas *schemas, pl_report *report)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    for (size_t i = 0; i < sources->config->topic_count; i++)
        check_topic(sources, schemas, &sources->config->topics[i], &arena, report);
    pl_arena_dispose(&arena);
}
