/* SPDX-License-Identifier: MIT */
#ifndef PLUA_SQLITE_H
#define PLUA_SQLITE_H

/* Inside of perilune.sqlite.
 *
 *   module_sqlite.c       what scripts see: databases, statements, transactions
 *   sqlite_values.c       Lua arguments → parameters, collected rows → Lua tables
 *   sqlite_queue.c        who may use a connection when: loop, helper threads, transactions
 *   sqlite_operation.c    runs one operation on a connection, on whatever thread
 *   sqlite_connection.c   opening, settings, prepared statements
 *
 * A database has two connections: the writer, and a reader that is never in a transaction. (One in memory has
 * one for both.) A connection is used by one thread at a time: by the loop for reads that are short, by a
 * helper thread for all else. An *operation* is one statement, script, or step of a transaction. It never
 * refers to Lua's memory, but for its wait, which ends with the call: so it may outlive the call, and even
 * the state. */

#include <sqlite3.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "bindings/lua/plua.h"
#include "value/value.h"

typedef struct sq_connection sq_connection;
typedef struct sq_operation sq_operation;
typedef struct sq_transaction sq_transaction;

typedef struct sq_options {
    unsigned busy_ms; /* how long a lock of others is waited for */
    size_t max_rows;  /* of one result */
    size_t max_bytes;
    bool synced; /* each commit is written through to the disk */
} sq_options;

/* --- sqlite_connection.c --- */
typedef struct sq_statement sq_statement;
struct sq_statement {
    sqlite3_stmt *handle;
    sq_statement *newer, *older;
    bool cached;
    bool writes; /* or has to run where writes do */
};

typedef struct sq_list {
    sq_operation *head, *tail;
} sq_list;

struct sq_connection {
    atomic_int owners;
    sqlite3 *db;
    sq_options options;
    sq_connection *writer; /* of a reader, owned; NULL: it is the writer itself */

    /* Whoever runs an operation: */
    pl_map statements; /* SQL → sq_statement */
    sq_statement *newest, *oldest;
    sq_operation *operation; /* that runs now */
    bool on_loop;
    int budget; /* on the loop: looks of the progress handler until it is exceeded */
    bool preparing;
    bool saw_pragma;
    const char *denied; /* by the authorizer: why */

    /* The state's thread: */
    pl_host *host;  /* NULL at load time */
    sq_list queue;  /* wait for the connection */
    sq_list inside; /* wait for their turn inside the transaction that has it */
    sq_list flight; /* handed to the helper threads */
    unsigned in_flight;
    sq_operation
        *picked; /* runs next, when the timer fires: a lock is held by others, or the helpers are busy */
    pl_timer timer;
    bool timing;
    sq_transaction *transaction; /* that has the connection, owned; set from its BEGIN on */
    bool roll_back;              /* it was abandoned */
    bool closed;                 /* the state is gone */
};

/* NULL with *err filled. writer: the writer of the reader to open; NULL to open the writer. patience_ms
 * bounds the waiting for locks. */
sq_connection *sq_connection_open(const char *path, sq_connection *writer, const sq_options *options,
                                  unsigned patience_ms, pl_error *err);
sq_connection *sq_connection_hold(sq_connection *c);
void sq_connection_release(sq_connection *c); /* NULL is fine; the last one closes it */
/* The prepared statement, from the cache or new; *code is SQLite's, with *err filled unless it is BUSY. */
sq_statement *sq_prepare(sq_connection *c, pl_str sql, int *code, pl_error *err);
/* Prepares the first of several statements, not cached; *tail is behind it. A NULL handle: there is no more.
 */
int sq_prepare_step(sq_connection *c, const char *sql, sqlite3_stmt **handle, const char **tail,
                    pl_error *err);
void sq_statement_done(sq_statement *statement); /* after use */
/* Translates SQLite's result code. sql may be NULL. */
void sq_describe_error(sq_connection *c, int code, const char *sql, pl_error *err);

/* --- sqlite_operation.c --- */
typedef enum sq_kind {
    SQ_QUERY, /* all rows */
    SQ_FIRST,
    SQ_VALUE,
    SQ_EXEC,
    SQ_SCRIPT,
    SQ_BEGIN, /* the rest is control of transactions */
    SQ_COMMIT,
    SQ_ROLL_BACK,
    SQ_SAVEPOINT,
    SQ_RELEASE,
    SQ_ROLL_BACK_TO,
} sq_kind;

typedef enum sq_outcome {
    SQ_DONE,        /* or failed: then error.code is set */
    SQ_BUSY,        /* others hold a lock; may be run again */
    SQ_OVER_BUDGET, /* too long for the loop; may be run again */
    SQ_FOR_WRITER,  /* a reader cannot run it */
} sq_outcome;

typedef struct sq_parameter {
    pl_str name; /* without its sign; ptr NULL: by position */
    pl_value value;
    bool blob; /* of a STRING */
    bool used;
} sq_parameter;

/* How rows are stored: for each value a tag, then 8 bytes of a number, or 4 bytes of length and the bytes. */
enum { SQ_TAG_NULL, SQ_TAG_INT, SQ_TAG_FLOAT, SQ_TAG_BYTES };

struct sq_operation {
    pl_job job; /* first */
    int owners; /* the userdata of the function that began it; the queue or the helper */
    sq_kind kind;
    sq_connection *connection;   /* owned */
    sq_transaction *transaction; /* the root one, owned; NULL: none */
    plua_wait wait;
    sq_operation *next;
    sq_list *list;       /* that it is in */
    uint64_t busy_until; /* host milliseconds; 0: not waited yet */
    unsigned tries;
    atomic_bool stop; /* nobody waits for it any more */
    sq_outcome outcome;

    pl_arena arena; /* SQL and parameters */
    pl_str sql;
    size_t script_at;
    sq_parameter *parameters;
    size_t parameter_count;
    bool named;

    pl_error error;
    pl_buf rows;
    pl_buf columns; /* names, each with 4 bytes of length */
    size_t row_count, column_count;
    int64_t changes, last_id;
};

/* NULL: memory. sql is copied. One owner: the caller. */
sq_operation *sq_operation_new(sq_kind kind, sq_connection *c, pl_str sql);
void sq_operation_release(sq_operation *op);
/* Runs it on its connection, on this thread. on_loop: within the loop's budget. */
sq_outcome sq_operation_run(sq_operation *op, bool on_loop);
/* Forgets what an unfinished run has collected. */
void sq_operation_restart(sq_operation *op);

/* --- sqlite_queue.c --- */
struct sq_transaction {
    int owners;
    sq_connection *connection; /* owned */
    sq_transaction *root;      /* itself, or the outermost one, owned */
    int number, last_number;   /* of the savepoint, 0 is the root; given out by the root */
    bool active;               /* begun, and not ended */
    bool relayed, projected;   /* the root: who is woken once it is committed (perilune.sqlite.core) */
    uint64_t call;             /* that runs it (plua_call_id); 0: none */
    sq_operation
        *undo; /* ready, so that memory cannot be missing when it is needed; NULL once it is queued */
};

/* NULL: memory. */
sq_transaction *sq_transaction_new(sq_connection *c, sq_transaction *parent);
void sq_transaction_release(sq_transaction *t);
/* Ends a transaction that was not committed; does nothing after its end. Does not wait. */
void sq_transaction_abandon(sq_transaction *t);
/* It was committed: there is nothing to undo any more. */
void sq_transaction_keep(sq_transaction *t);

/* Whether nobody uses the connection or waits for it. */
bool sq_is_idle(const sq_connection *c);
/* Queues op; its wait is finished when it has ended, unless it is cancelled. Never finishes it before it
 * returns. */
void sq_enqueue(sq_operation *op);
void sq_cancelled(plua_wait *wait);
/* At load time: runs op here and now. False: somebody else has the connection. */
bool sq_run_here(sq_operation *op);
/* The state is gone: what waits is dropped, what runs is stopped. */
void sq_connection_close(sq_connection *c);

/* --- sqlite_values.c --- */
/* Reads the arguments from index first on. [jumps] */
void sq_take_parameters(lua_State *L, sq_operation *op, int first);
/* Pushes the result of a finished operation, or raises its error. [jumps] */
int sq_push_result(lua_State *L, sq_operation *op);
int sq_raise(lua_State *L, const sq_operation *op);
int sq_blob(lua_State *L); /* sqlite.blob(bytes) */

/* --- sqlite_lock.c --- */
/* lock(path): a lock on that file, which is made if need be, among all processes; nil when somebody has it.
 * Closed, collected, or with the end of the process it is given up. */
int sq_lock(lua_State *L);
void sq_open_lock(lua_State *L); /* its type [jumps] */

#endif
