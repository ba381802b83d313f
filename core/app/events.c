/* SPDX-License-Identifier: MIT */
#include "app/events.h"

#include <stdio.h>

#include "app/generation.h"
#include "app/metrics.h"
#include "base/alloc.h"

/* A producer that is in use, or that old events still go through. */
typedef struct outlet outlet;
struct outlet {
    pl_events *events;
    pl_producer *producer;
    pl_watch *watch;
    outlet *next;
    bool gone;  /* it is freed on another thread */
    pl_job job; /* that frees it */
};

struct pl_events {
    pl_loop *loop;
    pl_host *host;
    pl_logger *log;
    const pl_kafka_config *kafka; /* of the live generation */
    pl_arena arena;               /* what `current` was made with: `made` */
    pl_kafka_config made;
    outlet *current, *old;
    outlet *relay;        /* for events that their publisher keeps */
    pl_arena relay_arena; /* what it was made for: `relay_made` */
    pl_kafka_config relay_made;
    uint64_t pass;
    char last_topic[256]; /* whose series `produced` is */
    pl_stat *produced;
    pl_producer_stats gone; /* of producers that are no longer there */
    pl_timer overdue;
    void (*drained)(void *data);
    void *drained_data;
};

/* --- producers come and go --- */
static void free_producer(pl_job *job)
{
    outlet *o = (outlet *)((char *)job - offsetof(outlet, job));
    pl_producer_free(o->producer);
}

static void freed(pl_job *job)
{
    pl_free((char *)job - offsetof(outlet, job));
}

/* librdkafka's threads are waited for: not on the loop's. */
static void let_go(pl_events *events, outlet *o)
{
    pl_producer_stats stats = pl_producer_get_stats(o->producer);
    events->gone.acknowledged += stats.acknowledged;
    events->gone.failed += stats.failed;
    pl_watch_end(o->watch);
    o->gone = true;
    o->job = (pl_job){.run = free_producer, .done = freed};
    if (events->host->ops->offload(events->host, &o->job, NULL) != 0) {
        free_producer(&o->job);
        freed(&o->job);
    }
}

static size_t under_way(const pl_events *events)
{
    size_t n = events->current ? pl_producer_under_way(events->current->producer) : 0;
    for (const outlet *o = events->old; o; o = o->next)
        n += pl_producer_under_way(o->producer);
    return n;
}

static void tell_drained(pl_events *events)
{
    void (*drained)(void *data) = events->drained;
    events->drained = NULL;
    events->host->ops->timer_stop(events->host, &events->overdue);
    if (drained)
        drained(events->drained_data);
}

static void on_readable(void *data)
{
    outlet *o = data;
    pl_events *events = o->events;
    pl_producer_poll(o->producer);
    if (o != events->current && o != events->relay && pl_producer_under_way(o->producer) == 0) {
        outlet **at = &events->old;
        while (*at != o)
            at = &(*at)->next;
        *at = o->next;
        let_go(events, o);
    }
    if (events->drained && under_way(events) == 0)
        tell_drained(events);
}

/* For the metrics: the topic that comes again and again is found at once. */
static void on_told(void *data, const char *topic, pl_code code)
{
    const outlet *o = data;
    pl_events *events = o->events;
    pl_metrics *metrics = o->gone ? NULL : pl_metrics_of(events->host);
    if (!metrics)
        return;
    const pl_str name = pl_str_of(topic);
    if (code) {
        pl_stat_add(pl_metrics_at(metrics, PL_METRIC_EVENTS_FAILED, &name), 1);
        return;
    }
    if (!events->produced || strcmp(events->last_topic, topic) != 0) {
        snprintf(events->last_topic, sizeof events->last_topic, "%s", topic);
        events->produced = pl_metrics_at(metrics, PL_METRIC_EVENTS_PRODUCED, &name);
    }
    pl_stat_add(events->produced, 1);
}

static outlet *open_outlet(pl_events *events, const pl_kafka_config *kafka, bool kept, pl_error *err)
{
    pl_producer_config config = {.kafka = &kafka->settings,
                                 .kept = kept,
                                 .told = on_told,
                                 .most_messages = kafka->queue_messages,
                                 .most_bytes = kafka->queue_bytes,
                                 .log = events->log};
    outlet *o = pl_calloc(1, sizeof *o);
    if (!o) {
        pl_fail_memory(err);
        return NULL;
    }
    o->events = events;
    config.told_data = o;
    if ((o->producer = pl_producer_new(&config, err)) != NULL) {
        o->watch = pl_loop_watch(events->loop, pl_producer_fd(o->producer), on_readable, o);
        if (o->watch)
            return o;
        pl_fail(err, PL_RESOURCE_EXHAUSTED, "memory or descriptors are exhausted");
    }
    pl_producer_free(o->producer);
    pl_free(o);
    return NULL;
}

static void replace_current(pl_events *events)
{
    outlet *o = events->current;
    events->current = NULL;
    if (!o)
        return;
    if (pl_producer_under_way(o->producer) == 0) {
        let_go(events, o);
        return;
    }
    o->next = events->old;
    events->old = o;
}

/* --- life --- */
pl_events *pl_events_new(pl_loop *loop, pl_logger *log)
{
    pl_events *events = pl_calloc(1, sizeof *events);
    if (!events)
        return NULL;
    events->loop = loop;
    events->host = pl_loop_host(loop);
    events->log = log;
    pl_arena_init(&events->arena, 0);
    pl_arena_init(&events->relay_arena, 0);
    return events;
}

void pl_events_adopt(pl_events *events, const pl_instance *instance)
{
    events->kafka = &instance->generation->config.kafka;
    if (events->current && !pl_kafka_config_eq(&events->made, events->kafka))
        replace_current(events);
}

/* --- events that are kept ---
 * What such events must have, instead of what app.lua says: an event that times out would be overtaken by the
 * next one of its key. */
static const pl_kafka_property relay_properties[] = {{PL_STR("enable.idempotence"), PL_STR("true")},
                                                     {PL_STR("acks"), PL_STR("all")},
                                                     {PL_STR("message.timeout.ms"), PL_STR("0")}};
#define RELAY_PROPERTIES (sizeof relay_properties / sizeof *relay_properties)

static bool relay_decides(pl_str name)
{
    static const char *const names[] = {"enable.idempotence",
                                        "acks",
                                        "request.required.acks",
                                        "message.timeout.ms",
                                        "delivery.timeout.ms",
                                        "retries",
                                        "message.send.max.retries",
                                        "max.in.flight",
                                        "max.in.flight.requests.per.connection",
                                        "queuing.strategy",
                                        "transactional.id"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (pl_str_is(name, names[i]))
            return true;
    }
    return false;
}

static outlet *open_relay(pl_events *events, pl_error *err)
{
    pl_kafka_config own = events->relay_made;
    size_t count = own.settings.count;
    pl_kafka_property *list = pl_arena_array(&events->relay_arena, count + RELAY_PROPERTIES, sizeof *list);
    if (!list) {
        pl_fail_memory(err);
        return NULL;
    }
    own.settings.properties = list;
    own.settings.count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!relay_decides(events->relay_made.settings.properties[i].name))
            list[own.settings.count++] = events->relay_made.settings.properties[i];
    }
    for (size_t i = 0; i < RELAY_PROPERTIES; i++)
        list[own.settings.count++] = relay_properties[i];
    return open_outlet(events, &own, true, err);
}

/* A pass begins: what the last one has left (it was cancelled) must not come after what this one sends. */
static void begin_pass(pl_events *events, uint64_t pass)
{
    outlet *o = events->relay;
    events->pass = pass;
    if (!o || (pl_producer_under_way(o->producer) == 0 && !pl_producer_is_dead(o->producer) &&
               pl_kafka_config_eq(&events->relay_made, events->kafka)))
        return;
    events->relay = NULL;
    let_go(events, o);
}

static pl_code produce_kept(pl_events *events, const pl_outgoing *event, pl_delivery *delivery, bool *waits,
                            pl_error *err)
{
    if (event->pass != events->pass)
        begin_pass(events, event->pass);
    if (!events->relay) {
        pl_arena_reset(&events->relay_arena);
        if (!pl_kafka_config_copy(&events->relay_made, events->kafka, &events->relay_arena))
            return pl_fail_memory(err);
        if (!(events->relay = open_relay(events, err)))
            return err->code;
    }
    return pl_producer_send(events->relay->producer, event, delivery, waits, err);
}

pl_code pl_events_produce(pl_events *events, const pl_outgoing *event, pl_delivery *delivery, bool *waits,
                          pl_error *err)
{
    if (!events->kafka || events->kafka->settings.brokers.len == 0)
        return pl_fail(
            err, PL_FAILED_PRECONDITION,
            "there are no brokers: set kafka = { brokers = \"host:9092\" } in app.lua, or start the "
            "server with --kafka");
    if (event->pass)
        return produce_kept(events, event, delivery, waits, err);
    if (events->current && pl_producer_is_dead(events->current->producer))
        replace_current(events);
    if (!events->current) {
        pl_arena_reset(&events->arena);
        if (!pl_kafka_config_copy(&events->made, events->kafka, &events->arena))
            return pl_fail_memory(err);
        if (!(events->current = open_outlet(events, &events->made, false, err)))
            return err->code;
    }
    return pl_producer_send(events->current->producer, event, delivery, waits, err);
}

static void on_overdue(pl_timer *timer)
{
    pl_events *events = timer->data;
    size_t left = under_way(events);
    if (left > 0)
        pl_log(events->log, PL_WARN, "drain timed out: events are given up", PL_F_INT("events", left));
    tell_drained(events);
}

void pl_events_drain(pl_events *events, unsigned timeout_ms, void (*done)(void *data), void *data)
{
    pl_host *host = events->host;
    events->drained = done;
    events->drained_data = data;
    events->overdue = (pl_timer){.fire = on_overdue, .data = events};
    /* Not from inside of this function, and not at all later when there is no memory for a timer. */
    if (host->ops->timer_start(host, &events->overdue,
                               host->ops->now(host) + (under_way(events) > 0 ? timeout_ms : 0)) != 0)
        tell_drained(events);
}

static void free_outlet(outlet *o)
{
    pl_watch_end(o->watch);
    pl_producer_free(o->producer);
    pl_free(o);
}

void pl_events_free(pl_events *events)
{
    if (!events)
        return;
    events->host->ops->timer_stop(events->host, &events->overdue);
    if (events->current)
        free_outlet(events->current);
    if (events->relay)
        free_outlet(events->relay);
    while (events->old) {
        outlet *o = events->old;
        events->old = o->next;
        free_outlet(o);
    }
    pl_arena_dispose(&events->arena);
    pl_arena_dispose(&events->relay_arena);
    pl_free(events);
}

static void add(pl_producer_stats *to, const outlet *o)
{
    pl_producer_stats s = pl_producer_get_stats(o->producer);
    to->acknowledged += s.acknowledged;
    to->failed += s.failed;
    to->queued += s.queued;
    to->waiting += s.waiting;
}

pl_events_stats pl_events_get_stats(const pl_events *events)
{
    pl_producer_stats stats = events->gone;
    if (events->current)
        add(&stats, events->current);
    if (events->relay)
        add(&stats, events->relay);
    for (const outlet *o = events->old; o; o = o->next)
        add(&stats, o);
    return stats;
}
