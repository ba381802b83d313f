/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/failing.h"
#include "value/token_bucket.h"

static const pl_bucket ten = {.capacity = 10, .refill = 2};
static const pl_str key = PL_STR("client");

static pl_shared_dict *dict_of(void **state)
{
    return pl_shared_dict_get(*state, PL_STR("buckets"), 0);
}

static int setup(void **state)
{
    *state = pl_shared_new(0);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    pl_shared_free(*state);
    return 0;
}

static pl_bucket_state take(void **state, pl_str name, double tokens, uint64_t now)
{
    pl_bucket_state out;
    assert_int_equal(pl_bucket_take(dict_of(state), name, &ten, tokens, now, &out), PL_OK);
    return out;
}

static void expect_taken(void **state, double tokens, uint64_t now, int left)
{
    pl_bucket_state out = take(state, key, tokens, now);
    assert_true(out.taken);
    assert_int_equal((int)(out.left + 1e-3), left);
}

static void expect_refused(void **state, double tokens, uint64_t now, int left, uint64_t retry)
{
    pl_bucket_state out = take(state, key, tokens, now);
    assert_false(out.taken);
    assert_int_equal((int)(out.left + 1e-3), left);
    assert_int_equal(out.retry_after_ms, retry);
}

static void test_taking_and_refilling(void **state)
{
    expect_taken(state, 4, 1000, 6); /* it begins full */
    expect_taken(state, 6, 1000, 0);
    expect_refused(state, 1, 1000, 0, 500);
    expect_refused(state, 10, 1000, 0, 5000);
    expect_taken(state, 1, 1500, 0);
    expect_refused(state, 3, 2000, 1, 1000); /* what was refused has taken nothing */
    expect_taken(state, 3, 3000, 0);
    expect_taken(state, 0, 60000, 10); /* no more than it holds */
    expect_taken(state, 10, 60000, 0);
}

static void test_retry_after_is_enough(void **state)
{
    uint64_t now = 12345;
    take(state, key, 10, now);
    for (int i = 1; i < 10; i++) {
        pl_bucket_state out = take(state, key, i + 0.3, now);
        assert_false(out.taken);
        now += out.retry_after_ms;
        assert_false(take(state, key, i + 0.3, now - 2).taken);
        assert_true(take(state, key, i + 0.3, now).taken);
    }
}

static void test_more_than_it_holds(void **state)
{
    expect_refused(state, 10.5, 1000, 10, UINT64_MAX);
    expect_taken(state, 10, 1000, 0);
}

static void test_fractions(void **state)
{
    for (int i = 0; i < 100; i++)
        assert_true(take(state, key, 0.1, 1000).taken);
    assert_false(take(state, key, 0.1, 1000).taken);
}

static void test_keys_are_apart(void **state)
{
    take(state, PL_STR("a"), 10, 1000);
    assert_true(take(state, PL_STR("b"), 10, 1000).taken);
    assert_false(take(state, PL_STR("a"), 1, 1000).taken);
}

/* Somebody raises the limit because clients run into it: they do not wait for what the old one took from
 * them. */
static void test_another_capacity_and_rate(void **state)
{
    static const pl_bucket slow = {.capacity = 1000, .refill = 0.5},
                           fast = {.capacity = 2000, .refill = 1000};
    pl_bucket_state out;
    pl_shared_dict *dict = dict_of(state);
    assert_int_equal(pl_bucket_take(dict, key, &slow, 1000, 1000, &out), PL_OK); /* full again in 2,000 s */
    assert_int_equal(pl_bucket_take(dict, key, &fast, 500, 1000, &out), PL_OK);
    assert_false(out.taken);
    assert_int_equal(out.left, 0);
    assert_int_equal(out.retry_after_ms, 500);
    assert_int_equal(pl_bucket_take(dict, key, &fast, 500, 1499, &out), PL_OK);
    assert_false(out.taken);
    assert_int_equal(pl_bucket_take(dict, key, &fast, 500, 1500, &out), PL_OK);
    assert_true(out.taken);
    assert_int_equal(pl_bucket_take(dict, key, &fast, 2000, 3500, &out), PL_OK);
    assert_true(out.taken);
}

/* A bucket that is full again is forgotten, and one that is not stays, whatever is taken in between. */
static void test_full_buckets_take_no_memory(void **state)
{
    take(state, key, 2, 1000);
    take(state, key, 2, 1500);
    pl_shared_set(dict_of(state), PL_STR("other"), &(pl_value){.kind = PL_KIND_INT}, 2900, 0);
    assert_int_equal(pl_shared_dict_stats(dict_of(state)).entries, 2);
    pl_arena arena;
    pl_value value;
    pl_arena_init(&arena, 0);
    assert_int_equal(pl_shared_get(dict_of(state), key, 2900, &arena, &value), PL_OK);
    assert_int_equal(pl_shared_get(dict_of(state), key, 3100, &arena, &value), PL_NOT_FOUND);
    pl_arena_dispose(&arena);
}

/* Something else at the key: a bucket takes its place. */
static void test_foreign_values(void **state)
{
    pl_value text = {.kind = PL_KIND_STRING, .string = PL_STR("text")};
    pl_value flag = {.kind = PL_KIND_BOOL, .boolean = true};
    pl_shared_set(dict_of(state), key, &text, 1000, 0);
    expect_taken(state, 4, 1000, 6);
    expect_taken(state, 4, 1000, 2);
    pl_shared_set(dict_of(state), key, &flag, 1000, 0);
    expect_taken(state, 4, 1000, 6);
}

/* Workers whose clocks were read at different moments. */
static void test_time_going_back(void **state)
{
    expect_taken(state, 4, 2000, 6);
    expect_taken(state, 1, 1999, 4);
    expect_taken(state, 0, 2000, 5);
}

typedef struct taker {
    pl_shared_dict *dict;
    unsigned taken;
} taker;

static void *take_many(void *data)
{
    static const pl_bucket bucket = {.capacity = 20000, .refill = 0.001};
    taker *t = data;
    for (int i = 0; i < 10000; i++) {
        pl_bucket_state out;
        if (pl_bucket_take(t->dict, key, &bucket, 1, 1000, &out) == PL_OK)
            t->taken += out.taken;
    }
    return NULL;
}

static void test_threads(void **state)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    taker takers[THREADS];
    unsigned taken = 0;
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (taker){dict_of(state), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &takers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        taken += takers[i].taken;
    }
    assert_int_equal(taken, 20000);
}

static void test_no_memory(void **state)
{
    pl_shared_dict *dict = dict_of(state);
    failing a = {0};
    while (failing_next(&a)) {
        pl_bucket_state out;
        pl_shared_clear(dict);
        failing_begin(&a);
        pl_code code = pl_bucket_take(dict, key, &ten, 1, 1000, &out);
        assert_true(failing_end(&a) ? code == PL_OK || code == PL_RESOURCE_EXHAUSTED : code == PL_OK);
    }
    expect_taken(state, 4, 1000, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_taking_and_refilling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retry_after_is_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_than_it_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fractions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys_are_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_capacity_and_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_buckets_take_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_going_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
