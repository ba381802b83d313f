/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_JSON_WRITE_H
#define PL_PROTO_JSON_WRITE_H

#include "proto/codec_internal.h"

/* Inside of the JSON writer: json_write.c writes maps of fields, json_write_special.c what has a form of its
 * own. All append to j->out; memory that is short shows there. */

bool pb_json_write_scalar(pb_job *j, const pb_field *f, const pb_scalar *v);
bool pb_json_write_list(pb_job *j, const pb_field *f, pl_slot slot, pb_step *here);
bool pb_json_write_message(pb_job *j, const pb_message *m, pl_slot slot);
bool pb_json_write_special(pb_job *j, const pb_message *m, pl_slot slot);
/* The members alone. */
bool pb_json_write_fields(pb_job *j, const pb_message *m, pl_slot slot, size_t others, bool *first);

#endif
