/* SPDX-License-Identifier: MIT */
/* What HTTP is told of an answer's caching. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "app/cache_headers.h"

typedef struct request {
    pl_http_request http;
    pl_arena arena;
    pl_header headers[1];
    gql_payload payload;
    pl_cache_answer answer;
} request;

static void request_open(request *r, const char *method, const char *if_none_match, uint32_t max_age)
{
    memset(r, 0, sizeof *r);
    pl_arena_init(&r->arena, 0);
    r->http.method = pl_str_of(method);
    r->http.arena = &r->arena;
    if (if_none_match) {
        r->headers[0] = (pl_header){PL_STR("if-none-match"), pl_str_of(if_none_match)};
        r->http.headers = r->headers;
        r->http.header_count = 1;
    }
    r->payload = (gql_payload){.body = PL_STR("{}"), .cache.max_age = max_age};
}

/* "name: value|name: value" */
static const char *headers_of(const request *r)
{
    static char text[512];
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < r->answer.count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s: %.*s", i ? "|" : "",
                              PL_STR_ARG(r->answer.headers[i].name), PL_STR_ARG(r->answer.headers[i].value));
    return text;
}

#define ETAG "\"44136fa355b3678a1146ad16f7e8649e-j\"" /* SHA-256 of {} */

static void test_headers(void **state)
{
    request r;
    request_open(&r, "POST", NULL, 0);
    pl_cache_headers(&r.http, &r.payload, 200, "j", PL_STR_NONE, &r.answer);
    assert_string_equal(headers_of(&r), "cache-control: no-store");

    request_open(&r, "POST", NULL, 60);
    pl_cache_headers(&r.http, &r.payload, 200, "j", PL_STR_NONE, &r.answer);
    assert_string_equal(headers_of(&r), "cache-control: max-age=60, public|vary: accept");
    pl_cache_headers(&r.http, &r.payload, 400, "j", PL_STR_NONE, &r.answer);
    assert_string_equal(headers_of(&r), "cache-control: no-store");

    r.payload.cache.is_private = r.payload.cache.hit = true;
    r.payload.cache.age = 7;
    pl_cache_headers(&r.http, &r.payload, 200, "j", PL_STR("cookie"), &r.answer);
    assert_string_equal(headers_of(&r), "cache-control: max-age=60, private|vary: accept, cookie|age: 7");
    pl_arena_dispose(&r.arena);

    request_open(&r, "GET", NULL, 60);
    pl_cache_headers(&r.http, &r.payload, 200, "j", PL_STR_NONE, &r.answer);
    assert_string_equal(headers_of(&r), "cache-control: max-age=60, public|vary: accept|etag: " ETAG);
    assert_false(r.answer.not_modified);
    /* The hash of a cached body is known. */
    snprintf(r.payload.cache.hash, sizeof r.payload.cache.hash, "%032d", 1);
    pl_cache_headers(&r.http, &r.payload, 200, "gp", PL_STR_NONE, &r.answer);
    assert_string_equal(r.answer.etag, "\"00000000000000000000000000000001-gp\"");
    pl_arena_dispose(&r.arena);
}

static void test_not_modified(void **state)
{
    static const struct {
        const char *given;
        bool same;
    } cases[] = {
        {ETAG, true},
        {"W/" ETAG, true},
        {"*", true},
        {"\"44136fa355b3678a1146ad16f7e8649e-j-gzip\"", true},
        {"\"44136fa355b3678a1146ad16f7e8649e-j-br\"", true},
        {"\"x\", \t" ETAG " ,\"y\"", true},
        {"\"44136fa355b3678a1146ad16f7e8649e-g\"", false},
        {"44136fa355b3678a1146ad16f7e8649e-j", false},
        {"\"\"", false},
        {"\"", false},
        {"", false},
        {",,", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        request r;
        request_open(&r, "GET", cases[i].given, 60);
        pl_cache_headers(&r.http, &r.payload, 200, "j", PL_STR_NONE, &r.answer);
        if (r.answer.not_modified != cases[i].same)
            fail_msg("%s", cases[i].given);
        pl_arena_dispose(&r.arena);
    }
    request r;
    request_open(&r, "POST", ETAG, 60);
    pl_cache_headers(&r.http, &r.payload, 200, "j", PL_STR_NONE, &r.answer);
    assert_false(r.answer.not_modified);
    pl_arena_dispose(&r.arena);
    request_open(&r, "GET", ETAG, 0);
    pl_cache_headers(&r.http, &r.payload, 200, "j", PL_STR_NONE, &r.answer);
    assert_false(r.answer.not_modified);
    pl_arena_dispose(&r.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_not_modified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
