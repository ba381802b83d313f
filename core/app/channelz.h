/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_CHANNELZ_H
#define PL_APP_CHANNELZ_H

#include "app/grpc_clients.h"
#include "app/grpc_endpoint.h"
#include "grpc/channelz.h"

/* What channelz says is of all workers: a question goes to each of them as a message, and the last that has
 * answered sends the whole back to the worker that asked. */
typedef struct pl_channelz_hub pl_channelz_hub; /* of a server; thread-safe */
typedef struct pl_channelz pl_channelz;         /* a worker's part */

pl_channelz_hub *pl_channelz_hub_new(void);      /* NULL: memory */
void pl_channelz_hub_free(pl_channelz_hub *hub); /* all parts are freed; NULL is fine */

pl_channelz *pl_channelz_join(pl_channelz_hub *hub, pl_loop *loop); /* NULL: memory */
/* What it tells of; NULL: nothing any more. On the loop's thread. */
void pl_channelz_set_endpoint(pl_channelz *part, pl_grpc_endpoint *endpoint);
void pl_channelz_set_clients(pl_channelz *part, pl_grpc_clients *clients);
pl_grpc_channelz_source *pl_channelz_source(pl_channelz *part);
/* Before pl_loop_free, and after it, when no call is left. NULL is fine for both. */
void pl_channelz_leave(pl_channelz *part);
void pl_channelz_free(pl_channelz *part);

#endif
