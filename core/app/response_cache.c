/* SPDX-License-Identifier: MIT */
#include "app/response_cache.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"

#define MAX_PARTS 16
#define PART_BYTES ((size_t)8 << 20) /* least size of a part: an eighth of it is the largest entry */
#define NOTED 4096                   /* purged tags that are remembered */

typedef struct part {
    pthread_mutex_t lock;
    gql_store *store;
} part;

/* What was purged, newest last: number n stands at n % NOTED. */
typedef struct notes {
    pthread_mutex_t lock;
    uint64_t tags[NOTED];
    _Atomic uint64_t count; /* of all so far */
    uint64_t all;           /* the count at the last purge of everything */
} notes;

struct pl_response_cache {
    part parts[MAX_PARTS];
    notes notes;
    _Atomic uint64_t generation;
    atomic_uint part_count;                         /* in use; 0: nothing is kept */
    _Atomic uint64_t lookups[GQL_CACHE_JOINED + 1]; /* by event */
    _Atomic uint64_t stored, refused, purged;
};

pl_response_cache *pl_response_cache_new(void)
{
    pl_response_cache *c = pl_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    pthread_mutex_init(&c->notes.lock, NULL);
    bool ok = true;
    for (int i = 0; i < MAX_PARTS; i++) {
        pthread_mutex_init(&c->parts[i].lock, NULL);
        c->parts[i].store = ok ? gql_store_new(0) : NULL;
        ok = c->parts[i].store != NULL;
    }
    if (ok)
        return c;
    pl_response_cache_free(c);
    return NULL;
}

void pl_response_cache_free(pl_response_cache *c)
{
    if (!c)
        return;
    for (int i = 0; i < MAX_PARTS; i++) {
        gql_store_free(c->parts[i].store);
        pthread_mutex_destroy(&c->parts[i].lock);
    }
    pthread_mutex_destroy(&c->notes.lock);
    pl_free(c);
}

void pl_response_cache_configure(pl_response_cache *c, uint64_t generation, size_t max_bytes)
{
    size_t n = max_bytes / PART_BYTES;
    n = n > MAX_PARTS ? MAX_PARTS : n == 0 && max_bytes > 0 ? 1 : n;
    atomic_store(&c->generation, generation); /* from here on an older one's responses are refused */
    atomic_store(&c->part_count, (unsigned)n);
    for (size_t i = 0; i < MAX_PARTS; i++) {
        pthread_mutex_lock(&c->parts[i].lock);
        gql_store_clear(c->parts[i].store);
        gql_store_resize(c->parts[i].store, i < n ? max_bytes / n : 0);
        pthread_mutex_unlock(&c->parts[i].lock);
    }
}

/* --- for services --- */
static void digest(void *data, pl_str bytes, gql_cache_key *out)
{
    (void)data;
    SHA256((const unsigned char *)bytes.ptr, bytes.len, out->bytes);
}

static part *part_of(pl_response_cache *c, const gql_cache_key *key)
{
    unsigned n = atomic_load(&c->part_count);
    return n ? &c->parts[key->bytes[GQL_CACHE_KEY - 1] % n] : NULL;
}

static gql_cached *get(void *data, const gql_cache_key *key, uint64_t now)
{
    pl_response_cache *c = data;
    part *p = part_of(c, key);
    if (!p)
        return NULL;
    pthread_mutex_lock(&p->lock);
    gql_cached *found = gql_store_get(p->store, key, now);
    pthread_mutex_unlock(&p->lock);
    return found;
}

static uint64_t mark(void *data)
{
    pl_response_cache *c = data;
    return atomic_load(&c->notes.count);
}

static void count(void *data, gql_cache_event event)
{
    pl_response_cache *c = data;
    atomic_fetch_add_explicit(&c->lookups[event], 1, memory_order_relaxed);
}

static bool has_tag(const gql_cache_tags *tags, uint64_t tag)
{
    size_t low = 0, high = tags->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tags->items[middle] == tag)
            return true;
        if (tags->items[middle] < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool purged_since(notes *n, const gql_cache_tags *tags, uint64_t since)
{
    pthread_mutex_lock(&n->lock);
    uint64_t total = atomic_load(&n->count);
    bool purged = total - since > NOTED || n->all > since; /* too many to tell; everything */
    for (uint64_t i = since; !purged && i < total; i++)
        purged = has_tag(tags, n->tags[i % NOTED]);
    pthread_mutex_unlock(&n->lock);
    return purged;
}

/* A purge takes note first and goes through the parts then: if it is not seen here, it has this part's lock
 * later, and finds the entry. */
static void put(void *data, uint64_t generation, const gql_cache_key *key, gql_cached *cached,
                const gql_cache_tags *tags, uint64_t since, uint64_t now)
{
    pl_response_cache *c = data;
    part *p = part_of(c, key);
    bool ok = false;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    if (generation == atomic_load(&c->generation) && !purged_since(&c->notes, tags, since))
        ok = gql_store_put(p->store, key, cached, tags->items, tags->count, now);
    pthread_mutex_unlock(&p->lock);
    atomic_fetch_add_explicit(ok ? &c->stored : &c->refused, 1, memory_order_relaxed);
}

gql_cache_storage pl_response_cache_storage(pl_response_cache *cache, uint64_t generation)
{
    return (gql_cache_storage){.data = cache,
                               .generation = generation,
                               .digest = digest,
                               .get = get,
                               .mark = mark,
                               .put = put,
                               .count = count};
}

/* --- purges --- */
size_t pl_response_cache_purge(pl_response_cache *c, const gql_cache_tags *tags)
{
    size_t dropped = 0;
    pthread_mutex_lock(&c->notes.lock);
    uint64_t total = atomic_load(&c->notes.count);
    for (size_t i = 0; i < tags->count; i++)
        c->notes.tags[(total + i) % NOTED] = tags->items[i];
    atomic_store(&c->notes.count, total + tags->count);
    pthread_mutex_unlock(&c->notes.lock);
    for (int i = 0; i < MAX_PARTS; i++) {
        pthread_mutex_lock(&c->parts[i].lock);
        dropped += gql_store_purge(c->parts[i].store, tags->items, tags->count);
        pthread_mutex_unlock(&c->parts[i].lock);
    }
    atomic_fetch_add_explicit(&c->purged, dropped, memory_order_relaxed);
    return dropped;
}

size_t pl_response_cache_purge_all(pl_response_cache *c)
{
    size_t dropped = 0;
    pthread_mutex_lock(&c->notes.lock);
    c->notes.all = atomic_load(&c->notes.count) + 1;
    atomic_store(&c->notes.count, c->notes.all);
    c->notes.tags[(c->notes.all - 1) % NOTED] = 0;
    pthread_mutex_unlock(&c->notes.lock);
    for (int i = 0; i < MAX_PARTS; i++) {
        pthread_mutex_lock(&c->parts[i].lock);
        dropped += gql_store_clear(c->parts[i].store);
        pthread_mutex_unlock(&c->parts[i].lock);
    }
    atomic_fetch_add_explicit(&c->purged, dropped, memory_order_relaxed);
    return dropped;
}

pl_response_cache_stats pl_response_cache_get_stats(pl_response_cache *c)
{
    pl_response_cache_stats stats = {.hits = atomic_load(&c->lookups[GQL_CACHE_HIT]),
                                     .misses = atomic_load(&c->lookups[GQL_CACHE_MISS]),
                                     .joined = atomic_load(&c->lookups[GQL_CACHE_JOINED]),
                                     .stored = atomic_load(&c->stored),
                                     .refused = atomic_load(&c->refused),
                                     .purged = atomic_load(&c->purged)};
    for (int i = 0; i < MAX_PARTS; i++) {
        pthread_mutex_lock(&c->parts[i].lock);
        gql_store_stats s = gql_store_get_stats(c->parts[i].store);
        pthread_mutex_unlock(&c->parts[i].lock);
        stats.entries += s.entries;
        stats.bytes += s.bytes;
        stats.max_bytes += s.max_bytes;
        stats.evicted += s.evicted;
        stats.expired += s.expired;
    }
    return stats;
}
