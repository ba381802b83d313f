/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_PLAN_INTERNAL_H
#define PL_GRAPHQL_PLAN_INTERNAL_H

#include "graphql/execution/plan.h"

#define GQL_MAX_STEPS 1000000 /* selections looked at over the life of a plan */
#define GQL_MAX_DEPTH 500     /* of selection sets, fragments followed: bounds the executor's recursion */

/* collect.c: the fields of a selection set for one object type, and which of them are executed together. */

/* A response key, with all field nodes that are merged. */
typedef struct gql_collected gql_collected;
struct gql_collected {
    gql_collected *next; /* of its part */
    pl_str key;
    const gql_selection **nodes;
    gql_defer **defers; /* beside nodes: the innermost deferred fragment around each, or NULL */
    uint32_t count, capacity;
    bool deferred; /* some of defers is not NULL */
};
typedef struct gql_collected_part gql_collected_part;
struct gql_collected_part {
    gql_collected_part *next;
    const gql_defer_set *set;
    gql_collected *first, *last;
    uint32_t count;
};
typedef struct gql_collection {
    pl_arena scratch;
    gql_collected_part *main; /* what is executed at once; behind it the groups that are deferred */
    uint32_t part_count;      /* of groups */
    gql_defer *defers;        /* that begin here; in the plan's arena */
} gql_collection;

/* Dispose of *out in any case. plan->variables are those of the execution. */
pl_code gql_collect(gql_plan *plan, const gql_plan_set *set, const gql_named *type, gql_collection *out,
                    pl_error *err);
void gql_collection_dispose(gql_collection *c);
/* The @stream of a field, NULL when there is none or it is off. */
const gql_directive *gql_collect_stream(const gql_plan *plan, const gql_selection *field);
pl_str gql_collect_label(const gql_directive *directive); /* ptr NULL: none */

#endif
