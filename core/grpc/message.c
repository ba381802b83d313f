/* SPDX-License-Identifier: MIT */
#include "grpc/message.h"

#define KEPT_BYTES ((size_t)16 << 10) /* by a reader that is used again */

void pl_grpc_reader_init(pl_grpc_reader *reader, size_t max_message)
{
    *reader = (pl_grpc_reader){.max_message = max_message};
    pl_buf_init(&reader->bytes);
}

void pl_grpc_reader_dispose(pl_grpc_reader *reader)
{
    pl_buf_dispose(&reader->bytes);
    reader->at = 0;
}

void pl_grpc_reader_reset(pl_grpc_reader *reader, size_t max_message)
{
    pl_buf_reset(&reader->bytes, KEPT_BYTES);
    reader->at = 0;
    reader->max_message = max_message;
}

/* What was taken makes room: at once when nothing is left, else before the buffer would have to grow, when
 * what is moved is less than what is won. So each byte is moved a bounded number of times. */
static void compact(pl_grpc_reader *reader, size_t more)
{
    pl_buf *b = &reader->bytes;
    size_t held = b->len - reader->at;
    if (reader->at == 0)
        return;
    if (held == 0) {
        pl_buf_reset(b, KEPT_BYTES);
    } else if (b->cap - b->len < more && held <= reader->at) {
        memmove(b->data, b->data + reader->at, held);
        b->len = held;
    } else {
        return;
    }
    reader->at = 0;
}

bool pl_grpc_reader_add(pl_grpc_reader *reader, pl_str bytes)
{
    compact(reader, bytes.len);
    pl_buf_str(&reader->bytes, bytes);
    return !reader->bytes.failed;
}

pl_grpc_read pl_grpc_reader_peek(const pl_grpc_reader *reader, pl_grpc_message *out)
{
    size_t held = pl_grpc_reader_held(reader);
    if (held < PL_GRPC_PREFIX)
        return PL_GRPC_MORE;
    const unsigned char *p = (const unsigned char *)reader->bytes.data + reader->at;
    uint32_t length = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    *out = (pl_grpc_message){.compressed = p[0] == PL_GRPC_FLAG_COMPRESSED, .length = length};
    if (p[0] > PL_GRPC_FLAG_COMPRESSED)
        return PL_GRPC_BAD_FLAGS;
    if (length > reader->max_message)
        return PL_GRPC_TOO_LARGE;
    if (held - PL_GRPC_PREFIX < length)
        return PL_GRPC_MORE;
    out->payload = (pl_str){(const char *)p + PL_GRPC_PREFIX, length};
    return PL_GRPC_MESSAGE;
}

pl_grpc_read pl_grpc_reader_next(pl_grpc_reader *reader, pl_grpc_message *out)
{
    pl_grpc_read result = pl_grpc_reader_peek(reader, out);
    if (result == PL_GRPC_MESSAGE)
        reader->at += PL_GRPC_PREFIX + out->length;
    return result;
}

size_t pl_grpc_message_begin(pl_buf *out)
{
    static const char none[PL_GRPC_PREFIX];
    size_t begin = out->len;
    pl_buf_append(out, none, PL_GRPC_PREFIX);
    return begin;
}

bool pl_grpc_message_end(pl_buf *out, size_t begin, unsigned flags)
{
    if (out->failed)
        return false;
    size_t length = out->len - begin - PL_GRPC_PREFIX;
    if (length > UINT32_MAX)
        return false;
    unsigned char *p = (unsigned char *)out->data + begin;
    p[0] = (unsigned char)flags;
    p[1] = (unsigned char)(length >> 24);
    p[2] = (unsigned char)(length >> 16);
    p[3] = (unsigned char)(length >> 8);
    p[4] = (unsigned char)length;
    return true;
}
