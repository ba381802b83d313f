/* SPDX-License-Identifier: MIT */
#include "graphql/execution/output.h"

void gql_output_init(gql_output *out, pl_arena *arena)
{
    *out = (gql_output){.arena = arena};
    pl_buf_init(&out->buf);
    out->segment = &out->root;
}

void gql_output_dispose(gql_output *out)
{
    pl_buf_dispose(&out->buf);
}

static gql_patch *patch_add(gql_output *out, size_t offset)
{
    gql_segment *segment = out->segment;
    gql_patch *patch = pl_arena_zalloc(out->arena, sizeof *patch);
    if (!patch) {
        out->failed = true;
        return NULL;
    }
    patch->offset = offset;
    patch->prev = segment->last;
    if (segment->last)
        segment->last->next = patch;
    else
        segment->first = patch;
    segment->last = patch;
    out->has_patches = true;
    return patch;
}

/* Frames that have no scope yet are all in the segment that is written now: outermost first, so that patches
 * stay in order. */
static gql_scope *scope_of(gql_output *out, gql_frame *frame)
{
    if (!frame)
        return NULL;
    if (frame->scope)
        return frame->scope;
    gql_scope *parent = scope_of(out, frame->parent); /* as deep as the walk itself */
    gql_scope *scope = pl_arena_zalloc(out->arena, sizeof *scope);
    gql_patch *patch = scope ? patch_add(out, frame->start) : NULL;
    if (!patch) {
        out->failed = true;
        return NULL;
    }
    scope->parent = parent;
    if (parent) {
        scope->next = parent->children;
        parent->children = scope;
    }
    patch->scope = scope;
    frame->scope = scope;
    return scope;
}

gql_hole *gql_output_hole(gql_output *out, gql_frame *frame, gql_scope **scope)
{
    *scope = scope_of(out, frame);
    gql_hole *hole = *scope || !frame ? pl_arena_zalloc(out->arena, sizeof *hole) : NULL;
    gql_patch *patch = hole ? patch_add(out, out->buf.len) : NULL;
    if (!patch) {
        out->failed = true;
        return NULL;
    }
    patch->hole = hole;
    return hole;
}

bool gql_output_work(gql_output *out, gql_frame *frame, void *work, gql_scope **scope)
{
    *scope = scope_of(out, frame);
    gql_patch *patch = *scope ? patch_add(out, out->buf.len) : NULL;
    if (!patch) {
        out->failed = true;
        return false;
    }
    patch->work = work;
    return true;
}

void gql_output_rewind(gql_output *out, size_t offset, void (*drop)(void *data, gql_patch *patch), void *data)
{
    gql_segment *segment = out->segment;
    while (segment->last && segment->last->offset >= offset) {
        gql_patch *patch = segment->last;
        segment->last = patch->prev;
        if (segment->last)
            segment->last->next = NULL;
        else
            segment->first = NULL;
        if (!patch->scope)
            drop(data, patch);
    }
    out->buf.len = offset;
}

void gql_output_fill_begin(gql_output *out, gql_hole *hole)
{
    out->segment = &hole->segment;
    hole->segment.start = out->buf.len;
}

void gql_output_fill_end(gql_output *out)
{
    out->segment->end = out->buf.len;
    out->segment = &out->root;
}

/* A hole at the very end of a segment is gone on with, not below: a list that an iterator fills has one hole
 * after the other. */
static void assemble(const gql_output *out, const gql_segment *segment, pl_buf *dst)
{
    size_t pos = segment->start;
    const gql_patch *p = segment->first, *next;
    for (; p; p = next) {
        next = p->next;
        if (p->offset < pos)
            continue; /* inside of what became null */
        pl_buf_append(dst, out->buf.data + pos, p->offset - pos);
        pos = p->offset;
        if (p->hole && !next && p->offset == segment->end) {
            segment = &p->hole->segment;
            pos = segment->start;
            next = segment->first;
        } else if (p->hole) {
            assemble(out, &p->hole->segment, dst); /* as deep as the response */
        } else if (p->scope && p->scope->nulled) {
            PL_BUF_LIT(dst, "null");
            pos = p->scope->end;
        }
    }
    pl_buf_append(dst, out->buf.data + pos, segment->end - pos);
}

void gql_output_assemble(gql_output *out, pl_buf *dst)
{
    assemble(out, &out->root, dst);
    if (out->buf.failed || out->failed)
        dst->failed = true;
}
