/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_NATIVE_H
#define PL_VALUE_NATIVE_H

#include "perilune/native.h"
#include "value/engine.h"
#include "value/mailbox.h"

/* Calls of functions of the host program (perilune/native.h), as an engine makes them. The functions that the
 * host program calls (pl_native_argument, pl_native_put_int, …) are implemented here, too.
 *
 * An engine makes a call for each time that a script calls such a function:
 *
 *     new ── run ──┬─ DONE ──────────────────────────────────┬─ result, free
 *                  ├─ FAILED ─────────────────────────────── │ ─ failure, free
 *                  └─ PENDING ── wait ──┬─ false: finished ──┴─ outcome …
 *                                       └─ true ──┬─ woken ──── outcome …
 *                                                 └─ cancel (the call is the host program's alone)
 */

typedef struct pl_native_entry {
    pl_native_function function;
    void *data;
    const char *name; /* for messages: "Query.user" */
    size_t number;    /* of a resolver: from 1, see pl_state_head.scalars; otherwise 0 */
} pl_native_entry;

/* What pl_native_scalars_of gives: with one reference. NULL: memory. */
pl_native_scalars *pl_native_scalars_new(pl_str packed);

/* What pl_native_put_sequence has made: counted references, of the script's value and of the call of next. */
typedef struct pl_native_sequence pl_native_sequence;
void pl_native_sequence_ref(pl_native_sequence *sequence);
void pl_native_sequence_unref(pl_native_sequence *sequence); /* the last one closes it */
const pl_native_entry *pl_native_sequence_entry(const pl_native_sequence *sequence);
/* Whether a call of next is in hand. */
bool pl_native_sequence_is_busy(const pl_native_sequence *sequence);

/* Calls of a state that are used again, with their memory. All zeros: none. */
typedef struct pl_native_pool {
    pl_native_call *calls;
    unsigned count;
} pl_native_pool;
void pl_native_pool_dispose(pl_native_pool *pool);

/* NULL: memory. On the state's thread, as all that follows. */
pl_native_call *pl_native_call_new(pl_native_pool *pool);
/* Gives back a call that is DONE or FAILED. */
void pl_native_call_free(pl_native_pool *pool, pl_native_call *call);

/* The call is one of next of the sequence, which is kept as long as it is in hand. Before run. */
void pl_native_call_of(pl_native_call *call, pl_native_sequence *sequence);
/* Calls the function with the top `count` slots, which stay. work may be NULL, and so may info: pl_work.info.
 * Nothing is left by a jump; but what the function leaves on the value stack is for the caller to pop. */
pl_native_status pl_native_call_run(pl_native_call *call, const pl_native_entry *entry, pl_state *state,
                                    const pl_work *work, pl_lazy *info, int count);
/* What has become of a call that has been finished: DONE or FAILED. */
pl_native_status pl_native_call_outcome(pl_native_call *call);
/* Of one that is DONE: ABSENT when nothing was written. All live as long as the call. */
const pl_value *pl_native_call_result(const pl_native_call *call);
/* The same, when it is a sequence; NULL: it is none. */
pl_native_sequence *pl_native_call_sequence(const pl_native_call *call);
/* The same: next asks for a message. */
bool pl_native_call_asks(const pl_native_call *call);
/* Of one that has FAILED. */
const pl_failure *pl_native_call_failure(const pl_native_call *call);

/* A PENDING call is to wake(waiter) on the state's thread when it is finished, with a message to the mailbox.
 * False: it is finished already. */
bool pl_native_call_wait(pl_native_call *call, pl_mailbox *mailbox, void (*wake)(void *waiter), void *waiter);
/* Nobody wants the result of a PENDING call any more, which may not wait yet, or be finished: it will not be
 * woken, and must not be used again. */
void pl_native_call_cancel(pl_native_call *call);

#endif
