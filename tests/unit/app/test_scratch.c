/* SPDX-License-Identifier: MIT */
#include "app/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

static folder tmp;

static int open_all(void **state)
{
    folder_new(&tmp);
    return setenv("TMPDIR", tmp.path, 1);
}

static int close_all(void **state)
{
    unsetenv("TMPDIR");
    folder_remove(&tmp);
    return 0;
}

static void assert_empty(void)
{
    assert_int_equal(rmdir(tmp.path), 0);
    assert_int_equal(mkdir(tmp.path, 0700), 0);
}

static void test_files(void **state)
{
    pl_scratch s;
    pl_buf out;
    pl_buf_init(&out);
    assert_true(pl_scratch_open(&s));
    assert_true(pl_str_starts(pl_str_of(s.path), pl_str_of(tmp.path)));
    assert_true(pl_scratch_write(&s, PL_STR("a/b/c.txt"), PL_STR("one")));
    assert_true(pl_scratch_write(&s, PL_STR("a/b/d.txt"), PL_STR("")));
    assert_true(pl_scratch_read(&s, "a/b/c.txt", 3, &out));
    assert_true(pl_str_is(pl_buf_view(&out), "one"));
    assert_true(pl_scratch_read(&s, "a/b/d.txt", 3, &out));
    assert_int_equal(out.len, 3);
    assert_false(pl_scratch_read(&s, "a/b/c.txt", 2, &out));
    assert_int_equal(errno, EFBIG);
    assert_false(pl_scratch_read(&s, "none", 2, &out));
    assert_int_equal(errno, ENOENT);
    assert_false(pl_scratch_write(&s, PL_STR("a/b/c.txt"), PL_STR("twice")));
    assert_int_equal(errno, EEXIST);
    pl_scratch_remove(&s);
    assert_empty();
    pl_scratch_remove(&s);
    pl_buf_dispose(&out);
}

static void test_paths_that_lead_out(void **state)
{
    static const pl_str paths[] = {{"../x", 4},  {"/x", 2},   {"a/../../x", 9}, {"a//x", 4}, {"", 0},
                                   {"a/./x", 5}, {"a\0b", 3}, {"a/", 2},        {"..", 2}};
    pl_scratch s;
    assert_true(pl_scratch_open(&s));
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_false(pl_scratch_write(&s, paths[i], PL_STR("x")));
        assert_int_equal(errno, EINVAL);
    }
    pl_scratch_remove(&s);
    assert_empty();
}

static void test_no_place(void **state)
{
    pl_scratch s;
    setenv("TMPDIR", "/nowhere/at/all", 1);
    assert_false(pl_scratch_open(&s));
    assert_int_equal(errno, ENOENT);
    assert_true(strstr(s.path, "/nowhere/at/all") != NULL);
    pl_scratch_remove(&s);
    setenv("TMPDIR", tmp.path, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_paths_that_lead_out),
        cmocka_unit_test(test_no_place),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
