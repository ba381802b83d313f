/* SPDX-License-Identifier: MIT */
#include "events/registry/cache.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/map.h"

typedef struct entry entry;
struct entry {
    entry *newer, *older;
    size_t size;
    uint64_t until; /* 0: for good */
    pl_str key;
    pl_schema_answer answer;
    char bytes[];
};

struct pl_schema_cache {
    pl_thing thing; /* first */
    pthread_mutex_t lock;
    pl_map entries;
    entry *oldest, *newest;
    size_t bytes;
};

static void dispose(pl_thing *thing)
{
    pl_schema_cache *c = (pl_schema_cache *)thing;
    while (c->oldest) {
        entry *e = c->oldest;
        c->oldest = e->newer;
        pl_free(e);
    }
    pl_map_dispose(&c->entries);
    pthread_mutex_destroy(&c->lock);
    pl_free(c);
}

static pl_thing *make(void *arg)
{
    pl_schema_cache *c = pl_calloc(1, sizeof *c);
    (void)arg;
    if (!c)
        return NULL;
    c->thing.dispose = dispose;
    pthread_mutex_init(&c->lock, NULL);
    return &c->thing;
}

pl_schema_cache *pl_schema_cache_get(pl_registry *registry, pl_str name, pl_error *err)
{
    return (pl_schema_cache *)pl_registry_get(registry, "schemas", name, make, NULL, err);
}

void pl_schema_cache_release(pl_registry *registry, pl_schema_cache *cache)
{
    if (cache)
        pl_registry_release(registry, &cache->thing);
}

/* --- entries --- */
static pl_str put_string(char **at, pl_str s)
{
    pl_str copy = {s.ptr ? *at : NULL, s.len};
    if (s.len > 0)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

static entry *new_entry(pl_str key, const pl_schema_answer *a, uint64_t until)
{
    size_t size = sizeof(entry) + key.len + a->text.len + a->why.len;
    entry *e = pl_malloc(size);
    if (!e)
        return NULL;
    char *at = e->bytes;
    *e = (entry){.size = size, .until = until, .answer = *a};
    e->key = put_string(&at, key);
    e->answer.text = put_string(&at, a->text);
    e->answer.why = put_string(&at, a->why);
    return e;
}

static void drop(pl_schema_cache *c, entry *e)
{
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    pl_map_remove(&c->entries, e->key);
    c->bytes -= e->size;
    pl_free(e);
}

static bool add(pl_schema_cache *c, entry *e)
{
    entry *before = pl_map_get(&c->entries, e->key);
    if (before)
        drop(c, before);
    if (!pl_map_set(&c->entries, e->key, e))
        return false;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
    c->bytes += e->size;
    return true;
}

void pl_schema_cache_put(pl_schema_cache *c, pl_str key, const pl_schema_answer *answer, uint64_t now,
                         uint64_t ttl)
{
    entry *e = new_entry(key, answer, ttl ? now + ttl : 0);
    if (!e)
        return;
    pthread_mutex_lock(&c->lock);
    bool added = e->size <= PL_SCHEMA_CACHE_BYTES && add(c, e);
    while (c->bytes > PL_SCHEMA_CACHE_BYTES || c->entries.count > PL_SCHEMA_CACHE_ENTRIES)
        drop(c, c->oldest);
    pthread_mutex_unlock(&c->lock);
    if (!added)
        pl_free(e);
}

bool pl_schema_cache_find(pl_schema_cache *c, pl_str key, uint64_t now, pl_arena *arena,
                          pl_schema_answer *out)
{
    pthread_mutex_lock(&c->lock);
    const entry *e = pl_map_get(&c->entries, key);
    bool found = e && (e->until == 0 || e->until > now);
    if (found) {
        *out = e->answer;
        out->text = e->answer.text.ptr ? pl_arena_str(arena, e->answer.text) : PL_STR_NONE;
        out->why = e->answer.why.ptr ? pl_arena_str(arena, e->answer.why) : PL_STR_NONE;
        found = (!e->answer.text.ptr || out->text.ptr) && (!e->answer.why.ptr || out->why.ptr);
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}
