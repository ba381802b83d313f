/* SPDX-License-Identifier: MIT */
#include "net/bytestream.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "net/bytes_internal.h"
#include "net/listeners.h"
#include "net/peer.h"
#include "net/tls.h"

#define ACCEPT_AT_ONCE 32
#define ACCEPT_PAUSE_MS 100
#define LOG_PAUSE_MS 10000

struct pl_bytes_listeners {
    pl_listener plain, tls;
    SSL_CTX *context;
};

typedef struct acceptor {
    pl_bytes *bytes;
    h2o_socket_t *socket; /* NULL: none, or closed */
    SSL_CTX *context;
} acceptor;

struct pl_bytes {
    bytes_owner owner; /* first */
    pl_bytes_service *service;
    pl_logger *log;
    unsigned max_connections, handshake_ms;
    acceptor acceptors[2];
    pl_timer accept_again;
    uint64_t refusal_logged_at, failure_logged_at;
    uint64_t refused; /* read by other threads */
};

static uint64_t now_of(const pl_bytes *bytes)
{
    return bytes->owner.host->ops->now(bytes->owner.host);
}

/* --- opening --- */
static void on_handshake(h2o_socket_t *socket, const char *err)
{
    bytes_connection *c = socket->data;
    if (err || c->cut) {
        pl_log(((pl_bytes *)c->owner)->log, PL_DEBUG, "TLS handshake failed",
               PL_F_STR("peer", pl_socket_peer(socket, c->peer_room, sizeof(c->peer_room))),
               PL_F_CSTR("error", err ? err : "too slow"));
        bytes_close(c);
        return;
    }
    c->public.secure = true;
    c->public.certificate = pl_socket_certificate(socket, &c->arena);
    bytes_open(c);
}

static void take_socket(acceptor *a, h2o_socket_t *socket)
{
    pl_bytes *bytes = a->bytes;
    bytes_connection *c = pl_calloc(1, sizeof(*c));
    if (!c) {
        h2o_socket_close(socket);
        return;
    }
    c->service = bytes->service;
    bytes_adopt(&bytes->owner, c, socket);
    if (!a->context) {
        bytes_open(c);
        return;
    }
    bytes_set_timer(c, bytes->handshake_ms);
    pl_h2o_accept_tls(socket, a->context, on_handshake);
}

/* --- accepting --- */
static bool may_log(const pl_bytes *bytes, uint64_t *last)
{
    uint64_t now = now_of(bytes);
    if (*last != 0 && now < *last + LOG_PAUSE_MS)
        return false;
    *last = now;
    return true;
}

static void refuse(pl_bytes *bytes, h2o_socket_t *socket)
{
    EDGE_ADD(bytes->refused, 1);
    h2o_socket_close(socket);
    if (may_log(bytes, &bytes->refusal_logged_at))
        pl_log(bytes->log, PL_WARN, "connection refused: too many connections",
               PL_F_INT("connections", bytes->owner.count), PL_F_INT("refused", bytes->refused));
}

static void on_accept(h2o_socket_t *socket, const char *err);

static void accept_again(pl_timer *timer)
{
    pl_bytes *bytes = timer->data;
    for (int i = 0; i < 2; i++) {
        if (bytes->acceptors[i].socket)
            h2o_socket_read_start(bytes->acceptors[i].socket, on_accept);
    }
}

static void pause_accepting(pl_bytes *bytes, int failure)
{
    pl_host *host = bytes->owner.host;
    if (host->ops->timer_start(host, &bytes->accept_again, now_of(bytes) + ACCEPT_PAUSE_MS) != 0)
        return;
    for (int i = 0; i < 2; i++) {
        if (bytes->acceptors[i].socket)
            h2o_socket_read_stop(bytes->acceptors[i].socket);
    }
    if (may_log(bytes, &bytes->failure_logged_at))
        pl_log(bytes->log, PL_ERROR, "cannot accept connections", PL_F_CSTR("error", strerror(failure)));
}

static void on_accept(h2o_socket_t *socket, const char *err)
{
    acceptor *a = socket->data;
    pl_bytes *bytes = a->bytes;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        h2o_socket_t *client = h2o_evloop_socket_accept(socket);
        if (!client) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(bytes, errno);
            return;
        }
        if (bytes->owner.count >= bytes->max_connections)
            refuse(bytes, client);
        else
            take_socket(a, client);
    }
}

/* --- listeners --- */
pl_bytes_listeners *pl_bytes_listeners_open(const pl_bytes_config *config, unsigned workers, pl_error *err)
{
    pl_bytes_listeners *l = pl_calloc(1, sizeof(*l));
    if (!l) {
        pl_fail_memory(err);
        return NULL;
    }
    bool ok = true;
    if (config->tls_address) {
        l->context = pl_tls_context_h2(&config->tls, config->client_ca, err);
        ok = l->context && pl_listener_open(&l->tls, config->tls_address, workers, err) == PL_OK;
    }
    if (ok && config->address)
        ok = pl_listener_open(&l->plain, config->address, workers, err) == PL_OK;
    if (ok)
        return l;
    pl_bytes_listeners_free(l);
    return NULL;
}

pl_bytes_listeners *pl_bytes_listeners_adopt(int fd, struct ssl_ctx_st *tls, unsigned worker, pl_error *err)
{
    pl_bytes_listeners *l = pl_calloc(1, sizeof(*l));
    if (!l) {
        pl_fail_memory(err);
        return NULL;
    }
    if (tls)
        SSL_CTX_up_ref(tls);
    l->context = tls;
    if (pl_listener_adopt(tls ? &l->tls : &l->plain, fd, worker, err) == PL_OK)
        return l;
    pl_bytes_listeners_free(l);
    return NULL;
}

void pl_bytes_listeners_free(pl_bytes_listeners *l)
{
    if (!l)
        return;
    pl_listener_close(&l->plain);
    pl_listener_close(&l->tls);
    SSL_CTX_free(l->context);
    pl_free(l);
}

const char *pl_bytes_listeners_address(const pl_bytes_listeners *l)
{
    return l->plain.fds ? l->plain.address : NULL;
}

const char *pl_bytes_listeners_tls_address(const pl_bytes_listeners *l)
{
    return l->tls.fds ? l->tls.address : NULL;
}

/* --- life --- */
static void listen_on(pl_bytes *bytes, acceptor *a, int fd, SSL_CTX *context)
{
    a->bytes = bytes;
    if (fd < 0)
        return;
    if (context)
        SSL_CTX_up_ref(context);
    a->context = context;
    a->socket = h2o_evloop_socket_create(pl_loop_h2o(bytes->owner.loop), fd, H2O_SOCKET_FLAG_DONT_READ);
    a->socket->data = a;
    h2o_socket_read_start(a->socket, on_accept);
}

static unsigned or_default(unsigned value, unsigned standard)
{
    return value != 0 ? value : standard;
}

pl_bytes *pl_bytes_new(pl_loop *loop, const pl_bytes_config *config, pl_bytes_listeners *listeners,
                       unsigned worker, pl_bytes_service *service, pl_logger *log, pl_error *err)
{
    pl_bytes *bytes = pl_calloc(1, sizeof(*bytes));
    if (!bytes) {
        pl_fail_memory(err);
        return NULL;
    }
    bytes_owner_init(&bytes->owner, loop, or_default(config->write_ms, 60000));
    bytes->service = service;
    bytes->log = log;
    bytes->max_connections = or_default(config->max_connections, 20000);
    bytes->handshake_ms = or_default(config->handshake_ms, 10000);
    bytes->accept_again = (pl_timer){.fire = accept_again, .data = bytes};
    listen_on(bytes, &bytes->acceptors[0], pl_listener_take(&listeners->plain, worker), NULL);
    listen_on(bytes, &bytes->acceptors[1], pl_listener_take(&listeners->tls, worker), listeners->context);
    return bytes;
}

void pl_bytes_stop_accepting(pl_bytes *bytes)
{
    for (int i = 0; i < 2; i++) {
        if (bytes->acceptors[i].socket)
            h2o_socket_close(bytes->acceptors[i].socket);
        bytes->acceptors[i].socket = NULL;
    }
    bytes->owner.host->ops->timer_stop(bytes->owner.host, &bytes->accept_again);
}

void pl_bytes_free(pl_bytes *bytes)
{
    if (!bytes)
        return;
    pl_bytes_stop_accepting(bytes);
    bytes_owner_dispose(&bytes->owner);
    SSL_CTX_free(bytes->acceptors[1].context);
    pl_free(bytes);
}

unsigned pl_bytes_count(const pl_bytes *bytes)
{
    return __atomic_load_n(&bytes->owner.count, __ATOMIC_RELAXED);
}

uint64_t pl_bytes_refused(const pl_bytes *bytes)
{
    return __atomic_load_n(&bytes->refused, __ATOMIC_RELAXED);
}
