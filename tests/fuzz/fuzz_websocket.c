/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "net/websocket_frame.h"

/* Frames in pieces: the events are the same however the bytes are cut, and what RFC 6455 promises of them
 * holds. The first byte of an input is the size of the pieces. */

#define MOST ((size_t)200)

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void check(const pl_ws_reader *r, pl_ws_event event)
{
    switch (event) {
    case PL_WS_MESSAGE:
        must(r->payload.len <= MOST && (r->binary || pl_str_is_utf8(r->payload)));
        break;
    case PL_WS_PING:
    case PL_WS_PONG:
        must(r->payload.len <= PL_WS_MOST_CONTROL);
        break;
    case PL_WS_CLOSE:
        must((r->code == PL_WS_NO_CODE && r->payload.len == 0) || pl_ws_code_is_sound(r->code));
        must(pl_str_is_utf8(r->payload));
        break;
    case PL_WS_BROKEN:
        must(r->code == PL_WS_PROTOCOL_ERROR || r->code == PL_WS_BAD_PAYLOAD || r->code == PL_WS_TOO_BIG);
        must(r->payload.len != 0);
        break;
    case PL_WS_MORE:
        break;
    }
}

/* Appends all events to out. */
static void read_all(const uint8_t *data, size_t size, size_t piece, pl_buf *out)
{
    pl_ws_reader r;
    pl_ws_reader_init(&r, MOST);
    for (size_t at = 0; at < size && r.ended == PL_WS_MORE; at += piece) {
        size_t left = size - at < piece ? size - at : piece;
        char *bytes = malloc(left), *p = bytes;
        memcpy(bytes, data + at, left);
        pl_ws_event event;
        while (r.ended == PL_WS_MORE && (event = pl_ws_read(&r, &p, &left)) != PL_WS_MORE) {
            check(&r, event);
            pl_buf_printf(out, "%d %d %u %zu ", event, event == PL_WS_MESSAGE && r.binary,
                          event >= PL_WS_CLOSE ? r.code : 0, r.payload.len);
            pl_buf_str(out, r.payload);
        }
        must(r.ended != PL_WS_MORE || left == 0);
        must(r.message.len <= MOST);
        free(bytes);
    }
    pl_ws_reader_dispose(&r);
}

/* What is written, masked, is read again. */
static void round_trip(pl_str payload)
{
    pl_buf out;
    pl_ws_reader r;
    pl_buf_init(&out);
    must(pl_ws_write(&out, PL_WS_OP_BINARY, payload));
    size_t head = payload.len < 126 ? 2 : 4, len = out.len + 4;
    char *bytes = malloc(len), *p = bytes;
    memcpy(bytes, out.data, head);
    bytes[1] = (char)(bytes[1] | 0x80);
    memset(bytes + head, 0, 4); /* a mask that changes nothing */
    memcpy(bytes + head + 4, out.data + head, payload.len);
    pl_ws_reader_init(&r, payload.len);
    must(pl_ws_read(&r, &p, &len) == PL_WS_MESSAGE && r.binary && pl_str_eq(r.payload, payload));
    must(pl_ws_read(&r, &p, &len) == PL_WS_MORE && !pl_ws_reader_waits(&r));
    pl_ws_reader_dispose(&r);
    free(bytes);
    pl_buf_dispose(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 65000)
        return 0;
    pl_buf whole, pieces;
    pl_buf_init(&whole);
    pl_buf_init(&pieces);
    read_all(data + 1, size - 1, size - 1, &whole);
    read_all(data + 1, size - 1, (size_t)data[0] + 1, &pieces);
    must(pl_str_eq(pl_buf_view(&whole), pl_buf_view(&pieces)));
    round_trip((pl_str){(const char *)data, size});
    pl_buf_dispose(&whole);
    pl_buf_dispose(&pieces);
    return 0;
}
