/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_SLAB_H
#define PL_BASE_SLAB_H

#include <stdbool.h>
#include <stddef.h>

/* Memory for one owner that makes and frees very many small objects, and knows the size of each when it gives
 * it back, as an interpreter does. Objects of about the same size lie in pages of their own, without heads
 * between them; a page that is empty serves any size, and pages that are all empty go back to the heap. What
 * is larger than PL_SLAB_MOST comes from the heap. Not for several threads at once.
 *
 * Each allocation counts for pl_alloc_fail_at. Where AddressSanitizer watches, all comes from the heap. */
#define PL_SLAB_MOST 512
#define PL_SLAB_STEP 16

typedef struct pl_slab_page pl_slab_page;
typedef struct pl_slab_region pl_slab_region;
typedef struct pl_slab {
    pl_slab_page *open[PL_SLAB_MOST / PL_SLAB_STEP]; /* by size: pages with room */
    pl_slab_region *regions, *full;                  /* with empty pages, and without */
} pl_slab;

void pl_slab_init(pl_slab *slab); /* takes no memory */
/* All objects of at most PL_SLAB_MOST bytes are gone; larger ones must have been given back. */
void pl_slab_dispose(pl_slab *slab);

/* 16-byte aligned; NULL: memory. size is not 0. */
void *pl_slab_alloc(pl_slab *slab, size_t size);
/* size: as it was asked for. */
void pl_slab_free(pl_slab *slab, void *ptr, size_t size);
/* NULL: memory, also when it is to become smaller; ptr stays as it is then. No size is 0. */
void *pl_slab_realloc(pl_slab *slab, void *ptr, size_t old_size, size_t size);

#endif
