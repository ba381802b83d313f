/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <pthread.h>

#include "app/consumer_decl.h"
#include "app/generation.h"
#include "app/natives.h"
#include "app/server.h"
#include "perilune/engines.h"

/* Handlers of events that are functions of the host program. */

static const char schema[] = "type Query { publish(n: Int!): Boolean }";
static const char resolvers[] =
    "return { Query = { publish = function(_, args, ctx)\n"
    "  ctx.events:publish('numbers', { n = args.n }, { key = 'k' .. args.n }) return true end } }";

typedef struct program {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count, sum, attempts, first;
    char last[256];
    pthread_t thread;
    pl_native_call *call;
} program;

static void add(program *p, pl_native_call *call)
{
    pl_native_slot event = pl_native_argument(call, 0), msg = pl_native_argument(call, 1);
    pthread_mutex_lock(&p->lock);
    int n = (int)pl_native_int(call, pl_native_field(call, event, "n"));
    if (++p->count == 1)
        p->first = n; /* which one: they are in several partitions */
    p->sum += n;
    p->attempts += (int)pl_native_int(call, pl_native_field(call, msg, "attempt"));
    snprintf(p->last, sizeof p->last, "%s %s",
             pl_native_string(call, pl_native_field(call, msg, "topic"), NULL),
             pl_native_string(call, pl_native_field(call, msg, "key"), NULL));
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void *finish(void *data)
{
    program *p = data;
    pl_native_finish(p->call);
    return NULL;
}

/* The first time it fails; then it waits for a thread. */
static pl_native_status handle(pl_native_call *call, void *data)
{
    program *p = data;
    add(p, call);
    if (p->count == 1)
        return pl_native_fail(call, PL_UNAVAILABLE, "try again");
    if (p->count == 2) {
        p->call = call;
        assert_int_equal(pthread_create(&p->thread, NULL, finish, p), 0);
        return PL_NATIVE_PENDING;
    }
    return PL_NATIVE_DONE;
}

static pl_bundle *bundle_new(const char *events)
{
    return events ? MEMORY_BUNDLE("schema/s.graphql", schema, "resolvers/r.lua", resolvers, "events/e.lua",
                                  events)
                  : MEMORY_BUNDLE("schema/s.graphql", schema, "resolvers/r.lua", resolvers);
}

static void test_consumer(void **state)
{
    program p = {.count = 0};
    pl_report report;
    pl_error err = {0};
    pthread_mutex_init(&p.lock, NULL);
    pthread_cond_init(&p.changed, NULL);
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_consumer(natives,
                                             "{\"topic\":\"numbers\",\"group\":\"sum\",\"format\":\"json\","
                                             "\"from\":\"earliest\",\"retry\":{\"initial\":0.01}}",
                                             handle, &p, &err),
                     PL_OK);
    pl_server_config config = {.workers = 1,
                               .edge = {.address = "127.0.0.1:0"},
                               .engine = pl_lua_engine(),
                               .natives = natives,
                               .bundle = bundle_new(NULL)};
    pl_report_init(&report);
    pl_server *server = pl_server_start(&config, &report, &err);
    if (!server)
        fail_msg("%s %s", err.message, report_text(&report));
    for (int i = 1; i <= 3; i++) {
        char query[64];
        snprintf(query, sizeof query, "{ publish(n: %d) }", i);
        assert_string_equal(http_ask(pl_server_address(server), query), "{\"data\":{\"publish\":true}}");
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 3 * LONGEST_MS / 1000;
    pthread_mutex_lock(&p.lock);
    while (p.count < 4)
        assert_int_equal(pthread_cond_timedwait(&p.changed, &p.lock, &until), 0);
    pthread_mutex_unlock(&p.lock);
    pthread_join(p.thread, NULL);
    assert_int_equal(p.sum, p.first + 1 + 2 + 3); /* the first one twice */
    assert_int_equal(p.attempts, 1 + 2 + 1 + 1);
    assert_true(strncmp(p.last, "numbers k", 9) == 0);
    pl_server_stop(server, 5000);
    pl_server_free(server);
    pl_natives_free(natives);
    pl_bundle_unref(config.bundle);
    pl_report_dispose(&report);
    pthread_cond_destroy(&p.changed);
    pthread_mutex_destroy(&p.lock);
}

static void builds(const char *declaration, const char *events, const char *problem)
{
    pl_report report;
    program p = {.count = 0};
    pl_natives *natives = pl_natives_new();
    pl_bundle *bundle = bundle_new(events);
    assert_int_equal(pl_natives_add_consumer(natives, declaration, handle, &p, NULL), PL_OK);
    pl_report_init(&report);
    pl_generation_options options = {.engine = pl_lua_engine(), .workers = 2, .natives = natives};
    pl_generation *g = pl_generation_build(bundle, &options, &report);
    if (problem) {
        assert_null(g);
        assert_has(report_text(&report), problem);
    } else if (!g) {
        fail_msg("%s", report_text(&report));
    } else {
        assert_int_equal(g->config.consumer_count, 1 + (events != NULL));
        assert_true(pl_str_is(g->config.consumers[0].file, PL_HOST_PROGRAM));
    }
    pl_generation_free(g);
    pl_bundle_unref(bundle);
    pl_report_dispose(&report);
    pl_natives_free(natives);
}

static void test_declarations(void **state)
{
    builds("{\"topic\":\"a\",\"group\":\"g\"}", NULL, NULL);
    builds("{\"topic\":\"a\",\"group\":\"g\"}",
           "return { topic = 'a', group = 'h', handler = function() end }", NULL);
    builds("{\"topic\":\"a\",\"group\":\"g\"}",
           "return { topic = 'a', group = 'g', handler = function() end }",
           "events/e.lua: The consumer g:a is there already, in the host program: give one of them a group");
    builds("{\"group\":\"g\"}", NULL, "the host program: [1]: a consumer needs a topic");
    builds("{\"topic\":\"a\",\"group\":\"g\",\"formt\":1}", NULL, "formt");

    pl_error err;
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_consumer(natives, "[]", handle, NULL, &err), PL_INVALID_ARGUMENT);
    assert_has(err.message, "a JSON object");
    assert_int_equal(pl_natives_add_consumer(natives, "{", handle, NULL, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_natives_add_consumer(natives, NULL, handle, NULL, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_natives_add_consumer(natives, "{}", NULL, NULL, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_natives_consumer_count(natives), 0);
    pl_natives_free(natives);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_consumer), cmocka_unit_test(test_declarations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
