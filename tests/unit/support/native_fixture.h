/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_NATIVE_FIXTURE_H
#define TESTS_SUPPORT_NATIVE_FIXTURE_H

#include "base/timer.h"
#include "grpc/server.h"

/* A gRPC server of native methods alone, and its streams, without HTTP/2 and without scripts: what allocates
 * is the code that is tested. */
typedef struct nf {
    pl_host host;
    pl_timers timers;
    pl_logger *log;
    unsigned in_flight;
    pl_grpc_service *service;
    pl_grpc_server *server;
} nf;

typedef struct nf_call {
    pl_grpc_stream stream; /* first */
    nf *f;
    int code;          /* of the status; -1: it has not ended, -2: it was reset */
    char message[512]; /* of the status */
    bool stuck;        /* nothing of out is taken */
    char *data;        /* what was sent, framed */
    size_t size;
} nf_call;

void nf_open(nf *f);
void nf_close(nf *f); /* no call may be open */

/* A call; one message (or none, when it is absent) and the end of the request, if wanted. */
nf_call *nf_begin(nf *f, const char *path);
void nf_send(nf_call *call, pl_str message, bool end);
nf_call *nf_unary(nf *f, const char *path, pl_str message);
/* What waits is taken, and the call told. */
void nf_take(nf_call *call);
/* The payload of the n-th message of the answer; ptr NULL: there is none. */
pl_str nf_message(const nf_call *call, size_t n);
size_t nf_count(const nf_call *call);
void nf_end(nf_call *call); /* the client leaves, if it is there still; frees */

#endif
