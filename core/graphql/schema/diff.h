/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_SCHEMA_DIFF_H
#define PL_GRAPHQL_SCHEMA_DIFF_H

#include "base/arena.h"
#include "base/error.h"
#include "graphql/schema/schema.h"

/* What changed from one schema to another: the changes that graphql-js's findSchemaChanges finds, with its
 * names and descriptions and in its order. In two places, both of safe changes, its words are not followed: a
 * description that is gone "was removed" (not: has changed to "undefined"), and the description of a
 * directive's argument names the argument (not: the directive twice). */
typedef enum gql_change_level {
    GQL_CHANGE_BREAKING,  /* an operation or a directive's use that was right may be wrong now */
    GQL_CHANGE_DANGEROUS, /* operations stay right, but their clients may see what they do not expect */
    GQL_CHANGE_SAFE,
} gql_change_level;

typedef enum gql_change_kind {
    GQL_TYPE_REMOVED,
    GQL_TYPE_CHANGED_KIND,
    GQL_TYPE_REMOVED_FROM_UNION,
    GQL_VALUE_REMOVED_FROM_ENUM,
    GQL_REQUIRED_INPUT_FIELD_ADDED,
    GQL_IMPLEMENTED_INTERFACE_REMOVED,
    GQL_FIELD_REMOVED,
    GQL_FIELD_CHANGED_KIND,
    GQL_REQUIRED_ARG_ADDED,
    GQL_ARG_REMOVED,
    GQL_ARG_CHANGED_KIND,
    GQL_DIRECTIVE_REMOVED,
    GQL_DIRECTIVE_ARG_REMOVED,
    GQL_REQUIRED_DIRECTIVE_ARG_ADDED,
    GQL_DIRECTIVE_REPEATABLE_REMOVED,
    GQL_DIRECTIVE_LOCATION_REMOVED,
    GQL_VALUE_ADDED_TO_ENUM, /* from here on: dangerous */
    GQL_TYPE_ADDED_TO_UNION,
    GQL_OPTIONAL_INPUT_FIELD_ADDED,
    GQL_OPTIONAL_ARG_ADDED,
    GQL_IMPLEMENTED_INTERFACE_ADDED,
    GQL_ARG_DEFAULT_VALUE_CHANGE,
    GQL_INPUT_FIELD_DEFAULT_VALUE_CHANGE,
    GQL_DESCRIPTION_CHANGED, /* from here on: safe */
    GQL_TYPE_ADDED,
    GQL_DIRECTIVE_ADDED,
    GQL_FIELD_ADDED,
    GQL_DIRECTIVE_REPEATABLE_ADDED,
    GQL_DIRECTIVE_LOCATION_ADDED,
    GQL_OPTIONAL_DIRECTIVE_ARG_ADDED,
    GQL_FIELD_CHANGED_KIND_SAFE,
    GQL_ARG_CHANGED_KIND_SAFE,
    GQL_ARG_DEFAULT_VALUE_ADDED,
    GQL_INPUT_FIELD_DEFAULT_VALUE_ADDED,
    GQL_CHANGE_KINDS,
} gql_change_kind;

/* "FIELD_REMOVED". */
const char *gql_change_name(gql_change_kind kind);
gql_change_level gql_change_level_of(gql_change_kind kind);

/* Where something is defined; source is NULL for what no file defines. */
typedef struct gql_definition_place {
    const gql_source *source;
    gql_loc loc;
} gql_definition_place;

typedef struct gql_change gql_change;
struct gql_change {
    gql_change *next;
    gql_change_kind kind;
    pl_str description;
    pl_str coordinate; /* schema coordinate of what changed: "Query.user(id:)" */
    /* The definition, before and after. Of something that was removed, after is the definition of what it
     * stood in, if that is still there. */
    gql_definition_place before, after;
};
typedef struct gql_changes {
    gql_change *first, *last;
    uint32_t counts[GQL_CHANGE_SAFE + 1]; /* by level */
} gql_changes;

/* The list is in arena; its places and some of its texts belong to the schemas. RESOURCE_EXHAUSTED is the
 * only error. */
pl_code gql_schema_diff(const gql_schema *before, const gql_schema *after, pl_arena *arena, gql_changes *out);

#endif
