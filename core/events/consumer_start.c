/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "events/consumer_internal.h"

/* Partitions of which the group has committed nothing are read from a point in time: brokers are asked which
 * offset that is, by a helper thread. */

#define ASK_MS 10000

typedef struct pl_start_job start_job;
struct pl_start_job {
    pl_job job; /* first */
    pl_consumer *consumer;
    rd_kafka_topic_partition_list_t *partitions;
    rd_kafka_resp_err_t error;
    bool forgotten; /* they have gone again */
};

/* Those that have a committed offset keep it. */
static void ask(pl_job *base)
{
    start_job *job = (start_job *)base;
    pl_consumer *c = job->consumer;
    rd_kafka_topic_partition_list_t *list = job->partitions;
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
        job->error = at->err;
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

static void asked(pl_job *base)
{
    start_job *job = (start_job *)base;
    pl_consumer *c = job->consumer;
    if (job->error && !job->forgotten && !c->closed) {
        pl_log(c->log, PL_WARN, "offsets by time are not known yet, asked again",
               PL_F_CSTR("group", c->group), PL_F_CSTR("error", rd_kafka_err2str(job->error)));
        if (c->host->ops->offload(c->host, &job->job, c) == 0)
            return;
    }
    if (c->starting == job)
        c->starting = NULL;
    if (!job->forgotten && !c->closed)
        pl_consumer_take(c, job->partitions);
    free_job(job);
    pl_consumer_wake(c);
}

bool pl_consumer_start_by_time(pl_consumer *c, const rd_kafka_topic_partition_list_t *partitions)
{
    start_job *job = pl_calloc(1, sizeof *job);
    if (!job)
        return false;
    *job = (start_job){.job = {.run = ask, .done = asked}, .consumer = c};
    job->partitions = rd_kafka_topic_partition_list_copy(partitions);
    if (c->host->ops->offload(c->host, &job->job, c) != 0) {
        free_job(job);
        return false;
    }
    c->starting = job;
    return true;
}

/* The job frees itself. */
void pl_consumer_forget_start(pl_consumer *c)
{
    if (c->starting)
        c->starting->forgotten = true;
}
