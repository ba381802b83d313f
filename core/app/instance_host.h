/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_INSTANCE_HOST_H
#define PL_APP_INSTANCE_HOST_H

#include "app/instance.h"

/* The host of one instance: the worker's loop, with the instance's helper jobs counted as in flight, so that no state goes while a helper thread still works for it. */
void pl_instance_host_init(pl_instance *instance, pl_host *loop);

#endif
