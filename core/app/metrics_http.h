/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_METRICS_HTTP_H
#define PL_APP_METRICS_HTTP_H

#include "app/config.h"
#include "app/metrics_hub.h"

/* /metrics on an HTTP port: GET and HEAD. */
bool pl_metrics_serves(const pl_config *config, pl_str path);
void pl_metrics_http(pl_metrics_part *part, const pl_config *config, pl_http_request *http);

/* The same on an address of its own, with /healthz and /readyz, on one worker; it answers until the very end.
 * endpoint says which instance is live. NULL: *err. */
typedef struct pl_metrics_listener pl_metrics_listener;
struct pl_endpoint;
pl_metrics_listener *pl_metrics_listener_new(pl_loop *loop, const char *address, pl_listeners *listeners,
                                             pl_metrics_part *part, const struct pl_endpoint *endpoint,
                                             pl_logger *log, pl_error *err);
void pl_metrics_listener_set_ready(pl_metrics_listener *listener, bool ready); /* NULL is fine */
void pl_metrics_listener_free(pl_metrics_listener *listener);                  /* the same */

#endif
