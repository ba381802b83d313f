/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_MSGPACK_H
#define PL_VALUE_MSGPACK_H

#include <stdint.h>

#include "base/buf.h"

/* Writes MessagePack, for host programs that read it on another thread: no more of its forms than that takes.
 */
void pl_msgpack_null(pl_buf *out);
void pl_msgpack_bool(pl_buf *out, bool v);
void pl_msgpack_int(pl_buf *out, int64_t v);
void pl_msgpack_float(pl_buf *out, double v);
/* Text, or bytes (bin) where it is no UTF-8. */
void pl_msgpack_string(pl_buf *out, pl_str s);
void pl_msgpack_list(pl_buf *out, size_t count);
/* Of a map whose members are counted while they are written: returns what its end is told. */
size_t pl_msgpack_map_begin(pl_buf *out);
void pl_msgpack_map_end(pl_buf *out, size_t begin, size_t count);

#endif
