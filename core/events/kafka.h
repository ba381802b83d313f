/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_KAFKA_H
#define PL_EVENTS_KAFKA_H

#include "base/error.h"
#include "base/log.h"
#include "base/str.h"

/* What all clients of Kafka here have in common. Only files below core/events include librdkafka. */

/* Any property of librdkafka: "sasl.username"; its bytes end with a NUL, the value's as well. */
typedef struct pl_kafka_property {
    pl_str name, value;
} pl_kafka_property;

/* How the brokers are reached; lives as long as whoever was given it says. */
typedef struct pl_kafka_settings {
    pl_str brokers; /* "a:9092,b:9092"; ends with a NUL */
    bool embedded;  /* they are the server's own */
    const pl_kafka_property *properties;
    size_t count;
} pl_kafka_settings;

/* Whether librdkafka knows the property and takes the value. INVALID_ARGUMENT says what is wrong. */
pl_code pl_kafka_check_property(const char *name, const char *value, pl_error *err);

#endif
