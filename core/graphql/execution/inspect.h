/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_INSPECT_H
#define PL_GRAPHQL_INSPECT_H

#include "base/buf.h"
#include "value/value.h"

/* Appends a value as graphql-js shows one in a message: { a: 1, b: ["x", [Array]] }. What is deep or long is
 * cut, and the whole to about max bytes. */
void gql_inspect(pl_buf *out, const pl_value *value, size_t max);

#endif
