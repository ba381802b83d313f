/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "graphql/execution/incremental.h"

/* Parts, and the work that they leave: who owns which memory.
 *
 * Each part but the first has an arena of its own, which lives as long as something refers to it: the part's
 * own execution, and every task, group and stream that it has left, which are allocated there. A part refers
 * to the one that its own task or stream comes from. So a stream without an end takes no more memory than
 * what is under way. */

#define LEAST_CHUNK 512
#define SMALL_RESULT 4096 /* bytes that are kept for the next item */

gql_delivery *gql_delivery_get(gql_execution *x)
{
    if (!x->delivery) {
        x->delivery = pl_arena_zalloc(x->work->arena, sizeof *x->delivery);
        if (!x->delivery)
            x->out.failed = true;
    }
    return x->delivery;
}

gql_part *gql_part_new(gql_execution *x, gql_part *parent)
{
    gql_delivery *d = x->delivery;
    gql_part *part = pl_calloc(1, sizeof *part);
    if (!part)
        return NULL;
    pl_arena_init(&part->own, LEAST_CHUNK);
    part->own.limit = x->work->arena->limit;
    part->arena = &part->own;
    gql_output_init(&part->out, part->arena);
    part->out.buf.limit = x->max_response;
    part->refs = 1;
    part->parent = parent;
    gql_part_hold(parent);
    part->next = d->parts;
    if (d->parts)
        d->parts->prev = part;
    d->parts = part;
    return part;
}

void gql_part_hold(gql_part *part)
{
    part->refs++;
}

static void part_free(gql_execution *x, gql_part *part)
{
    gql_delivery *d = x->delivery;
    *(part->prev ? &part->prev->next : &d->parts) = part->next;
    if (part->next)
        part->next->prev = part->prev;
    pl_buf_dispose(&part->out.buf);
    pl_buf_dispose(&part->errors);
    pl_arena_dispose(&part->own);
    pl_free(part);
}

void gql_part_release(gql_execution *x, gql_part *part)
{
    while (part != &x->first && --part->refs == 0) { /* the first lives in the work's arena */
        gql_part *parent = part->parent;
        gql_part_enter(x, x->part == part ? &x->first : x->part);
        part_free(x, part);
        part = parent;
    }
}

void gql_part_switch(gql_execution *x, gql_part *part)
{
    gql_part *from = x->part;
    if (x->out.failed && !x->fatal.code)
        pl_fail_memory(&x->fatal);
    from->out = x->out;
    from->errors = x->errors;
    from->error_count = x->error_count;
    from->last_error = x->last_error;
    x->part = part;
    x->arena = part->arena;
    x->out = part->out;
    x->out.segment = &x->out.root;
    x->errors = part->errors;
    x->error_count = part->error_count;
    x->last_error = part->last_error;
}

void gql_part_reset(gql_execution *x, gql_part *part)
{
    gql_part_enter(x, part);
    pl_buf buf = x->out.buf;
    pl_buf_reset(&buf, SMALL_RESULT);
    pl_buf_reset(&x->errors, SMALL_RESULT);
    pl_arena_reset(&part->own);
    gql_output_init(&x->out, part->arena);
    x->out.buf = buf;
    x->error_count = 0;
    x->last_error = 0;
    part->root_scope = NULL;
    part->failed = false;
}

/* It is over, and what it has left is not taken over by anybody. */
void gql_part_discard(gql_execution *x, gql_part *part)
{
    if (part->root_scope)
        gql_null_scope(x, part->root_scope);
    for (gql_group *g = part->first_group, *next; g; g = next) {
        next = g->made_next;
        gql_group_release(x, g);
    }
    for (gql_work *w = part->first_task; w; w = w->next)
        gql_work_drop(x, w);
    for (gql_work *w = part->first_stream; w; w = w->next)
        gql_work_drop(x, w);
    gql_part_release(x, part);
}

/* --- work --- */
bool gql_work_add(gql_execution *x, gql_work *work, gql_frame *frame, pl_ref value, const gql_path *path)
{
    gql_delivery *d = gql_delivery_get(x);
    gql_scope *scope;
    work->value = value;
    work->path = path;
    work->creator = x->part;
    if (!d || !gql_output_work(&x->out, frame, work, &scope))
        return false;
    for (const gql_path *p = path; p; p = p->parent)
        work->depth++;
    work->scope_next = scope->work;
    scope->work = work;
    work->all_next = d->works;
    if (d->works)
        d->works->all_prev = work;
    d->works = work;
    d->live++;
    gql_part_hold(work->creator);
    gql_work **last = work->is_stream ? &x->part->last_stream : &x->part->last_task;
    *(*last ? &(*last)->next : work->is_stream ? &x->part->first_stream : &x->part->first_task) = work;
    *last = work;
    return true;
}

/* A task counts as many times as it has groups. */
static void drop_links(gql_delivery *d, const gql_task *task)
{
    d->live -= task->link_count - (task->link_count > 0);
}

/* Its memory stays until what holds its creator lets go. */
void gql_work_drop(gql_execution *x, gql_work *work)
{
    gql_delivery *d = x->delivery;
    if (work->dropped)
        return;
    work->dropped = true;
    *(work->all_prev ? &work->all_prev->all_next : &d->works) = work->all_next;
    if (work->all_next)
        work->all_next->all_prev = work->all_prev;
    d->live--;
    if (work->is_stream)
        gql_stream_close(x, (gql_stream *)work);
    else
        drop_links(d, (gql_task *)work);
    if (work->value != PL_REF_NONE)
        x->e->drop(x->state, work->value);
    work->value = PL_REF_NONE;
    gql_part_release(x, work->creator);
}

void gql_drop_patch(void *data, gql_patch *patch)
{
    gql_pending *p = patch->hole ? patch->hole->owner : NULL;
    if (patch->hole)
        gql_pending_cancel(data, p);
    else
        gql_work_drop(data, patch->work);
}

/* Everything that is left when the execution ends. */
void gql_part_dispose_all(gql_execution *x)
{
    gql_delivery *d = x->delivery;
    if (!d)
        return;
    gql_part_enter(x, &x->first);
    while (d->works)
        gql_work_drop(x, d->works);
    while (d->parts)
        part_free(x, d->parts);
    pl_buf_dispose(&d->pending);
    pl_buf_dispose(&d->incremental);
    pl_buf_dispose(&d->completed);
}
