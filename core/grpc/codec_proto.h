/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CODEC_PROTO_H
#define PL_GRPC_CODEC_PROTO_H

#include "grpc/codec.h"
#include "proto/codec.h"

/* Messages of a descriptor pool, straight between the wire and script values. A method's input and output are
 * of this type: the codec is the state's. */
typedef struct pl_grpc_proto_type {
    pb_codec *codec;
    const pb_message *message;
} pl_grpc_proto_type;

extern const pl_grpc_codec pl_grpc_proto_codec;
/* The same messages as ProtoJSON: "json". Fields of what comes that the message does not have are passed
 * over. */
extern const pl_grpc_codec pl_grpc_json_codec;

#endif
