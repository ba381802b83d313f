/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "grpc/policy/balancer.h"
#include "support/failing.h"

/* Endpoints are named by one letter; what the balancer asks for is noted as "connect a", "drop b"… */
typedef struct bench {
    pl_balancer *b;
    pl_random random;
    pl_endpoint *endpoints[128]; /* by letter, from their first PL_TO_CONNECT */
    char text[512];
    uint64_t connect_by;
    uint64_t now;
} bench;

static bench t;

static const char *todo(void)
{
    static const char *const words[] = {"", "connect", "disconnect", "drop", "resolve"};
    char *p = t.text, *end = t.text + sizeof t.text;
    *p = '\0';
    for (;;) {
        pl_todo_item item = pl_balancer_next(t.b, t.now);
        if (item.what == PL_TO_NOTHING)
            return t.text;
        p += snprintf(p, (size_t)(end - p), "%s%s", p == t.text ? "" : ", ", words[item.what]);
        if (item.what == PL_TO_RESOLVE)
            continue;
        if (item.what == PL_TO_CONNECT) {
            t.endpoints[(unsigned char)item.endpoint->address.ptr[0]] = item.endpoint;
            item.endpoint->data = item.endpoint;
            t.connect_by = item.connect_by;
        }
        char name = '?'; /* an endpoint that is dropped may be gone */
        for (int c = 'a'; c <= 'z'; c++) {
            if (t.endpoints[c] == item.endpoint)
                name = (char)c;
        }
        if (item.what == PL_TO_DROP && item.data)
            t.endpoints[(unsigned char)name] = NULL;
        p += snprintf(p, (size_t)(end - p), " %c", name);
    }
}

/* "a b c:3": with weights. */
static void names(const char *list)
{
    pl_address addresses[32];
    char texts[32][2];
    size_t n = 0;
    for (const char *p = list; *p; p++) {
        if (*p == ':') {
            addresses[n - 1].weight = (uint32_t)(p[1] - '0');
            p++;
        } else if (*p != ' ') {
            texts[n][0] = *p;
            addresses[n] = (pl_address){.address = {texts[n], 1}};
            n++;
        }
    }
    pl_error err;
    assert_int_equal(pl_balancer_update(t.b, addresses, n, t.now, &err), PL_OK);
}

static pl_endpoint *at(char name)
{
    assert_non_null(t.endpoints[(unsigned char)name]);
    return t.endpoints[(unsigned char)name];
}
static void up(char name)
{
    pl_balancer_connected(t.b, at(name), t.now);
}
static void down(char name)
{
    pl_balancer_failed(t.b, at(name), "Connection refused", t.now);
}
static void lost(char name)
{
    pl_balancer_lost(t.b, at(name), t.now);
}

/* Goes to the time at which the balancer wants to be woken. */
static void sleep_until_wake(uint64_t expected)
{
    assert_int_equal(pl_balancer_wake_at(t.b), expected);
    t.now = expected;
    pl_balancer_wake(t.b, t.now);
}

/* The letters of n picks, each ended at once; "W" waits, "F" failed. */
static const char *picks(int n)
{
    char *p = t.text;
    for (; n > 0; n--) {
        pl_pick pick = pl_balancer_pick(t.b, false, t.now);
        *p++ = pick.result == PL_PICK_ENDPOINT ? pick.endpoint->address.ptr[0]
               : pick.result == PL_PICK_WAIT   ? 'W'
                                               : 'F';
        if (pick.result == PL_PICK_ENDPOINT)
            pl_balancer_end(t.b, &pick, PL_BREAKER_SUCCESS, t.now);
    }
    *p = '\0';
    return t.text;
}

#define IS(state) assert_string_equal(pl_connectivity_name(pl_balancer_state(t.b)), state)

static uint64_t middle(pl_random *random)
{
    return (uint64_t)1 << 63;
}

static void begin_with(pl_balancer_config config)
{
    memset(&t, 0, sizeof t);
    t.now = 1000;
    t.random.next = middle;
    config.target = PL_STR("dns:///users");
    t.b = pl_balancer_new(&config, &t.random);
    assert_non_null(t.b);
    assert_string_equal(todo(), "resolve");
}

static void begin(pl_balancing_policy policy)
{
    begin_with((pl_balancer_config){.balancing = {.policy = policy, .choices = 2}});
}

static int teardown(void **state)
{
    pl_balancer_free(t.b);
    t.b = NULL;
    return 0;
}

/* --- before there is anything to choose from --- */
static void test_names(void **state)
{
    begin(PL_ROUND_ROBIN);
    IS("CONNECTING");
    assert_string_equal(picks(1), "W");
    pl_balancer_unresolved(t.b, "no such host");
    IS("TRANSIENT_FAILURE");
    pl_pick pick = pl_balancer_pick(t.b, false, t.now);
    assert_int_equal(pick.result, PL_PICK_FAILED);
    assert_string_equal(pick.why, "dns:///users: the name cannot be resolved: no such host");
    assert_int_equal(pl_balancer_pick(t.b, true, t.now).result, PL_PICK_WAIT);
    names("a");
    IS("CONNECTING");
    assert_string_equal(todo(), "connect a");
    up('a');
    pl_balancer_unresolved(t.b, "no such host"); /* what is known goes on */
    IS("READY");
    names("");
    assert_string_equal(todo(), "drop a");
    IS("TRANSIENT_FAILURE");
    assert_string_equal(pl_balancer_pick(t.b, false, t.now).why, "dns:///users: the name has no addresses");
}

static void test_too_many(void **state)
{
    begin(PL_ROUND_ROBIN);
    static pl_address addresses[PL_MOST_ENDPOINTS + 1];
    pl_error err;
    assert_int_equal(pl_balancer_update(t.b, addresses, PL_MOST_ENDPOINTS + 1, 0, &err),
                     PL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "4097 addresses"));
}

/* --- pick_first --- */
static void test_first_connects_when_asked(void **state)
{
    begin(PL_PICK_FIRST);
    names("a b c");
    assert_string_equal(todo(), "");
    IS("IDLE");
    assert_string_equal(picks(1), "W");
    IS("CONNECTING");
    assert_string_equal(todo(), "connect a");
    assert_int_equal(t.connect_by, 21000);
    up('a');
    IS("READY");
    assert_string_equal(picks(3), "aaa");
    assert_string_equal(todo(), "");
    assert_int_equal(pl_balancer_wake_at(t.b), UINT64_MAX);
    t.now = 5000;
    lost('a'); /* idle until the next call; the name may stand for something else now */
    IS("IDLE");
    assert_string_equal(todo(), "resolve");
    assert_string_equal(picks(1), "W");
    assert_string_equal(todo(), "connect a");
}

static void test_first_goes_through_the_list(void **state)
{
    begin(PL_PICK_FIRST);
    names("a b c");
    picks(1);
    assert_string_equal(todo(), "connect a");
    t.now = 1010;
    down('a');
    assert_string_equal(todo(), "connect b");
    IS("CONNECTING");
    sleep_until_wake(1260); /* b takes its time */
    assert_string_equal(todo(), "connect c");
    t.now = 1270;
    up('c'); /* the quicker one is taken, the other one given up */
    assert_string_equal(todo(), "disconnect b");
    assert_string_equal(picks(2), "cc");
    up('b'); /* too late */
    assert_string_equal(picks(2), "cc");
    assert_string_equal(todo(), "");
}

static void test_first_all_fail(void **state)
{
    begin(PL_PICK_FIRST);
    names("a b");
    picks(1);
    todo();
    down('a');
    assert_string_equal(todo(), "connect b");
    t.now = 1100;
    down('b');
    IS("TRANSIENT_FAILURE");
    assert_string_equal(todo(), "resolve");
    pl_pick pick = pl_balancer_pick(t.b, false, t.now);
    assert_int_equal(pick.result, PL_PICK_FAILED);
    assert_string_equal(pick.why,
                        "dns:///users: no endpoint can be reached; the last error: b: Connection refused");
    sleep_until_wake(2000);                              /* a second after a's attempt */
    assert_string_equal(todo(), "connect a, connect b"); /* b's attempt began then, too */
    IS("TRANSIENT_FAILURE");
    down('a');
    todo();
    assert_int_equal(pl_balancer_wake_at(t.b), 3600);
    up('b');
    IS("READY");
    assert_string_equal(picks(1), "b");
}

static void test_first_new_list(void **state)
{
    begin(PL_PICK_FIRST);
    names("a b");
    picks(1);
    todo();
    up('a');
    names("c a"); /* what it has is still there */
    assert_string_equal(todo(), "drop ?");
    assert_string_equal(picks(1), "a");
    names("c d");
    assert_string_equal(todo(), "drop a, connect c");
    assert_string_equal(picks(1), "W");
}

static void test_first_short_lives(void **state)
{
    begin(PL_PICK_FIRST);
    names("a");
    picks(1);
    todo();
    up('a');
    t.now = 1100;
    lost('a'); /* a connection that ends at once must not be made again at once */
    todo();
    assert_string_equal(picks(1), "W");
    assert_string_equal(todo(), "");
    sleep_until_wake(2000);
    assert_string_equal(todo(), "connect a");
    up('a');
    t.now = 2100;
    lost('a');
    picks(1);
    sleep_until_wake(3600); /* 1.6 s after that attempt */
    assert_string_equal(todo(), "connect a, resolve");
    up('a');
    t.now = 10000; /* it lived */
    lost('a');
    picks(1);
    assert_string_equal(todo(), "connect a, resolve");
}

static void test_first_shuffles(void **state)
{
    unsigned first[128] = {0};
    for (int i = 0; i < 300; i++) {
        begin_with((pl_balancer_config){.balancing = {.policy = PL_PICK_FIRST, .shuffle = true}});
        pl_random_seed(&t.random, (uint64_t)i);
        names("a b c");
        first[(unsigned char)pl_balancer_endpoint(t.b, 0)->address.ptr[0]]++;
        assert_null(pl_balancer_endpoint(t.b, 3));
        pl_balancer_free(t.b);
    }
    t.b = NULL;
    assert_true(first['a'] > 60 && first['b'] > 60 && first['c'] > 60);
}

/* --- all of them --- */
static void test_round_robin(void **state)
{
    begin(PL_ROUND_ROBIN);
    names("a b b c a");
    assert_string_equal(todo(), "connect a, connect b, connect c");
    assert_string_equal(picks(1), "W");
    up('b');
    assert_string_equal(picks(2), "bb");
    up('a');
    up('c');
    const char *turns = picks(6);
    assert_true(strncmp(turns, turns + 3, 3) == 0 && strchr(turns, 'a') && strchr(turns, 'b') &&
                strchr(turns, 'c'));
    t.now = 60000;
    lost('b'); /* connected again at once */
    assert_string_equal(todo(), "connect b, resolve");
    assert_true(strchr(picks(10), 'b') == NULL);
    down('b');
    todo();
    IS("READY");
    sleep_until_wake(61000);
    assert_string_equal(todo(), "connect b");
    up('b');
    assert_non_null(strchr(picks(3), 'b'));
}

static void test_round_robin_all_fail(void **state)
{
    begin(PL_ROUND_ROBIN);
    names("a b");
    todo();
    down('a');
    IS("CONNECTING");
    assert_string_equal(picks(1), "W");
    down('b');
    IS("TRANSIENT_FAILURE");
    assert_string_equal(picks(1), "F");
    sleep_until_wake(2000);
    assert_string_equal(todo(), "connect a, connect b, resolve");
    IS("TRANSIENT_FAILURE"); /* until one of them is ready */
    up('a');
    IS("READY");
}

static void test_round_robin_new_list(void **state)
{
    begin(PL_ROUND_ROBIN);
    names("a b");
    todo();
    up('a');
    up('b');
    pl_pick busy = pl_balancer_pick(t.b, false, t.now);
    char name = busy.endpoint->address.ptr[0];
    names(name == 'a' ? "b c" : "a c");
    char expected[32];
    snprintf(expected, sizeof expected, "drop %c, connect c", name);
    assert_string_equal(todo(), expected);
    assert_null(strchr(picks(4), name));
    /* Its call goes on; what its connection says no longer matters. */
    pl_balancer_lost(t.b, busy.endpoint, t.now);
    pl_balancer_health(t.b, busy.endpoint, false, t.now);
    pl_balancer_end(t.b, &busy, PL_BREAKER_SUCCESS, t.now);
    names("b"); /* c was never told to connect when it comes and goes between two looks */
    names("b d");
    names("b");
    assert_true(strstr(todo(), "connect d") == NULL);
}

static void test_health(void **state)
{
    begin(PL_ROUND_ROBIN);
    names("a b");
    todo();
    up('a');
    up('b');
    pl_balancer_health(t.b, at('a'), false, t.now);
    assert_string_equal(picks(3), "bbb");
    pl_balancer_health(t.b, at('b'), false, t.now);
    IS("TRANSIENT_FAILURE");
    assert_string_equal(pl_balancer_pick(t.b, false, t.now).why,
                        "dns:///users: no endpoint is serving; the last one to say so: b");
    pl_balancer_health(t.b, at('a'), true, t.now);
    assert_string_equal(picks(3), "aaa");
    assert_string_equal(todo(), ""); /* connections stay */
}

static void test_least_request(void **state)
{
    begin(PL_LEAST_REQUEST);
    pl_random_seed(&t.random, 5);
    names("a b c");
    todo();
    up('a');
    up('b');
    up('c');
    /* Calls that do not end: none gets far ahead of the others. */
    pl_pick open[300];
    for (int i = 0; i < 300; i++)
        open[i] = pl_balancer_pick(t.b, false, t.now);
    for (char c = 'a'; c <= 'c'; c++)
        assert_in_range(at(c)->in_flight, 90, 110);
    for (int i = 0; i < 300; i++)
        pl_balancer_end(t.b, &open[i], PL_BREAKER_SUCCESS, t.now);
    assert_int_equal(at('a')->in_flight + at('b')->in_flight + at('c')->in_flight, 0);
    /* A busy one gets only what chance names twice. */
    at('a')->in_flight = 1000;
    unsigned busy = 0;
    for (int i = 0; i < 900; i++)
        busy += picks(1)[0] == 'a';
    assert_in_range(busy, 60, 150); /* a ninth */
    at('a')->in_flight = 0;
}

static void test_weighted(void **state)
{
    begin(PL_WEIGHTED);
    pl_random_seed(&t.random, 5);
    names("a:5 b:3 c d:1");
    todo();
    for (char c = 'a'; c <= 'd'; c++)
        up(c);
    unsigned counts[128] = {0};
    for (int i = 0; i < 1000; i++)
        counts[(unsigned char)picks(1)[0]]++;
    assert_in_range(counts['a'], 499, 501);
    assert_in_range(counts['b'], 299, 301);
    assert_in_range(counts['c'], 99, 101);
    assert_in_range(counts['d'], 99, 101);
    /* Spread, not in bursts: of any ten one or so is c's. */
    char window[11];
    strcpy(window, picks(10));
    unsigned runs = 0;
    for (int i = 1; i < 10; i++)
        runs += window[i] == 'a' && window[i - 1] == 'a';
    assert_true(runs <= 2);
    names("a:1 b:1");
    todo();
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < 100; i++)
        counts[(unsigned char)picks(1)[0]]++;
    assert_int_equal(counts['a'], 50);
}

static void test_breakers(void **state)
{
    begin_with((pl_balancer_config){.balancing = {.policy = PL_ROUND_ROBIN},
                                    .has_breaker = true,
                                    .breaker = {.failures = 2, .open = 1000}});
    names("a b");
    todo();
    up('a');
    up('b');
    for (int i = 0; i < 4; i++) {
        pl_pick pick = pl_balancer_pick(t.b, false, t.now);
        bool changed = pl_balancer_end(
            t.b, &pick, pick.endpoint == at('a') ? PL_BREAKER_FAILURE : PL_BREAKER_SUCCESS, t.now);
        assert_int_equal(changed, pick.endpoint == at('a') && at('a')->breaker.state == PL_BREAKER_OPEN);
    }
    assert_string_equal(picks(4), "bbbb");
    assert_int_equal(pl_breaker_look(&at('a')->breaker, t.now).total_refused, 0); /* nobody was refused */
    for (int i = 0; i < 2; i++) {
        pl_pick pick = pl_balancer_pick(t.b, false, t.now);
        pl_balancer_end(t.b, &pick, PL_BREAKER_FAILURE, t.now);
    }
    pl_pick pick = pl_balancer_pick(t.b, false, t.now);
    assert_int_equal(pick.result, PL_PICK_FAILED);
    assert_string_equal(pick.why, "dns:///users: the circuit breakers of all endpoints are open");
    pick = pl_balancer_pick(t.b, true, t.now);
    assert_int_equal(pick.result, PL_PICK_WAIT);
    assert_int_equal(pick.retry_at, 2000);
    t.now = 2000;
    pick = pl_balancer_pick(t.b, false, t.now); /* a probe for each */
    pl_pick other = pl_balancer_pick(t.b, false, t.now);
    assert_int_equal(pick.result, PL_PICK_ENDPOINT);
    assert_int_equal(other.result, PL_PICK_ENDPOINT);
    assert_ptr_not_equal(pick.endpoint, other.endpoint);
    assert_int_equal(pl_balancer_pick(t.b, false, t.now).result, PL_PICK_FAILED);
    assert_true(pl_balancer_end(t.b, &pick, PL_BREAKER_SUCCESS, t.now));
    assert_true(pl_balancer_end(t.b, &other, PL_BREAKER_SUCCESS, t.now));
}

static void test_breakers_and_chance(void **state)
{
    static const pl_balancing_policy policies[] = {PL_LEAST_REQUEST, PL_WEIGHTED};
    for (int i = 0; i < 2; i++) {
        begin_with((pl_balancer_config){.balancing = {.policy = policies[i], .choices = 2},
                                        .has_breaker = true,
                                        .breaker = {.failures = 1}});
        pl_random_seed(&t.random, 5);
        names("a:9 b c");
        todo();
        up('a');
        up('b');
        up('c');
        for (char c = 'a'; c <= 'b'; c++) { /* open these */
            pl_breaker_permit permit;
            assert_true(pl_breaker_begin(&at(c)->breaker, t.now, &permit));
            pl_breaker_end(&at(c)->breaker, &permit, PL_BREAKER_FAILURE, t.now);
        }
        for (int n = 0; n < 100; n++)
            assert_string_equal(picks(1), "c");
        pl_balancer_free(t.b);
        t.b = NULL;
    }
}

/* Connections come and go in any order: picks go to what is connected, and nothing is asked for twice. */
static void test_any_order(void **state)
{
    pl_random random;
    pl_random_seed(&random, 11);
    for (int round = 0; round < 400; round++) {
        enum { NONE, CONNECTING, CONNECTED } wires[128] = {NONE};
        begin((pl_balancing_policy)pl_random_below(&random, 4));
        pl_random_seed(&t.random, (uint64_t)round);
        for (int i = 0; i < 150; i++) {
            char c = (char)('a' + pl_random_below(&random, 6)), list[32];
            size_t n = 0;
            pl_pick pick;
            t.now += pl_random_below(&random, 400);
            switch (pl_random_below(&random, 8)) {
            case 0:
                for (char d = 'a'; d < 'g'; d++) {
                    if (pl_random_below(&random, 2))
                        list[n++] = d;
                }
                list[n] = '\0';
                names(list);
                break;
            case 1:
            case 2:
                if (wires[(int)c] == CONNECTING) {
                    wires[(int)c] = CONNECTED;
                    up(c);
                }
                break;
            case 3:
                if (wires[(int)c] == CONNECTING) {
                    wires[(int)c] = NONE;
                    down(c);
                }
                break;
            case 4:
                if (wires[(int)c] == CONNECTED) {
                    wires[(int)c] = NONE;
                    lost(c);
                }
                break;
            case 5:
                pl_balancer_wake(t.b, t.now);
                break;
            default:
                pick = pl_balancer_pick(t.b, false, t.now);
                if (pick.result != PL_PICK_ENDPOINT)
                    break;
                assert_int_equal(wires[(int)pick.endpoint->address.ptr[0]], CONNECTED);
                assert_true(pl_balancer_end(t.b, &pick, PL_BREAKER_SUCCESS, t.now) == false);
            }
            for (pl_todo_item item; (item = pl_balancer_next(t.b, t.now)).what != PL_TO_NOTHING;) {
                int name = 0;
                if (item.what == PL_TO_RESOLVE)
                    continue;
                if (item.what == PL_TO_CONNECT) {
                    name = item.endpoint->address.ptr[0];
                    item.endpoint->data = item.endpoint;
                    assert_int_equal(wires[name], NONE);
                    assert_true(item.connect_by >= t.now + 20000);
                    t.endpoints[name] = item.endpoint;
                    wires[name] = CONNECTING;
                    continue;
                }
                for (int d = 'a'; d < 'g'; d++) {
                    if (t.endpoints[d] == item.endpoint)
                        name = d;
                }
                if (item.what == PL_TO_DISCONNECT)
                    assert_int_not_equal(wires[name], NONE);
                if (name)
                    wires[name] = NONE;
                if (name && item.what == PL_TO_DROP)
                    t.endpoints[name] = NULL;
            }
        }
        pl_balancer_free(t.b);
        t.b = NULL;
    }
}

static void test_no_memory(void **state)
{
    begin(PL_ROUND_ROBIN);
    names("a b");
    todo();
    up('a');
    static const pl_address addresses[] = {{PL_STR("a"), 0}, {PL_STR("c"), 0}, {PL_STR("d"), 0}};
    failing a = {0};
    while (failing_next(&a)) {
        pl_error err;
        failing_begin(&a);
        pl_code code = pl_balancer_update(t.b, addresses, 3, t.now, &err);
        assert_int_equal(code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        if (code)
            assert_string_equal(todo(), ""); /* as before */
        assert_string_equal(picks(1), "a");
    }
    assert_true(a.made > 4);
    assert_string_equal(todo(), "drop b, connect c, connect d");
    pl_alloc_fail_at(1, 0);
    assert_null(pl_balancer_new(&(pl_balancer_config){.target = PL_STR("x")}, &t.random));
    pl_alloc_fail_at(0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_names, teardown),
        cmocka_unit_test_teardown(test_too_many, teardown),
        cmocka_unit_test_teardown(test_first_connects_when_asked, teardown),
        cmocka_unit_test_teardown(test_first_goes_through_the_list, teardown),
        cmocka_unit_test_teardown(test_first_all_fail, teardown),
        cmocka_unit_test_teardown(test_first_new_list, teardown),
        cmocka_unit_test_teardown(test_first_short_lives, teardown),
        cmocka_unit_test_teardown(test_first_shuffles, teardown),
        cmocka_unit_test_teardown(test_round_robin, teardown),
        cmocka_unit_test_teardown(test_round_robin_all_fail, teardown),
        cmocka_unit_test_teardown(test_round_robin_new_list, teardown),
        cmocka_unit_test_teardown(test_health, teardown),
        cmocka_unit_test_teardown(test_least_request, teardown),
        cmocka_unit_test_teardown(test_weighted, teardown),
        cmocka_unit_test_teardown(test_breakers, teardown),
        cmocka_unit_test_teardown(test_breakers_and_chance, teardown),
        cmocka_unit_test_teardown(test_any_order, teardown),
        cmocka_unit_test_teardown(test_no_memory, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
