/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "graphql/language/printer.h"
#include "graphql/validation/overlaps.h"

/* OverlappingFieldsCanBeMerged, in two parts.
 *
 * The *search* (overlapping_search.c) finds out whether there is a conflict at all. It works on sets: fields
 * that end up under one response name are put together, compared with one of them, and what is selected from
 * them is put together in turn. So two thousand fields of one name are two thousand steps. Almost all
 * documents end here.
 *
 * The *report* (overlapping_report.c) runs when there is a conflict, and compares fields pair by pair, as
 * graphql-js does, to give the same messages, in the same order. Its work is bounded by the budget alone: by
 * then the document is refused anyway.
 *
 * Both see fields through this file. */

#define DEFAULT_COMPARISONS 100000

static uint32_t limit_of(const gql_walk *w)
{
    return w->options->max_comparisons ? w->options->max_comparisons : DEFAULT_COMPARISONS;
}

bool gql_overlaps_spend(gql_walk *w, uint32_t cost)
{
    if (!gql_overlaps_going(w))
        return false;
    if (cost <= w->overlaps->budget) {
        w->overlaps->budget -= cost;
        w->comparisons += cost;
        return true;
    }
    w->overlaps->spent = true;
    return false;
}

void gql_overlaps_exhausted(gql_walk *w)
{
    gql_walk_exhausted(w, w->rule->name, "comparisons of fields", limit_of(w));
}

/* --- numbers for calls --- */
/* From 1; 0: stopped. text has to live as long as the walk. */
static uint32_t number_of(gql_walk *w, pl_str text)
{
    pl_map *calls = &w->overlaps->calls;
    uintptr_t number = (uintptr_t)pl_map_get(calls, text);
    if (number == 0 && gql_walk_map_set(w, calls, text, (const void *)(uintptr_t)(calls->count + 1)))
        number = calls->count;
    return (uint32_t)number;
}

static int by_name(const void *a, const void *b)
{
    return pl_str_cmp(((const gql_name *)a)->text, ((const gql_name *)b)->text);
}

/* Writes a value so that equal texts mean equal values: the order of an object's fields does not matter. */
static void write_value(gql_walk *w, pl_buf *out, const gql_value *value)
{
    if (value->kind == GQL_VALUE_LIST) {
        pl_buf_char(out, '[');
        for (uint32_t i = 0; i < value->count; i++) {
            write_value(w, out, &value->items[i]);
            pl_buf_char(out, ',');
        }
        pl_buf_char(out, ']');
    } else if (value->kind == GQL_VALUE_OBJECT) {
        gql_object_field *fields = gql_walk_alloc(w, value->count, sizeof(*fields));
        if (!fields)
            return;
        if (value->count != 0)
            memcpy(fields, value->fields, value->count * sizeof(*fields));
        qsort(fields, value->count, sizeof(*fields), by_name);
        pl_buf_char(out, '{');
        for (uint32_t i = 0; i < value->count; i++) {
            pl_buf_str(out, fields[i].name.text);
            pl_buf_char(out, ':');
            write_value(w, out, &fields[i].value);
            pl_buf_char(out, ',');
        }
        pl_buf_char(out, '}');
    } else {
        gql_print_value(out, value);
    }
}

/* The number of a call: name and arguments, in whatever order. */
static uint32_t call_of(gql_walk *w, pl_str name, const gql_argument *arguments, uint32_t count)
{
    if (count == 0)
        return number_of(w, name);
    pl_buf buf;
    pl_buf_init(&buf);
    gql_argument *sorted = gql_walk_alloc(w, count, sizeof(*sorted));
    if (sorted) {
        memcpy(sorted, arguments, count * sizeof(*sorted));
        qsort(sorted, count, sizeof(*sorted), by_name);
        pl_buf_str(&buf, name);
        for (uint32_t i = 0; i < count; i++) {
            pl_buf_char(&buf, '(');
            pl_buf_str(&buf, sorted[i].name.text);
            pl_buf_char(&buf, ':');
            write_value(w, &buf, &sorted[i].value);
        }
    }
    pl_str text = buf.failed || w->stopped ? PL_STR_NONE : pl_arena_str(&w->arena, pl_buf_view(&buf));
    pl_buf_dispose(&buf);
    if (!text.ptr)
        gql_walk_no_memory(w);
    return text.ptr ? number_of(w, text) : 0;
}

uint32_t gql_field_call(gql_walk *w, gql_field_use *use)
{
    if (use->call == 0)
        use->call = call_of(w, use->node->name.text, use->node->arguments, use->node->argument_count);
    return use->call;
}

uint32_t gql_stream_call(gql_walk *w, const gql_field_use *use)
{
    return call_of(w, PL_STR("@stream"), use->stream->arguments, use->stream->argument_count);
}

bool gql_shapes_conflict(const gql_typeref *a, const gql_typeref *b)
{
    while (a != b) {
        if (a->kind != b->kind)
            return true;
        if (a->kind == GQL_TYPE_NAMED)
            return (gql_is_leaf(a->named) || gql_is_leaf(b->named)) && a->named != b->named;
        a = a->of;
        b = b->of;
    }
    return false;
}

/* --- selection sets --- */
typedef struct gql_collecting {
    gql_fields *fields;
    uint32_t field_capacity, spread_capacity;
} gql_collecting;

static gql_response *response_named(gql_walk *w, pl_str name)
{
    pl_map *responses = &w->overlaps->responses;
    gql_response *response = pl_map_get(responses, name);
    if (response || !(response = gql_walk_alloc(w, 1, sizeof(*response))))
        return response;
    response->number = (uint32_t)responses->count;
    return gql_walk_map_set(w, responses, name, response) ? response : NULL;
}

static void collect_field(gql_walk *w, gql_collecting *c, const gql_named *parent, const gql_selection *node)
{
    gql_fields *fields = c->fields;
    gql_response *response = response_named(w, gql_response_name(node));
    if (!response ||
        !gql_walk_grow(w, &fields->fields, fields->count, &c->field_capacity, sizeof(*fields->fields)))
        return;
    bool has_fields = parent && (parent->kind == GQL_OBJECT || parent->kind == GQL_INTERFACE);
    fields->fields[fields->count++] = (gql_field_use){
        .node = node,
        .parent = parent,
        .def = has_fields ? pl_map_get(&parent->field_map, node->name.text) : NULL,
        .response = response,
        .stream = gql_find_directive(&node->directives, "stream"),
    };
}

static void collect_spread(gql_walk *w, gql_collecting *c, const gql_selection *node)
{
    gql_fields *fields = c->fields;
    const gql_fragment *fragment = gql_fragment_named(w, node->name.text);
    if (!fragment || w->overlaps->spread_by[fragment->index] == fields->id + 1)
        return;
    w->overlaps->spread_by[fragment->index] = fields->id + 1;
    if (gql_walk_grow(w, &fields->spreads, fields->spread_count, &c->spread_capacity,
                      sizeof(*fields->spreads)))
        fields->spreads[fields->spread_count++] = fragment;
}

static void collect(gql_walk *w, gql_collecting *c, const gql_named *parent, const gql_selection_set *set)
{
    for (uint32_t i = 0; i < set->count && !w->stopped; i++) {
        const gql_selection *node = &set->items[i];
        if (node->kind == GQL_FIELD)
            collect_field(w, c, parent, node);
        else if (node->kind == GQL_FRAGMENT_SPREAD)
            collect_spread(w, c, node);
        else
            collect(w, c,
                    node->type_condition
                        ? gql_composite(gql_schema_type(w->schema, node->type_condition->name))
                        : parent,
                    &node->selections);
    }
}

gql_fields *gql_fields_of(gql_walk *w, const gql_selection_set *set, const gql_named *parent)
{
    gql_overlaps *o = w->overlaps;
    gql_fields *fields = pl_map_get(&o->sets, (pl_str){(const char *)&set, sizeof(set)});
    if (fields)
        return fields;
    fields = gql_walk_alloc(w, 1, sizeof(*fields));
    if (!fields)
        return NULL;
    *fields = (gql_fields){.set = set, .parent = parent, .id = o->set_count++};
    collect(w, &(gql_collecting){.fields = fields}, parent, set);
    gql_walk_map_set(w, &o->sets, (pl_str){(const char *)&fields->set, sizeof(fields->set)}, fields);
    return w->stopped ? NULL : fields;
}

gql_fields *gql_fields_of_fragment(gql_walk *w, const gql_fragment *fragment)
{
    gql_fields **place = &w->overlaps->of_fragment[fragment->index];
    if (!*place)
        *place = gql_fields_of(w, &fragment->selections,
                               gql_composite(gql_schema_type(w->schema, fragment->type_condition->name)));
    return *place;
}

gql_fields *gql_fields_sub(gql_walk *w, gql_field_use *use)
{
    if (!use->sub && use->node->selections.count != 0) {
        const gql_field *field =
            use->parent ? gql_schema_field(w->schema, use->parent, use->node->name.text) : NULL;
        use->sub = gql_fields_of(w, &use->node->selections, field ? gql_composite(field->type->named) : NULL);
    }
    return use->sub;
}

/* --- the rule --- */
static void begin(gql_walk *w)
{
    gql_overlaps *o = w->overlaps = gql_walk_alloc(w, 1, sizeof(*o));
    if (!o)
        return;
    o->of_fragment = gql_walk_alloc(w, w->document->fragment_count, sizeof(*o->of_fragment));
    o->spread_by = gql_walk_alloc(w, w->document->fragment_count, sizeof(*o->spread_by));
    o->budget = limit_of(w);
    if (!w->stopped)
        gql_overlaps_search(w);
    if (o->spent)
        gql_overlaps_exhausted(w);
    o->budget = limit_of(w);
}

static void check_selections(gql_walk *w)
{
    if (!w->overlaps->conflicting)
        return;
    gql_fields *fields = gql_fields_of(w, w->at.selection_set, w->at.parent_type);
    if (fields)
        gql_overlaps_report(w, fields);
}

void gql_overlaps_dispose(gql_walk *w)
{
    gql_overlaps *o = w->overlaps;
    if (!o)
        return;
    pl_map_dispose(&o->sets);
    pl_map_dispose(&o->responses);
    pl_map_dispose(&o->calls);
    pl_map_dispose(&o->compared);
}

const gql_rule gql_rule_overlapping_fields_can_be_merged = {
    .name = "OverlappingFieldsCanBeMerged",
    .on = {[ON_DOCUMENT] = begin, [ON_SELECTION_SET] = check_selections},
};
