/* SPDX-License-Identifier: MIT */
#include "graphql/validation/walk.h"

/* --- MaxIntrospectionDepth --- */
#define MAX_LISTS 3

/* Lists of introspection that lead from a type back to types. */
static bool is_list_field(pl_str name)
{
    return pl_str_is(name, "fields") || pl_str_is(name, "interfaces") || pl_str_is(name, "possibleTypes") ||
           pl_str_is(name, "inputFields");
}

/* What is known of a fragment: it was followed from this many lists deep, less one; too deep, from that many,
 * less one. 0: not known. So each one is followed three times at most, however many fields ask. */
typedef struct gql_introspected {
    uint8_t followed, too_deep;
} gql_introspected;

/* The selections of a spread's fragment, if they are still worth a look; sets *too_deep when none is needed.
 */
static const gql_selection_set *open_fragment(gql_walk *w, const gql_selection *node, uint32_t depth,
                                              bool *too_deep)
{
    const gql_fragment *fragment = gql_fragment_named(w, node->name.text);
    if (!fragment)
        return NULL;
    gql_introspected *known = &w->introspected[fragment->index];
    if (known->too_deep != 0 && known->too_deep <= depth + 1) {
        *too_deep = true;
        return NULL;
    }
    if (known->followed > depth)
        return NULL;
    known->followed = (uint8_t)(depth + 1);
    return &fragment->selections;
}

/* The path of the trail led to too many lists: so will all fragments on it, from where they were entered. */
static void note_path(gql_walk *w, const gql_trail *trail)
{
    for (uint32_t i = 0; i < trail->count; i++) {
        const gql_trail_step *step = &trail->steps[i];
        if (!step->via)
            continue;
        gql_introspected *known = &w->introspected[gql_fragment_named(w, step->via->name.text)->index];
        if (known->too_deep == 0 || known->too_deep > step->tag + 1)
            known->too_deep = (uint8_t)(step->tag + 1);
    }
}

static bool is_too_deep(gql_walk *w, const gql_selection *field)
{
    gql_trail trail = {0};
    const gql_selection *node;
    uint32_t depth;
    bool too_deep = false;
    gql_trail_push(w, &trail, &field->selections, 0, NULL);
    while (!w->stopped && !too_deep && (node = gql_trail_next(&trail, &depth))) {
        const gql_selection_set *inner = &node->selections;
        if (node->kind == GQL_FRAGMENT_SPREAD) {
            inner = open_fragment(w, node, depth, &too_deep);
            if (inner)
                gql_trail_push(w, &trail, inner, depth, node);
            continue;
        }
        if (node->kind == GQL_FIELD && is_list_field(node->name.text))
            too_deep = ++depth == MAX_LISTS;
        if (inner->count != 0 && !too_deep)
            gql_trail_push(w, &trail, inner, depth, NULL);
    }
    if (too_deep)
        note_path(w, &trail);
    return too_deep;
}

static void check_introspection(gql_walk *w)
{
    const gql_selection *field = w->at.selection;
    pl_str name = field->name.text;
    if (w->introspection_field || !(pl_str_is(name, "__schema") || pl_str_is(name, "__type")))
        return;
    if (!w->introspected)
        w->introspected = gql_walk_alloc(w, w->document->fragment_count, sizeof(*w->introspected));
    if (w->stopped)
        return;
    w->introspection_field = field; /* what is inside was looked at with it */
    if (is_too_deep(w, field))
        gql_walk_report(w, field->loc, GQL_NOWHERE, "Maximum introspection depth exceeded");
}

static void leave_introspection(gql_walk *w)
{
    if (w->introspection_field == w->at.selection)
        w->introspection_field = NULL;
}

const gql_rule gql_rule_max_introspection_depth = {
    .name = "MaxIntrospectionDepth",
    .on = {[ON_FIELD] = check_introspection, [ON_FIELD_END] = leave_introspection},
};

/* --- NoSchemaIntrospectionCustom --- */
static void check_no_introspection(gql_walk *w)
{
    const gql_named *type = w->at.field ? w->at.field->type->named : NULL;
    if (type && type->builtin && pl_str_starts(type->name, PL_STR("__")))
        gql_walk_report(
            w, w->at.selection->loc, GQL_NOWHERE,
            "GraphQL introspection has been disabled, but the requested query contained the field \"%.*s\".",
            PL_STR_ARG(w->at.selection->name.text));
}

const gql_rule gql_rule_no_schema_introspection_custom = {
    .name = "NoSchemaIntrospectionCustom",
    .optional = true,
    .on = {[ON_FIELD] = check_no_introspection},
};
