/* SPDX-License-Identifier: MIT */
#include "app/metrics_http.h"

#include "app/metrics.h"

bool pl_metrics_serves(const pl_config *config, pl_str path)
{
    return config->metrics.enabled && pl_str_eq(path, config->metrics.path);
}

void pl_metrics_http(pl_metrics_part *part, const pl_config *config, pl_http_request *http)
{
    const pl_header headers[] = {{PL_STR("allow"), PL_STR("GET, HEAD")}};
    http->part = PL_PART_METRICS;
    if (pl_str_is(http->method, "GET") || pl_str_is(http->method, "HEAD")) {
        pl_metrics_answer(part, http, config->http.compress);
        return;
    }
    pl_http_respond(http, &(pl_http_response){.status = 405,
                                              .content_type = PL_STR("text/plain; charset=utf-8"),
                                              .headers = headers,
                                              .header_count = 1,
                                              .body = PL_STR("metrics are read with GET\n"),
                                              .body_in_arena = true});
}
