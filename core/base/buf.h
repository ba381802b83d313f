/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_BUF_H
#define PL_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/str.h"

/* A growable byte buffer on the heap. A failed growth sets `failed`, and later appends do nothing: callers
 * append freely and look at `failed` once, at the end. `limit` (0: none) bounds len the same way. */
typedef struct pl_buf {
    char *data;
    size_t len, cap;
    size_t limit;
    bool failed;
} pl_buf;

void pl_buf_init(pl_buf *buf);
void pl_buf_dispose(pl_buf *buf);
/* Empties it and clears `failed`; keeps the memory unless it is larger than keep bytes. */
void pl_buf_reset(pl_buf *buf, size_t keep);
/* Makes room for extra more bytes; false (and failed) when that cannot be had. */
bool pl_buf_reserve_slow(pl_buf *buf, size_t extra);
static inline bool pl_buf_reserve(pl_buf *buf, size_t extra)
{
    return (buf->cap - buf->len >= extra && !buf->failed) || pl_buf_reserve_slow(buf, extra);
}
static inline void pl_buf_append(pl_buf *buf, const void *bytes, size_t len)
{
    if (len != 0 && pl_buf_reserve(buf, len)) {
        memcpy(buf->data + buf->len, bytes, len);
        buf->len += len;
    }
}
static inline void pl_buf_str(pl_buf *buf, pl_str s)
{
    pl_buf_append(buf, s.ptr, s.len);
}
static inline void pl_buf_char(pl_buf *buf, char c)
{
    if (pl_buf_reserve(buf, 1))
        buf->data[buf->len++] = c;
}
#define PL_BUF_LIT(buf, literal) pl_buf_append(buf, "" literal, sizeof(literal) - 1)
void pl_buf_printf(pl_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline pl_str pl_buf_view(const pl_buf *buf)
{
    return (pl_str){buf->data, buf->len};
}

#endif
