/* SPDX-License-Identifier: MIT */
#include "grpc/client/session.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "grpc/client/session_internal.h"

#define STREAM_CHUNK 2048             /* of a stream's arena */
#define KEPT_BYTES ((size_t)16 << 10) /* of a stream's buffers, while it waits to be used again */
#define NEVER UINT64_MAX

/* --- streams, and their pool --- */
pl_client_streams *pl_client_streams_new(unsigned most)
{
    pl_client_streams *pool = pl_calloc(1, sizeof *pool);
    if (pool)
        pool->most = most;
    return pool;
}

static void destroy(hc_stream *s)
{
    pl_arena_dispose(&s->base.arena);
    pl_buf_dispose(&s->base.out);
    pl_free(s);
}

void pl_client_streams_free(pl_client_streams *pool)
{
    while (pool && pool->free) {
        hc_stream *s = pool->free;
        pool->free = s->next;
        destroy(s);
    }
    pl_free(pool);
}

static hc_stream *take(pl_client_streams *pool)
{
    hc_stream *s = pool->free, fresh;
    if (s) {
        pool->free = s->next;
        pool->count--;
    } else if ((s = pl_calloc(1, sizeof *s))) {
        pl_arena_init(&s->base.arena, STREAM_CHUNK);
        pl_buf_init(&s->base.out);
    } else {
        return NULL;
    }
    fresh = (hc_stream){0};
    fresh.base = (pl_client_stream){.arena = s->base.arena, .out = s->base.out};
    *s = fresh;
    return s;
}

static void release(pl_client_streams *pool, hc_stream *s)
{
    if (pool->count >= pool->most) {
        destroy(s);
        return;
    }
    pl_arena_reset(&s->base.arena);
    pl_buf_reset(&s->base.out, KEPT_BYTES);
    s->next = pool->free;
    pool->free = s;
    pool->count++;
}

hc_stream *hc_take(pl_client_session *session)
{
    hc_stream *s = take(session->pool);
    if (!s)
        return NULL;
    s->session = session;
    s->base.ops = &hc_stream_ops;
    s->next = session->streams;
    if (s->next)
        s->next->prev = s;
    session->streams = s;
    session->stream_count++;
    return s;
}

void hc_forget(hc_stream *s)
{
    pl_client_session *session = s->session;
    if (s->prev)
        s->prev->next = s->next;
    else
        session->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    for (hc_stream **at = &session->noted; s->noted && *at; at = &(*at)->next_noted) {
        if (*at == s) {
            *at = s->next_noted;
            break;
        }
    }
    session->stream_count--;
    release(session->pool, s);
}

/* Tells whoever listens, and lets go of it. */
static void close_stream(hc_stream *s, const pl_client_end *end)
{
    const pl_client_stream_events *events = s->base.events;
    s->base.events = NULL;
    if (events)
        events->closed(&s->base, end);
    hc_forget(s);
}

/* --- ends --- */
void hc_wake(pl_client_session *session)
{
    if (!session->inside && session->wake)
        session->wake(session->data);
}

static void __attribute__((format(printf, 2, 3))) explain(pl_client_session *session, const char *fmt, ...)
{
    va_list args;
    if (session->why[0])
        return;
    va_start(args, fmt);
    vsnprintf(session->why, sizeof session->why, fmt, args);
    va_end(args);
}

void hc_break(pl_client_session *session, const char *why)
{
    session->broken = true;
    explain(session, "%s", why);
    hc_wake(session);
}

/* GOAWAY with an error; when it is sent, the connection ends. */
static void say_goodbye(pl_client_session *session, uint32_t error, const char *why)
{
    if (session->closing || session->broken)
        return;
    session->closing = true;
    explain(session, "%s", why);
    if (nghttp2_session_terminate_session(session->h2, error) != 0)
        hc_break(session, "out of memory");
}

/* --- what comes --- */
static hc_stream *find(nghttp2_session *h2, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h2, id);
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *data)
{
    pl_client_session *session = data;
    if (session->block_since == 0)
        session->block_since = session->now ? session->now : 1;
    return 0;
}

static void keep_status(hc_stream *s, pl_str value)
{
    int status = 0;
    for (size_t i = 0; i < value.len && i < 3; i++)
        status = status * 10 + (value.ptr[i] - '0');
    s->base.status = status;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *data)
{
    pl_client_session *session = data;
    hc_stream *s = find(h2, frame->hd.stream_id);
    pl_str n = {(const char *)name, name_len}, v = {(const char *)value, value_len};
    if (!s)
        return 0;
    pl_http2_room room = pl_http2_header(&s->header_size, name_len, value_len, session->options.max_headers);
    if (room != PL_HTTP2_FITS) {
        s->base.headers_too_large = true;
        if (room == PL_HTTP2_ENDLESS)
            say_goodbye(session, NGHTTP2_ENHANCE_YOUR_CALM, "the server has sent a header block without end");
        return 0;
    }
    if (s->dead)
        return 0;
    if (name_len > 0 && name[0] == ':') {
        keep_status(s, v);
        return 0;
    }
    pl_grpc_metadata *list = s->answered ? &s->base.trailers : &s->base.headers;
    n = pl_arena_str(&s->base.arena, n);
    v = pl_arena_str(&s->base.arena, v);
    if (!n.ptr || !v.ptr || !pl_grpc_metadata_add(list, &s->base.arena, n, v))
        s->base.headers_too_large = true;
    return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                   void *data)
{
    pl_client_session *session = data;
    hc_stream *s = find(h2, id);
    if (nghttp2_session_consume_connection(h2, len) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    pl_http2_progress(&session->noise);
    if (s && s->base.events && !s->dead)
        s->base.events->data(&s->base, (pl_str){(const char *)bytes, len});
    return 0;
}

/* The peer has ended its answer. What it may still take of the request, nobody needs. */
static void answer_ended(hc_stream *s)
{
    const pl_client_end end = {.kind = PL_CLIENT_ANSWERED, .sent = true};
    const pl_client_stream_events *events = s->base.events;
    s->ended = true;
    if (s->dead || nghttp2_session_get_stream_local_close(s->session->h2, s->id) != 0)
        return; /* on_close follows */
    s->dead = true;
    s->base.events = NULL;
    if (events)
        events->closed(&s->base, &end);
    s->base.sent = 0;
    pl_buf_reset(&s->base.out, 0);
    if (nghttp2_submit_rst_stream(s->session->h2, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR) != 0)
        hc_break(s->session, "out of memory");
}

static void on_headers(pl_client_session *session, hc_stream *s, uint8_t flags)
{
    bool ends = (flags & NGHTTP2_FLAG_END_STREAM) != 0;
    session->block_since = 0;
    pl_http2_progress(&session->noise);
    if (!s)
        return;
    s->header_size = 0;
    if (!s->answered && s->base.status >= 100 && s->base.status < 200) { /* informational */
        s->base.headers.count = 0;
        s->base.status = 0;
        return;
    }
    bool first = !s->answered;
    s->answered = true;
    s->base.alone = first && ends;
    if (first && !ends && s->base.events && !s->dead)
        s->base.events->headers(&s->base);
    if (ends)
        answer_ended(s);
}

static void on_goaway(pl_client_session *session, const nghttp2_goaway *frame)
{
    size_t len = frame->opaque_data_len < 100 ? frame->opaque_data_len : 100;
    char text[104];
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(frame->opaque_data[i] >= 0x20 && frame->opaque_data[i] < 0x7f ? frame->opaque_data[i]
                                                                                       : '?');
    text[len] = '\0';
    session->draining = true;
    explain(session, "the server is going away (%s%s%s)", nghttp2_http2_strerror(frame->error_code),
            len ? ": " : "", text);
    session->too_many_pings |=
        frame->error_code == NGHTTP2_ENHANCE_YOUR_CALM && strcmp(text, "too_many_pings") == 0;
}

/* Frames that move nothing forward are counted. */
static int on_begin_frame(nghttp2_session *h2, const nghttp2_frame_hd *head, void *data)
{
    pl_client_session *session = data;
    if (head->type != NGHTTP2_CONTINUATION)
        session->block_since = 0; /* a block that nghttp2 has dropped ends without a word */
    bool useful = head->type == NGHTTP2_WINDOW_UPDATE || pl_http2_is_useful(head);
    if (!useful && pl_http2_noise_frame(&session->noise))
        say_goodbye(session, NGHTTP2_ENHANCE_YOUR_CALM, "the server sends frames without effect");
    return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *data)
{
    pl_client_session *session = data;
    hc_stream *s;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        on_headers(session, find(h2, frame->hd.stream_id), frame->hd.flags);
        break;
    case NGHTTP2_DATA:
        s = find(h2, frame->hd.stream_id);
        if (s && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            answer_ended(s);
        break;
    case NGHTTP2_SETTINGS:
        session->greeted = true;
        break;
    case NGHTTP2_GOAWAY:
        on_goaway(session, &frame->goaway);
        break;
    default:
        break;
    }
    return 0;
}

static int on_invalid_frame(nghttp2_session *h2, const nghttp2_frame *frame, int error, void *data)
{
    pl_client_session *session = data;
    session->block_since = 0;
    if (session->greeted && frame->hd.type != NGHTTP2_HEADERS) /* that would end the stream alone */
        explain(session, "the server has broken HTTP/2's rules (%s)", nghttp2_strerror(error));
    return 0;
}

static int on_close(nghttp2_session *h2, int32_t id, uint32_t error, void *data)
{
    hc_stream *s = find(h2, id);
    if (!s)
        return 0;
    pl_client_end end = {.kind = s->ended ? PL_CLIENT_ANSWERED : PL_CLIENT_RESET,
                         .error = error,
                         .sent = s->sent,
                         .refused = error == NGHTTP2_REFUSED_STREAM};
    if (!s->ended && !s->sent) {
        end.kind = PL_CLIENT_LOST;
        const char *why = pl_client_session_why(s->session);
        end.why = why[0] ? why : "the request could not be sent";
    }
    close_stream(s, &end);
    return 0;
}

void pl_client_session_receive(pl_client_session *session, pl_str bytes, uint64_t now)
{
    session->now = session->heard_at = now;
    session->ping_at = 0; /* it lives */
    if (session->closing || session->broken)
        return;
    session->inside = true;
    ssize_t n = nghttp2_session_mem_recv(session->h2, (const uint8_t *)bytes.ptr, bytes.len);
    bool endless = pl_http2_noise_bytes(&session->noise, bytes.len);
    if (n == NGHTTP2_ERR_NOMEM || n == NGHTTP2_ERR_CALLBACK_FAILURE)
        hc_break(session, "out of memory");
    else if (n < 0 && !session->greeted)
        hc_break(session, "the server does not speak HTTP/2");
    else if (n < 0)
        say_goodbye(session, NGHTTP2_PROTOCOL_ERROR, nghttp2_strerror((int)n));
    else if (endless)
        say_goodbye(session, NGHTTP2_ENHANCE_YOUR_CALM, "the server sends frames without effect");
    else if (!session->greeted && !nghttp2_session_want_read(session->h2))
        hc_break(session, "the server does not speak HTTP/2");
    session->inside = false;
}

/* --- time --- */
static uint64_t handshake_due(const pl_client_session *session)
{
    if (!session->greeted)
        return session->began_at + session->options.handshake_ms;
    return session->block_since ? session->block_since + session->options.handshake_ms : NEVER;
}

static uint64_t keepalive_due(const pl_client_session *session)
{
    if (session->ping_at)
        return session->ping_at + session->options.keepalive_timeout_ms;
    if (!session->options.keepalive_ms || !session->greeted ||
        (session->stream_count == 0 && !session->options.ping_without_calls))
        return NEVER;
    return session->heard_at + session->options.keepalive_ms;
}

static void keep_alive(pl_client_session *session)
{
    if (session->ping_at) {
        hc_break(session, "the server does not answer pings");
        return;
    }
    session->ping_at = session->now;
    if (nghttp2_submit_ping(session->h2, NGHTTP2_FLAG_NONE, NULL) != 0)
        hc_break(session, "out of memory");
}

uint64_t pl_client_session_tick(pl_client_session *session, uint64_t now)
{
    session->now = now;
    if (session->broken || session->closing)
        return NEVER;
    session->inside = true;
    if (handshake_due(session) <= now)
        hc_break(session, session->greeted ? "the server has not finished a header block"
                                           : "the server has not begun to speak HTTP/2");
    else if (keepalive_due(session) <= now)
        keep_alive(session);
    session->inside = false;
    uint64_t handshake = handshake_due(session), keepalive = keepalive_due(session);
    return session->broken ? NEVER : handshake < keepalive ? handshake : keepalive;
}

void pl_client_session_drain(pl_client_session *session)
{
    session->draining = true;
    explain(session, "the connection is being closed");
}

/* --- life --- */
static uint64_t or_default(uint64_t value, uint64_t standard)
{
    return value ? value : standard;
}

static void set_options(pl_client_session_options *o)
{
    o->stream_window = pl_http2_window(o->stream_window, 256 << 10);
    o->connection_window = pl_http2_window(o->connection_window, 1 << 20);
    o->max_headers = or_default(o->max_headers, (size_t)16 << 10);
    o->handshake_ms = (unsigned)or_default(o->handshake_ms, 20000);
    o->keepalive_timeout_ms = (unsigned)or_default(o->keepalive_timeout_ms, 20000);
}

static int make_h2(pl_client_session *session, nghttp2_session_callbacks *callbacks, nghttp2_option *option)
{
    nghttp2_mem mem = pl_http2_memory;
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    hc_send_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    return nghttp2_session_client_new3(&session->h2, callbacks, session, option, &mem);
}

static int say_hello(pl_client_session *session)
{
    const pl_client_session_options *o = &session->options;
    nghttp2_settings_entry entries[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0},
                                        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, o->stream_window},
                                        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)o->max_headers}};
    return pl_http2_greet(session->h2, entries, sizeof entries / sizeof *entries, o->connection_window);
}

pl_client_session *pl_client_session_new(const pl_client_session_config *config, pl_error *err)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    pl_client_session *session = pl_calloc(1, sizeof *session);
    bool ok = false;
    if (!session)
        goto done;
    session->options = *config->options;
    set_options(&session->options);
    session->pool = config->streams;
    session->wake = config->wake;
    session->data = config->data;
    session->now = session->began_at = session->heard_at = config->now;
    ok = nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0 &&
         make_h2(session, callbacks, option) == 0 && say_hello(session) == 0;
done:
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    if (ok)
        return session;
    pl_client_session_free(session, "");
    pl_fail_memory(err);
    return NULL;
}

void pl_client_session_free(pl_client_session *session, const char *why)
{
    if (!session)
        return;
    session->closing = session->inside = true;
    explain(session, "%s", why);
    while (session->streams) {
        hc_stream *s = session->streams;
        pl_client_end end = {
            .kind = s->ended ? PL_CLIENT_ANSWERED : PL_CLIENT_LOST, .sent = s->sent, .why = session->why};
        close_stream(s, &end);
    }
    nghttp2_session_del(session->h2);
    pl_free(session);
}

pl_client_session_state pl_client_session_get_state(const pl_client_session *session)
{
    if (session->broken)
        return PL_CLIENT_SESSION_BROKEN;
    bool over = !nghttp2_session_want_read(session->h2) && !nghttp2_session_want_write(session->h2);
    if (session->closing || over || (session->draining && session->stream_count == 0))
        return PL_CLIENT_SESSION_DONE;
    if (session->draining)
        return PL_CLIENT_SESSION_DRAINING;
    return session->greeted ? PL_CLIENT_SESSION_OPEN : PL_CLIENT_SESSION_GREETING;
}

const char *pl_client_session_why(const pl_client_session *session)
{
    if (session->why[0] || pl_client_session_get_state(session) <= PL_CLIENT_SESSION_OPEN)
        return session->why;
    return session->greeted ? "the connection has been ended" : "the server does not speak HTTP/2";
}

bool pl_client_session_pings_too_often(const pl_client_session *session)
{
    return session->too_many_pings;
}
