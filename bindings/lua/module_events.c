/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "bindings/lua/events_publish.h"
#include "value/outgoing.h"

/* The C half of perilune.events: events on their way to Kafka.
 *
 * core.send gives a delivery, a userdata that the producer knows by its address until the event is
 * acknowledged; one that is collected before that lets the event go on its way without. */

#define DELIVERY_TYPE "perilune.events.delivery"
#define MOST_HEADERS 1000

typedef struct delivery {
    pl_delivery base; /* first */
    plua_wait wait;
    bool in_queue, over;
    pl_code code;
    int32_t partition;
    int64_t offset;
    char why[256];
    pl_logger *log; /* of one that nobody may ever wait for; else NULL */
    char topic[];
} delivery;

static void go_on(delivery *d)
{
    if (d->wait.call)
        plua_wait_finish(&d->wait);
}

static void on_accepted(pl_delivery *base)
{
    delivery *d = (delivery *)base;
    d->in_queue = true;
    go_on(d);
}

static void on_done(pl_delivery *base, const pl_acknowledgement *ack)
{
    delivery *d = (delivery *)base;
    d->in_queue = d->over = true;
    d->code = ack->code;
    d->partition = ack->partition;
    d->offset = ack->offset;
    if (ack->code)
        snprintf(d->why, sizeof d->why, "%s", ack->why ? ack->why : "");
    if (ack->code && d->log && !d->wait.call)
        pl_log(d->log, PL_WARN, "event not delivered", PL_F_CSTR("topic", d->topic),
               PL_F_CSTR("error", d->why));
    go_on(d);
}

static int delivery_gc(lua_State *L)
{
    pl_delivery_forget(lua_touserdata(L, 1));
    return 0;
}

/* --- core.send(topic, value, key, headers, partition, timestamp, pass); core.send_alone: nobody may ever
 * wait for it --- */
static pl_str opt_str(lua_State *L, int arg)
{
    pl_str s = PL_STR_NONE;
    if (!lua_isnoneornil(L, arg))
        s.ptr = luaL_checklstring(L, arg, &s.len);
    return s;
}

/* { name, value, name, value, … }, as the Lua half has made it; the strings stay in that table. */
static const pl_header *read_headers(lua_State *L, int arg, size_t *count)
{
    *count = lua_isnoneornil(L, arg) ? 0 : lua_rawlen(L, arg) / 2;
    luaL_argcheck(L, *count <= MOST_HEADERS, arg, "too many headers");
    if (*count == 0)
        return NULL;
    pl_header *headers = lua_newuserdatauv(L, *count * sizeof *headers, 0);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, arg, 2 * (lua_Integer)i + 1);
        lua_rawgeti(L, arg, 2 * (lua_Integer)i + 2);
        headers[i].name.ptr = luaL_checklstring(L, -2, &headers[i].name.len);
        headers[i].value.ptr = luaL_checklstring(L, -1, &headers[i].value.len);
        lua_pop(L, 2);
    }
    return headers;
}

static int sent(lua_State *L, int status, lua_KContext ctx)
{
    lua_settop(L, 1);
    return 1;
}

/* It is written with its transaction: as far as the script is concerned, that is now. */
static int hand_to_sink(lua_State *L, pl_event_sink *sink, const pl_outgoing *event)
{
    pl_error err;
    pl_error_clear(&err);
    delivery *d = lua_newuserdatauv(L, sizeof *d + event->topic.len + 1, 0);
    *d = (delivery){.in_queue = true, .over = true, .partition = event->partition, .offset = -1};
    memcpy(d->topic, event->topic.ptr, event->topic.len + 1);
    luaL_setmetatable(L, DELIVERY_TYPE);
    if (sink->publish(sink, event, &err) != PL_OK)
        return plua_raise(L, err.code, "%s: %s", event->topic.ptr, err.message);
    return 1;
}

static int send_event(lua_State *L, bool alone)
{
    pl_host *host = plua_host(L);
    pl_error err;
    bool waits = false;
    size_t topic_len;
    const char *topic = luaL_checklstring(L, 1, &topic_len);
    luaL_argcheck(L, strlen(topic) == topic_len && topic_len > 0, 1, "no name of a topic");
    pl_outgoing event = {.topic = {topic, topic_len}, .value = opt_str(L, 2), .key = opt_str(L, 3)};
    event.partition = (int32_t)luaL_optinteger(L, 5, PL_ANY_PARTITION);
    event.timestamp = (int64_t)luaL_optinteger(L, 6, 0);
    event.pass = (uint64_t)luaL_optinteger(L, 7, 0);
    pl_error_clear(&err);
    lua_settop(L, 7);
    event.headers = read_headers(L, 4, &event.header_count);
    pl_work *work = plua_state_of(L)->current ? plua_state_of(L)->current->work : NULL;
    if (work && work->sink && event.pass == 0)
        return hand_to_sink(L, work->sink, &event);
    if (!host || !host->ops->produce)
        return plua_raise(L, PL_FAILED_PRECONDITION, "events can be published only where there is a server");
    plua_wait_check(L, "events:publish");
    delivery *d = lua_newuserdatauv(L, sizeof *d + topic_len + 1, 0);
    *d = (delivery){.base = {.accepted = on_accepted, .done = on_done},
                    .log = alone ? plua_state_of(L)->config.log : NULL};
    memcpy(d->topic, topic, topic_len + 1);
    luaL_setmetatable(L, DELIVERY_TYPE);
    if (host->ops->produce(host, &event, &d->base, &waits, &err) != PL_OK)
        return plua_raise(L, err.code, "%s: %s", event.topic.ptr, err.message);
    lua_replace(L, 1); /* only the delivery has to stay: what was given is copied */
    lua_settop(L, 1);
    if (!waits || d->in_queue)
        return 1;
    plua_wait_begin(L, "events:publish", &d->wait, NULL);
    return plua_wait_yield(L, 0, sent);
}

static int events_send(lua_State *L)
{
    return send_event(L, false);
}

static int events_send_alone(lua_State *L)
{
    return send_event(L, true);
}

/* --- core.wait(delivery): partition, offset; or the code's name and what is wrong --- */
static int told(lua_State *L, int status, lua_KContext ctx)
{
    const delivery *d = luaL_checkudata(L, 1, DELIVERY_TYPE);
    if (d->code) {
        lua_pushnil(L);
        lua_pushstring(L, pl_code_name(d->code));
        lua_pushstring(L, d->why);
        return 3;
    }
    lua_pushinteger(L, d->partition);
    lua_pushinteger(L, d->offset);
    return 2;
}

static int events_wait(lua_State *L)
{
    delivery *d = luaL_checkudata(L, 1, DELIVERY_TYPE);
    lua_settop(L, 1);
    if (d->over)
        return told(L, LUA_OK, 0);
    if (d->wait.call)
        return luaL_error(L, "somebody waits for this event already");
    plua_wait_begin(L, "events:publish", &d->wait, NULL);
    return plua_wait_yield(L, 0, told);
}

/* core.forget(delivery): nobody waits for it any more. */
static int events_forget(lua_State *L)
{
    pl_delivery_forget(luaL_checkudata(L, 1, DELIVERY_TYPE));
    return 0;
}

int plua_open_events(lua_State *L)
{
    static const luaL_Reg functions[] = {{"send", events_send},
                                         {"send_alone", events_send_alone},
                                         {"wait", events_wait},
                                         {"forget", events_forget},
                                         {NULL, NULL}};
    static const plua_type type = {.name = DELIVERY_TYPE, .gc = delivery_gc};
    plua_push_type(L, &type);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    plua_open_publish(L);
    return 1;
}
