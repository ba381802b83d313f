/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "graphql/validation/overlaps.h"

/* Compares fields pair by pair. Every selection set is compared with itself once, when the walk comes to it;
 * everything else is *between* two sets, or a set and a fragment, or two fragments, and remembered, so that
 * it is done once. The order of all this shows in the order of the messages and is graphql-js's. */

#define MAX_DEPTH 500
#define MAX_DETAIL 1000 /* bytes of the reason of a conflict */
#define MAX_PLACES 20   /* of one side of a conflict */

typedef struct gql_conflict {
    pl_str response, reason;
    const gql_selection **sides[2];
    uint32_t counts[2];
} gql_conflict;
typedef struct gql_conflicts {
    gql_conflict *items;
    uint32_t count, capacity;
} gql_conflicts;

/* --- fields of a set by response name --- */
static int by_response(const void *a, const void *b)
{
    const gql_field_use *x = *(gql_field_use *const *)a, *y = *(gql_field_use *const *)b;
    if (x->response != y->response)
        return x->response->number < y->response->number ? -1 : 1;
    return (x > y) - (x < y);
}

static int by_first(const void *a, const void *b)
{
    const gql_field_use *x = ((const gql_field_group *)a)->any, *y = ((const gql_field_group *)b)->any;
    return (x > y) - (x < y);
}

static bool make_groups(gql_walk *w, gql_fields *fields)
{
    if (fields->grouped)
        return true;
    gql_field_use **sorted = gql_walk_alloc(w, fields->count, sizeof(gql_field_use *));
    gql_field_group *groups = gql_walk_alloc(w, fields->count, sizeof(*groups));
    gql_field_group **found = gql_walk_alloc(w, fields->count, sizeof(gql_field_group *));
    if (!sorted || !groups || !found)
        return false;
    for (uint32_t i = 0; i < fields->count; i++)
        sorted[i] = &fields->fields[i];
    qsort(sorted, fields->count, sizeof(gql_field_use *), by_response);
    for (uint32_t i = 0; i < fields->count; i++) {
        if (i == 0 || sorted[i]->response != sorted[i - 1]->response)
            groups[fields->group_count++] = (gql_field_group){sorted[i], &sorted[i], 0};
        groups[fields->group_count - 1].count++;
    }
    fields->by_number = groups;
    fields->groups = gql_walk_alloc(w, fields->group_count, sizeof(*groups));
    if (!fields->groups)
        return false;
    if (fields->group_count != 0)
        memcpy(fields->groups, groups, fields->group_count * sizeof(*groups));
    qsort(fields->groups, fields->group_count, sizeof(*groups), by_first);
    fields->grouped = true;
    return true;
}

static int compare_number(const void *key, const void *group)
{
    uint32_t x = ((const gql_response *)key)->number,
             y = ((const gql_field_group *)group)->any->response->number;
    return (x > y) - (x < y);
}

static const gql_field_group *find_group(const gql_fields *fields, const gql_response *response)
{
    return fields->group_count != 0 ? bsearch(response, fields->by_number, fields->group_count,
                                              sizeof(*fields->by_number), compare_number)
                                    : NULL;
}

/* --- conflicts --- */
static pl_str shortened(gql_walk *w, pl_str text)
{
    if (text.len <= MAX_DETAIL)
        return text;
    size_t len = MAX_DETAIL;
    while (len > 0 && ((unsigned char)text.ptr[len] & 0xC0) == 0x80)
        len--;
    text = pl_arena_printf(&w->arena, "%.*s...", (int)len, text.ptr);
    if (!text.ptr)
        gql_walk_no_memory(w);
    return text;
}

static void add_conflict(gql_walk *w, gql_conflicts *list, gql_conflict found)
{
    if (!found.reason.ptr)
        gql_walk_no_memory(w);
    else if (gql_walk_grow(w, &list->items, list->count, &list->capacity, sizeof(*list->items)))
        list->items[list->count++] = found;
}

static void add_simple(gql_walk *w, gql_conflicts *list, gql_field_use *a, gql_field_use *b, pl_str reason)
{
    const gql_selection **sides = gql_walk_alloc(w, 2, sizeof(*sides));
    if (!sides)
        return;
    sides[0] = a->node;
    sides[1] = b->node;
    add_conflict(w, list, (gql_conflict){gql_response_name(a->node), reason, {&sides[0], &sides[1]}, {1, 1}});
}

static pl_str reasons_of(gql_walk *w, const gql_conflicts *inner)
{
    pl_buf buf;
    pl_buf_init(&buf);
    for (uint32_t i = 0; i < inner->count && buf.len <= MAX_DETAIL; i++) {
        pl_str name = shortened(w, inner->items[i].response);
        pl_buf_printf(&buf, "%ssubfields \"%.*s\" conflict because %.*s", i == 0 ? "" : " and ",
                      PL_STR_ARG(name), PL_STR_ARG(inner->items[i].reason));
    }
    pl_str text = buf.failed ? PL_STR_NONE : pl_arena_str(&w->arena, pl_buf_view(&buf));
    pl_buf_dispose(&buf);
    return text.ptr ? shortened(w, text) : text;
}

/* The field itself, and after it where its subfields conflict. */
static void fill_side(gql_walk *w, gql_conflict *out, int side, const gql_selection *node,
                      const gql_conflicts *inner)
{
    const gql_selection **places = gql_walk_alloc(w, MAX_PLACES, sizeof(*places));
    uint32_t count = 0;
    if (!places)
        return;
    places[count++] = node;
    for (uint32_t i = 0; i < inner->count && count < MAX_PLACES; i++) {
        const gql_conflict *c = &inner->items[i];
        uint32_t from = c->counts[side] > MAX_PLACES - count ? c->counts[side] - (MAX_PLACES - count) : 0;
        while (from < c->counts[side])
            places[count++] = c->sides[side][from++];
    }
    out->sides[side] = places;
    out->counts[side] = count;
}

static void add_nested(gql_walk *w, gql_conflicts *list, gql_field_use *a, gql_field_use *b,
                       const gql_conflicts *inner)
{
    gql_conflict found = {.response = gql_response_name(a->node), .reason = reasons_of(w, inner)};
    fill_side(w, &found, 0, a->node, inner);
    fill_side(w, &found, 1, b->node, inner);
    if (!w->stopped)
        add_conflict(w, list, found);
}

/* --- what was compared --- */
/* A pair: of two fragments, or of a set and a fragment. */
typedef struct gql_pair {
    uint32_t kind, a, b;
} gql_pair;

/* Whether the pair was not compared so far; notes that it now is. A comparison of sides that may meet covers
 * one of sides that exclude each other. */
static bool is_due(gql_walk *w, gql_pair pair, bool exclusive)
{
    static const char as_exclusive, as_meeting;
    pl_map *compared = &w->overlaps->compared;
    const char *before = pl_map_get(compared, (pl_str){(const char *)&pair, sizeof(pair)});
    if (before == &as_meeting || (before && exclusive))
        return false;
    gql_pair *key = gql_walk_alloc(w, 1, sizeof(*key));
    if (!key)
        return false;
    *key = pair;
    return gql_walk_map_set(w, compared, (pl_str){(const char *)key, sizeof(*key)},
                            exclusive ? &as_exclusive : &as_meeting);
}

/* Takes one comparison, and a step down: only as many as the stack surely holds. False: no more. */
static bool descend(gql_walk *w)
{
    if (!gql_overlaps_spend(w, 1))
        return false;
    if (w->overlaps->depth == MAX_DEPTH) {
        w->overlaps->spent = true;
        return false;
    }
    w->overlaps->depth++;
    return true;
}

static void ascend(gql_walk *w)
{
    w->overlaps->depth--;
}

/* --- comparing --- */
static void between_subsets(gql_walk *w, gql_conflicts *list, bool exclusive, gql_fields *a, gql_fields *b);

static bool is_object(const gql_named *type)
{
    return type && type->kind == GQL_OBJECT;
}

/* The reason of a conflict that the two fields have by themselves; ptr NULL: none. */
static pl_str direct_reason(gql_walk *w, bool exclusive, gql_field_use *a, gql_field_use *b)
{
    const gql_typeref *x = a->def ? a->def->type : NULL, *y = b->def ? b->def->type : NULL;
    pl_str a_name = a->node->name.text, b_name = b->node->name.text;
    if (!exclusive && !pl_str_eq(a_name, b_name))
        return pl_arena_printf(&w->arena, "\"%.*s\" and \"%.*s\" are different fields",
                               PL_STR_ARG(shortened(w, a_name)), PL_STR_ARG(shortened(w, b_name)));
    if (!exclusive && gql_field_call(w, a) != gql_field_call(w, b))
        return PL_STR("they have differing arguments");
    if (a->stream || b->stream) {
        if (a->stream && b->stream && gql_stream_call(w, a) == gql_stream_call(w, b))
            return PL_STR("they have overlapping stream directives. See "
                          "https://github.com/graphql/defer-stream-wg/discussions/100");
        return PL_STR("they have overlapping stream directives");
    }
    if (x && y && gql_shapes_conflict(x, y))
        return pl_arena_printf(&w->arena, "they return conflicting types \"%.*s\" and \"%.*s\"",
                               PL_STR_ARG(x->text), PL_STR_ARG(y->text));
    return PL_STR_NONE;
}

static void compare_fields(gql_walk *w, gql_conflicts *list, bool exclusive, gql_field_use *a,
                           gql_field_use *b)
{
    if (!descend(w))
        return;
    exclusive = exclusive || (a->parent != b->parent && is_object(a->parent) && is_object(b->parent));
    pl_str reason = direct_reason(w, exclusive, a, b);
    gql_fields *x = NULL, *y = NULL;
    if (reason.ptr) {
        add_simple(w, list, a, b, reason);
    } else if (gql_overlaps_going(w) && (x = gql_fields_sub(w, a)) && (y = gql_fields_sub(w, b))) {
        gql_conflicts inner = {0};
        between_subsets(w, &inner, exclusive, x, y);
        if (inner.count != 0 && !w->stopped)
            add_nested(w, list, a, b, &inner);
    }
    ascend(w);
}

static void between_sets(gql_walk *w, gql_conflicts *list, bool exclusive, gql_fields *a, gql_fields *b)
{
    if (!make_groups(w, a) || !make_groups(w, b))
        return;
    for (uint32_t i = 0; i < a->group_count; i++) {
        const gql_field_group *x = &a->groups[i], *y = find_group(b, x->any->response);
        if (!gql_overlaps_spend(w, 1))
            return;
        for (uint32_t j = 0; y && j < x->count; j++) {
            for (uint32_t k = 0; k < y->count && gql_overlaps_going(w); k++)
                compare_fields(w, list, exclusive, x->uses[j], y->uses[k]);
        }
    }
}

static void between_set_and_fragment(gql_walk *w, gql_conflicts *list, bool exclusive, gql_fields *set,
                                     const gql_fragment *fragment)
{
    enum { SET_AND_FRAGMENT = 1 };
    gql_fields *other = gql_fields_of_fragment(w, fragment);
    if (!other || other == set ||
        !is_due(w, (gql_pair){SET_AND_FRAGMENT, set->id, fragment->index}, exclusive) || !descend(w))
        return;
    between_sets(w, list, exclusive, set, other);
    for (uint32_t i = 0; i < other->spread_count && gql_overlaps_going(w); i++)
        between_set_and_fragment(w, list, exclusive, set, other->spreads[i]);
    ascend(w);
}

static void between_fragments(gql_walk *w, gql_conflicts *list, bool exclusive, const gql_fragment *a,
                              const gql_fragment *b)
{
    enum { FRAGMENTS = 2 };
    gql_pair pair = {FRAGMENTS, a->index < b->index ? a->index : b->index,
                     a->index < b->index ? b->index : a->index};
    if (a == b || !is_due(w, pair, exclusive) || !descend(w))
        return;
    gql_fields *x = gql_fields_of_fragment(w, a), *y = gql_fields_of_fragment(w, b);
    if (x && y)
        between_sets(w, list, exclusive, x, y);
    for (uint32_t i = 0; y && i < y->spread_count && gql_overlaps_going(w); i++)
        between_fragments(w, list, exclusive, a, y->spreads[i]);
    for (uint32_t i = 0; x && i < x->spread_count && gql_overlaps_going(w); i++)
        between_fragments(w, list, exclusive, x->spreads[i], b);
    ascend(w);
}

static void between_subsets(gql_walk *w, gql_conflicts *list, bool exclusive, gql_fields *a, gql_fields *b)
{
    between_sets(w, list, exclusive, a, b);
    for (uint32_t i = 0; i < b->spread_count && gql_overlaps_going(w); i++)
        between_set_and_fragment(w, list, exclusive, a, b->spreads[i]);
    for (uint32_t i = 0; i < a->spread_count && gql_overlaps_going(w); i++)
        between_set_and_fragment(w, list, exclusive, b, a->spreads[i]);
    for (uint32_t i = 0; i < a->spread_count; i++) {
        for (uint32_t j = 0; j < b->spread_count && gql_overlaps_spend(w, 1); j++)
            between_fragments(w, list, exclusive, a->spreads[i], b->spreads[j]);
    }
}

/* Fields of one name that are the same call, from the same type and without selections, cannot conflict: a
 * document may repeat a field as often as it likes. */
static bool are_alike(gql_walk *w, const gql_field_group *group)
{
    gql_field_use *any = group->any;
    for (uint32_t i = 0; i < group->count; i++) {
        gql_field_use *use = group->uses[i];
        if (use->stream || use->node->selections.count != 0 || use->parent != any->parent ||
            use->def != any->def || gql_field_call(w, use) != gql_field_call(w, any))
            return false;
    }
    return true;
}

static void within_set(gql_walk *w, gql_conflicts *list, gql_fields *set)
{
    if (!make_groups(w, set))
        return;
    for (uint32_t i = 0; i < set->group_count && gql_overlaps_going(w); i++) {
        const gql_field_group *group = &set->groups[i];
        if (group->count < 2 || are_alike(w, group))
            continue;
        for (uint32_t j = 0; j < group->count; j++) {
            for (uint32_t k = j + 1; k < group->count && gql_overlaps_going(w); k++)
                compare_fields(w, list, false, group->uses[j], group->uses[k]);
        }
    }
}

/* --- reporting --- */
static void report(gql_walk *w, const gql_conflict *found)
{
    gql_diagnostic *d = gql_walk_report(w, found->sides[0][0]->loc, GQL_NOWHERE,
                                        "Fields \"%.*s\" conflict because %.*s. Use different aliases on the "
                                        "fields to fetch both if this was intentional.",
                                        PL_STR_ARG(shortened(w, found->response)), PL_STR_ARG(found->reason));
    for (uint32_t i = 1; i < found->counts[0]; i++)
        gql_diagnose_also(w->list, d, found->sides[0][i]->loc);
    for (uint32_t i = 0; i < found->counts[1]; i++)
        gql_diagnose_also(w->list, d, found->sides[1][i]->loc);
}

void gql_overlaps_report(gql_walk *w, gql_fields *fields)
{
    gql_conflicts found = {0};
    w->overlaps->depth = 0;
    within_set(w, &found, fields);
    for (uint32_t i = 0; i < fields->spread_count && gql_overlaps_going(w); i++) {
        between_set_and_fragment(w, &found, false, fields, fields->spreads[i]);
        for (uint32_t j = i + 1; j < fields->spread_count && gql_overlaps_spend(w, 1); j++)
            between_fragments(w, &found, false, fields->spreads[i], fields->spreads[j]);
    }
    for (uint32_t i = 0; i < found.count && !w->stopped; i++)
        report(w, &found.items[i]);
    if (w->overlaps->spent && !w->stopped)
        gql_overlaps_exhausted(w);
}
