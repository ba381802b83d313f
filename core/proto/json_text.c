/* SPDX-License-Identifier: MIT */
#include "proto/json_text.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/format.h"

static bool wrong(pb_json *json, const char *what)
{
    json->wrong = what;
    return false;
}

char pb_json_peek(pb_json *json)
{
    while (json->p < json->end &&
           (*json->p == ' ' || *json->p == '\n' || *json->p == '\r' || *json->p == '\t'))
        json->p++;
    return json->p < json->end ? *json->p : '\0';
}

bool pb_json_take(pb_json *json, char c)
{
    if (pb_json_peek(json) == c && json->p < json->end) {
        json->p++;
        return true;
    }
    switch (c) {
    case '{':
        return wrong(json, "a map is expected");
    case '[':
        return wrong(json, "a list is expected");
    case '"':
        return wrong(json, "a string is expected");
    case ':':
        return wrong(json, "':' is expected");
    default:
        return wrong(json, "the JSON text is broken");
    }
}

bool pb_json_word(pb_json *json, const char *word)
{
    size_t n = strlen(word);
    if (pb_json_peek(json) != *word || (size_t)(json->end - json->p) < n || memcmp(json->p, word, n) != 0)
        return false;
    json->p += n;
    return true;
}

bool pb_json_next(pb_json *json, char close, bool *first)
{
    char c = pb_json_peek(json);
    json->wrong = NULL;
    if (c == close) {
        json->p++;
        return false;
    }
    if (!*first) {
        if (c != ',')
            return wrong(json, c == '\0' ? "the text ends too early" : "',' is expected");
        json->p++;
        c = pb_json_peek(json);
        if (c == close)
            return wrong(json, "there is a ',' too many");
    }
    *first = false;
    return c != '\0' || wrong(json, "the text ends too early");
}

/* --- strings --- */
static bool read_hex(pb_json *json, unsigned *out)
{
    *out = 0;
    if (json->end - json->p < 4)
        return wrong(json, "the text ends too early");
    for (int i = 0; i < 4; i++) {
        char c = *json->p++;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit == 16)
            return wrong(json, "four hexadecimal digits are expected");
        *out = *out * 16 + digit;
    }
    return true;
}

static bool read_unicode(pb_json *json)
{
    unsigned high, low;
    char bytes[4];
    if (!read_hex(json, &high))
        return false;
    if (high >= 0xDC00 && high < 0xE000)
        return wrong(json, "half of a surrogate pair");
    if (high >= 0xD800 && high < 0xDC00) {
        if (json->end - json->p < 2 || json->p[0] != '\\' || json->p[1] != 'u')
            return wrong(json, "half of a surrogate pair");
        json->p += 2;
        if (!read_hex(json, &low))
            return false;
        if (low < 0xDC00 || low >= 0xE000)
            return wrong(json, "half of a surrogate pair");
        high = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }
    pl_buf_append(json->text, bytes, pl_utf8_encode(bytes, high));
    return true;
}

static bool read_escape(pb_json *json)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (json->p == json->end)
        return wrong(json, "the text ends inside of a string");
    char c = *json->p++;
    if (c == 'u')
        return read_unicode(json);
    const char *letter = c ? strchr(letters, c) : NULL;
    if (!letter)
        return wrong(json, "no such escape in a string");
    pl_buf_char(json->text, meant[letter - letters]);
    return true;
}

/* Passes over bytes that stand for themselves. */
static bool pass_plain(pb_json *json)
{
    for (;;) {
        json->p += pl_format_plain(json->p, (size_t)(json->end - json->p));
        if (json->p == json->end)
            return wrong(json, "the text ends inside of a string");
        unsigned char c = (unsigned char)*json->p;
        if (c == '"' || c == '\\')
            return true;
        if (c < 0x20)
            return wrong(json, "a control character in a string");
        size_t n = pl_utf8_sequence(json->p, (size_t)(json->end - json->p));
        if (n == 0)
            return wrong(json, "a string that is not UTF-8");
        json->p += n;
    }
}

bool pb_json_string(pb_json *json, pl_str *out)
{
    const char *begin;
    bool escaped = false;
    if (!pb_json_take(json, '"'))
        return false;
    for (;;) {
        begin = json->p;
        if (!pass_plain(json))
            return false;
        if (*json->p == '"' && !escaped) {
            *out = (pl_str){begin, (size_t)(json->p++ - begin)};
            return true;
        }
        if (!escaped) {
            pl_buf_reset(json->text, 65536);
            escaped = true;
        }
        pl_buf_append(json->text, begin, (size_t)(json->p - begin));
        if (*json->p++ == '"')
            break;
        if (!read_escape(json))
            return false;
    }
    if (json->text->failed)
        return wrong(json, "out of memory");
    *out = (pl_str){json->text->data ? json->text->data : "", json->text->len};
    return true;
}

/* --- numbers --- */
static size_t pass_digits(pl_str s, size_t at)
{
    while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9')
        at++;
    return at;
}

/* The length of the number that s begins with; 0: none. */
static size_t number_length(pl_str s)
{
    size_t at = s.len > 0 && s.ptr[0] == '-', digits = pass_digits(s, at);
    if (digits == at || (s.ptr[at] == '0' && digits > at + 1))
        return 0;
    at = digits;
    if (at < s.len && s.ptr[at] == '.') {
        digits = pass_digits(s, at + 1);
        if (digits == at + 1)
            return 0;
        at = digits;
    }
    if (at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
        size_t begin = at + 1;
        if (begin < s.len && (s.ptr[begin] == '+' || s.ptr[begin] == '-'))
            begin++;
        digits = pass_digits(s, begin);
        if (digits == begin)
            return 0;
        at = digits;
    }
    return at;
}

bool pb_json_is_number(pl_str s)
{
    return s.len > 0 && number_length(s) == s.len;
}

bool pb_json_number(pb_json *json, pl_str *out)
{
    pb_json_peek(json);
    size_t n = number_length((pl_str){json->p, (size_t)(json->end - json->p)});
    if (n == 0)
        return wrong(json, "a number is expected");
    *out = (pl_str){json->p, n};
    json->p += n;
    return true;
}

/* digits * 10^exponent, where digits may have a '.' that is to be left out. */
typedef struct decimal {
    pl_str digits;
    bool negative;
    int64_t exponent;
} decimal;

static decimal take_apart(pl_str number)
{
    decimal d = {.negative = number.ptr[0] == '-'};
    size_t begin = d.negative, end = begin, point = 0;
    while (end < number.len && number.ptr[end] != 'e' && number.ptr[end] != 'E') {
        if (number.ptr[end] == '.')
            point = end;
        end++;
    }
    for (size_t i = end + 1; i < number.len; i++) {
        if (number.ptr[i] >= '0' && number.ptr[i] <= '9' && d.exponent < 1000000000)
            d.exponent = d.exponent * 10 + (number.ptr[i] - '0');
    }
    if (end + 1 < number.len && number.ptr[end + 1] == '-')
        d.exponent = -d.exponent;
    if (point)
        d.exponent -= (int64_t)(end - point - 1);
    d.digits = (pl_str){number.ptr + begin, end - begin};
    return d;
}

const char *pb_json_integer(pl_str number, bool is_unsigned, int64_t *out)
{
    static const char *const range = "the number is out of range", *const none = "the number is no integer";
    decimal d = take_apart(number);
    size_t len = d.digits.len;
    uint64_t v = 0;
    /* Zeros at the end make room for what the exponent takes away. */
    while (d.exponent < 0 && len > 0 && (d.digits.ptr[len - 1] == '0' || d.digits.ptr[len - 1] == '.'))
        d.exponent += d.digits.ptr[--len] == '0';
    for (size_t i = 0; i < len; i++) {
        char c = d.digits.ptr[i];
        if (c == '.')
            continue;
        if (d.exponent < 0)
            return none;
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (unsigned)(c - '0'), &v))
            return range;
    }
    for (; d.exponent > 0 && v != 0; d.exponent--) {
        if (__builtin_mul_overflow(v, 10u, &v))
            return range;
    }
    if (is_unsigned ? d.negative && v != 0 : v > (uint64_t)INT64_MAX + d.negative)
        return range;
    *out = (int64_t)(d.negative ? 0 - v : v);
    return NULL;
}

const char *pb_json_double(pl_str number, pl_buf *scratch, double *out)
{
    pl_buf_reset(scratch, 65536);
    pl_buf_str(scratch, number);
    pl_buf_char(scratch, '\0');
    if (scratch->failed)
        return "out of memory";
    *out = strtod(scratch->data, NULL);
    return isinf(*out) ? "the number is out of range" : NULL;
}

/* --- everything else --- */
static bool skip_inside(pb_json *json, char open, unsigned depth)
{
    bool first = true;
    char close = open == '{' ? '}' : ']';
    pl_str name;
    json->p++;
    while (pb_json_next(json, close, &first)) {
        if (open == '{' && (!pb_json_string(json, &name) || !pb_json_take(json, ':')))
            return false;
        if (!pb_json_skip(json, depth))
            return false;
    }
    return !json->wrong;
}

bool pb_json_skip(pb_json *json, unsigned depth)
{
    pl_str s;
    char c = pb_json_peek(json);
    switch (c) {
    case '{':
    case '[':
        return depth > 0 ? skip_inside(json, c, depth - 1) : wrong(json, "the value is nested too deep");
    case '"':
        return pb_json_string(json, &s);
    case 'n':
        return pb_json_word(json, "null") || wrong(json, "a value is expected");
    case 't':
        return pb_json_word(json, "true") || wrong(json, "a value is expected");
    case 'f':
        return pb_json_word(json, "false") || wrong(json, "a value is expected");
    default:
        return pb_json_number(json, &s) || wrong(json, "a value is expected");
    }
}

/* --- Base64 --- */
static unsigned six_bits(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : 64;
}

bool pb_base64_read(pl_str text, pl_buf *out)
{
    uint32_t bits = 0;
    size_t len = text.len;
    while (len > 0 && text.len - len < 2 && text.ptr[len - 1] == '=')
        len--;
    if (len % 4 == 1 || (len != text.len && text.len % 4 != 0))
        return false;
    pl_buf_reserve(out, len / 4 * 3 + 3);
    for (size_t i = 0; i < len; i++) {
        unsigned v = six_bits(text.ptr[i]);
        if (v == 64)
            return false;
        bits = bits << 6 | v;
        if (i % 4 > 0)
            pl_buf_char(out, (char)(bits >> (6 - i % 4 * 2)));
    }
    return true;
}
