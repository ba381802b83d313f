/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_CACHE_TRACE_H
#define PL_GRAPHQL_CACHE_TRACE_H

#include "graphql/cache/policy.h"
#include "graphql/execution/plan.h"

/* What one execution of a query has touched: from that, at its end, comes how long its response may be cached
 * and by which purges it is dropped. Executions that nobody caches have none. In the request's arena; when
 * memory is short, the response is not cacheable, and nothing else happens. */
typedef struct gql_cache_trace gql_cache_trace;

gql_cache_trace *gql_cache_trace_new(const gql_cache_rules *rules, pl_arena *arena); /* NULL: memory */
/* What ctx.cache:hint reaches (pl_work.cache); a hint's field is a gql_plan_field. */
pl_cache_control *gql_cache_trace_control(gql_cache_trace *trace);

/* For the executor: an object of a type, with these fields, is in the response. The first one is the root. */
void gql_cache_visit(gql_cache_trace *trace, const gql_plan_object *object);
/* The field resolves entities of this type: what is said of the type counts for the field. */
void gql_cache_entity(gql_cache_trace *trace, const gql_plan_field *field, const gql_named *type);
/* The field has given a leaf, written as json. */
void gql_cache_leaf(gql_cache_trace *trace, const gql_field *field, pl_str json);

/* Least age, and scope, of all that was visited. max_age 0: not cacheable. */
gql_cache_hint gql_cache_trace_policy(const gql_cache_trace *trace);

/* Tags are hashes of what a purge can name. A collision drops a response too many. */
typedef struct gql_cache_tags {
    uint64_t *items; /* each once, sorted */
    size_t count;
} gql_cache_tags;
/* The types that the operation asked for, and the objects in the response. False: memory. */
bool gql_cache_trace_tags(gql_cache_trace *trace, gql_cache_tags *out);

/* The tags that a purge drops: of a type (abstract ones: of all their objects), or of one object and of all
 * responses with objects of its type whose identity was not asked for. NOT_FOUND: there is no such type. */
pl_code gql_cache_purge_tags(const gql_schema *schema, pl_str type, pl_str id, pl_arena *arena,
                             gql_cache_tags *out, pl_error *err);

#endif
