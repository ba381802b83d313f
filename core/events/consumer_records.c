/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/alloc.h"
#include "events/consumer_internal.h"

#define FETCHED_AT_ONCE 256 /* records of a partition, in one turn of the loop */
#define HANDED_AT_ONCE 256  /* records of all, in one turn */
#define MOST_SPARE 4096
#define MOST_FETCHED 512   /* bytes of a value, into the cache */
#define MOST_OUTPUTS 20000 /* events that wait for their transaction: no more is handed out then */
#define MOST_OUTPUT_BYTES ((size_t)32 << 20)

/* --- partitions --- */
pl_partition *pl_consumer_find(const pl_consumer *c, const char *topic, int32_t partition)
{
    pl_partition *p = c->partitions;
    while (p && (p->partition != partition || strcmp(p->topic, topic) != 0))
        p = p->next;
    return p;
}

pl_partition *pl_partition_new(pl_consumer *c, const char *topic, int32_t partition)
{
    static const uint64_t one = 1;
    pl_partition *p = pl_calloc(1, sizeof *p);
    if (!p)
        return NULL;
    *p = (pl_partition){.consumer = c, .partition = partition, .committed = -1, .end = -1, .last = -1};
    p->topic = pl_copy_text(topic);
    p->flow = pl_flow_new(&c->options.flow, PL_NO_OFFSET);
    p->queue = p->topic ? rd_kafka_queue_get_partition(c->client, topic, partition) : NULL;
    if (!p->flow || !p->queue) {
        pl_partition_free(p);
        return NULL;
    }
    /* A queue of its own: what is not in hand stays there, and holds up nobody else. */
    rd_kafka_queue_forward(p->queue, NULL);
    rd_kafka_queue_io_event_enable(p->queue, c->fd, &one, sizeof one);
    p->next = c->partitions;
    c->partitions = p;
    c->stats.partitions++;
    return p;
}

void pl_outputs_free(pl_consumer *c, pl_output *first)
{
    while (first) {
        pl_output *next = first->next;
        c->outputs--;
        c->output_bytes -= first->bytes;
        pl_free(first);
        first = next;
    }
}

static void release(pl_consumer *c, pl_record *r)
{
    if (r->event)
        rd_kafka_event_destroy(r->event);
    pl_outputs_free(c, r->first_output);
    if (c->spare_count >= MOST_SPARE) {
        pl_free(r);
        return;
    }
    r->next = c->spare;
    c->spare = r;
    c->spare_count++;
}

static void drop_waiting(pl_partition *p)
{
    for (pl_flow_record *r; (r = pl_flow_drop(p->flow));)
        release(p->consumer, (pl_record *)r);
}

void pl_partition_free(pl_partition *p)
{
    if (p->flow)
        drop_waiting(p);
    pl_flow_free(p->flow);
    pl_outputs_free(p->consumer, p->first_output);
    pl_free(p->topic);
    pl_free(p);
}

static void unlink_from(pl_partition **list, pl_partition *p)
{
    while (*list != p)
        list = &(*list)->next;
    *list = p->next;
}

void pl_partition_leave(pl_partition *p)
{
    pl_consumer *c = p->consumer;
    unlink_from(&c->partitions, p);
    c->stats.partitions--;
    rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(p->queue);
    p->queue = NULL;
    p->gone = true;
    drop_waiting(p);
    c->running -= pl_flow_running(p->flow);
    if (pl_flow_count(p->flow) == 0) {
        pl_partition_free(p);
        return;
    }
    p->next = c->gone;
    c->gone = p;
}

/* --- records come --- */
static pl_record *take_spare(pl_consumer *c)
{
    pl_record *r = c->spare;
    if (!r)
        return pl_calloc(1, sizeof *r);
    c->spare = r->next;
    c->spare_count--;
    *r = (pl_record){0};
    return r;
}

/* A time since 1970 as the host's. */
static uint64_t as_host_time(pl_consumer *c, int64_t at)
{
    uint64_t monotonic, utc, now = c->host->ops->now(c->host);
    if (at <= 0 || !c->host->ops->clock)
        return 0;
    c->host->ops->clock(c->host, &monotonic, &utc);
    int64_t wait = at - (int64_t)(utc / 1000000);
    return wait > 0 ? now + (uint64_t)wait : 0;
}

/* Its handler is called soon, and then reads the value, which nobody on this thread has seen yet. */
static void fetch_value(const rd_kafka_message_t *m)
{
    const char *bytes = m->payload;
    for (size_t i = 0; i < m->len && i < MOST_FETCHED; i += 64)
        __builtin_prefetch(bytes + i);
}

static bool add_record(pl_partition *p, rd_kafka_event_t *event, const rd_kafka_message_t *m)
{
    pl_consumer *c = p->consumer;
    pl_record *r = take_spare(c);
    if (!r)
        return false;
    r->topic = p->topic;
    r->partition = p->partition;
    r->timestamp = rd_kafka_message_timestamp(m, NULL);
    r->value = (pl_str){m->payload, m->len};
    r->flow.offset = m->offset;
    r->flow.key = (pl_str){m->key, m->key_len};
    if (m->key && m->key_len == 0)
        r->flow.key.ptr = "";
    if (m->payload && m->len == 0)
        r->value.ptr = "";
    r->flow.bytes = m->len + m->key_len + sizeof *r;
    fetch_value(m);
    r->home = p;
    r->event = event;
    r->message = m;
    if (c->ops.not_before)
        r->flow.ready_at = as_host_time(c, c->ops.not_before(c->data, r));
    if (!pl_flow_add(p->flow, &r->flow)) {
        r->event = NULL;
        release(c, r);
        return false;
    }
    p->last = m->offset;
    c->stats.consumed++;
    return true;
}

/* A record for which there was no memory, or that was not meant to come: its partition is read from there
 * again. */
static void read_again(pl_partition *p, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, p->topic, p->partition)->offset = offset;
    rd_kafka_error_t *error = rd_kafka_seek_partitions(p->consumer->client, list, 0);
    if (error)
        rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(list);
}

static void on_partition_error(pl_partition *p, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        rd_kafka_topic_partition_t *at = rd_kafka_event_topic_partition(event);
        p->end = at ? at->offset : -1;
        if (at)
            rd_kafka_topic_partition_destroy(at);
        if (pl_partition_position(p) != pl_flow_next_offset(p->flow))
            pl_consumer_commit_soon(p->consumer, p->consumer->host->ops->now(p->consumer->host));
        return;
    }
    pl_log(p->consumer->log, PL_WARN, "partition cannot be read", PL_F_CSTR("topic", p->topic),
           PL_F_INT("partition", p->partition), PL_F_CSTR("group", p->consumer->group),
           PL_F_CSTR("error", rd_kafka_event_error_string(event)));
}

/* Returns whether there may be more. */
static bool fetch(pl_partition *p)
{
    rd_kafka_event_t *event;
    for (unsigned i = 0; i < FETCHED_AT_ONCE; i++) {
        if (pl_flow_is_full(p->flow))
            return false; /* it is asked again when one of its records is done */
        if (!(event = rd_kafka_queue_poll(p->queue, 0)))
            return false;
        const rd_kafka_message_t *m =
            rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH ? rd_kafka_event_message_next(event) : NULL;
        if (m && !m->err) {
            /* What was on its way when the partition was read again from somewhere else comes twice. */
            if (m->offset > p->last && add_record(p, event, m))
                continue;
            if (m->offset > p->last) {
                read_again(p, m->offset);
                rd_kafka_event_destroy(event);
                return false;
            }
        } else {
            on_partition_error(p, event);
        }
        rd_kafka_event_destroy(event);
    }
    return true;
}

/* --- and go --- */
/* How many records make the next batch of a partition; 0: it waits to be full, and *wake says until when. */
static size_t batch_of(pl_consumer *c, pl_partition *p, uint64_t now, uint64_t *wake)
{
    size_t size = c->options.batch_size ? c->options.batch_size : 1;
    if (size == 1 || c->options.batch_wait == 0 || pl_flow_count(p->flow) >= size)
        return size;
    if (pl_flow_count(p->flow) == 0)
        return 0;
    if (p->batch_since == 0)
        p->batch_since = now;
    if (now - p->batch_since >= c->options.batch_wait)
        return size;
    if (p->batch_since + c->options.batch_wait < *wake)
        *wake = p->batch_since + c->options.batch_wait;
    return 0;
}

static bool room_for_batch(pl_consumer *c)
{
    unsigned size = c->options.batch_size ? c->options.batch_size : 1;
    if (c->batch_room >= size)
        return true;
    pl_record **batch = pl_realloc(c->batch, size * sizeof(pl_record *));
    if (!batch)
        return false;
    c->batch = batch;
    c->batch_room = size;
    return true;
}

static bool may_begin(const pl_consumer *c)
{
    return !c->held && !c->closing && (c->options.concurrency == 0 || c->running < c->options.concurrency);
}

/* Whether the results that wait for their transaction leave room for more. When there is none, and none of
 * them can be written since the record that they wait for is yet to be handled, that one goes on. */
typedef enum room { ROOM, ROOM_FOR_FIRST, NO_ROOM } room;
static room room_for_outputs(const pl_consumer *c)
{
    if (c->outputs < MOST_OUTPUTS && c->output_bytes < MOST_OUTPUT_BYTES)
        return ROOM;
    return c->job || pl_consumer_has_offsets(c) ? NO_ROOM : ROOM_FOR_FIRST;
}

/* Returns how many records were handed out. */
static size_t hand_out_of(pl_consumer *c, pl_partition *p, uint64_t now, uint64_t *wake)
{
    room left = may_begin(c) && !p->leaving ? room_for_outputs(c) : NO_ROOM;
    size_t most = left != NO_ROOM ? batch_of(c, p, now, wake) : 0, n = 0;
    if (most > 0)
        n = (left == ROOM ? pl_flow_take : pl_flow_take_first)(p->flow, (pl_flow_record **)c->batch, most,
                                                               now);
    if (n == 0)
        return 0;
    p->batch_since = 0;
    c->running++;
    c->ops.handle(c->data, c->batch, n);
    return n;
}

uint64_t pl_consumer_hand_out(pl_consumer *c, uint64_t now)
{
    uint64_t wake = UINT64_MAX;
    size_t handed = 0;
    bool more = false, some = true;
    if (c->inside || !room_for_batch(c))
        return wake;
    c->inside = true;
    for (pl_partition *p = c->partitions; p; p = p->next)
        more |= !p->leaving && !c->closing && fetch(p);
    /* One of each partition in turn, so that none has to wait for all of another. */
    while (some && handed < HANDED_AT_ONCE) {
        some = false;
        for (pl_partition *p = c->partitions; p; p = p->next) {
            size_t n = hand_out_of(c, p, now, &wake);
            handed += n;
            some |= n > 0;
        }
    }
    c->inside = false;
    bool waits = may_begin(c) && room_for_outputs(c) != NO_ROOM;
    for (pl_partition *p = c->partitions; waits && p; p = p->next) {
        if (!p->leaving && pl_flow_wake_at(p->flow) < wake)
            wake = pl_flow_wake_at(p->flow);
    }
    return some || more ? now : wake;
}

/* --- what comes of them --- */
static void forget_if_over(pl_partition *p)
{
    pl_consumer *c = p->consumer;
    if (!p->gone || pl_flow_count(p->flow) > 0)
        return;
    unlink_from(&c->gone, p);
    pl_partition_free(p);
}

static void keep_outputs(pl_partition *p, pl_record *r)
{
    if (!r->first_output)
        return;
    *(p->last_output ? &p->last_output->next : &p->first_output) = r->first_output;
    p->last_output = r->last_output;
    r->first_output = r->last_output = NULL;
}

void pl_record_soon(const pl_record *r, bool near)
{
    const char *memory = near ? (const char *)r->event : (const char *)r;
    for (size_t i = 0; i < sizeof *r; i += 64)
        __builtin_prefetch(memory + i);
}

void pl_consumer_done(pl_consumer *c, pl_record *r)
{
    pl_partition *p = r->home;
    unsigned before = pl_flow_running(p->flow);
    if (!p->gone)
        keep_outputs(p, r);
    bool more = pl_flow_done(p->flow, &r->flow);
    release(c, r);
    if (p->gone) {
        forget_if_over(p);
        return;
    }
    c->running -= before - pl_flow_running(p->flow);
    if (more)
        pl_consumer_commit_soon(c, c->host->ops->now(c->host));
    if (!c->inside)
        pl_consumer_wake(c);
}

void pl_consumer_retry(pl_consumer *c, pl_record *r, uint64_t wait_ms)
{
    pl_partition *p = r->home;
    unsigned before = pl_flow_running(p->flow);
    pl_consumer_discard(c, r);
    r->retries++;
    r->work = NULL;
    pl_flow_retry(p->flow, &r->flow, c->host->ops->now(c->host) + wait_ms);
    if (p->gone) {
        drop_waiting(p);
        forget_if_over(p);
        return;
    }
    c->running -= before - pl_flow_running(p->flow);
    if (!c->inside)
        pl_consumer_wake(c);
}

bool pl_record_headers(const pl_record *r, pl_arena *arena, const pl_header **headers, size_t *count)
{
    rd_kafka_headers_t *list;
    *headers = NULL;
    *count = 0;
    if (rd_kafka_message_headers(r->message, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return true; /* none */
    size_t n = rd_kafka_header_cnt(list);
    if (n == 0)
        return true;
    pl_header *all = pl_arena_array(arena, n, sizeof *all);
    if (!all)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *name;
        const void *value;
        size_t len;
        rd_kafka_header_get_all(list, i, &name, &value, &len);
        all[i] = (pl_header){pl_str_of(name), {value, len}};
    }
    *headers = all;
    *count = n;
    return true;
}

pl_str pl_record_header(const pl_record *r, const char *name)
{
    rd_kafka_headers_t *list;
    const void *value;
    size_t len;
    if (rd_kafka_message_headers(r->message, &list) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(list, name, &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return PL_STR_NONE;
    return (pl_str){value, len};
}

/* --- outputs --- */
pl_code pl_consumer_publish(pl_consumer *c, pl_record *r, const pl_outgoing *event, pl_error *err)
{
    size_t bytes = event->key.len + event->value.len;
    if (bytes > c->most_bytes)
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "%.*s: the event has %zu bytes, more than message.max.bytes (%zu)",
                       PL_STR_ARG(event->topic), bytes, c->most_bytes);
    pl_output *output = pl_output_new(event);
    if (!output)
        return pl_fail_memory(err);
    output->source = r->flow.offset;
    *(r->last_output ? &r->last_output->next : &r->first_output) = output;
    r->last_output = output;
    c->outputs++;
    c->output_bytes += output->bytes;
    return PL_OK;
}

void pl_consumer_discard(pl_consumer *c, pl_record *r)
{
    pl_outputs_free(c, r->first_output);
    r->first_output = r->last_output = NULL;
}

void pl_consumer_hand_over(pl_record *from, pl_record *to)
{
    if (from == to)
        return;
    to->first_output = from->first_output;
    to->last_output = from->last_output;
    from->first_output = from->last_output = NULL;
    for (pl_output *o = to->first_output; o; o = o->next)
        o->source = to->flow.offset;
}
