/* SPDX-License-Identifier: MIT */
#include "grpc/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"

static void put(pl_buf *out, unsigned flags, pl_str payload)
{
    size_t begin = pl_grpc_message_begin(out);
    pl_buf_str(out, payload);
    assert_true(pl_grpc_message_end(out, begin, flags));
}

static void test_prefix(void **state)
{
    pl_buf out;
    pl_buf_init(&out);
    put(&out, 0, PL_STR("ab"));
    put(&out, PL_GRPC_FLAG_COMPRESSED, PL_STR(""));
    assert_int_equal(out.len, 12);
    assert_memory_equal(out.data, "\0\0\0\0\2ab\1\0\0\0\0", 12);
    pl_buf_dispose(&out);
}

/* Whatever pieces the bytes come in, the messages are the same. */
static void test_pieces(void **state)
{
    pl_buf wire;
    pl_grpc_message m;
    pl_buf_init(&wire);
    char large[3000];
    memset(large, 'x', sizeof large);
    put(&wire, 0, PL_STR("first"));
    put(&wire, 0, PL_STR(""));
    put(&wire, 1, (pl_str){large, sizeof large});
    put(&wire, 0, PL_STR("last"));
    for (size_t step = 1; step < 40; step++) {
        pl_grpc_reader r;
        unsigned found = 0;
        pl_grpc_reader_init(&r, 4096);
        for (size_t at = 0; at < wire.len; at += step) {
            size_t n = wire.len - at < step ? wire.len - at : step;
            assert_true(pl_grpc_reader_add(&r, (pl_str){wire.data + at, n}));
            while (pl_grpc_reader_next(&r, &m) == PL_GRPC_MESSAGE) {
                static const size_t sizes[] = {5, 0, 3000, 4};
                assert_int_equal(m.payload.len, sizes[found]);
                assert_int_equal(m.compressed, found == 2);
                if (found == 2)
                    assert_memory_equal(m.payload.ptr, large, sizeof large);
                found++;
            }
        }
        assert_int_equal(found, 4);
        assert_int_equal(pl_grpc_reader_held(&r), 0);
        pl_grpc_reader_dispose(&r);
    }
    pl_buf_dispose(&wire);
}

static void test_limit(void **state)
{
    pl_grpc_reader r;
    pl_grpc_message m;
    pl_grpc_reader_init(&r, 10);
    assert_true(pl_grpc_reader_add(&r, PL_STR("\0\0\0\0\x0a"
                                              "0123456789")));
    assert_int_equal(pl_grpc_reader_next(&r, &m), PL_GRPC_MESSAGE);
    assert_true(pl_grpc_reader_add(&r, PL_STR("\0\0\0\0\x0b")));
    assert_int_equal(pl_grpc_reader_next(&r, &m), PL_GRPC_TOO_LARGE);
    assert_int_equal(m.length, 11);
    assert_int_equal(pl_grpc_reader_next(&r, &m), PL_GRPC_TOO_LARGE);
    pl_grpc_reader_reset(&r, 10);
    assert_true(pl_grpc_reader_add(&r, PL_STR("\0\xff\xff\xff\xff")));
    assert_int_equal(pl_grpc_reader_peek(&r, &m), PL_GRPC_TOO_LARGE);
    pl_grpc_reader_dispose(&r);
}

static void test_flags(void **state)
{
    for (unsigned flags = 2; flags < 256; flags++) {
        pl_grpc_reader r;
        pl_grpc_message m;
        char wire[] = {(char)flags, 0, 0, 0, 0};
        pl_grpc_reader_init(&r, 10);
        assert_true(pl_grpc_reader_add(&r, (pl_str){wire, 5}));
        assert_int_equal(pl_grpc_reader_next(&r, &m), PL_GRPC_BAD_FLAGS);
        pl_grpc_reader_dispose(&r);
    }
}

/* An announced length costs nothing; a long stream does not make the buffer grow. */
static void test_memory(void **state)
{
    pl_grpc_reader r;
    pl_grpc_message m;
    char payload[2000] = {0};
    pl_buf wire;
    pl_buf_init(&wire);
    pl_grpc_reader_init(&r, UINT32_MAX);
    assert_true(pl_grpc_reader_add(&r, PL_STR("\0\x7f\xff\xff\xff"
                                              "abc")));
    assert_int_equal(pl_grpc_reader_next(&r, &m), PL_GRPC_MORE);
    assert_true(r.bytes.cap < 4096);
    pl_grpc_reader_reset(&r, 4096);
    put(&wire, 0, (pl_str){payload, sizeof payload});
    assert_true(pl_grpc_reader_add(&r, (pl_str){wire.data, 1000}));
    for (int i = 0; i < 1000; i++) { /* never empty */
        assert_true(pl_grpc_reader_add(&r, (pl_str){wire.data + 1000, wire.len - 1000}));
        assert_true(pl_grpc_reader_add(&r, (pl_str){wire.data, 1000}));
        assert_int_equal(pl_grpc_reader_next(&r, &m), PL_GRPC_MESSAGE);
        assert_int_equal(m.payload.len, sizeof payload);
    }
    assert_true(r.bytes.cap < 16384);
    pl_grpc_reader_dispose(&r);
    pl_buf_dispose(&wire);
}

static void test_no_memory(void **state)
{
    pl_grpc_reader r;
    pl_buf out;
    pl_grpc_reader_init(&r, 100);
    pl_buf_init(&out);
    pl_alloc_fail_at(1, 1);
    assert_false(pl_grpc_reader_add(&r, PL_STR("abc")));
    size_t begin = pl_grpc_message_begin(&out);
    assert_false(pl_grpc_message_end(&out, begin, 0));
    pl_alloc_fail_at(0, 0);
    pl_grpc_reader_dispose(&r);
    pl_buf_dispose(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_prefix), cmocka_unit_test(test_pieces),
                                       cmocka_unit_test(test_limit),  cmocka_unit_test(test_flags),
                                       cmocka_unit_test(test_memory), cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
