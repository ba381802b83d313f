/* SPDX-License-Identifier: MIT */
#include "events/consumer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "events/consumer_internal.h"

/* The group is heard of at least so often, whether there are records or not: max.poll.interval.ms counts from
 * one to the next. */
#define POLL_MS 1000
#define CLOSING_POLL_MS 20

/* --- life --- */
static pl_code set_properties(rd_kafka_conf_t *conf, const pl_consumer_config *config, pl_error *err)
{
    static const char *const resets[] = {"earliest", "latest", "earliest"};
    const struct {
        const char *name, *value;
    } properties[] = {
        {"group.id", config->group},
        {"group.instance.id", config->instance},
        {"partition.assignment.strategy", config->assignor ? config->assignor : "range,roundrobin"},
        {"auto.offset.reset", resets[config->start]},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {NULL, NULL}};
    for (size_t i = 0; properties[i].name; i++) {
        if (properties[i].value && pl_kafka_set(conf, properties[i].name, properties[i].value, err) != PL_OK)
            return err->code;
    }
    return PL_OK;
}

/* Defaults that the settings may overrule. What is fetched ahead is bounded, but by its size: librdkafka
 * looks only once a second whether a partition that has queued.min.messages has fewer again, so that fewer
 * than are handled in a second are what a partition gets in a second. */
static rd_kafka_conf_t *make_conf(const pl_consumer_config *config, pl_logger *log, pl_error *err)
{
    static const pl_kafka_property defaults[] = {
        {PL_STR("isolation.level"), PL_STR("read_committed")},
        {PL_STR("allow.auto.create.topics"), PL_STR("true")},
        {PL_STR("topic.metadata.refresh.interval.ms"), PL_STR("30000")},
        {PL_STR("queued.min.messages"), PL_STR("100000")},
        {PL_STR("queued.max.messages.kbytes"), PL_STR("16384")},
        {PL_STR("fetch.wait.max.ms"), PL_STR("100")},
    };
    rd_kafka_conf_t *conf =
        pl_kafka_conf_over(defaults, sizeof defaults / sizeof *defaults, config->kafka, log, err);
    if (!conf)
        return NULL;
    if (set_properties(conf, config, err) == PL_OK)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

void pl_consumer_subscribe(pl_consumer *c)
{
    rd_kafka_resp_err_t error = rd_kafka_subscribe(c->client, c->subscription);
    if (error)
        pl_log(c->log, PL_ERROR, "topics cannot be read", PL_F_CSTR("group", c->group),
               PL_F_CSTR("error", rd_kafka_err2str(error)));
}

static pl_code open_client(pl_consumer *c, const pl_consumer_config *config, pl_error *err)
{
    static const uint64_t one = 1;
    char why[512] = "", most[32] = "0";
    size_t size = sizeof most;
    rd_kafka_conf_t *conf = make_conf(config, c->log, err);
    if (!conf)
        return err->code;
    rd_kafka_conf_get(conf, "message.max.bytes", most, &size);
    c->most_bytes = (size_t)strtoull(most, NULL, 10);
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR |
                                       RD_KAFKA_EVENT_OFFSET_COMMIT);
    c->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!c->client) {
        rd_kafka_conf_destroy(conf);
        return pl_fail(err, PL_INVALID_ARGUMENT, "%s", why);
    }
    rd_kafka_poll_set_consumer(c->client);
    c->queue = rd_kafka_queue_get_consumer(c->client);
    rd_kafka_queue_io_event_enable(c->queue, c->fd, &one, sizeof one);
    pl_consumer_wake(c); /* it is announced only when an empty queue gets something */
    c->subscription = pl_kafka_topics(config->topics, config->topic_count);
    c->own_topics = pl_kafka_topics(config->own_topics, config->own_topic_count);
    if (!pl_consumer_prepare(c))
        pl_consumer_subscribe(c);
    return PL_OK;
}

char *pl_copy_text(const char *text)
{
    size_t n = strlen(text) + 1;
    char *to = pl_malloc(n);
    return to ? memcpy(to, text, n) : NULL;
}

static void on_timer(pl_timer *timer)
{
    pl_consumer_poll(timer->data);
}

pl_consumer *pl_consumer_new(const pl_consumer_config *config, const pl_consumer_options *options,
                             const pl_consumer_ops *ops, void *data, pl_host *host, pl_logger *log,
                             pl_error *err)
{
    pl_consumer *c = pl_calloc(1, sizeof *c);
    if (!c) {
        pl_fail_memory(err);
        return NULL;
    }
    c->ops = *ops;
    c->data = data;
    c->host = host;
    c->log = log;
    c->options = *options;
    c->start = config->start;
    c->start_time = config->start_time;
    c->share = config->share;
    c->shares = config->shares;
    c->timer = (pl_timer){.fire = on_timer, .data = c};
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->group = pl_copy_text(config->group);
    if (c->fd < 0)
        pl_fail(err, PL_RESOURCE_EXHAUSTED, "cannot open a descriptor: %s", strerror(errno));
    else if (!c->group)
        pl_fail_memory(err);
    else if ((!config->transactional_id ||
              (c->transactor = pl_transactor_new(config->kafka, config->transactional_id, log, err))) &&
             open_client(c, config, err) == PL_OK)
        return c;
    pl_consumer_free(c);
    return NULL;
}

static void cancel_partition(pl_consumer *c, const pl_partition *p)
{
    for (pl_flow_record *r; (r = pl_flow_handled(p->flow));)
        c->ops.cancel(c->data, (pl_record *)r);
}

/* The last record of a partition that is gone takes it along. */
static void cancel_gone(pl_consumer *c)
{
    while (c->gone)
        c->ops.cancel(c->data, (pl_record *)pl_flow_handled(c->gone->flow));
}

static void cancel_all(pl_consumer *c)
{
    for (pl_partition *p = c->partitions; p; p = p->next)
        cancel_partition(c, p);
    cancel_gone(c);
}

void pl_consumer_stop(pl_consumer *c)
{
    c->closing = c->closed = true;
    atomic_store(&c->ends, true);
    if (c->transactor)
        pl_transactor_cancel(c->transactor);
    c->host->ops->timer_stop(c->host, &c->timer);
    cancel_all(c);
}

static void drop_partitions(pl_consumer *c)
{
    while (c->partitions)
        pl_partition_leave(c->partitions);
}

void pl_consumer_free(pl_consumer *c)
{
    if (!c)
        return;
    pl_consumer_forget_start(c);
    drop_partitions(c);
    pl_consumer_free_job(c);
    pl_group_epoch_unref(c->epoch);
    pl_transactor_free(c->transactor);
    rd_kafka_topic_partition_list_t *lists[] = {c->revoking, c->subscription, c->own_topics,
                                                c->next_own_topics};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (lists[i])
            rd_kafka_topic_partition_list_destroy(lists[i]);
    }
    if (c->queue) {
        rd_kafka_queue_io_event_enable(c->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(c->queue);
    }
    if (c->client)
        rd_kafka_destroy_flags(
            c->client, rd_kafka_consumer_closed(c->client) ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (c->fd >= 0)
        close(c->fd);
    while (c->spare) {
        pl_record *r = c->spare;
        c->spare = r->next;
        pl_free(r);
    }
    pl_free(c->batch);
    pl_free(c->group);
    pl_free(c);
}

int pl_consumer_fd(const pl_consumer *c)
{
    return c->fd;
}

void pl_consumer_wake(pl_consumer *c)
{
    static const uint64_t one = 1;
    if (!c->woken && write(c->fd, &one, sizeof one) == sizeof one)
        c->woken = true;
}

/* --- partitions come --- */
static void assign(pl_consumer *c, const rd_kafka_topic_partition_list_t *partitions, bool incremental)
{
    rd_kafka_error_t *error = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (incremental)
        error = rd_kafka_incremental_assign(c->client, partitions);
    else
        code = rd_kafka_assign(c->client, partitions);
    if (error || code)
        pl_log(c->log, PL_ERROR, "partitions cannot be read", PL_F_CSTR("group", c->group),
               PL_F_CSTR("error", error ? rd_kafka_error_string(error) : rd_kafka_err2str(code)));
    if (error)
        rd_kafka_error_destroy(error);
}

static bool is_cooperative(const pl_consumer *c)
{
    const char *protocol = rd_kafka_rebalance_protocol(c->client);
    return protocol && strcmp(protocol, "COOPERATIVE") == 0;
}

/* Nobody would read the partitions: the group has to find somebody else. */
static void give_up_memory(pl_consumer *c)
{
    pl_log(c->log, PL_ERROR, "out of memory: the group is left", PL_F_CSTR("group", c->group));
    pl_consumer_close(c, 0);
}

void pl_consumer_take(pl_consumer *c, const rd_kafka_topic_partition_list_t *partitions)
{
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &partitions->elems[i];
        if (!pl_consumer_find(c, at->topic, at->partition) && !pl_partition_new(c, at->topic, at->partition))
            give_up_memory(c);
    }
    pl_consumer_begin_epoch(c);
    if (c->transactor && !c->epoch)
        give_up_memory(c);
    if (partitions->cnt > 0 && c->ops.assigned)
        c->ops.assigned(c->data);
    if (partitions->cnt > 0)
        pl_log(c->log, PL_INFO, "partitions assigned", PL_F_CSTR("group", c->group),
               PL_F_CSTR("topic", partitions->elems[0].topic), PL_F_INT("partitions", partitions->cnt));
    assign(c, partitions, is_cooperative(c));
}

/* librdkafka waits for an answer. What is taken of a group that rebalances bit by bit is given back, unread,
 * when the group is left. */
void pl_consumer_refuse(pl_consumer *c, const rd_kafka_topic_partition_list_t *partitions)
{
    bool incremental = is_cooperative(c);
    assign(c, incremental ? partitions : NULL, incremental);
}

static void on_assigned(pl_consumer *c, const rd_kafka_topic_partition_list_t *partitions)
{
    if (c->start != PL_FROM_TIME || partitions->cnt == 0) {
        pl_consumer_take(c, partitions);
    } else if (!pl_consumer_start_by_time(c, partitions)) {
        give_up_memory(c);
        pl_consumer_refuse(c, partitions);
    }
}

/* --- partitions go --- */
static void unassign(pl_consumer *c)
{
    rd_kafka_topic_partition_list_t *partitions = c->revoking;
    rd_kafka_error_t *error = NULL;
    c->revoking = NULL;
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &partitions->elems[i];
        pl_partition *p = pl_consumer_find(c, at->topic, at->partition);
        if (p)
            pl_partition_leave(p);
    }
    if (is_cooperative(c))
        error = rd_kafka_incremental_unassign(c->client, partitions);
    else
        rd_kafka_assign(c->client, NULL);
    if (error)
        rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(partitions);
    c->final_commit = false;
}

static bool is_leaving(const pl_consumer *c, const pl_partition *p)
{
    return p->leaving || c->closing;
}

/* Whether something of the partitions that go is still handled. */
static bool is_busy(const pl_consumer *c)
{
    for (const pl_partition *p = c->partitions; p; p = p->next) {
        if (is_leaving(c, p) && pl_flow_running(p->flow) > 0)
            return true;
    }
    return false;
}

static void cancel_leaving(pl_consumer *c)
{
    pl_log(c->log, PL_WARN, "handlers are cancelled: their partitions have to go",
           PL_F_CSTR("group", c->group));
    for (pl_partition *p = c->partitions; p; p = p->next) {
        if (is_leaving(c, p))
            cancel_partition(c, p);
    }
}

static void on_revoked(pl_consumer *c, const rd_kafka_topic_partition_list_t *partitions)
{
    uint64_t now = c->host->ops->now(c->host);
    unsigned wait = c->options.leave_ms ? c->options.leave_ms : 30000;
    pl_consumer_forget_start(c);
    if (c->revoking)
        rd_kafka_topic_partition_list_destroy(c->revoking);
    c->revoking = rd_kafka_topic_partition_list_copy(partitions);
    c->leave_by = now + wait;
    c->leaving_told = c->leaving_waits = false;
    c->final_commit = false;
    for (int i = 0; i < partitions->cnt; i++) {
        pl_partition *p = pl_consumer_find(c, partitions->elems[i].topic, partitions->elems[i].partition);
        if (p)
            p->leaving = true;
    }
    if (partitions->cnt > 0)
        pl_log(c->log, PL_INFO, "partitions revoked", PL_F_CSTR("group", c->group),
               PL_F_CSTR("topic", partitions->elems[0].topic), PL_F_INT("partitions", partitions->cnt));
}

static void on_rebalance(pl_consumer *c, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *partitions = rd_kafka_event_topic_partition_list(event);
    rd_kafka_resp_err_t what = rd_kafka_event_error(event);
    c->stats.rebalances++;
    if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !c->closing) {
        on_assigned(c, partitions);
    } else if (what == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        on_revoked(c, partitions);
    } else if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        pl_consumer_refuse(c, partitions);
    } else {
        pl_log(c->log, PL_WARN, "rebalance failed", PL_F_CSTR("group", c->group),
               PL_F_CSTR("error", rd_kafka_err2str(what)));
        rd_kafka_assign(c->client, NULL);
    }
}

/* --- the end --- */
static void begin_close(pl_consumer *c)
{
    c->close_begun = true;
    cancel_gone(c);
    if (c->shares)
        rd_kafka_assign(c->client, NULL);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(c->client, c->queue);
    if (error) {
        pl_log(c->log, PL_WARN, "the group was not left", PL_F_CSTR("group", c->group),
               PL_F_CSTR("error", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
    }
}

static void tell_closed(pl_consumer *c)
{
    c->closed = true;
    c->host->ops->timer_stop(c->host, &c->timer);
    if (c->ops.closed)
        c->ops.closed(c->data);
}

/* What is handled of partitions that go is done, or time is over: the last offsets, then they go. */
void pl_consumer_settle(pl_consumer *c)
{
    uint64_t now = c->host->ops->now(c->host);
    bool going = c->revoking || (c->closing && !c->close_begun);
    bool lost = c->revoking && rd_kafka_assignment_lost(c->client);
    bool overdue = (c->revoking && now >= c->leave_by) || (c->closing && now >= c->close_by);
    if (!going)
        return;
    if (is_busy(c)) {
        if (!lost && !overdue)
            return;
        if (!lost)
            cancel_leaving(c);
    }
    if (!lost && !overdue) {
        if (c->committing)
            return;
        if (!c->final_commit) {
            c->final_commit = true;
            if (pl_consumer_commit(c))
                return;
        }
    }
    if ((c->revoking || c->shares) && !c->leaving_told && c->ops.leaving) {
        c->leaving_told = true;
        c->leaving_waits = c->ops.leaving(c->data, lost);
    }
    if (c->leaving_waits && !overdue)
        return;
    if (c->revoking)
        unassign(c);
    if (c->closing && !c->close_begun)
        begin_close(c);
}

void pl_consumer_close(pl_consumer *c, unsigned timeout_ms)
{
    if (c->closing)
        return;
    c->closing = true;
    atomic_store(&c->ends, true);
    c->final_commit = false;
    c->close_by = c->host->ops->now(c->host) + timeout_ms;
    pl_consumer_wake(c);
}

/* --- what librdkafka tells --- */
static void on_error(pl_consumer *c, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    char why[512] = "";
    bool fatal = rd_kafka_event_error_is_fatal(event) || code == RD_KAFKA_RESP_ERR__FATAL;
    bool network = code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
                   code == RD_KAFKA_RESP_ERR__RESOLVE; /* logged by librdkafka itself */
    if (fatal)
        rd_kafka_fatal_error(c->client, why, sizeof why);
    pl_log(c->log,
           fatal     ? PL_ERROR
           : network ? PL_DEBUG
                     : PL_WARN,
           fatal ? "consumer ended" : "consumer", PL_F_CSTR("group", c->group),
           PL_F_CSTR("error", fatal ? why : rd_kafka_event_error_string(event)));
    if (fatal)
        pl_consumer_close(c, 0);
}

static void on_event(pl_consumer *c, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_REBALANCE:
        on_rebalance(c, event);
        break;
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
        pl_consumer_on_commit(c, event);
        break;
    case RD_KAFKA_EVENT_ERROR:
        on_error(c, event);
        break;
    default:
        break;
    }
    rd_kafka_event_destroy(event);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* librdkafka 2.0 ends the process when a commit comes while it is about to end a group: once it is told to,
 * the only ones are those of partitions that it takes back, for which it waits. */
static bool may_commit(const pl_consumer *c)
{
    return !c->close_begun || c->revoking;
}

static void set_timer(pl_consumer *c, uint64_t now, uint64_t wake)
{
    uint64_t at = earliest(wake, now + (c->close_begun ? CLOSING_POLL_MS : POLL_MS));
    if (may_commit(c) && c->commit_at && !c->committing)
        at = earliest(at, c->commit_at);
    if (c->look_at && !c->closing)
        at = earliest(at, c->look_at);
    if (c->revoking)
        at = earliest(at, c->leave_by);
    if (c->closing && !c->close_begun)
        at = earliest(at, c->close_by);
    if (c->host->ops->timer_start(c->host, &c->timer, at) != 0)
        pl_consumer_wake(c); /* no memory: at once, rather than never */
}

void pl_consumer_poll(pl_consumer *c)
{
    uint64_t count, now = c->host->ops->now(c->host);
    rd_kafka_event_t *event;
    if (c->closed)
        return;
    while (read(c->fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
    c->woken = false;
    while ((event = rd_kafka_queue_poll(c->queue, 0)))
        on_event(c, event);
    pl_consumer_start_again(c, now);
    uint64_t wake = pl_consumer_hand_out(c, now);
    if (may_commit(c) && c->commit_at && now >= c->commit_at)
        pl_consumer_commit(c);
    if (c->look_at && now >= c->look_at)
        pl_consumer_look(c);
    pl_consumer_settle(c);
    if (c->close_begun && !c->committing && !c->starting && !c->preparing &&
        rd_kafka_consumer_closed(c->client)) {
        tell_closed(c);
        return;
    }
    if (wake <= now)
        pl_consumer_wake(c);
    set_timer(c, now, wake);
}

/* --- settings, and what is to be known --- */
void pl_consumer_set_options(pl_consumer *c, const pl_consumer_options *options)
{
    c->options = *options;
    for (pl_partition *p = c->partitions; p; p = p->next)
        pl_flow_configure(p->flow, &options->flow);
    pl_consumer_wake(c);
}

void pl_consumer_hold(pl_consumer *c, pl_holder holder, bool held)
{
    unsigned before = c->held;
    c->held = held ? before | holder : before & ~(unsigned)holder;
    if (c->held != before)
        pl_consumer_wake(c);
}

void pl_consumer_release(pl_consumer *c)
{
    c->leaving_waits = false;
    pl_consumer_wake(c);
}

pl_consumer_stats pl_consumer_get_stats(const pl_consumer *c)
{
    pl_consumer_stats stats = c->stats;
    stats.running = c->running;
    for (const pl_partition *p = c->partitions; p; p = p->next)
        stats.in_hand += pl_flow_count(p->flow);
    return stats;
}

int64_t pl_partition_position(const pl_partition *p)
{
    int64_t next = pl_flow_next_offset(p->flow);
    if (p->last < 0 && p->consumer->start == PL_FROM_LATEST)
        return p->end; /* of a partition without commit the next owner would begin at an end that is later */
    return p->end > p->last && next == p->last + 1 ? p->end : next;
}

/* Of the last fetch: the markers of transactions count as records, but for those behind the last record. */
static int64_t lag_of(const pl_consumer *c, const pl_partition *p)
{
    int64_t low = -1, high = -1, next = pl_partition_position(p);
    if (rd_kafka_get_watermark_offsets(c->client, p->topic, p->partition, &low, &high) || high < 0)
        return -1;
    if (next == PL_NO_OFFSET)
        return p->end >= 0 && p->last < 0 ? 0 : -1;
    return high > next ? high - next : 0;
}

bool pl_consumer_partition(const pl_consumer *c, size_t index, pl_partition_stats *out)
{
    const pl_partition *p = c->partitions;
    while (p && index-- > 0)
        p = p->next;
    if (!p)
        return false;
    *out = (pl_partition_stats){.topic = p->topic,
                                .partition = p->partition,
                                .next_offset = pl_partition_position(p),
                                .lag = lag_of(c, p),
                                .in_hand = pl_flow_count(p->flow)};
    return true;
}
