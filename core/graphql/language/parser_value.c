/* SPDX-License-Identifier: MIT */
/* Names, values, arguments, directives and type references. */
#include "graphql/language/parser_internal.h"

bool gql_parser_name(gql_parser *p, gql_name *out)
{
    *out = (gql_name){p->token.text, p->token.loc};
    return gql_parser_expect(p, GQL_TOKEN_NAME);
}

bool gql_parser_name_item(gql_parser *p, void *name)
{
    return gql_parser_name(p, name);
}

bool gql_parser_description(gql_parser *p, pl_str *out, bool *block)
{
    *out = PL_STR_NONE;
    *block = false;
    if (!gql_parser_at_string(p))
        return true;
    *out = p->token.text;
    *block = p->token.kind == GQL_TOKEN_BLOCK_STRING;
    return gql_parser_advance(p);
}

/* --- values --- */

static bool parse_value(gql_parser *p, gql_value *out, bool constant);

static bool value_item(gql_parser *p, void *item)
{
    return parse_value(p, item, false);
}

static bool const_value_item(gql_parser *p, void *item)
{
    return gql_parser_const_value(p, item);
}

static bool object_field(gql_parser *p, void *item)
{
    gql_object_field *field = item;
    return gql_parser_name(p, &field->name) && gql_parser_expect(p, GQL_TOKEN_COLON) &&
           parse_value(p, &field->value, false);
}

static bool const_object_field(gql_parser *p, void *item)
{
    gql_object_field *field = item;
    return gql_parser_name(p, &field->name) && gql_parser_expect(p, GQL_TOKEN_COLON) &&
           gql_parser_const_value(p, &field->value);
}

static bool list_value(gql_parser *p, gql_value *out, bool constant)
{
    static const gql_list_form forms[] = {
        {GQL_TOKEN_BRACKET_L, GQL_TOKEN_BRACKET_R, value_item, sizeof(gql_value)},
        {GQL_TOKEN_BRACKET_L, GQL_TOKEN_BRACKET_R, const_value_item, sizeof(gql_value)},
    };
    gql_list list;
    out->kind = GQL_VALUE_LIST;
    if (!gql_parser_enter(p) || !gql_parser_any(p, &forms[constant], &list))
        return false;
    gql_parser_leave(p);
    out->items = list.items;
    out->count = list.count;
    return true;
}

static bool object_value(gql_parser *p, gql_value *out, bool constant)
{
    static const gql_list_form forms[] = {
        {GQL_TOKEN_BRACE_L, GQL_TOKEN_BRACE_R, object_field, sizeof(gql_object_field)},
        {GQL_TOKEN_BRACE_L, GQL_TOKEN_BRACE_R, const_object_field, sizeof(gql_object_field)},
    };
    gql_list list;
    out->kind = GQL_VALUE_OBJECT;
    if (!gql_parser_enter(p) || !gql_parser_any(p, &forms[constant], &list))
        return false;
    gql_parser_leave(p);
    out->fields = list.items;
    out->count = list.count;
    return true;
}

static bool name_value(gql_parser *p, gql_value *out)
{
    if (gql_parser_at_keyword(p, "true") || gql_parser_at_keyword(p, "false")) {
        out->kind = GQL_VALUE_BOOLEAN;
        out->boolean = p->token.text.len == 4;
    } else if (gql_parser_at_keyword(p, "null")) {
        out->kind = GQL_VALUE_NULL;
    } else {
        out->kind = GQL_VALUE_ENUM;
    }
    out->text = p->token.text;
    return gql_parser_advance(p);
}

bool gql_parser_variable(gql_parser *p, gql_name *out)
{
    return gql_parser_expect(p, GQL_TOKEN_DOLLAR) && gql_parser_name(p, out);
}

static bool fail_const_variable(gql_parser *p)
{
    gql_token dollar = p->token;
    if (!gql_parser_advance(p))
        return false;
    if (!gql_parser_at(p, GQL_TOKEN_NAME))
        return gql_parser_unexpected(p, &dollar);
    int shown = p->token.text.len < 1024 ? (int)p->token.text.len : 1024;
    return gql_parser_fail(p, &dollar, "Unexpected variable \"$%.*s\" in constant value.", shown,
                           p->token.text.ptr);
}

static bool variable_value(gql_parser *p, gql_value *out)
{
    gql_name name;
    if (!gql_parser_variable(p, &name))
        return false;
    out->kind = GQL_VALUE_VARIABLE;
    out->text = name.text;
    return true;
}

static bool scalar_value(gql_parser *p, gql_value *out, gql_value_kind kind)
{
    out->kind = kind;
    out->block = p->token.kind == GQL_TOKEN_BLOCK_STRING;
    out->text = p->token.text;
    return gql_parser_advance(p);
}

static bool parse_value(gql_parser *p, gql_value *out, bool constant)
{
    *out = (gql_value){.loc = p->token.loc};
    switch (p->token.kind) {
    case GQL_TOKEN_NAME:
        return name_value(p, out);
    case GQL_TOKEN_INT:
        return scalar_value(p, out, GQL_VALUE_INT);
    case GQL_TOKEN_FLOAT:
        return scalar_value(p, out, GQL_VALUE_FLOAT);
    case GQL_TOKEN_STRING:
    case GQL_TOKEN_BLOCK_STRING:
        return scalar_value(p, out, GQL_VALUE_STRING);
    case GQL_TOKEN_DOLLAR:
        return constant ? fail_const_variable(p) : variable_value(p, out);
    case GQL_TOKEN_BRACKET_L:
        return list_value(p, out, constant);
    case GQL_TOKEN_BRACE_L:
        return object_value(p, out, constant);
    default:
        return gql_parser_unexpected(p, &p->token);
    }
}

bool gql_parser_const_value(gql_parser *p, gql_value *out)
{
    return parse_value(p, out, true);
}

bool gql_parser_default_value(gql_parser *p, gql_value **out)
{
    bool there;
    if (!gql_parser_optional(p, GQL_TOKEN_EQUALS, &there) || !there)
        return p->code == PL_OK;
    *out = gql_parser_alloc(p, sizeof(**out));
    return *out != NULL && gql_parser_const_value(p, *out);
}

/* --- arguments and directives --- */

static bool argument(gql_parser *p, void *item)
{
    gql_argument *arg = item;
    return gql_parser_name(p, &arg->name) && gql_parser_expect(p, GQL_TOKEN_COLON) &&
           parse_value(p, &arg->value, false);
}

static bool const_argument(gql_parser *p, void *item)
{
    gql_argument *arg = item;
    return gql_parser_name(p, &arg->name) && gql_parser_expect(p, GQL_TOKEN_COLON) &&
           gql_parser_const_value(p, &arg->value);
}

static bool parse_arguments(gql_parser *p, bool constant, gql_argument **out, uint32_t *count)
{
    static const gql_list_form forms[] = {
        {GQL_TOKEN_PAREN_L, GQL_TOKEN_PAREN_R, argument, sizeof(gql_argument)},
        {GQL_TOKEN_PAREN_L, GQL_TOKEN_PAREN_R, const_argument, sizeof(gql_argument)},
    };
    gql_list list;
    if (!gql_parser_optional_many(p, &forms[constant], &list))
        return false;
    *out = list.items;
    *count = list.count;
    return true;
}

bool gql_parser_arguments(gql_parser *p, gql_argument **out, uint32_t *count)
{
    return parse_arguments(p, false, out, count);
}

static bool parse_directives(gql_parser *p, bool constant, gql_directives *out)
{
    *out = (gql_directives){0};
    if (!gql_parser_at(p, GQL_TOKEN_AT))
        return true;
    size_t mark = gql_parser_mark(p);
    do {
        gql_directive d = {.loc = p->token.loc};
        if (!gql_parser_advance(p) || !gql_parser_name(p, &d.name) ||
            !parse_arguments(p, constant, &d.arguments, &d.argument_count) ||
            !gql_parser_push(p, &d, sizeof(d)))
            return false;
    } while (gql_parser_at(p, GQL_TOKEN_AT));
    gql_list list;
    if (!gql_parser_take(p, mark, sizeof(gql_directive), &list))
        return false;
    *out = (gql_directives){list.items, list.count};
    return true;
}

bool gql_parser_directives(gql_parser *p, gql_directives *out)
{
    return parse_directives(p, false, out);
}

bool gql_parser_const_directives(gql_parser *p, gql_directives *out)
{
    return parse_directives(p, true, out);
}

/* --- type references --- */

static gql_type *new_type(gql_parser *p, gql_type_kind kind, gql_loc loc)
{
    gql_type *type = gql_parser_alloc(p, sizeof(*type));
    if (type != NULL) {
        type->kind = kind;
        type->loc = loc;
    }
    return type;
}

bool gql_parser_named_type(gql_parser *p, gql_type **out)
{
    gql_name name;
    if (!gql_parser_name(p, &name) || (*out = new_type(p, GQL_TYPE_NAMED, name.loc)) == NULL)
        return false;
    (*out)->name = name.text;
    return true;
}

static bool list_type(gql_parser *p, gql_type **out)
{
    *out = new_type(p, GQL_TYPE_LIST, p->token.loc);
    if (*out == NULL || !gql_parser_enter(p) || !gql_parser_advance(p) || !gql_parser_type(p, &(*out)->of) ||
        !gql_parser_expect(p, GQL_TOKEN_BRACKET_R))
        return false;
    gql_parser_leave(p);
    return true;
}

bool gql_parser_type(gql_parser *p, gql_type **out)
{
    gql_type *type;
    bool non_null;
    bool ok = gql_parser_at(p, GQL_TOKEN_BRACKET_L) ? list_type(p, &type) : gql_parser_named_type(p, &type);
    if (!ok || !gql_parser_optional(p, GQL_TOKEN_BANG, &non_null))
        return false;
    *out = type;
    if (non_null) {
        *out = new_type(p, GQL_TYPE_NON_NULL, type->loc);
        if (*out == NULL)
            return false;
        (*out)->of = type;
    }
    return true;
}
