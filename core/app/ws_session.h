/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_WS_SESSION_H
#define PL_APP_WS_SESSION_H

#include "base/arena.h"
#include "base/buf.h"
#include "value/value.h"

/* GraphQL over WebSocket, the protocol alone: what a client's messages mean, and what is answered. No I/O, no
 * clock; graphql_ws.c gives it messages and carries out what it asks for.
 *
 * Two protocols: graphql-transport-ws, and the older graphql-ws of subscriptions-transport-ws. The order of
 * things:
 *
 *   connection_init ──> ops.init … pl_ws_session_acknowledge ──> connection_ack
 *   subscribe (start) ──> ops.start … pl_ws_session_next* … complete or error
 *   complete (stop) ──> ops.stop
 *
 * What a client does wrong closes the connection with the code that the protocol names. */

typedef enum pl_ws_protocol {
    PL_WS_TRANSPORT, /* graphql-transport-ws */
    PL_WS_LEGACY,    /* graphql-ws */
} pl_ws_protocol;

/* Codes of the closing handshake. */
enum {
    PL_WS_BAD_MESSAGE = 4400,
    PL_WS_UNAUTHORIZED = 4401,
    PL_WS_FORBIDDEN = 4403,
    PL_WS_SUBPROTOCOL = 4406,
    PL_WS_INIT_TIMEOUT = 4408,
    PL_WS_DUPLICATE_ID = 4409,
    PL_WS_TOO_MANY_INITS = 4429,
    PL_WS_INTERNAL = 4500,
};

typedef struct pl_ws_session pl_ws_session;
/* An operation of the client's. It lives from ops.start until ops.ended. */
typedef struct pl_ws_operation pl_ws_operation;
struct pl_ws_operation {
    pl_str id;
    pl_arena arena; /* the operation's: for whatever belongs to it */
    void *data;     /* the user's */
    /* The session's. */
    pl_ws_session *session;
    pl_ws_operation *next, *prev;
};

/* Each of them may end operations, and close the session; but send must not send anything itself. */
typedef struct pl_ws_ops {
    void (*send)(void *data, pl_str message);
    void (*close)(void *data, unsigned code, const char *reason); /* nothing is sent after it */
    /* payload: a MAP, or NULL; in an arena that lives as long as the session. */
    void (*init)(void *data, const pl_value *payload);
    /* payload: the request, a MAP with a query, in the operation's arena. */
    void (*start)(void *data, pl_ws_operation *operation, const pl_value *payload);
    /* The client, or the end of the session, does not want more of it: it goes when this returns. */
    void (*stop)(void *data, pl_ws_operation *operation);
} pl_ws_ops;

typedef struct pl_ws_limits {
    uint32_t max_operations; /* at once; more are refused with an error each; 0 is 256 */
} pl_ws_limits;

/* NULL: memory. */
pl_ws_session *pl_ws_session_new(pl_ws_protocol protocol, const pl_ws_limits *limits, const pl_ws_ops *ops,
                                 void *data);
/* Operations are stopped. Not from inside of an op; NULL is fine. */
void pl_ws_session_free(pl_ws_session *session);

/* A message of the client. */
void pl_ws_session_message(pl_ws_session *session, pl_str text);
/* The answer to ops.init: accepted, or not. */
void pl_ws_session_acknowledge(pl_ws_session *session);
void pl_ws_session_reject(pl_ws_session *session, bool forbidden, pl_str message);
bool pl_ws_session_is_open(const pl_ws_session *session); /* acknowledged, and not closed */
/* The time for connection_init is over. */
void pl_ws_session_init_timeout(pl_ws_session *session);
/* Something to keep the connection busy: "ka" of the older protocol; nothing in the newer one, where
 * WebSocket's own pings do. */
void pl_ws_session_keep_alive(pl_ws_session *session);

/* One payload of an operation, a JSON object. False: the session has closed, and the operation is gone. */
bool pl_ws_session_next(pl_ws_operation *operation, pl_str payload);
/* The operation has ended: the receiver's record goes. errors: a JSON array of what it was refused for; ptr
 * NULL: it is complete. */
void pl_ws_session_end(pl_ws_operation *operation, pl_str errors);
/* Closes, and stops all operations. */
void pl_ws_session_close(pl_ws_session *session, unsigned code, const char *reason);

size_t pl_ws_session_operations(const pl_ws_session *session);
pl_ws_operation *pl_ws_session_first(const pl_ws_session *session); /* of a list by next */

#endif
