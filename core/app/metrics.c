/* SPDX-License-Identifier: MIT */
#include "app/metrics_grpc.h"

#include <stdio.h>

#include "base/alloc.h"

#define LEAST_CODE 100
#define MOST_CODE 599
#define CODES (MOST_CODE - LEAST_CODE + 1)
#define METHODS 8
#define KINDS 4
#define OUTCOMES 4

/* The histograms of HTTP requests, where a request finds them without a search: by part, method and status.
 */
typedef pl_stat *http_row[CODES];

struct pl_metrics {
    pl_http_meter http; /* first */
    pl_meter meter;
    pl_loop *loop;
    pl_metrics_grpc *grpc;
    pl_stat *operations[KINDS][OUTCOMES], *operation_seconds[KINDS];
    unsigned subscriptions;
    uint64_t last_ns, reads; /* of the clock */
    pl_stats *stats;
    pl_stats_family *families[PL_METRIC_COUNT];
    http_row *rows[PL_PART_COUNT][METHODS];
};

#define LABELS(...)                               \
    .labels = (const char *const[]){__VA_ARGS__}, \
    .label_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

static const pl_stats_spec specs[PL_METRIC_COUNT] = {
    [PL_METRIC_HTTP_REQUESTS] = {PL_STATS_COUNTER, .name = "http_requests_total",
                                 .help =
                                     "HTTP requests that were answered, or given up by their client (499).",
                                 LABELS("handler", "method", "code"), .most_series = 5000},
    [PL_METRIC_HTTP_DURATION] = {PL_STATS_HISTOGRAM, .name = "http_request_duration_seconds",
                                 .help = "Time from when a request was there until its answer was given.",
                                 LABELS("handler", "method", "code"), .most_series = 5000},
    [PL_METRIC_GRAPHQL_OPERATIONS] = {PL_STATS_COUNTER, .name = "graphql_operations_total",
                                      .help = "GraphQL operations that are over.", LABELS("kind", "outcome")},
    [PL_METRIC_GRAPHQL_DURATION] =
        {PL_STATS_HISTOGRAM, .name = "graphql_operation_duration_seconds",
         .help = "Time until an operation was answered; for subscriptions, until it had its source.",
         LABELS("kind")},
    [PL_METRIC_GRAPHQL_ERRORS] = {PL_STATS_COUNTER, .name = "graphql_errors_total",
                                  .help = "Errors in GraphQL answers, by code.", LABELS("code")},
    [PL_METRIC_GRPC_HANDLED] = {PL_STATS_COUNTER, .name = "grpc_server_handled_total",
                                .help = "Calls that were served and are over, by any of the protocols.",
                                LABELS("grpc_type", "grpc_service", "grpc_method", "grpc_code"),
                                .most_series = 5000},
    [PL_METRIC_GRPC_SECONDS] = {PL_STATS_HISTOGRAM, .name = "grpc_server_handling_seconds",
                                .help = "Time from the beginning of a call that is served to its end.",
                                LABELS("grpc_type", "grpc_service", "grpc_method")},
    [PL_METRIC_GRPC_CLIENT_HANDLED] =
        {PL_STATS_COUNTER, .name = "grpc_client_handled_total",
         .help = "Calls to others that are over, by the status that the script got.",
         LABELS("grpc_service", "grpc_method", "grpc_code"), .most_series = 5000},
    [PL_METRIC_GRPC_CLIENT_SECONDS] =
        {PL_STATS_HISTOGRAM, .name = "grpc_client_handling_seconds",
         .help = "Time from the beginning of a call to others to its end, with all attempts.",
         LABELS("grpc_service", "grpc_method")},
    [PL_METRIC_EVENTS_PRODUCED] = {PL_STATS_COUNTER, .name = "events_produced_total",
                                   .help = "Events that the brokers have acknowledged.", LABELS("topic")},
    [PL_METRIC_EVENTS_FAILED] = {PL_STATS_COUNTER, .name = "events_produce_failed_total",
                                 .help = "Events that could not be published.", LABELS("topic")},
    [PL_METRIC_EVENTS_CONSUMED] = {PL_STATS_COUNTER, .name = "events_consumed_total",
                                   .help = "Events whose processing has ended, one way or the other.",
                                   LABELS("topic", "group")},
    [PL_METRIC_EVENTS_DURATION] = {PL_STATS_HISTOGRAM, .name = "event_processing_duration_seconds",
                                   .help = "Time that a handler took, for each attempt.",
                                   LABELS("topic", "group")},
    [PL_METRIC_EVENTS_ERRORS] = {PL_STATS_COUNTER, .name = "event_processing_errors_total",
                                 .help = "Attempts that failed, by the code of their error.",
                                 LABELS("topic", "group", "code")},
    [PL_METRIC_EVENTS_RETRIED] = {PL_STATS_COUNTER, .name = "events_retried_total",
                                  .help = "Attempts after the first.", LABELS("topic", "group")},
    [PL_METRIC_EVENTS_DEAD_LETTERED] = {PL_STATS_COUNTER, .name = "events_dead_lettered_total",
                                        .help = "Events that went to a dead-letter topic.",
                                        LABELS("topic", "group")},
    [PL_METRIC_REBALANCES] = {PL_STATS_COUNTER, .name = "consumer_rebalances_total",
                              .help = "Times that a consumer was given partitions, or had them taken away.",
                              LABELS("group")},
};

pl_stat *pl_metrics_at(pl_metrics *m, pl_metric which, const pl_str *values)
{
    return pl_stats_at(m->families[which], values);
}

/* --- HTTP --- */
/* Methods that clients make up are one. */
static const char *const methods[METHODS] = {"other", "GET",   "POST",    "HEAD",
                                             "PUT",   "PATCH", "OPTIONS", "DELETE"};

static unsigned method_of(pl_str method)
{
    if (method.len == 4 && memcmp(method.ptr, "POST", 4) == 0)
        return 2;
    unsigned i = METHODS - 1;
    while (i > 0 && !pl_str_is(method, methods[i]))
        i--;
    return i;
}

static pl_stat *look_up(pl_metrics *m, pl_metric which, unsigned part, unsigned method, unsigned status)
{
    static const char *const parts[PL_PART_COUNT] = {"other",    "health", "graphql",
                                                     "graphiql", "rpc",    "metrics"};
    char code[16];
    snprintf(code, sizeof code, "%u", status);
    const pl_str values[] = {pl_str_of(parts[part]), pl_str_of(methods[method]), pl_str_of(code)};
    return pl_metrics_at(m, which, values);
}

/* The slow way: the first of its kind, or without memory for a row. */
static pl_stat *find_http(pl_metrics *m, unsigned part, unsigned method, int status)
{
    http_row **row = &m->rows[part][method];
    unsigned code = status < LEAST_CODE || status > MOST_CODE ? 500 : (unsigned)status;
    if (!*row)
        *row = pl_calloc(1, sizeof(http_row));
    pl_stat *stat = look_up(m, PL_METRIC_HTTP_DURATION, part, method, code);
    if (*row)
        (**row)[code - LEAST_CODE] = stat;
    else
        pl_stat_add(look_up(m, PL_METRIC_HTTP_REQUESTS, part, method, code), 1);
    return stat;
}

static void count_http(pl_http_meter *meter, const pl_http_request *request, int status, uint64_t began)
{
    pl_metrics *m = (pl_metrics *)meter;
    unsigned part = request->part < PL_PART_COUNT ? request->part : PL_PART_OTHER;
    unsigned method = method_of(request->method), at = (unsigned)(status - LEAST_CODE);
    http_row *row = m->rows[part][method];
    pl_stat *stat = row && at < CODES ? (*row)[at] : NULL;
    if (!stat)
        stat = find_http(m, part, method, status);
    m->last_ns = pl_loop_clock_ns(m->loop);
    m->reads++;
    pl_stat_observe(stat, (double)(m->last_ns - began) * 1e-9);
}

/* How many requests there were is what their histograms say. */
static void flush_http(pl_metrics *m)
{
    for (unsigned part = 0; part < PL_PART_COUNT; part++) {
        for (unsigned method = 0; method < METHODS; method++) {
            const http_row *row = m->rows[part][method];
            for (unsigned i = 0; row && i < CODES; i++) {
                if ((*row)[i])
                    pl_stat_set(look_up(m, PL_METRIC_HTTP_REQUESTS, part, method, i + LEAST_CODE),
                                (double)pl_stat_count((*row)[i]));
            }
        }
    }
}

pl_http_meter *pl_metrics_http_meter(pl_metrics *m)
{
    return &m->http;
}

/* --- GraphQL --- */
static unsigned kind_of(const char *kind)
{
    return !kind ? 0 : kind[0] == 'q' ? 1 : kind[0] == 'm' ? 2 : kind[0] == 's' ? 3 : 0;
}

static const char *const kinds[KINDS] = {"unknown", "query", "mutation", "subscription"};

void pl_metrics_graphql_ended(pl_metrics *m, const char *kind, pl_graphql_outcome outcome)
{
    static const char *const outcomes[OUTCOMES] = {"ok", "errors", "refused", "cancelled"};
    unsigned k = kind_of(kind);
    pl_stat **at = &m->operations[k][outcome];
    if (!*at) {
        const pl_str values[] = {pl_str_of(kinds[k]), pl_str_of(outcomes[outcome])};
        *at = pl_metrics_at(m, PL_METRIC_GRAPHQL_OPERATIONS, values);
    }
    pl_stat_add(*at, 1);
}

void pl_metrics_graphql_answered(pl_metrics *m, const char *kind, uint64_t began, uint64_t now)
{
    unsigned k = kind_of(kind);
    pl_stat **at = &m->operation_seconds[k];
    if (!*at) {
        const pl_str values[] = {pl_str_of(kinds[k])};
        *at = pl_metrics_at(m, PL_METRIC_GRAPHQL_DURATION, values);
    }
    pl_stat_observe(*at, (double)(now - began) * 1e-9);
}

void pl_metrics_graphql_refused(pl_metrics *m, pl_code code, uint32_t errors)
{
    if ((unsigned)code < PL_METER_CODES)
        m->meter.graphql_errors[code] += errors ? errors : 1;
}

void pl_metrics_graphql_subscribed(pl_metrics *m, int by)
{
    m->subscriptions += (unsigned)by;
}

unsigned pl_metrics_graphql_subscriptions(const pl_metrics *m)
{
    return m->subscriptions;
}

uint64_t pl_metrics_last_ns(const pl_metrics *m, uint64_t *reads)
{
    *reads = m->reads;
    return m->last_ns;
}

void pl_metrics_flush(pl_metrics *m)
{
    flush_http(m);
    for (unsigned i = 0; i < PL_METER_CODES; i++) {
        const pl_str value = i ? pl_str_of(pl_code_name((pl_code)i)) : PL_STR("none");
        if (m->meter.graphql_errors[i] > 0)
            pl_stat_set(pl_metrics_at(m, PL_METRIC_GRAPHQL_ERRORS, &value),
                        (double)m->meter.graphql_errors[i]);
    }
}

/* --- for other layers --- */
static pl_metrics *of_meter(const pl_meter *meter)
{
    return (pl_metrics *)((char *)meter - offsetof(pl_metrics, meter));
}

static uint64_t meter_now(pl_meter *meter)
{
    return pl_loop_turn_ns(of_meter(meter)->loop);
}

uint64_t pl_metrics_now_ns(const pl_metrics *m)
{
    return pl_loop_clock_ns(m->loop);
}

static double seconds_since(pl_meter *meter, uint64_t began)
{
    return (double)(pl_metrics_now_ns(of_meter(meter)) - began) * 1e-9;
}

static void rpc_served(pl_meter *meter, const pl_meter_rpc *rpc, pl_code code, uint64_t began)
{
    pl_metrics_grpc_served(of_meter(meter)->grpc, rpc, code, seconds_since(meter, began));
}

static void rpc_called(pl_meter *meter, pl_str path, pl_code code, uint64_t began)
{
    pl_metrics_grpc_called(of_meter(meter)->grpc, path, code, seconds_since(meter, began));
}

pl_meter *pl_metrics_meter(pl_metrics *m)
{
    return &m->meter;
}

pl_metrics *pl_metrics_of(const pl_host *host)
{
    return host->meter && host->meter->now == meter_now ? of_meter(host->meter) : NULL;
}

/* --- life --- */
pl_metrics *pl_metrics_new(pl_loop *loop)
{
    pl_metrics *m = pl_calloc(1, sizeof *m);
    if (!m || !(m->stats = pl_stats_new()) || !(m->grpc = pl_metrics_grpc_new(m)))
        goto failed;
    m->loop = loop;
    m->http.count = count_http;
    m->meter =
        (pl_meter){.stats = m->stats, .now = meter_now, .rpc_served = rpc_served, .rpc_called = rpc_called};
    for (unsigned i = 0; i < PL_METRIC_COUNT; i++) {
        if (!(m->families[i] = pl_stats_declare(m->stats, &specs[i])))
            goto failed;
    }
    return m;
failed:
    pl_metrics_free(m);
    return NULL;
}

void pl_metrics_free(pl_metrics *m)
{
    if (!m)
        return;
    for (unsigned part = 0; part < PL_PART_COUNT; part++) {
        for (unsigned method = 0; method < METHODS; method++)
            pl_free(m->rows[part][method]);
    }
    pl_metrics_grpc_free(m->grpc);
    pl_stats_free(m->stats);
    pl_free(m);
}

pl_stats *pl_metrics_stats(pl_metrics *m)
{
    return m->stats;
}
