/* SPDX-License-Identifier: MIT */
#include "net/compress.h"

#include <brotli/encode.h>
#include <setjmp.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "base/alloc.h"

/* Levels for work on a loop thread: a middle one up to SMALL, and the fastest above. */
#define SMALL ((size_t)128 << 10)

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static pl_str trim(pl_str s)
{
    while (s.len != 0 && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len != 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Takes what comes before the separator (or all) off *rest. */
static pl_str cut(pl_str *rest, char separator)
{
    const char *end = rest->len != 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
    pl_str part = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    size_t gone = part.len + (end ? 1 : 0);
    *rest = (pl_str){rest->ptr + gone, rest->len - gone};
    return trim(part);
}

static bool is_word(pl_str s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

/* "0.75" in thousandths; -1 when it is no weight. */
static int weight(pl_str s)
{
    if (s.len == 0 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1') || (s.len > 1 && s.ptr[1] != '.'))
        return -1;
    int value = (s.ptr[0] - '0') * 1000, unit = 100;
    for (size_t i = 2; i < s.len; i++, unit /= 10) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        value += (s.ptr[i] - '0') * unit;
    }
    return value <= 1000 ? value : -1;
}

/* The weight among the parameters of one element; 1000 without one, 0 for one that is broken. */
static int weight_of(pl_str parameters)
{
    while (parameters.len != 0) {
        pl_str value = cut(&parameters, ';');
        pl_str name = cut(&value, '=');
        if (is_word(name, "q")) {
            int w = weight(value);
            return w < 0 ? 0 : w;
        }
    }
    return 1000;
}

/* The weights of an Accept-Encoding header; -1: not named. */
typedef struct weights {
    int gzip, brotli, identity;
} weights;

static weights read_weights(pl_str accept_encoding)
{
    weights all = {-1, -1, -1};
    int other = -1;
    while (accept_encoding.len != 0) {
        pl_str parameters = cut(&accept_encoding, ',');
        pl_str name = cut(&parameters, ';');
        int w = weight_of(parameters);
        if (is_word(name, "br"))
            all.brotli = w;
        else if (is_word(name, "gzip") || is_word(name, "x-gzip"))
            all.gzip = w;
        else if (is_word(name, "identity"))
            all.identity = w;
        else if (is_word(name, "*"))
            other = w;
    }
    if (all.brotli < 0)
        all.brotli = other;
    if (all.gzip < 0)
        all.gzip = other;
    return all;
}

pl_coding pl_coding_choose(pl_str accept_encoding)
{
    weights all = read_weights(accept_encoding);
    int best = all.brotli >= all.gzip ? all.brotli : all.gzip;
    if (best <= 0 || best < all.identity)
        return PL_CODING_IDENTITY;
    return all.brotli >= all.gzip ? PL_CODING_BROTLI : PL_CODING_GZIP;
}

bool pl_coding_accepts_gzip(pl_str accept_encoding)
{
    return read_weights(accept_encoding).gzip > 0;
}

pl_str pl_coding_name(pl_coding coding)
{
    switch (coding) {
    case PL_CODING_GZIP:
        return PL_STR("gzip");
    case PL_CODING_BROTLI:
        return PL_STR("br");
    default:
        return PL_STR("");
    }
}

static bool ends_with(pl_str s, const char *end)
{
    size_t n = strlen(end);
    return s.len >= n && strncasecmp(s.ptr + s.len - n, end, n) == 0;
}

bool pl_coding_suits(pl_str content_type)
{
    static const char *const types[] = {"application/json", "application/javascript",
                                        "application/xml",  "application/graphql",
                                        "application/wasm", "application/x-ndjson"};
    pl_str type = cut(&content_type, ';');
    if (type.len >= 5 && strncasecmp(type.ptr, "text/", 5) == 0)
        return !is_word(type, "text/event-stream");
    if (ends_with(type, "+json") || ends_with(type, "+xml"))
        return true;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (is_word(type, types[i]))
            return true;
    }
    return false;
}

static void *zlib_alloc(void *opaque, unsigned count, unsigned size)
{
    return pl_calloc(count, size);
}

static void zlib_free(void *opaque, void *ptr)
{
    pl_free(ptr);
}

/* The bytes written, or 0. */
static size_t gzip_into(pl_str body, char *out, size_t room)
{
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    int level = body.len <= SMALL ? 5 : 1;
    if (deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) /* 16: a gzip header */
        return 0;
    z.next_in = (Bytef *)(uintptr_t)body.ptr;
    z.avail_in = (uInt)body.len;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)room;
    size_t written = deflate(&z, Z_FINISH) == Z_STREAM_END ? (size_t)z.total_out : 0;
    deflateEnd(&z);
    return written;
}

/* Debian's brotli ends the process when its allocator gives NULL; so the allocator does not return then, but
 * jumps out of brotli, and what brotli had is freed by this list. */
typedef struct block block;
struct block {
    block *prev, *next;
    max_align_t bytes[];
};
typedef struct blocks {
    block *first;
    jmp_buf failed;
} blocks;

static void *brotli_alloc(void *opaque, size_t size)
{
    blocks *all = opaque;
    block *b = size < SIZE_MAX - sizeof(*b) ? pl_malloc(sizeof(*b) + size) : NULL;
    if (!b)
        longjmp(all->failed, 1);
    b->prev = NULL;
    b->next = all->first;
    if (b->next)
        b->next->prev = b;
    all->first = b;
    return b->bytes;
}

static void brotli_free(void *opaque, void *ptr)
{
    blocks *all = opaque;
    if (!ptr)
        return;
    block *b = (block *)((char *)ptr - offsetof(block, bytes));
    if (b->next)
        b->next->prev = b->prev;
    if (b->prev)
        b->prev->next = b->next;
    else
        all->first = b->next;
    pl_free(b);
}

/* May leave by a jump to all->failed. */
static size_t brotli_run(blocks *all, pl_str body, char *out, size_t room)
{
    BrotliEncoderState *state = BrotliEncoderCreateInstance(brotli_alloc, brotli_free, all);
    if (!state)
        return 0;
    BrotliEncoderSetParameter(state, BROTLI_PARAM_QUALITY, body.len <= SMALL ? 4 : 1);
    BrotliEncoderSetParameter(state, BROTLI_PARAM_LGWIN, 18);
    BrotliEncoderSetParameter(state, BROTLI_PARAM_MODE, BROTLI_MODE_TEXT);
    BrotliEncoderSetParameter(state, BROTLI_PARAM_SIZE_HINT, (uint32_t)body.len);
    size_t in_left = body.len, out_left = room;
    const uint8_t *in = (const uint8_t *)body.ptr;
    uint8_t *end = (uint8_t *)out;
    bool done =
        BrotliEncoderCompressStream(state, BROTLI_OPERATION_FINISH, &in_left, &in, &out_left, &end, NULL) &&
        BrotliEncoderIsFinished(state);
    BrotliEncoderDestroyInstance(state);
    return done ? room - out_left : 0;
}

static size_t brotli_into(pl_str body, char *out, size_t room)
{
    blocks all = {.first = NULL};
    if (setjmp(all.failed) == 0)
        return brotli_run(&all, body, out, room);
    while (all.first) {
        block *b = all.first;
        all.first = b->next;
        pl_free(b);
    }
    return 0;
}

bool pl_compress(pl_coding coding, pl_str body, pl_buf *out)
{
    if (coding == PL_CODING_IDENTITY || body.len < 2 || body.len > PL_COMPRESS_MOST)
        return false;
    size_t room = body.len - 1; /* what does not fit did not get smaller */
    if (!pl_buf_reserve(out, room))
        return false;
    char *to = out->data + out->len;
    size_t written = coding == PL_CODING_GZIP ? gzip_into(body, to, room) : brotli_into(body, to, room);
    out->len += written;
    return written != 0;
}

bool pl_gunzip(pl_str packed, char *out, size_t size)
{
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    if (inflateInit2(&z, 15 + 16) != Z_OK) /* 16: a gzip header */
        return false;
    z.next_in = (Bytef *)(uintptr_t)packed.ptr;
    z.avail_in = (uInt)packed.len;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)size;
    bool whole = inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == size;
    inflateEnd(&z);
    return whole;
}
