/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_MAP_H
#define PL_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* A hash map from strings to pointers (open addressing, pl_hash). Keys are views: the caller keeps their
 * bytes alive as long as the entry. Iteration is in insertion order until something is removed. */
typedef struct pl_map_entry {
    pl_str key;
    void *value;
    unsigned long long hash;
} pl_map_entry;
typedef struct pl_map {
    pl_map_entry *entries; /* dense, in order of insertion */
    unsigned *index;       /* slot -> entry + 1; 0 is empty */
    size_t count, capacity, slots;
} pl_map;

void pl_map_init(pl_map *map); /* all zero is a valid empty map, too */
void pl_map_dispose(pl_map *map);
void *pl_map_get(const pl_map *map, pl_str key); /* NULL when absent */
bool pl_map_has(const pl_map *map, pl_str key);
/* Adds or replaces; false when memory is short (the map is as before). */
bool pl_map_set(pl_map *map, pl_str key, void *value);
/* Returns the removed value, or NULL. Moves the last entry into the hole. */
void *pl_map_remove(pl_map *map, pl_str key);
void pl_map_clear(pl_map *map);

#endif
