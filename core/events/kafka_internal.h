/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_KAFKA_INTERNAL_H
#define PL_EVENTS_KAFKA_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "events/kafka.h"
#include "value/outgoing.h"

/* A configuration with the settings' brokers and properties, and the log. The client must get `log` as its
 * opaque. NULL: *err. */
rd_kafka_conf_t *pl_kafka_conf(const pl_kafka_settings *settings, pl_logger *log, pl_error *err);
/* The same; the settings win over the defaults. */
rd_kafka_conf_t *pl_kafka_conf_over(const pl_kafka_property *defaults, size_t count,
                                    const pl_kafka_settings *settings, pl_logger *log, pl_error *err);
pl_code pl_kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value, pl_error *err);
/* Without partitions. */
rd_kafka_topic_partition_list_t *pl_kafka_topics(const char *const *names, size_t count);
/* The event's; NULL: it has none. */
rd_kafka_headers_t *pl_kafka_headers(const pl_outgoing *event);
/* topics.h, by a client that is there. */
struct pl_topic_want;
pl_code pl_topics_ensure_by(rd_kafka_t *client, const struct pl_topic_want *want, unsigned *partitions,
                            pl_error *err);
/* The canonical code of an error of librdkafka or of a broker. */
pl_code pl_kafka_code(rd_kafka_resp_err_t error);

#endif
