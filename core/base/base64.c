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
