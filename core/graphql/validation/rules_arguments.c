/* SPDX-License-Identifier: MIT */
#include "graphql/validation/walk.h"

/* --- KnownArgumentNames --- */
static void check_field_argument(gql_walk *w)
{
    const gql_field *field = w->at.field;
    if (w->at.directive || w->at.argument_def || !field || !w->at.parent_type)
        return;
    const gql_name *name = &w->at.argument->name;
    pl_str hint = pl_suggest_inputs(w, name->text, field->arguments, field->argument_count);
    pl_str type = field->parent ? w->at.parent_type->name : PL_STR("<meta>"); /* __typename and its like */
    gql_walk_report(w, name->loc, GQL_NOWHERE, "Unknown argument \"%.*s\" on field \"%.*s.%.*s\".%.*s",
                    PL_STR_ARG(name->text), PL_STR_ARG(type), PL_STR_ARG(field->name), PL_STR_ARG(hint));
}

static void check_directive_arguments(gql_walk *w)
{
    const gql_directive *directive = w->at.directive;
    const gql_directive_def *def = w->at.directive_def;
    for (uint32_t i = 0; def && i < directive->argument_count && !w->stopped; i++) {
        const gql_name *name = &directive->arguments[i].name;
        if (gql_input_find(def->arguments, def->argument_count, name->text))
            continue;
        pl_str hint = pl_suggest_inputs(w, name->text, def->arguments, def->argument_count);
        gql_walk_report(w, name->loc, GQL_NOWHERE, "Unknown argument \"%.*s\" on directive \"@%.*s\".%.*s",
                        PL_STR_ARG(name->text), PL_STR_ARG(directive->name.text), PL_STR_ARG(hint));
    }
}

const gql_rule gql_rule_known_argument_names = {
    .name = "KnownArgumentNames",
    .on = {[ON_ARGUMENT] = check_field_argument, [ON_DIRECTIVE] = check_directive_arguments},
};

/* --- UniqueArgumentNames --- */
static void check_unique(gql_walk *w, const gql_argument *arguments, uint32_t count)
{
    gql_same same;
    if (count < 2 || !gql_find_same(w, arguments, count, sizeof(*arguments), &same) || !same.first)
        return;
    for (uint32_t i = 0; i < count && !w->stopped; i++) {
        if (same.first[i] != i || same.next[i] == 0)
            continue;
        const gql_name *name = &arguments[i].name;
        gql_diagnostic *d =
            gql_walk_report(w, name->loc, GQL_NOWHERE, "There can be only one argument named \"%.*s\".",
                            PL_STR_ARG(name->text));
        for (uint32_t j = same.next[i]; j != 0; j = same.next[j])
            gql_diagnose_also(w->list, d, arguments[j].name.loc);
    }
}

static void check_unique_in_field(gql_walk *w)
{
    check_unique(w, w->at.selection->arguments, w->at.selection->argument_count);
}

static void check_unique_in_directive(gql_walk *w)
{
    check_unique(w, w->at.directive->arguments, w->at.directive->argument_count);
}

const gql_rule gql_rule_unique_argument_names = {
    .name = "UniqueArgumentNames",
    .on = {[ON_FIELD] = check_unique_in_field, [ON_DIRECTIVE] = check_unique_in_directive},
};

/* --- ProvidedRequiredArguments --- */
/* A byte for each input: whether it must be given and was not. NULL: none is missing. */
static uint8_t *find_missing(gql_walk *w, const gql_argument *arguments, uint32_t count, gql_input *inputs,
                             uint32_t input_count)
{
    uint32_t required = 0;
    for (uint32_t i = 0; i < input_count; i++)
        required += gql_must_be_given(&inputs[i]);
    uint8_t *missing = required != 0 ? gql_walk_alloc(w, input_count, 1) : NULL;
    if (!missing)
        return NULL;
    for (uint32_t i = 0; i < input_count; i++)
        missing[i] = gql_must_be_given(&inputs[i]);
    for (uint32_t i = 0; i < count; i++) {
        const gql_input *given = gql_input_find(inputs, input_count, arguments[i].name.text);
        if (given)
            missing[given - inputs] = 0;
    }
    return missing;
}

static void check_required_of_field(gql_walk *w)
{
    const gql_selection *node = w->at.selection;
    const gql_field *field = w->at.field;
    const uint8_t *missing = field ? find_missing(w, node->arguments, node->argument_count, field->arguments,
                                                  field->argument_count)
                                   : NULL;
    for (uint32_t i = 0; missing && i < field->argument_count && !w->stopped; i++) {
        const gql_input *input = &field->arguments[i];
        if (missing[i])
            gql_walk_report(
                w, node->loc, GQL_NOWHERE,
                "Field \"%.*s\" argument \"%.*s\" of type \"%.*s\" is required, but it was not provided.",
                PL_STR_ARG(field->name), PL_STR_ARG(input->name), PL_STR_ARG(input->type->text));
    }
}

static void check_required_of_directive(gql_walk *w)
{
    const gql_directive *node = w->at.directive;
    const gql_directive_def *def = w->at.directive_def;
    const uint8_t *missing =
        def ? find_missing(w, node->arguments, node->argument_count, def->arguments, def->argument_count)
            : NULL;
    for (uint32_t i = 0; missing && i < def->argument_count && !w->stopped; i++) {
        const gql_input *input = &def->arguments[i];
        if (missing[i])
            gql_walk_report(w, node->loc, GQL_NOWHERE,
                            "Directive \"@%.*s\" argument \"%.*s\" of type \"%.*s\" is required, but it was "
                            "not provided.",
                            PL_STR_ARG(def->name), PL_STR_ARG(input->name), PL_STR_ARG(input->type->text));
    }
}

const gql_rule gql_rule_provided_required_arguments = {
    .name = "ProvidedRequiredArguments",
    .on = {[ON_FIELD_END] = check_required_of_field, [ON_DIRECTIVE_END] = check_required_of_directive},
};
