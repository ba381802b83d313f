/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/base64.h"

static void check(pl_str bytes, const char *expected)
{
    pl_buf out;
    pl_buf_init(&out);
    PL_BUF_LIT(&out, ">");
    pl_base64_write(&out, bytes);
    assert_false(out.failed);
    pl_buf_char(&out, '\0');
    assert_string_equal(out.data + 1, expected);
    pl_buf_dispose(&out);
}

/* RFC 4648, section 10 */
static void test_vectors(void **state)
{
    check(PL_STR(""), "");
    check(PL_STR("f"), "Zg==");
    check(PL_STR("fo"), "Zm8=");
    check(PL_STR("foo"), "Zm9v");
    check(PL_STR("foob"), "Zm9vYg==");
    check(PL_STR("fooba"), "Zm9vYmE=");
    check(PL_STR("foobar"), "Zm9vYmFy");
    check(PL_STR("\xff\xff\xfe\0\x10\xfb"), "///+ABD7");
}

static void test_no_memory(void **state)
{
    pl_buf out;
    pl_buf_init(&out);
    pl_alloc_fail_at(1, 0);
    pl_base64_write(&out, PL_STR("foobar"));
    pl_alloc_fail_at(0, 0);
    assert_true(out.failed);
    pl_buf_dispose(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors), cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
