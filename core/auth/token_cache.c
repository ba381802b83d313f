/* SPDX-License-Identifier: MIT */
#include "auth/token_cache.h"

#include <openssl/evp.h>

#include "base/alloc.h"
#include "base/map.h"

#define DIGEST 32

typedef struct entry entry;
struct entry {
    entry *newer, *older;
    uint64_t keys; /* the number of the set that it was checked with */
    pl_jwt_times times;
    size_t len;
    char digest[DIGEST];
    char claims[];
};

struct pl_token_cache {
    pl_map entries; /* by digest */
    entry *newest, *oldest;
    size_t most_entries, most_bytes, bytes;
};

pl_token_cache *pl_token_cache_new(size_t entries, size_t bytes)
{
    pl_token_cache *cache = pl_calloc(1, sizeof *cache);
    if (cache) {
        cache->most_entries = entries;
        cache->most_bytes = bytes;
    }
    return cache;
}

static void unlink_entry(pl_token_cache *c, entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void push(pl_token_cache *c, entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static size_t size_of(size_t len)
{
    return sizeof(entry) + len;
}

static void drop(pl_token_cache *c, entry *e)
{
    unlink_entry(c, e);
    pl_map_remove(&c->entries, (pl_str){e->digest, DIGEST});
    c->bytes -= size_of(e->len);
    pl_free(e);
}

void pl_token_cache_free(pl_token_cache *cache)
{
    if (!cache)
        return;
    while (cache->oldest)
        drop(cache, cache->oldest);
    pl_map_dispose(&cache->entries);
    pl_free(cache);
}

size_t pl_token_cache_count(const pl_token_cache *cache)
{
    return cache->entries.count;
}

static bool digest_of(pl_str token, char out[DIGEST])
{
    unsigned len = 0;
    return EVP_Digest(token.ptr, token.len, (unsigned char *)out, &len, EVP_sha256(), NULL) == 1 &&
           len == DIGEST;
}

bool pl_token_cache_find(pl_token_cache *cache, pl_str token, const pl_jwk_set *keys, pl_str *claims_json,
                         pl_jwt_times *times)
{
    char digest[DIGEST];
    if (cache->entries.count == 0 || !digest_of(token, digest))
        return false;
    entry *e = pl_map_get(&cache->entries, (pl_str){digest, DIGEST});
    if (!e)
        return false;
    if (e->keys != pl_jwk_set_number(keys)) {
        drop(cache, e);
        return false;
    }
    unlink_entry(cache, e);
    push(cache, e);
    *claims_json = (pl_str){e->claims, e->len};
    *times = e->times;
    return true;
}

void pl_token_cache_keep(pl_token_cache *cache, pl_str token, const pl_jwk_set *keys, const pl_jwt *jwt)
{
    size_t size = size_of(jwt->claims_json.len);
    char digest[DIGEST];
    if (cache->most_entries == 0 || size > cache->most_bytes / 8 || !digest_of(token, digest))
        return;
    entry *old = pl_map_get(&cache->entries, (pl_str){digest, DIGEST});
    if (old)
        drop(cache, old);
    while (cache->oldest &&
           (cache->entries.count >= cache->most_entries || cache->bytes + size > cache->most_bytes))
        drop(cache, cache->oldest);
    entry *e = pl_malloc(size);
    if (!e)
        return;
    *e = (entry){.keys = pl_jwk_set_number(keys), .times = jwt->times, .len = jwt->claims_json.len};
    memcpy(e->digest, digest, DIGEST);
    memcpy(e->claims, jwt->claims_json.ptr, e->len);
    if (!pl_map_set(&cache->entries, (pl_str){e->digest, DIGEST}, e)) {
        pl_free(e);
        return;
    }
    cache->bytes += size;
    push(cache, e);
}
