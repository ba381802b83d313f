/* SPDX-License-Identifier: MIT */
#include <regex.h>
#include <string.h>

#include "base/alloc.h"
#include "events/consumer_internal.h"
#include "value/topic.h"

/* The topics that a consumer writes itself, for retries and dead letters, are made before it joins its group:
 * with as many partitions as the topic that they are for. Brokers that make topics when they are first asked
 * for have them then already. By a helper thread. While brokers cannot be
 * reached, or have not all come up, it is tried again: meanwhile the consumer reads what there is. */

#define ASK_MS 10000
#define LOOK_MS 2000   /* for more partitions of a share */
#define AGAIN_MS 10000 /* after topics could not be made */

static const char lane; /* of all that ask again: brokers that are out of reach hold up one helper */

typedef struct pl_topics_job topics_job;
struct pl_topics_job {
    pl_job job; /* first */
    pl_consumer *consumer;
    rd_kafka_topic_partition_list_t *share;
    pl_error err; /* PL_OK: all are there */
};

/* How many partitions it has by now; 0: it is not there, or cannot be asked for. */
static unsigned ensure(topics_job *job, const char *name, unsigned partitions)
{
    const pl_topic_want want = {.name = pl_str_of(name), .partitions = partitions};
    unsigned count = 0;
    pl_error err;
    pl_error_clear(&err);
    if (pl_topics_ensure_by(job->consumer->client, &want, &count, &err) != PL_OK)
        job->err = err;
    return count;
}

/* Waiting may help. */
static bool may_pass(const topics_job *job)
{
    return job->err.code == PL_UNAVAILABLE || job->err.code == PL_DEADLINE_EXCEEDED;
}

static void make_own_topics(topics_job *job)
{
    const pl_consumer *c = job->consumer;
    unsigned partitions = c->own_topics->cnt ? ensure(job, c->subscription->elems[0].topic, 0) : 0;
    for (int i = 0; i < c->own_topics->cnt && !may_pass(job) && !atomic_load(&c->ends); i++)
        ensure(job, c->own_topics->elems[i].topic, partitions ? partitions : 1);
}

static void add_share(topics_job *job, const char *topic, unsigned partitions)
{
    const pl_consumer *c = job->consumer;
    for (unsigned i = c->share; i < partitions; i += c->shares) {
        if (!rd_kafka_topic_partition_list_find(job->share, topic, (int32_t)i))
            rd_kafka_topic_partition_list_add(job->share, topic, (int32_t)i);
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
                add_share(job, metadata->topics[i].topic, (unsigned)metadata->topics[i].partition_cnt);
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
            add_share(job, name, ensure(job, name, 0));
    }
}

static void run(pl_job *base)
{
    topics_job *job = (topics_job *)base;
    const pl_consumer *c = job->consumer;
    if (atomic_load(&c->ends))
        return;
    if (!c->prepared && c->subscription->elems[0].topic[0] != '^')
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

/* A job that is under way reads the list. */
static void take_next_own(pl_consumer *c)
{
    if (!c->next_own_topics || c->preparing)
        return;
    rd_kafka_topic_partition_list_destroy(c->own_topics);
    c->own_topics = c->next_own_topics;
    c->next_own_topics = NULL;
    c->prepared = false;
    c->look_at = c->host->ops->now(c->host);
    pl_consumer_wake(c);
}

static void made(pl_job *base)
{
    topics_job *job = (topics_job *)base;
    pl_consumer *c = job->consumer;
    bool first = !c->asked, again = may_pass(job);
    if (job->err.code && !c->prepared)
        pl_log(c->log, PL_WARN,
               again ? "topics of a consumer cannot be looked for or made, tried again"
                     : "topics of a consumer are missing, and cannot be made",
               PL_F_CSTR("group", c->group), PL_F_CSTR("error", job->err.message));
    c->preparing = false;
    c->prepared |= !again;
    c->asked = true;
    if (!c->closed && !c->closing) {
        c->look_at = again ? c->host->ops->now(c->host) + AGAIN_MS : 0;
        if (c->shares)
            take_share(c, job->share);
        else if (first)
            pl_consumer_subscribe(c);
        take_next_own(c);
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
    /* At first all at once: those that came into their group one by one would have it rebalance each time. */
    const void *in = c->asked ? (const void *)&lane : c;
    c->preparing = c->host->ops->offload(c->host, &job->job, in) == 0;
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
    c->asked = !c->shares && c->own_topics->cnt == 0;
    if (c->asked)
        return false;
    c->look_at = c->host->ops->now(c->host) + LOOK_MS;
    if (begin(c) || c->shares)
        return true; /* a share is looked for again */
    c->asked = true; /* so are own topics, but it reads */
    return false;
}

static bool is_list(const rd_kafka_topic_partition_list_t *list, const char *const *names, size_t count)
{
    bool same = list->cnt == (int)count;
    for (size_t i = 0; same && i < count; i++)
        same = strcmp(list->elems[i].topic, names[i]) == 0;
    return same;
}

void pl_consumer_set_own_topics(pl_consumer *c, const char *const *names, size_t count)
{
    if (is_list(c->next_own_topics ? c->next_own_topics : c->own_topics, names, count))
        return;
    if (c->next_own_topics)
        rd_kafka_topic_partition_list_destroy(c->next_own_topics);
    c->next_own_topics = pl_kafka_topics(names, count);
    take_next_own(c);
}
