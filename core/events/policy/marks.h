/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_MARKS_H
#define PL_EVENTS_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* Which records of a partition are done, in whatever order they were: all before an offset, which can be
 * committed, and ranges behind it, which go into the metadata of that commit: "+12-15,20". */
typedef struct pl_mark_range {
    int64_t from, to; /* to: behind the last one */
} pl_mark_range;
typedef struct pl_marks {
    int64_t next;          /* all before it are done */
    pl_mark_range *ranges; /* behind next, in order, none touches another */
    size_t count, room;
} pl_marks;

/* What brokers take for metadata, unless they are told otherwise. */
#define PL_MARKS_MOST_TEXT 4000

/* text: as pl_marks_write has made it. What is not (or ptr NULL) has no ranges: then false, unless it is
 * empty; also for memory. */
bool pl_marks_init(pl_marks *marks, int64_t next, pl_str text);
void pl_marks_dispose(pl_marks *marks);
bool pl_marks_has(const pl_marks *marks, int64_t offset);
/* [from, to) is done. False: memory; it is as before. */
bool pl_marks_add(pl_marks *marks, int64_t from, int64_t to);
void pl_marks_write(const pl_marks *marks, pl_buf *out);
/* Whether one more range would still be no more than PL_MARKS_MOST_TEXT. */
bool pl_marks_have_room(const pl_marks *marks);

#endif
