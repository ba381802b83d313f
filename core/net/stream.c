/* SPDX-License-Identifier: MIT */
#include "net/stream.h"

#include <stdio.h>

#include "net/answer.h"

/* h2o takes one piece at a time, and says with `proceed` that it wants the next. It is given pieces at the
 * end of a turn only (edge_streams_flush): so what a turn has written goes out in one write, and h2o is never
 * called from the middle of its own work. A stream is disposed of when h2o disposes of its request, however
 * that comes about. */

static void make_due(edge_request *r)
{
    if (edge_link_empty(&r->stream.due))
        edge_link_append(&r->edge->due_streams, &r->stream.due);
    edge_soon(r->edge);
}

static uint64_t now_of(const edge_request *r)
{
    return r->edge->host->ops->now(r->edge->host);
}

/* --- For the service --- */

bool pl_http_stream_begin(pl_http_request *request, const pl_http_response *head)
{
    edge_request *r = EDGE_OF(edge_request, public, request);
    if (r->state != EDGE_AT_WORK)
        return false;
    pl_http_response bodiless = *head;
    bodiless.body = PL_STR_NONE;
    bodiless.body_in_arena = true;
    r->postponed = edge_copy_response(&r->arena, &bodiless);
    r->stream.failed = !r->postponed;
    edge_request_count(r, r->stream.failed ? 503 : head->status);
    r->state = EDGE_STREAMING;
    r->stream.begun = true;
    r->stream.bodiless = edge_is_bodiless(head->status) || pl_str_is(request->method, "HEAD");
    edge_link_append(&r->edge->streams, &r->link);
    EDGE_ADD(r->edge->stream_count, 1);
    make_due(r);
    return !r->stream.failed;
}

bool pl_http_stream_write(pl_http_request *request, pl_str bytes)
{
    edge_request *r = EDGE_OF(edge_request, public, request);
    edge_stream *s = &r->stream;
    if (r->state != EDGE_STREAMING || s->failed)
        return false;
    if (s->bodiless || bytes.len == 0)
        return true;
    pl_buf_str(&s->output.waiting, bytes);
    s->failed = s->output.waiting.failed;
    s->drains = true;
    if (!s->busy || s->failed)
        make_due(r);
    return !s->failed;
}

size_t pl_http_stream_queued(const pl_http_request *request)
{
    return edge_output_queued(&EDGE_OF(edge_request, public, request)->stream.output);
}

static void end(pl_http_request *request, bool broken)
{
    edge_request *r = EDGE_OF(edge_request, public, request);
    pl_edge *edge = r->edge;
    if (r->state != EDGE_STREAMING)
        return;
    r->stream.failed |= broken;
    r->state = EDGE_ANSWERED;
    r->stream.ended = true;
    if (r->conn->waiting == r)
        r->conn->waiting = NULL;
    EDGE_ADD(edge->request_count, -1u);
    if (edge->draining)
        r->req->http1_is_persistent = 0;
    make_due(r);
}

void pl_http_stream_end(pl_http_request *request)
{
    end(request, false);
}

void pl_http_stream_break(pl_http_request *request)
{
    end(request, true);
}

/* --- For h2o --- */

static void proceed(h2o_generator_t *self, h2o_req_t *req)
{
    edge_request *r = EDGE_OF(edge_request, stream.generator, self);
    r->stream.busy = false;
    edge_output_taken(&r->stream.output);
    make_due(r);
}

/* The request may be gone with its last piece. */
static void give(edge_request *r, pl_str piece, h2o_send_state_t state)
{
    edge_stream *s = &r->stream;
    h2o_iovec_t parts[3];
    size_t count = 0;
    if (s->chunked && piece.len != 0) {
        int n = snprintf(s->chunk, sizeof(s->chunk), "%zx\r\n", piece.len);
        parts[count++] = h2o_iovec_init(s->chunk, (size_t)n);
    }
    if (piece.len != 0)
        parts[count++] = h2o_iovec_init(piece.ptr, piece.len);
    if (s->chunked && state == H2O_SEND_STATE_FINAL)
        parts[count++] = piece.len != 0 ? h2o_iovec_init(H2O_STRLIT("\r\n0\r\n\r\n"))
                                        : h2o_iovec_init(H2O_STRLIT("0\r\n\r\n"));
    else if (s->chunked && piece.len != 0)
        parts[count++] = h2o_iovec_init(H2O_STRLIT("\r\n"));
    s->busy = true;
    s->output.since = now_of(r);
    h2o_send(r->req, parts, count, state);
}

/* Before the last piece was given: the request ends, or is answered by something else. */
static void stop(h2o_generator_t *self, h2o_req_t *req)
{
    edge_request *r = EDGE_OF(edge_request, stream.generator, self);
    r->stream.lost = true;
    make_due(r);
}

static void start(edge_request *r)
{
    edge_stream *s = &r->stream;
    if (s->started)
        return;
    s->started = true;
    edge_put_head(r, r->postponed);
    /* h2o's own encoder of chunks would keep the head back until there is a first one; it leaves alone what
     * has this header. */
    s->chunked = r->public.http_version == 0x101 && !s->bodiless;
    if (s->chunked)
        h2o_add_header(&r->req->pool, &r->req->res.headers, H2O_TOKEN_TRANSFER_ENCODING, NULL,
                       H2O_STRLIT("chunked"));
    r->req->compress_hint = H2O_COMPRESS_HINT_DISABLE; /* it would hold pieces back, and pack the chunks */
    /* Over HTTP/1.0 the end of the connection is the end of the body. */
    if (r->public.http_version < 0x101 || r->edge->draining)
        r->req->http1_is_persistent = 0;
    h2o_start_response(r->req, &s->generator);
}

/* The connection has been shut down, and h2o finds that out when it writes; or the stream is reset. */
static void make_it_write(edge_request *r)
{
    if (r->public.http_version >= 0x200) {
        start(r);
        give(r, PL_STR_NONE, H2O_SEND_STATE_ERROR);
        return;
    }
    r->req->http1_is_persistent = 0;
    start(r);
    give(r, PL_STR("\n"), H2O_SEND_STATE_FINAL);
}

void edge_stream_abandon(edge_request *r)
{
    r->conn->waiting = NULL;
    edge_request_tell(r);
    make_due(r);
}

/* Memory was short: the client must see that this is not the whole answer. */
static void break_off(edge_request *r)
{
    edge_stream *s = &r->stream;
    if (!s->started) {
        s->started = s->busy = true;
        s->output.since = now_of(r);
        edge_send_unavailable(r, &s->generator);
    } else if (r->public.http_version < 0x200) {
        edge_conn_cut(r->conn);
        if (!s->busy)
            make_it_write(r);
    } else if (!s->busy) {
        give(r, PL_STR_NONE, H2O_SEND_STATE_ERROR);
    }
}

static void flush(edge_request *r)
{
    edge_stream *s = &r->stream;
    if (s->lost) {
        if (r->state == EDGE_STREAMING)
            edge_stream_abandon(r);
        return;
    }
    if (s->failed && r->state != EDGE_ENDED) {
        break_off(r);
        return;
    }
    if (s->busy)
        return;
    if (r->state == EDGE_ENDED) {
        make_it_write(r);
        return;
    }
    bool first = !s->started;
    start(r);
    pl_str piece = edge_output_next(&s->output);
    if (s->bodiless || (s->ended && edge_output_queued(&s->output) == piece.len)) {
        give(r, piece, H2O_SEND_STATE_FINAL);
    } else if (first || piece.len != 0) {
        give(r, piece, H2O_SEND_STATE_IN_PROGRESS);
    } else if (s->drains && r->state == EDGE_STREAMING) {
        s->drains = false;
        if (r->public.drained)
            r->public.drained(&r->public);
    }
}

void edge_streams_flush(pl_edge *edge)
{
    while (!edge_link_empty(&edge->due_streams)) {
        edge_request *r = EDGE_OF(edge_request, stream.due, edge->due_streams.next);
        edge_link_remove(&r->stream.due);
        flush(r);
    }
}

void edge_streams_sweep(pl_edge *edge, uint64_t now)
{
    for (edge_link *l = edge->streams.next; l != &edge->streams; l = l->next) {
        edge_request *r = EDGE_OF(edge_request, link, l);
        if (!r->stream.busy || r->stream.lost || now < r->stream.output.since + edge->response_timeout)
            continue;
        if (edge_request_owns_connection(r))
            edge_conn_cut(r->conn);
        else if (r->state == EDGE_STREAMING)
            edge_stream_abandon(r);
    }
}

/* --- Records --- */

void edge_stream_init(edge_request *r)
{
    r->stream = (edge_stream){.generator = {.proceed = proceed, .stop = stop}};
    edge_link_init(&r->stream.due);
    edge_output_init(&r->stream.output);
}

void edge_stream_dispose(edge_request *r)
{
    EDGE_ADD(r->edge->stream_count, -1u);
    edge_link_remove(&r->stream.due);
    edge_output_dispose(&r->stream.output);
    edge_stream_init(r);
}
