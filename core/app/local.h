/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_LOCAL_H
#define PL_APP_LOCAL_H

#include "app/generation.h"
#include "app/watchdog.h"
#include "net/loop.h"
#include "value/shared.h"

/* A bundle without a server: one instance on a loop that turns while the caller waits. For tests of bundles,
 * tools and embedders. One thread. */
typedef struct pl_local pl_local;

typedef struct pl_local_options {
    const struct pl_engine *engine;
    pl_logger *log;
    bool testing;
    const struct pl_natives *natives; /* natives.h; outlives it; NULL: none */
    const pl_state_limits *limits;    /* NULL: what app.lua says */
} pl_local_options;

/* NULL: *err, or report, says why. The bundle is kept by reference. */
pl_local *pl_local_open(pl_bundle *bundle, const pl_local_options *options, pl_report *report, pl_error *err);
void pl_local_close(pl_local *local); /* NULL is fine */
pl_instance *pl_local_instance(pl_local *local);
/* Turns the loop until *done; whoever sets it calls pl_local_wake. */
void pl_local_run_until(pl_local *local, const bool *done);
void pl_local_wake(pl_local *local);
/* Runs a GraphQL request, given as JSON, and appends the JSON response. */
pl_code pl_local_execute(pl_local *local, pl_str request, pl_buf *response, pl_error *err);

#endif
