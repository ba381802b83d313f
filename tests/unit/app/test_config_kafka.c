/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/config.h"
#include "app/instance.h"
#include "perilune/engines.h"

typedef struct loaded {
    pl_config config;
    pl_arena arena;
    pl_report report;
    bool ok;
} loaded;

static void load(loaded *l, const char *kafka)
{
    char code[1024];
    snprintf(code, sizeof code, "return { %s }", kafka);
    pl_bundle *bundle = MEMORY_BUNDLE("app.lua", code);
    pl_report_init(&l->report);
    pl_arena_init(&l->arena, 0);
    pl_config_default(&l->config);
    pl_instance_source source = {.engine = pl_lua_engine(),
                                 .bundle = bundle,
                                 .config = &l->config,
                                 .config_arena = &l->arena,
                                 .read_config = true};
    pl_instance *instance = pl_instance_open(&source, &l->report);
    l->ok = instance != NULL;
    pl_instance_free(instance);
    pl_bundle_unref(bundle);
}

static void unload(loaded *l)
{
    pl_arena_dispose(&l->arena);
    pl_report_dispose(&l->report);
}

/* What librdkafka is told: the last one counts. */
static const char *property(const loaded *l, const char *name)
{
    const pl_kafka_settings *s = &l->config.kafka.settings;
    const char *value = NULL;
    for (size_t i = 0; i < s->count; i++) {
        if (pl_str_is(s->properties[i].name, name))
            value = s->properties[i].value.ptr;
    }
    return value;
}

static void test_defaults_are_safe(void **state)
{
    loaded l;
    load(&l, "");
    assert_true(l.ok);
    assert_false(l.config.kafka.set);
    assert_int_equal(l.config.kafka.settings.brokers.len, 0);
    assert_string_equal(property(&l, "enable.idempotence"), "true");
    assert_string_equal(property(&l, "partitioner"), "murmur2_random");
    unload(&l);
    load(&l, "kafka = {}");
    assert_true(l.config.kafka.set);
    assert_string_equal(property(&l, "enable.idempotence"), "true");
    unload(&l);
}

static void test_settings(void **state)
{
    static const struct {
        const char *setting, *name, *value;
    } cases[] = {
        {"acks = 'all'", "acks", "all"},
        {"acks = 1, idempotence = false", "acks", "1"},
        {"idempotence = false", "enable.idempotence", "false"},
        {"compression = 'zstd'", "compression.type", "zstd"},
        {"linger = 0.25", "linger.ms", "250"},
        {"linger = 0", "linger.ms", "0"},
        {"timeout = 5", "message.timeout.ms", "5000"},
        {"batch_size = '64 KiB'", "batch.size", "65536"},
        {"batch_messages = 10", "batch.num.messages", "10"},
        {"max_message = '2MiB'", "message.max.bytes", "2097152"},
        {"client_id = 'payments'", "client.id", "payments"},
        {"partitioner = 'consistent_random'", "partitioner", "consistent_random"},
        {"tls = true", "security.protocol", "ssl"},
        {"tls = { ca = '/ca.pem', cert = '/c.pem', key = '/k.pem' }", "security.protocol", "ssl"},
        {"tls = { ca = '/ca.pem' }", "ssl.ca.location", "/ca.pem"},
        {"sasl = { mechanism = 'PLAIN', username = 'u', password = 'p' }", "security.protocol",
         "sasl_plaintext"},
        {"sasl = { mechanism = 'PLAIN', username = 'u', password = 'p' }, tls = true", "security.protocol",
         "sasl_ssl"},
        {"sasl = { mechanism = 'PLAIN', username = 'u', password = 'p' }", "sasl.username", "u"},
        {"linger = 1, properties = { ['linger.ms'] = 7 }", "linger.ms", "7"},
        {"properties = { ['socket.keepalive.enable'] = true }", "socket.keepalive.enable", "true"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loaded l;
        char kafka[512];
        snprintf(kafka, sizeof kafka, "kafka = { %s }", cases[i].setting);
        load(&l, kafka);
        if (!l.ok)
            fail_msg("%s: %s", kafka, report_text(&l.report));
        assert_non_null(property(&l, cases[i].name));
        assert_string_equal(property(&l, cases[i].name), cases[i].value);
        unload(&l);
    }
}

static void test_brokers_and_queue(void **state)
{
    loaded l;
    load(&l, "kafka = { brokers = 'a:1,b:2', queue = { messages = 50, size = '1MiB' } }");
    assert_string_equal(l.config.kafka.settings.brokers.ptr, "a:1,b:2");
    assert_int_equal(l.config.kafka.queue_messages, 50);
    assert_int_equal(l.config.kafka.queue_bytes, 1 << 20);
    unload(&l);
    load(&l, "kafka = { brokers = { 'a:1', 'b:2' } }");
    assert_string_equal(l.config.kafka.settings.brokers.ptr, "a:1,b:2");
    unload(&l);
}

static void test_what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *kafka, *message;
    } cases[] = {
        {"kafka = { acks = 'some' }", "kafka.acks: "},
        {"kafka = { compression = 'rar' }", "kafka.compression: "},
        {"kafka = { properties = { ['no.such'] = 1 } }", "kafka.properties[\"no.such\"]: "},
        {"kafka = { properties = { 1 } }", "kafka.properties"},
        {"kafka = { brokers = 5 }", "kafka.brokers must be \"host:port\""},
        {"kafka = { linger = 'soon' }", "kafka.linger must be"},
        {"kafka = { client_id = {} }", "kafka.client_id must be a string"},
        {"kafka = { broker = 'a' }", "kafka.broker"},
        {"kafka = 'a:1'", "kafka must be a table of settings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loaded l;
        load(&l, cases[i].kafka);
        assert_false(l.ok);
        if (!strstr(report_text(&l.report), cases[i].message))
            fail_msg("%s: %s", cases[i].kafka, report_text(&l.report));
        unload(&l);
    }
}

static void test_copies_are_equal_and_independent(void **state)
{
    loaded l;
    pl_arena arena;
    pl_kafka_config copy;
    load(&l, "kafka = { brokers = 'a:1', linger = 1 }");
    pl_arena_init(&arena, 0);
    assert_true(pl_kafka_config_copy(&copy, &l.config.kafka, &arena));
    assert_true(pl_kafka_config_eq(&copy, &l.config.kafka));
    unload(&l);
    load(&l, "kafka = { brokers = 'a:1', linger = 2 }");
    assert_false(pl_kafka_config_eq(&copy, &l.config.kafka));
    unload(&l);
    load(&l, "kafka = { brokers = 'a:2', linger = 1 }");
    assert_false(pl_kafka_config_eq(&copy, &l.config.kafka));
    unload(&l);
    pl_arena_dispose(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_safe),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_brokers_and_queue),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_copies_are_equal_and_independent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
