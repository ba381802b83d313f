/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_CANCELLATION_H
#define PL_APP_CANCELLATION_H

#include <perilune.h>

#include "value/mailbox.h"

/* What a cancellation (perilune.h) knows of the requests that have it. Counted references: the program's, and
 * one of each request. */

/* A request's part, from join to leave, which are on its worker's thread. */
typedef struct pl_cancelled_part pl_cancelled_part;
struct pl_cancelled_part {
    pl_message message;  /* first; run is the request's: it is to end, if it has not ended yet */
    pl_mailbox *mailbox; /* of its worker's loop */
    pl_cancelled_part *prev, *next;
    bool posted; /* message is on its way, or has been */
};

pl_cancellation *pl_cancellation_ref(pl_cancellation *cancellation);
/* From now on message is posted to mailbox when the cancellation is cancelled. False: it has been, and the
 * part is not taken. The loop outlives the part. */
bool pl_cancellation_join(pl_cancellation *cancellation, pl_cancelled_part *part);
/* Returns whether the message has been posted: it has run, or will, and the part lives until then. */
bool pl_cancellation_leave(pl_cancellation *cancellation, pl_cancelled_part *part);

#endif
