/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_ARENA_H
#define PL_BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

/* Memory that lives and dies together: a request, a document, a generation. Not for several threads at
 * once. The struct is open so that it can be embedded; touch it through the functions only. */
typedef struct pl_arena_chunk pl_arena_chunk;
typedef struct pl_arena_cleanup pl_arena_cleanup;
typedef struct pl_arena {
    char *next, *end;       /* free room in the current chunk */
    pl_arena_chunk *chunks; /* newest first */
    pl_arena_cleanup *cleanups;
    size_t used;  /* bytes taken from the heap for chunks */
    size_t limit; /* most bytes that `used` may reach; 0 is no limit */
    size_t chunk_size;
} pl_arena;

/* No allocation happens until the first pl_arena_alloc. chunk_size 0 is 4096. */
void pl_arena_init(pl_arena *arena, size_t chunk_size);
/* Runs the cleanups (newest first) and frees all. The arena can be used again. */
void pl_arena_dispose(pl_arena *arena);
/* As dispose, but keeps one chunk of chunk_size for the next use: for pooled arenas. */
void pl_arena_reset(pl_arena *arena);

/* AddressSanitizer sees what the arena has not handed out as poisoned. */
#if defined(__SANITIZE_ADDRESS__)
#define PL_ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PL_ARENA_POISONS 1
#endif
#endif
#ifdef PL_ARENA_POISONS
#include <sanitizer/asan_interface.h>
#define PL_ARENA_OPEN(ptr, size) ASAN_UNPOISON_MEMORY_REGION(ptr, size)
#else
#define PL_ARENA_OPEN(ptr, size) ((void)0)
#endif

void *pl_arena_alloc_slow(pl_arena *arena, size_t size);
/* 16-byte aligned, uninitialised; NULL when the heap or the limit is exhausted. Size 0 gives a non-NULL
 * pointer. */
static inline void *pl_arena_alloc(pl_arena *arena, size_t size)
{
    size_t room = (size + 15) & ~(size_t)15;
    /* room is 0 for size 0 and for a size that wraps; room - 1 sends both to the slow path. */
    if (room - 1 < (size_t)(arena->end - arena->next)) {
        void *p = arena->next;
        arena->next += room;
        PL_ARENA_OPEN(p, size);
        return p;
    }
    return pl_arena_alloc_slow(arena, size);
}
void *pl_arena_zalloc(pl_arena *arena, size_t size);
/* Array of count elements, zeroed, overflow checked. count 0 gives a non-NULL pointer. */
void *pl_arena_array(pl_arena *arena, size_t count, size_t size);
/* A copy, with a NUL behind it that len does not count; ptr is NULL on failure. */
pl_str pl_arena_str(pl_arena *arena, pl_str s);
pl_str pl_arena_printf(pl_arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Calls fn(data) when the arena is disposed or reset. 0, or -1 when memory is short (fn is not called). */
int pl_arena_on_dispose(pl_arena *arena, void (*fn)(void *data), void *data);

#endif
