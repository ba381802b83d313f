/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "events/policy/flow.h"
#include "support/failing.h"

static pl_flow *make(pl_ordering ordering, unsigned concurrency)
{
    const pl_flow_config config = {.ordering = ordering, .concurrency = concurrency};
    pl_flow *flow = pl_flow_new(&config, 0);
    assert_non_null(flow);
    return flow;
}

/* One record a character, with it as the key; a blank has none. */
static void fill(pl_flow *flow, pl_flow_record *records, const char *keys)
{
    for (int i = 0; keys[i]; i++) {
        records[i] = (pl_flow_record){.offset = i, .bytes = 1};
        if (keys[i] != ' ')
            records[i].key = (pl_str){&keys[i], 1};
        assert_true(pl_flow_add(flow, &records[i]));
    }
}

static pl_flow_record *take(pl_flow *flow, uint64_t now)
{
    pl_flow_record *record = NULL;
    size_t n = pl_flow_take(flow, &record, 1, now);
    assert_int_equal(n, record != NULL);
    return record;
}

static void test_a_partition_is_handled_in_order(void **state)
{
    pl_flow *flow = make(PL_BY_PARTITION, 8);
    pl_flow_record r[3];
    fill(flow, r, "aba");
    assert_ptr_equal(take(flow, 0), &r[0]);
    assert_null(take(flow, 0));
    assert_int_equal(pl_flow_running(flow), 1);
    assert_true(pl_flow_done(flow, &r[0]));
    assert_int_equal(pl_flow_next_offset(flow), 1);
    assert_ptr_equal(take(flow, 0), &r[1]);
    pl_flow_done(flow, &r[1]);
    assert_ptr_equal(take(flow, 0), &r[2]);
    pl_flow_done(flow, &r[2]);
    assert_int_equal(pl_flow_next_offset(flow), 3);
    assert_int_equal(pl_flow_count(flow), 0);
    pl_flow_free(flow);
}

static void test_keys_are_handled_side_by_side_each_in_order(void **state)
{
    pl_flow *flow = make(PL_BY_KEY, 8);
    pl_flow_record r[7];
    fill(flow, r, "aabab  "); /* without a key: on their own */
    assert_ptr_equal(take(flow, 0), &r[0]);
    assert_ptr_equal(take(flow, 0), &r[2]);
    assert_ptr_equal(take(flow, 0), &r[5]);
    assert_ptr_equal(take(flow, 0), &r[6]);
    assert_null(take(flow, 0));
    assert_false(pl_flow_done(flow, &r[2]));
    assert_int_equal(pl_flow_next_offset(flow), 0);
    assert_ptr_equal(take(flow, 0), &r[4]);
    assert_true(pl_flow_done(flow, &r[0]));
    assert_ptr_equal(take(flow, 0), &r[1]);
    pl_flow_done(flow, &r[1]);
    assert_int_equal(pl_flow_next_offset(flow), 3);
    assert_ptr_equal(take(flow, 0), &r[3]);
    pl_flow_done(flow, &r[3]);
    pl_flow_done(flow, &r[4]);
    pl_flow_done(flow, &r[5]);
    pl_flow_done(flow, &r[6]);
    assert_int_equal(pl_flow_next_offset(flow), 7);
    assert_int_equal(pl_flow_running(flow), 0);
    pl_flow_free(flow);
}

static void test_no_more_lanes_at_once_than_allowed(void **state)
{
    pl_flow *flow = make(PL_UNORDERED, 2);
    pl_flow_record r[4];
    fill(flow, r, "aaaa");
    assert_ptr_equal(take(flow, 0), &r[0]);
    assert_ptr_equal(take(flow, 0), &r[1]);
    assert_null(take(flow, 0));
    pl_flow_done(flow, &r[1]);
    assert_ptr_equal(take(flow, 0), &r[2]);
    pl_flow_retry(flow, &r[0], 50); /* what waits is not being handled */
    assert_ptr_equal(take(flow, 0), &r[3]);
    pl_flow_done(flow, &r[2]);
    pl_flow_done(flow, &r[3]);
    assert_ptr_equal(take(flow, 50), &r[0]);
    pl_flow_done(flow, &r[0]);
    assert_int_equal(pl_flow_next_offset(flow), 4);
    pl_flow_free(flow);
}

static void test_a_retry_holds_up_its_own_key_only(void **state)
{
    pl_flow *flow = make(PL_BY_KEY, 1);
    pl_flow_record r[4];
    fill(flow, r, "abab");
    assert_ptr_equal(take(flow, 10), &r[0]);
    assert_int_equal(pl_flow_wake_at(flow), UINT64_MAX);
    pl_flow_retry(flow, &r[0], 100);
    assert_int_equal(pl_flow_wake_at(flow), 100);
    assert_ptr_equal(take(flow, 20), &r[1]);
    pl_flow_done(flow, &r[1]);
    assert_ptr_equal(take(flow, 30), &r[3]);
    pl_flow_done(flow, &r[3]);
    assert_null(take(flow, 99));
    assert_ptr_equal(take(flow, 100), &r[0]);
    assert_int_equal(pl_flow_wake_at(flow), UINT64_MAX);
    pl_flow_done(flow, &r[0]);
    assert_int_equal(pl_flow_next_offset(flow), 2);
    assert_ptr_equal(take(flow, 100), &r[2]);
    pl_flow_done(flow, &r[2]);
    pl_flow_free(flow);
}

static void test_what_holds_up_the_others_can_be_taken_first(void **state)
{
    pl_flow *flow = make(PL_BY_KEY, 3);
    pl_flow_record r[4], *one;
    fill(flow, r, "abcb");
    assert_ptr_equal(take(flow, 0), &r[0]);
    pl_flow_retry(flow, &r[0], 10);
    assert_int_equal(pl_flow_take_first(flow, &one, 1, 9), 0);
    assert_int_equal(pl_flow_take_first(flow, &one, 1, 10), 1);
    assert_ptr_equal(one, &r[0]);
    assert_int_equal(pl_flow_take_first(flow, &one, 1, 10), 0); /* it is handled */
    pl_flow_done(flow, &r[0]);
    assert_int_equal(pl_flow_take_first(flow, &one, 1, 10), 1);
    assert_ptr_equal(one, &r[1]);
    /* No more lanes at once than allowed. */
    assert_ptr_equal(take(flow, 10), &r[2]);
    pl_flow_done(flow, &r[1]);
    pl_flow_done(flow, &r[2]);
    assert_int_equal(pl_flow_take_first(flow, &one, 1, 10), 1);
    assert_ptr_equal(one, &r[3]);
    pl_flow_done(flow, one);
    assert_int_equal(pl_flow_next_offset(flow), 4);
    pl_flow_free(flow);
}

static void test_those_that_wait_are_woken_by_their_times(void **state)
{
    pl_flow *flow = make(PL_BY_KEY, 8);
    pl_flow_record r[4];
    static const uint64_t times[] = {300, 100, 400, 200};
    fill(flow, r, "abcd");
    for (int i = 0; i < 4; i++) {
        assert_ptr_equal(take(flow, 0), &r[i]);
        pl_flow_retry(flow, &r[i], times[i]);
    }
    assert_int_equal(pl_flow_wake_at(flow), 100);
    assert_ptr_equal(take(flow, 250), &r[1]);
    assert_ptr_equal(take(flow, 250), &r[3]);
    assert_null(take(flow, 250));
    assert_ptr_equal(take(flow, 1000), &r[0]);
    assert_ptr_equal(take(flow, 1000), &r[2]);
    for (int i = 0; i < 4; i++)
        pl_flow_done(flow, &r[i]);
    pl_flow_free(flow);
}

static void test_batches(void **state)
{
    pl_flow *flow = make(PL_BY_PARTITION, 1);
    pl_flow_record r[5], *batch[8];
    fill(flow, r, "abcde");
    assert_int_equal(pl_flow_take(flow, batch, 3, 0), 3);
    assert_ptr_equal(batch[2], &r[2]);
    assert_int_equal(pl_flow_take(flow, batch, 3, 0), 0);
    pl_flow_done(flow, &r[1]);
    pl_flow_retry(flow, &r[2], 70);
    assert_int_equal(pl_flow_take(flow, batch, 3, 100), 0); /* the first is still being handled */
    pl_flow_retry(flow, &r[0], 50);
    assert_int_equal(pl_flow_running(flow), 0);
    assert_int_equal(pl_flow_wake_at(flow), 50);
    assert_int_equal(pl_flow_take(flow, batch, 8, 60), 1); /* not past one that has to wait */
    assert_ptr_equal(batch[0], &r[0]);
    assert_true(pl_flow_done(flow, &r[0]));
    assert_int_equal(pl_flow_next_offset(flow), 2);
    assert_int_equal(pl_flow_take(flow, batch, 8, 70), 3);
    for (int i = 2; i < 5; i++) {
        assert_ptr_equal(batch[i - 2], &r[i]);
        pl_flow_done(flow, &r[i]);
    }
    assert_int_equal(pl_flow_next_offset(flow), 5);
    pl_flow_free(flow);
}

static void test_full_until_half_is_done(void **state)
{
    const pl_flow_config config = {
        .ordering = PL_UNORDERED, .concurrency = 9, .most_records = 4, .most_bytes = 1000};
    pl_flow *flow = pl_flow_new(&config, 0);
    pl_flow_record r[4];
    fill(flow, r, "abc");
    assert_false(pl_flow_is_full(flow));
    r[3] = (pl_flow_record){.offset = 3};
    assert_true(pl_flow_add(flow, &r[3]));
    assert_true(pl_flow_is_full(flow));
    for (int left = 3; left >= 0; left--) {
        pl_flow_done(flow, take(flow, 0));
        assert_int_equal(pl_flow_is_full(flow), left >= 2);
    }
    r[0] = (pl_flow_record){.offset = 4, .bytes = 1000};
    assert_true(pl_flow_add(flow, &r[0]));
    assert_true(pl_flow_is_full(flow));
    pl_flow_done(flow, take(flow, 0));
    assert_false(pl_flow_is_full(flow));
    pl_flow_free(flow);
}

static void test_what_is_dropped_is_not_committed(void **state)
{
    pl_flow *flow = make(PL_BY_KEY, 2);
    pl_flow_record r[6];
    fill(flow, r, "aabbcd");
    assert_ptr_equal(take(flow, 0), &r[0]);
    assert_ptr_equal(take(flow, 0), &r[2]);
    pl_flow_retry(flow, &r[2], 1000);
    unsigned dropped = 0;
    while (pl_flow_drop(flow))
        dropped++;
    assert_int_equal(dropped, 5);
    assert_int_equal(pl_flow_count(flow), 1); /* the one that is being handled */
    pl_flow_done(flow, &r[0]);
    assert_int_equal(pl_flow_next_offset(flow), 1);
    assert_int_equal(pl_flow_wake_at(flow), UINT64_MAX);
    assert_null(take(flow, 2000));
    pl_flow_free(flow);
}

/* Chance decides what comes, what fails and what ends first; what must hold is checked at each step. */
static void test_any_order_of_everything(void **state)
{
    enum { COUNT = 20000, KEYS = 50, HELD = 300 };
    static pl_flow_record records[COUNT];
    static char keys[KEYS];
    static int last[KEYS];
    pl_flow *flow = make(PL_BY_KEY, 20);
    pl_flow_record *running[20];
    unsigned under_way = 0, finished = 0;
    uint32_t random = 7;
    uint64_t now = 0;
    int added = 0;
    for (int i = 0; i < KEYS; i++) {
        keys[i] = (char)i;
        last[i] = -1;
    }
    while (finished < COUNT) {
        random = random * 1664525 + 1013904223;
        uint32_t chance = random >> 8;
        if (added < COUNT && pl_flow_count(flow) < HELD && chance % 3 == 0) {
            records[added] = (pl_flow_record){.offset = 2 * added, .bytes = 10};
            if (chance / 3 % 7)
                records[added].key = (pl_str){&keys[chance / 21 % KEYS], 1};
            assert_true(pl_flow_add(flow, &records[added]));
            added++;
        } else if (chance % 3 == 1 || under_way == 0) {
            now += chance / 3 % 2;
            pl_flow_record *record = take(flow, now);
            assert_true(!record || under_way < 20);
            if (record)
                running[under_way++] = record;
        } else {
            unsigned i = chance / 3 % under_way;
            pl_flow_record *record = running[i];
            running[i] = running[--under_way];
            if (chance / 97 % 4 == 0) {
                pl_flow_retry(flow, record, now + chance / 400 % 30);
                continue;
            }
            if (record->key.ptr) { /* in the order of offsets within a key */
                int *before = &last[record->key.ptr - keys];
                assert_true(record->offset > *before);
                *before = (int)record->offset;
            }
            pl_flow_done(flow, record);
            record->bytes = 0; /* marks it as done */
            finished++;
        }
        assert_int_equal(pl_flow_running(flow), under_way);
    }
    assert_int_equal(pl_flow_next_offset(flow), 2 * COUNT - 1);
    assert_int_equal(pl_flow_count(flow), 0);
    pl_flow_free(flow);
}

static void test_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        const pl_flow_config config = {.ordering = PL_BY_KEY, .concurrency = 500};
        static pl_flow_record r[200];
        static char keys[200];
        bool short_of_memory = false;
        failing_begin(&a);
        pl_flow *flow = pl_flow_new(&config, 0);
        if (!flow) {
            assert_true(failing_end(&a));
            continue;
        }
        for (int i = 0; i < 200;) {
            keys[i] = (char)i;
            r[i] = (pl_flow_record){.offset = i, .key = {&keys[i], 1}};
            if (pl_flow_add(flow, &r[i]))
                i++;
            else
                short_of_memory = true;
        }
        assert_int_equal(failing_end(&a), short_of_memory);
        for (int i = 0; i < 200; i++)
            pl_flow_done(flow, take(flow, 0));
        assert_int_equal(pl_flow_next_offset(flow), 200);
        pl_flow_free(flow);
    }
    assert_true(a.made > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_partition_is_handled_in_order),
        cmocka_unit_test(test_keys_are_handled_side_by_side_each_in_order),
        cmocka_unit_test(test_no_more_lanes_at_once_than_allowed),
        cmocka_unit_test(test_a_retry_holds_up_its_own_key_only),
        cmocka_unit_test(test_what_holds_up_the_others_can_be_taken_first),
        cmocka_unit_test(test_those_that_wait_are_woken_by_their_times),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_full_until_half_is_done),
        cmocka_unit_test(test_what_is_dropped_is_not_committed),
        cmocka_unit_test(test_any_order_of_everything),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
