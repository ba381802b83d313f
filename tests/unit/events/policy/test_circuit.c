/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "events/policy/circuit.h"

static const pl_circuit_config config = {.failures = 3, .pause = 100};

static void test_failures_in_a_row_open_it(void **state)
{
    pl_circuit circuit = {0};
    assert_int_equal(pl_circuit_failed(&circuit, &config), 0);
    assert_int_equal(pl_circuit_failed(&circuit, &config), 0);
    pl_circuit_succeeded(&circuit);
    assert_int_equal(pl_circuit_failed(&circuit, &config), 0);
    assert_int_equal(pl_circuit_failed(&circuit, &config), 0);
    assert_false(circuit.open);
    assert_int_equal(pl_circuit_failed(&circuit, &config), 100);
    assert_true(circuit.open);
}

static void test_while_it_is_open_nothing_counts(void **state)
{
    pl_circuit circuit = {0};
    for (int i = 0; i < 3; i++)
        pl_circuit_failed(&circuit, &config);
    assert_int_equal(pl_circuit_failed(&circuit, &config), 0);
    assert_int_equal(circuit.failures, 3);
    pl_circuit_resumed(&circuit);
    assert_false(circuit.open);
}

static void test_after_a_pause_one_failure_is_enough_for_a_longer_one(void **state)
{
    static const uint64_t pauses[] = {100, 200, 400, 800, 800};
    pl_circuit circuit = {0};
    pl_circuit_failed(&circuit, &config);
    pl_circuit_failed(&circuit, &config);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(pl_circuit_failed(&circuit, &config), pauses[i]);
        pl_circuit_resumed(&circuit);
    }
    pl_circuit_succeeded(&circuit);
    assert_int_equal(pl_circuit_failed(&circuit, &config), 0);
}

static void test_what_began_before_the_pause_and_succeeds_does_not_shorten_the_next_one(void **state)
{
    pl_circuit circuit = {0};
    for (int i = 0; i < 3; i++)
        pl_circuit_failed(&circuit, &config);
    pl_circuit_succeeded(&circuit);
    assert_true(circuit.open);
    pl_circuit_resumed(&circuit);
    assert_int_equal(pl_circuit_failed(&circuit, &config), 200);
}

static void test_without_failures_it_never_opens(void **state)
{
    pl_circuit circuit = {0};
    const pl_circuit_config never = {.pause = 100};
    for (int i = 0; i < 1000; i++)
        assert_int_equal(pl_circuit_failed(&circuit, &never), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_in_a_row_open_it),
        cmocka_unit_test(test_while_it_is_open_nothing_counts),
        cmocka_unit_test(test_after_a_pause_one_failure_is_enough_for_a_longer_one),
        cmocka_unit_test(test_what_began_before_the_pause_and_succeeds_does_not_shorten_the_next_one),
        cmocka_unit_test(test_without_failures_it_never_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
