/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_BASE64URL_H
#define PL_BASE_BASE64URL_H

#include <stdbool.h>

#include "base/str.h"

/* Base64 for URLs as JOSE has it (RFC 7515, section 2): no padding, no white space, no line ends, and each
 * sequence of bytes has one form only. */

/* Room for what text stands for. */
static inline size_t pl_base64url_room(pl_str text)
{
    return text.len / 4 * 3 + 2;
}
/* Writes the bytes; false: it is not such a text. out may be the text itself. */
bool pl_base64url_read(pl_str text, void *out, size_t *len);

#endif
