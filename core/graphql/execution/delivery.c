/* SPDX-License-Identifier: MIT */
#include "graphql/execution/incremental.h"

/* What is delivered when: the graph of groups, tasks and streams, and the events that change it.
 *
 * A group is *added* as long as it is waited for, and *open* from when the client is to know of it. A task is
 * begun when one of its groups is open; it is *known* until it has been delivered, or none of its groups is
 * left. */

/* --- lists --- */
typedef struct beginning {
    gql_group *first, *last;
    gql_stream *first_stream, *last_stream;
} beginning;

static void push_group(beginning *list, gql_group *g)
{
    g->next = NULL;
    *(list->last ? &list->last->next : &list->first) = g;
    list->last = g;
}

static void push_stream(beginning *list, gql_stream *s)
{
    s->next = NULL;
    *(list->last_stream ? &list->last_stream->next : &list->first_stream) = s;
    list->last_stream = s;
}

/* more is empty then. */
static void append(beginning *list, const beginning *more)
{
    if (more->first) {
        *(list->last ? &list->last->next : &list->first) = more->first;
        list->last = more->last;
    }
    if (more->first_stream) {
        *(list->last_stream ? &list->last_stream->next : &list->first_stream) = more->first_stream;
        list->last_stream = more->last_stream;
    }
}

static void open_add(gql_execution *x, gql_open *o)
{
    gql_delivery *d = x->delivery;
    o->is_open = true;
    o->prev = d->last_open;
    o->next = NULL;
    *(o->prev ? &o->prev->next : &d->first_open) = o;
    d->last_open = o;
    d->open_count++;
}

static void open_remove(gql_execution *x, gql_open *o)
{
    gql_delivery *d = x->delivery;
    if (!o->is_open)
        return;
    o->is_open = false;
    *(o->prev ? &o->prev->next : &d->first_open) = o->next;
    *(o->next ? &o->next->prev : &d->last_open) = o->prev;
    d->open_count--;
}

void gql_event_add(gql_queue *queue, gql_event *event)
{
    if (event->in)
        return;
    event->in = queue;
    event->next = NULL;
    event->prev = queue->last;
    *(queue->last ? &queue->last->next : &queue->first) = event;
    queue->last = event;
}

void gql_event_remove(gql_event *event)
{
    gql_queue *queue = event->in;
    if (!queue)
        return;
    *(event->prev ? &event->prev->next : &queue->first) = event->next;
    *(event->next ? &event->next->prev : &queue->last) = event->prev;
    event->in = NULL;
}

/* --- tasks --- */
static void unlink_task(gql_link *link)
{
    gql_group *g = link->group;
    if (!link->linked)
        return;
    link->linked = false;
    *(link->prev ? &link->prev->next : &g->first) = link->next;
    *(link->next ? &link->next->prev : &g->last) = link->prev;
}

static void link_task(gql_link *link)
{
    gql_group *g = link->group;
    link->linked = true;
    link->next = NULL;
    link->prev = g->last;
    *(g->last ? &g->last->next : &g->first) = link;
    g->last = link;
}

void gql_task_remove(gql_execution *x, gql_task *task)
{
    gql_part *part = task->part;
    for (uint32_t i = 0; i < task->link_count; i++)
        unlink_task(&task->links[i]);
    for (gql_event *event = &task->event; event; event = event->more)
        gql_event_remove(event);
    gql_event_remove(&task->late);
    task->known = false;
    for (gql_stream *s = task->first_stream, *next; s; s = next) {
        next = s->next;
        gql_work_drop(x, &s->work);
    }
    task->first_stream = task->last_stream = NULL;
    if (part) {
        gql_part_enter(x, &x->first);
        if (task->done)
            x->delivery->held -= part->out.buf.len + part->errors.len;
        task->part = NULL;
        gql_part_discard(x, part);
    }
    gql_work_drop(x, &task->work); /* frees it, perhaps */
}

/* Another group fails as others have, or will. */
static void fail_again(gql_execution *x, gql_task *task)
{
    gql_event *event = pl_arena_zalloc(task->work.creator->arena, sizeof *event);
    if (!event) {
        pl_fail_memory(&x->fatal);
        return;
    }
    event->kind = GQL_EVENT_TASK;
    event->task = task;
    event->more = task->event.more;
    task->event.more = event;
    gql_event_add(&x->delivery->events, event);
}

static void start_task(gql_execution *x, gql_task *task)
{
    bool known = task->known;
    task->known = true;
    if (!task->begun) {
        task->begun = true;
        if (gql_turn_is_long(x))
            gql_event_add(&x->delivery->late, &task->late);
        else
            gql_task_run(x, task);
    } else if (known && task->done && task->failed) {
        fail_again(x, task);
    }
}

/* --- taking over what a part has left --- */
void gql_group_release(gql_execution *x, gql_group *g)
{
    open_remove(x, &g->open);
    g->added = false;
    gql_part_release(x, g->creator);
}

static void integrate_group(gql_execution *x, gql_group *g, const gql_part *part, const gql_task *parent,
                            beginning *list)
{
    gql_group *around = g->parent;
    if (g->visited)
        return;
    g->visited = true;
    if (around && around->made && around->creator == part)
        integrate_group(x, around, part, parent, list); /* as deep as deferred fragments are nested */
    if (around && !around->added) {
        gql_group_release(x, g);
        return;
    }
    g->added = true;
    if (around) {
        g->next = NULL;
        *(around->last_child ? &around->last_child->next : &around->first_child) = g;
        around->last_child = g;
    } else if (!parent) {
        push_group(list, g);
    }
}

static void integrate_task(gql_execution *x, gql_task *task)
{
    bool linked = false;
    for (uint32_t i = 0; i < task->link_count; i++) {
        gql_link *link = &task->links[i];
        if (!link->group->added)
            continue;
        linked = true;
        link_task(link);
        link->group->pending++;
        if (link->group->open.is_open)
            start_task(x, task);
    }
    if (!linked)
        gql_task_remove(x, task);
}

/* parent: the task whose part it is; NULL: there is none, or it is an item of a stream. */
static void integrate(gql_execution *x, gql_part *part, gql_task *parent, beginning *list)
{
    gql_group *group = part->first_group;
    gql_work *task = part->first_task, *stream = part->first_stream;
    part->first_group = part->last_group = NULL;
    part->first_task = part->last_task = part->first_stream = part->last_stream = NULL;
    part->root_scope = NULL;
    for (gql_group *next; group; group = next) {
        next = group->made_next;
        integrate_group(x, group, part, parent, list);
    }
    for (gql_work *next; task; task = next) {
        next = task->next;
        if (!task->dropped)
            integrate_task(x, (gql_task *)task);
    }
    for (gql_work *next; stream; stream = next) {
        gql_stream *s = (gql_stream *)stream;
        next = stream->next;
        if (stream->dropped)
            continue;
        s->next = NULL;
        if (!parent) {
            push_stream(list, s);
        } else {
            *(parent->last_stream ? &parent->last_stream->next : &parent->first_stream) = s;
            parent->last_stream = s;
        }
    }
}

/* Groups without a task are not told to the client; their children take their place. */
static void prune(gql_execution *x, gql_group *first, beginning *out)
{
    for (gql_group *g = first, *next; g; g = next) {
        next = g->next;
        if (g->first) {
            push_group(out, g);
        } else {
            prune(x, g->first_child, out); /* as deep as deferred fragments are nested */
            gql_group_release(x, g);
        }
    }
}

static void publish_beginning(gql_execution *x, const beginning *list)
{
    for (gql_group *g = list->first; g; g = g->next)
        gql_publish_pending(x, &g->open);
    for (gql_stream *s = list->first_stream; s; s = s->next)
        gql_publish_pending(x, &s->open);
}

/* --- groups --- */
static void finish_success(gql_execution *x, gql_group *g, beginning *list)
{
    beginning begin = {0};
    g->added = false;
    while (g->first) {
        gql_task *task = g->first->task;
        if (task->known) {
            gql_publish_task(x, g, task);
            append(&begin,
                   &(beginning){.first_stream = task->first_stream, .last_stream = task->last_stream});
            task->first_stream = task->last_stream = NULL;
        }
        gql_task_remove(x, task);
    }
    prune(x, g->first_child, &begin);
    gql_publish_success(x, &g->open);
    publish_beginning(x, &begin);
    append(list, &begin);
    gql_group_release(x, g);
}

static void maybe_finish(gql_execution *x, gql_group *g, beginning *list)
{
    if (g->added && g->open.is_open && g->pending == 0)
        finish_success(x, g, list);
}

static bool has_group(const gql_task *task)
{
    for (uint32_t i = 0; i < task->link_count; i++) {
        if (task->links[i].group->added)
            return true;
    }
    return false;
}

static void remove_group(gql_execution *x, gql_group *g)
{
    open_remove(x, &g->open);
    g->added = false;
    while (g->first) {
        gql_link *link = g->first;
        unlink_task(link);
        if (!has_group(link->task))
            gql_task_remove(x, link->task);
    }
    for (gql_group *child = g->first_child, *next; child; child = next) {
        next = child->next;
        remove_group(x, child); /* as deep as deferred fragments are nested */
    }
    gql_group_release(x, g);
}

static void start_group(gql_execution *x, gql_group *g)
{
    for (gql_link *link = g->first; link; link = link->next)
        start_task(x, link->task);
}

static void start_stream(gql_execution *x, gql_stream *s)
{
    s->order = ++x->delivery->order;
    gql_schedule(x, &s->ready, 1, 0);
}

/* The list grows while it is gone through. */
static void begin_all(gql_execution *x, beginning *list)
{
    for (gql_group *g = list->first, *next; g; g = next) {
        gql_part *creator = g->creator;
        gql_part_hold(creator);
        open_add(x, &g->open);
        start_group(x, g);
        maybe_finish(x, g, list);
        next = g->next;
        gql_part_release(x, creator);
    }
    for (gql_stream *s = list->first_stream; s; s = s->next) {
        open_add(x, &s->open);
        start_stream(x, s);
    }
}

/* --- events --- */
static pl_str last_error(const gql_part *part)
{
    return (pl_str){part->errors.data + part->last_error, part->errors.len - part->last_error};
}

static void task_success(gql_execution *x, gql_task *task)
{
    beginning list = {0}, none = {0};
    integrate(x, task->part, task, &none);
    gql_part *creator = task->work.creator;
    gql_part_hold(creator);
    for (uint32_t i = 0; i < task->link_count; i++) {
        gql_group *g = task->links[i].group;
        if (!g->added)
            continue;
        g->pending--;
        maybe_finish(x, g, &list);
    }
    begin_all(x, &list);
    gql_part_release(x, creator);
}

static void task_failure(gql_execution *x, gql_task *task)
{
    gql_part *part = task->part, *creator = task->work.creator;
    gql_part_hold(part);
    gql_part_hold(creator);
    for (uint32_t i = 0; i < task->link_count; i++) {
        gql_group *g = task->links[i].group;
        if (!g->added || !g->open.is_open)
            continue;
        gql_publish_failure(x, &g->open, last_error(part));
        remove_group(x, g);
    }
    gql_part_release(x, part);
    gql_part_release(x, creator);
}

static void stream_over(gql_execution *x, gql_stream *s)
{
    if (s->failed)
        gql_publish_failure(x, &s->open, last_error(s->part));
    else
        gql_publish_success(x, &s->open);
    open_remove(x, &s->open);
    gql_work_drop(x, &s->work);
}

static void stream_items(gql_execution *x, gql_stream *s)
{
    beginning all = {0};
    s->goes_on = !s->stopped && !s->waiting;
    if (s->goes_on)
        gql_schedule(x, &s->ready, 1, 0);
    for (gql_held *held = s->first_held, *next; held; held = next) {
        beginning left = {0}, list = {0};
        gql_part *part = held->part;
        next = held->next;
        integrate(x, part, NULL, &left);
        prune(x, left.first, &list);
        append(&list, &(beginning){.first_stream = left.first_stream, .last_stream = left.last_stream});
        begin_all(x, &list);
        append(&all, &list);
        gql_part_release(x, part);
    }
    s->first_held = s->last_held = NULL;
    gql_publish_items(x, s);
    publish_beginning(x, &all);
    s->delivered = s->index;
    s->item_count = 0;
    pl_buf_reset(&s->items, 4096);
    pl_buf_reset(&s->errors, 4096);
    if (s->stopped)
        stream_over(x, s);
    else if (s->goes_on)
        gql_schedule(x, &s->told, 1, 0); /* behind the streams that its items have begun */
}

static void handle(gql_execution *x, gql_event *event)
{
    gql_event_remove(event);
    gql_part_enter(x, &x->first);
    if (event->kind == GQL_EVENT_ITEMS)
        stream_items(x, event->stream);
    else if (event->kind == GQL_EVENT_STREAM_OVER)
        stream_over(x, event->stream);
    else if (event->task->failed)
        task_failure(x, event->task);
    else
        task_success(x, event->task);
}

/* --- turns ---
 * What comes together in one payload is up to chance in graphql-js, when resolvers wait. When they do not, it
 * follows from how many turns of its queue of promises each step takes: so these *ticks* are counted here. A
 * payload has the events that are there when the one before has been taken (TICKS_DELIVERY after it was
 * made), or else those of the first tick in which there are any. */
#define TICKS_DELIVERY 4

bool gql_delivery_begin(gql_execution *x)
{
    gql_delivery *d = x->delivery;
    beginning all = {0}, list = {0};
    integrate(x, &x->first, NULL, &all);
    prune(x, all.first, &list);
    list.first_stream = all.first_stream;
    list.last_stream = all.last_stream;
    for (gql_group *g = list.first; g; g = g->next)
        open_add(x, &g->open);
    for (gql_stream *s = list.first_stream; s; s = s->next)
        open_add(x, &s->open);
    publish_beginning(x, &list);
    d->first_group = list.first;
    d->first_stream = list.first_stream;
    return d->open_count > 0;
}

#define RING (sizeof((gql_delivery){0}.ring) / sizeof((gql_delivery){0}.ring[0]))

void gql_schedule(gql_execution *x, gql_event *event, unsigned ticks, unsigned rank)
{
    gql_delivery *d = x->delivery;
    gql_event_add(ticks > 0 ? &d->ring[(d->tick + ticks) % RING][rank] : &d->events, event);
}

static bool is_due(const gql_delivery *d, uint64_t tick)
{
    bool due = false;
    for (unsigned rank = 0; rank < GQL_RANKS; rank++)
        due |= d->ring[tick % RING][rank].first != NULL;
    return due;
}

static bool is_scheduled(const gql_delivery *d)
{
    bool due = false;
    for (unsigned i = 0; i < RING; i++)
        due |= is_due(d, i);
    return due;
}

bool gql_delivery_has_work(const gql_execution *x)
{
    const gql_delivery *d = x->delivery;
    return !d->started || d->events.first || d->late.first || is_scheduled(d);
}

static void start(gql_execution *x)
{
    gql_delivery *d = x->delivery;
    d->started = true;
    d->tick = d->ring_tick = 1;
    for (gql_group *g = d->first_group; g; g = g->next)
        start_group(x, g);
    for (gql_stream *s = d->first_stream; s; s = s->next)
        start_stream(x, s);
}

static void run_late(gql_execution *x)
{
    gql_delivery *d = x->delivery;
    for (bool first = true; d->late.first && (first || !gql_turn_is_long(x)); first = false) {
        gql_task *task = d->late.first->task;
        gql_event_remove(&task->late);
        gql_task_run(x, task);
    }
}

static bool failed(const gql_execution *x)
{
    return x->fatal.code || x->out.failed;
}

/* False: there was no time for all. */
static bool run_due(gql_execution *x, gql_queue *due)
{
    gql_delivery *d = x->delivery;
    while (due->first && !failed(x)) {
        gql_event *event = due->first;
        if (event->kind == GQL_EVENT_GO_ON && d->events.first && gql_turn_is_long(x))
            return false;
        gql_event_remove(event);
        if (event->kind == GQL_EVENT_GO_ON)
            gql_stream_produce(x, event->stream);
        else if (event->kind == GQL_EVENT_TELL)
            gql_stream_tell(x, event->stream);
        else
            gql_event_add(&d->events, event);
    }
    return true;
}

/* Lets streams go on that are due until then, as far as there is time. */
static void produce(gql_execution *x, uint64_t until)
{
    gql_delivery *d = x->delivery;
    while (d->ring_tick < until && !failed(x)) {
        d->tick = ++d->ring_tick;
        for (unsigned rank = 0; rank < GQL_RANKS; rank++) {
            if (!run_due(x, &d->ring[d->tick % RING][rank])) {
                d->ring_tick--;
                return;
            }
        }
    }
}

/* A stream that began before the one whose event makes the payload, and has failed at once, is heard of just
 * in time. */
static void take_failures(gql_delivery *d, const gql_stream *before)
{
    for (gql_event *e = d->ring[(d->ring_tick + 1) % RING][1].first, *next; before && e; e = next) {
        next = e->next;
        if (e->kind != GQL_EVENT_STREAM_OVER || e->stream->order > before->order)
            continue;
        gql_event_remove(e);
        gql_event_add(&d->events, e);
    }
}

static void handle_all(gql_execution *x)
{
    gql_delivery *d = x->delivery;
    while (!d->events.first && is_scheduled(d) && !failed(x))
        produce(x, d->ring_tick + 1);
    if (!d->events.first)
        return;
    if (d->tick > d->asks) {
        take_failures(d, d->events.first->stream);
        d->tick++;
    } else {
        produce(x, d->asks + 1);
        d->tick = d->asks + 1;
    }
    while (d->events.first && !failed(x))
        handle(x, d->events.first);
    d->asks = d->tick + (gql_publish_is_empty(x) ? 0 : TICKS_DELIVERY);
}

void gql_delivery_turn(gql_execution *x)
{
    gql_delivery *d = x->delivery;
    if (!d->started)
        start(x);
    run_late(x);
    do
        handle_all(x);
    while (gql_publish_is_empty(x) && !failed(x) && !gql_turn_is_long(x) &&
           (d->events.first || is_scheduled(d)));
    gql_part_enter(x, &x->first);
}

void gql_delivery_fail(gql_execution *x, pl_str error)
{
    gql_delivery *d = x->delivery;
    for (gql_open *o = d->first_open; o; o = o->next)
        gql_publish_failure(x, o, error);
}
