/* SPDX-License-Identifier: MIT */
#ifndef GUARD_H
#define GUARD_H

#include <stddef.h>

/* What `guard` counts. A case is prepared, warmed up and checked, and then repeated while callgrind counts
 * the instructions of its thread. Whatever goes wrong ends the process with a message. */
typedef struct guard_case {
    const char *name;
    unsigned count; /* how often, unless the command line says otherwise */
    void *(*prepare)(const void *data);
    void (*once)(void *prepared);
    void (*check)(void *prepared); /* after the first and the last time */
    void (*dispose)(void *prepared);
    const void *data;
} guard_case;

_Noreturn void guard_die(const char *what, const char *why);

/* Those of the program, up to one without a name. */
extern const guard_case guard_cases[];

#endif
