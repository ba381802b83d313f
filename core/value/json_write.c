/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "base/format.h"
#include "value/json.h"

bool pl_json_string(pl_buf *out, pl_str s)
{
    return pl_format_string(out, s);
}

void pl_json_int(pl_buf *out, int64_t v)
{
    char text[PL_FORMAT_INT_MAX];
    pl_buf_append(out, text, pl_format_int(text, v));
}

bool pl_json_double(pl_buf *out, double v)
{
    char text[PL_FORMAT_DOUBLE_MAX];
    if (!isfinite(v)) {
        PL_BUF_LIT(out, "null");
        return false;
    }
    pl_buf_append(out, text, pl_format_double(text, v));
    return true;
}

/* Recursion is as deep as the value, which its maker has bounded. */
void pl_json_value(pl_buf *out, const pl_value *v)
{
    switch (v->kind) {
    case PL_KIND_BOOL:
        pl_buf_str(out, v->boolean ? PL_STR("true") : PL_STR("false"));
        break;
    case PL_KIND_INT:
        pl_json_int(out, v->integer);
        break;
    case PL_KIND_FLOAT:
        pl_json_double(out, v->number);
        break;
    case PL_KIND_STRING:
        pl_json_string(out, v->string);
        break;
    case PL_KIND_LIST:
        pl_buf_char(out, '[');
        for (size_t i = 0; i < v->list.count; i++) {
            if (i != 0)
                pl_buf_char(out, ',');
            pl_json_value(out, &v->list.items[i]);
        }
        pl_buf_char(out, ']');
        break;
    case PL_KIND_MAP:
        pl_buf_char(out, '{');
        for (size_t i = 0; i < v->map.count; i++) {
            if (i != 0)
                pl_buf_char(out, ',');
            pl_json_string(out, v->map.members[i].name);
            pl_buf_char(out, ':');
            pl_json_value(out, &v->map.members[i].value);
        }
        pl_buf_char(out, '}');
        break;
    case PL_KIND_ABSENT:
    case PL_KIND_NULL:
    case PL_KIND_OTHER:
    case PL_KIND_SCRIPT:
    case PL_KIND_UPLOAD:
        PL_BUF_LIT(out, "null");
        break;
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void new_line(pl_buf *out, size_t depth)
{
    pl_buf_char(out, '\n');
    for (size_t i = 0; i < depth; i++)
        PL_BUF_LIT(out, "  ");
}

/* The index behind the string that begins at i. */
static size_t string_end(pl_str json, size_t i)
{
    for (i++; i < json.len && json.ptr[i] != '"'; i++) {
        if (json.ptr[i] == '\\')
            i++;
    }
    return i < json.len ? i + 1 : json.len;
}

void pl_json_pretty(pl_buf *out, pl_str json)
{
    size_t depth = 0;
    bool opened = false; /* the last token opened a list or map, so an end here means that it is empty */
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (is_space(c))
            continue;
        bool closes = c == ']' || c == '}';
        if (closes && depth > 0)
            depth--;
        if (opened != closes)
            new_line(out, depth);
        opened = c == '[' || c == '{';
        if (opened)
            depth++;
        if (c == '"') {
            size_t end = string_end(json, i);
            pl_buf_append(out, json.ptr + i, end - i);
            i = end - 1;
            continue;
        }
        pl_buf_char(out, c);
        if (c == ',')
            new_line(out, depth);
        else if (c == ':')
            pl_buf_char(out, ' ');
    }
}
