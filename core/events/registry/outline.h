/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_REGISTRY_OUTLINE_H
#define PL_EVENTS_REGISTRY_OUTLINE_H

#include "events/registry/wire.h"

/* The outline of a .proto file's text, in one pass: appends the full name of the message that the path is.
 * What is not an outline (fields, options, services) is passed over, whether it is right or not.
 * INVALID_ARGUMENT: braces, strings or comments do not end, or are too deep. */
pl_code pl_schema_outline_name(pl_str text, const pl_schema_path *path, pl_buf *out, bool *found,
                               pl_error *err);

#endif
