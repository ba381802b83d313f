/* SPDX-License-Identifier: MIT */
#include "grpc/codec_proto.h"

#include "support/proto_fixture.h"
#include "value/json.h"

static pf f;

static int open_all(void **state)
{
    pf_open(&f);
    return 0;
}

static int close_all(void **state)
{
    pf_close(&f);
    return 0;
}

typedef struct job {
    const pl_grpc_codec *codec;
    const char *type, *in; /* a message to be read; or, of what is written, the value as JSON */
    size_t len;
    pl_code code;
    pl_error err;
    pl_buf out;
    pl_arena arena;
    bool write;
} job;

static void section(void *data)
{
    job *j = data;
    pl_state *state = te_state(f.t);
    const pl_engine *e = pl_engine_of(state);
    pl_grpc_proto_type type = {f.codec, pf_type(&f, j->type)};
    pl_error ignored;
    pl_value value;
    e->reserve(state, 8);
    pl_slot top = e->top(state);
    if (j->write) {
        assert_int_equal(pl_json_read(&j->arena, pl_str_of(j->in), NULL, &value, &ignored), PL_OK);
        pl_push_value(state, &value);
        j->code = j->codec->encode(&type, state, top + 1, &j->out, &j->err);
        return;
    }
    j->code = j->codec->decode(&type, state, (pl_str){j->in, j->len}, &j->err);
    assert_int_equal(e->top(state), top + (j->code == PL_OK));
    if (!j->code)
        pl_write_json(state, top + 1, 20, &j->out, &ignored);
}

/* What comes out, or the message of the error behind "!". */
static const char *run(const pl_grpc_codec *codec, bool write, const char *type, const char *in, size_t len,
                       pl_code expected)
{
    static char text[1024];
    job j = {.codec = codec, .write = write, .type = type, .in = in, .len = len};
    pl_state *state = te_state(f.t);
    pl_arena_init(&j.arena, 0);
    pl_buf_init(&j.out);
    assert_true(pl_engine_of(state)->protect(state, section, &j, &j.err));
    assert_int_equal(j.code, expected);
    snprintf(text, sizeof text, "%s%.*s", j.code ? "!" : "",
             j.code ? (int)strlen(j.err.message) : (int)j.out.len, j.code ? j.err.message : j.out.data);
    pl_buf_dispose(&j.out);
    pl_arena_dispose(&j.arena);
    return text;
}
#define READ(codec, type, in, code) run(codec, false, type, in, sizeof(in) - 1, code)
#define WRITE(codec, type, in, code) run(codec, true, type, in, 0, code)

static void test_proto(void **state)
{
    assert_string_equal(READ(&pl_grpc_proto_codec, "Route", "\x0a\x01x", PL_OK), "{\"get\":\"x\"}");
    assert_string_equal(WRITE(&pl_grpc_proto_codec, "Route", "{\"get\":\"x\"}", PL_OK), "\x0a\x01x");
    assert_true(pl_str_is(pl_grpc_proto_codec.name, "proto"));
}

static void test_json(void **state)
{
    assert_string_equal(READ(&pl_grpc_json_codec, "User", "{\"userId\":\"u\",\"other\":1}", PL_OK),
                        "{\"user_id\":\"u\",\"display_name\":\"\",\"emails\":[]}");
    assert_string_equal(WRITE(&pl_grpc_json_codec, "User", "{\"user_id\":\"u\"}", PL_OK),
                        "{\"userId\":\"u\"}");
    assert_true(pl_str_is(pl_grpc_json_codec.name, "json"));
}

/* The message's name comes once, and first. */
static void test_errors(void **state)
{
    assert_string_equal(
        READ(&pl_grpc_proto_codec, "Route", "\x0a\x05x", PL_INTERNAL),
        "!test.v1.Route: get: the message has a field that is longer than what is left of it");
    assert_string_equal(READ(&pl_grpc_proto_codec, "Route", "\x0e", PL_INTERNAL),
                        "!test.v1.Route: the message has a field of a wire type that does not exist");
    assert_string_equal(WRITE(&pl_grpc_proto_codec, "User", "{\"emails\":[{},{\"address\":5}]}", PL_INTERNAL),
                        "!test.v1.User: emails[2].address: a string is expected, not an integer");
    assert_string_equal(WRITE(&pl_grpc_json_codec, "Route", "[]", PL_INTERNAL),
                        "!test.v1.Route: a map of fields is expected, not a list");
    pb_codec_limit(f.codec, &(pb_limits){.max_depth = 1});
    READ(&pl_grpc_proto_codec, "Node", "\x22\x02\x22\x00", PL_RESOURCE_EXHAUSTED);
    pb_codec_limit(f.codec, &(pb_limits){0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proto),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
