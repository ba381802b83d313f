/* SPDX-License-Identifier: MIT */
#include "app/metrics_grpc.h"

#include "base/alloc.h"
#include "base/map.h"

#define MOST_METHODS 5000
#define LONGEST_PATH 512

/* The series of a method, found once. */
typedef struct method_series {
    pl_stat *handled[PL_METER_CODES], *seconds;
    pl_str labels[3]; /* type, service and method of one that is served; service and method of one called */
    size_t label_count;
    char path[];
} method_series;

struct pl_metrics_grpc {
    pl_metrics *metrics;
    pl_map served, called; /* path → method_series * */
};

/* "/user.v1.UserService/GetUser" */
static void split(pl_str path, pl_str *service, pl_str *method)
{
    const char *slash = path.len > 1 ? memrchr(path.ptr + 1, '/', path.len - 1) : NULL;
    *service = *method = PL_STR("unknown");
    if (!slash)
        return;
    *service = (pl_str){path.ptr + 1, (size_t)(slash - path.ptr) - 1};
    *method = (pl_str){slash + 1, path.len - service->len - 2};
}

static pl_str type_of(const pl_meter_rpc *rpc)
{
    if (rpc->client_streaming)
        return rpc->server_streaming ? PL_STR("bidi_stream") : PL_STR("client_stream");
    return rpc->server_streaming ? PL_STR("server_stream") : PL_STR("unary");
}

/* NULL: memory, or too many. */
static method_series *find(pl_map *map, pl_str path)
{
    method_series *m = pl_map_get(map, path);
    if (m || map->count >= MOST_METHODS || path.len > LONGEST_PATH)
        return m;
    m = pl_calloc(1, sizeof *m + path.len + 1);
    if (!m)
        return NULL;
    memcpy(m->path, path.ptr, path.len);
    if (pl_map_set(map, (pl_str){m->path, path.len}, m))
        return m;
    pl_free(m);
    return NULL;
}

static pl_stat *with_code(pl_metrics *metrics, pl_metric which, const method_series *m, pl_code code)
{
    pl_str values[4];
    for (size_t i = 0; i < m->label_count; i++)
        values[i] = m->labels[i];
    values[m->label_count] = pl_str_of(pl_code_name(code));
    return pl_metrics_at(metrics, which, values);
}

static void count(pl_metrics *metrics, pl_metric handled, pl_metric seconds, method_series *m, pl_code code,
                  double duration)
{
    unsigned at = (unsigned)code < PL_METER_CODES ? (unsigned)code : PL_UNKNOWN;
    if (!m->handled[at])
        m->handled[at] = with_code(metrics, handled, m, (pl_code)at);
    if (!m->seconds)
        m->seconds = pl_metrics_at(metrics, seconds, m->labels);
    pl_stat_add(m->handled[at], 1);
    pl_stat_observe(m->seconds, duration);
}

static method_series *find_served(pl_metrics_grpc *g, const pl_meter_rpc *rpc)
{
    if (rpc->mark && *rpc->mark)
        return *rpc->mark;
    pl_str path = rpc->path.ptr ? rpc->path : PL_STR("/unknown/unknown");
    method_series *m = find(&g->served, path);
    if (!m)
        return NULL;
    m->labels[0] = type_of(rpc);
    split((pl_str){m->path, path.len}, &m->labels[1], &m->labels[2]);
    m->label_count = 3;
    if (rpc->mark)
        *rpc->mark = m;
    return m;
}

void pl_metrics_grpc_served(pl_metrics_grpc *g, const pl_meter_rpc *rpc, pl_code code, double seconds)
{
    static const pl_str overflow[] = {PL_STR(PL_STATS_OVERFLOW), PL_STR(PL_STATS_OVERFLOW),
                                      PL_STR(PL_STATS_OVERFLOW), PL_STR(PL_STATS_OVERFLOW)};
    method_series *m = find_served(g, rpc);
    if (m) {
        count(g->metrics, PL_METRIC_GRPC_HANDLED, PL_METRIC_GRPC_SECONDS, m, code, seconds);
        return;
    }
    pl_stat_add(pl_metrics_at(g->metrics, PL_METRIC_GRPC_HANDLED, overflow), 1);
    pl_stat_observe(pl_metrics_at(g->metrics, PL_METRIC_GRPC_SECONDS, overflow), seconds);
}

void pl_metrics_grpc_called(pl_metrics_grpc *g, pl_str path, pl_code code, double seconds)
{
    static const pl_str overflow[] = {PL_STR(PL_STATS_OVERFLOW), PL_STR(PL_STATS_OVERFLOW),
                                      PL_STR(PL_STATS_OVERFLOW)};
    method_series *m = find(&g->called, path);
    if (m) {
        split((pl_str){m->path, path.len}, &m->labels[0], &m->labels[1]);
        m->label_count = 2;
        count(g->metrics, PL_METRIC_GRPC_CLIENT_HANDLED, PL_METRIC_GRPC_CLIENT_SECONDS, m, code, seconds);
        return;
    }
    pl_stat_add(pl_metrics_at(g->metrics, PL_METRIC_GRPC_CLIENT_HANDLED, overflow), 1);
    pl_stat_observe(pl_metrics_at(g->metrics, PL_METRIC_GRPC_CLIENT_SECONDS, overflow), seconds);
}

pl_metrics_grpc *pl_metrics_grpc_new(pl_metrics *metrics)
{
    pl_metrics_grpc *g = pl_calloc(1, sizeof *g);
    if (g)
        g->metrics = metrics;
    return g;
}

static void free_map(pl_map *map)
{
    for (size_t i = 0; i < map->count; i++)
        pl_free(map->entries[i].value);
    pl_map_dispose(map);
}

void pl_metrics_grpc_free(pl_metrics_grpc *g)
{
    if (!g)
        return;
    free_map(&g->served);
    free_map(&g->called);
    pl_free(g);
}
