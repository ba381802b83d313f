/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "grpc/client/session_internal.h"

/* The sending side. nghttp2 asks for a stream's bytes when their turn comes and windows allow; they go from
 * the stream's buffer to the connection's in one copy. */

static void no_memory(pl_client_session *session)
{
    hc_break(session, "out of memory");
}

/* --- bytes --- */
static ssize_t read_bytes(nghttp2_session *h2, int32_t id, uint8_t *buf, size_t length, uint32_t *flags,
                          nghttp2_data_source *source, void *data)
{
    hc_stream *s = source->ptr;
    size_t unsent = pl_client_stream_unsent(&s->base);
    if (unsent == 0 && !s->finished) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = unsent < length ? unsent : length;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == unsent && s->finished)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static void note_writable(hc_stream *s)
{
    pl_client_session *session = s->session;
    if (s->noted || !s->base.waits || pl_client_stream_unsent(&s->base) > PL_CLIENT_UNSENT / 2)
        return;
    s->noted = true;
    s->next_noted = session->noted;
    session->noted = s;
}

static int on_send_data(nghttp2_session *h2, nghttp2_frame *frame, const uint8_t *head, size_t length,
                        nghttp2_data_source *source, void *data)
{
    pl_client_session *session = data;
    hc_stream *s = source->ptr;
    if (!pl_http2_data(session->out, head, &s->base.out, &s->base.sent, length, PL_CLIENT_UNSENT))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    note_writable(s);
    return 0;
}

static int on_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *data)
{
    pl_client_session *session = data;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    hc_stream *s = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
    if (s)
        s->sent = true;
    pl_http2_progress(&session->noise);
    return 0;
}

/* --- what calls do --- */
static hc_stream *of(pl_client_stream *stream)
{
    return (hc_stream *)stream;
}

static void resume(hc_stream *s)
{
    if (s->deferred) {
        s->deferred = false;
        if (nghttp2_session_resume_data(s->session->h2, s->id) == NGHTTP2_ERR_NOMEM)
            no_memory(s->session);
    }
    hc_wake(s->session);
}

static void flush(pl_client_stream *stream)
{
    resume(of(stream));
}

static void finish(pl_client_stream *stream)
{
    of(stream)->finished = true;
    resume(of(stream));
}

static void cancel(pl_client_stream *stream, uint32_t error)
{
    hc_stream *s = of(stream);
    pl_client_session *session = s->session;
    s->dead = true;
    stream->events = NULL;
    stream->waits = false;
    stream->sent = 0;
    pl_buf_reset(&stream->out, 0);
    if (nghttp2_submit_rst_stream(session->h2, NGHTTP2_FLAG_NONE, s->id, error) != 0)
        no_memory(session);
    hc_wake(session);
}

static void consumed(pl_client_stream *stream, size_t bytes)
{
    hc_stream *s = of(stream);
    if (bytes == 0 || s->ended)
        return;
    if (nghttp2_session_consume_stream(s->session->h2, s->id, bytes) == NGHTTP2_ERR_NOMEM)
        no_memory(s->session);
    if (nghttp2_session_want_write(s->session->h2))
        hc_wake(s->session);
}

const pl_client_stream_ops hc_stream_ops = {
    .flush = flush, .finish = finish, .cancel = cancel, .consumed = consumed};

pl_client_stream *pl_client_session_start(pl_client_session *session, const pl_header *headers, size_t count,
                                          const pl_client_stream_events *events, void *call)
{
    nghttp2_nv fields[PL_HTTP2_MAX_FIELDS];
    pl_client_session_state state = pl_client_session_get_state(session);
    if (count > PL_HTTP2_MAX_FIELDS ||
        (state != PL_CLIENT_SESSION_OPEN && state != PL_CLIENT_SESSION_GREETING))
        return NULL;
    hc_stream *s = hc_take(session);
    if (!s)
        return NULL;
    pl_http2_fields(fields, 0, headers, count);
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = read_bytes};
    s->id = nghttp2_submit_request(session->h2, NULL, fields, count, &provider, s);
    if (s->id < 0) { /* no memory, or no ids are left */
        hc_forget(s);
        if (!session->why[0])
            snprintf(session->why, sizeof session->why, "the connection has no streams left");
        session->draining = true;
        return NULL;
    }
    s->base.events = events;
    s->base.call = call;
    hc_wake(session);
    return &s->base;
}

void hc_send_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
}

/* --- all together --- */
static bool write_out(pl_client_session *session, size_t most)
{
    while (session->out->len < most) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(session->h2, &bytes);
        if (n < 0 || session->out->failed)
            return false;
        if (n == 0)
            break;
        pl_buf_append(session->out, bytes, (size_t)n);
    }
    return !session->out->failed;
}

/* Those who waited go on, and may write more. */
static bool tell_writable(pl_client_session *session)
{
    bool any = session->noted != NULL;
    while (session->noted) {
        hc_stream *s = session->noted;
        session->noted = s->next_noted;
        s->noted = false;
        if (s->base.events && s->base.waits && !s->dead) {
            s->base.waits = false;
            s->base.events->writable(&s->base);
        }
    }
    return any;
}

void pl_client_session_send(pl_client_session *session, pl_buf *out, size_t most, uint64_t now)
{
    session->now = now;
    session->out = out;
    session->inside = true;
    do {
        if (!session->broken && !write_out(session, most))
            no_memory(session);
    } while (!session->broken && tell_writable(session) && out->len < most);
    session->inside = false;
    session->out = NULL;
}
