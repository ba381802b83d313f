/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_INSTANCE_HOST_H
#define PL_APP_INSTANCE_HOST_H

#include "app/instance.h"
#include "app/pubsub.h"

/* The host of one instance: the worker's loop, with the instance's helper jobs counted as in flight and its
 * timers kept apart, so that no state goes while a helper thread still works for it, or a timer of it is
 * armed. */
void pl_instance_host_init(pl_instance *instance, pl_host *loop, pl_pubsub *pubsub);
/* As pl_host_ops has it. */
pl_code pl_instance_purge(pl_instance *instance, pl_str type, pl_str id, size_t *dropped, pl_error *err);
/* Whether nothing is in hand, for the core or for a script: the instance may go. */
bool pl_instance_is_quiet(const pl_instance *instance);
/* The instance leaves its loop, which may be freed already: nothing begins any more, what is armed can be
 * stopped on any one thread. */
void pl_instance_host_leave(pl_instance *instance);

#endif
