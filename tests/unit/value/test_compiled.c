/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing.h"
#include "value/compiled.h"

static pl_compiled_cache *cache;

static int set_up(void **state)
{
    cache = pl_compiled_cache_new(0);
    return cache ? 0 : -1;
}

static int tear_down(void **state)
{
    pl_compiled_cache_free(cache);
    return 0;
}

static void keep(const char *name, const char *text, const char *code)
{
    pl_compiled_keep(cache, pl_str_of(name), pl_str_of(text), pl_str_of(code));
}

/* NULL: it is not there. */
static const char *find(const char *name, const char *text)
{
    static char found[100];
    pl_compiled *c = pl_compiled_find(cache, pl_str_of(name), pl_str_of(text));
    if (!c)
        return NULL;
    snprintf(found, sizeof found, "%.*s", PL_STR_ARG(pl_compiled_code(c)));
    pl_compiled_unref(c);
    return found;
}

static void test_by_name_and_text(void **state)
{
    assert_null(find("@a.lua", "return 1"));
    keep("@a.lua", "return 1", "code 1");
    keep("@b.lua", "return 2", "code 2");
    keep("@empty.lua", "", "");
    assert_string_equal(find("@a.lua", "return 1"), "code 1");
    assert_string_equal(find("@b.lua", "return 2"), "code 2");
    assert_string_equal(find("@empty.lua", ""), "");
    assert_null(find("@a.lua", "return 2"));
    assert_null(find("@c.lua", "return 1"));
    keep("@a.lua", "return 3", "code 3");
    assert_null(find("@a.lua", "return 1"));
    assert_string_equal(find("@a.lua", "return 3"), "code 3");
}

static void test_what_is_found_outlives_the_cache(void **state)
{
    keep("@a.lua", "return 1", "code 1");
    pl_compiled *c = pl_compiled_find(cache, PL_STR("@a.lua"), PL_STR("return 1"));
    keep("@a.lua", "return 2", "code 2");
    pl_compiled_cache_free(cache);
    cache = NULL;
    assert_true(pl_str_is(pl_compiled_code(c), "code 1"));
    pl_compiled_unref(c);
}

static void test_sweep_forgets_what_is_not_used(void **state)
{
    const char *names[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; i++)
        keep(names[i], "text", names[i]);
    pl_compiled_sweep(cache); /* all were kept since the last one */
    assert_string_equal(find("b", "text"), "b");
    assert_string_equal(find("d", "text"), "d");
    assert_null(find("e", "another text"));
    keep("c", "text 2", "c 2");
    pl_compiled_sweep(cache);
    assert_null(find("a", "text"));
    assert_null(find("e", "text"));
    assert_string_equal(find("b", "text"), "b");
    assert_string_equal(find("c", "text 2"), "c 2");
    assert_string_equal(find("d", "text"), "d");
}

static void test_limit(void **state)
{
    pl_compiled_cache_free(cache);
    cache = pl_compiled_cache_new(20);
    keep("a", "12345", "1234");
    keep("b", "12345", "12345");
    assert_null(find("b", "12345"));
    keep("b", "12345", "1234");
    assert_string_equal(find("b", "12345"), "1234");
    keep("a", "123456", "1234"); /* the earlier one has gone: it was of another text */
    assert_null(find("a", "123456"));
    assert_null(find("a", "12345"));
    keep("a", "54321", "4321");
    assert_string_equal(find("a", "54321"), "4321");
}

static void test_without_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        failing_begin(&a);
        pl_compiled_cache *small = pl_compiled_cache_new(0);
        if (small)
            pl_compiled_keep(small, PL_STR("a"), PL_STR("text"), PL_STR("code"));
        pl_compiled *c = small ? pl_compiled_find(small, PL_STR("a"), PL_STR("text")) : NULL;
        assert_true(failing_end(&a) == !c);
        if (c)
            pl_compiled_unref(c);
        pl_compiled_cache_free(small);
    }
    assert_true(a.made >= 3);
    pl_compiled_cache_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_by_name_and_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_found_outlives_the_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sweep_forgets_what_is_not_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
