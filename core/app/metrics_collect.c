/* SPDX-License-Identifier: MIT */
#include "app/metrics_collect.h"

#include <stdio.h>
#include <time.h>

#include "app/generation.h"
#include "app/process_stats.h"
#include "app/response_cache.h"

#define MOST_LABELS 3
#define COUNTER PL_STATS_COUNTER, PL_STATS_SUM
#define GAUGE PL_STATS_GAUGE, PL_STATS_SUM

bool pl_metrics_put(pl_stats *into, const pl_metrics_sample *s)
{
    pl_stats_spec spec = {
        .kind = s->kind, .merging = s->merging, .name = s->name, .help = s->help, .labels = s->labels};
    while (spec.label_count < MOST_LABELS && s->labels[spec.label_count])
        spec.label_count++;
    pl_stats_family *family = pl_stats_declare(into, &spec);
    if (!family)
        return false;
    pl_stat *stat = pl_stats_at(family, s->values);
    if (s->merging == PL_STATS_MAX)
        pl_stat_set(stat, stat->value > s->value ? stat->value : s->value);
    else
        pl_stat_add(stat, s->value);
    return true;
}

static bool put_all(pl_stats *into, const pl_metrics_sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!pl_metrics_put(into, &samples[i]))
            return false;
    }
    return true;
}

#define PUT_ALL(into, samples) put_all(into, samples, sizeof(samples) / sizeof *(samples))

static bool collect_edge(pl_stats *into, const pl_edge_stats *s)
{
    const pl_metrics_sample samples[] = {
        {GAUGE, "perilune_http_connections", "Open HTTP connections.", .value = s->connections},
        {GAUGE, "perilune_http_requests", "HTTP requests in hand, streams too.", .value = s->requests},
        {GAUGE, "perilune_http_streams", "HTTP answers that are given in pieces.", .value = s->streams},
        {GAUGE, "perilune_websockets", "Open WebSockets.", .value = s->websockets},
        {COUNTER, "perilune_http_connections_refused_total", "Connections over the bound, closed at once.",
         .value = (double)s->refused_total},
        {COUNTER, "perilune_websockets_cut_total",
         "WebSockets that were cut since their client did not read, or did not answer pings.",
         .value = (double)s->websockets_cut},
    };
    return PUT_ALL(into, samples);
}

static bool collect_grpc(pl_stats *into, const pl_grpc_endpoint_stats *s)
{
    const pl_metrics_sample samples[] = {
        {GAUGE, "perilune_grpc_connections", "Open connections of gRPC clients.", .value = s->connections},
        {GAUGE, "perilune_grpc_calls", "gRPC calls in hand, by any protocol.", .value = s->calls},
        {GAUGE, "perilune_grpc_held_bytes", "Bytes of requests that wait to be taken.",
         .value = (double)s->held},
        {COUNTER, "perilune_grpc_connections_refused_total",
         "gRPC connections over the bound, closed at once.", .value = (double)s->refused_total},
        {COUNTER, "perilune_grpc_floods_total", "gRPC connections that were ended as floods.",
         .value = (double)s->floods_total},
    };
    return PUT_ALL(into, samples);
}

static bool collect_clients(pl_stats *into, const pl_client_stats *s)
{
    const pl_metrics_sample samples[] = {
        {GAUGE, "perilune_grpc_client_targets", "Targets of gRPC clients.", .value = s->channels},
        {GAUGE, "perilune_grpc_client_connections", "Connections of gRPC clients.", .value = s->connections},
        {GAUGE, "perilune_grpc_client_calls", "gRPC calls to others in hand.", .value = s->calls},
        {COUNTER, "perilune_grpc_client_attempts_total", "Attempts of calls to others, retries too.",
         .value = (double)s->attempts_total},
        {COUNTER, "perilune_grpc_client_connects_total", "Connections to others that were made.",
         .value = (double)s->connected_total},
        {COUNTER, "perilune_grpc_client_connect_failures_total", "Connections to others that failed.",
         .value = (double)s->connect_failed_total},
    };
    return PUT_ALL(into, samples);
}

static bool collect_events(pl_stats *into, const pl_worker_status *s)
{
    const pl_metrics_sample samples[] = {
        {GAUGE, "perilune_pubsub_subscribers", "Subscribers of perilune.pubsub's topics.",
         .value = (double)s->events.subscribers},
        {COUNTER, "perilune_pubsub_delivered_total", "Messages given to subscribers of perilune.pubsub.",
         .value = (double)s->events.delivered},
        {COUNTER, "perilune_pubsub_dropped_total", "Messages that subscribers did not get, being too slow.",
         .value = (double)s->events.dropped},
        {GAUGE, "perilune_producer_queued", "Events in the producers' queues, not acknowledged yet.",
         .value = (double)s->published.queued},
        {GAUGE, "perilune_producer_waiting", "Events that wait for room in a producer's queue.",
         .value = (double)s->published.waiting},
    };
    return PUT_ALL(into, samples);
}

bool pl_metrics_collect_worker(pl_stats *into, const pl_worker_status *status)
{
    return collect_edge(into, &status->edge) && collect_grpc(into, &status->grpc) &&
           collect_clients(into, &status->clients) && collect_events(into, status);
}

typedef struct partitions {
    pl_stats *into;
    bool ok;
} partitions;

static void collect_partition(void *data, const pl_consumers_partition *p)
{
    partitions *all = data;
    char number[16];
    snprintf(number, sizeof number, "%d", (int)p->partition);
    const pl_metrics_sample lag = {GAUGE,
                                   "consumer_lag",
                                   "Events of a partition that are not done yet.",
                                   {"topic", "partition", "group"},
                                   {pl_str_of(p->topic), pl_str_of(number), p->group},
                                   (double)p->lag};
    const pl_metrics_sample samples[] = {
        {GAUGE,
         "perilune_consumer_partitions",
         "Partitions that are assigned.",
         {"topic", "group"},
         {lag.values[0], p->group},
         1},
        {GAUGE,
         "perilune_consumer_in_hand",
         "Events that were fetched, and are not done yet.",
         {"topic", "group"},
         {lag.values[0], p->group},
         (double)p->in_hand},
        {GAUGE,
         "perilune_consumer_partitions_paused",
         "Partitions whose consumer pauses, since everything fails.",
         {"topic", "group"},
         {lag.values[0], p->group},
         p->paused},
    };
    all->ok = all->ok && PUT_ALL(all->into, samples) && (p->lag < 0 || pl_metrics_put(all->into, &lag));
}

bool pl_metrics_collect_consumers(pl_stats *into, pl_consumers *consumers)
{
    partitions all = {into, true};
    pl_consumers_each_partition(consumers, collect_partition, &all);
    return all.ok;
}

bool pl_metrics_collect_graphql(pl_stats *into, unsigned subscriptions)
{
    return pl_metrics_put(into, &(pl_metrics_sample){GAUGE, "graphql_subscriptions_active",
                                                     "GraphQL subscriptions that have their source.",
                                                     .value = subscriptions});
}

bool pl_metrics_collect_instance(pl_stats *into, const pl_instance *instance, bool live)
{
    char id[24];
    const pl_generation *g = instance->generation;
    snprintf(id, sizeof id, "%llu", (unsigned long long)g->id);
    pl_str generation = pl_str_of(id);
    double loaded_at = (double)g->loaded_at.tv_sec + (double)g->loaded_at.tv_nsec * 1e-9;
    size_t memory = pl_engine_of(instance->state)->memory(instance->state);
    const pl_metrics_sample samples[] = {
        {GAUGE,
         "perilune_generation_instances",
         "Workers that still have this generation.",
         {"generation"},
         {generation},
         1},
        {GAUGE,
         "perilune_generation_memory_bytes",
         "Memory of the scripts of a generation.",
         {"generation"},
         {generation},
         (double)memory},
        {GAUGE,
         "perilune_generation_requests",
         "What is in hand on a generation.",
         {"generation"},
         {generation},
         instance->in_flight},
        {PL_STATS_GAUGE,
         PL_STATS_MAX,
         "perilune_generation_loaded_timestamp_seconds",
         "When a generation was loaded.",
         {"generation"},
         {generation},
         loaded_at},
        {PL_STATS_GAUGE, PL_STATS_MAX, "perilune_generation", "The generation that is live.",
         .value = (double)g->id},
    };
    return put_all(into, samples, sizeof samples / sizeof *samples - !live);
}

bool pl_metrics_collect_cache(pl_stats *into, pl_response_cache *cache)
{
    pl_response_cache_stats c = pl_response_cache_get_stats(cache);
    const pl_metrics_sample samples[] = {
        {GAUGE, "perilune_response_cache_entries", "Responses in the cache.", .value = (double)c.entries},
        {GAUGE, "perilune_response_cache_bytes", "Memory of the responses in the cache.",
         .value = (double)c.bytes},
        {COUNTER, "perilune_response_cache_hits_total", "Responses that came from the cache.",
         .value = (double)c.hits},
        {COUNTER, "perilune_response_cache_misses_total", "Responses that were not in the cache.",
         .value = (double)c.misses},
        {COUNTER, "perilune_response_cache_evicted_total", "Responses that gave way to others.",
         .value = (double)c.evicted},
    };
    return PUT_ALL(into, samples);
}

static bool collect_process(pl_stats *into)
{
    pl_process_stats p;
    pl_process_stats_read(&p);
    const pl_metrics_sample samples[] = {
        {COUNTER, "process_cpu_seconds_total", "Processor time, of user and system.", .value = p.cpu},
        {GAUGE, "process_resident_memory_bytes", "Resident memory.", .value = p.resident},
        {GAUGE, "process_virtual_memory_bytes", "Virtual memory.", .value = p.virtual},
        {GAUGE, "process_start_time_seconds", "When the process was started, since 1970.",
         .value = p.started_at},
        {GAUGE, "process_open_fds", "Open file descriptors.", .value = p.open_fds},
        {GAUGE, "process_max_fds", "The most file descriptors that may be open.", .value = p.max_fds},
    };
    return PUT_ALL(into, samples);
}

bool pl_metrics_collect_server(pl_stats *into, const pl_metrics_facts *facts)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double uptime = (double)now.tv_sec + (double)now.tv_nsec * 1e-9 - facts->started_at;
    const pl_metrics_sample samples[] = {
        {GAUGE, "perilune_build_info", "1, with what is running.", {"version"}, {PL_STR(PL_VERSION)}, 1},
        {GAUGE, "perilune_uptime_seconds", "How long the server has been running.", .value = uptime},
        {GAUGE, "perilune_workers", "Worker threads.", .value = facts->workers},
        {COUNTER,
         "perilune_reloads_total",
         "Generations that were made live after the first one, or refused.",
         {"result"},
         {PL_STR("reloaded")},
         (double)facts->reloads},
        {COUNTER, "perilune_reloads_total", "", {"result"}, {PL_STR("refused")}, (double)facts->refused},
    };
    return PUT_ALL(into, samples) && collect_process(into);
}
