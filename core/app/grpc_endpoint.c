/* SPDX-License-Identifier: MIT */
#include "app/grpc_endpoint.h"

#include <sys/random.h>

#include "app/generation.h"
#include "app/grpc_cors.h"
#include "base/alloc.h"
#include "grpc/session.h"

#define PIECE ((size_t)128 << 10)    /* that is given to the socket at once */
#define KEPT_BYTES ((size_t)4 << 10) /* of the buffer of a connection that is quiet */
#define POOLED_STREAMS 1024
#define CUT_GRACE_MS 1000
#define LOG_PAUSE_MS 10000
/* Ids of connections and channels end with their worker; the highest bit of it is for channels. */
#define WORKER_BITS 12
#define WORKER_MASK ((1u << (WORKER_BITS - 1)) - 1)

typedef struct link link;
struct link {
    link *prev, *next; /* in endpoint->links */
    link *next_due;    /* in endpoint->due */
    pl_grpc_endpoint *endpoint;
    pl_connection *connection;
    pl_grpc_session *session;
    uint64_t id;
    pl_buf out; /* being written */
    pl_timer timer;
    bool is_due, ended, faulty; /* faulty: its fault was told */
};

struct pl_grpc_endpoint {
    pl_bytes_service service; /* first */
    pl_grpc_handler handler;
    pl_loop *loop;
    pl_host *host;
    pl_logger *log;
    pl_bytes *bytes;
    const pl_bytes_listeners *listeners;
    unsigned worker;
    uint64_t last_id;
    pl_grpc_server *server;
    pl_grpc_streams *streams;
    const pl_config *settings;
    link *links, *due;
    pl_timer soon;
    uint32_t random;
    bool draining, cutting;
    uint64_t floods, flood_logged_at;
    pl_timer drain_timer;
    void (*drained)(void *data);
    void *drained_data;
};

static uint64_t now_of(const pl_grpc_endpoint *ep)
{
    return ep->host->ops->now(ep->host);
}

/* --- at the end of the turn --- */
static void make_due(link *l)
{
    pl_grpc_endpoint *ep = l->endpoint;
    if (!l->is_due) {
        l->is_due = true;
        l->next_due = ep->due;
        ep->due = l;
    }
    /* Should there be no memory for it: the connections' own timers do the same, or whatever comes next. */
    if (ep->soon.index == 0)
        ep->host->ops->timer_start(ep->host, &ep->soon, now_of(ep));
}

static void wake(void *data)
{
    make_due(data);
}

static void arm(link *l)
{
    pl_grpc_endpoint *ep = l->endpoint;
    uint64_t at = pl_grpc_session_tick(l->session, now_of(ep));
    if (at == UINT64_MAX)
        ep->host->ops->timer_stop(ep->host, &l->timer);
    else if (l->timer.index == 0 || l->timer.at != at)
        ep->host->ops->timer_start(ep->host, &l->timer, at);
}

/* Floods are of interest to whoever operates the server; the rest happens every day. */
static void tell_fault(link *l)
{
    pl_grpc_endpoint *ep = l->endpoint;
    bool hostile = false;
    const char *fault = pl_grpc_session_fault(l->session, &hostile);
    if (!fault || l->faulty)
        return;
    l->faulty = true;
    pl_level level = PL_DEBUG;
    if (hostile) {
        ep->floods++;
        if (ep->flood_logged_at == 0 || now_of(ep) >= ep->flood_logged_at + LOG_PAUSE_MS) {
            ep->flood_logged_at = now_of(ep);
            level = PL_WARN;
        }
    }
    pl_log(ep->log, level, "gRPC connection ended", PL_F_CSTR("reason", fault),
           PL_F_STR("peer", l->connection->peer), PL_F_INT("floods", (int64_t)ep->floods));
}

static void cut(link *l)
{
    tell_fault(l);
    l->ended = true;
    l->endpoint->host->ops->timer_stop(l->endpoint->host, &l->timer);
    pl_connection_cut(l->connection);
}

/* Writes what there is, if nothing is being written; and finds out whether this is the end. */
static void pump(link *l)
{
    pl_grpc_endpoint *ep = l->endpoint;
    bool writing = pl_connection_is_writing(l->connection);
    if (l->ended)
        return;
    arm(l);
    if (!writing) {
        pl_buf_reset(&l->out, PIECE * 2);
        pl_grpc_session_send(l->session, &l->out, PIECE, now_of(ep));
    }
    pl_grpc_session_state state = pl_grpc_session_get_state(l->session);
    if (state == PL_GRPC_SESSION_BROKEN) {
        cut(l);
        return;
    }
    if (!writing && l->out.len > 0) {
        writing = true;
        pl_connection_write(l->connection, pl_buf_view(&l->out));
    }
    pl_connection_pause(l->connection, writing && pl_grpc_session_is_stuffed(l->session));
    if (!writing && state == PL_GRPC_SESSION_DONE) {
        tell_fault(l);
        l->ended = true;
        ep->host->ops->timer_stop(ep->host, &l->timer);
        pl_connection_end(l->connection);
    }
    if (!writing && l->out.cap > KEPT_BYTES)
        pl_buf_reset(&l->out, KEPT_BYTES);
}

static void on_soon(pl_timer *timer)
{
    pl_grpc_endpoint *ep = timer->data;
    link *list = ep->due;
    ep->due = NULL;
    while (list) {
        link *l = list;
        list = l->next_due;
        l->is_due = false;
        pump(l);
    }
}

static void on_timer(pl_timer *timer)
{
    make_due(timer->data);
}

/* --- requests --- */
static void on_request(pl_grpc_handler *handler, pl_grpc_stream *stream)
{
    pl_grpc_endpoint *ep = (pl_grpc_endpoint *)((char *)handler - offsetof(pl_grpc_endpoint, handler));
    const pl_cors *cors = &ep->settings->http.cors;
    pl_grpc_handler *server = pl_grpc_server_handler(ep->server);
    if (cors->origin_count == 0 || !pl_grpc_cors(cors, stream))
        server->request(server, stream);
}

/* --- connections --- */
static bool opened(pl_bytes_service *service, pl_connection *connection)
{
    pl_grpc_endpoint *ep = (pl_grpc_endpoint *)service;
    pl_error err;
    link *l = pl_calloc(1, sizeof *l);
    if (!l)
        return false;
    ep->random = ep->random * 1664525 + 1013904223;
    pl_grpc_session_config config = {.options = &ep->settings->grpc.session,
                                     .streams = ep->streams,
                                     .handler = &ep->handler,
                                     .peer = connection->peer,
                                     .certificate = connection->certificate,
                                     .secure = connection->secure,
                                     .now = now_of(ep),
                                     .random = ep->random,
                                     .wake = wake,
                                     .data = l};
    l->endpoint = ep;
    l->id = ++ep->last_id << WORKER_BITS | (ep->worker & WORKER_MASK);
    l->connection = connection;
    l->timer = (pl_timer){.fire = on_timer, .data = l};
    pl_buf_init(&l->out);
    l->session = pl_grpc_session_new(&config, &err);
    if (!l->session) {
        pl_free(l);
        return false;
    }
    connection->data = l;
    l->next = ep->links;
    if (l->next)
        l->next->prev = l;
    ep->links = l;
    make_due(l);
    return true;
}

static void received(pl_bytes_service *service, pl_connection *connection, pl_str bytes)
{
    pl_grpc_endpoint *ep = (pl_grpc_endpoint *)service;
    link *l = connection->data;
    if (l->ended)
        return;
    pl_grpc_session_receive(l->session, bytes, now_of(ep));
    /* At once, and not at the end of the turn: what these calls have used is still in the processor's caches,
     * and is used again for the next connection's. */
    pump(l);
    pl_loop_touch(ep->loop); /* of a retired instance, the last call may have ended */
}

static void written(pl_bytes_service *service, pl_connection *connection)
{
    make_due(connection->data);
}

static void drop_due(link *l)
{
    for (link **at = &l->endpoint->due; l->is_due && *at; at = &(*at)->next_due) {
        if (*at == l) {
            *at = l->next_due;
            break;
        }
    }
}

static void look_if_drained(pl_grpc_endpoint *ep)
{
    void (*drained)(void *) = ep->drained;
    if (!ep->draining || ep->links || !drained)
        return;
    ep->drained = NULL;
    ep->host->ops->timer_stop(ep->host, &ep->drain_timer);
    drained(ep->drained_data);
}

static void closed(pl_bytes_service *service, pl_connection *connection)
{
    pl_grpc_endpoint *ep = (pl_grpc_endpoint *)service;
    link *l = connection->data;
    l->ended = true;
    pl_grpc_session_free(l->session);
    ep->host->ops->timer_stop(ep->host, &l->timer);
    drop_due(l);
    if (l->prev)
        l->prev->next = l->next;
    else
        ep->links = l->next;
    if (l->next)
        l->next->prev = l->prev;
    pl_buf_dispose(&l->out);
    pl_free(l);
    look_if_drained(ep);
}

/* --- life --- */
pl_grpc_endpoint *pl_grpc_endpoint_new(pl_loop *loop, const pl_bytes_config *config,
                                       pl_bytes_listeners *listeners, unsigned worker, pl_logger *log,
                                       pl_error *err)
{
    pl_grpc_endpoint *ep = pl_calloc(1, sizeof *ep);
    if (!ep) {
        pl_fail_memory(err);
        return NULL;
    }
    ep->service =
        (pl_bytes_service){.opened = opened, .received = received, .written = written, .closed = closed};
    ep->handler.request = on_request;
    ep->loop = loop;
    ep->host = pl_loop_host(loop);
    ep->log = log;
    ep->listeners = listeners;
    ep->worker = worker;
    ep->soon = (pl_timer){.fire = on_soon, .data = ep};
    if (getrandom(&ep->random, sizeof ep->random, 0) != sizeof ep->random)
        ep->random = (uint32_t)now_of(ep) ^ (uint32_t)(uintptr_t)ep;
    pl_grpc_server_config server = {.host = ep->host, .log = log, .id_prefix = ep->random};
    ep->streams = pl_grpc_streams_new(POOLED_STREAMS);
    ep->server = ep->streams ? pl_grpc_server_new(&server) : NULL;
    if (!ep->server)
        pl_fail_memory(err);
    else
        ep->bytes = pl_bytes_new(loop, config, listeners, worker, &ep->service, log, err);
    if (ep->bytes)
        return ep;
    pl_grpc_endpoint_free(ep);
    return NULL;
}

void pl_grpc_endpoint_adopt(pl_grpc_endpoint *ep, pl_instance *instance)
{
    ep->settings = &instance->generation->config;
    pl_grpc_server_set_service(ep->server, instance->grpc);
    pl_grpc_server_set_max_held(ep->server, ep->settings->grpc.max_held);
}

void pl_grpc_endpoint_set_native(pl_grpc_endpoint *ep, pl_grpc_service *native)
{
    pl_grpc_server_set_native(ep->server, native);
}

static void cut_all(pl_timer *timer)
{
    pl_grpc_endpoint *ep = timer->data;
    if (ep->cutting) { /* they do not go */
        while (ep->links && ep->drained) {
            void (*drained)(void *) = ep->drained;
            ep->drained = NULL;
            drained(ep->drained_data);
        }
        return;
    }
    ep->cutting = true;
    pl_log(ep->log, PL_WARN, "drain timed out: gRPC connections are cut",
           PL_F_INT("calls", pl_grpc_server_get_stats(ep->server).calls));
    for (link *l = ep->links; l; l = l->next)
        cut(l);
    ep->host->ops->timer_start(ep->host, timer, now_of(ep) + CUT_GRACE_MS);
}

void pl_grpc_endpoint_drain(pl_grpc_endpoint *ep, unsigned timeout_ms, void (*done)(void *data), void *data)
{
    ep->draining = true;
    ep->drained = done;
    ep->drained_data = data;
    pl_bytes_stop_accepting(ep->bytes);
    for (link *l = ep->links; l; l = l->next) {
        pump(l); /* what calls have said goes before GOAWAY */
        if (l->ended)
            continue;
        pl_grpc_session_drain(l->session, now_of(ep));
        make_due(l);
    }
    ep->drain_timer = (pl_timer){.fire = cut_all, .data = ep};
    if (ep->host->ops->timer_start(ep->host, &ep->drain_timer, now_of(ep) + timeout_ms) != 0)
        cut_all(&ep->drain_timer);
    look_if_drained(ep);
}

void pl_grpc_endpoint_free(pl_grpc_endpoint *ep)
{
    if (!ep)
        return;
    ep->drained = NULL;
    pl_bytes_free(ep->bytes);
    ep->host->ops->timer_stop(ep->host, &ep->soon);
    ep->host->ops->timer_stop(ep->host, &ep->drain_timer);
    pl_grpc_server_free(ep->server);
    pl_grpc_streams_free(ep->streams);
    pl_free(ep);
}

pl_grpc_endpoint_stats pl_grpc_endpoint_get_stats(const pl_grpc_endpoint *ep)
{
    pl_grpc_server_stats s = pl_grpc_server_get_stats(ep->server);
    return (pl_grpc_endpoint_stats){.connections = pl_bytes_count(ep->bytes),
                                    .calls = s.calls,
                                    .calls_total = s.calls_total,
                                    .failed_total = s.failed_total,
                                    .held = s.held,
                                    .floods_total = ep->floods,
                                    .refused_total = pl_bytes_refused(ep->bytes)};
}

void pl_grpc_endpoint_each(const pl_grpc_endpoint *ep,
                           void (*fn)(void *data, const pl_grpc_endpoint_socket *socket), void *data)
{
    for (const link *l = ep->links; l; l = l->next)
        fn(data, &(pl_grpc_endpoint_socket){l->id, l->connection, l->session});
}

uint64_t pl_grpc_endpoint_channel_id(const pl_grpc_endpoint *ep, uint64_t count)
{
    return count << WORKER_BITS | 1u << (WORKER_BITS - 1) | (ep->worker & WORKER_MASK);
}

void pl_grpc_endpoint_get_addresses(const pl_grpc_endpoint *ep, const char *out[2])
{
    out[0] = pl_bytes_listeners_address(ep->listeners);
    out[1] = pl_bytes_listeners_tls_address(ep->listeners);
}

pl_grpc_server_stats pl_grpc_endpoint_get_server_stats(const pl_grpc_endpoint *ep)
{
    return pl_grpc_server_get_stats(ep->server);
}
