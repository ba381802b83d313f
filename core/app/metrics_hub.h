/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_METRICS_HUB_H
#define PL_APP_METRICS_HUB_H

#include "base/stats.h"
#include "net/edge.h"

/* Answers /metrics with what all workers of a server have. A registry is sent round: each worker in turn adds
 * what it has, in a turn of its loop; back where it was asked for, a helper thread writes it as text and
 * packs it. So nothing is shared, and no loop is held up for longer than an addition takes. A worker has one
 * such round under way at most: requests that come meanwhile share the next. */
typedef struct pl_metrics_hub pl_metrics_hub;   /* of a server; thread-safe */
typedef struct pl_metrics_part pl_metrics_part; /* a worker's */

/* What only the main thread knows. */
typedef struct pl_metrics_facts {
    uint64_t reloads, refused;
    unsigned workers;
    double started_at; /* seconds since 1970 */
} pl_metrics_facts;

pl_metrics_hub *pl_metrics_hub_new(void);      /* NULL: memory */
void pl_metrics_hub_free(pl_metrics_hub *hub); /* all parts are freed; NULL is fine */
/* Any thread. */
void pl_metrics_hub_set_facts(pl_metrics_hub *hub, const pl_metrics_facts *facts);

/* collect adds what the worker has; false: memory. index: of the worker. NULL: memory. */
typedef bool pl_metrics_collect(void *data, pl_stats *into);
pl_metrics_part *pl_metrics_join(pl_metrics_hub *hub, pl_loop *loop, unsigned index,
                                 pl_metrics_collect *collect, void *data);
/* Answers the request, later; compress: where its client likes that. */
void pl_metrics_answer(pl_metrics_part *part, pl_http_request *http, bool compress);
/* Before pl_loop_free, and after it. NULL is fine for both. */
void pl_metrics_leave(pl_metrics_part *part);
void pl_metrics_part_free(pl_metrics_part *part);

#endif
