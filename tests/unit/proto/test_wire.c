/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/wire.h"

#define BYTES(literal) ((pl_str){literal, sizeof(literal) - 1})

static void varints_go_both_ways(void **state)
{
    static const uint64_t values[] = {
        0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, (uint64_t)1 << 56, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t bytes[10];
        uint64_t v = 0;
        size_t n = pb_put_varint(bytes, values[i]);
        assert_int_equal(n, pb_varint_size(values[i]));
        pb_reader r = {bytes, bytes + n};
        assert_null(pb_read_varint(&r, &v));
        assert_true(v == values[i] && r.p == r.end);
        for (size_t cut = 0; cut < n; cut++) {
            r = (pb_reader){bytes, bytes + cut};
            assert_string_equal(pb_read_varint(&r, &v), "ends in the middle of a field");
        }
    }
}

static void varints_may_be_longer_than_needed(void **state)
{
    uint64_t v;
    pb_reader r = pb_reader_of(BYTES("\x81\x80\x80\x00"));
    assert_null(pb_read_varint(&r, &v));
    assert_int_equal(v, 1);
    r = pb_reader_of(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_non_null(pb_read_varint(&r, &v));
}

static void zigzag(void **state)
{
    static const int64_t values[] = {0, -1, 1, -2, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    static const uint64_t codes[] = {0, 1, 2, 3, UINT32_MAX - 1, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_true(pb_zigzag(values[i]) == codes[i]);
        assert_true(pb_unzigzag(codes[i]) == values[i]);
    }
}

static void tags(void **state)
{
    static const struct {
        pl_str bytes;
        uint32_t tag; /* 0: refused */
    } cases[] = {
        {BYTES("\x08"), 8},
        {BYTES("\xf8\xff\xff\xff\x0f"), PB_MAX_NUMBER << 3},
        {BYTES("\x88\x80\x80\x80\x00"), 8},
        {BYTES("\x00"), 0},
        {BYTES("\x0e"), 0},
        {BYTES("\x0f"), 0},
        {BYTES("\xf8\xff\xff\xff\x1f"), 0},
        {BYTES("\x88\x80\x80\x80\x80\x00"), 0},
        {BYTES("\x80"), 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pb_reader r = pb_reader_of(cases[i].bytes);
        uint32_t tag = 0;
        const char *wrong = pb_read_tag(&r, &tag);
        assert_int_equal(wrong == NULL, cases[i].tag != 0);
        assert_int_equal(tag, cases[i].tag);
    }
}

static const char *passes(pl_str bytes, unsigned depth)
{
    pb_reader r = pb_reader_of(bytes);
    uint32_t tag;
    const char *wrong = pb_read_tag(&r, &tag);
    if (!wrong)
        wrong = pb_skip(&r, tag, depth);
    assert_true(wrong || r.p == r.end);
    return wrong;
}

static void skipping(void **state)
{
    assert_null(passes(BYTES("\x08\x96\x01"), 0));
    assert_null(passes(BYTES("\x09"
                             "12345678"),
                       0));
    assert_null(passes(BYTES("\x0d"
                             "1234"),
                       0));
    assert_null(passes(BYTES("\x0a\x03"
                             "abc"),
                       0));
    assert_null(passes(BYTES("\x0b\x13\x08\x01\x14\x0c"), 2));
    assert_string_equal(passes(BYTES("\x0b\x13\x08\x01\x14\x0c"), 1), "is nested too deep");
    assert_string_equal(passes(BYTES("\x0b\x14"), 1), "has a group that ends with another number");
    assert_non_null(passes(BYTES("\x0b\x08\x01"), 1));
    assert_non_null(passes(BYTES("\x0c"), 1));
    assert_non_null(passes(BYTES("\x09"
                                 "1234567"),
                           1));
    assert_non_null(passes(BYTES("\x0a\x04"
                                 "abc"),
                           1));
}

static void records(void **state)
{
    static const pl_str message = BYTES("\x08\x05\x12\x01"
                                        "a\x12\x02"
                                        "bc\x1b\x08\x01\x1c\x25\x01\x00\x00\x00");
    pl_str bytes = PL_STR("none");
    uint64_t v = 0;
    assert_true(pb_find_bytes(message, 2, &bytes));
    assert_true(pl_str_is(bytes, "bc")); /* the last one */
    assert_true(pb_find_varint(message, 1, &v) && v == 5);
    assert_false(pb_find_varint(message, 2, &v));
    assert_false(pb_find_bytes(message, 9, &bytes));
    pb_reader r = pb_reader_of(BYTES("\x08\x05\x12\x09"));
    pb_record record;
    const char *wrong;
    assert_true(pb_next_record(&r, &record, &wrong) && record.value == 5);
    assert_false(pb_next_record(&r, &record, &wrong));
    assert_string_equal(wrong, "has a field that is longer than what is left of it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_go_both_ways),
        cmocka_unit_test(varints_may_be_longer_than_needed),
        cmocka_unit_test(zigzag),
        cmocka_unit_test(tags),
        cmocka_unit_test(skipping),
        cmocka_unit_test(records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
