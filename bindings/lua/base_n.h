/* SPDX-License-Identifier: MIT */
#ifndef PLUA_BASE_N_H
#define PLUA_BASE_N_H

#include <stddef.h>

#include "bindings/lua/plua.h"

/* Base64 and hexadecimal digits (RFC 4648). */

/* Writes 2 * len lower-case digits. */
void plua_hex_write(char *out, const unsigned char *bytes, size_t len);
/* Adds base64_encode, base64_decode, base64url_encode, base64url_decode, hex_encode and hex_decode to the
 * table at the top. */
void plua_add_base_n(lua_State *L);

#endif
