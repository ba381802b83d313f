/* SPDX-License-Identifier: MIT */
#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Up to three bytes; what is missing is '='. */
static void write_group(char out[4], const unsigned char *bytes, size_t len)
{
    unsigned v =
        (unsigned)bytes[0] << 16 | (len > 1 ? (unsigned)bytes[1] << 8 : 0) | (len > 2 ? bytes[2] : 0);
    out[0] = digits[v >> 18];
    out[1] = digits[v >> 12 & 63];
    out[2] = '=';
    out[3] = '=';
    if (len > 1)
        out[2] = digits[v >> 6 & 63];
    if (len > 2)
        out[3] = digits[v & 63];
}

void pl_base64_write(pl_buf *out, pl_str bytes)
{
    if (!pl_buf_reserve(out, (bytes.len / 3 + 1) * 4))
        return;
    for (size_t i = 0; i < bytes.len; i += 3) {
        char group[4];
        write_group(group, (const unsigned char *)bytes.ptr + i, bytes.len - i < 3 ? bytes.len - i : 3);
        pl_buf_append(out, group, 4);
    }
}

void pl_base64_write_unpadded(pl_buf *out, pl_str bytes)
{
    pl_base64_write(out, bytes);
    if (!out->failed)
        out->len -= (3 - bytes.len % 3) % 3;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static pl_str without_padding(pl_str text)
{
    if (text.len == 0 || text.len % 4 != 0)
        return text;
    for (int i = 0; i < 2 && text.ptr[text.len - 1] == '='; i++)
        text.len--;
    return text;
}

bool pl_base64_read(pl_buf *out, pl_str text)
{
    pl_str s = without_padding(text);
    size_t begin = out->len;
    unsigned group = 0;
    if (s.len % 4 == 1 || !pl_buf_reserve(out, s.len / 4 * 3 + 3))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int v = value_of(s.ptr[i]);
        if (v < 0) {
            out->len = begin;
            return false;
        }
        group = group << 6 | (unsigned)v;
        if (i % 4 == 0)
            continue;
        /* The bits of the digits so far that make one more byte. */
        out->data[out->len++] = (char)(group >> (6 - i % 4 * 2) & 255);
    }
    return true;
}
