/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/format.h"

static const char *as_int(int64_t v)
{
    static char text[PL_FORMAT_INT_MAX + 1];
    text[pl_format_int(text, v)] = '\0';
    return text;
}

static const char *as_double(double v)
{
    static char text[PL_FORMAT_DOUBLE_MAX + 1];
    size_t n = pl_format_double(text, v);
    assert_true(n <= PL_FORMAT_DOUBLE_MAX);
    text[n] = '\0';
    return text;
}

static void integers(void **state)
{
    assert_string_equal(as_int(0), "0");
    assert_string_equal(as_int(-1), "-1");
    assert_string_equal(as_int(9), "9");
    assert_string_equal(as_int(10), "10");
    assert_string_equal(as_int(100), "100");
    assert_string_equal(as_int(-12345), "-12345");
    assert_string_equal(as_int(INT64_MAX), "9223372036854775807");
    assert_string_equal(as_int(INT64_MIN), "-9223372036854775808");
    uint64_t random = 1;
    for (int i = 0; i < 10000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        int64_t v = (int64_t)random >> (i % 64);
        char expected[32];
        snprintf(expected, sizeof(expected), "%lld", (long long)v);
        assert_string_equal(as_int(v), expected);
    }
}

static void doubles_look_as_in_javascript(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0"},
        {-0.0, "0"},
        {3.0, "3"},
        {-3.5, "-3.5"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {2.0 / 3, "0.6666666666666666"},
        {123.456, "123.456"},
        {100, "100"},
        {9007199254740991.0, "9007199254740991"},
        {9007199254740992.0, "9007199254740992"},
        {9007199254740994.0, "9007199254740994"},
        {123456789012345680000.0, "123456789012345680000"},
        {1e20, "100000000000000000000"},
        {1e21, "1e+21"},
        {1.5e21, "1.5e+21"},
        {-1.25e300, "-1.25e+300"},
        {1e-5, "0.00001"},
        {1e-6, "0.000001"},
        {1.5e-6, "0.0000015"},
        {1e-7, "1e-7"},
        {1.5e-7, "1.5e-7"},
        {1e23, "1e+23"},
        {9.5367431640625e-7, "9.5367431640625e-7"},
        {5e-324, "5e-324"},
        {-1.5e-323, "-1.5e-323"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {2.225073858507201e-308, "2.225073858507201e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {0x1p-44, "5.684341886080802e-14"},
        {0x1p-1, "0.5"},
        {0x1p63, "9223372036854776000"},
        {-0x1p63, "-9223372036854776000"},
        {4.35, "4.35"},
        {0.000123, "0.000123"},
        {999999999999999.9, "999999999999999.9"},
        {5e-5, "0.00005"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(as_double(cases[i].value), cases[i].text);
}

static void reads_back(double v)
{
    const char *text = as_double(v);
    double back = strtod(text, NULL);
    assert_memory_equal(&back, &v, sizeof(v));
    /* No digit too many. */
    char other[40];
    size_t digits = 0;
    for (const char *p = text; *p != '\0' && *p != 'e'; p++)
        digits += *p >= '1' && *p <= '9';
    if (digits > 15) {
        snprintf(other, sizeof(other), "%.15g", v);
        assert_true(strtod(other, NULL) != v);
    }
}

static void doubles_read_back(void **state)
{
    uint64_t random = 7;
    for (int i = 0; i < 30000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = random ^ random >> 29;
        double v;
        memcpy(&v, &bits, sizeof(v));
        if (isfinite(v) && v != 0)
            reads_back(v);
        reads_back((double)(int64_t)bits / 1000);
        reads_back((double)(bits >> 40) / 100);
    }
    for (int e = -1074; e < 1024; e++) {
        reads_back(ldexp(1, e));
        reads_back(nextafter(ldexp(1, e), 0x1p1023) == 0 ? 1 : nextafter(ldexp(1, e), 0x1p1023));
    }
    reads_back(DBL_MAX);
    reads_back(DBL_MIN);
}

/* A locale of our own, which writes 0.5 as 0,5: localedef makes it in a folder for this test alone. */
static void use_commas(void)
{
    const char *tmp = getenv("TMPDIR");
    char folder[200], command[2000];
    snprintf(folder, sizeof folder, "%.150s/perilune-locale-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command,
             "cd '%s' && printf 'LC_NUMERIC\\ndecimal_point \",\"\\nthousands_sep \".\"\\ngrouping 3;3\\nEND "
             "LC_NUMERIC\\n' >source && { localedef -c -i ./source ./commas 2>warnings || test -d commas; }",
             folder);
    bool made = system(command) == 0;
    setenv("LOCPATH", folder, 1);
    bool used = made && setlocale(LC_NUMERIC, "commas");
    unsetenv("LOCPATH");
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    if (!used)
        fail_msg(
            "localedef has made no locale: scripts/deps test installs what it needs (libc-bin, locales)");
}

static void the_locale_does_not_matter(void **state)
{
    char text[16];
    use_commas();
    snprintf(text, sizeof text, "%.1f", 0.5);
    assert_string_equal(text, "0,5");
    assert_string_equal(as_double(0.1 + 0.2), "0.30000000000000004");
    assert_string_equal(as_double(1.5e300), "1.5e+300");
    setlocale(LC_NUMERIC, "C");
}

static void written_as(pl_str s, const char *expected, bool whole)
{
    pl_buf buf;
    pl_buf_init(&buf);
    /* In memory of exactly its size, and with a limit that it just fits in. */
    char *copy = malloc(s.len + (s.len == 0));
    if (s.len != 0)
        memcpy(copy, s.ptr, s.len);
    buf.limit = strlen(expected);
    assert_int_equal(pl_format_string(&buf, (pl_str){copy, s.len}), whole);
    assert_false(buf.failed);
    assert_int_equal(buf.len, strlen(expected));
    assert_memory_equal(buf.data, expected, buf.len);
    pl_buf_dispose(&buf);
    for (int first = 0; first < 2; first++) {
        pl_buf_init(&buf);
        assert_int_equal(pl_format_name(&buf, (pl_str){copy, s.len}, first), whole);
        assert_int_equal(buf.len, strlen(expected) + 2 - (size_t)first);
        assert_true(first || buf.data[0] == ',');
        assert_memory_equal(buf.data + !first, expected, strlen(expected));
        assert_int_equal(buf.data[buf.len - 1], ':');
        pl_buf_dispose(&buf);
    }
    buf.limit = strlen(expected) - 1;
    pl_format_string(&buf, (pl_str){copy, s.len});
    assert_true(buf.failed);
    pl_buf_dispose(&buf);
    free(copy);
}

static void strings_are_escaped(void **state)
{
    written_as(PL_STR_NONE, "\"\"", true);
    written_as(PL_STR("a"), "\"a\"", true);
    written_as(PL_STR("a \"quote\" and a \\"), "\"a \\\"quote\\\" and a \\\\\"", true);
    written_as(PL_STR("\b\f\n\r\t/\x7f"), "\"\\b\\f\\n\\r\\t/\x7f\"", true);
    written_as(PL_STR("\0\x01\x1f"), "\"\\u0000\\u0001\\u001f\"", true);
    written_as(PL_STR("é€🌙, long text with non-ASCII é in between €"),
               "\"é€🌙, long text with non-ASCII é in between €\"", true);
    written_as(PL_STR("a\xff"), "\"a\xEF\xBF\xBD\"", false);
    written_as(PL_STR("\xe2\x82"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"", false);
    written_as(PL_STR("\xed\xa0\x80z"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\"", false);
}

/* Each byte at each place of a word. */
static void every_byte_in_every_place(void **state)
{
    for (int byte = 0; byte < 0x80; byte++) {
        char one[3] = {0};
        for (size_t place = 0; place < 20; place++) {
            char text[21], expected[64];
            memset(text, 'x', sizeof(text));
            text[place] = (char)byte;
            const char *escaped = one;
            one[0] = (char)byte;
            one[1] = '\0';
            char unicode[8];
            snprintf(unicode, sizeof(unicode), "\\u%04x", (unsigned)byte);
            static const char *const named[] = {
                ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f",
                ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\"};
            if (byte <= '\\' && named[byte])
                escaped = named[byte];
            else if (byte < 0x20)
                escaped = unicode;
            snprintf(expected, sizeof(expected), "\"%.*s%s%.*s\"", (int)place, "xxxxxxxxxxxxxxxxxxxx",
                     escaped, (int)(20 - place), "xxxxxxxxxxxxxxxxxxxx");
            written_as((pl_str){text, sizeof(text)}, expected, true);
            bool plain = byte >= 0x20 && byte != '"' && byte != '\\';
            assert_int_equal(pl_format_plain(text, sizeof(text)), plain ? sizeof(text) : place);
        }
    }
    static const unsigned char special[] = {0, 0x1F, '"', '\\', 0x80, 0xC3, 0xFF};
    for (size_t i = 0; i < sizeof special; i++) {
        for (size_t place = 0; place < 40; place++) {
            char text[41];
            memset(text, 0x20 + (int)(place % 2) * 0x5F, sizeof text);
            text[place] = (char)special[i];
            assert_int_equal(pl_format_plain(text, sizeof text), place);
            assert_int_equal(pl_format_plain(text, place), place);
        }
    }
    assert_int_equal(pl_format_plain("abcdefgh\xc3\xa9", 10), 8);
    assert_int_equal(pl_format_plain("abcd\xc3\xa9gh", 8), 4);
}

/* Short texts are copied in other steps than long ones. */
static void every_length(void **state)
{
    for (size_t len = 0; len <= 40; len++) {
        char text[41], expected[64];
        memset(text, 'y', sizeof(text));
        snprintf(expected, sizeof(expected), "\"%.*s\"", (int)len, text);
        written_as((pl_str){text, len}, expected, true);
        for (size_t place = 0; place < len; place++) {
            memset(text, 'y', sizeof(text));
            text[place] = '\n';
            snprintf(expected, sizeof(expected), "\"%.*s\\n%.*s\"", (int)place,
                     "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", (int)(len - place - 1),
                     "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy");
            written_as((pl_str){text, len}, expected, true);
            text[place] = (char)0xff;
            snprintf(expected, sizeof(expected), "\"%.*s\xEF\xBF\xBD%.*s\"", (int)place,
                     "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", (int)(len - place - 1),
                     "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy");
            written_as((pl_str){text, len}, expected, false);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(doubles_look_as_in_javascript),
        cmocka_unit_test(doubles_read_back),
        cmocka_unit_test(the_locale_does_not_matter),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(every_byte_in_every_place),
        cmocka_unit_test(every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
