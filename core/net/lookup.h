/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_LOOKUP_H
#define PL_NET_LOOKUP_H

#include <netdb.h>

#include "net/loop.h"

/* getaddrinfo, by threads of its own: a look-up can take half a minute, and nothing can stop it. So nobody
 * waits for these threads: a look-up that was given up is forgotten, and the last thread frees what is left.
 */
typedef struct pl_lookups pl_lookups;
/* Threads are made when they are needed, and end when they have had nothing to do for a while. NULL: memory.
 */
pl_lookups *pl_lookups_new(unsigned threads);
void pl_lookups_free(pl_lookups *lookups); /* NULL is fine */

typedef struct pl_lookup pl_lookup;
/* failure: 0, or as getaddrinfo gives it, and errno for EAI_SYSTEM. The list goes when this returns; so does
 * the lookup. */
typedef void pl_lookup_done(void *data, int failure, int system, const struct addrinfo *list);
/* done(data) on the loop's thread, by a message. NULL: memory, or no thread can be had. */
pl_lookup *pl_lookup_start(pl_lookups *lookups, pl_loop *loop, const char *host, const char *port,
                           pl_lookup_done *done, void *data);
/* `done` is not called. On the loop's thread. */
void pl_lookup_cancel(pl_lookup *lookup);

#endif
