/* SPDX-License-Identifier: MIT */
#include "support/proto_fixture.h"

#include <string.h>

#include "value/json.h"

void pf_open(pf *f)
{
    pl_error err;
    pb_source source = {"tests.binpb", test_protos()};
    if (pb_pool_new(&source, 1, &f->pool, &err))
        fail_msg("%s", err.message);
    f->t = te_new();
    f->codec = pb_codec_new(f->pool, te_state(f->t));
    assert_non_null(f->codec);
}

void pf_close(pf *f)
{
    pb_codec_free(f->codec);
    te_free(f->t);
    pb_pool_free(f->pool);
}

const pb_message *pf_type(const pf *f, const char *name)
{
    char full[128];
    snprintf(full, sizeof full, strchr(name, '.') ? "%s" : "test.v1.%s", name);
    const pb_message *m = pb_pool_message(f->pool, pl_str_of(full));
    if (!m)
        fail_msg("there is no message %s", full);
    return m;
}

static unsigned digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

static void from_hex(const char *hex, pl_buf *out)
{
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        pl_buf_char(out, (char)(digit(hex[0]) << 4 | digit(hex[1])));
        hex++;
    }
}

typedef struct job {
    pf *f;
    pf_work work;
    const pb_message *type;
    const char *in;
    const pb_json_options *options;
    pl_arena arena; /* of what is pushed, which may jump */
    pl_buf bytes, out;
    pf_result result;
} job;

/* Pushes the value that JSON text says. */
static bool push_json(job *j, pl_state *state)
{
    pl_value value;
    pl_code code = pl_json_read(&j->arena, pl_str_of(j->in), &(pl_json_limits){.max_depth = 600}, &value,
                                &j->result.err);
    if (!code)
        pl_push_value(state, &value);
    return code == PL_OK;
}

static void run(void *data)
{
    job *j = data;
    pl_state *state = te_state(j->f->t);
    const pl_engine *e = pl_engine_of(state);
    pl_error *err = &j->result.err;
    e->reserve(state, 8);
    pl_slot top = e->top(state);
    switch (j->work) {
    case PF_DECODE:
        from_hex(j->in, &j->bytes);
        if (j->bytes.failed) {
            j->result.code = PL_RESOURCE_EXHAUSTED;
            return;
        }
        j->result.code = pb_decode(j->f->codec, j->type, pl_buf_view(&j->bytes), err);
        break;
    case PF_READ:
        j->result.code = pb_json_read(j->f->codec, j->type, pl_str_of(j->in), j->options, err);
        break;
    default:
        if (!push_json(j, state)) {
            j->result.code = err->code;
            return;
        }
        j->result.code = j->work == PF_ENCODE
                             ? pb_encode(j->f->codec, j->type, top + 1, &j->out, err)
                             : pb_json_write(j->f->codec, j->type, top + 1, j->options, &j->out, err);
        assert_int_equal(e->top(state), top + 1);
        return;
    }
    assert_int_equal(e->top(state), top + (j->result.code == PL_OK));
    pl_error ignored;
    if (!j->result.code)
        pl_write_json(state, top + 1, 500, &j->out, &ignored);
}

pf_result pf_run(pf *f, pf_work work, const char *type, const char *in, const pb_json_options *options)
{
    job j = {.f = f, .work = work, .type = pf_type(f, type), .in = in, .options = options};
    pl_state *state = te_state(f->t);
    pl_arena_init(&j.arena, 0);
    if (!pl_engine_of(state)->protect(state, run, &j, &j.result.err))
        j.result.code = j.result.err.code;
    size_t n = 0;
    for (size_t i = 0; i < j.out.len && n + 2 < sizeof j.result.text; i++) {
        if (work == PF_ENCODE)
            n += (size_t)snprintf(j.result.text + n, 3, "%02x", (unsigned char)j.out.data[i]);
        else
            j.result.text[n++] = j.out.data[i];
    }
    pl_arena_dispose(&j.arena);
    pl_buf_dispose(&j.bytes);
    pl_buf_dispose(&j.out);
    pl_engine_of(state)->idle(state);
    return j.result;
}

void pf_gives(pf *f, pf_work work, const char *type, const char *in, const pb_json_options *options,
              const char *out, const char *file, int line)
{
    pf_result r = pf_run(f, work, type, in, options);
    char expected[8192];
    size_t n = 0;
    for (const char *p = out; *p && n + 1 < sizeof expected; p++) {
        if (work != PF_ENCODE || *p != ' ')
            expected[n++] = *p;
    }
    expected[n] = '\0';
    if (r.code) {
        print_error("%s of \"%.200s\" failed: %s\n", type, in, r.err.message);
        _fail(file, line);
    } else if (strcmp(r.text, expected) != 0) {
        print_error("%s of \"%.200s\"\n  gives    %s\n  expected %s\n", type, in, r.text, expected);
        _fail(file, line);
    }
}

void pf_refuses_at(pf *f, pf_work work, const char *type, const char *in, const pb_json_options *options,
                   const char *message, const char *file, int line)
{
    pf_result r = pf_run(f, work, type, in, options);
    if (!r.code) {
        print_error("%s of \"%.200s\" is accepted: %s\n", type, in, r.text);
        _fail(file, line);
    } else if (strcmp(r.err.message, message) != 0 || r.code != PL_INVALID_ARGUMENT) {
        print_error("%s of \"%.200s\": %s\n  gives    %s\n  expected %s\n", type, in, pl_code_name(r.code),
                    r.err.message, message);
        _fail(file, line);
    }
}
