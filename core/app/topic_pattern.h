/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_TOPIC_PATTERN_H
#define PL_APP_TOPIC_PATTERN_H

#include "base/arena.h"
#include "base/error.h"

/* A topic of a consumer: a name, or, when it begins with "^", a regular expression (POSIX, extended), as
 * librdkafka has it. Immutable: any number of threads. */
typedef struct pl_topic_pattern pl_topic_pattern;

/* In the arena, with which it goes; text outlives it. NULL: RESOURCE_EXHAUSTED, or INVALID_ARGUMENT with what
 * is wrong with the expression. */
pl_topic_pattern *pl_topic_pattern_new(pl_arena *arena, const char *text, pl_error *err);
bool pl_topic_pattern_matches(const pl_topic_pattern *pattern, const char *topic);

#endif
