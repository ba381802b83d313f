/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/failing.h"
#include "support/grpc_fixture.h"

#define HEADERS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Whole calls of all kinds, from the first header to the last trailer, with each allocation failing in turn:
 * alone, and with all behind it. Every call that was answered ended with a status, and nothing is left. */
typedef struct whole_calls {
    rf *f;
    rf_call *unary, *zipped, *out, *in, *both, *wrong, *crash;
} whole_calls;

static void begin_whole_calls(whole_calls *w)
{
    static const char *const zipped[] = {"grpc-encoding", "gzip", "grpc-accept-encoding", "gzip", NULL};
    w->f = rf_new(&(rf_options){.calls = {.compress_from = 1},
                                .interceptor = "function(ctx, next) next(ctx) ctx.trailers.x = 'y' end"});
    rf_method(w->f, "Echo", RF_UNARY,
              "function(r, call) call.response_headers.h = call.metadata['x-bin'][1] return r end");
    rf_method(w->f, "Out", RF_SERVER, "function(r, call) for i = 1, 3 do call:send(r .. i) end end");
    rf_method(w->f, "In", RF_CLIENT,
              "function(call) local t = '' for m in call:messages() do t = t .. m end return t end");
    rf_method(
        w->f, "Both", RF_BIDI,
        "function(call) call:send_headers { a = 'b' } for m in call:messages() do call:send(m) end end");
    rf_method(w->f, "Zip", RF_UNARY, "function(r) return r:rep(100) end");
    rf_method(w->f, "Wrong", RF_UNARY,
              "function() error(errors.invalid_argument('no', { name = 'bad' })) end");
    rf_method(w->f, "Crash", RF_UNARY, "function() error 'secret' end");
    rf_turn(w->f);
    w->unary = rf_begin(w->f, "Echo", HEADERS("x-bin", "YQ", "grpc-timeout", "1H"));
    w->zipped = rf_begin(w->f, "Zip", zipped);
    w->out = rf_begin(w->f, "Out", NULL);
    w->in = rf_begin(w->f, "In", NULL);
    w->both = rf_begin(w->f, "Both", NULL);
    w->wrong = rf_begin(w->f, "Wrong", NULL);
    w->crash = rf_begin(w->f, "Crash", NULL);
    rf_send(w->unary, "hello", true);
    rf_send(w->zipped, "z", true);
    rf_send(w->out, "o", true);
    rf_send(w->in, "i", false);
    rf_send(w->in, "n", true);
    rf_send(w->both, "b", true);
    rf_send(w->wrong, "", true);
    rf_send(w->crash, "", true);
}

static void check_whole_calls(whole_calls *w)
{
    rf_ok(w->unary, "hello");
    assert_string_equal(rf_header(w->unary, "h"), "a");
    assert_string_equal(rf_trailer(w->unary, "x"), "y");
    assert_true(rf_messages(w->zipped)[0] == '~');
    rf_ok(w->out, "o1|o2|o3");
    rf_ok(w->in, "in");
    rf_ok(w->both, "b");
    rf_fails(w->wrong, PL_INVALID_ARGUMENT, "no");
    assert_non_null(rf_trailer(w->wrong, "grpc-status-details-bin"));
    rf_fails(w->crash, PL_INTERNAL, "Internal server error");
}

static void no_memory(bool sticky)
{
    failing a = {.sticky = sticky};
    while (failing_next(&a)) {
        whole_calls w;
        begin_whole_calls(&w);
        failing_begin(&a);
        rf_turn(w.f);
        if (!failing_end(&a))
            check_whole_calls(&w);
        rf_turn(w.f);
        assert_int_equal(pl_grpc_server_get_stats(rf_server(w.f)).calls, rf_in_flight(w.f));
        rf_free(w.f);
    }
    assert_true(a.made > 200);
}

static void test_no_memory_once(void **state)
{
    no_memory(false);
}

static void test_no_memory_any_more(void **state)
{
    no_memory(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_memory_once),
                                       cmocka_unit_test(test_no_memory_any_more)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
