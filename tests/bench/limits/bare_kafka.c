/* SPDX-License-Identifier: MIT */
/* bare_kafka BROKERS GROUP INPUT OUTPUT [MODE]: what plain C on librdkafka makes of the benchmark's events:
 * the limit of what anything on librdkafka can reach.
 *
 *   copy          passes the bytes on, at least once: once a second it waits for all acknowledgements and
 * commits json          the same work as all others do: parses the value, adds 1 to its quantity, prints it
 *   exactly_once  as json, in transactions of 100 ms
 *   produce       makes the events 0 to BENCH_COUNT - 1 and writes them to OUTPUT
 *   consume       parses values and adds up their quantity
 *
 * Prints that it is ready before it joins the group. SIGTERM ends it: it commits first. It ends at the first
 * error. */
#include <cjson/cJSON.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 1000, COMMIT_MS = 1000, TRANSACTION_MS = 100, WAIT_MS = 60000 };

typedef struct job {
    const char *brokers, *group, *input, *output;
    rd_kafka_t *consumer, *producer;
    rd_kafka_topic_t *topic; /* the output */
    long long count, quantity;
} job;

typedef struct mode {
    const char *name;
    void (*run)(job *j, const struct mode *m);
    void (*event)(job *j, const rd_kafka_message_t *message);
    void (*commit)(job *j);
    long long interval;
    bool produces, transactions;
} mode;

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

/* --- clients --- */
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

static void check(const char *what, rd_kafka_error_t *error)
{
    if (error)
        fail(what, rd_kafka_error_string(error));
}

static rd_kafka_t *new_consumer(const job *j)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", j->brokers);
    set(conf, "group.id", j->group);
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.auto.offset.store", "true");
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, j->input, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(rk, topics);
    if (error)
        fail("subscribe", rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_destroy(topics);
    return rk;
}

static rd_kafka_t *new_producer(const job *j, bool transactions)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", j->brokers);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "5");
    set(conf, "batch.num.messages", "10000");
    set(conf, "partitioner", "murmur2_random");
    if (transactions)
        set(conf, "transactional.id", j->group);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, conf);
    if (transactions) {
        check("init_transactions", rd_kafka_init_transactions(rk, WAIT_MS));
        check("begin_transaction", rd_kafka_begin_transaction(rk));
    }
    return rk;
}

/* --- events --- */
static void publish(job *j, int flags, void *value, size_t size, const void *key, size_t key_size)
{
    while (rd_kafka_produce(j->topic, RD_KAFKA_PARTITION_UA, flags, value, size, key, key_size, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            fail("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(j->producer, 10);
    }
}

static void copy(job *j, const rd_kafka_message_t *message)
{
    publish(j, RD_KAFKA_MSG_F_COPY, message->payload, message->len, message->key, message->key_len);
}

static void print_and_publish(job *j, cJSON *event, const void *key, size_t key_size)
{
    char *text = cJSON_PrintBuffered(event, 512, false);
    cJSON_Delete(event);
    if (!text)
        fail("JSON", "out of memory");
    publish(j, RD_KAFKA_MSG_F_FREE, text, strlen(text), key, key_size);
}

static cJSON *parse(const rd_kafka_message_t *message, cJSON **quantity)
{
    cJSON *event = cJSON_ParseWithLength(message->payload, message->len);
    *quantity = cJSON_GetObjectItemCaseSensitive(event, "quantity");
    if (!cJSON_IsNumber(*quantity))
        fail("an event", "its value is not JSON with a quantity");
    return event;
}

static void change(job *j, const rd_kafka_message_t *message)
{
    cJSON *quantity, *event = parse(message, &quantity);
    cJSON_SetNumberValue(quantity, quantity->valuedouble + 1);
    print_and_publish(j, event, message->key, message->key_len);
}

static void add_up(job *j, const rd_kafka_message_t *message)
{
    cJSON *quantity, *event = parse(message, &quantity);
    j->count++;
    j->quantity += quantity->valueint;
    cJSON_Delete(event);
}

static cJSON *new_order(long long number)
{
    char customer[32], product[32];
    snprintf(customer, sizeof customer, "customer-%04lld", number % 1000);
    snprintf(product, sizeof product, "Product number %lld", number % 100);
    cJSON *event = cJSON_CreateObject();
    cJSON_AddNumberToObject(event, "id", (double)number);
    cJSON_AddStringToObject(event, "customer", customer);
    cJSON_AddStringToObject(event, "product", product);
    cJSON_AddNumberToObject(event, "quantity", (double)(number % 7));
    cJSON_AddNumberToObject(event, "price", 19.5);
    cJSON_AddBoolToObject(event, "paid", true);
    cJSON_AddItemToObject(event, "tags", cJSON_CreateStringArray((const char *[]){"new", "online"}, 2));
    cJSON *address = cJSON_AddObjectToObject(event, "address");
    cJSON_AddStringToObject(address, "street", "Nowhere Street 17");
    cJSON_AddStringToObject(address, "city", "Springfield");
    cJSON_AddStringToObject(address, "country", "US");
    return event;
}

/* --- commits --- */
static void commit(job *j)
{
    rd_kafka_resp_err_t error =
        j->producer ? rd_kafka_flush(j->producer, WAIT_MS) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!error)
        error = rd_kafka_commit(j->consumer, NULL, 0);
    if (error && error != RD_KAFKA_RESP_ERR__NO_OFFSET)
        fail("commit", rd_kafka_err2str(error));
}

static void commit_transaction(job *j)
{
    rd_kafka_topic_partition_list_t *offsets = NULL;
    rd_kafka_resp_err_t error = rd_kafka_assignment(j->consumer, &offsets);
    if (!error)
        error = rd_kafka_position(j->consumer, offsets);
    if (error)
        fail("position", rd_kafka_err2str(error));
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(j->consumer);
    check("send_offsets", rd_kafka_send_offsets_to_transaction(j->producer, offsets, group, WAIT_MS));
    check("commit_transaction", rd_kafka_commit_transaction(j->producer, WAIT_MS));
    check("begin_transaction", rd_kafka_begin_transaction(j->producer));
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
}

/* --- modes --- */
static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void handle(job *j, const mode *m)
{
    j->consumer = new_consumer(j);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(j->consumer);
    rd_kafka_message_t *messages[BATCH];
    long long committed = now_ms();
    bool dirty = false;
    while (!ended) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, 10, messages, BATCH);
        for (ssize_t i = 0; i < count; i++) {
            if (messages[i]->err)
                fail("consume", rd_kafka_message_errstr(messages[i]));
            m->event(j, messages[i]);
            rd_kafka_message_destroy(messages[i]);
        }
        if (j->producer)
            rd_kafka_poll(j->producer, 0);
        dirty = dirty || count > 0;
        if (dirty && now_ms() - committed >= m->interval) {
            m->commit(j);
            committed = now_ms();
            dirty = false;
        }
    }
    if (dirty)
        m->commit(j);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(j->consumer);
    rd_kafka_destroy(j->consumer);
    if (!m->produces)
        printf("{\"event\":\"consumed\",\"count\":%lld,\"quantity\":%lld}\n", j->count, j->quantity);
}

static void produce(job *j, const mode *m)
{
    const char *text = getenv("BENCH_COUNT");
    long long count = text ? atoll(text) : 1000000;
    for (long long i = 0; i < count && !ended; i++) {
        char key[32];
        size_t size = (size_t)snprintf(key, sizeof key, "%lld", i);
        print_and_publish(j, new_order(i), key, size);
        if (i % BATCH == 0)
            rd_kafka_poll(j->producer, 0);
    }
    rd_kafka_resp_err_t error = rd_kafka_flush(j->producer, WAIT_MS);
    if (error)
        fail("flush", rd_kafka_err2str(error));
    while (!ended)
        rd_kafka_poll(j->producer, 100);
}

static const mode modes[] = {
    {"copy", handle, copy, commit, COMMIT_MS, .produces = true},
    {"json", handle, change, commit, COMMIT_MS, .produces = true},
    {"exactly_once", handle, change, commit_transaction, TRANSACTION_MS, .produces = true,
     .transactions = true},
    {"produce", produce, .produces = true},
    {"consume", handle, add_up, commit, COMMIT_MS, .produces = false},
};

static const mode *find_mode(const char *name)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(modes[i].name, name) == 0)
            return &modes[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const mode *m = argc == 5 ? modes : argc == 6 ? find_mode(argv[5]) : NULL;
    if (!m)
        fail("usage", "bare_kafka BROKERS GROUP INPUT OUTPUT [copy|json|exactly_once|produce|consume]");
    job j = {.brokers = argv[1], .group = argv[2], .input = argv[3], .output = argv[4]};
    signal(SIGTERM, on_signal);
    printf("{\"event\":\"ready\"}\n");
    fflush(stdout);
    if (m->produces) {
        j.producer = new_producer(&j, m->transactions);
        j.topic = rd_kafka_topic_new(j.producer, j.output, NULL);
    }
    m->run(&j, m);
    if (m->produces) {
        rd_kafka_topic_destroy(j.topic);
        rd_kafka_destroy(j.producer);
    }
    return 0;
}
