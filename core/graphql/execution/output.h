/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_OUTPUT_H
#define PL_GRAPHQL_OUTPUT_H

#include "base/arena.h"
#include "base/buf.h"

/* The response while it is written.
 *
 * All JSON goes into one buffer, front to back. Where a field waits, a *hole* is left; when its value comes,
 * the JSON is appended at the end of the buffer, as the hole's *segment*, which may have holes of its own. A
 * position that may become null later (because something below it that waits may fail) is remembered as a
 * *scope*. At the end gql_output_assemble copies the pieces together in the right order; when nothing had to
 * wait there is nothing to assemble.
 *
 * A segment's holes and scopes are its *patches*, in order of their offset in the buffer. While the walk is
 * below a position that may be null, that position is a *frame* on the C stack; it becomes a scope when the
 * first hole below it is made. */

typedef struct gql_segment gql_segment;
typedef struct gql_patch gql_patch;
typedef struct gql_scope gql_scope;
typedef struct gql_hole gql_hole;
typedef struct gql_frame gql_frame;

struct gql_segment {
    size_t start, end;
    gql_patch *first, *last;
};
struct gql_patch {
    gql_patch *next, *prev;
    size_t offset;
    gql_hole *hole; /* one of these three */
    gql_scope *scope;
    void *work; /* the executor's: what is left to be done later, and dropped with what is around it */
};
struct gql_scope {
    gql_scope *parent; /* NULL: the response's data itself */
    gql_scope *children, *next;
    void *waiting; /* the executor's: calls whose nearest scope this is */
    void *work;    /* the executor's: what is left to be done later */
    size_t end;
    bool nulled;
};
struct gql_hole {
    gql_segment segment;
    void *owner; /* who waits */
};
struct gql_frame {
    gql_frame *parent;
    size_t start;
    gql_scope *scope; /* NULL until it is needed */
};

typedef struct gql_output {
    pl_buf buf;
    pl_arena *arena;
    gql_segment root;
    gql_segment *segment; /* the one that is written now */
    bool has_patches;
    bool failed; /* memory */
} gql_output;

void gql_output_init(gql_output *out, pl_arena *arena);
void gql_output_dispose(gql_output *out);
/* Leaves a hole at the end of the buffer, below frame. *scope: the scope of frame (and all above it), made
 * now. NULL: memory. */
gql_hole *gql_output_hole(gql_output *out, gql_frame *frame, gql_scope **scope);
/* Remembers work at the end of the buffer, below frame. False: memory. */
bool gql_output_work(gql_output *out, gql_frame *frame, void *work, gql_scope **scope);
/* Drops what was written since offset. drop(data, patch) is called for each hole and work in it. */
void gql_output_rewind(gql_output *out, size_t offset, void (*drop)(void *data, gql_patch *patch),
                       void *data);
/* Begins, ends the writing of a hole's content. */
void gql_output_fill_begin(gql_output *out, gql_hole *hole);
void gql_output_fill_end(gql_output *out);
/* Appends the whole response to dst. */
void gql_output_assemble(gql_output *out, pl_buf *dst);
#endif
