/* SPDX-License-Identifier: MIT */
#include "value/upload.h"

#include <unistd.h>

#include "base/alloc.h"

pl_upload_body *pl_upload_body_new(int fd, uint64_t fd_at, const char *bytes, pl_str directory)
{
    pl_upload_body *body = pl_calloc(1, sizeof *body + directory.len + 1);
    if (!body)
        return NULL;
    atomic_init(&body->refs, 1);
    body->fd = fd;
    body->fd_at = fd_at;
    body->bytes = bytes;
    if (directory.len > 0) {
        body->directory = (char *)(body + 1);
        memcpy(body->directory, directory.ptr, directory.len);
    }
    return body;
}

pl_upload_body *pl_upload_body_ref(pl_upload_body *body)
{
    atomic_fetch_add(&body->refs, 1);
    return body;
}

static void close_unread(pl_upload_body *body)
{
    if (!body->ended || body->readers > 0 || body->fd < 0)
        return;
    close(body->fd);
    body->fd = -1;
}

void pl_upload_body_read_begin(pl_upload_body *body)
{
    body->readers++;
}

void pl_upload_body_read_end(pl_upload_body *body)
{
    body->readers--;
    close_unread(body);
}

void pl_upload_body_end(pl_upload_body *body)
{
    body->ended = true;
    body->bytes = NULL;
    close_unread(body);
    pl_upload_body_unref(body);
}

void pl_upload_body_unref(pl_upload_body *body)
{
    if (!body || atomic_fetch_sub(&body->refs, 1) != 1)
        return;
    if (body->fd >= 0)
        close(body->fd);
    pl_free(body);
}
