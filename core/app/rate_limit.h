/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_RATE_LIMIT_H
#define PL_APP_RATE_LIMIT_H

#include "app/instance.h"

/* Budgets of clients, spent by what operations cost: graphql.rate_limit. The buckets are in a shared
 * dictionary, so they are the same for all workers and outlive a reload. */

/* gql_cost_options.admit; data is the instance. */
bool pl_rate_limit_admit(void *instance, pl_work *work, double cost, gql_throttle *out);

/* What tells clients apart, for the work; in its arena. An address counts without its port, and one of IPv6
 * by its first 64 bits, which is what one customer of a provider has. ptr NULL: memory. */
pl_str pl_rate_limit_key(const pl_rate_config *config, pl_state *state, pl_work *work);

#endif
