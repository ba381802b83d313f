/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <dirent.h>
#include <perilune.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "support/failing.h"

/* An app's life through the public API: with workers, and without. */

#define HELLO "{\"query\":\"{ version }\"}"

typedef struct files {
    pl_app_file list[3];
    char code[512];
} files;

static const files *versioned(files *f, const char *version)
{
    static const char schema[] = "type Query { version: String!, slow(s: Float!): String! }\n"
                                 "type Subscription { ticks: Int }";
    int length = snprintf(f->code, sizeof f->code,
                          "local time = require 'perilune.time'\n"
                          "local shared = require 'perilune.shared'.dict('d')\n"
                          "return { Query = { version = function() shared:incr('asked', 1) return '%s' end,\n"
                          "  slow = function(_, args) time.sleep(args.s) return '%s' end },\n"
                          "  Subscription = { ticks = { subscribe = function() end } } }",
                          version, version);
    f->list[0] = (pl_app_file){"schema/s.graphql", schema, sizeof schema - 1};
    f->list[1] = (pl_app_file){"resolvers/q.lua", f->code, (size_t)length};
    return f;
}

static pl_app *app_new(int workers, const char *http)
{
    files f;
    char error[1000];
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = versioned(&f, "one")->list;
    options.file_count = 2;
    options.workers = workers;
    options.http = http;
    pl_app *app = pl_app_new(&options, error, sizeof error);
    if (!app)
        fail_msg("%s", error);
    return app;
}

static pl_app *app_start(int workers, const char *http)
{
    char error[1000];
    pl_app *app = app_new(workers, http);
    if (pl_app_start(app, error, sizeof error) != PL_OK)
        fail_msg("%s", error);
    return app;
}

static pl_code change(pl_app *app, const char *version, char *error, size_t size)
{
    files f;
    return pl_app_reload_memory(app, versioned(&f, version)->list, 2, error, size);
}

static const char *ask_as(pl_app *app, const char *request, pl_code expected)
{
    static char text[4096];
    char *response;
    size_t length;
    pl_code code = pl_app_execute(app, request, strlen(request), &response, &length);
    assert_non_null(response);
    if (code != expected)
        fail_msg("%s: %s", pl_code_name(code), response);
    assert_int_equal(strlen(response), length);
    snprintf(text, sizeof text, "%s", response);
    pl_free_text(response);
    return text;
}

static const char *ask(pl_app *app, const char *query)
{
    char request[512];
    snprintf(request, sizeof request, "{\"query\":\"%s\"}", query);
    return ask_as(app, request, PL_OK);
}

static void has(const char *text, const char *part)
{
    expect_text(text, part, __FILE__, __LINE__);
}

/* --- options --- */
static void refused(const pl_app_options *options, const char *why)
{
    char error[300] = "";
    assert_null(pl_app_new(options, error, sizeof error));
    has(error, why);
    assert_null(pl_app_new(options, NULL, 0));
}

static void test_options(void **state)
{
    const pl_app_options init = PL_APP_OPTIONS_INIT;
    struct {
        pl_app_options options;
        int more;
    } newer = {.options = PL_APP_OPTIONS_INIT};
    pl_app_options o = init;
    o.size = 0;
    refused(&o, "PL_APP_OPTIONS_INIT");
    refused(NULL, "PL_APP_OPTIONS_INIT");
    o = init;
    o.workers = -2;
    refused(&o, "workers is -2");
    o = init;
    o.https = "127.0.0.1:0";
    refused(&o, "https needs certificate and key");
    o = init;
    o.directory = "x";
    o.files = (const pl_app_file[]){{"a", "b", 1}};
    refused(&o, "both");
    o = init;
    o.files = (const pl_app_file[]){{NULL, "b", 1}};
    o.file_count = 1;
    refused(&o, "files[0] has no path");
    static const char *const paths[] = {"", "/a.lua", "./a.lua", "a/../b.lua", "a//b.lua", "a/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        o.files = &(const pl_app_file){paths[i], "b", 1};
        refused(&o, "is no path below");
    }
    newer.options.size = sizeof newer;
    newer.more = 1;
    refused(&newer.options, "does not know");
    newer.more = 0;
    pl_app *app = pl_app_new(&newer.options, NULL, 0);
    assert_non_null(app); /* a newer caller that asks for nothing new */
    pl_app_free(app);
    o = init;
    o.size = offsetof(pl_app_options, log);
    o.log = (void *)1; /* beyond what an older caller has */
    app = pl_app_new(&o, NULL, 0);
    assert_int_equal(pl_app_start(app, NULL, 0), PL_OK);
    pl_app_free(app);
    pl_app_free(NULL);
    assert_string_equal(pl_version(), PL_VERSION);
}

static void test_a_start_that_fails_can_be_repeated(void **state)
{
    folder f;
    char error[1000];
    pl_app_options options = PL_APP_OPTIONS_INIT;
    folder_new(&f);
    folder_write(&f, "schema/s.graphql", "type Query { version: String }");
    folder_write(&f, "resolvers/q.lua", "return { Query = { other = function() end } }");
    options.directory = f.path;
    options.workers = 1;
    pl_app *app = pl_app_new(&options, NULL, 0);
    assert_int_equal(pl_app_start(app, error, sizeof error), PL_INVALID_ARGUMENT);
    has(error, "resolvers/q.lua:1: ");
    assert_int_equal(pl_app_start(app, NULL, 0), PL_INVALID_ARGUMENT);
    char cut[10];
    assert_int_equal(pl_app_start(app, cut, sizeof cut), PL_INVALID_ARGUMENT);
    assert_memory_equal(cut, "resolvers", 10);
    has(ask_as(app, HELLO, PL_UNAVAILABLE), "UNAVAILABLE");
    assert_int_equal(pl_app_generation(app), 0);
    assert_int_equal(pl_app_reload(app, NULL, error, sizeof error), PL_UNAVAILABLE);
    folder_write(&f, "resolvers/q.lua", "return { Query = { version = function() return 'x' end } }");
    assert_int_equal(pl_app_start(app, error, sizeof error), PL_OK);
    assert_string_equal(error, "");
    assert_int_equal(pl_app_start(app, error, sizeof error), PL_FAILED_PRECONDITION);
    assert_string_equal(ask(app, "{ version }"), "{\"data\":{\"version\":\"x\"}}");
    bool unchanged = false;
    assert_int_equal(pl_app_reload(app, &unchanged, NULL, 0), PL_OK);
    assert_true(unchanged);
    folder_write(&f, "resolvers/q.lua", "return { Query = { version = function() return 'y' end } }");
    assert_int_equal(pl_app_reload(app, &unchanged, NULL, 0), PL_OK);
    assert_false(unchanged);
    assert_string_equal(ask(app, "{ version }"), "{\"data\":{\"version\":\"y\"}}");
    pl_app_free(app);
    folder_remove(&f);
}

static void test_address_in_use(void **state)
{
    char error[1000];
    pl_app *app = app_start(1, "127.0.0.1:0");
    pl_app *other = app_new(0, pl_app_address(app, "http"));
    assert_int_equal(pl_app_start(other, error, sizeof error), PL_ALREADY_EXISTS);
    has(error, "cannot listen on 127.0.0.1:");
    pl_app_stop(app, 1000);
    assert_int_equal(pl_app_start(other, error, sizeof error), PL_OK); /* it is free again */
    pl_app_free(other);
    pl_app_free(app);
    other = app_new(1, "nonsense");
    assert_int_equal(pl_app_start(other, error, sizeof error), PL_INVALID_ARGUMENT);
    has(error, "is no address");
    pl_app_free(other);
}

/* --- with workers --- */
static void test_workers(void **state)
{
    char error[1000];
    pl_app *app = app_start(2, "127.0.0.1:0");
    const char *http = pl_app_address(app, "http");
    assert_non_null(http);
    assert_null(pl_app_address(app, "grpc"));
    assert_null(pl_app_address(app, "nonsense"));
    char *addresses = pl_app_addresses(app), expected[400];
    snprintf(expected, sizeof expected, "{\"http\":\"%s\"}", http);
    assert_string_equal(addresses, expected);
    pl_free_text(addresses);
    assert_string_equal(http_ask(http, "{ version }"), "{\"data\":{\"version\":\"one\"}}");
    for (int i = 0; i < 4; i++)
        assert_string_equal(ask(app, "{ version slow(s: 0.01) }"),
                            "{\"data\":{\"version\":\"one\",\"slow\":\"one\"}}");
    assert_int_equal(change(app, "two", error, sizeof error), PL_OK);
    assert_string_equal(ask(app, "{ version }"), "{\"data\":{\"version\":\"two\"}}");
    assert_string_equal(http_ask(http, "{ version }"), "{\"data\":{\"version\":\"two\"}}");
    assert_int_equal(change(app, "' +", error, sizeof error), PL_INVALID_ARGUMENT);
    has(error, "resolvers/q.lua:3: ");
    assert_int_equal(pl_app_generation(app), 2);
    bool unchanged = false;
    assert_int_equal(pl_app_reload(app, &unchanged, NULL, 0), PL_OK); /* of what was given last */
    assert_true(unchanged);
    assert_int_equal(pl_app_rollback(app, NULL, 0), PL_OK);
    assert_string_equal(ask(app, "{ version }"), "{\"data\":{\"version\":\"one\"}}");
    char *status = pl_app_status(app);
    has(status, "\"generation\":3");
    pl_free_text(status);
    char *metrics = pl_app_metrics(app);
    has(metrics, "perilune_reloads_total");
    pl_free_text(metrics);
    assert_int_equal(pl_app_turn(app, 0), PL_FAILED_PRECONDITION);
    assert_int_equal(pl_app_fd(app), -1);
    pl_app_stop(app, 1000);
    has(ask_as(app, HELLO, PL_UNAVAILABLE), "UNAVAILABLE");
    assert_string_equal(pl_app_address(app, "http"), http);
    assert_int_equal(pl_app_start(app, error, sizeof error), PL_FAILED_PRECONDITION);
    assert_int_equal(change(app, "three", error, sizeof error), PL_UNAVAILABLE);
    pl_free_text(pl_app_status(app));
    pl_app_free(app);
}

static void test_answers(void **state)
{
    pl_app *app = app_start(1, NULL);
    assert_null(pl_app_address(app, "http"));
    has(ask_as(app, "{", PL_INVALID_ARGUMENT), "\"errors\"");
    has(ask_as(app, "[1]", PL_INVALID_ARGUMENT), "must be a JSON object");
    has(ask_as(app, "{\"query\":\"{ nope }\"}", PL_INVALID_ARGUMENT), "Cannot query field");
    has(ask_as(app, "{\"query\":\"subscription { ticks }\"}", PL_UNIMPLEMENTED), "many responses");
    has(ask_as(app, "{\"query\":\"{ slow(s: \\\"x\\\") }\"}", PL_INVALID_ARGUMENT), "Float");
    assert_string_equal(
        ask_as(app, "{\"query\":\"query A { version } query B { slow(s: 0) }\",\"operationName\":\"B\"}",
               PL_OK),
        "{\"data\":{\"slow\":\"one\"}}");
    char *response;
    assert_int_equal(pl_app_execute(app, HELLO, strlen(HELLO), &response, NULL), PL_OK);
    pl_free_text(response);
    pl_app_free(app);
    pl_app_options options = PL_APP_OPTIONS_INIT; /* an empty bundle */
    app = pl_app_new(&options, NULL, 0);
    assert_int_equal(pl_app_start(app, NULL, 0), PL_OK);
    has(ask_as(app, HELLO, PL_FAILED_PRECONDITION), "no schema");
    pl_app_free(app);
}

typedef struct call {
    pl_app *app;
    atomic_int ended;
    pl_code code;
    char response[256];
    pl_code nested, stopped;
} call;

static void on_done(void *data, pl_code code, const char *response, size_t length)
{
    call *c = data;
    char *text;
    c->code = code;
    snprintf(c->response, sizeof c->response, "%.*s", (int)length, response);
    c->stopped = pl_app_stop(c->app, 0); /* not from here: nothing happens */
    pl_app_free(c->app);                 /* the same */
    c->nested = pl_app_execute(c->app, HELLO, strlen(HELLO), &text, NULL);
    pl_free_text(text);
    atomic_fetch_add(&c->ended, 1);
}

static void on_refused(void *data, pl_code code, const char *response, size_t length)
{
    *(pl_code *)data = code;
}

static void test_without_waiting(void **state)
{
    pl_app *app = app_start(2, NULL);
    call c = {.app = app};
    pl_app_execute_async(app, HELLO, strlen(HELLO), on_done, &c);
    while (!atomic_load(&c.ended))
        sched_yield();
    assert_int_equal(c.code, PL_OK);
    assert_string_equal(c.response, "{\"data\":{\"version\":\"one\"}}");
    assert_int_equal(c.nested, PL_FAILED_PRECONDITION);
    assert_int_equal(c.stopped, PL_FAILED_PRECONDITION);
    /* The end cuts what takes longer than it is given. */
    const char slow[] = "{\"query\":\"{ slow(s: 100) }\"}";
    call cut = {.app = app};
    pl_app_execute_async(app, slow, sizeof slow - 1, on_done, &cut);
    pl_app_stop(app, 20);
    assert_int_equal(atomic_load(&cut.ended), 1);
    assert_int_equal(cut.code, PL_UNAVAILABLE);
    assert_int_equal(cut.stopped, PL_FAILED_PRECONDITION); /* the end is under way */
    has(cut.response, "\"code\":\"UNAVAILABLE\"");
    pl_code ended = PL_UNKNOWN;
    pl_app_execute_async(app, HELLO, strlen(HELLO), on_refused, &ended);
    assert_int_equal(ended, PL_UNAVAILABLE);
    assert_int_equal(pl_app_stop(app, 0), PL_OK);
    pl_app_free(app);
}

static void *stop_slowly(void *arg)
{
    assert_int_equal(pl_app_stop(arg, 20000), PL_OK);
    return NULL;
}

static void test_one_thread_stops_it(void **state)
{
    pthread_t thread;
    pl_app *app = app_start(1, NULL);
    const char slow[] = "{\"query\":\"{ slow(s: 0.3) }\"}";
    call c = {.app = app};
    pl_app_execute_async(app, slow, sizeof slow - 1, on_done, &c);
    assert_int_equal(pthread_create(&thread, NULL, stop_slowly, app), 0);
    while (pl_app_generation(app) > 0)
        sched_yield();
    assert_int_equal(pl_app_stop(app, 0), PL_FAILED_PRECONDITION);
    pthread_join(thread, NULL);
    assert_int_equal(c.code, PL_OK);
    assert_int_equal(pl_app_stop(app, 0), PL_OK);
    pl_app_free(app);
}

static void test_the_end_waits(void **state)
{
    pl_app *app = app_start(1, NULL);
    const char slow[] = "{\"query\":\"{ slow(s: 0.05) }\"}";
    call c = {.app = app};
    pl_app_execute_async(app, slow, sizeof slow - 1, on_done, &c);
    pl_app_stop(app, 20000);
    assert_int_equal(atomic_load(&c.ended), 1);
    assert_string_equal(c.response, "{\"data\":{\"slow\":\"one\"}}");
    pl_app_free(app);
}

static void test_a_request_ends_where_it_began(void **state)
{
    pl_app *app = app_start(1, NULL);
    const char slow[] = "{\"query\":\"{ slow(s: 0.05) }\"}";
    call c = {.app = app};
    pl_app_execute_async(app, slow, sizeof slow - 1, on_done, &c);
    assert_int_equal(change(app, "two", NULL, 0), PL_OK);
    assert_string_equal(ask(app, "{ version }"), "{\"data\":{\"version\":\"two\"}}");
    while (!atomic_load(&c.ended))
        sched_yield();
    assert_string_equal(c.response, "{\"data\":{\"slow\":\"one\"}}");
    pl_app_free(app);
}

typedef struct asker {
    pl_app *app;
    pthread_t thread;
    atomic_bool *stop;
    unsigned asked;
    const char *versions;
} asker;

static void *ask_often(void *arg)
{
    asker *a = arg;
    while (!atomic_load(a->stop) || a->asked == 0) {
        char *response;
        size_t length;
        pl_code code = pl_app_execute(a->app, HELLO, strlen(HELLO), &response, &length);
        assert_int_equal(code, PL_OK);
        char version = response[strlen("{\"data\":{\"version\":\"")];
        if (!strchr(a->versions, version))
            fail_msg("%s", response);
        pl_free_text(response);
        a->asked++;
    }
    return NULL;
}

/* Two apps of one process, of which one is reloaded, while threads ask both. */
static void test_two_apps(void **state)
{
    pl_app *apps[2] = {app_start(2, NULL), app_start(1, NULL)};
    asker askers[4];
    atomic_bool stop = false;
    assert_int_equal(change(apps[1], "x", NULL, 0), PL_OK);
    for (int i = 0; i < 4; i++) {
        askers[i] = (asker){.app = apps[i % 2], .stop = &stop, .versions = i % 2 ? "x" : "ot"};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_often, &askers[i]), 0);
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(change(apps[0], i % 2 ? "one" : "two", NULL, 0), PL_OK);
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++)
        pthread_join(askers[i].thread, NULL);
    assert_int_equal(pl_app_generation(apps[0]), 21);
    assert_int_equal(pl_app_generation(apps[1]), 2);
    pl_app_free(apps[0]);
    assert_string_equal(ask(apps[1], "{ version }"), "{\"data\":{\"version\":\"x\"}}");
    pl_app_free(apps[1]);
}

/* --- the end, while other threads do everything else --- */
static void *ask_to_the_end(void *arg)
{
    pl_code code = PL_OK;
    while (code != PL_UNAVAILABLE) {
        code = pl_app_execute(arg, HELLO, strlen(HELLO), NULL, NULL);
        assert_true(code == PL_OK || code == PL_UNAVAILABLE);
    }
    return NULL;
}

static void *change_to_the_end(void *arg)
{
    pl_code code = PL_OK;
    for (int i = 0; code != PL_UNAVAILABLE; i++) {
        code = i % 3 == 2 ? pl_app_rollback(arg, NULL, 0) : change(arg, i % 2 ? "x" : "y", NULL, 0);
        assert_true(code == PL_OK || code == PL_UNAVAILABLE || code == PL_FAILED_PRECONDITION);
    }
    return NULL;
}

static void *look_to_the_end(void *arg)
{
    while (pl_app_generation(arg) > 0) {
        pl_free_text(pl_app_status(arg));
        pl_free_text(pl_app_metrics(arg));
        pl_free_text(pl_app_addresses(arg));
    }
    return NULL;
}

static void test_the_end_in_the_middle(void **state)
{
    void *(*const all[])(void *) = {ask_to_the_end, ask_to_the_end, change_to_the_end, look_to_the_end};
    for (unsigned round = 0; round < 6; round++) {
        pthread_t threads[4];
        pl_app *app = app_start(2, round % 2 ? "127.0.0.1:0" : NULL), *other = app_start(0, NULL);
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, all[i], app), 0);
        for (unsigned i = 0; i < 5 * round; i++)
            ask(other, "{ version }");
        assert_int_equal(pl_app_stop(app, round % 3 ? 5000 : 0), PL_OK);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        pl_app_free(app);
        assert_string_equal(ask(other, "{ version }"), "{\"data\":{\"version\":\"one\"}}");
        pl_app_free(other);
    }
}

static void test_dictionaries_are_apart(void **state)
{
    static const char schema[] = "type Query { add: Int! }";
    static const char code[] = "local d = require 'perilune.shared'.dict('d')\n"
                               "return { Query = { add = function() return d:incr('n', 1) end } }";
    const pl_app_file list[] = {{"schema/s.graphql", schema, sizeof schema - 1},
                                {"resolvers/q.lua", code, sizeof code - 1}};
    char error[1000];
    pl_app *a = pl_app_open_memory(list, 2, error, sizeof error);
    if (!a)
        fail_msg("%s", error);
    pl_app *b = pl_app_open_memory(list, 2, error, sizeof error);
    assert_string_equal(ask(a, "{ add }"), "{\"data\":{\"add\":1}}");
    assert_string_equal(ask(a, "{ add }"), "{\"data\":{\"add\":2}}");
    assert_string_equal(ask(b, "{ add }"), "{\"data\":{\"add\":1}}");
    assert_int_equal(pl_app_rollback(b, error, sizeof error), PL_FAILED_PRECONDITION);
    has(error, "no earlier generation");
    pl_app_close(a);
    pl_app_close(b);
}

/* --- without workers --- */
static void test_the_callers_loop(void **state)
{
    pl_app *app = app_start(0, NULL);
    const char slow[] = "{\"query\":\"{ slow(s: 0.02) }\"}";
    call calls[10];
    for (int i = 0; i < 10; i++) {
        calls[i] = (call){.app = app};
        pl_app_execute_async(app, slow, sizeof slow - 1, on_done, &calls[i]);
        assert_int_equal(atomic_load(&calls[i].ended), 0); /* not before a turn */
    }
    for (unsigned ended = 0; ended < 10;) {
        struct pollfd fd = {.fd = pl_app_fd(app), .events = POLLIN};
        assert_true(poll(&fd, 1, pl_app_timeout(app)) >= 0);
        assert_int_equal(pl_app_turn(app, 0), PL_OK);
        ended = 0;
        for (int i = 0; i < 10; i++)
            ended += (unsigned)atomic_load(&calls[i].ended);
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(calls[i].code, PL_OK);
        assert_int_equal(calls[i].nested, PL_FAILED_PRECONDITION);
    }
    assert_int_equal(change(app, "two", NULL, 0), PL_OK);
    assert_string_equal(ask(app, "{ version }"), "{\"data\":{\"version\":\"two\"}}");
    pl_free_text(pl_app_status(app));
    pl_free_text(pl_app_metrics(app));
    pl_app_stop(app, 1000);
    assert_int_equal(pl_app_turn(app, 0), PL_UNAVAILABLE);
    assert_int_equal(pl_app_fd(app), -1);
    pl_app_free(app);
}

static void *ask_and_reload(void *arg)
{
    pl_app *app = arg;
    assert_string_equal(ask(app, "{ slow(s: 0.001) }"), "{\"data\":{\"slow\":\"one\"}}");
    assert_int_equal(change(app, "two", NULL, 0), PL_OK);
    assert_string_equal(ask(app, "{ version }"), "{\"data\":{\"version\":\"two\"}}");
    return NULL;
}

static void test_another_thread_goes_on(void **state)
{
    pthread_t thread;
    pl_app *app = app_start(0, NULL);
    assert_string_equal(ask(app, "{ version }"), "{\"data\":{\"version\":\"one\"}}");
    assert_int_equal(pthread_create(&thread, NULL, ask_and_reload, app), 0);
    pthread_join(thread, NULL);
    assert_string_equal(ask(app, "{ version }"), "{\"data\":{\"version\":\"two\"}}");
    pl_app_free(app);
}

static void *start_looping(void *arg)
{
    static const char schema[] = "type Query { loop: Int }";
    static const char code[] = "return { Query = { loop = function() while true do end end } }";
    const pl_app_file list[] = {{"schema/s.graphql", schema, sizeof schema - 1},
                                {"resolvers/q.lua", code, sizeof code - 1}};
    pl_app **app = arg;
    *app = pl_app_open_memory(list, 2, NULL, 0);
    return NULL;
}

/* As the first thing that another thread asks for. */
static void *look_and_reload(void *arg)
{
    pl_app *app = arg;
    char *status = pl_app_status(app), *metrics = pl_app_metrics(app);
    has(status, "\"generation\":1");
    has(metrics, "perilune_reloads_total");
    pl_free_text(status);
    pl_free_text(metrics);
    return NULL;
}

static void *reload_first(void *arg)
{
    assert_int_equal(change(arg, "two", NULL, 0), PL_OK);
    return NULL;
}

static void *reload_and_roll_back(void *arg)
{
    assert_int_equal(pl_app_reload(arg, NULL, NULL, 0), PL_OK);
    assert_int_equal(pl_app_rollback(arg, NULL, 0), PL_OK);
    return NULL;
}

static void test_another_thread_begins_otherwise(void **state)
{
    void *(*const firsts[])(void *) = {look_and_reload, reload_first, reload_and_roll_back};
    pl_app *app = app_start(0, NULL);
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, firsts[i], app), 0);
        pthread_join(thread, NULL);
    }
    assert_string_equal(ask(app, "{ version }"), "{\"data\":{\"version\":\"one\"}}");
    pl_app_free(app);
}

/* Scripts that overrun are found on whatever thread they run; the one that they were made on is gone. */
static void test_limits_on_another_thread(void **state)
{
    pthread_t thread;
    pl_app *app = NULL;
    assert_int_equal(pthread_create(&thread, NULL, start_looping, &app), 0);
    pthread_join(thread, NULL);
    assert_non_null(app);
    has(ask(app, "{ loop }"), "\"code\":\"DEADLINE_EXCEEDED\"");
    pl_app_close(app);
}

/* Whether the threads of this process but the calling one all wait for something. */
static bool others_sleep(void)
{
    bool asleep = true;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *task; (task = readdir(tasks));) {
        char path[300], line[400] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", task->d_name);
        FILE *file = task->d_name[0] != '.' && atoi(task->d_name) != gettid() ? fopen(path, "r") : NULL;
        if (!file)
            continue;
        const char *state = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        asleep = asleep && state && state[2] == 'S';
        fclose(file);
    }
    closedir(tasks);
    return asleep;
}

/* AddressSanitizer's allocator may be locked by a thread that is not there in a child: here by those of the
 * app, which have only just begun. */
static void wait_until_others_sleep(void)
{
    do
        usleep(1000);
    while (!others_sleep());
}

/* A child process leaves its parent's apps alone, and may have its own. */
static void test_limits_in_a_child(void **state)
{
#ifndef __SANITIZE_THREAD__ /* which takes no threads in children */
    int status;
    pl_app *app = NULL;
    start_looping(&app);
    has(ask(app, "{ __typename }"), "Query"); /* this thread has run scripts */
    wait_until_others_sleep();
    pid_t child = fork();
    if (child == 0) {
        pl_app *own = NULL;
        alarm(20);
        start_looping(&own);
        _exit(strstr(ask(own, "{ loop }"), "\"code\":\"DEADLINE_EXCEEDED\"") ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    pl_app_close(app);
#endif
}

static uint64_t own_clock(void *data)
{
    return *(uint64_t *)data;
}

static void test_own_clock(void **state)
{
    files f;
    uint64_t now = 5000000000;
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = versioned(&f, "one")->list;
    options.file_count = 2;
    options.clock = own_clock;
    options.clock_data = &now;
    options.workers = 1;
    refused(&options, "clock");
    options.workers = 0;
    pl_app *app = pl_app_new(&options, NULL, 0);
    assert_int_equal(pl_app_start(app, NULL, 0), PL_OK);
    const char slow[] = "{\"query\":\"{ slow(s: 5) }\"}";
    call c = {.app = app};
    pl_app_execute_async(app, slow, sizeof slow - 1, on_done, &c);
    for (int i = 0; i < 10; i++)
        pl_app_turn(app, 1);
    assert_int_equal(atomic_load(&c.ended), 0);
    now += 5001000000;
    for (int i = 0; i < 10 && !atomic_load(&c.ended); i++)
        pl_app_turn(app, 0);
    assert_int_equal(atomic_load(&c.ended), 1);
    assert_string_equal(c.response, "{\"data\":{\"slow\":\"one\"}}");
    /* What is measured goes by it, too. */
    char *metrics = pl_app_metrics(app);
    const char *sum = strstr(metrics, "graphql_operation_duration_seconds_sum");
    assert_non_null(sum);
    assert_float_equal(strtod(strchr(sum, ' '), NULL), 5.001, 0.0001);
    pl_free_text(metrics);
    pl_app_free(app);
}

/* --- the log --- */
static void on_line(void *data, pl_log_level level, const char *line, size_t length)
{
    char *out = data;
    snprintf(out + strlen(out), 20000 - strlen(out), "%d %.*s\n", level, (int)length, line);
}

static void test_log(void **state)
{
    char lines[20000] = "";
    files f;
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = versioned(&f, "one")->list;
    options.file_count = 2;
    options.workers = 1;
    options.log = on_line;
    options.log_data = lines;
    pl_app *app = pl_app_new(&options, NULL, 0);
    assert_int_equal(pl_app_start(app, NULL, 0), PL_OK);
    assert_int_equal(change(app, "two", NULL, 0), PL_OK);
    pl_app_free(app);
    has(lines, "\"reloaded\"");
    has(lines, "2 {"); /* PL_LOG_INFO */
    assert_null(strstr(lines, "1 {\"time\""));
}

/* --- memory --- */
/* All of it is on this thread: the first allocation fails, and all after it; then the second, and so on. */
static void test_memory_failures(void **state)
{
    failing a = {.sticky = true, .dense = 200, .step = 37};
    size_t answered = 0;
    while (failing_next(&a)) {
        files f;
        char error[1000], *response = NULL;
        pl_app_options options = PL_APP_OPTIONS_INIT;
        options.files = versioned(&f, "one")->list;
        options.file_count = 2;
        failing_begin(&a);
        pl_app *app = pl_app_new(&options, error, sizeof error);
        pl_code code = app ? pl_app_start(app, error, sizeof error) : PL_RESOURCE_EXHAUSTED;
        if (!code) {
            code = pl_app_execute(app, HELLO, strlen(HELLO), &response, NULL);
            answered += code == PL_OK;
            pl_free_text(response);
        }
        if (!code)
            code = change(app, "two", error, sizeof error);
        bool failed = failing_end(&a);
        assert_true(failed || !code);
        if (code && code != PL_RESOURCE_EXHAUSTED && code != PL_INVALID_ARGUMENT && code != PL_INTERNAL &&
            code != PL_UNAVAILABLE)
            fail_msg("%s %s", pl_code_name(code), error);
        if (app && pl_app_generation(app) > 0)
            has(ask_as(app, HELLO, PL_OK), "version"); /* it goes on */
        pl_app_free(app);
    }
    assert_true(answered > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_a_start_that_fails_can_be_repeated),
        cmocka_unit_test(test_address_in_use),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_without_waiting),
        cmocka_unit_test(test_one_thread_stops_it),
        cmocka_unit_test(test_the_end_waits),
        cmocka_unit_test(test_a_request_ends_where_it_began),
        cmocka_unit_test(test_two_apps),
        cmocka_unit_test(test_the_end_in_the_middle),
        cmocka_unit_test(test_dictionaries_are_apart),
        cmocka_unit_test(test_the_callers_loop),
        cmocka_unit_test(test_another_thread_goes_on),
        cmocka_unit_test(test_another_thread_begins_otherwise),
        cmocka_unit_test(test_limits_on_another_thread),
        cmocka_unit_test(test_limits_in_a_child),
        cmocka_unit_test(test_own_clock),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
