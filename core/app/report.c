/* SPDX-License-Identifier: MIT */
#include "app/report.h"

#include <stdio.h>

#include "value/json.h"

#define MAX_PROBLEMS 100

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

static void add(pl_report *report, gql_diagnostics *list, const char *file, uint32_t line, uint32_t column, const char *fmt, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, args);
    gql_source source = {.name = file ? pl_arena_str(&report->arena, pl_str_of(file)).ptr : NULL};
    gql_diagnose(list, NULL, &source, (gql_loc){line, column, 0}, (gql_loc){0}, "%s", text);
}

void pl_report_error(pl_report *report, const char *file, uint32_t line, uint32_t column, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add(report, &report->errors, file, line, column, fmt, args);
    va_end(args);
}

void pl_report_warning(pl_report *report, const char *file, uint32_t line, uint32_t column, const char *fmt, ...)
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

static void print_place(const gql_diagnostic *d, pl_buf *out)
{
    if (d->file)
        pl_buf_str(out, pl_str_of(d->file));
    if (d->location_count > 0) {
        pl_buf_printf(out, ":%u", d->locations[0].line);
        if (d->locations[0].column > 0)
            pl_buf_printf(out, ":%u", d->locations[0].column);
    }
    if (d->file)
        PL_BUF_LIT(out, ": ");
}

static void print_list(const gql_diagnostics *list, const char *mark, pl_buf *out)
{
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        print_place(d, out);
        pl_buf_printf(out, "%s%.*s\n", mark, PL_STR_ARG(d->message));
    }
    if (list->full)
        pl_buf_printf(out, "%smore than %d problems; the rest is not shown\n", mark, MAX_PROBLEMS);
    if (list->out_of_memory)
        PL_BUF_LIT(out, "out of memory\n");
}

void pl_report_text(const pl_report *report, pl_buf *out)
{
    print_list(&report->errors, "", out);
    print_list(&report->warnings, "warning: ", out);
}

static void json_list(const gql_diagnostics *list, const char *severity, pl_buf *out, bool *first)
{
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        pl_buf_str(out, *first ? PL_STR("{") : PL_STR(",{"));
        *first = false;
        if (d->file) {
            PL_BUF_LIT(out, "\"file\":");
            pl_json_string(out, pl_str_of(d->file));
            pl_buf_char(out, ',');
        }
        if (d->location_count > 0)
            pl_buf_printf(out, "\"line\":%u,\"column\":%u,", d->locations[0].line, d->locations[0].column);
        PL_BUF_LIT(out, "\"message\":");
        pl_json_string(out, d->message);
        pl_buf_printf(out, ",\"severity\":\"%s\"}", severity);
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
}

void pl_report_log(const pl_report *report, pl_logger *log)
{
    log_list(&report->errors, PL_ERROR, "bundle error", log);
    log_list(&report->warnings, PL_WARN, "bundle warning", log);
}
