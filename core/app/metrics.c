/* SPDX-License-Identifier: MIT */
#include "app/metrics.h"

#include <stdio.h>

#include "base/alloc.h"

#define LEAST_CODE 100
#define MOST_CODE 599
#define CODES (MOST_CODE - LEAST_CODE + 1)
#define METHODS 8

/* The series of HTTP requests, where a request finds them without a search: by part, method and status. */
typedef struct http_series {
    pl_stat *requests, *duration;
} http_series;
typedef http_series http_row[CODES];

struct pl_metrics {
    pl_http_meter http; /* first */
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

static http_series look_up(pl_metrics *m, unsigned part, unsigned method, unsigned status)
{
    static const char *const parts[PL_PART_COUNT] = {"other",    "health", "graphql",
                                                     "graphiql", "rpc",    "metrics"};
    char code[16];
    snprintf(code, sizeof code, "%u", status);
    const pl_str values[] = {pl_str_of(parts[part]), pl_str_of(methods[method]), pl_str_of(code)};
    return (http_series){pl_metrics_at(m, PL_METRIC_HTTP_REQUESTS, values),
                         pl_metrics_at(m, PL_METRIC_HTTP_DURATION, values)};
}

static http_series http_series_of(pl_metrics *m, const pl_http_request *request, int status)
{
    unsigned part = request->part < PL_PART_COUNT ? request->part : PL_PART_OTHER;
    unsigned method = method_of(request->method);
    http_row **row = &m->rows[part][method];
    if (!*row)
        *row = pl_calloc(1, sizeof(http_row));
    if (!*row || status < LEAST_CODE || status > MOST_CODE)
        return look_up(m, part, method, (unsigned)status);
    http_series *s = &(**row)[status - LEAST_CODE];
    if (!s->requests)
        *s = look_up(m, part, method, (unsigned)status);
    return *s;
}

static void count_http(pl_http_meter *meter, const pl_http_request *request, int status, uint64_t began)
{
    http_series s = http_series_of((pl_metrics *)meter, request, status);
    pl_stat_add(s.requests, 1);
    pl_stat_observe(s.duration, (double)(pl_clock_ns() - began) * 1e-9);
}

pl_http_meter *pl_metrics_http_meter(pl_metrics *m)
{
    return &m->http;
}

/* --- life --- */
pl_metrics *pl_metrics_new(void)
{
    pl_metrics *m = pl_calloc(1, sizeof *m);
    if (!m || !(m->stats = pl_stats_new()))
        goto failed;
    m->http.count = count_http;
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
    pl_stats_free(m->stats);
    pl_free(m);
}

pl_stats *pl_metrics_stats(pl_metrics *m)
{
    return m->stats;
}
