/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "app/media.h"

#define JSON "application/json"
#define GRAPHQL "application/graphql-response+json"

/* Strings are given as copies of their exact size, so that a read behind the end is seen. */
static pl_str exact(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    return (pl_str){copy, len};
}

static void expect_choice(const char *accept, const char *expected)
{
    pl_media media;
    pl_str s = exact(accept, strlen(accept));
    bool ok = pl_media_choose(s, &media);
    const char *got = !ok ? "none" : media == PL_MEDIA_JSON ? JSON : GRAPHQL;
    if (strcmp(got, expected) != 0)
        fail_msg("Accept: %s: expected %s, got %s", accept, expected, got);
    free((char *)s.ptr);
}

static void test_accept(void **state)
{
    pl_media media = PL_MEDIA_GRAPHQL_RESPONSE;
    assert_true(pl_media_choose(PL_STR_NONE, &media));
    assert_int_equal(media, PL_MEDIA_JSON);
    static const char *const cases[][2] = {
        {"", JSON},
        {"  ", JSON},
        {JSON, JSON},
        {GRAPHQL, GRAPHQL},
        {"Application/JSON", JSON},
        {"APPLICATION/graphql-response+json", GRAPHQL},
        {JSON "; charset=utf-8", JSON},
        {GRAPHQL ";charset=utf-8", GRAPHQL},
        {"*/*", JSON},
        {"application/*", JSON},
        {"text/html, */*", JSON},
        {"text/html", "none"},
        {"text/*", "none"},
        {"application/xml,text/plain", "none"},
        {"*", "none"},
        {"application/jsonx", "none"},
        {"application/jso", "none"},
        {";q=1", "none"},
        {",", "none"},
        {",,,", "none"},
        {GRAPHQL ", " JSON, GRAPHQL},
        {JSON ", " GRAPHQL, GRAPHQL},
        {GRAPHQL "," JSON ";q=0.9", GRAPHQL},
        {GRAPHQL ";q=0.8, " JSON ";q=0.9", JSON},
        {GRAPHQL ";q=0.9\t,\t" JSON ";q=0.8", GRAPHQL},
        {GRAPHQL ", */*", GRAPHQL},
        {JSON ", */*", JSON},
        {JSON ", application/*;q=0.5", JSON},
        {JSON ";q=0.1, */*;q=0.5", GRAPHQL},
        {GRAPHQL ";q=0.1, */*;q=0.5", JSON},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_choice(cases[i][0], cases[i][1]);
}

static void test_quality(void **state)
{
    static const char *const cases[][2] = {
        {JSON ";q=0", "none"},
        {JSON ";q=0.0", "none"},
        {JSON ";q=0.000", "none"},
        {JSON ";Q=0", "none"},
        {JSON "; q=0", "none"},
        {JSON ";q=0.001", JSON},
        {JSON ";q=1.000", JSON},
        {JSON ";q=0, */*", GRAPHQL},
        {"*/*, " JSON ";q=0", GRAPHQL},
        {GRAPHQL ";q=0, */*", JSON},
        {"*/*;q=0", "none"},
        {"*/*;q=0, " JSON ";q=0.1", JSON},
        {"*/*;q=0.001", JSON},
        {"*/*;q=0.001, " JSON ";q=0", GRAPHQL},
        {JSON ";q=0.5, */*;q=0.5", JSON},
        {GRAPHQL ";q=0.5, */*;q=0.5", GRAPHQL},
        {JSON ";q=0.500, " GRAPHQL ";q=0.501", GRAPHQL},
        {JSON ";q=0.501, " GRAPHQL ";q=0.50", JSON},
        {JSON ";q=0.9, " GRAPHQL ";q=1", GRAPHQL},
        {GRAPHQL ";charset=utf-8;q=0.2, " JSON ";q=0.3", JSON},
        /* What is said twice counts at its best; what is wrong counts as nothing said. */
        {JSON ";q=0.1, " JSON ";q=0.9, " GRAPHQL ";q=0.5", JSON},
        {JSON ";q", JSON},
        {JSON ";q=", JSON},
        {JSON ";q=x", JSON},
        {JSON ";q=0.5x9, " GRAPHQL ";q=0.51", GRAPHQL},
        {JSON ";q=1.9", JSON},
        {JSON ";q=0.00001", "none"},
        /* Java's HttpURLConnection: */
        {"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JSON},
        {JSON ";q=.5, " GRAPHQL ";q=.6", GRAPHQL},
        {JSON ";q=.", "none"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_choice(cases[i][0], cases[i][1]);
}

/* What can be answered: j(son), g(raphql-response+json) or - for one payload; then what @defer comes by, and
 * subscriptions: m(ultipart), s(se), a(pollo's multipart), -; o for the older form of @defer. */
static void expect_streams(const char *accept, const char *expected)
{
    static const char kinds[] = {[PL_STREAM_NONE] = '-',
                                 [PL_STREAM_MULTIPART] = 'm',
                                 [PL_STREAM_SSE] = 's',
                                 [PL_STREAM_SUBSCRIPTION] = 'a'};
    pl_accept a;
    pl_str s = exact(accept, strlen(accept));
    bool ok = pl_accept_read(s, &a);
    char got[5] = {!a.single                  ? '-'
                   : a.media == PL_MEDIA_JSON ? 'j'
                                              : 'g',
                   kinds[a.incremental], kinds[a.events], a.old_defer ? 'o' : '\0', '\0'};
    if (strcmp(got, expected) != 0 || ok != (strcmp(got, "---") != 0))
        fail_msg("Accept: %s: expected %s, got %s (%d)", accept, expected, got, ok);
    free((char *)s.ptr);
}

static void test_streams(void **state)
{
    static const char *const cases[][2] = {
        {"", "j--"},
        {"*/*", "j--"},
        {JSON, "j--"},
        {"text/event-stream", "-ss"},
        {"Text/Event-Stream; charset=utf-8", "-ss"},
        {"text/event-stream, */*", "jss"},
        {"text/event-stream;q=0", "---"},
        {"text/event-stream;q=0.000, " JSON, "j--"},
        {"text/event-stream;q=0.1, " JSON, "jss"},
        {"text/*", "---"},
        {"multipart/mixed", "-ma"},
        {"multipart/mixed, " JSON, "jma"},
        {"multipart/mixed;q=0, text/event-stream", "-ss"},
        {"multipart/mixed, text/event-stream", "-ms"}, /* subscriptions by what is meant for them */
        {"multipart/mixed;deferSpec=20220824, " JSON, "jmao"},
        {"multipart/mixed; DeferSpec=\"20220824\", " JSON, "jmao"},
        {"multipart/mixed;deferSpec=20230101", "-ma"},
        {"multipart/mixed;deferSpec=20220824;q=0, " JSON, "j--"},
        {"multipart/mixed;subscriptionSpec=1.0", "--a"},
        {"multipart/mixed;subscriptionSpec=\"1.0\"", "--a"},
        {"multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0, " JSON, "j-a"},
        {"multipart/mixed;boundary=graphql;subscriptionSpec=1.0," GRAPHQL "," JSON, "g-a"},
        {"multipart/mixed;subscriptionSpec=1.0, multipart/mixed;deferSpec=20220824", "-mao"},
        {"multipart/mixed;subscriptionSpec=1.0, text/event-stream", "-sa"},
        {"multipart/mixed;subscriptionSpec=2.0", "-ma"},
        {"multipart/form-data", "---"},
        {"application/xml;subscriptionSpec=1.0", "---"},
        {";subscriptionSpec=1.0", "---"},
        {",,;;,", "---"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_streams(cases[i][0], cases[i][1]);
    pl_accept a;
    assert_true(pl_accept_read(PL_STR_NONE, &a));
    assert_true(a.single && a.media == PL_MEDIA_JSON && !a.incremental && !a.events);
}

static void test_html(void **state)
{
    static const struct {
        const char *accept;
        bool html;
    } cases[] = {
        {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", true},
        {"text/html", true},
        {"Text/HTML; charset=utf-8", true},
        {"text/html, */*", true},
        {"application/json;q=0.9, text/html", true},
        {"text/html;q=0.2, image/png", true},
        {"", false},
        {"*/*", false},
        {"text/*", false},
        {"text/html;q=0", false},
        {"application/json, text/html", false},
        {"text/html;q=0.5, " GRAPHQL, false},
        {"text/html;q=0.9, multipart/mixed;deferSpec=20220824", false},
        {"text/event-stream, text/html", false},
        {"text/htmlx", false},
    };
    assert_false(pl_media_prefers_html(PL_STR_NONE));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pl_str s = exact(cases[i].accept, strlen(cases[i].accept));
        if (pl_media_prefers_html(s) != cases[i].html)
            fail_msg("Accept: %s", cases[i].accept);
        free((char *)s.ptr);
    }
}

static bool is_json(pl_str type)
{
    return pl_media_is(type, "application/json") && pl_media_is_utf8(type);
}

static void test_content_type(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"application/json", true},
        {"Application/Json", true},
        {" application/json ", true},
        {"application/json;charset=utf-8", true},
        {"application/json; charset=UTF-8", true},
        {"application/json; charset=\"utf-8\"", true},
        {"application/json ; Charset=utf8 ; x=y", true},
        {"application/json;", true},
        {"application/json; profile=x", true},
        {"application/json; charset=iso-8859-1", false},
        {"application/json; charset=utf-16", false},
        {"application/json; charset=utf-8; charset=latin1", false},
        {"application/jsonx", false},
        {"application/graphql-response+json", false},
        {"application/graphql", false},
        {"text/plain", false},
        {"application/x-www-form-urlencoded", false},
        {"text/plain; application/json", false},
        {"", false},
        {";", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pl_str s = exact(cases[i].text, strlen(cases[i].text));
        if (is_json(s) != cases[i].ok)
            fail_msg("Content-Type: %s", cases[i].text);
        free((char *)s.ptr);
    }
    assert_false(is_json(PL_STR_NONE));
}

static void expect_parameter(const char *query, const char *name, const char *value, size_t len)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    pl_str s = exact(query, strlen(query)), got = pl_query_parameter(&arena, s, pl_str_of(name));
    if (!value) {
        if (got.ptr)
            fail_msg("%s: %s should be absent, but is \"%.*s\"", query, name, PL_STR_ARG(got));
    } else if (!got.ptr || got.len != len || memcmp(got.ptr, value, len) != 0) {
        fail_msg("%s: expected \"%s\", got \"%.*s\"", query, value, PL_STR_ARG(got));
    }
    free((char *)s.ptr);
    pl_arena_dispose(&arena);
}
#define PARAMETER(query, name, value) expect_parameter(query, name, value, sizeof(value) - 1)
#define ABSENT(query, name) expect_parameter(query, name, NULL, 0)

static void test_parameters(void **state)
{
    PARAMETER("query=%7Bhello%7D", "query", "{hello}");
    PARAMETER("a=1&query={x}&b=2", "query", "{x}");
    PARAMETER("query=1&query=2", "query", "1");
    PARAMETER("query=a+b%20c%2Bd", "query", "a b c+d");
    PARAMETER("query=%c3%A4", "query", "\xc3\xa4");
    PARAMETER("query=", "query", "");
    PARAMETER("query=&a=b", "query", "");
    PARAMETER("query=a=b=c", "query", "a=b=c");
    PARAMETER("&&query=x&&", "query", "x");
    PARAMETER("query=a%00b", "query", "a\0b");
    PARAMETER("query=%00", "query", "\0");
    ABSENT("", "query");
    ABSENT("query", "query");
    ABSENT("query2=x", "query");
    ABSENT("quer=x", "query");
    ABSENT("Query=x", "query");
    ABSENT("=x", "query");
    ABSENT("a=query=x", "query");
    ABSENT("a=1", "");
    pl_arena arena;
    pl_arena_init(&arena, 0);
    assert_null(pl_query_parameter(&arena, PL_STR_NONE, PL_STR("query")).ptr);
    pl_arena_dispose(&arena);
}

/* Escapes that are none stay as they are. */
static void test_broken_escapes(void **state)
{
    PARAMETER("q=%", "q", "%");
    PARAMETER("q=%4", "q", "%4");
    PARAMETER("q=%41", "q", "A");
    PARAMETER("q=%4&r=1", "q", "%4");
    PARAMETER("q=%zz", "q", "%zz");
    PARAMETER("q=%4g", "q", "%4g");
    PARAMETER("q=%%41", "q", "%A");
    PARAMETER("q=%-1", "q", "%-1");
    PARAMETER("q=%@`", "q", "%@`");
    PARAMETER("q=\xff%ff", "q", "\xff\xff");
}

static void test_memory_of_parameters(void **state)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    arena.limit = 1;
    assert_null(pl_query_parameter(&arena, PL_STR("query=x"), PL_STR("query")).ptr);
    pl_arena_dispose(&arena);
}

static void test_flags(void **state)
{
    assert_true(pl_query_has(PL_STR("pretty"), PL_STR("pretty")));
    assert_true(pl_query_has(PL_STR("a=1&pretty"), PL_STR("pretty")));
    assert_true(pl_query_has(PL_STR("pretty=&a"), PL_STR("pretty")));
    assert_false(pl_query_has(PL_STR("prett"), PL_STR("pretty")));
    assert_false(pl_query_has(PL_STR("prettyx"), PL_STR("pretty")));
    assert_false(pl_query_has(PL_STR("a=pretty"), PL_STR("pretty")));
    assert_false(pl_query_has(PL_STR(""), PL_STR("pretty")));
    assert_false(pl_query_has(PL_STR_NONE, PL_STR("pretty")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),         cmocka_unit_test(test_quality),
        cmocka_unit_test(test_content_type),   cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_broken_escapes), cmocka_unit_test(test_memory_of_parameters),
        cmocka_unit_test(test_flags),          cmocka_unit_test(test_html),
        cmocka_unit_test(test_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
