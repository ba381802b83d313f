/* SPDX-License-Identifier: MIT */
#ifndef PL_CLI_DESCRIBE_H
#define PL_CLI_DESCRIBE_H

#include "base/buf.h"
#include "proto/pool.h"

/* Appends what this symbol is, a service, method, message, enum or extension, as it would stand in a .proto
 * file, with full names. False: the pool has none such. */
bool describe_symbol(const pb_pool *pool, pl_str symbol, pl_buf *out);
/* A method by "package.Service/Method" or "package.Service.Method", with a slash before it or not; NULL:
 * there is none. *service is its name, which is set in any case. */
const pb_method *describe_method_of(const pb_pool *pool, pl_str name, pl_str *service);

#endif
