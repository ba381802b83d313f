/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_ADMIN_H
#define PL_APP_ADMIN_H

#include "app/server.h"

/* The admin endpoint: a Unix socket, readable and writable by its owner alone. A client sends one line of
 * JSON, {"command": "status"} (or "metrics", "reload", "rollback"), gets one line of JSON and the connection
 * is closed.
 */
typedef struct pl_admin pl_admin;

/* Listens at path. A socket file that nobody listens on any more is replaced; a live one is an error. */
pl_admin *pl_admin_new(const char *path, pl_server *server, pl_error *err);
void pl_admin_free(pl_admin *admin);    /* removes the socket; NULL is fine */
int pl_admin_fd(const pl_admin *admin); /* an epoll descriptor: readable when there is work */
void pl_admin_work(pl_admin *admin);

/* Where the server of a bundle directory listens unless told otherwise: in $XDG_RUNTIME_DIR, or a directory
 * of the user's below /tmp. */
pl_code pl_admin_default_path(const char *directory, char *out, size_t size, pl_error *err);
/* For clients: sends the command and gives the answer. UNAVAILABLE when no server listens there. Waits at
 * most timeout_ms. */
pl_code pl_admin_call(const char *path, const char *command, unsigned timeout_ms, pl_buf *answer,
                      pl_error *err);

#endif
