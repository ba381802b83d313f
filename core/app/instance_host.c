/* SPDX-License-Identifier: MIT */
#include "app/instance_host.h"

#include "app/events.h"
#include "app/generation.h"
#include "app/grpc_clients.h"
#include "app/health.h"
#include "app/proto_load.h"
#include "app/reads.h"
#include "app/response_cache.h"
#include "app/schemas.h"
#include "app/topic_ask.h"
#include "app/topics.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "value/mailbox.h"

static pl_instance *instance_of(pl_host *host)
{
    return host->owner;
}

static uint64_t now(pl_host *host)
{
    pl_host *loop = instance_of(host)->loop;
    return loop ? loop->ops->now(loop) : pl_clock_ms();
}

static void read_clock(pl_host *host, uint64_t *monotonic, uint64_t *utc)
{
    (void)host;
    *monotonic = pl_clock(CLOCK_MONOTONIC);
    if (utc)
        *utc = pl_clock(CLOCK_REALTIME);
}

/* --- timers: the loop has one for all --- */
static int set_turn(pl_instance *instance)
{
    uint64_t next = pl_timers_next(&instance->armed);
    if (next != UINT64_MAX)
        return instance->loop->ops->timer_start(instance->loop, &instance->turn, next);
    instance->loop->ops->timer_stop(instance->loop, &instance->turn);
    return 0;
}

static void turn(pl_timer *timer)
{
    pl_instance *instance = timer->data;
    uint64_t at = now(&instance->host);
    /* First of all, as this cannot fail: the loop has just given up its place. To set it anew later cannot
     * fail either. */
    instance->loop->ops->timer_start(instance->loop, timer, at + 1);
    pl_timers_run(&instance->armed, at);
    set_turn(instance);
}

static int timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    pl_instance *instance = instance_of(host);
    if (!instance->loop || pl_timers_start(&instance->armed, timer, at) != 0)
        return -1;
    if ((instance->turn.index != 0 && instance->turn.at <= at) || set_turn(instance) == 0)
        return 0;
    pl_timers_stop(&instance->armed, timer);
    return -1;
}

static void timer_stop(pl_host *host, pl_timer *timer)
{
    pl_instance *instance = instance_of(host);
    pl_timers_stop(&instance->armed, timer);
    if (instance->loop && !instance->armed.running && pl_timers_next(&instance->armed) == UINT64_MAX)
        set_turn(instance);
}

/* --- jobs --- */
typedef struct counted_job {
    pl_job job; /* first */
    pl_job *inner;
    pl_instance *instance;
} counted_job;

static void run(pl_job *job)
{
    pl_job *inner = ((counted_job *)job)->inner;
    inner->run(inner);
}

static void done(pl_job *job)
{
    counted_job *counted = (counted_job *)job;
    pl_job *inner = counted->inner;
    pl_instance *instance = counted->instance;
    pl_free(counted);
    inner->done(inner);
    instance->in_flight--;
}

static int offload(pl_host *host, pl_job *job, const void *lane)
{
    pl_host *loop = instance_of(host)->loop;
    counted_job *counted = loop ? pl_calloc(1, sizeof *counted) : NULL;
    if (!counted)
        return -1;
    *counted = (counted_job){.job = {.run = run, .done = done}, .inner = job, .instance = instance_of(host)};
    counted->instance->in_flight++;
    if (loop->ops->offload(loop, &counted->job, lane) == 0)
        return 0;
    counted->instance->in_flight--;
    pl_free(counted);
    return -1;
}

/* --- events --- */
static int subscribe(pl_host *host, pl_str topic, pl_subscriber *subscriber)
{
    pl_instance *instance = instance_of(host);
    return instance->pubsub ? pl_pubsub_subscribe(instance->pubsub, host, topic, subscriber) : -1;
}

static void unsubscribe(pl_host *host, pl_subscriber *subscriber)
{
    pl_pubsub_unsubscribe(instance_of(host)->pubsub, subscriber);
}

static pl_code publish(pl_host *host, pl_str topic, pl_str json, pl_error *err)
{
    pl_instance *instance = instance_of(host);
    if (!instance->pubsub)
        return pl_fail(err, PL_UNAVAILABLE, "there is no server any more");
    return pl_pubsub_publish(instance->pubsub, topic, json, err);
}

static pl_code produce(pl_host *host, const pl_outgoing *event, pl_delivery *delivery, bool *waits,
                       pl_error *err)
{
    pl_instance *instance = instance_of(host);
    if (!instance->events)
        return pl_fail(err, PL_UNAVAILABLE, "there is no server any more");
    return pl_events_produce(instance->events, event, delivery, waits, err);
}

static pl_code read_topic(pl_host *host, const pl_read_spec *spec, pl_source **out, pl_error *err)
{
    pl_instance *instance = instance_of(host);
    if (!instance->reads)
        return pl_fail(err, PL_UNAVAILABLE, "there is no server any more");
    return pl_reads_open(instance->reads, instance, spec, out, err);
}

static pl_code ask_topic(pl_host *host, const pl_topic_want *want, pl_topic_asker *asker, pl_error *err)
{
    pl_instance *instance = instance_of(host);
    if (!instance->loop)
        return pl_fail(err, PL_UNAVAILABLE, "there is no server any more");
    return pl_topic_ask(instance, want, asker, err);
}

static const pl_topic_defaults *topic_defaults(pl_host *host, pl_str topic)
{
    const pl_instance *instance = instance_of(host);
    return instance->generation ? pl_schemas_config_topic(&instance->generation->config.schemas, topic)
                                : NULL;
}

static pl_code ask_schema(pl_host *host, const pl_schema_want *want, pl_schema_asker *asker, pl_error *err)
{
    pl_instance *instance = instance_of(host);
    if (!instance->schemas)
        return pl_fail(err, PL_UNAVAILABLE, "there is no server any more");
    const pl_schema_sources sources = {.bundle = instance->generation->bundle,
                                       .protos = pl_protos_pool(instance->generation->protos),
                                       .config = &instance->generation->config.schemas};
    return pl_schemas_ask(instance->schemas, &sources, want, asker, &instance->in_flight, err);
}

static pl_code subscribe_topic(pl_host *host, pl_str topic, pl_subscriber *subscriber, pl_error *err)
{
    pl_instance *instance = instance_of(host);
    if (!instance->topics)
        return pl_fail(err, PL_UNAVAILABLE, "there is no server any more");
    return pl_topics_subscribe(instance->topics, instance, topic, subscriber, err);
}

static pl_code topic_state(pl_host *host, pl_str topic, bool *placed, pl_error *err)
{
    pl_instance *instance = instance_of(host);
    if (!instance->topics)
        return pl_fail(err, PL_UNAVAILABLE, "there is no server any more");
    return pl_topics_state(instance->topics, topic, placed, err);
}

static pl_str pubsub_topic(pl_host *host)
{
    const pl_instance *instance = instance_of(host);
    return instance->generation ? instance->generation->config.pubsub_topic : PL_STR_NONE;
}

/* --- cached responses --- */
pl_code pl_instance_purge(pl_instance *instance, pl_str type, pl_str id, size_t *dropped, pl_error *err)
{
    pl_arena arena;
    gql_cache_tags tags;
    pl_code code = PL_OK;
    *dropped = 0;
    if (!type.ptr) {
        *dropped = instance->cache ? pl_response_cache_purge_all(instance->cache) : 0;
        return PL_OK;
    }
    if (!instance->binding)
        return pl_fail(err, PL_NOT_FOUND, "the bundle has no schema");
    pl_arena_init(&arena, 0);
    code = gql_cache_purge_tags(instance->binding->schema, type, id, &arena, &tags, err);
    if (!code && instance->cache)
        *dropped = pl_response_cache_purge(instance->cache, &tags);
    pl_arena_dispose(&arena);
    return code;
}

static pl_code purge(pl_host *host, pl_str type, pl_str id, size_t *dropped, pl_error *err)
{
    return pl_instance_purge(instance_of(host), type, id, dropped, err);
}

/* --- health --- */
static pl_code set_health(pl_host *host, pl_str service, int serving, pl_error *err)
{
    pl_health_hub *hub = instance_of(host)->health;
    pl_health status = serving < 0    ? PL_HEALTH_UNKNOWN
                       : serving == 0 ? PL_HEALTH_NOT_SERVING
                                      : PL_HEALTH_SERVING;
    return hub ? pl_health_hub_set(hub, service, status, err) : PL_OK;
}

/* --- remote procedures --- */
static pl_code remote(pl_host *host, const pl_remote_config *config, pl_remote **out, pl_error *err)
{
    pl_instance *instance = instance_of(host);
    if (!instance->clients)
        return pl_fail(err, PL_UNAVAILABLE, "there is no server any more");
    return pl_grpc_clients_open(instance->clients, instance, config, out, err);
}

/* --- messages from other threads --- */
static pl_mailbox *mailbox(pl_host *host)
{
    pl_instance *instance = instance_of(host);
    pl_mailbox *loop =
        instance->loop && instance->loop->ops->mailbox ? instance->loop->ops->mailbox(instance->loop) : NULL;
    if (!instance->mailbox && loop)
        instance->mailbox = pl_mailbox_below(loop);
    return instance->mailbox;
}

void pl_instance_host_init(pl_instance *instance, pl_host *loop, pl_pubsub *pubsub)
{
    static const pl_host_ops ops = {.now = now,
                                    .clock = read_clock,
                                    .timer_start = timer_start,
                                    .timer_stop = timer_stop,
                                    .offload = offload,
                                    .subscribe = subscribe,
                                    .unsubscribe = unsubscribe,
                                    .publish = publish,
                                    .purge = purge,
                                    .set_health = set_health,
                                    .produce = produce,
                                    .read = read_topic,
                                    .ask_topic = ask_topic,
                                    .topic_defaults = topic_defaults,
                                    .ask_schema = ask_schema,
                                    .subscribe_topic = subscribe_topic,
                                    .topic_state = topic_state,
                                    .pubsub_topic = pubsub_topic,
                                    .remote = remote,
                                    .mailbox = mailbox};
    instance->loop = loop;
    instance->pubsub = pubsub;
    instance->turn = (pl_timer){.fire = turn, .data = instance};
    instance->host = (pl_host){
        .ops = &ops, .owner = instance, .log = loop->log, .shared = loop->shared, .meter = loop->meter};
}

bool pl_instance_is_quiet(const pl_instance *instance)
{
    return instance->in_flight == 0 && pl_timers_next(&instance->armed) == UINT64_MAX;
}

void pl_instance_host_leave(pl_instance *instance)
{
    if (instance->pubsub)
        pl_pubsub_end(instance->pubsub, &instance->host, NULL);
    instance->pubsub = NULL;
    instance->events = NULL;
    if (instance->reads)
        pl_reads_leave(instance->reads, instance);
    instance->reads = NULL;
    instance->schemas = NULL;
    instance->topics = NULL;
    if (instance->clients)
        pl_grpc_clients_leave(instance->clients, instance);
    instance->clients = NULL;
    instance->host.meter = NULL;
    pl_mailbox_close(instance->mailbox);
    if (instance->turn.index != 0)
        instance->loop->ops->timer_stop(instance->loop, &instance->turn);
    instance->loop = NULL;
}
