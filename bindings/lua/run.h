/* SPDX-License-Identifier: MIT */
#ifndef PLUA_RUN_H
#define PLUA_RUN_H

#include <unistd.h>

#include "bindings/lua/internal.h"

/* The beginning and the end of a run (see watch.c): inline, as every call of a script has them. A run may be
 * inside of another one: a function of the host program asks another app without workers, or reloads its own.
 * Its record is the caller's, from begin to end. */
typedef struct plua_run {
    plua_state *outer;   /* whose script runs on this thread outside of this; NULL: none */
    lua_State *outer_co; /* of the same state; NULL: it does not run outside of this */
    size_t outer_cap;
    pl_code outer_interrupted; /* set with outer_co, and so is the rest */
    bool outer_threw, outer_refused;
} plua_run;

#define PLUA_OF_THREAD __attribute__((tls_model("initial-exec")))
/* The state whose script runs on this thread, for the signal handler: the innermost one. */
extern __thread plua_state *volatile plua_running PLUA_OF_THREAD;
extern __thread pid_t plua_thread PLUA_OF_THREAD; /* its number; 0: not asked yet */

static inline void plua_hook_clear(lua_State *L)
{
    lua_sethook(L, NULL, 0, 0);
}

/* Odd numbers are runs: inside of another one of the same state it is the next but one, and so again behind
 * it, which gives that its time anew. */
static inline void plua_run_count(plua_state *st, unsigned more)
{
    unsigned seq = atomic_load_explicit(&st->run_seq, memory_order_relaxed);
    atomic_store_explicit(&st->run_seq, seq + more, memory_order_relaxed);
}

static inline void plua_run_begin(plua_state *st, lua_State *co, plua_run *run)
{
    const pl_state_limits *limits = &st->config.limits;
    bool bounded = limits->call_memory < limits->memory && st->used < limits->memory - limits->call_memory;
    run->outer = plua_running;
    run->outer_co = atomic_load_explicit(&st->running, memory_order_relaxed);
    run->outer_cap = st->run_cap;
    if (run->outer_co) {
        run->outer_interrupted = st->interrupted;
        run->outer_threw = st->hook_threw;
        run->outer_refused = st->refused;
    }
    st->run_cap = bounded ? st->used + limits->call_memory : limits->memory;
    st->refused = false;
    st->interrupted = PL_OK;
    st->hook_threw = false;
    plua_running = st;
    if (plua_thread == 0)
        plua_thread = gettid();
    atomic_store_explicit(&st->thread, plua_thread, memory_order_relaxed);
    atomic_store_explicit(&st->running, co, memory_order_relaxed);
    plua_run_count(st, run->outer_co ? 2 : 1);
}

static inline void plua_run_end(plua_state *st, const plua_run *run)
{
    unsigned seq = atomic_load_explicit(&st->run_seq, memory_order_relaxed);
    lua_State *co = atomic_load_explicit(&st->running, memory_order_relaxed);
    plua_run_count(st, run->outer_co ? 2 : 1);
    atomic_store_explicit(&st->running, run->outer_co, memory_order_relaxed);
    plua_running = run->outer;
    if (atomic_load_explicit(&st->armed_seq, memory_order_relaxed) == seq)
        plua_hook_clear(co);
    st->run_cap = run->outer_cap;
}

/* watch.c: as run_begin, for to-be-closed variables; armed at once. close_end gives an outer run its state
 * back. */
void plua_close_begin(plua_state *st, lua_State *co, plua_run *run);
void plua_close_end(plua_state *st, const plua_run *run);
void plua_load_begin(plua_state *st, plua_run *run); /* arms the hook for top-level code, at once */
void plua_load_end(plua_state *st, const plua_run *run);

#endif
