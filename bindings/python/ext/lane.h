/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_PYTHON_LANE_H
#define PERILUNE_PYTHON_LANE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "core.h"
#include "wake.h"

/* How calls of the bundle get from the loops' threads to Python, and back.
 *
 *     loop's thread                     a thread of Python's (lane.run), or an asyncio loop (lane.drain)
 *     core_function_enter
 *       arguments are copied
 *       the call is QUEUED ───────────> taken with all that wait, below the GIL once: RUNNING
 *       PL_NATIVE_PENDING                 its function is called; a coroutine becomes a task
 *                                         DONE: the result is written, pl_native_finish
 *     core_call_cancelled
 *       DONE: pl_native_finish ───────> the task is cancelled
 *
 * Whoever makes a call DONE, by an atomic exchange, has the pl_native_call to itself and finishes it. So a
 * call whose function never returns can be ended all the same: by its deadline, and by the end of the app. */

typedef struct core_lane core_lane;
typedef struct core_call core_call;
typedef struct core_function core_function;
typedef struct core_stream core_stream;

/* What a function is called with. */
typedef enum core_kind {
    CORE_RESOLVER, /* parent, args, ctx, info */
    CORE_METHOD,   /* request, ctx */
    CORE_EVENT,    /* event, msg, ctx */
    CORE_BEFORE,   /* ctx */
    CORE_AFTER,    /* ctx, outcome */
} core_kind;

/* Made before the app starts, and immutable from then on; outlives it. */
struct core_function {
    core_function *next;
    core_function *second; /* of a pair that the library knows by the first; or NULL */
    PyObject *callable;    /* below the GIL only */
    core_lane *lane;
    core_kind kind;
    int count;    /* how many arguments it takes */
    bool streams; /* what a generator of its gives is taken one by one; otherwise it is a list */
    char name[];
};

/* What a stream's next call has been given of the client's messages. */
typedef enum core_message { CORE_NOTHING, CORE_MESSAGE, CORE_LAST } core_message;

struct core_call {
    core_call *next, *prev; /* of the lane's list of calls that are not DONE */
    core_call *queued;      /* the next one in the queue */
    core_call *dropped;     /* the next one of those that were cancelled */
    uint64_t id;            /* in its lane: its task is found by it */
    atomic_uint refs;
    atomic_int state;
    core_lane *lane;
    const core_function *function;
    pl_native_call *call;
    core_stream *stream; /* it is to give the next element of; or NULL */
    core_message message;
    pl_native_scalars *scalars; /* a resolver's, where some are Python's; or NULL */
    bool client_streams;        /* of a method: ctx is all that it was given */
    int64_t deadline;           /* monotonic milliseconds; -1: none */
    size_t length;              /* of the arguments, as MessagePack, one behind the other */
    char arguments[];
};

/* A generator that the library takes elements from: it holds a reference until core_stream_close. */
struct core_stream {
    atomic_uint refs;
    core_stream *closing; /* the next one of those that the lane is to close */
    const core_function *function;
    PyObject *object;  /* below the GIL only; NULL: it has been closed */
    PyObject *write;   /* the same: converts an element; or NULL */
    bool asynchronous; /* an object of perilune._engine's, with next and close; otherwise an iterator */
};

struct core_lane {
    atomic_uint refs;
    pthread_mutex_t lock;
    core_wake wake;
    core_call *first, *last; /* QUEUED */
    core_call *dropped;      /* cancelled while they were RUNNING: their tasks are to be told */
    core_call *live;         /* not DONE */
    core_stream *closing;    /* nobody wants more of them */
    /* Of the Lane, borrowed, below the GIL; NULL: it is gone. wrap(async iterator): its stream.
     * convert(places, name): (read, write, element), see perilune._scalars; converters keeps what that has
     * made. */
    PyObject *wrap, *convert, *converters;
    size_t count, capacity;
    uint64_t last_id;
    size_t bytes; /* of the arguments that wait */
    bool closed;
    char full[160]; /* what is said when there is no more room */
};

core_lane *core_lane_ref(core_lane *lane);
void core_lane_unref(core_lane *lane); /* NULL is fine */
/* No more calls; those that are not DONE end with UNAVAILABLE. Any thread, without the GIL. */
void core_lane_close(core_lane *lane);
/* PL_OK: the call is in its queue, and the lane holds a reference of its own. RESOURCE_EXHAUSTED: it is full;
 * UNAVAILABLE: it is closed. */
pl_code core_lane_push(core_lane *lane, core_call *call);
core_lane *core_lane_of(PyObject *lane);

/* A pl_native_function; data is a core_function. */
pl_native_status core_function_enter(pl_native_call *call, void *data);

core_call *core_call_ref(core_call *call);
void core_call_unref(core_call *call);
/* Makes it DONE. True: the caller is to finish call->call, by core_call_finish. */
bool core_call_end(core_call *call);
void core_call_finish(core_call *call);

/* QUEUED to RUNNING; false: it is DONE. */
bool core_call_begin(core_call *call);

/* --- streams --- */
/* Below the GIL; takes no reference of object's. NULL: raised. */
core_stream *core_stream_new(const core_function *function, PyObject *object, bool asynchronous);
void core_stream_unref(core_stream *stream);
/* A pl_native_function, and its end; data is a core_stream. */
pl_native_status core_stream_next(pl_native_call *call, void *data);
void core_stream_close(void *data);
/* Below the GIL: ends generators that nobody wants more of. */
void core_lane_close_streams(core_lane *lane);
/* Below the GIL. If the value is a stream it becomes the call's result, and 1 is returned; -1: raised. */
int core_put_stream(core_call *call, PyObject *value);

/* The call of a function, or of a stream's next element, into the lane: RESOURCE_EXHAUSTED and UNAVAILABLE
 * have failed it. Takes the call's reference. */
pl_native_status core_call_queue(core_call *call);

/* Below the GIL. The arguments for its function; NULL: raised. */
PyObject *core_call_arguments(core_state *state, core_call *call);
/* Ends the call with a value, or with the exception that is raised (value NULL), which is cleared. */
void core_call_give(core_state *state, core_call *call, PyObject *value);

/* --- scalars: below the GIL; NULL and -1: raised --- */
PyObject *core_scalars_read(const core_call *call,
                            PyObject *arguments); /* a new reference, as the next one */
PyObject *core_scalars_write(const core_call *call, PyObject *value);
int core_scalars_of_stream(const core_call *call, core_stream *stream);

/* Reads one value of MessagePack. NULL: raised. */
PyObject *core_unpack(const char **at, const char *end);
/* Writes a value as the result; -1: raised, with the place in it. what: "Query.user". */
int core_put(core_state *state, pl_native_call *call, PyObject *value, const char *what);

#endif
