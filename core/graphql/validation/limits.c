/* SPDX-License-Identifier: MIT */
#include "graphql/validation/limits.h"

#include "base/map.h"

/* First each operation and fragment is looked at alone: what it counts itself, and which fragments it spreads
 * at what depth. Then fragments are added up, each one once, after those that it spreads; the path that is
 * followed is a list, not the C stack, as a document can chain thousands of fragments. */

typedef struct edge {
    uint32_t fragment; /* index */
    uint32_t depth;    /* of the place where it is spread */
    bool at_root, in_introspection;
} edge;

typedef struct counts {
    uint64_t aliases, directives, root_fields, introspection;
    uint32_t depth;
} counts;

typedef struct part {
    counts all;  /* its own, and, once it is done, with all that it spreads */
    edge *edges; /* those of this part among all */
    uint32_t edge_count;
    uint32_t next; /* edge to follow */
    enum { NEW, OPEN, DONE } state;
} part;

typedef struct measure {
    const gql_document *document;
    gql_limits limits;
    gql_diagnostics *list;
    pl_arena arena;
    pl_map fragments; /* name -> index + 1 */
    part *parts;      /* of fragments, by index; then of operations */
    edge *edges;
    uint32_t edge_count, edge_capacity;
    uint64_t steps;
    bool no_memory, exceeded;
} measure;

#define MOST UINT32_MAX /* sums stop here */

static uint64_t add(uint64_t a, uint64_t b)
{
    return a + b > MOST ? MOST : a + b;
}

/* --- one operation or fragment alone --- */

static void report(measure *m, gql_loc loc, pl_str what, const char *limit, uint64_t value, uint32_t most,
                   const char *unit)
{
    gql_diagnostic *d = gql_diagnose(
        m->list, NULL, m->document->source, loc, (gql_loc){0}, "%.*s %s%llu %s; graphql.%s allows %u.",
        PL_STR_ARG(what), value >= MOST ? "at least " : "", (unsigned long long)value, unit, limit, most);
    if (d) {
        d->limit = limit;
        d->value = value;
        d->most = most;
    }
    m->exceeded = true;
}

/* As deep as the parser lets values nest. */
static void look_at_value(measure *m, const gql_value *value)
{
    m->steps++;
    if (value->kind == GQL_VALUE_LIST) {
        if (value->count > m->limits.max_list_items)
            report(m, value->loc, PL_STR("A list has"), "max_list_items", value->count,
                   m->limits.max_list_items, "items");
        for (uint32_t i = 0; i < value->count; i++)
            look_at_value(m, &value->items[i]);
    } else if (value->kind == GQL_VALUE_OBJECT) {
        for (uint32_t i = 0; i < value->count; i++)
            look_at_value(m, &value->fields[i].value);
    }
}

static void look_at_arguments(measure *m, const gql_argument *arguments, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        look_at_value(m, &arguments[i].value);
}

static void look_at_directives(measure *m, const gql_directives *directives, counts *own)
{
    own->directives = add(own->directives, directives->count);
    for (uint32_t i = 0; i < directives->count; i++)
        look_at_arguments(m, directives->items[i].arguments, directives->items[i].argument_count);
}

static void add_edge(measure *m, edge e)
{
    if (m->edge_count == m->edge_capacity) {
        uint32_t capacity = m->edge_capacity ? m->edge_capacity * 2 : 32;
        edge *grown = pl_arena_array(&m->arena, capacity, sizeof *grown);
        if (!grown) {
            m->no_memory = true;
            return;
        }
        if (m->edge_count > 0)
            memcpy(grown, m->edges, m->edge_count * sizeof *grown);
        m->edges = grown;
        m->edge_capacity = capacity;
    }
    m->edges[m->edge_count++] = e;
}

static bool begins_introspection(pl_str field)
{
    return pl_str_is(field, "__schema") || pl_str_is(field, "__type");
}

/* As deep as the parser lets selections nest. depth: of the fields of set. */
static void look_at_set(measure *m, const gql_selection_set *set, counts *own, uint32_t depth, bool at_root,
                        bool in_introspection)
{
    for (uint32_t i = 0; i < set->count && !m->no_memory; i++) {
        const gql_selection *node = &set->items[i];
        m->steps++;
        look_at_directives(m, &node->directives, own);
        if (node->kind == GQL_FRAGMENT_SPREAD) {
            uintptr_t index = (uintptr_t)pl_map_get(&m->fragments, node->name.text);
            if (index != 0)
                add_edge(m, (edge){(uint32_t)index - 1, depth - 1, at_root, in_introspection});
            continue;
        }
        if (node->kind == GQL_INLINE_FRAGMENT) {
            look_at_set(m, &node->selections, own, depth, at_root, in_introspection);
            continue;
        }
        bool begins = begins_introspection(node->name.text), introspects = in_introspection || begins;
        look_at_arguments(m, node->arguments, node->argument_count);
        own->aliases = add(own->aliases, node->alias.text.ptr != NULL);
        own->root_fields = add(own->root_fields, at_root);
        own->introspection = add(own->introspection, begins);
        if (!introspects && depth > own->depth)
            own->depth = depth;
        look_at_set(m, &node->selections, own, depth + 1, false, introspects);
    }
}

static void look_at(measure *m, part *p, const gql_directives *directives, const gql_selection_set *set)
{
    uint32_t first = m->edge_count;
    look_at_directives(m, directives, &p->all);
    look_at_set(m, set, &p->all, 1, true, false);
    p->edge_count = m->edge_count - first;
}

/* --- all together --- */

static void add_fragment(counts *to, const edge *e, const counts *fragment)
{
    to->aliases = add(to->aliases, fragment->aliases);
    to->directives = add(to->directives, fragment->directives);
    to->introspection = add(to->introspection, fragment->introspection);
    if (e->at_root)
        to->root_fields = add(to->root_fields, fragment->root_fields);
    if (!e->in_introspection && fragment->depth > 0 && e->depth + fragment->depth > to->depth)
        to->depth = e->depth + fragment->depth;
}

/* Adds what p spreads to it, and so for each fragment on the way. path has room for all fragments and one
 * more. */
static void sum_up(measure *m, part *p, part **path)
{
    uint32_t length = 0;
    path[length++] = p;
    p->state = OPEN;
    while (length > 0) {
        part *top = path[length - 1];
        m->steps++;
        if (top->next == top->edge_count) {
            top->state = DONE;
            length--;
            continue;
        }
        const edge *e = &top->edges[top->next];
        part *fragment = &m->parts[e->fragment];
        if (fragment->state == NEW) {
            fragment->state = OPEN;
            path[length++] = fragment;
            continue; /* and come back to this edge */
        }
        if (fragment->state == DONE)
            add_fragment(&top->all, e, &fragment->all);
        top->next++;
    }
}

static void judge(measure *m, const gql_operation *operation, const counts *c)
{
    const struct {
        const char *limit, *unit;
        uint64_t value;
        uint32_t most;
    } checks[] = {
        {"max_depth", "levels of fields", c->depth, m->limits.max_depth},
        {"max_root_fields", "root fields", c->root_fields, m->limits.max_root_fields},
        {"max_aliases", "aliases", c->aliases, m->limits.max_aliases},
        {"max_directives", "directives", c->directives, m->limits.max_directives},
        {"max_introspection", "fields of introspection", c->introspection, m->limits.max_introspection},
    };
    pl_str name = operation->name.text;
    pl_str what = PL_STR("The operation has");
    if (name.ptr)
        what = pl_arena_printf(&m->arena, "Operation \"%.*s\" has", name.len > 100 ? 100 : (int)name.len,
                               name.ptr);
    m->no_memory |= !what.ptr;
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && !m->no_memory; i++) {
        if (checks[i].value > checks[i].most)
            report(m, operation->loc, what, checks[i].limit, checks[i].value, checks[i].most, checks[i].unit);
    }
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

static bool prepare(measure *m, const gql_limits *limits)
{
    const gql_document *document = m->document;
    m->limits = (gql_limits){
        .max_depth = or_default(limits->max_depth, GQL_DEFAULT_MAX_DEPTH),
        .max_aliases = or_default(limits->max_aliases, GQL_DEFAULT_MAX_ALIASES),
        .max_root_fields = or_default(limits->max_root_fields, GQL_DEFAULT_MAX_ROOT_FIELDS),
        .max_directives = or_default(limits->max_directives, GQL_DEFAULT_MAX_DIRECTIVES),
        .max_list_items = or_default(limits->max_list_items, GQL_DEFAULT_MAX_LIST_ITEMS),
        .max_introspection = or_default(limits->max_introspection, GQL_DEFAULT_MAX_INTROSPECTION),
    };
    m->parts = pl_arena_array(&m->arena, (size_t)document->fragment_count + document->operation_count,
                              sizeof *m->parts);
    m->no_memory = !m->parts;
    for (uint32_t i = 0; i < document->fragment_count && !m->no_memory; i++)
        m->no_memory =
            !pl_map_set(&m->fragments, document->fragments[i].name.text, (void *)((uintptr_t)i + 1));
    return !m->no_memory;
}

static void look_at_all(measure *m)
{
    const gql_document *document = m->document;
    part *p = m->parts;
    for (uint32_t i = 0; i < document->fragment_count && !m->no_memory; i++)
        look_at(m, p++, &document->fragments[i].directives, &document->fragments[i].selections);
    for (uint32_t i = 0; i < document->operation_count && !m->no_memory; i++, p++) {
        const gql_operation *operation = &document->operations[i];
        for (uint32_t k = 0; k < operation->variable_count; k++) {
            look_at_directives(m, &operation->variables[k].directives, &p->all);
            if (operation->variables[k].default_value)
                look_at_value(m, operation->variables[k].default_value);
        }
        look_at(m, p, &operation->directives, &operation->selections);
    }
    edge *at = m->edges; /* no longer moved by growing */
    for (part *q = m->parts; at && q < p; q++) {
        q->edges = at;
        at += q->edge_count;
    }
}

pl_code gql_limits_check(const gql_document *document, const gql_limits *limits, gql_diagnostics *list,
                         uint64_t *steps)
{
    measure m = {.document = document, .list = list};
    pl_arena_init(&m.arena, 0);
    part **path = NULL;
    if (prepare(&m, limits))
        look_at_all(&m);
    if (!m.no_memory)
        path = pl_arena_array(&m.arena, (size_t)document->fragment_count + 1, sizeof(*path));
    for (uint32_t i = 0; i < document->operation_count && path && !m.no_memory; i++) {
        part *p = &m.parts[document->fragment_count + i];
        sum_up(&m, p, path);
        judge(&m, &document->operations[i], &p->all);
    }
    m.no_memory |= !path;
    list->out_of_memory |= m.no_memory;
    if (steps)
        *steps = m.steps;
    pl_map_dispose(&m.fragments);
    pl_arena_dispose(&m.arena);
    return m.exceeded || list->out_of_memory ? PL_RESOURCE_EXHAUSTED : PL_OK;
}
