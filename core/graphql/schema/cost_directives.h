/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_COST_DIRECTIVES_H
#define PL_GRAPHQL_COST_DIRECTIVES_H

#include "graphql/schema/schema.h"

/* Reading @cost and @listSize (the IBM cost specification) off a schema. A @cost without a weight is somebody
 * else's directive, and means nothing here. */

/* The weight that the directives give. False: none. */
bool gql_cost_weight(const gql_directives *directives, double *weight);
/* NULL: there is none. */
const gql_directive *gql_list_size_directive(const gql_directives *directives);
/* The value of an argument as written; NULL: not given, or null. */
const gql_value *gql_directive_value(const gql_directive *directive, const char *argument);
/* Strings of a list literal (one string stands for a list of one): how many, and the i-th. */
uint32_t gql_literal_strings(const gql_value *list);
pl_str gql_literal_string(const gql_value *list, uint32_t i);
/* Cuts the first name off a path ("input.page.first"). */
pl_str gql_path_step(pl_str *path);

#endif
