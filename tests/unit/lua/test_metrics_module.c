/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/stats_text.h"
#include "lua/lua_fixture.h"
#include "value/meter.h"

static fixture *f;
static pl_meter meter;
static char text[65536];

static const char declared[] = "metrics = require 'perilune.metrics'\n"
                               "c = metrics.counter('sales_total', 'Sales.', { 'country', 'new' })\n"
                               "g = metrics.gauge('rooms', 'Rooms.', nil, { merge = 'sum' })\n"
                               "h = metrics.histogram('weight', 'Weights.', {}, { buckets = { 1, 2 } })\n";

static int set_up(void **state)
{
    f = fixture_new(NULL);
    meter = (pl_meter){.stats = pl_stats_new()};
    ((pl_state_head *)fixture_state(f))->host->meter = &meter;
    return meter.stats ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture_free(f);
    pl_stats_free(meter.stats);
    return 0;
}

static const char *written(void)
{
    pl_buf out;
    pl_buf_init(&out);
    assert_true(pl_stats_write(meter.stats, &out));
    assert_true(out.len < sizeof text);
    memcpy(text, out.data ? out.data : "", out.len);
    text[out.len] = '\0';
    pl_buf_dispose(&out);
    return text;
}

#define assert_has(line) assert_non_null(strstr(written(), line "\n"))

static void declare(void)
{
    fixture_ok(f, declared);
}

static void counts(void **state)
{
    declare();
    fixture_ok(f, "c:add(2, { country = 'NO', new = true }) c:add(nil, { country = 'NO', new = true })"
                  "c:add(0.5, { country = 7, new = false })"
                  "g:add(3) g:add(-1) h:observe(1.5) h:observe(7)");
    assert_has("sales_total{country=\"NO\",new=\"true\"} 3");
    assert_has("sales_total{country=\"7\",new=\"false\"} 0.5");
    assert_has("rooms 2");
    assert_has("weight_bucket{le=\"1\"} 0\nweight_bucket{le=\"2\"} 1\nweight_bucket{le=\"+Inf\"} 2");
}

static void a_series_is_the_same_as_with_labels(void **state)
{
    declare();
    fixture_ok(f, "local s = c:labels { new = 'x', country = 'NO' } collectgarbage() s:add() s:add(4)"
                  "c:add(1, { country = 'NO', new = 'x' })"
                  "h:labels():observe(1)  g:labels({}):set(9)");
    assert_has("sales_total{country=\"NO\",new=\"x\"} 6");
    assert_has("rooms 9");
    assert_has("weight_count 1");
}

static void what_is_declared_alike_is_one(void **state)
{
    declare();
    fixture_ok(f, "assert(metrics.counter('sales_total', 'Others.', { 'country', 'new' }) == c)");
    fixture_fails(
        f, "metrics.counter('sales_total', 'Sales.', { 'country' })",
        "metrics.counter: there is a counter \"sales_total\" already, with other labels or options");
    fixture_fails(f, "metrics.gauge('rooms', 'Rooms.')", "there is a gauge \"rooms\" already");
}

static void a_gauge_is_what_was_set_last(void **state)
{
    declare();
    fixture_ok(f, "metrics.gauge('latest', 'x'):set(3) metrics.gauge('latest', 'x'):set(-1e300)");
    assert_has("latest -1e+300");
    fixture_fails(f, "metrics.gauge('latest', 'x'):add(1)", "declare it with { merge = \"sum\" }");
}

static void what_is_wrong_is_named(void **state)
{
    declare();
    fixture_fails(f, "c:add(-1, { country = 'NO', new = 1 })",
                  "sales_total is a counter: it cannot be counted down");
    fixture_fails(f, "c:add(1/0, { country = 'NO', new = 1 })", "sales_total is a counter");
    fixture_fails(f, "c:add(0/0, { country = 'NO', new = 1 })", "sales_total is a counter");
    fixture_fails(f, "c:add(1, { country = 'NO' })", "sales_total needs the label 'new'");
    fixture_fails(f, "c:add(1, { country = 'NO', old = 1 })", "sales_total has no label 'old'");
    fixture_fails(f, "c:add(1, { 'NO' })", "sales_total has no label '1'");
    fixture_fails(f, "c:add(1, { country = 1.5, new = 1 })",
                  "the label 'country' of sales_total must be a string");
    fixture_fails(f, "c:add(1, 'NO')", "the labels of sales_total must be a table, not string");
    fixture_fails(f, "c:add({}, { country = 'NO', new = 1 })", "sales_total:add needs a number, not table");
    fixture_fails(f, "c:set(1)", "sales_total is a counter, which has no method 'set'");
    fixture_fails(f, "g:observe(1)", "rooms is a gauge, which has no method 'observe'");
    fixture_fails(f, "h:add(1)", "weight is a histogram, which has no method 'add'");
    fixture_fails(f, "h:observe(0/0)", "weight:observe needs a number, not NaN");
    fixture_fails(f, "h:labels():set(1)", "weight is a histogram, which has no method 'set'");
    fixture_fails(f, "c.add(g, 1, 2, 3)", "the labels of rooms must be a table");
    fixture_fails(f, "c.add({}, 1)", "perilune.metrics.metric expected");
    fixture_fails(f, "getmetatable(c).__gc()", "");
}

static void too_many_are_an_error(void **state)
{
    fixture_ok(f,
               "metrics = require 'perilune.metrics' for i = 1, 500 do metrics.counter('c' .. i, 'x') end");
    fixture_fails(f, "metrics.counter('one_more', 'x')", "there are 500 metrics, which is the most");
}

static void without_a_server_nothing_is_counted(void **state)
{
    ((pl_state_head *)fixture_state(f))->host->meter = NULL;
    declare();
    fixture_ok(f, "c:add(1, { country = 'NO', new = 1 }) g:labels():set(1) h:observe(1)");
    fixture_fails(f, "c:add(1)", "sales_total needs the label 'country'");
    ((pl_state_head *)fixture_state(f))->host->meter = &meter;
    assert_string_equal(written(), "");
}

static void works_without_memory(void **state)
{
    failing a = {.dense = 100, .step = 11};
    while (failing_next(&a)) {
        const char *err =
            fixture_call_failing(f,
                                 "local m = require 'perilune.metrics'\n"
                                 "local c = m.counter('sales_total', 'Sales.', { 'country' })\n"
                                 "c:add(1, { country = 'NO' }) c:labels({ country = 'SE' }):add(1)\n"
                                 "m.histogram('weight', 'x', nil, { buckets = { 1 } }):observe(1)",
                                 &a);
        assert_true(!err || strstr(err, "memory") || strstr(err, "RESOURCE_EXHAUSTED"));
    }
    assert_non_null(strstr(written(), "weight_count "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(counts),
        TEST(a_series_is_the_same_as_with_labels),
        TEST(what_is_declared_alike_is_one),
        TEST(a_gauge_is_what_was_set_last),
        TEST(what_is_wrong_is_named),
        TEST(too_many_are_an_error),
        TEST(without_a_server_nothing_is_counted),
        TEST(works_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
