/* SPDX-License-Identifier: MIT */
#include "app/events.h"

#include "app/generation.h"
#include "base/alloc.h"

/* A producer that is in use, or that old events still go through. */
typedef struct outlet outlet;
struct outlet {
    pl_events *events;
    pl_producer *producer;
    pl_watch *watch;
    outlet *next;
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
    if (o != events->current && pl_producer_under_way(o->producer) == 0) {
        outlet **at = &events->old;
        while (*at != o)
            at = &(*at)->next;
        *at = o->next;
        let_go(events, o);
    }
    if (events->drained && under_way(events) == 0)
        tell_drained(events);
}

static outlet *open_outlet(pl_events *events, pl_error *err)
{
    const pl_kafka_config *kafka = &events->made;
    const pl_producer_config config = {.kafka = &kafka->settings,
                                       .most_messages = kafka->queue_messages,
                                       .most_bytes = kafka->queue_bytes,
                                       .log = events->log};
    outlet *o = pl_calloc(1, sizeof *o);
    if (!o) {
        pl_fail_memory(err);
        return NULL;
    }
    o->events = events;
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
    return events;
}

void pl_events_adopt(pl_events *events, const pl_instance *instance)
{
    events->kafka = &instance->generation->config.kafka;
    if (events->current && !pl_kafka_config_eq(&events->made, events->kafka))
        replace_current(events);
}

pl_code pl_events_produce(pl_events *events, const pl_outgoing *event, pl_delivery *delivery, bool *waits,
                          pl_error *err)
{
    if (!events->kafka || events->kafka->settings.brokers.len == 0)
        return pl_fail(
            err, PL_FAILED_PRECONDITION,
            "there are no brokers: set kafka = { brokers = \"host:9092\" } in app.lua, or start the "
            "server with --kafka");
    if (!events->current) {
        pl_arena_reset(&events->arena);
        if (!pl_kafka_config_copy(&events->made, events->kafka, &events->arena))
            return pl_fail_memory(err);
        if (!(events->current = open_outlet(events, err)))
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
    while (events->old) {
        outlet *o = events->old;
        events->old = o->next;
        free_outlet(o);
    }
    pl_arena_dispose(&events->arena);
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
    for (const outlet *o = events->old; o; o = o->next)
        add(&stats, o);
    return stats;
}
