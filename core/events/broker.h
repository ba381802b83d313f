/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_BROKER_H
#define PL_EVENTS_BROKER_H

#include "base/error.h"
#include "base/log.h"

/* A Kafka broker inside of the process, for development and tests: librdkafka's mock cluster. Real clients
 * can connect to it. It keeps nothing, its logs are short, and it does not isolate transactions: no proof of
 * any delivery guarantee. */
typedef struct pl_broker pl_broker;

/* Listens on a free port of 127.0.0.1. Topics come into being when they are first used, with 4 partitions.
 * NULL: *err. */
pl_broker *pl_broker_new(pl_logger *log, pl_error *err);
void pl_broker_free(pl_broker *broker); /* its clients are gone; NULL is fine */
/* "127.0.0.1:40123": what clients are to be given. */
const char *pl_broker_address(const pl_broker *broker);

/* topic ends with a NUL. ALREADY_EXISTS: there is one of that name. */
pl_code pl_broker_create_topic(pl_broker *broker, const char *topic, unsigned partitions, pl_error *err);

#endif
