/* SPDX-License-Identifier: MIT */
#include "app/grpc_cors.h"

#include "net/cors.h"

static pl_str header_of(const pl_grpc_stream *stream, const char *name)
{
    for (size_t i = 0; i < stream->headers.count; i++) {
        if (pl_str_is(stream->headers.items[i].name, name))
            return stream->headers.items[i].value;
    }
    return PL_STR_NONE;
}

bool pl_grpc_cors(const pl_cors *cors, pl_grpc_stream *stream)
{
    pl_str origin = header_of(stream, "origin");
    bool preflight = pl_str_is(stream->method, "OPTIONS") && origin.ptr &&
                     header_of(stream, "access-control-request-method").ptr;
    if (!origin.ptr)
        return false;
    pl_cors_answer *answer = pl_arena_zalloc(&stream->arena, sizeof *answer);
    if (!answer)
        return false;
    if (preflight) {
        pl_cors_preflight(cors, origin, header_of(stream, "access-control-request-headers"), answer);
        stream->ops->respond(stream, 204, answer->headers, answer->count, true);
        return true;
    }
    pl_cors_actual(cors, origin, answer);
    stream->extra = answer->headers;
    stream->extra_count = answer->count;
    return false;
}
