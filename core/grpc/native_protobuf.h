/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_NATIVE_PROTOBUF_H
#define PL_GRPC_NATIVE_PROTOBUF_H

#include <protobuf-c/protobuf-c.h>

#include "grpc/native.h"

/* Native methods whose messages are protobuf-c's. */

/* The message that bytes hold, with all that belongs to it in the arena: it is not freed by itself. NULL:
 * *err is INTERNAL (it is none of this type) or RESOURCE_EXHAUSTED (memory). */
void *pl_grpc_unpack(const ProtobufCMessageDescriptor *type, pl_str bytes, pl_arena *arena, pl_error *err);
/* Appends; false: memory. */
bool pl_grpc_pack(const ProtobufCMessage *message, pl_buf *out);
/* pl_grpc_native_send of a message. */
bool pl_grpc_native_send_message(pl_grpc_call *call, const ProtobufCMessage *message);
/* The response of a call that has one, and its end. */
void pl_grpc_native_reply(pl_grpc_call *call, const ProtobufCMessage *message);

/* A string of protobuf-c's. */
static inline char *pl_grpc_cstr(pl_str terminated)
{
    return (char *)(uintptr_t)terminated.ptr; /* it does not write to them */
}

#endif
