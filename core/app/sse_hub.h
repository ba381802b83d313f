/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SSE_HUB_H
#define PL_APP_SSE_HUB_H

#include "net/loop.h"

/* Tokens of graphql-sse's single connection mode, for all workers of a server: a client reserves one, opens
 * an event stream with it, and sends operations with it, each over whatever connection, so that each may come
 * to another worker. The worker that has the stream is the token's home; what comes to another one goes there
 * as a message. */
typedef struct pl_sse_hub pl_sse_hub;   /* of a server; thread-safe */
typedef struct pl_sse_part pl_sse_part; /* a worker's */

#define PL_SSE_TOKEN_LENGTH 32
#define PL_SSE_RESERVED_MS 60000 /* how long a token waits for its stream */

/* An errand: something that the home of a token has to do, and its answer. Allocated by whoever sends it;
 * after `answered` it is the sender's again. */
typedef struct pl_sse_errand pl_sse_errand;
struct pl_sse_errand {
    char token[PL_SSE_TOKEN_LENGTH + 1];
    void (*answered)(
        pl_sse_errand *errand); /* on the sender's thread; or on another one, when the sender's loop
                                   is no more: then `lost` is set, and it may only be freed */
    bool lost;
    pl_message message;
    pl_sse_hub *hub;
    pl_sse_part *from, *to;
};

pl_sse_hub *pl_sse_hub_new(void);      /* NULL: memory */
void pl_sse_hub_free(pl_sse_hub *hub); /* all parts are freed; NULL is fine */

/* carry_out is called on the part's thread, and ends with pl_sse_answer, at once or later. NULL: memory. */
pl_sse_part *pl_sse_join(pl_sse_hub *hub, pl_loop *loop, void (*carry_out)(void *data, pl_sse_errand *errand),
                         void *data);
void pl_sse_leave(pl_sse_part *part);     /* before pl_loop_free: no errands come any more; its tokens go */
void pl_sse_part_free(pl_sse_part *part); /* after pl_loop_free; NULL is fine */

/* Makes a token: token has room for PL_SSE_TOKEN_LENGTH + 1 characters. now: the host's milliseconds. False:
 * too many are reserved, or memory. */
bool pl_sse_reserve(pl_sse_hub *hub, uint64_t now, char *token);
typedef enum pl_sse_opening { PL_SSE_OPENED, PL_SSE_UNKNOWN, PL_SSE_IN_USE } pl_sse_opening;
/* The part becomes the token's home, until pl_sse_close. */
pl_sse_opening pl_sse_open(pl_sse_part *part, const char *token, uint64_t now);
void pl_sse_close(pl_sse_part *part, const char *token);
/* Sends the errand to the home of its token. False: the token has none. */
bool pl_sse_send(pl_sse_part *part, pl_sse_errand *errand);
void pl_sse_answer(pl_sse_errand *errand);

#endif
