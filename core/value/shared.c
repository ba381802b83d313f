/* SPDX-License-Identifier: MIT */
#include "value/shared.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/timer.h"
#include "value/registry.h"

/* A dictionary is split into parts by key hash. A part has a lock, a hash table, a list of its entries from
 * the most to the least recently used, and a heap of those that expire. No function holds two locks.
 *
 * Memory is counted for the whole dictionary in `used`, in two moves: a writer first adds what it is going to
 * need and, while that is beyond the capacity, frees entries (all expired ones, then the least recently
 * used); only then does it insert. So the bound holds whatever the others do meanwhile. Which part has the
 * entry that was not used for the longest time is read from hints, without the locks. */

#define PARTS 16
#define MOST_DICTS 256
#define DEFAULT_CAPACITY ((size_t)16 << 20)
#define LEAST_BUCKETS 16

typedef struct entry entry;
typedef struct part part;
struct entry {
    pl_timer timer; /* in part->expiries while it has a time to live */
    part *part;
    entry *chain;
    entry *newer, *older;
    uint64_t hash;
    uint64_t used; /* when, by the callers' clock */
    size_t size;   /* as counted in used */
    pl_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        size_t len; /* of a string: its bytes follow the key's */
    };
    size_t key_len;
    char bytes[];
};

struct part {
    pthread_mutex_t lock;
    pl_shared_dict *dict;
    entry **buckets;
    size_t bucket_count, count;
    entry *newest, *oldest;
    pl_timers expiries;
    /* Hints for those who do not hold the lock: */
    atomic_uint_fast64_t next_expiry;
    atomic_uint_fast64_t least_used; /* of the oldest entry; the largest number when there is none */
};

struct pl_shared_dict {
    pl_str name;
    size_t capacity;
    atomic_size_t used;
    atomic_uint_fast64_t evictions;
    atomic_uint hand; /* the part that gives up an entry next, of those whose oldest are of the same age */
    part parts[PARTS];
    char name_bytes[];
};

struct pl_shared {
    pthread_mutex_t lock;
    pl_registry *registry;
    size_t default_capacity;
    size_t count;
    pl_shared_dict *dicts[MOST_DICTS];
};

/* --- entries of a part; its lock is held --- */

static entry **find(part *p, pl_str key, uint64_t hash)
{
    if (p->bucket_count == 0)
        return NULL;
    entry **link = &p->buckets[hash & (p->bucket_count - 1)];
    while (*link && ((*link)->hash != hash || !pl_str_eq((pl_str){(*link)->bytes, (*link)->key_len}, key)))
        link = &(*link)->chain;
    return *link ? link : NULL;
}

static void note_oldest(part *p)
{
    atomic_store_explicit(&p->least_used, p->oldest ? p->oldest->used : UINT64_MAX, memory_order_relaxed);
}

static void list_unlink(part *p, entry *e)
{
    *(e->newer ? &e->newer->older : &p->newest) = e->older;
    *(e->older ? &e->older->newer : &p->oldest) = e->newer;
    note_oldest(p);
}

static void list_push(part *p, entry *e, uint64_t now)
{
    e->used = now;
    e->newer = NULL;
    e->older = p->newest;
    *(p->newest ? &p->newest->newer : &p->oldest) = e;
    p->newest = e;
    note_oldest(p);
}

static void touch(part *p, entry *e, uint64_t now)
{
    list_unlink(p, e);
    list_push(p, e, now);
}

static void update_hint(part *p)
{
    atomic_store_explicit(&p->next_expiry, pl_timers_next(&p->expiries), memory_order_relaxed);
}

/* Takes the entry that *link points to out of the part and frees it. */
static void drop(part *p, entry **link)
{
    entry *e = *link;
    *link = e->chain;
    list_unlink(p, e);
    p->count--;
    if (e->timer.index != 0) {
        pl_timers_stop(&p->expiries, &e->timer);
        update_hint(p);
    }
    atomic_fetch_sub(&p->dict->used, e->size);
    pl_free(e);
}

static void drop_entry(part *p, entry *e)
{
    entry **link = &p->buckets[e->hash & (p->bucket_count - 1)];
    while (*link != e)
        link = &(*link)->chain;
    drop(p, link);
}

static void on_expiry(pl_timer *timer)
{
    entry *e = (entry *)timer;
    drop_entry(e->part, e);
}

static bool is_expired(const entry *e, uint64_t now)
{
    return e->timer.index != 0 && e->timer.at <= now;
}

/* The live entry, or NULL; an expired one is dropped. */
static entry *find_live(part *p, pl_str key, uint64_t hash, uint64_t now)
{
    entry **link = find(p, key, hash);
    if (!link)
        return NULL;
    if (is_expired(*link, now)) {
        drop(p, link);
        return NULL;
    }
    touch(p, *link, now);
    return *link;
}

/* Doubles the table when it is full; false: there is none at all. A table that cannot grow only becomes
 * slower. */
static bool make_buckets(part *p)
{
    if (p->count < p->bucket_count)
        return true;
    size_t count = p->bucket_count ? p->bucket_count * 2 : LEAST_BUCKETS;
    entry **buckets = pl_calloc(count, sizeof(*buckets));
    if (!buckets)
        return p->bucket_count > 0;
    for (entry *e = p->newest; e; e = e->older) {
        entry **head = &buckets[e->hash & (count - 1)];
        e->chain = *head;
        *head = e;
    }
    pl_free(p->buckets);
    p->buckets = buckets;
    p->bucket_count = count;
    return true;
}

static bool set_expiry(part *p, entry *e, uint64_t now, uint64_t ttl)
{
    if (ttl == 0)
        return true;
    e->timer.fire = on_expiry;
    if (pl_timers_start(&p->expiries, &e->timer, now > UINT64_MAX - ttl ? UINT64_MAX : now + ttl) != 0)
        return false;
    update_hint(p);
    return true;
}

/* Links e into the part; false: memory, and nothing has changed. */
static bool insert(part *p, entry *e, uint64_t now, uint64_t ttl)
{
    if (!make_buckets(p) || !set_expiry(p, e, now, ttl))
        return false;
    entry **head = &p->buckets[e->hash & (p->bucket_count - 1)];
    e->chain = *head;
    *head = e;
    list_push(p, e, now);
    p->count++;
    return true;
}

/* --- memory; no lock is held --- */

static bool over(const pl_shared_dict *dict)
{
    return atomic_load_explicit(&dict->used, memory_order_relaxed) > dict->capacity;
}

static void drop_expired(pl_shared_dict *dict, uint64_t now)
{
    for (int i = 0; i < PARTS; i++) {
        part *p = &dict->parts[i];
        if (atomic_load_explicit(&p->next_expiry, memory_order_relaxed) > now)
            continue;
        pthread_mutex_lock(&p->lock);
        pl_timers_run(&p->expiries, now);
        update_hint(p);
        pthread_mutex_unlock(&p->lock);
    }
}

static part *stalest(pl_shared_dict *dict)
{
    unsigned start = atomic_fetch_add_explicit(&dict->hand, 1, memory_order_relaxed);
    part *found = NULL;
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < PARTS; i++) {
        part *p = &dict->parts[(start + i) % PARTS];
        uint64_t used = atomic_load_explicit(&p->least_used, memory_order_relaxed);
        if (used < least) {
            least = used;
            found = p;
        }
    }
    return found;
}

/* Takes size bytes of the capacity, at the cost of other entries. */
static void reserve(pl_shared_dict *dict, size_t size, uint64_t now)
{
    atomic_fetch_add(&dict->used, size);
    if (!over(dict))
        return;
    drop_expired(dict, now);
    part *p;
    while (over(dict) && (p = stalest(dict)) != NULL) { /* NULL: what there is, others have just reserved */
        pthread_mutex_lock(&p->lock);
        if (p->oldest) {
            drop_entry(p, p->oldest);
            atomic_fetch_add(&dict->evictions, 1);
        }
        pthread_mutex_unlock(&p->lock);
    }
}

static void release(pl_shared_dict *dict, size_t size)
{
    atomic_fetch_sub(&dict->used, size);
}

/* --- values --- */

static void store(entry *e, const pl_value *v)
{
    e->kind = v->kind;
    switch (v->kind) {
    case PL_KIND_BOOL:
        e->boolean = v->boolean;
        break;
    case PL_KIND_INT:
        e->integer = v->integer;
        break;
    case PL_KIND_FLOAT:
        e->number = v->number;
        break;
    default:
        e->len = v->string.len;
        if (e->len > 0)
            memcpy(e->bytes + e->key_len, v->string.ptr, e->len);
    }
}

static pl_code fetch(const entry *e, pl_arena *arena, pl_value *out)
{
    *out = (pl_value){.kind = e->kind};
    switch (e->kind) {
    case PL_KIND_BOOL:
        out->boolean = e->boolean;
        break;
    case PL_KIND_INT:
        out->integer = e->integer;
        break;
    case PL_KIND_FLOAT:
        out->number = e->number;
        break;
    default:
        out->string = pl_arena_str(arena, (pl_str){e->bytes + e->key_len, e->len});
        if (!out->string.ptr)
            return PL_RESOURCE_EXHAUSTED;
    }
    return PL_OK;
}

static part *part_of(pl_shared_dict *dict, uint64_t hash)
{
    return &dict->parts[hash >> 60];
}

/* A new entry that is in no part yet, its memory taken from the capacity. */
static pl_code make(pl_shared_dict *dict, pl_str key, uint64_t hash, const pl_value *value, uint64_t now,
                    entry **out)
{
    if (value->kind < PL_KIND_BOOL || value->kind > PL_KIND_STRING)
        return PL_INVALID_ARGUMENT;
    size_t len = value->kind == PL_KIND_STRING ? value->string.len : 0, most = dict->capacity / 8;
    if (key.len > most || len > most - key.len)
        return PL_RESOURCE_EXHAUSTED;
    size_t size = sizeof(entry) + key.len + len + 2 * sizeof(void *); /* with its share of the tables */
    reserve(dict, size, now);
    entry *e = pl_malloc(sizeof(entry) + key.len + len);
    if (!e) {
        release(dict, size);
        return PL_RESOURCE_EXHAUSTED;
    }
    *e = (entry){.part = part_of(dict, hash), .hash = hash, .size = size, .key_len = key.len};
    if (key.len > 0)
        memcpy(e->bytes, key.ptr, key.len);
    store(e, value);
    *out = e;
    return PL_OK;
}

static void discard(pl_shared_dict *dict, entry *e)
{
    release(dict, e->size);
    pl_free(e);
}

static pl_code put(pl_shared_dict *dict, pl_str key, const pl_value *value, uint64_t now, uint64_t ttl,
                   bool only_new)
{
    uint64_t hash = pl_hash(key.ptr, key.len);
    entry *e;
    pl_code code = make(dict, key, hash, value, now, &e);
    if (code)
        return code;
    part *p = e->part;
    pthread_mutex_lock(&p->lock);
    entry *old = find_live(p, key, hash, now);
    if (old && only_new)
        code = PL_ALREADY_EXISTS;
    else if (!insert(p, e, now, ttl))
        code = PL_RESOURCE_EXHAUSTED;
    else if (old)
        drop_entry(p, old);
    pthread_mutex_unlock(&p->lock);
    if (code)
        discard(dict, e);
    return code;
}

/* --- public --- */

pl_code pl_shared_set(pl_shared_dict *dict, pl_str key, const pl_value *value, uint64_t now, uint64_t ttl)
{
    return put(dict, key, value, now, ttl, false);
}

pl_code pl_shared_add(pl_shared_dict *dict, pl_str key, const pl_value *value, uint64_t now, uint64_t ttl)
{
    /* A look first: what is going to be refused should not push out other entries. */
    uint64_t hash = pl_hash(key.ptr, key.len);
    part *p = part_of(dict, hash);
    pthread_mutex_lock(&p->lock);
    bool there = find_live(p, key, hash, now) != NULL;
    pthread_mutex_unlock(&p->lock);
    return there ? PL_ALREADY_EXISTS : put(dict, key, value, now, ttl, true);
}

pl_code pl_shared_get(pl_shared_dict *dict, pl_str key, uint64_t now, pl_arena *arena, pl_value *out)
{
    uint64_t hash = pl_hash(key.ptr, key.len);
    part *p = part_of(dict, hash);
    pthread_mutex_lock(&p->lock);
    const entry *e = find_live(p, key, hash, now);
    pl_code code = e ? fetch(e, arena, out) : PL_NOT_FOUND;
    pthread_mutex_unlock(&p->lock);
    return code;
}

static bool is_number(const pl_value *v)
{
    return v->kind == PL_KIND_INT || v->kind == PL_KIND_FLOAT;
}

static double as_double(const pl_value *v)
{
    return v->kind == PL_KIND_INT ? (double)v->integer : v->number;
}

/* *sum = a + b: an integer when both are. */
static pl_code add_numbers(const pl_value *a, const pl_value *b, pl_value *sum)
{
    if (!is_number(a) || !is_number(b))
        return PL_FAILED_PRECONDITION;
    if (a->kind == PL_KIND_INT && b->kind == PL_KIND_INT) {
        int64_t total;
        if (__builtin_add_overflow(a->integer, b->integer, &total))
            return PL_OUT_OF_RANGE;
        *sum = (pl_value){.kind = PL_KIND_INT, .integer = total};
    } else {
        *sum = (pl_value){.kind = PL_KIND_FLOAT, .number = as_double(a) + as_double(b)};
    }
    return PL_OK;
}

/* Adds to the entry where there is one: NOT_FOUND otherwise. */
static pl_code incr_existing(pl_shared_dict *dict, pl_str key, uint64_t hash, const pl_value *by,
                             uint64_t now, pl_value *out)
{
    part *p = part_of(dict, hash);
    pthread_mutex_lock(&p->lock);
    entry *e = find_live(p, key, hash, now);
    pl_code code = PL_NOT_FOUND;
    if (e) {
        pl_value before = {.kind = e->kind};
        if (e->kind == PL_KIND_INT)
            before.integer = e->integer;
        else if (e->kind == PL_KIND_FLOAT)
            before.number = e->number;
        code = add_numbers(&before, by, out);
        if (!code)
            store(e, out);
    }
    pthread_mutex_unlock(&p->lock);
    return code;
}

pl_code pl_shared_incr(pl_shared_dict *dict, pl_str key, const pl_value *by, const pl_value *initial,
                       uint64_t now, uint64_t ttl, pl_value *out)
{
    static const pl_value zero = {.kind = PL_KIND_INT};
    if (!is_number(by) || (initial && !is_number(initial)))
        return PL_INVALID_ARGUMENT;
    uint64_t hash = pl_hash(key.ptr, key.len);
    for (;;) {
        pl_code code = incr_existing(dict, key, hash, by, now, out);
        if (code != PL_NOT_FOUND)
            return code;
        code = add_numbers(initial ? initial : &zero, by, out);
        if (!code)
            code = put(dict, key, out, now, ttl, true);
        if (code != PL_ALREADY_EXISTS) /* else another thread was quicker: add to its entry */
            return code;
    }
}

static void live_until(part *p, entry *e, uint64_t now, uint64_t ttl)
{
    if (e->timer.index != 0)
        pl_timers_stop(&p->expiries, &e->timer);
    if (!set_expiry(p, e, now, ttl)) /* no memory: it stays until it is the least recently used */
        update_hint(p);
}

static pl_code update_existing(pl_shared_dict *dict, pl_str key, uint64_t hash, uint64_t now,
                               pl_shared_change *change, void *data)
{
    part *p = part_of(dict, hash);
    pthread_mutex_lock(&p->lock);
    entry *e = find_live(p, key, hash, now);
    if (e && e->kind == PL_KIND_STRING) { /* has no room for a number in its size */
        drop_entry(p, e);
        e = NULL;
    }
    pl_code code = e ? PL_OK : PL_NOT_FOUND;
    if (e) {
        double number = e->kind == PL_KIND_FLOAT ? e->number
                        : e->kind == PL_KIND_INT ? (double)e->integer
                                                 : 0;
        uint64_t ttl = 0;
        if (change(data, &number, &ttl)) {
            store(e, &(pl_value){.kind = PL_KIND_FLOAT, .number = number});
            live_until(p, e, now, ttl);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return code;
}

pl_code pl_shared_update(pl_shared_dict *dict, pl_str key, uint64_t now, pl_shared_change *change, void *data)
{
    static const pl_value zero = {.kind = PL_KIND_FLOAT};
    enum { A_MOMENT = 1000 };
    uint64_t hash = pl_hash(key.ptr, key.len);
    for (;;) {
        pl_code code = update_existing(dict, key, hash, now, change, data);
        if (code != PL_NOT_FOUND)
            return code;
        code = put(dict, key, &zero, now, A_MOMENT, true);
        if (code && code != PL_ALREADY_EXISTS)
            return code;
    }
}

bool pl_shared_delete(pl_shared_dict *dict, pl_str key)
{
    uint64_t hash = pl_hash(key.ptr, key.len);
    part *p = part_of(dict, hash);
    pthread_mutex_lock(&p->lock);
    entry **link = find(p, key, hash);
    if (link)
        drop(p, link);
    pthread_mutex_unlock(&p->lock);
    return link != NULL;
}

static void clear_part(part *p)
{
    while (p->oldest)
        drop_entry(p, p->oldest);
}

void pl_shared_clear(pl_shared_dict *dict)
{
    for (int i = 0; i < PARTS; i++) {
        part *p = &dict->parts[i];
        pthread_mutex_lock(&p->lock);
        clear_part(p);
        pthread_mutex_unlock(&p->lock);
    }
}

pl_shared_stats pl_shared_dict_stats(pl_shared_dict *dict)
{
    pl_shared_stats stats = {.bytes = atomic_load(&dict->used),
                             .capacity = dict->capacity,
                             .evictions = atomic_load(&dict->evictions)};
    for (int i = 0; i < PARTS; i++) {
        part *p = &dict->parts[i];
        pthread_mutex_lock(&p->lock);
        stats.entries += p->count;
        pthread_mutex_unlock(&p->lock);
    }
    return stats;
}

/* --- dictionaries --- */

static pl_shared_dict *dict_new(pl_str name, size_t capacity)
{
    pl_shared_dict *dict = pl_calloc(1, sizeof(*dict) + name.len);
    if (!dict)
        return NULL;
    if (name.len > 0)
        memcpy(dict->name_bytes, name.ptr, name.len);
    dict->name = (pl_str){dict->name_bytes, name.len};
    dict->capacity = capacity;
    for (int i = 0; i < PARTS; i++) {
        part *p = &dict->parts[i];
        pthread_mutex_init(&p->lock, NULL);
        p->dict = dict;
        pl_timers_init(&p->expiries);
        update_hint(p);
        note_oldest(p);
    }
    return dict;
}

static void dict_free(pl_shared_dict *dict)
{
    for (int i = 0; i < PARTS; i++) {
        part *p = &dict->parts[i];
        clear_part(p);
        pl_free(p->buckets);
        pl_timers_dispose(&p->expiries);
        pthread_mutex_destroy(&p->lock);
    }
    pl_free(dict);
}

pl_shared *pl_shared_new(size_t default_capacity)
{
    pl_shared *shared = pl_calloc(1, sizeof(*shared));
    if (!shared)
        return NULL;
    shared->registry = pl_registry_new();
    if (!shared->registry) {
        pl_free(shared);
        return NULL;
    }
    pthread_mutex_init(&shared->lock, NULL);
    shared->default_capacity = default_capacity ? default_capacity : DEFAULT_CAPACITY;
    return shared;
}

void pl_shared_free(pl_shared *shared)
{
    if (!shared)
        return;
    for (size_t i = 0; i < shared->count; i++)
        dict_free(shared->dicts[i]);
    pl_registry_free(shared->registry);
    pthread_mutex_destroy(&shared->lock);
    pl_free(shared);
}

pl_shared_dict *pl_shared_dict_get(pl_shared *shared, pl_str name, size_t capacity)
{
    pl_shared_dict *dict = NULL;
    pthread_mutex_lock(&shared->lock);
    for (size_t i = 0; i < shared->count && !dict; i++) {
        if (pl_str_eq(shared->dicts[i]->name, name))
            dict = shared->dicts[i];
    }
    if (!dict && shared->count < MOST_DICTS) {
        dict = dict_new(name, capacity ? capacity : shared->default_capacity);
        if (dict)
            shared->dicts[shared->count++] = dict;
    }
    pthread_mutex_unlock(&shared->lock);
    return dict;
}

pl_registry *pl_shared_registry(pl_shared *shared)
{
    return shared->registry;
}
