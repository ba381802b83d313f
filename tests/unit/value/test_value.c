/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "value/value.h"

static void member_finds_by_name(void **state)
{
    const pl_member members[] = {
        {PL_STR("a"), {.kind = PL_KIND_INT, .integer = 1}},
        {PL_STR("ab"), {.kind = PL_KIND_NULL}},
    };
    const pl_value map = {.kind = PL_KIND_MAP, .map = {members, 2}};
    const pl_value list = {.kind = PL_KIND_LIST};
    assert_ptr_equal(pl_value_member(&map, PL_STR("a")), &members[0].value);
    assert_ptr_equal(pl_value_member(&map, PL_STR("ab")), &members[1].value);
    assert_null(pl_value_member(&map, PL_STR("")));
    assert_null(pl_value_member(&map, PL_STR("abc")));
    assert_null(pl_value_member(&list, PL_STR("a")));
    assert_null(pl_value_member(NULL, PL_STR("a")));
}

static void every_kind_has_a_phrase(void **state)
{
    assert_string_equal(pl_kind_phrase(PL_KIND_LIST), "a list");
    assert_string_equal(pl_kind_phrase(PL_KIND_STRING), "a string");
    for (int kind = PL_KIND_ABSENT; kind <= PL_KIND_SCRIPT; kind++) {
        assert_non_null(pl_kind_phrase((pl_kind)kind));
        assert_string_not_equal(pl_kind_phrase((pl_kind)kind), "an unknown value");
    }
    assert_string_equal(pl_kind_phrase((pl_kind)99), "an unknown value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(member_finds_by_name),
        cmocka_unit_test(every_kind_has_a_phrase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
