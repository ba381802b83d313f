/* SPDX-License-Identifier: MIT */
#ifndef TEST_KAFKA_HARNESS_H
#define TEST_KAFKA_HARNESS_H

/* A loop with helpers, and librdkafka's mock cluster, in which errors can be put. Included by one file of
 * each test program, after cmocka. */

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "events/kafka_internal.h"
#include "events/producer.h"
#include "net/loop.h"
/* Needs what the ones above have. */
#include <librdkafka/rdkafka_mock.h>

#define LONGEST_MS 30000 /* what takes longer hangs */

static rd_kafka_t *mock_client; /* whose threads the cluster runs on */
static rd_kafka_mock_cluster_t *mock;
static pl_kafka_settings mock_kafka;
static pl_helpers *helpers;
static pl_loop *loop;

static inline int start_kafka(void **state)
{
    static const pl_kafka_settings none = {.brokers = PL_STR("")};
    char why[512];
    pl_error err;
    rd_kafka_conf_t *conf = pl_kafka_conf(&none, NULL, &err);
    mock_client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    mock = rd_kafka_mock_cluster_new(mock_client, 1);
    mock_kafka.brokers = pl_str_of(rd_kafka_mock_cluster_bootstraps(mock));
    helpers = pl_helpers_new(4, 100);
    loop = pl_loop_new(helpers, NULL, &err);
    return mock && helpers && loop ? 0 : -1;
}

static inline int stop_kafka(void **state)
{
    pl_loop_free(loop);
    pl_helpers_free(helpers);
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(mock_client);
    return 0;
}

static inline void make_topic(const char *name, int partitions)
{
    assert_int_equal(rd_kafka_mock_topic_create(mock, name, partitions, 1), 0);
}

/* --- the loop --- */
static inline void on_hanging(pl_timer *timer)
{
    *(bool *)timer->data = true;
    pl_loop_stop(loop);
}

/* Until somebody stops it. False: not within ms. */
static inline bool run_for(unsigned ms)
{
    pl_host *host = pl_loop_host(loop);
    bool over = false;
    pl_timer timer = {.fire = on_hanging, .data = &over};
    assert_int_equal(host->ops->timer_start(host, &timer, host->ops->now(host) + ms), 0);
    pl_loop_run(loop);
    host->ops->timer_stop(host, &timer);
    return !over;
}

/* A host whose clock can be put on. */
typedef struct ahead {
    pl_host host; /* first */
    pl_host_ops ops;
    uint64_t ms;
} ahead;

static inline uint64_t ahead_now(pl_host *host)
{
    pl_host *real = pl_loop_host(loop);
    return real->ops->now(real) + ((ahead *)host)->ms;
}

static inline int ahead_timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    pl_host *real = pl_loop_host(loop);
    uint64_t ms = ((ahead *)host)->ms;
    return real->ops->timer_start(real, timer, at > ms ? at - ms : 0);
}

static inline void ahead_timer_stop(pl_host *host, pl_timer *timer)
{
    pl_loop_host(loop)->ops->timer_stop(pl_loop_host(loop), timer);
}

static inline int ahead_offload(pl_host *host, pl_job *job, const void *lane)
{
    return pl_loop_host(loop)->ops->offload(pl_loop_host(loop), job, lane);
}

static inline void ahead_clock(pl_host *host, uint64_t *monotonic, uint64_t *utc)
{
    pl_host *real = pl_loop_host(loop);
    uint64_t ns = ((ahead *)host)->ms * 1000000;
    real->ops->clock(real, monotonic, utc);
    *monotonic += ns;
    if (utc)
        *utc += ns;
}

static inline void ahead_init(ahead *a)
{
    *a = (ahead){.ops = {.now = ahead_now,
                         .clock = ahead_clock,
                         .timer_start = ahead_timer_start,
                         .timer_stop = ahead_timer_stop,
                         .offload = ahead_offload}};
    a->host.ops = &a->ops;
}

/* --- publishing --- */
static inline void on_published(pl_delivery *delivery, const pl_acknowledgement *ack)
{
    assert_int_equal(ack->code, PL_OK);
}

/* Values "first", "first + 1", …, of three keys in turn: "k0", "k1", "k2". */
static inline void publish_numbers(const char *topic, int32_t partition, unsigned first, unsigned count)
{
    const pl_producer_config config = {.kafka = &mock_kafka};
    static const pl_header headers[] = {{PL_STR("trace"), PL_STR("a\0b")}, {PL_STR("none"), {NULL, 0}}};
    pl_delivery *deliveries = test_calloc(count, sizeof *deliveries);
    pl_error err = {0};
    pl_producer *producer = pl_producer_new(&config, &err);
    assert_non_null(producer);
    for (unsigned i = 0; i < count; i++) {
        char value[16], key[16];
        bool waits;
        snprintf(value, sizeof value, "%u", first + i);
        snprintf(key, sizeof key, "k%u", (first + i) % 3);
        const pl_outgoing event = {.topic = pl_str_of(topic),
                                   .key = pl_str_of(key),
                                   .value = pl_str_of(value),
                                   .headers = headers,
                                   .header_count = 2,
                                   .timestamp = 1700000000000 + first + i,
                                   .partition = partition};
        deliveries[i] = (pl_delivery){.done = on_published};
        assert_int_equal(pl_producer_send(producer, &event, &deliveries[i], &waits, &err), PL_OK);
    }
    while (pl_producer_under_way(producer) > 0) {
        struct pollfd fd = {.fd = pl_producer_fd(producer), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, LONGEST_MS), 1);
        pl_producer_poll(producer);
    }
    pl_producer_free(producer);
    test_free(deliveries);
}

/* How many offsets of a topic are taken by now: also by the markers of transactions. */
static inline int64_t count_offsets(const char *topic, int partitions)
{
    int64_t low, high, all = 0;
    char why[512];
    pl_error err;
    rd_kafka_t *client =
        rd_kafka_new(RD_KAFKA_PRODUCER, pl_kafka_conf(&mock_kafka, NULL, &err), why, sizeof why);
    for (int i = 0; i < partitions; i++) {
        assert_int_equal(rd_kafka_query_watermark_offsets(client, topic, i, &low, &high, LONGEST_MS), 0);
        all += high - low;
    }
    rd_kafka_destroy(client);
    return all;
}

static inline unsigned number_of(pl_str value)
{
    unsigned n = 0;
    for (size_t i = 0; i < value.len; i++)
        n = n * 10 + (unsigned)(value.ptr[i] - '0');
    return n;
}

#endif
