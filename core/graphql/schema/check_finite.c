/* SPDX-License-Identifier: MIT */
#include "base/buf.h"
#include "graphql/schema/internal.h"

/* Every input object must have a value that can be written down. One whose fields must be given, and which
 * leads back to itself through such fields, has none. What has a value is found from the leaves up, as a wave
 * over the references between input objects; only when something is left over are its cycles looked for. No
 * recursion: a chain of types may be as long as the schema. */

typedef struct edge { /* owner has a field of that type, and needs a value of it */
    gql_named *owner;
    struct edge *next;
} edge;

typedef struct state {
    edge *dependents;
    uint32_t unresolved, targets;
    bool finite, visited;
    uint32_t path_index; /* + 1; 0: not on the path */
    uint32_t next_field; /* of the search for cycles */
} state;

typedef struct finite {
    gql_builder *b;
    state *states; /* by type id */
    gql_named **stack;
    gql_input **path; /* the field through which each type of the stack is left */
    uint32_t depth;
} finite;

static gql_named *target_of(const gql_named *owner, const gql_input *field)
{
    const gql_typeref *type = field->type;
    if (!owner->one_of) {
        if (type->kind != GQL_TYPE_NON_NULL)
            return NULL;
        type = type->of;
    }
    return type->kind == GQL_TYPE_NAMED && type->named->kind == GQL_INPUT_OBJECT ? type->named : NULL;
}

static void mark(finite *f, gql_named *type)
{
    if (f->states[type->id].finite)
        return;
    f->states[type->id].finite = true;
    f->stack[f->depth++] = type;
}

static void add_edges(finite *f, gql_named *type)
{
    state *s = &f->states[type->id];
    for (uint32_t i = 0; i < type->input_count && !f->b->no_memory; i++) {
        gql_named *target = target_of(type, &type->inputs[i]);
        edge *e = target ? gql_scratch_alloc(f->b, 1, sizeof(*e)) : NULL;
        if (!e)
            continue;
        *e = (edge){type, f->states[target->id].dependents};
        f->states[target->id].dependents = e;
        s->targets++;
    }
    s->unresolved = s->targets;
}

static void spread(finite *f)
{
    while (f->depth > 0) {
        gql_named *type = f->stack[--f->depth];
        for (const edge *e = f->states[type->id].dependents; e; e = e->next) {
            state *s = &f->states[e->owner->id];
            if (!s->finite && (e->owner->one_of || --s->unresolved == 0))
                mark(f, e->owner);
        }
    }
}

static void report_cycle(finite *f, const gql_named *target)
{
    gql_builder *b = f->b;
    uint32_t start = f->states[target->id].path_index - 1, count = f->depth - start;
    gql_place *places = gql_scratch_alloc(b, count, sizeof(*places));
    pl_buf names;
    pl_buf_init(&names);
    for (uint32_t i = 0; places && i < count; i++) {
        const gql_input *field = f->path[start + i];
        places[i] = gql_at(field->source, field->loc);
        pl_buf_printf(&names, "%s%.*s.%.*s", i ? ", " : "", PL_STR_ARG(f->stack[start + i]->name),
                      PL_STR_ARG(field->name));
    }
    b->no_memory |= names.failed;
    if (places)
        gql_report(b, NULL, places, count,
                   "Input Object %.*s cannot be provided a finite value because it references itself through "
                   "fields: %.*s.",
                   PL_STR_ARG(target->name), PL_STR_ARG(pl_buf_view(&names)));
    pl_buf_dispose(&names);
}

static void enter(finite *f, gql_named *type)
{
    f->states[type->id].visited = true;
    f->stack[f->depth++] = type;
    f->states[type->id].path_index = f->depth;
}

static void find_cycles(finite *f, gql_named *from)
{
    enter(f, from);
    while (f->depth > 0 && !gql_build_stop(f->b)) {
        gql_named *type = f->stack[f->depth - 1];
        state *s = &f->states[type->id];
        if (s->next_field == type->input_count) {
            s->path_index = 0;
            f->depth--;
            continue;
        }
        gql_input *field = &type->inputs[s->next_field++];
        gql_named *target = target_of(type, field);
        if (!target || f->states[target->id].finite)
            continue;
        f->path[f->depth - 1] = field;
        if (f->states[target->id].path_index)
            report_cycle(f, target);
        else if (!f->states[target->id].visited)
            enter(f, target);
    }
    f->depth = 0;
}

void gql_check_finite_inputs(gql_builder *b)
{
    uint32_t n = b->sdl_type_count;
    finite f = {
        .b = b,
        .states = gql_scratch_alloc(b, n, sizeof(state)),
        .stack = gql_scratch_alloc(b, n, sizeof(gql_named *)),
        .path = gql_scratch_alloc(b, n, sizeof(gql_input *)),
    };
    for (uint32_t i = 0; i < n && !b->no_memory; i++)
        add_edges(&f, b->schema->types[i]);
    for (uint32_t i = 0; i < n && !b->no_memory; i++) {
        gql_named *type = b->schema->types[i];
        const state *s = &f.states[i];
        if (s->targets == 0 || (type->one_of && s->targets < type->input_count))
            mark(&f, type);
    }
    if (b->no_memory)
        return;
    spread(&f);
    for (uint32_t i = 0; i < n && !gql_build_stop(b); i++) {
        if (!f.states[i].finite && !f.states[i].visited)
            find_cycles(&f, b->schema->types[i]);
    }
}
