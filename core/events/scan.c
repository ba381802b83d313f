/* SPDX-License-Identifier: MIT */
#include "events/scan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "events/kafka_internal.h"

#define POLL_MS 100

struct pl_scan {
    rd_kafka_t *client;
    char *group; /* NULL: none */
    int timeout_ms;
    pl_header *headers;
    size_t header_room;
};

/* --- life --- */
static rd_kafka_conf_t *make_conf(const pl_kafka_settings *kafka, const char *group, pl_logger *log,
                                  pl_error *err)
{
    const char *const properties[][2] = {
        /* librdkafka reads with offsets of its own choice only in the name of some group. */
        {"group.id", group ? group : "perilune-dlq"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "earliest"},
        {"isolation.level", "read_committed"},
        {"fetch.wait.max.ms", "50"},
        {"queued.max.messages.kbytes", "16384"},
    };
    rd_kafka_conf_t *conf = pl_kafka_conf(kafka, log, err);
    for (size_t i = 0; conf && i < sizeof properties / sizeof *properties; i++) {
        if (pl_kafka_set(conf, properties[i][0], properties[i][1], err) != PL_OK) {
            rd_kafka_conf_destroy(conf);
            return NULL;
        }
    }
    return conf;
}

pl_scan *pl_scan_open(const pl_kafka_settings *kafka, const char *group, unsigned timeout_ms, pl_logger *log,
                      pl_error *err)
{
    char why[512] = "";
    pl_scan *s = pl_calloc(1, sizeof *s);
    if (!s) {
        pl_fail_memory(err);
        return NULL;
    }
    s->timeout_ms = (int)timeout_ms;
    rd_kafka_conf_t *conf = make_conf(kafka, group, log, err);
    if (!conf)
        goto failed;
    size_t room = group ? strlen(group) + 1 : 0;
    if (room && !(s->group = pl_malloc(room))) {
        rd_kafka_conf_destroy(conf);
        pl_fail_memory(err);
        goto failed;
    }
    if (room)
        memcpy(s->group, group, room);
    s->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (s->client) {
        rd_kafka_poll_set_consumer(s->client);
        return s;
    }
    rd_kafka_conf_destroy(conf);
    pl_fail(err, PL_INVALID_ARGUMENT, "%s", why);
failed:
    pl_scan_close(s);
    return NULL;
}

void pl_scan_close(pl_scan *s)
{
    if (!s)
        return;
    if (s->client) {
        rd_kafka_assign(s->client, NULL);
        rd_kafka_destroy_flags(s->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    pl_free(s->headers);
    pl_free(s->group);
    pl_free(s);
}

static pl_code fail(pl_error *err, rd_kafka_resp_err_t error, const char *topic, const char *doing)
{
    return pl_fail(err, pl_kafka_code(error), "%s%s%s: %s", topic ? topic : "", topic ? ": " : "", doing,
                   rd_kafka_err2str(error));
}

/* --- what there is --- */
pl_code pl_scan_topics(pl_scan *s, pl_arena *arena, pl_str **names, size_t *count, pl_error *err)
{
    const struct rd_kafka_metadata *md;
    rd_kafka_resp_err_t error = rd_kafka_metadata(s->client, 1, NULL, &md, s->timeout_ms);
    if (error)
        return fail(err, error, NULL, "topics cannot be listed");
    *count = (size_t)md->topic_cnt;
    *names = pl_arena_array(arena, *count, sizeof **names);
    pl_code code = *names ? PL_OK : pl_fail_memory(err);
    for (size_t i = 0; !code && i < *count; i++) {
        (*names)[i] = pl_arena_str(arena, pl_str_of(md->topics[i].topic));
        if (!(*names)[i].ptr)
            code = pl_fail_memory(err);
    }
    rd_kafka_metadata_destroy(md);
    return code;
}

static int by_id(const void *a, const void *b)
{
    const pl_scan_part *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static pl_code list_parts(pl_scan *s, const char *topic, pl_scan_part **parts, size_t *count, pl_error *err)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(s->client, topic, NULL);
    rd_kafka_resp_err_t error =
        handle ? rd_kafka_metadata(s->client, 0, handle, &md, s->timeout_ms) : rd_kafka_last_error();
    if (!error && md->topic_cnt == 1)
        error = md->topics[0].err;
    pl_code code = error ? fail(err, error, topic, "it cannot be read") : PL_OK;
    if (!code) {
        *count = (size_t)md->topics[0].partition_cnt;
        *parts = pl_calloc(*count + 1, sizeof **parts);
        if (!*parts)
            code = pl_fail_memory(err);
        for (size_t i = 0; !code && i < *count; i++)
            (*parts)[i].id = md->topics[0].partitions[i].id;
        if (!code)
            qsort(*parts, *count, sizeof **parts, by_id);
    }
    if (md)
        rd_kafka_metadata_destroy(md);
    if (handle)
        rd_kafka_topic_destroy(handle);
    return code;
}

static pl_code ask_ends(pl_scan *s, const char *topic, pl_scan_part *parts, size_t count, pl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(
            s->client, topic, parts[i].id, &parts[i].low, &parts[i].high, s->timeout_ms);
        if (error)
            return fail(err, error, topic, "its offsets cannot be had");
        parts[i].at = parts[i].low;
    }
    return PL_OK;
}

static rd_kafka_topic_partition_list_t *list_of(const char *topic, const pl_scan_part *parts, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topic, parts[i].id);
    return list;
}

static pl_code ask_marks(pl_scan *s, const char *topic, pl_scan_part *parts, size_t count, pl_error *err)
{
    rd_kafka_topic_partition_list_t *list = list_of(topic, parts, count);
    rd_kafka_resp_err_t error = s->group && count > 0 ? rd_kafka_committed(s->client, list, s->timeout_ms)
                                                      : RD_KAFKA_RESP_ERR_NO_ERROR;
    pl_code code = error ? fail(err, error, topic, "what was done with it cannot be had") : PL_OK;
    for (size_t i = 0; !code && i < count; i++) {
        const rd_kafka_topic_partition_t *p = &list->elems[i];
        pl_str text = {p->metadata_size ? p->metadata : NULL, p->metadata_size};
        int64_t next = p->offset >= 0 ? p->offset : 0;
        if (p->err)
            code = fail(err, p->err, topic, "what was done with it cannot be had");
        else if (next > parts[i].high) /* it was deleted and made anew */
            pl_marks_init(&parts[i].done, parts[i].low, PL_STR_NONE);
        else
            parts[i].odd = !pl_marks_init(&parts[i].done, next, text);
        if (!code && parts[i].done.next < parts[i].low)
            pl_marks_add(&parts[i].done, 0, parts[i].low);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

pl_code pl_scan_parts(pl_scan *s, const char *topic, pl_scan_part **parts, size_t *count, pl_error *err)
{
    *parts = NULL;
    *count = 0;
    if (list_parts(s, topic, parts, count, err) == PL_OK &&
        ask_ends(s, topic, *parts, *count, err) == PL_OK && ask_marks(s, topic, *parts, *count, err) == PL_OK)
        return PL_OK;
    pl_scan_parts_free(*parts, *count);
    *parts = NULL;
    *count = 0;
    return err->code;
}

void pl_scan_parts_free(pl_scan_part *parts, size_t count)
{
    for (size_t i = 0; parts && i < count; i++)
        pl_marks_dispose(&parts[i].done);
    pl_free(parts);
}

/* --- reading --- */
typedef struct reading {
    pl_scan *scan;
    const char *topic;
    pl_scan_part *parts;
    size_t count;
    const pl_scan_ops *ops;
    void *data;
    pl_error *err;
    size_t left;    /* partitions that have not been read to their end */
    uint64_t alive; /* when something came last */
} reading;

static pl_scan_part *part_of(const reading *r, int32_t id)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->parts[i].id == id)
            return &r->parts[i];
    }
    return NULL;
}

static void part_is_over(reading *r, pl_scan_part *part)
{
    if (part->at < part->high)
        r->left--;
    part->at = part->high;
    rd_kafka_topic_partition_list_t *list = list_of(r->topic, part, 1);
    rd_kafka_pause_partitions(r->scan->client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static bool fill_headers(pl_scan *s, const rd_kafka_message_t *message, pl_incoming *out)
{
    rd_kafka_headers_t *list;
    if (rd_kafka_message_headers(message, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    size_t n = rd_kafka_header_cnt(list);
    if (n > s->header_room) {
        pl_header *headers = pl_realloc(s->headers, n * sizeof *headers);
        if (!headers)
            return false;
        s->headers = headers;
        s->header_room = n;
    }
    for (size_t i = 0; i < n; i++) {
        const char *name;
        const void *value;
        size_t len;
        rd_kafka_header_get_all(list, i, &name, &value, &len);
        s->headers[i] = (pl_header){pl_str_of(name), {value, len}};
    }
    out->headers = s->headers;
    out->header_count = n;
    return true;
}

static pl_code on_record(reading *r, const rd_kafka_message_t *m)
{
    pl_scan_part *part = part_of(r, m->partition);
    pl_incoming in = {.topic = pl_str_of(r->topic),
                      .partition = m->partition,
                      .offset = m->offset,
                      .timestamp = rd_kafka_message_timestamp(m, NULL),
                      .key = {m->key && !m->key_len ? "" : m->key, m->key_len},
                      .value = {m->payload && !m->len ? "" : m->payload, m->len}};
    if (!part || part->at >= part->high)
        return PL_OK;
    if (m->offset >= part->high) {
        part_is_over(r, part);
        return PL_OK;
    }
    if (!fill_headers(r->scan, m, &in))
        return pl_fail_memory(r->err);
    part->at = m->offset;
    pl_code code = r->ops->event(r->data, part, &in, r->err);
    if (code)
        return code;
    if (m->offset + 1 >= part->high)
        part_is_over(r, part);
    else
        part->at = m->offset + 1;
    return PL_OK;
}

static pl_code on_message(reading *r, const rd_kafka_message_t *m)
{
    pl_scan_part *part;
    pl_code code = pl_kafka_code(m->err);
    if (!m->err)
        return on_record(r, m);
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if ((part = part_of(r, m->partition)))
            part_is_over(r, part);
        return PL_OK;
    }
    if (code == PL_PERMISSION_DENIED || code == PL_UNAUTHENTICATED || code == PL_NOT_FOUND)
        return pl_fail(r->err, code, "%s: %s", r->topic, rd_kafka_message_errstr(m));
    return PL_OK; /* librdkafka tries again */
}

static pl_code check_alive(const reading *r)
{
    if (pl_clock_ms() - r->alive < (uint64_t)r->scan->timeout_ms)
        return PL_OK;
    for (size_t i = 0; i < r->count; i++) {
        const pl_scan_part *p = &r->parts[i];
        if (p->at < p->high)
            return pl_fail(r->err, PL_UNAVAILABLE,
                           "%s/%d/%" PRId64 ": nothing has come for %d seconds; are its brokers up?",
                           r->topic, p->id, p->at, r->scan->timeout_ms / 1000);
    }
    return PL_OK;
}

static pl_code read_all(reading *r)
{
    pl_code code = PL_OK;
    unsigned n = 0;
    r->alive = pl_clock_ms();
    while (!code && r->left > 0) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(r->scan->client, POLL_MS);
        if (m) {
            code = on_message(r, m);
            if (!m->err)
                r->alive = pl_clock_ms();
            rd_kafka_message_destroy(m);
        } else {
            code = check_alive(r);
        }
        if (!code && r->ops->idle && (!m || ++n % 64 == 0))
            code = r->ops->idle(r->data, r->err);
    }
    return code;
}

pl_code pl_scan_read(pl_scan *s, const char *topic, pl_scan_part *parts, size_t count, const pl_scan_ops *ops,
                     void *data, pl_error *err)
{
    reading r = {
        .scan = s, .topic = topic, .parts = parts, .count = count, .ops = ops, .data = data, .err = err};
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].at >= parts[i].high)
            continue;
        rd_kafka_topic_partition_list_add(list, topic, parts[i].id)->offset = parts[i].at;
        r.left++;
    }
    rd_kafka_resp_err_t error = rd_kafka_assign(s->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    pl_code code = error ? fail(err, error, topic, "it cannot be read") : read_all(&r);
    rd_kafka_assign(s->client, NULL);
    return code;
}

/* --- what was done --- */
pl_code pl_scan_commit(pl_scan *s, const char *topic, const pl_scan_part *parts, size_t count, pl_error *err)
{
    rd_kafka_topic_partition_list_t *list = list_of(topic, parts, count);
    pl_buf text;
    pl_buf_init(&text);
    pl_code code = PL_OK;
    for (size_t i = 0; !code && i < count; i++) {
        rd_kafka_topic_partition_t *p = &list->elems[i];
        text.len = 0;
        pl_marks_write(&parts[i].done, &text);
        p->offset = parts[i].done.next;
        if (text.failed || (text.len > 0 && !(p->metadata = malloc(text.len)))) { /* librdkafka frees it */
            code = pl_fail_memory(err);
        } else if (text.len > 0) {
            memcpy(p->metadata, text.data, text.len);
            p->metadata_size = text.len;
        }
    }
    rd_kafka_resp_err_t error = code ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_commit(s->client, list, 0);
    for (int i = 0; !error && !code && i < list->cnt; i++)
        error = list->elems[i].err;
    if (error)
        code = fail(err, error, topic, "what was done cannot be remembered");
    pl_buf_dispose(&text);
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static pl_code read_deleted(rd_kafka_event_t *event, const char *topic, pl_error *err)
{
    const rd_kafka_DeleteRecords_result_t *result = rd_kafka_event_DeleteRecords_result(event);
    if (rd_kafka_event_error(event) || !result)
        return pl_fail(err, pl_kafka_code(rd_kafka_event_error(event)), "%s: %s", topic,
                       rd_kafka_event_error_string(event));
    const rd_kafka_topic_partition_list_t *list = rd_kafka_DeleteRecords_result_offsets(result);
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].err)
            return fail(err, list->elems[i].err, topic, "records cannot be deleted");
    }
    return PL_OK;
}

pl_code pl_scan_delete(pl_scan *s, const char *topic, const pl_scan_part *parts, size_t count, pl_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].done.next > parts[i].low)
            rd_kafka_topic_partition_list_add(list, topic, parts[i].id)->offset = parts[i].done.next;
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(s->client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(s->client, RD_KAFKA_ADMIN_OP_DELETERECORDS);
    char why[256];
    rd_kafka_AdminOptions_set_request_timeout(options, s->timeout_ms, why, sizeof why);
    rd_kafka_DeleteRecords_t *request = list->cnt > 0 ? rd_kafka_DeleteRecords_new(list) : NULL;
    pl_code code = PL_OK;
    if (request) {
        rd_kafka_DeleteRecords(s->client, &request, 1, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, s->timeout_ms + 1000);
        code = event ? read_deleted(event, topic, err)
                     : pl_fail(err, PL_DEADLINE_EXCEEDED, "%s: no answer to the deletion of records", topic);
        if (event)
            rd_kafka_event_destroy(event);
        rd_kafka_DeleteRecords_destroy(request);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}
