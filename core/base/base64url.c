/* SPDX-License-Identifier: MIT */
#include "base/base64url.h"

#include <stdint.h>

static unsigned digit(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26u;
    if (c >= '0' && c <= '9')
        return c - '0' + 52u;
    return c == '-' ? 62 : c == '_' ? 63 : 64;
}

bool pl_base64url_read(pl_str text, void *out, size_t *len)
{
    unsigned char *p = out;
    uint32_t bits = 0;
    unsigned count = 0;
    if (text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned v = digit((unsigned char)text.ptr[i]);
        if (v > 63)
            return false;
        bits = bits << 6 | v;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *p++ = (unsigned char)(bits >> count);
        }
    }
    *len = (size_t)(p - (unsigned char *)out);
    return (bits & ((1u << count) - 1)) == 0; /* else another text stands for these bytes */
}
