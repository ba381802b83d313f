/* SPDX-License-Identifier: MIT */
#include "net/edge.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/edge_internal.h"
#include "net/listeners.h"
#include "net/upload.h"

#define ACCEPT_AT_ONCE 32
#define ACCEPT_PAUSE_MS 100 /* when there are no descriptors left */
#define LOG_PAUSE_MS 10000  /* between two lines about the same trouble */
#define DRAIN_TICK_MS 50
#define GRACE_MS 1000      /* after connections were cut, for h2o to find that out */
#define STREAMS_OF_H2O 100 /* what h2o announces, and cannot be told otherwise */

static uint64_t now_of(pl_edge *edge)
{
    return edge->host->ops->now(edge->host);
}

/* --- Accepting --- */

static bool may_log(pl_edge *edge, uint64_t *last)
{
    uint64_t now = now_of(edge);
    if (*last != 0 && now < *last + LOG_PAUSE_MS)
        return false;
    *last = now;
    return true;
}

static void refuse(pl_edge *edge, h2o_socket_t *socket)
{
    EDGE_ADD(edge->refused_total, 1);
    h2o_socket_close(socket);
    if (may_log(edge, &edge->refusal_logged_at))
        pl_log(edge->log, PL_WARN, "connection refused: too many connections",
               PL_F_INT("connections", edge->connection_count), PL_F_INT("refused", edge->refused_total));
}

static void on_accept(h2o_socket_t *socket, const char *err);

static void accept_again(pl_timer *timer)
{
    pl_edge *edge = timer->data;
    for (int i = 0; i < 2; i++) {
        if (edge->listeners[i].socket)
            h2o_socket_read_start(edge->listeners[i].socket, on_accept);
    }
}

/* The listener stays readable while there is no descriptor for the connection: without a pause the loop would
 * spin. */
static void pause_accepting(pl_edge *edge, int failure)
{
    if (edge->host->ops->timer_start(edge->host, &edge->accept_again, now_of(edge) + ACCEPT_PAUSE_MS) != 0)
        return;
    for (int i = 0; i < 2; i++) {
        if (edge->listeners[i].socket)
            h2o_socket_read_stop(edge->listeners[i].socket);
    }
    if (may_log(edge, &edge->accept_failure_logged_at))
        pl_log(edge->log, PL_ERROR, "cannot accept connections", PL_F_CSTR("error", strerror(failure)));
}

static void on_accept(h2o_socket_t *socket, const char *err)
{
    struct edge_listener *l = socket->data;
    pl_edge *edge = l->edge;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        h2o_socket_t *client = h2o_evloop_socket_accept(socket);
        if (!client) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(edge, errno);
            return;
        }
        if (edge->connection_count >= edge->max_connections)
            refuse(edge, client);
        else if (edge_conn_open(edge, client))
            h2o_accept(&l->accept, client);
    }
}

static void listen_on(pl_edge *edge, struct edge_listener *l, int fd, SSL_CTX *tls)
{
    l->edge = edge;
    if (fd < 0)
        return;
    if (tls)
        SSL_CTX_up_ref(tls);
    l->accept = (h2o_accept_ctx_t){.ctx = &edge->context, .hosts = edge->globals.hosts, .ssl_ctx = tls};
    l->socket = h2o_evloop_socket_create(edge->context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    l->socket->data = l;
    h2o_socket_read_start(l->socket, on_accept);
}

static void stop_listening(pl_edge *edge)
{
    for (int i = 0; i < 2; i++) {
        if (edge->listeners[i].socket)
            h2o_socket_close(edge->listeners[i].socket);
        edge->listeners[i].socket = NULL;
    }
    edge->host->ops->timer_stop(edge->host, &edge->accept_again);
}

/* --- The edge's own time --- */

static void cut_all(pl_edge *edge)
{
    for (edge_link *l = edge->conns.next; l != &edge->conns; l = l->next) {
        edge_conn *conn = EDGE_OF(edge_conn, link, l);
        if (!edge->host_context || edge_conn_is_busy(conn))
            edge_conn_cut(conn);
    }
}

/* How much there is that a drain waits for. */
static unsigned left_of(const pl_edge *edge)
{
    return edge->host_context ? edge->records + edge->websocket_count : edge->connection_count;
}

/* Returns true when the drain is over and the edge may have been freed. */
static bool drain_step(pl_edge *edge)
{
    uint64_t now = now_of(edge);
    if (left_of(edge) != 0 && now >= edge->drain_until && !edge->cutting) {
        edge->cutting = true;
        edge->drain_until = now + GRACE_MS;
        pl_log(edge->log, PL_WARN, "drain timed out: connections are cut",
               PL_F_INT("connections", edge->connection_count), PL_F_INT("requests", edge->request_count));
        cut_all(edge);
    }
    if (!edge->drained || (left_of(edge) != 0 && now < edge->drain_until))
        return false;
    void (*drained)(void *) = edge->drained;
    edge->drained = NULL;
    drained(edge->drained_data);
    return true;
}

static uint64_t tick(const pl_edge *edge)
{
    if (edge->draining)
        return DRAIN_TICK_MS;
    unsigned least = edge->request_timeout < edge->idle_timeout ? edge->request_timeout : edge->idle_timeout;
    if (edge->response_timeout < least)
        least = edge->response_timeout;
    least /= 4;
    return least < 10 ? 10 : least > 1000 ? 1000 : least;
}

/* What must not be done in the middle of h2o's work, or is done once for all that a turn has brought. */
static void catch_up(pl_edge *edge)
{
    edge_requests_catch_up(edge);
    edge_streams_flush(edge);
    edge_websockets_flush(edge);
}

static void on_housekeeping(pl_timer *timer)
{
    pl_edge *edge = timer->data;
    /* First of all, as this cannot fail: the heap has just given up this timer's place. */
    edge->host->ops->timer_start(edge->host, timer, now_of(edge) + tick(edge));
    edge_sweep(edge);
    catch_up(edge);
    if (edge->draining)
        drain_step(edge);
}

static void on_soon(pl_timer *timer)
{
    pl_edge *edge = timer->data;
    catch_up(edge);
    if (edge->draining)
        drain_step(edge);
}

void edge_soon(pl_edge *edge)
{
    /* Should there be no memory for it, housekeeping does the same, later. */
    if (edge->soon.index == 0)
        edge->host->ops->timer_start(edge->host, &edge->soon, now_of(edge));
}

/* --- Life --- */

static unsigned or_default(unsigned value, unsigned standard)
{
    return value != 0 ? value : standard;
}

static void configure(pl_edge *edge, const pl_edge_config *config)
{
    edge->max_body = config->max_body != 0 ? config->max_body : (size_t)1 << 20;
    edge->max_header = config->max_header;
    edge->request_timeout = or_default(config->request_timeout_ms, 10000);
    edge->idle_timeout = or_default(config->idle_timeout_ms, 60000);
    edge->response_timeout = or_default(config->response_timeout_ms, 60000);
    edge->max_connections = or_default(config->max_connections, 20000);
    edge->max_streams = or_default(config->max_streams, STREAMS_OF_H2O);
}

static void configure_h2o(pl_edge *edge)
{
    h2o_config_init(&edge->globals);
    h2o_globalconf_t *globals = &edge->globals;
    globals->server_name = h2o_iovec_init(H2O_STRLIT("perilune"));
    globals->handshake_timeout = edge->request_timeout;
    globals->http2.idle_timeout = edge->idle_timeout;
    /* h2o's own queue of requests over this limit runs them even while it destroys their connection, and
     * comes to grief; so the edge has its own queue, and h2o's limit is out of reach. */
    globals->http2.max_concurrent_requests_per_connection = STREAMS_OF_H2O * 10;
    edge_requests_register(edge);
}

static bool start_timers(pl_edge *edge, pl_error *err)
{
    edge->housekeeping = (pl_timer){.fire = on_housekeeping, .data = edge};
    edge->soon = (pl_timer){.fire = on_soon, .data = edge};
    edge->accept_again = (pl_timer){.fire = accept_again, .data = edge};
    if (edge->host->ops->timer_start(edge->host, &edge->housekeeping, now_of(edge) + tick(edge)) == 0)
        return true;
    pl_fail_memory(err);
    return false;
}

static void init(pl_edge *edge, pl_loop *loop, pl_http_service *service, pl_logger *log)
{
    edge->loop = loop;
    edge->host = pl_loop_host(loop);
    edge->service = service;
    edge->log = log;
    edge->watch_fd = -1;
    edge_link_init(&edge->conns);
    edge_link_init(&edge->free_conns);
    edge_link_init(&edge->sending);
    edge_link_init(&edge->postponed);
    edge_link_init(&edge->streams);
    edge_link_init(&edge->due_streams);
    edge_link_init(&edge->websockets);
    edge_link_init(&edge->due_websockets);
    edge_link_init(&edge->free_requests);
    /* Ids need not be secret, only different from those of other servers. */
    uint32_t prefix;
    if (getrandom(&prefix, sizeof(prefix), 0) != sizeof(prefix))
        prefix = (uint32_t)now_of(edge) ^ (uint32_t)(uintptr_t)edge;
    char text[PL_EDGE_ID_SIZE + 1];
    snprintf(text, sizeof(text), "%08x%0*d", prefix, PL_EDGE_ID_COUNTER, 0);
    memcpy(edge->last_id, text, sizeof(edge->last_id));
}

pl_edge *edge_new(pl_loop *loop, const pl_edge_config *config, pl_http_service *service, pl_logger *log,
                  pl_error *err)
{
    pl_edge *edge = pl_calloc(1, sizeof(*edge));
    if (!edge) {
        pl_fail_memory(err);
        return NULL;
    }
    init(edge, loop, service, log);
    configure(edge, config);
    if (!start_timers(edge, err) || pl_descriptors_left(3, err) != PL_OK || !edge_watch_open(edge, err)) {
        edge->host->ops->timer_stop(edge->host, &edge->housekeeping);
        pl_free(edge);
        return NULL;
    }
    return edge;
}

pl_edge *pl_edge_new(pl_loop *loop, const pl_edge_config *config, pl_listeners *listeners, unsigned worker,
                     pl_http_service *service, pl_logger *log, pl_error *err)
{
    pl_edge *edge = edge_new(loop, config, service, log, err);
    if (!edge)
        return NULL;
    configure_h2o(edge);
    edge_uploads_configure(edge);
    h2o_context_init(&edge->context, pl_loop_h2o(loop), &edge->globals);
    listen_on(edge, &edge->listeners[0], pl_listeners_take(listeners, worker), NULL);
    listen_on(edge, &edge->listeners[1], pl_listeners_take_tls(listeners, worker),
              pl_listeners_tls(listeners));
    return edge;
}

void pl_edge_set_meter(pl_edge *edge, pl_http_meter *meter)
{
    edge->meter = meter;
}

void pl_edge_settings_changed(pl_edge *edge)
{
    edge_uploads_configure(edge);
}

void pl_edge_drain(pl_edge *edge, unsigned timeout_ms, void (*done)(void *data), void *data)
{
    edge->draining = true;
    edge->drain_until = now_of(edge) + timeout_ms;
    edge->drained = done;
    edge->drained_data = data;
    stop_listening(edge);
    if (edge->service->drain)
        edge->service->drain(edge->service);
    edge_websockets_drain(edge);
    if (!edge->host_context)
        h2o_context_request_shutdown(&edge->context);
    edge_sweep(edge);
    /* Its timer is armed: to arm it anew cannot fail. */
    edge->host->ops->timer_start(edge->host, &edge->housekeeping, now_of(edge));
}

/* Ends what is left, turning h2o's loop for it. */
static void end_connections(pl_edge *edge)
{
    h2o_loop_t *loop = pl_loop_h2o(edge->loop);
    cut_all(edge);
    pl_loop_run_callbacks(edge->loop);
    for (int i = 0; i < 100 && left_of(edge) != 0; i++) {
        h2o_evloop_run(loop, 1);
        catch_up(edge);
        cut_all(edge);
        pl_loop_run_callbacks(edge->loop);
    }
    catch_up(edge);
}

static void dispose_h2o(pl_edge *edge)
{
    pl_h2o_context_dispose(&edge->context);
    h2o_config_dispose(&edge->globals);
    SSL_CTX_free(edge->listeners[1].accept.ssl_ctx);
}

void pl_edge_free(pl_edge *edge)
{
    if (!edge)
        return;
    stop_listening(edge);
    if (edge->host_context)
        edge_paths_detach(edge);
    edge->host->ops->timer_stop(edge->host, &edge->housekeeping);
    end_connections(edge);
    edge->host->ops->timer_stop(edge->host, &edge->soon);
    edge_uploads_stop(edge);
    edge_watch_close(edge);
    if (left_of(edge) != 0) {
        /* h2o still has pointers to all of this. */
        pl_log(edge->log, PL_ERROR, "connections do not end: their memory is given up",
               PL_F_INT("connections", edge->connection_count));
        return;
    }
    if (edge->host_context)
        edge_conns_leave(edge);
    else
        dispose_h2o(edge);
    edge_requests_free(edge);
    edge_conns_free(edge);
    pl_free(edge);
}

pl_edge_stats pl_edge_get_stats(const pl_edge *edge)
{
    return (pl_edge_stats){
        .connections = __atomic_load_n(&edge->connection_count, __ATOMIC_RELAXED),
        .requests = __atomic_load_n(&edge->request_count, __ATOMIC_RELAXED),
        .streams = __atomic_load_n(&edge->stream_count, __ATOMIC_RELAXED),
        .websockets = __atomic_load_n(&edge->websocket_count, __ATOMIC_RELAXED),
        .requests_total = __atomic_load_n(&edge->requests_total, __ATOMIC_RELAXED),
        .refused_total = __atomic_load_n(&edge->refused_total, __ATOMIC_RELAXED),
        .websockets_cut = __atomic_load_n(&edge->websockets_cut, __ATOMIC_RELAXED),
    };
}

void pl_edge_set_ready(pl_edge *edge, bool ready)
{
    __atomic_store_n(&edge->ready, ready, __ATOMIC_RELAXED);
}
