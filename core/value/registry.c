/* SPDX-License-Identifier: MIT */
#include "value/registry.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"

struct pl_registry {
    pthread_mutex_t lock;
    pl_map things; /* "kind name" → pl_thing */
    uint64_t releases;
};

pl_registry *pl_registry_new(void)
{
    pl_registry *r = pl_calloc(1, sizeof *r);
    if (r)
        pthread_mutex_init(&r->lock, NULL);
    return r;
}

static void dispose(pl_thing *thing)
{
    pl_free(thing->key);
    thing->dispose(thing);
}

void pl_registry_free(pl_registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i < registry->things.count; i++)
        dispose(registry->things.entries[i].value);
    pl_map_dispose(&registry->things);
    pthread_mutex_destroy(&registry->lock);
    pl_free(registry);
}

static char *key_of(const char *kind, pl_str name, size_t *len)
{
    size_t kind_len = strlen(kind);
    char *key = pl_malloc(kind_len + 1 + name.len);
    if (!key)
        return NULL;
    memcpy(key, kind, kind_len);
    key[kind_len] = ' ';
    if (name.len > 0)
        memcpy(key + kind_len + 1, name.ptr, name.len);
    *len = kind_len + 1 + name.len;
    return key;
}

/* Of those that nobody holds, the one that was let go first. */
static bool make_room(pl_registry *r)
{
    pl_thing *oldest = NULL;
    if (r->things.count < PL_MOST_THINGS)
        return true;
    for (size_t i = 0; i < r->things.count; i++) {
        pl_thing *thing = r->things.entries[i].value;
        if (thing->holders == 0 && (!oldest || thing->released < oldest->released))
            oldest = thing;
    }
    if (!oldest)
        return false;
    pl_map_remove(&r->things, (pl_str){oldest->key, oldest->key_len});
    dispose(oldest);
    return true;
}

static pl_thing *add(pl_registry *r, char *key, size_t key_len, pl_thing *(*make)(void *arg), void *arg)
{
    pl_thing *thing = make(arg);
    if (!thing)
        return NULL;
    thing->key = key;
    thing->key_len = key_len;
    thing->holders = 0;
    thing->released = 0;
    if (pl_map_set(&r->things, (pl_str){key, key_len}, thing))
        return thing;
    thing->dispose(thing);
    return NULL;
}

pl_thing *pl_registry_get(pl_registry *registry, const char *kind, pl_str name, pl_thing *(*make)(void *arg),
                          void *arg, pl_error *err)
{
    size_t key_len;
    char *key = key_of(kind, name, &key_len);
    if (!key) {
        pl_fail_memory(err);
        return NULL;
    }
    pthread_mutex_lock(&registry->lock);
    pl_thing *thing = pl_map_get(&registry->things, (pl_str){key, key_len});
    if (!thing && !make_room(registry)) {
        pl_fail(err, PL_RESOURCE_EXHAUSTED, "more than %d named objects are in use", PL_MOST_THINGS);
    } else if (!thing) {
        thing = add(registry, key, key_len, make, arg);
        if (thing)
            key = NULL; /* the thing's */
        else
            pl_fail_memory(err);
    }
    if (thing)
        thing->holders++;
    pthread_mutex_unlock(&registry->lock);
    pl_free(key);
    return thing;
}

void pl_registry_release(pl_registry *registry, pl_thing *thing)
{
    pthread_mutex_lock(&registry->lock);
    thing->holders--;
    thing->released = ++registry->releases;
    pthread_mutex_unlock(&registry->lock);
}

void pl_registry_hold(pl_registry *registry, pl_thing *thing)
{
    pthread_mutex_lock(&registry->lock);
    thing->holders++;
    pthread_mutex_unlock(&registry->lock);
}
