/* SPDX-License-Identifier: MIT */
#include "graphql/execution/incremental.h"

/* Lists whose items a script's iterator gives: called until it gives nothing, item after item, as far as they
 * are not left to a stream. Each time that it waits, the rest of the list is a hole. */

static void call_close(gql_execution *x, pl_ref close)
{
    pl_slot top = x->e->top(x->state);
    pl_call *call = NULL;
    pl_failure failure = {0};
    if (x->e->reserve(x->state, 4) &&
        x->e->call(x->state, close, 0, x->work, &call, &failure) == PL_CALL_PENDING)
        x->e->cancel(x->state, call);
    x->e->pop_to(x->state, top);
}

typedef struct closing {
    gql_execution *x;
    pl_ref close;
} closing;

static void close_section(void *data)
{
    closing *c = data;
    call_close(c->x, c->close);
}

void gql_iterator_close(gql_execution *x, pl_ref close)
{
    pl_error ignored;
    if (close == PL_REF_NONE)
        return;
    x->e->protect(x->state, close_section, &(closing){x, close}, &ignored);
    x->e->drop(x->state, close);
}

/* --- iterations --- */
static void iteration_remove(gql_execution *x, gql_iteration *it)
{
    *(it->prev ? &it->prev->next : &x->iterations) = it->next;
    if (it->next)
        it->next->prev = it->prev;
    it->live = false;
}

void gql_iteration_end(gql_execution *x, gql_iteration *it)
{
    if (!it->live)
        return;
    iteration_remove(x, it);
    gql_iterator_close(x, it->close);
    if (it->step != PL_REF_NONE)
        x->e->drop(x->state, it->step);
}

static gql_iteration *iteration_new(gql_execution *x, const gql_plan_field *f, const gql_typeref *type,
                                    pl_slot value)
{
    gql_iteration *it = pl_arena_zalloc(x->arena, sizeof *it);
    if (!it) {
        x->out.failed = true;
        return NULL;
    }
    it->field = f;
    it->type = type->of;
    it->streamed = SIZE_MAX;
    it->step = it->close = PL_REF_NONE;
    it->live = true; /* before it is opened, which may jump */
    it->next = x->iterations;
    if (it->next)
        it->next->prev = it;
    x->iterations = it;
    if (x->e->open_iterator(x->state, value, &it->step, &it->close))
        return it;
    iteration_remove(x, it);
    return NULL;
}

/* The refs go over to the stream. */
static gql_outcome leave_to_stream(gql_execution *x, gql_iteration *it, const gql_path *path,
                                   gql_frame *frame)
{
    iteration_remove(x, it);
    gql_stream *s = gql_stream_new(x, it->field, it->type, it->index, it->step, path, frame);
    if (!s) {
        gql_iterator_close(x, it->close);
        return GQL_FAILED;
    }
    s->is_iterator = true;
    s->close = it->close;
    s->iteration.stream = s;
    return GQL_WRITTEN;
}

/* The item in slot; GQL_NULL: there are no more. */
static gql_outcome take(gql_execution *x, gql_iteration *it, pl_slot slot, const gql_path *path,
                        gql_frame *frame)
{
    gql_path here = {.parent = path, .index = it->index};
    if (x->e->kind(x->state, slot) == PL_KIND_ABSENT)
        return GQL_NULL;
    if (x->options.max_list_items > 0 && it->index >= x->options.max_list_items)
        return gql_list_too_long(x, it->field, path);
    if (it->index++ > 0)
        pl_buf_char(&x->out.buf, ',');
    gql_outcome outcome = gql_complete(x, it->field, it->type, slot, &here, frame);
    return x->out.buf.failed ? GQL_FAILED : outcome;
}

/* GQL_NULL: the list is complete. GQL_WRITTEN: the rest comes later. */
static gql_outcome iterate(gql_execution *x, gql_iteration *it, const gql_path *path, gql_frame *frame)
{
    pl_slot top = x->e->top(x->state);
    pl_call *call = NULL;
    pl_failure failure = {0};
    gql_outcome outcome = GQL_WRITTEN;
    if (!x->e->reserve(x->state, 12)) {
        x->out.failed = true;
        return GQL_FAILED;
    }
    for (bool first = true; outcome == GQL_WRITTEN; first = false) {
        gql_pending *p = NULL;
        if (it->index == it->streamed)
            return leave_to_stream(x, it, path, frame);
        if (!first && gql_turn_is_long(x)) {
            p = gql_pending_postpone(x, it->field, path, frame);
        } else {
            switch (x->e->call(x->state, it->step, 0, x->work, &call, &failure)) {
            case PL_CALL_DONE:
                outcome = take(x, it, top + 1, path, frame);
                x->e->pop_to(x->state, top);
                continue;
            case PL_CALL_FAILED:
                gql_error_failure(x, it->field, path, &failure);
                return GQL_FAILED;
            case PL_CALL_PENDING:
                p = gql_pending_call(x, it->field, call, path, frame);
            }
        }
        if (p)
            p->iteration = it;
        return p ? GQL_WRITTEN : GQL_FAILED;
    }
    return outcome;
}

static gql_outcome finish(gql_execution *x, gql_iteration *it, gql_outcome outcome)
{
    if (outcome != GQL_WRITTEN)
        gql_iteration_end(x, it);
    return outcome == GQL_NULL ? GQL_WRITTEN : outcome;
}

gql_outcome gql_complete_iterator(gql_execution *x, const gql_plan_field *f, const gql_typeref *type,
                                  pl_slot value, const gql_path *path, gql_frame *frame)
{
    gql_iteration *it = iteration_new(x, f, type, value);
    if (!it)
        return x->out.failed ? GQL_FAILED : GQL_NULL;
    if (f->stream && path->key.ptr && !gql_stream_initial(x, f, path, &it->streamed))
        return finish(x, it, GQL_FAILED);
    pl_buf_char(&x->out.buf, '[');
    gql_outcome outcome = finish(x, it, iterate(x, it, path, frame));
    pl_buf_char(&x->out.buf, ']');
    return outcome;
}

/* --- after a wait --- */
static void go_on(gql_execution *x, gql_pending *p, pl_call_status status, pl_slot result,
                  const pl_failure *failure)
{
    gql_iteration *it = p->iteration;
    gql_frame frame = {.scope = p->scope};
    gql_outcome outcome = GQL_WRITTEN;
    gql_output_fill_begin(&x->out, p->hole);
    frame.start = x->out.buf.len;
    if (status == PL_CALL_DONE) {
        outcome = take(x, it, result, p->path, &frame);
    } else if (status == PL_CALL_FAILED) {
        gql_error_failure(x, it->field, p->path, failure);
        outcome = GQL_FAILED;
    }
    if (outcome == GQL_WRITTEN)
        outcome = iterate(x, it, p->path, &frame);
    outcome = finish(x, it, outcome);
    gql_output_fill_end(&x->out);
    if (outcome == GQL_FAILED)
        gql_null_scope(x, p->scope);
}

void gql_iteration_answer(gql_execution *x, gql_pending *p, pl_call_status status, pl_slot result,
                          const pl_failure *failure)
{
    if (p->iteration->stream)
        gql_stream_answer(x, p->iteration->stream, status, result, failure);
    else
        go_on(x, p, status, result, failure);
}

void gql_iteration_wait(gql_execution *x, gql_stream *s, pl_call *call)
{
    s->call = gql_pending_call(x, s->field, call, s->work.path, NULL);
    if (s->call)
        s->call->iteration = &s->iteration;
}
