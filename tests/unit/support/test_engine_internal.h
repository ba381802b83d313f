/* SPDX-License-Identifier: MIT */
#ifndef PL_TESTS_TEST_ENGINE_INTERNAL_H
#define PL_TESTS_TEST_ENGINE_INTERNAL_H

#include <setjmp.h>

#include "support/test_engine.h"

typedef struct te_member {
    te_value key, value;
} te_member;

struct te_node {
    te_node *next; /* of all */
    bool marked;
    pl_str text;        /* STRING */
    te_value *items;    /* LIST */
    te_member *members; /* MAP */
    size_t count, capacity;
    te_value attached;     /* MAP: what goes along with it */
    te_value fields;       /* OTHER: an object's */
    te_callback *callback; /* OTHER: a function's */
    void *data;
    int arity;
};

typedef struct te_chain te_chain;
struct te_call {
    pl_call call;
    te *t;
    te_chain *chain;      /* NULL: it is none */
    te_call *next, *prev; /* oldest first */
    te_invocation in;
};

typedef struct te_handler {
    jmp_buf jump;
    struct te_handler *outer;
    int base, top;
} te_handler;

typedef struct te_ref {
    te_value value;
    bool used;
} te_ref;

struct pl_key {
    pl_key *next;
    pl_str name;
};

struct te {
    pl_state_head head;
    pl_host host;
    pl_timers timers;
    uint64_t now;
    uint64_t watched; /* what watch was last given */
    bool refuse_timers;

    te_handler *handler;
    te_value *stack;
    int base;     /* the slot before the current section's first */
    int top;      /* slots in use, all sections */
    int capacity; /* of stack; a few more are there */
    int room;     /* pushes are allowed up to here */
    bool starved; /* a reservation failed: pushes jump */

    te_node *nodes;
    te_ref *refs;
    int ref_count;
    pl_ref index;
    pl_key *keys;
    te_call *waiting, *last;
    te_counts counts;
};

/* Leaves the current protected section; returns where there is none. */
void te_jump(te *t);
void te_push_raw(te *t, te_value v);
te_value te_kept(te *t, pl_ref ref);
te_value *te_slot(te *t, pl_slot slot);
void te_values_init(pl_engine *e);
void te_values_free(te *t);
bool te_is_function(te_value v);

/* test_engine_chain.c */
bool te_is_chain(te_value v);
te_chain *te_chain_new(te *t, te_value f, const te_invocation *in); /* NULL: memory; freed with pl_free */
/* Runs its functions as far as they go; what the last one said is in *in. */
te_outcome te_chain_run(te_chain *chain, te_invocation *in);
/* What it has waited for is there. */
void te_chain_goes_on(te_chain *chain, pl_call_status status, te_value value, const pl_failure *failure);
void te_chain_init(pl_engine *e);
/* test_engine.c: the call's chain runs on, and ends, or waits anew. */
void te_chain_turn(te *t, te_call *call);

#endif
