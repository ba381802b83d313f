/* SPDX-License-Identifier: MIT */
#include "grpc/session.h"

#include "base/alloc.h"
#include "grpc/session_internal.h"

#define STREAM_CHUNK 2048             /* of a stream's arena */
#define KEPT_BYTES ((size_t)16 << 10) /* of a stream's buffers, while it waits to be used again */
#define QUEUE_STUFFED 1000            /* frames other than DATA */

/* --- streams, and their pool --- */
pl_grpc_streams *pl_grpc_streams_new(unsigned most)
{
    pl_grpc_streams *pool = pl_calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->most = most;
    pl_slab_init(&pool->slab);
    if (h2_reserve(pool))
        return pool;
    pl_free(pool);
    return NULL;
}

static void destroy(h2_stream *s)
{
    pl_grpc_stream_dispose(&s->base);
    pl_free(s);
}

void pl_grpc_streams_free(pl_grpc_streams *pool)
{
    while (pool && pool->free) {
        h2_stream *s = pool->free;
        pool->free = s->next;
        destroy(s);
    }
    if (!pool)
        return;
    h2_reserve_free(pool);
    pl_slab_dispose(&pool->slab);
    pl_free(pool);
}

static h2_stream *stream_take(pl_grpc_session *session)
{
    pl_grpc_streams *pool = session->pool;
    h2_stream *s = pool->free, fresh;
    if (s) {
        pool->free = s->next;
        pool->count--;
    } else if ((s = pl_calloc(1, sizeof *s))) {
        pl_grpc_stream_init(&s->base, STREAM_CHUNK);
    } else {
        return NULL;
    }
    fresh = (h2_stream){.session = session};
    fresh.base = (pl_grpc_stream){.ops = &h2_stream_ops,
                                  .arena = s->base.arena,
                                  .out = s->base.out,
                                  .scratch = s->base.scratch,
                                  .reader = s->base.reader,
                                  .peer = session->peer,
                                  .certificate = session->certificate,
                                  .secure = session->secure,
                                  .traffic = &session->traffic};
    *s = fresh;
    return s;
}

static void stream_release(h2_stream *s)
{
    pl_grpc_streams *pool = s->session->pool;
    if (pool->count >= pool->most) {
        destroy(s);
        return;
    }
    pl_grpc_stream_reset(&s->base, KEPT_BYTES);
    s->next = pool->free;
    pool->free = s;
    pool->count++;
}

static void stream_add(pl_grpc_session *session, h2_stream *s)
{
    s->next = session->streams;
    if (s->next)
        s->next->prev = s;
    session->streams = s;
    session->stream_count++;
    h2_stream_count_changed(session);
}

static void stream_remove(pl_grpc_session *session, h2_stream *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        session->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    if (session->recent == s)
        session->recent = NULL;
    for (h2_stream **at = &session->noted; s->noted && *at; at = &(*at)->next_noted) {
        if (*at == s) {
            *at = s->next_noted;
            break;
        }
    }
    session->stream_count--;
    h2_stream_count_changed(session);
}

/* Tells whoever listens, and lets go of it. */
static void close_stream(h2_stream *s)
{
    pl_grpc_session *session = s->session;
    const pl_grpc_stream_events *events = s->base.events;
    stream_remove(session, s);
    s->dead = true;
    s->base.events = NULL;
    if (events)
        events->closed(&s->base);
    stream_release(s);
}

/* --- what comes --- */
h2_stream *h2_find(pl_grpc_session *session, int32_t id)
{
    if (!session->recent || session->recent->id != id)
        session->recent = nghttp2_session_get_stream_user_data(session->h2, id);
    return session->recent;
}

static int refuse(pl_grpc_session *session, int32_t id, uint32_t error)
{
    session->refused++;
    h2_guard_refused(session);
    return nghttp2_submit_rst_stream(session->h2, NGHTTP2_FLAG_NONE, id, error) == 0
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *data)
{
    pl_grpc_session *session = data;
    if (session->block_since == 0)
        session->block_since = session->now;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    if (session->stream_count >= session->options.max_streams || session->closing)
        return refuse(session, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    h2_stream *s = stream_take(session);
    if (!s)
        return refuse(session, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    s->id = frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(h2, s->id, s);
    stream_add(session, s);
    session->begun++;
    session->begun_at = session->now;
    return 0;
}

static void keep_pseudo(h2_stream *s, pl_str name, pl_str value)
{
    pl_str *place = pl_str_is(name, ":path")        ? &s->base.path
                    : pl_str_is(name, ":method")    ? &s->base.method
                    : pl_str_is(name, ":scheme")    ? &s->base.scheme
                    : pl_str_is(name, ":authority") ? &s->base.authority
                                                    : NULL;
    if (!place)
        return;
    *place = pl_arena_str(&s->base.arena, value);
    s->base.headers_too_large |= !place->ptr;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *data)
{
    pl_grpc_session *session = data;
    h2_stream *s = h2_find(session, frame->hd.stream_id);
    pl_str n = {(const char *)name, name_len}, v = {(const char *)value, value_len};
    if (!s || s->ready)
        return 0; /* refused; or trailers of the peer's, which mean nothing here */
    pl_http2_room room = pl_http2_header(&s->header_size, name_len, value_len, session->options.max_headers);
    if (room != PL_HTTP2_FITS) {
        s->base.headers_too_large = true;
        if (room == PL_HTTP2_ENDLESS)
            h2_say_goodbye(session, NGHTTP2_ENHANCE_YOUR_CALM, "header block too large");
        return 0;
    }
    if (name_len > 0 && name[0] == ':') {
        keep_pseudo(s, n, v);
        return 0;
    }
    if (!pl_grpc_metadata_copy(&s->base.headers, &s->base.arena, n, v))
        s->base.headers_too_large = true;
    return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                   void *data)
{
    pl_grpc_session *session = data;
    h2_stream *s = h2_find(session, id);
    if (nghttp2_session_consume_connection(h2, len) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    pl_http2_progress(&session->noise);
    if (s && s->base.events && !s->dead)
        s->base.events->data(&s->base, (pl_str){(const char *)bytes, len});
    return 0;
}

static void peer_has_ended(h2_stream *s)
{
    s->peer_done = true;
    if (s->base.events && !s->dead)
        s->base.events->end(&s->base);
}

static void on_headers(pl_grpc_session *session, h2_stream *s, uint8_t flags)
{
    session->block_since = 0;
    if (!s)
        return;
    if (!s->ready) {
        s->ready = true;
        pl_http2_progress(&session->noise);
        s->peer_done = (flags & NGHTTP2_FLAG_END_STREAM) != 0;
        session->handler->request(session->handler, &s->base);
    }
    if (flags & NGHTTP2_FLAG_END_STREAM)
        peer_has_ended(s);
}

static int on_begin_frame(nghttp2_session *h2, const nghttp2_frame_hd *head, void *data)
{
    h2_guard_frame(data, head);
    return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *data)
{
    pl_grpc_session *session = data;
    h2_stream *s = NULL;
    if (session->closing)
        return 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        on_headers(session, h2_find(session, frame->hd.stream_id), frame->hd.flags);
        break;
    case NGHTTP2_DATA:
        s = h2_find(session, frame->hd.stream_id);
        if (s && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            peer_has_ended(s);
        break;
    case NGHTTP2_SETTINGS:
        session->greeted = true;
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            h2_ping_answered(session, frame->ping.opaque_data);
        else
            h2_guard_ping(session);
        break;
    case NGHTTP2_RST_STREAM:
        h2_guard_reset(session);
        break;
    default:
        break;
    }
    return 0;
}

static int on_invalid_frame(nghttp2_session *h2, const nghttp2_frame *frame, int error, void *data)
{
    pl_grpc_session *session = data;
    session->block_since = 0;
    return 0;
}

static int on_close(nghttp2_session *h2, int32_t id, uint32_t error, void *data)
{
    pl_grpc_session *session = data;
    h2_stream *s = h2_find(session, id);
    if (!s)
        return 0;
    if (error == NGHTTP2_NO_ERROR && s->answered && (s->alone || s->trailed))
        session->succeeded++;
    else
        session->failed++;
    close_stream(s);
    return 0;
}

/* --- what is not HTTP/2 --- */
static void keep_opening(pl_grpc_session *session, pl_str bytes)
{
    size_t room = sizeof session->opening - session->opening_len;
    size_t n = bytes.len < room ? bytes.len : room;
    memcpy(session->opening + session->opening_len, bytes.ptr, n);
    session->opening_len += n;
}

/* A method in capitals and a space. */
static bool is_http1(const pl_grpc_session *session)
{
    size_t i = 0;
    while (i < session->opening_len && session->opening[i] >= 'A' && session->opening[i] <= 'Z')
        i++;
    return i > 0 && i < session->opening_len && session->opening[i] == ' ';
}

/* Clients of HTTP/1.1, and those that ask for an upgrade, are told what is wrong; others are cut. */
static void answer_stranger(pl_grpc_session *session)
{
    static const char answer[] = "HTTP/1.1 505 HTTP Version Not Supported\r\n"
                                 "content-type: text/plain; charset=utf-8\r\n"
                                 "content-length: 72\r\n"
                                 "connection: close\r\n\r\n"
                                 "This port is for gRPC: it speaks HTTP/2 from the start, without upgrade.";
    session->stranger = true;
    session->fault = "it does not speak HTTP/2";
    if (!is_http1(session)) {
        session->broken = true;
        return;
    }
    session->last_words = pl_str_of(answer);
    session->closing = true;
}

void pl_grpc_session_receive(pl_grpc_session *session, pl_str bytes, uint64_t now)
{
    session->now = session->heard_at = now;
    session->ping_at = 0; /* it lives */
    if (session->closing || session->broken)
        return;
    keep_opening(session, bytes);
    session->inside = true;
    ssize_t n = nghttp2_session_mem_recv(session->h2, (const uint8_t *)bytes.ptr, bytes.len);
    session->inside = false;
    if (n >= 0) {
        h2_guard_bytes(session, bytes.len);
        return;
    }
    if (n == NGHTTP2_ERR_FLOODED)
        h2_say_goodbye(session, NGHTTP2_ENHANCE_YOUR_CALM, "too many frames to be answered");
    else if (n == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        answer_stranger(session);
    else if (n == NGHTTP2_ERR_NOMEM || n == NGHTTP2_ERR_CALLBACK_FAILURE)
        session->broken = true;
    else
        h2_say_goodbye(session, NGHTTP2_PROTOCOL_ERROR, nghttp2_strerror((int)n));
}

/* --- life --- */
static uint64_t or_default(uint64_t value, uint64_t standard)
{
    return value ? value : standard;
}

static void set_options(pl_grpc_session_options *o)
{
    o->max_streams = (uint32_t)or_default(o->max_streams, 100);
    o->stream_window = pl_http2_window(o->stream_window, 256 << 10);
    o->connection_window = pl_http2_window(o->connection_window, 1 << 20);
    o->max_headers = or_default(o->max_headers, (size_t)16 << 10);
    o->max_resets = (uint32_t)or_default(o->max_resets, 200);
    o->handshake_ms = (unsigned)or_default(o->handshake_ms, 10000);
    o->keepalive_timeout_ms = (unsigned)or_default(o->keepalive_timeout_ms, 20000);
}

static int make_h2(pl_grpc_session *session, nghttp2_session_callbacks *callbacks, nghttp2_option *option)
{
    nghttp2_mem mem = h2_memory(session);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    h2_send_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_server_fallback_rfc7540_priorities(option, 0);
    /* Our own count (h2_guard_reset) is stricter, and can be set. */
    nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
    return nghttp2_session_server_new3(&session->h2, callbacks, session, option, &mem);
}

static int say_hello(pl_grpc_session *session)
{
    const pl_grpc_session_options *o = &session->options;
    /* nghttp2 ends the connection when its own limit of streams is passed: it is given a higher one, and the
     * peer is told ours (session_send.c), so that a stream too many is refused alone. */
    uint32_t most = o->max_streams < UINT32_MAX / 4 ? o->max_streams * 2 + 100 : o->max_streams;
    nghttp2_settings_entry entries[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, most},
                                        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, o->stream_window},
                                        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)o->max_headers},
                                        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
    return pl_http2_greet(session->h2, entries, sizeof entries / sizeof *entries, o->connection_window);
}

pl_grpc_session *pl_grpc_session_new(const pl_grpc_session_config *config, pl_error *err)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    pl_grpc_session *session = pl_calloc(1, sizeof *session);
    bool ok = false;
    if (!session)
        goto done;
    session->options = *config->options;
    set_options(&session->options);
    session->pool = config->streams;
    session->handler = config->handler;
    session->peer = config->peer;
    session->certificate = config->certificate;
    session->secure = config->secure;
    session->wake = config->wake;
    session->data = config->data;
    session->now = session->began_at = session->heard_at = session->idle_since = session->resets_at =
        config->now;
    session->resets = session->options.max_resets * 5.0;
    session->age_at = session->grace_at = UINT64_MAX;
    if (session->options.age_ms) {
        uint64_t fifth = session->options.age_ms / 5;
        session->age_at =
            config->now + session->options.age_ms - fifth / 2 + (fifth ? config->random % fifth : 0);
    }
    ok = nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0 &&
         make_h2(session, callbacks, option) == 0 && say_hello(session) == 0 && !session->broken;
done:
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    if (ok)
        return session;
    pl_grpc_session_free(session);
    pl_fail_memory(err);
    return NULL;
}

void pl_grpc_session_free(pl_grpc_session *session)
{
    if (!session)
        return;
    session->closing = session->inside = true;
    while (session->streams)
        close_stream(session->streams);
    nghttp2_session_del(session->h2);
    pl_free(session);
}

bool pl_grpc_session_is_stuffed(const pl_grpc_session *session)
{
    return nghttp2_session_get_outbound_queue_size(session->h2) > QUEUE_STUFFED;
}

pl_grpc_session_state pl_grpc_session_get_state(const pl_grpc_session *session)
{
    if (session->broken)
        return PL_GRPC_SESSION_BROKEN;
    if (session->closing || (session->drain == DRAIN_SAID && session->stream_count == 0) ||
        (!nghttp2_session_want_read(session->h2) && !nghttp2_session_want_write(session->h2)))
        return PL_GRPC_SESSION_DONE;
    return PL_GRPC_SESSION_OPEN;
}

const char *pl_grpc_session_fault(const pl_grpc_session *session, bool *hostile)
{
    *hostile = session->hostile;
    return session->fault;
}

pl_grpc_session_stats pl_grpc_session_get_stats(const pl_grpc_session *session)
{
    return (pl_grpc_session_stats){.streams = session->stream_count,
                                   .begun = session->begun,
                                   .refused = session->refused,
                                   .succeeded = session->succeeded,
                                   .failed = session->failed,
                                   .keepalives = session->keepalives,
                                   .begun_at = session->begun_at,
                                   .traffic = session->traffic,
                                   .local_window = nghttp2_session_get_local_window_size(session->h2),
                                   .remote_window = nghttp2_session_get_remote_window_size(session->h2)};
}
