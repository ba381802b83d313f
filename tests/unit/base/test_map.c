/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/map.h"
#include "support/failing.h"

#define MANY 20000

static char names[MANY][16];

static int make_names(void **state)
{
    for (int i = 0; i < MANY; i++)
        snprintf(names[i], sizeof(names[i]), "key%d", i);
    return 0;
}

static pl_str name(int i)
{
    return pl_str_of(names[i]);
}

static void an_empty_map_has_nothing(void **state)
{
    pl_map map = {0};
    assert_null(pl_map_get(&map, PL_STR("a")));
    assert_false(pl_map_has(&map, PL_STR("")));
    assert_null(pl_map_remove(&map, PL_STR("a")));
    pl_map_clear(&map);
    pl_map_dispose(&map);
}

static void holds_many_in_order(void **state)
{
    pl_map map;
    pl_map_init(&map);
    for (int i = 0; i < MANY; i++)
        assert_true(pl_map_set(&map, name(i), names[i]));
    assert_int_equal(map.count, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_ptr_equal(pl_map_get(&map, name(i)), names[i]);
        assert_ptr_equal(map.entries[i].value, names[i]);
    }
    assert_null(pl_map_get(&map, PL_STR("key")));
    pl_map_clear(&map);
    assert_int_equal(map.count, 0);
    assert_null(pl_map_get(&map, name(0)));
    assert_true(pl_map_set(&map, name(0), names[0]));
    assert_ptr_equal(pl_map_get(&map, name(0)), names[0]);
    pl_map_dispose(&map);
}

static void set_replaces(void **state)
{
    pl_map map;
    pl_map_init(&map);
    char copy[] = "key5";
    for (int i = 0; i < 10; i++)
        assert_true(pl_map_set(&map, name(i), NULL));
    assert_true(pl_map_has(&map, name(5)));
    assert_null(pl_map_get(&map, name(5)));
    assert_true(pl_map_set(&map, pl_str_of(copy), copy));
    assert_int_equal(map.count, 10);
    assert_ptr_equal(map.entries[5].key.ptr, copy);
    assert_ptr_equal(pl_map_get(&map, name(5)), copy);
    pl_map_dispose(&map);
}

static void empty_and_binary_keys(void **state)
{
    pl_map map;
    int a, b, c;
    pl_map_init(&map);
    assert_true(pl_map_set(&map, PL_STR_NONE, &a));
    assert_true(pl_map_set(&map, PL_STR("x\0y"), &b));
    assert_true(pl_map_set(&map, PL_STR("x\0z"), &c));
    assert_ptr_equal(pl_map_get(&map, PL_STR("")), &a);
    assert_ptr_equal(pl_map_get(&map, PL_STR("x\0y")), &b);
    assert_ptr_equal(pl_map_get(&map, PL_STR("x\0z")), &c);
    assert_null(pl_map_get(&map, PL_STR("x")));
    pl_map_dispose(&map);
}

static void removal_keeps_the_others(void **state)
{
    pl_map map;
    pl_map_init(&map);
    for (int i = 0; i < MANY; i++)
        assert_true(pl_map_set(&map, name(i), names[i]));
    for (int i = 0; i < MANY; i += 3) {
        assert_ptr_equal(pl_map_remove(&map, name(i)), names[i]);
        assert_null(pl_map_remove(&map, name(i)));
    }
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(pl_map_get(&map, name(i)), i % 3 == 0 ? NULL : names[i]);
    assert_int_equal(map.count, MANY - (MANY + 2) / 3);
    for (size_t i = 0; i < map.count; i++)
        assert_ptr_equal(pl_map_get(&map, map.entries[i].key), map.entries[i].value);
    for (int i = 0; i < MANY; i++)
        pl_map_remove(&map, name(i));
    assert_int_equal(map.count, 0);
    pl_map_dispose(&map);
}

static void the_last_entry_fills_the_hole(void **state)
{
    pl_map map;
    pl_map_init(&map);
    for (int i = 0; i < 5; i++)
        assert_true(pl_map_set(&map, name(i), names[i]));
    pl_map_remove(&map, name(1));
    assert_ptr_equal(map.entries[0].value, names[0]);
    assert_ptr_equal(map.entries[1].value, names[4]);
    assert_ptr_equal(map.entries[2].value, names[2]);
    assert_ptr_equal(map.entries[3].value, names[3]);
    assert_int_equal(map.count, 4);
    pl_map_dispose(&map);
}

/* Random operations, compared with an array of flags. */
static void agrees_with_a_model(void **state)
{
    pl_map map;
    bool present[64] = {false};
    uint32_t random = 12345;
    size_t count = 0;
    pl_map_init(&map);
    for (int step = 0; step < 100000; step++) {
        random = random * 1664525 + 1013904223;
        int i = (int)(random >> 16) % 64;
        if (random >> 31) {
            assert_true(pl_map_set(&map, name(i), names[i]));
            count += !present[i];
            present[i] = true;
        } else {
            assert_ptr_equal(pl_map_remove(&map, name(i)), present[i] ? names[i] : NULL);
            count -= present[i];
            present[i] = false;
        }
        assert_int_equal(map.count, count);
        i = (i + 7) % 64;
        assert_int_equal(pl_map_has(&map, name(i)), present[i]);
    }
    pl_map_dispose(&map);
}

static void a_failed_set_changes_nothing(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_map map;
        int failures = 0;
        pl_map_init(&map);
        failing_begin(&a);
        for (int i = 0; i < 100; i++) {
            size_t count = map.count;
            if (!pl_map_set(&map, name(i), names[i])) {
                failures++;
                assert_int_equal(map.count, count);
                assert_false(pl_map_has(&map, name(i)));
                assert_true(pl_map_set(&map, name(i), names[i]));
            }
        }
        assert_int_equal(failures, failing_end(&a) ? 1 : 0);
        for (int i = 0; i < 100; i++)
            assert_ptr_equal(pl_map_get(&map, name(i)), names[i]);
        pl_map_dispose(&map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(holds_many_in_order),
        cmocka_unit_test(set_replaces),
        cmocka_unit_test(empty_and_binary_keys),
        cmocka_unit_test(removal_keeps_the_others),
        cmocka_unit_test(the_last_entry_fills_the_hole),
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(a_failed_set_changes_nothing),
    };
    return cmocka_run_group_tests(tests, make_names, NULL);
}
