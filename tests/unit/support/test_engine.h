/* SPDX-License-Identifier: MIT */
#ifndef PL_TESTS_TEST_ENGINE_H
#define PL_TESTS_TEST_ENGINE_H

#include "value/engine.h"

/* An engine without a script language: values are C structs, functions are C callbacks that the test
 * registers. It is as strict as an engine may be: out of memory leaves by a jump, a push without room that
 * was reserved ends the process, and a protected section may fail before it begins. Its state comes attached
 * to a host with a virtual clock. */
typedef struct te te; /* is a pl_state */
typedef struct te_node te_node;
typedef struct te_call te_call;

/* Nodes belong to the state: they live until it is freed, or until `idle` finds that nothing refers to them.
 */
typedef struct te_value {
    pl_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        te_node *node; /* STRING, LIST, MAP, OTHER */
    };
} te_value;

const pl_engine *te_engine(void);
te *te_new(void); /* NULL: memory */
void te_free(te *t);
pl_state *te_state(te *t);

/* --- values. Without memory: a jump below pl_protect, an absent value elsewhere --- */
te_value te_null(void);
te_value te_bool(bool v);
te_value te_int(int64_t v);
te_value te_float(double v);
te_value te_string(te *t, const char *text);
te_value te_bytes(te *t, pl_str bytes);
te_value te_list(te *t, int count, ...);    /* of te_value */
te_value te_map(te *t, ...);                /* const char *name, te_value value …, NULL */
te_value te_object(te *t, te_value fields); /* OTHER; only the index function reads its fields */
te_value te_copy(te *t, pl_slot slot);      /* the value in a slot of the current section */
void te_append(te *t, te_value list, te_value v);
void te_set(te *t, te_value map, const char *name, te_value v);
void te_set_key(te *t, te_value map, te_value key, te_value v); /* a key of any kind */
te_value te_get(te_value map, const char *name);
te_value te_item(te_value list, size_t index);
pl_str te_text(te_value string);
size_t te_nodes(const te *t); /* that are alive */
size_t te_refs(const te *t);  /* that are kept */
/* Pushes v, as a builder function does. */
pl_slot te_push(te *t, te_value v);

/* --- functions --- */
typedef enum te_outcome { TE_RETURN, TE_FAIL, TE_PEND, TE_NEXT } te_outcome;
typedef struct te_invocation {
    te *t;
    int count;
    te_value args[8];
    pl_work *work;
    const char *label;  /* may be set for PEND, to find the call again */
    te_value result;    /* to be set for RETURN; what te_resume completes a waiting call with */
    pl_failure failure; /* to be set for FAIL */
    /* Of an interceptor (pl_engine.chain), which is called anew, with step one higher, when what it has
     * waited for is there (PEND: te_complete's value, or failure), or what its NEXT has run is over. */
    int step;
    bool next_failed;
    te_value next_value;
    pl_failure next_failure;
} te_invocation;
typedef te_outcome te_callback(te_invocation *in, void *data);
te_value te_function(te *t, te_callback *callback, void *data, int arity);
te_outcome te_fail(te_invocation *in, pl_code code, const char *message); /* expected: for the client */
te_outcome te_crash(te_invocation *in, const char *message);              /* unexpected: for the log */

/* --- calls that wait, oldest first. Ending one is what a loop turn would do. Chains that wait for what they
 * wrap are not among them --- */
size_t te_waiting(const te *t);
size_t te_wrapping(const te *t); /* such chains */
te_call *te_waiting_at(const te *t, size_t index);
te_call *te_waiting_for(const te *t, const char *label); /* the oldest; NULL: none */
void te_complete(te *t, te_call *call, te_value result);
void te_resume(te *t, te_call *call);
void te_fail_call(te *t, te_call *call, const pl_failure *failure);

typedef struct te_counts {
    size_t called, waited, cancelled, ended;
} te_counts;
te_counts te_count(const te *t);

/* --- the host --- */
void te_advance(te *t, uint64_t ms); /* the clock goes on; timers that are due fire */
size_t te_timers(const te *t);       /* that are armed */
bool te_is_due(const te *t);         /* one of them would fire without the clock going on */
/* timer_start fails from now on. */
void te_refuse_timers(te *t);

#endif
