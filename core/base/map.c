/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include <limits.h>
#include <string.h>

#include "base/alloc.h"

/* `index` is a table of `slots` (a power of two) places, probed linearly and never more than three quarters
 * full. Removal shifts later places back, so there are no tombstones. */

#define LEAST_SLOTS 8

void pl_map_init(pl_map *map)
{
    *map = (pl_map){0};
}

void pl_map_dispose(pl_map *map)
{
    pl_free(map->entries);
    pl_free(map->index);
    *map = (pl_map){0};
}

static inline bool holds(const pl_map_entry *entry, pl_str key, unsigned long long hash)
{
    return entry->hash == hash && pl_str_eq(entry->key, key);
}

/* The slot of key, or the empty one where it would go. */
static size_t find_slot(const pl_map *map, pl_str key, unsigned long long hash)
{
    size_t mask = map->slots - 1, slot = (size_t)hash & mask;
    while (map->index[slot] != 0 && !holds(&map->entries[map->index[slot] - 1], key, hash))
        slot = (slot + 1) & mask;
    return slot;
}

static const pl_map_entry *find(const pl_map *map, pl_str key)
{
    if (map->count == 0)
        return NULL;
    unsigned place = map->index[find_slot(map, key, pl_hash(key.ptr, key.len))];
    return place != 0 ? &map->entries[place - 1] : NULL;
}

void *pl_map_get(const pl_map *map, pl_str key)
{
    const pl_map_entry *entry = find(map, key);
    return entry ? entry->value : NULL;
}

bool pl_map_has(const pl_map *map, pl_str key)
{
    return find(map, key) != NULL;
}

static bool grow(pl_map *map)
{
    size_t slots = map->slots != 0 ? map->slots * 2 : LEAST_SLOTS;
    size_t capacity = slots - slots / 4;
    if (capacity >= UINT_MAX)
        return false;
    unsigned *index = pl_calloc(slots, sizeof(*index));
    if (!index)
        return false;
    pl_map_entry *entries = pl_realloc(map->entries, capacity * sizeof(*entries));
    if (!entries) {
        pl_free(index);
        return false;
    }
    for (size_t i = 0; i < map->count; i++) {
        size_t slot = (size_t)entries[i].hash & (slots - 1);
        while (index[slot] != 0)
            slot = (slot + 1) & (slots - 1);
        index[slot] = (unsigned)i + 1;
    }
    pl_free(map->index);
    map->index = index;
    map->entries = entries;
    map->slots = slots;
    map->capacity = capacity;
    return true;
}

bool pl_map_set(pl_map *map, pl_str key, void *value)
{
    unsigned long long hash = pl_hash(key.ptr, key.len);
    size_t slot = 0;
    if (map->slots != 0) {
        slot = find_slot(map, key, hash);
        if (map->index[slot] != 0) {
            pl_map_entry *entry = &map->entries[map->index[slot] - 1];
            entry->key = key;
            entry->value = value;
            return true;
        }
    }
    if (map->count == map->capacity) {
        if (!grow(map))
            return false;
        slot = find_slot(map, key, hash);
    }
    map->entries[map->count] = (pl_map_entry){key, value, hash};
    map->index[slot] = (unsigned)++map->count;
    return true;
}

/* Empties slot and moves back those behind it that a search would no longer reach. */
static void close_gap(pl_map *map, size_t slot)
{
    size_t mask = map->slots - 1, gap = slot;
    for (size_t i = (gap + 1) & mask; map->index[i] != 0; i = (i + 1) & mask) {
        size_t home = (size_t)map->entries[map->index[i] - 1].hash & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            map->index[gap] = map->index[i];
            gap = i;
        }
    }
    map->index[gap] = 0;
}

void *pl_map_remove(pl_map *map, pl_str key)
{
    if (map->count == 0)
        return NULL;
    size_t slot = find_slot(map, key, pl_hash(key.ptr, key.len));
    unsigned place = map->index[slot];
    if (place == 0)
        return NULL;
    pl_map_entry *hole = &map->entries[place - 1];
    void *value = hole->value;
    close_gap(map, slot);
    pl_map_entry *last = &map->entries[map->count - 1];
    if (last != hole) {
        map->index[find_slot(map, last->key, last->hash)] = place;
        *hole = *last;
    }
    map->count--;
    return value;
}

void pl_map_clear(pl_map *map)
{
    map->count = 0;
    if (map->index)
        memset(map->index, 0, map->slots * sizeof(*map->index));
}
