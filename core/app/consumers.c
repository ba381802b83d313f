/* SPDX-License-Identifier: MIT */
#include "app/consumers.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/consumer_hooks.h"
#include "app/event_call.h"
#include "app/generation.h"
#include "app/metrics_events.h"
#include "base/alloc.h"

#define GRACE_MS 500   /* for leaving the group once nothing is handled any more */
#define REOPEN_MS 5000 /* after one that could not be made, or has ended by itself */

/* A consumer of one declaration. */
typedef struct holder {
    pl_group_member member; /* first */
    pl_arena arena;
    pl_str identity, group;
    uint64_t rebalances;   /* that the metrics know of */
    pl_kafka_config kafka; /* what it was made with */
    pl_watch *watch;
    bool wanted, closing;
    unsigned number; /* of its transactions: no two consumers of the worker have the same at once */
    pl_timer reopen;
    pl_job job; /* that frees it */
} holder;

struct pl_consumers {
    pl_loop *loop;
    pl_host *host;
    pl_events *events;
    pl_logger *log;
    unsigned worker;
    pl_instance *live;
    pl_group_member *members;
    pl_consumers_stats gone; /* of consumers that are no longer there */
    bool ending;
    unsigned made; /* holders, ever */
    unsigned drain_ms;
    void (*drained)(void *data);
    void *drained_data;
    pl_timer nothing_left, overdue;
};

static holder *holder_of(pl_group_member *member)
{
    return (holder *)member;
}

static const pl_consumer_decl *decl_of(const pl_group_member *member)
{
    return &member->live->generation->config.consumers[member->index];
}

/* --- what the consumer asks for --- */
static void on_handle(void *data, pl_record **records, size_t count)
{
    pl_event_call_start(data, records, count);
}

static void on_cancel(void *data, pl_record *record)
{
    (void)data;
    pl_event_call_cancel(record->work);
}

static int64_t not_before(void *data, const pl_record *record)
{
    return pl_event_not_before(decl_of(data), record);
}

static void on_assigned(void *data)
{
    pl_consumer_hooks_assigned(((pl_group_member *)data)->hooks);
}

static bool on_leaving(void *data, bool lost)
{
    return pl_consumer_hooks_leaving(((pl_group_member *)data)->hooks, lost);
}

/* --- the end of one --- */
static void free_consumer(pl_job *job)
{
    holder *h = (holder *)((char *)job - offsetof(holder, job));
    pl_consumer_free(h->member.consumer);
}

static void free_holder(holder *h)
{
    pl_event_series_free(h->member.series);
    pl_group_member_dispose(&h->member);
    pl_arena_dispose(&h->arena);
    pl_free(h);
}

/* On the loop's thread. */
static void end_hooks(holder *h)
{
    pl_consumer_hooks_free(h->member.hooks);
    h->member.hooks = NULL;
}

static void freed(pl_job *job)
{
    free_holder((holder *)((char *)job - offsetof(holder, job)));
}

static void flush_rebalances(holder *h)
{
    pl_metrics *metrics = pl_metrics_of(h->member.host);
    uint64_t now = h->member.consumer ? pl_consumer_get_stats(h->member.consumer).rebalances : 0;
    double more = now > h->rebalances ? (double)(now - h->rebalances) : 0;
    if (metrics)
        pl_stat_add(pl_metrics_at(metrics, PL_METRIC_REBALANCES, &h->group), more);
    h->rebalances = now;
}

static void remember(pl_consumers *set, pl_group_member *m)
{
    flush_rebalances(holder_of(m));
    pl_consumer_stats stats = m->consumer ? pl_consumer_get_stats(m->consumer) : (pl_consumer_stats){0};
    set->gone.consumed += stats.consumed;
    set->gone.rebalances += stats.rebalances;
    set->gone.failed += m->stats.failed;
    set->gone.retried += m->stats.retried;
    set->gone.dead_lettered += m->stats.dead_lettered;
}

static void tell_drained(pl_consumers *set)
{
    void (*drained)(void *data) = set->drained;
    set->drained = NULL;
    set->host->ops->timer_stop(set->host, &set->overdue);
    if (drained)
        drained(set->drained_data);
}

static void unlink_member(pl_consumers *set, pl_group_member *m)
{
    pl_group_member **at = &set->members;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
}

static void stop_timers(pl_consumers *set, holder *h)
{
    set->host->ops->timer_stop(set->host, &h->reopen);
    set->host->ops->timer_stop(set->host, &h->member.resume);
}

/* Threads of librdkafka are waited for: not on the loop's. */
static void let_go(pl_consumers *set, holder *h)
{
    unlink_member(set, &h->member);
    remember(set, &h->member);
    end_hooks(h);
    stop_timers(set, h);
    pl_watch_end(h->watch);
    h->watch = NULL;
    h->job = (pl_job){.run = free_consumer, .done = freed};
    if (set->host->ops->offload(set->host, &h->job, NULL) != 0) {
        free_consumer(&h->job);
        freed(&h->job);
    }
    if (!set->members)
        tell_drained(set);
}

static bool open_consumer(pl_consumers *set, holder *h, pl_error *err);
static holder *make_holder(pl_consumers *set, size_t index);
static void try_open(pl_consumers *set, holder *h);

static void on_closed(void *data)
{
    pl_group_member *m = data;
    holder *h = holder_of(m);
    pl_consumers *set = m->set;
    bool again = h->wanted && !set->ending && !h->closing;
    size_t index = m->index;
    unsigned number = h->number;
    let_go(set, h);
    if (!again)
        return;
    /* It has ended by itself: another one takes its place, and ends the transaction that it has left. */
    holder *successor = make_holder(set, index);
    if (!successor) {
        pl_log(set->log, PL_ERROR, "consumer not started again: out of memory",
               PL_F_STR("consumer", set->live->generation->config.consumers[index].name));
        return;
    }
    successor->number = number;
    set->host->ops->timer_start(set->host, &successor->reopen, set->host->ops->now(set->host) + REOPEN_MS);
}

/* --- the beginning of one --- */
static const char *with_worker(pl_consumers *set, holder *h, pl_str text)
{
    return text.len ? pl_arena_printf(&h->arena, "%.*s-%u", PL_STR_ARG(text), set->worker).ptr : NULL;
}

/* Nobody else's, and the same until the process ends. */
static const char *transactional_id(pl_consumers *set, holder *h, const pl_consumer_decl *decl)
{
    char host[128] = "";
    if (decl->transactional_id.len)
        return with_worker(set, h, decl->transactional_id);
    gethostname(host, sizeof host - 1);
    return pl_arena_printf(&h->arena, "%.*s-%s-%ld-%u-%u", PL_STR_ARG(decl->group), host, (long)getpid(),
                           set->worker, h->number)
        .ptr;
}

static void on_readable(void *data)
{
    pl_consumer_poll(((pl_group_member *)data)->consumer);
}

static bool open_consumer(pl_consumers *set, holder *h, pl_error *err)
{
    const pl_consumer_decl *decl = decl_of(&h->member);
    const pl_consumer_ops ops = {.handle = on_handle,
                                 .cancel = on_cancel,
                                 .closed = on_closed,
                                 .not_before = decl->retry.topic_count ? not_before : NULL,
                                 .assigned = decl->hooks ? on_assigned : NULL,
                                 .leaving = decl->hooks ? on_leaving : NULL};
    const pl_consumer_config config = {
        .kafka = &h->kafka.settings,
        .group = decl->group.ptr,
        .topics = decl->topics,
        .topic_count = decl->topic_count,
        .own_topics = decl->own_topics,
        .own_topic_count = decl->own_topic_count,
        .instance = with_worker(set, h, decl->instance),
        .assignor = decl->assignor.len ? decl->assignor.ptr : NULL,
        .start = decl->start,
        .start_time = decl->start_time,
        .share = set->worker,
        .shares = h->kafka.settings.embedded ? h->member.live->generation->instance_count : 0,
        .transactional_id = decl->exactly_once ? transactional_id(set, h, decl) : NULL};
    if ((decl->exactly_once && !config.transactional_id) || (decl->instance.len && !config.instance)) {
        pl_fail_memory(err); /* without them it would be another kind of consumer */
        return false;
    }
    h->member.consumer = pl_consumer_new(&config, &decl->options, &ops, &h->member, set->host, set->log, err);
    if (!h->member.consumer)
        return false;
    h->watch = pl_loop_watch(set->loop, pl_consumer_fd(h->member.consumer), on_readable, &h->member);
    if (h->watch)
        return true;
    /* Its own timer polls it until it has left: then another one is made. */
    pl_log(set->log, PL_ERROR, "consumer not started: memory or descriptors are exhausted",
           PL_F_STR("consumer", decl->name));
    pl_consumer_close(h->member.consumer, 0);
    pl_consumer_poll(h->member.consumer);
    return true;
}

static void try_open(pl_consumers *set, holder *h)
{
    pl_error err;
    pl_error_clear(&err);
    if (open_consumer(set, h, &err))
        return;
    const pl_consumer_decl *decl = decl_of(&h->member);
    pl_log(set->log, PL_ERROR, "consumer not started, tried again", PL_F_STR("consumer", decl->name),
           PL_F_STR("file", decl->file), PL_F_CSTR("error", err.message));
    set->host->ops->timer_start(set->host, &h->reopen, set->host->ops->now(set->host) + REOPEN_MS);
}

static void on_reopen(pl_timer *timer)
{
    holder *h = timer->data;
    try_open(h->member.set, h);
}

static holder *make_holder(pl_consumers *set, size_t index)
{
    holder *h = pl_calloc(1, sizeof *h);
    if (!h)
        return NULL;
    const pl_config *config = &set->live->generation->config;
    uint64_t monotonic, utc;
    set->host->ops->clock(set->host, &monotonic, &utc);
    pl_arena_init(&h->arena, 0);
    h->identity = pl_arena_str(&h->arena, config->consumers[index].identity);
    h->group = pl_arena_str(&h->arena, config->consumers[index].group);
    h->member = (pl_group_member){.set = set,
                                  .host = set->host,
                                  .events = set->events,
                                  .log = set->log,
                                  .live = set->live,
                                  .index = index,
                                  .next = set->members};
    h->wanted = true;
    h->number = set->made++;
    h->reopen = (pl_timer){.fire = on_reopen, .data = h};
    pl_random_seed(&h->member.random, utc ^ (uint64_t)(uintptr_t)h);
    bool hooks = config->consumers[index].hooks;
    if (hooks)
        h->member.hooks = pl_consumer_hooks_new(&h->member);
    if (!h->identity.ptr || !h->group.ptr || (hooks && !h->member.hooks) ||
        !pl_kafka_config_copy(&h->kafka, &config->kafka, &h->arena)) {
        end_hooks(h);
        free_holder(h);
        return NULL;
    }
    set->members = &h->member;
    return h;
}

/* --- life --- */
pl_consumers *pl_consumers_new(pl_loop *loop, pl_events *events, unsigned worker, pl_logger *log)
{
    pl_consumers *set = pl_calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->loop = loop;
    set->host = pl_loop_host(loop);
    set->events = events;
    set->log = log;
    set->worker = worker;
    return set;
}

static holder *find(pl_consumers *set, const pl_config *config, size_t index)
{
    for (pl_group_member *m = set->members; m; m = m->next) {
        holder *h = holder_of(m);
        if (!h->closing && !h->wanted && pl_str_eq(h->identity, config->consumers[index].identity) &&
            pl_kafka_config_eq(&h->kafka, &config->kafka))
            return h;
    }
    return NULL;
}

static void close_unwanted(pl_consumers *set)
{
    for (pl_group_member *m = set->members, *next; m; m = next) {
        next = m->next;
        holder *h = holder_of(m);
        if (h->wanted || h->closing)
            continue;
        h->closing = true;
        if (m->consumer)
            pl_consumer_close(m->consumer, set->drain_ms ? set->drain_ms : 30000);
        else
            let_go(set, h);
    }
}

static void set_options(pl_consumer *consumer, const pl_consumer_decl *decl)
{
    pl_consumer_set_options(consumer, &decl->options);
    pl_consumer_set_own_topics(consumer, decl->own_topics, decl->own_topic_count);
}

void pl_consumers_adopt(pl_consumers *set, pl_instance *instance)
{
    const pl_config *config = &instance->generation->config;
    bool brokers = config->kafka.settings.brokers.len > 0;
    set->live = instance;
    for (pl_group_member *m = set->members; m; m = m->next)
        holder_of(m)->wanted = false;
    for (size_t i = 0; brokers && i < config->consumer_count; i++) {
        holder *h = find(set, config, i);
        if (h) {
            h->wanted = true;
            h->member.live = instance;
            h->member.index = i;
            if (h->member.consumer)
                set_options(h->member.consumer, &config->consumers[i]);
            if (h->member.hooks)
                pl_consumer_hooks_step(h->member.hooks);
        } else if ((h = make_holder(set, i))) {
            try_open(set, h);
        } else {
            pl_log(set->log, PL_ERROR, "consumer not started: out of memory",
                   PL_F_STR("consumer", config->consumers[i].name));
        }
    }
    close_unwanted(set);
}

void pl_consumers_cancel(pl_consumers *set, pl_instance *instance)
{
    for (pl_group_member *m = set->members; m; m = m->next) {
        for (pl_event_call *call = m->calls, *next; call; call = next) {
            next = call->next;
            if (call->instance == instance)
                pl_event_call_cancel(call);
        }
        if (m->hooks)
            pl_consumer_hooks_cancel(m->hooks, instance);
    }
}

static void on_nothing_left(pl_timer *timer)
{
    pl_consumers *set = timer->data;
    if (!set->members)
        tell_drained(set);
}

/* Brokers that do not answer are not waited for: the group will notice by itself. */
static void on_overdue(pl_timer *timer)
{
    pl_consumers *set = timer->data;
    if (set->drained)
        pl_log(set->log, PL_WARN, "drain timed out: consumers have not left their groups");
    tell_drained(set);
}

void pl_consumers_drain(pl_consumers *set, unsigned timeout_ms, void (*done)(void *data), void *data)
{
    set->ending = true;
    set->drained = done;
    set->drained_data = data;
    set->drain_ms = timeout_ms ? timeout_ms : 1;
    for (pl_group_member *m = set->members; m; m = m->next)
        holder_of(m)->wanted = false;
    close_unwanted(set);
    if (!set->drained)
        return;
    set->overdue = (pl_timer){.fire = on_overdue, .data = set};
    set->host->ops->timer_start(set->host, &set->overdue,
                                set->host->ops->now(set->host) + set->drain_ms + GRACE_MS);
    /* Not from inside of this function, unless there is no memory for a timer. */
    set->nothing_left = (pl_timer){.fire = on_nothing_left, .data = set};
    if (set->host->ops->timer_start(set->host, &set->nothing_left, set->host->ops->now(set->host)) != 0)
        on_nothing_left(&set->nothing_left);
}

void pl_consumers_stop(pl_consumers *set)
{
    if (!set)
        return;
    set->host->ops->timer_stop(set->host, &set->nothing_left);
    set->host->ops->timer_stop(set->host, &set->overdue);
    for (pl_group_member *m = set->members; m; m = m->next) {
        holder *h = holder_of(m);
        stop_timers(set, h);
        end_hooks(h);
        pl_watch_end(h->watch);
        h->watch = NULL;
        if (m->consumer)
            pl_consumer_stop(m->consumer);
    }
}

void pl_consumers_free(pl_consumers *set)
{
    if (!set)
        return;
    while (set->members) {
        holder *h = holder_of(set->members);
        set->members = h->member.next;
        pl_consumer_free(h->member.consumer);
        free_holder(h);
    }
    pl_free(set);
}

static void add_stats(const pl_group_member *m, pl_consumers_stats *out)
{
    pl_consumer_stats stats = pl_consumer_get_stats(m->consumer);
    pl_partition_stats p;
    out->partitions += stats.partitions;
    out->running += stats.running;
    out->in_hand += stats.in_hand;
    out->consumed += stats.consumed;
    out->rebalances += stats.rebalances;
    for (size_t i = 0; pl_consumer_partition(m->consumer, i, &p); i++)
        out->lag += p.lag > 0 ? p.lag : 0;
}

pl_consumers_stats pl_consumers_get_stats(const pl_consumers *set)
{
    pl_consumers_stats out = set->gone;
    for (const pl_group_member *m = set->members; m; m = m->next) {
        out.count++;
        out.failed += m->stats.failed;
        out.retried += m->stats.retried;
        out.dead_lettered += m->stats.dead_lettered;
        if (m->consumer)
            add_stats(m, &out);
    }
    return out;
}

void pl_consumers_each_partition(const pl_consumers *set,
                                 void (*fn)(void *data, const pl_consumers_partition *partition), void *data)
{
    pl_partition_stats p;
    for (pl_group_member *m = set->members; m; m = m->next) {
        for (size_t i = 0; m->consumer && pl_consumer_partition(m->consumer, i, &p); i++)
            fn(data, &(pl_consumers_partition){.topic = p.topic,
                                               .group = holder_of(m)->group,
                                               .partition = p.partition,
                                               .lag = p.lag,
                                               .in_hand = p.in_hand,
                                               .paused = m->resume.index != 0});
    }
}

void pl_consumers_flush(pl_consumers *set)
{
    for (pl_group_member *m = set->members; m; m = m->next)
        flush_rebalances(holder_of(m));
}
