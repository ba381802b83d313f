/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"
#include "graphql/language/printer.h"
#include "graphql/validation/walk.h"

#define MAX_REPORTED 10000

static void stop(gql_walk *w, pl_code code)
{
    if (!w->stopped || code == PL_RESOURCE_EXHAUSTED)
        w->code = code;
    w->stopped = true;
}

void gql_walk_no_memory(gql_walk *w)
{
    w->list->out_of_memory = true;
    stop(w, PL_RESOURCE_EXHAUSTED);
}

gql_diagnostic *gql_walk_reported(gql_walk *w, gql_diagnostic *d)
{
    if (w->list->out_of_memory) {
        stop(w, PL_RESOURCE_EXHAUSTED);
    } else if (w->list->full) {
        stop(w, PL_INVALID_ARGUMENT);
    } else if (++w->reported == MAX_REPORTED) {
        gql_diagnose(w->list, NULL, w->document->source, GQL_NOWHERE, GQL_NOWHERE,
                     "Too many validation errors, error limit reached. Validation aborted.");
        stop(w, PL_RESOURCE_EXHAUSTED);
    } else if (!w->stopped) {
        w->code = PL_INVALID_ARGUMENT;
    }
    return d;
}

void gql_walk_exhausted(gql_walk *w, const char *rule, const char *what, uint32_t limit)
{
    gql_diagnose(w->list, rule, w->document->source, GQL_NOWHERE, GQL_NOWHERE,
                 "Too many %s, limit of %u reached. Validation aborted.", what, limit);
    stop(w, PL_RESOURCE_EXHAUSTED);
}

bool gql_walk_visit(gql_walk *w, uint32_t cost)
{
    if (w->stopped)
        return false;
    if (cost <= w->visits_left) {
        w->visits_left -= cost;
        return true;
    }
    uint32_t limit = w->options->max_fragment_visits;
    gql_walk_exhausted(w, w->rule ? w->rule->name : NULL, "fragment visits",
                       limit ? limit : GQL_DEFAULT_FRAGMENT_VISITS);
    return false;
}

void *gql_walk_alloc(gql_walk *w, size_t count, size_t size)
{
    void *p = pl_arena_array(&w->arena, count, size);
    if (!p)
        gql_walk_no_memory(w);
    return p;
}

bool gql_walk_grow(gql_walk *w, void *items, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    uint32_t room = *capacity ? *capacity * 2 : 8;
    void *old, *grown = gql_walk_alloc(w, room, size);
    if (!grown)
        return false;
    memcpy(&old, items, sizeof(old));
    if (count != 0)
        memcpy(grown, old, count * size);
    memcpy(items, &grown, sizeof(grown));
    *capacity = room;
    return true;
}

bool gql_walk_map_set(gql_walk *w, pl_map *map, pl_str key, const void *value)
{
    bool done = pl_map_set(map, key, (void *)(uintptr_t)value);
    if (!done)
        gql_walk_no_memory(w);
    return done;
}

/* --- names that are repeated --- */
static pl_str name_at(const void *items, size_t stride, uint32_t i)
{
    return *(const pl_str *)(const void *)((const char *)items + i * stride);
}

static bool all_differ(const void *items, uint32_t count, size_t stride)
{
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (pl_str_eq(name_at(items, stride, i), name_at(items, stride, j)))
                return false;
        }
    }
    return true;
}

bool gql_find_same(gql_walk *w, const void *items, uint32_t count, size_t stride, gql_same *out)
{
    enum { FEW = 12 };
    pl_map places = {0}; /* name -> the last item of that name, its next-to-be */
    *out = (gql_same){0};
    if (count <= FEW && all_differ(items, count, stride))
        return true;
    uint32_t *first = gql_walk_alloc(w, count, sizeof(*first)),
             *next = gql_walk_alloc(w, count, sizeof(*next));
    if (!first || !next)
        return false;
    bool repeated = false;
    for (uint32_t i = 0; i < count && !w->stopped; i++) {
        uint32_t *last = pl_map_get(&places, name_at(items, stride, i));
        first[i] = last ? first[last - next] : i;
        if (last) {
            *last = i;
            repeated = true;
        }
        gql_walk_map_set(w, &places, name_at(items, stride, i), &next[i]);
    }
    pl_map_dispose(&places);
    if (repeated)
        *out = (gql_same){first, next};
    return !w->stopped;
}

/* --- trails --- */
bool gql_trail_push(gql_walk *w, gql_trail *trail, const gql_selection_set *set, uint32_t tag,
                    const gql_selection *via)
{
    if (!gql_walk_grow(w, &trail->steps, trail->count, &trail->capacity, sizeof(*trail->steps)))
        return false;
    trail->steps[trail->count++] = (gql_trail_step){set, 0, tag, via};
    return true;
}

const gql_selection *gql_trail_next(gql_trail *trail, uint32_t *tag)
{
    while (trail->count != 0) {
        gql_trail_step *step = &trail->steps[trail->count - 1];
        if (step->next < step->set->count) {
            *tag = step->tag;
            return &step->set->items[step->next++];
        }
        trail->count--;
    }
    return NULL;
}

/* --- small things --- */
const gql_typeref *gql_walk_typeref(gql_walk *w, const gql_type *type)
{
    const gql_typeref *found = gql_schema_typeref(w->schema, &w->arena, type);
    if (!found) {
        while (type->kind != GQL_TYPE_NAMED)
            type = type->of;
        if (gql_schema_type(w->schema, type->name))
            gql_walk_no_memory(w);
    }
    return found;
}

const gql_directive *gql_find_directive(const gql_directives *directives, const char *name)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        if (pl_str_is(directives->items[i].name.text, name))
            return &directives->items[i];
    }
    return NULL;
}

const gql_argument *gql_find_argument(const gql_directive *directive, const char *name)
{
    for (uint32_t i = 0; i < directive->argument_count; i++) {
        if (pl_str_is(directive->arguments[i].name.text, name))
            return &directive->arguments[i];
    }
    return NULL;
}

pl_str gql_value_text(gql_walk *w, const gql_value *value)
{
    pl_buf buf;
    pl_buf_init(&buf);
    gql_print_value(&buf, value);
    pl_str text = buf.failed ? PL_STR_NONE : pl_arena_str(&w->arena, pl_buf_view(&buf));
    pl_buf_dispose(&buf);
    if (!text.ptr)
        gql_walk_no_memory(w);
    return text.ptr ? text : PL_STR("");
}

bool pl_suggest_afford(gql_walk *w, uint64_t cost)
{
    if (cost > w->suggest_left) {
        w->suggest_left = 0;
        return false;
    }
    w->suggest_left -= cost;
    return true;
}

pl_str pl_suggest_inputs(gql_walk *w, pl_str name, const gql_input *inputs, uint32_t count)
{
    pl_suggestions s;
    pl_suggest_init(&s, name);
    for (uint32_t i = 0; i < count && pl_suggest_afford(w, name.len * inputs[i].name.len + 1); i++)
        pl_suggest_add(&s, inputs[i].name);
    return pl_suggest_text(&s, &w->arena, NULL);
}
