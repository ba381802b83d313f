/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_COMPILED_H
#define PL_VALUE_COMPILED_H

#include "base/str.h"

/* What an engine has made of the text of a file, kept by name and text: neither the other states of a server
 * nor those of its next generations need compile it again. Thread-safe; the lock is held for a look only. */
typedef struct pl_compiled_cache pl_compiled_cache;
/* One file's code. Immutable, counted (any thread). */
typedef struct pl_compiled pl_compiled;

/* limit: bytes of texts and code together, 0 is 64 MiB. Beyond it nothing more is kept. NULL: memory. */
pl_compiled_cache *pl_compiled_cache_new(size_t limit);
void pl_compiled_cache_free(pl_compiled_cache *cache); /* NULL is fine; what was found may still be in use */

/* NULL: not of exactly this text. Otherwise to be given back with pl_compiled_unref. */
pl_compiled *pl_compiled_find(pl_compiled_cache *cache, pl_str name, pl_str text);
pl_str pl_compiled_code(const pl_compiled *compiled);
void pl_compiled_unref(pl_compiled *compiled);
/* Copies all three, in the place of what was made of an earlier text. Without memory it is not kept. */
void pl_compiled_keep(pl_compiled_cache *cache, pl_str name, pl_str text, pl_str code);
/* Forgets what was neither found nor kept since the last sweep: files that there are no more. */
void pl_compiled_sweep(pl_compiled_cache *cache);

#endif
