/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_INPUT_H
#define PL_GRAPHQL_INPUT_H

#include "base/buf.h"
#include "graphql/execution/binding.h"

/* Input coercion (spec 3.12, 6.1.2, 6.4.1): JSON and literals to the values that resolvers get. Enum values
 * become their internal values, custom scalars what the script's parse makes of them. */

/* A variable's coerced value; given is false when it was neither provided nor defaulted. */
typedef struct gql_variable {
    pl_str name;
    bool given;
    pl_value value;
} gql_variable;

/* What coercion works with. Results live in arena; script values kept on the way are in refs, which
 * gql_input_release drops. */
typedef struct gql_input_ref gql_input_ref;
typedef struct gql_input_env {
    gql_binding *binding;
    pl_arena *arena;
    pl_work *work; /* NULL: scalars' parse functions are not called */
    const gql_variable *variables;
    uint32_t variable_count; /* variables are sorted by name */
    gql_input_ref *refs;
    bool script_refused;      /* a scalar's parse function was what failed */
    bool script_gave_nothing; /* it refused the value without a word that is meant for the client */
    uint32_t max_faults;      /* variables that are reported; 0: all */
    uint32_t max_list_items;  /* of a list in a variable; 0: no bound */
} gql_input_env;

void gql_input_release(gql_input_env *env);
const gql_variable *gql_variable_find(const gql_variable *variables, uint32_t count,
                                      pl_str name); /* sorted by name; or NULL */
const gql_variable *gql_input_variable(const gql_input_env *env, pl_str name);

/* Of a literal. A variable that is not given makes *out ABSENT where that is allowed. [jumps] */
pl_code gql_input_literal(gql_input_env *env, const gql_value *literal, const gql_typeref *type,
                          pl_value *out, pl_error *err);
/* What was wrong in a JSON value: which value, and where below the whole (".a[1]"). Zeroed by the caller, who
 * disposes of path. */
typedef struct gql_input_fault {
    const pl_value *value;
    pl_buf path;
} gql_input_fault;
/* Of a JSON value. fault is filled on an error only. [jumps] */
pl_code gql_input_json(gql_input_env *env, const pl_value *in, const gql_typeref *type,
                       gql_input_fault *fault, pl_value *out, pl_error *err);

/* definition is NULL when memory ran out before there was one to name; code then, and for a limit, is
 * RESOURCE_EXHAUSTED. */
typedef void gql_variable_report(void *data, const gql_variable_definition *definition, pl_code code,
                                 pl_str message);
/* All variables of an operation from the request's variables (NULL: none); out comes sorted by name. Every
 * wrong variable is reported, up to max_faults; those after the last one are not looked at. False when there
 * was any. [jumps] */
bool gql_input_variables(gql_input_env *env, const gql_operation *operation, const pl_value *given,
                         gql_variable *out, gql_variable_report *report, void *data);

#endif
