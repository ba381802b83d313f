/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <perilune.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/failing.h"

/* What is asked of an app without a socket: methods, events, and functions of the host program. */

static const char proto[] = "syntax = \"proto3\";\n"
                            "package t.v1;\n"
                            "message Question { string name = 1; int32 times = 2; }\n"
                            "message Answer { string text = 1; }\n"
                            "service Greeter {\n"
                            "  rpc Greet(Question) returns (Answer);\n"
                            "  rpc Slow(Question) returns (Answer);\n"
                            "  rpc Native(Question) returns (Answer);\n"
                            "  rpc Many(Question) returns (stream Answer);\n"
                            "}\n";
static const char services[] =
    "local errors, time = require 'perilune.errors', require 'perilune.time'\n"
    "return { ['t.v1.Greeter'] = {\n"
    "  Greet = function(q)\n"
    "    if q.name == '' then error(errors.invalid_argument('no name', { name = 'is empty' })) end\n"
    "    if q.name == 'nobody' then error(errors.not_found 'there is nobody') end\n"
    "    if q.name == 'crash' then error 'secret' end\n"
    "    return { text = 'Hello ' .. q.name .. ' ' .. q.times } end,\n"
    "  Slow = function(q) time.sleep(0.01 * q.times) return { text = 'late' } end,\n"
    "  Many = function(q, call) end } }\n";
static const char events[] =
    "local errors, time = require 'perilune.errors', require 'perilune.time'\n"
    "local seen = require 'perilune.shared'.dict 'seen'\n"
    "return {\n"
    "  { topic = 'orders', group = 'a', format = 'json', retry = { attempts = 3 }, handler = function(e, "
    "msg)\n"
    "      if e.wait then time.sleep(e.wait) end\n"
    "      if e.bad then error(errors.invalid_argument 'it is bad') end\n"
    "      seen:set('a', (e.n or 0) .. ' ' .. (msg.key or '-') .. ' ' .. (msg.headers.h or '-')) end },\n"
    "  { topic = '^ord.*', group = 'b', format = 'bytes', handler = function(e) seen:set('b', e) end },\n"
    "  { topic = 'batches', group = 'c', format = 'bytes', batch = { size = 10 },\n"
    "    handler = function(list) seen:set('c', #list .. list[1]) end } }\n";
static const char resolvers[] =
    "local seen = require 'perilune.shared'.dict 'seen'\n"
    "return { Query = { seen = function(_, args) return seen:get(args.key) end,\n"
    "  user = function(_, _, ctx) return (ctx.headers['x-user'] or '-') .. ' ' .. (ctx.peer or '') end } }\n";
static const char schema[] = "type Query { seen(key: String!): String  native(n: Int!): Int  user: String }";

static const pl_app_file files[] = {{"schema/s.graphql", schema, sizeof schema - 1},
                                    {"resolvers/q.lua", resolvers, sizeof resolvers - 1},
                                    {"proto/t.proto", proto, sizeof proto - 1},
                                    {"services/g.lua", services, sizeof services - 1},
                                    {"events/e.lua", events, sizeof events - 1}};

static pl_native_status greet_in_c(pl_native_call *call, void *data)
{
    size_t length;
    pl_native_slot request = pl_native_argument(call, 0);
    const char *name = pl_native_string(call, pl_native_field(call, request, "name"), &length);
    if (length == 0)
        return pl_native_fail(call, PL_NOT_FOUND, "nobody is there");
    pl_native_begin_map(call);
    pl_native_key(call, "text");
    pl_native_put_string(call, name, length);
    pl_native_end(call);
    return PL_NATIVE_DONE;
}

static pl_native_status twice(pl_native_call *call, void *data)
{
    pl_native_slot args = pl_native_argument(call, 1);
    pl_native_put_int(call, 2 * pl_native_int(call, pl_native_field(call, args, "n")));
    return PL_NATIVE_DONE;
}

static pl_native_status on_event(pl_native_call *call, void *data)
{
    atomic_fetch_add((atomic_int *)data, 1);
    return PL_NATIVE_DONE;
}

static pl_app *app_with(int workers, const char *kafka, atomic_int *count)
{
    char error[2000];
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = files;
    options.file_count = sizeof files / sizeof *files;
    options.workers = workers;
    options.kafka = kafka;
    pl_app *app = pl_app_new(&options, error, sizeof error);
    assert_non_null(app);
    assert_int_equal(pl_app_method(app, "t.v1.Greeter", "Native", greet_in_c, NULL), PL_OK);
    assert_int_equal(pl_app_resolver(app, "Query", "native", twice, NULL), PL_OK);
    if (count)
        assert_int_equal(pl_app_consumer(app, "{\"topic\":\"native\",\"group\":\"n\",\"format\":\"json\"}",
                                         on_event, count),
                         PL_OK);
    if (pl_app_start(app, error, sizeof error) != PL_OK)
        fail_msg("%s", error);
    assert_int_equal(pl_app_resolver(app, "Query", "seen", twice, NULL), PL_FAILED_PRECONDITION);
    return app;
}

static const char *called(pl_app *app, const char *method, const char *request, pl_code expected)
{
    static char text[2000];
    char *response;
    size_t length;
    pl_code code = pl_app_call(app, method, request, strlen(request), &response, &length);
    if (code != expected)
        fail_msg("%s %s", pl_code_name(code), response);
    assert_non_null(response);
    assert_int_equal(strlen(response), length);
    snprintf(text, sizeof text, "%s", response);
    pl_free_text(response);
    return text;
}

static const char *ask(pl_app *app, const char *query)
{
    static char text[2000];
    char request[300], *response;
    snprintf(request, sizeof request, "{\"query\":\"%s\"}", query);
    assert_int_equal(pl_app_execute(app, request, strlen(request), &response, NULL), PL_OK);
    snprintf(text, sizeof text, "%s", response);
    pl_free_text(response);
    return text;
}

static void has(const char *text, const char *part)
{
    expect_text(text, part, __FILE__, __LINE__);
}

static void calls(int workers)
{
    pl_app *app = app_with(workers, "off", NULL);
    assert_string_equal(called(app, "t.v1.Greeter/Greet", "{\"name\":\"Ann\",\"times\":2}", PL_OK),
                        "{\"text\":\"Hello Ann 2\"}");
    assert_string_equal(called(app, "t.v1.Greeter/Slow", "{\"times\":1}", PL_OK), "{\"text\":\"late\"}");
    assert_string_equal(called(app, "t.v1.Greeter/Native", "{\"name\":\"C\"}", PL_OK), "{\"text\":\"C\"}");
    assert_string_equal(called(app, "t.v1.Greeter/Native", "{}", PL_NOT_FOUND),
                        "{\"code\":\"not_found\",\"message\":\"nobody is there\"}");
    assert_string_equal(called(app, "t.v1.Greeter/Greet", "{\"name\":\"nobody\"}", PL_NOT_FOUND),
                        "{\"code\":\"not_found\",\"message\":\"there is nobody\"}");
    has(called(app, "t.v1.Greeter/Greet", "{}", PL_INVALID_ARGUMENT), "google.rpc.BadRequest");
    assert_null(strstr(called(app, "t.v1.Greeter/Greet", "{\"name\":\"crash\"}", PL_INTERNAL), "secret"));
    has(called(app, "t.v1.Greeter/Greet", "{\"times\":\"x\"}", PL_INVALID_ARGUMENT), "times");
    has(called(app, "t.v1.Greeter/Greet", "", PL_INVALID_ARGUMENT), "\"code\":\"invalid_argument\"");
    has(called(app, "t.v1.Greeter/None", "{}", PL_UNIMPLEMENTED), "\"code\":\"unimplemented\"");
    has(called(app, "nonsense", "{}", PL_UNIMPLEMENTED), "\"code\":\"unimplemented\"");
    has(called(app, "t.v1.Greeter/Many", "{}", PL_UNIMPLEMENTED), "not unary");
    assert_string_equal(ask(app, "{ native(n: 21) }"), "{\"data\":{\"native\":42}}");
    pl_app_stop(app, 100);
    has(called(app, "t.v1.Greeter/Greet", "{}", PL_UNAVAILABLE), "\"code\":\"unavailable\"");
    pl_app_free(app);
}

/* Requests come with what clients send. */
static void test_headers(void **state)
{
    static const char *const headers[] = {"X-User", "ann", "connect-timeout-ms", "5", "content-type",
                                          "x/y",    NULL};
    static const char user[] = "{\"query\":\"{ user }\"}";
    char *response;
    pl_app *app = app_with(1, "off", NULL);
    assert_string_equal(ask(app, "{ user }"), "{\"data\":{\"user\":\"- \"}}");
    pl_app_request request = PL_APP_REQUEST_INIT;
    request.body = user;
    request.length = sizeof user - 1;
    request.headers = headers;
    request.peer = "10.0.0.7";
    assert_int_equal(pl_app_ask(app, &request, &response, NULL), PL_OK);
    assert_string_equal(response, "{\"data\":{\"user\":\"ann 10.0.0.7\"}}");
    pl_free_text(response);
    request.method = "t.v1.Greeter/Slow";
    request.body = "{\"times\":1000}";
    request.length = strlen(request.body);
    assert_int_equal(pl_app_ask(app, &request, &response, NULL), PL_DEADLINE_EXCEEDED);
    has(response, "deadline_exceeded");
    pl_free_text(response);
    pl_app_free(app);
}

static void test_calls_with_workers(void **state)
{
    calls(2);
}

static void test_calls_without(void **state)
{
    calls(0);
}

typedef struct outcome {
    atomic_bool ended;
    pl_code code;
    char response[300];
} outcome;

static void on_done(void *data, pl_code code, const char *response, size_t length)
{
    outcome *o = data;
    o->code = code;
    snprintf(o->response, sizeof o->response, "%.*s", (int)length, response);
    atomic_store(&o->ended, true);
}

static void test_the_end_cuts_calls(void **state)
{
    pl_app *app = app_with(1, "off", NULL);
    outcome slow = {0}, fast = {0};
    const char request[] = "{\"times\":100000}";
    pl_app_call_async(app, "t.v1.Greeter/Slow", request, sizeof request - 1, on_done, &slow);
    pl_app_call_async(app, "t.v1.Greeter/Greet", "{\"name\":\"x\"}", 12, on_done, &fast);
    while (!atomic_load(&fast.ended))
        sched_yield();
    assert_string_equal(fast.response, "{\"text\":\"Hello x 0\"}");
    assert_false(atomic_load(&slow.ended));
    pl_app_stop(app, 20);
    assert_true(atomic_load(&slow.ended));
    assert_int_equal(slow.code, PL_UNAVAILABLE);
    pl_app_free(app);
}

/* --- events --- */
static pl_code handled(pl_app *app, const char *topic, const char *key, const char *value, char *error)
{
    static const char *const headers[] = {"h", "1", NULL};
    pl_app_event event = {.topic = topic,
                          .key = key,
                          .key_length = key ? strlen(key) : 0,
                          .value = value,
                          .value_length = value ? strlen(value) : 0,
                          .headers = headers};
    return pl_app_handle_event(app, &event, error, 500);
}

static void events_are_handled(int workers)
{
    char error[500] = "";
    atomic_int count = 0;
    pl_app *app = app_with(workers, "off", &count);
    assert_int_equal(handled(app, "orders", "k", "{\"n\":7}", error), PL_OK);
    assert_string_equal(ask(app, "{ a: seen(key: \\\"a\\\") b: seen(key: \\\"b\\\") }"),
                        "{\"data\":{\"a\":\"7 k 1\",\"b\":\"{\\\"n\\\":7}\"}}");
    assert_int_equal(handled(app, "orders", NULL, "{\"n\":8,\"wait\":0.01}", error), PL_OK);
    has(ask(app, "{ a: seen(key: \\\"a\\\") }"), "8 - 1");
    assert_int_equal(handled(app, "ordinary", NULL, "x", error), PL_OK); /* "b" alone */
    has(ask(app, "{ b: seen(key: \\\"b\\\") }"), "\"x\"");
    assert_int_equal(handled(app, "batches", NULL, "y", error), PL_OK);
    has(ask(app, "{ c: seen(key: \\\"c\\\") }"), "1y");
    assert_string_equal(error, "");
    assert_int_equal(handled(app, "orders", NULL, "{\"bad\":true}", error), PL_INVALID_ARGUMENT);
    assert_string_equal(error, "it is bad");
    assert_int_equal(handled(app, "orders", NULL, "{", error), PL_INVALID_ARGUMENT); /* no JSON */
    assert_int_equal(handled(app, "nothing", NULL, "x", error), PL_NOT_FOUND);
    has(error, "No consumer");
    assert_int_equal(handled(app, "native", NULL, "{}", error), PL_OK);
    assert_int_equal(count, 1);
    pl_app_event event = {.topic = "x", .value = "y", .value_length = 1};
    assert_true(pl_app_publish(app, &event, error, sizeof error) != PL_OK); /* there are no brokers */
    assert_true(error[0] != '\0');
    pl_app_stop(app, 100);
    assert_int_equal(handled(app, "native", NULL, "{}", error), PL_UNAVAILABLE);
    pl_app_free(app);
}

static void test_events_with_workers(void **state)
{
    events_are_handled(2);
}

static void test_events_without(void **state)
{
    events_are_handled(0);
}

static void published(int workers)
{
    char error[500] = "";
    atomic_int count = 0;
    outcome o = {0};
    pl_app *app = app_with(workers, "embedded", &count);
    assert_non_null(pl_app_address(app, "kafka"));
    pl_app_event event = {.topic = "native", .key = "k", .key_length = 1, .value = "{}", .value_length = 2};
    if (pl_app_publish(app, &event, error, sizeof error) != PL_OK)
        fail_msg("%s", error);
    pl_app_publish_async(app, &event, on_done, &o);
    uint64_t until = clock_ms() + LONGEST_MS;
    while (atomic_load(&count) < 2 || !atomic_load(&o.ended)) {
        assert_true(clock_ms() < until);
        if (workers == 0)
            pl_app_turn(app, 10);
        else
            poll(NULL, 0, 1);
    }
    assert_int_equal(o.code, PL_OK);
    has(o.response, "\"offset\":1}");
    pl_app_free(app);
}

static void test_publishing_with_workers(void **state)
{
    published(2);
}

static void test_publishing_without(void **state)
{
    published(0);
}

static void test_memory_failures(void **state)
{
    pl_app *app = app_with(0, "off", NULL);
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        char *response, error[500];
        failing_begin(&a);
        pl_code code = pl_app_call(app, "t.v1.Greeter/Greet", "{\"name\":\"x\"}", 12, &response, NULL);
        pl_free_text(response);
        pl_code event = handled(app, "orders", "k", "{\"n\":7}", error);
        bool failed = failing_end(&a);
        assert_true(failed || (!code && !event));
        if (code && code != PL_RESOURCE_EXHAUSTED && code != PL_INTERNAL && code != PL_UNAVAILABLE)
            fail_msg("%s", pl_code_name(code));
        if (event && event != PL_RESOURCE_EXHAUSTED && event != PL_INTERNAL)
            fail_msg("%s %s", pl_code_name(event), error);
    }
    assert_true(a.failed > 20);
    pl_app_free(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_calls_with_workers),
        cmocka_unit_test(test_calls_without),
        cmocka_unit_test(test_the_end_cuts_calls),
        cmocka_unit_test(test_events_with_workers),
        cmocka_unit_test(test_events_without),
        cmocka_unit_test(test_publishing_with_workers),
        cmocka_unit_test(test_publishing_without),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
