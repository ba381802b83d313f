/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_ENGINE_H
#define PL_VALUE_ENGINE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "base/str.h"
#include "base/timer.h"
#include "value/value.h"

/* The one interface between the core and a script language.
 *
 * A *state* is one interpreter with one generation's code loaded: it belongs to one thread at a time. Its
 * values are reached through *slots*: positions on the state's value stack. Cursor functions read the value
 * in a slot and push what they find; builder functions push new values; pl_pop_to drops a slot and all above
 * it. So the code that walks a value holds nothing that needs freeing. A value that must outlive the walk is
 * kept with pl_keep, as a *ref*, until pl_drop.
 *
 * Anything that may run out of the engine's memory may leave by a jump: marked [jumps]. Call such functions
 * only below pl_protect, and hold nothing across them that only the caller's frame knows about. */

typedef struct pl_engine pl_engine;
typedef struct pl_state pl_state; /* begins with a pl_state_head */
typedef struct pl_host pl_host;
typedef struct pl_call pl_call;
typedef struct pl_key pl_key; /* a field name, interned in a state */
typedef int pl_slot;          /* a position on the state's value stack, counted from 1 */
typedef int pl_ref;           /* a kept value; PL_REF_NONE is none */
#define PL_REF_NONE (-2)

/* --- What a script's failure looks like to the core --- */
typedef struct pl_failure {
    pl_code code;        /* INTERNAL for an unexpected error of the script */
    bool expected;       /* raised with perilune.errors: message and details are meant for the client */
    pl_str message;      /* for the client when expected, for the log otherwise */
    pl_str traceback;    /* for the log; bundle-relative files; may be empty */
    pl_value details;    /* MAP of violations {field: message}, or ABSENT */
    pl_value packed;     /* further details: LIST of STRING, each a google.protobuf.Any; or ABSENT */
    pl_value extensions; /* MAP of further extensions chosen by the script, or ABSENT */
} pl_failure;

extern const pl_failure pl_failure_no_memory; /* RESOURCE_EXHAUSTED, "out of memory" */
extern const pl_failure pl_failure_no_next;   /* of a chain that is DONE, and what it wraps was not started */

typedef enum pl_call_status { PL_CALL_DONE, PL_CALL_FAILED, PL_CALL_PENDING } pl_call_status;

/* A call that waits. The engine owns it until it ends; `done` and `data` are the caller's to set when it gets
 * PL_CALL_PENDING. done is called once, on the state's thread, below pl_protect: DONE has the result in
 * `result` (the top slot, popped by the engine afterwards), FAILED has it in `failure` (valid during the
 * callback). It is not called for a call that was cancelled. When done itself is left by a jump, it is called
 * once more, with FAILED and RESOURCE_EXHAUSTED. */
struct pl_call {
    void (*done)(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure);
    void *data;
    /* A call of a chain (pl_engine.chain) that waits for what it wraps, since one of its functions has called
     * next: when pl_engine.call gives PENDING with wants_next set, or later, when `proceed` is called (below
     * pl_protect, never inside of a script), the caller is to start that, and to tell its outcome with
     * pl_engine.proceed. */
    void (*proceed)(pl_call *call);
    bool wants_next;
};

/* What one piece of work (a request, a timer, a message) is to the engine: made by the core, it lives at
 * least as long as the last call made for it. */
typedef struct pl_header {
    pl_str name, value; /* names in lower case */
} pl_header;
/* How long what a script gives may be cached, and for whom; set by ctx.cache:hint. */
typedef struct pl_cache_hint {
    bool has_max_age, has_scope, is_private;
    uint32_t max_age; /* seconds */
} pl_cache_hint;
typedef struct pl_cache_control pl_cache_control;
struct pl_cache_control {
    /* field: the pl_work.field at the time of the call that gives the hint; *seen: 0 at the first hint of a
     * call, and kept for its others. */
    void (*hint)(pl_cache_control *control, const void *field, const pl_cache_hint *hint, unsigned *seen);
};
/* Of a client that has shown one over TLS, and that the server trusts: ctx.certificate. */
typedef struct pl_peer_certificate {
    pl_str subject;                          /* "CN=orders,O=Example", RFC 2253 */
    pl_str common_name;                      /* may be empty */
    pl_str serial;                           /* hexadecimal */
    pl_str fingerprint;                      /* SHA-256 of it, hexadecimal */
    const pl_str *dns_names, *uris, *emails; /* alternative names */
    size_t dns_name_count, uri_count, email_count;
} pl_peer_certificate;
struct pl_outgoing; /* value/outgoing.h */
/* Where the events go that are published while a record is handled in a transaction. */
typedef struct pl_event_sink pl_event_sink;
struct pl_event_sink {
    /* Everything is copied; it is written if and when the transaction is. */
    pl_code (*publish)(pl_event_sink *sink, const struct pl_outgoing *event, pl_error *err);
};
typedef struct pl_work {
    const char *protocol; /* "graphql", "grpc", "timer"…: ctx.protocol */
    pl_str id;            /* request id, for logs and ctx.request_id */
    pl_str peer;          /* "127.0.0.1:53211" */
    const pl_header *headers;
    size_t header_count;
    uint64_t deadline; /* host milliseconds; 0 is none: ctx.deadline */
    pl_arena *arena;   /* failures are written here */
    /* What it is, for interceptors; ptr NULL where that does not apply. */
    pl_str operation_name;
    const char *operation_kind; /* "query", "mutation", "subscription", "connection"; "unary"…; or NULL */
    struct pl_rpc *rpc;         /* its ctx is a `call` as well (below); or NULL */
    const pl_peer_certificate *certificate; /* or NULL */
    const pl_value *connection_params;      /* what the client sent when it opened its connection; or NULL */
    const struct pl_work *parent;           /* its ctx begins as a copy of that work's; or NULL */
    const pl_value *extensions;             /* of a GraphQL request, a MAP: ctx.request_extensions; or NULL */
    pl_ref ctx;                /* the script's ctx of this work; PL_REF_NONE until the engine makes it */
    const void *ctx_address;   /* the engine's, while there is a ctx */
    struct pl_work *ctx_next;  /* the same: another with a ctx */
    void *loaders;             /* the engine's; NULL until a script asks for them */
    struct plua_queue *queues; /* the engine's: of events that scripts have subscribed to for it */
    struct plua_remote_call *remotes; /* the engine's: calls that scripts have made for it */
    bool runnable; /* the core has more of this work to run at once: batches of loaders wait for it, see
                      pl_engine.dispatch */
    pl_logger *log;
    pl_event_sink *sink;          /* of events that are published for it; NULL: the host's producer */
    pl_cache_control *cache;      /* NULL: what it gives is not cached */
    struct pl_progress *progress; /* of a subscription, over all generations that it goes through; or NULL */
    unsigned leg;                 /* the number under which this one goes on there */
    const void *field;            /* set while a call is made to resolve a field: which one; else NULL */
    struct pl_lazy *info;         /* its fourth argument, for whoever asks; else NULL */
} pl_work;

/* A value that is made when it is asked for. As pl_work.info it is there until the call that was made with it
 * waits or ends; the call takes it out of the work before anything else. */
typedef struct pl_lazy pl_lazy;
struct pl_lazy {
    void (*push)(pl_lazy *lazy); /* one value [jumps] */
};
#define PL_ARITY_NATIVE (INT_MAX - 1)

/* --- A remote procedure call that a script serves: what its ctx, there named `call`, can do ---
 *
 * The engine calls these from inside of scripts, below pl_protect. FAILED fills *err, which is raised as an
 * error meant for clients. When one of them is left by a jump, `abandoned` is called before the script goes
 * on.
 */
typedef struct pl_rpc pl_rpc;
typedef enum pl_rpc_result { PL_RPC_DONE, PL_RPC_WAIT, PL_RPC_END, PL_RPC_FAILED } pl_rpc_result;
typedef struct pl_rpc_ops {
    /* DONE pushes the next message; END: none will come. WAIT: to be called again when `readable` was.
     * [jumps]
     */
    pl_rpc_result (*receive)(pl_rpc *rpc, pl_error *err);
    /* DONE, or WAIT: the message was taken, and the sender is to wait until `writable` is called. [jumps] */
    pl_rpc_result (*send)(pl_rpc *rpc, pl_slot message, pl_error *err);
    /* Sends the headers now, with those in slot (a map; or absent). DONE or FAILED. [jumps] */
    pl_rpc_result (*send_headers)(pl_rpc *rpc, pl_slot headers, pl_error *err);
    /* Pushes what the client has sent along: a map of lists of strings. [jumps] */
    void (*push_metadata)(pl_rpc *rpc);
    void (*abandoned)(pl_rpc *rpc);
} pl_rpc_ops;
struct pl_rpc {
    const pl_rpc_ops *ops;
    /* Set by the engine as long as a script waits; the core calls them on the state's thread, never inside of
     * a script. The script goes on before they return, and the call may be over then. `readable` is NULL
     * again when it is called, or the script is cancelled; so is `writable`, but it may be called in vain. */
    void (*readable)(pl_rpc *rpc);
    void (*writable)(pl_rpc *rpc);
    void *receiver, *senders; /* the engine's */
};

/* A loader that app.lua declares: ctx.loaders[name]. */
typedef struct pl_loader {
    pl_str name;  /* its bytes end with a NUL */
    pl_ref batch; /* function(keys, ctx) -> list of values in the order of keys */
    pl_ref key;   /* function(key) -> string, number or boolean; PL_REF_NONE: keys are such themselves */
    uint32_t max_batch; /* keys of one batch; 0: no bound */
    bool uncached;
} pl_loader;

/* --- What a state needs from where it runs: the loop of a worker, or a plain loop in a test --- */
typedef struct pl_job pl_job;
struct pl_job {
    void (*run)(pl_job *job);  /* on a helper thread; may block */
    void (*done)(pl_job *job); /* then on the state's thread */
    pl_job *next;              /* the host's */
};

/* --- Publish and subscribe, over all workers and generations --- */
typedef struct pl_event {
    pl_str json;
    const struct pl_incoming *incoming; /* what it is instead, of a topic of Kafka; NULL: json is all */
    bool is_news;                       /* it is no event: pl_host_ops.topic_state has something new to say */
    uint64_t id;                        /* tells events of a worker apart, in the order of their arrival */
    uint64_t *dropped; /* a subscriber that drops events because of this one adds them here; may be NULL */
} pl_event;
/* Owned by whoever subscribes, until unsubscribe or `ended`. Both functions run on the host's thread, never
 * inside of a script. */
typedef struct pl_subscriber pl_subscriber;
struct pl_subscriber {
    const pl_work *work; /* for which it subscribes; NULL: that is over, or there is none */
    void (*message)(pl_subscriber *subscriber, const pl_event *event);
    void (*ended)(pl_subscriber *subscriber); /* nothing comes any more; it is unsubscribed */
    /* The host's. */
    pl_host *host;
    pl_subscriber *next, *prev;
    void *topic; /* NULL: not subscribed */
};

struct pl_delivery;
struct pl_read_spec; /* value/incoming.h */
struct pl_source;
struct pl_topic_defaults; /* value/schemas.h */
struct pl_schema_want;
struct pl_schema_asker;
struct pl_topic_want; /* value/topic.h */
struct pl_topic_asker;
struct pl_remote; /* value/remote.h */
struct pl_remote_config;
struct pl_mailbox;      /* value/mailbox.h */
struct pl_native_entry; /* value/native.h */
struct pl_native_scalars;

typedef struct pl_host_ops {
    uint64_t (*now)(pl_host *host); /* monotonic milliseconds, as of this loop turn */
    /* Nanoseconds, read at the call: monotonic, and (unless NULL) since 1970, UTC. For measuring; NULL where
     * there is no clock. */
    void (*clock)(pl_host *host, uint64_t *monotonic, uint64_t *utc);
    int (*timer_start)(pl_host *host, pl_timer *timer, uint64_t at); /* -1: memory */
    void (*timer_stop)(pl_host *host, pl_timer *timer);
    /* Runs job on a helper thread; jobs with the same non-NULL lane run in order, one at a time. -1: memory,
     * or the helpers' queue is full. */
    int (*offload)(pl_host *host, pl_job *job, const void *lane);
    /* Runs a GraphQL operation (a JSON request) on the state's own generation and calls done with the JSON
     * response. For perilune.test; NULL where there is none. */
    pl_code (*execute)(pl_host *host, pl_state *state, pl_str request,
                       void (*done)(void *data, pl_str response), void *data, pl_error *err);
    /* NULL where there are no events. -1: memory. */
    int (*subscribe)(pl_host *host, pl_str topic, pl_subscriber *subscriber);
    void (*unsubscribe)(pl_host *host, pl_subscriber *subscriber);
    /* To all subscribers of the topic, on all workers, soon. RESOURCE_EXHAUSTED: memory, or too much is under
     * way. */
    pl_code (*publish)(pl_host *host, pl_str topic, pl_str json, pl_error *err);
    /* To events of a topic of Kafka, from now on, which one reader of the server reads for all; ends as the
     * other. INVALID_ARGUMENT, FAILED_PRECONDITION: there are no brokers; RESOURCE_EXHAUSTED. NULL where
     * there are never any. */
    pl_code (*subscribe_topic)(pl_host *host, pl_str topic, pl_subscriber *subscriber, pl_error *err);
    /* Of a topic that is subscribed to. *placed: what is published from now on will come. An error: why the
     * topic cannot be read. */
    pl_code (*topic_state)(pl_host *host, pl_str topic, bool *placed, pl_error *err);
    /* The topic of Kafka that events of scripts go through to reach all servers; empty: they stay in this
     * one. NULL where there is no server. */
    pl_str (*pubsub_topic)(pl_host *host);
    /* Drops cached responses of all workers: everything (type ptr NULL), or those with objects of a type, or
     * with the one that has this id (ptr NULL: all). None of them is served after it returns. NOT_FOUND:
     * there is no such type. NULL where nothing is cached. */
    pl_code (*purge)(pl_host *host, pl_str type, pl_str id, size_t *dropped, pl_error *err);
    /* Says for all workers whether a service is serving ("": the server): 1 or 0, or -1: it is as it would be
     * if nothing had been said. INVALID_ARGUMENT: a name that cannot be; RESOURCE_EXHAUSTED. NULL where
     * nobody asks. */
    pl_code (*set_health)(pl_host *host, pl_str service, int serving, pl_error *err);
    /* Publishes an event to Kafka; everything is copied. *waits: it is not in the queue yet. What is OK ends
     * with a call of delivery->done, unless it is forgotten. FAILED_PRECONDITION: there are no brokers. NULL
     * where there are never any. See value/outgoing.h. */
    pl_code (*produce)(pl_host *host, const struct pl_outgoing *event, struct pl_delivery *delivery,
                       bool *waits, pl_error *err);
    /* Reads a topic of Kafka without a group; the spec is copied. FAILED_PRECONDITION: there are no brokers.
     * NULL where there are never any. See value/incoming.h. */
    pl_code (*read)(pl_host *host, const struct pl_read_spec *spec, struct pl_source **out, pl_error *err);
    /* Looks for a topic of Kafka, and makes it where it is not there: value/topic.h. What is OK ends with a
     * call of asker->done, later, unless it is forgotten. FAILED_PRECONDITION: there are no brokers. NULL
     * where there are never any. */
    pl_code (*ask_topic)(pl_host *host, const struct pl_topic_want *want, struct pl_topic_asker *asker,
                         pl_error *err);
    /* What app.lua says of events of this topic; NULL: nothing. NULL where there are never any. */
    const struct pl_topic_defaults *(*topic_defaults)(pl_host *host, pl_str topic);
    /* Asks the schema registry; the strings of *want need not last. What is OK ends with a call of
     * asker->done, perhaps before this returns, unless it is forgotten. NULL where there is no registry. See
     * value/schemas.h. */
    pl_code (*ask_schema)(pl_host *host, const struct pl_schema_want *want, struct pl_schema_asker *asker,
                          pl_error *err);
    /* Clients of remote procedures: value/remote.h. NULL where there is no network. */
    pl_code (*remote)(pl_host *host, const struct pl_remote_config *config, struct pl_remote **out,
                      pl_error *err);
    /* Where other threads leave messages for the state: the host's, which closes it when the state leaves its
     * loop. NULL: memory. NULL where nothing comes from other threads. */
    struct pl_mailbox *(*mailbox)(pl_host *host);
} pl_host_ops;
struct pl_host {
    const pl_host_ops *ops;
    void *owner; /* of whoever made the host */
    pl_logger *log;
    struct pl_shared *shared; /* value/shared.h: dictionaries of all workers and generations; may be NULL */
    struct pl_meter *meter;   /* value/meter.h: who counts what is done; NULL: nobody */
};

/* One file of a bundle; bytes stay valid as long as the bundle. */
typedef struct pl_file {
    pl_str path; /* relative to the bundle, '/' between parts */
    pl_str bytes;
} pl_file;

typedef struct pl_state_limits {
    size_t memory;         /* bytes of the whole state; 0 is 256 MiB */
    size_t call_memory;    /* bytes that one uninterrupted run may add; 0 is 64 MiB */
    uint64_t instructions; /* per call; 0 is 500 million */
    unsigned run_ms;       /* one uninterrupted run, wall clock; 0 is 1000 */
    unsigned load_ms;      /* top-level code of all files together; 0 is 5000 */
} pl_state_limits;

/* The database that scripts open without naming it: `sqlite` of app.lua. */
typedef struct pl_database_config {
    pl_str path;      /* relative to the bundle, or ":memory:"; ends with a NUL; ptr NULL: there is none */
    unsigned busy_ms; /* how long a lock of others is waited for */
    size_t max_rows, max_bytes; /* of one result */
    bool synced;                /* a commit outlives a power failure */
} pl_database_config;

typedef struct pl_state_config {
    const pl_file *files; /* sorted by path; for require and for pl_engine.load */
    size_t file_count;
    pl_str directory; /* absolute path of the bundle, for relative data files; may be empty */
    pl_state_limits limits;
    pl_logger *log;
    struct pl_shared *shared;
    struct pl_compiled_cache *compiled; /* value/compiled.h; outlives the state; NULL: there is none */
    bool testing;                       /* perilune.test is there */
    const struct pb_pool
        *protos; /* the messages of perilune.proto; outlives the state; NULL: there are none */
    const struct pl_json_schemas *schemas; /* of the bundle; the same */
    pl_database_config database;           /* pl_engine.set_database */
} pl_state_config;

/* An event, without what its handler gets decoded. Its id is "topic/partition/offset". */
typedef struct pl_event_message {
    pl_str key, value; /* ptr NULL: none */
    pl_str topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp; /* milliseconds since 1970; -1: none */
    unsigned attempt;
    const pl_header *headers; /* of those with the same name the last one counts */
    size_t header_count;
} pl_event_message;

struct pl_engine {
    const char *name; /* "lua" */
    bool from_zero;   /* elements of lists are counted from 0 in messages, not from 1 */

    /* -- states: made on any thread, used by one at a time -- */
    pl_code (*state_new)(const pl_engine *engine, const pl_state_config *config, pl_state **out,
                         pl_error *err);
    /* Ends waiting calls without calling done. Refs die with it. */
    void (*state_free)(pl_state *state);
    /* Other limits from now on (0: the default): what app.lua asks for, which itself runs under the defaults.
     */
    void (*set_limits)(pl_state *state, const pl_state_limits *limits);
    /* What app.lua says of it; its strings outlive the state. NULL: the engine has no such thing. */
    void (*set_database)(pl_state *state, const pl_database_config *config);
    /* Binds the state to the thread and loop that it will run on. Before this, nothing can wait. */
    void (*state_attach)(pl_state *state, pl_host *host);
    size_t (*memory)(const pl_state *state);
    /* Called about every 10 ms by a watchdog thread, from state_attach until state_free: finds scripts that
     * overrun and makes them fail. now in milliseconds, monotonic. */
    void (*watch)(pl_state *state, uint64_t now);
    /* The time that watch was last given, read without a clock: for long work that wants to know whether it
     * has held its thread for long. NULL where there is no such thing. */
    uint64_t (*watched_at)(const pl_state *state);
    /* Time for a slice of garbage collection, between two pieces of work. */
    void (*idle)(pl_state *state);
    /* Runs fn(data); false, with *err filled, when it was left by a jump (or by memory that could not be
     * had). Nests; slots are counted anew inside, and those made inside are gone afterwards. */
    bool (*protect)(pl_state *state, void (*fn)(void *data), void *data, pl_error *err);
    /* The same; inside of it slot 1 holds the value that is in `slot` outside. */
    bool (*protect_with)(pl_state *state, pl_slot slot, void (*fn)(void *data), void *data, pl_error *err);
    /* The same as protect; the value that fn leaves in the top slot is pushed outside. */
    bool (*protect_push)(pl_state *state, void (*fn)(void *data), void *data, pl_error *err);

    /* -- code -- */
    /* Runs the top-level code of one bundle file and pushes what it returned. Errors name file and line. */
    pl_code (*load)(pl_state *state, pl_str path, pl_slot *out, pl_error *err);
    /* Calls the function below the top nargs slots as such code: it cannot wait, and has a part of the same
     * time. Pops all of them, and pushes the result. Errors name file and line where the script's do. */
    pl_code (*call_loading)(pl_state *state, int nargs, pl_slot *out, pl_error *err);
    /* What the engine's library makes of the declaration of a consumer at slot: pushes it, or another one. As
     * code that is loaded. NULL: it is taken as it is. */
    pl_code (*declare)(pl_state *state, pl_slot slot, pl_slot *out, pl_error *err);
    /* Pushes a function (parent, …) -> parent[name], which is absent where there is no parent: what resolves
     * a field that has no resolver. name NULL: parent itself. [jumps] */
    void (*push_reader)(pl_state *state, const pl_key *name);
    /* Pushes a function (resolve, specs) that gives a resolver which calls `resolve` with other arguments:
     * specs is { name = spec }, and a spec a list of functions(value, ctx) -> value, with `fields` (specs)
     * and `depth` (of lists) where the argument is an input object. [jumps] */
    void (*push_argument_wrapper)(pl_state *state);
    /* Pushes a function that calls one of the host program's (value/native.h), which outlives the state.
     * NULL: the engine has no such thing. [jumps] */
    void (*push_native)(pl_state *state, const struct pl_native_entry *entry);
    /* Where a function value was defined ("resolvers/user.lua", 12), for messages; false when unknown. */
    bool (*where)(pl_state *state, pl_slot function, pl_str *file, uint32_t *line);
    /* How many arguments the function looks at: what nobody reads need not be made. INT_MAX when it cannot be
     * told; PL_ARITY_NATIVE of one of the host program's, which asks for pl_work.info itself. */
    int (*arity)(pl_state *state, pl_slot function);

    /* -- calls -- */
    /* Calls the kept function with the top nargs slots, which are popped. DONE pushes one result; FAILED
     * fills *failure (bytes in work->arena); PENDING gives *pending. [jumps] */
    pl_call_status (*call)(pl_state *state, pl_ref function, int nargs, pl_work *work, pl_call **pending,
                           pl_failure *failure);
    /* Pushes the ctx of work (making it first). [jumps] */
    pl_slot (*push_ctx)(pl_state *state, pl_work *work);
    /* Ends a waiting call: its coroutine is closed and its to-be-closed variables run. done is not called. */
    void (*cancel)(pl_state *state, pl_call *call);
    /* Makes one function of several, each called as f(ctx, next): what the last one's next does is the
     * caller's, see pl_call.proceed. The result is called with one argument, the ctx. [jumps] */
    pl_ref (*chain)(pl_state *state, const pl_ref *functions, size_t count);
    /* What a chain wrapped is over: next returns the value in the top slot (popped), or raises the failure.
     * The chain goes on before this returns: its done is called, unless it waits again. Not inside of a
     * script. */
    void (*proceed)(pl_state *state, pl_call *call, pl_call_status status, const pl_failure *failure);
    /* Takes the value in slot for a sequence: a function that gives the next value at each call, absent at
     * the end; or an object with a method `next` (and, if it likes, `close`, for when nobody wants more).
     * *close may be PL_REF_NONE. False: it is neither. [jumps]; what it has kept by then is in *next and
     * *close (else PL_REF_NONE). */
    bool (*open_iterator)(pl_state *state, pl_slot slot, pl_ref *next, pl_ref *close);
    /* The state's loaders, once; the array is the caller's, and lives as long as the state. */
    void (*set_loaders)(pl_state *state, const pl_loader *loaders, size_t count);
    /* All of the work that can go on at once has done so: starts the batches that its loaders have collected,
     * and resumes what they answer at once, until nothing is left. The work may be over when this returns. It
     * need not be called after each turn: batches are started in the loop's next turn all the same, unless
     * pl_work.runnable is set. Not below pl_protect. NULL: the engine has no loaders. */
    void (*dispatch)(pl_state *state, pl_work *work);
    /* The work is over: its ctx is cut off from the core's memory, and batches that wait are cancelled. */
    void (*work_end)(pl_state *state, pl_work *work);

    /* Keeps the function `name` of a module of the engine's own library. NULL, or PL_REF_NONE: there is none.
     * [jumps] */
    pl_ref (*library)(pl_state *state, pl_str module, pl_str name);

    /* -- keeping -- */
    pl_ref (*keep)(pl_state *state, pl_slot slot); /* [jumps] */
    pl_slot (*push_ref)(pl_state *state, pl_ref ref);
    void (*drop)(pl_state *state, pl_ref ref);
    pl_key *(*key)(pl_state *state, pl_str name); /* lives as long as the state; NULL: memory */

    /* -- cursor -- */
    pl_kind (*kind)(pl_state *state, pl_slot slot); /* an empty table without a mark is a MAP */
    /* The same, for whom a LIST is as good as a MAP: either is a MAP. */
    pl_kind (*shape)(pl_state *state, pl_slot slot);
    bool (*is_function)(pl_state *state, pl_slot slot);
    bool (*get_bool)(pl_state *state, pl_slot slot); /* of a BOOL */
    int64_t (*get_int)(pl_state *state, pl_slot slot);
    double (*get_float)(pl_state *state, pl_slot slot);
    pl_str (*get_string)(pl_state *state, pl_slot slot); /* valid while the slot is held */
    size_t (*length)(pl_state *state, pl_slot slot);     /* of a LIST or MAP read as a list: elements */
    /* Pushes map[key]. False when it cannot be read without running script code (a metamethod), or the value
     * cannot be indexed: then nothing is pushed, and the caller calls index_function. */
    bool (*field)(pl_state *state, pl_slot map, const pl_key *key);
    /* Reads members of a MAP that are strings, numbers or booleans, one after the other, as far as they are:
     * how many of the keys that is. They are in out then, and as many slots are pushed, which hold their
     * bytes. There is room for count + 1 slots. pinned: the keys are in as many slots, too, from this one on
     * (push_key), which is faster; or 0. */
    size_t (*scalars)(pl_state *state, pl_slot map, const pl_key *const *keys, pl_slot pinned, size_t count,
                      pl_value *out);
    /* The same as field by name, for functions of the host program: nothing is interned, and it does not
     * jump. False, and nothing pushed, also when there is no such member, or no memory. What
     * pl_engine.set_null has set is null. */
    bool (*member)(pl_state *state, pl_slot map, pl_str name);
    /* Pushes a map with all names that set_null has set in this one, and null for each; false: there are
     * none. NULL where set_null is. */
    bool (*push_nulls)(pl_state *state, pl_slot map);
    void (*element)(pl_state *state, pl_slot list, size_t index); /* counted from 0; pushes */
    pl_kind (*item)(pl_state *state, pl_slot list, size_t index); /* the same, and gives its shape */
    /* Whether the value is an error that is meant for clients, made but not raised: then *failure is what
     * raising it would be, with bytes in arena. NULL where there is no such thing. [jumps] */
    bool (*read_error)(pl_state *state, pl_slot slot, pl_arena *arena, pl_failure *failure);
    /* Steps through a map: begin with pl_push_absent; each step replaces the key in the top slot by the next
     * key and pushes its value; at the end pops the key and gives false. Keys are strings, integers or
     * booleans; those of a LIST, integers from 1. [jumps] */
    bool (*next)(pl_state *state, pl_slot map);
    /* How many there are that next steps through. There is room for 2 slots. */
    size_t (*members)(pl_state *state, pl_slot map);
    /* A kept function (value, name) -> value[name], for what `field` cannot read. [jumps] */
    pl_ref (*index_function)(pl_state *state);

    /* -- builder: each pushes one value. [jumps] -- */
    void (*push_absent)(pl_state *state);
    void (*push_null)(pl_state *state);
    void (*push_bool)(pl_state *state, bool v);
    void (*push_int)(pl_state *state, int64_t v);
    void (*push_float)(pl_state *state, double v);
    void (*push_string)(pl_state *state, pl_str v);
    /* Where an engine tells text from bytes, and has integers beyond INT64_MAX. NULL: push_string, push_int
     * of the same bits. */
    void (*push_bytes)(pl_state *state, pl_str v);
    void (*push_unsigned)(pl_state *state, uint64_t v);
    /* A string that is likely to come again: the name of a member. NULL: push_string. */
    void (*push_name)(pl_state *state, pl_str v);
    void (*push_key)(pl_state *state, const pl_key *key); /* the name as a string */
    void (*push_map)(pl_state *state, size_t size_hint);
    void (*push_list)(pl_state *state, size_t size_hint);
    void (*push_copy)(pl_state *state, pl_slot slot);
    /* A value that reads the file, until its request ends; the strings of upload are copied. NULL: the engine
     * knows no files. */
    void (*push_upload)(pl_state *state, const struct pl_upload *upload);
    /* What a handler is told of its event: key, value, topic, id, partition, offset, attempt, timestamp and
     * headers, of which most need not be made. All bytes are copied. NULL: it is a map of them. [jumps] */
    void (*push_message)(pl_state *state, const pl_event_message *message);
    void (*set_field)(pl_state *state, pl_slot map, const pl_key *key); /* pops the value */
    void (*set_member)(pl_state *state, pl_slot map, pl_str name);      /* pops the value */
    void (*set_element)(pl_state *state, pl_slot list, size_t index);   /* pops the value; from 0 */
    void (*set_entry)(pl_state *state, pl_slot map); /* pops the value and, below it, the key: of any kind
                                                        that `next` gives */
    /* Gives a map a string that goes along with it without being a member, in place of an earlier one; pops
     * it. push_attached pushes it, or gives false. NULL: the engine has no such thing. */
    void (*attach)(pl_state *state, pl_slot map);
    bool (*push_attached)(pl_state *state, pl_slot map);
    /* Makes map[name] read as absent, but remembers that it was given as null. NULL: such an entry is set to
     * null. */
    void (*set_null)(pl_state *state, pl_slot map, pl_str name);

    /* -- the stack -- */
    pl_slot (*top)(pl_state *state);              /* the highest slot in use; 0 is none */
    void (*pop_to)(pl_state *state, pl_slot top); /* top becomes the highest slot */
    bool (*reserve)(pl_state *state, int slots); /* room for this many pushes; false: memory. Each function of
                                                    the core that pushes reserves first. */
    void (*make_room)(pl_state *state, int slots); /* the same, where there is no other way out [jumps] */
};

typedef struct pl_state_head {
    const pl_engine *engine;
    pl_host *host; /* NULL until attached */
    /* Of the host program's resolvers, by pl_native_entry.number, less 1; NULL: no scalar is marked. */
    struct pl_native_scalars *const *scalars;
} pl_state_head;

static inline const pl_engine *pl_engine_of(const pl_state *state)
{
    return ((const pl_state_head *)state)->engine;
}

/* Calls a kept function with the ctx of work alone, as a chain is called. As pl_engine.call, but not below
 * pl_protect, and a result is not kept; without memory it has failed (RESOURCE_EXHAUSTED). */
pl_call_status pl_call_with_ctx(pl_state *state, pl_ref function, pl_work *work, pl_call **pending,
                                pl_failure *failure);

/* What next gives to the interceptors of a call that has no other result: { errors = 0 or 1, code = "OK",
 * message = "" }. Pushes it. [jumps] */
void pl_push_outcome(pl_state *state, pl_code code, pl_str message);

/* Pushes v (SCRIPT values by their ref). [jumps] */
void pl_push_value(pl_state *state, const pl_value *v);
/* The same for GraphQL input: a null in a map is set with pl_engine.set_null, so that `args.limit or 20`
 * means what it says. [jumps] */
void pl_push_input(pl_state *state, const pl_value *v);
/* Copies the script value in slot into arena. Depth is bounded by max_depth; cycles and OTHER kinds are
 * errors that name the path (".a[2].b"). */
pl_code pl_read_value(pl_state *state, pl_slot slot, unsigned max_depth, pl_arena *arena, pl_value *out,
                      pl_error *err);
/* Writes the script value as JSON, straight from its slot; the same errors. */

pl_code pl_write_json(pl_state *state, pl_slot slot, unsigned max_depth, pl_buf *out, pl_error *err);

#endif
