/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_NATIVE_H
#define PL_GRPC_NATIVE_H

#include "base/arena.h"
#include "base/error.h"
#include "value/engine.h"

/* Methods whose function is C: all four kinds are the same to it. Messages are their bytes, uncompressed.
 *
 *   a method with one request: message → (send)… → finish
 *   one with a stream of them: message… → end;  send and finish at any time
 *
 * The functions run on the worker's thread, in a turn of its loop; send and finish may be called there at any
 * time between the first of them and `closed`, for example from a timer. Interceptors, which are a bundle's,
 * do not see these calls. */
typedef struct pl_grpc_call pl_grpc_call;

typedef struct pl_grpc_native {
    size_t size; /* bytes that each call gets for this method's use, zeroed: pl_grpc_native_state */
    /* A request message. bytes are gone when something is sent, or this returns. No further one comes while
     * what was sent waits for a slow client. */
    void (*message)(pl_grpc_call *call, pl_str bytes);
    /* No further message comes: of streams of requests only. NULL: the call ends with OK. */
    void (*end)(pl_grpc_call *call);
    /* What was sent has gone, after a send that gave false. May be NULL. */
    void (*writable)(pl_grpc_call *call);
    /* The call is over, for whatever reason: nothing may be done with it any more. Called once if `message`
     * or `end` was. May be NULL. */
    void (*closed)(pl_grpc_call *call);
} pl_grpc_native;

void *pl_grpc_native_state(pl_grpc_call *call);
void *pl_grpc_native_data(const pl_grpc_call *call); /* the method's */
/* Metadata, peer, deadline, request id, log. */
const pl_work *pl_grpc_native_work(const pl_grpc_call *call);
pl_host *pl_grpc_native_host(const pl_grpc_call *call);   /* of the worker: time, timers, helper threads */
pl_arena *pl_grpc_native_arena(const pl_grpc_call *call); /* lives as long as the call, at least */
/* Sends a message: the response, or one of several. False: send no more for now, `writable` tells when to go
 * on (one that was sent all the same is taken, if memory allows); or the call is over. */
bool pl_grpc_native_send(pl_grpc_call *call, pl_str bytes);
/* Ends the call, behind what was sent. `closed` is called before this returns. message is copied; it may be
 * absent. */
void pl_grpc_native_finish(pl_grpc_call *call, pl_code code, pl_str message);

#endif
