/* SPDX-License-Identifier: MIT */
#include "grpc/native_protobuf.h"

typedef struct source {
    pl_arena *arena;
    bool failed;
} source;

static void *allocate(void *data, size_t size)
{
    source *s = data;
    void *p = pl_arena_alloc(s->arena, size);
    s->failed |= !p;
    return p;
}

static void release(void *data, void *p)
{
    (void)data;
    (void)p;
}

void *pl_grpc_unpack(const ProtobufCMessageDescriptor *type, pl_str bytes, pl_arena *arena, pl_error *err)
{
    source s = {.arena = arena};
    ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = &s};
    const uint8_t *data = bytes.len ? (const uint8_t *)bytes.ptr : (const uint8_t *)"";
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, bytes.len, data);
    if (message)
        return message;
    if (s.failed)
        pl_fail_memory(err);
    else
        pl_fail(err, PL_INTERNAL, "the request is no message of the type %s", type->name);
    return NULL;
}

bool pl_grpc_pack(const ProtobufCMessage *message, pl_buf *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (!pl_buf_reserve(out, size))
        return false;
    out->len += protobuf_c_message_pack(message, (uint8_t *)out->data + out->len);
    return true;
}

bool pl_grpc_native_send_message(pl_grpc_call *call, const ProtobufCMessage *message)
{
    pl_buf bytes;
    pl_buf_init(&bytes);
    bool more = false;
    if (pl_grpc_pack(message, &bytes))
        more = pl_grpc_native_send(call, pl_buf_view(&bytes));
    else
        pl_grpc_native_finish(call, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
    pl_buf_dispose(&bytes);
    return more;
}

void pl_grpc_native_reply(pl_grpc_call *call, const ProtobufCMessage *message)
{
    if (pl_grpc_native_send_message(call, message))
        pl_grpc_native_finish(call, PL_OK, PL_STR_NONE);
}
