/* SPDX-License-Identifier: MIT */
#include "app/report.h"

#include <stdio.h>

#include "value/json.h"

#define MAX_PROBLEMS 100
#define TEXT_OF(number) #number
#define TEXT(macro) TEXT_OF(macro)

void pl_report_init(pl_report *report)
{
    pl_arena_init(&report->arena, 0);
    gql_diagnostics_init(&report->errors, &report->arena, MAX_PROBLEMS);
    gql_diagnostics_init(&report->warnings, &report->arena, MAX_PROBLEMS);
}

void pl_report_dispose(pl_report *report)
{
    pl_arena_dispose(&report->arena);
}

static void add(pl_report *report, gql_diagnostics *list, const char *file, uint32_t line, uint32_t column,
                const char *fmt, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, args);
    gql_source source = {.name = file ? pl_arena_str(&report->arena, pl_str_of(file)).ptr : NULL};
    gql_diagnose(list, NULL, &source, (gql_loc){line, column, 0}, (gql_loc){0}, "%s", text);
}

void pl_report_error(pl_report *report, const char *file, uint32_t line, uint32_t column, const char *fmt,
                     ...)
{
    va_list args;
    va_start(args, fmt);
    add(report, &report->errors, file, line, column, fmt, args);
    va_end(args);
}

void pl_report_warning(pl_report *report, const char *file, uint32_t line, uint32_t column, const char *fmt,
                       ...)
{
    va_list args;
    va_start(args, fmt);
    add(report, &report->warnings, file, line, column, fmt, args);
    va_end(args);
}

void pl_report_add(pl_report *report, const pl_error *err)
{
    pl_report_error(report, err->file[0] ? err->file : NULL, err->line, err->column, "%s", err->message);
}

static void keep_names(pl_report *report, gql_diagnostics *list)
{
    const char *given = NULL, *kept = NULL;
    for (gql_diagnostic *d = list->first; d; d = d->next) {
        if (d->file != given) {
            given = d->file;
            kept = given ? pl_arena_str(&report->arena, pl_str_of(given)).ptr : NULL;
            list->out_of_memory |= given && !kept;
        }
        d->file = kept;
    }
}

void pl_report_keep(pl_report *report)
{
    keep_names(report, &report->errors);
    keep_names(report, &report->warnings);
}

static void print_place(const gql_diagnostic *d, pl_buf *out)
{
    if (!d->file)
        return;
    pl_buf_str(out, pl_str_of(d->file));
    if (d->location_count > 0) {
        pl_buf_printf(out, ":%u", d->locations[0].line);
        if (d->locations[0].column > 0)
            pl_buf_printf(out, ":%u", d->locations[0].column);
    }
    PL_BUF_LIT(out, ": ");
}

/* What is to be said about the list itself: the first of two lines, the second, NULL. */
static const char *remark(const gql_diagnostics *list, int i)
{
    static const char full[] = "There are more than " TEXT(MAX_PROBLEMS) " problems; the rest is not shown.";
    const char *first = list->full ? full : NULL, *second = list->out_of_memory ? "out of memory" : NULL;
    return i == 0 ? (first ? first : second) : i == 1 && first ? second : NULL;
}

static void print_list(const gql_diagnostics *list, const char *mark, pl_buf *out)
{
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        print_place(d, out);
        pl_buf_printf(out, "%s%.*s\n", mark, PL_STR_ARG(d->message));
    }
    for (int i = 0; remark(list, i); i++)
        pl_buf_printf(out, "%s%s\n", mark, remark(list, i));
}

void pl_report_text(const pl_report *report, pl_buf *out)
{
    print_list(&report->errors, "", out);
    print_list(&report->warnings, "warning: ", out);
}

static void json_message(pl_str message, const char *severity, pl_buf *out)
{
    PL_BUF_LIT(out, "\"message\":");
    pl_json_string(out, message);
    pl_buf_printf(out, ",\"severity\":\"%s\"}", severity);
}

static void json_begin(pl_buf *out, bool *first)
{
    pl_buf_str(out, *first ? PL_STR("{") : PL_STR(",{"));
    *first = false;
}

static void json_list(const gql_diagnostics *list, const char *severity, pl_buf *out, bool *first)
{
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        json_begin(out, first);
        if (d->file) {
            PL_BUF_LIT(out, "\"file\":");
            pl_json_string(out, pl_str_of(d->file));
            pl_buf_char(out, ',');
        }
        if (d->location_count > 0)
            pl_buf_printf(out, "\"line\":%u,\"column\":%u,", d->locations[0].line, d->locations[0].column);
        json_message(d->message, severity, out);
    }
    for (int i = 0; remark(list, i); i++) {
        json_begin(out, first);
        json_message(pl_str_of(remark(list, i)), severity, out);
    }
}

void pl_report_json(const pl_report *report, pl_buf *out)
{
    bool first = true;
    pl_buf_char(out, '[');
    json_list(&report->errors, "error", out, &first);
    json_list(&report->warnings, "warning", out, &first);
    pl_buf_char(out, ']');
}

static void log_list(const gql_diagnostics *list, pl_level level, const char *message, pl_logger *log)
{
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        pl_buf place;
        pl_buf_init(&place);
        print_place(d, &place);
        if (place.len > 2)
            place.len -= 2;
        pl_log(log, level, message, PL_F_STR("at", pl_buf_view(&place)), PL_F_STR("problem", d->message));
        pl_buf_dispose(&place);
    }
    for (int i = 0; remark(list, i); i++)
        pl_log(log, level, message, PL_F_CSTR("problem", remark(list, i)));
}

void pl_report_log(const pl_report *report, pl_logger *log)
{
    log_list(&report->errors, PL_ERROR, "bundle error", log);
    log_list(&report->warnings, PL_WARN, "bundle warning", log);
}
