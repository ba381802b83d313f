/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "support/failing.h"
#include "value/json.h"

static pl_arena arena;
static pl_value value;
static pl_error err;

static int set_up(void **state)
{
    pl_arena_init(&arena, 0);
    memset(&err, 0, sizeof(err));
    return 0;
}

static int tear_down(void **state)
{
    pl_arena_dispose(&arena);
    return 0;
}

static pl_code read_str(pl_str text)
{
    return pl_json_read(&arena, text, NULL, &value, &err);
}

static pl_code read_text(const char *text)
{
    return read_str(pl_str_of(text));
}

/* What was read, written again. */
static const char *rewritten(void)
{
    pl_buf buf;
    pl_buf_init(&buf);
    pl_json_value(&buf, &value);
    assert_false(buf.failed);
    pl_str s = pl_arena_str(&arena, pl_buf_view(&buf));
    pl_buf_dispose(&buf);
    return s.ptr;
}

static void accepted(void **state)
{
    static const char *const cases[][2] = {
        /* arrays */
        {"[]", NULL},
        {"[[]   ]", "[[]]"},
        {"[\"\"]", NULL},
        {"[1,2,3,4]", NULL},
        {"[null, 1, \"1\", {}]", "[null,1,\"1\",{}]"},
        {"[1\n]", "[1]"},
        {" [1]", "[1]"},
        {"[1,null,null,null,2]", NULL},
        {"[2] ", "[2]"},
        /* numbers */
        {"[123e65]", "[1.23e+67]"},
        {"[0e+1]", "[0]"},
        {"[0e1]", "[0]"},
        {"[ 4]", "[4]"},
        {"[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]", "[-1e-78]"},
        {"[20e1]", "[200]"},
        {"[-0]", "[0]"},
        {"[-123]", NULL},
        {"[1E22]", "[1e+22]"},
        {"[1E-2]", "[0.01]"},
        {"[123e45]", "[1.23e+47]"},
        {"[123.456e78]", "[1.23456e+80]"},
        {"[1e-2]", "[0.01]"},
        {"[123.456789]", NULL},
        {"[1e-400]", "[0]"},
        /* objects */
        {"{\"asd\":\"sdf\", \"dfg\":\"fgh\"}", "{\"asd\":\"sdf\",\"dfg\":\"fgh\"}"},
        {"{\"a\":\"b\",\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":1,\"b\":2,\"a\":[3]}", "{\"a\":[3],\"b\":2}"},
        {"{}", NULL},
        {"{\"\":0}", NULL},
        {"{\"foo\\u0062ar\": 42}", "{\"foobar\":42}"},
        {"{\n\"a\": \"b\"\n}", "{\"a\":\"b\"}"},
        /* strings */
        {"[\"\\u0060\\u012a\\u12AB\"]", "[\"`Īካ\"]"},
        {"[\"\\uD801\\udc37\"]", "[\"𐐷\"]"},
        {"[\"\\ud83d\\ude39\\ud83d\\udc8d\"]", "[\"😹💍\"]"},
        {"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", "[\"\\\"\\\\/\\b\\f\\n\\r\\t\"]"},
        {"[\"\\\\u0000\"]", NULL},
        {"[\"a/*b*/c/*d//e\"]", NULL},
        {"[\"\\uDBFF\\uDFFF\"]", "[\"\xF4\x8F\xBF\xBF\"]"},
        {"[\"new\\u00A0line\"]", "[\"new\xC2\xA0line\"]"},
        {"[\"\x7f\"]", NULL},
        {"[\"€𝄞\"]", NULL},
        {"[\"\\u0022\"]", "[\"\\\"\"]"},
        {"[\"\\uFFFF\\uFDD0\"]", "[\"\xEF\xBF\xBF\xEF\xB7\x90\"]"},
        /* bare values */
        {"false", NULL},
        {"42", NULL},
        {"-0.1", NULL},
        {"null", NULL},
        {"\"asd\"", NULL},
        {"true", NULL},
        {"\"\"", NULL},
        {" \t\r\n1\t\r\n ", "1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (read_text(cases[i][0]) != PL_OK)
            fail_msg("%s: %s", cases[i][0], err.message);
        assert_string_equal(rewritten(), cases[i][1] ? cases[i][1] : cases[i][0]);
    }
}

static void names_may_have_to_be_unique(void **state)
{
    static const pl_json_limits limits = {.unique_names = true};
    assert_int_equal(
        pl_json_read(&arena, PL_STR("{\"a\":{\"a\":1},\"b\":[{\"a\":1}]}"), &limits, &value, &err), PL_OK);
    assert_int_equal(pl_json_read(&arena, PL_STR("{\"b\":[{\"a\":1,\"\\u0061\":1}]}"), &limits, &value, &err),
                     PL_INVALID_ARGUMENT);
    assert_string_equal(err.message, "The name \"a\" is there twice in one JSON object");
    pl_buf many;
    pl_buf_init(&many);
    PL_BUF_LIT(&many, "{\"first\":0");
    for (int i = 0; i < 1000; i++)
        pl_buf_printf(&many, ",\"%d\":0", i);
    PL_BUF_LIT(&many, ",\"first\":0}");
    assert_int_equal(pl_json_read(&arena, pl_buf_view(&many), &limits, &value, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_json_read(&arena, pl_buf_view(&many), NULL, &value, &err), PL_OK);
    pl_buf_dispose(&many);
}

static void a_byte_order_mark_may_be_passed_over(void **state)
{
    static const pl_json_limits limits = {.skip_bom = true};
    pl_str text = PL_STR("\xef\xbb\xbf[1]");
    assert_int_equal(pl_json_read(&arena, text, &limits, &value, &err), PL_OK);
    assert_string_equal(rewritten(), "[1]");
    assert_int_equal(pl_json_read(&arena, text, NULL, &value, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_json_read(&arena, PL_STR("\xef\xbb\xbf"), &limits, &value, &err),
                     PL_INVALID_ARGUMENT);
}

static void refused_with_the_place(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "Unexpected end of JSON at byte 0"},
        {"  ", "Unexpected end of JSON at byte 2"},
        {"[", "Unexpected end of JSON at byte 1"},
        {"{\"a\":", "Unexpected end of JSON at byte 5"},
        {"[1", "Unexpected end of JSON at byte 2"},
        {"[1,", "Unexpected end of JSON at byte 3"},
        {"{\"a\"", "Unexpected end of JSON at byte 4"},
        {"{\"a\":1,", "Unexpected end of JSON at byte 7"},
        {"\"abc", "Unexpected end of JSON at byte 4"},
        {"\"abc\\", "Unexpected end of JSON at byte 5"},
        {"tru", "Unexpected end of JSON at byte 3"},
        {"-", "Unexpected end of JSON at byte 1"},
        {"1.", "Unexpected end of JSON at byte 2"},
        {"1e", "Unexpected end of JSON at byte 2"},
        {"1e+", "Unexpected end of JSON at byte 3"},
        {"[1 true]", "Unexpected character \"t\" in JSON at byte 3"},
        {"[\"\": 1]", "Unexpected character \":\" in JSON at byte 3"},
        {"[\"\"],", "Unexpected character \",\" in JSON at byte 4"},
        {"[,1]", "Unexpected character \",\" in JSON at byte 1"},
        {"[1,,2]", "Unexpected character \",\" in JSON at byte 3"},
        {"[\"x\"]]", "Unexpected character \"]\" in JSON at byte 5"},
        {"[1,]", "Unexpected character \"]\" in JSON at byte 3"},
        {"[1}", "Unexpected character \"}\" in JSON at byte 2"},
        {"{\"a\":1]", "Unexpected character \"]\" in JSON at byte 6"},
        {"]", "Unexpected character \"]\" in JSON at byte 0"},
        {"}", "Unexpected character \"}\" in JSON at byte 0"},
        {"[1]x", "Unexpected character \"x\" in JSON at byte 3"},
        {"1 2", "Unexpected character \"2\" in JSON at byte 2"},
        {"[truth]", "Unexpected character \"t\" in JSON at byte 4"},
        {"[nul]", "Unexpected character \"]\" in JSON at byte 4"},
        {"[True]", "Unexpected character \"T\" in JSON at byte 1"},
        {"[++1234]", "Unexpected character \"+\" in JSON at byte 1"},
        {"[-01]", "Unexpected character \"1\" in JSON at byte 3"},
        {"[012]", "Unexpected character \"1\" in JSON at byte 2"},
        {"[-1.0.]", "Unexpected character \".\" in JSON at byte 5"},
        {"[-2.]", "Unexpected character \"]\" in JSON at byte 4"},
        {"[.2e-3]", "Unexpected character \".\" in JSON at byte 1"},
        {"[0.e1]", "Unexpected character \"e\" in JSON at byte 3"},
        {"[1.0e+]", "Unexpected character \"]\" in JSON at byte 6"},
        {"[1eE2]", "Unexpected character \"E\" in JSON at byte 3"},
        {"[1 000.0]", "Unexpected character \"0\" in JSON at byte 3"},
        {"[0x42]", "Unexpected character \"x\" in JSON at byte 2"},
        {"[Infinity]", "Unexpected character \"I\" in JSON at byte 1"},
        {"[-Infinity]", "Unexpected character \"I\" in JSON at byte 2"},
        {"[NaN]", "Unexpected character \"N\" in JSON at byte 1"},
        {"[- 1]", "Unexpected character U+0020 in JSON at byte 2"},
        {"[１]", "Unexpected character U+FF11 in JSON at byte 1"},
        {"{\"x\", null}", "Unexpected character \",\" in JSON at byte 4"},
        {"{\"x\"::\"b\"}", "Unexpected character \":\" in JSON at byte 5"},
        {"{\"a\":\"b\",,\"c\":1}", "Unexpected character \",\" in JSON at byte 9"},
        {"{a: \"b\"}", "Unexpected character \"a\" in JSON at byte 1"},
        {"{1:1}", "Unexpected character \"1\" in JSON at byte 1"},
        {"{'a':0}", "Unexpected character \"'\" in JSON at byte 1"},
        {"{\"id\":0,}", "Unexpected character \"}\" in JSON at byte 8"},
        {"{\"a\" \"b\"}", "Unexpected character '\"' in JSON at byte 5"},
        {"{\"a\":1 \"b\"}", "Unexpected character '\"' in JSON at byte 7"},
        {"{\"a\":\"b\"}/**/", "Unexpected character \"/\" in JSON at byte 9"},
        {"[1] # c", "Unexpected character \"#\" in JSON at byte 4"},
        {"[\"\t\"]", "Unexpected character U+0009 in JSON at byte 2"},
        {"[\"new\nline\"]", "Unexpected character U+000A in JSON at byte 5"},
        {"\f1", "Unexpected character U+000C in JSON at byte 0"},
        {"\xEF\xBB\xBF{}", "Unexpected character U+FEFF in JSON at byte 0"},
        {"[\"\\x00\"]", "Invalid escape in JSON at byte 2"},
        {"[\"\\a\"]", "Invalid escape in JSON at byte 2"},
        {"[\"\\\t\"]", "Invalid escape in JSON at byte 2"},
        {"[\"\\u\"]", "Invalid escape in JSON at byte 2"},
        {"[\"\\u00A\"]", "Invalid escape in JSON at byte 2"},
        {"[\"\\u00G0\"]", "Invalid escape in JSON at byte 2"},
        {"[\"ab\\U0041\"]", "Invalid escape in JSON at byte 4"},
        {"[\"\\u0000\"]", "Unsupported escape \\u0000 in JSON at byte 2"},
        {"[\"\\uD800\"]", "Lone surrogate in JSON at byte 2"},
        {"[\"x\\uD800\\n\"]", "Lone surrogate in JSON at byte 3"},
        {"[\"\\uD800\\u\"]", "Lone surrogate in JSON at byte 2"},
        {"[\"\\uD800\\uD800\"]", "Lone surrogate in JSON at byte 2"},
        {"[\"\\uDFAA\"]", "Lone surrogate in JSON at byte 2"},
        {"[\"\\uDd1e\\uD834\"]", "Lone surrogate in JSON at byte 2"},
        {"[\"\\uD834\\uDd", "Lone surrogate in JSON at byte 2"},
        {"[\"\xff\"]", "Invalid UTF-8 in JSON at byte 2"},
        {"[\"\xed\xa0\x80\"]", "Invalid UTF-8 in JSON at byte 2"},
        {"[\"\xc0\xaf\"]", "Invalid UTF-8 in JSON at byte 2"},
        {"[\"1234567\xe2\x82\"]", "Invalid UTF-8 in JSON at byte 9"},
        {"{\"\xb9\":\"0\",}", "Invalid UTF-8 in JSON at byte 2"},
        {"\xe5", "Invalid UTF-8 in JSON at byte 0"},
        {"[1e400]", "Number is too large in JSON at byte 1"},
        {"[1, -1e999]", "Number is too large in JSON at byte 4"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        value.kind = PL_KIND_OTHER;
        if (read_text(cases[i].text) != PL_INVALID_ARGUMENT)
            fail_msg("accepted: %s", cases[i].text);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(err.code, PL_INVALID_ARGUMENT);
        assert_int_equal(err.line, 1);
        assert_int_equal(err.column, atoi(strrchr(cases[i].message, ' ')) + 1);
        assert_int_equal(value.kind, PL_KIND_OTHER);
    }
    assert_int_equal(read_str(PL_STR("[1\0]")), PL_INVALID_ARGUMENT);
    assert_string_equal(err.message, "Unexpected character U+0000 in JSON at byte 2");
    assert_int_equal(read_str(PL_STR("[\"a\0\"]")), PL_INVALID_ARGUMENT);
    assert_string_equal(err.message, "Unexpected character U+0000 in JSON at byte 3");
    assert_int_equal(read_str(PL_STR("[\"\\\0\"]")), PL_INVALID_ARGUMENT);
    assert_int_equal(read_str(PL_STR("1\0")), PL_INVALID_ARGUMENT);
    assert_int_equal(read_str(PL_STR_NONE), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_json_read(&arena, PL_STR("x"), NULL, &value, NULL), PL_INVALID_ARGUMENT);
}

static void integers_are_exact(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"9007199254740993", INT64_C(9007199254740993)},
        {"-9007199254740993", INT64_C(-9007199254740993)},
        {"9223372036854775806", INT64_MAX - 1},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775807", INT64_MIN + 1},
        {"-9223372036854775808", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_text(cases[i].text), PL_OK);
        assert_int_equal(value.kind, PL_KIND_INT);
        assert_true(value.integer == cases[i].value);
    }
}

static void other_numbers_are_floats(void **state)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"9223372036854775808", 0x1p63},
        {"-9223372036854775809", -0x1p63},
        {"18446744073709551616", 0x1p64},
        {"1.0", 1},
        {"1e0", 1},
        {"1E2", 100},
        {"-0.0", -0.0},
        {"0.1", 0.1},
        {"5e-324", 5e-324},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"123456789012345678901234567890123456789012345678901234567890123456789012", 1.2345678901234568e71},
        {"0.1000000000000000055511151231257827021181583404541015625000000000000000000000000000001", 0.1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_text(cases[i].text), PL_OK);
        assert_int_equal(value.kind, PL_KIND_FLOAT);
        assert_memory_equal(&value.number, &cases[i].value, sizeof(double));
    }
}

/* Numbers are matched with their text by their order: also below repeated names, and beside long ones. */
static void numbers_in_a_tree_keep_their_text(void **state)
{
    assert_int_equal(read_text("{\"a\":[1,9007199254740993,2.5],\"b\":\"-12\",\"3\":9223372036854775807,"
                               "\"a\":{\"c\":[9007199254740995]},\"d\":-9007199254740997,"
                               "\"e\":1000000000000000000000000000000000000000000000000000000000000000000000,"
                               "\"f\":[9007199254740999]}"),
                     PL_OK);
    assert_string_equal(rewritten(),
                        "{\"a\":{\"c\":[9007199254740995]},\"b\":\"-12\",\"3\":9223372036854775807,"
                        "\"d\":-9007199254740997,\"e\":1e+69,\"f\":[9007199254740999]}");
}

static void numbers_of_any_length(void **state)
{
    char text[5000] = "[1,";
    for (size_t len = 1; len < 200; len++) {
        memset(text + 3, '7', len);
        strcpy(text + 3 + len, ",2]");
        assert_int_equal(read_text(text), PL_OK);
        assert_int_equal(value.list.count, 3);
        char *number = text + 3;
        assert_int_equal(value.list.items[1].kind, len <= 19 ? PL_KIND_INT : PL_KIND_FLOAT);
        if (len > 19)
            assert_true(value.list.items[1].number == strtod(number, NULL));
        assert_int_equal(value.list.items[2].integer, 2);
    }
    memset(text, '0', sizeof(text));
    memcpy(text, "0.", 2);
    memcpy(text + 4000, "1e4000", 7);
    assert_int_equal(read_text(text), PL_OK);
    assert_true(value.number == strtod(text, NULL) && value.number > 1);
}

static void strings_are_owned_by_the_arena(void **state)
{
    char text[] = "{\"name\":\"value\"}";
    assert_int_equal(read_text(text), PL_OK);
    memset(text, 'x', sizeof(text) - 1);
    assert_true(pl_str_is(value.map.members[0].name, "name"));
    assert_true(pl_str_is(value.map.members[0].value.string, "value"));
    assert_string_equal(value.map.members[0].value.string.ptr, "value");
}

static char *nested(size_t depth, const char *open, const char *inner, const char *close)
{
    size_t width = strlen(open);
    char *text = malloc(depth * (width + 1) + strlen(inner) + 1);
    char *p = text;
    for (size_t i = 0; i < depth; i++, p += width)
        memcpy(p, open, width);
    p += sprintf(p, "%s", inner);
    memset(p, close[0], depth);
    p[depth] = '\0';
    return text;
}

static void depth_is_bounded(void **state)
{
    static const struct {
        unsigned limit;
        size_t depth;
        const char *message;
    } cases[] = {
        {0, 64, NULL},
        {0, 65, "JSON is nested deeper than 64 levels at byte 64"},
        {1, 1, NULL},
        {1, 2, "JSON is nested deeper than 1 levels at byte 1"},
        {900, 900, NULL},
        {5000, 900, NULL},
        {5000, 901, "JSON is nested deeper than 900 levels at byte 900"},
        {0, 100000, "JSON is nested deeper than 64 levels at byte 64"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const pl_json_limits limits = {.max_depth = cases[i].limit};
        char *text = nested(cases[i].depth, "[", "", "]");
        pl_code code = pl_json_read(&arena, pl_str_of(text), &limits, &value, &err);
        assert_int_equal(code, cases[i].message ? PL_RESOURCE_EXHAUSTED : PL_OK);
        if (cases[i].message)
            assert_string_equal(err.message, cases[i].message);
        else
            assert_string_equal(rewritten(), text);
        free(text);
        text = nested(cases[i].depth, "{\"a\":", "9007199254740993", "}");
        code = pl_json_read(&arena, pl_str_of(text), &limits, &value, &err);
        assert_int_equal(code, cases[i].message ? PL_RESOURCE_EXHAUSTED : PL_OK);
        if (!cases[i].message)
            assert_string_equal(rewritten(), text);
        free(text);
    }
}

static void size_is_bounded(void **state)
{
    const pl_json_limits limits = {.max_bytes = 4};
    assert_int_equal(pl_json_read(&arena, PL_STR("1234"), &limits, &value, &err), PL_OK);
    assert_int_equal(pl_json_read(&arena, PL_STR("12345"), &limits, &value, &err), PL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.message, "JSON is larger than 4 bytes");
}

/* Every name twice: first in order, then again. */
static void large_maps_have_unique_names(void **state)
{
    static const size_t sizes[] = {7, 8, 9, 16, 17, 18, 20000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t n = sizes[i];
        pl_buf buf;
        pl_buf_init(&buf);
        pl_buf_char(&buf, '{');
        for (size_t j = 0; j < 2 * n; j++)
            pl_buf_printf(&buf, "%s\"k%zu\":%zu", j == 0 ? "" : ",", j % n, j);
        pl_buf_char(&buf, '}');
        assert_int_equal(read_str(pl_buf_view(&buf)), PL_OK);
        pl_buf_dispose(&buf);
        assert_int_equal(value.map.count, n);
        for (size_t j = 0; j < n; j++) {
            char name[32];
            snprintf(name, sizeof(name), "k%zu", j);
            assert_true(pl_str_is(value.map.members[j].name, name));
            assert_int_equal(value.map.members[j].value.integer, n + j);
        }
    }
}

/* The text ends where the memory ends. */
static void nothing_behind_the_text_is_read(void **state)
{
    static const char *const texts[] = {
        "1",
        "12.5e3",
        "true",
        "null",
        "\"abc\"",
        "[1,2]",
        "{\"a\":1}",
        "[\"\\u00e9\"]",
        "{\"a\":1} ",
        "[1,",
        "\"abc",
        "\"\\u12",
        "tru",
        "{\"1\":1,",
        "-",
        "\"\\",
        "[123456789012345678901234567890123456789012345678901234567890123456789]"};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        size_t len = strlen(texts[i]);
        for (size_t cut = 0; cut <= len; cut++) {
            memcpy(memory + page - cut, texts[i], cut);
            pl_code code = read_str((pl_str){memory + page - cut, cut});
            assert_true(code == PL_OK || code == PL_INVALID_ARGUMENT);
        }
    }
    munmap(memory, page * 2);
}

static void doubles_round_trip(void **state)
{
    uint64_t random = 3;
    pl_buf buf;
    pl_buf_init(&buf);
    for (int i = 0; i < 20000; i++) {
        double v;
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = random ^ random >> 31;
        memcpy(&v, &bits, sizeof(v));
        if (!isfinite(v))
            continue;
        pl_buf_reset(&buf, SIZE_MAX);
        pl_json_double(&buf, v);
        assert_int_equal(read_str(pl_buf_view(&buf)), PL_OK);
        double back = value.kind == PL_KIND_INT ? (double)value.integer : value.number;
        assert_memory_equal(&back, &v, sizeof(v));
    }
    pl_buf_dispose(&buf);
}

static void every_scalar_value_round_trips(void **state)
{
    pl_buf buf;
    pl_buf_init(&buf);
    for (unsigned c = 1; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
        char bytes[4], escaped[32];
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        size_t n = pl_utf8_encode(bytes, c);
        pl_buf_reset(&buf, SIZE_MAX);
        pl_json_string(&buf, (pl_str){bytes, n});
        assert_int_equal(read_str(pl_buf_view(&buf)), PL_OK);
        assert_true(pl_str_eq(value.string, (pl_str){bytes, n}));
        if (c < 0x10000)
            snprintf(escaped, sizeof(escaped), "\"\\u%04X\"", c);
        else
            snprintf(escaped, sizeof(escaped), "\"\\u%04x\\u%04x\"", 0xD800 + ((c - 0x10000) >> 10),
                     0xDC00 + (c & 0x3FF));
        assert_int_equal(read_text(escaped), PL_OK);
        assert_true(pl_str_eq(value.string, (pl_str){bytes, n}));
    }
    pl_buf_dispose(&buf);
}

static void every_failed_allocation_is_reported(void **state)
{
    static const char text[] =
        "{\"a\":[1,2.5,\"te\\nxt\",true,null],\"b\":{\"c\":\"d\"},\"n\":"
        "10000000000000000000000000000000000000000000000000000000000000000000000,\"0\":0,\"1\":1,\"2\":2,"
        "\"3\":3,\"4\":4,\"5\":5,\"6\":6,\"7\":7,\"8\":8,\"9\":9,\"A\":0,\"B\":1,\"C\":2,\"D\":3,\"E\":4}";
    failing a = {0};
    while (failing_next(&a)) {
        pl_arena small;
        pl_arena_init(&small, 64);
        failing_begin(&a);
        pl_code code = pl_json_read(&small, pl_str_of(text), NULL, &value, &err);
        assert_int_equal(code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        if (code)
            assert_string_equal(err.message, "out of memory");
        pl_arena_dispose(&small);
    }
    assert_true(a.failed > 7);
}

static void the_arena_limit_is_reported(void **state)
{
    arena.limit = 8192;
    char *text = malloc(20000);
    memset(text, 'x', 20000);
    text[0] = text[19999] = '"';
    assert_int_equal(read_str((pl_str){text, 20000}), PL_RESOURCE_EXHAUSTED);
    free(text);
}

/* --- texts of chance, beside what cJSON reads of them --- */
static uint32_t chance;

static unsigned random_below(unsigned n)
{
    chance ^= chance << 13;
    chance ^= chance >> 17;
    chance ^= chance << 5;
    return chance % n;
}

static void append_space(pl_buf *out)
{
    static const char *const spaces[] = {"", "", "", " ", "\n\t", "  \r\n "};
    pl_buf_str(out, pl_str_of(spaces[random_below(6)]));
}

static void append_string(pl_buf *out)
{
    static const char *const pieces[] = {"a",
                                         "name",
                                         "\\\"",
                                         "\\\\",
                                         "\\/",
                                         "\\b\\f\\n\\r\\t",
                                         "\\u0041",
                                         "\\u20AC",
                                         "\\ud83d\\ude00",
                                         "\xC3\xA4",
                                         "\xE2\x82\xAC",
                                         "\xF0\x9F\x98\x80",
                                         "a longer piece of text",
                                         "/"};
    pl_buf_char(out, '"');
    for (unsigned n = random_below(6); n > 0; n--)
        pl_buf_str(out, pl_str_of(pieces[random_below(sizeof pieces / sizeof *pieces)]));
    pl_buf_char(out, '"');
}

static void append_number(pl_buf *out)
{
    static const char *const numbers[] = {"0",     "-0",       "7",     "-12345", "9007199254740991",
                                          "0.5",   "-1.25e3",  "1E+10", "1e-7",   "123.456",
                                          "1e308", "4.9e-324", "-0.0"};
    pl_buf_str(out, pl_str_of(numbers[random_below(sizeof numbers / sizeof *numbers)]));
}

static void append_value(pl_buf *out, unsigned depth)
{
    unsigned kind = random_below(depth > 0 ? 7 : 5), count = random_below(5);
    append_space(out);
    switch (kind) {
    case 0:
        PL_BUF_LIT(out, "null");
        break;
    case 1:
        pl_buf_str(out, random_below(2) ? PL_STR("true") : PL_STR("false"));
        break;
    case 2:
    case 3:
        append_string(out);
        break;
    case 4:
        append_number(out);
        break;
    default:
        pl_buf_char(out, kind == 5 ? '[' : '{');
        for (unsigned i = 0; i < count; i++) {
            if (i > 0)
                pl_buf_char(out, ',');
            append_space(out);
            if (kind == 6) {
                char name[16];
                snprintf(name, sizeof name, "\"n%u\":", i);
                pl_buf_str(out, pl_str_of(name));
            }
            append_value(out, depth - 1);
        }
        pl_buf_char(out, kind == 5 ? ']' : '}');
    }
    append_space(out);
}

static void assert_as_cjson(const pl_value *ours, const cJSON *theirs)
{
    size_t i = 0;
    const cJSON *child = theirs->child;
    switch (ours->kind) {
    case PL_KIND_NULL:
        assert_true(cJSON_IsNull(theirs));
        break;
    case PL_KIND_BOOL:
        assert_true(ours->boolean ? cJSON_IsTrue(theirs) : cJSON_IsFalse(theirs));
        break;
    case PL_KIND_INT:
    case PL_KIND_FLOAT:
        assert_true(cJSON_IsNumber(theirs));
        assert_true((ours->kind == PL_KIND_INT ? (double)ours->integer : ours->number) ==
                    theirs->valuedouble);
        break;
    case PL_KIND_STRING:
        assert_true(cJSON_IsString(theirs));
        assert_true(pl_str_eq(ours->string, pl_str_of(theirs->valuestring)));
        break;
    case PL_KIND_LIST:
        assert_true(cJSON_IsArray(theirs));
        for (; i < ours->list.count; i++, child = child->next) {
            assert_non_null(child);
            assert_as_cjson(&ours->list.items[i], child);
        }
        assert_null(child);
        break;
    case PL_KIND_MAP:
        assert_true(cJSON_IsObject(theirs));
        for (; i < ours->map.count; i++, child = child->next) {
            assert_non_null(child);
            assert_true(pl_str_eq(ours->map.members[i].name, pl_str_of(child->string)));
            assert_as_cjson(&ours->map.members[i].value, child);
        }
        assert_null(child);
        break;
    default:
        fail_msg("JSON has no values of kind %d", (int)ours->kind);
    }
}

static void what_is_read_is_what_cjson_reads(void **state)
{
    for (uint32_t seed = 1; seed <= 3000; seed++) {
        pl_buf text;
        chance = seed * 2654435761u;
        pl_buf_init(&text);
        append_value(&text, 6);
        assert_false(text.failed);
        if (read_str(pl_buf_view(&text)))
            fail_msg("seed %u: %s: %.*s", seed, err.message, (int)text.len, text.data);
        cJSON *tree = cJSON_ParseWithLength(text.data, text.len);
        assert_non_null(tree);
        assert_as_cjson(&value, tree);
        cJSON_Delete(tree);
        pl_buf_dispose(&text);
        pl_arena_reset(&arena);
    }
}

int main(void)
{
#define READ_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        READ_TEST(accepted),
        READ_TEST(names_may_have_to_be_unique),
        READ_TEST(a_byte_order_mark_may_be_passed_over),
        READ_TEST(refused_with_the_place),
        READ_TEST(integers_are_exact),
        READ_TEST(other_numbers_are_floats),
        READ_TEST(numbers_in_a_tree_keep_their_text),
        READ_TEST(numbers_of_any_length),
        READ_TEST(strings_are_owned_by_the_arena),
        READ_TEST(depth_is_bounded),
        READ_TEST(size_is_bounded),
        READ_TEST(large_maps_have_unique_names),
        READ_TEST(nothing_behind_the_text_is_read),
        READ_TEST(doubles_round_trip),
        READ_TEST(every_scalar_value_round_trips),
        READ_TEST(what_is_read_is_what_cjson_reads),
        READ_TEST(every_failed_allocation_is_reported),
        READ_TEST(the_arena_limit_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
