/* SPDX-License-Identifier: MIT */
#include "cli/rpc_schema.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "app/scratch.h"
#include "base/alloc.h"
#include "cli/cli.h"
#include "cli/rpc_reflection.h"

#define MOST_SET ((size_t)64 << 20)
#define MOST_ARGUMENTS (2 * PL_OPTION_LIST_MAX + 8)

extern char **environ;

struct rpc_schema {
    rpc_reflection reflection;
    bool by_files;
    pb_pool *pool;
    size_t files_in_pool; /* of reflection's */
};

/* --- protoc --- */
static const char *text(pl_arena *arena, const char *before, const char *value)
{
    return pl_arena_printf(arena, "%s%s", before, value).ptr;
}

static pl_code run_protoc(char *const *arguments, pl_error *err)
{
    pid_t pid;
    int status, failure = posix_spawnp(&pid, "protoc", NULL, NULL, arguments, environ);
    if (failure)
        return pl_fail(err, PL_FAILED_PRECONDITION,
                       "protoc, which compiles .proto files, cannot be run: %s (--protoset takes descriptor "
                       "sets, which need none)",
                       strerror(failure));
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return pl_fail(err, PL_INTERNAL, "cannot wait for protoc: %s", strerror(errno));
    }
    /* It has said why. */
    return status == 0 ? PL_OK : pl_fail(err, PL_INVALID_ARGUMENT, "the .proto files cannot be compiled");
}

static pl_code compile_to(const rpc_schema_options *o, const pl_scratch *scratch, pl_arena *arena,
                          pl_error *err)
{
    const char *arguments[MOST_ARGUMENTS] = {"protoc", "--include_imports"};
    size_t count = 2;
    bool ok = (arguments[count++] = text(arena, "--descriptor_set_out=",
                                         pl_arena_printf(arena, "%s/out.binpb", scratch->path).ptr)) != NULL;
    for (const char *const *folder = o->folders; ok && *folder; folder++)
        ok = (arguments[count++] = text(arena, "--proto_path=", *folder)) != NULL;
    for (const char *const *file = o->protos; *file; file++)
        arguments[count++] = *file;
    return ok ? run_protoc((char *const *)(uintptr_t)arguments, err) : pl_fail_memory(err);
}

static pl_code compile(const rpc_schema_options *o, pl_buf *out, pl_error *err)
{
    pl_scratch scratch;
    pl_arena arena;
    if (!pl_scratch_open(&scratch))
        return pl_fail(err, PL_UNAVAILABLE, "%s: %s", scratch.path, strerror(errno));
    pl_arena_init(&arena, 0);
    pl_code code = compile_to(o, &scratch, &arena, err);
    if (code == PL_OK && !pl_scratch_read(&scratch, "out.binpb", MOST_SET, out))
        code = pl_fail(err, PL_UNAVAILABLE, "cannot read what protoc has made: %s", strerror(errno));
    pl_arena_dispose(&arena);
    pl_scratch_remove(&scratch);
    return code;
}

/* --- files --- */
static pl_code read_files(rpc_schema *s, const rpc_schema_options *o, pl_error *err)
{
    pb_source sources[PL_OPTION_LIST_MAX + 1];
    pl_buf bytes[PL_OPTION_LIST_MAX + 1];
    size_t count = 0;
    pl_code code = PL_OK;
    if (o->protos[0]) {
        pl_buf_init(&bytes[count]);
        code = compile(o, &bytes[count], err);
        sources[count].name = o->protos[0];
        count++;
    }
    for (const char *const *set = o->sets; code == PL_OK && *set; set++) {
        pl_buf_init(&bytes[count]);
        code = pl_cli_read_file(*set, &bytes[count], err);
        sources[count].name = *set;
        count++;
    }
    for (size_t i = 0; i < count; i++)
        sources[i].bytes = pl_buf_view(&bytes[i]);
    if (code == PL_OK)
        code = pb_pool_new(sources, count, &s->pool, err);
    for (size_t i = 0; i < count; i++)
        pl_buf_dispose(&bytes[i]);
    return code;
}

rpc_schema *rpc_schema_new(rpc *r, const rpc_schema_options *o, pl_error *err)
{
    rpc_schema *s = pl_calloc(1, sizeof(*s));
    if (!s) {
        pl_fail_memory(err);
        return NULL;
    }
    rpc_call_options options = {
        .metadata = o->metadata, .metadata_count = o->metadata_count, .timeout_ms = o->timeout_ms};
    rpc_reflection_init(&s->reflection, r, &options);
    s->by_files = o->protos[0] || o->sets[0];
    if (!s->by_files || read_files(s, o, err) == PL_OK)
        return s;
    rpc_schema_free(s);
    return NULL;
}

void rpc_schema_free(rpc_schema *s)
{
    if (!s)
        return;
    rpc_reflection_dispose(&s->reflection);
    pb_pool_free(s->pool);
    pl_free(s);
}

/* --- reflection --- */
/* A pool of all files that reflection has given so far. */
static pl_code build_pool(rpc_schema *s, pl_error *err)
{
    pl_buf set;
    const pl_map *files = &s->reflection.files;
    pl_buf_init(&set);
    for (size_t i = 0; i < files->count; i++) {
        const pl_str *file = files->entries[i].value;
        uint8_t length[10];
        pl_buf_char(&set, 1 << 3 | PB_WIRE_LEN);
        pl_buf_append(&set, length, pb_put_varint(length, file->len));
        pl_buf_str(&set, *file);
    }
    pb_pool_free(s->pool);
    s->pool = NULL;
    pb_source source = {"reflection", pl_buf_view(&set)};
    pl_code code = set.failed ? pl_fail_memory(err) : pb_pool_new(&source, 1, &s->pool, err);
    pl_buf_dispose(&set);
    s->files_in_pool = files->count;
    return code;
}

static bool has(const pb_pool *pool, pl_str symbol)
{
    return pool && (pb_pool_file_of(pool, symbol) || pb_pool_file(pool, symbol));
}

pl_code rpc_schema_find(rpc_schema *s, pl_str symbol, const pb_pool **out, pl_error *err)
{
    if (!has(s->pool, symbol) && !s->by_files &&
        (rpc_reflection_find(&s->reflection, symbol, err) != PL_OK || build_pool(s, err) != PL_OK))
        return err->code;
    *out = s->pool;
    if (has(s->pool, symbol))
        return PL_OK;
    return pl_fail(err, PL_NOT_FOUND, "there is no %.*s in %s", PL_STR_ARG(symbol),
                   s->by_files ? "these files" : "what the server gives by reflection");
}

static int compare(const void *a, const void *b)
{
    return pl_str_cmp(*(const pl_str *)a, *(const pl_str *)b);
}

/* Puts the lines in order. */
static pl_code sort_lines(pl_buf *text, pl_error *err)
{
    size_t count = 0, most = 0;
    for (size_t i = 0; i < text->len; i++)
        most += text->data[i] == '\n';
    pl_str *lines = pl_calloc(most + 1, sizeof(*lines));
    pl_buf sorted;
    if (!lines)
        return pl_fail_memory(err);
    pl_buf_init(&sorted);
    for (size_t at = 0; at < text->len && count < most; count++) {
        const char *end = memchr(text->data + at, '\n', text->len - at);
        lines[count] = (pl_str){text->data + at, (size_t)(end - text->data) - at};
        at += lines[count].len + 1;
    }
    qsort(lines, count, sizeof(*lines), compare);
    for (size_t i = 0; i < count; i++)
        pl_buf_printf(&sorted, "%.*s\n", PL_STR_ARG(lines[i]));
    pl_free(lines);
    pl_buf_dispose(text);
    *text = sorted;
    return text->failed ? pl_fail_memory(err) : PL_OK;
}

pl_code rpc_schema_services(rpc_schema *s, pl_buf *out, pl_error *err)
{
    size_t count = 0;
    const pb_service *const *services = s->pool ? pb_pool_services(s->pool, &count) : NULL;
    if (!s->by_files && rpc_reflection_services(&s->reflection, out, err) != PL_OK)
        return err->code;
    for (size_t i = 0; s->by_files && i < count; i++) {
        if (!services[i]->file->built_in)
            pl_buf_printf(out, "%.*s\n", PL_STR_ARG(services[i]->full_name));
    }
    return sort_lines(out, err);
}
