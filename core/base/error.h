/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_ERROR_H
#define PL_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "perilune/code.h"

/* An error as a function reports it: no allocation, so that it works when memory is what is missing.
 * file is "" and line is 0 where there is no place to name; column and offset count from 1 and 0. */
typedef struct pl_error {
    pl_code code;
    uint32_t line;
    uint32_t column;
    char file[256];
    char message[1024];
} pl_error;

/* An error that says nothing yet. Where a request or a field passes, this instead of `= {0}`, which would
 * write more than a kilobyte. */
static inline void pl_error_clear(pl_error *err)
{
    err->code = PL_OK;
    err->line = err->column = 0;
    err->file[0] = err->message[0] = '\0';
}

/* Fills *err (which may be NULL) and returns code. The message is cut at the end of its buffer, on a
 * UTF-8 boundary. */
pl_code pl_fail(pl_error *err, pl_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
pl_code pl_fail_at(pl_error *err, pl_code code, const char *file, uint32_t line, uint32_t column,
                   const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* For out of memory: RESOURCE_EXHAUSTED, "out of memory". */
pl_code pl_fail_memory(pl_error *err);

#endif
