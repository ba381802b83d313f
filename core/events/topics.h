/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_TOPICS_H
#define PL_EVENTS_TOPICS_H

#include "events/kafka.h"
#include "value/topic.h"

/* Looks for a topic, and makes it where it is wanted and not there: *partitions, 0 where there is none.
 * Blocks for as long as a minute, when the brokers do not answer: for helper threads. Replicas are as many as
 * the brokers make by themselves. Where a broker makes topics when they are asked for, and by no other way
 * (the embedded one), it is made so, with as many partitions as that one likes. Errors: UNAVAILABLE,
 * DEADLINE_EXCEEDED, PERMISSION_DENIED, INVALID_ARGUMENT (the name). */
pl_code pl_topics_ensure(const pl_kafka_settings *settings, const pl_topic_want *want, pl_logger *log,
                         unsigned *partitions, pl_error *err);

#endif
