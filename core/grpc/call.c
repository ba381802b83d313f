/* SPDX-License-Identifier: MIT */
#include "grpc/call.h"

#include <stdarg.h>
#include <stdio.h>

#include "value/meter.h"

/* --- in hand, and not any more --- */
static void list_add(pl_grpc_call *call)
{
    pl_grpc_service *service = call->service;
    call->next = service->calls;
    if (call->next)
        call->next->prev = call;
    service->calls = call;
    call->listed = true;
    call->server->calls++;
    ++*service->in_flight;
}

static void list_remove(pl_grpc_call *call)
{
    if (!call->listed)
        return;
    if (call->prev)
        call->prev->next = call->next;
    else
        call->service->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    call->listed = false;
    call->server->calls--;
    --*call->service->in_flight;
}

static void cancel_scripts(pl_grpc_call *call)
{
    pl_state *state = call->service->state;
    pl_call *running = call->running, *chain = call->chain;
    call->running = call->chain = NULL;
    if (running)
        pl_grpc_engine(call)->cancel(state, running);
    if (chain)
        pl_grpc_engine(call)->cancel(state, chain);
}

/* The last of a call: its memory stays until the stream goes. Scripts of other calls may have waited on it.
 */
static void close_call(pl_grpc_call *call)
{
    if (call->over)
        return;
    call->over = true;
    call->stream->events = NULL;
    call->stream->waits = false;
    call->server->held -= call->held;
    call->held = 0;
    if (call->deadline_armed)
        call->server->config.host->ops->timer_stop(call->server->config.host, &call->deadline);
    call->deadline_armed = false;
    if (call->service->state)
        pl_grpc_engine(call)->work_end(call->service->state, &call->work);
    if (call->native && call->method->native->closed)
        call->method->native->closed(call);
    if (call->rpc.writable)
        call->rpc.writable(&call->rpc);
    if (call->rpc.readable)
        call->rpc.readable(&call->rpc);
    list_remove(call);
}

void pl_grpc_call_count(const pl_grpc_call *call, pl_code code)
{
    pl_meter *meter = call->server->config.host->meter;
    const pl_grpc_method *method = call->method;
    pl_meter_rpc rpc = {.path = PL_STR_NONE};
    if (!meter)
        return;
    if (method)
        rpc = (pl_meter_rpc){method->path, method->client_streaming, method->server_streaming, method->mark};
    meter->rpc_served(meter, &rpc, code, call->began);
}

void pl_grpc_call_conclude(pl_grpc_call *call)
{
    if (call->over)
        return;
    if (call->status.code != PL_OK)
        call->server->failed_total++;
    pl_grpc_call_end(call);
    pl_grpc_call_count(call, call->status.code);
    close_call(call);
}

void pl_grpc_call_fail(pl_grpc_call *call, pl_code code, const char *fmt, ...)
{
    char text[256];
    va_list args;
    if (call->over)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cancel_scripts(call);
    call->status = (pl_grpc_status){.code = code};
    call->status.message = pl_arena_str(&call->stream->arena, pl_str_of(text));
    pl_grpc_call_conclude(call);
}

/* --- statuses --- */
static void log_failure(const pl_grpc_call *call, const pl_failure *failure, const char *what)
{
    pl_log_field fields[] = {PL_F_STR("request", call->work.id),
                             PL_F_STR("method", call->work.operation_name),
                             PL_F_CSTR("code", pl_code_name(failure->code)),
                             PL_F_STR("error", failure->message), PL_F_STR("traceback", failure->traceback)};
    pl_log_write(call->work.log, PL_ERROR, pl_str_of(what), fields, failure->traceback.len > 0 ? 5 : 4);
}

static void set_failed(pl_grpc_call *call, const pl_failure *failure, const char *what)
{
    if (!failure->expected)
        log_failure(call, failure, what);
    pl_grpc_status_of_failure(&call->status, failure, &call->work, call->service->options.show_internal);
}

/* --- the method's end, and what the interceptors make of it --- */
typedef struct section {
    pl_grpc_call *call;
    pl_call_status status;
    pl_call *pending;
    pl_failure failure;
    bool ran;
} section;

/* What next gives to the interceptors. */
static void proceed_section(void *data)
{
    section *s = data;
    pl_grpc_call *call = s->call;
    pl_push_outcome(call->service->state, call->status.code, call->status.message);
    s->ran = true;
    pl_grpc_engine(call)->proceed(call->service->state, call->chain, PL_CALL_DONE, NULL);
}

static void method_ended(pl_grpc_call *call)
{
    section s = {.call = call};
    pl_error err;
    pl_error_clear(&err);
    call->running = NULL;
    call->method_over = true;
    if (!call->chain) {
        pl_grpc_call_conclude(call);
        return;
    }
    pl_grpc_engine(call)->protect(call->service->state, proceed_section, &s, &err);
    if (s.ran || call->over)
        return;
    cancel_scripts(call);
    pl_grpc_call_conclude(call);
}

/* --- the method --- */
static void method_failed(pl_grpc_call *call, const pl_failure *failure)
{
    pl_grpc_call_abandon(call);
    set_failed(call, failure, "method failed");
    method_ended(call);
}

/* What a unary method, or one with a stream of requests, has returned becomes the response. [jumps] */
static bool put_result(pl_grpc_call *call, pl_slot result, pl_failure *failure)
{
    pl_error err;
    pl_error_clear(&err);
    if (call->method->server_streaming || pl_grpc_call_put(call, result, &err) == PL_OK)
        return true;
    *failure =
        (pl_failure){.code = err.code, .message = pl_arena_str(&call->stream->arena, pl_str_of(err.message))};
    return false;
}

static void method_done(pl_call *pending, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    pl_grpc_call *call = pending->data;
    pl_failure wrong = {0};
    call->running = NULL;
    if (call->method_over)
        return; /* called once more, since what follows on the end was left by a jump */
    if (status == PL_CALL_FAILED) {
        method_failed(call, failure);
    } else if (!put_result(call, result, &wrong)) {
        method_failed(call, &wrong);
    } else {
        call->status = (pl_grpc_status){.code = PL_OK};
        method_ended(call);
    }
}

/* stack: → [request] [call] → what it returned */
static void invoke_section(void *data)
{
    section *s = data;
    pl_grpc_call *call = s->call;
    pl_state *state = call->service->state;
    const pl_engine *e = pl_grpc_engine(call);
    pl_error err;
    int nargs = 0;
    pl_error_clear(&err);
    if (!e->reserve(state, 16))
        return;
    if (!call->method->client_streaming) {
        if (pl_grpc_call_take(call, &err) != PL_RPC_DONE) {
            s->failure = (pl_failure){.code = err.code,
                                      .expected = true,
                                      .message = pl_arena_str(&call->stream->arena, pl_str_of(err.message))};
            return;
        }
        nargs++;
    }
    if (call->method->arity > nargs) {
        e->push_ctx(state, &call->work);
        nargs++;
    }
    s->status = e->call(state, call->method->function, nargs, &call->work, &s->pending, &s->failure);
    if (s->status == PL_CALL_DONE) {
        pl_slot result = e->top(state);
        s->status = PL_CALL_FAILED;
        s->failure = pl_failure_no_memory;
        if (put_result(call, result, &s->failure))
            s->status = PL_CALL_DONE;
    }
}

static void invoke(pl_grpc_call *call)
{
    section s = {.call = call, .status = PL_CALL_FAILED, .failure = pl_failure_no_memory};
    pl_error err;
    pl_error_clear(&err);
    pl_grpc_engine(call)->protect(call->service->state, invoke_section, &s, &err);
    if (s.status == PL_CALL_PENDING) {
        s.pending->done = method_done;
        s.pending->data = call;
        call->running = s.pending;
    } else if (s.status == PL_CALL_FAILED) {
        method_failed(call, &s.failure);
    } else {
        call->status = (pl_grpc_status){.code = PL_OK};
        method_ended(call);
    }
}

/* --- interceptors --- */
static void chain_ended(pl_grpc_call *call, pl_call_status status, const pl_failure *failure)
{
    call->chain = NULL;
    if (call->over)
        return;
    if (status == PL_CALL_FAILED)
        set_failed(call, failure, "interceptor failed");
    else if (!call->method_over)
        set_failed(call, &pl_failure_no_next, "interceptor failed");
    pl_grpc_call_conclude(call);
}

static void chain_done(pl_call *pending, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    (void)result;
    chain_ended(pending->data, status, failure);
}

static void chain_proceed(pl_call *pending)
{
    invoke(pending->data);
}

static void intercept(pl_grpc_call *call)
{
    const pl_grpc_service *service = call->service;
    pl_call *chain;
    pl_failure failure;
    pl_call_status status =
        pl_call_with_ctx(service->state, service->interceptors, &call->work, &chain, &failure);
    if (status != PL_CALL_PENDING) {
        chain_ended(call, status, &failure);
        return;
    }
    call->chain = chain;
    chain->done = chain_done;
    chain->proceed = chain_proceed;
    chain->data = call;
    if (chain->wants_next)
        invoke(call);
}

/* --- what the stream tells --- */
static void start(pl_grpc_call *call)
{
    call->started = true;
    if (call->method->native)
        pl_grpc_native_start(call);
    else if (call->service->interceptors != PL_REF_NONE)
        intercept(call);
    else
        invoke(call);
}

static void on_input(pl_grpc_call *call)
{
    if (call->whole_body && !call->peer_ended)
        return;
    if (!call->started) {
        if (pl_grpc_call_check_single(call) == PL_GRPC_WHOLE)
            start(call);
        return;
    }
    if (call->method->native) {
        pl_grpc_native_input(call);
        return;
    }
    pl_grpc_message message;
    if (call->rpc.readable &&
        (call->peer_ended || pl_grpc_reader_peek(&call->stream->reader, &message) != PL_GRPC_MORE))
        call->rpc.readable(&call->rpc);
}

static void on_data(pl_grpc_stream *stream, pl_str bytes)
{
    if (pl_grpc_call_add(stream->call, bytes))
        on_input(stream->call);
}

static void on_end(pl_grpc_stream *stream)
{
    if (pl_grpc_call_complete(stream->call))
        on_input(stream->call);
}

static void on_writable(pl_grpc_stream *stream)
{
    pl_grpc_call *call = stream->call;
    if (call->native)
        pl_grpc_native_writable(call);
    else if (call->rpc.writable)
        call->rpc.writable(&call->rpc);
}

static void on_closed(pl_grpc_stream *stream)
{
    pl_grpc_call *call = stream->call;
    if (call->over)
        return;
    call->server->failed_total++;
    pl_grpc_call_count(call, PL_CANCELLED);
    cancel_scripts(call);
    close_call(call);
}

const pl_grpc_stream_events pl_grpc_call_events = {
    .data = on_data, .end = on_end, .writable = on_writable, .closed = on_closed};

/* --- the beginning --- */
static void on_deadline(pl_timer *timer)
{
    pl_grpc_call *call = timer->data;
    call->deadline_armed = false;
    pl_grpc_call_fail(call, PL_DEADLINE_EXCEEDED, "Deadline exceeded");
}

void pl_grpc_call_begin(pl_grpc_call *call)
{
    pl_host *host = call->server->config.host;
    call->stream->events = &pl_grpc_call_events;
    list_add(call);
    if (call->work.deadline) {
        call->deadline = (pl_timer){.fire = on_deadline, .data = call};
        call->deadline_armed = host->ops->timer_start(host, &call->deadline, call->work.deadline) == 0;
        if (!call->deadline_armed || call->work.deadline <= host->ops->now(host)) {
            pl_grpc_call_fail(call, call->deadline_armed ? PL_DEADLINE_EXCEEDED : PL_RESOURCE_EXHAUSTED,
                              call->deadline_armed ? "Deadline exceeded" : "out of memory");
            return;
        }
    }
    if (call->method->client_streaming)
        start(call);
    else
        call->wants = true;
}
