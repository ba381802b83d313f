/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_CONSUMER_HOOKS_H
#define PL_APP_CONSUMER_HOOKS_H

#include "app/consumer_decl.h"
#include "base/timer.h"

/* What a declaration wants to be called for besides events: on_assigned(partitions, ctx) before the first
 * event of partitions that have come, on_revoked(partitions, ctx, lost) before they go, and timer.run(ctx)
 * from time to time. One of them runs at a time, and none while an event is handled; all of them may wait. A
 * reload hands the partitions over: the old code's on_revoked, then the new code's on_assigned. */
typedef struct pl_consumer_hooks pl_consumer_hooks;
struct pl_group_member;

/* NULL: memory. */
pl_consumer_hooks *pl_consumer_hooks_new(struct pl_group_member *member);
/* Cancels what runs. NULL is fine. */
void pl_consumer_hooks_free(pl_consumer_hooks *hooks);

/* Something has changed: partitions, the live instance, a call of a handler is over. */
void pl_consumer_hooks_step(pl_consumer_hooks *hooks);
void pl_consumer_hooks_assigned(pl_consumer_hooks *hooks);
/* The partitions have to go. True: pl_consumer_release is called when they may. */
bool pl_consumer_hooks_leaving(pl_consumer_hooks *hooks, bool lost);
/* The old generation has to end now. */
void pl_consumer_hooks_cancel(pl_consumer_hooks *hooks, pl_instance *instance);

#endif
