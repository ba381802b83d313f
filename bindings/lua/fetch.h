/* SPDX-License-Identifier: MIT */
#ifndef PLUA_FETCH_H
#define PLUA_FETCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* Fetching a small document by HTTP, with libcurl. Blocks: for helper threads. */
typedef struct plua_fetch_options {
    const char *url;
    const char *ca_file; /* PEM; NULL: the system's */
    bool plain;          /* http is allowed for any host, and in redirections */
    unsigned timeout_ms; /* for all of it */
    size_t most;         /* bytes */
} plua_fetch_options;

/* Whether url can be fetched: https, or http where that is allowed or the host is this machine.
 * INVALID_ARGUMENT says what is wrong. */
pl_code plua_fetch_check(const char *url, bool plain, pl_error *err);
/* Appends the body of a 200 response. UNAVAILABLE, with the reason. */
pl_code plua_fetch(const plua_fetch_options *options, pl_buf *out, pl_error *err);

#endif
