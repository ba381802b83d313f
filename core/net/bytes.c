/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "net/bytes_internal.h"
#include "net/peer.h"

#define LINGER_MS 2000                 /* for a peer to read what was sent last, and close */
#define LINGER_BYTES ((size_t)1 << 20) /* of its that are thrown away meanwhile; more are not read */
#define KEEP_PLAIN ((size_t)64 << 10)

static bytes_connection *conn_of(pl_connection *public)
{
    return (bytes_connection *)public;
}

void bytes_because(bytes_connection *c, pl_code code, const char *format, ...)
{
    if (!c->why || c->why->code != PL_OK)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->why->message, sizeof(c->why->message), format, arguments);
    va_end(arguments);
    c->why->code = code;
}

/* What h2o says of a socket. */
static void because_of(bytes_connection *c, const char *err)
{
    bool closed = !err || err == h2o_socket_error_closed;
    bytes_because(c, PL_UNAVAILABLE, "the peer has %s the connection%s", closed ? "closed" : "reset",
                  c->open ? "" : " before it was ready");
}

/* --- the end of a connection --- */

/* A peer that goes on sending what is not read would wait for the kernel to lose patience. */
static void reset_on_close(const bytes_connection *c)
{
    static const struct linger at_once = {.l_onoff = 1};
    setsockopt(h2o_socket_get_fd(c->socket), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void bytes_close(bytes_connection *c)
{
    if (c->thrown_away > LINGER_BYTES)
        reset_on_close(c);
    bytes_owner *owner = c->owner;
    h2o_socket_t *socket = c->socket;
    pl_tls_client *tls = c->tls;
    if (c->open)
        c->service->closed(c->service, &c->public);
    else if (c->failed)
        c->failed(c);
    owner->host->ops->timer_stop(owner->host, &c->timer);
    edge_link_remove(&c->link);
    EDGE_ADD(owner->count, -1u);
    pl_arena_dispose(&c->arena);
    pl_free(c);
    socket->data = NULL;
    h2o_socket_close(socket);
    pl_tls_client_free(tls);
}

static void on_read(h2o_socket_t *socket, const char *err);

void pl_connection_cut(pl_connection *public)
{
    bytes_connection *c = conn_of(public);
    if (c->cut)
        return;
    bytes_because(c, PL_CANCELLED, "it was given up");
    c->cut = true;
    shutdown(h2o_socket_get_fd(c->socket), SHUT_RDWR);
    if ((c->paused && c->open) || c->resting)
        h2o_socket_read_start(c->socket, on_read); /* or nobody finds out */
}

static void on_timer(pl_timer *timer)
{
    bytes_connection *c = timer->data;
    if (c->open)
        bytes_because(c, PL_UNAVAILABLE, c->ending ? "it was ended" : "the peer takes nothing any more");
    else
        bytes_because(c, PL_UNAVAILABLE, "no answer in time%s",
                      c->public.secure ? " in the TLS handshake" : "");
    pl_connection_cut(&c->public);
}

void bytes_set_timer(bytes_connection *c, unsigned ms)
{
    pl_host *host = c->owner->host;
    if (host->ops->timer_start(host, &c->timer, host->ops->now(host) + ms) == 0)
        return;
    bytes_because(c, PL_RESOURCE_EXHAUSTED, "out of memory");
    pl_connection_cut(&c->public);
}

void bytes_stop_timer(bytes_connection *c)
{
    c->owner->host->ops->timer_stop(c->owner->host, &c->timer);
}

/* --- writing --- */
static void has_written(bytes_connection *c)
{
    c->writing = false;
    bytes_stop_timer(c);
    c->service->written(c->service, &c->public);
}

static void on_written(h2o_socket_t *socket, const char *err)
{
    bytes_connection *c = socket->data;
    if (err || c->cut) {
        c->writing = false;
        because_of(c, err);
        bytes_close(c);
        return;
    }
    has_written(c);
}

static void flush(bytes_connection *c);

static void end_output(bytes_connection *c)
{
    shutdown(h2o_socket_get_fd(c->socket), SHUT_WR);
}

/* Of what TLS made of a piece, the handshake, an answer to the peer, or the end. */
static void on_flushed(h2o_socket_t *socket, const char *err)
{
    bytes_connection *c = socket->data;
    c->flushing = false;
    if (err || c->cut) {
        c->writing = false;
        because_of(c, err);
        bytes_close(c);
        return;
    }
    flush(c);
    if (c->flushing)
        return;
    if (c->writing)
        has_written(c);
    else if (c->ending)
        end_output(c);
}

static void flush(bytes_connection *c)
{
    if (c->flushing)
        return;
    pl_str output = pl_tls_client_take(c->tls);
    if (output.len == 0)
        return;
    h2o_iovec_t bytes = h2o_iovec_init(output.ptr, output.len);
    c->flushing = true;
    h2o_socket_write(c->socket, &bytes, 1, on_flushed);
}

void pl_connection_write(pl_connection *public, pl_str piece)
{
    bytes_connection *c = conn_of(public);
    h2o_iovec_t bytes = h2o_iovec_init(piece.ptr, piece.len);
    pl_error err;
    if (c->cut)
        return;
    c->writing = true;
    bytes_set_timer(c, c->owner->write_ms);
    if (!c->tls) {
        h2o_socket_write(c->socket, &bytes, 1, on_written);
    } else if (pl_tls_client_write(c->tls, piece, &err) == PL_OK) {
        flush(c);
    } else {
        bytes_because(c, err.code, "%s", err.message);
        pl_connection_cut(public);
    }
}

bool pl_connection_is_writing(const pl_connection *public)
{
    return ((const bytes_connection *)public)->writing;
}

void pl_connection_end(pl_connection *public)
{
    bytes_connection *c = conn_of(public);
    if (c->ending || c->cut)
        return;
    c->ending = true;
    pl_connection_pause(public, false);
    bytes_set_timer(c, LINGER_MS);
    if (c->tls) {
        pl_tls_client_end(c->tls);
        flush(c);
    }
    /* To close with bytes of the peer's unread could destroy what was sent last. */
    if (!c->flushing)
        end_output(c);
}

pl_str pl_connection_local(const pl_connection *connection, char *room, size_t size)
{
    const bytes_connection *c = (const bytes_connection *)connection;
    return pl_socket_local(c->socket, room, size);
}

const char *pl_connection_cipher(const pl_connection *connection)
{
    const bytes_connection *c = (const bytes_connection *)connection;
    return connection->secure ? h2o_socket_get_ssl_cipher(c->socket) : NULL;
}

const char *pl_connection_why(const pl_connection *public)
{
    const bytes_connection *c = (const bytes_connection *)public;
    return c->why && c->why->code != PL_OK ? c->why->message : "the peer has closed the connection";
}

/* --- reading --- */
static void take_plain(bytes_connection *c, pl_str bytes)
{
    if (bytes.len > 0 && !c->ending && !c->cut)
        c->service->received(c->service, &c->public, bytes);
}

static void take_encrypted(bytes_connection *c)
{
    pl_buf *plain = &c->owner->plain;
    h2o_buffer_t **input = &c->socket->input;
    pl_error err;
    pl_error_clear(&err);
    pl_buf_reset(plain, KEEP_PLAIN);
    pl_tls_state state = pl_tls_client_feed(c->tls, (pl_str){(*input)->bytes, (*input)->size}, plain, &err);
    h2o_buffer_consume(input, (*input)->size);
    if ((state == PL_TLS_OPEN || state == PL_TLS_ENDED) && !c->open && !bytes_open(c))
        return;
    take_plain(c, pl_buf_view(plain));
    if (!c->cut)
        flush(c);
    if (state == PL_TLS_FAILED) {
        bytes_because(c, err.code, "%s", err.message);
        pl_connection_cut(&c->public); /* what was flushed goes out before that */
    } else if (state == PL_TLS_ENDED) {
        pl_connection_cut(&c->public);
    }
}

static void on_read(h2o_socket_t *socket, const char *err)
{
    bytes_connection *c = socket->data;
    if (err || c->cut) {
        because_of(c, err);
        bytes_close(c);
    } else if (c->tls) {
        take_encrypted(c);
    } else {
        pl_str input = {socket->input->bytes, socket->input->size};
        bool thrown_away = c->ending; /* the service may end it with what this was */
        take_plain(c, input);
        h2o_buffer_consume(&socket->input, input.len);
        if (thrown_away && (c->thrown_away += input.len) > LINGER_BYTES)
            pl_connection_pause(&c->public, true);
    }
}

void pl_connection_pause(pl_connection *public, bool pause)
{
    bytes_connection *c = conn_of(public);
    if (c->cut || c->paused == pause)
        return;
    c->paused = pause;
    if (pause)
        h2o_socket_read_stop(c->socket);
    else
        h2o_socket_read_start(c->socket, on_read);
}

/* --- the beginning --- */
void bytes_adopt(bytes_owner *owner, bytes_connection *c, h2o_socket_t *socket)
{
    c->owner = owner;
    c->socket = socket;
    c->timer = (pl_timer){.fire = on_timer, .data = c};
    pl_arena_init(&c->arena, 1024);
    edge_link_append(&owner->connections, &c->link);
    EDGE_ADD(owner->count, 1);
    socket->data = c;
    pl_loop_note_peer(owner->loop);
}

bool bytes_open(bytes_connection *c)
{
    bytes_stop_timer(c);
    c->public.peer = pl_socket_peer(c->socket, c->peer_room, sizeof(c->peer_room));
    X509 *certificate = c->tls ? pl_tls_client_peer(c->tls) : NULL;
    if (certificate)
        c->public.certificate = pl_peer_certificate_read(certificate, &c->arena);
    if (!c->service->opened(c->service, &c->public)) {
        c->failed = NULL;
        bytes_close(c);
        return false;
    }
    c->open = true;
    if (c->tls)
        return true; /* it is reading already */
    h2o_socket_read_start(c->socket, on_read);
    if (c->socket->input->size != 0)
        on_read(c->socket, NULL);
    return true;
}

void bytes_give_up(bytes_connection *c)
{
    c->resting = true;
    pl_connection_cut(&c->public);
}

void bytes_begin_tls(bytes_connection *c)
{
    c->resting = false;
    h2o_socket_read_start(c->socket, on_read);
    take_encrypted(c);
}

/* --- owners --- */
void bytes_owner_init(bytes_owner *owner, pl_loop *loop, unsigned write_ms)
{
    owner->loop = loop;
    owner->host = pl_loop_host(loop);
    owner->write_ms = write_ms;
    edge_link_init(&owner->connections);
    pl_buf_init(&owner->plain);
}

void bytes_owner_dispose(bytes_owner *owner)
{
    pl_loop_run_callbacks(owner->loop);
    while (!edge_link_empty(&owner->connections)) {
        bytes_connection *c = EDGE_OF(bytes_connection, link, owner->connections.next);
        bytes_because(c, PL_CANCELLED, "it was given up");
        shutdown(h2o_socket_get_fd(c->socket), SHUT_RDWR); /* so that TLS does not wait to say goodbye */
        bytes_close(c);
    }
    pl_loop_run_callbacks(owner->loop);
    pl_buf_dispose(&owner->plain);
}
