/* SPDX-License-Identifier: MIT */
#include "graphql/execution/entities.h"

#include "graphql/cache/trace.h"
#include "graphql/execution/internal.h"
#include "graphql/federation/federation.h"

/* Query._entities(representations:): each representation is resolved by a call of its type's
 * __resolve_reference, as if it were a field of its own whose parent is the representation: all calls are
 * begun before any is waited for, and each one's error is its own. Where a type has __resolve_references, one
 * call resolves all representations of the type, which is begun first; the places of its results are holes
 * that share the call, when it waits. */

/* All representations of one type. */
typedef struct entity_group entity_group;
struct entity_group {
    entity_group *next;
    gql_execution *x;
    gql_plan_field field; /* the _entities field, but of the type of one entity */
    gql_field def;
    uint32_t count;        /* of representations */
    uint32_t done;         /* of them, on the walk */
    pl_call_status status; /* of __resolve_references */
    pl_slot result;        /* DONE */
    pl_failure failure;    /* FAILED */
    gql_batch batch;       /* PENDING */
    gql_pending **places;  /* PENDING: by number in the group */
};

typedef struct entities {
    gql_execution *x;
    const gql_plan_field *f;
    const pl_value *representations;
    size_t count;
    entity_group **by_type; /* by type id */
    entity_group *groups, *last_group;
} entities;

/* --- one entity --- */

/* nargs of (references, ctx, info), the first of which is there already. */
static bool push_context(gql_execution *x, const gql_plan_field *f, int nargs, const gql_path *path)
{
    if (nargs >= 2)
        x->e->push_ctx(x->state, x->work);
    if (nargs >= 3 && !gql_push_info(x, f, path)) {
        x->out.failed = true;
        return false;
    }
    return true;
}

static gql_outcome write_null(gql_execution *x)
{
    PL_BUF_LIT(&x->out.buf, "null");
    return GQL_WRITTEN;
}

/* An entity interface without __resolve_reference: that of the concrete type, if the representation tells
 * which one that is. */
static gql_outcome resolve_concrete(gql_execution *x, const gql_plan_field *f, pl_slot representation,
                                    const gql_path *path, gql_frame *frame)
{
    const gql_type_binding *types = x->binding->types;
    const gql_named *type = gql_resolve_type(x, f, f->def->type->named, representation, path);
    if (!type)
        return write_null(x);
    int nargs = types[type->id].reference_arity < 3 ? types[type->id].reference_arity : 3;
    if (types[type->id].resolve_reference == PL_REF_NONE)
        return gql_complete(x, f, f->def->type, representation, path, frame);
    if (nargs >= 1)
        x->e->push_copy(x->state, representation);
    if (!push_context(x, f, nargs, path))
        return GQL_FAILED;
    return gql_call_function(x, f, types[type->id].resolve_reference, nargs, path, frame);
}

static gql_outcome resolve_entity(gql_execution *x, const gql_plan_field *f, pl_slot representation,
                                  const gql_path *path, gql_frame *frame)
{
    const gql_named *type = f->def->type->named;
    const gql_type_binding *tb = &x->binding->types[type->id];
    int nargs = tb->reference_arity < 3 ? tb->reference_arity : 3;
    if (tb->resolve_reference == PL_REF_NONE && type->kind == GQL_INTERFACE)
        return resolve_concrete(x, f, representation, path, frame);
    if (tb->resolve_reference == PL_REF_NONE) /* the representation itself is what there is to read */
        return gql_complete(x, f, f->def->type, representation, path, frame);
    if (nargs >= 1)
        x->e->push_copy(x->state, representation);
    if (!push_context(x, f, nargs, path))
        return GQL_FAILED;
    return gql_call_function(x, f, tb->resolve_reference, nargs, path, frame);
}

/* --- groups --- */

/* NULL: the representation names no entity; *type_name is what it names. */
static const gql_named *type_of(const entities *s, const pl_value *representation, pl_str *type_name)
{
    const gql_schema *schema = s->x->binding->schema;
    *type_name = PL_STR_NONE;
    if (representation->kind != PL_KIND_MAP)
        return NULL;
    const pl_value *name = pl_value_member(representation, PL_STR("__typename"));
    if (!name || name->kind != PL_KIND_STRING)
        return NULL;
    *type_name = name->string;
    const gql_named *type = gql_schema_type(schema, name->string);
    return type && gql_is_entity(schema, type) ? type : NULL;
}

static entity_group *group_of(entities *s, const gql_named *type)
{
    gql_execution *x = s->x;
    entity_group *g = s->by_type[type->id];
    if (g || !(g = pl_arena_zalloc(x->work->arena, sizeof *g)))
        return g;
    g->x = x;
    g->def = *s->f->def;
    g->def.type = x->binding->schema->federation->typerefs[type->id];
    g->field = *s->f;
    g->field.def = &g->def;
    g->status = PL_CALL_FAILED;
    s->by_type[type->id] = g;
    if (x->params.cache)
        gql_cache_entity(x->params.cache, s->f, type);
    if (s->last_group)
        s->last_group->next = g;
    else
        s->groups = g;
    s->last_group = g;
    return g;
}

static bool make_groups(entities *s)
{
    gql_execution *x = s->x;
    s->by_type = pl_arena_array(x->work->arena, x->binding->schema->type_count, sizeof(*s->by_type));
    for (size_t i = 0; s->by_type && i < s->count; i++) {
        pl_str name;
        const gql_named *type = type_of(s, &s->representations[i], &name);
        entity_group *g = type ? group_of(s, type) : NULL;
        if (type && !g)
            s->by_type = NULL;
        else if (g)
            g->count++;
    }
    return s->by_type != NULL;
}

static pl_ref batch_resolver(const entity_group *g)
{
    return g->x->binding->types[g->def.type->named->id].resolve_references;
}

/* --- one call for all of a type --- */

/* Why the list that a call gave cannot be taken for its results; false: it can. An empty table is a list. */
static bool is_wrong_list(const entity_group *g, pl_slot result, pl_failure *failure)
{
    gql_execution *x = g->x;
    pl_kind kind = x->e->kind(x->state, result);
    size_t length = kind == PL_KIND_LIST || kind == PL_KIND_MAP ? x->e->length(x->state, result) : 0;
    if (kind == PL_KIND_LIST && length <= g->count)
        return false;
    if (kind == PL_KIND_MAP && gql_is_empty_map(x, result))
        return false;
    *failure = (pl_failure){.code = PL_INTERNAL};
    if (kind == PL_KIND_LIST)
        failure->message = pl_arena_printf(
            x->work->arena, "%.*s.__resolve_references got %u references, but returned %zu values.",
            PL_STR_ARG(g->def.type->text), g->count, length);
    else
        failure->message = pl_arena_printf(
            x->work->arena,
            "%.*s.__resolve_references must return a list, in the order of the references, not %s.",
            PL_STR_ARG(g->def.type->text), pl_kind_phrase(kind));
    return true;
}

/* Pushes the k-th result; what a short list does not have is null. */
static void push_result(const entity_group *g, pl_slot list, uint32_t k)
{
    gql_execution *x = g->x;
    if (k < x->e->length(x->state, list))
        x->e->element(x->state, list, k);
    else
        x->e->push_absent(x->state);
}

/* The k-th result; an error in its place is that of one entity. It is in the slot above the highest in use.
 */
static pl_call_status take_result(const entity_group *g, pl_slot list, uint32_t k, pl_failure *failure)
{
    gql_execution *x = g->x;
    pl_slot top = x->e->top(x->state);
    push_result(g, list, k);
    if (x->e->read_error && x->e->read_error(x->state, top + 1, x->work->arena, failure))
        return PL_CALL_FAILED;
    return PL_CALL_DONE;
}

static void fill_places(entity_group *g, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    gql_execution *x = g->x;
    pl_failure wrong;
    if (!x->e->reserve(x->state, 4)) {
        x->out.failed = true;
        return;
    }
    if (status == PL_CALL_DONE && is_wrong_list(g, result, &wrong)) {
        status = PL_CALL_FAILED;
        failure = &wrong;
    }
    for (uint32_t k = 0; k < g->count; k++) {
        pl_slot top = x->e->top(x->state);
        if (!g->places[k] || g->places[k]->batch != &g->batch)
            continue; /* it became null meanwhile */
        pl_failure own;
        if (status == PL_CALL_FAILED)
            gql_pending_end(x, g->places[k], status, 0, failure);
        else
            gql_pending_end(x, g->places[k], take_result(g, result, k, &own), top + 1, &own);
        x->e->pop_to(x->state, top);
    }
}

static void batch_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    entity_group *g = call->data;
    gql_execution *x = g->x;
    g->batch.call = NULL;
    if (x->in_turn) { /* the first time was left by a jump */
        pl_fail(&x->fatal, failure->code, "%.*s", PL_STR_ARG(failure->message));
    } else {
        gql_turn_begin(x);
        x->in_turn = true;
        fill_places(g, status, result, failure);
    }
    x->in_turn = false;
    gql_execution_continue(x);
}

/* Pushes the list of a group's representations. */
static void push_references(const entities *s, const entity_group *g)
{
    gql_execution *x = s->x;
    size_t k = 0;
    x->e->push_list(x->state, g->count);
    pl_slot list = x->e->top(x->state);
    for (size_t i = 0; i < s->count && k < g->count; i++) {
        pl_str name;
        const gql_named *type = type_of(s, &s->representations[i], &name);
        if (!type || s->by_type[type->id] != g)
            continue;
        pl_push_input(x->state, &s->representations[i]);
        x->e->set_element(x->state, list, k++);
    }
}

/* Begins the call for a group. When it is done at once, its result is in one slot more. False: memory. */
static bool call_group(const entities *s, entity_group *g, const gql_path *path)
{
    gql_execution *x = s->x;
    const gql_type_binding *tb = &x->binding->types[g->def.type->named->id];
    int nargs = tb->references_arity < 3 ? tb->references_arity : 3;
    pl_slot top = x->e->top(x->state);
    pl_call *call = NULL;
    g->places = pl_arena_array(x->work->arena, g->count, sizeof(*g->places));
    if (!g->places)
        return false;
    if (nargs >= 1)
        push_references(s, g);
    if (!push_context(x, &g->field, nargs, path))
        return false;
    g->status = x->e->call(x->state, tb->resolve_references, nargs, x->work, &call, &g->failure);
    if (g->status == PL_CALL_PENDING) {
        call->done = batch_done;
        call->data = g;
        g->batch.call = call;
        g->batch.next = x->batches;
        x->batches = &g->batch;
    } else if (g->status == PL_CALL_DONE) {
        g->result = top + 1;
        if (is_wrong_list(g, g->result, &g->failure))
            g->status = PL_CALL_FAILED;
    }
    if (g->status != PL_CALL_DONE)
        x->e->pop_to(x->state, top);
    return true;
}

static bool call_groups(const entities *s, const gql_path *path)
{
    gql_execution *x = s->x;
    for (entity_group *g = s->groups; g; g = g->next) {
        if (batch_resolver(g) == PL_REF_NONE)
            continue;
        if (!x->e->reserve(x->state, 16) || !call_group(s, g, path))
            return false;
    }
    return true;
}

/* --- the walk --- */

static gql_outcome write_batched(entity_group *g, const gql_path *path, gql_frame *frame)
{
    gql_execution *x = g->x;
    uint32_t k = g->done++;
    pl_failure failure;
    switch (g->status) {
    case PL_CALL_DONE:
        if (take_result(g, g->result, k, &failure) == PL_CALL_DONE)
            return gql_complete(x, &g->field, g->def.type, x->e->top(x->state), path, frame);
        gql_error_failure(x, &g->field, path, &failure);
        return write_null(x);
    case PL_CALL_PENDING:
        g->places[k] = gql_leave_shared_hole(x, &g->field, &g->batch, path, frame);
        return g->places[k] ? GQL_WRITTEN : GQL_FAILED;
    default:
        gql_error_failure(x, &g->field, path, &g->failure);
        return write_null(x);
    }
}

static gql_outcome refuse(gql_execution *x, const gql_plan_field *f, pl_str type_name, const gql_path *path)
{
    char message[512];
    if (type_name.ptr)
        snprintf(message, sizeof message,
                 "\"%.*s\" is not an entity of this subgraph: it has no type of that "
                 "name with a @key.",
                 type_name.len > 200 ? 200 : (int)type_name.len, type_name.ptr);
    else
        snprintf(message, sizeof message, "A representation must be an object with a __typename.");
    gql_error_add(x, f, path, PL_INVALID_ARGUMENT, pl_str_of(message), NULL, NULL);
    return write_null(x);
}

static gql_outcome write_one(entities *s, size_t i, const gql_path *path, gql_frame *frame)
{
    gql_execution *x = s->x;
    pl_str name;
    const gql_named *type = type_of(s, &s->representations[i], &name);
    if (!type)
        return refuse(x, s->f, name, path);
    entity_group *g = s->by_type[type->id];
    if (batch_resolver(g) != PL_REF_NONE)
        return write_batched(g, path, frame);
    pl_push_input(x->state, &s->representations[i]);
    return gql_field_resolve(x, &g->field, x->e->top(x->state), path, frame);
}

static gql_outcome write_entities(entities *s, const gql_path *path, gql_frame *frame)
{
    gql_execution *x = s->x;
    gql_path here = {.parent = path};
    if (!make_groups(s) || !call_groups(s, path) || !x->e->reserve(x->state, 16)) {
        x->out.failed = true;
        return GQL_FAILED;
    }
    pl_slot top = x->e->top(x->state);
    pl_buf_char(&x->out.buf, '[');
    for (size_t i = 0; i < s->count; i++) {
        if (i > 0)
            pl_buf_char(&x->out.buf, ',');
        here.index = i;
        gql_outcome outcome = write_one(s, i, &here, frame);
        x->e->pop_to(x->state, top);
        if (outcome != GQL_WRITTEN || x->out.buf.failed)
            return GQL_FAILED;
    }
    pl_buf_char(&x->out.buf, ']');
    return GQL_WRITTEN;
}

static gql_outcome resolve_entities(gql_execution *x, const gql_plan_field *f, const gql_path *path,
                                    gql_frame *frame)
{
    pl_value argument[1] = {{.kind = PL_KIND_ABSENT}};
    pl_error err;
    pl_error_clear(&err);
    if (gql_field_arguments(x, f, argument, &err) != PL_OK) {
        gql_error_add(x, f, path, err.code, pl_str_of(err.message), NULL, NULL);
        return GQL_FAILED;
    }
    entities s = {.x = x, .f = f, .representations = argument[0].list.items, .count = argument[0].list.count};
    if (x->options.max_list_items > 0 && s.count > x->options.max_list_items) {
        char message[128];
        snprintf(message, sizeof message, "There are more than %u representations.",
                 x->options.max_list_items);
        gql_error_add(x, f, path, PL_RESOURCE_EXHAUSTED, pl_str_of(message), NULL, NULL);
        return GQL_FAILED;
    }
    return write_entities(&s, path, frame);
}

/* --- _service --- */

static gql_outcome resolve_service(gql_execution *x, const gql_plan_field *f, const gql_path *path,
                                   gql_frame *frame)
{
    x->e->push_map(x->state, 1);
    pl_slot service = x->e->top(x->state);
    x->e->push_string(x->state, x->binding->schema->federation->sdl);
    x->e->set_member(x->state, service, PL_STR("sdl"));
    return gql_complete(x, f, f->def->type, service, path, frame);
}

bool gql_federation_choose(const gql_schema *schema, const gql_field *field, gql_resolve_how *how)
{
    if (!gql_is_federation_field(schema, field))
        return false;
    *how = field == schema->federation->service_sdl ? GQL_RESOLVE_PROPERTY : GQL_RESOLVE_FEDERATION;
    return true;
}

gql_outcome gql_federation_resolve(gql_execution *x, const gql_plan_field *f, pl_slot parent,
                                   const gql_path *path, gql_frame *frame)
{
    const gql_federation *federation = x->binding->schema->federation;
    if (f->def == federation->service)
        return resolve_service(x, f, path, frame);
    if (f->def == federation->resolve)
        return resolve_entities(x, f, path, frame);
    return resolve_entity(x, f, parent, path, frame);
}

/* --- calls that several places share --- */

void gql_batch_leave(gql_execution *x, gql_batch *batch)
{
    pl_call *call = batch->call;
    if (--batch->waiting > 0 || !call)
        return;
    batch->call = NULL;
    x->e->cancel(x->state, call);
}

void gql_batches_cancel(gql_execution *x)
{
    for (gql_batch *batch = x->batches; batch; batch = batch->next) {
        pl_call *call = batch->call;
        batch->call = NULL;
        if (call)
            x->e->cancel(x->state, call);
    }
}
