/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_POLICY_BREAKER_H
#define PL_GRPC_POLICY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* A circuit breaker: after too many failures calls are refused at once, so that what fails can recover and
 * callers do not wait for nothing.
 *
 *               failures in a row, or their share in the window
 *      CLOSED ──────────────────────────────────────────────────> OPEN
 *         ^                                                      ^  │ open_ms
 *         │ `probes` successes            a failure              │  v
 *         └──────────────────────────── HALF_OPEN ───────────────┘
 *
 * Half-open, only `probes` calls are let through. What a call comes to counts only in the period that it
 * began in: an old call that ends late neither opens nor closes anything. No clock, no lock, no allocation:
 * times are the caller's, in milliseconds. */

typedef enum pl_breaker_state { PL_BREAKER_CLOSED, PL_BREAKER_OPEN, PL_BREAKER_HALF_OPEN } pl_breaker_state;
const char *pl_breaker_state_name(pl_breaker_state state); /* "closed", "open", "half_open" */

typedef struct pl_breaker_config {
    uint32_t failures; /* in a row, that open it; 0: does not matter */
    double rate;       /* share of failures in the window that opens it; 0: does not matter */
    uint64_t window;   /* ms; 0 is 30 s */
    uint32_t minimum;  /* calls in the window before a share counts; 0 is 10 */
    uint64_t open;     /* ms until it is half-open; 0 is 10 s */
    uint32_t probes;   /* 0 is 1 */
    uint64_t slow;     /* ms from which on a call is slow; 0: none is */
    double slow_rate;  /* share of slow calls in the window that opens it; 0: does not matter */
} pl_breaker_config;

/* A call that was let through, until pl_breaker_end. */
typedef struct pl_breaker_permit {
    uint64_t period;
    uint64_t began;
} pl_breaker_permit;

typedef enum pl_breaker_outcome {
    PL_BREAKER_SUCCESS,
    PL_BREAKER_FAILURE,
    PL_BREAKER_ABANDONED, /* nobody waited for its end: says nothing */
} pl_breaker_outcome;
/* What a call with this code says about whom was called: PL_BREAKER_SUCCESS also for errors by which the
 * callee answers (NOT_FOUND, PERMISSION_DENIED…), ABANDONED for CANCELLED. */
pl_breaker_outcome pl_breaker_judge(pl_code code);

#define PL_BREAKER_SLICES 10

typedef struct pl_breaker_slice {
    uint32_t calls, failures, slow;
} pl_breaker_slice;

/* Open, so that it can be embedded; touch it through the functions only. */
typedef struct pl_breaker {
    pl_breaker_config config;
    pl_breaker_state state;        /* OPEN also when its time is over, until the next call */
    uint64_t period;               /* counts changes of state */
    uint64_t since;                /* of the state */
    uint32_t in_a_row;             /* failures */
    uint32_t under_way, succeeded; /* probes, half-open */
    uint64_t probed;               /* when the last probe began */
    uint64_t slice_at;             /* the number of the newest slice, counted in slices of time */
    pl_breaker_slice slices[PL_BREAKER_SLICES]; /* a ring */
    uint64_t total_calls, total_failures, total_slow, total_refused, total_opened;
} pl_breaker;

/* Closed. */
void pl_breaker_init(pl_breaker *breaker, const pl_breaker_config *config);
/* Other settings; the state stays, the window begins anew when its length changes. */
void pl_breaker_configure(pl_breaker *breaker, const pl_breaker_config *config);
/* Closed again, as new; calls under way no longer count. */
void pl_breaker_reset(pl_breaker *breaker, uint64_t now);

/* Whether a call may go out now. True: *permit, for one pl_breaker_end. */
bool pl_breaker_begin(pl_breaker *breaker, uint64_t now, pl_breaker_permit *permit);
/* True: the state has changed by this. */
bool pl_breaker_end(pl_breaker *breaker, const pl_breaker_permit *permit, pl_breaker_outcome outcome,
                    uint64_t now);

/* ms until a call may be let through; 0: now. */
uint64_t pl_breaker_retry_after(const pl_breaker *breaker, uint64_t now);

typedef struct pl_breaker_stats {
    pl_breaker_state state;         /* as the next call would find it */
    uint32_t calls, failures, slow; /* in the window */
    uint32_t in_a_row;
    uint64_t retry_after;
    uint64_t total_calls, total_failures, total_slow, total_refused, total_opened;
} pl_breaker_stats;
pl_breaker_stats pl_breaker_look(const pl_breaker *breaker, uint64_t now);

#endif
