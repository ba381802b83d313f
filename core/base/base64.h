/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_BASE64_H
#define PL_BASE_BASE64_H

#include "base/buf.h"

/* Appends the Base64 form of bytes (RFC 4648, section 4, with padding). */
void pl_base64_write(pl_buf *out, pl_str bytes);
/* The same without padding. */
void pl_base64_write_unpadded(pl_buf *out, pl_str bytes);
/* Appends what text is the form of, with padding or without. False: it is none (out is as before), or
 * out->failed. */
bool pl_base64_read(pl_buf *out, pl_str text);

#endif
