/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "base/alloc.h"

#define DEFAULT_CHUNK 4096
#define LARGEST_CHUNK ((size_t)1 << 20)
#define HEAD sizeof(pl_arena_chunk)

struct pl_arena_chunk {
    pl_arena_chunk *older;
    size_t size; /* with this head */
};
_Static_assert(sizeof(pl_arena_chunk) % 16 == 0, "what follows the head must be aligned to 16 bytes");

struct pl_arena_cleanup {
    pl_arena_cleanup *older;
    void (*fn)(void *data);
    void *data;
};

static inline void poison(void *ptr, size_t size)
{
#ifdef PL_ARENA_POISONS
    ASAN_POISON_MEMORY_REGION(ptr, size);
#endif
}

static void free_chunk(pl_arena_chunk *chunk)
{
    PL_ARENA_OPEN(chunk, chunk->size);
    pl_free(chunk);
}

void pl_arena_init(pl_arena *arena, size_t chunk_size)
{
    *arena = (pl_arena){.chunk_size = chunk_size != 0 ? chunk_size : DEFAULT_CHUNK};
}

static void run_cleanups(pl_arena *arena)
{
    /* A cleanup may register another one. */
    while (arena->cleanups) {
        pl_arena_cleanup *cleanup = arena->cleanups;
        arena->cleanups = cleanup->older;
        cleanup->fn(cleanup->data);
    }
}

void pl_arena_dispose(pl_arena *arena)
{
    run_cleanups(arena);
    for (pl_arena_chunk *chunk = arena->chunks; chunk;) {
        pl_arena_chunk *older = chunk->older;
        free_chunk(chunk);
        chunk = older;
    }
    arena->next = arena->end = NULL;
    arena->chunks = NULL;
    arena->used = 0;
}

void pl_arena_reset(pl_arena *arena)
{
    run_cleanups(arena);
    if (arena->chunks &&
        arena->used == arena->chunk_size) { /* the one that stays, which need not be touched */
        arena->next = (char *)arena->chunks + HEAD;
        arena->end = (char *)arena->chunks + arena->chunk_size;
        poison(arena->next, arena->chunk_size - HEAD);
        return;
    }
    pl_arena_chunk *kept = NULL;
    for (pl_arena_chunk *chunk = arena->chunks; chunk;) {
        pl_arena_chunk *older = chunk->older;
        if (!kept && chunk->size == arena->chunk_size)
            kept = chunk;
        else
            free_chunk(chunk);
        chunk = older;
    }
    arena->chunks = kept;
    arena->next = arena->end = NULL;
    arena->used = 0;
    if (kept) {
        kept->older = NULL;
        arena->next = (char *)kept + HEAD;
        arena->end = (char *)kept + kept->size;
        arena->used = kept->size;
        poison(arena->next, kept->size - HEAD);
    }
}

/* A chunk with room for `room` bytes at least. Each is larger than all before it together, up to a bound; a
 * request that would take more than half of it gets a chunk of its own, and the current one stays in use. */
static pl_arena_chunk *new_chunk(pl_arena *arena, size_t room, bool *own)
{
    /* The first is of the size that a reset keeps. */
    size_t size = arena->end ? arena->used + arena->chunk_size : arena->chunk_size;
    if (size > LARGEST_CHUNK)
        size = arena->chunk_size > LARGEST_CHUNK ? arena->chunk_size : LARGEST_CHUNK;
    *own = room > size / 2;
    if (*own)
        size = HEAD + room;
    if (arena->limit != 0) {
        size_t left = arena->limit > arena->used ? arena->limit - arena->used : 0;
        if (left < HEAD + room)
            return NULL;
        if (size > left)
            size = left;
    }
    pl_arena_chunk *chunk = pl_malloc(size);
    if (!chunk)
        return NULL;
    chunk->older = arena->chunks;
    chunk->size = size;
    arena->chunks = chunk;
    arena->used += size;
    return chunk;
}

void *pl_arena_alloc_slow(pl_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t room = size != 0 ? (size + 15) & ~(size_t)15 : 16;
    char *p = arena->next;
    if ((size_t)(arena->end - arena->next) < room) {
        bool own;
        pl_arena_chunk *chunk = new_chunk(arena, room, &own);
        if (!chunk)
            return NULL;
        p = (char *)chunk + HEAD;
        poison(p, chunk->size - HEAD);
        if (own) {
            PL_ARENA_OPEN(p, size);
            return p;
        }
        arena->end = (char *)chunk + chunk->size;
    }
    arena->next = p + room;
    PL_ARENA_OPEN(p, size);
    return p;
}

void *pl_arena_zalloc(pl_arena *arena, size_t size)
{
    void *p = pl_arena_alloc(arena, size);
    return p && size != 0 ? memset(p, 0, size) : p;
}

void *pl_arena_array(pl_arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return pl_arena_zalloc(arena, total);
}

pl_str pl_arena_str(pl_arena *arena, pl_str s)
{
    char *p = s.len < SIZE_MAX ? pl_arena_alloc(arena, s.len + 1) : NULL;
    if (!p)
        return PL_STR_NONE;
    if (s.len != 0)
        memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return (pl_str){p, s.len};
}

pl_str pl_arena_printf(pl_arena *arena, const char *fmt, ...)
{
    char small[256];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, args);
    va_end(args);
    if (n < 0)
        return PL_STR_NONE;
    if ((size_t)n < sizeof(small))
        return pl_arena_str(arena, (pl_str){small, (size_t)n});
    char *p = pl_arena_alloc(arena, (size_t)n + 1);
    if (!p)
        return PL_STR_NONE;
    va_start(args, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, args);
    va_end(args);
    return (pl_str){p, (size_t)n};
}

int pl_arena_on_dispose(pl_arena *arena, void (*fn)(void *data), void *data)
{
    pl_arena_cleanup *cleanup = pl_arena_alloc(arena, sizeof(*cleanup));
    if (!cleanup)
        return -1;
    *cleanup = (pl_arena_cleanup){arena->cleanups, fn, data};
    arena->cleanups = cleanup;
    return 0;
}
