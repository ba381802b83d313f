/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/generation.h"
#include "app/schedule.h"
#include "perilune/engines.h"
#include "support/failing.h"

/* A host whose time passes when the test says so. What timers do is seen in the log: they print. */

typedef struct clockwork {
    pl_host host; /* first */
    pl_host_ops ops;
    pl_timers timers;
    uint64_t now;
    pl_logger *log;
    char lines[8192];
    pl_schedule *schedule;
    pl_generation *generations[8];
    unsigned generation_count;
} clockwork;

static uint64_t host_now(pl_host *host)
{
    return ((clockwork *)host)->now;
}

static int host_timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    return pl_timers_start(&((clockwork *)host)->timers, timer, at);
}

static void host_timer_stop(pl_host *host, pl_timer *timer)
{
    pl_timers_stop(&((clockwork *)host)->timers, timer);
}

static void on_line(void *data, pl_level level, pl_str line)
{
    clockwork *c = data;
    size_t len = strlen(c->lines);
    snprintf(c->lines + len, sizeof(c->lines) - len, "%.*s\n", PL_STR_ARG(line));
}

static void clockwork_new(clockwork *c)
{
    *c = (clockwork){.now = 1000};
    c->ops = (pl_host_ops){.now = host_now, .timer_start = host_timer_start, .timer_stop = host_timer_stop};
    c->log = pl_logger_new_sink(on_line, c, PL_LOG_JSON, PL_DEBUG);
    c->host = (pl_host){.ops = &c->ops, .log = c->log};
    pl_timers_init(&c->timers);
    c->schedule = pl_schedule_new(&c->host, NULL, c->log);
    assert_non_null(c->schedule);
}

static void clockwork_free(clockwork *c)
{
    if (c->schedule)
        pl_schedule_free(c->schedule);
    assert_int_equal(pl_timers_next(&c->timers), UINT64_MAX);
    for (unsigned i = 0; i < c->generation_count; i++) {
        if (c->generations[i]) {
            assert_int_equal(c->generations[i]->instances[0]->in_flight, 0);
            pl_generation_free(c->generations[i]);
        }
    }
    pl_timers_dispose(&c->timers);
    pl_logger_free(c->log);
}

/* A generation whose app.lua has these timers; "sleep" and "log" are there. */
static pl_instance *load(clockwork *c, const char *timers)
{
    char code[2048];
    pl_report report;
    snprintf(code, sizeof(code),
             "local time = require 'perilune.time'\n"
             "local function says(text) return function() print(text) end end\n"
             "local function waits(text, s) return function() print(text .. ' begins') time.sleep(s) "
             "print(text .. ' ends') end end\n"
             "return { timers = { %s } }",
             timers);
    pl_bundle *bundle = MEMORY_BUNDLE("app.lua", code);
    pl_generation_options options = {.engine = pl_lua_engine(), .workers = 1, .log = c->log};
    pl_report_init(&report);
    pl_generation *g = pl_generation_build(bundle, &options, &report);
    if (!g)
        fail_msg("%s", report_text(&report));
    pl_report_dispose(&report);
    pl_bundle_unref(bundle);
    g->id = c->generation_count + 1;
    c->generations[c->generation_count++] = g;
    pl_engine_of(g->instances[0]->state)->state_attach(g->instances[0]->state, &c->host);
    return g->instances[0];
}

static pl_instance *adopt(clockwork *c, const char *timers)
{
    pl_instance *instance = load(c, timers);
    pl_schedule_adopt(c->schedule, instance);
    return instance;
}

/* Lets time pass to `until`, firing each timer at its time. */
static void pass(clockwork *c, uint64_t until)
{
    c->lines[0] = '\0';
    for (;;) {
        uint64_t next = pl_timers_next(&c->timers);
        if (next > until)
            break;
        c->now = next > c->now ? next : c->now;
        pl_timers_run(&c->timers, c->now);
    }
    c->now = until;
}

static unsigned count(const clockwork *c, const char *text)
{
    unsigned n = 0;
    for (const char *p = c->lines; (p = strstr(p, text)) != NULL; p += strlen(text))
        n++;
    return n;
}

#define TICK "\"tick\""

static void test_runs_at_its_times(void **state)
{
    clockwork c;
    clockwork_new(&c);
    pl_instance *i =
        adopt(&c, "a = { every = 1, run = says 'tick' }, b = { every = 2.5, run = says 'tock' }");
    assert_int_equal(count(&c, TICK), 0);
    pass(&c, 1999);
    assert_int_equal(count(&c, TICK), 0); /* not at once */
    pass(&c, 2000);
    assert_int_equal(count(&c, TICK), 1);
    pass(&c, 11000);
    assert_int_equal(count(&c, TICK), 9);
    assert_int_equal(count(&c, "\"tock\""), 4);
    assert_int_equal(i->in_flight, 0);
    clockwork_free(&c);
}

static void test_goes_on_across_generations(void **state)
{
    clockwork c;
    clockwork_new(&c);
    adopt(&c, "a = { every = 1, run = says 'old' }");
    pass(&c, 1600);
    /* Due at 2000 as before, with the new code; and once only. */
    adopt(&c, "a = { every = 1, run = says 'tick' }");
    adopt(&c, "a = { every = 1, run = says 'tick' }, z = { every = 100, run = says 'z' }");
    pass(&c, 1999);
    assert_int_equal(count(&c, TICK), 0);
    pass(&c, 2000);
    assert_int_equal(count(&c, TICK), 1);
    pass(&c, 5000);
    assert_int_equal(count(&c, TICK), 3);
    assert_int_equal(count(&c, "\"old\""), 0);
    clockwork_free(&c);
}

/* The functions are found by name, in whatever order the timers are. */
static void test_keeps_names_and_functions_together(void **state)
{
    clockwork c;
    clockwork_new(&c);
    adopt(&c, "m = { every = 1, run = says 'm1' }, z = { every = 1, run = says 'z1' }");
    adopt(&c, "a = { every = 1, run = says 'a2' }, m = { every = 1, run = says 'm2' }, z = { every = 1, run "
              "= says 'z2' }");
    pass(&c, 2000);
    assert_int_equal(count(&c, "\"a2\""), 1);
    assert_int_equal(count(&c, "\"m2\""), 1);
    assert_int_equal(count(&c, "\"z2\""), 1);
    adopt(&c, "z = { every = 1, run = says 'z3' }");
    pass(&c, 3000);
    assert_int_equal(count(&c, "\"z3\""), 1);
    assert_null(strstr(c.lines, "2\""));
    clockwork_free(&c);
}

static void test_removed_and_added_again(void **state)
{
    clockwork c;
    clockwork_new(&c);
    adopt(&c, "a = { every = 1, run = says 'tick' }");
    pass(&c, 1500);
    adopt(&c, "");
    assert_int_equal(pl_timers_next(&c.timers), UINT64_MAX);
    pass(&c, 9500);
    assert_int_equal(count(&c, TICK), 0);
    adopt(&c, "a = { every = 1, run = says 'tick' }");
    pass(&c, 10499);
    assert_int_equal(count(&c, TICK), 0); /* it is new */
    pass(&c, 10500);
    assert_int_equal(count(&c, TICK), 1);
    clockwork_free(&c);
}

static void test_changed_interval(void **state)
{
    clockwork c;
    clockwork_new(&c);
    adopt(&c, "a = { every = 100, run = says 'tick' }");
    pass(&c, 1500);
    adopt(&c, "a = { every = 1, run = says 'tick' }");
    pass(&c, 2499);
    assert_int_equal(count(&c, TICK), 0);
    pass(&c, 4500);
    assert_int_equal(count(&c, TICK), 3);
    adopt(&c, "a = { every = 10, run = says 'tick' }");
    pass(&c, 24500);
    assert_int_equal(count(&c, TICK), 2);
    clockwork_free(&c);
}

static void test_skips_while_it_runs(void **state)
{
    clockwork c;
    clockwork_new(&c);
    pl_instance *i =
        adopt(&c, "a = { every = 1, run = waits('job', 2.5) }, b = { every = 1, run = says 'tick' }");
    pass(&c, 2000);
    assert_int_equal(i->in_flight, 1);
    assert_int_equal(count(&c, "job begins"), 1);
    pass(&c, 4000);
    assert_int_equal(count(&c, "job begins"), 0);
    assert_int_equal(count(&c, "timer skipped"), 2);
    assert_int_equal(count(&c, TICK), 2); /* the other one is not held up */
    pass(&c, 5000);
    assert_int_equal(count(&c, "job ends"), 1); /* at 4500 */
    assert_int_equal(count(&c, "job begins"), 1);
    assert_int_equal(count(&c, "timer skipped"), 0);
    clockwork_free(&c);
}

static void test_run_ends_on_the_generation_it_began_on(void **state)
{
    clockwork c;
    clockwork_new(&c);
    pl_instance *old = adopt(&c, "a = { every = 1, run = waits('old', 1.5) }");
    pass(&c, 2000);
    pl_instance *live = adopt(&c, "a = { every = 1, run = says 'tick' }");
    assert_int_equal(old->in_flight, 1);
    pass(&c, 3000);
    assert_int_equal(count(&c, "timer skipped"), 1);
    pass(&c, 3500);
    assert_int_equal(count(&c, "old ends"), 1);
    assert_int_equal(old->in_flight, 0);
    pass(&c, 4000);
    assert_int_equal(count(&c, TICK), 1);
    assert_int_equal(live->in_flight, 0);
    clockwork_free(&c);
}

static void test_removed_while_it_runs(void **state)
{
    clockwork c;
    clockwork_new(&c);
    pl_instance *old =
        adopt(&c, "a = { every = 1, run = waits('old', 5) }, b = { every = 1, run = waits('b', 1.5) }");
    pass(&c, 2000);
    adopt(&c, "b = { every = 1, run = says 'tick' }");
    pass(&c, 7000);
    assert_int_equal(count(&c, "old ends"), 1);
    assert_int_equal(count(&c, "old begins"), 0);
    assert_int_equal(count(&c, "b ends"), 1);
    assert_int_equal(old->in_flight, 0);
    /* Removed, and there again before its run is over: still one. */
    adopt(&c, "a = { every = 1, run = waits('new', 5) }");
    pass(&c, 8000);
    adopt(&c, "");
    adopt(&c, "a = { every = 1, run = says 'tick' }");
    pass(&c, 12999);
    assert_int_equal(count(&c, TICK), 0);
    assert_int_equal(count(&c, "timer skipped"), 4);
    pass(&c, 15500);
    assert_int_equal(count(&c, "new ends"), 1);
    assert_int_equal(count(&c, TICK), 3); /* the run ends at 13000, just before its turn */
    clockwork_free(&c);
}

static void test_cancel(void **state)
{
    clockwork c;
    clockwork_new(&c);
    pl_instance *old =
        adopt(&c, "a = { every = 1, run = waits('a', 50) }, gone = { every = 1, run = waits('gone', 50) }");
    pass(&c, 2000);
    assert_int_equal(old->in_flight, 2);
    pl_instance *live = adopt(&c, "a = { every = 1, run = waits('live', 50) }");
    pl_schedule_cancel(c.schedule, live); /* nothing runs there */
    assert_int_equal(old->in_flight, 2);
    pl_schedule_cancel(c.schedule, old);
    assert_int_equal(old->in_flight, 0);
    pl_generation_free(c.generations[0]);
    c.generations[0] = NULL;
    pass(&c, 3000);
    assert_int_equal(count(&c, "live begins"), 1);
    assert_int_equal(live->in_flight, 1);
    pl_schedule_cancel(c.schedule, live);
    assert_int_equal(live->in_flight, 0);
    pass(&c, 4000);
    assert_int_equal(count(&c, "live begins"), 1);
    clockwork_free(&c); /* ends what runs */
}

static void test_stop(void **state)
{
    clockwork c;
    clockwork_new(&c);
    pl_instance *i =
        adopt(&c, "a = { every = 1, run = waits('job', 3) }, b = { every = 1, run = says 'tick' }");
    pass(&c, 2000);
    pl_schedule_stop(c.schedule);
    pass(&c, 10000);
    assert_int_equal(count(&c, TICK), 0);
    assert_int_equal(count(&c, "job ends"), 1); /* what runs goes on */
    assert_int_equal(count(&c, "job begins"), 0);
    assert_int_equal(i->in_flight, 0);
    clockwork_free(&c);
}

static void test_free_while_runs_wait(void **state)
{
    clockwork c;
    clockwork_new(&c);
    pl_instance *i =
        adopt(&c, "a = { every = 1, run = waits('job', 30) }, b = { every = 1, run = waits('job', 30) }");
    pass(&c, 2000);
    assert_int_equal(i->in_flight, 2);
    pl_schedule_free(c.schedule);
    c.schedule = NULL;
    assert_int_equal(i->in_flight, 0);
    clockwork_free(&c);
}

static void test_failures_are_logged_and_go_on(void **state)
{
    clockwork c;
    clockwork_new(&c);
    adopt(&c, "a = { every = 1, run = function(ctx)\n error('it broke') end },\n"
              "b = { every = 1, run = function(ctx) time.sleep(0.1) "
              "error(require('perilune.errors').unavailable('later')) end },\n"
              "c = { every = 1, run = function(ctx) print(ctx.protocol .. ' ' .. ctx.request_id) end }");
    pass(&c, 2500);
    assert_int_equal(count(&c, "timer failed"), 2);
    assert_has(c.lines, "app.lua:5: it broke");
    assert_has(c.lines, "\"timer\":\"a\"");
    assert_has(c.lines, "\"code\":\"INTERNAL\"");
    assert_has(c.lines, "\"code\":\"UNAVAILABLE\"");
    assert_has(c.lines, "timer c");
    pass(&c, 4500);
    assert_int_equal(count(&c, "timer failed"), 4);
    clockwork_free(&c);
}

/* No memory: never a crash, and timers go on when there is some again. */
static void test_memory_failures(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        clockwork c;
        clockwork_new(&c);
        pl_instance *i =
            load(&c, "a = { every = 1, run = says 'tick' }, b = { every = 1, run = waits('job', 0.5) }");
        failing_begin(&a);
        pl_schedule_adopt(c.schedule, i);
        pass(&c, 2500);
        failing_end(&a);
        pl_schedule_adopt(c.schedule, i); /* starts what could not be started */
        pass(&c, 4500);
        assert_true(count(&c, TICK) >= 1);
        assert_true(count(&c, "job ends") >= 1);
        clockwork_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_at_its_times),
        cmocka_unit_test(test_goes_on_across_generations),
        cmocka_unit_test(test_keeps_names_and_functions_together),
        cmocka_unit_test(test_removed_and_added_again),
        cmocka_unit_test(test_changed_interval),
        cmocka_unit_test(test_skips_while_it_runs),
        cmocka_unit_test(test_run_ends_on_the_generation_it_began_on),
        cmocka_unit_test(test_removed_while_it_runs),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_free_while_runs_wait),
        cmocka_unit_test(test_failures_are_logged_and_go_on),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
