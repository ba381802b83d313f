/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_CACHE_POLICY_H
#define PL_GRAPHQL_CACHE_POLICY_H

#include "graphql/schema/schema.h"

/* What a schema says about how long its fields may be cached, with the rules of Apollo Server:
 *
 * - @cacheControl on a field counts before @cacheControl on the type that it gives.
 * - A field that gives an object, interface or union, and any root field, without a maxAge of either kind has
 *   the default one (0). With inheritMaxAge, on a field that is no root field, it has none of its own.
 * - Other fields have none of their own.
 * - The response has the least maxAge of all fields that were executed, and is private if one of them is.
 *
 * A field that only some users may see (@auth) is private, whatever else is said of it. */
typedef enum gql_cache_scope { GQL_CACHE_NO_SCOPE, GQL_CACHE_PUBLIC, GQL_CACHE_PRIVATE } gql_cache_scope;

#define GQL_CACHE_NO_AGE UINT32_MAX
typedef struct gql_cache_hint {
    uint32_t max_age; /* seconds; GQL_CACHE_NO_AGE: it says nothing */
    gql_cache_scope scope;
} gql_cache_hint;

/* graphql.cache of the settings. */
typedef struct gql_cache_settings {
    bool on; /* it is there: policies are computed even if no field of the schema has one */
    uint32_t default_max_age;
    size_t size;           /* bytes of responses that are kept; 0: none */
    pl_str session_header; /* in lower case; ptr NULL: sessions are not told apart by a header, but perhaps by
                              the function that the service is given */
} gql_cache_settings;

/* The narrower of two. */
gql_cache_hint gql_cache_restrict(gql_cache_hint a, gql_cache_hint b);

/* Of a schema; read only. */
typedef struct gql_cache_rules gql_cache_rules;
gql_cache_rules *gql_cache_rules_new(const gql_schema *schema, uint32_t default_max_age); /* NULL: memory */
void gql_cache_rules_free(gql_cache_rules *rules);                                        /* NULL is fine */
const gql_schema *gql_cache_rules_schema(const gql_cache_rules *rules);
/* Whether a response may be cached at all without a hint of a script: a maxAge above 0 is somewhere. */
bool gql_cache_rules_any(const gql_cache_rules *rules);
/* What is said of a field; root: it is one of the operation's own. */
gql_cache_hint gql_cache_rule(const gql_cache_rules *rules, const gql_field *field, bool root);
/* What @cacheControl says of a type. */
gql_cache_hint gql_cache_type_hint(const gql_named *type);
/* Whether the field tells objects of its type apart: `id`, or else the one field of its @key. */
bool gql_cache_identifies(const gql_cache_rules *rules, const gql_field *field);

#endif
