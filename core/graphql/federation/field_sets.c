/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"
#include "graphql/federation/internal.h"
#include "graphql/language/parser.h"

/* The field sets of @key, @requires and @provides: selection sets without the outer braces, in a string. What
 * is wrong with one is found here, and not first when a gateway composes. Whether subgraphs fit together is
 * for composition to say. */

typedef enum set_kind { SET_KEY, SET_REQUIRES, SET_PROVIDES } set_kind;

typedef struct set_check {
    gql_subgraph *s;
    gql_builder *b;
    set_kind kind;
    const gql_directive *directive;
    const gql_source *source;
    const gql_value *fields; /* the string */
    bool exact;              /* places in the string are places in the source */
} set_check;

/* Of a place in the field set, whose first line has a brace more than the string. */
static gql_place place_of(const set_check *c, gql_loc loc)
{
    gql_place place = {c->source, c->fields->loc};
    if (c->exact && loc.line == 1 && loc.column > 1)
        place.loc.column += loc.column - 1;
    return place;
}

static void refuse(const set_check *c, gql_loc loc, const char *fmt, pl_str a, pl_str b, pl_str more)
{
    gql_place place = place_of(c, loc);
    pl_str message =
        pl_arena_printf(&c->b->scratch, fmt, PL_STR_ARG(a), PL_STR_ARG(b), PL_STR_ARG(more)); /* NOLINT */
    c->b->no_memory |= !message.ptr;
    if (message.ptr)
        gql_report(c->b, NULL, &place, 1, "@%.*s(fields: \"%.*s\"): %.*s",
                   PL_STR_ARG(c->directive->name.text),
                   c->fields->text.len > 200 ? 200 : (int)c->fields->text.len, c->fields->text.ptr,
                   PL_STR_ARG(message));
}

static void check_selections(const set_check *c, const gql_selection_set *set, const gql_named *type);

static void unknown_field(const set_check *c, const gql_selection *selection, const gql_named *type)
{
    pl_suggestions near;
    pl_suggest_init(&near, selection->name.text);
    for (uint32_t i = 0; i < type->field_count; i++)
        pl_suggest_add(&near, type->fields[i].name);
    refuse(c, selection->name.loc, "type \"%.*s\" has no field \"%.*s\".%.*s", type->name,
           selection->name.text, pl_suggest_text(&near, &c->b->scratch, NULL));
}

static void check_field_type(const set_check *c, const gql_selection *selection, const gql_field *field)
{
    const gql_named *type = field->type->named;
    pl_str none = PL_STR("");
    if (c->kind == SET_KEY && field->argument_count > 0)
        refuse(c, selection->loc, "field \"%.*s.%.*s\" has arguments, so it cannot be part of a key.%.*s",
               field->parent->name, field->name, none);
    else if (c->kind == SET_KEY && gql_is_abstract(type))
        refuse(c, selection->loc,
               "field \"%.*s.%.*s\" is of an interface or union, so it cannot be part of a key.%.*s",
               field->parent->name, field->name, none);
    else if (gql_is_composite(type) && selection->selections.count == 0)
        refuse(c, selection->loc, "field \"%.*s\" of type \"%.*s\" must have a selection of subfields.%.*s",
               field->name, field->type->text, none);
    else if (!gql_is_composite(type) && selection->selections.count > 0)
        refuse(c, selection->selections.loc,
               "field \"%.*s\" of type \"%.*s\" has no subfields to select.%.*s", field->name,
               field->type->text, none);
    else if (selection->selections.count > 0)
        check_selections(c, &selection->selections, type);
}

static void check_field(const set_check *c, const gql_selection *selection, const gql_named *type)
{
    pl_str name = selection->name.text, none = PL_STR("");
    if (selection->alias.text.ptr) {
        refuse(c, selection->loc, "aliases (\"%.*s: %.*s\") are not allowed.%.*s", selection->alias.text,
               name, none);
        return;
    }
    if (pl_str_is(name, "__typename"))
        return;
    gql_field *field = type->kind == GQL_UNION ? NULL : pl_map_get(&type->field_map, name);
    if (!field)
        unknown_field(c, selection, type);
    else
        check_field_type(c, selection, field);
}

static void check_fragment(const set_check *c, const gql_selection *selection, const gql_named *type)
{
    pl_str none = PL_STR("");
    const gql_named *named = type;
    if (selection->type_condition)
        named = gql_schema_type(c->b->schema, selection->type_condition->name);
    if (!named || !gql_is_composite(named))
        refuse(c, selection->loc, "there is no object type, interface or union \"%.*s\".%.*s%.*s",
               selection->type_condition->name, none, none);
    else if (!gql_types_overlap(c->b->schema, named, type))
        refuse(c, selection->loc, "an object of type \"%.*s\" can never be of type \"%.*s\".%.*s", type->name,
               named->name, none);
    else
        check_selections(c, &selection->selections, named);
}

/* As deep as the parser allows. */
static void check_selections(const set_check *c, const gql_selection_set *set, const gql_named *type)
{
    pl_str none = PL_STR("");
    for (uint32_t i = 0; i < set->count && !gql_build_stop(c->b); i++) {
        const gql_selection *selection = &set->items[i];
        if (selection->directives.count > 0)
            refuse(c, selection->directives.items[0].loc, "directives (@%.*s) are not allowed.%.*s%.*s",
                   selection->directives.items[0].name.text, none, none);
        else if (selection->kind == GQL_FIELD)
            check_field(c, selection, type);
        else if (selection->kind == GQL_INLINE_FRAGMENT)
            check_fragment(c, selection, type);
        else
            refuse(c, selection->loc, "fragments (\"%.*s\") are not allowed.%.*s%.*s", selection->name.text,
                   none, none);
    }
}

/* Whether the text stands in the source as it is: then places in it can be told. */
static bool stands_in_source(const gql_source *source, const gql_value *string)
{
    size_t at = (size_t)string->loc.offset + 1, len = string->text.len;
    return !string->block && at <= source->text.len && source->text.len - at >= len &&
           (len == 0 || memcmp(source->text.ptr + at, string->text.ptr, len) == 0);
}

/* The selection set in the string, as an operation; NULL: it was refused. */
static const gql_selection_set *parse_set(const set_check *c)
{
    gql_builder *b = c->b;
    gql_document *document;
    pl_error err = {0};
    pl_str none = PL_STR("");
    gql_source *source = gql_scratch_alloc(b, 1, sizeof(*source));
    if (!source)
        return NULL;
    source->name = "field set";
    source->text = pl_arena_printf(&b->scratch, "{%.*s\n}", PL_STR_ARG(c->fields->text));
    if (!source->text.ptr) {
        b->no_memory = true;
        return NULL;
    }
    if (gql_parse(&b->scratch, source, NULL, &document, &err) != PL_OK) {
        refuse(c, (gql_loc){.line = err.line, .column = err.column}, "%.*s%.*s%.*s", pl_str_of(err.message),
               none, none);
        return NULL;
    }
    if (document->operation_count != 1 || document->fragment_count + document->definition_count > 0) {
        refuse(c, c->fields->loc, "this is not a set of fields.%.*s%.*s%.*s", none, none, none);
        return NULL;
    }
    return &document->operations[0].selections;
}

/* type: what the fields are selected on. */
static void check_set(gql_builder *b, set_kind kind, const gql_source *source, const gql_directive *directive,
                      const gql_named *type)
{
    set_check c = {.s = b->subgraph, .b = b, .kind = kind, .directive = directive, .source = source};
    c.fields = gql_directive_argument(directive, "fields");
    if (!c.fields)
        return; /* refused by the rules */
    if (c.fields->kind != GQL_VALUE_STRING) {
        gql_place place = {source, c.fields->loc};
        gql_report(b, NULL, &place, 1, "@%.*s(fields:) must be a string, such as \"id\".",
                   PL_STR_ARG(directive->name.text));
        return;
    }
    if (!gql_is_composite(type)) {
        gql_place place = {source, directive->loc};
        gql_report(b, NULL, &place, 1, "@%.*s stands at a field of type \"%.*s\", which has no fields.",
                   PL_STR_ARG(directive->name.text), PL_STR_ARG(type->name));
        return;
    }
    c.exact = stands_in_source(source, c.fields);
    const gql_selection_set *set = parse_set(&c);
    if (set)
        check_selections(&c, set, type);
}

/* --- all of them --- */

typedef struct set_names {
    pl_str key, requires, provides;
} set_names;

static void check_fields(gql_builder *b, const set_names *names, const gql_named *type,
                         const gql_type_system *ast)
{
    for (uint32_t i = 0; i < ast->field_count && !gql_build_stop(b); i++) {
        const gql_directives *directives = &ast->fields[i].directives;
        for (uint32_t j = 0; j < directives->count; j++) {
            const gql_directive *directive = &directives->items[j];
            if (pl_str_eq(directive->name.text, names->requires))
                check_set(b, SET_REQUIRES, ast->source, directive, type);
            else if (pl_str_eq(directive->name.text, names->provides))
                check_set(b, SET_PROVIDES, ast->source, directive,
                          ((gql_field *)pl_map_get(&type->field_map, ast->fields[i].name.text))->type->named);
        }
    }
}

static void check_type(gql_builder *b, const set_names *names, const gql_named *type)
{
    gql_federation *f = b->schema->federation;
    for (const gql_node *node = b->type_groups[type->id]->first; node; node = node->next) {
        const gql_type_system *ast = node->ast;
        for (uint32_t i = 0; i < ast->directives.count && !gql_build_stop(b); i++) {
            if (!pl_str_eq(ast->directives.items[i].name.text, names->key))
                continue;
            f->entities[type->id] = true;
            check_set(b, SET_KEY, ast->source, &ast->directives.items[i], type);
        }
        check_fields(b, names, type, ast);
    }
    if (f->entities[type->id]) {
        gql_type plain = {.kind = GQL_TYPE_NAMED, .name = type->name};
        f->typerefs[type->id] = gql_schema_typeref(b->schema, &b->schema->arena, &plain);
        b->no_memory |= !f->typerefs[type->id];
    }
}

void gql_federation_check(gql_builder *b)
{
    gql_schema *schema = b->schema;
    gql_federation *f = schema->federation;
    if (!f)
        return;
    f->entities = gql_build_alloc(b, schema->type_count, sizeof(*f->entities));
    f->typerefs = gql_build_alloc(b, schema->type_count, sizeof(*f->typerefs));
    set_names names = {.key = gql_federation_directive(b->subgraph, "key"),
                       .requires = gql_federation_directive(b->subgraph, "requires"),
                       .provides = gql_federation_directive(b->subgraph, "provides")};
    for (uint32_t i = 0; i < b->sdl_type_count && !b->no_memory && !gql_build_stop(b); i++) {
        const gql_named *type = schema->types[i];
        if (type->kind == GQL_OBJECT || type->kind == GQL_INTERFACE)
            check_type(b, &names, type);
    }
    f->service = pl_map_get(&schema->query->field_map, PL_STR("_service"));
    f->resolve = pl_map_get(&schema->query->field_map, PL_STR("_entities"));
    if (f->service)
        f->service_sdl = pl_map_get(&f->service->type->named->field_map, PL_STR("sdl"));
}
