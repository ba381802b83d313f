/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"

static void appends(void **state)
{
    pl_buf buf;
    pl_buf_init(&buf);
    PL_BUF_LIT(&buf, "one ");
    pl_buf_str(&buf, PL_STR("two "));
    pl_buf_append(&buf, "three ", 6);
    pl_buf_append(&buf, NULL, 0);
    pl_buf_char(&buf, '4');
    pl_buf_printf(&buf, " %d%s", 5, "!");
    pl_buf_printf(&buf, "%s", "");
    assert_true(pl_str_is(pl_buf_view(&buf), "one two three 4 5!"));
    pl_buf_dispose(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.len, 0);
}

static void grows_by_doubling(void **state)
{
    pl_buf buf;
    pl_buf_init(&buf);
    pl_alloc_fail_at(0, 0);
    for (int i = 0; i < 1000000; i++)
        pl_buf_char(&buf, (char)i);
    assert_true(pl_alloc_fail_at(0, 0) < 20);
    assert_int_equal(buf.len, 1000000);
    for (int i = 0; i < 1000000; i++)
        assert_int_equal(buf.data[i], (char)i);
    pl_buf_dispose(&buf);
}

static void printf_of_every_length(void **state)
{
    pl_buf buf;
    pl_buf_init(&buf);
    pl_buf_printf(&buf, "%s", "");
    assert_int_equal(buf.len, 0);
    size_t expected = 0;
    for (int width = 1; width < 300; width++) {
        pl_buf_printf(&buf, "%*d", width, 3);
        expected += (size_t)width;
        assert_int_equal(buf.len, expected);
        assert_int_equal(buf.data[buf.len - 1], '3');
    }
    assert_false(buf.failed);
    pl_buf_dispose(&buf);
}

static void limit_bounds_len_exactly(void **state)
{
    for (size_t limit = 1; limit < 300; limit++) {
        pl_buf buf;
        pl_buf_init(&buf);
        buf.limit = limit;
        for (size_t i = 0; i < limit; i++) {
            pl_buf_char(&buf, 'x');
            assert_false(buf.failed);
        }
        pl_buf_printf(&buf, "%s", "");
        assert_false(buf.failed);
        pl_buf_char(&buf, 'y');
        assert_true(buf.failed);
        assert_int_equal(buf.len, limit);
        pl_buf_reset(&buf, SIZE_MAX);
        pl_buf_printf(&buf, "%*d", (int)limit, 1);
        assert_false(buf.failed);
        assert_int_equal(buf.len, limit);
        pl_buf_printf(&buf, "z");
        assert_true(buf.failed);
        assert_int_equal(buf.len, limit);
        pl_buf_dispose(&buf);
    }
}

static void a_failure_stops_later_appends(void **state)
{
    pl_buf buf;
    pl_buf_init(&buf);
    PL_BUF_LIT(&buf, "kept");
    pl_alloc_fail_at(1, 0);
    char block[500] = {0};
    pl_buf_append(&buf, block, sizeof(block));
    assert_true(buf.failed);
    pl_buf_char(&buf, 'x');
    pl_buf_printf(&buf, "x");
    assert_false(pl_buf_reserve(&buf, 0));
    assert_true(pl_str_is(pl_buf_view(&buf), "kept"));
    pl_buf_reset(&buf, 1000);
    assert_false(buf.failed);
    pl_buf_append(&buf, block, sizeof(block));
    assert_int_equal(buf.len, 500);
    pl_alloc_fail_at(0, 0);
    pl_buf_dispose(&buf);
}

static void impossible_sizes_fail(void **state)
{
    pl_buf buf;
    pl_buf_init(&buf);
    PL_BUF_LIT(&buf, "kept");
    assert_false(pl_buf_reserve(&buf, SIZE_MAX));
    pl_buf_reset(&buf, 1000);
    PL_BUF_LIT(&buf, "kept");
    assert_false(pl_buf_reserve(&buf, SIZE_MAX / 2 - 3));
    assert_true(pl_str_is(pl_buf_view(&buf), "kept"));
    pl_buf_dispose(&buf);
}

static void reset_keeps_small_memory(void **state)
{
    pl_buf buf;
    pl_buf_init(&buf);
    PL_BUF_LIT(&buf, "x");
    size_t cap = buf.cap;
    pl_buf_reset(&buf, cap);
    assert_int_equal(buf.cap, cap);
    assert_int_equal(buf.len, 0);
    pl_buf_reset(&buf, cap - 1);
    assert_int_equal(buf.cap, 0);
    assert_null(buf.data);
    pl_buf_dispose(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(grows_by_doubling),
        cmocka_unit_test(printf_of_every_length),
        cmocka_unit_test(limit_bounds_len_exactly),
        cmocka_unit_test(a_failure_stops_later_appends),
        cmocka_unit_test(impossible_sizes_fail),
        cmocka_unit_test(reset_keeps_small_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
