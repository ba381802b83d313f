/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_TRANSACTOR_H
#define PL_EVENTS_TRANSACTOR_H

#include "events/kafka_internal.h"
#include "value/outgoing.h"

/* Writes events, and the offsets of what they were made of, in one transaction. Its functions wait for
 * brokers: they are for helper threads, one at a time. */
typedef struct pl_transactor pl_transactor;

/* An event that is to be written; in one piece with its bytes. */
typedef struct pl_output pl_output;
struct pl_output {
    pl_output *next;
    int64_t source; /* offset of the record that it was made of */
    size_t bytes;
    pl_outgoing event;
};
pl_output *pl_output_new(const pl_outgoing *event); /* copies; NULL: memory */

typedef enum pl_transaction_result {
    PL_TRANSACTION_DONE,   /* committed */
    PL_TRANSACTION_FAILED, /* it is certain that nothing of it was committed: try the same again later */
    PL_TRANSACTION_LOST,   /* the same; and the partitions belong to somebody else by now */
} pl_transaction_result;

/* settings and id are copied. Nothing is connected yet. NULL: *err. */
pl_transactor *pl_transactor_new(const pl_kafka_settings *settings, const char *id, pl_logger *log,
                                 pl_error *err);
void pl_transactor_free(pl_transactor *t); /* NULL is fine */
/* From any thread: what runs ends soon, as FAILED, and nothing is begun any more. */
void pl_transactor_cancel(pl_transactor *t);

/* offsets: next ones, of partitions that `consumer` has read as a member of `group`. Waits at most as long as
 * a transaction may take. After an end that is not certain the producer is made anew, which makes it certain,
 * and what the group has committed is asked for. */
pl_transaction_result pl_transactor_run(pl_transactor *t, const pl_output *outputs, rd_kafka_t *consumer,
                                        const rd_kafka_consumer_group_metadata_t *group,
                                        const rd_kafka_topic_partition_list_t *offsets, pl_error *err);

#endif
