/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_COMPRESS_H
#define PL_NET_COMPRESS_H

#include "base/buf.h"

/* Compression of finished bodies. */

typedef enum pl_coding { PL_CODING_IDENTITY, PL_CODING_GZIP, PL_CODING_BROTLI } pl_coding;

/* A body is worth compressing from 1 kB on; above 8 MiB it would hold up the loop for too long. */
#define PL_COMPRESS_LEAST ((size_t)1024)
#define PL_COMPRESS_MOST ((size_t)8 << 20)

/* The coding that an Accept-Encoding header (RFC 9110, 12.5.3) likes best; brotli where it likes both the
 * same. Absent or broken fields are identity. */
pl_coding pl_coding_choose(pl_str accept_encoding);
bool pl_coding_accepts_gzip(pl_str accept_encoding); /* at all: for what is there in gzip already */
pl_str pl_coding_name(pl_coding coding);             /* "gzip", "br"; "" for identity */
/* Whether bodies of this media type shrink: text, JSON, XML, JavaScript and the like. */
bool pl_coding_suits(pl_str content_type);
/* Appends the compressed body to out. False when it did not get smaller, or memory is short: out is then as
 * it was, or to be thrown away when out->failed. */
bool pl_compress(pl_coding coding, pl_str body, pl_buf *out);
/* Unpacks gzip that holds exactly size bytes into out. False when it does not, or memory is short. */
bool pl_gunzip(pl_str packed, char *out, size_t size);

#endif
