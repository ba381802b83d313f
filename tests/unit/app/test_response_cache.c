/* SPDX-License-Identifier: MIT */
/* The cache that all workers share. What a service makes of it is tested in graphql/test_cache_responses.c.
 */
#include "app/response_cache.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/failing.h"

#define SIZE ((size_t)32 << 20)

static void put(gql_cache_storage *s, const char *name, uint64_t tag, uint64_t mark)
{
    gql_cache_key key;
    gql_cache_tags tags = {.items = &tag, .count = 1};
    gql_cached *c = gql_cached_new(pl_str_of(name), 10, false, 0);
    assert_non_null(c);
    s->digest(s->data, pl_str_of(name), &key);
    s->put(s->data, s->generation, &key, c, &tags, mark, 0);
    gql_cached_unref(c);
}

static bool has(gql_cache_storage *s, const char *name)
{
    gql_cache_key key;
    s->digest(s->data, pl_str_of(name), &key);
    gql_cached *c = s->get(s->data, &key, 0);
    gql_cached_unref(c);
    return c != NULL;
}

static void test_size(void **state)
{
    pl_response_cache *cache = pl_response_cache_new();
    gql_cache_storage s = pl_response_cache_storage(cache, 1);
    put(&s, "early", 1, 0); /* it has no size yet */
    assert_false(has(&s, "early"));
    static const size_t sizes[] = {1 << 20, SIZE, (size_t)1 << 30};
    for (size_t i = 0; i < 3; i++) {
        pl_response_cache_configure(cache, 1, sizes[i]);
        size_t max = pl_response_cache_get_stats(cache).max_bytes;
        assert_true(max <= sizes[i] && max > sizes[i] - 16);
        put(&s, "one", 1, s.mark(s.data));
        assert_true(has(&s, "one"));
    }
    pl_response_cache_configure(cache, 2, 0);
    assert_int_equal(pl_response_cache_get_stats(cache).entries, 0);
    put(&s, "one", 1, s.mark(s.data));
    assert_false(has(&s, "one"));
    pl_response_cache_free(cache);
    pl_response_cache_free(NULL);
}

static void test_marks(void **state)
{
    pl_response_cache *cache = pl_response_cache_new();
    gql_cache_storage s = pl_response_cache_storage(cache, 1);
    uint64_t tags[] = {5, 7};
    pl_response_cache_configure(cache, 1, SIZE);
    uint64_t mark = s.mark(s.data);
    assert_int_equal(pl_response_cache_purge(cache, &(gql_cache_tags){tags, 2}), 0);
    put(&s, "five", 5, mark);
    put(&s, "six", 6, mark);
    put(&s, "seven", 7, mark);
    assert_false(has(&s, "five"));
    assert_true(has(&s, "six"));
    assert_false(has(&s, "seven"));
    put(&s, "five", 5, s.mark(s.data));
    assert_true(has(&s, "five"));
    assert_int_equal(pl_response_cache_purge(cache, &(gql_cache_tags){tags, 2}), 1);
    mark = s.mark(s.data);
    assert_int_equal(pl_response_cache_purge_all(cache), 1);
    put(&s, "six", 6, mark);
    assert_false(has(&s, "six"));
    pl_response_cache_stats stats = pl_response_cache_get_stats(cache);
    assert_int_equal(stats.purged, 2);
    assert_int_equal(stats.refused, 3);
    assert_int_equal(stats.stored, 2);
    pl_response_cache_free(cache);
}

/* Writers put what they have "read" before; a purger raises the version that may be seen. No entry may be
 * older than the last purge that had returned when it was looked up. */
typedef struct race {
    pl_response_cache *cache;
    _Atomic uint64_t version; /* of the data behind the cache */
    _Atomic uint64_t floor;   /* purged: nothing older may be found */
    atomic_bool over;
    atomic_uint stale, found;
} race;

static void *reader(void *data)
{
    race *r = data;
    gql_cache_storage s = pl_response_cache_storage(r->cache, 1);
    uint64_t tag = 42;
    gql_cache_key key;
    s.digest(s.data, PL_STR("the key"), &key);
    while (!atomic_load(&r->over)) {
        uint64_t least = atomic_load(&r->floor), mark = s.mark(s.data);
        gql_cached *c = s.get(s.data, &key, 0);
        uint64_t version;
        if (c) {
            memcpy(&version, c->body.ptr, sizeof version);
            atomic_fetch_add(&r->found, 1);
            if (version < least)
                atomic_fetch_add(&r->stale, 1);
        } else {
            version = atomic_load(&r->version);
            sched_yield(); /* what is executed takes its time */
            c = gql_cached_new((pl_str){(char *)&version, sizeof version}, 10, false, 0);
            if (c)
                s.put(s.data, 1, &key, c, &(gql_cache_tags){&tag, 1}, mark, 0);
        }
        gql_cached_unref(c);
    }
    return NULL;
}

static void test_purges_beside_readers(void **state)
{
    race r = {.cache = pl_response_cache_new()};
    pthread_t threads[3];
    uint64_t tag = 42;
    pl_response_cache_configure(r.cache, 1, SIZE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &r), 0);
    for (int i = 0; i < 20000 || atomic_load(&r.found) < 1000; i++) {
        uint64_t now = atomic_fetch_add(&r.version, 1) + 1;
        if (i % 10 == 0)
            pl_response_cache_purge_all(r.cache);
        else
            pl_response_cache_purge(r.cache, &(gql_cache_tags){&tag, 1});
        atomic_store(&r.floor, now);
    }
    atomic_store(&r.over, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(r.stale, 0);
    pl_response_cache_free(r.cache);
}

static void test_short_of_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        failing_begin(&a);
        pl_response_cache *cache = pl_response_cache_new();
        assert_int_equal(cache == NULL, failing_end(&a));
        pl_response_cache_free(cache);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_purges_beside_readers),
        cmocka_unit_test(test_short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
