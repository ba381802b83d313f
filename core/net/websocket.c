/* SPDX-License-Identifier: MIT */
#include "net/websocket.h"

#include <sys/socket.h>

#include "base/alloc.h"
#include "net/answer.h"
#include "net/websocket_frame.h"
#include "net/websocket_handshake.h"

/* Framing on the raw socket that h2o gives away after its answer 101. The socket is always read, so that a
 * peer that leaves is found; it is closed from h2o's own callbacks only (from elsewhere it is shut down,
 * which they then find), since h2o may still have a callback of it to make.
 *
 *   OPENING --101 is written--> OPEN --pl_websocket_close--> CLOSING --> (the peer closes, or time is up)
 *                                |                              |
 *                                +--the peer closes, breaks the rules, is too slow--> PARTING --> gone
 *
 * `closed` is called on the way into PARTING, or when the socket ends. A WebSocket that parts belongs to
 * nobody any more: it sends what is queued, with its close frame, and goes. */

#define DEFAULT_MESSAGE ((size_t)1 << 20)
#define DEFAULT_QUEUED ((size_t)1 << 20)
#define DEFAULT_PONG_TIMEOUT_MS 10000
#define CLOSE_TIMEOUT_MS 5000       /* for the whole of a closing handshake */
#define LINGER_MS 2000              /* for a peer that broke the rules to read why it is left */
#define PONGS_QUEUED ((size_t)4096) /* with more in the queue, of several pings only the last is answered */
#define NEVER (UINT64_MAX / 2)

typedef enum ping_state {
    PING_NONE,
    PING_QUEUED,
    PING_LEAVING, /* in what h2o is given */
    PING_SENT,
} ping_state;

struct pl_websocket {
    edge_link link; /* in edge->websockets */
    edge_link due;  /* in edge->due_websockets */
    pl_edge *edge;
    edge_conn *conn;
    h2o_socket_t *socket;                /* NULL: opening, or lost */
    const pl_websocket_handler *handler; /* NULL: `closed` has been called */
    void *data;
    size_t max_queued;
    unsigned ping_ms, pong_timeout;
    pl_ws_reader reader;
    edge_output output;
    pl_timer timer;
    uint64_t heard_at; /* when something came */
    uint64_t ping_at;
    uint64_t message_since; /* since when an incomplete message has been coming; 0: none */
    uint64_t close_until;   /* 0: not closing */
    unsigned code;          /* of the first close frame; 0: none yet */
    ping_state ping;
    bool drains;  /* something was queued since `drained` was called */
    bool closing; /* our close frame is queued or sent */
    bool parting; /* nothing is expected of the peer but the end */
    bool broken;  /* what comes cannot be read as frames */
    bool half;    /* we have ended our side of the connection */
    bool cut;     /* the connection is being ended without further words */
    bool told;    /* `closed` is called at the end of this turn */
    bool noted;   /* as one that is cut */
    bool pong_due;
    unsigned char pong_len;
    char pong[PL_WS_MOST_CONTROL];
};

static uint64_t now_of(const pl_websocket *ws)
{
    return ws->edge->host->ops->now(ws->edge->host);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void make_due(pl_websocket *ws)
{
    if (edge_link_empty(&ws->due))
        edge_link_append(&ws->edge->due_websockets, &ws->due);
    edge_soon(ws->edge);
}

/* --- The end --- */

static void destroy(pl_websocket *ws)
{
    pl_edge *edge = ws->edge;
    edge->host->ops->timer_stop(edge->host, &ws->timer);
    edge_link_remove(&ws->link);
    edge_link_remove(&ws->due);
    edge_output_dispose(&ws->output);
    pl_ws_reader_dispose(&ws->reader);
    EDGE_ADD(edge->websocket_count, -1u);
    pl_free(ws);
}

/* Tells the service, once. */
static void tell_closed(pl_websocket *ws)
{
    const pl_websocket_handler *handler = ws->handler;
    ws->closing = true;
    ws->handler = NULL;
    if (handler)
        handler->closed(ws, ws->code != 0 ? ws->code : PL_WS_ABNORMAL);
}

/* In a callback of h2o. */
static void end(pl_websocket *ws)
{
    h2o_socket_t *socket = ws->socket;
    tell_closed(ws);
    ws->conn->websocket = NULL;
    destroy(ws);
    h2o_socket_close(socket);
}

void edge_websocket_lost(pl_websocket *ws)
{
    ws->socket = NULL;
}

/* Its client is as good as gone, or is no good. */
static void note_cut(pl_websocket *ws, const char *reason)
{
    pl_edge *edge = ws->edge;
    if (ws->noted)
        return;
    ws->noted = true;
    EDGE_ADD(edge->websockets_cut, 1);
    pl_log(edge->log, PL_INFO, "WebSocket cut", PL_F_CSTR("reason", reason), PL_F_STR("peer", ws->conn->peer),
           PL_F_INT("queued", edge_output_queued(&ws->output)));
}

/* Outside of h2o's callbacks: one will come, with an error. */
static void cut(pl_websocket *ws)
{
    ws->cut = true;
    tell_closed(ws);
    edge_conn_cut(ws->conn);
}

/* --- Time --- */

static uint64_t next_deadline(const pl_websocket *ws)
{
    uint64_t at = NEVER;
    if (ws->cut)
        return at;
    if (ws->output.in_flight != 0)
        at = earlier(at, ws->output.since + ws->edge->response_timeout);
    if (ws->close_until != 0)
        return earlier(at, ws->close_until);
    if (ws->message_since != 0)
        at = earlier(at, ws->message_since + ws->edge->request_timeout);
    if (ws->ping == PING_SENT)
        at = earlier(at, ws->ping_at + ws->pong_timeout);
    else if (ws->ping == PING_NONE && ws->ping_ms != 0)
        at = earlier(at, ws->heard_at + ws->ping_ms);
    return at;
}

/* The timer stays armed from the beginning, so that this cannot fail; it may fire too early, never too late.
 */
static void arm(pl_websocket *ws)
{
    uint64_t at = next_deadline(ws);
    if (ws->timer.index == 0 || at < ws->timer.at)
        ws->edge->host->ops->timer_start(ws->edge->host, &ws->timer, at);
}

/* --- Output --- */

static void begin_close(pl_websocket *ws, unsigned code, pl_str reason, unsigned timeout)
{
    if (ws->closing)
        return;
    ws->closing = true;
    if (ws->code == 0)
        ws->code = code;
    ws->close_until = now_of(ws) + earlier(timeout, ws->edge->request_timeout);
    if (!pl_ws_write_close(&ws->output.waiting, code, reason))
        ws->cut = true;
    make_due(ws);
}

/* Gives h2o the next piece, if it waits for one. */
static void write_next(pl_websocket *ws);

static void on_written(h2o_socket_t *socket, const char *err)
{
    pl_websocket *ws = socket->data;
    if (err) {
        end(ws);
        return;
    }
    edge_output_taken(&ws->output);
    if (ws->ping == PING_LEAVING && ws->output.sending.len == 0) {
        ws->ping = PING_SENT;
        ws->ping_at = now_of(ws);
    }
    write_next(ws);
    if (ws->output.in_flight != 0)
        return;
    if (ws->parting && !ws->broken) {
        end(ws);
        return;
    }
    if (ws->broken && !ws->half && !ws->socket->ssl) {
        /* The peer finds the end behind the close frame, and ends its side. To close at once, with bytes of
         * the peer's unread, could destroy the close frame on its way. */
        ws->half = true;
        shutdown(ws->conn->fd, SHUT_WR);
    }
    arm(ws);
    if (ws->drains) {
        ws->drains = false;
        if (ws->handler && ws->handler->drained)
            ws->handler->drained(ws);
    }
}

static void write_next(pl_websocket *ws)
{
    edge_output *output = &ws->output;
    if (!ws->socket || output->in_flight != 0 || ws->cut || ws->half)
        return;
    if (ws->pong_due && !ws->closing) {
        ws->pong_due = false;
        if (!pl_ws_write(&output->waiting, PL_WS_OP_PONG, (pl_str){ws->pong, ws->pong_len})) {
            cut(ws);
            return;
        }
    }
    if (ws->ping == PING_QUEUED && output->sending.len == 0)
        ws->ping = PING_LEAVING;
    pl_str piece = edge_output_next(output);
    if (piece.len == 0)
        return;
    output->since = now_of(ws);
    h2o_iovec_t bytes = h2o_iovec_init(piece.ptr, piece.len);
    h2o_socket_write(ws->socket, &bytes, 1, on_written);
    arm(ws);
}

/* --- Input --- */

/* The peer has closed, or what it sends is no WebSocket. */
static void part(pl_websocket *ws, unsigned code, pl_str reason)
{
    begin_close(ws, code, reason, ws->broken ? LINGER_MS : CLOSE_TIMEOUT_MS);
    ws->parting = true;
    ws->message_since = 0;
    tell_closed(ws);
}

static void on_ping(pl_websocket *ws, pl_str payload)
{
    if (ws->closing)
        return;
    make_due(ws);
    if (!ws->pong_due && edge_output_queued(&ws->output) < PONGS_QUEUED) {
        if (!pl_ws_write(&ws->output.waiting, PL_WS_OP_PONG, payload))
            ws->cut = true;
        return;
    }
    ws->pong_due = true;
    ws->pong_len = (unsigned char)payload.len;
    memcpy(ws->pong, ws->reader.control, ws->pong_len);
}

static void on_event(pl_websocket *ws, pl_ws_event event)
{
    pl_ws_reader *reader = &ws->reader;
    switch (event) {
    case PL_WS_MESSAGE:
        if (ws->handler && !ws->closing)
            ws->handler->message(ws, reader->payload, reader->binary);
        break;
    case PL_WS_PING:
        on_ping(ws, reader->payload);
        break;
    case PL_WS_PONG:
        if (ws->ping == PING_LEAVING) /* h2o says later that the ping has gone */
            ws->ping = PING_NONE;
        if (ws->handler && !ws->closing && ws->handler->pong)
            ws->handler->pong(ws);
        break;
    case PL_WS_CLOSE:
        part(ws, reader->code, PL_STR_NONE);
        break;
    case PL_WS_BROKEN:
        ws->broken = true;
        part(ws, reader->code, reader->payload);
        break;
    case PL_WS_MORE:
        break;
    }
}

static void read_input(pl_websocket *ws)
{
    h2o_buffer_t **input = &ws->socket->input;
    char *bytes = (*input)->bytes;
    size_t len = (*input)->size;
    pl_ws_event event;
    while (!ws->parting && !ws->cut && (event = pl_ws_read(&ws->reader, &bytes, &len)) != PL_WS_MORE) {
        if (!ws->reader.in_message)
            ws->message_since = 0;
        on_event(ws, event);
    }
    /* All of it has been taken, or is thrown away; with that, h2o takes the buffer back. */
    h2o_buffer_consume(input, (*input)->size);
    if (!ws->closing && pl_ws_reader_waits(&ws->reader)) {
        if (ws->message_since == 0)
            ws->message_since = now_of(ws);
    } else {
        ws->message_since = 0;
    }
}

static void on_read(h2o_socket_t *socket, const char *err)
{
    pl_websocket *ws = socket->data;
    if (err) {
        end(ws);
        return;
    }
    ws->heard_at = now_of(ws);
    if (ws->ping == PING_SENT)
        ws->ping = PING_NONE;
    read_input(ws);
    if (ws->parting && !ws->broken && edge_output_queued(&ws->output) == 0) {
        end(ws); /* both have closed, and ours is out */
        return;
    }
    arm(ws);
}

/* --- In the edge's turn --- */

static void on_timer(pl_timer *timer)
{
    pl_websocket *ws = timer->data;
    uint64_t now = now_of(ws);
    /* First of all, as this cannot fail: the heap has just given up this timer's place. */
    ws->edge->host->ops->timer_start(ws->edge->host, timer, NEVER);
    if (next_deadline(ws) > now) {
        arm(ws);
        return;
    }
    if (ws->output.in_flight != 0 && now >= ws->output.since + ws->edge->response_timeout) {
        note_cut(ws, "the client takes nothing of what waits for it");
        cut(ws);
    } else if (ws->close_until != 0) {
        cut(ws);
    } else if (ws->message_since != 0 && now >= ws->message_since + ws->edge->request_timeout) {
        ws->broken = true;
        part(ws, PL_WS_POLICY, PL_STR("message takes too long"));
    } else if (ws->ping == PING_SENT) {
        note_cut(ws, "a ping was not answered");
        cut(ws);
    } else {
        pl_websocket_ping(ws);
    }
    arm(ws);
}

void edge_websockets_flush(pl_edge *edge)
{
    while (!edge_link_empty(&edge->due_websockets)) {
        pl_websocket *ws = EDGE_OF(pl_websocket, due, edge->due_websockets.next);
        edge_link_remove(&ws->due);
        if (ws->told || ws->cut)
            tell_closed(ws);
        if (ws->cut) {
            edge_conn_cut(ws->conn);
        } else {
            write_next(ws);
            arm(ws);
        }
    }
}

void edge_websockets_drain(pl_edge *edge)
{
    for (edge_link *l = edge->websockets.next; l != &edge->websockets; l = l->next)
        pl_websocket_close(EDGE_OF(pl_websocket, link, l), PL_WS_GOING_AWAY,
                           PL_STR("server is shutting down"));
}

/* --- Opening --- */

static void on_upgraded(void *data, h2o_socket_t *socket, size_t request_size)
{
    pl_websocket *ws = data;
    if (!socket) {
        tell_closed(ws);
        destroy(ws);
        return;
    }
    ws->socket = socket;
    socket->data = ws;
    if (ws->cut) {
        end(ws);
        return;
    }
    h2o_buffer_consume(&socket->input, request_size);
    h2o_socket_read_start(socket, on_read);
    ws->heard_at = now_of(ws);
    write_next(ws);
    if (socket->input->size != 0)
        on_read(socket, NULL);
    else
        arm(ws);
}

bool pl_http_is_websocket(const pl_http_request *request)
{
    const edge_request *r = EDGE_OF(edge_request, public, request);
    return r->req->upgrade.base &&
           h2o_lcstris(r->req->upgrade.base, r->req->upgrade.len, H2O_STRLIT("websocket"));
}

static pl_websocket *refuse(pl_http_request *request, int status)
{
    const pl_header version = {PL_STR("sec-websocket-version"), PL_STR("13")};
    pl_http_respond(request, &(pl_http_response){.status = status,
                                                 .content_type = PL_STR("application/json"),
                                                 .headers = &version,
                                                 .header_count = status == 426 ? 1 : 0,
                                                 .body = edge_error_body(status),
                                                 .body_in_arena = true});
    return NULL;
}

static pl_websocket *create(edge_request *r, const pl_websocket_options *options,
                            const pl_websocket_handler *handler, void *data)
{
    pl_edge *edge = r->edge;
    pl_websocket *ws = pl_malloc(sizeof(*ws));
    if (!ws)
        return NULL;
    *ws = (pl_websocket){
        .edge = edge,
        .conn = r->conn,
        .handler = handler,
        .data = data,
        .max_queued = options->max_queued != 0 ? options->max_queued : DEFAULT_QUEUED,
        .ping_ms = options->ping_ms,
        .pong_timeout = options->pong_timeout_ms != 0 ? options->pong_timeout_ms : DEFAULT_PONG_TIMEOUT_MS,
        .timer = {.fire = on_timer, .data = ws},
    };
    if (edge->host->ops->timer_start(edge->host, &ws->timer, NEVER) != 0) {
        pl_free(ws);
        return NULL;
    }
    edge_link_append(&edge->websockets, &ws->link);
    edge_link_init(&ws->due);
    pl_ws_reader_init(&ws->reader, options->max_message != 0 ? options->max_message : DEFAULT_MESSAGE);
    edge_output_init(&ws->output);
    EDGE_ADD(edge->websocket_count, 1);
    return ws;
}

pl_websocket *pl_websocket_accept(pl_http_request *request, pl_str protocol,
                                  const pl_websocket_options *options, const pl_websocket_handler *handler,
                                  void *data)
{
    edge_request *r = EDGE_OF(edge_request, public, request);
    h2o_req_t *req = r->req;
    char accept[PL_WS_ACCEPT_SIZE + 1];
    pl_str key;
    int status = pl_http_is_websocket(request) ? pl_ws_check_request(request, &key) : 400;
    if (r->state != EDGE_AT_WORK)
        return NULL;
    if (status != 0)
        return refuse(request, status);
    pl_websocket *ws =
        r->edge->draining || !pl_ws_accept_key(key, accept) ? NULL : create(r, options, handler, data);
    if (!ws)
        return refuse(request, 503);
    const pl_header headers[] = {{PL_STR("sec-websocket-accept"), {accept, PL_WS_ACCEPT_SIZE}},
                                 {PL_STR("sec-websocket-protocol"), protocol}};
    edge_put_head(
        r, &(pl_http_response){.status = 200, .headers = headers, .header_count = protocol.len != 0 ? 2 : 1});
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_UPGRADE, NULL, H2O_STRLIT("websocket"));
    req->res.status = 101;
    req->res.reason = "Switching Protocols";
    ws->conn->websocket = ws;
    edge_request_count(r, 101);
    edge_request_detach(r);
    h2o_http1_upgrade(req, NULL, 0, on_upgraded, ws);
    edge_request_free(r);
    return ws;
}

/* --- For the service --- */

/* A message cannot be sent: rather than leave one out, the whole is ended. What waits is not sent, but for
 * what h2o has a part of. */
static pl_code give_up(pl_websocket *ws, pl_str reason)
{
    pl_buf_dispose(&ws->output.waiting);
    ws->pong_due = false;
    begin_close(ws, PL_WS_TRY_AGAIN, reason, CLOSE_TIMEOUT_MS);
    ws->told = true;
    return PL_RESOURCE_EXHAUSTED;
}

pl_code pl_websocket_send(pl_websocket *ws, pl_str text)
{
    if (ws->closing || ws->cut)
        return PL_FAILED_PRECONDITION;
    if (edge_output_queued(&ws->output) > ws->max_queued) {
        note_cut(ws, "messages are not read fast enough");
        return give_up(ws, PL_STR("messages are not read fast enough"));
    }
    if (!pl_ws_write(&ws->output.waiting, PL_WS_OP_TEXT, text))
        return give_up(ws, PL_STR("out of memory"));
    ws->drains = true;
    if (ws->output.in_flight == 0)
        make_due(ws);
    return PL_OK;
}

size_t pl_websocket_queued(const pl_websocket *ws)
{
    return edge_output_queued(&ws->output);
}

void pl_websocket_ping(pl_websocket *ws)
{
    if (ws->closing || ws->cut || ws->ping != PING_NONE)
        return;
    if (!pl_ws_write(&ws->output.waiting, PL_WS_OP_PING, PL_STR_NONE))
        ws->cut = true;
    else
        ws->ping = PING_QUEUED;
    make_due(ws);
}

void pl_websocket_close(pl_websocket *ws, unsigned code, pl_str reason)
{
    begin_close(ws, pl_ws_code_is_sound(code) ? code : PL_WS_INTERNAL, reason, CLOSE_TIMEOUT_MS);
}

void *pl_websocket_data(const pl_websocket *ws)
{
    return ws->data;
}

pl_str pl_websocket_peer(const pl_websocket *ws)
{
    return ws->conn->peer;
}
