/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SCRATCH_H
#define PL_APP_SCRATCH_H

#include <limits.h>

#include "base/buf.h"

/* A directory for temporary files, below TMPDIR or /tmp, for this user alone. */
typedef struct pl_scratch {
    char path[PATH_MAX]; /* when it could not be made: where */
    bool made;
} pl_scratch;

/* All of them: false with errno. */
bool pl_scratch_open(pl_scratch *scratch);
/* Writes a file at a relative path, and makes the folders that lead there. EINVAL: a path that leads out. */
bool pl_scratch_write(const pl_scratch *scratch, pl_str path, pl_str bytes);
/* Appends the file's bytes to out. EFBIG: more than max. */
bool pl_scratch_read(const pl_scratch *scratch, const char *name, size_t max, pl_buf *out);
/* With all that is in it. */
void pl_scratch_remove(pl_scratch *scratch);

#endif
