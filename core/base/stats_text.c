/* SPDX-License-Identifier: MIT */
#include "base/stats_text.h"

#include <math.h>

#include "base/format.h"

/* Text of a HELP line, or the value of a label (quotes). */
static void write_escaped(pl_buf *out, pl_str s, bool quotes)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = pl_utf8_sequence(s.ptr + i, s.len - i);
        char c = s.ptr[i];
        if (n == 0)
            PL_BUF_LIT(out, "\xef\xbf\xbd");
        else if (c == '\\')
            PL_BUF_LIT(out, "\\\\");
        else if (c == '\n')
            PL_BUF_LIT(out, "\\n");
        else if (c == '"' && quotes)
            PL_BUF_LIT(out, "\\\"");
        else
            pl_buf_append(out, s.ptr + i, n);
        i += n ? n : 1;
    }
}

static void write_number(pl_buf *out, double v)
{
    char text[PL_FORMAT_DOUBLE_MAX];
    if (isnan(v))
        PL_BUF_LIT(out, "NaN");
    else if (isinf(v))
        pl_buf_str(out, v > 0 ? PL_STR("+Inf") : PL_STR("-Inf"));
    else
        pl_buf_append(out, text, pl_format_double(text, v));
}

static void write_label(pl_buf *out, const char *name, pl_str value, bool *any)
{
    pl_buf_char(out, *any ? ',' : '{');
    *any = true;
    pl_buf_str(out, pl_str_of(name));
    PL_BUF_LIT(out, "=\"");
    write_escaped(out, value, true);
    pl_buf_char(out, '"');
}

/* name_suffix{label="value",le="bound"} */
static void write_series(pl_buf *out, const pl_stats_view *family, const pl_stats_series_view *s,
                         const char *suffix, const double *le)
{
    bool any = false;
    pl_buf_str(out, pl_str_of(family->name));
    pl_buf_str(out, pl_str_of(suffix));
    for (size_t i = 0; i < family->label_count; i++)
        write_label(out, family->labels[i], s->values[i], &any);
    if (le) {
        pl_buf_str(out, any ? PL_STR(",le=\"") : PL_STR("{le=\""));
        write_number(out, *le);
        pl_buf_char(out, '"');
        any = true;
    }
    if (any)
        pl_buf_char(out, '}');
    pl_buf_char(out, ' ');
}

static void write_histogram(pl_buf *out, const pl_stats_view *family, const pl_stats_series_view *s)
{
    uint64_t count = 0;
    for (size_t i = 0; i < s->bucket_count; i++) {
        count += s->stat->buckets[i];
        write_series(out, family, s, "_bucket", &s->stat->bounds[i]);
        pl_buf_printf(out, "%llu\n", (unsigned long long)count);
    }
    write_series(out, family, s, "_sum", NULL);
    write_number(out, s->stat->value);
    pl_buf_char(out, '\n');
    write_series(out, family, s, "_count", NULL);
    pl_buf_printf(out, "%llu\n", (unsigned long long)count);
}

static bool write_family(void *data, const pl_stats_view *family)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    pl_buf *out = data;
    if (family->series_count == 0)
        return true;
    pl_buf_printf(out, "# HELP %s ", family->name);
    write_escaped(out, pl_str_of(family->help), false);
    pl_buf_printf(out, "\n# TYPE %s %s\n", family->name, types[family->kind]);
    for (size_t i = 0; i < family->series_count; i++) {
        pl_stats_series_view s = pl_stats_series(family->family, i);
        if (family->kind == PL_STATS_HISTOGRAM) {
            write_histogram(out, family, &s);
            continue;
        }
        write_series(out, family, &s, "", NULL);
        write_number(out, s.stat->value);
        pl_buf_char(out, '\n');
    }
    return !out->failed;
}

bool pl_stats_write(const pl_stats *stats, pl_buf *out)
{
    return pl_stats_each(stats, write_family, out) && !out->failed;
}
