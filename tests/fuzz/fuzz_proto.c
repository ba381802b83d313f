/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "perilune/engines.h"
#include "proto/codec.h"

/* Messages of tests/unit/support in both of their forms. The first byte chooses the message, the second where
 * the rest is read from (wire or JSON) and which allocation fails, if any. What is accepted is written, and
 * what is written is accepted again and written the same, in both forms. */

pl_str test_protos(void);

static pb_pool *pool;
static pl_state *state;
static pb_codec *codec;
static const pl_engine *engine;

static void check(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}
#define CHECK(condition) check(condition, #condition)

typedef enum form { WIRE, JSON } form;
typedef struct conversion {
    const pb_message *type;
    form from, to;
    pl_str in;
    pl_buf out;
    pl_code read, written;
    pl_error err;
} conversion;

static void convert_section(void *data)
{
    conversion *c = data;
    c->read = c->written = PL_RESOURCE_EXHAUSTED;
    if (!engine->reserve(state, 16))
        return;
    pl_slot top = engine->top(state);
    c->read = c->from == WIRE ? pb_decode(codec, c->type, c->in, &c->err)
                              : pb_json_read(codec, c->type, c->in, NULL, &c->err);
    CHECK(engine->top(state) == top + (c->read == PL_OK));
    if (c->read)
        return;
    c->written = c->to == WIRE ? pb_encode(codec, c->type, top + 1, &c->out, &c->err)
                               : pb_json_write(codec, c->type, top + 1, NULL, &c->out, &c->err);
    CHECK(engine->top(state) == top + 1);
}

/* out is initialised here, and disposed by the caller. */
static void convert(conversion *c)
{
    pl_buf_init(&c->out);
    c->err.message[0] = '\0';
    if (!engine->protect(state, convert_section, c, &c->err))
        c->read = PL_RESOURCE_EXHAUSTED;
    if (c->read || c->written)
        CHECK(c->err.message[0] != '\0');
}

static int by_byte(const void *a, const void *b)
{
    return *(const unsigned char *)a - *(const unsigned char *)b;
}

/* The entries of maps come in no order, so what is the same has the same bytes in some order. */
static bool same_bytes(pl_buf *a, pl_buf *b)
{
    if (a->len != b->len)
        return false;
    if (a->len == 0 || memcmp(a->data, b->data, a->len) == 0)
        return true;
    qsort(a->data, a->len, 1, by_byte);
    qsort(b->data, b->len, 1, by_byte);
    return memcmp(a->data, b->data, a->len) == 0;
}

/* What was written is read and written again. */
static void check_again(const pb_message *type, form form, pl_buf *text)
{
    conversion again = {.type = type, .from = form, .to = form, .in = pl_buf_view(text)};
    convert(&again);
    if (again.read == PL_RESOURCE_EXHAUSTED || again.written == PL_RESOURCE_EXHAUSTED)
        goto done;
    check(again.read == PL_OK, again.err.message);
    check(again.written == PL_OK, again.err.message);
    CHECK(same_bytes(text, &again.out));
done:
    pl_buf_dispose(&again.out);
}

static void run(const pb_message *type, form from, pl_str in)
{
    for (int to = WIRE; to <= JSON; to++) {
        conversion c = {.type = type, .from = from, .to = to, .in = in};
        convert(&c);
        /* The wire form can hold what JSON cannot say (an Any of an unknown type, a time far away). */
        CHECK(c.read || c.written == PL_OK || to == JSON || c.written == PL_RESOURCE_EXHAUSTED);
        if (!c.read && !c.written)
            check_again(type, to, &c.out);
        pl_buf_dispose(&c.out);
    }
    engine->idle(state);
}

static void open_all(void)
{
    pl_error err;
    pb_source source = {"tests.binpb", test_protos()};
    engine = pl_lua_engine();
    CHECK(pb_pool_new(&source, 1, &pool, &err) == PL_OK);
    CHECK(engine->state_new(engine, &(pl_state_config){.protos = pool}, &state, &err) == PL_OK);
    codec = pb_codec_new(pool, state);
    CHECK(codec != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t count;
    if (size < 2)
        return -1;
    if (!pool)
        open_all();
    const pb_message *const *messages = pb_pool_messages(pool, &count);
    /* A copy of its own size, so that a read behind the end is seen. */
    char *copy = malloc(size - 2 ? size - 2 : 1);
    if (!copy)
        return 0;
    if (size > 2)
        memcpy(copy, data + 2, size - 2);
    if (data[1] >> 1)
        pl_alloc_fail_at(data[1] >> 1, false);
    run(messages[data[0] % count], data[1] & 1 ? JSON : WIRE, (pl_str){copy, size - 2});
    pl_alloc_fail_at(0, false);
    free(copy);
    return 0;
}
