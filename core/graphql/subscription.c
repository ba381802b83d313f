/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "graphql/execution/subscribe.h"
#include "graphql/service_internal.h"

/* A subscription (spec 6.2.3): its source gives one event after the other, and the operation is executed for
 * each. The next event is taken when the last one's response has been handed out, and the receiver can take
 * more:
 *
 *   SUBSCRIBING ──source──> IDLE ──take──> TAKING ──event──> EXECUTING ──payload──> IDLE …
 *                            └── held: waits for gql_subscription_hold(false)
 *
 * Each event has a work, an arena and a ctx of its own (so that loaders do not remember what they gave for
 * the last one); the ctx begins as a copy of the subscription's. */

#define TURN_MS 20 /* a source that always has an event at once gives the loop back after this long */

typedef enum state { SUBSCRIBING, IDLE, TAKING, EXECUTING } state;

struct gql_subscription {
    gql_run *run;
    const pl_engine *e;
    pl_state *script;
    state state;
    bool held, in_turn;
    bool *gone;               /* set when it is freed while pull is at work */
    gql_execution *subscribe; /* SUBSCRIBING */
    pl_ref next, close;
    pl_call *call; /* of subscribe, or next */
    pl_timer timer;
    bool timer_armed;
    uint64_t turn_began;

    /* The event in hand. */
    pl_arena arena;
    pl_work work;
    pl_ref event;
    gql_execution *execution;
};

static pl_host *host_of(gql_subscription *s)
{
    return ((pl_state_head *)s->script)->host;
}

static void timer_stop(gql_subscription *s)
{
    if (s->timer_armed)
        host_of(s)->ops->timer_stop(host_of(s), &s->timer);
    s->timer_armed = false;
}

static bool timer_start(gql_subscription *s, void (*fire)(pl_timer *timer), unsigned ms)
{
    timer_stop(s);
    s->timer.fire = fire;
    s->timer.data = s;
    s->timer_armed =
        host_of(s)->ops->timer_start(host_of(s), &s->timer, host_of(s)->ops->now(host_of(s)) + ms) == 0;
    return s->timer_armed;
}

/* --- the end --- */
static void drop(gql_subscription *s, pl_ref *ref)
{
    if (*ref != PL_REF_NONE)
        s->e->drop(s->script, *ref);
    *ref = PL_REF_NONE;
}

static void event_end(gql_subscription *s)
{
    s->e->work_end(s->script, &s->work);
    drop(s, &s->event);
    pl_arena_dispose(&s->arena);
    s->execution = NULL;
}

static void close_section(void *data)
{
    gql_subscription *s = data;
    pl_call *pending = NULL;
    pl_failure failure = {0};
    if (s->e->reserve(s->script, 4) &&
        s->e->call(s->script, s->close, 0, s->run->work, &pending, &failure) == PL_CALL_PENDING)
        s->e->cancel(s->script, pending);
}

/* Lets go of the source; the run goes on without. */
static void release(gql_subscription *s)
{
    pl_error err;
    pl_error_clear(&err);
    timer_stop(s);
    if (s->call)
        s->e->cancel(s->script, s->call);
    s->call = NULL;
    if (s->execution) {
        gql_execution_cancel(s->execution);
        event_end(s);
    }
    if (s->subscribe)
        gql_execution_cancel(s->subscribe);
    s->subscribe = NULL;
    if (s->close != PL_REF_NONE)
        s->e->protect(s->script, close_section, s, &err);
    drop(s, &s->next);
    drop(s, &s->close);
    if (s->gone)
        *s->gone = true;
    s->run->subscription = NULL;
}

void gql_subscription_cancel(gql_subscription *s)
{
    if (s)
        release(s);
}

static void complete(gql_subscription *s)
{
    gql_run *run = s->run;
    release(s);
    gql_run_emit(run, &(gql_payload){.result = GQL_RESULT_COMPLETE});
}

static void end_with_failure(gql_subscription *s, const pl_failure *failure)
{
    gql_run *run = s->run;
    release(s);
    gql_run_refuse_failure(run, failure, "subscription failed");
}

static void end_without_memory(gql_subscription *s)
{
    end_with_failure(s, &pl_failure_no_memory);
}

/* --- an event --- */
static void pull(gql_subscription *s);

static void on_payload(void *data, pl_str response, bool has_next)
{
    gql_subscription *s = data;
    gql_run *run = s->run;
    pl_gone watch;
    run->error_count += has_next ? 0 : gql_execution_errors(s->execution);
    pl_gone_watch(&watch, &s->gone);
    gql_run_emit(run, &(gql_payload){.result = GQL_RESULT_DATA, .body = response, .has_next = true});
    if (pl_gone_end(&watch) || has_next)
        return;
    event_end(s);
    s->state = IDLE;
    pull(s);
}

static bool write_extensions(void *data, pl_buf *out)
{
    gql_subscription *s = data;
    return gql_write_ctx_extensions(out, out->len, s->script, &s->work);
}

/* s->event is kept. */
static void execute(gql_subscription *s)
{
    gql_run *run = s->run;
    gql_service *service = run->service;
    pl_arena_init(&s->arena, 1024);
    s->work = *run->work;
    s->work.arena = &s->arena;
    s->work.ctx = PL_REF_NONE;
    s->work.loaders = s->work.queues = NULL;
    s->work.remotes = NULL;
    s->work.parent = run->work;
    gql_input_env env = run->env; /* the variables' values stay the run's */
    env.arena = &s->arena;
    env.work = &s->work;
    env.refs = NULL;
    gql_execution_params params = {.root = s->event, .extensions = write_extensions, .extensions_data = s};
    s->state = EXECUTING;
    s->execution = gql_execution_new(run->plan, &env, &s->work, &service->options.execute, &params,
                                     &service->spare, service->options.max_response);
    if (!s->execution) {
        event_end(s);
        end_without_memory(s);
        return;
    }
    gql_execution_start(s->execution, on_payload, s);
}

/* --- the source --- */
typedef struct section {
    gql_subscription *s;
    pl_call_status status;
    pl_failure failure;
    bool ended, no_source;
} section;

/* The next event is in the top slot. */
static void keep_event(section *x)
{
    gql_subscription *s = x->s;
    x->ended = s->e->kind(s->script, s->e->top(s->script)) == PL_KIND_ABSENT;
    if (!x->ended)
        s->event = s->e->keep(s->script, s->e->top(s->script));
}

static void taken(gql_subscription *s, const section *x)
{
    if (x->status == PL_CALL_FAILED)
        end_with_failure(s, &x->failure);
    else if (x->ended)
        complete(s);
    else
        execute(s);
}

static void next_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    gql_subscription *s = call->data;
    section x = {.s = s, .status = status};
    (void)result;
    s->call = NULL;
    if (status == PL_CALL_FAILED)
        x.failure = *failure;
    else
        keep_event(&x);
    s->turn_began = s->e->watched_at ? s->e->watched_at(s->script) : 0;
    taken(s, &x);
}

static void take_section(void *data)
{
    section *x = data;
    gql_subscription *s = x->s;
    if (!s->e->reserve(s->script, 8))
        return;
    x->status = s->e->call(s->script, s->next, 0, s->run->work, &s->call, &x->failure);
    if (x->status == PL_CALL_DONE)
        keep_event(x);
}

static void on_turn(pl_timer *timer)
{
    gql_subscription *s = timer->data;
    s->timer_armed = false;
    s->turn_began = s->e->watched_at ? s->e->watched_at(s->script) : 0;
    pull(s);
}

static bool turn_is_long(const gql_subscription *s)
{
    return s->e->watched_at && s->e->watched_at(s->script) - s->turn_began >= TURN_MS;
}

static void take(gql_subscription *s)
{
    section x = {.s = s, .status = PL_CALL_FAILED, .failure = pl_failure_no_memory};
    pl_error err;
    pl_error_clear(&err);
    s->state = TAKING;
    if (!s->e->protect(s->script, take_section, &x, &err))
        x.status = PL_CALL_FAILED;
    if (x.status != PL_CALL_PENDING) {
        s->call = NULL;
        taken(s, &x);
        return;
    }
    s->call->done = next_done;
    s->call->data = s;
}

/* Takes events as long as they come at once: one after the other, without recursion. */
static void pull(gql_subscription *s)
{
    pl_gone watch;
    if (s->in_turn)
        return; /* the loop below goes on */
    s->in_turn = true;
    pl_gone_watch(&watch, &s->gone);
    while (!watch.gone && s->state == IDLE && !s->held && !s->timer_armed) {
        if (!turn_is_long(s))
            take(s);
        else if (!timer_start(s, on_turn, 0))
            end_without_memory(s);
    }
    if (!pl_gone_end(&watch))
        s->in_turn = false;
}

void gql_subscription_hold(gql_subscription *s, bool hold)
{
    s->held = hold;
    if (!hold)
        pull(s);
}

/* --- subscribing --- */
static void refuse(gql_subscription *s)
{
    gql_run *run = s->run;
    pl_buf body;
    pl_buf_init(&body);
    gql_subscribe_write_errors(s->subscribe, &body);
    run->error_count = 1;
    release(s);
    gql_run_emit(run, &(gql_payload){.result = GQL_RESULT_REFUSED,
                                     .code = PL_INVALID_ARGUMENT,
                                     .body = body.failed ? gql_no_memory_body() : pl_buf_view(&body)});
    pl_buf_dispose(&body);
}

static void subscribed(gql_subscription *s, const section *x)
{
    pl_gone watch;
    timer_stop(s);
    if (x->status == PL_CALL_FAILED || x->no_source) {
        refuse(s);
        return;
    }
    gql_execution_cancel(s->subscribe);
    s->subscribe = NULL;
    s->state = IDLE;
    s->turn_began = s->e->watched_at ? s->e->watched_at(s->script) : 0;
    pl_gone_watch(&watch, &s->gone);
    gql_run_emit(s->run, &(gql_payload){.result = GQL_RESULT_SUBSCRIBED, .has_next = true});
    if (!pl_gone_end(&watch))
        pull(s);
}

/* The source is in the top slot. */
static void open_source(section *x)
{
    gql_subscription *s = x->s;
    if (!s->e->reserve(s->script, 8)) {
        x->status = PL_CALL_FAILED;
        return;
    }
    x->no_source = !s->e->open_iterator(s->script, s->e->top(s->script), &s->next, &s->close);
    if (x->no_source)
        gql_subscribe_no_source(s->subscribe);
}

static void subscribe_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    gql_subscription *s = call->data;
    section x = {.s = s, .status = status};
    (void)result;
    s->call = NULL;
    if (status == PL_CALL_FAILED)
        gql_subscribe_failed(s->subscribe, failure);
    else
        open_source(&x);
    subscribed(s, &x);
}

static void subscribe_section(void *data)
{
    section *x = data;
    gql_subscription *s = x->s;
    if (!s->e->reserve(s->script, 20))
        return;
    x->status = gql_subscribe(s->subscribe, &s->call);
    if (x->status == PL_CALL_DONE)
        open_source(x);
}

static void on_timeout(pl_timer *timer)
{
    static const pl_failure failure = {.code = PL_DEADLINE_EXCEEDED,
                                       .expected = true,
                                       .message = PL_STR("The subscription could not be made in time.")};
    gql_subscription *s = timer->data;
    s->timer_armed = false;
    end_with_failure(s, &failure);
}

void gql_subscription_start(gql_run *run)
{
    gql_service *service = run->service;
    pl_state *script = service->binding->state;
    unsigned timeout = service->options.execute.timeout_ms;
    pl_error err;
    pl_error_clear(&err);
    gql_subscription *s = pl_arena_zalloc(run->work->arena, sizeof *s);
    if (!s) {
        run->errors.out_of_memory = true;
        gql_run_refuse(run, GQL_RESULT_REFUSED);
        return;
    }
    *s = (gql_subscription){.run = run,
                            .e = pl_engine_of(script),
                            .script = script,
                            .held = run->on_hold,
                            .next = PL_REF_NONE,
                            .close = PL_REF_NONE,
                            .event = PL_REF_NONE};
    run->subscription = s;
    gql_input_env env = run->env;
    env.refs = NULL;
    s->subscribe = gql_execution_new(run->plan, &env, run->work, &service->options.execute, NULL,
                                     &service->spare, service->options.max_response);
    section x = {.s = s, .status = PL_CALL_FAILED};
    if (!s->subscribe) {
        end_without_memory(s);
        return;
    }
    if (!s->e->protect(script, subscribe_section, &x, &err))
        x.status = PL_CALL_FAILED;
    if (x.status != PL_CALL_PENDING) {
        s->call = NULL;
        subscribed(s, &x);
        return;
    }
    s->call->done = subscribe_done;
    s->call->data = s;
    if (!timer_start(s, on_timeout, timeout ? timeout : 30000))
        end_without_memory(s);
}
