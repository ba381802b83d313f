/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_SUGGEST_H
#define PL_GRAPHQL_SUGGEST_H

#include "base/arena.h"
#include "base/str.h"

/* "Did you mean …?": the five names nearest to what was written, as graphql-js picks and orders them. Holds
 * views of the names given to it. Names of more than GQL_SUGGEST_MAX bytes are never compared, so the work
 * for a name is bounded. */
#define GQL_SUGGEST_MAX 128
#define GQL_SUGGEST_COUNT 5
typedef struct gql_suggestions {
    pl_str input;
    pl_str names[GQL_SUGGEST_COUNT];
    unsigned distances[GQL_SUGGEST_COUNT];
    unsigned count;
} gql_suggestions;

void gql_suggest_init(gql_suggestions *s, pl_str input);
void gql_suggest_add(gql_suggestions *s, pl_str name);
/* ` Did you mean "a", "b", or "c"?`, with what (may be NULL) before the names: "the enum value". Empty when
 * nothing is near enough, or when memory is short. */
pl_str gql_suggest_text(const gql_suggestions *s, pl_arena *arena, const char *what);

/* The order of names in sorted lists: that of bytes, but runs of digits compare as numbers. <0, 0, >0. */
int gql_natural_compare(pl_str a, pl_str b);

#endif
