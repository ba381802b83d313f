/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_RESPONSE_CACHE_H
#define PL_APP_RESPONSE_CACHE_H

#include "graphql/cache/responses.h"

/* Cached responses of a server, for all of its workers: so that its memory is bounded once, what one worker
 * has found out serves all, and a purge is complete when it returns. Thread-safe: entries are spread over
 * locked parts, each held for a look-up, an insertion or the removal of what a purge names; never across the
 * execution of anything.
 *
 * A purge is not lost on what is under way: it is noted before entries are removed, and a response whose
 * execution began before a purge of one of its tags is not stored any more. */
typedef struct pl_response_cache pl_response_cache;

pl_response_cache *pl_response_cache_new(void);        /* holds nothing until it has a size; NULL: memory */
void pl_response_cache_free(pl_response_cache *cache); /* NULL is fine */
/* From now on only responses of this generation are stored, in so many bytes (0: none); all others go.
 * Entries are found by keys that the generation is part of, so an older one that still works finds nothing.
 */
void pl_response_cache_configure(pl_response_cache *cache, uint64_t generation, size_t max_bytes);

/* What a service of the generation needs. Lives as long as the cache. */
gql_cache_storage pl_response_cache_storage(pl_response_cache *cache, uint64_t generation);

/* Drops what has one of the tags, on all workers: nothing of it is served after this returns. Returns how
 * many. */
size_t pl_response_cache_purge(pl_response_cache *cache, const gql_cache_tags *tags);
size_t pl_response_cache_purge_all(pl_response_cache *cache);

typedef struct pl_response_cache_stats {
    size_t entries, bytes, max_bytes;
    uint64_t hits, misses;
    uint64_t joined; /* waited for another execution of the same */
    uint64_t stored;
    uint64_t refused; /* not stored: too large, purged meanwhile, or an older generation's */
    uint64_t purged, evicted, expired;
} pl_response_cache_stats;
pl_response_cache_stats pl_response_cache_get_stats(pl_response_cache *cache);

#endif
