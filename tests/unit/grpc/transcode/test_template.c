/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "grpc/transcode/template.h"
#include "support/failing.h"

static const char *text_of(const pl_http_template *t)
{
    static char text[512];
    int n = 0;
    for (size_t i = 0; i < t->count; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "/%.*s",
                      t->parts[i].kind == PL_HTTP_LITERAL ? (int)t->parts[i].literal.len
                      : t->parts[i].kind == PL_HTTP_ONE   ? 1
                                                          : 2,
                      t->parts[i].kind == PL_HTTP_LITERAL ? t->parts[i].literal.ptr : "**");
    if (t->verb.len)
        n += snprintf(text + n, sizeof text - (size_t)n, ":%.*s", PL_STR_ARG(t->verb));
    for (size_t i = 0; i < t->variable_count; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, " %.*s=%u-%u%s", PL_STR_ARG(t->variables[i].path),
                      t->variables[i].from, t->variables[i].to, t->variables[i].several ? "+" : "");
    return text;
}

static void test_templates(void **state)
{
    static const char *const cases[][2] = {
        {"/v1/users", "/v1/users"},
        {"/v1/{id}", "/v1/* id=1-2"},
        {"/v1/{a.b_c.d}/x", "/v1/*/x a.b_c.d=1-2"},
        {"/v1/{name=shelves/*/books/*}:print", "/v1/shelves/*/books/*:print name=1-5+"},
        {"/v1/{name=**}", "/v1/** name=1-2+"},
        {"/{a}/{b=x}/*/**", "/*/x/*/** a=0-1 b=1-2"},
        {"/v1/a.b-c~d", "/v1/a.b-c~d"}};
    pl_arena arena;
    pl_arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_http_template t;
        pl_error err;
        assert_int_equal(pl_http_template_parse(pl_str_of(cases[i][0]), &arena, &t, &err), PL_OK);
        assert_string_equal(text_of(&t), cases[i][1]);
    }
    pl_arena_dispose(&arena);
}

static void test_errors(void **state)
{
    static const char *const cases[][2] = {{"", "character 1: it must begin with"},
                                           {"v1", "character 1: it must begin with"},
                                           {"/", "character 2: a segment is expected"},
                                           {"/v1//x", "character 5: a segment is expected"},
                                           {"/v1/", "character 5: a segment is expected"},
                                           {"/v1/{", "the name of a field is expected"},
                                           {"/v1/{}", "character 6: the name of a field is expected"},
                                           {"/v1/{a", "\"}\" is expected"},
                                           {"/v1/{a=}", "a segment is expected"},
                                           {"/v1/{a={b}}", "a segment is expected"},
                                           {"/v1/**/x", "nothing can follow"},
                                           {"/v1/{a=**}/{b}", "nothing can follow"},
                                           {"/v1/a*", "\"/\", \":\" or the end is expected"},
                                           {"/v1/***", "\"/\", \":\" or the end is expected"},
                                           {"/v1/{a}b", "\"/\", \":\" or the end is expected"},
                                           {"/v1/a:", "the verb is empty"},
                                           {"/v1/a:b/c", "a verb is a plain name"},
                                           {"/v1/a:b:c", "a verb is a plain name"}};
    char text[400] = "";
    pl_arena arena;
    pl_error err;
    pl_http_template t;
    pl_arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(pl_http_template_parse(pl_str_of(cases[i][0]), &arena, &t, &err),
                         PL_INVALID_ARGUMENT);
        if (!strstr(err.message, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], err.message);
    }
    for (int i = 0; i < 65; i++)
        strcat(text, "/a");
    assert_int_equal(pl_http_template_parse(pl_str_of(text), &arena, &t, &err), PL_INVALID_ARGUMENT);
    for (int i = 0; i < 33; i++)
        memcpy(text + i * 4, "/{a}", 5);
    assert_int_equal(pl_http_template_parse(pl_str_of(text), &arena, &t, &err), PL_INVALID_ARGUMENT);
    pl_arena_dispose(&arena);
}

static void test_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_arena arena;
        pl_error err;
        pl_http_template t;
        pl_arena_init(&arena, 0);
        failing_begin(&a);
        pl_code code = pl_http_template_parse(PL_STR("/v1/{a}"), &arena, &t, &err);
        assert_int_equal(code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        pl_arena_dispose(&arena);
    }
    assert_true(a.made > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_templates), cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
