/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_UPLOAD_H
#define PL_VALUE_UPLOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* A file that came with a request, as a range of the request's body: nothing of it is copied until somebody
 * reads it. */

/* The body. Whoever keeps a pointer longer than the request lasts holds a reference. The descriptor is closed
 * when the request has ended and nobody reads any more, so that what a script keeps takes no disk space. */
typedef struct pl_upload_body {
    atomic_uint refs;
    bool ended;        /* the request is over. Of the state's thread, as what follows */
    unsigned readers;  /* that go on when the request ends */
    int fd;            /* the file that has the body; -1: it is in memory */
    uint64_t fd_at;    /* where in the file the body begins */
    const char *bytes; /* without a descriptor: the body, until the request ends */
    char *directory;   /* where the script may save files, absolute; NULL: nowhere */
} pl_upload_body;

typedef struct pl_upload {
    pl_upload_body *body;
    uint64_t at, size; /* in the body */
    pl_str filename, content_type;
} pl_upload;

/* NULL: memory, and fd is still the caller's. directory is copied; "" is NULL. */
pl_upload_body *pl_upload_body_new(int fd, uint64_t fd_at, const char *bytes, pl_str directory);
pl_upload_body *pl_upload_body_ref(pl_upload_body *body); /* any thread */
void pl_upload_body_unref(pl_upload_body *body);          /* any thread; NULL is fine */
/* On the state's thread: somebody else reads the descriptor from here to there. */
void pl_upload_body_read_begin(pl_upload_body *body);
void pl_upload_body_read_end(pl_upload_body *body);
/* The request is over. Gives up the caller's reference. */
void pl_upload_body_end(pl_upload_body *body);

#endif
