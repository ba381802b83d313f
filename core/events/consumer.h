/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_CONSUMER_H
#define PL_EVENTS_CONSUMER_H

#include "base/arena.h"
#include "events/kafka.h"
#include "events/policy/flow.h"
#include "value/engine.h"
#include "value/outgoing.h"

/* A member of a consumer group, for one thread and without blocking it.
 *
 * Records are fetched and handed out partition by partition, as the ordering allows (policy/flow.h). Each
 * that was handed out ends with pl_consumer_done or pl_consumer_retry. What is committed is the offset of the
 * first record of its partition that is not done. Before a partition is given away, what is handed out of it
 * is waited for, and committed; nothing else of it is begun. */
typedef struct pl_consumer pl_consumer;

typedef enum pl_start { PL_FROM_EARLIEST, PL_FROM_LATEST, PL_FROM_TIME } pl_start;

typedef struct pl_consumer_config {
    const pl_kafka_settings *kafka; /* this, and what it points to, need not outlive pl_consumer_new */
    const char *group;
    const char *const *topics; /* one that begins with ^ is a regular expression */
    size_t topic_count;
    const char *const
        *own_topics; /* that are made if they are missing: those of retries, and of dead letters */
    size_t own_topic_count;
    const char *instance; /* group.instance.id, for static membership; NULL: none */
    const char *assignor; /* partition.assignment.strategy; NULL: "range,roundrobin" */
    /* Where a partition is read from of which the group has committed nothing; start_time in milliseconds
     * since 1970. */
    pl_start start;
    int64_t start_time;
    /* Not 0: it is no member of the group, but reads each partition whose number modulo shares is share, and
     * commits for the group. For the embedded broker, whose groups take seconds to form and may never form
     * again. */
    unsigned share, shares;
    /* With a name, what is published while a record is handled, and the offsets of the records, are one
     * transaction; else NULL. */
    const char *transactional_id;
} pl_consumer_config;

/* What may change while it runs. */
typedef struct pl_consumer_options {
    pl_flow_config flow;  /* of each partition; its ordering stays as it was */
    unsigned concurrency; /* lanes that are handled at once, all partitions together; 0: no bound */
    unsigned batch_size;  /* records that are handed out together; 0 is 1 */
    unsigned batch_wait;  /* milliseconds that a batch may wait to become full */
    unsigned commit_ms;   /* how often offsets are committed; 0 is 1,000 */
    unsigned leave_ms;    /* how long a partition that goes waits for what is handled; 0 is 30,000 */
} pl_consumer_options;

/* A record in hand: its bytes stay until it is done. */
typedef struct pl_record pl_record;
struct pl_record {
    pl_flow_record flow; /* first: offset, key */
    const char *topic;
    int32_t partition;
    int64_t timestamp; /* milliseconds since 1970; -1: none */
    pl_str value;      /* ptr NULL: a tombstone */
    unsigned retries;  /* how often it was handed back */
    void *work;        /* its handler's */
    /* The consumer's. */
    struct pl_partition *home;
    struct rd_kafka_op_s *event;
    const struct rd_kafka_message_s *message;
    struct pl_output *first_output, *last_output;
    pl_record *next;
};

typedef struct pl_consumer_ops {
    /* To be handled, in this order, as one. Not called from inside of pl_consumer_done and _retry. */
    void (*handle)(void *data, pl_record **records, size_t count);
    /* It must be handled no longer, as its partition goes: calls pl_consumer_retry for it, and for those that
     * are handled with it, before it returns. */
    void (*cancel)(void *data, pl_record *record);
    /* When the record may be handled at the earliest, milliseconds since 1970; 0: at once. NULL: always. */
    int64_t (*not_before)(void *data, const pl_record *record);
    /* Partitions have come: before their first record. NULL is fine, here and below. */
    void (*assigned)(void *data);
    /* All partitions have to go; what was handled is committed, unless they are `lost`: somebody else's
     * already. True: only when pl_consumer_release is called, or time is over. */
    bool (*leaving)(void *data, bool lost);
    /* It has left its group, as pl_consumer_close has asked, or for good after an error. */
    void (*closed)(void *data);
} pl_consumer_ops;

/* The host's timers and helpers are used. NULL: INVALID_ARGUMENT names the property that is wrong;
 * RESOURCE_EXHAUSTED. */
pl_consumer *pl_consumer_new(const pl_consumer_config *config, const pl_consumer_options *options,
                             const pl_consumer_ops *ops, void *data, pl_host *host, pl_logger *log,
                             pl_error *err);
/* What is handed out is given up: `cancel` is called, and nothing else any more. Needless once it is closed.
 */
void pl_consumer_stop(pl_consumer *consumer);
/* Closed, or stopped; and the host's jobs are over. Waits for threads of librdkafka: to be called where that
 * does no harm. NULL is fine. */
void pl_consumer_free(pl_consumer *consumer);

/* Readable when pl_consumer_poll is to be called. */
int pl_consumer_fd(const pl_consumer *consumer);
void pl_consumer_poll(pl_consumer *consumer);

void pl_consumer_set_options(pl_consumer *consumer, const pl_consumer_options *options);
/* As in pl_consumer_config: those that are missing are made. */
void pl_consumer_set_own_topics(pl_consumer *consumer, const char *const *names, size_t count);

/* The record, whose memory is gone then, was handled, whatever came of it. */
void pl_consumer_done(pl_consumer *consumer, pl_record *record);
/* It will be done soon, after a few others: fetches it into the cache, or, `near`, what is found through it.
 */
void pl_record_soon(const pl_record *record, bool near);
/* It is to be handed out again, not before so many milliseconds from now. */
void pl_consumer_retry(pl_consumer *consumer, pl_record *record, uint64_t wait_ms);
/* Nothing is handed out as long as anybody holds it. */
typedef enum pl_holder { PL_HELD_BY_CIRCUIT = 1, PL_HELD_BY_HOOKS = 2 } pl_holder;
void pl_consumer_hold(pl_consumer *consumer, pl_holder holder, bool held);
/* After `leaving`: the partitions may go. */
void pl_consumer_release(pl_consumer *consumer);
/* The headers, in the arena; their bytes are the record's. False: memory. */
bool pl_record_headers(const pl_record *record, pl_arena *arena, const pl_header **headers, size_t *count);

/* The last header of that name; ptr NULL: there is none. */
pl_str pl_record_header(const pl_record *record, const char *name);

/* Only with a transactional_id, and while the record is handled: is written if and when the record is done.
 * Everything is copied. */
pl_code pl_consumer_publish(pl_consumer *consumer, pl_record *record, const pl_outgoing *event,
                            pl_error *err);
/* Takes back what was published so; pl_consumer_retry does it, too. */
void pl_consumer_discard(pl_consumer *consumer, pl_record *record);
/* It goes with another record of the same batch. */
void pl_consumer_hand_over(pl_record *from, pl_record *to);

/* Leaves the group once what is handled is done, or after timeout_ms; what waits is
 * left to others. `closed` is called. */
void pl_consumer_close(pl_consumer *consumer, unsigned timeout_ms);

typedef struct pl_partition_stats {
    const char *topic;
    int32_t partition;
    int64_t next_offset; /* to be committed; -1: not known */
    int64_t lag;         /* records behind it; -1: not known */
    size_t in_hand;
} pl_partition_stats;
typedef struct pl_consumer_stats {
    uint64_t consumed, commits, failed_commits, rebalances;
    unsigned partitions, running;
    size_t in_hand;
} pl_consumer_stats;
pl_consumer_stats pl_consumer_get_stats(const pl_consumer *consumer);
/* False: there are not so many. */
bool pl_consumer_partition(const pl_consumer *consumer, size_t index, pl_partition_stats *out);

#endif
