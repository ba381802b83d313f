/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_TIMEOUT_H
#define PL_GRPC_TIMEOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* grpc-timeout: at most 8 digits and a unit. Whole milliseconds, rounded up, so that only 0 gives 0. False:
 * it is malformed. */
bool pl_grpc_timeout_read(pl_str text, uint64_t *ms);

#define PL_GRPC_TIMEOUT_SIZE 10
/* Its form, without a NUL, in the finest unit that 8 digits hold; returns the bytes written. */
size_t pl_grpc_timeout_write(char out[PL_GRPC_TIMEOUT_SIZE], uint64_t ms);

#endif
