/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_NATIVES_H
#define PL_APP_NATIVES_H

#include "app/instance.h"
#include "value/native.h"

/* Functions of the host program, and what they are bound to: each instance binds them before the files of its
 * bundle, as if a file of the name PL_HOST_PROGRAM had them. The list is made before the first generation,
 * does not change afterwards, and outlives all states. */
typedef struct pl_natives pl_natives;

#define PL_HOST_PROGRAM "the host program"

pl_natives *pl_natives_new(void);          /* NULL: memory */
void pl_natives_free(pl_natives *natives); /* NULL is fine */

/* INVALID_ARGUMENT: a name that cannot be, or no function; ALREADY_EXISTS: there is one; RESOURCE_EXHAUSTED.
 * Strings are copied. */
pl_code pl_natives_add_resolver(pl_natives *natives, const char *type, const char *field,
                                pl_native_function function, void *data);
/* Either function may be NULL, not both. */
pl_code pl_natives_add_scalar(pl_natives *natives, const char *type, pl_native_function serialize,
                              pl_native_function parse, void *data);

/* Adds them to the instance's binding. Below pl_protect. NULL natives: there are none. */
void pl_natives_bind(const pl_natives *natives, pl_instance *instance, pl_report *report);

#endif
