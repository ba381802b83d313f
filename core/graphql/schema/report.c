/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "graphql/schema/internal.h"

void *gql_build_alloc(gql_builder *b, size_t count, size_t size)
{
    void *p = pl_arena_array(&b->schema->arena, count, size);
    b->no_memory |= !p;
    return p;
}

void *gql_scratch_alloc(gql_builder *b, size_t count, size_t size)
{
    void *p = pl_arena_array(&b->scratch, count, size);
    b->no_memory |= !p;
    return p;
}

bool gql_build_map(gql_builder *b, pl_map *map, pl_str key, void *value)
{
    bool ok = pl_map_set(map, key, value);
    b->no_memory |= !ok;
    return ok;
}

/* The source to hand to gql_diagnose: its name has to outlive the schema. */
static const gql_source *listed_source(gql_builder *b, const gql_source *source)
{
    if (!source || source < b->sources || source >= b->sources + b->count)
        return NULL;
    gql_source *out = &b->listed[source - b->sources];
    if (!out->name) {
        *out = *source;
        out->name = pl_arena_str(b->list->arena, pl_str_of(source->name)).ptr;
        b->no_memory |= !out->name;
    }
    return out->name ? out : NULL;
}

static pl_str format_message(gql_builder *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    char *text = len < 0 ? NULL : gql_scratch_alloc(b, (size_t)len + 1, 1);
    if (text)
        vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return (pl_str){text, text ? (size_t)len : 0};
}

/* " (see also a.graphql:3:6)" for the places that are not in the file of the diagnostic, which has one file
 * only. */
static pl_str elsewhere(gql_builder *b, const gql_place *places, uint32_t count, const gql_source *home)
{
    pl_str text = PL_STR("");
    for (uint32_t i = 0; i < count; i++) {
        const gql_source *source = places[i].source;
        if (!source || source == home)
            continue;
        text =
            pl_arena_printf(&b->scratch, "%.*s%s%s:%u:%u", PL_STR_ARG(text), text.len ? ", " : " (see also ",
                            source->name, places[i].loc.line, places[i].loc.column);
        if (!text.ptr)
            return PL_STR("");
    }
    return text;
}

void gql_report(gql_builder *b, const char *rule, const gql_place *places, uint32_t count, const char *fmt,
                ...)
{
    b->errors++;
    if (gql_build_stop(b))
        return;
    va_list args;
    va_start(args, fmt);
    pl_str message = format_message(b, fmt, args);
    va_end(args);
    const gql_source *home = NULL;
    for (uint32_t i = count; i > 0 && !home; i--)
        home = places[i - 1].source;
    pl_str others = elsewhere(b, places, count, home);
    const gql_source *listed = listed_source(b, home ? home : b->sources);
    if (b->no_memory)
        return;
    gql_diagnostic *d = NULL;
    gql_loc none = {0};
    uint32_t first = 0;
    while (first < count && (!places[first].source || places[first].source != home))
        first++;
    d = gql_diagnose(b->list, rule, listed, first < count ? places[first].loc : none, none, "%.*s%.*s%s",
                     PL_STR_ARG(message), PL_STR_ARG(others), others.len ? ")" : "");
    for (uint32_t i = first + 1; d && i < count; i++) {
        if (places[i].source == home && home)
            gql_diagnose_also(b->list, d, places[i].loc);
    }
    b->no_memory |= b->list->out_of_memory;
}
