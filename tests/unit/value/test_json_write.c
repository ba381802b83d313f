/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "support/failing.h"
#include "value/json.h"

static void expect(const pl_buf *buf, const char *text)
{
    assert_false(buf->failed);
    assert_int_equal(buf->len, strlen(text));
    assert_memory_equal(buf->data, text, buf->len);
}

static void scalars(void **state)
{
    pl_buf buf;
    pl_buf_init(&buf);
    pl_json_int(&buf, INT64_MIN);
    pl_buf_char(&buf, ' ');
    assert_true(pl_json_double(&buf, 0.5));
    pl_buf_char(&buf, ' ');
    assert_true(pl_json_string(&buf, PL_STR("a\"b")));
    pl_buf_char(&buf, ' ');
    assert_false(pl_json_string(&buf, PL_STR("\xff")));
    expect(&buf, "-9223372036854775808 0.5 \"a\\\"b\" \"\xEF\xBF\xBD\"");
    pl_buf_dispose(&buf);
}

static void what_json_lacks_is_null(void **state)
{
    pl_buf buf;
    pl_buf_init(&buf);
    assert_false(pl_json_double(&buf, NAN));
    assert_false(pl_json_double(&buf, INFINITY));
    assert_false(pl_json_double(&buf, -INFINITY));
    static const pl_kind kinds[] = {PL_KIND_ABSENT, PL_KIND_NULL, PL_KIND_OTHER, PL_KIND_SCRIPT};
    for (int i = 0; i < 4; i++)
        pl_json_value(&buf, &(pl_value){.kind = kinds[i]});
    expect(&buf, "nullnullnullnullnullnullnull");
    pl_buf_dispose(&buf);
}

static const pl_value items[] = {
    {.kind = PL_KIND_INT, .integer = 1},
    {.kind = PL_KIND_FLOAT, .number = 1.5},
    {.kind = PL_KIND_BOOL, .boolean = true},
    {.kind = PL_KIND_BOOL, .boolean = false},
    {.kind = PL_KIND_LIST},
    {.kind = PL_KIND_MAP},
};
static const pl_member members[] = {
    {PL_STR("list"), {.kind = PL_KIND_LIST, .list = {items, 6}}},
    {PL_STR("a\nb"), {.kind = PL_KIND_STRING, .string = PL_STR("é")}},
};
static const pl_value whole = {.kind = PL_KIND_MAP, .map = {members, 2}};

static void values_nest(void **state)
{
    pl_buf buf;
    pl_buf_init(&buf);
    pl_json_value(&buf, &whole);
    expect(&buf, "{\"list\":[1,1.5,true,false,[],{}],\"a\\nb\":\"é\"}");
    pl_buf_dispose(&buf);
}

static void failure_shows_in_the_buffer(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_buf buf;
        pl_buf_init(&buf);
        failing_begin(&a);
        for (int i = 0; i < 20; i++)
            pl_json_value(&buf, &whole);
        assert_int_equal(buf.failed, failing_end(&a));
        if (!buf.failed)
            assert_int_equal(buf.len, 20 * strlen("{\"list\":[1,1.5,true,false,[],{}],\"a\\nb\":\"é\"}"));
        pl_buf_dispose(&buf);
    }
}

static void pretty(void **state)
{
    static const char *const cases[][2] = {
        {"1", "1"},
        {"[]", "[]"},
        {" [ ] ", "[]"},
        {"{}", "{}"},
        {"[1,2]", "[\n  1,\n  2\n]"},
        {"{\"a\":1}", "{\n  \"a\": 1\n}"},
        {"{ \"a\" : { \"b\" : [ ] , \"c\":[{}, \"x,y:[\\\"\\\\\"]}}",
         "{\n  \"a\": {\n    \"b\": [],\n    \"c\": [\n      {},\n      \"x,y:[\\\"\\\\\"\n    ]\n  }\n}"},
        {"[[1],null,\"\"]", "[\n  [\n    1\n  ],\n  null,\n  \"\"\n]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pl_buf buf;
        pl_buf_init(&buf);
        pl_json_pretty(&buf, pl_str_of(cases[i][0]));
        expect(&buf, cases[i][1]);
        pl_buf_dispose(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),     cmocka_unit_test(what_json_lacks_is_null),
        cmocka_unit_test(values_nest), cmocka_unit_test(failure_shows_in_the_buffer),
        cmocka_unit_test(pretty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
