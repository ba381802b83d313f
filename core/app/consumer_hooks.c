/* SPDX-License-Identifier: MIT */
#include "app/consumer_hooks.h"

#include "app/event_call.h"
#include "app/generation.h"
#include "base/alloc.h"

#define FIRST_AGAIN_MS 500 /* after on_assigned has failed; doubles each time */
#define LONGEST_AGAIN_MS 30000

typedef enum hook { ASSIGNED, REVOKED, TIMER } hook;

struct pl_consumer_hooks {
    pl_group_member *member;
    bool assigned; /* there are partitions, and they do not go */
    bool more;     /* there are others than on_assigned has heard of: it is called anew, with all */
    bool leaving;  /* the consumer waits for on_revoked */
    bool lost;
    pl_instance *open; /* whose on_assigned has run, and its place there; it stays as long as it is here */
    size_t index;
    unsigned again_ms;
    bool waits; /* before on_assigned is called again */
    bool timer_due;
    pl_timer again, timer;

    /* The call in hand. */
    bool running;
    hook what;
    pl_instance *instance;
    size_t at;
    pl_call *call;
    pl_work work;
    pl_arena arena;
};

pl_consumer_hooks *pl_consumer_hooks_new(pl_group_member *member)
{
    pl_consumer_hooks *h = pl_calloc(1, sizeof *h);
    if (h)
        h->member = member;
    return h;
}

static const pl_consumer_decl *decl_at(const pl_instance *instance, size_t index)
{
    return &instance->generation->config.consumers[index];
}

static const char *name_of(hook what)
{
    static const char *const names[] = {"on_assigned", "on_revoked", "timer.run"};
    return names[what];
}

static pl_ref function_of(const pl_instance *instance, size_t index, hook what)
{
    const pl_consumer_functions *f = &instance->consumers[index];
    return what == ASSIGNED ? f->on_assigned : what == REVOKED ? f->on_revoked : f->timer;
}

/* --- a call --- */
static void let_go(pl_consumer_hooks *h)
{
    if (h->open)
        h->open->in_flight--;
    h->open = NULL;
    h->more = false;
}

static void arm(pl_consumer_hooks *h);

static void on_again(pl_timer *timer)
{
    pl_consumer_hooks *h = timer->data;
    h->waits = false;
    pl_consumer_hooks_step(h);
}

static void assigned_ended(pl_consumer_hooks *h, bool ok)
{
    pl_host *host = h->member->host;
    if (ok) {
        h->open = h->instance;
        h->index = h->at;
        h->open->in_flight++;
        h->again_ms = 0;
        arm(h);
        return;
    }
    h->again_ms = h->again_ms == 0                     ? FIRST_AGAIN_MS
                  : 2 * h->again_ms < LONGEST_AGAIN_MS ? 2 * h->again_ms
                                                       : LONGEST_AGAIN_MS;
    h->again = (pl_timer){.fire = on_again, .data = h, .index = h->again.index};
    h->waits = true;
    if (host->ops->timer_start(host, &h->again, host->ops->now(host) + h->again_ms) == 0)
        return;
    /* Nobody would call it again, and no event would be handled: the group has to find somebody else. */
    pl_log(h->member->log, PL_ERROR, "out of memory: the group is left",
           PL_F_STR("consumer", decl_at(h->instance, h->at)->name));
    pl_consumer_close(h->member->consumer, 0);
}

static void call_over(pl_consumer_hooks *h)
{
    pl_engine_of(h->instance->state)->work_end(h->instance->state, &h->work);
    pl_arena_dispose(&h->arena);
    h->instance->in_flight--;
    h->running = false;
    h->call = NULL;
}

static void ended(pl_consumer_hooks *h, const pl_failure *failure)
{
    if (failure)
        pl_log(h->member->log, PL_ERROR, "consumer's function failed",
               PL_F_CSTR("function", name_of(h->what)),
               PL_F_STR("consumer", decl_at(h->instance, h->at)->name),
               PL_F_CSTR("code", pl_code_name(failure->code)), PL_F_STR("error", failure->message),
               PL_F_STR("traceback", failure->traceback));
    if (h->what == REVOKED)
        let_go(h);
    else if (h->what == ASSIGNED)
        assigned_ended(h, !failure);
    call_over(h);
}

static void call_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    pl_consumer_hooks *h = call->data;
    (void)result;
    ended(h, status == PL_CALL_FAILED ? failure : NULL);
    pl_consumer_hooks_step(h);
}

/* { { topic = "a", partition = 0 }, … }. [jumps] */
static void push_partitions(pl_consumer_hooks *h)
{
    pl_state *state = h->instance->state;
    const pl_engine *e = pl_engine_of(state);
    pl_partition_stats p;
    e->push_list(state, 8);
    pl_slot list = e->top(state);
    for (size_t i = 0; pl_consumer_partition(h->member->consumer, i, &p); i++) {
        e->push_map(state, 2);
        pl_slot map = e->top(state);
        e->push_string(state, pl_str_of(p.topic));
        e->set_member(state, map, PL_STR("topic"));
        e->push_int(state, p.partition);
        e->set_member(state, map, PL_STR("partition"));
        e->set_element(state, list, i);
    }
}

typedef struct section {
    pl_consumer_hooks *hooks;
    pl_call_status status;
    pl_failure failure;
} section;

static void call_section(void *data)
{
    section *s = data;
    pl_consumer_hooks *h = s->hooks;
    pl_state *state = h->instance->state;
    const pl_engine *e = pl_engine_of(state);
    int nargs = 1;
    e->make_room(state, 16);
    if (h->what != TIMER) {
        push_partitions(h);
        nargs++;
    }
    e->push_ctx(state, &h->work);
    if (h->what == REVOKED) {
        e->push_bool(state, h->lost);
        nargs++;
    }
    s->status =
        e->call(state, function_of(h->instance, h->at, h->what), nargs, &h->work, &h->call, &s->failure);
}

static void begin(pl_consumer_hooks *h, hook what, pl_instance *instance, size_t index)
{
    section s = {.hooks = h, .status = PL_CALL_FAILED, .failure = {.code = PL_RESOURCE_EXHAUSTED}};
    pl_error err;
    pl_error_clear(&err);
    pl_arena_init(&h->arena, 0);
    h->running = true;
    h->what = what;
    if (what == ASSIGNED)
        h->more = false; /* it hears of all that there are now */
    h->instance = instance;
    h->at = index;
    h->instance->in_flight++;
    h->work = (pl_work){.protocol = "event",
                        .id = decl_at(instance, index)->name,
                        .arena = &h->arena,
                        .operation_name = pl_str_of(name_of(what)),
                        .ctx = PL_REF_NONE,
                        .log = h->member->log};
    if (function_of(instance, index, what) == PL_REF_NONE)
        s.status = PL_CALL_DONE;
    else
        pl_engine_of(instance->state)->protect(instance->state, call_section, &s, &err);
    if (s.status == PL_CALL_PENDING) {
        h->call->done = call_done;
        h->call->data = h;
        return;
    }
    ended(h, s.status == PL_CALL_FAILED ? &s.failure : NULL);
}

/* --- the timer --- */
static void on_timer(pl_timer *timer)
{
    pl_consumer_hooks *h = timer->data;
    h->timer_due = true;
    arm(h);
    pl_consumer_hooks_step(h);
}

static void arm(pl_consumer_hooks *h)
{
    pl_host *host = h->member->host;
    const pl_consumer_decl *decl = h->open ? decl_at(h->open, h->index) : NULL;
    if (!decl || decl->timer_ms == 0)
        return;
    h->timer = (pl_timer){.fire = on_timer, .data = h, .index = h->timer.index};
    host->ops->timer_start(host, &h->timer, host->ops->now(host) + decl->timer_ms);
}

/* --- what is to be done next --- */
static bool wants_revoked(const pl_consumer_hooks *h)
{
    return h->open && (h->leaving || !h->assigned || h->more || h->open != h->member->live ||
                       h->index != h->member->index);
}

static bool wants_assigned(const pl_consumer_hooks *h)
{
    return !h->open && h->assigned && !h->leaving;
}

void pl_consumer_hooks_step(pl_consumer_hooks *h)
{
    pl_group_member *m = h->member;
    pl_consumer *consumer = m->consumer;
    while (!h->running) {
        bool revoked = wants_revoked(h), assigned = wants_assigned(h), timer = h->open && h->timer_due;
        if (!consumer)
            return;
        pl_consumer_hold(consumer, PL_HELD_BY_HOOKS, revoked || assigned || timer);
        if (h->leaving && !h->open) {
            h->leaving = h->assigned = false;
            pl_consumer_release(consumer);
            return;
        }
        if (m->calls || (!revoked && !timer && (!assigned || h->waits)))
            return;
        if (revoked) {
            begin(h, REVOKED, h->open, h->index);
        } else if (assigned) {
            begin(h, ASSIGNED, m->live, m->index);
        } else {
            h->timer_due = false;
            begin(h, TIMER, h->open, h->index);
        }
    }
}

void pl_consumer_hooks_assigned(pl_consumer_hooks *h)
{
    h->assigned = true;
    h->more = h->open || h->running;
    h->waits = false;
    pl_consumer_hold(h->member->consumer, PL_HELD_BY_HOOKS, true);
    pl_consumer_hooks_step(h);
}

bool pl_consumer_hooks_leaving(pl_consumer_hooks *h, bool lost)
{
    if (!h->open && !h->running) {
        h->assigned = false;
        return false;
    }
    h->leaving = true;
    h->lost = lost;
    pl_consumer_hooks_step(h);
    return h->leaving;
}

static void cancel(pl_consumer_hooks *h)
{
    if (h->call)
        pl_engine_of(h->instance->state)->cancel(h->instance->state, h->call);
    call_over(h);
}

void pl_consumer_hooks_cancel(pl_consumer_hooks *h, pl_instance *instance)
{
    bool revoked = h->running && h->what == REVOKED;
    if (h->running && h->instance == instance)
        cancel(h);
    if (h->open == instance && (revoked || instance->retired))
        let_go(h);
    pl_consumer_hooks_step(h);
}

void pl_consumer_hooks_free(pl_consumer_hooks *h)
{
    if (!h)
        return;
    pl_host *host = h->member->host;
    host->ops->timer_stop(host, &h->again);
    host->ops->timer_stop(host, &h->timer);
    if (h->running)
        cancel(h);
    let_go(h);
    pl_free(h);
}
