/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_REMOTE_H
#define PL_VALUE_REMOTE_H

#include "value/engine.h"

/* Remote procedure calls that scripts make. The engine starts them and takes what comes; the host has the
 * connections. Messages are bytes here: what they mean is the engine's affair.
 *
 *   pl_host_ops.remote ──> pl_remote ── start ──> pl_remote_call: send… finish; receive… until END ── free
 *
 * All of it happens on the state's thread. None of these functions runs a script, or calls `changed`. */
typedef struct pl_remote pl_remote;
typedef struct pl_remote_call pl_remote_call;

/* What a script wants to talk to. Those that ask with the same key share connections, over generations. */
typedef struct pl_remote_config {
    pl_str target;           /* "dns:///users:50051", "unix:/run/users.sock", "10.0.0.1:50051", "local:" */
    pl_str key;              /* of target and options */
    const pl_value *options; /* a MAP, checked by the engine's library; see docs/grpc-client.md */
} pl_remote_config;

/* How a call has ended. */
typedef struct pl_remote_status {
    pl_code code;
    pl_str message;
    pl_str details; /* a serialized google.rpc.Status; ptr NULL: none */
    bool local;     /* the server has not said this: it is what the client makes of what it saw */
} pl_remote_status;

typedef struct pl_remote_call_config {
    pl_str path;               /* "/user.v1.UserService/GetUser" */
    const pl_header *metadata; /* as scripts have it: bytes, where a name ends with "-bin" */
    size_t metadata_count;
    uint64_t deadline;   /* of the host's time; 0: none */
    uint64_t timeout_ms; /* 0: none; the earlier of both counts */
    int wait_for_ready;  /* 0 or 1; -1: as the service config says */
    pl_str compression;  /* "gzip"…; ptr NULL: as the options say */
    size_t max_message;  /* of the answer; 0: as the options say */
} pl_remote_call_config;

typedef enum pl_remote_result {
    PL_REMOTE_DONE,
    PL_REMOTE_WAIT,  /* until `changed` */
    PL_REMOTE_END,   /* the call is over: its status says how */
    PL_REMOTE_FAILED /* *err says why; the call is as before */
} pl_remote_result;

typedef struct pl_remote_ops {
    /* INVALID_ARGUMENT: the path or the metadata; RESOURCE_EXHAUSTED: memory. What else goes wrong is the
     * call's status. */
    pl_code (*start)(pl_remote *remote, const pl_remote_call_config *config, pl_remote_call **out,
                     pl_error *err);
    /* Nobody uses it any more. Its calls have been freed. */
    void (*close)(pl_remote *remote);
    /* DONE; WAIT: the message was taken, and the sender is to wait; END; FAILED: it is too large, or memory.
     */
    pl_remote_result (*send)(pl_remote_call *call, pl_str message, pl_error *err);
    pl_remote_result (*finish)(pl_remote_call *call); /* nothing more will be sent: DONE or END */
    /* Whether what was sent has left, as far as a sender should wait for that: DONE, WAIT or END. */
    pl_remote_result (*flushed)(pl_remote_call *call);
    /* DONE: *message, valid until the next call of any of these; END. */
    pl_remote_result (*receive)(pl_remote_call *call, pl_str *message);
    /* The answer's first headers: DONE, WAIT, or END where it has none. Values of "-bin" names are bytes, and
     * each has an entry of its own. They live as long as the call. */
    pl_remote_result (*headers)(pl_remote_call *call, const pl_header **headers, size_t *count);
    /* Of a call that has ended. */
    const pl_remote_status *(*status)(pl_remote_call *call, const pl_header **trailers, size_t *count);
    pl_str (*peer)(pl_remote_call *call); /* the endpoint's address; "" as long as there is none */
    unsigned (*attempts)(pl_remote_call *call);
    /* It ends with CANCELLED, if it has not ended; what has come can still be received. */
    void (*cancel)(pl_remote_call *call);
    void (*free)(pl_remote_call *call); /* the same, and gone. On any thread once the state's has ended */
} pl_remote_ops;

struct pl_remote {
    const pl_remote_ops *ops;
};
struct pl_remote_call {
    const pl_remote_ops *ops;
    /* Set by the engine as long as somebody waits; called in a turn of the loop, never inside of a script:
     * what is waited for may be there now. The call may be freed by it. */
    void (*changed)(pl_remote_call *call);
    void *waiter;
};

#endif
