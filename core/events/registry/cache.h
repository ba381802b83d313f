/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_REGISTRY_CACHE_H
#define PL_EVENTS_REGISTRY_CACHE_H

#include "base/arena.h"
#include "events/registry/rest.h"
#include "value/registry.h"

/* What was asked of a schema registry: ids and schemas never change, so an answer is kept until its place is
 * needed; that there is no such thing is kept for a while. Shared by workers and generations, thread-safe,
 * bounded in entries and bytes. The time is handed in. */
typedef struct pl_schema_cache pl_schema_cache;

#define PL_SCHEMA_CACHE_ENTRIES 10000
#define PL_SCHEMA_CACHE_BYTES ((size_t)64 << 20)

/* The cache of what `name` says: which registry, seen by whom. To be released with pl_schema_cache_release.
 * NULL: RESOURCE_EXHAUSTED. */
pl_schema_cache *pl_schema_cache_get(pl_registry *registry, pl_str name, pl_error *err);
void pl_schema_cache_release(pl_registry *registry, pl_schema_cache *cache);

/* False: nothing is known. Else *out has strings in the arena; out->missing with what was said about it.
 * Without memory for the strings, false. */
bool pl_schema_cache_find(pl_schema_cache *cache, pl_str key, uint64_t now, pl_arena *arena,
                          pl_schema_answer *out);
/* ttl 0: for good. Without memory it is not kept. */
void pl_schema_cache_put(pl_schema_cache *cache, pl_str key, const pl_schema_answer *answer, uint64_t now,
                         uint64_t ttl);

#endif
