/* SPDX-License-Identifier: MIT */
#include "graphql/cache/trace.h"
#include "graphql/execution/entities.h"
#include "graphql/execution/incremental.h"
#include "graphql/execution/trace.h"
#include "graphql/language/printer.h"

#define MAX_SHOWN 200 /* bytes of a literal that a message repeats */

/* Fields of an object (spec 6.3, 6.4): calls what resolves them, and completes what comes back at once. */

static bool is_null(gql_execution *x, const gql_value *literal)
{
    const gql_variable *v =
        literal->kind == GQL_VALUE_VARIABLE ? gql_input_variable(&x->env, literal->text) : NULL;
    return literal->kind == GQL_VALUE_NULL || (v && v->value.kind == PL_KIND_NULL);
}

/* The messages are graphql-js's; only what a scalar's parse function says is put behind. */
static pl_code argument_invalid(gql_execution *x, const gql_plan_argument *a, const gql_value *literal,
                                pl_error *err)
{
    pl_error inner = *err;
    if (inner.code == PL_RESOURCE_EXHAUSTED)
        return inner.code;
    if (a->def->type->kind == GQL_TYPE_NON_NULL && is_null(x, literal))
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "Argument \"%.*s\" of non-null type \"%.*s\" must not be null.",
                       PL_STR_ARG(a->def->name), PL_STR_ARG(a->def->type->text));
    pl_buf text;
    pl_buf_init(&text);
    gql_print_value(&text, literal);
    int shown = text.len > MAX_SHOWN ? MAX_SHOWN : (int)text.len;
    pl_fail(err, PL_INVALID_ARGUMENT, "Argument \"%.*s\" has invalid value %.*s%s%s",
            PL_STR_ARG(a->def->name), shown, text.data ? text.data : "", x->env.script_refused ? "; " : ".",
            x->env.script_refused ? inner.message : "");
    pl_buf_dispose(&text);
    return err->code;
}

static pl_code argument_missing(const gql_plan_argument *a, pl_error *err)
{
    if (!a->literal)
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "Argument \"%.*s\" of required type \"%.*s\" was not provided.",
                       PL_STR_ARG(a->def->name), PL_STR_ARG(a->def->type->text));
    return pl_fail(err, PL_INVALID_ARGUMENT,
                   "Argument \"%.*s\" of required type \"%.*s\" was provided the variable \"$%.*s\" which "
                   "was not provided a runtime value.",
                   PL_STR_ARG(a->def->name), PL_STR_ARG(a->def->type->text), PL_STR_ARG(a->literal->text));
}

pl_code gql_field_arguments(gql_execution *x, const gql_plan_field *f, pl_value *out, pl_error *err)
{
    for (uint32_t i = 0; i < f->argument_count; i++) {
        const gql_plan_argument *a = &f->arguments[i];
        out[i].kind = PL_KIND_ABSENT;
        if (a->constant) {
            out[i] = *a->constant;
            continue;
        }
        x->env.script_refused = false;
        if (a->literal && gql_input_literal(&x->env, a->literal, a->def->type, &out[i], err) != PL_OK)
            return argument_invalid(x, a, a->literal, err);
        if (out[i].kind == PL_KIND_ABSENT && a->def->default_ast &&
            gql_input_literal(&x->env, a->def->default_ast, a->def->type, &out[i], err) != PL_OK)
            return argument_invalid(x, a, a->def->default_ast, err);
        if (out[i].kind == PL_KIND_ABSENT && a->def->type->kind == GQL_TYPE_NON_NULL)
            return argument_missing(a, err);
    }
    return PL_OK;
}

bool gql_push_arguments(gql_execution *x, const gql_plan_field *f, const gql_path *path)
{
    if (f->argument_count == 0) {
        x->e->push_map(x->state, 0);
        return true;
    }
    pl_value *values = pl_arena_array(x->arena, f->argument_count, sizeof *values);
    pl_error err;
    pl_error_clear(&err);
    if (!values || gql_field_arguments(x, f, values, &err) != PL_OK) {
        if (!values)
            pl_fail_memory(&err);
        gql_error_add(x, f, path, err.code, pl_str_of(err.message), NULL, NULL);
        return false;
    }
    x->e->push_map(x->state, f->argument_count);
    pl_slot map = x->e->top(x->state);
    for (uint32_t i = 0; i < f->argument_count; i++) {
        if (values[i].kind == PL_KIND_ABSENT)
            continue;
        if (values[i].kind == PL_KIND_NULL && x->e->set_null) {
            x->e->set_null(x->state, map, f->arguments[i].def->name);
            continue;
        }
        pl_push_input(x->state, &values[i]);
        x->e->set_field(x->state, map, f->arguments[i].key);
    }
    return true;
}

/* --- calls that wait --- */
static void pending_add(gql_execution *x, gql_pending *p)
{
    p->prev = x->last_pending;
    *(p->prev ? &p->prev->next : &x->pending) = p;
    x->last_pending = p;
    x->pending_count++;
    p->part->waiting++;
    if (!p->scope)
        return;
    p->scope_next = p->scope->waiting;
    p->scope_place = (gql_pending **)&p->scope->waiting;
    if (p->scope_next)
        p->scope_next->scope_place = &p->scope_next;
    p->scope->waiting = p;
}

static void pending_remove(gql_execution *x, gql_pending *p)
{
    *(p->prev ? &p->prev->next : &x->pending) = p->next;
    *(p->next ? &p->next->prev : &x->last_pending) = p->prev;
    x->pending_count--;
    p->part->waiting--;
    if (!p->scope)
        return;
    *p->scope_place = p->scope_next;
    if (p->scope_next)
        p->scope_next->scope_place = p->scope_place;
}

static void postponed_remove(gql_execution *x, gql_pending *p)
{
    *(p->postponed_prev ? &p->postponed_prev->postponed_next : &x->postponed) = p->postponed_next;
    *(p->postponed_next ? &p->postponed_next->postponed_prev : &x->last_postponed) = p->postponed_prev;
    p->postponed = false;
}

static void drop_parent(gql_execution *x, gql_pending *p)
{
    if (p->parent != PL_REF_NONE)
        x->e->drop(x->state, p->parent);
    p->parent = PL_REF_NONE;
}

void gql_pending_cancel(gql_execution *x, gql_pending *p)
{
    if (!p || (!p->call && !p->batch && !p->postponed))
        return;
    pl_call *call = p->call;
    gql_batch *batch = p->batch;
    p->call = NULL;
    p->batch = NULL;
    if (p->postponed)
        postponed_remove(x, p);
    pending_remove(x, p);
    if (call)
        x->e->cancel(x->state, call);
    else if (batch)
        gql_batch_leave(x, batch);
    else
        drop_parent(x, p);
    if (p->iteration && !p->iteration->stream)
        gql_iteration_end(x, p->iteration);
}

static void call_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure);

/* A hole for the field's value; NULL: memory. */
static gql_pending *pending_new(gql_execution *x, pl_arena *arena, const gql_plan_field *f,
                                const gql_path *path, gql_frame *frame)
{
    gql_pending *p = pl_arena_zalloc(arena, sizeof *p);
    if (!p || !(p->path = gql_path_copy(x, path)) ||
        (frame && !(p->hole = gql_output_hole(&x->out, frame, &p->scope)))) {
        x->out.failed = true;
        return NULL;
    }
    if (p->hole)
        p->hole->owner = p;
    p->x = x;
    p->field = f;
    p->parent = PL_REF_NONE;
    p->part = x->part;
    p->defers = x->defers;
    return p;
}

gql_pending *gql_pending_call(gql_execution *x, const gql_plan_field *f, pl_call *call, const gql_path *path,
                              gql_frame *frame)
{
    gql_pending *p = pending_new(x, x->arena, f, path, frame);
    if (!p) {
        x->e->cancel(x->state, call);
        return NULL;
    }
    p->call = call;
    call->done = call_done;
    call->data = p;
    pending_add(x, p);
    return p;
}

gql_pending *gql_leave_shared_hole(gql_execution *x, const gql_plan_field *f, gql_batch *batch,
                                   const gql_path *path, gql_frame *frame)
{
    /* the batch looks at it even when its part is over */
    gql_pending *p = pending_new(x, x->work->arena, f, path, frame);
    if (!p)
        return NULL;
    p->batch = batch;
    batch->waiting++;
    pending_add(x, p);
    return p;
}

/* The field has an error. */
static gql_outcome failed(gql_execution *x, const gql_plan_field *f)
{
    if (f->def->type->kind == GQL_TYPE_NON_NULL)
        return GQL_FAILED;
    PL_BUF_LIT(&x->out.buf, "null");
    return GQL_WRITTEN;
}

static inline gql_outcome call_ended(gql_execution *x, const gql_plan_field *f, pl_call_status status,
                                     pl_slot result, const pl_failure *failure, const gql_path *path,
                                     gql_frame *frame)
{
    if (x->params.trace)
        gql_trace_end(x->params.trace, path);
    if (status == PL_CALL_DONE)
        return gql_complete_field(x, f, result, path, frame);
    gql_error_failure(x, f, path, failure);
    return failed(x, f);
}

/* Nothing comes below a nulled scope any more, so no scope is visited twice. */
void gql_null_scope(gql_execution *x, gql_scope *scope)
{
    scope->nulled = true;
    while (scope->waiting)
        gql_pending_cancel(x, scope->waiting); /* runs script code, but ends no other call */
    for (gql_work *work = scope->work; work; work = work->scope_next)
        gql_work_drop(x, work);
    scope->work = NULL;
    for (gql_scope *child = scope->children; child; child = child->next)
        gql_null_scope(x, child); /* as deep as the response */
    scope->children = NULL;
}

static void check_part(gql_execution *x)
{
    if (x->part != &x->first && x->part->waiting == 0)
        gql_part_done(x);
}

static void fill(gql_execution *x, gql_pending *p, pl_call_status status, pl_slot result,
                 const pl_failure *failure)
{
    gql_part_enter(x, p->part);
    x->defers = p->defers;
    if (p->iteration) {
        gql_iteration_answer(x, p, status, result, failure);
    } else {
        gql_frame frame = {.scope = p->scope};
        gql_output_fill_begin(&x->out, p->hole);
        frame.start = x->out.buf.len;
        gql_outcome outcome = call_ended(x, p->field, status, result, failure, p->path, &frame);
        gql_output_fill_end(&x->out);
        if (outcome == GQL_FAILED)
            gql_null_scope(x, p->scope);
    }
    x->defers = NULL;
    check_part(x);
}

void gql_pending_end(gql_execution *x, gql_pending *p, pl_call_status status, pl_slot result,
                     const pl_failure *failure)
{
    p->call = NULL;
    p->batch = NULL;
    pending_remove(x, p);
    fill(x, p, status, result, failure);
}

static void call_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    gql_pending *p = call->data;
    gql_execution *x = p->x;
    if (x->in_turn) { /* the first time was left by a jump */
        pl_fail(&x->fatal, failure->code, "%.*s", PL_STR_ARG(failure->message));
    } else {
        gql_turn_begin(x);
        x->in_turn = true;
        gql_pending_end(x, p, status, result, failure);
    }
    x->in_turn = false;
    gql_execution_continue(x);
}

void gql_pending_fail(gql_execution *x, gql_pending *p, const pl_failure *failure)
{
    gql_pending_cancel(x, p);
    fill(x, p, PL_CALL_FAILED, 0, failure);
}

/* --- one field --- */

/* The arguments are above top, and so is the result. */
static inline gql_outcome call_resolver(gql_execution *x, const gql_plan_field *f, pl_ref function, int nargs,
                                        const gql_path *path, gql_frame *frame, pl_slot top)
{
    pl_call *call;
    pl_failure failure;
    x->work->field = f;
    pl_call_status status = x->e->call(x->state, function, nargs, x->work, &call, &failure);
    x->work->field = NULL;
    if (status == PL_CALL_PENDING)
        return gql_pending_call(x, f, call, path, frame) ? GQL_WRITTEN : GQL_FAILED;
    return call_ended(x, f, status, top + 1, &failure, path, frame);
}

gql_outcome gql_call_function(gql_execution *x, const gql_plan_field *f, pl_ref function, int nargs,
                              const gql_path *path, gql_frame *frame)
{
    return call_resolver(x, f, function, nargs, path, frame, x->e->top(x->state) - nargs);
}

/* info, for a function of the host program: made when it asks. */
typedef struct lazy_info {
    pl_lazy lazy; /* first */
    gql_execution *x;
    const gql_plan_field *field;
    const gql_path *path;
} lazy_info;

static void push_lazy_info(pl_lazy *lazy)
{
    lazy_info *info = (lazy_info *)lazy;
    if (!gql_push_info(info->x, info->field, info->path))
        info->x->e->push_absent(info->x->state);
}

static gql_outcome call_native(gql_execution *x, const gql_plan_field *f, int nargs, const gql_path *path,
                               gql_frame *frame, pl_slot top)
{
    lazy_info info = {{push_lazy_info}, x, f, path};
    x->work->info = &info.lazy; /* the call takes it */
    gql_outcome outcome = call_resolver(x, f, f->resolver, nargs, path, frame, top);
    x->work->info = NULL;
    return outcome;
}

/* What few resolvers look at, above the parent. False: the field is done, with *outcome. */
static bool __attribute__((noinline))
push_further(gql_execution *x, const gql_plan_field *f, const gql_path *path, gql_outcome *outcome)
{
    if (!gql_push_arguments(x, f, path)) {
        *outcome = failed(x, f);
        return false;
    }
    if (f->nargs >= 3)
        x->e->push_ctx(x->state, x->work);
    if (f->nargs < 4 || gql_push_info(x, f, path))
        return true;
    x->out.failed = true;
    *outcome = GQL_FAILED;
    return false;
}

static inline gql_outcome resolve_call(gql_execution *x, const gql_plan_field *f, pl_slot parent,
                                       const gql_path *path, gql_frame *frame, pl_slot top)
{
    gql_outcome outcome;
    if (f->nargs >= 1) {
        if (parent > 0)
            x->e->push_copy(x->state, parent);
        else
            x->e->push_absent(x->state);
    }
    if (f->nargs >= 2 && !push_further(x, f, path, &outcome))
        return outcome;
    return f->native ? call_native(x, f, f->nargs, path, frame, top)
                     : call_resolver(x, f, f->resolver, f->nargs, path, frame, top);
}

/* What field pushes is in the slot above top. */
static gql_outcome resolve_property(gql_execution *x, const gql_plan_field *f, pl_slot parent,
                                    const gql_path *path, gql_frame *frame, pl_slot top)
{
    if (parent == 0) {
        x->e->push_absent(x->state); /* a root field without a resolver */
        return gql_complete(x, f, f->def->type, top + 1, path, frame);
    }
    if (x->e->field(x->state, parent, f->key))
        return gql_complete_field(x, f, top + 1, path, frame);
    pl_ref index = x->e->index_function(x->state);
    x->e->push_copy(x->state, parent);
    x->e->push_key(x->state, f->key);
    return call_resolver(x, f, index, 2, path, frame, top);
}

/* path: the field's own */
static gql_outcome resolve(gql_execution *x, const gql_plan_field *f, pl_slot parent, const gql_path *path,
                           gql_frame *frame)
{
    pl_slot top = x->e->top(x->state);
    if (f->how == GQL_RESOLVE_PROPERTY)
        return resolve_property(x, f, parent, path, frame, top);
    if (f->how == GQL_RESOLVE_FEDERATION)
        return gql_federation_resolve(x, f, parent, path, frame);
    return resolve_call(x, f, parent, path, frame, top);
}

/* --- turns: an operation with many resolvers must not hold the loop until the last of them ---
 * When a turn has lasted SLICE_MS, further calls are postponed to the loop's next turn, as if they waited. */
#define SLICE_MS 20

void gql_turn_begin(gql_execution *x)
{
    if (x->e->watched_at)
        x->turn_began = x->e->watched_at(x->state);
}

bool gql_turn_is_long(const gql_execution *x)
{
    return x->e->watched_at && x->e->watched_at(x->state) - x->turn_began >= SLICE_MS &&
           ((pl_state_head *)x->state)->host;
}

gql_pending *gql_pending_postpone(gql_execution *x, const gql_plan_field *f, const gql_path *path,
                                  gql_frame *frame)
{
    gql_pending *p = pending_new(x, x->arena, f, path, frame);
    if (!p || !gql_slice_arm(x)) {
        x->out.failed = true;
        return NULL;
    }
    p->postponed = true;
    p->postponed_prev = x->last_postponed;
    *(x->last_postponed ? &x->last_postponed->postponed_next : &x->postponed) = p;
    x->last_postponed = p;
    pending_add(x, p);
    return p;
}

static gql_outcome postpone(gql_execution *x, const gql_plan_field *f, pl_slot parent, const gql_path *path,
                            gql_frame *frame)
{
    pl_ref ref = parent > 0 ? x->e->keep(x->state, parent) : PL_REF_NONE;
    gql_pending *p = gql_pending_postpone(x, f, path, frame);
    if (p)
        p->parent = ref;
    else if (ref != PL_REF_NONE)
        x->e->drop(x->state, ref);
    return p ? GQL_WRITTEN : GQL_FAILED;
}

gql_outcome gql_field_resolve(gql_execution *x, const gql_plan_field *f, pl_slot parent, const gql_path *path,
                              gql_frame *frame)
{
    return gql_turn_is_long(x) ? postpone(x, f, parent, path, frame) : resolve(x, f, parent, path, frame);
}

static void run_one(gql_execution *x, gql_pending *p)
{
    pl_slot top = x->e->top(x->state), parent = 0;
    gql_frame frame = {.scope = p->scope};
    postponed_remove(x, p);
    pending_remove(x, p);
    gql_part_enter(x, p->part);
    x->defers = p->defers;
    if (p->parent != PL_REF_NONE)
        parent = x->e->push_ref(x->state, p->parent);
    drop_parent(x, p);
    if (p->iteration) {
        gql_iteration_answer(x, p, PL_CALL_PENDING, 0, NULL);
    } else {
        gql_output_fill_begin(&x->out, p->hole);
        frame.start = x->out.buf.len;
        gql_outcome outcome = resolve(x, p->field, parent, p->path, &frame);
        gql_output_fill_end(&x->out);
        if (outcome == GQL_FAILED)
            gql_null_scope(x, p->scope);
    }
    x->e->pop_to(x->state, top);
    x->defers = NULL;
    check_part(x);
}

void gql_run_postponed(gql_execution *x)
{
    gql_turn_begin(x);
    if (!x->e->reserve(x->state, 20)) {
        x->out.failed = true;
        return;
    }
    bool first = true;
    while (x->postponed && (first || !gql_turn_is_long(x))) {
        run_one(x, x->postponed);
        first = false;
    }
    if (x->postponed && !gql_slice_arm(x))
        x->out.failed = true;
}

bool gql_field_allowed(gql_execution *x, const gql_plan_field *f, const gql_path *path)
{
    pl_error err;
    pl_error_clear(&err);
    pl_code code = gql_access_check(x->binding, f->access, x->work, &x->viewer, &err);
    if (code == PL_UNAUTHENTICATED || code == PL_PERMISSION_DENIED)
        gql_error_add(x, f, path, code, pl_str_of(err.message), NULL, NULL);
    else if (code)
        gql_error_internal_text(x, f, path, code, err.message);
    return code == PL_OK;
}

/* What few fields have before anything else happens. False: the field is done, with *outcome. */
static bool __attribute__((noinline))
may_execute(gql_execution *x, const gql_plan_field *f, const gql_path *path, gql_outcome *outcome)
{
    if (x->params.trace)
        gql_trace_begin(x->params.trace, f, path);
    if (!f->access || gql_field_allowed(x, f, path))
        return true;
    *outcome = failed(x, f);
    return false;
}

static gql_outcome __attribute__((noinline))
resolve_other(gql_execution *x, const gql_plan_field *f, pl_slot parent, const gql_path *path,
              gql_frame *frame, pl_slot top)
{
    switch (f->how) {
    case GQL_RESOLVE_TYPENAME:
        pl_buf_str(&x->out.buf, f->text);
        return GQL_WRITTEN;
    case GQL_RESOLVE_META:
        return gql_introspect(x, f, path);
    case GQL_RESOLVE_EVENT:
        x->e->push_copy(x->state, parent);
        return gql_complete(x, f, f->def->type, top + 1, path, frame);
    default:
        return gql_federation_resolve(x, f, parent, path, frame);
    }
}

static inline gql_outcome execute_field(gql_execution *x, const gql_plan_field *f, pl_slot parent,
                                        const gql_path *path, gql_frame *frame, pl_slot top)
{
    gql_path here = {.parent = path, .key = f->response_key};
    gql_outcome outcome = GQL_WRITTEN;
    if (__builtin_expect(x->params.trace || f->access, 0) && !may_execute(x, f, &here, &outcome))
        return outcome;
    if (__builtin_expect(f->how == GQL_RESOLVE_CALL, 1))
        outcome = gql_turn_is_long(x) ? postpone(x, f, parent, &here, frame)
                                      : resolve_call(x, f, parent, &here, frame, top);
    else if (f->how == GQL_RESOLVE_PROPERTY)
        outcome = resolve_property(x, f, parent, &here, frame, top);
    else
        outcome = resolve_other(x, f, parent, &here, frame, top);
    return outcome;
}

gql_outcome gql_execute_field(gql_execution *x, const gql_plan_field *f, pl_slot parent, const gql_path *path,
                              gql_frame *frame)
{
    pl_slot top = x->e->top(x->state);
    gql_outcome outcome = execute_field(x, f, parent, path, frame, top);
    x->e->pop_to(x->state, top);
    return outcome;
}

gql_outcome gql_write_object(gql_execution *x, const gql_plan_object *object, pl_slot parent, bool is_map,
                             const gql_path *path, gql_frame *frame, pl_slot top)
{
    pl_buf *buf = &x->out.buf;
    if (x->params.cache)
        gql_cache_visit(x->params.cache, object);
    bool at_once = is_map && !x->params.cache && !x->params.trace;
    pl_slot above = top; /* the highest slot; -1: it is to be found out */
    const gql_plan_field *f = object->fields, *end = f + object->count;
    if (f == end)
        pl_buf_char(buf, '{');
    while (f < end) {
        uint32_t run = at_once ? f->run : 0;
        if (above < 0 || (run > 0 && above > top))
            x->e->pop_to(x->state, above = top);
        if (run > 0) {
            uint32_t n = gql_write_run(x, f, parent);
            f += n;
            above = n == run ? top + (pl_slot)n : x->e->top(x->state);
            if (n == run)
                continue;
        }
        gql_put_prefix(buf, f->prefix);
        gql_outcome outcome = execute_field(x, f++, parent, path, frame, above);
        above = -1;
        if (outcome != GQL_WRITTEN || buf->failed)
            return GQL_FAILED;
    }
    pl_buf_char(buf, '}');
    return buf->failed ? GQL_FAILED : GQL_WRITTEN;
}

gql_outcome gql_execute_plain(gql_execution *x, const gql_plan_object *object, pl_slot parent,
                              const gql_path *path, gql_frame *frame)
{
    if (!x->e->reserve(x->state, GQL_OBJECT_SLOTS)) {
        x->out.failed = true;
        return GQL_FAILED;
    }
    bool is_map = parent > 0 && x->e->shape(x->state, parent) == PL_KIND_MAP;
    return gql_write_object(x, object, parent, is_map, path, frame, x->e->top(x->state));
}

gql_outcome gql_execute_fields(gql_execution *x, const gql_plan_object *object, pl_slot parent,
                               const gql_path *path, gql_frame *frame)
{
    if (object->deferral)
        return gql_execute_deferring(x, object, parent, path, frame);
    return gql_execute_plain(x, object, parent, path, frame);
}
