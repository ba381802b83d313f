/* SPDX-License-Identifier: MIT */
#include "graphql/diagnostics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/failing.h"

static const gql_source source = {"shop.graphql", {"", 0}};
static const gql_loc none = {0};

static gql_loc at(uint32_t line)
{
    return (gql_loc){line, 2, 3};
}

static void test_keeps_them_in_order(void **state)
{
    pl_arena arena;
    gql_diagnostics list;
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 0);
    assert_null(list.first);
    gql_diagnostic *a =
        gql_diagnose(&list, "KnownTypeNames", &source, at(1), none, "Unknown type \"%s\".", "T");
    gql_diagnostic *b = gql_diagnose(&list, NULL, NULL, none, none, "plain");
    gql_diagnostic *c = gql_diagnose(&list, "R", &source, at(4), at(5), "%d", 7);
    assert_int_equal(list.count, 3);
    assert_ptr_equal(list.first, a);
    assert_ptr_equal(a->next, b);
    assert_ptr_equal(b->next, c);
    assert_ptr_equal(list.last, c);
    assert_null(c->next);

    assert_true(pl_str_is(a->message, "Unknown type \"T\"."));
    assert_string_equal(a->rule, "KnownTypeNames");
    assert_string_equal(a->file, "shop.graphql");
    assert_int_equal(a->location_count, 1);
    assert_int_equal(a->locations[0].line, 1);
    assert_int_equal(a->locations[0].column, 2);
    assert_null(b->rule);
    assert_null(b->file);
    assert_int_equal(b->location_count, 0);
    assert_int_equal(c->location_count, 2);
    assert_int_equal(c->locations[1].line, 5);
    assert_false(list.full);
    assert_false(list.out_of_memory);
    pl_arena_dispose(&arena);
}

static void test_long_messages_are_whole(void **state)
{
    static char name[5001];
    pl_arena arena;
    gql_diagnostics list;
    memset(name, 'x', sizeof(name) - 1);
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 0);
    gql_diagnostic *d = gql_diagnose(&list, NULL, NULL, none, none, "[%s]", name);
    assert_int_equal(d->message.len, 5002);
    assert_memory_equal(d->message.ptr + 4995, "xxxxxx]", 7);
    pl_arena_dispose(&arena);
}

static void test_more_locations(void **state)
{
    pl_arena arena;
    gql_diagnostics list;
    pl_arena_init(&arena, 0);
    for (uint32_t given = 0; given <= 2; given++) {
        gql_diagnostics_init(&list, &arena, 0);
        gql_diagnostic *d =
            gql_diagnose(&list, NULL, &source, given > 0 ? at(1) : none, given > 1 ? at(2) : none, "m");
        for (uint32_t line = given + 1; line <= 100; line++)
            gql_diagnose_also(&list, d, at(line));
        gql_diagnose_also(&list, d, none);
        assert_int_equal(d->location_count, 100);
        for (uint32_t i = 0; i < 100; i++)
            assert_int_equal(d->locations[i].line, i + 1);
    }
    gql_diagnose_also(&list, NULL, at(1));
    assert_false(list.out_of_memory);
    pl_arena_dispose(&arena);
}

static void test_drops_what_is_more_than_the_bound(void **state)
{
    pl_arena arena;
    gql_diagnostics list;
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 2);
    assert_non_null(gql_diagnose(&list, NULL, NULL, none, none, "1"));
    assert_non_null(gql_diagnose(&list, NULL, NULL, none, none, "2"));
    assert_false(list.full);
    assert_null(gql_diagnose(&list, NULL, NULL, none, none, "3"));
    assert_true(list.full);
    assert_int_equal(list.count, 2);
    assert_true(pl_str_is(list.last->message, "2"));
    pl_arena_dispose(&arena);
}

static void test_short_memory_is_noted(void **state)
{
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        pl_arena arena;
        gql_diagnostics list;
        pl_arena_init(&arena, 32);
        gql_diagnostics_init(&list, &arena, 0);
        failing_begin(&a);
        gql_diagnostic *d = gql_diagnose(&list, "R", &source, at(1), at(2), "a message of %s length", "some");
        for (uint32_t line = 3; line < 20; line++)
            gql_diagnose_also(&list, d, at(line));
        assert_int_equal(list.out_of_memory, failing_end(&a));
        assert_int_equal(list.count, d != NULL);
        assert_ptr_equal(list.first, d);
        pl_arena_dispose(&arena);
    }
    assert_true(a.failed > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_them_in_order),
        cmocka_unit_test(test_long_messages_are_whole),
        cmocka_unit_test(test_more_locations),
        cmocka_unit_test(test_drops_what_is_more_than_the_bound),
        cmocka_unit_test(test_short_memory_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
