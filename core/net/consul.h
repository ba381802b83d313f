/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_CONSUL_H
#define PL_NET_CONSUL_H

#include "net/target.h"

/* What Consul answers to /v1/health/service/NAME: the addresses of instances, in the arena. Those with a
 * critical check are left out, those with warnings unless they are wanted; an instance counts as much as its
 * Weights say. An instance that has no address of its own has its node's. Addresses that are no IP addresses
 * are left out, and counted in *names. Errors: INVALID_ARGUMENT (that is no answer of Consul's),
 * RESOURCE_EXHAUSTED. */
pl_code pl_consul_read(pl_str body, bool warnings, pl_arena *arena, const pl_resolved **out, size_t *count,
                       size_t *names, pl_error *err);
/* The index for the next query, as Consul's documentation has it: 0 (ask without one) when it goes backwards,
 * and never 0 otherwise. text: the X-Consul-Index header; false when it is no number. */
bool pl_consul_next_index(const char *text, uint64_t before, uint64_t *out);

#endif
