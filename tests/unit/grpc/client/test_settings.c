/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "grpc/client/settings.h"
#include "support/failing.h"
#include "value/json.h"

static pl_arena arena;
static pl_client_settings got;
static pl_error err;

static pl_code reads(const char *json)
{
    pl_value options;
    const pl_json_limits limits = {0};
    pl_error_clear(&err);
    if (pl_json_read(&arena, pl_str_of(json), &limits, &options, &err) != PL_OK)
        fail_msg("%s: %s", json, err.message);
    return pl_client_settings_read(&got, &arena, &options, &err);
}

static int set_up(void **state)
{
    pl_arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    pl_arena_dispose(&arena);
    return 0;
}

static void test_defaults(void **state)
{
    assert_int_equal(pl_client_settings_read(&got, &arena, NULL, &err), PL_OK);
    assert_int_equal(got.balancing.policy, PL_PICK_FIRST);
    assert_int_equal(got.max_request, UINT32_MAX);
    assert_int_equal(got.max_response, 4 << 20);
    assert_int_equal(got.compress_from, 1024);
    assert_int_equal(got.coding, PL_GRPC_IDENTITY);
    assert_int_equal(got.idle_ms, 1800000);
    assert_int_equal(got.session.keepalive_ms, 0);
    assert_int_equal(got.session.handshake_ms, 20000);
    assert_false(got.has_breaker || got.tls.on);
    assert_null(got.config);
    assert_null(got.authority.ptr);
}

static void test_all(void **state)
{
    assert_int_equal(
        reads("{\"balance\":\"least_request\",\"connect_timeout\":3,\"idle_timeout\":0.5,"
              "\"reconnect\":{\"initial\":0.25,\"max\":4},\"max_request\":10,\"max_response\":20,"
              "\"compress_from\":30,\"compression\":\"zstd\",\"max_headers\":40,"
              "\"authority\":\"a\",\"user_agent\":\"u\","
              "\"keepalive\":{\"timeout\":2,\"without_calls\":true},"
              "\"tls\":{\"ca\":\"ca.pem\",\"certificate\":\"c.pem\",\"key\":\"k.pem\","
              "\"server_name\":\"s\",\"unverified\":true}}"),
        PL_OK);
    assert_int_equal(got.balancing.policy, PL_LEAST_REQUEST);
    assert_int_equal(got.backoff.connect, 3000);
    assert_int_equal(got.session.handshake_ms, 3000);
    assert_int_equal(got.backoff.initial, 250);
    assert_int_equal(got.backoff.max, 4000);
    assert_int_equal(got.idle_ms, 500);
    assert_int_equal(got.max_request, 10);
    assert_int_equal(got.max_response, 20);
    assert_int_equal(got.compress_from, 30);
    assert_int_equal(got.coding, PL_GRPC_ZSTD);
    assert_int_equal(got.session.max_headers, 40);
    assert_int_equal(got.session.keepalive_ms, 300000);
    assert_int_equal(got.session.keepalive_timeout_ms, 2000);
    assert_true(got.session.ping_without_calls);
    assert_true(pl_str_is(got.authority, "a") && pl_str_is(got.user_agent, "u"));
    assert_true(got.tls.on && got.tls.unverified && pl_str_is(got.tls.ca, "ca.pem") &&
                pl_str_is(got.tls.certificate, "c.pem") && pl_str_is(got.tls.key, "k.pem") &&
                pl_str_is(got.tls.server_name, "s"));
}

static void test_shorthands(void **state)
{
    assert_int_equal(reads("{\"tls\":true}"), PL_OK);
    assert_true(got.tls.on);
    assert_int_equal(reads("{\"tls\":false}"), PL_OK);
    assert_false(got.tls.on);
    assert_int_equal(reads("{\"tls\":[]}"), PL_OK); /* an empty table */
    assert_true(got.tls.on);
    assert_int_equal(reads("{\"keepalive\":{\"time\":0.001}}"), PL_OK);
    assert_int_equal(got.session.keepalive_ms, 10); /* not a flood */
}

static void test_breakers(void **state)
{
    assert_int_equal(reads("{\"breaker\":{}}"), PL_OK);
    assert_true(got.has_breaker);
    assert_int_equal(got.breaker.failures, 5);
    assert_int_equal(
        reads("{\"breaker\":{\"failures\":0,\"rate\":0.5,\"window\":10,\"minimum\":20,\"open\":5,"
              "\"probes\":2,\"slow\":1}}"),
        PL_OK);
    assert_int_equal(got.breaker.failures, 0);
    assert_true(got.breaker.rate == 0.5 && got.breaker.slow_rate == 0.5);
    assert_int_equal(got.breaker.window, 10000);
    assert_int_equal(got.breaker.slow, 1000);
    assert_int_equal(reads("{\"breaker\":{\"slow\":1,\"slow_rate\":0.25}}"), PL_OK);
    assert_true(got.breaker.slow_rate == 0.25);
}

/* What the options say goes before what the service config says. */
static void test_service_config(void **state)
{
#define CONFIG "\"service_config\":{\"loadBalancingConfig\":[{\"round_robin\":{}}]}"
    assert_int_equal(reads("{" CONFIG "}"), PL_OK);
    assert_int_equal(got.balancing.policy, PL_ROUND_ROBIN);
    assert_int_equal(reads("{\"balance\":\"weighted\"," CONFIG "}"), PL_OK);
    assert_int_equal(got.balancing.policy, PL_WEIGHTED);
    assert_int_equal(reads("{\"service_config\":\"{\\\"loadBalancingPolicy\\\":\\\"round_robin\\\"}\"}"),
                     PL_OK);
    assert_int_equal(got.balancing.policy, PL_ROUND_ROBIN);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"{\"balance\":\"best\"}", "balance must be \"pick_first\""},
        {"{\"balance\":7}", "balance must be a string"},
        {"{\"max_request\":0}", "max_request must be a number from 1 to"},
        {"{\"max_response\":\"4MB\"}", "max_response must be a number"},
        {"{\"idle_timeout\":-1}", "idle_timeout must be a number from 0"},
        {"{\"reconnect\":5}", "reconnect must be a table"},
        {"{\"reconnect\":{\"initial\":\"x\"}}", "initial must be a number"},
        {"{\"keepalive\":true}", "keepalive must be a table"},
        {"{\"keepalive\":{\"without_calls\":1}}", "without_calls must be true or false"},
        {"{\"breaker\":{\"rate\":2}}", "rate must be a number from 0 to 1"},
        {"{\"tls\":\"yes\"}", "tls must be a table"},
        {"{\"tls\":{\"certificate\":\"c.pem\"}}", "certificate and key belong together"},
        {"{\"compression\":\"lzma\"}", "compression must be one of"},
        {"{\"authority\":\"\"}", "authority must be a string"},
        {"{\"service_config\":\"{\"}", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_code code = reads(cases[i].json);
        if (code != PL_INVALID_ARGUMENT || !strstr(err.message, cases[i].message))
            fail_msg("%s: %s: %s", cases[i].json, pl_code_name(code), err.message);
    }
}

static void test_no_memory(void **state)
{
    static const char json[] = "{\"authority\":\"a\",\"user_agent\":\"u\",\"tls\":{\"ca\":\"c\"}," CONFIG "}";
    failing a = {.sticky = true};
    pl_value options;
    const pl_json_limits limits = {0};
    assert_int_equal(pl_json_read(&arena, pl_str_of(json), &limits, &options, &err), PL_OK);
    while (failing_next(&a)) {
        pl_arena own;
        pl_arena_init(&own, 1);
        failing_begin(&a);
        pl_code code = pl_client_settings_read(&got, &own, &options, &err);
        assert_int_equal(code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        pl_arena_dispose(&own);
    }
    assert_true(a.made > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shorthands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_breakers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_service_config, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mistakes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
