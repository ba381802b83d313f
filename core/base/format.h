/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_FORMAT_H
#define PL_BASE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Scalars as JSON text, whatever the locale: for the JSON writer (value/json.h) and the log. */

#define PL_FORMAT_INT_MAX 20
#define PL_FORMAT_DOUBLE_MAX 32

/* Writes v in decimal, without a NUL; returns the bytes written. */
size_t pl_format_int(char out[PL_FORMAT_INT_MAX], int64_t v);
/* Writes a finite v in its shortest form that reads back as v, laid out as JavaScript does; without a NUL.
 * Returns the bytes written. */
size_t pl_format_double(char out[PL_FORMAT_DOUBLE_MAX], double v);
/* Appends s in quotes. Bytes that are not UTF-8 become U+FFFD; then it gives false. */
bool pl_format_string(pl_buf *out, pl_str s);
/* The same, as the name of a member: with a comma before it unless it is the first, and a colon behind. */
bool pl_format_name(pl_buf *out, pl_str s, bool first);
/* How many bytes, from the first, stand in a JSON string as they are and are ASCII. */
size_t pl_format_plain(const char *bytes, size_t len);

#endif
