/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/random.h"
#include "base/slab.h"
#include "support/failing.h"

#define OBJECTS 20000

typedef struct object {
    unsigned char *ptr;
    size_t size;
} object;

static void fill(object *o, size_t i)
{
    memset(o->ptr, (int)(i % 251), o->size);
}

static void check(const object *o, size_t i)
{
    for (size_t k = 0; k < o->size; k++)
        assert_int_equal(o->ptr[k], i % 251);
}

static void make(pl_slab *slab, object *o, size_t i, size_t size)
{
    o->size = size;
    o->ptr = pl_slab_alloc(slab, size);
    assert_non_null(o->ptr);
    assert_int_equal((uintptr_t)o->ptr % 16, 0);
    fill(o, i);
}

static void drop(pl_slab *slab, object *o)
{
    pl_slab_free(slab, o->ptr, o->size);
    *o = (object){0};
}

static size_t size_of(size_t i)
{
    return i * 37 % (PL_SLAB_MOST + 100) + 1;
}

static void objects_do_not_overlap(void **state)
{
    static object all[OBJECTS];
    pl_slab slab;
    pl_slab_init(&slab);
    for (size_t i = 0; i < OBJECTS; i++)
        make(&slab, &all[i], i, size_of(i));
    for (size_t i = 0; i < OBJECTS; i += 2)
        drop(&slab, &all[i]);
    for (size_t i = 0; i < OBJECTS; i += 2)
        make(&slab, &all[i], i, size_of(i + 7));
    for (size_t i = 0; i < OBJECTS; i++) {
        check(&all[i], i);
        drop(&slab, &all[i]);
    }
    pl_slab_dispose(&slab);
}

static void what_grows_and_shrinks_keeps_its_bytes(void **state)
{
    static object all[500];
    pl_slab slab;
    pl_random random;
    pl_slab_init(&slab);
    pl_random_seed(&random, 1);
    for (size_t i = 0; i < 500; i++)
        make(&slab, &all[i], i, size_of(i));
    for (size_t n = 0; n < 50000; n++) {
        size_t i = (size_t)(pl_random_unit(&random) * 500);
        size_t size = (size_t)(pl_random_unit(&random) * 1000) + 1;
        unsigned char *ptr = pl_slab_realloc(&slab, all[i].ptr, all[i].size, size);
        assert_non_null(ptr);
        all[i] = (object){ptr, size < all[i].size ? size : all[i].size};
        check(&all[i], i);
        all[i].size = size;
        fill(&all[i], i);
    }
    for (size_t i = 0; i < 500; i++)
        drop(&slab, &all[i]);
    pl_slab_dispose(&slab);
}

/* Bytes that a slab has from the heap. Addresses are the awkward ones, right before a page would begin, and
 * what is behind the end is watched. */
static size_t taken;
static void *counted_alloc(void *data, size_t size)
{
    static size_t calls;
    size_t shift = size < 100000 ? 32 : 16384 - ++calls % 8 * 16;
    char *begin = aligned_alloc(16384, (shift + size + 16 + 16383) / 16384 * 16384), *ptr = begin + shift;
    ((size_t *)ptr)[-1] = size;
    ((size_t *)ptr)[-2] = shift;
    memset(ptr + size, 0xa5, 16);
    taken += size;
    return ptr;
}
static void counted_free(void *data, void *ptr)
{
    static const char untouched[] = "\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5";
    size_t size = ((size_t *)ptr)[-1];
    assert_memory_equal((char *)ptr + size, untouched, 16);
    taken -= size;
    free((char *)ptr - ((size_t *)ptr)[-2]);
}
static void *counted_realloc(void *data, void *ptr, size_t size)
{
    size_t old = ((size_t *)ptr)[-1];
    void *to = counted_alloc(data, size);
    memcpy(to, ptr, old < size ? old : size);
    counted_free(data, ptr);
    return to;
}

static void empty_pages_serve_other_sizes_and_go_back(void **state)
{
    static object all[OBJECTS];
    pl_slab slab;
    size_t most = 0;
    pl_slab_init(&slab);
    for (size_t size = 16; size <= PL_SLAB_MOST; size *= 2) {
        size_t count = (size_t)2 << 20 >> (__builtin_ctzl(size) + 1); /* 1 MiB in each round */
        count = count < OBJECTS ? count : OBJECTS;
        for (size_t i = 0; i < count; i++)
            make(&slab, &all[i], i, size);
        most = taken > most ? taken : most;
        for (size_t i = 0; i < count; i++)
            drop(&slab, &all[i]);
    }
    assert_true(most < (size_t)3 << 20);
    assert_true(taken < (size_t)1 << 20);
    pl_slab_dispose(&slab);
    assert_int_equal(taken, 0);
}

static void pages_end_in_their_region(void **state)
{
    static object all[OBJECTS];
    for (size_t n = 0; n < 8; n++) {
        pl_slab slab;
        pl_slab_init(&slab);
        for (size_t i = 0; i < OBJECTS; i++)
            make(&slab, &all[i], i, PL_SLAB_STEP);
        for (size_t i = 0; i < OBJECTS; i++)
            drop(&slab, &all[i]);
        pl_slab_dispose(&slab);
    }
}

static void refused_allocations_leave_all_as_it_was(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_slab slab;
        object all[40] = {{0}};
        pl_slab_init(&slab);
        failing_begin(&a);
        for (size_t i = 0; i < 40; i++) {
            all[i].size = size_of(i * 11);
            all[i].ptr = pl_slab_alloc(&slab, all[i].size);
            if (all[i].ptr)
                fill(&all[i], i);
        }
        for (size_t i = 0; i < 40; i++) {
            size_t size = size_of(i * 17);
            unsigned char *ptr = all[i].ptr ? pl_slab_realloc(&slab, all[i].ptr, all[i].size, size) : NULL;
            if (ptr)
                all[i] = (object){ptr, size < all[i].size ? size : all[i].size};
            if (ptr)
                check(&all[i], i);
            if (ptr)
                all[i].size = size;
            if (ptr)
                fill(&all[i], i);
        }
        failing_end(&a);
        for (size_t i = 0; i < 40; i++) {
            if (all[i].ptr)
                check(&all[i], i);
            pl_slab_free(&slab, all[i].ptr, all[i].size);
        }
        pl_slab_dispose(&slab);
    }
    assert_true(a.made >= 80); /* each object counts, not only pages */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_pages_serve_other_sizes_and_go_back),
        cmocka_unit_test(objects_do_not_overlap),
        cmocka_unit_test(what_grows_and_shrinks_keeps_its_bytes),
        cmocka_unit_test(pages_end_in_their_region),
        cmocka_unit_test(refused_allocations_leave_all_as_it_was),
    };
    static const pl_alloc_source source = {
        .allocate = counted_alloc, .reallocate = counted_realloc, .release = counted_free};
    return pl_alloc_set_source(&source) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
