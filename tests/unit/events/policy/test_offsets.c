/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "events/policy/offsets.h"
#include "support/failing.h"

static void test_only_the_unbroken_run_from_the_first_is_committed(void **state)
{
    pl_offsets o;
    uint64_t t[4];
    pl_offsets_init(&o, PL_NO_OFFSET);
    assert_int_equal(pl_offsets_next(&o), PL_NO_OFFSET);
    for (int i = 0; i < 4; i++)
        assert_true(pl_offsets_take(&o, 10 + i, &t[i]));
    assert_false(pl_offsets_done(&o, t[1]));
    assert_false(pl_offsets_done(&o, t[3]));
    assert_int_equal(pl_offsets_next(&o), PL_NO_OFFSET);
    assert_true(pl_offsets_done(&o, t[0]));
    assert_int_equal(pl_offsets_next(&o), 12);
    assert_int_equal(pl_offsets_span(&o), 2);
    assert_true(pl_offsets_done(&o, t[2]));
    assert_int_equal(pl_offsets_next(&o), 14);
    assert_int_equal(pl_offsets_span(&o), 0);
    pl_offsets_dispose(&o);
    assert_int_equal(pl_offsets_next(&o), 14);
}

static void test_gaps_are_passed(void **state)
{
    pl_offsets o;
    uint64_t a, b;
    pl_offsets_init(&o, 5);
    assert_true(pl_offsets_take(&o, 7, &a));
    assert_true(pl_offsets_take(&o, INT64_C(1) << 40, &b));
    assert_int_equal(pl_offsets_next(&o), 5); /* nothing is done */
    pl_offsets_done(&o, a);
    assert_int_equal(pl_offsets_next(&o), 8);
    pl_offsets_done(&o, b);
    assert_int_equal(pl_offsets_next(&o), (INT64_C(1) << 40) + 1);
    pl_offsets_dispose(&o);
}

/* Against a plain list, with records done in an order that chance decides. */
static void test_any_order(void **state)
{
    enum { COUNT = 5000 };
    static uint64_t tickets[COUNT];
    static int done[COUNT];
    pl_offsets o;
    uint32_t random = 1;
    int taken = 0, first = 0;
    pl_offsets_init(&o, 0);
    while (first < COUNT) {
        random = random * 1664525 + 1013904223;
        int window = taken - first;
        if (taken < COUNT && (window == 0 || random >> 31)) {
            assert_true(pl_offsets_take(&o, 3 * taken, &tickets[taken]));
            taken++;
            continue;
        }
        int i = first + (int)((random >> 8) % (uint32_t)window);
        if (done[i])
            i = first;
        done[i] = 1;
        int before = first;
        while (first < taken && done[first])
            first++;
        assert_int_equal(pl_offsets_done(&o, tickets[i]), first != before);
        assert_int_equal(pl_offsets_next(&o), first == 0 ? 0 : 3 * (first - 1) + 1);
        assert_int_equal(pl_offsets_span(&o), taken - first);
    }
    pl_offsets_dispose(&o);
}

static void test_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_offsets o;
        uint64_t t[200];
        int64_t offset = 0;
        bool short_of_memory = false;
        pl_offsets_init(&o, 0);
        failing_begin(&a);
        while (offset < 200) {
            if (pl_offsets_take(&o, offset, &t[offset]))
                offset++;
            else
                short_of_memory = true; /* and the next try has it */
        }
        assert_int_equal(failing_end(&a), short_of_memory);
        for (int i = 199; i >= 0; i--)
            pl_offsets_done(&o, t[i]);
        assert_int_equal(pl_offsets_next(&o), 200);
        pl_offsets_dispose(&o);
    }
    assert_int_equal(a.made, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_unbroken_run_from_the_first_is_committed),
        cmocka_unit_test(test_gaps_are_passed),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
