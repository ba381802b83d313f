/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_LITERAL_CHECK_H
#define PL_GRAPHQL_LITERAL_CHECK_H

#include "graphql/execution/input.h"

/* gql_validate_options.scalar_literal for a schema with its scripts: asks a scalar's parse function, or what
 * a ready-made scalar does, whether a literal suits. Literals with variables in them are left to execution,
 * as is whatever is no fault of the literal (a function that waits, memory). */
typedef struct gql_literal_checker {
    gql_binding *binding;
    pl_work *work;   /* that the call is made for */
    pl_arena *arena; /* for what is said of a literal */
} gql_literal_checker;
bool gql_literal_suits(void *checker, const gql_named *scalar, const gql_value *value, pl_str *why);

#endif
