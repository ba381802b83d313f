/* SPDX-License-Identifier: MIT */
#include "graphql/diagnostics.h"

#include <stdarg.h>
#include <stdio.h>

enum { FIRST_LOCATIONS = 2 };

void gql_diagnostics_init(gql_diagnostics *list, pl_arena *arena, uint32_t max)
{
    *list = (gql_diagnostics){.arena = arena, .max = max};
}

static pl_str format(pl_arena *arena, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, args);
    char *text = length < 0 ? NULL : pl_arena_alloc(arena, (size_t)length + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)length + 1, fmt, again);
    va_end(again);
    return text ? (pl_str){text, (size_t)length} : PL_STR_NONE;
}

gql_diagnostic *gql_diagnose(gql_diagnostics *list, const char *rule, const gql_source *source, gql_loc first,
                             gql_loc second, const char *fmt, ...)
{
    if (list->max != 0 && list->count >= list->max) {
        list->full = true;
        return NULL;
    }
    gql_diagnostic *d = pl_arena_zalloc(list->arena, sizeof(*d));
    gql_loc *locations = pl_arena_alloc(list->arena, FIRST_LOCATIONS * sizeof(*locations));
    va_list args;
    va_start(args, fmt);
    pl_str message = format(list->arena, fmt, args);
    va_end(args);
    if (d == NULL || locations == NULL || message.ptr == NULL) {
        list->out_of_memory = true;
        return NULL;
    }
    d->message = message;
    d->rule = rule;
    d->file = source ? source->name : NULL;
    d->locations = locations;
    if (first.line != 0)
        locations[d->location_count++] = first;
    if (second.line != 0)
        locations[d->location_count++] = second;
    if (list->last != NULL)
        list->last->next = d;
    else
        list->first = d;
    list->last = d;
    list->count++;
    return d;
}

/* Room for the locations is doubled when it is used up, which a count that is a power of two shows. */
void gql_diagnose_also(gql_diagnostics *list, gql_diagnostic *d, gql_loc loc)
{
    if (d == NULL || loc.line == 0)
        return;
    uint32_t n = d->location_count;
    if (n >= FIRST_LOCATIONS && (n & (n - 1)) == 0) {
        gql_loc *grown = pl_arena_alloc(list->arena, 2 * (size_t)n * sizeof(*grown));
        if (grown == NULL) {
            list->out_of_memory = true;
            return;
        }
        memcpy(grown, d->locations, n * sizeof(*grown));
        d->locations = grown;
    }
    d->locations[d->location_count++] = loc;
}
