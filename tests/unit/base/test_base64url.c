/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64url.h"

static void test_reading(void **state)
{
    static const struct {
        const char *text;
        const char *bytes; /* NULL: refused */
        size_t len;
    } cases[] = {
        {"", "", 0},
        {"Zg", "f", 1},
        {"Zm8", "fo", 2},
        {"Zm9v", "foo", 3},
        {"Zm9vYg", "foob", 4},
        {"__8", "\xFF\xFF", 2},
        {"-_-_", "\xFB\xFF\xBF", 3},
        {"AAAA", "\0\0\0", 3},
        {"A", NULL, 0},
        {"AAAAA", NULL, 0},
        {"Zg==", NULL, 0},
        {"Zh", NULL, 0},
        {"Zm9", NULL, 0},
        {"+/AA", NULL, 0},
        {"Zg\n", NULL, 0},
        {" Zg", NULL, 0},
        {"Z g", NULL, 0},
        {"Zm9v=", NULL, 0},
        {"Zm\xC3\xA9", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[16];
        size_t len = 99;
        pl_str text = pl_str_of(cases[i].text);
        bool ok = pl_base64url_read(text, out, &len);
        if (ok != (cases[i].bytes != NULL))
            fail_msg("\"%s\"", cases[i].text);
        if (!ok)
            continue;
        assert_int_equal(len, cases[i].len);
        assert_true(len <= pl_base64url_room(text));
        assert_memory_equal(out, cases[i].bytes, len);
    }
    char zero[] = "AA\0A";
    size_t len;
    assert_false(pl_base64url_read((pl_str){zero, 4}, zero, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reading)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
