/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_WEBSOCKET_HANDSHAKE_H
#define PL_NET_WEBSOCKET_HANDSHAKE_H

#include "net/edge.h"

/* The opening handshake of RFC 6455, section 4, without I/O. */

#define PL_WS_ACCEPT_SIZE 28 /* base64 of a SHA-1 */

/* 0, or the status to refuse with: 400, 426. key: the request's, when it is sound. */
int pl_ws_check_request(const pl_http_request *request, pl_str *key);
/* sec-websocket-accept for a sound key. False: OpenSSL has no memory. */
bool pl_ws_accept_key(pl_str key, char out[PL_WS_ACCEPT_SIZE + 1]);

#endif
