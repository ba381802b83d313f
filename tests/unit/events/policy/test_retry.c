/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "events/policy/retry.h"

static void test_waits(void **state)
{
    static const struct {
        pl_retry_policy policy;
        uint64_t waits[7];
    } cases[] = {
        {{.attempts = 9}, {500, 500, 500, 500, 500, 500, 500}},
        {{.attempts = 9, .growth = PL_LINEAR, .initial = 100, .max = 350},
         {100, 200, 300, 350, 350, 350, 350}},
        {{.attempts = 9, .growth = PL_EXPONENTIAL}, {500, 1000, 2000, 4000, 8000, 16000, 30000}},
        {{.attempts = 9, .growth = PL_EXPONENTIAL, .multiplier = 10, .initial = 1},
         {1, 10, 100, 1000, 10000, 30000, 30000}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (unsigned attempt = 1; attempt <= 7; attempt++) {
            pl_retry_verdict v = pl_retry_decide(&cases[c].policy, PL_UNAVAILABLE, attempt, 0, 0.7);
            assert_int_equal(v.kind, PL_RETRY_HERE);
            assert_int_equal(v.wait, cases[c].waits[attempt - 1]);
        }
    }
}

static void test_a_very_late_attempt_waits_no_longer_than_the_most(void **state)
{
    const pl_retry_policy policy = {.attempts = UINT32_MAX, .growth = PL_EXPONENTIAL, .max = 60000};
    const pl_retry_policy flat = {.attempts = UINT32_MAX, .growth = PL_EXPONENTIAL, .multiplier = 1};
    assert_int_equal(pl_retry_decide(&policy, PL_UNKNOWN, 2000000000, 0, 0).wait, 60000);
    assert_int_equal(pl_retry_decide(&flat, PL_UNKNOWN, 2000000000, 0, 0).wait, 500);
}

static void test_jitter_only_shortens(void **state)
{
    const pl_retry_policy policy = {.attempts = 2, .initial = 1000, .jitter = 0.5};
    assert_int_equal(pl_retry_decide(&policy, PL_INTERNAL, 1, 0, 0).wait, 1000);
    assert_int_equal(pl_retry_decide(&policy, PL_INTERNAL, 1, 0, 0.5).wait, 750);
    assert_int_equal(pl_retry_decide(&policy, PL_INTERNAL, 1, 0, 0.998).wait, 501);
}

static void test_the_last_attempt_ends_in_the_dead_letter_topic(void **state)
{
    const pl_retry_policy none = {0}, three = {.attempts = 3};
    assert_int_equal(pl_retry_decide(&none, PL_UNAVAILABLE, 1, 0, 0).kind, PL_DEAD_LETTER);
    assert_int_equal(pl_retry_decide(&three, PL_UNAVAILABLE, 2, 0, 0).kind, PL_RETRY_HERE);
    assert_int_equal(pl_retry_decide(&three, PL_UNAVAILABLE, 3, 0, 0).kind, PL_DEAD_LETTER);
    assert_int_equal(pl_retry_decide(&three, PL_UNAVAILABLE, 4, 0, 0).kind, PL_DEAD_LETTER);
}

static void test_retry_topics_come_after_the_attempts_in_place(void **state)
{
    const pl_retry_policy policy = {.attempts = 2, .topics = {5000, 60000}, .topic_count = 2};
    pl_retry_verdict v = pl_retry_decide(&policy, PL_UNAVAILABLE, 1, 0, 0);
    assert_int_equal(v.kind, PL_RETRY_HERE);
    v = pl_retry_decide(&policy, PL_UNAVAILABLE, 2, 0, 0);
    assert_int_equal(v.kind, PL_RETRY_TOPIC);
    assert_int_equal(v.topic, 0);
    assert_int_equal(v.wait, 5000);
    v = pl_retry_decide(&policy, PL_UNAVAILABLE, 1, 1, 0); /* one attempt there, however many here */
    assert_int_equal(v.kind, PL_RETRY_TOPIC);
    assert_int_equal(v.topic, 1);
    assert_int_equal(v.wait, 60000);
    assert_int_equal(pl_retry_decide(&policy, PL_UNAVAILABLE, 1, 2, 0).kind, PL_DEAD_LETTER);
    assert_int_equal(pl_retry_decide(&policy, PL_INVALID_ARGUMENT, 1, 0, 0).kind, PL_DEAD_LETTER);
}

static void test_codes(void **state)
{
    static const pl_code again[] = {PL_CANCELLED, PL_UNKNOWN,  PL_DEADLINE_EXCEEDED, PL_RESOURCE_EXHAUSTED,
                                    PL_ABORTED,   PL_INTERNAL, PL_UNAVAILABLE};
    const pl_retry_policy policy = {.attempts = 2};
    const pl_retry_policy other = {.attempts = 2, .never = 1u << PL_UNAVAILABLE};
    unsigned worthwhile = 0;
    for (pl_code code = PL_CANCELLED; code <= PL_UNAUTHENTICATED; code++)
        worthwhile += pl_retry_is_worthwhile(&policy, code);
    assert_int_equal(worthwhile, sizeof again / sizeof *again);
    for (size_t i = 0; i < sizeof again / sizeof *again; i++)
        assert_true(pl_retry_is_worthwhile(&policy, again[i]));
    assert_false(pl_retry_is_worthwhile(&other, PL_UNAVAILABLE));
    assert_true(pl_retry_is_worthwhile(&other, PL_INVALID_ARGUMENT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_a_very_late_attempt_waits_no_longer_than_the_most),
        cmocka_unit_test(test_jitter_only_shortens),
        cmocka_unit_test(test_the_last_attempt_ends_in_the_dead_letter_topic),
        cmocka_unit_test(test_retry_topics_come_after_the_attempts_in_place),
        cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
