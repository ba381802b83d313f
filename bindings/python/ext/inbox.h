/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_PYTHON_INBOX_H
#define PERILUNE_PYTHON_INBOX_H

#include "core.h"

/* Where the ends of requests arrive: they are put there by the app's threads, without the GIL, and taken by a
 * thread that waits, or by an asyncio loop that watches its descriptor. */

typedef struct core_ticket core_ticket;

/* How many tickets of an app there may be whose requests have not ended: counted references. */
typedef struct core_bound core_bound;
core_bound *core_bound_new(size_t most);  /* NULL: memory */
void core_bound_unref(core_bound *bound); /* NULL is fine */

/* For one request, with a number that is told its end by; NULL: raised. inbox is a perilune._core.Inbox. */
core_ticket *core_ticket_new(core_bound *bound, PyObject *inbox, unsigned long long id);
/* A pl_app_done: the ticket ends. Any thread. */
void core_ticket_done(void *ticket, pl_code code, const char *response, size_t length);

#endif
