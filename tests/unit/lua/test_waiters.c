/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bindings/lua/waiters.h"
#include "support/lua_state.h"

static ls_state *s;
static plua_waiter *list;
static ls_call *victim;

static int woken(lua_State *L, int status, lua_KContext ctx)
{
    lua_pushliteral(L, "woken");
    return 1;
}

static int wait_here(lua_State *L)
{
    plua_waiters_begin(L, "wait_here", &list);
    return plua_wait_yield(L, 0, woken);
}

static int cancel_victim(lua_State *L)
{
    ls_cancel(victim);
    return 0;
}

static int set_up(void **state)
{
    s = ls_new(&(ls_options){0});
    list = NULL;
    lua_register(ls_lua(s), "wait_here", wait_here);
    lua_register(ls_lua(s), "cancel_victim", cancel_victim);
    return 0;
}

static int tear_down(void **state)
{
    ls_free(s);
    return 0;
}

static void test_all_go_on(void **state)
{
    ls_call *a = ls_start(s, "return wait_here()"), *b = ls_start(s, "return wait_here() .. ' b'");
    assert_true(a->waits && b->waits && list);
    plua_waiters_finish(&list);
    ls_is_done(a, "\"woken\"");
    ls_is_done(b, "\"woken b\"");
    assert_null(list);
    plua_waiters_finish(&list); /* nobody */
}

static void test_cancelled_ones_leave(void **state)
{
    ls_call *calls[3];
    for (int i = 0; i < 3; i++)
        calls[i] = ls_start(s, "return wait_here()");
    for (int i = 1; i >= 0; i--) { /* from the middle, and from the end */
        ls_cancel(calls[i]);
        assert_non_null(list);
    }
    plua_waiters_finish(&list);
    ls_is_done(calls[2], "\"woken\"");
    assert_int_equal(calls[0]->ends + calls[1]->ends, 0);
    calls[0] = ls_start(s, "return wait_here()");
    ls_cancel(calls[0]);
    assert_null(list);
}

static void test_waiting_anew(void **state)
{
    ls_call *call = ls_start(s, "wait_here() return wait_here()");
    plua_waiters_finish(&list);
    assert_true(call->waits);
    assert_non_null(list);
    plua_waiters_finish(&list);
    ls_is_done(call, "\"woken\"");
}

/* One that goes on may end another that was to go on as well. */
static void test_cancelled_by_another(void **state)
{
    victim = ls_start(s, "return wait_here()");
    ls_call *call = ls_start(s, "wait_here() cancel_victim() return 1");
    plua_waiters_finish(&list);
    ls_is_done(call, "1");
    assert_int_equal(victim->ends, 0);
    assert_null(list);
}

static void test_left_when_the_state_goes(void **state)
{
    ls_start(s, "return wait_here()");
    ls_start(s, "return wait_here()");
    ls_close(s);
    assert_null(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled_ones_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waiting_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled_by_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_when_the_state_goes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
