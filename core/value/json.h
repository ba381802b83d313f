/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_JSON_H
#define PL_VALUE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "value/value.h"

/* --- Reading (RFC 8259) ---
 * One strict pass over the bytes makes a tape of tokens (value/json_tape.h), so that every error has a place;
 * the tree is made of that. */
typedef struct pl_json_limits {
    unsigned max_depth; /* nested lists and maps; 0 is 64, more than 900 is 900 */
    size_t max_bytes;   /* 0 is no limit */
    bool unique_names;  /* refuse a map that has a name twice, at whatever depth */
    bool skip_bom;      /* pass over a byte order mark, which RFC 8259 lets a reader do */
} pl_json_limits;

/* Fills *out, its strings copied into arena. Integers without fraction and exponent that fit in 64 bits
 * become PL_KIND_INT, exactly; all other numbers PL_KIND_FLOAT (one that no double can hold, as 1e400, is
 * refused). Of a repeated key the last value counts, in the place of the first. *out is set on success only.
 * Errors: INVALID_ARGUMENT with "… at byte N" in the message (and N + 1 in err->column, line 1),
 * RESOURCE_EXHAUSTED for depth, size and memory. "\u0000" in a string is refused: scripts hand strings to
 * what ends them there.
 */
pl_code pl_json_read(pl_arena *arena, pl_str text, const pl_json_limits *limits, pl_value *out,
                     pl_error *err);

/* --- Writing: appends to a pl_buf; a failed growth shows in buf->failed --- */
/* With quotes. Escapes ", \ and control characters; bytes that are not UTF-8 become U+FFFD, and false is
 * returned, so that a caller that must not lose anything can report it. */
bool pl_json_string(pl_buf *out, pl_str s);
void pl_json_int(pl_buf *out, int64_t v);
/* Shortest form that reads back as the same double; NaN and infinities, which JSON lacks, become null and
 * false is returned. An integral value has no ".0" ("3", "1e+21"), as JavaScript prints it. */
bool pl_json_double(pl_buf *out, double v);
void pl_json_value(pl_buf *out, const pl_value *v); /* ABSENT, OTHER and SCRIPT are written as null */
/* Copies the JSON in `json` to out with two-space indentation. json must be valid (our own output). */
void pl_json_pretty(pl_buf *out, pl_str json);

#endif
