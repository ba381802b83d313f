/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <h2o.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "app/server.h"
#include "perilune/engines.h"

/* Workers on loops that others turn: a pl_loop that the test turns, and h2o's own. */

typedef struct site {
    pl_server *server;
    atomic_bool asked;
    const char *query;
    char answer[256];
} site;

static pl_bundle *versioned(const char *version)
{
    char code[600];
    snprintf(code, sizeof code,
             "local time = require 'perilune.time'\n"
             "return { Query = { version = function() return '%s' end,\n"
             "  slow = function(_, args) time.sleep(args.s) return '%s' end } }",
             version, version);
    const char *const files[] = {"schema/s.graphql",
                                 "type Query { version: String!, slow(s: Float!): String! }",
                                 "resolvers/q.lua", code, NULL};
    return memory_bundle(files);
}

static void site_start(site *s, unsigned threads, unsigned attached)
{
    pl_report report;
    pl_error err = {0};
    *s = (site){.query = "{ version }"};
    pl_bundle *bundle = versioned("one");
    pl_report_init(&report);
    pl_server_config config = {.bundle = bundle,
                               .workers = threads,
                               .attached = attached,
                               .keeper = true,
                               .edge = {.address = "127.0.0.1:0"},
                               .engine = pl_lua_engine()};
    s->server = pl_server_start(&config, &report, &err);
    if (!s->server)
        fail_msg("%s %s", err.message, report_text(&report));
    pl_report_dispose(&report);
    pl_bundle_unref(bundle);
}

static void site_end(site *s)
{
    pl_server_stop(s->server, 1000);
    pl_server_free(s->server);
}

static pl_reload_result reload(site *s, const char *version)
{
    pl_report report;
    pl_bundle *bundle = versioned(version);
    pl_report_init(&report);
    pl_reload_result result = pl_server_reload_bundle(s->server, bundle, "test", false, &report);
    pl_report_dispose(&report);
    pl_bundle_unref(bundle);
    return result;
}

static void *ask(void *arg)
{
    site *s = arg;
    snprintf(s->answer, sizeof s->answer, "%s", http_ask(pl_server_address(s->server), s->query));
    atomic_store(&s->asked, true);
    return NULL;
}

/* turn(data) until the request that another thread makes is answered. */
static const char *ask_meanwhile(site *s, const char *query, void (*turn)(void *data), void *data)
{
    pthread_t thread;
    s->query = query;
    atomic_store(&s->asked, false);
    assert_int_equal(pthread_create(&thread, NULL, ask, s), 0);
    while (!atomic_load(&s->asked))
        turn(data);
    pthread_join(thread, NULL);
    return s->answer;
}

static pl_loop *new_loop(site *s)
{
    pl_error err = {0};
    pl_loop *loop = pl_loop_new(pl_server_helpers(s->server), NULL, &err);
    assert_non_null(loop);
    return loop;
}

static void turn_own(void *data)
{
    pl_loop_turn(data, 5);
}

static void test_own_loop(void **state)
{
    site s;
    pl_error err = {0};
    site_start(&s, 0, 1);
    pl_loop *loop = new_loop(&s);
    pl_worker *worker = pl_server_attach(s.server, loop, NULL, &err);
    assert_non_null(worker);
    assert_ptr_equal(pl_server_worker(s.server, 0), worker);
    assert_string_equal(ask_meanwhile(&s, "{ version }", turn_own, loop), "{\"data\":{\"version\":\"one\"}}");
    assert_int_equal(reload(&s, "two"), PL_RELOADED); /* on the worker's own thread */
    assert_string_equal(ask_meanwhile(&s, "{ slow(s: 0.05) }", turn_own, loop),
                        "{\"data\":{\"slow\":\"two\"}}");
    pl_buf buf;
    pl_buf_init(&buf);
    pl_server_status(s.server, &buf);
    expect_text(buf.data, "\"generation\":2", __FILE__, __LINE__);
    pl_buf_dispose(&buf);
    assert_null(pl_server_attach(s.server, new_loop(&s), NULL, &err)); /* there is but one place */
    assert_int_equal(err.code, PL_FAILED_PRECONDITION);
    site_end(&s); /* detaches it, turning the loop */
}

static void poll_own(void *data)
{
    struct pollfd fd = {.fd = pl_loop_fd(data), .events = POLLIN};
    int wait = pl_loop_wait_ms(data);
    /* Never too long: what is waited for is there before. */
    assert_true(poll(&fd, 1, wait < 0 ? 10000 : wait) >= 0);
    pl_loop_turn(data, 0);
}

static void test_descriptor_and_timeout_tell_all(void **state)
{
    site s;
    pl_error err = {0};
    site_start(&s, 0, 1);
    pl_loop *loop = new_loop(&s);
    assert_non_null(pl_server_attach(s.server, loop, NULL, &err));
    uint64_t began = clock_ms();
    assert_string_equal(ask_meanwhile(&s, "{ slow(s: 0.02) }", poll_own, loop),
                        "{\"data\":{\"slow\":\"one\"}}");
    assert_true(clock_ms() - began < 9000);
    site_end(&s);
}

/* --- on h2o's loop --- */
static void turn_h2o(void *data)
{
    h2o_evloop_run(data, 5);
}

static void set(void *data)
{
    *(bool *)data = true;
}

static pl_worker *attach_h2o(site *s, h2o_loop_t *h2o)
{
    pl_error err = {0};
    pl_loop *loop = pl_loop_new_on(h2o, pl_server_helpers(s->server), NULL, &err);
    assert_non_null(loop);
    pl_worker *worker = pl_server_attach(s->server, loop, NULL, &err);
    assert_non_null(worker);
    return worker;
}

static void test_foreign_loop(void **state)
{
    site s;
    bool done = false;
    h2o_loop_t *h2o = h2o_evloop_create();
    site_start(&s, 0, 1);
    pl_worker *worker = attach_h2o(&s, h2o);
    assert_string_equal(ask_meanwhile(&s, "{ version }", turn_h2o, h2o), "{\"data\":{\"version\":\"one\"}}");
    for (int i = 0; i < 20; i++) /* timers of every length below 20 ms */
        assert_string_equal(
            ask_meanwhile(&s, "{ a: slow(s: 0.001) b: slow(s: 0.009) c: slow(s: 0.017) }", turn_h2o, h2o),
            "{\"data\":{\"a\":\"one\",\"b\":\"one\",\"c\":\"one\"}}");
    assert_int_equal(reload(&s, "two"), PL_RELOADED);
    assert_string_equal(ask_meanwhile(&s, "{ slow(s: 0.01) }", turn_h2o, h2o),
                        "{\"data\":{\"slow\":\"two\"}}");
    assert_true(pl_worker_detach(worker, 1000, set, &done));
    while (!done)
        h2o_evloop_run(h2o, 10);
    assert_false(pl_worker_is_attached(worker));
    assert_false(pl_worker_detach(worker, 1000, set, &done));
    assert_int_equal(reload(&s, "three"), PL_RELOADED); /* though nobody takes it */
    for (int i = 0; i < 3; i++)
        h2o_evloop_run(h2o, 0); /* nothing of it is left there */
    site_end(&s);
    h2o_evloop_run(h2o, 0);
    h2o_evloop_destroy(h2o);
}

typedef struct other {
    site *s;
    pthread_t thread;
    atomic_bool ready, stop;
    unsigned asked;
} other;

/* A program's thread with a loop of h2o's, which asks for the status again and again. */
static void *other_main(void *arg)
{
    other *o = arg;
    bool done = false;
    h2o_loop_t *h2o = h2o_evloop_create();
    pl_worker *worker = attach_h2o(o->s, h2o);
    atomic_store(&o->ready, true);
    while (!atomic_load(&o->stop)) {
        pl_buf buf;
        pl_buf_init(&buf);
        pl_server_status(o->s->server, &buf);
        assert_false(buf.failed);
        pl_buf_dispose(&buf);
        o->asked++;
        h2o_evloop_run(h2o, 1);
    }
    pl_worker_detach(worker, 1000, set, &done);
    while (!done)
        h2o_evloop_run(h2o, 10);
    h2o_evloop_destroy(h2o);
    return NULL;
}

static void test_workers_that_ask_each_other(void **state)
{
    site s;
    other others[2];
    site_start(&s, 1, 3); /* one place is never taken */
    for (int i = 0; i < 2; i++) {
        others[i] = (other){.s = &s};
        assert_int_equal(pthread_create(&others[i].thread, NULL, other_main, &others[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        while (!atomic_load(&others[i].ready))
            sched_yield();
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(reload(&s, i % 2 ? "one" : "two"), PL_RELOADED);
    for (int i = 0; i < 2; i++) {
        atomic_store(&others[i].stop, true);
        pthread_join(others[i].thread, NULL);
        assert_true(others[i].asked > 0);
    }
    assert_int_equal(pl_server_generation(s.server), 21);
    site_end(&s);
}

static void *reload_often(void *arg)
{
    other *o = arg;
    while (!atomic_load(&o->stop)) {
        pl_reload_result result = reload(o->s, o->asked % 2 ? "one" : "two");
        assert_true(result == PL_RELOADED || result == PL_RELOAD_BUSY || result == PL_RELOAD_UNCHANGED);
        o->asked++;
    }
    return NULL;
}

static void test_one_reload_at_a_time(void **state)
{
    site s;
    other others[3];
    site_start(&s, 2, 0);
    for (int i = 0; i < 3; i++) {
        others[i] = (other){.s = &s};
        assert_int_equal(pthread_create(&others[i].thread, NULL, reload_often, &others[i]), 0);
    }
    while (pl_server_generation(s.server) < 10)
        sched_yield();
    pl_server_stop(s.server, 1000); /* in the middle of it */
    assert_int_equal(reload(&s, "three"), PL_RELOAD_BUSY);
    for (int i = 0; i < 3; i++) {
        atomic_store(&others[i].stop, true);
        pthread_join(others[i].thread, NULL);
    }
    pl_server_free(s.server);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_loop),
        cmocka_unit_test(test_descriptor_and_timeout_tell_all),
        cmocka_unit_test(test_foreign_loop),
        cmocka_unit_test(test_workers_that_ask_each_other),
        cmocka_unit_test(test_one_reload_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
