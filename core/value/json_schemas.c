/* SPDX-License-Identifier: MIT */
#include "value/json_schemas.h"

#include "base/alloc.h"
#include "base/map.h"
#include "value/json.h"

/* Steps of a check: more than schemas need that look at each part of a value in a few ways. */
#define LEAST_STEPS 10000
#define STEPS_PER_BYTE 32

struct pl_json_schemas {
    pl_map by_path;
};

pl_json_schemas *pl_json_schemas_new(void)
{
    return pl_calloc(1, sizeof(pl_json_schemas));
}

void pl_json_schemas_free(pl_json_schemas *schemas)
{
    if (!schemas)
        return;
    for (size_t i = 0; i < schemas->by_path.count; i++)
        pl_json_schema_free(schemas->by_path.entries[i].value);
    pl_map_dispose(&schemas->by_path);
    pl_free(schemas);
}

pl_code pl_json_schemas_add(pl_json_schemas *schemas, pl_str path, pl_str text, pl_error *err)
{
    pl_json_schema *schema;
    pl_code code = pl_json_schema_new(text, &schema, err);
    if (code)
        return code;
    if (pl_map_set(&schemas->by_path, path, schema))
        return PL_OK;
    pl_json_schema_free(schema);
    return pl_fail_memory(err);
}

bool pl_json_schemas_has(const pl_json_schemas *schemas, pl_str path)
{
    return schemas && pl_map_has(&schemas->by_path, path);
}

pl_code pl_json_schemas_check(const pl_json_schemas *schemas, pl_str path, pl_str text, pl_error *err)
{
    const pl_json_limits limits = {.max_depth = 200};
    const pl_json_schema *schema = schemas ? pl_map_get(&schemas->by_path, path) : NULL;
    pl_arena arena;
    pl_value value;
    if (!schema)
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "there is no JSON Schema %.*s in the bundle (its name must end with .schema.json)",
                       PL_STR_ARG(path));
    pl_arena_init(&arena, 0);
    pl_code code = pl_json_read(&arena, text, &limits, &value, err);
    if (!code)
        code = pl_json_schema_check(schema, &value, LEAST_STEPS + text.len * STEPS_PER_BYTE, err);
    pl_arena_dispose(&arena);
    return code;
}
