/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_METRICS_H
#define PL_APP_METRICS_H

#include "base/error.h"
#include "base/stats.h"
#include "net/edge.h"
#include "value/meter.h"

/* What a worker counts: the server's own families, and those of scripts, in one registry. It is the worker's
 * alone, and outlives generations. What it has at the moment (connections, memory) is not kept here but
 * asked for when somebody wants to know: metrics_collect.h. Names and labels: docs/metrics.md. */
typedef struct pl_metrics pl_metrics;

typedef enum pl_metric {
    PL_METRIC_HTTP_REQUESTS,
    PL_METRIC_HTTP_DURATION,
    PL_METRIC_GRAPHQL_OPERATIONS,
    PL_METRIC_GRAPHQL_DURATION,
    PL_METRIC_GRAPHQL_ERRORS,
    PL_METRIC_GRPC_HANDLED,
    PL_METRIC_GRPC_SECONDS,
    PL_METRIC_GRPC_CLIENT_HANDLED,
    PL_METRIC_GRPC_CLIENT_SECONDS,
    PL_METRIC_EVENTS_PRODUCED,      /* topic */
    PL_METRIC_EVENTS_FAILED,        /* topic */
    PL_METRIC_EVENTS_CONSUMED,      /* topic, group */
    PL_METRIC_EVENTS_DURATION,      /* topic, group: seconds that a handler took, in one attempt */
    PL_METRIC_EVENTS_ERRORS,        /* topic, group, code: of each attempt that failed */
    PL_METRIC_EVENTS_RETRIED,       /* topic, group: attempts after the first */
    PL_METRIC_EVENTS_DEAD_LETTERED, /* topic, group */
    PL_METRIC_REBALANCES,           /* group */
    PL_METRIC_COUNT
} pl_metric;

/* NULL: memory. */
pl_metrics *pl_metrics_new(pl_loop *loop);
void pl_metrics_free(pl_metrics *metrics); /* NULL is fine */
pl_stats *pl_metrics_stats(pl_metrics *metrics);

/* The series with these values of the labels, in the order above; to be looked up once and kept. Never NULL
 * (see pl_stats_at). A topic or group is what app.lua or a handler names, never what came from a client. */
pl_stat *pl_metrics_at(pl_metrics *metrics, pl_metric which, const pl_str *values);

/* For pl_host.meter. */
pl_meter *pl_metrics_meter(pl_metrics *metrics);
/* The other way round; NULL: the meter is none. */
pl_metrics *pl_metrics_of(const pl_host *host);

typedef enum pl_graphql_outcome {
    PL_GRAPHQL_OK,
    PL_GRAPHQL_ERRORS,   /* executed, with errors of fields */
    PL_GRAPHQL_REFUSED,  /* a request error: not executed, or not to its end */
    PL_GRAPHQL_CANCELLED /* by its client */
} pl_graphql_outcome;
/* kind: pl_work.operation_kind, or NULL where it was not known yet. An operation is over. */
void pl_metrics_graphql_ended(pl_metrics *metrics, const char *kind, pl_graphql_outcome outcome);
/* It was answered; of a subscription: it has its source. */
void pl_metrics_graphql_answered(pl_metrics *metrics, const char *kind, uint64_t began, uint64_t now);
void pl_metrics_graphql_refused(pl_metrics *metrics, pl_code code, uint32_t errors);
/* Subscriptions that have their source. */
void pl_metrics_graphql_subscribed(pl_metrics *metrics, int by);
unsigned pl_metrics_graphql_subscriptions(const pl_metrics *metrics);
/* The clock, as it was read when an answer was last given; *reads counts how often it was. */
uint64_t pl_metrics_last_ns(const pl_metrics *metrics, uint64_t *reads);
uint64_t pl_metrics_now_ns(const pl_metrics *metrics); /* the same clock, read now */
/* Brings what is counted elsewhere into the registry. */
void pl_metrics_flush(pl_metrics *metrics);

/* What answers on the HTTP port, for pl_http_request.part. */
enum {
    PL_PART_OTHER,
    PL_PART_HEALTH = PL_HTTP_PART_HEALTH,
    PL_PART_GRAPHQL,
    PL_PART_GRAPHIQL,
    PL_PART_RPC,
    PL_PART_METRICS,
    PL_PART_COUNT
};
pl_http_meter *pl_metrics_http_meter(pl_metrics *metrics);

#endif
