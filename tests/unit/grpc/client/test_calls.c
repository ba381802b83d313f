/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/client_fixture.h"

#define HEADERS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define RETRY                                                                                   \
    "{\"service_config\":{\"methodConfig\":[{\"name\":[{}],\"retryPolicy\":{\"maxAttempts\":4," \
    "\"initialBackoff\":\"0.1s\",\"maxBackoff\":\"1s\",\"backoffMultiplier\":2,"                \
    "\"retryableStatusCodes\":[\"UNAVAILABLE\"]}}]}}"

static pl_remote *open_remote(cf *f, const char *target, const char *options)
{
    pl_error err = {0};
    pl_remote *remote = cf_open(f, target, options, f, &err);
    if (!remote)
        fail_msg("%s", err.message);
    return remote;
}

static pl_code code_of(pl_remote_call *call)
{
    pl_remote_status status;
    if (!cf_ended(call, &status))
        fail_msg("it has not ended");
    return status.code;
}

static void end(cf *f, pl_remote_call *call, pl_remote *remote)
{
    if (call)
        call->ops->free(call);
    remote->ops->close(remote);
    cf_turn(f);
    cf_free(f);
}

/* Both carriers behave alike. */
static const char *const targets[] = {"a", "local:"};

static void test_unary(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        cf *f = cf_new();
        pl_remote *remote = open_remote(f, targets[i], NULL);
        pl_remote_call *call = cf_unary(remote, "Echo", 1000, NULL, "hello");
        pl_str message;
        assert_int_equal(call->ops->receive(call, &message), PL_REMOTE_WAIT);
        cf_turn(f);
        assert_string_equal(cf_receive(f, call), "hello");
        assert_int_equal(code_of(call), PL_OK);
        end(f, call, remote);
    }
}

static void test_streams(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        cf *f = cf_new();
        pl_error err;
        pl_remote *remote = open_remote(f, targets[i], NULL);
        pl_remote_call *call = cf_start(remote, "Echo", 0, NULL);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(call->ops->send(call, PL_STR("m"), &err), PL_REMOTE_DONE);
            cf_turn(f);
        }
        assert_int_equal(call->ops->finish(call), PL_REMOTE_DONE);
        assert_int_equal(call->ops->send(call, PL_STR("m"), &err), PL_REMOTE_FAILED);
        cf_turn(f);
        for (int k = 0; k < 3; k++)
            assert_string_equal(cf_receive(f, call), "m");
        assert_int_equal(code_of(call), PL_OK);
        end(f, call, remote);
    }
}

static void test_statuses(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        cf *f = cf_new();
        pl_remote *remote = open_remote(f, targets[i], NULL);
        pl_remote_call *call = cf_unary(remote, "Fail", 0, HEADERS("code", "5"), "x");
        cf_turn(f);
        assert_int_equal(code_of(call), PL_NOT_FOUND);
        call->ops->free(call);
        call = cf_unary(remote, "Late", 0, HEADERS("code", "15"), "x");
        cf_turn(f);
        assert_string_equal(cf_receive(f, call), "x");
        assert_int_equal(code_of(call), PL_DATA_LOSS);
        end(f, call, remote);
    }
}

/* --- flow --- */
static void test_back_pressure(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        cf *f = cf_new();
        pl_error err;
        static char large[100000];
        pl_remote *remote = open_remote(f, targets[i], NULL);
        pl_remote_call *call = cf_start(remote, "Hang", 0, NULL);
        memset(large, 'x', sizeof large);
        size_t taken = 0;
        pl_remote_result result = PL_REMOTE_DONE;
        for (; result == PL_REMOTE_DONE && taken < 100; taken++) {
            result = call->ops->send(call, (pl_str){large, sizeof large}, &err);
            cf_turn(f);
            if (result == PL_REMOTE_WAIT)
                result = call->ops->flushed(call);
        }
        assert_int_equal(result, PL_REMOTE_WAIT);
        assert_true(taken < 6);
        end(f, call, remote);
    }
}

/* What is not taken stays with the server. */
static void test_slow_reader(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        cf *f = cf_new();
        pl_remote *remote = open_remote(f, targets[i], NULL);
        pl_remote_call *call = cf_unary(remote, "Many", 0, HEADERS("count", "5000"), "");
        pl_remote_status status;
        cf_turn(f);
        unsigned got = 0;
        for (int turns = 0; turns < 5000; turns++) {
            for (int k = 0; k < 100 && cf_receive(f, call); k++)
                got++;
            cf_turn(f);
        }
        assert_int_equal(got, 5000);
        assert_true(cf_ended(call, &status));
        end(f, call, remote);
    }
}

/* --- time --- */
static void test_deadline(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        cf *f = cf_new();
        pl_remote_status status;
        pl_remote *remote = open_remote(f, targets[i], NULL);
        pl_remote_call *call = cf_unary(remote, "Hang", 300, NULL, "x");
        cf_wait(f, 299);
        assert_false(cf_ended(call, &status));
        cf_wait(f, 1);
        assert_true(cf_ended(call, &status));
        assert_int_equal(status.code, PL_DEADLINE_EXCEEDED);
        assert_true(status.local);
        assert_int_equal(cf_cancelled(f), 1);
        end(f, call, remote);
    }
}

static void test_cancel(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        cf *f = cf_new();
        pl_remote *remote = open_remote(f, targets[i], NULL);
        pl_remote_call *call = cf_unary(remote, "Hang", 0, NULL, "x");
        cf_turn(f);
        call->ops->cancel(call);
        assert_int_equal(code_of(call), PL_CANCELLED);
        cf_turn(f);
        assert_int_equal(cf_cancelled(f), 1);
        call->ops->free(call);
        call = cf_unary(remote, "Hang", 0, NULL, "x");
        cf_turn(f);
        call->ops->free(call); /* the same */
        cf_turn(f);
        assert_int_equal(cf_cancelled(f), 2);
        end(f, NULL, remote);
    }
}

/* --- connections --- */

/* More calls than the server takes at once wait for their turn; one that waits can be cancelled. */
static void test_more_calls_than_the_server_takes(void **state)
{
    cf *f = cf_new();
    pl_remote_call *calls[5];
    cf_limit_streams(f, 2);
    pl_remote *remote = open_remote(f, "a", NULL);
    for (int i = 0; i < 5; i++)
        calls[i] = cf_unary(remote, "Hang", 0, NULL, "x");
    cf_turn(f);
    assert_int_equal(cf_requests(f, "a"), 2);
    calls[3]->ops->cancel(calls[3]);
    assert_int_equal(code_of(calls[3]), PL_CANCELLED);
    calls[0]->ops->cancel(calls[0]);
    cf_turn(f);
    assert_int_equal(cf_requests(f, "a"), 3);
    calls[1]->ops->cancel(calls[1]);
    calls[2]->ops->cancel(calls[2]);
    cf_turn(f);
    assert_int_equal(cf_requests(f, "a"), 4); /* the cancelled one was never sent */
    for (int i = 0; i < 5; i++)
        calls[i]->ops->free(calls[i]);
    end(f, NULL, remote);
}

static void test_reconnecting(void **state)
{
    cf *f = cf_new();
    pl_remote *remote = open_remote(f, "a", NULL);
    cf_serve(f, "a", CF_REFUSES);
    pl_remote_call *call = cf_unary(remote, "Echo", 0, NULL, "x");
    cf_turn(f);
    assert_int_equal(code_of(call), PL_UNAVAILABLE);
    call->ops->free(call);
    cf_serve(f, "a", CF_SERVES);
    call = cf_unary(remote, "Echo", 0, NULL, "x");
    cf_turn(f);
    assert_int_equal(code_of(call), PL_UNAVAILABLE); /* the backoff */
    call->ops->free(call);
    cf_wait(f, 1300);
    call = cf_unary(remote, "Echo", 0, NULL, "x");
    cf_turn(f);
    assert_int_equal(code_of(call), PL_OK);
    cf_drop(f, "a");
    cf_turn(f);
    assert_int_equal(cf_connections(f), 0);
    call->ops->free(call);
    call = cf_unary(remote, "Echo", 0, NULL, "x");
    cf_wait(f, 2000);
    assert_int_equal(code_of(call), PL_OK);
    assert_int_equal(cf_connected(f), 2);
    end(f, call, remote);
}

/* One that never opens, and one that opens and says nothing. */
static void test_servers_that_hang(void **state)
{
    const cf_server hows[] = {CF_HANGS, CF_SILENT};
    for (size_t i = 0; i < 2; i++) {
        cf *f = cf_new();
        pl_remote *remote = open_remote(f, "a", "{\"connect_timeout\":3}");
        cf_serve(f, "a", hows[i]);
        pl_remote_status status;
        pl_remote_call *call = cf_unary(remote, "Echo", 0, NULL, "x");
        cf_wait(f, 2900);
        assert_false(cf_ended(call, &status));
        cf_wait(f, 3100);
        assert_int_equal(code_of(call), PL_UNAVAILABLE);
        end(f, call, remote);
    }
}

static void test_draining(void **state)
{
    cf *f = cf_new();
    pl_remote_status status;
    pl_remote *remote = open_remote(f, "a", NULL);
    pl_remote_call *open = cf_start(remote, "Echo", 0, NULL), *more;
    pl_error err;
    open->ops->send(open, PL_STR("1"), &err);
    cf_turn(f);
    cf_drain(f, "a");
    cf_turn(f);
    more = cf_unary(remote, "Echo", 0, NULL, "x");
    cf_wait(f, 2000);
    assert_int_equal(code_of(more), PL_OK);
    assert_int_equal(cf_connected(f), 2);
    assert_false(cf_ended(open, &status));
    open->ops->finish(open);
    cf_turn(f);
    assert_int_equal(code_of(open), PL_OK);
    assert_int_equal(cf_connections(f), 1); /* the old one has gone */
    more->ops->free(more);
    end(f, open, remote);
}

static void test_sharing_and_sleep(void **state)
{
    cf *f = cf_new();
    pl_remote *one = open_remote(f, "a", "{\"idle_timeout\":10}");
    pl_remote *two = open_remote(f, "a", "{\"idle_timeout\":10}");
    pl_remote *other = open_remote(f, "a", NULL);
    pl_remote *const all[] = {one, two, other};
    for (int i = 0; i < 3; i++) {
        pl_remote_call *call = cf_unary(all[i], "Echo", 0, NULL, "x");
        cf_turn(f);
        assert_int_equal(code_of(call), PL_OK);
        call->ops->free(call);
    }
    assert_int_equal(cf_connections(f), 2);
    cf_wait(f, 11000);
    assert_int_equal(cf_connections(f), 1);
    pl_remote_call *call = cf_unary(two, "Echo", 0, NULL, "x");
    cf_turn(f);
    assert_int_equal(code_of(call), PL_OK);
    call->ops->free(call);
    one->ops->close(one);
    two->ops->close(two);
    other->ops->close(other);
    cf_wait(f, 61000);
    assert_int_equal(cf_connections(f), 0);
    assert_int_equal(pl_client_set_stats(cf_set(f)).channels, 0);
    cf_free(f);
}

/* The owner of remotes goes while calls are under way. */
static void test_leaving(void **state)
{
    cf *f = cf_new();
    pl_error err;
    int owner;
    pl_remote *mine = cf_open(f, "a", NULL, &owner, &err), *other = open_remote(f, "a", NULL);
    pl_remote_call *call = cf_unary(mine, "Hang", 0, NULL, "x"),
                   *stays = cf_unary(other, "Echo", 0, NULL, "y");
    cf_turn(f);
    pl_client_set_leave(cf_set(f), &owner);
    cf_turn(f);
    assert_int_equal(cf_cancelled(f), 1);
    assert_int_equal(code_of(call), PL_CANCELLED);
    assert_int_equal(code_of(stays), PL_OK);
    assert_null(cf_start(mine, "Echo", 0, NULL));
    call->ops->free(call);
    mine->ops->close(mine);
    stays->ops->free(stays);
    end(f, NULL, other);
}

/* All goes at once, with calls that wait and calls that run. */
static void test_the_end_of_all(void **state)
{
    cf *f = cf_new();
    pl_remote *remote = open_remote(f, "a", NULL), *hanging = open_remote(f, "b", NULL);
    pl_remote *local = open_remote(f, "local:", NULL);
    cf_serve(f, "b", CF_HANGS);
    pl_remote_call *calls[] = {cf_unary(remote, "Hang", 1000, NULL, "x"),
                               cf_unary(hanging, "Echo", 0, NULL, "x"),
                               cf_unary(local, "Hang", 0, NULL, "x")};
    cf_turn(f);
    cf_free(f);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(code_of(calls[i]), PL_CANCELLED);
        calls[i]->ops->free(calls[i]);
    }
    remote->ops->close(remote);
    hanging->ops->close(hanging);
    local->ops->close(local);
}

/* --- policies --- */
static void test_retries(void **state)
{
    cf *f = cf_new();
    pl_remote *remote = open_remote(f, "a", RETRY);
    pl_remote_status status;
    pl_remote_call *call = cf_unary(remote, "Flaky", 0, HEADERS("code", "14", "times", "2"), "x");
    cf_turn(f);
    assert_false(cf_ended(call, &status));
    cf_wait(f, 1000);
    assert_int_equal(cf_requests(f, "a"), 3);
    assert_string_equal(cf_receive(f, call), "x");
    assert_int_equal(code_of(call), PL_OK);
    assert_int_equal(call->ops->attempts(call), 3);
    call->ops->free(call);
    call = cf_unary(remote, "Fail", 0, HEADERS("code", "14", "pushback", "5000"), "x");
    cf_wait(f, 4999);
    assert_int_equal(cf_requests(f, "a"), 4);
    cf_wait(f, 1);
    assert_int_equal(cf_requests(f, "a"), 5);
    call->ops->cancel(call);
    cf_wait(f, 10000);
    assert_int_equal(cf_requests(f, "a"), 5);
    end(f, call, remote);
}

static void test_hedging(void **state)
{
    cf *f = cf_new();
    pl_remote *remote = open_remote(f, "a",
                                    "{\"service_config\":{\"methodConfig\":[{\"name\":[{}],\"hedgingPolicy\":"
                                    "{\"maxAttempts\":3,\"hedgingDelay\":\"0.1s\"}}]}}");
    pl_remote_call *call = cf_unary(remote, "Hang", 0, NULL, "x");
    cf_turn(f);
    assert_int_equal(cf_requests(f, "a"), 1);
    cf_wait(f, 100);
    assert_int_equal(cf_requests(f, "a"), 2);
    cf_wait(f, 1000);
    assert_int_equal(cf_requests(f, "a"), 3);
    call->ops->free(call);
    cf_turn(f);
    assert_int_equal(cf_cancelled(f), 3);
    end(f, NULL, remote);
}

static void test_round_robin(void **state)
{
    cf *f = cf_new();
    pl_remote *remote = open_remote(f, "a,b,c", "{\"balance\":\"round_robin\"}");
    cf_serve(f, "c", CF_REFUSES);
    for (int i = 0; i < 11; i++) {
        pl_remote_call *call = cf_unary(remote, "Echo", 0, NULL, "x");
        cf_turn(f);
        assert_int_equal(code_of(call), PL_OK);
        call->ops->free(call);
    }
    assert_true(cf_requests(f, "a") >= 5);
    assert_true(cf_requests(f, "b") >= 5);
    end(f, NULL, remote);
}

static void test_breaker(void **state)
{
    cf *f = cf_new();
    pl_remote *remote = open_remote(f, "a", "{\"breaker\":{\"failures\":2,\"open\":5}}");
    for (int i = 0; i < 4; i++) {
        pl_remote_call *call = cf_unary(remote, "Fail", 0, HEADERS("code", "13"), "x");
        cf_turn(f);
        assert_int_equal(code_of(call), i < 2 ? PL_INTERNAL : PL_UNAVAILABLE);
        call->ops->free(call);
    }
    assert_int_equal(cf_requests(f, "a"), 2);
    cf_wait(f, 5000);
    pl_remote_call *call = cf_unary(remote, "Echo", 0, NULL, "x");
    cf_turn(f);
    assert_int_equal(code_of(call), PL_OK);
    end(f, call, remote);
}

static void test_names_that_cannot_be_resolved(void **state)
{
    cf *f = cf_new();
    pl_error err = {0};
    pl_remote *remote = open_remote(f, "unknown", NULL);
    pl_remote_status status;
    pl_remote_call *call = cf_unary(remote, "Echo", 0, NULL, "x");
    cf_turn(f);
    assert_true(cf_ended(call, &status));
    assert_int_equal(status.code, PL_UNAVAILABLE);
    assert_non_null(memmem(status.message.ptr, status.message.len, "unknown cannot be resolved", 26));
    assert_null(cf_open(f, "wrong:x", NULL, f, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    assert_null(cf_open(f, "a", "{\"balance\":\"best\"}", f, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    end(f, call, remote);
}

/* --- health --- */
#define WATCHED(service)                                                                                 \
    "{\"balance\":\"round_robin\",\"service_config\":{\"healthCheckConfig\":{\"serviceName\":\"" service \
    "\"}}}"
#define SERVING "\x08\x01", 2
#define NOT_SERVING "\x08\x02", 2

static void ends_with(cf *f, pl_remote *remote, pl_code code)
{
    pl_remote_call *call = cf_unary(remote, "Echo", 0, NULL, "x");
    cf_turn(f);
    assert_int_equal(code_of(call), code);
    call->ops->free(call);
}

static void test_health(void **state)
{
    cf *f = cf_new();
    pl_remote *remote = open_remote(f, "a,b", WATCHED("users"));
    cf_health(f, "a", NOT_SERVING);
    cf_health(f, "b", SERVING);
    for (int i = 0; i < 4; i++)
        ends_with(f, remote, PL_OK);
    assert_int_equal(cf_requests(f, "b"), 5); /* one is the watcher's */
    assert_int_equal(cf_requests(f, "a"), 1);
    assert_true(pl_str_eq(cf_watched(f, "a"), PL_STR("\0\0\0\0\7\x0a\5users")));
    cf_health(f, "b", NOT_SERVING);
    cf_turn(f);
    ends_with(f, remote, PL_UNAVAILABLE);
    cf_health(f, "a", SERVING);
    cf_turn(f);
    ends_with(f, remote, PL_OK);
    cf_health(f, "a", "", 0); /* UNKNOWN, which is 0 */
    cf_turn(f);
    ends_with(f, remote, PL_UNAVAILABLE);
    end(f, NULL, remote);
}

/* Who has no such service is healthy. */
static void test_no_health(void **state)
{
    cf *f = cf_new();
    pl_remote *remote = open_remote(f, "a", WATCHED(""));
    ends_with(f, remote, PL_OK);
    assert_int_equal(cf_watched(f, "a").len, 5);
    end(f, NULL, remote);
}

/* A watcher that has lost its stream asks again, later and later. */
static void test_health_asked_again(void **state)
{
    cf *f = cf_new();
    pl_remote *remote = open_remote(f, "a", WATCHED(""));
    char nonsense[16];
    memset(nonsense, 0x80, sizeof nonsense);
    cf_health(f, "a", SERVING);
    ends_with(f, remote, PL_OK);
    cf_drop(f, "a"); /* with the connection a new watcher comes */
    cf_wait(f, 2000);
    ends_with(f, remote, PL_OK);
    cf_health(f, "a", nonsense, sizeof nonsense); /* no status that there is */
    cf_turn(f);
    ends_with(f, remote, PL_UNAVAILABLE);
    end(f, NULL, remote);
}

/* Names of any length, which Protobuf writes with as many bytes as it takes. */
static void test_health_of_a_long_name(void **state)
{
#define LONG                                                                                                 \
    "a123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789j123456789k1" \
    "23456789l123456789m123456789"
    cf *f = cf_new();
    pl_remote *remote = open_remote(f, "a", WATCHED(LONG));
    cf_health(f, "a", SERVING);
    ends_with(f, remote, PL_OK);
    assert_true(pl_str_eq(cf_watched(f, "a"), PL_STR("\0\0\0\0\x85\x0a\x82\1" LONG)));
    end(f, NULL, remote);
}

/* What a call cannot be begun with. */
static void test_wrong_calls(void **state)
{
    cf *f = cf_new();
    pl_remote *remote = open_remote(f, "a", NULL);
    static const pl_header metadata[101];
    const struct {
        pl_remote_call_config config;
        const char *message;
    } cases[] = {
        {{.path = PL_STR("t.S/Echo")}, "the method must be /package.Service/Method"},
        {{.path = PL_STR("/t.S")}, "the method must be"},
        {{.path = PL_STR("/t.S/Two words")}, "the method must be"},
        {{.path = PL_STR("/t.S/Echo"), .compression = PL_STR("lzma")}, "compression must be one of"},
        {{.path = PL_STR("/t.S/Echo"), .metadata = metadata, .metadata_count = 101},
         "more metadata than 100"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_remote_call *call = NULL;
        pl_error err = {0};
        assert_int_equal(remote->ops->start(remote, &cases[i].config, &call, &err), PL_INVALID_ARGUMENT);
        if (!strstr(err.message, cases[i].message))
            fail_msg("\"%s\" is not \"%s\"", err.message, cases[i].message);
    }
    end(f, NULL, remote);
}

static void test_wrong_messages(void **state)
{
    cf *f = cf_new();
    pl_error err = {0};
    pl_remote_status status;
    pl_remote *remote = open_remote(f, "a", "{\"max_request\":10,\"max_response\":100}");
    pl_remote_call *call = cf_start(remote, "Echo", 0, NULL);
    assert_int_equal(call->ops->send(call, PL_STR("eleven bytes"), &err), PL_REMOTE_FAILED);
    assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
    assert_int_equal(call->ops->send(call, PL_STR("ten"), &err), PL_REMOTE_DONE); /* the call goes on */
    assert_int_equal(call->ops->finish(call), PL_REMOTE_DONE);
    assert_int_equal(call->ops->send(call, PL_STR("more"), &err), PL_REMOTE_FAILED);
    assert_int_equal(err.code, PL_FAILED_PRECONDITION);
    cf_turn(f);
    const pl_header *headers;
    size_t count;
    assert_int_equal(call->ops->headers(call, &headers, &count), PL_REMOTE_DONE);
    assert_true(pl_str_is(call->ops->peer(call), "a"));
    assert_string_equal(cf_receive(f, call), "ten");
    assert_int_equal(code_of(call), PL_OK);
    call->ops->free(call);
    call = cf_unary(remote, "Many", 0, HEADERS("count", "2"), "x"); /* of 1000 bytes each */
    cf_turn(f);
    assert_null(cf_receive(f, call));
    assert_true(cf_ended(call, &status));
    assert_int_equal(status.code, PL_RESOURCE_EXHAUSTED);
    assert_true(status.local);
    assert_non_null(memmem(status.message.ptr, status.message.len, "1000 bytes, and 100 are allowed", 31));
    end(f, call, remote);
}

/* --- memory --- */

/* Every allocation fails once: what a call comes to is a status, and nothing is lost or leaked. */
static void fails_at(const char *target, const char *options, const char *method)
{
    size_t made = 1, n = 0;
    while (made >= n) {
        n += n < 300 ? 1 : 7;
        cf *f = cf_new();
        pl_error err;
        pl_remote_status status = {.code = PL_UNKNOWN};
        assert_non_null(f);
        cf_fail_at(f, n);
        pl_remote *remote = cf_open(f, target, options, f, &err);
        pl_remote_call *call = remote ? cf_unary(remote, method, 5000,
                                                 HEADERS("code", "14", "times", "1", "count", "20"), "hello")
                                      : NULL;
        if (call)
            cf_wait(f, 6000);
        bool ended = call && cf_ended(call, &status);
        made = cf_fail_at(f, 0);
        if (made < n) {
            assert_true(ended);
            assert_int_equal(status.code, PL_OK);
        }
        cf_wait(f, 6000);
        assert_true(!call || ended || cf_ended(call, &status));
        if (call)
            call->ops->free(call);
        if (remote)
            remote->ops->close(remote);
        cf_free(f);
    }
    assert_true(made > 10);
}

/* The same for a call on a connection that is there. */
static void fails_later(const char *target, const char *method)
{
    size_t made = 1, n = 0;
    while (made >= n) {
        n++;
        cf *f = cf_new();
        pl_remote_status status = {.code = PL_UNKNOWN};
        pl_remote *remote = open_remote(f, target, NULL);
        pl_remote_call *first = cf_unary(remote, "Echo", 0, NULL, "x");
        cf_wait(f, 10);
        assert_true(cf_ended(first, &status));
        first->ops->free(first);
        cf_fail_at(f, n);
        pl_remote_call *call = cf_unary(remote, method, 5000, HEADERS("count", "20"), "hello");
        if (call)
            cf_wait(f, 100);
        bool ended = call && cf_ended(call, &status);
        made = cf_fail_at(f, 0);
        if (made < n) {
            assert_true(ended);
            assert_int_equal(status.code, PL_OK);
        }
        cf_wait(f, 6000);
        assert_true(!call || ended || cf_ended(call, &status));
        end(f, call, remote);
    }
    assert_true(made > 10);
}

static void test_without_memory(void **state)
{
    fails_at("a", NULL, "Echo");
    fails_at("a", RETRY, "Flaky");
    fails_at("a,b", "{\"balance\":\"round_robin\",\"compression\":\"gzip\",\"compress_from\":1}", "Many");
    fails_at("local:", NULL, "Echo");
    fails_later("a", "Echo");
    fails_later("a", "Many");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_more_calls_than_the_server_takes),
        cmocka_unit_test(test_reconnecting),
        cmocka_unit_test(test_servers_that_hang),
        cmocka_unit_test(test_draining),
        cmocka_unit_test(test_sharing_and_sleep),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_the_end_of_all),
        cmocka_unit_test(test_retries),
        cmocka_unit_test(test_hedging),
        cmocka_unit_test(test_round_robin),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_names_that_cannot_be_resolved),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_no_health),
        cmocka_unit_test(test_health_asked_again),
        cmocka_unit_test(test_health_of_a_long_name),
        cmocka_unit_test(test_wrong_calls),
        cmocka_unit_test(test_wrong_messages),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
