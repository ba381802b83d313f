/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "bindings/lua/encode.h"
#include "bindings/lua/internal.h"
#include "bindings/lua/topics.h"
#include "value/json.h"

/* The C half of perilune.pubsub: publishing, and queues of events for scripts to take from.
 *
 * An event is read from JSON once for all subscribers of the state. It is put into each subscriber's queue as
 * it comes; the calls that wait for one are resumed from a timer, in slices, so that an event for thousands
 * of subscribers does not hold the loop.
 *
 * What waits is bounded by bytes as well as by number: those of each queue, and those of all events that any
 * queue of the state has, each of them once. An event's bytes are about what reading it took.
 *
 * The server knows a queue by its address; what keeps it alive is the script alone (one that waits for an
 * event has it on its stack): a queue that is collected unsubscribes. */

#define QUEUE_TYPE "perilune.pubsub.queue"
#define DEFAULT_CAPACITY 1000
#define MAX_CAPACITY 1000000
#define DEFAULT_MAX_BYTES ((lua_Integer)4 << 20)
#define SHARE_OF_MEMORY 4 /* events take at most this part of what the state may */
#define SLICE_MS 20

/* Keys of the registry: the metatable of subscriptions, and their method `next` as it is. */
static const char subscription_type, subscription_next;

typedef enum policy { DROP_OLDEST, DROP_NEWEST, CLOSE } policy;
static const char *const policies[] = {"drop_oldest", "drop_newest", "close", NULL};

typedef struct plua_queue queue;

/* An event that waits in queues, or is the one read last. */
typedef struct held {
    uint32_t refs;
    size_t size;
} held;

/* Of a state. */
typedef struct hub {
    plua_state *st;
    queue *ready, *last_ready; /* those whose calls can go on, first come first served */
    pl_timer timer;
    bool armed;
    int queues;        /* from address to queue, with weak values: a ref */
    uint64_t event_id; /* of the event read last */
    int event_value;   /* it, a ref */
    held *event;
    size_t bytes; /* of all that is held */
    pl_arena arena;
} hub;

struct plua_queue {
    pl_subscriber subscriber; /* first */
    hub *hub;
    plua_wait wait;
    bool subscribed, awaits; /* awaits: not an event, but news of its topic of Kafka, or the end of a time */
    pl_timer timer;          /* of that time */
    queue *work_next, **work_place; /* among those of the subscriber's work */
    policy policy;
    uint32_t capacity, count;
    lua_Integer head; /* index of the oldest event in the table of values */
    held **ring;      /* the events, from head on; room is a power of 2, or 0 */
    uint32_t room;
    size_t bytes, max_bytes;
    uint64_t dropped;
    pl_topic_progress *progress; /* of the subscription that it is a source of; NULL: none */
    enum { NOT_FULL, FULL_BY_NUMBER, FULL_BY_BYTES } full; /* CLOSE: how it overflowed */
    bool is_ready;
    queue *ready_next, *ready_prev;
};

/* --- who can go on --- */
static void on_timer(pl_timer *timer);

static bool arm(hub *h)
{
    pl_host *host = h->st->head.host;
    if (!h->armed)
        h->armed = host->ops->timer_start(host, &h->timer, host->ops->now(host)) == 0;
    return h->armed;
}

static void not_ready(queue *q)
{
    hub *h = q->hub;
    if (!q->is_ready)
        return;
    *(q->ready_prev ? &q->ready_prev->ready_next : &h->ready) = q->ready_next;
    *(q->ready_next ? &q->ready_next->ready_prev : &h->last_ready) = q->ready_prev;
    q->is_ready = false;
}

static void finish(queue *q)
{
    not_ready(q);
    plua_wait_finish(&q->wait);
}

static void on_timer(pl_timer *timer)
{
    hub *h = timer->data;
    uint64_t began = atomic_load_explicit(&h->st->watched_now, memory_order_relaxed);
    h->armed = false;
    while (h->ready) {
        finish(h->ready);
        if (atomic_load_explicit(&h->st->watched_now, memory_order_relaxed) - began >= SLICE_MS && h->ready &&
            arm(h))
            return;
    }
}

/* Who waits for an event goes on in the loop's next turn. False: without memory for that. */
static bool wake_soon(queue *q)
{
    hub *h = q->hub;
    if (!q->wait.call || q->is_ready)
        return true;
    if (!arm(h))
        return false;
    q->is_ready = true;
    q->ready_next = NULL;
    q->ready_prev = h->last_ready;
    *(h->last_ready ? &h->last_ready->ready_next : &h->ready) = q;
    h->last_ready = q;
    return true;
}

/* The same, but at once where it cannot be later; not inside of a script. */
static void wake(queue *q)
{
    if (!wake_soon(q))
        finish(q);
}

/* --- whose they are --- */
static void work_add(queue *q, pl_work *work)
{
    q->subscriber.work = work;
    if (!work)
        return;
    q->work_next = work->queues;
    if (q->work_next)
        q->work_next->work_place = &q->work_next;
    q->work_place = &work->queues;
    work->queues = q;
}

static void work_remove(queue *q)
{
    q->subscriber.work = NULL;
    if (!q->work_place)
        return;
    *q->work_place = q->work_next;
    if (q->work_next)
        q->work_next->work_place = q->work_place;
    q->work_place = NULL;
}

/* --- what queues hold --- */
static void release(hub *h, held *event)
{
    if (!event || --event->refs > 0)
        return;
    h->bytes -= event->size;
    pl_free(event);
}

static held **place(const queue *q, lua_Integer at)
{
    return &q->ring[(lua_Unsigned)at & (q->room - 1)];
}

static bool grow(queue *q)
{
    uint32_t room = q->room ? q->room * 2 : 4;
    held **ring = pl_calloc(room, sizeof *ring);
    if (!ring)
        return false;
    for (uint32_t i = 0; i < q->count; i++)
        ring[(lua_Unsigned)(q->head + i) & (room - 1)] = *place(q, q->head + i);
    pl_free(q->ring);
    q->ring = ring;
    q->room = room;
    return true;
}

/* Removes the oldest event from the queue, whose table is at the top of the stack. */
static void drop_oldest(queue *q, lua_State *L)
{
    held *oldest = *place(q, q->head);
    q->bytes -= oldest->size;
    release(q->hub, oldest);
    lua_pushnil(L);
    lua_rawseti(L, -2, q->head++);
    if (--q->count == 0 && q->room > 16) { /* what idles has nothing */
        pl_free(q->ring);
        q->ring = NULL;
        q->room = 0;
    }
}

static void drop_all(queue *q)
{
    for (uint32_t i = 0; i < q->count; i++)
        release(q->hub, *place(q, q->head + i));
    pl_free(q->ring);
    q->ring = NULL;
    q->count = q->room = 0;
}

/* --- events come --- */
static held *hold(hub *h, size_t size)
{
    held *event = pl_malloc(sizeof *event);
    if (event) {
        *event = (held){1, size};
        h->bytes += size;
    }
    return event;
}

/* About: the message, and the event that it will be decoded to. */
static size_t event_size(const pl_incoming *in)
{
    return 512 + 128 * in->header_count + in->key.len + 4 * in->value.len;
}

/* Pushes the event's value; all subscribers of the state get the same. [jumps] */
static void push_event(hub *h, const pl_event *event)
{
    lua_State *L = h->st->L;
    pl_value value;
    pl_error err;
    pl_error_clear(&err);
    if (h->event_id != event->id) {
        luaL_unref(L, LUA_REGISTRYINDEX, h->event_value);
        h->event_value = LUA_NOREF;
        h->event_id = 0;
        release(h, h->event);
        h->event = NULL;
        pl_arena_reset(&h->arena);
        if (event->incoming) {
            plua_push_incoming(L, event->incoming);
        } else {
            if (pl_json_read(&h->arena, event->json, NULL, &value, &err) != PL_OK)
                luaL_error(L, "%s", err.message);
            plua_push_json(L, &value);
        }
        h->event = hold(h, event->incoming ? event_size(event->incoming) : h->arena.used);
        pl_arena_reset(&h->arena);
        h->event_value = luaL_ref(L, LUA_REGISTRYINDEX);
        if (!h->event)
            plua_throw(L);
        h->event_id = event->id;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->event_value);
}

static void leave(queue *q)
{
    pl_host *host = q->hub->st->head.host;
    work_remove(q);
    if (!q->subscribed)
        return;
    q->subscribed = false;
    if (q->subscriber.topic)
        host->ops->unsubscribe(host, &q->subscriber);
}

/* The source of a GraphQL subscription may be a function that has one of these inside: it ends with it. What
 * other work has subscribed to, scripts may keep. */
void plua_queues_end(pl_work *work)
{
    bool ends = work->operation_kind && strcmp(work->operation_kind, "subscription") == 0;
    while (work->queues) {
        queue *q = work->queues;
        if (ends) {
            leave(q);
            wake_soon(q);
        } else {
            work_remove(q);
        }
    }
}

static void count_dropped(queue *q, const pl_event *event)
{
    plua_state *st = q->hub->st;
    q->dropped++;
    if (event->dropped)
        ++*event->dropped;
    if ((q->dropped & (q->dropped - 1)) == 0) /* 1, 2, 4, … */
        pl_log(st->config.log, PL_WARN, "subscriber is slow: events dropped", PL_F_INT("dropped", q->dropped),
               PL_F_CSTR("policy", policies[q->policy]), PL_F_INT("waiting", q->count),
               PL_F_INT("bytes", q->bytes),
               PL_F_STR("request", q->subscriber.work ? q->subscriber.work->id : PL_STR_NONE));
}

/* One event always has room. */
static bool is_full(const queue *q, size_t size)
{
    const hub *h = q->hub;
    return q->count > 0 && (q->count >= q->capacity || q->bytes + size > q->max_bytes ||
                            h->bytes > h->st->config.limits.memory / SHARE_OF_MEMORY);
}

/* Drops what the policy says, for one more event of this size. False: the event itself. */
static bool make_room(queue *q, const pl_event *event, size_t size, lua_State *L)
{
    while (is_full(q, size)) {
        count_dropped(q, event);
        if (q->policy == CLOSE) {
            q->full = q->count >= q->capacity ? FULL_BY_NUMBER : FULL_BY_BYTES;
            leave(q);
        }
        if (q->policy != DROP_OLDEST)
            return false;
        drop_oldest(q, L);
    }
    return true;
}

typedef struct arrival {
    queue *queue;
    const pl_event *event;
} arrival;

/* [jumps] */
static void note_arrival(const queue *q, const pl_event *event)
{
    const pl_incoming *in = event->incoming;
    if (in && q->progress && !pl_topic_progress_meet(q->progress, in->partition, in->offset))
        plua_throw(q->hub->st->L);
}

static void arrive(void *data)
{
    arrival *a = data;
    queue *q = a->queue;
    hub *h = q->hub;
    lua_State *L = h->st->L;
    if (!lua_checkstack(L, 8))
        plua_throw(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->queues);
    if (lua_rawgetp(L, -1, q) != LUA_TUSERDATA) /* it is being collected */
        return;
    note_arrival(q, a->event);
    lua_getiuservalue(L, -1, 1);                               /* stack: queues queue values */
    if (q->policy != DROP_OLDEST && q->count >= q->capacity) { /* it need not be read for that */
        make_room(q, a->event, 0, L);
        return;
    }
    push_event(h, a->event); /* may collect garbage, but not what is on the stack */
    lua_insert(L, -2);
    if (!make_room(q, a->event, h->event->size, L))
        return;
    if (q->count == q->room && !grow(q))
        plua_throw(L);
    lua_insert(L, -2); /* stack: queues queue values event */
    lua_rawseti(L, -2, q->head + q->count);
    *place(q, q->head + q->count++) = h->event;
    q->bytes += h->event->size;
    h->event->refs++;
}

static void on_message(pl_subscriber *subscriber, const pl_event *event)
{
    queue *q = (queue *)subscriber;
    arrival a = {q, event};
    if (event->is_news) {
        if (q->awaits)
            wake(q);
        return;
    }
    pl_error err;
    pl_error_clear(&err);
    if (!plua_protect((pl_state *)q->hub->st, arrive, &a, &err)) {
        q->dropped++;
        if (event->dropped)
            ++*event->dropped;
        pl_log(q->hub->st->config.log, PL_ERROR, "event lost", PL_F_CSTR("error", err.message));
        return;
    }
    if (!q->awaits)
        wake(q);
}

static void on_ended(pl_subscriber *subscriber)
{
    queue *q = (queue *)subscriber;
    leave(q);
    wake(q); /* it may be gone then */
}

/* --- for scripts --- */
static queue *check_queue(lua_State *L)
{
    return luaL_checkudata(L, 1, QUEUE_TYPE);
}

static void stop_awaiting(queue *q)
{
    pl_host *host = q->hub->st->head.host;
    if (q->awaits)
        host->ops->timer_stop(host, &q->timer);
    q->awaits = false;
}

static void wait_cancelled(plua_wait *wait)
{
    not_ready(wait->data);
    stop_awaiting(wait->data);
}

static void on_awaited(pl_timer *timer)
{
    wake(timer->data);
}

static int awaited(lua_State *L, int status, lua_KContext ctx)
{
    stop_awaiting(check_queue(L));
    return 0;
}

/* queue:await(seconds) waits for news of its topic, but no longer than that */
static int queue_await(lua_State *L)
{
    queue *q = check_queue(L);
    lua_Number seconds = luaL_checknumber(L, 2);
    pl_host *host = q->hub->st->head.host;
    if (!q->subscribed)
        return 0;
    if (q->wait.call)
        return luaL_error(L, "another call waits for an event of this subscription already");
    plua_wait_check(L, "events:subscribe");
    q->timer = (pl_timer){.fire = on_awaited, .data = q};
    if (host->ops->timer_start(host, &q->timer, host->ops->now(host) + (uint64_t)(seconds * 1000)) != 0)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    q->awaits = true;
    plua_wait_begin(L, "events:subscribe", &q->wait, wait_cancelled);
    return plua_wait_yield(L, 0, awaited);
}

/* The queue is at index 1. */
static int take(lua_State *L, int status, lua_KContext ctx)
{
    queue *q = lua_touserdata(L, 1);
    lua_settop(L, 1);
    if (q->count > 0) {
        lua_getiuservalue(L, 1, 1); /* stack: queue values */
        lua_rawgeti(L, 2, q->head);
        lua_insert(L, 2);
        drop_oldest(q, L); /* which has been taken */
        lua_pop(L, 1);
        return 1;
    }
    if (q->full == FULL_BY_NUMBER)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED,
                          "The subscriber is too slow: more than %u events were waiting for it.",
                          q->capacity);
    if (q->full)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED,
                          "The subscriber is too slow: the events that were waiting for it took too much "
                          "memory.");
    if (!q->subscribed)
        return 0;
    if (q->wait.call)
        return luaL_error(L, "another call waits for an event of this subscription already");
    plua_wait_begin(L, "subscription:next", &q->wait, wait_cancelled);
    return plua_wait_yield(L, 0, take);
}

/* queue:take() waits for the next event and returns it; nil when nothing comes any more */
static int queue_take(lua_State *L)
{
    check_queue(L);
    return take(L, LUA_OK, 0);
}

/* The same; the queue is the upvalue. */
static int take_next(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    return take(L, LUA_OK, 0);
}

/* core.subscription(methods): the metatable of subscriptions, in which method `next` takes from the `queue`,
 * if there is no `filter` */
static int core_subscription(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "next");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &subscription_next);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &subscription_type);
    return 0;
}

/* Whether the object, of that type, takes what comes as it comes: nothing of it was replaced. */
static bool is_plain(lua_State *L, int object)
{
    static const char *const absent[] = {"filter", "next"};
    int top = lua_gettop(L);
    bool plain = lua_istable(L, object) && lua_getmetatable(L, object);
    if (plain) { /* stack: type */
        lua_rawgetp(L, LUA_REGISTRYINDEX, &subscription_type);
        plain = lua_rawequal(L, -1, -2);
    }
    if (plain) { /* stack: type type */
        lua_pushliteral(L, "next");
        lua_rawget(L, -2);
        lua_rawgetp(L, LUA_REGISTRYINDEX, &subscription_next);
        plain = lua_rawequal(L, -1, -2);
    }
    for (size_t i = 0; plain && i < sizeof absent / sizeof *absent; i++) {
        lua_pushstring(L, absent[i]);
        plain = lua_rawget(L, object) == LUA_TNIL;
    }
    lua_settop(L, top);
    return plain;
}

bool plua_push_event_iterator(lua_State *L, int object)
{
    if (!is_plain(L, object))
        return false;
    lua_pushliteral(L, "queue");
    lua_rawget(L, object);
    if (luaL_testudata(L, -1, QUEUE_TYPE)) {
        lua_pushcclosure(L, take_next, 1);
        return true;
    }
    lua_pop(L, 1);
    return false;
}

static int queue_close(lua_State *L)
{
    queue *q = check_queue(L);
    if (q->subscribed && !wake_soon(q))
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "the subscription could not be closed: out of memory");
    leave(q);
    return 0;
}

static int queue_dropped(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check_queue(L)->dropped);
    return 1;
}

static int queue_gc(lua_State *L)
{
    queue *q = lua_touserdata(L, 1);
    not_ready(q);
    stop_awaiting(q);
    leave(q);
    drop_all(q);
    pl_topic_progress_unref(q->progress);
    q->progress = NULL;
    return 0;
}

static pl_str check_topic(lua_State *L, int index)
{
    pl_str topic;
    topic.ptr = luaL_checklstring(L, index, &topic.len);
    luaL_argcheck(L, topic.len > 0 && topic.len <= 1024 && topic.ptr[0] != '\0', index,
                  "a topic of 1 to 1024 bytes is expected, the first of which is not 0");
    return topic;
}

static hub *hub_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static pl_host *check_host(lua_State *L)
{
    pl_host *host = plua_host(L);
    if (!host || !host->ops->subscribe)
        luaL_error(L, "events cannot be published or subscribed to here: there is no server behind");
    return host;
}

/* Makes the queue for (topic, capacity, policy, max_bytes), and pushes it; upvalue: hub */
static queue *push_queue(lua_State *L)
{
    lua_Integer capacity = luaL_optinteger(L, 2, DEFAULT_CAPACITY);
    luaL_argcheck(L, capacity >= 1 && capacity <= MAX_CAPACITY, 2,
                  "a queue of 1 to 1,000,000 events is expected");
    policy p = (policy)luaL_checkoption(L, 3, policies[0], policies);
    lua_Integer max_bytes = luaL_optinteger(L, 4, DEFAULT_MAX_BYTES);
    luaL_argcheck(L, max_bytes >= 1, 4, "at least one byte is expected");
    queue *q = lua_newuserdatauv(L, sizeof *q, 1); /* stack: … queue */
    *q = (queue){.hub = hub_of(L),
                 .policy = p,
                 .capacity = (uint32_t)capacity,
                 .head = 1,
                 .max_bytes = (size_t)max_bytes};
    q->wait.data = q;
    q->subscriber = (pl_subscriber){.message = on_message, .ended = on_ended};
    luaL_setmetatable(L, QUEUE_TYPE);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, q->hub->queues);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, q);
    lua_pop(L, 1);
    return q;
}

static int subscribed(lua_State *L, queue *q)
{
    q->subscribed = true;
    work_add(q, (pl_work *)plua_work(L));
    return 1;
}

/* core.subscribe(topic, capacity, policy, max_bytes) → queue */
static int core_subscribe(lua_State *L)
{
    pl_str topic = check_topic(L, 1);
    pl_host *host = check_host(L);
    queue *q = push_queue(L);
    if (host->ops->subscribe(host, topic, &q->subscriber) != 0)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "the subscription could not be made: out of memory");
    return subscribed(L, q);
}

/* core.subscribe_topic(topic, capacity, policy, max_bytes, progress) → queue, of messages of a topic of
 * Kafka; progress may be nil */
static int core_subscribe_topic(lua_State *L)
{
    pl_str topic = check_topic(L, 1);
    pl_host *host = check_host(L);
    pl_error err;
    pl_error_clear(&err);
    if (!host->ops->subscribe_topic)
        return plua_raise(L, PL_FAILED_PRECONDITION,
                          "topics can be subscribed to only where there is a server");
    pl_topic_progress *progress = plua_test_progress(L, 5);
    queue *q = push_queue(L);
    q->progress = progress ? pl_topic_progress_ref(progress) : NULL;
    if (host->ops->subscribe_topic(host, topic, &q->subscriber, &err) != PL_OK)
        return plua_raise(L, err.code, "%s: %s", topic.ptr, err.message);
    return subscribed(L, q);
}

/* core.topic_state(topic) → whether what is published from now on will come; raises why it cannot be read */
static int core_topic_state(lua_State *L)
{
    pl_str topic = check_topic(L, 1);
    pl_host *host = check_host(L);
    bool placed = false;
    pl_error err;
    pl_error_clear(&err);
    if (host->ops->topic_state(host, topic, &placed, &err) != PL_OK)
        return plua_raise(L, err.code, "%s", err.message);
    lua_pushboolean(L, placed);
    return 1;
}

/* core.cluster_topic() → the topic of Kafka that events go through, or nil */
static int core_cluster_topic(lua_State *L)
{
    pl_host *host = plua_host(L);
    pl_str topic = host && host->ops->pubsub_topic ? host->ops->pubsub_topic(host) : PL_STR_NONE;
    if (topic.len == 0)
        return 0;
    lua_pushlstring(L, topic.ptr, topic.len);
    return 1;
}

/* core.publish(topic, value) */
static int core_publish(lua_State *L)
{
    static const plua_encode_options options = {0};
    pl_str topic = check_topic(L, 1);
    luaL_checkany(L, 2);
    pl_host *host = check_host(L);
    pl_error err;
    pl_error_clear(&err);
    pl_buf *json = plua_push_buf(L);
    if (!plua_encode(L, 2, &options, json, &err))
        return plua_raise(L, err.code, "the event cannot be published: %s", err.message);
    if (json->failed)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "the event cannot be published: out of memory");
    if (host->ops->publish(host, topic, pl_buf_view(json), &err) != PL_OK)
        return plua_raise(L, err.code, "the event cannot be published: %s", err.message);
    pl_buf_dispose(json);
    return 0;
}

static int hub_gc(lua_State *L)
{
    hub *h = lua_touserdata(L, 1);
    if (h->armed)
        h->st->head.host->ops->timer_stop(h->st->head.host, &h->timer);
    h->armed = false;
    release(h, h->event);
    h->event = NULL;
    pl_arena_dispose(&h->arena);
    return 0;
}

static void push_hub(lua_State *L)
{
    hub *h = lua_newuserdatauv(L, sizeof *h, 0);
    *h = (hub){.st = plua_state_of(L), .event_value = LUA_NOREF, .timer = {.fire = on_timer, .data = h}};
    pl_arena_init(&h->arena, 1024);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, hub_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_newtable(L); /* the queues */
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    h->queues = luaL_ref(L, LUA_REGISTRYINDEX);
}

int plua_open_pubsub(lua_State *L)
{
    static const luaL_Reg methods[] = {{"take", queue_take},
                                       {"close", queue_close},
                                       {"dropped", queue_dropped},
                                       {"await", queue_await},
                                       {NULL, NULL}};
    static const luaL_Reg functions[] = {{"subscribe", core_subscribe},
                                         {"publish", core_publish},
                                         {"subscribe_topic", core_subscribe_topic},
                                         {"topic_state", core_topic_state},
                                         {"cluster_topic", core_cluster_topic},
                                         {"subscription", core_subscription},
                                         {NULL, NULL}};
    plua_push_type(L, &(plua_type){.name = QUEUE_TYPE, .gc = queue_gc, .methods = methods});
    lua_pop(L, 1);
    luaL_newlibtable(L, functions);
    push_hub(L);
    luaL_setfuncs(L, functions, 1);
    return 1;
}
