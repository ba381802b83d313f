/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_SHARED_H
#define PL_VALUE_SHARED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "value/value.h"

/* Named dictionaries shared by all workers of a server and kept across reloads: counters, caches, flags. Keys
 * are strings, values are scalars (bool, integer, float, string; Lua tables are stored as JSON by the Lua
 * side). Thread-safe: the keys of a dictionary are spread over locked parts, each held for the length of one
 * operation only. Memory is bounded per dictionary: when full, expired entries go first, then the least
 * recently used. */
typedef struct pl_shared pl_shared;
typedef struct pl_shared_dict pl_shared_dict;

pl_shared *pl_shared_new(size_t default_capacity); /* bytes a dictionary; 0 is 16 MiB; NULL: memory */
void pl_shared_free(pl_shared *shared);
/* What else is shared (value/registry.h). */
struct pl_registry *pl_shared_registry(pl_shared *shared);
/* Finds or makes the dictionary; lives as long as shared. capacity 0: the default; the first one to name it
 * decides. At most 256 dictionaries: NULL beyond that, or out of memory. */
pl_shared_dict *pl_shared_dict_get(pl_shared *shared, pl_str name, size_t capacity);

/* now and ttl in milliseconds; ttl 0: no expiry. Values: BOOL, INT, FLOAT, STRING; strings are copied. A
 * value larger than an eighth of the capacity is refused: RESOURCE_EXHAUSTED. */
pl_code pl_shared_set(pl_shared_dict *dict, pl_str key, const pl_value *value, uint64_t now, uint64_t ttl);
/* As set, but ALREADY_EXISTS when there is a live entry. */
pl_code pl_shared_add(pl_shared_dict *dict, pl_str key, const pl_value *value, uint64_t now, uint64_t ttl);
/* NOT_FOUND when absent or expired; strings are copied into arena. */
pl_code pl_shared_get(pl_shared_dict *dict, pl_str key, uint64_t now, pl_arena *arena, pl_value *out);
/* Adds by to the number at key, or to initial where there is none (kept with ttl then); the new value in
 * *out. FAILED_PRECONDITION when the entry is not a number; OUT_OF_RANGE on integer overflow. Atomic. */
pl_code pl_shared_incr(pl_shared_dict *dict, pl_str key, const pl_value *by, const pl_value *initial,
                       uint64_t now, uint64_t ttl, pl_value *out);
/* Changes the number at key while nobody else can touch it: change gets it (0 where there is none, or
 * something else) and gives the new one, and how long that is to live. False: leave it as it is. It must not
 * call back. RESOURCE_EXHAUSTED: memory; nothing was changed. */
typedef bool pl_shared_change(void *data, double *number, uint64_t *ttl);
pl_code pl_shared_update(pl_shared_dict *dict, pl_str key, uint64_t now, pl_shared_change *change,
                         void *data);
bool pl_shared_delete(pl_shared_dict *dict, pl_str key); /* whether it was there */
void pl_shared_clear(pl_shared_dict *dict);
typedef struct pl_shared_stats {
    size_t entries, bytes, capacity;
    uint64_t evictions;
} pl_shared_stats;
pl_shared_stats pl_shared_dict_stats(pl_shared_dict *dict);

#endif
