/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "cli/dlq.h"
#include "value/json.h"

#define MOST_ROWS 10000 /* what is more is counted together */

/* Dead letters that have in common where they come from and what was wrong. */
typedef struct row {
    pl_str topic, from, group, code;
    uint64_t waiting, done;
    int64_t oldest, newest; /* of those that wait; -1 */
} row;

typedef struct listing {
    dlq *d;
    const char *topic;
    pl_map rows; /* by what they have in common */
} listing;

static pl_str or_dash(pl_str text)
{
    return text.ptr && text.len > 0 ? text : PL_STR("-");
}

static row *find_row(listing *l, pl_str from, pl_str group, pl_str code)
{
    pl_arena *arena = &l->d->arena;
    bool full = l->rows.count >= MOST_ROWS;
    pl_str key = full ? PL_STR("other")
                      : pl_arena_printf(arena, "%s\n%.*s\n%.*s\n%.*s", l->topic, PL_STR_ARG(from),
                                        PL_STR_ARG(group), PL_STR_ARG(code));
    row *r = key.ptr ? pl_map_get(&l->rows, key) : NULL;
    if (r || !key.ptr)
        return r;
    if (full)
        from = group = code = PL_STR("(other)");
    if (!(r = pl_arena_zalloc(arena, sizeof *r)))
        return NULL;
    *r = (row){pl_arena_str(arena, pl_str_of(l->topic)),
               pl_arena_str(arena, from),
               pl_arena_str(arena, group),
               pl_arena_str(arena, code),
               0,
               0,
               -1,
               -1};
    bool ok = r->topic.ptr && r->from.ptr && r->group.ptr && r->code.ptr && pl_map_set(&l->rows, key, r);
    return ok ? r : NULL;
}

static pl_code on_letter(void *data, pl_scan_part *part, const pl_incoming *in, pl_error *err)
{
    listing *l = data;
    dead_letter letter;
    dlq_read(in, &letter);
    if (!dlq_matches(&l->d->filter, &letter))
        return PL_OK;
    row *r = find_row(l, or_dash(letter.topic), or_dash(letter.group), or_dash(letter.code));
    if (!r)
        return pl_fail_memory(err);
    if (pl_marks_has(&part->done, in->offset)) {
        r->done++;
        return PL_OK;
    }
    r->waiting++;
    if (r->oldest < 0 || in->timestamp < r->oldest)
        r->oldest = in->timestamp;
    if (in->timestamp > r->newest)
        r->newest = in->timestamp;
    return PL_OK;
}

static pl_code scan_topic(listing *l, const char *topic)
{
    static const pl_scan_ops ops = {.event = on_letter};
    dlq *d = l->d;
    pl_scan_part *parts = NULL;
    size_t count = 0;
    l->topic = topic;
    pl_scan *scan = dlq_open(d, topic);
    pl_code code = scan ? pl_scan_parts(scan, topic, &parts, &count, &d->err) : d->err.code;
    if (!code)
        code = pl_scan_read(scan, topic, parts, count, &ops, l, &d->err);
    pl_scan_parts_free(parts, count);
    pl_scan_close(scan);
    return code;
}

/* --- which topics --- */
static bool has_suffix(pl_str name)
{
    static const char *const suffixes[] = {"-dlq", ".dlq", "_dlq", "-dlt", ".dlt",
                                           "-DLQ", ".DLQ", "-DLT", ".DLT"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        if (name.len > 4 && pl_str_is((pl_str){name.ptr + name.len - 4, 4}, suffixes[i]))
            return true;
    }
    return false;
}

static bool is_dead_letter_topic(const dlq *d, pl_str name)
{
    for (size_t i = 0; i < d->declared_count; i++) {
        if (pl_str_eq(d->declared[i], name))
            return true;
    }
    return has_suffix(name);
}

static int by_name(const void *a, const void *b)
{
    return pl_str_cmp(*(const pl_str *)a, *(const pl_str *)b);
}

static pl_code scan_all(listing *l)
{
    dlq *d = l->d;
    pl_str *names = NULL;
    size_t count = 0;
    pl_scan *scan = dlq_open(d, NULL);
    pl_code code = scan ? pl_scan_topics(scan, &d->arena, &names, &count, &d->err) : d->err.code;
    pl_scan_close(scan);
    if (!code && count > 0)
        qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; !code && i < count; i++) {
        if (is_dead_letter_topic(d, names[i]))
            code = scan_topic(l, names[i].ptr);
    }
    return code;
}

/* --- printing --- */
static int by_place(const void *a, const void *b)
{
    const row *x = *(row *const *)a, *y = *(row *const *)b;
    int order = pl_str_cmp(x->topic, y->topic);
    if (order == 0)
        order = (x->waiting < y->waiting) - (x->waiting > y->waiting);
    if (order == 0)
        order = pl_str_cmp(x->from, y->from);
    if (order == 0)
        order = pl_str_cmp(x->group, y->group);
    return order ? order : pl_str_cmp(x->code, y->code);
}

static void write_member(pl_buf *out, const char *name, pl_str value)
{
    pl_buf_printf(out, "\"%s\":", name);
    if (pl_str_is(value, "-"))
        PL_BUF_LIT(out, "null");
    else
        pl_json_string(out, value);
    pl_buf_char(out, ',');
}

static void write_json(pl_buf *out, const row *r)
{
    pl_buf_char(out, '{');
    write_member(out, "topic", r->topic);
    write_member(out, "original_topic", r->from);
    write_member(out, "group", r->group);
    write_member(out, "code", r->code);
    pl_buf_printf(out, "\"waiting\":%" PRIu64 ",\"done\":%" PRIu64, r->waiting, r->done);
    if (r->waiting > 0)
        pl_buf_printf(out, ",\"oldest\":%" PRId64 ",\"newest\":%" PRId64, r->oldest, r->newest);
    PL_BUF_LIT(out, "}\n");
}

#define COLUMNS 8
typedef struct line {
    pl_str cells[COLUMNS];
} line;

static pl_str cell(dlq *d, pl_str text)
{
    pl_buf out;
    pl_buf_init(&out);
    dlq_write_text(&out, text, "");
    pl_str copy = pl_arena_str(&d->arena, pl_buf_view(&out));
    pl_buf_dispose(&out);
    return copy.ptr ? copy : PL_STR("?");
}

static pl_str time_cell(dlq *d, int64_t ms)
{
    pl_buf out;
    pl_buf_init(&out);
    dlq_write_time(&out, ms);
    pl_str copy = cell(d, pl_buf_view(&out));
    pl_buf_dispose(&out);
    return copy;
}

static pl_str number_cell(dlq *d, uint64_t n)
{
    pl_str copy = pl_arena_printf(&d->arena, "%" PRIu64, n);
    return copy.ptr ? copy : PL_STR("?");
}

static line line_of(dlq *d, const row *r)
{
    return (line){{cell(d, r->topic), number_cell(d, r->waiting), number_cell(d, r->done), cell(d, r->from),
                   cell(d, r->group), cell(d, r->code), time_cell(d, r->oldest), time_cell(d, r->newest)}};
}

static void write_table(dlq *d, pl_buf *out, row *const *rows, size_t count)
{
    static const line head = {{PL_STR("TOPIC"), PL_STR("WAITING"), PL_STR("DONE"), PL_STR("FROM"),
                               PL_STR("GROUP"), PL_STR("CODE"), PL_STR("OLDEST"), PL_STR("NEWEST")}};
    size_t widths[COLUMNS] = {0};
    line *lines = pl_arena_array(&d->arena, count + 1, sizeof *lines);
    for (size_t i = 0; lines && i <= count; i++) {
        lines[i] = i == 0 ? head : line_of(d, rows[i - 1]);
        for (int c = 0; c < COLUMNS; c++)
            widths[c] = lines[i].cells[c].len > widths[c] ? lines[i].cells[c].len : widths[c];
    }
    for (size_t i = 0; lines && i <= count; i++) {
        for (int c = 0; c < COLUMNS; c++) {
            bool right = c == 1 || c == 2;
            pl_buf_printf(out, right ? "%*.*s" : "%-*.*s", (int)(c == COLUMNS - 1 ? 0 : widths[c]),
                          PL_STR_ARG(lines[i].cells[c]));
            pl_buf_printf(out, "%s", c == COLUMNS - 1 ? "\n" : "  ");
        }
    }
}

static void print_rows(listing *l)
{
    dlq *d = l->d;
    size_t count = l->rows.count;
    row **rows = pl_arena_array(&d->arena, count, sizeof *rows);
    pl_buf out;
    if (!rows)
        return;
    for (size_t i = 0; i < count; i++)
        rows[i] = l->rows.entries[i].value;
    qsort(rows, count, sizeof *rows, by_place);
    pl_buf_init(&out);
    for (size_t i = 0; d->json && i < count; i++)
        write_json(&out, rows[i]);
    if (!d->json && count > 0)
        write_table(d, &out, rows, count);
    else if (!d->json)
        PL_BUF_LIT(&out, "There are no dead letters.\n");
    pl_cli_print(&out);
    pl_buf_dispose(&out);
}

int dlq_list(dlq *d, const char *topic)
{
    listing l = {.d = d};
    pl_map_init(&l.rows);
    pl_code code = topic ? scan_topic(&l, topic) : scan_all(&l);
    if (!code)
        print_rows(&l);
    pl_map_dispose(&l.rows);
    return code ? 1 : 0;
}
