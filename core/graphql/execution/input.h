/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_INPUT_H
#define PL_GRAPHQL_INPUT_H

#include "graphql/execution/binding.h"

/* Input coercion (spec 3.12, 6.1.2, 6.4.1): JSON and literals to the values that resolvers get. Enum values become their internal values,
 * custom scalars what the script's parse makes of them. */

/* A variable's coerced value; given is false when it was neither provided nor defaulted. */
typedef struct gql_variable {
    pl_str name;
    bool given;
    pl_value value;
} gql_variable;

/* What coercion works with. Results live in arena; script values kept on the way are in refs, which gql_input_release drops. */
typedef struct gql_input_ref gql_input_ref;
typedef struct gql_input_env {
    gql_binding *binding;
    pl_arena *arena;
    pl_work *work;
    const gql_variable *variables;
    uint32_t variable_count;
    gql_input_ref *refs;
} gql_input_env;

void gql_input_release(gql_input_env *env);
const gql_variable *gql_input_variable(const gql_input_env *env, pl_str name);

/* Of a literal. A variable that is not given makes *out ABSENT where that is allowed. [jumps] */
pl_code gql_coerce_literal(gql_input_env *env, const gql_value *literal, const gql_typeref *type, pl_value *out, pl_error *err);
/* Of a JSON value. On an error, path (initialised by the caller) holds where below the value: ".a[1]". [jumps] */
pl_code gql_coerce_json(gql_input_env *env, const pl_value *in, const gql_typeref *type, pl_buf *path, pl_value *out, pl_error *err);
/* All variables of an operation from the request's variables (NULL: none). Every wrong variable is reported through `report`. False when there was
 * any. [jumps] */
bool gql_coerce_variables(gql_input_env *env, const gql_operation *operation, const pl_value *given, gql_variable *out,
                          void (*report)(void *data, const gql_variable_definition *definition, const char *message), void *data);

#endif
