/* SPDX-License-Identifier: MIT */
#ifndef PL_AUTH_TOKEN_CACHE_H
#define PL_AUTH_TOKEN_CACHE_H

#include "auth/jwt.h"

/* Tokens whose signature and claims were found right, so that those that come with each request are not
 * checked again: times are. Bounded in number and in bytes; the least recently used go first. Tokens
 * themselves are not kept, but their SHA-256. What was found with one set of keys is not believed with
 * another. Not for several threads. */
typedef struct pl_token_cache pl_token_cache;

/* NULL: memory. 0 entries: keeps nothing. */
pl_token_cache *pl_token_cache_new(size_t entries, size_t bytes);
void pl_token_cache_free(pl_token_cache *cache); /* NULL is fine */

/* What is known of the token: its claims as JSON, and its times; false: nothing. The claims are valid until
 * the next call. */
bool pl_token_cache_find(pl_token_cache *cache, pl_str token, const pl_jwk_set *keys, pl_str *claims_json,
                         pl_jwt_times *times);
/* Without memory it is not kept. */
void pl_token_cache_keep(pl_token_cache *cache, pl_str token, const pl_jwk_set *keys, const pl_jwt *jwt);

size_t pl_token_cache_count(const pl_token_cache *cache);

#endif
