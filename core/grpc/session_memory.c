/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/alloc.h"
#include "grpc/session_internal.h"

/* nghttp2 takes and gives back some eight small objects for each call: they come from the slab of the
 * thread's streams. How large an object is, which a slab must be told, stands in front of it. */

#define HEAD ((size_t)16) /* objects stay aligned */

static size_t *head_of(void *ptr)
{
    return (size_t *)(void *)((char *)ptr - HEAD);
}

static void *take(pl_grpc_streams *pool, size_t size)
{
    size_t *head = size <= SIZE_MAX - HEAD ? pl_slab_alloc(&pool->slab, HEAD + size) : NULL;
    if (!head)
        return NULL;
    *head = HEAD + size;
    return (char *)head + HEAD;
}

static void give_back(pl_grpc_streams *pool, void *ptr)
{
    if (ptr)
        pl_slab_free(&pool->slab, head_of(ptr), *head_of(ptr));
}

static void *resize(pl_grpc_streams *pool, void *ptr, size_t size)
{
    if (!ptr)
        return take(pool, size);
    size_t *head = head_of(ptr);
    head = size <= SIZE_MAX - HEAD ? pl_slab_realloc(&pool->slab, head, *head, HEAD + size) : NULL;
    if (!head)
        return NULL;
    *head = HEAD + size;
    return (char *)head + HEAD;
}

/* --- the reserve --- */
bool h2_reserve(pl_grpc_streams *pool)
{
    if (!pool->reserve)
        pool->reserve = take(pool, H2_RESERVE);
    return pool->reserve != NULL;
}

void h2_reserve_free(pl_grpc_streams *pool)
{
    give_back(pool, pool->reserve);
    pool->reserve = NULL;
}

/* --- for nghttp2 --- */
static void *mem_malloc(size_t size, void *data)
{
    return take(((pl_grpc_session *)data)->pool, size);
}

static void mem_free(void *ptr, void *data)
{
    give_back(((pl_grpc_session *)data)->pool, ptr);
}

static void *mem_calloc(size_t count, size_t size, void *data)
{
    size_t total;
    void *ptr = __builtin_mul_overflow(count, size, &total) ? NULL : mem_malloc(total, data);
    return ptr ? memset(ptr, 0, total) : NULL;
}

/* When nghttp2 cannot queue the data of an answer that it has just begun, since the queue does not grow, it
 * frees them twice: now, and with the session. So this must not fail: the session gets the thread's reserve,
 * and is cut for the lack of memory as soon as nghttp2 has returned. Nothing is sent while there is none. */
static void *mem_realloc(void *ptr, size_t size, void *data)
{
    pl_grpc_session *session = data;
    void *fresh = resize(session->pool, ptr, size);
    if (fresh || size > H2_RESERVE || !session->pool->reserve)
        return fresh;
    fresh = session->pool->reserve;
    session->pool->reserve = NULL;
    session->broken = true;
    size_t held = ptr ? *head_of(ptr) - HEAD : 0;
    if (held > 0)
        memcpy(fresh, ptr, held < size ? held : size);
    give_back(session->pool, ptr);
    return fresh;
}

nghttp2_mem h2_memory(pl_grpc_session *session)
{
    return (nghttp2_mem){session, mem_malloc, mem_free, mem_calloc, mem_realloc};
}
