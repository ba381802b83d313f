/* SPDX-License-Identifier: MIT */
#include "app/proto_load.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/digest.h"
#include "app/protoc.h"
#include "base/alloc.h"
#include "proto/well_known.h"
#include "proto/wire.h"

#define KEPT 4
#define FOLDER "proto/"

struct pl_protos {
    pb_pool *pool;
    atomic_uint refs; /* a generation may end on another thread than the next one is built on */
    char key[PL_SHA256_HEX + 1];
};

struct pl_proto_cache {
    pl_protos *entries[KEPT]; /* the last used first */
};

static pl_protos *ref(pl_protos *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void pl_protos_unref(pl_protos *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    pb_pool_free(p->pool);
    pl_free(p);
}

const pb_pool *pl_protos_pool(const pl_protos *p)
{
    return p ? p->pool : NULL;
}

/* --- what was made before --- */
pl_proto_cache *pl_proto_cache_new(void)
{
    return pl_calloc(1, sizeof(pl_proto_cache));
}

void pl_proto_cache_free(pl_proto_cache *cache)
{
    for (size_t i = 0; cache && i < KEPT; i++)
        pl_protos_unref(cache->entries[i]);
    pl_free(cache);
}

static void cache_put(pl_proto_cache *cache, pl_protos *p)
{
    pl_protos *moved = ref(p);
    for (size_t i = 0; i < KEPT; i++) {
        pl_protos *next = cache->entries[i];
        cache->entries[i] = moved;
        moved = next;
        if (next == p)
            break;
    }
    pl_protos_unref(moved);
}

static pl_protos *cache_find(pl_proto_cache *cache, const char *key)
{
    for (size_t i = 0; cache && i < KEPT; i++) {
        pl_protos *p = cache->entries[i];
        if (p && strcmp(p->key, key) == 0)
            return ref(p);
    }
    return NULL;
}

/* --- the files --- */
static bool is_set(const pl_file *file)
{
    return pl_file_is(file, FOLDER, ".binpb") || pl_file_is(file, FOLDER, ".pb");
}

static bool is_source(const pl_file *file)
{
    return pl_file_is(file, FOLDER, ".proto");
}

typedef struct loading {
    const pl_bundle *bundle;
    pl_report *report;
    pb_source *sources; /* the sets, and last what protoc has made */
    size_t set_count, proto_count;
    pl_buf compiled, kept;
    pl_error err;
} loading;

static bool no_memory(loading *l)
{
    l->report->errors.out_of_memory = true;
    return false;
}

/* Before protoc is shown them, which would say less. */
static bool check_set(loading *l, const pl_file *file)
{
    pb_reader r = pb_reader_of(file->bytes);
    pb_record record;
    const char *wrong;
    while (pb_next_record(&r, &record, &wrong))
        continue;
    if (wrong)
        pl_report_error(l->report, file->path.ptr, 0, 0, "it is no descriptor set: it %s", wrong);
    return !wrong;
}

static bool collect(loading *l)
{
    bool ok = true;
    l->sources = pl_calloc(l->bundle->file_count + 1, sizeof *l->sources);
    for (size_t i = 0; l->sources && i < l->bundle->file_count; i++) {
        const pl_file *file = &l->bundle->files[i];
        if (is_set(file)) {
            ok = check_set(l, file) && ok;
            l->sources[l->set_count++] = (pb_source){file->path.ptr, file->bytes};
        }
        l->proto_count += is_source(file);
    }
    return l->sources ? ok : no_memory(l);
}

/* Names and bytes of all of them, and which protoc: of two compilers, two results. */
static bool make_key(loading *l, const char *program, char out[PL_SHA256_HEX + 1])
{
    pl_buf text;
    pl_buf_init(&text);
    pl_buf_printf(&text, "%s\n", program ? program : "");
    for (size_t i = 0; i < l->bundle->file_count; i++) {
        const pl_file *file = &l->bundle->files[i];
        char digest[PL_SHA256_HEX + 1];
        if (!is_set(file) && !is_source(file))
            continue;
        if (!pl_sha256_hex(file->bytes, digest))
            text.failed = true;
        pl_buf_printf(&text, "%zu %.*s %s\n", file->path.len, PL_STR_ARG(file->path), digest);
    }
    bool ok = !text.failed && pl_sha256_hex(pl_buf_view(&text), out);
    pl_buf_dispose(&text);
    return ok || no_memory(l);
}

/* --- what protoc gives --- */

/* The bytes of a file of this name in a descriptor set. */
static bool set_has(pl_str set, pl_str name, pl_str *bytes)
{
    pb_reader r = pb_reader_of(set);
    pb_record record;
    const char *wrong;
    while (pb_next_record(&r, &record, &wrong)) {
        pl_str other = PL_STR_NONE;
        if (record.number == 1 && record.wire == PB_WIRE_LEN && pb_find_bytes(record.bytes, 1, &other) &&
            pl_str_eq(other, name)) {
            *bytes = record.bytes;
            return true;
        }
    }
    return false;
}

static bool is_compiled(const loading *l, pl_str name)
{
    char path[1024];
    int n = snprintf(path, sizeof path, FOLDER "%.*s", PL_STR_ARG(name));
    return n > 0 && (size_t)n < sizeof path && pl_bundle_find(l->bundle, (pl_str){path, (size_t)n});
}

/* Imports that protoc has taken from the sets come back, written anew: the sets' own are as good. So are the
 * built-in ones, unless protoc's are others. */
static bool is_wanted(const loading *l, pl_str name, pl_str bytes)
{
    pl_str other;
    if (is_compiled(l, name))
        return true;
    for (size_t i = 0; i < l->set_count; i++) {
        if (set_has(l->sources[i].bytes, name, &other))
            return false;
    }
    return !set_has(pb_well_known_set(), name, &other) || !pl_str_eq(other, bytes);
}

static bool keep_wanted(loading *l)
{
    pb_reader r = pb_reader_of(pl_buf_view(&l->compiled));
    pb_record record;
    const char *wrong;
    while (pb_next_record(&r, &record, &wrong)) {
        pl_str name = PL_STR("");
        uint8_t length[10];
        pb_find_bytes(record.bytes, 1, &name);
        if (record.number != 1 || record.wire != PB_WIRE_LEN || !is_wanted(l, name, record.bytes))
            continue;
        pl_buf_char(&l->kept, 1 << 3 | PB_WIRE_LEN);
        pl_buf_append(&l->kept, length, pb_put_varint(length, record.bytes.len));
        pl_buf_str(&l->kept, record.bytes);
    }
    return !l->kept.failed || no_memory(l);
}

static bool compile(loading *l, const char *program)
{
    pl_str *sets;
    if (l->proto_count == 0)
        return true;
    sets = pl_calloc(l->set_count + 1, sizeof *sets);
    if (!sets)
        return no_memory(l);
    for (size_t i = 0; i < l->set_count; i++)
        sets[i] = l->sources[i].bytes;
    sets[l->set_count] = pb_well_known_set();
    pl_protoc_input input = {
        .bundle = l->bundle, .sets = sets, .set_count = l->set_count + 1, .program = program};
    bool ok = pl_protoc_run(&input, l->report, &l->compiled) && keep_wanted(l);
    pl_free(sets);
    return ok;
}

static pl_protos *make(loading *l, const char *program, const char *key)
{
    pl_protos *p = NULL;
    size_t count = l->set_count;
    if (!compile(l, program))
        return NULL;
    if (l->proto_count > 0)
        l->sources[count++] = (pb_source){"proto", pl_buf_view(&l->kept)};
    p = pl_calloc(1, sizeof *p);
    if (!p) {
        no_memory(l);
        return NULL;
    }
    p->refs = 1;
    memcpy(p->key, key, sizeof p->key);
    if (pb_pool_new(l->sources, count, &p->pool, &l->err) == PL_OK)
        return p;
    pl_report_add(l->report, &l->err);
    pl_protos_unref(p);
    return NULL;
}

bool pl_protos_load(const pl_bundle *bundle, pl_proto_cache *cache, pl_report *report, pl_protos **out)
{
    loading l = {.bundle = bundle, .report = report};
    const char *program = getenv("PERILUNE_PROTOC");
    char key[PL_SHA256_HEX + 1];
    bool ok = false;
    if (program && !program[0])
        program = NULL;
    *out = NULL;
    pl_buf_init(&l.compiled);
    pl_buf_init(&l.kept);
    if (!collect(&l))
        goto done;
    if (l.set_count + l.proto_count == 0) {
        ok = true;
        goto done;
    }
    if (!make_key(&l, program, key))
        goto done;
    *out = cache_find(cache, key);
    if (!*out)
        *out = make(&l, program, key);
    ok = *out != NULL;
    if (ok && cache)
        cache_put(cache, *out);
done:
    pl_free(l.sources);
    pl_buf_dispose(&l.compiled);
    pl_buf_dispose(&l.kept);
    return ok;
}
