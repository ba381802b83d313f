/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_ALLOC_H
#define PL_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* Every heap allocation of the core goes through these. All return NULL on failure, and callers report it
 * (pl_fail_memory): the core never aborts. pl_free(NULL) does nothing. */
void *pl_malloc(size_t size);
void *pl_calloc(size_t count, size_t size); /* count * size is checked for overflow */
void *pl_realloc(void *ptr, size_t size);   /* on failure ptr stays valid */
void pl_free(void *ptr);

/* Where they take it from instead of the C library; functions as malloc, realloc and free, any thread. Before
 * the first allocation. False: it is too late. */
typedef struct pl_alloc_source {
    void *(*allocate)(void *data, size_t size);
    void *(*reallocate)(void *data, void *memory, size_t size);
    void (*release)(void *data, void *memory);
    void *data;
} pl_alloc_source;
int pl_alloc_set_source(const pl_alloc_source *source);

/* Test hook: on this thread, the n-th allocation from now (1 is the next) fails, and each one after it
 * when sticky is set. 0 turns it off. Returns how many allocations were made since the last call. */
size_t pl_alloc_fail_at(size_t n, int sticky);
/* Counts as an allocation; true: it is to fail. For what hands out memory in parts, so that a test makes each
 * of these fail. */
bool pl_alloc_fails(void);

#endif
