/* SPDX-License-Identifier: MIT */
#include "value/compiled.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/map.h"

#define DEFAULT_LIMIT ((size_t)64 << 20)

struct pl_compiled {
    atomic_uint refs;
    bool used; /* since the last sweep; the cache's, under its lock */
    pl_str name, text, code;
    char bytes[];
};

struct pl_compiled_cache {
    pthread_mutex_t lock;
    pl_map entries; /* name → pl_compiled * */
    size_t held, limit;
};

static size_t size_of(const pl_compiled *c)
{
    return c->name.len + c->text.len + c->code.len;
}

pl_compiled_cache *pl_compiled_cache_new(size_t limit)
{
    pl_compiled_cache *cache = pl_calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    pthread_mutex_init(&cache->lock, NULL);
    pl_map_init(&cache->entries);
    cache->limit = limit ? limit : DEFAULT_LIMIT;
    return cache;
}

void pl_compiled_cache_free(pl_compiled_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < cache->entries.count; i++)
        pl_compiled_unref(cache->entries.entries[i].value);
    pl_map_dispose(&cache->entries);
    pthread_mutex_destroy(&cache->lock);
    pl_free(cache);
}

pl_compiled *pl_compiled_find(pl_compiled_cache *cache, pl_str name, pl_str text)
{
    pthread_mutex_lock(&cache->lock);
    pl_compiled *found = pl_map_get(&cache->entries, name);
    if (found && pl_str_eq(found->text, text)) {
        found->used = true;
        atomic_fetch_add(&found->refs, 1);
    } else {
        found = NULL;
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

pl_str pl_compiled_code(const pl_compiled *compiled)
{
    return compiled->code;
}

void pl_compiled_unref(pl_compiled *compiled)
{
    if (atomic_fetch_sub(&compiled->refs, 1) == 1)
        pl_free(compiled);
}

static pl_str copy(char **at, pl_str s)
{
    pl_str copied = {*at, s.len};
    if (s.len > 0)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copied;
}

static pl_compiled *compiled_new(pl_str name, pl_str text, pl_str code)
{
    pl_compiled *c = pl_malloc(sizeof *c + name.len + text.len + code.len);
    if (!c)
        return NULL;
    char *at = c->bytes;
    atomic_init(&c->refs, 1);
    c->used = true;
    c->name = copy(&at, name);
    c->text = copy(&at, text);
    c->code = copy(&at, code);
    return c;
}

static void forget(pl_compiled_cache *cache, pl_compiled *c)
{
    pl_map_remove(&cache->entries, c->name);
    cache->held -= size_of(c);
    pl_compiled_unref(c);
}

void pl_compiled_keep(pl_compiled_cache *cache, pl_str name, pl_str text, pl_str code)
{
    pl_compiled *fresh = compiled_new(name, text, code);
    if (!fresh)
        return;
    pthread_mutex_lock(&cache->lock);
    pl_compiled *earlier = pl_map_get(&cache->entries, name);
    if (earlier)
        forget(cache, earlier); /* its key goes with it */
    bool kept =
        size_of(fresh) <= cache->limit - cache->held && pl_map_set(&cache->entries, fresh->name, fresh);
    if (kept)
        cache->held += size_of(fresh);
    pthread_mutex_unlock(&cache->lock);
    if (!kept)
        pl_compiled_unref(fresh);
}

void pl_compiled_sweep(pl_compiled_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    for (size_t i = cache->entries.count; i-- > 0;) { /* from the end: the last one moves into a hole */
        pl_compiled *c = cache->entries.entries[i].value;
        if (!c->used)
            forget(cache, c);
        else
            c->used = false;
    }
    pthread_mutex_unlock(&cache->lock);
}
