/* SPDX-License-Identifier: MIT */
#include "grpc/stream.h"

void pl_grpc_stream_init(pl_grpc_stream *stream, size_t chunk_size)
{
    pl_arena_init(&stream->arena, chunk_size);
    pl_buf_init(&stream->out);
    pl_buf_init(&stream->scratch);
    pl_grpc_reader_init(&stream->reader, 0);
}

void pl_grpc_stream_dispose(pl_grpc_stream *stream)
{
    pl_arena_dispose(&stream->arena);
    pl_buf_dispose(&stream->out);
    pl_buf_dispose(&stream->scratch);
    pl_grpc_reader_dispose(&stream->reader);
}

void pl_grpc_stream_reset(pl_grpc_stream *stream, size_t kept)
{
    pl_arena_reset(&stream->arena);
    pl_buf_reset(&stream->out, kept);
    pl_buf_reset(&stream->scratch, kept);
    pl_grpc_reader_reset(&stream->reader, 0);
}

void pl_grpc_stream_hand_over(pl_grpc_stream *stream, pl_grpc_handler *handler, pl_str body)
{
    handler->request(handler, stream);
    if (stream->events && body.len > 0)
        stream->events->data(stream, body);
    if (stream->events)
        stream->events->end(stream);
}
