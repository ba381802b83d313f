/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_COST_H
#define PL_GRAPHQL_COST_H

#include "base/error.h"
#include "graphql/execution/input.h"

/* What an operation may cost at most, before it is executed: the IBM cost specification (@cost, @listSize) as
 * Apollo computes it.
 *
 *   operation = 10 for a mutation, 0 otherwise, and its fields
 *   field     = length of its list (1 where it is none) * (weight + the fields selected from it) + arguments
 *   weight    = @cost of the field, or of its type; without one, 1 of a composite type and 0 of a leaf
 *   argument  = the same of what is given; an input object adds its fields, a list its items
 *
 * A field that is selected twice counts twice. Of an abstract type the most expensive possible type counts.
 * Introspection and __typename cost nothing.
 *
 * Three things, from long-lived to short: the *model* is what the schema's directives say; a *plan* is an
 * operation with all added up that does not depend on variables; gql_cost does the rest, and takes time
 * linear in what depends on variables. All belong to one thread at a time. */
typedef struct gql_cost_model gql_cost_model;
typedef struct gql_cost_plan gql_cost_plan;

#define GQL_DEFAULT_LIST_SIZE 10
#define GQL_MUTATION_COST 10

/* In arena; NULL: memory. default_list_size: of lists without @listSize; 0 is 10. */
gql_cost_model *gql_cost_model_new(pl_arena *arena, const gql_schema *schema, uint32_t default_list_size);

/* For a valid document, which outlives it, as does the model; in arena. Each selection set is looked at once
 * for each type, but RESOURCE_EXHAUSTED when that takes too many steps (abstract types with many possible
 * ones), or when fragments nest too deep, or for memory. steps: NULL, or what it took. */
pl_code gql_cost_plan_new(pl_arena *arena, const gql_cost_model *model, const gql_document *document,
                          const gql_operation *operation, gql_cost_plan **out, uint64_t *steps,
                          pl_error *err);

/* A field of @listSize(requireOneSlicingArgument: true) that is not given exactly one slicing argument. */
typedef struct gql_unsliced {
    const gql_selection *field; /* NULL: there is none */
    const struct gql_list_size *list_size;
    uint32_t count; /* of slicing arguments that have a number */
} gql_unsliced;
typedef struct gql_cost_result {
    double cost; /* from 0 to 1e15 */
    gql_unsliced
        unsliced; /* the first; its list's length was taken as if the directive did not ask for one */
} gql_cost_result;
/* "first", "last" */
void gql_cost_write_slicing(pl_buf *out, const gql_unsliced *unsliced);
/* variables are coerced, sorted by name. scratch: for the time of the call. Errors: RESOURCE_EXHAUSTED for
 * memory only. */
pl_code gql_cost(const gql_cost_plan *plan, const gql_variable *variables, uint32_t variable_count,
                 pl_arena *scratch, gql_cost_result *out);

#endif
