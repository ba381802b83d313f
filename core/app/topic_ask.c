/* SPDX-License-Identifier: MIT */
#include "app/topic_ask.h"

#include "app/generation.h"
#include "app/reads.h"
#include "base/alloc.h"
#include "events/topics.h"

typedef struct question {
    pl_job job; /* first */
    pl_topic_asker *asker;
    pl_arena arena;
    pl_kafka_config kafka;
    pl_topic_want want;
    pl_logger *log;
    unsigned partitions;
    pl_error err;
} question;

static void run(pl_job *job)
{
    question *q = (question *)job;
    pl_topics_ensure(&q->kafka.settings, &q->want, q->log, &q->partitions, &q->err);
}

static void question_free(question *q)
{
    pl_arena_dispose(&q->arena);
    pl_free(q);
}

static void done(pl_job *job)
{
    question *q = (question *)job;
    pl_topic_found found = {.code = q->err.code, .why = q->err.message, .partitions = q->partitions};
    if (q->asker) {
        q->asker->place = NULL;
        q->asker->done(q->asker, &found);
    }
    question_free(q);
}

pl_code pl_topic_ask(pl_instance *instance, const pl_topic_want *want, pl_topic_asker *asker, pl_error *err)
{
    const pl_kafka_config *kafka = &instance->generation->config.kafka;
    if (pl_reads_check_brokers(kafka, err) != PL_OK)
        return err->code;
    question *q = pl_calloc(1, sizeof *q);
    if (!q)
        return pl_fail_memory(err);
    pl_arena_init(&q->arena, 0);
    q->job = (pl_job){.run = run, .done = done};
    q->want = *want;
    q->want.name = pl_arena_str(&q->arena, want->name);
    q->log = instance->loop->log;
    pl_error_clear(&q->err);
    if (!q->want.name.ptr || !pl_kafka_config_copy(&q->kafka, kafka, &q->arena) ||
        instance->host.ops->offload(&instance->host, &q->job, NULL) != 0) {
        question_free(q);
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "memory is exhausted, or the helpers are busy");
    }
    q->asker = asker;
    asker->place = &q->asker;
    return PL_OK;
}
