/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_CACHE_STORE_H
#define PL_GRAPHQL_CACHE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Responses by key, bounded in bytes: what has expired goes first, then what was used least recently. Each
 * entry has tags, by which it can be dropped. Keys are digests (collisions of keys must not happen). No
 * clock, no lock: one thread at a time. */

/* A response: immutable, counted, freed with its last reference on whatever thread that is. */
typedef struct gql_cached {
    atomic_uint refs;
    pl_str body;
    uint32_t max_age; /* seconds */
    bool is_private;
    uint64_t stored; /* milliseconds */
    char hash[33];   /* of the body, in hexadecimal, for whoever stores it to set */
} gql_cached;

gql_cached *gql_cached_new(pl_str body, uint32_t max_age, bool is_private, uint64_t now); /* NULL: memory */
gql_cached *gql_cached_ref(gql_cached *cached);
void gql_cached_unref(gql_cached *cached); /* NULL is fine */
static inline bool gql_cached_is_fresh(const gql_cached *cached, uint64_t now)
{
    return now < cached->stored + (uint64_t)cached->max_age * 1000;
}

#define GQL_CACHE_KEY 32
typedef struct gql_cache_key {
    uint8_t bytes[GQL_CACHE_KEY];
} gql_cache_key;

typedef struct gql_store gql_store;
gql_store *gql_store_new(size_t max_bytes); /* NULL: memory */
void gql_store_free(gql_store *store);      /* NULL is fine */

/* A reference, or NULL: there is none, or it has expired. */
gql_cached *gql_store_get(gql_store *store, const gql_cache_key *key, uint64_t now);
/* Keeps a reference; replaces what is there. False: it is larger than an eighth of the store, or memory is
 * short. tags are in any order. */
bool gql_store_put(gql_store *store, const gql_cache_key *key, gql_cached *cached, const uint64_t *tags,
                   size_t count, uint64_t now);
/* Drops what has one of the tags; returns how many. */
size_t gql_store_purge(gql_store *store, const uint64_t *tags, size_t count);
size_t gql_store_clear(gql_store *store);
void gql_store_resize(gql_store *store, size_t max_bytes);

typedef struct gql_store_stats {
    size_t entries, bytes, max_bytes;
    uint64_t evicted, expired;
} gql_store_stats;
gql_store_stats gql_store_get_stats(const gql_store *store);

#endif
