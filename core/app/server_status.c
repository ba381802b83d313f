/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "app/generation.h"
#include "app/metrics_collect.h"
#include "app/server_internal.h"
#include "base/alloc.h"
#include "base/stats_text.h"
#include "value/json.h"

void pl_server_write_addresses(const pl_server *s, pl_buf *out)
{
    const struct {
        const char *name, *address;
    } all[] = {{"http", pl_server_address(s)},
               {"https", pl_server_tls_address(s)},
               {"grpc", pl_server_grpc_address(s)},
               {"grpcs", pl_server_grpc_tls_address(s)},
               {"metrics", pl_server_metrics_address(s)},
               {"kafka", pl_server_kafka_address(s)}};
    const char *comma = "";
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!all[i].address)
            continue;
        pl_buf_printf(out, "%s\"%s\":", comma, all[i].name);
        pl_json_string(out, pl_str_of(all[i].address));
        comma = ",";
    }
}

pl_metrics_facts pl_server_facts(pl_server *s)
{
    pl_server_lock(s);
    pl_metrics_facts facts = {.reloads = s->reloads,
                              .refused = s->refused,
                              .workers = s->worker_count,
                              .started_at =
                                  (double)s->started_at.tv_sec + (double)s->started_at.tv_nsec * 1e-9};
    pl_server_unlock(s);
    return facts;
}

static void write_time(pl_buf *out, const struct timespec *t)
{
    struct tm tm;
    char text[40];
    gmtime_r(&t->tv_sec, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    pl_buf_printf(out, "\"%s.%03ldZ\"", text, t->tv_nsec / 1000000);
}

static void write_generation(pl_buf *out, const pl_generation *g, bool live, const pl_worker_status *statuses,
                             unsigned count)
{
    unsigned in_flight = 0;
    size_t memory = 0;
    for (unsigned w = 0; w < count; w++) {
        for (unsigned i = 0; i < statuses[w].count; i++) {
            if (statuses[w].instances[i].generation == g->id) {
                in_flight += statuses[w].instances[i].in_flight;
                memory += statuses[w].instances[i].memory;
            }
        }
    }
    pl_buf_printf(out, "{\"id\":%llu,\"state\":\"%s\",\"loaded_at\":", (unsigned long long)g->id,
                  live ? "live" : "draining");
    write_time(out, &g->loaded_at);
    PL_BUF_LIT(out, ",\"reason\":");
    pl_json_string(out, pl_str_of(g->reason));
    pl_buf_printf(out, ",\"bundle\":\"%s\",\"requests\":%u,\"memory\":%zu}", g->bundle->hash, in_flight,
                  memory);
}

static void write_workers(pl_buf *out, const pl_worker_status *statuses, unsigned count)
{
    PL_BUF_LIT(out, ",\"workers\":[");
    for (unsigned i = 0; i < count; i++)
        pl_buf_printf(
            out,
            "%s{\"connections\":%u,\"requests\":%u,\"streams\":%u,\"websockets\":%u,\"websockets_cut\":%llu,"
            "\"subscribers\":%zu,\"events\":%llu,\"events_dropped\":%llu,"
            "\"requests_total\":%llu,\"refused_total\":%llu,"
            "\"grpc\":{\"connections\":%u,\"calls\":%u,\"held\":%zu,\"calls_total\":%llu,\"failed_total\":%"
            "llu,"
            "\"refused_total\":%llu,\"floods_total\":%llu},"
            "\"grpc_clients\":{\"targets\":%u,\"connections\":%u,\"calls\":%u,\"calls_total\":%llu,"
            "\"failed_total\":%llu,\"attempts_total\":%llu,\"connected_total\":%llu,"
            "\"connect_failed_total\":%llu},"
            "\"published\":{\"acknowledged_total\":%llu,\"failed_total\":%llu,\"queued\":%zu,\"waiting\":%zu}"
            ","
            "\"consumers\":{\"count\":%u,\"partitions\":%u,\"in_hand\":%zu,\"lag\":%lld,\"consumed_total\":%"
            "llu,"
            "\"failed_total\":%llu,\"retried_total\":%llu,\"dead_lettered_total\":%llu,\"rebalances_total\":%"
            "llu},"
            "\"topics\":{\"readers\":%u,\"events_total\":%llu,\"lag\":%lld}}",
            i ? "," : "", statuses[i].edge.connections, statuses[i].edge.requests, statuses[i].edge.streams,
            statuses[i].edge.websockets, (unsigned long long)statuses[i].edge.websockets_cut,
            statuses[i].events.subscribers, (unsigned long long)statuses[i].events.delivered,
            (unsigned long long)statuses[i].events.dropped,
            (unsigned long long)statuses[i].edge.requests_total,
            (unsigned long long)statuses[i].edge.refused_total, statuses[i].grpc.connections,
            statuses[i].grpc.calls, statuses[i].grpc.held, (unsigned long long)statuses[i].grpc.calls_total,
            (unsigned long long)statuses[i].grpc.failed_total,
            (unsigned long long)statuses[i].grpc.refused_total,
            (unsigned long long)statuses[i].grpc.floods_total, statuses[i].clients.channels,
            statuses[i].clients.connections, statuses[i].clients.calls,
            (unsigned long long)statuses[i].clients.calls_total,
            (unsigned long long)statuses[i].clients.failed_total,
            (unsigned long long)statuses[i].clients.attempts_total,
            (unsigned long long)statuses[i].clients.connected_total,
            (unsigned long long)statuses[i].clients.connect_failed_total,
            (unsigned long long)statuses[i].published.acknowledged,
            (unsigned long long)statuses[i].published.failed, statuses[i].published.queued,
            statuses[i].published.waiting, statuses[i].consumers.count, statuses[i].consumers.partitions,
            statuses[i].consumers.in_hand, (long long)statuses[i].consumers.lag,
            (unsigned long long)statuses[i].consumers.consumed,
            (unsigned long long)statuses[i].consumers.failed,
            (unsigned long long)statuses[i].consumers.retried,
            (unsigned long long)statuses[i].consumers.dead_lettered,
            (unsigned long long)statuses[i].consumers.rebalances, statuses[i].topics.readers,
            (unsigned long long)statuses[i].topics.events, (long long)statuses[i].topics.lag);
    pl_buf_char(out, ']');
}

static void write_cache(pl_buf *out, pl_response_cache *cache)
{
    pl_response_cache_stats c = pl_response_cache_get_stats(cache);
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"entries", c.entries}, {"bytes", c.bytes},     {"max_bytes", c.max_bytes},
                  {"hits", c.hits},       {"misses", c.misses},   {"joined", c.joined},
                  {"stored", c.stored},   {"refused", c.refused}, {"purged", c.purged},
                  {"evicted", c.evicted}, {"expired", c.expired}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        pl_buf_printf(out, "%s\"%s\":%llu", i ? "," : ",\"response_cache\":{", counts[i].name,
                      (unsigned long long)counts[i].value);
    pl_buf_char(out, '}');
}

/* Below the lock. */
static void write_generations(pl_server *s, pl_buf *out, const pl_worker_status *statuses)
{
    pl_buf_printf(
        out, "},\"generation\":%llu,\"reloads\":%llu,\"refused\":%llu,\"can_roll_back\":%s,\"generations\":[",
        s->live ? (unsigned long long)s->live->id : 0ULL, (unsigned long long)s->reloads,
        (unsigned long long)s->refused, s->previous ? "true" : "false");
    if (s->live)
        write_generation(out, s->live, true, statuses, s->worker_count);
    const char *comma = s->live ? "," : "";
    for (pl_generation *g = s->old; g; g = g->next, comma = ",") {
        pl_buf_printf(out, "%s", comma);
        write_generation(out, g, false, statuses, s->worker_count);
    }
    pl_buf_char(out, ']');
}

bool pl_server_status(pl_server *s, pl_buf *out)
{
    pl_worker_status *statuses = pl_calloc(s->worker_count, sizeof *statuses);
    if (!statuses) {
        PL_BUF_LIT(out, "{\"error\":\"out of memory\"}");
        return false;
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        pl_worker *worker = pl_server_worker(s, i);
        if (worker)
            pl_worker_status_get(worker, &statuses[i]);
    }
    if (!s->keeping)
        pl_server_work(s);
    pl_buf_printf(out, "{\"version\":\"%s\",\"pid\":%d,\"started_at\":", PL_VERSION, (int)getpid());
    write_time(out, &s->started_at);
    PL_BUF_LIT(out, ",\"addresses\":{");
    pl_server_write_addresses(s, out);
    pl_server_lock(s);
    write_generations(s, out, statuses);
    pl_server_unlock(s);
    write_workers(out, statuses, s->worker_count);
    write_cache(out, s->responses);
    pl_buf_char(out, '}');
    pl_free(statuses);
    return !out->failed;
}

bool pl_server_metrics(pl_server *s, pl_buf *out)
{
    const pl_metrics_facts facts = pl_server_facts(s);
    pl_stats *all = pl_stats_new();
    bool ok = all != NULL;
    for (unsigned i = 0; ok && i < s->worker_count; i++) {
        pl_worker *worker = pl_server_worker(s, i);
        ok = !worker || pl_worker_metrics_get(worker, all);
    }
    ok = ok && pl_metrics_collect_server(all, &facts) && pl_stats_write(all, out);
    pl_stats_free(all);
    return ok;
}
