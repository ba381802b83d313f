/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "graphql/federation/federation.h"
#include "graphql/schema/cost_directives.h"
#include "graphql/validation/cost_internal.h"

#define NONE (-1.0)

static double weight_of(const gql_directives *directives)
{
    double weight;
    return gql_cost_weight(directives, &weight) ? weight : NONE;
}

static double number_of(const gql_value *value)
{
    char text[24];
    if (!value || value->kind != GQL_VALUE_INT || value->text.len >= sizeof text)
        return NONE;
    memcpy(text, value->text.ptr, value->text.len);
    text[value->text.len] = '\0';
    return strtod(text, NULL);
}

static gql_list_size *read_list_size(pl_arena *arena, const gql_field *field, const gql_directive *directive)
{
    gql_list_size *size = pl_arena_zalloc(arena, sizeof *size);
    const gql_value *slicing = gql_directive_value(directive, "slicingArguments");
    const gql_value *required = gql_directive_value(directive, "requireOneSlicingArgument");
    uint32_t count = gql_literal_strings(slicing);
    if (!size)
        return NULL;
    size->assumed = number_of(gql_directive_value(directive, "assumedSize"));
    size->require_one = !required || required->kind != GQL_VALUE_BOOLEAN || required->boolean;
    size->sized = gql_directive_value(directive, "sizedFields");
    size->slicing = pl_arena_array(arena, count, sizeof *size->slicing);
    if (!size->slicing)
        return NULL;
    for (uint32_t i = 0; i < count; i++) {
        pl_str path = gql_literal_string(slicing, i), name = gql_path_step(&path);
        const gql_input *argument = gql_input_find(field->arguments, field->argument_count, name);
        if (argument)
            size->slicing[size->slicing_count++] = (gql_slicing){.argument = argument, .path = path};
    }
    return size;
}

/* Query._entities has as many items as there are representations. */
static bool add_entities(pl_arena *arena, gql_cost_model *m, const gql_field *field)
{
    gql_list_size *size = pl_arena_zalloc(arena, sizeof *size);
    gql_slicing *slicing = pl_arena_zalloc(arena, sizeof *slicing);
    if (!size || !slicing)
        return false;
    *slicing = (gql_slicing){.argument = &field->arguments[0], .items = true};
    *size = (gql_list_size){.assumed = NONE, .slicing = slicing, .slicing_count = 1};
    m->list_sizes[field->id] = size;
    return true;
}

static bool read_field(pl_arena *arena, gql_cost_model *m, const gql_field *field)
{
    const gql_directive *directive = gql_list_size_directive(field->directives);
    m->fields[field->id] = weight_of(field->directives);
    for (uint32_t i = 0; i < field->argument_count; i++)
        m->inputs[field->arguments[i].id] = weight_of(field->arguments[i].directives);
    if (directive)
        m->list_sizes[field->id] = read_list_size(arena, field, directive);
    return !directive || m->list_sizes[field->id];
}

static void inherit_number(double *own, double inherited)
{
    if (*own < 0)
        *own = inherited;
}

/* What an interface says of its fields holds for the types that implement it, where these say nothing. */
static void inherit(gql_cost_model *m, const gql_named *type, const gql_named *interface)
{
    for (uint32_t i = 0; i < interface->field_count; i++) {
        const gql_field *from = &interface->fields[i], *to = pl_map_get(&type->field_map, from->name);
        if (!to)
            continue;
        inherit_number(&m->fields[to->id], m->fields[from->id]);
        if (!m->list_sizes[to->id])
            m->list_sizes[to->id] = m->list_sizes[from->id];
        for (uint32_t k = 0; k < from->argument_count; k++) {
            const gql_input *argument =
                gql_input_find(to->arguments, to->argument_count, from->arguments[k].name);
            if (argument)
                inherit_number(&m->inputs[argument->id], m->inputs[from->arguments[k].id]);
        }
    }
}

gql_cost_model *gql_cost_model_new(pl_arena *arena, const gql_schema *schema, uint32_t default_list_size)
{
    gql_cost_model *m = pl_arena_zalloc(arena, sizeof *m);
    if (!m)
        return NULL;
    m->schema = schema;
    m->default_list_size = default_list_size ? default_list_size : GQL_DEFAULT_LIST_SIZE;
    m->fields = pl_arena_array(arena, schema->field_count, sizeof *m->fields);
    m->inputs = pl_arena_array(arena, schema->input_count, sizeof *m->inputs);
    m->types = pl_arena_array(arena, schema->type_count, sizeof *m->types);
    m->list_sizes = pl_arena_array(arena, schema->field_count, sizeof(*m->list_sizes));
    if (!m->fields || !m->inputs || !m->types || !m->list_sizes)
        return NULL;
    for (uint32_t i = 0; i < schema->type_count; i++) {
        const gql_named *type = schema->types[i];
        m->types[i] = weight_of(type->directives);
        for (uint32_t k = 0; k < type->input_count; k++)
            m->inputs[type->inputs[k].id] = weight_of(type->inputs[k].directives);
        for (uint32_t k = 0; k < type->field_count; k++) {
            if (!read_field(arena, m, &type->fields[k]))
                return NULL;
        }
    }
    if (schema->federation && schema->federation->resolve &&
        !add_entities(arena, m, schema->federation->resolve))
        return NULL;
    for (uint32_t i = 0; i < schema->type_count; i++) {
        const gql_named *type = schema->types[i];
        for (uint32_t k = 0; type->kind == GQL_OBJECT && k < type->interface_count; k++)
            inherit(m, type, type->interfaces[k]);
    }
    return m;
}
