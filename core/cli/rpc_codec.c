/* SPDX-License-Identifier: MIT */
#include "cli/rpc_codec.h"

#include "base/alloc.h"
#include "perilune/engines.h"

#define SLOTS 40

struct rpc_codec {
    const pl_engine *e;
    pl_state *state;
    pb_codec *codec;
};

/* One conversion, for pl_engine.protect. */
typedef struct job {
    rpc_codec *codec;
    const pb_message *type;
    pl_str from;
    bool to_json;
    const pb_json_options *options;
    pl_buf *out;
    pl_code code;
    pl_error *err;
} job;

rpc_codec *rpc_codec_new(const pb_pool *pool, pl_error *err)
{
    rpc_codec *c = pl_calloc(1, sizeof(*c));
    if (!c) {
        pl_fail_memory(err);
        return NULL;
    }
    c->e = pl_lua_engine();
    if (c->e->state_new(c->e, &(pl_state_config){0}, &c->state, err) == PL_OK) {
        c->codec = pb_codec_new(pool, c->state);
        if (c->codec)
            return c;
        pl_fail_memory(err);
    }
    rpc_codec_free(c);
    return NULL;
}

void rpc_codec_free(rpc_codec *c)
{
    if (!c)
        return;
    pb_codec_free(c->codec);
    if (c->state)
        c->e->state_free(c->state);
    pl_free(c);
}

static void convert(void *data)
{
    job *j = data;
    rpc_codec *c = j->codec;
    c->e->reserve(c->state, SLOTS);
    j->code = j->to_json ? pb_decode(c->codec, j->type, j->from, j->err)
                         : pb_json_read(c->codec, j->type, j->from, NULL, j->err);
    if (j->code != PL_OK)
        return;
    pl_slot value = c->e->top(c->state);
    j->code = j->to_json ? pb_json_write(c->codec, j->type, value, j->options, j->out, j->err)
                         : pb_encode(c->codec, j->type, value, j->out, j->err);
}

static pl_code run(job *j)
{
    rpc_codec *c = j->codec;
    if (!c->e->protect(c->state, convert, j, j->err))
        j->code = j->err->code != PL_OK ? j->err->code : PL_RESOURCE_EXHAUSTED;
    c->e->idle(c->state);
    if (j->code == PL_OK && j->out->failed)
        j->code = pl_fail_memory(j->err);
    return j->code;
}

pl_code rpc_codec_read(rpc_codec *codec, const pb_message *type, pl_str json, pl_buf *out, pl_error *err)
{
    job j = {.codec = codec, .type = type, .from = json, .out = out, .err = err};
    return run(&j);
}

pl_code rpc_codec_write(rpc_codec *codec, const pb_message *type, pl_str bytes,
                        const pb_json_options *options, pl_buf *out, pl_error *err)
{
    job j = {.codec = codec,
             .type = type,
             .from = bytes,
             .to_json = true,
             .options = options,
             .out = out,
             .err = err};
    return run(&j);
}
