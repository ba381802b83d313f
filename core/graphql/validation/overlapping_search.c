/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "graphql/validation/overlaps.h"

/* A *task* is some selection sets whose fields merge. Their fields, with those of the fragments that they
 * spread, fall into *bunches*, one a response name. All fields of a bunch must have the same shape. Those
 * that can meet in one object, because their parents are the same type or not both object types, must be the
 * same call too. What the fields of a bunch select is the next task: one for the shapes of all of them, and
 * one for each lot that can meet; usually these are the same.
 *
 * A task is never done twice, and tasks wait in a list: so neither cycles nor long chains of fragments
 * matter. Crafted documents may still have as many tasks as their sets have subsets: the budget ends that. */

typedef struct gql_member {
    gql_field_use *use;
    uint32_t next;         /* of the bunch, + 1 */
    uint32_t next_of_type; /* of the same object type, + 1 */
} gql_member;
typedef struct gql_bunch {
    uint32_t first, last, count;
} gql_bunch;
typedef struct gql_task {
    gql_fields **sets;
    uint32_t count;
    bool shape; /* look at shapes alone */
} gql_task;
/* The members of a bunch whose parent is a certain object type. */
typedef struct gql_lot {
    gql_field_use *any;
    uint32_t first; /* + 1 */
} gql_lot;

typedef struct gql_search {
    gql_walk *w;
    gql_task *tasks;
    uint32_t task_count, task_capacity;
    pl_map known;    /* tasks of several sets that were there: their ids and kind, as bytes */
    uint32_t number; /* of the task */
    gql_member *members;
    uint32_t member_count, member_capacity;
    gql_bunch *bunches;
    uint32_t bunch_count, bunch_capacity;
    gql_fields **open;
    uint32_t open_count, open_capacity;
    gql_lot *lots; /* of the bunch */
    uint32_t lot_count, lot_capacity;
    uint32_t *lot_of, *lot_seen; /* by type id: its lot, while seen is the number of the bunch */
    uint32_t bunch_number;
} gql_search;

static bool going(const gql_search *s)
{
    return gql_overlaps_going(s->w) && !s->w->overlaps->conflicting;
}

static void conflict(gql_search *s)
{
    s->w->overlaps->conflicting = true;
}

/* --- tasks --- */
static int by_id(const void *a, const void *b)
{
    uint32_t x = (*(gql_fields *const *)a)->id, y = (*(gql_fields *const *)b)->id;
    return (x > y) - (x < y);
}

/* A set that only spreads one fragment stands for that fragment. */
static gql_fields *stand_in(gql_search *s, gql_fields *set)
{
    enum { STEPS = 16 };
    for (int i = 0; i < STEPS && set && set->count == 0 && set->spread_count == 1; i++)
        set = gql_fields_of_fragment(s->w, set->spreads[0]);
    return set;
}

/* Sorted, and each set once. 0: stopped. */
static uint32_t normalize(gql_search *s, gql_fields **sets, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!(sets[i] = stand_in(s, sets[i])))
            return 0;
    }
    qsort(sets, count, sizeof(*sets), by_id);
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || sets[i] != sets[kept - 1])
            sets[kept++] = sets[i];
    }
    return kept;
}

static bool is_new_single(gql_fields *set, bool shape)
{
    bool known = set->checked || (shape && set->shape_checked);
    if (shape)
        set->shape_checked = true;
    else
        set->checked = true;
    return !known;
}

static bool is_new(gql_search *s, gql_fields **sets, uint32_t count, bool shape)
{
    gql_walk *w = s->w;
    uint32_t *key = gql_walk_alloc(w, count + 1, sizeof(*key));
    if (!key)
        return false;
    key[0] = shape;
    for (uint32_t i = 0; i < count; i++)
        key[i + 1] = sets[i]->id;
    pl_str bytes = {(const char *)key, (count + 1) * sizeof(*key)};
    return !pl_map_has(&s->known, bytes) && gql_walk_map_set(w, &s->known, bytes, w);
}

/* sets belongs to the task from here on. */
static void add_task(gql_search *s, gql_fields **sets, uint32_t count, bool shape)
{
    count = normalize(s, sets, count);
    if (count == 0 || !(count == 1 ? is_new_single(sets[0], shape) : is_new(s, sets, count, shape)))
        return;
    if (gql_walk_grow(s->w, &s->tasks, s->task_count, &s->task_capacity, sizeof(*s->tasks)))
        s->tasks[s->task_count++] = (gql_task){sets, count, shape};
}

static void add_root(gql_search *s, gql_fields *set)
{
    gql_fields **sets = set ? gql_walk_alloc(s->w, 1, sizeof(gql_fields *)) : NULL;
    if (!sets)
        return;
    sets[0] = set;
    add_task(s, sets, 1, false);
}

/* --- gathering --- */
static void add_member(gql_search *s, gql_field_use *use)
{
    gql_walk *w = s->w;
    gql_response *response = use->response;
    if (!gql_walk_grow(w, &s->members, s->member_count, &s->member_capacity, sizeof(*s->members)))
        return;
    s->members[s->member_count++] = (gql_member){.use = use};
    if (response->seen == s->number) {
        gql_bunch *bunch = &s->bunches[response->place];
        s->members[bunch->last].next = s->member_count;
        bunch->last = s->member_count - 1;
        bunch->count++;
    } else if (gql_walk_grow(w, &s->bunches, s->bunch_count, &s->bunch_capacity, sizeof(*s->bunches))) {
        response->seen = s->number;
        response->place = s->bunch_count;
        s->bunches[s->bunch_count++] = (gql_bunch){s->member_count - 1, s->member_count - 1, 1};
    }
}

static void open_set(gql_search *s, gql_fields *set)
{
    if (set && set->gathered != s->number &&
        gql_walk_grow(s->w, &s->open, s->open_count, &s->open_capacity, sizeof(*s->open))) {
        set->gathered = s->number;
        s->open[s->open_count++] = set;
    }
}

/* Looking at a set alone happens once for each set: it is paid for by the size of the document. */
static void gather(gql_search *s, const gql_task *task)
{
    s->number++;
    s->member_count = s->bunch_count = s->open_count = 0;
    for (uint32_t i = 0; i < task->count; i++)
        open_set(s, task->sets[i]);
    while (s->open_count != 0 && going(s)) {
        gql_fields *set = s->open[--s->open_count];
        bool alone = task->count == 1 && set == task->sets[0];
        if (!alone && !gql_overlaps_spend(s->w, 1 + set->count))
            return;
        for (uint32_t i = 0; i < set->count && !s->w->stopped; i++)
            add_member(s, &set->fields[i]);
        for (uint32_t i = 0; i < set->spread_count && !s->w->stopped; i++)
            open_set(s, gql_fields_of_fragment(s->w, set->spreads[i]));
    }
}

/* --- bunches --- */
#define FOR_MEMBERS(s, m, from)                                           \
    for (gql_member *m = (from) != 0 ? &(s)->members[(from)-1] : NULL; m; \
         m = m->next != 0 ? &(s)->members[m->next - 1] : NULL)

static void check_shapes(gql_search *s, const gql_bunch *bunch)
{
    const gql_typeref *any = NULL;
    FOR_MEMBERS(s, m, bunch->first + 1)
    {
        if (m->use->stream && bunch->count > 1)
            conflict(s);
        const gql_typeref *type = m->use->def ? m->use->def->type : NULL;
        if (any && type && gql_shapes_conflict(any, type))
            conflict(s);
        if (!any)
            any = type;
    }
}

/* Of a parent that is an object type; otherwise NULL: such fields may meet all others. */
static const gql_named *object_of(const gql_member *m)
{
    const gql_named *parent = m->use->parent;
    return parent && parent->kind == GQL_OBJECT ? parent : NULL;
}

static gql_lot *lot_of(gql_search *s, const gql_named *type)
{
    if (s->lot_seen[type->id] == s->bunch_number)
        return &s->lots[s->lot_of[type->id]];
    if (!gql_walk_grow(s->w, &s->lots, s->lot_count, &s->lot_capacity, sizeof(*s->lots)))
        return NULL;
    s->lot_seen[type->id] = s->bunch_number;
    s->lot_of[type->id] = s->lot_count;
    s->lots[s->lot_count] = (gql_lot){0};
    return &s->lots[s->lot_count++];
}

/* Sorts the members by object type, and compares the calls of those that can meet. */
static void check_calls(gql_search *s, const gql_bunch *bunch)
{
    gql_field_use *anywhere = NULL;
    s->lot_count = 0;
    s->bunch_number++;
    FOR_MEMBERS(s, m, bunch->first + 1)
    {
        if (!object_of(m) && !anywhere)
            anywhere = m->use;
    }
    FOR_MEMBERS(s, m, bunch->first + 1)
    {
        gql_field_use *other = anywhere;
        const gql_named *type = object_of(m);
        if (type) {
            gql_lot *lot = lot_of(s, type);
            if (!lot)
                return;
            if (!lot->any)
                lot->any = m->use;
            m->next_of_type = lot->first;
            lot->first = (uint32_t)(m - s->members) + 1;
            other = other ? other : lot->any;
        }
        if (gql_field_call(s->w, m->use) != gql_field_call(s->w, other))
            conflict(s);
    }
}

/* --- what is selected from the fields of a bunch --- */
static uint32_t add_sub(gql_search *s, gql_fields **sets, uint32_t count, const gql_member *m)
{
    gql_fields *sub = gql_fields_sub(s->w, m->use);
    if (sub)
        sets[count++] = sub;
    return count;
}

static void add_all(gql_search *s, const gql_bunch *bunch, bool shape)
{
    uint32_t count = 0;
    gql_fields **sets = gql_walk_alloc(s->w, bunch->count, sizeof(*sets));
    if (!sets)
        return;
    FOR_MEMBERS(s, m, bunch->first + 1)
    count = add_sub(s, sets, count, m);
    add_task(s, sets, count, shape);
}

static void add_lot(gql_search *s, const gql_bunch *bunch, const gql_lot *lot)
{
    uint32_t count = 0;
    gql_fields **sets = gql_walk_alloc(s->w, bunch->count, sizeof(*sets));
    if (!sets || !gql_overlaps_spend(s->w, bunch->count))
        return;
    FOR_MEMBERS(s, m, bunch->first + 1)
    {
        if (!object_of(m))
            count = add_sub(s, sets, count, m);
    }
    for (uint32_t i = lot->first; i != 0; i = s->members[i - 1].next_of_type)
        count = add_sub(s, sets, count, &s->members[i - 1]);
    add_task(s, sets, count, false);
}

static bool selects(const gql_search *s, const gql_bunch *bunch)
{
    FOR_MEMBERS(s, m, bunch->first + 1)
    {
        if (m->use->node->selections.count != 0)
            return true;
    }
    return false;
}

static void check_bunch(gql_search *s, const gql_bunch *bunch, bool shape)
{
    s->lot_count = 0;
    if (bunch->count > 1)
        check_shapes(s, bunch);
    if (bunch->count > 1 && !shape)
        check_calls(s, bunch);
    if (!going(s) || !selects(s, bunch))
        return;
    add_all(s, bunch, shape || s->lot_count > 1);
    for (uint32_t i = 0; i < s->lot_count && s->lot_count > 1 && going(s); i++)
        add_lot(s, bunch, &s->lots[i]);
}

static void run(gql_search *s)
{
    while (s->task_count != 0 && going(s)) {
        gql_task task = s->tasks[--s->task_count];
        gather(s, &task);
        for (uint32_t i = 0; i < s->bunch_count && going(s); i++)
            check_bunch(s, &s->bunches[i], task.shape);
    }
}

/* Fragments that no operation brings together with anything are looked at alone. */
void gql_overlaps_search(gql_walk *w)
{
    const gql_document *document = w->document;
    gql_search s = {.w = w};
    s.lot_of = gql_walk_alloc(w, w->schema->type_count, sizeof(*s.lot_of));
    s.lot_seen = gql_walk_alloc(w, w->schema->type_count, sizeof(*s.lot_seen));
    for (uint32_t i = 0; i < document->operation_count && going(&s); i++) {
        const gql_operation *operation = &document->operations[i];
        add_root(&s, gql_fields_of(w, &operation->selections, gql_schema_root(w->schema, operation->kind)));
        run(&s);
    }
    for (uint32_t i = 0; i < document->fragment_count && going(&s); i++) {
        gql_fields *fields = stand_in(&s, gql_fields_of_fragment(w, &document->fragments[i]));
        if (fields && fields->gathered == 0)
            add_root(&s, fields);
        run(&s);
    }
    pl_map_dispose(&s.known);
}
