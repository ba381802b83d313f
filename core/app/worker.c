/* SPDX-License-Identifier: MIT */
#include "app/worker.h"

#include <pthread.h>
#include <signal.h>

#include "app/builtin.h"
#include "app/consumers.h"
#include "app/direct.h"
#include "app/events.h"
#include "app/graphql_http.h"
#include "app/graphql_read.h"
#include "app/graphql_sse.h"
#include "app/graphql_ws.h"
#include "app/grpc_clients.h"
#include "app/ide.h"
#include "app/instance_host.h"
#include "app/metrics.h"
#include "app/metrics_collect.h"
#include "app/metrics_http.h"
#include "app/operation.h"
#include "app/reads.h"
#include "app/response_cache.h"
#include "app/rpc_http.h"
#include "app/schedule.h"
#include "app/schemas.h"
#include "app/topics.h"
#include "base/alloc.h"
#include "grpc/service.h"
#include "net/websocket.h"
#include "value/shared.h"

struct pl_worker {
    pl_http_service service; /* first */
    pl_worker_config config;
    pl_loop *loop;
    pl_host *host;
    pl_pubsub *pubsub;
    pl_events *events;
    pl_metrics *metrics;
    pl_metrics_part *metrics_part;
    pl_metrics_listener *metrics_listener; /* NULL: none */
    pl_reads *reads;
    pl_consumers *consumers;
    pl_topics *topics;
    pl_endpoint endpoint;
    pl_sse *sse;
    pl_edge *edge;
    pl_grpc_endpoint *grpc;             /* NULL: none */
    pl_bytes_listeners *grpc_listeners; /* of this worker alone; NULL: none */
    pl_grpc_clients *clients;
    pl_schemas *schemas;
    pl_builtin *builtin;   /* the same */
    pl_rpc_http *rpc;      /* the same services on the HTTP port */
    pl_direct *direct;     /* requests of the host program */
    unsigned draining;     /* how many of what drains have not ended yet */
    pl_schedule *schedule; /* named timers, on worker 0 */
    pl_instance *first;    /* to begin with */
    pl_instance *current;
    pl_instance *retired;
    pl_inbox inbox;
    pl_request adoption, ending; /* the server's, one at a time */
    unsigned stop_timeout_ms;
    uint64_t stop_by;
    bool ends; /* draining has begun */
    void (*detached)(void *data);
    void *detached_data;
    pl_error start_error;
    bool started;              /* with a thread that is to be joined */
    pthread_t own_thread;      /* that of pl_worker_start */
    bool attached, start_done; /* below the control's lock */
};

/* --- the HTTP service --- */
/* What nobody knows is counted as nobody's. */
static bool handle_rpc(const pl_worker *w, pl_http_request *http)
{
    http->part = PL_PART_RPC;
    bool known = pl_rpc_http_handle(w->rpc, http);
    if (!known)
        http->part = PL_PART_OTHER;
    return known;
}

static bool handle(pl_http_service *service, pl_http_request *http)
{
    pl_worker *w = (pl_worker *)service;
    pl_http_response page;
    if (!w->current)
        return false;
    const pl_config *config = &w->current->generation->config;
    if (!w->config.metrics_listeners && pl_metrics_serves(config, http->path)) {
        pl_metrics_http(w->metrics_part, config, http);
        return true;
    }
    if (!w->current->service)
        return handle_rpc(w, http);
    http->part = PL_PART_GRAPHIQL;
    if (pl_ide_answer(&pl_ide_built_in, config, http, &page)) {
        pl_http_respond(http, &page);
        return true;
    }
    if (!pl_graphql_serves(config, http->path))
        return handle_rpc(w, http);
    http->part = PL_PART_GRAPHQL;
    if (pl_http_is_websocket(http))
        pl_graphql_ws(&w->endpoint, http);
    else if (!pl_sse_handle(w->sse, http))
        pl_graphql_http(&w->endpoint, http);
    return true;
}

static const pl_http_settings *settings(pl_http_service *service)
{
    pl_worker *w = (pl_worker *)service;
    static const pl_http_settings none = {0};
    return w->current ? &w->current->generation->config.http : &none;
}

static void drain(pl_http_service *service)
{
    pl_endpoint_drain(&((pl_worker *)service)->endpoint);
}

/* --- generations --- */

static void stop_timers(pl_worker *w, pl_instance *instance)
{
    w->host->ops->timer_stop(w->host, &instance->drain_deadline);
    w->host->ops->timer_stop(w->host, &instance->rebase_turn);
}

/* After a turn: retired instances that are quiet go back to their owner. Only here, where none of their code
 * is on the stack. */
static void after_turn(void *data)
{
    pl_worker *w = data;
    for (pl_instance **at = &w->retired; *at;) {
        pl_instance *instance = *at;
        if (!pl_instance_is_quiet(instance)) {
            at = &instance->next;
            continue;
        }
        *at = instance->next;
        stop_timers(w, instance);
        pl_instance_host_leave(instance);
        w->config.instance_done(w->config.owner, instance);
    }
}

static void drain_overdue(pl_timer *timer)
{
    pl_instance *instance = timer->data;
    pl_worker *w = instance->worker;
    pl_log(w->config.log, PL_WARN, "old generation cut off", PL_F_INT("generation", instance->generation->id),
           PL_F_INT("in_flight", instance->in_flight), PL_F_INT("after_ms", w->config.drain_ms));
    pl_operations_end(instance);
    if (instance->grpc)
        pl_grpc_service_end_calls(instance->grpc,
                                  "The server has gone over to a newer version, and this call "
                                  "took too long on the old one.");
    if (w->schedule)
        pl_schedule_cancel(w->schedule, instance);
    pl_consumers_cancel(w->consumers, instance);
    pl_direct_cut(w->direct, instance);
}

static void retire(pl_worker *w, pl_instance *instance)
{
    instance->retired = true;
    instance->next = w->retired;
    w->retired = instance;
    instance->worker = w;
    instance->drain_deadline.fire = drain_overdue;
    instance->drain_deadline.data = instance;
    w->host->ops->timer_start(w->host, &instance->drain_deadline,
                              w->host->ops->now(w->host) + w->config.drain_ms);
}

static void adopt(pl_worker *w, void *arg)
{
    pl_instance *instance = arg, *old = w->current;
    pl_instance_host_init(instance, w->host, w->pubsub);
    pl_stats_set_revision(pl_metrics_stats(w->metrics), instance->generation->id);
    instance->events = w->events;
    instance->reads = w->reads;
    instance->topics = w->topics;
    pl_topics_adopt(w->topics, instance);
    pl_events_adopt(w->events, instance);
    instance->clients = w->clients;
    instance->schemas = w->schemas;
    pl_engine_of(instance->state)->state_attach(instance->state, &instance->host);
    instance->cache = w->config.responses;
    instance->health = w->config.builtin->health;
    if (instance->cache && instance->service && instance->generation->config.graphql.cache.size > 0) {
        gql_cache_storage storage = pl_response_cache_storage(instance->cache, instance->generation->id);
        gql_service_set_storage(instance->service, &storage);
    }
    w->current = instance;
    pl_edge_settings_changed(w->edge);
    if (w->schedule)
        pl_schedule_adopt(w->schedule, instance);
    pl_consumers_adopt(w->consumers, instance);
    w->endpoint.live = instance;
    pl_rpc_http_adopt(w->rpc, instance);
    if (w->grpc)
        pl_grpc_endpoint_adopt(w->grpc, instance);
    if (w->builtin)
        pl_builtin_adopt(w->builtin, instance);
    if (old)
        retire(w, old);
    for (pl_instance *retired = w->retired; retired; retired = retired->next)
        pl_operations_rebase(retired, instance);
}

/* --- what it has to say of itself --- */
static void instance_status(const pl_instance *instance, pl_worker_status *out)
{
    if (!instance || out->count == sizeof out->instances / sizeof *out->instances)
        return;
    out->instances[out->count].generation = instance->generation->id;
    out->instances[out->count].in_flight = instance->in_flight;
    out->instances[out->count].memory = pl_engine_of(instance->state)->memory(instance->state);
    out->count++;
}

static void get_status(pl_worker *w, void *arg)
{
    pl_worker_status *out = arg;
    *out = (pl_worker_status){.edge = pl_edge_get_stats(w->edge),
                              .events = pl_pubsub_get_stats(w->pubsub),
                              .published = pl_events_get_stats(w->events),
                              .consumers = pl_consumers_get_stats(w->consumers),
                              .topics = pl_topics_get_stats(w->topics)};
    if (w->grpc)
        out->grpc = pl_grpc_endpoint_get_stats(w->grpc);
    pl_grpc_server_stats http = pl_rpc_http_get_stats(w->rpc); /* the same services, on the other port */
    out->grpc.calls += http.calls;
    out->grpc.calls_total += http.calls_total;
    out->grpc.failed_total += http.failed_total;
    out->clients = pl_grpc_clients_stats(w->clients);
    instance_status(w->current, out);
    for (pl_instance *instance = w->retired; instance; instance = instance->next)
        instance_status(instance, out);
}

static bool collect_metrics(void *data, pl_stats *into)
{
    pl_worker *w = data;
    pl_worker_status status;
    get_status(w, &status);
    pl_metrics_flush(w->metrics);
    pl_consumers_flush(w->consumers);
    bool ok = pl_stats_merge(into, pl_metrics_stats(w->metrics)) &&
              pl_metrics_collect_worker(into, &status) && pl_metrics_collect_consumers(into, w->consumers) &&
              pl_metrics_collect_graphql(into, pl_metrics_graphql_subscriptions(w->metrics));
    if (ok && w->current)
        ok = pl_metrics_collect_instance(into, w->current, true);
    for (const pl_instance *instance = w->retired; ok && instance; instance = instance->next)
        ok = pl_metrics_collect_instance(into, instance, false);
    if (ok && w->config.index == 0 && w->config.responses)
        ok = pl_metrics_collect_cache(into, w->config.responses);
    return ok;
}

/* --- life: all but the worker itself is made, run and freed on its thread --- */
pl_worker *pl_worker_new(const pl_worker_config *config, pl_error *err)
{
    pl_worker *w = pl_calloc(1, sizeof *w);
    if (!w) {
        pl_fail_memory(err);
        return NULL;
    }
    w->config = *config;
    w->service.handle = handle;
    w->service.settings = settings;
    w->service.drain = drain;
    pl_inbox_init(&w->inbox, config->control, w);
    return w;
}

static pl_code open_grpc(pl_worker *w, pl_bytes_listeners *listeners, pl_error *err)
{
    const pl_worker_config *config = &w->config;
    if (!w->builtin)
        w->builtin = pl_builtin_new(w->loop, config->builtin, err);
    if (w->builtin)
        w->grpc = pl_grpc_endpoint_new(w->loop, config->grpc, listeners, config->index, config->log, err);
    if (!w->grpc)
        return err->code;
    pl_grpc_endpoint_set_native(w->grpc, pl_builtin_service(w->builtin));
    pl_builtin_set_endpoint(w->builtin, w->grpc, w->clients);
    return PL_OK;
}

static pl_code set_up(pl_worker *w, const pl_worker_place *place, pl_error *err)
{
    const pl_worker_config *config = &w->config;
    w->host = pl_loop_host(w->loop);
    w->host->log = config->log;
    w->host->shared = config->shared;
    if (!(w->pubsub = pl_pubsub_join(config->hub, w->loop)) || !(w->metrics = pl_metrics_new(w->loop)) ||
        !(w->metrics_part = pl_metrics_join(config->metrics, w->loop, config->index, collect_metrics, w)) ||
        !(w->events = pl_events_new(w->loop, config->log)) ||
        !(w->reads = pl_reads_new(w->loop, config->log)) ||
        !(w->consumers = pl_consumers_new(w->loop, w->events, config->index, config->log)) ||
        !(w->schemas = pl_schemas_new(w->loop, pl_shared_registry(config->shared))) ||
        !(w->topics = pl_topics_join(config->topics, w->pubsub, w->loop, config->log)))
        return pl_fail_memory(err);
    w->host->meter = pl_metrics_meter(w->metrics);
    pl_endpoint_init(&w->endpoint, w->host, config->log);
    if (!(w->sse = pl_sse_new(config->streams, w->loop, &w->endpoint)))
        return pl_fail_memory(err);
    if (!(w->rpc = pl_rpc_http_new(w->host, config->log)))
        return pl_fail_memory(err);
    if (!(w->direct = pl_direct_new(&w->endpoint, w->rpc, config->index, config->log)))
        return pl_fail_memory(err);
    if (!(w->clients = pl_grpc_clients_new(w->loop, config->log, err)))
        return err->code;
    pl_loop_on_turn(w->loop, after_turn, w);
    if (config->index == 0 && !(w->schedule = pl_schedule_new(w->host, w->pubsub, config->log)))
        return pl_fail_memory(err);
    w->edge = place ? pl_edge_mount(w->loop, place->context, place->mounts, config->edge, &w->service,
                                    config->log, err)
                    : pl_edge_new(w->loop, config->edge, config->listeners, config->index, &w->service,
                                  config->log, err);
    if (w->edge)
        pl_edge_set_meter(w->edge, pl_metrics_http_meter(w->metrics));
    if (w->edge && config->metrics_listeners && config->index == 0 &&
        !(w->metrics_listener =
              pl_metrics_listener_new(w->loop, config->metrics_address, config->metrics_listeners,
                                      w->metrics_part, &w->endpoint, config->log, err)))
        return err->code;
    if (!w->edge || !config->grpc_listeners)
        return w->edge ? PL_OK : err->code;
    return open_grpc(w, config->grpc_listeners, err);
}

/* Instances outlive the readers of their scripts here. */
static void forget_reads(pl_worker *w)
{
    pl_reads_free(w->reads);
    w->reads = NULL;
    if (w->current)
        w->current->reads = NULL;
    for (pl_instance *instance = w->retired; instance; instance = instance->next)
        instance->reads = NULL;
}

/* Jobs of helper threads end in pl_loop_free; only then are the instances let go of. */
static void tear_down(pl_worker *w)
{
    pl_inbox_close(&w->inbox);
    pl_grpc_endpoint_free(w->grpc);
    w->grpc = NULL;
    pl_bytes_listeners_free(w->grpc_listeners);
    if (w->builtin)
        pl_builtin_set_endpoint(w->builtin, NULL, NULL);
    pl_edge_free(w->edge); /* cancels what is still in hand */
    pl_metrics_listener_free(w->metrics_listener);
    pl_direct_free(w->direct);
    w->direct = NULL;
    pl_rpc_http_free(w->rpc);
    if (w->schedule)
        pl_schedule_free(w->schedule);
    for (pl_instance *instance = w->retired; instance; instance = instance->next)
        stop_timers(w, instance);
    for (pl_instance *instance = w->retired; instance; instance = instance->next)
        instance->clients = NULL;
    if (w->current)
        w->current->clients = NULL;
    pl_grpc_clients_free(w->clients);
    if (w->pubsub)
        pl_pubsub_leave(w->pubsub);
    pl_consumers_stop(w->consumers);
    pl_schemas_free(w->schemas);
    pl_topics_leave(w->topics);
    pl_events_free(w->events);
    forget_reads(w);
    if (w->sse)
        pl_sse_end(w->sse);
    pl_builtin_leave(w->builtin);
    pl_metrics_leave(w->metrics_part);
    pl_loop_free(w->loop);
    w->loop = NULL;
    pl_consumers_free(w->consumers);
    pl_builtin_free(w->builtin);
    while (w->retired) {
        pl_instance *instance = w->retired;
        w->retired = instance->next;
        pl_instance_host_leave(instance);
        w->config.instance_done(w->config.owner, instance);
    }
    if (w->current) {
        pl_instance_host_leave(w->current);
        w->config.instance_done(w->config.owner, w->current);
    }
    w->current = NULL;
    pl_topics_free(w->topics);
    pl_pubsub_free(w->pubsub);
    pl_sse_free(w->sse);
    pl_metrics_part_free(w->metrics_part);
    pl_metrics_free(w->metrics);
}

static pl_code begin(pl_worker *w, const pl_worker_place *place, pl_instance *first, pl_error *err)
{
    if (set_up(w, place, err) != PL_OK)
        return err->code;
    adopt(w, first);
    pl_inbox_open(&w->inbox, w->loop);
    pl_edge_set_ready(w->edge, true);
    pl_metrics_listener_set_ready(w->metrics_listener, true);
    return PL_OK;
}

static void *thread_main(void *arg)
{
    pl_worker *w = arg;
    pl_worker_control *control = w->config.control;
    pl_error err = {0};
    w->loop = pl_loop_new(w->config.helpers, w->config.log, &err);
    if (w->loop)
        begin(w, NULL, w->first, &err);
    pthread_mutex_lock(&control->lock);
    w->start_error = err;
    w->start_done = true;
    pthread_cond_broadcast(&control->changed);
    pthread_mutex_unlock(&control->lock);
    if (!err.code)
        pl_loop_run(w->loop);
    tear_down(w);
    return NULL;
}

/* Signals of the process are not a worker's: above all SIGPIPE, which a client that leaves would end the
 * process with. Those that tell of a fault stay, and the engine lets its own through. */
static int start_thread(pl_worker *w)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failure = pthread_create(&w->own_thread, NULL, thread_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

pl_code pl_worker_start(pl_worker *w, pl_instance *instance, pl_error *err)
{
    pl_worker_control *control = w->config.control;
    w->first = instance;
    if (start_thread(w) != 0)
        return pl_fail(err, PL_UNAVAILABLE, "a worker thread could not be started");
    pthread_mutex_lock(&control->lock);
    while (!w->start_done)
        pl_worker_control_wait(control);
    pthread_mutex_unlock(&control->lock);
    if (!w->start_error.code) {
        w->started = true;
        return PL_OK;
    }
    pthread_join(w->own_thread, NULL);
    *err = w->start_error;
    return err->code;
}

pl_code pl_worker_attach(pl_worker *w, pl_loop *loop, const pl_worker_place *place, pl_instance *instance,
                         pl_error *err)
{
    w->loop = loop;
    if (begin(w, place, instance, err) != PL_OK) {
        tear_down(w);
        return err->code;
    }
    pthread_mutex_lock(&w->config.control->lock);
    w->attached = true;
    pthread_mutex_unlock(&w->config.control->lock);
    return PL_OK;
}

void pl_worker_move_here(pl_worker *w)
{
    pl_inbox_move_here(&w->inbox);
}

bool pl_worker_is_attached(const pl_worker *w)
{
    pthread_mutex_lock(&w->config.control->lock);
    bool attached = w->attached;
    pthread_mutex_unlock(&w->config.control->lock);
    return attached;
}

bool pl_worker_is_running(const pl_worker *w)
{
    return w->inbox.running; /* changed by this thread alone */
}

pl_loop *pl_worker_loop(pl_worker *w)
{
    return w->loop;
}

pl_http_service *pl_worker_http(pl_worker *w)
{
    return &w->service;
}

pl_endpoint *pl_worker_endpoint(pl_worker *w)
{
    return &w->endpoint;
}

bool pl_worker_post(pl_worker *w, pl_message *message)
{
    return pl_inbox_post(&w->inbox, message);
}

static void on_direct(pl_message *message)
{
    pl_worker *w = message->data;
    pl_direct_run(message, w->direct);
}

bool pl_worker_direct(pl_worker *w, pl_direct_request *r)
{
    return pl_inbox_post(&w->inbox, pl_direct_message(r, on_direct, w));
}

bool pl_worker_adopt_begin(pl_worker *w, pl_instance *instance)
{
    return pl_request_send(&w->adoption, &w->inbox, adopt, instance);
}

bool pl_worker_adopt_wait(pl_worker *w)
{
    return pl_request_wait(&w->adoption, &w->inbox);
}

void pl_worker_status_get(pl_worker *w, pl_worker_status *out)
{
    pl_request r;
    *out = (pl_worker_status){0};
    pl_request_send(&r, &w->inbox, get_status, out);
    pl_request_wait(&r, &w->inbox);
}

typedef struct metrics_request {
    pl_stats *into;
    bool ok;
} metrics_request;

static void get_metrics(pl_worker *w, void *arg)
{
    metrics_request *r = arg;
    r->ok = collect_metrics(w, r->into);
}

bool pl_worker_metrics_get(pl_worker *worker, pl_stats *into)
{
    pl_request r;
    metrics_request m = {.into = into, .ok = true};
    pl_request_send(&r, &worker->inbox, get_metrics, &m);
    pl_request_wait(&r, &worker->inbox);
    return m.ok;
}

/* --- the end --- */
static void detach_finish(void *data)
{
    pl_worker *w = data;
    void (*done)(void *data) = w->detached;
    void *done_data = w->detached_data;
    pl_worker_control *control = w->config.control;
    tear_down(w);
    pthread_mutex_lock(&control->lock);
    w->attached = false;
    pthread_cond_broadcast(&control->changed);
    pthread_mutex_unlock(&control->lock);
    if (done)
        done(done_data);
}

static void published(void *data)
{
    pl_worker *w = data;
    if (w->started)
        pl_loop_stop(w->loop);
    else
        pl_loop_at_end(w->loop, detach_finish, w);
}

/* What clients have asked for is answered: now what was published meanwhile. */
static void drained(void *data)
{
    pl_worker *w = data;
    uint64_t now = w->host->ops->now(w->host);
    if (--w->draining == 0)
        pl_events_drain(w->events, now < w->stop_by ? (unsigned)(w->stop_by - now) : 0, published, w);
}

pl_code pl_worker_listen_grpc(pl_worker *w, pl_bytes_listeners *listeners, pl_error *err)
{
    if (w->grpc || !w->current) {
        pl_bytes_listeners_free(listeners);
        return pl_fail(err, PL_FAILED_PRECONDITION,
                       w->grpc ? "gRPC is served already on this loop" : "it is not attached");
    }
    pl_bytes_listeners_free(w->grpc_listeners); /* of an attempt that failed */
    w->grpc_listeners = listeners;
    if (open_grpc(w, listeners, err) != PL_OK)
        return err->code;
    pl_grpc_endpoint_adopt(w->grpc, w->current);
    pl_builtin_adopt(w->builtin, w->current);
    return PL_OK;
}

unsigned pl_worker_index(const pl_worker *w)
{
    return w->config.index;
}

static void stop(pl_worker *w, void *arg)
{
    (void)arg;
    if (w->ends)
        return;
    w->ends = true;
    pl_edge_set_ready(w->edge, false);
    pl_metrics_listener_set_ready(w->metrics_listener, false);
    if (w->schedule)
        pl_schedule_stop(w->schedule);
    w->stop_by = w->host->ops->now(w->host) + w->stop_timeout_ms;
    w->draining = 3 + (w->grpc != NULL);
    if (w->builtin)
        pl_builtin_drain(w->builtin);
    if (w->grpc)
        pl_grpc_endpoint_drain(w->grpc, w->stop_timeout_ms, drained, w);
    pl_direct_drain(w->direct, w->stop_timeout_ms, drained, w);
    pl_consumers_drain(w->consumers, w->stop_timeout_ms, drained, w);
    pl_edge_drain(w->edge, w->stop_timeout_ms, drained, w);
}

bool pl_worker_detach(pl_worker *w, unsigned timeout_ms, void (*done)(void *data), void *data)
{
    if (!pl_worker_is_attached(w))
        return false;
    w->detached = done;
    w->detached_data = data;
    w->stop_timeout_ms = timeout_ms;
    stop(w, NULL);
    return true;
}

void pl_worker_detach_now(pl_worker *w)
{
    if (pl_worker_is_attached(w))
        detach_finish(w);
}

void pl_worker_end_attached(pl_worker *w, unsigned timeout_ms)
{
    pl_worker_control *control = w->config.control;
    pthread_mutex_lock(&control->lock);
    bool mine = w->attached && pl_inbox_is_mine(&w->inbox);
    while (!mine && w->attached)
        pl_worker_control_wait(control);
    pthread_mutex_unlock(&control->lock);
    if (!mine)
        return;
    if (pl_loop_is_foreign(w->loop)) {
        pl_worker_detach_now(w);
        return;
    }
    if (!w->ends)
        pl_worker_detach(w, timeout_ms, NULL, NULL);
    while (pl_worker_is_attached(w))
        pl_loop_turn(w->loop, -1);
}

void pl_worker_stop_begin(pl_worker *w, unsigned timeout_ms)
{
    if (!w->started)
        return;
    w->stop_timeout_ms = timeout_ms;
    pl_request_send(&w->ending, &w->inbox, stop, NULL);
}

void pl_worker_stop_wait(pl_worker *w)
{
    if (!w->started)
        return;
    pl_request_wait(&w->ending, &w->inbox);
    pthread_join(w->own_thread, NULL);
    w->started = false;
}

bool pl_worker_is_own_thread(const pl_worker *w)
{
    return w->started && pthread_equal(w->own_thread, pthread_self());
}

void pl_worker_free(pl_worker *w)
{
    pl_free(w);
}
