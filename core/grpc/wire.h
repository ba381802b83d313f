/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_WIRE_H
#define PL_GRPC_WIRE_H

/* What the protocols that calls come in by have of their own; the rest of a call is the same for all of them.
 * One table a protocol, chosen by what a request says of itself (wire_choose.c):
 *
 *   gRPC                  wire_grpc.c      frames both ways; the status in HTTP trailers
 *   gRPC-Web, and -text   wire_web.c       the same frames; the status in a last frame; Base64
 *   Connect, streaming    wire_connect.c   the same frames; the status in a last frame, as JSON
 *   Connect, unary        wire_connect.c   a message is a body; the status is that of HTTP
 *   plain HTTP and JSON   wire_http.c      as google.api.http says (transcode/)
 *
 * Messages stand framed in the stream's buffers for all of them (message.h): those without frames of their
 * own get them when they come, and lose them when they go. */

#include "grpc/call.h"

struct pl_grpc_wire {
    const char *protocol; /* ctx.protocol */
    pl_str accepted;      /* content types of requests, for a peer that has sent another one */
    pl_code malformed;    /* what becomes of a call whose message cannot be read */
    /* Reads the headers (pl_grpc_wire_sort has been there) into the call. False: it has been refused. */
    bool (*open)(pl_grpc_call *call, const pl_grpc_wire_headers *headers);
    /* Bytes have come: takes them in. NULL: as frames, as they are. False: the call has failed. */
    bool (*add)(pl_grpc_call *call, pl_str bytes);
    /* No more will come. NULL: nothing to do. False: the call has failed. */
    bool (*complete)(pl_grpc_call *call);
    /* Pushes the value of the payload. NULL: as the call's codec has it. [jumps] */
    pl_code (*decode)(pl_grpc_call *call, pl_str payload, pl_error *err);
    /* A message stands framed in the stream's out, from call->begin to its end: gives it another form. NULL:
     * it is as it should be. */
    pl_code (*pack)(pl_grpc_call *call, pl_error *err);
    void (*headers)(pl_grpc_call *call);
    /* The status, and all that is left to be sent. */
    void (*end)(pl_grpc_call *call);
};

extern const pl_grpc_wire pl_grpc_wire_grpc, pl_grpc_wire_web, pl_grpc_wire_web_text,
    pl_grpc_wire_connect_unary, pl_grpc_wire_connect_get, pl_grpc_wire_connect_stream, pl_grpc_wire_http;

/* Headers of an answer that are the application's, in one block. */
#define PL_GRPC_OWN_HEADERS 100
#define PL_GRPC_NO_MESSAGE SIZE_MAX
#define PL_GRPC_RESET_CANCEL 0x8

/* --- wire_choose.c --- */
/* The protocol of a request; NULL: none of them. */
const pl_grpc_wire *pl_grpc_wire_choose(const pl_grpc_server *server, const pl_grpc_stream *stream);
/* Takes what is the protocols' own, and leaves the application's in the stream's list. */
void pl_grpc_wire_sort(pl_grpc_stream *stream, pl_grpc_wire_headers *out);
/* The codec of the method's messages in this format ("proto", "json"); NULL: it has none. */
const pl_grpc_codec *pl_grpc_wire_codec(const pl_grpc_method *method, pl_str format);
/* Whether a content type is prefix and nothing more, or parameters; or, with rest, something more. */
bool pl_grpc_wire_is_type(pl_str type, pl_str prefix, pl_str *rest);
/* Ends a call that has not begun; false. */
bool pl_grpc_wire_refuse(pl_grpc_call *call, pl_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same without a status of gRPC's: 405 for POST, 415. */
bool pl_grpc_wire_refuse_http(pl_grpc_call *call, int status);
/* What all have to do when they open a call: finds the method, or refuses. */
bool pl_grpc_wire_find_method(pl_grpc_call *call);
/* The codings of the request and of what the peer reads (names as in headers), and the answer's. */
bool pl_grpc_wire_set_codings(pl_grpc_call *call, pl_str coding, pl_str accepted);
/* ms: what the peer waits at most; UINT64_MAX: for ever. */
void pl_grpc_wire_set_deadline(pl_grpc_call *call, uint64_t ms);
/* The same of grpc-timeout (ptr NULL: absent). False: it is malformed, and refused. */
bool pl_grpc_wire_set_grpc_deadline(pl_grpc_call *call, pl_str timeout);
/* All of these for gRPC and gRPC-Web, whose messages have that format. False: refused. */
bool pl_grpc_wire_open_grpc(pl_grpc_call *call, pl_str format, const pl_grpc_wire_headers *headers);
/* The path of the request, without its query. */
pl_str pl_grpc_wire_path(const pl_grpc_stream *stream);
/* What the scripts see; the call can begin. */
void pl_grpc_wire_describe(pl_grpc_call *call);

/* --- call_message.c --- */
/* The body of the request is one message: room for the frame that it has not, and, when all of it is there,
 * the frame. False: refused. */
bool pl_grpc_wire_begin_body(pl_grpc_call *call);
bool pl_grpc_wire_complete_body(pl_grpc_call *call);
/* Takes in bytes that are frames. */
bool pl_grpc_wire_hold(pl_grpc_call *call, pl_str bytes);
/* The message that stands framed from call->begin on in the stream's out. */
static inline pl_str pl_grpc_wire_payload(const pl_grpc_call *call)
{
    const pl_buf *out = &call->stream->out;
    size_t at = call->begin + PL_GRPC_PREFIX;
    return (pl_str){out->data + at, out->len - at};
}

/* --- connect_error.c: what Connect says in JSON --- */
/* {"code":"not_found","message":"…","details":[{"type":"…","value":"Base64"}]} */
void pl_grpc_connect_error(const pl_grpc_status *status, pl_buf *out);
/* The message of the end of a stream: error and trailers. */
void pl_grpc_connect_end(const pl_grpc_call *call, pl_buf *out);
int pl_grpc_connect_http_status(pl_code code);
pl_code pl_grpc_connect_code(pl_str name); /* of "not_found"; OK: it is none */

/* --- wire_answer.c: what several of them send --- */
/* The application's headers, and what the stream adds, behind n of one's own; room for PL_GRPC_OWN_HEADERS
 * and PL_GRPC_MORE_HEADERS more. */
#define PL_GRPC_MORE_HEADERS 12
size_t pl_grpc_wire_add_headers(const pl_grpc_call *call, pl_header *out, size_t n);
/* The application's trailers as headers that begin with "trailer-". */
size_t pl_grpc_wire_add_trailers(const pl_grpc_call *call, pl_header *out, size_t n);
/* For browsers: names that scripts may read. Behind all others. */
size_t pl_grpc_wire_expose(const pl_grpc_call *call, pl_header *out, size_t n, const char *own);
/* The status in gRPC's three headers; values on the stream's arena. */
size_t pl_grpc_wire_status(const pl_grpc_call *call, pl_header *out);
pl_str pl_grpc_wire_encoded(pl_arena *arena, pl_str text, void (*encode)(pl_buf *out, pl_str text));

#endif
