/* SPDX-License-Identifier: MIT */
#include "app/metrics_http.h"

#include "app/endpoint.h"
#include "app/generation.h"
#include "app/metrics.h"
#include "base/alloc.h"

#define MOST_CONNECTIONS 100 /* on an address of its own */

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

/* --- an address of its own --- */
struct pl_metrics_listener {
    pl_http_service service; /* first */
    pl_metrics_part *part;
    const pl_endpoint *endpoint;
    pl_edge *edge;
};

static const pl_config *config_of(const pl_metrics_listener *l)
{
    return l->endpoint->live ? &l->endpoint->live->generation->config : NULL;
}

/* That it has an address says that it is wanted, whatever app.lua says. */
static bool handle(pl_http_service *service, pl_http_request *http)
{
    const pl_metrics_listener *l = (pl_metrics_listener *)service;
    const pl_config *config = config_of(l);
    bool known = config && pl_str_eq(http->path, config->metrics.path);
    if (known)
        pl_metrics_http(l->part, config, http);
    return known;
}

static const pl_http_settings *settings(pl_http_service *service)
{
    static const pl_http_settings own = {.compress = true};
    (void)service;
    return &own;
}

pl_metrics_listener *pl_metrics_listener_new(pl_loop *loop, const char *address, pl_listeners *listeners,
                                             pl_metrics_part *part, const pl_endpoint *endpoint,
                                             pl_logger *log, pl_error *err)
{
    const pl_edge_config config = {.address = address, .max_connections = MOST_CONNECTIONS};
    pl_metrics_listener *l = pl_calloc(1, sizeof *l);
    if (!l) {
        pl_fail_memory(err);
        return NULL;
    }
    l->service = (pl_http_service){.handle = handle, .settings = settings};
    l->part = part;
    l->endpoint = endpoint;
    l->edge = pl_edge_new(loop, &config, listeners, 0, &l->service, log, err);
    if (l->edge)
        return l;
    pl_free(l);
    return NULL;
}

void pl_metrics_listener_set_ready(pl_metrics_listener *l, bool ready)
{
    if (l)
        pl_edge_set_ready(l->edge, ready);
}

void pl_metrics_listener_free(pl_metrics_listener *l)
{
    if (!l)
        return;
    pl_edge_free(l->edge);
    pl_free(l);
}
