/* SPDX-License-Identifier: MIT */
#include "base/format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/quote.h"

/* --- integers --- */

static const char pairs[200] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

static int digits_of(uint64_t u)
{
    int n = 1;
    for (; u >= 10000; u /= 10000)
        n += 4;
    return u < 10 ? n : u < 100 ? n + 1 : u < 1000 ? n + 2 : n + 3;
}

size_t pl_format_int(char out[PL_FORMAT_INT_MAX], int64_t v)
{
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char *end = out + (v < 0) + digits_of(u), *p = end;
    while (u >= 100) {
        p -= 2;
        memcpy(p, pairs + u % 100 * 2, 2);
        u /= 100;
    }
    if (u >= 10)
        memcpy(p - 2, pairs + u * 2, 2);
    else
        p[-1] = (char)('0' + u);
    if (v < 0)
        *out = '-';
    return (size_t)(end - out);
}

/* --- doubles --- */

/* A positive number 0.d1d2d3… * 10^point. */
typedef struct decimal {
    char digits[PL_FORMAT_INT_MAX];
    int count; /* no trailing zeros */
    int point;
} decimal;

/* Most numbers that people write: up to 15 digits. m / 10^k is rounded once when both are exact, just as a
 * reader rounds "m e-k", so equality here means that the text reads back as v. The first k that does is the
 * shortest. Returns the length; 0: it is none of these. */
static size_t format_short(char *out, double v)
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12};
    if (v >= 1e15 || v < 1e-5)
        return 0;
    for (size_t k = 0; k < sizeof(powers) / sizeof(*powers); k++) {
        double scaled = v * powers[k];
        if (scaled >= 1e15)
            return 0;
        int64_t m = (int64_t)(scaled + 0.5), unit = (int64_t)powers[k];
        if ((double)m / powers[k] != v)
            continue;
        size_t len = pl_format_int(out, m / unit);
        if (k == 0)
            return len;
        out[len] = '.';
        m %= unit;
        for (size_t i = len + k; i > len; i--, m /= 10)
            out[i] = (char)('0' + m % 10);
        return len + 1 + k;
    }
    return 0;
}

static void strip_zeros(decimal *d)
{
    while (d->count > 1 && d->digits[d->count - 1] == '0')
        d->count--;
}

static void print_digits(double v, int precision, char text[40], decimal *d)
{
    /* The separator after the first digit is the locale's: skip whatever it is. */
    snprintf(text, 40, "%.*e", precision - 1, v);
    char *exponent = strchr(text, 'e');
    d->count = 0;
    for (char *p = text; p < exponent; p++) {
        if (*p >= '0' && *p <= '9')
            d->digits[d->count++] = *p;
    }
    d->point = (int)strtol(exponent + 1, NULL, 10) + 1;
}

/* Adds one to the last digit, in text and d alike. False when that would carry. */
static bool next_up(char text[40], decimal *d)
{
    char *last = strchr(text, 'e') - 1;
    if (*last == '9')
        return false;
    ++*last;
    d->digits[d->count - 1]++;
    return true;
}

static void any_decimal(double v, decimal *d)
{
    char text[40];
    int exponent;
    /* Below a power of two the doubles are twice as dense: the shortest form may be the second nearest one.
     */
    bool power = frexp(v, &exponent) == 0.5;
    for (int precision = fpclassify(v) == FP_SUBNORMAL ? 1 : 15; precision <= 17; precision++) {
        print_digits(v, precision, text, d);
        if (strtod(text, NULL) == v)
            break;
        if (power && next_up(text, d) && strtod(text, NULL) == v)
            break;
    }
    strip_zeros(d);
}

static size_t lay_out(char *out, const decimal *d)
{
    char *p = out;
    int zeros = 0;
    if (d->point > 21 || d->point <= -6) {
        *p++ = d->digits[0];
        if (d->count > 1) {
            *p++ = '.';
            memcpy(p, d->digits + 1, (size_t)d->count - 1);
            p += d->count - 1;
        }
        *p++ = 'e';
        if (d->point > 0)
            *p++ = '+';
        p += pl_format_int(p, d->point - 1);
        return (size_t)(p - out);
    }
    if (d->point <= 0) {
        *p++ = '0';
        *p++ = '.';
        zeros = -d->point;
        memset(p, '0', (size_t)zeros);
        p += zeros;
        memcpy(p, d->digits, (size_t)d->count);
        return (size_t)(p - out) + (size_t)d->count;
    }
    int whole = d->count < d->point ? d->count : d->point;
    memcpy(p, d->digits, (size_t)whole);
    p += whole;
    zeros = d->point - whole;
    memset(p, '0', (size_t)zeros);
    p += zeros;
    if (d->count > whole) {
        *p++ = '.';
        memcpy(p, d->digits + whole, (size_t)(d->count - whole));
        p += d->count - whole;
    }
    return (size_t)(p - out);
}

size_t pl_format_double(char out[PL_FORMAT_DOUBLE_MAX], double v)
{
    char *p = out;
    if (v == 0) {
        *p = '0'; /* -0 too */
        return 1;
    }
    if (v < 0) {
        *p++ = '-';
        v = -v;
    }
    /* Below 2^53 an integral double is that integer exactly. */
    if (v < 9007199254740992.0 && v == (double)(int64_t)v)
        return (size_t)(p - out) + pl_format_int(p, (int64_t)v);
    size_t len = format_short(p, v);
    if (len == 0) {
        decimal d = {.count = 0};
        any_decimal(v, &d);
        len = lay_out(p, &d);
    }
    return (size_t)(p - out) + len;
}

/* --- strings --- */

const unsigned char pl_quote_escapes[256] = {
    'u', 'u', 'u', 'u', 'u',         'u',           'u',
    'u', 'b', 't', 'n', 'u',         'f',           'r',
    'u', 'u', 'u', 'u', 'u',         'u',           'u',
    'u', 'u', 'u', 'u', 'u',         'u',           'u',
    'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\', [0x80 ... 0xFF] = 1,
};

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* How many of the 8 bytes at p, counted from the first, are copied as they are. */
static inline size_t plain_bytes(uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    uint64_t quote = word ^ EACH_BYTE('"'), backslash = word ^ EACH_BYTE('\\');
    /* Each test may also mark bytes behind the first that it finds, which does not matter here. */
    uint64_t found = (word - EACH_BYTE(0x20)) & ~word;
    found |= (quote - EACH_BYTE(1)) & ~quote;
    found |= (backslash - EACH_BYTE(1)) & ~backslash;
    found = (found | word) & EACH_BYTE(0x80);
    return found != 0 ? (size_t)__builtin_ctzll(found) / 8 : 8;
}

/* Copies up to the first byte that needs attention; there is room for all of p to end. Returns where it is.
 */
static const char *copy_plain(char **out, const char *p, const char *end)
{
    char *o = *out;
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        memcpy(o, &word, 8);
        size_t n = plain_bytes(word);
        p += n;
        o += n;
        if (n < 8)
            goto done;
    }
    while (p < end && pl_quote_escapes[(unsigned char)*p] == 0)
        *o++ = *p++;
done:
    *out = o;
    return p;
}

#ifdef __SSE2__
/* As plain_bytes, of 16. */
static inline size_t plain_bytes_16(const char *bytes)
{
    __m128i word = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    __m128i found = _mm_cmpeq_epi8(_mm_min_epu8(word, _mm_set1_epi8(0x1F)), word);
    found = _mm_or_si128(found, _mm_cmpeq_epi8(word, _mm_set1_epi8('"')));
    found = _mm_or_si128(found, _mm_cmpeq_epi8(word, _mm_set1_epi8('\\')));
    unsigned places = (unsigned)_mm_movemask_epi8(_mm_or_si128(found, word)); /* and what is not ASCII */
    return places != 0 ? (size_t)__builtin_ctz(places) : 16;
}
#endif

size_t pl_format_plain(const char *bytes, size_t len)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; len - i >= 16; i += 16) {
        size_t n = plain_bytes_16(bytes + i);
        if (n < 16)
            return i + n;
    }
#endif
    for (; len - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        size_t n = plain_bytes(word);
        if (n < 8)
            return i + n;
    }
    while (i < len && pl_quote_escapes[(unsigned char)bytes[i]] == 0)
        i++;
    return i;
}

/* Writes the escape of c (6 bytes at most); returns its length. */
static size_t escape(char *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    out[0] = '\\';
    out[1] = (char)pl_quote_escapes[c];
    if (out[1] != 'u')
        return 2;
    out[2] = out[3] = '0';
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

/* The length of the valid UTF-8, none of it ASCII, that p begins with. */
static size_t foreign_run(const char *p, const char *end)
{
    const char *start = p;
    while (p < end && (unsigned char)*p >= 0x80) {
        size_t n = pl_utf8_sequence(p, (size_t)(end - p));
        if (n == 0)
            break;
        p += n;
    }
    return (size_t)(p - start);
}

/* In out there is room for the text and two quotes: more is asked for only when a byte becomes several. */
static bool __attribute__((noinline)) format_any(pl_buf *out, const char *p, const char *end)
{
    bool whole = true;
    char *o = out->data + out->len;
    *o++ = '"';
    while ((p = copy_plain(&o, p, end)) < end) {
        size_t run = foreign_run(p, end);
        if (run != 0) {
            memcpy(o, p, run);
            o += run;
            p += run;
            continue;
        }
        char instead[6] = "\xEF\xBF\xBD";
        size_t len = 3;
        if (pl_quote_escapes[(unsigned char)*p] != 1)
            len = escape(instead, (unsigned char)*p);
        else
            whole = false;
        p++;
        out->len = (size_t)(o - out->data);
        if (!pl_buf_reserve(out, len + (size_t)(end - p) + 1))
            return whole;
        o = out->data + out->len;
        memcpy(o, instead, len);
        o += len;
    }
    *o++ = '"';
    out->len = (size_t)(o - out->data);
    return whole;
}

bool pl_format_string(pl_buf *out, pl_str s)
{
    if (!pl_buf_reserve(out, s.len + 2))
        return true;
    char *start = out->data + out->len, *end = pl_quote(start, s);
    if (!end)
        return format_any(out, s.ptr, s.ptr + s.len);
    out->len += (size_t)(end - start);
    return true;
}

bool pl_format_name(pl_buf *out, pl_str s, bool first)
{
    if (!pl_buf_reserve(out, s.len + 4))
        return true;
    char *start = out->data + out->len;
    *start = ',';
    start += !first;
    char *end = pl_quote(start, s);
    if (end) {
        *end++ = ':';
        out->len = (size_t)(end - out->data);
        return true;
    }
    out->len = (size_t)(start - out->data);
    bool whole = pl_format_string(out, s);
    pl_buf_char(out, ':');
    return whole;
}
