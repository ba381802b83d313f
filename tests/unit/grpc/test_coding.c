/* SPDX-License-Identifier: MIT */
#include "grpc/coding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "support/failing.h"

static void test_names(void **state)
{
    assert_int_equal(pl_grpc_coding_read(PL_STR("gzip")), PL_GRPC_GZIP);
    assert_int_equal(pl_grpc_coding_read(PL_STR("identity")), PL_GRPC_IDENTITY);
    assert_int_equal(pl_grpc_coding_read(PL_STR("snappy")), PL_GRPC_CODINGS);
    assert_int_equal(pl_grpc_coding_read(PL_STR("")), PL_GRPC_CODINGS);
    assert_true(pl_str_is(pl_grpc_coding_name(PL_GRPC_ZSTD), "zstd"));
    assert_int_equal(pl_grpc_coding_list(PL_STR("")), 1 << PL_GRPC_IDENTITY);
    assert_int_equal(pl_grpc_coding_list(PL_STR("snappy, gzip ,zstd")),
                     1 << PL_GRPC_IDENTITY | 1 << PL_GRPC_GZIP | 1 << PL_GRPC_ZSTD);
    assert_int_equal(pl_grpc_coding_list(pl_grpc_coding_names()), (1 << PL_GRPC_CODINGS) - 1);
}

static void fill(char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)("abcdefgh"[i % 8] + (i / 977) % 3);
}

static void test_round_trip(void **state)
{
    static const size_t sizes[] = {1, 100, 16384, 300000};
    pl_grpc_coder *coder = pl_grpc_coder_new();
    char *bytes = malloc(300000);
    fill(bytes, 300000);
    for (int round = 0; round < 2; round++) {
        for (int coding = 0; coding < PL_GRPC_CODINGS; coding++) {
            for (size_t i = 0; i < 4; i++) {
                pl_buf out, back;
                pl_error err = {0};
                pl_buf_init(&out);
                pl_buf_init(&back);
                PL_BUF_LIT(&back, "before");
                assert_int_equal(pl_grpc_compress(coder, coding, (pl_str){bytes, sizes[i]}, &out, &err),
                                 PL_OK);
                if (coding != PL_GRPC_IDENTITY && sizes[i] > 1000)
                    assert_true(out.len < sizes[i] / 2);
                assert_int_equal(pl_grpc_decompress(coder, coding, pl_buf_view(&out), sizes[i], &back, &err),
                                 PL_OK);
                assert_int_equal(back.len, sizes[i] + 6);
                assert_memory_equal(back.data + 6, bytes, sizes[i]);
                pl_buf_dispose(&out);
                pl_buf_dispose(&back);
            }
        }
    }
    free(bytes);
    pl_grpc_coder_free(coder);
}

/* Too large by one byte is too large, and more is never unpacked. */
static void test_bound(void **state)
{
    pl_grpc_coder *coder = pl_grpc_coder_new();
    size_t size = (size_t)20 << 20;
    char *zeros = calloc(1, size);
    for (int coding = PL_GRPC_GZIP; coding < PL_GRPC_CODINGS; coding++) {
        pl_buf bomb, out;
        pl_error err = {0};
        pl_buf_init(&bomb);
        pl_buf_init(&out);
        assert_int_equal(pl_grpc_compress(coder, coding, (pl_str){zeros, size}, &bomb, &err), PL_OK);
        assert_true(bomb.len < size / 100);
        assert_int_equal(pl_grpc_decompress(coder, coding, pl_buf_view(&bomb), 100000, &out, &err),
                         PL_RESOURCE_EXHAUSTED);
        assert_true(out.cap < 300000);
        pl_buf_reset(&out, 0);
        assert_int_equal(pl_grpc_decompress(coder, coding, pl_buf_view(&bomb), size - 1, &out, &err),
                         PL_RESOURCE_EXHAUSTED);
        pl_buf_reset(&out, 0);
        assert_int_equal(pl_grpc_decompress(coder, coding, pl_buf_view(&bomb), size, &out, &err), PL_OK);
        pl_buf_dispose(&bomb);
        pl_buf_dispose(&out);
    }
    free(zeros);
    pl_grpc_coder_free(coder);
}

static void test_damaged(void **state)
{
    pl_grpc_coder *coder = pl_grpc_coder_new();
    char bytes[2000];
    fill(bytes, sizeof bytes);
    for (int coding = PL_GRPC_GZIP; coding < PL_GRPC_CODINGS; coding++) {
        pl_buf whole, out;
        pl_error err = {0};
        pl_buf_init(&whole);
        pl_buf_init(&out);
        assert_int_equal(pl_grpc_compress(coder, coding, (pl_str){bytes, sizeof bytes}, &whole, &err), PL_OK);
        for (size_t len = 1; len < whole.len; len++) { /* cut off */
            pl_buf_reset(&out, 4096);
            assert_int_equal(pl_grpc_decompress(coder, coding, (pl_str){whole.data, len}, 10000, &out, &err),
                             PL_INTERNAL);
        }
        pl_buf_char(&whole, 'x'); /* and something behind */
        pl_buf_reset(&out, 4096);
        assert_int_equal(pl_grpc_decompress(coder, coding, pl_buf_view(&whole), 10000, &out, &err),
                         PL_INTERNAL);
        pl_buf_reset(&out, 4096);
        assert_int_equal(pl_grpc_decompress(coder, coding, PL_STR("no such thing"), 10000, &out, &err),
                         PL_INTERNAL);
        /* and the next one is read all the same */
        whole.len--;
        pl_buf_reset(&out, 4096);
        assert_int_equal(pl_grpc_decompress(coder, coding, pl_buf_view(&whole), 10000, &out, &err), PL_OK);
        assert_int_equal(out.len, sizeof bytes);
        pl_buf_dispose(&whole);
        pl_buf_dispose(&out);
    }
    pl_grpc_coder_free(coder);
}

/* A frame of zstd that asks for a window of 128 MB is not given it. */
static void test_zstd_window(void **state)
{
    pl_grpc_coder *coder = pl_grpc_coder_new();
    pl_buf out;
    pl_error err = {0};
    pl_buf_init(&out);
    assert_int_equal(pl_grpc_decompress(coder, PL_GRPC_ZSTD,
                                        PL_STR("\x28\xb5\x2f\xfd\x00\x88\x09\x00\x00"
                                               "a"),
                                        1000, &out, &err),
                     PL_INTERNAL);
    pl_buf_dispose(&out);
    pl_grpc_coder_free(coder);
}

static void test_empty(void **state)
{
    pl_grpc_coder *coder = pl_grpc_coder_new();
    pl_buf out;
    pl_error err = {0};
    pl_buf_init(&out);
    for (int coding = 0; coding < PL_GRPC_CODINGS; coding++)
        assert_int_equal(pl_grpc_decompress(coder, coding, PL_STR(""), 0, &out, &err), PL_OK);
    assert_int_equal(out.len, 0);
    pl_buf_dispose(&out);
    pl_grpc_coder_free(coder);
}

static void test_no_memory(void **state)
{
    char bytes[20000];
    fill(bytes, sizeof bytes);
    for (int coding = 0; coding < PL_GRPC_CODINGS; coding++) {
        failing a = {0};
        while (failing_next(&a)) {
            pl_grpc_coder *coder = pl_grpc_coder_new();
            pl_buf out, back;
            pl_error err = {0};
            pl_buf_init(&out);
            pl_buf_init(&back);
            failing_begin(&a);
            pl_code code = pl_grpc_compress(coder, coding, (pl_str){bytes, sizeof bytes}, &out, &err);
            if (code == PL_OK)
                code = pl_grpc_decompress(coder, coding, pl_buf_view(&out), sizeof bytes, &back, &err);
            if (failing_end(&a))
                assert_int_equal(code, PL_RESOURCE_EXHAUSTED);
            else
                assert_int_equal(code, PL_OK);
            pl_buf_dispose(&out);
            pl_buf_dispose(&back);
            pl_grpc_coder_free(coder);
        }
        assert_true(a.made >= 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),       cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_bound),       cmocka_unit_test(test_damaged),
                                       cmocka_unit_test(test_zstd_window), cmocka_unit_test(test_empty),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
