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
    "return { Query = { late = function() require 'perilune.time'.sleep(100) end,\n"
    "  seen = function(_, args) return seen:get(args.key) end,\n"
    "  user = function(_, _, ctx) return (ctx.headers['x-user'] or '-') .. ' ' .. (ctx.peer or '') end } }\n";
static const char schema[] = "type Query { seen(key: String!): String  native(n: Int!): Int  user: String\n"
                             "  never: Int  late: Int }";

static const pl_app_file files[] = {{"schema/s.graphql", schema, sizeof schema - 1},
                                    {"resolvers/q.lua", resolvers, sizeof resolvers - 1},
                                    {"proto/t.proto", proto, sizeof proto - 1},
                                    {"services/g.lua", services, sizeof services - 1},
                                    {"events/e.lua", events, sizeof events - 1}};

typedef struct native_waiter {
    pl_native_call *call;
    atomic_int *count; /* of those that were cancelled */
} native_waiter;

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

static void told(void *data)
{
    native_waiter *w = data;
    if (w->count)
        atomic_fetch_add(w->count, 1);
    pl_native_finish(w->call);
    free(w);
}

/* Waits until it is cancelled. */
static pl_native_status wait_in_c(pl_native_call *call, void *data)
{
    native_waiter *w = malloc(sizeof *w);
    *w = (native_waiter){call, data};
    pl_native_on_cancel(call, told, w);
    return PL_NATIVE_PENDING;
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
    assert_int_equal(pl_app_resolver(app, "Query", "never", wait_in_c, count), PL_OK);
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

/* --- cancelling --- */
static const char never[] = "{\"query\":\"{ never }\"}", late[] = "{\"query\":\"{ user late }\"}";

static pl_app_request cancellable(const char *body, const char *method, pl_cancellation *by)
{
    pl_app_request request = PL_APP_REQUEST_INIT;
    request.body = body;
    request.length = strlen(body);
    request.method = method;
    request.cancellation = by;
    return request;
}

static void wait_for(pl_app *app, int workers, outcome *o)
{
    uint64_t until = clock_ms() + LONGEST_MS;
    while (!atomic_load(&o->ended)) {
        assert_true(clock_ms() < until);
        if (workers == 0)
            pl_app_turn(app, 1);
        else
            sched_yield();
    }
}

static void cancelled_are(int workers)
{
    atomic_int gone = 0;
    pl_app *app = app_with(workers, "off", &gone);
    pl_cancellation *by = pl_cancellation_new();
    outcome outcomes[4] = {{0}}, fast = {0};
    pl_app_request query = cancellable(never, NULL, by), script = cancellable(late, NULL, by),
                   call = cancellable("{\"times\":100000}", "t.v1.Greeter/Slow", by),
                   done = cancellable("{\"name\":\"x\"}", "t.v1.Greeter/Greet", by);
    pl_app_ask_async(app, &query, on_done, &outcomes[0]);
    pl_app_ask_async(app, &script, on_done, &outcomes[1]);
    pl_app_ask_async(app, &call, on_done, &outcomes[2]);
    for (int i = 0; i < 4; i++) { /* each worker has had a turn behind them */
        atomic_store(&fast.ended, false);
        pl_app_ask_async(app, &done, on_done, &fast);
        wait_for(app, workers, &fast);
        assert_int_equal(fast.code, PL_OK);
    }
    pl_cancellation_cancel(by);
    pl_cancellation_cancel(by);
    pl_app_ask_async(app, &query, on_done, &outcomes[3]); /* too late */
    pl_cancellation_free(by);
    for (int i = 0; i < 4; i++) {
        wait_for(app, workers, &outcomes[i]);
        assert_int_equal(outcomes[i].code, PL_CANCELLED);
        has(outcomes[i].response, i == 2 ? "\"code\":\"canceled\"" : "\"code\":\"CANCELLED\"");
    }
    assert_int_equal(gone, 1); /* the function in C was told */
    assert_string_equal(ask(app, "{ native(n: 1) }"), "{\"data\":{\"native\":2}}");
    pl_app_free(app);
}

static void test_cancelling_with_workers(void **state)
{
    cancelled_are(2);
}

static void test_cancelling_without(void **state)
{
    cancelled_are(0);
}

static void *cancel_soon(void *by)
{
    poll(NULL, 0, 20);
    pl_cancellation_cancel(by);
    return NULL;
}

/* By another thread than the one that waits. */
static void test_cancelling_what_is_waited_for(void **state)
{
    for (int workers = 0; workers < 2; workers++) {
        pl_app *app = app_with(workers, "off", NULL);
        pl_cancellation *by = pl_cancellation_new();
        pthread_t thread;
        pl_app_request query = cancellable(late, NULL, by);
        assert_int_equal(pthread_create(&thread, NULL, cancel_soon, by), 0);
        assert_int_equal(pl_app_ask(app, &query, NULL, NULL), PL_CANCELLED);
        pthread_join(thread, NULL);
        pl_cancellation_free(by);
        pl_app_free(app);
    }
}

typedef struct canceller {
    pl_cancellation *by;
    atomic_bool stop;
} canceller;

static void *cancel_often(void *data)
{
    canceller *c = data;
    do {
        pl_cancellation_cancel(c->by);
        sched_yield();
    } while (!atomic_load(&c->stop));
    return NULL;
}

static void count_ended(void *data, pl_code code, const char *response, size_t length)
{
    assert_true(code == PL_OK || code == PL_CANCELLED || code == PL_UNAVAILABLE);
    atomic_fetch_add((atomic_int *)data, 1);
}

/* Requests begin and end, and the app stops, while they are cancelled. */
static void test_cancelling_races(void **state)
{
    for (int round = 0; round < 20; round++) {
        pl_app *app = app_with(2, "off", NULL);
        atomic_int ended = 0;
        for (int k = 0; k < 5; k++) {
            canceller c = {.by = pl_cancellation_new()};
            pthread_t thread;
            pl_app_request query = cancellable(k % 2 ? late : "{\"query\":\"{ user }\"}", NULL, c.by);
            for (int i = 0; i < 20; i++)
                pl_app_ask_async(app, &query, count_ended, &ended);
            assert_int_equal(pthread_create(&thread, NULL, cancel_often, &c), 0);
            for (int i = 0; i < 20; i++)
                pl_app_ask_async(app, &query, count_ended, &ended);
            if (k == 4)
                pl_app_stop(app, round % 2 ? 20000 : 0);
            atomic_store(&c.stop, true);
            pthread_join(thread, NULL);
            pl_cancellation_free(c.by);
        }
        pl_app_free(app);
        assert_int_equal(ended, 200);
    }
}

/* --- what cannot be --- */
static void test_bad_requests(void **state)
{
    struct {
        pl_app_request request;
        char more[8];
    } newer = {.request = PL_APP_REQUEST_INIT};
    pl_app *app = app_with(1, "off", NULL);
    char *response, error[500];
    outcome o = {0};
    pl_app_request request = PL_APP_REQUEST_INIT;
    assert_int_equal(pl_app_ask(app, &request, &response, NULL), PL_INVALID_ARGUMENT); /* no body */
    pl_free_text(response);
    request.size = 0;
    assert_int_equal(pl_app_ask(app, &request, &response, NULL), PL_INVALID_ARGUMENT);
    has(response, "PL_APP_REQUEST_INIT");
    pl_free_text(response);
    assert_int_equal(pl_app_ask(app, NULL, NULL, NULL), PL_INVALID_ARGUMENT);
    pl_app_ask_async(app, NULL, on_done, &o);
    assert_int_equal(o.code, PL_INVALID_ARGUMENT);
    newer.request.body = "{\"query\":\"{ user }\"}";
    newer.request.length = strlen(newer.request.body);
    newer.request.size = sizeof newer;
    assert_int_equal(pl_app_ask(app, &newer.request, NULL, NULL), PL_OK);
    newer.more[7] = 1;
    assert_int_equal(pl_app_ask(app, &newer.request, &response, NULL), PL_INVALID_ARGUMENT);
    has(response, "does not know");
    pl_free_text(response);
    newer.request.size = offsetof(pl_app_request, headers); /* of an older caller */
    assert_int_equal(pl_app_ask(app, &newer.request, NULL, NULL), PL_OK);
    pl_app_execute_async(app, never, sizeof never - 1, NULL, NULL); /* nobody is told */
    assert_int_equal(pl_app_execute(app, NULL, 0, NULL, NULL), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_app_call(app, NULL, NULL, 0, NULL, NULL), PL_UNIMPLEMENTED);
    assert_int_equal(pl_app_handle_event(app, NULL, error, sizeof error), PL_NOT_FOUND);
    assert_true(pl_app_publish(app, NULL, NULL, 0) != PL_OK);
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

/* Found when the bundle is loaded, not when somebody wonders where the events are. */
static void test_topics_that_are_no_expressions(void **state)
{
    static const char bad[] = "return { topics = { 'a', '^b(' }, group = 'g', handler = function() end }";
    const pl_app_file list[] = {{"events/e.lua", bad, sizeof bad - 1}};
    char error[500];
    assert_null(pl_app_open_memory(list, 1, error, sizeof error));
    has(error, "events/e.lua: ");
    has(error, "topic \"^b(\" is no regular expression: ");
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
        char *status = pl_app_status(app), *metrics = pl_app_metrics(app), *addresses = pl_app_addresses(app);
        bool failed = failing_end(&a);
        assert_true(failed || (!code && !event && status && metrics && addresses));
        if (status)
            has(status, "\"workers\":[{");
        if (metrics)
            has(metrics, "perilune_workers");
        pl_free_text(status);
        pl_free_text(metrics);
        pl_free_text(addresses);
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
        cmocka_unit_test(test_cancelling_with_workers),
        cmocka_unit_test(test_cancelling_without),
        cmocka_unit_test(test_cancelling_what_is_waited_for),
        cmocka_unit_test(test_cancelling_races),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_topics_that_are_no_expressions),
        cmocka_unit_test(test_events_with_workers),
        cmocka_unit_test(test_events_without),
        cmocka_unit_test(test_publishing_with_workers),
        cmocka_unit_test(test_publishing_without),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
