/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_QUOTE_H
#define PL_BASE_QUOTE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

/* Strings of JSON none of whose bytes has to be escaped, as most are: inline, for those who write many of
 * them. Everything else is pl_format_string's. */

/* 0: copied as it is. 1: not ASCII. 'u': as \u00XX. Otherwise the letter behind the backslash. */
extern const unsigned char pl_quote_escapes[256];

/* 16 bytes at once, in whatever registers the machine has. */
typedef signed char pl_quote_block __attribute__((vector_size(16)));
typedef uint64_t pl_quote_halves __attribute__((vector_size(16)));
#define PL_QUOTE_EACH(c) ((pl_quote_block){c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c})

/* Whether all bytes are copied as they are: those that are not ASCII are less than 0. */
static inline bool pl_quote_plain(pl_quote_block b)
{
    pl_quote_block found = (b < PL_QUOTE_EACH(0x20)) | (b == PL_QUOTE_EACH('"')) | (b == PL_QUOTE_EACH('\\'));
#ifdef __SSE2__
    typedef char chars __attribute__((vector_size(16)));
    return __builtin_ia32_pmovmskb128((chars)found) == 0;
#else
    pl_quote_halves both = (pl_quote_halves)found;
    return (both[0] | both[1]) == 0;
#endif
}

/* Each of these copies len bytes, and says whether all are plain. The last step may overlap the one before.
 */
static inline bool pl_quote_16(char *out, const char *p, size_t len)
{
    pl_quote_block b;
    for (; len > 16; out += 16, p += 16, len -= 16) {
        memcpy(&b, p, 16);
        memcpy(out, &b, 16);
        if (!pl_quote_plain(b))
            return false;
    }
    memcpy(&b, p + len - 16, 16);
    memcpy(out + len - 16, &b, 16);
    return pl_quote_plain(b);
}

static inline bool pl_quote_8(char *out, const char *p, size_t len)
{
    uint64_t head, tail;
    memcpy(&head, p, 8);
    memcpy(&tail, p + len - 8, 8);
    memcpy(out, &head, 8);
    memcpy(out + len - 8, &tail, 8);
    return pl_quote_plain((pl_quote_block)(pl_quote_halves){head, tail});
}

static inline bool pl_quote_4(char *out, const char *p, size_t len)
{
    uint32_t head, tail;
    memcpy(&head, p, 4);
    memcpy(&tail, p + len - 4, 4);
    memcpy(out, &head, 4);
    memcpy(out + len - 4, &tail, 4);
    uint64_t both = head | (uint64_t)tail << 32;
    return pl_quote_plain((pl_quote_block)(pl_quote_halves){both, both});
}

static inline bool pl_quote_1(char *out, const char *p, size_t len)
{
    unsigned char first = (unsigned char)p[0], middle = (unsigned char)p[len / 2],
                  last = (unsigned char)p[len - 1];
    out[0] = (char)first;
    out[len / 2] = (char)middle;
    out[len - 1] = (char)last;
    return (pl_quote_escapes[first] | pl_quote_escapes[middle] | pl_quote_escapes[last]) == 0;
}

/* Writes s in quotes to out, where there is room for s.len + 2 bytes; returns the place behind them. NULL: a
 * byte is not ASCII, or has to be escaped; then it does not matter what is in out. */
static inline __attribute__((always_inline)) char *pl_quote(char *out, pl_str s)
{
    char *text = out + 1;
    *out = '"';
    if (s.len >= 16  ? !pl_quote_16(text, s.ptr, s.len)
        : s.len >= 8 ? !pl_quote_8(text, s.ptr, s.len)
        : s.len >= 4 ? !pl_quote_4(text, s.ptr, s.len)
                     : s.len > 0 && !pl_quote_1(text, s.ptr, s.len))
        return NULL;
    text[s.len] = '"';
    return text + s.len + 1;
}

#endif
