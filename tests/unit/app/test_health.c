/* SPDX-License-Identifier: MIT */
#include "app/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing.h"

/* What is said of services, and who hears of it, on one loop. */
typedef struct world {
    pl_health_hub *hub;
    pl_loop *loop;
    pl_health_observer observer;
    unsigned told;
} world;

static void changed(void *data)
{
    ((world *)data)->told++;
}

static void set_up(world *w)
{
    pl_error err;
    *w = (world){.hub = pl_health_hub_new(), .loop = pl_loop_new(NULL, NULL, &err)};
    assert_true(w->hub && w->loop);
    w->observer = (pl_health_observer){.changed = changed, .data = w};
    pl_health_hub_join(w->hub, &w->observer, w->loop);
}

static void tear_down(world *w)
{
    pl_health_hub_leave(&w->observer);
    pl_loop_free(w->loop);
    pl_health_hub_free(w->hub);
}

static void stop(pl_message *message)
{
    pl_loop_stop(message->data);
}

static void turn(world *w)
{
    pl_message message = {.run = stop, .data = w->loop};
    pl_loop_post(w->loop, &message);
    pl_loop_run(w->loop);
}

static void say(world *w, const char *name, pl_health status)
{
    pl_error err = {0};
    if (pl_health_hub_set(w->hub, pl_str_of(name), status, &err) != PL_OK)
        fail_msg("%s", err.message);
}

static void test_set(void **state)
{
    world w;
    set_up(&w);
    assert_int_equal(pl_health_hub_get(w.hub, PL_STR("db")), PL_HEALTH_UNKNOWN);
    say(&w, "db", PL_HEALTH_NOT_SERVING);
    say(&w, "", PL_HEALTH_SERVING);
    assert_int_equal(pl_health_hub_get(w.hub, PL_STR("db")), PL_HEALTH_NOT_SERVING);
    assert_int_equal(pl_health_hub_get(w.hub, PL_STR("")), PL_HEALTH_SERVING);
    assert_int_equal(w.told, 0);
    turn(&w);
    assert_int_equal(w.told, 1); /* both at once */
    say(&w, "db", PL_HEALTH_NOT_SERVING);
    say(&w, "none", PL_HEALTH_UNKNOWN);
    turn(&w);
    assert_int_equal(w.told, 1); /* no change */
    say(&w, "db", PL_HEALTH_UNKNOWN);
    turn(&w);
    assert_int_equal(w.told, 2);
    assert_int_equal(pl_health_hub_get(w.hub, PL_STR("db")), PL_HEALTH_UNKNOWN);
    say(&w, "db", PL_HEALTH_SERVING);
    tear_down(&w); /* with a message under way */
    assert_int_equal(w.told, 2);
}

static bool add(void *data, pl_str name, pl_health status)
{
    char *text = data;
    sprintf(text + strlen(text), "%.*s=%d ", PL_STR_ARG(name), status);
    return strlen(text) < 10;
}

static void test_each(void **state)
{
    world w;
    char text[100] = "";
    set_up(&w);
    assert_true(pl_health_hub_each(w.hub, add, text));
    say(&w, "a", PL_HEALTH_SERVING);
    say(&w, "b", PL_HEALTH_NOT_SERVING);
    assert_true(pl_health_hub_each(w.hub, add, text));
    assert_string_equal(text, "a=1 b=2 ");
    assert_false(pl_health_hub_each(w.hub, add, text));
    assert_string_equal(text, "a=1 b=2 a=1 ");
    tear_down(&w);
}

static void test_limits(void **state)
{
    char name[PL_HEALTH_MOST_NAME + 2];
    pl_error err;
    world w;
    set_up(&w);
    memset(name, 'x', sizeof name);
    pl_str longest = {name, PL_HEALTH_MOST_NAME}, longer = {name, PL_HEALTH_MOST_NAME + 1};
    assert_int_equal(pl_health_hub_set(w.hub, longest, PL_HEALTH_SERVING, &err), PL_OK);
    assert_int_equal(pl_health_hub_set(w.hub, longer, PL_HEALTH_SERVING, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_health_hub_set(w.hub, PL_STR("a\0b"), PL_HEALTH_SERVING, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_health_hub_set(w.hub, PL_STR("\xff"), PL_HEALTH_SERVING, &err), PL_INVALID_ARGUMENT);
    for (int i = 1; i < PL_HEALTH_MOST_NAMES; i++) {
        snprintf(name, sizeof name, "n%d", i);
        say(&w, name, PL_HEALTH_SERVING);
    }
    assert_int_equal(pl_health_hub_set(w.hub, PL_STR("one"), PL_HEALTH_SERVING, &err), PL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "1000 names"));
    say(&w, "n1", PL_HEALTH_NOT_SERVING); /* of those that there are, any */
    say(&w, "n2", PL_HEALTH_UNKNOWN);
    say(&w, "one", PL_HEALTH_SERVING);
    tear_down(&w);
}

static void test_leave_twice(void **state)
{
    world w;
    set_up(&w);
    pl_health_observer never = {0};
    pl_health_hub_leave(&never);
    pl_health_hub_leave(&w.observer);
    say(&w, "a", PL_HEALTH_SERVING);
    turn(&w);
    assert_int_equal(w.told, 0);
    tear_down(&w);
}

static void test_no_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_error err = {0};
        failing_begin(&a);
        pl_health_hub *hub = pl_health_hub_new();
        pl_code code =
            hub ? pl_health_hub_set(hub, PL_STR("a"), PL_HEALTH_SERVING, &err) : PL_RESOURCE_EXHAUSTED;
        assert_int_equal(failing_end(&a), code == PL_RESOURCE_EXHAUSTED);
        if (hub && code != PL_OK)
            assert_int_equal(pl_health_hub_get(hub, PL_STR("a")), PL_HEALTH_UNKNOWN);
        pl_health_hub_free(hub);
    }
    assert_true(a.made >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_set), cmocka_unit_test(test_each),
                                       cmocka_unit_test(test_limits), cmocka_unit_test(test_leave_twice),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
