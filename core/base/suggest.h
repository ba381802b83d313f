/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_SUGGEST_H
#define PL_BASE_SUGGEST_H

#include "base/arena.h"
#include "base/str.h"

/* "Did you mean …?": the five names nearest to what was written, as graphql-js picks and orders them. Holds
 * views of the names given to it. Names of more than PL_SUGGEST_MAX bytes are never compared, so the work
 * for a name is bounded. */
#define PL_SUGGEST_MAX 128
#define PL_SUGGEST_COUNT 5
typedef struct pl_suggestions {
    pl_str input;
    pl_str names[PL_SUGGEST_COUNT];
    unsigned distances[PL_SUGGEST_COUNT];
    unsigned count;
} pl_suggestions;

void pl_suggest_init(pl_suggestions *s, pl_str input);
void pl_suggest_add(pl_suggestions *s, pl_str name);
/* ` Did you mean "a", "b", or "c"?`, with what (may be NULL) before the names: "the enum value". Empty when
 * nothing is near enough, or when memory is short. */
pl_str pl_suggest_text(const pl_suggestions *s, pl_arena *arena, const char *what);

/* The order of names in sorted lists: that of bytes, but runs of digits compare as numbers. <0, 0, >0. */
int pl_natural_compare(pl_str a, pl_str b);

#endif
