/* SPDX-License-Identifier: MIT */
#include "app/media.h"

#include <strings.h>

static pl_str trim(pl_str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Cuts the part before sep off *rest; false when nothing is left. */
static bool next_part(pl_str *rest, char sep, pl_str *part)
{
    if (!rest->ptr)
        return false;
    const char *end = memchr(rest->ptr, sep, rest->len);
    size_t n = end ? (size_t)(end - rest->ptr) : rest->len;
    *part = trim((pl_str){rest->ptr, n});
    *rest = end ? (pl_str){end + 1, rest->len - n - 1} : PL_STR_NONE;
    return true;
}

static bool same_word(pl_str a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

/* q of "q=0.5", in thousandths; 1000 for any other parameter. */
static int quality(pl_str parameter)
{
    if (parameter.len < 3 || strncasecmp(parameter.ptr, "q=", 2) != 0)
        return 1000;
    size_t i = 2;
    int value = 0, unit = 100;
    if (parameter.ptr[i] != '.') /* ".2", which Java's client sends, is not right, but clear */
        value = parameter.ptr[i++] == '0' ? 0 : 1000;
    for (i++; i < parameter.len && unit > 0 && parameter.ptr[i] >= '0' && parameter.ptr[i] <= '9';
         i++, unit /= 10)
        value += (parameter.ptr[i] - '0') * unit;
    return value > 1000 ? 1000 : value;
}

typedef struct choice {
    int quality;
    int precision; /* of the range that decided: more precise ranges win over wildcards (RFC 9110, 12.5.1) */
} choice;

static void consider(choice *c, int precision, int q)
{
    if (precision > c->precision || (precision == c->precision && q > c->quality))
        *c = (choice){q, precision};
}

/* Cuts the first range off an Accept header: its type and its quality. False at the end. */
static bool next_range(pl_str *rest, pl_str *type, int *q)
{
    pl_str range, parameter;
    while (next_part(rest, ',', &range)) {
        *q = 1000;
        if (!next_part(&range, ';', type))
            continue;
        while (next_part(&range, ';', &parameter)) {
            int value = quality(parameter);
            *q = value < *q ? value : *q;
        }
        return true;
    }
    return false;
}

bool pl_media_choose(pl_str accept, pl_media *out)
{
    choice json = {0, -1}, graphql = {0, -1};
    pl_str rest = accept, type;
    int q;
    *out = PL_MEDIA_JSON;
    if (!accept.ptr || trim(accept).len == 0)
        return true;
    while (next_range(&rest, &type, &q)) {
        if (same_word(type, "application/json")) {
            consider(&json, 2, q);
        } else if (same_word(type, "application/graphql-response+json")) {
            consider(&graphql, 2, q);
        } else if (same_word(type, "application/*") || same_word(type, "*/*")) {
            int precision = type.ptr[0] == '*' ? 0 : 1;
            consider(&json, precision, q);
            consider(&graphql, precision, q);
        }
    }
    /* A client that says anything goes gets plain JSON. */
    *out = graphql.quality > json.quality || (graphql.quality == json.quality && graphql.precision == 2)
               ? PL_MEDIA_GRAPHQL_RESPONSE
               : PL_MEDIA_JSON;
    return json.quality > 0 || graphql.quality > 0;
}

bool pl_media_prefers_html(pl_str accept)
{
    static const char *const graphql[] = {"application/json", "application/graphql-response+json",
                                          "multipart/mixed", "text/event-stream"};
    pl_str rest = accept, type;
    int q, html = 0, best = 0;
    while (next_range(&rest, &type, &q)) {
        if (same_word(type, "text/html"))
            html = q > html ? q : html;
        for (size_t i = 0; i < sizeof graphql / sizeof *graphql; i++) {
            if (same_word(type, graphql[i]))
                best = q > best ? q : best;
        }
    }
    return html > best;
}

typedef struct streams {
    bool sse, multipart, subscription, old_defer;
} streams;

/* One range of an Accept header. */
static void read_stream(streams *s, pl_str range)
{
    pl_str type, parameter;
    streams found = {0};
    int q = 1000;
    if (!next_part(&range, ';', &type))
        return;
    while (next_part(&range, ';', &parameter)) {
        int value = quality(parameter);
        q = value < q ? value : q;
        found.old_defer |=
            same_word(parameter, "deferSpec=20220824") || same_word(parameter, "deferSpec=\"20220824\"");
        found.subscription |=
            same_word(parameter, "subscriptionSpec=1.0") || same_word(parameter, "subscriptionSpec=\"1.0\"");
    }
    if (q == 0)
        return;
    s->sse |= same_word(type, "text/event-stream");
    if (!same_word(type, "multipart/mixed"))
        return;
    s->old_defer |= found.old_defer;
    s->subscription |= found.subscription;
    s->multipart |= !found.subscription;
}

bool pl_accept_read(pl_str accept, pl_accept *out)
{
    streams s = {0};
    pl_str rest = accept, range;
    *out = (pl_accept){0};
    out->single = pl_media_choose(accept, &out->media);
    while (next_part(&rest, ',', &range))
        read_stream(&s, range);
    out->incremental = s.multipart ? PL_STREAM_MULTIPART : s.sse ? PL_STREAM_SSE : PL_STREAM_NONE;
    out->events = s.subscription ? PL_STREAM_SUBSCRIPTION
                  : s.sse        ? PL_STREAM_SSE
                  : s.multipart  ? PL_STREAM_SUBSCRIPTION
                                 : PL_STREAM_NONE;
    out->old_defer = s.old_defer;
    return out->single || out->incremental || out->events;
}

bool pl_media_is(pl_str content_type, const char *type)
{
    pl_str rest = content_type, part;
    return next_part(&rest, ';', &part) && same_word(part, type);
}

bool pl_media_is_utf8(pl_str content_type)
{
    pl_str rest = content_type, part;
    next_part(&rest, ';', &part);
    while (next_part(&rest, ';', &part)) {
        if (part.len > 8 && strncasecmp(part.ptr, "charset=", 8) == 0) {
            pl_str charset = {part.ptr + 8, part.len - 8};
            if (!same_word(charset, "utf-8") && !same_word(charset, "\"utf-8\"") &&
                !same_word(charset, "utf8"))
                return false;
        }
    }
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static pl_str decode(pl_arena *arena, pl_str s)
{
    char *out = pl_arena_alloc(arena, s.len + 1);
    size_t n = 0;
    if (!out)
        return PL_STR_NONE;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%' && s.len - i > 2 && hex(s.ptr[i + 1]) >= 0 && hex(s.ptr[i + 2]) >= 0) {
            c = (char)(hex(s.ptr[i + 1]) * 16 + hex(s.ptr[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    return (pl_str){out, n};
}

static bool find_parameter(pl_str query, pl_str name, pl_str *value)
{
    pl_str rest = query, pair, key;
    if (query.len == 0)
        return false;
    while (next_part(&rest, '&', &pair)) {
        *value = pair;
        if (next_part(value, '=', &key) && pl_str_eq(key, name))
            return true;
    }
    return false;
}

pl_str pl_query_parameter(pl_arena *arena, pl_str query, pl_str name)
{
    pl_str value;
    if (query.len == 0 || !find_parameter(query, name, &value) || !value.ptr)
        return PL_STR_NONE;
    return decode(arena, value);
}

bool pl_query_has(pl_str query, pl_str name)
{
    pl_str value;
    return find_parameter(query, name, &value);
}

bool pl_query_has_value(pl_str query, pl_str name)
{
    pl_str value;
    return find_parameter(query, name, &value) && value.ptr;
}
