/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_GRAPHQL_STREAM_H
#define PL_APP_GRAPHQL_STREAM_H

#include "app/media.h"
#include "base/buf.h"

/* Several payloads in one answer: how each is written (SSE of the graphql-sse protocol in its distinct
 * connections mode; multipart/mixed of incremental delivery, and of Apollo's subscriptions over HTTP). No
 * I/O.
 */
pl_str pl_stream_content_type(pl_stream_kind kind, bool old_defer);
/* json: a whole payload, on one line. first: nothing was written before. */
void pl_stream_write(pl_stream_kind kind, pl_buf *out, pl_str json, bool first, bool has_next);
/* Something to keep the connection busy. */
void pl_stream_write_heartbeat(pl_stream_kind kind, pl_buf *out, bool first);
/* After the last payload that had has_next: nothing comes any more. */
void pl_stream_write_end(pl_stream_kind kind, pl_buf *out, bool first);

#endif
