/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"
#include "graphql/validation/walk.h"

/* --- KnownTypeNames --- */
static pl_str suggest_types(gql_walk *w, pl_str name)
{
    pl_suggestions s;
    pl_suggest_init(&s, name);
    for (uint32_t i = 0; i < w->schema->type_count; i++) {
        pl_str known = w->schema->types[i]->name;
        if (!pl_suggest_afford(w, name.len * known.len + 1))
            break;
        pl_suggest_add(&s, known);
    }
    return pl_suggest_text(&s, &w->arena, NULL);
}

static void check_type_name(gql_walk *w)
{
    const gql_type *type = w->at.type_name;
    if (gql_schema_type(w->schema, type->name))
        return;
    pl_str hint = suggest_types(w, type->name);
    gql_walk_report(w, type->loc, GQL_NOWHERE, "Unknown type \"%.*s\".%.*s", PL_STR_ARG(type->name),
                    PL_STR_ARG(hint));
}

const gql_rule gql_rule_known_type_names = {
    .name = "KnownTypeNames",
    .on = {[ON_TYPE] = check_type_name},
};

/* --- FragmentsOnCompositeTypes --- */
static void check_inline_condition(gql_walk *w)
{
    const gql_type *type = w->at.selection->type_condition;
    if (type && w->at.condition && !gql_is_composite(w->at.condition))
        gql_walk_report(w, type->loc, GQL_NOWHERE,
                        "Fragment cannot condition on non composite type \"%.*s\".", PL_STR_ARG(type->name));
}

static void check_fragment_condition(gql_walk *w)
{
    const gql_fragment *fragment = w->at.fragment;
    const gql_type *type = fragment->type_condition;
    if (w->at.condition && !gql_is_composite(w->at.condition))
        gql_walk_report(w, type->loc, GQL_NOWHERE,
                        "Fragment \"%.*s\" cannot condition on non composite type \"%.*s\".",
                        PL_STR_ARG(fragment->name.text), PL_STR_ARG(type->name));
}

const gql_rule gql_rule_fragments_on_composite_types = {
    .name = "FragmentsOnCompositeTypes",
    .on = {[ON_INLINE_FRAGMENT] = check_inline_condition, [ON_FRAGMENT] = check_fragment_condition},
};

/* --- VariablesAreInputTypes --- */
static void check_variable_type(gql_walk *w)
{
    const gql_variable_definition *variable = w->at.variable;
    const gql_typeref *type = gql_walk_typeref(w, variable->type);
    if (type && !gql_is_input(type->named))
        gql_walk_report(w, variable->type->loc, GQL_NOWHERE,
                        "Variable \"$%.*s\" cannot be non-input type \"%.*s\".",
                        PL_STR_ARG(variable->name.text), PL_STR_ARG(type->text));
}

const gql_rule gql_rule_variables_are_input_types = {
    .name = "VariablesAreInputTypes",
    .on = {[ON_VARIABLE] = check_variable_type},
};
