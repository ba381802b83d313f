/* SPDX-License-Identifier: MIT */
#include "graphql/schema/internal.h"

/* Which object types can stand where a type is expected, as lists and as bits by type id.
 *
 * Bits for each type would grow with the square of the schema. But most types have one possible type (an
 * object: itself) or none, so those share: for each of the 64 places of a bit in a word there is one strip
 * with a single word set in its middle, and a type's bits are a window into it, moved so that the set word
 * falls where the type's id wants it. */
typedef struct strips {
    size_t words; /* of one type's bits */
    uint64_t *block;
} strips;

static bool make_strips(gql_builder *b, strips *s)
{
    s->words = (b->schema->type_count + 63) / 64;
    size_t length = 2 * s->words - 1;
    s->block = gql_build_alloc(b, 64 * length + s->words, sizeof(*s->block));
    for (size_t i = 0; s->block && i < 64; i++)
        s->block[i * length + s->words - 1] = (uint64_t)1 << i;
    return s->block != NULL;
}

static uint64_t *window(const strips *s, uint32_t id)
{
    return s->block + (id % 64) * (2 * s->words - 1) + (s->words - 1 - id / 64);
}

static uint64_t *nothing(const strips *s)
{
    return s->block + 64 * (2 * s->words - 1);
}

static void set_bits(gql_builder *b, const strips *s, gql_named *type)
{
    if (type->possible_count == 0) {
        type->possible_bits = nothing(s);
    } else if (type->possible_count == 1) {
        type->possible_bits = window(s, type->possible[0]->id);
    } else if ((type->possible_bits = gql_build_alloc(b, s->words, sizeof(uint64_t)))) {
        for (uint32_t i = 0; i < type->possible_count; i++) {
            uint32_t id = type->possible[i]->id;
            type->possible_bits[id / 64] |= (uint64_t)1 << (id % 64);
        }
    }
}

/* Counts first, so that each list is made in its final size. */
static void list_implementations(gql_builder *b)
{
    gql_schema *schema = b->schema;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < schema->type_count; i++) {
            gql_named *type = schema->types[i];
            if (type->kind != GQL_OBJECT)
                continue;
            for (uint32_t j = 0; j < type->interface_count; j++) {
                gql_named *interface = type->interfaces[j];
                if (interface->kind != GQL_INTERFACE)
                    continue;
                if (pass == 1)
                    interface->possible[interface->possible_count] = type;
                interface->possible_count++;
            }
        }
        for (uint32_t i = 0; pass == 0 && i < schema->type_count; i++) {
            gql_named *type = schema->types[i];
            if (type->kind != GQL_INTERFACE)
                continue;
            type->possible = gql_build_alloc(b, type->possible_count, sizeof(*type->possible));
            type->possible_count = 0;
            if (b->no_memory)
                return;
        }
    }
}

void gql_build_possible(gql_builder *b)
{
    gql_schema *schema = b->schema;
    strips s;
    list_implementations(b);
    if (b->no_memory || !make_strips(b, &s))
        return;
    for (uint32_t i = 0; i < schema->type_count && !b->no_memory; i++) {
        gql_named *type = schema->types[i];
        if (type->kind == GQL_OBJECT) {
            type->possible = &schema->types[i];
            type->possible_count = 1;
        }
        set_bits(b, &s, type);
    }
}
