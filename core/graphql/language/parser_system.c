/* SPDX-License-Identifier: MIT */
/* Type system definitions and extensions. */
#include "graphql/language/parser_internal.h"

static const struct {
    const char *keyword;
    gql_system_kind kind;
} keywords[] = {
    {"type", GQL_DEF_OBJECT},         {"input", GQL_DEF_INPUT},   {"enum", GQL_DEF_ENUM},
    {"interface", GQL_DEF_INTERFACE}, {"union", GQL_DEF_UNION},   {"scalar", GQL_DEF_SCALAR},
    {"directive", GQL_DEF_DIRECTIVE}, {"schema", GQL_DEF_SCHEMA},
};

static const char *const directive_locations[] = {
    "QUERY",
    "MUTATION",
    "SUBSCRIPTION",
    "FIELD",
    "FRAGMENT_DEFINITION",
    "FRAGMENT_SPREAD",
    "INLINE_FRAGMENT",
    "VARIABLE_DEFINITION",
    "FRAGMENT_VARIABLE_DEFINITION",
    "SCHEMA",
    "SCALAR",
    "OBJECT",
    "FIELD_DEFINITION",
    "ARGUMENT_DEFINITION",
    "INTERFACE",
    "UNION",
    "ENUM",
    "ENUM_VALUE",
    "INPUT_OBJECT",
    "INPUT_FIELD_DEFINITION",
    "DIRECTIVE_DEFINITION",
};

bool gql_parser_at_system(const gql_parser *p, gql_system_kind *kind)
{
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (gql_parser_at_keyword(p, keywords[i].keyword)) {
            *kind = keywords[i].kind;
            return true;
        }
    }
    return false;
}

/* --- members --- */

static bool input_value(gql_parser *p, void *item)
{
    gql_input_value_ast *input = item;
    input->loc = p->token.loc;
    return gql_parser_description(p, &input->description, &input->block_description) &&
           gql_parser_name(p, &input->name) && gql_parser_expect(p, GQL_TOKEN_COLON) &&
           gql_parser_type(p, &input->type) && gql_parser_default_value(p, &input->default_value) &&
           gql_parser_const_directives(p, &input->directives);
}

static bool argument_definitions(gql_parser *p, gql_input_value_ast **out, uint32_t *count)
{
    static const gql_list_form form = {GQL_TOKEN_PAREN_L, GQL_TOKEN_PAREN_R, input_value,
                                       sizeof(gql_input_value_ast)};
    gql_list list;
    if (!gql_parser_optional_many(p, &form, &list))
        return false;
    *out = list.items;
    *count = list.count;
    return true;
}

static bool field_definition(gql_parser *p, void *item)
{
    gql_field_ast *field = item;
    field->loc = p->token.loc;
    return gql_parser_description(p, &field->description, &field->block_description) &&
           gql_parser_name(p, &field->name) &&
           argument_definitions(p, &field->arguments, &field->argument_count) &&
           gql_parser_expect(p, GQL_TOKEN_COLON) && gql_parser_type(p, &field->type) &&
           gql_parser_const_directives(p, &field->directives);
}

static bool enum_value(gql_parser *p, void *item)
{
    gql_enum_value_ast *value = item;
    value->loc = p->token.loc;
    if (!gql_parser_description(p, &value->description, &value->block_description))
        return false;
    pl_str text = p->token.text;
    if (pl_str_is(text, "true") || pl_str_is(text, "false") || pl_str_is(text, "null"))
        return gql_parser_fail(p, &p->token, "%s \"%.*s\" is reserved and cannot be used for an enum value.",
                               gql_token_kind_name(p->token.kind), PL_STR_ARG(text));
    return gql_parser_name(p, &value->name) && gql_parser_const_directives(p, &value->directives);
}

static bool operation_type(gql_parser *p, void *item)
{
    gql_operation_type_ast *operation = item;
    operation->loc = p->token.loc;
    return gql_parser_operation_kind(p, &operation->kind) && gql_parser_expect(p, GQL_TOKEN_COLON) &&
           gql_parser_name(p, &operation->type);
}

static bool directive_location(gql_parser *p, void *item)
{
    gql_token token = p->token;
    if (!gql_parser_name(p, item))
        return false;
    for (size_t i = 0; i < sizeof(directive_locations) / sizeof(directive_locations[0]); i++) {
        if (pl_str_is(token.text, directive_locations[i]))
            return true;
    }
    return gql_parser_unexpected(p, &token);
}

/* --- definitions: what stands behind the keyword, and for extensions the same --- */

static bool operation_types(gql_parser *p, gql_type_system *out)
{
    static const gql_list_form form = {GQL_TOKEN_BRACE_L, GQL_TOKEN_BRACE_R, operation_type,
                                       sizeof(gql_operation_type_ast)};
    gql_list list;
    bool ok = out->extension ? gql_parser_optional_many(p, &form, &list) : gql_parser_many(p, &form, &list);
    if (!ok)
        return false;
    out->operation_types = list.items;
    out->operation_type_count = list.count;
    return true;
}

static bool delimited_names(gql_parser *p, gql_token_kind delimiter, gql_type_system *out)
{
    gql_list list;
    if (!gql_parser_delimited(p, delimiter, gql_parser_name_item, sizeof(gql_name), &list))
        return false;
    out->interfaces = list.items;
    out->interface_count = list.count;
    return true;
}

static bool implements(gql_parser *p, gql_type_system *out)
{
    if (!gql_parser_at_keyword(p, "implements"))
        return true;
    return gql_parser_advance(p) && delimited_names(p, GQL_TOKEN_AMP, out);
}

static bool union_members(gql_parser *p, gql_type_system *out)
{
    if (!gql_parser_at(p, GQL_TOKEN_EQUALS))
        return true;
    return gql_parser_advance(p) && delimited_names(p, GQL_TOKEN_PIPE, out);
}

static bool fields(gql_parser *p, gql_type_system *out)
{
    static const gql_list_form form = {GQL_TOKEN_BRACE_L, GQL_TOKEN_BRACE_R, field_definition,
                                       sizeof(gql_field_ast)};
    gql_list list;
    if (!gql_parser_optional_many(p, &form, &list))
        return false;
    out->fields = list.items;
    out->field_count = list.count;
    return true;
}

static bool enum_values(gql_parser *p, gql_type_system *out)
{
    static const gql_list_form form = {GQL_TOKEN_BRACE_L, GQL_TOKEN_BRACE_R, enum_value,
                                       sizeof(gql_enum_value_ast)};
    gql_list list;
    if (!gql_parser_optional_many(p, &form, &list))
        return false;
    out->values = list.items;
    out->value_count = list.count;
    return true;
}

static bool input_fields(gql_parser *p, gql_type_system *out)
{
    static const gql_list_form form = {GQL_TOKEN_BRACE_L, GQL_TOKEN_BRACE_R, input_value,
                                       sizeof(gql_input_value_ast)};
    gql_list list;
    if (!gql_parser_optional_many(p, &form, &list))
        return false;
    out->inputs = list.items;
    out->input_count = list.count;
    return true;
}

static bool directive_definition(gql_parser *p, gql_type_system *out)
{
    if (!gql_parser_expect(p, GQL_TOKEN_AT) || !gql_parser_name(p, &out->name))
        return false;
    if (!argument_definitions(p, &out->inputs, &out->input_count) ||
        !gql_parser_const_directives(p, &out->directives))
        return false;
    if (gql_parser_at_keyword(p, "repeatable")) {
        out->repeatable = true;
        if (!gql_parser_advance(p))
            return false;
    }
    gql_list list;
    if (!gql_parser_expect_keyword(p, "on") ||
        !gql_parser_delimited(p, GQL_TOKEN_PIPE, directive_location, sizeof(gql_name), &list))
        return false;
    out->locations = list.items;
    out->location_count = list.count;
    return true;
}

static bool body(gql_parser *p, gql_type_system *out)
{
    if (out->kind == GQL_DEF_DIRECTIVE)
        return directive_definition(p, out);
    if (out->kind != GQL_DEF_SCHEMA && !gql_parser_name(p, &out->name))
        return false;
    bool implementing = out->kind == GQL_DEF_OBJECT || out->kind == GQL_DEF_INTERFACE;
    if ((implementing && !implements(p, out)) || !gql_parser_const_directives(p, &out->directives))
        return false;
    switch (out->kind) {
    case GQL_DEF_SCHEMA:
        return operation_types(p, out);
    case GQL_DEF_OBJECT:
    case GQL_DEF_INTERFACE:
        return fields(p, out);
    case GQL_DEF_UNION:
        return union_members(p, out);
    case GQL_DEF_ENUM:
        return enum_values(p, out);
    case GQL_DEF_INPUT:
        return input_fields(p, out);
    case GQL_DEF_SCALAR:
    case GQL_DEF_DIRECTIVE:
        break;
    }
    return true;
}

bool gql_parser_system(gql_parser *p, const gql_definition_head *head, gql_system_kind kind,
                       gql_type_system *out)
{
    *out = (gql_type_system){.kind = kind,
                             .loc = head->start.loc,
                             .source = p->source,
                             .description = head->description,
                             .block_description = head->block_description};
    return gql_parser_advance(p) && body(p, out);
}

static bool extends_something(const gql_type_system *e)
{
    return e->directives.count != 0 || e->operation_type_count != 0 || e->interface_count != 0 ||
           e->field_count != 0 || e->value_count != 0 || e->input_count != 0;
}

bool gql_parser_extension(gql_parser *p, const gql_definition_head *head, gql_type_system *out)
{
    gql_system_kind kind;
    if (!gql_parser_advance(p))
        return false;
    if (!gql_parser_at_system(p, &kind) || kind == GQL_DEF_DIRECTIVE)
        return gql_parser_unexpected(p, &p->token);
    *out = (gql_type_system){.kind = kind, .extension = true, .loc = head->start.loc, .source = p->source};
    if (!gql_parser_advance(p) || !body(p, out))
        return false;
    return extends_something(out) || gql_parser_unexpected(p, &p->token);
}
