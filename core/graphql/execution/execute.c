/* SPDX-License-Identifier: MIT */
#include "base/gone.h"
#include "graphql/execution/incremental.h"
#include "value/json.h"

#define DEFAULT_TIMEOUT_MS 30000
#define SPARE_BYTES (256 << 10)

gql_execution *gql_execution_new(gql_plan *plan, const gql_input_env *env, pl_work *work,
                                 const gql_execute_options *options, const gql_execution_params *params,
                                 pl_buf *spare, size_t max_response)
{
    gql_execution *x = pl_arena_alloc(work->arena, sizeof *x);
    if (!x)
        return NULL;
    memset(x, 0, offsetof(gql_execution, fatal));
    pl_error_clear(&x->fatal);
    x->plan = plan;
    x->binding = plan->binding;
    x->state = plan->binding->state;
    x->e = pl_engine_of(x->state);
    x->work = work;
    x->env = *env;
    x->options = *options;
    x->params = params ? *params : (gql_execution_params){.root = PL_REF_NONE};
    if (x->options.timeout_ms == 0)
        x->options.timeout_ms = DEFAULT_TIMEOUT_MS;
    x->spare = spare;
    x->max_response = max_response;
    x->part = &x->first;
    x->arena = x->first.arena = work->arena;
    gql_output_init(&x->out, work->arena);
    x->out.buf = *spare;
    x->out.buf.limit = max_response;
    pl_buf_reset(&x->out.buf, SPARE_BYTES); /* room beyond the limit would not be bounded by it */
    pl_buf_init(spare);
    pl_buf_init(&x->errors);
    return x;
}

/* The buffer goes back to be used again; one that has become large is let go. */
static void give_back(pl_buf *spare, pl_buf *buf)
{
    pl_buf_dispose(spare);
    *spare = *buf;
    spare->limit = 0;
    pl_buf_reset(spare, SPARE_BYTES);
}

static void release(gql_execution *x)
{
    pl_host *host = ((pl_state_head *)x->state)->host;
    x->finished = true;
    gql_batches_cancel(x);
    gql_part_dispose_all(x);
    while (x->iterations)
        gql_iteration_end(x, x->iterations);
    if (x->timer_armed)
        host->ops->timer_stop(host, &x->timer);
    if (x->slice_armed)
        host->ops->timer_stop(host, &x->slice);
    x->timer_armed = x->slice_armed = false;
    x->work->runnable = false;
    gql_input_release(&x->env);
    pl_buf_dispose(&x->errors);
}

bool gql_execution_is_incremental(const gql_execution *x)
{
    return x->incremental;
}

uint32_t gql_execution_errors(const gql_execution *x)
{
    return x->errors_met;
}

static void cancel_all(gql_execution *x)
{
    while (x->pending)
        gql_pending_cancel(x, x->pending);
}

void gql_execution_cancel(gql_execution *x)
{
    if (x->finished)
        return;
    cancel_all(x);
    release(x);
    if (!x->delivering)
        give_back(x->spare, &x->out.buf);
    if (x->gone)
        *x->gone = true;
}

void gql_execution_pause(gql_execution *x, bool paused)
{
    if (x->finished || x->paused == paused)
        return;
    x->paused = paused;
    if (!paused && x->delivering && gql_delivery_has_work(x) && !gql_slice_arm(x))
        x->out.failed = true; /* told when the deadline is there */
}

/* --- the end --- */
static void write_errors(gql_execution *x, pl_buf *out)
{
    PL_BUF_LIT(out, ",\"errors\":[");
    pl_buf_str(out, pl_buf_view(&x->errors));
    uint32_t max = x->options.max_errors ? x->options.max_errors : 100;
    if (x->error_count > max)
        pl_buf_printf(
            out,
            ",{\"message\":\"%u more errors are left out\",\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\"}}",
            x->error_count - max);
    pl_buf_char(out, ']');
}

static void write_extensions(gql_execution *x, pl_buf *out)
{
    static const char opening[] = ",\"extensions\":{";
    if (!x->params.extensions)
        return;
    size_t before = out->len;
    PL_BUF_LIT(out, ",\"extensions\":{");
    if (!x->params.extensions(x->params.extensions_data, out) && !x->fatal.code)
        pl_fail_memory(&x->fatal);
    if (out->len == before + sizeof opening - 1)
        out->len = before;
    else
        pl_buf_char(out, '}');
}

static void go_on_delivering(gql_execution *x, bool dispatch);

static void write_fatal(gql_execution *x, pl_buf *out)
{
    pl_log(x->work->log, PL_ERROR, "operation failed", PL_F_STR("request", x->work->id),
           PL_F_CSTR("error", x->fatal.message));
    PL_BUF_LIT(out, "{\"data\":null,\"errors\":[{\"message\":");
    pl_json_string(out, pl_str_of(x->fatal.message));
    pl_buf_printf(out, ",\"extensions\":{\"code\":\"%s\",\"id\":", pl_code_name(x->fatal.code));
    pl_json_string(out, x->work->id);
    PL_BUF_LIT(out, "}}]}");
}

/* Why the response cannot be given as it is; PL_OK when it can. */
static pl_code check(gql_execution *x, const pl_buf *buf)
{
    if (!x->fatal.code && (x->out.failed || x->errors.failed))
        pl_fail_memory(&x->fatal);
    if (!x->fatal.code && buf->failed && buf->limit > 0)
        pl_fail(&x->fatal, PL_RESOURCE_EXHAUSTED, "The response is larger than %zu bytes.", buf->limit);
    else if (!x->fatal.code && buf->failed)
        pl_fail_memory(&x->fatal);
    return x->fatal.code;
}

/* The response in buf or, put together from it, in *whole. */
static pl_buf *put_together(gql_execution *x, pl_buf *buf, pl_buf *whole, bool *has_next)
{
    pl_buf *out = buf;
    if (x->out.has_patches) {
        out = whole;
        whole->limit = buf->limit;
        gql_output_assemble(&x->out, out);
    }
    if (x->error_count > 0)
        write_errors(x, out);
    *has_next = x->incremental = x->delivery && gql_delivery_begin(x);
    if (*has_next)
        gql_publish_first(x, out);
    write_extensions(x, out);
    pl_buf_char(out, '}');
    return out;
}

/* Hands over a payload that is not the last one. False: the execution has been cancelled meanwhile. */
static bool hand_over(gql_execution *x, pl_str response)
{
    pl_gone watch;
    pl_gone_watch(&watch, &x->gone);
    x->payload(x->data, response, true);
    return !pl_gone_end(&watch);
}

/* Nothing had to wait, so the buffer is the response as it stands; otherwise the pieces are put together. */
static void finish(gql_execution *x)
{
    static const pl_str no_memory = PL_STR("{\"data\":null,\"errors\":[{\"message\":\"out of "
                                           "memory\",\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\"}}]}");
    bool has_next = false;
    pl_buf buf = x->out.buf, whole;
    pl_buf_init(&whole);
    pl_buf *out = &whole;
    if (check(x, &buf) == PL_OK)
        out = put_together(x, &buf, &whole, &has_next);
    if (check(x, out) != PL_OK) {
        has_next = false;
        out = &whole;
        pl_buf_dispose(out);
        pl_buf_init(out);
        write_fatal(x, out);
    }
    gql_execution_payload payload = x->payload;
    void *data = x->data;
    pl_buf *spare = x->spare;
    if (has_next) {
        x->delivering = true;
        x->params.trace = NULL; /* nobody will write it */
        x->params.cache = NULL; /* what comes in several payloads is not kept */
        pl_buf_init(&x->out.buf);
        bool here = hand_over(x, pl_buf_view(out));
        give_back(spare, &buf);
        pl_buf_dispose(&whole);
        if (here)
            go_on_delivering(x, false);
        return;
    }
    release(x);
    payload(data, out->failed ? no_memory : pl_buf_view(out), false); /* x is gone after this */
    give_back(spare, &buf);
    pl_buf_dispose(&whole);
}

/* --- the deadline --- */
static void fail_waiting(void *data)
{
    gql_execution *x = data;
    pl_failure failure = {
        .code = PL_DEADLINE_EXCEEDED, .expected = true, .message = PL_STR("The operation took too long.")};
    x->timed_out = true;
    while (x->pending)
        gql_pending_fail(x, x->pending, &failure);
}

static void on_timer(pl_timer *timer)
{
    gql_execution *x = timer->data;
    x->timer_armed = false;
    pl_log(x->work->log, PL_WARN, "operation timed out", PL_F_STR("request", x->work->id),
           PL_F_INT("waiting", x->pending_count), PL_F_INT("timeout_ms", x->options.timeout_ms));
    if (!x->e->protect(x->state, fail_waiting, x, &x->fatal))
        cancel_all(x);
    if (x->paused && x->delivering && !x->fatal.code)
        pl_fail(&x->fatal, PL_DEADLINE_EXCEEDED, "The operation took too long.");
    gql_execution_continue(x);
}

static bool timer_start(gql_execution *x)
{
    pl_host *host = ((pl_state_head *)x->state)->host;
    if (x->timer_armed || x->timed_out || !host)
        return true;
    x->timer.fire = on_timer;
    x->timer.data = x;
    uint64_t at = x->work->deadline;
    if (at == 0)
        at = host->ops->now(host) + x->options.timeout_ms;
    x->timer_armed = host->ops->timer_start(host, &x->timer, at) == 0;
    return x->timer_armed;
}

/* --- what was postponed --- */
static void go_on(gql_execution *x, bool dispatch);

static void run_slice(void *data)
{
    gql_execution *x = data;
    if (x->postponed)
        gql_run_postponed(x);
    else
        gql_turn_begin(x);
    if (x->delivering && !x->paused && !x->fatal.code && !gql_turn_is_long(x))
        gql_delivery_turn(x);
}

static void on_slice(pl_timer *timer)
{
    gql_execution *x = timer->data;
    x->slice_armed = false;
    if (!x->e->protect(x->state, run_slice, x, &x->fatal))
        cancel_all(x);
    go_on(x, true);
}

bool gql_slice_arm(gql_execution *x)
{
    pl_host *host = ((pl_state_head *)x->state)->host;
    if (x->slice_armed)
        return true;
    x->slice.fire = on_slice;
    x->slice.data = x;
    x->slice_armed = host->ops->timer_start(host, &x->slice, host->ops->now(host)) == 0;
    return x->slice_armed;
}

/* --- after the first payload --- */
static void close_all(gql_execution *x, pl_buf *out)
{
    pl_buf error;
    pl_buf_init(&error);
    pl_log(x->work->log, PL_ERROR, "operation failed", PL_F_STR("request", x->work->id),
           PL_F_CSTR("error", x->fatal.message));
    PL_BUF_LIT(&error, "{\"message\":");
    pl_json_string(&error, pl_str_of(x->fatal.message));
    pl_buf_printf(&error, ",\"extensions\":{\"code\":\"%s\",\"id\":", pl_code_name(x->fatal.code));
    pl_json_string(&error, x->work->id);
    PL_BUF_LIT(&error, "}}");
    if (!error.failed)
        gql_delivery_fail(x, pl_buf_view(&error));
    gql_publish(x, out, false);
    pl_buf_dispose(&error);
}

static void last_payload(gql_execution *x)
{
    static const pl_str nothing = PL_STR("{\"hasNext\":false}");
    pl_buf out;
    pl_buf_init(&out);
    if (x->fatal.code)
        close_all(x, &out);
    else
        gql_publish(x, &out, false);
    gql_execution_payload payload = x->payload;
    void *data = x->data;
    release(x);
    payload(data, out.failed ? nothing : pl_buf_view(&out), false); /* x is gone after this */
    pl_buf_dispose(&out);
}

/* False: the execution is over. */
static bool next_payload(gql_execution *x)
{
    pl_buf out;
    pl_buf_init(&out);
    out.limit = x->max_response;
    gql_publish(x, &out, true);
    if (out.failed) {
        if (out.limit > 0)
            pl_fail(&x->fatal, PL_RESOURCE_EXHAUSTED, "The response is larger than %zu bytes.", out.limit);
        else
            pl_fail_memory(&x->fatal);
        cancel_all(x);
        last_payload(x);
        pl_buf_dispose(&out);
        return false;
    }
    bool here = hand_over(x, pl_buf_view(&out));
    pl_buf_dispose(&out);
    return here;
}

/* Delivers what the last turn has brought, and sees to it that there is another turn when one is needed. */
static void go_on_delivering(gql_execution *x, bool dispatch)
{
    if (x->out.failed && !x->fatal.code)
        pl_fail_memory(&x->fatal);
    if (x->fatal.code)
        cancel_all(x);
    if (x->fatal.code || x->delivery->open_count == 0) {
        last_payload(x);
        return;
    }
    if (!gql_publish_is_empty(x) && !next_payload(x))
        return;
    bool armed = true;
    if (gql_delivery_has_work(x))
        armed = timer_start(x) && (x->paused || gql_slice_arm(x));
    else if (x->pending_count == 0)
        pl_fail(&x->fatal, PL_INTERNAL, "Nothing is left that could complete the response.");
    else
        armed = timer_start(x);
    if (!armed)
        pl_fail_memory(&x->fatal);
    x->work->runnable = x->postponed || x->slice_armed;
    if (x->fatal.code)
        last_payload(x);
    else if (dispatch && !x->work->runnable && x->e->dispatch)
        x->e->dispatch(x->state, x->work); /* x may be gone after this */
}

/* --- mutations: root fields in order, each with all that it waits for --- */
/* The root value's slot; 0: there is none, or no room for it. */
static pl_slot push_root(gql_execution *x)
{
    if (x->params.root == PL_REF_NONE)
        return 0;
    if (x->e->reserve(x->state, 1))
        return x->e->push_ref(x->state, x->params.root);
    x->out.failed = true;
    return 0;
}

static void write_root_field(gql_execution *x, const gql_plan_field *f, gql_hole *hole)
{
    gql_frame frame = {.scope = x->root_scope};
    gql_output_fill_begin(&x->out, hole);
    frame.start = x->out.buf.len;
    gql_outcome outcome = GQL_FAILED;
    pl_slot root = push_root(x);
    if (x->e->reserve(x->state, 16))
        outcome = gql_execute_field(x, f, root, NULL, &frame);
    else
        x->out.failed = true;
    if (root > 0)
        x->e->pop_to(x->state, root - 1);
    gql_output_fill_end(&x->out);
    if (outcome != GQL_WRITTEN)
        gql_null_scope(x, x->root_scope);
}

static void fail_root_field(gql_execution *x, const gql_plan_field *f, gql_hole *hole)
{
    gql_path path = {.key = f->response_key};
    gql_output_fill_begin(&x->out, hole);
    gql_error_add(x, f, &path, PL_DEADLINE_EXCEEDED, PL_STR("The operation took too long."), NULL, NULL);
    if (f->def->type->kind == GQL_TYPE_NON_NULL)
        x->root_scope->nulled = true;
    PL_BUF_LIT(&x->out.buf, "null");
    gql_output_fill_end(&x->out);
}

static void run_serial(void *data)
{
    gql_execution *x = data;
    while (x->serial_next < x->root->count && x->first.waiting == 0 && !x->root_scope->nulled) {
        uint32_t i = x->serial_next++;
        if (x->timed_out)
            fail_root_field(x, &x->root->fields[i], x->serial[i]);
        else
            write_root_field(x, &x->root->fields[i], x->serial[i]);
    }
}

/* dispatch: nothing else of the operation is about to go on, as it is after a turn that the loop began for
 * one of several waiting calls. */
static void go_on(gql_execution *x, bool dispatch)
{
    if (x->finished)
        return;
    if (x->fatal.code || x->out.failed)
        cancel_all(x);
    if (x->delivering) {
        go_on_delivering(x, dispatch);
        return;
    }
    if (x->serial && x->pending_count == 0 && !x->fatal.code) {
        if (!x->e->protect(x->state, run_serial, x, &x->fatal))
            cancel_all(x);
    }
    if (x->pending_count > 0 && !timer_start(x)) {
        pl_fail_memory(&x->fatal);
        cancel_all(x);
    }
    x->work->runnable = x->postponed != NULL;
    if (x->pending_count == 0)
        finish(x);
    else if (dispatch && !x->postponed && x->e->dispatch)
        x->e->dispatch(x->state, x->work); /* x may be gone after this */
}

void gql_execution_continue(gql_execution *x)
{
    go_on(x, false);
}

/* --- the start --- */
static void start_serial(gql_execution *x, gql_frame *frame)
{
    pl_buf *buf = &x->out.buf;
    x->serial = pl_arena_array(x->work->arena, x->root->count, sizeof(*x->serial));
    for (uint32_t i = 0; x->serial && i < x->root->count; i++) {
        pl_buf_str(buf, x->root->fields[i].prefix);
        x->serial[i] = gql_output_hole(&x->out, frame, &x->root_scope);
    }
    pl_buf_char(buf, '}');
    if (!x->serial || x->out.failed)
        pl_fail_memory(&x->fatal);
}

/* Those that are known from earlier executions. */
static void pin_keys(gql_execution *x)
{
    const gql_plan *plan = x->plan;
    if (!plan->has_lists || plan->pin_count == 0 || plan->operation->kind == GQL_MUTATION ||
        !x->e->reserve(x->state, GQL_MAX_PINS + 1))
        return;
    x->pin_base = x->e->top(x->state);
    for (uint32_t i = 0; i < plan->pin_count; i++)
        x->e->push_key(x->state, plan->pins[i]);
    x->pin_count = plan->pin_count;
}

static void run(void *data)
{
    gql_execution *x = data;
    pl_buf *buf = &x->out.buf;
    pl_error err;
    pl_error_clear(&err);
    const gql_named *type = x->plan->root.declared;
    if (gql_plan_object_get(x->plan, &x->plan->root, type, x->env.variables, x->env.variable_count, &x->root,
                            &err) != PL_OK) {
        x->fatal = err;
        return;
    }
    gql_turn_begin(x);
    pin_keys(x);
    PL_BUF_LIT(buf, "{\"data\":");
    gql_frame frame = {.start = buf->len};
    gql_outcome outcome = GQL_WRITTEN;
    if (x->plan->operation->kind == GQL_MUTATION && x->root->count > 0)
        start_serial(x, &frame);
    else
        outcome = gql_execute_fields(x, x->root, push_root(x), NULL, &frame);
    if (outcome != GQL_WRITTEN) {
        gql_output_rewind(&x->out, frame.start, gql_drop_patch, x);
        frame.scope = NULL;
        PL_BUF_LIT(buf, "null");
    }
    if (frame.scope)
        frame.scope->end = buf->len;
    x->out.root.end = buf->len;
}

void gql_execution_start(gql_execution *x, gql_execution_payload payload, void *data)
{
    x->payload = payload;
    x->data = data;
    bool ran = x->e->protect(x->state, run, x, &x->fatal);
    x->pin_count = 0;
    if (!ran)
        cancel_all(x);
    go_on(x, true);
}
