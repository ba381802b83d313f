/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_REPORT_H
#define PL_APP_REPORT_H

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "graphql/diagnostics.h"

/* What is wrong with a bundle, for the person who changes it: messages with file, line and column. */
typedef struct pl_report {
    pl_arena arena;
    gql_diagnostics errors;
    gql_diagnostics warnings;
} pl_report;

void pl_report_init(pl_report *report);
void pl_report_dispose(pl_report *report);
/* file may be NULL, line and column 0. */
void pl_report_error(pl_report *report, const char *file, uint32_t line, uint32_t column, const char *fmt,
                     ...) __attribute__((format(printf, 5, 6)));
void pl_report_warning(pl_report *report, const char *file, uint32_t line, uint32_t column, const char *fmt,
                       ...) __attribute__((format(printf, 5, 6)));
void pl_report_add(pl_report *report, const pl_error *err); /* as an error */
/* Copies the names of files, which the checks of a schema and of resolvers leave in the bundle: after that
 * the bundle may go. */
void pl_report_keep(pl_report *report);
static inline bool pl_report_has_errors(const pl_report *report)
{
    return report->errors.count > 0 || report->errors.out_of_memory;
}
/* One line each, "file:line:column: message", warnings after errors, marked so. */
void pl_report_text(const pl_report *report, pl_buf *out);
/* [{"file", "line", "column", "message", "severity"}] */
void pl_report_json(const pl_report *report, pl_buf *out);
void pl_report_log(const pl_report *report, pl_logger *log);

#endif
