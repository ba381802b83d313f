/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Thread-local, so that a test on one thread cannot make another thread fail. */
static _Thread_local struct {
    size_t countdown; /* 0 is off */
    size_t made;
    bool sticky;
} hook;

/* The one thing that all of a process shares: memory may be given back where it was not taken. Set at most
 * once, before it is read. */
static pl_alloc_source source;
static bool has_source;
static atomic_bool used;

bool pl_alloc_fails(void)
{
    hook.made++;
    if (!atomic_load_explicit(&used, memory_order_relaxed))
        atomic_store(&used, true);
    if (hook.countdown == 0)
        return false;
    if (hook.countdown > 1) {
        hook.countdown--;
        return false;
    }
    if (!hook.sticky)
        hook.countdown = 0;
    return true;
}

/* No object is larger than PTRDIFF_MAX; refused here, as sanitizers abort at such sizes. Size 0 asks for one
 * byte: NULL must always mean failure. */
void *pl_malloc(size_t size)
{
    if (pl_alloc_fails() || size > PTRDIFF_MAX)
        return NULL;
    size = size != 0 ? size : 1;
    return has_source ? source.allocate(source.data, size) : malloc(size);
}

void *pl_calloc(size_t count, size_t size)
{
    size_t total;
    if (pl_alloc_fails() || __builtin_mul_overflow(count, size, &total) || total > PTRDIFF_MAX)
        return NULL;
    total = total != 0 ? total : 1;
    if (!has_source)
        return calloc(1, total);
    void *memory = source.allocate(source.data, total);
    return memory ? memset(memory, 0, total) : NULL;
}

void *pl_realloc(void *ptr, size_t size)
{
    if (pl_alloc_fails() || size > PTRDIFF_MAX)
        return NULL;
    size = size != 0 ? size : 1;
    if (!has_source)
        return realloc(ptr, size);
    return ptr ? source.reallocate(source.data, ptr, size) : source.allocate(source.data, size);
}

void pl_free(void *ptr)
{
    if (!has_source)
        free(ptr);
    else if (ptr)
        source.release(source.data, ptr);
}

int pl_alloc_set_source(const pl_alloc_source *s)
{
    bool early = !atomic_exchange(&used, true);
    if (early) {
        source = *s;
        has_source = true;
    }
    return early;
}

size_t pl_alloc_fail_at(size_t n, int sticky)
{
    size_t made = hook.made;
    hook.made = 0;
    hook.countdown = n;
    hook.sticky = sticky != 0;
    return made;
}
