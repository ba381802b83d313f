/* SPDX-License-Identifier: MIT */
#include "graphql/execution/scalar_places.h"

#include "base/alloc.h"
#include "value/msgpack.h"

static bool in_inputs(const bool *holds, const gql_input *inputs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (holds[inputs[i].type->named->id])
            return true;
    }
    return false;
}

/* Whether the field's value is read from its parent as it is, and has such a scalar in it. */
static bool is_read(const gql_scalar_places *p, const gql_field *field)
{
    return p->binding->fields[field->id].resolver == PL_REF_NONE && p->holds[field->type->named->id];
}

static bool in_fields(const gql_scalar_places *p, const gql_named *type)
{
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (is_read(p, &type->fields[i]))
            return true;
    }
    return false;
}

static bool in_possible(const bool *holds, const gql_named *type)
{
    for (uint32_t i = 0; i < type->possible_count; i++) {
        if (holds[type->possible[i]->id])
            return true;
    }
    return false;
}

static bool has_one(const gql_scalar_places *p, const gql_named *type)
{
    switch (type->kind) {
    case GQL_INPUT_OBJECT:
        return in_inputs(p->holds, type->inputs, type->input_count);
    case GQL_OBJECT:
        return in_fields(p, type);
    case GQL_INTERFACE:
    case GQL_UNION:
        return in_possible(p->holds, type);
    default:
        return false;
    }
}

void gql_scalar_places_find(const gql_scalar_places *p)
{
    const gql_schema *schema = p->binding->schema;
    bool found = true;
    while (found) { /* once for each level of types in types, and once more */
        found = false;
        for (uint32_t i = 0; i < schema->type_count; i++) {
            const gql_named *type = schema->types[i];
            if (!p->holds[type->id] && !type->builtin && has_one(p, type))
                p->holds[type->id] = found = true;
        }
    }
}

/* --- packing --- */
typedef struct packer {
    const gql_scalar_places *places;
    uint32_t *index_of;      /* by type id, counted from 1; 0: it has none yet */
    const gql_named **types; /* by index */
    uint32_t count;
    pl_buf *out;
} packer;

static void put_index(packer *p, const gql_named *type)
{
    if (p->index_of[type->id] == 0) {
        p->types[p->count] = type;
        p->index_of[type->id] = ++p->count;
    }
    pl_msgpack_int(p->out, p->index_of[type->id] - 1);
}

static void put_place(packer *p, const gql_typeref *type)
{
    int64_t lists = 0;
    for (const gql_typeref *t = type; t; t = t->of)
        lists += t->kind == GQL_TYPE_LIST;
    pl_msgpack_list(p->out, 2);
    pl_msgpack_int(p->out, lists);
    put_index(p, type->named);
}

static void put_inputs(packer *p, const gql_input *inputs, uint32_t count)
{
    size_t begin = pl_msgpack_map_begin(p->out), members = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!p->places->holds[inputs[i].type->named->id])
            continue;
        pl_msgpack_string(p->out, inputs[i].name);
        put_place(p, inputs[i].type);
        members++;
    }
    pl_msgpack_map_end(p->out, begin, members);
}

static void put_fields(packer *p, const gql_named *type)
{
    size_t begin = pl_msgpack_map_begin(p->out), members = 0;
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (!is_read(p->places, &type->fields[i]))
            continue;
        pl_msgpack_string(p->out, type->fields[i].name);
        put_place(p, type->fields[i].type);
        members++;
    }
    pl_msgpack_map_end(p->out, begin, members);
}

static void put_possible(packer *p, const gql_named *type)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < type->possible_count; i++)
        count += p->places->holds[type->possible[i]->id];
    pl_msgpack_list(p->out, count);
    for (uint32_t i = 0; i < type->possible_count; i++) {
        if (!p->places->holds[type->possible[i]->id])
            continue;
        pl_msgpack_list(p->out, 2);
        pl_msgpack_string(p->out, type->possible[i]->name);
        put_index(p, type->possible[i]);
    }
}

static void put_type(packer *p, const gql_named *type)
{
    if (type->kind == GQL_SCALAR)
        pl_msgpack_string(p->out, type->name);
    else if (type->kind == GQL_INPUT_OBJECT)
        put_inputs(p, type->inputs, type->input_count);
    else if (type->kind == GQL_OBJECT)
        put_fields(p, type);
    else
        put_possible(p, type);
}

static void put_field(packer *p, const gql_field *field)
{
    pl_msgpack_list(p->out, 3);
    put_inputs(p, field->arguments, field->argument_count);
    if (p->places->holds[field->type->named->id])
        put_place(p, field->type);
    else
        pl_msgpack_null(p->out);
}

/* Each type that is met may lead to others, which come behind it. */
static void put_types(packer *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        put_type(p, p->types[i]);
}

bool gql_scalar_places_pack(const gql_scalar_places *places, const gql_field *field, pl_buf *out)
{
    size_t count = places->binding->schema->type_count;
    if (!places->holds[field->type->named->id] &&
        !in_inputs(places->holds, field->arguments, field->argument_count))
        return true;
    pl_buf types; /* written on its own, as how many there are is known at the end */
    pl_buf_init(&types);
    packer p = {.places = places, .out = out};
    p.index_of = pl_calloc(count, sizeof *p.index_of);
    p.types = pl_calloc(count, sizeof(*p.types));
    bool ok = p.index_of && p.types;
    if (ok) {
        put_field(&p, field);
        p.out = &types;
        put_types(&p);
        pl_msgpack_list(out, p.count);
        pl_buf_str(out, pl_buf_view(&types));
        ok = !types.failed && !out->failed;
    }
    pl_buf_dispose(&types);
    pl_free(p.index_of);
    pl_free(p.types);
    return ok;
}
