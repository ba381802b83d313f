/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_CIRCUIT_H
#define PL_EVENTS_CIRCUIT_H

#include <stdbool.h>
#include <stdint.h>

/* When everything fails, what handlers need is not there (a database, a service): nothing is handled for a
 * while, so that events are not all dead letters by the time it is back. Then one failure more is enough for
 * a longer pause, and one success for going on as before. Times in milliseconds. */
typedef struct pl_circuit_config {
    unsigned failures; /* in a row; 0: never */
    unsigned pause;    /* the first; each one in a row is twice as long, up to 8 times */
} pl_circuit_config;

typedef struct pl_circuit {
    unsigned failures; /* in a row */
    unsigned pauses;   /* in a row */
    bool open;
} pl_circuit;

/* How long to pause from now on; 0: not. What fails while it is open began before, and does not count. */
uint64_t pl_circuit_failed(pl_circuit *circuit, const pl_circuit_config *config);
void pl_circuit_succeeded(pl_circuit *circuit);
void pl_circuit_resumed(pl_circuit *circuit); /* the pause is over */

#endif
