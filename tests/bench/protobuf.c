/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "messages.pb-c.h"
#include "perilune/engines.h"
#include "proto/codec.h"

/* protobuf [SECONDS [MESSAGE [DIRECTION]]]: how long it takes to turn messages into Lua values and back, and
 * protobuf-c to turn them into its structs and back. Prints one line for each message and direction: its
 * name, bytes, what is done, nanoseconds of CPU time (the best of several runs), by whom.
 *
 * protobuf --write DIR: writes the messages for others that are measured: NAME.bin for each, their types in
 * types.txt, and the descriptors in messages.binpb. */

pl_str bench_protos(void);

typedef struct bench bench;
typedef struct direction {
    const char *library, *name;
    bool pushes;
    pl_code (*run)(bench *b);
} direction;

struct bench {
    const pl_engine *e;
    pl_state *state;
    pb_pool *pool;
    pb_codec *codec;
    const pb_message *type;
    const ProtobufCMessageDescriptor *c_type;
    ProtobufCMessage *c_value;
    pl_buf wire, json, out;
    pl_slot value;
    const direction *direction;
    size_t times;
    pl_error err;
    double seconds;                            /* of each direction */
    const char *only_message, *only_direction; /* or NULL */
    const char *folder;                        /* or NULL: nothing is measured, but written there */
    FILE *types;
};

static void die(const char *what)
{
    fprintf(stderr, "protobuf: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* --- what is done --- */
static pl_code decode(bench *b)
{
    return pb_decode(b->codec, b->type, pl_buf_view(&b->wire), &b->err);
}

static pl_code read_json(bench *b)
{
    return pb_json_read(b->codec, b->type, pl_buf_view(&b->json), NULL, &b->err);
}

static pl_code encode(bench *b)
{
    pl_buf_reset(&b->out, b->out.cap);
    return pb_encode(b->codec, b->type, b->value, &b->out, &b->err);
}

static pl_code write_json(bench *b)
{
    pl_buf_reset(&b->out, b->out.cap);
    return pb_json_write(b->codec, b->type, b->value, NULL, &b->out, &b->err);
}

static ProtobufCMessage *unpack(const bench *b)
{
    ProtobufCMessage *message =
        protobuf_c_message_unpack(b->c_type, NULL, b->wire.len, (const uint8_t *)b->wire.data);
    if (!message)
        die("protobuf-c cannot unpack it");
    return message;
}

static pl_code c_unpack(bench *b)
{
    protobuf_c_message_free_unpacked(unpack(b), NULL);
    return PL_OK;
}

static pl_code c_pack(bench *b)
{
    pl_buf_reset(&b->out, b->out.cap);
    size_t size = protobuf_c_message_get_packed_size(b->c_value);
    if (!pl_buf_reserve(&b->out, size))
        die("out of memory");
    b->out.len = protobuf_c_message_pack(b->c_value, (uint8_t *)b->out.data);
    return PL_OK;
}

static const direction directions[] = {
    {"perilune", "decode", true, decode},       {"perilune", "encode", false, encode},
    {"perilune", "read JSON", true, read_json}, {"perilune", "write JSON", false, write_json},
    {"protobuf-c", "decode", false, c_unpack},  {"protobuf-c", "encode", false, c_pack},
};

static void repeat(void *data)
{
    bench *b = data;
    pl_slot top;
    b->e->reserve(b->state, 16);
    if (pb_decode(b->codec, b->type, pl_buf_view(&b->wire), &b->err))
        die(b->err.message);
    b->value = top = b->e->top(b->state);
    for (size_t i = 0; i < b->times; i++) {
        if (b->direction->run(b))
            die(b->err.message);
        b->e->pop_to(b->state, top);
    }
}

static double run(bench *b, size_t times)
{
    b->times = times;
    double begin = now();
    if (!b->e->protect(b->state, repeat, b, &b->err))
        die(b->err.message);
    b->e->idle(b->state);
    return now() - begin;
}

static void measure(bench *b, const char *name, const direction *d)
{
    double best = 0;
    size_t times = 100;
    b->direction = d;
    while (run(b, times) < b->seconds * 1e8) /* a tenth of the time for each of ten runs */
        times *= 2;
    for (int i = 0; i < 10; i++) {
        double each = run(b, times) / (double)times;
        best = i == 0 || each < best ? each : best;
    }
    size_t size = d->run == read_json || d->run == write_json ? b->json.len : b->wire.len;
    printf("%s\t%zu\t%s\t%.0f\t%s\n", name, size, d->name, best, d->library);
    fflush(stdout);
}

/* --- messages, of their JSON --- */
static void fill(void *data)
{
    bench *b = data;
    b->e->reserve(b->state, 16);
    pl_buf_reset(&b->wire, 0);
    if (read_json(b) || pb_encode(b->codec, b->type, b->e->top(b->state), &b->wire, &b->err))
        die(b->err.message);
    pl_buf_reset(&b->json, 0);
    if (pb_json_write(b->codec, b->type, b->e->top(b->state), NULL, &b->json, &b->err))
        die(b->err.message);
}

static void write_file(const bench *b, const char *name, pl_str data)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", b->folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data.ptr, 1, data.len, file) != data.len || fclose(file) != 0)
        die(path);
}

/* protobuf-c must write the bytes that it has read. */
static void check(bench *b)
{
    c_pack(b);
    if (b->out.len != b->wire.len || memcmp(b->out.data, b->wire.data, b->wire.len) != 0)
        die("protobuf-c writes other bytes than it has read");
}

static void bench_message(bench *b, const char *name, const ProtobufCMessageDescriptor *type)
{
    if (b->only_message && strcmp(b->only_message, name) != 0)
        return;
    b->c_type = type;
    b->type = pb_pool_message(b->pool, pl_str_of(type->name));
    if (!b->type || !b->e->protect(b->state, fill, b, &b->err))
        die(type->name);
    if (b->folder) {
        char file[64];
        snprintf(file, sizeof file, "%s.bin", name);
        write_file(b, file, pl_buf_view(&b->wire));
        fprintf(b->types, "%s\t%s\n", name, type->name);
        return;
    }
    b->c_value = unpack(b);
    check(b);
    for (size_t i = 0; i < sizeof directions / sizeof *directions; i++) {
        if (!b->only_direction || strcmp(b->only_direction, directions[i].name) == 0)
            measure(b, name, &directions[i]);
    }
    protobuf_c_message_free_unpacked(b->c_value, NULL);
}

static void set_json(bench *b, const char *text)
{
    pl_buf_reset(&b->json, 0);
    pl_buf_str(&b->json, pl_str_of(text));
}

static void set_user(bench *b, int emails)
{
    set_json(b, "{\"userId\":\"u-1\",\"displayName\":\"Ada Lovelace\",\"emails\":[");
    for (int i = 0; i < emails; i++)
        pl_buf_printf(&b->json, "%s{\"address\":\"ada.%d@example.com\",\"verified\":true}", i ? "," : "", i);
    PL_BUF_LIT(&b->json, "]}");
}

static void bench_all(bench *b)
{
    set_json(b, "{\"name\":\"world\"}");
    bench_message(b, "hello", &bench__messages__hello__descriptor);
    set_json(
        b, "{\"fDouble\":1.5,\"fFloat\":2.5,\"fInt32\":-1,\"fInt64\":\"300\",\"fUint32\":1,\"fUint64\":\"1\","
           "\"fSint32\":-5,\"fSint64\":\"-5\",\"fFixed32\":7,\"fFixed64\":\"7\",\"fSfixed32\":-7,"
           "\"fSfixed64\":\"-7\",\"fBool\":true,\"fString\":\"text\",\"fBytes\":\"AQID\","
           "\"fColour\":\"COLOUR_GREEN\"}");
    bench_message(b, "scalars", &bench__messages__scalars__descriptor);
    set_user(b, 20);
    bench_message(b, "nested", &bench__messages__user__descriptor);
    set_user(b, 1000);
    bench_message(b, "large", &bench__messages__user__descriptor);
    set_json(b, "{\"numbers\":[0");
    for (int i = 1; i < 1000; i++)
        pl_buf_printf(&b->json, ",%d", i * i);
    PL_BUF_LIT(&b->json, "]}");
    bench_message(b, "packed", &bench__messages__numbers__descriptor);
    set_json(b, "{\"byName\":{\"k1\":1");
    for (int i = 2; i <= 100; i++)
        pl_buf_printf(&b->json, ",\"k%d\":%d", i, i);
    PL_BUF_LIT(&b->json, "}}");
    bench_message(b, "map", &bench__messages__counts__descriptor);
}

/* --write */
static void write_all(bench *b)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/types.txt", b->folder);
    b->types = fopen(path, "w");
    if (!b->types)
        die(path);
    bench_all(b);
    if (fclose(b->types) != 0)
        die(path);
    write_file(b, "messages.binpb", bench_protos());
}

int main(int argc, char **argv)
{
    bool writes = argc == 3 && strcmp(argv[1], "--write") == 0;
    bench b = {.e = pl_lua_engine(),
               .seconds = argc > 1 ? atof(argv[1]) : 1,
               .only_message = argc > 2 && !writes ? argv[2] : NULL,
               .only_direction = argc > 3 ? argv[3] : NULL,
               .folder = writes ? argv[2] : NULL};
    pb_source source = {"messages.binpb", bench_protos()};
    if (pb_pool_new(&source, 1, &b.pool, &b.err) ||
        b.e->state_new(b.e, &(pl_state_config){.protos = b.pool}, &b.state, &b.err))
        die(b.err.message);
    b.codec = pb_codec_new(b.pool, b.state);
    if (!b.codec)
        die("out of memory");
    writes ? write_all(&b) : bench_all(&b);
    pb_codec_free(b.codec);
    b.e->state_free(b.state);
    pb_pool_free(b.pool);
    pl_buf_dispose(&b.wire);
    pl_buf_dispose(&b.json);
    pl_buf_dispose(&b.out);
    return 0;
}
