/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/str.h"

static void compares_in_byte_order(void **state)
{
    assert_true(pl_str_cmp(PL_STR("a"), PL_STR("b")) < 0);
    assert_true(pl_str_cmp(PL_STR("b"), PL_STR("a")) > 0);
    assert_true(pl_str_cmp(PL_STR("a"), PL_STR("ab")) < 0);
    assert_true(pl_str_cmp(PL_STR("ab"), PL_STR("a")) > 0);
    assert_true(pl_str_cmp(PL_STR("\xff"), PL_STR("a")) > 0);
    assert_int_equal(pl_str_cmp(PL_STR("ab"), PL_STR("ab")), 0);
    assert_int_equal(pl_str_cmp(PL_STR_NONE, PL_STR("")), 0);
    assert_true(pl_str_eq(PL_STR_NONE, PL_STR("")));
    assert_true(pl_str_starts(PL_STR("abc"), PL_STR("ab")));
    assert_false(pl_str_starts(PL_STR("a"), PL_STR("ab")));
    assert_true(pl_str_is(PL_STR("ab"), "ab"));
    assert_false(pl_str_is(PL_STR("ab"), "abc"));
}

static size_t check_copy(const char *bytes, size_t len)
{
    /* In memory of exactly this size, so that reading on would be seen. */
    char *copy = malloc(len + (len == 0));
    memcpy(copy, bytes, len);
    size_t at = pl_utf8_check(copy, len);
    free(copy);
    return at;
}

static void accepts_exactly_the_scalar_values(void **state)
{
    for (unsigned c = 0; c < 0x110000; c++) {
        char bytes[4];
        size_t n = pl_utf8_encode(bytes, c);
        bool surrogate = c >= 0xD800 && c <= 0xDFFF;
        assert_int_equal(n, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        assert_int_equal(pl_utf8_sequence(bytes, n), surrogate ? 0 : n);
        assert_int_equal(pl_utf8_check(bytes, n), surrogate ? 0 : n);
    }
}

static void refuses_bad_sequences(void **state)
{
    static const char *const bad[] = {
        "\x80",
        "\xBF",
        "\xC0\x80",
        "\xC1\xBF",
        "\xC2",
        "\xC2\x41",
        "\xE0\x80\x80",
        "\xE0\x9F\xBF",
        "\xE2\x82",
        "\xE2\x82\x41",
        "\xED\xA0\x80",
        "\xED\xBF\xBF",
        "\xF0\x80\x80\x80",
        "\xF0\x8F\xBF\xBF",
        "\xF0\x9F\x8C",
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80",
        "\xF8\x88\x80\x80",
        "\xFE",
        "\xFF",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        /* At every distance from the beginning, so that each way through the word loop is taken. */
        for (size_t before = 0; before < 20; before++) {
            char text[64];
            memset(text, 'a', before);
            strcpy(text + before, bad[i]);
            size_t len = before + strlen(bad[i]);
            assert_int_equal(check_copy(text, len), before);
            memset(text + len, 'z', 10);
            assert_int_equal(check_copy(text, len + 10), before);
        }
    }
}

static void accepts_text(void **state)
{
    static const char text[] = "plain ascii, then é € 🌙 日本語 and ascii again, to the end";
    for (size_t len = 0; len < sizeof(text); len++) {
        size_t at = check_copy(text, len);
        assert_true(at == len || (len - at < 4 && (text[len] & 0xC0) == 0x80));
    }
    assert_int_equal(pl_utf8_check(NULL, 0), 0);
}

static void hash_depends_on_every_byte_and_the_length(void **state)
{
    char bytes[65] = {0};
    for (size_t len = 0; len <= 64; len++) {
        unsigned long long h = pl_hash(bytes, len);
        assert_true(h == pl_hash(bytes, len));
        for (size_t i = 0; i < len; i++) {
            bytes[i] = 1;
            assert_true(h != pl_hash(bytes, len));
            bytes[i] = 0;
        }
        assert_true(h != pl_hash(bytes, len + 1));
    }
    assert_true(pl_hash(NULL, 0) == pl_hash("", 0));
}

static void hash_does_not_depend_on_alignment(void **state)
{
    char bytes[80];
    for (size_t shift = 0; shift < 8; shift++) {
        memcpy(bytes + shift, "the same thirty-one bytes again", 31);
        assert_true(pl_hash(bytes + shift, 31) == pl_hash("the same thirty-one bytes again", 31));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_in_byte_order),
        cmocka_unit_test(accepts_exactly_the_scalar_values),
        cmocka_unit_test(refuses_bad_sequences),
        cmocka_unit_test(accepts_text),
        cmocka_unit_test(hash_depends_on_every_byte_and_the_length),
        cmocka_unit_test(hash_does_not_depend_on_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
