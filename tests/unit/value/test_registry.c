/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "support/failing.h"
#include "value/registry.h"

static int alive;

typedef struct thing {
    pl_thing thing;
    int number;
} thing;

static void dispose(pl_thing *t)
{
    alive--;
    pl_free(t);
}

static pl_thing *make(void *arg)
{
    thing *t = pl_calloc(1, sizeof *t);
    if (!t)
        return NULL;
    alive++;
    t->thing.dispose = dispose;
    t->number = *(int *)arg;
    return &t->thing;
}

static thing *get(pl_registry *r, const char *kind, const char *name, int number)
{
    pl_error err;
    return (thing *)pl_registry_get(r, kind, pl_str_of(name), make, &number, &err);
}

static void test_names(void **state)
{
    pl_registry *r = pl_registry_new();
    thing *a = get(r, "k", "a", 1);
    assert_ptr_equal(get(r, "k", "a", 2), a);
    assert_int_equal(a->number, 1);
    assert_ptr_not_equal(get(r, "k", "b", 3), a);
    assert_ptr_not_equal(get(r, "l", "a", 4), a);
    assert_non_null(get(r, "k", "", 5));
    pl_registry_release(r, &a->thing);
    pl_registry_release(r, &a->thing);
    assert_ptr_equal(get(r, "k", "a", 6), a); /* nobody held it, and still it is there */
    assert_int_equal(alive, 4);
    pl_registry_free(r);
    pl_registry_free(NULL);
    assert_int_equal(alive, 0);
}

/* When there is no room, the one that was let go first gives up its place, and none that is held. */
static void test_room(void **state)
{
    pl_registry *r = pl_registry_new();
    char name[16];
    for (int i = 0; i < PL_MOST_THINGS; i++) {
        snprintf(name, sizeof name, "%d", i);
        get(r, "k", name, i);
    }
    pl_error err;
    int number = 0;
    assert_null(pl_registry_get(r, "k", PL_STR("x"), make, &number, &err));
    assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
    pl_registry_release(r, &get(r, "k", "7", 0)->thing); /* held twice */
    pl_registry_release(r, &get(r, "k", "7", 0)->thing);
    pl_registry_release(r, &get(r, "k", "8", 0)->thing);
    assert_null(get(r, "k", "x", 0));
    thing *seven = get(r, "k", "7", 0), *eight = get(r, "k", "8", 0);
    pl_registry_release(r, &eight->thing);
    pl_registry_release(r, &eight->thing);
    pl_registry_release(r, &seven->thing);
    pl_registry_release(r, &seven->thing);
    assert_int_equal(get(r, "k", "x", 1000)->number, 1000); /* in eight's place */
    assert_int_equal(alive, PL_MOST_THINGS);
    assert_ptr_equal(get(r, "k", "7", 0), seven);
    pl_registry_free(r);
    assert_int_equal(alive, 0);
}

static void *use(void *data)
{
    pl_registry *r = data;
    for (int i = 0; i < 5000; i++) {
        thing *t = get(r, "k", "same", 1);
        if (t)
            pl_registry_release(r, &t->thing);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pl_registry *r = pl_registry_new();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, r), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(alive, 1);
    pl_registry_free(r);
}

static void test_no_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        failing_begin(&a);
        pl_registry *r = pl_registry_new();
        thing *t = r ? get(r, "k", "a", 1) : NULL;
        assert_int_equal(failing_end(&a), !t);
        pl_registry_free(r);
        assert_int_equal(alive, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
