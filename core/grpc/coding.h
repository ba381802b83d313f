/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CODING_H
#define PL_GRPC_CODING_H

#include "base/buf.h"
#include "base/error.h"

/* Compression of messages. Each message is a compressed whole of its own; the state that the libraries need
 * is kept between messages, and belongs to one thread. */
typedef enum pl_grpc_coding {
    PL_GRPC_IDENTITY,
    PL_GRPC_GZIP,
    PL_GRPC_DEFLATE, /* zlib's format, RFC 1950 */
    PL_GRPC_ZSTD,
    PL_GRPC_CODINGS, /* how many there are; as a result: an unknown one */
} pl_grpc_coding;

/* "gzip" for PL_GRPC_GZIP. */
pl_str pl_grpc_coding_name(pl_grpc_coding coding);
pl_grpc_coding pl_grpc_coding_read(pl_str name);
/* All of them, as in grpc-accept-encoding. */
pl_str pl_grpc_coding_names(void);
/* Those of a list "gzip, identity" as bits, 1 << coding; identity is always among them. */
unsigned pl_grpc_coding_list(pl_str list);

typedef struct pl_grpc_coder pl_grpc_coder;
pl_grpc_coder *pl_grpc_coder_new(void); /* NULL: memory */
void pl_grpc_coder_free(pl_grpc_coder *coder);

/* Appends the compressed bytes; RESOURCE_EXHAUSTED: memory. */
pl_code pl_grpc_compress(pl_grpc_coder *coder, pl_grpc_coding coding, pl_str bytes, pl_buf *out,
                         pl_error *err);
/* Appends what bytes hold. RESOURCE_EXHAUSTED: that is more than max bytes (found before they are there), or
 * memory; INTERNAL: they are damaged, cut off, or followed by others. Nothing at all is an empty message. */
pl_code pl_grpc_decompress(pl_grpc_coder *coder, pl_grpc_coding coding, pl_str bytes, size_t max, pl_buf *out,
                           pl_error *err);

#endif
