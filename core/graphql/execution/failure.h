/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_FAILURE_H
#define PL_GRAPHQL_FAILURE_H

#include "base/buf.h"
#include "value/engine.h"

/* How errors of scripts are shown to clients. */

/* ,"extensions":{"code":…} with the request's id (ptr NULL: none), the violations and what the script has
 * added. */
void gql_write_error_extensions(pl_buf *out, pl_code code, const pl_value *details,
                                const pl_value *extensions, pl_str id);
/* The message for the client: that of an expected failure, a general one otherwise. */
pl_str gql_failure_message(const pl_failure *failure, bool show_internal);

#endif
