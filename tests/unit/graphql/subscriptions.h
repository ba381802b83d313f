/* SPDX-License-Identifier: MIT */
#ifndef PL_TESTS_SUBSCRIPTIONS_H
#define PL_TESTS_SUBSCRIPTIONS_H

/* Runs whose payloads are written down, and sources of events for them. Included by one file of each test
 * program. */

#include <stdio.h>
#include <stdlib.h>

#include "support/failing.h"
#include "support/graphql_fixture.h"

typedef struct watcher watcher;
struct watcher {
    gf *f;
    pl_arena arena;
    pl_work work;
    gql_run *run; /* set before the first payload */
    bool over, returned_null;
    unsigned payloads;
    pl_buf seen;                                          /* a line each */
    void (*on_payload)(watcher *w, const gql_payload *p); /* further; may be NULL */
    unsigned at;                                          /* for on_payload */
    bool no_text;                                         /* only counts */
};

static inline const char *result_name(gql_result result)
{
    static const char *const names[] = {
        [GQL_RESULT_DATA] = "data",
        [GQL_RESULT_REFUSED] = "refused",
        [GQL_RESULT_QUERY_ONLY] = "query only",
        [GQL_RESULT_THROTTLED] = "throttled",
        [GQL_RESULT_NO_SUBSCRIPTION] = "no subscription",
        [GQL_RESULT_REFUSED_BY_SCRIPT] = "refused by script",
        [GQL_RESULT_SUBSCRIBED] = "subscribed",
        [GQL_RESULT_COMPLETE] = "complete",
    };
    return names[result];
}

static inline void watch_payload(void *data, const gql_payload *p)
{
    watcher *w = data;
    assert_false(w->over); /* nothing comes after the last one */
    w->payloads++;
    w->over = !p->has_next;
    if (!w->no_text) {
        pl_buf_printf(&w->seen, "%s%s", result_name(p->result), p->body.ptr ? " " : "");
        for (size_t i = 0; i < p->body.len; i++)
            pl_buf_char(&w->seen, p->body.ptr[i] == '"' ? '\'' : p->body.ptr[i]);
        pl_buf_printf(&w->seen, "%s\n", p->has_next ? "" : " -");
    }
    if (w->over) { /* what the run was made of may go now, as it does with a request */
        te_engine()->work_end(te_state(w->f->t), &w->work);
        pl_arena_dispose(&w->arena);
        w->run = NULL;
    }
    if (w->on_payload)
        w->on_payload(w, p);
}

static inline void watch_with(watcher *w, gf *f, const char *query, const char *variables, bool held)
{
    if (!f->service)
        gf_restart(f);
    w->f = f;
    pl_arena_init(&w->arena, 1024);
    pl_buf_init(&w->seen);
    w->work = (pl_work){
        .protocol = "graphql", .id = PL_STR("r1"), .arena = &w->arena, .ctx = PL_REF_NONE, .log = f->log};
    pl_value v;
    pl_error err;
    gql_request request = {.query = pl_str_of(query),
                           .subscriptions = true,
                           .held = held,
                           .incremental = f->incremental,
                           .place = &w->run};
    if (variables) {
        assert_int_equal(pl_json_read(&w->arena, pl_str_of(variables), &(pl_json_limits){0}, &v, &err),
                         PL_OK);
        request.variables = &v;
    }
    if (f->failing)
        failing_begin(f->failing);
    gql_run *run = gql_service_run(f->service, &request, &w->work, watch_payload, w);
    w->returned_null = !run;
    if (run)
        assert_ptr_equal(run, w->run);
}

static inline void watch(watcher *w, gf *f, const char *query)
{
    *w = (watcher){0};
    watch_with(w, f, query, NULL, false);
}

/* From inside of a payload, too. */
static inline void watch_cancel(watcher *w)
{
    gql_run *run = w->run;
    assert_false(w->over);
    w->over = true;
    gql_run_cancel(run);
    te_engine()->work_end(te_state(w->f->t), &w->work);
    pl_arena_dispose(&w->arena);
    w->run = NULL;
}

static inline void watch_end(watcher *w)
{
    if (!w->over)
        watch_cancel(w);
    pl_buf_dispose(&w->seen);
}

/* on_payload: cancels it with the payload of number `at`. */
static inline void cancel_at(watcher *w, const gql_payload *p)
{
    (void)p;
    if (w->payloads == w->at)
        watch_cancel(w);
}

/* A run in which an allocation may fail: it ends, and nothing is left. */
static inline void watch_failing(gf *f, const char *query, failing *a)
{
    watcher w = {0};
    f->failing = a;
    watch_with(&w, f, query, NULL, false);
    for (int i = 0; !w.over && te_waiting(f->t) > 0; i++) {
        assert_in_range(i, 0, 100);
        te_resume(f->t, te_waiting_at(f->t, 0));
    }
    failing_end(a);
    f->failing = NULL;
    assert_true(w.over);
    assert_int_equal(te_waiting(f->t) + te_wrapping(f->t), 0);
    assert_int_equal(te_timers(f->t), 0);
    watch_end(&w);
}

static inline void saw_at(watcher *w, const char *lines, const char *file, int line)
{
    pl_str seen = pl_buf_view(&w->seen);
    if (!pl_str_is(seen, lines)) {
        print_error("%s:%d: expected\n%sbut there was\n%.*s", file, line, lines, PL_STR_ARG(seen));
        _fail(file, line);
    }
    w->seen.len = 0;
}
/* Compares all payloads since the last time, with ' for ". */
#define saw(w, lines) saw_at(w, lines, __FILE__, __LINE__)

/* --- sources --- */

/* Counts: gives 1 … `to`, then the end; waits (with the label "next") when `waits` is set. */
typedef struct counter {
    int64_t to, given;
    bool waits;
    int opened, closed;
    const char *fails; /* instead of the end */
    te_value made;     /* each event; ABSENT: the number */
} counter;

static inline te_outcome counter_next(te_invocation *in, void *data)
{
    counter *c = data;
    in->label = "next";
    if (c->given == c->to && c->fails)
        return te_fail(in, PL_DATA_LOSS, c->fails);
    if (c->given < c->to)
        in->result = c->made.kind ? c->made : te_int(c->given + 1);
    c->given += c->given < c->to;
    return c->waits ? TE_PEND : TE_RETURN;
}

static inline te_outcome counter_close(te_invocation *in, void *data)
{
    ((counter *)data)->closed++;
    return TE_RETURN;
}

static inline te_outcome counter_open(te_invocation *in, void *data)
{
    counter *c = data;
    c->opened++;
    c->given = 0;
    in->result = te_map(in->t, "next", te_function(in->t, counter_next, c, 0), "close",
                        te_function(in->t, counter_close, c, 0), NULL);
    return TE_RETURN;
}

static inline te_outcome counter_open_later(te_invocation *in, void *data)
{
    counter_open(in, data);
    in->label = "subscribe";
    return TE_PEND;
}

static inline void bind_source(gf *f, const char *field, te_callback *subscribe, void *data)
{
    gf_bind(f, "Subscription", field, te_map(f->t, "subscribe", te_function(f->t, subscribe, data, 4), NULL));
}

#endif
