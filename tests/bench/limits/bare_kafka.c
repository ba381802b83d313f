/* SPDX-License-Identifier: MIT */
/* bare_kafka BROKERS GROUP INPUT OUTPUT: librdkafka's own loop: what a consumer gets a producer publishes
 * unchanged, at least once: once a second it waits for all acknowledgements and commits. The limit of what
 * anything on librdkafka can reach. Prints "ready" before it joins the group; SIGTERM ends it. */
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 1000, COMMIT_MS = 1000 };

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    ended = 1;
}

_Noreturn static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bare_kafka: %s: %s\n", what, why);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        fail(name, why);
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof(why));
    if (!rk)
        fail("rd_kafka_new", why);
    return rk;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    if (message->err)
        fail("delivery", rd_kafka_err2str(message->err));
}

static rd_kafka_t *new_consumer(const char *brokers, const char *group, const char *topic)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "group.id", group);
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.auto.offset.store", "true");
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(rk, topics);
    if (error)
        fail("subscribe", rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_destroy(topics);
    return rk;
}

static rd_kafka_t *new_producer(const char *brokers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "5");
    set(conf, "batch.num.messages", "10000");
    set(conf, "partitioner", "murmur2_random");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return client(RD_KAFKA_PRODUCER, conf);
}

static void copy(rd_kafka_t *producer, rd_kafka_topic_t *output, const rd_kafka_message_t *message)
{
    if (message->err)
        fail("consume", rd_kafka_message_errstr(message));
    while (rd_kafka_produce(output, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, message->payload,
                            message->len, message->key, message->key_len, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            fail("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(producer, 10);
    }
}

static void commit(rd_kafka_t *consumer, rd_kafka_t *producer)
{
    rd_kafka_resp_err_t error = rd_kafka_flush(producer, 60000);
    if (!error)
        error = rd_kafka_commit(consumer, NULL, 0);
    if (error && error != RD_KAFKA_RESP_ERR__NO_OFFSET)
        fail("commit", rd_kafka_err2str(error));
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        fail("usage", "bare_kafka BROKERS GROUP INPUT OUTPUT");
    signal(SIGTERM, on_signal);
    printf("ready\n");
    fflush(stdout);
    rd_kafka_t *producer = new_producer(argv[1]), *consumer = new_consumer(argv[1], argv[2], argv[3]);
    rd_kafka_topic_t *output = rd_kafka_topic_new(producer, argv[4], NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    rd_kafka_message_t *messages[BATCH];
    long long committed = now_ms();
    bool dirty = false;
    while (!ended) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, 10, messages, BATCH);
        for (ssize_t i = 0; i < count; i++) {
            copy(producer, output, messages[i]);
            rd_kafka_message_destroy(messages[i]);
        }
        rd_kafka_poll(producer, 0);
        dirty = dirty || count > 0;
        if (dirty && now_ms() - committed >= COMMIT_MS) {
            commit(consumer, producer);
            committed = now_ms();
            dirty = false;
        }
    }
    commit(consumer, producer);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_destroy(output);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
    return 0;
}
