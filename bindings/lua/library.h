/* SPDX-License-Identifier: MIT */
#ifndef PLUA_LIBRARY_H
#define PLUA_LIBRARY_H

#include <stddef.h>

/* The Lua half of the standard library (lua/perilune), built into the program. The array ends with a NULL
 * name. */
struct plua_library_file {
    const char *name; /* as required: "perilune.errors" */
    const char *bytes;
    size_t len;
};
extern const struct plua_library_file plua_library[];

#endif
