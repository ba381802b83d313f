/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <pthread.h>

#include "app/natives_harness.h"
#include "support/failing.h"

/* Functions of the host program that are finished later; and memory that runs out. */

/* --- calls that wait --- */
typedef struct job {
    pl_native_call *call;
    pthread_t thread;
    int number;
    unsigned delay_us;
    atomic_int cancelled;
} job;

static void write_number(job *j)
{
    if (j->number < 0)
        pl_native_fail(j->call, PL_UNAVAILABLE, "not now");
    else
        pl_native_put_int(j->call, j->number);
}

static void *finish_later(void *data)
{
    job *j = data;
    if (j->delay_us)
        usleep(j->delay_us);
    write_number(j);
    pl_native_finish(j->call);
    return NULL;
}

static void cancelled(void *data)
{
    atomic_fetch_add(&((job *)data)->cancelled, 1);
}

static pl_native_status by_thread(pl_native_call *call, void *data)
{
    job *j = data;
    j->call = call;
    pl_native_on_cancel(call, cancelled, j);
    assert_int_equal(pthread_create(&j->thread, NULL, finish_later, j), 0);
    return PL_NATIVE_PENDING;
}

static pl_native_status at_once(pl_native_call *call, void *data)
{
    job *j = data;
    j->call = call;
    write_number(j);
    pl_native_finish(call);
    return PL_NATIVE_PENDING;
}

static pl_native_status never(pl_native_call *call, void *data)
{
    job *j = data;
    j->call = call;
    pl_native_on_cancel(call, cancelled, j);
    return PL_NATIVE_PENDING;
}

static void test_pending(void **state)
{
    job j = {.number = 5};
    assert_string_equal(ask("number", "{ number lua }", at_once, &j),
                        "{\"data\":{\"number\":5,\"lua\":\"Lua\"}}");
    assert_string_equal(ask("later", "{ later }", at_once, &j), "{\"data\":{\"later\":\"integer 5\"}}");
    for (j.delay_us = 0; j.delay_us <= 4000; j.delay_us += 2000) {
        assert_string_equal(ask("number", "{ number lua }", by_thread, &j),
                            "{\"data\":{\"number\":5,\"lua\":\"Lua\"}}");
        pthread_join(j.thread, NULL);
        assert_string_equal(ask("later", "{ later }", by_thread, &j), "{\"data\":{\"later\":\"integer 5\"}}");
        pthread_join(j.thread, NULL);
    }
    j.number = -1;
    assert_has(ask("number", "{ number }", by_thread, &j), "\"code\":\"UNAVAILABLE\"");
    pthread_join(j.thread, NULL);
    assert_has(ask("later", "{ later }", at_once, &j), "raised UNAVAILABLE not now");
    assert_int_equal(j.cancelled, 0);
}

/* Many at a time, which end in any order. */
#define MANY 60
static pl_native_status one_of_many(pl_native_call *call, void *data)
{
    job *jobs = data;
    pl_native_slot args = pl_native_argument(call, 1);
    int n = (int)pl_native_int(call, pl_native_field(call, args, "n"));
    jobs[n].number = n;
    jobs[n].delay_us = (unsigned)(n * 37 % MANY) * 50;
    return by_thread(call, &jobs[n]);
}

static void test_many_pending(void **state)
{
    static job jobs[MANY];
    static char query[8192], expected[8192];
    size_t q = 0, e = 0;
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_resolver(natives, "Query", "echo", one_of_many, jobs), PL_OK);
    pl_local *local = open_ok(natives);
    q += (size_t)snprintf(query, sizeof query, "{\"query\":\"{");
    e += (size_t)snprintf(expected, sizeof expected, "{\"data\":{");
    for (int i = 0; i < MANY; i++) {
        q += (size_t)snprintf(query + q, sizeof query - q, " a%d: echo(n: %d)", i, i);
        e += (size_t)snprintf(expected + e, sizeof expected - e, "%s\"a%d\":\"integer %d\"", i ? "," : "", i,
                              i);
    }
    snprintf(query + q, sizeof query - q, " }\"}");
    snprintf(expected + e, sizeof expected - e, "}}");
    for (int round = 0; round < 5; round++) {
        assert_string_equal(local_execute(local, query), expected);
        for (int i = 0; i < MANY; i++)
            pthread_join(jobs[i].thread, NULL);
    }
    pl_local_close(local);
    pl_natives_free(natives);
}

static void on_answer(void *data, pl_str response)
{
    ++*(unsigned *)data;
}

/* The state is freed while the call waits: the host program is told so once, and may finish before or after
 * that. */
static void test_freed_while_pending(void **state)
{
    for (int late = 0; late < 2; late++) {
        job j = {.number = 1};
        pl_natives *natives = pl_natives_new();
        assert_int_equal(pl_natives_add_resolver(natives, "Query", "never", never, &j), PL_OK);
        pl_local *local = open_ok(natives);
        pl_state *s = pl_local_instance(local)->state;
        pl_host *host = ((pl_state_head *)s)->host;
        pl_error err = {0};
        unsigned answers = 0;
        assert_int_equal(
            host->ops->execute(host, s, PL_STR("{\"query\":\"{ never }\"}"), on_answer, &answers, &err),
            PL_OK);
        assert_non_null(j.call);
        if (!late)
            finish_later(&j);
        assert_int_equal(answers, 0);
        pl_local_close(local);
        assert_int_equal(answers, 1);
        assert_int_equal(j.cancelled, late);
        if (late)
            finish_later(&j);
        assert_int_equal(j.cancelled, late);
        pl_natives_free(natives);
    }
}

static void test_waiting_where_it_cannot(void **state)
{
    job j = {.number = 1};
    assert_has(ask("sorted", "{ sorted }", never, &j),
               "Query.sorted cannot wait here: a function that cannot yield is in between");
    assert_int_equal(j.cancelled, 1);
    finish_later(&j);
    assert_has(ask("sorted", "{ sorted }", at_once, &j),
               "Query.sorted cannot wait here: a function that cannot yield is in between");
    assert_int_equal(j.cancelled, 1);
    assert_has(ask("sorted", "{ sorted }", put_number, &j.number), "true nil");
}

/* A scalar's functions are called in the middle of a value, which cannot wait. */
static void cancelled_and_finished(void *data)
{
    cancelled(data);
    pl_native_finish(((job *)data)->call);
}

static pl_native_status until_cancelled(pl_native_call *call, void *data)
{
    job *j = data;
    j->call = call;
    pl_native_on_cancel(call, cancelled_and_finished, j);
    return PL_NATIVE_PENDING;
}

static void test_scalars_that_wait(void **state)
{
    job j = {.number = 1};
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_scalar(natives, "Any", until_cancelled, until_cancelled, &j), PL_OK);
    assert_int_equal(pl_natives_add_resolver(natives, "Query", "value", put_number, &j.number), PL_OK);
    pl_local *local = open_ok(natives);
    assert_has(local_ask(local, "{ value }"), "\"errors\":[");
    assert_int_equal(j.cancelled, 1);
    assert_has(local_ask(local, "{ echo(any: 1) }"), "\"errors\":[");
    assert_true(j.cancelled > 1);
    assert_string_equal(local_ask(local, "{ lua }"), "{\"data\":{\"lua\":\"Lua\"}}");
    pl_local_close(local);
    pl_natives_free(natives);
}

/* --- memory --- */
static pl_native_status everything(pl_native_call *call, void *data)
{
    pl_native_slot args = pl_native_argument(call, 1);
    pl_native_json(call, args, NULL);
    pl_native_json(call, pl_native_argument(call, 2), NULL);
    pl_native_field(call, pl_native_field(call, args, "in"),
                    "a name that nobody has interned before it came");
    pl_native_json(call, pl_native_argument(call, 3), NULL);
    pl_native_request_id(call);
    pl_native_header(call, "x");
    put_all(call, NULL);
    if (!data)
        return PL_NATIVE_DONE;
    pl_native_finish(call);
    return PL_NATIVE_PENDING;
}

static pl_native_status read_info(pl_native_call *call, void *data)
{
    pl_native_json(call, pl_native_argument(call, 3), NULL);
    pl_native_put_int(call, 1);
    return PL_NATIVE_DONE;
}

static void check_memory(const char *field, pl_native_function function, void *data, const char *query,
                         const char *expected)
{
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_resolver(natives, "Query", field, function, data), PL_OK);
    failing a = {0};
    while (failing_next(&a)) {
        pl_local *local = open_ok(natives);
        local_ask(local, "{ lua }");
        failing_begin(&a);
        const char *text = local_ask(local, query);
        if (!failing_end(&a))
            assert_has(text, expected);
        else
            assert_true(strstr(text, expected) || strstr(text, "RESOURCE_EXHAUSTED") ||
                        strstr(text, "out of memory") || strstr(text, "fault"));
        assert_string_equal(local_ask(local, "{ lua }"), "{\"data\":{\"lua\":\"Lua\"}}");
        pl_local_close(local);
    }
    assert_true(a.made > 10);
    pl_natives_free(natives);
}

static void test_memory(void **state)
{
    int flag = 1;
    check_memory("shown", everything, NULL, "{ shown }", "{bool=true");
    check_memory("number", read_info, NULL, "{ number }", "\"number\":1");
    check_memory("shown", everything, &flag, "{ shown }", "{bool=true");
    check_memory("shown", fail_violations, NULL, "{ shown }", "raised INVALID_ARGUMENT");
    check_memory("shown", fail_unexpected, NULL, "{ shown }", "fault table secret");
}

static void test_memory_of_the_list(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        failing_begin(&a);
        pl_natives *natives = pl_natives_new();
        pl_code code = natives ? pl_natives_add_resolver(natives, "Query", "number", put_nothing, NULL)
                               : PL_RESOURCE_EXHAUSTED;
        if (!code)
            code = pl_natives_add_scalar(natives, "Any", put_nothing, put_nothing, NULL);
        assert_int_equal(code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        pl_natives_free(natives);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pending),
        cmocka_unit_test(test_many_pending),
        cmocka_unit_test(test_freed_while_pending),
        cmocka_unit_test(test_waiting_where_it_cannot),
        cmocka_unit_test(test_scalars_that_wait),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_of_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
