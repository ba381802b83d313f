/* SPDX-License-Identifier: MIT */
#include "graphql/schema/print.h"

#include "graphql/language/printer.h"

static void print_string(pl_buf *out, pl_str text, bool block)
{
    gql_value value = {.kind = GQL_VALUE_STRING, .text = text, .block = block};
    gql_print_value(out, &value);
}

/* Whether a block string with this text reads back as the same text. */
static bool block_keeps(pl_str text)
{
    bool empty_line = true, indented = false, all_indented = true, any_line = false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '\n') {
            if (empty_line && !any_line)
                return false; /* a leading empty line is lost */
            any_line = true;
            empty_line = true;
            indented = false;
        } else if (c == '\t' || c == ' ') {
            indented |= empty_line;
        } else if (c < 0x10) {
            return false; /* control characters, and carriage returns, which are line ends */
        } else {
            all_indented &= indented;
            empty_line = false;
        }
    }
    return text.len == 0 || !(empty_line || (all_indented && any_line));
}

static void print_description(pl_buf *out, pl_str text, const char *indent, bool first)
{
    pl_buf string;
    if (!text.ptr)
        return;
    if (*indent && !first)
        pl_buf_char(out, '\n');
    pl_buf_str(out, pl_str_of(indent));
    pl_buf_init(&string);
    print_string(&string, text, block_keeps(text));
    for (size_t i = 0; i < string.len; i++) {
        pl_buf_char(out, string.data[i]);
        if (string.data[i] == '\n')
            pl_buf_str(out, pl_str_of(indent));
    }
    out->failed |= string.failed;
    pl_buf_dispose(&string);
    pl_buf_char(out, '\n');
}

static void print_deprecated(pl_buf *out, const gql_deprecation *deprecation)
{
    if (!deprecation->is)
        return;
    PL_BUF_LIT(out, " @deprecated");
    if (pl_str_is(deprecation->reason, "No longer supported"))
        return;
    PL_BUF_LIT(out, "(reason: ");
    print_string(out, deprecation->reason, false);
    pl_buf_char(out, ')');
}

static void print_input(pl_buf *out, const gql_input *input)
{
    pl_buf_str(out, input->name);
    PL_BUF_LIT(out, ": ");
    pl_buf_str(out, input->type->text);
    if (input->default_ast) {
        PL_BUF_LIT(out, " = ");
        gql_print_value(out, input->default_ast);
    }
    print_deprecated(out, &input->deprecation);
}

/* On one line when no argument has a description. */
static void print_arguments(pl_buf *out, const gql_input *inputs, uint32_t count, bool in_block)
{
    bool described = false;
    const char *indent = in_block ? "    " : "  ";
    for (uint32_t i = 0; i < count; i++)
        described |= inputs[i].description.ptr != NULL;
    if (count == 0)
        return;
    pl_buf_char(out, '(');
    for (uint32_t i = 0; i < count; i++) {
        if (described) {
            pl_buf_char(out, '\n');
            print_description(out, inputs[i].description, indent, i == 0);
            pl_buf_str(out, pl_str_of(indent));
        } else if (i > 0) {
            PL_BUF_LIT(out, ", ");
        }
        print_input(out, &inputs[i]);
    }
    if (described)
        pl_buf_str(out, pl_str_of(in_block ? "\n  " : "\n"));
    pl_buf_char(out, ')');
}

static void print_names(pl_buf *out, gql_named *const *types, uint32_t count, const char *before,
                        const char *between)
{
    for (uint32_t i = 0; i < count; i++) {
        pl_buf_str(out, pl_str_of(i == 0 ? before : between));
        pl_buf_str(out, types[i]->name);
    }
}

static void open_block(pl_buf *out, uint32_t count)
{
    if (count > 0)
        PL_BUF_LIT(out, " {\n");
}

static void close_block(pl_buf *out, uint32_t count)
{
    if (count > 0)
        pl_buf_char(out, '}');
}

static void print_fields(pl_buf *out, const gql_named *type)
{
    print_names(out, type->interfaces, type->interface_count, " implements ", " & ");
    open_block(out, type->field_count);
    for (uint32_t i = 0; i < type->field_count; i++) {
        const gql_field *field = &type->fields[i];
        print_description(out, field->description, "  ", i == 0);
        PL_BUF_LIT(out, "  ");
        pl_buf_str(out, field->name);
        print_arguments(out, field->arguments, field->argument_count, true);
        PL_BUF_LIT(out, ": ");
        pl_buf_str(out, field->type->text);
        print_deprecated(out, &field->deprecation);
        pl_buf_char(out, '\n');
    }
    close_block(out, type->field_count);
}

static void print_values(pl_buf *out, const gql_named *type)
{
    open_block(out, type->value_count);
    for (uint32_t i = 0; i < type->value_count; i++) {
        print_description(out, type->values[i].description, "  ", i == 0);
        PL_BUF_LIT(out, "  ");
        pl_buf_str(out, type->values[i].name);
        print_deprecated(out, &type->values[i].deprecation);
        pl_buf_char(out, '\n');
    }
    close_block(out, type->value_count);
}

static void print_inputs(pl_buf *out, const gql_named *type)
{
    if (type->one_of)
        PL_BUF_LIT(out, " @oneOf");
    open_block(out, type->input_count);
    for (uint32_t i = 0; i < type->input_count; i++) {
        print_description(out, type->inputs[i].description, "  ", i == 0);
        PL_BUF_LIT(out, "  ");
        print_input(out, &type->inputs[i]);
        pl_buf_char(out, '\n');
    }
    close_block(out, type->input_count);
}

static void print_type(pl_buf *out, const gql_named *type)
{
    static const char *const keywords[] = {
        [GQL_SCALAR] = "scalar ", [GQL_OBJECT] = "type ", [GQL_INTERFACE] = "interface ",
        [GQL_UNION] = "union ",   [GQL_ENUM] = "enum ",   [GQL_INPUT_OBJECT] = "input ",
    };
    print_description(out, type->description, "", true);
    pl_buf_str(out, pl_str_of(keywords[type->kind]));
    pl_buf_str(out, type->name);
    switch (type->kind) {
    case GQL_SCALAR:
        if (type->specified_by.ptr) {
            PL_BUF_LIT(out, " @specifiedBy(url: ");
            print_string(out, type->specified_by, false);
            pl_buf_char(out, ')');
        }
        break;
    case GQL_OBJECT:
    case GQL_INTERFACE:
        print_fields(out, type);
        break;
    case GQL_UNION:
        print_names(out, type->possible, type->possible_count, " = ", " | ");
        break;
    case GQL_ENUM:
        print_values(out, type);
        break;
    case GQL_INPUT_OBJECT:
        print_inputs(out, type);
        break;
    }
}

static void print_directive(pl_buf *out, const gql_directive_def *def)
{
    print_description(out, def->description, "", true);
    PL_BUF_LIT(out, "directive @");
    pl_buf_str(out, def->name);
    print_arguments(out, def->arguments, def->argument_count, false);
    if (def->repeatable)
        PL_BUF_LIT(out, " repeatable");
    const char *between = " on ";
    for (uint32_t bit = 1; bit != 0 && bit <= def->locations; bit <<= 1) {
        const char *name = gql_location_name((gql_location)(def->locations & bit));
        if (!name)
            continue;
        pl_buf_str(out, pl_str_of(between));
        pl_buf_str(out, pl_str_of(name));
        between = " | ";
    }
}

/* Blank lines go between the parts. */
static void separate(pl_buf *out, bool *first)
{
    if (!*first)
        PL_BUF_LIT(out, "\n\n");
    *first = false;
}

static bool is_specified(const gql_directive_def *def)
{
    static const char *const names[] = {"skip", "include", "deprecated", "specifiedBy", "oneOf"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (pl_str_is(def->name, names[i]))
            return true;
    }
    return def->builtin;
}

static void print_roots(pl_buf *out, const gql_schema *schema, bool *first)
{
    static const struct {
        gql_operation_kind kind;
        const char *word, *usual;
    } roots[] = {{GQL_QUERY, "query", "Query"},
                 {GQL_MUTATION, "mutation", "Mutation"},
                 {GQL_SUBSCRIPTION, "subscription", "Subscription"}};
    bool usual = true;
    for (int i = 0; i < 3; i++)
        usual &= gql_schema_root(schema, roots[i].kind) == gql_schema_type(schema, pl_str_of(roots[i].usual));
    if (usual && !schema->description.ptr)
        return;
    separate(out, first);
    print_description(out, schema->description, "", true);
    PL_BUF_LIT(out, "schema {\n");
    for (int i = 0; i < 3; i++) {
        const gql_named *root = gql_schema_root(schema, roots[i].kind);
        if (root)
            pl_buf_printf(out, "  %s: %.*s\n", roots[i].word, PL_STR_ARG(root->name));
    }
    pl_buf_char(out, '}');
}

void gql_schema_print(pl_buf *out, const gql_schema *schema)
{
    bool first = true;
    print_roots(out, schema, &first);
    for (uint32_t i = 0; i < schema->directive_count; i++) {
        if (is_specified(schema->directives[i]))
            continue;
        separate(out, &first);
        print_directive(out, schema->directives[i]);
    }
    for (uint32_t i = 0; i < schema->type_count; i++) {
        if (schema->types[i]->builtin)
            continue;
        separate(out, &first);
        print_type(out, schema->types[i]);
    }
}
