/* SPDX-License-Identifier: MIT */
#include "cli/json_stream.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool take(json_stream *s, size_t len, pl_str *out)
{
    *out = (pl_str){s->bytes.data + s->at, len};
    s->at += len;
    s->seen = 0;
    return true;
}

static void compact(json_stream *s)
{
    while (s->at < s->bytes.len && is_space(s->bytes.data[s->at]))
        s->at++;
    if (s->at < s->bytes.len && s->at < s->bytes.len / 2)
        return;
    memmove(s->bytes.data, s->bytes.data + s->at, s->bytes.len - s->at);
    s->bytes.len -= s->at;
    s->at = 0;
}

/* Looks at one byte: whether the value ends behind it. */
static bool step(json_stream *s, char c)
{
    if (s->in_string) {
        bool ends = c == '"' && !s->escaped;
        s->escaped = c == '\\' && !s->escaped;
        s->in_string = !ends;
        return ends && s->depth == 0;
    }
    switch (c) {
    case '"':
        s->in_string = true;
        return false;
    case '{':
    case '[':
        s->depth++;
        return false;
    case '}':
    case ']':
        if (s->depth > 0)
            s->depth--;
        return s->depth == 0;
    default:
        return false;
    }
}

bool json_stream_next(json_stream *s, bool ended, pl_str *out)
{
    if (s->seen == 0 && s->bytes.len > 0)
        compact(s);
    while (s->at + s->seen < s->bytes.len) {
        char c = s->bytes.data[s->at + s->seen];
        bool bare = s->depth == 0 && !s->in_string && s->seen > 0;
        /* A number or a word ends where something else begins. */
        if (bare && (is_space(c) || c == '"' || c == '{' || c == '['))
            return take(s, s->seen, out);
        s->seen++;
        if (step(s, c))
            return take(s, s->seen, out);
    }
    size_t left = s->bytes.len - s->at;
    return ended && left > 0 && take(s, left, out);
}
