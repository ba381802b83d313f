/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "value/json_schema_internal.h"

#define MOST_DEPTH 1000

/* Where in the value it is: one on the C stack for each step down. */
typedef struct place {
    const struct place *above;
    pl_str name; /* ptr NULL: index */
    size_t index;
} place;

typedef struct checker {
    size_t steps;
    unsigned depth;
    const char *given_up; /* why; then nothing else counts */
    pl_error *err;        /* NULL: whether is enough */
} checker;

static bool check(checker *c, const js_node *n, const pl_value *v, const place *at);

/* --- messages --- */
static size_t put_path(const place *at, char *out, size_t room)
{
    if (!at)
        return 0;
    size_t used = put_path(at->above, out, room);
    if (used + 1 >= room)
        return used;
    int n = at->name.ptr ? snprintf(out + used, room - used, "/%.*s", PL_STR_ARG(at->name))
                         : snprintf(out + used, room - used, "/%zu", at->index);
    used += n > 0 ? (size_t)n : 0;
    return used < room ? used : room - 1;
}

static bool wrong(checker *c, const place *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool wrong(checker *c, const place *at, const char *fmt, ...)
{
    char path[256] = "/", text[512];
    va_list args;
    if (!c->err || c->given_up)
        return false;
    if (at)
        put_path(at, path, sizeof path);
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    pl_fail(c->err, PL_INVALID_ARGUMENT, "%s: %s", path, text);
    return false;
}

static bool give_up(checker *c, const char *why)
{
    if (!c->given_up)
        c->given_up = why;
    return false;
}

/* Whether it is what n says, and no matter what not. */
static bool would_pass(checker *c, const js_node *n, const pl_value *v, const place *at)
{
    pl_error *err = c->err;
    c->err = NULL;
    bool ok = check(c, n, v, at);
    c->err = err;
    return ok;
}

/* --- kinds --- */
static unsigned type_of(const pl_value *v)
{
    switch (v->kind) {
    case PL_KIND_BOOL:
        return JS_BOOLEAN;
    case PL_KIND_INT:
        return JS_INTEGER | JS_NUMBER;
    case PL_KIND_FLOAT:
        return v->number == floor(v->number) ? JS_INTEGER | JS_NUMBER : JS_NUMBER;
    case PL_KIND_STRING:
        return JS_STRING;
    case PL_KIND_LIST:
        return JS_ARRAY;
    case PL_KIND_MAP:
        return JS_OBJECT;
    default:
        return JS_NULL;
    }
}

static bool wrong_type(checker *c, const js_node *n, const pl_value *v, const place *at)
{
    static const char *const names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
    char wanted[96] = "";
    const char *is = NULL;
    size_t used = 0;
    if (!c->err)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (n->types & 1u << i)
            used +=
                (size_t)snprintf(wanted + used, sizeof wanted - used, "%s%s", used ? " or " : "", names[i]);
        if (!is && type_of(v) & 1u << i)
            is = names[i];
    }
    return wrong(c, at, "must be %s, and is %s", wanted, is);
}

static bool is_choice(const js_node *n, const pl_value *v)
{
    for (size_t i = 0; i < n->choice_count; i++) {
        if (js_equal(&n->choices[i], v))
            return true;
    }
    return false;
}

/* --- numbers, strings --- */
static bool check_number(checker *c, const js_node *n, const pl_value *v, const place *at)
{
    if (n->minimum && js_compare_numbers(v, n->minimum) < 0)
        return wrong(c, at, "is below the minimum");
    if (n->maximum && js_compare_numbers(v, n->maximum) > 0)
        return wrong(c, at, "is above the maximum");
    if (n->above && js_compare_numbers(v, n->above) <= 0)
        return wrong(c, at, "is not above the exclusiveMinimum");
    if (n->below && js_compare_numbers(v, n->below) >= 0)
        return wrong(c, at, "is not below the exclusiveMaximum");
    if (n->multiple_of > 0) {
        double quotient = (v->kind == PL_KIND_INT ? (double)v->integer : v->number) / n->multiple_of;
        /* 0.3 is no multiple of 0.1 in binary: within what doubles can tell apart it is. */
        if (!isfinite(quotient) ||
            fabs(quotient - nearbyint(quotient)) > 1e-9 * fmax(1, fabs(quotient) * 1e-6))
            return wrong(c, at, "is no multiple of %g", n->multiple_of);
    }
    return true;
}

static bool check_string(checker *c, const js_node *n, const pl_value *v, const place *at)
{
    size_t length = 0;
    if (n->min_length == 0 && n->max_length == SIZE_MAX)
        return true;
    for (size_t i = 0; i < v->string.len; i++)
        length += (v->string.ptr[i] & 0xC0) != 0x80;
    if (length < n->min_length)
        return wrong(c, at, "has %zu characters, and must have %zu at least", length, n->min_length);
    if (length > n->max_length)
        return wrong(c, at, "has %zu characters, and may have %zu at most", length, n->max_length);
    return true;
}

/* --- arrays --- */
static int compare_hashes(const void *a, const void *b)
{
    unsigned long long x = *(const unsigned long long *)a, y = *(const unsigned long long *)b;
    return x < y ? -1 : x > y;
}

/* Hashes have a secret key: that two are equal by chance does not happen. */
static bool is_unique(checker *c, const pl_value *v, bool *out)
{
    size_t n = v->list.count;
    unsigned long long *hashes = n > 1 ? pl_calloc(n, sizeof *hashes) : NULL;
    *out = true;
    if (n <= 1)
        return true;
    if (!hashes)
        return false;
    for (size_t i = 0; i < n; i++)
        hashes[i] = js_hash(&v->list.items[i]);
    qsort(hashes, n, sizeof *hashes, compare_hashes);
    for (size_t i = 1; i < n; i++)
        *out &= hashes[i] != hashes[i - 1];
    pl_free(hashes);
    return true;
}

static bool check_contains(checker *c, const js_node *n, const pl_value *v, const place *at)
{
    size_t found = 0;
    for (size_t i = 0; i < v->list.count && !c->given_up; i++) {
        const place here = {.above = at, .index = i};
        found += would_pass(c, n->contains, &v->list.items[i], &here);
    }
    if (c->given_up)
        return false;
    if (found < n->min_contains)
        return wrong(c, at, "has %zu items that match contains, and must have %zu at least", found,
                     n->min_contains);
    return found <= n->max_contains ||
           wrong(c, at, "has %zu items that match contains, and may have %zu at most", found,
                 n->max_contains);
}

static bool check_array(checker *c, const js_node *n, const pl_value *v, const place *at)
{
    bool unique = true;
    if (v->list.count < n->min_items)
        return wrong(c, at, "has %zu items, and must have %zu at least", v->list.count, n->min_items);
    if (v->list.count > n->max_items)
        return wrong(c, at, "has %zu items, and may have %zu at most", v->list.count, n->max_items);
    for (size_t i = 0; i < v->list.count; i++) {
        const js_node *item = i < n->first.count ? n->first.nodes[i] : n->items;
        const place here = {.above = at, .index = i};
        if (item && !check(c, item, &v->list.items[i], &here))
            return false;
    }
    if (n->unique_items && !is_unique(c, v, &unique))
        return give_up(c, "out of memory");
    if (!unique)
        return wrong(c, at, "has two items that are the same");
    return !n->contains || check_contains(c, n, v, at);
}

/* --- objects --- */
static bool has_all(checker *c, const js_names *names, const pl_value *v, const place *at, pl_str because)
{
    for (size_t i = 0; i < names->count; i++) {
        if (pl_value_member(v, names->names[i]))
            continue;
        return because.ptr ? wrong(c, at, "must have \"%.*s\", as it has \"%.*s\"",
                                   PL_STR_ARG(names->names[i]), PL_STR_ARG(because))
                           : wrong(c, at, "must have \"%.*s\"", PL_STR_ARG(names->names[i]));
    }
    return true;
}

static bool check_member(checker *c, const js_node *n, const pl_member *m, const place *at)
{
    const place here = {.above = at, .name = m->name};
    const pl_value name = {.kind = PL_KIND_STRING, .string = m->name};
    const js_node *own = pl_map_get(&n->properties, m->name);
    if (n->names && !check(c, n->names, &name, &here))
        return false;
    if (!own && n->additional && n->additional->never)
        return wrong(c, &here, "is no property that there may be");
    if (!own)
        own = n->additional;
    return !own || check(c, own, &m->value, &here);
}

static bool check_object(checker *c, const js_node *n, const pl_value *v, const place *at)
{
    if (v->map.count < n->min_members)
        return wrong(c, at, "has %zu properties, and must have %zu at least", v->map.count, n->min_members);
    if (v->map.count > n->max_members)
        return wrong(c, at, "has %zu properties, and may have %zu at most", v->map.count, n->max_members);
    if (!has_all(c, &n->required, v, at, PL_STR_NONE))
        return false;
    for (size_t i = 0; i < n->dependency_count; i++) {
        const js_dependency *d = &n->dependencies[i];
        if (pl_value_member(v, d->name) && !has_all(c, &d->required, v, at, d->name))
            return false;
    }
    if (n->properties.count == 0 && !n->names && !n->additional)
        return true;
    for (size_t i = 0; i < v->map.count; i++) {
        if (!check_member(c, n, &v->map.members[i], at))
            return false;
    }
    return true;
}

/* --- combinations --- */
static bool check_any(checker *c, const js_list *list, const pl_value *v, const place *at)
{
    for (size_t i = 0; i < list->count && !c->given_up; i++) {
        if (would_pass(c, list->nodes[i], v, at))
            return true;
    }
    return list->count == 0 || wrong(c, at, "is none of what anyOf says");
}

static bool check_one(checker *c, const js_list *list, const pl_value *v, const place *at)
{
    size_t passed = 0;
    for (size_t i = 0; i < list->count && !c->given_up; i++)
        passed += would_pass(c, list->nodes[i], v, at);
    if (list->count == 0 || (passed == 1 && !c->given_up))
        return true;
    return passed == 0 ? wrong(c, at, "is none of what oneOf says")
                       : wrong(c, at, "is %zu of what oneOf says, and must be one", passed);
}

static bool check_combined(checker *c, const js_node *n, const pl_value *v, const place *at)
{
    if (n->reference && !check(c, n->reference, v, at))
        return false;
    for (size_t i = 0; i < n->all.count; i++) {
        if (!check(c, n->all.nodes[i], v, at))
            return false;
    }
    if (!check_any(c, &n->any, v, at) || !check_one(c, &n->one, v, at))
        return false;
    if (n->not_ && would_pass(c, n->not_, v, at))
        return wrong(c, at, "is what it must not be");
    if (!n->if_)
        return !c->given_up;
    const js_node *then = would_pass(c, n->if_, v, at) ? n->then_ : n->else_;
    return !c->given_up && (!then || check(c, then, v, at));
}

static bool check_kind(checker *c, const js_node *n, const pl_value *v, const place *at)
{
    switch (v->kind) {
    case PL_KIND_INT:
    case PL_KIND_FLOAT:
        return check_number(c, n, v, at);
    case PL_KIND_STRING:
        return check_string(c, n, v, at);
    case PL_KIND_LIST:
        return check_array(c, n, v, at);
    case PL_KIND_MAP:
        return check_object(c, n, v, at);
    default:
        return true;
    }
}

static bool check(checker *c, const js_node *n, const pl_value *v, const place *at)
{
    if (c->given_up)
        return false;
    if (c->steps == 0 || c->depth == MOST_DEPTH)
        return give_up(c, "it takes too long to compare the value with its schema");
    c->steps--;
    c->depth++;
    bool ok = true;
    if (n->never)
        ok = wrong(c, at, "may not be there");
    else if (n->types && !(n->types & type_of(v)))
        ok = wrong_type(c, n, v, at);
    else if (n->choices && !is_choice(n, v))
        ok = wrong(c, at,
                   n->choice_count == 1 ? "is not the value that it must be"
                                        : "is none of the values that it may be");
    ok = ok && check_kind(c, n, v, at) && check_combined(c, n, v, at);
    c->depth--;
    return ok;
}

pl_code pl_json_schema_check(const pl_json_schema *schema, const pl_value *value, size_t steps, pl_error *err)
{
    checker c = {.steps = steps, .err = err};
    if (check(&c, schema->root, value, NULL))
        return PL_OK;
    return c.given_up ? pl_fail(err, PL_RESOURCE_EXHAUSTED, "%s", c.given_up) : err->code;
}
