/* SPDX-License-Identifier: MIT */
#include "lua/lua_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "bindings/lua/internal.h"
#include "perilune/engines.h"
#include "support/failing.h"

#define SLOTS 24
#define HELPERS 2
#define LONGEST_MS 20000 /* a test that takes longer hangs */

typedef struct queued {
    pl_job *job;
    const void *lane;
    struct queued *next;
} queued;

typedef struct slot_call {
    fixture *fixture;
    bool used, waiting;
    pl_call *call;
    pl_work work;
    pl_arena arena;
    char error[2048];
    char result[2048];
} slot_call;

const bool fixture_in_server = true;

struct fixture {
    pl_host host; /* first */
    pl_host_ops ops;
    fixture_options options;
    pl_state *state;
    pl_file files[16];
    pl_buf code;
    pl_buf log;
    pl_timers timers;
    slot_call calls[SLOTS];
    char error[2048];
    int refuse;
    failing *failing; /* for the next call */

    pthread_mutex_t lock;
    pthread_cond_t work, progress;
    queued *jobs;               /* not begun */
    const void *lanes[HELPERS]; /* of what runs */
    pl_job *done;               /* to be told */
    int outstanding;            /* jobs given and not told */
    bool paused, stop;
    pthread_t helpers[HELPERS];
};

/* --- host --- */

static uint64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t host_now(pl_host *host)
{
    return clock_ms();
}

static int host_timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    return pl_timers_start(&((fixture *)host)->timers, timer, at);
}

static void host_timer_stop(pl_host *host, pl_timer *timer)
{
    pl_timers_stop(&((fixture *)host)->timers, timer);
}

static int host_offload(pl_host *host, pl_job *job, const void *lane)
{
    fixture *f = (fixture *)host;
    if (f->refuse > 0) {
        f->refuse--;
        return -1;
    }
    queued *q = calloc(1, sizeof(*q));
    q->job = job;
    q->lane = lane;
    pthread_mutex_lock(&f->lock);
    queued **end = &f->jobs;
    while (*end)
        end = &(*end)->next;
    *end = q;
    f->outstanding++;
    pthread_cond_signal(&f->work);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static pl_code host_execute(pl_host *host, pl_state *state, pl_str request,
                            void (*done)(void *data, pl_str response), void *data, pl_error *err)
{
    const char *response = ((fixture *)host)->options.execute(request);
    if (!response)
        return pl_fail(err, PL_INVALID_ARGUMENT, "no response");
    done(data, pl_str_of(response));
    return PL_OK;
}

/* The first job whose lane is free. */
static queued *take_job(fixture *f)
{
    for (queued **q = &f->jobs; *q && !f->paused; q = &(*q)->next) {
        bool taken = false;
        for (int i = 0; i < HELPERS; i++)
            taken = taken || ((*q)->lane && f->lanes[i] == (*q)->lane);
        for (queued *before = f->jobs; before != *q; before = before->next)
            taken = taken || ((*q)->lane && before->lane == (*q)->lane);
        if (!taken) {
            queued *found = *q;
            *q = found->next;
            return found;
        }
    }
    return NULL;
}

static void tell_done(fixture *f, pl_job *job)
{
    pl_job **end = &f->done;
    while (*end)
        end = &(*end)->next;
    job->next = NULL;
    *end = job;
}

static void *helper(void *data)
{
    fixture *f = data;
    int self = 0;
    pthread_mutex_lock(&f->lock);
    while (self < HELPERS - 1 && !pthread_equal(f->helpers[self], pthread_self()))
        self++;
    while (!f->stop) {
        queued *q = take_job(f);
        if (!q) {
            pthread_cond_wait(&f->work, &f->lock);
            continue;
        }
        f->lanes[self] = q->lane;
        pthread_mutex_unlock(&f->lock);
        q->job->run(q->job);
        pthread_mutex_lock(&f->lock);
        f->lanes[self] = NULL;
        tell_done(f, q->job);
        free(q);
        pthread_cond_broadcast(&f->work);
        pthread_cond_signal(&f->progress);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* One turn of the loop: waits for a job or timer, at most some milliseconds. */
static void turn(fixture *f)
{
    pl_timers_run(&f->timers, clock_ms());
    pthread_mutex_lock(&f->lock);
    if (!f->done) {
        uint64_t next = pl_timers_next(&f->timers), now = clock_ms();
        uint64_t ms = next == UINT64_MAX || next > now + 5 ? 5 : next > now ? next - now : 0;
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)ms * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (ms > 0)
            pthread_cond_timedwait(&f->progress, &f->lock, &until);
    }
    pl_job *done = f->done;
    f->done = NULL;
    pthread_mutex_unlock(&f->lock);
    while (done) {
        pl_job *job = done;
        done = job->next;
        f->outstanding--;
        job->done(job);
    }
}

/* --- calls --- */

static void keep_failure(slot_call *c, const pl_failure *failure)
{
    snprintf(c->error, sizeof(c->error), "%s: %.*s", pl_code_name(failure->code),
             PL_STR_ARG(failure->message));
}

static void keep_result(slot_call *c, pl_slot slot)
{
    const char *text = lua_tostring(fixture_lua(c->fixture), slot);
    snprintf(c->result, sizeof(c->result), "%s", text ? text : "");
}

static void on_call_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    slot_call *c = call->data;
    c->waiting = false;
    if (status == PL_CALL_DONE)
        keep_result(c, result);
    else
        keep_failure(c, failure);
}

static void on_log(void *data, pl_level level, pl_str line)
{
    pl_buf_str(data, line);
    pl_buf_char(data, '\n');
}

typedef struct start_args {
    fixture *f;
    slot_call *c;
    pl_error err;
} start_args;

static void begin_call(void *data)
{
    start_args *args = data;
    slot_call *c = args->c;
    const pl_engine *e = pl_lua_engine();
    pl_slot function;
    if (e->load(args->f->state, PL_STR("main.lua"), &function, &args->err)) {
        snprintf(c->error, sizeof(c->error), "LOAD: %s", args->err.message);
        return;
    }
    pl_ref ref = e->keep(args->f->state, function);
    e->pop_to(args->f->state, function - 1);
    pl_failure failure;
    pl_call *pending = NULL;
    if (args->f->failing)
        failing_begin(args->f->failing);
    pl_call_status status = e->call(args->f->state, ref, 0, &c->work, &pending, &failure);
    e->drop(args->f->state, ref);
    if (status == PL_CALL_PENDING) {
        pending->done = on_call_done;
        pending->data = c;
        c->call = pending;
        c->waiting = true;
    } else if (status == PL_CALL_DONE) {
        keep_result(c, e->top(args->f->state));
        e->pop_to(args->f->state, e->top(args->f->state) - 1);
    } else {
        keep_failure(c, &failure);
    }
}

static void set_code(fixture *f, const char *before, const char *code, const char *after)
{
    pl_buf_reset(&f->code, 4096);
    pl_buf_str(&f->code, pl_str_of(before));
    pl_buf_str(&f->code, pl_str_of(code));
    pl_buf_str(&f->code, pl_str_of(after));
    f->files[f->options.file_count] = (pl_file){PL_STR("main.lua"), pl_buf_view(&f->code)};
}

bool fixture_start(fixture *f, int slot, const char *code)
{
    slot_call *c = &f->calls[slot];
    if (c->used)
        pl_arena_dispose(&c->arena);
    memset(c, 0, sizeof(*c));
    c->used = true;
    c->fixture = f;
    pl_arena_init(&c->arena, 0);
    c->work = (pl_work){.protocol = "test",
                        .id = PL_STR("request-1"),
                        .arena = &c->arena,
                        .ctx = PL_REF_NONE,
                        .log = f->host.log};
    set_code(f, "return function() ", code, "\nend");
    start_args args = {.f = f, .c = c};
    if (!pl_lua_engine()->protect(f->state, begin_call, &args, &args.err))
        snprintf(c->error, sizeof(c->error), "JUMP: %s", args.err.message);
    return c->waiting;
}

bool fixture_waits(fixture *f, int slot)
{
    return f->calls[slot].waiting;
}

const char *fixture_finish(fixture *f, int slot)
{
    slot_call *c = &f->calls[slot];
    uint64_t until = clock_ms() + LONGEST_MS;
    while (c->waiting && clock_ms() < until)
        turn(f);
    if (c->waiting)
        fail_msg("a call did not end");
    return c->error[0] ? c->error : NULL;
}

void fixture_cancel(fixture *f, int slot)
{
    slot_call *c = &f->calls[slot];
    assert_true(c->waiting);
    c->waiting = false;
    pl_lua_engine()->cancel(f->state, c->call);
}

void fixture_drain(fixture *f)
{
    uint64_t until = clock_ms() + LONGEST_MS;
    while ((f->outstanding > 0 || pl_timers_next(&f->timers) != UINT64_MAX) && clock_ms() < until)
        turn(f);
    assert_int_equal(f->outstanding, 0);
}

void fixture_pause_helpers(fixture *f, bool pause)
{
    pthread_mutex_lock(&f->lock);
    f->paused = pause;
    pthread_cond_broadcast(&f->work);
    pthread_mutex_unlock(&f->lock);
}

void fixture_refuse_jobs(fixture *f, int n)
{
    f->refuse = n;
}

const char *fixture_call(fixture *f, const char *code)
{
    fixture_start(f, 0, code);
    return fixture_finish(f, 0);
}

const char *fixture_call_failing(fixture *f, const char *code, failing *a)
{
    f->failing = a;
    fixture_start(f, 0, code);
    f->failing = NULL;
    const char *error = fixture_finish(f, 0);
    failing_end(a);
    return error;
}

const char *fixture_result(fixture *f)
{
    return f->calls[0].result;
}

const char *fixture_load(fixture *f, const char *code)
{
    set_code(f, "", code, "");
    const pl_engine *e = pl_lua_engine();
    pl_slot out;
    pl_error err = {0};
    if (e->load(f->state, PL_STR("main.lua"), &out, &err)) {
        snprintf(f->error, sizeof(f->error), "%s", err.message);
        return f->error;
    }
    e->pop_to(f->state, out - 1);
    return NULL;
}

void fixture_ok_at(fixture *f, const char *code, const char *file, int line)
{
    const char *error = fixture_call(f, code);
    if (error) {
        print_error("%s:%d: %s\n", file, line, error);
        _fail(file, line);
    }
}

void fixture_fails_at(fixture *f, const char *code, const char *text, const char *file, int line)
{
    const char *error = fixture_call(f, code);
    if (!error || !strstr(error, text)) {
        print_error("%s:%d: expected \"%s\", got %s\n", file, line, text, error ? error : "no error");
        _fail(file, line);
    }
}

/* --- life --- */

lua_State *fixture_lua(fixture *f)
{
    return ((plua_state *)f->state)->L;
}

pl_state *fixture_state(fixture *f)
{
    return f->state;
}

const pl_buf *fixture_log(fixture *f)
{
    return &f->log;
}

static void make_state(fixture *f)
{
    pl_state_config config = {.files = f->files,
                              .file_count = f->options.file_count + 1,
                              .directory = pl_str_of(f->options.directory ? f->options.directory : ""),
                              .limits = {.memory = f->options.memory},
                              .log = f->host.log,
                              .shared = f->options.shared,
                              .testing = true,
                              .protos = f->options.protos};
    pl_error err = {0};
    if (pl_lua_engine()->state_new(pl_lua_engine(), &config, &f->state, &err))
        fail_msg("%s", err.message);
}

fixture *fixture_new(const fixture_options *options)
{
    fixture *f = calloc(1, sizeof(*f));
    if (options)
        f->options = *options;
    pl_buf_init(&f->code);
    pl_buf_init(&f->log);
    pl_timers_init(&f->timers);
    f->ops = (pl_host_ops){.now = host_now,
                           .timer_start = host_timer_start,
                           .timer_stop = host_timer_stop,
                           .offload = host_offload,
                           .execute = f->options.execute ? host_execute : NULL};
    f->host.ops = &f->ops;
    f->host.log = pl_logger_new_sink(on_log, &f->log, PL_LOG_JSON, PL_DEBUG);
    f->host.shared = f->options.shared;
    for (size_t i = 0; i < f->options.file_count; i++)
        f->files[i] = f->options.files[i];
    set_code(f, "", "", "");
    make_state(f);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->work, NULL);
    pthread_cond_init(&f->progress, NULL);
    pthread_mutex_lock(&f->lock);
    for (int i = 0; i < HELPERS; i++)
        pthread_create(&f->helpers[i], NULL, helper, f);
    pthread_mutex_unlock(&f->lock);
    pl_lua_engine()->state_attach(f->state, &f->host);
    return f;
}

void fixture_free_state(fixture *f)
{
    pl_lua_engine()->state_free(f->state);
    f->state = NULL;
    for (int i = 0; i < SLOTS; i++)
        f->calls[i].waiting = false;
}

void fixture_free(fixture *f)
{
    if (f->state)
        fixture_free_state(f);
    fixture_pause_helpers(f, false);
    fixture_drain(f);
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->work);
    pthread_mutex_unlock(&f->lock);
    for (int i = 0; i < HELPERS; i++)
        pthread_join(f->helpers[i], NULL);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->work);
    pthread_cond_destroy(&f->progress);
    for (int i = 0; i < SLOTS; i++) {
        if (f->calls[i].used)
            pl_arena_dispose(&f->calls[i].arena);
    }
    pl_logger_free(f->host.log);
    pl_timers_dispose(&f->timers);
    pl_buf_dispose(&f->code);
    pl_buf_dispose(&f->log);
    free(f);
}
