/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/failing.h"
#include "value/progress.h"

static pl_topic_progress *open_source(pl_progress *progress, unsigned leg, const char *topic)
{
    pl_topic_progress *t = NULL;
    assert_int_equal(pl_progress_open(progress, leg, pl_str_of(topic), &t), PL_OK);
    return t;
}

static void what_was_not_given_is_taken_again(void **state)
{
    pl_progress progress = {.current = 1};
    pl_topic_progress *t = open_source(&progress, 1, "t");
    assert_int_equal(pl_topic_progress_of(t, 7), -1);
    assert_true(pl_topic_progress_take(t, 7, 40)); /* the first */
    assert_int_equal(pl_topic_progress_of(t, 7), 40);
    pl_progress_given(&progress);
    assert_int_equal(pl_topic_progress_of(t, 7), 41);
    assert_true(pl_topic_progress_take(t, 7, 41));
    assert_true(pl_topic_progress_take(t, 0, 3));
    assert_true(pl_topic_progress_reach(t, 7, 50));
    assert_true(pl_topic_progress_reach(t, 7, 45)); /* is behind already */
    pl_progress_leg_ended(&progress);
    assert_int_equal(pl_topic_progress_of(t, 7), 41);
    assert_int_equal(pl_topic_progress_of(t, 0), 3);
    assert_true(pl_topic_progress_reach(t, 7, 50));
    pl_progress_given(&progress);
    assert_int_equal(pl_topic_progress_of(t, 7), 50);
    assert_true(pl_topic_progress_take(t, 7, 0)); /* made anew */
    pl_progress_given(&progress);
    assert_int_equal(pl_topic_progress_of(t, 7), 1);
    pl_progress_dispose(&progress);
    assert_int_equal(pl_topic_progress_of(t, 7), 1); /* who has a reference keeps it */
    pl_topic_progress_unref(t);
}

static void what_came_first_counts_for_those_that_are_live(void **state)
{
    pl_progress progress = {0};
    pl_topic_progress *t = open_source(&progress, 1, "t");
    assert_true(pl_topic_progress_meet(t, 1, 8));
    assert_true(pl_topic_progress_meet(t, 1, 9));
    assert_int_equal(pl_topic_progress_of(t, 1), -1);
    pl_topic_progress_go_live(t);
    assert_int_equal(pl_topic_progress_of(t, 1), 8);
    assert_true(pl_topic_progress_take(t, 1, 9));
    assert_int_equal(pl_topic_progress_of(t, 1), 9);
    pl_topic_progress_unref(t);
    pl_progress_dispose(&progress);
}

static void sources_are_found_again_by_topic_and_order(void **state)
{
    pl_progress progress = {0};
    pl_topic_progress *a = open_source(&progress, 1, "a"), *b = open_source(&progress, 1, "b"),
                      *second = open_source(&progress, 1, "a");
    assert_ptr_not_equal(a, second);
    pl_topic_progress *later[] = {open_source(&progress, 2, "b"), open_source(&progress, 2, "a"),
                                  open_source(&progress, 2, "a"), open_source(&progress, 2, "c")};
    assert_ptr_equal(later[0], b);
    assert_ptr_equal(later[1], a);
    assert_ptr_equal(later[2], second);
    for (int i = 0; i < 4; i++)
        pl_topic_progress_unref(later[i]);
    pl_topic_progress_unref(a);
    pl_topic_progress_unref(b);
    pl_topic_progress_unref(second);
    for (int i = 0; i < 61; i++)
        pl_topic_progress_unref(open_source(&progress, 3, "many"));
    assert_int_equal(progress.sources, 64); /* with a, a, b and c: one of "many" has no place */
    assert_null(open_source(&progress, 3, "many"));
    pl_progress_dispose(&progress);
}

static void what_a_leg_has_left(void **state)
{
    pl_progress progress = {.current = 1};
    pl_topic_progress *t = open_source(&progress, 1, "t");
    assert_false(pl_topic_progress_has_left_some(t, 1));
    pl_topic_progress_drained(t, 1);
    pl_progress_leg_ended(&progress);
    assert_false(pl_topic_progress_has_left_some(t, 2));
    progress.current = 2;
    pl_progress_leg_ended(&progress); /* which has not begun, let alone drained it */
    assert_true(pl_topic_progress_has_left_some(t, 3));
    progress.current = 3;
    pl_topic_progress_drained(t, 3);
    assert_true(pl_topic_progress_take(t, 0, 0));
    pl_progress_leg_ended(&progress); /* with an event in hand */
    assert_true(pl_topic_progress_has_left_some(t, 4));
    pl_topic_progress_unref(t);
    pl_progress_dispose(&progress);
}

static void odd_partitions(void **state)
{
    pl_progress progress = {0};
    pl_topic_progress *t = open_source(&progress, 1, "t");
    for (int i = 0; i < 3; i++) {
        const int32_t odd = (int32_t[]){-1, 100000, INT32_MAX}[i];
        assert_true(pl_topic_progress_take(t, odd, 1));
        assert_true(pl_topic_progress_meet(t, odd, 1));
        assert_true(pl_topic_progress_reach(t, odd, 1));
        assert_int_equal(pl_topic_progress_of(t, odd), -1);
    }
    assert_true(pl_topic_progress_take(t, 99999, 1));
    assert_int_equal(pl_topic_progress_of(t, 99999), 1);
    assert_true(pl_topic_progress_partitions(t) >= 100000);
    pl_topic_progress_unref(t);
    pl_progress_dispose(&progress);
}

static void memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_progress progress = {0};
        pl_topic_progress *t = NULL;
        failing_begin(&a);
        pl_code code = pl_progress_open(&progress, 1, PL_STR("t"), &t);
        bool ok = code == PL_OK && pl_topic_progress_take(t, 0, 1) && pl_topic_progress_meet(t, 9, 2) &&
                  pl_topic_progress_reach(t, 99, 3);
        assert_int_equal(ok, !failing_end(&a));
        if (code == PL_OK && !ok)
            assert_true(pl_topic_progress_take(t, 99, 1));
        pl_topic_progress_unref(t);
        pl_progress_dispose(&progress);
    }
    assert_int_equal(a.failed, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_given_is_taken_again),
        cmocka_unit_test(what_came_first_counts_for_those_that_are_live),
        cmocka_unit_test(sources_are_found_again_by_topic_and_order),
        cmocka_unit_test(what_a_leg_has_left),
        cmocka_unit_test(odd_partitions),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
