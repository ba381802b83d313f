/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CALL_H
#define PL_GRPC_CALL_H

/* A call that is served; what its files share: server.c (which stream becomes which call), call.c (its life
 * and its scripts), call_message.c (messages, in and out), wire.h (the protocols), call_script.c (what `call`
 * does in scripts).
 *
 *   request → [unary: the message is whole] → [interceptors → next] → the method → end of the method
 *           → [interceptors go on, and end] → status → closed
 *
 * A call lives on its stream's arena. It is over when its status is given to the stream, or the stream has
 * gone, whichever is first; then nothing of it is left in the service, while the stream may still have to be
 * sent. */

#include "base/map.h"
#include "grpc/server.h"
#include "grpc/status.h"

typedef struct pl_grpc_wire pl_grpc_wire;
/* Of a request; ptr NULL: absent. */
typedef struct pl_grpc_wire_headers {
    pl_str type, grpc_timeout, grpc_coding, grpc_accepted;
    pl_str connect_timeout, connect_version, connect_coding, connect_accepted;
    pl_str http_coding, http_accepted, accept, origin;
} pl_grpc_wire_headers;

struct pl_grpc_call {
    pl_rpc rpc; /* first */
    pl_grpc_server *server;
    pl_grpc_service *service; /* NULL: refused before there was a method */
    const pl_grpc_method *method;
    const pl_grpc_wire *wire;
    void *wire_data;            /* the wire's own */
    const pl_grpc_codec *codec; /* of its messages */
    pl_grpc_stream *stream;
    pl_work work;
    pl_grpc_call *prev, *next; /* in hand on the service */
    bool listed;

    /* What comes. */
    pl_grpc_coding request_coding;
    unsigned accepted; /* codings that the client reads: bits */
    size_t uncredited; /* bytes that have come, and that the client may not send anew yet */
    size_t held;       /* bytes that count for the server's bound */
    bool peer_ended;
    bool whole_body; /* of a request: it is one message, without a frame */
    char text[4];    /* Base64 that waits for the rest of its quad */
    unsigned text_count;
    bool wants;        /* somebody waits for the next message */
    unsigned received; /* messages taken */

    /* What goes. */
    pl_grpc_coding response_coding;
    bool headers_sent;
    size_t begin; /* of the message that is being written to the stream's out; SIZE_MAX: none */
    unsigned sent;
    pl_str answer_type;                 /* content-type */
    pl_grpc_metadata headers, trailers; /* of the application */

    /* Scripts. */
    bool started; /* a unary call's message is whole, or it is a stream */
    pl_call *chain, *running;
    void *native; /* of a method in C that has begun */
    bool native_ended, native_inside;
    bool method_over;
    pl_grpc_status status;
    uint64_t began; /* as the meter has it */
    pl_timer deadline;
    bool deadline_armed;
    bool over;
};

struct pl_grpc_server {
    pl_grpc_handler handler; /* first */
    pl_grpc_server_config config;
    pl_grpc_service *service, *native;
    pl_grpc_coder *coder;
    uint64_t last_id;
    unsigned calls;
    uint64_t calls_total, failed_total, last_call_at;
    size_t held;
};

struct pl_grpc_service {
    pl_state *state; /* NULL: all methods are native */
    pl_grpc_options options;
    pl_ref interceptors;
    unsigned *in_flight;
    pl_map methods;               /* path → pl_grpc_method * */
    const pl_grpc_method *recent; /* the one that was found last */
    pl_map names;                 /* of services → what service.c keeps of one */
    bool some_off;
    struct pl_http_routes *routes; /* of methods that are plain HTTP as well; NULL: none */
    pl_arena arena;
    pl_grpc_call *calls;
};

/* server.c */
/* For so many bytes more of a call's request. When the server holds as much as it may, the call that holds
 * most and still waits for more is ended: so who sends much and finishes nothing takes no room from others.
 * False: that was this one. */
bool pl_grpc_server_make_room(pl_grpc_server *server, pl_grpc_call *call, size_t bytes);

/* call.c */
extern const pl_grpc_stream_events pl_grpc_call_events;
/* Begins: the scripts as well, unless a message has to come first. */
void pl_grpc_call_begin(pl_grpc_call *call);
/* Ends it with a status; scripts that still wait are cancelled. The call is over then. */
void pl_grpc_call_fail(pl_grpc_call *call, pl_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Tells the meter, where there is one, of a call that is over. */
void pl_grpc_call_count(const pl_grpc_call *call, pl_code code);
/* Its status stands: sends it. The call is over then. */
void pl_grpc_call_conclude(pl_grpc_call *call);

/* native.c */
extern const pl_grpc_codec pl_grpc_native_codec;
void pl_grpc_native_start(pl_grpc_call *call);
void pl_grpc_native_input(pl_grpc_call *call);
void pl_grpc_native_writable(pl_grpc_call *call);

/* call_message.c */
/* Takes the next message and pushes its value. [jumps] */
pl_rpc_result pl_grpc_call_take(pl_grpc_call *call, pl_error *err);
/* Bytes have come. False: the call has failed. */
bool pl_grpc_call_add(pl_grpc_call *call, pl_str bytes);
/* The request has ended. False: the call has failed. */
bool pl_grpc_call_complete(pl_grpc_call *call);
/* The whole request message of a call that takes one is there (or the lack of it is certain). */
typedef enum pl_grpc_whole { PL_GRPC_NOT_WHOLE, PL_GRPC_WHOLE, PL_GRPC_REFUSED } pl_grpc_whole;
pl_grpc_whole pl_grpc_call_check_single(pl_grpc_call *call);
/* Writes the value in slot as a message. [jumps] */
pl_code pl_grpc_call_put(pl_grpc_call *call, pl_slot slot, pl_error *err);
/* The same without values: bytes that are gone with the next message, or when something is sent. */
pl_rpc_result pl_grpc_call_take_bytes(pl_grpc_call *call, pl_str *out, pl_error *err);
pl_code pl_grpc_call_put_bytes(pl_grpc_call *call, pl_str bytes, pl_error *err);
/* Undoes a message that was left by a jump. */
void pl_grpc_call_abandon(pl_grpc_call *call);
void pl_grpc_call_headers(pl_grpc_call *call);
/* The status and all that is left to be sent. */
void pl_grpc_call_end(pl_grpc_call *call);

/* call_script.c */
extern const pl_rpc_ops pl_grpc_rpc_ops;
/* Reads ctx.response_headers and ctx.trailers, where a script has filled them. Not below pl_protect. */
void pl_grpc_script_metadata(pl_grpc_call *call, bool headers, bool trailers);

static inline const pl_engine *pl_grpc_engine(const pl_grpc_call *call)
{
    return pl_engine_of(call->service->state);
}

#endif
