/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_ERROR_H
#define PL_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* The canonical codes of gRPC, used by every protocol (design: one error taxonomy). PL_OK is 0, so a
 * function that returns a pl_code is tested with `if (code)`. */
typedef enum pl_code {
    PL_OK = 0,
    PL_CANCELLED = 1,
    PL_UNKNOWN = 2,
    PL_INVALID_ARGUMENT = 3,
    PL_DEADLINE_EXCEEDED = 4,
    PL_NOT_FOUND = 5,
    PL_ALREADY_EXISTS = 6,
    PL_PERMISSION_DENIED = 7,
    PL_RESOURCE_EXHAUSTED = 8,
    PL_FAILED_PRECONDITION = 9,
    PL_ABORTED = 10,
    PL_OUT_OF_RANGE = 11,
    PL_UNIMPLEMENTED = 12,
    PL_INTERNAL = 13,
    PL_UNAVAILABLE = 14,
    PL_DATA_LOSS = 15,
    PL_UNAUTHENTICATED = 16,
} pl_code;

/* "NOT_FOUND" for PL_NOT_FOUND; "UNKNOWN" for a number that is no code. Static storage. */
const char *pl_code_name(pl_code code);

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
