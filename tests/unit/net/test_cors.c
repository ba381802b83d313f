/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/cors.h"

static pl_str value_of(const pl_cors_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->count; i++) {
        if (pl_str_is(answer->headers[i].name, name))
            return answer->headers[i].value;
    }
    return PL_STR_NONE;
}

#define assert_header(answer, name, expected) assert_true(pl_str_is(value_of(answer, name), expected))
#define assert_no_header(answer, name) assert_null(value_of(answer, name).ptr)

static const pl_str two[] = {{"https://a.example", 17}, {"https://b.example:8443", 22}};
static const pl_str any[] = {{"*", 1}};

static void off_adds_nothing(void **state)
{
    pl_cors cors = {.credentials = true};
    pl_cors_answer answer;
    pl_cors_actual(&cors, PL_STR("https://a.example"), &answer);
    assert_int_equal(answer.count, 0);
    assert_false(pl_cors_allows(&cors, PL_STR("https://a.example")));
}

static void origins_match_exactly(void **state)
{
    pl_cors cors = {.origins = two, .origin_count = 2};
    assert_true(pl_cors_allows(&cors, PL_STR("https://a.example")));
    assert_true(pl_cors_allows(&cors, PL_STR("https://b.example:8443")));
    const char *const others[] = {"https://a.example.evil",
                                  "https://A.example",
                                  "http://a.example",
                                  "https://b.example",
                                  "https://a.exampl",
                                  "null",
                                  "",
                                  "*"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(pl_cors_allows(&cors, pl_str_of(others[i])));
    assert_false(pl_cors_allows(&cors, PL_STR_NONE));
}

static void allowed_origin_is_named(void **state)
{
    pl_cors cors = {
        .origins = two, .origin_count = 2, .credentials = true, .expose_headers = PL_STR("x-total")};
    pl_cors_answer answer;
    pl_cors_actual(&cors, PL_STR("https://b.example:8443"), &answer);
    assert_header(&answer, "access-control-allow-origin", "https://b.example:8443");
    assert_header(&answer, "access-control-allow-credentials", "true");
    assert_header(&answer, "access-control-expose-headers", "x-total");
    assert_header(&answer, "vary", "origin");
}

static void other_origins_get_only_vary(void **state)
{
    pl_cors cors = {
        .origins = two, .origin_count = 2, .credentials = true, .expose_headers = PL_STR("x-total")};
    pl_cors_answer answer;
    pl_cors_actual(&cors, PL_STR("https://evil.example"), &answer);
    assert_int_equal(answer.count, 1);
    assert_header(&answer, "vary", "origin");
    pl_cors_actual(&cors, PL_STR_NONE, &answer);
    assert_int_equal(answer.count, 1);
    assert_header(&answer, "vary", "origin");
}

static void star_never_has_credentials(void **state)
{
    pl_cors cors = {.origins = any, .origin_count = 1, .credentials = true};
    pl_cors_answer answer;
    pl_cors_actual(&cors, PL_STR("https://evil.example"), &answer);
    assert_header(&answer, "access-control-allow-origin", "*");
    assert_no_header(&answer, "access-control-allow-credentials");
    assert_no_header(&answer, "vary");
    pl_cors_preflight(&cors, PL_STR("https://evil.example"), PL_STR_NONE, &answer);
    assert_header(&answer, "access-control-allow-origin", "*");
    assert_no_header(&answer, "access-control-allow-credentials");
}

static void preflight_of_an_allowed_origin(void **state)
{
    pl_cors cors = {.origins = two, .origin_count = 2, .credentials = true};
    pl_cors_answer answer;
    pl_cors_preflight(&cors, PL_STR("https://a.example"), PL_STR("content-type, x-token"), &answer);
    assert_header(&answer, "access-control-allow-origin", "https://a.example");
    assert_header(&answer, "access-control-allow-credentials", "true");
    assert_header(&answer, "access-control-allow-headers", "content-type, x-token");
    assert_header(&answer, "access-control-max-age", "600");
    assert_non_null(value_of(&answer, "access-control-allow-methods").ptr);
    assert_header(&answer, "vary", "origin, access-control-request-method, access-control-request-headers");
}

static void preflight_follows_the_settings(void **state)
{
    pl_cors cors = {
        .origins = two, .origin_count = 2, .max_age_s = 4294967295u, .allow_headers = PL_STR("x-only")};
    pl_cors_answer answer;
    pl_cors_preflight(&cors, PL_STR("https://a.example"), PL_STR("content-type"), &answer);
    assert_header(&answer, "access-control-allow-headers", "x-only");
    assert_header(&answer, "access-control-max-age", "4294967295");
    assert_no_header(&answer, "access-control-allow-credentials");
}

static void preflight_of_another_origin(void **state)
{
    pl_cors cors = {.origins = two, .origin_count = 2};
    pl_cors_answer answer;
    pl_cors_preflight(&cors, PL_STR("https://evil.example"), PL_STR("content-type"), &answer);
    assert_int_equal(answer.count, 1);
    assert_non_null(value_of(&answer, "vary").ptr);
}

static void unsound_header_lists_are_not_echoed(void **state)
{
    pl_cors cors = {.origins = two, .origin_count = 2};
    pl_cors_answer answer;
    static char longest[1025];
    memset(longest, 'a', sizeof(longest));
    const pl_str lists[] = {
        PL_STR("x\r\nset-cookie: a"), PL_STR("x\0y"), PL_STR("x;y"), PL_STR(""), {longest, sizeof(longest)}};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        pl_cors_preflight(&cors, PL_STR("https://a.example"), lists[i], &answer);
        assert_no_header(&answer, "access-control-allow-headers");
    }
    pl_cors_preflight(&cors, PL_STR("https://a.example"), (pl_str){longest, 1024}, &answer);
    assert_int_equal(value_of(&answer, "access-control-allow-headers").len, 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_adds_nothing),
        cmocka_unit_test(origins_match_exactly),
        cmocka_unit_test(allowed_origin_is_named),
        cmocka_unit_test(other_origins_get_only_vary),
        cmocka_unit_test(star_never_has_credentials),
        cmocka_unit_test(preflight_of_an_allowed_origin),
        cmocka_unit_test(preflight_follows_the_settings),
        cmocka_unit_test(preflight_of_another_origin),
        cmocka_unit_test(unsound_header_lists_are_not_echoed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
