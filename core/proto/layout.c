/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "proto/pool_internal.h"

/* --- names --- */
bool pb_names_init(pb_names *names, pl_arena *arena, size_t count)
{
    size_t slots = 4;
    while (slots < count * 2)
        slots *= 2;
    names->slots = pl_arena_array(arena, slots, sizeof *names->slots);
    names->mask = slots - 1;
    return names->slots != NULL;
}

static struct pb_name *find(const pb_names *names, pl_str name)
{
    size_t i = pl_hash(name.ptr, name.len) & names->mask;
    while (names->slots[i].is && !pl_str_eq(names->slots[i].name, name))
        i = (i + 1) & names->mask;
    return &names->slots[i];
}

void pb_names_add(pb_names *names, pl_str name, const void *is)
{
    struct pb_name *slot = find(names, name);
    if (!slot->is)
        *slot = (struct pb_name){name, is};
}

const void *pb_names_get(const pb_names *names, pl_str name)
{
    return names->mask ? find(names, name)->is : NULL;
}

pl_str pb_json_name(pl_arena *arena, pl_str name)
{
    char *out = pl_arena_alloc(arena, name.len);
    size_t n = 0;
    bool upper = false;
    if (!out)
        return PL_STR_NONE;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c == '_') {
            upper = true;
            continue;
        }
        out[n++] = upper && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        upper = false;
    }
    return (pl_str){out, n};
}

/* --- enums --- */
static int by_number(const void *a, const void *b)
{
    const pb_enum_value *x = *(const pb_enum_value *const *)a, *y = *(const pb_enum_value *const *)b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

bool pb_layout_enum(pb_builder *b, pb_enum *e)
{
    e->by_number = pl_arena_array(&b->pool->arena, e->count, sizeof *e->by_number);
    if (!e->by_number || !pb_names_init(&e->names, &b->pool->arena, e->count))
        return pb_out_of_memory(b);
    for (size_t i = 0; i < e->count; i++) {
        e->by_number[i] = &e->values[i];
        pb_names_add(&e->names, e->values[i].name, &e->values[i]);
    }
    qsort(e->by_number, e->count, sizeof *e->by_number, by_number);
    for (size_t i = 0; i < e->count; i++) {
        if (i == 0 || e->by_number[i]->number != e->by_number[i - 1]->number)
            e->by_number[e->distinct++] = e->by_number[i];
    }
    return true;
}

/* --- messages --- */
static int field_order(const void *a, const void *b)
{
    const pb_field *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int extension_order(const void *a, const void *b)
{
    return field_order(*(const pb_field *const *)a, *(const pb_field *const *)b);
}

static bool lay_oneofs(pb_builder *b, pb_message *m)
{
    for (size_t i = 0; i < m->field_count; i++) {
        if (m->fields[i].oneof)
            m->oneofs[m->fields[i].oneof->index].count++;
    }
    while (m->oneof_count > 0 && m->oneofs[m->oneof_count - 1].count == 0)
        m->oneof_count--;
    for (size_t i = 0; i < m->oneof_count; i++) {
        pb_oneof *o = &m->oneofs[i];
        o->fields = pl_arena_array(&b->pool->arena, o->count, sizeof *o->fields);
        if (!o->fields)
            return pb_out_of_memory(b);
        o->count = 0;
    }
    for (size_t i = 0; i < m->field_count; i++) {
        pb_oneof *o = (pb_oneof *)m->fields[i].oneof;
        if (o)
            o->fields[o->count++] = &m->fields[i];
    }
    return true;
}

/* Fields that are numbered without large gaps, as most are, are found by their number at once. */
static bool lay_dense(pb_builder *b, pb_message *m)
{
    size_t most = m->field_count * 2 + 16, count = 0;
    for (size_t i = 0; i < m->field_count; i++) {
        if (m->fields[i].number < most)
            count = m->fields[i].number + 1;
    }
    m->dense = pl_arena_array(&b->pool->arena, count, sizeof *m->dense);
    if (!m->dense)
        return pb_out_of_memory(b);
    m->dense_count = count;
    for (size_t i = 0; i < m->field_count; i++) {
        if (m->fields[i].number < count)
            m->dense[m->fields[i].number] = &m->fields[i];
    }
    return true;
}

bool pb_layout_message(pb_builder *b, pb_message *m)
{
    qsort(m->fields, m->field_count, sizeof *m->fields, field_order);
    if (m->extension_count > 0)
        qsort(m->extensions, m->extension_count, sizeof(pb_field *), extension_order);
    for (size_t i = 0; i < m->field_count; i++) {
        pb_field *f = &m->fields[i];
        f->index = (uint32_t)i;
        m->required_count += f->required;
        m->filled_count += !f->presence;
        if (i > 0 && f->number == f[-1].number)
            return pb_fails(b, "the fields %.*s and %.*s have the same number", PL_STR_ARG(f[-1].name),
                            PL_STR_ARG(f->name));
    }
    for (size_t i = 0; i < m->extension_count; i++) {
        m->extensions[i]->index = (uint32_t)(m->field_count + i);
        if (i > 0 && m->extensions[i]->number == m->extensions[i - 1]->number)
            return pb_fails(b, "its extensions %.*s and %.*s have the same number",
                            PL_STR_ARG(m->extensions[i - 1]->full_name),
                            PL_STR_ARG(m->extensions[i]->full_name));
    }
    if (!lay_oneofs(b, m) || !lay_dense(b, m))
        return false;
    if (!pb_names_init(&m->names, &b->pool->arena, (m->field_count + m->extension_count) * 2))
        return pb_out_of_memory(b);
    for (size_t i = 0; i < m->field_count; i++)
        pb_names_add(&m->names, m->fields[i].name, &m->fields[i]);
    for (size_t i = 0; i < m->field_count; i++)
        pb_names_add(&m->names, m->fields[i].json_name, &m->fields[i]);
    for (size_t i = 0; i < m->extension_count; i++)
        pb_names_add(&m->names, m->extensions[i]->key, m->extensions[i]);
    return true;
}
