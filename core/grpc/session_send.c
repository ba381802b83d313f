/* SPDX-License-Identifier: MIT */
#include "grpc/session_internal.h"

/* The sending side. nghttp2 asks for a stream's bytes when their turn comes and windows allow; they go from
 * the stream's buffer to the connection's in one copy. */

static void wake(pl_grpc_session *session)
{
    if (!session->inside && session->wake)
        session->wake(session->data);
}

/* The session cannot do what it has to: out of memory, as a rule. */
static void fail(h2_stream *s)
{
    s->session->broken = true;
}

/* --- trailers --- */
static void send_trailers(h2_stream *s)
{
    nghttp2_nv fields[PL_HTTP2_MAX_FIELDS];
    if (s->trailed)
        return;
    s->trailed = true;
    size_t count = pl_http2_fields(fields, 0, s->trailers, s->trailer_count);
    if (nghttp2_submit_trailer(s->session->h2, s->id, fields, count) != 0)
        fail(s);
}

/* --- bytes --- */
static ssize_t read_bytes(nghttp2_session *h2, int32_t id, uint8_t *buf, size_t length, uint32_t *flags,
                          nghttp2_data_source *source, void *data)
{
    h2_stream *s = source->ptr;
    size_t unsent = pl_grpc_stream_unsent(&s->base);
    if (unsent == 0 && !s->finished) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = unsent < length ? unsent : length;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == unsent && s->finished) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailer_count > 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            send_trailers(s);
        }
    }
    return (ssize_t)n;
}

static void note_writable(h2_stream *s)
{
    pl_grpc_session *session = s->session;
    if (s->noted || !s->base.waits || pl_grpc_stream_unsent(&s->base) > PL_GRPC_UNSENT)
        return;
    s->noted = true;
    s->next_noted = session->noted;
    session->noted = s;
}

static int on_send_data(nghttp2_session *h2, nghttp2_frame *frame, const uint8_t *head, size_t length,
                        nghttp2_data_source *source, void *data)
{
    pl_grpc_session *session = data;
    h2_stream *s = source->ptr;
    if (!pl_http2_data(session->out, head, &s->base.out, &s->base.sent, length, PL_GRPC_UNSENT))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    note_writable(s);
    return 0;
}

static int on_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *data)
{
    pl_grpc_session *session = data;
    /* Whoever has reset the stream, a call or nghttp2: a peer can bring about both as it likes. */
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
        frame->rst_stream.error_code != NGHTTP2_REFUSED_STREAM)
        h2_guard_reset(session);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    session->sent_since_ping = true;
    pl_http2_progress(&session->noise);
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    h2_stream *s = h2_find(session, frame->hd.stream_id);
    /* The answer is complete, and the peer still sends: it is told to stop. */
    if (s && !s->peer_done && !s->dead) {
        s->dead = true;
        if (nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR) != 0)
            fail(s);
    }
    return 0;
}

/* --- what calls do --- */
static h2_stream *of(pl_grpc_stream *stream)
{
    return (h2_stream *)stream;
}

static void respond(pl_grpc_stream *stream, int status, const pl_header *headers, size_t count, bool alone)
{
    h2_stream *s = of(stream);
    nghttp2_nv fields[PL_HTTP2_MAX_FIELDS];
    char digits[3] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10)};
    if (s->dead || s->answered)
        return;
    const pl_header first = {PL_STR(":status"), {digits, 3}};
    size_t n = pl_http2_fields(fields, pl_http2_fields(fields, 0, &first, 1), headers, count);
    s->answered = true;
    s->alone = s->finished = s->trailed = alone;
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = read_bytes};
    if (nghttp2_submit_response(s->session->h2, s->id, fields, n, alone ? NULL : &provider) != 0)
        fail(s);
    wake(s->session);
}

static void resume(h2_stream *s)
{
    if (s->deferred) {
        s->deferred = false;
        if (nghttp2_session_resume_data(s->session->h2, s->id) == NGHTTP2_ERR_NOMEM)
            fail(s);
    }
    wake(s->session);
}

static void flush(pl_grpc_stream *stream)
{
    if (!of(stream)->dead)
        resume(of(stream));
}

static void finish(pl_grpc_stream *stream, const pl_header *trailers, size_t count)
{
    h2_stream *s = of(stream);
    if (s->dead || s->finished)
        return;
    s->finished = true;
    s->trailers = trailers;
    s->trailer_count = count;
    stream->waits = false;
    if (s->deferred && count > 0 && pl_grpc_stream_unsent(stream) == 0) {
        send_trailers(s); /* nothing is before them: without an empty DATA frame */
        wake(s->session);
    } else {
        resume(s);
    }
}

static void reset(pl_grpc_stream *stream, uint32_t error)
{
    h2_stream *s = of(stream);
    if (s->dead)
        return;
    s->dead = true;
    if (nghttp2_submit_rst_stream(s->session->h2, NGHTTP2_FLAG_NONE, s->id, error) != 0)
        fail(s);
    wake(s->session);
}

static void consumed(pl_grpc_stream *stream, size_t bytes)
{
    h2_stream *s = of(stream);
    if (bytes == 0 || s->dead || s->peer_done)
        return;
    if (nghttp2_session_consume_stream(s->session->h2, s->id, bytes) == NGHTTP2_ERR_NOMEM)
        fail(s);
    if (nghttp2_session_want_write(s->session->h2))
        wake(s->session);
}

const pl_grpc_stream_ops h2_stream_ops = {
    .respond = respond, .flush = flush, .finish = finish, .reset = reset, .consumed = consumed};

void h2_send_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
}

/* --- all together --- */

/* The first frame is our SETTINGS, and its first entry the number of streams, see say_hello. */
static void say_our_limit(pl_grpc_session *session, size_t begin)
{
    unsigned char *value = (unsigned char *)session->out->data + begin + 9 + 2;
    uint32_t most = session->options.max_streams;
    if (session->settings_sent || session->out->len - begin < 15)
        return;
    session->settings_sent = true;
    for (int i = 0; i < 4; i++)
        value[i] = (unsigned char)(most >> (24 - 8 * i));
}

static bool write_out(pl_grpc_session *session, size_t most)
{
    size_t begin = session->out->len;
    while (session->out->len < most && !session->broken) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(session->h2, &bytes);
        if (n < 0 || session->out->failed)
            return false;
        if (n == 0)
            break;
        pl_buf_append(session->out, bytes, (size_t)n);
        if (!session->settings_sent && !session->out->failed)
            say_our_limit(session, begin);
    }
    return !session->out->failed;
}

/* Those who waited go on, and may write more. */
static bool tell_writable(pl_grpc_session *session)
{
    bool any = session->noted != NULL;
    while (session->noted) {
        h2_stream *s = session->noted;
        session->noted = s->next_noted;
        s->noted = false;
        s->base.waits = false;
        if (s->base.events && !s->dead)
            s->base.events->writable(&s->base);
    }
    return any;
}

bool pl_grpc_session_send(pl_grpc_session *session, pl_buf *out, size_t most, uint64_t now)
{
    session->now = now;
    if (session->stranger || session->opening_len < sizeof session->opening) {
        pl_buf_str(out, session->last_words);
        session->last_words = PL_STR_NONE;
        return !session->broken && !out->failed;
    }
    session->out = out;
    session->inside = true;
    do {
        if (session->broken || !h2_reserve(session->pool) || !write_out(session, most))
            session->broken = true;
    } while (!session->broken && tell_writable(session) && out->len < most);
    session->inside = false;
    session->out = NULL;
    return !session->broken;
}
