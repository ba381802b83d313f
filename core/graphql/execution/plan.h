/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_PLAN_H
#define PL_GRAPHQL_PLAN_H

#include "graphql/execution/binding.h"
#include "graphql/execution/input.h"

/* How one operation is executed: for each selection set and concrete type, the merged fields in response
 * order, with everything looked up that can be.
 *
 * A plan holds for one operation and one outcome of its @skip and @include conditions (the order of response
 * keys depends on them), so at run time there is nothing left to decide. Selection sets are compiled when
 * execution first reaches them with a type: what a query never reaches costs nothing, and fragments that
 * multiply are bounded by max_fields. */

typedef struct gql_plan gql_plan;
typedef struct gql_plan_set gql_plan_set;
typedef struct gql_plan_object gql_plan_object;
typedef struct gql_plan_field gql_plan_field;

/* What becomes of @defer and @stream: as the client that asks can take it. */
typedef enum gql_incremental {
    GQL_INCREMENTAL_OFF,  /* executed as if they were not there */
    GQL_INCREMENTAL_NEW,  /* graphql-js 17: pending, incremental, completed, hasNext */
    GQL_INCREMENTAL_2022, /* deferSpec=20220824: incremental with label and path, hasNext */
} gql_incremental;

typedef enum gql_resolve_how {
    GQL_RESOLVE_TYPENAME, /* text holds the type's name in quotes */
    GQL_RESOLVE_PROPERTY, /* parent[key] */
    GQL_RESOLVE_CALL,
    GQL_RESOLVE_EVENT,      /* a subscription's field without resolve: the event itself */
    GQL_RESOLVE_META,       /* __schema, __type, and every field of the introspection types */
    GQL_RESOLVE_FEDERATION, /* _service, _entities: entities.h */
} gql_resolve_how;

typedef struct gql_plan_argument {
    const gql_input *def;
    const pl_key *key;
    const gql_value *literal; /* coerced at each call; NULL: not given (the default, or absent) */
    const pl_value *constant; /* coerced once; NULL: literal decides */
} gql_plan_argument;

struct gql_plan_field {
    gql_resolve_how how;
    pl_str prefix; /* ,"key": — the first field is written without the comma */
    pl_str response_key;
    pl_str text; /* TYPENAME: the value as JSON */
    const gql_field *def;
    const gql_access *access; /* NULL: anybody may have it */
    const pl_key *key;
    pl_ref resolver;
    int arity;
    gql_plan_argument *arguments;
    uint32_t argument_count;
    gql_plan_set *set;           /* of a composite field; NULL otherwise */
    const gql_selection **nodes; /* every field node that was merged; for locations */
    uint32_t node_count;
};

struct gql_plan_object {
    gql_plan_object *next;
    const gql_named *type;
    gql_plan_field *fields;
    uint32_t count;
};

/* A selection set as it comes together from all nodes of a field; compiled per concrete type. */
struct gql_plan_set {
    const gql_named *declared; /* the type of the field */
    const gql_selection **nodes;
    uint32_t node_count;
    const gql_selection_set *root; /* of the operation, instead of nodes */
    uint32_t depth;
    gql_plan_object *objects;
};

struct gql_plan {
    pl_arena arena;
    const gql_document *document;
    const gql_operation *operation;
    gql_binding *binding;
    const gql_variable
        *variables; /* sorted by name; the condition variables' values are read from here while compiling */
    uint32_t variable_count;
    gql_plan_set root;
    pl_map fragments; /* name -> gql_fragment * */
    gql_incremental incremental;
    uint32_t field_count, max_fields;
    uint32_t steps; /* selections looked at so far */
    uint8_t cache_outlook; /* cache/responses.h */
};

/* NULL: memory. The document outlives the plan. max_fields 0 is 20,000. */
gql_plan *gql_plan_new(const gql_document *document, const gql_operation *operation, gql_binding *binding,
                       gql_incremental incremental, uint32_t max_fields);
void gql_plan_free(gql_plan *plan); /* NULL is fine */

/* The fields of set for the object type, compiled the first time. variables: of the execution that asks.
 * Errors: RESOURCE_EXHAUSTED when the plan gets too large, or memory is short. */
pl_code gql_plan_object_get(gql_plan *plan, gql_plan_set *set, const gql_named *type,
                            const gql_variable *variables, uint32_t variable_count,
                            const gql_plan_object **out, pl_error *err);

/* The variables that @skip and @include look at, in the whole document: their values tell plans of one
 * operation apart. names: room for max; returns how many there are (may be more than max: then nothing is
 * cached). */
uint32_t gql_condition_variables(const gql_document *document, pl_str *names, uint32_t max);

#endif
