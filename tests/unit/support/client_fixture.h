/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_CLIENT_FIXTURE_H
#define TESTS_SUPPORT_CLIENT_FIXTURE_H

#include "grpc/client/channel.h"

/* gRPC clients and the servers that they call, in memory and in virtual time. The servers answer, whatever
 * the service is called:
 *
 *   Echo   what was sent, when that has ended
 *   Fail   nothing but the status in the request's "code", with "pushback" as such
 *   Late   a message, then that status
 *   Hang   nothing
 *   Many   as many messages of 1000 bytes as "count" says, as fast as they are taken
 *   Flaky  as Fail for the first "times" requests, then as Echo
 *   Watch  what cf_health has said of the server, and each change */
typedef struct cf cf;

cf *cf_new(void); /* NULL: memory */
void cf_free(cf *f);
pl_client_set *cf_set(cf *f);
uint64_t cf_now(const cf *f);

/* How the server at an address behaves from now on; by default it is there. */
typedef enum cf_server { CF_SERVES, CF_REFUSES, CF_HANGS, CF_SILENT } cf_server;
void cf_serve(cf *f, const char *address, cf_server how);
/* Servers take no more than so many calls at once, on connections from now on. */
void cf_limit_streams(cf *f, unsigned most);
/* All connections to it end. */
void cf_drop(cf *f, const char *address);
/* They are drained, with GOAWAY. */
void cf_drain(cf *f, const char *address);
/* What it says of its health, to those who watch it, from now on: a message; NULL (as by default): there is
 * no such service. */
void cf_health(cf *f, const char *address, const char *message, size_t len);
/* What the last of those who watch has asked for. */
pl_str cf_watched(const cf *f, const char *address);
unsigned cf_requests(const cf *f, const char *address); /* that have come so far */
unsigned cf_connections(const cf *f);                   /* now */
unsigned cf_connected(const cf *f);                     /* ever */
unsigned cf_cancelled(const cf *f);                     /* requests whose client has gone before the answer */

/* A remote for a target: addresses with commas between, or "local:". options: JSON, or NULL. NULL: *err. */
pl_remote *cf_open(cf *f, const char *target, const char *options, const void *owner, pl_error *err);

/* A call with headers (pairs, NULL at the end; may be NULL). NULL: memory. */
pl_remote_call *cf_start(pl_remote *remote, const char *method, uint64_t timeout, const char *const *headers);
/* The same, with one message; further turns are the caller's. */
pl_remote_call *cf_unary(pl_remote *remote, const char *method, uint64_t timeout, const char *const *headers,
                         const char *message);
/* Whether it has ended; then, with all that it has received left out, *status. */
bool cf_ended(pl_remote_call *call, pl_remote_status *status);
/* The next message, terminated, in a buffer that is used again; NULL: none. */
const char *cf_receive(cf *f, pl_remote_call *call);

/* The n-th allocation from now on fails, of those that servers do not make; 0: none. Returns how many there
 * were since the last call. */
size_t cf_fail_at(cf *f, size_t n);

/* Bytes go to and fro until there are none left; timers that are due now fire. */
void cf_turn(cf *f);
/* Time passes, with all that is due on the way. */
void cf_wait(cf *f, uint64_t ms);

#endif
