/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "grpc/policy/service_config.h"
#include "support/failing.h"

static pl_arena arena;

static int setup(void **state)
{
    pl_arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    pl_arena_dispose(&arena);
    return 0;
}

static const pl_service_config *parse(const char *text)
{
    const pl_service_config *config = NULL;
    pl_error err;
    if (pl_service_config_parse(&arena, pl_str_of(text), true, &config, &err) != PL_OK)
        fail_msg("%s", err.message);
    return config;
}

#define RETRY(more) "{\"methodConfig\": [{\"name\": [{}], \"retryPolicy\": {" more "}}]}"
#define RETRY_REST "\"initialBackoff\": \"0.1s\", \"maxBackoff\": \"1s\", \"backoffMultiplier\": 2"

static void test_all_of_it(void **state)
{
    const pl_service_config *config =
        parse("{\"loadBalancingPolicy\": \"pick_first\", \"loadBalancingConfig\": [{\"grpclb\": {}}, "
              "{\"round_robin\": {}}],"
              "\"methodConfig\": ["
              "{\"name\": [{\"service\": \"a.B\", \"method\": \"C\"}, {\"service\": \"a.D\"}], "
              "\"waitForReady\": true,"
              " \"timeout\": \"1.500000001s\", \"maxRequestMessageBytes\": \"1024\", "
              "\"maxResponseMessageBytes\": 2048,"
              " \"retryPolicy\": {\"maxAttempts\": 4, \"initialBackoff\": \"0.1s\", \"maxBackoff\": \"1s\","
              "  \"backoffMultiplier\": 2, \"retryableStatusCodes\": [\"UNAVAILABLE\", 8, \"aborted\"]}},"
              "{\"name\": [{\"service\": \"a.B\"}], \"hedgingPolicy\": {\"maxAttempts\": 9, "
              "\"hedgingDelay\": \"0.05s\","
              "  \"nonFatalStatusCodes\": [\"INTERNAL\"]}},"
              "{\"name\": [{}], \"timeout\": \"9s\", \"retryPolicy\": null}],"
              "\"retryThrottling\": {\"maxTokens\": 10, \"tokenRatio\": 0.1},"
              "\"healthCheckConfig\": {\"serviceName\": \"a.B\"}}");
    assert_true(config->has_balancing);
    assert_int_equal(config->balancing.policy, PL_ROUND_ROBIN);
    assert_true(config->has_throttling);
    assert_int_equal(config->max_tokens, 10000);
    assert_int_equal(config->token_ratio, 100);
    assert_true(config->has_health && pl_str_is(config->health_service, "a.B"));

    const pl_method_config *m = pl_service_config_method(config, PL_STR("/a.B/C"));
    assert_true(m->has_wait_for_ready && m->wait_for_ready && m->has_timeout);
    assert_int_equal(m->timeout, 1501); /* rounded up */
    assert_int_equal(m->max_request, 1024);
    assert_int_equal(m->max_response, 2048);
    assert_null(m->hedging);
    assert_int_equal(m->retry->max_attempts, 4);
    assert_int_equal(m->retry->initial_backoff, 100);
    assert_int_equal(m->retry->max_backoff, 1000);
    assert_true(m->retry->multiplier == 2);
    assert_int_equal(m->retry->codes, 1 << PL_UNAVAILABLE | 1 << PL_RESOURCE_EXHAUSTED | 1 << PL_ABORTED);
    assert_ptr_equal(pl_service_config_method(config, PL_STR("/a.D/Anything")), m);

    m = pl_service_config_method(config, PL_STR("/a.B/Other"));
    assert_int_equal(m->hedging->max_attempts, PL_MOST_ATTEMPTS);
    assert_int_equal(m->hedging->delay, 50);
    assert_int_equal(m->hedging->non_fatal, 1 << PL_INTERNAL);
    assert_false(m->has_timeout);
    assert_int_equal(m->max_request, UINT64_MAX);

    static const char *const others[] = {"/x.Y/Z", "x.Y/Z", "/a/C", "/a.B", "", "/", "//", "/a.BB/C"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        m = pl_service_config_method(config, pl_str_of(others[i]));
        assert_int_equal(m->timeout, 9000);
        assert_null(m->retry);
    }
}

static void test_nothing(void **state)
{
    const pl_service_config *config = parse("{}");
    const pl_method_config *m = pl_service_config_method(config, PL_STR("/a.B/C"));
    assert_false(config->has_balancing || config->has_throttling || config->has_health || m->has_timeout ||
                 m->has_wait_for_ready);
    assert_null(m->retry);
    assert_ptr_equal(pl_service_config_method(NULL, PL_STR("/a.B/C")), m);
    parse("{\"methodConfig\": null, \"retryThrottling\": null, \"loadBalancingConfig\": []}");
    parse("{\"methodConfig\": {}}"); /* an empty list of a script */
}

static void test_durations(void **state)
{
    static const struct {
        const char *json;
        uint64_t ms;
    } cases[] = {
        {"\"0s\"", 0},
        {"\"1s\"", 1000},
        {"\"0.000000001s\"", 1},
        {"\"0.001s\"", 1},
        {"\"0.0011s\"", 2},
        {"\"3.123456789s\"", 3124},
        {"\"315576000000s\"", 315576000000000},
        {"0.25", 250},
        {"2", 2000},
        {"0", 0},
    };
    static const char *const wrong[] = {"\"\"",
                                        "\"1\"",
                                        "\"s\"",
                                        "\"-1s\"",
                                        "\"1.s\"",
                                        "\".5s\"",
                                        "\"1.0000000001s\"",
                                        "\"1 s\"",
                                        "\"1e3s\"",
                                        "\"1ss\"",
                                        "\"315576000001s\"",
                                        "\"9999999999999s\"",
                                        "-1",
                                        "1e300",
                                        "true",
                                        "{}",
                                        "\"0x1s\"",
                                        "\"1ms\""};
    char text[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "{\"methodConfig\": [{\"name\": [{}], \"timeout\": %s}]}", cases[i].json);
        assert_int_equal(pl_service_config_method(parse(text), PL_STR("/a/b"))->timeout, cases[i].ms);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const pl_service_config *config;
        pl_error err;
        snprintf(text, sizeof text, "{\"methodConfig\": [{\"name\": [{}], \"timeout\": %s}]}", wrong[i]);
        if (pl_service_config_parse(&arena, pl_str_of(text), true, &config, &err) != PL_INVALID_ARGUMENT)
            fail_msg("%s", wrong[i]);
        assert_non_null(strstr(err.message, "methodConfig[0].timeout must be a duration"));
    }
}

static void test_balancing(void **state)
{
    static const struct {
        const char *json;
        pl_balancing expected;
    } cases[] = {
        {"{\"loadBalancingPolicy\": \"ROUND_ROBIN\"}", {PL_ROUND_ROBIN, false, 2}},
        {"{\"loadBalancingConfig\": [{\"pick_first\": {\"shuffleAddressList\": true}}]}",
         {PL_PICK_FIRST, true, 2}},
        {"{\"loadBalancingConfig\": [{\"x\": 1}, {\"least_request_experimental\": {\"choiceCount\": 5}}]}",
         {PL_LEAST_REQUEST, false, 5}},
        {"{\"loadBalancingConfig\": [{\"least_request\": {\"choiceCount\": 100}}]}",
         {PL_LEAST_REQUEST, false, 10}},
        {"{\"loadBalancingConfig\": [{\"weighted\": {}}], \"loadBalancingPolicy\": \"pick_first\"}",
         {PL_WEIGHTED, false, 2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pl_service_config *config = parse(cases[i].json);
        assert_true(config->has_balancing);
        assert_int_equal(config->balancing.policy, cases[i].expected.policy);
        assert_int_equal(config->balancing.shuffle, cases[i].expected.shuffle);
        assert_int_equal(config->balancing.choices, cases[i].expected.choices);
    }
    for (pl_balancing_policy p = PL_PICK_FIRST; p <= PL_WEIGHTED; p++) {
        pl_balancing_policy again;
        assert_true(pl_balancing_policy_named(pl_str_of(pl_balancing_policy_name(p)), &again));
        assert_int_equal(again, p);
    }
}

static void test_errors(void **state)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"[]", "the service config must be a map, not a list"},
        {"{", "Unexpected end of JSON at byte 1"},
        {"{\"a\": 1}", "a: there is no such setting"},
        {"{\"methodConfig\": {\"a\": 1}}", "methodConfig must be a list, not a map"},
        {"{\"methodConfig\": [1]}", "methodConfig[0] must be a map, not 1"},
        {"{\"methodConfig\": [{\"timout\": \"1s\"}]}", "methodConfig[0].timout: there is no such setting"},
        {"{\"methodConfig\": [{}, {\"name\": [{\"method\": \"M\"}]}]}",
         "methodConfig[1].name[0].service is missing"},
        {"{\"methodConfig\": [{\"name\": [{\"service\": \"s\"}, {\"service\": \"s\"}]}]}",
         "methodConfig[0].name[1] names s/, which an earlier name has"},
        {"{\"methodConfig\": [{\"name\": [{}]}, {\"name\": [{}]}]}",
         "methodConfig[1].name[0] names all methods"},
        {"{\"methodConfig\": [{\"name\": [{\"service\": 1}]}]}",
         "methodConfig[0].name[0].service must be a string, not 1"},
        {"{\"methodConfig\": [{\"waitForReady\": \"yes\"}]}",
         "methodConfig[0].waitForReady must be a boolean, not \"yes\""},
        {"{\"methodConfig\": [{\"maxRequestMessageBytes\": -1}]}",
         "maxRequestMessageBytes must be a number of bytes, not -1"},
        {"{\"methodConfig\": [{\"maxRequestMessageBytes\": \"1k\"}]}",
         "must be a number of bytes, not \"1k\""},
        {RETRY(RETRY_REST ", \"retryableStatusCodes\": [14]"),
         "methodConfig[0].retryPolicy.maxAttempts is missing"},
        {RETRY("\"maxAttempts\": 1"), "retryPolicy.maxAttempts must be an integer of at least 2, not 1"},
        {RETRY("\"maxAttempts\": 2.5"), "maxAttempts must be an integer of at least 2, not 2.5"},
        {RETRY("\"maxAttempts\": \"3\""), "maxAttempts must be an integer of at least 2, not \"3\""},
        {RETRY("\"maxAttempts\": 2"), "retryPolicy.initialBackoff is missing"},
        {RETRY("\"maxAttempts\": 2, \"initialBackoff\": \"1s\""), "retryPolicy.maxBackoff is missing"},
        {RETRY("\"maxAttempts\": 2, \"initialBackoff\": \"1s\", \"maxBackoff\": \"1s\""),
         "backoffMultiplier is missing"},
        {RETRY("\"maxAttempts\": 2, " RETRY_REST), "retryableStatusCodes must name at least one code"},
        {RETRY("\"maxAttempts\": 2, " RETRY_REST ", \"retryableStatusCodes\": []"),
         "must name at least one code"},
        {RETRY("\"maxAttempts\": 2, " RETRY_REST ", \"retryableStatusCodes\": [14, \"SLOW\"]"),
         "methodConfig[0].retryPolicy.retryableStatusCodes[1] must be a status code such as \"UNAVAILABLE\", "
         "not \"SLOW\""},
        {RETRY("\"maxAttempts\": 2, " RETRY_REST ", \"retryableStatusCodes\": [0]"), "must be a status code"},
        {RETRY("\"maxAttempts\": 2, " RETRY_REST ", \"retryableStatusCodes\": [17]"),
         "must be a status code"},
        {RETRY("\"initialBackoff\": \"0s\""), "initialBackoff must be a duration above 0"},
        {RETRY("\"maxBackoff\": \"0s\""), "maxBackoff must be a duration above 0"},
        {RETRY("\"backoffMultiplier\": 0"), "backoffMultiplier must be a number above 0, not 0"},
        {"{\"methodConfig\": [{\"hedgingPolicy\": {}}]}",
         "methodConfig[0].hedgingPolicy.maxAttempts is missing"},
        {"{\"methodConfig\": [{\"hedgingPolicy\": {\"maxAttempts\": 2, \"hedgingDelay\": \"-1s\"}}]}",
         "hedgingPolicy.hedgingDelay must be a duration"},
        {"{\"methodConfig\": [{\"hedgingPolicy\": {\"maxAttempts\": 2}, \"retryPolicy\": {\"maxAttempts\": "
         "2, " RETRY_REST ", \"retryableStatusCodes\": [14]}}]}",
         "methodConfig[0] has retryPolicy and hedgingPolicy"},
        {"{\"retryThrottling\": {\"maxTokens\": 0}}",
         "retryThrottling.maxTokens must be a number above 0 and up to 1000"},
        {"{\"retryThrottling\": {\"maxTokens\": 1001}}", "retryThrottling.maxTokens must be"},
        {"{\"retryThrottling\": {\"maxTokens\": 0.0001}}",
         "retryThrottling.maxTokens must be at least 0.001"},
        {"{\"retryThrottling\": {\"tokenRatio\": 0}}", "retryThrottling.tokenRatio must be a number above 0"},
        {"{\"retryThrottling\": {\"maxTokens\": 10}}", "retryThrottling.tokenRatio is missing"},
        {"{\"retryThrottling\": {\"tokenRatio\": 1}}", "retryThrottling.maxTokens is missing"},
        {"{\"loadBalancingPolicy\": \"magic\"}", "loadBalancingPolicy must be pick_first, round_robin"},
        {"{\"loadBalancingConfig\": [{\"magic\": {}}]}", "loadBalancingConfig names none of"},
        {"{\"loadBalancingConfig\": [{}]}", "loadBalancingConfig[0] must be a map with one member"},
        {"{\"loadBalancingConfig\": [{\"round_robin\": {\"x\": 1}}]}",
         "loadBalancingConfig[0].round_robin.x: there is no"},
        {"{\"loadBalancingConfig\": [{\"least_request\": {\"choiceCount\": 1}}]}",
         "loadBalancingConfig[0].least_request.choiceCount must be an integer of at least 2"},
        {"{\"healthCheckConfig\": {\"serviceName\": 1}}", "healthCheckConfig.serviceName must be a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pl_service_config *config = NULL;
        pl_error err;
        if (pl_service_config_parse(&arena, pl_str_of(cases[i].json), true, &config, &err) !=
            PL_INVALID_ARGUMENT)
            fail_msg("%s: accepted", cases[i].json);
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s: %s", cases[i].json, err.message);
        assert_null(config);
    }
}

/* What a resolver brings may be newer than this program. */
static void test_lenient(void **state)
{
    const pl_service_config *config = NULL;
    pl_error err;
    static const pl_str text =
        PL_STR("{\"new\": 1, \"loadBalancingPolicy\": \"new\", \"methodConfig\": [{\"name\": [{\"x\": 1}], "
               "\"timeout\": \"1s\", \"new\": {}}]}");
    assert_int_equal(pl_service_config_parse(&arena, text, false, &config, &err), PL_OK);
    assert_int_equal(pl_service_config_method(config, PL_STR("/a/b"))->timeout, 1000);
    assert_false(config->has_balancing);
    assert_int_equal(pl_service_config_parse(&arena, PL_STR("{\"methodConfig\": [{\"timeout\": 1e99}]}"),
                                             false, &config, &err),
                     PL_INVALID_ARGUMENT);
}

/* A path that is too long for its room is cut, on the boundary of a character. */
static void test_long_names(void **state)
{
    pl_error err;
    const pl_service_config *config;
    char text[2000] = "{\"";
    for (int i = 0; i < 300; i++)
        strcat(text, "ä€");
    strcat(text, "\": 1}");
    assert_int_equal(pl_service_config_parse(&arena, pl_str_of(text), true, &config, &err),
                     PL_INVALID_ARGUMENT);
    assert_true(pl_str_is_utf8(pl_str_of(err.message)));
    assert_non_null(strstr(err.message, "there is no such setting"));
}

static void test_no_memory(void **state)
{
    static const pl_str text = PL_STR(
        "{\"methodConfig\": [{\"name\": [{\"service\": \"a.B\"}, {\"service\": \"a.C\", \"method\": \"x\"}], "
        "\"retryPolicy\": {\"maxAttempts\": 2, " RETRY_REST ", \"retryableStatusCodes\": [14]}},"
        "{\"name\": [{}], \"hedgingPolicy\": {\"maxAttempts\": 2}}], \"healthCheckConfig\": "
        "{\"serviceName\": \"x\"}}");
    failing a = {0};
    while (failing_next(&a)) {
        pl_arena small;
        const pl_service_config *config = NULL;
        pl_error err;
        pl_arena_init(&small, 64);
        failing_begin(&a);
        pl_code code = pl_service_config_parse(&small, text, true, &config, &err);
        assert_true(failing_end(&a) ? code == PL_RESOURCE_EXHAUSTED && !config : code == PL_OK);
        pl_arena_dispose(&small);
    }
    assert_true(a.made > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_durations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_balancing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lenient, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
