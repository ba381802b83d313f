/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "bindings/lua/internal.h"
#include "bindings/lua/topics.h"

/* The C half of perilune.topics: events that are read from topics of Kafka. */

#define SOURCE_TYPE "perilune.topics.source"
#define PROGRESS_TYPE "perilune.topics.progress"
#define MOST_PLACES 100000

typedef struct source {
    pl_source *source; /* NULL: closed */
    plua_wait wait;
    bool closing;     /* when the call that waits goes on */
    pl_incoming in;   /* what was taken last */
    bool has_to_tell; /* it has not become a message yet: there was no memory */
} source;

/* --- messages --- */
static void set_string(lua_State *L, const char *name, pl_str value)
{
    if (!value.ptr)
        return;
    lua_pushlstring(L, value.ptr, value.len);
    lua_setfield(L, -2, name);
}

static void set_headers(lua_State *L, const pl_incoming *in)
{
    lua_createtable(L, 0, (int)in->header_count);
    for (size_t i = 0; i < in->header_count; i++) {
        lua_pushlstring(L, in->headers[i].name.ptr, in->headers[i].name.len);
        lua_pushlstring(L, in->headers[i].value.ptr ? in->headers[i].value.ptr : "",
                        in->headers[i].value.len);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "headers");
}

void plua_push_incoming(lua_State *L, const pl_incoming *in)
{
    luaL_checkstack(L, 6, NULL);
    lua_createtable(L, 0, 8);
    set_string(L, "topic", in->topic);
    set_string(L, "key", in->key);
    set_string(L, "value", in->value);
    lua_pushinteger(L, in->partition);
    lua_setfield(L, -2, "partition");
    lua_pushinteger(L, in->offset);
    lua_setfield(L, -2, "offset");
    if (in->timestamp >= 0) {
        lua_pushnumber(L, (lua_Number)in->timestamp / 1000);
        lua_setfield(L, -2, "timestamp");
    }
    lua_pushfstring(L, "%s/%d/%I", in->topic.ptr, (int)in->partition, (LUAI_UACINT)in->offset);
    lua_setfield(L, -2, "id");
    set_headers(L, in);
}

/* --- core.read(topic, options) --- */
static bool is(lua_State *L, int index, const char *text)
{
    return lua_type(L, index) == LUA_TSTRING && strcmp(lua_tostring(L, index), text) == 0;
}

/* "beginning", "end", an offset, or { timestamp = seconds }; the Lua half has checked it. */
static pl_read_place read_place(lua_State *L, int index)
{
    pl_read_place place = {.from = PL_READ_BEGINNING};
    if (is(L, index, "end")) {
        place.from = PL_READ_END;
    } else if (lua_isinteger(L, index)) {
        place = (pl_read_place){.from = PL_READ_OFFSET, .at = lua_tointeger(L, index)};
    } else if (lua_istable(L, index)) {
        lua_getfield(L, index, "timestamp");
        place = (pl_read_place){.from = PL_READ_TIME, .at = (int64_t)floor(lua_tonumber(L, -1) * 1000)};
        lua_pop(L, 1);
    }
    return place;
}

/* { [partition] = place, … } at the index, into memory that is pushed. */
static const pl_read_place *read_places(lua_State *L, int index, size_t *count)
{
    size_t n = 0;
    *count = 0;
    if (!lua_istable(L, index))
        return NULL;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        (*count)++;
    luaL_argcheck(L, *count <= MOST_PLACES, index, "too many partitions");
    pl_read_place *places = lua_newuserdatauv(L, (*count + 1) * sizeof *places, 0);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        places[n] = read_place(L, lua_gettop(L));
        places[n++].partition = (int32_t)lua_tointeger(L, -2);
    }
    return places;
}

static void wait_cancelled(plua_wait *wait)
{
    ((source *)wait->data)->source->readable = NULL;
}

/* core.read(topic, start, places, only_places, to_end, uncommitted, timeout) → source */
static int core_read(lua_State *L)
{
    pl_host *host = plua_host(L);
    pl_read_spec spec = {.patience_ms = (uint64_t)(luaL_optnumber(L, 7, 0) * 1000)};
    pl_error err;
    pl_error_clear(&err);
    spec.topic.ptr = luaL_checklstring(L, 1, &spec.topic.len);
    luaL_argcheck(L, spec.topic.len > 0 && strlen(spec.topic.ptr) == spec.topic.len, 1, "no name of a topic");
    lua_settop(L, 7);
    spec.start = read_place(L, 2);
    spec.only_places = lua_toboolean(L, 4);
    spec.to_end = lua_toboolean(L, 5);
    spec.uncommitted = lua_toboolean(L, 6);
    spec.places = read_places(L, 3, &spec.place_count);
    if (!host || !host->ops->read)
        return plua_raise(L, PL_FAILED_PRECONDITION, "topics can be read only where there is a server");
    source *s = lua_newuserdatauv(L, sizeof *s, 0);
    *s = (source){.wait = {.data = s}};
    luaL_setmetatable(L, SOURCE_TYPE);
    if (host->ops->read(host, &spec, &s->source, &err) != PL_OK)
        return plua_raise(L, err.code, "%s: %s", spec.topic.ptr, err.message);
    return 1;
}

/* --- source:take() --- */
static void on_readable(pl_source *base)
{
    source *s = base->waiter;
    base->readable = NULL;
    plua_wait_finish(&s->wait);
}

static int take(lua_State *L, int status, lua_KContext ctx);

static int wait_for_more(lua_State *L, source *s)
{
    if (s->wait.call)
        return luaL_error(L, "another call waits for an event of this topic already");
    plua_wait_begin(L, "events:read", &s->wait, wait_cancelled);
    s->source->waiter = s;
    s->source->readable = on_readable;
    return plua_wait_yield(L, 0, take);
}

static int tell(lua_State *L, source *s)
{
    s->has_to_tell = true;
    plua_push_incoming(L, &s->in);
    s->has_to_tell = false;
    return 1;
}

static void end(source *s)
{
    if (s->source)
        s->source->ops->close(s->source);
    s->source = NULL;
    s->has_to_tell = false;
}

static int take(lua_State *L, int status, lua_KContext ctx)
{
    source *s = luaL_checkudata(L, 1, SOURCE_TYPE);
    pl_error err;
    lua_settop(L, 1);
    if (s->closing)
        end(s);
    if (!s->source)
        return 0;
    if (s->has_to_tell)
        return tell(L, s);
    plua_wait_check(L, "events:read");
    pl_error_clear(&err);
    switch (s->source->ops->take(s->source, &s->in, &err)) {
    case PL_TAKEN_EVENT:
        return tell(L, s);
    case PL_TAKEN_CAUGHT_UP:
        lua_pushinteger(L, s->in.partition);
        lua_pushinteger(L, s->in.offset);
        return 2;
    case PL_TAKEN_NOTHING:
        return wait_for_more(L, s);
    case PL_TAKEN_END:
        return 0;
    case PL_TAKEN_FAILED:
        break;
    }
    return plua_raise(L, err.code, "%s", err.message);
}

/* A message; or a partition and the offset up to which it has been read; or nothing, at the end. */
static int source_take(lua_State *L)
{
    return take(L, LUA_OK, 0);
}

/* Who waits for it goes on in the loop's next turn, and finds that it is closed. */
static int source_close(lua_State *L)
{
    source *s = luaL_checkudata(L, 1, SOURCE_TYPE);
    s->closing = true;
    if (s->wait.call)
        s->source->ops->wake(s->source);
    else
        end(s);
    return 0;
}

static int source_gc(lua_State *L)
{
    end(lua_touserdata(L, 1));
    return 0;
}

/* --- core.progress(topic) --- */
typedef struct progress {
    pl_topic_progress *t;
    unsigned leg;
} progress;

/* core.progress(topic) → the progress of the subscription for which this is called, of one more source from
 * that topic; nil: there is nothing that goes over to another generation. */
static int core_progress(lua_State *L)
{
    const pl_work *work = plua_work(L);
    pl_str topic;
    topic.ptr = luaL_checklstring(L, 1, &topic.len);
    if (!work || !work->progress || work->parent)
        return 0;
    progress *p = lua_newuserdatauv(L, sizeof *p, 0);
    *p = (progress){.leg = work->leg};
    luaL_setmetatable(L, PROGRESS_TYPE);
    if (pl_progress_open(work->progress, work->leg, topic, &p->t) != PL_OK)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    return p->t ? 1 : 0;
}

pl_topic_progress *plua_test_progress(lua_State *L, int index)
{
    progress *p = luaL_testudata(L, index, PROGRESS_TYPE);
    return p ? p->t : NULL;
}

static pl_topic_progress *check_progress(lua_State *L)
{
    return ((progress *)luaL_checkudata(L, 1, PROGRESS_TYPE))->t;
}

static int32_t check_partition(lua_State *L)
{
    return (int32_t)luaL_checkinteger(L, 2);
}

/* progress:take(partition, offset): the event there has been taken */
static int progress_take(lua_State *L)
{
    if (!pl_topic_progress_take(check_progress(L), check_partition(L), luaL_checkinteger(L, 3)))
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    return 0;
}

/* progress:reach(partition, offset): before that there is nothing to be taken any more */
static int progress_reach(lua_State *L)
{
    if (!pl_topic_progress_reach(check_progress(L), check_partition(L), luaL_checkinteger(L, 3)))
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    return 0;
}

/* progress:offsets() → { [partition] = offset }: up to where events have been given */
static int progress_offsets(lua_State *L)
{
    const pl_topic_progress *t = check_progress(L);
    lua_newtable(L);
    for (int32_t i = 0; i < pl_topic_progress_partitions(t); i++) {
        if (pl_topic_progress_of(t, i) < 0)
            continue;
        lua_pushinteger(L, pl_topic_progress_of(t, i));
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* progress:is_live() → whether it has been given what was there before it */
static int progress_is_live(lua_State *L)
{
    lua_pushboolean(L, pl_topic_progress_is_live(check_progress(L)));
    return 1;
}

static int progress_go_live(lua_State *L)
{
    pl_topic_progress_go_live(check_progress(L));
    return 0;
}

/* progress:drained(): all that came before newer code began to listen has been taken */
static int progress_drained(lua_State *L)
{
    progress *p = luaL_checkudata(L, 1, PROGRESS_TYPE);
    pl_topic_progress_drained(p->t, p->leg);
    return 0;
}

/* progress:has_left_some() → whether older code, which has ended, has left some of that */
static int progress_has_left_some(lua_State *L)
{
    progress *p = luaL_checkudata(L, 1, PROGRESS_TYPE);
    lua_pushboolean(L, pl_topic_progress_has_left_some(p->t, p->leg));
    return 1;
}

static int progress_gc(lua_State *L)
{
    pl_topic_progress_unref(((progress *)lua_touserdata(L, 1))->t);
    return 0;
}

int plua_open_topics(lua_State *L)
{
    static const luaL_Reg progress_methods[] = {
        {"take", progress_take},
        {"reach", progress_reach},
        {"offsets", progress_offsets},
        {"is_live", progress_is_live},
        {"go_live", progress_go_live},
        {"drained", progress_drained},
        {"has_left_some", progress_has_left_some},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {{"take", source_take}, {"close", source_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"read", core_read}, {"progress", core_progress}, {NULL, NULL}};
    plua_push_type(L, &(plua_type){.name = SOURCE_TYPE, .gc = source_gc, .methods = methods});
    lua_pop(L, 1);
    plua_push_type(L, &(plua_type){.name = PROGRESS_TYPE, .gc = progress_gc, .methods = progress_methods});
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
