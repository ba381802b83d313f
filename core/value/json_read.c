/* SPDX-License-Identifier: MIT */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/format.h"
#include "base/map.h"
#include "value/json.h"

/* Three steps: `check` goes over the bytes once, so that cJSON sees valid JSON of bounded depth only; cJSON
 * builds its tree; `convert` copies the tree into the arena. cJSON keeps numbers as doubles, so `check` notes
 * where each number begins, and `convert`, which meets them in the same order, reads integers from the
 * source. */

#define DEFAULT_DEPTH 64
#define MOST_DEPTH 900    /* cJSON stops at 1000 */
#define LINEAR_MEMBERS 16 /* in larger maps repeated names are found by hash */

typedef struct source {
    const char *bytes;
    size_t len, at;
    unsigned depth, max_depth;
    uint64_t in_map[MOST_DEPTH / 64 + 1]; /* a bit for each level: map or list */
    pl_buf numbers;                       /* a size_t for each number: where it begins */
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

/* --- checking --- */

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

static pl_code check_number(source *s)
{
    size_t start = s->at;
    if (peek(s) == '-')
        s->at++;
    if (peek(s) == '0')
        s->at++;
    else if (!digits(s))
        return unexpected(s);
    if (peek(s) == '.') {
        s->at++;
        if (!digits(s))
            return unexpected(s);
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        if (!digits(s))
            return unexpected(s);
    }
    pl_buf_append(&s->numbers, &start, sizeof(start));
    return s->numbers.failed ? pl_fail_memory(s->err) : PL_OK;
}

static pl_code check_word(source *s, const char *word)
{
    for (; *word != '\0'; word++, s->at++) {
        if (peek(s) != *word)
            return unexpected(s);
    }
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

static pl_code check_string(source *s)
{
    for (s->at++;;) {
        s->at += pl_format_plain(s->bytes + s->at, s->len - s->at);
        if (s->at == s->len)
            return unexpected(s);
        unsigned char c = (unsigned char)s->bytes[s->at];
        if (c == '"') {
            s->at++;
            return PL_OK;
        }
        if (c < 0x20)
            return unexpected(s);
        if (c == '\\') {
            pl_code code = check_escape(s);
            if (code)
                return code;
            continue;
        }
        size_t n = pl_utf8_sequence(s->bytes + s->at, s->len - s->at);
        if (n == 0)
            return unexpected(s);
        s->at += n;
    }
}

static pl_code open_level(source *s, bool map)
{
    if (s->depth == s->max_depth) {
        char what[64];
        snprintf(what, sizeof(what), "JSON is nested deeper than %u levels", s->max_depth);
        return fail_at(s, s->at, PL_RESOURCE_EXHAUSTED, what);
    }
    uint64_t bit = UINT64_C(1) << (s->depth % 64);
    if (map)
        s->in_map[s->depth / 64] |= bit;
    else
        s->in_map[s->depth / 64] &= ~bit;
    s->depth++;
    s->at++;
    return PL_OK;
}

static inline bool level_is_map(const source *s)
{
    return s->in_map[(s->depth - 1) / 64] >> ((s->depth - 1) % 64) & 1;
}

static void close_level(source *s, expectation *next)
{
    s->depth--;
    s->at++;
    *next = EXPECT_SEPARATOR;
}

static pl_code check_value(source *s, expectation *next)
{
    *next = EXPECT_SEPARATOR;
    switch (s->bytes[s->at]) {
    case '{':
        *next = EXPECT_NAME_OR_END;
        return open_level(s, true);
    case '[':
        *next = EXPECT_VALUE_OR_END;
        return open_level(s, false);
    case '"':
        return check_string(s);
    case 't':
        return check_word(s, "true");
    case 'f':
        return check_word(s, "false");
    case 'n':
        return check_word(s, "null");
    default:
        return check_number(s);
    }
}

static pl_code check_name(source *s, expectation *next)
{
    *next = EXPECT_COLON;
    return s->bytes[s->at] == '"' ? check_string(s) : unexpected(s);
}

static pl_code check_separator(source *s, expectation *next)
{
    if (s->depth == 0)
        return unexpected(s);
    bool map = level_is_map(s);
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

static pl_code check_token(source *s, expectation *next)
{
    char c = s->bytes[s->at];
    switch (*next) {
    case EXPECT_VALUE_OR_END:
        if (c == ']') {
            close_level(s, next);
            return PL_OK;
        }
        return check_value(s, next);
    case EXPECT_VALUE:
        return check_value(s, next);
    case EXPECT_NAME_OR_END:
        if (c == '}') {
            close_level(s, next);
            return PL_OK;
        }
        return check_name(s, next);
    case EXPECT_NAME:
        return check_name(s, next);
    case EXPECT_COLON:
        s->at += c == ':';
        *next = EXPECT_VALUE;
        return c == ':' ? PL_OK : unexpected(s);
    case EXPECT_SEPARATOR:
        break;
    }
    return check_separator(s, next);
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

static pl_code check(source *s)
{
    expectation next = EXPECT_VALUE;
    for (;;) {
        skip_space(s);
        if (s->at == s->len)
            return next == EXPECT_SEPARATOR && s->depth == 0 ? PL_OK : unexpected(s);
        pl_code code = check_token(s, &next);
        if (code)
            return code;
    }
}

/* False when the number at `at` has a fraction or exponent, or does not fit. */
static bool exact_integer(const source *s, size_t at, int64_t *out)
{
    bool negative = s->bytes[at] == '-';
    int64_t v = 0;
    for (at += negative; at < s->len && is_digit(s->bytes[at]); at++) {
        int digit = s->bytes[at] - '0';
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, negative ? -digit : digit, &v))
            return false;
    }
    if (at < s->len && (s->bytes[at] == '.' || (s->bytes[at] | 0x20) == 'e'))
        return false;
    *out = v;
    return true;
}

/* --- converting --- */

typedef struct conversion {
    const source *source;
    pl_arena *arena;
    size_t next_number;
    bool unique_names;
} conversion;

static pl_code convert(conversion *c, const cJSON *node, pl_value *out);

static pl_code convert_number(conversion *c, const cJSON *node, pl_value *out)
{
    const source *s = c->source;
    size_t at = ((const size_t *)(const void *)s->numbers.data)[c->next_number++];
    if (exact_integer(s, at, &out->integer)) {
        out->kind = PL_KIND_INT;
        return PL_OK;
    }
    if (!isfinite(node->valuedouble))
        return invalid(s, at, "Number is too large in JSON");
    out->kind = PL_KIND_FLOAT;
    out->number = node->valuedouble;
    return PL_OK;
}

static pl_code convert_string(conversion *c, const char *string, pl_str *out)
{
    *out = pl_arena_str(c->arena, pl_str_of(string));
    return out->ptr ? PL_OK : pl_fail_memory(c->source->err);
}

static size_t count_children(const cJSON *node)
{
    size_t count = 0;
    for (const cJSON *child = node->child; child; child = child->next)
        count++;
    return count;
}

static pl_code convert_list(conversion *c, const cJSON *node, pl_value *out)
{
    size_t count = count_children(node), i = 0;
    pl_value *items = pl_arena_array(c->arena, count, sizeof(*items));
    if (!items)
        return pl_fail_memory(c->source->err);
    for (const cJSON *child = node->child; child; child = child->next) {
        pl_code code = convert(c, child, &items[i++]);
        if (code)
            return code;
    }
    out->kind = PL_KIND_LIST;
    out->list.items = items;
    out->list.count = count;
    return PL_OK;
}

/* The member called name, or NULL; names is filled for large maps only. */
static pl_member *find_member(const pl_map *names, pl_member *members, size_t count, pl_str name)
{
    if (names->slots != 0)
        return pl_map_get(names, name);
    for (size_t i = 0; i < count; i++) {
        if (pl_str_eq(members[i].name, name))
            return &members[i];
    }
    return NULL;
}

static pl_code convert_members(conversion *c, const cJSON *node, bool large, pl_member *members,
                               size_t *count)
{
    pl_map names;
    pl_code code = PL_OK;
    pl_map_init(&names);
    for (const cJSON *child = node->child; child && !code; child = child->next) {
        pl_str name;
        pl_value value;
        if ((code = convert_string(c, child->string, &name)) || (code = convert(c, child, &value)))
            break;
        pl_member *member = find_member(&names, members, *count, name);
        if (!member) {
            member = &members[(*count)++];
            member->name = name;
            if (large && !pl_map_set(&names, name, member))
                code = pl_fail_memory(c->source->err);
        } else if (c->unique_names) {
            code = pl_fail(c->source->err, PL_INVALID_ARGUMENT,
                           "The name \"%.*s\" is there twice in one JSON object",
                           name.len > 100 ? 100 : (int)name.len, name.ptr);
        }
        member->value = value;
    }
    pl_map_dispose(&names);
    return code;
}

static pl_code convert_map(conversion *c, const cJSON *node, pl_value *out)
{
    size_t most = count_children(node), count = 0;
    pl_member *members = pl_arena_array(c->arena, most, sizeof(*members));
    if (!members)
        return pl_fail_memory(c->source->err);
    pl_code code = convert_members(c, node, most > LINEAR_MEMBERS, members, &count);
    out->kind = PL_KIND_MAP;
    out->map.members = members;
    out->map.count = count;
    return code;
}

/* Recursion is bounded by max_depth. */
static pl_code convert(conversion *c, const cJSON *node, pl_value *out)
{
    switch (node->type & 0xFF) {
    case cJSON_Number:
        return convert_number(c, node, out);
    case cJSON_String:
        out->kind = PL_KIND_STRING;
        return convert_string(c, node->valuestring, &out->string);
    case cJSON_Array:
        return convert_list(c, node, out);
    case cJSON_Object:
        return convert_map(c, node, out);
    case cJSON_NULL:
        out->kind = PL_KIND_NULL;
        return PL_OK;
    default:
        out->kind = PL_KIND_BOOL;
        out->boolean = (node->type & 0xFF) == cJSON_True;
        return PL_OK;
    }
}

/* cJSON gets valid JSON only, so that it can fail for want of memory only. */
static pl_code build(const source *s, pl_arena *arena, bool unique_names, pl_value *out)
{
    pl_value value;
    pl_code code = PL_RESOURCE_EXHAUSTED;
    conversion c = {.source = s, .arena = arena, .unique_names = unique_names};
    cJSON *tree = cJSON_ParseWithLengthOpts(s->bytes, s->len, NULL, 0);
    if (tree)
        code = convert(&c, tree, &value);
    else
        pl_fail_memory(s->err);
    if (!code)
        *out = value;
    cJSON_Delete(tree);
    return code;
}

pl_code pl_json_read(pl_arena *arena, pl_str text, const pl_json_limits *limits, pl_value *out, pl_error *err)
{
    if (limits && limits->skip_bom && pl_str_starts(text, PL_STR("\xef\xbb\xbf")))
        text = (pl_str){text.ptr + 3, text.len - 3};
    source s = {.bytes = text.ptr, .len = text.len, .max_depth = DEFAULT_DEPTH, .err = err};
    if (limits && limits->max_depth != 0)
        s.max_depth = limits->max_depth < MOST_DEPTH ? limits->max_depth : MOST_DEPTH;
    if (limits && limits->max_bytes != 0 && text.len > limits->max_bytes)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "JSON is larger than %zu bytes", limits->max_bytes);
    pl_buf_init(&s.numbers);
    pl_code code = check(&s);
    if (!code)
        code = build(&s, arena, limits && limits->unique_names, out);
    pl_buf_dispose(&s.numbers);
    return code;
}
