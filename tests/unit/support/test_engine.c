/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "support/test_engine_internal.h"

/* States, protected sections, calls, and the host. */

static te *cast(pl_state *state)
{
    return (te *)state;
}

pl_state *te_state(te *t)
{
    return (pl_state *)t;
}

/* --- protected sections --- */
void te_jump(te *t)
{
    if (t->handler)
        longjmp(t->handler->jump, 1);
}

static void section_leave(te *t, const te_handler *h)
{
    t->handler = h->outer;
    t->base = h->base;
    t->top = h->top;
    t->starved = false;
}

static bool run_section(te *t, te_handler *h, void (*fn)(void *data), void *data)
{
    h->outer = t->handler;
    h->base = t->base;
    h->top = t->top;
    t->handler = h;
    t->base = t->room = t->top;
    if (setjmp(h->jump) == 0) {
        fn(data);
        section_leave(t, h);
        return true;
    }
    section_leave(t, h);
    return false;
}

static bool protect(pl_state *state, void (*fn)(void *data), void *data, pl_error *err)
{
    te *t = cast(state);
    te_handler *h = pl_malloc(sizeof *h);
    int room = t->room;
    bool ok = h && run_section(t, h, fn, data);
    t->room = room;
    pl_free(h);
    if (!ok)
        pl_fail_memory(err);
    return ok;
}

/* --- calls --- */
te_outcome te_fail(te_invocation *in, pl_code code, const char *message)
{
    in->failure = (pl_failure){.code = code, .expected = true, .message = pl_str_of(message)};
    return TE_FAIL;
}

te_outcome te_crash(te_invocation *in, const char *message)
{
    in->failure =
        (pl_failure){.code = PL_INTERNAL, .message = pl_str_of(message), .traceback = PL_STR("test.c:1")};
    return TE_FAIL;
}

static void wait_begin(te *t, const te_invocation *in, te_chain *chain, pl_call **pending)
{
    te_call *c = pl_calloc(1, sizeof *c);
    if (!c) {
        pl_free(chain);
        te_jump(t);
        abort();
    }
    c->in = *in;
    c->chain = chain;
    c->prev = t->last;
    *(t->last ? &t->last->next : &t->waiting) = c;
    t->last = c;
    t->counts.waited++;
    *pending = &c->call;
}

static void wait_end(te *t, te_call *c)
{
    *(c->prev ? &c->prev->next : &t->waiting) = c->next;
    *(c->next ? &c->next->prev : &t->last) = c->prev;
    pl_free(c->chain);
    pl_free(c);
}

static pl_call_status call(pl_state *state, pl_ref function, int nargs, pl_work *work, pl_call **pending,
                           pl_failure *failure)
{
    te *t = cast(state);
    te_invocation in = {.t = t, .count = nargs, .work = work};
    for (int i = 0; i < nargs && i < 8; i++)
        in.args[i] = *te_slot(t, t->top - t->base - nargs + 1 + i);
    t->top -= nargs;
    te_value f = te_kept(t, function);
    te_chain *chain = NULL;
    t->counts.called++;
    if (te_is_chain(f) && !(chain = te_chain_new(t, f, &in))) {
        te_jump(t);
        abort();
    }
    te_outcome outcome = chain ? te_chain_run(chain, &in) : f.node->callback(&in, f.node->data);
    if (outcome == TE_RETURN || outcome == TE_FAIL)
        pl_free(chain);
    switch (outcome) {
    case TE_RETURN:
        te_push_raw(t, in.result);
        return PL_CALL_DONE;
    case TE_FAIL:
        *failure = in.failure;
        return PL_CALL_FAILED;
    default:
        wait_begin(t, &in, chain, pending);
        (*pending)->wants_next = outcome == TE_NEXT;
        return PL_CALL_PENDING;
    }
}

static void cancel(pl_state *state, pl_call *pending)
{
    te *t = cast(state);
    t->counts.cancelled++;
    wait_end(t, (te_call *)pending);
}

/* The end of a wait. The call itself is gone when done runs. */
typedef struct ending {
    te *t;
    pl_call call;
    pl_call_status status;
    te_value result;
    pl_failure failure;
} ending;

static void finish(void *data)
{
    ending *e = data;
    if (e->status == PL_CALL_DONE)
        te_push_raw(e->t, e->result);
    e->call.done(&e->call, e->status, e->t->top - e->t->base, &e->failure);
}

static void end_call(te *t, te_call *c, pl_call_status status, te_value result, const pl_failure *failure)
{
    ending e = {t, c->call, status, result, failure ? *failure : (pl_failure){0}};
    te_handler h;
    int room = t->room;
    wait_end(t, c);
    t->counts.ended++;
    if (!run_section(t, &h, finish, &e)) {
        e.status = PL_CALL_FAILED;
        e.failure = (pl_failure){.code = PL_RESOURCE_EXHAUSTED, .message = PL_STR("out of memory")};
        if (!run_section(t, &h, finish, &e))
            abort();
    }
    t->room = room;
}

typedef struct asking {
    te_call *call;
} asking;

static void ask_next(void *data)
{
    te_call *c = ((asking *)data)->call;
    c->call.proceed(&c->call);
}

void te_chain_turn(te *t, te_call *c)
{
    te_outcome outcome = te_chain_run(c->chain, &c->in);
    te_handler h;
    int room = t->room;
    if (outcome == TE_RETURN) {
        end_call(t, c, PL_CALL_DONE, c->in.result, NULL);
    } else if (outcome == TE_FAIL) {
        pl_failure failure = c->in.failure;
        end_call(t, c, PL_CALL_FAILED, (te_value){0}, &failure);
    } else if (outcome == TE_NEXT) {
        c->call.wants_next = true;
        if (!run_section(t, &h, ask_next, &(asking){c}))
            abort(); /* it protects itself */
        t->room = room;
    }
}

static void end_wait(te *t, te_call *c, pl_call_status status, te_value result, const pl_failure *failure)
{
    if (c->chain) {
        te_chain_goes_on(c->chain, status, result, failure);
        te_chain_turn(t, c);
    } else {
        end_call(t, c, status, result, failure);
    }
}

void te_complete(te *t, te_call *c, te_value result)
{
    end_wait(t, c, PL_CALL_DONE, result, NULL);
}

void te_resume(te *t, te_call *c)
{
    end_wait(t, c, PL_CALL_DONE, c->in.result, NULL);
}

void te_fail_call(te *t, te_call *c, const pl_failure *failure)
{
    end_wait(t, c, PL_CALL_FAILED, (te_value){0}, failure);
}

static te_call *skip_wrapping(te_call *c)
{
    while (c && c->call.wants_next)
        c = c->next;
    return c;
}

size_t te_waiting(const te *t)
{
    size_t n = 0;
    for (te_call *c = skip_wrapping(t->waiting); c; c = skip_wrapping(c->next))
        n++;
    return n;
}

size_t te_wrapping(const te *t)
{
    size_t n = 0;
    for (te_call *c = t->waiting; c; c = c->next)
        n += c->call.wants_next;
    return n;
}

te_call *te_waiting_at(const te *t, size_t index)
{
    te_call *c = skip_wrapping(t->waiting);
    while (c && index-- > 0)
        c = skip_wrapping(c->next);
    return c;
}

te_call *te_waiting_for(const te *t, const char *label)
{
    te_call *c = t->waiting;
    while (c && !(c->in.label && strcmp(c->in.label, label) == 0))
        c = c->next;
    return c;
}

te_counts te_count(const te *t)
{
    return t->counts;
}

/* --- the script's ctx: {request_id = …}, and what stands in its parent's --- */
static te_value make_ctx(te *t, const pl_work *work)
{
    te_value ctx = te_map(t, "request_id", te_bytes(t, work->id), NULL), parent = {0};
    if (work->parent && work->parent->ctx != PL_REF_NONE)
        parent = te_kept(t, work->parent->ctx);
    for (size_t i = 0; parent.kind == PL_KIND_MAP && i < parent.node->count; i++)
        te_set_key(t, ctx, parent.node->members[i].key, parent.node->members[i].value);
    return ctx;
}

static pl_slot push_ctx(pl_state *state, pl_work *work)
{
    te *t = cast(state);
    if (work->ctx == PL_REF_NONE) {
        pl_slot slot = te_push(t, make_ctx(t, work));
        work->ctx = t->head.engine->keep(state, slot);
        return slot;
    }
    return t->head.engine->push_ref(state, work->ctx);
}

static void work_end(pl_state *state, pl_work *work)
{
    if (work->ctx != PL_REF_NONE)
        pl_engine_of(state)->drop(state, work->ctx);
    work->ctx = PL_REF_NONE;
}

/* --- code --- */
static pl_code load(pl_state *state, pl_str path, pl_slot *out, pl_error *err)
{
    return pl_fail(err, PL_UNIMPLEMENTED, "the test engine has no files");
}

static bool where(pl_state *state, pl_slot function, pl_str *file, uint32_t *line)
{
    *file = PL_STR("test.c");
    *line = 1;
    return te_is_function(te_copy(cast(state), function));
}

static int arity(pl_state *state, pl_slot function)
{
    te_value v = te_copy(cast(state), function);
    return te_is_function(v) ? v.node->arity : INT_MAX;
}

/* --- the host --- */
static te *of_host(pl_host *host)
{
    return (te *)((char *)host - offsetof(te, host));
}

static uint64_t now(pl_host *host)
{
    return of_host(host)->now;
}

static void read_clock(pl_host *host, uint64_t *monotonic, uint64_t *utc)
{
    *monotonic = now(host) * 1000000;
    if (utc)
        *utc = 1700000000000000000 + *monotonic;
}

static int timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    te *t = of_host(host);
    return t->refuse_timers ? -1 : pl_timers_start(&t->timers, timer, at);
}

static void timer_stop(pl_host *host, pl_timer *timer)
{
    pl_timers_stop(&of_host(host)->timers, timer);
}

static int offload(pl_host *host, pl_job *job, const void *lane)
{
    job->run(job);
    job->done(job);
    return 0;
}

void te_advance(te *t, uint64_t ms)
{
    t->now += ms;
    pl_timers_run(&t->timers, t->now);
}

size_t te_timers(const te *t)
{
    return t->timers.count + t->timers.waiting;
}

bool te_is_due(const te *t)
{
    return pl_timers_next(&t->timers) <= t->now;
}

void te_refuse_timers(te *t)
{
    t->refuse_timers = true;
}

/* --- states --- */
static void state_free(pl_state *state)
{
    te *t = cast(state);
    if (!t)
        return;
    while (t->waiting)
        wait_end(t, t->waiting);
    te_values_free(t);
    pl_timers_dispose(&t->timers);
    pl_free(t);
}

static pl_code state_new(const pl_engine *engine, const pl_state_config *config, pl_state **out,
                         pl_error *err)
{
    static const pl_host_ops ops = {.now = now,
                                    .clock = read_clock,
                                    .timer_start = timer_start,
                                    .timer_stop = timer_stop,
                                    .offload = offload};
    te *t = pl_calloc(1, sizeof *t);
    if (!t)
        return pl_fail_memory(err);
    t->head.engine = engine;
    t->index = PL_REF_NONE;
    t->host.ops = &ops;
    t->now = 1000;
    pl_timers_init(&t->timers);
    *out = te_state(t);
    if (engine->reserve(*out, 4)) { /* the engine's own pushes find a stack */
        t->room = 0;
        return PL_OK;
    }
    state_free(*out);
    return pl_fail_memory(err);
}

static void state_attach(pl_state *state, pl_host *host)
{
    cast(state)->head.host = host;
}

static size_t memory(const pl_state *state)
{
    return te_nodes((const te *)state) * sizeof(te_node);
}

static void watch(pl_state *state, uint64_t at)
{
    cast(state)->watched = at;
}

static uint64_t watched_at(const pl_state *state)
{
    return ((const te *)state)->watched;
}

const pl_engine *te_engine(void)
{
    static pl_engine e = {
        .name = "test",
        .state_new = state_new,
        .state_free = state_free,
        .state_attach = state_attach,
        .memory = memory,
        .watch = watch,
        .watched_at = watched_at,
        .protect = protect,
        .load = load,
        .where = where,
        .arity = arity,
        .call = call,
        .push_ctx = push_ctx,
        .cancel = cancel,
        .work_end = work_end,
    };
    te_values_init(&e);
    te_chain_init(&e);
    return &e;
}

te *te_new(void)
{
    pl_state *state;
    pl_error err;
    static const pl_state_config config;
    const pl_engine *e = te_engine();
    if (e->state_new(e, &config, &state, &err) != PL_OK)
        return NULL;
    e->state_attach(state, &cast(state)->host);
    return cast(state);
}

void te_free(te *t)
{
    state_free(te_state(t));
}
