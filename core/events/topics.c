/* SPDX-License-Identifier: MIT */
#include "events/topics.h"

#include <string.h>
#include <unistd.h>

#include "events/kafka_internal.h"

#define ASK_MS 10000
#define TRIES 40 /* a topic that was made is not known to all brokers at once */
#define PAUSE_MS 50

typedef struct asking {
    const pl_topic_want *want;
    rd_kafka_t *client;
    unsigned partitions;
    bool complete; /* each partition has a leader */
} asking;

static pl_code failed(rd_kafka_resp_err_t error, const char *topic, pl_error *err)
{
    return pl_fail(err, pl_kafka_code(error), "%s: %s", topic, rd_kafka_err2str(error));
}

static void read_topic(asking *a, const struct rd_kafka_metadata_topic *topic)
{
    a->partitions = topic->err ? 0 : (unsigned)topic->partition_cnt;
    a->complete = a->partitions > 0;
    for (int i = 0; i < topic->partition_cnt; i++)
        a->complete &= topic->partitions[i].leader >= 0;
}

static bool is_absent(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
}

static pl_code look(asking *a, pl_error *err)
{
    const char *name = a->want->name.ptr;
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(a->client, name, NULL);
    if (!topic)
        return failed(rd_kafka_last_error(), name, err);
    rd_kafka_resp_err_t error = rd_kafka_metadata(a->client, 0, topic, &md, ASK_MS);
    if (!error && md->topic_cnt == 1) {
        read_topic(a, &md->topics[0]);
        error = is_absent(md->topics[0].err) ? RD_KAFKA_RESP_ERR_NO_ERROR : md->topics[0].err;
    }
    if (md)
        rd_kafka_metadata_destroy(md);
    rd_kafka_topic_destroy(topic);
    return error ? failed(error, name, err) : PL_OK;
}

static rd_kafka_resp_err_t result_of(rd_kafka_event_t *event)
{
    size_t count = 0;
    if (!event)
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    const rd_kafka_topic_result_t **topics =
        result ? rd_kafka_CreateTopics_result_topics(result, &count) : NULL;
    if (!error && count == 1)
        error = rd_kafka_topic_result_error(topics[0]);
    return error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS ? RD_KAFKA_RESP_ERR_NO_ERROR : error;
}

static pl_code create(asking *a, pl_error *err)
{
    char why[256];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(a->want->name.ptr, (int)a->want->partitions, -1, why, sizeof why);
    if (!topic)
        return pl_fail(err, PL_INVALID_ARGUMENT, "%s: %s", a->want->name.ptr, why);
    if (a->want->compacted) {
        rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "compact");
        /* What was written last must not be lost to what a writer has begun after it and not finished. */
        rd_kafka_NewTopic_set_config(topic, "min.compaction.lag.ms", "3600000");
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(a->client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(a->client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, ASK_MS, why, sizeof why);
    rd_kafka_CreateTopics(a->client, &topic, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ASK_MS + 1000);
    rd_kafka_resp_err_t error = result_of(event);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    return error ? failed(error, a->want->name.ptr, err) : PL_OK;
}

/* librdkafka's own broker makes topics when they are asked for, and has no other way. */
static bool makes_by_itself(rd_kafka_t *client)
{
    char *id = rd_kafka_clusterid(client, ASK_MS);
    bool mock = id && strncmp(id, "mockCluster", 11) == 0;
    if (id)
        rd_kafka_mem_free(client, id);
    return mock;
}

static pl_code ensure(asking *a, pl_error *err)
{
    pl_code code = look(a, err);
    if (code || a->complete || a->want->partitions == 0)
        return code;
    if (a->partitions == 0 && !makes_by_itself(a->client))
        code = create(a, err);
    for (unsigned i = 0; !code && !a->complete && i < TRIES; i++) {
        usleep(PAUSE_MS * 1000);
        code = look(a, err);
    }
    if (!code && !a->complete)
        code =
            pl_fail(err, PL_UNAVAILABLE, "%s: the topic was made, but has no leader yet", a->want->name.ptr);
    return code;
}

pl_code pl_topics_ensure_by(rd_kafka_t *client, const pl_topic_want *want, unsigned *partitions,
                            pl_error *err)
{
    asking a = {.want = want, .client = client};
    pl_code code = ensure(&a, err);
    *partitions = a.partitions;
    return code;
}

pl_code pl_topics_ensure(const pl_kafka_settings *settings, const pl_topic_want *want, pl_logger *log,
                         unsigned *partitions, pl_error *err)
{
    char why[512];
    /* The broker must not make what is only looked for. */
    static const pl_kafka_property defaults[] = {{PL_STR("allow.auto.create.topics"), PL_STR("true")}};
    rd_kafka_conf_t *conf = pl_kafka_conf_over(defaults, want->partitions > 0, settings, log, err);
    *partitions = 0;
    if (!conf)
        return err->code;
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!client) {
        rd_kafka_conf_destroy(conf);
        return pl_fail(err, PL_UNAVAILABLE, "%s", why);
    }
    pl_code code = pl_topics_ensure_by(client, want, partitions, err);
    rd_kafka_destroy(client);
    return code;
}
