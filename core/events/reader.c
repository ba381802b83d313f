/* SPDX-License-Identifier: MIT */
#include "events/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "events/reader_internal.h"

#define DEFAULT_PREFETCH ((size_t)4 << 20)
#define DEFAULT_DISCOVER_MS 30000
#define PASSED_AT_ONCE 1000 /* events of librdkafka that give nothing to take, in one call */

/* The queue is librdkafka's main one: no consumer group is needed for its "simple consumer", so that nothing
 * joins, commits or is rebalanced, and partitions can be added one by one. */

/* --- life --- */
/* A fetch may not be smaller than what librdkafka takes for the largest message. */
static size_t at_least_a_message(const rd_kafka_conf_t *conf, size_t bytes)
{
    char text[32] = "0";
    size_t size = sizeof text;
    rd_kafka_conf_get(conf, "message.max.bytes", text, &size);
    size_t message = (size_t)strtoull(text, NULL, 10);
    return bytes > message ? bytes : message;
}

/* New partitions are looked for as often as librdkafka looks for them, when that is more often. */
static unsigned discover_ms_of(const rd_kafka_conf_t *conf, unsigned most)
{
    char text[32] = "0";
    size_t size = sizeof text;
    rd_kafka_conf_get(conf, "topic.metadata.refresh.interval.ms", text, &size);
    unsigned long ms = strtoul(text, NULL, 10);
    return ms > 0 && ms < most ? (unsigned)ms : most;
}

static pl_code set_up(rd_kafka_conf_t *conf, const pl_reader_config *config, pl_error *err)
{
    size_t bytes = config->prefetch_bytes ? config->prefetch_bytes : DEFAULT_PREFETCH;
    size_t of_partition = bytes < ((size_t)1 << 20) ? bytes : (size_t)1 << 20;
    const struct {
        const char *name, *value;
        size_t number;
    } properties[] = {
        {"enable.partition.eof", "true", 0},
        {"enable.auto.commit", "false", 0},
        {"auto.offset.reset", "earliest", 0}, /* what is left, when the broker has thrown events away */
        {"isolation.level", config->spec->uncommitted ? "read_uncommitted" : "read_committed", 0},
        /* A partition that is added has to wait for the fetch that is under way. */
        {"fetch.wait.max.ms", NULL, config->spec->to_end ? 20 : 500},
        {"queued.min.messages", NULL, 10000},
        {"queued.max.messages.kbytes", NULL, (bytes + 1023) / 1024},
        {"fetch.message.max.bytes", NULL, of_partition},
        {"fetch.max.bytes", NULL, at_least_a_message(conf, bytes)},
    };
    pl_code code = PL_OK;
    for (size_t i = 0; !code && i < sizeof properties / sizeof *properties; i++) {
        char number[32];
        snprintf(number, sizeof number, "%zu", properties[i].number);
        code =
            pl_kafka_set(conf, properties[i].name, properties[i].value ? properties[i].value : number, err);
    }
    return code;
}

static pl_code open_client(pl_reader *r, const pl_reader_config *config, pl_error *err)
{
    static const uint64_t one = 1;
    char why[512] = "";
    rd_kafka_conf_t *conf = pl_kafka_conf(config->kafka, config->log, err);
    if (!conf)
        return err->code;
    if (set_up(conf, config, err) != PL_OK) {
        rd_kafka_conf_destroy(conf);
        return err->code;
    }
    r->discover_ms = discover_ms_of(conf, config->discover_ms ? config->discover_ms : DEFAULT_DISCOVER_MS);
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_ERROR);
    r->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!r->client) {
        rd_kafka_conf_destroy(conf);
        return pl_fail(err, PL_INVALID_ARGUMENT, "%s", why);
    }
    r->queue = rd_kafka_queue_get_main(r->client);
    rd_kafka_queue_io_event_enable(r->queue, r->fd, &one, sizeof one);
    r->topic = rd_kafka_topic_new(r->client, r->spec.topic.ptr, NULL);
    return r->topic ? PL_OK
                    : pl_fail(err, PL_INVALID_ARGUMENT, "%s: %s", r->spec.topic.ptr,
                              rd_kafka_err2str(rd_kafka_last_error()));
}

static bool copy_spec(pl_reader *r, const pl_read_spec *spec)
{
    pl_read_place *places = pl_arena_array(&r->arena, spec->place_count, sizeof *places);
    r->spec = *spec;
    r->spec.places = places;
    r->spec.topic = pl_arena_str(&r->arena, spec->topic);
    if (!places || !r->spec.topic.ptr)
        return false;
    for (size_t i = 0; i < spec->place_count; i++)
        places[i] = spec->places[i];
    return true;
}

pl_reader *pl_reader_open(const pl_reader_config *config, pl_error *err)
{
    pl_reader *r = pl_calloc(1, sizeof *r);
    if (!r) {
        pl_fail_memory(err);
        return NULL;
    }
    r->host = config->host;
    r->log = config->log;
    pl_arena_init(&r->arena, 512);
    pl_error_clear(&r->failure);
    r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->fd < 0)
        pl_fail(err, PL_RESOURCE_EXHAUSTED, "cannot open a descriptor: %s", strerror(errno));
    else if (!copy_spec(r, config->spec))
        pl_fail_memory(err);
    else if (open_client(r, config, err) == PL_OK && pl_reader_begin(r, err) == PL_OK)
        return r;
    pl_reader_close(r);
    return NULL;
}

static void destroy_client(pl_job *job)
{
    pl_reader *r = (pl_reader *)((char *)job - offsetof(pl_reader, job));
    for (size_t i = 0; i < r->count; i++) {
        if (r->parts[i].started)
            rd_kafka_consume_stop(r->topic, r->parts[i].id);
    }
    if (r->topic)
        rd_kafka_topic_destroy(r->topic);
    if (r->queue)
        rd_kafka_queue_destroy(r->queue);
    if (r->client)
        rd_kafka_destroy(r->client);
}

static void destroyed(pl_job *job)
{
    pl_reader *r = (pl_reader *)((char *)job - offsetof(pl_reader, job));
    pl_arena_dispose(&r->arena);
    pl_free(r->parts);
    pl_free(r->headers);
    pl_free(r);
}

void pl_reader_destroy(pl_reader *r)
{
    r->job = (pl_job){.run = destroy_client, .done = destroyed};
    if (r->client && r->host->ops->offload(r->host, &r->job, NULL) == 0)
        return;
    destroy_client(&r->job);
    destroyed(&r->job);
}

static void let_go_of_last(pl_reader *r)
{
    if (r->last)
        rd_kafka_event_destroy(r->last);
    r->last = NULL;
}

void pl_reader_close(pl_reader *r)
{
    if (!r)
        return;
    r->closed = true;
    let_go_of_last(r);
    r->host->ops->timer_stop(r->host, &r->timer);
    if (r->queue)
        rd_kafka_queue_io_event_enable(r->queue, -1, NULL, 0);
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    if (!r->busy) /* else when the helper is done with it */
        pl_reader_destroy(r);
}

int pl_reader_fd(const pl_reader *r)
{
    return r->fd;
}

void pl_reader_noticed(pl_reader *r)
{
    uint64_t count;
    while (read(r->fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

void pl_reader_wake(pl_reader *r)
{
    static const uint64_t one = 1;
    while (write(r->fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* --- taking --- */
static bool fill_headers(pl_reader *r, const rd_kafka_message_t *message, pl_incoming *out)
{
    rd_kafka_headers_t *list;
    out->headers = NULL;
    out->header_count = 0;
    if (rd_kafka_message_headers(message, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return true; /* there are none */
    size_t n = rd_kafka_header_cnt(list);
    if (n > r->header_room) {
        pl_header *headers = pl_realloc(r->headers, n * sizeof *headers);
        if (!headers)
            return false;
        r->headers = headers;
        r->header_room = n;
    }
    for (size_t i = 0; i < n; i++) {
        const char *name;
        const void *value;
        size_t len;
        rd_kafka_header_get_all(list, i, &name, &value, &len);
        r->headers[i] = (pl_header){pl_str_of(name), {value, len}};
    }
    out->headers = r->headers;
    out->header_count = n;
    return true;
}

/* A NULL pointer is no value; one of no bytes has some pointer. */
static pl_str bytes_of(const void *ptr, size_t len)
{
    return (pl_str){ptr && len == 0 ? "" : ptr, len};
}

static pl_taken on_record(pl_reader *r, rd_kafka_event_t *event, const rd_kafka_message_t *m,
                          pl_incoming *out, pl_error *err)
{
    pl_reader_part *part = pl_reader_find(r, m->partition);
    if (!part || part->over || (part->end >= 0 && m->offset >= part->end)) {
        if (part)
            pl_reader_part_over(r, part);
        rd_kafka_event_destroy(event);
        return PL_TAKEN_NOTHING;
    }
    *out = (pl_incoming){.topic = r->spec.topic,
                         .partition = m->partition,
                         .offset = m->offset,
                         .timestamp = rd_kafka_message_timestamp(m, NULL),
                         .key = bytes_of(m->key, m->key_len),
                         .value = bytes_of(m->payload, m->len)};
    r->last = event;
    r->last_message = m;
    if (!fill_headers(r, m, out)) { /* the same one again, next time */
        r->again = true;
        pl_fail_memory(err);
        return PL_TAKEN_FAILED;
    }
    part->next = m->offset + 1;
    r->events++;
    if (part->end >= 0 && part->next >= part->end)
        pl_reader_part_over(r, part);
    return PL_TAKEN_EVENT;
}

static pl_taken on_end_of_partition(pl_reader *r, const rd_kafka_topic_partition_t *at, pl_incoming *out)
{
    pl_reader_part *part = pl_reader_find(r, at->partition);
    if (!part)
        return PL_TAKEN_NOTHING;
    part->next = at->offset;
    if (r->spec.to_end)
        pl_reader_part_over(r, part);
    *out = (pl_incoming){.topic = r->spec.topic, .partition = at->partition, .offset = at->offset};
    return PL_TAKEN_CAUGHT_UP;
}

/* What librdkafka tries again by itself is only told when waiting does not help. */
static pl_taken on_error(pl_reader *r, rd_kafka_event_t *event, pl_incoming *out, pl_error *err)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    rd_kafka_topic_partition_t *at = rd_kafka_event_topic_partition(event);
    pl_taken taken = PL_TAKEN_NOTHING;
    pl_code code = pl_kafka_code(error);
    if (error == RD_KAFKA_RESP_ERR__PARTITION_EOF && at) {
        taken = on_end_of_partition(r, at, out);
    } else {
        pl_fail(err, code, "%s: %s", r->spec.topic.ptr, rd_kafka_event_error_string(event));
        if (code == PL_PERMISSION_DENIED || code == PL_UNAUTHENTICATED)
            taken = PL_TAKEN_FAILED;
        else
            pl_log(r->log, PL_DEBUG, "reading a topic is disturbed", PL_F_CSTR("topic", r->spec.topic.ptr),
                   PL_F_CSTR("error", err->message));
    }
    if (at)
        rd_kafka_topic_partition_destroy(at);
    return taken;
}

static pl_taken on_event(pl_reader *r, rd_kafka_event_t *event, pl_incoming *out, pl_error *err)
{
    const rd_kafka_message_t *m;
    pl_taken taken = PL_TAKEN_NOTHING;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH && (m = rd_kafka_event_message_next(event)) &&
        !m->err)
        return on_record(r, event, m, out, err);
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
        taken = on_error(r, event, out, err);
    rd_kafka_event_destroy(event);
    return taken;
}

/* The one that there was no memory for. */
static pl_taken take_again(pl_reader *r, pl_incoming *out, pl_error *err)
{
    rd_kafka_event_t *event = r->last;
    r->last = NULL;
    r->again = false;
    return on_record(r, event, r->last_message, out, err);
}

pl_taken pl_reader_take(pl_reader *r, pl_incoming *out, pl_error *err)
{
    if (r->again)
        return take_again(r, out, err);
    let_go_of_last(r);
    if (r->failure.code) {
        *err = r->failure;
        if (!r->failed_for_good)
            pl_error_clear(&r->failure);
        return PL_TAKEN_FAILED;
    }
    const pl_reader_part *part = pl_reader_tell(r);
    if (part) {
        *out = (pl_incoming){.topic = r->spec.topic, .partition = part->id, .offset = part->next};
        return PL_TAKEN_CAUGHT_UP;
    }
    pl_reader_noticed(r);
    for (unsigned i = 0; i < PASSED_AT_ONCE; i++) {
        if (pl_reader_is_over(r))
            return PL_TAKEN_END;
        rd_kafka_event_t *event = rd_kafka_queue_poll(r->queue, 0);
        if (!event)
            return PL_TAKEN_NOTHING;
        pl_taken taken = on_event(r, event, out, err);
        if (taken != PL_TAKEN_NOTHING)
            return taken;
    }
    pl_reader_wake(r);
    return PL_TAKEN_NOTHING;
}

size_t pl_reader_positions(const pl_reader *r, pl_read_place *out, size_t room)
{
    for (size_t i = 0; i < r->count && i < room; i++) {
        const pl_reader_part *part = &r->parts[i];
        out[i] = (pl_read_place){.partition = part->id,
                                 .from = part->next < 0 ? PL_READ_BEGINNING : PL_READ_OFFSET,
                                 .at = part->next};
    }
    return r->count;
}

pl_reader_stats pl_reader_get_stats(const pl_reader *r)
{
    pl_reader_stats stats = {.events = r->events, .partitions = (unsigned)r->count};
    for (size_t i = 0; i < r->count; i++) {
        int64_t low, high;
        if (rd_kafka_get_watermark_offsets(r->client, r->spec.topic.ptr, r->parts[i].id, &low, &high) ==
                RD_KAFKA_RESP_ERR_NO_ERROR &&
            r->parts[i].next >= 0 && high > r->parts[i].next)
            stats.lag += high - r->parts[i].next;
    }
    return stats;
}
