/* SPDX-License-Identifier: MIT */
#ifndef TEST_OPERATION_HARNESS_H
#define TEST_OPERATION_HARNESS_H

/* A worker without sockets, with real instances, whose clock the test turns; and clients of its operations.
 * Included by one file of each test program, after cmocka. */

#include "app/app_harness.h"
#include "app/endpoint.h"
#include "app/generation.h"
#include "app/instance_host.h"
#include "app/operation.h"
#include "app/pubsub.h"
#include "base/alloc.h"
#include "perilune/engines.h"

static const char schema[] = "type Query { a: Int  slow: Int }\n"
                             "type Subscription { said: Said  gated: Said  picky: Said  stubborn: Said\n"
                             "  late: Said  count: Int  pair: Said }\n"
                             "type Said { n: Int  v: Int }\n";

/* gated: waits for an event of "gate". picky: only version 1 takes it. stubborn: does not end when it is told
 * to. late: gives two more then. pair: two topics, the second is closed when the first ends. */
static const char resolvers[] =
    "local time = require 'perilune.time'\n"
    "local errors = require 'perilune.errors'\n"
    "local version = require 'lib.version'\n"
    "return {\n"
    "  Query = { a = function() return version end, slow = function() time.sleep(1000) end },\n"
    "  Said = { v = function() return version end },\n"
    "  Subscription = {\n"
    "    said = function(_, _, ctx) return ctx.pubsub:subscribe 'x' end,\n"
    "    gated = function(_, _, ctx)\n"
    "      local gate <close> = ctx.pubsub:subscribe 'gate'\n"
    "      gate:next()\n"
    "      return ctx.pubsub:subscribe 'x'\n"
    "    end,\n"
    "    picky = function(_, _, ctx)\n"
    "      if version ~= 1 then error(errors.permission_denied 'not any more') end\n"
    "      return ctx.pubsub:subscribe 'x'\n"
    "    end,\n"
    "    stubborn = function(_, _, ctx)\n"
    "      local x = ctx.pubsub:subscribe 'x'\n"
    "      return function() local e = x:next() if e == nil then time.sleep(1000) end return e end\n"
    "    end,\n"
    "    late = function(_, _, ctx)\n"
    "      local x, more = ctx.pubsub:subscribe 'x', 2\n"
    "      return function()\n"
    "        local e = x:next()\n"
    "        if e ~= nil then return e end\n"
    "        time.sleep(0.3)\n"
    "        more = more - 1\n"
    "        return more >= 0 and { n = -1 } or nil\n"
    "      end\n"
    "    end,\n"
    "    count = function()\n"
    "      return coroutine.wrap(function() for i = 1, 3 do time.sleep(0.1) coroutine.yield(i) end end)\n"
    "    end,\n"
    "    pair = function(_, _, ctx)\n"
    "      local x, y = ctx.pubsub:subscribe 'x', ctx.pubsub:subscribe 'y'\n"
    "      return { next = function() local e = x:next() if e == nil then y:close() end return e end,\n"
    "        close = function() y:close() end }\n"
    "    end,\n"
    "  },\n"
    "}\n";

static const char plain_app[] = "return {}";
/* waits before and after what it wraps, as long as the header says */
static const char waiting_app[] =
    "local time = require 'perilune.time'\n"
    "return { interceptors = { function(ctx, next)\n"
    "  ctx.response_headers['x-version'] = require 'lib.version'\n"
    "  if ctx.headers.before then time.sleep(tonumber(ctx.headers.before)) end\n"
    "  local result = next(ctx)\n"
    "  if ctx.headers.after then time.sleep(tonumber(ctx.headers.after)) end\n"
    "  return result\n"
    "end } }\n";

/* the credentials end; headers are set */
static const char expiring_app[] = "local time = require 'perilune.time'\n"
                                   "return { interceptors = { function(ctx, next)\n"
                                   "  ctx.expires_at = time.now() + 1000\n"
                                   "  ctx.response_headers['x-version'] = require 'lib.version'\n"
                                   "  ctx.extensions.mark = 'here'\n"
                                   "  return next(ctx)\n"
                                   "end } }\n";

/* --- the world: a worker without sockets --- */
enum { MOST = 12 };

typedef struct world {
    pl_host host; /* first */
    pl_timers timers;
    uint64_t now;
    bool refuse_timers, ticking;
    pl_logger *log;
    pl_pubsub_hub *hub;
    pl_loop *loop; /* carries the events */
    pl_pubsub *pubsub;
    pl_endpoint endpoint;
    pl_generation *live;
    pl_generation *retired[MOST];
    int retired_count;
    int version;
    const char *app, *resolvers;
    void (*made_live)(pl_instance *instance); /* NULL: nothing more is done */
} world;

static world w;

static inline uint64_t loop_now(pl_host *host)
{
    pl_state *state = w.ticking && w.live ? w.live->instances[0]->state : NULL;
    if (state)
        pl_lua_engine()->watch(state, ++w.now);
    return w.now;
}

static inline int loop_timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    return w.refuse_timers ? -1 : pl_timers_start(&w.timers, timer, at);
}

static inline void loop_timer_stop(pl_host *host, pl_timer *timer)
{
    pl_timers_stop(&w.timers, timer);
}

static inline pl_instance *instance_of(pl_generation *g)
{
    return g->instances[0];
}

/* As the worker does after each turn: retired instances that are quiet go. */
static inline void after_turn(void)
{
    for (int i = 0; i < w.retired_count; i++) {
        pl_instance *instance = instance_of(w.retired[i]);
        if (!pl_instance_is_quiet(instance))
            continue;
        assert_null(instance->operations);
        assert_null(instance->rebasing);
        loop_timer_stop(&w.host, &instance->rebase_turn);
        pl_instance_host_leave(instance);
        pl_generation_free(w.retired[i]);
        memmove(&w.retired[i], &w.retired[i + 1], (size_t)(w.retired_count - i - 1) * sizeof w.retired[0]);
        w.retired_count--;
        i--;
    }
}

static inline void stop_loop(pl_message *message)
{
    pl_loop_stop(message->data);
}

/* Events on their way arrive; what is due now is done. */
static inline void turn(void)
{
    pl_message message = {.run = stop_loop, .data = w.loop};
    pl_loop_post(w.loop, &message);
    pl_loop_run(w.loop);
    while (pl_timers_next(&w.timers) <= w.now) {
        pl_timers_run(&w.timers, w.now);
        after_turn();
    }
    after_turn();
}

static inline void pass(uint64_t ms)
{
    uint64_t until = w.now + ms;
    turn();
    for (uint64_t next; (next = pl_timers_next(&w.timers)) <= until;) {
        w.now = next > w.now ? next : w.now;
        turn();
    }
    w.now = until;
}

static inline void no_log(void *data, pl_level level, pl_str line)
{
}

static inline pl_generation *build(const char *sdl)
{
    char version[32];
    pl_report report;
    snprintf(version, sizeof version, "return %d", ++w.version);
    pl_bundle *bundle = sdl ? MEMORY_BUNDLE("app.lua", w.app, "lib/version.lua", version, "resolvers/r.lua",
                                            w.resolvers, "schema/s.graphql", sdl)
                            : MEMORY_BUNDLE("app.lua", w.app);
    pl_report_init(&report);
    pl_generation_options options = {.engine = pl_lua_engine(), .workers = 1, .log = w.log};
    pl_generation *g = pl_generation_build(bundle, &options, &report);
    if (!g)
        fail_msg("%s", report_text(&report));
    g->id = (uint64_t)w.version;
    pl_bundle_unref(bundle);
    pl_report_dispose(&report);
    return g;
}

static inline void make_live(pl_generation *g)
{
    pl_instance *instance = instance_of(g);
    pl_instance_host_init(instance, &w.host, w.pubsub);
    if (w.made_live)
        w.made_live(instance);
    pl_lua_engine()->state_attach(instance->state, &instance->host);
    if (w.live) {
        assert_in_range(w.retired_count, 0, MOST - 1);
        instance_of(w.live)->retired = true;
        memmove(&w.retired[1], &w.retired[0], (size_t)w.retired_count * sizeof w.retired[0]);
        w.retired[0] = w.live; /* the newest first, as the worker has them */
        w.retired_count++;
    }
    w.live = g;
    w.endpoint.live = instance;
}

static inline void rebase(void)
{
    for (int i = 0; i < w.retired_count; i++)
        pl_operations_rebase(instance_of(w.retired[i]), instance_of(w.live));
}

/* A reload. */
static inline void adopt_schema(const char *sdl)
{
    make_live(build(sdl));
    rebase();
    after_turn();
}

static inline void adopt(void)
{
    adopt_schema(schema);
}

static inline int set_up(void **state)
{
    static const pl_host_ops ops = {
        .now = loop_now, .timer_start = loop_timer_start, .timer_stop = loop_timer_stop};
    pl_error err;
    w = (world){.host.ops = &ops, .now = 5000, .app = plain_app, .resolvers = resolvers};
    w.log = pl_logger_new_sink(no_log, NULL, PL_LOG_JSON, PL_ERROR);
    w.host.log = w.log;
    pl_timers_init(&w.timers);
    w.hub = pl_pubsub_hub_new(0);
    w.loop = pl_loop_new(NULL, NULL, &err);
    w.pubsub = pl_pubsub_join(w.hub, w.loop);
    pl_endpoint_init(&w.endpoint, &w.host, w.log);
    return 0;
}

/* No operation is left: nor is anything else. */
static inline int tear_down(void **state)
{
    pl_alloc_fail_at(0, 0);
    w.refuse_timers = false;
    turn();
    assert_int_equal(w.retired_count, 0);
    assert_int_equal(w.endpoint.operations, 0);
    if (w.live) {
        pl_instance *instance = instance_of(w.live);
        assert_true(pl_instance_is_quiet(instance));
        assert_int_equal(pl_pubsub_get_stats(w.pubsub).subscribers, 0);
        pl_instance_host_leave(instance);
        pl_generation_free(w.live);
    }
    assert_int_equal(pl_timers_next(&w.timers), UINT64_MAX);
    pl_timers_dispose(&w.timers);
    pl_pubsub_leave(w.pubsub);
    pl_loop_free(w.loop);
    pl_pubsub_free(w.pubsub);
    pl_pubsub_hub_free(w.hub);
    pl_logger_free(w.log);
    return 0;
}

static inline void publish(const char *topic, int n)
{
    char json[32];
    pl_error err = {0};
    snprintf(json, sizeof json, "{\"n\":%d}", n);
    assert_int_equal(pl_pubsub_publish(w.pubsub, pl_str_of(topic), pl_str_of(json), &err), PL_OK);
    turn();
}

/* --- an operation and its receiver --- */
typedef struct client client;
struct client {
    pl_operation *operation; /* NULL: over */
    pl_arena arena;
    pl_work work;
    gql_request request;
    pl_header headers[2];
    char query[128];
    char seen[16384]; /* payloads, with ' for " */
    unsigned payloads;
    bool over;
    unsigned cancel_at, hold_at;
    char version[16]; /* of the headers, with the first payload */
};

static inline void cancel(client *c)
{
    assert_false(c->over);
    c->over = true;
    pl_operation_cancel(c->operation);
    c->operation = NULL;
    pl_arena_dispose(&c->arena); /* as a connection does at once */
}

static inline void note(client *c, const char *text, pl_str body)
{
    size_t len = strlen(c->seen);
    snprintf(c->seen + len, sizeof c->seen - len, "%s%.*s ", text, PL_STR_ARG(body));
    for (; c->seen[len]; len++)
        c->seen[len] = c->seen[len] == '"' ? '\'' : c->seen[len];
}

static inline void on_payload(void *data, const gql_payload *payload)
{
    client *c = data;
    size_t count = 0;
    assert_false(c->over);
    c->payloads++;
    const pl_header *headers = c->operation ? pl_operation_headers(c->operation, &count) : NULL;
    if (count > 0)
        snprintf(c->version, sizeof c->version, "%.*s", PL_STR_ARG(headers[0].value));
    switch (payload->result) {
    case GQL_RESULT_SUBSCRIBED:
        note(c, "subscribed", PL_STR_NONE);
        break;
    case GQL_RESULT_COMPLETE:
        note(c, "complete", PL_STR_NONE);
        break;
    default:
        note(c, "", payload->body);
    }
    if (!payload->has_next) {
        c->over = true;
        c->operation = NULL;
        pl_arena_dispose(&c->arena);
    } else if (c->payloads == c->cancel_at) {
        cancel(c);
    } else if (c->payloads == c->hold_at) {
        pl_operation_hold(c->operation, true);
    }
}

static inline void start_as(client *c, const char *query)
{
    pl_arena_init(&c->arena, 1024);
    snprintf(c->query, sizeof c->query, "%s", query);
    c->request = (gql_request){.query = pl_str_of(c->query), .subscriptions = true};
    c->work = (pl_work){.protocol = "graphql",
                        .id = PL_STR("r"),
                        .headers = c->headers,
                        .header_count = 2,
                        .arena = &c->arena,
                        .ctx = PL_REF_NONE,
                        .log = w.log};
    for (int i = 0; i < 2; i++) {
        if (!c->headers[i].name.ptr)
            c->headers[i] = (pl_header){PL_STR("x"), PL_STR("y")};
    }
    pl_operation_config config = {.instance = instance_of(w.live),
                                  .request = &c->request,
                                  .work = &c->work,
                                  .host = &w.host,
                                  .endpoint = &w.endpoint,
                                  .payload = on_payload,
                                  .data = c,
                                  .place = &c->operation};
    pl_operation *op = pl_operation_start(&config);
    assert_true(c->over ? !op : op == c->operation);
}

static inline void start(client *c, const char *query)
{
    *c = (client){.over = false};
    start_as(c, query);
}

static inline void saw_at(client *c, const char *text, const char *file, int line)
{
    if (strcmp(c->seen, text) != 0) {
        print_error("%s:%d: expected\n%s\nbut there was\n%s\n", file, line, text, c->seen);
        _fail(file, line);
    }
    c->seen[0] = '\0';
}
#define saw(c, text) saw_at(c, text, __FILE__, __LINE__)
#define SAID(n, v) "{'data':{'said':{'n':" #n ",'v':" #v "}}} "
#define GATED(n, v) "{'data':{'gated':{'n':" #n ",'v':" #v "}}} "

#endif
