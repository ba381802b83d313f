/* SPDX-License-Identifier: MIT */
#include "events/policy/circuit.h"

#define MOST_DOUBLINGS 3

uint64_t pl_circuit_failed(pl_circuit *circuit, const pl_circuit_config *config)
{
    if (circuit->open || config->failures == 0)
        return 0;
    circuit->failures++;
    if (circuit->pauses == 0 && circuit->failures < config->failures)
        return 0;
    unsigned doublings = circuit->pauses < MOST_DOUBLINGS ? circuit->pauses : MOST_DOUBLINGS;
    circuit->open = true;
    circuit->pauses++;
    return (uint64_t)config->pause << doublings;
}

void pl_circuit_succeeded(pl_circuit *circuit)
{
    circuit->failures = 0;
    if (!circuit->open)
        circuit->pauses = 0;
}

void pl_circuit_resumed(pl_circuit *circuit)
{
    circuit->open = false;
}
