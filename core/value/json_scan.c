/* SPDX-License-Identifier: MIT */
#include "value/json_tape.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/format.h"

/* One pass over the bytes, strict about all that RFC 8259 asks for. Numbers and escapes are read on the way:
 * whoever goes over the tape meets no more errors but memory. */

#define DEFAULT_DEPTH 64
#define MOST_DEPTH 900  /* those who go over the tape do so by recursion */
#define EXACT_DIGITS 15 /* so many, and powers of ten up to 10^22, are exact as doubles */
#define EXACT_POWER 22

typedef struct source {
    const char *bytes;
    size_t len, at;
    unsigned depth, max_depth;
    size_t open[MOST_DEPTH]; /* the token of each level */
    pl_json_tape *tape;
    pl_arena *arena;
    pl_error *err;
} source;

typedef enum expectation {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* behind [ */
    EXPECT_NAME,
    EXPECT_NAME_OR_END, /* behind { */
    EXPECT_COLON,
    EXPECT_SEPARATOR, /* behind a value: a comma, the end of its list or map, or of the text */
} expectation;

/* --- errors --- */

static pl_code fail_at(const source *s, size_t at, pl_code code, const char *what)
{
    uint32_t column = at < UINT32_MAX ? (uint32_t)at + 1 : UINT32_MAX;
    return pl_fail_at(s->err, code, "", 1, column, "%s at byte %zu", what, at);
}

static pl_code invalid(const source *s, size_t at, const char *what)
{
    return fail_at(s, at, PL_INVALID_ARGUMENT, what);
}

static pl_code unexpected(const source *s)
{
    if (s->at >= s->len)
        return invalid(s, s->len, "Unexpected end of JSON");
    const unsigned char *p = (const unsigned char *)s->bytes + s->at;
    size_t n = pl_utf8_sequence(s->bytes + s->at, s->len - s->at);
    unsigned codepoint = p[0];
    char what[64];
    if (n == 0)
        return invalid(s, s->at, "Invalid UTF-8 in JSON");
    if (n == 1 && codepoint > 0x20 && codepoint < 0x7F) {
        char quote = codepoint == '"' ? '\'' : '"';
        snprintf(what, sizeof(what), "Unexpected character %c%c%c in JSON", quote, (char)codepoint, quote);
        return invalid(s, s->at, what);
    }
    if (n > 1) {
        codepoint &= 0x7Fu >> n;
        for (size_t i = 1; i < n; i++)
            codepoint = codepoint << 6 | (p[i] & 0x3Fu);
    }
    snprintf(what, sizeof(what), "Unexpected character U+%04X in JSON", codepoint);
    return invalid(s, s->at, what);
}

/* --- the tape --- */

static bool grow(pl_json_tape *tape)
{
    size_t room = tape->room ? 2 * tape->room : 64;
    pl_json_token *tokens = pl_realloc(tape->tokens, room * sizeof(*tokens));
    if (!tokens)
        return false;
    tape->tokens = tokens;
    tape->room = room;
    return true;
}

/* NULL: memory. */
static inline pl_json_token *add(source *s, pl_kind kind)
{
    pl_json_tape *tape = s->tape;
    if (tape->count == tape->room && !grow(tape)) {
        pl_fail_memory(s->err);
        return NULL;
    }
    pl_json_token *token = &tape->tokens[tape->count++];
    token->kind = (uint8_t)kind;
    token->copied = false;
    return token;
}

/* --- numbers --- */

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline char peek(const source *s)
{
    return s->at < s->len ? s->bytes[s->at] : '\0';
}

static bool digits(source *s)
{
    size_t start = s->at;
    while (is_digit(peek(s)))
        s->at++;
    return s->at > start;
}

/* False when it does not fit. */
static bool exact_integer(const char *digits, size_t count, bool negative, int64_t *out)
{
    int64_t v = 0;
    for (size_t i = 0; i < count; i++) {
        int digit = digits[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, negative ? -digit : digit, &v))
            return false;
    }
    *out = v;
    return true;
}

/* The C library reads numbers that end with a NUL, with the point of the program's locale. */
static bool read_double(pl_str text, double *out)
{
    char small[128], *copy = text.len < sizeof(small) ? small : pl_malloc(text.len + 1);
    if (!copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *point = strchr(copy, '.');
    if (point)
        *point = localeconv()->decimal_point[0];
    *out = strtod(copy, NULL);
    if (copy != small)
        pl_free(copy);
    return true;
}

/* digits, and `fraction` more of them behind the point: a quotient of two numbers that are exact is rounded
 * once, as it must be. */
static bool short_double(pl_str text, size_t fraction, double *out)
{
    static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int64_t v = 0;
    if (text.len > EXACT_DIGITS || fraction > EXACT_POWER)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (is_digit(text.ptr[i]))
            v = v * 10 + (text.ptr[i] - '0');
    }
    double magnitude = (double)v / powers[fraction];
    *out = text.ptr[0] == '-' ? -magnitude : magnitude;
    return true;
}

static pl_code add_integer(source *s, size_t start)
{
    bool negative = s->bytes[start] == '-';
    pl_json_token *token = add(s, PL_KIND_INT);
    if (!token)
        return s->err->code;
    if (exact_integer(s->bytes + start + negative, s->at - start - negative, negative, &token->integer))
        return PL_OK;
    token->kind = PL_KIND_FLOAT;
    if (!read_double((pl_str){s->bytes + start, s->at - start}, &token->number))
        return pl_fail_memory(s->err);
    return isfinite(token->number) ? PL_OK : invalid(s, start, "Number is too large in JSON");
}

static pl_code add_float(source *s, size_t start, size_t fraction, bool exponent)
{
    pl_str text = {s->bytes + start, s->at - start};
    pl_json_token *token = add(s, PL_KIND_FLOAT);
    if (!token)
        return s->err->code;
    if (!exponent && short_double(text, fraction, &token->number))
        return PL_OK;
    if (!read_double(text, &token->number))
        return pl_fail_memory(s->err);
    return isfinite(token->number) ? PL_OK : invalid(s, start, "Number is too large in JSON");
}

static pl_code read_number(source *s)
{
    size_t start = s->at, fraction = 0;
    bool exponent = false;
    if (peek(s) == '-')
        s->at++;
    if (peek(s) == '0')
        s->at++;
    else if (!digits(s))
        return unexpected(s);
    if (peek(s) == '.') {
        size_t point = s->at++;
        if (!digits(s))
            return unexpected(s);
        fraction = s->at - point - 1;
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        exponent = true;
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        if (!digits(s))
            return unexpected(s);
    }
    return fraction > 0 || exponent ? add_float(s, start, fraction, exponent) : add_integer(s, start);
}

/* --- words and strings --- */

static pl_code read_word(source *s, const char *word, pl_kind kind)
{
    bool is_true = *word == 't';
    for (; *word != '\0'; word++, s->at++) {
        if (peek(s) != *word)
            return unexpected(s);
    }
    pl_json_token *token = add(s, kind);
    if (!token)
        return s->err->code;
    token->boolean = is_true;
    return PL_OK;
}

/* The 4 hexadecimal digits at `at`, or -1. */
static int hex4(const source *s, size_t at)
{
    int v = 0;
    if (s->len < 4 || at > s->len - 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        char c = s->bytes[i];
        if (is_digit(c))
            v = v * 16 + (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            v = v * 16 + ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return v;
}

static pl_code check_unicode_escape(source *s)
{
    size_t start = s->at;
    int first = hex4(s, start + 2);
    if (first < 0)
        return invalid(s, start, "Invalid escape in JSON");
    if (first == 0)
        return invalid(s, start, "Unsupported escape \\u0000 in JSON");
    s->at += 6;
    if (first < 0xD800 || first > 0xDFFF)
        return PL_OK;
    bool pair = first < 0xDC00 && peek(s) == '\\' && s->at + 1 < s->len && s->bytes[s->at + 1] == 'u';
    int second = pair ? hex4(s, s->at + 2) : -1;
    if (second < 0xDC00 || second > 0xDFFF)
        return invalid(s, start, "Lone surrogate in JSON");
    s->at += 6;
    return PL_OK;
}

static pl_code check_escape(source *s)
{
    size_t start = s->at;
    if (start + 1 == s->len) {
        s->at++;
        return unexpected(s);
    }
    char c = s->bytes[start + 1];
    if (c == 'u')
        return check_unicode_escape(s);
    if (c == '\0' || !strchr("\"\\/bfnrt", c))
        return invalid(s, start, "Invalid escape in JSON");
    s->at += 2;
    return PL_OK;
}

/* UTF-8 of a codepoint that is none of half a pair. */
static char *put_codepoint(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    return out;
}

/* Reads the escape at `at`, which was checked; returns the index behind it. */
static size_t unescape_one(const source *s, size_t at, char **out)
{
    static const char names[] = "bfnrt", meant[] = "\b\f\n\r\t";
    char c = s->bytes[at + 1];
    const char *name = strchr(names, c);
    if (c != 'u') {
        *(*out)++ = name ? meant[name - names] : c;
        return at + 2;
    }
    unsigned codepoint = (unsigned)hex4(s, at + 2);
    at += 6;
    if (codepoint >= 0xD800 && codepoint <= 0xDFFF) {
        codepoint = 0x10000 + ((codepoint - 0xD800) << 10) + ((unsigned)hex4(s, at + 2) - 0xDC00);
        at += 6;
    }
    *out = put_codepoint(*out, codepoint);
    return at;
}

/* Into the arena: an escape is never shorter than what it means. */
static pl_code unescape(const source *s, size_t start, size_t end, pl_json_token *token)
{
    char *text = pl_arena_alloc(s->arena, end - start + 1), *out = text;
    if (!text)
        return pl_fail_memory(s->err);
    for (size_t at = start; at < end;) {
        if (s->bytes[at] == '\\')
            at = unescape_one(s, at, &out);
        else
            *out++ = s->bytes[at++];
    }
    *out = '\0';
    token->string = (pl_str){text, (size_t)(out - text)};
    token->copied = true;
    return PL_OK;
}

static pl_code end_string(source *s, size_t start, bool escaped)
{
    pl_json_token *token = add(s, PL_KIND_STRING);
    if (!token)
        return s->err->code;
    token->string = (pl_str){s->bytes + start, s->at - 1 - start};
    return escaped ? unescape(s, start, s->at - 1, token) : PL_OK;
}

static pl_code read_string(source *s)
{
    size_t start = s->at + 1;
    bool escaped = false;
    for (s->at++;;) {
        s->at += pl_format_plain(s->bytes + s->at, s->len - s->at);
        if (s->at == s->len)
            return unexpected(s);
        unsigned char c = (unsigned char)s->bytes[s->at];
        if (c == '"') {
            s->at++;
            return end_string(s, start, escaped);
        }
        if (c < 0x20)
            return unexpected(s);
        if (c == '\\') {
            pl_code code = check_escape(s);
            if (code)
                return code;
            escaped = true;
            continue;
        }
        size_t n = pl_utf8_sequence(s->bytes + s->at, s->len - s->at);
        if (n == 0)
            return unexpected(s);
        s->at += n;
    }
}

/* --- lists and maps --- */

static pl_code open_level(source *s, bool map)
{
    if (s->depth == s->max_depth) {
        char what[64];
        snprintf(what, sizeof(what), "JSON is nested deeper than %u levels", s->max_depth);
        return fail_at(s, s->at, PL_RESOURCE_EXHAUSTED, what);
    }
    pl_json_token *token = add(s, map ? PL_KIND_MAP : PL_KIND_LIST);
    if (!token)
        return s->err->code;
    token->count = 0;
    s->open[s->depth] = s->tape->count - 1;
    s->depth++;
    s->at++;
    return PL_OK;
}

/* The list or map that the next token is in. */
static inline pl_json_token *level(const source *s)
{
    return &s->tape->tokens[s->open[s->depth - 1]];
}

/* A value is in the list or map that is open. */
static inline void count_value(const source *s)
{
    if (s->depth > 0)
        level(s)->count++;
}

/* A value has ended; so does a comma that follows it at once. */
static void end_value(source *s, expectation *next)
{
    *next = EXPECT_SEPARATOR;
    if (s->depth > 0 && peek(s) == ',') {
        s->at++;
        *next = level(s)->kind == PL_KIND_MAP ? EXPECT_NAME : EXPECT_VALUE;
    }
}

static void close_level(source *s, expectation *next)
{
    s->depth--;
    s->at++;
    end_value(s, next);
}

static pl_code read_scalar(source *s)
{
    switch (s->bytes[s->at]) {
    case '"':
        return read_string(s);
    case 't':
        return read_word(s, "true", PL_KIND_BOOL);
    case 'f':
        return read_word(s, "false", PL_KIND_BOOL);
    case 'n':
        return read_word(s, "null", PL_KIND_NULL);
    default:
        return read_number(s);
    }
}

static pl_code read_value(source *s, expectation *next)
{
    count_value(s);
    if (s->bytes[s->at] == '{') {
        *next = EXPECT_NAME_OR_END;
        return open_level(s, true);
    }
    if (s->bytes[s->at] == '[') {
        *next = EXPECT_VALUE_OR_END;
        return open_level(s, false);
    }
    pl_code code = read_scalar(s);
    if (!code)
        end_value(s, next);
    return code;
}

/* A colon that follows at once, as nearly always, is read along with the name. */
static pl_code read_name(source *s, expectation *next)
{
    *next = EXPECT_COLON;
    pl_code code = s->bytes[s->at] == '"' ? read_string(s) : unexpected(s);
    if (!code && peek(s) == ':') {
        s->at++;
        *next = EXPECT_VALUE;
    }
    return code;
}

static pl_code read_separator(source *s, expectation *next)
{
    if (s->depth == 0)
        return unexpected(s);
    bool map = level(s)->kind == PL_KIND_MAP;
    char c = s->bytes[s->at];
    if (c == ',') {
        s->at++;
        *next = map ? EXPECT_NAME : EXPECT_VALUE;
        return PL_OK;
    }
    if (c != (map ? '}' : ']'))
        return unexpected(s);
    close_level(s, next);
    return PL_OK;
}

static pl_code read_token(source *s, expectation *next)
{
    char c = s->bytes[s->at];
    switch (*next) {
    case EXPECT_VALUE_OR_END:
        if (c == ']') {
            close_level(s, next);
            return PL_OK;
        }
        return read_value(s, next);
    case EXPECT_VALUE:
        return read_value(s, next);
    case EXPECT_NAME_OR_END:
        if (c == '}') {
            close_level(s, next);
            return PL_OK;
        }
        return read_name(s, next);
    case EXPECT_NAME:
        return read_name(s, next);
    case EXPECT_COLON:
        s->at += c == ':';
        *next = EXPECT_VALUE;
        return c == ':' ? PL_OK : unexpected(s);
    case EXPECT_SEPARATOR:
        break;
    }
    return read_separator(s, next);
}

static void skip_space(source *s)
{
    while (s->at < s->len) {
        char c = s->bytes[s->at];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            break;
        s->at++;
    }
}

static pl_code read_all(source *s)
{
    expectation next = EXPECT_VALUE;
    for (;;) {
        skip_space(s);
        if (s->at == s->len)
            return next == EXPECT_SEPARATOR && s->depth == 0 ? PL_OK : unexpected(s);
        pl_code code = read_token(s, &next);
        if (code)
            return code;
    }
}

pl_code pl_json_scan(pl_json_tape *tape, pl_arena *arena, pl_str text, const pl_json_limits *limits,
                     pl_error *err)
{
    if (limits && limits->skip_bom && pl_str_starts(text, PL_STR("\xef\xbb\xbf")))
        text = (pl_str){text.ptr + 3, text.len - 3};
    source s;
    s.bytes = text.ptr;
    s.len = text.len;
    s.at = 0;
    s.depth = 0;
    s.max_depth = DEFAULT_DEPTH;
    s.tape = tape;
    s.arena = arena;
    s.err = err;
    if (limits && limits->max_depth != 0)
        s.max_depth = limits->max_depth < MOST_DEPTH ? limits->max_depth : MOST_DEPTH;
    if (limits && limits->max_bytes != 0 && text.len > limits->max_bytes)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "JSON is larger than %zu bytes", limits->max_bytes);
    tape->count = 0;
    return read_all(&s);
}

void pl_json_tape_dispose(pl_json_tape *tape)
{
    pl_free(tape->tokens);
    *tape = (pl_json_tape){0};
}

void pl_json_tape_trim(pl_json_tape *tape, size_t most)
{
    if (tape->room > most)
        pl_json_tape_dispose(tape);
}
