/* SPDX-License-Identifier: MIT */
#ifndef PL_CLI_DLQ_H
#define PL_CLI_DLQ_H

#include "base/buf.h"
#include "cli/cli.h"
#include "events/scan.h"

/* `perilune dlq`: what its files share. */

/* A dead letter; views of its record. What it does not say has ptr NULL, or -1. */
typedef struct dead_letter {
    const pl_incoming *in;
    pl_str topic, group, code, message, traceback; /* topic: where the event comes from */
    int64_t partition, offset, timestamp, attempt;
} dead_letter;
void dlq_read(const pl_incoming *in, dead_letter *out);
/* Whether a header is the event's own, and not one that came with the dead letter. */
bool dlq_is_own_header(pl_str name);

/* Conditions, all of which have to hold. */
typedef struct dlq_filter {
    pl_str code, topic, group, key; /* ptr NULL: any */
    int64_t since, until;           /* milliseconds since 1970, of when it was written; -1: any */
    int64_t partition;              /* of the dead-letter topic; -1: any */
    int64_t offset;                 /* from there on; -1: any */
} dlq_filter;
/* conditions: "code=INTERNAL", "original-topic=orders", "group=…", "key=…", "since=2h",
 * "until=2026-11-22T21:00:00Z"; ends with NULL. now: milliseconds since 1970. INVALID_ARGUMENT. */
pl_code dlq_filter_read(dlq_filter *filter, const char *const *conditions, int64_t now, pl_error *err);
bool dlq_filter_is_any(const dlq_filter *filter);
bool dlq_matches(const dlq_filter *filter, const dead_letter *letter);

#define DLQ_NO_LIMIT (~0u) /* none was given */

typedef struct dlq {
    pl_kafka_settings kafka;
    dlq_filter filter;
    pl_arena arena;
    pl_logger *log;
    bool all, json, dry_run, delete, keep_timestamp, by_key;
    unsigned limit, timeout_ms;
    const char *to;
    const pl_str *declared; /* dead-letter topics of the bundle */
    size_t declared_count;
    pl_error err;
} dlq;

/* Of a topic, with what was done with it: `perilune-dlq-TOPIC`. NULL: d->err. */
pl_scan *dlq_open(dlq *d, const char *topic);
int64_t dlq_now(void); /* milliseconds since 1970 */

/* The exit status; 1: d->err says why, if it has a code. */
int dlq_list(dlq *d, const char *topic);
int dlq_show(dlq *d, const char *topic);
int dlq_replay(dlq *d, const char *topic);
int dlq_drop(dlq *d, const char *topic);

/* "2026-11-22T21:00:00Z"; "-" for -1. */
void dlq_write_time(pl_buf *out, int64_t ms);
/* For terminals: control characters and what is not UTF-8 are escaped; lines are kept, and begin with
 * `indent`. */
void dlq_write_text(pl_buf *out, pl_str text, const char *indent);

#endif
