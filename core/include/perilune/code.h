/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_CODE_H
#define PERILUNE_CODE_H

/* What every public header needs. */

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PL_API __attribute__((visibility("default")))
#else
#define PL_API
#endif

/* How anything can end: the canonical codes of gRPC, for every protocol. PL_OK is 0, so a function that
 * returns a pl_code is tested with `if (code)`. */
typedef enum pl_code {
    PL_OK = 0,
    PL_CANCELLED = 1,
    PL_UNKNOWN = 2,
    PL_INVALID_ARGUMENT = 3,
    PL_DEADLINE_EXCEEDED = 4,
    PL_NOT_FOUND = 5,
    PL_ALREADY_EXISTS = 6,
    PL_PERMISSION_DENIED = 7,
    PL_RESOURCE_EXHAUSTED = 8,
    PL_FAILED_PRECONDITION = 9,
    PL_ABORTED = 10,
    PL_OUT_OF_RANGE = 11,
    PL_UNIMPLEMENTED = 12,
    PL_INTERNAL = 13,
    PL_UNAVAILABLE = 14,
    PL_DATA_LOSS = 15,
    PL_UNAUTHENTICATED = 16,
} pl_code;

/* "NOT_FOUND" for PL_NOT_FOUND; "UNKNOWN" for a number that is no code. Static storage. */
PL_API const char *pl_code_name(pl_code code);

#ifdef __cplusplus
}
#endif

#endif
