/* SPDX-License-Identifier: MIT */
#include "graphql/schema/internal.h"

/* From trees to types. The SDL rules have passed, so every name that is referred to exists, and is unique. */

typedef struct assembly {
    gql_builder *b;
    pl_map builtin_types; /* name -> gql_named *; the SDL's own are in the schema's map */
    bool scalar_used[5];  /* String, Int, Float, Boolean, ID: the first of gql_builtin_type_names */
    uint32_t next_field, next_input;
    gql_field *meta;
} assembly;

/* --- type references --- */

static gql_named *find_named(assembly *a, pl_str name)
{
    gql_named *named = pl_map_get(&a->b->schema->type_map, name);
    if (named)
        return named;
    named = pl_map_get(&a->builtin_types, name);
    if (named && named->kind == GQL_SCALAR)
        a->scalar_used[named->scalar == GQL_SCALAR_STRING    ? 0
                       : named->scalar == GQL_SCALAR_INT     ? 1
                       : named->scalar == GQL_SCALAR_FLOAT   ? 2
                       : named->scalar == GQL_SCALAR_BOOLEAN ? 3
                                                             : 4] = true;
    return named;
}

/* Recursion is as deep as the reference, which the parser bounds. NULL: memory. */
static const gql_typeref *intern(assembly *a, const gql_type *type)
{
    gql_builder *b = a->b;
    gql_typeref made = {.kind = type->kind};
    if (type->kind == GQL_TYPE_NAMED) {
        made.named = find_named(a, type->name);
        made.text = made.named ? made.named->name : PL_STR_NONE;
    } else if ((made.of = intern(a, type->of))) {
        made.named = made.of->named;
        made.text = pl_arena_printf(&b->schema->arena, type->kind == GQL_TYPE_LIST ? "[%.*s]" : "%.*s!",
                                    PL_STR_ARG(made.of->text));
    }
    if (!made.text.ptr) {
        b->no_memory = true;
        return NULL;
    }
    gql_typeref *ref = pl_map_get(&b->schema->typeref_map, made.text);
    if (!ref && (ref = gql_build_alloc(b, 1, sizeof(*ref)))) {
        *ref = made;
        if (!gql_build_map(b, &b->schema->typeref_map, ref->text, ref))
            return NULL;
    }
    return ref;
}

/* --- what directives say --- */

static const gql_directive *find_directive(const gql_directives *directives, const char *name)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        if (pl_str_is(directives->items[i].name.text, name))
            return &directives->items[i];
    }
    return NULL;
}

static pl_str string_argument(const gql_directive *directive, const char *name, pl_str otherwise)
{
    for (uint32_t i = 0; i < directive->argument_count; i++) {
        const gql_argument *argument = &directive->arguments[i];
        if (pl_str_is(argument->name.text, name) && argument->value.kind == GQL_VALUE_STRING)
            return argument->value.text;
    }
    return otherwise;
}

static gql_deprecation deprecation_of(const gql_directives *directives)
{
    const gql_directive *found = find_directive(directives, "deprecated");
    if (!found)
        return (gql_deprecation){0};
    return (gql_deprecation){true, string_argument(found, "reason", PL_STR("No longer supported"))};
}

/* --- members --- */

static void fill_input(assembly *a, gql_input *input, const gql_input_value_ast *ast,
                       const gql_source *source, gql_named *owner)
{
    gql_builder *b = a->b;
    input->name = ast->name.text;
    input->description = ast->description;
    input->type = intern(a, ast->type);
    input->default_ast = ast->default_value;
    input->deprecation = deprecation_of(&ast->directives);
    input->directives = &ast->directives;
    input->id = a->next_input++;
    input->source = source;
    input->loc = ast->loc;
    b->input_asts[input->id] = ast;
    b->input_owners[input->id] = owner;
}

static gql_input *make_arguments(assembly *a, const gql_input_value_ast *asts, uint32_t count,
                                 const gql_source *source)
{
    if (count == 0)
        return NULL;
    gql_input *inputs = gql_build_alloc(a->b, count, sizeof(*inputs));
    for (uint32_t i = 0; inputs && i < count; i++) {
        fill_input(a, &inputs[i], &asts[i], source, NULL);
        inputs[i].index = i;
    }
    return inputs;
}

static void fill_field(assembly *a, gql_field *field, const gql_field_ast *ast, const gql_source *source,
                       gql_named *parent)
{
    field->name = ast->name.text;
    field->description = ast->description;
    field->type = intern(a, ast->type);
    field->parent = parent;
    field->arguments = make_arguments(a, ast->arguments, ast->argument_count, source);
    field->argument_count = ast->argument_count;
    field->deprecation = deprecation_of(&ast->directives);
    field->directives = &ast->directives;
    field->id = a->next_field++;
    field->source = source;
    field->loc = ast->loc;
    a->b->field_asts[field->id] = ast;
}

/* How many members all nodes of a type have together. */
typedef struct totals {
    uint32_t fields, values, inputs, names, directives;
} totals;

static totals count_members(const gql_node *node)
{
    totals t = {0};
    for (; node; node = node->next) {
        t.fields += node->ast->field_count;
        t.values += node->ast->value_count;
        t.inputs += node->ast->input_count;
        t.names += node->ast->interface_count;
        t.directives += node->ast->directives.count;
    }
    return t;
}

static void fill_fields(assembly *a, gql_named *type, const gql_node *node, uint32_t count)
{
    gql_field *field = type->fields = gql_build_alloc(a->b, count, sizeof(*field));
    for (; node && !a->b->no_memory; node = node->next) {
        for (uint32_t i = 0; i < node->ast->field_count && !a->b->no_memory; i++, field++) {
            fill_field(a, field, &node->ast->fields[i], node->ast->source, type);
            gql_build_map(a->b, &type->field_map, field->name, field);
        }
    }
    type->field_count = count;
}

static void fill_inputs(assembly *a, gql_named *type, const gql_node *node, uint32_t count)
{
    gql_input *input = type->inputs = gql_build_alloc(a->b, count, sizeof(*input));
    for (; node && !a->b->no_memory; node = node->next) {
        for (uint32_t i = 0; i < node->ast->input_count && !a->b->no_memory; i++, input++) {
            fill_input(a, input, &node->ast->inputs[i], node->ast->source, type);
            input->index = (uint32_t)(input - type->inputs);
            gql_build_map(a->b, &type->input_map, input->name, input);
        }
    }
    type->input_count = count;
}

static void fill_values(assembly *a, gql_named *type, const gql_node *node, uint32_t count)
{
    gql_enum_value *value = type->values = gql_build_alloc(a->b, count, sizeof(*value));
    for (; node && !a->b->no_memory; node = node->next) {
        for (uint32_t i = 0; i < node->ast->value_count; i++, value++) {
            const gql_enum_value_ast *ast = &node->ast->values[i];
            value->name = ast->name.text;
            value->description = ast->description;
            value->deprecation = deprecation_of(&ast->directives);
            value->directives = &ast->directives;
            value->index = (uint32_t)(value - type->values);
            value->source = node->ast->source;
            value->loc = ast->loc;
            gql_build_map(a->b, &type->value_map, value->name, value);
        }
    }
    type->value_count = count;
}

static gql_named **resolve_names(assembly *a, const gql_node *node, uint32_t count)
{
    gql_named **types = gql_build_alloc(a->b, count, sizeof(*types));
    uint32_t n = 0;
    for (; node && types; node = node->next) {
        for (uint32_t i = 0; i < node->ast->interface_count; i++)
            types[n++] = find_named(a, node->ast->interfaces[i].text);
    }
    return types;
}

static const gql_directives *merge_directives(assembly *a, const gql_node *node, uint32_t count)
{
    if (!node->next)
        return &node->ast->directives;
    gql_directives *merged = gql_build_alloc(a->b, 1, sizeof(*merged));
    gql_directive *items = gql_build_alloc(a->b, count, sizeof(*items));
    if (a->b->no_memory)
        return NULL;
    merged->items = items;
    merged->count = count;
    for (; node; node = node->next) {
        if (node->ast->directives.count != 0)
            memcpy(items, node->ast->directives.items, node->ast->directives.count * sizeof(*items));
        items += node->ast->directives.count;
    }
    return merged;
}

static void fill_scalar(assembly *a, gql_named *type)
{
    for (uint32_t i = 0; i < type->directives->count; i++) {
        const gql_directive *directive = &type->directives->items[i];
        if (pl_str_is(directive->name.text, "specifiedBy"))
            type->specified_by = string_argument(directive, "url", type->specified_by);
    }
}

static void fill_type(assembly *a, gql_named *type, const gql_node *nodes)
{
    totals t = count_members(nodes);
    type->directives = merge_directives(a, nodes, t.directives);
    if (!type->directives)
        return;
    switch (type->kind) {
    case GQL_SCALAR:
        fill_scalar(a, type);
        break;
    case GQL_OBJECT:
    case GQL_INTERFACE:
        type->interfaces = resolve_names(a, nodes, t.names);
        type->interface_count = t.names;
        fill_fields(a, type, nodes, t.fields);
        break;
    case GQL_UNION:
        type->possible = resolve_names(a, nodes, t.names);
        type->possible_count = t.names;
        break;
    case GQL_ENUM:
        fill_values(a, type, nodes, t.values);
        break;
    case GQL_INPUT_OBJECT:
        type->one_of = find_directive(type->directives, "oneOf") != NULL;
        fill_inputs(a, type, nodes, t.inputs);
        break;
    }
}

/* --- types --- */

static gql_scalar_kind scalar_kind(const gql_builder *b, pl_str name, bool builtin)
{
    static const struct {
        const char *name;
        gql_scalar_kind kind;
    } known[] = {
        {"Int", GQL_SCALAR_INT},         {"Float", GQL_SCALAR_FLOAT},   {"String", GQL_SCALAR_STRING},
        {"Boolean", GQL_SCALAR_BOOLEAN}, {"ID", GQL_SCALAR_ID},         {"DateTime", GQL_SCALAR_DATETIME},
        {"Date", GQL_SCALAR_DATE},       {"JSON", GQL_SCALAR_JSON},     {"UUID", GQL_SCALAR_UUID},
        {"BigInt", GQL_SCALAR_BIGINT},   {"Upload", GQL_SCALAR_UPLOAD},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (pl_str_is(name, known[i].name))
            return builtin || !b->options.no_ready_made_scalars ? known[i].kind : GQL_SCALAR_CUSTOM;
    }
    return GQL_SCALAR_CUSTOM;
}

static void dispose_maps(void *data)
{
    gql_named *type = data;
    pl_map_dispose(&type->field_map);
    pl_map_dispose(&type->value_map);
    pl_map_dispose(&type->input_map);
}

static gql_named *make_named(gql_builder *b, const gql_type_system *ast, bool builtin)
{
    static const gql_named_kind kinds[] = {
        [GQL_DEF_SCALAR] = GQL_SCALAR, [GQL_DEF_OBJECT] = GQL_OBJECT, [GQL_DEF_INTERFACE] = GQL_INTERFACE,
        [GQL_DEF_UNION] = GQL_UNION,   [GQL_DEF_ENUM] = GQL_ENUM,     [GQL_DEF_INPUT] = GQL_INPUT_OBJECT,
    };
    gql_named *type = gql_build_alloc(b, 1, sizeof(*type));
    if (!type || pl_arena_on_dispose(&b->schema->arena, dispose_maps, type) != 0) {
        b->no_memory = true;
        return NULL;
    }
    type->kind = kinds[ast->kind];
    type->name = ast->name.text;
    type->description = ast->description;
    type->builtin = builtin;
    type->source = ast->source;
    type->loc = ast->loc;
    type->scalar = type->kind == GQL_SCALAR ? scalar_kind(b, type->name, builtin) : GQL_SCALAR_CUSTOM;
    return type;
}

/* Room for the numbered arrays: every type, field and input that there may be. */
static void make_tables(gql_builder *b)
{
    size_t types = 0, fields = 0, inputs = 0;
    for (size_t i = 0; i <= b->count; i++) {
        const gql_document *document = i < b->count ? b->documents[i] : b->builtins;
        for (uint32_t j = 0; j < document->definition_count; j++) {
            const gql_type_system *ast = &document->definitions[j];
            types++;
            fields += ast->field_count;
            inputs += ast->input_count;
            for (uint32_t k = 0; k < ast->field_count; k++)
                inputs += ast->fields[k].argument_count;
        }
    }
    b->schema->types = gql_build_alloc(b, types, sizeof(*b->schema->types));
    b->type_groups = gql_scratch_alloc(b, types, sizeof(*b->type_groups));
    b->field_asts = gql_scratch_alloc(b, fields, sizeof(*b->field_asts));
    b->input_asts = gql_scratch_alloc(b, inputs, sizeof(*b->input_asts));
    b->input_owners = gql_scratch_alloc(b, inputs, sizeof(*b->input_owners));
}

static void add_type(gql_builder *b, gql_named *type)
{
    type->id = b->schema->type_count;
    b->schema->types[b->schema->type_count++] = type;
    gql_build_map(b, &b->schema->type_map, type->name, type);
}

static void make_sdl_types(gql_builder *b)
{
    for (size_t i = 0; i < b->count; i++) {
        for (uint32_t j = 0; j < b->documents[i]->definition_count && !b->no_memory; j++) {
            const gql_type_system *ast = &b->documents[i]->definitions[j];
            /* As in graphql-js, a definition of a built-in type changes nothing. */
            if (ast->extension || ast->kind == GQL_DEF_SCHEMA || ast->kind == GQL_DEF_DIRECTIVE ||
                gql_is_builtin_type_name(ast->name.text))
                continue;
            gql_named *type = make_named(b, ast, false);
            if (!type)
                return;
            add_type(b, type);
            b->type_groups[type->id] = pl_map_get(&b->groups, type->name);
        }
    }
    b->sdl_type_count = b->schema->type_count;
}

static void make_builtin_types(assembly *a)
{
    for (uint32_t j = 0; j < a->b->builtins->definition_count && !a->b->no_memory; j++) {
        const gql_type_system *ast = &a->b->builtins->definitions[j];
        if (ast->kind == GQL_DEF_DIRECTIVE || !gql_is_builtin_type_name(ast->name.text))
            continue;
        gql_named *type = make_named(a->b, ast, true);
        if (type)
            gql_build_map(a->b, &a->builtin_types, type->name, type);
    }
}

static void fill_sdl_types(assembly *a)
{
    gql_builder *b = a->b;
    for (uint32_t i = 0; i < b->sdl_type_count && !b->no_memory; i++)
        fill_type(a, b->schema->types[i], b->type_groups[i]->first);
    for (int i = 0; i < 5; i++) {
        gql_group *group = pl_map_get(&b->groups, pl_str_of(gql_builtin_type_names[i]));
        a->scalar_used[i] |= group && group->definition;
    }
}

static void fill_meta(assembly *a, const gql_type_system *ast)
{
    gql_schema *schema = a->b->schema;
    gql_field *fields = gql_build_alloc(a->b, ast->field_count, sizeof(*fields));
    for (uint32_t i = 0; fields && i < ast->field_count; i++)
        fill_field(a, &fields[i], &ast->fields[i], ast->source, NULL);
    if (!fields)
        return;
    schema->schema_field = &fields[0];
    schema->type_field = &fields[1];
    schema->typename_field = &fields[2];
}

static void fill_builtin_types(assembly *a)
{
    gql_builder *b = a->b;
    for (uint32_t j = 0; j < b->builtins->definition_count && !b->no_memory; j++) {
        gql_type_system *ast = &b->builtins->definitions[j];
        gql_named *type = pl_map_get(&a->builtin_types, ast->name.text);
        gql_node node = {ast, NULL};
        if (ast->kind == GQL_DEF_DIRECTIVE)
            continue;
        if (type)
            fill_type(a, type, &node);
        else
            fill_meta(a, ast);
    }
    for (int i = 0; gql_builtin_type_names[i] && !b->no_memory; i++) {
        if (i >= 5 || a->scalar_used[i])
            add_type(b, pl_map_get(&a->builtin_types, pl_str_of(gql_builtin_type_names[i])));
    }
}

/* --- directives and roots --- */

static void make_directive(assembly *a, const gql_type_system *ast, bool builtin)
{
    gql_schema *schema = a->b->schema;
    gql_directive_def *def = gql_build_alloc(a->b, 1, sizeof(*def));
    if (!def)
        return;
    def->name = ast->name.text;
    def->description = ast->description;
    def->repeatable = ast->repeatable;
    def->builtin = builtin;
    for (uint32_t i = 0; i < ast->location_count; i++)
        def->locations |= gql_location_parse(ast->locations[i].text);
    def->arguments = make_arguments(a, ast->inputs, ast->input_count, ast->source);
    def->argument_count = ast->input_count;
    def->source = ast->source;
    def->loc = ast->loc;
    schema->directives[schema->directive_count++] = def;
    gql_build_map(a->b, &schema->directive_map, def->name, def);
}

static bool has_lists(const gql_schema *schema)
{
    for (size_t i = 0; i < schema->typeref_map.count; i++) {
        const gql_typeref *ref = schema->typeref_map.entries[i].value;
        if (ref->kind == GQL_TYPE_LIST)
            return true;
    }
    return false;
}

/* Where there are no lists there is nothing to @stream, and its argument must not make Int a type of the
 * schema. */
static bool is_wanted(const assembly *a, const gql_type_system *ast, bool builtin)
{
    if (ast->kind != GQL_DEF_DIRECTIVE || pl_map_has(&a->b->schema->directive_map, ast->name.text))
        return false;
    return !builtin || !pl_str_is(ast->name.text, "stream") || has_lists(a->b->schema);
}

/* The SDL's own first; a built-in one only when the SDL does not define it itself. */
static void make_directives(assembly *a)
{
    gql_builder *b = a->b;
    size_t room = b->builtins->definition_count;
    for (size_t i = 0; i < b->count; i++)
        room += b->documents[i]->definition_count;
    b->schema->directives = gql_build_alloc(b, room, sizeof(*b->schema->directives));
    for (size_t i = 0; i <= b->count; i++) {
        const gql_document *document = i < b->count ? b->documents[i] : b->builtins;
        for (uint32_t j = 0; j < document->definition_count && !b->no_memory; j++) {
            const gql_type_system *ast = &document->definitions[j];
            if (is_wanted(a, ast, i == b->count))
                make_directive(a, ast, i == b->count);
        }
    }
}

static void set_roots(assembly *a, const gql_type_system *ast)
{
    gql_schema *schema = a->b->schema;
    gql_named **roots[] = {
        [GQL_QUERY] = &schema->query,
        [GQL_MUTATION] = &schema->mutation,
        [GQL_SUBSCRIPTION] = &schema->subscription,
    };
    for (uint32_t i = 0; i < ast->operation_type_count; i++)
        *roots[ast->operation_types[i].kind] = find_named(a, ast->operation_types[i].type.text);
}

static void set_applied(assembly *a)
{
    static const gql_directives none = {0};
    gql_builder *b = a->b;
    gql_node definition = {b->schema_definition, b->schema_extensions};
    const gql_node *first = definition.ast ? &definition : b->schema_extensions;
    b->schema->applied = first ? merge_directives(a, first, count_members(first).directives) : &none;
}

static void make_roots(assembly *a)
{
    gql_schema *schema = a->b->schema;
    const gql_type_system *definition = a->b->schema_definition;
    set_applied(a);
    if (definition) {
        schema->description = definition->description;
        set_roots(a, definition);
    }
    for (gql_node *node = a->b->schema_extensions; node; node = node->next)
        set_roots(a, node->ast);
    if (definition)
        return;
    gql_named *query = gql_schema_type(schema, PL_STR("Query"));
    gql_named *mutation = gql_schema_type(schema, PL_STR("Mutation"));
    gql_named *subscription = gql_schema_type(schema, PL_STR("Subscription"));
    schema->query = query ? query : schema->query;
    schema->mutation = mutation ? mutation : schema->mutation;
    schema->subscription = subscription ? subscription : schema->subscription;
}

void gql_assemble(gql_builder *b)
{
    assembly a = {.b = b};
    make_tables(b);
    if (!b->no_memory)
        make_sdl_types(b);
    if (!b->no_memory)
        make_builtin_types(&a);
    if (!b->no_memory)
        fill_sdl_types(&a);
    if (!b->no_memory)
        make_directives(&a);
    if (!b->no_memory) {
        make_roots(&a);
        fill_builtin_types(&a);
    }
    b->schema->field_count = a.next_field;
    b->schema->input_count = a.next_input;
    pl_map_dispose(&a.builtin_types);
}
