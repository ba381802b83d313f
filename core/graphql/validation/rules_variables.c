/* SPDX-License-Identifier: MIT */
#include "graphql/validation/walk.h"

/* Number of the operation where the walk stands; 0 is none. */
static uint32_t operation_number(const gql_walk *w)
{
    return (uint32_t)(w->at.operation - w->document->operations) + 1;
}

/* Calls check for each use of a variable that the operation reaches. */
static void for_usages(gql_walk *w, void (*check)(gql_walk *w, const gql_usage *usage, uint32_t operation))
{
    uint32_t operation = operation_number(w);
    if (!gql_reach(w))
        return;
    for (uint32_t i = 0; i < w->reached_count; i++) {
        const gql_facts *facts = w->reached[i];
        /* What the operation holds itself costs nothing. */
        if (i != 0 && !gql_walk_visit(w, 1 + facts->usage_count))
            return;
        for (uint32_t j = 0; j < facts->usage_count && !w->stopped; j++)
            check(w, &facts->usages[j], operation);
    }
}

/* --- UniqueVariableNames --- */
static void check_variable_names(gql_walk *w)
{
    const gql_operation *operation = w->at.operation;
    const gql_variable_definition *variables = operation->variables;
    gql_same same;
    if (!gql_find_same(w, variables, operation->variable_count, sizeof(*variables), &same) || !same.first)
        return;
    for (uint32_t i = 0; i < operation->variable_count && !w->stopped; i++) {
        if (same.first[i] != i || same.next[i] == 0)
            continue;
        gql_diagnostic *d = gql_walk_report(w, variables[i].name.loc, GQL_NOWHERE,
                                            "There can be only one variable named \"$%.*s\".",
                                            PL_STR_ARG(variables[i].name.text));
        for (uint32_t j = same.next[i]; j != 0; j = same.next[j])
            gql_diagnose_also(w->list, d, variables[j].name.loc);
    }
}

const gql_rule gql_rule_unique_variable_names = {
    .name = "UniqueVariableNames",
    .on = {[ON_OPERATION] = check_variable_names},
};

/* --- NoUndefinedVariables --- */
static void check_defined(gql_walk *w, const gql_usage *usage, uint32_t number)
{
    const gql_operation *operation = w->at.operation;
    if (usage->variable->operation == number)
        return;
    if (operation->name.text.ptr)
        gql_walk_report(w, usage->node->loc, operation->loc,
                        "Variable \"$%.*s\" is not defined by operation \"%.*s\".",
                        PL_STR_ARG(usage->node->text), PL_STR_ARG(operation->name.text));
    else
        gql_walk_report(w, usage->node->loc, operation->loc, "Variable \"$%.*s\" is not defined.",
                        PL_STR_ARG(usage->node->text));
}

static void check_undefined_variables(gql_walk *w)
{
    for_usages(w, check_defined);
}

const gql_rule gql_rule_no_undefined_variables = {
    .name = "NoUndefinedVariables",
    .with_usages = true,
    .on = {[ON_OPERATION_END] = check_undefined_variables},
};

/* --- NoUnusedVariables --- */
static void mark_used(gql_walk *w, const gql_usage *usage, uint32_t operation)
{
    usage->variable->used_by = operation;
}

static void check_unused_variables(gql_walk *w)
{
    const gql_operation *operation = w->at.operation;
    if (operation->variable_count == 0)
        return;
    for_usages(w, mark_used);
    for (uint32_t i = 0; i < operation->variable_count && !w->stopped; i++) {
        const gql_variable_definition *definition = &operation->variables[i];
        const gql_known_variable *variable = pl_map_get(&w->variable_names, definition->name.text);
        if (variable->used_by == operation_number(w))
            continue;
        if (operation->name.text.ptr)
            gql_walk_report(w, definition->loc, GQL_NOWHERE,
                            "Variable \"$%.*s\" is never used in operation \"%.*s\".",
                            PL_STR_ARG(definition->name.text), PL_STR_ARG(operation->name.text));
        else
            gql_walk_report(w, definition->loc, GQL_NOWHERE, "Variable \"$%.*s\" is never used.",
                            PL_STR_ARG(definition->name.text));
    }
}

const gql_rule gql_rule_no_unused_variables = {
    .name = "NoUnusedVariables",
    .with_usages = true,
    .on = {[ON_OPERATION_END] = check_unused_variables},
};

/* --- VariablesInAllowedPosition --- */
static bool is_allowed(const gql_walk *w, const gql_known_variable *variable, const gql_usage *usage)
{
    const gql_typeref *expected = usage->type;
    if (expected->kind == GQL_TYPE_NON_NULL && variable->type->kind != GQL_TYPE_NON_NULL) {
        const gql_value *given = variable->definition->default_value;
        if (!(given && given->kind != GQL_VALUE_NULL) && !usage->has_default)
            return false;
        expected = expected->of;
    }
    return gql_is_subtype(w->schema, variable->type, expected);
}

static void check_position(gql_walk *w, const gql_usage *usage, uint32_t operation)
{
    const gql_known_variable *variable = usage->variable;
    if (variable->operation != operation || !usage->type || !variable->type)
        return;
    pl_str name = usage->node->text, type = variable->type->text;
    if (!is_allowed(w, variable, usage))
        gql_walk_report(w, variable->definition->loc, usage->node->loc,
                        "Variable \"$%.*s\" of type \"%.*s\" used in position expecting type \"%.*s\".",
                        PL_STR_ARG(name), PL_STR_ARG(type), PL_STR_ARG(usage->type->text));
    const gql_named *one_of = usage->one_of;
    if (one_of && variable->type->kind != GQL_TYPE_NON_NULL && !w->stopped)
        gql_walk_report(w, variable->definition->loc, usage->node->loc,
                        "Variable \"$%.*s\" is of type \"%.*s\" but must be non-nullable to be used for "
                        "OneOf Input Object \"%.*s\".",
                        PL_STR_ARG(name), PL_STR_ARG(type), PL_STR_ARG(one_of->name));
}

static void check_positions(gql_walk *w)
{
    if (w->at.operation->variable_count != 0)
        for_usages(w, check_position);
}

const gql_rule gql_rule_variables_in_allowed_position = {
    .name = "VariablesInAllowedPosition",
    .with_usages = true,
    .on = {[ON_OPERATION_END] = check_positions},
};
