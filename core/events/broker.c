/* SPDX-License-Identifier: MIT */
#include "events/broker.h"

#include "base/alloc.h"
#include "events/kafka_internal.h"
/* Needs what the ones above have. */
#include <librdkafka/rdkafka_mock.h>

struct pl_broker {
    rd_kafka_t *client; /* whose threads the cluster runs on */
    rd_kafka_mock_cluster_t *cluster;
};

static pl_code start(pl_broker *broker, pl_logger *log, pl_error *err)
{
    static const pl_kafka_settings none = {.brokers = PL_STR("")};
    char why[512] = "";
    rd_kafka_conf_t *conf = pl_kafka_conf(&none, log, err);
    if (!conf)
        return err->code;
    rd_kafka_conf_set(conf, "log_level", "4", NULL, 0); /* it has no brokers of its own, and says so */
    broker->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!broker->client) {
        rd_kafka_conf_destroy(conf);
        return pl_fail(err, PL_UNAVAILABLE, "the embedded broker does not start: %s", why);
    }
    broker->cluster = rd_kafka_mock_cluster_new(broker->client, 1);
    if (!broker->cluster)
        return pl_fail(err, PL_UNAVAILABLE, "the embedded broker does not start");
    return PL_OK;
}

pl_broker *pl_broker_new(pl_logger *log, pl_error *err)
{
    pl_broker *broker = pl_calloc(1, sizeof *broker);
    if (!broker) {
        pl_fail_memory(err);
        return NULL;
    }
    if (start(broker, log, err) == PL_OK)
        return broker;
    pl_broker_free(broker);
    return NULL;
}

void pl_broker_free(pl_broker *broker)
{
    if (!broker)
        return;
    if (broker->cluster)
        rd_kafka_mock_cluster_destroy(broker->cluster);
    if (broker->client)
        rd_kafka_destroy(broker->client);
    pl_free(broker);
}

const char *pl_broker_address(const pl_broker *broker)
{
    return rd_kafka_mock_cluster_bootstraps(broker->cluster);
}

pl_code pl_broker_create_topic(pl_broker *broker, const char *topic, unsigned partitions, pl_error *err)
{
    rd_kafka_resp_err_t error = rd_kafka_mock_topic_create(broker->cluster, topic, (int)partitions, 1);
    if (error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return pl_fail(err, PL_ALREADY_EXISTS, "there is a topic '%s'", topic);
    return error ? pl_fail(err, pl_kafka_code(error), "%s", rd_kafka_err2str(error)) : PL_OK;
}
