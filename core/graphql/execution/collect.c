/* SPDX-License-Identifier: MIT */
#include "graphql/execution/plan_internal.h"

#include <stdlib.h>

#include "base/alloc.h"

/* Collecting the fields of a selection set (spec 6.3.2), and parting those that are deferred from the others.
 * Which fields come first, which fragments are visited twice, and in which order groups are made is as
 * graphql-js has it: it decides the order of what clients see. */

typedef struct collector {
    gql_plan *plan;
    const gql_named *type;
    gql_collection *out;
    pl_map keys;      /* response key -> gql_collected *, in order */
    uint8_t *visited; /* fragments, by index: visited without being deferred */
    pl_map visits;    /* (fragment, directive) visited while deferred */
    pl_map parts;     /* gql_defer_set.key -> gql_collected_part * */
    gql_collected_part *last_part;
    gql_defer **defers_end;
    bool may_defer; /* not in introspection, nor at the root of a mutation */
    pl_error *err;
} collector;

/* --- conditions --- */
static const gql_argument *find_argument(const gql_directive *directive, const char *name)
{
    for (uint32_t i = 0; i < directive->argument_count; i++) {
        if (pl_str_is(directive->arguments[i].name.text, name))
            return &directive->arguments[i];
    }
    return NULL;
}

static bool condition(const gql_plan *plan, const gql_directive *directive, bool otherwise)
{
    const gql_argument *a = find_argument(directive, "if");
    if (a && a->value.kind == GQL_VALUE_BOOLEAN)
        return a->value.boolean;
    if (a && a->value.kind == GQL_VALUE_VARIABLE) {
        const gql_variable *v = gql_variable_find(plan->variables, plan->variable_count, a->value.text);
        if (v && v->given && v->value.kind == PL_KIND_BOOL)
            return v->value.boolean;
    }
    return otherwise;
}

static bool is_included(const gql_plan *plan, const gql_directives *directives)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        const gql_directive *d = &directives->items[i];
        if (pl_str_is(d->name.text, "skip") && condition(plan, d, false))
            return false;
        if (pl_str_is(d->name.text, "include") && !condition(plan, d, true))
            return false;
    }
    return true;
}

/* The directive, if it is there and on. */
static const gql_directive *find_active(const gql_plan *plan, const gql_directives *directives,
                                        const char *name)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        const gql_directive *d = &directives->items[i];
        if (pl_str_is(d->name.text, name))
            return condition(plan, d, true) ? d : NULL;
    }
    return NULL;
}

const gql_directive *gql_collect_stream(const gql_plan *plan, const gql_selection *field)
{
    return find_active(plan, &field->directives, "stream");
}

pl_str gql_collect_label(const gql_directive *directive)
{
    const gql_argument *a = find_argument(directive, "label");
    return a && a->value.kind == GQL_VALUE_STRING ? a->value.text : PL_STR_NONE;
}

/* --- collecting --- */
static pl_code collect(collector *c, const gql_selection_set *set, gql_defer *defer, unsigned depth);

static pl_code count_steps(collector *c, uint32_t steps)
{
    c->plan->steps += steps;
    if (c->plan->steps <= GQL_MAX_STEPS)
        return PL_OK;
    return pl_fail(c->err, PL_RESOURCE_EXHAUSTED,
                   "The operation's fragments expand to more than %d selections.", GQL_MAX_STEPS);
}

/* *defer becomes the deferred fragment that the selection is, if it is one. */
static pl_code begin_defer(collector *c, const gql_selection *s, gql_defer **defer)
{
    if (!c->may_defer)
        return PL_OK;
    const gql_directive *directive = find_active(c->plan, &s->directives, "defer");
    if (!directive)
        return PL_OK;
    gql_defer *d = pl_arena_zalloc(&c->plan->arena, sizeof *d);
    if (!d)
        return pl_fail_memory(c->err);
    d->parent = *defer;
    d->directive = directive;
    d->label = gql_collect_label(directive);
    *defer = d;
    return PL_OK;
}

static void add_defer(collector *c, gql_defer *defer)
{
    defer->id = ++c->plan->defer_count;
    *c->defers_end = defer;
    c->defers_end = &defer->next;
}

static bool grow(collector *c, gql_collected *g)
{
    uint32_t capacity = g->capacity ? g->capacity * 2 : 2;
    const gql_selection **nodes = pl_arena_array(&c->out->scratch, capacity, sizeof(*nodes));
    gql_defer **defers = pl_arena_array(&c->out->scratch, capacity, sizeof(*defers));
    if (!nodes || !defers)
        return false;
    if (g->count > 0) {
        memcpy(nodes, g->nodes, g->count * sizeof(*nodes));
        memcpy(defers, g->defers, g->count * sizeof(*defers));
    }
    g->nodes = nodes;
    g->defers = defers;
    g->capacity = capacity;
    return true;
}

static pl_code add_node(collector *c, gql_collected *g, const gql_selection *field, gql_defer *defer)
{
    if (g->count == g->capacity && !grow(c, g))
        return pl_fail_memory(c->err);
    g->nodes[g->count] = field;
    g->defers[g->count++] = defer;
    g->deferred |= defer != NULL;
    return PL_OK;
}

static pl_code collect_field(collector *c, const gql_selection *field, gql_defer *defer)
{
    pl_str key = field->alias.text.ptr ? field->alias.text : field->name.text;
    gql_collected *g = pl_map_get(&c->keys, key);
    if (!g) {
        g = pl_arena_zalloc(&c->out->scratch, sizeof *g);
        if (!g || !pl_map_set(&c->keys, key, g))
            return pl_fail_memory(c->err);
        g->key = key;
    }
    return add_node(c, g, field, defer);
}

static bool applies(collector *c, const gql_type *condition_type)
{
    if (!condition_type)
        return true;
    const gql_named *named = gql_schema_type(c->plan->binding->schema, condition_type->name);
    if (!named)
        return false;
    return named == c->type || (gql_is_abstract(named) && gql_is_possible(named, c->type));
}

/* Whether the fragment need not be visited again. A fragment is visited once without, or once for each
 * directive that defers it until it is visited without. */
static pl_code visit(collector *c, const gql_fragment *fragment, const gql_defer *defer, bool *seen)
{
    *seen = c->visited[fragment->index];
    if (*seen || !defer) {
        c->visited[fragment->index] = 1;
        return PL_OK;
    }
    const void *key[2] = {fragment, defer->directive};
    pl_str view = {(const char *)key, sizeof key};
    *seen = pl_map_has(&c->visits, view);
    if (*seen)
        return PL_OK;
    view = pl_arena_str(&c->out->scratch, view);
    if (!view.ptr || !pl_map_set(&c->visits, view, c))
        return pl_fail_memory(c->err);
    return PL_OK;
}

static pl_code collect_spread(collector *c, const gql_selection *spread, gql_defer *around, unsigned depth)
{
    const gql_fragment *fragment = pl_map_get(&c->plan->fragments, spread->name.text);
    gql_defer *defer = around;
    bool seen;
    if (!fragment || c->visited[fragment->index] || !applies(c, fragment->type_condition))
        return PL_OK;
    if (begin_defer(c, spread, &defer) != PL_OK || visit(c, fragment, defer, &seen) != PL_OK)
        return c->err->code;
    if (seen)
        return PL_OK;
    if (defer != around)
        add_defer(c, defer);
    return collect(c, &fragment->selections, defer, depth + 1);
}

static pl_code collect_inline(collector *c, const gql_selection *s, gql_defer *around, unsigned depth)
{
    gql_defer *defer = around;
    if (!applies(c, s->type_condition))
        return PL_OK;
    if (begin_defer(c, s, &defer) != PL_OK)
        return c->err->code;
    if (defer != around)
        add_defer(c, defer);
    return collect(c, &s->selections, defer, depth + 1);
}

static pl_code collect(collector *c, const gql_selection_set *set, gql_defer *defer, unsigned depth)
{
    pl_code code = PL_OK;
    if (depth > GQL_MAX_DEPTH)
        return pl_fail(c->err, PL_RESOURCE_EXHAUSTED,
                       "The operation nests fragments more than %d levels deep.", GQL_MAX_DEPTH);
    if (count_steps(c, set->count) != PL_OK)
        return c->err->code;
    for (uint32_t i = 0; i < set->count && code == PL_OK; i++) {
        const gql_selection *s = &set->items[i];
        if (!is_included(c->plan, &s->directives))
            continue;
        if (s->kind == GQL_FIELD)
            code = collect_field(c, s, defer);
        else if (s->kind == GQL_FRAGMENT_SPREAD)
            code = collect_spread(c, s, defer, depth);
        else
            code = collect_inline(c, s, defer, depth);
    }
    return code;
}

/* --- parting --- */
static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* In scratch; as many items as are given, each once. */
static gql_defer_set *set_new(collector *c, gql_defer **items, uint32_t count)
{
    gql_defer_set *set = pl_arena_alloc(&c->out->scratch, sizeof *set);
    uint32_t *ids = pl_arena_array(&c->out->scratch, count, sizeof *ids);
    if (!set || !ids)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        ids[i] = items[i]->id;
    qsort(ids, count, sizeof *ids, compare_ids);
    *set = (gql_defer_set){items, count, {(const char *)ids, count * sizeof *ids}};
    return set;
}

/* The deferred fragments that all of g's nodes are in, without those inside of another one of them. NULL in
 * *out: g is not deferred. */
static pl_code set_of(collector *c, const gql_collected *g, const gql_defer_set **out)
{
    uint64_t mark = ++c->plan->marks;
    gql_defer **items = pl_arena_array(&c->out->scratch, g->count, sizeof(*items));
    uint32_t unique = 0, count = 0, steps = 0;
    *out = NULL;
    if (!items)
        return pl_fail_memory(c->err);
    for (uint32_t i = 0; i < g->count; i++) {
        if (!g->defers[i])
            return PL_OK;
        if (g->defers[i]->mark != mark)
            items[unique++] = g->defers[i];
        g->defers[i]->mark = mark;
    }
    for (uint32_t i = 0; i < unique; i++) {
        const gql_defer *around = items[i]->parent;
        for (steps++; around && around->mark != mark; steps++)
            around = around->parent;
        if (!around)
            items[count++] = items[i];
    }
    if (!(*out = set_new(c, items, count)))
        return pl_fail_memory(c->err);
    return count_steps(c, steps);
}

static gql_collected_part *part_new(collector *c, const gql_defer_set *set)
{
    gql_collected_part *part = pl_arena_zalloc(&c->out->scratch, sizeof *part);
    if (!part)
        return NULL;
    part->set = set;
    if (c->last_part)
        c->last_part->next = part;
    c->last_part = part;
    return part;
}

/* The part of the fields that are deferred with set, which is copied into the plan. */
static gql_collected_part *part_get(collector *c, const gql_defer_set *set)
{
    gql_collected_part *part = pl_map_get(&c->parts, set->key);
    if (part)
        return part;
    gql_defer_set *copy = pl_arena_alloc(&c->plan->arena, sizeof *copy);
    if (!copy || !(copy->items = pl_arena_array(&c->plan->arena, set->count, sizeof(*copy->items))) ||
        !(copy->key = pl_arena_str(&c->plan->arena, set->key)).ptr)
        return NULL;
    memcpy(copy->items, set->items, set->count * sizeof(*copy->items));
    copy->count = set->count;
    part = part_new(c, copy);
    if (!part || !pl_map_set(&c->parts, copy->key, part))
        return NULL;
    c->out->part_count++;
    return part;
}

static void part_add(gql_collected_part *part, gql_collected *g)
{
    if (part->last)
        part->last->next = g;
    else
        part->first = g;
    part->last = g;
    part->count++;
}

static bool is_current(const gql_defer_set *current, const gql_defer_set *set)
{
    return set ? current && pl_str_eq(current->key, set->key) : !current;
}

static pl_code part_field(collector *c, gql_collected *g, const gql_defer_set *current)
{
    const gql_defer_set *set = NULL;
    if (g->deferred && set_of(c, g, &set) != PL_OK)
        return c->err->code;
    gql_collected_part *part = !set || is_current(current, set) ? c->out->main : part_get(c, set);
    if (!part)
        return pl_fail_memory(c->err);
    part_add(part, g);
    return PL_OK;
}

/* The 2022 form: each node goes where it is selected. */
static pl_code part_nodes(collector *c, gql_collected *g, const gql_defer_set *current)
{
    for (uint32_t i = 0; i < g->count; i++) {
        gql_collected_part *part = c->out->main;
        const gql_defer_set *set = g->defers[i] ? set_new(c, &g->defers[i], 1) : NULL;
        if (set && !is_current(current, set))
            part = part_get(c, set);
        if (!part || (g->defers[i] && !set))
            return pl_fail_memory(c->err);
        if (!part->last || !pl_str_eq(part->last->key, g->key)) {
            gql_collected *copy = pl_arena_zalloc(&c->out->scratch, sizeof *copy);
            if (!copy)
                return pl_fail_memory(c->err);
            copy->key = g->key;
            part_add(part, copy);
        }
        if (add_node(c, part->last, g->nodes[i], g->defers[i]) != PL_OK)
            return c->err->code;
    }
    return PL_OK;
}

static pl_code part_all(collector *c, const gql_defer_set *current)
{
    pl_code code = PL_OK;
    for (size_t i = 0; i < c->keys.count && code == PL_OK; i++) {
        gql_collected *g = c->keys.entries[i].value;
        if (g->deferred && c->plan->incremental == GQL_INCREMENTAL_2022)
            code = part_nodes(c, g, current);
        else
            code = part_field(c, g, current);
    }
    return code;
}

pl_code gql_collect(gql_plan *plan, const gql_plan_set *set, const gql_named *type, gql_collection *out,
                    pl_error *err)
{
    pl_code code = PL_OK;
    *out = (gql_collection){0};
    pl_arena_init(&out->scratch, 0);
    collector c = {.plan = plan, .type = type, .out = out, .defers_end = &out->defers, .err = err};
    c.may_defer = plan->incremental && !(type->builtin && type->kind == GQL_OBJECT) &&
                  !(set->root && plan->operation->kind == GQL_MUTATION);
    c.visited = pl_arena_array(&out->scratch, plan->document->fragment_count, 1);
    out->main = part_new(&c, set->current);
    if (!c.visited || !out->main)
        code = pl_fail_memory(err);
    if (code == PL_OK && set->root)
        code = collect(&c, set->root, NULL, 0);
    for (uint32_t i = 0; i < set->node_count && code == PL_OK; i++)
        code = collect(&c, &set->nodes[i]->selections, set->defers ? set->defers[i] : NULL, 0);
    if (code == PL_OK)
        code = part_all(&c, set->current);
    pl_map_dispose(&c.keys);
    pl_map_dispose(&c.visits);
    pl_map_dispose(&c.parts);
    return code;
}

void gql_collection_dispose(gql_collection *c)
{
    pl_arena_dispose(&c->scratch);
}
