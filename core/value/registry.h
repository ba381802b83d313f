/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_REGISTRY_H
#define PL_VALUE_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/* Things with a name that all workers and generations of a server share: the state of a circuit breaker, keys
 * that were fetched. A thing that nobody holds any more stays, for the next generation, until its place is
 * needed. Thread-safe; a thing has a lock of its own for what is in it. */

#define PL_MOST_THINGS 4096

/* The first member of a thing. */
typedef struct pl_thing pl_thing;
struct pl_thing {
    void (*dispose)(pl_thing *thing); /* frees it; on any thread */
    /* The registry's. */
    char *key;
    size_t key_len, holders;
    uint64_t released; /* counts releases: the least was let go first */
};

typedef struct pl_registry pl_registry;

pl_registry *pl_registry_new(void); /* NULL: memory */
/* Disposes of all things. NULL is fine. */
void pl_registry_free(pl_registry *registry);

/* Finds the thing, or makes it: make sets dispose, and gives NULL when memory is short; it runs under the
 * registry's lock, and must not use it. The thing is held until pl_registry_release. NULL, with *err:
 * RESOURCE_EXHAUSTED (memory, or PL_MOST_THINGS are held). */
pl_thing *pl_registry_get(pl_registry *registry, const char *kind, pl_str name, pl_thing *(*make)(void *arg),
                          void *arg, pl_error *err);
void pl_registry_release(pl_registry *registry, pl_thing *thing);
/* Once more, for somebody who gets it from one who holds it. */
void pl_registry_hold(pl_registry *registry, pl_thing *thing);

#endif
