/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "base/alloc.h"

#define LEAST_CAP 64

void pl_buf_init(pl_buf *buf)
{
    *buf = (pl_buf){0};
}

void pl_buf_dispose(pl_buf *buf)
{
    pl_free(buf->data);
    *buf = (pl_buf){.limit = buf->limit};
}

void pl_buf_reset(pl_buf *buf, size_t keep)
{
    if (buf->cap > keep || (buf->limit != 0 && buf->cap > buf->limit))
        pl_buf_dispose(buf);
    buf->len = 0;
    buf->failed = false;
}

/* The memory has one byte more than cap, for the NUL that vsnprintf writes. */
bool pl_buf_reserve_slow(pl_buf *buf, size_t extra)
{
    if (buf->failed)
        return false;
    if (buf->cap - buf->len >= extra)
        return true;
    size_t most = buf->limit != 0 ? buf->limit : SIZE_MAX / 2;
    if (buf->len > most || extra > most - buf->len) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->len + extra;
    size_t cap = buf->cap < LEAST_CAP / 2 ? LEAST_CAP : buf->cap <= most / 2 ? buf->cap * 2 : most;
    if (cap > most)
        cap = most;
    if (cap < need)
        cap = need;
    char *data = pl_realloc(buf->data, cap + 1);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void pl_buf_printf(pl_buf *buf, const char *fmt, ...)
{
    if (!pl_buf_reserve(buf, 0))
        return;
    va_list args;
    va_start(args, fmt);
    size_t room = buf->data ? buf->cap - buf->len + 1 : 0;
    int n = vsnprintf(room != 0 ? buf->data + buf->len : NULL, room, fmt, args);
    va_end(args);
    if (n < 0) {
        buf->failed = true;
        return;
    }
    if ((size_t)n >= room) {
        if (!pl_buf_reserve(buf, (size_t)n))
            return;
        if (n == 0)
            return;
        va_start(args, fmt);
        vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, args);
        va_end(args);
    }
    buf->len += (size_t)n;
}
