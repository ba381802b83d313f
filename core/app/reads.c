/* SPDX-License-Identifier: MIT */
#include "app/reads.h"

#include "app/generation.h"
#include "base/alloc.h"
#include "events/reader.h"

#define MOST_READS 64     /* of a worker: each has connections and threads of its own */
#define TAKEN_AT_ONCE 128 /* events that a script is given in one turn of the loop */

typedef struct read_of read_of;
struct read_of {
    pl_source base;  /* first */
    pl_reads *reads; /* NULL: the instance has left */
    const pl_instance *instance;
    pl_reader *reader;
    pl_watch *watch;
    pl_timer turn; /* the next one: events are there, others have theirs first */
    unsigned taken;
    read_of *next, *prev;
};

struct pl_reads {
    pl_loop *loop;
    pl_host *host;
    pl_logger *log;
    read_of *first;
    size_t count;
};

pl_reads *pl_reads_new(pl_loop *loop, pl_logger *log)
{
    pl_reads *reads = pl_calloc(1, sizeof *reads);
    if (reads)
        *reads = (pl_reads){.loop = loop, .host = pl_loop_host(loop), .log = log};
    return reads;
}

pl_code pl_reads_check_brokers(const pl_kafka_config *kafka, pl_error *err)
{
    if (kafka->settings.brokers.len > 0)
        return PL_OK;
    return pl_fail(err, PL_FAILED_PRECONDITION,
                   "there are no brokers: set kafka = { brokers = \"host:9092\" } in app.lua, or start the "
                   "server with --kafka");
}

static void wake(read_of *r)
{
    if (r->base.readable)
        r->base.readable(&r->base);
}

static void on_turn(pl_timer *timer)
{
    wake(timer->data);
}

static void on_readable(void *data)
{
    read_of *r = data;
    pl_reader_noticed(r->reader);
    r->taken = 0;
    wake(r);
}

/* A script that finds events without end must not keep the loop. */
static bool has_had_enough(read_of *r)
{
    pl_host *host = r->reads->host;
    if (++r->taken < TAKEN_AT_ONCE || host->ops->timer_start(host, &r->turn, host->ops->now(host)) != 0)
        return false;
    r->taken = 0;
    return true;
}

static pl_taken take(pl_source *source, pl_incoming *out, pl_error *err)
{
    read_of *r = (read_of *)source;
    if (!r->reads)
        return PL_TAKEN_END;
    return has_had_enough(r) ? PL_TAKEN_NOTHING : pl_reader_take(r->reader, out, err);
}

static void wake_soon(pl_source *source)
{
    read_of *r = (read_of *)source;
    pl_host *host = r->reads ? r->reads->host : NULL;
    if (host)
        host->ops->timer_start(host, &r->turn, host->ops->now(host));
}

static void leave(read_of *r)
{
    pl_reads *reads = r->reads;
    reads->host->ops->timer_stop(reads->host, &r->turn);
    pl_watch_end(r->watch);
    pl_reader_close(r->reader);
    *(r->prev ? &r->prev->next : &reads->first) = r->next;
    if (r->next)
        r->next->prev = r->prev;
    reads->count--;
    r->reads = NULL;
}

static void close_source(pl_source *source)
{
    read_of *r = (read_of *)source;
    if (r->reads)
        leave(r);
    pl_free(r);
}

static pl_code open_read(read_of *r, const pl_read_spec *spec, pl_error *err)
{
    pl_reads *reads = r->reads;
    const pl_reader_config config = {.kafka = &r->instance->generation->config.kafka.settings,
                                     .spec = spec,
                                     .host = reads->host,
                                     .log = reads->log};
    r->reader = pl_reader_open(&config, err);
    if (!r->reader)
        return err->code;
    r->watch = pl_loop_watch(reads->loop, pl_reader_fd(r->reader), on_readable, r);
    if (r->watch)
        return PL_OK;
    pl_reader_close(r->reader);
    return pl_fail(err, PL_RESOURCE_EXHAUSTED, "memory or descriptors are exhausted");
}

pl_code pl_reads_open(pl_reads *reads, const pl_instance *instance, const pl_read_spec *spec, pl_source **out,
                      pl_error *err)
{
    static const pl_source_ops ops = {.take = take, .wake = wake_soon, .close = close_source};
    if (pl_reads_check_brokers(&instance->generation->config.kafka, err) != PL_OK)
        return err->code;
    if (reads->count >= MOST_READS)
        return pl_fail(
            err, PL_RESOURCE_EXHAUSTED,
            "%d topics are being read by scripts of this worker already: close what is read no longer",
            MOST_READS);
    read_of *r = pl_calloc(1, sizeof *r);
    if (!r)
        return pl_fail_memory(err);
    *r = (read_of){.base = {.ops = &ops}, .reads = reads, .instance = instance, .next = reads->first};
    r->turn = (pl_timer){.fire = on_turn, .data = r};
    if (open_read(r, spec, err) != PL_OK) {
        pl_free(r);
        return err->code;
    }
    if (r->next)
        r->next->prev = r;
    reads->first = r;
    reads->count++;
    *out = &r->base;
    return PL_OK;
}

void pl_reads_leave(pl_reads *reads, const pl_instance *instance)
{
    for (read_of *r = reads->first, *next; r; r = next) {
        next = r->next;
        if (!instance || r->instance == instance)
            leave(r);
    }
}

void pl_reads_free(pl_reads *reads)
{
    if (!reads)
        return;
    pl_reads_leave(reads, NULL);
    pl_free(reads);
}
