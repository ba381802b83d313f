/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_PYTHON_WAKE_H
#define PERILUNE_PYTHON_WAKE_H

#include <stdbool.h>

/* A descriptor that is readable when a queue has something: for an event loop, or a thread that waits. The
 * queue's own lock protects it. */
typedef struct core_wake {
    int fd; /* -1: there is none */
    bool set;
} core_wake;

bool core_wake_init(core_wake *wake); /* false: errno says why */
void core_wake_dispose(core_wake *wake);
void core_wake_set(core_wake *wake);
void core_wake_clear(core_wake *wake);
/* Waits, without the GIL and without the lock, for up to timeout_ms (-1: for ever), or a signal. */
void core_wake_wait(const core_wake *wake, int timeout_ms);

#endif
