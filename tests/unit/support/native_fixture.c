/* SPDX-License-Identifier: MIT */
#include "support/native_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- the host --- */
static nf *nf_of(pl_host *host)
{
    return host->owner;
}

static uint64_t now(pl_host *host)
{
    (void)host;
    return 1000;
}

static int timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    return pl_timers_start(&nf_of(host)->timers, timer, at);
}

static void timer_stop(pl_host *host, pl_timer *timer)
{
    pl_timers_stop(&nf_of(host)->timers, timer);
}

static void on_log(void *data, pl_level level, pl_str text)
{
    (void)data;
    (void)level;
    (void)text;
}

void nf_open(nf *f)
{
    static const pl_host_ops ops = {.now = now, .timer_start = timer_start, .timer_stop = timer_stop};
    *f = (nf){.host = {.ops = &ops, .owner = f}};
    pl_timers_init(&f->timers);
    f->log = pl_logger_new_sink(on_log, NULL, PL_LOG_JSON, PL_DEBUG);
    f->service = pl_grpc_service_new(NULL, &(pl_grpc_options){0}, PL_REF_NONE, &f->in_flight);
    f->server = pl_grpc_server_new(&(pl_grpc_server_config){.host = &f->host, .log = f->log});
    assert_true(f->log && f->service && f->server);
    pl_grpc_server_set_native(f->server, f->service);
}

void nf_close(nf *f)
{
    assert_int_equal(f->in_flight, 0);
    pl_grpc_server_free(f->server);
    pl_grpc_service_free(f->service);
    pl_logger_free(f->log);
    pl_timers_dispose(&f->timers);
}

/* --- streams --- */
static void note_status(nf_call *call, const pl_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pl_str_is(headers[i].name, "grpc-status"))
            call->code = atoi(headers[i].value.ptr);
        if (pl_str_is(headers[i].name, "grpc-message"))
            snprintf(call->message, sizeof call->message, "%.*s", PL_STR_ARG(headers[i].value));
    }
}

static void flush(pl_grpc_stream *stream)
{
    nf_call *call = (nf_call *)stream;
    if (call->stuck)
        return;
    size_t n = pl_grpc_stream_unsent(stream);
    call->data = realloc(call->data, call->size + n + 1); /* the client's memory does not fail */
    if (n > 0)
        memcpy(call->data + call->size, stream->out.data + stream->sent, n);
    call->size += n;
    stream->sent = stream->out.len;
}

static void respond(pl_grpc_stream *stream, int status, const pl_header *headers, size_t count, bool alone)
{
    (void)status;
    (void)alone;
    note_status((nf_call *)stream, headers, count);
}

static void finish(pl_grpc_stream *stream, const pl_header *trailers, size_t count)
{
    flush(stream);
    note_status((nf_call *)stream, trailers, count);
}

static void reset(pl_grpc_stream *stream, uint32_t error)
{
    (void)error;
    ((nf_call *)stream)->code = -2;
}

static void consumed(pl_grpc_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

nf_call *nf_begin(nf *f, const char *path)
{
    static const pl_grpc_stream_ops ops = {
        .respond = respond, .flush = flush, .finish = finish, .reset = reset, .consumed = consumed};
    static pl_header type = {{"content-type", 12}, {"application/grpc", 16}};
    nf_call *call = calloc(1, sizeof *call);
    call->f = f;
    call->code = -1;
    call->stream.ops = &ops;
    call->stream.method = PL_STR("POST");
    call->stream.path = pl_str_of(path);
    pl_arena_init(&call->stream.arena, 0);
    pl_grpc_reader_init(&call->stream.reader, 0);
    call->stream.headers.items = &type;
    call->stream.headers.count = 1;
    pl_grpc_handler *handler = pl_grpc_server_handler(f->server);
    handler->request(handler, &call->stream);
    return call;
}

void nf_send(nf_call *call, pl_str message, bool end)
{
    char frame[4096] = {0};
    pl_grpc_stream *stream = &call->stream;
    assert_true(message.len < sizeof frame - PL_GRPC_PREFIX);
    frame[3] = (char)(message.len >> 8);
    frame[4] = (char)message.len;
    if (message.len > 0)
        memcpy(frame + PL_GRPC_PREFIX, message.ptr, message.len);
    if (stream->events && message.ptr)
        stream->events->data(stream, (pl_str){frame, PL_GRPC_PREFIX + message.len});
    if (stream->events && end)
        stream->events->end(stream);
}

nf_call *nf_unary(nf *f, const char *path, pl_str message)
{
    nf_call *call = nf_begin(f, path);
    nf_send(call, message, true);
    return call;
}

void nf_take(nf_call *call)
{
    bool stuck = call->stuck, waits = call->stream.waits;
    call->stuck = false;
    flush(&call->stream);
    call->stuck = stuck;
    call->stream.waits = false;
    if (waits && call->stream.events)
        call->stream.events->writable(&call->stream);
}

pl_str nf_message(const nf_call *call, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; at + PL_GRPC_PREFIX <= call->size; i++) {
        const unsigned char *p = (const unsigned char *)call->data + at;
        size_t length = (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        if (i == n)
            return (pl_str){call->data + at + PL_GRPC_PREFIX, length};
        at += PL_GRPC_PREFIX + length;
    }
    return PL_STR_NONE;
}

size_t nf_count(const nf_call *call)
{
    size_t n = 0;
    while (nf_message(call, n).ptr)
        n++;
    return n;
}

void nf_end(nf_call *call)
{
    pl_grpc_stream *stream = &call->stream;
    if (stream->events)
        stream->events->closed(stream);
    pl_arena_dispose(&stream->arena);
    pl_buf_dispose(&stream->out);
    pl_buf_dispose(&stream->scratch);
    pl_grpc_reader_dispose(&stream->reader);
    free(call->data);
    free(call);
}
