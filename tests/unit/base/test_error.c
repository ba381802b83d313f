/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/error.h"
#include "base/str.h"

static void codes_have_the_names_of_grpc(void **state)
{
    assert_string_equal(pl_code_name(PL_OK), "OK");
    assert_string_equal(pl_code_name(PL_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(pl_code_name(PL_UNAUTHENTICATED), "UNAUTHENTICATED");
    for (int i = 0; i <= 16; i++)
        assert_true(i == PL_UNKNOWN || strcmp(pl_code_name((pl_code)i), "UNKNOWN") != 0);
    assert_string_equal(pl_code_name((pl_code)17), "UNKNOWN");
    assert_string_equal(pl_code_name((pl_code)-1), "UNKNOWN");
}

static void fail_fills_everything(void **state)
{
    pl_error err;
    memset(&err, 'x', sizeof(err));
    assert_int_equal(pl_fail_at(&err, PL_INVALID_ARGUMENT, "a.lua", 3, 9, "bad %s", "thing"),
                     PL_INVALID_ARGUMENT);
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    assert_string_equal(err.file, "a.lua");
    assert_int_equal(err.line, 3);
    assert_int_equal(err.column, 9);
    assert_string_equal(err.message, "bad thing");
    assert_int_equal(pl_fail(&err, PL_NOT_FOUND, "no %d", 7), PL_NOT_FOUND);
    assert_string_equal(err.file, "");
    assert_int_equal(err.line, 0);
    assert_int_equal(err.column, 0);
    assert_string_equal(err.message, "no 7");
    assert_int_equal(pl_fail_memory(&err), PL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.message, "out of memory");
}

static void err_may_be_null(void **state)
{
    assert_int_equal(pl_fail(NULL, PL_ABORTED, "x"), PL_ABORTED);
    assert_int_equal(pl_fail_at(NULL, PL_ABORTED, "f", 1, 1, "x"), PL_ABORTED);
    assert_int_equal(pl_fail_memory(NULL), PL_RESOURCE_EXHAUSTED);
}

static void arguments_may_come_from_the_error_itself(void **state)
{
    pl_error err;
    pl_fail_at(&err, PL_ABORTED, "f.lua", 1, 2, "inner");
    pl_fail_at(&err, PL_INTERNAL, err.file, 5, 6, "outer: %s", err.message);
    assert_string_equal(err.file, "f.lua");
    assert_string_equal(err.message, "outer: inner");
}

/* A character of `width` bytes begins at each place near the end of the buffer, in turn. */
static void cut_on_a_character(const char *character)
{
    size_t width = strlen(character);
    for (size_t before = 1015; before < 1030; before++) {
        char text[1100];
        memset(text, 'a', before);
        strcpy(text + before, character);
        strcat(text, "tail");
        pl_error err;
        pl_fail(&err, PL_INTERNAL, "%s", text);
        size_t len = strlen(err.message);
        assert_true(pl_str_is_utf8((pl_str){err.message, len}));
        assert_memory_equal(err.message, text, len);
        if (before + width <= 1023)
            assert_true(len >= before + width);
        else
            assert_int_equal(len, before < 1023 ? before : 1023);
    }
}

static void long_messages_are_cut_on_a_character(void **state)
{
    cut_on_a_character("b");
    cut_on_a_character("é");
    cut_on_a_character("€");
    cut_on_a_character("🌙");
}

static void long_files_are_cut(void **state)
{
    char name[400];
    memset(name, 'n', 254);
    strcpy(name + 254, "é/and/more");
    pl_error err;
    pl_fail_at(&err, PL_INTERNAL, name, 1, 1, "m");
    assert_int_equal(strlen(err.file), 254);
    memset(name, 'n', 255);
    name[255] = '\0';
    pl_fail_at(&err, PL_INTERNAL, name, 1, 1, "m");
    assert_string_equal(err.file, name);
    pl_fail_at(&err, PL_INTERNAL, NULL, 1, 1, "m");
    assert_string_equal(err.file, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_the_names_of_grpc),
        cmocka_unit_test(fail_fills_everything),
        cmocka_unit_test(err_may_be_null),
        cmocka_unit_test(arguments_may_come_from_the_error_itself),
        cmocka_unit_test(long_messages_are_cut_on_a_character),
        cmocka_unit_test(long_files_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
