/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_EVENT_CALL_H
#define PL_APP_EVENT_CALL_H

#include "app/consumer_decl.h"
#include "app/events.h"
#include "app/instance.h"
#include "base/random.h"
#include "value/json_tape.h"

/* One call of a handler, with one record or a batch:
 *
 *   records → [interceptors → next] → decoded → the handler → what becomes of each: done, tried again here,
 * in a retry topic, or a dead letter
 *
 * This file's part is the scripts; event_failure.c has what becomes of records that were not handled. */
typedef struct pl_event_call pl_event_call;
typedef struct pl_group_member pl_group_member;
struct pl_consumer_hooks;

/* An event that the host program hands over: there is no broker to give it back to. */
typedef struct pl_handed_event pl_handed_event;
struct pl_handed_event {
    const pl_header *headers;
    size_t header_count;
    /* The handler is over, and the call gone. failure NULL: it is handled; else it lives during the call, and
     * so does the member. May be called before pl_event_call_start returns. */
    void (*settled)(pl_group_member *member, const pl_failure *failure);
};

/* A consumer of the worker, as its calls see it. */
struct pl_group_member {
    struct pl_consumers *set;
    pl_group_member *next;
    pl_host *host;
    pl_events *events;
    pl_logger *log;
    pl_consumer *consumer;           /* NULL with the following */
    const pl_handed_event *handed;   /* NULL: events come from brokers */
    struct pl_consumer_hooks *hooks; /* NULL: the declaration has none */
    pl_event_call *calls;            /* in hand */
    pl_instance *live;               /* whose handler is called, and its place there */
    size_t index;
    pl_json_tape tape;    /* of the event that is decoded */
    pl_event_call *spare; /* of one record each, to be used again */
    unsigned spare_count;
    pl_random random;
    pl_circuit circuit;
    pl_timer resume; /* after a pause of the circuit */
    struct {
        uint64_t failed, retried, dead_lettered;
    } stats;
    struct pl_event_series *series; /* metrics_events.h: a list, by topic */
};

/* Where an event comes from, and how often it was tried: told by headers when it comes through a retry topic.
 */
typedef struct pl_origin {
    pl_str topic;
    int32_t partition;
    int64_t offset, timestamp;
    unsigned attempts; /* before it came into this topic */
    unsigned retry_topics;
} pl_origin;

#define PL_EVENT_ID 64
typedef struct pl_event_item {
    pl_record *record;        /* NULL: it is done with */
    const pl_header *headers; /* the event's own */
    size_t header_count;
    pl_origin origin;
    size_t place;     /* in the lists that the handler of a batch gets, from 1 */
    bool passed_over; /* it is for another group: done without a handler */
    bool failed;
    const pl_failure *failure; /* once it has: in the call's arena, or for ever */
    pl_delivery delivery;      /* to a retry or dead-letter topic, */
    const char *to;            /* this one; NULL: none yet */
    bool dead;                 /* which of both */
    pl_event_call *call;
} pl_event_item;

struct pl_event_call {
    pl_group_member *member;
    pl_instance *instance;
    const pl_consumer_decl *decl;
    const pl_consumer_functions *functions;
    pl_event_call *prev, *next;
    pl_arena arena;
    pl_work work;
    pl_event_sink sink;
    pl_timer deadline;
    pl_call *chain, *running;
    pl_code code; /* of the handler's end, for the interceptors */
    pl_str message;
    bool handler_over;
    uint64_t began; /* as the meter has it */
    size_t pending; /* items that are on their way to another topic */
    size_t count;
    char id[PL_EVENT_ID]; /* work.id, if it is short */
    pl_event_item items[];
};

/* Begins to handle them; memory that is short is an error like others. */
void pl_event_call_start(pl_group_member *member, pl_record **records, size_t count);
/* Ends it: its records are handed back (handed: settled is not called). */
void pl_event_call_cancel(pl_event_call *call);
/* Nothing is left of it to be done. */
void pl_event_call_free(pl_event_call *call);
/* Frees what a member keeps for its next calls; none is in hand. One that hands over an event of the host
 * program keeps nothing. */
void pl_group_member_dispose(pl_group_member *member);

/* event_failure.c */
/* When the record may be handled at the earliest, see pl_consumer_ops. */
int64_t pl_event_not_before(const pl_consumer_decl *decl, const pl_record *record);
/* Fills in headers and origin of the item. False: memory. */
bool pl_event_read_origin(const pl_consumer_decl *decl, pl_arena *arena, pl_event_item *item);
/* The handler is over: decides for each item. The call is over when no item is pending. */
void pl_event_settle(pl_event_call *call);

#endif
