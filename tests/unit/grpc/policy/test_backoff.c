/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "grpc/policy/backoff.h"

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

static void test_growth(void **state)
{
    static const uint64_t expected[] = {1000,  1600,  2560,  4096,   6553,   10485, 16777,
                                        26843, 42949, 68719, 109951, 120000, 120000};
    pl_random random = {.next = middle};
    pl_backoff backoff = {0};
    const pl_backoff_config config = {0};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        uint64_t now = 5000 * i;
        uint64_t by = pl_backoff_attempt(&backoff, &config, &random, now);
        assert_int_equal(backoff.next_at - now, expected[i]);
        /* An attempt has 20 s, and all the time until the next one. */
        assert_int_equal(by - now, expected[i] > 20000 ? expected[i] : 20000);
    }
    pl_backoff_reset(&backoff);
    pl_backoff_attempt(&backoff, &config, &random, 0);
    assert_int_equal(backoff.next_at, 1000);
}

static void test_jitter(void **state)
{
    static const struct {
        uint64_t (*next)(pl_random *random);
        uint64_t second;
    } cases[] = {{lowest, 1280}, {middle, 1600}, {highest, 1920}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_random random = {.next = cases[i].next};
        pl_backoff backoff = {0};
        const pl_backoff_config config = {0};
        pl_backoff_attempt(&backoff, &config, &random, 0);
        assert_int_equal(backoff.next_at, 1000); /* the first wait has none */
        pl_backoff_attempt(&backoff, &config, &random, 0);
        assert_int_equal(backoff.next_at, cases[i].second);
    }
}

static void test_settings(void **state)
{
    pl_random random = {.next = highest};
    pl_backoff backoff = {0};
    const pl_backoff_config config = {.initial = 10, .max = 50, .multiplier = 3, .jitter = -1, .connect = 5};
    static const uint64_t expected[] = {10, 30, 50, 50};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pl_backoff_attempt(&backoff, &config, &random, 0), expected[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
