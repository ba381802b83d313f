/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/alloc.h"
#include "net/compress.h"
#include "support/failing.h"

static void assert_choice(const char *accept_encoding, const char *expected)
{
    pl_str name = pl_coding_name(pl_coding_choose(pl_str_of(accept_encoding)));
    if (!pl_str_is(name, expected))
        fail_msg("\"%s\" gave \"%.*s\", not \"%s\"", accept_encoding, PL_STR_ARG(name), expected);
}

static void choices(void **state)
{
    assert_choice("gzip", "gzip");
    assert_choice("br", "br");
    assert_choice("gzip, deflate, br", "br");
    assert_choice("br;q=0.5, gzip;q=0.8", "gzip");
    assert_choice("br;q=0.8, gzip;q=0.8", "br");
    assert_choice("GZIP;Q=1", "gzip");
    assert_choice("x-gzip", "gzip");
    assert_choice(" gzip ; q=0.001 ", "gzip");
    assert_choice("*", "br");
    assert_choice("*;q=0.5, gzip", "gzip");
    assert_choice("br;q=0, *", "gzip");
    assert_choice("gzip;level=9;q=0.3", "gzip");
}

static void refusals(void **state)
{
    assert_choice("", "");
    assert_choice("identity", "");
    assert_choice("deflate", "");
    assert_choice("gzip;q=0", "");
    assert_choice("gzip;q=0.000, br;q=0", "");
    assert_choice("*;q=0", "");
    assert_choice("gzip;q=0.5, identity;q=0.9", "");
    assert_choice("gzip;q=2", "");
    assert_choice("gzip;q=1.001", "");
    assert_choice("gzip;q=-1", "");
    assert_choice("gzip;q=", "");
    assert_choice("gzip;q=0.1234", "");
    assert_choice(";;;,,,;q=1", "");
    assert_choice("gzipped", "");
    assert_int_equal(pl_coding_choose(PL_STR_NONE), PL_CODING_IDENTITY);
}

static void media_types(void **state)
{
    assert_true(pl_coding_suits(PL_STR("application/json")));
    assert_true(pl_coding_suits(PL_STR("Application/JSON; charset=utf-8")));
    assert_true(pl_coding_suits(PL_STR("application/graphql-response+json; charset=utf-8")));
    assert_true(pl_coding_suits(PL_STR("text/html")));
    assert_true(pl_coding_suits(PL_STR("image/svg+xml")));
    assert_false(pl_coding_suits(PL_STR("image/png")));
    assert_false(pl_coding_suits(PL_STR("text/event-stream")));
    assert_false(pl_coding_suits(PL_STR("application/grpc-web")));
    assert_false(pl_coding_suits(PL_STR("")));
    assert_false(pl_coding_suits(PL_STR_NONE));
}

static pl_str make_body(size_t len)
{
    char *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = "{\"name\":\"moon\",\"phase\":"[i % 23] + (i % 1009 == 0);
    return (pl_str){bytes, len};
}

static void gzip_round_trip(void **state)
{
    const size_t sizes[] = {1024, 100000, 3000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        pl_str body = make_body(sizes[i]);
        pl_buf out;
        pl_buf_init(&out);
        assert_true(pl_compress(PL_CODING_GZIP, body, &out));
        assert_true(out.len < body.len / 2);
        char *back = malloc(body.len);
        z_stream z = {.next_in = (Bytef *)out.data, .avail_in = (uInt)out.len};
        z.next_out = (Bytef *)back;
        z.avail_out = (uInt)body.len;
        assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
        assert_int_equal(z.total_out, body.len);
        assert_memory_equal(back, body.ptr, body.len);
        inflateEnd(&z);
        free(back);
        free((char *)(uintptr_t)body.ptr);
        pl_buf_dispose(&out);
    }
}

static void gunzip(void **state)
{
    pl_str body = make_body(100000);
    char *back = malloc(body.len);
    pl_buf out;
    pl_buf_init(&out);
    assert_true(pl_compress(PL_CODING_GZIP, body, &out));
    assert_true(pl_gunzip(pl_buf_view(&out), back, body.len));
    assert_memory_equal(back, body.ptr, body.len);
    assert_false(pl_gunzip(pl_buf_view(&out), back, body.len - 1));
    assert_false(pl_gunzip((pl_str){out.data, out.len - 1}, back, body.len));
    assert_false(pl_gunzip(PL_STR("not gzip"), back, body.len));
    pl_alloc_fail_at(1, 1);
    assert_false(pl_gunzip(pl_buf_view(&out), back, body.len));
    pl_alloc_fail_at(0, 0);
    out.data[out.len / 2] ^= 0x55;
    assert_false(pl_gunzip(pl_buf_view(&out), back, body.len));
    free(back);
    free((char *)(uintptr_t)body.ptr);
    pl_buf_dispose(&out);
}

static void accepting_gzip(void **state)
{
    assert_true(pl_coding_accepts_gzip(PL_STR("br;q=1.0, gzip;q=0.1")));
    assert_true(pl_coding_accepts_gzip(PL_STR("*")));
    assert_true(pl_coding_accepts_gzip(PL_STR("identity, x-gzip;q=0.5")));
    assert_false(pl_coding_accepts_gzip(PL_STR("gzip;q=0, *")));
    assert_false(pl_coding_accepts_gzip(PL_STR("br")));
    assert_false(pl_coding_accepts_gzip(PL_STR_NONE));
}

static void brotli_shrinks(void **state)
{
    const size_t sizes[] = {1024, 100000, 3000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        pl_str body = make_body(sizes[i]);
        pl_buf out;
        pl_buf_init(&out);
        assert_true(pl_compress(PL_CODING_BROTLI, body, &out));
        assert_true(out.len > 0 && out.len < body.len / 2);
        free((char *)(uintptr_t)body.ptr);
        pl_buf_dispose(&out);
    }
}

static void what_does_not_shrink_is_refused(void **state)
{
    char noise[2048];
    unsigned seed = 1;
    for (size_t i = 0; i < sizeof(noise); i++) {
        seed = seed * 1103515245u + 12345u;
        noise[i] = (char)(seed >> 16);
    }
    for (pl_coding coding = PL_CODING_IDENTITY; coding <= PL_CODING_BROTLI; coding++) {
        pl_buf out;
        pl_buf_init(&out);
        pl_buf_char(&out, 'x');
        assert_false(pl_compress(coding, (pl_str){noise, sizeof(noise)}, &out));
        assert_int_equal(out.len, 1);
        assert_false(pl_compress(coding, PL_STR_NONE, &out));
        assert_false(pl_compress(coding, (pl_str){noise, PL_COMPRESS_MOST + 1}, &out));
        pl_buf_dispose(&out);
    }
}

static void short_memory_is_an_error(void **state)
{
    pl_str body = make_body(4000);
    for (pl_coding coding = PL_CODING_GZIP; coding <= PL_CODING_BROTLI; coding++) {
        failing a = {.sticky = true};
        while (failing_next(&a)) {
            pl_buf out;
            pl_buf_init(&out);
            failing_begin(&a);
            bool ok = pl_compress(coding, body, &out);
            assert_int_equal(ok, !failing_end(&a));
            pl_buf_dispose(&out);
        }
    }
    free((char *)(uintptr_t)body.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices),
        cmocka_unit_test(refusals),
        cmocka_unit_test(media_types),
        cmocka_unit_test(gzip_round_trip),
        cmocka_unit_test(gunzip),
        cmocka_unit_test(accepting_gzip),
        cmocka_unit_test(brotli_shrinks),
        cmocka_unit_test(what_does_not_shrink_is_refused),
        cmocka_unit_test(short_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
