/* SPDX-License-Identifier: MIT */
#include "grpc/timeout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void reads(const char *text, uint64_t expected)
{
    uint64_t ms = 12345;
    assert_true(pl_grpc_timeout_read(pl_str_of(text), &ms));
    assert_int_equal(ms, expected);
}

static void test_units(void **state)
{
    reads("1H", 3600000);
    reads("2M", 120000);
    reads("3S", 3000);
    reads("4m", 4);
    reads("99999999H", 99999999ull * 3600000);
    reads("0S", 0);
    reads("00000010m", 10);
}

/* What is left of a millisecond is not nothing. */
static void test_rounding(void **state)
{
    reads("1u", 1);
    reads("1000u", 1);
    reads("1001u", 2);
    reads("1n", 1);
    reads("1000000n", 1);
    reads("1000001n", 2);
    reads("0n", 0);
    reads("0u", 0);
}

static void test_malformed(void **state)
{
    static const char *const wrong[] = {"",    "1",    "S",          "-1S", "1s",   "1 S", "1S ",      " 1S",
                                        "+1S", "1.5S", "123456789S", "1h",  "0x1S", "1SS", "1\xc2\xb5"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t ms;
        assert_false(pl_grpc_timeout_read(pl_str_of(wrong[i]), &ms));
    }
}

static void writes(uint64_t ms, const char *expected)
{
    char text[PL_GRPC_TIMEOUT_SIZE + 1] = {0};
    size_t n = pl_grpc_timeout_write(text, ms);
    assert_string_equal(text, expected);
    assert_int_equal(n, strlen(expected));
}

static void test_write(void **state)
{
    writes(0, "0m");
    writes(1500, "1500m");
    writes(99999999, "99999999m");
    writes(100000000, "100000S");
    writes(99999999999ull, "99999999S");
    writes(100000000000ull, "1666666M");
    writes(UINT64_MAX, "99999999H");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_units), cmocka_unit_test(test_rounding),
                                       cmocka_unit_test(test_malformed), cmocka_unit_test(test_write)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
