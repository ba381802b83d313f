/* SPDX-License-Identifier: MIT */
#include "events/transactor.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/clock.h"

/* begin, produce, send offsets, commit. What librdkafka says of an error decides what comes next: the same
 * call once more (retriable), abort, or a new producer of the same name. A new one makes certain what became
 * of the last transaction: whether its offsets are committed tells whether it was. */

/* transaction.timeout.ms: after that the broker aborts by itself. So long the partitions of a process that
 * was killed wait for their last offsets. */
#define TRANSACTION_MS 10000
#define REPORTS_AT_ONCE 100
#define CALL_MS 3000    /* one call; it is repeated while the transaction may go on */
#define RESULT_MS 30000 /* for a transaction whose producer has no better way to find out */

struct pl_transactor {
    pl_kafka_settings settings;
    char *id;
    pl_arena arena;
    pl_logger *log;
    rd_kafka_t *producer; /* NULL: it is to be made (anew) */
    atomic_bool cancelled;
    bool uncertain;               /* the last transaction may have been committed */
    rd_kafka_resp_err_t delivery; /* the first error of an event of this transaction */
};

/* --- outputs --- */
static pl_str put(char **at, pl_str s)
{
    pl_str to = {s.ptr ? *at : NULL, s.len};
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    **at = '\0';
    *at += 1;
    return to;
}

pl_output *pl_output_new(const pl_outgoing *event)
{
    size_t bytes = sizeof(pl_output) + event->header_count * sizeof(pl_header) + event->topic.len +
                   event->key.len + event->value.len + 3;
    for (size_t i = 0; i < event->header_count; i++)
        bytes += event->headers[i].name.len + event->headers[i].value.len + 2;
    pl_output *output = pl_malloc(bytes);
    if (!output)
        return NULL;
    pl_header *headers = (pl_header *)(output + 1);
    char *at = (char *)(headers + event->header_count);
    *output = (pl_output){.bytes = bytes, .event = *event};
    for (size_t i = 0; i < event->header_count; i++) {
        headers[i].name = put(&at, event->headers[i].name);
        headers[i].value = put(&at, event->headers[i].value);
    }
    output->event.headers = headers;
    output->event.topic = put(&at, event->topic);
    output->event.key = put(&at, event->key);
    output->event.value = put(&at, event->value);
    return output;
}

/* --- life --- */
static bool copy_settings(pl_transactor *t, const pl_kafka_settings *from)
{
    pl_kafka_property *list = pl_arena_array(&t->arena, from->count, sizeof *list);
    t->settings = *from;
    t->settings.brokers = pl_arena_str(&t->arena, from->brokers);
    t->settings.properties = list;
    bool ok = list && t->settings.brokers.ptr;
    for (size_t i = 0; ok && i < from->count; i++) {
        list[i].name = pl_arena_str(&t->arena, from->properties[i].name);
        list[i].value = pl_arena_str(&t->arena, from->properties[i].value);
        ok = list[i].name.ptr && list[i].value.ptr;
    }
    return ok;
}

pl_transactor *pl_transactor_new(const pl_kafka_settings *settings, const char *id, pl_logger *log,
                                 pl_error *err)
{
    pl_transactor *t = pl_calloc(1, sizeof *t);
    if (!t) {
        pl_fail_memory(err);
        return NULL;
    }
    pl_arena_init(&t->arena, 0);
    t->log = log;
    t->id = (char *)pl_arena_str(&t->arena, pl_str_of(id)).ptr;
    if (t->id && copy_settings(t, settings))
        return t;
    pl_fail_memory(err);
    pl_transactor_free(t);
    return NULL;
}

static void drop_producer(pl_transactor *t)
{
    if (!t->producer)
        return;
    rd_kafka_purge(t->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(t->producer);
    t->producer = NULL;
}

void pl_transactor_cancel(pl_transactor *t)
{
    atomic_store(&t->cancelled, true);
}

void pl_transactor_free(pl_transactor *t)
{
    if (!t)
        return;
    drop_producer(t);
    pl_arena_dispose(&t->arena);
    pl_free(t);
}

static bool may_wait(pl_transactor *t, uint64_t until)
{
    return pl_clock_ms() < until && !atomic_load(&t->cancelled);
}

/* --- what an error means --- */
typedef enum step { STEP_DONE, STEP_AGAIN, STEP_ABORT, STEP_RENEW } step;

static bool is_lost(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION || code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
           code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

/* Takes over the error. *code: what it was. */
static step judge(rd_kafka_error_t *error, const char *call, rd_kafka_resp_err_t *code, pl_error *err)
{
    step s = STEP_RENEW;
    if (!error)
        return STEP_DONE;
    *code = rd_kafka_error_code(error);
    if (rd_kafka_error_txn_requires_abort(error))
        s = STEP_ABORT;
    else if (rd_kafka_error_is_retriable(error))
        s = STEP_AGAIN;
    pl_fail(err, pl_kafka_code(*code), "%s: %s", call, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return s;
}

/* --- the producer --- */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    pl_transactor *t = message->_private;
    (void)rk;
    (void)opaque;
    bool purged = message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
                  message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT; /* since the transaction has failed */
    if (message->err && !purged && !t->delivery)
        t->delivery = message->err;
}

static step make_producer(pl_transactor *t, pl_error *err)
{
    static const pl_kafka_property defaults[] = {{PL_STR("linger.ms"), PL_STR("5")}};
    char why[512] = "", timeout[32];
    rd_kafka_resp_err_t code;
    rd_kafka_conf_t *conf = pl_kafka_conf_over(defaults, 1, &t->settings, t->log, err);
    if (!conf)
        return STEP_RENEW;
    snprintf(timeout, sizeof timeout, "%d", TRANSACTION_MS);
    if (pl_kafka_set(conf, "transactional.id", t->id, err) != PL_OK ||
        pl_kafka_set(conf, "transaction.timeout.ms", timeout, err) != PL_OK ||
        pl_kafka_set(conf, "message.timeout.ms", timeout, err) != PL_OK ||
        pl_kafka_set(conf, "enable.idempotence", "true", err) != PL_OK ||
        pl_kafka_set(conf, "acks", "all", err) != PL_OK) {
        rd_kafka_conf_destroy(conf);
        return STEP_RENEW;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    t->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!t->producer) {
        rd_kafka_conf_destroy(conf);
        pl_fail(err, PL_INVALID_ARGUMENT, "%s", why);
        return STEP_RENEW;
    }
    step s;
    uint64_t until = pl_clock_ms() + RESULT_MS;
    while ((s = judge(rd_kafka_init_transactions(t->producer, CALL_MS), "init_transactions", &code, err)) ==
               STEP_AGAIN &&
           may_wait(t, until))
        ;
    if (s == STEP_DONE)
        return s;
    drop_producer(t);
    return STEP_RENEW;
}

/* --- one transaction --- */
typedef struct attempt {
    pl_transactor *t;
    const pl_output *outputs;
    rd_kafka_t *consumer;
    const rd_kafka_consumer_group_metadata_t *group;
    const rd_kafka_topic_partition_list_t *offsets;
    uint64_t until;
    rd_kafka_resp_err_t code;
    pl_error *err;
} attempt;

static rd_kafka_resp_err_t produce(pl_transactor *t, const pl_outgoing *e)
{
    rd_kafka_headers_t *headers = pl_kafka_headers(e);
    rd_kafka_vu_t fields[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = e->topic.ptr},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = e->partition},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)e->value.ptr, e->value.len}},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)e->key.ptr, e->key.len}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = e->timestamp},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = t},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    rd_kafka_error_t *error =
        rd_kafka_produceva(t->producer, fields, sizeof fields / sizeof *fields - (headers == NULL));
    rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (error)
        rd_kafka_error_destroy(error);
    if (code && headers)
        rd_kafka_headers_destroy(headers);
    return code;
}

/* The outputs stay where they are until the transaction is over: nothing is copied. */
static step write_outputs(attempt *a)
{
    pl_transactor *t = a->t;
    unsigned written = 0;
    t->delivery = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (const pl_output *o = a->outputs; o; o = o->next) {
        while ((a->code = produce(t, &o->event)) == RD_KAFKA_RESP_ERR__QUEUE_FULL && may_wait(a->t, a->until))
            rd_kafka_poll(t->producer, 100);
        if (a->code) {
            pl_fail(a->err, pl_kafka_code(a->code), "%.*s: %s", PL_STR_ARG(o->event.topic),
                    rd_kafka_err2str(a->code));
            return STEP_ABORT;
        }
        if (++written % REPORTS_AT_ONCE == 0)
            rd_kafka_poll(t->producer, 0);
    }
    rd_kafka_poll(t->producer, 0);
    return STEP_DONE;
}

static step send_offsets(attempt *a)
{
    step s;
    do
        s = judge(rd_kafka_send_offsets_to_transaction(a->t->producer, a->offsets, a->group, CALL_MS),
                  "offsets", &a->code, a->err);
    while (s == STEP_AGAIN && may_wait(a->t, a->until));
    return s == STEP_AGAIN ? STEP_ABORT : s;
}

/* An end that is not certain is not awaited for ever: a new producer finds out. */
static step commit(attempt *a)
{
    step s;
    do
        s = judge(rd_kafka_commit_transaction(a->t->producer, CALL_MS), "commit", &a->code, a->err);
    while (s == STEP_AGAIN && may_wait(a->t, a->until));
    return s == STEP_AGAIN ? STEP_RENEW : s;
}

static step abort_transaction(attempt *a)
{
    step s;
    rd_kafka_resp_err_t code;
    pl_error ignored;
    uint64_t until = pl_clock_ms() + RESULT_MS;
    pl_error_clear(&ignored);
    do
        s = judge(rd_kafka_abort_transaction(a->t->producer, CALL_MS), "abort", &code, &ignored);
    while (s == STEP_AGAIN && may_wait(a->t, until));
    return s == STEP_DONE ? STEP_ABORT : STEP_RENEW;
}

static step transact(attempt *a)
{
    step s = judge(rd_kafka_begin_transaction(a->t->producer), "begin", &a->code, a->err);
    if (s != STEP_DONE)
        return STEP_RENEW;
    s = write_outputs(a);
    if (s == STEP_DONE)
        s = send_offsets(a);
    bool committing = s == STEP_DONE;
    if (committing)
        s = commit(a);
    if (s == STEP_ABORT && a->t->delivery) {
        a->code = a->t->delivery;
        pl_fail(a->err, pl_kafka_code(a->code), "an event was not delivered: %s", rd_kafka_err2str(a->code));
    }
    if (s == STEP_ABORT)
        s = abort_transaction(a);
    /* Also when it could not be aborted: the commit may have come first. */
    a->t->uncertain = committing && s == STEP_RENEW;
    return s;
}

/* What the group has committed tells what became of the last transaction; its producer is no more. False: it
 * cannot be known yet. */
static bool find_out(attempt *a, bool *done)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(a->offsets);
    a->code = rd_kafka_committed(a->consumer, list, CALL_MS);
    *done = true;
    for (int i = 0; i < list->cnt && !a->code; i++) {
        a->code = list->elems[i].err;
        if (list->elems[i].offset < a->offsets->elems[i].offset)
            *done = false;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (a->code)
        pl_fail(a->err, pl_kafka_code(a->code), "committed offsets: %s", rd_kafka_err2str(a->code));
    return !a->code;
}

pl_transaction_result pl_transactor_run(pl_transactor *t, const pl_output *outputs, rd_kafka_t *consumer,
                                        const rd_kafka_consumer_group_metadata_t *group,
                                        const rd_kafka_topic_partition_list_t *offsets, pl_error *err)
{
    attempt a = {
        .t = t, .outputs = outputs, .consumer = consumer, .group = group, .offsets = offsets, .err = err};
    if (!may_wait(t, UINT64_MAX)) {
        pl_fail(err, PL_CANCELLED, "the server ends");
        return PL_TRANSACTION_FAILED;
    }
    if (!t->producer && make_producer(t, err) != STEP_DONE)
        return PL_TRANSACTION_FAILED;
    if (t->uncertain) {
        bool done;
        if (!find_out(&a, &done))
            return PL_TRANSACTION_FAILED;
        t->uncertain = false;
        if (done)
            return PL_TRANSACTION_DONE;
    }
    a.until = pl_clock_ms() + TRANSACTION_MS / 2;
    step s = transact(&a);
    if (s == STEP_DONE)
        return PL_TRANSACTION_DONE;
    if (s == STEP_RENEW)
        drop_producer(t);
    if (t->uncertain)
        return PL_TRANSACTION_FAILED;
    return is_lost(a.code) ? PL_TRANSACTION_LOST : PL_TRANSACTION_FAILED;
}
