/* SPDX-License-Identifier: MIT */
#include "graphql/execution/incremental.h"

/* Objects some of whose fields are deferred; and executing these fields later. */

bool gql_deferral_is_full(gql_execution *x, const gql_plan_field *f, const gql_path *path)
{
    char message[128];
    if (!x->delivery || x->delivery->live < x->plan->max_fields)
        return false;
    snprintf(message, sizeof message, "The operation leaves more than %u fragments and lists for later.",
             x->plan->max_fields);
    gql_error_add(x, f, path, PL_RESOURCE_EXHAUSTED, pl_str_of(message), NULL, NULL);
    return true;
}

static gql_group *find_group(const gql_defers *defers, const gql_defer *defer)
{
    while (defers && defers->plan != defer->owner)
        defers = defers->around;
    return defers ? &defers->groups[defer->index] : NULL;
}

/* The groups of the object's own deferred fragments. NULL: memory. */
static gql_defers *make_groups(gql_execution *x, const gql_plan_deferral *plan, const gql_path *path)
{
    gql_defers *defers = pl_arena_zalloc(x->arena, sizeof *defers);
    gql_group *groups = pl_arena_array(x->arena, plan->defer_count, sizeof *groups);
    if (!defers || !groups)
        return NULL;
    *defers = (gql_defers){.around = x->defers, .plan = plan, .groups = groups};
    uint32_t depth = 0, i = 0;
    for (const gql_path *p = path; p; p = p->parent)
        depth++;
    for (const gql_defer *d = plan->defers; d; d = d->next) {
        gql_group *g = &groups[i++];
        g->defer = d;
        g->parent = d->parent ? find_group(defers, d->parent) : NULL;
        g->path = path;
        g->depth = depth;
        g->creator = x->part;
        g->open.group = g;
    }
    return defers;
}

/* The object is there: so are its groups. */
static void leave_groups(gql_execution *x, const gql_defers *defers)
{
    gql_part *part = x->part;
    for (uint32_t i = 0; i < defers->plan->defer_count; i++) {
        gql_group *g = &defers->groups[i];
        g->made = true;
        gql_part_hold(part);
        if (part->last_group)
            part->last_group->made_next = g;
        else
            part->first_group = g;
        part->last_group = g;
    }
}

static bool leave_task(gql_execution *x, const gql_plan_group *plan, const gql_defers *defers, pl_slot parent,
                       const gql_path *path, gql_frame *frame)
{
    uint32_t count = plan->set->count;
    gql_task *task = pl_arena_zalloc(x->arena, sizeof *task);
    if (!task || !(task->links = pl_arena_array(x->arena, count, sizeof *task->links)))
        return false;
    task->plan = plan;
    task->defers = defers;
    task->event.kind = GQL_EVENT_TASK;
    task->event.task = task->late.task = task;
    for (uint32_t i = 0; i < count; i++) {
        gql_link *link = &task->links[task->link_count];
        link->task = task;
        link->group = find_group(defers, plan->set->items[i]);
        task->link_count += link->group != NULL;
    }
    if (!gql_delivery_get(x))
        return false;
    pl_ref value = parent > 0 ? x->e->keep(x->state, parent) : PL_REF_NONE;
    if (gql_work_add(x, &task->work, frame, value, path)) {
        x->delivery->live += task->link_count - (task->link_count > 0);
        return true;
    }
    if (value != PL_REF_NONE)
        x->e->drop(x->state, value);
    return false;
}

gql_outcome gql_execute_deferring(gql_execution *x, const gql_plan_object *object, pl_slot parent,
                                  const gql_path *path, gql_frame *frame)
{
    const gql_plan_deferral *plan = object->deferral;
    const gql_defers *around = x->defers, *defers = around;
    const gql_path *kept = gql_path_copy(x, path);
    if ((path && !kept) || (plan->defers && !(defers = make_groups(x, plan, kept)))) {
        x->out.failed = true;
        return GQL_FAILED;
    }
    x->defers = defers;
    gql_outcome outcome = gql_execute_plain(x, object, parent, path, frame);
    x->defers = around;
    if (outcome != GQL_WRITTEN)
        return outcome;
    if (plan->defers)
        leave_groups(x, defers);
    for (uint32_t i = 0; i < plan->group_count; i++) {
        if (!leave_task(x, &plan->groups[i], defers, parent, kept, frame)) {
            x->out.failed = true;
            return GQL_FAILED;
        }
    }
    return GQL_WRITTEN;
}

/* --- later --- */
static void fail_late(gql_execution *x, const gql_task *task)
{
    const gql_plan_field *f = &task->plan->object.fields[0];
    gql_error_add(x, f, task->work.path, PL_DEADLINE_EXCEEDED, PL_STR("The operation took too long."), NULL,
                  NULL);
    x->part->failed = true;
}

static void run(gql_execution *x, gql_task *task)
{
    gql_part *part = x->part;
    pl_slot top = x->e->top(x->state), parent = 0;
    gql_frame frame = {.start = 0};
    if (task->work.value != PL_REF_NONE)
        parent = x->e->push_ref(x->state, task->work.value);
    x->defers = task->defers;
    if (gql_execute_fields(x, &task->plan->object, parent, task->work.path, &frame) != GQL_WRITTEN) {
        gql_output_rewind(&x->out, 0, gql_drop_patch, x);
        part->failed = true;
    } else if (frame.scope) {
        part->root_scope = frame.scope;
        frame.scope->end = x->out.buf.len;
    }
    x->defers = NULL;
    x->out.root.end = x->out.buf.len;
    x->e->pop_to(x->state, top);
}

void gql_task_run(gql_execution *x, gql_task *task)
{
    task->part = gql_part_new(x, task->work.creator);
    if (!task->part || !x->e->reserve(x->state, 20)) {
        pl_fail_memory(&x->fatal);
        return;
    }
    task->part->task = task;
    gql_part_enter(x, task->part);
    if (x->timed_out)
        fail_late(x, task);
    else
        run(x, task);
    if (task->part->waiting == 0)
        gql_part_done(x);
}

/* Everything of it is written: put together in its own buffer, which is kept until it is delivered. */
static void put_together(gql_execution *x, bool failed)
{
    pl_buf whole;
    pl_buf_init(&whole);
    if (x->out.has_patches && !failed) {
        whole.limit = x->max_response;
        gql_output_assemble(&x->out, &whole);
        pl_buf_dispose(&x->out.buf);
        x->out.buf = whole;
        x->out.has_patches = false;
    }
    if (x->out.failed || x->errors.failed)
        pl_fail_memory(&x->fatal);
    else if (x->out.buf.failed && x->max_response > 0)
        pl_fail(&x->fatal, PL_RESOURCE_EXHAUSTED, "The response is larger than %zu bytes.", x->max_response);
    else if (x->out.buf.failed)
        pl_fail_memory(&x->fatal);
}

void gql_part_done(gql_execution *x)
{
    gql_part *part = x->part;
    part->failed |= part->root_scope && part->root_scope->nulled;
    put_together(x, part->failed);
    if (part->stream) {
        gql_item_done(x, part->stream);
        return;
    }
    gql_task *task = part->task;
    task->done = true;
    task->failed = part->failed;
    x->delivery->held += x->out.buf.len + x->errors.len;
    if (x->max_response > 0 && x->delivery->held > x->max_response && !x->fatal.code)
        pl_fail(&x->fatal, PL_RESOURCE_EXHAUSTED, "Deferred results of more than %zu bytes wait.",
                x->max_response);
    gql_event_add(&x->delivery->events, &task->event);
}
