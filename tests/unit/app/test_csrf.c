/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/csrf.h"

#define MOST 4

static pl_reading_config config;
static pl_cors cors;

/* Whether a request with these headers (name, value, …, NULL) is let through. */
static bool passes(const char *method, ...)
{
    pl_header headers[MOST];
    pl_http_request http = {.method = pl_str_of(method), .headers = headers};
    va_list args;
    va_start(args, method);
    for (const char *name; (name = va_arg(args, const char *));)
        headers[http.header_count++] = (pl_header){pl_str_of(name), pl_str_of(va_arg(args, const char *))};
    va_end(args);
    return pl_csrf_check(&config, &cors, &http) == NULL;
}

static int set_up(void **state)
{
    (void)state;
    config = (pl_reading_config){0};
    cors = (pl_cors){0};
    return 0;
}

static void simple_content_types_need_a_header(void **state)
{
    (void)state;
    static const char *const simple[] = {"text/plain",
                                         "application/x-www-form-urlencoded",
                                         "multipart/form-data",
                                         "Text/Plain; charset=utf-8",
                                         "multipart/form-data; boundary=x",
                                         ""};
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++) {
        assert_false(passes("POST", "content-type", simple[i], NULL));
        assert_true(passes("POST", "content-type", simple[i], "graphql-preflight", "1", NULL));
        assert_false(passes("POST", "content-type", simple[i], "graphql-preflight", "", NULL));
    }
    assert_false(passes("POST", NULL));
    assert_true(passes("POST", "content-type", "application/json", NULL));
    assert_true(passes("POST", "content-type", "application/json; charset=utf-8", NULL));
    /* Browsers ask before they send what they do not know. */
    assert_true(passes("POST", "content-type", "text/plainx", NULL));
}

static void each_of_the_known_headers_will_do(void **state)
{
    (void)state;
    static const char *const names[] = {"apollo-require-preflight", "x-apollo-operation-name",
                                        "graphql-preflight",        "graphql-require-preflight",
                                        "x-graphql-yoga-csrf",      "x-requested-with"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_true(passes("POST", "content-type", "multipart/form-data", names[i], "x", NULL));
    assert_false(passes("POST", "content-type", "multipart/form-data", "accept", "x", NULL));
}

static void a_list_of_headers_replaces_them(void **state)
{
    (void)state;
    static const pl_str own[] = {PL_STR("x-a"), PL_STR("x-b")};
    config.csrf.headers = own;
    config.csrf.header_count = 2;
    assert_true(passes("POST", "content-type", "multipart/form-data", "x-b", "1", NULL));
    assert_false(passes("POST", "content-type", "multipart/form-data", "graphql-preflight", "1", NULL));
}

static void a_get_is_judged_by_what_browsers_say(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "HEAD"};
    for (size_t i = 0; i < 2; i++) {
        const char *get = methods[i];
        assert_true(passes(get, NULL));
        assert_true(passes(get, "sec-fetch-site", "same-origin", NULL));
        assert_true(passes(get, "sec-fetch-site", "none", NULL));
        assert_false(passes(get, "sec-fetch-site", "same-site", NULL));
        assert_false(passes(get, "sec-fetch-site", "cross-site", NULL));
        assert_false(passes(get, "sec-fetch-site", "", NULL));
        assert_false(passes(get, "sec-fetch-site", "something-new", NULL));
        assert_true(passes(get, "sec-fetch-site", "cross-site", "content-type", "application/json", NULL));
        assert_false(passes(get, "sec-fetch-site", "cross-site", "content-type", "text/plain", NULL));
        assert_true(passes(get, "sec-fetch-site", "cross-site", "x-requested-with", "x", NULL));
    }
}

static void origins_are_compared(void **state)
{
    (void)state;
    static const pl_str shop[] = {PL_STR("https://shop.example")};
    assert_true(passes("GET", "host", "a.example:8080", "origin", "http://a.example:8080", NULL));
    assert_true(passes("GET", "host", "a.example", "origin", "https://a.example", NULL));
    assert_false(passes("GET", "host", "a.example", "origin", "https://a.example:8443", NULL));
    assert_false(passes("GET", "host", "a.example", "origin", "https://xa.example", NULL));
    assert_false(passes("GET", "host", "a.example", "origin", "null", NULL));
    assert_false(passes("GET", "host", "", "origin", "https://", NULL));
    assert_false(passes("GET", "origin", "", NULL));
    cors = (pl_cors){.origins = shop, .origin_count = 1};
    assert_true(passes("GET", "origin", "https://shop.example", NULL));
    assert_true(passes("GET", "origin", "https://shop.example", "sec-fetch-site", "cross-site", NULL));
    assert_false(passes("GET", "origin", "https://shop.example.evil", "sec-fetch-site", "cross-site", NULL));
    static const pl_str all[] = {PL_STR("*")};
    cors.origins = all;
    assert_true(passes("GET", "origin", "https://any.example", "sec-fetch-site", "cross-site", NULL));
    /* What an origin may read has nothing to do with what a form may send. */
    assert_false(passes("POST", "origin", "https://any.example", "content-type", "text/plain", NULL));
}

static void strict_and_off(void **state)
{
    (void)state;
    config.csrf.mode = PL_CSRF_STRICT;
    assert_false(passes("GET", NULL));
    assert_false(passes("GET", "sec-fetch-site", "same-origin", NULL));
    assert_true(passes("GET", "apollo-require-preflight", "true", NULL));
    assert_true(passes("GET", "content-type", "application/json", NULL));
    config.csrf.mode = PL_CSRF_OFF;
    assert_true(passes("GET", "sec-fetch-site", "cross-site", "origin", "https://evil.example", NULL));
    assert_true(passes("POST", "content-type", "multipart/form-data", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(simple_content_types_need_a_header, set_up),
        cmocka_unit_test_setup(each_of_the_known_headers_will_do, set_up),
        cmocka_unit_test_setup(a_list_of_headers_replaces_them, set_up),
        cmocka_unit_test_setup(a_get_is_judged_by_what_browsers_say, set_up),
        cmocka_unit_test_setup(origins_are_compared, set_up),
        cmocka_unit_test_setup(strict_and_off, set_up),
    };
    return cmocka_run_group_tests_name("csrf", tests, NULL, NULL);
}
