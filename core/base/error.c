/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

const char *pl_code_name(pl_code code)
{
    static const char *const names[] = {
        [PL_OK] = "OK",
        [PL_CANCELLED] = "CANCELLED",
        [PL_UNKNOWN] = "UNKNOWN",
        [PL_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [PL_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [PL_NOT_FOUND] = "NOT_FOUND",
        [PL_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [PL_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [PL_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [PL_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [PL_ABORTED] = "ABORTED",
        [PL_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [PL_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [PL_INTERNAL] = "INTERNAL",
        [PL_UNAVAILABLE] = "UNAVAILABLE",
        [PL_DATA_LOSS] = "DATA_LOSS",
        [PL_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };
    unsigned i = (unsigned)code;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "UNKNOWN";
}

/* Ends text, which fills its buffer to len, before a UTF-8 sequence that was cut in two. */
static void end_on_boundary(char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 4 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (len - (start - 1) < need)
        text[start - 1] = '\0';
}

/* Formats aside first: the arguments may point into *err. */
static void fill(pl_error *err, pl_code code, const char *file, uint32_t line, uint32_t column,
                 const char *fmt, va_list args)
{
    char message[sizeof(err->message)], name[sizeof(err->file)];
    int n = vsnprintf(message, sizeof(message), fmt, args);
    if (n < 0)
        message[0] = '\0';
    else if ((size_t)n >= sizeof(message))
        end_on_boundary(message, sizeof(message) - 1);
    size_t len = strnlen(file, sizeof(name));
    if (len == sizeof(name))
        len--;
    memcpy(name, file, len);
    name[len] = '\0';
    if (file[len] != '\0')
        end_on_boundary(name, len);
    err->code = code;
    err->line = line;
    err->column = column;
    memcpy(err->file, name, strlen(name) + 1);
    memcpy(err->message, message, strlen(message) + 1);
}

pl_code pl_fail(pl_error *err, pl_code code, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        fill(err, code, "", 0, 0, fmt, args);
        va_end(args);
    }
    return code;
}

pl_code pl_fail_at(pl_error *err, pl_code code, const char *file, uint32_t line, uint32_t column,
                   const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        fill(err, code, file ? file : "", line, column, fmt, args);
        va_end(args);
    }
    return code;
}

pl_code pl_fail_memory(pl_error *err)
{
    return pl_fail(err, PL_RESOURCE_EXHAUSTED, "out of memory");
}
