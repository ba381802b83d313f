/* SPDX-License-Identifier: MIT */
#include "app/operation.h"

#include <stdio.h>

#include "app/endpoint.h"
#include "app/expiry.h"
#include "app/generation.h"
#include "app/metrics.h"
#include "app/pubsub.h"
#include "base/alloc.h"
#include "base/gone.h"
#include "value/progress.h"

#define GRACE_MS 1000 /* for a source to end by itself, when the operation has another one */
#define SLICE_MS 20   /* of a turn in which subscriptions go over */
#define MAX_HEADERS 64

/* A run of the operation on one instance. When a newer one is live, a subscription gets a second leg there:
 *
 *   current                    current and successor            current, told to end       current
 *   subscribed  ──newer one──> successor on hold, subscribing ──> and successor, on hold ──> (the successor)
 *                                └── refused: no successor; current    └── ended, or GRACE_MS
 *                                    is told to end, and the refusal comes when it has
 *
 * There are never more than two. One that is newer still finds either a successor that is not subscribed yet,
 * which is replaced; or one that is, and has events that the old one will not have: the newest one has its
 * turn when that one has become the current leg. */
typedef struct pl_leg leg;
struct pl_leg {
    leg *next, **place; /* in the instance's list */
    pl_operation *op;
    pl_instance *instance;
    gql_run *run;
    pl_work work;
    pl_arena own; /* of a leg that is not the first */
    bool has_own, starting, subscribed;
};

struct pl_operation {
    pl_operation_config config;
    gql_request request;
    pl_work work; /* what each leg's begins as */
    leg first;
    leg *current;   /* whose payloads go out */
    leg *successor; /* on a newer instance; takes over when current has ended */
    pl_timer grace, expiry;
    bool grace_armed, expiry_armed, held;
    bool *gone;   /* set at the end, while it is started */
    bool counted; /* among the endpoint's */
    pl_progress progress;
    const char *kind;    /* NULL: not known yet */
    pl_metrics *metrics; /* NULL: none */
    uint64_t began;      /* as the meter has it */
    bool subscribed;
    const pl_header *headers;
    size_t header_count;
    bool headers_read;
    bool leaving;         /* it cannot go over: the current leg gives what it has, */
    gql_payload farewell; /* and this is the end instead of COMPLETE */
};

static const gql_payload no_memory = {
    .result = GQL_RESULT_REFUSED,
    .code = PL_RESOURCE_EXHAUSTED,
    .errors = 1,
    .body = PL_STR(
        "{\"errors\":[{\"message\":\"out of memory\",\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\"}}]}")};

/* --- lists --- */
static void list_add(leg **list, leg *l)
{
    l->next = *list;
    if (l->next)
        l->next->place = &l->next;
    *list = l;
    l->place = list;
}

static void list_remove(leg *l)
{
    if (!l->place)
        return;
    *l->place = l->next;
    if (l->next)
        l->next->place = l->place;
    l->place = NULL;
}

/* --- the end of a leg --- */
static void leg_close(leg *l)
{
    pl_instance *instance = l->instance;
    list_remove(l);
    pl_engine_of(instance->state)->work_end(instance->state, &l->work);
    instance->in_flight--;
    if (!l->has_own)
        return;
    pl_arena_dispose(&l->own);
    pl_free(l);
}

static void leg_cancel(leg *l)
{
    gql_run_cancel(l->run);
    leg_close(l);
}

static void grace_stop(pl_operation *op)
{
    if (op->grace_armed)
        op->config.host->ops->timer_stop(op->config.host, &op->grace);
    op->grace_armed = false;
}

static void timers_stop(pl_operation *op)
{
    grace_stop(op);
    if (op->expiry_armed)
        op->config.host->ops->timer_stop(op->config.host, &op->expiry);
    op->expiry_armed = false;
}

static void uncount(pl_operation *op)
{
    if (op->counted)
        op->config.endpoint->operations--;
    op->counted = false;
}

/* --- what is counted --- */
/* While the leg is still there. */
static void note_kind(pl_operation *op, const leg *l)
{
    if (!op->kind)
        op->kind = l->work.operation_kind;
}

/* The time that an answer has taken, when it has been given: the HTTP edge has just read the clock for it, as
 * a rule. */
typedef struct stopwatch {
    pl_metrics *metrics;
    const char *kind;
    uint64_t began, reads;
    bool runs;
} stopwatch;

static stopwatch watch_begin(const pl_operation *op)
{
    stopwatch w = {op->metrics, op->kind, op->began, 0, op->metrics && !op->subscribed};
    if (w.runs)
        pl_metrics_last_ns(w.metrics, &w.reads);
    return w;
}

static void watch_end(const stopwatch *w)
{
    uint64_t reads, now;
    if (!w->runs)
        return;
    now = pl_metrics_last_ns(w->metrics, &reads);
    pl_metrics_graphql_answered(w->metrics, w->kind, w->began,
                                reads != w->reads ? now : pl_metrics_now_ns(w->metrics));
}

static pl_graphql_outcome outcome_of(const gql_payload *payload)
{
    if (payload->result == GQL_RESULT_COMPLETE)
        return PL_GRAPHQL_OK;
    if (payload->result != GQL_RESULT_DATA)
        return PL_GRAPHQL_REFUSED;
    return payload->errors > 0 ? PL_GRAPHQL_ERRORS : PL_GRAPHQL_OK;
}

static void count_end(pl_operation *op, pl_graphql_outcome outcome)
{
    if (!op->metrics)
        return;
    pl_metrics_graphql_ended(op->metrics, op->kind, outcome);
    if (op->subscribed)
        pl_metrics_graphql_subscribed(op->metrics, -1);
}

/* Hands out the last payload. */
static void end(pl_operation *op, const gql_payload *payload)
{
    stopwatch w = watch_begin(op);
    pl_graphql_outcome outcome = outcome_of(payload);
    timers_stop(op);
    uncount(op);
    count_end(op, outcome);
    if (op->metrics && outcome == PL_GRAPHQL_REFUSED)
        pl_metrics_graphql_refused(op->metrics, payload->code, payload->errors);
    if (op->gone)
        *op->gone = true;
    pl_progress_dispose(&op->progress);
    op->config.payload(op->config.data, payload);
    watch_end(&w);
}

/* The same; it comes from that leg, in whose memory it may be. The first leg's goes with the operation. */
static void end_with(pl_operation *op, leg *l, const gql_payload *payload)
{
    bool has_own = l->has_own;
    l->work.progress = NULL; /* which goes with the operation */
    if (!has_own)
        leg_close(l);
    end(op, payload);
    if (has_own)
        leg_close(l);
}

/* The leg's instance is not the live one any more: it goes over in the loop's next turn. Without memory for
 * that it stays, until the next generation comes, or its own is cut off. */
static void go_over_soon(leg *l)
{
    pl_instance *instance = l->instance;
    pl_host *host = l->op->config.host;
    list_remove(l);
    list_add(&instance->rebasing, l);
    instance->rebase_turn.data = instance;
    if (instance->rebase_turn.index == 0)
        host->ops->timer_start(host, &instance->rebase_turn, host->ops->now(host));
}

/* A newer one is live than the leg's. */
static bool is_behind(const leg *l)
{
    return l->instance->rebase_to || l->instance->schema_gone;
}

/* The current leg has gone: the successor goes on where it has left off, or there is none and the operation
 * ends. It may be gone when this returns. */
static void take_over(pl_operation *op)
{
    leg *l = op->successor;
    grace_stop(op);
    pl_progress_leg_ended(&op->progress);
    if (!l) {
        gql_payload farewell = op->farewell;
        end(op, &farewell);
        return;
    }
    op->current = l;
    op->progress.current = l->work.leg;
    op->successor = NULL;
    if (l->subscribed && is_behind(l))
        go_over_soon(l);
    if (!op->held)
        gql_run_hold(l->run, false);
}

static bool grace_start(pl_operation *op);

/* A client that does not read has not got what the old source has still to give: no more is lost for it than
 * what its generation's end takes away. */
static void on_grace(pl_timer *timer)
{
    pl_operation *op = timer->data;
    op->grace_armed = false;
    if (op->held && grace_start(op))
        return;
    leg_cancel(op->current);
    take_over(op);
}

static bool grace_start(pl_operation *op)
{
    pl_host *host = op->config.host;
    op->grace = (pl_timer){.fire = on_grace, .data = op};
    op->grace_armed = host->ops->timer_start(host, &op->grace, host->ops->now(host) + GRACE_MS) == 0;
    return op->grace_armed;
}

/* --- credentials that end, end the subscription --- */
static void end_both(pl_operation *op)
{
    note_kind(op, op->current);
    if (op->successor)
        leg_cancel(op->successor);
    op->successor = NULL;
    leg_cancel(op->current);
}

static void on_expiry(pl_timer *timer)
{
    pl_operation *op = timer->data;
    op->expiry_armed = false;
    end_both(op);
    end(op, &(gql_payload){.result = GQL_RESULT_REFUSED,
                           .code = PL_UNAUTHENTICATED,
                           .errors = 1,
                           .body = PL_STR("{\"errors\":[{\"message\":\"The credentials have expired.\","
                                          "\"extensions\":{\"code\":\"UNAUTHENTICATED\"}}]}")});
}

/* As the leg's interceptors say. False: memory; then nobody would end it in time. */
static bool expiry_start(pl_operation *op, leg *l)
{
    pl_host *host = op->config.host;
    uint64_t left = pl_expiry_left(l->instance->state, &l->work);
    if (op->expiry_armed)
        host->ops->timer_stop(host, &op->expiry);
    op->expiry = (pl_timer){.fire = on_expiry, .data = op};
    op->expiry_armed =
        left != PL_NO_EXPIRY && host->ops->timer_start(host, &op->expiry, host->ops->now(host) + left) == 0;
    return op->expiry_armed || left == PL_NO_EXPIRY;
}

/* --- headers --- */
typedef struct reading {
    pl_operation *op;
    leg *leg;
    pl_header *headers;
    size_t count, left_out;
    bool whole; /* nothing was missed for want of memory */
} reading;

static void read_header(reading *r, pl_slot key)
{
    pl_state *state = r->leg->instance->state;
    const pl_engine *e = pl_engine_of(state);
    pl_arena *arena = r->op->work.arena;
    if (e->kind(state, key) != PL_KIND_STRING)
        return;
    if (r->count == MAX_HEADERS) {
        r->left_out++;
        return;
    }
    pl_kind kind = e->kind(state, key + 1);
    pl_str value = PL_STR_NONE;
    if (kind == PL_KIND_STRING)
        value = pl_arena_str(arena, e->get_string(state, key + 1));
    else if (kind == PL_KIND_INT)
        value = pl_arena_printf(arena, "%lld", (long long)e->get_int(state, key + 1));
    else
        return;
    pl_str name = pl_arena_str(arena, e->get_string(state, key));
    if (name.ptr && value.ptr)
        r->headers[r->count++] = (pl_header){name, value};
    else
        r->whole = false;
}

static void headers_section(void *data)
{
    reading *r = data;
    pl_state *state = r->leg->instance->state;
    const pl_engine *e = pl_engine_of(state);
    pl_key *name = e->key(state, PL_STR("response_headers"));
    if (!name)
        return;
    e->make_room(state, 8);
    e->push_ctx(state, &r->leg->work);
    pl_slot map = e->top(state) + 1;
    r->whole = true;
    if (!e->field(state, map - 1, name) || e->kind(state, map) != PL_KIND_MAP)
        return;
    r->headers = pl_arena_array(r->op->work.arena, MAX_HEADERS, sizeof *r->headers);
    r->whole = r->headers != NULL;
    e->push_absent(state);
    while (r->headers && e->next(state, map)) {
        read_header(r, map + 1);
        e->pop_to(state, map + 1);
    }
}

/* False: memory. Headers may be what keeps an answer from a cache, or says who sees it: an answer is not
 * given without them. */
static bool read_headers(pl_operation *op, leg *l)
{
    reading r = {.op = op, .leg = l};
    pl_error err;
    pl_error_clear(&err);
    pl_state *state = l->instance->state;
    if (op->headers_read)
        return true;
    op->headers_read = true;
    if (l->work.ctx == PL_REF_NONE)
        return true;
    if (!pl_engine_of(state)->protect(state, headers_section, &r, &err) || !r.whole)
        return false;
    op->headers = r.headers;
    op->header_count = r.count;
    if (r.left_out > 0)
        pl_log(op->work.log, PL_WARN, "ctx.response_headers has too many entries: some are left out",
               PL_F_STR("request", op->work.id), PL_F_INT("left_out", r.left_out),
               PL_F_INT("most", MAX_HEADERS));
    return true;
}

const pl_header *pl_operation_headers(const pl_operation *op, size_t *count)
{
    *count = op->header_count;
    return op->headers;
}

/* --- payloads --- */
/* Both legs go at once, and the operation with them. */
static void break_off(pl_operation *op)
{
    end_both(op);
    end(op, &no_memory);
}

/* The first of its legs has its source. */
static void count_subscription(pl_operation *op)
{
    if (op->subscribed || !op->metrics)
        return;
    stopwatch w = watch_begin(op);
    op->subscribed = true;
    pl_metrics_graphql_subscribed(op->metrics, 1);
    watch_end(&w);
}

/* False: the operation is gone. */
static bool leg_subscribed(leg *l)
{
    l->subscribed = true;
    uncount(l->op);
    count_subscription(l->op);
    if (!expiry_start(l->op, l)) {
        break_off(l->op);
        return false;
    }
    if (l == l->op->current && is_behind(l))
        go_over_soon(l);
    return true;
}

static void current_payload(pl_operation *op, leg *l, const gql_payload *payload)
{
    if (payload->result == GQL_RESULT_SUBSCRIBED && !leg_subscribed(l))
        return;
    if (payload->has_next) {
        if (payload->result == GQL_RESULT_DATA)
            pl_progress_given(&op->progress);
        if (read_headers(op, l))
            op->config.payload(op->config.data, payload);
        else
            break_off(op);
        return;
    }
    if (payload->result == GQL_RESULT_COMPLETE) /* its last events may have been passed over */
        pl_progress_given(&op->progress);
    if ((op->successor && op->successor->subscribed) ||
        (op->leaving && payload->result == GQL_RESULT_COMPLETE)) {
        leg_close(l);
        take_over(op);
        return;
    }
    if (op->successor) {
        leg_cancel(op->successor);
        op->successor = NULL;
    }
    end_with(op, l, read_headers(op, l) ? payload : &no_memory);
}

static void tell_current(pl_operation *op)
{
    leg *l = op->current;
    if (l->instance->pubsub)
        pl_pubsub_end(l->instance->pubsub, &l->instance->host, &l->work);
}

/* The old source is told to end: what it has still to give is taken first. The operation may be gone when
 * this returns. */
static void end_current(pl_operation *op)
{
    if (grace_start(op)) {
        tell_current(op);
    } else {
        leg_cancel(op->current);
        take_over(op);
    }
}

/* It cannot go over, and ends with this when what the current leg has still to give has been taken. False:
 * memory; it is to end now. */
static bool leave(pl_operation *op, const gql_payload *farewell)
{
    op->farewell = *farewell;
    op->farewell.body = pl_arena_str(op->work.arena, farewell->body);
    op->leaving = op->farewell.body.ptr && grace_start(op);
    return op->leaving;
}

static void successor_payload(pl_operation *op, leg *l, const gql_payload *payload)
{
    if (payload->result == GQL_RESULT_SUBSCRIBED) {
        if (leg_subscribed(l) && !l->starting)
            end_current(op); /* else by whoever starts it */
        return;
    }
    if (payload->has_next)
        return; /* cannot be: it is on hold */
    op->successor = NULL;
    if (!leave(op, payload)) {
        leg_cancel(op->current);
        end_with(op, l, payload);
        return;
    }
    leg_close(l);
    tell_current(op);
}

static void on_payload(void *data, const gql_payload *payload)
{
    leg *l = data;
    note_kind(l->op, l);
    if (l == l->op->current)
        current_payload(l->op, l, payload);
    else
        successor_payload(l->op, l, payload);
}

/* --- the start --- */
/* False: the leg has ended. */
static bool leg_start(leg *l, pl_operation *op, pl_instance *instance, pl_arena *arena, bool held)
{
    gql_request request = op->request;
    l->op = op;
    l->instance = instance;
    l->work = op->work;
    l->work.arena = arena;
    l->work.ctx = PL_REF_NONE;
    l->work.leg = ++op->progress.legs;
    request.held = held;
    request.place = &l->run;
    instance->in_flight++;
    list_add(&instance->operations, l);
    l->starting = true;
    if (!gql_service_run(instance->service, &request, &l->work, on_payload, l))
        return false;
    l->starting = false;
    return true;
}

static void refuse_crowd(const pl_operation_config *config, uint32_t most)
{
    pl_buf body;
    char message[160];
    snprintf(message, sizeof message,
             "The server has %u operations in hand, which is the most that it takes on.", most);
    pl_buf_init(&body);
    gql_write_error(&body, PL_UNAVAILABLE, pl_str_of(message));
    config->payload(config->data, &(gql_payload){.result = GQL_RESULT_REFUSED,
                                                 .code = PL_UNAVAILABLE,
                                                 .errors = 1,
                                                 .body = body.failed ? PL_STR("{}") : pl_buf_view(&body)});
    pl_buf_dispose(&body);
}

static void count_refusal(pl_metrics *metrics, pl_code code)
{
    if (!metrics)
        return;
    pl_metrics_graphql_ended(metrics, NULL, PL_GRAPHQL_REFUSED);
    pl_metrics_graphql_refused(metrics, code, 1);
}

pl_operation *pl_operation_start(const pl_operation_config *config)
{
    pl_gone watch;
    uint32_t most = config->instance->generation ? config->instance->generation->config.max_operations : 0;
    pl_metrics *metrics = pl_metrics_of(config->host);
    if (config->endpoint && most > 0 && config->endpoint->operations >= most) {
        count_refusal(metrics, PL_UNAVAILABLE);
        refuse_crowd(config, most);
        return NULL;
    }
    pl_operation *op = pl_arena_zalloc(config->work->arena, sizeof *op);
    if (!op) {
        count_refusal(metrics, PL_RESOURCE_EXHAUSTED);
        config->payload(config->data, &no_memory);
        return NULL;
    }
    op->config = *config;
    op->metrics = metrics;
    op->began = metrics ? config->host->meter->now(config->host->meter) : 0;
    op->request = *config->request;
    op->work = *config->work;
    op->work.progress = &op->progress;
    op->current = &op->first;
    op->progress.current = 1; /* the first */
    op->counted = config->endpoint != NULL;
    if (op->counted)
        config->endpoint->operations++;
    pl_gone_watch(&watch, &op->gone);
    if (config->place)
        *config->place = op;
    leg_start(&op->first, op, config->instance, config->work->arena, false);
    return pl_gone_end(&watch) ? NULL : op;
}

void pl_operation_cancel(pl_operation *op)
{
    timers_stop(op);
    uncount(op);
    note_kind(op, op->current);
    count_end(op, PL_GRAPHQL_CANCELLED);
    end_both(op);
    pl_progress_dispose(&op->progress);
    if (op->gone)
        *op->gone = true;
}

void pl_operation_hold(pl_operation *op, bool hold)
{
    op->held = hold;
    gql_run_hold(op->current->run, hold);
}

/* --- going over to a newer instance --- */
static void go_over(leg *l, pl_instance *live)
{
    pl_operation *op = l->op;
    leg *next = pl_calloc(1, sizeof *next);
    if (!next)
        return; /* it stays, until its generation is cut off */
    if (op->successor)
        leg_cancel(op->successor);
    pl_arena_init(&next->own, 1024);
    next->has_own = true;
    op->successor = next;
    if (leg_start(next, op, live, &next->own, true) && next->subscribed)
        end_current(op);
}

/* There is nothing to go over to. */
static void stay_behind(leg *l)
{
    static const gql_payload farewell = {
        .result = GQL_RESULT_REFUSED,
        .code = PL_UNAVAILABLE,
        .errors = 1,
        .body = PL_STR("{\"errors\":[{\"message\":\"The server has no GraphQL schema any more.\","
                       "\"extensions\":{\"code\":\"UNAVAILABLE\"}}]}")};
    pl_operation *op = l->op;
    if (op->successor)
        leg_cancel(op->successor);
    op->successor = NULL;
    if (leave(op, &farewell)) {
        tell_current(op);
    } else {
        leg_cancel(l);
        end(op, &farewell);
    }
}

/* The leg is a subscription's, and nothing is under way for it yet. */
static bool can_go_over(const leg *l)
{
    const pl_operation *op = l->op;
    return l->subscribed && l == op->current && !op->leaving && !(op->successor && op->successor->subscribed);
}

static uint64_t clock_of(pl_instance *instance)
{
    const pl_engine *e = pl_engine_of(instance->state);
    return e->watched_at ? e->watched_at(instance->state) : 0;
}

static void rebase_slice(pl_instance *retired)
{
    pl_instance *live = retired->rebase_to, *clock = live ? live : retired;
    uint64_t began = clock_of(clock);
    while (retired->rebasing && (live || retired->schema_gone)) {
        leg *l = retired->rebasing;
        list_remove(l);
        list_add(&retired->operations, l);
        if (can_go_over(l) && live)
            go_over(l, live);
        else if (can_go_over(l))
            stay_behind(l);
        if (clock_of(clock) - began < SLICE_MS || !retired->rebasing)
            continue;
        retired->rebase_turn.data = retired;
        if (retired->loop->ops->timer_start(retired->loop, &retired->rebase_turn,
                                            retired->loop->ops->now(retired->loop)) == 0)
            return;
    }
}

static void on_rebase_turn(pl_timer *timer)
{
    rebase_slice(timer->data);
}

void pl_operations_rebase(pl_instance *retired, pl_instance *live)
{
    retired->rebase_turn.fire = on_rebase_turn;
    retired->rebase_to = live->service ? live : NULL;
    retired->schema_gone = !live->service;
    for (leg *l = retired->operations, *next; l; l = next) {
        next = l->next;
        if (!can_go_over(l))
            continue;
        list_remove(l);
        list_add(&retired->rebasing, l);
    }
    if (retired->rebase_turn.index == 0)
        rebase_slice(retired);
}

static void leg_end(leg *l)
{
    pl_operation *op = l->op;
    if (l == op->successor && !l->subscribed) {
        op->successor = NULL;
        leg_cancel(l);
        return;
    }
    note_kind(op, l);
    leg *other = l == op->current ? op->successor : op->current;
    if (l == op->current && other) {
        leg_cancel(l);
        take_over(op);
        return;
    }
    if (other) /* it has been told to end */
        leg_cancel(other);
    leg_cancel(l);
    end(op, &(gql_payload){
                .result = GQL_RESULT_REFUSED,
                .code = PL_UNAVAILABLE,
                .body = PL_STR(
                    "{\"errors\":[{\"message\":\"The server has gone over to a newer version, and this "
                    "operation took too long on the old one.\",\"extensions\":{\"code\":"
                    "\"UNAVAILABLE\"}}]}")});
}

void pl_operations_end(pl_instance *instance)
{
    while (instance->operations)
        leg_end(instance->operations);
    while (instance->rebasing)
        leg_end(instance->rebasing);
}
