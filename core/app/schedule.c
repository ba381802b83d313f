/* SPDX-License-Identifier: MIT */
#include "app/schedule.h"

#include "app/generation.h"
#include "app/pubsub.h"
#include "base/alloc.h"

#define GRACE_MS 2000

typedef struct scheduled scheduled;
struct scheduled {
    scheduled *next;
    pl_schedule *schedule;
    pl_str name; /* in arena */
    uint64_t every_ms;
    size_t index;  /* of its function in the live instance */
    bool wanted;   /* the live generation declares it */
    bool built_in; /* what publishes an event with its name wakes it, also while it runs */
    bool again;
    pl_subscriber waker;
    pl_timer grace; /* of a run that began on an older generation */
    pl_timer timer;
    pl_arena arena;

    /* The run in hand. */
    bool running;
    pl_instance *instance;
    pl_call *call;
    pl_work work;
    pl_arena work_arena;
};

struct pl_schedule {
    pl_host *host;
    pl_pubsub *pubsub;
    pl_logger *log;
    pl_instance *live;
    scheduled *timers;
    bool stopped;
};

pl_schedule *pl_schedule_new(pl_host *host, pl_pubsub *pubsub, pl_logger *log)
{
    pl_schedule *s = pl_calloc(1, sizeof *s);
    if (s) {
        s->host = host;
        s->pubsub = pubsub;
        s->log = log;
    }
    return s;
}

static void scheduled_free(scheduled *t)
{
    t->schedule->host->ops->timer_stop(t->schedule->host, &t->grace);
    pl_arena_dispose(&t->arena);
    pl_free(t);
}

/* --- a run --- */
static void run_end(scheduled *t)
{
    pl_instance *instance = t->instance;
    pl_engine_of(instance->state)->work_end(instance->state, &t->work);
    pl_arena_dispose(&t->work_arena);
    t->running = false;
    t->call = NULL;
    t->instance = NULL;
    instance->in_flight--;
}

static void log_failure(scheduled *t, const pl_failure *failure)
{
    pl_log(t->schedule->log, PL_ERROR, "timer failed", PL_F_STR("timer", t->name),
           PL_F_CSTR("code", pl_code_name(failure->code)), PL_F_STR("error", failure->message),
           PL_F_STR("traceback", failure->traceback));
}

static void sweep(pl_schedule *s);
static void cancel_run(scheduled *t);

/* It was woken while it ran: what for may have come too late for that run. */
static void run_again(scheduled *t)
{
    pl_host *host = t->schedule->host;
    if (t->again && t->wanted && !t->schedule->stopped)
        host->ops->timer_start(host, &t->timer, host->ops->now(host));
}

static void call_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    scheduled *t = call->data;
    pl_schedule *s = t->schedule;
    (void)result;
    if (status == PL_CALL_FAILED)
        log_failure(t, failure);
    run_end(t);
    run_again(t);
    sweep(s);
}

static void call_section(void *data)
{
    scheduled *t = data;
    pl_state *state = t->instance->state;
    const pl_engine *e = pl_engine_of(state);
    pl_failure failure = {0};
    e->push_ctx(state, &t->work);
    pl_call_status status = e->call(state, t->instance->timers[t->index], 1, &t->work, &t->call, &failure);
    if (status == PL_CALL_PENDING) {
        t->call->done = call_done;
        t->call->data = t;
        return;
    }
    t->call = NULL;
    if (status == PL_CALL_FAILED)
        log_failure(t, &failure);
}

static void run_start(scheduled *t)
{
    pl_error err = {0};
    pl_arena_init(&t->work_arena, 0);
    t->work = (pl_work){.protocol = "timer",
                        .id = t->name,
                        .arena = &t->work_arena,
                        .ctx = PL_REF_NONE,
                        .log = t->schedule->log};
    t->running = true;
    t->again = false;
    t->instance = t->schedule->live;
    t->instance->in_flight++;
    if (!pl_engine_of(t->instance->state)->protect(t->instance->state, call_section, t, &err))
        pl_log(t->schedule->log, PL_ERROR, "timer failed", PL_F_STR("timer", t->name),
               PL_F_CSTR("error", err.message));
    if (!t->call)
        run_end(t);
}

static void arm(scheduled *t)
{
    pl_host *host = t->schedule->host;
    if (host->ops->timer_start(host, &t->timer, host->ops->now(host) + t->every_ms) != 0)
        pl_log(t->schedule->log, PL_ERROR, "timer not started: out of memory", PL_F_STR("timer", t->name));
}

static void fire(pl_timer *timer)
{
    scheduled *t = timer->data;
    if (t->schedule->stopped)
        return;
    arm(t);
    if (t->running && t->built_in)
        t->again = true;
    else if (t->running)
        pl_log(t->schedule->log, PL_WARN, "timer skipped: its last run is not over",
               PL_F_STR("timer", t->name));
    else
        run_start(t);
}

/* --- those that are built in --- */
static void woken(pl_subscriber *waker, const pl_event *event)
{
    scheduled *t = (scheduled *)((char *)waker - offsetof(scheduled, waker));
    (void)event;
    if (t->schedule->stopped || !t->wanted)
        return;
    if (t->running)
        t->again = true;
    else
        run_start(t);
}

/* Such a run may wait for brokers that are away: the new generation begins anew with what it has left. */
static void grace_over(pl_timer *timer)
{
    scheduled *t = (scheduled *)((char *)timer - offsetof(scheduled, grace));
    if (t->running && t->instance != t->schedule->live)
        cancel_run(t);
}

static void begin_grace(scheduled *t)
{
    pl_host *host = t->schedule->host;
    t->grace.fire = grace_over;
    if (t->built_in && t->running && t->instance != t->schedule->live)
        host->ops->timer_start(host, &t->grace, host->ops->now(host) + GRACE_MS);
}

static void waker_ended(pl_subscriber *waker)
{
    (void)waker; /* the worker ends */
}

static void listen(scheduled *t)
{
    t->waker = (pl_subscriber){.message = woken, .ended = waker_ended};
    if (t->schedule->pubsub)
        pl_pubsub_subscribe(t->schedule->pubsub, t->schedule->host, t->name, &t->waker);
}

static void listen_no_more(scheduled *t)
{
    if (t->waker.topic)
        pl_pubsub_unsubscribe(t->schedule->pubsub, &t->waker);
}

/* --- declarations --- */
static scheduled *find(pl_schedule *s, pl_str name)
{
    for (scheduled *t = s->timers; t; t = t->next) {
        if (pl_str_eq(t->name, name))
            return t;
    }
    return NULL;
}

static scheduled *add(pl_schedule *s, const pl_timer_config *config)
{
    scheduled *t = pl_calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->schedule = s;
    pl_arena_init(&t->arena, 0);
    t->name = pl_arena_str(&t->arena, config->name);
    if (!t->name.ptr) {
        scheduled_free(t);
        return NULL;
    }
    t->timer.fire = fire;
    t->timer.data = t;
    t->next = s->timers;
    s->timers = t;
    t->built_in = config->module.ptr != NULL;
    if (t->built_in)
        listen(t);
    return t;
}

/* Frees timers that are no longer declared, but for those that run. */
static void sweep(pl_schedule *s)
{
    for (scheduled **at = &s->timers; *at;) {
        scheduled *t = *at;
        if (t->wanted || t->running) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        s->host->ops->timer_stop(s->host, &t->timer);
        listen_no_more(t);
        scheduled_free(t);
    }
}

void pl_schedule_adopt(pl_schedule *s, pl_instance *instance)
{
    const pl_config *config = &instance->generation->config;
    s->live = instance;
    for (scheduled *t = s->timers; t; t = t->next)
        t->wanted = false;
    for (size_t i = 0; i < config->timer_count; i++) {
        scheduled *t = find(s, config->timers[i].name);
        if (!t)
            t = add(s, &config->timers[i]);
        if (!t) {
            pl_log(s->log, PL_ERROR, "timer not started: out of memory",
                   PL_F_STR("timer", config->timers[i].name));
            continue;
        }
        t->wanted = true;
        t->index = i;
        if (t->timer.index == 0 || t->every_ms != config->timers[i].every_ms) {
            t->every_ms = config->timers[i].every_ms;
            arm(t);
        }
    }
    for (scheduled *t = s->timers; t; t = t->next) {
        if (!t->wanted)
            s->host->ops->timer_stop(s->host, &t->timer);
        begin_grace(t);
    }
    sweep(s);
}

static void cancel_run(scheduled *t)
{
    if (t->call)
        pl_engine_of(t->instance->state)->cancel(t->instance->state, t->call);
    run_end(t);
}

void pl_schedule_cancel(pl_schedule *s, pl_instance *instance)
{
    for (scheduled *t = s->timers; t; t = t->next) {
        if (t->running && t->instance == instance)
            cancel_run(t);
    }
    sweep(s);
}

void pl_schedule_stop(pl_schedule *s)
{
    s->stopped = true;
    for (scheduled *t = s->timers; t; t = t->next) {
        s->host->ops->timer_stop(s->host, &t->timer);
        listen_no_more(t);
    }
}

void pl_schedule_free(pl_schedule *s)
{
    while (s->timers) {
        scheduled *t = s->timers;
        s->timers = t->next;
        s->host->ops->timer_stop(s->host, &t->timer);
        listen_no_more(t);
        if (t->running)
            cancel_run(t);
        scheduled_free(t);
    }
    pl_free(s);
}
