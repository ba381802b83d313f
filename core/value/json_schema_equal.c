/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "value/json_schema_internal.h"

static bool is_number(const pl_value *v)
{
    return v->kind == PL_KIND_INT || v->kind == PL_KIND_FLOAT;
}

/* An integer against a double, exactly. */
static int compare_mixed(int64_t a, double b)
{
    if (b >= 9223372036854775808.0)
        return -1;
    if (b < -9223372036854775808.0)
        return 1;
    int64_t whole = (int64_t)b; /* towards zero */
    if (a != whole)
        return a < whole ? -1 : 1;
    double rest = b - (double)whole;
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

int js_compare_numbers(const pl_value *a, const pl_value *b)
{
    if (a->kind == PL_KIND_INT && b->kind == PL_KIND_INT)
        return a->integer < b->integer ? -1 : a->integer > b->integer;
    if (a->kind == PL_KIND_INT)
        return compare_mixed(a->integer, b->number);
    if (b->kind == PL_KIND_INT)
        return -compare_mixed(b->integer, a->number);
    return a->number < b->number ? -1 : a->number > b->number;
}

static bool equal_lists(const pl_value *a, const pl_value *b)
{
    if (a->list.count != b->list.count)
        return false;
    for (size_t i = 0; i < a->list.count; i++) {
        if (!js_equal(&a->list.items[i], &b->list.items[i]))
            return false;
    }
    return true;
}

static bool equal_maps(const pl_value *a, const pl_value *b)
{
    if (a->map.count != b->map.count)
        return false;
    for (size_t i = 0; i < a->map.count; i++) {
        const pl_value *other = pl_value_member(b, a->map.members[i].name);
        if (!other || !js_equal(&a->map.members[i].value, other))
            return false;
    }
    return true;
}

bool js_equal(const pl_value *a, const pl_value *b)
{
    if (is_number(a) && is_number(b))
        return js_compare_numbers(a, b) == 0;
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case PL_KIND_BOOL:
        return a->boolean == b->boolean;
    case PL_KIND_STRING:
        return pl_str_eq(a->string, b->string);
    case PL_KIND_LIST:
        return equal_lists(a, b);
    case PL_KIND_MAP:
        return equal_maps(a, b);
    default:
        return true;
    }
}

static unsigned long long mix(unsigned long long seed, unsigned long long value)
{
    const unsigned long long both[2] = {seed, value};
    return pl_hash(both, sizeof both);
}

static unsigned long long hash_number(const pl_value *v)
{
    int64_t whole = v->integer;
    if (v->kind == PL_KIND_FLOAT) {
        if (v->number != floor(v->number) || fabs(v->number) >= 9223372036854775808.0)
            return pl_hash(&v->number, sizeof v->number);
        whole = (int64_t)v->number;
    }
    return mix(PL_KIND_INT, (unsigned long long)whole);
}

unsigned long long js_hash(const pl_value *v)
{
    unsigned long long hash = v->kind;
    switch (v->kind) {
    case PL_KIND_INT:
    case PL_KIND_FLOAT:
        return hash_number(v);
    case PL_KIND_BOOL:
        return mix(hash, v->boolean);
    case PL_KIND_STRING:
        return mix(hash, pl_hash(v->string.ptr, v->string.len));
    case PL_KIND_LIST:
        for (size_t i = 0; i < v->list.count; i++)
            hash = mix(hash, js_hash(&v->list.items[i]));
        return mix(hash, v->list.count);
    case PL_KIND_MAP: /* in any order */
        for (size_t i = 0; i < v->map.count; i++) {
            const pl_member *m = &v->map.members[i];
            hash += mix(pl_hash(m->name.ptr, m->name.len), js_hash(&m->value));
        }
        return mix(hash, v->map.count);
    default:
        return mix(hash, 0);
    }
}
