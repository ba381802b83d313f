/* SPDX-License-Identifier: MIT */
#include "graphql/execution/trace.h"
#include "graphql/service_internal.h"

/* A run: the document, the interceptors around all that follows, variables, plan, execution.
 *
 *   gql_service_run → [chain of interceptors → next] → begin → execution or subscription → emit
 *   emit of the last payload → [the chain goes on, and ends] → deliver
 *
 * So an interceptor sees the end of what it wraps before the client does, and what it raises then is the
 * answer. A stream's earlier payloads go out as they come. */

pl_str gql_no_memory_body(void)
{
    return PL_STR(
        "{\"errors\":[{\"message\":\"out of memory\",\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\"}}]}");
}

/* --- the time that interceptors have, before and after what they wrap --- */
static pl_host *host_of(const gql_run *run)
{
    return ((pl_state_head *)run->service->binding->state)->host;
}

static void timer_stop(gql_run *run)
{
    if (run->timer_armed)
        host_of(run)->ops->timer_stop(host_of(run), &run->timer);
    run->timer_armed = false;
}

static void on_timer(pl_timer *timer);

static bool timer_start(gql_run *run)
{
    pl_host *host = host_of(run);
    unsigned timeout = run->service->options.execute.timeout_ms;
    run->timer = (pl_timer){.fire = on_timer, .data = run};
    run->timer_armed =
        host->ops->timer_start(host, &run->timer, host->ops->now(host) + (timeout ? timeout : 30000)) == 0;
    return run->timer_armed;
}

/* --- the end --- */
static void release(gql_run *run)
{
    timer_stop(run);
    gql_run_lose(run);
    gql_input_release(&run->env);
    if (run->plan_is_own)
        gql_plan_free(run->plan);
    if (run->prepared)
        gql_prepared_release(run->service->documents, run->prepared);
    run->plan_is_own = false;
    run->prepared = NULL;
    if (run->ended)
        *run->ended = true;
}

/* The run is in the work's arena, which the receiver of the last payload may let go of. */
static void deliver(gql_run *run, const gql_payload *payload)
{
    run->delivered = true;
    if (!payload->has_next)
        release(run);
    run->payload(run->data, payload);
}

typedef struct section {
    gql_run *run;
    pl_call_status status;
} section;

/* What next gives to the interceptors: { errors = how many }. */
static void proceed_section(void *data)
{
    section *s = data;
    pl_state *state = s->run->service->binding->state;
    const pl_engine *e = pl_engine_of(state);
    if (!e->reserve(state, 4))
        return;
    e->push_map(state, 1);
    e->push_int(state, s->run->error_count);
    e->set_member(state, e->top(state) - 1, PL_STR("errors"));
    s->status = PL_CALL_DONE;
    e->proceed(state, s->run->chain, PL_CALL_DONE, NULL);
}

static void drop_chain(gql_run *run)
{
    pl_state *state = run->service->binding->state;
    pl_call *chain = run->chain;
    run->chain = NULL;
    if (chain)
        pl_engine_of(state)->cancel(state, chain);
}

/* The interceptors hear of the end; the payload goes out when they are done, or cannot be told for want of
 * memory. */
static void hold(gql_run *run, const gql_payload *payload)
{
    pl_state *state = run->service->binding->state;
    section s = {.run = run, .status = PL_CALL_FAILED};
    pl_error err;
    pl_error_clear(&err);
    pl_gone watch;
    run->held = *payload;
    run->is_held = true;
    pl_gone_watch(&watch, &run->ended);
    bool told = pl_engine_of(state)->protect(state, proceed_section, &s, &err) && s.status == PL_CALL_DONE;
    if (pl_gone_end(&watch))
        return;
    if (!told || !timer_start(run)) {
        drop_chain(run);
        deliver(run, payload);
        return;
    }
    /* They wait for something: the body has to outlive this call. */
    run->held.body = payload->body.ptr ? pl_arena_str(run->work->arena, payload->body) : PL_STR_NONE;
    if (payload->body.ptr && !run->held.body.ptr)
        run->held.body = gql_no_memory_body();
}

void gql_run_emit(gql_run *run, const gql_payload *payload)
{
    if (run->chain && !payload->has_next)
        hold(run, payload);
    else
        deliver(run, payload);
}

/* --- refusals --- */
static void refuse_body(gql_run *run, gql_result result, pl_code code, pl_buf *body)
{
    gql_payload payload = {.result = result, .code = code};
    payload.invalid = run->prepared || (run->errors.first && run->errors.first->rule);
    payload.retry_after_ms = run->errors.first ? run->errors.first->retry_after_ms : 0;
    run->error_count = payload.errors = run->errors.count ? run->errors.count : 1;
    payload.body = body->failed ? gql_no_memory_body() : pl_buf_view(body);
    gql_run_emit(run, &payload);
    pl_buf_dispose(body);
}

void gql_run_refuse(gql_run *run, gql_result result)
{
    pl_buf body;
    pl_buf_init(&body);
    gql_write_diagnostics(&body, &run->errors, run->code);
    refuse_body(run, result, run->errors.out_of_memory ? PL_RESOURCE_EXHAUSTED : run->code, &body);
}

void gql_run_refuse_with(gql_run *run, gql_result result, const char *message)
{
    gql_diagnose(&run->errors, NULL, NULL, (gql_loc){0}, (gql_loc){0}, "%s", message);
    gql_run_refuse(run, result);
}

void gql_run_refuse_failure(gql_run *run, const pl_failure *failure, const char *what)
{
    pl_buf body;
    pl_buf_init(&body);
    gql_write_failure(&body, run->work, failure, what, run->service->options.execute.show_internal);
    refuse_body(run, GQL_RESULT_REFUSED_BY_SCRIPT, failure->code, &body);
}

/* --- what the interceptors wrap --- */
static void report_variable(void *data, const gql_variable_definition *definition, pl_code code,
                            pl_str message)
{
    gql_run *run = data;
    if (code == PL_RESOURCE_EXHAUSTED)
        run->errors.out_of_memory = true;
    else
        gql_diagnose(&run->errors, NULL, &run->source, definition->loc, (gql_loc){0}, "%.*s",
                     PL_STR_ARG(message));
}

typedef struct coercion {
    gql_run *run;
    gql_variable *variables;
    bool ok;
} coercion;

static void coerce_section(void *data)
{
    coercion *c = data;
    gql_run *run = c->run;
    c->ok = gql_input_variables(&run->env, run->operation, run->request.variables, c->variables,
                                report_variable, run);
}

static bool coerce_variables(gql_run *run)
{
    pl_state *state = run->service->binding->state;
    pl_error err;
    pl_error_clear(&err);
    if (run->operation->variable_count == 0)
        return true;
    coercion c = {.run = run};
    c.variables = pl_arena_array(run->work->arena, run->operation->variable_count, sizeof *c.variables);
    if (!c.variables || !pl_engine_of(state)->protect(state, coerce_section, &c, &err)) {
        run->errors.out_of_memory = true;
        return false;
    }
    run->env.variables = c.variables;
    run->env.variable_count = run->operation->variable_count;
    return c.ok;
}

static void execution_payload(void *data, pl_str response, bool has_next)
{
    gql_run *run = data;
    run->error_count = gql_execution_errors(run->execution);
    gql_payload payload = {
        .result = GQL_RESULT_DATA, .errors = run->error_count, .body = response, .has_next = has_next};
    gql_run_keep(run, &payload);
    gql_run_emit(run, &payload);
}

static bool write_extensions(void *data, pl_buf *out)
{
    gql_run *run = data;
    size_t begin = out->len;
    gql_admission_write(&run->admission, out);
    /* Gateways ask for no incremental answers, and what comes later would not be in it: as Apollo's server
     * does, a trace is given of whole answers alone. */
    if (run->trace && !gql_execution_is_incremental(run->execution)) {
        pl_buf_str(out, out->len > begin ? PL_STR(",\"ftv1\":\"") : PL_STR("\"ftv1\":\""));
        gql_trace_write(run->trace, out);
        pl_buf_char(out, '"');
    }
    bool ok = gql_write_ctx_extensions(out, begin, run->service->binding->state, run->work);
    run->extended = out->len > begin;
    return ok;
}

/* The cost of the operation, which is not executed. */
static void answer_cost(gql_run *run)
{
    pl_buf body;
    pl_buf_init(&body);
    PL_BUF_LIT(&body, "{\"extensions\":{");
    gql_admission_write(&run->admission, &body);
    PL_BUF_LIT(&body, "}}");
    gql_run_emit(run, &(gql_payload){.result = GQL_RESULT_DATA,
                                     .body = body.failed ? gql_no_memory_body() : pl_buf_view(&body)});
    pl_buf_dispose(&body);
}

void gql_run_execute(gql_run *run)
{
    gql_service *s = run->service;
    gql_execution_params params = {.root = PL_REF_NONE,
                                   .extensions = write_extensions,
                                   .extensions_data = run,
                                   .cache = run->lookup.trace,
                                   .trace = run->trace};
    run->execution = gql_execution_new(run->plan, &run->env, run->work, &s->options.execute, &params,
                                       &s->spare, s->options.max_response);
    if (!run->execution) {
        run->errors.out_of_memory = true;
        gql_run_refuse(run, GQL_RESULT_REFUSED);
        return;
    }
    run->env.refs = NULL; /* the execution's now */
    gql_execution_start(run->execution, execution_payload, run);
}

static void begin(gql_run *run)
{
    gql_service *s = run->service;
    if (!coerce_variables(run)) {
        gql_run_refuse(run, GQL_RESULT_REFUSED);
        return;
    }
    run->admission.paid = run->request.held; /* a subscription that goes over to a newer generation */
    if (!gql_admit(s->documents, run->prepared, run->operation, run->env.variables, run->env.variable_count,
                   run->work, &run->errors, &run->code, &run->admission)) {
        gql_run_refuse(run, run->admission.throttled ? GQL_RESULT_THROTTLED : GQL_RESULT_REFUSED);
        return;
    }
    if (run->admission.only) {
        answer_cost(run);
        return;
    }
    run->plan = gql_prepared_plan(s->documents, run->prepared, run->operation, run->request.incremental,
                                  run->env.variables, run->env.variable_count, &run->plan_is_own);
    if (!run->plan) {
        run->errors.out_of_memory = true;
        gql_run_refuse(run, GQL_RESULT_REFUSED);
    } else if (run->operation->kind == GQL_SUBSCRIPTION) {
        gql_subscription_start(run);
    } else if (!gql_run_find(run)) {
        gql_run_execute(run);
    }
}

/* --- interceptors --- */
static void chain_failed(gql_run *run, const pl_failure *failure)
{
    if (run->is_held && run->delivered) {
        gql_log_failure(run->work, failure, "interceptor failed after the answer had begun");
        deliver(run, &run->held);
        return;
    }
    gql_run_refuse_failure(run, failure, "interceptor failed");
}

static void chain_ended(gql_run *run, pl_call_status status, const pl_failure *failure)
{
    run->chain = NULL;
    if (status == PL_CALL_FAILED)
        chain_failed(run, failure);
    else if (run->is_held)
        deliver(run, &run->held);
    else
        gql_run_refuse_failure(run, &pl_failure_no_next, "interceptor failed");
}

static void chain_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    gql_run *run = call->data;
    (void)result;
    timer_stop(run);
    chain_ended(run, status, failure);
}

static void chain_proceed(pl_call *call)
{
    timer_stop(call->data);
    begin(call->data);
}

static void intercept(gql_run *run)
{
    pl_call *call;
    pl_failure failure;
    pl_call_status status = pl_call_with_ctx(run->service->binding->state, run->service->interceptors,
                                             run->work, &call, &failure);
    if (status != PL_CALL_PENDING) {
        chain_ended(run, status, &failure);
        return;
    }
    run->chain = call;
    call->done = chain_done;
    call->proceed = chain_proceed;
    call->data = run;
    if (call->wants_next) {
        begin(run);
    } else if (!timer_start(run)) {
        drop_chain(run);
        chain_ended(run, PL_CALL_FAILED, &pl_failure_no_memory);
    }
}

static void on_timer(pl_timer *timer)
{
    static const pl_failure failure = {
        .code = PL_DEADLINE_EXCEEDED, .expected = true, .message = PL_STR("The operation took too long.")};
    gql_run *run = timer->data;
    run->timer_armed = false;
    drop_chain(run);
    chain_ended(run, PL_CALL_FAILED, &failure);
}

/* --- the start --- */
static bool choose_operation(gql_run *run)
{
    const gql_document *doc = gql_prepared_document(run->prepared);
    pl_str name = run->request.operation_name;
    if (name.ptr && name.len > 0) {
        for (uint32_t i = 0; i < doc->operation_count && !run->operation; i++) {
            if (pl_str_eq(doc->operations[i].name.text, name))
                run->operation = &doc->operations[i];
        }
        if (!run->operation)
            gql_diagnose(&run->errors, NULL, NULL, (gql_loc){0}, (gql_loc){0},
                         "Unknown operation named \"%.*s\".", name.len > 200 ? 200 : (int)name.len, name.ptr);
    } else if (doc->operation_count == 1) {
        run->operation = &doc->operations[0];
    } else {
        gql_diagnose(&run->errors, NULL, NULL, (gql_loc){0}, (gql_loc){0},
                     doc->operation_count == 0
                         ? "Must provide an operation."
                         : "Must provide operation name if query contains multiple operations.");
    }
    return run->operation != NULL;
}

static bool wants_trace(const pl_work *work)
{
    for (size_t i = 0; i < work->header_count; i++) {
        if (pl_str_is(work->headers[i].name, "apollo-federation-include-trace"))
            return pl_str_is(work->headers[i].value, "ftv1");
    }
    return false;
}

static gql_run *run_new(gql_service *s, const gql_request *request, pl_work *work, gql_run_payload payload,
                        void *data)
{
    gql_run *run = pl_arena_zalloc(work->arena, sizeof *run);
    if (!run)
        return NULL;
    run->service = s;
    run->work = work;
    run->request = *request;
    run->on_hold = request->held;
    run->payload = payload;
    run->data = data;
    run->source.name = "GraphQL request";
    run->code = PL_INVALID_ARGUMENT;
    uint32_t max_list_items = s->options.limits.max_list_items;
    run->env =
        (gql_input_env){.binding = s->binding,
                        .arena = work->arena,
                        .work = work,
                        .max_faults = s->options.max_errors,
                        .max_list_items = max_list_items ? max_list_items : GQL_DEFAULT_MAX_LIST_ITEMS};
    gql_diagnostics_init(&run->errors, work->arena, s->options.max_errors);
    if (s->binding->schema->federation && wants_trace(work))
        run->trace = gql_trace_new(work->arena, host_of(run));
    return run;
}

static void pass_on(gql_run *run)
{
    gql_run_trace(run);
    if (run->service->interceptors != PL_REF_NONE)
        intercept(run);
    else
        begin(run);
}

static void start(gql_run *run)
{
    static const char *const kinds[] = {"query", "mutation", "subscription"};
    gql_service *s = run->service;
    run->prepared = gql_documents_get(s->documents, run->request.query, run->work, &run->errors, &run->code);
    if (run->prepared)
        run->code = PL_INVALID_ARGUMENT; /* of what may be wrong from here on */
    if (!run->prepared || !choose_operation(run)) {
        gql_run_refuse(run, GQL_RESULT_REFUSED);
        return;
    }
    gql_operation_kind kind = run->operation->kind;
    run->work->operation_kind = kinds[kind];
    run->work->operation_name = run->operation->name.text;
    if (kind == GQL_SUBSCRIPTION && !run->request.subscriptions)
        gql_run_refuse_with(run, GQL_RESULT_NO_SUBSCRIPTION,
                            run->request.no_subscriptions
                                ? run->request.no_subscriptions
                                : "A subscription cannot be executed over this transport.");
    else if (!gql_schema_root(s->binding->schema, kind))
        gql_run_refuse_with(run, GQL_RESULT_REFUSED,
                            "The schema does not have a root type for this operation.");
    else if (run->request.query_only && kind == GQL_MUTATION)
        gql_run_refuse_with(run, GQL_RESULT_QUERY_ONLY,
                            "Can only perform a mutation operation from a POST request.");
    else
        pass_on(run);
}

gql_run *gql_service_run(gql_service *s, const gql_request *request, pl_work *work, gql_run_payload payload,
                         void *data)
{
    gql_run *run = run_new(s, request, work, payload, data);
    work->extensions = request->extensions;
    if (request->place)
        *request->place = run;
    if (!run) {
        payload(data, &(gql_payload){.result = GQL_RESULT_REFUSED,
                                     .code = PL_RESOURCE_EXHAUSTED,
                                     .body = gql_no_memory_body()});
        return NULL;
    }
    pl_gone watch;
    pl_gone_watch(&watch, &run->ended);
    start(run);
    return pl_gone_end(&watch) ? NULL : run;
}

void gql_run_cancel(gql_run *run)
{
    gql_execution *execution = run->execution;
    gql_subscription *subscription = run->subscription;
    run->execution = NULL;
    run->subscription = NULL;
    if (execution && !run->is_held)
        gql_execution_cancel(execution);
    gql_subscription_cancel(subscription);
    drop_chain(run);
    release(run);
}

void gql_run_hold(gql_run *run, bool held)
{
    run->on_hold = held;
    if (run->subscription)
        gql_subscription_hold(run->subscription, held);
    else if (run->execution)
        gql_execution_pause(run->execution, held);
}
