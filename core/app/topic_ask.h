/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_TOPIC_ASK_H
#define PL_APP_TOPIC_ASK_H

#include "app/instance.h"
#include "value/topic.h"

/* Looks for a topic of the instance's brokers, and makes it if that is wanted, on a helper thread: see
 * pl_host_ops.ask_topic. What is OK ends with a call of asker->done, unless it is forgotten. */
pl_code pl_topic_ask(pl_instance *instance, const pl_topic_want *want, pl_topic_asker *asker, pl_error *err);

#endif
