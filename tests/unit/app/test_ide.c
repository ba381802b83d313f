/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/ide.h"
#include "net/compress.h"
#include "support/failing.h"

#define BROWSER "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

static const char script_text[] = "console.log('moon moon moon moon moon moon moon moon moon moon moon');";
static pl_buf packed;
static pl_ide_file list[] = {
    {PL_STR("page-1.js"), PL_STR("text/javascript; charset=utf-8"), {NULL, 0}, sizeof(script_text) - 1},
    {PL_STR("page-2.css"), PL_STR("text/css; charset=utf-8"), {NULL, 0}, sizeof(script_text) - 1},
};
static const pl_ide_files files = {list, 2, PL_STR("page-1.js"), PL_STR("page-2.css")};
static const pl_ide_files no_files = {0};

static int pack(void **state)
{
    pl_buf_init(&packed);
    if (!pl_compress(PL_CODING_GZIP, (pl_str){script_text, sizeof(script_text) - 1}, &packed))
        return 1;
    list[0].gzip = list[1].gzip = pl_buf_view(&packed);
    return 0;
}

static int unpack(void **state)
{
    pl_buf_dispose(&packed);
    return 0;
}

typedef struct asked {
    pl_config config;
    pl_arena arena;
    pl_http_request request;
    pl_http_response response;
    pl_header headers[2];
} asked;

static void begin(asked *a)
{
    memset(a, 0, sizeof(*a));
    pl_config_default(&a->config);
    a->config.ide.enabled = true;
    a->config.name = PL_STR("shop");
    pl_arena_init(&a->arena, 0);
    a->request = (pl_http_request){
        .method = PL_STR("GET"), .path = PL_STR("/graphql"), .headers = a->headers, .arena = &a->arena};
}

static void add_header(asked *a, pl_str name, const char *value)
{
    a->headers[a->request.header_count++] = (pl_header){name, pl_str_of(value)};
}

static void begin_browser(asked *a)
{
    begin(a);
    add_header(a, PL_STR("accept"), BROWSER);
}

static bool ask(asked *a)
{
    a->request.full_path = a->request.path;
    return pl_ide_answer(&files, &a->config, &a->request, &a->response);
}

static pl_str header(const asked *a, const char *name)
{
    for (size_t i = 0; i < a->response.header_count; i++) {
        if (pl_str_is(a->response.headers[i].name, name))
            return a->response.headers[i].value;
    }
    return PL_STR_NONE;
}

static bool has(pl_str text, const char *part)
{
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static void expect_body(const asked *a, const char *part)
{
    if (!has(a->response.body, part))
        fail_msg("there is no %s in:\n%.*s", part, PL_STR_ARG(a->response.body));
}

static void test_which_requests_are_for_the_page(void **state)
{
    static const struct {
        const char *method, *path, *query, *accept;
        bool page;
    } cases[] = {
        {"GET", "/graphql", NULL, BROWSER, true},
        {"HEAD", "/graphql", NULL, BROWSER, true},
        {"GET", "/graphql", "pretty", BROWSER, true},
        {"GET", "/graphql", NULL, "text/html", true},
        {"GET", "/graphql", NULL, NULL, false},
        {"GET", "/graphql", NULL, "*/*", false},
        {"GET", "/graphql", NULL, "application/json", false},
        {"GET", "/graphql", "query=%7Ba%7D", BROWSER, false},
        {"GET", "/graphql", "pretty&query=", BROWSER, false},
        {"GET", "/graphql", "documentId=sha256:0", BROWSER, false},
        {"GET", "/graphql", "extensions=%7B%7D", BROWSER, false},
        {"POST", "/graphql", NULL, BROWSER, false},
        {"OPTIONS", "/graphql", NULL, BROWSER, false},
        {"GET", "/graphql/", NULL, BROWSER, false},
        {"GET", "/", NULL, BROWSER, false},
        {"GET", "/graphq", NULL, BROWSER, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        asked a;
        begin(&a);
        a.request.method = pl_str_of(cases[i].method);
        a.request.path = pl_str_of(cases[i].path);
        a.request.query = pl_str_of(cases[i].query);
        if (cases[i].accept)
            add_header(&a, PL_STR("accept"), cases[i].accept);
        if (ask(&a) != cases[i].page)
            fail_msg("%s %s?%s, accept %s", cases[i].method, cases[i].path, cases[i].query, cases[i].accept);
        a.config.ide.enabled = false;
        assert_false(ask(&a));
        pl_arena_dispose(&a.arena);
    }
}

static void test_page(void **state)
{
    asked a;
    begin_browser(&a);
    assert_true(ask(&a));
    assert_int_equal(a.response.status, 200);
    assert_true(pl_str_is(a.response.content_type, "text/html; charset=utf-8"));
    assert_true(a.response.body_in_arena);
    assert_true(pl_str_is(header(&a, "cache-control"), "no-store"));
    assert_true(pl_str_is(header(&a, "x-content-type-options"), "nosniff"));
    assert_true(pl_str_is(header(&a, "vary"), "accept"));
    pl_str policy = header(&a, "content-security-policy");
    assert_true(has(policy, "default-src 'none'"));
    assert_true(has(policy, "script-src 'self';"));
    assert_false(has(policy, "http"));
    expect_body(&a, "<title>shop · GraphiQL</title>");
    expect_body(&a, "src=\"./graphql/assets/page-1.js\"");
    expect_body(&a, "href=\"./graphql/assets/page-2.css\"");
    expect_body(&a, "&quot;defaultQuery&quot;:null,&quot;headers&quot;:true}");
    pl_arena_dispose(&a.arena);
}

static void test_settings_are_text(void **state)
{
    asked a;
    begin_browser(&a);
    a.config.ide.title = PL_STR("<b>\"A & B'");
    a.config.ide.default_query = PL_STR("{\n a(b: \"</div>\") }");
    a.config.ide.no_headers = true;
    assert_true(ask(&a));
    expect_body(&a, "<title>&lt;b&gt;&quot;A &amp; B'</title>");
    expect_body(&a, "data-settings=\"{&quot;title&quot;:&quot;&lt;b&gt;\\&quot;A &amp; B'&quot;,");
    expect_body(&a, "{\\n a(b: \\&quot;&lt;/div&gt;\\&quot;) }&quot;,&quot;headers&quot;:false}\"");
    pl_arena_dispose(&a.arena);
}

static void test_paths(void **state)
{
    static const struct {
        const char *path, *base, *asset;
    } cases[] = {
        {"/graphql", "\"./graphql/assets/page-1.js\"", "/graphql/assets/page-1.js"},
        {"/", "\"./assets/page-1.js\"", "/assets/page-1.js"},
        {"/api/v1/", "\"./assets/page-1.js\"", "/api/v1/assets/page-1.js"},
        {"/api/v1", "\"./v1/assets/page-1.js\"", "/api/v1/assets/page-1.js"},
        {"/a:b\"c d", "\"./a%3Ab%22c%20d/assets/page-1.js\"", "/a:b\"c d/assets/page-1.js"},
        {"/\xc3\xa4", "\"./%C3%A4/assets/page-1.js\"", "/\xc3\xa4/assets/page-1.js"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        asked a;
        begin_browser(&a);
        a.config.path = a.request.path = pl_str_of(cases[i].path);
        assert_true(ask(&a));
        expect_body(&a, cases[i].base);
        a.request.path = pl_str_of(cases[i].asset);
        if (!ask(&a))
            fail_msg("%s", cases[i].asset);
        assert_true(pl_str_is(a.response.content_type, "text/javascript; charset=utf-8"));
        pl_arena_dispose(&a.arena);
    }
}

static void test_files(void **state)
{
    asked a;
    begin(&a);
    add_header(&a, PL_STR("accept-encoding"), "gzip, deflate, br");
    a.request.path = PL_STR("/graphql/assets/page-2.css");
    assert_true(ask(&a));
    assert_int_equal(a.response.status, 200);
    assert_true(pl_str_is(a.response.content_type, "text/css; charset=utf-8"));
    assert_ptr_equal(a.response.body.ptr, packed.data);
    assert_true(a.response.body_in_arena);
    assert_true(pl_str_is(header(&a, "content-encoding"), "gzip"));
    assert_true(pl_str_is(header(&a, "vary"), "accept-encoding"));
    assert_true(pl_str_is(header(&a, "cache-control"), "public, max-age=31536000, immutable"));
    assert_true(pl_str_is(header(&a, "x-content-type-options"), "nosniff"));
    pl_arena_dispose(&a.arena);
}

static void test_files_for_clients_without_gzip(void **state)
{
    static const char *const accepts[] = {NULL, "", "identity", "gzip;q=0", "br"};
    for (size_t i = 0; i < sizeof(accepts) / sizeof(accepts[0]); i++) {
        asked a;
        begin(&a);
        a.request.path = PL_STR("/graphql/assets/page-1.js");
        if (accepts[i])
            add_header(&a, PL_STR("accept-encoding"), accepts[i]);
        assert_true(ask(&a));
        assert_true(pl_str_is(a.response.body, script_text));
        assert_null(header(&a, "content-encoding").ptr);
        assert_true(pl_str_is(header(&a, "vary"), "accept-encoding"));
        pl_arena_dispose(&a.arena);
    }
}

static void test_what_is_no_file(void **state)
{
    static const char *const paths[] = {
        "/graphql/assets",
        "/graphql/assets/",
        "/graphql/assets/page-1",
        "/graphql/assets/page-1.j",
        "/graphql/assets/page-1.jsx",
        "/graphql/assets//page-1.js",
        "/graphql/page-1.js",
        "/assets/page-1.js",
        "/graphqlassets/page-1.js",
        "/graphql/assets/../../etc/passwd",
        "/graphql/assets/x/../page-1.js",
        "",
    };
    asked a;
    begin_browser(&a);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        a.request.path = pl_str_of(paths[i]);
        if (ask(&a))
            fail_msg("%s", paths[i]);
    }
    a.request.path = (pl_str){"/graphql/assets/page-1.js\0", 26};
    assert_false(ask(&a));
    a.request.path = PL_STR("/graphql/assets/page-1.js");
    a.request.method = PL_STR("POST");
    assert_false(ask(&a));
    a.request.method = PL_STR("GET");
    a.config.ide.enabled = false;
    assert_false(ask(&a));
    pl_arena_dispose(&a.arena);
}

static void test_a_build_without_the_files(void **state)
{
    asked a;
    begin_browser(&a);
    assert_true(pl_ide_answer(&no_files, &a.config, &a.request, &a.response));
    assert_int_equal(a.response.status, 501);
    expect_body(&a, "make graphiql build");
    assert_true(pl_str_is(header(&a, "cache-control"), "no-store"));
    a.request.path = PL_STR("/graphql/assets/page-1.js");
    assert_false(pl_ide_answer(&no_files, &a.config, &a.request, &a.response));
    pl_arena_dispose(&a.arena);
}

/* Each allocation fails once: the answer is whole, or a 503. */
static void test_short_memory(void **state)
{
    static const char *const paths[] = {"/graphql", "/graphql/assets/page-1.js"};
    for (size_t i = 0; i < 2; i++) {
        failing f = {0};
        while (failing_next(&f)) {
            asked a;
            begin_browser(&a);
            a.request.path = pl_str_of(paths[i]);
            failing_begin(&f);
            assert_true(ask(&a));
            bool failed = failing_end(&f);
            int status = a.response.status;
            assert_true(status == 200 ? a.response.body.len > 0 : status == 503 && !a.response.body.ptr);
            assert_true(failed || status == 200);
            pl_arena_dispose(&a.arena);
        }
    }
}

/* What the build made: every file is whole, and the page's two are among them. */
static void test_built_in_files(void **state)
{
    unsigned found = 0;
    for (size_t i = 0; i < pl_ide_built_in.count; i++) {
        const pl_ide_file *file = &pl_ide_built_in.list[i];
        char *text = malloc(file->size);
        assert_non_null(text);
        if (!pl_gunzip(file->gzip, text, file->size))
            fail_msg("%.*s is damaged", PL_STR_ARG(file->name));
        free(text);
        found += pl_str_eq(file->name, pl_ide_built_in.script);
        found += pl_str_eq(file->name, pl_ide_built_in.style);
    }
    assert_int_equal(found, pl_ide_built_in.count > 0 ? 2 : 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_requests_are_for_the_page),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_settings_are_text),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_files_for_clients_without_gzip),
        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_a_build_without_the_files),
        cmocka_unit_test(test_short_memory),
        cmocka_unit_test(test_built_in_files),
    };
    return cmocka_run_group_tests(tests, pack, unpack);
}
