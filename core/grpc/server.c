/* SPDX-License-Identifier: MIT */
#include "grpc/server.h"

#include "base/alloc.h"
#include "grpc/wire.h"
#include "value/meter.h"

#define ID_SIZE 20 /* hexadecimal digits: 8 of the prefix, 12 that count */
#define MAX_OWN_ID 128

/* --- request ids --- */
static bool is_sound_id(pl_str id)
{
    bool sound = id.len > 0 && id.len <= MAX_OWN_ID;
    for (size_t i = 0; sound && i < id.len; i++)
        sound = id.ptr[i] > 0x20 && id.ptr[i] < 0x7f;
    return sound;
}

static void write_hex(char *out, int digits, uint64_t v)
{
    for (int i = digits - 1; i >= 0; i--, v >>= 4)
        out[i] = "0123456789abcdef"[v & 15];
}

static pl_str id_of(pl_grpc_server *server, pl_grpc_stream *stream)
{
    if (stream->id.ptr)
        return stream->id;
    for (size_t i = 0; i < stream->headers.count; i++) {
        const pl_header *h = &stream->headers.items[i];
        if (pl_str_is(h->name, "x-request-id") && is_sound_id(h->value))
            return h->value;
    }
    char *id = pl_arena_alloc(&stream->arena, ID_SIZE);
    if (!id)
        return PL_STR("");
    write_hex(id, 8, server->config.id_prefix);
    write_hex(id + 8, ID_SIZE - 8, ++server->last_id);
    return (pl_str){id, ID_SIZE};
}

/* --- what is held --- */

/* Of those that wait for more: those that have all are for their scripts to finish. */
static pl_grpc_call *largest(pl_grpc_call *calls, pl_grpc_call *best)
{
    for (pl_grpc_call *c = calls; c; c = c->next) {
        if (!c->peer_ended && c->held > best->held)
            best = c;
    }
    return best;
}

bool pl_grpc_server_make_room(pl_grpc_server *server, pl_grpc_call *call, size_t bytes)
{
    while (!call->over && server->held + bytes > server->config.max_held) {
        pl_grpc_call *victim = largest(call->service ? call->service->calls : NULL, call);
        if (server->service && server->service != call->service)
            victim = largest(server->service->calls, victim);
        if (victim->held < call->held + bytes)
            victim = call;
        pl_grpc_call_fail(victim, PL_RESOURCE_EXHAUSTED, "the server has received more than it can hold");
    }
    return !call->over;
}

/* --- streams --- */
static void on_request(pl_grpc_handler *handler, pl_grpc_stream *stream)
{
    pl_grpc_server *server = (pl_grpc_server *)handler;
    pl_grpc_call *call = pl_arena_zalloc(&stream->arena, sizeof *call);
    pl_grpc_wire_headers headers = {0};
    pl_meter *meter = server->config.host->meter;
    server->calls_total++;
    server->last_call_at = server->config.host->ops->now(server->config.host);
    if (!call) {
        server->failed_total++;
        stream->ops->reset(stream, 0x2); /* INTERNAL_ERROR */
        return;
    }
    call->rpc.ops = &pl_grpc_rpc_ops;
    call->began = meter ? meter->now(meter) : 0;
    call->server = server;
    call->service = server->service;
    call->stream = stream;
    call->begin = SIZE_MAX;
    call->wire = pl_grpc_wire_choose(server, stream);
    if (!call->wire)
        call->wire = &pl_grpc_wire_grpc; /* which says what it does not like */
    pl_str id = id_of(server, stream);
    pl_grpc_wire_sort(stream, &headers);
    call->work = (pl_work){.protocol = call->wire->protocol,
                           .id = id,
                           .peer = stream->peer,
                           .headers = stream->headers.items,
                           .header_count = stream->headers.count,
                           .arena = &stream->arena,
                           .ctx = PL_REF_NONE,
                           .rpc = &call->rpc,
                           .certificate = stream->certificate,
                           .log = server->config.log};
    stream->call = call;
    if (call->wire->open(call, &headers)) {
        pl_grpc_call_begin(call);
        return;
    }
    server->failed_total++;
    pl_grpc_call_count(call, call->status.code ? call->status.code : PL_UNKNOWN); /* or by HTTP alone */
}

pl_grpc_server *pl_grpc_server_new(const pl_grpc_server_config *config)
{
    pl_grpc_server *server = pl_calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->handler.request = on_request;
    server->config = *config;
    pl_grpc_server_set_max_held(server, config->max_held);
    server->coder = pl_grpc_coder_new();
    if (server->coder)
        return server;
    pl_free(server);
    return NULL;
}

void pl_grpc_server_free(pl_grpc_server *server)
{
    if (!server)
        return;
    pl_grpc_coder_free(server->coder);
    pl_free(server);
}

void pl_grpc_server_set_service(pl_grpc_server *server, pl_grpc_service *service)
{
    server->service = service;
}

void pl_grpc_server_set_native(pl_grpc_server *server, pl_grpc_service *native)
{
    server->native = native;
}

void pl_grpc_server_set_max_held(pl_grpc_server *server, size_t max_held)
{
    server->config.max_held = max_held ? max_held : (size_t)256 << 20;
}

bool pl_grpc_server_serves(const pl_grpc_server *server, const pl_grpc_stream *stream)
{
    return (server->service || server->native) && pl_grpc_wire_choose(server, stream);
}

pl_grpc_handler *pl_grpc_server_handler(pl_grpc_server *server)
{
    return &server->handler;
}

pl_grpc_server_stats pl_grpc_server_get_stats(const pl_grpc_server *server)
{
    return (pl_grpc_server_stats){.calls = server->calls,
                                  .calls_total = server->calls_total,
                                  .failed_total = server->failed_total,
                                  .last_call_at = server->last_call_at,
                                  .held = server->held};
}
