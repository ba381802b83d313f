/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_READER_INTERNAL_H
#define PL_EVENTS_READER_INTERNAL_H

/* What the files of the reader share: reader.c (its life, and taking), reader_lookup.c (which partitions
 * there are, and where reading them begins). */

#include "base/arena.h"
#include "events/kafka_internal.h"
#include "events/reader.h"

typedef struct pl_reader_part {
    int32_t id;
    bool started; /* librdkafka reads it */
    bool over;    /* read up to its end */
    bool untold;  /* it was so from the start, which is to be told */
    int64_t next; /* the offset of the next event; RD_KAFKA_OFFSET_BEGINNING until one has come */
    int64_t end;  /* before which reading ends; -1: never */
} pl_reader_part;

/* What a helper has found out. */
typedef struct pl_reader_found {
    rd_kafka_resp_err_t error;
    char why[256];
    bool no_topic, no_partition, incomplete; /* incomplete: of some the leader is not known */
    int32_t partition;                       /* that there is none of; or that is out of range */
    bool out_of_range;
    int64_t end;                             /* of that one */
    rd_kafka_topic_partition_list_t *starts; /* of partitions that are new; or NULL */
    rd_kafka_topic_partition_list_t *ends;   /* of the same, in the same order */
} pl_reader_found;

struct pl_reader {
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *topic;
    int fd;
    pl_host *host;
    pl_logger *log;
    pl_arena arena; /* spec */
    pl_read_spec spec;
    unsigned discover_ms;

    pl_reader_part *parts; /* by their ids; the array and the ids do not change while a helper is busy */
    size_t count, over, room, untold;
    bool placed;     /* all that there were to begin with are known */
    bool was_absent; /* there was no such topic when reading began */

    pl_job job;
    bool busy, closed;
    pl_reader_found found;
    pl_timer timer;      /* of the next lookup */
    unsigned attempts;   /* that have failed, one after the other */
    uint64_t failing_at; /* since when */

    pl_error failure; /* to be told by the next take */
    bool failed_for_good;

    rd_kafka_event_t *last; /* what was taken last: the bytes are its */
    const rd_kafka_message_t *last_message;
    bool again; /* it is to be taken again */
    pl_header *headers;
    size_t header_room;
    uint64_t events;
};

/* reader.c */
void pl_reader_wake(pl_reader *r);
void pl_reader_destroy(pl_reader *r); /* closed, and not busy */

/* reader_lookup.c */
pl_code pl_reader_begin(pl_reader *r, pl_error *err);
pl_reader_part *pl_reader_find(const pl_reader *r, int32_t id);
void pl_reader_part_over(pl_reader *r, pl_reader_part *part);
/* One that was over from the start, and has not been told yet; or NULL. */
pl_reader_part *pl_reader_tell(pl_reader *r);
bool pl_reader_is_over(const pl_reader *r);

#endif
