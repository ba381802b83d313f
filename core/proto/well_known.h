/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_WELL_KNOWN_H
#define PL_PROTO_WELL_KNOWN_H

#include "base/str.h"

/* The descriptor set of what every pool has: google/protobuf, made at build time of the files that come with
 * protoc, google/rpc (statuses and their details) and google/api (HTTP annotations). */
pl_str pb_well_known_set(void);

#endif
