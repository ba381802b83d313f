/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "graphql/service_internal.h"

/* Cached responses in a run of a query: looked up when the interceptors have let it pass and its plan is
 * there, kept at the end of its execution. */

/* --- of the service --- */
bool gql_cache_open(gql_service *s)
{
    const gql_cache_settings *settings = &s->options.cache;
    s->cache_rules = gql_cache_rules_new(s->binding->schema, settings->default_max_age);
    if (!s->cache_rules)
        return false;
    if (settings->on || gql_cache_rules_any(s->cache_rules)) {
        s->responses = gql_responses_new(s->cache_rules, NULL);
        return s->responses != NULL;
    }
    gql_cache_rules_free(s->cache_rules);
    s->cache_rules = NULL;
    return true;
}

void gql_cache_close(gql_service *s)
{
    gql_responses_free(s->responses);
    gql_cache_rules_free(s->cache_rules);
}

void gql_service_set_storage(gql_service *s, const gql_cache_storage *storage)
{
    gql_responses *made = s->responses ? gql_responses_new(s->cache_rules, storage) : NULL;
    if (!made)
        return;
    gql_responses_free(s->responses);
    s->responses = made;
}

void gql_service_set_session(gql_service *s, pl_ref function)
{
    s->cache_session = function;
}

/* --- the session --- */
typedef struct section {
    gql_run *run;
    pl_str session; /* ptr NULL: none */
    bool ok;
} section;

static void log_failure(const gql_run *run, const char *why, pl_str detail)
{
    pl_log(run->work->log, PL_ERROR, "graphql.cache.session failed: the response is not cached",
           PL_F_STR("request", run->work->id), PL_F_CSTR("error", why), PL_F_STR("detail", detail));
}

static void take_session(section *s, pl_state *state, pl_slot slot)
{
    const pl_engine *e = pl_engine_of(state);
    pl_arena *arena = s->run->work->arena;
    pl_kind kind = e->kind(state, slot);
    s->ok = true;
    if (kind == PL_KIND_STRING)
        s->session = pl_arena_str(arena, e->get_string(state, slot));
    else if (kind == PL_KIND_INT)
        s->session = pl_arena_printf(arena, "%lld", (long long)e->get_int(state, slot));
    else if (kind == PL_KIND_ABSENT || kind == PL_KIND_NULL)
        return;
    s->ok = s->session.ptr != NULL;
    if (!s->ok)
        log_failure(s->run, "it must return a string, a whole number or nil", PL_STR(""));
}

static void session_section(void *data)
{
    section *s = data;
    pl_state *state = s->run->service->binding->state;
    const pl_engine *e = pl_engine_of(state);
    pl_call *pending = NULL;
    pl_failure failure = {0};
    if (!e->reserve(state, 4))
        return;
    e->push_ctx(state, s->run->work);
    switch (e->call(state, s->run->service->cache_session, 1, s->run->work, &pending, &failure)) {
    case PL_CALL_DONE:
        take_session(s, state, e->top(state));
        break;
    case PL_CALL_PENDING:
        e->cancel(state, pending);
        log_failure(s->run, "it cannot wait", PL_STR(""));
        break;
    case PL_CALL_FAILED:
        log_failure(s->run, "it raised an error", failure.message);
        break;
    }
}

/* False: it could not be found out. */
static bool find_session(gql_run *run, pl_str *out)
{
    const gql_cache_settings *settings = &run->service->options.cache;
    *out = PL_STR_NONE;
    for (size_t i = 0; settings->session_header.ptr && i < run->work->header_count; i++) {
        if (pl_str_eq(run->work->headers[i].name, settings->session_header))
            *out = run->work->headers[i].value;
    }
    if (run->service->cache_session == PL_REF_NONE)
        return true;
    section s = {.run = run};
    pl_state *state = run->service->binding->state;
    pl_error err;
    pl_error_clear(&err);
    if (!pl_engine_of(state)->protect(state, session_section, &s, &err))
        return false;
    *out = s.session;
    return s.ok;
}

/* --- of the run --- */
void gql_run_trace(gql_run *run)
{
    if (!run->service->responses || run->operation->kind != GQL_QUERY)
        return;
    run->lookup.trace = gql_cache_trace_new(run->service->cache_rules, run->work->arena);
    if (run->lookup.trace)
        run->work->cache = gql_cache_trace_control(run->lookup.trace);
}

static void answer(gql_run *run, const gql_cached *cached)
{
    pl_host *host = run->lookup.request.host;
    uint64_t now = host->ops->now(host);
    gql_payload payload = {.result = GQL_RESULT_DATA, .body = cached->body};
    payload.cache = (gql_payload_cache){
        .max_age = cached->max_age,
        .is_private = cached->is_private,
        .hit = true,
        .age = now > cached->stored ? (uint32_t)((now - cached->stored) / 1000) : 0,
    };
    snprintf(payload.cache.hash, sizeof payload.cache.hash, "%s", cached->hash);
    gql_run_emit(run, &payload);
}

static void resume(gql_lookup *lookup, const gql_cached *cached)
{
    gql_run *run = lookup->data;
    if (!cached) {
        gql_run_execute(run);
        return;
    }
    run->looked_up = false;
    answer(run, cached);
}

bool gql_run_find(gql_run *run)
{
    pl_host *host = ((pl_state_head *)run->service->binding->state)->host;
    gql_cached *hit = NULL;
    if (!run->lookup.trace)
        return false;
    gql_lookup_request request = {.query = run->request.query,
                                  .operation = run->operation,
                                  .variables = run->request.variables,
                                  .extensions = run->request.extensions,
                                  .plan = run->plan,
                                  .arena = run->work->arena,
                                  .host = host};
    request.bypass = !find_session(run, &request.session);
    run->lookup.resume = resume;
    run->lookup.data = run;
    run->looked_up = true;
    switch (gql_responses_find(run->service->responses, &run->lookup, &request, &hit)) {
    case GQL_LOOKUP_HIT:
        run->looked_up = false;
        answer(run, hit);
        gql_cached_unref(hit);
        return true;
    case GQL_LOOKUP_WAIT:
        return true;
    default:
        return false;
    }
}

void gql_run_keep(gql_run *run, gql_payload *payload)
{
    if (!run->looked_up)
        return;
    bool whole = !payload->has_next && payload->result == GQL_RESULT_DATA && payload->errors == 0;
    run->looked_up = false;
    /* What an extension says (a trace, what is left of a budget) is for this request alone. */
    gql_cache_hint policy = gql_responses_finish(run->service->responses, &run->lookup,
                                                 whole ? &payload->body : NULL, !run->extended);
    payload->cache.max_age = policy.max_age;
    payload->cache.is_private = policy.scope == GQL_CACHE_PRIVATE;
}

void gql_run_lose(gql_run *run)
{
    if (run->looked_up)
        gql_responses_abandon(run->service->responses, &run->lookup);
    run->looked_up = false;
}
