/* SPDX-License-Identifier: MIT */
#include "grpc/native.h"

#include "grpc/call.h"

/* For what is said of a method's messages; nothing is decoded into values. */
const pl_grpc_codec pl_grpc_native_codec = {.name = {"proto", 5}};

void *pl_grpc_native_state(pl_grpc_call *call)
{
    return call->native;
}

void *pl_grpc_native_data(const pl_grpc_call *call)
{
    return call->method->native_data;
}

const pl_work *pl_grpc_native_work(const pl_grpc_call *call)
{
    return &call->work;
}

pl_host *pl_grpc_native_host(const pl_grpc_call *call)
{
    return call->server->config.host;
}

pl_arena *pl_grpc_native_arena(const pl_grpc_call *call)
{
    return &call->stream->arena;
}

void pl_grpc_native_finish(pl_grpc_call *call, pl_code code, pl_str message)
{
    if (call->over)
        return;
    call->status = (pl_grpc_status){.code = code};
    if (message.len > 0)
        call->status.message = pl_arena_str(&call->stream->arena, message);
    call->method_over = true;
    pl_grpc_call_conclude(call);
}

bool pl_grpc_native_send(pl_grpc_call *call, pl_str bytes)
{
    pl_error err = {0};
    if (call->over)
        return false;
    if (pl_grpc_call_put_bytes(call, bytes, &err) != PL_OK) {
        pl_grpc_native_finish(call, err.code, pl_str_of(err.message));
        return false;
    }
    if (!call->method->server_streaming)
        return true;
    pl_grpc_call_headers(call);
    call->stream->ops->flush(call->stream);
    if (pl_grpc_stream_unsent(call->stream) <= PL_GRPC_UNSENT)
        return true;
    call->stream->waits = true;
    return false;
}

/* What came, as far as the method may have it now. False: nothing more for now, or the call is over. */
static bool take_one(pl_grpc_call *call)
{
    const pl_grpc_native *native = call->method->native;
    pl_error err = {0};
    pl_str bytes;
    if (!call->method->client_streaming && call->received > 0)
        return false;
    if (pl_grpc_stream_unsent(call->stream) > PL_GRPC_UNSENT) {
        call->stream->waits = true;
        return false;
    }
    switch (pl_grpc_call_take_bytes(call, &bytes, &err)) {
    case PL_RPC_DONE:
        native->message(call, bytes);
        return !call->over;
    case PL_RPC_WAIT:
        return false;
    case PL_RPC_FAILED:
        pl_grpc_native_finish(call, err.code, pl_str_of(err.message));
        return false;
    case PL_RPC_END:
        break;
    }
    if (call->native_ended)
        return false;
    call->native_ended = true;
    if (native->end)
        native->end(call);
    else
        pl_grpc_native_finish(call, PL_OK, PL_STR_NONE);
    return false;
}

void pl_grpc_native_input(pl_grpc_call *call)
{
    /* A message's function may make the stream go on, which tells of more. */
    if (call->native_inside)
        return;
    call->native_inside = true;
    while (!call->over && take_one(call))
        ;
    call->native_inside = false;
}

void pl_grpc_native_start(pl_grpc_call *call)
{
    call->native = pl_arena_zalloc(&call->stream->arena, call->method->native->size);
    if (call->native)
        pl_grpc_native_input(call);
    else
        pl_grpc_call_fail(call, PL_RESOURCE_EXHAUSTED, "out of memory");
}

void pl_grpc_native_writable(pl_grpc_call *call)
{
    if (call->method->native->writable)
        call->method->native->writable(call);
    if (!call->over)
        pl_grpc_native_input(call);
}
