/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_JSON_SCHEMA_H
#define PL_VALUE_JSON_SCHEMA_H

#include "base/error.h"
#include "value/value.h"

/* JSON Schema, drafts 7 to 2020-12: the keywords that docs/schema-registry.md lists. One that is not among
 * them is an error when the schema is read, rather than passed over: what a schema says is what is checked.
 *
 * A schema is immutable once made, and may be shared by threads. No I/O. */
typedef struct pl_json_schema pl_json_schema;

/* Errors name the place as a JSON pointer: "/properties/id/type: …". INVALID_ARGUMENT, RESOURCE_EXHAUSTED.
 * The text need not last. */
pl_code pl_json_schema_new(pl_str text, pl_json_schema **out, pl_error *err);
void pl_json_schema_free(pl_json_schema *schema); /* NULL is fine */

/* Whether the value is what the schema says. INVALID_ARGUMENT names what is wrong, and where:
 * "/items/2/price: must be a number, and is a string"; RESOURCE_EXHAUSTED: it takes more steps than `steps`,
 * as schemas that refer to themselves in many ways can. */
pl_code pl_json_schema_check(const pl_json_schema *schema, const pl_value *value, size_t steps,
                             pl_error *err);

#endif
