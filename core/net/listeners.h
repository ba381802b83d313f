/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_LISTENERS_H
#define PL_NET_LISTENERS_H

#include <openssl/ssl.h>

#include "net/edge.h"

/* One address: a descriptor a worker. All zero: none. */
typedef struct pl_listener {
    char address[300]; /* as bound */
    unsigned workers;
    int *fds;
} pl_listener;
/* Errors as pl_listeners_open. What was opened is closed by pl_listener_close, also after an error. */
pl_code pl_listener_open(pl_listener *listener, const char *address, unsigned workers, pl_error *err);
/* A duplicate of one that listens already, for this worker. INVALID_ARGUMENT: it does not listen. */
pl_code pl_listener_adopt(pl_listener *listener, int fd, unsigned worker, pl_error *err);
void pl_listener_close(pl_listener *listener); /* what no worker has taken */
/* The descriptor is the caller's from then on (-1: none, or taken before). */
int pl_listener_take(pl_listener *listener, unsigned worker);

/* What an edge takes for its worker. The descriptors are the caller's from then on (-1: none, or taken
 * before). */
int pl_listeners_take(pl_listeners *listeners, unsigned worker);
int pl_listeners_take_tls(pl_listeners *listeners, unsigned worker);
SSL_CTX *pl_listeners_tls(pl_listeners *listeners); /* NULL: none; the listeners' */

#endif
