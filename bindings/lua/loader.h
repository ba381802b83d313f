/* SPDX-License-Identifier: MIT */
#ifndef PLUA_LOADER_H
#define PLUA_LOADER_H

/* Loaders: what a request loads one by one is fetched in batches.
 *
 * Each work (request) has a set of loaders of its own. load(key) looks into the loader's cache; a new key
 * goes into the batch that the loader collects, and the call waits for it. When nothing else of the work can
 * go on (pl_engine.dispatch), or in the loop's next turn, the batch function is called with all keys:
 *
 *     COLLECTING → STARTING → (RUNNING: it waits) → ANSWERED | FAILED → its loads are resumed, and it is gone
 *
 * All loads of a batch are resumed before the next batch is started, so that a level of a query makes one
 * batch. The cache holds, by key: a value, an error of perilune.errors, null for what was not found, or,
 * while a batch has the key, the key's entry (a light userdata, which no script can make).
 *
 * Sets, loaders and batches are userdata; who points to whom is kept alive by user values. module_loader.c
 * has what scripts see, loader_batch.c what becomes of batches. */

#include "bindings/lua/internal.h"

typedef struct plua_loader plua_loader;
typedef struct plua_batch plua_batch;
typedef struct plua_entry plua_entry;
typedef struct plua_load plua_load;

/* A key of a batch. */
struct plua_entry {
    plua_batch *batch;
    plua_entry *next; /* of the batch, in the order of keys; or of those to be used again */
    uint32_t index;   /* from 0 */
};

/* A call that waits for a batch. */
struct plua_load {
    plua_wait wait;
    plua_batch *batch;
    plua_load *next, *prev; /* of the batch, oldest first; or (next) of those to be used again */
};

typedef enum plua_batch_state {
    PLUA_COLLECTING,
    PLUA_STARTING,
    PLUA_RUNNING,
    PLUA_ANSWERED,
    PLUA_FAILED
} plua_batch_state;

struct plua_batch {
    plua_loader *loader;
    plua_batch_state state;
    plua_batch *next, *prev; /* of one of the set's lists */
    int self;                /* the ref that keeps it alive until its loads are resumed */
    uint32_t count;          /* keys */
    plua_entry *entries, *last_entry;
    plua_load *loads, *last_load;
    pl_call *call; /* RUNNING: the batch function's */
};
enum {
    PLUA_BATCH_KEYS = 1, /* user values: as in the cache */
    PLUA_BATCH_GIVEN,    /* as scripts gave them, where the loader has a key function */
    PLUA_BATCH_ANSWER,   /* the list that came back; FAILED: the error, nil without memory for one */
    PLUA_BATCH_LOADER,
    PLUA_BATCH_VALUES = PLUA_BATCH_LOADER
};

typedef struct plua_batches {
    plua_batch *first, *last;
} plua_batches;

struct plua_loaders {
    plua_state *st;
    pl_work *work; /* NULL: it is over */
    int self;      /* the ref that keeps the set alive while the work goes on */
    plua_batches collecting, running, answered;
    pl_timer timer; /* for the loop's next turn */
    bool pumping;
};

struct plua_loader {
    plua_loaders *set;
    const pl_loader *declared;
    plua_batch *open; /* takes further keys; NULL: none */
};
enum { PLUA_LOADER_CACHE = 1, PLUA_LOADER_SET, PLUA_LOADER_VALUES = PLUA_LOADER_SET }; /* user values */

/* Entries and loads are used again by the whole state; see plua_state.loads. NULL: memory. */
plua_entry *plua_entry_new(plua_state *st);
plua_load *plua_load_new(plua_state *st);
void plua_load_free(plua_state *st, plua_load *load);
void plua_batch_drop(
    plua_batch *batch); /* its entries, and the ref to itself; memory goes with the last user */

/* Sees to it that collected batches are started, now or in the loop's next turn; -1: memory. */
int plua_loaders_arm(plua_loaders *set);
void plua_loaders_pump(plua_loaders *set);

#endif
