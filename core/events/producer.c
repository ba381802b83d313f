/* SPDX-License-Identifier: MIT */
#include "events/producer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "events/kafka_internal.h"

#define AHEAD 3
#ifdef PL_ARENA_POISONS
#define MOST_SPARE 0 /* AddressSanitizer is to see what is used behind its end */
#else
#define MOST_SPARE 1024
#endif

/* What goes along with a message through librdkafka. */
typedef struct pl_sent sent;
struct pl_sent {
    pl_delivery *delivery; /* NULL: forgotten */
    pl_outgoing *event;    /* a copy, in one piece with its strings, while it waits; else NULL */
    sent *next;            /* of those that wait */
};

struct pl_producer {
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    int fd;
    size_t most_waiting;
    sent *first, *last; /* those that wait */
    sent *spare;        /* to be used again */
    size_t spare_count;
    bool ends; /* it takes nothing any more */
    size_t waiting, queued;
    uint64_t acknowledged, failed;
    bool kept;
    void (*told)(void *data, const char *topic, pl_code code);
    void *told_data;
    pl_logger *log;
};

/* --- life --- */
static pl_code set_number(rd_kafka_conf_t *conf, const char *name, size_t value, pl_error *err)
{
    char text[32];
    snprintf(text, sizeof text, "%zu", value);
    return pl_kafka_set(conf, name, text, err);
}

static pl_code set_bounds(rd_kafka_conf_t *conf, const pl_producer_config *config, pl_error *err)
{
    size_t bytes = config->most_bytes ? config->most_bytes : (size_t)64 << 20;
    pl_code code = set_number(conf, "queue.buffering.max.messages",
                              config->most_messages ? config->most_messages : 100000, err);
    return code ? code : set_number(conf, "queue.buffering.max.kbytes", (bytes + 1023) / 1024, err);
}

static pl_code open_client(pl_producer *p, const pl_producer_config *config, pl_error *err)
{
    static const uint64_t one = 1;
    char why[512] = "";
    rd_kafka_conf_t *conf = pl_kafka_conf(config->kafka, config->log, err);
    if (!conf)
        return err->code;
    if (set_bounds(conf, config, err) != PL_OK) {
        rd_kafka_conf_destroy(conf);
        return err->code;
    }
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    p->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!p->client) {
        rd_kafka_conf_destroy(conf);
        return pl_fail(err, PL_INVALID_ARGUMENT, "%s", why);
    }
    p->queue = rd_kafka_queue_get_main(p->client);
    rd_kafka_queue_io_event_enable(p->queue, p->fd, &one, sizeof one);
    /* It is announced only when an empty queue gets something; this one may not have been empty. */
    return write(p->fd, &one, sizeof one) == sizeof one
               ? PL_OK
               : pl_fail(err, PL_INTERNAL, "eventfd: %s", strerror(errno));
}

pl_producer *pl_producer_new(const pl_producer_config *config, pl_error *err)
{
    pl_producer *p = pl_calloc(1, sizeof *p);
    if (!p) {
        pl_fail_memory(err);
        return NULL;
    }
    p->log = config->log;
    p->kept = config->kept;
    p->told = config->told;
    p->told_data = config->told_data;
    p->most_waiting = config->most_waiting ? config->most_waiting : 10000;
    p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->fd < 0)
        pl_fail(err, PL_RESOURCE_EXHAUSTED, "cannot open a descriptor: %s", strerror(errno));
    else if (open_client(p, config, err) == PL_OK)
        return p;
    pl_producer_free(p);
    return NULL;
}

int pl_producer_fd(const pl_producer *p)
{
    return p->fd;
}

/* --- what becomes of events --- */
static sent *take_sent(pl_producer *p)
{
    sent *s = p->spare;
    if (!s)
        return pl_calloc(1, sizeof *s);
    p->spare = s->next;
    p->spare_count--;
    *s = (sent){0};
    return s;
}

static void release_sent(pl_producer *p, sent *s)
{
    pl_free(s->event);
    if (p->spare_count == MOST_SPARE) {
        pl_free(s);
        return;
    }
    s->next = p->spare;
    p->spare = s;
    p->spare_count++;
}

/* topic may be the one of the event that waits. */
static void finish(pl_producer *p, sent *s, const char *topic, const pl_acknowledgement *ack)
{
    pl_delivery *delivery = s->delivery;
    if (!delivery && ack->code && !p->kept)
        pl_log(p->log, PL_WARN, "event not delivered", PL_F_CSTR("topic", topic),
               PL_F_CSTR("error", ack->why));
    if (p->told)
        p->told(p->told_data, topic, ack->code);
    release_sent(p, s);
    if (!delivery)
        return;
    delivery->place = NULL;
    delivery->done(delivery, ack);
}

static void give_up(pl_producer *p, sent *s, pl_code code, const char *why)
{
    finish(p, s, s->event->topic.ptr,
           &(pl_acknowledgement){.code = code, .why = why, .partition = -1, .offset = -1});
}

static void on_report(pl_producer *p, const rd_kafka_message_t *message)
{
    pl_acknowledgement ack = {.code = pl_kafka_code(message->err),
                              /* rd_kafka_message_errstr would take the event's value for the text. */
                              .why = message->err ? rd_kafka_err2str(message->err) : NULL,
                              .partition = message->partition,
                              .offset = message->offset};
    p->queued--;
    *(ack.code ? &p->failed : &p->acknowledged) += 1;
    finish(p, message->_private, rd_kafka_topic_name(message->rkt), &ack);
}

/* --- into the queue --- */
static rd_kafka_resp_err_t produce(pl_producer *p, const pl_outgoing *event, sent *s)
{
    rd_kafka_headers_t *headers = pl_kafka_headers(event);
    rd_kafka_vu_t fields[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = event->topic.ptr},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = event->partition},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)event->value.ptr, event->value.len}},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)event->key.ptr, event->key.len}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = event->timestamp},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = s},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    size_t count = sizeof fields / sizeof *fields - (headers == NULL);
    rd_kafka_error_t *error = rd_kafka_produceva(p->client, fields, count);
    rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (error)
        rd_kafka_error_destroy(error);
    if (code && headers)
        rd_kafka_headers_destroy(headers);
    p->queued += !code;
    return code;
}

/* What waited goes in, as far as there is room. */
static void refill(pl_producer *p)
{
    while (p->first) {
        sent *s = p->first;
        rd_kafka_resp_err_t error = produce(p, s->event, s);
        if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return;
        if (!(p->first = s->next)) /* before any of the callbacks, which may send */
            p->last = NULL;
        p->waiting--;
        if (error) {
            p->failed++;
            give_up(p, s, pl_kafka_code(error), rd_kafka_err2str(error));
            continue;
        }
        pl_free(s->event);
        s->event = NULL;
        if (s->delivery && s->delivery->accepted)
            s->delivery->accepted(s->delivery);
    }
}

/* Of publishers that wait there may be many: their memory, and that of the scripts behind them, was last used
 * when the event was sent. It is fetched while others are told. */
static void look_ahead(const rd_kafka_message_t *const *messages, size_t count, size_t i)
{
    if (i + 3 * AHEAD < count)
        __builtin_prefetch(messages[i + 3 * AHEAD]->_private);
    const sent *s = i + 2 * AHEAD < count ? messages[i + 2 * AHEAD]->_private : NULL;
    if (s && s->delivery) {
        __builtin_prefetch(s->delivery);
        __builtin_prefetch((const char *)s->delivery + 64);
    }
    for (unsigned near = 0; near < 2; near++) {
        size_t place = i + (near ? 1 : AHEAD);
        pl_delivery *d = place < count ? ((const sent *)messages[place]->_private)->delivery : NULL;
        if (d && d->soon)
            d->soon(d, near);
    }
}

static void on_reports(pl_producer *p, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *messages[64];
    size_t count;
    while ((count = rd_kafka_event_message_array(event, messages, sizeof messages / sizeof *messages)) > 0) {
        for (size_t i = 0; i < count; i++) {
            look_ahead(messages, count, i);
            on_report(p, messages[i]);
        }
    }
}

static void on_event(pl_producer *p, rd_kafka_event_t *event)
{
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
        on_reports(p, event);
    rd_kafka_event_destroy(event);
}

/* The descriptor says only that the queue is no longer empty: it is emptied whole. */
void pl_producer_poll(pl_producer *p)
{
    uint64_t count;
    rd_kafka_event_t *event;
    while (read(p->fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
    while ((event = rd_kafka_queue_poll(p->queue, 0)))
        on_event(p, event);
    refill(p);
}

void pl_producer_free(pl_producer *p)
{
    if (!p)
        return;
    p->ends = true;
    if (p->client) {
        rd_kafka_purge(p->client,
                       RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
        for (rd_kafka_event_t *event; p->queued > 0 && (event = rd_kafka_queue_poll(p->queue, 1000));)
            on_event(p, event);
    }
    while (p->first) {
        sent *s = p->first;
        p->first = s->next;
        give_up(p, s, PL_CANCELLED, "the server ends");
    }
    if (p->client) {
        rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(p->queue);
        rd_kafka_destroy(p->client);
    }
    if (p->fd >= 0)
        close(p->fd);
    for (sent *s = p->spare, *next; s; s = next) {
        next = s->next;
        pl_free(s);
    }
    pl_free(p);
}

/* --- sending --- */
static size_t room_for(const pl_outgoing *event)
{
    size_t room =
        event->topic.len + 1 + event->key.len + event->value.len + event->header_count * sizeof(pl_header);
    for (size_t i = 0; i < event->header_count; i++)
        room += event->headers[i].name.len + event->headers[i].value.len;
    return room;
}

static pl_str copy(char **at, pl_str s)
{
    pl_str to = {s.ptr ? *at : NULL, s.len};
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return to;
}

/* In one piece: the headers behind the event, for their alignment, then all bytes. NULL: memory. */
static pl_outgoing *copy_event(const pl_outgoing *event)
{
    pl_outgoing *to = pl_malloc(sizeof *to + room_for(event));
    if (!to)
        return NULL;
    pl_header *headers = (pl_header *)(to + 1);
    char *at = (char *)(headers + event->header_count);
    *to = *event;
    to->headers = headers;
    for (size_t i = 0; i < event->header_count; i++)
        headers[i] = (pl_header){copy(&at, event->headers[i].name), copy(&at, event->headers[i].value)};
    to->key = copy(&at, event->key);
    to->value = copy(&at, event->value);
    to->topic = copy(&at, event->topic);
    *at = '\0';
    return to;
}

/* Takes over s unless it fails. */
static pl_code wait_outside(pl_producer *p, const pl_outgoing *event, sent *s, pl_error *err)
{
    if (p->waiting >= p->most_waiting)
        return pl_fail(
            err, PL_RESOURCE_EXHAUSTED,
            "%zu events wait to be published already: the brokers do not keep up, or cannot be reached",
            p->waiting);
    if (!(s->event = copy_event(event)))
        return pl_fail_memory(err);
    *(p->last ? &p->last->next : &p->first) = s;
    p->last = s;
    p->waiting++;
    return PL_OK;
}

pl_code pl_producer_send(pl_producer *p, const pl_outgoing *event, pl_delivery *delivery, bool *waits,
                         pl_error *err)
{
    if (p->ends)
        return pl_fail(err, PL_CANCELLED, "the server ends");
    sent *s = take_sent(p);
    if (!s)
        return pl_fail_memory(err);
    s->delivery = delivery;
    /* Not past those that wait: the order stays. */
    rd_kafka_resp_err_t error = p->first ? RD_KAFKA_RESP_ERR__QUEUE_FULL : produce(p, event, s);
    pl_code code = PL_OK;
    *waits = error == RD_KAFKA_RESP_ERR__QUEUE_FULL;
    if (*waits)
        code = wait_outside(p, event, s, err);
    else if (error)
        code = pl_fail(err, pl_kafka_code(error), "%s", rd_kafka_err2str(error));
    if (code)
        release_sent(p, s);
    else
        delivery->place = &s->delivery;
    if (code && p->told)
        p->told(p->told_data, event->topic.ptr, code);
    return code;
}

bool pl_producer_is_dead(const pl_producer *p)
{
    char why[128];
    return rd_kafka_fatal_error(p->client, why, sizeof why) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

size_t pl_producer_under_way(const pl_producer *p)
{
    return p->queued + p->waiting;
}

pl_producer_stats pl_producer_get_stats(const pl_producer *p)
{
    return (pl_producer_stats){
        .acknowledged = p->acknowledged, .failed = p->failed, .queued = p->queued, .waiting = p->waiting};
}
