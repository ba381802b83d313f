/* SPDX-License-Identifier: MIT */
#include "base/log_line.h"

#include <math.h>

#include "base/format.h"

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_columns[] = {"DEBUG ", "INFO  ", "WARN  ", "ERROR "};

/* A longer message or value is cut: one event must not fill the queue. */
#define LONGEST_VALUE ((size_t)32 << 10)

static pl_str shorten(pl_str s, bool *cut)
{
    *cut = s.len > LONGEST_VALUE;
    if (*cut) {
        s.len = LONGEST_VALUE;
        while (s.len > LONGEST_VALUE - 3 && ((unsigned char)s.ptr[s.len] & 0xC0) == 0x80)
            s.len--;
    }
    return s;
}

static void append_double(pl_buf *out, double v, const char *otherwise)
{
    char text[PL_FORMAT_DOUBLE_MAX];
    if (isfinite(v))
        pl_buf_append(out, text, pl_format_double(text, v));
    else
        pl_buf_str(out, pl_str_of(otherwise));
}

static void append_int(pl_buf *out, int64_t v)
{
    char text[PL_FORMAT_INT_MAX];
    pl_buf_append(out, text, pl_format_int(text, v));
}

/* --- JSON --- */

static void json_string(pl_buf *out, pl_str s)
{
    bool cut;
    pl_format_string(out, shorten(s, &cut));
    if (cut && !out->failed) {
        out->len--;
        PL_BUF_LIT(out, "…\"");
    }
}

static void json_field(pl_buf *out, const pl_log_field *field)
{
    pl_buf_char(out, ',');
    json_string(out, pl_str_of(field->key));
    pl_buf_char(out, ':');
    switch (field->kind) {
    case PL_FIELD_STR:
        if (field->str.ptr)
            json_string(out, field->str);
        else
            PL_BUF_LIT(out, "null");
        break;
    case PL_FIELD_INT:
        append_int(out, field->integer);
        break;
    case PL_FIELD_FLOAT:
        append_double(out, field->number, "null");
        break;
    case PL_FIELD_BOOL:
        pl_buf_str(out, field->integer ? PL_STR("true") : PL_STR("false"));
        break;
    }
}

static void json_line(pl_buf *out, const struct timespec *when, pl_level level, pl_str message,
                      const pl_log_field *fields, size_t count)
{
    struct tm tm;
    gmtime_r(&when->tv_sec, &tm);
    pl_buf_printf(out, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\",\"level\":\"%s\",\"message\":",
                  tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                  (int)(when->tv_nsec / 1000000), level_names[level]);
    json_string(out, message);
    for (size_t i = 0; i < count; i++)
        json_field(out, &fields[i]);
    pl_buf_char(out, '}');
}

/* --- text --- */

/* Length of the sequence at p when a terminal shows it as it is: control characters could drive the terminal.
 */
static size_t printable(const char *p, size_t len)
{
    unsigned char c = (unsigned char)p[0];
    size_t n = pl_utf8_sequence(p, len);
    bool c1 = n == 2 && c == 0xC2 && (unsigned char)p[1] < 0xA0;
    return c < 0x20 || c == 0x7F || c1 ? 0 : n;
}

/* special: further bytes that get a backslash. */
static void append_printable(pl_buf *out, pl_str s, const char *special)
{
    for (size_t i = 0; i < s.len && !out->failed;) {
        char c = s.ptr[i];
        size_t n = printable(s.ptr + i, s.len - i);
        if (n == 1 && strchr(special, c)) {
            pl_buf_char(out, '\\');
            pl_buf_char(out, c);
        } else if (n != 0) {
            pl_buf_append(out, s.ptr + i, n);
        } else if (c == '\n' || c == '\t' || c == '\r') {
            pl_buf_char(out, '\\');
            pl_buf_char(out, c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        } else if ((unsigned char)c < 0x80) {
            pl_buf_printf(out, "\\x%02x", (unsigned)c);
        } else if ((n = pl_utf8_sequence(s.ptr + i, s.len - i)) != 0) {
            pl_buf_printf(out, "\\x%02x", (unsigned char)s.ptr[i + 1]);
        } else {
            PL_BUF_LIT(out, "\xEF\xBF\xBD");
        }
        i += n != 0 ? n : 1;
    }
}

static bool needs_quotes(pl_str s)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = printable(s.ptr + i, s.len - i);
        if (n == 0 || strchr(" \"=\\", s.ptr[i]))
            return true;
        i += n;
    }
    return s.len == 0;
}

static void text_value(pl_buf *out, pl_str s)
{
    bool cut;
    s = shorten(s, &cut);
    bool quotes = needs_quotes(s);
    if (quotes)
        pl_buf_char(out, '"');
    append_printable(out, s, quotes ? "\"\\" : "");
    if (cut)
        PL_BUF_LIT(out, "…");
    if (quotes)
        pl_buf_char(out, '"');
}

static pl_str without_last_newline(pl_str s)
{
    while (s.len != 0 && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r'))
        s.len--;
    return s;
}

static bool is_multi_line(const pl_log_field *field)
{
    pl_str s = without_last_newline(field->str);
    return field->kind == PL_FIELD_STR && s.len != 0 && memchr(s.ptr, '\n', s.len);
}

static void text_field(pl_buf *out, const pl_log_field *field)
{
    pl_buf_str(out, pl_str_of(field->key));
    pl_buf_char(out, '=');
    switch (field->kind) {
    case PL_FIELD_STR:
        text_value(out, without_last_newline(field->str));
        break;
    case PL_FIELD_INT:
        append_int(out, field->integer);
        break;
    case PL_FIELD_FLOAT:
        append_double(out, field->number, isnan(field->number) ? "nan" : field->number < 0 ? "-inf" : "inf");
        break;
    case PL_FIELD_BOOL:
        pl_buf_str(out, field->integer ? PL_STR("true") : PL_STR("false"));
        break;
    }
}

static void text_block(pl_buf *out, const pl_log_field *field)
{
    bool cut;
    pl_str s = shorten(without_last_newline(field->str), &cut);
    PL_BUF_LIT(out, "\n    ");
    pl_buf_str(out, pl_str_of(field->key));
    pl_buf_char(out, ':');
    while (s.len != 0) {
        const char *newline = memchr(s.ptr, '\n', s.len);
        size_t len = newline ? (size_t)(newline - s.ptr) : s.len;
        size_t tabs = 0;
        PL_BUF_LIT(out, "\n        ");
        for (; tabs < len && s.ptr[tabs] == '\t'; tabs++)
            PL_BUF_LIT(out, "    ");
        append_printable(out, without_last_newline((pl_str){s.ptr + tabs, len - tabs}), "");
        len += newline != NULL;
        s = (pl_str){s.ptr + len, s.len - len};
    }
    if (cut)
        PL_BUF_LIT(out, "…");
}

static void text_line(pl_buf *out, const struct timespec *when, pl_level level, pl_str message,
                      const pl_log_field *fields, size_t count)
{
    struct tm tm;
    bool cut;
    const char *gap = "  ";
    localtime_r(&when->tv_sec, &tm);
    pl_buf_printf(out, "%02d:%02d:%02d.%03d %s", tm.tm_hour, tm.tm_min, tm.tm_sec,
                  (int)(when->tv_nsec / 1000000), level_columns[level]);
    append_printable(out, shorten(message, &cut), "");
    if (cut)
        PL_BUF_LIT(out, "…");
    for (size_t i = 0; i < count; i++) {
        if (!is_multi_line(&fields[i])) {
            pl_buf_str(out, pl_str_of(gap));
            text_field(out, &fields[i]);
            gap = " ";
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (is_multi_line(&fields[i]))
            text_block(out, &fields[i]);
    }
}

void pl_log_line(pl_buf *out, pl_log_format format, const struct timespec *when, pl_level level,
                 pl_str message, const pl_log_field *fields, size_t count)
{
    if (format == PL_LOG_JSON)
        json_line(out, when, level, message, fields, count);
    else
        text_line(out, when, level, message, fields, count);
}
