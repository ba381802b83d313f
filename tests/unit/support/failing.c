/* SPDX-License-Identifier: MIT */
#include "support/failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"

enum { MOST = 1000000 };

bool failing_next(failing *a)
{
    assert_false(a->begun); /* failing_end was left out */
    if (a->ran && a->made < a->n) {
        assert_true(a->failed > 0); /* there is something to test */
        return false;
    }
    assert_true(a->ran == (a->n > 0)); /* failing_begin was left out */
    a->n += a->dense > 0 && a->n >= a->dense ? a->step : 1;
    a->ran = false;
    if (a->n > MOST)
        fail_msg("allocation %zu fails, and still there are more", a->n);
    if (getenv("PERILUNE_TEST_ALLOCATIONS"))
        print_message("allocation %zu fails\n", a->n);
    return true;
}

void failing_begin(failing *a)
{
    a->begun = true;
    pl_alloc_fail_at(a->n, a->sticky);
}

bool failing_end(failing *a)
{
    a->made = pl_alloc_fail_at(0, 0);
    assert_true(a->begun);
    a->begun = false;
    a->ran = true;
    a->failed += a->made >= a->n;
    return a->made >= a->n;
}
