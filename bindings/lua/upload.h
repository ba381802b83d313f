/* SPDX-License-Identifier: MIT */
#ifndef PLUA_UPLOAD_H
#define PLUA_UPLOAD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "value/upload.h"

/* What is done to an upload on a helper thread: see upload_work.c. */
typedef struct plua_upload_source {
    int fd; /* -1: bytes has it */
    uint64_t at, size;
    const char *bytes;
    const atomic_bool *stop; /* set: end early, with CANCELLED */
} plua_upload_source;

/* SHA-256 in hexadecimal digits. */
pl_code plua_upload_sha256(const plua_upload_source *source, char out[65], pl_error *err);
/* Whether a path may be given to save: relative, and without "." and "..". */
bool plua_upload_path_is_sound(pl_str path);
/* Writes it to the file at path (which is sound) below directory, making folders on the way, none of which
 * may be a link. The file is there whole or not at all. Errors name the path. */
pl_code plua_upload_save(const plua_upload_source *source, const char *directory, const char *path,
                         pl_error *err);

#endif
