/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"

static void zero_sizes_are_memory(void **state)
{
    char *a = pl_malloc(0), *b = pl_calloc(0, 8), *c = pl_realloc(NULL, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    a[0] = b[0] = c[0] = 'x';
    pl_free(a);
    pl_free(b);
    pl_free(c);
    pl_free(NULL);
}

static void calloc_refuses_overflow(void **state)
{
    volatile size_t many = SIZE_MAX / 2;
    assert_null(pl_calloc(many, 4));
}

static void nth_allocation_fails_once(void **state)
{
    pl_alloc_fail_at(3, 0);
    void *a = pl_malloc(1), *b = pl_calloc(1, 1);
    void *c = pl_realloc(a, 100); /* fails: a stays */
    void *d = pl_malloc(1);
    assert_int_equal(pl_alloc_fail_at(0, 0), 4);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(c);
    assert_non_null(d);
    pl_free(a);
    pl_free(b);
    pl_free(d);
}

static void sticky_fails_until_turned_off(void **state)
{
    pl_alloc_fail_at(1, 1);
    assert_null(pl_malloc(1));
    assert_null(pl_calloc(1, 1));
    assert_null(pl_realloc(NULL, 1));
    assert_int_equal(pl_alloc_fail_at(0, 0), 3);
    void *p = pl_malloc(1);
    assert_non_null(p);
    pl_free(p);
    assert_int_equal(pl_alloc_fail_at(0, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_sizes_are_memory),
        cmocka_unit_test(calloc_refuses_overflow),
        cmocka_unit_test(nth_allocation_fails_once),
        cmocka_unit_test(sticky_fails_until_turned_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
