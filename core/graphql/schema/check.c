/* SPDX-License-Identifier: MIT */
#include "graphql/schema/internal.h"

/* What a schema must be (spec, section 3), beyond what the SDL rules see. The order of the checks is
 * graphql-js's. */

static const char *const operation_names[] = {
    [GQL_QUERY] = "query", [GQL_MUTATION] = "mutation", [GQL_SUBSCRIPTION] = "subscription"};

void gql_check_name(gql_builder *b, pl_str name, gql_place place)
{
    if (pl_str_starts(name, PL_STR("__")))
        gql_report(b, NULL, &place, 1,
                   "Name \"%.*s\" must not begin with \"__\", which is reserved by GraphQL introspection.",
                   PL_STR_ARG(name));
}

gql_place gql_deprecated_place(const gql_source *source, const gql_directives *directives)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        if (pl_str_is(directives->items[i].name.text, "deprecated"))
            return gql_at(source, directives->items[i].loc);
    }
    return (gql_place){0};
}

/* The places of a type's definition and extensions. */
static gql_place *node_places(gql_builder *b, const gql_named *type, uint32_t *count)
{
    uint32_t n = 0;
    for (const gql_node *node = b->type_groups[type->id]->first; node; node = node->next)
        n++;
    gql_place *places = gql_scratch_alloc(b, n, sizeof(*places));
    *count = 0;
    for (const gql_node *node = b->type_groups[type->id]->first; places && node; node = node->next)
        places[(*count)++] = gql_at(node->ast->source, node->ast->loc);
    return places;
}

static void report_empty(gql_builder *b, const gql_named *type, const char *what, const char *members)
{
    uint32_t count;
    gql_place *places = node_places(b, type, &count);
    if (places)
        gql_report(b, NULL, places, count, "%s %.*s must define one or more %s.", what,
                   PL_STR_ARG(type->name), members);
}

/* --- root operation types --- */

static gql_place find_operation(const gql_type_system *ast, gql_operation_kind kind)
{
    for (uint32_t i = 0; i < ast->operation_type_count; i++) {
        if (ast->operation_types[i].kind == kind)
            return gql_at(ast->source, ast->operation_types[i].type.loc);
    }
    return (gql_place){0};
}

static gql_place operation_place(const gql_builder *b, gql_operation_kind kind)
{
    gql_place place = {0};
    if (b->schema_definition)
        place = find_operation(b->schema_definition, kind);
    for (const gql_node *node = b->schema_extensions; node && !place.source; node = node->next)
        place = find_operation(node->ast, kind);
    return place;
}

static void check_root_kind(gql_builder *b, gql_operation_kind kind, const gql_named *root)
{
    static const char *const names[] = {
        [GQL_QUERY] = "Query", [GQL_MUTATION] = "Mutation", [GQL_SUBSCRIPTION] = "Subscription"};
    gql_place place = operation_place(b, kind);
    if (root->kind == GQL_OBJECT)
        return;
    if (!place.source)
        place = gql_at(root->source, root->loc);
    gql_report(b, NULL, &place, 1, "%s root type must be Object type%s, it cannot be %.*s.", names[kind],
               kind == GQL_QUERY ? "" : " if provided", PL_STR_ARG(root->name));
}

static void check_roots_differ(gql_builder *b, gql_operation_kind first)
{
    const gql_named *root = gql_schema_root(b->schema, first);
    const char *names[3];
    gql_place places[3];
    uint32_t n = 0;
    for (int kind = GQL_QUERY; kind <= GQL_SUBSCRIPTION; kind++) {
        if (gql_schema_root(b->schema, (gql_operation_kind)kind) != root)
            continue;
        if (kind < (int)first)
            return; /* told already */
        names[n] = operation_names[kind];
        places[n++] = operation_place(b, (gql_operation_kind)kind);
    }
    if (n == 2)
        gql_report(b, NULL, places, n,
                   "All root types must be different, \"%.*s\" type is used as %s and %s root types.",
                   PL_STR_ARG(root->name), names[0], names[1]);
    else if (n == 3)
        gql_report(b, NULL, places, n,
                   "All root types must be different, \"%.*s\" type is used as %s, %s, and %s root types.",
                   PL_STR_ARG(root->name), names[0], names[1], names[2]);
}

static void check_roots(gql_builder *b)
{
    gql_schema *schema = b->schema;
    if (!schema->query) {
        gql_place place = {0};
        if (b->schema_definition)
            place = gql_at(b->schema_definition->source, b->schema_definition->loc);
        gql_report(b, NULL, &place, 1, "Query root type must be provided.");
    }
    for (int kind = GQL_QUERY; kind <= GQL_SUBSCRIPTION; kind++) {
        const gql_named *root = gql_schema_root(schema, (gql_operation_kind)kind);
        if (root)
            check_root_kind(b, (gql_operation_kind)kind, root);
    }
    for (int kind = GQL_QUERY; kind <= GQL_SUBSCRIPTION; kind++) {
        const gql_named *root = gql_schema_root(schema, (gql_operation_kind)kind);
        if (root && root->kind == GQL_OBJECT)
            check_roots_differ(b, (gql_operation_kind)kind);
    }
}

/* --- arguments and input fields --- */

/* "Query.user(id:)", "@cost(weight:)", "Point.x": of whom an input is, put together only for a message. */
typedef struct owner {
    const gql_directive_def *directive;
    const gql_field *field;
    const gql_named *type; /* an input object */
} owner;

static pl_str coordinate(gql_builder *b, const owner *o, const gql_input *input)
{
    pl_str text;
    if (o->directive)
        text = pl_arena_printf(&b->scratch, "@%.*s(%.*s:)", PL_STR_ARG(o->directive->name),
                               PL_STR_ARG(input->name));
    else if (o->field)
        text = pl_arena_printf(&b->scratch, "%.*s.%.*s(%.*s:)", PL_STR_ARG(o->field->parent->name),
                               PL_STR_ARG(o->field->name), PL_STR_ARG(input->name));
    else
        text = pl_arena_printf(&b->scratch, "%.*s.%.*s", PL_STR_ARG(o->type->name), PL_STR_ARG(input->name));
    b->no_memory |= !text.ptr;
    return text.ptr ? text : PL_STR("");
}

typedef struct default_check {
    gql_literal_check base;
    const owner *owner;
    const gql_input *input;
} default_check;

static void report_default(gql_literal_check *check, gql_loc loc, const gql_step *path, pl_str message)
{
    const default_check *d = (const default_check *)(const void *)check;
    gql_builder *b = check->builder;
    gql_place place = {d->input->source, loc};
    pl_str where = gql_step_text(b, path), name = coordinate(b, d->owner, d->input);
    gql_report(b, NULL, &place, 1, "%.*s has invalid default value%s%.*s: %.*s", PL_STR_ARG(name),
               path ? " at " : "", PL_STR_ARG(where), PL_STR_ARG(message));
}

/* Reports "<before> <coordinate> <after>". */
static void report_input(gql_builder *b, const owner *o, const gql_input *input, const gql_place *places,
                         uint32_t count, const char *before, const char *after)
{
    pl_str name = coordinate(b, o, input);
    gql_report(b, NULL, places, count, "%s %.*s %s", before, PL_STR_ARG(name), after);
}

static void report_input_type(gql_builder *b, const owner *o, const gql_input *input, gql_place place)
{
    pl_str name = coordinate(b, o, input);
    gql_report(b, NULL, &place, 1, "The type of %.*s must be Input Type but got: %.*s.", PL_STR_ARG(name),
               PL_STR_ARG(input->type->text));
}

static void check_input(gql_builder *b, const owner *o, const gql_input *input)
{
    gql_place place = gql_at(input->source, input->loc);
    gql_place type_place = gql_at(input->source, b->input_asts[input->id]->type->loc);
    gql_check_name(b, input->name, place);
    if (!gql_is_input(input->type->named))
        report_input_type(b, o, input, o->directive ? place : type_place);
    if (gql_is_required(input) && input->deprecation.is) {
        gql_place places[] = {gql_deprecated_place(input->source, input->directives), type_place};
        report_input(b, o, input, places, 2, o->type ? "Required input field" : "Required argument",
                     "cannot be deprecated.");
    }
    if (input->default_ast && gql_is_input(input->type->named)) {
        default_check check = {{b, report_default}, o, input};
        gql_check_literal(&check.base, input->default_ast, input->type, NULL);
    }
    if (!o->type || !o->type->one_of)
        return;
    if (input->type->kind == GQL_TYPE_NON_NULL)
        report_input(b, o, input, &type_place, 1, "OneOf input field", "must be nullable.");
    if (input->default_ast)
        report_input(b, o, input, &place, 1, "OneOf input field", "cannot have a default value.");
}

static void check_inputs(gql_builder *b, const owner *o, const gql_input *inputs, uint32_t count)
{
    for (uint32_t i = 0; i < count && !gql_build_stop(b); i++)
        check_input(b, o, &inputs[i]);
}

/* --- directives and types --- */

static void check_directives(gql_builder *b)
{
    for (uint32_t i = 0; i < b->schema->directive_count && !gql_build_stop(b); i++) {
        const gql_directive_def *def = b->schema->directives[i];
        owner o = {.directive = def};
        if (def->builtin)
            continue;
        gql_check_name(b, def->name, gql_at(def->source, def->loc));
        check_inputs(b, &o, def->arguments, def->argument_count);
    }
}

static void check_fields(gql_builder *b, const gql_named *type)
{
    if (type->field_count == 0)
        report_empty(b, type, "Type", "fields");
    for (uint32_t i = 0; i < type->field_count && !gql_build_stop(b); i++) {
        const gql_field *field = &type->fields[i];
        owner o = {.field = field};
        gql_check_name(b, field->name, gql_at(field->source, field->loc));
        if (field->type->named->kind == GQL_INPUT_OBJECT) {
            gql_place place = {field->source, b->field_asts[field->id]->type->loc};
            gql_report(b, NULL, &place, 1, "The type of %.*s.%.*s must be Output Type but got: %.*s.",
                       PL_STR_ARG(type->name), PL_STR_ARG(field->name), PL_STR_ARG(field->type->text));
        }
        check_inputs(b, &o, field->arguments, field->argument_count);
    }
}

/* All places where the union names this member. */
static gql_place *member_places(gql_builder *b, const gql_named *type, pl_str member, uint32_t *count)
{
    gql_place *places = gql_scratch_alloc(b, type->possible_count, sizeof(*places));
    *count = 0;
    for (const gql_node *node = b->type_groups[type->id]->first; places && node; node = node->next) {
        for (uint32_t i = 0; i < node->ast->interface_count; i++) {
            if (pl_str_eq(node->ast->interfaces[i].text, member))
                places[(*count)++] = gql_at(node->ast->source, node->ast->interfaces[i].loc);
        }
    }
    return places;
}

static void check_union(gql_builder *b, const gql_named *type)
{
    pl_map seen = {0};
    uint32_t count;
    if (type->possible_count == 0)
        report_empty(b, type, "Union type", "member types");
    for (uint32_t i = 0; i < type->possible_count && !gql_build_stop(b); i++) {
        const gql_named *member = type->possible[i];
        bool again = pl_map_has(&seen, member->name);
        if (!again)
            gql_build_map(b, &seen, member->name, type->possible[i]);
        if (!again && member->kind == GQL_OBJECT)
            continue;
        gql_place *places = member_places(b, type, member->name, &count);
        if (places && again)
            gql_report(b, NULL, places, count, "Union type %.*s can only include type %.*s once.",
                       PL_STR_ARG(type->name), PL_STR_ARG(member->name));
        else if (places)
            gql_report(b, NULL, places, count,
                       "Union type %.*s can only include Object types, it cannot include %.*s.",
                       PL_STR_ARG(type->name), PL_STR_ARG(member->name));
    }
    pl_map_dispose(&seen);
}

static void check_values(gql_builder *b, const gql_named *type)
{
    if (type->value_count == 0)
        report_empty(b, type, "Enum type", "values");
    const gql_enum_value *value = type->values;
    for (const gql_node *node = b->type_groups[type->id]->first; node; node = node->next) {
        for (uint32_t i = 0; i < node->ast->value_count && !gql_build_stop(b); i++, value++)
            gql_check_name(b, value->name, gql_at(node->ast->source, value->loc));
    }
}

static void check_type(gql_builder *b, gql_named *type)
{
    owner o = {.type = type};
    gql_check_name(b, type->name, gql_at(type->source, type->loc));
    switch (type->kind) {
    case GQL_OBJECT:
    case GQL_INTERFACE:
        check_fields(b, type);
        gql_check_interfaces(b, type);
        break;
    case GQL_UNION:
        check_union(b, type);
        break;
    case GQL_ENUM:
        check_values(b, type);
        break;
    case GQL_INPUT_OBJECT:
        if (type->input_count == 0)
            report_empty(b, type, "Input Object type", "fields");
        check_inputs(b, &o, type->inputs, type->input_count);
        gql_check_default_cycles(b, type);
        break;
    case GQL_SCALAR:
        break;
    }
}

void gql_check_schema(gql_builder *b)
{
    if (!gql_defaults_init(b))
        return;
    check_roots(b);
    check_directives(b);
    for (uint32_t i = 0; i < b->sdl_type_count && !gql_build_stop(b); i++)
        check_type(b, b->schema->types[i]);
    gql_check_finite_inputs(b);
    gql_check_applied_directives(b);
    if (b->errors == 0)
        gql_check_cost_directives(b);
}
