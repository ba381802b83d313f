/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_METRICS_EVENTS_H
#define PL_APP_METRICS_EVENTS_H

#include "app/metrics.h"

/* What a consumer counts of one topic: found once, and kept in a list of the consumer's. */
typedef struct pl_event_series pl_event_series;
struct pl_event_series {
    pl_event_series *next;
    pl_metrics *metrics;
    pl_stat *consumed, *duration, *retried, *dead_lettered;
    pl_str topic, group;
    char bytes[];
};

/* NULL: memory, or metrics is NULL: nobody counts. */
pl_event_series *pl_event_series_get(pl_event_series **list, pl_metrics *metrics, const char *topic,
                                     pl_str group);
void pl_event_series_free(pl_event_series *list);
/* An attempt has failed. */
void pl_event_series_failed(const pl_event_series *series, pl_code code);

#endif
