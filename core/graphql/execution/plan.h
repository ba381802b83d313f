/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_PLAN_H
#define PL_GRAPHQL_PLAN_H

#include "base/format.h"
#include "graphql/execution/binding.h"
#include "graphql/execution/input.h"

/* How one operation is executed: for each selection set and concrete type, the merged fields in response
 * order, with everything looked up that can be.
 *
 * A plan holds for one operation and one outcome of its @skip and @include conditions (the order of response
 * keys depends on them), so at run time there is nothing left to decide. Selection sets are compiled when
 * execution first reaches them with a type: what a query never reaches costs nothing, and fragments that
 * multiply are bounded by max_fields.
 *
 * Fields that are deferred are parted from the others while a selection set is compiled. What decides is the
 * set of deferred fragments that a field is selected in: it is delivered with each of them, but once; a field
 * that is selected outside of all of them, too, is not deferred. (In the 2022 form it is delivered as often
 * as it is selected.) Fields with the same set make a group, which is executed as a whole. */

typedef struct gql_plan gql_plan;
typedef struct gql_plan_set gql_plan_set;
typedef struct gql_plan_object gql_plan_object;
typedef struct gql_plan_field gql_plan_field;
typedef struct gql_plan_group gql_plan_group;
typedef struct gql_plan_deferral gql_plan_deferral;
typedef struct gql_plan_stream gql_plan_stream;
typedef struct gql_defer gql_defer;
typedef struct gql_defer_set gql_defer_set;

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

/* What the info of a field's calls has in common: kept from the second call on. */
typedef struct gql_plan_info {
    struct gql_plan_info *next; /* of the plan's */
    bool called;
    pl_ref shared; /* a map; PL_REF_NONE: not kept yet */
} gql_plan_info;

#define GQL_MAX_RUN 8
#define GQL_MAX_PINS 32
/* Bytes that a run has room for in each scalar: a number, or a string that is not long. */
#define GQL_SHORT_STRING 64
#define GQL_SCALAR_ROOM (GQL_SHORT_STRING + 2)

/* Prefixes are padded, and copied by blocks: what they need. */
#define GQL_PREFIX_BLOCK 16
static inline size_t gql_prefix_room(size_t len)
{
    return (len + GQL_PREFIX_BLOCK - 1) & ~(size_t)(GQL_PREFIX_BLOCK - 1);
}
/* Returns the place behind it. */
static inline char *gql_copy_prefix(char *out, pl_str prefix)
{
    size_t i = 0;
    do {
        memcpy(out + i, prefix.ptr + i, GQL_PREFIX_BLOCK);
        i += GQL_PREFIX_BLOCK;
    } while (i < prefix.len);
    return out + prefix.len;
}
static inline void gql_put_prefix(pl_buf *buf, pl_str prefix)
{
    if (buf->cap - buf->len >= gql_prefix_room(prefix.len))
        buf->len = (size_t)(gql_copy_prefix(buf->data + buf->len, prefix) - buf->data);
    else
        pl_buf_str(buf, prefix);
}

struct gql_plan_field {
    gql_resolve_how how;
    pl_str prefix; /* ,"key": — with { in place of the comma for the first field; padded */
    pl_str response_key;
    pl_str text; /* TYPENAME: the value as JSON */
    const gql_field *def;
    const gql_access *access; /* NULL: anybody may have it */
    const pl_key *key;
    pl_ref resolver;
    int nargs; /* how many arguments the resolver is given; of one of the host program's, as many as are made
                */
    bool native;
    gql_plan_info *info; /* of a resolver that takes it; NULL: made at each call */
    gql_plan_argument *arguments;
    uint32_t argument_count;
    uint32_t run;            /* from this field on, how many are read at once (members.c) */
    uint32_t run_room;       /* bytes for all of these, if their strings are short */
    const pl_key **run_keys; /* their names */
    uint32_t pin;            /* of a field of a run: where its key is among the plan's, from 1; 0: nowhere */
    gql_scalar_kind scalar;  /* of a field of a run */
    gql_plan_set *set;       /* of a composite field; NULL otherwise */
    gql_plan_stream *stream; /* a list with @stream; NULL otherwise */
    const gql_selection **nodes; /* every field node that was merged; for locations */
    uint32_t node_count;
};

struct gql_plan_object {
    gql_plan_object *next;
    const gql_named *type;
    gql_plan_field *fields;
    uint32_t count;
    gql_plan_deferral *deferral; /* NULL: nothing is deferred here */
};

/* A deferred fragment, as collected for one object type. Where it has fields there is a delivery for it each
 * time the object is executed. */
struct gql_defer {
    gql_defer *parent; /* the deferred fragment around it; NULL: none */
    gql_defer *next;   /* of the same deferral, in the order of the document */
    const gql_plan_deferral *owner;
    uint32_t index; /* in owner */
    uint32_t id;    /* in the plan */
    const gql_directive *directive;
    pl_str label;  /* ptr NULL: none */
    uint64_t mark; /* while fields are parted */
};
/* Deferred fragments, none of them inside of another of the set. NULL stands for the empty set. */
struct gql_defer_set {
    gql_defer **items;
    uint32_t count;
    pl_str key; /* equal for equal sets */
};
struct gql_plan_group {
    const gql_defer_set *set;
    gql_plan_object object; /* its fields */
};
struct gql_plan_deferral {
    gql_defer *defers;
    uint32_t defer_count;
    gql_plan_group *groups;
    uint32_t group_count;
};
struct gql_plan_stream {
    pl_str label;
    const gql_value *initial_count; /* NULL: 0 */
    gql_plan_field *item;           /* the field, for items that are delivered later */
};

/* A selection set as it comes together from all nodes of a field; compiled per concrete type. */
struct gql_plan_set {
    const gql_named *declared; /* the type of the field */
    const gql_selection **nodes;
    uint32_t node_count;
    const gql_selection_set *root; /* of the operation, instead of nodes */
    gql_defer **defers;            /* beside nodes: which each is selected in; NULL: none is deferred */
    const gql_defer_set *current;  /* the group that executes it */
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
    uint32_t steps;        /* selections looked at so far */
    uint8_t cache_outlook; /* cache/responses.h */
    uint32_t defer_count;
    uint64_t marks;
    gql_plan_info *infos;
    /* Keys of runs, which an execution holds on the stack where they are likely to be read often. */
    const pl_key *pins[GQL_MAX_PINS];
    uint32_t pin_count;
    bool has_lists; /* of objects */
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

/* The variables that the conditions of @skip, @include, @defer and @stream look at, in the whole document:
 * their values tell plans of one operation apart. names: room for max; returns how many there are (may be
 * more than max: then nothing is cached). */
uint32_t gql_condition_variables(const gql_document *document, pl_str *names, uint32_t max);

#endif
