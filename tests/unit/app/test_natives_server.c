/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <pthread.h>
#include <stdatomic.h>

#include "app/natives.h"
#include "app/server.h"
#include "perilune/engines.h"

/* Functions of the host program in a server: methods, interceptors, reloads, clients that leave. */

pl_str test_protos(void);

static const char schema[] = "type Query { n: Int, slow: Int, fails: Int }";
static const char resolvers[] = "return { Query = { fails = function() error('broken in Lua') end } }";

/* What the host program knows. */
typedef struct program {
    pl_natives *natives;
    pl_server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pl_native_call *held; /* the last call of slow that has not been finished */
    int cancelled, before, after;
    char seen[512]; /* what the interceptor has seen last */
} program;

static void set(program *p, int *count)
{
    pthread_mutex_lock(&p->lock);
    ++*count;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void wait_for(program *p, const int *count, int least)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LONGEST_MS / 1000;
    pthread_mutex_lock(&p->lock);
    while (*count < least)
        assert_int_equal(pthread_cond_timedwait(&p->changed, &p->lock, &until), 0);
    pthread_mutex_unlock(&p->lock);
}

static pl_native_call *wait_held(program *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->held)
        pthread_cond_wait(&p->changed, &p->lock);
    pl_native_call *call = p->held;
    p->held = NULL;
    pthread_mutex_unlock(&p->lock);
    return call;
}

static void cancelled(void *data)
{
    program *p = data;
    set(p, &p->cancelled);
}

static pl_native_status slow(pl_native_call *call, void *data)
{
    program *p = data;
    pl_native_on_cancel(call, cancelled, p);
    pthread_mutex_lock(&p->lock);
    p->held = call;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return PL_NATIVE_PENDING;
}

static pl_native_status number(pl_native_call *call, void *data)
{
    pl_native_put_int(call, 7);
    return PL_NATIVE_DONE;
}

/* A method: its request is a message, and its answer becomes one. */
static pl_native_status get(pl_native_call *call, void *data)
{
    static const char emails[] = "[{\"address\":\"a@b\",\"verified\":true}]";
    const char *id = pl_native_string(call, pl_native_field(call, pl_native_argument(call, 0), "get"), NULL);
    if (!id[0]) {
        pl_native_violation(call, "get", "must not be empty");
        return pl_native_fail(call, PL_INVALID_ARGUMENT, "an id is needed");
    }
    pl_native_begin_map(call);
    pl_native_key(call, "user_id");
    pl_native_put_text(call, id);
    pl_native_key(call, "emails");
    pl_native_put_json(call, emails, sizeof emails - 1);
    pl_native_end(call);
    return PL_NATIVE_DONE;
}

static pl_native_status before(pl_native_call *call, void *data)
{
    program *p = data;
    set(p, &p->before);
    if (pl_native_header(call, "x-refuse"))
        return pl_native_fail(call, PL_PERMISSION_DENIED, "not for you");
    return PL_NATIVE_DONE;
}

static pl_native_status after(pl_native_call *call, void *data)
{
    program *p = data;
    pthread_mutex_lock(&p->lock);
    snprintf(p->seen, sizeof p->seen, "%s", pl_native_json(call, pl_native_argument(call, 1), NULL));
    pthread_mutex_unlock(&p->lock);
    set(p, &p->after);
    return PL_NATIVE_DONE;
}

static const char *seen(program *p)
{
    static char text[512];
    pthread_mutex_lock(&p->lock);
    snprintf(text, sizeof text, "%s", p->seen);
    pthread_mutex_unlock(&p->lock);
    return text;
}

static pl_bundle *bundle_of(const char *app, const char *code)
{
    pl_error err;
    const pl_file files[] = {{PL_STR("app.lua"), pl_str_of(app)},
                             {PL_STR("schema/s.graphql"), pl_str_of(schema)},
                             {PL_STR("resolvers/r.lua"), pl_str_of(code)},
                             {PL_STR("proto/all.binpb"), test_protos()}};
    pl_bundle *bundle = pl_bundle_from_memory(files, 4, &err);
    assert_non_null(bundle);
    return bundle;
}

static void program_init(program *p)
{
    *p = (program){.natives = pl_natives_new()};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    assert_int_equal(pl_natives_add_resolver(p->natives, "Query", "n", number, p), PL_OK);
    assert_int_equal(pl_natives_add_resolver(p->natives, "Query", "slow", slow, p), PL_OK);
    assert_int_equal(pl_natives_add_method(p->natives, "test.v1.Users", "Get", false, get, p), PL_OK);
}

static void serve(program *p, const char *app, unsigned drain_ms)
{
    pl_report report;
    pl_error err = {0};
    pl_server_config config = {.workers = 2,
                               .edge = {.address = "127.0.0.1:0"},
                               .grpc = {.address = "127.0.0.1:0"},
                               .engine = pl_lua_engine(),
                               .natives = p->natives,
                               .bundle = bundle_of(app, resolvers),
                               .drain_ms = drain_ms};
    pl_report_init(&report);
    p->server = pl_server_start(&config, &report, &err);
    if (!p->server)
        fail_msg("%s %s", err.message, report_text(&report));
    pl_bundle_unref(config.bundle);
    pl_report_dispose(&report);
}

static void program_end(program *p, unsigned timeout_ms)
{
    pl_server_stop(p->server, timeout_ms);
    pl_server_free(p->server);
    pl_natives_free(p->natives);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
}

/* By Connect, as JSON. */
static const char *call_get(program *p, const char *headers, const char *request)
{
    char text[2048];
    int fd = http_connect(pl_server_address(p->server));
    int n =
        snprintf(text, sizeof text,
                 "POST /test.v1.Users/Get HTTP/1.1\r\nHost: localhost\r\n%sContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 headers, strlen(request), request);
    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
    const char *body = http_receive(fd, NULL);
    close(fd);
    return body ? body : "the connection ended";
}

static void test_methods(void **state)
{
    program p;
    program_init(&p);
    serve(&p, "return {}", 0);
    assert_string_equal(call_get(&p, "", "{\"get\":\"u7\"}"),
                        "{\"userId\":\"u7\",\"emails\":[{\"address\":\"a@b\",\"verified\":true}]}");
    const char *refused = call_get(&p, "", "{}");
    assert_has(refused, "\"code\":\"invalid_argument\"");
    assert_has(refused, "\"message\":\"an id is needed\"");
    assert_has(refused, "google.rpc.BadRequest");
    assert_string_equal(http_ask(pl_server_address(p.server), "{ n }"), "{\"data\":{\"n\":7}}");
    program_end(&p, 1000);
}

static void interceptors_of(const char *app)
{
    program p;
    program_init(&p);
    assert_int_equal(pl_natives_add_interceptor(p.natives, before, after, &p), PL_OK);
    assert_int_equal(pl_natives_add_interceptor(p.natives, before, NULL, &p), PL_OK);
    assert_int_equal(pl_natives_add_interceptor(p.natives, NULL, after, &p), PL_OK);
    assert_int_equal(pl_natives_add_interceptor(p.natives, NULL, NULL, &p), PL_INVALID_ARGUMENT);
    serve(&p, app, 0);
    const char *address = pl_server_address(p.server);
    assert_string_equal(http_ask(address, "{ n }"), "{\"data\":{\"n\":7}}");
    wait_for(&p, &p.after, 2);
    assert_int_equal(p.before, 2);
    assert_string_equal(seen(&p), "{\"errors\":0}");
    assert_has(call_get(&p, "", "{}"), "invalid_argument");
    wait_for(&p, &p.after, 4);
    assert_has(seen(&p), "\"code\":\"INVALID_ARGUMENT\"");
    assert_has(call_get(&p, "X-Refuse: 1\r\n", "{\"get\":\"u\"}"), "\"code\":\"permission_denied\"");
    assert_int_equal(p.before, 5);
    assert_int_equal(p.after, 4); /* it did not come so far */
    program_end(&p, 1000);
}

static void test_interceptors(void **state)
{
    interceptors_of("return {}");
    interceptors_of("return { interceptors = { function(ctx, next) return next(ctx) end } }");
}

static void on_line(void *data, pl_level level, pl_str line)
{
    pl_buf_str(data, line);
    pl_buf_char(data, '\n');
}

/* What an interceptor of the bundle raises keeps its code, or its message and traceback in the log. */
static void test_errors_go_through_interceptors(void **state)
{
    static const char *const apps[] = {"return { interceptors = { function(ctx, next)\n"
                                       "  error(require 'perilune.errors'.not_found('gone')) end } }",
                                       "return { interceptors = { function(ctx, next)\n"
                                       "  local function deep() error('it broke') end\n  deep() end } }"};
    for (int i = 0; i < 2; i++) {
        program p;
        pl_buf lines;
        pl_report report;
        pl_error err = {0};
        pl_buf_init(&lines);
        pl_report_init(&report);
        program_init(&p);
        assert_int_equal(pl_natives_add_interceptor(p.natives, NULL, after, &p), PL_OK);
        pl_logger *log = pl_logger_new_sink(on_line, &lines, PL_LOG_JSON, PL_DEBUG);
        pl_server_config config = {.workers = 1,
                                   .edge = {.address = "127.0.0.1:0"},
                                   .no_grpc = true,
                                   .log = log,
                                   .engine = pl_lua_engine(),
                                   .natives = p.natives,
                                   .bundle = bundle_of(apps[i], resolvers)};
        p.server = pl_server_start(&config, &report, &err);
        if (!p.server)
            fail_msg("%s %s", err.message, report_text(&report));
        pl_bundle_unref(config.bundle);
        assert_has(http_ask(pl_server_address(p.server), "{ n }"),
                   i == 0 ? "\"message\":\"gone\"" : "\"message\":\"Internal server error\"");
        wait_for(&p, &p.after, 1);
        assert_has(seen(&p), i == 0 ? "\"code\":\"NOT_FOUND\"" : "\"code\":\"INTERNAL\"");
        program_end(&p, 1000);
        pl_logger_free(log);
        pl_buf_char(&lines, '\0');
        if (i == 1) {
            assert_has(lines.data, "app.lua:2: it broke");
            assert_has(lines.data, "in upvalue 'deep'\\n\\tapp.lua:3" + 18);
        }
        pl_buf_dispose(&lines);
        pl_report_dispose(&report);
    }
}

/* All of them may wait. */
static void *finish_soon(void *call)
{
    usleep(200);
    pl_native_finish(call);
    return NULL;
}

static pl_native_status wait_a_little(pl_native_call *call)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, finish_soon, call), 0);
    pthread_detach(thread);
    return PL_NATIVE_PENDING;
}

static pl_native_status slow_before(pl_native_call *call, void *data)
{
    if (before(call, data) == PL_NATIVE_FAILED)
        pl_native_violation(call, "header", "x-refuse"); /* also when it ends later */
    return wait_a_little(call);
}

static pl_native_status slow_after(pl_native_call *call, void *data)
{
    after(call, data);
    return wait_a_little(call);
}

static pl_native_status slow_get(pl_native_call *call, void *data)
{
    get(call, data);
    return wait_a_little(call);
}

static void test_waiting_everywhere(void **state)
{
    program p = {.natives = pl_natives_new()};
    pthread_mutex_init(&p.lock, NULL);
    pthread_cond_init(&p.changed, NULL);
    assert_int_equal(pl_natives_add_interceptor(p.natives, slow_before, slow_after, &p), PL_OK);
    assert_int_equal(pl_natives_add_method(p.natives, "test.v1.Users", "Get", false, slow_get, &p), PL_OK);
    serve(&p, "return {}", 0);
    assert_has(call_get(&p, "", "{\"get\":\"u7\"}"), "{\"userId\":\"u7\",");
    assert_int_equal(p.before + p.after, 2);
    assert_has(call_get(&p, "", "{}"), "an id is needed");
    assert_int_equal(p.before + p.after, 4);
    assert_has(call_get(&p, "X-Refuse: 1\r\n", "{}"), "\"message\":\"not for you\"");
    assert_int_equal(p.before + p.after, 5);
    program_end(&p, 1000);
}

/* --- calls in hand --- */
static void reload(program *p, const char *code, const char *problem)
{
    pl_report report;
    pl_report_init(&report);
    pl_bundle *bundle = bundle_of("return {}", code);
    pl_reload_result result = pl_server_reload_bundle(p->server, bundle, "test", false, &report);
    if (problem) {
        assert_int_equal(result, PL_RELOAD_REFUSED);
        assert_has(report_text(&report), problem);
    } else {
        assert_int_equal(result, PL_RELOADED);
    }
    pl_bundle_unref(bundle);
    pl_report_dispose(&report);
}

static void test_reload_with_a_call_in_hand(void **state)
{
    program p;
    program_init(&p);
    serve(&p, "return {}", 20000);
    int fd = http_connect(pl_server_address(p.server));
    http_send(fd, "{ slow }");
    pl_native_call *call = wait_held(&p);
    reload(&p, "return { Query = { n = function() return 1 end } }",
           "resolvers/r.lua:1: Query.n is defined twice: here and in the host program.");
    reload(&p, "return {}", NULL);
    assert_string_equal(http_ask(pl_server_address(p.server), "{ n fails }"),
                        "{\"data\":{\"n\":7,\"fails\":null}}");
    pl_native_put_int(call, 42); /* on the old generation */
    pl_native_finish(call);
    assert_string_equal(http_receive(fd, NULL), "{\"data\":{\"slow\":42}}");
    close(fd);
    assert_int_equal(p.cancelled, 0);
    program_end(&p, 1000);
}

static void test_drained(void **state)
{
    program p;
    program_init(&p);
    serve(&p, "return {}", 50);
    int fd = http_connect(pl_server_address(p.server));
    http_send(fd, "{ slow }");
    pl_native_call *call = wait_held(&p);
    reload(&p, "return {}", NULL);
    wait_for(&p, &p.cancelled, 1);
    pl_native_put_int(call, 42);
    pl_native_finish(call); /* too late: harmless */
    close(fd);
    assert_string_equal(http_ask(pl_server_address(p.server), "{ n }"), "{\"data\":{\"n\":7}}");
    program_end(&p, 1000);
    assert_int_equal(p.cancelled, 1);
}

static void test_client_gone(void **state)
{
    program p;
    program_init(&p);
    serve(&p, "return {}", 0);
    for (int i = 1; i <= 3; i++) {
        int fd = http_connect(pl_server_address(p.server));
        http_send(fd, "{ slow }");
        pl_native_call *call = wait_held(&p);
        close(fd);
        wait_for(&p, &p.cancelled, i);
        pl_native_finish(call);
    }
    program_end(&p, 1000);
}

/* The server ends at once; the call is finished while it does, and when it is gone. */
static void *finish(void *data)
{
    pl_native_call *call = data;
    pl_native_put_int(call, 1);
    pl_native_finish(call);
    return NULL;
}

static void test_stop_with_calls_in_hand(void **state)
{
    for (int round = 0; round < 6; round++) {
        program p;
        pthread_t thread;
        program_init(&p);
        serve(&p, "return {}", 0);
        int fd = http_connect(pl_server_address(p.server));
        http_send(fd, "{ slow }");
        pl_native_call *call = wait_held(&p);
        if (round % 2 == 0)
            assert_int_equal(pthread_create(&thread, NULL, finish, call), 0);
        program_end(&p, 0);
        if (round % 2 == 0)
            pthread_join(thread, NULL);
        else
            finish(call);
        close(fd);
        assert_true(p.cancelled == 1 || (round % 2 == 0 && p.cancelled == 0));
    }
}

static void test_what_cannot_be_served(void **state)
{
    static const struct {
        const char *service, *method, *problem;
    } cases[] = {
        {"test.v1.Users", "Nope",
         "the host program: The service test.v1.Users (in everything.proto) has no method \"Nope\"."},
        {"test.v1.User", "Get",
         "the host program: There is no service \"test.v1.User\" in proto/. Did you mean "
         "\"test.v1.Users\"?"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_report report;
        pl_error err = {0};
        pl_natives *natives = pl_natives_new();
        assert_int_equal(pl_natives_add_method(natives, cases[i].service, cases[i].method, false, get, NULL),
                         PL_OK);
        pl_report_init(&report);
        pl_server_config config = {.workers = 1,
                                   .edge = {.address = "127.0.0.1:0"},
                                   .no_grpc = true,
                                   .engine = pl_lua_engine(),
                                   .natives = natives,
                                   .bundle = bundle_of("return {}", "return {}")};
        assert_null(pl_server_start(&config, &report, &err));
        assert_has(report_text(&report), cases[i].problem);
        pl_bundle_unref(config.bundle);
        pl_report_dispose(&report);
        pl_natives_free(natives);
    }
    pl_natives *natives = pl_natives_new();
    const char *wrong[] = {NULL, "", ".a", "a.", "a..b", "a.1", "a b"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(pl_natives_add_method(natives, wrong[i], "M", false, get, NULL),
                         PL_INVALID_ARGUMENT);
        assert_int_equal(pl_natives_add_method(natives, "S", wrong[i], false, get, NULL),
                         PL_INVALID_ARGUMENT);
    }
    assert_int_equal(pl_natives_add_method(natives, "S", "M", false, NULL, NULL), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_natives_add_method(natives, "a.S", "M", false, get, NULL), PL_OK);
    assert_int_equal(pl_natives_add_method(natives, "a.S", "M", false, get, NULL), PL_ALREADY_EXISTS);
    pl_natives_free(natives);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_interceptors),
        cmocka_unit_test(test_errors_go_through_interceptors),
        cmocka_unit_test(test_waiting_everywhere),
        cmocka_unit_test(test_reload_with_a_call_in_hand),
        cmocka_unit_test(test_drained),
        cmocka_unit_test(test_client_gone),
        cmocka_unit_test(test_stop_with_calls_in_hand),
        cmocka_unit_test(test_what_cannot_be_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
