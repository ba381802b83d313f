/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_POLICY_ATTEMPTS_H
#define PL_GRPC_POLICY_ATTEMPTS_H

#include "base/random.h"
#include "grpc/policy/service_config.h"
#include "grpc/policy/throttle.h"

/* The attempts of one call (gRFC A6): one after the other (retries), several at a time (hedging), or just
 * one. This decides; the caller makes attempts, and tells what becomes of them:
 *
 *   pl_attempts_begin ──> start the attempts of step.start; call pl_attempts_wake at step.wake_at;
 *                         cancel those of step.cancel; step.over: the call ends as attempt step.result did
 *   pl_attempts_headers, pl_attempts_ended, pl_attempts_wake, pl_attempts_commit ──> the same
 *
 * What is sent must be kept, for further attempts, until the call is committed to one of them: when it has
 * answered with headers, or when too much would have to be kept. An attempt that the server has not worked on
 * may be made again without counting ("transparently"): then its number is in step.start once more.
 * No clock, no allocation; times in milliseconds. */

/* grpc-retry-pushback-ms: what a server says about when to try again. */
#define PL_PUSHBACK_NONE (-1) /* nothing */
#define PL_PUSHBACK_STOP (-2) /* not at all */
/* text: the trailer's value; ptr NULL: there was none. A negative or malformed one means not at all. */
int64_t pl_pushback_read(pl_str text);

typedef enum pl_attempt_reach {
    PL_ATTEMPT_PROCESSED, /* the server may have worked on it */
    PL_ATTEMPT_REFUSED,   /* it has not: REFUSED_STREAM, or above the last stream of a GOAWAY */
    PL_ATTEMPT_NOT_SENT,  /* it was given to a connection, and never left */
} pl_attempt_reach;

typedef struct pl_attempt_end {
    pl_code code;
    int64_t pushback; /* ms, or one of the above */
    pl_attempt_reach reach;
} pl_attempt_end;

typedef struct pl_attempts {
    const pl_method_config *method;
    pl_retry_throttle *throttle; /* may be NULL */
    pl_random *random;
    uint64_t deadline; /* UINT64_MAX: none */
    uint32_t count;    /* attempts so far; they are numbered from 0 */
    uint32_t running;  /* bits */
    int committed;     /* to this one; -1: none yet */
    uint32_t backoffs; /* since the beginning, or the last pushback */
    uint64_t wake_at;  /* when the next one begins; UINT64_MAX: never */
    bool stopped;      /* no further hedged attempts */
    bool was_refused;  /* so that is no longer transparent */
    bool over;
    unsigned last; /* that ended */
} pl_attempts;

typedef struct pl_attempts_step {
    uint32_t start, cancel; /* bits of attempts */
    uint64_t wake_at;       /* UINT64_MAX: no need; replaces what earlier steps said */
    bool over;
    unsigned result;
} pl_attempts_step;

/* method, throttle (NULL: none) and random live as long as *attempts. deadline in ms; 0: none. */
pl_attempts_step pl_attempts_begin(pl_attempts *attempts, const pl_method_config *method,
                                   pl_retry_throttle *throttle, pl_random *random, uint64_t deadline,
                                   uint64_t now);
/* wake_at has come (or not quite: then nothing happens). */
pl_attempts_step pl_attempts_wake(pl_attempts *attempts, uint64_t now);
/* An attempt has answered with headers that are not its end: the call is committed to it. */
pl_attempts_step pl_attempts_headers(pl_attempts *attempts, unsigned attempt);
/* An attempt has ended, by itself: not for one of step.cancel. */
pl_attempts_step pl_attempts_ended(pl_attempts *attempts, unsigned attempt, const pl_attempt_end *end,
                                   uint64_t now);
/* Nothing more can be kept: commits the call to this attempt (with hedging: the one that has sent most), or
 * ends it where none is under way. */
pl_attempts_step pl_attempts_commit(pl_attempts *attempts, unsigned attempt);
/* Whether what is sent must be kept for further attempts. */
static inline bool pl_attempts_keeps(const pl_attempts *attempts)
{
    return attempts->committed < 0 && !attempts->over;
}

/* How much may be kept: of one call, and of all calls of a client. */
typedef struct pl_attempts_limits {
    uint64_t call, client; /* bytes; 0 is 1 MiB, and 16 MiB */
} pl_attempts_limits;
/* Whether a call that keeps call_bytes has to be committed; client_bytes: kept by all, this one included. */
bool pl_attempts_too_much(const pl_attempts_limits *limits, uint64_t call_bytes, uint64_t client_bytes);

/* The deadline of a call that begins now: the caller's (0: none), or the config's where that is earlier; 0:
 * none. */
uint64_t pl_method_deadline(const pl_method_config *method, uint64_t now, uint64_t deadline);
/* What the caller asks for, else what the config says, else false. asked: -1, 0 or 1. */
bool pl_method_waits_for_ready(const pl_method_config *method, int asked);

#endif
