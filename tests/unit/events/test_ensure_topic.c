/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "events/broker.h"
#include "events/topics.h"

/* pl_topics_ensure with the embedded broker, which makes topics when they are asked for; tests/integration/
 * test_streams.py has a real one. */
static void with_embedded_broker(void **state)
{
    pl_error err;
    pl_error_clear(&err);
    pl_broker *broker = pl_broker_new(NULL, &err);
    assert_non_null(broker);
    assert_int_equal(pl_broker_create_topic(broker, "there", 3, &err), PL_OK);
    const pl_kafka_settings kafka = {.brokers = pl_str_of(pl_broker_address(broker))};
    const pl_topic_want there = {.name = PL_STR("there")};
    const pl_topic_want fresh = {.name = PL_STR("fresh"), .partitions = 7, .compacted = true};
    unsigned partitions = 0;
    assert_int_equal(pl_topics_ensure(&kafka, &there, NULL, &partitions, &err), PL_OK);
    assert_int_equal(partitions, 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pl_topics_ensure(&kafka, &fresh, NULL, &partitions, &err), PL_OK);
        assert_int_equal(partitions, 4);
    }
    pl_broker_free(broker);
}

static void with_wrong_settings(void **state)
{
    static const pl_kafka_property wrong[] = {{PL_STR("session.timeout.ms"), PL_STR("soon")}};
    const pl_kafka_settings kafka = {.brokers = PL_STR("127.0.0.1:1"), .properties = wrong, .count = 1};
    const pl_topic_want want = {.name = PL_STR("x")};
    unsigned partitions = 9;
    pl_error err;
    pl_error_clear(&err);
    assert_int_equal(pl_topics_ensure(&kafka, &want, NULL, &partitions, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(partitions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_embedded_broker),
        cmocka_unit_test(with_wrong_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
