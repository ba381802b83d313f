/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_STR_H
#define PL_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* A view of bytes that somebody else owns; not terminated. {NULL, 0} is the absent string. */
typedef struct pl_str {
    const char *ptr;
    size_t len;
} pl_str;

#define PL_STR(literal) ((pl_str){"" literal, sizeof(literal) - 1})
#define PL_STR_NONE ((pl_str){NULL, 0})
/* For printf: printf("%.*s", PL_STR_ARG(s)). */
#define PL_STR_ARG(s) (int)(s).len, (s).ptr

static inline pl_str pl_str_of(const char *cstr)
{
    return (pl_str){cstr, cstr ? strlen(cstr) : 0};
}

static inline bool pl_str_eq(pl_str a, pl_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool pl_str_is(pl_str a, const char *cstr)
{
    size_t n = strlen(cstr);
    return a.len == n && (n == 0 || memcmp(a.ptr, cstr, n) == 0);
}

static inline bool pl_str_starts(pl_str s, pl_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

/* Byte order, like strcmp: <0, 0, >0. */
int pl_str_cmp(pl_str a, pl_str b);
/* Index of the first byte that is not valid UTF-8 (RFC 3629: no surrogates, no overlong forms), or len. */
size_t pl_utf8_check(const char *bytes, size_t len);
static inline bool pl_str_is_utf8(pl_str s)
{
    return pl_utf8_check(s.ptr, s.len) == s.len;
}
/* Length (1 to 4) of the valid UTF-8 sequence that bytes begin with; 0 when there is none. */
size_t pl_utf8_sequence(const char *bytes, size_t len);
/* Appends the UTF-8 form of a Unicode scalar value to out (room for 4 bytes); returns the bytes written. */
size_t pl_utf8_encode(char *out, unsigned codepoint);
/* A 64-bit hash with a key chosen at process start (SipHash-1-3), so that clients cannot make collisions. */
unsigned long long pl_hash(const void *bytes, size_t len);

#endif
