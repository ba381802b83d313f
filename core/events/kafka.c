/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/syslog.h>

#include "events/kafka_internal.h"

pl_code pl_kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value, pl_error *err)
{
    char why[512] = "";
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return PL_OK;
    return pl_fail(err, PL_INVALID_ARGUMENT, "%s", why);
}

pl_code pl_kafka_check_property(const char *name, const char *value, pl_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    pl_code code = pl_kafka_set(conf, name, value, err);
    rd_kafka_conf_destroy(conf);
    return code;
}

/* On threads of librdkafka. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    /* Settings are for producers and consumers alike: that one has no use for some is no news. */
    if (strcmp(facility, "CONFWARN") == 0)
        level = LOG_DEBUG;
    pl_level to = level <= LOG_ERR ? PL_WARN : level <= LOG_NOTICE ? PL_INFO : PL_DEBUG;
    pl_log(rd_kafka_opaque(rk), to, "kafka", PL_F_CSTR("client", rd_kafka_name(rk)),
           PL_F_CSTR("about", facility), PL_F_CSTR("text", text));
}

static pl_code set_all(rd_kafka_conf_t *conf, const pl_kafka_property *properties, size_t count,
                       pl_error *err)
{
    pl_code code = PL_OK;
    for (size_t i = 0; !code && i < count; i++)
        code = pl_kafka_set(conf, properties[i].name.ptr, properties[i].value.ptr, err);
    return code;
}

rd_kafka_conf_t *pl_kafka_conf_over(const pl_kafka_property *defaults, size_t count,
                                    const pl_kafka_settings *settings, pl_logger *log, pl_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    pl_code code = pl_kafka_set(conf, "bootstrap.servers", settings->brokers.ptr, err);
    if (!code)
        code = pl_kafka_set(conf, "client.id", "perilune", err);
    if (!code)
        code = set_all(conf, defaults, count, err);
    if (!code)
        code = set_all(conf, settings->properties, settings->count, err);
    if (code) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_opaque(conf, log);
    rd_kafka_conf_set_log_cb(conf, on_log);
    return conf;
}

rd_kafka_conf_t *pl_kafka_conf(const pl_kafka_settings *settings, pl_logger *log, pl_error *err)
{
    return pl_kafka_conf_over(NULL, 0, settings, log, err);
}

rd_kafka_topic_partition_list_t *pl_kafka_topics(const char *const *names, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, names[i], RD_KAFKA_PARTITION_UA);
    return list;
}

rd_kafka_headers_t *pl_kafka_headers(const pl_outgoing *event)
{
    if (event->header_count == 0)
        return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(event->header_count);
    for (size_t i = 0; i < event->header_count; i++) {
        const pl_header *h = &event->headers[i];
        rd_kafka_header_add(headers, h->name.ptr, (ssize_t)h->name.len, h->value.ptr, (ssize_t)h->value.len);
    }
    return headers;
}

pl_code pl_kafka_code(rd_kafka_resp_err_t error)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return PL_OK;
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        return PL_DEADLINE_EXCEEDED;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return PL_NOT_FOUND;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
        return PL_INVALID_ARGUMENT;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return PL_PERMISSION_DENIED;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        return PL_UNAUTHENTICATED;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return PL_RESOURCE_EXHAUSTED;
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__DESTROY:
        return PL_CANCELLED;
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR__FENCED:
        return PL_ABORTED;
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__STATE:
        return PL_FAILED_PRECONDITION;
    default:
        return PL_UNAVAILABLE;
    }
}
