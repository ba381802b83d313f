/* SPDX-License-Identifier: MIT */
#include "graphql/schema/schema.h"

#include "base/alloc.h"

static const char *const location_names[] = {
    "QUERY",
    "MUTATION",
    "SUBSCRIPTION",
    "FIELD",
    "FRAGMENT_DEFINITION",
    "FRAGMENT_SPREAD",
    "INLINE_FRAGMENT",
    "VARIABLE_DEFINITION",
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
};
#define LOCATION_COUNT (sizeof(location_names) / sizeof(location_names[0]))

const char *gql_location_name(gql_location location)
{
    for (size_t i = 0; i < LOCATION_COUNT; i++) {
        if ((unsigned)location == 1u << i)
            return location_names[i];
    }
    return NULL;
}

gql_location gql_location_parse(pl_str name)
{
    for (size_t i = 0; i < LOCATION_COUNT; i++) {
        if (pl_str_is(name, location_names[i]))
            return (gql_location)(1u << i);
    }
    return (gql_location)0;
}

void gql_schema_free(gql_schema *schema)
{
    if (!schema)
        return;
    pl_map_dispose(&schema->type_map);
    pl_map_dispose(&schema->directive_map);
    pl_map_dispose(&schema->typeref_map);
    pl_arena_dispose(&schema->arena); /* the maps of each type go with it */
    pl_free(schema);
}

gql_named *gql_schema_type(const gql_schema *schema, pl_str name)
{
    return pl_map_get(&schema->type_map, name);
}

gql_directive_def *gql_schema_directive(const gql_schema *schema, pl_str name)
{
    return pl_map_get(&schema->directive_map, name);
}

gql_field *gql_schema_field(const gql_schema *schema, const gql_named *type, pl_str name)
{
    if (pl_str_starts(name, PL_STR("__"))) {
        if (gql_is_composite(type) && pl_str_eq(name, schema->typename_field->name))
            return schema->typename_field;
        if (type == schema->query && pl_str_eq(name, schema->schema_field->name))
            return schema->schema_field;
        if (type == schema->query && pl_str_eq(name, schema->type_field->name))
            return schema->type_field;
    }
    return pl_map_get(&type->field_map, name);
}

gql_input *gql_input_find(gql_input *inputs, uint32_t count, pl_str name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (pl_str_eq(inputs[i].name, name))
            return &inputs[i];
    }
    return NULL;
}

/* Recursion is as deep as the type reference, which the parser bounds. */
const gql_typeref *gql_schema_typeref(const gql_schema *schema, pl_arena *arena, const gql_type *type)
{
    gql_typeref made = {.kind = type->kind};
    if (type->kind == GQL_TYPE_NAMED) {
        made.named = gql_schema_type(schema, type->name);
        if (!made.named)
            return NULL;
        made.text = made.named->name;
    } else {
        made.of = gql_schema_typeref(schema, arena, type->of);
        if (!made.of)
            return NULL;
        made.named = made.of->named;
        made.text = pl_arena_printf(arena, type->kind == GQL_TYPE_LIST ? "[%.*s]" : "%.*s!",
                                    PL_STR_ARG(made.of->text));
        if (!made.text.ptr)
            return NULL;
    }
    gql_typeref *known = pl_map_get(&schema->typeref_map, made.text);
    if (known)
        return known;
    gql_typeref *out = pl_arena_alloc(arena, sizeof(*out));
    if (out)
        *out = made;
    return out;
}

gql_named *gql_schema_root(const gql_schema *schema, gql_operation_kind kind)
{
    switch (kind) {
    case GQL_QUERY:
        return schema->query;
    case GQL_MUTATION:
        return schema->mutation;
    case GQL_SUBSCRIPTION:
        return schema->subscription;
    }
    return NULL;
}

bool gql_types_overlap(const gql_schema *schema, const gql_named *a, const gql_named *b)
{
    if (a == b)
        return true;
    if (a->possible_count > b->possible_count) {
        const gql_named *more = a;
        a = b;
        b = more;
    }
    for (uint32_t i = 0; i < a->possible_count; i++) {
        if (gql_is_possible(b, a->possible[i]))
            return true;
    }
    return false;
}

static bool implements(const gql_named *type, const gql_named *interface)
{
    for (uint32_t i = 0; i < type->interface_count; i++) {
        if (type->interfaces[i] == interface)
            return true;
    }
    return false;
}

bool gql_is_subtype(const gql_schema *schema, const gql_typeref *sub, const gql_typeref *super)
{
    while (sub != super) {
        if (super->kind == GQL_TYPE_NON_NULL && sub->kind != GQL_TYPE_NON_NULL)
            return false;
        if (super->kind != GQL_TYPE_NON_NULL && sub->kind == GQL_TYPE_NON_NULL) {
            sub = sub->of;
            continue;
        }
        if (super->kind != sub->kind)
            return false;
        if (super->kind == GQL_TYPE_NAMED)
            break;
        sub = sub->of;
        super = super->of;
    }
    const gql_named *a = sub->named, *b = super->named;
    if (a == b)
        return true;
    if (b->kind == GQL_INTERFACE)
        return (a->kind == GQL_OBJECT || a->kind == GQL_INTERFACE) && implements(a, b);
    return b->kind == GQL_UNION && a->kind == GQL_OBJECT && gql_is_possible(b, a);
}
