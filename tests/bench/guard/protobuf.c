/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/alloc.h"
#include "guard.h"
#include "perilune/engines.h"
#include "proto/codec.h"

/* A message of twenty small ones, between bytes and Lua values. */

pl_str test_protos(void);

typedef struct coding {
    const pl_engine *engine;
    pl_state *state;
    pb_pool *pool;
    pb_codec *codec;
    const pb_message *type;
    pl_buf wire, out;
    pl_ref value; /* what is encoded */
    pl_error err;
} coding;

static const char address[] = "{\"address\":\"ada.0@example.com\",\"verified\":true}";

static void fill(void *data)
{
    coding *c = data;
    pl_buf json = {0};
    pl_buf_str(&json, pl_str_of("{\"userId\":\"u-1\",\"displayName\":\"Ada Lovelace\",\"emails\":["));
    for (int i = 0; i < 20; i++)
        pl_buf_printf(&json, "%s%s", i ? "," : "", address);
    pl_buf_str(&json, pl_str_of("]}"));
    c->engine->reserve(c->state, 16);
    if (pb_json_read(c->codec, c->type, pl_buf_view(&json), NULL, &c->err))
        guard_die("JSON", c->err.message);
    pl_slot value = c->engine->top(c->state);
    c->value = c->engine->keep(c->state, value);
    if (pb_encode(c->codec, c->type, value, &c->wire, &c->err))
        guard_die("encode", c->err.message);
    pl_buf_dispose(&json);
}

static void *prepare(const void *data)
{
    coding *c = calloc(1, sizeof *c);
    if (!c)
        guard_die("prepare", "out of memory");
    pb_source source = {"tests.binpb", test_protos()};
    c->engine = pl_lua_engine();
    if (pb_pool_new(&source, 1, &c->pool, &c->err) ||
        c->engine->state_new(c->engine, &(pl_state_config){.protos = c->pool}, &c->state, &c->err))
        guard_die("prepare", c->err.message);
    c->codec = pb_codec_new(c->pool, c->state);
    c->type = pb_pool_message(c->pool, PL_STR("test.v1.User"));
    if (!c->codec || !c->type || !c->engine->protect(c->state, fill, c, &c->err))
        guard_die("prepare", "no codec, or no message");
    return c;
}

static void encode(void *data)
{
    coding *c = data;
    pl_slot top = c->engine->top(c->state);
    pl_buf_reset(&c->out, c->out.cap);
    c->engine->reserve(c->state, 16);
    if (pb_encode(c->codec, c->type, c->engine->push_ref(c->state, c->value), &c->out, &c->err))
        guard_die("encode", c->err.message);
    c->engine->pop_to(c->state, top);
}

static void decode(void *data)
{
    coding *c = data;
    pl_slot top = c->engine->top(c->state);
    c->engine->reserve(c->state, 16);
    if (pb_decode(c->codec, c->type, pl_buf_view(&c->wire), &c->err))
        guard_die("decode", c->err.message);
    c->engine->pop_to(c->state, top);
}

static void protect(coding *c, void (*what)(void *data))
{
    if (!c->engine->protect(c->state, what, c, &c->err))
        guard_die("protobuf", c->err.message);
    c->engine->idle(c->state);
}

static void encode_once(void *prepared)
{
    protect(prepared, encode);
}

static void decode_once(void *prepared)
{
    protect(prepared, decode);
}

static void check(void *prepared)
{
    coding *c = prepared;
    if (c->out.len > 0 && !pl_str_eq(pl_buf_view(&c->out), pl_buf_view(&c->wire)))
        guard_die("protobuf", "the same message is encoded differently");
}

static void dispose(void *prepared)
{
    coding *c = prepared;
    pb_codec_free(c->codec);
    c->engine->state_free(c->state);
    pb_pool_free(c->pool);
    pl_buf_dispose(&c->wire);
    pl_buf_dispose(&c->out);
    free(c);
}

const guard_case guard_cases[] = {
    {"protobuf-encode", 1000, prepare, encode_once, check, dispose, NULL},
    {"protobuf-decode", 500, prepare, decode_once, check, dispose, NULL},
    {0},
};
