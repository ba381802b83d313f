/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing.h"
#include "value/shared.h"

static pl_value integer(int64_t v)
{
    return (pl_value){.kind = PL_KIND_INT, .integer = v};
}

static pl_value number(double v)
{
    return (pl_value){.kind = PL_KIND_FLOAT, .number = v};
}

static pl_value string(const char *s)
{
    return (pl_value){.kind = PL_KIND_STRING, .string = pl_str_of(s)};
}

typedef struct fixture {
    pl_shared *shared;
    pl_shared_dict *dict;
    pl_arena arena;
} fixture;

static fixture f;

static int set_up(void **state)
{
    f.shared = pl_shared_new(0);
    f.dict = pl_shared_dict_get(f.shared, PL_STR("d"), 0);
    pl_arena_init(&f.arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    pl_arena_dispose(&f.arena);
    pl_shared_free(f.shared);
    return 0;
}

static pl_code get(pl_str key, uint64_t now, pl_value *out)
{
    return pl_shared_get(f.dict, key, now, &f.arena, out);
}

static void stores_scalars(void **state)
{
    pl_value yes = {.kind = PL_KIND_BOOL, .boolean = true}, i = integer(INT64_MIN), d = number(0.5),
             s = string("text"), v;
    assert_int_equal(pl_shared_set(f.dict, PL_STR("b"), &yes, 1, 0), PL_OK);
    assert_int_equal(pl_shared_set(f.dict, PL_STR("i"), &i, 1, 0), PL_OK);
    assert_int_equal(pl_shared_set(f.dict, PL_STR("d"), &d, 1, 0), PL_OK);
    assert_int_equal(pl_shared_set(f.dict, PL_STR("s"), &s, 1, 0), PL_OK);
    assert_int_equal(pl_shared_set(f.dict, PL_STR(""), &s, 1, 0), PL_OK); /* the empty key is one */
    assert_int_equal(get(PL_STR("b"), 2, &v), PL_OK);
    assert_true(v.kind == PL_KIND_BOOL && v.boolean);
    assert_int_equal(get(PL_STR("i"), 2, &v), PL_OK);
    assert_true(v.kind == PL_KIND_INT && v.integer == INT64_MIN);
    assert_int_equal(get(PL_STR("d"), 2, &v), PL_OK);
    assert_true(v.kind == PL_KIND_FLOAT && v.number == 0.5);
    assert_int_equal(get(PL_STR(""), 2, &v), PL_OK);
    assert_int_equal(get(PL_STR("s"), 2, &v), PL_OK);
    assert_true(v.kind == PL_KIND_STRING && pl_str_is(v.string, "text"));
    assert_int_equal(get(PL_STR("x"), 2, &v), PL_NOT_FOUND);
    pl_value list = {.kind = PL_KIND_LIST};
    assert_int_equal(pl_shared_set(f.dict, PL_STR("l"), &list, 1, 0), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_shared_dict_stats(f.dict).entries, 5);
}

static void replaces_and_deletes(void **state)
{
    pl_value a = string("a"), b = integer(2), v;
    pl_shared_set(f.dict, PL_STR("k"), &a, 1, 0);
    size_t before = pl_shared_dict_stats(f.dict).bytes;
    pl_shared_set(f.dict, PL_STR("k"), &a, 1, 0);
    assert_int_equal(pl_shared_dict_stats(f.dict).bytes, before);
    pl_shared_set(f.dict, PL_STR("k"), &b, 1, 0);
    assert_int_equal(get(PL_STR("k"), 1, &v), PL_OK);
    assert_int_equal(v.integer, 2);
    assert_true(pl_shared_delete(f.dict, PL_STR("k")));
    assert_false(pl_shared_delete(f.dict, PL_STR("k")));
    pl_shared_set(f.dict, PL_STR("k"), &a, 1, 0);
    pl_shared_clear(f.dict);
    assert_int_equal(get(PL_STR("k"), 1, &v), PL_NOT_FOUND);
    assert_int_equal(pl_shared_dict_stats(f.dict).bytes, 0);
}

static void expires(void **state)
{
    pl_value a = string("a"), b = string("b"), v;
    pl_shared_set(f.dict, PL_STR("k"), &a, 1000, 50);
    assert_int_equal(get(PL_STR("k"), 1049, &v), PL_OK);
    assert_int_equal(pl_shared_add(f.dict, PL_STR("k"), &b, 1049, 0), PL_ALREADY_EXISTS);
    assert_int_equal(get(PL_STR("k"), 1050, &v), PL_NOT_FOUND);
    assert_int_equal(pl_shared_dict_stats(f.dict).bytes, 0);
    assert_int_equal(pl_shared_add(f.dict, PL_STR("k"), &a, 1050, 10), PL_OK);
    assert_int_equal(pl_shared_add(f.dict, PL_STR("k"), &b, 1060, 0), PL_OK);
    assert_int_equal(get(PL_STR("k"), UINT64_MAX, &v), PL_OK); /* the new one does not expire */
    assert_true(pl_str_is(v.string, "b"));
    pl_shared_set(f.dict, PL_STR("k"), &a, 1100, 10);
    pl_shared_set(f.dict, PL_STR("k"), &b, 1101, 0); /* the old time to live is gone with the old value */
    assert_int_equal(get(PL_STR("k"), 5000, &v), PL_OK);
    pl_shared_set(f.dict, PL_STR("far"), &a, 1, UINT64_MAX);
    assert_int_equal(get(PL_STR("far"), UINT64_MAX - 1, &v), PL_OK);
}

static void increments(void **state)
{
    pl_value one = integer(1), big = integer(INT64_MAX), half = number(0.5), ten = integer(10),
             text = string("t"), v;
    assert_int_equal(pl_shared_incr(f.dict, PL_STR("n"), &one, NULL, 1, 0, &v), PL_OK);
    assert_true(v.kind == PL_KIND_INT && v.integer == 1);
    assert_int_equal(pl_shared_incr(f.dict, PL_STR("n"), &big, NULL, 1, 0, &v), PL_OUT_OF_RANGE);
    assert_int_equal(pl_shared_incr(f.dict, PL_STR("n"), &half, NULL, 1, 0, &v), PL_OK);
    assert_true(v.kind == PL_KIND_FLOAT && v.number == 1.5);
    assert_int_equal(pl_shared_incr(f.dict, PL_STR("m"), &one, &ten, 100, 20, &v), PL_OK);
    assert_int_equal(v.integer, 11);
    assert_int_equal(pl_shared_incr(f.dict, PL_STR("m"), &one, &ten, 110, 20, &v), PL_OK);
    assert_int_equal(v.integer, 12);
    assert_int_equal(pl_shared_incr(f.dict, PL_STR("m"), &one, &ten, 120, 20, &v),
                     PL_OK); /* expired: from the beginning */
    assert_int_equal(v.integer, 11);
    pl_shared_set(f.dict, PL_STR("t"), &text, 1, 0);
    assert_int_equal(pl_shared_incr(f.dict, PL_STR("t"), &one, NULL, 1, 0, &v), PL_FAILED_PRECONDITION);
    assert_int_equal(pl_shared_incr(f.dict, PL_STR("n"), &text, NULL, 1, 0, &v), PL_INVALID_ARGUMENT);
}

static pl_str numbered(char out[16], int i)
{
    return (pl_str){out, (size_t)snprintf(out, 16, "key-%d", i)};
}

static void keeps_the_bound(void **state)
{
    pl_shared_dict *d = pl_shared_dict_get(f.shared, PL_STR("small"), 20000);
    char key[16], text[100];
    memset(text, 'x', sizeof(text));
    pl_value v = {.kind = PL_KIND_STRING, .string = {text, sizeof(text)}};
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(pl_shared_set(d, numbered(key, i), &v, 1, 0), PL_OK);
        assert_in_range(pl_shared_dict_stats(d).bytes, 1, 20000);
    }
    pl_shared_stats stats = pl_shared_dict_stats(d);
    assert_int_equal(stats.capacity, 20000);
    assert_int_equal(stats.entries + stats.evictions, 2000);
    assert_in_range(stats.entries, 50, 150);
    pl_value out;
    assert_int_equal(pl_shared_get(d, numbered(key, 1999), 1, &f.arena, &out), PL_OK);
    assert_int_equal(pl_shared_get(d, numbered(key, 0), 1, &f.arena, &out), PL_NOT_FOUND);
    char large[2501];
    memset(large, 'y', sizeof(large));
    pl_value too_large = {.kind = PL_KIND_STRING, .string = {large, sizeof(large)}};
    uint64_t before = stats.evictions;
    assert_int_equal(pl_shared_set(d, PL_STR("k"), &too_large, 1, 0), PL_RESOURCE_EXHAUSTED);
    assert_int_equal(pl_shared_dict_stats(d).evictions, before);
}

/* What is used stays; what has expired goes before anything that lives. */
static void evicts_in_order(void **state)
{
    pl_shared_dict *d = pl_shared_dict_get(f.shared, PL_STR("lru"), 20000);
    char key[16], text[100];
    memset(text, 'x', sizeof(text));
    pl_value v = {.kind = PL_KIND_STRING, .string = {text, sizeof(text)}}, out;
    enum { HOT = 20 };
    for (int hot = 0; hot < HOT; hot++)
        pl_shared_set(d, numbered(key, 5000 + hot), &v, 1, 0);
    for (int i = 0; i < 1000; i++) {
        pl_shared_set(d, numbered(key, i), &v, (uint64_t)i + 2, 0);
        for (int hot = 0; hot < HOT; hot++)
            assert_int_equal(pl_shared_get(d, numbered(key, 5000 + hot), (uint64_t)i + 3, &f.arena, &out),
                             PL_OK);
    }
    int entries = (int)pl_shared_dict_stats(d).entries;
    for (int i = 0; i < 999; i++) /* exactly the last ones are left */
        assert_int_equal(pl_shared_get(d, numbered(key, i), 2000, &f.arena, &out),
                         i >= 1000 - (entries - HOT) ? PL_OK : PL_NOT_FOUND);
    pl_shared_clear(d);
    for (int i = 0; i < 40; i++)
        pl_shared_set(d, numbered(key, i), &v, 1, 0);
    for (int i = 40; pl_shared_dict_stats(d).bytes + 1000 < 20000; i++)
        pl_shared_set(d, numbered(key, i), &v, 1, 10); /* expired at 11 */
    uint64_t evictions = pl_shared_dict_stats(d).evictions;
    for (int i = 1000; i < 1020; i++)
        pl_shared_set(d, numbered(key, i), &v, 100, 0);
    for (int i = 0; i < 40; i++)
        assert_int_equal(pl_shared_get(d, numbered(key, i), 100, &f.arena, &out), PL_OK);
    assert_int_equal(pl_shared_dict_stats(d).evictions, evictions);
}

static void dictionaries(void **state)
{
    assert_ptr_equal(pl_shared_dict_get(f.shared, PL_STR("d"), 5), f.dict);
    assert_int_equal(pl_shared_dict_stats(f.dict).capacity, 16 << 20);
    char name[16];
    for (int i = 1; i < 256; i++)
        assert_non_null(pl_shared_dict_get(f.shared, numbered(name, i), 5000));
    assert_null(pl_shared_dict_get(f.shared, PL_STR("one more"), 0));
    assert_ptr_equal(pl_shared_dict_get(f.shared, PL_STR("d"), 0), f.dict);
}

static void out_of_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        failing_begin(&a);
        pl_shared *shared = pl_shared_new(0);
        pl_shared_dict *d = shared ? pl_shared_dict_get(shared, PL_STR("d"), 0) : NULL;
        if (d) {
            char key[16];
            pl_value v = string("value"), out;
            int stored = 0;
            for (int i = 0; i < 300; i++)
                stored += pl_shared_set(d, numbered(key, i % 200), &v, 1, i % 2 ? 50 : 0) == PL_OK;
            assert_in_range(stored, 299, 300);
            pl_arena arena;
            pl_arena_init(&arena, 0);
            pl_code code = pl_shared_get(d, numbered(key, 5), 1, &arena, &out);
            assert_true(code == PL_OK || code == PL_RESOURCE_EXHAUSTED || code == PL_NOT_FOUND);
            pl_arena_dispose(&arena);
        }
        failing_end(&a);
        pl_shared_free(shared);
    }
}

enum { THREADS = 4, TURNS = 5000 };

static void *worker(void *data)
{
    pl_shared_dict *d = data;
    pl_value one = integer(1), v, text = string("a value that is somewhat longer than a pointer");
    pl_arena arena;
    pl_arena_init(&arena, 0);
    long errors = 0;
    for (int i = 0; i < TURNS; i++) {
        char key[16];
        uint64_t now = (uint64_t)i;
        errors += pl_shared_incr(d, PL_STR("count"), &one, NULL, now, 0, &v) != PL_OK;
        errors += pl_shared_set(d, numbered(key, i % 300), &text, now, (uint64_t)(i % 3)) != PL_OK;
        pl_code code = pl_shared_get(d, numbered(key, (i * 7) % 300), now, &arena, &v);
        errors += code == PL_OK ? !pl_str_eq(v.string, text.string) : code != PL_NOT_FOUND;
        if (i % 50 == 0)
            pl_shared_delete(d, numbered(key, i % 300));
        if (i % 64 == 0)
            pl_arena_reset(&arena);
    }
    pl_arena_dispose(&arena);
    return (void *)errors;
}

static void threads(void **state)
{
    pl_shared_dict *small = pl_shared_dict_get(f.shared, PL_STR("small"), 15000);
    pl_shared_dict *both[] = {f.dict, small};
    for (int round = 0; round < 2; round++) {
        pthread_t ids[THREADS];
        for (int i = 0; i < THREADS; i++)
            pthread_create(&ids[i], NULL, worker, both[round]);
        for (int i = 0; i < THREADS; i++) {
            void *errors;
            pthread_join(ids[i], &errors);
            assert_null(errors);
        }
    }
    pl_value v;
    assert_int_equal(get(PL_STR("count"), TURNS, &v), PL_OK);
    assert_int_equal(v.integer, THREADS * TURNS);
    assert_in_range(pl_shared_dict_stats(small).bytes, 1, 15000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stores_scalars), TEST(replaces_and_deletes), TEST(expires),
        TEST(increments),     TEST(keeps_the_bound),      TEST(evicts_in_order),
        TEST(dictionaries),   TEST(out_of_memory),        TEST(threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
