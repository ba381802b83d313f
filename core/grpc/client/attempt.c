/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "grpc/client/internal.h"
#include "grpc/timeout.h"

/* One try of a call: it waits for an endpoint, has a stream there, and comes to an end. */

#define CANCEL 0x8
#define MAX_HEADERS 120
#define DEADLINE_SLACK_MS 20

static unsigned index_of(const attempt *a)
{
    return (unsigned)(a - a->call->tries);
}

/* --- the request --- */
static size_t add(pl_header *out, size_t n, const char *name, pl_str value)
{
    out[n] = (pl_header){pl_str_of(name), value};
    return n + 1;
}

static size_t add_own(const attempt *a, pl_header *out, size_t n, char *timeout, char *digit)
{
    const client_call *call = a->call;
    const pl_client_settings *s = &call->channel->settings;
    uint64_t now = client_now(call->channel->set);
    n = add(out, n, "te", PL_STR("trailers"));
    n = add(out, n, "content-type", PL_STR("application/grpc"));
    n = add(out, n, "user-agent", s->user_agent);
    if (call->coding != PL_GRPC_IDENTITY)
        n = add(out, n, "grpc-encoding", pl_grpc_coding_name(call->coding));
    n = add(out, n, "grpc-accept-encoding", pl_grpc_coding_names());
    if (call->deadline) {
        size_t len = pl_grpc_timeout_write(timeout, call->deadline > now ? call->deadline - now : 1);
        n = add(out, n, "grpc-timeout", (pl_str){timeout, len});
    }
    if (index_of(a) > 0) {
        *digit = (char)('0' + index_of(a));
        n = add(out, n, "grpc-previous-rpc-attempts", (pl_str){digit, 1});
    }
    return n;
}

/* Too many headers: what is over is left out, which the number of metadata prevents (call.c). */
static size_t request_headers(const attempt *a, pl_header *out, char *timeout, char *digit)
{
    const client_call *call = a->call;
    const pl_client_channel *c = call->channel;
    const pl_client_settings *s = &c->settings;
    size_t n = 0;
    n = add(out, n, ":method", PL_STR("POST"));
    n = add(out, n, ":scheme", s->tls.on ? PL_STR("https") : PL_STR("http"));
    n = add(out, n, ":path", call->path);
    n = add(out, n, ":authority", s->authority.ptr ? s->authority : c->about.authority);
    n = add_own(a, out, n, timeout, digit);
    for (size_t i = 0; i < call->metadata.count && n < MAX_HEADERS; i++)
        out[n++] = call->metadata.items[i];
    return n;
}

/* --- the end --- */
static void leave_endpoint(attempt *a, pl_breaker_outcome outcome)
{
    pl_client_channel *c = a->call->channel;
    if (!a->pick.endpoint)
        return;
    char address[128]; /* the endpoint may go */
    snprintf(address, sizeof address, "%.*s", PL_STR_ARG(a->pick.endpoint->address));
    pl_breaker_state state = a->pick.endpoint->breaker.state;
    bool changed = pl_balancer_end(c->balancer, &a->pick, outcome, client_now(c->set));
    a->pick.endpoint = NULL;
    if (!changed)
        return;
    bool opened = state != PL_BREAKER_OPEN && outcome == PL_BREAKER_FAILURE;
    pl_log(c->set->config.log, opened ? PL_WARN : PL_INFO,
           opened ? "circuit breaker opened" : "circuit breaker closed", PL_F_STR("target", c->about.text),
           PL_F_CSTR("endpoint", address));
    c->repick = true;
    client_channel_due(c);
}

static void end(attempt *a, pl_attempt_reach reach, int64_t pushback)
{
    client_call *call = a->call;
    pl_attempt_end e = {.code = a->status.code, .pushback = pushback, .reach = reach};
    a->state = ATTEMPT_OVER;
    a->stream = NULL;
    leave_endpoint(a, pl_breaker_judge(e.code));
    pl_attempts_step step = pl_attempts_ended(&call->policy, index_of(a), &e, client_now(call->channel->set));
    client_call_step(call, &step);
}

void attempt_failed(attempt *a, pl_code code, const char *why)
{
    pl_str text = pl_arena_str(&a->call->arena, pl_str_of(why));
    client_channel_dequeue(a);
    a->status = (pl_remote_status){.code = code, .message = text.ptr ? text : PL_STR(""), .local = true};
    end(a, PL_ATTEMPT_PROCESSED, PL_PUSHBACK_NONE);
}

void attempt_cancel(attempt *a, pl_breaker_outcome outcome)
{
    pl_client_stream *stream = a->stream;
    client_channel_dequeue(a);
    a->stream = NULL;
    a->state = ATTEMPT_OVER;
    leave_endpoint(a, outcome);
    if (stream)
        stream->ops->cancel(stream, CANCEL);
}

/* --- what the stream tells --- */
static void on_headers(pl_client_stream *stream)
{
    attempt *a = stream->call;
    client_call *call = a->call;
    if (!answer_is_grpc(stream, &call->arena, &a->status)) {
        a->stream = NULL;
        stream->ops->cancel(stream, CANCEL);
        end(a, PL_ATTEMPT_PROCESSED, PL_PUSHBACK_NONE);
        return;
    }
    pl_attempts_step step = pl_attempts_headers(&call->policy, index_of(a));
    pl_str coding = answer_header(&stream->headers, "grpc-encoding");
    call->answer_coding = coding.ptr ? pl_grpc_coding_read(coding) : PL_GRPC_IDENTITY;
    answer_metadata(&stream->headers, &call->arena, &call->headers);
    call->has_headers = true;
    client_call_step(call, &step);
    client_call_due(call);
}

static void on_data(pl_client_stream *stream, pl_str bytes)
{
    attempt *a = stream->call;
    client_call_data(a->call, bytes);
}

static void on_writable(pl_client_stream *stream)
{
    attempt *a = stream->call;
    client_call_pump(a->call);
}

/* Servers reset calls whose time is over, by their own clocks: they may be first. */
static bool is_late(const client_call *call)
{
    return call->deadline != 0 && client_now(call->channel->set) + DEADLINE_SLACK_MS >= call->deadline;
}

static void on_closed(pl_client_stream *stream, const pl_client_end *how)
{
    attempt *a = stream->call;
    client_call *call = a->call;
    pl_attempt_reach reach = how->refused ? PL_ATTEMPT_REFUSED
                             : how->sent  ? PL_ATTEMPT_PROCESSED
                                          : PL_ATTEMPT_NOT_SENT;
    answer_status(stream, how, &call->arena, &a->status);
    if (how->kind == PL_CLIENT_RESET && how->error == CANCEL && is_late(call))
        a->status = (pl_remote_status){.code = PL_DEADLINE_EXCEEDED,
                                       .message = PL_STR("Deadline exceeded: the server has reset the call"),
                                       .local = true};
    a->trailers = (pl_grpc_metadata){0};
    answer_metadata(stream->alone ? &stream->headers : &stream->trailers, &call->arena, &a->trailers);
    a->stream = NULL;
    end(a, reach, answer_pushback(stream));
}

static const pl_client_stream_events stream_events = {
    .headers = on_headers, .data = on_data, .writable = on_writable, .closed = on_closed};

/* --- the beginning --- */
void attempt_begin(attempt *a)
{
    a->status = (pl_remote_status){.code = PL_UNKNOWN, .message = PL_STR("")};
    a->trailers = (pl_grpc_metadata){0};
    a->pick = (pl_pick){.endpoint = NULL};
    a->given = 0;
    a->ended = false;
    a->call->channel->set->stats.attempts_total++;
    client_channel_enqueue(a);
}

bool attempt_start(attempt *a, const pl_pick *pick)
{
    client_call *call = a->call;
    pl_client_channel *c = call->channel;
    pl_header headers[MAX_HEADERS];
    char timeout[PL_GRPC_TIMEOUT_SIZE], digit;
    size_t count = request_headers(a, headers, timeout, &digit);
    pl_client_link *link = pick->endpoint ? pick->endpoint->data : NULL;
    if (c->is_local)
        a->stream = client_local_start(c, headers, count, &stream_events, a);
    else if (link && link->session)
        a->stream = pl_client_session_start(link->session, headers, count, &stream_events, a);
    if (!a->stream)
        return false;
    a->pick = *pick;
    a->state = ATTEMPT_RUNNING;
    call->peer = c->is_local ? PL_STR("local") : pl_arena_str(&call->arena, link->address);
    client_call_pump(call);
    return true;
}

/* --- what goes --- */
static void compact(pl_client_stream *stream)
{
    size_t unsent = pl_client_stream_unsent(stream);
    if (stream->sent == 0 || unsent > stream->sent)
        return;
    memmove(stream->out.data, stream->out.data + stream->sent, unsent);
    stream->out.len = unsent;
    stream->sent = 0;
}

void attempt_pump(attempt *a)
{
    const client_call *call = a->call;
    pl_client_stream *stream = a->stream;
    size_t all = call->kept_at + call->kept.len;
    if (a->state != ATTEMPT_RUNNING || !stream)
        return;
    size_t unsent = pl_client_stream_unsent(stream);
    if (a->given < all && unsent < PL_CLIENT_UNSENT) {
        size_t n = all - a->given;
        if (n > PL_CLIENT_UNSENT - unsent)
            n = PL_CLIENT_UNSENT - unsent;
        compact(stream);
        pl_buf_append(&stream->out, call->kept.data + (a->given - call->kept_at), n);
        if (stream->out.failed) {
            attempt_cancel(a, PL_BREAKER_ABANDONED);
            attempt_failed(a, PL_RESOURCE_EXHAUSTED, "out of memory");
            return;
        }
        a->given += n;
        stream->waits = a->given < all;
        stream->ops->flush(stream);
    }
    stream->waits = a->given < all;
    if (a->given == all && call->finished && !a->ended) {
        a->ended = true;
        stream->ops->finish(stream);
    }
}
