/* SPDX-License-Identifier: MIT */
#include "support/lua_state.h"
#include "support/failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/watchdog.h"
#include "bindings/lua/internal.h"
#include "perilune/engines.h"

#ifdef __SANITIZE_THREAD__
#define LONGEST_SECONDS 200 /* random runs in Lua, ten times as slow there */
#else
#define LONGEST_SECONDS 30
#endif
#define CALL_FILE "call.lua"
#define PRELUDE_FILE "prelude.lua"

static const char prelude[] = "time, errors = require 'perilune.time', require 'perilune.errors'\n"
                              "sleep = time.sleep\n";

struct ls_state {
    pl_host host; /* first */
    pl_host_ops ops;
    pl_state *state;
    pl_watchdog *watchdog;
    pl_file *files;
    size_t file_count;
    pl_timers timers;
    uint64_t now;
    pl_job *jobs; /* that have run */
    ls_call *calls;
    pl_buf code, log;
    char text[4096];
};

/* --- host --- */

static uint64_t host_now(pl_host *host)
{
    return ((ls_state *)host)->now;
}

static int host_timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    return pl_timers_start(&((ls_state *)host)->timers, timer, at);
}

static void host_timer_stop(pl_host *host, pl_timer *timer)
{
    pl_timers_stop(&((ls_state *)host)->timers, timer);
}

static int host_offload(pl_host *host, pl_job *job, const void *lane)
{
    pl_job **end = &((ls_state *)host)->jobs;
    job->run(job);
    while (*end)
        end = &(*end)->next;
    job->next = NULL;
    *end = job;
    return 0;
}

static void on_log(void *data, pl_level level, pl_str line)
{
    pl_buf_str(data, line);
    pl_buf_char(data, '\n');
}

bool ls_turn(ls_state *s)
{
    pl_job *job = s->jobs;
    if (job) {
        s->jobs = job->next;
        job->done(job);
        return true;
    }
    uint64_t next = pl_timers_next(&s->timers);
    if (next == UINT64_MAX)
        return false;
    if (next > s->now)
        s->now = next;
    pl_timers_run(&s->timers, s->now);
    return true;
}

void ls_advance(ls_state *s, uint64_t until)
{
    while (s->jobs || pl_timers_next(&s->timers) <= until)
        ls_turn(s);
    if (s->now < until)
        s->now = until;
    pl_timers_run(&s->timers, s->now);
}

uint64_t ls_now(const ls_state *s)
{
    return s->now;
}

uint64_t ls_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- life --- */

static int by_path(const void *a, const void *b)
{
    return pl_str_cmp(((const pl_file *)a)->path, ((const pl_file *)b)->path);
}

static pl_file *file_at(ls_state *s, const char *path)
{
    for (size_t i = 0; i < s->file_count; i++) {
        if (pl_str_is(s->files[i].path, path))
            return &s->files[i];
    }
    fail_msg("there is no file %s", path);
    return NULL;
}

static void set_files(ls_state *s, const char *const *pairs)
{
    size_t n = 0;
    while (pairs && pairs[n * 2])
        n++;
    s->files = calloc(n + 2, sizeof *s->files);
    s->file_count = n + 2;
    for (size_t i = 0; i < n; i++)
        s->files[i] = (pl_file){pl_str_of(pairs[i * 2]), pl_str_of(pairs[i * 2 + 1])};
    s->files[n] = (pl_file){PL_STR(CALL_FILE), PL_STR("")};
    s->files[n + 1] = (pl_file){PL_STR(PRELUDE_FILE), {prelude, sizeof prelude - 1}};
    qsort(s->files, s->file_count, sizeof *s->files, by_path);
}

ls_state *ls_new(const ls_options *given)
{
    ls_options options = {0};
    if (given)
        options = *given;
    ls_state *s = calloc(1, sizeof *s);
    s->now = 1000;
    pl_timers_init(&s->timers);
    pl_buf_init(&s->code);
    pl_buf_init(&s->log);
    s->ops = (pl_host_ops){.now = host_now,
                           .timer_start = host_timer_start,
                           .timer_stop = host_timer_stop,
                           .offload = host_offload};
    s->host.ops = &s->ops;
    s->host.log = pl_logger_new_sink(on_log, &s->log, PL_LOG_JSON, PL_DEBUG);
    set_files(s, options.files);
    pl_state_config config = {.files = s->files,
                              .file_count = s->file_count,
                              .limits = options.limits,
                              .log = s->host.log,
                              .compiled = options.compiled,
                              .testing = options.testing};
    pl_error err = {0};
    if (pl_lua_engine()->state_new(pl_lua_engine(), &config, &s->state, &err))
        fail_msg("%s", err.message);
    pl_slot ignored;
    if (pl_lua_engine()->load(s->state, PL_STR(PRELUDE_FILE), &ignored, &err))
        fail_msg("%s", err.message);
    pl_lua_engine()->pop_to(s->state, 0);
    if (options.watched) {
        s->watchdog = pl_watchdog_new();
        assert_true(pl_watchdog_add(s->watchdog, s->state));
    }
    if (!options.detached)
        pl_lua_engine()->state_attach(s->state, &s->host);
    return s;
}

void ls_close(ls_state *s)
{
    alarm(LONGEST_SECONDS);
    for (ls_call *c = s->calls; c; c = c->next) {
        if (!c->waits)
            pl_lua_engine()->work_end(s->state, &c->work);
    }
    if (s->watchdog)
        pl_watchdog_remove(s->watchdog, s->state);
    pl_watchdog_free(s->watchdog);
    s->watchdog = NULL;
    pl_lua_engine()->state_free(s->state);
    s->state = NULL;
    for (ls_call *c = s->calls; c; c = c->next)
        c->waits = false;
    alarm(0);
}

void ls_free(ls_state *s)
{
    if (s->state)
        ls_close(s);
    while (s->jobs) {
        pl_job *job = s->jobs;
        s->jobs = job->next;
        job->done(job);
    }
    ls_forget(s);
    assert_int_equal(pl_timers_next(&s->timers), UINT64_MAX);
    pl_timers_dispose(&s->timers);
    pl_logger_free(s->host.log);
    pl_buf_dispose(&s->code);
    pl_buf_dispose(&s->log);
    free(s->files);
    free(s);
}

pl_state *ls_engine_state(ls_state *s)
{
    return s->state;
}

lua_State *ls_lua(ls_state *s)
{
    return ((plua_state *)s->state)->L;
}

pl_host *ls_host(ls_state *s)
{
    return &s->host;
}

const pl_buf *ls_log(ls_state *s)
{
    return &s->log;
}

size_t ls_collect(ls_state *s)
{
    for (int i = 0; i < 20; i++) /* each halves what a deep recursion has left */
        lua_gc(ls_lua(s), LUA_GCCOLLECT);
    return pl_lua_engine()->memory(s->state);
}

pl_code ls_load(ls_state *s, const char *path, const char *text, pl_error *err)
{
    pl_slot slot;
    if (text)
        file_at(s, path)->bytes = pl_str_of(text);
    alarm(LONGEST_SECONDS);
    pl_code code = pl_lua_engine()->load(s->state, pl_str_of(path), &slot, err);
    alarm(0);
    if (code == PL_OK)
        pl_lua_engine()->pop_to(s->state, slot - 1);
    return code;
}

/* --- calls --- */

static void keep_result(ls_call *c, pl_slot slot)
{
    pl_buf json;
    pl_error err;
    pl_buf_init(&json);
    if (pl_write_json(c->s->state, slot, 16, &json, &err) != PL_OK) {
        pl_buf_dispose(&json);
        pl_buf_init(&json);
        PL_BUF_LIT(&json, "(a function)");
    }
    pl_buf_char(&json, '\0');
    c->result = strdup(json.data);
    pl_buf_dispose(&json);
}

static void stop_failing(ls_call *c)
{
    if (c->failing)
        failing_end(c->failing);
    c->failing = NULL;
}

static void on_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    ls_call *c = call->data;
    stop_failing(c);
    c->ends++;
    c->waits = false;
    c->status = status;
    if (status == PL_CALL_DONE)
        keep_result(c, result);
    else
        c->failure = *failure;
}

static void begin(void *data)
{
    ls_call *c = data;
    const pl_engine *e = pl_lua_engine();
    pl_state *state = c->s->state;
    pl_slot function;
    pl_error err = {0};
    if (e->load(state, PL_STR(CALL_FILE), &function, &err)) {
        c->failure =
            (pl_failure){.code = err.code, .message = pl_arena_str(&c->arena, pl_str_of(err.message))};
        return;
    }
    pl_ref ref = e->keep(state, function);
    e->pop_to(state, function - 1);
    if (c->failing)
        failing_begin(c->failing);
    e->push_ctx(state, c->used);
    c->status = e->call(state, ref, 1, c->used, &c->pending, &c->failure);
    if (c->status != PL_CALL_PENDING)
        stop_failing(c);
    e->drop(state, ref);
    if (c->status == PL_CALL_PENDING) {
        c->pending->done = on_done;
        c->pending->data = c;
        c->waits = true;
    } else if (c->status == PL_CALL_DONE) {
        keep_result(c, e->top(state));
    }
}

static ls_call *start_for(ls_state *s, pl_work *work, const char *body, failing *a)
{
    ls_call *c = calloc(1, sizeof *c);
    c->s = s;
    c->next = s->calls;
    s->calls = c;
    c->status = PL_CALL_FAILED;
    c->failing = a;
    pl_arena_init(&c->arena, 0);
    c->work = (pl_work){
        .protocol = "test", .id = PL_STR("id-1"), .arena = &c->arena, .ctx = PL_REF_NONE, .log = s->host.log};
    c->used = work ? work : &c->work;
    pl_buf_reset(&s->code, 1 << 16);
    PL_BUF_LIT(&s->code, "return function(ctx) ");
    pl_buf_str(&s->code, pl_str_of(body));
    PL_BUF_LIT(&s->code, "\nend");
    file_at(s, CALL_FILE)->bytes = pl_buf_view(&s->code);
    pl_error err = {0};
    alarm(LONGEST_SECONDS);
    bool ok = pl_lua_engine()->protect(s->state, begin, c, &err);
    if (!ok || !c->waits)
        stop_failing(c);
    if (!ok)
        c->failure =
            (pl_failure){.code = err.code, .message = pl_arena_str(&c->arena, pl_str_of(err.message))};
    alarm(0);
    return c;
}

ls_call *ls_start(ls_state *s, const char *body)
{
    return start_for(s, NULL, body, NULL);
}

ls_call *ls_join(ls_call *first, const char *body)
{
    return start_for(first->s, &first->work, body, NULL);
}

static ls_call *finish(ls_call *c)
{
    alarm(LONGEST_SECONDS);
    while (c->waits && ls_turn(c->s))
        ;
    alarm(0);
    if (c->waits)
        fail_msg("the call waits for nothing");
    pl_lua_engine()->work_end(c->s->state, &c->work);
    return c;
}

ls_call *ls_run(ls_state *s, const char *body)
{
    return finish(start_for(s, NULL, body, NULL));
}

ls_call *ls_run_failing(ls_state *s, const char *body, failing *a)
{
    return finish(start_for(s, NULL, body, a));
}

void ls_cancel(ls_call *c)
{
    assert_true(c->waits);
    c->waits = false;
    c->cancelled = true;
    alarm(LONGEST_SECONDS);
    pl_lua_engine()->cancel(c->s->state, c->pending);
    alarm(0);
    pl_lua_engine()->work_end(c->s->state, &c->work);
}

static void forget(ls_state *s, const ls_call *only)
{
    for (ls_call **p = &s->calls; *p;) {
        ls_call *c = *p;
        if (c->waits || (only && c != only)) {
            p = &c->next;
            continue;
        }
        *p = c->next;
        if (s->state)
            pl_lua_engine()->work_end(s->state, &c->work);
        pl_arena_dispose(&c->arena);
        free(c->result);
        free(c);
    }
}

void ls_forget(ls_state *s)
{
    forget(s, NULL);
}

const char *ls_text(const ls_call *c)
{
    if (c->waits)
        return "WAITS";
    if (c->cancelled)
        return "CANCELLED";
    if (c->status == PL_CALL_DONE)
        snprintf(c->s->text, sizeof c->s->text, "DONE %s", c->result);
    else
        snprintf(c->s->text, sizeof c->s->text, "FAILED %s: %.*s", pl_code_name(c->failure.code),
                 PL_STR_ARG(c->failure.message));
    return c->s->text;
}

void ls_check_done(const ls_call *c, const char *json, const char *file, int line)
{
    if (c->waits || c->cancelled || c->status != PL_CALL_DONE || strcmp(c->result, json) != 0) {
        print_error("%s:%d: expected DONE %s, got %s\n", file, line, json, ls_text(c));
        _fail(file, line);
    }
}

void ls_check_failed(const ls_call *c, pl_code code, const char *text, const char *file, int line)
{
    bool ok = !c->waits && !c->cancelled && c->status == PL_CALL_FAILED && c->failure.code == code;
    if (!ok || !strstr(ls_text(c), text)) {
        print_error("%s:%d: expected FAILED %s: %s, got %s\n", file, line, pl_code_name(code), text,
                    ls_text(c));
        _fail(file, line);
    }
}

void ls_ok_at(ls_state *s, const char *body, const char *json, const char *file, int line)
{
    ls_call *c = ls_run(s, body);
    ls_check_done(c, json, file, line);
    forget(s, c);
}

void ls_fails_at(ls_state *s, const char *body, pl_code code, const char *text, const char *file, int line)
{
    ls_call *c = ls_run(s, body);
    ls_check_failed(c, code, text, file, line);
    forget(s, c);
}
