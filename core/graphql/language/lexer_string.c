/* SPDX-License-Identifier: MIT */
/* String tokens. A string is scanned once to its closing quote, which checks its escapes; a value that stands
 * in the source as it is becomes a view, and only others are decoded into the arena, where they need no more
 * room than the source gave them. */
#include <limits.h>

#include "graphql/language/lexer_internal.h"

/* count characters from p on, or fewer where the source ends. */
static pl_str slice(const gql_lexer *lexer, const char *p, size_t count)
{
    const char *q = p;
    while (count-- > 0 && q < lexer->end) {
        q++;
        while (q < lexer->end && gql_is_continuation(*q))
            q++;
    }
    return (pl_str){p, (size_t)(q - p)};
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static pl_code fail_unicode(gql_lexer *lexer, const char *p, size_t count)
{
    pl_str shown = slice(lexer, p, count);
    return gql_lexer_fail(lexer, gql_offset_of(lexer, p), "Invalid Unicode escape sequence: \"%.*s\".",
                          PL_STR_ARG(shown));
}

/* \u{…} at p, with up to eight hexadecimal digits. */
static pl_code read_braced_escape(gql_lexer *lexer, const char *p, unsigned *point, size_t *size)
{
    size_t n = 3;
    uint32_t value = 0;
    while (n < 12) {
        int c = gql_byte_at(lexer, p, n++);
        if (c == '}') {
            if (n < 5 || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
                break;
            *point = value;
            *size = n;
            return PL_OK;
        }
        int digit = hex_digit(c);
        value = value << 4 | (uint32_t)digit;
        if (digit < 0 || value > INT32_MAX)
            break;
    }
    return fail_unicode(lexer, p, n);
}

/* Four hexadecimal digits at p + n; -1 when they are not there. */
static int read_hex4(const gql_lexer *lexer, const char *p, size_t n)
{
    int value = 0;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_digit(gql_byte_at(lexer, p, n + i));
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* \uXXXX at p, or two of them that form a surrogate pair. */
static pl_code read_fixed_escape(gql_lexer *lexer, const char *p, unsigned *point, size_t *size)
{
    int value = read_hex4(lexer, p, 2);
    if (value >= 0 && (value < 0xD800 || value > 0xDFFF)) {
        *point = (unsigned)value;
        *size = 6;
        return PL_OK;
    }
    if (value >= 0xD800 && value <= 0xDBFF && gql_byte_at(lexer, p, 6) == '\\' &&
        gql_byte_at(lexer, p, 7) == 'u') {
        int trailing = read_hex4(lexer, p, 8);
        if (trailing >= 0xDC00 && trailing <= 0xDFFF) {
            *point = 0x10000u + ((unsigned)(value - 0xD800) << 10) + (unsigned)(trailing - 0xDC00);
            *size = 12;
            return PL_OK;
        }
    }
    return fail_unicode(lexer, p, 6);
}

/* The escape sequence at p: what it stands for, and how many bytes it takes. */
static pl_code read_escape(gql_lexer *lexer, const char *p, unsigned *point, size_t *size)
{
    *size = 2;
    switch (gql_byte_at(lexer, p, 1)) {
    case 'u':
        if (gql_byte_at(lexer, p, 2) == '{')
            return read_braced_escape(lexer, p, point, size);
        return read_fixed_escape(lexer, p, point, size);
    case '"':
        *point = '"';
        return PL_OK;
    case '\\':
        *point = '\\';
        return PL_OK;
    case '/':
        *point = '/';
        return PL_OK;
    case 'b':
        *point = '\b';
        return PL_OK;
    case 'f':
        *point = '\f';
        return PL_OK;
    case 'n':
        *point = '\n';
        return PL_OK;
    case 'r':
        *point = '\r';
        return PL_OK;
    case 't':
        *point = '\t';
        return PL_OK;
    default:
        break;
    }
    pl_str shown = slice(lexer, p, 2);
    return gql_lexer_fail(lexer, gql_offset_of(lexer, p), "Invalid character escape sequence: \"%.*s\".",
                          PL_STR_ARG(shown));
}

/* raw has been scanned, so its escapes are valid. No escape is shorter than what it stands for. */
static pl_code decode_string(gql_lexer *lexer, pl_str raw, pl_str *out)
{
    char *to = pl_arena_alloc(lexer->arena, raw.len);
    if (to == NULL)
        return pl_fail_memory(lexer->err);
    out->ptr = to;
    const char *p = raw.ptr, *end = raw.ptr + raw.len;
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((escape ? escape : end) - p);
        memcpy(to, p, plain);
        to += plain;
        p += plain;
        if (escape != NULL) {
            unsigned point = 0;
            size_t size = 0;
            pl_code code = read_escape(lexer, p, &point, &size);
            if (code)
                return code;
            to += pl_utf8_encode(to, point);
            p += size;
        }
    }
    out->len = (size_t)(to - out->ptr);
    return PL_OK;
}

pl_code gql_lexer_string(gql_lexer *lexer, gql_token *out)
{
    const char *start = lexer->at + 1, *p = start;
    bool escapes = false;
    for (; p < lexer->end && *p != '"'; p++) {
        if (*p == '\n' || *p == '\r')
            break;
        if (*p == '\\') {
            unsigned point;
            size_t size;
            pl_code code = read_escape(lexer, p, &point, &size);
            if (code)
                return code;
            escapes = true;
            p += size - 1;
        } else {
            lexer->continuations += gql_is_continuation(*p);
        }
    }
    if (p == lexer->end || *p != '"')
        return gql_lexer_fail(lexer, gql_offset_of(lexer, p), "Unterminated string.");
    lexer->at = p + 1;
    out->kind = GQL_TOKEN_STRING;
    out->text = (pl_str){start, (size_t)(p - start)};
    return escapes ? decode_string(lexer, out->text, &out->text) : PL_OK;
}

/* --- block strings --- */

static bool at_triple_quote(const char *p, const char *end)
{
    return end - p >= 3 && p[0] == '"' && p[1] == '"' && p[2] == '"';
}

static bool at_escaped_quotes(const char *p, const char *end)
{
    return *p == '\\' && at_triple_quote(p + 1, end);
}

typedef struct line {
    const char *start, *end;
    size_t indent;
    bool blank;
} line;

/* The line at *p, without its end, behind which *p is moved. false behind the last one. */
static bool next_line(const char **p, const char *end, line *out)
{
    if (*p == NULL)
        return false;
    const char *q = *p;
    out->start = q;
    while (q < end && (*q == ' ' || *q == '\t'))
        q++;
    out->indent = (size_t)(q - out->start);
    while (q < end && *q != '\n' && *q != '\r')
        q++;
    out->end = q;
    out->blank = out->indent == (size_t)(q - out->start);
    if (q == end)
        *p = NULL;
    else
        *p = q + (end - q > 1 && q[0] == '\r' && q[1] == '\n' ? 2 : 1);
    return true;
}

typedef struct block {
    size_t indent;      /* what all lines but the first share */
    size_t first, last; /* lines that are not blank */
    const char *from;   /* of the first such line */
    bool empty;
} block;

static block measure_block(pl_str raw)
{
    block b = {.indent = SIZE_MAX, .empty = true};
    const char *p = raw.ptr, *end = raw.ptr + raw.len;
    line l;
    for (size_t i = 0; next_line(&p, end, &l); i++) {
        if (l.blank)
            continue;
        if (b.empty) {
            b.first = i;
            b.from = l.start;
        }
        b.empty = false;
        b.last = i;
        if (i != 0 && l.indent < b.indent)
            b.indent = l.indent;
    }
    return b;
}

static char *copy_line(char *to, const char *p, const char *end)
{
    while (p < end) {
        if (at_escaped_quotes(p, end))
            p++;
        *to++ = *p++;
    }
    return to;
}

/* BlockStringValue(rawValue) of the specification. */
static pl_code block_value(gql_lexer *lexer, pl_str raw, bool escapes, pl_str *out)
{
    block b = measure_block(raw);
    *out = (pl_str){raw.ptr, 0};
    if (b.empty)
        return PL_OK;
    const char *p = b.from, *end = raw.ptr + raw.len;
    char *to = NULL;
    line l;
    for (size_t i = b.first; i <= b.last && next_line(&p, end, &l); i++) {
        size_t length = (size_t)(l.end - l.start);
        size_t cut = i == 0 ? 0 : b.indent < length ? b.indent : length;
        if (b.first == b.last && !escapes) {
            *out = (pl_str){l.start + cut, length - cut};
            return PL_OK;
        }
        if (to == NULL) {
            to = pl_arena_alloc(lexer->arena, (size_t)(end - b.from));
            if (to == NULL)
                return pl_fail_memory(lexer->err);
            out->ptr = to;
        } else {
            *to++ = '\n';
        }
        to = copy_line(to, l.start + cut, l.end);
    }
    out->len = (size_t)(to - out->ptr);
    return PL_OK;
}

pl_code gql_lexer_block_string(gql_lexer *lexer, gql_token *out)
{
    const char *start = lexer->at + 3, *p = start, *end = lexer->end;
    bool escapes = false;
    while (p < end && !at_triple_quote(p, end)) {
        if (*p == '\n' || *p == '\r') {
            p += gql_byte_at(lexer, p, 0) == '\r' && gql_byte_at(lexer, p, 1) == '\n' ? 2 : 1;
            gql_lexer_newline(lexer, p);
        } else if (at_escaped_quotes(p, end)) {
            escapes = true;
            p += 4;
        } else {
            lexer->continuations += gql_is_continuation(*p++);
        }
    }
    if (p == end)
        return gql_lexer_fail(lexer, gql_offset_of(lexer, p), "Unterminated string.");
    lexer->at = p + 3;
    out->kind = GQL_TOKEN_BLOCK_STRING;
    return block_value(lexer, (pl_str){start, (size_t)(p - start)}, escapes, &out->text);
}
