/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_DECODE_H
#define PL_PROTO_DECODE_H

#include "proto/codec_internal.h"

/* Inside of the decoder: decode.c reads messages field by field, decode_special.c those whose form in scripts
 * is another. */

bool pb_wire_wrong(pb_job *j, const char *wrong);
bool pb_read_scalar(pb_job *j, const pb_field *f, pb_reader *r, pb_scalar *out);
/* Pushes the message as a map of its fields. */
bool pb_decode_message(pb_job *j, const pb_message *m, pl_str bytes);
/* The same for a message that pb_is_natural: pushes its own form. */
bool pb_decode_natural(pb_job *j, const pb_message *m, pl_str bytes);
static inline bool pb_decode_any_message(pb_job *j, const pb_message *m, pl_str bytes)
{
    return pb_is_natural(m) ? pb_decode_natural(j, m, bytes) : pb_decode_message(j, m, bytes);
}

#endif
