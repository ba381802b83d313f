/* SPDX-License-Identifier: MIT */
#include "app/metrics_hub.h"

#include <pthread.h>

#include "app/metrics_collect.h"
#include "base/alloc.h"
#include "base/stats_text.h"
#include "net/compress.h"

#define CODINGS 3

typedef struct round_trip round_trip;

/* A request that waits; in its arena. */
typedef struct waiter {
    pl_http_request *http;
    pl_metrics_part *part;
    struct waiter *next, **place;
    pl_coding coding;
} waiter;

/* Belongs to the loop that its message or its job is on. */
struct round_trip {
    pl_message message; /* first */
    pl_job job;
    pl_metrics_hub *hub;
    pl_metrics_part *at;    /* whose turn it is; NULL: it is back */
    pl_metrics_part *asker; /* NULL: it has left. Under the lock */
    round_trip *next;       /* under way, of the hub */
    pl_stats *all;
    bool failed;
    pl_metrics_facts facts;
    bool wanted[CODINGS];
    pl_buf bodies[CODINGS];
    waiter *waiters; /* whom it will answer */
};

struct pl_metrics_part {
    pl_metrics_hub *hub;
    pl_loop *loop;
    unsigned index;
    pl_metrics_collect *collect;
    void *data;
    bool joined;
    round_trip *going; /* the one that this part has asked for; NULL: none */
    waiter *waiters;   /* for the next */
    pl_metrics_part *next;
};

struct pl_metrics_hub {
    pthread_mutex_t lock;
    pl_metrics_part *parts; /* by index */
    round_trip *going;
    pl_metrics_facts facts;
};

/* --- requests that wait --- */
static void waiter_add(waiter **list, waiter *w)
{
    w->next = *list;
    if (w->next)
        w->next->place = &w->next;
    *list = w;
    w->place = list;
}

static void waiter_remove(waiter *w)
{
    *w->place = w->next;
    if (w->next)
        w->next->place = w->place;
}

static void waiters_move(waiter **to, waiter **from)
{
    *to = *from;
    *from = NULL;
    if (*to)
        (*to)->place = to;
}

static void on_cancelled(pl_http_request *http)
{
    waiter_remove(http->data);
}

static void refuse(pl_http_request *http)
{
    const pl_header headers[] = {{PL_STR("cache-control"), PL_STR("no-store")}};
    pl_http_respond(http, &(pl_http_response){.status = 503,
                                              .content_type = PL_STR("text/plain; charset=utf-8"),
                                              .headers = headers,
                                              .header_count = 1,
                                              .body = PL_STR("out of memory\n"),
                                              .body_in_arena = true});
}

static void answer(const waiter *w, const round_trip *trip)
{
    const pl_header headers[] = {{PL_STR("cache-control"), PL_STR("no-store")},
                                 {PL_STR("vary"), PL_STR("accept-encoding")},
                                 {PL_STR("content-encoding"), pl_coding_name(w->coding)}};
    bool packed = w->coding != PL_CODING_IDENTITY && trip->bodies[w->coding].len > 0;
    const pl_buf *body = &trip->bodies[packed ? w->coding : PL_CODING_IDENTITY];
    if (trip->failed) {
        refuse(w->http);
        return;
    }
    pl_http_respond(w->http, &(pl_http_response){.status = 200,
                                                 .content_type = PL_STR(PL_STATS_TEXT_TYPE),
                                                 .headers = headers,
                                                 .header_count = packed ? 3 : 1,
                                                 .body = pl_buf_view(body)});
}

/* --- the round --- */
static void trip_free(round_trip *trip)
{
    pl_stats_free(trip->all);
    for (int i = 0; i < CODINGS; i++)
        pl_buf_dispose(&trip->bodies[i]);
    pl_free(trip);
}

static void begin(pl_metrics_part *part);

/* The text is there, or cannot be had. */
static void finish(round_trip *trip)
{
    pl_metrics_part *part = trip->asker;
    part->going = NULL;
    while (trip->waiters) {
        waiter *w = trip->waiters;
        waiter_remove(w);
        answer(w, trip);
    }
    trip_free(trip);
    if (part->waiters && part->joined)
        begin(part);
}

static void write_text(pl_job *job)
{
    round_trip *trip = (round_trip *)((char *)job - offsetof(round_trip, job));
    pl_buf *text = &trip->bodies[PL_CODING_IDENTITY];
    trip->failed = trip->failed || !pl_metrics_collect_server(trip->all, &trip->facts) ||
                   !pl_stats_write(trip->all, text);
    for (int i = 0; i < CODINGS && !trip->failed; i++) {
        if (!trip->wanted[i] || i == PL_CODING_IDENTITY || text->len < PL_COMPRESS_LEAST)
            continue;
        if (!pl_compress((pl_coding)i, pl_buf_view(text), &trip->bodies[i]))
            pl_buf_dispose(&trip->bodies[i]); /* it goes out as it is */
    }
}

static void written(pl_job *job)
{
    finish((round_trip *)((char *)job - offsetof(round_trip, job)));
}

/* On the asker's thread again. */
static void come_back(round_trip *trip)
{
    pl_metrics_part *part = trip->asker;
    pl_host *host = pl_loop_host(part->loop);
    waiters_move(&trip->waiters, &part->waiters);
    for (const waiter *w = trip->waiters; w; w = w->next)
        trip->wanted[w->coding] = true;
    trip->job = (pl_job){.run = write_text, .done = written};
    if (trip->waiters && host->ops->offload(host, &trip->job, NULL) == 0)
        return;
    if (trip->waiters)
        write_text(&trip->job); /* the helpers have too much to do */
    finish(trip);
}

static void end_trip(pl_metrics_hub *hub, const round_trip *trip)
{
    round_trip **at = &hub->going;
    while (*at != trip)
        at = &(*at)->next;
    *at = trip->next;
}

/* The next worker, or back. */
static void go_on(round_trip *trip)
{
    pl_metrics_hub *hub = trip->hub;
    pthread_mutex_lock(&hub->lock);
    pl_metrics_part *next = hub->parts;
    while (next && next->index <= trip->at->index)
        next = next->next;
    pl_metrics_part *target = next ? next : trip->asker;
    trip->at = next;
    trip->facts = hub->facts;
    if (!target)
        end_trip(hub, trip);
    else
        pl_loop_post(target->loop, &trip->message);
    pthread_mutex_unlock(&hub->lock);
    if (!target)
        trip_free(trip);
}

static void run_trip(pl_message *message)
{
    round_trip *trip = message->data;
    const pl_metrics_part *part = trip->at;
    if (part) {
        if (part->joined && !trip->failed)
            trip->failed = !part->collect(part->data, trip->all);
        go_on(trip);
        return;
    }
    pthread_mutex_lock(&trip->hub->lock);
    end_trip(trip->hub, trip);
    pthread_mutex_unlock(&trip->hub->lock);
    if (trip->asker)
        come_back(trip);
    else
        trip_free(trip);
}

static round_trip *new_trip(pl_metrics_part *part)
{
    round_trip *trip = pl_calloc(1, sizeof *trip);
    if (!trip || !(trip->all = pl_stats_new())) {
        pl_free(trip);
        return NULL;
    }
    trip->message = (pl_message){.run = run_trip, .data = trip};
    trip->hub = part->hub;
    trip->asker = part;
    for (int i = 0; i < CODINGS; i++)
        pl_buf_init(&trip->bodies[i]);
    return trip;
}

static void begin(pl_metrics_part *part)
{
    pl_metrics_hub *hub = part->hub;
    round_trip *trip = new_trip(part);
    if (!trip) {
        while (part->waiters) {
            waiter *w = part->waiters;
            waiter_remove(w);
            refuse(w->http);
        }
        return;
    }
    part->going = trip;
    pthread_mutex_lock(&hub->lock);
    trip->at = hub->parts;
    trip->next = hub->going;
    hub->going = trip;
    pl_loop_post(trip->at->loop, &trip->message);
    pthread_mutex_unlock(&hub->lock);
}

void pl_metrics_answer(pl_metrics_part *part, pl_http_request *http, bool compress)
{
    waiter *w = pl_arena_zalloc(http->arena, sizeof *w);
    if (!w || !part->joined) {
        refuse(http);
        return;
    }
    w->http = http;
    w->part = part;
    w->coding =
        compress ? pl_coding_choose(pl_http_header(http, PL_STR("accept-encoding"))) : PL_CODING_IDENTITY;
    http->data = w;
    http->cancelled = on_cancelled;
    waiter_add(&part->waiters, w);
    if (!part->going)
        begin(part);
}

/* --- life --- */
pl_metrics_hub *pl_metrics_hub_new(void)
{
    pl_metrics_hub *hub = pl_calloc(1, sizeof *hub);
    if (hub)
        pthread_mutex_init(&hub->lock, NULL);
    return hub;
}

void pl_metrics_hub_free(pl_metrics_hub *hub)
{
    if (!hub)
        return;
    pthread_mutex_destroy(&hub->lock);
    pl_free(hub);
}

void pl_metrics_hub_set_facts(pl_metrics_hub *hub, const pl_metrics_facts *facts)
{
    pthread_mutex_lock(&hub->lock);
    hub->facts = *facts;
    pthread_mutex_unlock(&hub->lock);
}

pl_metrics_part *pl_metrics_join(pl_metrics_hub *hub, pl_loop *loop, unsigned index,
                                 pl_metrics_collect *collect, void *data)
{
    pl_metrics_part *part = pl_calloc(1, sizeof *part);
    if (!part)
        return NULL;
    *part = (pl_metrics_part){
        .hub = hub, .loop = loop, .index = index, .collect = collect, .data = data, .joined = true};
    pthread_mutex_lock(&hub->lock);
    pl_metrics_part **at = &hub->parts;
    while (*at && (*at)->index < index)
        at = &(*at)->next;
    part->next = *at;
    *at = part;
    pthread_mutex_unlock(&hub->lock);
    return part;
}

void pl_metrics_leave(pl_metrics_part *part)
{
    if (!part || !part->joined)
        return;
    pl_metrics_hub *hub = part->hub;
    pthread_mutex_lock(&hub->lock);
    part->joined = false;
    for (round_trip *trip = hub->going; trip; trip = trip->next) {
        if (trip->asker == part)
            trip->asker = NULL;
    }
    pl_metrics_part **at = &hub->parts;
    while (*at != part)
        at = &(*at)->next;
    *at = part->next;
    pthread_mutex_unlock(&hub->lock);
}

void pl_metrics_part_free(pl_metrics_part *part)
{
    pl_metrics_leave(part);
    pl_free(part);
}
