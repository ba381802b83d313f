/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_NATIVE_INTERNAL_H
#define PL_VALUE_NATIVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "value/native.h"

/* A list or map that is being written. */
typedef struct native_open {
    struct native_open *outer;
    pl_kind kind;
    union {
        pl_value *items;
        pl_member *members;
    };
    size_t count, room;
    pl_str key; /* of the next value of a map; ptr NULL: none was given */
} native_open;

struct pl_native_sequence {
    atomic_uint refs;
    pl_native_entry entry; /* of next */
    void (*close)(void *data);
    bool busy; /* the state's thread's */
};

/* Two hold a call: the engine, and from the moment that the function runs the host program, until it
 * finishes. Whoever lets go last frees it. What the host program writes (result, failure) belongs to it until
 * then; the phase hands it over. */
struct pl_native_call {
    atomic_uint refs;
    _Atomic int phase;
    const pl_native_entry *entry;
    pl_native_call *next; /* in the pool */

    /* The arguments; state NULL: they cannot be read any more. */
    pl_state *state;
    const pl_engine *e;
    const pl_work *work;
    pl_slot first;
    int count;
    pl_lazy *info; /* may be NULL */
    pl_slot info_slot;

    /* The result. */
    pl_arena arena;
    pl_value result;
    bool has_result, no_memory;
    native_open *open;
    unsigned depth;
    const char *misuse;           /* the first mistake of the host program */
    pl_native_sequence *sequence; /* the result */
    pl_native_sequence *of;       /* it is a call of next */
    bool asks;                    /* for a message, instead of giving an element */

    /* The failure. */
    bool failed, unexpected;
    pl_code code;
    pl_str message, traceback;
    pl_member *violations;
    size_t violation_count, violation_room;
    pl_failure failure;

    /* Waiting. */
    pthread_mutex_t lock; /* held while cancelled runs; recursive, as that may finish the call */
    void (*cancelled)(void *data);
    void *cancelled_data;
    pl_mailbox *mailbox;
    pl_message message_to_loop;
    void (*wake)(void *waiter);
    void *waiter;
};

/* Remembers that there was no memory; returns p. */
void *native_check(pl_native_call *call, void *p);
void native_misuse(pl_native_call *call, const char *what);
/* Makes room for one more of size bytes in an array of the call's arena. NULL: memory. */
void *native_grow(pl_native_call *call, void *array, size_t count, size_t *room, size_t size);

#endif
