/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_EXECUTION_INTERNAL_H
#define PL_GRAPHQL_EXECUTION_INTERNAL_H

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "graphql/execution/execute.h"
#include "graphql/execution/output.h"

/* Where a value stands in the response; on the C stack while the walk is below it. */
typedef struct gql_path {
    const struct gql_path *parent;
    pl_str key; /* ptr NULL: an index */
    size_t index;
} gql_path;

/* What came of a value. */
typedef enum gql_outcome {
    GQL_WRITTEN, /* JSON was written, or a hole is there */
    GQL_NULL,    /* the value is null; nothing written */
    GQL_FAILED,  /* an error was recorded; nothing that stays was written */
} gql_outcome;

typedef struct gql_part gql_part;
typedef struct gql_defers gql_defers;
typedef struct gql_delivery gql_delivery;
typedef struct gql_iteration gql_iteration;
typedef struct gql_work gql_work;

/* A field whose call waits; or that is not called yet, because the execution has held its thread for long
 * enough. */
typedef struct gql_pending gql_pending;
/* A call that several fields wait for. */
typedef struct gql_batch gql_batch;
struct gql_batch {
    gql_batch *next;  /* of the execution, over or not */
    pl_call *call;    /* NULL: over */
    uint32_t waiting; /* fields */
};
struct gql_pending {
    gql_pending *next, *prev;               /* of the execution, oldest first */
    gql_pending *scope_next, **scope_place; /* of its scope */
    gql_execution *x;
    pl_call *call;    /* NULL: postponed, shared, or over */
    gql_batch *batch; /* shared; NULL: it is not, or over */
    bool postponed;
    pl_ref parent; /* postponed: the value that it is a field of; PL_REF_NONE at the root */
    gql_pending *postponed_next, *postponed_prev;
    const gql_plan_field *field;
    const gql_path *path; /* copied into the arena */
    gql_scope *scope;     /* the nearest enclosing position that may become null */
    gql_hole *hole;
    gql_part *part;
    const gql_defers *defers;
    gql_iteration *iteration; /* it is an iterator that is called; NULL otherwise */
};

/* A list whose items an iterator gives; see iterate.c. */
struct gql_iteration {
    gql_iteration *next, *prev; /* of the execution's */
    struct gql_stream *stream;  /* NULL: all goes into the list; otherwise only this member counts */
    const gql_plan_field *field;
    const gql_typeref *type; /* of an item */
    pl_ref step, close;      /* close may be PL_REF_NONE */
    size_t index, streamed;  /* from item streamed on a stream goes on with it */
    bool live;
};

/* A result that is written on its own, see incremental.h. What it has written is in the execution while the
 * part is the current one. */
struct gql_part {
    gql_part *next, *prev; /* of the execution's, but for the first */
    gql_part *parent;      /* whose memory it refers to */
    uint32_t refs;
    pl_arena own;
    pl_arena *arena; /* own; the work's for the first part */
    gql_output out;
    pl_buf errors;
    uint32_t error_count;
    size_t last_error;     /* where in errors it begins */
    uint32_t waiting;      /* calls */
    gql_scope *root_scope; /* NULL: nothing has waited */
    bool failed;           /* null has gone up to the root */
    struct gql_task *task; /* one of these two, but for the first part */
    struct gql_stream *stream;
    struct gql_group *first_group, *last_group; /* what it has left to be done later */
    gql_work *first_task, *last_task, *first_stream, *last_stream;
};

struct gql_execution {
    gql_plan *plan;
    gql_binding *binding;
    const pl_engine *e;
    pl_state *state;
    pl_work *work;
    gql_input_env env;
    gql_execute_options options;
    gql_execution_params params;
    gql_execution_payload payload;
    void *data;

    pl_buf *spare; /* where the response's buffer goes back to */
    size_t max_response;
    gql_part first;
    gql_part *part;           /* the current one */
    pl_arena *arena;          /* its */
    const gql_defers *defers; /* deferred fragments at the place that is executed */
    gql_output out;
    pl_buf errors;                    /* JSON objects, separated by commas */
    uint32_t error_count, errors_met; /* met: in all parts */
    size_t last_error;
    gql_iteration *iterations; /* under way */
    gql_pending *pending, *last_pending;
    gql_batch *batches;
    uint32_t pending_count;
    pl_timer timer; /* the deadline, armed when something waits */
    bool timer_armed;

    gql_pending *postponed, *last_postponed; /* queue */
    pl_timer slice;                          /* goes on with what was postponed, in the loop's next turn */
    bool slice_armed;
    uint64_t turn_began; /* pl_engine.watched_at */

    gql_hole **serial; /* mutations: one hole for each root field */
    const gql_plan_object *root;
    uint32_t serial_next;
    gql_scope *root_scope; /* of data; set for mutations */
    gql_viewer *viewer;    /* for access.h; NULL until a field asks */
    bool timed_out;
    gql_delivery *delivery; /* NULL until something is deferred or streamed */
    bool incremental;       /* there will be more than one payload */
    bool delivering;        /* the first payload has been handed over */
    bool paused;            /* no payload but the first and the last */
    bool in_turn, finished;
    bool *gone; /* set when the execution ends while a payload is handed over */
    pl_slot
        pin_base; /* the plan's pins, as many as pin_count, are above it, in this protected section alone */
    uint32_t pin_count;
    pl_error fatal; /* code not OK: the execution as a whole failed. The last member: a new execution is zero
                       up to here */
};

/* errors.c */
void gql_error_add(gql_execution *x, const gql_plan_field *field, const gql_path *path, pl_code code,
                   pl_str message, const pl_value *details, const pl_value *extensions);
/* An unexpected error: logged in full, and shown to the client as INTERNAL with the request's id (or the code
 * of a limit). */
void gql_error_internal(gql_execution *x, const gql_plan_field *field, const gql_path *path,
                        const pl_failure *failure);
void gql_error_failure(gql_execution *x, const gql_plan_field *field, const gql_path *path,
                       const pl_failure *failure);
void gql_error_internal_text(gql_execution *x, const gql_plan_field *field, const gql_path *path,
                             pl_code code, const char *message);
const gql_path *gql_path_copy(gql_execution *x, const gql_path *path);
/* As a list in JSON, without the first `from` steps. */
void gql_write_path(pl_buf *out, const gql_path *path, size_t from);
void gql_path_print(pl_buf *out, const gql_path *path); /* user.posts[3].title */

/* complete.c */
/* The value at a position of the response: writes it, or null where the type lets it be null and the value
 * is, or failed. GQL_WRITTEN, or GQL_FAILED when null has to go up. Slots that it leaves on the stack are the
 * caller's to drop; so for whatever executes fields. */
gql_outcome gql_complete(gql_execution *x, const gql_plan_field *f, const gql_typeref *type, pl_slot value,
                         const gql_path *path, gql_frame *parent);

/* The same for the value of a field in the top slot. */
gql_outcome gql_complete_field(gql_execution *x, const gql_plan_field *f, pl_slot value, const gql_path *path,
                               gql_frame *frame);

/* The concrete type of a value of an abstract type; NULL: an error was recorded. */
const gql_named *gql_resolve_type(gql_execution *x, const gql_plan_field *f, const gql_named *type,
                                  pl_slot value, const gql_path *path);
/* Of a MAP: it may be an empty list. */
bool gql_is_empty_map(gql_execution *x, pl_slot value);
/* Drops holes and deferred work that were left in what is rewound; for gql_output_rewind. */
void gql_drop_patch(void *data, gql_patch *patch);

gql_outcome gql_list_too_long(gql_execution *x, const gql_plan_field *f, const gql_path *path);

/* fields.c */
gql_outcome gql_execute_fields(gql_execution *x, const gql_plan_object *object, pl_slot parent,
                               const gql_path *path, gql_frame *frame);
/* Pushes the arguments table. False: an error was recorded. [jumps] */
bool gql_push_arguments(gql_execution *x, const gql_plan_field *f, const gql_path *path);
gql_outcome gql_execute_field(gql_execution *x, const gql_plan_field *f, pl_slot parent, const gql_path *path,
                              gql_frame *frame);
/* Whether the viewer may have a field with f->access. False: the error is recorded. */
bool gql_field_allowed(gql_execution *x, const gql_plan_field *f, const gql_path *path);
gql_outcome gql_execute_plain(gql_execution *x, const gql_plan_object *object, pl_slot parent,
                              const gql_path *path, gql_frame *frame);
/* The same for an object without deferred fields, where top is the highest slot, and there is room for
 * GQL_OBJECT_SLOTS. is_map: parent is a MAP. */
#define GQL_OBJECT_SLOTS (16 + GQL_MAX_RUN)
gql_outcome gql_write_object(gql_execution *x, const gql_plan_object *object, pl_slot parent, bool is_map,
                             const gql_path *path, gql_frame *frame, pl_slot top);
/* members.c: writes the fields of the run that begins with f, as far as they are scalars of their types: how
 * many. Leaves slots on the stack: as many, when it is all of them. */
uint32_t gql_write_run(gql_execution *x, const gql_plan_field *f, pl_slot parent);
/* A call that waits, in a hole of its own (frame NULL: in none). NULL: memory; the call is cancelled then. */
gql_pending *gql_pending_call(gql_execution *x, const gql_plan_field *f, pl_call *call, const gql_path *path,
                              gql_frame *frame);
/* The same for what goes on in a later turn; call is to be set by whoever asks for it. */
gql_pending *gql_pending_postpone(gql_execution *x, const gql_plan_field *f, const gql_path *path,
                                  gql_frame *frame);
bool gql_turn_is_long(const gql_execution *x);
void gql_pending_cancel(gql_execution *x, gql_pending *p);
/* Null goes up to scope: what waits below it need not any more. */
void gql_null_scope(gql_execution *x, gql_scope *scope);
/* Ends what waits with a failure: its field becomes null, or null goes up. */
void gql_pending_fail(gql_execution *x, gql_pending *p, const pl_failure *failure);

/* The field's resolver, now or in the loop's next turn; path: the field's own. */
gql_outcome gql_field_resolve(gql_execution *x, const gql_plan_field *f, pl_slot parent, const gql_path *path,
                              gql_frame *frame);
/* Calls function with the top nargs slots for the field: completes what it gives, or leaves a hole. */
gql_outcome gql_call_function(gql_execution *x, const gql_plan_field *f, pl_ref function, int nargs,
                              const gql_path *path, gql_frame *frame);
/* A hole for a field that waits for a shared call; NULL: memory. gql_pending_end fills it. */
gql_pending *gql_leave_shared_hole(gql_execution *x, const gql_plan_field *f, gql_batch *batch,
                                   const gql_path *path, gql_frame *frame);
void gql_pending_end(gql_execution *x, gql_pending *p, pl_call_status status, pl_slot result,
                     const pl_failure *failure);

/* entities.c: one field less waits for it; without any it is cancelled */
void gql_batch_leave(gql_execution *x, gql_batch *batch);
void gql_batches_cancel(gql_execution *x);

/* Goes on with postponed fields, until this turn has been long enough, too. */
void gql_run_postponed(gql_execution *x);
void gql_turn_begin(gql_execution *x);

/* execute.c: in the loop's next turn gql_run_postponed is called; false: memory */
bool gql_slice_arm(gql_execution *x);
/* execute.c: after a turn: the next root field of a mutation, or the end when nothing waits. */
void gql_execution_continue(gql_execution *x);

/* defer.c: an object some of whose fields are deferred */
gql_outcome gql_execute_deferring(gql_execution *x, const gql_plan_object *object, pl_slot parent,
                                  const gql_path *path, gql_frame *frame);
/* defer.c: no more may be deferred or streamed for now: an error was recorded */
bool gql_deferral_is_full(gql_execution *x, const gql_plan_field *f, const gql_path *path);
/* defer.c: the current part, not the first one, is complete */
void gql_part_done(gql_execution *x);
/* parts.c */
void gql_part_switch(gql_execution *x, gql_part *part);
void gql_work_drop(gql_execution *x, gql_work *work);
/* Makes the part the one that is written. Only between two turns of it. */
static inline void gql_part_enter(gql_execution *x, gql_part *part)
{
    if (x->part != part)
        gql_part_switch(x, part);
}

/* stream.c: how many items of a list with @stream are delivered at once. False: an error was recorded */
bool gql_stream_initial(gql_execution *x, const gql_plan_field *f, const gql_path *path, size_t *out);
/* stream.c: the rest of a list, from item index on, is left to a stream. False: an error was recorded */
bool gql_stream_open(gql_execution *x, const gql_plan_field *f, const gql_typeref *type, pl_slot value,
                     size_t index, const gql_path *path, gql_frame *frame);
/* iterate.c: a list whose items an iterator gives. GQL_NULL: value is no iterator */
gql_outcome gql_complete_iterator(gql_execution *x, const gql_plan_field *f, const gql_typeref *type,
                                  pl_slot value, const gql_path *path, gql_frame *frame);
void gql_iteration_end(gql_execution *x, gql_iteration *it);
/* status PENDING: it was postponed. */
void gql_iteration_answer(gql_execution *x, gql_pending *p, pl_call_status status, pl_slot result,
                          const pl_failure *failure);

/* info.c: pushes the info argument of a resolver; false: no room on the stack */
bool gql_push_info(gql_execution *x, const gql_plan_field *f, const gql_path *path);

/* introspect.c: a __schema or __type field of the query root */
gql_outcome gql_introspect(gql_execution *x, const gql_plan_field *f, const gql_path *path);
/* Arguments of a field as values: out[i] for argument i, ABSENT when not given. */
pl_code gql_field_arguments(gql_execution *x, const gql_plan_field *f, pl_value *out, pl_error *err);

#endif
