/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/stats.h"
#include "bindings/lua/internal.h"
#include "value/meter.h"

/* The C half of perilune.metrics. A metric is declared while the bundle is loaded, or later; its family is in
 * the worker's registry, which outlives the state, from when the state is attached. What it is of is checked
 * by the Lua half. */

#define METRIC "perilune.metrics.metric"
#define SERIES "perilune.metrics.series"

struct plua_metric {
    plua_metric *next; /* of the state */
    pl_stats_spec spec;
    pl_stats_family *family;
    const char *labels[PL_STATS_MOST_LABELS];
    double bounds[PL_STATS_MOST_BUCKETS];
};

/* A metric with its labels; user value 1: the metric. */
typedef struct series {
    plua_metric *metric;
    pl_stat *stat; /* NULL: not found yet */
    pl_str values[PL_STATS_MOST_LABELS];
    char bytes[];
} series;

static pl_stats *stats_of(lua_State *L)
{
    pl_host *host = plua_host(L);
    return host && host->meter ? host->meter->stats : NULL;
}

void plua_metrics_attach(plua_state *st)
{
    pl_stats *stats = st->head.host && st->head.host->meter ? st->head.host->meter->stats : NULL;
    for (plua_metric *m = st->metrics; stats && m; m = m->next)
        m->family = pl_stats_declare(stats, &m->spec);
}

/* --- labels --- */
typedef struct label_values {
    pl_str values[PL_STATS_MOST_LABELS];
    char numbers[PL_STATS_MOST_LABELS][24];
} label_values;

static size_t label_index(lua_State *L, const plua_metric *m, int key)
{
    const char *name = lua_type(L, key) == LUA_TSTRING ? lua_tostring(L, key) : NULL;
    for (size_t i = 0; name && i < m->spec.label_count; i++) {
        if (strcmp(m->labels[i], name) == 0)
            return i;
    }
    luaL_error(L, "metrics: %s has no label '%s'", m->spec.name, luaL_tolstring(L, key, NULL));
    return 0;
}

/* The value in the top slot; its bytes are there, in the table that it came from, or in `out`. */
static void take_value(lua_State *L, const plua_metric *m, size_t i, label_values *out)
{
    if (lua_isinteger(L, -1)) {
        int n = snprintf(out->numbers[i], sizeof out->numbers[i], "%lld", (long long)lua_tointeger(L, -1));
        out->values[i] = (pl_str){out->numbers[i], (size_t)n};
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        out->values[i].ptr = lua_tolstring(L, -1, &out->values[i].len);
    } else if (lua_isboolean(L, -1)) {
        out->values[i] = lua_toboolean(L, -1) ? PL_STR("true") : PL_STR("false");
    } else {
        luaL_error(L, "metrics: the label '%s' of %s must be a string, an integer or a boolean, not %s",
                   m->labels[i], m->spec.name, luaL_typename(L, -1));
    }
}

/* The table at index has a value for each of the labels, and no more. */
static void check_labels(lua_State *L, const plua_metric *m, int index, label_values *out)
{
    size_t given = 0;
    bool none = lua_isnoneornil(L, index);
    for (size_t i = 0; i < m->spec.label_count; i++)
        out->values[i] = PL_STR_NONE;
    if (!none && lua_type(L, index) != LUA_TTABLE)
        luaL_error(L, "metrics: the labels of %s must be a table, not %s", m->spec.name,
                   luaL_typename(L, index));
    lua_pushnil(L);
    while (!none && lua_next(L, index)) {
        take_value(L, m, label_index(L, m, -2), out);
        given++;
        lua_pop(L, 1);
    }
    if (none)
        lua_pop(L, 1);
    for (size_t i = 0; given < m->spec.label_count && i < m->spec.label_count; i++) {
        if (!out->values[i].ptr)
            luaL_error(L, "metrics: %s needs the label '%s'", m->spec.name, m->labels[i]);
    }
}

/* --- numbers --- */
static double check_number(lua_State *L, const plua_metric *m, const char *method, int index)
{
    if (lua_type(L, index) != LUA_TNUMBER)
        luaL_error(L, "metrics: %s:%s needs a number, not %s", m->spec.name, method, luaL_typename(L, index));
    return lua_tonumber(L, index);
}

static double check_increment(lua_State *L, const plua_metric *m, int index)
{
    double v = lua_isnoneornil(L, index) ? 1 : check_number(L, m, "add", index);
    if (m->spec.kind == PL_STATS_COUNTER && !(v >= 0 && v < INFINITY))
        luaL_error(L, "metrics: %s is a counter: it cannot be counted down, or by what is no number",
                   m->spec.name);
    if (m->spec.kind == PL_STATS_GAUGE && m->spec.merging != PL_STATS_SUM)
        luaL_error(L,
                   "metrics: each worker has a part of %s: to add to it, declare it with { merge = \"sum\" }",
                   m->spec.name);
    return v;
}

static double check_observation(lua_State *L, const plua_metric *m, int index)
{
    double v = check_number(L, m, "observe", index);
    if (isnan(v))
        luaL_error(L, "metrics: %s:observe needs a number, not NaN", m->spec.name);
    return v;
}

static const char *const kinds[] = {"counter", "gauge", "histogram", NULL};

static void check_kind(lua_State *L, const plua_metric *m, const char *method, bool fits)
{
    if (!fits)
        luaL_error(L, "metrics: %s is a %s, which has no method '%s'", m->spec.name, kinds[m->spec.kind],
                   method);
}

/* Whether there is somewhere to count. Without a server (perilune test) there is not. */
static bool is_attached(lua_State *L, plua_metric *m)
{
    pl_stats *stats = stats_of(L);
    if (!plua_host(L))
        luaL_error(L,
                   "metrics: %s cannot be counted while the bundle is being loaded: no worker has it yet; "
                   "do it later, for example in a timer",
                   m->spec.name);
    if (stats && !m->family)
        m->family = pl_stats_declare(stats, &m->spec);
    if (stats && !m->family)
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "metrics: there is no room for %s: there are too many metrics",
                   m->spec.name);
    return stats != NULL;
}

/* --- the three things that are done --- */
static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void set(pl_stat *stat, const plua_metric *m, double v)
{
    pl_stat_set(stat, v);
    if (m->spec.merging == PL_STATS_LAST)
        stat->at = now_ns();
}

static plua_metric *check_metric(lua_State *L)
{
    return luaL_checkudata(L, 1, METRIC);
}

/* NULL: nowhere to count. */
static pl_stat *find(lua_State *L, plua_metric *m, int index)
{
    label_values labels;
    check_labels(L, m, index, &labels);
    return is_attached(L, m) ? pl_stats_at(m->family, labels.values) : NULL;
}

/* m:add(number, labels) */
static int metric_add(lua_State *L)
{
    plua_metric *m = check_metric(L);
    check_kind(L, m, "add", m->spec.kind != PL_STATS_HISTOGRAM);
    double v = check_increment(L, m, 2);
    pl_stat *stat = find(L, m, 3);
    if (stat)
        pl_stat_add(stat, v);
    return 0;
}

static int metric_set(lua_State *L)
{
    plua_metric *m = check_metric(L);
    check_kind(L, m, "set", m->spec.kind == PL_STATS_GAUGE);
    double v = check_number(L, m, "set", 2);
    pl_stat *stat = find(L, m, 3);
    if (stat)
        set(stat, m, v);
    return 0;
}

static int metric_observe(lua_State *L)
{
    plua_metric *m = check_metric(L);
    check_kind(L, m, "observe", m->spec.kind == PL_STATS_HISTOGRAM);
    double v = check_observation(L, m, 2);
    pl_stat *stat = find(L, m, 3);
    if (stat)
        pl_stat_observe(stat, v);
    return 0;
}

/* --- a series: the same without labels --- */
/* m:labels(labels) */
static int metric_labels(lua_State *L)
{
    static const series empty = {0};
    plua_metric *m = check_metric(L);
    label_values labels;
    size_t size = 0;
    check_labels(L, m, 2, &labels);
    for (size_t i = 0; i < m->spec.label_count; i++)
        size += labels.values[i].len;
    series *s = lua_newuserdatauv(L, sizeof *s + size, 1);
    *s = empty;
    s->metric = m;
    char *at = s->bytes;
    for (size_t i = 0; i < m->spec.label_count; i++) {
        s->values[i] = (pl_str){at, labels.values[i].len};
        if (labels.values[i].len > 0)
            memcpy(at, labels.values[i].ptr, labels.values[i].len);
        at += labels.values[i].len;
    }
    luaL_setmetatable(L, SERIES);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

static series *check_series(lua_State *L)
{
    return luaL_checkudata(L, 1, SERIES);
}

static pl_stat *resolve(lua_State *L, series *s)
{
    if (!s->stat && is_attached(L, s->metric))
        s->stat = pl_stats_at(s->metric->family, s->values);
    return s->stat;
}

static int series_add(lua_State *L)
{
    series *s = check_series(L);
    check_kind(L, s->metric, "add", s->metric->spec.kind != PL_STATS_HISTOGRAM);
    double v = check_increment(L, s->metric, 2);
    if (resolve(L, s))
        pl_stat_add(s->stat, v);
    return 0;
}

static int series_set(lua_State *L)
{
    series *s = check_series(L);
    check_kind(L, s->metric, "set", s->metric->spec.kind == PL_STATS_GAUGE);
    double v = check_number(L, s->metric, "set", 2);
    if (resolve(L, s))
        set(s->stat, s->metric, v);
    return 0;
}

static int series_observe(lua_State *L)
{
    series *s = check_series(L);
    check_kind(L, s->metric, "observe", s->metric->spec.kind == PL_STATS_HISTOGRAM);
    double v = check_observation(L, s->metric, 2);
    if (resolve(L, s))
        pl_stat_observe(s->stat, v);
    return 0;
}

/* --- declarations --- */
/* What the table at 2 has; its strings stay in it. */
static const char *member_string(lua_State *L, const char *name)
{
    lua_getfield(L, 2, name);
    const char *s = luaL_checkstring(L, -1);
    lua_pop(L, 1);
    return s;
}

static size_t member_list(lua_State *L, const char *name, size_t most)
{
    lua_getfield(L, 2, name);
    lua_Unsigned n = lua_rawlen(L, -1);
    luaL_argcheck(L, n <= most, 2, "it has too many labels or buckets");
    return (size_t)n; /* the list stays on the stack */
}

static void read_spec(lua_State *L, plua_metric *m)
{
    static const char *const mergings[] = {"sum", "last", "max", "min", NULL};
    m->spec = (pl_stats_spec){.kind = (pl_stats_kind)luaL_checkoption(L, 1, NULL, kinds),
                              .name = member_string(L, "name"),
                              .help = member_string(L, "help"),
                              .labels = m->labels};
    lua_getfield(L, 2, "merge");
    m->spec.merging = (pl_stats_merging)luaL_checkoption(L, -1, "sum", mergings);
    lua_getfield(L, 2, "max_series");
    m->spec.most_series = (size_t)luaL_optinteger(L, -1, 0);
    m->spec.label_count = member_list(L, "labels", PL_STATS_MOST_LABELS);
    for (size_t i = 0; i < m->spec.label_count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        m->labels[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    m->spec.bound_count = member_list(L, "buckets", PL_STATS_MOST_BUCKETS);
    for (size_t i = 0; i < m->spec.bound_count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        m->bounds[i] = luaL_checknumber(L, -1);
        lua_pop(L, 1);
    }
    m->spec.bounds = m->spec.bound_count > 0 ? m->bounds : NULL;
}

/* core.declare(kind, spec) */
static int core_declare(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    plua_metric *m = lua_newuserdatauv(L, sizeof *m, 1);
    memset(m, 0, sizeof *m);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 1);
    read_spec(L, m);
    lua_settop(L, 3);
    luaL_setmetatable(L, METRIC);
    lua_pushvalue(L, 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, m); /* for good: the state's list has it */
    m->next = st->metrics;
    st->metrics = m;
    if (stats_of(L))
        m->family = pl_stats_declare(stats_of(L), &m->spec);
    return 1;
}

int plua_open_metrics(lua_State *L)
{
    static const luaL_Reg metric[] = {{"add", metric_add},
                                      {"set", metric_set},
                                      {"observe", metric_observe},
                                      {"labels", metric_labels},
                                      {NULL, NULL}};
    static const luaL_Reg of_series[] = {
        {"add", series_add}, {"set", series_set}, {"observe", series_observe}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"declare", core_declare}, {NULL, NULL}};
    plua_push_type(L, &(plua_type){.name = METRIC, .methods = metric});
    plua_push_type(L, &(plua_type){.name = SERIES, .methods = of_series});
    lua_pop(L, 2);
    luaL_newlib(L, functions);
    return 1;
}
