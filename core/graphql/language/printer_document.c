/* SPDX-License-Identifier: MIT */
/* Documents and definitions. */
#include "graphql/language/printer_internal.h"

static void write_selections(gql_writer *w, const gql_selection_set *set);

static void write_description(gql_writer *w, pl_str description, bool block)
{
    if (description.ptr == NULL)
        return;
    gql_write_string(w, description, block);
    gql_write_newline(w);
}

static void write_argument(gql_writer *w, const gql_argument *arg)
{
    pl_buf_str(w->out, arg->name.text);
    PL_BUF_LIT(w->out, ": ");
    gql_write_value(w, &arg->value);
}

/* One line, or an argument a line. */
static void write_arguments(gql_writer *w, const gql_argument *arguments, uint32_t count, bool broken)
{
    if (count == 0)
        return;
    PL_BUF_LIT(w->out, "(");
    w->indent += broken;
    for (uint32_t i = 0; i < count; i++) {
        if (broken)
            gql_write_newline(w);
        else if (i != 0)
            PL_BUF_LIT(w->out, ", ");
        write_argument(w, &arguments[i]);
    }
    w->indent -= broken;
    if (broken)
        gql_write_newline(w);
    PL_BUF_LIT(w->out, ")");
}

/* Each with a space before it. */
static void write_directives(gql_writer *w, const gql_directives *directives)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        const gql_directive *d = &directives->items[i];
        PL_BUF_LIT(w->out, " @");
        pl_buf_str(w->out, d->name.text);
        write_arguments(w, d->arguments, d->argument_count, false);
    }
}

static bool directives_are_multiline(const gql_directives *directives)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        const gql_directive *d = &directives->items[i];
        for (uint32_t j = 0; j < d->argument_count; j++) {
            if (gql_value_is_multiline(&d->arguments[j].value))
                return true;
        }
    }
    return false;
}

/* --- executable definitions --- */

static void write_field(gql_writer *w, const gql_selection *field)
{
    size_t width = field->name.text.len;
    if (field->alias.text.ptr != NULL) {
        width += field->alias.text.len + 2;
        pl_buf_str(w->out, field->alias.text);
        PL_BUF_LIT(w->out, ": ");
    }
    pl_buf_str(w->out, field->name.text);
    if (field->argument_count != 0)
        width += gql_arguments_width(field->arguments, field->argument_count, GQL_LINE_WIDTH);
    write_arguments(w, field->arguments, field->argument_count, width > GQL_LINE_WIDTH);
}

static void write_selection(gql_writer *w, const gql_selection *selection)
{
    switch (selection->kind) {
    case GQL_FIELD:
        write_field(w, selection);
        break;
    case GQL_FRAGMENT_SPREAD:
        PL_BUF_LIT(w->out, "...");
        pl_buf_str(w->out, selection->name.text);
        break;
    case GQL_INLINE_FRAGMENT:
        PL_BUF_LIT(w->out, "...");
        if (selection->type_condition != NULL) {
            PL_BUF_LIT(w->out, " on ");
            gql_write_type(w, selection->type_condition);
        }
        break;
    }
    write_directives(w, &selection->directives);
    if (selection->selections.count != 0) {
        PL_BUF_LIT(w->out, " ");
        write_selections(w, &selection->selections);
    }
}

static void write_selections(gql_writer *w, const gql_selection_set *set)
{
    PL_BUF_LIT(w->out, "{");
    w->indent++;
    for (uint32_t i = 0; i < set->count; i++) {
        gql_write_newline(w);
        write_selection(w, &set->items[i]);
    }
    w->indent--;
    gql_write_newline(w);
    PL_BUF_LIT(w->out, "}");
}

static pl_str operation_keyword(gql_operation_kind kind)
{
    switch (kind) {
    case GQL_MUTATION:
        return PL_STR("mutation");
    case GQL_SUBSCRIPTION:
        return PL_STR("subscription");
    case GQL_QUERY:
        break;
    }
    return PL_STR("query");
}

static void write_variable(gql_writer *w, const gql_variable_definition *v)
{
    write_description(w, v->description, v->block_description);
    PL_BUF_LIT(w->out, "$");
    pl_buf_str(w->out, v->name.text);
    PL_BUF_LIT(w->out, ": ");
    gql_write_type(w, v->type);
    if (v->default_value != NULL) {
        PL_BUF_LIT(w->out, " = ");
        gql_write_value(w, v->default_value);
    }
    write_directives(w, &v->directives);
}

static bool variables_are_multiline(const gql_operation *op)
{
    for (uint32_t i = 0; i < op->variable_count; i++) {
        const gql_variable_definition *v = &op->variables[i];
        if (v->description.ptr != NULL || directives_are_multiline(&v->directives) ||
            (v->default_value != NULL && gql_value_is_multiline(v->default_value)))
            return true;
    }
    return false;
}

static void write_variables(gql_writer *w, const gql_operation *op)
{
    if (op->variable_count == 0)
        return;
    bool broken = variables_are_multiline(op);
    PL_BUF_LIT(w->out, "(");
    for (uint32_t i = 0; i < op->variable_count; i++) {
        if (broken)
            gql_write_newline(w);
        else if (i != 0)
            PL_BUF_LIT(w->out, ", ");
        write_variable(w, &op->variables[i]);
    }
    if (broken)
        gql_write_newline(w);
    PL_BUF_LIT(w->out, ")");
}

static void write_operation(gql_writer *w, const gql_operation *op)
{
    bool shorthand = op->kind == GQL_QUERY && op->name.text.ptr == NULL && op->variable_count == 0 &&
                     op->directives.count == 0 && op->description.ptr == NULL && !w->open;
    w->open = false;
    if (!shorthand) {
        write_description(w, op->description, op->block_description);
        pl_buf_str(w->out, operation_keyword(op->kind));
        if (op->name.text.ptr != NULL || op->variable_count != 0)
            PL_BUF_LIT(w->out, " ");
        pl_buf_str(w->out, op->name.text);
        write_variables(w, op);
        write_directives(w, &op->directives);
        PL_BUF_LIT(w->out, " ");
    }
    write_selections(w, &op->selections);
}

static void write_fragment(gql_writer *w, const gql_fragment *fragment)
{
    w->open = false;
    write_description(w, fragment->description, fragment->block_description);
    PL_BUF_LIT(w->out, "fragment ");
    pl_buf_str(w->out, fragment->name.text);
    PL_BUF_LIT(w->out, " on ");
    gql_write_type(w, fragment->type_condition);
    write_directives(w, &fragment->directives);
    PL_BUF_LIT(w->out, " ");
    write_selections(w, &fragment->selections);
}

/* --- type system definitions --- */

static void write_input_value(gql_writer *w, const gql_input_value_ast *input)
{
    write_description(w, input->description, input->block_description);
    pl_buf_str(w->out, input->name.text);
    PL_BUF_LIT(w->out, ": ");
    gql_write_type(w, input->type);
    if (input->default_value != NULL) {
        PL_BUF_LIT(w->out, " = ");
        gql_write_value(w, input->default_value);
    }
    write_directives(w, &input->directives);
}

static bool inputs_are_multiline(const gql_input_value_ast *inputs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (inputs[i].description.ptr != NULL || directives_are_multiline(&inputs[i].directives) ||
            (inputs[i].default_value != NULL && gql_value_is_multiline(inputs[i].default_value)))
            return true;
    }
    return false;
}

static void write_argument_definitions(gql_writer *w, const gql_input_value_ast *inputs, uint32_t count)
{
    if (count == 0)
        return;
    bool broken = inputs_are_multiline(inputs, count);
    PL_BUF_LIT(w->out, "(");
    w->indent += broken;
    for (uint32_t i = 0; i < count; i++) {
        if (broken)
            gql_write_newline(w);
        else if (i != 0)
            PL_BUF_LIT(w->out, ", ");
        write_input_value(w, &inputs[i]);
    }
    w->indent -= broken;
    if (broken)
        gql_write_newline(w);
    PL_BUF_LIT(w->out, ")");
}

static void write_names(gql_writer *w, pl_str before, const gql_name *names, uint32_t count, pl_str between)
{
    for (uint32_t i = 0; i < count; i++) {
        pl_buf_str(w->out, i == 0 ? before : between);
        pl_buf_str(w->out, names[i].text);
    }
}

static void write_field_definition(gql_writer *w, const gql_field_ast *field)
{
    write_description(w, field->description, field->block_description);
    pl_buf_str(w->out, field->name.text);
    write_argument_definitions(w, field->arguments, field->argument_count);
    PL_BUF_LIT(w->out, ": ");
    gql_write_type(w, field->type);
    write_directives(w, &field->directives);
}

static void write_member(gql_writer *w, const gql_type_system *def, uint32_t i)
{
    switch (def->kind) {
    case GQL_DEF_SCHEMA:
        pl_buf_str(w->out, operation_keyword(def->operation_types[i].kind));
        PL_BUF_LIT(w->out, ": ");
        pl_buf_str(w->out, def->operation_types[i].type.text);
        break;
    case GQL_DEF_OBJECT:
    case GQL_DEF_INTERFACE:
        write_field_definition(w, &def->fields[i]);
        break;
    case GQL_DEF_ENUM:
        write_description(w, def->values[i].description, def->values[i].block_description);
        pl_buf_str(w->out, def->values[i].name.text);
        write_directives(w, &def->values[i].directives);
        break;
    case GQL_DEF_INPUT:
        write_input_value(w, &def->inputs[i]);
        break;
    case GQL_DEF_SCALAR:
    case GQL_DEF_UNION:
    case GQL_DEF_DIRECTIVE:
        break;
    }
}

static uint32_t member_count(const gql_type_system *def)
{
    switch (def->kind) {
    case GQL_DEF_SCHEMA:
        return def->operation_type_count;
    case GQL_DEF_OBJECT:
    case GQL_DEF_INTERFACE:
        return def->field_count;
    case GQL_DEF_ENUM:
        return def->value_count;
    case GQL_DEF_INPUT:
        return def->input_count;
    case GQL_DEF_SCALAR:
    case GQL_DEF_UNION:
    case GQL_DEF_DIRECTIVE:
        break;
    }
    return 0;
}

static void write_members(gql_writer *w, const gql_type_system *def)
{
    uint32_t count = member_count(def);
    w->open = count == 0 && def->kind != GQL_DEF_SCALAR && def->kind != GQL_DEF_UNION;
    if (count == 0)
        return;
    PL_BUF_LIT(w->out, " {");
    w->indent++;
    for (uint32_t i = 0; i < count; i++) {
        gql_write_newline(w);
        write_member(w, def, i);
    }
    w->indent--;
    gql_write_newline(w);
    PL_BUF_LIT(w->out, "}");
}

static void write_directive_definition(gql_writer *w, const gql_type_system *def)
{
    PL_BUF_LIT(w->out, "directive @");
    pl_buf_str(w->out, def->name.text);
    write_argument_definitions(w, def->inputs, def->input_count);
    write_directives(w, &def->directives);
    if (def->repeatable)
        PL_BUF_LIT(w->out, " repeatable");
    write_names(w, PL_STR(" on "), def->locations, def->location_count, PL_STR(" | "));
}

static void write_system(gql_writer *w, const gql_type_system *def)
{
    static const char *const keywords[] = {
        [GQL_DEF_SCHEMA] = "schema",       [GQL_DEF_SCALAR] = "scalar", [GQL_DEF_OBJECT] = "type",
        [GQL_DEF_INTERFACE] = "interface", [GQL_DEF_UNION] = "union",   [GQL_DEF_ENUM] = "enum",
        [GQL_DEF_INPUT] = "input",
    };
    write_description(w, def->description, def->block_description);
    if (def->extension)
        PL_BUF_LIT(w->out, "extend ");
    if (def->kind == GQL_DEF_DIRECTIVE) {
        w->open = false;
        write_directive_definition(w, def);
        return;
    }
    pl_buf_str(w->out, pl_str_of(keywords[def->kind]));
    if (def->kind != GQL_DEF_SCHEMA) {
        PL_BUF_LIT(w->out, " ");
        pl_buf_str(w->out, def->name.text);
    }
    if (def->kind != GQL_DEF_UNION)
        write_names(w, PL_STR(" implements "), def->interfaces, def->interface_count, PL_STR(" & "));
    write_directives(w, &def->directives);
    if (def->kind == GQL_DEF_UNION)
        write_names(w, PL_STR(" = "), def->interfaces, def->interface_count, PL_STR(" | "));
    write_members(w, def);
}

/* --- documents --- */

/* Writes the definition that comes first in the source of those that next points at, and moves on; false at
 * the end. */
static bool write_next(gql_writer *w, const gql_document *doc, uint32_t next[3])
{
    uint64_t operation = UINT64_MAX, fragment = UINT64_MAX, system = UINT64_MAX;
    if (next[0] < doc->operation_count)
        operation = doc->operations[next[0]].loc.offset;
    if (next[1] < doc->fragment_count)
        fragment = doc->fragments[next[1]].loc.offset;
    if (next[2] < doc->definition_count)
        system = doc->definitions[next[2]].loc.offset;
    if (operation == UINT64_MAX && fragment == UINT64_MAX && system == UINT64_MAX)
        return false;
    if (next[0] + next[1] + next[2] != 0)
        PL_BUF_LIT(w->out, "\n\n");
    if (operation <= fragment && operation <= system)
        write_operation(w, &doc->operations[next[0]++]);
    else if (fragment <= system)
        write_fragment(w, &doc->fragments[next[1]++]);
    else
        write_system(w, &doc->definitions[next[2]++]);
    return true;
}

void gql_print_document(pl_buf *out, const gql_document *document)
{
    gql_writer w = {.out = out};
    uint32_t next[3] = {0};
    while (write_next(&w, document, next)) {
    }
}
