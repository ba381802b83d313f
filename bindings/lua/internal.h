/* SPDX-License-Identifier: MIT */
#ifndef PLUA_INTERNAL_H
#define PLUA_INTERNAL_H

/* The Lua engine's own structures; modules need plua.h only. */

#include <pthread.h>

#include "base/map.h"
#include "base/slab.h"
#include "bindings/lua/plua.h"
#include "value/native.h"

/* One call of a script function, with the coroutine that it runs in. Calls are pooled with their coroutines.
 */
struct plua_call {
    pl_call call; /* first: the core sees this part */
    plua_state *state;
    lua_State *co;
    int self;               /* the ref that keeps this userdata, and with it co, alive */
    int next_value;         /* of a chain: the outcome of what it wraps, a ref */
    plua_wait wrapped;      /* and the wait for it */
    plua_call *next, *prev; /* in the list of waiting calls, or (next only) in the pool */
    uint64_t id;            /* calls are used again, ids are not; from 1 */
    pl_work *work;
    const void *field; /* pl_work.field when it was made */
    pl_lazy *info;     /* pl_work.info, as long as the call has not waited */
    /* From here on all is zero at the beginning of a call, like `call`. */
    plua_wait *wait;       /* what it waits for; NULL while it runs */
    uint64_t instructions; /* counted while the hook is armed */
    unsigned cache_hints;  /* pl_cache_control's */
    bool closing;          /* its to-be-closed variables run: nothing can wait */
    bool next_failed;      /* next_value is to be raised */
    bool in_chain;         /* it is one of a chain: it may call next */
    bool asked_next;       /* it has called next: once only */
};

typedef struct plua_metric plua_metric;

/* Strings that were pushed as names, by their bytes: those that come again need not be hashed and looked up
 * by Lua. */
#define PLUA_NAMES 256
#define PLUA_NAME_BYTES 24
typedef struct plua_name {
    int ref; /* 0: never used */
    uint8_t len;
    char bytes[PLUA_NAME_BYTES];
} plua_name;

struct plua_state {
    pl_state_head head; /* first */
    lua_State *L;       /* the main thread: the value stack */
    pl_state_config config;

    pl_slab slab;         /* what Lua's objects are made of */
    size_t used;          /* bytes that Lua holds */
    size_t run_cap;       /* most bytes while a script runs; SIZE_MAX outside */
    unsigned allocations; /* before it was attached, and at its end */
    bool refused;         /* the last allocation was refused: what comes now is Lua's second try, after a full
                             collection */

    plua_call *current; /* NULL while no call runs */
    uint64_t call_count;
    plua_call *waiting; /* list */
    plua_call *pool;
    int unyieldable; /* coroutine.resume frames on the C stack that cannot pass a wait on */
    bool loading;    /* top-level code runs */

    pl_code interrupted;    /* the current run must end: no pcall may swallow that */
    char interruption[256]; /* why */
    bool hook_threw;        /* the error on its way was thrown inside the hook, see watch.c */
    bool freeing;           /* state_free is under way */
    uint64_t close_by;      /* then: when all waiting calls must be closed */

    /* Shared with the watchdog thread and its signal, see watch.c. */
    _Atomic(lua_State *) running;
    atomic_uint run_seq; /* odd while a script runs */
    atomic_bool attached;
    atomic_int thread; /* its number, that runs scripts */
    unsigned watched_seq;
    _Atomic uint64_t watched_since;
    _Atomic uint64_t watched_now;    /* what the watchdog was last told */
    atomic_uint armed_seq;           /* the run for which the hook was armed; 0 is none */
    _Atomic uint64_t run_deadline;   /* of the armed run, clock milliseconds; 0: not known yet */
    uint64_t load_began, load_spent; /* of all top-level code so far */

    pl_map keys; /* name -> pl_key * */
    plua_name names[PLUA_NAMES];
    int ctx_meta; /* refs */
    struct {      /* context.c: works that have a ctx, by its address */
        pl_work **chains;
        size_t room, count;
    } works;
    struct { /* loader.h */
        const pl_loader *declared;
        size_t count;
        int set_meta, loader_meta;            /* refs */
        struct plua_entry *entries, *in_hand; /* to be used again; on its way into a batch */
        struct plua_load *loads;              /* to be used again */
        unsigned spare;                       /* how many these are */
    } loads;
    int list_meta;
    int message_meta; /* message.c */
    int error_meta;   /* the metatable of perilune.errors */
    int protos;       /* what config.protos lives as long as; LUA_NOREF: it outlives the state */
    int loaded;       /* what require has loaded */
    pl_ref index;
    plua_metric *metrics; /* all that are declared */
    pl_native_pool natives;
};

struct pl_key {
    int ref; /* the interned string */
    pl_str name;
    char bytes[];
};

static inline plua_state *plua_state_of(lua_State *L)
{
    return *(plua_state **)lua_getextraspace(L);
}
static inline plua_state *plua_cast(pl_state *state)
{
    return (plua_state *)state;
}

/* sandbox.c */
void plua_open_globals(lua_State *L); /* [jumps] */
/* After a pcall that failed with status: raises again what no script may catch, memory errors and
 * interruption. */
void plua_rethrow_fatal(lua_State *L, int status);

/* common.c */
int plua_open_core(lua_State *L);     /* perilune.core */
int plua_new_list_mark(lua_State *L); /* the metatable for plua_state.list_meta: a ref */

/* coroutine.c */
void plua_open_coroutine(lua_State *L); /* pushes the coroutine library */
/* lua_resetthread. A call's coroutine that was suspended must not be used again: see there. */
int plua_reset(lua_State *L, lua_State *co);
extern const char plua_wait_mark; /* what a waiting coroutine yields (a light userdata) */

/* require.c */
int plua_require(lua_State *L);                   /* the global */
void plua_push_argument_wrapper(pl_state *state); /* pl_engine.push_argument_wrapper */
int plua_load_file(lua_State *L, pl_str path);    /* compiles a bundle file; pushes the chunk, or raises */
const pl_file *plua_find_file(const plua_state *st, pl_str path);

/* context.c */
void plua_open_context(lua_State *L);
void plua_ctx_push(plua_state *st, pl_work *work);
void plua_ctx_end(plua_state *st, pl_work *work);
/* NULL: it is no ctx, or its work is over. */
pl_work *plua_ctx_work(lua_State *L, int index);
void plua_ctx_dispose(plua_state *st); /* after Lua is closed */

/* module_grpc_call.c: pushes a field of a `call`; false when it has none of that name. */
bool plua_rpc_field(lua_State *L, const char *name, pl_work *work);

/* module_loader.c, loader_batch.c */
typedef struct plua_loaders plua_loaders; /* of a work: pl_work.loaders */
void plua_open_loaders(lua_State *L);
void plua_set_loaders(pl_state *state, const pl_loader *loaders, size_t count);
void plua_loaders_push(lua_State *L, pl_work *work); /* ctx.loaders */
void plua_dispatch(pl_state *state, pl_work *work);
void plua_loaders_end(pl_work *work);
void plua_loads_dispose(plua_state *st); /* the last of a state, after Lua is closed */

/* module_grpc.c: the work is over. */
void plua_remotes_end(pl_work *work);

/* module_metrics.c: the state has been attached. */
void plua_metrics_attach(plua_state *st);

/* module_pubsub.c: the work is over. */
void plua_queues_end(pl_work *work);
/* Pushes a function that gives the next event of a subscription at each call, as its method `next` does.
 * False, and nothing is pushed: the object is no subscription, or has a filter. [jumps] */
bool plua_push_event_iterator(lua_State *L, int object);

/* module_upload.c. [jumps] */
void plua_push_upload(pl_state *state, const struct pl_upload *upload);

/* watch.c; how a run begins and ends is in run.h */
/* Ends the interrupted run from a C function: yields to the engine, or raises what pcall does not catch. */
int plua_interrupt(lua_State *L);
int plua_throw(lua_State *L); /* only the latter */
/* The running script goes over to another coroutine and back. */
void plua_run_switch(plua_state *st, lua_State *co);
void plua_watch(pl_state *state, uint64_t now);
uint64_t plua_watched_at(const pl_state *state);
void plua_watch_prepare(void); /* installs the signal handler once a process */
void plua_watch_unblock(void); /* lets the signal through on this thread */

/* failure.c: describes the error value at the top of from (which stays), or st->interrupted; bytes in arena.
 */
bool plua_is_error(lua_State *L, int index); /* of perilune.errors */
pl_code plua_code_named(pl_str name);        /* "NOT_FOUND"; UNKNOWN for others */
bool plua_read_error(pl_state *state, pl_slot slot, pl_arena *arena, pl_failure *failure);
void plua_describe(plua_state *st, lua_State *from, int status, pl_arena *arena, pl_failure *failure);

/* call.c */
const char *plua_wait_obstacle(lua_State *L); /* why nothing can wait here; NULL: it can */
pl_call_status plua_call_function(pl_state *state, pl_ref function, int nargs, pl_work *work,
                                  pl_call **pending, pl_failure *failure);
void plua_call_cancel(pl_state *state, pl_call *call);
void plua_cancel_all(plua_state *st);
void plua_wait_drop(plua_call *call); /* forgets its wait, if any, as if it were cancelled */

/* common.c: pl_engine.protect, protect_with, protect_push */
bool plua_protect(pl_state *state, void (*fn)(void *data), void *data, pl_error *err);
bool plua_protect_with(pl_state *state, pl_slot slot, void (*fn)(void *data), void *data, pl_error *err);
bool plua_protect_push(pl_state *state, void (*fn)(void *data), void *data, pl_error *err);

/* chain.c: interceptors, and iterators */
void plua_chain_init(pl_engine *engine);

/* declare.c */
void plua_declare_init(pl_engine *engine);

/* native.c */
void plua_native_init(pl_engine *engine);
/* The error of a fault of the host program's: its message, and (may be NULL) its traceback. False: the value
 * at index is no such error. */
bool plua_native_fault(lua_State *L, int index, const char **message, const char **traceback);

/* cursor.c: all of its part that needs no calls */
void plua_cursor_init(pl_engine *engine);
int plua_arity(pl_state *state, pl_slot function);

#endif
