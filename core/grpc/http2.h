/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_HTTP2_H
#define PL_GRPC_HTTP2_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "grpc/metadata.h"

/* What both ends of an HTTP/2 connection have in common: sessions of servers (session.h) and of clients
 * (client/session.h). */

#define PL_HTTP2_MAX_FIELDS 128 /* of a block of headers that we send; what is more is left out */

extern const nghttp2_mem pl_http2_memory; /* base/alloc.h's */

/* Our SETTINGS, and the window of the connection. nghttp2's error; 0: none. */
int pl_http2_greet(nghttp2_session *h2, const nghttp2_settings_entry *entries, size_t count, uint32_t window);
/* A window that HTTP/2 allows; standard: in place of 0. */
uint32_t pl_http2_window(uint32_t window, uint32_t standard);

/* Appends headers to fields, which has room for PL_HTTP2_MAX_FIELDS and at of them already. Returns how many
 * there are then. */
size_t pl_http2_fields(nghttp2_nv *fields, size_t at, const pl_header *headers, size_t count);

/* A DATA frame: its head of 9 bytes, and length bytes of out from *sent on, are appended to `to`. When
 * nothing is left in out it is empty again, and keeps memory for so many bytes. False: memory. */
bool pl_http2_data(pl_buf *to, const uint8_t *head, pl_buf *out, size_t *sent, size_t length, size_t keep);

/* What a header adds to its block's size (RFC 9113, section 6.5.2), of which `most` are kept. */
typedef enum pl_http2_room {
    PL_HTTP2_FITS,
    PL_HTTP2_TOO_LARGE, /* it is looked at, as HPACK needs, and not kept */
    PL_HTTP2_ENDLESS,   /* the connection is to end */
} pl_http2_room;
pl_http2_room pl_http2_header(size_t *size, size_t name_len, size_t value_len, size_t most);

/* Frames and bytes that came and moved nothing forward, less what was moved. True: too many. */
typedef struct pl_http2_noise {
    unsigned frames;
    size_t bytes;
} pl_http2_noise;
bool pl_http2_noise_frame(pl_http2_noise *noise);
bool pl_http2_noise_bytes(pl_http2_noise *noise, size_t received);
/* Headers, or data that are not empty, or an end: they do move something. */
bool pl_http2_is_useful(const nghttp2_frame_hd *head);

/* Something was sent or came that moves calls forward. */
static inline void pl_http2_progress(pl_http2_noise *noise)
{
    noise->frames -= noise->frames < 8 ? noise->frames : 8;
    noise->bytes = 0;
}

#endif
