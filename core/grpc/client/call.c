/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "grpc/client/internal.h"
#include "value/meter.h"

/* A call, as scripts have it: what is sent is kept here, framed and compressed, until the attempt that the
 * call is committed to has taken it; what that one brings is read from here. */

#define MAX_METADATA 100
#define MAX_PATH 1000

static client_call *of(pl_remote_call *call)
{
    return (client_call *)call;
}

static void set_status(client_call *call, pl_code code, const char *fmt, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof text, fmt, args);
    pl_str message = pl_arena_str(&call->arena, pl_str_of(text));
    call->status =
        (pl_remote_status){.code = code, .message = message.ptr ? message : PL_STR(""), .local = true};
}

/* --- what is kept --- */
static size_t furthest(const client_call *call)
{
    size_t given = 0;
    for (int i = 0; i < PL_MOST_ATTEMPTS; i++) {
        if (call->tries[i].state == ATTEMPT_RUNNING && call->tries[i].given > given)
            given = call->tries[i].given;
    }
    return given > call->kept_at ? given : call->kept_at;
}

static size_t unsent(const client_call *call)
{
    return call->kept_at + call->kept.len - furthest(call);
}

static void count_kept(client_call *call, bool counts)
{
    uint64_t now = counts && pl_attempts_keeps(&call->policy) ? call->kept.len : 0;
    call->channel->kept += now - call->counted;
    call->counted = now;
}

/* What nobody needs any more goes, when it is worth the copying. */
static void drop_given(client_call *call)
{
    pl_buf *kept = &call->kept;
    if (call->policy.committed < 0)
        return;
    size_t n = call->tries[call->policy.committed].given;
    n = n > call->kept_at ? n - call->kept_at : 0;
    if (n == 0 || n < kept->len - n)
        return;
    if (n == kept->len) {
        pl_buf_reset(kept, PL_CLIENT_UNSENT);
    } else {
        memmove(kept->data, kept->data + n, kept->len - n);
        kept->len -= n;
    }
    call->kept_at += n;
}

void client_call_pump(client_call *call)
{
    for (int i = 0; i < PL_MOST_ATTEMPTS && !call->over; i++)
        attempt_pump(&call->tries[i]);
    if (call->over)
        return;
    drop_given(call);
    if (call->sender_waits && unsent(call) <= PL_CLIENT_UNSENT) {
        call->sender_waits = false;
        client_call_due(call);
    }
}

/* --- the end --- */
static void conclude(client_call *call)
{
    call->over = true;
    call->policy.over = true;
    client_timer_stop(call->channel->set, &call->deadline_timer);
    client_timer_stop(call->channel->set, &call->wake_timer);
    count_kept(call, false);
    pl_buf_dispose(&call->kept);
    if (call->status.code != PL_OK) {
        call->channel->set->stats.failed_total++;
        call->channel->failed_total++;
    }
    pl_meter *meter = call->channel->set->config.host->meter;
    if (meter)
        meter->rpc_called(meter, call->path, call->status.code, call->metered);
    client_call_due(call);
}

static void cancel_all(client_call *call, pl_breaker_outcome outcome)
{
    for (int i = 0; i < PL_MOST_ATTEMPTS; i++) {
        if (call->tries[i].state == ATTEMPT_RUNNING || call->tries[i].state == ATTEMPT_WAITING)
            attempt_cancel(&call->tries[i], outcome);
    }
}

void client_call_fail(client_call *call, pl_code code, const char *fmt, ...)
{
    va_list args;
    if (call->over)
        return;
    va_start(args, fmt);
    set_status(call, code, fmt, args);
    va_end(args);
    pl_grpc_reader_reset(&call->reader, call->reader.max_message);
    cancel_all(call, code == PL_DEADLINE_EXCEEDED ? PL_BREAKER_FAILURE : PL_BREAKER_ABANDONED);
    conclude(call);
}

/* What has come cannot be read: it is what the call comes to, even when it has ended well. */
static void spoil(client_call *call, pl_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void spoil(client_call *call, pl_code code, const char *fmt, ...)
{
    va_list args;
    pl_grpc_reader_reset(&call->reader, call->reader.max_message);
    va_start(args, fmt);
    set_status(call, code, fmt, args);
    va_end(args);
    if (!call->over) {
        cancel_all(call, PL_BREAKER_FAILURE);
        conclude(call);
    }
}

static void end_as(client_call *call, const attempt *a)
{
    call->status = a->status;
    call->trailers = a->trailers;
    conclude(call);
}

/* --- the policy's steps --- */
static void arm_wake(client_call *call, uint64_t at)
{
    pl_client_set *set = call->channel->set;
    if (at == UINT64_MAX)
        client_timer_stop(set, &call->wake_timer);
    else if (client_timer_start(set, &call->wake_timer, at) != 0)
        client_call_fail(call, PL_RESOURCE_EXHAUSTED, "out of memory");
}

void client_call_step(client_call *call, const pl_attempts_step *step)
{
    if (call->over)
        return;
    for (unsigned i = 0; i < PL_MOST_ATTEMPTS; i++) {
        if (step->cancel >> i & 1)
            attempt_cancel(&call->tries[i], PL_BREAKER_ABANDONED);
    }
    count_kept(call, true);
    if (step->over) {
        end_as(call, &call->tries[step->result]);
        return;
    }
    arm_wake(call, step->wake_at);
    for (unsigned i = 0; i < PL_MOST_ATTEMPTS && !call->over; i++) {
        if (step->start >> i & 1)
            attempt_begin(&call->tries[i]);
    }
    if (!call->over)
        drop_given(call);
}

static void on_wake(pl_timer *timer)
{
    client_call *call = timer->data;
    pl_attempts_step step = pl_attempts_wake(&call->policy, client_now(call->channel->set));
    client_call_step(call, &step);
}

static void on_deadline(pl_timer *timer)
{
    client_call *call = timer->data;
    bool waits = false, runs = false;
    for (int i = 0; i < PL_MOST_ATTEMPTS; i++) {
        waits |= call->tries[i].state == ATTEMPT_WAITING;
        runs |= call->tries[i].state == ATTEMPT_RUNNING;
    }
    client_call_fail(call, PL_DEADLINE_EXCEEDED, "Deadline exceeded after %.3f s%s%.*s",
                     (double)(client_now(call->channel->set) - call->began) / 1000,
                     runs    ? ""
                     : waits ? ", waiting for a connection to "
                             : ", waiting to try again at ",
                     runs ? 0 : (int)call->channel->about.text.len, call->channel->about.text.ptr);
}

/* --- sending --- */
static pl_code put(client_call *call, pl_str message, pl_error *err)
{
    pl_client_set *set = call->channel->set;
    pl_buf *kept = &call->kept;
    size_t before = kept->len, begin = pl_grpc_message_begin(kept);
    bool compress = call->coding != PL_GRPC_IDENTITY && message.len >= call->channel->settings.compress_from;
    pl_code code = PL_OK;
    if (compress)
        code = pl_grpc_compress(set->coder, call->coding, message, kept, err);
    else
        pl_buf_str(kept, message);
    if (code == PL_OK && !pl_grpc_message_end(kept, begin, compress ? PL_GRPC_FLAG_COMPRESSED : 0))
        code = kept->failed ? pl_fail_memory(err)
                            : pl_fail(err, PL_RESOURCE_EXHAUSTED, "a message is too large to be sent");
    if (code != PL_OK) {
        kept->failed = false;
        kept->len = before;
    }
    return code;
}

/* What has to be kept for further attempts is too much: there will be none. */
static void commit_if_needed(client_call *call)
{
    unsigned best = 0;
    if (!pl_attempts_keeps(&call->policy) ||
        !pl_attempts_too_much(&(pl_attempts_limits){0}, call->kept.len, call->channel->kept))
        return;
    for (unsigned i = 1; i < PL_MOST_ATTEMPTS; i++) {
        const attempt *a = &call->tries[i], *b = &call->tries[best];
        bool lives = a->state == ATTEMPT_RUNNING || a->state == ATTEMPT_WAITING;
        if (lives && (b->state == ATTEMPT_OVER || b->state == ATTEMPT_NONE || a->given > b->given))
            best = i;
    }
    pl_attempts_step step = pl_attempts_commit(&call->policy, best);
    client_call_step(call, &step);
}

static pl_remote_result send_message(pl_remote_call *base, pl_str message, pl_error *err)
{
    client_call *call = of(base);
    if (call->over)
        return PL_REMOTE_END;
    if (call->finished) {
        pl_fail(err, PL_FAILED_PRECONDITION, "nothing can be sent any more: the requests have been ended");
        return PL_REMOTE_FAILED;
    }
    if (message.len > call->max_request) {
        pl_fail(err, PL_RESOURCE_EXHAUSTED, "a message is too large: it has %zu bytes, and %zu are allowed",
                message.len, call->max_request);
        return PL_REMOTE_FAILED;
    }
    if (put(call, message, err) != PL_OK)
        return PL_REMOTE_FAILED;
    count_kept(call, true);
    commit_if_needed(call);
    client_call_pump(call);
    if (call->over)
        return PL_REMOTE_END;
    call->sender_waits = unsent(call) > PL_CLIENT_UNSENT;
    return call->sender_waits ? PL_REMOTE_WAIT : PL_REMOTE_DONE;
}

static pl_remote_result finish(pl_remote_call *base)
{
    client_call *call = of(base);
    if (call->over)
        return PL_REMOTE_END;
    call->finished = true;
    client_call_pump(call);
    return call->over ? PL_REMOTE_END : PL_REMOTE_DONE;
}

static pl_remote_result flushed(pl_remote_call *base)
{
    client_call *call = of(base);
    if (call->over)
        return PL_REMOTE_END;
    call->sender_waits = unsent(call) > PL_CLIENT_UNSENT;
    return call->sender_waits ? PL_REMOTE_WAIT : PL_REMOTE_DONE;
}

/* --- receiving --- */
static void credit(client_call *call, size_t bytes)
{
    pl_client_stream *stream = call->policy.committed < 0 ? NULL : call->tries[call->policy.committed].stream;
    if (bytes > call->uncredited)
        bytes = call->uncredited;
    call->uncredited -= bytes;
    if (stream && bytes > 0)
        stream->ops->consumed(stream, bytes);
}

void client_call_data(client_call *call, pl_str bytes)
{
    pl_grpc_message message;
    if (call->over)
        return;
    if (!pl_grpc_reader_add(&call->reader, bytes)) {
        client_call_fail(call, PL_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    call->uncredited += bytes.len;
    /* Of a message that somebody waits for, more may come: it is bounded. */
    if (call->wants && pl_grpc_reader_peek(&call->reader, &message) == PL_GRPC_MORE)
        credit(call, call->uncredited);
    else if (call->wants)
        client_call_due(call);
}

static pl_remote_result unpack(client_call *call, const pl_grpc_message *message, pl_str *out)
{
    pl_error err;
    *out = message->payload;
    if (!message->compressed)
        return PL_REMOTE_DONE;
    if (call->answer_coding == PL_GRPC_IDENTITY || call->answer_coding == PL_GRPC_CODINGS) {
        spoil(call, PL_INTERNAL,
              call->answer_coding == PL_GRPC_IDENTITY
                  ? "a message is compressed, but the server has named no compression"
                  : "a message is compressed in a way that this client has not offered");
        return PL_REMOTE_END;
    }
    pl_buf_reset(&call->scratch, call->scratch.cap);
    if (pl_grpc_decompress(call->channel->set->coder, call->answer_coding, message->payload,
                           call->reader.max_message, &call->scratch, &err) != PL_OK) {
        spoil(call, err.code, "%s", err.message);
        return PL_REMOTE_END;
    }
    *out = call->scratch.len ? pl_buf_view(&call->scratch) : PL_STR("");
    return PL_REMOTE_DONE;
}

static pl_remote_result receive(pl_remote_call *base, pl_str *out)
{
    client_call *call = of(base);
    pl_grpc_message message;
    if (!call->channel)
        return PL_REMOTE_END;
    switch (pl_grpc_reader_next(&call->reader, &message)) {
    case PL_GRPC_MESSAGE:
        call->wants = false;
        credit(call, PL_GRPC_PREFIX + message.length);
        return unpack(call, &message, out);
    case PL_GRPC_TOO_LARGE:
        spoil(call, PL_RESOURCE_EXHAUSTED, "a message is too large: it has %u bytes, and %zu are allowed",
              message.length, call->reader.max_message);
        return PL_REMOTE_END;
    case PL_GRPC_BAD_FLAGS:
        spoil(call, PL_INTERNAL, "a message has flags that are not defined");
        return PL_REMOTE_END;
    case PL_GRPC_MORE:
        break;
    }
    if (!call->over) {
        call->wants = true;
        credit(call, call->uncredited);
        return PL_REMOTE_WAIT;
    }
    if (pl_grpc_reader_held(&call->reader) > 0 && call->status.code == PL_OK)
        spoil(call, PL_INTERNAL, "the answer ends in the middle of a message");
    return PL_REMOTE_END;
}

static pl_remote_result get_headers(pl_remote_call *base, const pl_header **headers, size_t *count)
{
    const client_call *call = of(base);
    *headers = call->headers.items;
    *count = call->headers.count;
    return call->has_headers ? PL_REMOTE_DONE : call->over ? PL_REMOTE_END : PL_REMOTE_WAIT;
}

static const pl_remote_status *get_status(pl_remote_call *base, const pl_header **trailers, size_t *count)
{
    const client_call *call = of(base);
    *trailers = call->trailers.items;
    *count = call->trailers.count;
    return &call->status;
}

static pl_str get_peer(pl_remote_call *base)
{
    return of(base)->peer.ptr ? of(base)->peer : PL_STR("");
}

static unsigned get_attempts(pl_remote_call *base)
{
    return of(base)->policy.count;
}

/* --- life --- */
static void unlink_call(client_call *call)
{
    pl_client_channel *c = call->channel;
    client_call_not_due(call);
    if (call->prev)
        call->prev->next = call->next;
    else
        c->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    c->call_count--;
    call->channel = NULL;
    call->remote = NULL;
}

static void cancel(pl_remote_call *base)
{
    if (of(base)->channel)
        client_call_fail(of(base), PL_CANCELLED, "the call was cancelled by its client");
}

void client_call_detach(client_call *call)
{
    cancel(&call->base);
    unlink_call(call);
}

static void dispose(client_call *call)
{
    pl_buf_dispose(&call->kept);
    pl_buf_dispose(&call->scratch);
    pl_grpc_reader_dispose(&call->reader);
    pl_arena_dispose(&call->arena);
    pl_free(call);
}

static void free_call(pl_remote_call *base)
{
    client_call *call = of(base);
    pl_client_channel *c = call->channel;
    if (c) {
        client_call_detach(call);
        client_channel_rest(c);
    }
    dispose(call);
}

static bool is_sound_path(pl_str path)
{
    bool sound = path.len > 2 && path.len <= MAX_PATH && path.ptr[0] == '/' &&
                 memchr(path.ptr + 1, '/', path.len - 1) != NULL;
    for (size_t i = 0; sound && i < path.len; i++)
        sound = path.ptr[i] > 0x20 && path.ptr[i] < 0x7f;
    return sound;
}

static pl_code copy_metadata(client_call *call, const pl_remote_call_config *config, pl_error *err)
{
    pl_code code = PL_OK;
    if (config->metadata_count > MAX_METADATA)
        return pl_fail(err, PL_INVALID_ARGUMENT, "there is more metadata than %d values", MAX_METADATA);
    for (size_t i = 0; i < config->metadata_count && code == PL_OK; i++)
        code = pl_grpc_metadata_put(&call->metadata, &call->arena, config->metadata[i].name,
                                    config->metadata[i].value, err);
    return code;
}

static size_t least(size_t a, uint64_t b)
{
    return b < a ? (size_t)b : a;
}

/* What options, service config and the call's own say. */
static pl_code settle(client_call *call, const pl_remote_call_config *config, pl_error *err)
{
    const pl_client_settings *s = &call->channel->settings;
    uint64_t now = call->began, deadline = config->deadline;
    call->path = pl_arena_str(&call->arena, config->path);
    if (!call->path.ptr)
        return pl_fail_memory(err);
    if (!is_sound_path(config->path))
        return pl_fail(err, PL_INVALID_ARGUMENT, "the method must be /package.Service/Method");
    call->method = pl_service_config_method(s->config, call->path);
    if (config->timeout_ms && (!deadline || now + config->timeout_ms < deadline))
        deadline = now + config->timeout_ms;
    call->deadline = pl_method_deadline(call->method, now, deadline);
    call->wait_for_ready = pl_method_waits_for_ready(call->method, config->wait_for_ready);
    call->coding = config->compression.ptr ? pl_grpc_coding_read(config->compression) : s->coding;
    if (call->coding == PL_GRPC_CODINGS)
        return pl_fail(err, PL_INVALID_ARGUMENT, "compression must be one of %.*s",
                       PL_STR_ARG(pl_grpc_coding_names()));
    call->max_request = least(s->max_request, call->method->max_request);
    pl_grpc_reader_init(&call->reader, config->max_message
                                           ? config->max_message
                                           : least(s->max_response, call->method->max_response));
    return copy_metadata(call, config, err);
}

static void begin(client_call *call)
{
    pl_client_channel *c = call->channel;
    pl_client_set *set = c->set;
    pl_attempts_step step =
        pl_attempts_begin(&call->policy, call->method, c->throttle.max ? &c->throttle : NULL, &set->random,
                          call->deadline, call->began);
    if (call->deadline && call->deadline <= call->began)
        client_call_fail(call, PL_DEADLINE_EXCEEDED, "the deadline had passed before the call began");
    else if (call->deadline && client_timer_start(set, &call->deadline_timer, call->deadline) != 0)
        client_call_fail(call, PL_RESOURCE_EXHAUSTED, "out of memory");
    client_call_step(call, &step);
}

static pl_code start(pl_remote *remote, const pl_remote_call_config *config, pl_remote_call **out,
                     pl_error *err)
{
    client_remote *r = (client_remote *)remote;
    pl_client_channel *c = r->channel;
    if (!c)
        return pl_fail(err, PL_UNAVAILABLE, "there is no server any more");
    client_call *call = pl_calloc(1, sizeof *call);
    if (!call)
        return pl_fail_memory(err);
    call->base.ops = &client_remote_ops;
    call->remote = r;
    call->channel = c;
    pl_meter *meter = c->set->config.host->meter;
    call->began = client_now(c->set);
    call->metered = meter ? meter->now(meter) : 0;
    call->deadline_timer = (pl_timer){.fire = on_deadline, .data = call};
    call->wake_timer = (pl_timer){.fire = on_wake, .data = call};
    pl_arena_init(&call->arena, 1024);
    pl_buf_init(&call->kept);
    pl_buf_init(&call->scratch);
    for (int i = 0; i < PL_MOST_ATTEMPTS; i++)
        call->tries[i].call = call;
    pl_code code = settle(call, config, err);
    if (code == PL_OK)
        code = client_channel_wake(c, err);
    if (code != PL_OK) {
        dispose(call);
        return code;
    }
    call->next = c->calls;
    if (call->next)
        call->next->prev = call;
    c->calls = call;
    c->call_count++;
    c->set->stats.calls_total++;
    c->calls_total++;
    c->last_call_at = client_now(c->set);
    begin(call);
    *out = &call->base;
    return PL_OK;
}

const pl_remote_ops client_remote_ops = {.start = start,
                                         .close = client_remote_close,
                                         .send = send_message,
                                         .finish = finish,
                                         .flushed = flushed,
                                         .receive = receive,
                                         .headers = get_headers,
                                         .status = get_status,
                                         .peer = get_peer,
                                         .attempts = get_attempts,
                                         .cancel = cancel,
                                         .free = free_call};
