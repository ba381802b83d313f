/* SPDX-License-Identifier: MIT */
#include <regex.h>
#include <unistd.h>

#include "base/alloc.h"
#include "events/consumer_internal.h"

/* The topics that a consumer writes itself, for retries and dead letters, are made before it joins its group:
 * with as many partitions as the topic that they are for. Brokers that make topics when they are first asked
 * for have them then already. By a helper thread. */

#define ASK_MS 10000
#define AWAIT_MS 100
#define AWAITED 50
#define LOOK_MS 2000 /* for more partitions of a share */

typedef struct pl_topics_job topics_job;
struct pl_topics_job {
    pl_job job; /* first */
    pl_consumer *consumer;
    rd_kafka_topic_partition_list_t *share;
    pl_error err; /* PL_OK: all are there */
};

/* -1: it is not there, or cannot be asked for. */
static int partitions_of(rd_kafka_t *client, const char *name)
{
    const struct rd_kafka_metadata *metadata;
    int count = -1;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    if (!topic)
        return -1;
    if (rd_kafka_metadata(client, 0, topic, &metadata, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (metadata->topic_cnt == 1 && !metadata->topics[0].err)
            count = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
    return count;
}

static void note(topics_job *job, rd_kafka_resp_err_t code, const char *topic, const char *why)
{
    if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        pl_fail(&job->err, pl_kafka_code(code), "%s: %s", topic, why ? why : rd_kafka_err2str(code));
}

static void make_topic(topics_job *job, const char *name, int partitions)
{
    rd_kafka_t *client = job->consumer->client;
    char why[256] = "";
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, -1, why, sizeof why);
    rd_kafka_event_t *event = NULL;
    size_t count = 0;
    if (!topic) {
        note(job, RD_KAFKA_RESP_ERR__INVALID_ARG, name, why);
        goto done;
    }
    rd_kafka_AdminOptions_set_request_timeout(options, ASK_MS, NULL, 0);
    rd_kafka_CreateTopics(client, &topic, 1, options, queue);
    event = rd_kafka_queue_poll(queue, 2 * ASK_MS);
    if (!event || rd_kafka_event_error(event)) {
        note(job, event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT, name,
             event ? rd_kafka_event_error_string(event) : NULL);
        goto done;
    }
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    if (count == 1)
        note(job, rd_kafka_topic_result_error(results[0]), name,
             rd_kafka_topic_result_error_string(results[0]));
done:
    if (event)
        rd_kafka_event_destroy(event);
    if (topic)
        rd_kafka_NewTopic_destroy(topic);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
}

/* Brokers hear of it one after the other; who subscribes before that looks again only after a long time. */
static void await(rd_kafka_t *client, const char *name)
{
    for (int i = 0; i < AWAITED && partitions_of(client, name) < 0; i++)
        usleep(AWAIT_MS * 1000);
}

static void make_own_topics(topics_job *job)
{
    const pl_consumer *c = job->consumer;
    int partitions = c->own_topics->cnt ? partitions_of(c->client, c->subscription->elems[0].topic) : 0;
    for (int i = 0; i < c->own_topics->cnt; i++) {
        const char *name = c->own_topics->elems[i].topic;
        if (partitions_of(c->client, name) >= 0)
            continue;
        make_topic(job, name, partitions > 0 ? partitions : -1);
        await(c->client, name);
    }
}

static void add_share(topics_job *job, const char *topic, int partitions)
{
    const pl_consumer *c = job->consumer;
    for (int i = 0; i < partitions; i++) {
        if ((unsigned)i % c->shares == c->share && !rd_kafka_topic_partition_list_find(job->share, topic, i))
            rd_kafka_topic_partition_list_add(job->share, topic, i);
    }
}

/* Those of a regular expression: of all topics that there are. */
static void find_matching(topics_job *job, const char *pattern)
{
    const struct rd_kafka_metadata *metadata;
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return;
    if (rd_kafka_metadata(job->consumer->client, 1, NULL, &metadata, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        for (int i = 0; i < metadata->topic_cnt; i++) {
            if (regexec(&regex, metadata->topics[i].topic, 0, NULL, 0) == 0)
                add_share(job, metadata->topics[i].topic, metadata->topics[i].partition_cnt);
        }
        rd_kafka_metadata_destroy(metadata);
    }
    regfree(&regex);
}

static void find_share(topics_job *job)
{
    const pl_consumer *c = job->consumer;
    for (int i = 0; i < c->subscription->cnt; i++) {
        const char *name = c->subscription->elems[i].topic;
        if (name[0] == '^')
            find_matching(job, name);
        else
            add_share(job, name, partitions_of(c->client, name));
    }
}

static void run(pl_job *base)
{
    topics_job *job = (topics_job *)base;
    const pl_consumer *c = job->consumer;
    /* The embedded broker makes topics when they are first asked for, and by no other way. */
    if (!c->prepared && !c->shares && c->subscription->elems[0].topic[0] != '^')
        make_own_topics(job);
    if (c->shares)
        find_share(job);
}

static void take_share(pl_consumer *c, const rd_kafka_topic_partition_list_t *share)
{
    c->look_at = c->host->ops->now(c->host) + LOOK_MS;
    if (share->cnt > (int)c->stats.partitions)
        pl_consumer_take(c, share);
}

static void made(pl_job *base)
{
    topics_job *job = (topics_job *)base;
    pl_consumer *c = job->consumer;
    if (job->err.code)
        pl_log(c->log, PL_WARN, "topics of a consumer are missing, and cannot be made",
               PL_F_CSTR("group", c->group), PL_F_CSTR("error", job->err.message));
    c->preparing = false;
    c->prepared = true;
    if (!c->closed && !c->closing) {
        if (c->shares)
            take_share(c, job->share);
        else
            pl_consumer_subscribe(c);
    }
    rd_kafka_topic_partition_list_destroy(job->share);
    pl_free(job);
    pl_consumer_wake(c);
}

static bool begin(pl_consumer *c)
{
    topics_job *job = pl_calloc(1, sizeof *job);
    if (!job)
        return false;
    *job = (topics_job){.job = {.run = run, .done = made}, .consumer = c};
    job->share = rd_kafka_topic_partition_list_new(8);
    c->preparing = c->host->ops->offload(c->host, &job->job, c) == 0;
    if (!c->preparing) {
        rd_kafka_topic_partition_list_destroy(job->share);
        pl_free(job);
    }
    return c->preparing;
}

void pl_consumer_look(pl_consumer *c)
{
    c->look_at = c->host->ops->now(c->host) + LOOK_MS;
    if (!c->preparing && !c->closing)
        begin(c);
}

bool pl_consumer_prepare(pl_consumer *c)
{
    if (!c->shares && c->own_topics->cnt == 0)
        return false;
    c->look_at = c->shares ? c->host->ops->now(c->host) + LOOK_MS : 0;
    return begin(c) || c->shares; /* a share is looked for again */
}
