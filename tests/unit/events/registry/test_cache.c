/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "events/registry/cache.h"
#include "support/failing.h"

static pl_schema_cache *get(pl_registry *registry, const char *name)
{
    pl_error err = {0};
    pl_schema_cache *cache = pl_schema_cache_get(registry, pl_str_of(name), &err);
    assert_non_null(cache);
    return cache;
}

static bool find(pl_schema_cache *cache, const char *key, uint64_t now, pl_schema_answer *out)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    bool found = pl_schema_cache_find(cache, pl_str_of(key), now, &arena, out);
    pl_arena_dispose(&arena);
    return found;
}

static void test_answers_are_kept_for_all_who_ask_this_registry(void **state)
{
    pl_registry *registry = pl_registry_new();
    pl_schema_cache *one = get(registry, "a"), *same = get(registry, "a"), *other = get(registry, "b");
    const pl_schema_answer answer = {.id = 7, .version = 2, .text = PL_STR("text")};
    pl_schema_answer found;
    pl_arena arena;
    assert_ptr_equal(one, same);
    pl_schema_cache_put(one, PL_STR("k"), &answer, 100, 0);
    pl_schema_cache_release(registry, one);
    pl_schema_cache_release(registry, same);
    one = get(registry, "a");
    pl_arena_init(&arena, 0);
    assert_true(pl_schema_cache_find(one, PL_STR("k"), UINT64_MAX, &arena, &found));
    assert_int_equal(found.id, 7);
    assert_int_equal(found.version, 2);
    assert_true(pl_str_is(found.text, "text"));
    assert_null(found.why.ptr);
    pl_arena_dispose(&arena);
    assert_false(find(other, "k", 100, &found));
    assert_false(find(one, "j", 100, &found));
    pl_schema_cache_release(registry, one);
    pl_schema_cache_release(registry, other);
    pl_registry_free(registry);
}

static void test_that_there_is_none_is_believed_for_a_while(void **state)
{
    pl_registry *registry = pl_registry_new();
    pl_schema_cache *cache = get(registry, "a");
    const pl_schema_answer none = {.missing = true, .why = PL_STR("no")}, some = {.id = 1};
    pl_schema_answer found;
    pl_schema_cache_put(cache, PL_STR("k"), &none, 1000, 500);
    assert_true(find(cache, "k", 1499, &found));
    assert_true(found.missing);
    assert_false(find(cache, "k", 1500, &found));
    pl_schema_cache_put(cache, PL_STR("k"), &some, 1500, 0);
    assert_true(find(cache, "k", 9999, &found));
    assert_false(found.missing);
    pl_schema_cache_release(registry, cache);
    pl_registry_free(registry);
}

static void test_the_oldest_go_when_there_are_too_many(void **state)
{
    pl_registry *registry = pl_registry_new();
    pl_schema_cache *cache = get(registry, "a");
    pl_schema_answer answer = {.id = 1}, found;
    char key[32];
    for (int i = 0; i < PL_SCHEMA_CACHE_ENTRIES + 10; i++) {
        snprintf(key, sizeof key, "%d", i);
        pl_schema_cache_put(cache, pl_str_of(key), &answer, 0, 0);
        /* One that is replaced all the time takes nobody's place, and is as new as it can be. */
        pl_schema_cache_put(cache, PL_STR("often"), &answer, 0, 0);
    }
    assert_false(find(cache, "10", 0, &found));
    assert_true(find(cache, "11", 0, &found));
    assert_true(find(cache, "often", 0, &found));
    size_t large = PL_SCHEMA_CACHE_BYTES / 2;
    char *text = calloc(1, large * 3);
    assert_non_null(text);
    answer.text = (pl_str){text, large * 3};
    pl_schema_cache_put(cache, PL_STR("too large"), &answer, 0, 0);
    assert_false(find(cache, "too large", 0, &found));
    assert_true(find(cache, "often", 0, &found));
    answer.text.len = large;
    pl_schema_cache_put(cache, PL_STR("large"), &answer, 0, 0);
    pl_schema_cache_put(cache, PL_STR("large too"), &answer, 0, 0);
    assert_false(find(cache, "large", 0, &found));
    assert_true(find(cache, "large too", 0, &found));
    free(text);
    pl_schema_cache_release(registry, cache);
    pl_registry_free(registry);
}

static void test_without_memory(void **state)
{
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        pl_registry *registry = pl_registry_new();
        pl_schema_cache *cache = get(registry, "a");
        const pl_schema_answer answer = {.id = 3, .text = PL_STR("text")};
        pl_schema_answer found = {0};
        failing_begin(&a);
        pl_schema_cache_put(cache, PL_STR("k"), &answer, 0, 0);
        bool known = find(cache, "k", 0, &found);
        if (!failing_end(&a))
            assert_true(known);
        if (known)
            assert_int_equal(found.id, 3);
        pl_schema_cache_release(registry, cache);
        pl_registry_free(registry);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_kept_for_all_who_ask_this_registry),
        cmocka_unit_test(test_that_there_is_none_is_believed_for_a_while),
        cmocka_unit_test(test_the_oldest_go_when_there_are_too_many),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
