/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_JSON_SCHEMAS_H
#define PL_VALUE_JSON_SCHEMAS_H

#include "value/json_schema.h"

/* The JSON Schemas of a bundle, by path. Immutable once they are there, and shared by all its states. */
typedef struct pl_json_schemas pl_json_schemas;

pl_json_schemas *pl_json_schemas_new(void);          /* NULL: memory */
void pl_json_schemas_free(pl_json_schemas *schemas); /* NULL is fine */
/* Errors as pl_json_schema_new; path lives as long as the schemas. */
pl_code pl_json_schemas_add(pl_json_schemas *schemas, pl_str path, pl_str text, pl_error *err);
/* Whether the text is JSON, and what the schema says. Besides the errors of pl_json_schema_check,
 * INVALID_ARGUMENT: there is no such schema, or it is no JSON. schemas may be NULL: there are none. */
pl_code pl_json_schemas_check(const pl_json_schemas *schemas, pl_str path, pl_str text, pl_error *err);
bool pl_json_schemas_has(const pl_json_schemas *schemas, pl_str path);

#endif
