/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CODEC_H
#define PL_GRPC_CODEC_H

#include "base/buf.h"
#include "value/engine.h"

/* How messages become script values and back. type: what the codec knows a message by (a descriptor). */
typedef struct pl_grpc_codec pl_grpc_codec;
struct pl_grpc_codec {
    pl_str name; /* as in content types: "proto" */
    /* Pushes the value of a message. Errors say what is wrong with it (INTERNAL, RESOURCE_EXHAUSTED). [jumps]
     */
    pl_code (*decode)(const void *type, pl_state *state, pl_str bytes, pl_error *err);
    /* Appends the message of the value in slot; what it has appended when it fails, or jumps, is cut off by
     * the caller. Errors name the path of what does not fit (INTERNAL). [jumps] */
    pl_code (*encode)(const void *type, pl_state *state, pl_slot slot, pl_buf *out, pl_error *err);
};

/* Messages are strings, as they are. */
extern const pl_grpc_codec pl_grpc_bytes_codec;

#endif
