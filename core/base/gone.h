/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_GONE_H
#define PL_BASE_GONE_H

#include <stdbool.h>
#include <stddef.h>

/* For functions that call somebody who may end the very thing that they work for: the thing has a place for
 * the innermost function that wants to know (`bool *`, NULL: nobody), which whoever ends it sets to true. */
typedef struct pl_gone {
    bool gone;
    bool **place, *outer;
} pl_gone;

/* The place outlives the watch where the thing goes: it goes with the thing, and nobody reads it again. GCC,
 * which cannot know that, warns of a dangling pointer once everything is inlined. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif
static inline void pl_gone_watch(pl_gone *watch, bool **place)
{
    *watch = (pl_gone){.place = place, .outer = *place};
    *place = &watch->gone;
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* Ends the watch. True: the thing has gone; those further out know, too. */
static inline bool pl_gone_end(pl_gone *watch)
{
    if (!watch->gone)
        *watch->place = watch->outer;
    else if (watch->outer)
        *watch->outer = true;
    return watch->gone;
}

#endif
