/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "events/kafka_harness.h"
#include "events/transactor.h"
#include "support/failing.h"

/* What becomes of a transaction when a broker answers with an error. The mock cluster keeps no offsets of
 * transactions: where one has been committed although nobody was told, the test commits its offset. */

#define PRODUCE 0
#define INIT_PRODUCER_ID 22
#define ADD_PARTITIONS 24
#define ADD_OFFSETS 25
#define END_TRANSACTION 26
#define COMMIT_OFFSETS 28

#define EVENTS 3
#define OFFSET 7

#define push_errors(api, ...)                                                                        \
    rd_kafka_mock_push_request_errors(                                                               \
        mock, api, sizeof((const rd_kafka_resp_err_t[]){__VA_ARGS__}) / sizeof(rd_kafka_resp_err_t), \
        __VA_ARGS__)

typedef struct fixture {
    pl_transactor *transactor;
    rd_kafka_t *consumer;
    rd_kafka_consumer_group_metadata_t *group;
    rd_kafka_topic_partition_list_t *offsets;
    pl_output *outputs;
    pl_error err;
} fixture;

static rd_kafka_t *new_consumer(void)
{
    char why[512];
    pl_error err;
    rd_kafka_conf_t *conf = pl_kafka_conf(&mock_kafka, NULL, &err);
    assert_int_equal(pl_kafka_set(conf, "group.id", "copiers", &err), PL_OK);
    return rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
}

static void add_output(fixture *f, const char *key)
{
    const pl_outgoing event = {
        .topic = PL_STR("out"), .key = pl_str_of(key), .value = PL_STR("{}"), .partition = PL_ANY_PARTITION};
    pl_output *output = pl_output_new(&event);
    assert_non_null(output);
    output->next = f->outputs;
    f->outputs = output;
}

static int setup(void **state)
{
    static unsigned runs; /* each has a producer of its own */
    char id[32];
    fixture *f = test_calloc(1, sizeof *f);
    start_kafka(NULL);
    make_topic("in", 1);
    make_topic("out", 1);
    snprintf(id, sizeof id, "copier-%u", runs++);
    f->transactor = pl_transactor_new(&mock_kafka, id, NULL, &f->err);
    f->consumer = new_consumer();
    f->group = rd_kafka_consumer_group_metadata_new("copiers");
    f->offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(f->offsets, "in", 0)->offset = OFFSET;
    for (unsigned i = 0; i < EVENTS; i++)
        add_output(f, "k");
    *state = f;
    return f->transactor && f->consumer ? 0 : -1;
}

static int teardown(void **state)
{
    fixture *f = *state;
    pl_transactor_free(f->transactor);
    rd_kafka_consumer_group_metadata_destroy(f->group);
    rd_kafka_topic_partition_list_destroy(f->offsets);
    rd_kafka_destroy(f->consumer);
    for (pl_output *next; f->outputs; f->outputs = next) {
        next = f->outputs->next;
        pl_free(f->outputs);
    }
    test_free(f);
    return stop_kafka(NULL);
}

static pl_transaction_result run(fixture *f)
{
    pl_error_clear(&f->err);
    return pl_transactor_run(f->transactor, f->outputs, f->consumer, f->group, f->offsets, &f->err);
}

/* As the group's coordinator would have it if the transaction had been committed. */
static void commit_by_hand(fixture *f)
{
    assert_int_equal(rd_kafka_commit(f->consumer, f->offsets, 0), 0);
}

static void test_events_are_written_and_offsets_sent(void **state)
{
    fixture *f = *state;
    assert_int_equal(run(f), PL_TRANSACTION_DONE);
    assert_int_equal(run(f), PL_TRANSACTION_DONE);
    assert_true(count_offsets("out", 1) >= 2 * EVENTS);
}

static void test_what_passes_is_waited_for(void **state)
{
    fixture *f = *state;
    push_errors(INIT_PRODUCER_ID, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
                RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    push_errors(ADD_PARTITIONS, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS);
    push_errors(ADD_OFFSETS, RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
    push_errors(COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    push_errors(END_TRANSACTION, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS);
    assert_int_equal(run(f), PL_TRANSACTION_DONE);
}

static void test_a_producer_that_cannot_begin_is_made_anew(void **state)
{
    fixture *f = *state;
    push_errors(INIT_PRODUCER_ID, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    assert_int_equal(run(f), PL_TRANSACTION_FAILED);
    assert_non_null(strstr(f->err.message, "init_transactions"));
    assert_int_equal(run(f), PL_TRANSACTION_DONE);
}

/* Nothing is committed; the same can be tried again, by the same producer. */
static void test_errors_that_abort(void **state)
{
    static const struct {
        int16_t api;
        rd_kafka_resp_err_t error;
        pl_transaction_result result;
        const char *why;
    } cases[] = {
        {PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, PL_TRANSACTION_FAILED, "too large"},
        {ADD_PARTITIONS, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, PL_TRANSACTION_FAILED,
         "authorization"},
        {ADD_OFFSETS, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, PL_TRANSACTION_FAILED, "authorization"},
        /* The partitions may still be ours: what was published for their records must not be given up. */
        {COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, PL_TRANSACTION_FAILED, "rebalanc"},
        {COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, PL_TRANSACTION_LOST, "generation"},
        {COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, PL_TRANSACTION_LOST, "member"},
        {COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, PL_TRANSACTION_LOST, "fenced"},
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        push_errors(cases[i].api, cases[i].error);
        assert_int_equal(run(f), cases[i].result);
        if (!strstr(f->err.message, cases[i].why))
            fail_msg("there is no \"%s\" in: %s", cases[i].why, f->err.message);
        /* librdkafka may need one attempt more to get its sequence numbers right. */
        if (run(f) != PL_TRANSACTION_DONE && run(f) != PL_TRANSACTION_DONE)
            fail_msg("%s", f->err.message);
    }
}

static void test_one_that_is_fenced_begins_anew(void **state)
{
    push_errors(COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(run(*state), PL_TRANSACTION_FAILED);
    assert_int_equal(run(*state), PL_TRANSACTION_DONE);
}

static void test_a_commit_that_was_refused_is_repeated(void **state)
{
    push_errors(END_TRANSACTION, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    assert_int_equal(run(*state), PL_TRANSACTION_FAILED);
    assert_int_equal(run(*state), PL_TRANSACTION_DONE);
    assert_true(count_offsets("out", 1) >= 2 * EVENTS);
}

static void test_a_commit_that_has_succeeded_is_not_repeated(void **state)
{
    fixture *f = *state;
    push_errors(END_TRANSACTION, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    assert_int_equal(run(f), PL_TRANSACTION_FAILED);
    int64_t before = count_offsets("out", 1);
    commit_by_hand(f);
    assert_int_equal(run(f), PL_TRANSACTION_DONE);
    assert_int_equal(count_offsets("out", 1), before);
    /* It is known of that one only. */
    f->offsets->elems[0].offset++;
    assert_int_equal(run(f), PL_TRANSACTION_DONE);
    assert_true(count_offsets("out", 1) >= before + EVENTS);
}

/* librdkafka asks for an abort, but that is refused: the commit was there first. */
static void test_a_commit_that_cannot_be_aborted_has_perhaps_succeeded(void **state)
{
    fixture *f = *state;
    push_errors(END_TRANSACTION, RD_KAFKA_RESP_ERR_UNKNOWN, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    assert_int_equal(run(f), PL_TRANSACTION_FAILED);
    int64_t before = count_offsets("out", 1);
    commit_by_hand(f);
    assert_int_equal(run(f), PL_TRANSACTION_DONE);
    assert_int_equal(count_offsets("out", 1), before);
}

static void test_an_abort_that_fails_begins_anew(void **state)
{
    fixture *f = *state;
    push_errors(COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
    push_errors(END_TRANSACTION, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    assert_int_equal(run(f), PL_TRANSACTION_LOST);
    assert_int_equal(run(f), PL_TRANSACTION_DONE);
}

static void test_nothing_is_begun_when_it_is_cancelled(void **state)
{
    fixture *f = *state;
    assert_int_equal(run(f), PL_TRANSACTION_DONE);
    int64_t before = count_offsets("out", 1);
    pl_transactor_cancel(f->transactor);
    assert_int_equal(run(f), PL_TRANSACTION_FAILED);
    assert_int_equal(f->err.code, PL_CANCELLED);
    assert_int_equal(count_offsets("out", 1), before);
}

static void test_without_memory_there_is_none(void **state)
{
    static const pl_kafka_property properties[] = {{PL_STR("client.id"), PL_STR("copier")}};
    static const pl_header headers[] = {{PL_STR("trace"), PL_STR("a")}};
    const pl_outgoing event = {
        .topic = PL_STR("out"), .value = PL_STR("1"), .headers = headers, .header_count = 1};
    pl_kafka_settings kafka = mock_kafka;
    failing a = {0};
    kafka.properties = properties;
    kafka.count = 1;
    while (failing_next(&a)) {
        pl_error err = {0};
        failing_begin(&a);
        pl_transactor *t = pl_transactor_new(&kafka, "copier", NULL, &err);
        pl_output *output = pl_output_new(&event);
        bool failed = failing_end(&a);
        assert_int_equal(failed, !t || !output);
        assert_int_equal(err.code, t ? PL_OK : PL_RESOURCE_EXHAUSTED);
        pl_transactor_free(t);
        pl_free(output);
    }
    assert_true(a.made >= 3);
}

static void test_wrong_settings_are_named(void **state)
{
    static const pl_kafka_property wrong[] = {{PL_STR("socket.timeout.ms"), PL_STR("soon")}};
    fixture *f = *state;
    pl_kafka_settings kafka = mock_kafka;
    kafka.properties = wrong;
    kafka.count = 1;
    pl_transactor_free(f->transactor);
    f->transactor = pl_transactor_new(&kafka, "copier", NULL, &f->err);
    assert_int_equal(run(f), PL_TRANSACTION_FAILED);
    assert_int_equal(f->err.code, PL_INVALID_ARGUMENT);
    if (!strstr(f->err.message, "socket.timeout.ms"))
        fail_msg("%s", f->err.message);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_events_are_written_and_offsets_sent),
        TEST(test_what_passes_is_waited_for),
        TEST(test_a_producer_that_cannot_begin_is_made_anew),
        TEST(test_errors_that_abort),
        TEST(test_one_that_is_fenced_begins_anew),
        TEST(test_a_commit_that_was_refused_is_repeated),
        TEST(test_a_commit_that_has_succeeded_is_not_repeated),
        TEST(test_a_commit_that_cannot_be_aborted_has_perhaps_succeeded),
        TEST(test_an_abort_that_fails_begins_anew),
        TEST(test_nothing_is_begun_when_it_is_cancelled),
        TEST(test_without_memory_there_is_none),
        TEST(test_wrong_settings_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
