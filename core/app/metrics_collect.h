/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_METRICS_COLLECT_H
#define PL_APP_METRICS_COLLECT_H

#include "app/metrics_hub.h"
#include "app/worker.h"

/* What is so at the moment, put into a registry that is about to be written. All give false where memory is
 * short. */

bool pl_metrics_collect_worker(pl_stats *into, const pl_worker_status *status);
bool pl_metrics_collect_consumers(pl_stats *into, pl_consumers *consumers);
bool pl_metrics_collect_graphql(pl_stats *into, unsigned subscriptions);
bool pl_metrics_collect_instance(pl_stats *into, const pl_instance *instance, bool live);
bool pl_metrics_collect_cache(pl_stats *into, struct pl_response_cache *cache);
/* The server and its process; reads /proc, so not on a loop's thread unless there is no other. */
bool pl_metrics_collect_server(pl_stats *into, const pl_metrics_facts *facts);

/* One gauge, or one counter that is kept elsewhere, with at most three labels (NULL: none). Adds to what
 * other workers have said. */
typedef struct pl_metrics_sample {
    pl_stats_kind kind;
    pl_stats_merging merging;
    const char *name, *help;
    const char *labels[3];
    pl_str values[3];
    double value;
} pl_metrics_sample;
bool pl_metrics_put(pl_stats *into, const pl_metrics_sample *sample);

#endif
