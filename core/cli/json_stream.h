/* SPDX-License-Identifier: MIT */
#ifndef PL_CLI_JSON_STREAM_H
#define PL_CLI_JSON_STREAM_H

#include "base/buf.h"

/* JSON values one after the other, with any white space between: where each ends. What is in them is for
 * whoever reads them. */
typedef struct json_stream {
    pl_buf bytes; /* appended to; what stands before `at` has been taken */
    size_t at;
    size_t seen; /* looked at so far, behind `at` */
    unsigned depth;
    bool in_string, escaped;
} json_stream;

/* The next value, as soon as its end is there; ended: nothing will be appended, so what is left is one, too.
 * False: there is none yet, or (ended) none at all. It is valid until something is appended. */
bool json_stream_next(json_stream *stream, bool ended, pl_str *out);

#endif
