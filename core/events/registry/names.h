/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_REGISTRY_NAMES_H
#define PL_EVENTS_REGISTRY_NAMES_H

#include "events/registry/wire.h"

/* Which message of a protobuf schema a path is, and the other way round. Only the outline of a schema is
 * read: its package and which messages are inside of which. So what it imports need not be there. The entry
 * types of maps count, as in descriptors. No I/O. */

/* Appends the full name. schema: the text of a .proto file, or a FileDescriptorProto in Base64, as some
 * clients register it. INVALID_ARGUMENT: it is neither, or has no such message; RESOURCE_EXHAUSTED. */
pl_code pl_schema_message_name(pl_str schema, const pl_schema_path *path, pl_buf *out, pl_error *err);
/* Where a message of this full name is in a FileDescriptorProto. False: it is not there, or too deep. */
bool pl_schema_message_path(pl_str descriptor, pl_str full_name, pl_schema_path *out);

#endif
