/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "events/consumer_internal.h"

/* Offsets are committed from time to time, one request on its way at once; with transactions, together with
 * the events that were published while their records were handled, by a helper thread. */

#define RETRY_MS 1000 /* after a commit that has failed */

typedef struct pl_commit_job commit_job;
struct pl_commit_job {
    pl_job job; /* first */
    pl_consumer *consumer;
    rd_kafka_topic_partition_list_t *offsets;
    pl_output *outputs;
    pl_group_epoch *epoch;
    pl_transaction_result result;
    pl_error err;
};

static unsigned interval(const pl_consumer *c)
{
    unsigned standard = c->transactor ? 100 : 1000;
    return c->options.commit_ms ? c->options.commit_ms : standard;
}

void pl_consumer_commit_soon(pl_consumer *c, uint64_t now)
{
    uint64_t at = c->committed_at + interval(c);
    if (c->commit_at == 0)
        c->commit_at = at > now ? at : now;
}

static bool is_behind(const pl_partition *p)
{
    int64_t next = pl_partition_position(p);
    return next != PL_NO_OFFSET && next != p->committed;
}

bool pl_consumer_has_offsets(const pl_consumer *c)
{
    const pl_partition *p = c->partitions;
    while (p && !is_behind(p))
        p = p->next;
    return p;
}

/* NULL: there are none. */
static rd_kafka_topic_partition_list_t *offsets_of(const pl_consumer *c)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    for (const pl_partition *p = c->partitions; p; p = p->next) {
        if (!is_behind(p))
            continue;
        if (!list)
            list = rd_kafka_topic_partition_list_new((int)c->stats.partitions);
        rd_kafka_topic_partition_list_add(list, p->topic, p->partition)->offset = pl_partition_position(p);
    }
    return list;
}

static void committed(pl_consumer *c, const rd_kafka_topic_partition_list_t *offsets)
{
    for (int i = 0; i < offsets->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &offsets->elems[i];
        pl_partition *p = pl_consumer_find(c, at->topic, at->partition);
        if (p && !at->err && at->offset >= 0)
            p->committed = at->offset;
    }
    c->stats.commits++;
}

/* One attempt is over; what is still to be committed has its turn. */
static void ended(pl_consumer *c, bool failed)
{
    uint64_t now = c->host->ops->now(c->host);
    c->committing = false;
    c->committed_at = now;
    if (c->commit_at == 0 && pl_consumer_has_offsets(c))
        c->commit_at = now + (failed ? RETRY_MS : interval(c));
    pl_consumer_wake(c);
}

/* --- without transactions --- */
static bool commit_offsets(pl_consumer *c)
{
    rd_kafka_topic_partition_list_t *offsets = offsets_of(c);
    if (!offsets)
        return false;
    rd_kafka_resp_err_t error = rd_kafka_commit_queue(c->client, offsets, c->queue, NULL, c);
    rd_kafka_topic_partition_list_destroy(offsets);
    c->committing = error == RD_KAFKA_RESP_ERR_NO_ERROR;
    return c->committing;
}

void pl_consumer_on_commit(pl_consumer *c, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *offsets = rd_kafka_event_topic_partition_list(event);
    if (!error && offsets) {
        committed(c, offsets);
    } else if (error && error != RD_KAFKA_RESP_ERR__NO_OFFSET) {
        c->stats.failed_commits++;
        pl_log(c->log, PL_WARN, "offsets not committed", PL_F_CSTR("group", c->group),
               PL_F_CSTR("error", rd_kafka_err2str(error)));
    }
    ended(c, error != RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* --- with transactions --- */
void pl_group_epoch_unref(pl_group_epoch *epoch)
{
    if (!epoch || --epoch->refs > 0)
        return;
    rd_kafka_consumer_group_metadata_destroy(epoch->metadata);
    pl_free(epoch);
}

void pl_consumer_begin_epoch(pl_consumer *c)
{
    if (!c->transactor)
        return;
    pl_group_epoch_unref(c->epoch);
    c->epoch = pl_calloc(1, sizeof *c->epoch);
    if (!c->epoch)
        return;
    c->epoch->refs = 1;
    c->epoch->metadata = rd_kafka_consumer_group_metadata(c->client);
}

/* Those of records before `until`, in their order. */
static void take_outputs(pl_partition *p, int64_t until, pl_output ***end)
{
    pl_output **at = &p->first_output;
    p->last_output = NULL;
    while (*at) {
        pl_output *output = *at;
        if (output->source >= until) {
            p->last_output = output;
            at = &output->next;
            continue;
        }
        *at = output->next;
        output->next = NULL;
        **end = output;
        *end = &output->next;
    }
}

static void run_job(pl_job *base)
{
    commit_job *job = (commit_job *)base;
    job->result = pl_transactor_run(job->consumer->transactor, job->outputs, job->consumer->client,
                                    job->epoch->metadata, job->offsets, &job->err);
}

static void free_job(commit_job *job)
{
    pl_consumer *c = job->consumer;
    rd_kafka_topic_partition_list_destroy(job->offsets);
    pl_outputs_free(c, job->outputs);
    pl_group_epoch_unref(job->epoch);
    c->job = NULL;
    pl_free(job);
}

static void job_done(pl_job *base)
{
    commit_job *job = (commit_job *)base;
    pl_consumer *c = job->consumer;
    bool done = job->result == PL_TRANSACTION_DONE, lost = job->result == PL_TRANSACTION_LOST;
    if (done)
        committed(c, job->offsets);
    else
        c->stats.failed_commits++;
    if (!done)
        pl_log(c->log, lost ? PL_INFO : PL_WARN,
               lost ? "transaction given up: its partitions have gone"
                    : "transaction not committed, it is tried again",
               PL_F_CSTR("group", c->group), PL_F_CSTR("error", job->err.message));
    if (done || lost)
        free_job(job);
    /* Else the same is tried again: nobody has to handle the records once more. */
    ended(c, !done);
}

static bool make_job(pl_consumer *c)
{
    commit_job *job;
    rd_kafka_topic_partition_list_t *offsets = c->epoch ? offsets_of(c) : NULL;
    if (!offsets)
        return false;
    if (!(job = pl_calloc(1, sizeof *job))) {
        rd_kafka_topic_partition_list_destroy(offsets);
        return false;
    }
    pl_output **end = &job->outputs;
    *job = (commit_job){
        .job = {.run = run_job, .done = job_done}, .consumer = c, .offsets = offsets, .epoch = c->epoch};
    job->epoch->refs++;
    for (int i = 0; i < offsets->cnt; i++)
        take_outputs(pl_consumer_find(c, offsets->elems[i].topic, offsets->elems[i].partition),
                     offsets->elems[i].offset, &end);
    c->job = job;
    return true;
}

static bool commit_transaction(pl_consumer *c)
{
    if (!c->job && !make_job(c))
        return false;
    pl_error_clear(&c->job->err);
    c->committing = c->host->ops->offload(c->host, &c->job->job, c) == 0;
    return c->committing;
}

void pl_consumer_free_job(pl_consumer *c)
{
    if (c->job)
        free_job(c->job);
}

/* --- */
bool pl_consumer_commit(pl_consumer *c)
{
    if (c->committing)
        return true;
    c->commit_at = 0;
    if (c->transactor ? commit_transaction(c) : commit_offsets(c))
        return true;
    if (pl_consumer_has_offsets(c))
        c->commit_at = c->host->ops->now(c->host) + RETRY_MS;
    return false;
}
