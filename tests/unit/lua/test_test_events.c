/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/lua_state.h"

/* perilune.test.events: events in a bundle's own tests. */

#define T "local t = require 'perilune.test' "

static const char orders[] =
    "local errors = require 'perilune.errors'\n"
    "return { topic = 'orders', group = 'shop', retry = { attempts = 3, initial = 1, multiplier = 2 },\n"
    "  dead_letter = 'orders-dead', handler = function(event, msg, ctx)\n"
    "    if event.fail == 'broken' then local x = nil; return x.y end\n"
    "    if event.fail == 'bad' then error(errors.invalid_argument 'no such order') end\n"
    "    if event.fail and msg.attempt < event.fail then error(errors.unavailable 'away') end\n"
    "    ctx.events:publish('seen', { id = event.id, key = msg.key, at = msg.timestamp, try = msg.attempt,\n"
    "      who = ctx.user, protocol = ctx.protocol, h = msg.headers.h, where = msg.id }, { key = 7 })\n"
    "  end }\n";
static const char list[] =
    "return { { topics = { 'orders', 'more' }, group = 'audit', retry = false, batch = { size = 10 }, format "
    "= 'bytes',\n"
    "  handler = function(events, msgs) seen = events[1] if seen == 'no' then return { 'refused' } end end "
    "},\n"
    "  require 'perilune.streams'.topology('counts', function(b)\n"
    "    b:stream('clicks'):peek(function(e) if e.bad then error 'bad click' end end)\n"
    "     :group_by(function(e) return e.page end):count { store = 'n' }:to 'clicks-per-page'\n"
    "    b:stream('ticks'):process { punctuate = { every = 60,\n"
    "      run = function(time, ctx) ctx:forward(time, 'tick') end } }:to 'ticked'\n"
    "  end) }\n";
static const char app[] =
    "return { interceptors = { function(ctx, next) ctx.user = 'Ada' return next() end } }\n";
static const char *const files[] = {"app.lua", app, "events/orders.lua", orders, "events/two.lua",
                                    list,      NULL};

static ls_state *new_state(void)
{
    return ls_new(&(ls_options){.files = files, .testing = true});
}

static void processed(void **state)
{
    ls_state *s = new_state();
    ls_ok(
        s,
        T
        "local a, b = t.events('orders', '{\"id\":5}', { raw = true, key = 'k', headers = { h = 'x' } }) "
        "t.equal(a.error, nil) t.equal({ a.status, a.attempts, a.group, b.status, b.group, seen }, "
        "  { 'processed', 1, 'shop', 'processed', 'audit', '{\"id\":5}' }) "
        "local p = t.published 'seen' t.equal(#p, 1) "
        "t.equal({ p[1].key, p[1].value }, { 7, { id = 5, key = 'k', at = t.clock.now, try = 1, who = 'Ada', "
        "  protocol = 'event', h = 'x', where = 'orders/0/0' } }) "
        "t.equal(#t.published(), 1) t._reset() t.equal(#t.published(), 0)",
        "null");
    ls_fails(s, T "t.events('nowhere', 1)", PL_INTERNAL, "no consumer of events/ reads the topic nowhere");
    ls_fails(s, T "t.events('orders', 1, { kye = 1 })", PL_INTERNAL, "there is no option kye");
    ls_free(s);
}

static void failing_events(void **state)
{
    ls_state *s = new_state();
    ls_ok(s,
          T "local a = t.events('orders', '{\"fail\":3}', { raw = true }) "
            "t.equal({ a.status, a.attempts, a.error.code, a.retry_in }, { 'retried', 1, 'UNAVAILABLE', 1 }) "
            "t.clock:advance(0.9) t.equal(a.attempts, 1) t.clock:advance(0.1) "
            "t.equal({ a.status, a.attempts, a.retry_in }, { 'retried', 2, 2 }) "
            "t.clock:advance(60) t.equal(a.error, nil) t.equal({ a.status, a.attempts, a.error }, { "
            "'processed', 3, nil }) "
            "t.equal(#t.published 'orders-dead', 0)",
          "null");
    ls_ok(s,
          T "local a = t.events('orders', '{\"fail\":9}', { raw = true }) t.clock:advance(60) "
            "t.equal({ a.status, a.attempts }, { 'dead_lettered', 3 }) "
            "local d = t.published('orders-dead')[1] "
            "t.equal(d.headers['kafka_dlt-exception-fqcn'], 'UNAVAILABLE') t.equal(d.bytes, '{\"fail\":9}') "
            "t.equal(d.headers['perilune-attempt'], '3')",
          "null");
    ls_ok(s,
          T "t._reset() for _, c in ipairs { { '{\"fail\":\"bad\"}', 'INVALID_ARGUMENT' }, { '{', "
            "'INVALID_ARGUMENT' } } do "
            "local a = t.events('orders', c[1], { raw = true }) "
            "t.equal({ a.status, a.error.code }, { 'dead_lettered', c[2] }) end "
            "local a = t.events('orders', '{\"fail\":\"broken\"}', { raw = true }) "
            "t.equal({ a.status, a.error.code }, { 'retried', 'INTERNAL' }) "
            "t.match(a.error.traceback, 'events/orders.lua:4') t.equal(#t.published 'orders-dead', 2) "
            "local b = t.events('more', 'no') t.equal({ b.status, b.error.message }, { 'dead_lettered', "
            "'refused' })",
          "null");
    ls_free(s);
}

static void topologies(void **state)
{
    ls_state *s = new_state();
    ls_ok(s,
          T "t.events('clicks', { page = '/' }) t.events('clicks', { page = '/' }) "
            "local p = t.published 'clicks-per-page' t.equal({ #p, p[2].key, p[2].value }, { 2, '/', 2 }) "
            "t.equal(t.store('counts', 'n'):get '/', 2) "
            "local bad = t.events('clicks', { bad = true }) t.equal(bad.status, 'dead_lettered') "
            "t.match(bad.error.message, 'bad click') "
            "t.events('ticks', 1) t.clock:advance(130) t.equal(#t.published 'ticked', 2) "
            "t._reset() t.equal(t.store('counts', 'n'):get '/', nil)",
          "null");
    ls_fails(s, T "t.store('x', 'n')", PL_INTERNAL, "there is no topology x in events/");
    ls_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processed),
        cmocka_unit_test(failing_events),
        cmocka_unit_test(topologies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
