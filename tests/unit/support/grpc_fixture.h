/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_GRPC_FIXTURE_H
#define TESTS_SUPPORT_GRPC_FIXTURE_H

#include "grpc/server.h"
#include "grpc/session.h"
#include "support/lua_state.h"

/* A gRPC server with methods in Lua, and a client that speaks HTTP/2 with its session, all in memory and in
 * virtual time. Messages are bytes. */

typedef struct rf rf;
typedef struct rf_call {
    rf *f;
    struct rf_call *next;
    int32_t id;
    char *status;    /* of HTTP; NULL: no answer */
    pl_buf headers;  /* of the answer: "name: value\n" each, without :status */
    pl_buf trailers; /* the same; those of Trailers-Only stand in headers */
    pl_buf data;     /* as it came */
    unsigned frames; /* DATA */
    bool ended;      /* by END_STREAM */
    bool closed;     /* by either side */
    uint32_t error;  /* of a reset */
    bool reset;
    pl_buf out; /* what the client has still to send */
    size_t out_sent;
    bool out_end, out_deferred;
} rf_call;

typedef struct rf_options {
    pl_grpc_options calls;
    pl_grpc_session_options session;
    pl_grpc_server_config server; /* max_held */
    const char *interceptor;      /* a function in Lua */
    uint32_t client_window;       /* of its streams; 0: as HTTP/2 has it */
    bool no_window_update;        /* the client gives nothing back */
    bool silent;                  /* the client says nothing at all: for raw bytes */
    pl_state_limits limits;
} rf_options;

rf *rf_new(const rf_options *options); /* NULL: all as it comes */
void rf_free(rf *f);
ls_state *rf_state(rf *f);
pl_grpc_session *rf_session(rf *f);
pl_grpc_server *rf_server(rf *f);
pl_grpc_service *rf_service(rf *f);
unsigned rf_in_flight(const rf *f);
const char *rf_log(rf *f);

enum { RF_UNARY = 0, RF_SERVER = 1, RF_CLIENT = 2, RF_BIDI = 3 };
/* A method "/t.S/NAME": function is the text of one. */
void rf_method(rf *f, const char *name, int kind, const char *function);

/* Begins a call with further headers (pairs, NULL at the end; may be NULL); the usual ones are given unless
 * they stand there, too. Nothing is sent before rf_turn. */
rf_call *rf_begin(rf *f, const char *name, const char *const *headers);
/* Queues a message, and the end of the request. */
void rf_send(rf_call *call, const char *message, bool end);
void rf_send_bytes(rf_call *call, pl_str bytes, bool end); /* no framing */
void rf_end(rf_call *call);
void rf_reset(rf_call *call, uint32_t error);
/* A unary call, to its end. */
rf_call *rf_unary(rf *f, const char *name, const char *const *headers, const char *message);

/* Bytes go to and fro until there are none left; timers that are due now fire. */
void rf_turn(rf *f);
/* Time passes, with all that is due on the way. */
void rf_wait(rf *f, uint64_t ms);
/* The client's windows are opened by as much as it has received. */
void rf_take_all(rf *f);
/* Bytes of the client's that nobody has made for it. */
void rf_raw(rf *f, pl_str bytes);
/* A frame of its own making. */
void rf_frame(rf *f, unsigned type, unsigned flags, uint32_t stream, pl_str payload);
/* What the server has sent (raw), since the beginning. */
pl_str rf_sent(const rf *f);
/* The last GOAWAY: error, debug data; false: none came. */
bool rf_goaway(const rf *f, uint32_t *error, char *text, size_t size);
int32_t rf_goaway_last(const rf *f);
/* The client's own say, for settings and pings. */
struct nghttp2_session *rf_client(rf *f);
unsigned rf_pongs(const rf *f); /* answers to its pings */
unsigned rf_pings(const rf *f); /* pings of the server's */

/* The value of a header or trailer of the answer; NULL: none. Valid until the next call. */
const char *rf_header(const rf_call *call, const char *name);
const char *rf_trailer(const rf_call *call,
                       const char *name); /* or of the headers, when it is Trailers-Only */
/* The messages of the answer, separated by "|"; compressed ones begin with "~". */
const char *rf_messages(const rf_call *call);

#define rf_ok(call, messages) rf_check_ok(call, messages, __FILE__, __LINE__)
#define rf_fails(call, code, text) rf_check_fails(call, code, text, __FILE__, __LINE__)
/* Ended with status 0, and these messages. */
void rf_check_ok(const rf_call *call, const char *messages, const char *file, int line);
/* Ended with this code, and with text in its message. */
void rf_check_fails(const rf_call *call, pl_code code, const char *text, const char *file, int line);

#endif
