/* SPDX-License-Identifier: MIT */
#include "app/topics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "app/generation.h"
#include "app/reads.h"
#include "base/alloc.h"
#include "base/map.h"
#include "events/reader.h"

#define DEFAULT_LINGER_MS 30000
#define MOST_TOPICS 100 /* of a server: each has connections and threads of its own */
#define MOST_NAME 249   /* of a topic, as Kafka has it */
#define FED_AT_ONCE 256 /* events of a topic in one turn of the loop */
#define FULL_MS 5       /* until it is tried again when too much is under way */
#define REOPEN_MS 1000

/* What subscribers are known by in the pubsub: scripts cannot name such a topic. */
#define PREFIX "\0kafka\0"
#define PREFIX_LEN (sizeof PREFIX - 1)

/* A topic that somebody subscribes to, or did a while ago. Made by any worker, freed by its home. */
typedef struct shared_topic shared_topic;
struct shared_topic {
    pl_topics *home;
    shared_topic *next;
    pl_str key; /* with the prefix, and a NUL behind */
    /* Below the hub's lock. */
    unsigned parts; /* workers with subscribers */
    bool placed;
    pl_error failure; /* why it cannot be read; else PL_OK */
    /* The home's. */
    pl_reader *reader;
    pl_watch *watch;
    pl_timer timer; /* goes on, tries again, or is closed */
    bool lingers;   /* nobody is subscribed */
    uint64_t until; /* lingers: closed then */
    bool has_held;
    pl_incoming held; /* taken, but there was no room for it */
    pl_arena arena;
    pl_kafka_config made; /* what the reader was made with, in the arena */
    char bytes[];
};

struct pl_topics_hub {
    pthread_mutex_t lock;
    pl_pubsub_hub *pubsub;
    unsigned linger_ms;
    pl_topics *parts;
    unsigned part_count;
    pl_map topics; /* shared_topic by key */
};

struct pl_topics {
    pl_topics_hub *hub;
    pl_pubsub *pubsub;
    pl_loop *loop;
    pl_host *host;
    pl_logger *log;
    pl_topics *next;
    const pl_kafka_config *kafka; /* of the live generation */
    pl_message message;           /* "look at your topics" */
    bool posted, left;            /* below the hub's lock */
    shared_topic *topics;         /* those that are at home here and have been looked at */
    uint64_t events;              /* of readers that are gone */
};

static pl_str name_of(const shared_topic *t)
{
    return (pl_str){t->key.ptr + PREFIX_LEN, t->key.len - PREFIX_LEN};
}

/* --- what all workers know of a topic --- */
static void tell(shared_topic *t, bool placed, pl_code code, const char *why)
{
    pl_topics_hub *hub = t->home->hub;
    pl_error ignored;
    pthread_mutex_lock(&hub->lock);
    bool news = t->placed != placed || t->failure.code != code;
    t->placed = placed;
    pl_error_clear(&t->failure);
    if (code)
        pl_fail(&t->failure, code, "%s", why);
    pthread_mutex_unlock(&hub->lock);
    if (!news)
        return;
    if (code)
        pl_log(t->home->log, PL_WARN, "subscribed topic cannot be read", PL_F_STR("topic", name_of(t)),
               PL_F_CSTR("error", why));
    pl_pubsub_feed(hub->pubsub, t->key, NULL, &ignored); /* else those who wait look by themselves */
}

/* With the lock held. */
static void post(pl_topics *home)
{
    if (home->posted || home->left)
        return;
    home->posted = true;
    pl_loop_post(home->loop, &home->message);
}

/* --- the reader --- */
static void pump(shared_topic *t);

static void again_in(shared_topic *t, uint64_t ms)
{
    pl_host *host = t->home->host;
    host->ops->timer_start(host, &t->timer, host->ops->now(host) + ms);
}

static void close_reader(shared_topic *t)
{
    if (t->reader)
        t->home->events += pl_reader_get_stats(t->reader).events;
    t->home->host->ops->timer_stop(t->home->host, &t->timer);
    pl_watch_end(t->watch);
    t->watch = NULL;
    pl_reader_close(t->reader);
    t->reader = NULL;
    t->has_held = false;
}

static void on_readable(void *data)
{
    shared_topic *t = data;
    pl_reader_noticed(t->reader);
    if (!t->has_held) /* else when there is room */
        pump(t);
}

static pl_code open_reader(shared_topic *t, const pl_read_spec *spec, pl_error *err)
{
    pl_topics *home = t->home;
    pl_reader_config config = {.spec = spec, .host = home->host, .log = home->log};
    if (pl_reads_check_brokers(home->kafka, err) != PL_OK)
        return err->code;
    pl_arena_reset(&t->arena);
    if (!pl_kafka_config_copy(&t->made, home->kafka, &t->arena))
        return pl_fail_memory(err);
    config.kafka = &t->made.settings;
    if (!(t->reader = pl_reader_open(&config, err)))
        return err->code;
    t->watch = pl_loop_watch(home->loop, pl_reader_fd(t->reader), on_readable, t);
    if (t->watch)
        return PL_OK;
    close_reader(t);
    return pl_fail(err, PL_RESOURCE_EXHAUSTED, "memory or descriptors are exhausted");
}

/* places: where it goes on; NULL: at the end. */
static void start(shared_topic *t, const pl_read_place *places, size_t count)
{
    const pl_read_spec spec = {.topic = name_of(t),
                               .start = {.from = places ? PL_READ_BEGINNING : PL_READ_END},
                               .places = places,
                               .place_count = count};
    pl_error err;
    pl_error_clear(&err);
    if (open_reader(t, &spec, &err) == PL_OK)
        return;
    tell(t, false, err.code, err.message);
    again_in(t, REOPEN_MS);
}

/* Other settings: the same events from the same brokers, or what comes from now on from others. */
static void restart(shared_topic *t)
{
    const pl_kafka_config *now = t->home->kafka;
    size_t room = t->reader ? pl_reader_get_stats(t->reader).partitions : 0;
    pl_read_place *places = room ? pl_calloc(room, sizeof *places) : NULL;
    bool same = t->reader && pl_reader_is_placed(t->reader) &&
                pl_str_eq(t->made.settings.brokers, now->settings.brokers);
    size_t count = places ? pl_reader_positions(t->reader, places, room) : 0;
    for (size_t i = 0; i < count && t->has_held; i++) { /* what is held was taken, but not given away */
        if (places[i].partition == t->held.partition)
            places[i] = (pl_read_place){t->held.partition, PL_READ_OFFSET, t->held.offset};
    }
    close_reader(t);
    start(t, same ? places : NULL, same ? count : 0);
    pl_free(places);
}

/* True: it was given away, or there is nobody to give it to. */
static bool feed(shared_topic *t, const pl_incoming *in)
{
    pl_error err;
    if (t->lingers || pl_pubsub_feed(t->home->hub->pubsub, t->key, in, &err) == PL_OK)
        return true;
    t->held = *in; /* its bytes stay until the next one is taken */
    t->has_held = true;
    again_in(t, FULL_MS);
    return false;
}

static void on_failure(shared_topic *t, const pl_error *err)
{
    tell(t, false, err->code, err->message);
    if (err->code == PL_INVALID_ARGUMENT || err->code == PL_OUT_OF_RANGE ||
        err->code == PL_RESOURCE_EXHAUSTED) {
        close_reader(t); /* this one gives nothing any more */
        again_in(t, REOPEN_MS);
    }
}

static void pump(shared_topic *t)
{
    pl_incoming in;
    pl_error err;
    pl_error_clear(&err);
    if (t->has_held) {
        t->has_held = false;
        if (!feed(t, &t->held))
            return;
    }
    for (unsigned i = 0; i < FED_AT_ONCE; i++) {
        switch (pl_reader_take(t->reader, &in, &err)) {
        case PL_TAKEN_EVENT:
            if (!feed(t, &in))
                return;
            break;
        case PL_TAKEN_CAUGHT_UP:
            break;
        case PL_TAKEN_NOTHING:
        case PL_TAKEN_END:
            if (pl_reader_is_placed(t->reader))
                tell(t, true, PL_OK, NULL);
            return;
        case PL_TAKEN_FAILED:
            on_failure(t, &err);
            if (!t->reader)
                return;
            break;
        }
    }
    again_in(t, 0);
}

/* --- topics come and go --- */
static void free_topic(shared_topic *t)
{
    close_reader(t);
    pl_arena_dispose(&t->arena);
    pl_free(t);
}

/* Whether nobody has come meanwhile. */
static bool forget(shared_topic *t)
{
    pl_topics *home = t->home;
    pthread_mutex_lock(&home->hub->lock);
    bool unused = t->parts == 0;
    if (unused)
        pl_map_remove(&home->hub->topics, t->key);
    pthread_mutex_unlock(&home->hub->lock);
    if (!unused)
        return false;
    shared_topic **at = &home->topics;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    free_topic(t);
    return true;
}

static void on_timer(pl_timer *timer)
{
    shared_topic *t = timer->data;
    pl_host *host = t->home->host;
    if (t->lingers && host->ops->now(host) >= t->until && forget(t))
        return;
    if (t->reader)
        pump(t);
    else
        start(t, NULL, 0);
    if (t->lingers && t->timer.index == 0)
        host->ops->timer_start(host, &t->timer, t->until);
}

static void look_at(shared_topic *t, unsigned parts)
{
    pl_host *host = t->home->host;
    if (parts == 0 && !t->lingers) {
        t->until = host->ops->now(host) + t->home->hub->linger_ms;
        t->lingers = true;
        if (t->timer.index == 0)
            host->ops->timer_start(host, &t->timer, t->until);
    } else if (parts > 0) {
        t->lingers = false;
    }
    if (!t->reader && t->timer.index == 0)
        start(t, NULL, 0);
}

/* A message: a topic has come, or the subscribers of one have. */
static void look(pl_message *message)
{
    pl_topics *home = message->data;
    pl_topics_hub *hub = home->hub;
    struct {
        shared_topic *topic;
        unsigned parts;
    } seen[MOST_TOPICS];
    size_t n = 0;
    pthread_mutex_lock(&hub->lock);
    home->posted = false;
    for (size_t i = 0; !home->left && i < hub->topics.count; i++) {
        shared_topic *t = hub->topics.entries[i].value;
        if (t->home == home) {
            seen[n].topic = t;
            seen[n++].parts = t->parts;
        }
    }
    pthread_mutex_unlock(&hub->lock);
    for (size_t i = 0; i < n; i++) {
        shared_topic *t = seen[i].topic;
        if (!t->timer.fire) {
            t->timer = (pl_timer){.fire = on_timer, .data = t};
            t->next = home->topics;
            home->topics = t;
        }
        look_at(t, seen[i].parts);
    }
}

/* --- subscribers --- */
/* With the lock held: the home is chosen by the name, so that topics are spread over workers. */
static pl_topics *choose_home(pl_topics_hub *hub, pl_str key)
{
    unsigned nth = (unsigned)(pl_hash(key.ptr, key.len) % hub->part_count);
    pl_topics *home = hub->parts;
    while (nth-- > 0)
        home = home->next;
    return home;
}

static shared_topic *make_topic(pl_topics_hub *hub, pl_str key, pl_error *err)
{
    shared_topic *t = NULL;
    if (hub->part_count == 0)
        pl_fail(err, PL_UNAVAILABLE, "the server ends");
    else if (hub->topics.count >= MOST_TOPICS)
        pl_fail(err, PL_RESOURCE_EXHAUSTED, "%d topics are subscribed to already", MOST_TOPICS);
    else if (!(t = pl_calloc(1, sizeof *t + key.len + 1)))
        pl_fail_memory(err);
    if (!t)
        return NULL;
    memcpy(t->bytes, key.ptr, key.len);
    t->key = (pl_str){t->bytes, key.len};
    t->home = choose_home(hub, key);
    pl_arena_init(&t->arena, 512);
    if (pl_map_set(&hub->topics, t->key, t))
        return t;
    pl_fail_memory(err);
    pl_free(t);
    return NULL;
}

static pl_code count_part(pl_topics_hub *hub, pl_str key, pl_error *err)
{
    pthread_mutex_lock(&hub->lock);
    shared_topic *t = pl_map_get(&hub->topics, key);
    if (!t)
        t = make_topic(hub, key, err);
    if (t && t->parts++ == 0)
        post(t->home);
    pthread_mutex_unlock(&hub->lock);
    return t ? PL_OK : err->code;
}

/* The last subscriber of a topic on this worker has gone. */
static void on_gone(void *data, pl_str key)
{
    pl_topics_hub *hub = ((pl_topics *)data)->hub;
    if (!pl_str_starts(key, (pl_str){PREFIX, PREFIX_LEN}))
        return;
    pthread_mutex_lock(&hub->lock);
    shared_topic *t = pl_map_get(&hub->topics, key);
    if (t && t->parts > 0 && --t->parts == 0)
        post(t->home);
    pthread_mutex_unlock(&hub->lock);
}

static pl_str key_of(char *into, pl_str topic)
{
    memcpy(into, PREFIX, PREFIX_LEN);
    memcpy(into + PREFIX_LEN, topic.ptr, topic.len);
    return (pl_str){into, PREFIX_LEN + topic.len};
}

pl_code pl_topics_subscribe(pl_topics *topics, pl_instance *instance, pl_str topic, pl_subscriber *subscriber,
                            pl_error *err)
{
    char bytes[PREFIX_LEN + MOST_NAME];
    if (pl_reads_check_brokers(&instance->generation->config.kafka, err) != PL_OK)
        return err->code;
    if (topic.len > MOST_NAME || memchr(topic.ptr, '\0', topic.len))
        return pl_fail(err, PL_INVALID_ARGUMENT, "no name of a topic");
    pl_str key = key_of(bytes, topic);
    bool is_first = !pl_pubsub_has(topics->pubsub, key);
    if (is_first && count_part(topics->hub, key, err) != PL_OK)
        return err->code;
    if (pl_pubsub_subscribe(topics->pubsub, &instance->host, key, subscriber) == 0)
        return PL_OK;
    if (is_first)
        on_gone(topics, key);
    return pl_fail_memory(err);
}

pl_code pl_topics_state(pl_topics *topics, pl_str topic, bool *placed, pl_error *err)
{
    char bytes[PREFIX_LEN + MOST_NAME];
    pl_topics_hub *hub = topics->hub;
    *placed = false;
    if (topic.len > MOST_NAME)
        return pl_fail(err, PL_INVALID_ARGUMENT, "no name of a topic");
    pthread_mutex_lock(&hub->lock);
    const shared_topic *t = pl_map_get(&hub->topics, key_of(bytes, topic));
    if (t)
        *placed = t->placed;
    if (t && t->failure.code)
        *err = t->failure;
    pl_code code = t ? t->failure.code : PL_OK;
    pthread_mutex_unlock(&hub->lock);
    return code;
}

/* --- life --- */
pl_topics_hub *pl_topics_hub_new(pl_pubsub_hub *pubsub, unsigned linger_ms)
{
    pl_topics_hub *hub = pl_calloc(1, sizeof *hub);
    if (!hub)
        return NULL;
    pthread_mutex_init(&hub->lock, NULL);
    hub->pubsub = pubsub;
    hub->linger_ms = linger_ms ? linger_ms : DEFAULT_LINGER_MS;
    return hub;
}

void pl_topics_hub_free(pl_topics_hub *hub)
{
    if (!hub)
        return;
    pl_map_dispose(&hub->topics);
    pthread_mutex_destroy(&hub->lock);
    pl_free(hub);
}

pl_topics *pl_topics_join(pl_topics_hub *hub, pl_pubsub *pubsub, pl_loop *loop, pl_logger *log)
{
    pl_topics *topics = pl_calloc(1, sizeof *topics);
    if (!topics)
        return NULL;
    *topics = (pl_topics){.hub = hub, .pubsub = pubsub, .loop = loop, .host = pl_loop_host(loop), .log = log};
    topics->message = (pl_message){.run = look, .data = topics};
    pl_pubsub_on_gone(pubsub, on_gone, topics);
    pthread_mutex_lock(&hub->lock);
    topics->next = hub->parts;
    hub->parts = topics;
    hub->part_count++;
    pthread_mutex_unlock(&hub->lock);
    return topics;
}

void pl_topics_leave(pl_topics *topics)
{
    if (!topics)
        return;
    pl_topics_hub *hub = topics->hub;
    shared_topic *mine = NULL;
    pthread_mutex_lock(&hub->lock);
    for (pl_topics **at = &hub->parts; *at; at = &(*at)->next) {
        if (*at == topics) {
            *at = topics->next;
            hub->part_count--;
            break;
        }
    }
    topics->left = true;
    for (size_t i = hub->topics.count; i-- > 0;) { /* a removal moves the last one */
        shared_topic *t = hub->topics.entries[i].value;
        if (t->home != topics)
            continue;
        pl_map_remove(&hub->topics, t->key);
        t->next = mine;
        mine = t;
    }
    pthread_mutex_unlock(&hub->lock);
    topics->topics = NULL;
    while (mine) {
        shared_topic *t = mine;
        mine = t->next;
        free_topic(t);
    }
    pl_pubsub_on_gone(topics->pubsub, NULL, NULL);
}

void pl_topics_free(pl_topics *topics)
{
    pl_free(topics);
}

void pl_topics_adopt(pl_topics *topics, const pl_instance *instance)
{
    topics->kafka = &instance->generation->config.kafka;
    for (shared_topic *t = topics->topics; t; t = t->next) {
        if (t->reader && !pl_kafka_config_eq(&t->made, topics->kafka))
            restart(t);
    }
}

pl_topics_stats pl_topics_get_stats(const pl_topics *topics)
{
    pl_topics_stats stats = {.events = topics->events};
    for (const shared_topic *t = topics->topics; t; t = t->next) {
        if (!t->reader)
            continue;
        pl_reader_stats s = pl_reader_get_stats(t->reader);
        stats.readers++;
        stats.events += s.events;
        stats.lag += s.lag;
    }
    return stats;
}
