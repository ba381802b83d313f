/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "graphql/execution/incremental.h"

/* Lists with @stream: the items behind the first ones are executed one after the other, each as a part, and
 * delivered in batches. As in graphql-js an item is not begun before the one in front of it is complete. */

#define BATCH 100 /* items that wait to be delivered */

static const pl_str late = PL_STR("The operation took too long.");

bool gql_stream_initial(gql_execution *x, const gql_plan_field *f, const gql_path *path, size_t *out)
{
    const gql_value *literal = f->stream->initial_count;
    int64_t count = 0;
    if (literal && literal->kind == GQL_VALUE_VARIABLE) {
        const gql_variable *v = gql_input_variable(&x->env, literal->text);
        if (v && v->given && v->value.kind == PL_KIND_INT)
            count = v->value.integer;
        else if (v && v->given && v->value.kind == PL_KIND_NULL)
            count = -1;
    } else if (literal && literal->kind == GQL_VALUE_INT) {
        count = strtoll(literal->text.ptr, NULL, 10); /* not a digit comes behind it in the source */
    }
    if (count < 0) {
        gql_error_add(x, f, path, PL_INVALID_ARGUMENT, PL_STR("initialCount must be a positive integer"),
                      NULL, NULL);
        return false;
    }
    *out = (size_t)count;
    return !gql_deferral_is_full(x, f, path);
}

/* A stream that the current part leaves at the end of its buffer; it takes the refs. NULL: memory. */
gql_stream *gql_stream_new(gql_execution *x, const gql_plan_field *f, const gql_typeref *type, size_t index,
                           pl_ref value, const gql_path *path, gql_frame *frame)
{
    gql_stream *s = pl_arena_zalloc(x->arena, sizeof *s);
    const gql_path *kept = gql_path_copy(x, path);
    if (s && kept) {
        s->work.is_stream = true;
        s->close = PL_REF_NONE;
        s->field = f->stream->item;
        s->plan = f->stream;
        s->type = type;
        s->index = s->delivered = index;
        s->open.stream = s;
        s->items_event = (gql_event){.kind = GQL_EVENT_ITEMS, .stream = s};
        s->ready = (gql_event){.kind = GQL_EVENT_GO_ON, .stream = s};
        s->told = (gql_event){.kind = GQL_EVENT_TELL, .stream = s};
        s->over_event = (gql_event){.kind = GQL_EVENT_STREAM_OVER, .stream = s};
        if (gql_work_add(x, &s->work, frame, value, kept))
            return s;
    }
    if (value != PL_REF_NONE)
        x->e->drop(x->state, value);
    x->out.failed = true;
    return NULL;
}

bool gql_stream_open(gql_execution *x, const gql_plan_field *f, const gql_typeref *type, pl_slot value,
                     size_t index, const gql_path *path, gql_frame *frame)
{
    gql_stream *s = gql_stream_new(x, f, type, index, x->e->keep(x->state, value), path, frame);
    if (s)
        s->length = x->e->length(x->state, value);
    return s != NULL;
}

/* --- items --- */
static bool item_begin(gql_execution *x, gql_stream *s)
{
    if (!s->part)
        s->part = gql_part_new(x, s->work.creator);
    if (!s->part || !x->e->reserve(x->state, 20)) {
        pl_fail_memory(&x->fatal);
        return false;
    }
    s->part->stream = s;
    gql_part_enter(x, s->part);
    s->here = (gql_path){.parent = s->work.path, .index = s->index};
    return true;
}

/* The item is in slot. */
static void item_complete(gql_execution *x, gql_stream *s, pl_slot slot)
{
    gql_frame frame = {.start = 0};
    if (gql_complete(x, s->field, s->type, slot, &s->here, &frame) != GQL_WRITTEN) {
        gql_output_rewind(&x->out, 0, gql_drop_patch, x);
        s->part->failed = true;
    } else if (frame.scope) {
        s->part->root_scope = frame.scope;
        frame.scope->end = x->out.buf.len;
    }
    x->out.root.end = x->out.buf.len;
}

static void item_fail(gql_execution *x, gql_stream *s, const gql_path *path, const pl_failure *failure)
{
    gql_error_failure(x, s->field, path, failure);
    s->part->failed = true;
}

static void next_of_list(gql_execution *x, gql_stream *s)
{
    pl_slot top = x->e->top(x->state);
    pl_slot list = x->e->push_ref(x->state, s->work.value);
    x->e->element(x->state, list, s->index);
    item_complete(x, s, list + 1);
    x->e->pop_to(x->state, top);
}

/* What the iterator has given is in slot. */
static void iterator_gave(gql_execution *x, gql_stream *s, pl_slot slot)
{
    if (x->e->kind(x->state, slot) == PL_KIND_ABSENT)
        s->stopped = true;
    else
        item_complete(x, s, slot);
}

static void next_of_iterator(gql_execution *x, gql_stream *s)
{
    pl_slot top = x->e->top(x->state);
    pl_call *call = NULL;
    pl_failure failure = {0};
    switch (x->e->call(x->state, s->work.value, 0, x->work, &call, &failure)) {
    case PL_CALL_DONE:
        iterator_gave(x, s, top + 1);
        break;
    case PL_CALL_FAILED:
        item_fail(x, s, s->work.path, &failure);
        break;
    case PL_CALL_PENDING:
        gql_iteration_wait(x, s, call);
        break;
    }
    x->e->pop_to(x->state, top);
}

void gql_stream_answer(gql_execution *x, gql_stream *s, pl_call_status status, pl_slot result,
                       const pl_failure *failure)
{
    s->call = NULL;
    if (status == PL_CALL_DONE)
        iterator_gave(x, s, result);
    else
        item_fail(x, s, s->work.path, failure);
}

static void produce_one(gql_execution *x, gql_stream *s)
{
    if (!item_begin(x, s))
        return;
    if (x->timed_out)
        item_fail(x, s, s->work.path,
                  &(pl_failure){.code = PL_DEADLINE_EXCEEDED, .expected = true, .message = late});
    else if (s->is_iterator)
        next_of_iterator(x, s);
    else
        next_of_list(x, s);
    s->waiting = s->part->waiting > 0;
    if (!s->waiting)
        gql_part_done(x);
}

static bool is_over(const gql_stream *s)
{
    return s->stopped || s->failed;
}

/* Ticks until what has been produced is heard of. */
#define TICKS_ITEMS 1
#define TICKS_OVER 3
#define TICKS_FAILED 4      /* with the very first item */
#define TICKS_ITEMS_LATER 4 /* after a delivery */
#define TICKS_OVER_LATER 6

static void tell(gql_execution *x, gql_stream *s, bool begins, bool later)
{
    if (s->item_count > 0)
        gql_schedule(x, &s->items_event, later ? TICKS_ITEMS_LATER : TICKS_ITEMS, 1);
    else if (is_over(s) && later)
        gql_schedule(x, &s->over_event, TICKS_OVER_LATER, 1);
    else if (is_over(s) && begins && s->failed)
        gql_schedule(x, &s->over_event, TICKS_FAILED, 1);
    else if (is_over(s))
        gql_schedule(x, &s->over_event, TICKS_OVER, 0);
    else if (!s->waiting)
        gql_schedule(x, &s->ready, 1, 0);
}

void gql_stream_produce(gql_execution *x, gql_stream *s)
{
    bool first = true, begins = !s->begun;
    s->begun = true;
    while (!is_over(s) && !s->waiting && s->item_count < BATCH && !x->fatal.code && !x->out.failed) {
        if (!s->is_iterator && s->index >= s->length) {
            s->stopped = true;
            break;
        }
        if (!first && gql_turn_is_long(x))
            break;
        first = false;
        produce_one(x, s);
    }
    if (!s->goes_on)
        tell(x, s, begins, false);
}

void gql_stream_tell(gql_execution *x, gql_stream *s)
{
    s->goes_on = false;
    tell(x, s, false, true);
}

/* --- an item is complete --- */
static void take_item(gql_execution *x, gql_stream *s)
{
    if (s->item_count > 0)
        pl_buf_char(&s->items, ',');
    pl_buf_str(&s->items, pl_buf_view(&x->out.buf));
    if (x->errors.len > 0) {
        if (s->errors.len > 0)
            pl_buf_char(&s->errors, ',');
        pl_buf_str(&s->errors, pl_buf_view(&x->errors));
    }
    s->item_count++;
    s->index++;
    if (s->items.failed || s->errors.failed)
        pl_fail_memory(&x->fatal);
}

/* The part is kept where it has left work, or what it has left refers to its memory. */
static void keep_part(gql_execution *x, gql_stream *s)
{
    gql_part *part = s->part;
    if (!part->first_group && !part->first_task && !part->first_stream && part->refs == 1) {
        gql_part_reset(x, part);
        return;
    }
    gql_held *held = pl_arena_zalloc(part->arena, sizeof *held);
    s->part = NULL;
    part->stream = NULL;
    if (!held) {
        pl_fail_memory(&x->fatal);
        gql_part_release(x, part);
        return;
    }
    held->part = part;
    *(s->last_held ? &s->last_held->next : &s->first_held) = held;
    s->last_held = held;
    gql_part_enter(x, &x->first);
}

void gql_item_done(gql_execution *x, gql_stream *s)
{
    bool waited = s->waiting;
    s->waiting = false;
    if (x->fatal.code)
        return;
    if (s->part->failed) {
        s->failed = true; /* with the part's last error */
    } else if (!s->stopped) {
        if (x->options.max_list_items > 0 && s->is_iterator && s->index >= x->options.max_list_items) {
            gql_list_too_long(x, s->field, s->work.path);
            s->failed = s->part->failed = true;
        } else {
            take_item(x, s);
            keep_part(x, s);
        }
    }
    if (waited)
        gql_schedule(x, &s->ready, 1, 0);
}

/* --- the end --- */
void gql_stream_close(gql_execution *x, gql_stream *s)
{
    gql_event_remove(&s->ready);
    gql_event_remove(&s->told);
    gql_event_remove(&s->items_event);
    gql_event_remove(&s->over_event);
    if (s->call)
        gql_pending_cancel(x, s->call);
    s->call = NULL;
    gql_iterator_close(x, s->close);
    s->close = PL_REF_NONE;
    pl_buf_dispose(&s->items);
    pl_buf_dispose(&s->errors);
    while (s->first_held) {
        gql_part *part = s->first_held->part;
        s->first_held = s->first_held->next;
        gql_part_release(x, part);
    }
    if (s->part) {
        gql_part *part = s->part;
        s->part = NULL;
        gql_part_discard(x, part);
    }
}
