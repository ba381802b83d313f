/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "perilune/engines.h"
#include "proto/codec.h"

/* protobuf_testee SET: what protobuf's conformance test runner talks to. Reads ConformanceRequests from
 * standard input, each behind its length, and answers with ConformanceResponses. Messages pass through Lua
 * values both ways; the requests and responses themselves do so, too. SET is a descriptor set of
 * conformance.proto and the test messages. */

typedef struct testee {
    pb_pool *pool;
    pb_codec *codec;
    const pl_engine *e;
    pl_state *state;
    pl_buf in, out, payload;
    pl_error err;
    bool ok;
} testee;

static void die(const char *what)
{
    fprintf(stderr, "protobuf_testee: %s\n", what);
    exit(1);
}

static bool read_file(const char *path, pl_buf *out)
{
    char chunk[65536];
    size_t n;
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        pl_buf_append(out, chunk, n);
    fclose(f);
    return !out->failed;
}

/* Pushes the request's member of this name; false, and nothing pushed, when it has none. */
static bool push_member(testee *t, pl_slot map, const char *name)
{
    pl_slot top = t->e->top(t->state);
    pl_key *key = t->e->key(t->state, pl_str_of(name));
    if (t->e->field(t->state, map, key) && t->e->kind(t->state, top + 1) != PL_KIND_ABSENT)
        return true;
    t->e->pop_to(t->state, top);
    return false;
}

static pl_str text_member(testee *t, pl_slot map, const char *name)
{
    return push_member(t, map, name) ? t->e->get_string(t->state, t->e->top(t->state)) : PL_STR("");
}

static void answer(testee *t, pl_slot response, const char *name, pl_str text)
{
    t->e->push_string(t->state, text);
    t->e->set_field(t->state, response, t->e->key(t->state, pl_str_of(name)));
}

/* Pushes the message that the request carries. */
static const char *read_payload(testee *t, pl_slot request, const pb_message *type)
{
    pl_slot top = t->e->top(t->state);
    pl_str category = text_member(t, request, "test_category");
    pb_json_options options = {.ignore_unknown = pl_str_is(category, "JSON_IGNORE_UNKNOWN_PARSING_TEST")};
    pl_code code;
    t->e->pop_to(t->state, top);
    if (push_member(t, request, "protobuf_payload"))
        code = pb_decode(t->codec, type, t->e->get_string(t->state, top + 1), &t->err);
    else if (push_member(t, request, "json_payload"))
        code = pb_json_read(t->codec, type, t->e->get_string(t->state, top + 1), &options, &t->err);
    else
        return "skipped";
    return code ? "parse_error" : NULL;
}

static void respond(testee *t, pl_slot request, pl_slot response)
{
    const pb_message *type = pb_pool_message(t->pool, text_member(t, request, "message_type"));
    if (!type) {
        answer(t, response, "skipped", PL_STR("no such message"));
        return;
    }
    const char *wrong = read_payload(t, request, type);
    if (wrong) {
        answer(t, response, wrong, pl_str_of(wrong[0] == 's' ? "text format" : t->err.message));
        return;
    }
    pl_slot value = t->e->top(t->state);
    pl_str format = text_member(t, request, "requested_output_format");
    pl_code code;
    pl_buf_reset(&t->payload, 0);
    if (pl_str_is(format, "PROTOBUF")) {
        code = pb_encode(t->codec, type, value, &t->payload, &t->err);
        wrong = "protobuf_payload";
    } else if (pl_str_is(format, "JSON")) {
        code = pb_json_write(t->codec, type, value, NULL, &t->payload, &t->err);
        wrong = "json_payload";
    } else {
        answer(t, response, "skipped", PL_STR("text format"));
        return;
    }
    if (code)
        answer(t, response, "serialize_error", pl_str_of(t->err.message));
    else
        answer(t, response, wrong, pl_buf_view(&t->payload));
}

static void run(void *data)
{
    testee *t = data;
    pl_code code;
    t->e->reserve(t->state, 40);
    t->ok = false;
    if (pb_decode(t->codec, pb_pool_message(t->pool, PL_STR("conformance.ConformanceRequest")),
                  pl_buf_view(&t->in), &t->err))
        return;
    pl_slot request = t->e->top(t->state);
    pl_str type = text_member(t, request, "message_type");
    t->e->push_map(t->state, 1);
    pl_slot response = t->e->top(t->state);
    if (pl_str_is(type, "conformance.FailureSet"))
        answer(t, response, "protobuf_payload", PL_STR(""));
    else
        respond(t, request, response);
    pl_buf_reset(&t->out, 0);
    code = pb_encode(t->codec, pb_pool_message(t->pool, PL_STR("conformance.ConformanceResponse")), response,
                     &t->out, &t->err);
    t->ok = code == PL_OK;
}

static bool read_request(testee *t)
{
    unsigned char head[4];
    if (fread(head, 1, 4, stdin) != 4)
        return false;
    size_t len = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    pl_buf_reset(&t->in, 1 << 20);
    if (!pl_buf_reserve(&t->in, len) || fread(t->in.data, 1, len, stdin) != len)
        die("a request that ends too early");
    t->in.len = len;
    return true;
}

int main(int argc, char **argv)
{
    testee t = {.e = pl_lua_engine()};
    pl_buf set = {0};
    if (argc != 2 || !read_file(argv[1], &set))
        die("usage: protobuf_testee SET");
    pb_source source = {argv[1], pl_buf_view(&set)};
    if (pb_pool_new(&source, 1, &t.pool, &t.err) ||
        t.e->state_new(t.e, &(pl_state_config){0}, &t.state, &t.err))
        die(t.err.message);
    t.codec = pb_codec_new(t.pool, t.state);
    while (t.codec && read_request(&t)) {
        if (!t.e->protect(t.state, run, &t, &t.err) || !t.ok)
            die(t.err.message);
        unsigned char head[4] = {(unsigned char)t.out.len, (unsigned char)(t.out.len >> 8),
                                 (unsigned char)(t.out.len >> 16), (unsigned char)(t.out.len >> 24)};
        fwrite(head, 1, 4, stdout);
        fwrite(t.out.data, 1, t.out.len, stdout);
        fflush(stdout);
        t.e->idle(t.state);
    }
    pb_codec_free(t.codec);
    t.e->state_free(t.state);
    pb_pool_free(t.pool);
    pl_buf_dispose(&t.in);
    pl_buf_dispose(&t.out);
    pl_buf_dispose(&t.payload);
    pl_buf_dispose(&set);
    return 0;
}
