/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "auth/token_cache.h"
#include "support/failing.h"

static pl_jwk_set *keys(void)
{
    pl_jwk_set *set = NULL;
    pl_error err;
    assert_int_equal(pl_jwk_set_secret(PL_STR("01234567890123456789012345678901"), &set, &err), PL_OK);
    return set;
}

static void keep(pl_token_cache *c, const pl_jwk_set *set, const char *token, const char *claims)
{
    const pl_jwt jwt = {.claims_json = pl_str_of(claims), .times = {1, 2}};
    pl_token_cache_keep(c, pl_str_of(token), set, &jwt);
}

static bool has(pl_token_cache *c, const pl_jwk_set *set, const char *token, const char *claims)
{
    pl_str found;
    pl_jwt_times times;
    if (!pl_token_cache_find(c, pl_str_of(token), set, &found, &times))
        return false;
    assert_true(pl_str_is(found, claims));
    assert_true(times.begins == 1 && times.ends == 2);
    return true;
}

static void test_finds_what_it_keeps(void **state)
{
    pl_jwk_set *set = keys();
    pl_token_cache *c = pl_token_cache_new(10, 10000);
    assert_false(has(c, set, "a", "A"));
    keep(c, set, "a", "A");
    keep(c, set, "b", "");
    assert_true(has(c, set, "a", "A"));
    assert_true(has(c, set, "b", ""));
    assert_false(has(c, set, "c", "C"));
    keep(c, set, "a", "other");
    assert_true(has(c, set, "a", "other"));
    assert_int_equal(pl_token_cache_count(c), 2);
    pl_token_cache_free(c);
    pl_token_cache_free(NULL);
    pl_jwk_set_unref(set);
}

/* Other keys may have been changed because these were stolen. */
static void test_keys_change(void **state)
{
    pl_jwk_set *set = keys(), *next = keys();
    pl_token_cache *c = pl_token_cache_new(10, 10000);
    keep(c, set, "a", "A");
    assert_false(has(c, next, "a", "A"));
    assert_false(has(c, set, "a", "A")); /* it is gone */
    assert_int_equal(pl_token_cache_count(c), 0);
    pl_token_cache_free(c);
    pl_jwk_set_unref(set);
    pl_jwk_set_unref(next);
}

static void test_bounds(void **state)
{
    pl_jwk_set *set = keys();
    pl_token_cache *c = pl_token_cache_new(3, 10000);
    keep(c, set, "a", "A");
    keep(c, set, "b", "B");
    keep(c, set, "c", "C");
    assert_true(has(c, set, "a", "A")); /* b was not used for the longest time */
    keep(c, set, "d", "D");
    assert_false(has(c, set, "b", "B"));
    assert_true(has(c, set, "a", "A") && has(c, set, "c", "C") && has(c, set, "d", "D"));
    pl_token_cache_free(c);

    char large[400] = "";
    for (int i = 0; i < 399; i++)
        large[i] = 'x';
    c = pl_token_cache_new(1000, 5000);
    for (int i = 0; i < 100; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i);
        keep(c, set, name, large);
    }
    assert_in_range(pl_token_cache_count(c), 8, 12);
    assert_true(has(c, set, "99", large));
    pl_token_cache_free(c);

    c = pl_token_cache_new(1000, 2000);
    keep(c, set, "a", large); /* more than an eighth of it */
    assert_int_equal(pl_token_cache_count(c), 0);
    pl_token_cache_free(c);
    c = pl_token_cache_new(0, 10000);
    keep(c, set, "a", "A");
    assert_false(has(c, set, "a", "A"));
    pl_token_cache_free(c);
    pl_jwk_set_unref(set);
}

static void test_no_memory(void **state)
{
    pl_jwk_set *set = keys();
    failing a = {0};
    while (failing_next(&a)) {
        failing_begin(&a);
        pl_token_cache *c = pl_token_cache_new(10, 10000);
        if (c)
            keep(c, set, "a", "A");
        bool failed = failing_end(&a);
        assert_int_equal(c && has(c, set, "a", "A"), !failed);
        pl_token_cache_free(c);
    }
    pl_jwk_set_unref(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_it_keeps),
        cmocka_unit_test(test_keys_change),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
