/* SPDX-License-Identifier: MIT */
#include "value/msgpack.h"

/* A byte that says what comes, and a number of n bytes, big endian. */
static void put_head(pl_buf *out, unsigned head, uint64_t number, unsigned n)
{
    char bytes[9] = {(char)head};
    for (unsigned i = 0; i < n; i++)
        bytes[1 + i] = (char)(number >> (8 * (n - 1 - i)));
    pl_buf_append(out, bytes, 1 + n);
}

void pl_msgpack_null(pl_buf *out)
{
    pl_buf_char(out, (char)0xc0);
}

void pl_msgpack_bool(pl_buf *out, bool v)
{
    pl_buf_char(out, (char)(v ? 0xc3 : 0xc2));
}

void pl_msgpack_int(pl_buf *out, int64_t v)
{
    if (v >= -32 && v <= 127)
        pl_buf_char(out, (char)v);
    else if (v >= INT32_MIN && v <= INT32_MAX)
        put_head(out, 0xd2, (uint64_t)v, 4);
    else
        put_head(out, 0xd3, (uint64_t)v, 8);
}

void pl_msgpack_float(pl_buf *out, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_head(out, 0xcb, bits, 8);
}

void pl_msgpack_string(pl_buf *out, pl_str s)
{
    if (pl_utf8_check(s.ptr, s.len) != s.len)
        put_head(out, 0xc6, s.len, 4);
    else if (s.len < 32)
        pl_buf_char(out, (char)(0xa0 | s.len));
    else
        put_head(out, 0xdb, s.len, 4);
    pl_buf_str(out, s);
}

void pl_msgpack_list(pl_buf *out, size_t count)
{
    if (count < 16)
        pl_buf_char(out, (char)(0x90 | count));
    else
        put_head(out, 0xdd, count, 4);
}

size_t pl_msgpack_map_begin(pl_buf *out)
{
    put_head(out, 0xdf, 0, 4);
    return out->len;
}

void pl_msgpack_map_end(pl_buf *out, size_t begin, size_t count)
{
    for (size_t i = 0; !out->failed && i < 4; i++)
        out->data[begin - 4 + i] = (char)(count >> (8 * (3 - i)));
}
