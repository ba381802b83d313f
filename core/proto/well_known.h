/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_WELL_KNOWN_H
#define PL_PROTO_WELL_KNOWN_H

#include "base/str.h"

/* The descriptor set of google/protobuf's own files, made at build time from those that come with protoc. */
pl_str pb_well_known_set(void);

#endif
