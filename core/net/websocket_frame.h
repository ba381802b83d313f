/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_WEBSOCKET_FRAME_H
#define PL_NET_WEBSOCKET_FRAME_H

#include <stdint.h>

#include "base/buf.h"

/* The frames of RFC 6455, as a server reads and writes them. No I/O, no clock: bytes go in, in pieces of any
 * size, and events come out. Between two messages a reader holds no heap memory. */

typedef enum pl_ws_opcode {
    PL_WS_OP_CONTINUATION = 0,
    PL_WS_OP_TEXT = 1,
    PL_WS_OP_BINARY = 2,
    PL_WS_OP_CLOSE = 8,
    PL_WS_OP_PING = 9,
    PL_WS_OP_PONG = 10,
} pl_ws_opcode;

enum {
    PL_WS_NORMAL = 1000,
    PL_WS_GOING_AWAY = 1001,
    PL_WS_PROTOCOL_ERROR = 1002,
    PL_WS_NO_CODE = 1005,  /* never sent: a close frame had no code */
    PL_WS_ABNORMAL = 1006, /* never sent: there was no close frame */
    PL_WS_BAD_PAYLOAD = 1007,
    PL_WS_POLICY = 1008,
    PL_WS_TOO_BIG = 1009,
    PL_WS_INTERNAL = 1011,
    PL_WS_TRY_AGAIN = 1013,
};

#define PL_WS_MOST_CONTROL 125 /* bytes of a control frame's payload */

typedef enum pl_ws_event {
    PL_WS_MORE,    /* all bytes have been taken */
    PL_WS_MESSAGE, /* payload, binary */
    PL_WS_PING,    /* payload */
    PL_WS_PONG,    /* payload */
    PL_WS_CLOSE,   /* code (PL_WS_NO_CODE: it had none), payload: the reason. Nothing may follow */
    PL_WS_BROKEN,  /* code: what to close with, payload: why. Nothing more can be read */
} pl_ws_event;

typedef struct pl_ws_reader {
    /* Of the last event; payload goes with the bytes that were given, or with the next call. */
    pl_str payload;
    unsigned code;
    bool binary;
    /* The reader's. */
    bool in_message; /* a message has begun, and not ended */
    bool message_binary;
    bool in_payload, fin, delivered;
    pl_ws_event ended; /* CLOSE or BROKEN, when that has come */
    unsigned char opcode, head_len, masked_at, control_len;
    unsigned char head[14];
    char mask[4];
    char control[PL_WS_MOST_CONTROL];
    uint64_t left; /* bytes of the frame's payload that have not come yet */
    size_t max_message;
    size_t checked; /* bytes of message that are UTF-8 */
    pl_buf message; /* what has come of it */
} pl_ws_reader;

void pl_ws_reader_init(pl_ws_reader *reader, size_t max_message);
void pl_ws_reader_dispose(pl_ws_reader *reader);
/* Takes bytes from the front, which it may overwrite, up to the next event. Call it until it says MORE; after
 * CLOSE and BROKEN it says that again, and takes no bytes. */
pl_ws_event pl_ws_read(pl_ws_reader *reader, char **bytes, size_t *len);
/* Whether a frame or a message has begun that has not ended. */
static inline bool pl_ws_reader_waits(const pl_ws_reader *reader)
{
    return reader->in_message || reader->in_payload || reader->head_len != 0;
}

/* Appends a whole frame; false (and out->failed) when there is no memory: nothing is appended then. */
bool pl_ws_write(pl_buf *out, pl_ws_opcode opcode, pl_str payload);
/* A close frame; code PL_WS_NO_CODE: an empty one. reason is cut to fit, between two characters. */
bool pl_ws_write_close(pl_buf *out, unsigned code, pl_str reason);
/* Whether a close frame may carry it. */
bool pl_ws_code_is_sound(unsigned code);

#endif
