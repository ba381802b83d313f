/* SPDX-License-Identifier: MIT */
/* Responses by key, bounded, with tags. */
#include "graphql/cache/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing.h"

#define SIZE ((size_t)64 << 10)

static gql_cache_key key_of(unsigned n)
{
    gql_cache_key key = {{0}};
    /* The first bytes are the hash: spread, as those of a digest are. */
    unsigned long long spread = n * 0x9E3779B97F4A7C15u;
    memcpy(key.bytes, &spread, sizeof spread);
    memcpy(key.bytes + 8, &n, sizeof n);
    return key;
}

static bool put_tagged(gql_store *s, unsigned n, const char *body, uint32_t max_age, uint64_t now,
                       const uint64_t *tags, size_t count)
{
    gql_cache_key key = key_of(n);
    gql_cached *c = gql_cached_new(pl_str_of(body), max_age, false, now);
    assert_non_null(c);
    bool ok = gql_store_put(s, &key, c, tags, count, now);
    gql_cached_unref(c);
    return ok;
}

static bool put(gql_store *s, unsigned n, const char *body, uint32_t max_age, uint64_t now)
{
    return put_tagged(s, n, body, max_age, now, NULL, 0);
}

/* NULL: nothing is expected. */
static void expect(gql_store *s, unsigned n, uint64_t now, const char *body)
{
    gql_cache_key key = key_of(n);
    gql_cached *c = gql_store_get(s, &key, now);
    if (!body) {
        assert_null(c);
        return;
    }
    assert_non_null(c);
    assert_int_equal(c->body.len, strlen(body));
    assert_memory_equal(c->body.ptr, body, c->body.len);
    gql_cached_unref(c);
}

static bool has(gql_store *s, unsigned n, uint64_t now)
{
    gql_cache_key key = key_of(n);
    gql_cached *c = gql_store_get(s, &key, now);
    gql_cached_unref(c);
    return c != NULL;
}

static void test_get_and_put(void **state)
{
    gql_store *s = gql_store_new(SIZE);
    expect(s, 1, 0, NULL);
    assert_true(put(s, 1, "one", 10, 1000));
    assert_true(put(s, 2, "two", 10, 1000));
    assert_true(put(s, 3, "", 10, 1000));
    expect(s, 1, 1000, "one");
    expect(s, 2, 1000, "two");
    expect(s, 3, 1000, "");
    assert_true(put(s, 1, "uno", 10, 1000));
    expect(s, 1, 1000, "uno");
    assert_int_equal(gql_store_get_stats(s).entries, 3);
    assert_int_equal(gql_store_clear(s), 3);
    expect(s, 1, 1000, NULL);
    assert_int_equal(gql_store_get_stats(s).bytes, 0);
    gql_store_free(s);
    gql_store_free(NULL);
}

static void test_a_response_outlives_its_entry(void **state)
{
    gql_store *s = gql_store_new(SIZE);
    gql_cache_key key = key_of(1);
    put(s, 1, "kept", 10, 0);
    gql_cached *c = gql_store_get(s, &key, 0);
    gql_store_free(s);
    assert_memory_equal(c->body.ptr, "kept", 4);
    gql_cached_unref(c);
}

static void test_expiry(void **state)
{
    gql_store *s = gql_store_new(SIZE);
    put(s, 1, "one", 10, 1000);
    put(s, 2, "none", 0, 1000);
    expect(s, 1, 10999, "one");
    expect(s, 2, 1000, NULL);
    expect(s, 1, 11000, NULL);
    assert_int_equal(gql_store_get_stats(s).entries, 0);
    assert_int_equal(gql_store_get_stats(s).expired, 2);
    gql_store_free(s);
}

/* Nobody asks for what has expired; new entries pay for its removal. */
static void test_expired_entries_are_swept(void **state)
{
    gql_store *s = gql_store_new(SIZE);
    for (unsigned i = 0; i < 40; i++)
        put(s, i, "short", 1, 0);
    for (unsigned i = 100; i < 120; i++)
        put(s, i, "long", 1000, 2000);
    assert_int_equal(gql_store_get_stats(s).entries, 20);
    assert_int_equal(gql_store_get_stats(s).expired, 40);
    for (unsigned i = 100; i < 120; i++)
        expect(s, i, 2000, "long");
    gql_store_free(s);
}

static void test_least_recently_used_goes(void **state)
{
    gql_store *s = gql_store_new(SIZE);
    char body[1000];
    memset(body, 'x', sizeof body);
    body[sizeof body - 1] = '\0';
    unsigned n = 0;
    while (gql_store_get_stats(s).evicted == 0) {
        assert_true(put(s, n++, body, 100, 0));
        assert_true(has(s, 0, 0)); /* always used */
        assert_true(gql_store_get_stats(s).bytes <= SIZE);
    }
    assert_in_range(n, 40, 64);
    assert_false(has(s, 1, 0));
    assert_true(has(s, 2, 0));
    gql_store_resize(s, SIZE / 4);
    assert_true(gql_store_get_stats(s).bytes <= SIZE / 4);
    assert_true(has(s, 2, 0)); /* the one used last */
    assert_false(has(s, 3, 0));
    gql_store_resize(s, 0);
    assert_int_equal(gql_store_get_stats(s).entries, 0);
    assert_false(put(s, 1, "x", 100, 0));
    gql_store_free(s);
}

static void test_too_large(void **state)
{
    gql_store *s = gql_store_new(SIZE);
    char *body = malloc(SIZE / 8 + 1);
    memset(body, 'x', SIZE / 8);
    body[SIZE / 8] = '\0';
    put(s, 1, "small", 100, 0);
    assert_false(put(s, 1, body, 100, 0));
    assert_false(has(s, 1, 0)); /* what it was to replace is old */
    /* Tags count, too. */
    uint64_t tags[1000];
    for (size_t i = 0; i < 1000; i++)
        tags[i] = i;
    assert_false(put_tagged(s, 1, "small", 100, 0, tags, 1000));
    assert_int_equal(gql_store_get_stats(s).bytes, 0);
    free(body);
    gql_store_free(s);
}

static void test_purge(void **state)
{
    gql_store *s = gql_store_new(SIZE);
    const uint64_t a[] = {1, 2}, b[] = {2, 3}, c[] = {3}, twice[] = {4, 4};
    put_tagged(s, 1, "a", 100, 0, a, 2);
    put_tagged(s, 2, "b", 100, 0, b, 2);
    put_tagged(s, 3, "c", 100, 0, c, 1);
    put_tagged(s, 4, "d", 100, 0, twice, 2);
    put(s, 5, "e", 100, 0);
    assert_int_equal(gql_store_purge(s, (const uint64_t[]){9}, 1), 0);
    assert_int_equal(gql_store_purge(s, (const uint64_t[]){2}, 1), 2);
    assert_false(has(s, 1, 0));
    assert_false(has(s, 2, 0));
    assert_true(has(s, 3, 0));
    assert_int_equal(gql_store_purge(s, (const uint64_t[]){1, 3, 4}, 3), 2);
    assert_int_equal(gql_store_get_stats(s).entries, 1);
    expect(s, 5, 0, "e");
    /* A replaced entry is not found by the tags of the old one. */
    put_tagged(s, 1, "a", 100, 0, a, 2);
    put_tagged(s, 1, "c", 100, 0, c, 1);
    assert_int_equal(gql_store_purge(s, a, 2), 0);
    expect(s, 1, 0, "c");
    gql_store_free(s);
}

/* Against a plain model: which keys there are, with which tag. */
static void test_many(void **state)
{
    enum { KEYS = 400 };
    struct {
        bool there;
        uint64_t tag;
    } model[KEYS] = {{0}};
    unsigned seed = 7;
    gql_store *s = gql_store_new((size_t)4 << 20);
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1103515245 + 12345;
        unsigned n = (seed >> 8) % KEYS, what = (seed >> 20) % 10;
        uint64_t tags[2] = {(seed >> 12) % 50, 1000 + n};
        if (what < 6) {
            assert_true(put_tagged(s, n, "x", 1000, 0, tags, 2));
            model[n].there = true;
            model[n].tag = tags[0];
        } else if (what < 9) {
            assert_int_equal(has(s, n, 0), model[n].there);
        } else {
            size_t expected = 0;
            for (unsigned i = 0; i < KEYS; i++) {
                if (model[i].there && model[i].tag == tags[0]) {
                    expected++;
                    model[i].there = false;
                }
            }
            assert_int_equal(gql_store_purge(s, tags, 1), expected);
        }
    }
    size_t left = 0;
    for (unsigned i = 0; i < KEYS; i++)
        left += model[i].there;
    assert_int_equal(gql_store_get_stats(s).entries, left);
    gql_store_clear(s);
    assert_int_equal(gql_store_get_stats(s).bytes, 0);
    gql_store_free(s);
}

static void test_short_of_memory(void **state)
{
    const uint64_t tags[] = {1, 2, 3};
    failing a = {0};
    while (failing_next(&a)) {
        failing_begin(&a);
        gql_store *s = gql_store_new(SIZE);
        gql_cached *c = gql_cached_new(PL_STR("body"), 10, false, 0);
        gql_cache_key key = key_of(1);
        bool kept = s && c && gql_store_put(s, &key, c, tags, 3, 0);
        assert_true(failing_end(&a) || kept);
        assert_int_equal(s && has(s, 1, 0), kept);
        if (s)
            assert_int_equal(gql_store_purge(s, tags + 2, 1), kept);
        gql_cached_unref(c);
        gql_store_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_and_put),
        cmocka_unit_test(test_a_response_outlives_its_entry),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_expired_entries_are_swept),
        cmocka_unit_test(test_least_recently_used_goes),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_purge),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
