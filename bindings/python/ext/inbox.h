/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_PYTHON_INBOX_H
#define PERILUNE_PYTHON_INBOX_H

#include "core.h"

/* Where the ends of requests arrive: they are put there by the app's threads, without the GIL, and taken by a
 * thread that waits, or by an asyncio loop that watches its descriptor. */

typedef struct core_ticket core_ticket;

/* For one request, with a number that is told its end by; NULL: raised. inbox is a perilune._core.Inbox. */
core_ticket *core_ticket_new(PyObject *inbox, unsigned long long id);
/* A pl_app_done: the ticket ends. Any thread. */
void core_ticket_done(void *ticket, pl_code code, const char *response, size_t length);

#endif
