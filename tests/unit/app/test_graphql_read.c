/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/digest.h"
#include "app/generation.h"
#include "app/graphql_read.h"
#include "perilune/engines.h"
#include "support/failing.h"
#include "value/shared.h"

#define SCHEMA "schema/schema.graphql", "scalar Upload type Query { a(f: Upload): Int b: Int }"

/* A generation with these settings, and a request that is made anew for each reading. */
static pl_generation *generation;
static pl_shared *shared;
static pl_arena arena;
static pl_graphql_input input;
static pl_graphql_refusal why;
static uint64_t now_ms = 1000;

static uint64_t now(pl_host *host)
{
    (void)host;
    return now_ms;
}
static const pl_host_ops ops = {.now = now};

static void serve(const char *settings)
{
    char app[1000];
    pl_report report;
    pl_report_init(&report);
    snprintf(app, sizeof app, "return { %s }", settings);
    pl_bundle *bundle = MEMORY_BUNDLE("app.lua", app, "documents/a.graphql", "{ a }\n",
                                      "documents/x.manifest.json", "{\"0123\": \"{ b }\"}", SCHEMA);
    pl_generation_options options = {.engine = pl_lua_engine(), .workers = 1};
    generation = pl_generation_build(bundle, &options, &report);
    if (!generation)
        fail_msg("%s", report_text(&report));
    pl_report_dispose(&report);
    pl_bundle_unref(bundle);
    shared = pl_shared_new(0);
    generation->instances[0]->host = (pl_host){.ops = &ops, .shared = shared};
    pl_arena_init(&arena, 0);
}

static int tear_down(void **state)
{
    (void)state;
    pl_arena_dispose(&arena);
    pl_generation_free(generation);
    pl_shared_free(shared);
    generation = NULL;
    return 0;
}

static bool read_request(const char *method, const char *path, const char *query, const char *type,
                         pl_str body)
{
    pl_header headers[2] = {{PL_STR("content-type"), pl_str_of(type)},
                            {PL_STR("x-requested-with"), PL_STR("x")}};
    pl_http_request http = {.method = pl_str_of(method),
                            .path = pl_str_of(path),
                            .query = query ? pl_str_of(query) : PL_STR_NONE,
                            .body = body,
                            .body_fd = -1,
                            .headers = headers,
                            .header_count = type ? 2 : 0,
                            .arena = &arena};
    pl_arena_reset(&arena);
    return pl_graphql_read(generation->instances[0], &http, &input, &why);
}

static bool post(const char *json)
{
    return read_request("POST", "/graphql", NULL, "application/json", pl_str_of(json));
}

static bool get(const char *query)
{
    return read_request("GET", "/graphql", query, NULL, PL_STR_NONE);
}

#define REFUSED(read, code_, status_, text)                                \
    do {                                                                   \
        assert_false(read);                                                \
        assert_int_equal(why.status, status_);                             \
        assert_int_equal(why.code, code_);                                 \
        if (!memmem(why.message.ptr, why.message.len, text, strlen(text))) \
            fail_msg("%s: %.*s", text, PL_STR_ARG(why.message));           \
    } while (0)

#define READS(read, text)                                                \
    do {                                                                 \
        if (!(read))                                                     \
            fail_msg("%.*s", PL_STR_ARG(why.message));                   \
        assert_true(pl_str_is(input.operations[0].request.query, text)); \
    } while (0)

static void requests_are_read(void **state)
{
    (void)state;
    serve("");
    READS(
        post("{\"query\":\"{a}\",\"operationName\":\"A\",\"variables\":{\"x\":1},\"extensions\":{\"y\":2}}"),
        "{a}");
    gql_request *request = &input.operations[0].request;
    assert_true(input.count == 1 && !input.batch && pl_str_is(request->operation_name, "A"));
    assert_int_equal(request->variables->map.count, 1);
    assert_int_equal(request->extensions->map.count, 1);
    assert_false(request->query_only);
    READS(get("query=%7Ba%7D&operationName=A&variables=%7B%22x%22%3A1%7D&extensions=%7B%22y%22%3A2%7D"),
          "{a}");
    request = &input.operations[0].request;
    assert_true(request->query_only && pl_str_is(request->operation_name, "A"));
    assert_int_equal(request->variables->map.count, 1);
    assert_int_equal(request->extensions->map.count, 1);
    REFUSED(get(NULL), PL_INVALID_ARGUMENT, 400, "must have a \"query\" parameter");
    REFUSED(get("query"), PL_INVALID_ARGUMENT, 400, "must have a \"query\" parameter");
    REFUSED(read_request("PUT", "/graphql", NULL, NULL, PL_STR_NONE), PL_INVALID_ARGUMENT, 405,
            "GET and POST");
    assert_true(pl_str_is(why.allow, "GET, POST"));
    REFUSED(read_request("POST", "/graphql", NULL, "text/plain", PL_STR("{}")), PL_INVALID_ARGUMENT, 415,
            "application/json");
    REFUSED(post("[{\"query\":\"{a}\"}]"), PL_INVALID_ARGUMENT, 400, "http.batching");
}

static void paths_with_ids(void **state)
{
    (void)state;
    serve("http = { path = '/g' }");
    assert_true(pl_graphql_serves(&generation->config, PL_STR("/g")));
    assert_false(pl_graphql_serves(&generation->config, PL_STR("/g/a")));
    generation->config.reading.documents.mode = PL_DOCUMENTS_MIXED;
    assert_true(pl_graphql_serves(&generation->config, PL_STR("/g/a")));
    assert_false(pl_graphql_serves(&generation->config, PL_STR("/g/")));
    assert_false(pl_graphql_serves(&generation->config, PL_STR("/ga")));
    assert_false(pl_graphql_serves(&generation->config, PL_STR("/")));
    generation->config.reading.documents.mode = PL_DOCUMENTS_OFF;
}

static void documents_by_id(void **state)
{
    (void)state;
    serve("graphql = { documents = { mode = 'strict' } }");
    char json[300], hash[PL_SHA256_HEX + 1];
    READS(post("{\"documentId\":\"a\"}"), "{ a }\n");
    READS(post("{\"documentId\":\"0123\"}"), "{ b }");
    READS(post("{\"id\":\"0123\"}"), "{ b }");
    READS(get("documentId=a"), "{ a }\n");
    READS(read_request("GET", "/graphql/0123", NULL, NULL, PL_STR_NONE), "{ b }");
    assert_true(pl_sha256_hex(PL_STR("{ a }"), hash));
    snprintf(json, sizeof json, "{\"documentId\":\"sha256:%s\"}", hash);
    READS(post(json), "{ a }\n");
    snprintf(json, sizeof json, "{\"extensions\":{\"persistedQuery\":{\"version\":1,\"sha256Hash\":\"%s\"}}}",
             hash);
    READS(post(json), "{ a }\n");
    REFUSED(post("{\"query\":\"{ a }\"}"), PL_PERMISSION_DENIED, 403, "Only documents that the server knows");
    REFUSED(post("{\"query\":\"{ b }\",\"documentId\":\"a\"}"), PL_INVALID_ARGUMENT, 400, "not both");
    REFUSED(post("{\"documentId\":\"sha256:b\"}"), PL_NOT_FOUND, 404, "\"sha256:b\"");
}

static void hashes(void **state)
{
    (void)state;
    serve("graphql = { apq = { ttl = 60 } }");
    char full[300], bare[300], hash[PL_SHA256_HEX + 1];
    pl_sha256_hex(PL_STR("{b}"), hash);
    snprintf(full, sizeof full,
             "{\"query\":\"{b}\",\"extensions\":{\"persistedQuery\":{\"version\":1,\"sha256Hash\":\"%s\"}}}",
             hash);
    snprintf(bare, sizeof bare, "{\"extensions\":{\"persistedQuery\":{\"version\":1,\"sha256Hash\":\"%s\"}}}",
             hash);
    REFUSED(post(bare), PL_NOT_FOUND, 200, "PersistedQueryNotFound");
    assert_true(why.no_store);
    assert_string_equal(why.error_code, "PERSISTED_QUERY_NOT_FOUND");
    READS(post(full), "{b}");
    READS(post(bare), "{b}");
    now_ms += 59999;
    READS(post(bare), "{b}");
    now_ms += 2;
    REFUSED(post(bare), PL_NOT_FOUND, 200, "PersistedQueryNotFound");
    full[10] = 'a';
    REFUSED(post(full), PL_INVALID_ARGUMENT, 400, "provided sha does not match query");
}

static void batches(void **state)
{
    (void)state;
    serve("http = { batching = { max = 2 } }");
    assert_true(post("[{\"query\":\"{a}\"},{}]"));
    assert_true(input.batch && input.count == 2);
    assert_int_equal(input.operations[0].refusal.status, 0);
    assert_int_equal(input.operations[1].refusal.status, 400);
    REFUSED(post("[]"), PL_INVALID_ARGUMENT, 400, "empty");
    REFUSED(post("[{},{},{}]"), PL_RESOURCE_EXHAUSTED, 400,
            "The list has 3 operations; http.batching allows 2.");
}

static void refusals_are_written(void **state)
{
    (void)state;
    pl_buf out;
    pl_buf_init(&out);
    pl_graphql_write_refusal(&out, &(pl_graphql_refusal){.code = PL_NOT_FOUND, .message = PL_STR("a \"b\"")});
    pl_graphql_write_refusal(
        &out, &(pl_graphql_refusal){.code = PL_NOT_FOUND, .message = PL_STR("c"), .error_code = "OWN"});
    assert_true(
        pl_str_is(pl_buf_view(&out),
                  "{\"errors\":[{\"message\":\"a \\\"b\\\"\",\"extensions\":{\"code\":\"NOT_FOUND\"}}]}"
                  "{\"errors\":[{\"message\":\"c\",\"extensions\":{\"code\":\"OWN\"}}]}"));
    pl_buf_dispose(&out);
}

static void status_codes(void **state)
{
    (void)state;
    pl_reading_config audit = {0}, draft = {.draft_status = true};
    static const struct {
        gql_result result;
        bool errors, invalid;
        int audit, draft;
    } cases[] = {{GQL_RESULT_DATA, false, false, 200, 200},
                 {GQL_RESULT_DATA, true, false, 200, 294},
                 {GQL_RESULT_REFUSED, true, false, 400, 400},
                 {GQL_RESULT_REFUSED, true, true, 400, 422},
                 {GQL_RESULT_QUERY_ONLY, true, true, 405, 405}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gql_result result = cases[i].result;
        assert_int_equal(pl_graphql_status(&audit, true, result, cases[i].errors, cases[i].invalid),
                         cases[i].audit);
        assert_int_equal(pl_graphql_status(&draft, true, result, cases[i].errors, cases[i].invalid),
                         cases[i].draft);
        int json = result == GQL_RESULT_QUERY_ONLY ? 405 : 200;
        assert_int_equal(pl_graphql_status(&draft, false, result, cases[i].errors, cases[i].invalid), json);
    }
}

/* Each allocation fails in turn; nothing is lost, and the client is told. */
static void memory_may_run_out(void **state)
{
    (void)state;
    serve("http = { uploads = true, batching = true }, graphql = { apq = true }");
    static const char form[] =
        "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n"
        "{\"query\":\"query($f: Upload) {a(f: $f)}\",\"variables\":{\"f\":null}}\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{\"0\":[\"variables.f\"]}\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"0\"; filename=\"x\"\r\n\r\nbytes\r\n--b--";
    static const struct {
        const char *method, *query, *type, *body;
    } requests[] = {{"POST", NULL, "application/json",
                     "[{\"query\":\"{a}\",\"variables\":{\"x\":[1]}},{\"query\":\"{b}\"}]"},
                    {"GET", "query={a}&variables={\"x\":1}&extensions={\"y\":1}", NULL, ""},
                    {"POST", NULL, "multipart/form-data; boundary=b", form}};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        failing a = {.sticky = true};
        while (failing_next(&a)) {
            pl_arena_dispose(&arena);
            pl_arena_init(&arena, 64); /* so that there are many */
            failing_begin(&a);
            bool ok = read_request(requests[i].method, "/graphql", requests[i].query, requests[i].type,
                                   pl_str_of(requests[i].body));
            assert_true(failing_end(&a) || ok);
            if (!ok)
                assert_true(why.status == 503 || why.status == 413 || why.status == 400);
            if (!ok && why.status != 503)
                assert_int_equal(why.code, PL_RESOURCE_EXHAUSTED);
        }
        assert_true(a.failed > 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(requests_are_read, tear_down),
        cmocka_unit_test_teardown(paths_with_ids, tear_down),
        cmocka_unit_test_teardown(documents_by_id, tear_down),
        cmocka_unit_test_teardown(hashes, tear_down),
        cmocka_unit_test_teardown(batches, tear_down),
        cmocka_unit_test(refusals_are_written),
        cmocka_unit_test(status_codes),
        cmocka_unit_test_teardown(memory_may_run_out, tear_down),
    };
    return cmocka_run_group_tests_name("graphql_read", tests, NULL, NULL);
}
