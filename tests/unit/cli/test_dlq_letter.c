/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The command's files are not in the library. */
#include "cli/dlq_letter.c"

#define NOW 1700000000000 /* 2023-11-14T22:13:20Z */

static const pl_header headers[] = {{PL_STR("trace"), PL_STR("t")},
                                    {PL_STR("kafka_dlt-original-topic"), PL_STR("orders")},
                                    {PL_STR("kafka_dlt-original-partition"), PL_STR("3")},
                                    {PL_STR("kafka_dlt-original-offset"), PL_STR("-1x")},
                                    {PL_STR("kafka_dlt-original-consumer-group"), PL_STR("billing")},
                                    {PL_STR("kafka_dlt-exception-fqcn"), PL_STR("INTERNAL")},
                                    {PL_STR("kafka_dlt-exception-message"), {NULL, 0}},
                                    {PL_STR("perilune-attempt"), PL_STR("4")}};

static pl_incoming record(void)
{
    return (pl_incoming){.topic = PL_STR("orders-dlq"),
                         .partition = 2,
                         .offset = 9,
                         .timestamp = NOW - 3600000,
                         .key = PL_STR("k"),
                         .headers = headers,
                         .header_count = sizeof headers / sizeof *headers};
}

static void test_headers_are_read_and_wrong_ones_are_none(void **state)
{
    pl_incoming in = record();
    dead_letter l;
    dlq_read(&in, &l);
    assert_true(pl_str_is(l.topic, "orders"));
    assert_true(pl_str_is(l.group, "billing"));
    assert_true(pl_str_is(l.code, "INTERNAL"));
    assert_null(l.message.ptr);
    assert_null(l.traceback.ptr);
    assert_int_equal(l.partition, 3);
    assert_int_equal(l.offset, -1);
    assert_int_equal(l.attempt, 4);
    assert_true(dlq_is_own_header(PL_STR("trace")));
    assert_true(dlq_is_own_header(PL_STR("perilune-id")));
    assert_false(dlq_is_own_header(PL_STR("kafka_dlt-exception-fqcn")));
    assert_false(dlq_is_own_header(PL_STR("perilune-replay-of")));
}

static bool matches(const char *condition)
{
    const char *const conditions[] = {condition, NULL};
    dlq_filter f;
    pl_error err = {0};
    pl_incoming in = record();
    dead_letter l;
    if (dlq_filter_read(&f, conditions, NOW, &err) != PL_OK)
        fail_msg("%s", err.message);
    dlq_read(&in, &l);
    return dlq_matches(&f, &l);
}

static void test_filters(void **state)
{
    static const char *const yes[] = {"code=INTERNAL",
                                      "original-topic=orders",
                                      "group=billing",
                                      "key=k",
                                      "since=2h",
                                      "since=2023-11-14",
                                      "until=30m",
                                      "since=3600s",
                                      "until=2023-11-14T22:13:20Z"};
    static const char *const no[] = {
        "code=INTERNA",           "original-topic=",          "group=other", "key=", "since=59m", "until=2h",
        "since=2023-11-14T22:00", "until=2023-11-14 20:00:00"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(matches(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(matches(no[i]));
}

static void test_places_are_filters_too(void **state)
{
    pl_incoming in = record();
    dead_letter l;
    dlq_filter f;
    const char *const none[] = {NULL};
    assert_int_equal(dlq_filter_read(&f, none, NOW, NULL), PL_OK);
    assert_true(dlq_filter_is_any(&f));
    dlq_read(&in, &l);
    f.partition = 2;
    f.offset = 9;
    assert_true(dlq_matches(&f, &l));
    assert_false(dlq_filter_is_any(&f));
    f.offset = 10;
    assert_false(dlq_matches(&f, &l));
}

static void test_filters_that_are_none(void **state)
{
    static const char *const wrong[] = {"code",   "colour=red", "since=yesterday", "since=-2h",
                                        "until=", "=x",         "since=2h1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *const conditions[] = {wrong[i], NULL};
        dlq_filter f;
        pl_error err = {0};
        assert_int_equal(dlq_filter_read(&f, conditions, NOW, &err), PL_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, wrong[i]));
    }
}

static void is_written(const char *text, size_t len, const char *expected)
{
    pl_buf out;
    pl_buf_init(&out);
    dlq_write_text(&out, (pl_str){text, len}, "> ");
    pl_buf_char(&out, '\0');
    assert_string_equal(out.data, expected);
    pl_buf_dispose(&out);
}

static void test_nothing_that_a_terminal_acts_upon_is_printed(void **state)
{
    is_written("a\nb\tc", 5, "> a\n> b\tc");
    is_written("\x1b[2J\r\x7f", 6, "> \\x1b[2J\\x0d\\x7f");
    is_written("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x99", 15,
               "> gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x99");
    is_written("\xc2\x9b"
               "2J",
               4,
               "> \\xc2\\x9b"
               "2J"); /* a control character of Latin-1 */
    is_written("\xc3", 1, "> \\xc3");
    is_written("\xff\0x", 3, "> \\xff\\x00x");
    is_written("", 0, "> ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_are_read_and_wrong_ones_are_none),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_places_are_filters_too),
        cmocka_unit_test(test_filters_that_are_none),
        cmocka_unit_test(test_nothing_that_a_terminal_acts_upon_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
