/* SPDX-License-Identifier: MIT */
#include "graphql/language/lexer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static gql_source source_of(const char *text)
{
    return (gql_source){"test.graphql", pl_str_of(text)};
}

/* The first token of text, or the error that comes instead. */
static pl_code first_token(pl_arena *arena, const gql_source *source, gql_token *token, pl_error *err)
{
    gql_lexer lexer;
    pl_code code = gql_lexer_init(&lexer, arena, source, err);
    return code ? code : gql_lexer_next(&lexer, token);
}

static void assert_text(pl_str actual, const char *expected)
{
    assert_non_null(actual.ptr);
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.ptr, expected, actual.len);
}

static void test_reads_every_kind_of_token(void **state)
{
    static const struct {
        gql_token_kind kind;
        const char *text; /* NULL: none */
        unsigned line, column, offset;
    } expected[] = {
        {'{', NULL, 1, 1, 0},
        {'}', NULL, 1, 2, 1},
        {'(', NULL, 1, 3, 2},
        {')', NULL, 1, 4, 3},
        {'[', NULL, 1, 5, 4},
        {']', NULL, 1, 6, 5},
        {'!', NULL, 1, 7, 6},
        {'$', NULL, 1, 8, 7},
        {'&', NULL, 1, 9, 8},
        {':', NULL, 1, 10, 9},
        {'=', NULL, 1, 11, 10},
        {'@', NULL, 1, 12, 11},
        {'|', NULL, 1, 13, 12},
        {GQL_TOKEN_SPREAD, NULL, 1, 14, 13},
        {GQL_TOKEN_NAME, "_a9Z", 2, 2, 18},
        {GQL_TOKEN_INT, "-12", 3, 1, 33},
        {GQL_TOKEN_INT, "0", 4, 1, 37},
        {GQL_TOKEN_FLOAT, "-0.50e+10", 5, 2, 41},
        {GQL_TOKEN_FLOAT, "1E3", 5, 12, 51},
        {GQL_TOKEN_FLOAT, "1.5", 5, 16, 55},
        {GQL_TOKEN_STRING, "x", 6, 1, 59},
        {GQL_TOKEN_BLOCK_STRING, "y\nz", 6, 5, 63},
        {GQL_TOKEN_NAME, "end", 7, 6, 73},
        {GQL_TOKEN_EOF, NULL, 8, 1, 77},
        {GQL_TOKEN_EOF, NULL, 8, 1, 77},
    };
    gql_source source = source_of("{}()[]!$&:=@|...\n,_a9Z # comment\n-12\r0\r\n\t-0.50e+10 1E3 1.5\n"
                                  "\"x\",\"\"\"y\nz\"\"\",end\n");
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_lexer lexer;
    assert_int_equal(gql_lexer_init(&lexer, &arena, &source, NULL), PL_OK);
    for (size_t i = 0; i < COUNT(expected); i++) {
        gql_token token;
        assert_int_equal(gql_lexer_next(&lexer, &token), PL_OK);
        assert_int_equal(token.kind, expected[i].kind);
        assert_int_equal(token.loc.line, expected[i].line);
        assert_int_equal(token.loc.column, expected[i].column);
        assert_int_equal(token.loc.offset, expected[i].offset);
        if (expected[i].text != NULL)
            assert_text(token.text, expected[i].text);
        else
            assert_int_equal(token.text.len, 0);
    }
    pl_arena_dispose(&arena);
}

static void test_skips_what_is_ignored(void **state)
{
    static const struct {
        const char *text;
        unsigned line, column;
    } cases[] = {
        {"a", 1, 1},
        {"\xEF\xBB\xBF a", 1, 3},
        {",,\t \xEF\xBB\xBF,a", 1, 7},
        {"#\xC3\xA9\n a", 2, 2},
        {"# one\r# two\r\n# three\n\r a", 5, 2},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        gql_source source = source_of(cases[i].text);
        gql_token token;
        assert_int_equal(first_token(NULL, &source, &token, NULL), PL_OK);
        assert_int_equal(token.kind, GQL_TOKEN_NAME);
        assert_int_equal(token.loc.line, cases[i].line);
        assert_int_equal(token.loc.column, cases[i].column);
    }
}

static void test_columns_count_code_points(void **state)
{
    /* e with an accent, a Chinese character, an emoji: two, three and four bytes. */
    gql_source source =
        source_of("\"\xC3\xA9\xE6\xBC\xA2\xF0\x9F\x98\x80\" a \"\"\"\xC3\xA9\n\xC3\xA9\"\"\" b");
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_token token;
    gql_lexer lexer;
    assert_int_equal(gql_lexer_init(&lexer, &arena, &source, NULL), PL_OK);
    assert_int_equal(gql_lexer_next(&lexer, &token), PL_OK);
    assert_text(token.text, "\xC3\xA9\xE6\xBC\xA2\xF0\x9F\x98\x80");
    assert_int_equal(gql_lexer_next(&lexer, &token), PL_OK);
    assert_int_equal(token.loc.column, 7);
    assert_int_equal(token.loc.offset, 12);
    assert_int_equal(gql_lexer_next(&lexer, &token), PL_OK);
    assert_int_equal(gql_lexer_next(&lexer, &token), PL_OK);
    assert_text(token.text, "b");
    assert_int_equal(token.loc.line, 2);
    assert_int_equal(token.loc.column, 6);
    pl_arena_dispose(&arena);
}

static void test_string_values(void **state)
{
    static const struct {
        const char *text, *value;
        bool view; /* the value lies in the source */
    } cases[] = {
        {"\"\"", "", true},
        {"\" white\tspace \"", " white\tspace ", true},
        {"\"# no comment\"", "# no comment", true},
        {"\"\\\"\"", "\"", false},
        {"\"\\\" \\\\ \\/ \\b \\f \\n \\r \\t.\"", "\" \\ / \b \f \n \r \t.", false},
        {"\"\\u0041\\u00e9\\uFEFF\"", "A\xC3\xA9\xEF\xBB\xBF", false},
        {"\"\\u{41} \\u{00e9} \\u{1F600} \\u{10FFFF} \\u{000041}\"",
         "A \xC3\xA9 \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF A", false},
        {"\"\\uD83D\\uDE00\\udbff\\udfff\"", "\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF", false},
        {"\"\\u00417\"", "A7", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        gql_source source = source_of(cases[i].text);
        pl_arena arena;
        pl_arena_init(&arena, 0);
        gql_token token;
        assert_int_equal(first_token(&arena, &source, &token, NULL), PL_OK);
        assert_int_equal(token.kind, GQL_TOKEN_STRING);
        assert_text(token.text, cases[i].value);
        assert_int_equal(token.text.ptr == source.text.ptr + 1, cases[i].view);
        pl_arena_dispose(&arena);
    }
}

#define Q3 "\"\"\""

static void test_block_string_values(void **state)
{
    static const struct {
        const char *text, *value;
    } cases[] = {
        {Q3 Q3, ""},
        {Q3 "   \n\t\n" Q3, ""},
        {Q3 "one" Q3, "one"},
        {Q3 "  one " Q3, "  one "},
        {Q3 " \"two\" quotes \"\" " Q3, " \"two\" quotes \"\" "},
        {Q3 "a \\" Q3 " b" Q3, "a " Q3 " b"},
        {Q3 "\\" Q3 "\\\\" Q3 Q3, Q3 "\\" Q3},
        {Q3 "no \\n \\u0041 escapes" Q3, "no \\n \\u0041 escapes"},
        {Q3 "one\ntwo\rthree\r\nfour" Q3, "one\ntwo\nthree\nfour"},
        {Q3 "\n    Hello,\n      World!\n\n    Yours,\n      GraphQL.\n  " Q3,
         "Hello,\n  World!\n\nYours,\n  GraphQL."},
        {Q3 "    first\n    second\n      third" Q3, "    first\nsecond\n  third"},
        {Q3 " first\n    second\n   third" Q3, " first\n second\nthird"},
        {Q3 "\n\n   \n    x\n   \n\n" Q3, "x"},
        {Q3 "\n  x\n \n  y\n" Q3, "x\n\ny"},
        {Q3 "\n  x\n      \n  y\n" Q3, "x\n    \ny"},
        {Q3 "\n\tx\n\t y" Q3, "x\n y"},
        {Q3 "\n \\" Q3 "x\n  y" Q3, Q3 "x\n y"},
        {Q3 "\n  only \\" Q3 Q3, "only " Q3},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        gql_source source = source_of(cases[i].text);
        pl_arena arena;
        pl_arena_init(&arena, 0);
        gql_token token;
        assert_int_equal(first_token(&arena, &source, &token, NULL), PL_OK);
        assert_int_equal(token.kind, GQL_TOKEN_BLOCK_STRING);
        assert_text(token.text, cases[i].value);
        pl_arena_dispose(&arena);
    }
}

static void test_what_follows_a_block_string_is_placed(void **state)
{
    gql_source source = source_of(Q3 "a\r\nb\rc\n\xC3\xA9 \\" Q3 Q3 " x");
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_lexer lexer;
    gql_token token;
    assert_int_equal(gql_lexer_init(&lexer, &arena, &source, NULL), PL_OK);
    assert_int_equal(gql_lexer_next(&lexer, &token), PL_OK);
    assert_int_equal(gql_lexer_next(&lexer, &token), PL_OK);
    assert_int_equal(token.loc.line, 4);
    assert_int_equal(token.loc.column, 11);
    pl_arena_dispose(&arena);
}

static const struct {
    const char *text;
    unsigned line, column;
    const char *message;
} errors[] = {
    {"?", 1, 1, "Unexpected character: \"?\"."},
    {" \n  %", 2, 3, "Unexpected character: \"%\"."},
    {"\x07", 1, 1, "Unexpected character: U+0007."},
    {"\x7F", 1, 1, "Unexpected character: U+007F."},
    {" \xC3\xA9", 1, 2, "Unexpected character: U+00E9."},
    {"#\xC3\xA9\r\n\xF0\x9F\x98\x80", 2, 1, "Unexpected character: U+1F600."},
    {"'single'", 1, 1, "Unexpected single quote character ('), did you mean to use a double quote (\")?"},
    {".", 1, 1, "Unexpected character: \".\"."},
    {"..", 1, 1, "Unexpected \"..\", did you mean \"...\"?"},
    {" ..a", 1, 2, "Unexpected \"..\", did you mean \"...\"?"},
    {".123x", 1, 1, "Invalid number, expected digit before \".\", did you mean \"0.123\"?"},
    {"00", 1, 2, "Invalid number, unexpected digit after 0: \"0\"."},
    {"-01", 1, 3, "Invalid number, unexpected digit after 0: \"1\"."},
    {"+1", 1, 1, "Unexpected character: \"+\"."},
    {"-", 1, 2, "Invalid number, expected digit but got: <EOF>."},
    {"-a", 1, 2, "Invalid number, expected digit but got: \"a\"."},
    {"1.", 1, 3, "Invalid number, expected digit but got: <EOF>."},
    {"1.\"x", 1, 3, "Invalid number, expected digit but got: '\"'."},
    {"1.e1", 1, 3, "Invalid number, expected digit but got: \"e\"."},
    {"1e", 1, 3, "Invalid number, expected digit but got: <EOF>."},
    {"1e+\xE2\x82\xAC", 1, 4, "Invalid number, expected digit but got: U+20AC."},
    {"1.0x", 1, 4, "Invalid number, expected digit but got: \"x\"."},
    {"1_", 1, 2, "Invalid number, expected digit but got: \"_\"."},
    {"0x1F", 1, 2, "Invalid number, expected digit but got: \"x\"."},
    {"1.2.3", 1, 4, "Invalid number, expected digit but got: \".\"."},
    {"\"", 1, 2, "Unterminated string."},
    {"\"a\nb\"", 1, 3, "Unterminated string."},
    {"\"a\r\nb\"", 1, 3, "Unterminated string."},
    {"\"\xC3\xA9", 1, 3, "Unterminated string."},
    {"\"\"\"", 1, 4, "Unterminated string."},
    {"\"\"\"a\n b\"\"", 2, 5, "Unterminated string."},
    {"\"\"\"a\r\n\\\"\"\"", 2, 5, "Unterminated string."},
    {"\" \\z\"", 1, 3, "Invalid character escape sequence: \"\\z\"."},
    {"\"\\\xF0\x9F\x98\x80\"", 1, 2, "Invalid character escape sequence: \"\\\xF0\x9F\x98\x80\"."},
    {"\"\\", 1, 2, "Invalid character escape sequence: \"\\\"."},
    {"\"\\u1\"", 1, 2, "Invalid Unicode escape sequence: \"\\u1\"\"."},
    {"\"\\u12", 1, 2, "Invalid Unicode escape sequence: \"\\u12\"."},
    {"\"\\u00XX1\"", 1, 2, "Invalid Unicode escape sequence: \"\\u00XX\"."},
    {"\"\\uD83D\"", 1, 2, "Invalid Unicode escape sequence: \"\\uD83D\"."},
    {"\"\\uD83D\\n\"", 1, 2, "Invalid Unicode escape sequence: \"\\uD83D\"."},
    {"\"\\uD83D\\u0041\"", 1, 2, "Invalid Unicode escape sequence: \"\\uD83D\"."},
    {"\"\\uDE00\\uD83D\"", 1, 2, "Invalid Unicode escape sequence: \"\\uDE00\"."},
    {"\"\\u{}\"", 1, 2, "Invalid Unicode escape sequence: \"\\u{}\"."},
    {"\"\\u{FX}\"", 1, 2, "Invalid Unicode escape sequence: \"\\u{FX\"."},
    {"\"\\u{D83D}\"", 1, 2, "Invalid Unicode escape sequence: \"\\u{D83D}\"."},
    {"\"\\u{110000}\"", 1, 2, "Invalid Unicode escape sequence: \"\\u{110000}\"."},
    {"\"\\u{000000041}\"", 1, 2, "Invalid Unicode escape sequence: \"\\u{000000041\"."},
    {"\"\\u{80000041}\"", 1, 2, "Invalid Unicode escape sequence: \"\\u{80000041\"."},
    {"\"\\u{41", 1, 2, "Invalid Unicode escape sequence: \"\\u{41\"."},
};

static void test_errors_name_the_place(void **state)
{
    for (size_t i = 0; i < COUNT(errors); i++) {
        gql_source source = source_of(errors[i].text);
        pl_arena arena;
        pl_arena_init(&arena, 0);
        gql_token token;
        pl_error err = {0};
        char expected[256] = "Syntax Error: ";
        strcat(expected, errors[i].message);
        assert_int_equal(first_token(&arena, &source, &token, &err), PL_INVALID_ARGUMENT);
        assert_string_equal(err.message, expected);
        assert_int_equal(err.line, errors[i].line);
        assert_int_equal(err.column, errors[i].column);
        assert_int_equal(err.code, PL_INVALID_ARGUMENT);
        assert_string_equal(err.file, "test.graphql");
        pl_arena_dispose(&arena);
    }
}

static void test_refuses_what_is_not_utf8(void **state)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *message;
    } cases[] = {
        {"a \xFF", 1, 3, "Syntax Error: Invalid character: byte 0xFF is not valid UTF-8."},
        {"{ a } #\xC3\xA9\n\"\xC3\"", 2, 2, "Syntax Error: Invalid character: byte 0xC3 is not valid UTF-8."},
        {"\xED\xA0\x80", 1, 1, "Syntax Error: Invalid character: byte 0xED is not valid UTF-8."},
        {"\xC0\x80", 1, 1, "Syntax Error: Invalid character: byte 0xC0 is not valid UTF-8."},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        gql_source source = source_of(cases[i].text);
        gql_lexer lexer;
        pl_error err = {0};
        assert_int_equal(gql_lexer_init(&lexer, NULL, &source, &err), PL_INVALID_ARGUMENT);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(err.line, cases[i].line);
        assert_int_equal(err.column, cases[i].column);
    }
}

static void test_a_source_needs_no_terminator_and_may_hold_nul(void **state)
{
    static const char text[] = {'"', 'a', '\0', 'b', '"', 'x', '.', '.', '.'};
    gql_source source = {NULL, {text, 6}};
    gql_lexer lexer;
    gql_token token;
    assert_int_equal(gql_lexer_init(&lexer, NULL, &source, NULL), PL_OK);
    assert_int_equal(gql_lexer_next(&lexer, &token), PL_OK);
    assert_int_equal(token.text.len, 3);
    assert_int_equal(gql_lexer_next(&lexer, &token), PL_OK);
    assert_text(token.text, "x");
    assert_int_equal(gql_lexer_next(&lexer, &token), PL_OK);
    assert_int_equal(token.kind, GQL_TOKEN_EOF);

    gql_source nothing = {NULL, PL_STR_NONE};
    assert_int_equal(first_token(NULL, &nothing, &token, NULL), PL_OK);
    assert_int_equal(token.kind, GQL_TOKEN_EOF);
    assert_int_equal(token.loc.line, 1);
    assert_int_equal(token.loc.column, 1);
}

static void test_errors_without_an_error_struct_or_a_name(void **state)
{
    gql_source source = {NULL, PL_STR("?")};
    gql_token token;
    pl_error err;
    assert_int_equal(first_token(NULL, &source, &token, NULL), PL_INVALID_ARGUMENT);
    assert_int_equal(first_token(NULL, &source, &token, &err), PL_INVALID_ARGUMENT);
    assert_string_equal(err.file, "");
}

static void test_reports_that_memory_is_short(void **state)
{
    static const char *const texts[] = {"\"\\n\"", Q3 "a\nb" Q3};
    for (size_t i = 0; i < COUNT(texts); i++) {
        gql_source source = source_of(texts[i]);
        pl_arena arena;
        pl_arena_init(&arena, 0);
        gql_token token;
        pl_error err = {0};
        pl_alloc_fail_at(1, 0);
        assert_int_equal(first_token(&arena, &source, &token, &err), PL_RESOURCE_EXHAUSTED);
        pl_alloc_fail_at(0, 0);
        assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
        pl_arena_dispose(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_every_kind_of_token),
        cmocka_unit_test(test_skips_what_is_ignored),
        cmocka_unit_test(test_columns_count_code_points),
        cmocka_unit_test(test_string_values),
        cmocka_unit_test(test_block_string_values),
        cmocka_unit_test(test_what_follows_a_block_string_is_placed),
        cmocka_unit_test(test_errors_name_the_place),
        cmocka_unit_test(test_refuses_what_is_not_utf8),
        cmocka_unit_test(test_a_source_needs_no_terminator_and_may_hold_nul),
        cmocka_unit_test(test_errors_without_an_error_struct_or_a_name),
        cmocka_unit_test(test_reports_that_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
