/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_METRICS_H
#define PL_APP_METRICS_H

#include "base/error.h"
#include "base/stats.h"
#include "net/edge.h"

/* What a worker counts: the server's own families, and those of scripts, in one registry. It is the worker's
 * alone, and outlives generations. What it has at the moment (connections, memory) is not kept here but
 * asked for when somebody wants to know: metrics_collect.h. Names and labels: docs/metrics.md. */
typedef struct pl_metrics pl_metrics;

typedef enum pl_metric {
    PL_METRIC_HTTP_REQUESTS,
    PL_METRIC_HTTP_DURATION,
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
pl_metrics *pl_metrics_new(void);
void pl_metrics_free(pl_metrics *metrics); /* NULL is fine */
pl_stats *pl_metrics_stats(pl_metrics *metrics);

/* The series with these values of the labels, in the order above; to be looked up once and kept. Never NULL
 * (see pl_stats_at). A topic or group is what app.lua or a handler names, never what came from a client. */
pl_stat *pl_metrics_at(pl_metrics *metrics, pl_metric which, const pl_str *values);

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
