/* SPDX-License-Identifier: MIT */
#include "app/metrics_events.h"

#include "base/alloc.h"

static pl_event_series *make(pl_metrics *metrics, const char *topic, pl_str group)
{
    size_t len = strlen(topic);
    pl_event_series *s = pl_calloc(1, sizeof *s + len + group.len + 1);
    if (!s)
        return NULL;
    memcpy(s->bytes, topic, len);
    if (group.len > 0)
        memcpy(s->bytes + len, group.ptr, group.len);
    s->metrics = metrics;
    s->topic = (pl_str){s->bytes, len};
    s->group = (pl_str){s->bytes + len, group.len};
    const pl_str values[] = {s->topic, s->group};
    s->consumed = pl_metrics_at(metrics, PL_METRIC_EVENTS_CONSUMED, values);
    s->duration = pl_metrics_at(metrics, PL_METRIC_EVENTS_DURATION, values);
    s->retried = pl_metrics_at(metrics, PL_METRIC_EVENTS_RETRIED, values);
    s->dead_lettered = pl_metrics_at(metrics, PL_METRIC_EVENTS_DEAD_LETTERED, values);
    return s;
}

pl_event_series *pl_event_series_get(pl_event_series **list, pl_metrics *metrics, const char *topic,
                                     pl_str group)
{
    if (!metrics)
        return NULL;
    for (pl_event_series *s = *list; s; s = s->next) {
        if (pl_str_is(s->topic, topic))
            return s;
    }
    pl_event_series *s = make(metrics, topic, group);
    if (!s)
        return NULL;
    s->next = *list;
    *list = s;
    return s;
}

void pl_event_series_free(pl_event_series *list)
{
    while (list) {
        pl_event_series *s = list;
        list = s->next;
        pl_free(s);
    }
}

void pl_event_series_failed(const pl_event_series *s, pl_code code)
{
    const pl_str values[] = {s->topic, s->group, pl_str_of(pl_code_name(code))};
    pl_stat_add(pl_metrics_at(s->metrics, PL_METRIC_EVENTS_ERRORS, values), 1);
}
