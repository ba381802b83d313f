/* SPDX-License-Identifier: MIT */
/* Documents, operations, fragments and selection sets. */
#include "graphql/language/parser_internal.h"

static bool selection_set(gql_parser *p, gql_selection_set *out);

/* --- selections --- */

static bool field(gql_parser *p, gql_selection *out)
{
    bool aliased;
    out->kind = GQL_FIELD;
    out->loc = p->token.loc;
    if (!gql_parser_name(p, &out->name) || !gql_parser_optional(p, GQL_TOKEN_COLON, &aliased))
        return false;
    if (aliased) {
        out->alias = out->name;
        if (!gql_parser_name(p, &out->name))
            return false;
    }
    return gql_parser_arguments(p, &out->arguments, &out->argument_count) &&
           gql_parser_directives(p, &out->directives) &&
           (!gql_parser_at(p, GQL_TOKEN_BRACE_L) || selection_set(p, &out->selections));
}

/* Any token whose text is "on" is refused here, so that the message is not that a name was expected. */
static bool fragment_name(gql_parser *p, gql_name *out)
{
    if (pl_str_is(p->token.text, "on"))
        return gql_parser_unexpected(p, &p->token);
    return gql_parser_name(p, out);
}

static bool spread_or_inline_fragment(gql_parser *p, gql_selection *out)
{
    out->loc = p->token.loc;
    if (!gql_parser_advance(p))
        return false;
    bool conditioned = gql_parser_at_keyword(p, "on");
    if (!conditioned && gql_parser_at(p, GQL_TOKEN_NAME)) {
        out->kind = GQL_FRAGMENT_SPREAD;
        return fragment_name(p, &out->name) && gql_parser_directives(p, &out->directives);
    }
    out->kind = GQL_INLINE_FRAGMENT;
    if (conditioned && (!gql_parser_advance(p) || !gql_parser_named_type(p, &out->type_condition)))
        return false;
    return gql_parser_directives(p, &out->directives) && selection_set(p, &out->selections);
}

static bool selection(gql_parser *p, void *item)
{
    return gql_parser_at(p, GQL_TOKEN_SPREAD) ? spread_or_inline_fragment(p, item) : field(p, item);
}

static bool selection_set(gql_parser *p, gql_selection_set *out)
{
    static const gql_list_form form = {GQL_TOKEN_BRACE_L, GQL_TOKEN_BRACE_R, selection,
                                       sizeof(gql_selection)};
    gql_list list;
    out->loc = p->token.loc;
    if (!gql_parser_enter(p) || !gql_parser_many(p, &form, &list))
        return false;
    gql_parser_leave(p);
    out->items = list.items;
    out->count = list.count;
    return true;
}

/* --- operations and fragments --- */

static bool variable_definition(gql_parser *p, void *item)
{
    gql_variable_definition *variable = item;
    variable->loc = p->token.loc;
    return gql_parser_description(p, &variable->description, &variable->block_description) &&
           gql_parser_variable(p, &variable->name) && gql_parser_expect(p, GQL_TOKEN_COLON) &&
           gql_parser_type(p, &variable->type) && gql_parser_default_value(p, &variable->default_value) &&
           gql_parser_const_directives(p, &variable->directives);
}

static bool at_operation_kind(const gql_parser *p, gql_operation_kind *out)
{
    if (gql_parser_at_keyword(p, "query"))
        *out = GQL_QUERY;
    else if (gql_parser_at_keyword(p, "mutation"))
        *out = GQL_MUTATION;
    else if (gql_parser_at_keyword(p, "subscription"))
        *out = GQL_SUBSCRIPTION;
    else
        return false;
    return true;
}

bool gql_parser_operation_kind(gql_parser *p, gql_operation_kind *out)
{
    if (at_operation_kind(p, out))
        return gql_parser_advance(p);
    /* Another name is read before it is refused: what does not lex behind it is the error then. */
    gql_token token = p->token;
    return gql_parser_expect(p, GQL_TOKEN_NAME) && gql_parser_unexpected(p, &token);
}

static bool operation(gql_parser *p, const gql_definition_head *head, gql_operation *out)
{
    static const gql_list_form variables = {GQL_TOKEN_PAREN_L, GQL_TOKEN_PAREN_R, variable_definition,
                                            sizeof(gql_variable_definition)};
    gql_list list;
    *out = (gql_operation){.kind = GQL_QUERY,
                           .loc = head->start.loc,
                           .description = head->description,
                           .block_description = head->block_description};
    if (gql_parser_at(p, GQL_TOKEN_BRACE_L))
        return selection_set(p, &out->selections);
    if (!gql_parser_operation_kind(p, &out->kind))
        return false;
    if (gql_parser_at(p, GQL_TOKEN_NAME) && !gql_parser_name(p, &out->name))
        return false;
    if (!gql_parser_optional_many(p, &variables, &list))
        return false;
    out->variables = list.items;
    out->variable_count = list.count;
    return gql_parser_directives(p, &out->directives) && selection_set(p, &out->selections);
}

static bool fragment(gql_parser *p, const gql_definition_head *head, gql_fragment *out)
{
    *out = (gql_fragment){.loc = head->start.loc,
                          .description = head->description,
                          .block_description = head->block_description};
    return gql_parser_expect_keyword(p, "fragment") && fragment_name(p, &out->name) &&
           gql_parser_expect_keyword(p, "on") && gql_parser_named_type(p, &out->type_condition) &&
           gql_parser_directives(p, &out->directives) && selection_set(p, &out->selections);
}

/* --- documents --- */

typedef struct definition {
    enum { OPERATION, FRAGMENT, SYSTEM } kind;
    union {
        gql_operation operation;
        gql_fragment fragment;
        gql_type_system system;
    };
} definition;

static bool fail_definition(gql_parser *p, const gql_definition_head *head)
{
    if (head->description.ptr != NULL && gql_parser_at(p, GQL_TOKEN_BRACE_L))
        return gql_parser_fail(
            p, &head->start, "Unexpected description, descriptions are not supported on shorthand queries.");
    if (head->description.ptr != NULL && gql_parser_at(p, GQL_TOKEN_NAME))
        return gql_parser_fail(p, &head->start,
                               "Unexpected description, only GraphQL definitions support descriptions.");
    return gql_parser_unexpected(p, &p->token);
}

static bool parse_definition(gql_parser *p, definition *out)
{
    gql_definition_head head = {.start = p->token};
    gql_operation_kind ignored;
    gql_system_kind system;
    if (!gql_parser_description(p, &head.description, &head.block_description))
        return false;
    bool described = head.description.ptr != NULL;
    if ((gql_parser_at(p, GQL_TOKEN_BRACE_L) && !described) || at_operation_kind(p, &ignored)) {
        out->kind = OPERATION;
        return operation(p, &head, &out->operation);
    }
    if (gql_parser_at_keyword(p, "fragment")) {
        out->kind = FRAGMENT;
        return fragment(p, &head, &out->fragment);
    }
    out->kind = SYSTEM;
    if (gql_parser_at_system(p, &system))
        return gql_parser_system(p, &head, system, &out->system);
    if (gql_parser_at_keyword(p, "extend") && !described)
        return gql_parser_extension(p, &head, &out->system);
    return fail_definition(p, &head);
}

static void *array(gql_parser *p, uint32_t count, size_t size)
{
    void *items = count ? pl_arena_alloc(p->arena, count * size) : NULL;
    if (count != 0 && items == NULL)
        gql_parser_fail_memory(p);
    return items;
}

/* Deals the definitions, which stand on scratch in the order of the source, out to the arrays of their kinds.
 */
static bool deal_out(gql_parser *p, const definition *definitions, uint32_t count, gql_document *out)
{
    uint32_t counts[3] = {0}, n[3] = {0};
    for (uint32_t i = 0; i < count; i++)
        counts[definitions[i].kind]++;
    out->operations = array(p, counts[OPERATION], sizeof(gql_operation));
    out->fragments = array(p, counts[FRAGMENT], sizeof(gql_fragment));
    out->definitions = array(p, counts[SYSTEM], sizeof(gql_type_system));
    if (p->code)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const definition *d = &definitions[i];
        uint32_t at = n[d->kind]++;
        if (d->kind == OPERATION) {
            out->operations[at] = d->operation;
        } else if (d->kind == FRAGMENT) {
            out->fragments[at] = d->fragment;
            out->fragments[at].index = at;
        } else {
            out->definitions[at] = d->system;
        }
    }
    out->operation_count = counts[OPERATION];
    out->fragment_count = counts[FRAGMENT];
    out->definition_count = counts[SYSTEM];
    return true;
}

bool gql_parser_document(gql_parser *p, gql_document *out)
{
    size_t mark = gql_parser_mark(p);
    uint32_t count = 0;
    do {
        definition d;
        memset(&d, 0, sizeof(d));
        if (!parse_definition(p, &d) || !gql_parser_push(p, &d, sizeof(d)))
            return false;
        count++;
    } while (!gql_parser_at(p, GQL_TOKEN_EOF));
    out->source = p->source;
    return deal_out(p, (const definition *)(const void *)(p->scratch + mark), count, out);
}
