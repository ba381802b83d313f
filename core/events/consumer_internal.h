/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_CONSUMER_INTERNAL_H
#define PL_EVENTS_CONSUMER_INTERNAL_H

/* What the files of the consumer share: consumer.c (its life, and what librdkafka tells), consumer_records.c
 * (partitions and the records in hand), consumer_commit.c (offsets, and transactions). */

#include <stdatomic.h>

#include "events/consumer.h"
#include "events/kafka_internal.h"
#include "events/transactor.h"

typedef struct pl_partition pl_partition;
struct pl_partition {
    pl_consumer *consumer;
    pl_partition *next;
    char *topic;
    int32_t partition;
    rd_kafka_queue_t *queue; /* what is fetched, and not yet in hand */
    pl_flow *flow;
    int64_t committed,
        end;      /* end: the offset at which the partition has ended when it was last read so far; -1 */
    int64_t last; /* offset of the last record that came; -1 */
    uint64_t batch_since; /* since when its next batch waits to be full; 0: it does not */
    bool leaving;         /* nothing is begun any more */
    bool gone;            /* given away: what is still handled is forgotten when it is done */
    pl_output *first_output, *last_output; /* of records that are done, not yet in a transaction */
};

/* What the group was when the partitions came: a transaction that ends after they have gone is refused
 * because of it. Counted on the loop's thread. */
typedef struct pl_group_epoch {
    rd_kafka_consumer_group_metadata_t *metadata;
    unsigned refs;
} pl_group_epoch;

struct pl_consumer {
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    int fd;
    pl_host *host;
    pl_logger *log;
    pl_consumer_ops ops;
    void *data;
    pl_consumer_options options;
    char *group;
    rd_kafka_topic_partition_list_t *subscription, *own_topics;
    rd_kafka_topic_partition_list_t *next_own_topics; /* when no job reads the others; NULL: none */
    bool preparing; /* a job makes own_topics, and finds its share: only then it reads */
    bool asked;     /* it was over once */
    bool prepared;  /* own_topics are there, or cannot be made */
    unsigned share, shares;
    uint64_t look_at; /* when to look for more partitions of its share, or own topics again; 0: not */
    pl_start start;
    int64_t start_time;
    pl_timer timer;
    bool woken, inside; /* inside: handing out */

    pl_partition *partitions, *gone;
    unsigned running; /* lanes that are handled, of partitions that are here */
    unsigned running_records;
    unsigned held; /* by whom: bits of pl_holder */
    pl_record *spare;
    size_t spare_count;
    pl_record **batch; /* room for batch_size */
    unsigned batch_room;

    /* A rebalance that waits for what is handled. */
    rd_kafka_topic_partition_list_t *revoking;
    uint64_t leave_by;
    bool leaving_told, leaving_waits;
    bool closing, close_begun;
    atomic_bool ends; /* the same as closing, for helpers: nothing is asked for any more */
    uint64_t close_by;
    bool closed;

    struct pl_start_job *starting; /* partitions whose first offsets are asked for; NULL: none */

    /* Offsets on their way. */
    bool committing, final_commit; /* final: the last of partitions that go */
    uint64_t commit_at, committed_at;
    struct pl_commit_job *job;
    pl_transactor *transactor; /* NULL: there are no transactions */
    pl_group_epoch *epoch;     /* of the partitions that are here */
    size_t outputs, output_bytes;
    size_t most_bytes; /* of an output; what is larger would fail all of its transaction, again and again */

    pl_consumer_stats stats;
};

/* consumer.c */
char *pl_copy_text(const char *text); /* NULL: memory */
void pl_consumer_wake(pl_consumer *c);
/* What waits for nothing to be handled any more may go on. */
void pl_consumer_settle(pl_consumer *c);

/* consumer_records.c */
pl_partition *pl_consumer_find(const pl_consumer *c, const char *topic, int32_t partition);
/* NULL: memory. */
pl_partition *pl_partition_new(pl_consumer *c, const char *topic, int32_t partition);
/* Takes it out of what is here: it is freed once nothing of it is handled. */
void pl_partition_leave(pl_partition *p);
/* Whatever is still handled is done with. */
void pl_partition_free(pl_partition *p);
/* Fetches and hands out. Returns when there is more to be done: milliseconds of the host, or UINT64_MAX. */
uint64_t pl_consumer_hand_out(pl_consumer *c, uint64_t now);
/* What is to be committed: as far as its records are done, and behind the last one over markers of
 * transactions and aborted records, or else it would seem to lag for ever. PL_NO_OFFSET. */
int64_t pl_partition_position(const pl_partition *p);
void pl_outputs_free(pl_consumer *c, pl_output *first);

/* consumer_topics.c */
/* Makes own topics, and then reads; false: there is nothing to be done, or it cannot be begun. */
bool pl_consumer_prepare(pl_consumer *c);
/* Partitions of its share that have come into being. */
void pl_consumer_look(pl_consumer *c);
void pl_consumer_subscribe(pl_consumer *c); /* consumer.c */

/* consumer_start.c */
/* Asks for offsets by time, then calls pl_consumer_take with the partitions. False: memory. */
bool pl_consumer_start_by_time(pl_consumer *c, const rd_kafka_topic_partition_list_t *partitions);
/* What could not be answered is asked again when its time has come. */
void pl_consumer_start_again(pl_consumer *c, uint64_t now);
void pl_consumer_forget_start(pl_consumer *c);
/* consumer.c: they are read from now on, from the offsets in the list. */
void pl_consumer_take(pl_consumer *c, const rd_kafka_topic_partition_list_t *partitions);
/* They have come, but it leaves: nothing of them is handled. */
void pl_consumer_refuse(pl_consumer *c, const rd_kafka_topic_partition_list_t *partitions);

/* consumer_commit.c */
/* Offsets that can be committed have changed. */
void pl_consumer_commit_soon(pl_consumer *c, uint64_t now);
/* There is something to be committed, and no attempt has begun. */
bool pl_consumer_has_offsets(const pl_consumer *c);
/* Begins to commit what there is; false: there is nothing to be committed, or it cannot be begun. */
bool pl_consumer_commit(pl_consumer *c);
void pl_consumer_on_commit(pl_consumer *c, rd_kafka_event_t *event);
void pl_consumer_free_job(pl_consumer *c);
/* The partitions that come now are of a new epoch. */
void pl_consumer_begin_epoch(pl_consumer *c);
void pl_group_epoch_unref(pl_group_epoch *epoch); /* NULL is fine */

#endif
