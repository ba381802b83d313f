/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Thread-local, so that a test on one thread cannot make another thread fail. */
static _Thread_local struct {
    size_t countdown; /* 0 is off */
    size_t made;
    bool sticky;
} hook;

static bool must_fail(void)
{
    hook.made++;
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
    if (must_fail() || size > PTRDIFF_MAX)
        return NULL;
    return malloc(size != 0 ? size : 1);
}

void *pl_calloc(size_t count, size_t size)
{
    size_t total;
    if (must_fail() || __builtin_mul_overflow(count, size, &total) || total > PTRDIFF_MAX)
        return NULL;
    return total != 0 ? calloc(count, size) : calloc(1, 1);
}

void *pl_realloc(void *ptr, size_t size)
{
    if (must_fail() || size > PTRDIFF_MAX)
        return NULL;
    return realloc(ptr, size != 0 ? size : 1);
}

void pl_free(void *ptr)
{
    free(ptr);
}

size_t pl_alloc_fail_at(size_t n, int sticky)
{
    size_t made = hook.made;
    hook.made = 0;
    hook.countdown = n;
    hook.sticky = sticky != 0;
    return made;
}
