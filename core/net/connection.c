/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/edge_internal.h"
#include "net/peer.h"
#include "net/upload.h"

/* How long a socket may be without an HTTP connection: during the TLS handshake, and while TLS says goodbye.
 */
#define UNSEEN_TIMEOUT_MS(edge) ((uint64_t)(edge)->request_timeout + 5000)

static void nothing(void *data)
{
}

static void on_close(void *data)
{
    edge_conn *conn = data;
    pl_edge *edge = conn->edge;
    void (*host)(void *) = conn->on_close.cb;
    void *host_data = conn->on_close.data;
    if (!edge) { /* the edge has gone, and could not take this back */
        pl_free(conn);
        host(host_data);
        return;
    }
    conn->socket = NULL;
    conn->waiting = NULL;
    if (conn->websocket)
        edge_websocket_lost(conn->websocket);
    conn->websocket = NULL;
    conn->certificate = NULL;
    pl_arena_dispose(&conn->arena);
    edge_link_remove(&conn->link);
    edge_link_push(&edge->free_conns, &conn->link);
    EDGE_ADD(edge->connection_count, -1u);
    if (edge->draining && edge->connection_count == 0)
        edge_soon(edge);
    if (host)
        host(host_data);
}

static edge_conn *new_conn(pl_edge *edge, h2o_socket_t *socket)
{
    edge_conn *conn;
    if (!edge_link_empty(&edge->free_conns)) {
        conn = EDGE_OF(edge_conn, link, edge->free_conns.next);
        edge_link_remove(&conn->link);
    } else {
        conn = pl_malloc(sizeof(*conn));
    }
    if (!conn)
        return NULL;
    uint64_t now = edge->host->ops->now(edge->host);
    *conn = (edge_conn){
        .edge = edge, .socket = socket, .fd = h2o_socket_get_fd(socket), .idle_since = now, .seen_at = now};
    pl_arena_init(&conn->arena, 0);
    edge_link_init(&conn->queue);
    edge_link_append(&edge->conns, &conn->link);
    conn->on_close.cb = socket->on_close.cb;
    conn->on_close.data = socket->on_close.data;
    socket->on_close.cb = on_close;
    socket->on_close.data = conn;
    EDGE_ADD(edge->connection_count, 1);
    return conn;
}

bool edge_conn_open(pl_edge *edge, h2o_socket_t *socket)
{
    pl_loop_note_peer(edge->loop);
    if (new_conn(edge, socket))
        return true;
    h2o_socket_close(socket);
    return false;
}

edge_conn *edge_conn_of(h2o_conn_t *conn)
{
    h2o_socket_t *socket = conn->callbacks->get_socket(conn);
    /* There is none while a connection changes from HTTP/1.1 to HTTP/2. */
    return socket && socket->on_close.cb == on_close ? socket->on_close.data : NULL;
}

/* Several mounts may be in one program, each with a record of the socket: one behind the other. */
static edge_conn *find_record(const pl_edge *edge, const h2o_socket_t *socket)
{
    void (*cb)(void *) = socket->on_close.cb;
    void *data = socket->on_close.data;
    while (cb == on_close) {
        edge_conn *conn = data;
        if (conn->edge == edge)
            return conn;
        cb = conn->on_close.cb;
        data = conn->on_close.data;
    }
    return NULL;
}

edge_conn *edge_conn_join(pl_edge *edge, h2o_conn_t *h2o_conn)
{
    h2o_socket_t *socket = h2o_conn->callbacks->get_socket(h2o_conn);
    if (!socket)
        return NULL;
    edge_conn *conn = find_record(edge, socket);
    return conn ? conn : new_conn(edge, socket);
}

bool edge_conn_is_busy(const edge_conn *conn)
{
    return conn->in_hand != 0 || conn->websocket || !edge_link_empty(&conn->queue);
}

/* The host's socket is the host's alone again. */
static void leave(edge_conn *conn)
{
    h2o_socket_t *socket = conn->socket;
    edge_link_remove(&conn->link);
    EDGE_ADD(conn->edge->connection_count, -1u);
    pl_arena_dispose(&conn->arena);
    if (socket->on_close.cb == on_close && socket->on_close.data == conn) {
        socket->on_close.cb = conn->on_close.cb;
        socket->on_close.data = conn->on_close.data;
        pl_free(conn);
        return;
    }
    for (edge_conn *other = socket->on_close.cb == on_close ? socket->on_close.data : NULL; other;
         other = other->on_close.cb == on_close ? other->on_close.data : NULL) {
        if (other->on_close.cb != on_close || other->on_close.data != conn)
            continue;
        other->on_close.cb = conn->on_close.cb;
        other->on_close.data = conn->on_close.data;
        pl_free(conn);
        return;
    }
    /* The host has put something of its own before it, which still knows of the record. */
    conn->edge = NULL;
    if (!conn->on_close.cb)
        conn->on_close.cb = nothing;
}

void edge_conns_leave(pl_edge *edge)
{
    while (!edge_link_empty(&edge->conns))
        leave(EDGE_OF(edge_conn, link, edge->conns.next));
}

void edge_conn_name_peer(edge_conn *conn)
{
    conn->peer = pl_socket_peer(conn->socket, conn->peer_room, sizeof(conn->peer_room));
    conn->certificate = pl_socket_certificate(conn->socket, &conn->arena);
}

void edge_conn_cut(edge_conn *conn)
{
    if (conn->cut)
        return;
    conn->cut = true;
    shutdown(conn->fd, SHUT_RDWR);
    if (conn->waiting)
        edge_request_abandon(conn->waiting);
}

/* Ends an idle connection: what the client has sent already is still served. */
static void end_input(edge_conn *conn)
{
    if (conn->input_ended || conn->cut)
        return;
    conn->input_ended = true;
    shutdown(conn->fd, SHUT_RD);
}

/* --- Clients that leave. h2o does not read an HTTP/1.1 connection while its request is in hand, so its
 * descriptor is watched for a hang-up by an epoll instance of the edge's own, that h2o's loop polls as one
 * more descriptor. A connection is armed when a request has to wait, and stays so when that is answered:
 * mostly one system call for a connection, none for a request. --- */

static uint32_t watch_events(const edge_conn *conn)
{
    return EPOLLONESHOT | EPOLLHUP | EPOLLERR | (conn->input_ended ? 0u : EPOLLRDHUP);
}

void edge_conn_watch(edge_conn *conn)
{
    if (conn->watched)
        return;
    struct epoll_event event = {.events = watch_events(conn), .data.ptr = conn};
    int op = conn->watch_added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(conn->edge->watch_fd, op, conn->fd, &event) == 0)
        conn->watch_added = conn->watched = true;
}

static bool has_hung_up(const edge_conn *conn)
{
    short events = conn->input_ended ? 0 : POLLRDHUP;
    struct pollfd p = {.fd = conn->fd, .events = events};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | events));
}

static void on_watch(h2o_socket_t *socket, const char *err)
{
    pl_edge *edge = socket->data;
    struct epoll_event event;
    /* One at a time: what is done for one may close another. */
    for (int i = 0; i < 256 && epoll_wait(edge->watch_fd, &event, 1, 0) == 1; i++) {
        edge_conn *conn = event.data.ptr;
        conn->watched = false;
        if (!conn->socket || !conn->waiting)
            continue;
        /* The event may be one of a descriptor that this record had before. */
        if (has_hung_up(conn))
            edge_conn_cut(conn);
        else
            edge_conn_watch(conn);
    }
}

bool edge_watch_open(pl_edge *edge, pl_error *err)
{
    edge->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (edge->watch_fd < 0) {
        pl_fail(err, PL_RESOURCE_EXHAUSTED, "cannot open a descriptor: %s", strerror(errno));
        return false;
    }
    edge->watch =
        h2o_evloop_socket_create(pl_loop_h2o(edge->loop), edge->watch_fd, H2O_SOCKET_FLAG_DONT_READ);
    edge->watch->data = edge;
    h2o_socket_read_start(edge->watch, on_watch);
    return true;
}

void edge_watch_close(pl_edge *edge)
{
    if (edge->watch)
        h2o_socket_close(edge->watch);
    edge->watch = NULL;
}

/* --- Timeouts. h2o's own know only the whole time between two HTTP/1.1 requests, and for HTTP/2 only
 * connections on which nothing at all arrives. --- */

static bool is_late(uint64_t since, uint64_t timeout, uint64_t now)
{
    return now >= since + timeout;
}

static int look_at_http1(h2o_req_t *req, void *data)
{
    uint64_t now = *(uint64_t *)data;
    edge_conn *conn = edge_conn_of(req->conn);
    if (!conn)
        return 0;
    pl_edge *edge = conn->edge;
    conn->seen_at = now;
    conn->http1 = true;
    if (req->pathconf) { /* complete, and handed over */
        if (edge->draining)
            req->http1_is_persistent = 0;
    } else if (req->timestamps.request_begin_at.tv_sec != 0) {
        if (conn->partial_since == 0)
            conn->partial_since = now;
        else if (is_late(conn->partial_since, edge_receive_timeout(edge, req), now))
            edge_conn_cut(conn);
    } else if (edge->draining || is_late(conn->idle_since, edge->idle_timeout, now)) {
        end_input(conn);
    }
    return 0;
}

static int look_at_stream(h2o_req_t *req, void *data)
{
    edge_conn *conn = edge_conn_of(req->conn);
    if (!conn)
        return 0;
    conn->seen_at = *(uint64_t *)data;
    struct timeval begin = req->timestamps.request_begin_at;
    /* An upload has a time of its own, by the clock on the wall. */
    if (!req->pathconf && begin.tv_sec != 0 && edge_is_upload(conn->edge, req)) {
        struct timeval late = {.tv_sec = edge_receive_timeout(conn->edge, req) / 1000 + 1}, wall;
        gettimeofday(&wall, NULL);
        timeradd(&begin, &late, &late);
        if (timercmp(&wall, &late, >))
            edge_conn_cut(conn);
        return 0;
    }
    /* A stream that was only given a priority has not begun. */
    if (!req->pathconf && begin.tv_sec != 0 &&
        (!conn->sweep_partial || timercmp(&begin, &conn->sweep_begin, <))) {
        conn->sweep_partial = true;
        conn->sweep_begin = begin;
    }
    return 0;
}

/* Finds, by the time when it began, an HTTP/2 stream that is the oldest incomplete one for too long. Looks at
 * the list only now and then: so it measures from when it first saw that stream, by a clock that does not
 * jump. */
static void judge_streams(edge_conn *conn, uint64_t now)
{
    if (conn->sweep_partial && conn->partial_since != 0 &&
        !timercmp(&conn->sweep_begin, &conn->partial_begin, !=)) {
        if (is_late(conn->partial_since, conn->edge->request_timeout, now))
            edge_conn_cut(conn);
        return;
    }
    conn->partial_since = conn->sweep_partial ? now : 0;
    conn->partial_begin = conn->sweep_begin;
}

static void sweep_idle(pl_edge *edge, uint64_t now)
{
    for (edge_link *l = edge->conns.next; l != &edge->conns; l = l->next) {
        edge_conn *conn = EDGE_OF(edge_conn, link, l);
        conn->http1 = conn->sweep_partial = false;
    }
    pl_h2o_each_http1(&edge->context, look_at_http1, &now);
    pl_h2o_each_http2(&edge->context, look_at_stream, &now);
    for (edge_link *l = edge->conns.next; l != &edge->conns; l = l->next) {
        edge_conn *conn = EDGE_OF(edge_conn, link, l);
        if (!conn->http1)
            judge_streams(conn, now);
        /* HTTP/2 without a stream is not found by what is above, but it is always reading. */
        if (h2o_socket_is_reading(conn->socket))
            conn->seen_at = now;
        else if (is_late(conn->seen_at, UNSEEN_TIMEOUT_MS(edge), now))
            edge_conn_cut(conn);
    }
}

void edge_sweep(pl_edge *edge)
{
    uint64_t now = edge->host->ops->now(edge->host);
    if (!edge->host_context)
        sweep_idle(edge, now);
    for (edge_link *l = edge->sending.next; l != &edge->sending; l = l->next) {
        const edge_request *r = EDGE_OF(edge_request, link, l);
        if (!is_late(r->answered_at, edge->response_timeout, now))
            break;
        if (edge_request_owns_connection(r))
            edge_conn_cut(r->conn);
    }
    edge_streams_sweep(edge, now);
}

void edge_conns_free(pl_edge *edge)
{
    for (edge_link *l = edge->free_conns.next; l != &edge->free_conns;) {
        edge_conn *conn = EDGE_OF(edge_conn, link, l);
        l = l->next;
        pl_free(conn);
    }
    edge_link_init(&edge->free_conns);
}
