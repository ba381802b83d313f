/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_DIAGNOSTICS_H
#define PL_GRAPHQL_DIAGNOSTICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "graphql/language/ast.h"

/* A list of what is wrong with a document or a schema. In an arena; messages are graphql-js's where it has
 * one. */
typedef struct gql_diagnostic gql_diagnostic;
struct gql_diagnostic {
    gql_diagnostic *next;
    pl_str message;
    const char *rule; /* "KnownTypeNames"; NULL for errors that are no validation rule's */
    const char *file; /* of the first location */
    gql_loc *locations;
    uint32_t location_count;
    const char *limit; /* of a limit that was passed: the setting's name; NULL for other errors */
    uint64_t value, most;
    uint64_t retry_after_ms; /* of a rate limit: when it will do; 0: no matter when */
};
typedef struct gql_diagnostics {
    pl_arena *arena;
    gql_diagnostic *first, *last;
    uint32_t count;
    uint32_t max; /* 0: no bound. What is more is dropped, and sets `full` */
    bool full;
    bool out_of_memory;
} gql_diagnostics;

void gql_diagnostics_init(gql_diagnostics *list, pl_arena *arena, uint32_t max);
/* Adds one with up to two locations (a zero line: not given); returns it so that more can be added, or NULL.
 */
gql_diagnostic *gql_diagnose(gql_diagnostics *list, const char *rule, const gql_source *source, gql_loc first,
                             gql_loc second, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Adds one more location to d (NULL: nothing). */
void gql_diagnose_also(gql_diagnostics *list, gql_diagnostic *d, gql_loc loc);

#endif
