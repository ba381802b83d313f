/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/failing.h"
#include "support/grpc_fixture.h"
#include "support/native_fixture.h"

#define HEADERS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* What the methods below have seen, "message|end|writable|closed ". */
typedef struct seen {
    char text[4096];
    pl_grpc_call *call; /* the last one */
} seen;

typedef struct counter {
    unsigned messages;
} counter;

static void note(pl_grpc_call *call, const char *what)
{
    seen *s = pl_grpc_native_data(call);
    size_t n = strlen(s->text);
    s->call = call;
    snprintf(s->text + n, sizeof s->text - n, "%s ", what);
}

static void echo(pl_grpc_call *call, pl_str bytes)
{
    note(call, "message");
    if (pl_grpc_native_send(call, bytes))
        pl_grpc_native_finish(call, PL_OK, PL_STR_NONE);
}

static void fails(pl_grpc_call *call, pl_str bytes)
{
    note(call, "message");
    pl_grpc_native_finish(call, PL_NOT_FOUND, bytes);
    /* It is over: nothing of this has an effect. */
    assert_false(pl_grpc_native_send(call, bytes));
    pl_grpc_native_finish(call, PL_OK, PL_STR_NONE);
}

static void later(pl_grpc_call *call, pl_str bytes)
{
    (void)bytes;
    note(call, "message");
}

static void count(pl_grpc_call *call, pl_str bytes)
{
    counter *c = pl_grpc_native_state(call);
    (void)bytes;
    c->messages++;
}

static void give_count(pl_grpc_call *call)
{
    const counter *c = pl_grpc_native_state(call);
    char text[20];
    snprintf(text, sizeof text, "%u", c->messages);
    note(call, "end");
    if (pl_grpc_native_send(call, pl_str_of(text)))
        pl_grpc_native_finish(call, PL_OK, PL_STR_NONE);
}

static void answer(pl_grpc_call *call, pl_str bytes)
{
    note(call, "message");
    pl_grpc_native_send(call, bytes);
}

static void flood(pl_grpc_call *call, pl_str bytes)
{
    char piece[1000];
    (void)bytes;
    memset(piece, 'x', sizeof piece);
    note(call, "message");
    while (pl_grpc_native_send(call, (pl_str){piece, sizeof piece}))
        ;
}

static void writable(pl_grpc_call *call)
{
    note(call, "writable");
}

static void closed(pl_grpc_call *call)
{
    note(call, "closed");
}

static void add(pl_grpc_server *server, pl_grpc_service *service, seen *s)
{
    static const pl_grpc_native echoing = {.message = echo, .closed = closed},
                                failing_one = {.message = fails, .closed = closed},
                                waiting = {.message = later, .writable = writable, .closed = closed},
                                counting = {.size = sizeof(counter),
                                            .message = count,
                                            .end = give_count,
                                            .closed = closed},
                                chatting = {.message = answer, .closed = closed},
                                flooding = {.message = flood, .writable = writable, .closed = closed};
    const pl_grpc_method methods[] = {
        {.path = PL_STR("/n.N/Echo"), .native = &echoing},
        {.path = PL_STR("/n.N/Fail"), .native = &failing_one},
        {.path = PL_STR("/n.N/Later"), .native = &waiting},
        {.path = PL_STR("/n.N/Watch"), .native = &waiting, .server_streaming = true},
        {.path = PL_STR("/n.N/Count"), .native = &counting, .client_streaming = true},
        {.path = PL_STR("/n.N/Chat"),
         .native = &chatting,
         .client_streaming = true,
         .server_streaming = true},
        {.path = PL_STR("/n.N/Flood"), .native = &flooding, .server_streaming = true},
        {.path = PL_STR("/n.N/Floods"),
         .native = &flooding,
         .client_streaming = true,
         .server_streaming = true},
        {.path = PL_STR("/t.S/Hidden"), .native = &echoing},
        {.path = PL_STR("/o.O/Other"), .native = &echoing}};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        pl_grpc_method method = methods[i];
        method.native_data = s;
        assert_int_equal(pl_grpc_service_add(service, &method), PL_OK);
    }
    pl_grpc_server_set_native(server, service);
}

typedef struct world {
    rf *f;
    pl_grpc_service *service;
    unsigned in_flight;
    seen seen;
} world;

static world *set_up(const rf_options *options, const pl_grpc_options *calls)
{
    world *w = calloc(1, sizeof *w);
    w->f = rf_new(options);
    w->service = pl_grpc_service_new(NULL, calls ? calls : &(pl_grpc_options){0}, PL_REF_NONE, &w->in_flight);
    assert_non_null(w->service);
    add(rf_server(w->f), w->service, &w->seen);
    return w;
}

static void tear_down(world *w)
{
    rf_free(w->f);
    assert_int_equal(w->in_flight, 0);
    pl_grpc_service_free(w->service);
    free(w);
}

static void saw(world *w, const char *text)
{
    assert_string_equal(w->seen.text, text);
    w->seen.text[0] = '\0';
}

static void test_unary(void **state)
{
    world *w = set_up(NULL, NULL);
    rf_ok(rf_unary(w->f, "/n.N/Echo", NULL, "hello"), "hello");
    saw(w, "message closed ");
    rf_ok(rf_unary(w->f, "/n.N/Echo", HEADERS("content-type", "application/grpc+proto"), ""), "");
    saw(w, "message closed ");
    rf_fails(rf_unary(w->f, "/n.N/Fail", NULL, "what it was"), PL_NOT_FOUND, "what it was");
    saw(w, "message closed ");
    rf_call *none = rf_begin(w->f, "/n.N/Echo", NULL);
    rf_end(none);
    rf_turn(w->f);
    rf_fails(none, PL_UNIMPLEMENTED, "takes one request message, not none");
    saw(w, "");
    tear_down(w);
}

static void test_finish_later(void **state)
{
    world *w = set_up(NULL, NULL);
    rf_call *call = rf_unary(w->f, "/n.N/Later", NULL, "x");
    assert_false(call->ended);
    assert_int_equal(w->in_flight, 1);
    assert_true(pl_grpc_native_send(w->seen.call, PL_STR("now")));
    pl_grpc_native_finish(w->seen.call, PL_OK, PL_STR_NONE);
    rf_turn(w->f);
    rf_ok(call, "now");
    saw(w, "message closed ");
    tear_down(w);
}

static void test_server_stream(void **state)
{
    world *w = set_up(NULL, NULL);
    rf_call *call = rf_unary(w->f, "/n.N/Watch", NULL, "x");
    assert_null(call->status); /* headers go with the first message */
    assert_true(pl_grpc_native_send(w->seen.call, PL_STR("one")));
    rf_turn(w->f);
    assert_string_equal(rf_messages(call), "one");
    assert_true(pl_grpc_native_send(w->seen.call, PL_STR("two")));
    pl_grpc_native_finish(w->seen.call, PL_UNAVAILABLE, PL_STR("bye"));
    rf_turn(w->f);
    assert_string_equal(rf_messages(call), "one|two");
    rf_fails(call, PL_UNAVAILABLE, "bye");
    saw(w, "message closed ");
    tear_down(w);
}

static void test_client_stream(void **state)
{
    world *w = set_up(NULL, NULL);
    rf_call *call = rf_begin(w->f, "/n.N/Count", NULL);
    for (int i = 0; i < 50; i++) {
        rf_send(call, "message", false);
        if (i % 7 == 0)
            rf_turn(w->f);
    }
    rf_end(call);
    rf_turn(w->f);
    rf_ok(call, "50");
    saw(w, "end closed ");
    tear_down(w);
}

static void test_bidi(void **state)
{
    world *w = set_up(NULL, NULL);
    rf_call *call = rf_begin(w->f, "/n.N/Chat", NULL);
    rf_send(call, "a", false);
    rf_send(call, "b", false);
    rf_turn(w->f);
    assert_string_equal(rf_messages(call), "a|b");
    rf_end(call); /* without an `end`, this is OK */
    rf_turn(w->f);
    rf_ok(call, "a|b");
    saw(w, "message message closed ");
    tear_down(w);
}

/* Those who leave, and those whose time is up: `closed` comes once. */
static void test_ends_of_others(void **state)
{
    world *w = set_up(NULL, NULL);
    rf_call *call = rf_unary(w->f, "/n.N/Watch", NULL, "x");
    rf_reset(call, 8);
    rf_turn(w->f);
    saw(w, "message closed ");
    call = rf_unary(w->f, "/n.N/Watch", HEADERS("grpc-timeout", "100m"), "x");
    rf_wait(w->f, 150);
    rf_fails(call, PL_DEADLINE_EXCEEDED, NULL);
    saw(w, "message closed ");
    rf_unary(w->f, "/n.N/Watch", NULL, "x");
    tear_down(w); /* the connection goes */
}

static void test_malformed(void **state)
{
    world *w = set_up(NULL, &(pl_grpc_options){.max_message = 100});
    char large[200];
    memset(large, 'x', sizeof large);
    large[199] = '\0';
    rf_call *call = rf_begin(w->f, "/n.N/Chat", NULL);
    rf_send(call, "a", false);
    rf_send(call, large, false);
    rf_turn(w->f);
    rf_fails(call, PL_RESOURCE_EXHAUSTED, "199 bytes, and 100 are allowed");
    saw(w, "message closed ");
    rf_fails(rf_unary(w->f, "/n.N/Echo", NULL, large), PL_RESOURCE_EXHAUSTED, "100 are allowed");
    call = rf_begin(w->f, "/n.N/Chat", NULL);
    rf_send_bytes(call, PL_STR("\0\0\0\0\5ab"), true);
    rf_turn(w->f);
    rf_fails(call, PL_INTERNAL, "in the middle of a message");
    saw(w, "closed ");
    call = rf_unary(w->f, "/n.N/Echo", HEADERS("content-type", "application/grpc+json"), "{}");
    assert_string_equal(call->status, "415");
    tear_down(w);
}

static void test_compression(void **state)
{
    world *w = set_up(
        NULL, &(pl_grpc_options){.compression = PL_GRPC_ALWAYS, .coding = PL_GRPC_GZIP, .compress_from = 1});
    rf_call *call =
        rf_unary(w->f, "/n.N/Echo", HEADERS("grpc-accept-encoding", "gzip"), "hello hello hello hello");
    assert_string_equal(rf_trailer(call, "grpc-status"), "0");
    assert_string_equal(rf_header(call, "grpc-encoding"), "gzip");
    assert_int_equal(rf_messages(call)[0], '~');
    tear_down(w);
}

/* Who sends hears when to stop, and when to go on; requests wait meanwhile. */
static void test_slow_reader(void **state)
{
    world *w = set_up(&(rf_options){.no_window_update = true}, NULL);
    rf_call *call = rf_unary(w->f, "/n.N/Flood", NULL, "x");
    saw(w, "message writable "); /* as much as the window takes has gone */
    size_t before = call->data.len;
    assert_true(before <= 65535);
    pl_grpc_native_finish(w->seen.call, PL_OK, PL_STR_NONE);
    for (int i = 0; i < 10; i++)
        rf_take_all(w->f);
    assert_string_equal(rf_trailer(call, "grpc-status"), "0");
    assert_true(call->data.len > before);
    saw(w, "closed ");
    call = rf_begin(w->f, "/n.N/Floods", NULL);
    rf_send(call, "a", false);
    rf_send(call, "b", false);
    rf_turn(w->f);
    saw(w, "message writable message "); /* the second one had to wait */
    rf_reset(call, 8);
    rf_turn(w->f);
    saw(w, "closed ");
    tear_down(w);
}

/* --- services --- */
static void test_which_service(void **state)
{
    world *w = set_up(&(rf_options){.interceptor = "function() error(errors.aborted 'no') end"}, NULL);
    rf_ok(rf_unary(w->f, "/n.N/Echo", NULL, "past interceptors"), "past interceptors");
    rf_ok(rf_unary(w->f, "/t.S/Hidden", NULL, "x"), "x");
    rf_method(w->f, "Echo", RF_UNARY, "function(r) return r end");
    rf_fails(rf_unary(w->f, "/t.S/Echo", NULL, "x"), PL_ABORTED, "no");
    rf_fails(rf_unary(w->f, "/t.S/Hidden", NULL, "x"), PL_UNIMPLEMENTED,
             "unknown method Hidden for service t.S");
    rf_fails(rf_unary(w->f, "/n.N/No", NULL, "x"), PL_UNIMPLEMENTED, "unknown method No for service n.N");
    rf_fails(rf_unary(w->f, "/n/No", NULL, "x"), PL_UNIMPLEMENTED, "unknown service n");
    pl_grpc_server_set_service(rf_server(w->f), NULL);
    rf_ok(rf_unary(w->f, "/n.N/Echo", NULL, "alone"), "alone");
    rf_fails(rf_unary(w->f, "/x.X/Echo", NULL, "x"), PL_UNIMPLEMENTED, "unknown service x.X");
    tear_down(w);
}

static bool add_name(void *data, pl_str name)
{
    char *text = data;
    sprintf(text + strlen(text), "%.*s ", PL_STR_ARG(name));
    return true;
}

static bool stop_at_once(void *data, pl_str name)
{
    (void)name;
    ++*(int *)data;
    return false;
}

static void test_off(void **state)
{
    world *w = set_up(NULL, NULL);
    char names[100] = "";
    int calls = 0;
    rf_call *watch = rf_unary(w->f, "/n.N/Watch", NULL, "x");
    rf_call *other = rf_begin(w->f, "/o.O/Other", NULL);
    rf_turn(w->f);
    pl_grpc_service_set_off(w->service, PL_STR("n.N"), true);
    pl_grpc_service_set_off(w->service, PL_STR("no.No"), true);
    rf_turn(w->f);
    rf_fails(watch, PL_UNAVAILABLE, "has been switched off");
    rf_fails(rf_unary(w->f, "/n.N/Echo", NULL, "x"), PL_UNIMPLEMENTED, "unknown service n.N");
    rf_send(other, "on", true);
    rf_turn(w->f);
    rf_ok(other, "on");
    assert_true(pl_grpc_service_each(w->service, add_name, names));
    assert_string_equal(names, "t.S o.O ");
    assert_false(pl_grpc_service_each(w->service, stop_at_once, &calls));
    assert_int_equal(calls, 1);
    pl_grpc_service_set_off(w->service, PL_STR("n.N"), false);
    rf_ok(rf_unary(w->f, "/n.N/Echo", NULL, "x"), "x");
    tear_down(w);
}

static void test_finish_calls(void **state)
{
    world *w = set_up(NULL, NULL);
    rf_call *one = rf_unary(w->f, "/n.N/Watch", NULL, "x");
    pl_grpc_native_send(w->seen.call, PL_STR("last words"));
    rf_call *two = rf_unary(w->f, "/n.N/Later", NULL, "x");
    pl_grpc_service_finish_calls(w->service, "The end.");
    rf_turn(w->f);
    assert_string_equal(rf_messages(one), "last words");
    rf_fails(one, PL_UNAVAILABLE, "The end.");
    rf_fails(two, PL_UNAVAILABLE, "The end.");
    tear_down(w);
}

static void test_no_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        nf f;
        seen s = {0};
        nf_open(&f);
        add(f.server, f.service, &s);
        failing_begin(&a);
        nf_call *unary = nf_unary(&f, "/n.N/Echo", PL_STR("hello"));
        nf_call *count_all = nf_begin(&f, "/n.N/Count");
        nf_send(count_all, PL_STR("a"), false);
        nf_send(count_all, PL_STR("b"), true);
        nf_call *chat = nf_begin(&f, "/n.N/Chat");
        nf_send(chat, PL_STR("c"), false);
        nf_send(chat, PL_STR("d"), true);
        if (failing_end(&a)) {
            bool failed = unary->code != PL_OK || count_all->code != PL_OK || chat->code != PL_OK;
            assert_true(failed);
        } else {
            assert_true(pl_str_is(nf_message(unary, 0), "hello") && unary->code == PL_OK);
            assert_true(pl_str_is(nf_message(count_all, 0), "2") && count_all->code == PL_OK);
            assert_true(pl_str_is(nf_message(chat, 1), "d") && chat->code == PL_OK);
        }
        nf_end(unary);
        nf_end(count_all);
        nf_end(chat);
        nf_close(&f);
    }
    assert_true(a.made > 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),         cmocka_unit_test(test_finish_later),
        cmocka_unit_test(test_server_stream), cmocka_unit_test(test_client_stream),
        cmocka_unit_test(test_bidi),          cmocka_unit_test(test_ends_of_others),
        cmocka_unit_test(test_malformed),     cmocka_unit_test(test_compression),
        cmocka_unit_test(test_slow_reader),   cmocka_unit_test(test_which_service),
        cmocka_unit_test(test_off),           cmocka_unit_test(test_finish_calls),
        cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
