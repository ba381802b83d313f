/* SPDX-License-Identifier: MIT */
#include "app/server_internal.h"

#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "app/builtin.h"
#include "app/consumer_decl.h"
#include "app/generation.h"
#include "app/natives.h"
#include "app/proto_load.h"
#include "app/pubsub.h"
#include "app/response_cache.h"
#include "app/services.h"
#include "app/sse_hub.h"
#include "app/topics.h"
#include "app/watchdog.h"
#include "base/alloc.h"
#include "events/broker.h"
#include "value/compiled.h"
#include "value/shared.h"

#define DEFAULT_DRAIN_MS 30000
#define DEFAULT_GRPC "127.0.0.1:50051"
#define HELPER_THREADS 4
#define HELPER_QUEUE 10000
#define KEPT_FREE ((size_t)8 << 20) /* bytes that are free in heaps, but not given back */

/* --- instances come back --- */
static void ring(const pl_server *s)
{
    uint64_t one = 1;
    if (write(s->event_fd, &one, sizeof one) < 0)
        return; /* the counter is full: it is readable all the same */
}

static void instance_done(void *owner, pl_instance *instance)
{
    pl_server *s = owner;
    pl_server_lock(s);
    instance->next = s->returned;
    s->returned = instance;
    pl_server_unlock(s);
    ring(s);
}

/* A generation leaves holes in the heaps of all threads. The next one fills such as are there anyway; the
 * pages of more than that go back. */
static void give_pages_back(void)
{
#ifdef __GLIBC__
    if (mallinfo2().fordblks > KEPT_FREE)
        malloc_trim(0);
#endif
}

static void end_generation(const pl_server *s, pl_generation *g)
{
    pl_log(s->config.log, PL_DEBUG, "generation ended", PL_F_INT("generation", g->id));
    pl_generation_free(g);
    give_pages_back();
}

/* Below the lock: an instance of it is gone. True: it was the last one. */
static bool let_go(pl_server *s, pl_generation *g)
{
    if (--g->instances_left > 0)
        return false;
    if (g == s->live && !s->stopping)
        return false; /* all workers were detached */
    if (g == s->live)
        s->live = NULL;
    for (pl_generation **at = &s->old; *at; at = &(*at)->next) {
        if (*at == g) {
            *at = g->next;
            break;
        }
    }
    return true;
}

/* Closing a state takes a while, so it is not done below the lock. */
static void take_back(pl_server *s, pl_instance *instance)
{
    pl_generation *g = instance->generation;
    pl_server_lock(s);
    for (unsigned i = 0; i < g->instance_count; i++) {
        if (g->instances[i] == instance)
            g->instances[i] = NULL;
    }
    pl_server_unlock(s);
    pl_watchdog_remove(s->watchdog, instance->state);
    pl_instance_free(instance);
    pl_server_lock(s);
    bool ended = let_go(s, g);
    pl_server_unlock(s);
    if (ended)
        end_generation(s, g);
}

void pl_server_work(pl_server *s)
{
    uint64_t count;
    if (read(s->event_fd, &count, sizeof count) < 0)
        count = 0;
    pl_server_lock(s);
    pl_instance *instance = s->returned;
    s->returned = NULL;
    pl_server_unlock(s);
    while (instance) {
        pl_instance *next = instance->next;
        take_back(s, instance);
        instance = next;
    }
}

int pl_server_fd(const pl_server *s)
{
    return s->event_fd;
}

/* --- generations --- */
static void set_facts(pl_server *s)
{
    const pl_metrics_facts facts = pl_server_facts(s);
    pl_metrics_hub_set_facts(s->metrics, &facts);
}

/* Which brokers the generation uses, see pl_server_config.kafka. */
static bool choose_brokers(pl_server *s, pl_generation *g, pl_report *report)
{
    pl_str *brokers = &g->config.kafka.settings.brokers;
    pl_error err;
    pl_error_clear(&err);
    if (s->config.kafka)
        *brokers = pl_str_of(strcmp(s->config.kafka, "off") == 0 ? "" : s->config.kafka);
    else if (brokers->len == 0 &&
             (g->config.kafka.set || pl_bundle_has_consumers(g->bundle) || g->config.consumer_count > 0))
        *brokers = PL_STR("embedded");
    if (!pl_str_is(*brokers, "embedded"))
        return true;
    if (!s->broker) {
        pl_broker *broker = pl_broker_new(s->config.log, &err);
        if (!broker) {
            pl_report_add(report, &err);
            return false;
        }
        __atomic_store_n(&s->broker, broker, __ATOMIC_RELEASE);
        pl_log(s->config.log, PL_INFO, "embedded Kafka broker: it keeps nothing, and is for development only",
               PL_F_CSTR("address", pl_broker_address(s->broker)));
    }
    *brokers = pl_str_of(pl_broker_address(s->broker));
    g->config.kafka.settings.embedded = true;
    return true;
}

static pl_bundle *read_bundle(const pl_server_config *config, pl_error *err)
{
    if (config->bundle)
        return pl_bundle_ref(config->bundle);
    return config->directory ? pl_bundle_read(config->directory, err) : pl_bundle_from_memory(NULL, 0, err);
}

static pl_generation *build(pl_server *s, pl_bundle *bundle, const char *reason, pl_report *report)
{
    pl_generation_options options = {.engine = s->config.engine,
                                     .workers = s->worker_count,
                                     .log = s->config.log,
                                     .shared = s->shared,
                                     .compiled = s->compiled,
                                     .protos = s->protos,
                                     .natives = s->config.natives,
                                     .override = s->config.override,
                                     .override_data = s->config.override_data};
    pl_generation *g = pl_generation_build(bundle, &options, report);
    if (!g)
        return NULL;
    pl_compiled_sweep(s->compiled);
    if (!choose_brokers(s, g, report)) {
        pl_generation_free(g);
        return NULL;
    }
    g->id = ++s->last_id; /* one thread changes at a time */
    snprintf(g->reason, sizeof g->reason, "%s", reason);
    for (unsigned i = 0; i < s->worker_count; i++) {
        if (!pl_watchdog_add(s->watchdog, g->instances[i]->state)) {
            report->errors.out_of_memory = true;
            for (unsigned k = 0; k < i; k++)
                pl_watchdog_remove(s->watchdog, g->instances[k]->state);
            pl_generation_free(g);
            return NULL;
        }
    }
    return g;
}

/* A worker that does not run, or has ended meanwhile, has no use for its instance. */
static void give_back(pl_server *s, pl_generation *g, unsigned worker)
{
    pl_server_lock(s);
    pl_instance *instance = g->instances[worker];
    pl_server_unlock(s);
    if (instance)
        instance_done(s, instance);
}

/* Attached workers that are not attached yet take theirs from what is live. */
static void commit(pl_server *s, pl_generation *g)
{
    pl_server_lock(s);
    pl_generation *old = s->live;
    s->live = g;
    bool unused = old && old->instances_left == 0;
    if (old) {
        pl_bundle_unref(s->previous);
        s->previous = pl_bundle_ref(old->bundle);
    }
    if (old && !unused) {
        old->next = s->old;
        s->old = old;
    }
    pl_server_unlock(s);
    if (unused) {
        end_generation(s, old);
        old = NULL;
    }
    pl_response_cache_configure(s->responses, g->id, g->config.graphql.cache.size);
    for (unsigned i = 0; i < s->worker_count; i++) {
        if (s->workers[i])
            pl_worker_adopt_begin(s->workers[i], g->instances[i]);
        else if (old)
            give_back(s, old, i);
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        if (s->workers[i] && !pl_worker_adopt_wait(s->workers[i]))
            give_back(s, g, i);
    }
}

static uint64_t elapsed_us(const struct timespec *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)(now.tv_sec - since->tv_sec) * 1000000 +
           (uint64_t)((now.tv_nsec - since->tv_nsec) / 1000);
}

static pl_reload_result refuse(pl_server *s, const char *reason, const pl_report *report)
{
    pl_server_lock(s);
    s->refused++;
    pl_server_unlock(s);
    set_facts(s);
    pl_report_log(report, s->config.log);
    pl_log(s->config.log, PL_ERROR, "reload refused: nothing has changed", PL_F_CSTR("reason", reason),
           PL_F_INT("generation", pl_server_generation(s)), PL_F_INT("errors", report->errors.count));
    return PL_RELOAD_REFUSED;
}

static pl_reload_result change(pl_server *s, pl_bundle *bundle, const char *reason, pl_report *report)
{
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    pl_generation *g = build(s, bundle, reason, report);
    if (!g)
        return refuse(s, reason, report);
    uint64_t id = g->id; /* g may go when it is drained */
    commit(s, g);
    pl_server_lock(s);
    s->reloads++;
    pl_server_unlock(s);
    set_facts(s);
    pl_report_log(report, s->config.log);
    pl_log(s->config.log, PL_INFO, "reloaded", PL_F_INT("generation", id), PL_F_CSTR("reason", reason),
           PL_F_STR("bundle", ((pl_str){bundle->hash, 12})),
           PL_F_FLOAT("ms", (double)elapsed_us(&begin) / 1000.0));
    if (!s->keeping)
        pl_server_work(s);
    return PL_RELOADED;
}

/* One thread at a time changes what is live. */
static bool begin_change(pl_server *s)
{
    pl_server_lock(s);
    bool mine = !s->changing && !s->stopping && s->live;
    if (mine)
        s->changing = true;
    pl_server_unlock(s);
    return mine;
}

static void end_change(pl_server *s)
{
    pl_server_lock(s);
    s->changing = false;
    pthread_cond_broadcast(&s->control.changed);
    pl_server_unlock(s);
}

static bool is_live(pl_server *s, const pl_bundle *bundle)
{
    pl_server_lock(s);
    bool same = s->live && strcmp(bundle->hash, s->live->bundle->hash) == 0;
    pl_server_unlock(s);
    return same;
}

pl_reload_result pl_server_reload_bundle(pl_server *s, pl_bundle *bundle, const char *reason, bool force,
                                         pl_report *report)
{
    pl_reload_result result = PL_RELOAD_UNCHANGED;
    if (!begin_change(s))
        return PL_RELOAD_BUSY;
    if (force || !is_live(s, bundle))
        result = change(s, bundle, reason, report);
    end_change(s);
    return result;
}

pl_reload_result pl_server_reload(pl_server *s, const char *reason, bool force, pl_report *report)
{
    pl_error err = {0};
    pl_reload_result result = PL_RELOAD_UNCHANGED;
    if (!begin_change(s))
        return PL_RELOAD_BUSY;
    pl_bundle *bundle = read_bundle(&s->config, &err);
    if (!bundle) {
        pl_report_add(report, &err);
        result = refuse(s, reason, report);
    } else if (force || !is_live(s, bundle)) {
        result = change(s, bundle, reason, report);
    }
    pl_bundle_unref(bundle);
    end_change(s);
    return result;
}

pl_reload_result pl_server_rollback(pl_server *s, pl_report *report)
{
    pl_reload_result result = PL_RELOAD_REFUSED;
    if (!begin_change(s))
        return PL_RELOAD_BUSY;
    pl_server_lock(s);
    pl_bundle *bundle = s->previous ? pl_bundle_ref(s->previous) : NULL;
    pl_server_unlock(s);
    if (bundle)
        result = change(s, bundle, "rollback", report);
    else
        pl_report_error(report, NULL, 0, 0, "there is no earlier generation to go back to");
    pl_bundle_unref(bundle);
    end_change(s);
    return result;
}

/* --- life --- */
static unsigned default_workers(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

static pl_code open_parts(pl_server *s, pl_error *err)
{
    s->shared = pl_shared_new(0);
    s->hub = pl_pubsub_hub_new(0);
    s->topics = s->hub ? pl_topics_hub_new(s->hub, 0) : NULL;
    s->streams = pl_sse_hub_new();
    s->responses = pl_response_cache_new();
    s->compiled = pl_compiled_cache_new(0);
    s->protos = pl_proto_cache_new();
    s->builtin = pl_builtin_hub_new(err);
    s->metrics = pl_metrics_hub_new();
    /* A transaction of Kafka waits for brokers on one of them. When these do not answer, files and databases
     * must not have to wait, too. */
    unsigned transactions = s->worker_count < 16 ? s->worker_count : 16;
    s->helpers = pl_helpers_new(HELPER_THREADS + transactions, HELPER_QUEUE);
    s->watchdog = pl_watchdog_new();
    s->workers = pl_calloc(s->worker_count, sizeof(*s->workers));
    s->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!s->shared || !s->hub || !s->topics || !s->streams || !s->responses || !s->compiled || !s->protos ||
        !s->builtin || !s->metrics || !s->helpers || !s->watchdog || !s->workers || s->event_fd < 0)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "memory, threads or descriptors are exhausted");
    s->listeners = pl_listeners_open(&s->config.edge, s->worker_count, err);
    if (s->listeners && s->config.metrics) {
        const pl_edge_config metrics = {.address = s->config.metrics};
        s->metrics_listeners = pl_listeners_open(&metrics, 1, err);
    }
    return s->listeners && !s->config.metrics == !s->metrics_listeners ? PL_OK : err->code;
}

/* Whether there are services is decided once: a listener cannot be added by a reload. */
static pl_code open_grpc(pl_server *s, const pl_bundle *bundle, pl_error *err)
{
    pl_bytes_config *grpc = &s->config.grpc;
    bool services = pl_bundle_has_services(bundle) || pl_natives_has_methods(s->config.natives);
    if (!grpc->address && !grpc->tls_address && !s->config.no_grpc && services)
        grpc->address = DEFAULT_GRPC;
    if (s->config.no_grpc || (!grpc->address && !grpc->tls_address))
        return PL_OK;
    s->grpc_listeners = pl_bytes_listeners_open(grpc, s->worker_count, err);
    return s->grpc_listeners ? PL_OK : err->code;
}

static pl_worker *make_worker(pl_server *s, unsigned index, pl_error *err)
{
    pl_worker_config config = {.index = index,
                               .control = &s->control,
                               .edge = &s->config.edge,
                               .listeners = s->listeners,
                               .grpc = &s->config.grpc,
                               .grpc_listeners = s->grpc_listeners,
                               .helpers = s->helpers,
                               .log = s->config.log,
                               .shared = s->shared,
                               .hub = s->hub,
                               .topics = s->topics,
                               .streams = s->streams,
                               .builtin = s->builtin,
                               .responses = s->responses,
                               .metrics = s->metrics,
                               .metrics_listeners = s->metrics_listeners,
                               .metrics_address = s->config.metrics,
                               .drain_ms = s->config.drain_ms,
                               .instance_done = instance_done,
                               .owner = s};
    return pl_worker_new(&config, err);
}

static pl_code start_workers(pl_server *s, pl_error *err)
{
    for (unsigned i = 0; i < s->thread_count; i++) {
        pl_worker *worker = make_worker(s, i, err);
        s->workers[i] = worker;
        if (!worker || pl_worker_start(worker, s->live->instances[i], err) != PL_OK)
            return err->code;
    }
    return PL_OK;
}

/* A place for one more; UINT_MAX: there is none. Nothing changes until end_change. */
static unsigned begin_attach(pl_server *s)
{
    unsigned found = UINT_MAX;
    pl_server_lock(s);
    while (s->changing && !s->stopping)
        pl_worker_control_wait(&s->control);
    for (unsigned i = s->thread_count; !s->stopping && s->live && i < s->worker_count; i++) {
        if (!s->workers[i] && found == UINT_MAX)
            found = i;
    }
    if (found != UINT_MAX)
        s->changing = true;
    pl_server_unlock(s);
    return found;
}

pl_worker *pl_server_attach(pl_server *s, pl_loop *loop, const pl_worker_place *place, pl_error *err)
{
    unsigned index = begin_attach(s);
    if (index == UINT_MAX) {
        pl_loop_free(loop);
        pl_fail(err, PL_FAILED_PRECONDITION,
                "no more workers can be attached: there were %u, or the server stops", s->config.attached);
        return NULL;
    }
    pl_worker *worker = make_worker(s, index, err);
    if (!worker)
        pl_loop_free(loop);
    else if (pl_worker_attach(worker, loop, place, s->live->instances[index], err) != PL_OK) {
        pl_worker_free(worker);
        worker = NULL;
    }
    pl_server_lock(s);
    s->workers[index] = worker;
    pl_server_unlock(s);
    end_change(s);
    return worker;
}

pl_helpers *pl_server_helpers(pl_server *s)
{
    return s->helpers;
}

pl_worker *pl_server_worker(pl_server *s, unsigned index)
{
    pl_server_lock(s);
    pl_worker *worker = index < s->worker_count ? s->workers[index] : NULL;
    pl_server_unlock(s);
    return worker;
}

void pl_server_direct(pl_server *s, pl_direct_request *request)
{
    unsigned turn = __atomic_fetch_add(&s->turn, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < s->worker_count; i++) {
        pl_worker *worker = pl_server_worker(s, (turn + i) % s->worker_count);
        if (worker && pl_worker_direct(worker, request))
            return;
    }
    pl_direct_refuse(request, PL_UNAVAILABLE, PL_STR_NONE);
}

bool pl_server_is_inside(pl_server *s)
{
    bool inside = false;
    pl_server_lock(s);
    for (const pl_inbox *inbox = s->control.open; inbox; inbox = inbox->next)
        inside |= pl_inbox_is_mine(inbox);
    pl_server_unlock(s);
    return inside;
}

bool pl_server_is_own_thread(pl_server *s)
{
    bool own = s->keeping && pthread_equal(s->keeper, pthread_self());
    for (unsigned i = 0; i < s->thread_count; i++) {
        const pl_worker *worker = pl_server_worker(s, i);
        own |= worker && pl_worker_is_own_thread(worker);
    }
    return own;
}

static void *keep(void *arg)
{
    pl_server *s = arg;
    struct pollfd fd = {.fd = s->event_fd, .events = POLLIN};
    bool ends = false;
    while (!ends) {
        poll(&fd, 1, -1);
        pl_server_work(s); /* takes the ring; what was said before it is seen below */
        pl_server_lock(s);
        ends = s->keeper_ends;
        pl_server_unlock(s);
    }
    return NULL;
}

/* Signals are for the threads of the program. */
static pl_code start_keeper(pl_server *s, pl_error *err)
{
    sigset_t all, before;
    if (!s->config.keeper)
        return PL_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->keeping = pthread_create(&s->keeper, NULL, keep, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->keeping ? PL_OK : pl_fail(err, PL_RESOURCE_EXHAUSTED, "a thread could not be started");
}

static void stop_keeper(pl_server *s)
{
    if (!s->keeping)
        return;
    pl_server_lock(s);
    s->keeper_ends = true;
    pl_server_unlock(s);
    ring(s);
    pthread_join(s->keeper, NULL);
    s->keeping = false;
}

pl_server *pl_server_start(const pl_server_config *config, pl_report *report, pl_error *err)
{
    pl_server *s = pl_calloc(1, sizeof *s);
    if (!s) {
        pl_fail_memory(err);
        return NULL;
    }
    s->config = *config;
    s->thread_count = config->workers || config->attached ? config->workers : default_workers();
    s->worker_count = s->thread_count + config->attached;
    if (s->config.drain_ms == 0)
        s->config.drain_ms = DEFAULT_DRAIN_MS;
    s->event_fd = -1;
    pl_worker_control_init(&s->control);
    clock_gettime(CLOCK_REALTIME, &s->started_at);
    pl_bundle *bundle = read_bundle(config, err);
    s->config.bundle = config->bundle ? pl_bundle_ref(config->bundle) : NULL;
    if (!bundle || open_parts(s, err) != PL_OK || open_grpc(s, bundle, err) != PL_OK)
        goto failed;
    set_facts(s);
    s->live = build(s, bundle, "start", report);
    if (s->live)
        pl_response_cache_configure(s->responses, s->live->id, s->live->config.graphql.cache.size);
    if (!s->live || start_keeper(s, err) != PL_OK || start_workers(s, err) != PL_OK)
        goto failed;
    pl_bundle_unref(bundle);
    return s;
failed:
    pl_bundle_unref(bundle);
    pl_server_stop(s, 0);
    pl_server_free(s);
    return NULL;
}

void pl_server_stop(pl_server *s, unsigned timeout_ms)
{
    pl_server_lock(s);
    s->stopping = true;
    pthread_cond_broadcast(&s->control.changed);
    while (s->changing)
        pl_worker_control_wait(&s->control);
    pl_server_unlock(s);
    for (unsigned i = 0; s->workers && i < s->thread_count; i++) {
        if (s->workers[i])
            pl_worker_stop_begin(s->workers[i], timeout_ms);
    }
    for (unsigned i = s->thread_count; s->workers && i < s->worker_count; i++) {
        if (s->workers[i])
            pl_worker_end_attached(s->workers[i], timeout_ms);
    }
    for (unsigned i = 0; s->workers && i < s->thread_count; i++) {
        if (s->workers[i])
            pl_worker_stop_wait(s->workers[i]);
    }
    stop_keeper(s);
    if (s->event_fd >= 0)
        pl_server_work(s);
}

void pl_server_free(pl_server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; s->workers && i < s->worker_count; i++)
        pl_worker_free(s->workers[i]);
    pl_watchdog_free(s->watchdog);
    pl_generation_free(s->live);
    while (s->old) {
        pl_generation *g = s->old;
        s->old = g->next;
        end_generation(s, g);
    }
    pl_bundle_unref(s->previous);
    pl_listeners_free(s->listeners);
    pl_listeners_free(s->metrics_listeners);
    pl_bytes_listeners_free(s->grpc_listeners);
    pl_helpers_free(s->helpers);
    pl_broker_free(s->broker);
    pl_shared_free(s->shared);
    pl_topics_hub_free(s->topics);
    pl_pubsub_hub_free(s->hub);
    pl_sse_hub_free(s->streams);
    pl_response_cache_free(s->responses);
    pl_compiled_cache_free(s->compiled);
    pl_proto_cache_free(s->protos);
    pl_builtin_hub_free(s->builtin);
    pl_metrics_hub_free(s->metrics);
    if (s->event_fd >= 0)
        close(s->event_fd);
    pl_bundle_unref(s->config.bundle);
    pl_worker_control_dispose(&s->control);
    pl_free(s->workers);
    pl_free(s);
}

const char *pl_server_address(const pl_server *s)
{
    return pl_listeners_address(s->listeners);
}

const char *pl_server_tls_address(const pl_server *s)
{
    return pl_listeners_tls_address(s->listeners);
}

const char *pl_server_grpc_address(const pl_server *s)
{
    return s->grpc_listeners ? pl_bytes_listeners_address(s->grpc_listeners) : NULL;
}

const char *pl_server_grpc_tls_address(const pl_server *s)
{
    return s->grpc_listeners ? pl_bytes_listeners_tls_address(s->grpc_listeners) : NULL;
}

const char *pl_server_metrics_address(const pl_server *s)
{
    return s->metrics_listeners ? pl_listeners_address(s->metrics_listeners) : NULL;
}

const char *pl_server_kafka_address(const pl_server *s)
{
    const pl_broker *broker = __atomic_load_n(&s->broker, __ATOMIC_ACQUIRE);
    return broker ? pl_broker_address(broker) : NULL;
}

uint64_t pl_server_generation(pl_server *s)
{
    pl_server_lock(s);
    uint64_t id = s->live ? s->live->id : 0;
    pl_server_unlock(s);
    return id;
}
