/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_LIMITS_H
#define PL_GRAPHQL_LIMITS_H

#include "base/error.h"
#include "graphql/diagnostics.h"
#include "graphql/language/ast.h"

/* How large an operation may be, measured on the document alone: before validation, so that what is too large
 * is not validated. Everything counts with fragments expanded; a fragment that is spread twice counts twice.
 * 0 is the default of each. */
typedef struct gql_limits {
    uint32_t max_depth;       /* fields inside fields; __schema and __type with all below count nothing. 50 */
    uint32_t max_aliases;     /* fields with an alias. 1,000 */
    uint32_t max_root_fields; /* 500 */
    uint32_t max_directives;  /* 1,000 */
    uint32_t max_list_items;  /* of one list that is written in the document. 10,000 */
    uint32_t max_introspection; /* fields __schema and __type. 20 */
} gql_limits;
#define GQL_DEFAULT_MAX_DEPTH 50
#define GQL_DEFAULT_MAX_ALIASES 1000
#define GQL_DEFAULT_MAX_ROOT_FIELDS 500
#define GQL_DEFAULT_MAX_DIRECTIVES 1000
#define GQL_DEFAULT_MAX_LIST_ITEMS 10000
#define GQL_DEFAULT_MAX_INTROSPECTION 20

/* PL_OK, or RESOURCE_EXHAUSTED with a diagnostic for each limit that an operation passes, which names the
 * setting and both figures (or with list->out_of_memory). Takes time linear in the document; fragments that
 * spread themselves are left to validation. steps: NULL, or what it took: nodes and spreads looked at. */
pl_code gql_limits_check(const gql_document *document, const gql_limits *limits, gql_diagnostics *list,
                         uint64_t *steps);

#endif
