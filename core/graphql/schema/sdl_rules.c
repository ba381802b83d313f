/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"
#include "graphql/schema/internal.h"

/* The validation rules for type system documents: one walk over all files, in which each rule speaks at the
 * nodes that concern it, in graphql-js's order. Needs no types, only names. */

typedef struct directive_info {
    const gql_type_system *ast;
    pl_map arguments;  /* name -> gql_input_value_ast * */
    uint32_t required; /* arguments that must be given */
    struct directive_info *next;
} directive_info;

/* What has been seen of a type (its definition and extensions), or of the schema definition. */
typedef struct seen {
    pl_map fields, values, directives; /* name -> gql_place * */
    struct seen *next;
} seen;

typedef struct rules {
    gql_builder *b;
    const gql_source *source;
    pl_map directive_infos; /* name -> directive_info * */
    pl_map types;           /* name -> gql_place * of the definition's name */
    pl_map directives;
    pl_map members; /* type name -> seen * */
    seen schema;
    gql_place operations[3];
    uint32_t schema_definitions;
    seen *all_seen;
    directive_info *all_infos;
} rules;

/* --- helpers --- */

/* fmt takes both strings with %.*s. */
static void report_at(rules *r, const char *rule, gql_loc loc, const char *fmt, pl_str a, pl_str b)
{
    gql_place place = {r->source, loc};
    gql_report(r->b, rule, &place, 1, fmt, PL_STR_ARG(a), PL_STR_ARG(b));
}

/* The earlier place of this name in map; NULL, with the name entered, when it is the first. */
static const gql_place *enter_name(rules *r, pl_map *map, pl_str name, gql_loc loc)
{
    gql_place *place = pl_map_get(map, name);
    if (place)
        return place;
    place = gql_scratch_alloc(r->b, 1, sizeof(*place));
    if (place) {
        *place = gql_at(r->source, loc);
        gql_build_map(r->b, map, name, place);
    }
    return NULL;
}

static seen *seen_of(rules *r, pl_str type)
{
    seen *found = pl_map_get(&r->members, type);
    if (!found && (found = gql_scratch_alloc(r->b, 1, sizeof(*found)))) {
        found->next = r->all_seen;
        r->all_seen = found;
        if (!gql_build_map(r->b, &r->members, type, found))
            return NULL;
    }
    return found;
}

/* Groups equal names of an array (of structs that begin with a gql_name), and reports each name that is there
 * more than once, with all its places. */
typedef struct repeated {
    uint32_t first, last, count;
} repeated;

static void report_repeated(rules *r, const char *items, size_t stride, uint32_t count,
                            void (*report)(rules *r, const void *data, pl_str name, const gql_place *places,
                                           uint32_t place_count),
                            const void *data)
{
    if (count < 2)
        return;
    pl_map map = {0};
    bool any = false;
    uint32_t *next = gql_scratch_alloc(r->b, count, sizeof(*next));
    repeated *groups = gql_scratch_alloc(r->b, count, sizeof(*groups));
    for (uint32_t i = 0; i < count && !r->b->no_memory; i++) {
        const gql_name *name = (const gql_name *)(const void *)(items + i * stride);
        repeated *group = pl_map_get(&map, name->text);
        if (group) {
            next[group->last] = i;
            group->last = i;
            group->count++;
            any = true;
        } else {
            groups[i] = (repeated){i, i, 1};
            gql_build_map(r->b, &map, name->text, &groups[i]);
        }
    }
    for (uint32_t i = 0; any && i < count && !gql_build_stop(r->b); i++) {
        if (groups[i].count < 2)
            continue;
        gql_place *places = gql_scratch_alloc(r->b, groups[i].count, sizeof(*places));
        const gql_name *name = NULL;
        for (uint32_t j = 0, at = i; places && j < groups[i].count; j++, at = next[at]) {
            name = (const gql_name *)(const void *)(items + at * stride);
            places[j] = gql_at(r->source, name->loc);
        }
        if (places)
            report(r, data, name->text, places, groups[i].count);
    }
    pl_map_dispose(&map);
}

/* --- KnownTypeNames --- */

static void known_type(rules *r, pl_str name, gql_loc loc)
{
    gql_group *group = pl_map_get(&r->b->groups, name);
    if ((group && group->definition) || gql_is_builtin_type_name(name) || gql_build_stop(r->b))
        return;
    pl_suggestions near;
    pl_suggest_init(&near, name);
    for (int i = 0; gql_builtin_type_names[i]; i++)
        pl_suggest_add(&near, pl_str_of(gql_builtin_type_names[i]));
    for (size_t i = 0; i < r->b->groups.count; i++) {
        if (((gql_group *)r->b->groups.entries[i].value)->definition)
            pl_suggest_add(&near, r->b->groups.entries[i].key);
    }
    report_at(r, "KnownTypeNames", loc, "Unknown type \"%.*s\".%.*s", name,
              pl_suggest_text(&near, &r->b->scratch, NULL));
}

static void known_type_reference(rules *r, const gql_type *type)
{
    while (type->kind != GQL_TYPE_NAMED)
        type = type->of;
    known_type(r, type->name, type->loc);
}

/* --- values: UniqueInputFieldNames. Recursion is as deep as the value, which the parser bounds --- */

static void unique_input_fields(rules *r, const gql_value *value)
{
    pl_map map = {0};
    for (uint32_t i = 0; i < value->count && !gql_build_stop(r->b); i++) {
        if (value->kind == GQL_VALUE_LIST) {
            unique_input_fields(r, &value->items[i]);
            continue;
        }
        const gql_object_field *field = &value->fields[i];
        const gql_place *first =
            value->count < 2 ? NULL : enter_name(r, &map, field->name.text, field->name.loc);
        if (first) {
            gql_place places[] = {*first, gql_at(r->source, field->name.loc)};
            gql_report(r->b, "UniqueInputFieldNames", places, 2,
                       "There can be only one input field named \"%.*s\".", PL_STR_ARG(field->name.text));
        }
        unique_input_fields(r, &field->value);
    }
    pl_map_dispose(&map);
}

/* --- directives --- */

static void unique_directives(rules *r, const gql_directives *directives, pl_map *map)
{
    pl_map local = {0};
    if (!map && directives->count < 2)
        return;
    for (uint32_t i = 0; i < directives->count && !gql_build_stop(r->b); i++) {
        const gql_directive *directive = &directives->items[i];
        const directive_info *info = pl_map_get(&r->directive_infos, directive->name.text);
        if (!info || info->ast->repeatable)
            continue;
        const gql_place *first = enter_name(r, map ? map : &local, directive->name.text, directive->loc);
        if (first) {
            gql_place places[] = {*first, gql_at(r->source, directive->loc)};
            gql_report(r->b, "UniqueDirectivesPerLocation", places, 2,
                       "The directive \"@%.*s\" can only be used once at this location.",
                       PL_STR_ARG(directive->name.text));
        }
    }
    pl_map_dispose(&local);
}

static bool has_location(const directive_info *info, const char *location)
{
    for (uint32_t i = 0; i < info->ast->location_count; i++) {
        if (pl_str_is(info->ast->locations[i].text, location))
            return true;
    }
    return false;
}

static void known_arguments(rules *r, const gql_directive *directive, const directive_info *info)
{
    for (uint32_t i = 0; i < directive->argument_count && !gql_build_stop(r->b); i++) {
        const gql_argument *argument = &directive->arguments[i];
        if (pl_map_has(&info->arguments, argument->name.text))
            continue;
        pl_suggestions near;
        pl_suggest_init(&near, argument->name.text);
        for (uint32_t j = 0; j < info->ast->input_count; j++)
            pl_suggest_add(&near, info->ast->inputs[j].name.text);
        pl_str hint = pl_suggest_text(&near, &r->b->scratch, NULL);
        gql_place place = {r->source, argument->name.loc};
        gql_report(r->b, "KnownArgumentNamesOnDirectives", &place, 1,
                   "Unknown argument \"%.*s\" on directive \"@%.*s\".%.*s", PL_STR_ARG(argument->name.text),
                   PL_STR_ARG(directive->name.text), PL_STR_ARG(hint));
    }
}

static void report_repeated_argument(rules *r, const void *data, pl_str name, const gql_place *places,
                                     uint32_t count)
{
    gql_report(r->b, "UniqueArgumentNames", places, count, "There can be only one argument named \"%.*s\".",
               PL_STR_ARG(name));
}

static pl_str type_text(rules *r, const gql_type *type)
{
    if (type->kind == GQL_TYPE_NAMED)
        return type->name;
    pl_str inner = type_text(r, type->of);
    pl_str text =
        pl_arena_printf(&r->b->scratch, type->kind == GQL_TYPE_LIST ? "[%.*s]" : "%.*s!", PL_STR_ARG(inner));
    r->b->no_memory |= !text.ptr;
    return text.ptr ? text : PL_STR("");
}

static bool is_required(const gql_input_value_ast *input)
{
    return input->type->kind == GQL_TYPE_NON_NULL && !input->default_value;
}

static void required_arguments(rules *r, const gql_directive *directive, const directive_info *info)
{
    uint32_t found = 0;
    for (uint32_t i = 0; info->required > 0 && i < directive->argument_count; i++) {
        const gql_input_value_ast *input = pl_map_get(&info->arguments, directive->arguments[i].name.text);
        found += input && is_required(input);
    }
    if (found == info->required) /* the usual case, without looking for each one */
        return;
    for (uint32_t i = 0; i < info->ast->input_count && !gql_build_stop(r->b); i++) {
        const gql_input_value_ast *input = &info->ast->inputs[i];
        bool given = false;
        if (!is_required(input))
            continue;
        for (uint32_t j = 0; j < directive->argument_count && !given; j++)
            given = pl_str_eq(directive->arguments[j].name.text, input->name.text);
        if (given)
            continue;
        gql_place place = {r->source, directive->loc};
        pl_str type = type_text(r, input->type);
        gql_report(r->b, "ProvidedRequiredArgumentsOnDirectives", &place, 1,
                   "Argument \"@%.*s(%.*s:)\" of type \"%.*s\" is required, but it was not provided.",
                   PL_STR_ARG(directive->name.text), PL_STR_ARG(input->name.text), PL_STR_ARG(type));
    }
}

static void walk_directives(rules *r, const gql_directives *directives, const char *location)
{
    for (uint32_t i = 0; i < directives->count && !gql_build_stop(r->b); i++) {
        const gql_directive *directive = &directives->items[i];
        const directive_info *info = pl_map_get(&r->directive_infos, directive->name.text);
        if (!info)
            report_at(r, "KnownDirectives", directive->loc, "Unknown directive \"@%.*s\".%.*s",
                      directive->name.text, PL_STR(""));
        else if (!has_location(info, location))
            report_at(r, "KnownDirectives", directive->loc, "Directive \"@%.*s\" may not be used on %.*s.",
                      directive->name.text, pl_str_of(location));
        if (info)
            known_arguments(r, directive, info);
        report_repeated(r, (const char *)directive->arguments, sizeof(gql_argument),
                        directive->argument_count, report_repeated_argument, NULL);
        for (uint32_t j = 0; j < directive->argument_count; j++)
            unique_input_fields(r, &directive->arguments[j].value);
        if (info)
            required_arguments(r, directive, info);
    }
}

/* --- members of types --- */

static void walk_inputs(rules *r, const gql_input_value_ast *inputs, uint32_t count, const char *location)
{
    for (uint32_t i = 0; i < count && !gql_build_stop(r->b); i++) {
        unique_directives(r, &inputs[i].directives, NULL);
        known_type_reference(r, inputs[i].type);
        if (inputs[i].default_value)
            unique_input_fields(r, inputs[i].default_value);
        walk_directives(r, &inputs[i].directives, location);
    }
}

static void walk_fields(rules *r, const gql_type_system *ast)
{
    for (uint32_t i = 0; i < ast->field_count && !gql_build_stop(r->b); i++) {
        const gql_field_ast *field = &ast->fields[i];
        unique_directives(r, &field->directives, NULL);
        walk_inputs(r, field->arguments, field->argument_count, "ARGUMENT_DEFINITION");
        known_type_reference(r, field->type);
        walk_directives(r, &field->directives, "FIELD_DEFINITION");
    }
}

static void walk_values(rules *r, const gql_type_system *ast)
{
    for (uint32_t i = 0; i < ast->value_count && !gql_build_stop(r->b); i++) {
        unique_directives(r, &ast->values[i].directives, NULL);
        walk_directives(r, &ast->values[i].directives, "ENUM_VALUE");
    }
}

static void unique_member(rules *r, const gql_type_system *ast, pl_map *map, const gql_name *name, bool value)
{
    const gql_place *first = enter_name(r, map, name->text, name->loc);
    if (!first)
        return;
    gql_place places[] = {*first, gql_at(r->source, name->loc)};
    gql_report(r->b, value ? "UniqueEnumValueNames" : "UniqueFieldDefinitionNames", places, 2,
               "%s \"%.*s.%.*s\" can only be defined once.", value ? "Enum value" : "Field",
               PL_STR_ARG(ast->name.text), PL_STR_ARG(name->text));
}

static void unique_members(rules *r, const gql_type_system *ast, seen *s)
{
    for (uint32_t i = 0; i < ast->value_count && !gql_build_stop(r->b); i++)
        unique_member(r, ast, &s->values, &ast->values[i].name, true);
    for (uint32_t i = 0; i < ast->field_count && !gql_build_stop(r->b); i++)
        unique_member(r, ast, &s->fields, &ast->fields[i].name, false);
    for (uint32_t i = 0; i < ast->input_count && !gql_build_stop(r->b); i++)
        unique_member(r, ast, &s->fields, &ast->inputs[i].name, false);
}

typedef struct argument_owner {
    const gql_type_system *ast;
    const gql_field_ast *field; /* NULL: of a directive */
} argument_owner;

static void report_repeated_definition(rules *r, const void *data, pl_str name, const gql_place *places,
                                       uint32_t count)
{
    const argument_owner *owner = data;
    pl_str field = owner->field ? owner->field->name.text : PL_STR("");
    gql_report(r->b, "UniqueArgumentDefinitionNames", places, count,
               "Argument \"%s%.*s%s%.*s(%.*s:)\" can only be defined once.", owner->field ? "" : "@",
               PL_STR_ARG(owner->ast->name.text), owner->field ? "." : "", PL_STR_ARG(field),
               PL_STR_ARG(name));
}

static void unique_argument_definitions(rules *r, const gql_type_system *ast)
{
    for (uint32_t i = 0; i < ast->field_count && !gql_build_stop(r->b); i++) {
        argument_owner owner = {ast, &ast->fields[i]};
        report_repeated(r, (const char *)ast->fields[i].arguments, sizeof(gql_input_value_ast),
                        ast->fields[i].argument_count, report_repeated_definition, &owner);
    }
}

/* --- definitions --- */

static void possible_extension(rules *r, const gql_type_system *ast)
{
    static const char *const kinds[] = {
        [GQL_DEF_SCALAR] = "scalar", [GQL_DEF_OBJECT] = "object", [GQL_DEF_INTERFACE] = "interface",
        [GQL_DEF_UNION] = "union",   [GQL_DEF_ENUM] = "enum",     [GQL_DEF_INPUT] = "input object",
    };
    const gql_group *group = pl_map_get(&r->b->groups, ast->name.text);
    const gql_type_system *definition = group ? group->definition : NULL;
    if (definition && definition->kind != ast->kind) {
        gql_place places[] = {gql_at(definition->source, definition->loc), gql_at(r->source, ast->loc)};
        gql_report(r->b, "PossibleTypeExtensions", places, 2, "Cannot extend non-%s type \"%.*s\".",
                   kinds[ast->kind], PL_STR_ARG(ast->name.text));
    } else if (!definition && !gql_build_stop(r->b)) {
        pl_suggestions near;
        pl_suggest_init(&near, ast->name.text);
        for (size_t i = 0; i < r->b->groups.count; i++) {
            if (((gql_group *)r->b->groups.entries[i].value)->definition)
                pl_suggest_add(&near, r->b->groups.entries[i].key);
        }
        report_at(r, "PossibleTypeExtensions", ast->name.loc,
                  "Cannot extend type \"%.*s\" because it is not defined.%.*s", ast->name.text,
                  pl_suggest_text(&near, &r->b->scratch, NULL));
    }
}

static void walk_type(rules *r, const gql_type_system *ast)
{
    static const char *const locations[] = {
        [GQL_DEF_SCALAR] = "SCALAR", [GQL_DEF_OBJECT] = "OBJECT", [GQL_DEF_INTERFACE] = "INTERFACE",
        [GQL_DEF_UNION] = "UNION",   [GQL_DEF_ENUM] = "ENUM",     [GQL_DEF_INPUT] = "INPUT_OBJECT",
    };
    seen *s = seen_of(r, ast->name.text);
    if (!s)
        return;
    const gql_place *first = ast->extension ? NULL : enter_name(r, &r->types, ast->name.text, ast->name.loc);
    if (first) {
        gql_place places[] = {*first, gql_at(r->source, ast->name.loc)};
        gql_report(r->b, "UniqueTypeNames", places, 2, "There can be only one type named \"%.*s\".",
                   PL_STR_ARG(ast->name.text));
    }
    unique_members(r, ast, s);
    unique_argument_definitions(r, ast);
    unique_directives(r, &ast->directives, &s->directives);
    if (ast->extension)
        possible_extension(r, ast);
    for (uint32_t i = 0; ast->kind != GQL_DEF_UNION && i < ast->interface_count; i++)
        known_type(r, ast->interfaces[i].text, ast->interfaces[i].loc);
    walk_directives(r, &ast->directives, locations[ast->kind]);
    for (uint32_t i = 0; ast->kind == GQL_DEF_UNION && i < ast->interface_count; i++)
        known_type(r, ast->interfaces[i].text, ast->interfaces[i].loc);
    walk_fields(r, ast);
    walk_values(r, ast);
    walk_inputs(r, ast->inputs, ast->input_count, "INPUT_FIELD_DEFINITION");
}

static void walk_schema(rules *r, const gql_type_system *ast)
{
    static const char *const names[] = {
        [GQL_QUERY] = "query", [GQL_MUTATION] = "mutation", [GQL_SUBSCRIPTION] = "subscription"};
    if (!ast->extension && r->schema_definitions++ > 0)
        report_at(r, "LoneSchemaDefinition", ast->loc, "Must provide only one schema definition.%.*s%.*s",
                  PL_STR(""), PL_STR(""));
    for (uint32_t i = 0; i < ast->operation_type_count; i++) {
        const gql_operation_type_ast *operation = &ast->operation_types[i];
        gql_place *first = &r->operations[operation->kind], here = gql_at(r->source, operation->loc);
        if (!first->source) {
            *first = here;
            continue;
        }
        gql_place places[] = {*first, here};
        gql_report(r->b, "UniqueOperationTypes", places, 2, "There can be only one %s type in schema.",
                   names[operation->kind]);
    }
    unique_directives(r, &ast->directives, &r->schema.directives);
    walk_directives(r, &ast->directives, "SCHEMA");
    for (uint32_t i = 0; i < ast->operation_type_count; i++)
        known_type(r, ast->operation_types[i].type.text, ast->operation_types[i].type.loc);
}

static void walk_directive_definition(rules *r, const gql_type_system *ast)
{
    argument_owner owner = {ast, NULL};
    report_repeated(r, (const char *)ast->inputs, sizeof(gql_input_value_ast), ast->input_count,
                    report_repeated_definition, &owner);
    const gql_place *first = enter_name(r, &r->directives, ast->name.text, ast->name.loc);
    if (first) {
        gql_place places[] = {*first, gql_at(r->source, ast->name.loc)};
        gql_report(r->b, "UniqueDirectiveNames", places, 2,
                   "There can be only one directive named \"@%.*s\".", PL_STR_ARG(ast->name.text));
    }
    unique_directives(r, &ast->directives, NULL);
    walk_inputs(r, ast->inputs, ast->input_count, "ARGUMENT_DEFINITION");
    walk_directives(r, &ast->directives, "DIRECTIVE_DEFINITION");
}

/* An operation in a schema file is a mistake that graphql-js would pass over in silence. */
static void refuse_executables(rules *r, const gql_document *document)
{
    for (uint32_t i = 0; i < document->operation_count && !gql_build_stop(r->b); i++)
        report_at(r, NULL, document->operations[i].loc, "A schema cannot contain operations.%.*s%.*s",
                  PL_STR(""), PL_STR(""));
    for (uint32_t i = 0; i < document->fragment_count && !gql_build_stop(r->b); i++)
        report_at(r, NULL, document->fragments[i].loc, "A schema cannot contain fragments.%.*s%.*s",
                  PL_STR(""), PL_STR(""));
}

/* --- set-up --- */

static void add_info(rules *r, const gql_type_system *ast)
{
    directive_info *info = gql_scratch_alloc(r->b, 1, sizeof(*info));
    if (!info)
        return;
    info->ast = ast;
    info->next = r->all_infos;
    r->all_infos = info;
    for (uint32_t i = 0; i < ast->input_count && !r->b->no_memory; i++) {
        gql_build_map(r->b, &info->arguments, ast->inputs[i].name.text, &ast->inputs[i]);
        info->required += is_required(&ast->inputs[i]);
    }
    gql_build_map(r->b, &r->directive_infos, ast->name.text, info);
}

static void collect_infos(rules *r)
{
    gql_builder *b = r->b;
    for (size_t i = 0; i <= b->count; i++) { /* the built-in ones first: the SDL's replace them */
        const gql_document *document = i == 0 ? b->builtins : b->documents[i - 1];
        for (uint32_t j = 0; j < document->definition_count && !b->no_memory; j++) {
            if (document->definitions[j].kind == GQL_DEF_DIRECTIVE)
                add_info(r, &document->definitions[j]);
        }
    }
}

static void dispose(rules *r)
{
    for (seen *s = r->all_seen; s; s = s->next) {
        pl_map_dispose(&s->fields);
        pl_map_dispose(&s->values);
        pl_map_dispose(&s->directives);
    }
    for (directive_info *info = r->all_infos; info; info = info->next)
        pl_map_dispose(&info->arguments);
    pl_map_dispose(&r->schema.directives);
    pl_map_dispose(&r->directive_infos);
    pl_map_dispose(&r->types);
    pl_map_dispose(&r->directives);
    pl_map_dispose(&r->members);
}

void gql_check_sdl(gql_builder *b)
{
    rules r = {.b = b};
    collect_infos(&r);
    for (size_t i = 0; i < b->count; i++) {
        const gql_document *document = b->documents[i];
        r.source = &b->sources[i];
        for (uint32_t j = 0; j < document->definition_count && !gql_build_stop(b); j++) {
            const gql_type_system *ast = &document->definitions[j];
            if (ast->kind == GQL_DEF_SCHEMA)
                walk_schema(&r, ast);
            else if (ast->kind == GQL_DEF_DIRECTIVE)
                walk_directive_definition(&r, ast);
            else
                walk_type(&r, ast);
        }
        refuse_executables(&r, document);
    }
    dispose(&r);
}

const char *const *gql_schema_rules(void)
{
    static const char *const names[] = {"LoneSchemaDefinition",
                                        "UniqueOperationTypes",
                                        "UniqueTypeNames",
                                        "UniqueEnumValueNames",
                                        "UniqueFieldDefinitionNames",
                                        "UniqueArgumentDefinitionNames",
                                        "UniqueDirectiveNames",
                                        "KnownTypeNames",
                                        "KnownDirectives",
                                        "UniqueDirectivesPerLocation",
                                        "PossibleTypeExtensions",
                                        "KnownArgumentNamesOnDirectives",
                                        "UniqueArgumentNames",
                                        "UniqueInputFieldNames",
                                        "ProvidedRequiredArgumentsOnDirectives",
                                        NULL};
    return names;
}
