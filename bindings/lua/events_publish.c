/* SPDX-License-Identifier: MIT */
#include "bindings/lua/events_publish.h"

#include <math.h>

#include "base/alloc.h"
#include "bindings/lua/encode.h"
#include "value/outgoing.h"

/* events:publish and publish_batch as they are called nearly always: values as JSON, with a key, a partition
 * or a time at most, of topics of which app.lua says nothing. Anything else is left to the Lua half, before
 * anything has been sent.
 *
 * A *flight* is what a call of these waits for: the events that it has sent. For one event it comes from a
 * pool, as it is needed no longer than the call waits; for a batch it is a userdata. */

#define BATCH_TYPE "perilune.events.batch"
#define POOL_TYPE "perilune.events.pool"
#define MOST_SPARE 1024
#define KEEP_BYTES 65536
#define MOST_BATCH 1000000
#define WHAT "events:publish"

typedef struct flight flight;
typedef struct sent {
    pl_delivery base; /* first */
    flight *of;
    pl_code code;
    int32_t partition;
    int64_t offset;
} sent;

struct flight {
    plua_wait wait;
    struct pool *pool;
    flight *prev, *next; /* in the pool */
    flight *spare;       /* the next of these */
    size_t pending;
    bool for_room;        /* it waits until the last one is in the queue */
    const sent *last;     /* this one */
    const sent *complain; /* the first in the list that was not delivered, and why: own memory, or NULL */
    char *why;
    size_t count;
    sent items[];
};

typedef struct pool {
    flight *all, *spare;
    unsigned spare_count;
} pool;

/* --- flights --- */
static void forget_all(flight *f)
{
    for (size_t i = 0; i < f->count; i++)
        pl_delivery_forget(&f->items[i].base);
    pl_free(f->why);
    f->why = NULL;
}

static flight *take(pool *p)
{
    flight *f = p->spare;
    if (f) {
        p->spare = f->spare;
        p->spare_count--;
        __builtin_prefetch(p->spare, 1);
        __builtin_prefetch((const char *)p->spare + 64, 1);
    } else {
        if (!(f = pl_malloc(sizeof *f + sizeof *f->items)))
            return NULL;
        f->pool = p;
        f->prev = NULL;
        f->next = p->all;
        if (f->next)
            f->next->prev = f;
        p->all = f;
    }
    f->wait = (plua_wait){0};
    f->pending = 0;
    f->for_room = false;
    f->last = f->complain = NULL;
    f->why = NULL;
    f->count = 1;
    f->items[0] = (sent){.of = f};
    return f;
}

static void release(flight *f)
{
    pool *p = f->pool;
    forget_all(f);
    if (p->spare_count < MOST_SPARE) {
        f->spare = p->spare;
        p->spare = f;
        p->spare_count++;
        return;
    }
    *(f->prev ? &f->prev->next : &p->all) = f->next;
    if (f->next)
        f->next->prev = f->prev;
    pl_free(f);
}

static int pool_gc(lua_State *L)
{
    pool *p = lua_touserdata(L, 1);
    for (flight *f = p->all, *next; f; f = next) {
        next = f->next;
        forget_all(f);
        pl_free(f);
    }
    *p = (pool){0};
    return 0;
}

static int batch_gc(lua_State *L)
{
    forget_all(lua_touserdata(L, 1));
    return 0;
}

static void on_accepted(pl_delivery *base)
{
    flight *f = ((sent *)base)->of;
    if (f->wait.call && f->for_room)
        plua_wait_finish(&f->wait);
}

static void on_soon(pl_delivery *base, bool near)
{
    const flight *f = ((const sent *)base)->of;
    if (f->wait.call)
        plua_wait_soon(&f->wait, near);
}

static void on_done(pl_delivery *base, const pl_acknowledgement *ack)
{
    sent *s = (sent *)base;
    flight *f = s->of;
    s->code = ack->code;
    s->partition = ack->partition;
    s->offset = ack->offset;
    f->pending--;
    if (s->code && (!f->complain || s < f->complain)) {
        size_t len = ack->why ? strlen(ack->why) : 0;
        pl_free(f->why);
        f->complain = s;
        f->why = pl_malloc(len + 1);
        if (f->why && len > 0)
            memcpy(f->why, ack->why, len);
        if (f->why)
            f->why[len] = '\0';
    }
    if (f->wait.call && (f->for_room ? s == f->last : f->pending == 0))
        plua_wait_finish(&f->wait);
}

/* --- what is published --- */
/* Upvalues of both functions. */
enum { BUFFER = 1, POOL, TOPIC, PARTITION, OFFSET, KEY, VALUE, TIMESTAMP, UPVALUES = TIMESTAMP };

/* value, key, partition and timestamp of the table at index. False: there is something else. */
static bool read_event(lua_State *L, int index, bool with_value, pl_outgoing *event)
{
    if (lua_getmetatable(L, index)) {
        lua_pop(L, 1);
        return false;
    }
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(name, "key") == 0 && lua_type(L, -1) == LUA_TSTRING) {
            event->key.ptr = lua_tolstring(L, -1, &event->key.len);
        } else if (strcmp(name, "partition") == 0 && lua_isinteger(L, -1) && lua_tointeger(L, -1) >= -1 &&
                   lua_tointeger(L, -1) <= INT32_MAX) {
            event->partition = (int32_t)lua_tointeger(L, -1);
        } else if (strcmp(name, "timestamp") == 0 && lua_type(L, -1) == LUA_TNUMBER &&
                   fabs(lua_tonumber(L, -1)) < 1e12) {
            event->timestamp = (int64_t)floor(lua_tonumber(L, -1) * 1000 + 0.5);
        } else if (!with_value || strcmp(name, "value") != 0) {
            lua_pop(L, 2);
            return false;
        }
    }
    return true;
}

/* The same of one that was plain a moment ago. */
static void read_plain(lua_State *L, int index, pl_outgoing *event)
{
    int top = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(KEY));
    if (lua_rawget(L, index) == LUA_TSTRING)
        event->key.ptr = lua_tolstring(L, -1, &event->key.len);
    lua_pushvalue(L, lua_upvalueindex(PARTITION));
    if (lua_rawget(L, index) == LUA_TNUMBER)
        event->partition = (int32_t)lua_tointeger(L, -1);
    lua_pushvalue(L, lua_upvalueindex(TIMESTAMP));
    if (lua_rawget(L, index) == LUA_TNUMBER)
        event->timestamp = (int64_t)floor(lua_tonumber(L, -1) * 1000 + 0.5);
    lua_settop(L, top);
}

static bool read_topic(lua_State *L, int index, pl_str *topic)
{
    pl_host *host = plua_host(L);
    if (lua_type(L, index) != LUA_TSTRING || !host || !host->ops->produce)
        return false;
    topic->ptr = lua_tolstring(L, index, &topic->len);
    return topic->len > 0 && strlen(topic->ptr) == topic->len &&
           !(host->ops->topic_defaults && host->ops->topic_defaults(host, *topic));
}

/* The value at index as JSON, in the module's buffer: until the next one. */
static pl_str encode(lua_State *L, int index)
{
    static const plua_encode_options options = {.sorted = false};
    pl_buf *buf = lua_touserdata(L, lua_upvalueindex(BUFFER));
    pl_error err;
    if (lua_isnil(L, index))
        return PL_STR_NONE;
    pl_buf_reset(buf, KEEP_BYTES);
    pl_error_clear(&err);
    if (!plua_encode(L, index, &options, buf, &err))
        plua_raise(L, err.code, "json.encode: %s", err.message);
    if (buf->failed)
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "json.encode: out of memory");
    return pl_buf_view(buf);
}

static pl_event_sink *sink_of(lua_State *L)
{
    const pl_work *work = plua_work(L);
    return work ? work->sink : NULL;
}

static void push_ack(lua_State *L, int topic, int32_t partition, int64_t offset)
{
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, lua_upvalueindex(TOPIC));
    lua_pushvalue(L, topic);
    lua_rawset(L, -3);
    lua_pushvalue(L, lua_upvalueindex(PARTITION));
    lua_pushinteger(L, partition);
    lua_rawset(L, -3);
    lua_pushvalue(L, lua_upvalueindex(OFFSET));
    lua_pushinteger(L, offset);
    lua_rawset(L, -3);
}

/* --- core.publish(topic, value, options): its acknowledgement; or nothing: it is for the Lua half --- */
static int published(lua_State *L, int status, lua_KContext ctx)
{
    flight *f = (flight *)ctx;
    sent s = f->items[0];
    char why[256] = "";
    (void)status;
    if (f->why)
        snprintf(why, sizeof why, "%s", f->why);
    release(f);
    if (s.code)
        return plua_raise(L, s.code, "%s: %s", lua_tostring(L, 1), why);
    push_ack(L, 1, s.partition, s.offset);
    return 1;
}

static void on_cancelled(plua_wait *wait)
{
    release((flight *)wait);
}

static int publish(lua_State *L)
{
    pl_outgoing event = {.partition = PL_ANY_PARTITION};
    pl_error err;
    bool waits = false;
    lua_settop(L, 3);
    if (!read_topic(L, 1, &event.topic) || (!lua_isnil(L, 3) && !lua_istable(L, 3)) ||
        (lua_istable(L, 3) && !read_event(L, 3, false, &event)))
        return 0;
    event.value = encode(L, 2);
    pl_error_clear(&err);
    pl_event_sink *sink = sink_of(L);
    if (sink) {
        if (sink->publish(sink, &event, &err) != PL_OK)
            return plua_raise(L, err.code, "%s: %s", event.topic.ptr, err.message);
        push_ack(L, 1, event.partition, -1);
        return 1;
    }
    plua_wait_check(L, WHAT);
    flight *f = take(lua_touserdata(L, lua_upvalueindex(POOL)));
    if (!f)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "%s: out of memory", event.topic.ptr);
    sent *s = &f->items[0];
    s->base = (pl_delivery){.accepted = on_accepted, .done = on_done, .soon = on_soon};
    f->pending = 1;
    if (plua_host(L)->ops->produce(plua_host(L), &event, &s->base, &waits, &err) != PL_OK) {
        release(f);
        return plua_raise(L, err.code, "%s: %s", event.topic.ptr, err.message);
    }
    if (f->pending == 0)
        return published(L, LUA_YIELD, (lua_KContext)f);
    plua_wait_begin(L, WHAT, &f->wait, on_cancelled);
    return plua_wait_yield(L, (lua_KContext)f, published);
}

/* --- core.publish_batch(topic, list): acknowledgements; or false, the places of those that were not
 * delivered, the name of the first one's code, and its message; or nothing --- */
static bool is_plain(lua_State *L, size_t count)
{
    for (size_t i = 1; i <= count; i++) {
        pl_outgoing event;
        lua_rawgeti(L, 2, (lua_Integer)i);
        if (!lua_istable(L, -1) || !read_event(L, 4, true, &event))
            return false;
        lua_pop(L, 1);
        if (i % 1024 == 0)
            plua_check_interrupt(L);
    }
    return true;
}

static int batch_results(lua_State *L, const flight *f)
{
    lua_Integer failed = 0;
    if (!f->complain) {
        lua_createtable(L, (int)f->count, 0);
        for (size_t i = 0; i < f->count; i++) {
            push_ack(L, 1, f->items[i].partition, f->items[i].offset);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_newtable(L);
    for (size_t i = 0; i < f->count; i++) {
        if (f->items[i].code) {
            lua_pushinteger(L, (lua_Integer)i + 1);
            lua_rawseti(L, -2, ++failed);
        }
    }
    lua_pushstring(L, pl_code_name(f->complain->code));
    lua_pushfstring(L, "%s: %s", lua_tostring(L, 1), f->why ? f->why : "");
    return 4;
}

/* stack: topic list flight; the one at `index` is the next. What was plain may have been changed since,
 * unless nothing has `waited`. True: it has to be waited for. */
static bool send_one(lua_State *L, flight *f, size_t index, bool waited)
{
    pl_outgoing event = {.partition = PL_ANY_PARTITION};
    pl_event_sink *sink = sink_of(L);
    pl_error err;
    bool waits = false;
    sent *s = &f->items[index];
    event.topic.ptr = lua_tolstring(L, 1, &event.topic.len);
    lua_rawgeti(L, 2, (lua_Integer)index + 1);
    if (!lua_istable(L, 4) || (waited && !read_event(L, 4, true, &event)))
        luaL_error(L, "events:publish_batch: event %d of the list has changed", (int)index + 1);
    if (!waited)
        read_plain(L, 4, &event);
    lua_pushvalue(L, lua_upvalueindex(VALUE));
    lua_rawget(L, 4);
    event.value = encode(L, 5);
    pl_error_clear(&err);
    if (sink) {
        if (sink->publish(sink, &event, &err) != PL_OK)
            plua_raise(L, err.code, "%s: %s", event.topic.ptr, err.message);
        s->partition = event.partition;
        s->offset = -1;
    } else {
        s->base = (pl_delivery){.accepted = on_accepted, .done = on_done};
        f->last = s;
        f->pending++;
        if (plua_host(L)->ops->produce(plua_host(L), &event, &s->base, &waits, &err) != PL_OK) {
            f->pending--;
            plua_raise(L, err.code, "%s: %s", event.topic.ptr, err.message);
        }
    }
    lua_settop(L, 3);
    return waits;
}

static int batch_on(lua_State *L, int status, lua_KContext index)
{
    flight *f = lua_touserdata(L, 3);
    size_t i = (size_t)index;
    bool room = false;
    while (i < f->count && !room) {
        room = send_one(L, f, i++, status != LUA_OK);
        if (i % 1024 == 0)
            plua_check_interrupt(L);
    }
    f->for_room = room;
    if (!room && f->pending == 0)
        return batch_results(L, f);
    plua_wait_begin(L, "events:publish_batch", &f->wait, NULL);
    return plua_wait_yield(L, (lua_KContext)i, batch_on);
}

static int publish_batch(lua_State *L)
{
    pl_str topic;
    lua_settop(L, 2);
    if (!read_topic(L, 1, &topic) || !lua_istable(L, 2) || lua_getmetatable(L, 2))
        return 0;
    size_t count = lua_rawlen(L, 2);
    if (count == 0 || count > MOST_BATCH)
        return 0;
    if (!sink_of(L))
        plua_wait_check(L, "events:publish_batch");
    flight *f = lua_newuserdatauv(L, sizeof *f + count * sizeof *f->items, 0);
    memset(f, 0, sizeof *f + count * sizeof *f->items);
    f->count = count;
    for (size_t i = 0; i < count; i++)
        f->items[i].of = f;
    plua_push_type(L, &(plua_type){.name = BATCH_TYPE, .gc = batch_gc});
    lua_setmetatable(L, 3);
    return is_plain(L, count) ? batch_on(L, LUA_OK, 0) : 0;
}

/* stack: … core → … core */
void plua_open_publish(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"publish", publish}, {"publish_batch", publish_batch}, {NULL, NULL}};
    plua_push_buf(L);
    pool *p = lua_newuserdatauv(L, sizeof *p, 0);
    *p = (pool){0};
    plua_push_type(L, &(plua_type){.name = POOL_TYPE, .gc = pool_gc});
    lua_setmetatable(L, -2);
    lua_pushliteral(L, "topic");
    lua_pushliteral(L, "partition");
    lua_pushliteral(L, "offset");
    lua_pushliteral(L, "key");
    lua_pushliteral(L, "value");
    lua_pushliteral(L, "timestamp");
    luaL_setfuncs(L, functions, UPVALUES);
}
