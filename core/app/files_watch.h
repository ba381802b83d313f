/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_FILES_WATCH_H
#define PL_APP_FILES_WATCH_H

#include <stdbool.h>

#include "base/error.h"

/* Watches the files of a bundle directory (inotify). Editors write in several steps, so a change counts when
 * nothing has moved for a while. */
typedef struct pl_files_watch pl_files_watch;

pl_files_watch *pl_files_watch_new(const char *directory, pl_error *err);
void pl_files_watch_free(pl_files_watch *watch); /* NULL is fine */
int pl_files_watch_fd(const pl_files_watch *watch);
/* Reads what has happened; to be called when the descriptor is readable, and when the wait is over. now in
 * milliseconds. */
void pl_files_watch_work(pl_files_watch *watch, uint64_t now);
/* How long to wait until the change counts; -1: there is none. */
int pl_files_watch_wait(const pl_files_watch *watch, uint64_t now);
/* Whether a change counts now; forgets it. */
bool pl_files_watch_changed(pl_files_watch *watch, uint64_t now);

#endif
