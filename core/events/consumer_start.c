/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "events/consumer_internal.h"

/* Partitions of which the group has committed nothing are read from a point in time: brokers are asked which
 * offset that is, by a helper thread, until they have answered. */

#define ASK_MS 10000
#define AGAIN_MS 1000

static const char lane; /* of all who ask: brokers that are out of reach hold up one helper */

typedef struct pl_start_job start_job;
struct pl_start_job {
    pl_job job; /* first */
    pl_consumer *consumer;
    rd_kafka_topic_partition_list_t *partitions;
    rd_kafka_resp_err_t error;
    bool forgotten;    /* they have gone again */
    uint64_t again_at; /* not 0: it is not under way, but asked again then */
};

/* Those that have a committed offset keep it. */
static void ask(pl_job *base)
{
    start_job *job = (start_job *)base;
    pl_consumer *c = job->consumer;
    rd_kafka_topic_partition_list_t *list = job->partitions;
    if (atomic_load(&c->ends))
        return;
    rd_kafka_topic_partition_list_t *open = rd_kafka_topic_partition_list_new(list->cnt);
    job->error = rd_kafka_committed(c->client, list, ASK_MS);
    for (int i = 0; i < list->cnt && !job->error; i++) {
        job->error = list->elems[i].err;
        if (list->elems[i].offset < 0)
            rd_kafka_topic_partition_list_add(open, list->elems[i].topic, list->elems[i].partition)->offset =
                c->start_time;
    }
    if (!job->error && open->cnt > 0)
        job->error = rd_kafka_offsets_for_times(c->client, open, ASK_MS);
    for (int i = 0; i < open->cnt && !job->error; i++) {
        const rd_kafka_topic_partition_t *at = &open->elems[i];
        if ((job->error = at->err))
            break;
        rd_kafka_topic_partition_list_find(list, at->topic, at->partition)->offset =
            at->offset >= 0 ? at->offset : RD_KAFKA_OFFSET_END; /* nothing is so young */
    }
    rd_kafka_topic_partition_list_destroy(open);
}

static void free_job(start_job *job)
{
    rd_kafka_topic_partition_list_destroy(job->partitions);
    pl_free(job);
}

/* It is over, one way or the other. */
static void end(start_job *job)
{
    pl_consumer *c = job->consumer;
    if (c->starting == job)
        c->starting = NULL;
    if (!job->forgotten && !c->closed) {
        if (c->closing)
            pl_consumer_refuse(c, job->partitions);
        else
            pl_consumer_take(c, job->partitions);
    }
    free_job(job);
    pl_consumer_wake(c);
}

static void ask_later(start_job *job)
{
    job->again_at = job->consumer->host->ops->now(job->consumer->host) + AGAIN_MS;
}

static void asked(pl_job *base)
{
    start_job *job = (start_job *)base;
    const pl_consumer *c = job->consumer;
    if (!job->error || job->forgotten || c->closing) {
        end(job);
        return;
    }
    pl_log(c->log, PL_WARN, "offsets by time are not known yet, asked again", PL_F_CSTR("group", c->group),
           PL_F_CSTR("error", rd_kafka_err2str(job->error)));
    ask_later(job);
}

static void begin(start_job *job)
{
    pl_consumer *c = job->consumer;
    job->again_at = 0;
    if (c->host->ops->offload(c->host, &job->job, &lane) != 0)
        ask_later(job);
}

bool pl_consumer_start_by_time(pl_consumer *c, const rd_kafka_topic_partition_list_t *partitions)
{
    start_job *job = pl_calloc(1, sizeof *job);
    if (!job)
        return false;
    *job = (start_job){.job = {.run = ask, .done = asked}, .consumer = c};
    job->partitions = rd_kafka_topic_partition_list_copy(partitions);
    c->starting = job;
    begin(job);
    return true;
}

void pl_consumer_start_again(pl_consumer *c, uint64_t now)
{
    start_job *job = c->starting;
    if (!job || job->again_at == 0)
        return;
    if (c->closing)
        end(job);
    else if (now >= job->again_at)
        begin(job);
}

/* A job that is under way frees itself. */
void pl_consumer_forget_start(pl_consumer *c)
{
    start_job *job = c->starting;
    if (!job)
        return;
    job->forgotten = true;
    if (job->again_at)
        end(job);
}
