/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_FAILING_H
#define TESTS_SUPPORT_FAILING_H

#include <stdbool.h>
#include <stddef.h>

/* Runs something once for each allocation that it makes, which fails, and a last time, in which none fails:
 *
 *     failing a = {.sticky = true};
 *     while (failing_next(&a)) {
 *         … what the run needs …
 *         failing_begin(&a);
 *         … what is tested …
 *         if (failing_end(&a))
 *             … an allocation has failed …
 *         else
 *             … all is well …
 *     }
 *     assert_true(a.made > 10);
 *
 * Every run must reach both calls, on one thread. The environment's PERILUNE_TEST_ALLOCATIONS has each n
 * printed before its run: the last one belongs to the failed assertion. */
typedef struct failing {
    bool sticky;   /* all allocations after it fail, too */
    size_t dense;  /* above this n, only every step-th; 0: each one */
    size_t step;   /* used with dense */
    size_t n;      /* the allocation that fails in this run: 1 is the first after failing_begin */
    size_t made;   /* by the last run that ended */
    size_t failed; /* runs in which one failed */
    bool ran, begun;
} failing;

/* False: the last run made fewer than n allocations, so none of them failed. */
bool failing_next(failing *a);
void failing_begin(failing *a);
/* Nothing fails any more. True: an allocation has. */
bool failing_end(failing *a);

#endif
