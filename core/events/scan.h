/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_SCAN_H
#define PL_EVENTS_SCAN_H

#include "base/arena.h"
#include "events/kafka.h"
#include "events/policy/marks.h"
#include "value/incoming.h"

/* Topics, for commands: what there is in them, from one end to the other, and what has been done with it,
 * which is remembered as the offsets of a group that nobody joins. All of it waits for the brokers; an answer
 * that does not come within `timeout_ms` is an error. */
typedef struct pl_scan pl_scan;

/* group: NULL: nothing is remembered. NULL: INVALID_ARGUMENT names the property that is wrong. */
pl_scan *pl_scan_open(const pl_kafka_settings *kafka, const char *group, unsigned timeout_ms, pl_logger *log,
                      pl_error *err);
void pl_scan_close(pl_scan *scan); /* NULL is fine */

/* Names of all topics, each in the arena and with a NUL behind it. */
pl_code pl_scan_topics(pl_scan *scan, pl_arena *arena, pl_str **names, size_t *count, pl_error *err);

/* A partition as it was when it was asked for. */
typedef struct pl_scan_part {
    int32_t id;
    int64_t low, high; /* its first offset, and the one behind its last */
    pl_marks done;     /* its next is `low` at least */
    bool odd;          /* the group has committed something else than marks */
    int64_t at;        /* where it was read up to */
} pl_scan_part;
/* In order; of `group`, if there is one. To be disposed of. NOT_FOUND: there is no such topic. */
pl_code pl_scan_parts(pl_scan *scan, const char *topic, pl_scan_part **parts, size_t *count, pl_error *err);
void pl_scan_parts_free(pl_scan_part *parts, size_t count);

/* Reads partitions from their `at` to their `high`, and calls event(data, part, incoming, err) for each
 * record; what that gives but PL_OK ends it. Records of one partition come in order, those of several in any.
 * `at` is moved along, over gaps as well: before the call, to the record's offset. idle(data) is called now
 * and then. */
typedef struct pl_scan_ops {
    pl_code (*event)(void *data, pl_scan_part *part, const pl_incoming *in, pl_error *err);
    pl_code (*idle)(void *data, pl_error *err); /* may be NULL */
} pl_scan_ops;
pl_code pl_scan_read(pl_scan *scan, const char *topic, pl_scan_part *parts, size_t count,
                     const pl_scan_ops *ops, void *data, pl_error *err);

/* Remembers the marks of the partitions. */
pl_code pl_scan_commit(pl_scan *scan, const char *topic, const pl_scan_part *parts, size_t count,
                       pl_error *err);
/* Lets brokers throw away what is before each partition's marks' next. */
pl_code pl_scan_delete(pl_scan *scan, const char *topic, const pl_scan_part *parts, size_t count,
                       pl_error *err);

#endif
