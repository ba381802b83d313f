/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_VALIDATION_OVERLAPS_H
#define PL_GRAPHQL_VALIDATION_OVERLAPS_H

#include "graphql/validation/walk.h"

/* What the files of OverlappingFieldsCanBeMerged share: selection sets, each with the fields that it holds
 * itself, inline fragments included, and the fragments that it spreads. Made when first asked for. */
typedef struct gql_fields gql_fields;
typedef struct gql_response { /* a response name */
    uint32_t number;
    uint32_t seen, place; /* by the search: where its bunch is, while seen is the number of the task */
} gql_response;
typedef struct gql_field_use {
    const gql_selection *node;
    const gql_named *parent; /* NULL: unknown */
    const gql_field *def;    /* NULL: unknown, or a meta field */
    gql_fields *sub;         /* see gql_fields_sub */
    gql_response *response;
    uint32_t call; /* number of name and arguments; 0: see gql_field_call */
    const gql_directive *stream;
} gql_field_use;

/* Those of a response name, in a set. */
typedef struct gql_field_group {
    gql_field_use *any; /* the first */
    gql_field_use **uses;
    uint32_t count;
} gql_field_group;

struct gql_fields {
    const gql_selection_set *set;
    const gql_named *parent;
    uint32_t id;
    gql_field_use *fields;
    uint32_t count;
    const gql_fragment **spreads; /* all different */
    uint32_t spread_count;
    uint32_t gathered;           /* by the search: when it was last looked at */
    bool shape_checked, checked; /* by the search: alone, without and with names and arguments */
    bool grouped;                /* by the report */
    gql_field_group *groups;     /* in the order of their first fields */
    gql_field_group *by_number;  /* in that of their response names' numbers */
    uint32_t group_count;
};

typedef struct gql_overlaps {
    pl_map sets; /* address of a gql_selection_set -> gql_fields * */
    gql_fields **of_fragment;
    uint32_t set_count;
    pl_map responses;    /* name -> gql_response * */
    pl_map calls;        /* text -> number */
    uint32_t *spread_by; /* by fragment: id + 1 of the set that was last found to spread it */
    uint32_t budget;     /* comparisons left */
    bool spent;          /* it is used up, or comparisons nest too deep */
    bool conflicting;    /* there is a conflict somewhere: the report has to name it */

    /* The report's. */
    pl_map compared; /* pair -> whether as mutually exclusive */
    uint32_t depth;
} gql_overlaps;

/* fields.c. All give NULL, 0 or false when the walk was stopped. */
gql_fields *gql_fields_of(gql_walk *w, const gql_selection_set *set, const gql_named *parent);
gql_fields *gql_fields_of_fragment(gql_walk *w, const gql_fragment *fragment);
gql_fields *gql_fields_sub(gql_walk *w, gql_field_use *use); /* NULL, too, when there is no selection */
uint32_t gql_field_call(gql_walk *w, gql_field_use *use);
uint32_t gql_stream_call(gql_walk *w, const gql_field_use *use);
/* Whether no value could be of both types. Composite types never conflict: their fields may. */
bool gql_shapes_conflict(const gql_typeref *a, const gql_typeref *b);
static inline bool gql_overlaps_going(const gql_walk *w)
{
    return !w->stopped && !w->overlaps->spent;
}
/* Takes from the budget; false: there is nothing left, or stopped. */
bool gql_overlaps_spend(gql_walk *w, uint32_t cost);
/* Ends validation because the budget is used up. */
void gql_overlaps_exhausted(gql_walk *w);

/* overlapping_search.c: whether there is any conflict in the document. Sets w->overlaps->conflicting. */
void gql_overlaps_search(gql_walk *w);

/* overlapping_report.c: reports the conflicts of fields that a selection set brings together. */
void gql_overlaps_report(gql_walk *w, gql_fields *fields);

#endif
