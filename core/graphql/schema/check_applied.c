/* SPDX-License-Identifier: MIT */
#include "graphql/schema/internal.h"

/* Whether the arguments of directives in SDL have values of the right type. graphql-js leaves this out; the
 * messages are those that it has for values elsewhere. */

typedef struct applied {
    gql_literal_check base;
    const gql_source *source;
} applied;

static void report_value(gql_literal_check *check, gql_loc loc, const gql_step *path, pl_str message)
{
    gql_place place = {((const applied *)(const void *)check)->source, loc};
    gql_report(check->builder, "ValuesOfCorrectType", &place, 1, "%.*s", PL_STR_ARG(message));
}

static void check_directives(applied *a, const gql_directives *directives)
{
    gql_builder *b = a->base.builder;
    for (uint32_t i = 0; i < directives->count; i++) {
        const gql_directive *directive = &directives->items[i];
        const gql_directive_def *def = gql_schema_directive(b->schema, directive->name.text);
        for (uint32_t j = 0; def && j < directive->argument_count; j++) {
            const gql_argument *argument = &directive->arguments[j];
            const gql_input *input = gql_input_find(def->arguments, def->argument_count, argument->name.text);
            if (input && gql_is_input(input->type->named))
                gql_check_literal(&a->base, &argument->value, input->type, NULL);
        }
    }
}

static void check_inputs(applied *a, const gql_input_value_ast *inputs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        check_directives(a, &inputs[i].directives);
}

static void check_definition(applied *a, const gql_type_system *ast)
{
    check_directives(a, &ast->directives);
    for (uint32_t i = 0; i < ast->field_count; i++) {
        check_inputs(a, ast->fields[i].arguments, ast->fields[i].argument_count);
        check_directives(a, &ast->fields[i].directives);
    }
    for (uint32_t i = 0; i < ast->value_count; i++)
        check_directives(a, &ast->values[i].directives);
    check_inputs(a, ast->inputs, ast->input_count);
}

void gql_check_applied_directives(gql_builder *b)
{
    applied a = {.base = {b, report_value}};
    for (size_t i = 0; i < b->count; i++) {
        const gql_document *document = b->documents[i];
        a.source = document->source;
        for (uint32_t j = 0; j < document->definition_count && !gql_build_stop(b); j++)
            check_definition(&a, &document->definitions[j]);
    }
}
