/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_READER_H
#define PL_EVENTS_READER_H

#include "events/kafka.h"
#include "value/incoming.h"

/* Reads partitions of a topic, without a group: from where it is told, to their end or for ever. For one
 * thread, which it never blocks: what there is is announced by a descriptor, and taken one by one. What is
 * not taken stays in librdkafka's queue, which is bounded, so whoever takes slowly is sent slowly.
 *
 * Partitions and offsets are asked for on helper threads of the host, all readers of the process one after
 * the other, so that brokers that cannot be reached hold up one helper at most. */
typedef struct pl_reader pl_reader;

typedef struct pl_reader_config {
    const pl_kafka_settings *kafka; /* need not outlive pl_reader_open; what only producers have is skipped */
    const pl_read_spec *spec;       /* the same */
    size_t prefetch_bytes;          /* that may wait to be taken; 0 is 4 MiB */
    unsigned discover_ms;           /* how often new partitions are looked for at least; 0 is 30,000 */
    pl_host *host;                  /* outlives it, and what pl_reader_close leaves behind */
    pl_logger *log;
} pl_reader_config;

/* NULL: INVALID_ARGUMENT names the property that is wrong; RESOURCE_EXHAUSTED. */
pl_reader *pl_reader_open(const pl_reader_config *config, pl_error *err);
/* At once; threads of librdkafka are waited for on a helper. NULL is fine. */
void pl_reader_close(pl_reader *reader);

/* Becomes readable when there may be something to take, but not again before a take that gave NOTHING.
 * pl_reader_take makes it unreadable, and so does pl_reader_noticed, for when nothing is to be taken now. */
int pl_reader_fd(const pl_reader *reader);
void pl_reader_noticed(pl_reader *reader);
/* As pl_source_ops.take. */
pl_taken pl_reader_take(pl_reader *reader, pl_incoming *out, pl_error *err);

/* Where it begins is known for all partitions: what is published from now on will be read. */
bool pl_reader_is_placed(const pl_reader *reader);

/* Where each partition is to be read on, into *out, which has room for so many. Returns how many there are.
 */
size_t pl_reader_positions(const pl_reader *reader, pl_read_place *out, size_t room);

typedef struct pl_reader_stats {
    uint64_t events;
    unsigned partitions;
    int64_t lag; /* events that it knows of and were not taken; about */
} pl_reader_stats;
pl_reader_stats pl_reader_get_stats(const pl_reader *reader);

#endif
