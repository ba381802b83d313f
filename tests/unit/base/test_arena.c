/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/arena.h"

static void memory_is_aligned_and_apart(void **state)
{
    pl_arena arena;
    pl_arena_init(&arena, 256);
    unsigned char *blocks[500];
    for (size_t i = 0; i < 500; i++) {
        blocks[i] = pl_arena_alloc(&arena, i);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)(i & 0xFF), i);
    }
    for (size_t i = 0; i < 500; i++) {
        for (size_t j = 0; j < i; j++)
            assert_int_equal(blocks[i][j], i & 0xFF);
    }
    assert_true(blocks[0] != blocks[1]);
    pl_arena_dispose(&arena);
    assert_int_equal(arena.used, 0);
}

static void nothing_is_taken_before_the_first_use(void **state)
{
    pl_arena arena;
    pl_alloc_fail_at(0, 0);
    pl_arena_init(&arena, 0);
    assert_int_equal(arena.used, 0);
    pl_arena_dispose(&arena);
    assert_int_equal(pl_alloc_fail_at(0, 0), 0);
}

static void chunks_double_up_to_a_megabyte(void **state)
{
    pl_arena arena;
    pl_arena_init(&arena, 4096);
    pl_alloc_fail_at(0, 0);
    for (size_t i = 0; i < 16 * 1024 * 1024 / 64; i++)
        assert_non_null(pl_arena_alloc(&arena, 64));
    size_t made = pl_alloc_fail_at(0, 0);
    assert_in_range(made, 16, 28);
    assert_in_range(arena.used, 16u << 20, 18u << 20);
    pl_arena_dispose(&arena);
}

static void a_large_request_leaves_the_chunk_in_use(void **state)
{
    pl_arena arena;
    pl_arena_init(&arena, 4096);
    char *a = pl_arena_alloc(&arena, 32);
    char *large = pl_arena_alloc(&arena, 100000);
    char *b = pl_arena_alloc(&arena, 32);
    assert_non_null(large);
    memset(large, 1, 100000);
    assert_ptr_equal(b, a + 32);
    assert_in_range(arena.used, 104096, 104200);
    pl_arena_dispose(&arena);
}

static void impossible_sizes_fail(void **state)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    volatile size_t huge = SIZE_MAX;
    assert_non_null(pl_arena_alloc(&arena, 8));
    for (size_t less = 0; less < 40; less++)
        assert_null(pl_arena_alloc(&arena, huge - less));
    assert_null(pl_arena_alloc(&arena, huge / 2 + 1));
    assert_null(pl_arena_array(&arena, huge / 4, 8));
    assert_null(pl_arena_zalloc(&arena, huge));
    assert_null(pl_arena_str(&arena, (pl_str){"", huge}).ptr);
    assert_non_null(pl_arena_array(&arena, 0, 8));
    pl_arena_dispose(&arena);
}

static void limit_is_never_passed(void **state)
{
    for (size_t limit = 0; limit < 20000; limit += 333) {
        pl_arena arena;
        pl_arena_init(&arena, 1024);
        arena.limit = limit + 1;
        size_t got = 0;
        while (pl_arena_alloc(&arena, 100))
            got += 112;
        assert_true(arena.used <= arena.limit);
        /* And most of it can be used. */
        assert_true(got + 16 * 8 + 112 * 7 >= limit);
        assert_null(pl_arena_alloc(&arena, 20000));
        pl_arena_dispose(&arena);
    }
}

static void reset_keeps_one_chunk(void **state)
{
    pl_arena arena;
    pl_arena_init(&arena, 1024);
    for (int round = 0; round < 3; round++) {
        assert_non_null(pl_arena_alloc(&arena, 5000));
        for (int i = 0; i < 100; i++)
            assert_non_null(pl_arena_alloc(&arena, 100));
        pl_arena_reset(&arena);
        assert_int_equal(arena.used, 1024);
        pl_alloc_fail_at(0, 0);
        char *p = pl_arena_zalloc(&arena, 1000);
        assert_non_null(p);
        assert_int_equal(pl_alloc_fail_at(0, 0), 0);
        pl_arena_reset(&arena);
    }
    pl_arena_dispose(&arena);
    pl_arena_reset(&arena);
    assert_int_equal(arena.used, 0);
    assert_non_null(pl_arena_alloc(&arena, 1));
    pl_arena_dispose(&arena);
}

static void strings_are_copied_with_a_nul(void **state)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    char source[] = "moon";
    pl_str s = pl_arena_str(&arena, pl_str_of(source));
    source[0] = 'x';
    assert_string_equal(s.ptr, "moon");
    assert_int_equal(s.len, 4);
    pl_str empty = pl_arena_str(&arena, PL_STR_NONE);
    assert_non_null(empty.ptr);
    assert_int_equal(empty.ptr[0], '\0');
    pl_str printed = pl_arena_printf(&arena, "%d %s", 12, "x");
    assert_true(pl_str_is(printed, "12 x"));
    for (int width = 250; width < 260; width++) {
        printed = pl_arena_printf(&arena, "%*d", width, 7);
        assert_int_equal(printed.len, width);
        assert_int_equal(printed.ptr[width - 1], '7');
        assert_int_equal(printed.ptr[width], '\0');
    }
    pl_arena_dispose(&arena);
}

static void zeroed_memory_is_zero(void **state)
{
    pl_arena arena;
    pl_arena_init(&arena, 1024);
    memset(pl_arena_alloc(&arena, 900), 0xAA, 900);
    pl_arena_reset(&arena);
    unsigned char *p = pl_arena_array(&arena, 90, 10);
    for (int i = 0; i < 900; i++)
        assert_int_equal(p[i], 0);
    pl_arena_dispose(&arena);
}

static struct {
    int order[4];
    int count;
    pl_arena *arena;
} ran;

static void note(void *data)
{
    ran.order[ran.count++] = *(int *)data;
}

static void note_and_register(void *data)
{
    static int last = 9;
    note(data);
    assert_int_equal(pl_arena_on_dispose(ran.arena, note, &last), 0);
}

static void cleanups_run_newest_first(void **state)
{
    static int one = 1, two = 2, three = 3;
    pl_arena arena;
    pl_arena_init(&arena, 0);
    for (int round = 0; round < 2; round++) {
        ran.count = 0;
        ran.arena = &arena;
        assert_int_equal(pl_arena_on_dispose(&arena, note, &one), 0);
        assert_int_equal(pl_arena_on_dispose(&arena, note_and_register, &two), 0);
        assert_int_equal(pl_arena_on_dispose(&arena, note, &three), 0);
        if (round == 0)
            pl_arena_reset(&arena);
        else
            pl_arena_dispose(&arena);
        assert_int_equal(ran.count, 4);
        assert_int_equal(ran.order[0], 3);
        assert_int_equal(ran.order[1], 2);
        assert_int_equal(ran.order[2], 9);
        assert_int_equal(ran.order[3], 1);
    }
}

static void failed_allocation_changes_nothing(void **state)
{
    static int one = 1;
    pl_arena arena;
    pl_arena_init(&arena, 64);
    ran.count = 0;
    assert_int_equal(pl_arena_on_dispose(&arena, note, &one), 0);
    size_t used = arena.used;
    pl_alloc_fail_at(1, 1);
    assert_null(pl_arena_alloc(&arena, 1000));
    assert_null(pl_arena_str(&arena, (pl_str){"0123456789abcdef0123456789abcdef", 32}).ptr);
    assert_null(pl_arena_printf(&arena, "%300d", 1).ptr);
    assert_int_equal(pl_arena_on_dispose(&arena, note, &one), -1);
    pl_alloc_fail_at(0, 0);
    assert_int_equal(arena.used, used);
    assert_non_null(pl_arena_alloc(&arena, 1000));
    pl_arena_dispose(&arena);
    assert_int_equal(ran.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_apart),
        cmocka_unit_test(nothing_is_taken_before_the_first_use),
        cmocka_unit_test(chunks_double_up_to_a_megabyte),
        cmocka_unit_test(a_large_request_leaves_the_chunk_in_use),
        cmocka_unit_test(impossible_sizes_fail),
        cmocka_unit_test(limit_is_never_passed),
        cmocka_unit_test(reset_keeps_one_chunk),
        cmocka_unit_test(strings_are_copied_with_a_nul),
        cmocka_unit_test(zeroed_memory_is_zero),
        cmocka_unit_test(cleanups_run_newest_first),
        cmocka_unit_test(failed_allocation_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
