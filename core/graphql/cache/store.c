/* SPDX-License-Identifier: MIT */
#include "graphql/cache/store.h"

#include <string.h>

#include "base/alloc.h"

/* Two chained tables that grow with what is in them: entries by key, and tags. An entry has a link for each
 * of its tags, which is in the tag's list of links; a tag without links is freed. */
typedef struct entry entry;
typedef struct tag tag;
typedef struct link {
    entry *entry;
    tag *tag;
    struct link *next, *prev;
} link;
struct tag {
    uint64_t value;
    tag *chain;
    link *links;
};
struct entry {
    gql_cache_key key;
    gql_cached *cached;
    size_t size;
    entry *chain;
    entry *newer, *older; /* by last use */
    size_t link_count;
    link links[];
};

typedef struct table {
    void **buckets;
    size_t count, size; /* size: a power of two */
} table;

struct gql_store {
    size_t max_bytes, bytes;
    table keys, tags;
    entry *newest, *oldest;
    entry *hand; /* where the next look for expired entries begins */
    uint64_t evicted, expired;
};

#define FIRST_SIZE 64

/* --- responses --- */
gql_cached *gql_cached_new(pl_str body, uint32_t max_age, bool is_private, uint64_t now)
{
    gql_cached *c = pl_malloc(sizeof *c + body.len);
    if (!c)
        return NULL;
    char *bytes = (char *)(c + 1);
    if (body.len > 0)
        memcpy(bytes, body.ptr, body.len);
    *c = (gql_cached){.body = {bytes, body.len}, .max_age = max_age, .is_private = is_private, .stored = now};
    atomic_init(&c->refs, 1);
    return c;
}

gql_cached *gql_cached_ref(gql_cached *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void gql_cached_unref(gql_cached *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        pl_free(c);
}

/* --- tables --- */
static size_t key_hash(const gql_cache_key *key)
{
    size_t h;
    memcpy(&h, key->bytes, sizeof h); /* a digest is as good as any hash of it */
    return h;
}

static size_t tag_hash(uint64_t value)
{
    return (size_t)(value * 0x9E3779B97F4A7C15u >> 16);
}

static entry **key_place(gql_store *s, const gql_cache_key *key)
{
    entry **at = (entry **)&s->keys.buckets[key_hash(key) & (s->keys.size - 1)];
    while (*at && memcmp((*at)->key.bytes, key->bytes, GQL_CACHE_KEY) != 0)
        at = &(*at)->chain;
    return at;
}

static tag **tag_place(gql_store *s, uint64_t value)
{
    tag **at = (tag **)&s->tags.buckets[tag_hash(value) & (s->tags.size - 1)];
    while (*at && (*at)->value != value)
        at = &(*at)->chain;
    return at;
}

/* A table that cannot grow gets slower, no more. */
static void **larger(const table *t)
{
    return t->count < t->size ? NULL : pl_calloc(t->size * 2, sizeof(void *));
}

static void grow_keys(gql_store *s)
{
    table old = s->keys;
    void **buckets = larger(&old);
    if (!buckets)
        return;
    s->keys = (table){buckets, old.count, old.size * 2};
    for (size_t i = 0; i < old.size; i++) {
        for (entry *e = old.buckets[i], *next; e; e = next) {
            next = e->chain;
            void **bucket = &buckets[key_hash(&e->key) & (s->keys.size - 1)];
            e->chain = *bucket;
            *bucket = e;
        }
    }
    pl_free(old.buckets);
}

static void grow_tags(gql_store *s)
{
    table old = s->tags;
    void **buckets = larger(&old);
    if (!buckets)
        return;
    s->tags = (table){buckets, old.count, old.size * 2};
    for (size_t i = 0; i < old.size; i++) {
        for (tag *t = old.buckets[i], *next; t; t = next) {
            next = t->chain;
            void **bucket = &buckets[tag_hash(t->value) & (s->tags.size - 1)];
            t->chain = *bucket;
            *bucket = t;
        }
    }
    pl_free(old.buckets);
}

/* --- by last use --- */
static void use_add(gql_store *s, entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static void use_remove(gql_store *s, entry *e)
{
    if (s->hand == e)
        s->hand = e->newer;
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
}

/* --- tags of an entry --- */
static bool link_tag(gql_store *s, entry *e, uint64_t value)
{
    tag **at = tag_place(s, value);
    if (!*at) {
        tag *made = pl_calloc(1, sizeof *made);
        if (!made)
            return false;
        made->value = value;
        *at = made;
        s->tags.count++;
        s->bytes += sizeof *made;
    }
    link *l = &e->links[e->link_count++];
    *l = (link){.entry = e, .tag = *at, .next = (*at)->links};
    if (l->next)
        l->next->prev = l;
    l->tag->links = l;
    grow_tags(s);
    return true;
}

static void unlink_tag(gql_store *s, link *l)
{
    *(l->prev ? &l->prev->next : &l->tag->links) = l->next;
    if (l->next)
        l->next->prev = l->prev;
    if (l->tag->links)
        return;
    tag **at = tag_place(s, l->tag->value);
    *at = l->tag->chain;
    pl_free(l->tag);
    s->tags.count--;
    s->bytes -= sizeof *l->tag;
}

static void drop_links(gql_store *s, entry *e)
{
    while (e->link_count > 0)
        unlink_tag(s, &e->links[--e->link_count]);
}

static void drop(gql_store *s, entry *e)
{
    entry **at = key_place(s, &e->key);
    *at = e->chain;
    s->keys.count--;
    use_remove(s, e);
    drop_links(s, e);
    s->bytes -= e->size;
    gql_cached_unref(e->cached);
    pl_free(e);
}

/* --- the store --- */
gql_store *gql_store_new(size_t max_bytes)
{
    gql_store *s = pl_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->max_bytes = max_bytes;
    s->keys = (table){pl_calloc(FIRST_SIZE, sizeof(void *)), 0, FIRST_SIZE};
    s->tags = (table){pl_calloc(FIRST_SIZE, sizeof(void *)), 0, FIRST_SIZE};
    if (s->keys.buckets && s->tags.buckets)
        return s;
    gql_store_free(s);
    return NULL;
}

size_t gql_store_clear(gql_store *s)
{
    size_t count = s->keys.count;
    while (s->oldest)
        drop(s, s->oldest);
    return count;
}

void gql_store_free(gql_store *s)
{
    if (!s)
        return;
    gql_store_clear(s);
    pl_free(s->keys.buckets);
    pl_free(s->tags.buckets);
    pl_free(s);
}

gql_cached *gql_store_get(gql_store *s, const gql_cache_key *key, uint64_t now)
{
    entry *e = *key_place(s, key);
    if (!e)
        return NULL;
    if (!gql_cached_is_fresh(e->cached, now)) {
        s->expired++;
        drop(s, e);
        return NULL;
    }
    use_remove(s, e);
    use_add(s, e);
    return gql_cached_ref(e->cached);
}

/* Each new entry pays for a look at a few old ones, so that what has expired does not wait for being asked
 * for. */
static void sweep(gql_store *s, uint64_t now)
{
    for (int i = 0; i < 4; i++) {
        entry *e = s->hand ? s->hand : s->oldest;
        if (!e)
            return;
        s->hand = e->newer;
        if (gql_cached_is_fresh(e->cached, now))
            continue;
        s->expired++;
        drop(s, e);
    }
}

static void make_room(gql_store *s, size_t size)
{
    while (s->oldest && s->bytes + size > s->max_bytes) {
        s->evicted++;
        drop(s, s->oldest);
    }
}

bool gql_store_put(gql_store *s, const gql_cache_key *key, gql_cached *cached, const uint64_t *tags,
                   size_t count, uint64_t now)
{
    /* What it takes at most: the tags may be there already. Twice a pointer for its place in the tables. */
    size_t fixed = sizeof(entry) + count * sizeof(link) + sizeof *cached + cached->body.len +
                   2 * (count + 1) * sizeof(void *);
    size_t most = fixed + count * sizeof(tag);
    entry *old = *key_place(s, key);
    if (old)
        drop(s, old);
    if (most > s->max_bytes / 8)
        return false;
    entry *e = pl_malloc(sizeof *e + count * sizeof(link));
    if (!e)
        return false;
    sweep(s, now);
    make_room(s, most);
    *e = (entry){.key = *key, .cached = cached, .size = fixed};
    for (size_t i = 0; i < count; i++) {
        if (link_tag(s, e, tags[i]))
            continue;
        drop_links(s, e);
        pl_free(e);
        return false;
    }
    gql_cached_ref(cached);
    entry **at = key_place(s, key);
    *at = e;
    s->keys.count++;
    s->bytes += fixed;
    use_add(s, e);
    grow_keys(s);
    return true;
}

size_t gql_store_purge(gql_store *s, const uint64_t *tags, size_t count)
{
    size_t dropped = 0;
    for (size_t i = 0; i < count; i++) {
        for (tag *t; (t = *tag_place(s, tags[i])); dropped++)
            drop(s, t->links->entry); /* the tag goes with its last entry */
    }
    return dropped;
}

void gql_store_resize(gql_store *s, size_t max_bytes)
{
    s->max_bytes = max_bytes;
    make_room(s, 0);
}

gql_store_stats gql_store_get_stats(const gql_store *s)
{
    return (gql_store_stats){.entries = s->keys.count,
                             .bytes = s->bytes,
                             .max_bytes = s->max_bytes,
                             .evicted = s->evicted,
                             .expired = s->expired};
}
