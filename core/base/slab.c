/* SPDX-License-Identifier: MIT */
#include "base/slab.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"

#define PAGE ((size_t)16 << 10) /* and its alignment: the page of an object is found by its address */
#define PAGES 15                /* of a region, which has room for one more behind its head, to align them */
#define HEAD ((sizeof(pl_slab_page) + 15) & ~(size_t)15)

struct pl_slab_page {
    pl_slab_page *prev, *next; /* of its size and with room; or (next only) empty ones of the region */
    pl_slab_region *region;
    void *freed;    /* objects, each with a pointer to the next */
    unsigned fresh; /* where what was never used begins */
    unsigned used;  /* objects */
    unsigned size;  /* of each */
};

struct pl_slab_region {
    pl_slab_region *prev, *next;
    pl_slab_page *empty; /* that were used before */
    char *fresh;         /* pages that never were */
    unsigned used;       /* pages */
    unsigned left;       /* from `fresh` on */
};

void pl_slab_init(pl_slab *slab)
{
    *slab = (pl_slab){0};
}

static void free_regions(pl_slab_region *first)
{
    for (pl_slab_region *r = first, *next; r; r = next) {
        next = r->next;
        pl_free(r);
    }
}

void pl_slab_dispose(pl_slab *slab)
{
    free_regions(slab->regions);
    free_regions(slab->full);
    pl_slab_init(slab);
}

/* --- regions --- */
static bool has_pages(const pl_slab_region *r)
{
    return r->empty || r->left > 0;
}

static void unlink_region(pl_slab_region **list, pl_slab_region *r)
{
    *(r->prev ? &r->prev->next : list) = r->next;
    if (r->next)
        r->next->prev = r->prev;
}

static void link_region(pl_slab_region **list, pl_slab_region *r)
{
    r->prev = NULL;
    r->next = *list;
    if (r->next)
        r->next->prev = r;
    *list = r;
}

static pl_slab_region *new_region(pl_slab *slab)
{
    pl_slab_region *r = pl_malloc(sizeof *r + (PAGES + 1) * PAGE);
    if (!r)
        return NULL;
    *r = (pl_slab_region){.left = PAGES};
    r->fresh = (char *)(((uintptr_t)(r + 1) + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    link_region(&slab->regions, r);
    return r;
}

/* --- pages --- */
static pl_slab_page *take_page(pl_slab *slab)
{
    pl_slab_region *r = slab->regions;
    if (!r && !(r = new_region(slab)))
        return NULL;
    pl_slab_page *page = r->empty;
    if (page) {
        r->empty = page->next;
    } else {
        page = (pl_slab_page *)(void *)r->fresh;
        r->fresh += PAGE;
        r->left--;
    }
    r->used++;
    if (!has_pages(r)) {
        unlink_region(&slab->regions, r);
        link_region(&slab->full, r);
    }
    page->region = r;
    return page;
}

/* The last region with pages stays, so that a single object does not take and free one again and again. */
static void give_back(pl_slab *slab, pl_slab_page *page)
{
    pl_slab_region *r = page->region;
    bool had = has_pages(r);
    page->next = r->empty;
    r->empty = page;
    r->used--;
    if (!had) {
        unlink_region(&slab->full, r);
        link_region(&slab->regions, r);
    }
    if (r->used == 0 && (r->prev || r->next)) {
        unlink_region(&slab->regions, r);
        pl_free(r);
    }
}

static size_t index_of(size_t size)
{
    return (size - 1) / PL_SLAB_STEP;
}

static void open_page(pl_slab *slab, pl_slab_page *page)
{
    pl_slab_page **list = &slab->open[index_of(page->size)];
    page->prev = NULL;
    page->next = *list;
    if (page->next)
        page->next->prev = page;
    *list = page;
}

static void close_page(pl_slab *slab, pl_slab_page *page)
{
    *(page->prev ? &page->prev->next : &slab->open[index_of(page->size)]) = page->next;
    if (page->next)
        page->next->prev = page->prev;
}

static pl_slab_page *new_page(pl_slab *slab, size_t index)
{
    pl_slab_page *page = take_page(slab);
    if (!page)
        return NULL;
    page->freed = NULL;
    page->used = 0;
    page->fresh = HEAD;
    page->size = (unsigned)(index + 1) * PL_SLAB_STEP;
    open_page(slab, page);
    return page;
}

static bool has_room(const pl_slab_page *page)
{
    return page->freed || page->fresh + page->size <= PAGE;
}

/* --- objects --- */
static bool is_small(size_t size)
{
#ifdef PL_ARENA_POISONS
    (void)size;
    return false;
#else
    return size <= PL_SLAB_MOST;
#endif
}

void *pl_slab_alloc(pl_slab *slab, size_t size)
{
    if (!is_small(size))
        return pl_malloc(size);
    pl_slab_page *page = slab->open[index_of(size)];
    if (pl_alloc_fails() || (!page && !(page = new_page(slab, index_of(size)))))
        return NULL;
    void *ptr = page->freed;
    if (ptr) {
        memcpy(&page->freed, ptr, sizeof page->freed);
    } else {
        ptr = (char *)page + page->fresh;
        page->fresh += page->size;
    }
    page->used++;
    if (!has_room(page))
        close_page(slab, page);
    return ptr;
}

void pl_slab_free(pl_slab *slab, void *ptr, size_t size)
{
    if (!ptr || !is_small(size)) {
        pl_free(ptr);
        return;
    }
    pl_slab_page *page = (pl_slab_page *)((uintptr_t)ptr & ~(uintptr_t)(PAGE - 1));
    bool had = has_room(page);
    memcpy(ptr, &page->freed, sizeof page->freed);
    page->freed = ptr;
    page->used--;
    if (!had)
        open_page(slab, page);
    if (page->used == 0) {
        close_page(slab, page);
        give_back(slab, page);
    }
}

void *pl_slab_realloc(pl_slab *slab, void *ptr, size_t old_size, size_t size)
{
    if (!is_small(old_size) && !is_small(size))
        return pl_realloc(ptr, size);
    if (is_small(old_size) && is_small(size) && index_of(old_size) == index_of(size))
        return pl_alloc_fails() ? NULL : ptr;
    void *to = pl_slab_alloc(slab, size);
    if (!to)
        return NULL;
    memcpy(to, ptr, old_size < size ? old_size : size);
    pl_slab_free(slab, ptr, old_size);
    return to;
}
