/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

/* Chance that always says the same: 0, 1/2, or nearly 1. */
static uint64_t lowest(pl_random *random)
{
    return 0;
}
static uint64_t middle(pl_random *random)
{
    return (uint64_t)1 << 63;
}
static uint64_t highest(pl_random *random)
{
    return UINT64_MAX;
}

static void test_bounds(void **state)
{
    pl_random low = {.next = lowest}, mid = {.next = middle}, high = {.next = highest};
    assert_true(pl_random_unit(&low) == 0);
    assert_true(pl_random_unit(&mid) == 0.5);
    assert_true(pl_random_unit(&high) > 0.999 && pl_random_unit(&high) < 1);
    assert_int_equal(pl_random_below(&low, 7), 0);
    assert_int_equal(pl_random_below(&mid, 7), 3);
    assert_int_equal(pl_random_below(&high, 7), 6);
    assert_int_equal(pl_random_below(&high, 1), 0);
    assert_int_equal(pl_random_below(&high, UINT32_MAX), UINT32_MAX - 1);
}

static void test_jitter(void **state)
{
    pl_random low = {.next = lowest}, mid = {.next = middle}, high = {.next = highest};
    assert_true(pl_random_jitter(&low, 100, 0.25) == 75);
    assert_true(pl_random_jitter(&mid, 100, 0.25) == 100);
    assert_true(pl_random_jitter(&high, 100, 0.25) > 124.9 && pl_random_jitter(&high, 100, 0.25) <= 125);
    assert_true(pl_random_jitter(&low, 100, 1) == 0);
    assert_true(pl_random_jitter(&high, 100, 0) == 100);
}

static void test_is_even(void **state)
{
    pl_random random;
    unsigned counts[8] = {0};
    double sum = 0;
    pl_random_seed(&random, 42);
    for (int i = 0; i < 80000; i++) {
        double unit = pl_random_unit(&random);
        assert_true(unit >= 0 && unit < 1);
        sum += unit;
        counts[pl_random_below(&random, 8)]++;
    }
    assert_true(sum > 39000 && sum < 41000);
    for (int i = 0; i < 8; i++)
        assert_true(counts[i] > 9000 && counts[i] < 11000);
}

/* What was seeded alike says the same, what was not does not. */
static void test_seed(void **state)
{
    pl_random a, b, c;
    unsigned same = 0;
    pl_random_seed(&a, 7);
    pl_random_seed(&b, 7);
    pl_random_seed(&c, 8);
    for (int i = 0; i < 1000; i++) {
        uint32_t n = pl_random_below(&a, UINT32_MAX);
        assert_int_equal(pl_random_below(&b, UINT32_MAX), n);
        same += pl_random_below(&c, UINT32_MAX) == n;
    }
    assert_true(same < 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_is_even),
        cmocka_unit_test(test_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
