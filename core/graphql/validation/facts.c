/* SPDX-License-Identifier: MIT */
#include "graphql/validation/walk.h"

const gql_fragment *gql_fragment_named(const gql_walk *w, pl_str name)
{
    return pl_map_get(&w->fragments, name);
}

/* --- spreads --- */
typedef struct gql_spread_list {
    gql_facts *facts;
    uint32_t capacity;
    const gql_selection_set **sets; /* still to look at */
    uint32_t set_count, set_capacity;
} gql_spread_list;

static void add_spread(gql_walk *w, gql_spread_list *list, const gql_selection *node)
{
    gql_facts *facts = list->facts;
    if (!gql_walk_grow(w, &facts->spreads, facts->spread_count, &list->capacity, sizeof(*facts->spreads)))
        return;
    facts->spreads[facts->spread_count++] = (gql_spread){node, gql_fragment_named(w, node->name.text)};
}

static void add_set(gql_walk *w, gql_spread_list *list, const gql_selection_set *set)
{
    if (gql_walk_grow(w, &list->sets, list->set_count, &list->set_capacity, sizeof(*list->sets)))
        list->sets[list->set_count++] = set;
}

/* The spreads of a selection set first, then those of the last set inside it, and so on: the order shows in
 * messages. */
static void collect_spreads(gql_walk *w, gql_spread_list *list, gql_facts *facts,
                            const gql_selection_set *root)
{
    list->facts = facts;
    list->capacity = 0;
    add_set(w, list, root);
    while (list->set_count != 0 && !w->stopped) {
        const gql_selection_set *set = list->sets[--list->set_count];
        for (uint32_t i = 0; i < set->count && !w->stopped; i++) {
            const gql_selection *node = &set->items[i];
            if (node->kind == GQL_FRAGMENT_SPREAD)
                add_spread(w, list, node);
            else if (node->selections.count != 0)
                add_set(w, list, &node->selections);
        }
    }
}

/* --- uses of variables: a walk of its own, with this as the only rule --- */
static gql_known_variable *variable_named(gql_walk *w, pl_str name)
{
    gql_known_variable *known = pl_map_get(&w->variable_names, name);
    if (known)
        return known;
    known = gql_walk_alloc(w, 1, sizeof(*known));
    if (!known || !gql_walk_map_set(w, &w->variable_names, name, known))
        return NULL;
    return known;
}

static void collect_usage(gql_walk *w)
{
    const gql_position *at = &w->at;
    gql_facts *facts = w->collecting;
    if (at->value->kind != GQL_VALUE_VARIABLE || at->variable)
        return;
    gql_known_variable *variable = variable_named(w, at->value->text);
    const gql_named *one_of = NULL;
    if (at->object_field && at->value == &at->object_field->value && at->parent_input_type)
        one_of = at->parent_input_type->named;
    if (one_of && !(one_of->kind == GQL_INPUT_OBJECT && one_of->one_of))
        one_of = NULL;
    if (!variable ||
        !gql_walk_grow(w, &facts->usages, facts->usage_count, &facts->usage_capacity, sizeof(*facts->usages)))
        return;
    facts->usages[facts->usage_count++] =
        (gql_usage){at->value, variable, at->has_default, at->input_type, one_of};
}

static void collect_usages(gql_walk *w)
{
    static const gql_rule collector = {.name = "", .on = {[ON_VALUE] = collect_usage}};
    const gql_rule *rules[] = {&collector};
    gql_hooks saved[GQL_EVENT_COUNT];
    memcpy(saved, w->hooks, sizeof(saved));
    memset(w->hooks, 0, sizeof(w->hooks));
    w->hooks[ON_VALUE] = (gql_hooks){rules, 1};
    gql_walk_document(w);
    memcpy(w->hooks, saved, sizeof(saved));
}

void gql_facts_collect(gql_walk *w, bool with_usages)
{
    const gql_document *document = w->document;
    gql_spread_list list = {0};
    w->operation_facts = gql_walk_alloc(w, document->operation_count, sizeof(*w->operation_facts));
    w->fragment_facts = gql_walk_alloc(w, document->fragment_count, sizeof(*w->fragment_facts));
    w->reached_by = gql_walk_alloc(w, document->fragment_count, sizeof(*w->reached_by));
    w->marks = gql_walk_alloc(w, document->fragment_count, sizeof(*w->marks));
    for (uint32_t i = 0; i < document->fragment_count && !w->stopped; i++)
        gql_walk_map_set(w, &w->fragments, document->fragments[i].name.text, &document->fragments[i]);
    for (uint32_t i = 0; i < document->operation_count && !w->stopped; i++)
        collect_spreads(w, &list, &w->operation_facts[i], &document->operations[i].selections);
    for (uint32_t i = 0; i < document->fragment_count && !w->stopped; i++)
        collect_spreads(w, &list, &w->fragment_facts[i], &document->fragments[i].selections);
    if (with_usages && !w->stopped)
        collect_usages(w);
}

/* --- what an operation reaches --- */
static bool reach_facts(gql_walk *w, const gql_facts *facts)
{
    if (!gql_walk_grow(w, &w->reached, w->reached_count, &w->reached_capacity, sizeof(*w->reached)))
        return false;
    w->reached[w->reached_count++] = facts;
    return true;
}

/* Fragments are opened last found first: the order shows in that of the messages. */
static bool reach_fragments(gql_walk *w, const gql_facts *root, uint32_t operation)
{
    const gql_facts **open = NULL;
    uint32_t open_count = 0, open_capacity = 0;
    const gql_facts *facts = root;
    while (facts && gql_walk_visit(w, 1 + facts->spread_count)) {
        for (uint32_t i = 0; i < facts->spread_count; i++) {
            const gql_fragment *fragment = facts->spreads[i].fragment;
            if (!fragment || w->reached_by[fragment->index] == operation)
                continue;
            w->reached_by[fragment->index] = operation;
            const gql_facts *inner = gql_facts_of_fragment(w, fragment);
            if (!reach_facts(w, inner) || !gql_walk_grow(w, &open, open_count, &open_capacity, sizeof(*open)))
                return false;
            open[open_count++] = inner;
        }
        facts = open_count != 0 ? open[--open_count] : NULL;
    }
    return !w->stopped;
}

static bool define_variables(gql_walk *w, uint32_t number)
{
    const gql_operation *operation = w->at.operation;
    for (uint32_t i = 0; i < operation->variable_count; i++) {
        const gql_variable_definition *definition = &operation->variables[i];
        gql_known_variable *variable = variable_named(w, definition->name.text);
        if (!variable)
            return false;
        variable->operation = number;
        variable->definition = definition;
        variable->type = gql_walk_typeref(w, definition->type);
    }
    return !w->stopped;
}

bool gql_reach(gql_walk *w)
{
    const gql_operation *operation = w->at.operation;
    if (w->stopped)
        return false;
    if (w->reached_for == operation)
        return true;
    uint32_t index = (uint32_t)(operation - w->document->operations);
    w->reached_for = operation;
    w->reached_count = 0;
    return reach_facts(w, &w->operation_facts[index]) &&
           reach_fragments(w, &w->operation_facts[index], index + 1) && define_variables(w, index + 1);
}
