/* SPDX-License-Identifier: MIT */
#ifndef PLUA_PATTERN_H
#define PLUA_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "bindings/lua/plua.h"

/* Lua patterns (reference manual, section 6.4.1), compiled and matched without recursion.
 *
 * A pattern becomes an array of items. A pattern has no groups that repeat, so that a path through it takes
 * every item at most once; as an item leaves at most one frame on the backtracking stack, the stack is no
 * longer than the items are many, and both are sized once. What is malformed becomes an item, too, that
 * raises the error when the match gets there: a part that is never reached is never complained about, as in
 * Lua itself. */

#define PLUA_MAX_CAPTURES 32

typedef uint64_t plua_byte_set[4]; /* one bit a byte value */

typedef enum plua_item_kind {
    PLUA_CHAR, /* the first three match one byte, and can repeat */
    PLUA_ANY,
    PLUA_SET,
    PLUA_OPEN,
    PLUA_OPEN_POSITION,
    PLUA_CLOSE,
    PLUA_BACK,     /* %1 */
    PLUA_BALANCED, /* %bxy */
    PLUA_FRONTIER, /* %f[set] */
    PLUA_AT_END,   /* $ */
    PLUA_MALFORMED,
    PLUA_END,
} plua_item_kind;

typedef enum plua_repeat { PLUA_ONCE, PLUA_STAR, PLUA_PLUS, PLUA_LAZY, PLUA_OPTIONAL } plua_repeat;

typedef struct plua_item {
    uint8_t kind, repeat;
    uint8_t a, b; /* CHAR: a. BALANCED: a and b. BACK: a is the digit. */
    union {
        const uint64_t *set;
        const char *message;
    };
} plua_item;

typedef struct plua_frame {
    const plua_item *item;
    const char *at, *low;
    int kind, capture;
} plua_frame;

typedef struct plua_capture {
    const char *start;
    ptrdiff_t len;
} plua_capture;
#define PLUA_CAPTURE_OPEN (-1)
#define PLUA_CAPTURE_POSITION (-2)

typedef struct plua_pattern {
    plua_item *items;
    plua_frame *frames;
} plua_pattern;

/* Bytes that plua_pattern_compile needs for this pattern. */
size_t plua_pattern_size(const char *text, size_t len);
/* Fills *pattern from the text (without a leading anchor); memory is plua_pattern_size bytes, 8-aligned, and
 * lives as long. */
void plua_pattern_compile(plua_pattern *pattern, void *memory, const char *text, size_t len);

typedef struct plua_match {
    lua_State *L;
    plua_pattern pattern;
    const char *src, *end; /* the subject */
    int budget;            /* steps until the next look at the interruption */
    int level;             /* captures, open or closed */
    size_t depth;          /* frames in use */
    plua_capture captures[PLUA_MAX_CAPTURES];
} plua_match;

/* Matches at s exactly: the end of the match, or NULL. [jumps] */
const char *plua_match_at(plua_match *m, const char *s);
/* Matches at s or the first place after it: start in *start. With anchored, at s only. [jumps] */
const char *plua_match_from(plua_match *m, const char *s, bool anchored, const char **start);

#endif
