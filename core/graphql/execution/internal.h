/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_EXECUTION_INTERNAL_H
#define PL_GRAPHQL_EXECUTION_INTERNAL_H

#include <stdio.h>

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
    gql_pending *postponed_next;
    const gql_plan_field *field;
    const gql_path *path; /* copied into the arena */
    gql_scope *scope;     /* the nearest enclosing position that may become null */
    gql_hole *hole;
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
    gql_output out;
    pl_buf errors; /* JSON objects, separated by commas */
    uint32_t error_count;
    gql_pending *pending, *last_pending;
    gql_batch *batches;
    uint32_t pending_count;
    pl_timer timer; /* the deadline, armed when something waits */
    bool timer_armed;

    gql_pending *postponed, **postponed_end; /* queue */
    pl_timer slice;                          /* goes on with what was postponed, in the loop's next turn */
    bool slice_armed;
    uint64_t turn_began; /* pl_engine.watched_at */

    gql_hole **serial; /* mutations: one hole for each root field */
    const gql_plan_object *root;
    uint32_t serial_next;
    gql_scope *root_scope; /* of data; set for mutations */
    gql_viewer *viewer; /* for access.h; NULL until a field asks */
    bool timed_out;
    pl_error fatal; /* code not OK: the execution as a whole failed */
    bool in_turn, finished;
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
void gql_path_print(pl_buf *out, const gql_path *path); /* user.posts[3].title */

/* complete.c */
/* The value at a position of the response: writes it, or null where the type lets it be null and the value
 * is, or failed. GQL_WRITTEN, or GQL_FAILED when null has to go up. */
gql_outcome gql_complete(gql_execution *x, const gql_plan_field *f, const gql_typeref *type, pl_slot value,
                         const gql_path *path, gql_frame *parent);

/* The concrete type of a value of an abstract type; NULL: an error was recorded. */
const gql_named *gql_resolve_type(gql_execution *x, const gql_plan_field *f, const gql_named *type,
                                  pl_slot value, const gql_path *path);
/* Of a MAP: it may be an empty list. */
bool gql_is_empty_map(gql_execution *x, pl_slot value);

/* fields.c */
gql_outcome gql_execute_fields(gql_execution *x, const gql_plan_object *object, pl_slot parent,
                               const gql_path *path, gql_frame *frame);
/* Pushes the arguments table. False: an error was recorded. [jumps] */
bool gql_push_arguments(gql_execution *x, const gql_plan_field *f, const gql_path *path);
gql_outcome gql_execute_field(gql_execution *x, const gql_plan_field *f, pl_slot parent, const gql_path *path,
                              gql_frame *frame);
/* Whether the viewer may have a field with f->access. False: the error is recorded. */
bool gql_field_allowed(gql_execution *x, const gql_plan_field *f, const gql_path *path);
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

/* info.c: pushes the info argument of a resolver; false: no room on the stack */
bool gql_push_info(gql_execution *x, const gql_plan_field *f, const gql_path *path);

/* introspect.c: a __schema or __type field of the query root */
gql_outcome gql_introspect(gql_execution *x, const gql_plan_field *f, const gql_path *path);
/* Arguments of a field as values: out[i] for argument i, ABSENT when not given. */
pl_code gql_field_arguments(gql_execution *x, const gql_plan_field *f, pl_value *out, pl_error *err);

#endif
