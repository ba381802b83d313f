/* SPDX-License-Identifier: MIT */
#include "graphql/validation/walk.h"

/* --- UniqueFragmentNames --- */
static void check_fragment_name(gql_walk *w)
{
    const gql_name *name = &w->at.fragment->name;
    const gql_name *first = pl_map_get(&w->fragment_names, name->text);
    if (first)
        gql_walk_report(w, first->loc, name->loc, "There can be only one fragment named \"%.*s\".",
                        PL_STR_ARG(name->text));
    else
        gql_walk_map_set(w, &w->fragment_names, name->text, name);
}

const gql_rule gql_rule_unique_fragment_names = {
    .name = "UniqueFragmentNames",
    .on = {[ON_FRAGMENT] = check_fragment_name},
};

/* --- KnownFragmentNames --- */
static void check_spread_name(gql_walk *w)
{
    const gql_name *name = &w->at.selection->name;
    if (!gql_fragment_named(w, name->text))
        gql_walk_report(w, name->loc, GQL_NOWHERE, "Unknown fragment \"%.*s\".", PL_STR_ARG(name->text));
}

const gql_rule gql_rule_known_fragment_names = {
    .name = "KnownFragmentNames",
    .on = {[ON_SPREAD] = check_spread_name},
};

/* --- NoUnusedFragments --- */
typedef struct gql_used {
    const gql_facts **open;
    uint32_t open_count, open_capacity;
} gql_used;

static void use_spreads(gql_walk *w, gql_used *used, const gql_facts *facts)
{
    for (uint32_t i = 0; i < facts->spread_count && !w->stopped; i++) {
        const gql_fragment *fragment = facts->spreads[i].fragment;
        if (!fragment || gql_is_marked(w, fragment))
            continue;
        gql_mark(w, fragment);
        if (gql_walk_grow(w, &used->open, used->open_count, &used->open_capacity, sizeof(*used->open)))
            used->open[used->open_count++] = gql_facts_of_fragment(w, fragment);
    }
}

static void check_unused(gql_walk *w)
{
    const gql_document *document = w->document;
    gql_used used = {0};
    gql_marks_begin(w);
    for (uint32_t i = 0; i < document->operation_count && !w->stopped; i++) {
        use_spreads(w, &used, &w->operation_facts[i]);
        while (used.open_count != 0 && !w->stopped)
            use_spreads(w, &used, used.open[--used.open_count]);
    }
    for (uint32_t i = 0; i < document->fragment_count && !w->stopped; i++) {
        const gql_fragment *fragment = &document->fragments[i];
        if (!gql_is_marked(w, gql_fragment_named(w, fragment->name.text)))
            gql_walk_report(w, fragment->loc, GQL_NOWHERE, "Fragment \"%.*s\" is never used.",
                            PL_STR_ARG(fragment->name.text));
    }
}

const gql_rule gql_rule_no_unused_fragments = {
    .name = "NoUnusedFragments",
    .on = {[ON_DOCUMENT_END] = check_unused},
};

/* --- PossibleFragmentSpreads --- */
static void check_inline_possible(gql_walk *w)
{
    const gql_named *parent = w->at.parent_type, *type = gql_composite(w->at.condition);
    if (parent && type && !gql_types_overlap(w->schema, type, parent))
        gql_walk_report(
            w, w->at.selection->loc, GQL_NOWHERE,
            "Fragment cannot be spread here as objects of type \"%.*s\" can never be of type \"%.*s\".",
            PL_STR_ARG(parent->name), PL_STR_ARG(type->name));
}

static void check_spread_possible(gql_walk *w)
{
    const gql_named *parent = w->at.parent_type;
    const gql_fragment *fragment = gql_fragment_named(w, w->at.selection->name.text);
    if (!parent || !fragment)
        return;
    const gql_named *type = gql_composite(gql_schema_type(w->schema, fragment->type_condition->name));
    if (type && !gql_types_overlap(w->schema, type, parent))
        gql_walk_report(w, w->at.selection->loc, GQL_NOWHERE,
                        "Fragment \"%.*s\" cannot be spread here as objects of type \"%.*s\" can never be of "
                        "type \"%.*s\".",
                        PL_STR_ARG(fragment->name.text), PL_STR_ARG(parent->name), PL_STR_ARG(type->name));
}

const gql_rule gql_rule_possible_fragment_spreads = {
    .name = "PossibleFragmentSpreads",
    .on = {[ON_INLINE_FRAGMENT] = check_inline_possible, [ON_SPREAD] = check_spread_possible},
};

/* --- NoFragmentCycles --- */
/* Follows spreads depth first. `place` of a fragment on the path is its place there + 1. */
typedef struct gql_path_step {
    const gql_facts *facts;
    uint32_t fragment;
    uint32_t next; /* spread to follow; the one before is where the path goes on */
} gql_path_step;
typedef struct gql_path {
    gql_path_step *steps;
    uint32_t count, capacity;
} gql_path;

static const gql_spread *step_spread(const gql_path_step *step)
{
    return &step->facts->spreads[step->next - 1];
}

/* The names between the two ends of the cycle that begins at step `from`: ` via "a", "b"`. */
static pl_str via_text(gql_walk *w, const gql_path *path, uint32_t from)
{
    pl_buf buf;
    pl_buf_init(&buf);
    for (uint32_t i = from; i + 1 < path->count; i++)
        pl_buf_printf(&buf, "%s\"%.*s\"", i == from ? " via " : ", ",
                      PL_STR_ARG(step_spread(&path->steps[i])->node->name.text));
    pl_str text = buf.failed ? PL_STR_NONE : pl_arena_str(&w->arena, pl_buf_view(&buf));
    pl_buf_dispose(&buf);
    if (!text.ptr)
        gql_walk_no_memory(w);
    return text;
}

static void report_cycle(gql_walk *w, const gql_path *path, uint32_t from)
{
    if (!gql_walk_visit(w, path->count - from))
        return;
    pl_str via = via_text(w, path, from);
    if (!via.ptr)
        return;
    const gql_selection *first = step_spread(&path->steps[from])->node;
    const gql_selection *last = step_spread(&path->steps[path->count - 1])->node;
    gql_diagnostic *d =
        gql_walk_report(w, first->loc, GQL_NOWHERE, "Cannot spread fragment \"%.*s\" within itself%.*s.",
                        PL_STR_ARG(last->name.text), PL_STR_ARG(via));
    for (uint32_t i = from + 1; i < path->count; i++)
        gql_diagnose_also(w->list, d, step_spread(&path->steps[i])->node->loc);
}

static void follow(gql_walk *w, gql_path *path, const gql_fragment *fragment)
{
    uint32_t index = gql_fragment_named(w, fragment->name.text)->index;
    gql_cycle_state *state = &w->cycle_states[index];
    if (state->visited)
        return;
    state->visited = true;
    if (!gql_walk_grow(w, &path->steps, path->count, &path->capacity, sizeof(*path->steps)))
        return;
    path->steps[path->count++] = (gql_path_step){gql_facts_of_fragment(w, fragment), index, 0};
    state->place = path->count;
}

static void check_cycles(gql_walk *w)
{
    gql_path path = {0};
    if (!w->cycle_states)
        w->cycle_states = gql_walk_alloc(w, w->document->fragment_count, sizeof(*w->cycle_states));
    if (w->stopped)
        return;
    follow(w, &path, w->at.fragment);
    while (path.count != 0 && !w->stopped) {
        gql_path_step *step = &path.steps[path.count - 1];
        if (step->next == step->facts->spread_count) {
            w->cycle_states[step->fragment].place = 0;
            path.count--;
            continue;
        }
        const gql_fragment *target = step->facts->spreads[step->next++].fragment;
        if (!target)
            continue;
        uint32_t place = w->cycle_states[target->index].place;
        if (place != 0)
            report_cycle(w, &path, place - 1);
        else
            follow(w, &path, target);
    }
}

const gql_rule gql_rule_no_fragment_cycles = {
    .name = "NoFragmentCycles",
    .on = {[ON_FRAGMENT] = check_cycles},
};
