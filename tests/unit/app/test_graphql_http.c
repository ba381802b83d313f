/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/operation_harness.h"

#include "app/graphql_http.h"
#include "base/buf.h"
#include "net/stream.h"
#include "support/failing.h"

/* GraphQL over HTTP without a network: the edge's functions are the test's, which sees what is answered, and
 * says how much of a stream its client has not taken. */

/* --- the edge --- */
typedef struct exchange {
    pl_http_request http; /* first */
    pl_arena arena;
    pl_header headers[4];
    int status;     /* 0: not answered */
    char said[512]; /* the answer's headers: name=value; */
    pl_buf body;
    size_t queued; /* what the client has not taken */
    bool streams, ended;
} exchange;

static exchange *exchange_of(const pl_http_request *http)
{
    return (exchange *)http;
}

static void take_head(exchange *x, const pl_http_response *response)
{
    assert_int_equal(x->status, 0);
    x->status = response->status;
    for (size_t i = 0; i < response->header_count; i++) {
        size_t len = strlen(x->said);
        snprintf(x->said + len, sizeof x->said - len, "%.*s=%.*s;", PL_STR_ARG(response->headers[i].name),
                 PL_STR_ARG(response->headers[i].value));
    }
}

static void take_bytes(exchange *x, pl_str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        pl_buf_char(&x->body, bytes.ptr[i] == '"' ? '\'' : bytes.ptr[i]);
}

pl_str pl_http_header(const pl_http_request *request, pl_str name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (pl_str_eq(request->headers[i].name, name))
            return request->headers[i].value;
    }
    return PL_STR_NONE;
}

void pl_http_respond(pl_http_request *request, const pl_http_response *response)
{
    exchange *x = exchange_of(request);
    take_head(x, response);
    take_bytes(x, response->body);
    x->ended = true;
}

bool pl_http_stream_begin(pl_http_request *request, const pl_http_response *head)
{
    take_head(exchange_of(request), head);
    exchange_of(request)->streams = true;
    return true;
}

bool pl_http_stream_write(pl_http_request *request, pl_str bytes)
{
    exchange *x = exchange_of(request);
    assert_true(x->streams && !x->ended);
    take_bytes(x, bytes);
    return true;
}

size_t pl_http_stream_queued(const pl_http_request *request)
{
    return exchange_of(request)->queued;
}

void pl_http_stream_end(pl_http_request *request)
{
    assert_true(exchange_of(request)->streams && !exchange_of(request)->ended);
    exchange_of(request)->ended = true;
}

/* --- requests --- */
static void ask(exchange *x, const char *accept, const char *body)
{
    *x = (exchange){0};
    pl_arena_init(&x->arena, 4096);
    pl_buf_init(&x->body);
    x->headers[0] = (pl_header){PL_STR("content-type"), PL_STR("application/json")};
    x->headers[1] = (pl_header){PL_STR("accept"), pl_str_of(accept)};
    x->http = (pl_http_request){.method = PL_STR("POST"),
                                .path = PL_STR("/graphql"),
                                .body = pl_str_of(body),
                                .body_fd = -1,
                                .headers = x->headers,
                                .header_count = 2,
                                .id = PL_STR("r"),
                                .peer = PL_STR("127.0.0.1:1"),
                                .http_version = 0x101,
                                .arena = &x->arena};
    pl_graphql_http(&w.endpoint, &x->http);
}

static void forget(exchange *x)
{
    pl_arena_dispose(&x->arena);
    pl_buf_dispose(&x->body);
}

static void leave(exchange *x)
{
    assert_non_null(x->http.cancelled);
    x->http.cancelled(&x->http);
    forget(x);
}

static void got_at(exchange *x, const char *text, int line)
{
    pl_buf_char(&x->body, '\0');
    if (strcmp(x->body.data, text) != 0) {
        print_error("line %d: expected\n%s\nbut there was\n%s\n", line, text, x->body.data);
        _fail(__FILE__, line);
    }
    x->body.len = 0;
}
#define got(x, text) got_at(x, text, __LINE__)

/* --- batches --- */
static const char batching_app[] =
    "local time = require 'perilune.time'\n"
    "return { http = { batching = { max = 4 } }, interceptors = { function(ctx, next)\n"
    "  local name = ctx.operation_name\n"
    "  if name then ctx.response_headers['x-' .. name] = 'v' end\n"
    "  ctx.response_headers['X-Who'] = name or 'nobody'\n"
    "  ctx.response_headers['set-cookie'] = name or 'none'\n"
    "  if name == 'Slow' then time.sleep(0.1) end\n"
    "  return next(ctx)\n"
    "end } }\n";

static void batches_keep_their_order(void **state)
{
    exchange x;
    w.app = batching_app;
    adopt();
    ask(&x, "*/*",
        "[{\"query\":\"query Slow { a }\"},{\"query\":\"query Quick { a }\"},{},{\"query\":\"{ nope }\"}]");
    turn();
    assert_int_equal(x.status, 0); /* it is answered when all are there */
    pass(150);
    assert_int_equal(x.status, 200);
    pl_buf_char(&x.body, '\0');
    assert_non_null(strstr(x.body.data,
                           "[{'data':{'a':1}},{'data':{'a':1}},{'errors':[{'message':'The request "
                           "must have a \\'query\\'."));
    assert_non_null(strstr(x.body.data, "Cannot query field \\'nope\\'"));
    assert_int_equal(x.body.data[x.body.len - 2], ']');
    forget(&x);
}

/* The first in the list counts; cookies are added up; nobody keeps a list. */
static void batches_have_headers_of_all(void **state)
{
    exchange x;
    w.app = batching_app;
    adopt();
    ask(&x, "*/*", "[{\"query\":\"query Slow { a }\"},{\"query\":\"query Quick { a }\"}]");
    pass(150);
    assert_non_null(strstr(x.said, "cache-control=no-store;"));
    assert_non_null(strstr(x.said, "x-Slow=v;"));
    assert_non_null(strstr(x.said, "x-Quick=v;"));
    assert_non_null(strstr(x.said, "X-Who=Slow;"));
    assert_null(strstr(x.said, "X-Who=Quick;"));
    assert_non_null(strstr(x.said, "set-cookie=Slow;"));
    assert_non_null(strstr(x.said, "set-cookie=Quick;"));
    forget(&x);
}

static void batches_that_are_refused(void **state)
{
    exchange x;
    w.app = batching_app;
    adopt();
    ask(&x, "*/*", "[{},{},{},{},{}]");
    assert_int_equal(x.status, 400);
    got(&x, "{'errors':[{'message':'The list has 5 operations; http.batching allows 4.','extensions':{'code':"
            "'RESOURCE_EXHAUSTED'}}]}");
    forget(&x);
    ask(&x, "text/event-stream, */*", "[{\"query\":\"subscription { said { n } }\"}]");
    assert_int_equal(x.status, 200);
    pl_buf_char(&x.body, '\0');
    assert_non_null(strstr(x.body.data, "cannot be executed in a list of operations"));
    forget(&x);
}

static void a_batch_whose_client_leaves(void **state)
{
    exchange x;
    w.app = batching_app;
    adopt();
    ask(&x, "*/*", "[{\"query\":\"{ slow }\"},{\"query\":\"query Slow { a }\"},{\"query\":\"{ a }\"}]");
    turn();
    leave(&x);
    assert_int_equal(x.status, 0);
    assert_int_equal(instance_of(w.live)->in_flight, 0);
}

static void batches_without_memory(void **state)
{
    w.app = batching_app;
    adopt();
    for (int sticky = 0; sticky <= 1; sticky++) {
        failing a = {.sticky = sticky, .dense = 60, .step = 7};
        while (failing_next(&a)) {
            exchange x;
            failing_begin(&a);
            ask(&x, "*/*", "[{\"query\":\"query Quick { a }\"},{\"query\":\"{ a }\"}]");
            bool failed = failing_end(&a);
            turn();
            assert_true(x.ended); /* once: see take_head */
            assert_true(failed || strcmp(x.body.data, "") != 0);
            assert_true(failed || strstr(x.said, "X-Who=Quick;"));
            assert_int_equal(instance_of(w.live)->in_flight, 0);
            forget(&x);
        }
    }
}

/* --- streams --- */
#define NEXT(n) "event: next\ndata: {'data':{'said':{'n':" #n "}}}\n\n"

static void subscribe(exchange *x)
{
    ask(x, "text/event-stream", "{\"query\":\"subscription { said { n } }\"}");
    assert_int_equal(x->status, 200);
    assert_true(x->streams);
    got(x, ":\n\n"); /* at once, for proxies that wait for a body */
}

static void a_slow_client_gets_everything(void **state)
{
    exchange x;
    adopt();
    subscribe(&x);
    publish("x", 1);
    got(&x, NEXT(1));
    x.queued = (256 << 10) + 1;
    publish("x", 2); /* is written; from here on the source is not asked */
    for (int i = 3; i <= 5; i++)
        publish("x", i);
    pass(60000);
    got(&x, NEXT(2));
    x.queued = 0;
    x.http.drained(&x.http);
    turn();
    got(&x, NEXT(3) NEXT(4) NEXT(5));
    leave(&x);
}

static void a_slow_client_across_a_reload(void **state)
{
    exchange x;
    adopt();
    subscribe(&x);
    x.queued = (256 << 10) + 1;
    for (int i = 1; i <= 3; i++)
        publish("x", i);
    adopt();
    publish("x", 4);
    pass(60000);
    got(&x, NEXT(1));
    x.queued = 0;
    x.http.drained(&x.http);
    turn();
    got(&x, NEXT(2) NEXT(3) NEXT(4));
    leave(&x);
}

static void heartbeats_are_for_the_idle(void **state)
{
    exchange x;
    adopt();
    subscribe(&x);
    pass(14999);
    got(&x, "");
    pass(1);
    turn();
    got(&x, ":\n\n");
    pass(10000);
    publish("x", 1);
    pass(14000); /* 24 s after the last heartbeat, 14 s after the event */
    got(&x, NEXT(1));
    pass(1000);
    turn();
    got(&x, ":\n\n");
    x.queued = 1; /* it has what it does not read */
    pass(60000);
    got(&x, "");
    leave(&x);
}

static void a_stream_that_ends(void **state)
{
    exchange x;
    adopt();
    ask(&x, "text/event-stream", "{\"query\":\"subscription { count }\"}");
    pass(1000);
    assert_true(x.ended);
    pl_buf_char(&x.body, '\0');
    assert_non_null(strstr(x.body.data, "event: complete\ndata:\n\n"));
    forget(&x);
    subscribe(&x); /* the server ends: the client is to come back */
    w.endpoint.lasting.next->drain(w.endpoint.lasting.next);
    assert_true(x.ended);
    got(&x, "");
    forget(&x);
}

static void plain_json_is_told_what_to_accept(void **state)
{
    exchange x;
    adopt();
    ask(&x, "application/json", "{\"query\":\"subscription { said { n } }\"}");
    assert_true(x.ended && !x.streams);
    pl_buf_char(&x.body, '\0');
    assert_non_null(strstr(x.body.data, "Accept: text/event-stream"));
    forget(&x);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(batches_keep_their_order),
        TEST(batches_have_headers_of_all),
        TEST(batches_that_are_refused),
        TEST(a_batch_whose_client_leaves),
        TEST(batches_without_memory),
        TEST(a_slow_client_gets_everything),
        TEST(a_slow_client_across_a_reload),
        TEST(heartbeats_are_for_the_idle),
        TEST(a_stream_that_ends),
        TEST(plain_json_is_told_what_to_accept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
