/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_MAILBOX_H
#define PL_VALUE_MAILBOX_H

#include <stdbool.h>

/* The way to the thread of a loop, or of a state on it, from any other thread, at any time: also when the
 * loop is being freed, or is gone, or the state has left it. Counted references. */

/* A message: run(message) is called once on the loop's thread. The sender owns the memory until then. */
typedef struct pl_message pl_message;
struct pl_message {
    void (*run)(pl_message *message);
    void *data;
    void *link[2]; /* the loop's */
};

typedef struct pl_mailbox pl_mailbox;

/* A loop's: post(to, message) is called by any thread, until it is closed. NULL: memory. */
pl_mailbox *pl_mailbox_new(void (*post)(void *to, pl_message *message), void *to);
/* Of a state on that loop, which may leave it while the loop goes on. NULL: memory. */
pl_mailbox *pl_mailbox_below(pl_mailbox *loop);
pl_mailbox *pl_mailbox_ref(pl_mailbox *mailbox);
void pl_mailbox_unref(pl_mailbox *mailbox); /* NULL is fine */

/* Any thread. False: it is closed, and the message will not run. */
bool pl_mailbox_post(pl_mailbox *mailbox, pl_message *message);
/* By its owner. When it returns nobody is posting, but for messages that were posted below, which still run:
 * what they are for is to be asked for with is_closed, on the loop's thread. NULL is fine. */
void pl_mailbox_close(pl_mailbox *mailbox);
bool pl_mailbox_is_closed(const pl_mailbox *mailbox);

#endif
