/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "events/policy/marks.h"
#include "support/failing.h"

static void is_text(const pl_marks *m, int64_t next, const char *text)
{
    pl_buf out;
    pl_buf_init(&out);
    pl_marks_write(m, &out);
    pl_buf_char(&out, '\0');
    assert_string_equal(out.data, text);
    pl_buf_dispose(&out);
    assert_int_equal(m->next, next);
}

static void test_what_is_done_in_order_moves_the_offset(void **state)
{
    pl_marks m;
    assert_true(pl_marks_init(&m, 5, PL_STR_NONE));
    assert_true(pl_marks_has(&m, 4));
    assert_false(pl_marks_has(&m, 5));
    pl_marks_add(&m, 5, 6);
    pl_marks_add(&m, 6, 9);
    pl_marks_add(&m, 2, 4);
    is_text(&m, 9, "");
    pl_marks_dispose(&m);
}

static void test_ranges_join_each_other_and_the_offset(void **state)
{
    pl_marks m;
    pl_marks_init(&m, 0, PL_STR_NONE);
    pl_marks_add(&m, 10, 12);
    pl_marks_add(&m, 20, 21);
    pl_marks_add(&m, 14, 16);
    is_text(&m, 0, "+10-11,14-15,20");
    assert_true(pl_marks_has(&m, 15));
    assert_false(pl_marks_has(&m, 16));
    pl_marks_add(&m, 12, 14);
    is_text(&m, 0, "+10-15,20");
    pl_marks_add(&m, 8, 30);
    is_text(&m, 0, "+8-29");
    pl_marks_add(&m, 0, 8);
    is_text(&m, 30, "");
    pl_marks_dispose(&m);
}

static void test_text_is_read_back_and_what_is_none_is_refused(void **state)
{
    static const char *const wrong[] = {"12", "+", "+5-", "+5-3", "+5,", "+5;6", "+a", "spring"};
    pl_marks m;
    assert_true(pl_marks_init(&m, 3, PL_STR("+5-7,9")));
    is_text(&m, 3, "+5-7,9");
    pl_marks_dispose(&m);
    assert_true(pl_marks_init(&m, 6, PL_STR("+5-7,9"))); /* older than the offset */
    is_text(&m, 8, "+9");
    pl_marks_dispose(&m);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(pl_marks_init(&m, 3, pl_str_of(wrong[i])));
        is_text(&m, 3, "");
    }
}

static void test_they_are_what_a_plain_list_would_say(void **state)
{
    for (unsigned seed = 0; seed < 200; seed++) {
        bool done[64] = {false};
        pl_marks m;
        srand(seed);
        pl_marks_init(&m, 0, PL_STR_NONE);
        for (int step = 0; step < 40; step++) {
            int from = rand() % 64, to = from + rand() % 5;
            to = to > 64 ? 64 : to;
            assert_true(pl_marks_add(&m, from, to));
            for (int i = from; i < to; i++)
                done[i] = true;
            for (int i = 0; i < 64; i++)
                assert_int_equal(pl_marks_has(&m, i), done[i]);
            for (size_t i = 0; i < m.count; i++)
                assert_true(m.ranges[i].from > (i ? m.ranges[i - 1].to : m.next));
        }
        pl_marks_dispose(&m);
    }
}

static void test_there_is_an_end_to_room(void **state)
{
    pl_marks m;
    pl_buf out;
    pl_marks_init(&m, 0, PL_STR_NONE);
    int64_t at = 1000000000000;
    for (; pl_marks_have_room(&m); at += 2)
        pl_marks_add(&m, at, at + 1);
    pl_buf_init(&out);
    pl_marks_write(&m, &out);
    assert_true(out.len <= PL_MARKS_MOST_TEXT && out.len > PL_MARKS_MOST_TEXT - 100);
    pl_buf_dispose(&out);
    pl_marks_dispose(&m);
}

static void test_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_marks m;
        failing_begin(&a);
        bool ok = pl_marks_init(&m, 0, PL_STR("+5,7,9,11,13,15,17,19,21,23"));
        failing_end(&a);
        is_text(&m, 0, ok ? "+5,7,9,11,13,15,17,19,21,23" : "");
        pl_marks_dispose(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_done_in_order_moves_the_offset),
        cmocka_unit_test(test_ranges_join_each_other_and_the_offset),
        cmocka_unit_test(test_text_is_read_back_and_what_is_none_is_refused),
        cmocka_unit_test(test_they_are_what_a_plain_list_would_say),
        cmocka_unit_test(test_there_is_an_end_to_room),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
