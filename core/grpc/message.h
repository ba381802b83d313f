/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_MESSAGE_H
#define PL_GRPC_MESSAGE_H

#include <stdint.h>

#include "base/buf.h"

/* gRPC's message framing: a byte of flags, the length in four bytes, the payload. DATA frames do not align
 * with messages, so what comes is collected here until a message is whole. */

#define PL_GRPC_PREFIX 5
#define PL_GRPC_FLAG_COMPRESSED 0x01
#define PL_GRPC_FLAG_TRAILERS 0x80 /* gRPC-Web: the last frame */

typedef struct pl_grpc_reader {
    pl_buf bytes; /* as received; what stands before `at` has been taken */
    size_t at;
    size_t max_message; /* bytes of a payload; more is TOO_LARGE */
} pl_grpc_reader;

typedef enum pl_grpc_read {
    PL_GRPC_MORE,      /* no message is whole */
    PL_GRPC_MESSAGE,   /* *out is the next one */
    PL_GRPC_TOO_LARGE, /* the next one is over the limit: out->length says by how much; nothing can follow */
    PL_GRPC_BAD_FLAGS, /* flags that nobody has defined: nothing can follow */
} pl_grpc_read;

typedef struct pl_grpc_message {
    bool compressed;
    uint32_t length; /* of the payload, as announced */
    pl_str payload;  /* valid until the next pl_grpc_reader_add or _next */
} pl_grpc_message;

void pl_grpc_reader_init(pl_grpc_reader *reader, size_t max_message);
void pl_grpc_reader_dispose(pl_grpc_reader *reader);
/* Empties it for another call; keeps a small buffer. */
void pl_grpc_reader_reset(pl_grpc_reader *reader, size_t max_message);
/* Memory is taken as bytes come, not as they are announced. False: there is none. */
bool pl_grpc_reader_add(pl_grpc_reader *reader, pl_str bytes);
/* Takes the next message, if it is whole. */
pl_grpc_read pl_grpc_reader_next(pl_grpc_reader *reader, pl_grpc_message *out);
/* The same, but the message stays. */
pl_grpc_read pl_grpc_reader_peek(const pl_grpc_reader *reader, pl_grpc_message *out);
/* Bytes that have been received and not taken; at the end of a stream more than 0 is a message cut off. */
static inline size_t pl_grpc_reader_held(const pl_grpc_reader *reader)
{
    return reader->bytes.len - reader->at;
}

/* Room for a prefix at the end of out; its place. When the payload has been appended, _end fills it in.
 * False: the payload is too large for the framing (it stays), or out has failed. */
size_t pl_grpc_message_begin(pl_buf *out);
bool pl_grpc_message_end(pl_buf *out, size_t begin, unsigned flags);

#endif
