/* SPDX-License-Identifier: MIT */
#include "graphql/federation/internal.h"
#include "graphql/language/printer.h"

/* The SDL of a subgraph, for composition: the sources themselves, definition for definition, with all
 * directives, in order. Extensions stay extensions. Directives that this server knows by itself, and the
 * tools that compose do not, get their definitions. */

static bool uses_directive(const gql_directives *directives, pl_str name)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        if (pl_str_eq(directives->items[i].name.text, name))
            return true;
    }
    return false;
}

static bool inputs_use(const gql_input_value_ast *inputs, uint32_t count, pl_str name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (uses_directive(&inputs[i].directives, name))
            return true;
    }
    return false;
}

static bool definition_uses(const gql_type_system *ast, pl_str name)
{
    if (uses_directive(&ast->directives, name) || inputs_use(ast->inputs, ast->input_count, name))
        return true;
    for (uint32_t i = 0; i < ast->field_count; i++) {
        const gql_field_ast *field = &ast->fields[i];
        if (uses_directive(&field->directives, name) ||
            inputs_use(field->arguments, field->argument_count, name))
            return true;
    }
    for (uint32_t i = 0; i < ast->value_count; i++) {
        if (uses_directive(&ast->values[i].directives, name))
            return true;
    }
    return false;
}

static bool is_used(gql_subgraph *s, pl_str name)
{
    gql_definition_at at = {0};
    gql_type_system *ast;
    while (gql_each_definition(s->b, &at, &ast)) {
        if (definition_uses(ast, name))
            return true;
    }
    return false;
}

static bool is_everywhere(pl_str directive)
{
    static const char *const names[] = {"skip", "include", "deprecated", "specifiedBy"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (pl_str_is(directive, names[i]))
            return true;
    }
    return false;
}

static void print_definition(const gql_type_system *ast, pl_buf *out)
{
    gql_document document = {.definitions = (gql_type_system *)(uintptr_t)ast, .definition_count = 1};
    if (out->len > 0)
        PL_BUF_LIT(out, "\n\n");
    gql_print_document(out, &document);
}

/* The built-in type (an enum, say) that an argument of a built-in directive has; NULL for scalars. */
static const gql_type_system *builtin_type(const gql_subgraph *s, const gql_type *type)
{
    while (type->kind != GQL_TYPE_NAMED)
        type = type->of;
    for (uint32_t i = 0; i < s->b->builtins->definition_count; i++) {
        const gql_type_system *ast = &s->b->builtins->definitions[i];
        if (ast->kind != GQL_DEF_DIRECTIVE && ast->kind != GQL_DEF_SCALAR &&
            pl_str_eq(ast->name.text, type->name))
            return ast;
    }
    return NULL;
}

static void print_own_directives(gql_subgraph *s, pl_buf *out)
{
    for (uint32_t i = 0; i < s->b->builtins->definition_count; i++) {
        const gql_type_system *ast = &s->b->builtins->definitions[i];
        if (ast->kind != GQL_DEF_DIRECTIVE || is_everywhere(ast->name.text) ||
            pl_map_has(&s->directives, ast->name.text) || !is_used(s, ast->name.text))
            continue;
        print_definition(ast, out);
        for (uint32_t j = 0; j < ast->input_count; j++) {
            const gql_type_system *type = builtin_type(s, ast->inputs[j].type);
            if (type && !pl_map_has(&s->types, type->name.text) &&
                gql_build_map(s->b, &s->types, type->name.text, s))
                print_definition(type, out);
        }
    }
}

pl_str gql_subgraph_sdl(gql_subgraph *s)
{
    pl_buf text;
    pl_str sdl = PL_STR_NONE;
    pl_buf_init(&text);
    for (size_t i = 0; i < s->b->count; i++) {
        /* first of those that were added is what this subgraph need not define; then, what its SDL uses */
        if (s->b->documents[i]->definition_count == 0 || i == s->own_documents)
            continue;
        if (text.len > 0)
            PL_BUF_LIT(&text, "\n\n");
        gql_print_document(&text, s->b->documents[i]);
    }
    print_own_directives(s, &text);
    pl_buf_char(&text, '\n');
    if (!text.failed)
        sdl = pl_arena_str(&s->b->schema->arena, pl_buf_view(&text));
    pl_buf_dispose(&text);
    return sdl;
}
