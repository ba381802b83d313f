/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_JSON_READ_H
#define PL_PROTO_JSON_READ_H

#include "proto/codec_internal.h"
#include "proto/json_text.h"

/* Inside of the JSON reader: json_read.c reads maps of fields, json_read_special.c what has a form of its
 * own, json_read_scalar.c scalars. */

/* The error of j->json. */
bool pb_json_failed(pb_job *j);

/* Reads a scalar; *skip: it is to be passed over (an unknown enum name). Strings are in the codec's buffers.
 */
bool pb_json_scalar(pb_job *j, const pb_field *f, pb_scalar *out, bool *skip);
/* A map's key, which is a string in JSON. */
bool pb_json_map_key(pb_job *j, const pb_field *key, pl_str text, pb_scalar *out);
/* Pushes a message. */
bool pb_json_read_message(pb_job *j, const pb_message *m);
bool pb_json_read_special(pb_job *j, const pb_message *m);
/* Pushes a map of fields; any: a member "@type" is passed over. */
bool pb_json_read_fields(pb_job *j, const pb_message *m, bool any);

#endif
