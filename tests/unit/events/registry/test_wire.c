/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "events/registry/wire.h"
#include "support/failing.h"

#define BYTES(literal) ((pl_str){literal, sizeof(literal) - 1})

static void expect_path(pl_str bytes, const char *written, pl_str left)
{
    char text[256] = "";
    size_t used = 0;
    pl_schema_path path;
    pl_error err = {0};
    assert_int_equal(pl_schema_read_path(&bytes, &path, &err), PL_OK);
    for (size_t i = 0; i < path.count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%u ", path.at[i]);
    assert_string_equal(text, written);
    assert_true(pl_str_eq(bytes, left));
}

static void test_an_id_is_four_bytes_behind_a_zero(void **state)
{
    pl_str bytes = BYTES("\0\0\1\2\3rest");
    int32_t id = 0;
    pl_error err = {0};
    pl_buf out;
    assert_int_equal(pl_schema_read_id(&bytes, &id, &err), PL_OK);
    assert_int_equal(id, 0x010203);
    assert_true(pl_str_is(bytes, "rest"));
    pl_buf_init(&out);
    pl_schema_write_id(&out, id);
    assert_true(pl_str_eq(pl_buf_view(&out), BYTES("\0\0\1\2\3")));
    pl_buf_dispose(&out);
}

static void test_what_has_no_id_is_told_and_left_as_it_is(void **state)
{
    const pl_str wrong[] = {BYTES(""), BYTES("\0\0\0\1"), BYTES("{\"a\":1}"), BYTES("\0\xff\xff\xff\xffx")};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pl_str bytes = wrong[i];
        int32_t id = 7;
        pl_error err = {0};
        assert_int_equal(pl_schema_read_id(&bytes, &id, &err), PL_INVALID_ARGUMENT);
        assert_true(err.message[0] != '\0');
        assert_int_equal(id, 7);
        assert_ptr_equal(bytes.ptr, wrong[i].ptr);
        assert_int_equal(bytes.len, wrong[i].len);
    }
}

static void test_paths(void **state)
{
    expect_path(BYTES("\0rest"), "0 ", PL_STR("rest"));
    expect_path(BYTES("\2\0"), "0 ", PL_STR("")); /* the long form of the same */
    expect_path(BYTES("\2\2x"), "1 ", PL_STR("x"));
    expect_path(BYTES("\6\2\0\4x"), "1 0 2 ", PL_STR("x"));
    expect_path(BYTES("\2\xac\x02"), "150 ", PL_STR(""));
}

static void test_paths_that_are_none(void **state)
{
    const pl_str wrong[] = {
        BYTES(""),     BYTES("\1"),   BYTES("\2"),         BYTES("\2\1"),
        BYTES("\4\0"), BYTES("\x80"), BYTES("\x42\0\0\0"), BYTES("\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\1")};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pl_str bytes = wrong[i];
        pl_schema_path path;
        pl_error err = {0};
        assert_int_equal(pl_schema_read_path(&bytes, &path, &err), PL_INVALID_ARGUMENT);
        assert_ptr_equal(bytes.ptr, wrong[i].ptr);
    }
}

static void test_what_is_written_is_read(void **state)
{
    const pl_schema_path paths[] = {{{0}, 1}, {{1}, 1}, {{0, 0}, 2}, {{3, 200, 70000, 0}, 4}};
    const size_t sizes[] = {1, 2, 3, 8};
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        pl_buf out;
        pl_buf_init(&out);
        failing_begin(&a);
        for (size_t i = 0; i < 4; i++)
            pl_schema_write_path(&out, &paths[i]);
        bool failed = failing_end(&a);
        assert_int_equal(out.failed, failed);
        pl_str bytes = pl_buf_view(&out);
        for (size_t i = 0; !failed && i < 4; i++) {
            pl_schema_path read;
            size_t before = bytes.len;
            pl_error err = {0};
            assert_int_equal(pl_schema_read_path(&bytes, &read, &err), PL_OK);
            assert_int_equal(before - bytes.len, sizes[i]);
            assert_int_equal(read.count, paths[i].count);
            assert_memory_equal(read.at, paths[i].at, read.count * sizeof *read.at);
        }
        pl_buf_dispose(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_id_is_four_bytes_behind_a_zero),
        cmocka_unit_test(test_what_has_no_id_is_told_and_left_as_it_is),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_paths_that_are_none),
        cmocka_unit_test(test_what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
