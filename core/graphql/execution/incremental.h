/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_EXECUTION_INCREMENTAL_H
#define PL_GRAPHQL_EXECUTION_INCREMENTAL_H

#include "graphql/execution/internal.h"

/* @defer and @stream: what is delivered after the first payload.
 *
 * A *part* is a result that is written and may fail on its own: the operation's first one, the fields of one
 * deferred group, one item of a stream. It owns the memory that its execution takes. While a part is
 * executed, objects that defer something leave *tasks* (the fields of a group, for one object) and *groups*
 * (the deferred fragments themselves, at one place of the response), and lists with @stream leave *streams*.
 *
 * A group is delivered when all of its tasks are done; a task belongs to all groups that its fields are
 * selected in, and goes with whichever is delivered first. A group whose parent is not delivered yet is not
 * known to the client, and its tasks are not begun. delivery.c is this machinery; it handles *events* (a task
 * is done, a stream has items), those of one turn in one payload. The order of everything is graphql-js's. */

typedef struct gql_task gql_task;
typedef struct gql_group gql_group;
typedef struct gql_stream gql_stream;
typedef struct gql_link gql_link;
typedef struct gql_event gql_event;

/* What is left to be done later, below a position that may become null before. */
struct gql_work {
    gql_work *next;                /* of the part that left it */
    gql_work *scope_next;          /* of the scope it is below */
    gql_work *all_next, *all_prev; /* of the execution */
    gql_part *creator;             /* in whose memory it is; referred to while the work is live */
    pl_ref value;                  /* the object, or the list */
    const gql_path *path;
    uint32_t depth; /* of path */
    bool is_stream;
    bool dropped; /* it is over, or not needed any more */
};

/* The deferred fragments that are known at a place: those of an object, and those around it. */
struct gql_defers {
    const gql_defers *around;
    const gql_plan_deferral *plan;
    gql_group *groups; /* one for each of plan's defers */
};

/* What the client knows about, or will be told next: a group or a stream. */
typedef struct gql_open {
    struct gql_open *next, *prev;
    uint32_t id;
    bool is_open, has_id;
    gql_group *group; /* one of these two */
    gql_stream *stream;
} gql_open;

struct gql_group {
    gql_open open;
    const gql_defer *defer;
    gql_group *parent;
    const gql_path *path;
    uint32_t depth;
    gql_part *creator;
    gql_group *made_next; /* of the part that made it */
    gql_group *next;      /* of its parent's children; of groups to begin with */
    gql_group *first_child, *last_child;
    gql_link *first, *last; /* its tasks */
    uint32_t pending;       /* of them, not done */
    bool made;              /* its object is there */
    bool visited, added;
};

struct gql_link {
    gql_link *next, *prev; /* of the group */
    gql_group *group;
    gql_task *task;
    bool linked;
};

typedef struct gql_queue {
    gql_event *first, *last;
} gql_queue;
struct gql_event {
    gql_event *next, *prev;
    gql_queue *in; /* NULL: in none */
    enum { GQL_EVENT_TASK, GQL_EVENT_ITEMS, GQL_EVENT_STREAM_OVER, GQL_EVENT_GO_ON, GQL_EVENT_TELL } kind;
    gql_task *task;
    gql_stream *stream;
    gql_event *more; /* of the same task */
};

struct gql_task {
    gql_work work;
    const gql_plan_group *plan;
    const gql_defers *defers;
    gql_link *links;
    uint32_t link_count, linked;
    gql_part *part; /* NULL until it is begun, and after its result has been delivered */
    gql_stream *first_stream, *last_stream; /* that it has left */
    gql_event event, late;
    bool known, begun, done, failed;
};

struct gql_stream {
    gql_work work;
    gql_open open;
    const gql_plan_field *field; /* for items */
    const gql_plan_stream *plan;
    const gql_typeref *type; /* of an item */
    gql_stream *next;        /* of streams to begin with */
    size_t index, length;    /* the next item; of a list */
    bool is_iterator;
    pl_ref close;         /* of an iterator; work.value is its next */
    gql_part *part;       /* the item that is executed; kept for the next one */
    gql_path here;        /* of that item */
    pl_buf items, errors; /* to be delivered */
    uint32_t item_count;
    size_t delivered;                        /* the index of the first of them */
    struct gql_held *first_held, *last_held; /* parts of items that have left work */
    gql_event items_event, over_event, ready, told;
    gql_iteration iteration; /* of calls of the iterator */
    gql_pending *call;       /* the one that waits */
    uint64_t order;          /* in which streams have begun */
    bool begun, goes_on;     /* goes_on: after a delivery */
    bool waiting, stopped, failed;
};

/* A part that is kept until its item is delivered. */
typedef struct gql_held {
    struct gql_held *next;
    gql_part *part;
} gql_held;

#define GQL_RANKS 2
struct gql_delivery {
    gql_open *first_open, *last_open;
    uint32_t open_count, next_id;
    gql_queue events;
    gql_queue ring[16][GQL_RANKS]; /* streams that go on at a tick: see delivery.c */
    uint64_t tick, ring_tick, asks, order;
    gql_queue late;         /* tasks to be begun when there is time for it */
    gql_work *works;        /* all that are live */
    gql_part *parts;        /* all but the first */
    uint32_t live;          /* works and links, bounded */
    size_t held;            /* bytes of results that wait */
    gql_group *first_group; /* to begin with */
    gql_stream *first_stream;
    pl_buf pending, incremental, completed; /* of the payload that is written */
    bool started;
};

/* parts.c */
gql_part *gql_part_new(gql_execution *x, gql_part *parent); /* NULL: memory */
void gql_part_hold(gql_part *part);
void gql_part_release(gql_execution *x, gql_part *part);
/* It is over, and what it has left is not taken over by anybody: released, too. */
void gql_part_discard(gql_execution *x, gql_part *part);
/* Forgets what has been written, for another item. */
void gql_part_reset(gql_execution *x, gql_part *part);
void gql_part_dispose_all(gql_execution *x);
gql_delivery *gql_delivery_get(gql_execution *x); /* made when it is first needed. NULL: memory */
/* Registers work that the current part leaves below frame. False: memory. */
bool gql_work_add(gql_execution *x, gql_work *work, gql_frame *frame, pl_ref value, const gql_path *path);

/* defer.c */
void gql_task_run(gql_execution *x, gql_task *task);

/* stream.c */
/* A stream that the current part leaves at the end of its buffer; it takes value. NULL: memory. */
gql_stream *gql_stream_new(gql_execution *x, const gql_plan_field *f, const gql_typeref *type, size_t index,
                           pl_ref value, const gql_path *path, gql_frame *frame);
/* The iterator's call has ended. */
void gql_stream_answer(gql_execution *x, gql_stream *s, pl_call_status status, pl_slot result,
                       const pl_failure *failure);
void gql_stream_produce(gql_execution *x, gql_stream *stream);
/* After a delivery: what it has produced meanwhile is heard of. */
void gql_stream_tell(gql_execution *x, gql_stream *stream);
void gql_stream_close(gql_execution *x, gql_stream *stream);
void gql_item_done(gql_execution *x, gql_stream *stream);

/* iterate.c */
/* Calls close (PL_REF_NONE: nothing), and drops it: its iterator is at its end, or nobody wants more of it.
 */
void gql_iterator_close(gql_execution *x, pl_ref close);
/* The stream's iterator waits. */
void gql_iteration_wait(gql_execution *x, gql_stream *s, pl_call *call);

/* delivery.c */
/* After the first part: what it has left becomes the client's to wait for. False: there is nothing. */
bool gql_delivery_begin(gql_execution *x);
void gql_event_add(gql_queue *queue, gql_event *event); /* unless it is in one */
void gql_event_remove(gql_event *event);
/* Hands it to whom it concerns after so many ticks; of one tick, those of rank 0 first. */
void gql_schedule(gql_execution *x, gql_event *event, unsigned ticks, unsigned rank);
/* It is over: its calls are ended. */
void gql_task_remove(gql_execution *x, gql_task *task);
void gql_group_release(gql_execution *x, gql_group *group);
/* Handles events until something can be delivered, or the turn has been long. [jumps] */
void gql_delivery_turn(gql_execution *x);
bool gql_delivery_has_work(const gql_execution *x);
/* The execution as a whole has failed: all that is open is over, with that error. */
void gql_delivery_fail(gql_execution *x, pl_str error);

/* publish.c: the JSON of payloads */
void gql_publish_pending(gql_execution *x, gql_open *open);
void gql_publish_task(gql_execution *x, const gql_group *group, gql_task *task);
void gql_publish_success(gql_execution *x, gql_open *open);
void gql_publish_failure(gql_execution *x, gql_open *open, pl_str error);
void gql_publish_items(gql_execution *x, gql_stream *stream);
bool gql_publish_is_empty(const gql_execution *x);
/* Appends the payload to out, and begins the next one. */
void gql_publish(gql_execution *x, pl_buf *out, bool has_next);
/* Of the first payload: ,"pending":[…],"hasNext":true */
void gql_publish_first(gql_execution *x, pl_buf *out);

#endif
