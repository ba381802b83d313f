/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

/* The command's files are not in the library. */
#include "cli/json_stream.c"

/* The values of a text that comes in pieces of this size, with '|' behind each. */
static void split(const char *text, size_t piece, const char *expected)
{
    json_stream s = {0};
    pl_buf out;
    pl_str value;
    size_t len = strlen(text);
    pl_buf_init(&out);
    for (size_t at = 0; at < len; at += piece) {
        pl_buf_append(&s.bytes, text + at, len - at < piece ? len - at : piece);
        while (json_stream_next(&s, false, &value))
            pl_buf_printf(&out, "%.*s|", PL_STR_ARG(value));
    }
    while (json_stream_next(&s, true, &value))
        pl_buf_printf(&out, "%.*s|", PL_STR_ARG(value));
    pl_buf_char(&out, '\0');
    assert_string_equal(out.data, expected);
    pl_buf_dispose(&out);
    pl_buf_dispose(&s.bytes);
}

static void values_end_where_they_do(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {" \n\t ", ""},
        {"{}", "{}|"},
        {" {} {} ", "{}|{}|"},
        {"{\"a\":{\"b\":[1,{}]}}{}", "{\"a\":{\"b\":[1,{}]}}|{}|"},
        {"{\"a\":\"}\\\"}\\\\\"}{\"b\":1}", "{\"a\":\"}\\\"}\\\\\"}|{\"b\":1}|"},
        {"1 2\ntrue null\"a b\"\"c\"3", "1|2|true|null|\"a b\"|\"c\"|3|"},
        {"[1, 2]{}", "[1, 2]|{}|"},
        /* What is wrong is for the reader of values to say. */
        {"}{}", "}|{}|"},
        {"{\"a\"", "{\"a\"|"},
        {"\"a", "\"a|"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t piece = 1; piece < 12; piece++)
            split(cases[i].text, piece, cases[i].expected);
    }
}

static void a_value_comes_as_soon_as_it_ends(void **state)
{
    json_stream s = {0};
    pl_str value;
    pl_buf_append(&s.bytes, "{\"a\":1", 6);
    assert_false(json_stream_next(&s, false, &value));
    pl_buf_append(&s.bytes, "}", 1);
    assert_true(json_stream_next(&s, false, &value));
    assert_int_equal(value.len, 7);
    pl_buf_append(&s.bytes, "12", 2);
    assert_false(json_stream_next(&s, false, &value)); /* it may go on */
    assert_true(json_stream_next(&s, true, &value));
    pl_buf_dispose(&s.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_end_where_they_do),
        cmocka_unit_test(a_value_comes_as_soon_as_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
