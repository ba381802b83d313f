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
    pl_grpc_channelz_socket *sockets;
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
        pl_free(q->pieces[i].sockets);
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
    pl_host *host;
    uint64_t monotonic, utc; /* now, in milliseconds */
    size_t at;               /* where the next goes: the oldest is overwritten */
} collecting;

static uint64_t utc_of(const collecting *c, uint64_t at)
{
    return at == 0 ? 0 : c->utc - (c->monotonic > at ? c->monotonic - at : 0);
}

static void keep(collecting *c, const pl_grpc_endpoint_socket *s)
{
    piece *p = c->piece;
    pl_grpc_channelz_socket *out = &p->sockets[c->at];
    p->more |= p->count == c->query->most;
    p->count += p->count < c->query->most;
    c->at = (c->at + 1) % c->query->most;
    *out = (pl_grpc_channelz_socket){.id = s->id, .stats = pl_grpc_session_get_stats(s->session)};
    pl_connection_local(s->connection, out->local, sizeof out->local);
    snprintf(out->remote, sizeof out->remote, "%.*s", PL_STR_ARG(s->connection->peer));
    const char *cipher = pl_connection_cipher(s->connection);
    snprintf(out->cipher, sizeof out->cipher, "%s", cipher ? cipher : s->connection->secure ? "TLS" : "");
    out->stats.begun_at = utc_of(c, out->stats.begun_at);
    out->stats.traffic.sent_at = utc_of(c, out->stats.traffic.sent_at);
    out->stats.traffic.received_at = utc_of(c, out->stats.traffic.received_at);
}

/* Ids come in falling order: what was kept last has the lowest. */
static void collect_one(void *data, const pl_grpc_endpoint_socket *s)
{
    collecting *c = data;
    if (s->id >= c->query->first && s->id <= c->query->last)
        keep(c, s);
}

static void collect(piece *p)
{
    const pl_grpc_channelz_query *query = &p->question->query;
    pl_grpc_endpoint *endpoint = p->part->endpoint;
    pl_host *host = pl_loop_host(p->part->loop);
    collecting c = {.piece = p, .query = query, .host = host, .monotonic = host->ops->now(host)};
    struct timespec t;
    if (!endpoint)
        return;
    clock_gettime(CLOCK_REALTIME, &t);
    c.utc = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    p->stats = pl_grpc_endpoint_get_server_stats(endpoint);
    p->last_call_at = utc_of(&c, p->stats.last_call_at);
    pl_grpc_endpoint_get_addresses(endpoint, p->listeners);
    if (!query->sockets)
        return;
    p->sockets = pl_calloc(query->most, sizeof *p->sockets);
    p->failed = !p->sockets;
    if (p->sockets)
        pl_grpc_endpoint_each(endpoint, collect_one, &c);
}

/* --- all that they have said --- */
static int compare(const void *a, const void *b)
{
    const pl_grpc_channelz_socket *left = a, *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

static bool gather(const question *q, pl_grpc_channelz_socket *room, pl_grpc_channelz_result *out)
{
    for (unsigned i = 0; i < q->count; i++) {
        const piece *p = &q->pieces[i];
        out->failed |= p->failed;
        out->calls += p->stats.calls_total;
        out->failures += p->stats.failed_total;
        out->succeeded += p->stats.calls_total - p->stats.failed_total - p->stats.calls;
        if (p->last_call_at > out->last_call_at)
            out->last_call_at = p->last_call_at;
        for (int k = 0; k < 2; k++)
            out->listeners[k] = p->listeners[k] ? p->listeners[k] : out->listeners[k];
        if (p->count > 0)
            memcpy(room + out->count, p->sockets, p->count * sizeof *room);
        out->count += p->count;
        out->more |= p->more;
    }
    return !out->failed;
}

static void answer(const question *q)
{
    pl_grpc_channelz_result result = {0};
    size_t total = 1;
    for (unsigned i = 0; i < q->count; i++)
        total += q->pieces[i].count;
    pl_grpc_channelz_socket *room = pl_calloc(total, sizeof *room);
    result.failed = !room;
    if (room && gather(q, room, &result)) {
        qsort(room, result.count, sizeof *room, compare);
        if (q->query.sockets && result.count > q->query.most) {
            result.count = q->query.most;
            result.more = true;
        }
        result.sockets = room;
    }
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
