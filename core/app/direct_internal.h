/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_DIRECT_INTERNAL_H
#define PL_APP_DIRECT_INTERNAL_H

/* What the files of direct requests share: direct.c has their life, the others one kind each. */

#include "app/cancellation.h"
#include "app/direct.h"
#include "value/outgoing.h"

struct pl_direct {
    pl_endpoint *endpoint;
    pl_rpc_http *rpc;
    pl_host *host;
    pl_logger *log;
    unsigned worker;
    uint64_t last_id;
    pl_direct_request *requests; /* in hand */
    bool draining;
    void (*drained)(void *data);
    void *drained_data;
    pl_timer deadline;
    struct pl_direct_call *due; /* calls of methods that have ended (direct_method.c) */
    pl_timer soon;
};

typedef struct pl_direct_kind {
    /* Begins it, on its worker; it may have ended when this returns. */
    void (*start)(pl_direct_request *request);
    /* Lets go of what it holds, as nobody waits any more. */
    void (*cancel)(pl_direct_request *request);
    /* Does the same as it began on this instance, and ends the request; NULL: others see to that. */
    void (*cut)(pl_direct_request *request, const pl_instance *instance);
    /* What a failure is in its answers. */
    void (*write_error)(pl_buf *out, pl_code code, pl_str message);
} pl_direct_kind;

struct pl_direct_request {
    pl_message message; /* first */
    const pl_direct_kind *kind;
    pl_direct *direct; /* NULL: not on its worker yet */
    pl_direct_request *prev, *next;
    pl_app_done done;
    void *data;
    pl_arena arena;
    void *job;          /* the kind's */
    pl_header *headers; /* names in lower case */
    size_t header_count;
    pl_str peer;
    pl_str name; /* of a method */
    pl_str text;
    pl_cancellation *cancellation; /* NULL: none */
    pl_cancelled_part part;
    bool joined;     /* it is in the cancellation's list */
    bool cancelling; /* the part's message has come */
    bool ended;      /* done has been called; it waits for the part's message alone */
};

/* NULL: memory. */
pl_direct_request *pl_direct_make(const pl_direct_kind *kind, const pl_app_request *from, pl_app_done done,
                                  void *data);
/* Calls done; the request is gone. */
void pl_direct_end(pl_direct_request *request, pl_code code, pl_str response);
void pl_direct_fail(pl_direct_request *request, pl_code code, pl_str message);
/* "app-0-17", in the arena; ptr NULL: memory. */
pl_str pl_direct_id(pl_direct_request *request);

/* name, value, …, NULL. False: memory. */
bool pl_direct_copy_headers(pl_arena *arena, const char *const *list, pl_header **out, size_t *count);
void pl_direct_write_message(pl_buf *out, pl_code code, pl_str message); /* write_error: the message alone */
/* The request, which has not been sent, is given up. */
void pl_direct_unmake(pl_direct_request *request);

/* direct_method.c: those that are due. */
void pl_direct_end_calls(pl_direct *direct);

#endif
