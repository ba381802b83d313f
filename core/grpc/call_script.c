/* SPDX-License-Identifier: MIT */
#include "grpc/call.h"

/* What `call` does in scripts. The engine calls these from inside of scripts: nothing here may go on with
 * another script, so what is written is only queued. */

#define MAX_METADATA 100

static pl_grpc_call *call_of(pl_rpc *rpc)
{
    return (pl_grpc_call *)rpc;
}

/* --- metadata from scripts: { name = "value", other = { "a", "b" } } --- */
typedef struct reading {
    pl_grpc_call *call;
    pl_grpc_metadata *list;
    bool headers, trailers;
    pl_error err;
} reading;

static pl_code add_value(reading *r, pl_str name, pl_slot slot)
{
    pl_state *state = r->call->service->state;
    const pl_engine *e = pl_engine_of(state);
    pl_arena *arena = &r->call->stream->arena;
    pl_str value = PL_STR_NONE;
    pl_kind kind = e->kind(state, slot);
    if (kind == PL_KIND_STRING)
        value = e->get_string(state, slot);
    else if (kind == PL_KIND_INT)
        value = pl_arena_printf(arena, "%lld", (long long)e->get_int(state, slot));
    else
        return pl_fail(&r->err, PL_INVALID_ARGUMENT,
                       "the metadata value of \"%.*s\" must be a string or a list of strings",
                       PL_STR_ARG(name));
    if (!value.ptr)
        return pl_fail_memory(&r->err);
    if (r->list->count >= MAX_METADATA)
        return pl_fail(&r->err, PL_INVALID_ARGUMENT, "there is more metadata than %d values", MAX_METADATA);
    return pl_grpc_metadata_put(r->list, arena, name, value, &r->err);
}

/* stack: … key value */
static pl_code add_entry(reading *r, pl_slot key)
{
    pl_state *state = r->call->service->state;
    const pl_engine *e = pl_engine_of(state);
    if (e->kind(state, key) != PL_KIND_STRING)
        return pl_fail(&r->err, PL_INVALID_ARGUMENT, "metadata is a table { name = value }");
    pl_str name = e->get_string(state, key);
    if (e->kind(state, key + 1) != PL_KIND_LIST)
        return add_value(r, name, key + 1);
    size_t n = e->length(state, key + 1);
    for (size_t i = 0; i < n; i++) {
        e->element(state, key + 1, i);
        if (add_value(r, name, key + 2) != PL_OK)
            return r->err.code;
        e->pop_to(state, key + 1);
    }
    return PL_OK;
}

/* [jumps] */
static pl_code read_map(reading *r, pl_slot map)
{
    pl_state *state = r->call->service->state;
    const pl_engine *e = pl_engine_of(state);
    pl_slot top = e->top(state);
    pl_code code = PL_OK;
    if (e->kind(state, map) != PL_KIND_MAP)
        return pl_fail(&r->err, PL_INVALID_ARGUMENT, "metadata is a table { name = value }, not %s",
                       pl_kind_phrase(e->kind(state, map)));
    if (!e->reserve(state, 8))
        return pl_fail_memory(&r->err);
    e->push_absent(state);
    while (code == PL_OK && e->next(state, map)) {
        code = add_entry(r, top + 1);
        e->pop_to(state, top + 1);
    }
    e->pop_to(state, top);
    return code;
}

/* ctx[name], where a script has filled it; one that it should not have is logged and left out. [jumps] */
static void read_field(reading *r, const char *name, pl_grpc_metadata *list)
{
    pl_grpc_call *call = r->call;
    pl_state *state = call->service->state;
    const pl_engine *e = pl_engine_of(state);
    pl_key *key = e->key(state, pl_str_of(name));
    if (!key || !e->reserve(state, 8))
        return;
    pl_slot ctx = e->push_ctx(state, &call->work);
    r->list = list;
    if (e->field(state, ctx, key) && e->kind(state, e->top(state)) != PL_KIND_ABSENT &&
        read_map(r, e->top(state)) != PL_OK)
        pl_log(call->work.log, PL_ERROR, "metadata cannot be sent", PL_F_STR("request", call->work.id),
               PL_F_STR("method", call->work.operation_name), PL_F_CSTR("where", name),
               PL_F_CSTR("error", r->err.message));
    e->pop_to(state, ctx - 1);
}

static void metadata_section(void *data)
{
    reading *r = data;
    if (r->headers)
        read_field(r, "response_headers", &r->call->headers);
    if (r->trailers)
        read_field(r, "trailers", &r->call->trailers);
}

void pl_grpc_script_metadata(pl_grpc_call *call, bool headers, bool trailers)
{
    if (call->work.ctx == PL_REF_NONE)
        return;
    reading r = {.call = call, .headers = headers, .trailers = trailers};
    pl_error err;
    pl_error_clear(&err);
    pl_grpc_engine(call)->protect(call->service->state, metadata_section, &r, &err);
}

/* --- the rpc's functions --- */
static pl_rpc_result receive(pl_rpc *rpc, pl_error *err)
{
    pl_grpc_call *call = call_of(rpc);
    if (call->method->client_streaming)
        return pl_grpc_call_take(call, err);
    pl_fail(err, PL_FAILED_PRECONDITION, "%.*s takes one request, as its first argument",
            PL_STR_ARG(call->work.operation_name));
    return PL_RPC_FAILED;
}

/* With those of ctx.response_headers. [jumps] */
static void send_own_headers(pl_grpc_call *call)
{
    if (call->headers_sent)
        return;
    if (call->work.ctx != PL_REF_NONE) {
        reading r = {.call = call, .headers = true};
        metadata_section(&r);
    }
    pl_grpc_call_headers(call);
}

static pl_rpc_result send(pl_rpc *rpc, pl_slot message, pl_error *err)
{
    pl_grpc_call *call = call_of(rpc);
    if (!call->method->server_streaming) {
        pl_fail(err, PL_FAILED_PRECONDITION, "%.*s has one response, which it returns",
                PL_STR_ARG(call->work.operation_name));
        return PL_RPC_FAILED;
    }
    if (call->method_over) {
        pl_fail(err, PL_FAILED_PRECONDITION, "%.*s has ended", PL_STR_ARG(call->work.operation_name));
        return PL_RPC_FAILED;
    }
    if (pl_grpc_call_put(call, message, err) != PL_OK)
        return PL_RPC_FAILED;
    send_own_headers(call);
    call->stream->ops->flush(call->stream);
    if (pl_grpc_stream_unsent(call->stream) <= PL_GRPC_UNSENT)
        return PL_RPC_DONE;
    call->stream->waits = true;
    return PL_RPC_WAIT;
}

static pl_rpc_result send_headers(pl_rpc *rpc, pl_slot headers, pl_error *err)
{
    pl_grpc_call *call = call_of(rpc);
    reading r = {.call = call, .list = &call->headers};
    if (call->headers_sent) {
        pl_fail(err, PL_FAILED_PRECONDITION, "the headers have been sent already");
        return PL_RPC_FAILED;
    }
    if (pl_grpc_engine(call)->kind(call->service->state, headers) != PL_KIND_ABSENT &&
        read_map(&r, headers) != PL_OK) {
        *err = r.err;
        return PL_RPC_FAILED;
    }
    send_own_headers(call);
    return PL_RPC_DONE;
}

/* --- metadata for scripts --- */

/* Appends the values of one header to the list in the top slot; what is no Base64 is left out. [jumps] */
static void push_values(pl_state *state, pl_slot list, const pl_header *h, pl_buf *scratch)
{
    const pl_engine *e = pl_engine_of(state);
    pl_str rest = h->value, value;
    while (pl_grpc_metadata_split(h->name, &rest, &value)) {
        if (pl_grpc_is_binary(h->name)) {
            pl_buf_reset(scratch, scratch->cap);
            if (!pl_grpc_metadata_decode(value, scratch))
                continue;
            value = scratch->len ? pl_buf_view(scratch) : PL_STR("");
        }
        e->push_string(state, value);
        e->set_element(state, list, e->length(state, list));
    }
}

static bool is_first(const pl_work *work, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (pl_str_eq(work->headers[i].name, work->headers[at].name))
            return false;
    }
    return true;
}

static void push_metadata(pl_rpc *rpc)
{
    pl_grpc_call *call = call_of(rpc);
    const pl_work *work = &call->work;
    pl_state *state = call->service->state;
    const pl_engine *e = pl_engine_of(state);
    if (!e->reserve(state, 8))
        return;
    e->push_map(state, work->header_count);
    pl_slot map = e->top(state);
    for (size_t i = 0; i < work->header_count; i++) {
        if (!is_first(work, i))
            continue;
        e->push_list(state, 1);
        for (size_t k = i; k < work->header_count; k++) {
            if (pl_str_eq(work->headers[k].name, work->headers[i].name))
                push_values(state, map + 1, &work->headers[k], &call->stream->scratch);
        }
        e->set_member(state, map, work->headers[i].name);
    }
}

static void abandoned(pl_rpc *rpc)
{
    pl_grpc_call_abandon(call_of(rpc));
}

const pl_rpc_ops pl_grpc_rpc_ops = {.receive = receive,
                                    .send = send,
                                    .send_headers = send_headers,
                                    .push_metadata = push_metadata,
                                    .abandoned = abandoned};
