/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_METRICS_HTTP_H
#define PL_APP_METRICS_HTTP_H

#include "app/config.h"
#include "app/metrics_hub.h"

/* /metrics on an HTTP port: GET and HEAD. */
bool pl_metrics_serves(const pl_config *config, pl_str path);
void pl_metrics_http(pl_metrics_part *part, const pl_config *config, pl_http_request *http);

#endif
