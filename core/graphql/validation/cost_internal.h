/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_COST_INTERNAL_H
#define PL_GRAPHQL_COST_INTERNAL_H

#include "graphql/validation/cost.h"

/* What cost_model.c reads off the schema, cost_plan.c adds up, and cost.c evaluates. */

/* @listSize of a field. */
typedef struct gql_slicing {
    const gql_input *argument;
    pl_str path; /* below it, for an input object: "page.first"; or empty */
    bool items;  /* not its value counts, but how many items it has */
} gql_slicing;
typedef struct gql_list_size {
    double assumed; /* negative: not given */
    bool require_one;
    gql_slicing *slicing;
    uint32_t slicing_count;
    const gql_value *sized; /* names of the fields that have the length instead; NULL: none */
} gql_list_size;

struct gql_cost_model {
    const gql_schema *schema;
    double default_list_size;
    double *fields, *inputs, *types; /* by id: @cost, or negative without one */
    gql_list_size **list_sizes;      /* by field id; NULL: none */
};

/* constant + the value of a node. */
typedef struct gql_cost_term {
    double constant;
    uint32_t node; /* number of a node, from 1; 0: none */
} gql_cost_term;

/* The length of a list. */
typedef struct gql_cost_size {
    double constant;                /* negative: ask the field that slices */
    const gql_selection *field;     /* the one with the slicing arguments, or NULL */
    const gql_list_size *list_size; /* of that field */
} gql_cost_size;

/* What depends on variables. Nodes refer to earlier ones only, so one pass in order evaluates them all. */
typedef struct gql_cost_node {
    enum {
        GQL_COST_SUM,   /* of the terms */
        GQL_COST_MAX,   /* of the terms */
        GQL_COST_FIELD, /* size * terms[0] + arguments, if it is included */
        GQL_COST_GATE,  /* terms[0], if `directives` include it */
    } kind;
    gql_cost_term *terms;
    uint32_t term_count;
    const gql_directives *directives; /* FIELD, GATE: with @skip and @include */
    const gql_selection *field;
    const gql_field *def;
    const gql_list_size *list_size; /* of def */
    gql_cost_size size;
} gql_cost_node;

struct gql_cost_plan {
    const gql_cost_model *model;
    gql_cost_term total;
    gql_cost_node *nodes;
    uint32_t node_count;
    gql_unsliced unsliced; /* known without variables */
};

/* Sums stop here: exact as an integer, and so far from infinity that no product gets there. */
#define GQL_COST_MOST 1e15
static inline double gql_cost_bounded(double cost)
{
    return cost > GQL_COST_MOST ? GQL_COST_MOST : cost; /* NaN stays */
}

/* cost.c: what is asked while planning, too, without variables then. */
typedef struct gql_cost_score gql_cost_score;
typedef struct gql_cost_env {
    const gql_cost_model *model;
    const gql_variable *variables;
    uint32_t variable_count;
    gql_cost_score *scores; /* of variables, by place; NULL while planning */
} gql_cost_env;
/* What the arguments of a field cost. */
double gql_cost_arguments(gql_cost_env *env, const gql_selection *field, const gql_field *def);
/* The length of a list, as the slicing arguments say, or assumed; negative: nothing says it. *count: how many
 * slicing arguments have a number. */
double gql_cost_slice(const gql_cost_env *env, const gql_selection *field, const gql_list_size *list_size,
                      uint32_t *count);
static inline bool gql_cost_is_unsliced(const gql_list_size *list_size, uint32_t count)
{
    return list_size->require_one && list_size->slicing_count > 0 && count != 1;
}
/* What @skip and @include say. */
bool gql_cost_included(const gql_cost_env *env, const gql_directives *directives);
/* Whether variables are asked for these. */
bool gql_cost_arguments_vary(const gql_selection *field);
bool gql_cost_conditions_vary(const gql_directives *directives);

#endif
