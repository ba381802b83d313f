/* SPDX-License-Identifier: MIT */
#include "grpc/coding.h"

#include <limits.h>
#include <zlib.h>
#include <zstd.h>

#include "base/alloc.h"

#define LEVEL 6
#define FAST_LEVEL 1
#define FAST_FROM \
    ((size_t)128 << 10) /* this is done on a loop's thread: large messages get the fastest level */
#define ZSTD_LEVEL 3
#define ZSTD_WINDOW_LOG \
    23 /* 8 MB: what RFC 9659 says a receiver must take, and the most that one frame may cost */
#define STEP ((size_t)16 << 10)
#define GZIP_WINDOW (15 + 16)
#define ZLIB_WINDOW 15

struct pl_grpc_coder {
    z_stream deflate, inflate;
    int deflate_window, inflate_window; /* 0: not made yet */
    ZSTD_CCtx *zstd_out;
    ZSTD_DCtx *zstd_in;
};

static const char *const names[] = {"identity", "gzip", "deflate", "zstd"};

pl_str pl_grpc_coding_name(pl_grpc_coding coding)
{
    return pl_str_of(names[coding < PL_GRPC_CODINGS ? coding : PL_GRPC_IDENTITY]);
}

pl_grpc_coding pl_grpc_coding_read(pl_str name)
{
    for (int i = 0; i < PL_GRPC_CODINGS; i++) {
        if (pl_str_is(name, names[i]))
            return (pl_grpc_coding)i;
    }
    return PL_GRPC_CODINGS;
}

pl_str pl_grpc_coding_names(void)
{
    return PL_STR("identity,gzip,deflate,zstd");
}

unsigned pl_grpc_coding_list(pl_str list)
{
    unsigned found = 1u << PL_GRPC_IDENTITY;
    size_t begin = 0;
    for (size_t i = 0; i <= list.len; i++) {
        if (i < list.len && list.ptr[i] != ',')
            continue;
        pl_str name = {list.ptr + begin, i - begin};
        while (name.len > 0 && name.ptr[0] == ' ') {
            name.ptr++;
            name.len--;
        }
        while (name.len > 0 && name.ptr[name.len - 1] == ' ')
            name.len--;
        found |= 1u << pl_grpc_coding_read(name);
        begin = i + 1;
    }
    return found & ~(1u << PL_GRPC_CODINGS);
}

static void *z_alloc(void *opaque, unsigned items, unsigned size)
{
    (void)opaque;
    return pl_calloc(items, size);
}

static void z_free(void *opaque, void *ptr)
{
    (void)opaque;
    pl_free(ptr);
}

pl_grpc_coder *pl_grpc_coder_new(void)
{
    return pl_calloc(1, sizeof(pl_grpc_coder));
}

void pl_grpc_coder_free(pl_grpc_coder *c)
{
    if (!c)
        return;
    if (c->deflate_window)
        deflateEnd(&c->deflate);
    if (c->inflate_window)
        inflateEnd(&c->inflate);
    ZSTD_freeCCtx(c->zstd_out);
    ZSTD_freeDCtx(c->zstd_in);
    pl_free(c);
}

static pl_code damaged(pl_grpc_coding coding, pl_error *err)
{
    return pl_fail(err, PL_INTERNAL, "a message cannot be decompressed: it is no sound %s", names[coding]);
}

static pl_code too_large(size_t max, pl_error *err)
{
    return pl_fail(err, PL_RESOURCE_EXHAUSTED,
                   "a message is too large: it has more than %zu bytes when it is decompressed", max);
}

/* --- zlib --- */
static bool open_deflate(pl_grpc_coder *c, int window, int level)
{
    if (c->deflate_window == window && deflateReset(&c->deflate) == Z_OK)
        return deflateParams(&c->deflate, level, Z_DEFAULT_STRATEGY) == Z_OK;
    if (c->deflate_window)
        deflateEnd(&c->deflate);
    c->deflate = (z_stream){.zalloc = z_alloc, .zfree = z_free};
    bool ok = deflateInit2(&c->deflate, level, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    c->deflate_window = ok ? window : 0;
    return ok;
}

static pl_code z_compress(pl_grpc_coder *c, int window, pl_str bytes, pl_buf *out, pl_error *err)
{
    if (!open_deflate(c, window, bytes.len >= FAST_FROM ? FAST_LEVEL : LEVEL))
        return pl_fail_memory(err);
    size_t bound = deflateBound(&c->deflate, bytes.len);
    if (bytes.len > UINT_MAX || bound > UINT_MAX || !pl_buf_reserve(out, bound))
        return pl_fail_memory(err);
    c->deflate.next_in = (Bytef *)bytes.ptr;
    c->deflate.avail_in = (unsigned)bytes.len;
    c->deflate.next_out = (Bytef *)out->data + out->len;
    c->deflate.avail_out = (unsigned)bound;
    if (deflate(&c->deflate, Z_FINISH) != Z_STREAM_END)
        return pl_fail(err, PL_INTERNAL, "a message cannot be compressed");
    out->len += bound - c->deflate.avail_out;
    return PL_OK;
}

static bool open_inflate(pl_grpc_coder *c, int window)
{
    if (c->inflate_window == window)
        return inflateReset(&c->inflate) == Z_OK;
    if (c->inflate_window)
        inflateEnd(&c->inflate);
    c->inflate = (z_stream){.zalloc = z_alloc, .zfree = z_free};
    bool ok = inflateInit2(&c->inflate, window) == Z_OK;
    c->inflate_window = ok ? window : 0;
    return ok;
}

/* Room for the next step, of which max - *made are still allowed, and one more to see that it is too much. */
static size_t step_of(size_t made, size_t max)
{
    size_t left = max - made;
    return left < STEP ? left + 1 : STEP;
}

static pl_code z_decompress(pl_grpc_coder *c, pl_grpc_coding coding, pl_str bytes, size_t max, pl_buf *out,
                            pl_error *err)
{
    size_t begin = out->len;
    int status = Z_OK;
    if (bytes.len > UINT_MAX || !open_inflate(c, coding == PL_GRPC_GZIP ? GZIP_WINDOW : ZLIB_WINDOW))
        return pl_fail_memory(err);
    c->inflate.next_in = (Bytef *)bytes.ptr;
    c->inflate.avail_in = (unsigned)bytes.len;
    while (status == Z_OK) {
        size_t step = step_of(out->len - begin, max);
        if (!pl_buf_reserve(out, step))
            return pl_fail_memory(err);
        c->inflate.next_out = (Bytef *)out->data + out->len;
        c->inflate.avail_out = (unsigned)step;
        status = inflate(&c->inflate, Z_NO_FLUSH);
        out->len += step - c->inflate.avail_out;
        if (out->len - begin > max)
            return too_large(max, err);
        if (status == Z_OK && c->inflate.avail_in == 0 && c->inflate.avail_out > 0)
            status = Z_BUF_ERROR; /* cut off */
    }
    if (status == Z_MEM_ERROR)
        return pl_fail_memory(err);
    return status == Z_STREAM_END && c->inflate.avail_in == 0 ? PL_OK : damaged(coding, err);
}

/* --- zstd --- */
static pl_code zstd_compress(pl_grpc_coder *c, pl_str bytes, pl_buf *out, pl_error *err)
{
    if (!c->zstd_out && !(c->zstd_out = ZSTD_createCCtx()))
        return pl_fail_memory(err);
    size_t bound = ZSTD_compressBound(bytes.len);
    if (!pl_buf_reserve(out, bound))
        return pl_fail_memory(err);
    int level = bytes.len >= FAST_FROM ? FAST_LEVEL : ZSTD_LEVEL;
    size_t n = ZSTD_compressCCtx(c->zstd_out, out->data + out->len, bound, bytes.ptr, bytes.len, level);
    if (ZSTD_isError(n))
        return pl_fail(err, PL_INTERNAL, "a message cannot be compressed: %s", ZSTD_getErrorName(n));
    out->len += n;
    return PL_OK;
}

static bool open_zstd(pl_grpc_coder *c)
{
    if (c->zstd_in)
        return !ZSTD_isError(ZSTD_DCtx_reset(c->zstd_in, ZSTD_reset_session_only));
    c->zstd_in = ZSTD_createDCtx();
    return c->zstd_in &&
           !ZSTD_isError(ZSTD_DCtx_setParameter(c->zstd_in, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG));
}

static pl_code zstd_decompress(pl_grpc_coder *c, pl_str bytes, size_t max, pl_buf *out, pl_error *err)
{
    size_t begin = out->len, left = 1;
    ZSTD_inBuffer in = {bytes.ptr, bytes.len, 0};
    if (!open_zstd(c))
        return pl_fail_memory(err);
    while (left != 0) {
        size_t step = step_of(out->len - begin, max);
        if (!pl_buf_reserve(out, step))
            return pl_fail_memory(err);
        ZSTD_outBuffer to = {out->data + out->len, step, 0};
        size_t in_before = in.pos;
        left = ZSTD_decompressStream(c->zstd_in, &to, &in);
        if (ZSTD_isError(left))
            return damaged(PL_GRPC_ZSTD, err);
        out->len += to.pos;
        if (out->len - begin > max)
            return too_large(max, err);
        if (left != 0 && in.pos == in_before && to.pos == 0)
            return damaged(PL_GRPC_ZSTD, err); /* cut off */
    }
    return in.pos == in.size ? PL_OK : damaged(PL_GRPC_ZSTD, err);
}

pl_code pl_grpc_compress(pl_grpc_coder *c, pl_grpc_coding coding, pl_str bytes, pl_buf *out, pl_error *err)
{
    switch (coding) {
    case PL_GRPC_GZIP:
        return z_compress(c, GZIP_WINDOW, bytes, out, err);
    case PL_GRPC_DEFLATE:
        return z_compress(c, ZLIB_WINDOW, bytes, out, err);
    case PL_GRPC_ZSTD:
        return zstd_compress(c, bytes, out, err);
    case PL_GRPC_IDENTITY:
    case PL_GRPC_CODINGS:
        break;
    }
    pl_buf_str(out, bytes);
    return out->failed ? pl_fail_memory(err) : PL_OK;
}

pl_code pl_grpc_decompress(pl_grpc_coder *c, pl_grpc_coding coding, pl_str bytes, size_t max, pl_buf *out,
                           pl_error *err)
{
    if (bytes.len == 0)
        return PL_OK;
    if (coding == PL_GRPC_GZIP || coding == PL_GRPC_DEFLATE)
        return z_decompress(c, coding, bytes, max, out, err);
    if (coding == PL_GRPC_ZSTD)
        return zstd_decompress(c, bytes, max, out, err);
    if (bytes.len > max)
        return too_large(max, err);
    pl_buf_str(out, bytes);
    return out->failed ? pl_fail_memory(err) : PL_OK;
}
