/* SPDX-License-Identifier: MIT */
#include "app/pubsub.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/map.h"
#include "value/incoming.h"

#define DEFAULT_MAX_BYTES ((size_t)64 << 20)

struct pl_pubsub_hub {
    pthread_mutex_t lock; /* of parts; held while an event is posted to them */
    pl_pubsub *parts;
    size_t max_bytes;
    atomic_size_t under_way;
};

typedef struct topic {
    pl_str name; /* ptr NULL: of those that are told that they have ended */
    pl_subscriber *first, *last;
    char bytes[];
} topic;

struct pl_pubsub {
    pl_pubsub_hub *hub;
    pl_loop *loop;
    pl_pubsub *next;
    pl_map topics;
    pl_subscriber *next_told, *last_told; /* while an event is told: who came later is not told */
    atomic_size_t subscribers;            /* read by publishers: nobody is woken for nothing */
    uint64_t arrived, delivered, dropped;
    bool left;
    void (*gone)(void *data, pl_str topic);
    void *gone_data;
};

/* One event; each worker that it goes to has a message of it. */
typedef struct event event;
typedef struct delivery {
    pl_message message;
    pl_pubsub *pubsub;
    event *event;
} delivery;
struct event {
    atomic_uint refs;
    pl_pubsub_hub *hub;
    size_t size;
    pl_str topic, json;   /* in bytes */
    pl_incoming incoming; /* the same */
    enum { IS_JSON, IS_INCOMING, IS_NEWS } kind;
    delivery *deliveries;
    _Alignas(pl_header) char bytes[];
};

pl_pubsub_hub *pl_pubsub_hub_new(size_t max_bytes)
{
    pl_pubsub_hub *hub = pl_calloc(1, sizeof *hub);
    if (!hub)
        return NULL;
    pthread_mutex_init(&hub->lock, NULL);
    hub->max_bytes = max_bytes ? max_bytes : DEFAULT_MAX_BYTES;
    return hub;
}

void pl_pubsub_hub_free(pl_pubsub_hub *hub)
{
    if (!hub)
        return;
    pthread_mutex_destroy(&hub->lock);
    pl_free(hub);
}

pl_pubsub *pl_pubsub_join(pl_pubsub_hub *hub, pl_loop *loop)
{
    pl_pubsub *p = pl_calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->hub = hub;
    p->loop = loop;
    pl_map_init(&p->topics);
    pthread_mutex_lock(&hub->lock);
    p->next = hub->parts;
    hub->parts = p;
    pthread_mutex_unlock(&hub->lock);
    return p;
}

void pl_pubsub_free(pl_pubsub *p)
{
    if (!p)
        return;
    pl_map_dispose(&p->topics);
    pl_free(p);
}

/* --- subscribers --- */
static topic *topic_get(pl_pubsub *p, pl_str name)
{
    topic *t = pl_map_get(&p->topics, name);
    if (t)
        return t;
    t = pl_malloc(sizeof *t + name.len);
    if (!t)
        return NULL;
    *t = (topic){.name = {t->bytes, name.len}};
    memcpy(t->bytes, name.ptr, name.len);
    if (pl_map_set(&p->topics, t->name, t))
        return t;
    pl_free(t);
    return NULL;
}

static void add(topic *t, pl_subscriber *s)
{
    s->topic = t;
    s->next = NULL;
    s->prev = t->last;
    *(t->last ? &t->last->next : &t->first) = s;
    t->last = s;
}

int pl_pubsub_subscribe(pl_pubsub *p, pl_host *host, pl_str name, pl_subscriber *s)
{
    topic *t = p->left ? NULL : topic_get(p, name);
    if (!t)
        return -1;
    s->host = host;
    add(t, s);
    atomic_fetch_add(&p->subscribers, 1);
    return 0;
}

static void take_out(pl_pubsub *p, pl_subscriber *s)
{
    topic *t = s->topic;
    if (s == p->next_told)
        p->next_told = s == p->last_told ? NULL : s->next;
    if (s == p->last_told)
        p->last_told = s->prev;
    *(s->prev ? &s->prev->next : &t->first) = s->next;
    *(s->next ? &s->next->prev : &t->last) = s->prev;
    s->topic = NULL;
    if (t->first || !t->name.ptr)
        return;
    pl_map_remove(&p->topics, t->name);
    if (p->gone)
        p->gone(p->gone_data, t->name);
    pl_free(t);
}

void pl_pubsub_on_gone(pl_pubsub *p, void (*gone)(void *data, pl_str topic), void *data)
{
    p->gone = gone;
    p->gone_data = data;
}

bool pl_pubsub_has(const pl_pubsub *p, pl_str name)
{
    return pl_map_get(&p->topics, name) != NULL;
}

void pl_pubsub_unsubscribe(pl_pubsub *p, pl_subscriber *s)
{
    if (!s->topic)
        return;
    take_out(p, s);
    atomic_fetch_sub(&p->subscribers, 1);
}

static bool belongs(const pl_subscriber *s, const pl_host *host, const pl_work *work)
{
    return (!host || s->host == host) && (!work || s->work == work || (s->work && s->work->parent == work));
}

/* From the end, as a topic whose last subscriber goes is replaced by the last one. */
static void collect(pl_pubsub *p, const pl_host *host, const pl_work *work, topic *ending)
{
    for (size_t i = p->topics.count; i-- > 0;) {
        topic *t = p->topics.entries[i].value;
        for (pl_subscriber *s = t->first, *next; s; s = next) {
            next = s->next;
            if (!belongs(s, host, work))
                continue;
            take_out(p, s);
            add(ending, s);
        }
    }
}

/* host NULL: all. What is told that it has ended may do anything, to the others, too. */
static void end_those_of(pl_pubsub *p, const pl_host *host, const pl_work *work)
{
    topic ending = {.name = PL_STR_NONE};
    collect(p, host, work, &ending);
    while (ending.first) {
        pl_subscriber *s = ending.first;
        pl_pubsub_unsubscribe(p, s);
        s->ended(s);
    }
}

void pl_pubsub_leave(pl_pubsub *p)
{
    pthread_mutex_lock(&p->hub->lock);
    for (pl_pubsub **at = &p->hub->parts; *at; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            break;
        }
    }
    p->left = true;
    pthread_mutex_unlock(&p->hub->lock);
    end_those_of(p, NULL, NULL);
}

void pl_pubsub_end(pl_pubsub *p, const pl_host *host, const pl_work *work)
{
    end_those_of(p, host, work);
}

/* --- events --- */
static void event_release(event *e)
{
    if (atomic_fetch_sub(&e->refs, 1) != 1)
        return;
    atomic_fetch_sub(&e->hub->under_way, e->size);
    pl_free(e->deliveries);
    pl_free(e);
}

static void deliver(pl_message *message)
{
    delivery *d = message->data;
    pl_pubsub *p = d->pubsub;
    topic *t = p->left ? NULL : pl_map_get(&p->topics, d->event->topic);
    pl_event told = {.json = d->event->json,
                     .incoming = d->event->kind == IS_INCOMING ? &d->event->incoming : NULL,
                     .is_news = d->event->kind == IS_NEWS,
                     .id = ++p->arrived,
                     .dropped = &p->dropped};
    p->next_told = t ? t->first : NULL;
    p->last_told = t ? t->last : NULL;
    for (pl_subscriber *s; (s = p->next_told);) { /* any of them may go meanwhile */
        p->next_told = s == p->last_told ? NULL : s->next;
        p->delivered++;
        s->message(s, &told);
    }
    event_release(d->event);
}

static event *event_new(pl_pubsub_hub *hub, size_t bytes)
{
    event *e = pl_malloc(sizeof *e + bytes);
    if (!e)
        return NULL;
    *e = (event){.hub = hub, .size = sizeof *e + bytes};
    atomic_store(&e->refs, 1);
    atomic_fetch_add(&hub->under_way, e->size);
    return e;
}

static pl_str put(char **at, pl_str s)
{
    pl_str to = {s.ptr ? *at : NULL, s.len};
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return to;
}

static size_t size_of(const pl_incoming *in)
{
    size_t size = in->topic.len + 1 + in->key.len + in->value.len + in->header_count * sizeof(pl_header);
    for (size_t i = 0; i < in->header_count; i++)
        size += in->headers[i].name.len + in->headers[i].value.len;
    return size;
}

/* The headers first, for their alignment. */
static void put_incoming(event *e, char **at, const pl_incoming *in)
{
    pl_header *headers = (pl_header *)(void *)*at;
    *at += in->header_count * sizeof *headers;
    e->incoming = *in;
    e->incoming.headers = headers;
    for (size_t i = 0; i < in->header_count; i++)
        headers[i] = (pl_header){put(at, in->headers[i].name), put(at, in->headers[i].value)};
    e->incoming.key = put(at, in->key);
    e->incoming.value = put(at, in->value);
    e->incoming.topic = put(at, in->topic);
    *(*at)++ = '\0';
}

/* With the lock held. */
static bool post_to_all(pl_pubsub_hub *hub, event *e)
{
    size_t n = 0;
    for (pl_pubsub *p = hub->parts; p; p = p->next)
        n += atomic_load(&p->subscribers) > 0;
    if (n == 0)
        return true;
    e->deliveries = pl_calloc(n, sizeof *e->deliveries);
    if (!e->deliveries)
        return false;
    size_t i = 0;
    for (pl_pubsub *p = hub->parts; p && i < n; p = p->next) {
        if (atomic_load(&p->subscribers) == 0)
            continue;
        delivery *d = &e->deliveries[i++];
        *d = (delivery){.message = {.run = deliver, .data = d}, .pubsub = p, .event = e};
        atomic_fetch_add(&e->refs, 1);
        pl_loop_post(p->loop, &d->message);
    }
    return true;
}

/* Takes over e. */
static pl_code send_out(pl_pubsub_hub *hub, event *e, pl_error *err)
{
    pthread_mutex_lock(&hub->lock);
    bool ok = post_to_all(hub, e);
    pthread_mutex_unlock(&hub->lock);
    event_release(e);
    return ok ? PL_OK : pl_fail_memory(err);
}

static pl_code check_room(const pl_pubsub_hub *hub, size_t bytes, pl_error *err)
{
    if (atomic_load(&hub->under_way) + bytes <= hub->max_bytes)
        return PL_OK;
    return pl_fail(err, PL_RESOURCE_EXHAUSTED,
                   "too many events are under way: subscribers are slower than publishers");
}

pl_code pl_pubsub_publish(pl_pubsub *p, pl_str topic_name, pl_str json, pl_error *err)
{
    pl_pubsub_hub *hub = p->hub;
    if (check_room(hub, json.len, err) != PL_OK)
        return err->code;
    event *e = event_new(hub, topic_name.len + json.len);
    if (!e)
        return pl_fail_memory(err);
    char *at = e->bytes;
    e->topic = put(&at, topic_name);
    e->json = put(&at, json);
    return send_out(hub, e, err);
}

pl_code pl_pubsub_feed(pl_pubsub_hub *hub, pl_str topic_name, const pl_incoming *in, pl_error *err)
{
    size_t size = in ? size_of(in) : 0;
    /* One that is larger than all that may be under way has to come through as well. */
    if (in && atomic_load(&hub->under_way) > 0 && check_room(hub, size, err) != PL_OK)
        return err->code;
    event *e = event_new(hub, topic_name.len + size);
    if (!e)
        return pl_fail_memory(err);
    char *at = e->bytes;
    e->kind = in ? IS_INCOMING : IS_NEWS;
    if (in)
        put_incoming(e, &at, in);
    e->topic = put(&at, topic_name);
    return send_out(hub, e, err);
}

pl_pubsub_stats pl_pubsub_get_stats(const pl_pubsub *p)
{
    return (pl_pubsub_stats){p->topics.count, atomic_load(&p->subscribers), p->delivered, p->dropped};
}
