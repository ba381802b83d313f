/* SPDX-License-Identifier: MIT */
/* Strings, values and types. Whether a list is broken into lines depends on its width, which is looked up
 * only as far as a line is wide: printing stays linear however deep values nest. */
#include "graphql/language/printer.h"

#include "graphql/language/printer_internal.h"

void gql_write_newline(gql_writer *w)
{
    static const char spaces[] = "                                                                ";
    PL_BUF_LIT(w->out, "\n");
    for (size_t left = (size_t)w->indent * 2; left > 0;) {
        size_t n = left < sizeof(spaces) - 1 ? left : sizeof(spaces) - 1;
        pl_buf_append(w->out, spaces, n);
        left -= n;
    }
}

/* --- strings --- */

static size_t utf16_units(char c)
{
    unsigned char b = (unsigned char)c;
    if (b >= 0x80 && b < 0xC0)
        return 0;
    return b >= 0xF0 ? 2 : 1;
}

/* The escape for the character at p (which may take two bytes, *size), or an empty string when it needs none.
 */
static pl_str escape_for(const char *p, const char *end, size_t *size, char out[8])
{
    static const char short_forms[] = "btn\0fr"; /* from U+0008 on */
    static const char hex[] = "0123456789ABCDEF";
    unsigned c = (unsigned char)*p;
    *size = 1;
    out[0] = '\\';
    if (c == '"' || c == '\\') {
        out[1] = (char)c;
        return (pl_str){out, 2};
    }
    if (c >= 8 && c <= 13 && short_forms[c - 8] != '\0') {
        out[1] = short_forms[c - 8];
        return (pl_str){out, 2};
    }
    if (c == 0xC2 && end - p > 1 && (unsigned char)p[1] < 0xA0) { /* U+0080 to U+009F */
        c = (unsigned char)p[1];
        *size = 2;
    } else if (c >= 0x20 && c != 0x7F) {
        return PL_STR_NONE;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return (pl_str){out, 6};
}

static void write_quoted(gql_writer *w, pl_str text)
{
    const char *p = text.ptr, *plain = text.ptr, *end = text.ptr + text.len;
    PL_BUF_LIT(w->out, "\"");
    while (p < end) {
        char buffer[8];
        size_t size;
        pl_str escape = escape_for(p, end, &size, buffer);
        if (escape.len != 0) {
            pl_buf_append(w->out, plain, (size_t)(p - plain));
            pl_buf_str(w->out, escape);
            plain = p + size;
        }
        p += size;
    }
    pl_buf_append(w->out, plain, (size_t)(p - plain));
    PL_BUF_LIT(w->out, "\"");
}

static size_t quoted_width(pl_str text, size_t most)
{
    size_t width = 2;
    const char *end = text.ptr + text.len;
    for (const char *p = text.ptr; p < end && width <= most;) {
        char buffer[8];
        size_t size;
        pl_str escape = escape_for(p, end, &size, buffer);
        width += escape.len ? escape.len : utf16_units(*p);
        p += size;
    }
    return width;
}

/* How a block string is laid out between its quotes. */
typedef struct layout {
    bool leading, trailing; /* line breaks behind the opening and before the closing quotes */
    bool lines;             /* there are line breaks inside */
    size_t width;
} layout;

static bool is_white(char c)
{
    return c == ' ' || c == '\t';
}

static bool triple_quote_at(pl_str text, size_t i)
{
    return text.len - i >= 3 && memcmp(text.ptr + i, "\"\"\"", 3) == 0;
}

static layout layout_of(pl_str text)
{
    layout l = {.width = 6};
    bool others_indented = true, ends_in_triple = false;
    size_t units = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (triple_quote_at(text, i)) {
            l.width += 4;
            units += 3;
            i += 2;
            ends_in_triple = i + 1 == text.len;
            continue;
        }
        l.width += utf16_units(text.ptr[i]);
        units += utf16_units(text.ptr[i]);
        if (text.ptr[i] == '\n') {
            l.lines = true;
            bool blank = i + 1 == text.len || text.ptr[i + 1] == '\n';
            others_indented = others_indented && (blank || is_white(text.ptr[i + 1]));
        }
    }
    char last = text.len ? text.ptr[text.len - 1] : '\0';
    bool force_trailing = (last == '"' && !ends_in_triple) || last == '\\';
    bool spread = l.lines || units > 70 || force_trailing || ends_in_triple;
    bool keep_first = !l.lines && text.len != 0 && is_white(text.ptr[0]);
    l.leading = (spread && !keep_first) || (l.lines && others_indented);
    l.trailing = spread;
    l.width += (size_t)l.leading + (size_t)l.trailing;
    return l;
}

static void write_block(gql_writer *w, pl_str text)
{
    layout l = layout_of(text);
    PL_BUF_LIT(w->out, "\"\"\"");
    if (l.leading)
        gql_write_newline(w);
    size_t plain = 0, i = 0;
    while (i < text.len) {
        bool triple = triple_quote_at(text, i);
        if (!triple && text.ptr[i] != '\n') {
            i++;
            continue;
        }
        pl_buf_append(w->out, text.ptr + plain, i - plain);
        if (triple)
            PL_BUF_LIT(w->out, "\\\"\"\"");
        else
            gql_write_newline(w);
        i += triple ? 3 : 1;
        plain = i;
    }
    pl_buf_append(w->out, text.ptr + plain, i - plain);
    if (l.trailing)
        gql_write_newline(w);
    PL_BUF_LIT(w->out, "\"\"\"");
}

void gql_write_string(gql_writer *w, pl_str text, bool block)
{
    if (block)
        write_block(w, text);
    else
        write_quoted(w, text);
}

/* --- widths --- */

static size_t string_width(const gql_value *value, size_t most)
{
    if (!value->block)
        return quoted_width(value->text, most);
    /* A character is at most three bytes a unit. */
    return value->text.len / 3 > most ? most + 1 : layout_of(value->text).width;
}

static size_t list_width(const gql_value *value, size_t most)
{
    size_t width = 2;
    for (uint32_t i = 0; i < value->count && width <= most; i++)
        width += (i ? 2 : 0) + gql_value_width(&value->items[i], most);
    return width;
}

static size_t object_width(const gql_value *value, size_t most)
{
    size_t width = 4;
    for (uint32_t i = 0; i < value->count && width <= most; i++) {
        const gql_object_field *f = &value->fields[i];
        width += (i ? 2 : 0) + f->name.text.len + 2 + gql_value_width(&f->value, most);
    }
    return width;
}

size_t gql_value_width(const gql_value *value, size_t most)
{
    switch (value->kind) {
    case GQL_VALUE_VARIABLE:
        return 1 + value->text.len;
    case GQL_VALUE_INT:
    case GQL_VALUE_FLOAT:
    case GQL_VALUE_ENUM:
        return value->text.len;
    case GQL_VALUE_STRING:
        return string_width(value, most);
    case GQL_VALUE_BOOLEAN:
        return value->boolean ? 4 : 5;
    case GQL_VALUE_NULL:
        return 4;
    case GQL_VALUE_LIST:
        return list_width(value, most);
    case GQL_VALUE_OBJECT:
        return object_width(value, most);
    }
    return 0;
}

size_t gql_arguments_width(const gql_argument *arguments, uint32_t count, size_t most)
{
    size_t width = 2;
    for (uint32_t i = 0; i < count && width <= most; i++)
        width += (i ? 2 : 0) + arguments[i].name.text.len + 2 + gql_value_width(&arguments[i].value, most);
    return width;
}

static bool is_broken(const gql_value *value)
{
    return gql_value_width(value, GQL_LINE_WIDTH) > GQL_LINE_WIDTH;
}

bool gql_value_is_multiline(const gql_value *value)
{
    if (value->kind == GQL_VALUE_STRING && value->block) {
        layout l = layout_of(value->text);
        return l.lines || l.leading || l.trailing;
    }
    if (value->kind != GQL_VALUE_LIST && value->kind != GQL_VALUE_OBJECT)
        return false;
    if (is_broken(value))
        return true;
    for (uint32_t i = 0; i < value->count; i++) {
        const gql_value *inner = value->kind == GQL_VALUE_LIST ? &value->items[i] : &value->fields[i].value;
        if (gql_value_is_multiline(inner))
            return true;
    }
    return false;
}

/* --- values and types --- */

static void write_list(gql_writer *w, const gql_value *value)
{
    bool broken = !w->one_line && is_broken(value);
    PL_BUF_LIT(w->out, "[");
    w->indent += broken;
    for (uint32_t i = 0; i < value->count; i++) {
        if (broken)
            gql_write_newline(w);
        else if (i != 0)
            PL_BUF_LIT(w->out, ", ");
        gql_write_value(w, &value->items[i]);
    }
    w->indent -= broken;
    if (broken)
        gql_write_newline(w);
    PL_BUF_LIT(w->out, "]");
}

static void write_object(gql_writer *w, const gql_value *value)
{
    bool broken = !w->one_line && is_broken(value);
    pl_buf_append(w->out, "{ ", broken ? 1 : 2);
    w->indent += broken;
    for (uint32_t i = 0; i < value->count; i++) {
        if (broken)
            gql_write_newline(w);
        else if (i != 0)
            PL_BUF_LIT(w->out, ", ");
        pl_buf_str(w->out, value->fields[i].name.text);
        PL_BUF_LIT(w->out, ": ");
        gql_write_value(w, &value->fields[i].value);
    }
    w->indent -= broken;
    if (broken)
        gql_write_newline(w);
    else
        PL_BUF_LIT(w->out, " ");
    PL_BUF_LIT(w->out, "}");
}

void gql_write_value(gql_writer *w, const gql_value *value)
{
    switch (value->kind) {
    case GQL_VALUE_VARIABLE:
        PL_BUF_LIT(w->out, "$");
        pl_buf_str(w->out, value->text);
        break;
    case GQL_VALUE_INT:
    case GQL_VALUE_FLOAT:
    case GQL_VALUE_ENUM:
        pl_buf_str(w->out, value->text);
        break;
    case GQL_VALUE_STRING:
        gql_write_string(w, value->text, value->block);
        break;
    case GQL_VALUE_BOOLEAN:
        pl_buf_str(w->out, value->boolean ? PL_STR("true") : PL_STR("false"));
        break;
    case GQL_VALUE_NULL:
        PL_BUF_LIT(w->out, "null");
        break;
    case GQL_VALUE_LIST:
        write_list(w, value);
        break;
    case GQL_VALUE_OBJECT:
        write_object(w, value);
        break;
    }
}

void gql_write_type(gql_writer *w, const gql_type *type)
{
    switch (type->kind) {
    case GQL_TYPE_NAMED:
        pl_buf_str(w->out, type->name);
        break;
    case GQL_TYPE_LIST:
        PL_BUF_LIT(w->out, "[");
        gql_write_type(w, type->of);
        PL_BUF_LIT(w->out, "]");
        break;
    case GQL_TYPE_NON_NULL:
        gql_write_type(w, type->of);
        PL_BUF_LIT(w->out, "!");
        break;
    }
}

void gql_print_value(pl_buf *out, const gql_value *value)
{
    gql_writer w = {.out = out, .one_line = true};
    gql_write_value(&w, value);
}

void gql_print_value_lines(pl_buf *out, const gql_value *value)
{
    gql_writer w = {.out = out};
    gql_write_value(&w, value);
}

void gql_print_type(pl_buf *out, const gql_type *type)
{
    gql_writer w = {.out = out, .one_line = true};
    gql_write_type(&w, type);
}
