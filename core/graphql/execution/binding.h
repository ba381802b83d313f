/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_BINDING_H
#define PL_GRAPHQL_BINDING_H

#include "graphql/diagnostics.h"
#include "graphql/execution/access.h"
#include "graphql/schema/schema.h"
#include "value/engine.h"

/* A schema bound to one engine state: which script function resolves a field, what an enum value is inside
 * scripts, how a custom scalar is read and written. Arrays beside the schema, indexed by its ids. Belongs to
 * the state's thread. */

typedef struct gql_field_binding {
    pl_ref resolver;  /* PL_REF_NONE: the default (a property, or default_resolver) */
    int arity;        /* how many of (parent, args, ctx, info) it reads */
    pl_ref subscribe; /* of a subscription's field: gives its source of events; PL_REF_NONE */
    int subscribe_arity;
    pl_key *key;              /* the field's name */
    const char *file;         /* where the resolver stands; NULL without one */
    const gql_access *access; /* NULL: anybody */
} gql_field_binding;

/* A directive that a resolvers file implements. */
typedef struct gql_directive_binding gql_directive_binding;
struct gql_directive_binding {
    gql_directive_binding *next;
    const gql_directive_def *def;
    pl_ref field;    /* (resolve, args, field) -> resolver; PL_REF_NONE */
    pl_ref argument; /* (args, input) -> function(value, ctx); PL_REF_NONE */
    const char *file;
};

typedef struct gql_type_binding {
    pl_ref resolve_type;       /* INTERFACE, UNION */
    pl_ref resolve_reference;  /* OBJECT, INTERFACE that is an entity: (reference, ctx, info) */
    pl_ref resolve_references; /* … all of one request: (references, ctx, info) */
    int reference_arity, references_arity;
    pl_ref serialize, parse; /* SCALAR */
    enum {
        GQL_SCRIPT_UNKNOWN,
        GQL_SCRIPT_NO,
        GQL_SCRIPT_YES
    } script;           /* INPUT_OBJECT: whether a scalar in it has parse; for plans */
    pl_value *internal; /* ENUM: by value index; NULL: the names themselves */
    const char *file;
    const gql_access *access; /* of __typename, and of all fields; NULL: anybody */
} gql_type_binding;

/* Of info; all but the path are the same for each call of a field. */
enum {
    GQL_INFO_FIELD_NAME,
    GQL_INFO_PARENT_TYPE,
    GQL_INFO_RETURN_TYPE,
    GQL_INFO_OPERATION,
    GQL_INFO_SELECTED,
    GQL_INFO_PATH,
    GQL_INFO_MEMBERS
};

typedef struct gql_binding {
    const gql_schema *schema;
    pl_state *state;
    pl_arena arena;
    gql_field_binding *fields; /* by field id */
    gql_type_binding *types;   /* by type id */
    pl_key **inputs;           /* by input id: the name */
    pl_ref default_resolver;
    int default_arity;
    pl_key *typename_key;
    pl_key *info_keys[GQL_INFO_MEMBERS];
    gql_directive_binding *directives;
    gql_access_tables *access;       /* NULL: nothing is protected */
    const gql_access *introspection; /* of __schema and __type */
} gql_binding;

/* NULL: memory. Nothing is bound yet. */
gql_binding *gql_binding_new(const gql_schema *schema, pl_state *state);
void gql_binding_free(gql_binding *binding); /* NULL is fine; refs die with the state */
/* Binds what one resolvers file returned: { TypeName = { fieldName = function } }; scalars { serialize, parse
 * }, enums { NAME = value },
 * __resolve_type of unions and interfaces, __resolve_reference or __resolve_references of entities,
 * Subscription fields { subscribe, resolve } or the subscribe function alone; implementations of directives,
 * { ["@name"] = function or { field, argument } }. Unknown names, values of a wrong kind and clashes with
 * another file are diagnostics with file and line. Below pl_protect. */
void gql_binding_add(gql_binding *binding, pl_slot table, const char *file, gql_diagnostics *list);
void gql_binding_set_default(gql_binding *binding, pl_slot function);
/* When all files and the default resolver are bound: directives that are implemented wrap the resolvers of
 * their fields, and those about access are made ready. Below pl_protect. */
void gql_binding_finish(gql_binding *binding, const gql_access_options *access, gql_diagnostics *list);

#endif
