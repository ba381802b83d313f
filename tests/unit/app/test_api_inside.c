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

/* The public API as functions of the host program call it: in the middle of a request, with Lua below. */

static const char schema[] = "directive @spin on FIELD_DEFINITION\n"
                             "type Query { version: String  own: String  ownSpin: String @spin }";
static const char lua[] = "return { Query = { version = function() return '%s' end },\n"
                          "  ['@spin'] = { field = function(resolve) return function(...)\n"
                          "    resolve(...) " SPIN " end end } }";

typedef struct files {
    pl_app_file list[2];
    char lua[600];
} files;

static const pl_app_file *versioned(files *f, const char *version)
{
    int length = snprintf(f->lua, sizeof f->lua, lua, version);
    f->list[0] = (pl_app_file){"schema/s.graphql", schema, sizeof schema - 1};
    f->list[1] = (pl_app_file){"resolvers/q.lua", f->lua, (size_t)length};
    return f->list;
}

static pl_app *app_start(int workers, pl_native_function own, void *data)
{
    files f;
    char error[1000];
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = versioned(&f, "one");
    options.file_count = 2;
    options.workers = workers;
    pl_app *app = pl_app_new(&options, error, sizeof error);
    assert_non_null(app);
    assert_int_equal(pl_app_resolver(app, "Query", "own", own, data), PL_OK);
    assert_int_equal(pl_app_resolver(app, "Query", "ownSpin", own, data), PL_OK);
    if (pl_app_start(app, error, sizeof error))
        fail_msg("%s", error);
    return app;
}

static pl_code execute(pl_app *app, const char *query, char *text, size_t size)
{
    char request[300], *response;
    snprintf(request, sizeof request, "{\"query\":\"%s\"}", query);
    pl_code code = pl_app_execute(app, request, strlen(request), &response, NULL);
    snprintf(text, size, "%s", response ? response : "");
    pl_free_text(response);
    return code;
}

static const char *ask(pl_app *app, const char *query)
{
    static char text[2000];
    pl_code code = execute(app, query, text, sizeof text);
    if (code)
        fail_msg("%s %s", pl_code_name(code), text);
    return text;
}

static void has(const char *text, const char *part)
{
    expect_text(text, part, __FILE__, __LINE__);
}

static pl_native_status nothing(pl_native_call *call, void *data)
{
    return PL_NATIVE_DONE;
}

/* --- another app, whose scripts then run on this thread --- */
static pl_native_status ask_other(pl_native_call *call, void *data)
{
    char text[300];
    pl_code code = execute(*(pl_app **)data, "{ version }", text, sizeof text);
    if (code)
        return pl_native_fail(call, code, text);
    pl_native_put_text(call, text);
    return PL_NATIVE_DONE;
}

static void other_is_asked(int workers)
{
    pl_app *other = app_start(0, nothing, NULL), *app = app_start(workers, ask_other, &other);
    has(ask(app, "{ own }"), "{\\\"data\\\":{\\\"version\\\":\\\"one\\\"}}");
    /* The limits of the script that goes on then are in force. */
    has(ask(app, "{ ownSpin }"), "\"code\":\"DEADLINE_EXCEEDED\"");
    pl_app_free(app);
    has(ask(other, "{ version }"), "one");
    pl_app_free(other);
}

static void test_another_app_is_asked(void **state)
{
    other_is_asked(0);
    other_is_asked(1);
}

/* --- its own app --- */
typedef struct inside {
    pl_app *app;
    pl_code executed, handled, stopped, reloaded, later;
    bool looked;
    atomic_int ended;
} inside;

static void on_done(void *data, pl_code code, const char *response, size_t length)
{
    inside *i = data;
    files f;
    i->later = code;
    if (!code)
        i->later = pl_app_reload_memory(i->app, versioned(&f, "done"), 2, NULL, 0);
    atomic_fetch_add(&i->ended, 1);
}

static pl_native_status all_of_it(pl_native_call *call, void *data)
{
    inside *i = data;
    files f;
    char text[300], error[300];
    static const char version[] = "{\"query\":\"{ version }\"}";
    const pl_app_event event = {.topic = "t"};
    i->executed = execute(i->app, "{ version }", text, sizeof text);
    i->handled = pl_app_handle_event(i->app, &event, error, sizeof error);
    pl_app_execute_async(i->app, version, sizeof version - 1, on_done, i);
    i->stopped = pl_app_stop(i->app, 10);
    pl_app_free(i->app);
    char *status = pl_app_status(i->app), *metrics = pl_app_metrics(i->app);
    i->looked = status && metrics && pl_app_generation(i->app) > 0;
    pl_free_text(status);
    pl_free_text(metrics);
    snprintf(text, sizeof text, "%llu", (unsigned long long)pl_app_generation(i->app));
    i->reloaded = pl_app_reload_memory(i->app, versioned(&f, text), 2, error, sizeof error);
    pl_native_put_text(call, "done");
    return PL_NATIVE_DONE;
}

/* Both the function and the callback reload it. */
static void own_app(int workers)
{
    inside i = {0};
    pl_app *app = app_start(workers, all_of_it, &i);
    i.app = app;
    /* The request ends on the generation that it has begun on. */
    assert_string_equal(ask(app, "{ own version }"), "{\"data\":{\"own\":\"done\",\"version\":\"one\"}}");
    assert_int_equal(i.executed, PL_FAILED_PRECONDITION);
    assert_int_equal(i.handled, PL_FAILED_PRECONDITION);
    assert_int_equal(i.stopped, PL_FAILED_PRECONDITION);
    assert_true(i.reloaded == PL_OK || (workers == 2 && i.reloaded == PL_FAILED_PRECONDITION));
    assert_true(i.looked);
    has(ask(app, "{ ownSpin }"), "\"code\":\"DEADLINE_EXCEEDED\"");
    while (atomic_load(&i.ended) < 2) {
        if (workers == 0)
            pl_app_turn(app, 10);
        else
            sched_yield();
    }
    if (workers == 2) { /* one may come while the other is under way */
        assert_true(i.later == PL_OK || i.later == PL_FAILED_PRECONDITION);
    } else {
        assert_int_equal(i.later, PL_OK);
        has(ask(app, "{ version }"), "\"done\"");
    }
    pl_app_free(app);
}

static void test_its_own_app_is_asked(void **state)
{
    own_app(0);
    own_app(1);
    own_app(2);
}

/* --- a request that cancels itself --- */
typedef struct self {
    pl_cancellation *by;
    atomic_int ended;
    pl_code code;
} self;

static void on_end(void *data, pl_code code, const char *response, size_t length)
{
    self *s = data;
    s->code = code;
    pl_cancellation_cancel(s->by);
    atomic_fetch_add(&s->ended, 1);
}

static pl_native_status cancel_it(pl_native_call *call, void *data)
{
    pl_cancellation_cancel(((self *)data)->by);
    return PL_NATIVE_DONE;
}

static void test_a_request_cancels_itself(void **state)
{
    for (int round = 0; round < 4; round++) {
        int workers = round % 2;
        self s = {.by = pl_cancellation_new()};
        pl_app *app = app_start(workers, cancel_it, &s);
        pl_app_request request = PL_APP_REQUEST_INIT;
        request.body = round < 2 ? "{\"query\":\"{ version }\"}" : "{\"query\":\"{ own version }\"}";
        request.length = strlen(request.body);
        request.cancellation = s.by;
        pl_app_ask_async(app, &request, on_end, &s);
        while (!atomic_load(&s.ended)) {
            if (workers == 0)
                pl_app_turn(app, 10);
            else
                sched_yield();
        }
        assert_int_equal(s.code, PL_OK); /* it had ended in the same turn */
        assert_int_equal(pl_app_ask(app, &request, NULL, NULL), PL_CANCELLED);
        pl_app_free(app);
        pl_cancellation_free(s.by);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_app_is_asked),
        cmocka_unit_test(test_its_own_app_is_asked),
        cmocka_unit_test(test_a_request_cancels_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
