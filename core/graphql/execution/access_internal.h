/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_ACCESS_INTERNAL_H
#define PL_GRAPHQL_ACCESS_INTERNAL_H

#include "base/map.h"
#include "graphql/execution/access.h"

/* Names have numbers, so that a check looks at bits alone. */
typedef enum gql_access_kind { GQL_ACCESS_SIGNED_IN, GQL_ACCESS_ROLES, GQL_ACCESS_SCOPES } gql_access_kind;

typedef struct gql_access_set {
    const uint32_t *names;
    uint32_t count;
} gql_access_set;

/* One directive. */
typedef struct gql_access_rule {
    gql_access_kind kind;
    gql_access_set roles;         /* ROLES: one of them */
    const gql_access_set *scopes; /* SCOPES: all of one of these */
    uint32_t scope_count;
} gql_access_rule;

struct gql_access {
    pl_str name; /* "User.email", for messages */
    const gql_access_rule **rules;
    uint32_t count;
};

typedef struct gql_access_names {
    pl_map map; /* name -> its number + 1 */
} gql_access_names;

struct gql_access_tables {
    gql_access_names roles, scopes;
    uint64_t **granted; /* by role: bits of the roles whose rights it has, itself included */
    pl_key *user, *role, *roles_key, *scope, *scopes_key;
};

void gql_access_free(gql_access_tables *tables); /* NULL is fine */

static inline size_t gql_access_words(const gql_access_names *names)
{
    return (names->map.count + 63) / 64;
}
/* -1: no directive and no role of the settings has the name. */
static inline int64_t gql_access_find(const gql_access_names *names, pl_str name)
{
    return (int64_t)(uintptr_t)pl_map_get(&names->map, name) - 1;
}

#endif
