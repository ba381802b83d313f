/* SPDX-License-Identifier: MIT */
#include "app/channelz.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"

/* A question belongs to whoever still has something to do with it: the workers that have not answered, then
 * the one that asked. It is freed there, or, if that worker has left, by the last to answer. */

typedef struct question question;

/* What one worker says. */
typedef struct piece {
    pl_message message;
    question *question;
    pl_channelz *part;
    bool failed, more;
    pl_grpc_server_stats stats;
    uint64_t last_call_at; /* since 1970 */
    const char *listeners[2];
    void *items; /* of the kind that is wanted; they begin with their ids */
    size_t count;
} piece;

struct question {
    pl_message message; /* back */
    pl_channelz_hub *hub;
    pl_channelz *asker; /* NULL: it has left. Under the lock, as the next two */
    question *prev, *next;
    pl_grpc_call *call; /* NULL: nobody waits any more. The asker's */
    pl_grpc_channelz_query query;
    unsigned left; /* under the lock: workers that have not answered */
    unsigned count;
    piece pieces[];
};

struct pl_channelz {
    pl_channelz_hub *hub;
    pl_loop *loop;
    pl_grpc_endpoint *endpoint;
    pl_grpc_clients *clients;
    pl_grpc_channelz_source source;
    bool joined;
    pl_channelz *next;
};

struct pl_channelz_hub {
    pthread_mutex_t lock;
    pl_channelz *parts;
    unsigned count;
    question *open; /* some have not answered */
};

static void free_question(question *q)
{
    for (unsigned i = 0; i < q->count; i++)
        pl_free(q->pieces[i].items);
    pl_free(q);
}

/* --- under the lock --- */
static void open_question(pl_channelz_hub *hub, question *q)
{
    q->next = hub->open;
    if (q->next)
        q->next->prev = q;
    hub->open = q;
}

static void close_question(pl_channelz_hub *hub, question *q)
{
    if (q->prev)
        q->prev->next = q->next;
    else
        hub->open = q->next;
    if (q->next)
        q->next->prev = q->prev;
}

/* --- a worker says what it has --- */
typedef struct collecting {
    piece *piece;
    const pl_grpc_channelz_query *query;
    uint64_t monotonic, utc; /* now, in milliseconds */
    size_t at;               /* where the next goes: the oldest is overwritten */
} collecting;

static uint64_t utc_of(const collecting *c, uint64_t at)
{
    return at == 0 ? 0 : c->utc - (c->monotonic > at ? c->monotonic - at : 0);
}

static size_t size_of(const pl_grpc_channelz_query *query)
{
    return query->kind == PL_GRPC_CHANNELZ_CHANNELS ? sizeof(pl_grpc_channelz_channel)
                                                    : sizeof(pl_grpc_channelz_socket);
}

/* Where to put the next one; NULL: nobody wants it. Ids come in falling order: what was kept last has the
 * lowest. */
static void *place(collecting *c, uint64_t id)
{
    piece *p = c->piece;
    if (id < c->query->first || id > c->query->last)
        return NULL;
    size_t at = c->at;
    p->more |= p->count == c->query->most;
    p->count += p->count < c->query->most;
    c->at = (c->at + 1) % c->query->most;
    return (char *)p->items + at * size_of(c->query);
}

static void collect_socket(void *data, const pl_grpc_endpoint_socket *s)
{
    collecting *c = data;
    pl_grpc_channelz_socket *out = place(c, s->id);
    if (!out)
        return;
    *out = (pl_grpc_channelz_socket){.id = s->id, .stats = pl_grpc_session_get_stats(s->session)};
    pl_connection_local(s->connection, out->local, sizeof out->local);
    snprintf(out->remote, sizeof out->remote, "%.*s", PL_STR_ARG(s->connection->peer));
    const char *cipher = pl_connection_cipher(s->connection);
    snprintf(out->cipher, sizeof out->cipher, "%s", cipher ? cipher : s->connection->secure ? "TLS" : "");
    out->stats.begun_at = utc_of(c, out->stats.begun_at);
    out->stats.traffic.sent_at = utc_of(c, out->stats.traffic.sent_at);
    out->stats.traffic.received_at = utc_of(c, out->stats.traffic.received_at);
}

static void collect_channel(void *data, const pl_client_channel_info *info)
{
    collecting *c = data;
    uint64_t id = pl_grpc_endpoint_channel_id(c->piece->part->endpoint, info->id);
    pl_grpc_channelz_channel *out = place(c, id);
    if (!out)
        return;
    *out = (pl_grpc_channelz_channel){.id = id,
                                      .state = info->state + 1,
                                      .calls = info->calls_total,
                                      .failed = info->failed_total,
                                      .succeeded = info->calls_total - info->failed_total - info->calls,
                                      .last_call_at = utc_of(c, info->last_call_at)};
    snprintf(out->target, sizeof out->target, "%.*s", PL_STR_ARG(info->target));
}

static void collect(piece *p)
{
    const pl_grpc_channelz_query *query = &p->question->query;
    pl_grpc_endpoint *endpoint = p->part->endpoint;
    pl_host *host = pl_loop_host(p->part->loop);
    collecting c = {.piece = p, .query = query, .monotonic = host->ops->now(host)};
    struct timespec t;
    if (!endpoint)
        return;
    clock_gettime(CLOCK_REALTIME, &t);
    c.utc = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    p->stats = pl_grpc_endpoint_get_server_stats(endpoint);
    p->last_call_at = utc_of(&c, p->stats.last_call_at);
    pl_grpc_endpoint_get_addresses(endpoint, p->listeners);
    if (query->kind == PL_GRPC_CHANNELZ_COUNTERS)
        return;
    p->items = pl_calloc(query->most, size_of(query));
    p->failed = !p->items;
    if (p->items && query->kind == PL_GRPC_CHANNELZ_SOCKETS)
        pl_grpc_endpoint_each(endpoint, collect_socket, &c);
    else if (p->items && p->part->clients)
        pl_grpc_clients_each(p->part->clients, collect_channel, &c);
}

/* --- all that they have said --- */
static int compare(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return *left < *right ? -1 : *left > *right;
}

static void add(const piece *p, pl_grpc_channelz_result *out, char *room, size_t size)
{
    out->failed |= p->failed;
    out->calls += p->stats.calls_total;
    out->failures += p->stats.failed_total;
    out->succeeded += p->stats.calls_total - p->stats.failed_total - p->stats.calls;
    if (p->last_call_at > out->last_call_at)
        out->last_call_at = p->last_call_at;
    for (int k = 0; k < 2; k++)
        out->listeners[k] = p->listeners[k] ? p->listeners[k] : out->listeners[k];
    if (p->count > 0)
        memcpy(room + out->count * size, p->items, p->count * size);
    out->count += p->count;
    out->more |= p->more;
}

static void answer(const question *q)
{
    pl_grpc_channelz_result result = {0};
    size_t total = 1, size = size_of(&q->query);
    for (unsigned i = 0; i < q->count; i++)
        total += q->pieces[i].count;
    char *room = pl_calloc(total, size);
    result.failed = !room;
    for (unsigned i = 0; room && i < q->count; i++)
        add(&q->pieces[i], &result, room, size);
    if (room)
        qsort(room, result.count, size, compare);
    if (q->query.most && result.count > q->query.most) {
        result.count = q->query.most;
        result.more = true;
    }
    if (q->query.kind == PL_GRPC_CHANNELZ_CHANNELS)
        result.channels = (const pl_grpc_channelz_channel *)(const void *)room;
    else
        result.sockets = (const pl_grpc_channelz_socket *)(const void *)room;
    pl_grpc_channelz_answer(q->call, &result);
    pl_free(room);
}

static void come_back(pl_message *message)
{
    question *q = message->data;
    if (q->call)
        answer(q);
    free_question(q);
}

static void run_piece(pl_message *message)
{
    piece *p = message->data;
    question *q = p->question;
    pl_channelz_hub *hub = q->hub;
    collect(p);
    pthread_mutex_lock(&hub->lock);
    bool last = --q->left == 0, back = last && q->asker;
    if (last)
        close_question(hub, q);
    if (back)
        pl_loop_post(q->asker->loop, &q->message);
    pthread_mutex_unlock(&hub->lock);
    if (last && !back)
        free_question(q);
}

static void *ask(void *data, const pl_grpc_channelz_query *query, pl_grpc_call *call)
{
    pl_channelz *asker = data;
    pl_channelz_hub *hub = asker->hub;
    pthread_mutex_lock(&hub->lock);
    question *q = asker->joined ? pl_calloc(1, sizeof *q + hub->count * sizeof(piece)) : NULL;
    if (q) {
        q->message = (pl_message){.run = come_back, .data = q};
        q->hub = hub;
        q->asker = asker;
        q->call = call;
        q->query = *query;
        for (pl_channelz *part = hub->parts; part; part = part->next) {
            piece *p = &q->pieces[q->count++];
            *p = (piece){.message = {.run = run_piece, .data = p}, .question = q, .part = part};
        }
        q->left = q->count;
        open_question(hub, q);
        for (unsigned i = 0; i < q->count; i++)
            pl_loop_post(q->pieces[i].part->loop, &q->pieces[i].message);
    }
    pthread_mutex_unlock(&hub->lock);
    return q;
}

static void forget(void *data, void *mark)
{
    (void)data;
    ((question *)mark)->call = NULL;
}

/* --- life --- */
pl_channelz_hub *pl_channelz_hub_new(void)
{
    pl_channelz_hub *hub = pl_calloc(1, sizeof *hub);
    if (hub)
        pthread_mutex_init(&hub->lock, NULL);
    return hub;
}

void pl_channelz_hub_free(pl_channelz_hub *hub)
{
    if (!hub)
        return;
    pthread_mutex_destroy(&hub->lock);
    pl_free(hub);
}

pl_channelz *pl_channelz_join(pl_channelz_hub *hub, pl_loop *loop)
{
    pl_channelz *part = pl_calloc(1, sizeof *part);
    if (!part)
        return NULL;
    *part = (pl_channelz){
        .hub = hub, .loop = loop, .joined = true, .source = {.ask = ask, .forget = forget, .data = part}};
    pthread_mutex_lock(&hub->lock);
    part->next = hub->parts;
    hub->parts = part;
    hub->count++;
    pthread_mutex_unlock(&hub->lock);
    return part;
}

void pl_channelz_set_endpoint(pl_channelz *part, pl_grpc_endpoint *endpoint)
{
    part->endpoint = endpoint;
}

void pl_channelz_set_clients(pl_channelz *part, pl_grpc_clients *clients)
{
    part->clients = clients;
}

pl_grpc_channelz_source *pl_channelz_source(pl_channelz *part)
{
    return &part->source;
}

void pl_channelz_leave(pl_channelz *part)
{
    if (!part || !part->joined)
        return;
    pl_channelz_hub *hub = part->hub;
    part->endpoint = NULL;
    part->clients = NULL;
    pthread_mutex_lock(&hub->lock);
    part->joined = false;
    for (question *q = hub->open; q; q = q->next) {
        if (q->asker == part)
            q->asker = NULL;
    }
    for (pl_channelz **at = &hub->parts; *at; at = &(*at)->next) {
        if (*at == part) {
            *at = part->next;
            hub->count--;
            break;
        }
    }
    pthread_mutex_unlock(&hub->lock);
}

void pl_channelz_free(pl_channelz *part)
{
    pl_channelz_leave(part);
    pl_free(part);
}
