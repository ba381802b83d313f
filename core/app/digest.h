/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_DIGEST_H
#define PL_APP_DIGEST_H

#include <stdbool.h>

#include "base/str.h"

/* SHA-256 in lower-case hexadecimal digits, with a NUL. False when the library has no memory. */
#define PL_SHA256_HEX 64
bool pl_sha256_hex(pl_str bytes, char out[PL_SHA256_HEX + 1]);

#endif
